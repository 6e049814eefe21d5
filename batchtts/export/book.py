"""An output directory as a book: its rows in the order of the manifest, in chapters.

Any job can be read so, not only one that `batchtts book` made. Rows that have the same
`chapter` (or `chapter_title`, if that is all there is) are a chapter, which stands where
its first row does. Without either, each row is a chapter if half of them are as long as
chapters are, and otherwise all rows are one that has the title of the book.

What is read is results.parquet; the audio itself is only looked for, by its size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.errors import UsageError
from batchtts.model import Cue, Word
from batchtts.record.scripts import script_column
from batchtts.record.store import Layout

CHAPTER_CHARS = 2000  # half of the rows are as long: each is a chapter

_AT_ONCE = 64  # rows that are read together; one may have the words of two hours
_NAMED = 3  # rows that a message names
_NEEDED = (
    "id status path text_chars voice language sample_rate_hz audio_s bytes error_message".split()
)
_WANTED = ("chapter", "chapter_title", "paragraph", "kind", "cues")
_COVERS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
DAMAGED_HINT = "run the job again; if that is not enough, `batchtts check --repair` before it"
_AGAIN = "run the same job again, then export; or export what is there with --partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A row that is done, and its audio.

    Attributes:
        path: Of the audio file.
        frames: Samples in it.
        kind: What the text is: ``heading`` or ``paragraph``.
        paragraph: Its number in the chapter, if the manifest has it.
        cues: Of its segments; none if it was spoken in one.
        words: Times of the provider, from the beginning of the file.
    """

    id: str
    text: str
    path: Path
    frames: int
    sample_rate_hz: int
    voice: str = ""
    kind: str = "paragraph"
    paragraph: int | None = None
    cues: tuple[Cue, ...] = ()
    words: tuple[Word, ...] | None = None

    @property
    def audio_s(self) -> float:
        """Seconds of audio in the file."""
        return self.frames / self.sample_rate_hz


