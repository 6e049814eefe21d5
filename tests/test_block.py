"""Many lines of a ledger read together tell what each of them tells."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.errors import LedgerBroken
from batchtts.job.plan import DONE, FAILED, NEW, Ints, short, sum_usd
from batchtts.model import Result
from batchtts.record import file, lines
from batchtts.record.block import Block, line_ends
from batchtts.record.lines import VERSION, Header, encode

PATH = Path("out/ledger.jsonl")
HEADER = encode(Header(ledger=VERSION, manifest="m.csv"))

results = st.builds(
    Result,
    id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    status=st.sampled_from(["done", "failed", "pending"]),
    fingerprint=st.sampled_from(["", "0f" * 16, "f0" * 16]),
    characters_sent=st.integers(0, 3),
    cost_usd=st.sampled_from([None, 0.0, 0.25]),
)
scraps = st.sampled_from(
    [b"\n", b"\r\n", b"{}\n", b'{"id":"a"}\n', b',"crc":"00000000"}\n', b"\0\n"]
)
whole = results.map(encode) | st.just(HEADER)
spoilt = whole.map(lambda it: it[:9] + b"~" + it[10:]) | whole.map(lambda it: it[1:]) | scraps


def ends(data: bytes) -> tuple[Ints, Ints]:
    """Where each line begins, and where its text ends."""
    breaks = line_ends(data)
    return np.append([0], breaks[:-1] + 1), breaks


def sealed(body: bytes) -> bytes:
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


@contextmanager
def on_disk(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as held:
        held.write(data)
        held.flush()
        yield held.fileno()


# Whether they are whole


@given(st.lists(whole | spoilt, min_size=1))
def test_lines_together_are_whole_where_each_of_them_is(told: list[bytes]) -> None:
    found = lines.are_whole(b"".join(told), *ends(b"".join(told)))
    assert found.tolist() == list(map(lines.is_whole, told))


@given(results, st.data())
def test_a_digit_of_a_checksum_in_capitals_is_noticed(result: Result, data: st.DataObject) -> None:
    line = encode(result)
    at = data.draw(st.integers(len(line) - 11, len(line) - 4))
    changed = line[:at] + line[at : at + 1].upper() + line[at + 1 :]
    assert lines.are_whole(changed, *ends(changed)).tolist() == [changed == line]


# What they tell


@given(st.lists(whole | spoilt, min_size=1), st.integers(0, 9))
def test_a_block_tells_what_each_line_of_it_tells(told: list[bytes], address: int) -> None:
    begins = np.cumsum([address, *map(len, told)])[:-1].tolist()
    block = Block.read(b"".join(told), PATH, address, 1)
    is_whole = list(map(lines.is_whole, told))
    assert block.addresses.tolist() == [at for at, it in zip(begins, is_whole, strict=True) if it]
    assert block.count == len(told)
    assert block.damaged == [
        lines.examine(line, number, at)
        for number, (line, at, it) in enumerate(zip(told, begins, is_whole, strict=True), start=1)
        if not it
    ]


@given(st.lists(results))
def test_what_is_told_is_what_the_lines_say(told: list[Result]) -> None:
    found = Block.read(HEADER + b"".join(map(encode, told)), PATH, 0, 1).told
    kinds = {"done": DONE, "failed": FAILED, "pending": NEW}
    assert found.id_hashes.tolist() == [hash(it.id) for it in told]
    assert found.kinds.tolist() == [kinds[it.status] for it in told]
    assert found.fingerprints.tolist() == [short(it.fingerprint) for it in told]
    assert found.characters_sent.tolist() == [it.characters_sent for it in told]
    costs = [sum_usd(it.characters_sent, it.cost_usd) for it in told]
    np.testing.assert_array_equal(found.costs_usd, np.array(costs, np.float64))


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","status":"reviewed"',
        b'{"id":"a","fingerprint":"of the thumb, of the hand"',
        b'{"id":"a","fingerprint":"0f0f"',
        b'{"id":"a","fingerprint":"0f 0f 0f 0f 0f 0f 0f 0f 0f 0f 0f"',
        b'{"id":7',
        b'{"id":"a"} {"id":"b"',
        b"[]",
    ],
)
def test_a_line_that_nobody_here_understands_is_named_among_others(body: bytes) -> None:
    data = HEADER + b"nonsense\n" + sealed(body) + encode(Result(id="a", status="done"))
    with pytest.raises(LedgerBroken, match=r"^out/ledger\.jsonl, line 7: nothing that") as refused:
        Block.read(data, PATH, 0, 5)
    assert refused.value.hint == "upgrade batchtts"
    assert "\n" not in f"{refused.value}"


# How the file is read


@given(st.lists(st.integers(0, 900).map(lambda n: b"x" * n * n), min_size=1, max_size=9))
@settings(max_examples=50)
def test_all_lines_come_in_order_however_long_they_are(told: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in told)
    with on_disk(data + b"what is added meanwhile\n") as descriptor:
        assert b"".join(file.blocks(descriptor, len(data))) == data
        assert all(it.endswith(b"\n") for it in file.blocks(descriptor, len(data)))
        assert list(file.lines(descriptor, len(data))) == [line + b"\n" for line in told]


def test_of_a_file_that_was_cut_short_the_whole_lines_come() -> None:
    with on_disk(b"one\ntwo\nthr") as descriptor:
        assert b"".join(file.blocks(descriptor, 99)) == b"one\ntwo\n"
        os.truncate(descriptor, 2)
        assert list(file.blocks(descriptor, 99)) == []


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.data())
@settings(max_examples=50)
def test_lines_are_found_where_they_are_near_or_far(sizes: list[int], data: st.DataObject) -> None:
    told = [b"x" * size * size for size in sizes]
    begins = np.cumsum([0, *(len(line) + 1 for line in told)])[:-1]
    wanted = data.draw(st.lists(st.integers(0, len(told) - 1)).map(sorted))
    with on_disk(b"\n".join(told)) as descriptor:
        found = list(file.lines_at(descriptor, begins[wanted]))
    assert found == [told[at] for at in wanted]
