"""One WebSocket and one dialogue, driven by trio.

A session starts no tasks, so what goes wrong comes out as a plain AttemptError
or RunError, never inside an ExceptionGroup: the retry predicate must see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from batchtts import errors
from batchtts.model import Word
from batchtts.wire.dialogue import Dialogue, State
from batchtts.wire.events import (
    Audio,
    Closed,
    Done,
    Event,
    Failed,
    Fault,
    Heard,
    Late,
    Stalled,
    Words,
)
from batchtts.wire.provider import Vocabulary
from batchtts.wire.tap import Tap

SEND_S = 20.0  # for a message to leave; a script is one or two, a recording one for each second
SCRIPT_S = 900.0  # for a script; a thousand characters at a quarter of the pace take a third
CLOSE_S = 2.0  # for a polite goodbye
HEED = 4.0  # quiet windows after the last script, in case something follows


@dataclass(slots=True)
class Timeline:
    """Trio clock readings of one talk, in seconds; 0.0 is not yet."""

    committed_at: float = 0.0
    first_audio_at: float = 0.0
    last_audio_at: float = 0.0

    @property
    def ttfa_s(self) -> float:
        """Time to first audio: from commit to the first non-empty payload."""
        return self.first_audio_at - self.committed_at

    @property
    def synth_s(self) -> float:
        """From commit to the last payload; the quiet window is not counted."""
        return self.last_audio_at - self.committed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What a talk is told as it goes; none of these may block.

    Attributes:
        hear: Takes a payload and the item that it belongs to.
        said: The provider is no longer at work on the request.
        late: A script of this session that counted as whole was cut short.
        time: Takes the times of words and the item that they belong to.
    """

    hear: Callable[[bytes, str | None], None]
    said: Callable[[], None]
    late: Callable[[str], None]
    time: Callable[[Sequence[Word], str | None], None]


class Tape(Protocol):
    """Keeps what is said on one connection; none of these may block."""

    def opened(self, resource: str) -> None:
        """The connection is open; the dialect asked for it with this path and query."""

    def asked(self, context: str, script: str) -> None:
        """We are to have this script spoken; what we say next is for that."""

    def sent(self, message: str) -> None:
        """We have said this."""

    def received(self, message: str | bytes) -> None:
        """The provider has said this, in text (maybe in UTF-8)."""

    def received_binary(self, payload: bytes) -> None:
        """The provider has said this, in a binary message."""

    def waited(self) -> None:
        """Our patience ran out, or the quiet window was over."""

    def closed(self, code: int | None, reason: str) -> None:
        """The provider has closed the connection, or it broke."""

    def ended(self) -> None:
        """Nothing more will be said."""


Explain = Callable[[errors.BatchttsError], errors.BatchttsError]


def _ignore(event: Event, now: float) -> None:
    """What a greeting says beyond being one."""


def _as_it_is(error: errors.BatchttsError) -> errors.BatchttsError:
    return error


