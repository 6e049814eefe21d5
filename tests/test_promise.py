"""The promise, clause by clause, as its user would find it broken.

The witness is never the run itself: it is the server's log, or a socket that
counts who comes.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e import (
    LINGER_S,
    TONE,
    Answer,
    Server,
    ask,
    audio_files,
    by_id,
    descendants,
    done,
    end,
    eventually,
    ledger,
    results,
    sentences,
    serving,
    snapshot,
    started,
    untrue_lines,
    write_csv,
)

#: What Kokoro costs at Together, for a character.
USD = 4e-6

PAID = {"TOGETHER_API_KEY": "test"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def server(served: Server) -> Server:
    """A server that has nothing to tell yet."""
    served.news()
    return served


class Doorkeeper:
    """Lets nobody in, and counts who came."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}"
        self.visits = 0
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                self.visits += 1
                with visitor:
                    visitor.recv(65536)
                    visitor.sendall(self._answer)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def kept(answer: bytes = b"") -> Iterator[Doorkeeper]:
    door = Doorkeeper(answer)
    try:
        yield door
    finally:
        door.close()


def write_job(path: Path, **keys: object) -> None:
    """Write a job file; every value is a number, a truth, a list or a text."""
    lines = [
        f"{key} = {str(value).lower() if value is True else repr(value)}"
        for key, value in keys.items()
    ]
    path.write_text("\n".join(lines))


def told(answer: Answer) -> str:
    """The first line of a plan."""
    return answer.out.splitlines()[0]


# ── done rows cost nothing ────────────────────────────────────────────────────


