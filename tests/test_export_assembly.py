"""Where rows lie in a track, and what is heard there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtts.audio.edges import MARGIN_BEFORE_S, MARGIN_BEHIND_S, find_edges
from batchtts.errors import UsageError
from batchtts.export.assembly import Assembly, Gaps, Placed
from batchtts.export.book import Book, Chapter, read_book
from tests.shelf import HZ, Samples, row, shelve, voiced

GAPS = Gaps(paragraph_s=0.7, heading_s=1.2, chapter_s=2.0, head_s=0.5, tail_s=1.0)
CHANGED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def book_of(out: Path, *chapters: list[Samples], hz: int = HZ, container: str = "wav") -> Book:
    rows = [
        row(f"c{c}p{p}", samples, hz=hz, container=container, chapter=c, kind="paragraph")
        for c, many in enumerate(chapters, 1)
        for p, samples in enumerate(many)
    ]
    return read_book(shelve(out, rows), partial=False)


def heard(assembly: Assembly, *chapters: Chapter) -> Samples:
    return np.frombuffer(b"".join(assembly.pcm(*chapters)), "<i2")


def pauses_s(samples: Samples, hz: int) -> list[float]:
    """Seconds of silence: before, between and after what is loud."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 800)
    gaps = np.diff(loud) - 1
    inner = [gap / hz for gap in gaps[gaps > 0.02 * hz]]
    return [loud[0] / hz, *inner, (len(samples) - 1 - loud[-1]) / hz]


def test_silence_between_rows_is_as_long_as_asked(tmp_path: Path) -> None:
    rows = [
        row("h", voiced(0.6), chapter=1, kind="heading"),
        row("a", voiced(1.0, quiet_s=0.9), chapter=1, kind="paragraph"),
        row("b", voiced(0.8, quiet_s=0.01), chapter=1, kind="paragraph"),
        row("c", voiced(0.7, quiet_s=0.0), chapter=2, kind="paragraph"),
    ]
    book = read_book(shelve(tmp_path, rows), partial=False)
    track = heard(Assembly(book, GAPS), *book.chapters)
    assert pauses_s(track, HZ) == pytest.approx([0.5, 1.2, 0.7, 2.0, 1.0], abs=0.02)


def test_what_is_placed_is_what_is_heard(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(1.0), voiced(0.5)], [voiced(0.3)])
    assembly = Assembly(book, GAPS)
    track = heard(assembly, *book.chapters)
    assert len(track) == assembly.frames(*book.chapters)
    for placed in assembly.place(*book.chapters):
        pcm = track[placed.start : placed.end].tobytes()
        speech = find_edges(pcm, HZ).audible
        assert speech.start / HZ == pytest.approx(MARGIN_BEFORE_S, abs=0.015)
        behind = placed.end - placed.start - speech.end
        assert behind / HZ == pytest.approx(MARGIN_BEHIND_S, abs=0.015)


@pytest.mark.parametrize("to_hz", [HZ, 44100, 16000])
def test_a_time_in_a_file_is_the_same_sound_in_the_track(tmp_path: Path, to_hz: int) -> None:
    samples = voiced(1.0, quiet_s=0.4)
    at = round(0.9 * HZ)
    samples[at - 2 : at + 3] = 30000
    book = book_of(tmp_path, [voiced(0.5), samples])
    assembly = Assembly(book, GAPS, to_hz)
    second = assembly.place(*book.chapters)[1]
    track = heard(assembly, *book.chapters)
    assert int(np.argmax(track)) == pytest.approx((at / HZ + second.shift_s) * to_hz, abs=3)


def test_digital_silence_stands_between_rows(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(0.5), voiced(0.5)])
    assembly = Assembly(book, GAPS)
    first, second = assembly.place(*book.chapters)
    track = heard(assembly, *book.chapters)
    assert not track[first.end : second.start].any()
    assert not track[: first.start].any()
    assert not track[second.end :].any()


def test_rows_are_faded_so_that_nothing_jumps(tmp_path: Path) -> None:
    flat = np.full(HZ, 9000, np.int16)  # loud from its first sample to its last
    book = book_of(tmp_path, [flat, flat])
    track = heard(Assembly(book, GAPS), *book.chapters).astype(int)
    assert np.abs(np.diff(track)).max() < 9000 * 2 / (0.005 * HZ)
    assert track.max() == 9000


def test_a_row_that_is_shorter_than_its_fades_is_heard(tmp_path: Path) -> None:
    book = book_of(tmp_path, [np.full(20, 9000, np.int16), np.full(1, 9000, np.int16)])
    assembly = Assembly(book, GAPS)
    track = heard(assembly, *book.chapters)
    assert len(track) == assembly.frames(*book.chapters)
    assert track.any()


@pytest.mark.parametrize("container", ["wav", "flac"])
@pytest.mark.parametrize("to_hz", [24000, 44100, 8000])
def test_two_passes_give_the_same_samples(tmp_path: Path, container: str, to_hz: int) -> None:
    book = book_of(tmp_path, [voiced(1.3), voiced(7.1)], [voiced(0.2)], container=container)
    assembly = Assembly(book, GAPS, to_hz)
    first = heard(assembly, *book.chapters)
    assert np.array_equal(first, heard(assembly, *book.chapters))
    assert np.array_equal(first, heard(Assembly(book, GAPS, to_hz), *book.chapters))


