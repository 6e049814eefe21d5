"""The first pass over the results: sums, histograms, and when there was something to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.review.page.band import paces
from batchtts.review.page.bins import Floats, Histograms, logarithmic
from batchtts.review.page.columns import Results, Rows
from batchtts.review.page.timeline import Occupancy
from batchtts.review.page.voices import Voices

_SPANS = logarithmic(0.001, 100_000.0, 200)
_LENGTHS = logarithmic(1.0, 10_000_000.0, 24)
_DURATIONS = logarithmic(0.01, 1_000_000.0, 24)
_MOST_PATTERNS = 2000  # of messages that are kept apart

#: Words with a digit in them may be of one request; without them messages are alike.
_PARTICULAR = r"[\w.:/-]*\d[\w.:/-]*"

_NAMES = (
    *("status", "voice", "language", "provider", "model", "text_chars", "audio_s", "speech_s"),
    *(
        "ttfa_s",
        "wall_s",
        "synth_s",
        "rtf",
        "attempts",
        "segments",
        "refusals",
        "takes",
        "cost_usd",
    ),
    *("characters_sent", "started_at", "finished_at", "verdict", "wer", "per", "mos", "same_as"),
    *("error_code", "error_message", "failures", "reasons"),
)


@dataclass(slots=True)
class Messages:
    """Why something failed: by code, and by what was said."""

    by_code: Counter[str] = field(default_factory=Counter)
    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    _examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, codes: pa.Array, messages: pa.Array) -> None:
        """Count failures."""
        codes = pc.fill_null(codes, "not told")
        alike = pc.replace_substring_regex(pc.fill_null(messages, ""), _PARTICULAR, "…")
        whole = pa.table({"code": codes, "alike": alike, "said": messages})
        groups = whole.group_by(["code", "alike"])
        for found in groups.aggregate([([], "count_all"), ("said", "min")]).to_pylist():
            pair = (found["code"], found["alike"])
            self.by_code[found["code"]] += found["count_all"]
            self.said[pair] += found["count_all"]
            self._examples.setdefault(pair, found["said_min"] or "")
        if len(self.said) > 2 * _MOST_PATTERNS:
            self.said = Counter(dict(self.said.most_common(_MOST_PATTERNS)))
            self._examples = {pair: self._examples[pair] for pair in self.said}

    def of(self, code: str, most: int) -> list[tuple[str, int]]:
        """What was said most often: one of the messages that are alike, and how many are."""
        found = ((pair, count) for pair, count in self.said.items() if pair[0] == code)
        usual = sorted(found, key=lambda it: -it[1])[:most]
        return [(self._examples[pair], count) for pair, count in usual if self._examples[pair]]


@dataclass(slots=True)
class Survey:
    """What all rows come to.

    Attributes:
        known: Columns in which anything is told at all.
        unpriced: Rows that were sent and whose price is not known.
        retries, refusals: Attempts that failed, requests that were not taken.
        synth_s, heard_s: Of rows of which both are known; the first per the second is the RTF.
    """

    status: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    providers: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    audio_s: float = 0.0
    characters: float = 0.0
    cost_usd: float = 0.0
    unpriced: int = 0
    retries: int = 0
    retried_rows: int = 0
    refusals: int = 0
    retakes: int = 0
    shared: int = 0
    synth_s: float = 0.0
    heard_s: float = 0.0
    voices: Voices = field(default_factory=Voices)
    failed_rows: Messages = field(default_factory=Messages)
    failed_attempts: Messages = field(default_factory=Messages)
    occupancy: Occupancy = field(default_factory=Occupancy)
    ttfa: Histograms = field(default_factory=lambda: Histograms(_SPANS))
    rtf: Histograms = field(default_factory=lambda: Histograms(_SPANS))
    wall: Histograms = field(default_factory=lambda: Histograms(_SPANS))
    lengths: Histograms = field(default_factory=lambda: Histograms(_LENGTHS))
    durations: Histograms = field(default_factory=lambda: Histograms(_DURATIONS))

    @property
    def rows(self) -> int:
        """All that the manifest has."""
        return self.status.total()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        self.known.update(name for name in _NAMES if rows.column(name).null_count < len(rows))
        for name, counter in (("status", self.status), ("provider", self.providers)):
            _count(rows.column(name), counter)
        is_done = rows.are("status", "done")
        _count(pc.filter(rows.column("verdict"), pa.array(is_done)), self.verdicts)
        _count(pc.list_flatten(rows.column("reasons")), self.reasons)
        self._add_spans(rows, is_done)
        self._add_voices(rows, is_done)
        self._add_troubles(rows)

    def _add_spans(self, rows: Rows, is_done: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        begins, ends = rows.times("started_at"), rows.times("finished_at")
        self.occupancy.add(begins, ends)
        self.rtf.add(rows.floats("rtf")[is_done])
        self.ttfa.add(rows.floats("ttfa_s"))
        self.wall.add(rows.floats("wall_s")[is_done])
        costs = rows.floats("cost_usd")
        sent = np.nan_to_num(rows.floats("characters_sent"))
        self.cost_usd += float(np.nansum(costs))
        self.unpriced += int((np.isnan(costs) & (sent > 0)).sum())
        synth_s, audio_s = rows.floats("synth_s"), rows.floats("audio_s")
        is_timed = np.isfinite(synth_s) & np.isfinite(audio_s)
        self.synth_s += float(synth_s[is_timed].sum())
        self.heard_s += float(audio_s[is_timed].sum())
        self.shared += len(rows) - rows.column("same_as").null_count

    def _add_voices(self, rows: Rows, is_done: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        audio_s, chars = rows.floats("audio_s"), rows.floats("text_chars")
        self.audio_s += float(np.nansum(audio_s[is_done]))
        self.characters += float(np.nansum(chars))
        numbers = self.voices.number(rows)
        self.voices.add(rows, numbers, is_done.astype(np.int64), audio_s)
        seconds = np.where(is_done, spoken_s(rows), np.nan)
        self.voices.paces.add(paces(seconds, chars), numbers)
        self.voices.wer.add(np.where(is_done, rows.floats("wer"), np.nan), numbers)
        self.voices.mos.add(np.where(is_done, rows.floats("mos"), np.nan), numbers)
        self.lengths.add(chars[np.isfinite(seconds) & (chars > 0)])
        self.durations.add(seconds[seconds > 0])

    def _add_troubles(self, rows: Rows) -> None:
        again = retries(rows)
        self.retries += int(again.sum())
        self.retried_rows += int((again > 0).sum())
        self.refusals += int(np.nansum(rows.floats("refusals")))
        takes = rows.floats("takes")
        self.retakes += int(np.nansum(np.maximum(takes - 1, 0)))
        is_failed = pa.array(rows.are("status", "failed"))
        codes, messages = (
            pc.filter(rows.column(name), is_failed) for name in ("error_code", "error_message")
        )
        self.failed_rows.add(codes, messages)
        failures = pc.list_flatten(rows.column("failures"))
        if len(failures):
            codes, messages = (pc.struct_field(failures, name) for name in ("code", "message"))
            self.failed_attempts.add(codes, messages)


def _count(column: pa.Array, counter: Counter[str]) -> None:
    for found in pc.value_counts(column.drop_null()).to_pylist():
        counter[found["values"]] += found["counts"]


def spoken_s(rows: Rows) -> Floats:
    """How long speech lasts in each row; with the silence around it where that is all we know."""
    speech_s = rows.floats("speech_s")
    return np.where(np.isfinite(speech_s), speech_s, rows.floats("audio_s"))


def retries(rows: Rows) -> Floats:
    """Attempts beyond the one that each segment needs."""
    return np.nan_to_num(np.maximum(rows.floats("attempts") - rows.floats("segments"), 0))


def survey(results: Results) -> Survey:
    """Read all rows once."""
    found = Survey()
    for rows in results.batches(_NAMES):
        if len(rows):
            found.add(rows)
    return found
