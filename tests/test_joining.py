"""Segments on the disk become the audio of a row, in order, with what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchtts.errors import OutputBroken
from batchtts.model import AudioFormat, Boundary, Pauses, Utterance, Voice, Word
from batchtts.record.pieces import Facts, Piece, Pieces, folder_of
from batchtts.run.joining import Joinery, Whole
from batchtts.run.reading import Reading
from batchtts.text.segment import Piece as Segment

RATE_HZ = 24_000
ALICE, BOB = Voice("alice", "m", "en"), Voice("bob", "m", "en")
WAV = AudioFormat("wav", RATE_HZ)
PAUSES = Pauses(word=0.1, clause=0.2, sentence=0.3, paragraph=0.4, heading=0.5)

Samples = np.ndarray[tuple[int], np.dtype[np.int16]]


def tone(seconds: float, hertz: float = 400.0, rate_hz: int = RATE_HZ, level: float = 0.5) -> bytes:
    """Something to be heard from its beginning to its end."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    samples = 32767 * level * np.sin(2 * np.pi * hertz * times + 1)
    return bytes(samples.astype("<i2").tobytes())


class Bench:
    """A shelf with the segments of one row, and who joins them."""

    def __init__(self, root: Path) -> None:
        self.scratch = root / "tmp"
        self.scratch.mkdir()
        self.shelf = Pieces(root / "pieces")
        self.folder = folder_of("ch1")
        self.script = ""
        self.segments: list[Segment] = []
        self.voices: list[Voice] = []
        self.facts: dict[int, Facts] = {}
        self.names: list[str] = []

    def add(
        self,
        text: str,
        pcm: bytes,
        boundary: Boundary = "sentence",
        voice: Voice = ALICE,
        rate_hz: int = RATE_HZ,
        words: Sequence[Word] = (),
    ) -> None:
        start, number = len(self.script), len(self.segments)
        self.script += text
        self.segments.append(Segment(start, len(self.script), text.strip(), boundary, None))
        self.voices.append(voice)
        self.names.append(f"{number}.piece")
        self.facts[number] = Facts(
            sample_rate_hz=rate_hz,
            peak_dbfs=-6.0,
            attempts=1,
            queue_s=0.0,
            connect_s=0.0,
            ttfa_s=None,
            synth_s=0.0,
            context=f"run-0-{number}-0",
            words=tuple(words),
        )
        self.shelf.publish([Piece(self.folder, self.names[-1], self.facts[number], pcm)])

    def reading(self) -> Reading:
        row = Utterance(
            row=0, id="ch1", script=self.script, voice=ALICE, speed=1.0, fingerprint="0f" * 16
        )
        facts = dict(sorted(self.facts.items(), reverse=True))  # who came last is first
        return Reading(row, self.segments, self.voices, self.folder, self.names, facts)

    def joinery(self, format: AudioFormat = WAV) -> Joinery:
        return Joinery(self.shelf, format, PAUSES, self.scratch)

    def join(self, format: AudioFormat = WAV) -> tuple[Whole, Samples]:
        whole = self.joinery(format).join(self.reading())
        samples, rate_hz = soundfile.read(whole.file, dtype="int16")
        assert rate_hz == whole.sample_rate_hz
        return whole, samples


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_segments_are_joined_in_the_order_of_the_script(bench: Bench) -> None:
    lengths_s = [0.5, 0.7, 0.3, 0.9]
    for number, length_s in enumerate(lengths_s):
        bench.add(f"Number {number}. ", tone(length_s, 300 + 200 * number))
    whole, samples = bench.join()
    starts = [sum(lengths_s[:n]) + n * PAUSES.sentence for n in range(4)]
    assert [cue.start_s for cue in whole.cues] == pytest.approx(starts, abs=0.002)
    assert len(samples) == round((sum(lengths_s) + 3 * PAUSES.sentence) * RATE_HZ)
    for number, (start_s, length_s) in enumerate(zip(starts, lengths_s, strict=True)):
        middle = round((start_s + length_s / 2) * RATE_HZ)
        heard = np.abs(np.fft.rfft(samples[middle - 1200 : middle + 1200]))
        assert np.argmax(heard) * 10 == pytest.approx(300 + 200 * number, abs=20)


def test_what_is_told_of_a_file_is_so(bench: Bench) -> None:
    bench.add("One. ", tone(0.5, level=0.25))
    bench.add("Two.", tone(0.5, level=0.5))
    whole, samples = bench.join()
    data = Path(whole.file).read_bytes()
    assert (whole.frames, whole.bytes) == (len(samples), len(data))
    assert whole.sha256 == sha256(data).hexdigest()
    assert whole.peak_dbfs == pytest.approx(-6.02, abs=0.05)
    assert Path(whole.file).parent == bench.scratch


