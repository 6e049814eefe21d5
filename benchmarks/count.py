"""How much a process works: instructions where they can be counted, else processor time.

Instructions hardly depend on the machine, and not at all on what else it does. The
processor counts them itself, which few virtual machines let one see; valgrind counts
them in its own slow way everywhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure

INSTRUCTIONS, TIME = "instructions", "processor time"

Command = Sequence[str | Path]

_PERF = "perf stat --no-big-num -x , -e instructions:u --".split()
_VALGRIND = "valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null".split()
_EVENTS = re.compile(r"^(\d+),[^,]*,instructions", re.MULTILINE)
_REFERENCES = re.compile(r"I +refs: +([\d,]+)")

#: The same order of sets and dicts in every process.
_STEADY = {"PYTHONHASHSEED": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A way to count.

    Attributes:
        name: The program, for people.
        unit: What is counted; only the same can be compared.
        rounds: How often it has to be done for a median.
    """

    name: str
    unit: str
    rounds: int
    count: Callable[[Command, Mapping[str, str]], float]


def _by(tool: Sequence[str], pattern: re.Pattern[str]) -> Callable[..., float]:
    def count(command: Command, environment: Mapping[str, str]) -> float:
        done = subprocess.run(
            [*tool, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **measure.ENVIRONMENT, **_STEADY, **environment},
        )
        found = pattern.findall(done.stderr)
        if done.returncode or not found:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr[-1000:]}")
        return sum(float(number.replace(",", "")) for number in found)

    return count


def _time(command: Command, environment: Mapping[str, str]) -> float:
    return measure.run(command, environment={**_STEADY, **environment}).cpu_s


COUNTERS = (
    Counter(name="perf", unit=INSTRUCTIONS, rounds=1, count=_by(_PERF, _EVENTS)),
    Counter(name="valgrind", unit=INSTRUCTIONS, rounds=1, count=_by(_VALGRIND, _REFERENCES)),
    Counter(name="time", unit=TIME, rounds=7, count=_time),
)


def best() -> Counter:
    """The first of them that works here."""
    return next(counter for counter in COUNTERS if _works(counter))


def _works(counter: Counter) -> bool:
    if counter.unit == INSTRUCTIONS and shutil.which(counter.name) is None:
        return False
    try:
        return counter.count([sys.executable, "-c", "pass"], {}) > 0
    except (OSError, RuntimeError):
        return False
