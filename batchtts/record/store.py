"""The output directory: who may be in it, what lies where, whole files only.

OUT/wav/ID.wav            audio (or flac/), in folders past some thousands
OUT/results.parquet       one row per manifest row
OUT/failed.parquet        the rows that failed; itself a manifest
OUT/summary.json          the run in figures
OUT/ledger.jsonl          the truth
OUT/.batchtts/            lock, and what is not whole yet
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchtts.audio.write import encode, resample
from batchtts.errors import UsageError
from batchtts.model import AudioFormat, Result, Take
from batchtts.record import disk, lock, names


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

    def path_of(self, row_id: str) -> str:
        """Return where the audio of a row goes, below the output directory."""
        stem = names.stem(row_id)
        if hash(stem.casefold()) in self.contested:
            stem = names.own_stem(row_id)
        container = self.format.container
        return f"{container}/{names.folder(row_id, self.rows)}{stem}.{container}"

    def publish(self, takes: Sequence[Take]) -> list[Result]:
        """Write the audio of finished takes; return their results with the file's facts.

        The files are durable under their final names when this returns, the
        ledger does not know of them yet. Failed takes pass through.

        Raises:
            OutputBroken: the disk is full, read-only or failing; some of the
                files may be there, none of them is half.
        """
        with disk.telling(self.layout.root), ExitStack() as opened:
            drafts = [self._draft(take, opened) for take in takes if take.result.status == "done"]
            for draft in drafts:
                disk.sync(draft.descriptor)
            for draft in drafts:
                disk.rename(draft.scratch, draft.target)
            for directory in {draft.target.rpartition("/")[0] for draft in drafts}:
                disk.sync_directory(directory)
        told = iter(draft.result for draft in drafts)
        return [next(told) if take.result.status == "done" else take.result for take in takes]

    def _draft(self, take: Take, opened: ExitStack) -> _Draft:
        """Write a whole file under a name that is not yet; *opened* will close it."""
        relative = self.path_of(take.utterance.id)
        target = f"{self.layout.root}/{relative}"
        directory = target.rpartition("/")[0]
        if directory not in self._known:
            disk.make_directory(Path(directory))
            self._known.add(directory)
        self._count += 1
        scratch = f"{self.layout.scratch}/{self._count}.part"
        pcm = resample(take.pcm, take.sample_rate_hz, self.format.sample_rate_hz)
        whole = encode(pcm, self.format)
        result = msgspec.structs.replace(
            take.result,
            path=relative,
            sample_rate_hz=self.format.sample_rate_hz,
            frames=len(pcm) // 2,
            bytes=len(whole),
            sha256=sha256(whole).hexdigest(),
        )
        descriptor = disk.create(scratch)
        opened.callback(os.close, descriptor)
        disk.write_all(descriptor, whole)
        return _Draft(descriptor, scratch, target, result)


class _Draft(NamedTuple):
    """A file that is written and neither durable nor in its place."""

    descriptor: int
    scratch: str
    target: str
    result: Result
