"""Rows that fail are spoken again and the better take is kept; what is told is what was paid.

The voice whistles and the recognizer reads its whistles exactly; a server of our own damages
what it is told to, and its log is the witness of what was paid, and of what was heard.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from batchtts.errors import Exit, RunError, SettingsError
from batchtts.job.plan import Ints
from batchtts.job.settings import Job
from batchtts.record.ledger import Ledger
from batchtts.run.job import run
from batchtts.run.memory import recall
from batchtts.run.summary import Summary
from tests import e2e
from tests.e2e import Row, Server

USD = 4e-6  # for a character of the model that is played here
KEY = {"TOGETHER_API_KEY": "any"}

#: What is wrong with texts that have a word in them, and how often; the first that is due falls.
FAULTS = [
    ("Onc", 'kind = "damage"\nhow = "doubled"\ntimes = 1'),
    ("Thr", 'kind = "damage"\nhow = "doubled"\ntimes = 3'),
    ("Alw", 'kind = "damage"\nhow = "doubled"'),
    ("Tfa", 'kind = "damage"\nhow = "doubled"\ntimes = 1'),
    ("Tfa", 'kind = "fail"'),
    ("Fir", 'kind = "damage"\nhow = "silence"\ntimes = 1'),
    ("Bud", 'kind = "damage"\nhow = "doubled"\ntimes = 4'),
    ("Cho", 'kind = "damage"\nhow = "doubled"\ntimes = 4'),
    ("Can", 'kind = "damage"\nhow = "doubled"\ntimes = 1'),
    ("Oth", 'kind = "damage"\nhow = "doubled"\ntimes = 3'),
    ("Cyc", 'kind = "damage"\nhow = "doubled"\ntimes = 1'),
    ("Orp", 'kind = "damage"\nhow = "doubled"\ntimes = 1'),
    ("Unh", 'kind = "damage"\nhow = "doubled"\ntimes = 1'),
]


NOUNS = "kitchen morning teacher machine captain journey forests harbour".split()
VERBS = "dismiss applaud whisper involve recover explain justify produce".split()


def text(word: str, number: int = 0) -> str:
    """A script of one segment, as long as any other, and unlike all others."""
    at = sum(map(ord, word)) + 3 * number
    return f"{word} {NOUNS[at % 8]}s {VERBS[at % 7]} {NOUNS[(at + 3) % 8]}."


@dataclass
class Stand:
    """A job, who speaks and who hears."""

    here: Path
    server: Server
    ear: Server

    @property
    def out(self) -> Path:
        return self.here / "m"

    def write(self, scripts: Mapping[str, str]) -> None:
        e2e.write_csv(self.here / "m.csv", scripts)

    def job(self, **more: object) -> Job:
        usual: dict[str, object] = {
            "manifest": self.here / "m.csv",
            "provider": "together",
            "voice": "af_heart",
            "endpoint": self.server.url,
            "options": {"linger_s": e2e.LINGER_S},
            "verify": True,
            "recognizer_endpoint": self.ear.url,
            "recognizer_model": "tone",
            "attempts": 2,
            "workers": 2,
        }
        return Job(**{**usual, **more})  # type: ignore[arg-type]  # as a job file has them

    def run(self, **more: object) -> Summary:
        return run(self.job(**more), environment=KEY)

    @property
    def rows(self) -> dict[str, Row]:
        return {row["id"]: row for row in e2e.results(self.out)}

    def check_paid(self) -> None:
        """What the results and the summary tell of money is what the server was asked for."""
        here = set(self.rows)
        sent = sum(len(it["text"]) for it in self.server.news())
        assert here
        assert sum(row["characters_sent"] for row in self.rows.values()) == sent
        costs = [row["cost_usd"] or 0.0 for row in self.rows.values()]
        assert sum(costs) == pytest.approx(sent * USD)

    def heard(self) -> int:
        """Recordings that the recognizer was given."""
        return len(self.ear.news())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    here = tmp_path_factory.mktemp("servers")
    lines = [f'[[fault]]\ntext = "{word}"\n{fault}' for word, fault in FAULTS]
    (here / "faults.toml").write_text("\n".join(lines))
    with (
        e2e.serving(here / "log", faults=here / "faults.toml") as server,
        e2e.serving(here / "ear") as ear,
    ):
        yield server, ear


@pytest.fixture
def stand(servers: tuple[Server, Server], tmp_path: Path) -> Stand:
    found = Stand(tmp_path, *servers)
    found.server.news()
    found.ear.news()
    return found


def ids(*names: str) -> Ints:
    return np.array([hash(name) for name in names], np.int64)


def check_nothing_to_do(stand: Stand, *, status: int = 0, **more: object) -> None:
    """The same command again connects to nobody and writes down nothing."""
    stand.server.news(), stand.ear.news()
    before = (stand.out / "ledger.jsonl").read_bytes()
    results = (stand.out / "results.parquet").read_bytes()
    again = stand.run(**more)
    assert again.exit_code == status
    assert (stand.server.news(), stand.heard()) == ([], 0)
    assert (stand.out / "ledger.jsonl").read_bytes() == before
    assert (stand.out / "results.parquet").read_bytes() == results
    assert (again.spoken, again.heard, again.retakes) == (0, 0, 0)
    assert e2e.ask("check", stand.out, here=stand.here).status == 0


# ── what becomes of a row ─────────────────────────────────────────────────────


def test_a_better_take_replaces_a_worse_one(stand: Stand) -> None:
    stand.write({"a": text("Onc"), "b": text("Zed"), "c": text("Yon")})
    summary = stand.run(retakes=2)
    assert (summary.exit_code, summary.retakes, summary.heard) == (0, 1, 3)
    told = {key: (it["verdict"], it["takes"], it["kept_take"]) for key, it in stand.rows.items()}
    assert told == {"a": ("pass", 2, 2), "b": ("pass", 1, 1), "c": ("pass", 1, 1)}
    assert stand.rows["a"]["transcript"] == text("Onc")
    assert summary.characters_sent == sum(it["characters_sent"] for it in stand.rows.values())
    assert summary.spent_usd == pytest.approx(summary.cost_usd)
    assert summary.retake_usd == pytest.approx(len(text("Onc")) * USD)
    assert (summary.attempts, summary.retries) == (4, 0)
    stand.check_paid()
    assert stand.heard() == 4
    check_nothing_to_do(stand, retakes=2)


def test_a_row_that_is_never_right_is_kept_flagged_and_let_be(stand: Stand) -> None:
    stand.write({"a": text("Alw"), "b": text("Zed")})
    summary = stand.run(retakes=2)
    assert (summary.exit_code, summary.failed, summary.retakes) == (Exit.SOME_FAILED, 0, 2)
    row = stand.rows["a"]
    assert (row["status"], row["verdict"], row["takes"]) == ("done", "fail", 3)
    assert summary.verdicts == {"pass": 1, "fail": 1}
    assert not (stand.out / "failed.parquet").exists()
    stand.check_paid()
    assert e2e.untrue_lines(stand.out) == []
    check_nothing_to_do(stand, status=Exit.SOME_FAILED, retakes=2)
    assert run(stand.job(verify=False), environment=KEY).exit_code == Exit.DONE


def test_a_take_that_fails_leaves_what_is_there(stand: Stand) -> None:
    stand.write({"a": text("Tfa"), "b": text("Zed")})
    summary = stand.run(retakes=2)
    row = stand.rows["a"]
    assert (row["status"], row["verdict"], row["takes"], row["kept_take"]) == ("done", "fail", 3, 1)
    assert (summary.exit_code, summary.retakes, summary.retries) == (Exit.SOME_FAILED, 2, 2)
    assert row["characters_sent"] == 5 * len(text("Tfa"))
    stand.check_paid()
    assert e2e.untrue_lines(stand.out) == []
    check_nothing_to_do(stand, status=Exit.SOME_FAILED, retakes=2)


def test_a_row_that_has_failed_is_spoken_again_where_that_may_help(stand: Stand) -> None:
    stand.write({"a": text("Fir"), "b": "..."})
    summary = stand.run(retakes=2, attempts=1)
    assert stand.rows["a"]["status"] == "done"
    assert stand.rows["a"]["takes"] == 2
    assert stand.rows["b"]["error_code"] == "script_rejected"
    assert (summary.exit_code, summary.failed, summary.retakes) == (Exit.SOME_FAILED, 1, 1)
    stand.check_paid()


# ── rows that share audio ─────────────────────────────────────────────────────


def test_rows_with_the_same_script_are_spoken_again_together(stand: Stand) -> None:
    stand.write(dict.fromkeys("abc", text("Thr")) | {"d": text("Yon")})
    summary = stand.run(retakes=3)
    assert summary.exit_code == 0
    rows = stand.rows
    assert [rows[it]["verdict"] for it in "abc"] == ["pass"] * 3
    assert {rows[it]["sha256"] for it in "abc"} == {rows["a"]["sha256"]}
    assert [rows[it]["same_as"] for it in "abc"] == [None, "a", "a"]
    assert len(stand.server.commits()) > 0
    stand.check_paid()
    assert stand.heard() == 2 + 3  # once for all three, each time
    assert e2e.untrue_lines(stand.out) == []
    check_nothing_to_do(stand, retakes=3)


def test_rows_with_the_same_script_have_takes_of_their_own_if_they_are_to(stand: Stand) -> None:
    stand.write(dict.fromkeys("ab", text("Alw")))
    summary = stand.run(retakes=1, dedup=False)
    assert summary.retakes == 2
    assert [it["takes"] for it in stand.rows.values()] == [2, 2]
    stand.check_paid()
    check_nothing_to_do(stand, status=Exit.SOME_FAILED, retakes=1, dedup=False)


def test_a_row_whose_source_has_changed_since_is_spoken_again_alone(stand: Stand) -> None:
    stand.write(dict.fromkeys("ab", text("Orp")))
    stand.run(verify=False)
    stand.write({"a": text("Zed"), "b": text("Orp")})
    stand.run(verify=False)
    assert stand.rows["b"]["same_as"] == "a"
    summary = stand.run(retakes=1)
    assert summary.exit_code == 0
    assert stand.rows["b"]["verdict"] == "pass"
    stand.check_paid()


def test_a_row_that_got_its_bad_audio_back_from_its_twin_is_spoken_again(stand: Stand) -> None:
    stand.write(dict.fromkeys("ab", text("Cyc")))
    assert stand.run().verdicts == {"fail": 2}
    with Ledger.open(stand.out / "ledger.jsonl") as ledger:  # as a kill in a retake leaves it
        past = recall(ledger).past
        [line] = ledger.results(past.addresses[past.find(ids("a"))].tolist())
        assert line is not None
        ledger.append([line.taken_back(line.path)])
    stand.run(verify=False)
    assert [it["same_as"] for it in stand.rows.values()] == [None, "a"]
    summary = stand.run(retakes=2)
    assert (summary.exit_code, summary.verdicts, summary.retakes) == (0, {"pass": 2}, 1)
    stand.check_paid()


# ── rows of several segments ──────────────────────────────────────────────────


def test_a_long_row_that_keeps_its_audio_keeps_all_that_is_known_of_it(stand: Stand) -> None:
    long = " ".join(e2e.sentences(12).values())  # of which, put together, nothing can be read
    stand.write({"a": long, "b": text("Zed")})
    stand.run(verify=False, word_timestamps=True)
    before = stand.rows["a"]
    assert len(before["cues"]) > 2
    summary = stand.run(retakes=2, word_timestamps=True)
    after = stand.rows["a"]
    assert (after["takes"], after["kept_take"]) == (3, 1)
    for name in ("cues", "words", "sha256", "path", "segments", "audio_s"):
        assert after[name] == before[name]
    assert summary.exit_code == Exit.SOME_FAILED
    stand.check_paid()
    assert not list((stand.out / ".batchtts" / "pieces").glob("*/*"))
    check_nothing_to_do(stand, status=Exit.SOME_FAILED, retakes=2, word_timestamps=True)
    (stand.out / "results.parquet").unlink()
    stand.run(retakes=2, word_timestamps=True)
    for name, told in after.items():
        assert stand.rows["a"][name] == (pytest.approx(told) if name == "cost_usd" else told)


# ── what a run is about ───────────────────────────────────────────────────────


def test_a_budget_that_is_spent_ends_the_retakes(stand: Stand) -> None:
    rows = {it: text("Bud", n) for n, it in enumerate("abcd")}
    stand.write(rows)
    most_usd = (sum(map(len, rows.values())) + len(rows["a"]) + len(rows["b"])) * USD
    summary = stand.run(retakes=1, max_cost_usd=most_usd, workers=1)
    assert (summary.exit_code, summary.limit, summary.retakes) == (Exit.LIMIT, "max_cost_usd", 2)
    assert summary.spent_usd == pytest.approx(most_usd)
    assert [it["takes"] for it in stand.rows.values()].count(2) == 2
    summary = stand.run(retakes=1)
    assert (summary.exit_code, summary.retakes) == (0, 2)
    stand.check_paid()


def test_only_rows_that_the_run_is_about_are_spoken_again(stand: Stand) -> None:
    stand.write({it: text("Cho", n) for n, it in enumerate("abcd")})
    stand.run(verify=False)
    summary = stand.run(retakes=1, again=("b",), limit=1)
    assert summary.spoken == 1
    takes = {it: row["takes"] for it, row in stand.rows.items()}
    assert summary.retakes == 0  # it was right this time
    assert takes == dict.fromkeys("abcd", 1)
    assert summary.verdicts == {"pass": 1, "fail": 3}
    sampled = stand.run(retakes=1, sample=2)
    assert sampled.retakes <= 2
    stand.run(retakes=1)
    assert {row["verdict"] for row in stand.rows.values()} == {"pass"}
    stand.check_paid()


def test_a_run_in_another_thread_verifies_too(stand: Stand) -> None:
    stand.write({"a": text("Zed")})
    found: list[Summary] = []
    thread = threading.Thread(target=lambda: found.append(stand.run(retakes=1)))
    thread.start()
    thread.join(e2e.DEADLINE)
    assert [(it.exit_code, it.heard) for it in found] == [(0, 1)]


# ── a recognizer that is not to be had ────────────────────────────────────────


def test_a_recognizer_that_is_down_breaks_the_run_and_all_else_is_there(stand: Stand) -> None:
    stand.write({"a": text("Zed"), "b": text("Yon")})
    with pytest.raises(RunError):
        stand.run(recognizer_endpoint="ws://127.0.0.1:9", outage_s=0)
    assert e2e.by_id(stand.out, "status") == {"a": "done", "b": "done"}
    assert e2e.by_id(stand.out, "recognizer") == {"a": None, "b": None}
    told = msgspec.json.decode((stand.out / "summary.json").read_bytes(), type=Summary)
    assert (told.done, told.heard) == (2, 0)
    summary = stand.run()
    assert (summary.exit_code, summary.spoken, summary.heard) == (0, 0, 2)
    stand.check_paid()


def test_a_recognizer_that_is_unknown_is_told_of_before_anything_is_paid(stand: Stand) -> None:
    stand.write({"a": text("Zed")})
    for more in ({"recognizer": "nobody"}, {"recognizer_model": "no-such-model"}):
        with pytest.raises(SettingsError):
            stand.run(**more)
    assert stand.server.news() == []
    assert not stand.out.exists()


def test_a_long_row_is_kept_whatever_becomes_of_its_ledger(stand: Stand) -> None:
    long = " ".join(e2e.sentences(8, seed=2).values())
    stand.write({"a": long, "b": text("Onc", 2)})
    stand.run(verify=False, snapshot_bytes=1)
    cues = stand.rows["a"]["cues"]
    for retakes in (1, 2):
        stand.run(retakes=retakes, snapshot_bytes=1)
        assert stand.rows["a"]["cues"] == cues
        assert stand.rows["a"]["takes"] == retakes + 1
    stand.run(verify=False, snapshot_bytes=1)
    (stand.out / "results.parquet").unlink()
    stand.run(verify=False, snapshot_bytes=1)
    assert stand.rows["a"]["cues"] == cues
    stand.check_paid()
    check_nothing_to_do(stand, status=Exit.SOME_FAILED, retakes=2)


def test_a_canary_that_fails_is_spoken_again_and_remembered_as_it_is(stand: Stand) -> None:
    rows = [f"a,{text('Can')},true", f"b,{text('Zed')},"]
    (stand.here / "m.csv").write_text("\n".join(["id,text,canary", *rows, ""]))
    summary = stand.run(retakes=2)
    assert (summary.exit_code, summary.retakes, summary.alerts) == (0, 1, ())
    assert stand.rows["a"]["takes"] == 2
    assert len((stand.out / "canaries.jsonl").read_bytes().splitlines()) == 1
    again = stand.run(retakes=2)
    assert (again.spoken, again.retakes, again.heard) == (1, 0, 1)
    assert len((stand.out / "canaries.jsonl").read_bytes().splitlines()) == 2
    stand.check_paid()


def test_another_voice_speaks_where_the_first_one_does_not_do(
    stand: Stand,
) -> None:
    stand.write({"a": text("Oth"), "b": text("Zed")})
    summary = stand.run(retakes=3, retake_voice="af_bella")
    row = stand.rows["a"]
    assert (row["takes"], row["voice"], row["verdict"]) == (4, "af_bella", "pass")
    assert summary.exit_code == 0
    stand.check_paid()
    check_nothing_to_do(stand, retakes=3, retake_voice="af_bella")
