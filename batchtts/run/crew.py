"""What the workers of one run share: the line, the limits, the budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from batchtts import errors
from batchtts.model import Correction, Utterance, Voice
from batchtts.notices import notice
from batchtts.record.begun import Begun, Sent, take_of
from batchtts.record.pieces import Pieces
from batchtts.review.norms import Norms
from batchtts.run.budget import Budget
from batchtts.run.figures import Figures
from batchtts.run.joining import Whole
from batchtts.run.pace import Breaker, InFlight
from batchtts.run.progress import counting
from batchtts.run.reading import Part, Reading
from batchtts.run.retry import RetryPolicy
from batchtts.run.slots import Slot, Slots
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner, Provider
from batchtts.wire.tape import Recorder

log = logging.getLogger("batchtts.run.worker")  # what workers say, this says for them


@dataclass(slots=True, kw_only=True)
class Crew:
    """What the workers of one run share.

    Attributes:
        name: Sets the contexts of this run apart from those of any other.
        connections: Where connections live.
        budget: What may be spent.
        begun: Told of what is about to be sent.
        path_of: Where the audio of an id goes.
        pieces: Where the segments of rows are that are not whole.
        join: Puts them together; takes a while.
        stop: Called when a row is left because of the budget.
        word_timestamps, options, pronunciations: See `Manner`.
        recorder: Where conversations are recorded, if they are.
        norms: What is usual for the voices of this run.
        figures: Told what happens.
        slots: Requests in flight, as many as *in_flight* allows.
        corrections: Rows that were recorded as done and are not; whoever records
            takes them from here.
    """

    name: str
    provider: Provider
    line: Line
    policy: RetryPolicy
    in_flight: InFlight
    breaker: Breaker
    connections: trio.Nursery
    budget: Budget
    begun: Begun
    path_of: Callable[[str], str]
    pieces: Pieces
    join: Callable[[Reading], Whole]
    stop: Callable[[], None]
    word_timestamps: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    pronunciations: Mapping[str, str] = field(default_factory=dict)
    recorder: Recorder | None = None
    norms: Norms = field(default_factory=Norms)
    figures: Figures = field(default_factory=counting)
    slots: Slots = field(init=False)
    corrections: list[Correction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = Slots(self.in_flight, self.figures.fly)

    def manner(self, voice: Voice, speed: float) -> Manner:
        """Return how something is to be spoken."""
        return Manner(
            voice=voice,
            speed=speed,
            word_timestamps=self.word_timestamps,
            options=self.options,
            pronunciations=self.pronunciations,
        )

    def take_of(self, utterance: Utterance) -> str:
        """Name what this run does about a row; its contexts begin with it."""
        return take_of(self.name, utterance.row)

    def cost_usd(self, model: str, characters: int) -> float:
        """The list price, as far as it is known."""
        return self.provider.cost_usd(model, characters) or 0.0

    def note(self, part: Part, characters: int) -> None:
        """So much of a segment will have been sent, all attempts together.

        Raises:
            OutputBroken: that cannot be written down, and so must not be done.
        """
        reading = part.reading
        reading.note(part.number, characters, self.provider.cost_usd)
        utterance = reading.utterance
        self.begun.note(
            [
                Sent(
                    take=self.take_of(utterance),
                    id=utterance.id,
                    path=self.path_of(utterance.id),
                    characters_sent=reading.sent.characters,
                    cost_usd=reading.sent.cost_usd,
                    told_characters=reading.told.characters,
                    told_usd=reading.told.cost_usd,
                    provider=self.provider.name,
                    model=utterance.voice.model,
                )
            ]
        )

    def succeeded(self) -> None:
        """A segment was spoken in full."""
        self.breaker.succeeded()

    def refused(self, slot: Slot, error: errors.RateLimited) -> None:
        """A request was refused; it will wait for a slot again, of which there may be fewer."""
        error.queues_again = True
        pause_s = slot.refused()
        if pause_s:
            self.connections.start_soon(self.slots.open_after, pause_s)

    def failed(self, error: errors.AttemptError, began_at: float) -> None:
        """An attempt failed.

        Raises:
            ProviderDown: it was one too many.
        """
        now = trio.current_time()
        is_busy = isinstance(error, errors.RateLimited)
        is_unreachable = isinstance(error, errors.NotConnected)
        if is_unreachable and self.breaker.is_closed:
            log.info("%s; trying on", error, extra=notice("unreachable", error=str(error)))
        if self.breaker.failed(began_at, now, unreachable=is_unreachable, busy=is_busy):
            raise errors.ProviderDown(
                f"{error}; nothing else for {self.breaker.lasting_s(now):.0f} s",
                hint="what is done stays done; run the same command again",
            ) from error
