"""What a session makes of a recognizer that misbehaves; the next session makes it good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from batchtts import errors
from batchtts.errors import RemoteProtocolError, SessionLost, Stalled, SynthesisFailed
from batchtts.server.app import Settings, serve
from batchtts.server.faults import KINDS, WHERE
from batchtts.wire import recognizers
from batchtts.wire.dialogue import Patience
from batchtts.wire.line import Line
from batchtts.wire.recognizer import Attention
from tests.test_faults import KEY, TEXT, to_toml, tone

RECORDING = tone(TEXT).tobytes()
DEADLINE = 30  # seconds
PATIENCE = Patience(first_audio_s=10, next_audio_s=10)
HURRY = Patience(first_audio_s=0.3, next_audio_s=0.3)
#: Waits for a first word as long as a busy machine needs: none of them is an answer, too.
HURRY_THEN = Patience(first_audio_s=10, next_audio_s=0.3)


@asynccontextmanager
async def failing(tmp_path: Path, knobs: str = "", /, **fault: object) -> AsyncIterator[str]:
    """The address of a recognizer that has this fault once."""
    path = tmp_path / "fault.toml"
    path.write_text(to_toml({"times": 1, "probability": 1.0} | fault) + knobs)
    settings = Settings(port=0, engine="tone", workers=1, faults=path)
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            yield f"ws://127.0.0.1:{await nursery.start(serve, settings)}"
            nursery.cancel_scope.cancel()


async def transcribe(url: str, patience: Patience = PATIENCE) -> str:
    """Have the recording transcribed on a connection of its own."""
    recognizer = recognizers.get("local")
    options = {"sample_rate": 24_000, "linger_s": 0.1}
    dialect = recognizer.dialect(Attention(model="tone", options=options))
    line = replace(Line.to(recognizer, url, KEY), patience=patience)
    failures: list[errors.BatchttsError] = []
    heard = ""
    async with trio.open_nursery() as connections:
        session = await line.call(connections, dialect)
        try:
            heard = await session.transcribe(dialect.listen(RECORDING, "u1"), "u1")
        except errors.BatchttsError as error:
            failures.append(error)
        session.close()
    if failures:
        raise failures[0]
    return heard


FAILED = "failed on purpose"
UNACKNOWLEDGED = "[transcription]\nacknowledges = false\n"


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"kind": "fail", "at": "first", "close": 1000}, SynthesisFailed, FAILED),
        ({"kind": "fail", "close": 1000}, SynthesisFailed, FAILED),
        ({"kind": "fail", "event_type": True}, SynthesisFailed, FAILED),
        ({"kind": "drop", "at": "first", "code": 1000}, SessionLost, r"closed \(1000\)"),
        ({"kind": "drop", "at": "middle"}, SessionLost, r"closed \(1006\)"),
        ({"kind": "drop", "at": "last", "code": 1011}, SessionLost, r"closed \(1011\)"),
        ({"kind": "bad_json", "at": "first"}, RemoteProtocolError, "cannot read '{"),
        ({"kind": "bad_json"}, RemoteProtocolError, "cannot read '{"),
        ({"kind": "binary", "at": "first"}, RemoteProtocolError, "a binary message of 960 bytes"),
        ({"kind": "binary", "at": "last"}, RemoteProtocolError, "a binary message of 960 bytes"),
    ],
    ids=lambda it: "-".join(map(str, it.values())) if isinstance(it, dict) else "",
)
async def test_no_transcript_comes_of_a_fault_and_the_next_session_has_it(
    tmp_path: Path, fault: dict[str, object], error: type[errors.AttemptError], words: str
) -> None:
    async with failing(tmp_path, **fault) as url:
        with pytest.raises(error, match=rf"{words}.*; after .*context u1\)"):
            await transcribe(url)
        assert await transcribe(url) == TEXT


@pytest.mark.parametrize(
    ("at", "knobs", "patience"),
    [
        ("first", UNACKNOWLEDGED, HURRY),
        ("middle", "", HURRY_THEN),
        ("last", "", HURRY_THEN),
    ],
    ids=["first", "middle", "last"],
)
async def test_a_recognizer_that_falls_silent_is_given_up(
    tmp_path: Path, at: str, knobs: str, patience: Patience
) -> None:
    async with failing(tmp_path, knobs, kind="stall", at=at) as url:
        with pytest.raises(Stalled, match=r"within 0.3 s; after .*context u1\)"):
            await transcribe(url, patience)
        assert await transcribe(url) == TEXT


async def test_one_that_has_acknowledged_and_falls_silent_has_heard_no_words(
    tmp_path: Path,
) -> None:
    async with failing(tmp_path, kind="stall", at="first") as url:
        assert await transcribe(url, HURRY) == ""  # nobody can tell the difference


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, errors.Unauthorized),
        (403, errors.Unauthorized),
        (429, errors.RateLimited),
        (500, errors.NotConnected),
        (503, errors.NotConnected),
    ],
)
async def test_a_recognizer_may_refuse_to_talk(
    tmp_path: Path, status: int, error: type[errors.BatchttsError]
) -> None:
    async with failing(tmp_path, kind="refuse", status=status) as url:
        with pytest.raises(BaseExceptionGroup) as refused:
            await transcribe(url)
        (cause,) = errors.leaves(refused.value)
        assert type(cause) is error
        assert await transcribe(url) == TEXT


def test_these_are_all_the_kinds_that_a_recognizer_can_have() -> None:
    kinds = {kind for kind, fault in KINDS.items() if "transcription" in WHERE[fault]}
    assert kinds == {"refuse", "fail", "drop", "stall", "bad_json", "binary"}