def test_a_finished_job_opens_no_connection(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", sentences(30))
    assert server.speaks("m.csv", here=tmp_path).status == 0
    before = snapshot(tmp_path / "m")
    with kept() as door:
        again = ask("run", "m.csv", *TONE, "--endpoint", door.url, here=tmp_path)
        assert (again.status, door.visits) == (0, 0)
    after = snapshot(tmp_path / "m")
    assert [name for name in before if after.get(name) != before[name]] == ["summary.json"]
    assert set(after) == set(before)


def test_of_many_rows_only_the_changed_and_the_new_are_spoken(
    tmp_path: Path, server: Server
) -> None:
    scripts = sentences(200)
    write_csv(tmp_path / "m.csv", scripts)
    assert server.speaks("m.csv", "--workers", "8", here=tmp_path).status == 0
    assert len(server.texts()) == 200

    changed = {row: f"Another text in row {row}." for row in ("s0003", "s0100", "s0199")}
    new = {"new1": "One more at the end.", "new2": "And yet another one."}
    rows = {**scripts, **changed, **new}
    write_csv(tmp_path / "m.csv", dict(reversed(rows.items())))
    flags = [*TONE, "--endpoint", server.url]
    plan = ask("plan", "m.csv", *flags, here=tmp_path)
    assert told(plan) == "+2 new, ~3 changed (text), =197 done, !0 failed before, -0 gone"
    assert "5 rows to speak" in plan.out

    assert server.speaks("m.csv", here=tmp_path).status == 0
    assert server.texts() == sorted([*changed.values(), *new.values()])
    assert by_id(tmp_path / "m", "status") == dict.fromkeys(rows, "done")
    assert [row["id"] for row in results(tmp_path / "m")] == [*reversed(rows)]
    assert audio_files(tmp_path / "m") == set(by_id(tmp_path / "m", "path").values())


def test_a_plan_says_what_has_changed_and_a_run_does_exactly_that(
    tmp_path: Path, server: Server
) -> None:
    scripts = {"a": "Alpha speaks.", "b": "Bravo speaks.", "c": "Charlie.", "d": "Delta.", "e": "?"}
    write_csv(tmp_path / "m.csv", scripts)
    assert server.speaks("m.csv", here=tmp_path).status == 3  # e says nothing
    server.news()
    flags = [*TONE, "--endpoint", server.url]
    write_csv(tmp_path / "m.csv", {**scripts, "b": "Bravo once more.", "f": "Foxtrot."})
    with (tmp_path / "m.csv").open() as file:
        kept_lines = [line for line in file if not line.startswith("d,")]
    (tmp_path / "m.csv").write_text("".join(kept_lines))
    plan = ask("plan", "m.csv", *flags, here=tmp_path)
    assert told(plan) == "+1 new, ~1 changed (text), =2 done, !1 failed before, -1 gone"

    faster = ask("plan", "m.csv", *flags, "--speed", "1.5", here=tmp_path)
    assert (
        told(faster) == "+2 new, ~3 changed (2 speed, 1 text), =0 done, !0 failed before, -1 gone"
    )

    server.speaks("m.csv", here=tmp_path)
    assert server.texts() == ["Bravo once more.", "Foxtrot."]
    assert (tmp_path / "m" / "wav" / "d.wav").exists()  # what is gone is left alone
    write_job(tmp_path / "j.toml", manifest="m.csv", prune=True, provider="local", voice="tone")
    assert ask("run", "j.toml", "-o", "m", "--endpoint", server.url, here=tmp_path).status == 3
    assert not (tmp_path / "m" / "wav" / "d.wav").exists()
    assert told(ask("plan", "m.csv", *flags, here=tmp_path)).endswith(" -0 gone")
    assert server.texts() == []


# ── limits ────────────────────────────────────────────────────────────────────


def paid_run(here: Path, server: Server, **keys: object) -> Answer:
    keys |= {"manifest": "m.csv", "out": "m", "provider": "together"}
    write_job(here / "j.toml", **{"options.linger_s": LINGER_S}, **keys)
    return ask("run", "j.toml", "--endpoint", server.url, here=here, extra=PAID)


def told_usd(out: Path) -> float:
    """What the ledger says was spent."""
    return sum(line.get("cost_usd") or 0.0 for line in ledger(out))


def served_usd(server: Server) -> float:
    """What a provider would have charged for what the server was asked for."""
    return sum(len(row["text"]) for row in server.commits()) * USD


FAILING = """
seed = 5
[[fault]]
kind = "fail"
probability = 0.2
at = "middle"
"""


ROWS = 40


@pytest.mark.parametrize("workers", [2, 8])
def test_a_run_never_spends_more_than_it_may(tmp_path: Path, workers: int) -> None:
    write_csv(tmp_path / "m.csv", sentences(ROWS))
    (tmp_path / "faults.toml").write_text(FAILING)
    limit = 0.0034
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        first = paid_run(tmp_path, server, max_cost_usd=limit, workers=workers)
        spent = served_usd(server)
        assert first.status == 5
        assert spent <= limit + 1e-9
        assert spent > limit * 0.8
        assert told_usd(tmp_path / "m") == pytest.approx(spent)

        statuses = Counter(by_id(tmp_path / "m", "status").values())
        assert statuses["pending"] == ROWS - statuses["done"] - statuses["failed"] > 0
        assert paid_run(tmp_path, server, workers=workers).status in (0, 3)
        assert told_usd(tmp_path / "m") == pytest.approx(served_usd(server))
        of_rows = sum(row["cost_usd"] for row in results(tmp_path / "m"))
        assert of_rows == pytest.approx(served_usd(server))


def test_a_limit_of_rows_leaves_the_others_for_the_next_run(tmp_path: Path, server: Server) -> None:
    scripts = sentences(10)
    write_csv(tmp_path / "m.csv", scripts)
    assert paid_run(tmp_path, server, limit=4).status == 5
    assert server.texts() == sorted([*scripts.values()][:4])
    assert paid_run(tmp_path, server, limit=4).status == 5
    assert paid_run(tmp_path, server, limit=4).status == 0
    assert len(server.texts()) == 6


def test_a_sample_is_the_same_rows_again_and_again(tmp_path: Path, server: Server) -> None:
    scripts = sentences(30)
    write_csv(tmp_path / "m.csv", scripts)
    assert paid_run(tmp_path, server, sample=5, seed=3).status == 5
    first = server.texts()
    assert len(first) == 5
    write_csv(tmp_path / "m.csv", dict(reversed(scripts.items())))
    assert paid_run(tmp_path, server, sample=5, seed=3).status == 5
    assert server.texts() == []
    assert paid_run(tmp_path, server, sample=5, seed=4).status == 5
    assert 0 < len(server.texts()) <= 5


SLOW = """
[[fault]]
kind = "slow"
probability = 1.0
seconds = 0.05
"""


def test_a_run_that_has_lasted_long_enough_begins_nothing_more(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(200))
    (tmp_path / "faults.toml").write_text(SLOW)
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        answer = paid_run(tmp_path, server, max_duration_s=1, workers=2)
        statuses = Counter(by_id(tmp_path / "m", "status").values())
        assert answer.status == 5
        assert statuses["pending"] > 0
        assert statuses["done"] == len(server.texts())  # what was in flight was finished


def test_rows_are_spoken_again_when_they_are_named(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", {"a": "Alpha.", "b": "Bravo.", "c": "?"})
    assert paid_run(tmp_path, server).status == 3
    server.news()
    assert paid_run(tmp_path, server, again=["b"]).status == 3
    assert server.texts() == ["Bravo."]
    assert paid_run(tmp_path, server, again=["all"]).status == 3
    assert server.texts() == ["Alpha.", "Bravo."]
    unknown = paid_run(tmp_path, server, again=["nobody"])
    assert (unknown.status, server.texts()) == (2, [])
    assert "'nobody'" in unknown.err
    assert by_id(tmp_path / "m", "cost_usd")["b"] == pytest.approx(3 * 6 * USD)


def test_a_refused_key_stops_a_long_job_at_once(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(10_000))
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with kept(refusal) as door:
        flags = ["--provider", "together", "--endpoint", door.url, "--workers", "4"]
        answer = ask("run", "m.csv", *flags, here=tmp_path, extra=PAID)
        assert 1 <= door.visits <= 4
    assert answer.status == 4
    assert set(by_id(tmp_path / "m", "status").values()) == {"pending"}


# ── two at once ───────────────────────────────────────────────────────────────


def check_pairs(here: Path, server: Server, times: int) -> None:
    """The other one is turned away, or comes so late that there is nothing left to do."""
    scripts = sentences(12)
    turned_away = 0
    write_csv(here / "m.csv", scripts)
    for number in range(times):
        command = ["run", "m.csv", *TONE, "--endpoint", server.url, "-o", f"o{number}"]
        with started(*command, here=here) as one, started(*command, here=here) as other:
            statuses = sorted(each.wait(60) for each in (one, other))
        assert statuses in ([0, 11], [0, 0])
        turned_away += 11 in statuses
        assert server.texts() == sorted(scripts.values())
        assert set(by_id(here / f"o{number}", "status").values()) == {"done"}
    assert turned_away


def test_of_two_runs_started_at_once_one_works(tmp_path: Path, server: Server) -> None:
    check_pairs(tmp_path, server, 2)


@pytest.mark.slow
def test_of_two_runs_started_at_once_one_works_fifty_times(tmp_path: Path, server: Server) -> None:
    check_pairs(tmp_path, server, 50)


def test_after_the_holder_was_killed_the_next_run_starts(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", sentences(60))
    out = tmp_path / "m"
    flags = ["run", "m.csv", *TONE, "--endpoint", server.url, "--workers", "2"]
    with started(*flags, here=tmp_path) as first:
        eventually(lambda: len(done(out)) >= 3)
        assert server.speaks("m.csv", here=tmp_path).status == 11
        end(first, signal.SIGKILL)
    assert server.speaks("m.csv", here=tmp_path).status == 0
    assert untrue_lines(out) == []


# ── stopping ──────────────────────────────────────────────────────────────────


def in_flight(server: Server) -> int:
    """How many requests the server has begun and not finished."""
    return len(server.commits()) - len(server.finished())


@pytest.mark.parametrize("signals", [1, 2])
def test_sixteen_in_flight_are_done_or_untouched(tmp_path: Path, signals: int) -> None:
    scripts = sentences(64)
    write_csv(tmp_path / "m.csv", scripts)
    (tmp_path / "faults.toml").write_text(SLOW)
    out = tmp_path / "m"
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        flags = ["run", "m.csv", *TONE, "--endpoint", server.url, "--workers", "16"]
        with started(*flags, here=tmp_path) as process:
            eventually(lambda: in_flight(server) == 16)
            process.send_signal(signal.SIGTERM)
            if signals == 2:
                said = tmp_path / "stderr"
                eventually(lambda: "stopping: SIGTERM" in said.read_text())
            seconds = end(process, signal.SIGTERM) if signals == 2 else 0.0
            assert process.wait(60) == 143
        commits = {row["text"] for row in server.commits()}
    statuses = by_id(out, "status")
    spoken = {row for row, status in statuses.items() if status == "done"}
    assert set(statuses.values()) <= {"done", "pending"}
    assert sorted(spoken) == sorted(done(out))
    assert untrue_lines(out) == []
    assert audio_files(out) == {row["path"] for row in results(out) if row["path"]}
    asked = {row for row, text in scripts.items() if text in commits}
    if signals == 1:
        assert asked == spoken  # whoever was in flight came home
    else:
        assert seconds < 30  # not the time that sixteen would have taken, nor the grace
        assert len(asked - spoken) <= 16
        lost = {row["id"] for row in results(out) if row["characters_sent"]} - spoken
        assert lost == asked - spoken  # and what they may have cost is told


def test_a_signal_to_a_whole_service_leaves_the_run_its_voice(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(2000))
    out = tmp_path / "m"
    with started("run", "m.csv", *TONE, "--workers", "4", here=tmp_path) as process:
        eventually(lambda: len(done(out)) >= 3)
        for pid in (*descendants(process.pid), process.pid):
            os.kill(pid, signal.SIGTERM)
        assert process.wait(60) == 143
    assert set(by_id(out, "status").values()) == {"done", "pending"}
    assert "batchtts: " not in (tmp_path / "stderr").read_text()


# ── bad output ────────────────────────────────────────────────────────────────


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", sentences(3))
    assert server.speaks("m.csv", here=tmp_path).status == 0
    path = tmp_path / "m" / "ledger.jsonl"
    from batchtts.record.lines import Header, encode

    path.write_bytes(encode(Header(ledger=99, manifest="m.csv")) + path.read_bytes())
    before = snapshot(tmp_path / "m")
    answer = server.speaks("m.csv", here=tmp_path)
    assert answer.status == 4
    assert "written by a newer batchtts (ledger 99; this one knows 4)" in answer.err
    assert "upgrade batchtts" in answer.err
    assert snapshot(tmp_path / "m") == before


def test_a_foreign_file_in_place_of_the_ledger_is_left_alone(
    tmp_path: Path, server: Server
) -> None:
    write_csv(tmp_path / "m.csv", sentences(3))
    (tmp_path / "m").mkdir()
    diary = "Monday: rain.\nTuesday: rain.\n"
    (tmp_path / "m" / "ledger.jsonl").write_text(diary)
    answer = server.speaks("m.csv", here=tmp_path)
    assert answer.status == 4
    assert "no line of it was written by this batchtts" in answer.err
    assert (tmp_path / "m" / "ledger.jsonl").read_text() == diary


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_is_told(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", sentences(3))
    (tmp_path / "m").mkdir(mode=0o555)
    answer = server.speaks("m.csv", here=tmp_path)
    assert answer.status == 4
    assert len(answer.err.splitlines()) <= 2
    assert "permission denied" in answer.err


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", sentences(3))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "wav").write_text("in the way")
    answer = server.speaks("m.csv", here=tmp_path)
    assert answer.status == 4
    assert "Traceback" not in answer.err
    (tmp_path / "m" / "wav").unlink()
    assert server.speaks("m.csv", here=tmp_path).status == 0


def test_a_manifest_that_changes_while_it_is_read_stops_the_run(tmp_path: Path) -> None:
    scripts = sentences(100)
    write_csv(tmp_path / "m.csv", scripts)
    (tmp_path / "faults.toml").write_text(SLOW)
    out = tmp_path / "m"
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        flags = ["run", "m.csv", *TONE, "--endpoint", server.url, "--workers", "8"]
        with started(*flags, here=tmp_path) as process:
            eventually(lambda: len(done(out)) >= 5)
            write_csv(tmp_path / "m.csv", {**scripts, "more": "One more row."})
            end(process, signal.SIGTERM)
            assert process.returncode == 4
        assert "has changed since it was read" in (tmp_path / "stderr").read_text()
    with serving(tmp_path / "log") as server:
        kept_rows = set(done(out))
        assert server.speaks("m.csv", here=tmp_path).status == 0
        assert {scripts[row] for row in kept_rows}.isdisjoint(server.texts())
    assert set(by_id(out, "status").values()) == {"done"}


def test_a_row_that_is_spoken_again_in_vain_keeps_what_it_has(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "Alpha.", "b": "Bravo."})
    with serving(tmp_path / "log") as server:
        assert paid_run(tmp_path, server).status == 0
    before = (tmp_path / "m" / "wav" / "b.wav").read_bytes()
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "silent"\nprobability = 1.0\n')
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        answer = paid_run(tmp_path, server, again=["b"], attempts=1)
        assert len(server.news()) == 1
    assert (answer.status, "b failed: " in answer.err) == (0, True)
    assert by_id(tmp_path / "m", "status") == {"a": "done", "b": "done"}
    assert (tmp_path / "m" / "wav" / "b.wav").read_bytes() == before
    assert untrue_lines(tmp_path / "m") == []
    assert by_id(tmp_path / "m", "cost_usd")["b"] == pytest.approx(2 * 6 * USD)


def test_what_a_run_writes_is_no_manifest_for_it(tmp_path: Path, server: Server) -> None:
    write_csv(tmp_path / "m.csv", {"a": "Alpha.", "b": "?"})
    assert server.speaks("m.csv", here=tmp_path).status == 3
    before = snapshot(tmp_path / "m")
    answer = server.speaks("m/failed.parquet", "-o", "m", here=tmp_path)
    assert answer.status == 2
    assert "is what runs in m write" in answer.err
    assert snapshot(tmp_path / "m") == before


def test_audio_without_its_ledger_is_told_before_it_is_paid_for_again(
    tmp_path: Path, server: Server
) -> None:
    write_csv(tmp_path / "m.csv", {"a": "Alpha.", "b": "Bravo."})
    assert server.speaks("m.csv", here=tmp_path).status == 0
    (tmp_path / "m" / "ledger.jsonl").unlink()
    again = server.speaks("m.csv", here=tmp_path)
    assert (again.status, "m has audio and no ledger" in again.err) == (0, True)
    assert "no ledger" not in server.speaks("m.csv", here=tmp_path).err
