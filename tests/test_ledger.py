from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.errors import LedgerBroken, OutputBroken
from batchtts.model import Result
from batchtts.record import disk
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Damaged, Entry, Header, Place, encode
from batchtts.run.memory import recall
from tests.entries import told_by

HEADER = Header(ledger=VERSION, manifest="/books/moby-dick.csv", batchtts="0.1.0", created_at=1.0)
DONE = Result(id="ch1", status="done", fingerprint="0f" * 16, path="wav/ch1.wav", frames=24_000)
FAILED = Result(id="ch2", status="failed", error_code="stalled", error_message="no “audio”\n…")

told_lines = st.lists(
    st.one_of(
        st.just(HEADER),
        st.builds(Result, id=st.text(min_size=1), status=st.sampled_from(["done", "failed"])),
    )
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@contextmanager
def somewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "ledger.jsonl"


def write(path: Path, *told: Header | Result) -> list[int]:
    with Ledger.open(path) as ledger:
        return ledger.append(told)


def entries(path: Path) -> list[Entry | Damaged]:
    with Ledger.open(path) as ledger:
        return [entry for _, entry in told_by(ledger)]


def as_entry(line: Header | Result) -> Entry:
    return msgspec.json.decode(encode(line), type=Entry)


# What is kept


@given(told_lines, st.data())
@settings(deadline=None, max_examples=50)
def test_a_ledger_cut_anywhere_keeps_every_whole_line(
    told: list[Header | Result], data: st.DataObject
) -> None:
    with somewhere() as path:
        write(path, *told)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        with Ledger.open(path) as ledger:
            kept = [entry for _, entry in told_by(ledger)]
        assert kept == list(map(as_entry, told))[: whole[:cut].count(b"\n")]
        assert path.read_bytes() == whole[: whole.rfind(b"\n", 0, cut) + 1]


@pytest.mark.parametrize("tail", [b"{", b'{"id":"ch3","status":"done"}', b"\0" * 70_000, b"\xff"])
def test_what_is_added_after_a_torn_tail_begins_a_line(path: Path, tail: bytes) -> None:
    write(path, HEADER, DONE)
    with path.open("ab") as file:
        file.write(tail)
    write(path, FAILED)
    assert entries(path) == [as_entry(HEADER), as_entry(DONE), as_entry(FAILED)]


def test_a_new_ledger_is_empty(path: Path) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.size_bytes == 0
        assert list(told_by(ledger)) == []
        assert list(ledger.results([-1, -1])) == [None, None]


def test_an_address_is_where_a_line_begins(path: Path) -> None:
    with Ledger.open(path) as ledger:
        offsets = [*ledger.append([HEADER, DONE]), *ledger.append([FAILED])]
        assert [offset for offset, _ in told_by(ledger)] == offsets
        assert ledger.size_bytes == path.stat().st_size
    assert [path.read_bytes()[offset : offset + 1] for offset in offsets] == [b"{"] * 3


def test_results_come_in_the_order_of_their_addresses(path: Path) -> None:
    _, done, failed = write(path, HEADER, DONE, FAILED)
    with Ledger.open(path) as ledger:
        assert list(ledger.results([failed, -1, done, failed])) == [FAILED, None, DONE, FAILED]
        assert list(ledger.results([])) == []


def test_a_reader_does_not_see_what_is_added_later(path: Path) -> None:
    write(path, HEADER, DONE)
    with Ledger.peek(path) as reader:
        write(path, FAILED)
        assert [entry for _, entry in told_by(reader)] == [as_entry(HEADER), as_entry(DONE)]


def test_a_look_changes_nothing(path: Path) -> None:
    write(path, HEADER, DONE)
    torn = path.read_bytes() + b'{"id":"ch'
    path.write_bytes(torn)
    before = path.stat()
    with Ledger.peek(path) as ledger:
        assert [entry for _, entry in told_by(ledger)] == [as_entry(HEADER), as_entry(DONE)]
        assert list(ledger.results([len(encode(HEADER))])) == [DONE]
    after = path.stat()
    assert path.read_bytes() == torn
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_look_at_what_is_not_there_makes_nothing(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Ledger.peek(path)
    assert not path.exists()


# What fails


def fail_after(written: int, number: int) -> object:
    """A disk that takes so many bytes and then no more."""

    def write_all(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:written])
        raise OSError(number, os.strerror(number))

    return write_all


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_failed_append_leaves_the_ledger_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    written = int(len(msgspec.json.encode(FAILED)) * 2 * share)
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, DONE])
        before = path.read_bytes()
        with monkeypatch.context() as full:
            full.setattr(disk, "write_all", fail_after(written, errno.ENOSPC))
            with pytest.raises(OutputBroken, match=r"ledger\.jsonl: (?i:no space left on device)"):
                ledger.append([FAILED, FAILED])
        assert path.read_bytes() == before
        assert ledger.size_bytes == len(before)
        [offset] = ledger.append([FAILED])
        assert list(ledger.results([offset])) == [FAILED]


