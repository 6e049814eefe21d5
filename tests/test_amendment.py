"""Verifying, whatever the results are like: older than the ledger, damaged, empty, missing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtts.errors import OutputBroken, UsageError
from batchtts.job.hearer import Wish
from batchtts.job.settings import Job
from batchtts.record import disk, standing
from batchtts.record.amendment import ResultsStale
from batchtts.record.columns import JUDGED
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout, occupy
from batchtts.run import work
from batchtts.run.job import run
from batchtts.verify import corpus
from batchtts.verify.audition import Outcome, verify
from batchtts.verify.calling import Audition
from tests import e2e

ROWS = 6

#: Reads the whistles of the voice for tests, exactly.
TONE = Audition(ear=Wish(model="tone"))

#: Says nothing, and asks for nothing.
NOBODY = Audition(ear=None)


def job(here: Path, **more: object) -> Job:
    settings = {"manifest": here / "m.csv", "provider": "local", "voice": "tone", **more}
    return Job(**settings)  # type: ignore[arg-type]  # as a job file has them


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("spoken")
    e2e.write_csv(here / "m.csv", e2e.sentences(ROWS))
    assert run(job(here), environment={}).done == ROWS
    return here


@pytest.fixture
def here(spoken: Path, tmp_path: Path) -> Path:
    """A finished job of its own, and nothing that looks newer than it is."""
    for path in spoken.rglob("*"):
        target = tmp_path / path.relative_to(spoken)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
    return tmp_path


def listen(out: Path, audition: Audition = TONE) -> Outcome:
    with occupy(out) as layout, Ledger.open(layout.ledger) as ledger:
        return verify(layout, ledger, audition)


def judged(out: Path) -> pa.Table:
    return pq.read_table(out / "results.parquet", columns=["id", *JUDGED])


def keep(path: Path) -> bytes:
    return path.read_bytes()


# ── results that are older than the ledger ────────────────────────────────────


def test_who_was_killed_before_the_results_were_amended_goes_on_and_hears_nothing_twice(
    here: Path,
) -> None:
    out = here / "m"
    old = keep(out / "results.parquet")
    assert listen(out).verified.heard == ROWS
    amended = judged(out)
    (out / "results.parquet").write_bytes(old)  # as a kill leaves it
    assert listen(out).verified.heard == 0
    assert judged(out).equals(amended)
    assert amended["wer"].to_pylist() == [0.0] * ROWS


def test_results_that_lack_a_take_must_be_written_by_a_run(here: Path) -> None:
    out = here / "m"
    old = keep(out / "results.parquet")
    run(job(here, again=("s0001",)), environment={})
    (out / "results.parquet").write_bytes(old)
    with pytest.raises(ResultsStale, match="older than the ledger"):
        listen(out)
    assert keep(out / "results.parquet") == old
    assert run(job(here), environment={}).exit_code == 0
    assert listen(out).verified.heard == ROWS


def test_results_of_another_ledger_are_none_of_this_one(here: Path) -> None:
    out = here / "m"
    lines = (out / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (out / "ledger.jsonl").write_bytes(b"".join([*lines[1:], lines[0]]))
    with pytest.raises(ResultsStale):
        listen(out)


# ── results that are no results ───────────────────────────────────────────────


def test_results_that_are_damaged_are_told_of(here: Path) -> None:
    out = here / "m"
    listen(out)
    data = bytearray(keep(out / "results.parquet"))
    for at in range(4, len(data) // 2):
        data[at] ^= 0x55
    (out / "results.parquet").write_bytes(data)
    with pytest.raises(UsageError, match=r"results\.parquet: cannot be read"):
        listen(out)


def test_results_that_are_cut_off_are_told_of(here: Path) -> None:
    out = here / "m"
    (out / "results.parquet").write_bytes(keep(out / "results.parquet")[:-9])
    with pytest.raises(UsageError, match="cannot be read"):
        listen(out)


def test_results_that_are_missing_are_told_of(here: Path) -> None:
    (here / "m" / "results.parquet").unlink()
    with pytest.raises(UsageError, match=r"no results\.parquet in it"):
        listen(here / "m")


def test_results_of_another_version_are_told_of(here: Path) -> None:
    path = here / "m" / "results.parquet"
    table = pq.read_table(path)
    seal = json.loads(pq.read_metadata(path).metadata[b"batchtts"])
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"batchtts": json.dumps(seal | {"schema": 1})})
    with pytest.raises(ResultsStale, match="another version"):
        listen(here / "m")
    pq.write_table(table, path)
    with pytest.raises(ResultsStale, match="not a file that this batchtts wrote"):
        listen(here / "m")
    pq.write_table(table.drop_columns(["mos"]), path)
    with pytest.raises(ResultsStale, match="another version"):
        listen(here / "m")


# ── nothing to hear ───────────────────────────────────────────────────────────


def test_a_job_of_which_nothing_was_spoken_has_nothing_to_hear(tmp_path: Path) -> None:
    e2e.write_csv(tmp_path / "m.csv", e2e.sentences(2))
    prices = {"tone": 1e6}
    done = run(job(tmp_path, max_cost_usd=0.0, prices=prices, verify=True), environment={})
    assert (done.exit_code, done.pending, done.heard) == (5, 2, 0)
    assert listen(tmp_path / "m").verified.heard == 0


def test_a_job_of_which_every_row_has_failed_has_nothing_to_hear(tmp_path: Path) -> None:
    e2e.write_csv(tmp_path / "m.csv", {"a": "...", "b": "!"})
    done = run(job(tmp_path, verify=True, recognizer_model="tone"), environment={})
    assert (done.exit_code, done.failed, done.heard) == (3, 2, 0)


def test_what_was_heard_is_not_heard_again_and_nothing_is_written(here: Path) -> None:
    out = here / "m"
    listen(out)
    before, file = e2e.snapshot(out), (out / "results.parquet").stat().st_ino
    assert listen(out).verified.heard == 0
    assert e2e.snapshot(out) == before
    assert (out / "results.parquet").stat().st_ino == file


# ── audio that is not what was recorded ───────────────────────────────────────


def test_audio_that_is_not_what_was_recorded_is_not_heard(here: Path) -> None:
    out = here / "m"
    wavs = sorted((out / "wav").iterdir())
    wavs[0].unlink()
    wavs[1].write_bytes(wavs[2].read_bytes())
    wavs[3].write_bytes(keep(wavs[3])[:-2])
    wavs[4].unlink()
    wavs[4].mkdir()
    outcome = listen(out)
    assert (outcome.verified.heard, outcome.verified.unheard) == (2, 4)
    verdicts = e2e.by_id(out, "verdict")
    assert list(verdicts.values()) == ["unverified"] * 2 + ["pass"] + ["unverified"] * 2 + ["pass"]
    assert e2e.by_id(out, "reasons")["s0000"] == ["not_heard"]


# ── a disk that is full ───────────────────────────────────────────────────────


def test_a_disk_that_is_full_while_results_are_amended_loses_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = here / "m"
    old = keep(out / "results.parquet")
    create = disk.create

    def full(path: Path | str) -> int:
        if Path(path).name == "results.parquet":
            raise OSError(28, "No space left on device", str(path))
        return create(path)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "create", full)
        with pytest.raises(OutputBroken, match="no space left"):
            listen(out)
    assert keep(out / "results.parquet") == old
    assert listen(out).verified.heard == 0
    assert e2e.by_id(out, "wer") == dict.fromkeys(e2e.sentences(ROWS), 0.0)


# ── results that are made anew ────────────────────────────────────────────────


@pytest.mark.parametrize("snapshot_bytes", [1, 1 << 26])
def test_results_that_are_folded_again_say_what_amended_ones_said(
    here: Path, snapshot_bytes: int
) -> None:
    out = here / "m"
    folding = job(here, snapshot_bytes=snapshot_bytes)
    run(folding, environment={})
    listen(out)
    amended = pq.read_table(out / "results.parquet")
    for _ in range(2):
        (out / "results.parquet").unlink()
        assert run(folding, environment={}).spoken == 0
        assert pq.read_table(out / "results.parquet").equals(amended)
    assert listen(out).verified.heard == 0
    assert e2e.ask("check", out, here=here).status == 0


def test_items_come_in_lots(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_AT_ONCE", 2)
    layout = Layout(here / "m")
    with Ledger.peek(layout.ledger) as ledger:
        lots = list(corpus.Corpus.open(layout, ledger).items())
    assert [[it.line.id for it in lot] for lot in lots] == [
        ["s0000", "s0001"],
        ["s0002", "s0003"],
        ["s0004", "s0005"],
    ]


def test_a_run_that_is_taken_up_where_it_was_left_knows_the_verdicts(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "FEWEST_ROWS", 1)
    monkeypatch.setattr(standing, "SETTLED_S", -60.0)  # as if the manifest were an old file
    out = here / "m"
    folding = job(here, snapshot_bytes=1)
    run(folding, environment={})
    run(folding, environment={})
    assert (out / ".batchtts" / "standing.parquet").exists()
    listen(out)
    amended = pq.read_table(out / "results.parquet")
    e2e.write_csv(here / "m.csv", e2e.sentences(ROWS))  # the same, and new to whoever looks
    for _ in range(3):
        assert run(folding, environment={}).spoken == 0
        assert pq.read_table(out / "results.parquet").equals(amended)
        (out / "results.parquet").unlink()
    run(folding, environment={})
    assert listen(out).verified.heard == 0
    assert e2e.ask("check", out, here=here).status == 0


# ── who is not heard ──────────────────────────────────────────────────────────


def test_a_language_that_nobody_knows_is_not_verified_and_never_passed(here: Path) -> None:
    out = here / "m"
    unknown = dict.fromkeys(e2e.sentences(ROWS), "unverified")
    assert listen(out, Audition(ear=Wish())).verified.heard == 0  # it knows English alone
    assert e2e.by_id(out, "verdict") == unknown
    assert set(map(tuple, e2e.by_id(out, "reasons").values())) == {("language_not_known",)}
    listen(out, NOBODY)
    assert e2e.by_id(out, "verdict") == unknown
    assert run(job(here, verify=True), environment={}).verdicts == {"unverified": ROWS}
    listen(out)
    assert e2e.by_id(out, "verdict") == dict.fromkeys(unknown, "pass")
    listen(out, Audition(ear=Wish()))  # what was heard by another one is known
    assert e2e.by_id(out, "verdict") == dict.fromkeys(unknown, "pass")


def test_a_ledger_that_is_damaged_is_for_a_run_to_mend(here: Path) -> None:
    out = here / "m"
    listen(out)
    data = bytearray(keep(out / "ledger.jsonl"))
    data[len(data) // 2] ^= 1
    (out / "ledger.jsonl").write_bytes(data)
    with pytest.raises(ResultsStale, match="1 damaged lines"):
        listen(out)
    assert keep(out / "ledger.jsonl") == data
    run(job(here), environment={})
    listen(out)
    assert e2e.by_id(out, "verdict") == dict.fromkeys(e2e.sentences(ROWS), "pass")
