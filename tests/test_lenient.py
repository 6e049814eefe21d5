"""A request line with spaces in its target reaches the parser as it should have been."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from batchtts.server.lenient import Lenient, escape_spaces

LINE = b"GET /v1/realtime?model=m&authorization=Bearer key HTTP/1.1"
ESCAPED = b"GET /v1/realtime?model=m&authorization=Bearer%20key HTTP/1.1"


@pytest.mark.parametrize(
    ("line", "escaped"),
    [
        (LINE, ESCAPED),
        (b"GET / HTTP/1.1", b"GET / HTTP/1.1"),
        (b"GET /a b c HTTP/1.1", b"GET /a%20b%20c HTTP/1.1"),
        (b"nonsense", b"nonsense"),
        (b"", b""),
    ],
)
def test_spaces_inside_a_target_are_escaped(line: bytes, escaped: bytes) -> None:
    assert escape_spaces(line) == escaped


@given(st.from_regex(rb"[A-Z]+ [!-~]+ HTTP/1\.[01]", fullmatch=True))
def test_a_line_as_it_should_be_stays_as_it_is(line: bytes) -> None:
    assert escape_spaces(line) == line


async def received(*pieces: bytes) -> bytes:
    near, far = memory_stream_pair()
    whole = b""
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for piece in pieces:
                await far.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
            await far.aclose()

        nursery.start_soon(send)
        stream = Lenient(near)
        while data := await stream.receive_some():
            whole += data
    return whole


@given(st.integers(0, len(LINE) + 12))
def test_it_does_not_matter_where_the_line_is_cut(at: int) -> None:
    request = LINE + b"\r\nHost: a b\r\n\r\n"
    assert trio.run(received, request[:at], request[at:]) == ESCAPED + b"\r\nHost: a b\r\n\r\n"


async def test_a_line_without_an_end_comes_as_far_as_it_goes() -> None:
    assert await received(b"GET /a b") == b"GET /a b"
