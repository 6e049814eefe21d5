"""One segment, until it is spoken: attempts → audio → checks.

A failed attempt throws its session away; there is no other way to reconnect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from batchtts import errors
from batchtts.audio.decode import Hearing, Sound
from batchtts.audio.pcm import duration_s
from batchtts.notices import notice
from batchtts.review.checks import Findings, check, examine
from batchtts.run.calls import Calls
from batchtts.run.crew import Crew
from batchtts.run.notes import Notes
from batchtts.run.reading import Part, Reading
from batchtts.run.slots import Slot
from batchtts.wire.session import Listener

log = logging.getLogger("batchtts.run.worker")  # what workers say, this says for them

CUT_SHORT = "audio came after the provider had said that it was done"

#: Times that a key may be refused for one row and be good for others.
REFUSALS = 5


#: Audio that is longer is measured beside the event loop.
LONG_S = 20.0


class Attempts:
    """How one worker has segments spoken."""

    def __init__(self, crew: Crew, place: str, calls: Calls, late: Callable[[str], None]) -> None:
        """Begin.

        Args:
            place: Who says what is logged.
            late: Told of the context of a script that was taken for complete and goes on.
        """
        self._crew = crew
        self._place = place
        self._calls = calls
        self._late = late

    async def speak(self, part: Part, notes: Notes) -> Sound:
        """Try until it is spoken or there is no use in trying.

        Raises:
            UtteranceError: there is none.
            BudgetSpent: the run may not spend so much.
            RunError: no row can be spoken any more.
        """
        row_id = part.reading.utterance.id

        def tell(error: errors.AttemptError, wait_s: float) -> None:
            facts = {"id": row_id, "attempt": notes.attempts, "code": error.code}
            facts |= {"error": str(error), "wait_s": round(wait_s, 3)}
            self._crew.figures.falter(row_id, error, wait_s)
            log.info(
                "%s attempt %d: %s; again in %.1f s  code=%s",
                *(row_id, notes.attempts, error, wait_s, error.code),
                extra=notice("attempt_failed", self._place, facts),
            )

        sound = await self._crew.policy.persist(partial(self._attempt, part, notes), tell)
        if notes.is_cut_short:
            raise errors.Truncated(CUT_SHORT)
        return sound

    async def _attempt(self, part: Part, notes: Notes) -> Sound:
        began_at, crew = trio.current_time(), self._crew
        self._reserve(part, notes)
        try:
            sound = await self._try(part, notes)
        except errors.AttemptError as error:
            self._lose(error, part, began_at, notes)
            raise
        except errors.QuotaExhausted:
            crew.note(part, notes.characters)  # nobody pays for what was refused
            raise
        except errors.Unauthorized as error:
            if not crew.breaker.has_succeeded:
                crew.note(part, notes.characters)
                raise
            notes.refusals += 1
            others_succeed = crew.breaker.in_a_row < notes.refusals - 1
            if notes.refusals > REFUSALS and others_succeed:
                self._calls.hang_up()
                raise errors.VoiceUnavailable(f"{error}, again and again for this row") from error
            hiccup = errors.NotConnected(f"{error}, though it was taken before")
            self._lose(hiccup, part, began_at, notes)
            raise hiccup from error
        notes.characters += len(part.text)
        crew.succeeded()
        return sound

    def _reserve(self, part: Part, notes: Notes) -> None:
        """Set aside what it takes to finish this row, as far as it is not yet.

        Raises:
            BudgetSpent: the run may not spend so much.
        """
        crew, reading = self._crew, part.reading
        if reading.prepaid_usd is None:
            whole_usd = reading.to_pay(crew.provider.cost_usd)
            self._set_aside(whole_usd, reading)
            reading.prepaid_usd = whole_usd
        model = part.voice.model
        if not notes.reserved_usd:
            notes.reserved_usd = min(crew.cost_usd(model, len(part.text)), reading.prepaid_usd)
            reading.prepaid_usd -= notes.reserved_usd
        needed_usd = crew.cost_usd(model, notes.characters + len(part.text))
        if needed_usd > notes.reserved_usd:
            self._set_aside(needed_usd - notes.reserved_usd, reading)
            notes.reserved_usd = needed_usd

    def _set_aside(self, cost_usd: float, reading: Reading) -> None:
        if cost_usd > 0 and not self._crew.budget.reserve(cost_usd):
            raise errors.BudgetSpent(f"{reading.utterance.id} would cost {cost_usd:.6f} USD more")

    def _lose(self, error: errors.AttemptError, part: Part, began_at: float, notes: Notes) -> None:
        """Account for an attempt that failed, and throw its session away."""
        notes.failed(error)
        self._calls.hang_up()
        if error.charged:
            notes.characters += len(part.text)
        else:
            self._crew.note(part, notes.characters)
        self._crew.failed(error, began_at)

    async def _try(self, part: Part, notes: Notes) -> Sound:
        """Speak a segment once and make sure that it is all there."""
        speed, crew = part.reading.utterance.speed, self._crew
        style = self._calls.style(part.voice, speed)
        hearing = Hearing(style.traits.raw_hz, style.traits.raw_encoding)
        slot = Slot(crew.slots, part.reading.urgency)
        listener = Listener(
            hear=hearing.hear,
            said=slot.release,
            late=lambda context: self._cut_short(context, notes),
            time=hearing.time,
        )
        await self._calls.connect(style, notes)
        try:
            notes.queue_s += await slot.acquire()
            session = await self._calls.connect(style, notes)  # it may have closed meanwhile
            context = self._new_context(part, notes)
            notes.attempts += 1
            crew.note(part, notes.characters + len(part.text))
            timeline = await session.speak(part.text, context, listener)
        except errors.RateLimited as error:
            crew.refused(slot, error)
            raise
        finally:
            slot.release()
        sound = hearing.plain_sound() or await _in_thread(hearing.sound)
        findings = await _examined(sound)
        judgement = check(
            findings,
            part.text,
            part.voice,
            speed=speed,
            norms=crew.norms,
            is_again=notes.attempts > 1,
        )
        notes.judged(findings, judgement)
        slot.succeeded()
        notes.heard(timeline)
        return sound

    def _new_context(self, part: Part, notes: Notes) -> str:
        """Name one attempt; the name is its own across workers, runs and machines."""
        take = self._crew.take_of(part.reading.utterance)
        context = f"{take}-{part.number}-{notes.attempts}"
        notes.contexts.append(context)
        return context

    def _cut_short(self, context: str, notes: Notes) -> None:
        """A script that was taken for complete goes on after all: take that back."""
        if context in notes.contexts:
            notes.is_cut_short = True
        else:
            self._late(context)


async def _examined(sound: Sound) -> Findings:
    """Measure it; what takes more than a moment is work for a thread."""
    if duration_s(sound.pcm, sound.sample_rate_hz) < LONG_S:
        return examine(sound.pcm, sound.sample_rate_hz)
    return await trio.to_thread.run_sync(examine, sound.pcm, sound.sample_rate_hz)


async def _in_thread(decode: Callable[[], Sound]) -> Sound:
    """Decode beside the event loop, which has other sockets to read."""
    return await trio.to_thread.run_sync(decode)
