"""A run as somebody sees it: in a real terminal of any width, in a file, in a log."""

from __future__ import annotations

import logging
import os
import pty
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchtts.job.settings import load
from batchtts.run import progress
from batchtts.run.job import run
from batchtts.run.progress import Lines
from tests.e2e import (
    AT_ONCE,
    COMMAND,
    DEADLINE,
    LINGER_S,
    TONE,
    Row,
    ask,
    environment,
    eventually,
    results,
    sentences,
    serving,
    write_csv,
)

WEATHER = """
[[fault]]
kind = "fail"
text = "hopeless"

[[fault]]
kind = "fail"
probability = 0.1

[[fault]]
kind = "slow"
probability = 1.0
seconds = {seconds}
"""

BAR = re.compile(
    r"[━╸─#-]+ +(?P<share>\d+)%  +(?P<done>\d+)/(?P<rows>\d+) done  (?P<failed>\d+) failed"
    r"(  \d+ refused)?(  \d+ in flight)?(  \d+ waiting)?(  [\d.]+ rows/s)?"
    r"(  [\d.]+x|  [\d.]+ x real time)?(  \$(?P<spent>[\d.]+) of \$(?P<whole>[\d.]+))?"
    r"(  [\d:]+)?(  \d+ (s|min) left|  starting)? *"
)
DRAWN = re.compile("[━╸─]")
ERROR = re.compile(r"last error: .+")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a job that costs something, and of which one row fails."""
    write_csv(tmp_path / "m.csv", sentences(60) | {"lost": "A hopeless case."})
    (tmp_path / "m.toml").write_text('manifest = "m.csv"\nout = "m"\nprices = { tone = 100.0 }\n')
    return tmp_path


@contextmanager
def slowly(here: Path, seconds: float = 0.05) -> Iterator[list[str]]:
    """The words of a run against a server that takes its time."""
    (here / "weather.toml").write_text(WEATHER.format(seconds=seconds))
    with serving(here / "log", faults=here / "weather.toml") as server:
        flags = ["--workers", "4", "--attempts", "3", "--endpoint", server.url]
        yield [*COMMAND, "run", "m.toml", *TONE, *AT_ONCE, *flags]


def watched(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """The environment of somebody who sits before a terminal."""
    unwanted = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    kept = {name: value for name, value in environment().items() if name not in unwanted}
    return {**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **extra}


def plain(written: str) -> str:
    """What a terminal shows of what it is sent."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", written)


# In a real terminal


class Pane:
    """A pane of tmux with a shell that waits for a key before the run, and after it."""

    def __init__(self, here: Path, width: int, command: list[str]) -> None:
        self._socket = here / "tmux"
        self._raw = here / "raw"
        script = f"read begin; seq 40; {shlex.join(command)}; echo status=$?; read end"
        size = ["-x", f"{width}", "-y", "24"]
        self._here = here
        self.ask("-f", "/dev/null", "new-session", "-d", *size, "sh", "-c", script)
        self.ask("set-option", "-g", "window-size", "manual")
        self.ask("pipe-pane", "-o", f"cat > {shlex.quote(str(self._raw))}")

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", str(self._socket), *words],
            cwd=self._here,
            env=watched(),
            capture_output=True,
            encoding="utf-8",
            timeout=DEADLINE,
            check=True,
        )
        return done.stdout

    def begin(self) -> None:
        self.ask("send-keys", "Enter")

    def lines(self, *, all_of_them: bool = False) -> list[str]:
        """What is to be seen, or was."""
        history = ["-S", "-"] if all_of_them else []
        return [it.rstrip() for it in self.ask("capture-pane", "-p", *history).splitlines()]

    def await_drawing(self) -> None:
        """Wait until the bar has been drawn twice: the first may have been on its way."""
        drawn = self._raw.read_text().count("%")
        eventually(lambda: self._raw.read_text().count("%") > drawn + 1)

    def bars(self) -> list[re.Match[str]]:
        """Every bar that was ever drawn."""
        return [*BAR.finditer(plain(self._raw.read_text()))]


