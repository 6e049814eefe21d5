"""What is usual for a voice, learned from the run itself, and what is not. Pure.

A level, a silence or a pace means nothing by itself: it is held against what the same
voice does in other rows. So a voice that always ends without silence, always hisses or
always clips is left alone, and the row that is unlike the others is not. Statistics are
those of the half of all rows that are most alike, widened until they would hold plain
speech: other rows may be damaged in any way, in up to half of them.

``suspect`` means that a person should listen. ``fail`` means that this is surely not the
script, or surely damaged: it costs an attempt, and so it takes more than one sign of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log10
from typing import Any, NamedTuple

import numpy as np

from batchtts.model import Judgement, Measures
from batchtts.review.units import Units, count

#: Model, voice and language; whatever else makes rows alike.
Key = tuple[str, ...]

#: Utterances before a voice is known, and those that are remembered.
FEW = 20
MANY = 512
_VOICES = 256

#: Units of plain speech in a second, at the least and at the most, while nothing is known.
_SLOWEST, _FASTEST = 4.0, 35.0
_GRACE_S = 1.0
_GRACE_UNITS = 12.0

#: An utterance has so much to it that no voice says faster.
_HEAD_S = 0.3
_HEAD_UNITS = 3.0
_PRIOR = 3.0  # what that is worth, in utterances
#: The pace of one voice varies by this at the least.
_LEAST_PACE = 0.04
#: Outliers are farther from the rest than that, in standard deviations, and without them
#: the rest looks more alike than it is.
_FAR, _TRIMMED = 2.2, 1.13
#: What so many do is usual, however far it is from what most do.
_MANY_DO = 0.12

_Floats = np.ndarray[Any, np.dtype[np.float64]]


class Band(NamedTuple):
    """Seconds of speech without its pauses that are nothing unusual."""

    low_s: float
    high_s: float


class _Sign(NamedTuple):
    """What is looked at, and how far from the usual it has to be to mean something.

    Attributes:
        side: 1 where more is worse, -1 where less is.
        sigmas, least: What makes it suspect, both: standard deviations, and as a number.
        surely: What makes it fail, as a number; never, if None.
    """

    reason: str
    place: int
    side: int
    sigmas: float
    least: float
    surely: float | None


#: So many different signs are no chance.
_SIGNS_OF_DAMAGE = 3

_LEAD, _TAIL, _GAP, _LEVEL, _FLOOR, _END, _TOP, _DC, _HOLES, _CLICK = range(10)

_SIGNS = (
    _Sign("dropouts", _HOLES, 1, 6, 1, 3),
    _Sign("clipped", _TOP, 1, 6, 0.7, 1.5),
    _Sign("noisy", _FLOOR, 1, 6, 10, 20),
    _Sign("splice", _CLICK, 1, 4, 1.5, None),
    _Sign("long_gap", _GAP, 1, 6, 0.8, None),
    _Sign("long_tail", _TAIL, 1, 6, 0.5, None),
    _Sign("long_lead", _LEAD, 1, 6, 0.5, None),
    _Sign("quiet", _LEVEL, -1, 6, 9, None),
    _Sign("loud", _LEVEL, 1, 6, 9, None),
    _Sign("dc", _DC, 1, 6, 0.005, None),
)

#: Every reason that there may be.
SIGNS = frozenset({*(it.reason for it in _SIGNS), "cut_end", "too_short", "too_long"})

#: The end is in speech if it is so loud against the rest, dB, ...
_LOUD_END_DB = -22.0
#: ... and so much louder than ends usually are.
_LOUDER_END_DB = 15.0
#: But where there is noise all along, there is noise at the end.
_OUT_OF_NOISE_DB = 6.0

#: It is cut, too, if much of the silence that is usually there is missing.
_SHORT_TAIL, _SHORTER_TAIL_S = 0.25, 0.12

#: Noise that is so far below speech is none.
_INAUDIBLE_DB = -45.0
#: There is silence to be heard in so much speech, or in what is usually around it.
_SPEECH_S, _SILENCE_S = 2.0, 0.1

#: So much shorter or longer are silences that are played at another rate, at the least.
_STRETCHED = 0.15

#: Of the time that a script should take: less, or more, is surely not all of it, or something else.
_SURELY_SHORT, _SURELY_LONG = 0.4, 2.5
_SURELY_S = 1.0
_ODD_SIGMAS, _STRETCHED_SIGMAS, _SIGMAS, _SURE_SIGMAS = 1.3, 2.0, 3.5, 8.0
#: What is said for a digit may take that much longer or shorter, as a share.
_LOOSE = 0.3


@dataclass(frozen=True, slots=True)
class _Usual:
    """What is usual: of each sign, and of the pace as a line of seconds over units.

    Attributes:
        lows, highs: Of each sign; some rows in a hundred are beyond them.
        sigmas: The standard deviation of those that are most alike.
        spread: Of the pace, as a share of the seconds that a script and its beginning take.
    """

    lows: Sequence[float]
    highs: Sequence[float]
    sigmas: Sequence[float]
    base_s: float
    unit_s: float
    spread: float

    def expected_s(self, units: float) -> float:
        return max(self.base_s + self.unit_s * units, 0.0)

    def sigma_s(self, units: float) -> float:
        return self.spread * (self.expected_s(units) + _HEAD_S)


@dataclass(slots=True)
class _Learned:
    """The latest utterances of one voice."""

    rows: _Floats = field(default_factory=lambda: np.empty((FEW, 12)))
    count: int = 0
    fitted: int = 0
    usual: _Usual | None = None

    def add(self, row: Sequence[float]) -> None:
        if self.count == len(self.rows) < MANY:
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])[:MANY]
        self.rows[self.count % len(self.rows)] = row
        self.count += 1
        if self.count >= min(max(FEW, self.fitted * 1.5), self.fitted + 128):
            self.fit()

    def fit(self) -> None:
        """Find out what is usual."""
        rows = self.rows[: self.count]
        self.fitted = self.count
        low, high = np.quantile(rows[:, 2:], (_MANY_DO, 1 - _MANY_DO), axis=0).tolist()
        sigmas = [_middle(column)[1] for column in rows[:, 2:].T]
        self.usual = _Usual(low, high, sigmas, *_pace(rows[:, 0], rows[:, 1]))


class Norms:
    """What is usual in one run, for each voice."""

    def __init__(self) -> None:
        self._learned: OrderedDict[Key, _Learned] = OrderedDict()

    def learn(self, key: Key, script: str, speed: float, measures: Measures) -> None:
        """Take an utterance for one of what this voice does.

        Args:
            key: What its like have in common; each speed is another matter still, for
                some providers care little for it.
        """
        said = count(script, key[-1] if key else "")
        self._of(key, speed).add((said.all, _voiced_s(measures), *_signs(measures)))

    def judge(self, key: Key, script: str, speed: float, measures: Measures) -> Judgement:
        """Hold an utterance against what is known so far."""
        said = count(script, key[-1] if key else "")
        learned = self._learned.get((*key, f"{speed:g}"))
        if learned is None or learned.usual is None:
            return _judge_unknown(said, speed, measures)
        return _judge(learned.usual, said, measures)

    def learn_all(self, rows: Iterable[tuple[Key, str, float, Measures]]) -> None:
        """Learn from a whole corpus before any of it is judged."""
        for row in rows:
            self.learn(*row)
        for learned in self._learned.values():
            if learned.count >= FEW:
                learned.fit()

    def band(self, key: Key, units: float, speed: float = 1.0) -> Band:
        """Return how long so many units may take, pauses left out."""
        learned = self._learned.get((*key, f"{speed:g}"))
        if learned is None or learned.usual is None:
            return _wide(units, speed)
        usual = learned.usual
        around = _SIGMAS * usual.sigma_s(units)
        expected_s = usual.expected_s(units)
        return Band(max(expected_s - around, 0.0), expected_s + around)

    def _of(self, key: Key, speed: float) -> _Learned:
        whole = (*key, f"{speed:g}")
        learned = self._learned.get(whole)
        if learned is None:
            learned = self._learned[whole] = _Learned()
            if len(self._learned) > _VOICES:
                self._learned.popitem(last=False)
        else:
            self._learned.move_to_end(whole)
        return learned


def _voiced_s(measures: Measures) -> float:
    return max(measures.speech_s - measures.pause_s, 0.0)


def _signs(measures: Measures) -> tuple[float, ...]:
    """What is held against what is usual, in the order of the places above."""
    return (
        measures.lead_s,
        measures.tail_s,
        measures.gap_s,
        measures.level_dbfs,
        max(measures.floor_dbfs - measures.level_dbfs, _INAUDIBLE_DB),
        max(measures.end_dbfs - measures.level_dbfs, -60.0),
        log10(measures.clipped + 3e-4),
        abs(measures.dc),
        float(measures.dropouts),
        measures.click,
    )


def _wide(units: float, speed: float) -> Band:
    """What no voice is out of, as far as is known."""
    low_s = max(units - _GRACE_UNITS, 0.0) / _FASTEST / max(speed, 1.0)
    return Band(low_s, _GRACE_S + (units + _GRACE_UNITS) / _SLOWEST / min(speed, 1.0))


def _judge_unknown(said: Units, speed: float, measures: Measures) -> Judgement:
    """Before a voice is known nothing is sure."""
    reasons = []
    band, voiced_s = _wide(said.all, speed), _voiced_s(measures)
    if voiced_s < band.low_s * (1 - _LOOSE * said.loose / max(said.all, 1.0)):
        reasons.append("too_short")
    elif voiced_s > band.high_s:
        reasons.append("too_long")
    if measures.dropouts:
        reasons.append("dropouts")
    return Judgement("suspect" if reasons else "pass", tuple(reasons))


def _judge(usual: _Usual, said: Units, measures: Measures) -> Judgement:
    fails, suspects = list[str](), list[str]()
    values = _signs(measures)
    is_odd = _judge_pace(usual, said, measures, fails, suspects)
    end, low_tail_s = values[_END], usual.lows[_TAIL]
    is_loud = end > max(_LOUD_END_DB, usual.highs[_END] + _LOUDER_END_DB)
    is_loud &= measures.end_dbfs > measures.floor_dbfs + _OUT_OF_NOISE_DB
    is_short = measures.tail_s < min(low_tail_s * _SHORT_TAIL, low_tail_s - _SHORTER_TAIL_S)
    if is_loud or is_short:
        (fails if is_loud and is_short else suspects).append("cut_end")
    for sign in _SIGNS:
        value, place = values[sign.place], sign.place
        away = value - usual.highs[place] if sign.side > 0 else usual.lows[place] - value
        least = max(sign.least, sign.sigmas * usual.sigmas[place])
        if away < (least / 2 if place == _CLICK and is_odd else least):
            continue
        if place == _FLOOR and not _has_silence(usual, measures):
            continue
        is_sure = sign.surely is not None and away >= max(
            sign.surely, 2 * sign.sigmas * usual.sigmas[place]
        )
        (fails if is_sure else suspects).append(sign.reason)
    if not fails and not suspects:
        return Judgement()
    # The gravest come first.
    reasons = tuple(dict.fromkeys((*fails, *suspects)))
    is_sure = bool(fails) or len(reasons) >= _SIGNS_OF_DAMAGE
    return Judgement("fail" if is_sure else "suspect", reasons)


def _silences_are(usual: _Usual, measures: Measures, side: int) -> bool:
    """Whether both silences around it are unusual: shorter if *side* is -1, longer if it is 1.

    So they are where all of it is played at another rate.
    """
    around = ((measures.lead_s, _LEAD), (measures.tail_s, _TAIL))
    for silence_s, place in around:
        edge_s = usual.highs[place] if side > 0 else usual.lows[place]
        away_s = (silence_s - edge_s) * side
        if away_s < max(_STRETCHED * edge_s, _SIGMAS * usual.sigmas[place]):
            return False
    return True


def _has_silence(usual: _Usual, measures: Measures) -> bool:
    """Whether noise could be told from speech: one word has nothing but speech in it."""
    around_s = usual.lows[_LEAD] + usual.lows[_TAIL]
    return measures.speech_s > _SPEECH_S or around_s > _SILENCE_S


def _judge_pace(
    usual: _Usual, said: Units, measures: Measures, fails: list[str], suspects: list[str]
) -> bool:
    """Hold the time that was spoken against the time that the script should take.

    Returns:
        Whether it is a little odd at least: where something else is odd, too, that counts.
    """
    voiced_s = _voiced_s(measures)
    expected_s, sigma_s = usual.expected_s(said.all), usual.sigma_s(said.all)
    loose_s = _LOOSE * usual.unit_s * said.loose
    away = abs(voiced_s - expected_s) - loose_s
    is_short = voiced_s < expected_s
    is_stretched = _silences_are(usual, measures, -1 if is_short else 1)
    if away < (_STRETCHED_SIGMAS if is_stretched else _SIGMAS) * sigma_s:
        return away > _ODD_SIGMAS * sigma_s
    ratio = (voiced_s + loose_s if is_short else voiced_s - loose_s) / max(expected_s, 0.1)
    is_far = ratio < _SURELY_SHORT if is_short else ratio > _SURELY_LONG
    is_sure = is_far and away > max(_SURELY_S, _SURE_SIGMAS * sigma_s)
    (fails if is_sure else suspects).append("too_short" if is_short else "too_long")
    return True


def _middle(values: _Floats) -> tuple[float, float]:
    """Return the mean and the standard deviation of what is not far from the rest."""
    ordered = np.sort(values)
    half = (ordered.size + 1) // 2
    widths = ordered[half:] - ordered[: ordered.size - half]
    start = int(widths.argmin())
    alike = ordered[start : start + half + 1]
    middle, sigma = float(np.median(alike)), float(widths[start]) / 1.35
    for _ in range(4):
        low, high = np.searchsorted(ordered, (middle - _FAR * sigma, middle + _FAR * sigma))
        near = ordered[low:high] if high - low > half // 2 else alike
        middle, sigma = float(near.mean()), _TRIMMED * float(near.std())
    return middle, sigma


def _pace(units: _Floats, seconds: _Floats) -> tuple[float, float, float]:
    """Fit a line to what is not far from it; return its base, its slope and the spread."""
    slope, _ = _middle(np.log(np.maximum(seconds, 0.02) / (units + _HEAD_UNITS)))
    unit_s = float(np.exp(slope))
    head_s = base_s = unit_s * _HEAD_UNITS
    spread = 0.0
    for _ in range(5):
        scale = np.maximum(base_s + unit_s * units, 0.0) + _HEAD_S
        away = (seconds - base_s - unit_s * units) / scale
        middle, spread = _middle(away)
        near = np.abs(away - middle) <= max(_FAR * spread, 0.01)
        # One more equation holds the base where all scripts are of one length.
        weights = 1 / scale[near]
        left = np.column_stack([weights, weights * units[near]])
        left = np.vstack([left, [_PRIOR / _HEAD_S, 0.0]])
        right = np.append(weights * seconds[near], _PRIOR * head_s / _HEAD_S)
        found, *_ = np.linalg.lstsq(left, right, rcond=None)
        base_s, unit_s = float(found[0]), max(float(found[1]), 1e-4)
    return base_s, unit_s, max(spread, _LEAST_PACE)
