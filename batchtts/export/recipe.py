"""What an audiobook is to be: format, rate, names, and what was made of it. No audio here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from batchtts.errors import UsageError
from batchtts.export.book import Book, Chapter
from batchtts.export.filenames import of_chapter
from batchtts.export.loudness import ACX, Target
from batchtts.export.orders import Figures

#: Format → bits a second for one voice; 0 where nothing is lost.
FORMATS = {"m4b": 64_000, "mp3": 64_000, "flac": 0, "opus": 32_000}

_MARGINS_DB = {"m4b": 1.0, "mp3": 1.0, "flac": 0.2, "opus": 2.0}

#: Endings of names that say a format.
_ENDINGS = {".m4b": "m4b", ".m4a": "m4b", ".mp3": "mp3", ".flac": "flac", ".opus": "opus"}
_RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_OPUS_RATES_HZ = (8000, 12_000, 16_000, 24_000, 48_000)

#: Their chapters are comments, with numbers of three digits.
_FEW_MARKS = ("flac", "opus")
_MOST_MARKS = 999

_ACX_RATE_HZ = 44_100
_ACX_BIT_RATE = 192_000
_REPORT = "audiobook.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a book is exported.

    Attributes:
        destination: The file; or the directory, if each chapter is a file.
        bit_rate: Bits a second; 0 where nothing is lost.
        is_forced: Whether files that are somebody's own are replaced.
        is_levelled: Whether all voices are made equally loud.
    """

    destination: Path
    format: str
    target: Target
    sample_rate_hz: int
    bit_rate: int
    is_per_chapter: bool = False
    is_forced: bool = False
    is_levelled: bool = True

    @property
    def margin_db(self) -> float:
        """By how much peaks are at first kept below what is asked: a codec adds some."""
        return _MARGINS_DB[self.format]

    @property
    def report(self) -> Path:
        """Where the figures are written."""
        path = self.destination
        return path / _REPORT if self.is_per_chapter else path.with_name(f"{path.name}.json")

    @property
    def directory(self) -> Path:
        """Where all of it is written."""
        return self.report.parent

    def notes(self) -> list[str]:
        """What is not as the one who asked for the target would have it."""
        if self.target is not ACX:
            return []
        is_theirs = self.format == "mp3" and self.bit_rate >= _ACX_BIT_RATE and self.is_per_chapter
        told = "ACX takes MP3 of 192 kbps, a file for each chapter: --per-chapter --format mp3"
        return [] if is_theirs else [told]


def make_recipe(
    destination: Path,
    target: Target,
    book_rate_hz: int,
    *,
    format: str | None = None,
    bit_rate: int | None = None,
    is_per_chapter: bool = False,
    is_forced: bool = False,
    is_levelled: bool = True,
) -> Recipe:
    """Fill in what was not said.

    Raises:
        UsageError: what was said does not go together.
    """
    said = None if is_per_chapter else _ENDINGS.get(destination.suffix.lower())
    if format is None and said is None:
        if not is_per_chapter:
            known = ", ".join(_ENDINGS)
            raise UsageError(f"{destination}: no format has that ending: {known}; or name --format")
        said = "mp3" if target is ACX else "m4b"
    if format is not None and said is not None and format != said:
        raise UsageError(f"{destination}: its ending says {said}, and --format says {format}")
    chosen = format or said or ""
    if bit_rate is not None and not FORMATS[chosen]:
        raise UsageError(f"{chosen} has no bit rate: nothing is lost in it")
    is_acx = target is ACX and chosen == "mp3"
    usual = _ACX_BIT_RATE if is_acx else FORMATS[chosen]
    return Recipe(
        destination=destination,
        format=chosen,
        target=target,
        sample_rate_hz=_ACX_RATE_HZ if is_acx else _rate_hz(chosen, book_rate_hz),
        bit_rate=usual if bit_rate is None else bit_rate,
        is_per_chapter=is_per_chapter,
        is_forced=is_forced,
        is_levelled=is_levelled,
    )


