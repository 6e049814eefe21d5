"""How a provider is reached, over real sockets: who answers what, and what we say to it."""

from __future__ import annotations

import gc
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pybase64
import pytest
import trio
import trustme
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from batchtts import errors
from batchtts.errors import (
    BatchttsError,
    NotConnected,
    ProviderDown,
    QuotaExhausted,
    RateLimited,
    SessionLost,
    Unauthorized,
    VoiceUnavailable,
)
from batchtts.model import Voice
from batchtts.wire import line as line_module
from batchtts.wire.dialogue import Patience, Traits
from batchtts.wire.events import Fault
from batchtts.wire.kokoro import KOKORO
from batchtts.wire.line import Line
from batchtts.wire.session import Listener, Session
from batchtts.wire.together import PROVIDER, Options, Together

DEADLINE_S = 5.0
KEY = "sk-ishmael"
DIALECT = Together(Voice("af_heart", KOKORO, "en-us"), options=Options(linger_s=0.01))
CREATED = '{"type":"session.created","session":{"voice":"af_heart"}}'
AUDIO = "conversation.item.audio_output"

Answer = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(autouse=True, scope="module")
def _what_was_there_before_is_not_searched() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _no_socket_is_left_open() -> Iterator[None]:
    """Let a socket that nobody closed warn in the test that opened it: warnings are errors."""
    yield
    gc.collect()


def line_to(
    url: str, *, patience: Patience | None = None, tls: ssl.SSLContext | None = None
) -> Line:
    return Line(
        name="together",
        url=url,
        key=KEY,
        key_variable="TOGETHER_API_KEY",
        patience=patience or Patience(),
        tls=tls,
    )


async def refusal(line: Line, dialect: Together = DIALECT) -> BatchttsError:
    """What a call comes to that must fail."""
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as connections:
            try:
                session = await line.call(connections, dialect)
            except BatchttsError as error:
                return error
            session.close()
    raise AssertionError("the call was answered")


