"""The transcription side of our own server: without a port, over one, and its recognizers.

The tone recognizer reads the tone engine's whistles, so that what is heard is
exact. Each wait ends with the thing itself or with a deadline.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pybase64
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from batchtts.audio.write import resample
from batchtts.server.app import Settings, serve
from batchtts.server.casting import Casting
from batchtts.server.conversation import Action, After, Close, Listen, Send
from batchtts.server.engine import Tone
from batchtts.server.house import House, Visit
from batchtts.server.knobs import Knobs
from batchtts.server.knobs import Transcription as Knob
from batchtts.server.pauses import Detection, Segment, Segmenter
from batchtts.server.transcription import Transcription
from batchtts.wire.embedded import EMBEDDED_VOICES, MOONSHINE, TONE
from batchtts.wire.together_stt import PARAKEET, WHISPER

PATH = "/v1/realtime"
DEADLINE = 10.0  # seconds
RATE_HZ = 16_000
SAID = "conversation.item.input_audio_transcription"
DELTA, COMPLETED, FAILED = f"{SAID}.delta", f"{SAID}.completed", f"{SAID}.failed"
APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"
COMMITTED = "input_audio_buffer.committed"
UPDATED = "transcription_session.updated"
WISH = {"model": WHISPER, "input_audio_format": "pcm_s16le_16000"}
WHOLE = {**WISH, "turn_detection": "none"}

Message = dict[str, Any]


def whistled(text: str, rate_hz: int = RATE_HZ) -> bytes:
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == TONE)
    return resample(b"".join(Tone().speak(text, voice, 1.0)), 24_000, rate_hz)


def hum(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """Something that is loud enough to be speech."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return bytes((2000 * np.sin(2 * np.pi * 220 * at)).astype("<i2").tobytes())


def quiet(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    return bytes(2 * round(seconds * rate_hz))


# ── the protocol without a port ───────────────────────────────────────────────


class Talk:
    """A conversation, and what it does."""

    def __init__(
        self, query: Mapping[str, str], knob: Knob | None = None, *, engine: str = TONE
    ) -> None:
        casting = Casting(engine, frozenset({"hibari", "nanotts", TONE}))
        house = House(casting=casting, knobs=Knobs(transcription=knob or Knob()))
        visit = Visit(number=1, path=PATH, query=query, key="k", house=house)
        self.side = Transcription(visit)
        self.greeting = timeless(self.side.greet())

    def give(self, kind: str, **fields: object) -> list[Action]:
        return timeless(self.side.receive(json.dumps({"type": kind, **fields})))

    def append(self, pcm: bytes) -> list[Listen]:
        listens = []
        for start in range(0, len(pcm), 2 * RATE_HZ):
            audio = pybase64.b64encode(pcm[start : start + 2 * RATE_HZ]).decode()
            listens += self.give(APPEND, audio=audio)
        assert all(isinstance(each, Listen) for each in listens)
        return [each for each in listens if isinstance(each, Listen)]

    def commit(self) -> list[Listen]:
        return [each for each in self.give(COMMIT) if isinstance(each, Listen)]


def timeless(actions: Iterable[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, After)]


def told(action: object) -> Message:
    assert isinstance(action, Send)
    message: Message = json.loads(action.message)
    return message


def refused(query: Mapping[str, str]) -> Message:
    """The error of a session that does not come about."""
    failed, close = Talk(query).greeting
    assert close == Close(1000)
    message = told(failed)
    assert message["type"] == FAILED
    assert "event_type" not in message
    error: Message = message["error"]
    return error


def begins(listens: Iterable[Listen], talk: Talk) -> list[tuple[float, float]]:
    """When what is listened to begins, and how long it is, as the client is told."""
    facts = [told(next(iter(talk.side.guessed(each, "x")))) for each in listens]
    return [(each["start"], each["duration"]) for each in facts]


def test_a_session_is_greeted_with_its_model() -> None:
    [created] = Talk(WISH).greeting
    assert told(created) == {
        "type": "session.created",
        "session": {
            "id": "session-1",
            "object": "realtime.session",
            "modalities": ["audio"],
            "model": WHISPER,
        },
    }


@pytest.mark.parametrize("query", [{}, {"model": ""}, {"input_audio_format": "pcm16"}])
def test_without_a_model_there_is_never_a_session(query: dict[str, str]) -> None:
    talk = Talk(query)
    assert talk.greeting == []
    assert talk.append(hum(1.0)) == []
    assert talk.give(COMMIT) == []


def test_an_unknown_model_ends_the_session() -> None:
    error = refused({**WISH, "model": "openai/whisper"})
    assert (error["code"], error["type"]) == ("model_not_available", "invalid_request_error")
    assert error["message"] == (
        "model 'openai/whisper' is not available; there are openai/whisper-large-v3,"
        " nvidia/parakeet-tdt-0.6b-v3, moonshine-tiny-en, tone"
    )


@pytest.mark.parametrize("model", [WHISPER, PARAKEET, MOONSHINE])
def test_a_recognizer_that_is_not_installed_is_named_with_its_extra(model: str) -> None:
    failed, _ = Talk({**WISH, "model": model}, engine="hibari").greeting
    error = told(failed)["error"]
    assert error["code"] == "model_not_available"
    assert error["message"] == "moonshine-tiny-en is not installed; pip install 'batchtts[hear]'"


@pytest.mark.parametrize(
    ("preferred", "model", "ear"),
    [
        ("hibari", WHISPER, MOONSHINE),
        ("nanotts", PARAKEET, MOONSHINE),
        ("hibari", TONE, TONE),
        (TONE, WHISPER, TONE),
        (TONE, MOONSHINE, TONE),
    ],
)
def test_every_model_has_its_recognizer(preferred: str, model: str, ear: str) -> None:
    assert Casting(preferred, frozenset({MOONSHINE, TONE})).cast_ear(model) == ear


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"input_audio_format": "pcm_s24le"}, "unsupported input_audio_format 'pcm_s24le'"),
        ({"turn_detection": "semantic"}, "turn_detection"),
        ({"threshold": "1.5"}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"max_speech_duration_s": "0"}, "max_speech_duration_s"),
        ({"speech_pad_ms": "-1"}, "speech_pad_ms"),
        ({"speech_pad_ms": "inf"}, "speech_pad_ms"),
        ({"min_silence_duration_ms": "nan"}, "min_silence_duration_ms"),
    ],
)
def test_what_the_address_cannot_have_ends_the_session(wish: dict[str, str], words: str) -> None:
    error = refused({**WISH, **wish})
    assert error["code"] == "invalid_parameter"
    assert words in error["message"]


