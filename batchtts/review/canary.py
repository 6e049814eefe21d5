"""Does a provider still sound as it did? One script, spoken in every run, is compared. Pure.

A portrait is what is kept of a take: how long, how loud, how natural it was, and its
average spectrum, which is another for another voice, another model or another codec.
What is usual is the median of earlier takes with the same fingerprint; how far from it
is still usual is learned from them too, and never less than what nobody would hear. So
an engine that repeats itself is never told of, and one that varies only while little
of it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from batchtts.audio.edges import find_edges
from batchtts.audio.pcm import FULL_SCALE, samples_of

What = Literal["duration", "level", "mos", "spectrum"]

#: So much is never a drift: of the usual duration, in dB, in points, in dB over all bands.
DURATION_SHARE = 0.04
LEVEL_DB = 1.5
MOS_POINTS = 0.3
SPECTRUM_DB = 2.0

#: Nor is what is within so many standard deviations, as the median deviation tells them.
_SIGMAS = 4.0
_SIGMA_OF_MAD = 1.4826
#: So many takes decide what is usual: half of them later, a new sound is the usual one.
_REMEMBERED = 20

BANDS = 24
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 11_000.0
_FRAME_S, _STEP_S = 0.025, 0.010
_SPEECH = 10 ** (-35 / 10)  # power against the loudest frame
_DEEPEST_DB = -60.0  # of a band, against all of them: above what 16 bits leave of soft speech
_SILENT_DBFS = -120.0

_Floats = np.ndarray[Any, np.dtype[np.float64]]


class Portrait(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one take of a canary.

    Attributes:
        duration_s: From the first sound to the last.
        level_dbfs: Of its speech, without the pauses.
        mos: None if nobody has judged it.
        spectrum: Average energy in bands from low to high, in dB against all of it.
        at: Seconds since the epoch.
        fingerprint: Of the script and of every setting that changes the sound.
    """

    duration_s: float
    level_dbfs: float
    mos: float | None
    spectrum: tuple[float, ...]
    at: float
    fingerprint: str


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as usual.

    Attributes:
        value: In seconds, dBFS, points or dB: what it was this time. Of a spectrum, how
            far it is from the usual one.
        usual: What it was before.
        band: How far from that it may be.
    """

    what: What
    value: float
    usual: float
    band: float

    def __str__(self) -> str:
        unit = {"duration": " s", "level": " dBFS", "mos": "", "spectrum": " dB"}[self.what]
        digits = 1 if self.what in ("level", "spectrum") else 2
        if self.what == "spectrum":
            return f"spectrum {self.value:.1f}{unit} away, at most {self.band:.1f}{unit} is usual"
        return (
            f"{self.what} {self.value:.{digits}f}{unit},"
            f" usually {self.usual:.{digits}f} ± {self.band:.{digits}f}"
        )


def portray(
    pcm: bytes, sample_rate_hz: int, *, fingerprint: str, at: float, mos: float | None = None
) -> Portrait:
    """Return what is to be kept of a take.

    Args:
        pcm: mono s16le samples.
        fingerprint: See `Portrait`.
        at: Seconds since the epoch.

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    samples = samples_of(pcm) / FULL_SCALE
    speech = find_edges(pcm, sample_rate_hz).audible
    powers = _frame_spectra(samples[speech.start : speech.end], sample_rate_hz)
    totals = powers.sum(axis=1)
    spoken = powers[totals > _SPEECH * totals.max(initial=0.0)]
    return Portrait(
        duration_s=round((speech.end - speech.start) / sample_rate_hz, 3),
        level_dbfs=round(_decibels(spoken.sum() / max(len(spoken), 1), _SILENT_DBFS), 2),
        mos=None if mos is None else round(mos, 3),
        spectrum=tuple(_spectrum(spoken, sample_rate_hz)),
        at=at,
        fingerprint=fingerprint,
    )


