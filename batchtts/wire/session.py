"""One WebSocket and one dialogue, driven by trio.

A session starts no tasks, so what goes wrong comes out as a plain AttemptError
or RunError, never inside an ExceptionGroup: the retry predicate must see it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import TypeVar

import trio
from trio_websocket import CloseReason, WebSocketConnection

from batchtts import errors
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
from batchtts.wire.link import GONE, Link
from batchtts.wire.provider import Vocabulary
from batchtts.wire.talk import Listener as Listener
from batchtts.wire.talk import Tape as Tape
from batchtts.wire.talk import Timeline as Timeline
from batchtts.wire.tap import Tap

SEND_S = 20.0  # for a message to leave; a script is one or two, a recording one for each second
SCRIPT_S = 900.0  # for a script; a thousand characters at a quarter of the pace take a third
CLOSE_S = 2.0  # for a polite goodbye
BUNDLE_CHARS = 32 * 1024  # of messages that leave together
HEED = 4.0  # quiet windows after the last script, in case something follows


Explain = Callable[[errors.BatchttsError], errors.BatchttsError]
React = Callable[[Event, float], None]

Said = TypeVar("Said", str | bytes, bytes)


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
            tap: Where messages come from, and go to, past *ws*.
            tape: Where the talk is recorded.
        """
        self._dialogue = dialogue
        self._explain = explain
        self._tape = tape
        self._over = trio.Event()
        self._react: React = self._keep
        self._cut_short: list[str] = []  # contexts that nobody was told of yet
        self._trouble: errors.BatchttsError | None = None
        self._is_between = False  # the last message came while no script was spoken
        self._since = trio.current_time()  # what means nothing buys no time
        self._rests_since = self._since
        self._patience = trio.CancelScope()
        self._attended = dialogue.state  # of the last change that was seen to
        self._link = Link(ws, tap, self)

    @property
    def reusable(self) -> bool:
        """Whether another script may be spoken here."""
        rests_s = trio.current_time() - self._rests_since
        is_fresh = rests_s < self._dialogue.traits.idle_s
        return self._dialogue.may_go_on and not self._link.is_closed and is_fresh

    @property
    def is_at_rest(self) -> bool:
        """Whether the last script went well and the connection stands."""
        return self._dialogue.state is State.IDLE and not self._link.is_closed

    def adopt(self, dialect: Vocabulary) -> None:
        """Go on in another voice, which the messages carry and not the connection."""
        self._dialogue.adopt(dialect)

    async def greet(self) -> None:
        """Wait for the provider's greeting, if it has one, and answer it.

        Raises:
            AttemptError, RunError, VoiceUnavailable: the provider does not want to talk.
        """
        if self._dialogue.state is State.OPENING:
            await self._converse()
        if not await self._send(self._dialogue.dialect.hello()):
            raise errors.SessionLost("closed right after the greeting")
        self._look_back()

    async def speak(self, script: str, context: str, listener: Listener) -> Timeline:
        """Have *script* spoken; what is heard goes to *listener* as it comes.

        Raises:
            AttemptError: this attempt failed, and with it the session.
            ScriptRejected, VoiceUnavailable: no attempt will ever succeed.
            RunError: nor will any other row.
        """
        self._look_back()
        messages = self._dialogue.speak(script, context)
        if self._tape is not None:
            self._tape.asked(context, script)
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

        with self._reacting(react):
            await self._send(messages)
            if not timeline.first_audio_at:
                timeline.committed_at = trio.current_time()
            await self._converse(within_s=SCRIPT_S)
        listener.said()
        return timeline

    async def transcribe(self, messages: Sequence[str], context: str) -> str:
        """Return what a recognizer hears in the audio that *messages* carry.

        Raises:
            AttemptError: this attempt failed, and with it the session.
            RunError: nor will any other.
        """
        self._look_back()
        self._dialogue.begin(context)
        heard: list[str] = []

        def react(event: Event, now: float) -> None:
            if isinstance(event, Heard):
                heard.append(event.text)

        with self._reacting(react):
            await self._send(messages, "audio")
            await self._converse()
        return " ".join(text.strip() for text in heard if text.strip())

    async def heed(self, late: Callable[[str], None]) -> None:
        """Listen on after the last script, for a while, and tell of what was cut short.

        A quiet window decides that a script is whole; who is wrong about that is
        still at work on it. What else goes wrong here concerns nobody.
        """

        def react(event: Event, now: float) -> None:
            if isinstance(event, Late):
                late(event.context)

        with (
            self._reacting(react),
            trio.move_on_after(HEED * self._dialogue.traits.linger_s),
        ):
            while self._dialogue.state is State.IDLE and self._trouble is None:
                await self._link.listen()

    def close(self) -> None:
        """Let the connection go; its own task says goodbye."""
        self._over.set()

    async def wait_closed(self) -> None:
        """Keep the connection until close() is called, then say goodbye."""
        await self._over.wait()
        with trio.move_on_after(CLOSE_S):
            await self._link.aclose()

    async def _send(self, messages: Sequence[str], what: str = "text") -> bool:
        """Say this; False if nobody is there any more, which the next message tells."""
        for some in _bundles(messages):
            if self._tape is not None:
                for message in some:
                    self._tape.sent(message)
            try:
                send_rest = self._link.say(some)
                if send_rest is not None and not await _within(SEND_S, send_rest):
                    if self._trouble is None:
                        raise errors.Stalled(f"the provider took no {what} for {SEND_S:g} s")
                    break
            except GONE:
                return False
            if self._trouble is not None:
                break
        return True

    @contextmanager
    def _reacting(self, react: React) -> Iterator[None]:
        """Tell *react* of what is heard, and of what nobody was told of yet."""
        self._react = react
        for context in self._cut_short:
            react(Late(context), self._since)
        self._cut_short.clear()
        try:
            yield
        finally:
            self._react = self._keep

    def _keep(self, event: Event, now: float) -> None:
        """What is heard while nobody listens."""
        if isinstance(event, Late):
            self._cut_short.append(event.context)

    def _look_back(self) -> None:
        """Raise what went wrong since the last script; the next one has no part in it."""
        if self._trouble is not None and self._is_between:
            self._is_between = False
            if isinstance(self._trouble, errors.AttemptError):
                self._trouble.charged = False
            raise self._trouble

    async def _converse(self, within_s: float = inf) -> None:
        """Hear the provider out, until it awaits a script or is not to be spoken to again."""
        self._since = trio.current_time()
        ends_at = self._since + within_s
        while self._talks():
            deadline = min(self._since + self._dialogue.patience_s, ends_at)
            with trio.CancelScope(deadline=deadline) as self._patience:
                while self._talks():
                    await self._link.listen()
            if self._talks():
                await trio.lowlevel.checkpoint()  # what came while we were held up is read first
            if self._talks():
                self._wait_no_more(ends_at, within_s)
        self._rests_since = trio.current_time()
        if self._trouble is not None and not self._is_between:
            raise self._trouble

    def _wait_no_more(self, ends_at: float, within_s: float) -> None:
        """Patience may have run out, unless something has come meanwhile."""
        now = trio.current_time()
        if now >= ends_at:
            raise errors.Stalled(self._account_for(f"no end within {within_s:g} s"))
        if now >= self._since + self._dialogue.patience_s:
            if self._tape is not None:
                self._tape.waited()
            self._digest(self._dialogue.receive_silence())

    def _talks(self) -> bool:
        """Whether something is still awaited."""
        return self._trouble is None and self._dialogue.state not in _AT_REST

    def hear(self, message: str | bytes) -> None:
        """Take in a text message."""
        if not self._is_spent:
            if self._tape is not None:
                self._tape.received(message)
            self._understand(self._dialogue.receive, message)

    def hear_binary(self, payload: bytes) -> None:
        """Take in a binary message."""
        if not self._is_spent:
            if self._tape is not None:
                self._tape.received_binary(payload)
            self._understand(self._dialogue.receive_binary, payload)

    def hear_close(self, reason: CloseReason | None) -> None:
        """Take in the end of the connection."""
        self._is_between = self._dialogue.state is State.IDLE
        code = reason.code if reason else None
        if self._tape is not None:
            self._tape.closed(code, (reason and reason.reason) or "")
        described = _describe(reason, self._dialogue.awaited)
        self._digest(self._dialogue.receive_close(code, described))

    @property
    def _is_spent(self) -> bool:
        return self._trouble is not None or self._dialogue.state is State.SPENT

    def _understand(self, receive: Callable[[Said], list[Event]], said: Said) -> None:
        self._is_between = self._dialogue.state is State.IDLE
        try:
            events = receive(said)
        except errors.RemoteProtocolError as error:
            reason = self._account_for(str(error))
            self._trouble = self._explain(errors.RemoteProtocolError(reason))
            self._trouble.__cause__ = error.__cause__
            self._attend()
        else:
            self._digest(events)

    def _digest(self, events: Sequence[Event]) -> None:
        """React to events up to the first that is a failure."""
        for event in events:
            if type(event) in _FAILURES:
                self._trouble = self._judge(event)
                break
            self._since = trio.current_time()
            self._react(event, self._since)
        state = self._dialogue.state
        if not (state is self._attended is State.SPEAKING) or self._trouble is not None:
            self._attend()

    def _attend(self) -> None:
        """Let who waits see what has changed, or wait no longer than is right now."""
        self._attended = self._dialogue.state
        if not self._talks():
            self._link.call()
        until = self._since + self._dialogue.patience_s
        if until < self._patience.deadline:
            self._patience.deadline = until

    def _judge(self, event: Event) -> errors.BatchttsError:
        """Return what a failure costs."""
        match event:
            case Failed(reason=reason, fault=fault):
                return self._charge(self._explain(ERRORS[fault](self._account_for(reason))))
            case Stalled(reason=reason):
                return errors.Stalled(self._account_for(reason))
            case Closed(reason=reason):
                return self._explain(errors.SessionLost(self._account_for(reason)))
            case _:
                raise AssertionError(event)

    def _charge(self, error: errors.BatchttsError) -> errors.BatchttsError:
        """A refusal is free, but not one that comes after audio."""
        if isinstance(error, errors.AttemptError) and self._dialogue.has_audio:
            error.charged = True
        return error

    def _account_for(self, reason: str) -> str:
        """Add what was seen to what went wrong."""
        account = self._dialogue.account
        return f"{reason}; {account}" if account else reason


_AT_REST = frozenset({State.IDLE, State.SPENT})

_FAILURES = frozenset({Failed, Stalled, Closed})

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


def _describe(reason: CloseReason | None, awaited: str) -> str:
    code = reason.code if reason else "no code"
    words = f" {reason.reason!r}" if reason and reason.reason else ""
    return f"closed ({code}{words}) while awaiting {awaited}"


def _bundles(messages: Sequence[str]) -> Iterator[list[str]]:
    """Put small messages together: they leave at once."""
    bundle: list[str] = []
    room = BUNDLE_CHARS
    for message in messages:
        if bundle and len(message) > room:
            yield bundle
            bundle, room = [], BUNDLE_CHARS
        bundle.append(message)
        room -= len(message)
    if bundle:
        yield bundle


async def _within(seconds: float, act: Callable[[], Awaitable[None]]) -> bool:
    with trio.move_on_after(seconds) as scope:
        await act()
    return not scope.cancelled_caught
