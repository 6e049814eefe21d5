"""What stands outside of the runs that are hurt: who starts them, and who serves them.

The server is a process of its own and its log is the witness: it has a line for
every text that was committed, written before anything is sent back.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from batchtts.errors import RunError
from batchtts.job.settings import Job
from batchtts.selftest.victim import Order, Word, Wound

VICTIM = (sys.executable, "-m", "batchtts.selftest.victim")
SERVER = (sys.executable, "-m", "batchtts", "serve", "--port", "0", "--until-eof")

START_S = 60.0
STOP_S = 10.0

_GREETING = "listening on "


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: Exit status; below zero the signal that ended it.
        is_hit: Whether it came to the step at which it was to be struck.
        steps: How many durable steps it took of each kind, if it came to its end.
        message: The error that it ended with.
    """

    status: int
    is_hit: bool = False
    steps: dict[str, int] = field(default_factory=dict)
    message: str = ""


class Victims:
    """Starts runs that may be hurt, one at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def start(self, job: Job, wound: Wound) -> int:
        """Start a run and return its process id; wait() must follow."""
        fields = msgspec.structs.asdict(job)
        order = msgspec.json.encode(Order(fields, wound), enc_hook=str)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, as is found out next
            self._process.stdin.write(order + b"\n")
            self._process.stdin.flush()
        return self._hear().pid

    def wait(self) -> Outcome:
        """Wait for the end of the run that was started last."""
        is_hit, steps, message = False, dict[str, int](), ""
        while (word := self._hear()).status is None:
            is_hit |= word.is_hit
            steps, message = word.steps or steps, word.message or message
        return Outcome(word.status, is_hit, steps, message)

    def run(self, job: Job, wound: Wound) -> Outcome:
        """Do a whole run, or as much as is done of it before it is killed."""
        self.start(job, wound)
        return self.wait()

    def _hear(self) -> Word:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RunError("the process that starts the runs has ended")
        return msgspec.json.decode(line, type=Word)


@contextmanager
def victims(command: Sequence[str] = VICTIM) -> Iterator[Victims]:
    """Have runs started until the end of the block; none outlives it."""
    with _child(command) as process:
        yield Victims(process)


class Witness:
    """A server with the voice for tests, and what its log says."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log
        self._read_bytes = 0

    def commits(self) -> Counter[str]:
        """The texts that were committed since the last call."""
        with self._log.open("rb") as file:
            file.seek(self._read_bytes)
            news = file.read()
        news = news[: news.rfind(b"\n") + 1]
        self._read_bytes += len(news)
        lines = [msgspec.json.decode(line, type=_Line) for line in news.splitlines()]
        return Counter(line.text for line in lines if line.event == "commit")


class _Line(msgspec.Struct):
    """As much of a line of the server's log as is needed here."""

    event: str
    text: str = ""


@contextmanager
def serving(log: Path, *flags: str) -> Iterator[Witness]:
    """Serve until the end of the block.

    Args:
        flags: More of `batchtts serve`, such as ``--faults``.

    Raises:
        RunError: the server did not start.
    """
    command = [*SERVER, "--engine", "tone", "--workers", "1", "--log", str(log), *flags]
    with _child(command) as process:
        assert process.stdout is not None
        is_there, _, _ = select.select([process.stdout], [], [], START_S)
        greeting = process.stdout.readline().decode() if is_there else ""
        if not greeting.startswith(_GREETING):
            raise RunError("the server did not start", hint="try `batchtts serve` by hand")
        try:
            yield Witness(greeting.removeprefix(_GREETING).strip(), log)
        finally:
            process.communicate(timeout=STOP_S)


@contextmanager
def _child(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends at the end of the block, with all that it has started.

    It is the head of a group of its own: Ctrl-C is for this process, which
    then ends the others.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTTS_")}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**own, "OPENBLAS_NUM_THREADS": "1"},  # who forks should have one thread
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            process.communicate()
