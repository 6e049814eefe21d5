"""What can be understood of a job that is refused: enough to tell somebody."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from batchtts.errors import SettingsError
from batchtts.job.settings import Job, LogFormat, check

_KEYS = ("manifest", "out", "metrics", "on_failure", "ping_url", "hook_timeout_s")
_PATHS = ("manifest", "out", "metrics")


def salvage(path: Path, flags: Mapping[str, object], log_format: LogFormat) -> Job:
    """Make a job of those keys of a job file, and flags, that say who hears of its end."""
    told = _read(path) if path.suffix.lower() == ".toml" else {}
    told |= {key: flags[key] for key in _KEYS if flags.get(key) is not None}
    job = Job(manifest=path, log_format=log_format)
    for key in _KEYS:
        if key in told:
            with suppress(SettingsError):
                job = check(msgspec.structs.replace(job, **{key: told[key]}))
    return job


def _read(path: Path) -> dict[str, object]:
    try:
        told: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    for key in _PATHS:
        if isinstance(told.get(key), str):
            told[key] = path.parent / str(told[key])
    return told
