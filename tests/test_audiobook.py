"""Audiobooks, read back by others: mutagen, libsndfile and libebur128."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from batchtts.model import Voice
from batchtts.server import engine
from tests.e2e import Answer, ask, descendants, environment, eventually, sentences, started
from tests.shelf import HZ, Samples, row, shelve
from tests.test_layers import TREES, imports, ours, uses

av = pytest.importorskip("av", reason="the encoder: the extra `audiobook`")
mutagen = pytest.importorskip("mutagen")
mutagen_flac = pytest.importorskip("mutagen.flac")
pyebur128 = pytest.importorskip("pyebur128")

TEXT = "Call me Ishmael. Some years ago, never mind how long precisely, I thought I would sail."
TITLES = ["Loomings", 'The "Spouter"/Inn: a*b?', "Zürich · 第三章"]


# ── a book to export ──────────────────────────────────────────────────────────


def speech(voice: str, seconds: float, level: float = 1.0) -> Samples:
    """A voice, said again and again until it is as long."""
    name = "tone" if voice == "tone" else "nanotts"
    if name == "nanotts":
        pytest.importorskip("py_nanotts", reason="the voices: the extra `local`")
    language = {"pico_de": "de"}.get(voice, "en-gb")
    said = b"".join(engine.load(name).speak(TEXT, Voice(voice, name, language), 1.0))
    samples = np.frombuffer(said, "<i2")
    made: Samples = (np.resize(samples, round(seconds * HZ)) * level).astype(np.int16)
    return made


def picture() -> bytes:
    """A PNG of 8 by 8."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\x20\x40\x80" * 8 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def book(out: Path, *chapters: list[Samples], missing: int = 0, cover: bytes | None = None) -> Path:
    """An output directory with these paragraphs; of the last chapter some are missing."""
    rows = [
        row(
            f"c{number:03}-p{place:04}", samples, chapter=number, paragraph=place,
            chapter_title=TITLES[number - 1], kind="heading" if not place else "paragraph",
        )
        for number, paragraphs in enumerate(chapters, 1)
        for place, samples in enumerate(paragraphs)
    ]  # fmt: skip
    last: dict[str, Any] = {"chapter": len(chapters), "chapter_title": TITLES[len(chapters) - 1]}
    rows += [
        row(f"lost-{number}", error_message="no voice", paragraph=90 + number, **last)
        for number in range(missing)
    ]
    metadata = (
        {} if cover is None else {"batchtts.cover": cover, "batchtts.cover_type": b"image/png"}
    )
    return shelve(
        out,
        rows,
        metadata=metadata,
        title="Móby-Dick",
        author=["Herman Melville"],
        language="en-GB",
    )


def tone_book(out: Path, **facts: Any) -> Path:  # noqa: ANN401
    """Three chapters, of different levels."""
    spoken = [[speech("tone", 1.0, level), speech("tone", 4.0, level)] for level in (1, 0.2, 0.5)]
    return book(out, *spoken, **facts)


def export(here: Path, *flags: str) -> Answer:
    """Export the book in the directory *here*/out."""
    return ask("export", "audiobook", "out", *flags, here=here)


def figures(report: Path) -> Any:  # noqa: ANN401
    return json.loads(report.read_text(encoding="utf-8"))


# ── how others see it ─────────────────────────────────────────────────────────


def decoded(path: Path) -> tuple[Samples, int]:
    """The samples of a file and their rate, as 16 bits."""
    if path.suffix != ".m4b":
        return soundfile.read(path, dtype="int16")  # type: ignore[no-any-return]
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    clipped = np.clip(np.concatenate(blocks) * 32768, -32768, 32767)
    return clipped.astype(np.int16), rate_hz


def loudness(samples: Samples, rate_hz: int) -> tuple[float, float]:
    """LUFS and the true peak in dB, by libebur128."""
    mode = pyebur128.MeasurementMode.MODE_I | pyebur128.MeasurementMode.MODE_TRUE_PEAK
    state = pyebur128.R128State(1, rate_hz, mode)
    state.add_frames(np.ascontiguousarray(samples), len(samples))
    peak = pyebur128.get_true_peak(state, 0)
    return pyebur128.get_loudness_global(state), 20 * float(np.log10(peak))


