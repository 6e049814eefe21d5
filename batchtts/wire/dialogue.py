"""The state machine of one conversation with a provider. No I/O, no clock.

A *dialect* translates between a provider's messages and the events below. A
*dialogue* owns the state: it decides what is legal when, how much silence to
put up with, and what counts as finished. Everything that moves the state is in
TRANSITIONS; everything that waits is in Patience.

Success takes an end marker *and* some audio, for every item the provider
announced. A close without an end marker is a failure whatever its code,
because half a script sounds just as clean as a whole one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import msgspec

from batchtts.errors import LocalProtocolError, RemoteProtocolError


class Fault(Enum):
    """Whose fault a failure is, as far as the provider says."""

    ENGINE = auto()  # theirs; another attempt may succeed
    BUSY = auto()  # nobody's; too many requests for now
    SCRIPT = auto()  # this script will never be spoken
    VOICE = auto()  # no such voice, model or language
    KEY = auto()  # the key is refused
    QUOTA = auto()  # nothing left to spend


class Ready(msgspec.Struct, frozen=True):
    """The provider accepts text."""


class Audio(msgspec.Struct, frozen=True):
    """Some encoded audio, not necessarily a whole number of samples."""

    payload: bytes
    context: str | None = None
    item: str | None = None


class Done(msgspec.Struct, frozen=True):
    """The provider's end marker; some providers send several per commit."""

    context: str | None = None
    item: str | None = None


class Finished(msgspec.Struct, frozen=True):
    """The whole script has been heard."""


class Failed(msgspec.Struct, frozen=True):
    """The provider says that it cannot, or we see that it did not."""

    reason: str
    fault: Fault = Fault.ENGINE
    context: str | None = None


class Stalled(msgspec.Struct, frozen=True):
    """Our patience ran out."""

    reason: str


class Closed(msgspec.Struct, frozen=True):
    """The connection is gone; says when in the conversation that was."""

    code: int | None
    reason: str = ""
    awaited: str = ""


class Late(msgspec.Struct, frozen=True):
    """Audio of a script that was taken for finished: it was cut short."""

    context: str


Event = Ready | Audio | Done | Finished | Failed | Stalled | Closed | Late


class Dialect(Protocol):
    """What one provider says, and how. One instance per connection."""

    @property
    def greets(self) -> bool:
        """The provider speaks first."""

    @property
    def reusable(self) -> bool:
        """One connection may carry a second script."""

    @property
    def linger_s(self) -> float:
        """Seconds to wait after Done for more of the same script."""

    def hello(self) -> list[str]:
        """Messages that come before the first script."""

    def speak(self, script: str, context: str) -> list[str]:
        """Messages that carry a whole script and its commit."""

    def parse(self, message: str | bytes) -> Event | None:
        """Translate one message; None if it means nothing to us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds of silence put up with in each state."""

    greeting_s: float = 10.0
    first_audio_s: float = 20.0
    next_audio_s: float = 10.0


class State(Enum):
    """What the dialogue awaits."""

    OPENING = "greeting"
    IDLE = "script"
    COMMITTED = "first audio"
    SPEAKING = "next audio"
    LINGERING = "second thoughts"
    SPENT = "nothing"  # never speak here again


TRANSITIONS: dict[State, dict[type[Event], State]] = {
    State.OPENING: {Ready: State.IDLE},
    State.IDLE: {},
    State.COMMITTED: {Audio: State.SPEAKING},
    State.SPEAKING: {Audio: State.SPEAKING, Done: State.LINGERING},
    State.LINGERING: {Audio: State.SPEAKING, Done: State.LINGERING, Finished: State.IDLE},
    State.SPENT: {},
}

#: What reading a message may raise, whatever the message holds.
UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    msgspec.MsgspecError,
)


