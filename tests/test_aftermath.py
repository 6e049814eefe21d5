"""What comes after a run: figures, commands, pings; and that none of them changes how it ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import batchtts
from batchtts.errors import Exit, OutputBroken, OutputInUse, ProviderDown
from batchtts.job.settings import Job
from batchtts.run import hooks, metrics
from batchtts.run.aftermath import aftermath
from batchtts.run.summary import Summary
from tests.e2e import (
    TONE,
    ask,
    done,
    end,
    environment,
    eventually,
    is_gone,
    sentences,
    serving,
    started,
    write_csv,
)

POLL_S = 0.01  # a server that is told to end looks up as often

#: Writes what a hook is told into a file.
ENV = 'env | grep "^BATCHTTS_[EOSM]" | sort > told'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)


def summary(exit_code: int = 0, **figures: Any) -> Summary:  # noqa: ANN401  any figure
    told: dict[str, Any] = {
        **dict.fromkeys(("manifest", "out", "provider", "started_at", "batchtts"), ""),
        **dict.fromkeys(("spoken", "shared", "characters_sent", "unpriced"), 0),
        **dict.fromkeys(("audio_s", "spoken_audio_s", "spent_usd", "estimated_usd"), 0.0),
        **dict.fromkeys(("cost_usd", "wall_s"), 0.0),
        "rows": 5,
        "done": 3,
        "failed": 2,
        "pending": 0,
        "limit": None,
    }
    return Summary(**{**told, **figures}, exit_code=exit_code)


def job(**settings: Any) -> Job:  # noqa: ANN401  any setting
    return Job(manifest=Path("books.csv"), **settings)


def after(wish: Job, status: int = 0, error: BaseException | None = None) -> None:
    """Let a run end: with a summary, or with an error that must come out of it as it was."""
    if error is None:
        with aftermath(wish) as following:
            following.summary = summary(status)
        return
    with pytest.raises(type(error)) as raised, aftermath(wish):
        raise error
    assert raised.value is error


def told() -> dict[str, str]:
    lines = Path("told").read_text().splitlines()
    return dict(line.partition("=")[::2] for line in lines)


# ── commands ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [0, 3, 5, 130, 143])
def test_one_of_two_commands_is_called(status: int) -> None:
    after(job(on_success="echo good > said", on_failure="echo bad > said"), status)
    assert Path("said").read_text() == ("bad\n" if status else "good\n")


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ProviderDown("nobody answers"), "4", "nobody answers"),
        (OutputInUse("in\nuse"), "11", "in use"),
        (KeyboardInterrupt(), "130", "interrupted"),
        (SystemExit(143), "143", "terminated"),
        (ValueError("7"), "70", "a bug in batchtts: ValueError: 7"),
        (OutputBroken("a\0b\udcff"), "4", "a\\x00b\\udcff"),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, BaseException) else None,
)
def test_a_command_is_told_what_went_wrong(
    error: BaseException, status: str, message: str, tmp_path: Path
) -> None:
    after(job(on_failure=ENV, out=Path("o")), error=error)
    assert told() == {
        "BATCHTTS_EXIT_STATUS": status,
        "BATCHTTS_MANIFEST": f"{tmp_path}/books.csv",
        "BATCHTTS_MESSAGE": message,
        "BATCHTTS_OUT": f"{tmp_path}/o",
        "BATCHTTS_SUMMARY": f"{tmp_path}/o/summary.json",
    }


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"exit_code": 0}, ""),
        ({"exit_code": 3}, "2 of 5 rows failed"),
        ({"exit_code": 5, "limit": "limit", "pending": 4}, "stopped by limit: 4 of 5 rows left"),
        ({"exit_code": 5, "limit": "sample", "pending": 4}, "4 of 5 rows left out by sample"),
        ({"exit_code": 130, "pending": 4}, "interrupted: 4 of 5 rows left"),
        ({"exit_code": 143, "pending": 4}, "terminated: 4 of 5 rows left"),
    ],
)
def test_a_run_that_came_to_its_end_is_told_in_a_line(
    figures: dict[str, Any], message: str
) -> None:
    with aftermath(job(on_success=ENV, on_failure=ENV)) as following:
        following.summary = summary(**figures)
    assert told()["BATCHTTS_MESSAGE"] == message


def test_a_very_long_message_does_not_keep_a_command_from_starting() -> None:
    after(job(on_failure=ENV), error=ProviderDown("x" * 1_000_000))
    assert set(told()["BATCHTTS_MESSAGE"]) == {"x"}


def test_no_key_is_told_to_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOGETHER_API_KEY", "other_api_key", "BATCHTTS_SERVE_KEY", "KEPT"):
        monkeypatch.setenv(name, "sk-secret")
    after(job(on_success="env > told", provider="together"))
    assert [name for name, value in told().items() if value == "sk-secret"] == ["KEPT"]


def test_a_command_in_words_has_no_shell() -> None:
    after(job(on_success=("sh", "-c", 'echo "$1" > said', "", "$HOME; `pwd`")))
    assert Path("said").read_text() == "$HOME; `pwd`\n"


def test_what_a_command_says_is_logged_and_is_not_on_stdout(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    after(job(on_success="echo one; echo two >&2; printf '\\033[31m\\377'"))
    assert caplog.messages == ["one", "two", "\\x1b[31m\ufffd"]
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("echo oh; exit 7", "exit status 7"),
        ("kill -9 $$", "ended by signal 9"),
        (("no-such-command",), "no such file or directory"),
        (("/etc/passwd",), "permission denied"),
        (("a\0b",), "embedded null byte"),
    ],
)
def test_a_command_that_fails_is_one_warning(
    command: Any,  # noqa: ANN401  a string or words
    problem: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    after(job(on_success=command))
    *output, last = caplog.messages
    assert last == f"on_success failed: {problem}"
    assert output == (["oh"] if problem == "exit status 7" else [])


def test_a_command_that_hangs_is_killed_with_all_that_it_started(
    caplog: pytest.LogCaptureFixture,
) -> None:
    command = "sleep 1000 & echo $! > child; wait"
    after(job(on_failure=command, hook_timeout_s=0.5), 3)
    assert caplog.messages == ["on_failure failed: killed after 0.5s"]
    eventually(lambda: is_gone(int(Path("child").read_text())))


def test_a_command_that_leaves_something_running_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    after(job(on_success="sleep 1000 & echo $! > child"))
    assert caplog.messages == []
    child = int(Path("child").read_text())
    assert not is_gone(child)
    os.kill(child, signal.SIGKILL)


def test_a_signal_while_a_command_runs_ends_both() -> None:
    write_csv(Path("m.csv"), {"a": "One."})
    Path("job.toml").write_text(
        'manifest = "m.csv"\nprovider = "local"\nvoice = "tone"\n'
        'on_success = "echo $$ > child; exec sleep 1000"'
    )
    with started("run", "job.toml", here=Path()) as process:
        eventually(lambda: Path("child").exists() and Path("child").read_text().endswith("\n"))
        end(process, signal.SIGTERM)
    assert process.returncode == 143
    eventually(lambda: is_gone(int(Path("child").read_text())))


# ── pings ─────────────────────────────────────────────────────────────────────


@contextmanager
def web(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """A web server; its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=[POLL_S], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fine(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    ("status", "path"), [(0, "/ping/1?a=b"), (3, "/ping/1/fail?a=b"), (5, "/ping/1/fail?a=b")]
)
def test_an_address_hears_how_a_run_ended(
    status: int, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with web(fine) as (url, asked):
        after(job(ping_url=f"{url}/ping/1?a=b"), status)
        assert asked == [path]
    assert caplog.messages == []


def test_an_address_hears_of_an_error() -> None:
    with web(fine) as (url, asked):
        after(job(ping_url=url), error=ProviderDown("nobody answers"))
        assert asked == ["/fail"]


def test_an_address_that_says_no_is_one_warning_without_its_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with web(lambda handler: handler.send_error(404)) as (url, _):
        after(job(ping_url=f"{url}/secret"))
        assert caplog.messages == [f"ping_url {url}/…: status 404"]


def test_an_address_where_nobody_is_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with web(fine) as (url, _):
        pass
    after(job(ping_url=f"{url}/secret"), 3)
    assert caplog.messages == [f"ping_url {url}/…: connection refused"]


def test_an_address_that_does_not_answer_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    with web(wait) as (url, asked):
        hooks.tell(url, 0, timeout_s=0.3)
        over.set()
        assert len(asked) == 1
    [message] = caplog.messages
    assert message.startswith(f"ping_url {url}/…: ")


def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            for _ in range(100):
                handler.wfile.write(b"H")
                over.wait(0.05)

    with web(drip) as (url, _):
        hooks.tell(url, 0, timeout_s=0.5)
        over.set()
    assert caplog.messages == [f"ping_url {url}/…: no answer"]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "https://127.0.0.1/x"]
)
def test_an_address_that_leads_to_another_scheme_is_not_followed(
    target: str, caplog: pytest.LogCaptureFixture
) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    with web(elsewhere) as (url, asked):
        after(job(ping_url=url))
        assert len(asked) == 1
    refused = "status 302" if target.startswith("file") else f"it redirects to {target[:-11]}"
    assert caplog.messages == [f"ping_url {url}/…: {refused}"]


