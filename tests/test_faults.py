"""What a run makes of a provider that misbehaves: every fault on every protocol that can have it.

One manifest for each protocol has a row for each fault, and the row's text calls
for it. It is spoken twice: with a fault in every attempt, to see the verdict, and
with a fault in the first attempt only, to see that the next one makes it good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import trio

from batchtts import errors
from batchtts.job.settings import Job
from batchtts.model import Voice
from batchtts.run.job import run
from batchtts.server.app import Settings, serve
from batchtts.server.engine import Tone
from batchtts.server.faults import KINDS, WHERE
from batchtts.server.timings import spread
from batchtts.wire import registry
from batchtts.wire.dialogue import Dialogue, Patience
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner
from batchtts.wire.session import Listener, Session
from tests.e2e import Row, Server, results, serving, write_csv

SPEECH = ("together", "telnyx", "smallest")

#: What a run is asked for beyond the manifest, so that audio comes as the engine makes it.
OPTIONS: dict[str, dict[str, Any]] = {
    "telnyx": {"audio_format": "linear16"},
    "together": {"linger_s": 0.3},
    "smallest": {"linger_s": 0.3},
}

KEY = "sk-anything"
TEXT = "call me Ishmael, some years ago, never mind how long precisely, I went to sea."
TWO_SENTENCES = "Call me Ishmael. Some years ago I went to sea."


VOICE = Voice("sophia", "lightning_v3.1", "en")


@dataclass(frozen=True)
class Case:
    """A fault, by the name that a text calls it, and what becomes of a row that has it."""

    name: str
    kind: str
    parameters: Mapping[str, Any]
    code: str | None = None  # None: the row is done
    words: str = ""  # a regular expression

    @property
    def protocols(self) -> list[str]:
        return [each for each in SPEECH if each in WHERE[KINDS[self.kind]]]

    @property
    def row(self) -> str:
        return self.name.replace(" ", "-")


def case(
    name: str, kind: str, verdict: str | None = None, words: str = "", /, **parameters: object
) -> Case:
    return Case(name, kind, parameters, verdict, words)


FAILED = "(failed on purpose|Error in remaining audio response).*; after "
CASES = [
    case("failing first", "fail", "synthesis_failed", FAILED, at="first"),
    case("failing midway", "fail", "synthesis_failed", FAILED + r".*\d audio"),
    case("failing at the end", "fail", "synthesis_failed", FAILED + r".*\d audio", at="last"),
    case("failing and closing", "fail", "synthesis_failed", FAILED, at="first", close=1000),
    case("closed first", "drop", "session_lost", r"\(1000\).*first audio", at="first", code=1000),
    case("closed midway", "drop", "session_lost", r"\(1000\).*next audio; .*\d audio", code=1000),
    case("closed late", "drop", "session_lost", r"\(1011\).*next audio", at="last", code=1011),
    case("broken off first", "drop", "session_lost", r"\(1006\).*first audio", at="first"),
    case("broken off midway", "drop", "session_lost", r"\(1006\).*next audio; .*\d audio"),
    case("broken off late", "drop", "session_lost", r"\(1006\).*next audio", at="last"),
    case("restarting", "drop", "session_lost", r"\(1012\).*next audio", code=1012),
    case("slow", "slow", seconds=0.05),
    case("odd", "odd"),
    case("odd and small", "odd", size_bytes=333),
    case("with a header", "riff"),
    case("with a header in two", "riff", split=True),
    case("silent", "silent", "synthesis_failed", "(end marker without any|no) audio.*; after "),
    case("with a stranger", "late", of="unknown"),
    case("no json first", "bad_json", "protocol", "cannot read '{.*; after ", at="first"),
    case("no json midway", "bad_json", "protocol", r"cannot read '{.*; after .*\d audio"),
    case("no base64", "bad_base64", "protocol", "cannot read '{.*; after "),
    case("binary first", "binary", "protocol", "a binary message of 960 bytes; after", at="first"),
    case("binary midway", "binary", "protocol", r"a binary message of 960 bytes; after .*\d audio"),
    case("big", "big"),
    case("in two items", "items"),
    case("in five items", "items", count=5),
    case("in two items slowly", "items", delay_s=0.15),
    case("in one item of two", "items", "session_lost", r"\(1000\).*; .*\d done", close=1000),
    case("doubled", "double"),
]

VERDICTS = [(protocol, each) for each in CASES for protocol in each.protocols]
every_verdict = pytest.mark.parametrize(
    ("protocol", "case"), VERDICTS, ids=[f"{protocol}-{each.row}" for protocol, each in VERDICTS]
)

ALWAYS, ONCE = "Always", "Once"  # how a text begins


def script(begin: str, case: Case) -> str:
    return f"{begin} {case.name}, {TEXT}"


def write_faults(path: Path, protocol: str) -> Path:
    """Write a file in which each case falls on the texts that call for it."""
    entries = []
    for each in CASES:
        if protocol in each.protocols:
            for begin, limit in ((ALWAYS, {}), (ONCE, {"times": 1})):
                when = {"kind": each.kind, "text": f"{begin} {each.name},", "on": [protocol]}
                entries.append(when | limit | dict(each.parameters))
    path.write_text("".join(map(to_toml, entries)) + "[smallest]\nunits = 8\n")
    return path


def to_toml(entry: Mapping[str, object]) -> str:
    def value(it: object) -> str:
        return f"{it}".lower() if isinstance(it, bool) else repr(it)

    return "\n".join(["[[fault]]", *(f"{key} = {value(entry[key])}" for key in entry), "", ""])


def speak(
    server: Server,
    protocol: str,
    rows: Mapping[str, str],
    here: Path,
    *,
    attempts: int = 4,
    workers: int = 8,
    options: Mapping[str, Any] = {},
    word_timestamps: bool = False,
) -> dict[str, Row]:
    """Run a manifest in this process; return its results by row."""
    write_csv(here / "m.csv", {row: f'"{text}"' for row, text in rows.items()})
    key_variable = registry.get(protocol).key_variable
    assert key_variable is not None
    job = Job(
        manifest=here / "m.csv",
        provider=protocol,
        endpoint=server.url,
        options=OPTIONS.get(protocol, {}) | dict(options),
        attempts=attempts,
        workers=workers,
        in_flight=8,
        word_timestamps=word_timestamps,
    )
    run(job, environment={key_variable: KEY})
    return {row["id"]: row for row in results(here / "m")}


def is_whole(row: Row, text: str, here: Path) -> bool:
    """Whether a row's file is what the engine makes of a text, sample by sample."""
    samples, _ = soundfile.read(here / "m" / row["path"], dtype="int16")
    return np.array_equal(samples, tone(text))


