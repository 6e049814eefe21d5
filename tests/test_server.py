"""The provider of our own, over a real port, and its protocol without one.

Each wait ends with the thing itself or with a deadline.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pybase64
import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    open_websocket_url,
    wrap_client_stream,
)

from batchtts.errors import UsageError
from batchtts.server.app import PATHS, Settings, serve
from batchtts.server.casting import Casting
from batchtts.server.conversation import Action, After, Close, Say, Send
from batchtts.server.engine import Tone
from batchtts.server.foreground import stay
from batchtts.server.house import House, Visit
from batchtts.server.sentences import cut
from batchtts.server.together import Together
from batchtts.wire.embedded import EMBEDDED_VOICES
from batchtts.wire.kokoro import KOKORO, ORPHEUS

PATH = "/v1/audio/speech/websocket"
DEADLINE = 10.0  # seconds
FAILED = "conversation.item.tts.failed"
RECEIVED = "conversation.item.input_text.received"
DELTA = "conversation.item.audio_output.delta"
DONE = "conversation.item.audio_output.done"
ALL = frozenset({"hibari", "nanotts", "tone"})

Message = dict[str, Any]


def tone(text: str, speed: float = 1.0) -> bytes:
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == "tone")
    return b"".join(Tone().speak(text, voice, speed))


class Client:
    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws

    async def send(self, kind: str, **fields: object) -> None:
        await self.ws.send_message(json.dumps({"type": kind, **fields}))

    async def script(self, text: str, **fields: object) -> None:
        await self.send("input_text_buffer.append", text=text, **fields)
        await self.send("input_text_buffer.commit", **fields)

    async def next(self) -> Message:
        with trio.fail_after(DEADLINE):
            message: Message = json.loads(await self.ws.get_message())
            return message

    async def until(self, kind: str, times: int = 1) -> list[Message]:
        messages = [await self.next()]
        while sum(message["type"] == kind for message in messages) < times:
            messages.append(await self.next())
        return messages

    async def hear(self, text: str, **fields: object) -> bytes:
        await self.script(text, **fields)
        return audio(await self.until(DONE))


def audio(messages: list[Message], item: str | None = None) -> bytes:
    return b"".join(
        pybase64.b64decode(message["delta"])
        for message in messages
        if message["type"] == DELTA and item in (None, message["item_id"])
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "served.jsonl"


@pytest.fixture
async def port(nursery: trio.Nursery, log: Path) -> int:
    settings = Settings(port=0, engine="tone", workers=2, log=log)
    started: int = await nursery.start(serve, settings)
    return started


def lines(log: Path) -> list[Message]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def eventually(holds: Callable[[], bool]) -> None:
    with trio.fail_after(DEADLINE):
        while not holds():  # noqa: ASYNC110  files and processes send no event
            await trio.sleep(0.01)


@asynccontextmanager
async def connect(port: int, **query: str) -> AsyncIterator[Client]:
    # open_websocket_url leaves the socket open when the server closes first.
    target = f"{PATH}?{urlencode({'api_key': 'k'} | query)}"
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        ws = await wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", target)
        yield Client(ws)
        await ws.aclose()


async def upgrade(port: int, target: str, *headers: str) -> str:
    """Ask for a WebSocket, and return what is answered up to the end of the connection."""
    fields = [
        f"GET {target} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    ]
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all("\r\n".join([*fields, "", ""]).encode())
        with trio.fail_after(DEADLINE):
            return b"".join([data async for data in stream]).decode()


# ── over a real port ──────────────────────────────────────────────────────────


async def test_a_script_is_spoken(port: int) -> None:
    async with connect(port, segment="never") as client:
        assert await client.next() == {
            "event_id": "evt_1",
            "type": "session.created",
            "session": {
                "id": "session-1",
                "object": "realtime.tts.session",
                "modalities": ["text", "audio"],
                "model": KOKORO,
                "voice": "af_heart",
            },
        }
        await client.script("Call me Ishmael.", context_id="line-1")
        received, *deltas, done = await client.until(DONE)
    assert received == {"type": RECEIVED, "text": "Call me Ishmael.", "context_id": "line-1"}
    assert done == {"type": DONE, "item_id": "tts_1", "context_id": "line-1"}
    assert {tuple(delta) for delta in deltas} == {("type", "item_id", "delta", "context_id")}
    assert all(len(pybase64.b64decode(delta["delta"])) <= 16 * 1024 for delta in deltas)
    assert audio(deltas) == tone("Call me Ishmael.")


async def test_the_vendors_sample_gets_all_its_audio(port: int) -> None:
    chunks = [
        "Hello, this is a test.",
        "This is the second sentence.",
        "And this is the final one.",
    ]
    async with connect(port, model=KOKORO, voice="af_heart") as client:
        await client.next()
        for chunk in chunks:
            await client.send("input_text_buffer.append", text=chunk)
        await client.send("input_text_buffer.commit")
        messages = await client.until(DONE, times=3)
    assert [m["text"] for m in messages if m["type"] == RECEIVED] == chunks
    assert [m["item_id"] for m in messages if m["type"] == DONE] == ["tts_1", "tts_2", "tts_3"]
    assert audio(messages) == b"".join(map(tone, chunks))
    assert not any("context_id" in message for message in messages)


async def test_audio_starts_before_the_commit(port: int) -> None:
    async with connect(port) as client:
        await client.next()
        await client.send("input_text_buffer.append", text="One sentence. And the next")
        assert audio(await client.until(DONE)) == tone("One sentence.")


async def test_a_context_keeps_its_order(port: int) -> None:
    scripts = [f"Sentence number {number}, no less." for number in range(12)]
    async with connect(port, segment="never") as client:
        await client.next()
        for script in scripts:
            await client.script(script, context_id="one")
        messages = await client.until(DONE, times=len(scripts))
    assert audio(messages) == b"".join(map(tone, scripts))


async def test_many_contexts_are_spoken_each_for_itself(port: int) -> None:
    scripts = {f"c{number}": f"Sentence number {number}, no less." for number in range(40)}
    async with connect(port, segment="never") as client:
        await client.next()
        for context, script in scripts.items():
            await client.script(script, context_id=context)
        messages = await client.until(DONE, times=len(scripts))
    for context, script in scripts.items():
        assert audio([m for m in messages if m["context_id"] == context]) == tone(script)


async def test_text_that_cannot_be_spoken_fails_and_the_next_is_spoken(
    port: int, log: Path
) -> None:
    async with connect(port, segment="never") as client:
        await client.next()
        await client.script(" ", context_id="a")
        *_, failed = await client.until(FAILED)
        assert failed == {
            "type": FAILED,
            "error": {
                "message": "there is nothing to say in blank text",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_text",
            },
            "context_id": "a",
        }
        assert await client.hear("Again.") == tone("Again.")
        await eventually(lambda: len(lines(log)) == 4)
    assert [line["outcome"] for line in lines(log)] == [None, "cannot_speak", None, "spoken"]


async def test_a_bad_voice_is_the_first_message_and_the_last(port: int) -> None:
    async with connect(port, voice="tara") as client:
        failed = await client.next()
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
    assert failed["type"] == FAILED
    assert failed["error"]["type"] == "invalid_request_error"
    assert failed["error"]["message"] == f"voice 'tara' is not available for model '{KOKORO}'"
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000


async def test_a_cancelled_context_falls_silent_and_the_rest_goes_on(port: int, log: Path) -> None:
    async with connect(port, segment="never", speed="0.25") as client:
        await client.next()
        await client.script("On and on. " * 5000, context_id="long")
        await client.until(DELTA)
        await client.send("context.cancel", context_id="long")
        rest = await client.until("context.cancelled")
        assert rest[-1] == {"type": "context.cancelled", "context_id": "long"}
        assert DONE not in {message["type"] for message in rest}
        await client.script("Again.", context_id="long")
        messages = await client.until(DONE)
        assert audio(messages) == tone("Again.", speed=0.25)
    assert [line["outcome"] for line in lines(log)][:2] == [None, "cancelled"]


async def test_a_client_that_vanishes_disturbs_nobody(port: int, log: Path) -> None:
    async with connect(port, segment="never") as steady:
        await steady.next()
        with trio.CancelScope() as scope:
            async with connect(port, segment="never", speed="0.25") as client:
                await client.next()
                for context in "abcdefgh":
                    await client.script("On and on. " * 5000, context_id=context)
                await client.until(DELTA)
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert await steady.hear("Still here.") == tone("Still here.")
        await eventually(lambda: [x["outcome"] for x in lines(log)].count("lost") == 8)


async def test_a_client_that_never_reads_disturbs_nobody(port: int) -> None:
    async with connect(port) as stuck, connect(port) as steady:
        for number in range(3):
            await stuck.script("On and on. " * 400, context_id=f"c{number}")
        await steady.next()
        assert await steady.hear("Still here.") == tone("Still here.")


async def test_a_dead_engine_process_costs_one_request(port: int) -> None:
    async with connect(port, segment="never", speed="0.25") as client:
        await client.next()
        others = descendants(os.getpid())
        await client.script("On and on. " * 5000)
        await client.until(DELTA)
        (child,) = descendants(os.getpid()) - others
        os.kill(child, signal.SIGKILL)
        *_, failed = await client.until(FAILED)
        assert failed["error"]["code"] == "internal_error"
        assert failed["error"]["message"] == "the tone process has died"
        await client.script("Again.")
        assert audio(await client.until(DONE)) == tone("Again.", speed=0.25)


async def test_the_log_is_a_witness(port: int, log: Path) -> None:
    async with connect(port, segment="never", voice="bf_emma") as client:
        await client.next()
        await client.script("Call me Ishmael.", context_id="line-1")
        await client.until(DELTA)
        commit, *_ = lines(log)
        await eventually(lambda: len(lines(log)) == 2)
    assert commit.pop("time") > 1.7e9
    assert commit.pop("seconds") < DEADLINE
    assert commit == {
        "event": "commit",
        "path": PATH,
        "connection": 1,
        "context_id": "line-1",
        "item_id": "tts_1",
        "text": "Call me Ishmael.",
        "voice": "bf_emma",
        "model": KOKORO,
        "samples": 0,
        "outcome": None,
    }
    done = lines(log)[1]
    assert (done["event"], done["outcome"]) == ("done", "spoken")
    assert done["samples"] == len(tone("Call me Ishmael.")) // 2


@pytest.mark.parametrize("query", ["", "?api_key=", "?api_key=wrong"])
async def test_no_key_or_a_wrong_one_is_401(nursery: trio.Nursery, query: str) -> None:
    port = await nursery.start(serve, Settings(port=0, engine="tone", key="right"))
    assert (await upgrade(port, PATH + query)).startswith("HTTP/1.1 401 ")
    assert (await upgrade(port, PATH, "Authorization: Bearer x")).startswith("HTTP/1.1 401 ")
    async with connect(port, api_key="right") as client:
        assert (await client.next())["type"] == "session.created"


async def test_the_key_may_come_in_a_header(port: int) -> None:
    headers = [(b"Authorization", b"Bearer anything")]
    async with open_websocket_url(f"ws://127.0.0.1:{port}{PATH}", extra_headers=headers) as ws:
        assert (await Client(ws).next())["type"] == "session.created"


async def test_an_unknown_path_is_404_and_the_known_ones_are_named(port: int) -> None:
    answer = await upgrade(port, "/v2/speech?api_key=k")
    assert answer.startswith("HTTP/1.1 404 ")
    assert PATH in answer


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01 hello\r\n\r\n", b""]
)
async def test_who_does_not_speak_websocket_disturbs_nobody(port: int, junk: bytes) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(junk)
    async with connect(port) as client:
        await client.next()
        assert await client.hear("Still here.") == tone("Still here.")


async def test_a_port_in_use_is_the_users_to_solve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"^port {port} on 127.0.0.1 is in use$") as error:
            await stay(Settings(port=port))
    assert error.value.hint == "--port 0 picks a free one"


async def test_nobody_else_is_served_without_a_key() -> None:
    with pytest.raises(UsageError, match=r"^0\.0\.0\.0 can be reached by others"):
        await serve(Settings(port=0, host="0.0.0.0"))


@pytest.mark.parametrize(
    ("model", "voice"),
    [(KOKORO, "af_heart"), (KOKORO, "ff_siwis"), (ORPHEUS, "tara"), ("nanotts", "pico_de")],
)
async def test_real_engines_speak_through_the_socket(
    nursery: trio.Nursery, model: str, voice: str
) -> None:
    port = await nursery.start(serve, Settings(port=0, workers=1))
    async with connect(port, model=model, voice=voice, segment="never") as client:
        await client.next()
        spoken = await client.hear("Radio Madrid.")
    assert 0.5 < len(spoken) / 48_000 < 3


# ── in the foreground ─────────────────────────────────────────────────────────

SERVE = "from batchtts.cli.serve import serve; serve.main(standalone_mode=False)"


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SERVE, "--port", "0", "--engine", "tone", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


async def first_port(server: subprocess.Popen[bytes]) -> int:
    assert server.stdout is not None
    line = server.stdout.readline().decode()
    assert line.startswith("listening on ws://127.0.0.1:")
    return int(line.rpartition(":")[2])


def descendants(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda server: server.send_signal(signal.SIGINT), 130),
        (lambda server: server.send_signal(signal.SIGTERM), 143),
        (lambda server: server.stdin.close(), 0),
        (lambda server: server.kill(), -signal.SIGKILL),
    ],
    ids=["SIGINT", "SIGTERM", "EOF", "SIGKILL"],
)
async def test_a_server_ends_quickly_and_its_children_with_it(
    end: Callable[[subprocess.Popen[bytes]], None], status: int
) -> None:
    with start("--until-eof") as server:
        async with connect(await first_port(server), segment="never") as client:
            await client.next()
            await client.script("On and on. " * 5000)
            await client.until(DELTA)
            (child,) = descendants(server.pid)
            end(server)
            with trio.fail_after(2):
                assert await trio.to_thread.run_sync(server.wait) == status
        await eventually(lambda: is_gone(child))
        assert server.stderr is not None
        assert b"Traceback" not in server.stderr.read()


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/v1/realtime"])
async def test_a_message_nested_too_deeply_harms_nobody(path: str) -> None:
    nested = '{"type": "x", "text": ' + "[" * 100_000 + "]" * 100_000 + "}"
    voice = "&voice=Telnyx.NaturalHD.astra" if "text-to-speech" in path else ""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, Settings(port=0, engine="tone"))
        for _ in range(2):
            url = f"ws://127.0.0.1:{port}{path}?api_key=k{voice}"
            async with open_websocket_url(url) as socket:
                with trio.fail_after(5), suppress(ConnectionClosed):
                    await socket.send_message(nested)
                    while "error" not in await socket.get_message():
                        pass
        nursery.cancel_scope.cancel()


# ── the protocol without a port ───────────────────────────────────────────────


def visit(query: dict[str, str], casting: Casting | None = None) -> Visit:
    house = House(casting=casting or Casting("hibari", ALL))
    return Visit(number=1, path="/", query=query, key="k", house=house)


def together(**query: str) -> Together:
    conversation = Together(visit(query))
    created, _ = conversation.greet()
    assert isinstance(created, Send)
    assert json.loads(created.message)["type"] == "session.created"
    return conversation


def give(conversation: Together, kind: str, **fields: object) -> list[Action]:
    return timeless(conversation.receive(json.dumps({"type": kind, **fields})))


def timeless(actions: Iterable[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, After)]


def append(conversation: Together, text: str, **fields: object) -> list[str]:
    return said(give(conversation, "input_text_buffer.append", text=text, **fields))


def commit(conversation: Together, **fields: object) -> list[str]:
    return said(give(conversation, "input_text_buffer.commit", **fields))


def said(actions: list[Action]) -> list[str]:
    return [action.text for action in actions if isinstance(action, Say)]


def refusal(actions: list[Action]) -> Message:
    (action,) = actions
    assert isinstance(action, Send)
    message: Message = json.loads(action.message)
    assert message["type"] == FAILED
    assert message["error"]["type"] == "invalid_request_error"
    error: Message = message["error"]
    return error


def refused_greeting(query: dict[str, str], casting: Casting | None = None) -> Message:
    *first, last = Together(visit(query, casting)).greet()
    assert last == Close(1000)
    return refusal(first)


def test_never_makes_one_item_per_commit_however_long() -> None:
    conversation = together(segment="never", max_partial_length="20")
    assert append(conversation, "One. Two. Three. ") == []
    assert append(conversation, "And a rest that is longer than twenty.") == []
    assert commit(conversation) == ["One. Two. Three. And a rest that is longer than twenty."]


def test_immediate_speaks_every_append() -> None:
    conversation = together(segment="immediate")
    assert append(conversation, "One, ") == ["One, "]
    assert append(conversation, " ") == []
    assert append(conversation, "two") == [" two"]
    assert commit(conversation) == []


def test_sentence_speaks_what_is_whole_and_the_rest_at_the_commit() -> None:
    conversation = together()
    assert append(conversation, "Dr. Smith paid 3.50. He") == ["Dr. Smith paid 3.50."]
    assert append(conversation, " left. ") == ["He left."]
    assert commit(conversation) == []
    assert append(conversation, "And") == []
    assert commit(conversation) == ["And"]


def test_a_long_part_of_a_sentence_is_spoken_without_its_end() -> None:
    conversation = together(max_partial_length="20")
    assert append(conversation, "a text with no end at all to") == ["a text with no end"]
    assert commit(conversation) == ["at all to"]


@pytest.mark.parametrize("limit", [1, 5, 7, 250])
def test_cutting_loses_no_words(limit: int) -> None:
    text = "Well... “Is it?” he asked. 你好。U.S. Grant said so!No, I did. unbelievable"
    sentences, rest = cut(text, limit)
    assert "".join("".join([*sentences, rest]).split()) == "".join(text.split())
    assert len(rest) <= limit


def test_contexts_have_buffers_of_their_own() -> None:
    conversation = together(segment="never")
    append(conversation, "A", context_id="a")
    append(conversation, "B")
    assert commit(conversation) == ["B"]
    assert commit(conversation, context_id="a") == ["A"]


def test_clear_drops_what_is_not_committed() -> None:
    conversation = together(segment="never")
    append(conversation, "gone")
    assert give(conversation, "input_text_buffer.clear") == []
    append(conversation, "kept")
    assert commit(conversation) == ["kept"]


def test_cancel_drops_what_is_not_committed() -> None:
    conversation = together(segment="never")
    append(conversation, "gone", context_id="a")
    give(conversation, "context.cancel", context_id="a")
    assert commit(conversation, context_id="a") == []


def test_a_second_commit_says_nothing() -> None:
    conversation = together(segment="never")
    append(conversation, "once")
    assert commit(conversation) == ["once"]
    assert commit(conversation) == []


def test_a_session_is_updated_for_one_context_or_for_all() -> None:
    conversation = together(segment="never")
    (updated,) = give(
        conversation, "tts_session.updated", session={"voice": "bf_emma"}, context_id="a"
    )
    assert isinstance(updated, Send)
    message = json.loads(updated.message)
    assert (message["type"], message["context_id"]) == ("session.updated", "a")
    assert message["session"]["voice"] == "bf_emma"

    def voices() -> list[tuple[str, float]]:
        says = []
        for context in ({"context_id": "a"}, {}):
            append(conversation, "x", **context)
            says += [
                (action.role.name, action.speed)
                for action in give(conversation, "input_text_buffer.commit", **context)
                if isinstance(action, Say)
            ]
        return says

    assert voices() == [("bf_emma", 1.0), ("af_heart", 1.0)]
    give(conversation, "tts_session.updated", session={"speed": 2})
    assert voices() == [("bf_emma", 2.0), ("af_heart", 2.0)]
    give(conversation, "tts_session.updated", session={"voice": "af_bella"})
    assert voices() == [("af_bella", 2.0), ("af_bella", 2.0)]


def test_an_update_that_cannot_be_changes_nothing() -> None:
    conversation = together(segment="never")
    wrong = give(conversation, "tts_session.updated", session={"voice": "tara", "speed": 2})
    assert refusal(wrong)["message"] == f"voice 'tara' is not available for model '{KOKORO}'"
    append(conversation, "x")
    (say,) = give(conversation, "input_text_buffer.commit")
    assert isinstance(say, Say)
    assert (say.role.name, say.speed) == ("af_heart", 1.0)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        (b"\0", "invalid_json"),
        ('"text"', "invalid_message"),
        ("{}", "invalid_message"),
        ('{"type": "input_text_buffer.append", "text": 5}', "invalid_message"),
        ('{"type": "input_text_buffer.append"}', "missing_text"),
        ('{"type": "response.create"}', "unknown_message_type"),
        ('{"type": "tts_session.updated", "session": {"speed": 0}}', "invalid_parameter"),
        ('{"type": "tts_session.updated", "session": {"model": "x"}}', "model_not_available"),
    ],
)
def test_a_wrong_message_is_answered_and_the_conversation_goes_on(
    message: str | bytes, code: str
) -> None:
    conversation = together(segment="never")
    assert refusal(timeless(conversation.receive(message)))["code"] == code
    append(conversation, "x")
    assert commit(conversation) == ["x"]


def test_too_much_text_without_a_commit_is_refused() -> None:
    conversation = together(segment="never")
    append(conversation, "x" * 65536)
    more = give(conversation, "input_text_buffer.append", text="x")
    assert refusal(more)["code"] == "invalid_text"


def test_a_hundred_contexts_may_wait_for_their_commit_and_thousands_may_follow() -> None:
    conversation = together(segment="never")
    for number in range(3000):
        append(conversation, "x", context_id=f"done-{number}")
        commit(conversation, context_id=f"done-{number}")
    for number in range(100):
        append(conversation, "x", context_id=f"open-{number}")
    more = give(conversation, "input_text_buffer.append", text="x", context_id="one-more")
    assert refusal(more)["code"] == "too_many_contexts"


@pytest.mark.parametrize(
    "query",
    [
        {"response_format": "mp3"},
        {"speed": "fast"},
        {"speed": "9"},
        {"segment": "paragraph"},
        {"max_partial_length": "0"},
        {"alignment": "phoneme"},
    ],
)
def test_a_parameter_that_cannot_be_is_refused_at_once(query: dict[str, str]) -> None:
    assert next(iter(query)) in refused_greeting(query)["message"]


def test_parameters_that_change_nothing_are_taken() -> None:
    together(response_format="raw", sample_rate="48000", alignment="word", language="en")
    together(response_format="pcm", extra="x", api_key="k", model_id="tone")


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({"model": "x"}, "model_not_available", "model 'x' is not available; there are"),
        ({"model": "nanotts", "voice": "af_heart"}, "voice_not_available", "'af_heart'"),
        ({"model": ORPHEUS, "voice": "af_heart"}, "voice_not_available", ORPHEUS),
        ({"voice": "jf_alpha"}, "voice_not_available", "there are en-gb, en-us, es, fr, it"),
        ({"voice": "pm_alex"}, "voice_not_available", "is pt-br, which nobody here speaks"),
        ({"voice": "af_bella af_heart"}, "voice_not_available", "'af_bella af_heart'"),
        ({"voice": "af_bella+tara"}, "voice_not_available", "'af_bella+tara'"),
        ({"language": "fr"}, "voice_not_available", "'af_heart' speaks en-us, not 'fr'"),
    ],
)
def test_a_voice_that_nobody_speaks_is_refused_at_once(
    query: dict[str, str], code: str, message: str
) -> None:
    error = refused_greeting(query)
    assert error["code"] == code
    assert message in error["message"]


@pytest.mark.parametrize(
    ("preferred", "model", "voice", "engine"),
    [
        ("hibari", KOKORO, None, "hibari"),
        ("hibari", KOKORO, "af_bella(2)+bf_emma(1)", "hibari"),
        ("hibari", KOKORO, "bf_emma", "nanotts"),
        ("hibari", ORPHEUS, None, "hibari"),
        ("hibari", "nanotts", None, "nanotts"),
        ("hibari", "tone", None, "tone"),
        ("nanotts", KOKORO, "af_heart", "nanotts"),
        ("nanotts", ORPHEUS, "tara", "nanotts"),
        ("nanotts", "hibari", "af_heart", "hibari"),
        ("tone", KOKORO, "jf_alpha", "tone"),
        ("tone", "hibari", "af_heart", "tone"),
    ],
)
def test_every_voice_has_its_engine(
    preferred: str, model: str, voice: str | None, engine: str
) -> None:
    assert Casting(preferred, ALL).cast(model, voice).voice.model == engine


def test_nanotts_speaks_for_hibari_where_it_is_not_installed() -> None:
    casting = Casting("hibari", frozenset({"nanotts", "tone"}))
    assert casting.cast(KOKORO, "af_heart").voice.model == "nanotts"
    assert "pip install 'batchtts[local]'" in casting.notice
    error = refused_greeting({"model": "hibari"}, casting)
    assert error["code"] == "model_not_available"
    assert error["message"] == "hibari is not installed; pip install 'batchtts[local]'"