def test_an_address_that_leads_to_another_place_is_followed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def moved(handler: BaseHTTPRequestHandler) -> None:
        if handler.path != "/old":
            return fine(handler)
        handler.send_response(302)
        handler.send_header("Location", "/new")
        handler.end_headers()
        return None

    with web(moved) as (url, asked):
        after(job(ping_url=f"{url}/old"))
        assert asked == ["/old", "/new"]
    assert caplog.messages == []


# ── figures ───────────────────────────────────────────────────────────────────

Figures = dict[str, float]


def figures(path: Path = Path("m.prom"), name: str = "books") -> Figures:
    """What a file tells, read by somebody else's parser; all of it of one job."""
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            labels = {**sample.labels}
            assert labels.pop("job") == name
            found["/".join([sample.name.removeprefix("batchtts_"), *labels.values()])] = (
                sample.value
            )
    return found


def test_figures_tell_of_all_rows_and_of_this_run() -> None:
    with aftermath(job(metrics=Path("m.prom"))) as following:
        following.summary = summary(
            3,
            rows=6,
            pending=1,
            spoken=2,
            shared=1,
            unpriced=4,
            audio_s=60.5,
            spoken_audio_s=20.25,
            spent_usd=0.5,
            cost_usd=1.5,
            characters_sent=1000,
        )
    told = figures()
    assert told.pop("run_duration_seconds") >= 0
    assert told.pop("last_run_timestamp_seconds") > 1e9
    assert told == {
        "exit_status": 3,
        "rows/done": 3,
        "rows/failed": 2,
        "rows/pending": 1,
        "audio_seconds": 60.5,
        "cost_usd": 1.5,
        "unpriced_rows": 4,
        "run_rows_spoken": 2,
        "run_rows_shared": 1,
        "run_audio_seconds": 20.25,
        "run_characters_sent": 1000,
        "run_cost_usd": 0.5,
    }


