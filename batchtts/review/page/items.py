"""The rows that are shown one by one: all that is known of each, in the words of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from batchtts.review import phonemes
from batchtts.review.likeness import Phonemize
from batchtts.review.page import alignment, spelling
from batchtts.review.page.alignment import Piece
from batchtts.review.page.columns import SCRIPT, Results
from batchtts.review.page.drawing import num
from batchtts.review.page.sound import WIDE, Shelf, Sound

_NAMES = (
    *("id", "status", "path", "text_chars", "spoken", "provider", "model", "voice", "language"),
    *("sample_rate_hz", "audio_s", "bytes", "sha256", "peak_dbfs", "segments", "attempts"),
    *("started_at", "finished_at", "queue_s", "connect_s", "ttfa_s", "synth_s", "wall_s", "rtf"),
    *("characters_sent", "cost_usd", "same_as", "verdict", "reasons", "speech_s", "lead_s"),
    *("tail_s", "gap_s", "level_dbfs", "floor_dbfs", "end_dbfs", "clipped", "dc", "dropouts"),
    *("pause_s", "click"),
    *("recognizer", "transcript", "wer", "cer", "per", "second_recognizer", "second_transcript"),
    *("second_wer", "mos", "takes", "kept_take", "refusals", "failures", "error_code"),
    "error_message",
)
_MESSAGE_CHARS = 600

Spell = Callable[[Any], str]


def _db(value: float) -> str:
    return f"{value:.1f} dBFS"


#: Column → what it is called, and how it is told.
_MEASURES: dict[str, tuple[str, Spell]] = {
    "speech_s": ("speech", spelling.seconds),
    "lead_s": ("silence before", spelling.seconds),
    "tail_s": ("silence after", spelling.seconds),
    "gap_s": ("longest gap", spelling.seconds),
    "level_dbfs": ("level", _db),
    "peak_dbfs": ("peak", _db),
    "floor_dbfs": ("floor", _db),
    "end_dbfs": ("last 20 ms", _db),
    "clipped": ("clipped", spelling.percent),
    "dc": ("DC offset", spelling.percent),
    "dropouts": ("dropouts", spelling.count),
    "pause_s": ("pauses", spelling.seconds),
    "click": ("click", spelling.short),
    "sample_rate_hz": ("rate", lambda it: f"{it:,} Hz"),
}
_FACTS: dict[str, tuple[str, Spell]] = {
    "provider": ("provider", str),
    "model": ("model", str),
    "language": ("language", str),
    "segments": ("segments", spelling.count),
    "attempts": ("attempts", spelling.count),
    "refusals": ("refusals", spelling.count),
    "takes": ("takes", spelling.count),
    "kept_take": ("take kept", spelling.count),
    "queue_s": ("waited", spelling.seconds),
    "connect_s": ("connecting", spelling.seconds),
    "ttfa_s": ("first audio", spelling.seconds),
    "synth_s": ("synthesis", spelling.seconds),
    "wall_s": ("in all", spelling.seconds),
    "rtf": ("RTF", spelling.short),
    "cost_usd": ("cost", spelling.usd),
    "characters_sent": ("characters sent", spelling.count),
    "cer": ("CER", spelling.percent),
    "recognizer": ("recognizer", str),
    "second_recognizer": ("second recognizer", str),
    "second_wer": ("WER of that", spelling.percent),
    "same_as": ("audio of", str),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A row.

    Attributes:
        state: Its verdict, or its status where there is none.
        away: How far it is from the usual duration; 1 is the edge of the band.
        speech: A path over the waveform where speech is; empty if that is not known.
        is_compared: Whether *pieces* are what was sent against the transcript.
        written: The script, if something else was sent.
        failures: When, code, message of attempts that failed.
    """

    rank: int
    id: str
    state: str
    voice: str
    why: tuple[str, ...]
    chars: int | None
    audio_s: float | None
    wer: float | None
    per: float | None
    mos: float | None
    attempts: int | None
    away: float | None
    sound: Sound | None
    speech: str
    code: str
    message: str
    pieces: list[Piece]
    is_compared: bool
    written: list[Piece]
    transcript: list[Piece]
    second: list[Piece]
    finished_at: str
    facts: list[tuple[str, str]]
    measures: list[tuple[str, str]]
    failures: list[tuple[str, str, str]]