def rms_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean((samples / 32768) ** 2)))


def ends_s(samples: Samples, rate_hz: int) -> tuple[float, float]:
    """How long nothing is heard at both ends."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 60)
    return loud[0] / rate_hz, (len(samples) - 1 - loud[-1]) / rate_hz


def chapters(path: Path) -> list[tuple[str, float]]:
    """Title and beginning of each chapter."""
    file = mutagen.File(path)
    match path.suffix:
        case ".m4b":
            return [(it.title, it.start) for it in file.chapters]
        case ".mp3":
            marks = sorted(file.tags.getall("CHAP"), key=lambda it: it.start_time)
            return [(f"{it.sub_frames['TIT2']}", it.start_time / 1000) for it in marks]
        case _:
            names = sorted(
                name for name in file if name.startswith("chapter") and name[-1] in "0123456789"
            )
            return [(file[f"{name}name"][0], seconds(file[name][0])) for name in names]


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def spoken_from_s(samples: Samples, rate_hz: int) -> list[float]:
    """Where sound begins after a second and a half of silence, or at the beginning."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 60)
    begins = [loud[0], *loud[1:][np.diff(loud) > 1.5 * rate_hz]]
    return [begin / rate_hz for begin in begins]


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("."))


# ── chapters, tags, figures ───────────────────────────────────────────────────


@pytest.mark.parametrize("format", ["m4b", "mp3", "flac", "opus"])
def test_chapters_and_tags_are_read_back_by_others(tmp_path: Path, format: str) -> None:
    tone_book(tmp_path / "out", cover=picture())
    answer = export(tmp_path, "-o", f"book.{format}")
    assert (answer.status, answer.err.count("not as asked")) == (0, 0), answer.err
    path = tmp_path / f"book.{format}"
    samples, rate_hz = decoded(path)
    found = chapters(path)
    assert [title for title, _ in found] == TITLES
    # A chapter begins 30 ms before its speech, the first one with the file.
    heard = [0.0, *(begin - 0.03 for begin in spoken_from_s(samples, rate_hz)[1:])]
    assert [begin for _, begin in found] == pytest.approx(heard, abs=0.05)
    padding_s = 0.08  # what mutagen takes for sound: the encoder's own beginning and end
    assert len(samples) / rate_hz == pytest.approx(mutagen.File(path).info.length, abs=padding_s)
    assert tags(path) == ("Móby-Dick", "Herman Melville", picture())
    assert leftovers(tmp_path) == []


def tags(path: Path) -> tuple[str, str, bytes]:
    """Title, author and cover."""
    file = mutagen.File(path)
    match path.suffix:
        case ".m4b":
            assert file["stik"] == [2]
            return file["©nam"][0], file["©ART"][0], bytes(file["covr"][0])
        case ".mp3":
            assert f"{file['TLAN']}" == "eng"
            return f"{file['TIT2']}", f"{file['TPE1']}", file.tags.getall("APIC")[0].data
        case ".flac":
            return file["title"][0], file["artist"][0], file.pictures[0].data
        case _:
            block = mutagen_flac.Picture(b64decode(file["metadata_block_picture"][0]))
            return file["title"][0], file["artist"][0], block.data


@pytest.mark.parametrize("format", ["m4b", "mp3", "flac", "opus"])
@pytest.mark.parametrize("target", ["podcast", "-20"])
def test_a_loudness_is_reached_in_each_chapter(tmp_path: Path, format: str, target: str) -> None:
    tone_book(tmp_path / "out")
    answer = export(tmp_path, "-o", f"book.{format}", "--target", target)
    assert answer.status == 0, answer.err
    samples, rate_hz = decoded(tmp_path / f"book.{format}")
    wanted = -16 if target == "podcast" else -20
    begins = [round(it * rate_hz) for _, it in chapters(tmp_path / f"book.{format}")]
    report = figures(tmp_path / f"book.{format}.json")["files"][0]
    for start, end, told in zip(
        begins, [*begins[1:], len(samples)], report["chapters"], strict=True
    ):
        lufs, peak = loudness(samples[start:end], rate_hz)
        assert lufs == pytest.approx(wanted, abs=0.6)
        assert peak <= -0.95
        assert told["measured"]["lufs"] == pytest.approx(lufs, abs=0.15)
        assert told["measured"]["true_peak_dbfs"] == pytest.approx(peak, abs=0.3)


