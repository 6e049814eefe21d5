"""A session over a WebSocket in memory: the timings are exact, for the clock is ours."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Protocol

import pybase64
import pytest
import trio
from trio.testing import (
    MemorySendStream,
    MockClock,
    memory_stream_pair,
    wait_all_tasks_blocked,
)
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)
from wsproto.frame_protocol import FrameDecoder, FrameProtocol

from batchtts import errors
from batchtts.errors import (
    LocalProtocolError,
    QuotaExhausted,
    RateLimited,
    RemoteProtocolError,
    ScriptRejected,
    SessionLost,
    Stalled,
    SynthesisFailed,
    Unauthorized,
    VoiceUnavailable,
)
from batchtts.model import Voice
from batchtts.wire.dialogue import Dialogue, Patience
from batchtts.wire.kokoro import KOKORO
from batchtts.wire.session import CLOSE_S, SEND_S, Listener, Session, Timeline
from batchtts.wire.tap import Tap
from batchtts.wire.together import Options, Together

HEART = Voice("af_heart", KOKORO, "en-us")
SCRIPT = "Call me Ishmael."

Message = dict[str, object]
OneStep = float | str | Message
Step = OneStep | tuple[Message, ...]

COMMIT = "until our commit"
HANG_UP = "hang up"
PING = "a ping, until it is answered"
CREATED: Message = {"type": "session.created", "session": {"id": "s-1"}}
CHATTER: Message = {"type": "session.updated"}


def delta(pcm: bytes, item: str = "tts_1", context: str = "u1") -> Message:
    return {
        "type": "conversation.item.audio_output.delta",
        "context_id": context,
        "item_id": item,
        "delta": pybase64.b64encode(pcm).decode(),
    }


def done(item: str = "tts_1", context: str = "u1") -> Message:
    return {
        "type": "conversation.item.audio_output.done",
        "context_id": context,
        "item_id": item,
    }


def failed(message: str = "engine overloaded", **error: object) -> Message:
    return {"type": "conversation.item.tts.failed", "error": {"message": message, **error}}


Wired = tuple[Session, MemorySendStream]


class Provide(Protocol):
    """What makes a session with a provider that keeps to a script."""

    def __call__(
        self, *steps: Step, patience: Patience | None = None, linger_s: float = 0.5
    ) -> AbstractAsyncContextManager[Session]: ...


class Wire(Protocol):
    """The same, with the wire from us to the provider."""

    def __call__(
        self, *steps: Step, patience: Patience | None = None, linger_s: float = 0.5
    ) -> AbstractAsyncContextManager[Wired]: ...


class Way(Enum):
    """How what is said comes to a session."""

    STOCK = "by trio-websocket alone"
    TAP = "cut out by a tap"
    FRAGMENTS = "in fragments, which a tap leaves alone"


@pytest.fixture(params=Way, ids=lambda way: way.name.lower())
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture
def wired(way: Way) -> Wire:
    return partial(_wired, way)


@pytest.fixture
def provider(way: Way) -> Provide:
    """A step is a number (seconds of silence), a message to send, COMMIT or HANG_UP.

    What is in a tuple is sent at once, so that it comes in one piece.
    """

    @asynccontextmanager
    async def provide(
        *steps: Step, patience: Patience | None = None, linger_s: float = 0.5
    ) -> AsyncIterator[Session]:
        async with _wired(way, *steps, patience=patience, linger_s=linger_s) as (session, _):
            yield session

    return provide


@asynccontextmanager
async def _wired(
    way: Way, *steps: Step, patience: Patience | None = None, linger_s: float = 0.5
) -> AsyncIterator[Wired]:
    near, far = memory_stream_pair()
    tap = None if way is Way.STOCK else Tap(near)
    dialect = Together(HEART, options=Options(linger_s=linger_s))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, Mouth(far, splits=way is Way.FRAGMENTS), steps)
        ws = await wrap_client_stream(
            nursery,
            tap or near,  # type: ignore[arg-type]  # any trio stream will do
            *("provider.test", "/speech"),
        )
        yield Session(ws, Dialogue(dialect, patience or Patience()), tap=tap), near.send_stream
        nursery.cancel_scope.cancel()


class Mouth(trio.abc.Stream):
    """The provider's end of the wire, on which several frames can be sent at once."""

    def __init__(self, stream: trio.abc.Stream, *, splits: bool) -> None:
        self._stream = stream
        self._splits = splits  # each text message in two frames
        self.held: list[bytes] | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        said = split(bytes(data)) if self._splits and data[0] == 0x81 else bytes(data)
        if self.held is None:
            await self._stream.send_all(said)
        else:
            self.held.append(said)

    async def let_go(self) -> None:
        held, self.held = self.held, None
        await self._stream.send_all(b"".join(held or ()))

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def split(frame: bytes) -> bytes:
    """A message of one frame in two."""
    told = FrameDecoder(client=True)
    told.receive_bytes(frame)
    whole = told.process_buffer()
    assert whole is not None
    assert isinstance(whole.payload, bytes)
    text, parts = whole.payload.decode(), FrameProtocol(client=False, extensions=[])
    half = len(text) // 2
    return bytes(parts.send_data(text[:half], fin=False) + parts.send_data(text[half:], fin=True))


