"""Subtitles as files: whole, and in the place of none that is somebody's own.

Beside them stands a report of their hashes, as beside an audiobook. In one directory it
tells of all that was ever written there and is still as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from batchtts.export import published
from batchtts.export.cuefiles import Form, Shown, spell
from batchtts.record import disk


class WrittenFile(msgspec.Struct, frozen=True):
    """A file that was written."""

    name: str
    sha256: str


class _Report(msgspec.Struct, frozen=True):
    files: list[WrittenFile]
    batchtts_subtitles: int = 1


def write(
    report: Path,
    shown: Iterable[tuple[Path, Form, list[Shown]]],
    paths: Iterable[Path],
    *,
    is_forced: bool,
) -> None:
    """Write the files of one directory; all appear when the last one is whole.

    Args:
        report: Where it is told what was written.
        shown: Files, which are all *paths*, and what is in them; used one by one.
        is_forced: Whether files that are somebody's own are replaced.

    Raises:
        UsageError: a file is somebody's own.
        OutputBroken: a file cannot be written.
    """
    known = published.ours(report)
    wanted = list(paths)
    if not is_forced:
        published.refuse_foreign(wanted, known)
    with disk.telling(report):
        disk.make_directory(report.parent)
    published.remove_leftovers(report.parent, [report.name, *(path.name for path in wanted)])
    try:
        hashes = known | dict(_written(shown))
        told = _Report([WrittenFile(*each) for each in sorted(hashes.items())])
        spelled = msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
        published.publish(report, spelled, wanted)
    finally:
        for path in wanted:
            with suppress(OSError):
                disk.remove(published.scratch_of(path))


def _written(shown: Iterable[tuple[Path, Form, list[Shown]]]) -> Iterator[tuple[str, str]]:
    """Write each under a scratch name, and yield its name and its hash."""
    for path, form, captions in shown:
        scratch, data = published.scratch_of(path), spell(form, captions).encode()
        with disk.telling(path):
            disk.write_file(scratch, data)
        yield path.name, sha256(data).hexdigest()
