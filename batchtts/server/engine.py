"""Text becomes speech on this machine: mono s16le PCM at 24 kHz, piece by piece.

Engines leave out what they cannot read, and say nothing about it. Here that is
an error: whatever comes out of `speak` is the whole text, or CannotSpeak is
raised. The same text, voice, speed and seed give the same samples, always.
"""

from __future__ import annotations

import functools
import os
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import numpy as np

from batchtts.model import Voice
from batchtts.wire.embedded import HIBARI, NANOTTS, TONE

SAMPLE_RATE_HZ = 24_000

#: The module to import for an engine; tone needs none.
MODULES = {HIBARI: "hibari", NANOTTS: "py_nanotts"}


class CannotSpeak(ValueError):
    """The text, or a part of it, has no sound in this engine; says which part."""


class Engine(Protocol):
    """One way to make speech. Not thread-safe."""

    name: str

    def speak(self, text: str, voice: Voice, speed: float, seed: int = 0) -> Iterator[bytes]:
        """Yield the speech, a piece per sentence where the engine allows it.

        Args:
            text: What to say, all of it.
            voice: One whose model is this engine.
            speed: 1.0 is the voice's own pace, 2.0 twice as fast.
            seed: Another one is another take, of an engine that has more than one.

        Raises:
            CannotSpeak: The engine would leave out some of *text*. It may come
                after pieces, which are then worth nothing.
        """
        ...


def load(name: str) -> Engine:
    """Return the engine of that name, ready to speak.

    Raises:
        ImportError: It is not installed.
    """
    engines: dict[str, Callable[[], Engine]] = {HIBARI: Hibari, NANOTTS: Nanotts, TONE: Tone}
    return engines[name]()


class Hibari:
    """Neural speech, American English."""

    name = HIBARI

    def __init__(self) -> None:
        import hibari

        self._hibari = hibari.Hibari(threads=1)
        self._reads = functools.cache(self._has_sound)

    def speak(self, text: str, voice: Voice, speed: float, seed: int = 0) -> Iterator[bytes]:
        for sentence in self._hibari.split_sentences(legible(text, self._reads)):
            pieces = list(self._hibari.stream(sentence, speed=speed, seed=seed))
            pcm = b"".join(_s16(piece) for piece in pieces)
            if pcm:
                yield pcm
            elif has_words(sentence):
                raise CannotSpeak(f"hibari has no sound for {_short(sentence)}")

    def _has_sound(self, form: str) -> bool:
        """Probe letters inside a word: some are read alone and dropped there."""
        if form.isascii():
            return True
        if form.isalpha():
            return bool(self._hibari.g2p(f"b{form}n") != self._hibari.g2p("bn"))
        return bool(self._hibari.g2p(form))


#: Language of a voice → Pico's name for it.
_PICO = {
    "en-us": "en-US",
    "en-gb": "en-GB",
    "de": "de-DE",
    "es": "es-ES",
    "fr": "fr-FR",
    "it": "it-IT",
}


class Nanotts:
    """SVOX Pico: six languages, small and fast.

    What it says depends, in the last bits, on what the process has said before.
    So each text is spoken in a fork of a process that has never spoken. That
    wants a process with one thread: run it through `batchtts.server.process`.
    """

    name = NANOTTS

    def __init__(self) -> None:
        import py_nanotts

        self._nanotts = py_nanotts.NanoTTS()

    def speak(self, text: str, voice: Voice, speed: float, seed: int = 0) -> Iterator[bytes]:
        import soxr

        german = voice.language == "de"
        plain = _untagged(legible(text, _reads_german if german else _reads_latin))
        language = _PICO[voice.language]
        raw = _in_a_fork(lambda: self._nanotts.speak(plain, voice=language, speed=speed))
        pcm = soxr.resample(np.frombuffer(raw, "<i2"), 16_000, SAMPLE_RATE_HZ, quality="HQ")
        if not pcm.any():
            raise CannotSpeak(f"nanotts has no sound for {_short(text)}")
        yield pcm.astype("<i2").tobytes()


