"""The output directory: who may be in it, what lies where, whole files only.

OUT/wav/ID.wav            audio (or flac/), in folders past some thousands
OUT/results.parquet       one row per manifest row
OUT/failed.parquet        the rows that failed; itself a manifest
OUT/summary.json          the run in figures
OUT/ledger.jsonl          the truth
OUT/canaries.jsonl        how canaries have sounded, run by run
OUT/.batchtts/            lock, and what is not whole yet
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchtts.audio.write import encode, resample
from batchtts.errors import UsageError
from batchtts.model import AudioFormat, Result, Take
from batchtts.record import disk, lock, names
from batchtts.record.hashes import sha256_of

_COPIED_BYTES = 1 << 20

#: What a file system says that has no second names, or no more of them for this file.
_NO_LINKS = (
    errno.EPERM,
    errno.EMLINK,
    errno.EXDEV,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EACCES,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is, below one output directory."""

    root: Path

    @property
    def ledger(self) -> Path:
        """The truth."""
        return self.root / "ledger.jsonl"

    @property
    def summary(self) -> Path:
        """The last run in figures."""
        return self.root / "summary.json"

    @property
    def results(self) -> Path:
        """What became of each row of the manifest."""
        return self.root / "results.parquet"

    @property
    def failed(self) -> Path:
        """The rows that failed; not there if none did."""
        return self.root / "failed.parquet"

    @property
    def canaries(self) -> Path:
        """How canaries have sounded; not there if there never was one."""
        return self.root / "canaries.jsonl"

    @property
    def begun(self) -> Path:
        """What was sent and is not in the ledger yet."""
        return self.private / "begun.jsonl"

    @property
    def standing(self) -> Path:
        """What was known of each row when the last run ended."""
        return self.private / "standing.parquet"

    @property
    def pieces(self) -> Path:
        """Segments that were spoken, of rows that are not whole."""
        return self.private / "pieces"

    @property
    def damaged(self) -> Path:
        """Lines that were taken out of the ledger."""
        return self.private / "damaged.jsonl"

    @property
    def pace(self) -> Path:
        """How many requests in flight a provider took."""
        return self.private / "pace.json"

    @property
    def private(self) -> Path:
        """For batchtts only."""
        return self.root / ".batchtts"

    @property
    def scratch(self) -> Path:
        """What is not whole yet; emptied at every start."""
        return self.private / "tmp"


@contextmanager
def occupy(root: Path) -> Iterator[Layout]:
    """Hold an output directory for one run; make it if it is not there.

    Raises:
        UsageError: it cannot be a directory.
        OutputInUse: another run has it.
        OutputBroken: nothing can be written there.
    """
    layout = Layout(root)
    with ExitStack() as held:
        with disk.telling(root):
            for path in (root, *root.parents):
                if path.exists() and not path.is_dir():
                    raise UsageError(
                        f"{path} is a file, not a directory", hint="name another --out"
                    )
            disk.make_directory(layout.scratch)
            held.enter_context(lock.hold(layout.private, shown_as=root))
            for leftover in layout.scratch.iterdir():
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
        yield layout