def test_the_format_must_be_told() -> None:
    assert "unsupported input_audio_format None" in refused({"model": WHISPER})["message"]


@pytest.mark.parametrize(
    ("format", "rate_hz"),
    [
        ("pcm_s16le_8000", 8000),
        ("pcm_s16le_16000", 16_000),
        *((name, 24_000) for name in ("pcm_s16le_24000", "pcm16", "pcm_s16", "pcm_s16le")),
    ],
)
def test_a_format_has_its_rate(format: str, rate_hz: int) -> None:
    talk = Talk({**WHOLE, "input_audio_format": format})
    talk.append(hum(0.5, rate_hz))
    [listen] = talk.commit()
    assert listen.sample_rate_hz == rate_hz
    assert begins([listen], talk) == [(0.0, 0.5)]


def test_without_turns_nothing_is_heard_before_the_commit_and_then_everything() -> None:
    talk = Talk(WHOLE)
    pcm = hum(1.2) + quiet(3.0) + hum(0.7)
    assert talk.append(pcm) == []
    committed, listen = talk.give(COMMIT)
    assert told(committed) == {"type": COMMITTED, "item_id": "item_1"}
    assert isinstance(listen, Listen)
    assert (listen.pcm, listen.ear, listen.model) == (pcm, TONE, WHISPER)
    assert talk.commit() == []
    talk.append(hum(0.5))
    assert begins(talk.commit(), talk) == [(4.9, 0.5)]


def test_a_commit_is_acknowledged_or_not() -> None:
    talk = Talk(WHOLE, Knob(acknowledges=False))
    talk.append(hum(0.5))
    [listen] = talk.give(COMMIT)
    assert isinstance(listen, Listen)
    assert Talk(WHOLE, Knob(acknowledges=False)).give(COMMIT) == []


def test_a_commit_of_nothing_is_acknowledged() -> None:
    assert [told(each) for each in Talk(WHOLE).give(COMMIT)] == [{"type": COMMITTED}]


def test_a_commit_may_be_split_at_pauses() -> None:
    talk = Talk(WHOLE, Knob(splits=True))
    assert talk.append(hum(1.0) + quiet(1.0) + hum(1.0) + quiet(2.0) + hum(0.5)) == []
    assert begins(talk.commit(), talk) == [(0.0, 1.25), (1.75, 1.5), (4.75, 0.75)]


