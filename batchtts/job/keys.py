"""Where a key comes from: a file that the job names, else the environment.

A key is never an argument of a command, and nothing here says what it is.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchtts.errors import SettingsError
from batchtts.notices import notice

LONGEST_BYTES = 16 * 1024

#: What our own server asks for, if anything.
SERVE_VARIABLE = "BATCHTTS_SERVE_KEY"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the file or the variable where it was found, if it was."""

    value: str = field(repr=False)
    source: str | None


def find(file: Path | None, variable: str | None, environment: Mapping[str, str]) -> Key | None:
    """Return the key of a file if one is named, else of a variable; None if there is no key.

    Raises:
        SettingsError: the file cannot be used, or this is no key.
    """
    if file is not None:
        return Key(_fit(_read(file), f"key_file {file}"), f"{file}")
    key = environment.get(variable, "").strip() if variable else ""
    return Key(_fit(key, f"{variable}"), variable) if key else None


def _fit(key: str, source: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"{source} holds characters that no key has")
    return key


def _read(path: Path) -> str:
    """Return the only line of a file; say so if others may read it, too."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(LONGEST_BYTES + 1).decode("utf-8", errors="replace").strip()
    except OSError as error:
        told = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"key_file {path}: {told.lower()}") from None
    if not text:
        raise SettingsError(f"key_file {path} is empty")
    if len(text.splitlines()) > 1 or len(text) > LONGEST_BYTES:
        raise SettingsError(f"key_file {path} holds more than one line")
    if _is_open_to_others(status):
        told = "key_file %s is open to others than you; chmod 600 %s"
        log.warning(told, path, path, extra=notice("key_file_open", "keys"))
    return text


def _is_open_to_others(status: os.stat_result) -> bool:
    """Whether more people than need be may read it.

    The secret of a service or a container is another user's file, often root's; the bits
    of its group, or of the access list that hides there, are how we may read it at all.
    """
    others = 0o077 if status.st_uid == os.geteuid() else 0o007
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & others)