def check_acx(path: Path) -> None:
    """What ACX asks for, measured by others in the file."""
    samples, rate_hz = decoded(path)
    about = mutagen.File(path).info
    head_s, tail_s = ends_s(samples, rate_hz)
    assert -23 <= rms_db(samples) <= -18
    assert 20 * np.log10(np.abs(samples.astype(int)).max() / 32768) <= -3
    assert 0.5 <= head_s <= 1
    assert 1 <= tail_s <= 5
    assert (about.sample_rate, about.channels, round(about.bitrate / 1000)) == (44_100, 1, 192)
    assert f"{about.bitrate_mode}" == "BitrateMode.CBR"


@pytest.mark.parametrize(("voice", "level"), [("tone", 0.1), ("bf_emma", 0.3), ("pico_de", 1.0)])
def test_acx_holds_at_any_level(tmp_path: Path, voice: str, level: float) -> None:
    book(tmp_path / "out", [speech(voice, 9, level)], [speech(voice, 6, level)])
    answer = export(tmp_path, "-o", "files", "--per-chapter", "--target", "acx")
    assert answer.status == 0, answer.err
    paths = sorted((tmp_path / "files").glob("*.mp3"))
    assert [path.name for path in paths] == ["01 Loomings.mp3", "02 The Spouter Inn a b.mp3"]
    for path in paths:
        check_acx(path)


@pytest.mark.slow
@pytest.mark.parametrize("voice", ["af_heart", "bf_emma", "pico_de"])
def test_acx_holds_for_what_a_voice_has_spoken(tmp_path: Path, voice: str) -> None:
    for each in ("hibari", "py_nanotts"):
        pytest.importorskip(each, reason="the voices: the extra `local`")
    lines = [f"{number // 12},{text}" for number, text in enumerate(sentences(24).values(), 12)]
    (tmp_path / "m.csv").write_text("\n".join(["chapter,text", *lines]), encoding="utf-8")
    flags = ("--provider", "local", "--voice", voice, "-o", "out")
    run = ask("run", "m.csv", *flags, here=tmp_path, deadline=300)
    assert run.status == 0, run.err
    answer = export(tmp_path, "-o", "files", "--per-chapter", "--target", "acx")
    assert (answer.status, "not as asked" in answer.err) == (0, False), answer.err
    paths = sorted((tmp_path / "files").glob("*.mp3"))
    assert len(paths) == 2
    for path in paths:
        check_acx(path)
        samples, rate_hz = decoded(path)
        assert len(samples) / rate_hz > 40
        _, true_peak = loudness(samples, rate_hz)
        assert true_peak <= -3


def test_the_head_and_the_tail_are_as_long_as_asked(tmp_path: Path) -> None:
    tone_book(tmp_path / "out")
    assert export(tmp_path, "-o", "b.flac", "--head", "1.5", "--tail", "3").status == 0
    assert ends_s(*decoded(tmp_path / "b.flac")) == pytest.approx((1.5, 3.0), abs=0.06)


def test_the_table_and_the_report_tell_of_the_same(tmp_path: Path) -> None:
    tone_book(tmp_path / "out")
    answer = export(tmp_path, "-o", "b.m4b")
    heads, *rows = answer.out.splitlines()
    report = figures(tmp_path / "b.m4b.json")
    (file,) = report["files"]
    assert heads.split() == (
        "length gain dB LUFS RMS dB peak dB true peak floor dB head s tail s chapter".split()
    )
    assert [line.rpartition("  ")[2] for line in rows] == [*TITLES, "(all)"]
    assert report["batchtts_audiobook"] == 1
    assert report["asked"] == "-18 LUFS, peaks up to -1 dBTP"
    assert file["sha256"] == sha256((tmp_path / "b.m4b").read_bytes()).hexdigest()
    for line, told in zip(rows, file["chapters"], strict=False):
        assert f"{told['measured']['lufs']:.1f}" in line.split()


