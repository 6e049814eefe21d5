"""What was sent and is not in the ledger yet, as a run that is killed leaves it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import OutputBroken
from batchtts.record import begun, disk
from batchtts.record.begun import LONGEST_BYTES, Begun, Sent, left


def sent(take: int, characters: int = 16, row_id: str = "ch1") -> Sent:
    return Sent(
        take=f"run-{take}",
        id=row_id,
        path="wav/ch1.wav",
        characters_sent=characters,
        cost_usd=characters / 8,
        provider="together",
        model="kokoro",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "begun.jsonl"


def test_a_run_that_never_was_left_nothing(path: Path) -> None:
    assert left(path) == []


def test_what_was_noted_is_left(path: Path) -> None:
    with Begun(path) as notes:
        notes.note([sent(1), sent(2, row_id="„ß“\n")])
        assert left(path) == notes.unsettled() == [sent(1), sent(2, row_id="„ß“\n")]
    assert left(path) == [sent(1), sent(2, row_id="„ß“\n")]


def test_the_last_word_about_a_take_counts(path: Path) -> None:
    with Begun(path) as notes:
        notes.note([sent(1, 16)])
        notes.note([sent(2, 16)])
        notes.note([sent(1, 32)])
        assert notes.unsettled() == [sent(1, 32), sent(2, 16)]
    assert left(path) == [sent(1, 32), sent(2, 16)]


def test_what_is_settled_is_not_told_to_who_asks(path: Path) -> None:
    with Begun(path) as notes:
        notes.note([sent(1), sent(2)])
        notes.settle(["run-1", "run-77"])
        assert notes.unsettled() == [sent(2)]


def test_when_all_is_settled_nothing_is_left(path: Path) -> None:
    with Begun(path) as notes:
        notes.note([sent(1), sent(2)])
        notes.clear()
        assert notes.unsettled() == []
        assert left(path) == []
        notes.note([sent(3)])
    assert left(path) == [sent(3)]


@given(st.data())
def test_a_file_cut_anywhere_keeps_every_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "begun.jsonl"
    path.unlink(missing_ok=True)
    told = [sent(take, row_id=row_id) for take, row_id in enumerate(["a", "„ß“", "😀"])]
    with Begun(path) as notes:
        notes.note(told)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    ends = [at for at, byte in enumerate(whole) if byte == 10]
    assert left(path) == told[: sum(cut >= end for end in ends)]


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 900, b"\xff\xfe\n", b'{"take":"x","id":"\xff","path":"p"}', b"[]\n7\n\n"],
)
def test_what_no_run_has_written_is_passed_over(path: Path, tail: bytes) -> None:
    with Begun(path) as notes:
        notes.note([sent(1)])
    path.write_bytes(tail + b"\n" + path.read_bytes() + tail)
    assert left(path) == [sent(1)]


def test_a_long_file_is_shortened_to_what_is_not_settled(path: Path) -> None:
    with Begun(path) as notes:
        notes.note([sent(0, 7)])
        longest = 0
        for take in range(1, 3 * LONGEST_BYTES // 150):
            notes.note([sent(take)])
            notes.settle([f"run-{take - 1}"] if take > 1 else [])
            longest = max(longest, path.stat().st_size)
        notes.note([sent(0, 9)])
        assert notes.unsettled() == [sent(0, 9), sent(take)]
        last_words = left(path)
    assert LONGEST_BYTES - 1000 < longest <= LONGEST_BYTES
    assert path.stat().st_size < LONGEST_BYTES
    assert last_words[0] == sent(0, 9)
    assert last_words[-1] == sent(take)
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_while_it_is_shortened_loses_no_live_take(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    for step in ("create", "write_all", "rename", "open_to_append"):
        path.unlink(missing_ok=True)
        notes = Begun(path)
        notes.note([sent(1), sent(2)])
        with monkeypatch.context() as patched:
            patched.setattr(begun, "LONGEST_BYTES", 1)
            patched.setattr(disk, step, die)
            with pytest.raises(Killed):
                notes.settle(["run-1"])
        assert sent(2) in left(path), step


def test_what_cannot_be_noted_must_not_be_done(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Begun(path) as notes:
        monkeypatch.setattr(disk, "write_all", full)
        with pytest.raises(OutputBroken, match=r"begun\.jsonl: no space left"):
            notes.note([sent(1)])


def test_what_could_not_be_noted_spoils_no_other_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other workers are still in flight, and one may have something to note meanwhile."""

    def write_some(descriptor: int, data: disk.Buffer) -> None:
        os.write(descriptor, bytes(data)[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Begun(path) as notes:
        notes.note([sent(1)])
        with monkeypatch.context() as patched:
            patched.setattr(disk, "write_all", write_some)
            with pytest.raises(OutputBroken):
                notes.note([sent(2)])
        notes.note([sent(3)])
        assert notes.unsettled() == left(path) == [sent(1), sent(3)]
