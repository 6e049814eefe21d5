"""What a run finds, and puts in order before it does anything else."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest

from batchtts.errors import LedgerBroken
from batchtts.job.plan import DONE, FAILED, NEW
from batchtts.model import Result
from batchtts.record import begun, disk
from batchtts.record.begun import Begun, Sent
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Header
from batchtts.record.store import Layout
from batchtts.run.memory import Memory, recall
from batchtts.run.mending import find_lost, is_whole, put_in_order

HEADER = Header(ledger=VERSION, manifest="/books/moby-dick.csv")
SOUND = b"RIFF, and so on"


T = TypeVar("T")


class Killed(BaseException):
    """Nothing runs any more."""


@dataclass
class Desk:
    """An output directory with its ledger."""

    layout: Layout
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def ledger(self) -> Ledger:
        return self.held.enter_context(Ledger.open(self.layout.ledger))

    def write(self, *told: Header | Result) -> None:
        with Ledger.open(self.layout.ledger) as ledger:
            ledger.append(told)

    def done(self, row_id: str, **told: Any) -> Result:  # noqa: ANN401  # whatever a line may tell
        """What the ledger says of audio that is there."""
        path = self.audio(f"{row_id}.wav")
        return Result(
            id=row_id,
            status="done",
            path=path.name,
            bytes=len(SOUND),
            sha256=sha256(SOUND).hexdigest(),
            mtime_ns=path.stat().st_mtime_ns,
            **told,
        )

    def audio(self, name: str) -> Path:
        path = self.layout.root / name
        path.write_bytes(SOUND)
        return path

    def killed(self, *sent: Sent) -> None:
        """Leave what a killed run would."""
        with Begun(self.layout.begun) as notes:
            notes.note(sent)

    def mend(self) -> Memory:
        with Ledger.open(self.layout.ledger) as ledger:
            return put_in_order(ledger, self.layout)

    def spent(self) -> dict[str, tuple[int, float]]:
        """Characters and dollars, by row id."""
        with Ledger.open(self.layout.ledger) as ledger:
            past = recall(ledger).past
            told = [it.id for it in ledger.results(past.addresses.tolist()) if it]
        money = zip(past.characters_sent.tolist(), past.costs_usd.tolist(), strict=True)
        return dict(zip(told, money, strict=True))

    def last(self, row_id: str) -> Result:
        """The last line about a row."""
        with Ledger.open(self.layout.ledger) as ledger:
            past = recall(ledger).past
            [at] = past.find(np.array([hash(row_id)])).tolist()
            [found] = ledger.results([int(past.addresses[at])])
        assert found is not None
        return found

    def damage(self, old: bytes, new: bytes) -> None:
        """Change some bytes of the ledger."""
        data = self.layout.ledger.read_bytes()
        assert data.count(old) == 1
        self.layout.ledger.write_bytes(data.replace(old, new))

    def lost(
        self, *, thorough: bool = False, backwards: bool = False
    ) -> tuple[list[str], list[Result]]:
        """The ids whose audio is lost, and the lines that are renewed."""
        with Ledger.open(self.layout.ledger) as ledger:
            past = recall(ledger).past
            addresses = np.sort(past.addresses[past.kinds == DONE])
            addresses = addresses[::-1] if backwards else addresses
            places, renewed = find_lost(ledger, self.layout.root, addresses, thorough=thorough)
            told = [it.id for it in ledger.results(addresses[places].tolist()) if it]
        return told, renewed


def sent(row_id: str, characters: int = 16, take: str = "run-0") -> Sent:
    return Sent(
        take=take,
        id=row_id,
        path=f"{row_id}.wav",
        characters_sent=characters,
        cost_usd=characters / 8,
        provider="together",
        model="kokoro",
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    layout = Layout(tmp_path)
    layout.scratch.mkdir(parents=True)
    desk = Desk(layout)
    with desk.held:
        desk.write(HEADER)
        yield desk


# What a killed run had sent


def test_what_a_killed_run_had_sent_is_accounted_for_once(desk: Desk) -> None:
    desk.killed(sent("a", 16, "run-0"), sent("b", 32, "run-1"))
    memory = desk.mend()
    assert memory.past.kinds.tolist() == [NEW, NEW]
    assert desk.spent() == {"a": (16, 2.0), "b": (32, 4.0)}
    assert desk.last("a") == Result(
        id="a",
        status="pending",
        provider="together",
        model="kokoro",
        characters_sent=16,
        cost_usd=2.0,
        context="run-0",
    )
    before = desk.layout.ledger.read_bytes()
    assert np.array_equal(desk.mend().past.addresses, memory.past.addresses)
    assert desk.layout.ledger.read_bytes() == before


def test_what_is_in_the_ledger_is_not_accounted_for_again(desk: Desk) -> None:
    done = desk.done("a", context="run-0-0-1", characters_sent=16, cost_usd=2.0)
    failed = Result(id="b", status="failed", context="run-1-2-7", characters_sent=32, cost_usd=4.0)
    desk.write(done, failed)
    before = desk.layout.ledger.read_bytes()
    desk.killed(sent("a", 16, "run-0"), sent("b", 32, "run-1"))
    desk.mend()
    assert desk.layout.ledger.read_bytes() == before
    assert (desk.layout.root / "a.wav").exists()


def test_a_take_is_not_taken_for_another_whose_name_it_begins_with(desk: Desk) -> None:
    desk.write(Result(id="a", status="failed", context="run-10-0-0", cost_usd=0.0))
    desk.killed(sent("a", 16, "run-1"))
    desk.mend()
    assert desk.spent() == {"a": (16, 2.0)}


def test_what_was_spent_on_a_row_that_is_done_leaves_it_done(desk: Desk) -> None:
    """It was being spoken again, another way."""
    done = desk.done("a", context="old-0-0-0", characters_sent=7, cost_usd=1.0, frames=3)
    desk.write(done)
    desk.killed(sent("a"))
    memory = desk.mend()
    assert memory.past.kinds.tolist() == [DONE]
    assert (desk.layout.root / "a.wav").exists()
    assert desk.last("a") == msgspec.structs.replace(
        done, characters_sent=16, cost_usd=2.0, context="run-0"
    )
    assert desk.spent() == {"a": (23, 3.0)}


def test_a_row_that_had_failed_has_failed_still(desk: Desk) -> None:
    desk.write(Result(id="a", status="failed", error_code="stalled", context="old-0-0-0"))
    desk.killed(sent("a"))
    assert desk.mend().past.kinds.tolist() == [FAILED]
    assert desk.last("a").error_code == "stalled"


def test_what_was_taken_up_and_not_sent_costs_nothing(desk: Desk) -> None:
    desk.killed(sent("a", 0))
    before = desk.layout.ledger.read_bytes()
    desk.mend()
    assert desk.layout.ledger.read_bytes() == before


def test_audio_that_no_line_tells_of_is_removed(desk: Desk) -> None:
    desk.write(Result(id="b", status="failed"))
    paths = [desk.audio(f"{row_id}.wav") for row_id in "abc"]
    desk.killed(sent("a", 16, "run-0"), sent("b", 16, "run-1"), sent("c", 0, "run-2"))
    desk.mend()
    assert [path.exists() for path in paths] == [False] * 3


def test_audio_that_was_taken_back_is_removed(desk: Desk) -> None:
    path = desk.audio("a.wav")
    desk.write(Result(id="a", status="pending", path="a.wav"))
    desk.mend()
    assert not path.exists()


def test_audio_that_was_taken_back_and_made_again_stays(desk: Desk) -> None:
    desk.write(Result(id="a", status="pending", path="a.wav"), desk.done("a"))
    desk.mend()
    assert (desk.layout.root / "a.wav").exists()


def test_audio_of_a_row_that_is_done_is_never_removed(desk: Desk) -> None:
    desk.write(desk.done("a", context="run-0-0-0"), desk.done("b", context="old-3-0-0"))
    desk.killed(sent("a"), sent("b", 16, "run-1"), sent("b", 16, "run-2"))
    desk.mend()
    assert desk.lost() == ([], [])


def kill_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die at the durable step of this number, from 0."""
    steps = iter(range(number))

    def dying(step: Callable[..., T]) -> Callable[..., T]:
        def take(*told: object) -> T:
            if next(steps, None) is None:
                raise Killed
            return step(*told)

        return take

    for name in ("write_all", "sync", "rename", "remove", "create", "open_to_append"):
        monkeypatch.setattr(disk, name, dying(getattr(disk, name)))


