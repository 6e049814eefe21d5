"""Our server as Smallest: its protocol without a port, and over one.

Each wait ends with the thing itself or with a deadline.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import pybase64
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from batchtts.model import Voice, Word
from batchtts.server.app import PATHS, Settings, serve
from batchtts.server.casting import Casting, NotAvailable
from batchtts.server.conversation import Action, After, Close, Say, Send
from batchtts.server.engine import SAMPLE_RATE_HZ, Tone
from batchtts.server.house import House, TurnedAway, Visit
from batchtts.server.knobs import Knobs
from batchtts.server.knobs import Smallest as Knob
from batchtts.server.smallest import SOCKETS, Smallest
from batchtts.server.timings import spread
from batchtts.wire.lightning import BASE, LIGHTNING_VOICES, PRO

PATH = "/waves/v1/tts/live"
DEADLINE = 10.0  # seconds
ALL = frozenset({"hibari", "nanotts", "tone"})
TEXT = "Call me Ishmael."

Message = dict[str, Any]


def tone(text: str, speed: float = 1.0) -> bytes:
    return b"".join(Tone().speak(text, Voice("x", "tone", "zxx"), speed))


def house(knob: Knob | None = None) -> House:
    return House(casting=Casting("tone", ALL), knobs=Knobs(smallest=knob or Knob()))


def visit(place: House, number: int = 1, key: str = "k", **query: str) -> Smallest:
    visitor = Visit(number=number, path=PATH, query=query, key=key, house=place)
    return Smallest(visitor)


def asking(text: str = TEXT, **more: object) -> str:
    return json.dumps({"voice_id": "sophia", "text": text, **more})


def give(conversation: Smallest, text: str = TEXT, **more: object) -> list[Action]:
    """What a request comes to, but for the timer that every message starts anew."""
    idle, *actions = conversation.receive(asking(text, **more))
    assert isinstance(idle, After)
    assert idle.name == "idle"
    return [action for action in actions if action != After("flush", inf)]


def says(actions: Iterable[Action]) -> list[Say]:
    return [action for action in actions if isinstance(action, Say)]


def told(actions: Iterable[Action]) -> list[Message]:
    return [json.loads(action.message) for action in actions if isinstance(action, Send)]


def spoken(conversation: Smallest, say: Say, payload: bytes = bytes(960)) -> list[Action]:
    """What an item comes to."""
    return [*conversation.piece(say, payload), *conversation.end(say)]


def error(actions: Iterable[Action]) -> Message:
    (message,) = told(actions)
    return message


# ── a request ─────────────────────────────────────────────────────────────────


def test_nobody_is_greeted() -> None:
    assert list(visit(house()).greet()) == [After("idle", 60)]


def test_a_request_is_spoken_at_44100_hz_unless_it_says_otherwise() -> None:
    (say,) = says(give(visit(house())))
    assert (say.text, say.context, say.named, say.sample_rate_hz) == (
        TEXT,
        "task_1_1",
        False,
        44100,
    )
    (say,) = says(give(visit(house()), sample_rate=24000, speed=1.5, request_id="line-1"))
    assert (say.context, say.named, say.sample_rate_hz, say.speed) == ("line-1", True, 24000, 1.5)


def test_a_long_text_is_spoken_in_pieces_of_250_characters() -> None:
    text = "Having little or no money in my purse, I went to sea. " * 12
    pieces = says(give(visit(house()), text, request_id="line-1"))
    assert "".join(say.text for say in pieces) == text
    assert all(len(say.text) <= 250 for say in pieces)
    assert {say.context for say in pieces} == {"line-1"}
    assert len({say.item for say in pieces}) == len(pieces)


def test_a_chunk_names_its_session_and_its_request_and_echoes_those_of_the_client() -> None:
    conversation = visit(house(), number=7)
    (say,) = says(give(conversation, request_id="line-1", session_id="book"))
    chunks = told(conversation.piece(say, bytes(40_000)))
    sizes = [len(pybase64.b64decode(chunk.pop("data")["audio"])) for chunk in chunks]
    assert sizes == [16384, 16384, 7232]
    assert chunks == 3 * [
        {
            "session_id": "ws_7",
            "request_id": "task_7_1",
            "external_session_id": "book",
            "external_request_id": "line-1",
            "status": "chunk",
        }
    ]


def test_a_client_that_gives_no_names_gets_none_back() -> None:
    conversation = visit(house())
    (say,) = says(give(conversation))
    (chunk,) = told(conversation.piece(say, b"\0\0"))
    assert chunk.keys() == {"session_id", "request_id", "status", "data"}


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_blank_text_comes_to_nothing_at_all(text: str) -> None:
    assert give(visit(house()), text) == []


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"text": "x"}, ""),
        ({"voice_id": "sophia"}, ""),
        ({"voice_id": "", "text": "x"}, "voice_id"),
        ({"text": "", "flush": True}, ""),
        ({"voice_id": "sophia", "text": "x", "model": "lightning_v9"}, "model"),
        ({"voice_id": "sophia", "text": "x", "language": "xx"}, "language"),
        ({"voice_id": "sophia", "text": "x", "sample_rate": 22050}, "sample_rate"),
        ({"voice_id": "sophia", "text": "x", "speed": 2.1}, "speed"),
        ({"voice_id": "sophia", "text": "x", "speed": 0.4}, "speed"),
        ({"voice_id": "sophia", "text": "x", "complete_backoff_ms": 10_001}, "complete_backoff_ms"),
        ({"voice_id": "sophia", "text": "x", "max_buffer_flush_ms": 1001}, "max_buffer_flush_ms"),
        ({"voice_id": "sophia", "text": "x", "request_id": "a b"}, "request_id"),
        ({"voice_id": "sophia", "text": "x", "request_id": "x" * 129}, "request_id"),
        ({"voice_id": "nobody", "text": "x"}, ""),
        ([], ""),
    ],
)
def test_a_wrong_request_is_refused_with_its_place_and_the_next_is_spoken(
    message: object, path: str
) -> None:
    conversation = visit(house(Knob(error_shape="issues")))
    _, *actions = conversation.receive(json.dumps(message))
    (issue,) = error(actions)["error"]
    assert issue["path"] == ([path] if path else [])
    assert issue["message"]
    assert len(says(give(conversation))) == 1


@pytest.mark.parametrize("message", ["{", b"\0", ""])
def test_what_is_no_message_is_refused(message: str | bytes) -> None:
    _, *actions = visit(house()).receive(message)
    assert error(actions)["status"] == "error"


@pytest.mark.parametrize(
    ("knob", "body"),
    [
        (Knob(), {"message": "Voice 'nobody' not found"}),
        (Knob(error_shape="text"), {"error": "Voice 'nobody' not found"}),
        (
            Knob(error_shape="object"),
            {"error": {"message": "Voice 'nobody' not found", "code": "404"}},
        ),
    ],
)
def test_an_error_has_the_shape_that_is_set(knob: Knob, body: Message) -> None:
    conversation = visit(house(knob))
    refused = error(give(conversation, voice_id="nobody", request_id="line-1"))
    assert refused == {"external_request_id": "line-1", "status": "error", **body}


def test_text_that_goes_on_waits_for_its_rest() -> None:
    conversation = visit(house())
    assert give(conversation, "Call ", **{"continue": True}) == []
    assert give(conversation, "me ", **{"continue": True, "max_buffer_flush_ms": 500}) == [
        After("flush", 0.5)
    ]
    (say,) = says(give(conversation, "Ishmael."))
    assert say.text == TEXT


def test_text_that_has_waited_long_enough_is_spoken() -> None:
    conversation = visit(house())
    give(conversation, "Call me", **{"continue": True, "max_buffer_flush_ms": 500})
    assert [say.text for say in says(conversation.expired("flush"))] == ["Call me"]
    assert list(conversation.expired("flush")) == []


def test_too_much_text_that_waits_is_refused() -> None:
    conversation = visit(house(Knob(error_shape="issues")))
    give(conversation, "x" * 65_536, **{"continue": True})
    (issue,) = error(give(conversation, "x"))["error"]
    assert (issue["code"], issue["path"]) == ("too_big", ["text"])


def test_text_that_has_waited_may_come_too_soon_after_another() -> None:
    conversation = visit(house())
    give(conversation)
    give(conversation, "Call me", request_id="b", **{"continue": True, "max_buffer_flush_ms": 9})
    refused = error(conversation.expired("flush"))
    assert refused["message"] == "Concurrency limit of 1 reached"
    assert refused["external_request_id"] == "b"


def test_flush_speaks_what_waits() -> None:
    conversation = visit(house())
    give(conversation, "Call me", **{"continue": True})
    (say,) = says(give(conversation, "", flush=True, **{"continue": False}))
    assert say.text == "Call me"


# ── the end ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("more", "seconds"), [({}, 4.0), ({"complete_backoff_ms": 200}, 0.2)])
def test_complete_is_a_timer_that_starts_behind_the_last_chunk(
    more: Message, seconds: float
) -> None:
    conversation = visit(house())
    (say,) = says(give(conversation, request_id="line-1", **more))
    assert spoken(conversation, say)[-1] == After("complete", seconds)
    assert told(conversation.expired("complete")) == [
        {
            "session_id": "ws_1",
            "request_id": "task_1_1",
            "external_request_id": "line-1",
            "status": "complete",
        }
    ]


def test_only_the_last_piece_of_a_request_starts_the_timer() -> None:
    conversation = visit(house())
    *before, last = says(give(conversation, "Call me Ishmael. " * 40))
    for say in before:
        assert not any(isinstance(action, After) for action in spoken(conversation, say))
    assert spoken(conversation, last)[-1] == After("complete", 4)


def test_a_request_before_the_timer_has_run_out_puts_complete_off() -> None:
    conversation = visit(house())
    (first,) = says(give(conversation))
    spoken(conversation, first)
    stop, second = give(conversation, request_id="second")
    assert stop == After("complete", inf)
    assert isinstance(second, Say)
    spoken(conversation, second)
    (complete,) = told(conversation.expired("complete"))
    assert complete["external_request_id"] == "second"


def test_a_timer_that_every_chunk_starts_may_run_out_in_the_middle() -> None:
    conversation = visit(house(Knob(quiet="chunks")))
    (say,) = give(conversation, complete_backoff_ms=0)
    assert isinstance(say, Say)
    assert [type(action) for action in spoken(conversation, say, bytes(20_000))] == [
        *(Send, After, Send, After),
        After,
    ]


def test_older_versions_explain_their_complete() -> None:
    conversation = visit(house(Knob(explains=True)))
    (say,) = says(give(conversation))
    spoken(conversation, say)
    (complete,) = told(conversation.expired("complete"))
    assert (complete["message"], complete["done"]) == ("All chunks sent", True)


def test_a_close_after_complete_gives_the_socket_back_at_once() -> None:
    place = house(Knob(closes=True))
    conversation = visit(place)
    (say,) = says(give(conversation))
    spoken(conversation, say)
    *_, close = conversation.expired("complete")
    assert (close, place.sockets["k"]) == (Close(1000), 0)
    conversation.leave()
    assert place.sockets["k"] == 0


def test_a_piece_that_fails_is_told_and_the_rest_is_spoken() -> None:
    conversation = visit(house())
    first, second = says(give(conversation, "Call me Ishmael. " * 20, request_id="line-1"))
    failed = list(conversation.broken(first, "the tone process has died"))
    assert error(failed)["message"] == "the tone process has died"
    assert error(failed)["external_request_id"] == "line-1"
    assert spoken(conversation, second)[-1] == After("complete", 4)


def test_a_request_without_any_audio_that_failed_has_no_complete() -> None:
    place = house()
    conversation = visit(place)
    (say,) = says(give(conversation))
    (refused,) = conversation.cannot_speak(say, "no sound for it")
    assert isinstance(refused, Send)
    assert place.in_flight["k"] == 0


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [("5", 5), ("999", 999), ("0", 60), ("-1", 60), ("1.5", 60), ("", 60), ("²", 60)],
)
def test_a_timeout_is_a_positive_whole_number(timeout: str, seconds: int) -> None:
    conversation = visit(house(), timeout=timeout)
    assert list(conversation.greet()) == [After("idle", seconds)]
    told_so, close = conversation.expired("idle")
    assert close == Close(1000)
    assert error([told_so]) == {
        "status": "error",
        "message": f"Connection timed out after {seconds} seconds of inactivity",
    }


@pytest.mark.parametrize("message", ["{", b"\0", asking(" "), asking(voice_id="nobody")])
def test_whatever_a_client_says_starts_the_clock_anew(message: str | bytes) -> None:
    assert next(visit(house()).receive(message)) == After("idle", 60)


# ── limits ────────────────────────────────────────────────────────────────────


def test_a_request_too_many_is_refused_and_not_kept() -> None:
    place = house()
    one, other, stranger = visit(place), visit(place, 2), visit(place, 3, key="another")
    (say,) = says(give(one))
    for conversation in (one, other):
        refused = error(give(conversation, request_id="line-2"))
        assert refused["message"] == "Concurrency limit of 1 reached"
        assert refused["external_request_id"] == "line-2"
    assert len(says(give(stranger))) == 1
    spoken(one, say)
    assert len(says(give(other))) == 1


def test_a_larger_account_has_more_units() -> None:
    place = house(Knob(units=2))
    assert len(says(give(visit(place)))) == len(says(give(visit(place, 2)))) == 1
    assert says(give(visit(place, 3))) == []


def test_each_unit_has_five_sockets_and_the_next_is_turned_away() -> None:
    place = house()
    inside = [visit(place, number) for number in range(SOCKETS)]
    with pytest.raises(TurnedAway, match="more than 5 connections") as refusal:
        visit(place, 6)
    assert refusal.value.status == 429
    visit(place, 7, key="another")
    inside[0].leave()
    visit(place, 8)


def test_who_leaves_gives_everything_back_once() -> None:
    place = house(Knob(units=3))
    conversation = visit(place)
    first, *_ = says(give(conversation))
    give(conversation)
    spoken(conversation, first)
    conversation.leave()
    conversation.leave()
    assert (place.in_flight["k"], place.sockets["k"]) == (0, 0)


MESSAGES = st.fixed_dictionaries(
    {"voice_id": st.sampled_from(["sophia", "meher", "nobody"]), "text": st.text(max_size=300)},
    optional={
        "model": st.sampled_from([BASE, PRO, "x"]),
        "continue": st.booleans(),
        "flush": st.booleans(),
        "max_buffer_flush_ms": st.integers(0, 1000),
        "word_timestamps": st.booleans(),
        "sample_rate": st.sampled_from([24000, 44100, 5]),
        "request_id": st.sampled_from(["a", "b", "?"]),
    },
)
WHAT = st.sampled_from(["piece", "end", "broken", "complete", "flush"])


@given(st.lists(MESSAGES.map(json.dumps) | st.text() | st.binary() | WHAT), st.integers(1, 3))
def test_whatever_a_client_does_the_house_is_left_as_it_was(
    moves: list[str | bytes], units: int
) -> None:
    place = house(Knob(units=units, mismatch="silence"))
    conversation = visit(place)
    waiting: list[Say] = []
    for move in moves:
        if move in ("complete", "flush"):
            actions = list(conversation.expired(str(move)))
        elif move in ("piece", "end", "broken") and waiting:
            say = waiting[0] if move == "piece" else waiting.pop(0)
            frames = {
                "piece": lambda say=say: conversation.piece(say, b"\0\0"),
                "end": lambda say=say: conversation.end(say),
                "broken": lambda say=say: conversation.broken(say, "died"),
            }
            actions = list(frames[str(move)]())
        else:
            actions = list(conversation.receive(move))
        waiting += says(actions)
        assert 0 <= place.in_flight["k"] <= units
        told(actions)  # each of them is JSON
    conversation.leave()
    assert (place.in_flight["k"], place.sockets["k"]) == (0, 0)


# ── voices ────────────────────────────────────────────────────────────────────


def test_every_voice_speaks_tones() -> None:
    for voice in LIGHTNING_VOICES:
        (say,) = says(give(visit(house()), voice_id=voice.name, model=voice.model))
        assert (say.role.name, say.role.model, say.role.voice.model) == (*_name(voice), "tone")


def _name(voice: Voice) -> tuple[str, str]:
    return voice.name, voice.model


@pytest.mark.parametrize(("voice", "model"), [("meher", BASE), ("sophia", PRO)])
def test_a_voice_of_the_other_model_is_no_error(voice: str, model: str) -> None:
    asked = {"voice_id": voice, "model": model}
    assert give(visit(house()), **asked) == [After("complete", 4)]
    silent = visit(house(Knob(mismatch="silence")))
    (say,) = says(give(silent, **asked))
    (chunk,) = told(silent.piece(say, b"\1\2\3\4"))
    assert pybase64.b64decode(chunk["data"]["audio"]) == bytes(4)
    (say,) = says(give(visit(house(Knob(mismatch="other"))), **asked))
    assert say.role.name == voice
    assert say.role.voice.name != voice


def test_a_mismatch_is_no_request_in_flight() -> None:
    place = house()
    conversation = visit(place)
    give(conversation, voice_id="meher")
    assert place.in_flight["k"] == 0


@pytest.mark.parametrize(
    ("preferred", "language", "engine", "dialect"),
    [
        ("hibari", "en-us", "hibari", "en-us"),
        ("hibari", "en-in", "hibari", "en-us"),
        ("hibari", "en-gb", "nanotts", "en-gb"),
        ("hibari", "de", "nanotts", "de"),
        ("nanotts", "en", "nanotts", "en-us"),
        ("tone", "ja", "tone", "ja"),
    ],
)
def test_a_voice_has_a_stand_in_by_its_language(
    preferred: str, language: str, engine: str, dialect: str
) -> None:
    found = Casting(preferred, ALL).stand_in(Voice("quinn", BASE, language))
    assert found == Voice("quinn", engine, dialect)


def test_a_language_that_nobody_speaks_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(NotAvailable, match="is to speak ja, which nobody here does; there are de,"):
        Casting("hibari", ALL).stand_in(Voice("aria", PRO, "ja"))
    place = House(casting=Casting("hibari", ALL))
    assert "which nobody here does" in error(give(visit(place), language="ta"))["message"]


def test_an_engine_that_is_not_installed_is_refused() -> None:
    with pytest.raises(NotAvailable, match="nanotts is not installed"):
        Casting("hibari", frozenset({"tone"})).stand_in(Voice("quinn", BASE, "en"))


# ── the times of words ────────────────────────────────────────────────────────


def test_words_are_spread_over_the_audio_by_their_characters() -> None:
    assert spread("I am  $5.", 9 * 100, 100) == (
        Word("I", 0.0, 1.0),
        Word("am", 2.0, 4.0),
        Word("$5.", 6.0, 9.0),
    )
    assert spread(" ", 100, 100) == ()


@given(st.text(min_size=1), st.sampled_from([0.5, 1.0, 1.7]))
def test_for_tones_the_times_are_exact(text: str, speed: float) -> None:
    if not text.strip():
        return
    samples = len(tone(text, speed)) // 2
    whistle_s = samples / len(text) / SAMPLE_RATE_HZ
    for word in spread(text, samples, SAMPLE_RATE_HZ):
        first, last = round(word.start_s / whistle_s), round(word.end_s / whistle_s)
        assert text[first:last] == word.text
        assert word.start_s == pytest.approx(first * whistle_s)


def test_words_are_counted_and_timed_over_all_pieces_of_a_request() -> None:
    conversation = visit(house())
    text = "Call me Ishmael. " * 20
    pieces = says(
        give(conversation, text, voice_id="devansh", word_timestamps=True, sample_rate=24000)
    )
    words = []
    for say in pieces:
        frames = told(spoken(conversation, say, tone(say.text)))
        words += [frame["data"] for frame in frames if frame["status"] == "word_timestamp"]
    assert [word["id"] for word in words] == list(range(60))
    assert [word["word"] for word in words] == text.split()
    assert all(text[round(w["start"] / 0.06) : round(w["end"] / 0.06)] == w["word"] for w in words)


def test_other_voices_tell_no_times_and_do_not_complain() -> None:
    conversation = visit(house())
    (say,) = says(give(conversation, word_timestamps=True))
    assert [frame["status"] for frame in told(spoken(conversation, say))] == ["chunk"]


# ── over a real port ──────────────────────────────────────────────────────────


class Client:
    """Somebody who talks to the server, frame by frame."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws

    async def ask(self, text: str, **more: object) -> None:
        await self.ws.send_message(asking(text, **({"sample_rate": 24000} | more)))

    async def insist(self, text: str, **more: object) -> Message:
        """Ask until it is not too much at once; return the first reply to that."""
        with trio.fail_after(DEADLINE):
            while True:
                await self.ask(text, **more)
                if (reply := await self.next())["status"] != "error":
                    return reply

    async def next(self) -> Message:
        with trio.fail_after(DEADLINE):
            message: Message = json.loads(await self.ws.get_message())
            return message

    async def until(self, status: str) -> list[Message]:
        messages = [await self.next()]
        while messages[-1]["status"] != status:
            messages.append(await self.next())
        return messages

    async def hear(self, samples: int) -> list[Message]:
        """The chunks of so much audio."""
        messages: list[Message] = []
        while len(audio(messages)) < 2 * samples:
            messages.append(await self.next())
        return messages