def tone(text: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    pieces = Tone().speak(text, Voice("any", "tone", "en"), 1.0)
    return np.frombuffer(b"".join(pieces), "<i2")


@dataclass
class Runs:
    """A server for each protocol, and what became of two runs against it."""

    here: Path
    servers: ExitStack
    started: dict[str, Server] = field(default_factory=dict)
    spoken: dict[tuple[str, str], dict[str, Row]] = field(default_factory=dict)

    def place(self, protocol: str, begin: str) -> Path:
        return self.here / f"{protocol}-{begin}"

    def server(self, protocol: str) -> Server:
        if protocol not in self.started:
            faults = write_faults(self.here / f"{protocol}.toml", protocol)
            serves = serving(self.here / f"{protocol}.log", faults=faults)
            self.started[protocol] = self.servers.enter_context(serves)
        return self.started[protocol]

    def row(self, protocol: str, begin: str, case: Case, attempts: int) -> Row:
        if (protocol, begin) not in self.spoken:
            here = self.place(protocol, begin)
            here.mkdir()
            rows = {it.row: script(begin, it) for it in CASES if protocol in it.protocols}
            found = speak(self.server(protocol), protocol, rows, here, attempts=attempts)
            self.spoken[protocol, begin] = found
        return self.spoken[protocol, begin][case.row]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with ExitStack() as servers:
        yield Runs(tmp_path_factory.mktemp("faults"), servers)


@every_verdict
def test_a_fault_in_every_attempt_has_its_verdict(runs: Runs, protocol: str, case: Case) -> None:
    row = runs.row(protocol, ALWAYS, case, attempts=1)
    assert row["error_code"] == case.code, row["error_message"]
    if case.code is None:
        assert is_whole(row, script(ALWAYS, case), runs.place(protocol, ALWAYS))
    else:
        assert re.search(case.words, row["error_message"])
        refused = row["refusals"]  # by a provider that takes one request at a time
        assert re.search(rf"context [0-9a-f]{{8}}-\d+-0-{refused}\)$", row["error_message"])
        assert row["path"] is None
        assert row["attempts"] == 1 + refused


@every_verdict
def test_a_fault_in_the_first_attempt_costs_that_attempt_and_no_sample(
    runs: Runs, protocol: str, case: Case
) -> None:
    row = runs.row(protocol, ONCE, case, attempts=4)
    assert row["status"] == "done", row["error_message"]
    assert row["attempts"] == (1 if case.code is None else 2)
    assert is_whole(row, script(ONCE, case), runs.place(protocol, ONCE))


@pytest.mark.parametrize("protocol", SPEECH)
def test_what_failed_has_left_no_file_and_the_log_knows_why(runs: Runs, protocol: str) -> None:
    case = next(it for it in CASES if it.code is not None and protocol in it.protocols)
    for begin in (ALWAYS, ONCE):
        runs.row(protocol, begin, case, attempts=1 if begin == ALWAYS else 4)
    named = {path.stem for path in (runs.place(protocol, ALWAYS) / "m").rglob("*.wav")}
    assert named == {it.row for it in CASES if protocol in it.protocols and it.code is None}
    for commit in runs.server(protocol).commits():
        case = next(it for it in CASES if f" {it.name}," in commit["text"])
        assert commit.get("fault") in (case.kind, None)
    struck = [commit for commit in runs.server(protocol).commits() if "fault" in commit]
    assert len(struck) == 2 * sum(protocol in it.protocols for it in CASES)
    log = (runs.here / f"{protocol}.log").read_text().splitlines()
    ends = [line for line in map(json.loads, log) if line["event"] == "done"]
    assert {line["outcome"] for line in ends if "fault" not in line} == {"spoken"}


def test_a_request_that_is_not_named_does_not_go_by_the_name_of_the_last_one() -> None:
    dialect = registry.get("smallest").dialect(Manner(voice=VOICE))
    dialogue = Dialogue(dialect, Patience())
    dialogue.speak("One.", "u1")
    dialogue.receive('{"status": "chunk", "request_id": "task_1", "data": {"audio": "AAAA"}}')
    assert dialogue.account == "after 1 audio (request task_1, context u1)"
    dialogue.receive('{"status": "complete", "request_id": "task_1"}')
    dialogue.receive_silence()
    dialogue.speak("Two.", "u2")
    assert dialogue.account == "after nothing (context u2)"


# ── no connection, and no more words ──────────────────────────────────────────


async def served(nursery: trio.Nursery, tmp_path: Path, **fault: object) -> str:
    """The address of a server in this process that has one fault."""
    path = tmp_path / "fault.toml"
    path.write_text(to_toml(fault))
    settings = Settings(port=0, engine="tone", workers=1, faults=path)
    return f"ws://127.0.0.1:{await nursery.start(serve, settings)}"


async def call(nursery: trio.Nursery, protocol: str, url: str, patience: Patience) -> Session:
    provider = registry.get(protocol)
    voice = provider.choose_voice(None, None, None)
    dialect = provider.dialect(Manner(voice=voice, options=OPTIONS.get(protocol, {})))
    line = replace(Line.to(provider, url, KEY), patience=patience)
    return await line.call(nursery, dialect)


def deaf() -> Listener:
    def ignore(*_: object) -> None: ...

    return Listener(hear=ignore, said=ignore, late=ignore, time=ignore)


@pytest.mark.parametrize("protocol", SPEECH)
@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("first", "no first audio within 0.2 s; after "),
        ("middle", r"no next audio within 0.2 s; after .*\d audio"),
        ("last", r"no next audio within 0.2 s; after .*\d audio"),
    ],
)
async def test_a_provider_that_falls_silent_is_given_up(
    nursery: trio.Nursery, tmp_path: Path, protocol: str, at: str, words: str
) -> None:
    url = await served(nursery, tmp_path, kind="stall", probability=1.0, at=at)
    patience = Patience(first_audio_s=0.2 if at == "first" else 10, next_audio_s=0.2)
    session = await call(nursery, protocol, url, patience)
    with trio.fail_after(20), pytest.raises(errors.Stalled, match=words):
        await session.speak(TEXT, "u1", deaf())


