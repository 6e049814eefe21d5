"""What there is to do, and what there is left of it: the rows that a run considers.

These are all rows of the manifest, or some of them; the others are none of the run's
concern. A row is known by its place among those that are considered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from batchtts.errors import ScriptRejected, SettingsError
from batchtts.job.casting import Casting
from batchtts.job.manifest import Batch, Manifest
from batchtts.job.plan import (
    CHANGED,
    DONE,
    FAILED,
    NEW,
    Bools,
    Facts,
    Ints,
    Past,
    Plan,
    known,
)
from batchtts.job.prints import Fingerprints, hash_script
from batchtts.job.settings import Job
from batchtts.job.sharing import find_spoken, find_twins
from batchtts.job.wording import Wording
from batchtts.model import Refusal, Utterance
from batchtts.run.memory import Memory
from batchtts.text.clean import why_unspeakable

#: Longer scripts are refused: a WAV of a day or more may be no WAV.
LONGEST_CHARS = 1_000_000

Int32s = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class Shared:
    """Rows that get the audio of another one, ascending.

    Attributes:
        present, addresses: Those whose audio is there, and the ledger lines about it.
        awaiting, speakers: Those whose audio is yet to be spoken, and by which rows.
    """

    present: Ints
    addresses: Ints
    awaiting: Ints
    speakers: Ints

    @classmethod
    def at_hand(cls, present: Ints, addresses: Ints) -> Shared:
        """Rows whose audio is there, and none that await theirs."""
        return cls(present, addresses, np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def none(cls) -> Shared:
        """No such rows."""
        return cls.at_hand(np.empty(0, np.int64), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.present) + len(self.awaiting)


@dataclass(slots=True)
class Agenda:
    """The rows that a run considers, and what is known of each.

    Attributes:
        rows: Their positions in the manifest, ascending; None if they are all rows.
        others_done: How many rows are done and not considered.
        prints: Shape (rows,): the first 64 bits of their fingerprints.
        characters: Shape (rows,), int32: length of each script.
        models: Of the voices, by name; a row has one of them.
        model_of: Shape (rows,), int32: places in *models*.
        refused: Shape (rows,), bool: rows that no provider needs to be asked for.
        canary: Shape (rows,), bool: rows that every run speaks.
        again: Shape (rows,), bool: rows that are done as they are wanted, and asked for again.
        lost: Ledger lines about audio that is not there any more.
        chosen: Shape (rows,), bool: rows that this run is about.
        shared: Rows that get the audio of another row: those whose audio is there, and
            where; those whose audio is yet to be spoken, and by which row.
        memory: What the ledger tells, as far as it was read.
        told_of: Returns what the ledger tells of audio with one of these fingerprints;
            it may tell of other audio, too.
        is_cut: Whether the limit left rows out.
    """

    job: Job
    manifest: Manifest
    casting: Casting
    fingerprints: Fingerprints
    wording: Wording
    rows: Ints | None
    others_done: int
    plan: Plan
    prints: Ints
    characters: Int32s
    models: list[str]
    model_of: Int32s
    refused: Bools
    canary: Bools
    again: Bools
    lost: Ints
    chosen: Bools
    shared: Shared
    memory: Memory
    told_of: Callable[[Ints], Past]
    is_cut: bool = False

    def __len__(self) -> int:
        return len(self.plan.kinds)

    def count(self, kind: int) -> int:
        """How many rows of the manifest are of a kind."""
        return self.plan.count(kind) + (self.others_done if kind == DONE else 0)

    def known(self, some: slice) -> Facts:
        """What is known of some of the rows, now."""
        return known(self.plan, self.prints, some)

    def forget(self) -> None:
        """Let go of what the ledger tells, once it is decided what is to be done."""
        self.memory = replace(self.memory, past=Past.of(()))
        past = self.memory.past
        self.told_of = lambda _: past

    @property
    def to_speak(self) -> int:
        """How many rows a provider must be asked for."""
        return int(np.count_nonzero(self._wanted()))

    @property
    def characters_to_speak(self) -> int:
        """Characters of their scripts."""
        return int(self.characters[self._wanted()].sum(dtype=np.int64))

    def segments(self, limit: int) -> int:
        """How many segments of up to *limit* characters they make, at most: turns may be short."""
        characters = self.characters[self._wanted()].astype(np.int64)
        is_alone = (characters <= limit) & (not self.wording.voices)
        return int(np.where(is_alone, 1, characters).sum())

    def characters_by_model(self) -> dict[str, int]:
        """Characters of the scripts to speak, for the models that speak any."""
        wanted = self._wanted()
        counts = np.bincount(
            self.model_of[wanted], weights=self.characters[wanted], minlength=len(self.models)
        )
        return {model: int(n) for model, n in zip(self.models, counts, strict=True) if n}

    def cost_usd(self) -> tuple[float, int]:
        """Return the list price of what is to be spoken, and the models that have none."""
        provider = self.casting.provider
        costs = [provider.cost_usd(*each) for each in self.characters_by_model().items()]
        return sum(cost or 0.0 for cost in costs), sum(cost is None for cost in costs)

    @property
    def refused_count(self) -> int:
        """How many rows that are not done cannot be spoken."""
        return int(np.count_nonzero(self.refused & (self.plan.kinds != DONE)))

    @property
    def left_out(self) -> int:
        """How many rows are to be done, and not by this run."""
        return int(np.count_nonzero((self.plan.kinds != DONE) & ~self.refused & ~self.chosen))

    def batches(self) -> Iterator[list[Utterance]]:
        """Yield what is to be spoken, in the manifest's order; reads the file again."""
        return self._utterances(self._wanted())

    def refusals(self) -> Iterator[list[Utterance]]:
        """Yield the rows that cannot be spoken and are not yet recorded so."""
        new = self.refused & ((self.plan.kinds == NEW) | (self.plan.kinds == CHANGED))
        return self._utterances(new) if new.any() else iter(())

    def spoken_before(self) -> Iterator[list[tuple[Utterance, int]]]:
        """Yield the rows whose audio is there already, and the ledger line that tells of it."""
        return self._with(self.shared.present, self.shared.addresses)

    def spoken_for(self) -> Iterator[list[tuple[Utterance, int]]]:
        """Yield the rows for which another one was spoken, and the ledger line about that one."""
        told = self.plan.settled[self.shared.speakers]
        addresses = self.plan.addresses[self.shared.speakers[told]]
        return self._with(self.shared.awaiting[told], addresses)

    def unneeded(self) -> Ints:
        """Where the ledger tells of ids that are gone, and whose audio no row may still get."""
        past, gone = self.memory.past, self.plan.gone
        waiting = self.prints[(self.plan.kinds != DONE) & ~self.refused]
        if not (self.job.dedup and len(waiting)):
            return gone
        needed = past.addresses[(past.kinds == DONE) & np.isin(past.fingerprints, waiting)]
        return gone[~np.isin(gone, needed)]

    def changed(self) -> Iterator[list[tuple[Utterance, int]]]:
        """Yield the rows that are done and wanted otherwise, and the ledger line about each."""
        rows = np.flatnonzero((self.plan.kinds == CHANGED) & (self.plan.replaces >= 0))
        return self._with(rows, self.plan.replaces[rows])

    def _with(self, rows: Ints, addresses: Ints) -> Iterator[list[tuple[Utterance, int]]]:
        if not len(rows):
            return
        mask = np.zeros(len(self.plan.kinds), np.bool_)
        mask[rows] = True
        told = iter(addresses.tolist())
        for utterances in self._utterances(mask):
            yield [(utterance, next(told)) for utterance in utterances]

    def choose(self) -> None:
        """Decide which rows this run is about, and which speak for others.

        Raises:
            SettingsError: a row that is to be spoken again is not there.
        """
        again, was_done = self._again(), self.plan.kinds == DONE
        if self.job.again:
            self.chosen &= again
        else:
            again |= self.canary
        self.plan.reopen(np.flatnonzero(again), CHANGED)
        if self.job.sample is not None:
            self.chosen &= _sample(self.manifest, self.job.sample, self.job.seed)
        if self.job.dedup:
            rows = np.flatnonzero(self._wanted() & ~again)
            sound = self.plan.addresses[self.plan.kinds == DONE]
            past = self.told_of(np.unique(self.prints[rows]))
            found = find_spoken(self.prints, rows, past, lost=self.lost, sound=sound)
            self.shared = Shared.at_hand(*found)
        self._divide()
        self.plan.close(np.flatnonzero(again & was_done & ~self.chosen))
        self.again = again & was_done & self.chosen

    def concerned(self) -> Ints | None:
        """hash() of the ids of the rows that this run is about; None if it is about all."""
        is_about_all = not (self.job.again or self.job.sample)
        return None if is_about_all else self.manifest.id_hashes[self.chosen]

    def keep(self) -> int:
        """Rows that were to be spoken again and are not have what they had; return how many."""
        rows = np.flatnonzero(self.again & (self.plan.kinds == CHANGED))
        self.plan.close(rows)
        return len(rows)

    def not_there(self, rows: Ints) -> None:
        """Audio that these rows were to share is not there after all: they are spoken."""
        there = ~np.isin(self.shared.present, rows)
        self.shared = Shared.at_hand(self.shared.present[there], self.shared.addresses[there])
        self._divide()

    def _divide(self) -> None:
        """Decide which rows speak for others, and which are beyond the limit."""
        if self.job.dedup:
            awaiting, speakers = find_twins(self.prints, np.flatnonzero(self._wanted()))
            self.shared = replace(self.shared, awaiting=awaiting, speakers=speakers)
        if self.job.limit is not None:
            beyond = np.flatnonzero(self._wanted())[self.job.limit :]
            self.is_cut |= len(beyond) > 0
            self.chosen[beyond] = False
            self.chosen[self.shared.awaiting[np.isin(self.shared.speakers, beyond)]] = False

    def _again(self) -> Bools:
        rows = np.zeros(len(self.plan.kinds), np.bool_)
        names = [it.removeprefix("id:") for it in self.job.again if it not in ("all", "failed")]
        if "all" in self.job.again:
            rows[:] = True
        if "failed" in self.job.again:
            rows |= self.plan.kinds == FAILED
        return rows | self._named(names) if names else rows

    def _named(self, ids: list[str]) -> Bools:
        wanted = np.array([hash(row_id) for row_id in ids], np.int64)
        there = np.isin(wanted, self.manifest.id_hashes)
        if not there.all():
            row_id = ids[int(there.argmin())]
            raise SettingsError(f"again: no row of {self.manifest.path} has the id {row_id!r}")
        return np.isin(self.manifest.id_hashes, wanted)

    def _wanted(self) -> Bools:
        wanted: Bools = (self.plan.kinds != DONE) & ~self.refused & self.chosen
        wanted[self.shared.present] = False
        wanted[self.shared.awaiting] = False
        return wanted

    def _utterances(self, wanted: Bools) -> Iterator[list[Utterance]]:
        places = np.flatnonzero(wanted)
        at = 0
        for batch in self.manifest.pick(places if self.rows is None else self.rows[places]):
            some = places[at : at + len(batch)].tolist()
            yield list(self._of(batch, some))
            at += len(batch)

    def _of(self, batch: Batch, places: list[int]) -> Iterator[Utterance]:
        wording, limit = self.wording, self.casting.provider.segment_chars
        rows = zip(places, batch.ids, batch.texts, batch.wishes, batch.speakers, strict=True)
        for place, row_id, text, wish, speaker in rows:
            script, speed = text or "", wish[-1] or self.job.speed
            voice, refusal = wording.cast(wish, speaker, self.casting)
            said = wording.say(script, voice, self.casting)
            yield Utterance(
                row=place,
                id=row_id,
                script=script,
                voice=voice,
                speed=speed,
                fingerprint=self.fingerprints.of(wording.in_a_word(said, limit), voice, speed),
                script_hash=hash_script(script),
                refusal=why_refused(text)
                or refusal
                or said.refusal
                or why_refused(said.rendering.spoken),
            )


def why_refused(text: str | None) -> Refusal | None:
    """Say why a script cannot be spoken, whoever speaks."""
    why = why_unspeakable(text)
    if why is None and text is not None and len(text) > LONGEST_CHARS:
        why = f"script has {len(text):,} characters; {LONGEST_CHARS:,} is the limit: split the row"
    return None if why is None else Refusal(ScriptRejected.code, why)


def _sample(manifest: Manifest, rows: int, seed: int) -> Bools:
    """Choose rows by their ids: others come and go, and these stay chosen."""
    lots = np.empty(manifest.rows, np.uint64)
    for batch in manifest.batches():
        drawn = [blake2b(f"{seed}\0{it}".encode(), digest_size=8).digest() for it in batch.ids]
        lots[batch.first_row : batch.first_row + len(batch)] = np.frombuffer(
            b"".join(drawn), dtype=">u8"
        )
    chosen = np.zeros(manifest.rows, np.bool_)
    chosen[np.argsort(lots, kind="stable")[:rows]] = True
    return chosen
