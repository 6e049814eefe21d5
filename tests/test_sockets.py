"""TLS over real sockets: the other side is trio's own."""

from __future__ import annotations

import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing
import trustme

from batchtts.wire.sockets import Plain, Secure

DEADLINE_S = 10.0
ROOM_BYTES = 256 * 1024
RECORD_BYTES = 16 * 1024

HOST = "provider.test"
ALL = Random(1).randbytes(1_000_000)

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
Pair = tuple[Secure, trio.SSLStream[trio.SocketStream]]


@pytest.fixture(autouse=True)
def _no_socket_is_left_open() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def contexts(
    request: pytest.FixtureRequest, authority: trustme.CA
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The client's and the server's."""
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert(HOST).configure_cert(theirs)
    ours.minimum_version = ours.maximum_version = request.param
    return ours, theirs


@asynccontextmanager
async def connected(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], room: bytearray | None = None
) -> AsyncIterator[Pair]:
    """Both ends of a connection, whose keys are agreed on."""
    near, far = map(trio.SocketStream, trio.socket.socketpair())
    ours, theirs = contexts
    memory = memoryview(bytearray(ROOM_BYTES) if room is None else room)
    async with near, far:
        client = Secure(near, ours, HOST, memory)
        server = trio.SSLStream(far, theirs, server_side=True)
        with trio.fail_after(DEADLINE_S):
            await together(client.do_handshake, server.do_handshake)
            yield client, server


async def together(*deeds: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        for deed in deeds:
            nursery.start_soon(deed)


async def gather(client: Secure) -> bytes:
    """All that comes until the end."""
    heard = bytearray()
    while data := await client.read():
        heard += data
    return bytes(heard)


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.mark.parametrize("room_bytes", [1, 100, RECORD_BYTES + 1, ROOM_BYTES])
async def test_what_is_said_arrives_whatever_room_there_is(
    contexts: Contexts, room_bytes: int
) -> None:
    said = ALL[: 200_000 if room_bytes > 100 else 2_000]
    async with connected(contexts, bytearray(room_bytes)) as (client, server):

        async def talk() -> None:
            await server.send_all(said)
            await server.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            assert await gather(client) == said


async def test_both_sides_may_speak_at_once(contexts: Contexts) -> None:
    heard = bytearray()
    async with connected(contexts) as (client, server):

        async def listen() -> None:
            while len(heard) < len(ALL):
                heard.extend(await server.receive_some())

        async def answer() -> None:
            await server.send_all(ALL)

        async def speak() -> None:
            for at in range(0, len(ALL), 77_777):
                await client.send_all(ALL[at : at + 77_777])

        async def gather_all() -> None:
            size = 0
            while size < len(ALL):
                size += len(await client.read())

        await together(listen, answer, speak, gather_all)
    assert bytes(heard) == ALL


async def test_all_records_that_have_come_are_read_at_once(contexts: Contexts) -> None:
    async with connected(contexts) as (client, server):
        await server.send_all(ALL[: 3 * RECORD_BYTES])
        assert bytes(await client.read()) == ALL[: 3 * RECORD_BYTES]


async def test_no_more_is_read_than_was_asked_for(contexts: Contexts) -> None:
    async with connected(contexts) as (client, server):
        await server.send_all(b"Call me Ishmael.")
        assert [await client.receive_some(size) for size in (5, 2, 100)] == [
            b"Call ",
            b"me",
            b" Ishmael.",
        ]


async def test_who_shares_a_room_hears_nobody_else(contexts: Contexts) -> None:
    room, heard = bytearray(1_000), dict[str, bytes]()

    async def talk(name: str) -> None:
        async with connected(contexts, room) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(say, server, name.encode() * 50_000)
            heard[name] = await gather(client)

    async def say(server: trio.SSLStream[trio.SocketStream], what: bytes) -> None:
        await server.send_all(what)
        await server.aclose()

    async with trio.open_nursery() as nursery:
        for name in "abcde":
            nursery.start_soon(talk, name)
    assert heard == {name: name.encode() * 50_000 for name in "abcde"}


# The end.


async def test_a_goodbye_is_the_end_behind_what_was_said(contexts: Contexts) -> None:
    async with connected(contexts) as (client, server):
        await server.send_all(b"last words")
        await server.aclose()
        assert bytes(await client.read()) == b"last words"
        assert [bytes(await client.read()) for _ in range(2)] == [b"", b""]


async def test_an_end_without_a_goodbye_is_one_too(contexts: Contexts) -> None:
    async with connected(contexts) as (client, server):
        await server.send_all(b"last words")
        await server.transport_stream.aclose()
        assert bytes(await client.read()) == b"last words"
        assert [bytes(await client.read()) for _ in range(2)] == [b"", b""]


async def test_what_was_tampered_with_is_refused_and_what_came_before_is_not(
    contexts: Contexts,
) -> None:
    async with connected(contexts) as (client, server):
        await server.send_all(b"true")
        await server.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert bytes(await client.read()) == b"true"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError) as broken:
                await client.read()
            assert isinstance(broken.value.__cause__, ssl.SSLError)


async def test_a_closed_stream_says_so(contexts: Contexts) -> None:
    async with connected(contexts) as (client, _):

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.read()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await client.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await client.read()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"too late")


async def test_a_reset_breaks_what_is_read_and_what_is_sent(contexts: Contexts) -> None:
    async with connected(contexts) as (client, server):
        await client.send_all(b"unread")
        await server.transport_stream.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await client.read()
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"too late")


async def test_nothing_is_sent_behind_half_a_record(contexts: Contexts) -> None:
    async with connected(contexts) as (client, _):
        with trio.move_on_after(0.05) as scope:
            await client.send_all(bytes(10_000_000))
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError, match="cut short"):
            await client.send_all(b"more")


# Who is there.


async def handshake(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> BaseException | None:
    """The cause of a handshake's failure."""
    near, far = map(trio.SocketStream, trio.socket.socketpair())
    server = trio.SSLStream(far, theirs, server_side=True)
    causes: list[BaseException | None] = []

    async def serve() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await server.do_handshake()

    async def call() -> None:
        async with near:
            with pytest.raises(trio.BrokenResourceError) as broken:
                await Secure(near, ours, HOST, memoryview(bytearray(1_000))).do_handshake()
            causes.append(broken.value.__cause__)

    async with far:
        with trio.fail_after(DEADLINE_S):
            await together(serve, call)
    return causes[0]


async def test_who_is_not_trusted_is_not_spoken_to(authority: trustme.CA) -> None:
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(theirs)
    cause = await handshake(ssl.create_default_context(), theirs)
    assert isinstance(cause, ssl.SSLCertVerificationError)


async def test_who_is_somebody_else_is_not_spoken_to(authority: trustme.CA) -> None:
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("elsewhere.test").configure_cert(theirs)
    cause = await handshake(ours, theirs)
    assert isinstance(cause, ssl.SSLCertVerificationError)
    assert "Hostname mismatch" in cause.verify_message


async def test_the_server_is_told_whom_we_call(contexts: Contexts) -> None:
    called: list[str | None] = []
    ours, theirs = contexts
    theirs.sni_callback = lambda connection, name, context: called.append(name)
    async with connected((ours, theirs)):
        pass
    assert called == [HOST]


# In the clear.


async def test_what_comes_in_the_clear_is_read_into_the_room() -> None:
    room = bytearray(4)
    near, far = map(trio.SocketStream, trio.socket.socketpair())
    async with near:
        intake = Plain(near, memoryview(room))
        async with far:
            await far.send_all(b"Ishmael")
        assert bytes(await intake.read()) == b"Ishm"
        assert room == b"Ishm"
        assert [bytes(await intake.read()) for _ in range(3)] == [b"ael", b"", b""]


async def test_who_is_cancelled_reads_nothing() -> None:
    near, far = map(trio.SocketStream, trio.socket.socketpair())
    async with near, far:
        intake = Plain(near, memoryview(bytearray(100)))
        with trio.move_on_after(0.01) as scope:
            await intake.read()
        assert scope.cancelled_caught
        await far.send_all(b"still there")
        with trio.CancelScope() as scope:
            scope.cancel()
            await intake.read()
        assert scope.cancelled_caught
        assert bytes(await intake.read()) == b"still there"
