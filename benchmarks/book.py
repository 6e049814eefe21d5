"""A book: what it costs to read it, to speak it and to make an audiobook of it.

    python -m benchmarks.book [--hours 10] [--words 100000] [--dir DIR]

The book is an EPUB of made-up sentences. What is spoken are rows as long as chapters,
said by the tones of the local engine, so that nothing is measured but batchtts. The
short form speaks half an hour; memory must not depend on it.

Processor time is that of a command and of its children. Peak memory is that of the
largest process of them; an export has a child of about 60 MB for each core that it uses.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

from benchmarks import measure

READ_S, READ_MIB = 10.0, 500  # the promises: for a hundred thousand words,
MEMORY_MIB = 400  # whatever the length,
REAL_TIMES = 100  # and on one core

_CHAPTERS = 30
_SENTENCE_WORDS = 12
_PARAGRAPH_SENTENCES = 6
_WORDS_PER_S = 3.2
_WORDS = "the lamp went out and nobody in all that house had seen a light since evening".split()
#: What is exported: how it is told, as what, where, and how.
_EXPORTS: tuple[tuple[str, str, str, list[str]], ...] = (
    ("export, M4B", "audiobook", "book.m4b", []),
    ("export, ACX", "audiobook", "acx", ["--per-chapter", "--target", "acx"]),
    ("subtitles", "subtitles", "book.srt", []),
)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book")
    parser.add_argument("--hours", type=float, default=0.5, help="to be spoken  [default: 0.5]")
    parser.add_argument("--words", type=int, default=100_000, help="of the EPUB")
    parser.add_argument("--dir", type=Path, help="where 400 MB an hour have room")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=options.dir) as root:
        where = Path(root)
        for line in chain(_read(where, options.words), _spoken(where, options.hours)):
            print(line, flush=True)


def _read(where: Path, words: int) -> Iterator[str]:
    """Read an EPUB."""
    book = _write_epub(where / "book.epub", words)
    cost = measure.run(measure.batchtts("book", book, "-o", where / "book.parquet"))
    yield _told(f"book, {words:,} words", cost, f"promised: < {READ_S:g} s, < {READ_MIB} MiB")


def _spoken(where: Path, hours: float) -> Iterator[str]:
    """Speak rows as long as chapters, and export them."""
    manifest, out = where / "long.csv", where / "out"
    _write_manifest(manifest, round(hours * 3600 * _WORDS_PER_S))
    voice = ("--provider", "local", "--voice", "tone", "--quiet")
    cost = measure.run(measure.batchtts("run", manifest, "--out", out, *voice))
    audio_s = sum(_seconds(path) for path in (out / "wav").iterdir())
    promised = f"promised: < {MEMORY_MIB} MiB"
    yield _told(f"run, {audio_s / 3600:.1f} h", cost, promised)
    for name, shape, made, flags in _EXPORTS:
        cost = measure.run(measure.batchtts("export", shape, out, "-o", where / made, *flags))
        rate = audio_s / cost.cpu_s
        yield _told(name, cost, f"{rate:,.0f} x real time a core ({REAL_TIMES}); {promised}")


def _told(name: str, cost: measure.Cost, more: str) -> str:
    peak_mib = cost.peak_bytes / measure.MIB
    figures = f"{cost.wall_s:8.1f} s  {cost.cpu_s:8.1f} s of processor  {peak_mib:5.0f} MiB"
    return f"{name:20} {figures}  {more}"


def _seconds(path: Path) -> float:
    """Seconds of a WAV of 24 kHz, mono, 16 bits."""
    return path.stat().st_size / 48_000


def _sentences(words: int, seed: int) -> Iterator[str]:
    chance = Random(seed)
    for _ in range(max(1, words // _SENTENCE_WORDS)):
        yield " ".join(chance.choices(_WORDS, k=_SENTENCE_WORDS)).capitalize() + "."


def _paragraphs(words: int, seed: int) -> Iterator[str]:
    sentences = _sentences(words, seed)
    while some := [it for _, it in zip(range(_PARAGRAPH_SENTENCES), sentences, strict=False)]:
        yield " ".join(some)


def _write_manifest(path: Path, words: int) -> None:
    """Write rows that are as long as chapters."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "chapter", "text"])
        for number in range(1, _CHAPTERS + 1):
            text = "\n\n".join(_paragraphs(words // _CHAPTERS, number))
            writer.writerow([f"c{number:02}", number, text])


def _write_epub(path: Path, words: int) -> Path:
    names = [f"c{number:02}" for number in range(1, _CHAPTERS + 1)]
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>'
        for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        file.writestr("META-INF/container.xml", _CONTAINER)
        file.writestr("book.opf", _PACKAGE.format(items=items, spine=spine))
        for number, name in enumerate(names):
            told = _paragraphs(words // _CHAPTERS, number)
            body = "".join(f"<p>{it}</p>" for it in told)
            file.writestr(f"{name}.xhtml", _PAGE.format(name=name, body=body))
    return path


_CONTAINER = (
    '<?xml version="1.0"?><container version="1.0"'
    ' xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)
_PACKAGE = (
    '<?xml version="1.0"?><package version="3.0" unique-identifier="id"'
    ' xmlns="http://www.idpf.org/2007/opf"><metadata'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">made-up</dc:identifier>'
    "<dc:title>Made up</dc:title><dc:language>en</dc:language></metadata>"
    "<manifest>{items}</manifest><spine>{spine}</spine></package>"
)
_PAGE = (
    '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>{name}</title>'
    "</head><body><h1>Chapter {name}</h1>{body}</body></html>"
)


if __name__ == "__main__":
    main()
