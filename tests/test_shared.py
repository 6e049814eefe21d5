"""Rows with the same script, end to end: spoken once, there for all of them."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import (
    AT_ONCE,
    TONE,
    Server,
    ask,
    audio_files,
    by_id,
    done,
    end,
    eventually,
    ledger,
    results,
    sentences,
    serving,
    started,
    untrue_lines,
    write_csv,
)

#: Ten rows, six of which are the same.
ROWS = {
    "a": "Call me Ishmael.",
    "b": "Hello.",
    "c": "Hello.",
    "d": "Some years ago.",
    "e": "Hello.",
    "f": "Hello.",
    "g": "Never mind how long.",
    "h": "Hello.",
    "i": "Having little money.",
    "j": "Hello.",
}
LED = "cefhj"  # by b
TEXTS = sorted(set(ROWS.values()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, server: Server) -> Path:
    """A directory with m.csv, whose server has nothing to tell yet."""
    write_csv(tmp_path / "m.csv", ROWS)
    server.news()
    return tmp_path


def test_rows_with_the_same_script_are_spoken_once(here: Path, server: Server) -> None:
    answer = server.speaks("m.csv", here=here)
    out = here / "m"
    assert answer.status == 0
    assert server.texts() == TEXTS
    assert audio_files(out) == {f"wav/{row_id}.wav" for row_id in ROWS}
    assert by_id(out, "status") == dict.fromkeys(ROWS, "done")
    assert by_id(out, "same_as") == {row_id: "b" if row_id in LED else None for row_id in ROWS}
    assert untrue_lines(out) == []
    summary = json.loads((out / "summary.json").read_text())
    counts = {name: summary[name] for name in ("rows", "done", "spoken", "shared")}
    assert counts == {"rows": 10, "done": 10, "spoken": 5, "shared": 5}
    rows = {row["id"]: row for row in results(out)}
    assert {rows[row_id]["sha256"] for row_id in LED} == {rows["b"]["sha256"]}
    assert [rows[row_id]["attempts"] for row_id in "bc"] == [1, 0]
    assert [rows[row_id]["characters_sent"] for row_id in "bc"] == [6, 0]
    assert rows["c"]["cost_usd"] == 0.0
    assert rows["c"]["audio_s"] == rows["b"]["audio_s"] > 0
    assert sum(row["audio_s"] for row in rows.values()) == pytest.approx(
        summary["audio_s"], abs=0.001
    )


def test_a_second_run_opens_no_connection(here: Path) -> None:
    with serving(here / "log") as server:
        assert server.speaks("m.csv", here=here).status == 0
    before = (here / "m" / "results.parquet").stat()
    answer = server.speaks("m.csv", here=here)  # it has ended: nobody would answer
    assert answer.status == 0
    after = (here / "m" / "results.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_without_dedup_every_row_is_spoken(here: Path, server: Server) -> None:
    (here / "job.toml").write_text(
        'manifest = "m.csv"\nout = "m"\nprovider = "local"\nvoice = "tone"\ndedup = false\n'
        f'endpoint = "{server.url}"\n'
    )
    assert ask("run", "job.toml", here=here).status == 0
    assert server.texts() == sorted(ROWS.values())
    assert set(by_id(here / "m", "same_as").values()) == {None}


def test_rows_that_come_later_get_the_audio_that_is_there(here: Path) -> None:
    with serving(here / "log") as server:
        assert server.speaks("m.csv", here=here).status == 0
    write_csv(here / "m.csv", {"z": "Hello.", "y": ROWS["a"]} | ROWS)
    assert server.speaks("m.csv", here=here).status == 0  # nobody would answer
    out = here / "m"
    assert by_id(out, "same_as")["z"] in {"b", *LED}
    assert by_id(out, "same_as")["y"] == "a"
    assert set(by_id(out, "status").values()) == {"done"}
    assert untrue_lines(out) == []


def test_rows_that_were_renamed_cost_nothing_even_if_the_old_ones_go(here: Path) -> None:
    with serving(here / "log") as server:
        assert server.speaks("m.csv", here=here).status == 0
    write_csv(here / "m.csv", {f"new-{row_id}": text for row_id, text in ROWS.items()})
    (here / "job.toml").write_text('manifest = "m.csv"\nout = "m"\nprune = true\n')
    answer = ask("run", "job.toml", *TONE, "--endpoint", server.url, here=here)
    assert answer.status == 0, answer.err
    assert audio_files(here / "m") == {f"wav/new-{row_id}.wav" for row_id in ROWS}
    assert untrue_lines(here / "m") == []


def test_rows_that_were_numbered_anew_cost_only_what_is_new(here: Path, server: Server) -> None:
    """A row was put at the beginning of a manifest without ids."""
    texts = sorted(sentences(20).values())
    (here / "m.csv").write_text("\n".join(["text", *texts, ""]))
    assert server.speaks("m.csv", here=here).status == 0
    server.news()
    (here / "m.csv").write_text("\n".join(["text", "The first one.", *texts, ""]))
    assert server.speaks("m.csv", here=here).status == 0
    assert server.texts() == ["The first one."]
    out = here / "m"
    assert set(by_id(out, "status").values()) == {"done"}
    assert untrue_lines(out) == []


@pytest.mark.parametrize("rows", [600])  # more than are shared together
def test_rows_in_plenty_that_were_numbered_anew_cost_only_what_is_new(
    here: Path, server: Server, rows: int
) -> None:
    """What a row had is taken from it before the one that is to have it comes about."""
    texts = [f"Line number {number} of all." for number in range(rows)]
    (here / "m.csv").write_text("\n".join(["text", *texts, ""]))
    assert server.speaks("m.csv", here=here).status == 0
    server.news()
    (here / "m.csv").write_text("\n".join(["text", "…", "The first one.", *texts, ""]))
    assert server.speaks("m.csv", here=here).status == 3
    assert server.texts() == ["The first one."]
    assert untrue_lines(here / "m") == []
    assert not list((here / "m").rglob("*.part"))


def test_one_that_fails_fails_those_that_wait_for_it(here: Path) -> None:
    (here / "m.csv").write_text(
        "id,text,voice\na,One.,jf_alpha\nb,Two.,\nc,One.,jf_alpha\nd,Two.,\n"
    )
    key = {"TOGETHER_API_KEY": "any"}
    with serving(here / "log", engine="nanotts") as server:  # which has no Japanese voice
        flags = ["--provider", "together", "--endpoint", server.url, *AT_ONCE]
        assert ask("run", "m.csv", *flags, here=here, extra=key).status == 3
    out = here / "m"
    assert by_id(out, "status") == {"a": "failed", "b": "done", "c": "failed", "d": "done"}
    codes = by_id(out, "error_code")
    assert codes == {"a": "voice_unavailable", "b": None, "c": "voice_unavailable", "d": None}
    assert by_id(out, "same_as") == {"a": None, "b": None, "c": "a", "d": "b"}
    with serving(here / "log") as server:  # which whistles for every voice
        flags = ["--provider", "together", "--endpoint", server.url, *AT_ONCE]
        assert ask("run", "m.csv", *flags, here=here, extra=key).status == 0
        assert server.texts() == ["One."]
    assert by_id(out, "status") == dict.fromkeys("abcd", "done")
    assert untrue_lines(out) == []


def test_a_row_that_is_changed_leaves_the_audio_of_the_others_alone(
    here: Path, server: Server
) -> None:
    assert server.speaks("m.csv", here=here).status == 0
    before = by_id(here / "m", "sha256")
    server.news()
    write_csv(here / "m.csv", ROWS | {"b": "Goodbye."})
    assert server.speaks("m.csv", here=here).status == 0
    assert server.texts() == ["Goodbye."]
    after = by_id(here / "m", "sha256")
    assert {row_id for row_id in ROWS if after[row_id] != before[row_id]} == {"b"}
    assert untrue_lines(here / "m") == []


def test_killed_at_any_moment_it_ends_as_if_it_never_was(tmp_path: Path) -> None:
    """Half of the rows wait for another one."""
    chance = random.Random(7)
    spoken = sentences(60)
    rows = spoken | {f"t{row_id}": text for row_id, text in spoken.items()}
    write_csv(tmp_path / "m.csv", rows)
    out = tmp_path / "m"
    with serving(tmp_path / "log") as server:
        command = ["run", "m.csv", *TONE, "--workers", "4", "--endpoint", server.url]
        for share in (0.1, 0.3, 0.45):
            target = int(len(rows) * share) + chance.randint(0, 5)
            with started(*command, here=tmp_path) as process:
                eventually(lambda target=target: len(done(out)) >= target)  # type: ignore[misc]
                end(process, signal.SIGKILL)
            assert process.returncode in (0, -signal.SIGKILL)
        assert ask(*command, here=tmp_path).status == 0
        commits = Counter(server.texts())
    assert by_id(out, "status") == dict.fromkeys(rows, "done")
    assert sorted(done(out)) == sorted(rows)
    assert audio_files(out) == {f"wav/{row_id}.wav" for row_id in rows}
    assert untrue_lines(out) == []
    assert set(commits) == set(spoken.values())
    assert commits.total() <= len(spoken) + 3 * 4
    told = sum(line.get("characters_sent", 0) for line in ledger(out))
    assert told >= sum(len(text) * commits[text] for text in commits)
    characters = by_id(out, "characters_sent")
    assert sum(characters.values()) == told
