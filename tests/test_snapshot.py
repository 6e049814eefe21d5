"""A ledger that is folded, and whatever happens to it and to its snapshot."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.errors import LedgerBroken, OutputBroken
from batchtts.job.plan import Past
from batchtts.model import Result, Status
from batchtts.record import disk, snapshot
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Covered, Damaged, Header, encode
from batchtts.run.memory import recall
from tests.entries import told_by

HEADER = Header(ledger=VERSION, manifest="/books/moby-dick.csv", batchtts="0.1.0", created_at=1.0)

#: Every step after which a kill finds something else on the disk.
STEPS = ("create", "write_all", "sync", "rename", "sync_directory", "open_to_append", "remove")

Told = list[tuple[str, Status]]

told_lines = st.lists(
    st.tuples(st.sampled_from(["a", "b", "ß", "d"]), st.sampled_from(["done", "failed", "pending"]))
)


T = TypeVar("T")


class Killed(BaseException):
    """Nothing runs any more, not even what cleans up after an error."""


def result(row_id: str, status: Status = "done", number: int = 0) -> Result:
    return Result(
        id=row_id,
        status=status,
        fingerprint=f"{number:032x}",
        path=f"wav/{row_id}.wav" if status == "done" else None,
        bytes=number if status == "done" else None,
        mtime_ns=number << 40 if status == "done" else None,
        characters_sent=number,
        cost_usd=number / 8,
        error_message="„…“" if status == "failed" else None,
    )


def fold(ledger: Ledger, head: Header = HEADER) -> None:
    """What a run does when its ledger has grown long."""
    past = recall(ledger).past
    order = np.argsort(past.addresses)
    columns = (past.addresses, past.characters_sent, past.costs_usd)
    ledger.fold(head, zip(*(column[order].tolist() for column in columns), strict=True))


Memory = dict[int, tuple[Result | None, int, float]]


def memory(ledger: Ledger) -> Memory:
    """What counts of each id: its last line, and what was spent in all."""
    past: Past = recall(ledger).past
    results = ledger.results(past.addresses.tolist())
    spent = zip(past.characters_sent.tolist(), past.costs_usd.tolist(), strict=True)
    return {
        row: (found, *money)
        for row, found, money in zip(past.id_hashes.tolist(), results, spent, strict=True)
    }


def remembered(told: list[Result]) -> Memory:
    """The same, as a dictionary has it."""
    found: Memory = {}
    for each in told:
        _, characters, cost_usd = found.get(hash(each.id), (None, 0, 0.0))
        spent = (characters + each.characters_sent, cost_usd + (each.cost_usd or 0.0))
        found[hash(each.id)] = (each, *spent)
    return found


def opened(path: Path) -> Memory:
    with Ledger.open(path) as ledger:
        return memory(ledger)


def beside(path: Path) -> list[str]:
    """What lies in the folder of a ledger."""
    return sorted(each.name for each in path.parent.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def folded(path: Path) -> Memory:
    """A ledger with a snapshot of three ids, and two lines after it."""
    told = [result("a", "failed", 1), result("b", "done", 2), result("a", "done", 3)]
    more = [result("c", "failed", 4), result("b", "pending", 5)]
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, *told])
        fold(ledger)
        ledger.append(more)
    return remembered([*told, *more])


# What a fold keeps


@given(st.lists(told_lines, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_however_often_it_is_folded_a_ledger_tells_the_same(
    tmp_path_factory: pytest.TempPathFactory, parts: list[Told], chance: random.Random
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    every: list[Result] = []
    for part in parts:
        told = [result(*each, len(every) + at) for at, each in enumerate(part)]
        with Ledger.open(path) as ledger:
            ledger.append(told)
            every += told
            mark = ledger.mark
            fold(ledger)
            assert ledger.mark == mark
            assert memory(ledger) == remembered(every)
        with Ledger.open(path) as ledger:
            assert ledger.mark == mark
            assert memory(ledger) == remembered(every)
            addresses = recall(ledger).past.addresses.tolist() * 2 + [-1]
            chance.shuffle(addresses)
            found = dict(zip(addresses, ledger.results(addresses), strict=True))
            assert found == {at: next(iter(ledger.results([at]))) for at in addresses}
    if every:
        assert beside(path) == [f"ledger-{len(parts):06}.parquet", "ledger.jsonl"]


def test_a_mark_grows_by_what_is_added_and_by_nothing_else(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append([HEADER])
        marks = [ledger.mark]
        for number in range(6):
            ledger.append([result("a", "done", number)])
            marks.append(ledger.mark)
            fold(ledger)
            assert ledger.mark == marks[-1]
    lengths = [len(encode(result("a", "done", number))) for number in range(6)]
    assert [after - before for before, after in pairwise(marks)] == lengths


def test_lines_after_a_fold_have_addresses_beyond_it(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, result("a"), result("b")])
        fold(ledger)
        assert ledger.folded_rows == 2
        addresses = ledger.append([result("c"), result("a", "failed")])
        assert min(addresses) > 2
        assert [it.id for it in ledger.results([*addresses, 1, 0]) if it] == ["c", "a", "b", "a"]
        assert [address for address, _ in told_by(ledger)][-2:] == addresses


def test_more_rows_than_are_read_at_once_come_back_in_any_order(path: Path) -> None:
    count = snapshot.GROUP_ROWS * 2 + 5
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, *(result(f"r{n}", "done", n) for n in range(count))])
        fold(ledger)
        wanted = random.Random(1).sample(range(count), count)
        assert [it.id for it in ledger.results(wanted) if it] == [f"r{n}" for n in wanted]
        assert sum(batch.num_rows for batch in ledger.folded()) == count
        assert recall(ledger).past.characters_sent.sum() == count * (count - 1) // 2


def test_what_the_snapshot_has_beside_the_lines_is_what_they_say(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(
            [HEADER, result("a", "done", 3), result("b", "failed", 1), result("a", "done", 4)]
        )
        fold(ledger)
        [batch] = ledger.folded()
    assert batch.to_pydict() == {
        "id": ["b", "a"],
        "status": ["failed", "done"],
        "fingerprint": [0, 0],
        "path": [None, "wav/a.wav"],
        "characters_sent": [1, 7],
        "cost_usd": [0.125, 0.875],
        "bytes": [None, 4],
        "mtime_ns": [None, 4 << 40],
    }


def test_the_manifest_is_remembered_through_a_fold(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, result("a")])
        fold(ledger, msgspec.structs.replace(HEADER, manifest="/moved.csv"))
    with Ledger.open(path) as ledger:
        assert recall(ledger).manifest == "/moved.csv"


# Killed while it is folded


def killing_at(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the process die at the durable step of this number, from 0; return those done."""
    taken: list[str] = []

    def dying(name: str, step: Callable[..., T]) -> Callable[..., T]:
        def take(*arguments: object) -> T:
            if len(taken) == number:
                raise Killed
            taken.append(name)
            return step(*arguments)

        return take

    for name in STEPS:
        monkeypatch.setattr(disk, name, dying(name, getattr(disk, name)))
    return taken