def test_the_last_success_is_kept_through_failures() -> None:
    wish = job(metrics=Path("m.prom"))
    after(wish, 3)
    assert "last_success_timestamp_seconds" not in figures()
    after(wish, 0)
    succeeded_at = figures()["last_success_timestamp_seconds"]
    assert succeeded_at == figures()["last_run_timestamp_seconds"]
    for error in (ProviderDown("a"), OutputInUse("b")):
        after(wish, error=error)
        told = figures()
        assert told["exit_status"] == error.exit_code
        assert told["last_success_timestamp_seconds"] == succeeded_at
        assert told["last_run_timestamp_seconds"] > succeeded_at
        assert not [name for name in told if "rows" in name]


@pytest.mark.parametrize(
    "name", ['say "hi"', "back\\slash", "two\nlines", "a{b}=c,d", "grüße", "\\n", " spaces ", "#"]
)
def test_any_name_of_a_directory_can_be_read_again(name: str) -> None:
    after(job(metrics=Path("m.prom"), out=Path("x") / name))
    after(job(metrics=Path("m.prom"), out=Path("x") / name), 3)
    assert "last_success_timestamp_seconds" in figures(name=name)


def test_a_name_that_is_no_unicode_and_one_that_is_none_are_told_as_well_as_can_be(
    tmp_path: Path,
) -> None:
    after(job(metrics=Path("m.prom"), out=Path("x\udcff")))
    assert figures(name="x\ufffd")["exit_status"] == 0
    after(job(metrics=Path("m.prom"), out=Path()))
    assert figures(name=tmp_path.name)["exit_status"] == 0
    after(job(metrics=Path("m.prom"), out=Path("/")))
    assert figures(name="/")["exit_status"] == 0