def drifts(history: Sequence[Portrait], now: Portrait) -> tuple[Drift, ...]:
    """Return what is not as usual in a take.

    Args:
        history: Earlier takes, the oldest first; those of another fingerprint count for
            nothing. If there is none of this one, all is as usual.
    """
    takes = [each for each in history if each.fingerprint == now.fingerprint][-_REMEMBERED:]
    if not takes:
        return ()
    durations = [each.duration_s for each in takes]
    found = [
        _drift("duration", durations, now.duration_s, DURATION_SHARE * float(np.median(durations))),
        _drift("level", [each.level_dbfs for each in takes], now.level_dbfs, LEVEL_DB),
        _drift_of_spectrum([each.spectrum for each in takes], now.spectrum),
    ]
    scores = [each.mos for each in takes if each.mos is not None]
    if scores and now.mos is not None:
        found.append(_drift("mos", scores, now.mos, MOS_POINTS))
    return tuple(each for each in found if each is not None)


def _drift(what: What, earlier: Sequence[float], value: float, floor: float) -> Drift | None:
    usual = float(np.median(earlier))
    band = max(floor, _SIGMAS * _sigma(earlier))
    if abs(value - usual) <= band:
        return None
    return Drift(what=what, value=value, usual=round(usual, 3), band=round(band, 3))


def _drift_of_spectrum(
    earlier: Sequence[tuple[float, ...]], now: tuple[float, ...]
) -> Drift | None:
    if any(len(each) != len(now) for each in earlier):
        return None  # an older version has drawn them
    usual = np.median(np.array(earlier), axis=0)
    distances = [_distance(np.array(each), usual) for each in earlier]
    typical = float(np.median(distances))
    band = max(SPECTRUM_DB, typical + _SIGMAS * _sigma(distances))
    value = _distance(np.array(now), usual)
    if value <= band:
        return None
    return Drift(
        what="spectrum", value=round(value, 2), usual=round(typical, 2), band=round(band, 2)
    )


def _sigma(values: Sequence[float]) -> float:
    """Standard deviation, as the median of the deviations tells it: one outlier is no matter."""
    return _SIGMA_OF_MAD * float(np.median(np.abs(np.array(values) - np.median(values))))


def _distance(one: _Floats, other: _Floats) -> float:
    return float(np.sqrt(np.mean(np.square(one - other))))


def _frame_spectra(samples: _Floats, sample_rate_hz: int) -> _Floats:
    """Return the power spectrum of each frame; their sums are mean squares of its samples."""
    size = max(round(_FRAME_S * sample_rate_hz), 2)
    step = max(round(_STEP_S * sample_rate_hz), 1)
    padded = np.pad(samples, (0, max(size - len(samples), 0)))
    taper = np.hanning(size + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * taper
    powers = np.square(np.abs(np.fft.rfft(frames))) * 2
    spectra: _Floats = powers / (size * np.square(taper).sum())
    return spectra


def _spectrum(powers: _Floats, sample_rate_hz: int) -> list[float]:
    """Return the mean energy of bands that are equally wide to the ear."""
    hertz = np.linspace(0, sample_rate_hz / 2, powers.shape[1])
    edges = _hertz(np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.clip(
        np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)), 0, 1
    )
    totals = powers.sum(axis=1, keepdims=True)
    shares = (powers @ weights.T) / np.maximum(totals, 1e-30)
    decibels = 10 * np.log10(np.maximum(shares, 10 ** (_DEEPEST_DB / 10)))
    means = decibels.mean(axis=0) if len(decibels) else np.full(BANDS, _DEEPEST_DB)
    return [round(float(each), 2) for each in means]


def _decibels(power: float, least: float) -> float:
    return max(10 * float(np.log10(power)), least) if power > 0 else least


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: _Floats) -> _Floats:
    hertz: _Floats = 700 * (10 ** (mel / 2595) - 1)
    return hertz