@dataclass(slots=True)
class Chapter:
    """A part of a book.

    Attributes:
        number: As the manifest has it, if that is a number; otherwise its place, from 1.
        missing: Rows without audio: their ids, and why.
    """

    number: int
    title: str
    rows: list[Spoken] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What was spoken, and what is known of it.

    Attributes:
        language: BCP 47 tag, or nothing.
        cover: A picture, and its media type.
    """

    title: str
    authors: tuple[str, ...] = ()
    language: str = ""
    cover: bytes | None = None
    cover_type: str = ""
    chapters: list[Chapter] = field(default_factory=list)

    @property
    def rows(self) -> list[Spoken]:
        """All that was spoken, in order."""
        return [row for chapter in self.chapters for row in chapter.rows]

    @property
    def missing(self) -> list[str]:
        """All that was not."""
        return [told for chapter in self.chapters for told in chapter.missing]

    @property
    def voice(self) -> str:
        """Who speaks most of it."""
        return max(self._seconds_by_voice().items(), key=lambda it: it[1], default=("", 0))[0]

    def _seconds_by_voice(self) -> Counter[str]:
        seconds: Counter[str] = Counter()
        for row in self.rows:
            seconds[row.voice] += row.frames // row.sample_rate_hz
        return seconds

    @property
    def rates_hz(self) -> Counter[int]:
        """How many rows have which sample rate."""
        return Counter(row.sample_rate_hz for row in self.rows)

    @property
    def sample_rate_hz(self) -> int:
        """The most usual one; the higher of two that are equally usual."""
        rates = self.rates_hz
        return max(rates, key=lambda rate: (rates[rate], rate))

    def notes(self) -> list[str]:
        """What is unusual about it, a line each."""
        notes = [
            f"{chapter.title}: {_some(chapter.missing)} missing"
            for chapter in self.chapters
            if chapter.missing
        ]
        if len(self.rates_hz) > 1:
            rates = " and ".join(f"{rate}" for rate in sorted(self.rates_hz))
            notes.append(f"rows of {rates} Hz: all become {self.sample_rate_hz} Hz")
        return notes

    def described(
        self, *, title: str | None = None, authors: Sequence[str] = (), cover: Path | None = None
    ) -> Book:
        """The same with what somebody knows better.

        Raises:
            UsageError: the cover is no picture that an audiobook can have.
        """
        book = replace(self, title=title or self.title, authors=tuple(authors) or self.authors)
        if cover is None:
            return book
        picture, kind = _picture(cover)
        return replace(book, cover=picture, cover_type=kind)


def _picture(path: Path) -> tuple[bytes, str]:
    try:
        picture = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or f'{error}').lower()}") from error
    kind = next((kind for begin, kind in _COVERS.items() if picture.startswith(begin)), None)
    if kind is None:
        raise UsageError(f"{path}: a cover is a JPEG or a PNG, and this is neither")
    return picture, kind


def read_book(
    out: Path, *, partial: bool, column: str | None = None, has_words: bool = False
) -> Book:
    """Read the output directory of a run as a book.

    Args:
        partial: Leave out the rows that are not done; otherwise they are refused.
        column: That has the text; found if it is not named.
        has_words: Whether the times of words are wanted, which are many.

    Raises:
        UsageError: there are no results, they are not complete, or the audio is not as
            they say.
    """
    layout = Layout(out)
    try:
        with pq.ParquetFile(layout.results, page_checksum_verification=True) as file:
            reading = _Reading(out, file, column, has_words=has_words)
            book = reading.book()
    except FileNotFoundError as error:
        told = "no results.parquet in it" if out.is_dir() else "no such directory"
        hint = "`batchtts run MANIFEST` writes it when it ends"
        raise UsageError(f"{out}: {told}", hint=hint) from error
    except NotADirectoryError as error:
        raise UsageError(f"{out}: not a directory that `batchtts run` made") from error
    except (OSError, pa.ArrowException) as error:
        why = (
            error.strerror.lower() if isinstance(error, OSError) and error.strerror else f"{error}"
        )
        told = why.partition("\n")[0]
        hint = "`batchtts check` says what is damaged; a run writes it anew"
        raise UsageError(f"{layout.results}: cannot be read: {told}", hint=hint) from error
    _check(out, book, partial=partial)
    return book


def _check(out: Path, book: Book, *, partial: bool) -> None:
    if not book.chapters:
        raise UsageError(f"{out}: no rows in results.parquet: there is nothing to export")
    missing = book.missing
    if missing and not partial:
        told = f"{missing[0]} is" if len(missing) == 1 else f"{_some(missing)} are"
        raise UsageError(f"{out}: not all of it is there: {told} missing", hint=_AGAIN)
    if not book.rows:
        raise UsageError(f"{out}: not one row is spoken", hint="run the same job again")


def _some(missing: Sequence[str]) -> str:
    more = len(missing) - _NAMED
    return ", ".join(missing[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


class _About(msgspec.Struct, frozen=True):
    """What `batchtts book` knows of a book."""

    title: str | None = None
    author: list[str] | str | None = None
    language: str | None = None


class _Reading:
    """One results.parquet as it becomes a book."""

    def __init__(
        self, out: Path, file: pq.ParquetFile, column: str | None, *, has_words: bool
    ) -> None:
        self._out = out
        self._file = file
        self._metadata = file.schema_arrow.metadata or {}
        self._names = file.schema_arrow.names
        lacking = [name for name in _NEEDED if name not in self._names]
        if lacking:
            told = f'no column "{lacking[0]}": not a file that `batchtts run` wrote'
            raise UsageError(f"{out / 'results.parquet'}: {told}")
        self._text = column or script_column(file)
        if self._text not in self._names:
            told = f'{out / "results.parquet"}: no column "{self._text}"'
            raise UsageError(told, hint="name the column of the script: --column NAME")
        self._wanted = [*_WANTED, "words"] if has_words else [*_WANTED]
        self._by = next((it for it in ("chapter", "chapter_title") if it in self._names), None)
        self._chapters: dict[str | None, Chapter] = {}
        self._languages: Counter[str] = Counter()

    def book(self) -> Book:
        """Read it all."""
        about = self._about()
        title = about.title or self._out.resolve().name
        is_each = self._by is None and self._are_chapters()
        for place, row in enumerate(self._rows()):
            key = f"{place}" if is_each else self._key(row)
            chapter = self._chapters.get(key)
            if chapter is None:
                chapter = self._begun(key, row, title, is_each=is_each)
                self._chapters[key] = chapter
            self._put(row, chapter)
        usual = self._languages.most_common(1)
        authors = [about.author] if isinstance(about.author, str) else about.author or []
        return Book(
            title=title,
            authors=tuple(filter(None, authors)),
            language=about.language or (usual[0][0] if usual else ""),
            cover=self._metadata.get(b"batchtts.cover"),
            cover_type=self._metadata.get(b"batchtts.cover_type", b"").decode("ascii", "replace"),
            chapters=[*self._chapters.values()],
        )

    def _about(self) -> _About:
        told = self._metadata.get(b"batchtts.book", b"{}")
        try:
            return msgspec.json.decode(told, type=_About)
        except msgspec.MsgspecError as error:
            where = self._out / "results.parquet"
            raise UsageError(f"{where}: what it says of the book: {error}") from error

    def _are_chapters(self) -> bool:
        """Whether each row is as long as a chapter."""
        lengths = self._file.read(columns=["text_chars"])["text_chars"].drop_null().to_pylist()
        return len(lengths) > 1 and median(lengths) >= CHAPTER_CHARS

    def _rows(self) -> Iterator[dict[str, Any]]:
        wanted = [name for name in self._wanted if name in self._names]
        columns = list(dict.fromkeys([*_NEEDED, *wanted, self._text]))
        for batch in self._file.iter_batches(_AT_ONCE, columns=columns):
            yield from batch.to_pylist()

    def _key(self, row: dict[str, Any]) -> str | None:
        """What a row has in common with the others of its chapter."""
        cell = row[self._by] if self._by else None
        return None if cell is None else f"{cell}".strip() or None

    def _begun(self, key: str | None, row: dict[str, Any], title: str, *, is_each: bool) -> Chapter:
        number = _number(key) if self._by == "chapter" else None
        if is_each:
            told = row["id"]
        elif self._by is None or key is None:
            told = title
        else:
            told = row.get("chapter_title") or (f"Chapter {key}" if number is not None else key)
        place = len(self._chapters) + 1
        return Chapter(place if number is None else number, " ".join(f"{told}".split()))

    def _put(self, row: dict[str, Any], chapter: Chapter) -> None:
        if row["status"] != "done":
            why = row["error_message"]
            told = row["status"] if not why else f"{row['status']}: {why}"
            chapter.missing.append(f"{row['id']} ({told})")
            return
        self._languages[row["language"] or ""] += 1
        path = self._out / (row["path"] or "")
        wrong = _wrong_with(path, row["bytes"])
        if wrong is not None:
            raise UsageError(
                f"{path}: the audio of row {row['id']} {wrong}",
                hint=DAMAGED_HINT,
            )
        chapter.rows.append(self._spoken(row, path))

    def _spoken(self, row: dict[str, Any], path: Path) -> Spoken:
        words = row.get("words")
        return Spoken(
            id=row["id"],
            text=row[self._text] or "",
            path=path,
            frames=round(row["audio_s"] * row["sample_rate_hz"]),
            sample_rate_hz=row["sample_rate_hz"],
            voice=row["voice"] or "",
            kind=f"{row.get('kind') or 'paragraph'}",
            paragraph=_number(row.get("paragraph")),
            cues=tuple(Cue(**{**it, "voice": it["voice"] or ""}) for it in row.get("cues") or ()),
            words=None if words is None else tuple(Word(**word) for word in words),
        )


def _number(cell: object) -> int | None:
    """The whole number that a cell is, or says."""
    text = f"{cell}"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _wrong_with(path: Path, size_bytes: int | None) -> str | None:
    try:
        if not path.is_file():
            return "is not there"
        found = path.stat().st_size
    except OSError as error:
        return f"cannot be read: {(error.strerror or f'{error}').lower()}"
    if found != size_bytes:
        return f"has {found:,} bytes, and {size_bytes or 0:,} were recorded"
    return None
