"""How a finished file gets its name, and whose file it is that has the name already.

A file is written beside its destination, under a name that begins with a dot and has the
id of the process in it. When all is written and durable, it is renamed. What a process
that is no more has left is removed. What was exported stands in a report with its
SHA-256, which is written first and renamed last: so a file that has one of the hashes is
of batchtts and may be replaced, wherever an export was killed; any other is somebody's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from batchtts.errors import UsageError
from batchtts.record import disk
from batchtts.record.hashes import sha256_of

#: What names the version of a report.
_REPORTS = ("batchtts_audiobook", "batchtts_subtitles")
_SCRATCH = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]+)\.part")


def scratch_of(path: Path) -> Path:
    """Where this process writes a file."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _scratches(directory: Path) -> Iterator[tuple[Path, str, int]]:
    """Yield what was begun in a directory: where, for which name, by whom."""
    for path in directory.glob(".*.part"):
        found = _SCRATCH.fullmatch(path.name)
        if found is not None:
            yield path, found["name"], int(found["pid"])


def remove_leftovers(directory: Path, names: Iterable[str]) -> None:
    """Remove what processes that are no more have begun under these names."""
    wanted = set(names)
    for path, name, pid in _scratches(directory):
        if name in wanted and not _is_alive(pid):
            with disk.telling(path):
                disk.remove(path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def ours(report: Path) -> dict[str, str]:
    """The files that reports of ours tell of, and their SHA-256: those that are as told."""
    directory = report.parent
    left = [path for path, name, _ in _scratches(directory) if name == report.name]
    found = {}
    for path in (*left, report):
        for name, told in _hashes(path):
            with suppress(OSError):
                if Path(name).name == name and sha256_of(directory / name) == told:
                    found[name] = told
    return found


def _hashes(report: Path) -> Iterator[tuple[str, str]]:
    try:
        told: Any = msgspec.json.decode(report.read_bytes())
        if any(name in told for name in _REPORTS):
            for file in told["files"]:
                yield str(file["name"]), str(file["sha256"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return


def refuse_foreign(paths: Iterable[Path], known: Iterable[str]) -> None:
    """Refuse to replace what is not of batchtts.

    Raises:
        UsageError: one of these files is there, and is in no report.
    """
    ours = set(known)
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{path}: is a directory", hint="--per-chapter takes one")
        if os.path.lexists(path) and path.name not in ours:
            told = "is there, and is not as batchtts wrote it"
            raise UsageError(f"{path}: {told}", hint="--force replaces it; or name another with -o")


def publish(report: Path, text: bytes, paths: Iterable[Path]) -> None:
    """Give files that are whole and durable their names, and the report its own."""
    with disk.telling(report):
        scratch = scratch_of(report)
        try:
            disk.write_file(scratch, text)
            for path in paths:
                disk.rename(scratch_of(path), path)
            disk.sync_directory(report.parent)
            disk.rename(scratch, report)
            disk.sync_directory(report.parent)
        finally:
            disk.remove(scratch)