async def play(mouth: Mouth, steps: tuple[Step, ...]) -> None:
    async with trio.open_nursery() as nursery:
        ws = await (await wrap_server_stream(nursery, mouth, message_queue_size=16)).accept()
        try:
            for step in steps:
                if isinstance(step, tuple):
                    mouth.held = []
                    for each in step:
                        await say(ws, each)
                    await mouth.let_go()
                else:
                    await say(ws, step)
            await ws.get_message()
        except ConnectionClosed:
            pass


async def say(ws: WebSocketConnection, step: OneStep) -> None:
    if isinstance(step, float):
        await trio.sleep(step)
    elif step == COMMIT:
        while json.loads(await ws.get_message())["type"] != "input_text_buffer.commit":
            pass
    elif step == HANG_UP:
        await ws.aclose(1011, "going down")
    elif step == PING:
        await ws.ping()
    else:
        await ws.send_message(json.dumps(step))


@dataclass
class Diary:
    """What a session tells, and when."""

    lines: list[tuple[float, str, object]] = field(default_factory=list)

    def listener(self) -> Listener:
        return Listener(
            hear=lambda payload, item: self.write("heard", (payload, item)),
            said=lambda: self.write("said"),
            late=lambda context: self.write("late", context),
            time=lambda words, item: self.write("timed", (words, item)),
        )

    def write(self, what: str, fact: object = None) -> None:
        self.lines.append((trio.current_time(), what, fact))


async def greet_and_speak(session: Session) -> Timeline:
    await session.greet()
    return await speak(session)


async def speak(session: Session, script: str = SCRIPT, context: str = "u1") -> Timeline:
    return await session.speak(script, context, Diary().listener())


async def test_time_to_first_audio_is_counted_from_the_commit(
    provider: Provide, autojump_clock: MockClock
) -> None:
    steps = (2.0, CREATED, COMMIT, 0.25, delta(b"\0\1"), 0.5, delta(b"\2\3"), done())
    async with provider(*steps) as session:
        await session.greet()
        await trio.sleep(4.0)
        timeline = await speak(session)
    assert timeline == Timeline(committed_at=6.0, first_audio_at=6.25, last_audio_at=6.75)
    assert (timeline.ttfa_s, timeline.synth_s) == (0.25, 0.75)