def test_mending_that_is_killed_and_done_again_is_as_mending_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(root: Path) -> Desk:
        layout = Layout(root)
        layout.scratch.mkdir(parents=True)
        desk = Desk(layout)
        done = desk.done("d", context="old-0-0-0")
        desk.write(HEADER, desk.done("x", context="old"), desk.done("y", context="old"), done)
        desk.write(Result(id="b", status="pending", path="b.wav"))
        desk.damage(b'"path":"y.wav"', b'"path":"z.wav"')
        for name in ("a", "b"):
            desk.audio(f"{name}.wav")
        desk.killed(sent("a"), sent("d", 32, "run-3"))
        return desk

    whole = begin(tmp_path / "whole")
    whole.mend()
    expected = {row_id: whole.last(row_id).status for row_id in "abdxy"}
    assert expected == {"a": "pending", "b": "pending", "d": "done", "x": "done", "y": "pending"}
    for number in range(60):
        desk = begin(tmp_path / f"{number}")
        was_killed = True
        with monkeypatch.context() as patched:
            ledger = Ledger.open(desk.layout.ledger)
            kill_at(number, patched)
            try:
                put_in_order(ledger, desk.layout)
                was_killed = False
            except Killed:
                pass
        desk.mend()
        assert desk.spent() == whole.spent()
        assert {row_id: desk.last(row_id).status for row_id in "abdxy"} == expected
        audio = sorted(path.name for path in desk.layout.root.glob("*.wav"))
        assert audio == ["d.wav", "x.wav", "y.wav"]
        if not was_killed:
            ledger.close()
            assert number > 8
            return
    raise AssertionError("it never came to its end")