def test_only_a_file_has_a_head_and_a_tail(tmp_path: Path) -> None:
    tone_book(tmp_path / "out")
    one = export(tmp_path, "-o", "b.flac").out.splitlines()[1:]
    assert ["0.75    2.0" in line for line in one] == [False, False, False, True]
    each = export(tmp_path, "-o", "d", "--per-chapter").out.splitlines()[1:]
    assert ["0.75    2.0" in line for line in each] == [True, True, True]


def test_a_chapter_of_next_to_nothing_has_the_gain_of_the_book(tmp_path: Path) -> None:
    title, text = speech("tone", 0.4, 0.1), speech("tone", 20, 0.5)
    book(tmp_path / "out", [title], [text], [title])
    answer = export(tmp_path, "-o", "b.flac")
    assert answer.status == 0, answer.err
    (file,) = figures(tmp_path / "b.flac.json")["files"]
    first, whole, last = (chapter["gain_db"] for chapter in file["chapters"])
    assert first == last == pytest.approx(whole, abs=1.5)


def test_a_book_of_nothing_but_titles_is_made_in_one_go(tmp_path: Path) -> None:
    titles = [speech("tone", 0.4, 0.1 + level / 8) for level in range(7)]
    rows = [row(f"{n}", titles[n % 7], chapter=n) for n in range(1, 251)]
    shelve(tmp_path / "out", rows)
    answer = export(tmp_path, "-o", "b.m4b")
    assert answer.status == 0, answer.err
    (file,) = figures(tmp_path / "b.m4b.json")["files"]
    assert len({chapter["gain_db"] for chapter in file["chapters"]}) == 1
    assert len(chapters(tmp_path / "b.m4b")) == 250


def test_a_row_that_leaves_nothing_for_its_last_block_at_another_rate_is_heard(
    tmp_path: Path,
) -> None:
    """A block that is empty is not the end of the audio, and no limiter takes it."""
    click, loud = np.full(20, 9000, np.int16), np.full(HZ, 30_000, np.int16)
    for name, target in (("acx.mp3", "acx"), ("b.opus", "podcast")):
        book(tmp_path / "out", [speech("tone", 4), click, loud, click, speech("tone", 4)])
        answer = export(tmp_path, "-o", name, "--target", target)
        assert answer.status == 0, answer.err
        samples, rate_hz = decoded(tmp_path / name)
        told_s = figures(tmp_path / f"{name}.json")["files"][0]["chapters"][0]["measured"]
        assert len(samples) / rate_hz == pytest.approx(told_s["duration_s"], abs=0.01)


def test_the_same_book_gives_the_same_bytes(tmp_path: Path) -> None:
    tone_book(tmp_path / "out", cover=picture())
    for suffix in ("m4b", "mp3", "flac", "opus"):
        files = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
        for path in files:
            assert export(tmp_path, "-o", path.name).status == 0
        assert files[0].read_bytes() == files[1].read_bytes(), suffix


# ── what is not as it should be ───────────────────────────────────────────────


