"""A run is killed at its first durable step, another at its second, and so on to the last.

Steps are counted by kind: a run of several workers may do them in another order.
After each blow two questions are asked: is what lies there true, and does the same
job, run again, end as if nothing had happened? The steps may also fail as a full
or a broken disk makes them fail.
"""

from __future__ import annotations

import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import msgspec

from batchtts.errors import Exit, RunError, UsageError
from batchtts.job.settings import Job
from batchtts.record import disk
from batchtts.selftest.judge import Fault, Finding, Measure, judge_finished, judge_hurt
from batchtts.selftest.outside import VICTIM, Outcome, Victims, Witness, serving, victims
from batchtts.selftest.victim import Wound

ROWS = 8

#: What is written in many small pieces before it has its name, and how many of them will do.
_IN_PIECES = ("write results", "write snapshot")
PIECES = 5

_WORDS = "one green window stands open and some quiet river goes on".split()


@dataclass(frozen=True, slots=True)
class Trial:
    """One run that was hurt, and the one that came after.

    Attributes:
        is_hit: Whether the run came to the step at all.
        paid_twice: Texts that the server was given beyond those that it must be.
    """

    wound: Wound
    is_hit: bool
    paid_twice: int
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class Figures:
    """Trials in figures.

    Attributes:
        points: Steps that were hit, by kind.
        faults: Findings, by kind.
        paid_twice: Texts paid for twice after one blow, at most.
        findings: One line each.
    """

    points: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    paid_twice: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        """Count one trial."""
        if trial.is_hit:
            self.points[trial.wound.kind] += 1
        self.paid_twice = max(self.paid_twice, trial.paid_twice)
        for finding in trial.findings:
            self.faults[finding.fault] += 1
            self.findings.append(f"{trial.wound}: {finding.fault}: {finding.what}")


@dataclass(frozen=True, slots=True)
class Stage:
    """A job with its server, and what it makes when nobody hurts it."""

    directory: Path
    job: Job
    witness: Witness
    victims: Victims
    measure: Measure

    def plan(self, workers: int, *, after: Sequence[Wound] = ()) -> list[tuple[str, int]]:
        """Count the steps of a run that nobody hurts: each one's kind, and its number among them.

        Of the pieces of a table some are chosen; a kill in any of them leaves the same.

        Args:
            after: Blows to runs before this one, in the same output directory.
        """
        job = self._job(workers)
        for wound in after:
            self.victims.run(job, wound)
        steps = self.victims.run(job, Wound()).steps
        _clear(job.directory)
        self.witness.commits()  # those are not judged
        return [(kind, number) for kind, n in steps.items() for number in _chosen(kind, n)]

    def strike(self, workers: int, *wounds: Wound) -> Trial:
        """Hurt a run of the job in a fresh directory, and the next if told so; then let one be."""
        job = self._job(workers)
        findings: list[Finding] = []
        hurt = Outcome(Exit.DONE)
        for wound in wounds:
            hurt = self.victims.run(job, wound)
            findings.extend(_judge_end(hurt, wound))
            findings.extend(judge_hurt(job.directory, self.measure))
        again = self.victims.run(job, Wound())
        if again.status != Exit.DONE:
            findings.append(Finding("status", f"the next run ended with {_tell(again)}"))
        findings.extend(judge_finished(job.directory, self.measure))
        paid_twice = self.witness.commits().total() - self.measure.commits
        if paid_twice > (most := workers * len(wounds)):
            findings.append(Finding("paid twice", f"{paid_twice} texts, of {most} in flight"))
        _clear(job.directory)
        return Trial(wounds[-1], hurt.is_hit, paid_twice, tuple(findings))

    def _job(self, workers: int) -> Job:
        return msgspec.structs.replace(self.job, workers=workers, out=self.directory / "out")


@contextmanager
def stage(directory: Path, *, rows: int = ROWS, victim: Sequence[str] = VICTIM) -> Iterator[Stage]:
    """Prepare everything in a new directory inside *directory*; remove it at the end.

    Args:
        rows: Of the job; the last one has the script of the first.
        victim: Command that runs what it is ordered to.

    Raises:
        UsageError: *directory* is none.
        RunError: the job does not even run when nobody hurts it.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory")
    with disk.telling(directory):
        held = tempfile.TemporaryDirectory(prefix="batchtts-selftest-", dir=directory)
    with held, serving(Path(held.name, "log")) as witness, victims(victim) as made:
        here = Path(held.name)
        with disk.telling(here):
            ids = _write_manifest(here / "manifest.jsonl", rows)
        job = Job(
            manifest=here / "manifest.jsonl",
            out=here / "unhurt",
            provider="local",
            voice="tone",
            endpoint=witness.url,
            workers=1,
            snapshot_bytes=1,
        )
        unhurt = made.run(job, Wound())
        if unhurt.status != Exit.DONE:
            raise RunError(f"a run that nobody hurts ends with {_tell(unhurt)}")
        measure = Measure.of(here / "unhurt", ids, witness.commits().total())
        yield Stage(here, job, witness, made, measure)


def _write_manifest(path: Path, rows: int) -> frozenset[str]:
    scripts = {f"r{row}": f"{' '.join(_WORDS[: 1 + row % 11])} {row}." for row in range(rows)}
    scripts[f"r{rows - 1}"] = scripts["r0"]
    lines = [msgspec.json.encode({"id": it, "text": text}) for it, text in scripts.items()]
    path.write_bytes(b"\n".join(lines))
    return frozenset(scripts)


def _chosen(kind: str, count: int) -> list[int]:
    """The numbers of the steps to be tried: all, or some from the first to the last."""
    if kind not in _IN_PIECES or count <= PIECES:
        return list(range(1, count + 1))
    return [1 + place * (count - 1) // (PIECES - 1) for place in range(PIECES)]


def _clear(directory: Path) -> None:
    if directory.exists():
        rmtree(directory)


def _judge_end(hurt: Outcome, wound: Wound) -> Iterator[Finding]:
    """A run that is killed is dead; one that cannot write says so; any other is done."""
    must: int = Exit.DONE
    if hurt.is_hit:
        must = Exit.BROKEN if wound.error else -signal.SIGKILL
    if hurt.status != must:
        yield Finding("status", f"it ended with {_tell(hurt)}, not {must:d}")


def _tell(outcome: Outcome) -> str:
    return f"status {outcome.status}" + (f" ({outcome.message})" if outcome.message else "")