def audio(messages: list[Message]) -> bytes:
    chunks = (message["data"]["audio"] for message in messages if message["status"] == "chunk")
    return b"".join(map(pybase64.b64decode, chunks))


@asynccontextmanager
async def connect(port: int, path: str = PATH, query: str = "") -> AsyncIterator[Client]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    key = [(b"Authorization", b"Bearer k")]
    async with stream, trio.open_nursery() as nursery:
        ws = await wrap_client_stream(
            nursery, stream, f"127.0.0.1:{port}", path + query, extra_headers=key
        )
        yield Client(ws)
        await ws.aclose()


@pytest.fixture
async def port(nursery: trio.Nursery) -> int:
    started: int = await nursery.start(serve, Settings(port=0, engine="tone", workers=2))
    return started


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith(("/waves", "/api"))])
async def test_a_script_is_spoken_at_every_path(port: int, path: str) -> None:
    async with connect(port, path, "?timeout=60") as client:
        await client.ask(TEXT, complete_backoff_ms=0)
        messages = await client.until("complete")
    assert audio(messages) == tone(TEXT)


async def test_audio_comes_at_the_rate_that_is_asked_for(port: int) -> None:
    async with connect(port) as client:
        await client.ask(TEXT, sample_rate=44100, complete_backoff_ms=0)
        messages = await client.until("complete")
    assert len(audio(messages)) / 2 == pytest.approx(len(tone(TEXT)) / 2 / 24000 * 44100, abs=2)