def test_a_book_with_gaps_is_refused_and_the_rows_are_named(tmp_path: Path) -> None:
    tone_book(tmp_path / "out", missing=5)
    answer = export(tmp_path, "-o", "b.m4b")
    assert answer.status == 2
    assert "lost-0" in answer.err
    assert len(answer.err.splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_partial_marks_the_gaps(tmp_path: Path) -> None:
    tone_book(tmp_path / "out", missing=5)
    answer = export(tmp_path, "-o", "b.m4b", "--partial")
    assert answer.status == 0, answer.err
    title = f"{TITLES[2]} (incomplete: 5 of 7 paragraphs missing)"
    assert chapters(tmp_path / "b.m4b")[2][0] == title
    assert mutagen.File(tmp_path / "b.m4b")["©cmt"] == ["incomplete: 5 of 11 paragraphs missing"]
    assert len(figures(tmp_path / "b.m4b.json")["missing"]) == 5


def test_a_chapter_that_is_missing_whole_is_told(tmp_path: Path) -> None:
    book(tmp_path / "out", [speech("tone", 2)], [], missing=2)
    answer = export(tmp_path, "-o", "b.m4b", "--partial")
    assert answer.status == 0, answer.err
    assert [title for title, _ in chapters(tmp_path / "b.m4b")] == TITLES[:1]
    assert TITLES[1] in answer.err


def test_what_cannot_be_as_loud_is_told_and_written(tmp_path: Path) -> None:
    silent = np.zeros(3 * HZ, np.int16)
    book(tmp_path / "out", [speech("tone", 3)], [silent])
    answer = export(tmp_path, "-o", "b.flac")
    assert answer.status == 3
    told = f"not as asked: b.flac, {TITLES[1]}: nothing in it can be heard"
    assert told in answer.err
    assert (tmp_path / "b.flac").is_file()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["-o", "book.wav"], "no format has that ending"),
        (["-o", "book.mp3", "--format", "m4b"], "its ending says mp3"),
        (["-o", "book.flac", "--bitrate", "64"], "flac has no bit rate"),
        (["-o", "book.m4b", "--target", "loud"], "no target 'loud'"),
        (["-o", "out", "--format", "m4b"], "is a directory"),
        (["-o", "out/results.parquet/book.m4b"], "file exists"),
        (["-o", "book.m4b", "--cover", "out/results.parquet"], "neither"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, flags: list[str], told: str) -> None:
    book(tmp_path / "out", [speech("tone", 1)])
    answer = export(tmp_path, *flags)
    assert answer.status in (2, 4)
    assert told in answer.err
    assert len(answer.err.splitlines()) <= 2
    assert not (tmp_path / "book.m4b").exists()


def test_a_damaged_cover_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    book(tmp_path / "out", [speech("tone", 1)], cover=picture()[:40])
    answer = export(tmp_path, "-o", "book.m4b")
    assert answer.status == 2
    assert "--no-cover" in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert export(tmp_path, "-o", "book.m4b", "--no-cover").status == 0


def test_a_format_without_room_for_all_chapters_is_refused(tmp_path: Path) -> None:
    samples = speech("tone", 0.1)
    shelve(tmp_path / "out", [row(f"{n}", samples, chapter=n) for n in range(1, 1001)])
    answer = export(tmp_path, "-o", "b.flac")
    assert (answer.status, "flac has 999 at most" in answer.err) == (2, True)


def test_acx_in_another_shape_is_made_and_told(tmp_path: Path) -> None:
    book(tmp_path / "out", [speech("tone", 4)])
    answer = export(tmp_path, "-o", "b.m4b", "--target", "acx")
    assert answer.status == 0
    assert "note: ACX takes MP3 of 192 kbps" in answer.err


# ── whose file it is ──────────────────────────────────────────────────────────


def test_an_export_replaces_what_it_has_written(tmp_path: Path) -> None:
    tone_book(tmp_path / "out")
    assert export(tmp_path, "-o", "b.m4b", "--target", "-20").status == 0
    first = (tmp_path / "b.m4b").read_bytes()
    assert export(tmp_path, "-o", "b.m4b").status == 0
    assert (tmp_path / "b.m4b").read_bytes() != first


def test_a_file_of_somebody_is_replaced_only_by_force(tmp_path: Path) -> None:
    tone_book(tmp_path / "out")
    assert export(tmp_path, "-o", "b.m4b").status == 0
    theirs = (tmp_path / "b.m4b").read_bytes() + b"and some"
    (tmp_path / "b.m4b").write_bytes(theirs)
    answer = export(tmp_path, "-o", "b.m4b")
    assert (answer.status, "--force" in answer.err) == (2, True)
    assert (tmp_path / "b.m4b").read_bytes() == theirs
    assert export(tmp_path, "-o", "b.m4b", "--force").status == 0
    assert (tmp_path / "b.m4b").read_bytes() == theirs.removesuffix(b"and some")


def test_files_of_an_earlier_export_go_when_they_are_no_more_of_the_book(tmp_path: Path) -> None:
    tone_book(tmp_path / "out")
    assert export(tmp_path, "-o", "d", "--per-chapter").status == 0
    (tmp_path / "d/mine.m4b").write_bytes(b"mine")
    book(tmp_path / "out", [speech("tone", 2)])
    assert export(tmp_path, "-o", "d", "--per-chapter").status == 0
    names = sorted(path.name for path in (tmp_path / "d").iterdir())
    assert names == ["01 Loomings.m4b", "audiobook.json", "mine.m4b"]


