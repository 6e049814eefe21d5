"""`batchtts book` from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtts.book.choice import choose
from batchtts.book.parts import Chapter
from batchtts.errors import SettingsError
from tests.e2e import TONE, ask, environment, results
from tests.epubs import JPEG, by_hand, by_library, page

CHAPTERS = {
    "Loomings": "<h1>1</h1><p>Call me Ishmael.</p><p>12</p>",
    "The Bag": "<h1>2</h1><p>I stuffed a shirt.</p>",
    "The Inn": '<h1>3</h1><p>A low door.<a epub:type="noteref" href="#n">1</a></p>',
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with whale.epub in it."""
    path = tmp_path_factory.mktemp("books")
    by_library(path / "whale.epub", CHAPTERS, cover=JPEG)
    return path


def test_a_book_becomes_a_manifest_that_is_spoken(here: Path) -> None:
    answer = ask("book", "whale.epub", "-o", "whale.parquet", here=here)
    assert (answer.status, answer.out) == (0, "")
    first, *others = answer.err.splitlines()
    assert first == "whale.parquet: 6 rows in 3 chapters, 13 words, about 0 minutes"
    assert "left out: 1 footnote marks (1 words): EPUB/text/2.xhtml" in others
    assert "left out: 1 page numbers (1 words): EPUB/text/0.xhtml" in others
    assert all(line.startswith("left out: ") for line in others)
    table = pq.read_table(here / "whale.parquet")
    assert table.schema.remove_metadata() == pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("chapter", pa.int32(), nullable=False),
            pa.field("chapter_title", pa.string(), nullable=False),
            pa.field("paragraph", pa.int32(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("voice", pa.string()),
        ]
    )
    assert table.slice(0, 3).to_pylist() == [
        dict(zip(table.column_names, row, strict=True))
        for row in [
            ("c001-p0000", "1", 1, "Loomings", 0, "heading", None),
            ("c001-p0001", "Call me Ishmael.", 1, "Loomings", 1, "paragraph", None),
            ("c002-p0000", "2", 2, "The Bag", 0, "heading", None),
        ]
    ]
    metadata = table.schema.metadata
    assert json.loads(metadata[b"batchtts.book"]) == {
        "title": "The Whale",
        "author": ["Jo Doe", "Ann Roe"],
        "language": "en-GB",
        "identifier": "urn:uuid:1",
    }
    assert metadata[b"batchtts.cover"] == JPEG
    assert metadata[b"batchtts.cover_type"] == b"image/jpeg"
    plan = ask("plan", "whale.parquet", *TONE, here=here)
    assert plan.out.startswith("+6 new, ")
    spoken = ask("run", "whale.parquet", *TONE, "-q", here=here)
    assert (spoken.status, spoken.err) == (0, "")
    assert [row["chapter_title"] for row in results(here / "whale")][::2] == [*CHAPTERS]


def test_the_same_book_makes_the_same_bytes(here: Path) -> None:
    for name in ("a.parquet", "b.parquet", "b.parquet"):
        assert ask("book", "whale.epub", "-o", name, here=here).status == 0
    assert (here / "a.parquet").read_bytes() == (here / "b.parquet").read_bytes()
    assert not list(here.glob(".*"))


def test_a_list_shows_chapters_and_what_is_left_out_and_writes_nothing(here: Path) -> None:
    before = sorted(here.iterdir())
    answer = ask("book", "whale.epub", "--list", "-o", "no.parquet", here=here)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[:4] == [
        "chapter  paragraphs  words  minutes  title",
        "1        1           4      0        Loomings",
        "2        1           5      0        The Bag",
        "3        1           4      0        The Inn",
    ]
    assert "left out: 1 page numbers (1 words): EPUB/text/0.xhtml" in answer.out
    assert sorted(here.iterdir()) == before


def test_chapters_are_chosen_and_keep_their_numbers(here: Path) -> None:
    answer = ask("book", "whale.epub", "-o", "some.parquet", "--chapters", "1,3-", here=here)
    assert answer.err.startswith("some.parquet: 4 rows in 2 of 3 chapters, ")
    ids = pq.read_table(here / "some.parquet").column("id").to_pylist()
    assert ids == ["c001-p0000", "c001-p0001", "c003-p0000", "c003-p0001"]
    answer = ask("book", "whale.epub", "--list", "--chapters", "2", here=here)
    assert answer.out.splitlines()[1].split() == ["2", "1", "5", "0", "The", "Bag"]


