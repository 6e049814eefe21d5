"""Whole text messages are cut out of a stream; all else is left to trio-websocket."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage
from wsproto.frame_protocol import FrameProtocol

from batchtts.wire.sockets import Plain
from batchtts.wire.tap import Tap
from tests.babble import Alone, babble, is_meant, pieces

HEADERS = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
SERVER = FrameProtocol(client=False, extensions=[])


@dataclass
class Pieces(trio.abc.Stream):
    """A peer that says some pieces and hangs up."""

    pieces: list[bytes]
    sent: list[bytes] = field(default_factory=list)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.pieces.pop(0) if self.pieces else b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None: ...

    async def aclose(self) -> None: ...


def text(words: str) -> bytes:
    return bytes(SERVER.send_data(words, fin=True))


async def drain(tap: Tap) -> tuple[bytes, list[bytes]]:
    """Everything trio-websocket is given, and every message that is told."""
    passed, messages = b"", list[bytes]()
    tap.listen(messages.append, lambda payload: messages.append(repr(payload).encode()))
    while data := await tap.receive_some():
        passed += data
    return passed, messages


async def say(tap: Tap, messages: list[str]) -> None:
    if rest := tap.say(messages):
        await tap.send_all(rest)


async def test_text_behind_the_headers_is_put_aside() -> None:
    tap = Tap(Pieces([HEADERS + text("one") + text("two")]))
    assert await drain(tap) == (HEADERS, [b"one", b"two"])


async def test_a_ping_goes_on_and_the_cutting_with_it() -> None:
    ping = bytes(SERVER.ping(b"still there?"))
    tap = Tap(Pieces([HEADERS + text("one") + ping + text("two")]))
    assert await drain(tap) == (HEADERS + ping, [b"one", b"two"])


async def test_what_comes_behind_an_uncommon_frame_is_left_alone() -> None:
    fragment = b"\x01\x02so"
    tap = Tap(Pieces([HEADERS + text("one") + fragment + text("two")]))
    assert await drain(tap) == (HEADERS + fragment + text("two"), [b"one"])


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x02\xff\xfe",
        b"\x81\x85abcdefghi",
        b"\xc1\x01a",
        b"\x01\x01a",
        b"\x81\x7f" + b"\x00\x00\x00\x00\x7f\x00\x00\x00",
        bytes(SERVER.close(1000)),
    ],
    ids=["no UTF-8", "masked", "reserved bit", "a fragment", "too large", "a close"],
)
async def test_an_uncommon_frame_is_left_to_who_knows_the_rules(frame: bytes) -> None:
    tap = Tap(Pieces([HEADERS + frame]))
    assert await drain(tap) == (HEADERS + frame, [])


async def test_an_answer_that_is_no_upgrade_is_passed_on_whole() -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n\x81\x00?"
    assert await drain(Tap(Pieces([page[:20], page[20:]]))) == (page, [])


async def test_a_peer_that_does_not_speak_http_is_noticed_by_its_first_bytes() -> None:
    ends: list[str] = []
    tap = Tap(Pieces([b"SSH-2.0-OpenSSH_9.6\r\n"]))
    tap.on_end = lambda: ends.append("end")
    assert await tap.receive_some() == b"SSH-2.0-OpenSSH_9.6\r\n"
    assert ends == ["end"]
    assert tap.banner == b"SSH-2.0-OpenSSH_9.6\r\n"


async def test_nothing_is_cut_before_somebody_listens() -> None:
    tap = Tap(Pieces([HEADERS + text("early"), text("late")]))
    assert await tap.receive_some() == HEADERS
    with trio.move_on_after(0.05) as scope:
        await tap.receive_some()
    assert scope.cancelled_caught
    assert await drain(tap) == (b"", [b"early", b"late"])


@given(st.randoms(use_true_random=False))
def test_wsproto_alone_would_have_heard_the_same(random: Random) -> None:
    said = babble(random)
    passed, told = trio.run(drain, Tap(Pieces(list(filter(None, pieces(random, HEADERS + said))))))
    ours, alone = Alone(), Alone()
    ours.feed(passed.removeprefix(HEADERS))
    ours.heard["message"] = [*told, *map(plain, ours.heard["message"])]
    alone.feed(said)
    alone.heard["message"] = [plain(message) for message in alone.heard["message"]]
    assert ours.heard == alone.heard or is_meant(said, ours.heard, alone.heard)


def plain(message: object) -> bytes:
    """A message as it is told here."""
    return message.encode() if isinstance(message, str) else repr(message).encode()


# The answer to the upgrade.


@pytest.mark.parametrize("size", [1, 2, 5, 12, 13, 14])
async def test_the_answer_may_come_in_the_smallest_pieces(size: int) -> None:
    said = HEADERS + text("one")
    tap = Tap(Pieces([said[at : at + size] for at in range(0, len(said), size)]))
    assert await drain(tap) == (HEADERS, [b"one"])
    assert tap.banner.startswith(HEADERS)


async def test_a_refusal_is_no_end_before_its_words_have_come() -> None:
    ends: list[str] = []
    head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\n"
    tap = Tap(Pieces([head, b"wait"]))
    tap.on_end = lambda: ends.append("end")
    assert await tap.receive_some() == head
    assert ends == []
    assert await tap.receive_some() == b"wait"
    assert await tap.receive_some() == b""
    assert ends == ["end"]


async def test_headers_without_an_end_are_passed_on_at_last() -> None:
    endless = [b"HTTP/1.1 101 OK\r\n", *[b"X: " + b"x" * 1021] * 64]
    passed, told = await drain(Tap(Pieces([*endless])))
    assert (passed, told) == (b"".join(endless), [])


# What is sent.


@dataclass
class Slow(Pieces):
    """A peer that takes a byte at a time, and stops after some; two senders at once break it."""

    stops_after: int = 1 << 30
    taken: bytearray = field(default_factory=bytearray)
    senders: int = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.senders += 1
        assert self.senders == 1
        for byte in bytes(data):
            await trio.lowlevel.checkpoint()
            if len(self.taken) == self.stops_after:
                await trio.sleep_forever()
            self.taken.append(byte)
        self.senders -= 1


async def test_messages_leave_whole_whoever_else_is_sending() -> None:
    stream = Slow([])
    tap = Tap(stream)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(say, tap, ["one", "two"])
            nursery.start_soon(tap.send_all, b"\x89\x80mask")
    server = Connection(ConnectionType.SERVER)
    server.receive_data(bytes(stream.taken))
    kinds = [type(event).__name__ for event in server.events()]
    assert Counter(kinds) == {"TextMessage": 10, "Ping": 5}
    in_a_row = [len(list(run)) for kind, run in groupby(kinds) if kind == "TextMessage"]
    assert all(number % 2 == 0 for number in in_a_row)  # what is said at once stays together


async def test_every_message_has_a_mask_of_its_own() -> None:
    stream = Pieces([])
    await say(Tap(stream), ["same"] * 20)
    frames = b"".join(stream.sent)
    masks = {frames[at + 2 : at + 6] for at in range(0, len(frames), 10)}
    assert len(frames) == 200
    assert len(masks) == 20


async def test_nothing_is_sent_behind_half_a_frame() -> None:
    stream, ends = Slow([], stops_after=5), list[str]()
    tap = Tap(stream)
    tap.on_end = lambda: ends.append("end")
    with trio.move_on_after(0.05) as scope:
        await say(tap, ["so long a message"])
    assert scope.cancelled_caught
    with pytest.raises(trio.BrokenResourceError):
        await tap.send_all(b"goodbye")
    assert (len(stream.taken), ends) == (5, ["end"])


async def test_a_ping_that_comes_while_we_send_is_passed_on() -> None:
    ping, ours = bytes(SERVER.ping(b"there?")), Slow([HEADERS], stops_after=5)
    tap = Tap(ours)
    assert await tap.receive_some() == HEADERS
    tap.listen(ours.sent.append, ours.sent.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(say, tap, ["so long a message"])
        await trio.testing.wait_all_tasks_blocked()
        ours.pieces += [ping, text("one")]
        assert await tap.receive_some() == ping
        nursery.cancel_scope.cancel()


@dataclass
class Deaf(Pieces):
    """A peer that takes nothing any more."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError


