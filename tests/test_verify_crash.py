"""A run that verifies and retakes is killed at its steps on disk: nothing is lost or paid twice.

Each trial has texts of its own, of which the server damages some when it is asked for them
for the first time, and one whenever it is asked. The logs of the server and of the
recognizer are the witnesses.
"""

from __future__ import annotations

import errno
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchtts.job.settings import Job
from batchtts.selftest.outside import Victims, Witness, serving, victims
from batchtts.selftest.victim import Wound
from tests import e2e

RETAKES = 2
USD_PER_MILLION = 4.0

FAULTS = """
seed = 3
[[fault]]
kind = "damage"
how = "doubled"
text = "Never"
[[fault]]
kind = "damage"
how = "doubled"
probability = 0.4
"""


@dataclass
class Range:
    """Where runs are hurt."""

    here: Path
    server: Witness
    ear: Witness
    made: Victims
    trials: int = 0
    points: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def job(self) -> Job:
        """A job with texts that nobody has asked for before."""
        self.trials += 1
        here = self.here / f"{self.trials}"
        here.mkdir()
        n = self.trials
        long = " ".join(f"{it.rstrip('.')} {n}." for it in e2e.sentences(7).values())
        scripts = {
            "a": f"One window stands open {n}.",
            "b": f"Never right {n}.",
            "twin": f"One window stands open {n}.",
            "c": f"Some quiet river {n}.",
            "d": f"Green goes on {n}.",
            "long": long,
        }
        e2e.write_csv(here / "m.csv", scripts)
        return Job(
            manifest=here / "m.csv",
            provider="local",
            voice="tone",
            endpoint=self.server.url,
            workers=1,
            prices={"tone": USD_PER_MILLION},
            verify=True,
            recognizer_endpoint=self.ear.url,
            recognizer_model="tone",
            retakes=RETAKES,
        )

    def plan(self) -> list[tuple[str, int]]:
        job = self.job()
        steps = self.made.run(job, Wound()).steps
        self.check(job, "unhurt", blows=0)
        return [(kind, number) for kind, n in steps.items() for number in range(1, n + 1)]

    def strike(self, wound: Wound) -> None:
        job = self.job()
        hurt = self.made.run(job, wound)
        self.points[wound.kind] += hurt.is_hit
        if hurt.is_hit and hurt.status != (4 if wound.error else -signal.SIGKILL):
            self.found.append(f"{wound}: it ended with {hurt.status} {hurt.message}")
        self.found += [f"{wound}: {it} is not its file" for it in e2e.untrue_lines(job.directory)]
        self.check(job, f"{wound}", blows=1)

    def check(self, job: Job, told: str, blows: int) -> None:
        """Run it to its end, and say what is not as it must be."""
        last = self.made.run(job, Wound())
        found = [*self._wrong(job.directory, blows)]
        if last.status != 3:  # one is never right, and the long one is not understood
            found.append(f"the next run ended with {last.status} {last.message}")
        ledger = (job.directory / "ledger.jsonl").read_bytes()
        if self.made.run(job, Wound()).status != 3:
            found.append("the third run is not the second")
        if (job.directory / "ledger.jsonl").read_bytes() != ledger:
            found.append("the third run has something to tell")
        if self.server.commits() or self.ear.commits():
            found.append("the third run asks somebody")
        self.found += [f"{told}: {it}" for it in found]

    def _wrong(self, out: Path, blows: int) -> Iterator[str]:
        commits, heard = self.server.commits(), self.ear.commits().total()
        rows = {row["id"]: row for row in e2e.results(out)}
        sent = sum(len(text) * n for text, n in commits.items())
        counted = sum(row["characters_sent"] for row in rows.values())
        if counted != sent:
            yield f"{sent} characters were sent, and {counted} are counted"
        cost = sum(row["cost_usd"] for row in rows.values())
        if round(cost * 1e6 / USD_PER_MILLION, 3) != sent:
            yield f"{cost} USD for {sent} characters"
        for row in rows.values():
            if row["status"] != "done":
                yield f"{row['id']} is {row['status']}: {row['error_message']}"
            elif (
                row["verdict"] == "fail"
                and max(row["takes"], rows[row["same_as"] or row["id"]]["takes"]) <= RETAKES
            ):
                yield f"{row['id']} fails after {row['takes']} takes"
        takes = sum(row["takes"] for row in rows.values() if row["same_as"] is None)
        if heard > takes + 2 * blows:
            yield f"{heard} heard of {takes} takes"
        alone = commits.total() - sum(n for text, n in commits.items() if len(text) > 60)
        least = sum(
            row["takes"] for row in rows.values() if row["same_as"] is None and row["id"] != "long"
        )
        if alone > least + 2 * blows:
            yield f"{alone} spoken for {least} takes"
        yield from (f"{it} is not its file" for it in e2e.untrue_lines(out))
        if left := [*out.glob(".batchtts/tmp/*"), *out.glob(".batchtts/pieces/*/*")]:
            yield f"left over: {left}"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    here = tmp_path_factory.mktemp("crash")
    (here / "faults.toml").write_text(FAULTS)
    with (
        serving(here / "log", "--faults", str(here / "faults.toml")) as server,
        serving(here / "ear") as ear,
        victims() as made,
    ):
        yield Range(here, server, ear, made)


def sweep(ready: Range, each: slice, *, error: int = 0, lasts: bool = False) -> Range:
    ready.found, ready.points = [], Counter()
    for kind, number in ready.plan()[each]:
        ready.strike(Wound(kind=kind, number=number, error=error, lasts=lasts))
    return ready


def test_a_run_that_is_killed_at_a_step_goes_on(ready: Range) -> None:
    sweep(ready, slice(20, None, 90))
    assert ready.found == []


def test_a_run_whose_disk_is_full_says_so_and_goes_on(ready: Range) -> None:
    sweep(ready, slice(40, None, 200), error=errno.ENOSPC, lasts=True)
    assert ready.found == []


@pytest.mark.slow
@pytest.mark.parametrize("error", [0, errno.ENOSPC], ids=["kill", "ENOSPC"])
def test_every_step_of_a_run_that_verifies_may_be_its_last(
    ready: Range, capsys: pytest.CaptureFixture[str], error: int
) -> None:
    sweep(ready, slice(None), error=error, lasts=bool(error))
    with capsys.disabled():
        sys.stdout.write(f"\n{ready.points.total()} steps: {dict(ready.points)}")
    assert ready.found == []
    assert {"write ledger", "rename results", "write audio", "write begun"} <= set(ready.points)
