"""The second pass: what needs to know all rows before, such as what is usual, and when it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchtts.review.page import band, ranking
from batchtts.review.page.bins import Floats, Ints
from batchtts.review.page.columns import Results, Rows
from batchtts.review.page.durations import MOST_POINTS, Cloud, Pane
from batchtts.review.page.survey import Survey, retries, spoken_s
from batchtts.review.page.timeline import Timeline
from batchtts.review.page.voices import Voice

MOST_VOICES = 6  # that have plots of their own

_NAMES = (
    *("status", "voice", "language", "text_chars", "audio_s", "speech_s", "attempts", "segments"),
    *("refusals", "started_at", "finished_at", "verdict", "wer", "per", "mos", "failures"),
)


@dataclass(frozen=True, slots=True)
class Group:
    """One voice, or several that are few, and how its rows lie."""

    name: str
    voices: tuple[Voice, ...]
    cloud: Cloud


class Second:
    """What the second pass finds.

    Attributes:
        groups: The voices most heard, and all others together.
        timeline: None if it is not known when rows were in work.
    """

    def __init__(self, results: Results, survey: Survey, voices: list[Voice], rows: int) -> None:
        self._survey = survey
        self._rows = rows
        clock = survey.occupancy.clock()
        self.timeline = Timeline(clock, len(results)) if clock is not None else None
        self.groups = _groups(
            voices, Pane.around(survey.lengths.all, survey.durations.all), len(results)
        )
        self._heard = ranking.Top(rows)
        self._silent = ranking.Top(rows)
        count = len(survey.voices.numbers)
        self._pace_s, self._half_width = np.full((2, count), np.nan)
        self._group_of: Ints = np.full(count, -1)
        for place, group in enumerate(self.groups):
            self._group_of[[it.number for it in group.voices]] = place
        for voice in voices:
            if voice.band is not None:
                self._pace_s[voice.number] = voice.band.pace_s
                self._half_width[voice.number] = voice.band.half_width
        for some in results.batches(_NAMES):
            if len(some):
                self._add(some)

    @property
    def worst(self) -> list[int]:
        """Places of the rows to look at first."""
        return ranking.merged(self._heard, self._silent, self._rows)

    def away(self, numbers: Ints, seconds: Floats, chars: Floats) -> Floats:
        """How far rows are from what is usual for their voices."""
        found = band.paces(seconds, chars)
        return band.distances(found, self._pace_s[numbers], self._half_width[numbers])

    def _add(self, rows: Rows) -> None:
        numbers = self._survey.voices.number(rows)
        is_done = rows.are("status", "done")
        chars = rows.floats("text_chars")
        seconds = np.where(is_done, spoken_s(rows), np.nan)
        away = self.away(numbers, seconds, chars)
        groups = self._group_of[numbers]
        for place, group in enumerate(self.groups):
            here = groups == place
            group.cloud.add(chars[here], seconds[here], away[here])
        self._rank(rows, is_done, away)
        if self.timeline is not None:
            self._add_times(self.timeline, rows, is_done)

    def _rank(
        self, rows: Rows, is_done: np.ndarray[tuple[int], np.dtype[np.bool_]], away: Floats
    ) -> None:
        tier = rows.are("verdict", "fail") * 2 + rows.are("verdict", "suspect")
        per = rows.floats("per")
        errors = np.where(np.isfinite(per), per, rows.floats("wer"))
        worse = ranking.suspicion(
            np.where(is_done, tier, ranking.LEAST), errors, rows.floats("mos"), away, retries(rows)
        )
        self._heard.add(worse, rows.first)
        is_failed = rows.are("status", "failed")
        nothing = np.full(len(rows), np.nan)
        worse = ranking.suspicion(
            np.where(is_failed, 2, ranking.LEAST), nothing, nothing, nothing, retries(rows)
        )
        self._silent.add(worse, rows.first)

    def _add_times(
        self, line: Timeline, rows: Rows, is_done: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> None:
        begins, ends = rows.times("started_at"), rows.times("finished_at")
        line.add_work(begins, ends)
        line.add_events(line.done, ends[is_done])
        line.add_events(line.refusals, ends, np.nan_to_num(rows.floats("refusals")))
        if self._survey.failed_attempts.by_code:
            line.add_events(line.retries, rows.failed_at())
        else:
            line.add_events(line.retries, ends, retries(rows))


def _groups(voices: list[Voice], pane: Pane, rows: int) -> list[Group]:
    most = MOST_VOICES if len(voices) > MOST_VOICES + 1 else len(voices)
    is_dense = rows > MOST_POINTS
    spoken = [voice for voice in voices if voice.rows]
    alone, others = spoken[:most], spoken[most:]
    groups = [Group(named(it), (it,), Cloud(pane, it.band, is_dense)) for it in alone]
    if others:
        name = f"{len(others):,} other voices"
        groups.append(Group(name, tuple(others), Cloud(pane, None, is_dense)))
    return groups


def named(voice: Voice) -> str:
    """What a voice is called."""
    name = voice.name or "voice not known"
    return f"{name} · {voice.language}" if voice.language else name