@pytest.mark.parametrize("protocol", SPEECH)
@pytest.mark.parametrize(
    ("status", "error", "retry_after_s"),
    [
        (401, errors.Unauthorized, None),
        (429, errors.RateLimited, 7),
        (500, errors.NotConnected, None),
        (503, errors.NotConnected, 7),
    ],
)
async def test_a_refused_connection_is_what_its_status_says(
    nursery: trio.Nursery,
    tmp_path: Path,
    protocol: str,
    status: int,
    error: type[errors.BatchttsError],
    retry_after_s: int | None,
) -> None:
    wait = {} if retry_after_s is None else {"retry_after_s": retry_after_s}
    refusal = {"kind": "refuse", "requests": [1], "status": status, **wait}
    url = await served(nursery, tmp_path, **refusal)
    cause = await refused(protocol, url)
    assert type(cause) is error
    assert f"{status}" in f"{cause}"
    assert getattr(cause, "retry_after_s", None) == retry_after_s
    (await call(nursery, protocol, url, Patience())).close()


async def refused(protocol: str, url: str) -> errors.BatchttsError:
    with trio.fail_after(20), pytest.raises(BaseExceptionGroup) as refusal:
        async with trio.open_nursery() as connections:
            await call(connections, protocol, url, Patience())
    (cause,) = errors.leaves(refusal.value)
    assert isinstance(cause, errors.BatchttsError)
    return cause


