"""How loud an audiobook is to be, and what is to be done to a chapter for that. Pure.

Each chapter is brought to the target on its own, in one file as well as in many. A gain
for the whole book would keep what a chapter is louder or softer than another; but in
speech that a machine made nobody meant that: another provider or day made it, and a
listener has to reach for the knob. Of one that has next to nothing in it, a title page,
loudness says nothing, and it gets the gain of the book. Within a chapter no voice is
levelled: there the difference between a whisper and a shout is its own.

Where the peaks allow it, a chapter is only multiplied. Where they do not, a limiter takes
them down: at four times the sample rate, where a target counts those between the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import Literal

from batchtts.errors import UsageError
from batchtts.export.orders import PEAK_STEP_DB, Figures, Measured

_TOLERANCE_DB = 0.5
#: Of speech that is shorter the loudness says nothing: EBU R128 takes as much at a time.
_SHORT_S = 3.0
_GUESSES = 4
#: A chapter of which nothing can be heard is not made louder than by this.
_MOST_GAIN_DB = 40.0
_CORRECTION_DB = 0.1
#: What the limiter may be set to.
_LOWEST_CEILING_DBFS = -20.0

_SOFTEST_LUFS, _LOUDEST_LUFS = -40.0, -8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What every chapter is to be like.

    Attributes:
        name: As the user says it.
        level: What is brought to *aim_db*: loudness after EBU R128, or the RMS level.
        low_db, high_db: Between these the level is accepted.
        ceiling_db: No peak is above.
        of_samples: Whether peaks are those of samples; otherwise true peaks.
        noise_floor_db: What the softest half second must not be above; told only.
        head_s, tail_s: From, to: how long is silent at both ends of a file.
    """

    name: str
    level: Literal["lufs", "rms"]
    aim_db: float
    low_db: float
    high_db: float
    ceiling_db: float
    of_samples: bool = False
    noise_floor_db: float | None = None
    head_s: tuple[float, float] | None = None
    tail_s: tuple[float, float] | None = None

    def __str__(self) -> str:
        unit = "LUFS" if self.level == "lufs" else "dB RMS"
        peak = "dB" if self.of_samples else "dBTP"
        return f"{self.aim_db:g} {unit}, peaks up to {self.ceiling_db:g} {peak}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is done to a chapter.

    Attributes:
        ceiling_dbfs: Of the limiter; None if it is only multiplied.
    """

    gain_db: float
    ceiling_dbfs: float | None = None


#: What https://www.acx.com/help/acx-audio-submission-requirements asks for.
ACX = Target(
    name="acx",
    level="rms",
    aim_db=-20.0,
    low_db=-23.0,
    high_db=-18.0,
    ceiling_db=-3.0,
    of_samples=True,
    noise_floor_db=-60.0,
    head_s=(0.5, 1.0),
    tail_s=(1.0, 5.0),
)


def of_loudness(lufs: float, name: str | None = None) -> Target:
    """A target in LUFS, with true peaks up to -1 dB."""
    return Target(
        name=name or f"{lufs:g}",
        level="lufs",
        aim_db=lufs,
        low_db=lufs - _TOLERANCE_DB,
        high_db=lufs + _TOLERANCE_DB,
        ceiling_db=-1.0,
    )


PODCAST = of_loudness(-16.0, "podcast")


def parse_target(text: str) -> Target:
    """The target that a user names.

    Raises:
        UsageError: there is none of that name.
    """
    named = {"acx": ACX, "podcast": PODCAST}.get(text.strip().lower())
    if named is not None:
        return named
    try:
        lufs = float(text.strip().lower().removesuffix("lufs"))
    except ValueError:
        raise UsageError(f"no target {text!r}: acx, podcast or a loudness such as -18") from None
    if not _SOFTEST_LUFS <= lufs <= _LOUDEST_LUFS:
        allowed = f"from {_SOFTEST_LUFS:g} to {_LOUDEST_LUFS:g}"
        raise UsageError(f"a target of {lufs:g} LUFS: it goes {allowed}")
    return of_loudness(lufs)


def level_db(figures: Figures, target: Target) -> float | None:
    """The level that the target is about; None if nothing can be heard."""
    if target.level == "lufs":
        return figures.lufs
    return figures.rms_dbfs if figures.head_s < figures.duration_s else None


def peak_db(figures: Figures, target: Target) -> float:
    """The peak that the target is about."""
    if target.of_samples or figures.true_peak_dbfs is None:
        return figures.peak_dbfs
    return figures.true_peak_dbfs


def first_settings(
    measured: Sequence[Measured], target: Target, *, margin_db: float
) -> list[Setting]:
    """What is done to chapters that measure so; one that is too short has the gain of the book."""
    whole = _book_db([each.whole for each in measured], target)
    return [
        _first(each, whole if is_short(each.whole, target) else None, target, margin_db)
        for each in measured
    ]


def is_short(figures: Figures, target: Target) -> bool:
    """Whether there is too little of a chapter to say how loud it is; RMS can always be told."""
    heard_s = figures.duration_s - figures.head_s - figures.tail_s
    return target.level == "lufs" and 0 < heard_s < _SHORT_S


def _book_db(measured: Sequence[Figures], target: Target) -> float | None:
    """The level of all that can be heard, roughly."""
    levels = [(each.duration_s, level_db(each, target)) for each in measured]
    heard = [(duration_s, level) for duration_s, level in levels if level is not None]
    power = sum(duration_s * 10 ** (level / 10) for duration_s, level in heard)
    return 10 * log10(power / sum(duration_s for duration_s, _ in heard)) if heard else None


def _first(measured: Measured, book_db: float | None, target: Target, margin_db: float) -> Setting:
    figures = measured.whole
    level = level_db(figures, target) if book_db is None else book_db
    gain = 0.0 if level is None else min(target.aim_db - level, _MOST_GAIN_DB)
    ceiling = target.ceiling_db - margin_db
    if figures.peak_dbfs + gain <= ceiling:
        return Setting(round(gain, 3))
    if book_db is None:
        wanted = gain
        for _ in range(_GUESSES):
            gain = min(wanted + _taken_db(measured.powers, gain, ceiling), _MOST_GAIN_DB)
    return Setting(round(gain, 3), ceiling)


def _taken_db(powers: Sequence[float], gain_db: float, ceiling_dbfs: float) -> float:
    """About how much softer a limiter makes it all."""
    left = 0.0
    for step, power in enumerate(powers):
        above = gain_db - step * PEAK_STEP_DB - ceiling_dbfs
        left += power * 10 ** (-max(0.0, above) / 10)
    return 10 * log10(sum(powers) / left) if left else 0.0


def corrected(
    setting: Setting, figures: Figures, target: Target, *, margin_db: float
) -> Setting | None:
    """What to do instead, as the file that was made so measures; None if it is as it should be.

    The ceiling goes down by what a peak is too high, the gain up by what the level is
    too low.
    """
    level = level_db(figures, target)
    off = 0.0 if level is None or is_short(figures, target) else target.aim_db - level
    above = peak_db(figures, target) - target.ceiling_db
    if abs(off) <= _TOLERANCE_DB and above <= 0:
        return None
    gain = round(min(setting.gain_db + off, _MOST_GAIN_DB), 3)
    ceiling = setting.ceiling_dbfs
    if above > 0:
        now = target.ceiling_db - margin_db if ceiling is None else ceiling - above - _CORRECTION_DB
        ceiling = round(max(now, _LOWEST_CEILING_DBFS), 3)
    made = replace(setting, gain_db=gain, ceiling_dbfs=ceiling)
    return None if made == setting else made


def wrong_levels(figures: Figures, target: Target) -> list[str]:
    """What of a chapter is not as the target asks, each in words."""
    found = []
    level, peak = level_db(figures, target), peak_db(figures, target)
    unit = "LUFS" if target.level == "lufs" else "dB RMS"
    if is_short(figures, target):
        pass
    elif level is None:
        found.append("nothing in it can be heard, or too little to be measured")
    elif not target.low_db <= level <= target.high_db:
        asked = f"from {target.low_db:g} to {target.high_db:g} are asked for"
        found.append(f"{level:.1f} {unit}, where {asked}")
    if peak > target.ceiling_db:
        found.append(f"peaks of {peak:.1f} dB, where {target.ceiling_db:g} is the most")
    floor = target.noise_floor_db
    if floor is not None and figures.noise_floor_dbfs > floor:
        told = f"a noise floor of {figures.noise_floor_dbfs:.1f} dB"
        found.append(f"{told}, where {floor:g} is the most")
    return found


def wrong_ends(figures: Figures, target: Target) -> list[str]:
    """What of the ends of a file is not as the target asks, each in words."""
    head = _wrong_span("head", figures.head_s, target.head_s)
    return head + _wrong_span("tail", figures.tail_s, target.tail_s)


def _wrong_span(name: str, seconds: float, asked: tuple[float, float] | None) -> list[str]:
    if asked is None or asked[0] <= seconds <= asked[1]:
        return []
    return [f"a {name} of {seconds:.2f} s, where {asked[0]:g} to {asked[1]:g} s are asked for"]
