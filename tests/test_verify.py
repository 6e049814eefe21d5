"""`batchtts verify` and `run --verify` as their users meet them: stopped, refused, twice."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from batchtts.errors import ProcessDied, ProviderDown
from batchtts.job.settings import Job
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout, occupy
from batchtts.run.job import run
from batchtts.run.progress import counting
from batchtts.verify.corpus import Corpus
from batchtts.verify.judging import Judge
from batchtts.verify.listening import Listener
from batchtts.verify.verification import Verification, Verified
from tests import e2e
from tests.e2e import Server
from tests.test_judging import compare

STALL = '[[fault]]\nkind = "stall"\n{when}\n'

HOOKED = """
manifest = "m.csv"
metrics = "prom"
on_failure = "echo $BATCHTTS_EXIT_STATUS > hook"
"""

SIGNALS = [
    pytest.param(signal.SIGINT, 130, id="SIGINT"),
    pytest.param(signal.SIGTERM, 143, id="SIGTERM", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Who speaks, and who hears one recording and then none."""
    here = tmp_path_factory.mktemp("servers")
    (here / "one.toml").write_text(STALL.format(when="requests = [2, 3, 4, 5, 6, 7, 8, 9]"))
    with (
        e2e.serving(here / "log") as server,
        e2e.serving(here / "ear", faults=here / "one.toml") as ear,
    ):
        yield server, ear


@pytest.fixture
def here(tmp_path: Path) -> Path:
    e2e.write_csv(tmp_path / "m.csv", e2e.sentences(4))
    return tmp_path


def flags(ear: Server) -> list[str]:
    return ["--recognizer-endpoint", ear.url, "--recognizer-model", "tone", "--quiet"]


def speak(here: Path, server: Server) -> None:
    job = Job(manifest=here / "m.csv", provider="local", voice="tone", endpoint=server.url)
    assert run(job, environment={}).exit_code == 0


# ── stopped ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_who_hears_can_be_stopped_and_goes_on(
    here: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    (tmp_path / "one.toml").write_text(STALL.format(when="requests = [2, 3, 4, 5, 6, 7, 8, 9]"))
    (here / "job.toml").write_text(HOOKED)
    out = here / "m"
    with e2e.serving(tmp_path / "ear", faults=tmp_path / "one.toml") as ear:
        command = ["run", "job.toml", *e2e.TONE, "--verify", *flags(ear)]
        with e2e.started(*command, here=here) as process:
            e2e.eventually(lambda: len(ear.commits()) > 1 and b'"heard"' in ledger(out))
            took_s = e2e.end(process, number)
    assert (process.returncode, (here / "hook").read_text().strip()) == (status, f"{status}")
    assert took_s < 15
    assert (here / "prom").exists()
    assert list(e2e.by_id(out, "wer").values()).count(0.0) == 1
    assert json.loads((out / "summary.json").read_text())["exit_code"] == status
    with e2e.serving(tmp_path / "again") as again:
        told = e2e.ask("verify", out, "--endpoint", again.url, "--model", "tone", here=here)
        assert (told.status, len(again.news())) == (0, 3)
    assert e2e.by_id(out, "verdict") == dict.fromkeys(e2e.sentences(4), "pass")


def ledger(out: Path) -> bytes:
    path = out / "ledger.jsonl"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_retake_can_be_stopped_at_once(
    here: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    script = "Never mind how long precisely."
    e2e.write_csv(here / "m.csv", {"a": script, "b": "Some years ago."})
    faults = '[[fault]]\nkind = "damage"\nhow = "doubled"\ntext = "Never"\ntimes = 1\n'
    (tmp_path / "f.toml").write_text(faults + STALL.format(when='text = "Never"'))
    out = here / "m"
    with (
        e2e.serving(tmp_path / "log", faults=tmp_path / "f.toml") as server,
        e2e.serving(tmp_path / "ear") as ear,
    ):
        command = ["run", "m.csv", *e2e.TONE, "--endpoint", server.url, "--verify", *flags(ear)]
        with e2e.started(*command, "--retakes", "2", here=here) as process:
            e2e.eventually(lambda: len(server.commits()) == 3)
            process.send_signal(number)
            e2e.eventually(lambda: b"stopping" in (here / "stderr").read_bytes())
            e2e.end(process, number)
        assert process.returncode == status
        assert e2e.by_id(out, "verdict") == {"a": "fail", "b": "pass"}
        assert e2e.by_id(out, "characters_sent")["a"] == 2 * len(script)
        assert e2e.untrue_lines(out) == []
        server.news()
        assert json.loads((out / "summary.json").read_text())["exit_code"] == status
    assert e2e.ask("check", out, here=here).status == 0


def test_time_that_is_up_ends_the_hearing_too(here: Path, servers: tuple[Server, Server]) -> None:
    server, ear = servers
    job = Job(
        manifest=here / "m.csv",
        provider="local",
        voice="tone",
        endpoint=server.url,
        verify=True,
        recognizer_endpoint=ear.url,
        recognizer_model="tone",
        max_duration_s=2,
    )
    began_at = time.monotonic()
    summary = run(job, environment={})
    assert (summary.exit_code, summary.limit, summary.done) == (5, "max_duration_s", 4)
    assert summary.heard < 4
    assert time.monotonic() - began_at < 15


# ── refused ───────────────────────────────────────────────────────────────────


def test_a_key_that_is_refused_ends_it(
    here: Path, tmp_path: Path, servers: tuple[Server, Server]
) -> None:
    speak(here, servers[0])
    before = (here / "m" / "results.parquet").read_bytes()
    with e2e.serving(tmp_path / "ear", key="secret") as ear:
        told = e2e.ask("verify", "m", "--endpoint", ear.url, "--model", "tone", here=here)
        assert (told.status, ear.news()) == (4, [])
        assert "key refused" in told.err
        assert "secret" not in told.err
        run_too = e2e.ask("run", "m.csv", *e2e.TONE, "--verify", *flags(ear), here=here)
        assert run_too.status == 4
    assert (here / "m" / "results.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere: no such directory"),
        (["m", "--recognizer", "locl"], "no recognizer 'locl'"),
        (["m", "--second", "whisper"], "second_recognizer: no 'whisper'"),
    ],
)
def test_what_cannot_be_verified_is_told_of(
    here: Path, servers: tuple[Server, Server], arguments: list[str], told: str
) -> None:
    speak(here, servers[0])
    answer = e2e.ask("verify", *arguments, here=here)
    assert answer.status == 2
    assert told in answer.err


