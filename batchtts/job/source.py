"""A manifest as a file: what it is, whether it is still the same, its bytes.

Whatever cannot be a manifest is refused here, with the way out. Text comes out in
chunks of whole records, checked to be UTF-8, so a chunk can be parsed on its own
and memory is bounded by a chunk and the longest record.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import shlex
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from batchtts.errors import ManifestChanged, ManifestError
from batchtts.hints import nearest

Form = Literal["csv", "tsv", "jsonl", "parquet"]

#: Where the last whole record in some bytes ends; 0 if there is none.
Cut = Callable[[bytes], int]

FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
CHUNK = 1 << 20  # bytes
LONGEST_RECORD = 32 << 20  # bytes; beyond this a quote has been left open, not a script written

_ENDINGS = ".csv, .tsv, .jsonl, .ndjson (each also with .gz), .parquet and .pq"
# The longer mark first: UTF-32 begins like UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Malformed(Exception):
    """The record that begins here cannot be told apart; the reader knows its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The state of a file; when it differs, the content may.

    Attributes:
        ctime_ns: Tells of a content with its old time, and of much else: not compared.
    """

    size_bytes: int
    mtime_ns: int
    inode: int
    ctime_ns: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read again and again."""

    path: Path
    form: Form
    gzipped: bool

    def open(self) -> io.BufferedIOBase:
        return gzip.open(self.path, "rb") if self.gzipped else self.path.open("rb")

    def chunks(self, cut: Cut, *, size: int = CHUNK) -> Iterator[bytes]:
        """Yield the text in whole records, about *size* bytes at a time, each ended by a newline.

        Raises:
            ManifestError: the bytes cannot be read, or are not UTF-8.
            Malformed: *cut* finds no whole record and never will.
        """
        with _readable(self.path), self.open() as stream:
            offset = self._skip_byte_order_mark(stream)
            tail, block = b"", b"-"
            while block:
                # A record longer than a chunk is read by doubling, not bit by bit.
                block = stream.read(max(size, len(tail)))
                data = tail + block if block else _ended(tail)
                end = cut(data)
                chunk, tail = data[:end], data[end:]
                self._check_utf8(chunk, offset)
                offset += end
                if chunk:
                    yield chunk
                elif len(data) > LONGEST_RECORD:
                    raise Malformed(f"no end of it within {LONGEST_RECORD >> 20} MiB")
            if tail:
                cut(tail)
                raise Malformed("a quote opens here and is never closed")

    def _skip_byte_order_mark(self, stream: io.BufferedIOBase) -> int:
        start = stream.read(4)
        for mark, encoding in _BYTE_ORDER_MARKS.items():
            if start.startswith(mark):
                hint = self._conversion(encoding)
                raise ManifestError(self.path, f"is {encoding}, not UTF-8", hint=hint)
        offset = len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0
        stream.seek(offset)
        return offset

    def _check_utf8(self, chunk: bytes, offset: int) -> None:
        try:
            chunk.isascii() or chunk.decode()
        except UnicodeDecodeError as error:
            if b"\0" in chunk[:1024]:  # no encoding of text but UTF-16 and UTF-32, named above
                begins = chunk[:4].hex(" ").upper()
                hint = f"manifests are {_ENDINGS}"
                raise ManifestError(
                    self.path, f"is not text; it begins with {begins}", hint=hint
                ) from error
            where = f"byte {offset + error.start} (0x{chunk[error.start]:02X})"
            hint = self._conversion("WINDOWS-1252")
            raise ManifestError(self.path, f"{where} is not UTF-8", hint=hint) from error

    def _conversion(self, encoding: str) -> str:
        stem = self.path.with_suffix("") if self.gzipped else self.path
        new = stem.with_suffix(f".utf8{stem.suffix}")
        iconv = f"iconv -f {encoding} -t UTF-8"
        if self.gzipped:
            return f"gunzip -c {_quoted(self.path)} | {iconv} | gzip > {_quoted(new)}.gz"
        return f"{iconv} {_quoted(self.path)} > {_quoted(new)}"


def identify(path: Path) -> Source:
    """Say what kind of manifest *path* is, by its name, which its content must bear out."""
    with _readable(path), path.open("rb") as stream:
        start = stream.read(4)
    form, gzipped = _named_form(path)
    if start == b"PAR1" and form != "parquet":
        hint = f"mv {_quoted(path)} {_quoted(path.with_suffix('.parquet'))}"
        raise ManifestError(path, "is a Parquet file under another name", hint=hint)
    if start[:2] == b"\x1f\x8b" and not gzipped:
        raise ManifestError(
            path,
            "is compressed with gzip, and its name does not say so",
            hint=f"mv {_quoted(path)} {_quoted(path)}.gz",
        )
    if form is None:
        raise ManifestError(path, f'unknown ending "{path.suffix}"; manifests are {_ENDINGS}')
    if form == "parquet" and gzipped:
        hint = f"gunzip {_quoted(path)}"
        raise ManifestError(path, "Parquet is not read through gzip", hint=hint)
    return Source(path, form, gzipped)