# Lines that are damaged


def test_what_a_damaged_line_told_of_is_to_be_done_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.write(desk.done("a"), desk.done("b"), desk.done("c"))
    desk.damage(b'"path":"b.wav"', b'"path":"c.wav"')
    caplog.set_level(logging.WARNING)
    memory = desk.mend()
    assert [it.id for it in memory.damaged] == ["b"]
    assert desk.last("b") == Result(id="b", status="pending")
    assert (desk.last("a").status, desk.last("c").status) == ("done", "done")
    [told] = caplog.messages
    assert "1 damaged lines (the first is line 3)" in told
    assert b'"path":"c.wav"' in desk.layout.damaged.read_bytes()
    assert desk.mend().damaged == []


def test_an_older_line_about_a_row_does_not_come_to_count_again(desk: Desk) -> None:
    """What it tells of may have been replaced by what the damaged line told of."""
    desk.write(desk.done("a"), Result(id="a", status="pending", path="a.wav"))
    desk.damage(b'"status":"pending"', b'"status":"pendinG"')
    desk.mend()
    assert desk.last("a").status == "pending"


def test_a_file_that_is_no_ledger_is_not_mended(desk: Desk) -> None:
    desk.layout.ledger.write_bytes(b"my own notes\nand others\n")
    with pytest.raises(LedgerBroken, match="no line of it was written by this batchtts") as refused:
        desk.mend()
    assert refused.value.hint == "name another output directory, or move the file away"
    assert desk.layout.ledger.read_bytes() == b"my own notes\nand others\n"
    assert not desk.layout.damaged.exists()


@pytest.mark.parametrize("byte", range(0x80, 0x100, 16))
def test_whatever_has_become_of_an_id_the_line_is_taken_out(desk: Desk, byte: int) -> None:
    desk.write(desk.done("abc"), desk.done("d"))
    desk.damage(b'{"id":"abc"', b'{"id":"a%bc"' % bytes([byte]))
    memory = desk.mend()
    assert [it.id for it in memory.damaged] == [None]
    assert memory.past.find(np.array([hash("abc"), hash("d")])).tolist() == [-1, 0]


# Files that are not what they were


def test_a_file_that_is_as_it_was_is_not_read(desk: Desk) -> None:
    desk.write(desk.done("a"))
    path = desk.layout.root / "a.wav"
    times = path.stat()
    path.write_bytes(SOUND.swapcase())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert desk.lost() == ([], [])
    assert desk.lost(thorough=True) == (["a"], [])


def test_a_file_that_was_touched_is_read_and_its_line_renewed(desk: Desk) -> None:
    done = desk.done("a", characters_sent=16, cost_usd=2.0, attempts=1)
    desk.write(done, desk.done("b"))
    os.utime(desk.layout.root / "a.wav", ns=(5, 5))
    renewed = msgspec.structs.replace(done, mtime_ns=5, characters_sent=0, cost_usd=0.0)
    assert desk.lost() == ([], [renewed])
    desk.write(renewed)
    assert desk.lost() == ([], [])
    assert desk.spent()["a"] == (16, 2.0)


def test_a_renewed_line_of_a_model_without_a_price_knows_no_cost(desk: Desk) -> None:
    desk.write(desk.done("a", attempts=1, characters_sent=16, cost_usd=None))
    os.utime(desk.layout.root / "a.wav", ns=(5, 5))
    _, [renewed] = desk.lost()
    assert (renewed.characters_sent, renewed.cost_usd) == (0, None)
    desk.write(renewed)
    [(characters, cost_usd)] = desk.spent().values()
    assert characters == 16
    assert math.isnan(cost_usd)