def test_figures_that_cannot_be_written_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    write_csv(Path("mine.csv"), {"a": "One."})
    Path("directory").mkdir()
    for path in ("a\0b", "nowhere/m.prom", "directory", "/dev/full", "mine.csv"):
        after(job(metrics=Path(path)))
    not_ours = "is there, and is not a file of such figures"
    assert caplog.messages == [
        "metrics a\0b: embedded null byte",
        "metrics nowhere/m.prom: no such file or directory",
        *(f"metrics {path}: {not_ours}" for path in ("directory", "/dev/full", "mine.csv")),
    ]
    assert Path("mine.csv").read_text() == "id,text\na,One.\n"
    assert sorted(path.name for path in Path().iterdir()) == ["directory", "mine.csv"]


def test_a_file_that_was_spoiled_has_no_last_success() -> None:
    for text in ("# HELP batchtts_ {{{", "", 'batchtts_x{job="a" 1', "# HELP batchtts_\n\0"):
        Path("m.prom").write_text(text)
        assert metrics.last_success(Path("m.prom")) is None
    Path("m.prom").write_bytes(b"# HELP batchtts_\xff")
    after(job(metrics=Path("m.prom")), 3)
    assert figures()["exit_status"] == 3


# ── whole runs ────────────────────────────────────────────────────────────────

HOOKS = f"""
manifest = "m.csv"
provider = "local"
voice = "tone"
metrics = "m.prom"
on_failure = '{ENV}; echo "$BATCHTTS_EXIT_STATUS" >> ended'
on_success = 'echo 0 >> ended'
"""


def opens(pipe: Path, opened: list[int]) -> bool:
    """Whether somebody reads a named pipe, which then stays open without a word."""
    with suppress(OSError):
        opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    return bool(opened)


def ended() -> list[str]:
    return Path("ended").read_text().split()


def test_a_command_may_run_in_the_directory_that_was_just_left() -> None:
    write_csv(Path("m.csv"), {"a": "One."})
    again = json.dumps([sys.executable, "-m", "batchtts", "run", "m.csv", *TONE])
    Path("job.toml").write_text(
        f'manifest = "m.csv"\nprovider = "local"\nvoice = "tone"\non_success = {again}'
    )
    answer = ask("run", "job.toml", here=Path())
    assert (answer.status, answer.out) == (0, "")
    assert " on_success 1 rows: 1 done, 0 failed; nothing to speak" in answer.err


