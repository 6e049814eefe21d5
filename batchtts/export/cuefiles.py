"""SubRip and WebVTT, spelled so that players and parsers read back what was meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Form = Literal["srt", "vtt"]
FORMS: tuple[Form, ...] = ("srt", "vtt")

_JOINER = "\u2060"  # is not seen


class Shown(NamedTuple):
    """What is shown from one millisecond to another.

    Attributes:
        voice: Who speaks, where that should be said.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    voice: str = ""


def spell(form: Form, shown: Iterable[Shown]) -> str:
    """The content of a file."""
    return spell_srt(shown) if form == "srt" else spell_vtt(shown)


def spell_srt(shown: Iterable[Shown]) -> str:
    """SubRip, with the ends of lines that its oldest players want.

    There is no way to quote in it: an arrow, which would be taken for a time, is
    parted by a character that nobody sees.
    """
    blocks = []
    for number, it in enumerate(shown, 1):
        text = "\r\n".join(it.lines).replace("-->", f"--{_JOINER}>")
        blocks.append(f"{number}\r\n{_times(it, ',')}\r\n{text}\r\n\r\n")
    return "".join(blocks)


def spell_vtt(shown: Iterable[Shown]) -> str:
    """WebVTT, in which a voice can be told."""
    blocks = ["WEBVTT\n\n"]
    for it in shown:
        voice = f"<v {_quoted(' '.join(it.voice.split()))}>" if it.voice.strip() else ""
        text = "\n".join(map(_quoted, it.lines))
        blocks.append(f"{_times(it, '.')}\n{voice}{text}\n\n")
    return "".join(blocks)


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _times(shown: Shown, point: str) -> str:
    return f"{_time(shown.start_ms, point)} --> {_time(shown.end_ms, point)}"


def _time(at_ms: int, point: str) -> str:
    seconds, ms = divmod(at_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def settled(shown: Iterable[Shown], limit_ms: int) -> list[Shown]:
    """Let none be empty, overlap another or end after *limit_ms*, and no text be lost.

    Args:
        shown: In order; their times may be a little out of it.
    """
    limit_ms = max(limit_ms, 1)
    ordered: list[Shown] = []
    for it in shown:
        start_ms = max(it.start_ms, ordered[-1].end_ms if ordered else 0)
        ordered.append(it._replace(start_ms=start_ms, end_ms=max(it.end_ms, start_ms + 1)))
    while len(ordered) > limit_ms:  # more captions than milliseconds
        last = ordered.pop()
        ordered[-1] = ordered[-1]._replace(lines=(*ordered[-1].lines, *last.lines))
    for at in reversed(range(len(ordered))):
        end_ms = min(ordered[at].end_ms, limit_ms)
        limit_ms = min(ordered[at].start_ms, end_ms - 1)
        ordered[at] = ordered[at]._replace(start_ms=limit_ms, end_ms=end_ms)
    return ordered
