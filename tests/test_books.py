"""What a run writes down, and in which order: killed at any durable step, it has not lied."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from batchtts.errors import Exit, OutputBroken, QuotaExhausted, RunError, Unauthorized
from batchtts.job.settings import load
from batchtts.model import Result
from batchtts.record import begun, disk
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Header
from batchtts.record.store import Layout
from batchtts.run import books
from batchtts.run.job import run
from batchtts.run.memory import recall
from batchtts.run.notes import Notes
from batchtts.run.reading import Part
from batchtts.run.summary import Summary
from batchtts.run.worker import Worker
from batchtts.wire.session import Session
from tests.e2e import (
    LINGER_S,
    Server,
    ask,
    audio_files,
    by_id,
    ledger,
    results,
    serving,
    untrue_lines,
    write_csv,
)

SCRIPTS = {"a": "Call me Ishmael.", "b": "Some years ago.", "c": "Never mind how long."}
STEPS = ("sync", "rename", "link", "remove")

# Who is killed closes no file; here, the process lives on and complains.
killing = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


T = TypeVar("T")


class Killed(BaseException):
    """Nothing runs any more, not even what cleans up."""


class Desk:
    """A manifest, its output directory, and who speaks."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root = root
        self.server = server
        self.rows = dict(SCRIPTS)
        self._written: dict[str, str] = {}

    @property
    def out(self) -> Path:
        return self.root / "m"

    def write(self) -> None:
        """Write the manifest, if it is another one."""
        if self.rows != self._written:
            write_csv(self.root / "m.csv", self.rows)
            self._written = dict(self.rows)

    def run(self, **flags: object) -> Summary:
        """Do what the command does, in this process."""
        self.write()
        told = {"provider": "local", "voice": "tone", "endpoint": self.server.url, "workers": 1}
        return run(load(self.root / "m.csv", told | flags), environment={"TOGETHER_API_KEY": "any"})

    def texts(self) -> list[str]:
        return self.server.texts()

    def statuses(self) -> Mapping[str, str]:
        found: dict[str, str] = by_id(self.out, "status")
        return found

    def check(self) -> None:
        """All is done, and nothing lies about that should not."""
        assert self.statuses() == dict.fromkeys(self.rows, "done")
        assert untrue_lines(self.out) == []
        wanted = {row["path"] for row in results(self.out)}
        assert wanted <= audio_files(self.out)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, server: Server) -> Desk:
    server.news()
    return Desk(tmp_path, server)


