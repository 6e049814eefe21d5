"""The state machine of one conversation with a provider. No I/O, no clock.

A *dialect* translates between a provider's messages and our events. A
*dialogue* owns the state: it decides what is legal when, how much silence to
put up with, and what counts as finished. Everything that moves the state is in
states.TRANSITIONS; everything that waits is in Patience.

Success takes an end marker *and* some audio, for every item the provider
announced. A close without an end marker is a failure whatever its code,
because half a script sounds just as clean as a whole one.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from math import inf
from typing import cast

import msgspec

from batchtts.errors import LocalProtocolError, RemoteProtocolError
from batchtts.wire.dialect import Dialect, Translator
from batchtts.wire.dialect import Encoding as Encoding
from batchtts.wire.dialect import Traits as Traits
from batchtts.wire.events import (
    Audio,
    Closed,
    Done,
    Echo,
    Event,
    Failed,
    Fault,
    Finished,
    Late,
    Named,
    Stalled,
    Words,
)
from batchtts.wire.states import ASIDES, TRANSITIONS
from batchtts.wire.states import State as State
from batchtts.wire.words import Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds of silence put up with in each state."""

    greeting_s: float = 10.0
    first_audio_s: float = 20.0
    next_audio_s: float = 10.0


#: What a recognizer is awaited to say.
_HEARING = {
    State.IDLE: "recording",
    State.COMMITTED: "transcript",
    State.SPEAKING: "transcript after a guess",
    State.LINGERING: "another transcript",
}

#: Scripts of a connection, and items of them, that are known again if they come late.
REMEMBERED = 64

#: What counting calls a name; the account gives it itself.
_NAMED = Named.__name__.lower()

#: What the account leaves out: a failure is told beside it.
_UNTOLD = (_NAMED, Failed.__name__.lower())

