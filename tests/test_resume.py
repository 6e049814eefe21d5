"""What a run leaves for the next one is as good as reading everything, or is not used."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st

from batchtts.audit.audit import Audit
from batchtts.job.manifest import Batch
from batchtts.job.plan import CHANGED, DONE, FAILED, NEW
from batchtts.job.settings import Job, load
from batchtts.job.speaker import Speaker, choose_speaker
from batchtts.model import Result, Take, Utterance
from batchtts.record import disk, standing
from batchtts.record.begun import Sent, take_of
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION as LEDGER_VERSION
from batchtts.record.lines import Header
from batchtts.record.standing import Standing, StandingBroken
from batchtts.record.store import Layout
from batchtts.run import outset, resume
from batchtts.run import work as work_module
from batchtts.run.agenda import Agenda
from batchtts.run.job import run
from batchtts.run.memory import recall
from batchtts.run.notes import unspoken
from batchtts.run.outset import preview_of
from batchtts.run.speech import Speech
from batchtts.run.summary import Summary
from batchtts.wire import registry

#: What makes a row fail, in these tests.
FAILS = "This one fails."
STEPS = ("sync", "rename", "remove", "truncate")


class Killed(BaseException):
    """Nothing runs any more."""


@dataclass(slots=True)
class Instant(Speech):
    """Speaks without a provider: a script is so many samples; some fail."""

    def speak(self) -> None:
        for utterances in self.agenda.batches():
            for utterance in utterances:
                trio.run(self._speak_one, utterance)

    async def _speak_one(self, utterance: Utterance) -> None:
        name, characters = self.speaker.provider.name, len(utterance.script)
        cost_usd = self.speaker.provider.cost_usd(utterance.voice.model, characters)
        take = take_of(self.books.name, utterance.row)
        sent = Sent(
            take=take,
            id=utterance.id,
            path=self.books.store.path_of(utterance.id),
            characters_sent=characters,
            cost_usd=cost_usd,
            provider=name,
            model=utterance.voice.model,
        )
        self.books.begun.note([sent])
        failed = utterance.script == FAILS
        result = msgspec.structs.replace(
            unspoken(utterance, name),
            status="failed" if failed else "done",
            context=f"{take}-0-0",
            characters_sent=characters,
            cost_usd=cost_usd,
            finished_at=1_700_000_000.0,
        )
        pcm = b"" if failed else bytes(2 * (1 + characters))
        await self.books.record(
            [Take(utterance=utterance, pcm=pcm, sample_rate_hz=24_000, result=result)], []
        )


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """A few rows are treated as many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work_module, "Speech", Instant)
        patch.setattr(work_module, "FEWEST_ROWS", 1)
        patch.setattr(standing, "SETTLED_S", -1e9)
        yield


@contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Kill at so many durable steps from here."""
    steps: dict[str, Callable[..., object]] = {name: getattr(disk, name) for name in STEPS}
    taken = 0

    def counted(name: str) -> Callable[..., object]:
        def step(*arguments: object) -> object:
            nonlocal taken
            taken += 1
            if taken >= number:
                raise Killed
            return steps[name](*arguments)

        return step

    for name in STEPS:
        setattr(disk, name, counted(name))
    try:
        with suppress(Killed):
            yield
    finally:
        for name, step in steps.items():
            setattr(disk, name, step)


@dataclass
class Desk:
    """A manifest, its output directory, and what is asked for."""

    root: Path
    rows: dict[str, str]
    flags: dict[str, Any] = field(default_factory=dict)
    columns: str = "id,text"
    edits: int = 0
    _written: object = None

    @property
    def layout(self) -> Layout:
        return Layout(self.root / "out")

    def job(self, **flags: object) -> Job:
        path = self.root / "m.csv"
        if self._written != (self.rows, self.columns):
            lines = [f"{row_id},{text}\n" for row_id, text in self.rows.items()]
            path.write_text("".join([f"{self.columns}\n", *lines]))
            self.edits += 1
            os.utime(path, ns=(self.edits, self.edits))  # no two edits at the same time
            self._written = (dict(self.rows), self.columns)
        told = {"out": self.layout.root, "provider": "local", "voice": "tone"}
        told |= {"endpoint": "ws://127.0.0.1:9", "prices": {"tone": 2.0}}
        return load(path, {**told, **self.flags, **flags})

    def run(self, **flags: object) -> Summary:
        return run(self.job(**flags), environment={})

    def speaker(self, job: Job) -> Speaker:
        return choose_speaker(job, {}, has_hibari=False)

    @property
    def has_standing(self) -> bool:
        found = Standing.open(self.layout.standing)
        if found is not None:
            found.close()
        return found is not None

    def takes_up(self, **flags: object) -> bool:
        """Whether the next run would not read everything."""
        job = self.job(**flags)
        with Ledger.peek(self.layout.ledger) as ledger:
            return (
                resume.resume(job, self.speaker(job), ledger, self.layout, mends=False) is not None
            )

    def plan(self, **flags: object) -> dict[str, Any]:
        """What the next run would do, in words."""
        job = self.job(**flags)
        with Ledger.peek(self.layout.ledger) as ledger:
            return spell(preview_of(job, self.speaker(job), ledger, self.layout), ledger)

    def slow_plan(self, **flags: object) -> dict[str, Any]:
        """The same, from reading everything."""
        aside = self.root / "aside"
        if self.layout.standing.exists():
            self.layout.standing.rename(aside)
        try:
            return self.plan(**flags)
        finally:
            if aside.exists():
                aside.rename(self.layout.standing)

    def findings(self) -> list[str]:
        """What is not as it should be; the audio of rows that are gone is nobody's business."""
        found = Audit(self.layout).findings()
        return [f"{it}" for it in found if it.row_id is None or it.row_id in self.rows]

    def audio(self, row_id: str) -> Path:
        return self.layout.root / "wav" / f"{row_id}.wav"


def spell(agenda: Agenda, ledger: Ledger) -> dict[str, Any]:
    """All that a plan says, by ids."""
    ids = [row_id for batch in _considered(agenda) for row_id in batch.ids]
    told = list(ledger.results(agenda.shared.addresses.tolist()))
    return {
        "kinds": [agenda.count(kind) for kind in (NEW, CHANGED, FAILED, DONE)],
        "gone": agenda.plan.gone.tolist(),
        "speak": [it for batch in agenda.batches() for it in named(batch)],
        "refused": [it for batch in agenda.refusals() for it in named(batch)],
        "changed": [(it.id, at) for batch in agenda.changed() for it, at in batch],
        "present": [
            (ids[row], it and it.fingerprint)
            for row, it in zip(agenda.shared.present.tolist(), told, strict=True)
        ],
        "awaiting": [ids[row] for row in agenda.shared.awaiting.tolist()],
        "speakers": [ids[row] for row in agenda.shared.speakers.tolist()],
        "left_out": (agenda.left_out, agenda.is_cut, agenda.refused_count),
        "characters": agenda.characters_by_model(),
        "usd": agenda.cost_usd(),
    }


def _considered(agenda: Agenda) -> Iterator[Batch]:
    rows = np.arange(agenda.manifest.rows) if agenda.rows is None else agenda.rows
    return agenda.manifest.pick(rows)


def named(utterances: list[Utterance]) -> list[Utterance]:
    """The same, without their places, which are the run's own."""
    return [replace(it, row=0) for it in utterances]


TEXTS = ["Alpha.", "Bravo speaks.", "Alpha.", FAILS, "...", "Charlie.", "Delta at some length."]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, {f"r{n}": text for n, text in enumerate(TEXTS)})


# ── any history ───────────────────────────────────────────────────────────────