@contextmanager
def dying(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the process die at the durable step of this number, and do none after it."""
    taken: list[str] = []

    def watched(name: str, step: Callable[..., T]) -> Callable[..., T]:
        def take(*told: object) -> T:
            if len(taken) == number:
                raise Killed
            taken.append(name)
            return step(*told)

        return take

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(disk, name, watched(name, getattr(disk, name)))
        yield taken


def is_killed(group: BaseException) -> bool:
    """Whether nothing else is told than the kill."""
    if isinstance(group, BaseExceptionGroup):
        return all(map(is_killed, group.exceptions))
    return isinstance(group, Killed)


def kill_everywhere(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None], **flags: object
) -> set[str]:
    """Run after a change, killed at one step after another; look, and run it to its end.

    Returns:
        The texts that were committed by all these runs.
    """
    desk.run()
    change()
    desk.write()
    before = desk.root.with_name(f"{desk.root.name}-before")
    shutil.copytree(desk.root, before)
    desk.server.news()
    committed: set[str] = set()
    for number in range(200):
        shutil.rmtree(desk.root)
        shutil.copytree(before, desk.root)
        was_killed = False
        with dying(number, monkeypatch):
            try:
                desk.run(**flags)
            except BaseException as error:  # told apart in the next line
                if not is_killed(error):
                    raise
                was_killed = True
        assert untrue_lines(desk.out) == [], number
        desk.run(**flags)
        desk.check()
        assert not list(desk.out.rglob("*.part")), number
        committed |= set(desk.texts())
        if not was_killed:
            assert number > 8
            return committed
    raise AssertionError("it never came to its end")


# Killed between any two steps


@killing
def test_a_kill_at_any_step_of_a_first_run_leaves_no_lie(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = kill_everywhere(desk, monkeypatch, lambda: shutil.rmtree(desk.out))
    assert committed == set(SCRIPTS.values())
    assert audio_files(desk.out) == {"wav/a.wav", "wav/b.wav", "wav/c.wav"}


@killing
def test_a_kill_at_any_step_of_replacing_a_row_leaves_no_lie(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = kill_everywhere(desk, monkeypatch, lambda: desk.rows.update(b="Some days ago."))
    assert committed == {"Some days ago."}
    assert audio_files(desk.out) == {"wav/a.wav", "wav/b.wav", "wav/c.wav"}


@killing
def test_a_kill_at_any_step_of_replacing_a_row_by_another_format_leaves_nothing_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    del desk.rows["b"], desk.rows["c"]
    kill_everywhere(desk, monkeypatch, lambda: None, format="flac")
    assert audio_files(desk.out) == {"flac/a.flac"}


@killing
def test_a_kill_at_any_step_of_sharing_leaves_no_lie(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        desk.rows |= {"b": SCRIPTS["a"], "d": SCRIPTS["c"], "e": "Hello.", "f": "Hello."}

    committed = kill_everywhere(desk, monkeypatch, change)
    assert committed == {"Hello."}
    assert audio_files(desk.out) == {f"wav/{row_id}.wav" for row_id in "abcdef"}


@killing
def test_a_kill_at_any_step_of_an_exchange_leaves_no_lie(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row is to have the audio of the one before, which another has taken from it."""

    def change() -> None:
        desk.rows = dict(zip("abc", [SCRIPTS["c"], SCRIPTS["a"], SCRIPTS["b"]], strict=True))

    monkeypatch.setattr(books, "SHARED_AT_ONCE", 1)
    kill_everywhere(desk, monkeypatch, change)
    assert audio_files(desk.out) == {"wav/a.wav", "wav/b.wav", "wav/c.wav"}


@killing
def test_a_kill_at_any_step_of_pruning_leaves_no_lie(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        del desk.rows["b"]

    committed = kill_everywhere(desk, monkeypatch, change, prune=True)
    assert committed == set()
    assert audio_files(desk.out) == {"wav/a.wav", "wav/c.wav"}


# The old audio stays until there is another


def test_a_row_that_is_to_be_replaced_keeps_its_audio_until_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.run()
    path = desk.out / "wav/b.wav"
    old = path.read_bytes()
    seen: list[str] = []
    rename = disk.rename

    def watch(source: Path | str, target: Path | str) -> None:
        if str(target) == str(path):
            seen.append(f"{path.exists()}")
            assert Path(source).read_bytes() != old
        rename(source, target)

    def watch_removal(target: Path | str) -> None:
        if str(target) == str(path):
            seen.append("removed")
            last = [line for line in ledger(desk.out) if line.get("id") == "b"][-1]
            assert (last["status"], last["path"]) == ("pending", "wav/b.wav")
            assert list((desk.out / ".batchtts/tmp").glob("*.part"))
        remove(target)

    remove = disk.remove
    monkeypatch.setattr(disk, "rename", watch)
    monkeypatch.setattr(disk, "remove", watch_removal)
    desk.rows["b"] = "Some days ago."
    desk.run()
    assert seen == ["removed", "False"]
    desk.check()


def test_a_row_that_is_to_be_replaced_and_never_reached_keeps_its_audio(desk: Desk) -> None:
    desk.run()
    desk.texts()
    desk.rows = {row_id: f"{text} Again." for row_id, text in SCRIPTS.items()}
    summary = desk.run(limit=1)
    assert (summary.exit_code, summary.limit, summary.spoken) == (Exit.LIMIT, "limit", 1)
    assert desk.texts() == ["Call me Ishmael. Again."]
    assert desk.statuses() == {"a": "done", "b": "pending", "c": "pending"}
    assert audio_files(desk.out) == {"wav/a.wav", "wav/b.wav", "wav/c.wav"}
    assert untrue_lines(desk.out) == []


def test_a_row_that_cannot_be_spoken_any_more_loses_its_audio(desk: Desk) -> None:
    desk.run()
    desk.rows["b"] = "…"
    assert desk.run().exit_code == Exit.SOME_FAILED
    assert desk.statuses()["b"] == "failed"
    assert audio_files(desk.out) == {"wav/a.wav", "wav/c.wav"}


def test_a_changed_row_that_fails_loses_its_old_audio(desk: Desk, tmp_path: Path) -> None:
    desk.run()
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "silent"\nprobability = 1.0\n')
    desk.rows["b"] = "Some days ago."
    with serving(tmp_path / "log", faults=faults) as unlucky:
        desk.server = unlucky
        assert desk.run(attempts=1).exit_code == Exit.SOME_FAILED
    assert desk.statuses() == {"a": "done", "b": "failed", "c": "done"}
    assert audio_files(desk.out) == {"wav/a.wav", "wav/c.wav"}
    assert untrue_lines(desk.out) == []


# Rows that are gone


def test_audio_of_rows_that_are_gone_stays_unless_it_is_pruned(desk: Desk) -> None:
    desk.run()
    desk.texts()
    del desk.rows["b"]
    desk.run()
    assert (desk.out / "wav/b.wav").exists()
    summary = desk.run(prune=True)
    assert (summary.rows, summary.done, summary.spoken) == (2, 2, 0)
    assert audio_files(desk.out) == {"wav/a.wav", "wav/c.wav"}
    desk.rows = dict(SCRIPTS)
    desk.run()
    assert desk.texts() == ["Some years ago."]


def test_pruning_leaves_audio_that_another_row_shares(desk: Desk) -> None:
    desk.rows = {"a": "Hello.", "b": "Hello.", "c": "Goodbye."}
    desk.run()
    del desk.rows["a"]
    desk.run(prune=True)
    assert audio_files(desk.out) == {"wav/b.wav", "wav/c.wav"}
    desk.check()


@pytest.mark.parametrize("some", [{"sample": 1}, {"again": ("id:xa",)}])
def test_pruning_leaves_audio_that_a_row_may_get_in_another_run(
    desk: Desk, some: Mapping[str, object]
) -> None:
    desk.run()
    desk.texts()
    desk.rows = {f"x{row_id}": script for row_id, script in desk.rows.items()}
    desk.run(prune=True, **some)
    desk.run(prune=True)
    desk.check()
    assert desk.texts() == (["Call me Ishmael."] if "again" in some else [])
    assert audio_files(desk.out) == {"wav/xa.wav", "wav/xb.wav", "wav/xc.wav"}


# Audio that others are to have


def test_no_row_gets_audio_of_the_size_and_time_of_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system with a coarse clock; every row is shared on its own."""
    write_all = disk.write_all

    def write_and_date(descriptor: int, *parts: disk.Buffer) -> None:
        write_all(descriptor, *parts)
        if bytes(parts[0][:4]) == b"RIFF":
            os.utime(descriptor, ns=(10**18, 10**18))

    monkeypatch.setattr(disk, "write_all", write_and_date)
    monkeypatch.setattr(books, "SHARED_AT_ONCE", 1)
    texts = [f"Line number {number}." for number in range(4)]
    desk.rows = {f"{row}": text for row, text in enumerate(texts)}
    desk.run()
    assert len({(desk.out / path).stat().st_size for path in audio_files(desk.out)}) == 1
    desk.texts()
    desk.rows = {f"{row}": text for row, text in enumerate(["A new one.", *texts])}
    desk.run()
    desk.check()
    assert desk.texts() == ["A new one."]


def test_audio_that_two_rows_exchange_is_not_paid_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "SHARED_AT_ONCE", 1)
    desk.run()
    desk.texts()
    desk.rows = dict(zip("abc", [SCRIPTS["c"], SCRIPTS["a"], SCRIPTS["b"]], strict=True))
    desk.run()
    desk.check()
    assert desk.texts() == []


def test_of_rows_with_the_same_audio_one_is_asked_that_has_it(desk: Desk) -> None:
    desk.rows |= {f"d{number}": SCRIPTS["a"] for number in range(20)}
    desk.run()
    for number in range(20):
        del desk.rows[f"d{number}"]
        (desk.out / f"wav/d{number}.wav").unlink()
    desk.rows["e"] = SCRIPTS["a"]
    desk.texts()
    desk.run()
    assert desk.statuses() == dict.fromkeys("abce", "done")
    assert desk.texts() == []


def test_rows_whose_audio_vanished_before_they_had_it_are_no_success(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = disk.link

    def lose(source: Path | str, target: Path | str) -> None:
        (desk.out / "wav/a.wav").unlink()
        link(source, target)

    desk.rows["d"] = SCRIPTS["a"]
    monkeypatch.setattr(disk, "link", lose)
    with pytest.raises(RunError, match=r"^1 rows have no audio: the files that they were"):
        desk.run()
    assert desk.statuses() == {"a": "done", "b": "done", "c": "done", "d": "pending"}
    monkeypatch.undo()
    desk.run()
    desk.check()


# Rows that prove to be cut short


def hear_late(monkeypatch: pytest.MonkeyPatch, row_id: str, after: str) -> None:
    """Let more audio of one row come when another one has been spoken."""
    spoken: dict[str, tuple[Worker, str]] = {}
    remember = Worker._remember

    def remember_and_hear(self: Worker, part: Part, notes: Notes) -> None:
        remember(self, part, notes)
        spoken[part.reading.utterance.id] = self, notes.contexts[-1]
        if part.reading.utterance.id == after:
            worker, context = spoken[row_id]
            worker._take_back(context)

    monkeypatch.setattr(Worker, "_remember", remember_and_hear)


@pytest.mark.parametrize("after", "ca")
def test_a_row_that_is_cut_short_leaves_no_audio(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """It may be known before the row itself is written down; the longest is spoken first."""
    hear_late(monkeypatch, "c", after)
    summary = desk.run()
    assert (summary.exit_code, summary.spoken) == (Exit.SOME_FAILED, 2)
    assert desk.statuses() == {"a": "done", "b": "done", "c": "failed"}
    assert audio_files(desk.out) == {"wav/a.wav", "wav/b.wav"}


def test_a_row_that_is_cut_short_is_told_where_there_is_no_room_for_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_late(monkeypatch, "c", "a")
    write_all = disk.write_all
    written: list[int] = []

    def write_one_file(descriptor: int, *parts: disk.Buffer) -> None:
        if bytes(parts[0][:4]) == b"RIFF":
            written.append(descriptor)
            if len(written) > 1:
                raise OSError(errno.ENOSPC, "full")
        write_all(descriptor, *parts)

    with monkeypatch.context() as patched:
        patched.setattr(disk, "write_all", write_one_file)
        with pytest.raises(OutputBroken):
            desk.run()
    last = [(line["id"], line["status"]) for line in ledger(desk.out) if "id" in line][-1]
    assert last == ("c", "failed")
    assert not (desk.out / "wav/c.wav").exists()
    monkeypatch.undo()
    desk.texts()
    desk.run()
    desk.check()
    assert desk.texts() == sorted(SCRIPTS.values())


# Money


@pytest.mark.parametrize("refusal", [QuotaExhausted, Unauthorized])
def test_a_script_that_the_account_does_not_pay_for_has_cost_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, refusal: type[RunError]
) -> None:
    async def refuse(*_: object) -> None:
        raise refusal("no")

    monkeypatch.setattr(Session, "speak", refuse)
    with pytest.raises(refusal):
        desk.run(provider="together", voice="af_bella")
    assert desk.statuses() == dict.fromkeys(SCRIPTS, "pending")
    assert set(by_id(desk.out, "characters_sent").values()) == {0}


@killing
def test_what_a_killed_run_had_sent_is_told_by_the_next_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    del desk.rows["b"], desk.rows["c"]
    rename = disk.rename

    def die(source: Path | str, target: Path | str) -> None:
        if str(target).endswith(".wav"):
            raise Killed
        rename(source, target)

    for killed in range(1, 3):
        with monkeypatch.context() as patched:
            patched.setattr(disk, "rename", die)
            with pytest.raises(BaseExceptionGroup) as raised:
                desk.run()
            assert is_killed(raised.value)
        assert [it.characters_sent for it in begun.left(Layout(desk.out).begun)] == [16]
        assert killed  # each of them had sent the script once
    summary = desk.run()
    assert summary.characters_sent == 16
    assert by_id(desk.out, "characters_sent") == {"a": 3 * 16}
    assert begun.left(Layout(desk.out).begun) == []
    desk.run()
    assert by_id(desk.out, "characters_sent") == {"a": 3 * 16}


def test_a_row_that_is_spoken_again_has_cost_all_that_was_sent(desk: Desk) -> None:
    desk.run()
    desk.run(again=("a",))
    assert by_id(desk.out, "characters_sent") == {"a": 32, "b": 15, "c": 20}
    desk.run(snapshot_bytes=1)
    assert by_id(desk.out, "characters_sent") == {"a": 32, "b": 15, "c": 20}
    desk.run(again=("a",))
    assert by_id(desk.out, "characters_sent") == {"a": 48, "b": 15, "c": 20}


def test_a_folded_ledger_costs_nothing_and_leaves_the_results_alone(desk: Desk) -> None:
    desk.run()
    desk.texts()
    before = (desk.out / "results.parquet").stat()
    for _ in range(3):
        assert desk.run(snapshot_bytes=1).spoken == 0
    after = (desk.out / "results.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert desk.texts() == []
    with Ledger.peek(desk.out / "ledger.jsonl") as told:
        assert told.folded_rows == 3
        assert len(recall(told).past.addresses) == 3


def test_a_row_taken_from_a_folded_ledger_is_replaced_as_any_other(desk: Desk) -> None:
    desk.run(snapshot_bytes=1)
    desk.texts()
    desk.rows["b"] = "Some days ago."
    (desk.out / "wav/c.wav").unlink()
    desk.run(snapshot_bytes=1)
    assert desk.texts() == ["Never mind how long.", "Some days ago."]
    desk.rows["b"] = SCRIPTS["b"]
    assert desk.run().spoken == 1
    assert desk.statuses() == dict.fromkeys(SCRIPTS, "done")


def test_a_run_keeps_within_its_budget_and_the_next_goes_on(desk: Desk) -> None:
    paid = {"provider": "together", "voice": "af_heart", "max_cost_usd": 33 * 4e-6}
    paid |= {"options": {"linger_s": LINGER_S}}
    summary = desk.run(**paid)
    assert (summary.exit_code, summary.limit) == (Exit.LIMIT, "max_cost_usd")
    assert (summary.done, summary.pending, summary.failed) == (2, 1, 0)
    assert summary.characters_sent == 31
    assert summary.spent_usd == pytest.approx(31 * 4e-6)
    assert desk.statuses() == {"a": "done", "b": "done", "c": "pending"}
    assert desk.texts() == ["Call me Ishmael.", "Some years ago."]
    summary = desk.run(**paid)
    assert (summary.exit_code, summary.limit, summary.spoken) == (Exit.DONE, None, 1)
    assert summary.cost_usd == pytest.approx(51 * 4e-6)
    assert desk.texts() == ["Never mind how long."]


@pytest.mark.parametrize("is_folded", [False, True])
def test_the_status_of_a_job_has_the_cost_of_all_its_runs(tmp_path: Path, is_folded: bool) -> None:
    header = Header(ledger=VERSION, manifest="/books/m.csv")
    with Ledger.open(tmp_path / "ledger.jsonl") as told:
        failed = Result(id="a", status="failed", attempts=1, characters_sent=9, cost_usd=0.5)
        done = Result(id="a", status="done", attempts=1, characters_sent=3, cost_usd=0.25)
        addresses = told.append([header, failed, done])
        if is_folded:
            told.fold(header, [(addresses[-1], 12, 0.75)])
    answer = ask("status", tmp_path, "--json", here=tmp_path)
    assert json.loads(answer.out)["cost_usd"] == 0.75
