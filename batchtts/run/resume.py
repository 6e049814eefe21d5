"""A job taken up where its last run has left it: only rows that are not done are looked at.

What that run knew is in its standing. It is taken for true if manifest and settings are
the same and the ledger begins with the same lines; what came after those, of a run that
was killed, is read. In any doubt all is read and compared, which is always right.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import chain

import msgspec
import numpy as np
import pyarrow as pa

from batchtts import __version__
from batchtts.errors import ManifestChanged, ManifestError, OutputBroken
from batchtts.job.columns import Columns
from batchtts.job.manifest import Manifest
from batchtts.job.plan import DONE, Facts, Ints, Past, Told, places
from batchtts.job.settings import Job
from batchtts.job.speaker import Speaker
from batchtts.notices import notice
from batchtts.record import begun, standing
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Entry
from batchtts.record.standing import File, Mark, Seal, Shape, Standing, StandingBroken
from batchtts.record.store import Layout
from batchtts.run.agenda import Agenda
from batchtts.run.contest import stems_of
from batchtts.run.forecast import REMEMBERED
from batchtts.run.ground import Ground, as_past
from batchtts.run.memory import Memory
from batchtts.run.mending import settle
from batchtts.run.survey import consider

#: A manifest with fewer rows is read and compared in no time.
FEWEST_ROWS = 10_000

#: Lines since the standing; if there are more, reading everything is as good.
MOST_LINES = 200_000

#: File names that more than one id would have; where there are more, all is read.
MOST_CONTESTED = 10_000


log = logging.getLogger("batchtts.run")


@dataclass(frozen=True, slots=True)
class Resumed:
    """A job taken up where its last run has left it.

    Attributes:
        contested: hash() of file names that more than one id would have; None if unknown.
    """

    ground: Ground
    contested: frozenset[int] | None


def resume(
    job: Job, speaker: Speaker, ledger: Ledger, layout: Layout, *, mends: bool
) -> Resumed | None:
    """Take a job up where its last run has left it; None if everything must be read.

    Args:
        mends: Whether what a killed run has left is put in order.

    Raises:
        ManifestChanged: somebody writes to the manifest.
        OutputBroken: what was left could not be put in order.
    """
    found = _find(job, speaker, ledger, layout)
    if found is None:
        return None
    with suppress(StandingBroken):
        taken_up = _Taking(job, speaker, ledger, layout, mends, *found).take_up()
        if taken_up is not None:
            return taken_up
    found[0].close()
    return None


def _find(
    job: Job, speaker: Speaker, ledger: Ledger, layout: Layout
) -> tuple[Standing, Manifest] | None:
    needs_all = job.again or job.sample is not None or job.prune
    found = None if needs_all else Standing.open(layout.standing)
    if found is None:
        return None
    seal = found.seal
    with suppress(OSError, pa.ArrowException):
        if (
            seal.batchtts == __version__
            and seal.settings == stands_for(job, speaker)
            and seal.manifest == File.of(job.manifest)
            and seal.mark.is_in(ledger)
        ):
            manifest = _remembered(job, seal)
            if manifest is not None:
                return found, manifest
    found.close()
    return None


def _remembered(job: Job, seal: Seal) -> Manifest | None:
    shape = seal.shape
    if shape.columns.get("canary") is not None:
        return None  # which rows are canaries is not remembered
    manifest = Manifest.recalled(
        job.manifest,
        Columns(**shape.columns),  # type: ignore[arg-type]  # the text has a name
        shape.rows,
        table=pa.ipc.read_schema(pa.py_buffer(shape.table)),
        carried=pa.ipc.read_schema(pa.py_buffer(shape.carried)),
    )
    return manifest if File.of(job.manifest) == seal.manifest else None


def stands_for(job: Job, speaker: Speaker) -> str:
    """Stands for all that decides which audio a row is to have."""
    provider = speaker.provider
    facts = (
        *(provider.name, provider.voices, provider.languages, provider.open_models),
        *(speaker.voice, speaker.format, speaker.options, job.speed, job.columns),
        speaker.wording.stands_for,
    )
    return sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


@dataclass(slots=True)
class _Tail:
    """What the ledger tells beyond the mark of a standing."""

    told: list[Told] = field(default_factory=list)
    ids: dict[str, None] = field(default_factory=dict)
    taken_back: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, ledger: Ledger, seal: Seal) -> _Tail | None:
        """Read all lines that are not in a snapshot; None if not all is as it should be."""
        tail, beyond, count = cls(), ledger.folded_rows + seal.mark.size_bytes, 0
        for block in ledger.blocks():
            if block.damaged:
                return None
            first = int(np.searchsorted(block.addresses, beyond))
            is_later = block.told.addresses >= beyond
            tail.told.append(Told._make(column[is_later] for column in block.told))
            count += len(block.entries) - first
            later = zip(block.addresses.tolist()[first:], block.entries[first:], strict=True)
            if count > MOST_LINES or not all(tail._see(*each, seal) for each in later):
                return None
        return tail

    def _see(self, address: int, entry: Entry, seal: Seal) -> bool:
        """Remember what a line is about; False if it is not about this manifest."""
        if entry.id is not None:
            self.ids[entry.id] = None
        if entry.status == "pending" and entry.path is not None:
            self.taken_back.append(address)
        return entry.manifest in (None, "", seal.manifest.path)


@dataclass(frozen=True, slots=True)
class _Taking:
    job: Job
    speaker: Speaker
    ledger: Ledger
    layout: Layout
    mends: bool
    standing: Standing
    manifest: Manifest

    def take_up(self, *, is_settled: bool = False) -> Resumed | None:
        tail = _Tail.read(self.ledger, self.standing.seal)
        if tail is None:
            return None
        mends = self.mends and not is_settled
        sent = {it.id for it in begun.left(self.layout.begun)} if mends else set[str]()
        ids = [*tail.ids, *(sent - tail.ids.keys())]
        found = self.manifest.find(ids) if ids else {}
        if len(found) < len(ids):
            return None  # a line about a row that left the manifest
        rows, facts, latest = self._gather(np.unique([*found.values()]).astype(np.int64))
        _overlay(rows, facts, tail, found)
        if mends and (sent or tail.taken_back):
            places = {it: int(np.searchsorted(rows, found[it])) for it in ids}
            if settle(self.ledger, self.layout, _about(places, facts, tail)):
                return self.take_up(is_settled=True)
        ground = Ground(self.standing, [])
        latest = _largest(np.union1d(latest, facts.addresses[facts.kinds == DONE]))
        ground.agendas.append(self._consider(ground, rows, facts, self._memory(latest)))
        contested = self.standing.seal.contested
        return Resumed(ground, None if contested is None else frozenset(map(hash, contested)))

    def _gather(self, more: Ints) -> tuple[Ints, Facts, Ints]:
        """Return the rows that are not done, and *more*; what is known of them; the latest done."""
        first, rows, found = 0, list[Ints](), list[Facts]()
        latest = np.empty(0, np.int64)
        for facts in self.standing.facts():
            at, end = np.searchsorted(more, [first, first + len(facts)])
            wanted = ~facts.is_done
            wanted[more[at:end] - first] = True
            here = np.flatnonzero(wanted)
            rows.append(first + here)
            found.append(facts.at(here))
            latest = _largest(np.concatenate([latest, facts.addresses[facts.kinds == DONE]]))
            first += len(facts)
        return np.concatenate(rows), Facts.joined(found), latest

    def _memory(self, latest: Ints) -> Memory:
        """What the ledger tells, as far as it is of use: where the latest lines are."""
        done = Facts.blank(len(latest))
        done.kinds[:], done.addresses[:] = DONE, latest
        return Memory(
            past=as_past(done),
            taken_back=[],
            damaged=[],
            manifest=self.standing.seal.manifest.path,
            _ledger=None,
        )

    def _consider(self, ground: Ground, rows: Ints, facts: Facts, memory: Memory) -> Agenda:
        return consider(
            self.job,
            self.speaker,
            self.manifest,
            rows,
            facts,
            self.standing.left(),
            memory=memory,
            others_done=self.manifest.rows - len(rows),
            told_of=ground.told_of,
        )


def _overlay(rows: Ints, facts: Facts, tail: _Tail, found: dict[str, int]) -> None:
    """Know what the lines tell that came since."""
    if not tail.ids:
        return
    past = Past.of(tail.told)
    hashes = np.fromiter(map(hash, tail.ids), np.int64)
    at = past.find(hashes)
    places = np.searchsorted(rows, [found[it] for it in tail.ids])
    facts.is_done[places] = False
    facts.kinds[places] = past.kinds[at]
    facts.addresses[places] = past.addresses[at]
    facts.prints[places] = past.fingerprints[at]
    facts.characters_sent[places] += past.characters_sent[at]
    facts.costs_usd[places] += past.costs_usd[at]


def _about(places: dict[str, int], facts: Facts, tail: _Tail) -> Memory:
    """What the ledger tells of some ids, by their places in the facts."""
    known = {it: at for it, at in places.items() if facts.addresses[at] >= 0}
    hashes = np.fromiter(map(hash, known), np.int64)
    order = np.argsort(hashes)
    some = facts.at(np.fromiter(known.values(), np.int64)[order])
    past = Past(
        hashes[order],
        some.addresses,
        some.kinds,
        some.prints,
        some.characters_sent,
        some.costs_usd,
    )
    last = set(some.addresses.tolist())
    taken_back = [address for address in tail.taken_back if address in last]
    return Memory(
        past=past,
        taken_back=taken_back,
        damaged=[],
        manifest=None,
        _ledger=None,
    )


def _largest(addresses: Ints) -> Ints:
    if len(addresses) <= REMEMBERED:
        return addresses
    return np.partition(addresses, -REMEMBERED)[-REMEMBERED:]


def leave(
    ground: Ground,
    *,
    job: Job,
    speaker: Speaker,
    ledger: Ledger,
    layout: Layout,
    contested: frozenset[int] | None,
    read_at: float,
    moved: Ints | None,
) -> None:
    """Leave word of how things stand, if it may be trusted, and there are rows enough.

    Args:
        contested: hash() of file names that more than one id would have; None if unknown.
        read_at: When the manifest was read, or before; seconds since the epoch.
        moved: Of a ledger that was folded since: the old address of each row of its snapshot.
    """
    manifest, mark = ground.agendas[0].manifest, Mark.of(ledger)
    before = ground.standing.seal if ground.standing is not None else None
    if before is not None and before.mark == mark:
        return
    try:
        stems = None if contested is None else stems_of(manifest, contested)
    except (ManifestChanged, ManifestError):
        return  # it was changed, after all that this run has to say was written
    file = _file_of(manifest, read_at)
    if file is None or len(stems or ()) > MOST_CONTESTED:
        return
    if before is not None and before.manifest != file:
        return
    seal = Seal(
        version=standing.VERSION,
        batchtts=__version__,
        manifest=file,
        settings=stands_for(job, speaker),
        shape=Shape(
            rows=manifest.rows,
            columns=asdict(manifest.columns),
            table=manifest.table.schema.serialize().to_pybytes(),
            carried=manifest.schema.serialize().to_pybytes(),
        ),
        mark=mark,
        contested=stems,
    )
    scratch = layout.scratch / "standing.parquet"
    try:
        standing.write(layout.standing, _all_facts(ground, moved), seal=seal, scratch=scratch)
    except OutputBroken as error:
        told = "%s; the next run will read and compare all rows"
        log.warning(told, error, extra=notice("standing_not_written"))


def _file_of(manifest: Manifest, read_at: float) -> File | None:
    """The state of a manifest; None if it is not what was read, or may not be."""
    with suppress(OSError):
        file, stamp = File.of(manifest.path), manifest.stamp
        is_same = (file.size_bytes, file.mtime_ns, file.inode) == (
            stamp.size_bytes,
            stamp.mtime_ns,
            stamp.inode,
        )
        return file if is_same and file.is_settled(read_at) else None
    return None


def _all_facts(ground: Ground, moved: Ints | None) -> Iterator[Facts]:
    for facts in chain(ground.facts(), [ground.left]):
        yield facts if moved is None else replace(facts, addresses=_moved(facts.addresses, moved))


def _moved(addresses: Ints, moved: Ints) -> Ints:
    """Where lines are now that were at *addresses*."""
    found = places(moved, addresses)
    if np.any((found < 0) & (addresses >= 0)):
        raise StandingBroken("a line that counts is not the last one about its id")
    return found