@pytest.mark.parametrize(
    ("protocol", "error"),
    [
        ("together", errors.Unauthorized),
        ("telnyx", errors.VoiceUnavailable),  # a model or a voice that the account does not have
        ("smallest", errors.Unauthorized),
    ],
)
async def test_what_is_forbidden_depends_on_the_provider(
    nursery: trio.Nursery, tmp_path: Path, protocol: str, error: type[errors.BatchttsError]
) -> None:
    url = await served(nursery, tmp_path, kind="refuse", requests=[1], status=403)
    assert type(await refused(protocol, url)) is error


@pytest.mark.parametrize("protocol", SPEECH)
@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_uses_up_no_attempt(tmp_path: Path, protocol: str, status: int) -> None:
    refusal = {"kind": "refuse", "requests": [1, 2, 3], "status": status, "retry_after_s": 0}
    (tmp_path / "fault.toml").write_text(to_toml(refusal))
    with serving(tmp_path / "log", faults=tmp_path / "fault.toml") as server:
        row = speak(server, protocol, {"a": TEXT}, tmp_path, attempts=1)["a"]
    assert (row["status"], row["attempts"]) == ("done", 1)
    assert is_whole(row, TEXT, tmp_path)


# ── what is said too late ─────────────────────────────────────────────────────

TWO = {"a": TEXT, "b": "It is a way I have of driving off the spleen."}


