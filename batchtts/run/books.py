"""Who writes down what became of each row: audio first, then the ledger, then the plan.

Before a file takes the place of another one the ledger takes back what it says of
that one, so that at no instant a line tells of audio that is not there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import trio

from batchtts.job.plan import FAILED, KINDS, Ints
from batchtts.model import Correction, Kept, Result, Take, Utterance
from batchtts.notices import notice
from batchtts.record import disk
from batchtts.record.begun import Begun, Sent, take_of
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Header
from batchtts.record.pieces import Pieces, folder_of
from batchtts.record.store import Store
from batchtts.run.accounts import Awaited, Spoken
from batchtts.run.agenda import Agenda
from batchtts.run.figures import Figures
from batchtts.run.mending import conclusion, lightened, spent, whole
from batchtts.run.notes import unspoken
from batchtts.run.progress import counting
from batchtts.run.worker import Segment, Weighed

log = logging.getLogger("batchtts.run")

#: Rows that get their audio from another one, at a time.
SHARED_AT_ONCE = 256

#: Rows that are gone and are taken back, at a time.
PRUNED_AT_ONCE = 8192


@dataclass(slots=True, kw_only=True)
class Books:
    """The ledger, the store and the plan of one run, kept in step.

    Attributes:
        name: Of the run; see Crew.
        cost: What characters cost, by the model that speaks them.
        figures: Told of what was spoken, once it is durable.
    """

    name: str
    ledger: Ledger
    store: Store
    begun: Begun
    pieces: Pieces
    agenda: Agenda
    cost: Callable[[str, int], float | None]
    figures: Figures = field(default_factory=counting)
    spoken: Spoken = field(default_factory=Spoken)
    _awaited: Awaited = field(default_factory=lambda: Awaited.of(()))
    _aside: dict[int, str] = field(default_factory=dict)

    def turn_to(self, agenda: Agenda, *, name: str) -> None:
        """Go on with other rows, under another name: places among rows may be the same again."""
        self.agenda, self.name = agenda, name

    async def record(self, outcomes: Sequence[Weighed], corrections: Sequence[Correction]) -> None:
        """Make takes, segments and corrections durable, in one thread hop."""
        segments = [it for it in outcomes if isinstance(it, Segment)]
        if segments:
            await self._record_segments(segments)
        kept = [it for it in outcomes if isinstance(it, Kept)]
        if kept:
            await self._record_kept(kept)
        finished = [it for it in outcomes if isinstance(it, Take) and not self._leaves_all(it)]
        rows = [take.utterance.row for take in finished]
        told = self.agenda.plan.settled  # there is nothing to correct where nothing was said
        corrections = [it for it in corrections if told[it.row] or it.row in rows]
        if not (finished or corrections):
            return
        results, addresses = await trio.to_thread.run_sync(self._commit, finished, corrections)
        for row, result, address in zip(rows, results, addresses, strict=False):
            self.spoken.rows += result.status == "done"
            self._count(row, result, address)
        for correction, address in zip(corrections, addresses[len(finished) :], strict=True):
            self.spoken.rows -= 1
            self._settle(correction.row, correction.result, address)
            self.figures.correct(correction.result)
        self.begun.settle(take_of(self.name, row) for row in rows)

    async def _record_segments(self, segments: Sequence[Segment]) -> None:
        """Make segments durable, and account for them: their rows are not whole yet."""
        told = [self._account(each) for each in segments]
        addresses = await trio.to_thread.run_sync(self._keep, segments, told)
        for segment, result, address in zip(segments, told, addresses, strict=True):
            row = segment.part.reading.utterance.row
            self.spoken.pay(result)
            self.agenda.plan.restate(row, address, result.characters_sent, result.cost_usd)
            take = take_of(self.name, row)
            self.begun.tell(take, result.take_characters, result.take_usd)
            if segment.part.is_spoiled:  # meanwhile
                self.pieces.remove(segment.piece.folder, segment.piece.name)
            self.figures.pay(result.characters_sent, result.cost_usd)
            self.figures.hear(result.id, segment.part.script_chars, segment.piece.audio_s)

    async def _record_kept(self, kept: Sequence[Kept]) -> None:
        """Say that takes were made, and are not wanted."""
        addresses = await trio.to_thread.run_sync(self._drop, kept)
        for each, address in zip(kept, addresses, strict=True):
            row, result = each.take.utterance.row, each.result
            self.spoken.kept += 1
            self.spoken.end(each.take.result)
            self.spoken.pay(result)
            self.agenda.plan.restate(row, address, result.characters_sent, result.cost_usd)
            self.figures.keep(each.take.result)
        self.begun.settle(take_of(self.name, each.take.utterance.row) for each in kept)

    def _drop(self, kept: Sequence[Kept]) -> list[int]:
        addresses = self.ledger.append([whole(self.ledger, each.result) for each in kept])
        for each in kept:
            if each.take.file is not None:
                with disk.telling(self.store.layout.root):
                    disk.remove(each.take.file)
            self.pieces.drop(folder_of(each.take.utterance.id))
        return addresses

    def had(self, row: int) -> Result | None:
        """What is known of a row from before it was begun: the last line about it."""
        plan = self.agenda.plan
        [last] = self.ledger.results([max(int(plan.addresses[row]), int(plan.replaces[row]))])
        return last

    def holds(self, row: int) -> bool:
        """Whether a row that is spoken again has audio meanwhile, which it may keep."""
        return bool(self.agenda.again[row])

    def _keep(self, segments: Sequence[Segment], told: Sequence[Result]) -> list[int]:
        self.pieces.publish([segment.piece for segment in segments if not segment.part.is_spoiled])
        return self.ledger.append(told)

    def _account(self, segment: Segment) -> Result:
        """The line about a segment: the row is as it was, and so much was spent on it."""
        reading, number = segment.part.reading, segment.part.number
        row, plan = reading.utterance.row, self.agenda.plan
        sent = self.begun.sent(take_of(self.name, row))
        address = max(int(plan.addresses[row]), int(plan.replaces[row]))
        last = self.had(row)
        told = reading.tell(number, self.cost)
        return msgspec.structs.replace(
            spent(sent, lightened(last, address)),
            characters_sent=told.characters,
            cost_usd=told.cost_usd,
            context=segment.piece.facts.context,
            segment=number,
            take_characters=reading.told.characters,
            take_usd=reading.told.cost_usd,
        )

    def _leaves_all(self, take: Take) -> bool:
        """Whether a row stays what it was: it was left, or has good audio and got no other."""
        failed_again = take.result.status == "failed" and self.holds(take.utterance.row)
        if failed_again:
            self.spoken.kept += 1
            self.spoken.end(take.result)
            self.figures.keep(take.result)
        return take.result.status == "pending" or failed_again

    def _commit(
        self, takes: Sequence[Take], corrections: Sequence[Correction]
    ) -> tuple[list[Result], list[int]]:
        def clear_the_way() -> None:
            self._take_back(take.utterance for take in takes)

        results = self.store.publish(takes, clear_the_way)
        addresses = self.ledger.append(results) if results else []
        for take in takes:
            if take.file is not None:
                self.pieces.drop(folder_of(take.utterance.id))
        if corrections:  # of takes that may be among these
            taken = {take.utterance.row: take.result for take in takes}
            addresses += self._correct([self._counted(it, taken.get(it.row)) for it in corrections])
        return results, addresses

    def _counted(self, correction: Correction, taken: Result | None) -> Result:
        """What is to be said of a row, with how often it was spoken."""
        last = taken or self.had(correction.row)
        takes = last.takes if last is not None else 1
        return msgspec.structs.replace(correction.result, takes=takes, kept_take=takes)

    def _correct(self, failed: Sequence[Result]) -> list[int]:
        """Rows were recorded as done and are not: remove their audio, and say so."""
        paths = [self.store.path_of(result.id) for result in failed]
        self.ledger.append(it.taken_back(path) for it, path in zip(failed, paths, strict=True))
        for path in paths:
            self._remove(path)
        return self.ledger.append(failed)

    def _count(self, row: int, result: Result, address: int) -> None:
        self.spoken.audio_s += result.audio_s or 0.0
        self.spoken.end(result)
        self.spoken.pay(result)
        self._settle(row, result, address)
        self.figures.add(result)
        self.agenda.plan.spend(row, result.characters_sent, result.cost_usd)

    def _settle(self, row: int, result: Result, address: int) -> None:
        if result.status != "pending":
            self.agenda.plan.settle(row, KINDS[result.status], address)

    def _take_back(self, utterances: Iterable[Utterance]) -> None:
        """Say of audio that is about to be replaced that it counts no more, and remove it."""
        addresses = self.agenda.plan.replaces
        old = [int(addresses[it.row]) for it in utterances if addresses[it.row] >= 0]
        self.take_back(old)

    def take_back(self, addresses: Sequence[int]) -> None:
        """Say of some lines that they count no more, and remove their audio."""
        told = zip(addresses, self.ledger.results(addresses), strict=True)
        old = [(address, result) for address, result in told if result is not None]
        if not old:
            return
        self.ledger.append(it.taken_back(it.path) for _, it in old)
        for address, result in old:
            if result.path is not None and address in self._awaited:
                self._aside[address] = self.store.set_aside(result.path)
            elif result.path is not None:
                self._remove(result.path)

    def prune(self, addresses: Ints) -> None:
        """Take back rows that are gone, however many there are."""
        for start in range(0, len(addresses), PRUNED_AT_ONCE):
            self.take_back(addresses[start : start + PRUNED_AT_ONCE].tolist())

    def _remove(self, path: str) -> None:
        with disk.telling(self.store.layout.root):
            disk.remove(self.store.layout.root / path)

    def refuse(self, provider: str) -> None:
        """Write down the rows that no provider will be asked for, once and for all."""
        for refused in self.agenda.refusals():
            now = time.time()
            self._take_back(refused)
            results = [_refuse(row, provider, now) for row in refused]
            addresses = self.ledger.append(results)
            for row, result, address in zip(refused, results, addresses, strict=True):
                code, error = result.error_code, result.error_message
                facts = notice("row_failed", id=row.id, code=code, error=error, attempts=0)
                log.warning("%s failed: %s", row.id, error, extra=facts)
                self.agenda.plan.settle(row.row, FAILED, address)

    def expect(self, addresses: Ints) -> None:
        """Audio that will be shared, in this order, is not removed before."""
        self._awaited = Awaited.of(addresses)

    def share(self, wanted: Iterable[list[tuple[Utterance, int]]]) -> list[int]:
        """Give rows the audio of others; return the rows whose audio is not there after all."""
        missing = []
        for some in wanted:
            for start in range(0, len(some), SHARED_AT_ONCE):
                missing += self._share(some[start : start + SHARED_AT_ONCE])
        for path in self._aside.values():
            self._remove(path)
        self._aside.clear()
        return missing

    def _sources(self, addresses: Sequence[int]) -> Iterator[Result | None]:
        """The lines about some audio, with the place where it is now."""
        for address, result in zip(addresses, self.ledger.results(addresses), strict=True):
            if result is not None and address in self._aside:
                yield msgspec.structs.replace(result, path=self._aside[address])
            else:
                yield result

    def _share(self, wanted: Sequence[tuple[Utterance, int]]) -> list[int]:
        sources = list(self._sources([address for _, address in wanted]))
        self._awaited.served += len(wanted)  # once the store holds it, its name may go
        pairs = [
            (utterance, source)
            for (utterance, _), source in zip(wanted, sources, strict=True)
            if source is not None and source.fingerprint == utterance.fingerprint
        ]
        self.begun.note(self._sent(utterance) for utterance, _ in pairs)
        results = list(self._alike(pairs))
        found = [
            (utterance, result)
            for (utterance, _), result in zip(pairs, results, strict=True)
            if result.status != "pending"
        ]
        addresses = self.ledger.append(result for _, result in found)
        for (utterance, result), address in zip(found, addresses, strict=True):
            self.spoken.shared += result.status == "done"
            self._settle(utterance.row, result, address)
        self.begun.settle(take_of(self.name, utterance.row) for utterance, _ in pairs)
        there = {utterance.row for utterance, _ in found}
        return [utterance.row for utterance, _ in wanted if utterance.row not in there]

    def _sent(self, utterance: Utterance) -> Sent:
        take, path = take_of(self.name, utterance.row), self.store.path_of(utterance.id)
        return Sent(take=take, id=utterance.id, path=path)

    def _alike(self, pairs: Sequence[tuple[Utterance, Result]]) -> Iterator[Result]:
        """What became of the others is what becomes of these; in the order of *pairs*."""
        done = [(u.id, source) for u, source in pairs if source.status == "done"]

        def clear_the_way(shared: Sequence[Result]) -> None:
            missing = {result.id for result in shared if result.status == "pending"}
            self._take_back(utterance for utterance, _ in pairs if utterance.id not in missing)

        told = iter(self.store.share(done, clear_the_way))
        for utterance, source in pairs:
            result = next(told) if source.status == "done" else source
            whose = source.same_as or source.id
            yield msgspec.structs.replace(
                result,
                id=utterance.id,
                context=take_of(self.name, utterance.row),
                same_as=whose if whose != utterance.id else None,  # it gets its own back
                script_hash=utterance.script_hash,
                text_chars=len(utterance.script),
                attempts=0,
                segments=0,
                characters_sent=0,
                cost_usd=0.0,
                queue_s=0.0,
                connect_s=0.0,
                ttfa_s=None,
                synth_s=None,
                wall_s=None,
            )

    def give_up(self) -> None:
        """Write down what was sent for rows that were dropped in flight, or left."""
        plan = self.agenda.plan
        left = [sent.rest() for sent in self.begun.unsettled()]
        rows = [sent.row for sent in left]
        last = self.ledger.results(np.maximum(plan.addresses[rows], plan.replaces[rows]).tolist())
        ends = [conclusion(self.ledger, *each) for each in zip(left, last, strict=True)]
        told = [(row, end) for row, end in zip(rows, ends, strict=True) if end is not None]
        addresses = self.ledger.append(end for _, end in told) if told else []
        for (row, end), address in zip(told, addresses, strict=True):
            self.spoken.pay(end)
            plan.restate(row, address, end.characters_sent, end.cost_usd)
        self.begun.clear()

    def begin(self, header: Header) -> None:
        """Say whose ledger this is, if it does not say so yet."""
        if self.agenda.memory.manifest != header.manifest:
            self.ledger.append([header])


def _refuse(utterance: Utterance, provider: str, now: float) -> Result:
    assert utterance.refusal is not None
    return msgspec.structs.replace(
        unspoken(utterance, provider),
        started_at=now,
        finished_at=now,
        cost_usd=0.0,
        error_code=utterance.refusal.code,
        error_message=utterance.refusal.message,
    )
