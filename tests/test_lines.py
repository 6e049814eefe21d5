"""Ledger lines, and what is noticed when somebody else has been at them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.model import Result, Word
from batchtts.record.lines import VERSION, Covered, Header, encode, examine, is_whole

HEADER = Header(
    ledger=VERSION,
    manifest="/books/moby-dick.csv",
    folded=7,
    snapshot=Covered(name="ledger-000001.parquet", rows=3, bytes=4, sha256="ab" * 32),
)
DONE = Result(
    id="chapter „1“\n\\",
    status="done",
    fingerprint="0f" * 16,
    path="wav/ch1.wav",
    cost_usd=0.25,
    error_message='"crc":"00000000"}',
    words=(Word("Call", 0.1, 0.4),),
)

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
results = st.builds(
    Result,
    id=ids,
    status=st.sampled_from(["done", "failed", "pending"]),
    error_message=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    characters_sent=st.integers(0, 2**40),
    cost_usd=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
written = results | st.just(HEADER) | st.just(DONE)


def is_told(data: bytes) -> bool:
    """Whether every line in *data* is as it was written, as a reader of the file sees it."""
    return all(map(is_whole, data.splitlines(keepends=True)))


@given(written)
def test_a_line_is_whole_with_its_end_and_without(line: Header | Result) -> None:
    data = encode(line)
    assert data.count(b"\n") == 1
    assert is_whole(data)
    assert is_whole(data[:-1])
    assert msgspec.json.decode(data, type=type(line)) == line


@pytest.mark.parametrize("line", [HEADER, DONE])
def test_every_single_bit_that_flips_is_noticed(line: Header | Result) -> None:
    data = encode(line)
    for at in range(len(data) - 1):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            assert not is_told(bytes(flipped)), (at, bit)


@pytest.mark.parametrize("line", [HEADER, DONE])
def test_every_single_byte_that_is_lost_is_noticed(line: Header | Result) -> None:
    data = encode(line)
    for at in range(len(data) - 1):
        assert not is_whole(data[:at] + data[at + 1 :]), at


@given(written, st.data())
def test_a_byte_that_is_changed_lost_or_added_is_noticed(
    line: Header | Result, data: st.DataObject
) -> None:
    whole = encode(line)
    at = data.draw(st.integers(0, len(whole) - 2))
    byte = bytes([data.draw(st.integers(0, 255).filter(lambda it: it != whole[at]))])
    assert not is_told(whole[:at] + byte + whole[at + 1 :])
    assert not is_told(whole[:at] + whole[at + 1 :])
    assert not is_told(whole[:at] + byte + whole[at:])


@given(written, written, st.integers(0, 255))
def test_a_line_whose_end_is_changed_is_not_whole(
    line: Header | Result, following: Header | Result, byte: int
) -> None:
    """It is one with the next line, then."""
    joined = encode(line)[:-1] + (b"" if byte == 10 else bytes([byte])) + encode(following)
    assert not is_whole(joined)


@pytest.mark.parametrize("tail", [b"\n\n", b"\r\n", b" \n", b"\0", b"}\n"])
def test_nothing_may_follow_a_line(tail: bytes) -> None:
    assert not is_whole(encode(DONE)[:-1] + tail)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}\n", b'{"id":"a","status":"done"}\n', b',"crc":"00000000"}\n']
)
def test_what_has_no_checksum_is_not_whole(data: bytes) -> None:
    assert not is_whole(data)


# What can still be said of it


@given(ids, st.data())
def test_the_id_is_read_from_a_line_that_is_damaged_behind_it(
    row_id: str, data: st.DataObject
) -> None:
    whole = encode(Result(id=row_id, status="done", path="wav/1.wav"))
    after = len(msgspec.json.encode(row_id)) + len(b'{"id":')
    at = data.draw(st.integers(after, len(whole) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    assert examine(whole[:at] + byte + whole[at + 1 :], 3).id == row_id
    assert examine(whole[:at], 3).id == row_id


@given(ids, st.data())
def test_of_a_line_that_is_cut_in_its_id_there_is_no_id(row_id: str, data: st.DataObject) -> None:
    whole = encode(Result(id=row_id, status="done"))
    at = data.draw(st.integers(0, len(msgspec.json.encode(row_id)) + len(b'{"id":') - 1))
    assert examine(whole[:at], 3).id is None


@pytest.mark.parametrize(
    ("line", "row_id", "is_ours"),
    [
        (b'{"id":"ch1","status":"done"}\n', "ch1", True),
        (b'{"id":"\xff\xfe","status":"done"}\n', None, True),
        (b'{"id":"\\ud83d\\ude00","sta', "😀", True),
        (b'{"id":"\\q","status":"done"}\n', None, True),
        (b'{"id":7}\n', None, True),
        (b'{"ledger":3,"manifest":"m.csv"\n', None, True),
        (b'xx,"crc":"0123abcd"}\n', None, True),
        (b"my own notes\n", None, False),
        (b"\0\0\0\n", None, False),
        (b"\n", None, False),
    ],
)
def test_a_damaged_line_says_what_it_can(line: bytes, row_id: str | None, is_ours: bool) -> None:
    told = examine(line, 7)
    assert (told.number, told.raw, told.id, told.is_ours) == (7, line, row_id, is_ours)


def test_an_id_in_the_middle_of_a_line_is_not_taken_for_that_of_the_line() -> None:
    data = encode(Result(id="ch1", status="failed", error_message='{"id":"ch2"'))
    assert examine(data[3:], 1).id is None
    assert examine(data.replace(b'"id"', b'"ix"', 1), 1).id is None