# Servers: some bytes, or a provider.


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """The address, without a scheme, of a server for the length of a test."""

    async def forgive(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await answer(stream)  # until the client has had enough

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, forgive, [listener])
        with trio.fail_after(DEADLINE_S):
            yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def saying(*parts: bytes, hold: bool = False) -> Answer:
    """A server that reads a request, answers in bytes and hangs up, or holds the line."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        for part in parts:
            await stream.send_all(part)
            await wait_all_tasks_blocked(0.005)  # a packet of its own
        if hold:
            await trio.sleep_forever()

    return answer


def http(status: str, body: str = "", *headers: str) -> Answer:
    head = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body)
    return saying("\r\n".join(head).encode())


def websocket(talk: Callable[[WebSocketConnection], Awaitable[None]]) -> Answer:
    """A server of WebSockets that talks until the client hangs up."""

    async def answer(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            ws = await (await wrap_server_stream(nursery, stream)).accept()
            try:
                await talk(ws)
                while True:
                    await ws.get_message()
            except ConnectionClosed:
                pass

    return answer


async def hello(ws: WebSocketConnection) -> None:
    await ws.send_message(CREATED)


async def provide(ws: WebSocketConnection) -> None:
    """Greet, and answer every script with its own text in place of audio."""
    await hello(ws)
    while True:
        append = json.loads(await ws.get_message())
        await ws.get_message()
        about = {"context_id": append["context_id"], "item_id": "tts_1"}
        delta = pybase64.b64encode(append["text"].encode()).decode()
        await ws.send_message(json.dumps({"type": f"{AUDIO}.delta", "delta": delta, **about}))
        await ws.send_message(json.dumps({"type": f"{AUDIO}.done", **about}))


async def events_of(ws: WSConnection, stream: trio.SocketStream) -> AsyncIterator[Event]:
    """What a client does, for a server that answers by hand."""
    while data := await stream.receive_some():
        ws.receive_data(data)
        for event in ws.events():
            yield event


async def speak(session: Session, script: str = "Call me Ishmael.", context: str = "u1") -> bytes:
    heard = bytearray()
    listener = Listener(
        hear=lambda payload, item: heard.extend(payload),
        said=lambda: None,
        late=lambda context: None,
        time=lambda words, item: None,
    )
    await session.speak(script, context, listener)
    return bytes(heard)


# Answers in HTTP.


async def test_a_refused_key_names_its_variable_and_not_itself() -> None:
    async with serving(http("401 Unauthorized", "who is sk-ishmael?")) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert type(error) is Unauthorized
    assert str(error) == f"together at ws://{address}: key refused (401)"
    assert error.hint == "set TOGETHER_API_KEY"


async def test_a_refused_key_of_a_provider_without_a_variable_has_no_hint() -> None:
    async with serving(http("403 Forbidden")) as address:
        error = await refusal(Line(name="local", url=f"ws://{address}", key=KEY))
    assert (type(error), error.hint) == (Unauthorized, None)


@pytest.mark.parametrize(
    ("status", "expected", "words"),
    [
        ("402 Payment Required", QuotaExhausted, "the account is out of credit (402)"),
        ("403 Forbidden", Unauthorized, "key refused (403)"),
        ("429 Too Many Requests", RateLimited, "too many requests (429)"),
        ("500 Internal Server Error", NotConnected, "answers 500"),
        ("503 Service Unavailable", NotConnected, "answers 503"),
        ("404 Not Found", ProviderDown, "answers HTTP 404 instead of a WebSocket"),
        ("200 OK", ProviderDown, "answers HTTP 200 instead of a WebSocket"),
    ],
)
async def test_a_refused_upgrade_is_judged_by_its_status(
    status: str, expected: type[BatchttsError], words: str
) -> None:
    async with serving(http(status)) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error)) == (expected, f"together at ws://{address}: {words}")


class Picky(Together):
    """A provider that refuses a voice before the handshake."""

    @property
    def traits(self) -> Traits:
        return Traits(judge_status=lambda status, words: Fault.VOICE if "voice" in words else None)


@pytest.mark.parametrize(
    ("body", "expected"), [("no such voice", VoiceUnavailable), ("no such page", ProviderDown)]
)
async def test_a_provider_may_mean_more_by_a_status(
    body: str, expected: type[BatchttsError]
) -> None:
    async with serving(http("400 Bad Request", body)) as address:
        error = await refusal(line_to(f"ws://{address}"), Picky(DIALECT.voice))
    assert type(error) is expected
    assert body in str(error)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    ("header", "retry_after_s"),
    [
        ("Retry-After: 7", 7.0),
        ("retry-after:  0 ", 0.0),
        ("Retry-After: Fri, 21 Nov 2026 07:28:00 GMT", None),
        ("X-Other: 7", None),
    ],
)
async def test_a_refusal_may_say_when_to_come_back(
    status: str, header: str, retry_after_s: float | None
) -> None:
    async with serving(http(status, "", header)) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert isinstance(error, errors.AttemptError)
    assert error.retry_after_s == retry_after_s


async def test_a_refusal_that_comes_in_pieces_is_heard_out() -> None:
    head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\n"
    async with serving(saying(head, b"wait")) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 7.0


async def test_the_words_of_a_refusal_may_come_behind_its_head() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n"
    async with serving(saying(head, b"Nothing here")) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert str(error).endswith("answers HTTP 404 instead of a WebSocket: Nothing here")


async def test_a_page_in_place_of_a_websocket_is_quoted_on_one_line() -> None:
    async with serving(http("404 Not Found", "<h1>\r\n  Nothing here\n</h1>")) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert str(error).endswith("answers HTTP 404 instead of a WebSocket: <h1> Nothing here </h1>")
    assert error.hint == "is this the right --endpoint?"


async def test_a_server_that_echoes_our_key_does_not_make_us_show_it() -> None:
    async with serving(http("400 Bad Request", f"Authorization: Bearer {KEY}")) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert str(error).endswith(": Authorization: Bearer [key]")


@pytest.mark.parametrize(
    "answer",
    [
        saying(b"HTTP/1.1 401 Unauthorized\r\n\r\nno such key"),
        saying(b"HTTP/1.1 401 Unauthorized\r\n", b"\r\nno such", b" key"),
        saying(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nno such key"),
    ],
    ids=["until the end", "in pieces", "cut short"],
)
async def test_a_refusal_need_not_say_how_long_it_is(answer: Answer) -> None:
    async with serving(answer) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error)) == (
        Unauthorized,
        f"together at ws://{address}: key refused (401)",
    )


async def test_a_refusal_whose_end_does_not_come_is_one_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_module, "CONNECT_S", 0.05)
    async with serving(saying(b"HTTP/1.1 402 Pay\r\n\r\nfirst", hold=True)) as address:
        assert type(await refusal(line_to(f"ws://{address}"))) is QuotaExhausted


# Answers that are none.


async def test_nobody_at_a_port_is_told_in_the_words_of_the_system() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # taken, and not listening
        url = f"ws://127.0.0.1:{deaf.getsockname()[1]}"
        error = await refusal(line_to(url))
    assert (type(error), str(error)) == (NotConnected, f"together at {url}: connection refused")


class NoNames(trio.abc.HostnameResolver):
    """Name look-up on a machine where nobody has a name."""

    async def getaddrinfo(self, *query: object, **options: object) -> list[object]:  # type: ignore[override]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *query: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_host_that_nobody_knows_is_told() -> None:
    trio.socket.set_custom_hostname_resolver(NoNames())
    error = await refusal(line_to("wss://nobody.invalid"))
    assert (type(error), str(error)) == (
        NotConnected,
        "together at wss://nobody.invalid: name or service not known",
    )


async def test_a_name_that_no_host_can_have_is_told() -> None:
    error = await refusal(line_to("ws://a..b:1"))
    assert (type(error), str(error)) == (
        ProviderDown,
        "together at ws://a..b:1: no host can have this name",
    )


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def reset(stream: trio.SocketStream) -> None:
    """Hang up so that the other side is told by a reset, not by an end."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await stream.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        hang_up,
        reset,
        saying(),
        saying(b"HTTP/1.1 101 Switching"),
        saying(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: wrong\r\n\r\n"
        ),
    ],
    ids=[
        "ends at once",
        "resets at once",
        "ends after the request",
        "ends in the answer",
        "accepts wrongly",
    ],
)
async def test_a_server_that_does_not_finish_the_handshake_is_not_connected(answer: Answer) -> None:
    async with serving(answer) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error)) == (
        NotConnected,
        f"together at ws://{address}: no WebSocket handshake",
    )


