"""What stands on the page, from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchtts.review.page import plots, spelling
from batchtts.review.page.drawing import Plot
from batchtts.review.page.items import Item
from batchtts.review.page.second import Group, Second, named
from batchtts.review.page.survey import Survey
from batchtts.review.page.voices import VERDICTS, Voice

_MESSAGES = 3  # of a code that are told
_MESSAGE_CHARS = 280
_UNKNOWN = "not known of any row"
_VOICES = 60  # lines of the table


_LABELS = {"failed": "failed (no audio)", "fail": "fail (verdict)", "done": "done, no verdict"}


#: What rows can be sorted by: attribute in the page, word, attribute of an item that it needs.
_ORDERS = (
    ("rank", "worst", ""),
    ("id", "id", ""),
    ("wer", "WER", "wer"),
    ("mos", "MOS", "mos"),
    ("seconds", "duration", "audio_s"),
    ("away", "band", "away"),
    ("attempts", "attempts", "attempts"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure of the job."""

    label: str
    value: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of all rows.

    Attributes:
        share: In percent.
    """

    kind: str
    label: str
    count: int
    share: float
    start: float


@dataclass(frozen=True, slots=True)
class Panel:
    """The plots of a voice."""

    name: str
    rows: str
    plots: list[Plot]


@dataclass(frozen=True, slots=True)
class Fault:
    """A code of failure: how often, and what was said."""

    code: str
    rows: int
    attempts: int | None
    messages: list[tuple[str, int]]


@dataclass(slots=True)
class Page:
    """All of it.

    Attributes:
        notes: What is not known or not as it should be, a line each.
        voices: Lines of a table: name, rows, hours, pace, and so on.
        choices: What the rows can be filtered by: name → values.
    """

    title: str
    about: list[tuple[str, str]]
    notes: list[str]
    tiles: list[Tile]
    parts: list[Part]
    plots: list[Plot]
    panels: list[Panel]
    voices: list[tuple[str, ...]]
    more_voices: int
    faults: list[Fault]
    items: list[Item]
    rows: int
    version: str
    made_at: str
    choices: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_brief(self) -> bool:
        """Whether there is but one plot for each voice."""
        return all(len(panel.plots) == 1 for panel in self.panels)

    @property
    def orders(self) -> list[tuple[str, str]]:
        """What the rows can be sorted by: attribute and word."""
        return [
            (name, word)
            for name, word, of in _ORDERS
            if not of or any(getattr(item, of) is not None for item in self.items)
        ]


VOICE_HEAD = ("voice", "rows", "failed", "audio", "characters/s", "fail", "suspect", "WER", "MOS")


def tiles(found: Survey, summary: Mapping[str, Any]) -> list[Tile]:
    """The figures at the top."""
    done, failed = found.status["done"], found.status["failed"]
    pending = found.rows - done - failed
    left = f", {pending:,} left" if pending else ""
    told = [Tile("Rows", f"{found.rows:,}", f"{done:,} done, {failed:,} failed{left}")]
    shared = f", {found.shared:,} share audio" if found.shared else ""
    characters = f"{found.characters:,.0f} characters{shared}"
    told.append(Tile("Audio", spelling.hours(found.audio_s), characters))
    told.append(
        Tile("Cost", spelling.usd(found.cost_usd, is_part=found.unpriced > 0), _spent(summary))
    )
    refused = spelling.plural(found.refusals, "refusal") if "refusals" in found.known else ""
    where = f"in {spelling.plural(found.retried_rows, 'row')}"
    again = spelling.plural(found.retakes, "retake") if found.retakes else ""
    told.append(
        Tile("Retries", f"{found.retries:,}", ", ".join(filter(None, [where, refused, again])))
    )
    if found.heard_s:
        rtf = found.synth_s / found.heard_s
        fast = f"{spelling.short(1 / rtf, 2)} × real time a request" if rtf else ""
        told.append(Tile("RTF", spelling.short(rtf, 2), fast))
    if (wall_s := _number(summary, "wall_s")) and (spoken_s := _number(summary, "spoken_audio_s")):
        speed = f"{spelling.short(spoken_s / wall_s, 2)} × real time"
        told.append(Tile("Last run", spelling.seconds(wall_s), speed))
    return told


def _spent(summary: Mapping[str, Any]) -> str:
    spent, estimated = _number(summary, "spent_usd"), _number(summary, "estimated_usd")
    if spent is None or estimated is None:
        return "estimate not known"
    return f"last run {spelling.usd(spent)} of {spelling.usd(estimated)} estimated"


def _number(summary: Mapping[str, Any], name: str) -> float | None:
    value = summary.get(name)
    return float(value) if isinstance(value, int | float) else None


def parts(found: Survey) -> list[Part]:
    """What became of the rows, as one bar."""
    done = found.status["done"]
    counts = {"failed": found.status["failed"]}
    counts |= {it: found.verdicts[it] for it in ("fail", "suspect", "unverified", "pass")}
    unjudged = done - sum(found.verdicts[it] for it in VERDICTS)
    counts |= {"done": unjudged, "pending": found.rows - done - found.status["failed"]}
    told, start = [], 0.0
    for kind, count in counts.items():
        if count > 0:
            share = 100 * count / found.rows
            told.append(Part(kind, _LABELS.get(kind, kind), count, share, start))
            start += share
    return told


def over_all(found: Survey, second: Second) -> list[Plot]:
    """The plots that are about all rows."""
    lacks = ""
    if not {"attempts", "failures", "refusals"} & found.known:
        lacks = "these results do not know of attempts"
    return [
        plots.spread("ttfa", "Time to first audio", found.ttfa.all, _UNKNOWN),
        plots.spread("wall", "Total time of a row", found.wall.all, _UNKNOWN),
        plots.throughput(second.timeline),
        plots.in_flight(second.timeline),
        plots.trouble(second.timeline, lacks, is_exact=bool(found.failed_attempts.by_code)),
        plots.ranked("reasons", "Why rows are in doubt", found.reasons)
        if found.reasons
        else plots.spread(
            "rtf", "RTF: synthesis per audio", found.rtf.all, _UNKNOWN, spelling.short
        ),
    ]


def panels(found: Survey, second: Second) -> list[Panel]:
    """The plots of each voice; those that no voice has are left out."""
    return [_panel(place, group, found) for place, group in enumerate(second.groups)]


def _panel(place: int, group: Group, found: Survey) -> Panel:
    name, rows = group.name, sum(voice.rows for voice in group.voices)
    title = "Duration against characters"
    drawn = [group.cloud.plot(f"duration-{place}", title, name)]
    numbers = [voice.number for voice in group.voices]
    if found.voices.wer.all.total:
        of = found.voices.wer.together(numbers)
        drawn.append(plots.rates(f"wer-{place}", "Word error rate", of, name))
    if found.voices.mos.all.total:
        of = found.voices.mos.together(numbers)
        drawn.append(plots.opinions(f"mos-{place}", "Naturalness (MOS)", of, name))
    return Panel(name, spelling.plural(rows, "row"), drawn)


def voice_lines(found: Survey, voices: Sequence[Voice]) -> list[tuple[str, ...]]:
    """A table of the voices."""
    return [_voice_line(found, voice) for voice in voices[:_VOICES]]


def _voice_line(found: Survey, voice: Voice) -> tuple[str, ...]:
    wer, mos = found.voices.wer.of(voice.number), found.voices.mos.of(voice.number)
    pace = spelling.short(1 / voice.band.pace_s, 2) if voice.band else spelling.NOTHING
    judged = sum(voice.verdicts)
    counts = dict(zip(VERDICTS, voice.verdicts, strict=True))
    verdicts = (f"{counts[it]:,}" if judged else spelling.NOTHING for it in ("fail", "suspect"))
    return (
        *(named(voice), f"{voice.rows:,}", f"{voice.failed:,}", spelling.hours(voice.audio_s)),
        *(pace, *verdicts),
        spelling.percent(max(wer.quantile(0.5), 0.0)) if wer.total else spelling.NOTHING,
        f"{mos.quantile(0.5):.1f}" if mos.total else spelling.NOTHING,
    )


def more_voices(voices: Sequence[Voice]) -> int:
    """How many have no line."""
    return max(0, len(voices) - _VOICES)


def faults(found: Survey) -> list[Fault]:
    """Why rows and attempts failed, the most usual first."""
    rows, attempts = found.failed_rows.by_code, found.failed_attempts.by_code
    codes = sorted({*rows, *attempts}, key=lambda it: (-rows[it], -attempts[it], it))
    return [
        Fault(
            code,
            rows[code],
            attempts[code] if "failures" in found.known else None,
            [
                (spelling.short_text(said, _MESSAGE_CHARS), count)
                for said, count in _said(found, code)
            ],
        )
        for code in codes
    ]


def _said(found: Survey, code: str) -> list[tuple[str, int]]:
    """What was said; a row that failed says again what its last attempt said."""
    of_attempts = found.failed_attempts.of(code, _MESSAGES)
    return of_attempts or found.failed_rows.of(code, _MESSAGES)


def choices(items: Sequence[Item]) -> dict[str, list[str]]:
    """What the rows that are shown can be told apart by."""
    found = {
        "state": dict.fromkeys(item.state for item in items),
        "why": dict.fromkeys(sorted({it for item in items for it in item.why})),
        "voice": dict.fromkeys(sorted({item.voice for item in items})),
    }
    return {name: list(values) for name, values in found.items() if len(values) > 1}
