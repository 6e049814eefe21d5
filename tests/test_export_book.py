"""An output directory read as a book."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtts.errors import UsageError
from batchtts.export.book import CHAPTER_CHARS, Book, read_book
from batchtts.model import Cue, Word
from tests.e2e import TONE, ask, sentences, write_csv
from tests.shelf import HZ, row, shelve, voiced

SOUND = voiced(0.1, quiet_s=0.01)


def read(out: Path, *rows: dict[str, Any], partial: bool = False, **more: Any) -> Book:  # noqa: ANN401
    return read_book(shelve(out, rows, **more), partial=partial)


def shape(book: Book) -> list[tuple[int, str, list[str]]]:
    return [(it.number, it.title, [row.id for row in it.rows]) for it in book.chapters]


def test_rows_are_grouped_by_chapter_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        row("b", SOUND, chapter=4, chapter_title="Fire", kind="heading", paragraph=0),
        row("a", SOUND, chapter=4, chapter_title="Fire", kind="paragraph", paragraph=1),
        row("c", SOUND, chapter=2, chapter_title=None, kind="paragraph", paragraph=0),
        row("d", SOUND, chapter=4, chapter_title="Fire", kind="paragraph", paragraph=2),
    )
    assert shape(book) == [(4, "Fire", ["b", "a", "d"]), (2, "Chapter 2", ["c"])]
    assert [it.kind for it in book.chapters[0].rows] == ["heading", "paragraph", "paragraph"]
    assert [it.paragraph for it in book.chapters[0].rows] == [0, 1, 2]


def test_chapters_may_have_names_and_no_numbers(tmp_path: Path) -> None:
    rows = [row(f"r{n}", SOUND, chapter_title=title) for n, title in enumerate(["A", "A", "B"])]
    assert shape(read(tmp_path, *rows)) == [(1, "A", ["r0", "r1"]), (2, "B", ["r2"])]


def test_rows_without_a_chapter_are_one_that_is_called_as_the_book(tmp_path: Path) -> None:
    rows = [row("front", SOUND, chapter=None), row("one", SOUND, chapter=1)]
    book = read(tmp_path, *rows, title="The Lamp")
    assert shape(book) == [(1, "The Lamp", ["front"]), (1, "Chapter 1", ["one"])]


def test_a_job_without_chapters_is_one(tmp_path: Path) -> None:
    book = read(tmp_path / "demo", row("a", SOUND), row("b", SOUND))
    assert shape(book) == [(1, "demo", ["a", "b"])]


def test_rows_as_long_as_chapters_are_chapters(tmp_path: Path) -> None:
    long = "x" * CHAPTER_CHARS
    rows = [row("one", SOUND, text=long), row("two", SOUND, text=long), row("end", SOUND)]
    assert shape(read(tmp_path, *rows)) == [
        (1, "one", ["one"]),
        (2, "two", ["two"]),
        (3, "end", ["end"]),
    ]


def test_what_is_known_of_the_book_is_in_the_metadata(tmp_path: Path) -> None:
    cover = {b"batchtts.cover": b"\xff\xd8\xff", b"batchtts.cover_type": b"image/jpeg"}
    book = read(
        *(tmp_path, row("a", SOUND)),
        metadata={key.decode(): value for key, value in cover.items()},
        title="Emma",
        author=["Jane Austen", "Somebody"],
        language="en-GB",
    )
    assert (book.title, book.authors, book.language) == (
        "Emma",
        ("Jane Austen", "Somebody"),
        "en-GB",
    )
    assert (book.cover, book.cover_type) == (b"\xff\xd8\xff", "image/jpeg")


def test_a_book_that_nothing_is_known_of_is_called_as_its_directory(tmp_path: Path) -> None:
    book = read(tmp_path / "emma", row("a", SOUND, language="nl"))
    assert (book.title, book.authors, book.language, book.cover) == ("emma", (), "nl", None)


def test_what_somebody_knows_better_counts(tmp_path: Path) -> None:
    book = read(tmp_path, row("a", SOUND), title="Emma", author=["Jane Austen"])
    cover = tmp_path / "cover"
    cover.write_bytes(b"\x89PNG\r\n\x1a\n...")
    told = book.described(title="Emma!", authors=["J. A."], cover=cover)
    assert (told.title, told.authors, told.cover_type) == ("Emma!", ("J. A.",), "image/png")
    assert book.described() == book
    cover.write_bytes(b"GIF89a")
    with pytest.raises(UsageError, match="a cover is a JPEG or a PNG"):
        book.described(cover=cover)
    with pytest.raises(UsageError, match="no such file"):
        book.described(cover=tmp_path / "none.png")


def test_rows_that_are_not_done_are_refused_by_name(tmp_path: Path) -> None:
    failed = [row(f"f{n}", error_message="no audio within 20 s") for n in range(5)]
    out = shelve(tmp_path, [row("a", SOUND), *failed, row("p", status="pending")])
    with pytest.raises(UsageError) as caught:
        read_book(out, partial=False)
    told = f"{caught.value}"
    assert "f0 (failed: no audio within 20 s), f1" in told
    assert "f3" not in told
    assert told.endswith("and 3 more are missing")
    assert "run the same job again" in (caught.value.hint or "")


def test_a_partial_book_tells_what_is_missing_where(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        row("a", SOUND, chapter=1),
        row("b", chapter=1, error_message="stalled"),
        row("c", status="pending", chapter=2),
        partial=True,
    )
    assert shape(book) == [(1, "Chapter 1", ["a"]), (2, "Chapter 2", [])]
    assert [it.missing for it in book.chapters] == [["b (failed: stalled)"], ["c (pending)"]]


def test_a_book_of_which_nothing_is_there_is_refused(tmp_path: Path) -> None:
    out = shelve(tmp_path, [row("a")])
    with pytest.raises(UsageError, match="not one row is spoken"):
        read_book(out, partial=True)
    out = shelve(tmp_path, [])
    with pytest.raises(UsageError, match="no rows"):
        read_book(out, partial=True)


def test_a_directory_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no results\.parquet in it"):
        read_book(tmp_path, partial=False)
    with pytest.raises(UsageError, match="no such directory"):
        read_book(tmp_path / "none", partial=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not a directory"):
        read_book(tmp_path / "file", partial=False)
    (tmp_path / "results.parquet").write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(UsageError, match="cannot be read"):
        read_book(tmp_path, partial=False)
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "results.parquet")
    with pytest.raises(UsageError, match='no column "status"'):
        read_book(tmp_path, partial=False)


def test_audio_that_is_missing_or_of_another_size_is_refused(tmp_path: Path) -> None:
    out = shelve(tmp_path, [row("a", SOUND), row("b", SOUND)])
    path = out / "wav" / "b.wav"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UsageError, match="the audio of row b has"):
        read_book(out, partial=True)
    path.unlink()
    with pytest.raises(UsageError, match="the audio of row b is not there"):
        read_book(out, partial=True)


def test_metadata_that_is_no_book_is_refused(tmp_path: Path) -> None:
    out = shelve(tmp_path, [row("a", SOUND)], metadata={"batchtts.book": b"[1]"})
    with pytest.raises(UsageError, match="what it says of the book"):
        read_book(out, partial=False)


def test_cues_and_words_are_read(tmp_path: Path) -> None:
    cue = {"start": 0, "end": 3, "start_s": 0.1, "end_s": 0.5, "voice": None}
    word = {"text": "Hm", "start_s": 0.1, "end_s": 0.4}
    out = shelve(tmp_path, [row("a", SOUND, cues=[cue], words=[word]), row("b", SOUND)])
    one, other = read_book(out, partial=False, has_words=True).rows
    assert one.cues == (Cue(0, 3, 0.1, 0.5, ""),)
    assert one.words == (Word("Hm", 0.1, 0.4),)
    assert (other.cues, other.words) == ((), None)
    assert read_book(out, partial=False).rows[0].words is None


def test_the_column_of_the_script_is_the_one_that_is_as_long_as_it(tmp_path: Path) -> None:
    out = shelve(
        tmp_path,
        [row(f"r{n}", SOUND, text="short", lines="the script", text_chars=10) for n in range(3)],
    )
    assert read_book(out, partial=False).rows[0].text == "the script"
    assert read_book(out, partial=False, column="text").rows[0].text == "short"
    with pytest.raises(UsageError, match='no column "words_of_it"'):
        read_book(out, partial=False, column="words_of_it")


def test_a_script_may_be_stored_in_a_dictionary(tmp_path: Path) -> None:
    out = shelve(tmp_path, [row("a", SOUND, note="?"), row("b", SOUND, note="?")])
    table = pq.read_table(out / "results.parquet")
    at = table.column_names.index("text")
    table = table.set_column(at, "text", table["text"].dictionary_encode())
    pq.write_table(table, out / "results.parquet")
    assert [it.text for it in read_book(out, partial=False).rows] == ["Hm.", "Hm."]


def test_most_of_a_book_decides_on_its_voice_and_rate(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        row("a", voiced(3.0), voice="bea"),
        row("b", voiced(0.5, hz=8000), hz=8000, voice="ada"),
        row("c", voiced(0.5, hz=8000), hz=8000, voice="ada"),
    )
    assert book.voice == "bea"
    assert book.sample_rate_hz == 8000
    assert book.rates_hz == {HZ: 1, 8000: 2}


def test_any_job_is_a_book(tmp_path: Path) -> None:
    rows = sentences(6)
    write_csv(tmp_path / "demo.csv", rows)
    assert ask("run", "demo.csv", *TONE, here=tmp_path).status == 0
    book = read_book(tmp_path / "demo", partial=False)
    assert shape(book) == [(1, "demo", [*rows])]
    assert [it.text for it in book.rows] == [*rows.values()]
    assert all(it.audio_s > 0.1 for it in book.rows)
