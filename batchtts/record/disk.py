"""The durable steps, each a plain function: the only places where a kill can hurt.

Everything that is promised to survive goes through here, so a test can count
the steps and stop at any of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batchtts.errors import OutputBroken

Buffer = bytes | memoryview

FILE_MODE = 0o666  # less the user's umask
DIRECTORY_MODE = 0o777
GATHERED_BYTES = 1 << 18


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Make an OutputBroken of what the operating system refuses inside the block."""
    try:
        yield
    except OSError as error:
        told = os.strerror(error.errno) if error.errno else error.strerror or str(error)
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room, then run the same command again" if is_full else None
        where = error.filename2 or error.filename or path
        raise OutputBroken(f"{where}: {told.lower()}", hint=hint) from error


def create(path: Path | str) -> int:
    """Create or empty a file and return its descriptor, for writing."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)


def open_to_append(path: Path | str) -> int:
    """Open or begin a file and return its descriptor; every write goes to its end."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)


def write_all(descriptor: int, *parts: Buffer) -> None:
    """Write every byte, one part after another; a write may be short."""
    views = [memoryview(part) for part in parts if len(part)]
    while views:
        written = os.writev(descriptor, views)
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


class Sink:
    """An open file, also for the writers of Parquet: gathers bytes for write_all.

    After a failure it takes everything and keeps nothing: the error was told, and a
    writer that is thrown away tries to close what it has begun.
    """

    closed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._gathered = bytearray()
        self._has_failed = False

    def write(self, data: Buffer) -> int:
        """Take all of it."""
        self._gathered += data
        if len(self._gathered) >= GATHERED_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Write what was gathered."""
        gathered, self._gathered = bytes(self._gathered), bytearray()
        if self._has_failed or not gathered:
            return
        try:
            write_all(self._descriptor, gathered)
        except OSError:
            self._has_failed = True
            raise

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def close(self) -> None:
        """The descriptor is somebody else's to close."""
        self.flush()


def write_file(path: Path | str, data: Buffer) -> None:
    """Create or empty a file, and make its content durable."""
    descriptor = create(path)
    try:
        write_all(descriptor, data)
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Make the content of an open file durable."""
    os.fsync(descriptor)


def truncate(descriptor: int, size_bytes: int) -> None:
    """Cut an open file off."""
    os.ftruncate(descriptor, size_bytes)


def sync_directory(path: Path | str) -> None:
    """Make the names in a directory durable."""
    with opened_directory(path) as descriptor:
        os.fsync(descriptor)


@contextmanager
def opened_directory(path: Path | str) -> Iterator[int]:
    """Have a descriptor of a directory for a while."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def rename(source: Path | str, target: Path | str) -> None:
    """Give a whole file its final name; it replaces what had that name."""
    os.replace(source, target)  # noqa: PTH105  # one durable step, named after the system call


def link(source: Path | str, target: Path | str) -> None:
    """Give the content of a file one more name."""
    os.link(source, target)


def remove(path: Path | str) -> None:
    """Take a name away; it may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  # named after the system call


def create_directory(path: Path) -> None:
    """Create a directory whose parent is there; it may be there already."""
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def make_directory(path: Path) -> None:
    """Create a directory with its parents, and make their names durable."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        create_directory(directory)
        sync_directory(directory.parent)


@contextmanager
def replacing(path: Path, *, scratch: Path) -> Iterator[Sink]:
    """Write a file at *scratch*; after the block it has its final name, whole and durable."""
    descriptor = create(scratch)
    try:
        sink = Sink(descriptor)
        yield sink
        sink.flush()
        sync(descriptor)
    finally:
        os.close(descriptor)
    rename(scratch, path)
    sync_directory(path.parent)


def replace_file(path: Path, data: Buffer, *, scratch: Path) -> None:
    """Put a whole small file under its final name, durably, by way of *scratch*."""
    with replacing(path, scratch=scratch) as sink:
        sink.write(data)