async def test_one_complete_comes_for_requests_that_follow_each_other(port: int) -> None:
    async with connect(port) as client:
        await client.ask(TEXT, complete_backoff_ms=10_000)
        first = await client.hear(len(tone(TEXT)) // 2)
        again = await client.insist("Some years ago.", request_id="second", complete_backoff_ms=0)
        rest = [again, *await client.until("complete")]
    assert {message["status"] for message in first} == {"chunk"}
    assert audio(rest) == tone("Some years ago.")
    assert rest[-1]["external_request_id"] == "second"


async def test_the_times_of_words_come_before_complete(port: int) -> None:
    async with connect(port) as client:
        await client.ask(TEXT, voice_id="liam", word_timestamps=True, complete_backoff_ms=0)
        *_, call, me, ishmael, complete = await client.until("complete")
    assert complete["status"] == "complete"
    assert [frame["data"] for frame in (call, me, ishmael)] == [
        {"id": 0, "word": "Call", "start": 0.0, "end": 0.24},
        {"id": 1, "word": "me", "start": 0.3, "end": 0.42},
        {"id": 2, "word": "Ishmael.", "start": 0.48, "end": 0.96},
    ]


async def test_a_second_request_is_refused_while_the_first_is_spoken(port: int) -> None:
    async with connect(port) as client, connect(port) as other:
        await client.ask("On and on. " * 4000, complete_backoff_ms=0)
        await client.until("chunk")
        await other.ask(TEXT, request_id="too-many")
        refused = await other.next()
        assert refused["message"] == "Concurrency limit of 1 reached"
        assert refused["external_request_id"] == "too-many"


async def test_who_vanishes_gives_the_request_back(port: int) -> None:
    async with connect(port) as steady:
        with trio.CancelScope() as scope:
            async with connect(port) as client:
                await client.ask("On and on. " * 4000)
                await client.until("chunk")
                scope.cancel()
                await trio.lowlevel.checkpoint()
        reply = await steady.insist(TEXT, complete_backoff_ms=0)
        assert audio([reply, *await steady.until("complete")]) == tone(TEXT)


async def test_the_sixth_socket_is_turned_away_with_429(port: int) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(SOCKETS):
            await nursery.start(hold, port)
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, check=is_429)):
            async with connect(port):
                pass
        nursery.cancel_scope.cancel()


async def hold(port: int, *, task_status: trio.TaskStatus[None]) -> None:
    async with connect(port):
        task_status.started()
        await trio.sleep_forever()


def is_429(rejection: ConnectionRejected) -> bool:
    return rejection.status_code == 429


async def test_an_idle_client_is_told_and_hung_up_on(port: int) -> None:
    async with connect(port, query="?timeout=1") as client:
        assert (await client.next())["message"] == (
            "Connection timed out after 1 seconds of inactivity"
        )
        with pytest.raises(ConnectionClosed) as closed, trio.fail_after(DEADLINE):
            await client.ws.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000


async def test_the_sixth_socket_may_come_in_when_one_has_gone(port: int) -> None:
    async with connect(port), connect(port), connect(port), connect(port):
        async with connect(port):
            pass
        with trio.fail_after(DEADLINE):
            while not await is_let_in(port):
                await trio.lowlevel.checkpoint()


async def is_let_in(port: int) -> bool:
    try:
        async with connect(port):
            return True
    except* ConnectionRejected:
        pass
    return False