def is_killed(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[Ledger], None]
) -> bool:
    """Open a ledger and do something; die at a step; say whether it came to that."""
    ledger = Ledger.open(path)
    with monkeypatch.context() as patched:
        killing_at(number, patched)
        try:
            work(ledger)
        except Killed:
            with suppress(OSError):  # it may have been between two descriptors
                ledger.close()
            return True
    ledger.close()
    return False


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_kill_at_any_step_of_a_fold_loses_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folded: bool
) -> None:
    told = [result("a", "failed", 1), result("b", "done", 2), result("a", "done", 3)]
    before = tmp_path / "before"
    before.mkdir()
    with Ledger.open(before / "ledger.jsonl") as ledger:
        ledger.append([HEADER, *told])
        if is_folded:
            fold(ledger)
        ledger.append([result("c", "done", 4)])
        mark = ledger.mark
    expected = remembered([*told, result("c", "done", 4)])
    for number in range(100):
        path = tmp_path / f"{number}" / "ledger.jsonl"
        shutil.copytree(before, path.parent)
        was_killed = is_killed(path, number, monkeypatch, fold)
        assert opened(path) == expected
        with Ledger.open(path) as ledger:
            assert ledger.mark == mark
            name = ledger.head.snapshot.name if ledger.head and ledger.head.snapshot else None
        found = [each for each in beside(path) if each.endswith(".parquet")]
        assert found == ([name] if name else [])
        if not was_killed:
            assert number > 8
            return
    raise AssertionError("it never came to its end")


