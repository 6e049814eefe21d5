"""One task that has segments spoken, and brings what becomes of them to the recorder.

That is the take of a row, if the row is one segment, or has come to its end with this one;
else it is a piece of it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass

import msgspec
import trio

from batchtts import errors
from batchtts.audio.decode import Sound
from batchtts.model import Kept, Result, Take, Word
from batchtts.notices import notice
from batchtts.record import disk
from batchtts.record.pieces import Facts, Piece
from batchtts.run.attempts import CUT_SHORT, Attempts
from batchtts.run.calls import Calls
from batchtts.run.crew import Crew
from batchtts.run.joining import Whole
from batchtts.run.notes import Notes, correction
from batchtts.run.reading import Part, Reading

log = logging.getLogger(__name__)

#: Scripts of a session whose late audio would still be recognized.
REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """What a worker brings back for one segment of several: it is written down on its own."""

    part: Part
    piece: Piece


#: What a worker brings.
Outcome = Take | Segment

#: What becomes of it: what is to be recorded.
Weighed = Outcome | Kept


class Worker:
    """One task's hands: a session that is kept from segment to segment."""

    def __init__(self, crew: Crew, number: int) -> None:
        self._crew = crew
        self._place = f"worker-{number}"
        self._calls = Calls(crew, number, self._take_back)
        self._attempts = Attempts(crew, self._place, self._calls, self._take_back)
        self._done: OrderedDict[str, Part] = OrderedDict()  # by context

    def part(self) -> None:
        """Let the session go, if there is one, but hear it out."""
        self._calls.part()

    def hang_up(self) -> None:
        """Drop the session, if there is one."""
        self._calls.hang_up()

    async def take(self, part: Part) -> Outcome | None:
        """Have a segment spoken.

        Returns:
            What is to be written down: a take if the row has come to its end, be it a
            failure; None if others are still at work on it.

        Raises:
            RunError: no row can be spoken any more.
        """
        reading = part.reading
        if reading.is_whole:  # since an earlier run
            self._crew.note(part, 0)
            return await self._conclude(reading)
        notes = Notes()
        reading.begin(notes)
        try:
            return await self._take(part, notes)
        finally:
            spent_usd = self._crew.cost_usd(part.voice.model, notes.characters)
            self._crew.budget.settle(notes.reserved_usd, spent_usd)

    async def follow(self, outcome: Weighed) -> Take | None:
        """Go on when something is written down; return what is to be written down then."""
        if not isinstance(outcome, Segment):
            return None
        reading = outcome.part.reading
        if not outcome.part.is_spoiled:
            reading.keep(outcome.part.number, outcome.piece.facts)
        return await self._conclude(reading)

    async def _take(self, part: Part, notes: Notes) -> Outcome | None:
        reading = part.reading
        try:
            sound = await self._attempts.speak(part, notes)
        except errors.BudgetSpent:
            self._crew.stop()
            reading.is_left = True
            self._free(reading)
            if not reading.is_alone:
                return await self._conclude(reading)
            reading.in_flight -= 1
            return self._left(reading, notes)
        except errors.UtteranceError as error:
            reading.fail(error, notes)
            return await self._conclude(reading)
        bring = self._bring if reading.is_alone else self._piece
        outcome = bring(part, notes, sound)
        self._remember(part, notes)
        return outcome

    async def _conclude(self, reading: Reading) -> Take | None:
        """End the work on a segment; return the row's take if that was the last one."""
        reading.in_flight -= 1
        if reading.in_flight:
            return None
        if reading.failure is None and reading.is_whole:
            whole = await self._join(reading)
            if whole is not None:
                return self._bring_joined(reading, whole)
        if reading.failure is None:
            return None
        return self._give_up(reading, reading.notes(), reading.failure)

    async def _join(self, reading: Reading) -> Whole | None:
        """Put a row together; None if it has failed, be it meanwhile."""
        try:
            whole = await trio.to_thread.run_sync(self._crew.join, reading)
        except errors.UtteranceError as error:
            reading.fail(error)
            return None
        except errors.OutputBroken:
            if reading.failure is None:
                raise
            return None  # a piece was taken away while it was read
        if reading.failure is None:
            return whole
        disk.remove(whole.file)
        return None

    def _free(self, reading: Reading) -> None:
        """What was set aside for segments that nobody will begin may be spent on others."""
        self._crew.budget.settle(reading.prepaid_usd or 0.0, 0.0)
        reading.prepaid_usd = 0.0

    def _give_up(self, reading: Reading, notes: Notes, error: errors.UtteranceError) -> Take:
        """The row has failed."""
        row_id, code = reading.utterance.id, error.code
        facts = {"id": row_id, "code": code, "error": str(error)}
        log.warning(
            "%s failed: %s  code=%s",
            *(row_id, error, code),
            extra=notice("row_failed", self._place, facts, attempts=notes.attempts),
        )
        self._free(reading)
        result = self._result(reading, notes)
        told = msgspec.structs.replace(result, error_code=code, error_message=str(error))
        return Take.without_audio(reading.utterance, told)

    def _left(self, reading: Reading, notes: Notes) -> Take:
        """The row is not spoken in this run."""
        told = msgspec.structs.replace(self._result(reading, notes), status="pending")
        return Take.without_audio(reading.utterance, told)

    def _bring(self, part: Part, notes: Notes, sound: Sound) -> Take:
        """The row is whole, and this is all of it."""
        reading = part.reading
        reading.in_flight -= 1
        result = msgspec.structs.replace(
            self._result(reading, notes),
            status="done",
            peak_dbfs=round(notes.peak_dbfs, 3),
            verdict=notes.verdict,
            reasons=notes.reasons,
            measures=notes.measures,
            words=tuple(map(_rounded, sound.words)) or None,
        )
        reading.result = result
        return Take(reading.utterance, sound.pcm, sound.sample_rate_hz, result)

    def _bring_joined(self, reading: Reading, whole: Whole) -> Take:
        """The same, of a row whose segments were put together."""
        notes = reading.notes()
        result = msgspec.structs.replace(
            self._result(reading, notes),
            status="done",
            peak_dbfs=round(whole.peak_dbfs, 3),
            verdict=notes.verdict,
            reasons=notes.reasons,
            measures=notes.measures,
            frames=whole.frames,
            bytes=whole.bytes,
            sha256=whole.sha256,
            words=tuple(map(_rounded, whole.words)) or None,
            cues=whole.cues,
        )
        reading.result = result
        return Take(reading.utterance, b"", whole.sample_rate_hz, result, whole.file)

    def _result(self, reading: Reading, notes: Notes) -> Result:
        """All but the verdict; of characters those that no line tells of yet."""
        crew, untold, voice = self._crew, reading.sent.minus(reading.told), reading.voice
        return msgspec.structs.replace(
            notes.result(reading.utterance, crew.provider),
            model=voice.model,
            voice=voice.name,
            language=voice.language,
            spoken=reading.spoken,
            segments=len(reading.pieces),
            characters_sent=untold.characters,
            cost_usd=untold.cost_usd,
            context=reading.context(crew.take_of(reading.utterance), notes),
        )

    def _piece(self, part: Part, notes: Notes, sound: Sound) -> Segment:
        """A segment of several, and what is to be remembered of it."""
        reading = part.reading
        facts = Facts(
            sample_rate_hz=sound.sample_rate_hz,
            peak_dbfs=round(notes.peak_dbfs, 3),
            attempts=notes.attempts,
            queue_s=notes.queue_s,
            connect_s=notes.connect_s,
            ttfa_s=notes.ttfa_s,
            synth_s=notes.synth_s,
            context=notes.contexts[-1],
            verdict=notes.verdict,
            reasons=notes.reasons,
            measures=notes.measures,
            words=sound.words,
            is_timed=self._crew.word_timestamps,
        )
        name = reading.names[part.number]
        return Segment(part, Piece(reading.folder, name, facts, sound.pcm))

    def _remember(self, part: Part, notes: Notes) -> None:
        """Keep what would have to be said if this segment proves to be cut short."""
        self._done.update(dict.fromkeys(notes.contexts, part))
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    def _take_back(self, context: str) -> None:
        """A script that was handed over goes on after all: it was not whole."""
        part = self._done.pop(context, None)
        if part is None:
            return
        reading = part.reading
        facts = {"id": reading.utterance.id, "code": errors.Truncated.code, "error": CUT_SHORT}
        taken_back = notice("row_taken_back", self._place, facts)
        log.warning("%s: %s", reading.utterance.id, CUT_SHORT, extra=taken_back)
        if reading.result is None:
            reading.spoil(part.number, errors.Truncated(CUT_SHORT), self._crew.pieces)
        else:
            told = correction(reading.utterance.row, reading.result, errors.Truncated(CUT_SHORT))
            self._crew.corrections.append(told)


def _rounded(word: Word) -> Word:
    return Word(word.text, round(word.start_s, 3), round(word.end_s, 3))
