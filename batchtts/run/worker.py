"""One utterance: segments → attempts → audio → checks → a take for the recorder.

A worker is one task with one session. A failed attempt throws the session away;
a session speaks with one voice for its whole life, because a line in the wrong
voice is worse than a new connection.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import trio

from batchtts import errors
from batchtts.audio.decode import Hearing, Sound, shifted
from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.audio.write import resample
from batchtts.model import Correction, Take, Utterance, Word
from batchtts.notices import notice
from batchtts.review.checks import find_fault
from batchtts.run.crew import Crew
from batchtts.run.notes import Notes
from batchtts.run.slots import Slot
from batchtts.text.segment import split
from batchtts.wire.dialect import Traits
from batchtts.wire.provider import Manner, Vocabulary
from batchtts.wire.session import Listener, Session
from batchtts.wire.tape import FileTape

log = logging.getLogger(__name__)

CUT_SHORT = "audio came after the provider had said that it was done"

#: Times that a key may be refused for one row and be good for others.
REFUSALS = 5

#: Scripts of a session whose late audio would still be recognized.
REMEMBERED = 64


class Worker:
    """One task's hands: a session that is kept from row to row."""

    def __init__(self, crew: Crew, number: int) -> None:
        self._crew = crew
        self._number = number
        self._place = f"worker-{number}"
        self._session: Session | None = None
        self._tape: FileTape | None = None
        self._resource = ""
        self._style: _Style | None = None
        self._done: OrderedDict[str, Correction] = OrderedDict()  # by context

    async def take(self, utterance: Utterance) -> Take:
        """Have an utterance spoken; a failure is a take too.

        Raises:
            RunError: no row can be spoken any more.
        """
        notes = Notes()
        try:
            return await self._take(utterance, notes)
        finally:
            spent_usd = self._crew.cost_usd(utterance, notes.characters)
            self._crew.budget.settle(notes.reserved_usd, spent_usd)

    async def _take(self, utterance: Utterance, notes: Notes) -> Take:
        try:
            sound = await self._speak(utterance, notes)
        except errors.BudgetSpent:
            self._crew.stop()
            nothing = Sound(b"", self._crew.provider.sample_rate_hz)
            return self._bring(utterance, notes, nothing, status="pending")
        except errors.UtteranceError as error:
            facts = {"id": utterance.id, "code": error.code, "error": str(error)}
            log.warning(
                "%s failed: %s  code=%s",
                *(utterance.id, error, error.code),
                extra=notice("row_failed", self._place, facts, attempts=notes.attempts),
            )
            nothing = Sound(b"", self._crew.provider.sample_rate_hz)
            return self._bring(
                utterance, notes, nothing, error_code=error.code, error_message=str(error)
            )
        take = self._bring(
            utterance,
            notes,
            sound,
            status="done",
            peak_dbfs=round(notes.peak_dbfs, 3),
            words=tuple(map(_rounded, sound.words)) or None,
        )
        self._remember(take, notes)
        return take

    def hang_up(self) -> None:
        """Drop the session, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def part(self) -> None:
        """Let the session go, if there is one, but hear it out."""
        if self._session is not None and self._session.is_at_rest:
            self._crew.connections.start_soon(self._heed, self._session)
            self._session = None
        self.hang_up()

    async def _heed(self, session: Session) -> None:
        try:
            await session.heed(self._take_back)
        finally:
            session.close()

    def _bring(self, utterance: Utterance, notes: Notes, sound: Sound, **verdict: object) -> Take:
        result = notes.result(utterance, self._crew.provider)
        return Take(
            utterance=utterance,
            pcm=sound.pcm,
            sample_rate_hz=sound.sample_rate_hz,
            result=msgspec.structs.replace(result, **verdict),
        )

    async def _speak(self, utterance: Utterance, notes: Notes) -> Sound:
        pieces = split(utterance.script, self._crew.provider.segment_chars)
        notes.segments = len(pieces)
        heard = []
        notes.to_send = sum(map(len, pieces))
        for number, piece in enumerate(pieces):
            heard.append(await self._speak_segment(utterance, f"{number}", piece, notes))
            notes.to_send -= len(piece)
            if notes.is_cut_short:
                raise errors.Truncated(CUT_SHORT)
        return _join(heard)

    async def _speak_segment(
        self, utterance: Utterance, segment: str, piece: str, notes: Notes
    ) -> Sound:
        """Try until it is spoken or there is no use in trying."""

        def tell(error: errors.AttemptError, wait_s: float) -> None:
            log.info(
                "%s attempt %d: %s; again in %.1f s  code=%s",
                *(utterance.id, notes.attempts, error, wait_s, error.code),
                extra=notice(
                    "attempt_failed",
                    self._place,
                    id=utterance.id,
                    attempt=notes.attempts,
                    code=error.code,
                    error=str(error),
                    wait_s=round(wait_s, 3),
                ),
            )

        attempt = partial(self._attempt, utterance, segment, piece, notes)
        return await self._crew.policy.persist(attempt, tell)

    async def _attempt(self, utterance: Utterance, segment: str, piece: str, notes: Notes) -> Sound:
        began_at = trio.current_time()
        self._reserve(utterance, notes)
        try:
            sound = await self._try(utterance, segment, piece, notes)
        except errors.AttemptError as error:
            self._lose(error, utterance, piece, began_at, notes)
            raise
        except errors.QuotaExhausted:
            self._crew.note(utterance, notes.characters)  # nobody pays for what was refused
            raise
        except errors.Unauthorized as error:
            if not self._crew.breaker.has_succeeded:
                self._crew.note(utterance, notes.characters)
                raise
            notes.refusals += 1
            others_succeed = self._crew.breaker.in_a_row < notes.refusals - 1
            if notes.refusals > REFUSALS and others_succeed:
                self.hang_up()
                raise errors.VoiceUnavailable(f"{error}, again and again for this row") from error
            hiccup = errors.NotConnected(f"{error}, though it was taken before")
            self._lose(hiccup, utterance, piece, began_at, notes)
            raise hiccup from error
        notes.characters += len(piece)
        self._crew.succeeded()
        return sound

    def _reserve(self, utterance: Utterance, notes: Notes) -> None:
        """Set aside what it takes to finish this row, as far as it is not yet.

        Raises:
            BudgetSpent: the run may not spend so much.
        """
        whole_usd = self._crew.cost_usd(utterance, notes.characters + notes.to_send)
        more_usd = whole_usd - notes.reserved_usd
        if more_usd > 0:
            if not self._crew.budget.reserve(more_usd):
                raise errors.BudgetSpent(f"{utterance.id} would cost {more_usd:.6f} USD more")
            notes.reserved_usd += more_usd

    def _lose(
        self,
        error: errors.AttemptError,
        utterance: Utterance,
        piece: str,
        began_at: float,
        notes: Notes,
    ) -> None:
        """Account for an attempt that failed, and throw its session away."""
        self.hang_up()
        if error.charged:
            notes.characters += len(piece)
        else:
            self._crew.note(utterance, notes.characters)
        self._crew.failed(error, began_at)

    async def _try(self, utterance: Utterance, segment: str, piece: str, notes: Notes) -> Sound:
        """Speak a segment once and make sure that it is all there."""
        style = self._style_of(utterance)
        hearing = Hearing(style.traits.raw_hz, style.traits.raw_encoding)
        slot = Slot(self._crew.slots, notes.to_send if notes.is_begun else 0)
        listener = Listener(
            hear=hearing.hear,
            said=slot.release,
            late=lambda context: self._cut_short(context, notes),
            time=hearing.time,
        )
        await self._connect(style, notes)
        try:
            notes.queue_s += await slot.acquire()
            session = await self._connect(style, notes)  # it may have closed meanwhile
            context = self._new_context(utterance, segment, notes)
            notes.attempts += 1
            self._crew.note(utterance, notes.characters + len(piece))
            timeline = await session.speak(piece, context, listener)
        except errors.RateLimited as error:
            self._crew.refused(slot, error)
            raise
        finally:
            slot.release()
        sound = hearing.plain_sound() or await _in_thread(hearing.sound)
        loudest_dbfs = peak_dbfs(sound.pcm)
        fault = find_fault(
            loudest_dbfs,
            duration_s(sound.pcm, sound.sample_rate_hz),
            piece,
            speed=utterance.speed,
        )
        if fault is not None:
            raise fault
        slot.succeeded()
        notes.peak_dbfs = max(notes.peak_dbfs, loudest_dbfs)
        notes.heard(timeline)
        return sound

    def _style_of(self, utterance: Utterance) -> _Style:
        """How an utterance is spoken, which is mostly how the last one was."""
        style, crew = self._style, self._crew
        if style is None or (style.manner.voice, style.manner.speed) != (
            utterance.voice,
            utterance.speed,
        ):
            manner = crew.manner(utterance)
            dialect = crew.provider.dialect(manner)
            style = self._style = _Style(manner, dialect, dialect.traits, dialect.resource)
        return style

    async def _connect(self, style: _Style, notes: Notes) -> Session:
        """Return a session that speaks as it is wanted."""
        session, suits = self._session, self._resource == style.resource
        if session is not None and suits and session.reusable:
            session.adopt(style.dialect)
            if self._tape is not None:
                self._tape.turn(style.manner)
            return session
        self.part()
        began_at, crew = trio.current_time(), self._crew
        self._tape = crew.recorder.tape(self._number, style.manner) if crew.recorder else None
        self._session = await crew.line.call(crew.connections, style.dialect, self._tape)
        self._resource = style.resource
        notes.connect_s += trio.current_time() - began_at
        return self._session

    def _new_context(self, utterance: Utterance, segment: str, notes: Notes) -> str:
        """Name one attempt; the name is its own across workers, runs and machines."""
        context = f"{self._crew.take_of(utterance)}-{segment}-{notes.attempts}"
        notes.contexts.append(context)
        return context

    def _remember(self, take: Take, notes: Notes) -> None:
        """Keep what would have to be said if this take proves to be cut short."""
        result = msgspec.structs.replace(
            take.result,
            status="failed",
            characters_sent=0,  # the line that this one corrects has them
            cost_usd=None if take.result.is_unpriced else 0.0,
            peak_dbfs=None,
            error_code=errors.Truncated.code,
            error_message=CUT_SHORT,
        )
        for context in notes.contexts:
            self._done[context] = Correction(take.utterance.row, result)
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    def _cut_short(self, context: str, notes: Notes) -> None:
        """A script that was taken for complete goes on after all: take that back."""
        if context in notes.contexts:
            notes.is_cut_short = True
        else:
            self._take_back(context)

    def _take_back(self, context: str) -> None:
        """The same, of a script that was handed over."""
        if context in self._done:
            correction = self._done.pop(context)
            facts = {"id": correction.result.id, "code": errors.Truncated.code, "error": CUT_SHORT}
            taken_back = notice("row_taken_back", self._place, facts)
            log.warning("%s: %s", correction.result.id, CUT_SHORT, extra=taken_back)
            self._crew.corrections.append(correction)


def _join(sounds: Sequence[Sound]) -> Sound:
    """Put the segments of a script together, at the rate of the first one."""
    if len(sounds) == 1:
        return sounds[0]
    rate_hz, seconds = sounds[0].sample_rate_hz, 0.0
    heard, words = [], list[Word]()
    for sound in sounds:
        heard.append(resample(sound.pcm, sound.sample_rate_hz, rate_hz))
        words += shifted(sound.words, seconds)
        seconds += duration_s(heard[-1], rate_hz)
    return Sound(b"".join(heard), rate_hz, tuple(words))


async def _in_thread(decode: Callable[[], Sound]) -> Sound:
    """Decode beside the event loop, which has other sockets to read."""
    return await trio.to_thread.run_sync(decode)


def _rounded(word: Word) -> Word:
    return Word(word.text, round(word.start_s, 3), round(word.end_s, 3))


@dataclass(frozen=True, slots=True)
class _Style:
    """How utterances are spoken, and what follows from it."""

    manner: Manner
    dialect: Vocabulary
    traits: Traits
    resource: str