def test_with_turns_a_segment_is_heard_when_it_is_over() -> None:
    talk = Talk(WISH)
    assert talk.append(quiet(1.0) + hum(1.0)) == []
    first = talk.append(quiet(1.0))
    assert begins(first, talk) == [(0.75, 1.5)]
    assert talk.append(quiet(5.0)) == []


def test_a_commit_ends_the_segment_that_is_not_over() -> None:
    talk = Talk(WISH)
    talk.append(quiet(1.0) + hum(1.0))
    assert begins(talk.commit(), talk) == [(0.75, 1.25)]
    assert talk.commit() == []


def test_speech_without_a_pause_is_cut_after_five_seconds() -> None:
    talk = Talk(WISH)
    listens = talk.append(hum(12.0))
    assert begins([*listens, *talk.commit()], talk) == [(0.0, 5.0), (5.0, 5.0), (10.0, 2.0)]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, [(0.0, 1.25)]),
        ({"speech_pad_ms": "0"}, [(0.0, 1.0)]),
        ({"min_silence_duration_ms": "100", "speech_pad_ms": "0"}, [(0.0, 0.4), (0.6, 0.4)]),
        ({"max_speech_duration_s": "0.5", "speech_pad_ms": "0"}, [(0.0, 0.5), (0.6, 0.5)]),
        ({"min_speech_duration_ms": "900"}, []),
        ({"threshold": "1"}, []),
    ],
)
def test_the_parameters_of_the_address_decide_on_turns(
    wish: dict[str, str], expected: list[tuple[float, float]]
) -> None:
    talk = Talk({**WISH, **wish})
    listens = talk.append(hum(0.4) + quiet(0.2) + hum(0.4) + quiet(1.0))
    assert begins(listens, talk) == expected


def test_turns_can_be_turned_off_and_on_again() -> None:
    talk = Talk(WISH)
    talk.append(hum(1.0))
    tail, updated = talk.give(UPDATED, session={"turn_detection": None})
    assert isinstance(tail, Listen)
    assert told(updated)["session"]["turn_detection"] is None
    assert talk.append(hum(1.0) + quiet(2.0)) == []
    buffered, updated = talk.give(
        UPDATED, session={"turn_detection": {"type": "server_vad", "threshold": 0.5}}
    )
    assert isinstance(buffered, Listen)
    assert begins([tail, buffered], talk) == [(0.0, 1.0), (1.0, 3.0)]
    assert told(updated)["session"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "min_silence_duration_ms": 500.0,
        "min_speech_duration_ms": 250.0,
        "max_speech_duration_s": 5.0,
        "speech_pad_ms": 250.0,
    }
    assert begins(talk.append(hum(1.0) + quiet(1.0)), talk) == [(4.0, 1.25)]


def test_an_update_that_says_nothing_of_turns_leaves_them() -> None:
    talk = Talk(WISH)
    talk.append(hum(1.0))
    [updated] = talk.give(UPDATED, session={"language": "en-US", "rolling_prompt": True})
    assert told(updated)["session"]["language"] == "en-US"
    assert begins(talk.append(quiet(1.0)), talk) == [(0.0, 1.25)]


def test_a_cleared_buffer_is_not_heard() -> None:
    for query in (WISH, WHOLE):
        talk = Talk(query)
        talk.append(hum(1.0))
        assert talk.give("input_audio_buffer.clear") == []
        assert talk.commit() == []
        talk.append(hum(0.5))
        assert begins(talk.commit(), talk) == [(1.0, 0.5)]


def test_an_append_may_end_in_the_middle_of_a_sample() -> None:
    talk = Talk(WHOLE)
    pcm = hum(0.01)
    for part in (pcm[:1], pcm[1:4], b"", pcm[4:]):
        talk.give(APPEND, audio=pybase64.b64encode(part).decode())
    [listen] = talk.commit()
    assert listen.pcm == pcm


