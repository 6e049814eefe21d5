"""Speech becomes text on this machine, stretch by stretch.

A recognizer is given a whole recording and yields what it hears in it; the same
recording gives the same text, always, whatever was heard before. Where there is
no speech it yields nothing: recognizers make words out of silence if one lets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from batchtts.server import engine, whisper
from batchtts.server.moonshine import Moonshine
from batchtts.server.stretches import at_rate
from batchtts.wire.embedded import EMBEDDED_VOICES, FASTER_WHISPER, MOONSHINE, TONE

#: The module to import for a recognizer; tone needs none.
MODULES = {MOONSHINE: "moonshine_voice", FASTER_WHISPER: "faster_whisper"}


class Ear(Protocol):
    """One way to hear. Not thread-safe."""

    name: str

    def hear(self, pcm: bytes, sample_rate_hz: int, language: str = "") -> Iterator[str]:
        """Yield what is said, in parts that join to the whole text.

        Args:
            pcm: mono s16le, whole samples.
            language: BCP 47 tag; those that know one language do not ask.
        """
        ...


def load(name: str, model: str | None = None) -> Ear:
    """Return the recognizer of that name, ready to hear.

    Args:
        model: A directory, or a name on the hub, for one that has no model of its own.

    Raises:
        ImportError: It is not installed.
    """
    ears: dict[str, Callable[[], Ear]] = {
        MOONSHINE: Moonshine,
        FASTER_WHISPER: lambda: whisper.Whisper(model or whisper.DEFAULT_MODEL),
        TONE: Tone,
    }
    return ears[name]()


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

    def hear(self, pcm: bytes, sample_rate_hz: int, language: str = "") -> Iterator[str]:
        samples = at_rate(pcm, sample_rate_hz, engine.SAMPLE_RATE_HZ)
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
