"""Killed at any moment and run again: as if nothing had happened, but for the time it took.

The server's log is the witness: it is written by another process, a line for every
text that was committed, before anything is sent back.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from tests.e2e import (
    TONE,
    Server,
    audio_files,
    by_id,
    done,
    end,
    eventually,
    lasting,
    results,
    sentences,
    serving,
    started,
    untrue_lines,
    write_csv,
)

#: Seconds within which a run begins to speak, on a quick machine.
BEGINNING = 0.8


class Job:
    """A manifest of sentences, spoken by so many workers of one server."""

    def __init__(self, here: Path, server: Server, *, rows: int, workers: int) -> None:
        self._here = here
        self._server = server
        self._workers = workers
        self.scripts = sentences(rows)
        self.out = here / "out"
        write_csv(here / "m.csv", self.scripts)

    def finish(self, out: str = "out") -> int:
        """Run it to its end and return the exit status."""
        with started(*self._command(out), here=self._here) as process:
            return process.wait(240)

    def kill(self, chance: random.Random, most: int) -> None:
        """Run it and kill it: as it begins, or after at most so many more rows are done."""
        rows = chance.randint(0, most)
        target = len(done(self.out)) + rows
        pause_s = chance.uniform(0, 0.03 if rows else BEGINNING)
        with started(*self._command("out"), here=self._here) as process:
            eventually(lambda: rows == 0 or len(done(self.out)) >= target)
            time.sleep(pause_s)
            assert process.poll() is None, "it was over before it could be killed"
            end(process, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL

    def _command(self, out: str) -> list[str]:
        workers = f"{self._workers}"
        where = ["--endpoint", self._server.url, "-o", out]
        return ["run", "m.csv", *TONE, "--workers", workers, *where]


def difference(one: pa.Table, other: pa.Table) -> list[tuple[object, object]]:
    """The rows that differ, side by side."""
    pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


def check_kills(here: Path, *, rows: int, workers: int, kills: int) -> None:
    chance = random.Random(rows)
    with serving(here / "log") as server:
        job = Job(here, server, rows=rows, workers=workers)
        assert job.finish("undisturbed") == 0
        assert Counter(server.texts()) == Counter(job.scripts.values())
        for _ in range(kills):
            job.kill(chance, rows // (kills + 1) - workers)
            assert set(done(job.out)) <= set(job.scripts)
        assert job.finish() == 0
        commits = Counter(server.texts())

    whole = lasting(here / "undisturbed")
    assert whole.schema == lasting(job.out).schema
    assert difference(whole, lasting(job.out)) == []
    assert sorted(done(job.out)) == sorted(job.scripts)
    assert audio_files(job.out) == {row["path"] for row in results(job.out)}
    assert untrue_lines(job.out) == []
    assert set(commits) == set(job.scripts.values())
    assert rows <= commits.total() <= rows + kills * workers
    assert max(commits.values()) <= 1 + kills


def test_a_run_that_was_killed_three_times_ends_as_if_it_never_was(tmp_path: Path) -> None:
    check_kills(tmp_path, rows=120, workers=4, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 16])
def test_a_run_that_was_killed_ten_times_ends_as_if_it_never_was(
    tmp_path: Path, workers: int
) -> None:
    check_kills(tmp_path, rows=600, workers=workers, kills=10)


def check_restarts(here: Path, *, rows: int, workers: int, restarts: int) -> None:
    """Kill the server under a run, and start it again where it was."""
    log = here / "log"
    scripts = sentences(rows)
    write_csv(here / "m.csv", scripts)
    out = here / "m"
    with serving(log) as server:
        port = server.port
    flags = ["--endpoint", f"ws://127.0.0.1:{port}", "--workers", f"{workers}"]
    with started("run", "m.csv", *TONE, *flags, here=here) as run:
        for restart in range(1, restarts + 1):
            with serving(log, port=port) as server:
                until = rows * restart // (restarts + 1)
                eventually(lambda until=until: len(done(out)) >= until)  # type: ignore[misc]
                server.kill()
        with serving(log, port=port) as server:
            assert run.wait(240) == 0
            commits = Counter(row["text"] for row in server.commits())

    assert sorted(done(out)) == sorted(scripts)
    assert by_id(out, "status") == dict.fromkeys(scripts, "done")
    assert audio_files(out) == {row["path"] for row in results(out)}
    assert untrue_lines(out) == []
    assert set(commits) == set(scripts.values())
    assert rows <= commits.total() <= rows + restarts * workers
    # An attempt counts as soon as its script may have left, which the server may never see.
    again = sum(row["attempts"] - 1 for row in results(out))
    assert commits.total() - rows <= again <= restarts * workers


def test_a_run_outlives_its_server(tmp_path: Path) -> None:
    check_restarts(tmp_path, rows=100, workers=4, restarts=1)


@pytest.mark.slow
def test_five_hundred_sentences_outlive_two_restarts_of_their_server(tmp_path: Path) -> None:
    check_restarts(tmp_path, rows=500, workers=16, restarts=2)
