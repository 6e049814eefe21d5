"""What a run says on stderr: JSON for machines, closing lines for people."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchtts.cli import talk
from batchtts.job.settings import Job
from batchtts.notices import notice
from batchtts.run.figures import Work
from batchtts.run.progress import counting
from batchtts.run.summary import Summary
from tests.e2e import (
    COMMAND,
    DEADLINE,
    ROOT,
    TONE,
    Answer,
    ask,
    done,
    end,
    environment,
    eventually,
    sentences,
    serving,
    started,
    write_csv,
)

LOGGING = [f"log.{level}" for level in ("debug", "info", "warning", "error", "log")]

ROWS = {"a": "One.", "b": "Two.", "c": "Three."}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a manifest that is spoken, m.csv, and one that is not, new.csv."""
    path = tmp_path_factory.mktemp("talk")
    write_csv(path / "m.csv", ROWS)
    write_csv(path / "new.csv", ROWS)
    assert ask("run", "m.csv", *TONE, "--quiet", here=path).status == 0
    return path


JSON = ("--log-format", "json")


def events(answer: Answer) -> list[dict[str, Any]]:
    """The lines of stderr, each an object with what every one has."""
    assert answer.out == ""
    lines = [json.loads(line) for line in answer.err.splitlines()]
    for line in lines:
        assert list(line)[:5] == ["time", "level", "event", "place", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", line["event"])
        assert line["level"] in ("info", "warning", "error")
    return lines


def test_a_run_tells_machines_what_it_does(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One.", "b": "?", "c": "Three."})
    answer = ask("run", "m.csv", *TONE, *JSON, here=tmp_path)
    assert answer.status == 3
    failed, begins, summary = events(answer)
    assert {key: failed[key] for key in ("event", "level", "id", "code")} == {
        "event": "row_failed",
        "level": "warning",
        "id": "b",
        "code": "script_rejected",
    }
    assert (begins["event"], begins["rows"], begins["to_speak"]) == ("run_begins", 3, 2)
    assert (summary["event"], summary["level"]) == ("summary", "warning")
    written = json.loads((tmp_path / "m/summary.json").read_text())
    assert {key: summary[key] for key in written} == written


def test_attempts_and_signals_are_told_to_machines(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One."})
    (tmp_path / "weather.toml").write_text('[[fault]]\nkind = "fail"\nrequests = [1]\n')
    with serving(tmp_path / "log", faults=tmp_path / "weather.toml") as server:
        flags = (*TONE, "--endpoint", server.url, *JSON)
        answer = ask("run", "m.csv", *flags, "--verbose", here=tmp_path)
    [failed] = [it for it in events(answer) if it["event"] == "attempt_failed"]
    assert (failed["id"], failed["attempt"], failed["code"]) == ("a", 1, "synthesis_failed")
    assert (failed["place"], failed["level"]) == ("worker-0", "info")
    assert failed["wait_s"] >= 0


def test_a_stop_is_told_to_machines(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(150))
    with serving(tmp_path / "log") as server:
        flags = (*TONE, "--endpoint", server.url, "--workers", "1", *JSON)
        with started("run", "m.csv", *flags, here=tmp_path) as process:
            eventually(lambda: len(done(tmp_path / "m")) >= 3)
            end(process, signal.SIGTERM)
    told = events(Answer(0, "", (tmp_path / "stderr").read_text(), 0.0))
    [stopping] = [it for it in told if it["event"] == "stopping"]
    assert (stopping["signal"], stopping["grace_s"]) == ("SIGTERM", 30.0)
    assert (told[-1]["event"], told[-1]["exit_code"]) == ("summary", 143)


def test_a_quiet_run_tells_machines_nothing_when_all_is_well(here: Path) -> None:
    answer = ask("run", "m.csv", *TONE, *JSON, "--quiet", here=here)
    assert answer == Answer(0, "", "", answer.seconds)


UNPARSED = [
    ("m.csv --workers x", "Invalid value for '-w' / '--workers': 'x' is not a valid", 2),
    ("m.csv --wokers 3", "No such option '--wokers'.", 2),
    ("", "Missing argument 'MANIFEST'.", 2),
]
REFUSED = [
    ("nothing.csv", "nothing.csv: no such file", 2),
    ("typo.toml", "typo.toml: unknown key 'wokers'", 2),
    ("new.csv -p local --endpoint ws://127.0.0.1:9 --outage 0", "local at ws://127.0.0.1:9", 4),
]


@pytest.mark.parametrize(
    ("asking", "command", "message", "status"),
    [
        *(("--log-format json", *each) for each in (*UNPARSED, *REFUSED)),
        *(("--log-format=json", *each) for each in UNPARSED),  # the words themselves are read
        *(("variable", *each) for each in (*UNPARSED, *REFUSED)),
    ],
)
def test_what_is_wrong_is_told_to_machines_in_their_way(
    here: Path, asking: str, command: str, message: str, status: int
) -> None:
    (here / "typo.toml").write_text('manifest = "m.csv"\nwokers = 3')
    if asking == "variable" and "--wokers" in command:
        pytest.skip("what cannot be parsed is not looked at any further")
    extra = {"BATCHTTS_RUN_LOG_FORMAT": "json"} if asking == "variable" else {}
    flags = [] if asking == "variable" else asking.split()
    answer = ask("run", *command.split(), *flags, here=here, extra=extra)
    last = events(answer)[-1]
    assert (answer.status, last["exit_code"], last["level"]) == (status, status, "error")
    assert last["event"] == "error"
    assert last["message"].startswith(message)
    assert "hint" in last


def test_a_job_file_asks_for_json_too(here: Path) -> None:
    (here / "json.toml").write_text('manifest = "nothing.csv"\nlog_format = "json"')
    [error] = events(ask("run", "json.toml", here=here))
    assert error["message"] == "nothing.csv: no such file"


def test_a_bug_is_told_to_machines_in_their_way(tmp_path: Path) -> None:
    program = (
        "import sys, batchtts.cli as it\n"
        "sys.excepthook = __import__('functools').partial("
        "it._report_bug, it.Tongue(log_format='json'))\n"
        "raise ValueError('seven')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True
    )
    [error] = events(Answer(done.returncode, done.stdout, done.stderr, 0.0))
    assert (done.returncode, error["exit_code"]) == (70, 70)
    assert "ValueError: seven" in error["traceback"]


def test_progress_is_told_to_machines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("batchtts")
    # A half of a character is more than what pytest's workers can report to each other.
    monkeypatch.setattr(logger, "propagate", False)
    before = logger.handlers, logger.level
    try:
        talk.begin(Job(manifest=Path("m.csv"), log_format="json"))
        figures = counting(Work(rows=3, size=10)).facts()
        logging.getLogger("batchtts.run.progress").info(
            "1/3 done", extra=notice("progress", more=figures)
        )
        logging.getLogger("batchtts.wire").warning("\ud800\n%s", "ü")
    finally:
        logger.handlers, logger.level = before
    progress, other = events(Answer(0, "", capsys.readouterr().err, 0.0))
    assert (progress["event"], progress["rows"], progress["left_s"]) == ("progress", 3, None)
    assert (other["event"], other["place"], other["message"]) == ("message", "wire", "\ud800\nü")


def test_every_line_of_a_log_says_what_it_is() -> None:
    nameless = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "batchtts").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in LOGGING
        and "extra" not in {keyword.arg for keyword in node.keywords}
    ]
    assert nameless == []


# ── the closing lines ─────────────────────────────────────────────────────────

SUMMARY = Summary(
    manifest="m.csv",
    out="m",
    provider="together",
    rows=120,
    done=118,
    failed=2,
    pending=0,
    spoken=118,
    shared=0,
    audio_s=431.0,
    spoken_audio_s=431.0,
    characters_sent=100_000,
    spent_usd=0.41,
    estimated_usd=0.4,
    cost_usd=1.2,
    unpriced=0,
    limit=None,
    wall_s=12.0,
    started_at="",
    exit_code=3,
    batchtts="",
)


def closing(job: Mapping[str, Any] = {}, **figures: Any) -> list[str]:  # noqa: ANN401
    wish = Job(manifest=Path("m.csv"), **job)
    return talk.closing_lines(msgspec.structs.replace(SUMMARY, **figures), wish)


def test_the_closing_lines_tell_what_was_spent_of_what_was_estimated() -> None:
    assert closing() == [
        "120 rows: 118 done, 2 failed; 431.0 s of audio in 12 s (35.9 x real time);"
        " $0.41 spent of $0.40 estimated, $1.20 in all",
        "m/results.parquet",
        "m/failed.parquet says why; it is a manifest itself",
    ]


@pytest.mark.parametrize(
    ("figures", "ending"),
    [
        ({"spent_usd": 0.0, "estimated_usd": 0.0}, "real time); $1.20 in all"),
        ({"spent_usd": 0.0, "estimated_usd": 0.0, "cost_usd": 0.0}, "real time); $0.00 in all"),
        ({"spent_usd": 0.0}, "; $0.00 spent of $0.40 estimated, $1.20 in all"),
        ({"unpriced": 3}, "; $0.41 spent of $0.40 estimated, at least $1.20 in all"),
        ({"shared": 7, "spent_usd": 0.0, "estimated_usd": 0.0}, ", 7 rows share the audio of others"
         "; $1.20 in all"),
    ],
)  # fmt: skip
def test_what_is_nothing_is_not_told(figures: dict[str, Any], ending: str) -> None:
    assert closing(**figures)[0].endswith(ending)


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ({"max_cost_usd": 0.01}, "--max-cost 0.01"),
        ({"max_duration_s": 5400.0}, "--max-duration 1h30m"),
        ({"limit": 84}, "--limit 84"),
    ],
)
def test_the_limit_that_ended_a_run_is_told_with_what_to_do(job: dict[str, Any], told: str) -> None:
    [limit] = job
    figures = {"limit": limit, "pending": 34, "done": 84, "exit_code": 5}
    *_, line = closing(job, **figures)
    assert line == f"stopped by {told}: 34 rows left, run again"


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ({"sample": 84}, "--sample 84"),
        ({"again": ("failed",)}, "--again failed"),
        ({"again": ("one", "two")}, "--again one …"),
    ],
)
def test_what_leaves_rows_out_of_every_run_is_told_so(job: dict[str, Any], told: str) -> None:
    [limit] = job
    *_, line = closing(job, limit=limit, pending=34, done=86, failed=0, exit_code=5)
    assert line == f"34 rows left out by {told}: run without it"