def test_the_same_segments_make_the_same_file(bench: Bench) -> None:
    for number in range(5):
        bench.add(f"Number {number}. ", tone(0.3 + number / 10, 300 + 50 * number))
    first, _ = bench.join()
    second, _ = bench.join()
    assert first == second


@pytest.mark.parametrize("boundary", PAUSES.__struct_fields__)
def test_the_pause_is_that_of_what_stands_between(bench: Bench, boundary: Boundary) -> None:
    bench.add("One", tone(0.5), boundary)
    bench.add("Two.", tone(0.5), "heading")  # nothing comes after it
    whole, samples = bench.join()
    first, second = whole.cues
    pause_s = getattr(PAUSES, boundary)
    assert second.start_s - first.end_s == pytest.approx(pause_s, abs=0.01)
    assert len(samples) == round((1.0 + pause_s) * RATE_HZ)


def test_cues_have_the_places_in_the_script_and_the_voices_that_are_not_the_rows(
    bench: Bench,
) -> None:
    bench.add("\n One.  ", tone(0.5))
    bench.add("Two.\n", tone(0.5), voice=BOB)
    whole, _ = bench.join()
    assert [(cue.start, cue.end, cue.voice) for cue in whole.cues] == [(0, 8, ""), (8, 13, "bob")]


def test_words_are_told_from_the_beginning_of_the_file(bench: Bench) -> None:
    bench.add("One. ", tone(0.5), words=[Word("One", 0.0, 0.4)])
    bench.add("Two.", tone(0.5), words=[Word("Two", 0.1, 0.5)])
    whole, _ = bench.join()
    assert [word.text for word in whole.words] == ["One", "Two"]
    times = [second for word in whole.words for second in (word.start_s, word.end_s)]
    assert times == pytest.approx([0.0, 0.4, 0.5 + 0.3 + 0.1, 0.5 + 0.3 + 0.5], abs=0.01)


FORMATS: Mapping[str, AudioFormat] = {
    "lower": AudioFormat("wav", 16_000),
    "higher": AudioFormat("wav", 44_100),
    "flac": AudioFormat("flac", RATE_HZ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_of_the_format_that_is_wanted(bench: Bench, name: str) -> None:
    wanted = FORMATS[name]
    bench.add("One. ", tone(0.5))
    bench.add("Two.", tone(0.7))
    whole, samples = bench.join(wanted)
    info = soundfile.info(whole.file)
    assert (info.format, info.samplerate) == (wanted.container.upper(), wanted.sample_rate_hz)
    assert len(samples) == round(1.5 * wanted.sample_rate_hz)
    assert [cue.start_s for cue in whole.cues] == pytest.approx([0.0, 0.8], abs=0.002)


def test_segments_of_another_rate_have_their_length_and_their_pitch(bench: Bench) -> None:
    bench.add("One. ", tone(0.5))
    bench.add("Two. ", tone(0.5, rate_hz=16_000), rate_hz=16_000)
    bench.add("Three.", tone(0.5, rate_hz=48_000), rate_hz=48_000)
    whole, samples = bench.join()
    assert len(samples) == pytest.approx(round(2.1 * RATE_HZ), abs=2)
    for cue in whole.cues:
        middle = round((cue.start_s + cue.end_s) / 2 * RATE_HZ)
        heard = np.abs(np.fft.rfft(samples[middle - 1200 : middle + 1200]))
        assert np.argmax(heard) * 10 == pytest.approx(400, abs=20)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_segment_that_is_not_what_it_was_breaks_it_and_leaves_nothing(
    bench: Bench, at: int
) -> None:
    for number in range(3):
        bench.add(f"Number {number}. ", tone(0.5))
    reading = bench.reading()
    path = bench.shelf.directory / bench.folder / bench.names[at]
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(OutputBroken, match="not what was written there"):
        bench.joinery().join(reading)
    assert list(bench.scratch.iterdir()) == []


def test_who_wants_the_row_no_more_ends_it_between_two_segments(bench: Bench) -> None:
    class Unwanted(Exception):
        pass

    calls: list[int] = []

    def check() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            raise Unwanted

    for number in range(5):
        bench.add(f"Number {number}. ", tone(0.5))
    with pytest.raises(Unwanted):
        replace(bench.joinery(), check=check).join(bench.reading())
    assert list(bench.scratch.iterdir()) == []
    assert len(calls) == 3