RUNS: dict[str, dict[str, object]] = {
    "run": {},
    "limit": {"limit": 2},
    "fold": {"snapshot_bytes": 1},
    "again": {"again": ("all",)},
    "no dedup": {"dedup": False},
    "prune": {"prune": True},
}
EDITS = ("edit", "add", "remove", "reorder", "speed", "lose", "spoil", "touch")
deeds = st.lists(
    st.tuples(
        st.sampled_from([*RUNS, *EDITS, "kill", "kill and fold", "look later"]), st.integers(0, 60)
    ),
    min_size=2,
    max_size=8,
)


def do(desk: Desk, deed: str, n: int) -> None:
    """Do something to a job, or run it."""
    if deed in RUNS:
        desk.run(**RUNS[deed])
    elif deed == "look later":
        outset.LOOKED_AT_FIRST, before = 0, outset.LOOKED_AT_FIRST
        desk.run()
        outset.LOOKED_AT_FIRST = before
    elif deed.startswith("kill"):
        with killed_at(n + 1):
            desk.run(snapshot_bytes=1 if deed == "kill and fold" else 1 << 20)
    elif deed in ("lose", "spoil", "touch"):
        files = sorted(desk.layout.root.rglob("*.wav"))
        if files:
            spoil(files[n % len(files)], deed)
    else:
        edit(desk, deed, n)


def spoil(path: Path, deed: str) -> None:
    if deed == "lose":
        path.unlink()
    elif deed == "spoil":
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    else:
        path.touch()


def edit(desk: Desk, deed: str, n: int) -> None:
    ids, text = list(desk.rows), TEXTS[n % len(TEXTS)]
    if deed == "edit":
        desk.rows[ids[n % len(ids)]] = text
    elif deed == "add":
        desk.rows[f"r{n}"] = text
    elif deed == "remove" and len(ids) > 1:
        del desk.rows[ids[n % len(ids)]]
    elif deed == "reorder":
        desk.rows = dict(reversed(desk.rows.items()))
    elif deed == "speed":
        desk.flags["speed"] = (1.0, 1.5)[n % 2]


def live(history: list[tuple[str, int]]) -> None:
    """Go through a history; the plan is the same at every point, however it is made."""
    with TemporaryDirectory() as root:
        desk = Desk(Path(root), {f"r{n}": text for n, text in enumerate(TEXTS)})
        desk.run()
        for deed, n in history:
            do(desk, deed, n)
            event(f"{deed}: {'taken up' if desk.takes_up() else 'all read'}")
            assert desk.plan() == desk.slow_plan()
            assert desk.plan(limit=2) == desk.slow_plan(limit=2)
        desk.run()
        assert desk.plan()["speak"] == named_failures(desk)
        assert desk.findings() == []
        assert desk.run().spoken == 0


@settings(deadline=None, max_examples=12)
@given(deeds)
def test_a_job_that_is_taken_up_is_planned_as_if_all_was_read(
    history: list[tuple[str, int]],
) -> None:
    live(history)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(deeds)
def test_many_jobs_that_are_taken_up_are_planned_as_if_all_was_read(
    history: list[tuple[str, int]],
) -> None:
    live(history)


def named_failures(desk: Desk) -> list[Utterance]:
    return [it for it in desk.plan()["speak"] if it.script == FAILS]


# ── when it is trusted, and when not ──────────────────────────────────────────


def test_what_is_done_is_not_even_read(desk: Desk) -> None:
    desk.run()
    assert desk.takes_up()
    job = desk.job()
    with Ledger.peek(desk.layout.ledger) as ledger:
        agenda = preview_of(job, desk.speaker(job), ledger, desk.layout)
    assert agenda.rows is not None
    assert [TEXTS[row] for row in agenda.rows] == [FAILS, "..."]
    assert (agenda.count(DONE), agenda.manifest.rows) == (5, 7)