@pytest.mark.parametrize(("status", "told"), [(130, "interrupted"), (143, "terminated")])
@pytest.mark.parametrize("limit", [None, "limit"])
def test_a_run_that_was_stopped_says_what_to_do(status: int, told: str, limit: str | None) -> None:
    *_, line = closing({"limit": 84}, limit=limit, pending=34, done=84, exit_code=status)
    assert line == f"{told}: 34 rows left, run again"
    *_, line = closing({"limit": 84}, limit=limit, pending=0, done=120, exit_code=status)
    assert line == f"{told}: work is left, run again"


# ── nobody listens ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", [[], ["--log-format", "json"]], ids=["text", "json"])
def test_a_run_goes_on_when_nobody_listens_any_more(tmp_path: Path, flags: list[str]) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One.", "b": "?"})
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [*COMMAND, "run", "m.csv", *TONE, *flags]
        gone = subprocess.run(
            command, cwd=tmp_path, env=environment(), stderr=writing, timeout=DEADLINE, check=False
        )
    finally:
        os.close(writing)
    assert gone.returncode == 3
    assert done(tmp_path / "m") == ["a"]


def test_a_run_needs_no_stderr_at_all(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One.", "b": "?"})
    command = ["sh", "-c", 'exec "$@" 2>&-', "", *COMMAND, "run", "m.csv", *TONE]
    closed = subprocess.run(command, cwd=tmp_path, env=environment(), timeout=DEADLINE, check=False)
    assert closed.returncode == 3
    assert done(tmp_path / "m") == ["a"]