def test_what_a_killed_fold_had_begun_is_not_in_the_way_of_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, result("a"), result("b")])
    expected = opened(path)
    for number in range(20):
        is_killed(path, number, monkeypatch, fold)
        assert opened(path) == expected
    with Ledger.open(path) as ledger:
        fold(ledger)
    assert opened(path) == expected


@pytest.mark.parametrize("step", ["create", "write_all", "sync", "rename"])
def test_a_fold_that_fails_leaves_the_ledger_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Ledger.open(path) as ledger:
        ledger.append([HEADER, result("a"), result("b")])
        mark, before, content = ledger.mark, memory(ledger), path.read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(disk, step, full)
            with pytest.raises(OutputBroken, match="no space left"):
                fold(ledger)
        assert path.read_bytes() == content
        assert (ledger.mark, memory(ledger)) == (mark, before)
        [address] = ledger.append([result("c")])
        assert list(ledger.results([address])) == [result("c")]


def test_a_fold_that_fails_half_way_leaves_the_ledger_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        if target == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.replace(source, target)  # noqa: PTH105

    with Ledger.open(path) as ledger:
        ledger.append([HEADER, result("a"), result("b")])
        mark, before = ledger.mark, memory(ledger)
        with monkeypatch.context() as patched:
            patched.setattr(disk, "rename", refuse)
            with pytest.raises(OutputBroken):
                fold(ledger)
        assert (ledger.mark, memory(ledger)) == (mark, before)
    assert opened(path) == before
    assert [name for name in beside(path) if name.endswith(".parquet")] == []


# Damaged


def test_the_first_line_is_there_twice(path: Path, folded: Memory) -> None:
    first, second, *others = path.read_bytes().splitlines(keepends=True)
    assert first == second
    assert len(others) == 2


def test_whatever_byte_of_its_first_lines_is_changed_a_ledger_keeps_its_snapshot(
    path: Path, folded: Memory
) -> None:
    whole = path.read_bytes()
    end = whole.index(b"\n")
    for at in {*range(0, 2 * end, 5), end - 1, end, end + 1, 2 * end}:
        for byte in (whole[at] ^ 1, 10, 13):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            Ledger.open(path).close()
            assert "ledger-000001.parquet" in beside(path), (at, byte)
            with Ledger.open(path) as ledger:
                ledger.heal(path.with_name("damaged"))
                assert memory(ledger) == folded, (at, byte)


def test_a_second_line_that_is_one_with_the_third_takes_that_one_with_it(
    path: Path, folded: Memory
) -> None:
    told = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([told[0], told[1][:-1], *told[2:]]))
    with Ledger.open(path) as ledger:
        assert memory(ledger).keys() == folded.keys() - {hash("c")}


@pytest.mark.parametrize("at", [0, 1])
def test_one_of_the_first_lines_is_enough(path: Path, folded: Memory, at: int) -> None:
    told = path.read_bytes().splitlines(keepends=True)
    told[at] = b"#" + told[at][1:]
    path.write_bytes(b"".join(told))
    with Ledger.open(path) as ledger:
        assert memory(ledger) == folded
        ledger.heal(path.with_name("damaged"))
        assert memory(ledger) == folded
    first, second, *_ = path.read_bytes().splitlines(keepends=True)
    assert first == second == told[1 - at]


@given(st.data())
@settings(max_examples=60)
def test_healing_takes_out_what_is_damaged_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    is_folded = data.draw(st.booleans())
    with Ledger.open(path) as ledger:
        ledger.append([HEADER, result("old", "done", 9)])
        if is_folded:
            fold(ledger)
        ledger.append([result(f"r{n}", "done", n) for n in range(6)])
    told = path.read_bytes().splitlines(keepends=True)
    bad = data.draw(st.sets(st.integers(2 if is_folded else 1, len(told) - 1)))
    for at in bad:
        place = data.draw(st.integers(0, len(told[at]) - 2))
        told[at] = told[at][:place] + b"\xff" + told[at][place + 1 :]
    path.write_bytes(b"".join(told))
    with Ledger.open(path) as ledger:
        mark = ledger.mark
        ledger.heal(path.with_name("damaged"))
        assert not [entry for _, entry in told_by(ledger) if isinstance(entry, Damaged)]
        assert mark - ledger.mark == sum(len(told[at]) for at in bad)
        ledger.append([result("new")])
    assert path.read_bytes() == b"".join(
        [*(line for at, line in enumerate(told) if at not in bad), encode(result("new"))]
    )
    assert path.with_name("damaged").read_bytes() == b"".join(told[at] for at in sorted(bad))


