"""The process that is hurt: a run that counts its durable steps, and is struck at one of them.

    python -m batchtts.selftest.victim

reads orders from standard input, one JSON object per line, and tells on standard
output what became of them. It has imported everything a run needs, and forks for
each order, so that a run of a few rows takes a fraction of a second. The end of
standard input ends it.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, NoReturn, cast

import msgspec

from batchtts.errors import BatchttsError
from batchtts.job.settings import Job
from batchtts.record import disk
from batchtts.run.job import run

#: The functions of the file layer that do one thing each → how that is called.
STEPS = {
    "create": "create",
    "open_to_append": "open",
    "truncate": "cut",
    "write_all": "write",
    "sync": "sync",
    "sync_directory": "sync",
    "rename": "rename",
    "link": "link",
    "remove": "remove",
    "create_directory": "create",
}
_OPENING = ("create", "open_to_append")
_NAMING = ("rename", "link")
_OF_DIRECTORIES = ("sync_directory", "create_directory")

_FILES = ("ledger", "summary", "begun")

_LATER = ("numpy.ma", "batchtts.wire.local")  # what a run imports when it comes to it

LONGEST_S = 300  # a victim that hangs is ended, and that is a finding


class Wound(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a run.

    Attributes:
        kind: Of the durable step that is hit, such as ``rename audio``.
        number: Which step of this kind, from 1; 0 leaves the run alone.
        error: Number of the error that the step ends with; 0 kills the process.
        lasts: Whether every later step, of any kind, ends with the error, too.
    """

    kind: str = ""
    number: int = 0
    error: int = 0
    lasts: bool = False

    def __str__(self) -> str:
        what = errno.errorcode[self.error] if self.error else "killed"
        return f"{what} {'from' if self.lasts else 'at'} {self.kind} {self.number}"


class Order(msgspec.Struct, frozen=True):
    """One run, and what happens to it; *job* holds the fields of a Job."""

    job: dict[str, Any]
    wound: Wound


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of a run, piece by piece; *status* comes last.

    Attributes:
        pid: Of the victim.
        is_hit: Whether it came to the step at which it was to be struck.
        steps: How many it took of each kind, if it came to its end.
        message: The error that it ended with.
        status: Its exit status; below zero the signal that ended it.
    """

    pid: int = 0
    is_hit: bool = False
    steps: dict[str, int] = {}
    message: str = ""
    status: int | None = None


class Steps:
    """Stands in for the file layer: counts what is done, and strikes at one step."""

    def __init__(self, wound: Wound, tell: Callable[[Word], None]) -> None:
        self._wound = wound
        self._tell = tell
        self._paths: dict[int, str] = {}
        self._is_struck = False
        self.taken: Counter[str] = Counter()

    def install(self) -> None:
        """Put every function of the file layer behind the count, in this process."""
        for name in STEPS:
            setattr(disk, name, self._counted(name, getattr(disk, name)))

    def _counted(self, name: str, step: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            file = arguments[1] if name in _NAMING else arguments[0]
            kind = kind_of(name, self._path(file))
            self.taken[kind] += 1
            if self._is_due(kind):
                if name == "write_all":
                    whole = b"".join(cast(tuple[disk.Buffer, ...], arguments[1:]))
                    step(file, whole[: len(whole) // 2])
                self._strike(file)
            found = step(*arguments)
            if name in _OPENING:
                assert isinstance(found, int)
                self._paths[found] = str(file)
            return found

        return counted

    def _is_due(self, kind: str) -> bool:
        wound = self._wound
        if self._is_struck:
            return wound.lasts
        return kind == wound.kind and self.taken[kind] == wound.number

    def _strike(self, file: object) -> NoReturn:
        if not self._is_struck:
            self._is_struck = True
            self._tell(Word(is_hit=True))
        if not self._wound.error:
            os.kill(os.getpid(), signal.SIGKILL)
        where = [] if isinstance(file, int) else [str(file)]
        raise OSError(self._wound.error, os.strerror(self._wound.error), *where)

    def _path(self, file: object) -> str:
        if not isinstance(file, int):
            return str(file)
        with suppress(OSError):  # where there is no /proc, a file opened elsewhere has no name
            return str(Path(f"/proc/self/fd/{file}").readlink())
        return self._paths.get(file, "")


def kind_of(name: str, path: str) -> str:
    """Say in two words what a step does, by its function and its path."""
    return f"{STEPS[name]} {'directory' if name in _OF_DIRECTORIES else _subject(path)}"


def _subject(path: str) -> str:
    name = PurePath(path).name
    stem, _, ending = name.partition(".")
    if ending == "parquet":
        return "snapshot" if stem.startswith("ledger") else "results"
    if stem == "ledger" and ending != "jsonl":
        return "snapshot"  # or what is left of the ledger, on its way to be one
    return stem if stem in _FILES else "audio"


def main() -> None:
    """Run what is ordered, each in a process of its own, until standard input ends."""
    logging.disable()  # what a hurt run has to say is told by its end
    for module in _LATER:
        import_module(module)
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        pid = os.fork()
        if not pid:
            _suffer(order)
        _tell(Word(pid=pid))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _tell(Word(status=status))


def _suffer(order: Order) -> NoReturn:
    """Do a run in this process, which ends with it."""
    signal.alarm(LONGEST_S)
    steps = Steps(order.wound, _tell)
    steps.install()
    message = ""
    try:
        status = run(Job(**order.job), environment={}).exit_code
    except BatchttsError as error:
        status, message = int(error.exit_code), str(error)
    _tell(Word(steps=steps.taken, message=message))
    os._exit(status)


def _tell(word: Word) -> None:
    os.write(1, msgspec.json.encode(word) + b"\n")


if __name__ == "__main__":
    main()