async def test_the_quiet_window_is_no_synthesis(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(CREATED, COMMIT, 1.0, delta(b"\0\1"), 1.0, done()) as session:
        await session.greet()
        timeline = await speak(session)
    assert trio.current_time() == 2.5
    assert timeline.synth_s == 1.0


async def test_an_empty_delta_is_not_the_first_audio(
    provider: Provide, autojump_clock: MockClock
) -> None:
    steps = (CREATED, COMMIT, 1.0, delta(b""), 1.0, delta(b"\0\1"), done())
    async with provider(*steps) as session:
        await session.greet()
        timeline = await speak(session)
    assert timeline.ttfa_s == 2.0


async def test_the_end_is_told_at_the_done_and_again_after_the_window(
    provider: Provide, autojump_clock: MockClock
) -> None:
    diary = Diary()
    async with provider(CREATED, COMMIT, 1.0, delta(b"\0\1"), 1.0, done()) as session:
        await session.greet()
        await session.speak(SCRIPT, "u1", diary.listener())
    assert diary.lines == [
        (1.0, "heard", (b"\0\1", "tts_1")),
        (2.0, "said", None),
        (2.5, "said", None),
    ]


async def test_a_done_while_another_item_is_spoken_is_not_the_end(
    provider: Provide, autojump_clock: MockClock
) -> None:
    diary = Diary()
    both = (delta(b"\0\1"), delta(b"\2\3", "tts_2"), 1.0, done(), 1.0, done("tts_2"))
    async with provider(CREATED, COMMIT, *both) as session:
        await session.greet()
        await session.speak(SCRIPT, "u1", diary.listener())
    assert diary.lines == [
        (0.0, "heard", (b"\0\1", "tts_1")),
        (0.0, "heard", (b"\2\3", "tts_2")),
        (2.0, "said", None),
        (2.5, "said", None),
    ]


async def test_an_item_that_begins_within_the_window_belongs_to_the_script(
    provider: Provide, autojump_clock: MockClock
) -> None:
    diary = Diary()
    second = (0.4375, delta(b"\2\3", "tts_2"), 0.75, done("tts_2"))
    async with provider(CREATED, COMMIT, delta(b"\0\1"), done(), *second) as session:
        await session.greet()
        timeline = await session.speak(SCRIPT, "u1", diary.listener())
    assert timeline.synth_s == 0.4375
    assert diary.lines == [
        (0.0, "heard", (b"\0\1", "tts_1")),
        (0.0, "said", None),
        (0.4375, "heard", (b"\2\3", "tts_2")),
        (1.1875, "said", None),
        (1.6875, "said", None),
    ]


async def test_chatter_does_not_hold_the_window_open(
    provider: Provide, autojump_clock: MockClock
) -> None:
    chatter = (0.125, CHATTER) * 20
    async with provider(CREATED, COMMIT, delta(b"\0\1"), done(), *chatter) as session:
        await session.greet()
        await speak(session)
        assert trio.current_time() == 0.5


async def test_an_item_that_begins_after_the_window_is_told_as_late(
    provider: Provide, autojump_clock: MockClock
) -> None:
    diary = Diary()
    first = (delta(b"\0\1"), done(), 0.75, delta(b"\2\3", "tts_2"), done("tts_2"))
    second = (0.25, delta(b"\4\5", "tts_3", "u2"), done("tts_3", "u2"))
    async with provider(CREATED, COMMIT, *first, COMMIT, *second) as session:
        await session.greet()
        await speak(session, SCRIPT, "u1")
        assert trio.current_time() == 0.5
        await session.speak("Some years ago.", "u2", diary.listener())
    assert diary.lines == [
        (0.75, "late", "u1"),
        (1.0, "heard", (b"\4\5", "tts_3")),
        (1.0, "said", None),
        (1.5, "said", None),
    ]


async def test_one_connection_carries_one_script_after_another(
    provider: Provide, autojump_clock: MockClock
) -> None:
    first = (COMMIT, 1.0, delta(b"\0\1"), done())
    second = (COMMIT, 2.0, delta(b"\2\3", "tts_2", "u2"), done("tts_2", "u2"))
    async with provider(CREATED, *first, *second) as session:
        await session.greet()
        assert (await speak(session, SCRIPT, "u1")).ttfa_s == 1.0
        assert session.reusable
        assert (await speak(session, "Some years ago.", "u2")).ttfa_s == 2.0
        assert session.reusable


@pytest.mark.parametrize(
    ("steps", "reason", "at"),
    [
        ((), "no greeting within 1 s", 1.0),
        ((0.5, CREATED), "no first audio within 2 s; after nothing (request s-1, context u1)", 2.5),
        (
            (0.5, CREATED, COMMIT, 1.5, delta(b"\0\1")),
            "no next audio within 4 s; after 1 audio (request s-1, context u1)",
            6.0,
        ),
        (
            (CREATED, COMMIT, delta(b"\0\1"), done(), 0.25, delta(b"\2\3", "tts_2")),
            "no next audio within 4 s; after 2 audio, 1 done (request s-1, context u1)",
            4.25,
        ),
    ],
)
async def test_a_silent_provider_is_given_up_on(
    provider: Provide, autojump_clock: MockClock, steps: tuple[Step, ...], reason: str, at: float
) -> None:
    patience = Patience(greeting_s=1.0, first_audio_s=2.0, next_audio_s=4.0)
    async with provider(*steps, patience=patience) as session:
        with pytest.raises(Stalled) as stalled:
            await greet_and_speak(session)
        assert (str(stalled.value), trio.current_time()) == (reason, at)
        assert not session.reusable


@pytest.mark.parametrize(
    ("before", "reason", "at"),
    [
        ((), "no greeting within 10 s", 10.0),
        ((CREATED, COMMIT), "no first audio within 20 s", 20.0),
        ((CREATED, COMMIT, delta(b"\0\1")), "no next audio within 10 s", 10.0),
    ],
)
async def test_chatter_buys_no_time(
    provider: Provide, autojump_clock: MockClock, before: tuple[Step, ...], reason: str, at: float
) -> None:
    async with provider(*before, *((3.0, CHATTER) * 20)) as session:
        with pytest.raises(Stalled) as stalled:
            await greet_and_speak(session)
        assert str(stalled.value).startswith(reason)
        assert trio.current_time() == at


async def test_every_delta_buys_time(provider: Provide, autojump_clock: MockClock) -> None:
    slow = (9.0, delta(b"\0\1")) * 5
    async with provider(CREATED, COMMIT, *slow, done()) as session:
        await session.greet()
        timeline = await speak(session)
    assert timeline.synth_s == 45.0


@pytest.mark.parametrize(
    ("last_words", "error", "reason"),
    [
        (failed(), SynthesisFailed, "engine overloaded"),
        (failed("slow down", code="rate_limit_exceeded"), RateLimited, "slow down"),
        (failed("bad text", type="invalid_request_error"), ScriptRejected, "bad text"),
        (failed("no such", code="voice_not_available"), VoiceUnavailable, "no such"),
        (failed("bad key", code="invalid_api_key"), Unauthorized, "bad key"),
        (failed("no money", code="insufficient_quota"), QuotaExhausted, "no money"),
        (HANG_UP, SessionLost, r"closed \(1011 'going down'\) while awaiting next audio"),
        ({"type": 1}, RemoteProtocolError, "cannot read '{\"type\": 1}'"),
        (done("tts_2"), SynthesisFailed, "end marker without any audio"),
    ],
)
async def test_audio_and_then_a_failure_is_a_failure(
    provider: Provide,
    autojump_clock: MockClock,
    last_words: Step,
    error: type[errors.BatchttsError],
    reason: str,
) -> None:
    async with provider(CREATED, COMMIT, delta(b"\0\1"), last_words) as session:
        await session.greet()
        with pytest.raises(error, match=f"^{reason}"):
            await speak(session)
        assert not session.reusable


async def test_a_hang_up_in_the_window_is_a_failure(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(CREATED, COMMIT, delta(b"\0\1"), done(), 0.25, HANG_UP) as session:
        await session.greet()
        with pytest.raises(SessionLost, match="while awaiting second thoughts"):
            await speak(session)
        assert trio.current_time() == 0.25


async def test_a_provider_that_hangs_up_instead_of_a_greeting_is_lost(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(HANG_UP) as session:
        with pytest.raises(SessionLost, match="while awaiting greeting"):
            await session.greet()


async def test_a_session_whose_provider_hung_up_between_scripts_is_not_reusable(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(CREATED, COMMIT, delta(b"\0\1"), done(), 1.0, HANG_UP) as session:
        await session.greet()
        await speak(session)
        was_reusable = session.reusable
        await trio.sleep(1.0)
        assert (was_reusable, session.reusable) == (True, False)
        with pytest.raises(SessionLost, match=r"closed \(1011 'going down'\) while awaiting first"):
            await speak(session, "Some years ago.", "u2")


async def test_what_comes_after_the_last_script_is_heeded_for_a_while(
    provider: Provide, autojump_clock: MockClock
) -> None:
    said = (CREATED, COMMIT, delta(b"\0\1"), done(), 1.5, delta(b"\2\3", "tts_2"))
    async with provider(*said) as session:
        await session.greet()
        await speak(session)
        late: list[str] = []
        await session.heed(late.append)
        assert (late, trio.current_time()) == (["u1"], 2.5)


async def test_nobody_is_heeded_for_ever(provider: Provide, autojump_clock: MockClock) -> None:
    async with provider(CREATED, COMMIT, delta(b"\0\1"), done(), 1.0, HANG_UP) as session:
        await session.greet()
        await speak(session)
        await session.heed(pytest.fail)
    assert trio.current_time() < 2.5


async def test_a_spent_session_refuses_to_speak(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(CREATED, COMMIT, failed()) as session:
        await session.greet()
        with pytest.raises(SynthesisFailed):
            await speak(session)
        with pytest.raises(LocalProtocolError, match="cannot speak"):
            await speak(session, "Some years ago.", "u2")


async def test_a_session_that_was_not_greeted_is_not_reusable(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider() as session:
        assert not session.reusable


async def test_a_script_of_which_nothing_leaves_is_given_up_on(
    wired: Wire, autojump_clock: MockClock
) -> None:
    async with wired(CREATED) as (session, wire):
        await session.greet()
        wire.send_all_hook = trio.sleep_forever
        with pytest.raises(Stalled, match=f"^the provider took no text for {SEND_S:g} s$"):
            await speak(session)
        assert trio.current_time() == SEND_S
        assert not session.reusable


async def test_a_session_is_kept_until_it_is_closed(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(CREATED) as session, trio.open_nursery() as nursery:
        await session.greet()
        nursery.start_soon(session.wait_closed)
        await trio.sleep(3600.0)
        was_reusable = session.reusable
        session.close()
        await wait_all_tasks_blocked()
        assert (was_reusable, session.reusable) == (True, False)
    assert trio.current_time() == 3600.0


async def test_a_goodbye_that_nobody_answers_is_cut_short(
    wired: Wire, autojump_clock: MockClock
) -> None:
    async with wired(CREATED) as (session, wire):
        await session.greet()
        wire.send_all_hook = trio.sleep_forever
        session.close()
        await session.wait_closed()
        assert trio.current_time() == CLOSE_S


# What comes in one piece, or while no script is spoken.


async def test_what_comes_at_once_counts_from_when_it_came(
    provider: Provide, autojump_clock: MockClock
) -> None:
    async with provider(CREATED, COMMIT, 1.0, (delta(b"\0\1"), done())) as session:
        await session.greet()
        timeline = await speak(session)
    assert (timeline.synth_s, trio.current_time()) == (1.0, 1.5)


async def test_a_window_that_was_opened_and_shut_at_once_does_not_count(
    provider: Provide, autojump_clock: MockClock
) -> None:
    at_once = (delta(b"\0\1"), done(), delta(b"\2\3", "tts_2"))
    async with provider(CREATED, COMMIT, at_once, 9.0, done("tts_2")) as session:
        await session.greet()
        timeline = await speak(session)
    assert (timeline.synth_s, trio.current_time()) == (0.0, 9.5)


async def test_what_came_while_we_were_held_up_is_heard_before_the_window_shuts() -> None:
    for _ in range(12):  # who is first, he who reads or he who waits, is left to chance
        assert await _held_up(linger_s=0.02) == [b"\0\1", b"\2\3"]


async def _held_up(linger_s: float) -> list[bytes]:
    """Speak over sockets, and stand still for longer than the window while more comes."""
    near, far = socket.socketpair()
    heard: list[bytes] = []
    tap = Tap(trio.SocketStream(trio.socket.from_stdlib_socket(near)))
    theirs = trio.SocketStream(trio.socket.from_stdlib_socket(far.dup()))

    async def stand_still() -> None:
        for message in (delta(b"\2\3", "tts_2"), done("tts_2")):
            frames = FrameProtocol(client=False, extensions=[])
            far.send(frames.send_data(json.dumps(message), fin=True))
        time.sleep(2 * linger_s)  # noqa: ASYNC251  # the point

    def said() -> None:
        if len(heard) == 1:
            nursery.start_soon(stand_still)

    listener = Listener(
        hear=lambda payload, item: heard.append(payload),
        said=said,
        late=lambda context: None,
        time=lambda words, item: None,
    )
    with far, trio.fail_after(10):
        async with tap, theirs, trio.open_nursery() as nursery:
            steps = (CREATED, COMMIT, delta(b"\0\1"), done())
            nursery.start_soon(play, Mouth(theirs, splits=False), steps)
            ws = await wrap_client_stream(nursery, tap, *("provider.test", "/speech"))  # type: ignore[arg-type]
            dialect = Together(HEART, options=Options(linger_s=linger_s))
            session = Session(ws, Dialogue(dialect, Patience()), tap=tap)
            await session.greet()
            await session.speak(SCRIPT, "u1", listener)
            nursery.cancel_scope.cancel()
    return heard


async def test_a_refusal_right_behind_the_greeting_is_told(
    provider: Provide, autojump_clock: MockClock
) -> None:
    refusal = failed("no such", code="voice_not_available")
    async with provider((CREATED, refusal)) as session:
        with pytest.raises(VoiceUnavailable):
            await greet_and_speak(session)


async def test_what_goes_wrong_before_a_script_is_told_when_there_is_one(
    provider: Provide, way: Way, autojump_clock: MockClock
) -> None:
    async with provider(CREATED, 1.0, failed()) as session:
        await session.greet()
        await trio.sleep(2.0)
        with pytest.raises(SynthesisFailed) as lost:
            await speak(session)
        assert lost.value.charged is (way is not Way.TAP)  # which heard it before we spoke
        assert not session.reusable
        with pytest.raises(LocalProtocolError, match="cannot speak"):
            await speak(session, "Some years ago.", "u2")


async def test_what_goes_wrong_right_behind_a_whole_script_is_none_of_its_business(
    provider: Provide, autojump_clock: MockClock
) -> None:
    at_once = (delta(b"\0\1"), done(), failed())
    async with provider(CREATED, COMMIT, at_once, linger_s=0.0) as session:
        await session.greet()
        assert (await speak(session)).synth_s == 0.0
        with pytest.raises(SynthesisFailed):
            await speak(session, "Some years ago.", "u2")


async def test_an_end_that_is_told_twice_spoils_nothing(
    provider: Provide, autojump_clock: MockClock
) -> None:
    first = (COMMIT, delta(b"\0\1"), done(), 0.75, done())
    second = (COMMIT, 1.0, delta(b"\2\3", "tts_2", "u2"), done("tts_2", "u2"))
    async with provider(CREATED, *first, *second) as session:
        await session.greet()
        await speak(session)
        await trio.sleep(1.0)
        assert session.reusable
        assert (await speak(session, "Some years ago.", "u2")).ttfa_s == 1.0


async def test_late_audio_and_its_end_between_scripts_are_told_to_the_next(
    provider: Provide, autojump_clock: MockClock
) -> None:
    diary = Diary()
    late = (delta(b"\2\3", "tts_2"), delta(b"\2\3", "tts_2"), done("tts_2"))
    second = (COMMIT, 1.0, delta(b"\4\5", "tts_3", "u2"), done("tts_3", "u2"))
    async with provider(CREATED, COMMIT, delta(b"\0\1"), done(), 0.75, late, *second) as session:
        await session.greet()
        await speak(session)
        await trio.sleep(1.0)
        assert session.reusable
        await session.speak("Some years ago.", "u2", diary.listener())
    assert [line for line in diary.lines if line[1] != "said"] == [
        (1.5, "late", "u1"),
        (2.5, "heard", (b"\4\5", "tts_3")),
    ]


@pytest.mark.parametrize("way", [Way.TAP])
async def test_a_refusal_while_nothing_leaves_says_more_than_that(
    wired: Wire, autojump_clock: MockClock
) -> None:
    async with wired(CREATED, 1.0, failed()) as (session, wire):
        await session.greet()
        wire.send_all_hook = trio.sleep_forever
        with pytest.raises(SynthesisFailed):
            await speak(session)


async def test_a_ping_is_answered_whatever_we_are_at(
    provider: Provide, autojump_clock: MockClock
) -> None:
    first, second = (delta(b"\0\1"), done()), (delta(b"\2\3", "tts_2", "u2"), done("tts_2", "u2"))
    steps = (CREATED, PING, COMMIT, PING, *first, 0.75, PING, COMMIT, PING, *second)
    async with provider(*steps) as session:
        await session.greet()
        await speak(session)
        await trio.sleep(1.0)
        await speak(session, "Some years ago.", "u2")
    assert trio.current_time() == 2.0