async def test_the_last_words_of_a_peer_that_takes_nothing_are_heard_to_the_end() -> None:
    ping = bytes(SERVER.ping(b"there?"))
    tap, told, ends = Tap(Deaf([HEADERS, ping, text("sorry"), ping])), list[bytes](), list[str]()
    tap.on_end = lambda: ends.append("end")
    assert await tap.receive_some() == HEADERS
    tap.listen(told.append, told.append)
    assert await tap.receive_some() == ping
    with pytest.raises(trio.BrokenResourceError):
        await tap.send_all(b"pong")
    assert await tap.receive_some() == b""
    assert (told, ends) == ([b"sorry"], ["end", "end"])


# Sockets that share a room.


async def connected() -> tuple[trio.SocketStream, trio.SocketStream]:
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


async def test_who_shares_a_room_hears_nobody_else() -> None:
    room, heard = bytearray(64), dict[str, list[bytes]]()

    async def hear(name: str, stream: trio.SocketStream) -> None:
        async with stream:
            heard[name] = (await drain(Tap(stream, Plain(stream, memoryview(room)).read)))[1]

    async def say(name: str, stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(HEADERS)
            for number in range(200):
                await stream.send_all(text(f"{name} {number} " + name * (number % 97)))

    async with trio.open_nursery() as nursery:
        for name in "abcde":
            ours, theirs = await connected()
            nursery.start_soon(hear, name, ours)
            nursery.start_soon(say, name, theirs)
    for name, messages in heard.items():
        assert messages == [f"{name} {n} {name * (n % 97)}".encode() for n in range(200)]


async def test_what_is_passed_on_does_not_change_when_the_room_does() -> None:
    room = bytearray(1024)
    ours, theirs = await connected()
    async with ours, theirs:
        tap = Tap(ours, Plain(ours, memoryview(room)).read)
        said = b"\x01\x02so"
        await theirs.send_all(HEADERS + said)
        assert await tap.receive_some() == HEADERS
        told: list[bytes] = []
        tap.listen(told.append, told.append)
        passed = await tap.receive_some()
        await theirs.send_all(b"\x80\x02on")
        behind = await tap.receive_some()
        room[:] = bytes(len(room))
        assert (passed, behind, told) == (said, b"\x80\x02on", [])


async def test_a_flood_lets_others_have_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    ours, theirs = await connected()
    async with ours, trio.open_nursery() as nursery:
        async with theirs:
            await theirs.send_all(HEADERS + text("x") * 10_000)
        nursery.start_soon(others)
        assert (
            len((await drain(Tap(ours, Plain(ours, memoryview(bytearray(100))).read)))[1]) == 10_000
        )
        nursery.cancel_scope.cancel()
    assert turns >= 150  # of 300 reads


async def test_a_reset_is_the_end() -> None:
    ends: list[str] = []
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, reset, 0, host="127.0.0.1"))
        ours = await trio.testing.open_stream_to_socket_listener(listener)
        async with ours:
            tap = Tap(ours, Plain(ours, memoryview(bytearray(1024))).read)
            tap.on_end = lambda: ends.append("end")
            await ours.send_all(b"GET / HTTP/1.1")
            with pytest.raises(trio.BrokenResourceError), trio.fail_after(5):
                await tap.receive_some()
        nursery.cancel_scope.cancel()
    assert ends == ["end"]