def test_an_echo_comes_back() -> None:
    [echo] = Talk(WISH).give("echo", echo_id="e-1", payload={"a": 1}, client_sent_at=5)
    response = told(echo)
    assert response.pop("server_received_at") <= response.pop("server_sent_at")
    assert response == {
        "type": "echo.response",
        "echo_id": "e-1",
        "client_sent_at": 5,
        "payload": {"a": 1},
    }


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "not JSON"),
        ('{"type":"echo","payload":' + "[" * 100_000 + "]" * 100_000 + "}", "not JSON"),
        ("{}", "type"),
        ('{"type":"response.create"}', "unknown message type 'response.create'"),
        ('{"type":"transcription_session.updated","session":{"turn_detection":5}}', "turn_d"),
        ('{"type":"transcription_session.updated","session":{"language":"de"}}', "hears English"),
        (
            f'{{"type":"{APPEND}","audio":"{"A" * 42_672}"}}',
            "more than 1000 ms of audio in one message",
        ),
    ],
)
def test_a_wrong_message_is_answered_and_the_session_goes_on(message: str, words: str) -> None:
    talk = Talk(WHOLE)
    [error] = timeless(talk.side.receive(message))
    assert told(error)["type"] == "error"
    assert words in told(error)["error"]["message"]
    talk.append(hum(0.5))
    assert len(talk.commit()) == 1


def test_a_long_append_can_be_fine() -> None:
    talk = Talk(WHOLE, Knob(long_append="fine"))
    assert talk.give(APPEND, audio=pybase64.b64encode(hum(3.0)).decode()) == []
    assert begins(talk.commit(), talk) == [(0.0, 3.0)]


KINDS = [APPEND, COMMIT, UPDATED, "input_audio_buffer.clear", "echo"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
turns = st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "none"])},
    optional=dict.fromkeys(Detection.__struct_fields__, st.floats(-1, 1e6) | values),
)
sessions = st.fixed_dictionaries({}, optional={"turn_detection": turns | st.none(), "x": values})
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "audio": st.binary(max_size=3000).map(lambda pcm: pybase64.b64encode(pcm).decode()),
        "session": sessions | values,
        "payload": values,
    },
)


@given(st.lists(messages.map(json.dumps) | values.map(json.dumps) | st.text()))
def test_whatever_a_client_says_is_answered_and_no_sample_is_heard_twice(said: list[str]) -> None:
    talk, end = Talk(WISH), 0.0
    for message in said:
        listens = [each for each in talk.side.receive(message) if isinstance(each, Listen)]
        for begin, duration in begins(listens, talk):
            assert begin >= end - 0.001
            end = begin + duration


@pytest.mark.parametrize("message", [b"\0\0", f'{{"type":"{APPEND}","audio":"*"}}'])
def test_audio_in_any_other_form_ends_the_session(message: str | bytes) -> None:
    talk = Talk(WHOLE)
    failed, close = timeless(talk.side.receive(message))
    assert close == Close(1000)
    assert "event_type" not in told(failed)
    assert told(failed)["error"]["code"] == "invalid_audio"
    assert talk.give(COMMIT) == []


