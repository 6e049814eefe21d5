"""What came out of a job, as one page: totals and plots of all rows, the worst ones by themselves.

Read are results.parquet, twice and then some rows of it, and summary.json. Memory does not
grow with the rows: what is about all of them are sums and histograms.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from batchtts import __version__
from batchtts.errors import UsageError
from batchtts.record import disk, readback
from batchtts.record.store import Layout
from batchtts.review.page import content, items, rendering, spelling
from batchtts.review.page.columns import Results
from batchtts.review.page.content import Page
from batchtts.review.page.second import Second
from batchtts.review.page.sound import EMBEDDED_BYTES, Shelf
from batchtts.review.page.survey import Survey, survey
from batchtts.review.page.voices import OTHERS

_LACKING = 12  # columns that a note names


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was written.

    Attributes:
        shown: Rows that stand in it by themselves.
        troubled: Those of them whose audio is missing, or was replaced.
        embedded, linked: Those whose audio is in the page, and beside it.
    """

    path: Path
    bytes: int
    rows: int
    shown: int
    troubled: int
    embedded: int
    linked: int


def write(
    out: Path, target: Path, *, embed: bool, most: int, column: str | None, made_at: str
) -> Made:
    """Make the page of an output directory.

    Args:
        target: Where it is written; its links to the audio are relative to that.
        embed: Put the audio into the page, as far as there is room.
        most: Rows that are shown by themselves.
        column: That has the script; found if it is not named.
        made_at: When that is, for the reader.

    Raises:
        UsageError: there are no results, or *target* is somebody's own file.
        OutputBroken: the page cannot be written.
    """
    _refuse_foreign(target)
    shelf = Shelf(out, target, EMBEDDED_BYTES if embed else 0)
    with readback.opened(out) as file:
        readback.require(out, file, ["id", "status"])
        if column is not None and column not in file.schema_arrow.names:
            told = f'{Layout(out).results}: no column "{column}"'
            raise UsageError(told, hint="name the column of the script: --column NAME")
        page = _page(out, Results(file, column), shelf, most, made_at)
    data = rendering.render(page).encode("utf-8", "replace")
    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    with disk.telling(target):
        disk.make_directory(target.parent)
        try:
            disk.replace_file(target, data, scratch=scratch)
        finally:
            disk.remove(scratch)
    return Made(
        path=target,
        bytes=len(data),
        rows=page.rows,
        shown=len(page.items),
        troubled=shelf.troubled,
        embedded=shelf.embedded,
        linked=shelf.linked,
    )


def _refuse_foreign(target: Path) -> None:
    """A page is written over a page, and over nothing else."""
    hint = "name another with -o"
    if target.is_dir():
        raise UsageError(f"{target}: is a directory", hint=hint)
    try:
        with target.open("rb") as file:
            begins = file.read(len(rendering.BEGINNING))
    except OSError:
        return  # not there; or what is wrong with it is told when it is written
    if begins and begins != rendering.BEGINNING.encode():
        raise UsageError(f"{target}: is there, and is no report of batchtts", hint=hint)


def _page(out: Path, results: Results, shelf: Shelf, most: int, made_at: str) -> Page:
    found = survey(results)
    summary = _summary(Layout(out).summary)
    voices = found.voices.known()
    second = Second(results, found, voices, most)
    shown = items.read(results, second.worst, lambda row: _away(found, second, row), shelf)
    return Page(
        title=out.resolve().name,
        about=_about(found, second, summary, len(voices)),
        notes=[*_alerts(summary), *_notes(results, found), *_notes_of_audio(shelf)],
        tiles=content.tiles(found, summary),
        parts=content.parts(found),
        plots=content.over_all(found, second),
        panels=content.panels(found, second),
        voices=content.voice_lines(found, voices),
        more_voices=content.more_voices(voices),
        faults=content.faults(found),
        items=shown,
        rows=found.rows,
        version=__version__,
        made_at=made_at,
        choices=content.choices(shown),
    )


def _summary(path: Path) -> dict[str, Any]:
    """The last run in figures, of whichever version; nothing if it is not known."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return found if isinstance(found, dict) else {}


def _away(found: Survey, second: Second, row: Mapping[str, Any]) -> float:
    """How far a row is from its usual duration; NaN if that is not known."""
    numbers = found.voices.numbers
    key = (row["voice"] or "", row["language"] or "")
    number = numbers.get(key, numbers.get(OTHERS))
    seconds = row["speech_s"] if row["speech_s"] is not None else row["audio_s"]
    if number is None or seconds is None or row["text_chars"] is None or row["status"] != "done":
        return float("nan")
    sizes = [np.array([float(it)]) for it in (seconds, row["text_chars"])]
    return float(second.away(np.array([number]), *sizes)[0])


def _about(
    found: Survey, second: Second, summary: Mapping[str, Any], voices: int
) -> list[tuple[str, str]]:
    told = [("manifest", f"{summary['manifest']}")] if summary.get("manifest") else []
    if found.providers:
        told.append(("provider", ", ".join(name for name, _ in found.providers.most_common(4))))
    if voices:
        told.append(("voices", f"{voices:,}"))
    if second.timeline is not None:
        clock = second.timeline.clock
        ends = [spelling.moment(float(it), "m") for it in (clock.begins[0], clock.ends[-1])]
        until = ends[1][11:] if ends[0][:11] == ends[1][:11] else ends[1]
        told.append(("spoken", f"{ends[0]} to {until} UTC"))
    return told


def _alerts(summary: Mapping[str, Any]) -> list[str]:
    """What a run says of canaries that do not sound as they used to."""
    told = summary.get("alerts")
    return [
        f"The canary {alert.get('id')} does not sound as it used to: its {alert.get('what')} is"
        f" {alert.get('value')}, and {alert.get('usual')} ± {alert.get('band')} is usual."
        for alert in (told if isinstance(told, list) else [])
        if isinstance(alert, dict)
    ]


def _notes(results: Results, found: Survey) -> list[str]:
    """What these results do not say."""
    notes = []
    if results.lacking:
        names = ", ".join(results.lacking[:_LACKING])
        more = len(results.lacking) - _LACKING
        told = f"{names} and {more:,} more" if more > 0 else names
        notes.append(f"These results are of an older version, and do not know of: {told}.")
    if results.script is None:
        notes.append("No column of them has the script: --column NAME says which it is.")
    if found.status["done"] and "verdict" not in found.known and "verdict" not in results.lacking:
        notes.append("No row has a verdict yet.")
    if found.status["done"] and "wer" not in found.known and "wer" not in results.lacking:
        notes.append("No row was compared with what a recognizer hears.")
    return notes


def _notes_of_audio(shelf: Shelf) -> list[str]:
    notes = []
    if shelf.troubled:
        rows = spelling.plural(shelf.troubled, "row")
        notes.append(f"The audio of {rows} shown below is missing, or is not what was recorded.")
    if shelf.embedded and shelf.linked:
        most = spelling.size(EMBEDDED_BYTES)
        notes.append(
            f"The audio of {spelling.plural(shelf.linked, 'row')} is not in this page, which takes"
            f" {most} of audio: it is played from the output directory."
        )
    return notes