def test_what_comes_after_comes_whatever_refused_the_run() -> None:
    Path("job.toml").write_text(HOOKS)
    assert ask("run", "job.toml", here=Path()).status == 2
    assert told()["BATCHTTS_MESSAGE"] == "m.csv: no such file"
    assert figures(name="m")["exit_status"] == 2
    write_csv(Path("m.csv"), {"a": "One.", "b": "?"})
    assert ask("run", "job.toml", here=Path()).status == 3
    assert figures(name="m")["rows/done"] == 1
    write_csv(Path("m.csv"), {"a": "Another one."})
    nobody = ("--endpoint", "ws://127.0.0.1:9", "--outage", "0")
    assert ask("run", "job.toml", *nobody, here=Path()).status == 4
    assert ask("run", "job.toml", "--quiet", here=Path()).err == ""
    assert ended() == ["2", "3", "4", "0"]


def test_what_comes_after_comes_though_another_run_is_at_work() -> None:
    from batchtts.record.lock import hold

    write_csv(Path("m.csv"), {"a": "One."})
    Path("job.toml").write_text(HOOKS)
    Path("m/.batchtts").mkdir(parents=True)
    with hold(Path("m/.batchtts"), shown_as=Path("m")):
        assert ask("run", "job.toml", here=Path()).status == 11
    assert told()["BATCHTTS_MESSAGE"].startswith("m is in use by pid ")
    assert figures(name="m")["exit_status"] == 11


def test_a_job_that_is_refused_is_told_as_far_as_it_is_understood() -> None:
    Path("job.toml").write_text(f"{HOOKS}\nwokers = 3\nhook_timeout_s = 'x'")
    answer = ask("run", "job.toml", here=Path())
    assert answer.err.startswith("batchtts: job.toml: unknown key 'wokers'\n")
    assert told()["BATCHTTS_MESSAGE"] == "job.toml: unknown key 'wokers'"
    assert figures(name="m")["exit_status"] == 2
    Path("bad.toml").write_text("manifest = ")
    assert ask("run", "bad.toml", "--metrics", "bad.prom", here=Path()).status == 2
    assert figures(Path("bad.prom"), name="bad")["exit_status"] == 2


def test_what_comes_after_comes_when_a_run_is_terminated(tmp_path: Path) -> None:
    write_csv(Path("m.csv"), sentences(150))
    Path("job.toml").write_text(HOOKS)
    with serving(tmp_path / "served.jsonl") as server:
        flags = ("--endpoint", server.url, "--workers", "1")
        with started("run", "job.toml", *flags, here=Path()) as process:
            eventually(lambda: len(done(Path("m"))) >= 3)
            end(process, signal.SIGTERM)
    assert process.returncode == 143
    assert told()["BATCHTTS_EXIT_STATUS"] == "143"
    assert told()["BATCHTTS_MESSAGE"].startswith("terminated: ")
    assert figures(name="m")["rows/pending"] > 0


def test_what_comes_after_comes_when_a_run_is_terminated_before_it_speaks() -> None:
    write_csv(Path("m.csv"), {"a": "One."})
    os.mkfifo("key")  # nobody writes into it, so reading it takes for ever
    paid = HOOKS.replace("local", "together").replace("tone", "af_heart")
    Path("job.toml").write_text(f'key_file = "key"\n{paid}')
    opened: list[int] = []
    with started("run", "job.toml", here=Path()) as process:
        eventually(lambda: opens(Path("key"), opened))
        end(process, signal.SIGTERM)
    os.close(opened[0])
    assert process.returncode == 143
    assert told()["BATCHTTS_MESSAGE"] == "terminated"


def test_what_comes_after_comes_from_python_too() -> None:
    with pytest.raises(batchtts.BatchttsError) as refused:
        batchtts.run(batchtts.Job(manifest=Path("nowhere.csv"), on_failure=ENV))
    assert refused.value.exit_code is Exit.USAGE
    assert told()["BATCHTTS_MESSAGE"] == "nowhere.csv: no such file"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