def _rate_hz(format: str, book_rate_hz: int) -> int:
    """The lowest rate of the format at which nothing of the book is lost."""
    rates = _OPUS_RATES_HZ if format == "opus" else _RATES_HZ
    return next((rate for rate in rates if rate >= book_rate_hz), rates[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A file to be.

    Attributes:
        tags: Title, author and so on, as FFmpeg calls them.
    """

    path: Path
    chapters: list[Chapter]
    tags: dict[str, str] = field(default_factory=dict)


def plan_tracks(book: Book, recipe: Recipe) -> list[Track]:
    """What files there will be; chapters in which nothing is spoken are in none.

    Raises:
        UsageError: the format has no room for as many chapters.
    """
    about = _about(book)
    if not recipe.is_per_chapter:
        heard = [chapter for chapter in book.chapters if chapter.rows]
        if recipe.format in _FEW_MARKS and len(heard) > _MOST_MARKS:
            told = f"{len(heard):,} chapters, and {recipe.format} has {_MOST_MARKS} at most"
            raise UsageError(f"{recipe.destination}: {told}", hint="use m4b, mp3 or --per-chapter")
        return [Track(path=recipe.destination, chapters=heard, tags=about)]
    tracks: list[Track] = []
    count = len(book.chapters)
    for place, chapter in enumerate(book.chapters, 1):
        if chapter.rows:
            name = of_chapter(place, count, chapter.title)
            own = {"title": heading(chapter), "track": f"{place}/{count}"}
            if chapter.missing:
                own["comment"] = _incomplete(chapter)
            path = recipe.destination / f"{name}.{recipe.format}"
            tracks.append(Track(path=path, chapters=[chapter], tags=about | own))
    return tracks


def _about(book: Book) -> dict[str, str]:
    authors = "; ".join(book.authors)
    about = {"title": book.title, "album": book.title, "genre": "Audiobook"}
    if authors:
        about |= {"artist": authors, "album_artist": authors}
    if book.missing:
        count = len(book.missing)
        about["comment"] = f"incomplete: {count:,} of {count + len(book.rows):,} paragraphs missing"
    return about


def heading(chapter: Chapter) -> str:
    """The title of a chapter, which says if something is missing."""
    return f"{chapter.title} ({_incomplete(chapter)})" if chapter.missing else chapter.title


def _incomplete(chapter: Chapter) -> str:
    count = len(chapter.missing)
    return f"incomplete: {count:,} of {count + len(chapter.rows):,} paragraphs missing"


# ── what was made ─────────────────────────────────────────────────────────────


class MadeChapter(msgspec.Struct, frozen=True, kw_only=True):
    """A chapter as it was written and read back.

    Attributes:
        start_s, end_s: In its file.
        gain_db: By which it was made louder.
        limited_to_dbfs: To which its peaks were taken down; None if none were.
        missing: Rows without audio, and why.
        wrong: What is not as the target asks.
    """

    number: int
    title: str
    start_s: float
    end_s: float
    gain_db: float
    limited_to_dbfs: float | None
    measured: Figures
    missing: list[str]
    wrong: list[str]


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was written."""

    name: str
    bytes: int
    sha256: str
    measured: Figures
    chapters: list[MadeChapter]
    wrong: list[str]


class Levelled(msgspec.Struct, frozen=True, kw_only=True):
    """A voice of several.

    Attributes:
        audio_s: How long it speaks.
        lufs: What it is; None if it cannot be heard.
        gain_db: By which it was made louder, before its chapters were.
    """

    voice: str
    audio_s: float
    lufs: float | None
    gain_db: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was exported; written beside it as JSON.

    Attributes:
        batchtts_audiobook: Version of these fields.
        voices: The one that speaks most is first; none, if they were left as they are.
        missing: All rows without audio, and why.
    """

    batchtts_audiobook: int = 1
    title: str
    authors: list[str]
    language: str
    format: str
    sample_rate_hz: int
    bit_rate: int
    target: str
    asked: str
    voices: list[Levelled]
    files: list[MadeFile]
    missing: list[str]

    @property
    def wrong(self) -> list[str]:
        """What is not as the target asks, each with where."""
        found = []
        for file in self.files:
            found += [f"{file.name}: {told}" for told in file.wrong]
            for chapter in file.chapters:
                found += [f"{file.name}, {chapter.title}: {told}" for told in chapter.wrong]
        return found


def spell_report(report: Report) -> bytes:
    """The report as it is written."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def rounded(figures: Figures) -> Figures:
    """Figures as precise as they are."""
    told: dict[str, float | None] = msgspec.structs.asdict(figures)
    precise = {name: it if it is None else round(it, 2) for name, it in told.items()}
    return msgspec.structs.replace(figures, **precise)
