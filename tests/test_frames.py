"""Plain messages are cut out of frames; what is heard is what stock wsproto hears."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, repeat
from multiprocessing import get_context
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from batchtts.wire.frames import LARGEST_BYTES, Cutter, masked
from tests.babble import Alone, count_differences, difference, frame

TEXT, BINARY, PING = 0x81, 0x82, 0x89

#: Of the long comparison: so many seeds, and so many sequences of frames for each.
SEEDS, SEQUENCES = 200, 5_000


def heard(*parts: bytes) -> tuple[list[bytes], bytes]:
    """What is told, and what is left alone."""
    told: list[bytes] = []
    cutter = Cutter(told.append, told.append)
    passed = b"".join(cutter.feed(memoryview(part)) for part in parts)
    return told, passed


# What is cut out.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, LARGEST_BYTES])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_a_message_of_any_length_is_cut_out(first: int, size: int) -> None:
    assert heard(frame(first, b"m" * size) + frame(first, b"next")) == ([b"m" * size, b"next"], b"")


def test_a_message_that_is_too_large_is_left_alone_as_soon_as_it_says_so() -> None:
    head = frame(TEXT, b"", size=LARGEST_BYTES + 1)
    assert heard(head[:9]) == ([], b"")
    assert heard(head[:9], head[9:]) == ([], head)


@pytest.mark.parametrize("length", [126, 127])
def test_a_ping_that_is_too_long_is_left_alone_as_soon_as_it_says_so(length: int) -> None:
    assert heard(bytes((PING, length))) == ([], bytes((PING, length)))


@pytest.mark.parametrize("size", [0, 1, 125])
def test_pings_are_left_alone_and_messages_around_them_are_not(size: int) -> None:
    ping = frame(PING, b"p" * size)
    assert heard(frame(TEXT, b"one") + ping + frame(TEXT, b"two")) == ([b"one", b"two"], ping)


def test_what_was_fed_may_be_overwritten() -> None:
    told: list[bytes] = []
    cutter = Cutter(told.append, told.append)
    room = bytearray(frame(TEXT, b"first") + frame(TEXT, b"second")[:5])
    cutter.feed(memoryview(room))
    room[:] = bytes(len(room))
    cutter.feed(memoryview(frame(TEXT, b"second")[5:]))
    assert told == [b"first", b"second"]


def test_text_that_is_none_is_refused_when_its_frame_is_whole_and_not_before() -> None:
    wrong = frame(TEXT, b"\xff" + b"x" * 10)
    alone = Alone()
    alone.feed(wrong[:5])
    assert "end" in alone.heard
    assert heard(wrong[:5]) == ([], b"")
    assert heard(wrong[:5], wrong[5:]) == ([], wrong)


# The same as wsproto alone.


@settings(max_examples=500)
@given(st.randoms(use_true_random=False))
def test_whatever_is_said_the_same_is_heard(random: Random) -> None:
    assert not difference(random)


def test_some_thousand_sequences_are_heard_alike() -> None:
    assert count_differences(seed=0, sequences=2_000) == []


@pytest.mark.slow
def test_a_million_sequences_are_heard_alike() -> None:
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(count_differences, range(1, SEEDS + 1), repeat(SEQUENCES)))
    print(f"\n{len(found) * SEQUENCES:,} sequences compared")  # noqa: T201
    assert len(found) * SEQUENCES >= 1_000_000
    assert [each for some in found for each in some] == []


# What is sent.


@given(st.text(), st.binary(min_size=4, max_size=4))
def test_a_server_reads_what_was_masked(text: str, mask: bytes) -> None:
    assert read_by_server(masked(text.encode(), mask)) == text


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_001])
def test_a_server_reads_messages_of_any_length(size: int) -> None:
    text = "".join(chr(97 + at % 26) for at in range(size))
    assert read_by_server(masked(text.encode(), b"\x00\xff\x80\x01")) == text


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_every_byte_is_covered_by_its_own_of_the_mask(message: bytes, mask: bytes) -> None:
    made = masked(message, mask)
    head = frame(TEXT, message)[: -len(message) or None]
    assert made[0] == head[0]
    assert made[1] == 0x80 | head[1]
    assert made[2 : len(head)] == head[2:]
    assert made[len(head) : len(head) + 4] == mask
    covered = bytes(byte ^ of for byte, of in zip(message, cycle(mask), strict=False))
    assert made[len(head) + 4 :] == covered


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (125, b"\x81\xfd"),
        (126, b"\x81\xfe\x00\x7e"),
        (65_535, b"\x81\xfe\xff\xff"),
        (65_536, b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_length_takes_no_more_room_than_it_must(size: int, head: bytes) -> None:
    assert masked(bytes(size), b"mask")[: len(head) + 4] == head + b"mask"


def read_by_server(data: bytes) -> str:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(data)
    events = list(server.events())
    assert all(isinstance(event, TextMessage) for event in events)
    assert [event.message_finished for event in events] == [True]  # type: ignore[attr-defined]
    return "".join(event.data for event in events)  # type: ignore[attr-defined]
