"""Voices of different levels come out equally loud, and nothing else of a book changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from batchtts.export.assembly import Assembly, Gaps
from batchtts.export.book import read_book
from batchtts.export.levels import gains_db, turns, voices
from batchtts.export.meter import Floats
from batchtts.export.orders import Step
from batchtts.export.steps import stepped
from tests.e2e import Answer, ask
from tests.shelf import HZ, Samples, row, shelve, voiced

QUIET = np.zeros(HZ // 2, np.int16)
#: Half a second of it is between a tone and the next one.
PAUSE_S = 0.5


def tone(seconds: float, level: float) -> Samples:
    made: Samples = (voiced(seconds, quiet_s=0.0) * level).astype(np.int16)
    return made


def by_rows(out: Path) -> Path:
    """A chapter in which Ada speaks most and softly, and Bob loudly."""
    spoken = [("ada", 6.0, 0.2), ("bob", 4.0, 1.0), ("ada", 5.0, 0.2), ("bob", 4.0, 1.0)]
    return shelve(
        out,
        [
            row(f"{place}", tone(seconds, level), voice=voice, chapter=1)
            for place, (voice, seconds, level) in enumerate(spoken)
        ],
    )


def by_cues(out: Path) -> Path:
    """The same in a single row."""
    parts = [("ada", 6.0, 0.2), ("bob", 4.0, 1.0), ("", 5.0, 0.2), ("bob", 4.0, 1.0)]
    samples, cues, at_s = [], [], 0.0
    for place, (voice, seconds, level) in enumerate(parts):
        about: dict[str, Any] = {"start": place, "end": place + 1, "voice": voice or None}
        cues.append({**about, "start_s": at_s, "end_s": at_s + seconds})
        samples += [tone(seconds, level), QUIET]
        at_s += seconds + PAUSE_S
    text = "abcd"
    return shelve(
        out, [row("all", np.concatenate(samples), voice="ada", text=text, cues=cues, chapter=1)]
    )


def export(here: Path, *flags: str) -> Answer:
    pytest.importorskip("av", reason="the encoder: the extra `audiobook`")
    return ask("export", "audiobook", "out", "-o", "b.flac", *flags, here=here)


def loudness_of_parts(path: Path) -> list[float]:
    """LUFS of each stretch between silences, by libebur128."""
    pyebur128 = pytest.importorskip("pyebur128")
    samples, rate_hz = soundfile.read(path, dtype="int16")
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 60)
    breaks = np.flatnonzero(np.diff(loud) > 0.2 * rate_hz)
    starts, ends = [loud[0], *loud[breaks + 1]], [*loud[breaks], loud[-1]]
    found = []
    for start, end in zip(starts, ends, strict=True):
        state = pyebur128.R128State(1, rate_hz, pyebur128.MeasurementMode.MODE_I)
        part = np.ascontiguousarray(samples[start:end])
        state.add_frames(part, len(part))
        found.append(pyebur128.get_loudness_global(state))
    return found


# ── as others hear it ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("book", [by_rows, by_cues])
def test_voices_come_out_equally_loud(tmp_path: Path, book: Any) -> None:  # noqa: ANN401
    book(tmp_path / "out")
    answer = export(tmp_path)
    assert answer.status == 0, answer.err
    levelled = loudness_of_parts(tmp_path / "b.flac")
    assert len(levelled) == 4
    assert max(levelled) - min(levelled) < 1
    assert export(tmp_path, "--no-level").status == 0
    left = loudness_of_parts(tmp_path / "b.flac")
    assert left[1] - left[0] == pytest.approx(14, abs=0.5)


def test_voices_are_told_in_the_table_and_in_the_report(tmp_path: Path) -> None:
    by_rows(tmp_path / "out")
    answer = export(tmp_path)
    assert [line.split()[-1] for line in answer.out.splitlines()[:3]] == ["voice", "ada", "bob"]
    ada, bob = json.loads((tmp_path / "b.flac.json").read_text())["voices"]
    assert (ada["voice"], ada["gain_db"], ada["audio_s"]) == ("ada", 0.0, 11.0)
    assert bob["gain_db"] == pytest.approx(-14, abs=0.3)
    assert bob["gain_db"] == pytest.approx(ada["lufs"] - bob["lufs"], abs=0.02)


def test_a_book_of_one_voice_is_left_as_it_is(tmp_path: Path) -> None:
    shelve(tmp_path / "out", [row(f"{at}", tone(3, level)) for at, level in enumerate((1, 0.2))])
    made = []
    for flags in ([], ["--no-level"]):
        answer = export(tmp_path, *flags)
        assert (answer.status, "voice" in answer.out) == (0, False)
        made.append((tmp_path / "b.flac").read_bytes())
    assert made[0] == made[1]
    assert json.loads((tmp_path / "b.flac.json").read_text())["voices"] == []


def test_levelling_moves_nothing(tmp_path: Path) -> None:
    by_cues(tmp_path / "out")
    edges = []
    for flags in ([], ["--no-level"]):
        assert export(tmp_path, *flags).status == 0
        samples, _ = soundfile.read(tmp_path / "b.flac", dtype="int16")
        begins = np.flatnonzero(np.diff((np.abs(samples.astype(int)) > 300).astype(int)) > 0)
        edges.append((len(samples), begins[0]))
    assert edges[0] == pytest.approx(edges[1], abs=HZ // 500)
    assert edges[0][0] == edges[1][0]


# ── what is made louder, and where ────────────────────────────────────────────


@pytest.mark.parametrize("make", [by_rows, by_cues])
def test_the_gain_changes_in_the_middle_of_a_silence(tmp_path: Path, make: Any) -> None:  # noqa: ANN401
    from batchtts.export.levels import steps

    book = read_book(make(tmp_path / "out"), partial=False)
    assembly = Assembly(book, Gaps(paragraph_s=PAUSE_S))
    chapter = book.chapters[0]
    found = steps(assembly.place(chapter), {"ada": 0.0, "bob": -14.0})
    assert [step.gain_db for step in found] == [0.0, -14.0, 0.0, -14.0]
    pcm = np.frombuffer(b"".join(assembly.pcm(chapter)), "<i2")
    for step in found[1:]:
        assert not pcm[step.at - HZ // 5 : step.at + HZ // 5].any()


def test_who_speaks_most_is_what_the_others_become() -> None:
    assert gains_db([-26.0, -12.0, None, -30.5]) == [0.0, -14.0, 0.0, 4.5]
    assert gains_db([None, -12.0, -20.0]) == [0.0, 0.0, 8.0]


def test_only_some_minutes_of_a_voice_are_measured(tmp_path: Path) -> None:
    minute = tone(60, 1)
    book = read_book(shelve(tmp_path, [row(f"{n}", minute) for n in range(12)]), partial=False)
    (heard,) = voices(book)
    assert heard.audio_s == 720
    size = sum(map(len, heard.sample(Assembly(book, Gaps()))))
    assert 120 < size / 2 / HZ <= 300


def test_a_voice_of_one_word_can_be_measured(tmp_path: Path) -> None:
    rows = [row("a", tone(5, 1)), row("b", tone(0.25, 0.2), voice="bob")]
    book = read_book(shelve(tmp_path / "out", rows), partial=False)
    word = voices(book)[1]
    assert sum(map(len, word.sample(Assembly(book, Gaps())))) / 2 / HZ >= 3
    assert export(tmp_path).status == 0
    _, bob = json.loads((tmp_path / "b.flac.json").read_text())["voices"]
    assert bob["gain_db"] == pytest.approx(14, abs=1)


def test_segments_of_one_voice_are_one_turn(tmp_path: Path) -> None:
    (row,) = read_book(by_cues(tmp_path / "out"), partial=False).rows
    assert [turn.voice for turn in turns(row)] == ["ada", "bob", "ada", "bob"]


# ── steps ─────────────────────────────────────────────────────────────────────

STEPS = [Step(0, 6.0), Step(500, -12.0), Step(505, 0.0), Step(4000, 20.0)]


def applied(samples: Floats, steps: list[Step], sizes: list[int]) -> Floats:
    borders = np.cumsum(sizes)
    return np.concatenate(list(stepped(iter(np.split(samples, borders)), steps, HZ)))


@given(st.lists(st.integers(0, 900), max_size=9))
def test_blocks_of_any_size_are_stepped_the_same(sizes: list[int]) -> None:
    samples = np.ones(5000, np.float32)
    whole = applied(samples, STEPS, [])
    assert applied(samples, STEPS, sizes) == pytest.approx(whole, abs=1e-5)
    assert whole[[0, 4999]] == pytest.approx([10 ** (6 / 20), 10.0], rel=1e-5)
    assert whole[1000:3800] == pytest.approx(1.0)


def test_a_step_is_a_ramp() -> None:
    whole = applied(np.ones(5000, np.float32), [Step(0, 0.0), Step(2500, 20.0)], [])
    assert np.abs(np.diff(whole)).max() < 9 / (0.009 * HZ)
    assert (whole[2500 - HZ // 150], whole[2500 + HZ // 150]) == pytest.approx((1.0, 10.0))


def test_without_steps_blocks_go_by_untouched() -> None:
    block = np.ones(10, np.float32)
    (made,) = stepped(iter([block]), [], HZ)
    assert made is block