@pytest.mark.parametrize("protocol", [each for each in SPEECH if each in WHERE[KINDS["late"]]])
def test_audio_of_a_finished_row_takes_the_row_back_and_the_next_run_makes_it_good(
    tmp_path: Path, protocol: str
) -> None:
    late = {"kind": "late", "of": "finished", "text": "spleen"}
    (tmp_path / "fault.toml").write_text(to_toml(late))
    with serving(tmp_path / "log", faults=tmp_path / "fault.toml") as server:
        rows = speak(server, protocol, TWO, tmp_path, workers=1)
        assert (rows["a"]["status"], rows["a"]["error_code"]) == ("failed", "truncated")
        assert rows["b"]["status"] == "done"
        server.news()
        rows = speak(server, protocol, TWO, tmp_path, workers=1)
        assert server.texts() == [TEXT]
    assert all(is_whole(rows[row], TWO[row], tmp_path) for row in TWO)


def test_an_item_that_comes_after_the_quiet_window_takes_its_row_back(tmp_path: Path) -> None:
    items = {"kind": "items", "delay_s": 0.6, "text": "Ishmael", "times": 1}
    (tmp_path / "fault.toml").write_text(to_toml(items))
    with serving(tmp_path / "log", faults=tmp_path / "fault.toml") as server:
        rows = speak(server, "together", TWO, tmp_path, workers=1)
        assert (rows["a"]["status"], rows["a"]["error_code"]) == ("failed", "truncated")
        assert rows["b"]["status"] == "done"
        rows = speak(server, "together", TWO, tmp_path, workers=1)
    assert all(is_whole(rows[row], TWO[row], tmp_path) for row in TWO)


# ── several items, and the times of words ─────────────────────────────────────


def test_sentences_that_the_server_makes_items_of_are_all_there(tmp_path: Path) -> None:
    with serving(tmp_path / "log") as server:
        segments = {"segment": "sentence"}
        row = speak(server, "together", {"a": TWO_SENTENCES}, tmp_path, options=segments)["a"]
        said = [commit["text"] for commit in server.commits()]
    assert said == ["Call me Ishmael.", "Some years ago I went to sea."]
    samples, _ = soundfile.read(tmp_path / "m" / row["path"], dtype="int16")
    assert np.array_equal(samples, np.concatenate([*map(tone, said)]))


@pytest.mark.parametrize(
    ("protocol", "options"), [("together", {"segment": "sentence"}), ("telnyx", {})]
)
def test_a_sentence_of_two_that_comes_without_audio_fails_the_row(
    tmp_path: Path, protocol: str, options: dict[str, Any]
) -> None:
    silence = {"kind": "silent", "text": "I went to sea"}
    (tmp_path / "fault.toml").write_text(to_toml(silence))
    with serving(tmp_path / "log", faults=tmp_path / "fault.toml") as server:
        scripts = {"a": TWO_SENTENCES}
        row = speak(server, protocol, scripts, tmp_path, options=options, attempts=1)["a"]
        assert len(server.commits()) == 2
    assert row["error_code"] == "synthesis_failed"
    assert list((tmp_path / "m").rglob("*.wav")) == []


@pytest.mark.parametrize("timings", ["before", "after"])
def test_words_have_their_times_in_one_item_or_in_several(tmp_path: Path, timings: str) -> None:
    items = {"kind": "items", "count": 3, "text": "Ishmael"}
    knobs = f'[together]\ntimings = "{timings}"\n'
    (tmp_path / "fault.toml").write_text(to_toml(items) + knobs)
    with serving(tmp_path / "log", faults=tmp_path / "fault.toml") as server:
        rows = speak(server, "together", TWO, tmp_path, word_timestamps=True)
    for row, text in TWO.items():
        assert is_whole(rows[row], text, tmp_path)
        told = [tuple(word.values()) for word in rows[row]["words"]]
        assert told == [
            (word.text, pytest.approx(word.start_s), pytest.approx(word.end_s))
            for word in spread(text, 1440 * len(text), 24_000)
        ]
