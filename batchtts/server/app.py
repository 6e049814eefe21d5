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
import ssl
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
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
from batchtts.server import tls
from batchtts.server.casting import Casting, installed_engines
from batchtts.server.connection import Connection
from batchtts.server.conversation import Conversation
from batchtts.server.faultfile import parse
from batchtts.server.faults import Faults, Plan, ProtocolName, Refuse
from batchtts.server.house import House, TurnedAway, Visit
from batchtts.server.knobs import Knobs, with_idle
from batchtts.server.lenient import Lenient
from batchtts.server.smallest import Smallest
from batchtts.server.studio import Studio
from batchtts.server.telnyx import Telnyx
from batchtts.server.together import Together
from batchtts.server.transcription import Transcription
from batchtts.server.unlucky import Unlucky
from batchtts.server.witness import Log, Page
from batchtts.wire.embedded import HIBARI

_log = logging.getLogger(__name__)

_RECEIVE_BUFFER = 64 * 1024  # bytes
_MESSAGE_SIZE = 16 * 1024 * 1024  # bytes
_UPGRADE = 10.0  # seconds for a client to say what it wants

#: A subprotocol that is none: how a page in a browser, which has no headers, brings its key.
_KEY_PROTOCOL = "openai-insecure-api-key."

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


def _nobody(knobs: Knobs) -> bool:
    """The door sends a wrong key away."""
    return False


@dataclass(frozen=True, slots=True)
class Place:
    """What is spoken at a path.

    Attributes:
        converse: Makes the conversation of one client.
        greets_strangers: Whether the conversation tells a wrong key itself; see
            `Visit.is_welcome`.
    """

    protocol: ProtocolName
    converse: Converse
    greets_strangers: Callable[[Knobs], bool] = _nobody


