"""One client's socket, driven by one conversation.

A reader takes in messages, a writer sends, and every context with something to
say has a task, so that its items come in order and other contexts do not wait.
Nothing that a client does, or leaves undone, is felt outside: speech is made at
the pace of the engines, and not much more of it than the client takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from batchtts.model import Voice
from batchtts.server.conversation import Action, Cancel, Close, Conversation, Say, Send
from batchtts.server.engine import CannotSpeak
from batchtts.server.pool import EngineDied

Outcome = Literal["spoken", "cannot_speak", "cancelled", "lost"]

_AT_ONCE = 4  # items of one connection that are spoken at the same time
_UNSENT = 1024 * 1024  # characters that may wait for the client before the next item
_HELD = 64 * 1024 * 1024  # characters of one item before its engine waits, and others with it
_WAITING = 256  # items that may wait before more is read
_GOODBYE = 5.0  # seconds for the client to close its side


class Speaker(Protocol):
    """Makes speech; see `Pool.speak`, which chooses nothing."""

    async def speak(
        self, text: str, voice: Voice, speed: float, heard: Callable[[bytes], Awaitable[None]]
    ) -> None: ...


@dataclass(slots=True, eq=False)
class Item:
    """Something to say, and what has become of it."""

    say: Say
    committed: float = field(default_factory=trio.current_time)
    samples: int = 0
    outcome: Outcome | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    framed: bool = False  # its last message is on its way


class Witness(Protocol):
    """Remembers what was asked for and what was sent."""

    def commit(self, item: Item) -> None: ...
    def done(self, item: Item) -> None: ...


class Connection:
    """From the upgrade to the end of one socket."""

    def __init__(
        self,
        socket: WebSocketConnection,
        conversation: Conversation,
        speaker: Speaker,
        witness: Witness,
    ) -> None:
        self._socket = socket
        self._conversation = conversation
        self._speaker = speaker
        self._witness = witness
        self._outbox = _Outbox()
        self._contexts: dict[str, deque[Item]] = {}
        self._slots = trio.CapacityLimiter(_AT_ONCE)
        self._open: set[Item] = set()
        self._fewer = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Talk until the client is gone, or the conversation is over."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                self._act(self._conversation.greet(), nursery)
                await self._read(nursery)
        except* ConnectionClosed:
            pass  # the ordinary end
        finally:
            for item in list(self._open):
                self._settle(item, "lost")

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            message = await self._socket.get_message()
            self._act(self._conversation.receive(message), nursery)
            while len(self._open) >= _WAITING:
                await self._fewer.park()

    async def _write(self) -> None:
        while True:
            message, then = await self._outbox.get()
            if isinstance(message, Close):
                with trio.move_on_after(_GOODBYE):
                    await self._socket.aclose(message.code)
                return
            await self._socket.send_message(message)
            then()

    def _act(self, actions: Iterable[Action], nursery: trio.Nursery) -> None:
        for action in actions:
            match action:
                case Send(message=message):
                    self._outbox.put(message)
                case Say():
                    self._enqueue(Item(action), nursery)
                case Cancel(context=context):
                    self._cancel(context)
                case Close():
                    self._outbox.put(action)

    def _enqueue(self, item: Item, nursery: trio.Nursery) -> None:
        self._witness.commit(item)
        self._open.add(item)
        context = item.say.context
        if context in self._contexts:
            self._contexts[context].append(item)
        else:
            self._contexts[context] = deque([item])
            nursery.start_soon(self._speak_context, context)

    def _cancel(self, context: str) -> None:
        for item in self._contexts.get(context, ()):
            if not item.framed:
                item.scope.cancel()
                self._settle(item, "cancelled")

    async def _speak_context(self, context: str) -> None:
        queue = self._contexts[context]
        while queue:
            item = queue[0]
            with item.scope:
                await self._outbox.room(_UNSENT)
                async with self._slots:
                    await self._speak(item)
            queue.popleft()
        del self._contexts[context]

    async def _speak(self, item: Item) -> None:
        say, frame = item.say, self._conversation

        async def heard(pcm: bytes) -> None:
            await self._outbox.room(_HELD)
            item.samples += len(pcm) // 2
            for message in frame.piece(say, pcm):
                self._outbox.put(message)

        try:
            await self._speaker.speak(say.text, say.role.voice, say.speed, heard)
        except CannotSpeak as refusal:
            self._finish(item, frame.cannot_speak(say, str(refusal)), "cannot_speak")
        except EngineDied as error:
            self._finish(item, frame.broken(say, str(error)), "lost")
        else:
            self._finish(item, frame.end(say), "spoken")

    def _finish(self, item: Item, message: str, outcome: Outcome) -> None:
        if item.outcome is not None:
            return  # cancelled in the instant that it was finished
        item.framed = True
        self._outbox.put(message, lambda: self._settle(item, outcome))

    def _settle(self, item: Item, outcome: Outcome) -> None:
        self._open.discard(item)
        self._fewer.unpark()
        item.outcome = outcome
        self._witness.done(item)


def _nothing() -> None: ...


def _size(message: str | Close) -> int:
    return 0 if isinstance(message, Close) else len(message)


class _Outbox:
    """Messages on their way to the client."""

    def __init__(self) -> None:
        self._messages: deque[tuple[str | Close, Callable[[], None]]] = deque()
        self._unsent = 0  # characters
        self._more = trio.lowlevel.ParkingLot()
        self._less = trio.lowlevel.ParkingLot()

    def put(self, message: str | Close, then: Callable[[], None] = _nothing) -> None:
        """Send it in its turn; *then* is called when it is with the network."""
        self._messages.append((message, then))
        self._unsent += _size(message)
        self._more.unpark()

    async def get(self) -> tuple[str | Close, Callable[[], None]]:
        while not self._messages:
            await self._more.park()
        message, then = self._messages.popleft()
        self._unsent -= _size(message)
        self._less.unpark_all()
        return message, then

    async def room(self, most: int) -> None:
        """Wait until no more than *most* characters wait for the client."""
        await trio.lowlevel.checkpoint()
        while self._unsent > most:
            await self._less.park()
