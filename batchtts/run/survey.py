"""The manifest against what is known of its rows, read before anything is spent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.errors import UsageError
from batchtts.job.casting import Casting, Wish
from batchtts.job.manifest import Batch, Manifest
from batchtts.job.plan import DONE, NEW, Bools, Facts, Ints, Past, Plan, compare, make_plan
from batchtts.job.prints import Fingerprints
from batchtts.job.settings import Job
from batchtts.job.speaker import Speaker
from batchtts.job.wording import Wording
from batchtts.model import Result
from batchtts.notices import notice
from batchtts.record.ledger import Ledger
from batchtts.run.agenda import LONGEST_CHARS, Agenda, Int32s, Shared, why_refused
from batchtts.run.memory import Memory
from batchtts.run.mending import find_lost

log = logging.getLogger("batchtts.run")

#: What most scripts have, and those that have none of it may still be speakable.
_PLAINLY_SPOKEN = "[A-Za-z0-9]"

_NO_WISH: Wish = (None, None, None, None)


def survey(job: Job, speaker: Speaker, manifest: Manifest, memory: Memory) -> Agenda:
    """Consider all rows of a manifest, and what the ledger tells of them.

    Raises:
        UsageError: the ledger is that of quite another manifest.
    """
    past = memory.past
    agenda = _read(
        job,
        speaker,
        manifest,
        manifest.batches(),
        memory=memory,
        rows=None,
        others_done=0,
        plan=lambda prints: make_plan(manifest.id_hashes, prints, past),
        told_of=lambda _: agenda.memory.past,
    )
    _check_belongs(manifest, memory, agenda.plan, job.directory)
    return agenda


def consider(
    job: Job,
    speaker: Speaker,
    manifest: Manifest,
    rows: Ints,
    facts: Facts,
    left: Facts,
    *,
    memory: Memory,
    others_done: int,
    told_of: Callable[[Ints], Past],
) -> Agenda:
    """Consider some rows, of which so much is known; the facts are the agenda's from here on.

    Args:
        left: What is known of ids that the manifest has no longer.
    """
    return _read(
        job,
        speaker,
        manifest,
        manifest.pick(rows),
        memory=memory,
        rows=rows,
        others_done=others_done,
        plan=lambda prints: compare(facts, prints, left),
        told_of=told_of,
    )


def _read(
    job: Job,
    speaker: Speaker,
    manifest: Manifest,
    batches: Iterable[Batch],
    *,
    memory: Memory,
    rows: Ints | None,
    others_done: int,
    plan: Callable[[Ints], Plan],
    told_of: Callable[[Ints], Past],
) -> Agenda:
    casting = Casting(speaker.provider, speaker.voice, job.speed, speaker.options)
    fingerprints = Fingerprints(speaker.provider.name, speaker.format, speaker.audible_options)
    count = manifest.rows if rows is None else len(rows)
    reading = _Reading.of(count, casting, fingerprints, speaker.wording, job.speed)
    for batch in batches:
        reading.see(batch)
    return Agenda(
        job=job,
        manifest=manifest,
        casting=casting,
        fingerprints=fingerprints,
        wording=speaker.wording,
        rows=rows,
        others_done=others_done,
        plan=plan(reading.prints),
        prints=reading.prints,
        characters=reading.characters,
        models=list(reading.models),
        model_of=reading.model_of,
        refused=reading.refused,
        canary=reading.canary,
        again=np.zeros(count, np.bool_),
        lost=np.empty(0, np.int64),
        chosen=np.ones(count, np.bool_),
        shared=Shared.none(),
        memory=memory,
        told_of=told_of,
    )


@dataclass(slots=True)
class _Reading:
    """What the manifest itself says of rows: an entry for each in every array."""

    casting: Casting
    fingerprints: Fingerprints
    wording: Wording
    speed: float
    prints: Ints
    characters: Int32s
    refused: Bools
    canary: Bools
    model_of: Int32s
    models: dict[str, int] = field(default_factory=dict)
    seen: int = 0

    @classmethod
    def of(
        cls,
        count: int,
        casting: Casting,
        fingerprints: Fingerprints,
        wording: Wording,
        speed: float,
    ) -> _Reading:
        return cls(
            casting,
            fingerprints,
            wording,
            speed,
            np.empty(count, np.int64),
            np.empty(count, np.int32),
            np.zeros(count, np.bool_),
            np.zeros(count, np.bool_),
            np.zeros(count, np.int32),
        )

    def see(self, batch: Batch) -> None:
        """Read the next rows."""
        some = slice(self.seen, self.seen + len(batch))
        if batch.manifest.columns.canary is not None:
            self.canary[some] = batch.canaries
        if not self.wording.is_plain:
            self._reword(batch, some)
            self.seen += len(batch)
            return
        texts = batch.utf8
        self.characters[some] = pc.fill_null(pc.utf8_length(texts), 0)
        self._cast(batch, texts.cast(pa.binary()).to_pylist(), some)
        self._refuse(texts, some)
        self.seen += len(batch)

    def _reword(self, batch: Batch, some: slice) -> None:
        """Find out what is spoken, row by row."""
        rows = zip(batch.texts, batch.wishes, batch.speakers, strict=True)
        for at, (text, wish, speaker) in enumerate(rows, some.start):
            voice, refusal = self.wording.cast(wish, speaker, self.casting)
            said = self.wording.say(text or "", voice, self.casting)
            speed = wish[-1] or self.speed
            self.characters[at] = len(said.rendering.spoken)
            in_a_word = self.wording.in_a_word(said, self.casting.provider.segment_chars)
            whole = [in_a_word.encode()]
            self.prints[at] = self.fingerprints.shorts(whole, voice, speed)[0]
            self.model_of[at] = self.models.setdefault(voice.model, len(self.models))
            why = why_refused(text) or refusal or said.refusal or why_refused(said.rendering.spoken)
            self.refused[at] = why is not None

    def _cast(self, batch: Batch, scripts: list[bytes | None], some: slice) -> None:
        for wish, places in _wishes(batch):
            voice, refusal = self.casting.of(*wish)
            speed = wish[-1] or self.speed
            spoken = scripts if places is None else [scripts[i] for i in places]
            at = slice(None) if places is None else places
            self.prints[some][at] = self.fingerprints.shorts(spoken, voice, speed)
            self.model_of[some][at] = self.models.setdefault(voice.model, len(self.models))
            self.refused[some][at] = refusal is not None

    def _refuse(self, texts: pa.StringArray, some: slice) -> None:
        plain = pc.fill_null(pc.match_substring_regex(texts, _PLAINLY_SPOKEN), False)
        is_clear = plain.to_numpy(zero_copy_only=False)
        is_clear &= self.characters[some] <= LONGEST_CHARS
        for i in np.flatnonzero(~is_clear).tolist():
            self.refused[some][i] |= why_refused(texts[i].as_py()) is not None


def _wishes(batch: Batch) -> Iterator[tuple[Wish, list[int] | None]]:
    """Yield what rows wish for, and their places in the batch; None for all of them."""
    columns = batch.manifest.columns
    if not (columns.voice or columns.model or columns.language or columns.speed):
        yield _NO_WISH, None
        return
    wishing: dict[Wish, list[int]] = {}
    for i, wish in enumerate(batch.wishes):
        wishing.setdefault(wish, []).append(i)
    yield from wishing.items()


def _check_belongs(manifest: Manifest, memory: Memory, plan: Plan, out: Path) -> None:
    """Refuse to mix two manifests: the second would take the first one's files."""
    here = str(manifest.path.resolve())
    nothing_in_common = not np.any(plan.addresses >= 0)
    tells_of_rows = np.any(memory.past.kinds != NEW)
    if memory.manifest not in (None, here) and tells_of_rows and nothing_in_common:
        raise UsageError(
            f"{out} was written for {memory.manifest}, and {manifest.path} has none of its rows"
            " with the same script and settings",
            hint="name another --out",
        )


def drop_lost(agenda: Agenda, ledger: Ledger, root: Path) -> list[Result]:
    """Plan rows again whose audio is gone or not what was recorded.

    Returns:
        Lines that tell of the new time of files which were read and are whole.
    """
    rows = np.flatnonzero(agenda.plan.kinds == DONE)
    thorough = bool(agenda.memory.damaged)
    lost, renewed = find_lost(ledger, root, agenda.plan.addresses[rows], thorough=thorough)
    tell_lost(len(lost))
    agenda.lost = agenda.plan.addresses[rows[lost]]
    agenda.plan.reopen(rows[lost], NEW)
    return renewed


def tell_lost(rows: int) -> None:
    """Warn of rows whose audio is not there any more."""
    if rows:
        log.warning(
            "%d finished rows have lost their audio, or it was changed; they are spoken again",
            rows,
            extra=notice("audio_lost", rows=rows),
        )