def test_an_hour_without_a_commit_ends_the_session() -> None:
    talk = Talk(WHOLE)
    second = pybase64.b64encode(quiet(1.0)).decode()
    for _ in range(128 * 1024 * 1024 // (2 * RATE_HZ)):
        assert talk.give(APPEND, audio=second) == []
    failed, _ = talk.give(APPEND, audio=second)
    assert told(failed)["error"]["code"] == "buffer_full"


def test_only_audio_keeps_a_session_from_being_idle() -> None:
    talk = Talk(WISH)
    assert list(talk.side.greet())[-1] == After("idle", 300.0)
    timed = [
        [action for action in talk.side.receive(message) if isinstance(action, After)]
        for message in (f'{{"type":"{APPEND}","audio":"AAAA"}}', f'{{"type":"{COMMIT}"}}')
    ]
    assert timed == [[After("idle", 300.0)], []]
    failed, close = timeless(talk.side.expired("idle"))
    assert (told(failed)["error"]["code"], close) == ("idle_timeout", Close(1000))


def test_silence_comes_back_as_nothing_at_all() -> None:
    talk = Talk(WHOLE)
    talk.append(quiet(1.0))
    [listen] = talk.commit()
    assert list(talk.side.heard(listen, "")) == []


def test_what_was_heard_and_what_was_not() -> None:
    talk = Talk(WHOLE)
    talk.append(hum(0.5))
    [one] = talk.commit()
    talk.append(hum(0.5))
    [two] = talk.commit()
    about = {"item_id": "item_1", "start": 0.0, "duration": 0.5}
    [delta], [completed] = talk.side.guessed(one, "the"), talk.side.heard(one, "The quick fox.")
    assert told(delta) == {"type": DELTA, "delta": "the", **about}
    assert told(completed) == {"type": COMPLETED, "transcript": "The quick fox.", **about}
    [failed] = talk.side.unheard(two, "the tone process has died")
    assert told(failed)["event_type"] == "completed"
    assert told(failed)["error"]["message"] == "the tone process has died"


def test_items_need_not_be_named_and_progress_may_be_told() -> None:
    talk = Talk(WHOLE, Knob(names_items=False, tells_progress=True))
    talk.append(quiet(1.0))
    talk.append(hum(0.5))
    committed, listen = talk.give(COMMIT)
    assert told(committed) == {"type": COMMITTED}
    assert isinstance(listen, Listen)
    processed, completed = talk.side.heard(listen, "Fox.")
    assert told(processed) == {"type": "input_audio_buffer.processed", "processed_ms": 1500}
    assert told(completed) == {"type": COMPLETED, "transcript": "Fox."}


# ── where speech is ─────────────────────────────────────────

recordings = st.lists(
    st.tuples(st.booleans(), st.floats(0.005, 1.5)).map(
        lambda part: hum(part[1], 8000) if part[0] else quiet(part[1], 8000)
    ),
    max_size=6,
).map(b"".join)


@given(recordings, st.lists(st.integers(1, 9000), max_size=8))
def test_it_does_not_matter_how_audio_comes_in(pcm: bytes, sizes: list[int]) -> None:
    def segments(parts: list[bytes]) -> list[Segment]:
        segmenter = Segmenter(Detection(max_speech_duration_s=2.0), 8000)
        found = [segment for part in parts for segment in segmenter.feed(part)]
        tail = segmenter.flush()
        return [*found, tail] if tail else found

    bounds = [0, *(2 * sum(sizes[: number + 1]) for number in range(len(sizes))), len(pcm)]
    parts = [pcm[start:end] for start, end in pairwise(bounds)]
    found = segments([pcm])
    assert segments(parts) == found
    ends = [0]
    for segment in found:
        assert segment.begin >= ends[-1]
        ends.append(segment.begin + len(segment.pcm) // 2)
        assert segment.pcm == pcm[2 * segment.begin : 2 * ends[-1]]
        assert len(segment.pcm) // 2 <= 8000 * 2.25 + 80


# ── over a real port ──────────────────────────────────────────────────────────


class Client:
    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws

    async def send(self, kind: str, **fields: object) -> None:
        await self.ws.send_message(json.dumps({"type": kind, **fields}))

    async def append(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 2 * RATE_HZ):
            audio = pybase64.b64encode(pcm[start : start + 2 * RATE_HZ]).decode()
            await self.send(APPEND, audio=audio)

    async def next(self) -> Message:
        with trio.fail_after(DEADLINE):
            message: Message = json.loads(await self.ws.get_message())
            return message

    async def until(self, kind: str) -> list[Message]:
        messages = [await self.next()]
        while messages[-1]["type"] != kind:
            messages.append(await self.next())
        return messages


@asynccontextmanager
async def connect(
    port: int,
    query: Mapping[str, str],
    headers: Iterable[tuple[bytes, bytes]] = ((b"Authorization", b"Bearer k"),),
    subprotocols: Iterable[str] = (),
) -> AsyncIterator[Client]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        ws = await wrap_client_stream(
            nursery,
            stream,
            f"127.0.0.1:{port}",
            f"{PATH}?{urlencode(query)}",
            subprotocols=list(subprotocols),
            extra_headers=list(headers),
        )
        yield Client(ws)
        await ws.aclose()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "served.jsonl"


@pytest.fixture
async def port(nursery: trio.Nursery, log: Path) -> int:
    settings = Settings(port=0, engine=TONE, workers=1, log=log)
    started: int = await nursery.start(serve, settings)
    return started


def lines(log: Path) -> list[Message]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_a_recording_is_heard_and_the_log_is_a_witness(port: int, log: Path) -> None:
    text = "Call me Ishmael. Some years ago, never mind how long precisely, I went to sea."
    async with connect(port, WHOLE) as client:
        assert (await client.next())["type"] == "session.created"
        await client.append(whistled(text))
        await client.send(COMMIT)
        committed, *deltas, completed = await client.until(COMPLETED)
    assert committed == {"type": COMMITTED, "item_id": "item_1"}
    assert [delta["delta"] for delta in deltas] == [text[:64], text]
    assert {delta["type"] for delta in deltas} == {DELTA}
    seconds = round(0.060 * len(text), 3)
    about = {"item_id": "item_1", "start": 0.0, "duration": seconds}
    assert completed == {"type": COMPLETED, "transcript": text, **about}
    commit, done = lines(log)
    assert (commit["path"], commit["model"], commit["outcome"]) == (PATH, WHISPER, None)
    assert (done["outcome"], done["transcript"]) == ("heard", text)
    assert done["samples"] == round(seconds * RATE_HZ)


async def test_segments_come_back_one_after_another(port: int) -> None:
    # A segment of tones that begins with the text is read; it is cut after five seconds.
    async with connect(port, {**WISH, "max_speech_duration_s": "3"}) as client:
        await client.next()
        await client.append(whistled("x" * 75))
        await client.send(COMMIT)
        heard = [(await client.until(COMPLETED))[-1] for _ in range(2)]
    assert [each["item_id"] for each in heard] == ["item_1", "item_2"]
    assert [each["start"] for each in heard] == [0.0, 3.0]
    assert heard[0]["transcript"] == "x" * 50


async def test_silence_is_acknowledged_and_nothing_else(port: int) -> None:
    async with connect(port, WHOLE) as client:
        await client.next()
        await client.append(quiet(1.0))
        await client.send(COMMIT)
        assert await client.next() == {"type": COMMITTED, "item_id": "item_1"}
        await client.append(whistled("Fox."))
        await client.send(COMMIT)
        assert [m["type"] for m in await client.until(COMPLETED)] == [COMMITTED, DELTA, COMPLETED]


async def test_a_binary_message_ends_the_session(port: int) -> None:
    async with connect(port, WHOLE) as client:
        await client.next()
        await client.ws.send_message(b"RIFF")
        assert (await client.next())["type"] == FAILED
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000


def descendants(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


async def test_a_dead_recognizer_costs_one_utterance(port: int) -> None:
    async with connect(port, WHOLE) as client:
        await client.next()
        others = descendants(os.getpid())
        await client.append(whistled("Fox."))
        await client.send(COMMIT)
        await client.until(COMPLETED)
        (child,) = descendants(os.getpid()) - others
        os.kill(child, signal.SIGSTOP)
        await client.append(whistled("Dog."))
        await client.send(COMMIT)
        assert (await client.next())["type"] == COMMITTED
        await wait_all_tasks_blocked()  # the server among them: it has asked the child
        os.kill(child, signal.SIGKILL)
        failed = await client.next()
        assert (failed["type"], failed["event_type"]) == (FAILED, "completed")
        assert failed["error"]["message"] == "the tone process has died"
        await client.append(whistled("Cat."))
        await client.send(COMMIT)
        assert (await client.until(COMPLETED))[-1]["transcript"] == "Cat."


SECRET = "sk-1"


@pytest.mark.parametrize(
    ("headers", "subprotocols", "query"),
    [
        ([(b"Authorization", b"Bearer sk-1")], [], {}),
        ([(b"authorization", b"bearer sk-1"), (b"OpenAI-Beta", b"realtime=v1")], [], {}),
        ([], [], {"authorization": "Bearer sk-1"}),
        ([], ["realtime", "openai-insecure-api-key.sk-1", "openai-beta.realtime-v1"], {}),
        ([], ["openai-insecure-api-key.sk-1"], {}),
        ([], [], {"api_key": "sk-1"}),
    ],
)
async def test_the_key_may_come_in_several_ways(
    nursery: trio.Nursery,
    headers: list[tuple[bytes, bytes]],
    subprotocols: list[str],
    query: dict[str, str],
) -> None:
    port = await nursery.start(serve, Settings(port=0, engine=TONE, key=SECRET))
    async with connect(port, {**WISH, **query}, headers, subprotocols) as client:
        assert (await client.next())["type"] == "session.created"
        offered = "realtime" in subprotocols
        assert client.ws.subprotocol == ("realtime" if offered else None)


@pytest.mark.parametrize(
    "header",
    [
        b"X-Key: sk-1",
        b"Authorization: Bearer sk-2",
        b"Authorization: sk-1",
        b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-2",
    ],
)
async def test_no_key_or_a_wrong_one_is_401(nursery: trio.Nursery, header: bytes) -> None:
    port = await nursery.start(serve, Settings(port=0, engine=TONE, key=SECRET))
    fields = [
        f"GET {PATH}?{urlencode(WISH)} HTTP/1.1".encode(),
        *(b"Host: 127.0.0.1", b"Connection: Upgrade", b"Upgrade: websocket"),
        *(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        header,
    ]
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"\r\n".join([*fields, b"", b""]))
        with trio.fail_after(DEADLINE):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 401 ")
