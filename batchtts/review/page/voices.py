"""The voices of a job as small numbers, and what each of them has come to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from batchtts.review.page.band import PACES, Band, learn
from batchtts.review.page.bins import Floats, Histograms, Ints, even
from batchtts.review.page.columns import Rows

#: More voices than that are counted as one.
MOST_VOICES = 1000
OTHERS = ("all others", "")

#: The first bin is what has no error, the last what has more errors than words.
_WER_EDGES = np.concatenate([[-0.05, 1e-9], even(0.05, 1.05, 0.05)])
_MOS_EDGES = even(1.0, 5.0, 0.1)
VERDICTS = ("pass", "suspect", "fail", "unverified")


@dataclass(frozen=True, slots=True)
class Voice:
    """What is known of a voice.

    Attributes:
        verdicts: How many rows of each verdict, as in VERDICTS.
    """

    number: int
    name: str
    language: str
    rows: int
    failed: int
    audio_s: float
    verdicts: tuple[int, ...]
    band: Band | None


@dataclass(slots=True)
class Voices:
    """Numbers voices in the order in which they are met, and counts what they did."""

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    paces: Histograms = field(default_factory=lambda: Histograms(PACES))
    wer: Histograms = field(default_factory=lambda: Histograms(_WER_EDGES))
    mos: Histograms = field(default_factory=lambda: Histograms(_MOS_EDGES))
    _sums: Floats = field(default_factory=lambda: np.zeros((0, 3 + len(VERDICTS))))

    def number(self, rows: Rows) -> Ints:
        """The number of each row's voice."""
        voices, names = rows.codes("voice")
        languages, tags = rows.codes("language")
        both = voices * len(tags) + languages
        kinds, which = np.unique(both, return_inverse=True)
        known = [self._of(names[it // len(tags)], tags[it % len(tags)]) for it in kinds.tolist()]
        numbers: Ints = np.array(known, np.int64)[which]
        return numbers

    def _of(self, name: str, language: str) -> int:
        key = (name, language)
        if key not in self.numbers and len(self.numbers) >= MOST_VOICES:
            key = OTHERS
        return self.numbers.setdefault(key, len(self.numbers))

    def add(self, rows: Rows, numbers: Ints, is_done: Ints, audio_s: Floats) -> None:
        """Count rows."""
        is_failed = rows.are("status", "failed")
        weights = [is_done, is_failed, np.nan_to_num(audio_s) * is_done]
        weights += [rows.are("verdict", verdict) * is_done for verdict in VERDICTS]
        count = len(self.numbers)
        found = [np.bincount(numbers, it, minlength=count) for it in weights]
        more = count - len(self._sums)
        self._sums = np.pad(self._sums, ((0, more), (0, 0))) + np.stack(found, axis=1)

    def known(self) -> list[Voice]:
        """All that spoke or should have, the most heard first."""
        voices = []
        for (name, language), number in self.numbers.items():
            done, failed, audio_s, *verdicts = self._sums[number].tolist()
            counts = tuple(map(int, verdicts))
            band = learn(self.paces.of(number))
            voice = Voice(number, name, language, int(done), int(failed), audio_s, counts, band)
            if voice.rows or voice.failed:
                voices.append(voice)
        return sorted(voices, key=lambda it: (-it.audio_s, -it.failed, it.number))
