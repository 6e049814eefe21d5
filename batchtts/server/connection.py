"""One client's socket, driven by one conversation.

A reader takes in messages, a writer sends, and every context with something to
do has a task, so that its items come in order and other contexts do not wait.
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
from batchtts.server.conversation import (
    Abort,
    Action,
    After,
    Cancel,
    Close,
    Conversation,
    Frame,
    Listen,
    Pause,
    Say,
    Send,
    SendBinary,
)
from batchtts.server.damage import damage
from batchtts.server.engine import SAMPLE_RATE_HZ, CannotSpeak
from batchtts.server.outbox import Outbox
from batchtts.server.packing import is_plain, pack
from batchtts.server.pool import EngineDied

Outcome = Literal["spoken", "heard", "cannot_speak", "cancelled", "lost"]

_AT_ONCE = 4  # items of one connection that are spoken at the same time
_UNSENT = 1024 * 1024  # characters that may wait for the client before the next item
_HELD = 64 * 1024 * 1024  # characters of one item before its engine waits, and others with it
_WAITING = 256  # items that may wait before more is read
_GOODBYE = 5.0  # seconds for the client to close its side


class Studio(Protocol):
    """Makes speech, and recognizes it; see `Pool`, which chooses nothing."""

    async def speak(
        self,
        text: str,
        voice: Voice,
        speed: float,
        heard: Callable[[bytes], Awaitable[None]],
        seed: int = 0,
    ) -> None: ...
    async def listen(
        self,
        pcm: bytes,
        sample_rate_hz: int,
        ear: str,
        guessed: Callable[[str], Awaitable[None]],
    ) -> str: ...


@dataclass(slots=True, eq=False)
class Item:
    """Something to say, or to listen to, and what has become of it."""

    work: Say | Listen
    committed: float = field(default_factory=trio.current_time)
    samples: int = 0
    transcript: str | None = None
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
        stream: trio.abc.Stream,
        conversation: Conversation,
        studio: Studio,
        witness: Witness,
    ) -> None:
        """Serve one client.

        Args:
            stream: What *socket* talks over, to break it off.
        """
        self._socket = socket
        self._stream = stream
        self._conversation = conversation
        self._studio = studio
        self._witness = witness
        self._outbox = Outbox()
        self._contexts: dict[str, deque[Item]] = {}
        self._slots = trio.CapacityLimiter(_AT_ONCE)
        self._timers: dict[str, trio.CancelScope] = {}
        self._open: set[Item] = set()
        self._fewer = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Talk until the client is gone, or the conversation is over."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery)
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

    async def _write(self, nursery: trio.Nursery) -> None:
        while True:
            frame, then = await self._outbox.get()
            match frame:
                case Send(message=message):
                    await self._socket.send_message(message)
                case SendBinary(payload=payload):
                    await self._socket.send_message(payload)
                case Pause(seconds=seconds):
                    await trio.sleep(seconds)
                case After(name=name, seconds=seconds):
                    self._wind(name, seconds, nursery)
                case Close(code=code, reason=reason):
                    self._outbox.reach()
                    with trio.move_on_after(_GOODBYE):
                        await self._socket.aclose(code, reason or None)
                    return
                case Abort():
                    await trio.aclose_forcefully(self._stream)
                    return
                case None:
                    then()

    def _wind(self, name: str, seconds: float, nursery: trio.Nursery) -> None:
        """Start a timer, or start it anew."""
        deadline = trio.current_time() + seconds
        if name in self._timers:
            self._timers[name].deadline = deadline
        else:
            scope = self._timers[name] = trio.CancelScope(deadline=deadline)
            nursery.start_soon(self._wait, name, scope, seconds, nursery)

    async def _wait(
        self, name: str, scope: trio.CancelScope, seconds: float, nursery: trio.Nursery
    ) -> None:
        with scope:
            await trio.sleep_forever()
        del self._timers[name]
        if name == "idle" and self._open:
            self._wind(name, seconds, nursery)
        else:
            self._act(self._conversation.expired(name), nursery)

    def _act(self, actions: Iterable[Action], nursery: trio.Nursery) -> None:
        for action in actions:
            match action:
                case Say() | Listen():
                    self._enqueue(Item(action), nursery)
                case Cancel(context=context):
                    self._cancel(context)
                case _:
                    self._outbox.put((action,))

    def _enqueue(self, item: Item, nursery: trio.Nursery) -> None:
        self._witness.commit(item)
        self._open.add(item)
        context = item.work.context
        if context in self._contexts:
            self._contexts[context].append(item)
        else:
            self._contexts[context] = deque([item])
            nursery.start_soon(self._serve_context, context)

    def _cancel(self, context: str) -> None:
        for item in self._contexts.get(context, ()):
            if not item.framed:
                item.scope.cancel()
                self._settle(item, "cancelled")

    async def _serve_context(self, context: str) -> None:
        queue = self._contexts[context]
        while queue:
            item = queue[0]
            with item.scope:
                await self._outbox.room(_UNSENT)
                async with self._slots:
                    if isinstance(item.work, Say):
                        await self._speak(item, item.work)
                    else:
                        await self._listen(item, item.work)
            queue.popleft()
        del self._contexts[context]

    async def _speak(self, item: Item, say: Say) -> None:
        in_pieces = say.harm is None and is_plain(say.packing, say.sample_rate_hz)
        text = say.text if say.harm is None else say.harm.text
        whole = bytearray()

        async def heard(pcm: bytes) -> None:
            await self._outbox.room(_HELD)
            item.samples += len(pcm) // 2
            if in_pieces:
                self._outbox.put(say.framing.piece(say, pcm))
            else:
                whole.extend(pcm)

        try:
            await self._studio.speak(text, say.role.voice, say.speed, heard, say.seed)
            if not in_pieces:
                payload, item.samples = await trio.to_thread.run_sync(_finish, bytes(whole), say)
                self._outbox.put(say.framing.piece(say, payload))
        except CannotSpeak as refusal:
            self._finish(item, say.framing.cannot_speak(say, str(refusal)), "cannot_speak")
        except EngineDied as error:
            self._finish(item, say.framing.broken(say, str(error)), "lost")
        else:
            self._finish(item, say.framing.end(say), "spoken")

    async def _listen(self, item: Item, listen: Listen) -> None:
        item.samples = len(listen.pcm) // 2

        async def guessed(text: str) -> None:
            await self._outbox.room(_HELD)
            self._outbox.put(listen.framing.guessed(listen, text))

        try:
            item.transcript = await self._studio.listen(
                listen.pcm, listen.sample_rate_hz, listen.ear, guessed
            )
        except EngineDied as error:
            self._finish(item, listen.framing.unheard(listen, str(error)), "lost")
        else:
            self._finish(item, listen.framing.heard(listen, item.transcript), "heard")

    def _finish(self, item: Item, frames: Iterable[Frame], outcome: Outcome) -> None:
        if item.outcome is not None:
            return  # cancelled in the instant that it was finished
        item.framed = True
        self._outbox.put(frames)
        self._outbox.mark(lambda: self._settle(item, outcome))

    def _settle(self, item: Item, outcome: Outcome) -> None:
        self._open.discard(item)
        self._fewer.unpark()
        item.outcome = outcome
        self._witness.done(item)


def _finish(pcm: bytes, say: Say) -> tuple[bytes, int]:
    """Do to all the audio of an item what is to be done before it is put into messages.

    Returns:
        What is sent, and how many of the engine's samples there are in it.
    """
    if say.harm is not None:
        pcm = damage(pcm, SAMPLE_RATE_HZ, say.harm.how, say.harm.seed)
    if is_plain(say.packing, say.sample_rate_hz):
        return pcm, len(pcm) // 2
    return pack(pcm, say.packing, say.sample_rate_hz), len(pcm) // 2
