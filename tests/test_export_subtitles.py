"""Subtitles, read back by parsers that others keep."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtts.export import filenames
from batchtts.export.alignment import Timed, align
from batchtts.export.assembly import Assembly, Gaps
from batchtts.export.book import Book, read_book
from batchtts.export.captions import LINE_COLUMNS, LONGEST_S, Caption, by_reading, by_word
from batchtts.export.cuefiles import FORMS, Form, Shown, settled, spell_srt, spell_vtt
from batchtts.export.shelving import write
from batchtts.export.subtitles import By, of_file, of_track
from batchtts.model import Word
from tests.e2e import TONE, ask, sentences, write_csv
from tests.shelf import row, shelve, voiced

CHANGED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
INVISIBLE = "\u2060"
LONG = (
    "It was the best of times, it was the worst of times, it was the age of wisdom. "
    "It was the age of foolishness, it was the epoch of belief; it was the season of Light."
)

#: Text as manifests have it, and worse.
scripts = st.text(
    st.one_of(
        st.sampled_from(" \n\t\r.,!?-–—<>&;:1a0\x00\x1b\u2028\u00a0\u200d\ufeff日本。語éß💥\u0301"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=400,
)


def seen(text: str) -> str:
    """What is seen of a text: without white space and control characters."""
    return "".join(it for it in text if not it.isspace() and not is_control(it))


def is_control(letter: str) -> bool:
    return ord(letter) < 32 or 127 <= ord(letter) < 160


def read_srt(text: str) -> list[Shown]:
    blocks = list(srt.parse(text))
    assert [it.index for it in blocks] == list(range(1, len(blocks) + 1))
    return [
        Shown(
            round(it.start.total_seconds() * 1000),
            round(it.end.total_seconds() * 1000),
            tuple(it.content.replace(INVISIBLE, "").split("\n")),
        )
        for it in blocks
    ]


def read_vtt(text: str) -> list[Shown]:
    return [
        Shown(
            it.start_time.in_milliseconds(),
            it.end_time.in_milliseconds(),
            tuple(html.unescape(it.text).split("\n")),
            it.voice or "",
        )
        for it in webvtt.from_buffer(io.StringIO(text)).captions
    ]


def read_back(form: Form, path: Path) -> list[Shown]:
    text = path.read_bytes().decode()
    return read_srt(text) if form == "srt" else read_vtt(text)


def joined(shown: Sequence[Shown]) -> str:
    return " ".join(line for it in shown for line in it.lines)


def check_times(shown: Sequence[Shown], duration_s: float) -> None:
    at_ms = 0
    for it in shown:
        assert at_ms <= it.start_ms < it.end_ms
        at_ms = it.end_ms
    assert at_ms <= max(duration_s * 1000, 1)


def even(text: str, duration_s: float) -> list[Timed]:
    return align(text, (), 0.0, duration_s)


def lines(captions: Sequence[Caption]) -> list[tuple[str, ...]]:
    return [it.lines for it in captions]


# ── division ──────────────────────────────────────────────────────────────────


def test_a_short_segment_is_one_caption() -> None:
    text = "  A lamp,\n\tand a chair.  "
    assert by_reading(text, even(text, 2.0), 0.0, 2.0) == [
        Caption(("A lamp, and a chair.",), 0.0, 2.0)
    ]


def test_a_paragraph_begins_a_caption() -> None:
    text = "One.\n \nTwo.\r\n\r\nThree.\nFour."
    assert lines(by_reading(text, even(text, 4.0), 0.0, 4.0)) == [
        ("One.",),
        ("Two.",),
        ("Three. Four.",),
    ]


def test_a_long_segment_is_divided_where_a_sentence_ends() -> None:
    captions = by_reading(LONG, even(LONG, 12.0), 0.0, 12.0)
    assert lines(captions) == [
        ("It was the best of times, it was the", "worst of times, it was the age of wisdom."),
        ("It was the age of foolishness,",),
        ("it was the epoch of belief;", "it was the season of Light."),
    ]
    assert [it.start_s for it in captions] == sorted(it.start_s for it in captions)


def test_what_is_spoken_slowly_is_divided_by_time() -> None:
    text = "one two three four five six"
    captions = by_reading(text, even(text, 20.0), 0.0, 20.0)
    assert len(captions) > 2
    assert all(it.end_s - it.start_s <= LONGEST_S for it in captions)


def test_a_script_without_spaces_is_divided_too() -> None:
    text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 4
    captions = by_reading(text, even(text, 30.0), 0.0, 30.0)
    assert "".join(line for it in captions for line in it.lines) == text
    assert all(len(line) <= LINE_COLUMNS // 2 for it in captions for line in it.lines)
    assert all(it.lines[-1].endswith("。") for it in captions)


def test_what_is_seen_as_one_character_is_not_torn() -> None:
    text = "e\u0301" * 43 + "👩\u200d🚀" * 43
    captions = by_reading(text, even(text, 9.0), 0.0, 9.0)
    told = [line for it in captions for line in it.lines]
    assert len(told) > 3
    assert all(line[0] in "e👩" for line in told)


def test_a_space_that_must_not_be_broken_is_not() -> None:
    text = "aaaa bbbb cccc dddd eeee ffff gggg «\u00a0hhhh iiii\u00a0» jjjj kkkk llll mmmm nnnn"
    captions = by_reading(text, even(text, 5.0), 0.0, 5.0)
    told = [line for it in captions for line in it.lines]
    assert any("«\u00a0hhhh" in line for line in told)
    assert any("iiii\u00a0»" in line for line in told)


@settings(max_examples=300, deadline=None)
@given(text=scripts, duration_s=st.floats(0, 100))
def test_captions_are_the_script_and_fit_the_screen(text: str, duration_s: float) -> None:
    timed = even(text, duration_s)
    for captions in (
        by_reading(text, timed, 0.0, duration_s),
        by_word(text, timed, 0.0, duration_s),
    ):
        told = [line for it in captions for line in it.lines]
        assert seen("".join(told)) == seen(text)
        assert all(line.strip() for line in told)
    for caption in by_reading(text, timed, 0.0, duration_s):
        assert len(caption.lines) <= 2


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab .,?\n", max_size=600), duration_s=st.floats(0, 60))
def test_words_are_never_divided(text: str, duration_s: float) -> None:
    captions = by_reading(text, even(text, duration_s), 0.0, duration_s)
    if max(map(len, text.split()), default=0) <= LINE_COLUMNS:
        told = [line for it in captions for line in it.lines]
        assert " ".join(told).split() == text.split()
        assert max(map(len, told), default=0) <= LINE_COLUMNS


# ── words ─────────────────────────────────────────────────────────────────────


def words(text: str, *, each_s: float = 0.5) -> list[Word]:
    return [Word(it, n * each_s, (n + 0.8) * each_s) for n, it in enumerate(text.split())]


def times(text: str, spoken: Sequence[Word], end_s: float) -> list[tuple[str, float, float]]:
    captions = by_word(text, align(text, spoken, 0.0, end_s), 0.0, end_s)
    return [(" ".join(it.lines), round(it.start_s, 6), round(it.end_s, 6)) for it in captions]


def test_words_have_the_times_of_the_provider() -> None:
    text = "“Well—” he said,\n  don’t!"
    assert times(text, words("well he said don’t", each_s=1.0), 4.0) == [
        ("“Well—”", 0.0, 0.8),
        ("he", 1.0, 1.8),
        ("said,", 2.0, 2.8),
        ("don’t!", 3.0, 3.8),
    ]


def test_a_number_is_shown_as_it_is_written() -> None:
    spoken = words("it costs one hundred dollars now", each_s=1.0)
    assert times("It costs $100 now.", spoken, 6.0) == [
        ("It", 0.0, 0.8),
        ("costs", 1.0, 1.8),
        ("$100", 2.0, 4.8),
        ("now.", 5.0, 5.8),
    ]


def test_a_word_that_the_provider_left_out_lies_between_the_others() -> None:
    found = times("one two three", [Word("one", 0.0, 1.0), Word("three", 3.0, 4.0)], 4.0)
    assert [it[0] for it in found] == ["one", "two", "three"]
    assert 1.0 < found[1][1] < found[1][2] < 3.0


def test_words_that_are_taken_apart_otherwise_are_found() -> None:
    spoken = [Word("a", 0.0, 0.2), Word("well", 0.2, 0.5), Word("(known fact.)", 0.5, 1.5)]
    assert times("A well-known fact!", spoken, 2.0) == [
        ("A", 0.0, 0.2),
        ("well-known", 0.2, 1.0),
        ("fact!", 1.1, 1.5),
    ]


def test_words_of_a_script_without_spaces_are_those_of_the_provider() -> None:
    spoken = [Word("猫", 0.0, 0.4), Word("である", 0.5, 1.0), Word("。", 1.0, 1.0)]
    assert [it[0] for it in times("猫である。", spoken, 1.2)] == ["猫", "である。"]


def test_a_mark_of_its_own_goes_with_a_word() -> None:
    spoken = words("yes no", each_s=1.0)
    assert [it[0] for it in times("— yes … no !", spoken, 2.0)] == ["— yes …", "no !"]


any_words = st.lists(
    st.builds(
        Word,
        st.one_of(st.text(max_size=8), st.sampled_from(["one", "two", "hundred"])),
        st.floats(-1, 60),
        st.floats(-1, 60),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(scripts, st.text("one two 100 ", max_size=60)), spoken=any_words)
def test_times_of_words_ascend_whatever_the_provider_tells(text: str, spoken: list[Word]) -> None:
    at_s = 2.0
    for it in align(text, spoken, 2.0, 50.0):
        assert at_s <= it.start_s <= it.end_s <= 50.0
        at_s = it.end_s
    captions = by_word(text, align(text, spoken, 2.0, 50.0), 2.0, 50.0)
    assert seen("".join(line for it in captions for line in it.lines)) == seen(text)


# ── files ─────────────────────────────────────────────────────────────────────


def test_a_file_begins_with_one_and_has_its_own_way_to_write_times() -> None:
    shown = [Shown(0, 1500, ("Fish & <chips>",), "Bea"), Shown(3_723_004, 3_724_000, ("a", "b"))]
    assert spell_srt(shown) == (
        "1\r\n00:00:00,000 --> 00:00:01,500\r\nFish & <chips>\r\n\r\n"
        "2\r\n01:02:03,004 --> 01:02:04,000\r\na\r\nb\r\n\r\n"
    )
    assert spell_vtt(shown) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n<v Bea>Fish &amp; &lt;chips&gt;\n\n"
        "01:02:03.004 --> 01:02:04.000\na\nb\n\n"
    )


def test_a_time_in_a_script_is_no_time_of_a_caption() -> None:
    text = "00:00:01,000 --> 00:00:02,000"
    shown = [
        Shown(0, 900, (text,)),
        Shown(1000, 2000, ("NOTE", "STYLE")),
        Shown(2000, 2100, ("7",)),
    ]
    assert read_srt(spell_srt(shown)) == shown
    assert read_vtt(spell_vtt(shown)) == shown
    assert spell_srt(shown).count("-->") == spell_vtt(shown).count("-->") == len(shown)


@settings(max_examples=200, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(-5, 60), st.integers(-5, 60)), max_size=30),
    limit_ms=st.integers(0, 60),
)
def test_captions_never_overlap_and_none_is_lost(
    spans: list[tuple[int, int]], limit_ms: int
) -> None:
    shown = [Shown(start, end, (f"{n}",)) for n, (start, end) in enumerate(spans)]
    found = settled(shown, limit_ms)
    check_times(found, limit_ms / 1000)
    assert joined(found).split() == [f"{n}" for n in range(len(spans))]


def test_captions_that_are_in_order_are_left_as_they_are() -> None:
    shown = [Shown(0, 10, ("a",)), Shown(10, 30, ("b",)), Shown(90, 100, ("c",))]
    assert settled(shown, 100) == shown


@settings(max_examples=60, deadline=None, suppress_health_check=CHANGED)
@given(texts=st.lists(scripts, min_size=1, max_size=4), by=st.sampled_from(["segment", "word"]))
def test_a_parser_finds_the_script_in_the_file(tmp_path: Path, texts: list[str], by: By) -> None:
    book = book_of(tmp_path, texts, spoken=True)
    assembly = Assembly(book, Gaps())
    shown = of_track(assembly, book.chapters, by)
    check_times(shown, assembly.duration_s(*book.chapters))
    for form in FORMS:
        path = tmp_path / f"it.{form}"
        write(tmp_path / "it.json", [(path, form, shown)], [path], is_forced=True)
        found = read_back(form, tmp_path / f"it.{form}")
        assert [it[:2] for it in found] == [it[:2] for it in shown]
        assert seen(joined(found)) == seen("".join(texts).replace(INVISIBLE, ""))


def book_of(out: Path, texts: Sequence[str], *, spoken: bool = False) -> Book:
    sound = voiced(0.5, quiet_s=0.1)
    rows = []
    for number, text in enumerate(texts):
        told = [{"text": it, "start_s": 0.1, "end_s": 0.3} for it in text.split()]
        rows.append(row(f"r{number}", sound, text=text, words=told if spoken else None))
    return read_book(shelve(out, rows), partial=False, has_words=True)


def test_each_row_is_shown_while_it_is_heard(tmp_path: Path) -> None:
    book = book_of(tmp_path, ["One.", "Two.", "Three."])
    gaps = Gaps(head_s=1.0, paragraph_s=1.0, tail_s=1.0)
    shown = of_track(Assembly(book, gaps), book.chapters, "segment")
    found = [(it.start_ms, it.end_ms) for it in shown]
    expected = [(1000, 1500), (2500, 3000), (4000, 4500)]
    assert found == [pytest.approx(it, abs=80) for it in expected]


def test_segments_of_a_row_are_shown_when_they_are_spoken(tmp_path: Path) -> None:
    text = "One is here. Two is there."
    cues = [
        {"start": 0, "end": 13, "start_s": 0.1, "end_s": 0.9, "voice": ""},
        {"start": 13, "end": 26, "start_s": 1.2, "end_s": 1.9, "voice": "bea"},
    ]
    out = shelve(tmp_path, [row("a", voiced(1.8, quiet_s=0.1), text=text, cues=cues)])
    book = read_book(out, partial=False)
    assert of_file(book.rows[0], book.voice, "segment") == [
        Shown(100, 900, ("One is here.",)),
        Shown(1200, 1900, ("Two is there.",), "bea"),
    ]
    vtt = spell_vtt(of_file(book.rows[0], book.voice, "segment"))
    assert "<v bea>Two is there." in vtt


def test_segments_of_another_text_are_not_believed(tmp_path: Path) -> None:
    cue = {"start": 0, "end": 99, "start_s": 0.1, "end_s": 0.2, "voice": ""}
    out = shelve(tmp_path, [row("a", voiced(0.5, quiet_s=0.1), text="One.", cues=[cue])])
    found = of_file(read_book(out, partial=False).rows[0], "ada", "segment")
    assert found == [Shown(0, 700, ("One.",))]


def test_words_belong_to_the_segment_that_they_are_spoken_in(tmp_path: Path) -> None:
    text = "So so. So so."
    cues = [
        {"start": 0, "end": 7, "start_s": 0.0, "end_s": 1.0, "voice": ""},
        {"start": 7, "end": 13, "start_s": 2.0, "end_s": 3.0, "voice": ""},
    ]
    spoken = [{"text": "so", "start_s": at, "end_s": at + 0.4} for at in (0.5, 2.0, 2.5)]
    out = shelve(tmp_path, [row("a", voiced(3.0), text=text, cues=cues, words=spoken)])
    book = read_book(out, partial=False, has_words=True)
    found = of_file(book.rows[0], "ada", "word")
    assert [it.start_ms for it in found][2:] == [2000, 2500]
    assert joined(found) == text


# ── names ─────────────────────────────────────────────────────────────────────


def test_files_have_names_that_every_file_system_takes() -> None:
    assert filenames.of_book("The Lamp: a/b?") == "The Lamp a b"
    assert filenames.of_book("..") == "book"
    assert filenames.of_chapter(3, 120, "Fire\n& Ice") == "003 Fire & Ice"
    assert filenames.of_chapter(3, 9, "") == "03"
    assert len(filenames.of_book("é" * 300).encode()) <= 120


# ── the command ───────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("demo")
    write_csv(here / "demo.csv", sentences(4))
    answer = ask("run", "demo.csv", *TONE, here=here)
    assert answer.status == 0, answer.err
    return here


def test_a_job_has_subtitles(demo: Path) -> None:
    answer = ask("export", "subtitles", "demo", here=demo)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.split() == ["demo/subtitles/demo.srt", "demo/subtitles/demo.vtt"]
    book = read_book(demo / "demo", partial=False)
    duration_s = Assembly(book, Gaps()).duration_s(*book.chapters)
    for form in FORMS:
        found = read_back(form, demo / "demo" / "subtitles" / f"demo.{form}")
        check_times(found, duration_s)
        assert joined(found).split() == " ".join(sentences(4).values()).split()


def test_the_same_job_has_the_same_subtitles(demo: Path) -> None:
    for name in ("one.srt", "two.srt"):
        assert ask("export", "subtitles", "demo", "-o", name, here=demo).status == 0
    assert (demo / "one.srt").read_bytes() == (demo / "two.srt").read_bytes()
    assert not list(demo.glob(".*.part"))


def test_subtitles_stand_beside_each_file(demo: Path) -> None:
    answer = ask("export", "subtitles", "demo", "--raw", "--format", "srt", here=demo)
    assert answer.status == 0, answer.err
    book = read_book(demo / "demo", partial=False)
    for it in book.rows:
        found = read_back("srt", it.path.with_suffix(".srt"))
        check_times(found, it.audio_s)
        assert joined(found).split() == it.text.split()
    assert ask("check", "demo", here=demo).status == 0


def test_each_chapter_has_its_own_file(tmp_path: Path) -> None:
    sound = voiced(0.5)
    rows = [
        row("a", sound, text="Hello there.", chapter=1, chapter_title="Fire"),
        row("b", sound, text="And here.", chapter=2, chapter_title="Ice/Snow"),
    ]
    shelve(tmp_path / "book", rows)
    arguments = ("--per-chapter", "-o", "made", "--format", "vtt", "--head", "1")
    answer = ask("export", "subtitles", "book", *arguments, here=tmp_path)
    assert answer.out.splitlines() == ["made/01 Fire.vtt", "made/02 Ice Snow.vtt"]
    (only,) = read_back("vtt", tmp_path / "made" / "02 Ice Snow.vtt")
    assert only.lines == ("And here.",)
    assert only.start_ms == pytest.approx(1000, abs=80)


def test_help_tells_every_default(tmp_path: Path) -> None:
    told = " ".join(ask("export", "subtitles", "--help", here=tmp_path).out.split())
    for each in (
        "0.75",
        "0.7;",
        "1.2;",
        "2.0;",
        "OUT/subtitles",
        "segment",
        "Exit status:",
        "Examples:",
    ):
        assert each in told


def test_words_without_times_are_told_of(demo: Path) -> None:
    shelve(demo / "bare", [row("a", voiced(0.5))])
    answer = ask("export", "subtitles", "bare", "--by", "word", here=demo)
    assert answer.status == 0
    assert "note: 1 of 1 rows have no times of words" in answer.err


def test_a_partial_book_has_subtitles_only_if_that_is_asked_for(tmp_path: Path) -> None:
    shelve(tmp_path / "book", [row("a", voiced(0.5)), row("b", error_message="stalled")])
    answer = ask("export", "subtitles", "book", here=tmp_path)
    assert answer.status == 2
    assert answer.err.splitlines()[0] == (
        "batchtts: book: not all of it is there: b (failed: stalled) is missing"
    )
    answer = ask("export", "subtitles", "book", "--partial", here=tmp_path)
    assert answer.status == 0
    assert answer.err == "note: book: b (failed: stalled) missing\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "x.srt", "--per-chapter"), "name a directory"),
        (("-o", "x.srt", "--format", "vtt"), "cannot be vtt"),
        (("-o", "x.ass"), "x.ass: subtitles are .srt and .vtt"),
        (("--raw", "-o", "x"), "--raw writes beside each audio file"),
        (("--head", "-1"), "--head"),
        (("--tail", "nan"), "'nan' is not a number"),
        (("--column", "none"), 'no column "none"'),
    ],
)
def test_a_wrong_command_is_one_line(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    shelve(tmp_path / "book", [row("a", voiced(0.5))])
    answer = ask("export", "subtitles", "book", *arguments, here=tmp_path)
    assert answer.status == 2
    assert told in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("flags", [["-o", "it.srt"], ["-o", "them"], ["--raw"]])
def test_a_file_of_somebody_is_replaced_only_by_force(tmp_path: Path, flags: list[str]) -> None:
    shelve(tmp_path / "out", [row("one", voiced(1.0)), row("two", voiced(1.0))])
    command = ("export", "subtitles", "out", *flags)
    path = tmp_path / ask(*command, here=tmp_path).out.splitlines()[0]
    ours = path.read_bytes()
    assert ask(*command, here=tmp_path).status == 0
    path.write_bytes(b"mine")
    refused = ask(*command, here=tmp_path)
    assert (refused.status, len(refused.err.splitlines())) == (2, 2)
    assert "--force" in refused.err
    assert path.read_bytes() == b"mine"
    assert ask(*command, "--force", here=tmp_path).status == 0
    assert path.read_bytes() == ours
    assert not list(tmp_path.rglob("*.part"))


def test_one_form_of_subtitles_leaves_the_other(tmp_path: Path) -> None:
    shelve(tmp_path / "out", [row("one", voiced(1.0))])
    for form in ("srt", "vtt", "srt", "both"):
        command = ("export", "subtitles", "out", "-o", "them", "--format", form)
        assert ask(*command, here=tmp_path).status == 0
    assert sorted(path.suffix for path in (tmp_path / "them").iterdir()) == [
        ".json",
        ".srt",
        ".vtt",
    ]


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    shelve(tmp_path / "book", [row("a", voiced(0.5))])
    (tmp_path / "file").write_text("")
    answer = ask("export", "subtitles", "book", "-o", "file/x.srt", here=tmp_path)
    assert answer.status == 4
    assert "Traceback" not in answer.err


def test_a_very_long_segment_is_aligned_at_all() -> None:
    spoken = words("one and two and the three of them " * 1500)
    text = "One and 2 and the three of them. " * 1500
    timed = align(text, spoken, 0.0, spoken[-1].end_s)
    captions = by_word(text, timed, 0.0, spoken[-1].end_s)
    assert len(captions) == 12_000