class Tone:
    """A whistle for every character: no speech, but every character is in the samples.

    Its pitch depends on the character and on its position, its length on the
    speed alone. A text that is cut, swapped or doubled is a different sound.
    """

    name = TONE

    PITCHES = 251  # prime, so that positions and characters do not line up
    _AT_ONCE = 64  # characters in a piece

    def speak(self, text: str, voice: Voice, speed: float, seed: int = 0) -> Iterator[bytes]:
        if not text.strip():
            raise CannotSpeak("there is nothing to say in blank text")
        whistles = _whistles(self.PITCHES, speed)
        points = np.array([ord(character) for character in text])
        pitches = (points * 7 + np.arange(len(points)) * 13) % self.PITCHES
        for start in range(0, len(pitches), self._AT_ONCE):
            yield whistles[pitches[start : start + self._AT_ONCE]].tobytes()


@functools.lru_cache(maxsize=8)
def _whistles(pitches: int, speed: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Every whistle there is, shape (pitches, frames): 60 ms at -10 dBFS, faded at both ends."""
    frames = max(round(0.060 * SAMPLE_RATE_HZ / speed), 1)
    seconds = np.arange(frames) / SAMPLE_RATE_HZ
    hertz = 200 + 12 * np.arange(pitches)[:, None]
    to_the_edge = np.minimum(seconds, seconds[::-1])
    fade = np.minimum(to_the_edge / 0.003, 1)
    peak = 32767 * 10 ** (-10 / 20)
    return cast(
        "np.ndarray[Any, np.dtype[np.int16]]",
        (peak * fade * np.sin(2 * np.pi * hertz * seconds)).astype("<i2"),
    )


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(map(str.isalnum, text))


def legible(text: str, reads: Callable[[str], bool]) -> str:
    """Return *text* with nothing in it that would be left out.

    A letter that the engine lacks gives way to its plain form (ř becomes r).
    Emoji, symbols and punctuation stay; it does not matter if they are dropped.

    Args:
        reads: Whether the engine has a sound for a letter or a number.

    Raises:
        CannotSpeak: There is nothing to say, or a character of another script.
    """
    text = unicodedata.normalize("NFC", text).translate(_CONTROLS)
    if not has_words(text):
        raise CannotSpeak(f"there is nothing to say in {_short(text)}")
    if text.isascii():
        return text
    return "".join(_readable_form(character, reads) for character in text)


#: A NUL would end the text for a library in C.
_CONTROLS = {code: " " for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}

#: Plain forms that Unicode does not give.
_PLAIN = {
    "Ł": "L",
    "ł": "l",
    "Đ": "D",
    "đ": "d",
    "ı": "i",
    "Œ": "Oe",
    "œ": "oe",
    "ʼ": "'",
    "ʻ": "'",
}


def _readable_form(character: str, reads: Callable[[str], bool]) -> str:
    if character.isascii() or unicodedata.category(character)[0] not in "LN":
        return character
    decomposed = unicodedata.normalize("NFKD", character)
    plain = "".join(part for part in decomposed if not unicodedata.combining(part))
    plain = _PLAIN.get(character, plain)
    if character == "µ" or all(map(_is_latin, plain)):
        for form in (character, plain):
            if reads(form):
                return form
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    raise CannotSpeak(f"cannot read {character!r} ({name})")


def _is_latin(character: str) -> bool:
    """Whether it is no letter at all, or one of the Latin script."""
    return unicodedata.category(character)[0] != "L" or "LATIN" in unicodedata.name(character, "")


# Pico knows Windows-1252 and drops the rest; its German has no œ.
def _reads_latin(form: str) -> bool:
    return form.encode("cp1252", "replace").decode("cp1252") == form and form != "ƒ"


def _reads_german(form: str) -> bool:
    return _reads_latin(form) and form not in "Œœ"


def _untagged(text: str) -> str:
    """Take away the power of tags: Pico obeys `<ignore>`, and `<genfile>` writes any file."""
    head, mark, tail = text.rpartition(">")
    return head.replace("<", "‹") + mark + tail


def _in_a_fork(work: Callable[[], bytes]) -> bytes:
    """Run *work* on a copy of this process, which stays as it was."""
    if not hasattr(os, "fork"):
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _work_and_exit(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise ChildProcessError(f"the fork ended with {os.waitstatus_to_exitcode(status)}")
    return result


def _work_and_exit(work: Callable[[], bytes], writing: int) -> None:
    status = 1
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(work())
        status = 0
    except BrokenPipeError:
        status = 0  # nobody listens any more
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def _s16(samples: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    return bytes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
