"""Standard streams, HOME and TMPDIR as a daemon or a full disk leave them."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from batchtts.errors import Exit
from tests.e2e import (
    COMMAND,
    DEADLINE,
    TONE,
    ask,
    by_id,
    descendants,
    done,
    environment,
    eventually,
    ledger,
    sentences,
    write_csv,
)

ROWS = {"a": "One.", "b": "Two words."}
RUN = ["run", "m.csv", *TONE]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a manifest."""
    write_csv(tmp_path / "m.csv", ROWS)
    return tmp_path


def redirected(command: list[str], where: str, here: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its streams as the shell's words in *where* say."""
    if "/dev/full" in where and not Path("/dev/full").exists():
        pytest.skip("no device is always full here")
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {where}', "-", *COMMAND, *command],
        cwd=here,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize(
    ("where", "flags"),
    [
        *((where, []) for where in (*CLOSED, ">/dev/full", "2>/dev/full")),
        ("<&- >&- 2>&-", ["--quiet"]),
    ],
)
def test_a_run_that_nobody_hears_is_done(here: Path, where: str, flags: list[str]) -> None:
    told = redirected([*RUN, *flags], where, here)
    assert (told.returncode, told.stdout) == (0, b"")
    assert b"Traceback" not in told.stderr
    assert by_id(here / "m", "status") == dict.fromkeys(ROWS, "done")
    assert [line["id"] for line in ledger(here / "m") if "id" in line] != []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing tells of open files here")
def test_no_file_takes_the_place_of_a_closed_stream_in_the_voices_either(here: Path) -> None:
    write_csv(here / "m.csv", sentences(2000))
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "-", *COMMAND, *RUN],
        cwd=here,
        env=environment(),
    )
    with process:
        try:
            eventually(lambda: len(done(here / "m")) > 5)
            family = [process.pid, *descendants(process.pid)]
            errors = [Path(f"/proc/{pid}/fd/2").readlink() for pid in family]
        finally:
            process.kill()
    assert len(family) > 2
    assert errors == [Path(os.devnull)] * len(family)


def test_a_run_whose_listener_went_away_is_done(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    told = subprocess.run(
        [*COMMAND, *RUN], cwd=here, env=environment(), stderr=writing, timeout=DEADLINE, check=False
    )
    os.close(writing)
    assert told.returncode == 0
    assert by_id(here / "m", "status") == dict.fromkeys(ROWS, "done")


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("command", [["run", "nothing.csv"], ["run", "--nonsense"]], ids=" ".join)
def test_a_mistake_that_nobody_hears_of_keeps_its_status(
    here: Path, where: str, command: list[str]
) -> None:
    assert redirected(command, where, here).returncode == Exit.USAGE


@pytest.mark.parametrize(
    "command", [["--help"], ["voices"], ["providers", "--json"], ["plan", "m.csv"]], ids=" ".join
)
def test_an_answer_that_cannot_be_written_is_told_in_one_line(
    here: Path, command: list[str]
) -> None:
    told = redirected(command, ">/dev/full", here)
    assert told.returncode == Exit.BROKEN
    assert told.stderr == b"batchtts: standard output: no space left on device\n"


@pytest.mark.skipif(not find_spec("hibari"), reason="the neural voice is not installed")
@pytest.mark.parametrize("home", ["home", "/proc/self", "nowhere"])
def test_a_run_neither_needs_nor_touches_a_home(here: Path, home: str) -> None:
    (here / "home").mkdir()
    extra = {"HOME": str(here / home), "TMPDIR": str(here / "nowhere")}
    extra |= dict.fromkeys(("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"), "")
    answer = ask("run", "m.csv", "--provider", "local", "--quiet", here=here, extra=extra)
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    assert list((here / "home").iterdir()) == []
    assert not (here / "nowhere").exists()