def test_what_was_done_since_tells_how_long_the_rest_will_take(desk: Desk) -> None:
    desk.run(limit=2)
    was_left = desk.layout.standing.read_bytes()
    desk.run(limit=2)
    desk.layout.standing.write_bytes(was_left)  # as if that run had been killed
    assert desk.takes_up()
    job = desk.job()
    with Ledger.peek(desk.layout.ledger) as ledger:
        past = preview_of(job, desk.speaker(job), ledger, desk.layout).memory.past
        everything = recall(ledger).past
    done = np.sort(everything.addresses[everything.kinds == DONE])
    assert np.sort(past.addresses[past.kinds == DONE]).tolist() == done.tolist()


def test_a_finished_job_leaves_what_was_left(desk: Desk) -> None:
    desk.rows = {"a": "Alpha.", "b": "Bravo."}
    desk.run()
    before = desk.layout.standing.stat()
    assert desk.run().spoken == 0
    assert desk.layout.standing.stat() == before


def touch_manifest(desk: Desk) -> None:
    os.utime(desk.root / "m.csv", ns=(7, 7))


def damage_line(desk: Desk) -> None:
    path = desk.layout.ledger
    path.write_bytes(path.read_bytes().replace(b"Alpha", b"Alpho").replace(b'"r0"', b'"R0"'))


def cut(desk: Desk) -> None:
    path = desk.layout.standing
    path.write_bytes(path.read_bytes()[:-9])


def cut_ledger(desk: Desk) -> None:
    path = desk.layout.ledger
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def flip(desk: Desk) -> None:
    path = desk.layout.standing
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)


def add_line(desk: Desk) -> None:
    """A row that is not in the manifest came to an end."""
    with Ledger.open(desk.layout.ledger) as ledger:
        ledger.append([Result(id="new", status="failed")])


def move(desk: Desk) -> None:
    """Another manifest was spoken into the same directory."""
    with Ledger.open(desk.layout.ledger) as ledger:
        ledger.append([Header(ledger=LEDGER_VERSION, manifest="/elsewhere.csv")])


@pytest.mark.parametrize(
    "happen", [touch_manifest, damage_line, cut, cut_ledger, flip, add_line, move]
)
def test_in_any_doubt_everything_is_read(desk: Desk, happen: Callable[[Desk], None]) -> None:
    desk.run()
    assert desk.takes_up()
    happen(desk)
    assert not desk.takes_up()
    assert desk.plan() == desk.slow_plan()
    desk.run()
    assert desk.findings() == []
    assert desk.takes_up()


@pytest.mark.parametrize(
    "flags",
    [
        {"speed": 1.5},
        {"voice": "pico_us"},
        {"format": "flac"},
        {"sample_rate_hz": 8000},
        {"columns": {"text": "id"}},
        {"again": ("failed",)},
        {"sample": 2},
        {"prune": True},
    ],
)
def test_what_may_concern_every_row_has_all_of_them_read(
    desk: Desk, flags: dict[str, object]
) -> None:
    desk.run()
    assert desk.takes_up()
    assert not desk.takes_up(**flags)


@pytest.mark.parametrize("row_id", ["007", "0", "8", "9" * 5000, "²"])
def test_what_only_looks_like_the_number_of_a_row_is_none(desk: Desk, row_id: str) -> None:
    desk.columns = "code,text"
    desk.run()
    assert desk.takes_up()
    with Ledger.open(desk.layout.ledger) as ledger:
        ledger.append([Result(id=row_id, status="failed")])  # with --column id=code, and a kill
    assert not desk.takes_up()
    assert desk.plan() == desk.slow_plan()


@pytest.mark.parametrize("flags", [{"limit": 1}, {"dedup": False}, {"workers": 3}, {"attempts": 1}])
def test_what_concerns_no_row_that_is_done_changes_nothing(
    desk: Desk, flags: dict[str, object]
) -> None:
    desk.run()
    assert desk.takes_up(**flags)