def test_a_line_without_the_time_of_its_file_gets_one(desk: Desk) -> None:
    done = msgspec.structs.replace(desk.done("a"), mtime_ns=None)
    desk.write(done)
    lost, [renewed] = desk.lost()
    assert (lost, renewed.mtime_ns) == ([], (desk.layout.root / "a.wav").stat().st_mtime_ns)


@pytest.mark.parametrize("content", [SOUND[:-1], SOUND + b"!", SOUND.swapcase(), b"", None])
def test_a_file_that_was_changed_is_lost(desk: Desk, content: bytes | None) -> None:
    desk.write(desk.done("a"), desk.done("b"))
    path = desk.layout.root / "b.wav"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        os.utime(path, ns=(5, 5))
    assert desk.lost() == (["b"], [])
    assert desk.lost(thorough=True)[0] == ["b"]


def test_lost_and_touched_files_are_told_apart(desk: Desk) -> None:
    desk.write(*(desk.done(row_id) for row_id in "abcdef"))
    for name in "bdf":
        os.utime(desk.layout.root / f"{name}.wav", ns=(5, 5))
    (desk.layout.root / "d.wav").write_bytes(SOUND.swapcase())
    (desk.layout.root / "e.wav").unlink()
    lost, renewed = desk.lost()
    assert (lost, [it.id for it in renewed]) == (["d", "e"], ["b", "f"])


@pytest.mark.parametrize("is_folded", [False, True], ids=["lines", "snapshot"])
def test_lost_audio_is_found_in_whatever_order_it_is_looked_for(
    desk: Desk, is_folded: bool
) -> None:
    desk.write(*(desk.done(name) for name in "abcd"))
    if is_folded:
        with Ledger.open(desk.layout.ledger) as ledger:
            ledger.fold(HEADER, recall(ledger).past.in_order())
    desk.write(desk.done("e"), desk.done("f"))
    (desk.layout.root / "a.wav").unlink()
    (desk.layout.root / "b.wav").write_bytes(SOUND + b"and more")
    os.utime(desk.layout.root / "c.wav", ns=(5, 5))
    (desk.layout.root / "e.wav").unlink()
    (desk.layout.root / "f.wav").write_bytes(SOUND.swapcase())
    for backwards in (False, True):
        lost, renewed = desk.lost(backwards=backwards)
        assert sorted(lost) == ["a", "b", "e", "f"]
        assert [it.id for it in renewed] == ["c"]


def test_the_names_of_all_files_are_remembered_and_whose_they_are(desk: Desk) -> None:
    told = [
        Result(id="a", status="done", path="wav/0f/Ahab~1.v2.wav"),
        Result(id="b", status="failed"),
    ]
    desk.write(HEADER, *told)
    with Ledger.open(desk.layout.ledger) as ledger:
        ledger.fold(HEADER, recall(ledger).past.in_order())
        ledger.append([HEADER, Result(id="c", status="pending", path="C.flac")])
        stems, owners = recall(ledger).names()
    assert stems.tolist() == [hash("ahab~1.v2"), hash("c")]
    assert owners.tolist() == [hash("a"), hash("c")]
    assert [it.tolist() for it in recall(None).names()] == [[], []]


def test_a_result_without_a_file_is_not_whole(desk: Desk) -> None:
    assert is_whole(desk.done("a"), desk.layout.root)
    assert not is_whole(Result(id="a", status="done"), desk.layout.root)
    assert not is_whole(msgspec.structs.replace(desk.done("a"), path="b.wav"), desk.layout.root)


def test_a_long_ledger_that_was_folded_is_mended_as_well(desk: Desk) -> None:
    desk.write(Result(id="b", status="pending", path="b.wav"), desk.done("a", context="run-0-0-0"))
    gone = desk.audio("b.wav")
    with Ledger.open(desk.layout.ledger) as ledger:
        past = recall(ledger).past
        order = np.argsort(past.addresses)
        ledger.fold(HEADER, [(int(past.addresses[at]), 0, 0.0) for at in order])
    desk.killed(sent("a", 16, "run-0"), sent("b", 32, "run-1"))
    desk.mend()
    assert not gone.exists()
    assert desk.spent() == {"b": (32, 4.0), "a": (0, 0.0)} or desk.spent() == {
        "a": (0, 0.0),
        "b": (32, 4.0),
    }
    assert begun.left(desk.layout.begun) != []  # it is cleared when the run begins to send
