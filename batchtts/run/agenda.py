"""What there is to do: the manifest against the ledger, read once before anything is spent."""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batchtts.errors import ScriptRejected, UsageError
from batchtts.job.casting import Casting
from batchtts.job.manifest import Batch, Manifest
from batchtts.job.plan import (
    CHANGED,
    DONE,
    NEW,
    Fingerprints,
    Ints,
    Past,
    Plan,
    contested,
    make_plan,
    short,
)
from batchtts.job.settings import Job, Speaker
from batchtts.model import Refusal, Status, Utterance, Voice
from batchtts.record import names
from batchtts.record.ledger import Ledger, Place
from batchtts.text.clean import why_unspeakable

Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]

log = logging.getLogger(__name__)

#: Longer scripts are refused: one is held in memory while it is spoken.
LONGEST_CHARS = 50_000


@dataclass(slots=True)
class Agenda:
    """The rows of one run, and what is known of each.

    Attributes:
        characters: Shape (rows,), int32: length of each script.
        models: Of the voices, by name; a row has one of them.
        model_of: Shape (rows,), int32: places in *models*.
        refused: Shape (rows,), bool: rows that no provider needs to be asked for.
        contested: hash() of file name stems that two ids would share.
        stale: Ledger lines of rows that were done and must be done again.
        last_manifest: Where the ledger last saw its manifest, or None.
    """

    job: Job
    manifest: Manifest
    casting: Casting
    fingerprints: Fingerprints
    plan: Plan
    characters: np.ndarray[tuple[int], np.dtype[np.int32]]
    models: list[str]
    model_of: np.ndarray[tuple[int], np.dtype[np.int32]]
    refused: Bools
    contested: frozenset[int]
    stale: list[int]
    last_manifest: str | None

    @property
    def to_speak(self) -> int:
        """How many rows a provider must be asked for."""
        return int(np.count_nonzero(self._wanted()))

    @property
    def characters_to_speak(self) -> int:
        """Characters of their scripts."""
        return int(self.characters[self._wanted()].sum(dtype=np.int64))

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

    def batches(self) -> Iterator[list[Utterance]]:
        """Yield what is to be spoken, in the manifest's order; reads the file again."""
        return self._utterances(self._wanted())

    def refusals(self) -> Iterator[list[Utterance]]:
        """Yield the rows that cannot be spoken and are not yet recorded so."""
        new = self.refused & ((self.plan.kinds == NEW) | (self.plan.kinds == CHANGED))
        return self._utterances(new) if new.any() else iter(())

    def _wanted(self) -> Bools:
        wanted: Bools = (self.plan.kinds != DONE) & ~self.refused
        return wanted

    def _utterances(self, wanted: Bools) -> Iterator[list[Utterance]]:
        for batch in self.manifest.batches():
            rows = np.flatnonzero(wanted[batch.first_row : batch.first_row + len(batch.ids)])
            if len(rows):
                yield [self._utterance(batch, int(i)) for i in rows]

    def _utterance(self, batch: Batch, i: int) -> Utterance:
        script, speed = batch.texts[i] or "", batch.speeds[i] or self.job.speed
        voice, refusal = self.casting.of(
            batch.voices[i], batch.models[i], batch.languages[i], batch.speeds[i]
        )
        return Utterance(
            row=batch.first_row + i,
            id=batch.ids[i],
            script=script,
            voice=voice,
            speed=speed,
            fingerprint=self.fingerprints.of(script, voice, speed),
            refusal=_refuse(batch.texts[i]) or refusal,
        )


def survey(job: Job, speaker: Speaker, manifest: Manifest, ledger: Ledger | None) -> Agenda:
    """Find out what is to be done.

    Raises:
        UsageError: the ledger is that of quite another manifest.
        LedgerBroken: it cannot be understood.
    """
    casting = Casting(speaker.provider, speaker.voice, job.speed, speaker.options)
    fingerprints = Fingerprints(speaker.provider.name, speaker.format, speaker.audible_options)
    prints = np.empty(manifest.rows, np.int64)
    characters = np.empty(manifest.rows, np.int32)
    refusals = np.zeros(manifest.rows, np.bool_)
    model_of = np.zeros(manifest.rows, np.int32)
    models: dict[str, int] = {}
    for batch in manifest.batches():
        rows = slice(batch.first_row, batch.first_row + len(batch.ids))
        voices = list(map(casting.of, batch.voices, batch.models, batch.languages, batch.speeds))
        prints[rows] = _prints(batch, voices, fingerprints, job.speed)
        characters[rows] = [len(text or "") for text in batch.texts]
        model_of[rows] = [models.setdefault(voice.model, len(models)) for voice, _ in voices]
        refusals[rows] = [
            refusal is not None or _refuse(text) is not None
            for (_, refusal), text in zip(voices, batch.texts, strict=True)
        ]
    memory = recall(ledger)
    plan = make_plan(manifest.id_hashes, prints, memory.past)
    _check_belongs(manifest, memory, plan, job.directory)
    return Agenda(
        job=job,
        manifest=manifest,
        casting=casting,
        fingerprints=fingerprints,
        plan=plan,
        characters=characters,
        models=list(models),
        model_of=model_of,
        refused=refusals,
        contested=_contested(manifest, memory) if plan.to_do else frozenset(),
        stale=_stale(manifest, memory.past, plan),
        last_manifest=memory.manifest,
    )


