"""Whole text messages are cut out of a stream; all else is left to trio-websocket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import FrameProtocol
from wsproto.utilities import ProtocolError

from batchtts.wire.tap import Tap

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


def cut_up(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [piece for piece in [*pieces, data[at:]] if piece]


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


# The same as wsproto alone, whatever is said and however it is cut into pieces.

words = st.text(max_size=300)


def fragmented(first: str, second: str) -> bytes:
    begun = FrameProtocol(client=False, extensions=[])
    return bytes(begun.send_data(first, fin=False)) + bytes(begun.send_data(second, fin=True))


frames = st.one_of(
    words.map(text),
    words.map(text),
    st.binary(max_size=20).map(SERVER.ping).map(bytes),
    st.binary(max_size=20).map(SERVER.pong).map(bytes),
    st.binary(max_size=20).map(lambda it: bytes(SERVER.send_data(it, fin=True))),
    st.builds(fragmented, words, words),
    st.just(bytes(SERVER.close(1000))),
    st.binary(min_size=1, max_size=12),
)

Said = tuple[str, object]


def heard_by_wsproto(data: bytes) -> list[Said]:
    """What wsproto makes of frames: whole messages, pings, pongs, a close or an error."""
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="here", target="/")))
    assert list(server.events())
    client.receive_data(server.send(AcceptConnection()))
    assert list(client.events())
    found: list[Said] = []
    parts: list[str] = []
    try:
        client.receive_data(data)
        for event in client.events():
            match event:
                case TextMessage() | BytesMessage():
                    plain = event.data if isinstance(event.data, str) else repr(bytes(event.data))
                    parts.append(plain)
                    if event.message_finished:
                        found.append(("message", "".join(parts)))
                        parts.clear()
                case Ping() | Pong():
                    found.append((type(event).__name__, bytes(event.payload)))
                case CloseConnection():
                    found.append(("close", event.code))
                case _:
                    raise AssertionError(event)
    except ProtocolError:
        found.append(("error", None))
    return found


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 40), max_size=40))
def test_wsproto_alone_would_have_heard_the_same(said: list[bytes], sizes: list[int]) -> None:
    data = b"".join(said)
    passed, cut_out = trio.run(drain, Tap(Pieces(cut_up(HEADERS + data, sizes))))
    ours: list[Said] = [("message", message.decode(errors="replace")) for message in cut_out]
    ours += heard_by_wsproto(passed.removeprefix(HEADERS))
    alone = heard_by_wsproto(data)
    for kind in ("message", "Ping", "Pong", "close", "error"):
        assert [it for it in ours if it[0] == kind] == [it for it in alone if it[0] == kind]
