"""The messages of one connection, whether a tap cuts them out or trio-websocket has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MemorySendStream, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)

from batchtts.wire.link import GONE, Link
from batchtts.wire.tap import Tap

DEADLINE_S = 5.0
FRAGMENT, ITS_END = b"\x01\x02so", b"\x80\x02on"

Opened = tuple[Link, "Diary", WebSocketConnection, MemorySendStream]


@dataclass
class Diary:
    """Who is told, and writes it down."""

    lines: list[object] = field(default_factory=list)

    def hear(self, message: str | bytes) -> None:
        self.lines.append(message if isinstance(message, str) else message.decode())

    def hear_binary(self, payload: bytes) -> None:
        self.lines.append(payload)

    def hear_close(self, reason: CloseReason | None) -> None:
        self.lines.append(("closed", reason and reason.code))


async def say(link: Link, messages: list[str]) -> None:
    send_rest = link.say(messages)
    if send_rest is not None:
        await send_rest()


@asynccontextmanager
async def opened(*, taps: bool) -> AsyncIterator[Opened]:
    """A link, who is told, the other end, and the wire from there to us."""
    near, far = memory_stream_pair()
    tap = Tap(near) if taps else None
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            ends: list[WebSocketConnection] = []

            async def answer() -> None:
                request = await wrap_server_stream(nursery, far, message_queue_size=16)
                ends.append(await request.accept())

            nursery.start_soon(answer)
            ws = await wrap_client_stream(
                nursery,
                tap or near,  # type: ignore[arg-type]  # any trio stream will do
                *("provider.test", "/speech"),
            )
            diary = Diary()
            link = Link(ws, tap, diary)
            await wait_all_tasks_blocked()
            yield link, diary, ends[0], far.send_stream
            nursery.cancel_scope.cancel()


both_ways = pytest.mark.parametrize("taps", [False, True], ids=["stock", "tap"])


async def keep_listening(link: Link) -> None:
    while True:
        await link.listen()


@both_ways
async def test_what_the_other_side_says_is_told_in_its_order(taps: bool) -> None:
    async with opened(taps=taps) as (link, diary, far, _), trio.open_nursery() as nursery:
        nursery.start_soon(keep_listening, link)
        for message in ("one", b"two", "drei, naïve", b"", ""):
            await far.send_message(message)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert diary.lines == ["one", b"two", "drei, naïve", b"", ""]


@both_ways
async def test_what_is_said_arrives(taps: bool) -> None:
    async with opened(taps=taps) as (link, _, far, _):
        await say(link, ["one", "drei, naïve"])
        await say(link, [])
        await say(link, ["x" * 70_000])
        arrived = [await far.get_message() for _ in range(3)]
    assert arrived == ["one", "drei, naïve", "x" * 70_000]


async def test_a_tap_tells_while_nobody_listens() -> None:
    async with opened(taps=True) as (_, diary, far, _):
        await far.send_message("one")
        await wait_all_tasks_blocked()
        assert diary.lines == ["one"]


async def test_who_listens_is_left_alone_until_called() -> None:
    ends: list[str] = []

    async def listen(link: Link) -> None:
        await link.listen()
        ends.append("end")

    async with opened(taps=True) as (link, _, far, _), trio.open_nursery() as nursery:
        nursery.start_soon(listen, link)
        await far.send_message("one")
        await wait_all_tasks_blocked()
        assert ends == []
        link.call()
        await wait_all_tasks_blocked()
        assert ends == ["end"]


@both_ways
async def test_messages_in_fragments_come_behind_those_before_them(taps: bool) -> None:
    async with opened(taps=taps) as (link, diary, far, wire), trio.open_nursery() as nursery:
        nursery.start_soon(keep_listening, link)
        await far.send_message("one")
        await wire.send_all(FRAGMENT + b"\x89\x00" + ITS_END)
        await far.send_message("two")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert diary.lines == ["one", "soon", "two"]


@both_ways
async def test_text_goes_on_leaving_when_the_other_side_speaks_in_fragments(taps: bool) -> None:
    async with opened(taps=taps) as (link, diary, far, wire):
        await wire.send_all(FRAGMENT + ITS_END)
        await link.listen()
        if not diary.lines:  # called, because the tap has stopped cutting
            await link.listen()
        await say(link, ["heard"])
        assert (diary.lines, await far.get_message()) == (["soon"], "heard")


@both_ways
async def test_a_goodbye_right_behind_the_last_message_is_told_after_it(taps: bool) -> None:
    async with opened(taps=taps) as (link, diary, _, wire):
        await wire.send_all(b"\x81\x04last" + b"\x88\x02\x03\xe9")
        await wait_all_tasks_blocked()
        while len(diary.lines) < 2:
            await link.listen()
        assert diary.lines == ["last", ("closed", 1001)]
        assert link.is_closed


@both_ways
async def test_an_end_without_a_goodbye_is_told_after_the_last_message(taps: bool) -> None:
    async with opened(taps=taps) as (link, diary, _, wire):
        await wire.send_all(b"\x81\x04last")
        await wire.aclose()
        while len(diary.lines) < 2:
            await link.listen()
        assert diary.lines == ["last", ("closed", 1006)]


@both_ways
async def test_nothing_is_said_behind_a_goodbye(taps: bool) -> None:
    async with opened(taps=taps) as (link, _, far, _), trio.open_nursery() as nursery:
        nursery.start_soon(far.aclose)
        await wait_all_tasks_blocked()
        with pytest.raises(ConnectionClosed):
            await say(link, ["too late"])


@both_ways
async def test_nobody_is_there_to_take_it(taps: bool) -> None:
    async with opened(taps=taps) as (link, diary, _, wire):
        await wire.aclose()
        await link.aclose()
        with pytest.raises(GONE):
            await say(link, ["one"])
        assert link.is_closed
        assert diary.lines == []


@both_ways
async def test_a_ping_is_answered_while_nobody_listens(taps: bool) -> None:
    async with opened(taps=taps) as (_, diary, far, _):
        await far.ping(b"there?")
        assert diary.lines == []