@pytest.mark.parametrize(
    ("banner", "quoted"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "'SSH-2.0-OpenSSH_9.6'"),
        (b"220 mail ESMTP\r\n", "'220 mail ESMTP'"),
        (b"\x15\x03\x03\x00\x02\x02\x32", r"'\\x15\\x03\\x03\\x00\\x02\\x022'"),
    ],
)
@pytest.mark.parametrize("hold", [False, True], ids=["hangs up", "holds the line"])
async def test_a_server_that_does_not_speak_http_is_quoted(
    banner: bytes, quoted: str, hold: bool
) -> None:
    async with serving(saying(banner, hold=hold)) as address:
        error = await refusal(line_to(f"ws://{address}"))
    words = f"together at ws://{address}: no WebSocket handshake; it says {quoted}"
    assert (type(error), str(error), error.hint) == (
        ProviderDown,
        words.replace(r"\\x", r"\x"),
        "is this the right --endpoint?",
    )


@pytest.mark.parametrize(
    ("scheme", "words"),
    [("ws", "no WebSocket handshake"), ("wss", "no answer within 0.05 s")],
)
async def test_a_server_that_never_answers_is_given_up_on(
    monkeypatch: pytest.MonkeyPatch, scheme: str, words: str
) -> None:
    monkeypatch.setattr(line_module, "CONNECT_S", 0.05)
    async with serving(saying(hold=True)) as address:
        error = await refusal(line_to(f"{scheme}://{address}"))
    assert (type(error), str(error)) == (
        NotConnected,
        f"together at {scheme}://{address}: {words}",
    )


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def encrypted(
    talk: Callable[[WebSocketConnection], Awaitable[None]], tls: ssl.SSLContext
) -> Answer:
    async def answer(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        await websocket(talk)(secure)  # type: ignore[arg-type]  # any trio stream will do

    return answer


async def test_a_certificate_that_nobody_trusts_is_told(authority: trustme.CA) -> None:
    async with serving(encrypted(provide, tls_of(authority))) as address:
        error = await refusal(line_to(f"wss://{address}"))
    assert type(error) is ProviderDown
    assert str(error).startswith(f"together at wss://{address}: its certificate is not trusted: ")
    assert error.hint == "if it is your own, name its authority in SSL_CERT_FILE"


async def test_the_certificate_of_another_host_is_told(authority: trustme.CA) -> None:
    tls = tls_of(authority, "elsewhere.test")
    async with serving(encrypted(provide, tls)) as address:
        error = await refusal(line_to(f"wss://{address}", tls=trusting(authority)))
    assert type(error) is ProviderDown
    assert "its certificate is not trusted: IP address mismatch" in str(error)


async def test_a_certificate_that_the_line_trusts_is_accepted(authority: trustme.CA) -> None:
    async with (
        serving(encrypted(provide, tls_of(authority))) as address,
        trio.open_nursery() as connections,
    ):
        line = line_to(f"wss://{address}", tls=trusting(authority))
        session = await line.call(connections, DIALECT)
        assert await speak(session) == b"Call me Ishmael."
        session.close()


async def test_long_audio_comes_over_tls_as_it_is(authority: trustme.CA) -> None:
    async with (
        serving(encrypted(provide_at_length, tls_of(authority))) as address,
        trio.open_nursery() as connections,
    ):
        line = line_to(f"wss://{address}", tls=trusting(authority))
        for number in range(2):
            session = await line.call(connections, DIALECT)
            heard = await speak(session, "Call me Ishmael.", f"u{number}")
            assert heard == b"Call me Ishmael." * 100_000
            session.close()


async def provide_at_length(ws: WebSocketConnection) -> None:
    """Greet, and answer a script with its text again and again, in deltas of 16 KiB."""
    await hello(ws)
    append = json.loads(await ws.get_message())
    await ws.get_message()
    about = {"context_id": append["context_id"], "item_id": "tts_1"}
    audio = append["text"].encode() * 100_000
    for at in range(0, len(audio), 16_384):
        delta = pybase64.b64encode(audio[at : at + 16_384]).decode()
        await ws.send_message(json.dumps({"type": f"{AUDIO}.delta", "delta": delta, **about}))
    await ws.send_message(json.dumps({"type": f"{AUDIO}.done", **about}))


async def test_a_server_without_tls_is_told() -> None:
    async with serving(http("400 Bad Request")) as address:
        error = await refusal(line_to(f"wss://{address}"))
    assert type(error) is ProviderDown
    assert str(error).startswith(f"together at wss://{address}: no TLS here: ")


async def test_a_server_that_hangs_up_on_tls_is_not_connected() -> None:
    async with serving(saying()) as address:
        error = await refusal(line_to(f"wss://{address}"))
    assert (type(error), str(error)) == (
        NotConnected,
        f"together at wss://{address}: closed during the TLS handshake",
    )


# Greetings.


def greeting(*messages: str) -> Answer:
    async def talk(ws: WebSocketConnection) -> None:
        for message in messages:
            await ws.send_message(message)
        await ws.aclose()

    return websocket(talk)


def failed(message: str, **error: str) -> str:
    return json.dumps(
        {"type": "conversation.item.tts.failed", "error": {"message": message, **error}}
    )


async def test_a_bad_voice_in_place_of_the_greeting_is_unavailable() -> None:
    words = "Voice 'tara' is not available for model hexgrad/Kokoro-82M"
    async with serving(greeting(failed(words, type="invalid_request_error"))) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error)) == (VoiceUnavailable, words)