class Dialogue:
    """One talk: scripts in, messages out; messages in, events out."""

    def __init__(self, dialect: Dialect, patience: Patience) -> None:
        self.dialect = dialect
        self.state = State.OPENING if dialect.greets else State.IDLE
        self._waits = {
            State.OPENING: patience.greeting_s,
            State.COMMITTED: patience.first_audio_s,
            State.SPEAKING: patience.next_audio_s,
            State.LINGERING: dialect.linger_s,
        }
        self._context: str | None = None
        self._open: set[str | None] = set()  # items with audio and without their end
        self._ended: set[str | None] = set()
        self._earlier: set[str | None] = set()  # items of the scripts before this one
        self._finished: deque[str] = deque(maxlen=64)  # contexts taken for complete

    @property
    def patience_s(self) -> float:
        """Seconds to wait for the next message before calling receive_silence()."""
        return self._waits.get(self.state, float("inf"))

    def speak(self, script: str, context: str) -> list[str]:
        """Return the messages that carry a whole script and its commit.

        Raises:
            LocalProtocolError: the last script is not finished, or failed.
        """
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"cannot speak: the dialogue awaits {self.state.value}")
        self.state, self._context = State.COMMITTED, context
        self._earlier |= self._ended
        self._ended.clear()
        return self.dialect.speak(script, context)

    def receive(self, message: str | bytes) -> Event | None:
        """Take in one message; None if it changes nothing.

        Raises:
            RemoteProtocolError: the message cannot be read, or not now.
        """
        try:
            event = self.dialect.parse(message)
        except UNREADABLE as error:
            self.state = State.SPENT
            raise RemoteProtocolError(f"cannot read {_shorten(message)}") from error
        if event is None or (isinstance(event, Audio) and not event.payload):
            return None
        context = getattr(event, "context", None)
        # Before the first script there is no other one that a message could belong to.
        if context is None or self._context is None or context == self._context:
            return self._step(event)
        return self._receive_stale(event, context)

    def receive_silence(self) -> Event:
        """Nothing came for `patience_s` seconds."""
        if self.state is State.LINGERING:
            return self._step(Finished())
        return self._step(Stalled(f"no {self.state.value} within {self.patience_s:g} s"))

    def receive_close(self, code: int | None, reason: str) -> Event:
        """The connection is closed, by whom and however politely."""
        return self._step(Closed(code, reason, self.state.value))

    def _receive_stale(self, event: Event, context: str) -> Event | None:
        """Leave out what belongs to another script; say so if that one counted as complete."""
        if isinstance(event, Audio) and context in self._finished:
            self._finished.remove(context)
            return Late(context)
        return None

    def _step(self, event: Event) -> Event:
        match event:
            case Failed() | Stalled() | Closed():
                self.state = State.SPENT
                return event
            case Audio(item=item, context=context):
                self._begin_item(item, context)
            case Done(item=item):
                if failure := self._end_item(item):
                    return failure
                if self._open:
                    return event  # another item is still being spoken
            case Ready() | Finished() | Late():
                pass
        was = self.state
        self.state = TRANSITIONS[was].get(type(event), State.SPENT)
        if self.state is State.SPENT:
            raise RemoteProtocolError(f"{type(event).__name__} while awaiting {was.value}")
        if isinstance(event, Finished):
            self._finish()
        elif isinstance(event, Done) and not self.dialect.linger_s:
            return self._step(Finished())
        return event

    def _begin_item(self, item: str | None, context: str | None) -> None:
        """Take an item for begun, or gone on with.

        Raises:
            RemoteProtocolError: it may be the rest of an earlier script. A provider
                that counts from one again for each script looks the same; the
                next attempt is on a fresh connection, where neither can be.
        """
        if context is None and item is not None and item in self._earlier:
            self.state = State.SPENT
            raise RemoteProtocolError(f"audio of {item}, an item of an earlier script")
        self._open.add(item)

    def _end_item(self, item: str | None) -> Failed | None:
        """Take an item for ended; a Failed if there was nothing to hear in it."""
        if self.state not in (State.COMMITTED, State.SPEAKING, State.LINGERING):
            return None
        named: set[str | None] = {item}
        if item is None or self._open == {None}:  # one of the two names no item
            ending = self._open or (named & self._ended)
        else:
            ending = named & (self._open | self._ended)
        if not ending:
            self.state = State.SPENT
            return Failed("end marker without any audio")
        self._ended |= named | ending
        self._open -= ending
        return None

    def _finish(self) -> None:
        if self._context is not None:
            self._finished.append(self._context)
        if not self.dialect.reusable:
            self.state = State.SPENT


def _shorten(message: str | bytes) -> str:
    """The start of a message, for people."""
    start = message[:80]
    return repr(start.decode(errors="replace") if isinstance(start, bytes) else start)