def test_what_cannot_be_made_durable_is_not_recorded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Ledger.open(path) as ledger:
        ledger.append([HEADER])
        monkeypatch.setattr(disk, "sync", sync)
        with pytest.raises(OutputBroken):
            ledger.append([DONE])
    monkeypatch.undo()
    assert entries(path) == [as_entry(HEADER)]


def test_a_disk_that_fails_altogether_breaks_the_run_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ftruncate(descriptor: int, length: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with Ledger.open(path) as ledger:
        monkeypatch.setattr(disk, "write_all", fail_after(20, errno.EROFS))
        monkeypatch.setattr(os, "ftruncate", ftruncate)
        with pytest.raises(OutputBroken):
            ledger.append([DONE])
    monkeypatch.undo()
    assert entries(path) == []


def test_a_ledger_of_a_newer_version_is_refused(path: Path) -> None:
    path.write_bytes(encode(msgspec.structs.replace(HEADER, ledger=VERSION + 1)))
    before = path.read_bytes()
    with pytest.raises(LedgerBroken, match=f"newer batchtts \\(ledger {VERSION + 1}") as refused:
        entries(path)
    assert refused.value.hint == "upgrade batchtts"
    assert path.read_bytes() == before


def test_a_ledger_of_an_older_version_is_refused(path: Path) -> None:
    path.write_bytes(encode(msgspec.structs.replace(HEADER, ledger=1)))
    with pytest.raises(LedgerBroken, match="unreleased batchtts") as refused:
        entries(path)
    assert refused.value.hint == "name another --out"


def sealed(line: bytes) -> bytes:
    """A line of JSON with the checksum that a ledger line has."""
    return b'%b,"crc":"%08x"}\n' % (line[:-1], crc32(line[:-1]))


def test_what_a_newer_version_adds_to_a_line_is_left_alone(path: Path) -> None:
    path.write_bytes(sealed(b'{"id":"ch1","status":"done","wer":0.1}'))
    with Ledger.open(path) as ledger:
        assert list(ledger.results([0])) == [Result(id="ch1", status="done")]


def test_a_whole_line_that_nobody_here_understands_is_named_by_its_number(path: Path) -> None:
    write(path, HEADER, DONE)
    with path.open("ab") as file:
        file.write(sealed(b'{"id":"ch1","status":"reviewed"}'))
    with pytest.raises(LedgerBroken, match=r"ledger\.jsonl, line 3: nothing that") as refused:
        entries(path)
    assert refused.value.hint == "upgrade batchtts"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"id":7}',
        b'{"id":"ch1","status":"done"}',
        b"\0\0\0",
        b'{"id":"',
        encode(DONE).rstrip().replace(b"24000", b"24001"),
    ],
)
def test_a_damaged_line_is_told_by_its_number_and_the_others_are_read(
    path: Path, broken: bytes
) -> None:
    write(path, HEADER, DONE)
    with path.open("ab") as file:
        file.write(broken + b"\n" + encode(FAILED))
    header, done, damaged, failed = entries(path)
    assert [header, done, failed] == [as_entry(HEADER), as_entry(DONE), as_entry(FAILED)]
    assert isinstance(damaged, Damaged)
    assert (damaged.number, damaged.raw) == (3, broken + b"\n")


def test_what_is_damaged_is_no_result(path: Path) -> None:
    write(path, DONE)
    path.write_bytes(path.read_bytes().replace(b"24000", b"24001"))
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerBroken, match=r"ledger\.jsonl, address 0: damaged"):
            list(ledger.results([0]))
        with pytest.raises(LedgerBroken, match="address 0"):
            list(ledger.places([0]))


def test_a_place_is_as_much_of_a_result_as_its_file_takes(path: Path) -> None:
    done = msgspec.structs.replace(DONE, bytes=9, sha256="ab", mtime_ns=7)
    _, at, failed = write(path, HEADER, done, FAILED)
    with Ledger.open(path) as ledger:
        assert list(ledger.places([at])) == [Place("wav/ch1.wav", 9, 7)]
        assert list(ledger.places([failed])) == [Place()]


@pytest.mark.parametrize("content", [b"my own notes", b"my own notes\n", b"a\nb\nc", b"\x89PNG\r"])
def test_a_file_that_is_no_ledger_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerBroken), Ledger.open(path) as ledger:
        recall(ledger)
    assert path.read_bytes() == content


@pytest.mark.parametrize("length", [1, 5, 20, 60])
def test_a_ledger_whose_first_line_was_cut_short_is_begun_anew(path: Path, length: int) -> None:
    path.write_bytes(encode(HEADER)[:length])
    assert entries(path) == []
    assert path.read_bytes() == b""