async def test_a_bad_key_in_place_of_the_greeting_is_told_like_a_refused_upgrade() -> None:
    words = failed(f"Incorrect API key {KEY}", code="invalid_api_key")
    async with serving(greeting(words)) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error), error.hint) == (
        Unauthorized,
        f"together at ws://{address}: Incorrect API key [key] (invalid_api_key)",
        "set TOGETHER_API_KEY",
    )


async def test_a_session_that_is_refused_as_bad_text_is_no_fault_of_a_row() -> None:
    words = failed("bad sample_rate", type="invalid_request_error")
    async with serving(greeting(words)) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error)) == (
        ProviderDown,
        f"together at ws://{address}: refuses the session: bad sample_rate",
    )


async def test_a_failure_in_the_middle_is_told_on_one_line_and_without_our_key() -> None:
    words = failed(f"quota of\n{KEY} exceeded", code="insufficient_quota")

    async def talk(ws: WebSocketConnection) -> None:
        await ws.send_message(CREATED)
        while "commit" not in await ws.get_message():
            pass
        await ws.send_message(words)

    async with serving(websocket(talk)) as address, trio.open_nursery() as connections:
        session = await line_to(f"ws://{address}").call(connections, DIALECT)
        with pytest.raises(QuotaExhausted, match=r"^quota of \[key\] exceeded"):
            await speak(session)
        session.close()


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ((), "closed (1000) while awaiting greeting"),
        ((failed("engine\noverloaded"),), "engine overloaded"),
        (("nonsense",), "cannot read 'nonsense'"),
    ],
)
async def test_whatever_else_comes_before_the_first_script_costs_no_attempt(
    messages: tuple[str, ...], words: str
) -> None:
    async with serving(greeting(*messages)) as address:
        error = await refusal(line_to(f"ws://{address}"))
    assert (type(error), str(error)) == (NotConnected, f"together at ws://{address}: {words}")


