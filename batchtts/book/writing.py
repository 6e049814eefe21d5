"""The manifest of a book: a Parquet file, the same bytes for the same book."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.book.parts import About, Chapter
from batchtts.errors import UsageError
from batchtts.record import disk

_SCHEMA = pa.schema(
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
_MAGIC = b"PAR1"
_ENDINGS = (".parquet", ".pq")


def check_target(path: Path) -> None:
    """Refuse what cannot or must not be replaced.

    Raises:
        UsageError: a directory, below a file, a file that is no Parquet, or a name that
            `batchtts run` would not take for one.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a directory")
    for above in path.parents:
        if above.exists() and not above.is_dir():
            raise UsageError(f"{above}: is a file, not a directory")
    if path.exists() and not _is_parquet(path):
        hint = "remove it, or choose another name with -o"
        raise UsageError(f"{path}: is there already, and no Parquet file", hint=hint)
    if path.suffix.lower() not in _ENDINGS:
        hint = f"-o {path.with_suffix(_ENDINGS[0])}"
        raise UsageError(f"{path}: a manifest of a book is Parquet", hint=hint)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(-4, 2)
            return head == file.read(4) == _MAGIC
    except OSError:
        return False


def write_manifest(path: Path, about: About, chapters: Sequence[Chapter]) -> int:
    """Write a row for each block; return how many.

    Raises:
        UsageError: as check_target().
        OutputBroken: the disk is full, or does not take it.
    """
    check_target(path)
    table = _table(chapters)
    scratch = path.with_name(f".{path.name}.tmp")
    with disk.telling(path):
        disk.make_directory(path.parent)
        try:
            with (
                disk.replacing(path, scratch=scratch) as sink,
                # Arrow's own copy of the schema would hold the cover once more.
                pq.ParquetWriter(sink, _SCHEMA, compression="zstd", store_schema=False) as writer,
            ):
                writer.write_table(table)
                writer.add_key_value_metadata(_metadata(about))
        finally:
            with suppress(OSError):
                disk.remove(scratch)
    return len(table)


def _table(chapters: Sequence[Chapter]) -> pa.Table:
    rows = [(chapter, n, block) for chapter in chapters for n, block in enumerate(chapter.blocks)]
    columns = [
        [row_id(chapter.number, n) for chapter, n, _ in rows],
        [block.text for *_, block in rows],
        [chapter.number for chapter, *_ in rows],
        [chapter.title for chapter, *_ in rows],
        [n for _, n, _ in rows],
        [block.kind for *_, block in rows],
        [None] * len(rows),
    ]
    return pa.table(
        [pa.array(it, field.type) for it, field in zip(columns, _SCHEMA, strict=True)],
        schema=_SCHEMA,
    )


def row_id(chapter: int, paragraph: int) -> str:
    """What a row is called: the same whatever chapters are chosen."""
    return f"c{chapter:03d}-p{paragraph:04d}"


def _metadata(about: About) -> dict[bytes, bytes]:
    told = {
        "title": about.title,
        "author": list(about.authors),
        "language": about.language,
        **about.more,
    }
    found = {b"batchtts.book": json.dumps(told, ensure_ascii=False).encode()}
    if about.cover is not None and about.cover_type is not None:
        found[b"batchtts.cover"] = about.cover
        found[b"batchtts.cover_type"] = about.cover_type.encode()
    return found