def test_verify_tells_machines_what_came_of_it(here: Path, servers: tuple[Server, Server]) -> None:
    speak(here, servers[0])
    for heard in (4, 0):
        answer = e2e.ask("verify", "m", "--model", "tone", "--json", here=here)
        told = json.loads(answer.out)
        assert answer.status == 0
        assert (told["heard"], told["unheard"], told["failing"]) == (heard, 0, [])
        assert told["verdicts"] == {"pass": 4}


# ── by itself ─────────────────────────────────────────────────────────────────


@dataclass
class Ear:
    """Hears what was to be heard, as it knows all scripts by heart; but for some."""

    scripts: list[str]
    name: str = "by heart"
    deaf_to: frozenset[int] = frozenset()
    wrong: bool = False
    down_at: int = 1 << 30
    workers: int = 2
    asked: int = 0
    heard: list[bytes] = field(default_factory=list)

    def knows(self, language: str) -> bool:
        return True

    async def hear(self, pcm: bytes, sample_rate_hz: int, language: str) -> str:
        self.asked += 1
        self.heard.append(pcm)
        await trio.lowlevel.checkpoint()
        if self.asked >= self.down_at:
            raise ProviderDown("nobody answers")
        if len(pcm) in self.deaf_to:
            raise ProcessDied("the process has died, and another one of the same audio")
        return "quite another thing" if self.wrong else self.said[len(pcm)]

    @property
    def said(self) -> dict[int, str]:
        return {2 * 1440 * len(script): script for script in self.scripts}


def verify(out: Path, ear: Ear, second: Ear | None = None) -> Verified:
    with occupy(out) as layout, Ledger.open(layout.ledger) as ledger:
        corpus = Corpus.open(layout, ledger)
        listener = Listener(compare=compare, ear=ear, second=second)
        judge = Judge()
        judge.expects(ear)
        verification = Verification(
            corpus=corpus, listener=listener, judge=judge, figures=counting()
        )
        try:
            trio.run(verification.verify)
        finally:
            corpus.amend()
        return verification.done


TWINS = {"a": "Some years ago.", "b": "Call me Ishmael now.", "c": "Some years ago."}


def test_what_kills_a_recognizer_is_not_heard_and_all_else_is(
    here: Path, servers: tuple[Server, Server]
) -> None:
    e2e.write_csv(here / "m.csv", TWINS)
    speak(here, servers[0])
    ear = Ear([*TWINS.values()], deaf_to=frozenset({2 * 1440 * len(TWINS["b"])}))
    done = verify(here / "m", ear)
    assert (done.heard, done.unheard) == (1, 1)
    verdicts = {"a": "pass", "b": "unverified", "c": "pass"}
    assert e2e.by_id(here / "m", "verdict") == verdicts
    ear.asked = 0
    assert verify(here / "m", ear).heard == 0
    assert ear.asked == 1  # what could not be heard is tried again


def test_rows_with_the_same_audio_are_heard_once_by_each_recognizer(
    here: Path, servers: tuple[Server, Server]
) -> None:
    e2e.write_csv(here / "m.csv", TWINS)
    speak(here, servers[0])
    ear = Ear([*TWINS.values()], wrong=True)
    second = Ear([*TWINS.values()], name="second")
    done = verify(here / "m", ear, second)
    assert (ear.asked, second.asked) == (2, 2)
    assert done.failing == {}
    assert set(e2e.by_id(here / "m", "verdict").values()) == {"suspect"}
    verify(here / "m", ear, second)
    assert (ear.asked, second.asked) == (2, 2)


def test_what_was_heard_before_nobody_answered_any_more_is_kept(
    here: Path, servers: tuple[Server, Server]
) -> None:
    scripts = e2e.sentences(8)
    e2e.write_csv(here / "m.csv", scripts)
    speak(here, servers[0])
    ear = Ear([*scripts.values()], down_at=5, workers=1)
    with pytest.raises(BaseExceptionGroup):
        verify(here / "m", ear)
    assert list(e2e.by_id(here / "m", "wer").values()).count(0.0) == 4
    ear.down_at, ear.asked = 1 << 30, 0
    assert verify(here / "m", ear).heard == 4
    assert ear.asked == 4


def test_a_corpus_knows_how_much_there_is_to_hear(
    here: Path, servers: tuple[Server, Server]
) -> None:
    speak(here, servers[0])
    layout = Layout(here / "m")
    with Ledger.peek(layout.ledger) as ledger:
        corpus = Corpus.open(layout, ledger)
    assert corpus.count == 4
    assert corpus.audio_s == pytest.approx(sum(e2e.by_id(here / "m", "audio_s").values()))
