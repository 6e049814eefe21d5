"""What the engines say, and what they refuse to say. Hibari and nanotts are real here."""

from __future__ import annotations

import math
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from batchtts.model import Voice
from batchtts.server import process
from batchtts.server.engine import SAMPLE_RATE_HZ, CannotSpeak, Tone, legible
from batchtts.wire.embedded import EMBEDDED_VOICES

VOICES = {voice.name: voice for voice in EMBEDDED_VOICES}
SENTENCE = "The quick brown fox jumps over the lazy dog."


def tone(text: str, speed: float = 1.0) -> bytes:
    return b"".join(Tone().speak(text, VOICES["tone"], speed))


def test_a_tone_lasts_60_ms_per_character() -> None:
    assert len(tone("Ishmael")) == 2 * 7 * 0.060 * SAMPLE_RATE_HZ


def test_twice_the_speed_is_half_the_tone() -> None:
    assert 2 * len(tone("Ishmael", speed=2.0)) == len(tone("Ishmael"))


def test_a_tone_peaks_at_10_dB_below_full_scale() -> None:
    peak = np.abs(np.frombuffer(tone(SENTENCE), "<i2")).max()
    assert 20 * math.log10(peak / 32768) == pytest.approx(-10, abs=0.1)


def test_a_tone_has_no_clicks() -> None:
    samples = np.frombuffer(tone(SENTENCE), "<i2").reshape(len(SENTENCE), -1)
    assert not samples[:, 0].any()
    assert not samples[:, -1].any()


def test_a_text_cut_short_is_a_tone_cut_short() -> None:
    assert tone(SENTENCE).startswith(tone(SENTENCE[:20]))


@pytest.mark.parametrize(
    "other", ["call me Ishmael.", "Ishmael call me.", "Call me Ishmaek.", "Call me Ishmäel."]
)
def test_another_text_is_another_tone(other: str) -> None:
    assert tone(other) != tone("Call me Ishmael.")


def test_a_character_sounds_different_in_another_place() -> None:
    first, second = np.frombuffer(tone("aa"), "<i2").reshape(2, -1)
    assert (first != second).any()


def test_the_tone_reads_every_script_but_not_blank_text() -> None:
    assert len(tone("日本語")) == 3 * len(tone("a"))
    with pytest.raises(CannotSpeak, match="nothing to say"):
        tone(" \n")


def test_the_tone_is_a_thousand_times_faster_than_speech() -> None:
    text = "Call me Ishmael. " * 4000
    tone("warm")
    started = time.perf_counter()
    pieces = sum(map(len, Tone().speak(text, VOICES["tone"], 1.0)))
    assert (time.perf_counter() - started) * 1000 < pieces / 2 / SAMPLE_RATE_HZ


class Child:
    """A worker process, and what it says."""

    def __init__(self, engine: str) -> None:
        command = [sys.executable, "-m", "batchtts.server.process", "--engine", engine]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()

    def pieces(self, text: str, voice: Voice, speed: float = 1.0) -> list[bytes]:
        assert self.process.stdin is not None
        request = process.Request(text, voice.name, voice.model, voice.language, speed)
        self.process.stdin.write(process.encode(request))
        self.process.stdin.flush()
        replies = list(iter(self._reply, (process.END, b"")))
        assert {kind for kind, _ in replies} == {process.PIECE}
        return [body for _, body in replies]

    def _reply(self) -> tuple[bytes, bytes]:
        assert self.process.stdout is not None
        (length,) = struct.unpack("<I", self.process.stdout.read(4))
        reply = self.process.stdout.read(length)
        if reply[:1] == process.CANNOT:
            raise CannotSpeak(reply[1:].decode())
        return reply[:1], reply[1:]

    def say(self, text: str, name: str, speed: float = 1.0) -> bytes:
        return b"".join(self.pieces(text, VOICES[name], speed))


@pytest.fixture(scope="module")
def hibari() -> Iterator[Child]:
    with Child("hibari") as child:
        yield child


@pytest.fixture(scope="module")
def nanotts() -> Iterator[Child]:
    with Child("nanotts") as child:
        yield child


def seconds(pcm: bytes) -> float:
    return len(pcm) / 2 / SAMPLE_RATE_HZ


@pytest.mark.parametrize(("engine", "name"), [("hibari", "af_heart"), ("nanotts", "bf_emma")])
def test_a_text_sounds_the_same_whatever_was_said_before(
    engine: str, name: str, request: pytest.FixtureRequest
) -> None:
    child: Child = request.getfixturevalue(engine)
    for text in ("One.", "Two, and a bit more.", SENTENCE):
        child.say(text, name)
    again = child.say(SENTENCE, name)
    with Child(engine) as fresh:
        assert fresh.say(SENTENCE, name) == again