def test_a_manifest_that_was_only_just_written_may_change_unseen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "SETTLED_S", 3600.0)
    desk.run()
    assert not desk.has_standing


def test_a_manifest_of_a_few_rows_is_simply_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "FEWEST_ROWS", len(TEXTS) + 1)
    desk.run()
    assert not desk.has_standing


def test_files_with_a_new_time_are_read_once(desk: Desk) -> None:
    desk.run()
    desk.audio("r0").touch()
    desk.run()
    size_bytes = desk.layout.ledger.stat().st_size
    desk.run()
    assert desk.takes_up()
    assert desk.layout.ledger.stat().st_size - size_bytes < 1000  # the row that fails, again


def test_names_that_differ_in_case_only_stay_apart(desk: Desk) -> None:
    desk.rows = {"ahab": "Alpha.", "Ahab": "Bravo.", "c": FAILS}
    desk.run()
    assert desk.takes_up()
    for path in desk.layout.root.rglob("Ahab*.wav"):
        path.unlink()
    assert desk.run().spoken == 1
    assert desk.findings() == []
    assert len(list(desk.layout.root.rglob("*.wav"))) == 2


def test_a_disk_without_room_for_it_ends_no_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rename = disk.rename

    def full(source: Path | str, target: Path | str) -> None:
        if "standing" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(disk, "rename", full)
    desk.rows = {"a": "Alpha."}
    assert desk.run().done == 1
    assert "the next run will read and compare all rows" in caplog.text
    assert not desk.has_standing


def test_no_damaged_byte_of_what_was_left_is_believed(desk: Desk) -> None:
    desk.run(limit=3)
    path = desk.layout.standing
    data, truth, read = path.read_bytes(), _all_that(path), 0
    assert truth
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        found = _all_that(path)
        assert found in (None, truth), at
        read += found is not None
    assert read < len(data) / 2


def _all_that(path: Path) -> object:
    """Everything that a standing tells; None if it cannot be read."""
    found = Standing.open(path)
    if found is None:
        return None
    with closing(found), suppress(StandingBroken):
        told = [*found.facts(), *found.some(lambda kinds, prints: True), found.left()]
        return found.seal, [[column.tobytes() for column in it.columns] for it in told]
    return None


def test_a_manifest_that_changes_when_all_is_written_breaks_no_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten = work_module.Work.shorten

    def edited(work: work_module.Work) -> object:
        (desk.root / "m.csv").touch()
        return shorten(work)

    monkeypatch.setattr(work_module.Work, "shorten", edited)
    desk.rows = {"ahab": "Alpha.", "Ahab": "Bravo."}
    assert desk.run().exit_code == 0
    assert not desk.has_standing