class Session:
    """A connection on which scripts can be spoken, one after another."""

    def __init__(
        self,
        ws: WebSocketConnection,
        dialogue: Dialogue,
        explain: Explain = _as_it_is,
        tap: Tap | None = None,
        tape: Tape | None = None,
    ) -> None:
        """Talk over an open connection.

        Args:
            explain: Puts the provider's words in a form for people, without our key.
            tap: Where messages come from before *ws* is asked.
            tape: Where the talk is recorded.
        """
        self._ws = ws
        self._dialogue = dialogue
        self._explain = explain
        self._tap = tap
        self._tape = tape
        self._over = trio.Event()
        self._rests_since = trio.current_time()

    @property
    def reusable(self) -> bool:
        """Whether another script may be spoken here."""
        rests_s = trio.current_time() - self._rests_since
        is_fresh = rests_s < self._dialogue.dialect.traits.idle_s
        return self._dialogue.may_go_on and self._ws.closed is None and is_fresh

    @property
    def is_at_rest(self) -> bool:
        """Whether the last script went well and the connection stands."""
        return self._dialogue.state is State.IDLE and self._ws.closed is None

    def adopt(self, dialect: Vocabulary) -> None:
        """Go on in another voice, which the messages carry and not the connection."""
        self._dialogue.adopt(dialect)

    async def greet(self) -> None:
        """Wait for the provider's greeting, if it has one, and answer it.

        Raises:
            AttemptError, RunError, VoiceUnavailable: the provider does not want to talk.
        """
        if self._dialogue.state is State.OPENING:
            await self._converse(_ignore)
        if not await self._send(self._dialogue.dialect.hello()):
            raise errors.SessionLost("closed right after the greeting")

    async def speak(self, script: str, context: str, listener: Listener) -> Timeline:
        """Have *script* spoken; what is heard goes to *listener* as it comes.

        Raises:
            AttemptError: this attempt failed, and with it the session.
            ScriptRejected, VoiceUnavailable: no attempt will ever succeed.
            RunError: nor will any other row.
        """
        messages = self._dialogue.speak(script, context)
        if self._tape is not None:
            self._tape.asked(context, script)
        await self._send(messages)
        timeline = Timeline(committed_at=trio.current_time())

        def react(event: Event, now: float) -> None:
            match event:
                case Audio(payload=payload, item=item):
                    timeline.last_audio_at = now
                    timeline.first_audio_at = timeline.first_audio_at or now
                    listener.hear(payload, item)
                case Words(words=words, item=item):
                    listener.time(words, item)
                case Done() if self._dialogue.state is State.LINGERING:
                    listener.said()
                case Late(context=earlier):
                    listener.late(earlier)
                case _:
                    pass

        with trio.move_on_after(SCRIPT_S) as patience:
            await self._converse(react)
        if patience.cancelled_caught:
            raise errors.Stalled(self._account_for(f"no end within {SCRIPT_S:g} s"))
        listener.said()
        return timeline

    async def transcribe(self, messages: Sequence[str], context: str) -> str:
        """Return what a recognizer hears in the audio that *messages* carry.

        Raises:
            AttemptError: this attempt failed, and with it the session.
            RunError: nor will any other.
        """
        self._dialogue.begin(context)
        await self._send(messages, "audio")
        heard: list[str] = []

        def react(event: Event, now: float) -> None:
            if isinstance(event, Heard):
                heard.append(event.text)

        await self._converse(react)
        return " ".join(text.strip() for text in heard if text.strip())

    async def heed(self, late: Callable[[str], None]) -> None:
        """Listen on after the last script, for a while, and tell of what was cut short.

        A quiet window decides that a script is whole; who is wrong about that is
        still at work on it. What else goes wrong here concerns nobody.
        """
        with trio.move_on_after(HEED * self._dialogue.dialect.traits.linger_s):
            while self._dialogue.state is State.IDLE:
                try:
                    events = await self._receive()
                except errors.AttemptError:
                    return
                for event in events:
                    if isinstance(event, Late):
                        late(event.context)

    def close(self) -> None:
        """Let the connection go; its own task says goodbye."""
        self._over.set()

    async def wait_closed(self) -> None:
        """Keep the connection until close() is called, then say goodbye."""
        await self._over.wait()
        with trio.move_on_after(CLOSE_S):
            await self._ws.aclose()

    async def _send(self, messages: Sequence[str], what: str = "text") -> bool:
        """Say this; False if nobody is there any more, which the next message tells."""
        with trio.move_on_after(SEND_S) as scope:
            for message in messages:
                scope.deadline = trio.current_time() + SEND_S
                if self._tape is not None:
                    self._tape.sent(message)
                try:
                    await self._ws.send_message(message)
                except ConnectionClosed:
                    return False
        if scope.cancelled_caught:
            raise errors.Stalled(f"the provider took no {what} for {SEND_S:g} s")
        return True

    async def _converse(self, react: Callable[[Event, float], None]) -> None:
        """Hear the provider out, until it awaits a script or is not to be spoken to again."""
        since = trio.current_time()  # what means nothing buys no time
        while (state := self._dialogue.state) not in _AT_REST:
            with trio.CancelScope(deadline=since + self._dialogue.patience_s):
                while self._dialogue.state is state:
                    for event in await self._receive():
                        since = trio.current_time()
                        react(self._examine(event), since)
            now = trio.current_time()
            if self._dialogue.state is state and now >= since + self._dialogue.patience_s:
                if self._tape is not None:
                    self._tape.waited()
                for event in self._dialogue.receive_silence():
                    react(self._examine(event), now)
        self._rests_since = trio.current_time()

    def _examine(self, event: Event) -> Event:
        """Return an event of success; failures come out as exceptions."""
        match event:
            case Failed(reason=reason, fault=fault):
                raise self._charge(self._explain(ERRORS[fault](self._account_for(reason))))
            case Stalled(reason=reason):
                raise errors.Stalled(self._account_for(reason))
            case Closed(reason=reason):
                raise self._explain(errors.SessionLost(self._account_for(reason)))
            case _:
                return event

    def _charge(self, error: errors.BatchttsError) -> errors.BatchttsError:
        """A refusal is free, but not one that comes after audio."""
        if isinstance(error, errors.AttemptError) and self._dialogue.has_audio:
            error.charged = True
        return error

    def _account_for(self, reason: str) -> str:
        """Add what was seen to what went wrong."""
        account = self._dialogue.account
        return f"{reason}; {account}" if account else reason

    async def _receive(self) -> list[Event]:
        try:
            return await self._hear()
        except errors.RemoteProtocolError as error:
            reason = self._account_for(str(error))
            raise self._explain(errors.RemoteProtocolError(reason)) from error.__cause__

    async def _hear(self) -> list[Event]:
        """Take in the next message, which may be the end of the connection."""
        if self._tap is not None and (message := await self._tap.message()) is not None:
            if self._tape is not None:
                self._tape.received(message)
            return self._dialogue.receive(message)
        try:
            said = await self._ws.get_message()
        except ConnectionClosed as error:
            return self._hear_close(error)
        if isinstance(said, bytes):
            if self._tape is not None:
                self._tape.received_binary(said)
            return self._dialogue.receive_binary(said)
        if self._tape is not None:
            self._tape.received(said)
        return self._dialogue.receive(said)

    def _hear_close(self, error: ConnectionClosed) -> list[Event]:
        code = error.reason.code if error.reason else None
        self._record_close(error)
        return self._dialogue.receive_close(code, _describe(error, self._dialogue.awaited))

    def _record_close(self, error: ConnectionClosed) -> None:
        if self._tape is not None:
            code = error.reason.code if error.reason else None
            self._tape.closed(code, (error.reason and error.reason.reason) or "")


_AT_REST = frozenset({State.IDLE, State.SPENT})

#: What a fault costs.
ERRORS: dict[Fault, type[errors.BatchttsError]] = {
    Fault.ENGINE: errors.SynthesisFailed,
    Fault.BUSY: errors.RateLimited,
    Fault.SCRIPT: errors.ScriptRejected,
    Fault.VOICE: errors.VoiceUnavailable,
    Fault.KEY: errors.Unauthorized,
    Fault.QUOTA: errors.QuotaExhausted,
    Fault.CUT: errors.Truncated,
}


def _describe(error: ConnectionClosed, awaited: str) -> str:
    code = error.reason.code if error.reason else "no code"
    words = f" {error.reason.reason!r}" if error.reason and error.reason.reason else ""
    return f"closed ({code}{words}) while awaiting {awaited}"
