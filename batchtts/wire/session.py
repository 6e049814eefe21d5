"""One WebSocket and one dialogue, driven by trio.

A session starts no tasks, so what goes wrong comes out as a plain AttemptError
or RunError, never inside an ExceptionGroup: the retry predicate must see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from batchtts import errors
from batchtts.wire.dialogue import (
    Audio,
    Closed,
    Dialogue,
    Done,
    Event,
    Failed,
    Fault,
    Finished,
    Late,
    Ready,
    Stalled,
    State,
)
from batchtts.wire.tap import Tap

SEND_S = 20.0  # for a whole script to leave
CLOSE_S = 2.0  # for a polite goodbye


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
    """

    hear: Callable[[bytes, str | None], None]
    said: Callable[[], None]
    late: Callable[[str], None]


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
    ) -> None:
        """Talk over an open connection.

        Args:
            explain: Puts the provider's words in a form for people, without our key.
            tap: Where messages come from before *ws* is asked.
        """
        self._ws = ws
        self._dialogue = dialogue
        self._explain = explain
        self._tap = tap
        self._over = trio.Event()

    @property
    def reusable(self) -> bool:
        """Whether another script may be spoken here."""
        return self._dialogue.state is State.IDLE and self._ws.closed is None

    async def greet(self) -> None:
        """Wait for the provider's greeting, if it has one, and answer it.

        Raises:
            AttemptError, RunError, VoiceUnavailable: the provider does not want to talk.
        """
        if self._dialogue.state is State.OPENING:
            await self._converse(_ignore)
        await self._send(self._dialogue.dialect.hello())

    async def speak(self, script: str, context: str, listener: Listener) -> Timeline:
        """Have *script* spoken; what is heard goes to *listener* as it comes.

        Raises:
            AttemptError: this attempt failed, and with it the session.
            ScriptRejected, VoiceUnavailable: no attempt will ever succeed.
            RunError: nor will any other row.
        """
        await self._send(self._dialogue.speak(script, context))
        timeline = Timeline(committed_at=trio.current_time())

        def react(event: Event, now: float) -> None:
            match event:
                case Audio(payload=payload, item=item):
                    timeline.last_audio_at = now
                    timeline.first_audio_at = timeline.first_audio_at or now
                    listener.hear(payload, item)
                case Done() if self._dialogue.state is State.LINGERING:
                    listener.said()
                case Late(context=earlier):
                    listener.late(earlier)
                case _:
                    pass

        await self._converse(react)
        listener.said()
        return timeline

    def close(self) -> None:
        """Let the connection go; its own task says goodbye."""
        self._over.set()

    async def wait_closed(self) -> None:
        """Keep the connection until close() is called, then say goodbye."""
        await self._over.wait()
        with trio.move_on_after(CLOSE_S):
            await self._ws.aclose()

    async def _send(self, messages: list[str]) -> None:
        with trio.move_on_after(SEND_S) as scope:
            for message in messages:
                try:
                    await self._ws.send_message(message)
                except ConnectionClosed as error:
                    raise errors.SessionLost(_describe(error, "our script")) from error
        if scope.cancelled_caught:
            raise errors.Stalled(f"the provider took no text for {SEND_S:g} s")

    async def _converse(self, react: Callable[[Event, float], None]) -> None:
        """Hear the provider out, until it awaits a script or is not to be spoken to again."""
        since = trio.current_time()  # what means nothing buys no time
        while (state := self._dialogue.state) not in _AT_REST:
            with trio.CancelScope(deadline=since + self._dialogue.patience_s):
                while self._dialogue.state is state:
                    event = await self._receive()
                    if event is not None:
                        since = trio.current_time()
                        react(self._examine(event), since)
            now = trio.current_time()
            if self._dialogue.state is state and now >= since + self._dialogue.patience_s:
                react(self._examine(self._dialogue.receive_silence()), now)

    def _examine(self, event: Event) -> Event:
        """Return an event of success; failures come out as exceptions."""
        match event:
            case Failed(reason=reason, fault=fault):
                raise self._explain(_ERRORS[fault](reason))
            case Stalled(reason=reason):
                raise errors.Stalled(reason)
            case Closed(reason=reason):
                raise self._explain(errors.SessionLost(reason))
            case Ready() | Audio() | Done() | Finished() | Late():
                return event

    async def _receive(self) -> Event | None:
        message: str | bytes | None = None
        if self._tap is not None:
            message = await self._tap.message()
        if message is None:
            try:
                message = await self._ws.get_message()
            except ConnectionClosed as error:
                code = error.reason.code if error.reason else None
                awaited = self._dialogue.state.value
                return self._dialogue.receive_close(code, _describe(error, awaited))
        return self._dialogue.receive(message)


_AT_REST = frozenset({State.IDLE, State.SPENT})

_ERRORS: dict[Fault, type[errors.BatchttsError]] = {
    Fault.ENGINE: errors.SynthesisFailed,
    Fault.BUSY: errors.RateLimited,
    Fault.SCRIPT: errors.ScriptRejected,
    Fault.VOICE: errors.VoiceUnavailable,
    Fault.KEY: errors.Unauthorized,
    Fault.QUOTA: errors.QuotaExhausted,
}


def _describe(error: ConnectionClosed, awaited: str) -> str:
    code = error.reason.code if error.reason else "no code"
    words = f" {error.reason.reason!r}" if error.reason and error.reason.reason else ""
    return f"closed ({code}{words}) while awaiting {awaited}"
