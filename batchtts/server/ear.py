"""Speech becomes text on this machine, stretch by stretch.

A recognizer is given a whole recording and yields what it hears in it; the same
recording gives the same text, always, whatever was heard before. Where there is
no speech it yields nothing: recognizers make words out of silence if one lets them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from batchtts.server import engine
from batchtts.wire.embedded import EMBEDDED_VOICES, MOONSHINE, TONE

#: The module to import for a recognizer; tone needs none.
MODULES = {MOONSHINE: "moonshine_voice"}

Samples = np.ndarray[Any, np.dtype[np.float32]]

_SILENT = 0.001  # of full scale: -60 dBFS, where nothing is amplified any more


class Ear(Protocol):
    """One way to hear. Not thread-safe."""

    name: str

    def hear(self, pcm: bytes, sample_rate_hz: int) -> Iterator[str]:
        """Yield what is said, in parts that join to the whole text.

        Args:
            pcm: mono s16le, whole samples.
        """
        ...


def load(name: str) -> Ear:
    """Return the recognizer of that name, ready to hear.

    Raises:
        ImportError: It is not installed.
    """
    ears: dict[str, Callable[[], Ear]] = {MOONSHINE: Moonshine, TONE: Tone}
    return ears[name]()


class Moonshine:
    """Moonshine tiny: English, with the model inside its wheel.

    Its own detector of speech remembers what it was given before, so it is asked
    only whether there is any speech in a stretch; where to cut is decided here.
    """

    name = MOONSHINE

    _RATE_HZ = 16_000
    _LONGEST_S = 15.0  # beyond 30 s it loses its way
    _SPEECH = "0.3"  # probability of it, in any 32 ms

    def __init__(self) -> None:
        import moonshine_voice
        from moonshine_voice.transcriber import Transcriber

        folder = Path(moonshine_voice.get_assets_path()) / "tiny-en"
        lean = {"identify_speakers": "false", "return_audio_data": "false"}

        def transcriber(**options: str) -> Any:  # noqa: ANN401  it has no types
            return Transcriber(folder, moonshine_voice.ModelArch.TINY, options=lean | options)

        self._gate = transcriber(vad_threshold=self._SPEECH, skip_transcription="true")
        # With a threshold of zero a stretch is heard as it is, from end to end.
        self._reader = transcriber(vad_threshold="0.0", vad_max_segment_duration="30.0")
        self._give_back = _memory_giver()

    def hear(self, pcm: bytes, sample_rate_hz: int) -> Iterator[str]:
        samples = _audible(_at_rate(pcm, sample_rate_hz, self._RATE_HZ))
        said = False
        for stretch in cut(samples, round(self._LONGEST_S * self._RATE_HZ)):
            # Silence before it lets the gate forget; it is blind to the last 32 ms.
            if self._lines(self._gate, _framed(stretch, 16_000, 8_000)):
                lines = self._lines(self._reader, _framed(stretch, 1_600, 3_200))
                if text := " ".join(line.text.strip() for line in lines).strip():
                    yield f" {text}" if said else text
                    said = True
            self._give_back()

    def _lines(self, transcriber: Any, samples: Samples) -> Any:  # noqa: ANN401
        return transcriber.transcribe_without_streaming(samples.tolist(), self._RATE_HZ).lines


class Tone:
    """Reads the whistles of the engine of that name: for tests, and exact.

    It knows a character by its pitch and its position, so a recording must begin
    where the text does. Characters past the first 251 of Unicode are not told apart.
    """

    name = TONE

    _AT_ONCE = 64  # characters in a part
    _LOUD = 0.05  # of full scale; a whistle peaks at 0.3

    def __init__(self) -> None:
        # Each pitch is `7 character + 13 position` modulo their number, a prime:
        # this text goes through all of them in order.
        self._count = engine.Tone.PITCHES
        alphabet = "".join(chr(self._character(pitch, pitch)) for pitch in range(self._count))
        voice = next(each for each in EMBEDDED_VOICES if each.model == TONE)
        spoken = b"".join(engine.Tone().speak(alphabet, voice, 1.0))
        self._whistles = np.frombuffer(spoken, "<i2").reshape(self._count, -1) / np.float32(32768)

    def hear(self, pcm: bytes, sample_rate_hz: int) -> Iterator[str]:
        samples = _at_rate(pcm, sample_rate_hz, engine.SAMPLE_RATE_HZ)
        size = self._whistles.shape[1]
        heard = samples[: len(samples) // size * size].reshape(-1, size)
        for start in range(0, len(heard), self._AT_ONCE):
            some = heard[start : start + self._AT_ONCE]
            pitches = (some @ self._whistles.T).argmax(axis=1)
            loud = np.abs(some).max(axis=1) > self._LOUD
            text = "".join(
                chr(self._character(int(pitch), start + place))
                for place, pitch in enumerate(pitches)
                if loud[place]
            )
            if text:
                yield text

    def _character(self, pitch: int, position: int) -> int:
        return (pitch - 13 * position) * pow(7, -1, self._count) % self._count


def cut(samples: Samples, longest: int) -> Iterator[Samples]:
    """Cut at the quietest places, so that no stretch is longer than that many samples.

    A cut is made in the last two fifths of what a stretch may be.
    """
    bounds = [0]
    while len(samples) - bounds[-1] > longest:
        begin = bounds[-1] + longest * 3 // 5
        bounds.append(begin + _quietest(samples[begin : bounds[-1] + longest]))
    for start, end in pairwise([*bounds, len(samples)]):
        yield samples[start:end]


def _quietest(samples: Samples) -> int:
    """The middle of the quietest tenth of a second, looked for in steps of a hundredth."""
    step = 160
    power = np.add.reduceat(np.square(samples, dtype=np.float64), range(0, len(samples), step))
    around = np.convolve(power, np.ones(10), "same")
    return min(int(around.argmin()) * step + step // 2, len(samples) - 1)


def _at_rate(pcm: bytes, from_hz: int, to_hz: int) -> Samples:
    import soxr

    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    if from_hz == to_hz or not samples.size:
        return samples
    resampled: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ")
    return resampled


def _audible(samples: Samples) -> Samples:
    """Make a quiet recording as loud as others, unless there is nothing in it."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < _SILENT:
        return samples[:0]
    return samples * np.float32(0.5 / peak)


def _framed(samples: Samples, before: int, after: int) -> Samples:
    """With so many samples of silence on either side."""
    return np.pad(samples, (before, after))


def _memory_giver() -> Callable[[], object]:
    """What gives memory back to the system: the C library of Linux keeps 8 MB of each stretch."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: trim(0)) if trim else (lambda: None)