def test_a_column_that_was_changed_behind_an_old_time_is_in_the_results(desk: Desk) -> None:
    desk.columns = "id,text,mood"
    desk.rows = {"a": "Alpha.,glad", "b": "Bravo.,glad"}
    desk.run()
    path = desk.root / "m.csv"
    before = path.stat()
    path.write_text(path.read_text().replace("glad", "sad!"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert desk.run().spoken == 0
    assert pq.read_table(desk.layout.results)["mood"].to_pylist() == ["sad!", "sad!"]


# ── a kill at every step ──────────────────────────────────────────────────────


@pytest.mark.parametrize("snapshot_bytes", [1, 1 << 20])
def test_a_job_that_is_taken_up_may_be_killed_at_any_step(
    tmp_path: Path, snapshot_bytes: int
) -> None:
    desk = Desk(tmp_path, {"a": "Alpha.", "b": "Bravo.", "c": "Alpha.", "d": "Delta."})
    desk.run(limit=1)
    shutil.copytree(desk.layout.root, tmp_path / "ready")
    number, is_over = 0, False
    while not is_over:
        number += 1
        shutil.rmtree(desk.layout.root)
        shutil.copytree(tmp_path / "ready", desk.layout.root)
        assert desk.takes_up()
        with killed_at(number):
            desk.run(snapshot_bytes=snapshot_bytes)
            is_over = True
        assert desk.plan() == desk.slow_plan()
        desk.run(snapshot_bytes=snapshot_bytes)
        assert desk.findings() == []
        assert desk.run().spoken == 0
    assert number > 10


# ── many finished files ───────────────────────────────────────────────────────


@pytest.fixture
def many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A job of so many finished rows that what is missing is spoken first."""
    monkeypatch.setattr(outset, "LOOKED_AT_FIRST", 1)
    desk.rows = {"a": "Alpha.", "b": "Bravo.", "c": "Charlie.", "d": "Delta."}
    desk.run(limit=2)
    assert desk.plan()["kinds"] == [2, 0, 0, 2]
    desk.audio("a").unlink()
    return desk


@pytest.mark.parametrize("reads_all", [False, True])
def test_what_was_lost_is_spoken_by_the_same_run(many: Desk, reads_all: bool) -> None:
    if reads_all:
        many.layout.standing.unlink()
    summary = many.run()
    assert (summary.spoken, summary.done, summary.exit_code) == (3, 4, 0)
    assert summary.estimated_usd == summary.spent_usd == pytest.approx(20 * 2e-6)
    assert many.findings() == []
    assert many.run().spoken == 0
    assert many.takes_up()


def test_what_was_lost_gets_the_audio_of_another_row(many: Desk) -> None:
    many.rows["e"] = "Alpha."
    assert many.run(limit=1).spoken == 1  # e gets that of a, which is lost, and so is spoken
    assert many.run().done == 5
    assert many.findings() == []


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_that_is_reached_leaves_what_was_lost(many: Desk, limit: int) -> None:
    summary = many.run(limit=limit)
    assert (summary.spoken, summary.exit_code, summary.limit) == (limit, 5, "limit")
    assert many.run().done == 4
    assert many.findings() == []


def test_a_run_that_is_stopped_looks_at_nothing_more(
    many: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Instant):
        def speak(self) -> None:
            super().speak()
            self.signals.append(signal.SIGTERM)

    monkeypatch.setattr(work_module, "Speech", Stopped)
    assert many.run().spoken == 2
    monkeypatch.setattr(work_module, "Speech", Instant)
    assert many.run().spoken == 1
    assert many.findings() == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_files_are_looked_at_leaves_results(
    many: Desk, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    def struck(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("nobody has heeded it")

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # else it would end these tests
    try:
        with monkeypatch.context() as patch:
            patch.setattr(outset, "find_lost", struck)
            summary = many.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (summary.spoken, summary.done, summary.exit_code) == (2, 4, status)
    assert many.run().spoken == 1
    assert many.findings() == []


@pytest.mark.parametrize("name", registry.built_in())
def test_the_settings_of_every_provider_can_be_told_apart(name: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,text\na,Alpha.\n")
    flags = {"provider": name, "endpoint": "ws://127.0.0.1:9"}
    one, other = (load(tmp_path / "m.csv", {**flags, "format": it}) for it in ("wav", "flac"))
    keys = {f"{registry.get(name).key_variable}": "any"}
    stands = [
        resume.stands_for(it, choose_speaker(it, keys, has_hibari=True)) for it in (one, other)
    ]
    assert len(set(stands)) == 2


def test_a_plan_of_very_many_rows_says_that_it_looked_at_no_file(
    many: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert many.plan()["kinds"] == [3, 0, 0, 1]
    assert "for a run to see" not in caplog.text
    monkeypatch.setattr(outset, "LOOKED_AT_IN_PREVIEW", 1)
    assert many.plan()["kinds"] == [2, 0, 0, 2]
    assert "2 rows are done: whether their files are there is for a run to see" in caplog.text