# ── kills ─────────────────────────────────────────────────────────────────────


def long_book(out: Path) -> Path:
    """Half an hour, of one row many times."""
    samples = speech("tone", 60)
    return book(out, [samples] * 30)


def scratch(directory: Path) -> Iterator[Path]:
    return directory.glob(".b.m4b.*.part")


def encoding(directory: Path) -> bool:
    """Whether a part of the file is written."""
    return any(path.stat().st_size > 50_000 for path in scratch(directory))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_export_that_is_killed_leaves_no_file_and_no_child(tmp_path: Path, number: int) -> None:
    long_book(tmp_path / "out")
    with started("export", "audiobook", "out", "-o", "b.m4b", here=tmp_path) as process:
        eventually(lambda: encoding(tmp_path))
        children = descendants(process.pid)
        os.kill(process.pid, number)
        status = process.wait(30)
    assert status == (130 if number == signal.SIGINT else -number)
    eventually(lambda: not any(Path(f"/proc/{child}/exe").exists() for child in children))
    eventually(lambda: not list(scratch(tmp_path)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "stderr"]
    assert (tmp_path / "stderr").read_text().strip() == ""


def test_a_child_that_is_killed_is_one_line(tmp_path: Path) -> None:
    long_book(tmp_path / "out")
    with started("export", "audiobook", "out", "-o", "b.m4b", here=tmp_path) as process:
        eventually(lambda: encoding(tmp_path))
        for child in descendants(process.pid):
            os.kill(child, signal.SIGKILL)
        assert process.wait(30) == 4
    told = (tmp_path / "stderr").read_text()
    assert "the encoder ended in the middle of it (killed by signal 9)" in told
    assert len(told.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "stderr"]


def test_what_a_killed_export_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    book(tmp_path / "out", [speech("tone", 2)])
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(30)
    names = [f".b.m4b.{gone.pid}.part", f".b.m4b.json.{gone.pid}.part", f".c.m4b.{gone.pid}.part"]
    for name in names:
        (tmp_path / name).write_bytes(b"begun")
    assert export(tmp_path, "-o", "b.m4b").status == 0
    assert leftovers(tmp_path) == [names[2]]


def export_after(code: str, name: str, *, here: Path) -> subprocess.CompletedProcess[str]:
    """Export in a process that does something else first."""
    code = f"{code}; from batchtts.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "export", "audiobook", "out", "-o", name],
        cwd=here,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    book(tmp_path / "out", [speech("tone", 20)])
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))"
    done = export_after(limited, "b.flac", here=tmp_path)
    assert done.returncode == 4
    assert "too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


# ── where FFmpeg is ───────────────────────────────────────────────────────────


def test_ffmpeg_is_loaded_by_no_process_but_the_child(tmp_path: Path) -> None:
    book(tmp_path / "out", [speech("tone", 1)])
    watched = "import sys, atexit; atexit.register(lambda: print('av' in sys.modules))"
    done = export_after(watched, "b.m4b", here=tmp_path)
    assert done.stdout.splitlines()[-1] == "False"


def test_no_module_but_those_of_the_child_knows_ffmpeg() -> None:
    users = {name for name, tree in TREES.items() if any(uses(it, "av") for it in imports(tree))}
    assert users == {"export.child", "export.files", "export.filters", "export.lame"}
    callers = {name for name in TREES if ours(name) & users}
    assert callers == {"export.child", "export.files"}


@pytest.mark.parametrize("missing", ["av", "lameenc"])
def test_without_the_encoder_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    book(tmp_path / "out", [speech("tone", 1)])
    hidden = (
        "import sys, importlib.util as util; found = util.find_spec;"
        f"util.find_spec = lambda name, *rest: None if name == {missing!r} else found(name, *rest)"
    )
    done = export_after(hidden, "b.m4b", here=tmp_path)
    assert done.returncode == 2
    assert "pip install 'batchtts[audiobook]'" in done.stderr