def test_ranges_are_read_as_they_are_written() -> None:
    chapters = [Chapter(n, f"{n}", ()) for n in range(1, 12)]
    for wanted, numbers in [
        ("3", [3]),
        ("3-5", [3, 4, 5]),
        (" 9 - ", [9, 10, 11]),
        ("4-5,1,5-6", [1, 4, 5, 6]),
    ]:
        assert [it.number for it in choose(chapters, wanted)] == numbers
    for wanted, problem in [
        ("12", "no chapter 12; there are 11"),
        ("3-12", "no chapter 12; there are 11"),
        ("0", "no chapter 0; there are 11"),
        ("12-", "no chapter 12; there are 11"),
        ("5-3", "'5-3' ends before it begins"),
        ("a", "'a' is no range"),
        ("1,,2", "'' is no range"),
        ("-3", "'-3' is no range"),
    ]:
        with pytest.raises(SettingsError, match=problem):
            choose(chapters, wanted)


def test_what_belongs_to_the_page_is_kept_if_somebody_wants_it(here: Path) -> None:
    ask("book", "whale.epub", "-o", "all.parquet", "--keep", "pages, marks", here=here)
    texts = pq.read_table(here / "all.parquet").column("text").to_pylist()
    assert "12" in texts
    assert "A low door.1" in texts


def test_what_is_wrong_is_told_in_a_line(here: Path) -> None:
    (here / "text.txt").write_text("Not a table.", encoding="utf-8")
    by_hand(here / "locked.epub", {"a.xhtml": page("a")}, more={"META-INF/rights.xml": "<x/>"})
    out = ("-o", "out.parquet")
    for command, says in [
        (["whale.epub"], "no -o BOOK.parquet"),
        (["nothing.epub", *out], "nothing.epub: no such file"),
        (["locked.epub", *out], "locked.epub: is protected (Adobe DRM, META-INF/rights.xml)"),
        (["text.txt", "-o", "text.txt"], "text.txt: is there already, and no Parquet file"),
        (["text.txt", "-o", "."], ".: is a directory"),
        (["whale.epub", "-o", "a.csv"], "a.csv: a manifest of a book is Parquet"),
        (["whale.epub", "-o", "book"], "book: a manifest of a book is Parquet"),
        (["text.txt", "-o", "text.txt/out.parquet"], "text.txt: is a file, not a directory"),
        (["whale.epub", *out, "--chapters", "3-7"], "--chapters 3-7: no chapter 7; there are 3"),
        (["whale.epub", *out, "--keep", "images"], "--keep: nothing called 'images' can be kept"),
    ]:
        answer = ask("book", *command, here=here)
        assert (answer.status, answer.out) == (2, "")
        wrong, *hint = answer.err.splitlines()
        assert wrong == f"batchtts: {says}"
        assert [line[:8] for line in hint] in ([], ["  hint: "])
    assert (here / "text.txt").read_text(encoding="utf-8") == "Not a table."
    assert not (here / "out.parquet").exists()


def test_without_its_libraries_it_says_what_to_install(here: Path) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'lxml' else find(name, *rest)\n"
        "from batchtts.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "book", "whale.epub", "--list"],
        cwd=here,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "batchtts: to read books takes the extra `book`\n  hint: pip install 'batchtts[book]'\n"
    )


def test_the_package_does_without_the_library_that_makes_the_books(here: Path) -> None:
    code = "import sys; sys.modules['ebooklib'] = None; from batchtts.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "book", "whale.epub", "--list"],
        cwd=here,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


def test_the_directory_of_the_manifest_is_made(here: Path) -> None:
    (here / "text.txt").write_text("Call me Ishmael.", encoding="utf-8")
    assert ask("book", "text.txt", "-o", "new/deep/out.parquet", here=here).status == 0
    assert pq.read_table(here / "new/deep/out.parquet").num_rows == 1