@pytest.fixture
def panes(here: Path) -> Iterator[list[Pane]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened: list[Pane] = []
    yield opened
    for pane in opened:
        pane.ask("kill-server")


def check_screen(lines: list[str], width: int) -> re.Match[str] | None:
    """Nothing is broken, nothing is there twice; return the bar, if there is one."""
    drawn = [number for number, line in enumerate(lines) if DRAWN.search(line)]
    assert len(drawn) <= 1, lines
    if not drawn:
        return None
    bar = BAR.fullmatch(lines[drawn[0]])
    assert bar is not None, lines[drawn[0]]
    assert len(bar[0]) < width
    below = [line for line in lines[drawn[0] + 1 :] if line]
    if width < 100:
        assert below == []
    elif below:
        assert len(below) == 1, below
        assert ERROR.fullmatch(below[0])
        assert len(below[0]) < width
    return bar


def check_end(bar: re.Match[str], rows: list[Row]) -> None:
    """The last bar tells what the results tell."""
    statuses = [row["status"] for row in rows]
    assert (int(bar["share"]), int(bar["rows"])) == (100, len(rows))
    assert int(bar["done"]) == statuses.count("done")
    assert int(bar["failed"]) == statuses.count("failed") == 1
    if bar["spent"] is not None:
        spent = sum(row["cost_usd"] for row in rows)
        assert float(bar["spent"]) == float(bar["whole"]) == pytest.approx(spent, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_shows_one_calm_line_or_two(here: Path, panes: list[Pane], width: int) -> None:
    seen: list[re.Match[str]] = []
    with slowly(here) as command:
        panes.append(pane := Pane(here, width, command))
        pane.begin()

        def is_over() -> bool:
            lines = pane.lines()
            bar = check_screen(lines, width)
            seen.extend([bar] if bar else [])
            return any(line.startswith("status=") for line in lines)

        eventually(is_over)
    done = [int(bar["done"]) for bar in seen]
    assert done == sorted(done)
    assert len(set(done)) > 10
    assert [bar for bar in seen if "left" in bar[0]] != []
    check_end(pane.bars()[-1], results(here / "m"))
    left = pane.lines(all_of_them=True)
    assert not any(map(DRAWN.search, left))
    assert not any(map(ERROR.search, left))
    assert "61 rows: 60 done, 1 failed" in "".join(left)
    assert "status=3" in left


@pytest.mark.slow
def test_a_terminal_that_changes_its_width_keeps_nothing(here: Path, panes: list[Pane]) -> None:
    with slowly(here, 0.1) as command:
        panes.append(pane := Pane(here, 160, command))
        pane.begin()
        eventually(lambda: any(map(ERROR.fullmatch, pane.lines())))
        for width in (90, 60, 30, 100, 160):
            pane.ask("resize-window", "-x", f"{width}")
            pane.await_drawing()
            lines = pane.lines()
            assert sum(bool(DRAWN.search(line)) for line in lines) == 1, lines
        eventually(lambda: "status=3" in pane.lines())
    left = pane.lines(all_of_them=True)
    assert not any(map(DRAWN.search, left)), left
    assert [line for line in left if line.isdigit()] == [f"{n}" for n in range(1, 41)]


# In any terminal


def seen(here: Path, command: list[str], extra: Mapping[str, str] = {}) -> tuple[int, str]:
    """Run a command whose stderr is a terminal; return its status, and what was written."""
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        command, cwd=here, env=watched(extra), stdin=subprocess.DEVNULL, stderr=writing
    )
    os.close(writing)
    written = b""
    with process:
        try:
            while part := os.read(reading, 65536):
                written += part
        except OSError:  # that is how a terminal ends
            pass
        finally:
            os.close(reading)
            status = process.wait(DEADLINE)
    return status, written.decode()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The words of a run that takes no time, with two rows that are alike."""
    with serving((root := tmp_path_factory.mktemp("tiny")) / "log") as server:
        write_csv(root / "t.csv", {"a": "Once more.", "b": "Once more.", "c": "Another one."})
        words = ["run", str(root / "t.csv"), "-o", "t", *TONE, *AT_ONCE]
        yield [*COMMAND, *words, "--endpoint", server.url]


def test_rows_that_share_audio_are_done_before_a_terminal_too(here: Path, tiny: list[str]) -> None:
    status, written = seen(here, tiny)
    assert status == 0
    assert "2/2 done" in written
    assert "3 rows: 3 done" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1


@pytest.mark.parametrize(
    ("extra", "is_drawn", "is_colored"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"CI": "true"}, False, False),
        ({"CI": "false"}, True, True),
        ({"TTY_INTERACTIVE": "0"}, False, False),
    ],
    ids=str,
)
def test_a_terminal_says_what_it_bears(
    here: Path, tiny: list[str], extra: dict[str, str], *, is_drawn: bool, is_colored: bool
) -> None:
    status, written = seen(here, tiny, extra)
    assert status == 0
    assert bool(DRAWN.search(written)) == is_drawn
    assert bool(re.search(r"\x1b\[[\d;]*3\d[\dm;]", written)) == is_colored
    if not is_drawn:
        assert "\x1b" not in written


def test_a_terminal_without_fine_lines_gets_a_plain_bar(here: Path, tiny: list[str]) -> None:
    status, written = seen(here, tiny, {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert status == 0
    assert written.isascii()
    assert "############ 100%  2/2 done" in plain(written)


def test_a_quiet_run_shows_nothing_on_a_terminal(here: Path, tiny: list[str]) -> None:
    assert seen(here, [*tiny, "--quiet"]) == (0, "")


# In a file


def test_a_short_run_tells_a_file_nothing_of_its_progress(here: Path, tiny: list[str]) -> None:
    answer = ask(*tiny[len(COMMAND) :], here=here)
    assert answer.status == 0
    assert [line for line in answer.err.splitlines() if "left" in line or "flight" in line] == []
    assert not re.search(r"[\x1b\r━╸─]", answer.err)


LINE = re.compile(
    r"(?P<done>\d+)/61 done, (?P<failed>\d+) failed, \d+ in flight(, \d+ waiting)?"
    r"(, [\d.]+/s, [\d.]+ x real time)?(, ttfa p50 [\d.]+ s p95 [\d.]+ s)?"
    r"(, \$[\d.]+ of \$[\d.]+)?(, \d+ (s|min) left|, starting)?(; last error: .+)?"
)


def test_lines_tell_what_the_results_tell(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "REPORT_EVERY_S", 0.02)
    caplog.set_level(logging.INFO)
    with slowly(here, 0.01) as command:
        flags = {"provider": "local", "voice": "tone", "endpoint": command[-1], "workers": 4}
        options = {"linger_s": LINGER_S}
        job = load(here / "m.toml", {**flags, "attempts": 3, "options": options})
        summary = run(job, environment={}, progress=Lines())
    told = [record for record in caplog.records if record.name == progress.__name__]
    lines = [LINE.fullmatch(record.getMessage()) for record in told]
    assert None not in lines
    assert len(lines) > 5
    done = [int(line["done"]) for line in lines if line]
    assert done == sorted(done)
    assert 0 < done[-1] <= summary.done == 60
    facts = told[-1].__dict__["facts"]
    assert facts["characters_done"] <= facts["characters"]
    assert facts["cost_usd"] <= summary.spent_usd


@pytest.mark.slow
def test_a_file_gets_a_line_a_minute(here: Path) -> None:
    with slowly(here, 0.42) as command, (here / "stderr").open("wb") as stderr:
        done = subprocess.run(
            command, cwd=here, env=watched(), stderr=stderr, timeout=180, check=False
        )
    assert done.returncode == 3
    text = (here / "stderr").read_text()
    assert not re.search(r"[\x1b\r━╸─]", text)
    lines = [re.fullmatch(rf"\S+ run {LINE.pattern}", line) for line in text.splitlines()]
    assert 1 <= len([line for line in lines if line]) <= 2