async def test_a_provider_that_does_not_greet_is_given_up_on() -> None:
    async def say_nothing(ws: WebSocketConnection) -> None:
        """Accept, and no more."""

    async with serving(websocket(say_nothing)) as address:
        error = await refusal(line_to(f"ws://{address}", patience=Patience(greeting_s=0.05)))
    assert (type(error), str(error)) == (
        NotConnected,
        f"together at ws://{address}: no greeting within 0.05 s",
    )


async def test_a_provider_that_is_refused_hears_a_goodbye() -> None:
    end = trio.Event()

    async def watch(ws: WebSocketConnection) -> None:
        await ws.send_message(failed("no such voice", code="voice_not_available"))
        with pytest.raises(ConnectionClosed, match="1000"):
            await ws.get_message()
        end.set()

    async with serving(websocket(watch)) as address:
        await refusal(line_to(f"ws://{address}"))
        await end.wait()


# Addresses.


@pytest.mark.parametrize(
    ("url", "path", "host"),
    [
        ("ws://h:1", "/v1/audio/speech/websocket?{query}", "h:1"),
        ("ws://h:1/", "/v1/audio/speech/websocket?{query}", "h:1"),
        ("ws://h:1/x", "/x?{query}", "h:1"),
        ("ws://h:1/x?y=1", "/x?y=1&{query}", "h:1"),
        ("ws://h:1?y=1", "/v1/audio/speech/websocket?y=1&{query}", "h:1"),
        (
            "ws://h:1?voice=x&query=1",
            "/v1/audio/speech/websocket?voice=x&query=1&{voiceless}",
            "h:1",
        ),
        ("ws://h", "/v1/audio/speech/websocket?{query}", "h"),
        ("ws://h:80", "/v1/audio/speech/websocket?{query}", "h"),
        ("ws://h:443", "/v1/audio/speech/websocket?{query}", "h:443"),
        ("wss://h", "/v1/audio/speech/websocket?{query}", "h"),
        ("wss://h:443", "/v1/audio/speech/websocket?{query}", "h"),
        ("wss://h:80", "/v1/audio/speech/websocket?{query}", "h:80"),
        ("wss://me:word@h:1", "/v1/audio/speech/websocket?{query}", "h:1"),
        ("ws://[::1]:1", "/v1/audio/speech/websocket?{query}", "[::1]:1"),
        ("ws://[::1]", "/v1/audio/speech/websocket?{query}", "[::1]"),
    ],
)
def test_a_path_of_the_address_replaces_that_of_the_dialect(url: str, path: str, host: str) -> None:
    query = DIALECT.resource.partition("?")[2]
    voiceless = query.replace("&voice=af_heart", "")
    asked = path.format(query=query, voiceless=voiceless)
    assert line_to(url)._target(DIALECT) == (asked, host)


def test_a_dialect_without_a_query_adds_no_question_mark() -> None:
    class Short(Together):
        @property
        def resource(self) -> str:
            return "/speech"

    assert line_to("ws://h:1")._target(Short(DIALECT.voice)) == ("/speech", "h:1")


def test_a_line_shows_neither_its_key_nor_a_password() -> None:
    line = line_to("wss://me:word@h:1/path?api_key=word")
    assert line.where == "together at wss://h:1"
    assert KEY not in repr(line)


def test_a_line_to_a_provider_knows_where_its_key_came_from() -> None:
    assert Line.to(PROVIDER, "ws://h:1", KEY) == line_to("ws://h:1")


@pytest.mark.parametrize(("scheme", "is_read"), [("ws", False), ("wss", True)])
def test_what_tls_trusts_is_read_for_tls_alone(scheme: str, is_read: bool) -> None:
    assert (Line.to(PROVIDER, f"{scheme}://h:1", KEY).tls is not None) is is_read


