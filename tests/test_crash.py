"""A run is killed at each of its steps on disk, and its disk fails at each: nothing is lost.

The sweep is the product's own (`batchtts selftest crash`). Here it is run, seen to
find what is broken on purpose, and some of what it says is looked at with other eyes.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtts.job.settings import Job
from batchtts.selftest.crash import Figures, Stage, stage
from batchtts.selftest.judge import judge_finished, judge_hurt
from batchtts.selftest.outside import Victims, Witness, serving, victims
from batchtts.selftest.victim import Wound, kind_of
from tests import e2e
from tests.test_weather import JOURNEYS, check_files, write_faults

ROWS = 5

#: What a run of some rows does on disk.
KINDS = {
    *("create directory", "sync directory"),
    *(f"{step} audio" for step in ("create", "write", "sync", "rename")),
    *("write ledger", "sync ledger", "sync results", "rename results"),
    *(f"{step} summary" for step in ("create", "write", "sync", "rename")),
}


ALL = slice(None)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("crash"), rows=ROWS) as found:
        yield found


def count(
    ready: Stage,
    workers: int,
    *,
    each: slice = ALL,
    error: int = 0,
    lasts: bool = False,
    after: Sequence[Wound] = (),
) -> Figures:
    """Strike at the chosen steps of a run, each in a run of its own."""
    figures = Figures()
    for kind, number in ready.plan(workers, after=after)[each]:
        wound = Wound(kind=kind, number=number, error=error, lasts=lasts)
        figures.add(ready.strike(workers, *after, wound))
    return figures


# ── the sweep ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", [1, 4])
def test_a_run_that_is_killed_at_a_step_loses_nothing(ready: Stage, workers: int) -> None:
    figures = count(ready, workers, each=slice(workers, None, 9))
    assert figures.findings == []
    assert figures.points.total() >= 5
    assert figures.paid_twice <= workers


@pytest.mark.parametrize(
    ("error", "lasts"),
    [(errno.EIO, False), (errno.ENOSPC, True)],
    ids=["fails once", "is full from then on"],
)
def test_a_run_whose_disk_fails_says_so_and_loses_nothing(
    ready: Stage, error: int, lasts: bool
) -> None:
    figures = count(ready, 4, each=slice(2 + 3 * lasts, None, 8), error=error, lasts=lasts)
    assert figures.findings == []
    assert figures.points.total() >= 4


#: A kill in the middle of a line of the ledger.
TORN = Wound(kind="write ledger", number=4)


def test_a_run_that_is_killed_while_it_picks_up_the_pieces_loses_nothing(ready: Stage) -> None:
    figures = count(ready, 1, each=slice(0, None, 9), after=[TORN])
    assert figures.findings == []
    assert figures.points.total() >= 4
    assert figures.paid_twice <= 2


@pytest.mark.parametrize(
    ("kind", "number"),
    [("sync directory", 4), ("write audio", 2), ("rename audio", 3), ("write ledger", 4)],
)
def test_other_eyes_see_the_same(ready: Stage, tmp_path: Path, kind: str, number: int) -> None:
    out = tmp_path / "out"
    job = msgspec.structs.replace(ready.job, out=out, snapshot_bytes=1 << 20)
    ready.witness.commits()
    hurt = ready.victims.run(job, Wound(kind=kind, number=number))
    assert hurt.status == -signal.SIGKILL
    assert e2e.untrue_lines(out) == []
    assert ready.victims.run(job, Wound()).status == 0
    unhurt = ready.directory / "unhurt"
    assert e2e.by_id(out, "sha256") == e2e.by_id(unhurt, "sha256")
    assert e2e.lasting(out).equals(e2e.lasting(unhurt))
    assert sorted(e2e.done(out)) == sorted(e2e.by_id(unhurt, "id"))
    assert e2e.audio_files(out) == e2e.audio_files(unhurt)
    assert e2e.untrue_lines(out) == []
    assert ready.witness.commits().total() - ready.measure.commits <= 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4, 16])
@pytest.mark.parametrize("error", [0, errno.ENOSPC, errno.EIO], ids=["kill", "ENOSPC", "EIO"])
def test_every_step_of_a_run_may_be_its_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int, error: int
) -> None:
    with stage(tmp_path, rows=workers + 6) as ready:
        figures = count(ready, workers, error=error)
    with capsys.disabled():
        told = f"{figures.points.total()} steps, paid twice at most {figures.paid_twice}"
        sys.stdout.write(f"\n{errno.errorcode.get(error, 'kill')}, {workers} workers: {told}")
    assert figures.findings == []
    assert set(figures.points) >= KINDS


@pytest.mark.slow
def test_every_step_of_picking_up_the_pieces_may_be_the_last(tmp_path: Path) -> None:
    with stage(tmp_path) as ready:
        figures = count(ready, 1, after=[TORN])
    assert figures.findings == []
    assert figures.points["write ledger"] >= 4


# ── that it can find something ────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spoilt", "kind", "fault"),
    [
        ("named_before_written", "write audio", "partial"),
        ("told_before_there", "sync ledger", "lost"),
        ("forgetful", "rename results", "paid twice"),
    ],
)
def test_the_sweep_finds_what_is_broken(tmp_path: Path, spoilt: str, kind: str, fault: str) -> None:
    victim = [sys.executable, "-m", "tests.spoilt", spoilt]
    with stage(tmp_path, rows=3, victim=victim) as ready:
        wounds = [Wound(kind=it, number=n) for it, n in ready.plan(1) if it == kind]
        trials = [ready.strike(1, wound) for wound in wounds]
    assert fault in {found.fault for trial in trials for found in trial.findings}


@pytest.fixture(scope="module")
def finished(ready: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("judge") / "out"
    job = msgspec.structs.replace(ready.job, out=out)
    assert ready.victims.run(job, Wound()).status == 0
    return out


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def double(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)


DAMAGES: list[tuple[str, Callable[[Path], object], set[str]]] = [
    ("wav/r1.wav", cut, {"partial", "lost"}),
    ("wav/r1.wav", flip, {"partial", "lost"}),
    ("wav/r1.wav", Path.unlink, {"lost"}),
    ("wav/r9.wav", Path.touch, {"partial", "left over"}),
    (".batchtts/tmp/1.part", Path.touch, {"left over"}),
    ("summary.json", cut, set()),  # its last byte is a line break
    ("summary.json", lambda path: path.write_bytes(b'{"rows"'), {"partial"}),
    ("results.parquet", cut, {"partial", "lost"}),
    ("results.parquet", Path.unlink, {"lost"}),
    ("results.parquet", double, {"duplicated"}),
]


@pytest.mark.parametrize(("name", "damage", "faults"), DAMAGES)
def test_the_judge_sees_damage(
    ready: Stage,
    finished: Path,
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], object],
    faults: set[str],
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    assert list(judge_finished(out, ready.measure)) == []
    damage(out / name)
    assert {each.fault for each in judge_finished(out, ready.measure)} == faults


def test_the_judge_has_nothing_against_a_directory_that_was_hardly_begun(
    ready: Stage, tmp_path: Path
) -> None:
    assert list(judge_hurt(tmp_path, ready.measure)) == []


def test_the_sweep_finds_rows_that_are_not_done(ready: Stage, finished: Path) -> None:
    more = dataclasses.replace(ready.measure, ids=ready.measure.ids | {"r99"})
    assert [each.what for each in judge_finished(finished, more)] == ["row r99 is not done"]


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("rename", "out/wav/a.wav", "rename audio"),
        ("write_all", "out/ledger.jsonl", "write ledger"),
        ("create", "out/.batchtts/tmp/summary.json", "create summary"),
        ("sync", "out/.batchtts/tmp/results.parquet", "sync results"),
        ("rename", "out/ledger-000001.parquet", "rename snapshot"),
        ("write_all", "out/ledger.jsonl.part", "write snapshot"),
        ("create", "out/.batchtts/tmp/1.part", "create audio"),
        ("sync_directory", "out/wav", "sync directory"),
        ("create_directory", "out/wav", "create directory"),
    ],
)
def test_a_step_is_called_by_what_it_does(name: str, path: str, kind: str) -> None:
    assert kind_of(name, path) == kind


# ── the command ───────────────────────────────────────────────────────────────


def test_the_command_tells_in_a_table_that_nothing_was_lost(tmp_path: Path) -> None:
    flags = ["--workers", "1,2", "--rows", "2", "--every", "11"]
    answer = e2e.ask("selftest", "crash", *flags, here=tmp_path)
    assert (answer.status, answer.err) == (0, "")
    heads, *rows = answer.out.splitlines()
    assert heads == "workers  kill points  lost  duplicated  partial  paid twice, at most"
    for workers, row in zip(("1", "2"), rows, strict=True):
        first, points, *zeros, paid_twice = row.split()
        assert (first, zeros) == (workers, ["0", "0", "0"])
        assert int(points) > 1
        assert 0 < int(paid_twice) <= int(workers)
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_which_promise_was_not_kept(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("from tests import spoilt; spoilt.forgetful()")
    (tmp_path / "here").mkdir()
    path = os.pathsep.join([str(tmp_path), str(e2e.ROOT)])
    flags = ["--workers", "1", "--rows", "3", "--dir", "here", "--every", "9"]
    answer = e2e.ask("selftest", "crash", *flags, here=tmp_path, extra={"PYTHONPATH": path})
    assert answer.status == 3
    assert answer.out.splitlines()[1].split()[-1] in ("2", "3")
    assert answer.err.startswith("batchtts: workers=1, killed at ")
    assert re.search(": paid twice: [23] texts, of 1 in flight\n", answer.err)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_can_be_stopped_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    with e2e.started("selftest", "crash", "--dir", str(here), here=tmp_path) as process:
        e2e.eventually(lambda: bool(list(here.glob("*/out/ledger.jsonl"))))
        children = e2e.descendants(process.pid)
        e2e.end(process, number)
    assert process.returncode == status
    assert list(here.iterdir()) == []
    assert children
    e2e.eventually(lambda: all(map(e2e.is_gone, children)))
    assert (tmp_path / "stderr").read_text().strip() == ""


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--dir", "nowhere"], "nowhere: no such directory"),
        (["--workers", "0"], "'0' is not a list of numbers from 1 to 64"),
        (["--workers", "1,x"], "'1,x' is not a list of numbers from 1 to 64"),
    ],
)
def test_what_cannot_be_tried_is_refused(tmp_path: Path, flags: list[str], told: str) -> None:
    answer = e2e.ask("selftest", "crash", *flags, here=tmp_path)
    assert answer.status == 2
    assert told in answer.err


# ── a file system that is really full ─────────────────────────────────────────

MOUNTED = ["unshare", "-Urm", "sh", "-euc"]  # a file system that nobody else sees

FULL = """
mount -t tmpfs -o size=1m tmpfs disk
status=0; "$@" 2>full.err || status=$?
echo $status >full.status
cp -R disk/out full
mount -t tmpfs -o remount,size=16m tmpfs disk
status=0; "$@" 2>room.err || status=$?
echo $status >room.status
cp -R disk/out room
"""


def can_mount(here: Path) -> bool:
    try:
        command = [*MOUNTED, "mount -t tmpfs -o size=1m tmpfs ."]
        return subprocess.run(command, cwd=here, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_job_that_does_not_fit_goes_on_when_there_is_room(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    scripts = e2e.sentences(40)
    e2e.write_csv(tmp_path / "m.csv", scripts)
    (tmp_path / "disk").mkdir()
    with e2e.serving(tmp_path / "log") as server:
        where = ["--endpoint", server.url, "--out", "disk/out"]
        run = ["run", "m.csv", *e2e.TONE, *where, "--workers", "2", "--quiet"]
        subprocess.run(
            [*MOUNTED, FULL, "sh", *e2e.COMMAND, *run],
            cwd=tmp_path,
            env=e2e.environment(),
            timeout=e2e.DEADLINE,
            check=True,
        )
        commits = server.texts()

    assert (tmp_path / "full.status").read_text() == "4\n"
    broken, hint = (tmp_path / "full.err").read_text().splitlines()
    assert broken.startswith("batchtts: disk/out")
    assert broken.endswith(": no space left on device")
    assert hint == "  hint: make room, then run the same command again"
    full = tmp_path / "full"
    assert e2e.untrue_lines(full) == []
    assert 0 < len(e2e.done(full)) < len(scripts)

    assert (tmp_path / "room.status").read_text() == "0\n"
    assert (tmp_path / "room.err").read_text() == ""
    room = tmp_path / "room"
    assert e2e.by_id(room, "status") == dict.fromkeys(scripts, "done")
    assert sorted(e2e.done(room)) == sorted(scripts)  # once each: what was done was kept
    assert e2e.audio_files(room) == {row["path"] for row in e2e.results(room)}
    assert e2e.untrue_lines(room) == []
    assert set(commits) == set(scripts.values())
    assert len(commits) <= len(scripts) + 2


# ── killed at random, in bad weather ──────────────────────────────────────────

STORMS = 6
KILLS = 50  # in each of them, at least
JOB_ROWS = 200
WORKERS = 8
ATTEMPTS = 4
SHORT_S, LONG_S = 0.9, 2.5  # that a run is left alone at most, before and after so many


@dataclasses.dataclass
class Storm:
    """A job through bad weather, killed again and again."""

    job: Job
    scripts: dict[str, str]
    made: Victims
    witness: Witness
    chance: random.Random
    kills: int = 0
    broken: int = 0
    paid: Counter[str] = dataclasses.field(default_factory=Counter)

    def outlast(self) -> None:
        """Run and kill until a run comes to its end, with nothing left to do."""
        while self.run() != 0:
            assert e2e.untrue_lines(self.job.directory) == []

    def run(self) -> int:
        """Run once, killed after a while if it is not over; what was done is not paid again."""
        kept = {self.scripts[row_id] for row_id in done_now(self.job.directory)}
        pid = self.made.start(self.job, Wound())
        longest_s = SHORT_S if self.kills < KILLS else LONG_S
        until = time.monotonic() + self.chance.uniform(0, longest_s)
        while time.monotonic() < until and not e2e.is_gone(pid):
            time.sleep(0.005)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        outcome = self.made.wait()
        news = self.witness.commits()
        assert kept.isdisjoint(news)
        self.paid += news
        self.kills += outcome.status == -signal.SIGKILL
        self.broken += outcome.status == 4
        if outcome.status == 4:
            assert "key refused (401)" in outcome.message
        assert outcome.status in (-signal.SIGKILL, 0, 3, 4), outcome
        return outcome.status


def done_now(out: Path) -> set[str]:
    newest = {line["id"]: line["status"] for line in e2e.ledger(out) if "id" in line}
    return {row_id for row_id, status in newest.items() if status == "done"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(STORMS))
def test_kills_at_random_lose_nothing_in_bad_weather(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    journey = dataclasses.replace(JOURNEYS[0], rows=JOB_ROWS)
    write_faults(tmp_path / "faults.toml", journey)
    flags = ["--faults", str(tmp_path / "faults.toml")]
    with serving(tmp_path / "log", *flags) as witness, victims() as made:
        storm = prepare(tmp_path, seed, witness, made)
        storm.outlast()
    with capsys.disabled():
        told = f"{storm.kills} kills, {storm.broken} refused keys, {storm.paid.total()} texts"
        sys.stdout.write(f"\n{JOB_ROWS} rows, {told}")
    check_calm(storm, journey)
    assert storm.kills >= KILLS
    log = (tmp_path / "log").read_text().splitlines()
    fallen = {json.loads(line).get("fault") for line in log}
    assert len(fallen) > 10, fallen


def prepare(here: Path, seed: int, witness: Witness, made: Victims) -> Storm:
    scripts = e2e.sentences(JOB_ROWS, seed=seed)
    lines = [json.dumps({"id": row, "text": text}) for row, text in scripts.items()]
    (here / "m.jsonl").write_text("\n".join(lines))
    (here / "key").write_text("sk-anything")
    job = Job(
        manifest=here / "m.jsonl",
        provider="together",
        endpoint=witness.url,
        key_file=here / "key",
        workers=WORKERS,
        attempts=ATTEMPTS,
    )
    return Storm(job, scripts, made, witness, random.Random(seed))


def check_calm(storm: Storm, journey: object) -> None:
    """Each row once, done, with the engine's own audio; and paid for no more than it must be."""
    out = storm.job.directory
    assert Counter(row["id"] for row in e2e.results(out)) == Counter([*storm.scripts])
    check_files(out, journey)  # type: ignore[arg-type]
    assert e2e.audio_files(out) == {row["path"] for row in e2e.results(out)}
    recorded = sum(
        line.get("attempts", 0)
        for line in e2e.ledger(out)
        if line.get("error_code") != "truncated"  # which takes back what is there already
    )
    dropped = (storm.kills + storm.broken) * WORKERS
    assert recorded <= storm.paid.total() + dropped
    assert storm.paid.total() <= recorded + dropped * ATTEMPTS
