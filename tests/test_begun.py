"""What was sent and is not in the ledger yet, as a run that is killed leaves it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import OutputBroken
from batchtts.model import Result
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


# What of it the ledger tells of


def line(context: str | None, **more: object) -> Result:
    return msgspec.structs.replace(Result(id="ch1", status="pending", context=context), **more)


def test_what_no_line_tells_of_is_all_to_be_settled() -> None:
    assert sent(1).unsettled_by(None) == sent(1)
    assert sent(1).unsettled_by(line(None)) == sent(1)
    assert sent(1).unsettled_by(line("other-1-0-0")) == sent(1)
    assert sent(1).unsettled_by(line("run-12-0-0")) == sent(1)


@pytest.mark.parametrize("context", ["run-1", "run-1-0-0", "run-1-7-3"])
def test_a_line_about_the_whole_take_settles_all_of_it(context: str) -> None:
    assert sent(1).unsettled_by(line(context)) is None


def test_a_line_about_a_segment_settles_what_all_such_lines_have_told() -> None:
    told = line("run-1-3-0", segment=3, characters_sent=4, take_characters=10, take_usd=1.25)
    rest = sent(1, 16).unsettled_by(told)
    assert rest is not None
    assert (rest.take, rest.characters_sent, rest.cost_usd) == ("run-1", 6, 0.75)
    assert sent(1, 10).unsettled_by(told) is None


def test_what_the_ledger_tells_counts_and_not_what_a_run_thought_it_did() -> None:
    """A run is killed when it has reckoned with a line that was never written."""
    thought = sent(1, 30).telling(20, 2.5)
    rest = thought.unsettled_by(line("run-1-0-0", segment=0, take_characters=10, take_usd=1.25))
    assert rest is not None
    assert (rest.characters_sent, rest.cost_usd) == (20, 2.5)
    assert thought.unsettled_by(None) == thought
    assert thought.characters_sent == 30


@pytest.mark.parametrize(("cost_usd", "told_usd"), [(None, 1.0), (2.0, None), (None, None)])
def test_the_rest_of_what_has_no_price_has_none(
    cost_usd: float | None, told_usd: float | None
) -> None:
    part = msgspec.structs.replace(sent(1, 16), cost_usd=cost_usd).telling(10, told_usd)
    assert (part.rest().characters_sent, part.rest().cost_usd) == (6, None)


def test_a_take_remembers_what_the_ledger_tells_of_it(path: Path) -> None:
    with Begun(path) as notes:
        notes.note([sent(1, 16), sent(2, 16)])
        notes.tell("run-1", 10, 1.25)
        assert notes.sent("run-1") == sent(1, 16).telling(10, 1.25)
        assert [each.rest().characters_sent for each in notes.unsettled()] == [6, 16]
    assert left(path) == [sent(1, 16), sent(2, 16)]  # the ledger itself tells who comes later