@dataclass(slots=True)
class Store:
    """Puts audio under its final name, whole and durable.

    Attributes:
        rows: Of the manifest; decides on folders.
        contested: hash() of case-folded stems that more than one id would have.
    """

    layout: Layout
    format: AudioFormat
    rows: int
    contested: frozenset[int] = frozenset()
    _known: set[str] = field(default_factory=set)
    _count: int = 0
    _root: str = field(init=False)
    _scratch: str = field(init=False)

    def __post_init__(self) -> None:
        self._root = f"{self.layout.root}"
        self._scratch = f"{self.layout.scratch}"

    def path_of(self, row_id: str) -> str:
        """Return where the audio of a row goes, below the output directory."""
        stem = names.stem(row_id)
        if hash(stem.casefold()) in self.contested:
            stem = names.own_stem(row_id)
        container = self.format.container
        return f"{container}/{names.folder(row_id, self.rows)}{stem}.{container}"

    def publish(self, takes: Sequence[Take], clear_the_way: Callable[[], None]) -> list[Result]:
        """Write the audio of finished takes; return their results with the file's facts.

        The files are durable under their final names when this returns, the
        ledger does not know of them yet. Failed takes pass through.

        Args:
            clear_the_way: Called when everything is written and nothing has its name.

        Raises:
            OutputBroken: the disk is full, read-only or failing; some of the
                files may be there, none of them is half.
        """
        with disk.telling(self.layout.root), ExitStack() as opened:
            drafts = [self._draft(take, opened) for take in takes if take.result.status == "done"]
            for draft in drafts:
                disk.sync(draft.descriptor)
            clear_the_way()
            for draft in drafts:
                disk.rename(draft.scratch, draft.target)
            for directory in {draft.target.rpartition("/")[0] for draft in drafts}:
                disk.sync_directory(directory)
        told = iter(draft.result for draft in drafts)
        return [next(told) if take.result.status == "done" else take.result for take in takes]

    def share(
        self,
        pairs: Sequence[tuple[str, Result]],
        clear_the_way: Callable[[Sequence[Result]], None],
    ) -> list[Result]:
        """Give the audio of results to other ids, as one more name of the same file.

        Where a file system has no such names, or no more of them, it is copied. The
        names are durable when this returns; a result whose audio is not there any more,
        or not what it was, comes back as pending.

        Args:
            pairs: Ids, and whose audio each gets.
            clear_the_way: Called with what will be returned, when all that is shared is
                held and nothing has its name.

        Raises:
            OutputBroken: as publish().
        """
        with disk.telling(self.layout.root):
            scratches = [self._new_scratch() for _ in pairs]
            shared = [
                self._hold(*pair, scratch) for pair, scratch in zip(pairs, scratches, strict=True)
            ]
            clear_the_way(shared)
            for result, scratch in zip(shared, scratches, strict=True):
                if result.path is not None:
                    disk.rename(scratch, f"{self._root}/{result.path}")
            for folder in {str(it.path).rpartition("/")[0] for it in shared if it.path}:
                disk.sync_directory(self.layout.root / folder)
        return shared

    def _hold(self, row_id: str, source: Result, scratch: str) -> Result:
        """Make sure that the audio of a result stays, whatever becomes of its own name."""
        relative = self.path_of(row_id)
        self._make_room(f"{self._root}/{relative}")
        try:
            mtime_ns = _same_content(f"{self._root}/{source.path}", scratch, source)
        except FileNotFoundError:
            return Result(id=row_id, status="pending")
        if mtime_ns is None:
            return Result(id=row_id, status="pending")
        return msgspec.structs.replace(source, id=row_id, path=relative, mtime_ns=mtime_ns)

    def set_aside(self, relative: str) -> str:
        """Take the name of a file away, and keep it out of sight; return where it is.

        Raises:
            OutputBroken: it could not be done.
        """
        scratch = self._new_scratch()
        with disk.telling(self.layout.root), suppress(FileNotFoundError):
            disk.rename(f"{self._root}/{relative}", scratch)
        return scratch.removeprefix(f"{self._root}/")

    def _draft(self, take: Take, opened: ExitStack) -> _Draft:
        """Write a whole file under a name that is not yet; *opened* will close it."""
        relative = self.path_of(take.utterance.id)
        target = f"{self._root}/{relative}"
        self._make_room(target)
        if take.file is not None:
            return self._drafted(take, take.file, relative, target, opened)
        scratch = self._new_scratch()
        pcm = resample(take.pcm, take.sample_rate_hz, self.format.sample_rate_hz)
        header, samples = encode(pcm, self.format)
        whole = sha256(header)
        whole.update(samples)
        result = msgspec.structs.replace(
            take.result,
            path=relative,
            sample_rate_hz=self.format.sample_rate_hz,
            frames=len(pcm) // 2,
            bytes=len(header) + len(samples),
            sha256=whole.hexdigest(),
        )
        descriptor = disk.create(scratch)
        opened.callback(os.close, descriptor)
        disk.write_all(descriptor, header, samples)
        dated = msgspec.structs.replace(result, mtime_ns=os.fstat(descriptor).st_mtime_ns)
        return _Draft(descriptor, scratch, target, dated)

    def _drafted(
        self, take: Take, scratch: str, relative: str, target: str, opened: ExitStack
    ) -> _Draft:
        """The same of a file that is written already."""
        descriptor = os.open(scratch, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, descriptor)
        result = msgspec.structs.replace(
            take.result,
            path=relative,
            sample_rate_hz=self.format.sample_rate_hz,
            mtime_ns=os.fstat(descriptor).st_mtime_ns,
        )
        return _Draft(descriptor, scratch, target, result)

    def _new_scratch(self) -> str:
        self._count += 1
        return f"{self._scratch}/{self._count}.part"

    def _make_room(self, target: str) -> None:
        """Make the folder of a file, once."""
        directory = target.rpartition("/")[0]
        if directory not in self._known:
            disk.make_directory(Path(directory))
            self._known.add(directory)


class _Draft(NamedTuple):
    """A file that is written and neither durable nor in its place."""

    descriptor: int
    scratch: str
    target: str
    result: Result


def _same_content(source: str, scratch: str, told: Result) -> int | None:
    """Make *scratch* a name of the content of *source*; return its time, or None if it is not."""
    try:
        disk.link(source, scratch)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(source, scratch)
    found = os.stat(scratch)  # noqa: PTH116  # a string, as all names here
    is_same = found.st_size == told.bytes
    if is_same and found.st_mtime_ns != told.mtime_ns:
        is_same = sha256_of(scratch) == told.sha256
    if not is_same:
        disk.remove(scratch)
    return found.st_mtime_ns if is_same else None


def _copy(source: str, target: str) -> None:
    with Path(source).open("rb") as file:
        descriptor = disk.create(target)
        try:
            while data := file.read(_COPIED_BYTES):
                disk.write_all(descriptor, data)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