@pytest.mark.parametrize(("key", "header"), [(KEY, b"Bearer sk-ishmael"), (None, None)])
async def test_the_key_is_sent_as_a_bearer_token(key: str | None, header: bytes | None) -> None:
    seen = []

    async def answer(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            seen.append((request.path, dict(request.headers).get(b"authorization")))
            await request.reject(503)

    async with serving(answer) as address:
        await refusal(Line(name="together", url=f"ws://{address}", key=key))
    assert seen == [(DIALECT.resource, header)]


# Sessions.


async def test_an_upgrade_may_be_answered_byte_by_byte() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        ws = WSConnection(ConnectionType.SERVER)
        async for event in events_of(ws, stream):
            if isinstance(event, Request):
                for byte in ws.send(AcceptConnection()) + ws.send(TextMessage(CREATED)):
                    await stream.send_all(bytes((byte,)))
                    await wait_all_tasks_blocked()
            elif isinstance(event, CloseConnection):
                await stream.send_all(ws.send(event.response()))

    async with serving(answer) as address, trio.open_nursery() as connections:
        session = await line_to(f"ws://{address}").call(connections, DIALECT)
        session.close()


async def test_two_sessions_live_side_by_side() -> None:
    async with serving(websocket(provide)) as address, trio.open_nursery() as connections:
        line = line_to(f"ws://{address}")
        one, two = [await line.call(connections, DIALECT) for _ in range(2)]
        assert await speak(one) == b"Call me Ishmael."
        one.close()
        assert await speak(two, "Some years ago.") == b"Some years ago."
        two.close()


async def test_a_closed_session_says_goodbye_and_its_task_ends() -> None:
    ends = []

    async def watch(ws: WebSocketConnection) -> None:
        await hello(ws)
        try:
            await ws.get_message()
        except ConnectionClosed as closed:
            ends.append(closed.reason.code if closed.reason else None)

    async with serving(websocket(watch)) as address:
        async with trio.open_nursery() as connections:
            session = await line_to(f"ws://{address}").call(connections, DIALECT)
            session.close()
        assert not session.reusable
    assert ends == [1000]


async def test_a_session_that_is_dropped_leaves_no_socket() -> None:
    async with serving(websocket(hello)) as address, trio.open_nursery() as connections:
        await line_to(f"ws://{address}").call(connections, DIALECT)
        connections.cancel_scope.cancel()


def by_hand(*, on: type[Event], say: bytes | None) -> Answer:
    """A provider that says some bytes, however wrong, or resets, when the client does something."""

    async def answer(stream: trio.SocketStream) -> None:
        ws, has_answered = WSConnection(ConnectionType.SERVER), False
        async for event in events_of(ws, stream):
            if isinstance(event, Request):
                greeting = ws.send(AcceptConnection()) + ws.send(TextMessage(CREATED))
                await stream.send_all(greeting)
            elif isinstance(event, on) and not has_answered:
                await (reset(stream) if say is None else stream.send_all(say))
                has_answered = True

    return answer


async def test_a_ping_in_place_of_the_goodbye_is_a_goodbye() -> None:
    answer = by_hand(on=CloseConnection, say=b"\x89\x02hi")
    async with serving(answer) as address, trio.open_nursery() as connections:
        session = await line_to(f"ws://{address}").call(connections, DIALECT)
        session.close()


async def test_a_provider_that_vanishes_takes_its_session_and_nothing_else() -> None:
    answer = by_hand(on=TextMessage, say=None)
    async with serving(answer) as address, trio.open_nursery() as connections:
        session = await line_to(f"ws://{address}").call(connections, DIALECT)
        with pytest.raises(SessionLost, match=r"^closed \(1006\) while awaiting"):
            await speak(session)
        session.close()


@pytest.mark.parametrize(
    ("garbage", "code"),
    [(b"\xff" * 64, 1002), (b"\x81\x02\xff\xfe", 1007), (b"\x81\x7f" + b"\xff" * 8, 1002)],
    ids=["no frame", "no text", "no length"],
)
async def test_a_broken_frame_loses_the_session(garbage: bytes, code: int) -> None:
    answer = by_hand(on=TextMessage, say=garbage)
    async with serving(answer) as address, trio.open_nursery() as connections:
        session = await line_to(f"ws://{address}").call(connections, DIALECT)
        with pytest.raises(
            SessionLost, match=rf"^closed \({code} .*\) while awaiting first audio; after nothing"
        ):
            await speak(session)
        session.close()


async def test_a_delta_may_be_larger_than_a_mebibyte() -> None:
    pcm = bytes(2 * 1024 * 1024)

    async def provide_at_once(ws: WebSocketConnection) -> None:
        await hello(ws)
        await ws.get_message()
        delta = pybase64.b64encode(pcm).decode()
        await ws.send_message(json.dumps({"type": f"{AUDIO}.delta", "delta": delta}))
        await ws.send_message(json.dumps({"type": f"{AUDIO}.done"}))

    async with serving(websocket(provide_at_once)) as address, trio.open_nursery() as connections:
        session = await line_to(f"ws://{address}").call(connections, DIALECT)
        assert await speak(session) == pcm
        session.close()