def test_a_row_at_another_rate_sounds_the_same(tmp_path: Path) -> None:
    rows = [row("a", voiced(2.0)), row("b", voiced(2.0, hz=44100), hz=44100), row("c", voiced(1.0))]
    book = read_book(shelve(tmp_path, rows), partial=False)
    assert book.sample_rate_hz == HZ
    assembly = Assembly(book, GAPS)
    a, b, _ = assembly.place(*book.chapters)
    track = heard(assembly, *book.chapters).astype(float)
    one, other = track[a.start : a.end], track[b.start : b.end]
    assert abs(len(one) - len(other)) < 0.02 * HZ
    middle = slice(HZ // 2, HZ)
    assert pitch_hz(one[middle]) == pytest.approx(pitch_hz(other[middle]), abs=2)
    assert np.std(one[middle]) == pytest.approx(np.std(other[middle]), rel=0.01)


def pitch_hz(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * HZ / len(samples))


def test_blocks_are_small_however_long_a_row_or_a_silence_is(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(60.0, quiet_s=20.0)])
    gaps = Gaps(head_s=60.0)
    for to_hz in (HZ, 44100):
        blocks = [len(block) for block in Assembly(book, gaps, to_hz).pcm(*book.chapters)]
        assert max(blocks) <= 2 * 65536 * 2


def test_the_end_of_a_row_at_another_rate_is_heard(tmp_path: Path) -> None:
    book = book_of(tmp_path, [np.tile(np.repeat(np.array([9000, -9000], np.int16), 20), HZ // 40)])
    assembly = Assembly(book, GAPS, 48000)
    (placed,) = assembly.place(*book.chapters)
    last = heard(assembly, *book.chapters)[placed.end - 300 : placed.end - 240]
    assert np.abs(last.astype(int)).max() > 4000


def test_speech_is_found_behind_a_long_silence(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(1.0, quiet_s=13.0)])
    assembly = Assembly(book, GAPS)
    assert assembly.duration_s(*book.chapters) == pytest.approx(0.5 + 1.0 + 1.0, abs=0.03)


@pytest.mark.parametrize("seconds", [1, 25])
def test_a_row_without_any_speech_keeps_its_length(tmp_path: Path, seconds: int) -> None:
    book = book_of(tmp_path, [np.zeros(seconds * HZ, np.int16)])
    duration_s = Assembly(book, GAPS).duration_s(*book.chapters)
    assert duration_s == pytest.approx(0.5 + seconds + 1.0)


def test_chapters_of_a_track_are_marked_where_they_begin(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(1.0), voiced(1.0)], [voiced(1.0)], [voiced(1.0)])
    assembly = Assembly(book, GAPS)
    marks = assembly.marks(*book.chapters)
    assert [mark.chapter.number for mark in marks] == [1, 2, 3]
    starts = [assembly.place(*book.chapters)[n].start for n in (2, 3)]
    assert [mark.start for mark in marks] == [0, *starts]
    assert [mark.end for mark in marks] == [*starts, assembly.frames(*book.chapters)]
    assert marks[-1].end_s == assembly.duration_s(*book.chapters)


def test_a_chapter_without_rows_takes_no_time(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(1.0)], [voiced(1.0)])
    empty = Chapter(7, "Nothing", missing=["x (failed)"])
    assembly = Assembly(book, GAPS)
    one, two = book.chapters
    assert assembly.frames(one, empty, two) == assembly.frames(one, two)
    assert [mark.chapter for mark in assembly.marks(one, empty, two)] == [one, two]
    assert assembly.frames(empty) == 0
    assert heard(assembly, empty).size == 0


@settings(max_examples=40, deadline=None, suppress_health_check=CHANGED)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 3000)), min_size=1, max_size=6),
    to_hz=st.sampled_from([8000, 11025, 44100]),
    seconds=st.lists(st.floats(0, 3), min_size=5, max_size=5),
)
def test_rows_never_overlap_and_every_sample_is_told(
    tmp_path: Path, lengths: list[tuple[int, int]], to_hz: int, seconds: list[float]
) -> None:
    names = ("paragraph_s", "heading_s", "chapter_s", "head_s", "tail_s")
    gaps = Gaps(**dict(zip(names, seconds, strict=True)))
    samples = [
        np.concatenate([np.zeros(quiet, np.int16), np.full(loud, 5000, np.int16)])
        for loud, quiet in lengths
    ]
    book = book_of(tmp_path, samples[:2], *[[each] for each in samples[2:]], hz=8000)
    assembly = Assembly(book, gaps, to_hz)
    placed: list[Placed] = assembly.place(*book.chapters)
    ends = [0, *(it.end for it in placed)]
    assert all(end <= it.start < it.end for end, it in zip(ends, placed, strict=False))
    assert len(heard(assembly, *book.chapters)) == assembly.frames(*book.chapters) >= ends[-1]


def test_audio_that_is_not_as_recorded_is_one_clear_line(tmp_path: Path) -> None:
    book = book_of(tmp_path, [voiced(1.0)])
    path = book.rows[0].path
    path.write_bytes(b"no audio at all")
    with pytest.raises(UsageError, match="the audio of row c1p0 cannot be read"):
        Assembly(book, GAPS).frames(*book.chapters)
    book_of(tmp_path, [voiced(0.5)])
    with pytest.raises(UsageError, match="recorded"):
        Assembly(book, GAPS).frames(*book.chapters)
