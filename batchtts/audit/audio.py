"""The audio of finished rows, read back on all cores; and audio that no row has."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import soundfile

from batchtts.audit.finding import Finding
from batchtts.lots import lots
from batchtts.model import Result
from batchtts.record.hashes import sha256_of

_AT_ONCE = 32  # files that a thread is given together
_AHEAD = 4  # such lots for each thread

CONTAINERS = ("wav", "flac")
_ENDINGS = (".wav", ".flac", ".part")


class Read(NamedTuple):
    """Finished rows whose files were looked at.

    Attributes:
        read_bytes: Of the files that are as recorded.
        findings: For each row what is wrong with its file, or None.
    """

    results: Sequence[Result]
    read_bytes: int
    findings: list[Finding | None]


def read_back(results: Iterable[Result], root: Path, *, quick: bool) -> Iterator[Read]:
    """Compare the files of finished rows with their ledger lines, in order.

    Args:
        quick: Look at their sizes only.
    """
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        begun: deque[Future[Read]] = deque()
        for some in lots(results, _AT_ONCE):
            begun.append(pool.submit(_read, some, f"{root}", quick=quick))
            if len(begun) > threads * _AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def _read(results: Sequence[Result], root: str, *, quick: bool) -> Read:
    findings = [examine(result, root, quick=quick) for result in results]
    whole = zip(results, findings, strict=True)
    return Read(results, sum(it.bytes or 0 for it, found in whole if found is None), findings)


def examine(result: Result, root: str, *, quick: bool) -> Finding | None:
    """Compare the file of one finished row with its ledger line."""
    name = result.path or ""
    path = f"{root}/{name}"
    try:
        found = os.stat(path)  # noqa: PTH116  # 3 x faster
        if not (name and stat.S_ISREG(found.st_mode)):
            return Finding("audio_missing", name, "not a file", result.id)
        if found.st_size != result.bytes:
            told = f"{found.st_size:,} bytes, and the ledger says {result.bytes or 0:,}"
            return Finding("audio_size", name, told, result.id)
        return None if quick else _examine_content(result, path)
    except (FileNotFoundError, NotADirectoryError):
        return Finding("audio_missing", name, "not there", result.id)
    except OSError as error:
        told = f"cannot be read: {(error.strerror or str(error)).lower()}"
        is_ours = not isinstance(error, PermissionError)
        return Finding("audio_unreadable", name, told, result.id, can_mend=is_ours)


def _examine_content(result: Result, path: str) -> Finding | None:
    name = f"{result.path}"
    if sha256_of(path) != result.sha256:
        return Finding("audio_sha256", name, "SHA-256 is not the ledger's", result.id)
    try:
        with soundfile.SoundFile(path) as sound:
            found = sound.frames, sound.samplerate
    except soundfile.LibsndfileError as error:
        told = f"not a sound file: {error.error_string}"
        return Finding("audio_unreadable", name, told, result.id)
    if found != (result.frames, result.sample_rate_hz):
        told = "{:,} samples at {:,} Hz, and the ledger says {:,} at {:,} Hz".format(
            *found, result.frames or 0, result.sample_rate_hz or 0
        )
        return Finding("audio_samples", name, told, result.id)
    return None


def files(root: Path) -> Iterator[str]:
    """Yield every audio file below an output directory, as the ledger would name it."""
    for container in CONTAINERS:
        for folder, folders, names in os.walk(root / container):
            folders.sort()
            inside = Path(folder).relative_to(root).as_posix()
            yield from (f"{inside}/{name}" for name in sorted(names) if name.endswith(_ENDINGS))