async def reset(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def test_a_tap_that_is_closed_while_it_reads_says_so() -> None:
    ours, theirs = await connected()
    tap = Tap(ours, Plain(ours, memoryview(bytearray(1024))).read)

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await tap.receive_some()

    async with theirs, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await tap.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await tap.receive_some()


async def test_what_does_not_leave_at_once_follows_in_its_place() -> None:
    ours, theirs = await connected()
    plain = Plain(ours, memoryview(bytearray(1024)))
    tap, messages = Tap(ours, plain.read, plain.write), ["long" * 500_000, "and short"]
    server, found = Connection(ConnectionType.SERVER), list[str]()
    rests: list[bytes] = []

    async def send() -> None:
        for message in messages:
            rests.append(tap.say([message]))
            if rests[-1]:
                await tap.send_all(rests[-1])

    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        parts: list[str] = []
        while len(found) < len(messages):
            server.receive_data(await theirs.receive_some())
            for event in server.events():
                assert isinstance(event, TextMessage)
                parts.append(event.data)
                if event.message_finished:
                    found.append("".join(parts))
                    parts.clear()
    assert found == messages
    assert 0 < len(rests[0]) < 2_000_000


async def test_who_has_gone_is_told_of_at_once() -> None:
    ours, theirs = await connected()
    plain = Plain(ours, memoryview(bytearray(1024)))
    await ours.aclose()
    with pytest.raises(trio.ClosedResourceError):
        Tap(ours, plain.read, plain.write).say(["Hello?"])
    await theirs.aclose()