def _named_form(path: Path) -> tuple[Form | None, bool]:
    *_, inner, last = "", "", *(suffix.lower() for suffix in path.suffixes)
    return (FORMS.get(inner), True) if last == ".gz" else (FORMS.get(last), False)


def take_stamp(path: Path) -> Stamp:
    """Return the state of *path*, which must be an ordinary file with something in it."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ManifestError(path, "no such file", hint=_nearby(path)) from error
    except OSError as error:
        raise ManifestError(path, f"cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise ManifestError(path, "is a directory", hint=f"name one of its files: {_ENDINGS}")
    if not stat.S_ISREG(found.st_mode):
        hint = "write it to a file first: it is read more than once"
        raise ManifestError(path, "is a pipe or a device, not a file", hint=hint)
    if not found.st_size:
        raise ManifestError(path, "is empty (0 bytes)")
    return _stamp(found)


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(
        size_bytes=found.st_size,
        mtime_ns=found.st_mtime_ns,
        inode=found.st_ino,
        ctime_ns=found.st_ctime_ns,
    )


@contextmanager
def unchanged(path: Path, stamp: Stamp) -> Iterator[None]:
    """Make sure that *path* is in the state of *stamp*, now and at the end.

    An error inside may be a consequence of a change, which is then what is told.
    """
    _compare(path, stamp)
    try:
        yield
    except ManifestError:
        _compare(path, stamp)
        raise
    _compare(path, stamp)


def _compare(path: Path, stamp: Stamp) -> None:
    try:
        now = _stamp(path.stat())
    except OSError as error:
        raise ManifestChanged(f"{path}: is gone since it was read: {error.strerror}") from error
    if now != stamp:
        raise ManifestChanged(
            f"{path}: has changed since it was read",
            hint="run the same command again when nobody writes to it",
        )


def newline_cut(data: bytes) -> int:
    """Cut where every newline ends a record, as in JSON Lines."""
    return data.rfind(b"\n") + 1


def quoted_cut(delimiter: str) -> Cut:
    """Cut where a newline ends a record unless it is inside a quoted field.

    A quote opens a field only at its start, is written twice inside, and closes it
    only before a delimiter or a newline. A parser that takes less for granted reads
    an unclosed quote as one long cell and loses every row in it, without a word.
    """
    # A newline at the end of the data always ends a record or is inside a quoted
    # field. Everything is possessive: nothing is tried twice.
    edge = re.escape(delimiter.encode()) + rb"\r\n"
    opening = rb'(?<![^%b])"(?:[^"]++|"")*+' % edge
    field = rb'[^"\r\n]++|%b"(?=[%b])|(?<=[^%b])"' % (opening, edge, edge)
    records = re.compile(rb"(?:(?:%b)*+[\r\n])*+" % field)
    stuck = re.compile(rb"(?:%b)*+(%b)" % (field, opening))

    def cut(data: bytes) -> int:
        if b'"' not in data:
            return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        whole = records.match(data)
        if whole and whole.end():
            return whole.end()
        if (open_quote := stuck.match(data)) and open_quote.end() + 1 < len(data):
            raise Malformed(_misquoted(open_quote[1], data[open_quote.end() + 1 :]))
        return 0

    return cut


def _misquoted(opened: bytes, after: bytes) -> str:
    around = (opened[-15:] + b'"' + after[:15]).decode(errors="ignore")
    shown = around.replace("\r", "\\r").replace("\n", "\\n")
    return f"a quoted field goes on after its closing quote: …{shown}…"


def _ended(tail: bytes) -> bytes:
    return tail if not tail or tail.endswith((b"\n", b"\r")) else tail + b"\n"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise ManifestError(path, "the gzip data is cut short") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ManifestError(path, f"is not whole gzip data: {error}") from error
    except OSError as error:
        raise ManifestError(path, f"cannot be read: {error.strerror or error}") from error


def _nearby(path: Path) -> str | None:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no directory {path.parent}"
    near = nearest(path.name, names)
    return near and f'did you mean "{path.with_name(near)}"?'


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
