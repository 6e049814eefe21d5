"""All of an output directory read back, from the ledger to the last file."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from batchtts.audit import audio
from batchtts.audit.derived import Derived
from batchtts.audit.finding import Finding
from batchtts.audit.reading import Reading
from batchtts.audit.strays import Strays
from batchtts.errors import UsageError
from batchtts.job.plan import DONE, FAILED, NEW, Ints
from batchtts.model import Result
from batchtts.record import begun, disk, lock
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout

#: Called with how many finished rows there are, and how many were read.
Watch = Callable[[int, int], None]

_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def occupied(layout: Layout, *, to_write: bool) -> Iterator[bool]:
    """Keep runs out of an output directory; nothing in it is changed.

    Yields:
        Whether they are kept out: where nothing can be written, nobody is, and
        nobody can run either.

    Raises:
        UsageError: there is no ledger.
        OutputInUse: a run has the directory.
        OutputBroken: it cannot be written, and is *to_write*.
    """
    if not layout.ledger.is_file():
        told = "no ledger here" if layout.root.is_dir() else "no such directory"
        raise UsageError(f"{layout.root}: {told}", hint="name the output directory of a run")
    with ExitStack() as held, disk.telling(layout.root):
        is_held = False
        try:
            if to_write:
                disk.make_directory(layout.scratch)
            if layout.private.is_dir():
                held.enter_context(lock.hold(layout.private, shown_as=layout.root))
                is_held = True
        except OSError as error:
            if to_write or error.errno not in _UNWRITABLE:
                raise
        yield is_held


@dataclass(slots=True)
class Audit:
    """Reads everything back; the findings come as they are found.

    Attributes:
        quick: Of audio look at the sizes only.
        watch: Told how far it has come.
        rows_done, rows_failed, rows_taken_back: As the ledger has it.
        files, read_bytes: What was as recorded.
        notes: What is not wrong and worth to be known, once all is read.
        broken: Ledger lines about audio that is not as recorded.
        shared: Ledger lines about audio that another finished row has, too.
    """

    layout: Layout
    quick: bool = False
    watch: Watch = lambda rows, read: None
    rows_done: int = 0
    rows_failed: int = 0
    rows_taken_back: int = 0
    files: int = 0
    read_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    broken: array[int] = field(default_factory=lambda: array("q"))
    shared: array[int] = field(default_factory=lambda: array("q"))
    _parts: tuple[Reading, Strays, Derived] | None = None

    @property
    def reading(self) -> Reading:
        """The ledger, once there are findings."""
        assert self._parts is not None
        return self._parts[0]

    @property
    def strays(self) -> Strays:
        """Files that no line answers for, once there are findings."""
        assert self._parts is not None
        return self._parts[1]

    @property
    def derived(self) -> Derived:
        """What was made from the ledger, once there are findings."""
        assert self._parts is not None
        return self._parts[2]

    def findings(self) -> Iterator[Finding]:
        """Read everything.

        Raises:
            LedgerBroken: the ledger is of a later version, or none.
            OutputBroken: something could not be read that is no audio.
        """
        with (
            disk.telling(self.layout.root),
            Ledger.peek(self.layout.ledger, salvage=True) as ledger,
        ):
            reading = Reading.of(self.layout.ledger, ledger)
            strays, derived = Strays(self.layout, reading), Derived(self.layout, reading)
            self._parts = reading, strays, derived
            self._count()
            yield from reading.findings()
            yield from self._audio()
            yield from strays.findings()
            yield from derived.findings()
            self._note()

    def _count(self) -> None:
        kinds = self.reading.past.kinds
        self.rows_done = int(np.count_nonzero(kinds == DONE))
        self.rows_failed = int(np.count_nonzero(kinds == FAILED))
        self.rows_taken_back = int(np.count_nonzero(kinds == NEW))

    def _audio(self) -> Iterator[Finding]:
        past = self.reading.past
        addresses = np.sort(past.addresses[past.kinds == DONE])
        twice = self._twice(addresses)
        taken: set[int] = set()
        results = (it for it in self.reading.ledger.results(addresses.tolist()) if it is not None)
        at = 0
        for read in audio.read_back(results, self.layout.root, quick=self.quick):
            self.read_bytes += read.read_bytes
            for result, found in zip(read.results, read.findings, strict=True):
                address, at = int(addresses[at]), at + 1
                if hash(result.path) in twice:
                    if hash(result.path) in taken:
                        self.shared.append(address)
                        yield _shared(result)
                        continue
                    taken.add(hash(result.path))
                self.files += found is None
                if found is not None:
                    if found.can_mend:
                        self.broken.append(address)
                    yield found
            self.watch(len(addresses), at)

    def _twice(self, addresses: Ints) -> set[int]:
        """The paths (their hash) that more than one finished row has."""
        hashes, counts = np.unique(self.reading.paths_of(addresses), return_counts=True)
        return set(hashes[counts > 1].tolist())

    def _note(self) -> None:
        unsettled = sum(1 for sent in begun.left(self.layout.begun) if not self._is_settled(sent))
        if unsettled:
            self.notes.append(
                f"a run was killed with {unsettled:,} rows under way; the next accounts for them"
            )
        if self.rows_taken_back:
            self.notes.append(
                f"{self.rows_taken_back:,} rows were dropped or taken back;"
                " a run speaks those that its manifest has"
            )
        if self.strays.taken_back:
            self.notes.append(f"the next run removes {self.strays.taken_back:,} files of such rows")

    def _is_settled(self, sent: begun.Sent) -> bool:
        past = self.reading.past
        [place] = past.find(np.array([hash(sent.id)], dtype=np.int64))
        if place < 0:
            return False
        [last] = self.reading.ledger.results([int(past.addresses[place])])
        return sent.unsettled_by(last) is None


def _shared(result: Result) -> Finding:
    return Finding("audio_shared", f"{result.path}", "another finished row has it, too", result.id)
