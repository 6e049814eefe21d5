"""The recognizers of our own server, each in its process. Moonshine is real here, where it is.

The tone recognizer reads the tone engine's whistles, so that what is heard is exact.
"""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.write import resample
from batchtts.server import process
from batchtts.server.ear import Ear, Tone, load
from batchtts.server.engine import Tone as Whistler
from batchtts.server.engine import load as load_engine
from batchtts.server.stretches import cut
from batchtts.wire.embedded import EMBEDDED_VOICES, HIBARI, MOONSHINE, TONE
from tests.test_heard import heard_share

RATE_HZ = 16_000


def whistled(text: str, rate_hz: int = RATE_HZ) -> bytes:
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == TONE)
    return resample(b"".join(Whistler().speak(text, voice, 1.0)), 24_000, rate_hz)


def hum(seconds: float) -> bytes:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return bytes((2000 * np.sin(2 * np.pi * 220 * at)).astype("<i2").tobytes())


def quiet(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE_HZ))


# Where to cut.


@given(st.integers(0, 400), st.integers(2, 60))
def test_cutting_loses_no_samples(length: int, longest: int) -> None:
    samples = np.sin(np.arange(length, dtype=np.float32))
    parts = list(cut(samples, longest))
    assert np.array_equal(np.concatenate(parts), samples)
    assert all(len(part) <= longest for part in parts)


def test_a_cut_is_made_where_it_is_quiet() -> None:
    pcm = hum(7.0) + quiet(0.3) + hum(5.0)
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    first, second = cut(samples, 10 * RATE_HZ)
    assert 7.0 < len(first) / RATE_HZ < 7.3
    assert len(first) + len(second) == len(samples)


# The tone recognizer, and a process of its own.

texts = st.text(st.characters(max_codepoint=250), min_size=1, max_size=150).filter(str.strip)


@given(texts, st.sampled_from([8000, 16_000, 24_000, 44_100]))
def test_the_tone_recognizer_reads_what_the_tone_engine_speaks(text: str, rate_hz: int) -> None:
    assert "".join(Tone().hear(whistled(text, rate_hz), rate_hz)) == text


def test_the_tone_recognizer_makes_nothing_of_silence() -> None:
    assert list(Tone().hear(quiet(2.0), RATE_HZ)) == []
    assert list(Tone().hear(b"", RATE_HZ)) == []


def test_a_recognizer_in_a_process_answers_in_parts_that_join() -> None:
    command = [sys.executable, "-m", "batchtts.server.process", "--ear", TONE]
    asked = [whistled("Call me Ishmael. " * 5), quiet(1.0), whistled("Never mind.")]
    request = b"".join(process.encode(process.Recording(pcm, RATE_HZ)) for pcm in asked)
    done = subprocess.run(command, input=request, capture_output=True, timeout=30, check=True)
    replies, at = list[tuple[bytes, str]](), 0
    while at < len(done.stdout):
        (length,) = struct.unpack_from("<I", done.stdout, at)
        reply = done.stdout[at + 4 : at + 4 + length]
        replies.append((reply[:1], reply[1:].decode()))
        at += 4 + length
    text = "Call me Ishmael. " * 5
    assert replies == [
        *((b"P", text[:64]), (b"P", text[64:]), (b"E", "")),
        (b"E", ""),
        *((b"P", "Never mind."), (b"E", "")),
    ]


# The one that hears words.

SENTENCES = (
    "The lighthouse keeper climbed the stairs every evening before the sun went down.",
    "He carried a small can of oil, a cloth, and a book that he never finished.",
    "Ships came slowly out of the dark, and each of them answered with a single bell.",
    "When the road was finally opened again, the teacher brought him paper and news.",
)

hears_words = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("moonshine_voice") is None, reason="the extra `hear` is missing"
    ),
]


@pytest.fixture(scope="module")
def ear() -> Ear:
    return load(MOONSHINE)


@pytest.fixture(scope="module")
def spoken() -> dict[str, bytes]:
    """Each sentence, as the best embedded voice speaks it at 24 kHz."""
    engine = load_engine(HIBARI)
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == HIBARI)
    return {text: b"".join(engine.speak(text, voice, 1.0)) for text in SENTENCES}


def parts(ear: Ear, pcm: bytes, rate_hz: int = 24_000) -> Iterator[str]:
    return ear.hear(pcm, rate_hz)


class TestMoonshine:
    """What a recognizer makes of the embedded voice."""

    pytestmark = hears_words

    def test_every_word_of_a_sentence_is_heard(self, ear: Ear, spoken: dict[str, bytes]) -> None:
        for text, pcm in spoken.items():
            assert heard_share(text, "".join(parts(ear, pcm))) == 1.0

    def test_the_same_recording_is_heard_the_same_whatever_came_before(
        self, ear: Ear, spoken: dict[str, bytes]
    ) -> None:
        first = {text: list(parts(ear, pcm)) for text, pcm in spoken.items()}
        for text in [*SENTENCES[::-1], *SENTENCES[::2]]:
            assert list(parts(ear, spoken[text])) == first[text]
        fresh = load(MOONSHINE)
        assert {text: list(parts(fresh, pcm)) for text, pcm in spoken.items()} == first

    @pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
    def test_the_rate_does_not_matter_much(
        self, ear: Ear, spoken: dict[str, bytes], rate_hz: int
    ) -> None:
        text, pcm = next(iter(spoken.items()))
        told = "".join(parts(ear, resample(pcm, 24_000, rate_hz), rate_hz))
        assert heard_share(text, told) > 0.8

    def test_a_quiet_recording_is_heard_as_well(self, ear: Ear, spoken: dict[str, bytes]) -> None:
        text, pcm = next(iter(spoken.items()))
        faint = (np.frombuffer(pcm, "<i2") * 0.02).astype("<i2").tobytes()
        assert heard_share(text, "".join(parts(ear, faint))) == 1.0

    @pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 3.0, 40.0])
    def test_no_words_are_made_of_silence_hum_or_noise(self, ear: Ear, seconds: float) -> None:
        noise = np.random.default_rng(0).normal(0, 3000, round(seconds * RATE_HZ))
        for pcm in (quiet(seconds), hum(seconds), noise.astype("<i2").tobytes()):
            assert list(parts(ear, pcm, RATE_HZ)) == []

    def test_five_minutes_are_heard_in_stretches_and_to_the_last_word(
        self, ear: Ear, spoken: dict[str, bytes]
    ) -> None:
        times = 1 + 300 * 48_000 // sum(map(len, spoken.values()))
        heard = list(parts(ear, b"".join(spoken.values()) * times))
        assert len(heard) >= 20
        assert heard_share(" ".join(SENTENCES * times), "".join(heard)) > 0.98
