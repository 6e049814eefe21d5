"""A provider is tried step by step, and the step that fails is told with what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from batchtts.errors import BatchttsError
from batchtts.job.settings import load
from batchtts.job.speaker import choose_speaker
from batchtts.run.doctor import SENTENCE, Doctor, Step
from tests.e2e import ask, serving

KEY = "sk-ishmael"
KEYED = {"TOGETHER_API_KEY": KEY}
CREATED = '{"type":"session.created","session":{"voice":"af_heart"}}'
AUDIO = "conversation.item.audio_output"

STEP = re.compile(r" +(ok|failed) +\d+\.\d{3} s  (.+)")


def steps(out: str) -> list[tuple[str, str]]:
    """The timed steps that the command tells of."""
    found = map(STEP.fullmatch, out.splitlines())
    return [(step[1], step[2]) for step in found if step]


def test_a_provider_in_good_order_passes_every_step(tmp_path: Path) -> None:
    with serving(tmp_path / "served.jsonl", key=KEY) as server:
        answer = ask("doctor", "together", "--endpoint", server.url, here=tmp_path, extra=KEYED)
        assert server.texts() == [SENTENCE]
    assert (answer.status, answer.err) == (0, "")
    settings, key, *_ = answer.out.splitlines()
    assert settings.split(maxsplit=1) == [
        "ok",
        "together, af_heart of hexgrad/Kokoro-82M, en-us",
    ]
    assert key.split(maxsplit=1) == ["ok", "key found in TOGETHER_API_KEY"]
    told = steps(answer.out)
    assert {verdict for verdict, _ in told} == {"ok"}
    assert [step.partition(" (")[0] for _, step in told] == [
        f"connected to together at {server.url}",
        "was greeted",
        "heard the first audio after the commit",
        "heard a whole sentence",
        "closed",
    ]
    assert KEY not in answer.out


def test_this_machine_is_tried_with_a_server_of_its_own(tmp_path: Path) -> None:
    answer = ask("doctor", "-v", "tone", "--word-timestamps", here=tmp_path)
    assert (answer.status, answer.err) == (0, "")
    assert "key" in answer.out.splitlines()[1]
    assert steps(answer.out)[0] == ("ok", "started a voice server on this machine")
    assert "timed)" in answer.out


def test_a_diagnosis_is_data_for_machines(tmp_path: Path) -> None:
    flags = ("--endpoint", "ws://127.0.0.1:1", "-O", "linger_s=0.1", "--json")
    answer = ask("doctor", "together", *flags, here=tmp_path, extra=KEYED)
    told = json.loads(answer.out)
    [step] = told.pop("steps")
    assert told == {
        "settings": "together, af_heart of hexgrad/Kokoro-82M, en-us",
        "key": "TOGETHER_API_KEY",
    }
    assert (step["step"], step["ok"]) == ("connect to together at ws://127.0.0.1:1", False)
    assert step["seconds"] >= 0
    assert (answer.status, answer.err.count("\n")) == (4, 2)


def test_the_step_that_failed_is_told_with_what_to_do(tmp_path: Path) -> None:
    flags = ("--endpoint", "ws://127.0.0.1:1")
    answer = ask("doctor", "together", *flags, here=tmp_path, extra=KEYED)
    assert steps(answer.out) == [("failed", "connect to together at ws://127.0.0.1:1")]
    assert (answer.status, answer.err) == (
        4,
        "batchtts: together at ws://127.0.0.1:1: connection refused\n"
        "  hint: see whether the provider is up, and whether this machine may reach it\n",
    )


def test_a_key_that_is_refused_is_told_with_its_variable(tmp_path: Path) -> None:
    with serving(tmp_path / "served.jsonl", key="another") as server:
        answer = ask("doctor", "together", "--endpoint", server.url, here=tmp_path, extra=KEYED)
    assert answer.status == 4
    assert [verdict for verdict, _ in steps(answer.out)][-1] == "failed"
    assert answer.err.endswith("  hint: set TOGETHER_API_KEY\n")
    assert KEY not in answer.out + answer.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "together needs a key"),
        (("-O", "segmnt=never"), "together has no option 'segmnt'"),
        (("-O", "segment"), "'segment' is not KEY=VALUE"),
        (("-v", "nobody"), "together has no voice 'nobody'"),
    ],
)
def test_settings_that_cannot_be_are_told_before_anybody_is_called(
    flags: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    answer = ask("doctor", "together", *flags, here=tmp_path)
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err


# Providers that are not well.

Behavior = Callable[[WebSocketConnection], Awaitable[None]]


async def examined(behavior: Behavior, tmp_path: Path) -> tuple[list[Step], BatchttsError]:
    """What is told of a provider that is not well."""

    async def serve(request: WebSocketRequest) -> None:
        with suppress(ConnectionClosed):
            await behavior(await request.accept())

    told: list[Step] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_websocket, serve, "127.0.0.1", 0, None)
            flags = {"provider": "together", "endpoint": f"ws://127.0.0.1:{server.port}"}
            speaker = choose_speaker(load(tmp_path / "m.csv", flags), KEYED, has_hibari=True)
            with pytest.raises(BatchttsError) as failed:
                await trio.to_thread.run_sync(Doctor(speaker, told.append).examine)
            nursery.cancel_scope.cancel()
    assert [step.is_ok for step in told] == [True] * (len(told) - 1) + [False]
    assert all(step.seconds >= 0 for step in told)
    return told, failed.value


async def deaf(ws: WebSocketConnection) -> None:
    await ws.aclose(1013, "no capacity")


async def cut(ws: WebSocketConnection) -> None:
    await ws.send_message(CREATED)
    while "commit" not in await ws.get_message():
        pass
    await ws.send_message(f'{{"type":"{AUDIO}.delta","item_id":"t","delta":"AAABAA=="}}')
    await ws.aclose(1011, "going down")


async def brief(ws: WebSocketConnection) -> None:
    await ws.send_message(CREATED)
    while "commit" not in await ws.get_message():
        pass
    for kind, more in (("delta", ',"delta":"AAABAA=="'), ("done", "")):
        await ws.send_message(f'{{"type":"{AUDIO}.{kind}","item_id":"t"{more}}}')
    await ws.get_message()


async def mute(ws: WebSocketConnection) -> None:
    await ws.send_message(CREATED)
    while "commit" not in await ws.get_message():
        pass
    await ws.send_message('{"type":"error","error":{"message":"engine overloaded"}}')
    await ws.get_message()


@pytest.mark.parametrize(
    ("behavior", "failed", "hint"),
    [
        (deaf, "wait for the greeting", "see whether the provider is up"),
        (mute, "hear the first audio after the commit", "try again; if it stays"),
        (cut, "hear a whole sentence", "try again; if it stays so, tell"),
        (brief, "hear a whole sentence", "try another voice or model"),
    ],
)
async def test_what_goes_wrong_is_told_with_where_it_did(
    behavior: Behavior, failed: str, hint: str, tmp_path: Path
) -> None:
    told, error = await examined(behavior, tmp_path)
    assert told[-1].what == failed
    assert error.hint is not None
    assert error.hint.startswith(hint)