#: Close codes of somebody who has nothing more to say: normal, and none given
#: (RFC 6455, section 7.4.1).
_POLITE = (1000, 1005)

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

    def __init__(self, dialect: Translator, patience: Patience) -> None:
        self.dialect = dialect
        self.traits = traits = dialect.traits
        self.state = State.OPENING if traits.greets else State.IDLE
        self._waits = {
            State.OPENING: patience.greeting_s,
            State.COMMITTED: patience.first_audio_s,
            State.ACKNOWLEDGED: patience.next_audio_s,
            State.SPEAKING: patience.next_audio_s,
            State.LINGERING: patience.next_audio_s if self._awaits_close else traits.linger_s,
        }
        self._request: str | None = None
        self._context: str | None = None
        self._coverage = Coverage("")
        self._seen: Counter[str] = Counter()
        self._open: set[str | None] = set()  # items with audio and without their end
        self._ended: set[str | None] = set()
        self._earlier: dict[str | None, None] = {}  # items of the scripts before this one
        self._is_nameless = False  # audio came that does not say what script it is of
        self._finished: deque[str] = deque(maxlen=REMEMBERED)  # contexts taken for complete

    @property
    def patience_s(self) -> float:
        """Seconds to wait for the next message before calling receive_silence()."""
        return self._waits.get(self.state, inf)

    @property
    def may_go_on(self) -> bool:
        """Whether another script may be spoken here.

        Not if audio comes without the name of its script and nothing but a quiet
        window ends one: what comes late would then be heard in the next.
        """
        is_guessed = self._is_nameless and self.traits.linger_s > 0
        return self.state is State.IDLE and not is_guessed

    @property
    def has_audio(self) -> bool:
        """Whether any audio of this script came."""
        return self._seen["audio"] > 0

    @property
    def awaited(self) -> str:
        """What the dialogue awaits, in words."""
        if self._awaits_close and self.state is State.LINGERING:
            return "close after the end"
        told = _HEARING.get(self.state) if self.traits.listens else None
        return told or self.state.value

    @property
    def account(self) -> str:
        """What came for this script so far, and the names it goes by; empty before it."""
        if self._context is None:
            return ""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self._seen.items() if kind not in _UNTOLD)
        names = f"request {self._request}" if self._request else ""
        names += f"{', ' if names else ''}context {self._context}"
        return f"after {kinds or 'nothing'}" + (f" ({names})" if names else "")

    def adopt(self, dialect: Translator) -> None:
        """Go on in another voice, which the messages carry and not the connection."""
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"cannot adopt: the dialogue awaits {self.state.value}")
        self.dialect, self.traits = dialect, dialect.traits

    def speak(self, script: str, context: str) -> list[str]:
        """Return the messages that carry a whole script and its commit.

        Raises:
            LocalProtocolError: the last script is not finished, or failed.
        """
        self.begin(context)
        if self.traits.listens:
            raise LocalProtocolError("cannot speak: this is a recognizer's dialect")
        is_told = self.traits.times_words or self.traits.echoes
        self._coverage = Coverage(script if is_told else "")
        return cast(Dialect, self.dialect).speak(script, context)

    def begin(self, context: str) -> None:
        """Await what a commit brings.

        Raises:
            LocalProtocolError: the last one is not finished, or failed.
        """
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"cannot speak: the dialogue awaits {self.state.value}")
        if self._context is not None and self._seen[_NAMED]:
            self._request = None  # that was the last script's name, not the connection's
        self.state, self._context = State.COMMITTED, context
        self._seen.clear()
        self._earlier.update(dict.fromkeys(self._ended))
        while len(self._earlier) > REMEMBERED:
            del self._earlier[next(iter(self._earlier))]
        self._ended.clear()

    def receive(self, message: str | bytes) -> list[Event]:
        """Take in one text message, as text or in UTF-8; return what it changes.

        Raises:
            RemoteProtocolError: the message cannot be read, or not now.
        """
        try:
            said = self.dialect.parse(message)
        except UNREADABLE as error:
            self.state = State.SPENT
            raise RemoteProtocolError(f"cannot read {_shorten(message)}") from error
        if not said:
            self._seen["other"] += 1
        if len(said) == 1 and self._goes_on(said[0]):
            self._seen["audio"] += 1
            return list(said)
        events: list[Event] = []
        for event in said:
            events += self._receive(event)
        return events

    def _goes_on(self, event: Event) -> bool:
        """Whether this is more of the audio that is coming, which changes nothing."""
        return (
            type(event) is Audio
            and self.state is State.SPEAKING
            and event.context == self._context
            and event.item in self._open
            and bool(event.payload)
        )

    def receive_binary(self, payload: bytes) -> list[Event]:
        """Take in one binary message: audio, where that is how audio comes.

        Raises:
            RemoteProtocolError: it is not, or not now.
        """
        if not self.traits.sends_binary:
            self.state = State.SPENT
            raise RemoteProtocolError(f"cannot read a binary message of {len(payload)} bytes")
        return self._receive(Audio(payload))

    def receive_silence(self) -> list[Event]:
        """Nothing came for `patience_s` seconds."""
        is_at_an_end = self.state in (State.LINGERING, State.ACKNOWLEDGED)
        if is_at_an_end and (not self._awaits_close or self._coverage.is_whole):
            return self._end_script()
        return self._step(Stalled(f"no {self.awaited} within {self.patience_s:g} s"))

    def receive_close(self, code: int | None, reason: str) -> list[Event]:
        """The connection is closed, by whom and however politely."""
        fault = self.traits.judge_close(code, reason)
        if fault and self.state is not State.SPENT:
            return self._step(Failed(reason, fault))
        is_end = code in _POLITE or self._coverage.is_whole
        if self.traits.closes and self.state is State.LINGERING and is_end:
            return self._end_script()
        return self._step(Closed(code, reason, self.awaited))

    @property
    def _awaits_close(self) -> bool:
        """Whether nothing but the provider's own close ends a script."""
        return self.traits.closes and not self.traits.linger_s

    def _end_script(self) -> list[Event]:
        """Nothing more will come: the script is whole, unless its words say otherwise."""
        if self.state is State.LINGERING and (missing := self._coverage.missing()):
            lacks = "no word timings for" if self.traits.times_words else "no echo of"
            return self._step(Failed(f"{lacks} {_shorten(missing)}", Fault.CUT))
        return self._step(Finished())

    def _receive(self, event: Event) -> list[Event]:
        kind = type(event).__name__.lower()
        if isinstance(event, Audio) and not event.payload:
            self._seen["empty audio"] += 1
            return []
        self._seen[kind] += 1
        context = getattr(event, "context", None)
        is_old = self.state is State.IDLE and (isinstance(event, Audio) or context == self._context)
        if is_old and self._context is not None:
            return self._receive_stale(event, context or self._context)
        # Before the first script there is no other one that a message could belong to.
        if context is None or self._context is None or context == self._context:
            return self._step(event)
        return self._receive_stale(event, context)

    def _receive_stale(self, event: Event, context: str) -> list[Event]:
        """Leave out what belongs to another script; say so if that one counted as complete."""
        if isinstance(event, Audio) and context in self._finished:
            self._finished.remove(context)
            return [Late(context)]
        return []

    def _step(self, event: Event) -> list[Event]:
        match event:
            case Failed() | Stalled() | Closed():
                self.state = State.SPENT
                return [event]
            case Audio(item=item, context=context):
                self._begin_item(item, context)
            case Done() if self._is_belated:
                return []
            case Done(item=item):
                if failure := self._end_item(item):
                    return [failure]
                if self._open:
                    return [event]  # another item is still being spoken
            case Named(request=request):
                self._request = request
            case Words(item=item, words=words):
                self._coverage.add(item, words)
            case Echo(item=item, text=text):
                self._coverage.echo(item, text)
            case _:
                pass
        return [event, *self._move(event)]

    def _move(self, event: Event) -> list[Event]:
        """Change the state as the table says; return what follows from that at once."""
        if not isinstance(event, ASIDES):
            was = self.state
            self.state = TRANSITIONS[was].get(type(event), State.SPENT)
            if self.state is State.SPENT:
                raise RemoteProtocolError(f"{type(event).__name__} while awaiting {was.value}")
        if isinstance(event, Finished):
            self._finish()
        elif self.state is State.LINGERING and self._is_over(event):
            return self._step(Finished())
        return []

    def _is_over(self, event: Event) -> bool:
        """Whether there is nothing left to wait for."""
        if isinstance(event, Done) and not (self.traits.linger_s or self.traits.closes):
            return self._coverage.missing() is None
        is_told = self.traits.times_words and self._coverage.is_whole
        return is_told and self._coverage.items <= self._ended

    @property
    def _is_belated(self) -> bool:
        """Whether an end that comes now may be that of an earlier script."""
        is_early = self.state is State.COMMITTED and not self._ended
        return self.traits.ends_by_timer and is_early and bool(self._finished)

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
        self._is_nameless |= context is None

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
        if not self.traits.reusable:
            self.state = State.SPENT


def _shorten(message: str | bytes) -> str:
    """The start of a message, for people."""
    start = message[:80]
    return repr(start.decode(errors="replace") if isinstance(start, bytes) else start)
