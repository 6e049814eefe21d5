"""Forty rows through a provider of which everything goes wrong now and then.

Every fault there is falls on one request in twenty. Nothing may be lost, doubled
or cut for all that, and what the run tells must be what the server has logged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from batchtts.model import Voice
from batchtts.server.engine import load
from batchtts.server.faults import KINDS, WHERE
from batchtts.wire import registry
from tests.e2e import Row, Server, ask, ledger, results, sentences, serving, untrue_lines

pytestmark = pytest.mark.slow

PROBABILITY = 0.05
RUNS = 8  # that a job may take
RATE_HZ = 24_000

Samples = np.ndarray[Any, np.dtype[np.int16]]

#: Faults as a file has them, and the verdict on an attempt that has one; None: it succeeds.
FAULTS: list[tuple[dict[str, object], str | None]] = [
    ({"kind": "refuse", "status": 401}, None),
    ({"kind": "refuse", "status": 429, "retry_after_s": 1}, None),
    ({"kind": "refuse", "status": 503}, None),
    ({"kind": "fail", "at": "first", "close": 1000}, "synthesis_failed"),
    ({"kind": "fail", "at": "middle"}, "synthesis_failed"),
    ({"kind": "drop", "at": "middle", "code": 1000}, "session_lost"),
    ({"kind": "drop", "at": "first", "code": 1006}, "session_lost"),
    ({"kind": "drop", "at": "last", "code": 1011}, "session_lost"),
    ({"kind": "stall"}, "stalled"),
    ({"kind": "slow", "seconds": 0.05}, None),
    ({"kind": "odd"}, None),
    ({"kind": "riff"}, None),
    ({"kind": "items", "delay_s": 0.1}, None),
    ({"kind": "items", "count": 3, "close": 1000}, "session_lost"),
    ({"kind": "silent"}, "synthesis_failed"),
    ({"kind": "double"}, None),
    ({"kind": "late", "of": "finished"}, None),
    ({"kind": "late", "of": "unknown"}, None),
    ({"kind": "damage", "how": "silence"}, "bad_audio"),
    ({"kind": "bad_json"}, "protocol"),
    ({"kind": "bad_base64"}, "protocol"),
    ({"kind": "binary"}, "protocol"),
    ({"kind": "big"}, None),
]


@dataclass(frozen=True)
class Journey:
    """A job to be brought through the weather.

    Attributes:
        protocol: Also the provider's name.
        is_same: Whether a file and what the engine makes of its text are the same.
    """

    name: str
    protocol: str
    is_same: Callable[[Samples, Samples], bool]
    engine: str = "tone"
    options: Mapping[str, object] = field(default_factory=dict)
    rows: int = 40
    knobs: str = ""


def is_equal(heard: Samples, made: Samples) -> bool:
    return np.array_equal(heard, made)


def is_near(heard: Samples, made: Samples) -> bool:
    """Whether it is the same speech, 50 ms more or less, after MP3 and back."""
    if abs(len(heard) - len(made)) > 0.050 * RATE_HZ:
        return False
    size = len(heard) + len(made)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(made, size))
    shift = int(np.argmax(np.fft.irfft(product, size)[: len(heard)]))  # samples of padding
    length = min(len(heard) - shift, len(made))
    likeness = np.corrcoef(heard[shift : shift + length], made[:length])[0, 1]
    return shift < 0.050 * RATE_HZ and bool(likeness > 0.98)


JOURNEYS = [
    Journey("together", "together", is_equal),
    Journey("together with hibari", "together", is_equal, engine="hibari", rows=12),
    Journey("telnyx", "telnyx", is_equal, options={"audio_format": "linear16"}),
    Journey("telnyx in MP3", "telnyx", is_near),
    Journey("smallest", "smallest", is_equal, knobs="[smallest]\nunits = 8\n"),
]


def write_faults(path: Path, journey: Journey) -> None:
    lines = ["seed = 7"]
    for fault, _ in FAULTS:
        if journey.protocol in WHERE[KINDS[f"{fault['kind']}"]]:
            lines += ["[[fault]]", f"probability = {PROBABILITY}"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in fault.items()]
    path.write_text("\n".join([*lines, journey.knobs]))


def write_job(here: Path, journey: Journey, server: Server) -> None:
    scripts = sentences(journey.rows, seed=3)
    lines = [json.dumps({"id": row, "text": text}) for row, text in scripts.items()]
    (here / "m.jsonl").write_text("\n".join(lines))
    options = [f"{key} = {json.dumps(value)}" for key, value in journey.options.items()]
    (here / "job.toml").write_text(
        "\n".join(
            [
                'manifest = "m.jsonl"',
                'out = "job"',
                f'provider = "{journey.protocol}"',
                f'endpoint = "{server.url}"',
                "workers = 8",
                "in_flight = 8",
                "[options]",
                *options,
            ]
        )
    )


def lines_of(log: Path) -> list[Row]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("journey", JOURNEYS, ids=[each.name for each in JOURNEYS])
def test_every_row_comes_through(tmp_path: Path, journey: Journey) -> None:
    write_faults(tmp_path / "faults.toml", journey)
    key = {f"{registry.get(journey.protocol).key_variable}": "sk-anything"}
    log = tmp_path / "log"
    statuses: list[int] = []
    with serving(log, engine=journey.engine, faults=tmp_path / "faults.toml") as server:
        write_job(tmp_path, journey, server)
        while len(statuses) < RUNS and (not statuses or statuses[-1] != 0):
            answer = ask("run", "job.toml", here=tmp_path, extra=key, deadline=300)
            statuses.append(answer.status)
            assert answer.status in (0, 3, 4), answer.err
            assert answer.status != 4 or "key refused (401)" in answer.err, answer.err
            assert "Traceback" not in answer.err
            check_verdicts(tmp_path / "job", lines_of(log))
    assert statuses[-1] == 0, statuses
    check_files(tmp_path / "job", journey)
    check_log(tmp_path / "job", lines_of(log))


def verdicts_of_kinds() -> dict[object, set[str | None]]:
    """Kind of fault → what it may come to; no fault comes to nothing bad."""
    verdicts: dict[object, set[str | None]] = {None: {None}}
    for fault, code in FAULTS:
        verdicts.setdefault(fault["kind"], set()).add(code)
    return verdicts


def check_verdicts(out: Path, log: list[Row]) -> None:
    """Every row that failed has failed of what the server did to its text."""
    verdicts = verdicts_of_kinds()
    fallen = Counter(line.get("fault") for line in log)
    for row in results(out):
        if row["status"] == "failed":
            faults = {line.get("fault") for line in log if line["text"] == row["text"]} - {None}
            codes = {code for fault in faults for code in verdicts[fault]} - {None}
            codes |= {"truncated"} if fallen["late"] else set()
            assert row["error_code"] in codes, row["error_message"]
            assert row["path"] is None


def check_files(out: Path, journey: Journey) -> None:
    """Every file is what the engine makes of its text, and there are no others."""
    engine = load(journey.engine)
    assert untrue_lines(out) == []
    rows = results(out)
    assert len(rows) == journey.rows
    assert {row["status"] for row in rows} == {"done"}
    assert {path.stem for path in out.rglob("*.wav")} == {row["id"] for row in rows}
    for row in rows:
        voice = Voice(row["voice"], journey.engine, "en-us")
        made = np.frombuffer(b"".join(engine.speak(row["text"], voice, 1.0)), "<i2")
        heard, rate_hz = soundfile.read(out / row["path"], dtype="int16")
        assert rate_hz == RATE_HZ
        assert journey.is_same(heard, made), row["id"]


def check_log(out: Path, log: list[Row]) -> None:
    """The server has heard of every attempt, and has spoken what is done."""
    commits = Counter(line["text"] for line in log if line["event"] == "commit")
    verdicts = verdicts_of_kinds()
    spoken = {
        line["text"]
        for line in log
        if line["outcome"] == "spoken" and None in verdicts[line.get("fault")]
    }
    attempts = Counter[str]()
    for line in ledger(out):
        if line.get("error_code") != "truncated":  # which takes back what is there already
            attempts[line.get("id", "")] += line.get("attempts", 0)
    for row in results(out):
        assert commits[row["text"]] >= attempts[row["id"]] >= row["attempts"] >= 1
        assert row["text"] in spoken
    fallen = Counter(line["fault"] for line in log if "fault" in line)
    assert len(fallen) > 5, fallen  # it was bad weather