def read(
    results: Results,
    places: Sequence[int],
    away: Callable[[Mapping[str, Any]], float],
    shelf: Shelf,
) -> list[Item]:
    """Read rows, in this order, and listen to them."""
    rows = results.pick(places, _NAMES)
    is_heard = any(row["transcript"] is not None for row in rows)
    phonemize = phonemes.english() if is_heard else None
    return [_item(rank, row, away, shelf, phonemize) for rank, row in enumerate(rows, 1)]


def _item(
    rank: int,
    row: Mapping[str, Any],
    away: Callable[[Mapping[str, Any]], float],
    shelf: Shelf,
    phonemize: Phonemize | None,
) -> Item:
    is_done = row["status"] == "done"
    sound = shelf.sound(row["path"], row["bytes"], row["sha256"]) if is_done else None
    text, heard = row["spoken"] or row[SCRIPT] or "", row["transcript"]
    spans = None
    if heard is not None and text:
        spans = alignment.align(text, heard, row["language"] or "", phonemize)
    distance = away(row)
    return Item(
        rank=rank,
        id=f"{row['id']}",
        state=(row["verdict"] or "done") if is_done else f"{row['status']}",
        voice=row["voice"] or "",
        why=tuple(dict.fromkeys(filter(None, [*(row["reasons"] or ()), row["error_code"]]))),
        **{it: row[it] for it in ("audio_s", "wer", "per", "mos", "attempts")},
        chars=row["text_chars"],
        away=distance if isfinite(distance) else None,
        sound=sound,
        speech=_speech(row, sound),
        code=row["error_code"] or "",
        message=spelling.short_text(row["error_message"] or "", _MESSAGE_CHARS),
        pieces=alignment.plainly(text) if spans is None else alignment.pieces(text, spans),
        is_compared=spans is not None,
        written=alignment.plainly(row[SCRIPT] or "") if row["spoken"] else [],
        transcript=alignment.plainly(heard) if heard and spans is None else [],
        second=alignment.plainly(row["second_transcript"] or ""),
        finished_at=_moment(row["finished_at"]),
        facts=_told(row, _FACTS),
        measures=_told(row, _MEASURES),
        failures=_failures(row["failures"]),
    )


def _told(row: Mapping[str, Any], how: Mapping[str, tuple[str, Spell]]) -> list[tuple[str, str]]:
    known = ((label, spell, row[name]) for name, (label, spell) in how.items())
    return [(label, spell(value)) for label, spell, value in known if value not in (None, "")]


def _failures(told: list[dict[str, Any]] | None) -> list[tuple[str, str, str]]:
    return [
        (
            _moment(it["at"]),
            it["code"] or "",
            spelling.short_text(it["message"] or "", _MESSAGE_CHARS),
        )
        for it in told or ()
        if it
    ]


def _moment(at: datetime | None) -> str:
    return spelling.moment(at.timestamp()) if isinstance(at, datetime) else ""


def _speech(row: Mapping[str, Any], sound: Sound | None) -> str:
    """Where in a waveform there is speech: a line below it."""
    lead_s, tail_s = row["lead_s"], row["tail_s"]
    if sound is None or not sound.audio_s or lead_s is None or tail_s is None:
        return ""
    begin = min(max(lead_s / sound.audio_s, 0), 1) * WIDE
    end = max(min(1 - tail_s / sound.audio_s, 1), 0) * WIDE
    return f"M{num(begin)} 39H{num(end)}" if end > begin else ""
