from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchtts.errors import Exit, OutputInUse
from batchtts.record.lock import hold

HOLDER = """
import sys
from pathlib import Path
from batchtts.record.lock import hold

with hold(Path(sys.argv[1]), shown_as=Path("out")):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refused(directory: Path) -> str:
    with pytest.raises(OutputInUse) as error, hold(directory, shown_as=Path("out")):
        pass
    assert error.value.exit_code == Exit.IN_USE
    return str(error.value)


def test_the_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        told = refused(tmp_path)
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"
    who = re.escape(f"out is in use by pid {process.pid} on {socket.gethostname()} since ")
    assert re.fullmatch(who + when, told)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        process.kill()
        process.wait()
        with hold(tmp_path, shown_as=tmp_path):
            assert str(os.getpid()) in refused(tmp_path)


def test_a_lock_that_was_given_back_leaves_no_name_behind(tmp_path: Path) -> None:
    for _ in range(2):
        with hold(tmp_path, shown_as=tmp_path):
            assert (tmp_path / "holder.json").exists()
        assert not (tmp_path / "holder.json").exists()


def test_an_error_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold(tmp_path, shown_as=tmp_path):
        raise KeyError
    with hold(tmp_path, shown_as=tmp_path):
        pass


@pytest.mark.parametrize("told", [b"", b"{", b'{"pid":"?"}', None])
def test_a_holder_without_a_name_is_another_run(tmp_path: Path, told: bytes | None) -> None:
    with hold(tmp_path, shown_as=tmp_path):
        (tmp_path / "holder.json").unlink()
        if told is not None:
            (tmp_path / "holder.json").write_bytes(told)
        assert refused(tmp_path) == "out is in use by another run"