def drop_lost(agenda: Agenda, ledger: Ledger, root: Path) -> None:
    """Plan rows again whose audio is gone or of another size than recorded."""
    rows = np.flatnonzero(agenda.plan.kinds == DONE)
    offsets = agenda.plan.offsets[rows].tolist()
    lost = [
        (row, offset)
        for row, offset, place in zip(rows.tolist(), offsets, ledger.places(offsets), strict=True)
        if not _is_there(place, f"{root}")
    ]
    if not lost:
        return
    log.warning("%d finished rows have lost their audio; they are spoken again", len(lost))
    for row, offset in lost:
        agenda.plan.kinds[row] = NEW
        agenda.plan.offsets[row] = -1
        agenda.stale.append(offset)
    agenda.contested = _contested(agenda.manifest, recall(ledger))


def _is_there(place: Place, root: str) -> bool:
    try:
        return os.stat(f"{root}/{place.path}").st_size == place.bytes  # noqa: PTH116  # 3 x faster
    except OSError:
        return False


def _prints(
    batch: Batch,
    voices: list[tuple[Voice, Refusal | None]],
    fingerprints: Fingerprints,
    speed: float,
) -> list[int]:
    return [
        short(fingerprints.of(text or "", voice, own or speed))
        for text, (voice, _), own in zip(batch.texts, voices, batch.speeds, strict=True)
    ]


def _refuse(text: str | None) -> Refusal | None:
    """Say why a script cannot be spoken, whoever speaks."""
    why = why_unspeakable(text)
    if why is None and text is not None and len(text) > LONGEST_CHARS:
        why = f"script has {len(text):,} characters; {LONGEST_CHARS:,} is the limit: split the row"
    return None if why is None else Refusal(ScriptRejected.code, why)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the ledger tells.

    Attributes:
        stems: hash() of the case-folded file name stem of each line with a file.
        owners: hash() of the id of the same line.
        manifest: Where the manifest was when the ledger last saw it, or None.
    """

    past: Past
    stems: Ints
    owners: Ints
    manifest: str | None


def recall(ledger: Ledger | None) -> Memory:
    """Read a ledger from its first line to its last."""
    stems, owners = array("q"), array("q")
    manifest: list[str] = []

    def lines() -> Iterator[tuple[int, int, Status, str]]:
        for offset, entry in ledger.entries() if ledger is not None else ():
            if entry.manifest is not None:
                manifest[:] = [entry.manifest]
            if entry.id is None:
                continue
            id_hash = hash(entry.id)
            if entry.path is not None:
                file = entry.path.rpartition("/")[2]
                stems.append(hash(file.rpartition(".")[0].casefold()))
                owners.append(id_hash)
            yield id_hash, offset, entry.status, entry.fingerprint

    past = Past.of(lines())
    return Memory(
        past,
        np.array(stems, dtype=np.int64),
        np.array(owners, dtype=np.int64),
        manifest[0] if manifest else None,
    )


def _check_belongs(manifest: Manifest, memory: Memory, plan: Plan, out: Path) -> None:
    """Refuse to mix two manifests: the second would take the first one's files."""
    here = str(manifest.path.resolve())
    nothing_in_common = not np.any(plan.offsets >= 0)
    if memory.manifest not in (None, here) and len(memory.past.offsets) and nothing_in_common:
        raise UsageError(
            f"{out} was written for {memory.manifest}, and {manifest.path} has none of its rows",
            hint="name another --out",
        )


def _contested(manifest: Manifest, memory: Memory) -> frozenset[int]:
    stems = np.empty(manifest.rows, np.int64)
    for batch in manifest.batches():
        rows = slice(batch.first_row, batch.first_row + len(batch.ids))
        stems[rows] = [hash(names.stem(row_id).casefold()) for row_id in batch.ids]
    return contested(
        np.concatenate([stems, memory.stems]),
        np.concatenate([manifest.id_hashes, memory.owners]),
    )


def _stale(manifest: Manifest, past: Past, plan: Plan) -> list[int]:
    place = past.find(manifest.id_hashes)
    offsets: list[int] = past.offsets[place[(plan.kinds == CHANGED) & (place >= 0)]].tolist()
    return offsets
