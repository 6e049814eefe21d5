"""The provider of our own, over a real socket: who may come in, and what is spoken where.

The paths of real providers lead to the same conversations as theirs. It serves
this machine; it is not meant to stand on the Internet.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import ipaddress
import itertools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketRequest,
    wrap_server_stream,
)
from wsproto.utilities import ProtocolError

from batchtts.errors import UsageError
from batchtts.model import Voice
from batchtts.server.casting import Casting, installed_engines
from batchtts.server.connection import Connection
from batchtts.server.conversation import Conversation
from batchtts.server.house import House, Visit
from batchtts.server.knobs import Knobs
from batchtts.server.pool import EngineDied, Pool
from batchtts.server.together import Together
from batchtts.server.witness import Log, Page
from batchtts.wire.embedded import HIBARI

_log = logging.getLogger(__name__)

_RECEIVE_BUFFER = 64 * 1024  # bytes
_MESSAGE_SIZE = 16 * 1024 * 1024  # bytes
_UPGRADE = 10.0  # seconds for a client to say what it wants

#: How it shows that a client has left, or has never been one.
_GONE = (
    ConnectionClosed,
    HandshakeError,
    ProtocolError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)

Converse = Callable[[Visit], Conversation]

#: What is spoken where.
PATHS: dict[str, Converse] = {"/v1/audio/speech/websocket": Together}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to serve.

    Attributes:
        port: 0 picks a free one.
        engine: ``hibari``, ``nanotts`` or ``tone``; see `Casting.preferred`.
        workers: Processes per engine; None is one per processor, four at most.
        key: What clients must bring; None lets in any key that is not empty.
        log: Where to write what was served.
        until_eof: In the foreground, stop when standard input ends: whoever started us is gone.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    engine: str = HIBARI
    workers: int | None = None
    key: str | None = None
    log: Path | None = None
    until_eof: bool = False


async def serve(
    settings: Settings, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; `nursery.start` gives the port.

    Raises:
        UsageError: The port is in use, or anybody could come in.
    """
    _check_exposure(settings)
    casting = Casting(settings.engine, installed_engines())
    listeners = await _listen(settings)
    with _open_log(settings.log) as log:
        async with _open_studio(settings) as studio, trio.open_nursery() as nursery:
            door = _Door(settings.key, House(casting=casting, knobs=Knobs()), studio, log)
            nursery.start_soon(trio.serve_listeners, door.welcome, listeners)
            task_status.started(listeners[0].socket.getsockname()[1])


class _Studio:
    """The engines, each with processes of its own."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pools: dict[str, Pool] = {}

    async def speak(
        self, text: str, voice: Voice, speed: float, heard: Callable[[bytes], Awaitable[None]]
    ) -> None:
        if voice.model not in self._pools:
            self._pools[voice.model] = Pool(voice.model, self._workers)
        await self._pools[voice.model].speak(text, voice, speed, heard)

    async def listen(self, pcm: bytes, sample_rate_hz: int, model: str) -> str:
        raise EngineDied("nothing here recognizes speech")

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()


class _Door:
    """Lets clients in, or sends them away."""

    def __init__(self, key: str | None, house: House, studio: _Studio, log: Log | None) -> None:
        self._key = key
        self._house = house
        self._studio = studio
        self._log = log
        self._numbers = itertools.count(1)

    async def welcome(self, stream: trio.SocketStream) -> None:
        """Serve one client, and survive it."""
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(_UPGRADE) as patience:
                    request = await wrap_server_stream(
                        nursery,
                        stream,
                        max_message_size=_MESSAGE_SIZE,
                        receive_buffer_size=_RECEIVE_BUFFER,
                    )
                    patience.deadline = inf
                    await self._serve(request, stream)
                nursery.cancel_scope.cancel()
        except* _GONE as gone:
            _log.debug("client gone  because=%s", gone.exceptions)
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, request: WebSocketRequest, stream: trio.SocketStream) -> None:
        address = urlsplit(request.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        converse = PATHS.get(address.path)
        key = _key_of(request, query)
        problem = self._refusal(key)
        if converse is None:
            there_are = ", ".join(PATHS)
            await _reject(request, 404, f"nothing speaks at {address.path}; try {there_are}")
        elif problem:
            await _reject(request, 401, problem)
        else:
            number = next(self._numbers)
            visit = Visit(number=number, path=address.path, query=query, key=key, house=self._house)
            page = Page(self._log, address.path, number)
            socket = await request.accept()
            await Connection(socket, stream, converse(visit), self._studio, page).run()

    def _refusal(self, key: str) -> str | None:
        if not key:
            return "missing_api_key: bring Authorization: Bearer KEY, or ?api_key=KEY"
        if self._key is not None and not hmac.compare_digest(key.encode(), self._key.encode()):
            return "invalid_api_key: this is not the key of this server"
        return None


def _key_of(request: WebSocketRequest, query: Mapping[str, str]) -> str:
    for name, value in request.headers:
        scheme, _, key = value.decode("latin-1").partition(" ")
        if name.lower() == b"authorization" and scheme.lower() == "bearer":
            return key.strip()
    return query.get("api_key", "")


async def _reject(request: WebSocketRequest, status: int, problem: str) -> None:
    plain = [(b"Content-Type", b"text/plain; charset=utf-8")]
    await request.reject(status, extra_headers=plain, body=f"{problem}\n".encode())


def _check_exposure(settings: Settings) -> None:
    if settings.key is None and not _is_loopback(settings.host):
        raise UsageError(
            f"{settings.host} can be reached by others, and no key is set",
            hint="set BATCHTTS_SERVE_KEY, or serve on 127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _listen(settings: Settings) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(settings.port, host=settings.host)
    except OSError as error:
        where = f"port {settings.port} on {settings.host}"
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"{where} is in use", hint="--port 0 picks a free one") from None
        told = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot listen at {where}: {told}") from None


@contextlib.contextmanager
def _open_log(path: Path | None) -> Iterator[Log | None]:
    if path is None:
        yield None
        return
    try:
        log = Log(path)
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write {path}: {told}") from None
    with contextlib.closing(log):
        yield log


@contextlib.asynccontextmanager
async def _open_studio(settings: Settings) -> AsyncIterator[_Studio]:
    studio = _Studio(settings.workers or min(os.cpu_count() or 1, 4))
    try:
        yield studio
    finally:
        await studio.close()