#: What is spoken where.
PATHS = {
    "/v1/audio/speech/websocket": Place(
        "together", Together, lambda knobs: knobs.together.bad_key == "frame"
    ),
    "/v2/text-to-speech/speech": Place("telnyx", Telnyx),
    "/v1/realtime": Place("transcription", Transcription),
    "/waves/v1/tts/live": Place("smallest", Smallest),
    "/waves/v1/lightning-v3.1/get_speech/stream": Place("smallest", Smallest),
    "/waves/v1/lightning-v2/get_speech/stream": Place("smallest", Smallest),
    "/api/v1/lightning-v2/get_speech/stream": Place("smallest", Smallest),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to serve.

    Attributes:
        port: 0 picks a free one.
        engine: ``hibari``, ``nanotts`` or ``tone``; see `Casting.preferred`.
        workers: Processes per engine, and per recognizer; None is one per processor,
            four at most.
        key: What clients must bring; None lets in any key that is not empty.
        log: Where to write what was served.
        certificate, private_key: For `wss://`; see `batchtts.server.tls`.
        faults: Says what goes wrong on purpose; see `batchtts.server.faults`.
        idle_s: Seconds without a message of a client, instead of each protocol's own.
        until_eof: In the foreground, stop when standard input ends: whoever started us is gone.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    engine: str = HIBARI
    workers: int | None = None
    key: str | None = None
    log: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    faults: Path | None = None
    idle_s: float | None = None
    until_eof: bool = False


async def serve(
    settings: Settings, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; `nursery.start` gives the port.

    Raises:
        UsageError: The port is in use, anybody could come in, or a file is wrong.
    """
    _check_exposure(settings)
    secure = tls.read(settings.certificate, settings.private_key)
    plan = _read_plan(settings)
    casting = Casting(settings.engine, installed_engines())
    listeners = await _listen(settings)
    with _open_log(settings.log) as log:
        async with _open_studio(settings) as studio, trio.open_nursery() as nursery:
            house = House(casting=casting, knobs=plan.knobs)
            door = _Door(settings.key, house, studio, log, Faults(plan) if plan.faults else None)
            doors = [_open_door(listener, secure) for listener in listeners]
            nursery.start_soon(trio.serve_listeners, door.welcome, doors)
            task_status.started(listeners[0].socket.getsockname()[1])


class _Door:
    """Lets clients in, or sends them away."""

    def __init__(
        self,
        key: str | None,
        house: House,
        studio: Studio,
        log: Log | None,
        faults: Faults | None,
    ) -> None:
        self._key = key
        self._house = house
        self._studio = studio
        self._log = log
        self._faults = faults
        self._numbers = itertools.count(1)

    async def welcome(self, stream: trio.abc.Stream) -> None:
        """Serve one client, and survive it."""
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(_UPGRADE) as patience:
                    request = await wrap_server_stream(
                        nursery,
                        Lenient(stream),
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

    async def _serve(self, request: WebSocketRequest, stream: trio.abc.Stream) -> None:
        address = urlsplit(request.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        place = PATHS.get(address.path)
        key = _key_of(request, query)
        problem = self._refusal(key)
        if place is None:
            there_are = ", ".join(PATHS)
            await _reject(request, 404, f"nothing speaks at {address.path}; try {there_are}")
        elif problem and not place.greets_strangers(self._house.knobs):
            await _reject(request, 401, problem)
        elif self._faults and (fault := self._faults.refusal(place.protocol)):
            await _refuse(request, fault)
        else:
            visit = Visit(
                number=next(self._numbers),
                path=address.path,
                query=query,
                key=key,
                house=self._house,
                is_welcome=problem is None,
            )
            await self._receive(visit, place, request, stream)

    async def _receive(
        self, visit: Visit, place: Place, request: WebSocketRequest, stream: trio.abc.Stream
    ) -> None:
        """Let a visitor in and talk until one of the two has had enough."""
        try:
            conversation = place.converse(visit)
        except TurnedAway as refusal:
            await _reject(request, refusal.status, f"{refusal}")
            return
        try:
            if self._faults:
                conversation = Unlucky(conversation, self._faults, place.protocol)
            page = Page(self._log, visit.path, visit.number)
            socket = await request.accept(subprotocol=_subprotocol(request))
            await Connection(socket, stream, conversation, self._studio, page).run()
        finally:
            conversation.leave()

    def _refusal(self, key: str) -> str | None:
        if not key:
            return "missing_api_key: bring Authorization: Bearer KEY, or ?api_key=KEY"
        if self._key is not None and not hmac.compare_digest(key.encode(), self._key.encode()):
            return "invalid_api_key: this is not the key of this server"
        return None


def _key_of(request: WebSocketRequest, query: Mapping[str, str]) -> str:
    told = [v.decode("latin-1") for n, v in request.headers if n.lower() == b"authorization"]
    for each in (*told, query.get("authorization", "")):
        scheme, _, key = each.partition(" ")
        if scheme.lower() == "bearer":
            return key.strip()
    for offered in request.proposed_subprotocols:
        if offered.startswith(_KEY_PROTOCOL):
            return offered.removeprefix(_KEY_PROTOCOL)
    return query.get("api_key") or query.get("token", "")


def _subprotocol(request: WebSocketRequest) -> str | None:
    """The one that is spoken, where it is offered; the others carry a key or a version."""
    return "realtime" if "realtime" in request.proposed_subprotocols else None


async def _reject(
    request: WebSocketRequest, status: int, problem: str, *more: tuple[bytes, bytes]
) -> None:
    headers = [(b"Content-Type", b"text/plain; charset=utf-8"), *more]
    await request.reject(status, extra_headers=headers, body=f"{problem}\n".encode())


async def _refuse(request: WebSocketRequest, fault: Refuse) -> None:
    seconds = fault.retry_after_s
    wait = [] if seconds is None else [(b"Retry-After", b"%d" % seconds)]
    await _reject(request, fault.status, "refused on purpose", *wait)


def _read_plan(settings: Settings) -> Plan:
    """What goes wrong, and what is not documented: from the file, if there is one."""
    plan = Plan()
    if path := settings.faults:
        try:
            plan = parse(tomllib.loads(path.read_text(encoding="utf-8")), f"{path}")
        except OSError as error:
            told = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot read {path}: {told}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: not TOML: {error}") from None
    knobs = plan.knobs if settings.idle_s is None else with_idle(plan.knobs, settings.idle_s)
    return Plan(seed=plan.seed, faults=plan.faults, knobs=knobs)


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


def _open_door(
    listener: trio.SocketListener, secure: ssl.SSLContext | None
) -> trio.abc.Listener[trio.abc.Stream]:
    if secure is None:
        return listener
    return trio.SSLListener(listener, secure, https_compatible=True)


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
async def _open_studio(settings: Settings) -> AsyncIterator[Studio]:
    studio = Studio(settings.workers or min(os.cpu_count() or 1, 4))
    try:
        yield studio
    finally:
        await studio.close()
