"""How a provider is reached: name look-up, TCP, TLS, upgrade, greeting, refusal.

The only place that opens a client socket. A connection lives in a task of its
own, so that its reader may outlive the row that opened it.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import h11
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import ProtocolError

from batchtts import errors
from batchtts.wire.dialogue import Dialogue, Patience
from batchtts.wire.frames import LARGEST_BYTES
from batchtts.wire.provider import Addressed, Headers, bearer
from batchtts.wire.session import CLOSE_S, ERRORS, Session, Tape
from batchtts.wire.sockets import Plain, Secure
from batchtts.wire.tap import Tap

CONNECT_S = 10.0  # for TCP and TLS, and again for upgrade and greeting

RECEIVE_BUFFER_BYTES = 256 * 1024

MESSAGE_QUEUE = 16  # unread ones that do not keep a ping from being answered

_RIGHT_ENDPOINT = "is this the right --endpoint?"

# trio-websocket logs every event; not even asking saves 5 % of receiving.
logging.getLogger("trio-websocket").setLevel(logging.WARNING)


class Callee(Protocol):
    """What must be known of somebody to call them."""

    @property
    def name(self) -> str: ...
    @property
    def key_variable(self) -> str | None: ...
    @property
    def headers(self) -> Callable[[str], Headers]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a provider is reached: where, with which key, and how patiently.

    Attributes:
        name: The provider's name, for messages.
        url: Scheme and host; a path here replaces the dialect's own.
        key: Never shown.
        key_variable: Where the key came from, for messages.
        headers: What the key looks like in the handshake request.
        key_file: The same, if it came from a file.
        room: Where all connections receive; see sockets.
    """

    name: str
    url: str
    key: str | None = field(default=None, repr=False)
    key_variable: str | None = None
    headers: Callable[[str], Headers] = bearer
    patience: Patience = field(default_factory=Patience)
    key_file: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    room: bytearray = field(
        default_factory=lambda: bytearray(RECEIVE_BUFFER_BYTES), repr=False, compare=False
    )

    @classmethod
    def to(cls, callee: Callee, url: str, key: str | None, *, key_file: str | None = None) -> Line:
        """Return the line to a provider at an address; what TLS trusts is read once."""
        return cls(
            name=callee.name,
            url=url,
            key=key,
            key_variable=callee.key_variable,
            headers=callee.headers,
            key_file=key_file,
            tls=ssl.create_default_context() if urlsplit(url).scheme == "wss" else None,
        )

    async def call(
        self, connections: trio.Nursery, dialect: Addressed, tape: Tape | None = None
    ) -> Session:
        """Open a session; its connection lives in *connections* until it is closed.

        Args:
            tape: Keeps what is said.

        Raises:
            NotConnected, RateLimited: not now; nothing was said yet.
            RunError: never, with this address and this key.
            VoiceUnavailable: not with this voice.
        """
        session: Session = await connections.start(self._carry, dialect, tape)
        return session

    async def _carry(
        self,
        dialect: Addressed,
        tape: Tape | None,
        *,
        task_status: trio.TaskStatus[Session],
    ) -> None:
        """Carry one connection from its opening to its close."""
        with trio.move_on_after(CONNECT_S) as opening:
            stream = await self._open_stream()
        if opening.cancelled_caught:
            raise errors.NotConnected(f"{self.where}: no answer within {CONNECT_S:g} s")
        failure: errors.BatchttsError | None = self._unanswered(dialect, b"")
        try:
            async with trio.open_nursery() as nursery:
                session = await self._open_session(nursery, stream, dialect, tape)
                if isinstance(session, Session):
                    failure = None
                    task_status.started(session)
                    await session.wait_closed()
                else:
                    failure = session
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as group:
            failure = self._refused(dialect, errors.leaves(group)[0])
        except* (ConnectionClosed, ProtocolError, h11.ProtocolError):
            # trio-websocket trips over some mistakes of its peer, and over a
            # ping during our goodbye. To an open session that is a close.
            if failure is not None:
                failure = self._unanswered(dialect, stream.banner)
        finally:
            if tape is not None:
                tape.ended()
            await trio.aclose_forcefully(stream)  # trio-websocket leaves it open when refused
        if failure is not None:
            raise failure

    async def _open_session(
        self, nursery: trio.Nursery, stream: Tap, dialect: Addressed, tape: Tape | None
    ) -> Session | errors.BatchttsError:
        """Upgrade and greet, or say why that failed."""
        path, host = self._target(dialect)
        with trio.move_on_after(CONNECT_S) as upgrade:
            stream.on_end = upgrade.cancel
            ws = await wrap_client_stream(
                nursery,
                stream,  # type: ignore[arg-type]  # any trio stream will do
                host,
                path,
                extra_headers=self._headers(),
                message_queue_size=MESSAGE_QUEUE,
                max_message_size=LARGEST_BYTES,
                receive_buffer_size=RECEIVE_BUFFER_BYTES,
            )
        if upgrade.cancelled_caught:
            await trio.lowlevel.checkpoint()  # lets a refusal come first
            return self._unanswered(dialect, stream.banner)
        if tape is not None:
            tape.opened(dialect.resource)  # the address may hold somebody's secret
        session = Session(ws, Dialogue(dialect, self.patience), self._explain, stream, tape)
        try:
            await session.greet()
        except errors.BatchttsError as error:
            await _hang_up(ws)
            return self._unspoken(error)
        return session

    @property
    def where(self) -> str:
        """The address, for messages; without path, query or key."""
        parts = urlsplit(self.url)
        return f"{self.name} at {parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def _target(self, dialect: Addressed) -> tuple[str, str]:
        """Path with query, and the Host header."""
        parts, resource = urlsplit(self.url), dialect.resource
        path, _, query = resource.partition("?")
        if parts.path not in ("", "/"):
            path = parts.path
        named = {part.partition("=")[0] for part in parts.query.split("&")}
        ours = (part for part in query.split("&") if part.partition("=")[0] not in named)
        query = "&".join(filter(None, [parts.query, *ours]))
        host, port = _address(parts)
        host = f"[{host}]" if ":" in host else host
        host = host if port == _default_port(parts) else f"{host}:{port}"
        return f"{path}?{query}" if query else path, host

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = self.headers(self.key) if self.key else ()
        return [(name.encode(), value.encode()) for name, value in headers]

    async def _open_stream(self) -> Tap:
        parts, room = urlsplit(self.url), memoryview(self.room)
        host, port = _address(parts)
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise errors.NotConnected(f"{self.where}: {_cause(error)}") from error
        except UnicodeError as error:
            raise errors.ProviderDown(
                f"{self.where}: no host can have this name", hint=_RIGHT_ENDPOINT
            ) from error
        if parts.scheme == "ws":
            plain = Plain(stream, room)
            return Tap(stream, plain.read, plain.write)
        secure = Secure(stream, self.tls or ssl.create_default_context(), host, room)
        is_secure = False
        try:
            await secure.do_handshake()
            is_secure = True
        except trio.BrokenResourceError as error:
            raise self._untrusted(error.__cause__) from error
        finally:
            if not is_secure:
                await trio.aclose_forcefully(stream)
        return Tap(secure, secure.read)

    def _untrusted(self, cause: BaseException | None) -> errors.BatchttsError:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return errors.ProviderDown(
                f"{self.where}: its certificate is not trusted: {cause.verify_message}",
                hint="if it is your own, name its authority in SSL_CERT_FILE",
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return errors.ProviderDown(f"{self.where}: no TLS here: {cause.reason}")
        return errors.NotConnected(f"{self.where}: closed during the TLS handshake")

    def _refused(self, dialect: Addressed, rejection: ConnectionRejected) -> errors.BatchttsError:
        """Judge an upgrade that was answered with an HTTP status."""
        status = rejection.status_code
        words = self._quote(_words_of(rejection))
        if fault := dialect.traits.judge_status(status, words):
            return self._explain(
                ERRORS[fault](f"refused ({status})" + (f": {words}" if words else ""))
            )
        if status in (401, 403):
            return self._explain(errors.Unauthorized(f"key refused ({status})"))
        if status == 402:
            return errors.QuotaExhausted(f"{self.where}: the account is out of credit (402)")
        if status == 429:
            return errors.RateLimited(
                f"{self.where}: too many requests (429)", retry_after_s=_retry_after_s(rejection)
            )
        if status >= 500:
            return errors.NotConnected(
                f"{self.where}: answers {status}", retry_after_s=_retry_after_s(rejection)
            )
        return errors.ProviderDown(
            f"{self.where}: answers HTTP {status} instead of a WebSocket"
            + (f": {words}" if words else ""),
            hint=_RIGHT_ENDPOINT,
        )

    def _unanswered(self, dialect: Addressed, banner: bytes) -> errors.BatchttsError:
        """Judge an upgrade whose answer did not come, not to its end, or not in HTTP."""
        if status := re.match(rb"HTTP/1\.\d ([2-5]\d\d)", banner):
            return self._refused(dialect, ConnectionRejected(int(status[1]), (), None))
        said = banner[:40].decode(errors="replace").strip()
        if banner and not banner.startswith(b"HTTP/"):
            return errors.ProviderDown(
                f"{self.where}: no WebSocket handshake; it says {said!r}", hint=_RIGHT_ENDPOINT
            )
        return errors.NotConnected(f"{self.where}: no WebSocket handshake")

    def _quote(self, words: str) -> str:
        """What the other side said, on one line and without our key."""
        line = " ".join(words.split())
        return line.replace(self.key, "[key]") if self.key else line

    def _explain(self, error: errors.BatchttsError) -> errors.BatchttsError:
        """Put what the provider says on one line, without our key; say what to do about one."""
        if isinstance(error, errors.Unauthorized):
            hint = f"set {self.key_variable}" if self.key_variable else None
            hint = f"the key came from {self.key_file}" if self.key_file else hint
            return errors.Unauthorized(f"{self.where}: {self._quote(str(error))}", hint=hint)
        return type(error)(self._quote(str(error)), hint=error.hint)

    def _unspoken(self, error: errors.BatchttsError) -> errors.BatchttsError:
        """Judge what went wrong before the first script, which cost nothing."""
        if isinstance(error, errors.AttemptError) and error.charged:
            return errors.NotConnected(f"{self.where}: {self._quote(str(error))}")
        if isinstance(error, errors.ScriptRejected):
            return errors.ProviderDown(f"{self.where}: refuses the session: {error}")
        return error


async def _hang_up(ws: WebSocketConnection) -> None:
    with trio.move_on_after(CLOSE_S):
        await ws.aclose()


def _address(parts: SplitResult) -> tuple[str, int]:
    return parts.hostname or "", parts.port or _default_port(parts)


def _default_port(parts: SplitResult) -> int:
    return 80 if parts.scheme == "ws" else 443


def _cause(error: OSError) -> str:
    """The reason in the operating system's words, not in trio's summary."""
    inner: BaseException | None = error.__cause__
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    told = inner if isinstance(inner, OSError) else error
    # trio puts the address into strerror, a resolver has numbers of its own.
    if told.errno is not None and told.errno > 0:
        return os.strerror(told.errno).lower()
    return (told.strerror or str(told)).lower()


def _words_of(rejection: ConnectionRejected) -> str:
    """What came with a refusal; Deepgram says it in a header of its own."""
    said = [value for name, value in rejection.headers if name.lower() == b"dg-error"]
    return b" ".join([*said, rejection.body or b""])[:200].decode(errors="replace").strip()


def _retry_after_s(rejection: ConnectionRejected) -> float | None:
    """Seconds of a Retry-After header; its date form is not understood (RFC 9110, 10.2.3)."""
    for name, value in rejection.headers:
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return float(value)
    return None