def test_a_kill_at_any_step_of_healing_loses_no_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    with Ledger.open(before / "ledger.jsonl") as ledger:
        ledger.append([HEADER, result("a")])
        fold(ledger)
        ledger.append([result("b"), result("c"), result("d")])
    content = (before / "ledger.jsonl").read_bytes().replace(b'"id":"c"', b'"id":"x"')
    (before / "ledger.jsonl").write_bytes(content)
    expected = remembered([result("a"), result("b"), result("d")])
    for number in range(30):
        path = tmp_path / f"{number}" / "ledger.jsonl"
        shutil.copytree(before, path.parent)
        bad = path.with_name("damaged")
        was_killed = is_killed(path, number, monkeypatch, lambda it, bad=bad: it.heal(bad))  # type: ignore[misc]
        assert opened(path) == expected
        if not was_killed:
            assert number > 5
            return
    raise AssertionError("it never came to its end")


def test_a_ledger_that_lost_all_its_lines_takes_up_its_snapshot(path: Path, folded: Memory) -> None:
    path.write_bytes(b"")
    kept = remembered([result("a", "failed", 1), result("b", "done", 2), result("a", "done", 3)])
    assert opened(path) == kept
    first, second = path.read_bytes().splitlines(keepends=True)
    assert first == second
    assert opened(path) == kept
    path.unlink()
    assert opened(path) == kept


def test_a_look_at_a_ledger_that_lost_all_its_lines_changes_nothing(
    path: Path, folded: Memory
) -> None:
    path.write_bytes(b"")
    with Ledger.peek(path) as ledger:
        assert len(memory(ledger)) == 2
    assert path.read_bytes() == b""


@pytest.mark.parametrize("how", ["gone", "shorter", "other"])
def test_a_snapshot_that_is_not_what_it_was_is_told_with_the_way_out(
    path: Path, folded: Memory, how: str
) -> None:
    held = path.with_name("ledger-000001.parquet")
    whole = held.read_bytes()
    if how == "gone":
        held.unlink()
    else:
        held.write_bytes(whole[:-1] if how == "shorter" else bytes(len(whole)))
    for look in (Ledger.open, Ledger.peek):
        with pytest.raises(LedgerBroken, match=r"ledger-000001\.parquet: ") as refused:
            look(path)
        assert refused.value.hint == snapshot.HINT


def test_a_byte_that_is_changed_anywhere_in_a_snapshot_tells_no_lie(
    path: Path, folded: Memory
) -> None:
    held = path.with_name("ledger-000001.parquet")
    whole = held.read_bytes()
    for at in range(0, len(whole), 1):
        held.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found, hint = folded, snapshot.HINT
        try:
            found = opened(path)
        except LedgerBroken as refused:
            hint = f"{refused.hint}"
        assert (found, hint) == (folded, snapshot.HINT)


# Looked at while somebody writes


def test_a_look_is_not_disturbed_by_a_fold(path: Path, folded: Memory) -> None:
    with Ledger.peek(path) as reader, Ledger.open(path) as writer:
        writer.append([result("d")])
        fold(writer)
        writer.append([result("e")])
        assert len(list(islice(told_by(reader), 99))) == 4
        assert memory(reader) == folded


def test_a_fold_between_the_first_look_and_the_second_is_no_damage(
    path: Path, folded: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot that the first line named is gone by the time that it is opened."""
    real = snapshot.Snapshot.open
    folds = [True]

    def open_late(directory: Path, covered: Covered) -> snapshot.Snapshot:
        if folds:
            folds.clear()
            with Ledger.open(path) as writer:
                fold(writer)
        return real(directory, covered)

    monkeypatch.setattr(snapshot.Snapshot, "open", open_late)
    with Ledger.peek(path) as reader:
        assert memory(reader) == folded