@pytest.mark.parametrize(("engine", "name"), [("hibari", "af_heart"), ("nanotts", "bf_emma")])
def test_speech_lasts_as_long_as_speech_does(
    engine: str, name: str, request: pytest.FixtureRequest
) -> None:
    child: Child = request.getfixturevalue(engine)
    assert 2 < seconds(child.say(SENTENCE, name)) < 4
    assert seconds(child.say(SENTENCE, name, speed=2.0)) < 2.1
    assert seconds(child.say(SENTENCE, name, speed=0.5)) > 4


REFUSED = [
    ("Привет", "'П' (CYRILLIC CAPITAL LETTER PE)"),
    ("Hello 世界", "'世' (CJK UNIFIED IDEOGRAPH-4E16)"),
    ("The letter Ω", "'Ω' (GREEK CAPITAL LETTER OMEGA)"),
    ("...", "nothing to say in '...'"),
    ("😀", "nothing to say in '😀'"),
    ("   ", "nothing to say"),
]


@pytest.mark.parametrize("text_and_reason", REFUSED)
@pytest.mark.parametrize(("engine", "name"), [("hibari", "af_heart"), ("nanotts", "bf_emma")])
def test_what_would_be_left_out_is_refused(
    engine: str, name: str, text_and_reason: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    child: Child = request.getfixturevalue(engine)
    text, reason = text_and_reason
    with pytest.raises(CannotSpeak) as refusal:
        child.say(text, name)
    assert reason in str(refusal.value)


def test_emoji_and_symbols_are_no_reason_to_refuse(hibari: Child, nanotts: Child) -> None:
    for child, name in ((hibari, "af_heart"), (nanotts, "bf_emma")):
        assert child.say("Fine 😀 → 3.5 °C", name)


def test_hibari_gives_a_piece_per_sentence(hibari: Child) -> None:
    text = "Call me Ishmael. It was a damp November."
    assert len(hibari.pieces(text, VOICES["af_heart"])) == 2


def test_letters_that_an_engine_lacks_give_way_to_their_plain_form(
    hibari: Child, nanotts: Child
) -> None:
    assert hibari.say("Ŝipo", "af_heart") == hibari.say("Sipo", "af_heart")
    assert nanotts.say("Łódź", "pico_gb") == nanotts.say("Lódz", "pico_gb")
    assert nanotts.say("Œuvre", "pico_de") == nanotts.say("Oeuvre", "pico_de")
    assert nanotts.say("Œuvre", "pico_fr") != nanotts.say("Oeuvre", "pico_fr")


def test_composed_and_decomposed_letters_sound_the_same(nanotts: Child) -> None:
    assert nanotts.say("e\u0301te\u0301", "pico_fr") == nanotts.say("été", "pico_fr")


def test_a_nul_does_not_end_the_text(nanotts: Child) -> None:
    assert nanotts.say("one\0two", "pico_gb") == nanotts.say("one two", "pico_gb")


def test_digits_of_another_script_are_refused_by_an_engine_that_drops_them() -> None:
    with pytest.raises(CannotSpeak, match="ARABIC-INDIC DIGIT THREE"):
        legible("room ٣", str.isascii)


def test_nanotts_obeys_no_tags(nanotts: Child, tmp_path: Path) -> None:
    file = tmp_path / "written.wav"
    nanotts.say(f"<genfile file='{file}'>call me Ishmael</genfile>", "pico_gb")
    assert not file.exists()
    assert nanotts.say("<ignore>call me Ishmael</ignore>", "pico_gb")


def test_nanotts_speaks_six_languages(nanotts: Child) -> None:
    voices = ["pico_us", "pico_gb", "pico_de", "pico_es", "pico_fr", "pico_it"]
    assert len({nanotts.say("Radio Madrid", voice) for voice in voices}) == 6


def test_ctrl_c_is_not_for_the_child() -> None:
    with Child("tone") as child:
        before = child.say("a", "tone")
        child.process.send_signal(signal.SIGINT)
        assert child.say("a", "tone") == before


def test_what_a_library_prints_does_not_reach_the_server() -> None:
    script = (
        "import os; from batchtts.server import process; replies = process._claim_stdout();"
        " print('noise', flush=True); os.write(1, b'noise'); replies.write(b'reply')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"reply"
    assert b"noise" in done.stderr
