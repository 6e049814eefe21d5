"""What the provider of our own says in Together's protocol, beyond speech: times, items, knobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio_websocket import ConnectionClosed

from batchtts.server.app import Settings, serve
from batchtts.server.casting import Casting
from batchtts.server.conversation import Action, Close, Frame, Say, Send
from batchtts.server.house import House, Visit
from batchtts.server.items import Several, cut_text
from batchtts.server.pronounce import read_entries, respell
from batchtts.server.together import Together
from batchtts.server.together_frames import Speech
from tests.test_server import (
    DELTA,
    DONE,
    FAILED,
    Message,
    audio,
    connect,
    first_port,
    start,
    tone,
)

WORDS = "conversation.item.word_timestamps"


async def served(
    nursery: trio.Nursery,
    tmp_path: Path,
    knobs: str = "",
    *,
    key: str | None = None,
    idle_s: float | None = None,
) -> int:
    """The port of a server whose knobs are set as the section of a file says."""
    path = tmp_path / "knobs.toml"
    path.write_text(f"[together]\n{knobs}")
    settings = Settings(port=0, engine="tone", workers=1, faults=path, key=key, idle_s=idle_s)
    port: int = await nursery.start(serve, settings)
    return port


def together(**query: str) -> Together:
    """A conversation that has greeted."""
    conversation = Together(visit(query))
    _ = [*conversation.greet()]
    return conversation


def visit(query: dict[str, str], *, is_welcome: bool = True) -> Visit:
    house = House(casting=Casting("tone", frozenset({"tone"})))
    return Visit(number=1, path="/", query=query, key="k", house=house, is_welcome=is_welcome)


def give(conversation: Together, kind: str, **fields: object) -> list[Action]:
    return [*conversation.receive(json.dumps({"type": kind, **fields}))]


def speak(conversation: Together, text: str, **fields: object) -> list[Say]:
    given = give(conversation, "input_text_buffer.append", text=text, **fields)
    given += give(conversation, "input_text_buffer.commit", **fields)
    return [action for action in given if isinstance(action, Say)]


def told(actions: Iterable[Action]) -> list[Message]:
    return [json.loads(action.message) for action in actions if isinstance(action, Send)]


# ── the times of words ────────────────────────────────────────────────────────


async def test_the_times_of_words_come_with_their_item(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    port = await served(nursery, tmp_path)
    async with connect(port, segment="never", alignment="word") as client:
        await client.next()
        await client.script("Call me Ishmael.", context_id="a")
        *_, words, done = await client.until(DONE)
    assert done["type"] == DONE
    assert words == {
        "type": WORDS,
        "item_id": "tts_1",
        "words": ["Call", "me", "Ishmael."],
        "start_seconds": [0.0, 0.3, 0.48],
        "end_seconds": [0.24, 0.42, 0.96],
        "context_id": "a",
    }


async def test_they_may_come_after_the_done(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await served(nursery, tmp_path, 'timings = "after"')
    async with connect(port, segment="never", alignment="word", speed="2") as client:
        await client.next()
        await client.script("Call me.")
        *_, done, words = await client.until(WORDS)
    assert done["type"] == DONE
    assert words["end_seconds"] == [0.12, 0.24]
    assert "context_id" not in words


async def test_nobody_is_told_of_times_who_did_not_ask(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    port = await served(nursery, tmp_path)
    async with connect(port, segment="never") as client:
        await client.next()
        await client.script("Call me.")
        assert WORDS not in {message["type"] for message in await client.until(DONE)}


# ── several items ─────────────────────────────────────────────────────────────


async def test_a_commit_may_come_back_as_several_items(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    port = await served(nursery, tmp_path, "items_per_commit = 3")
    async with connect(port, segment="never", alignment="word") as client:
        await client.next()
        for number, text in enumerate(["Call me Ishmael.", "Some years ago."]):
            await client.script(text)
            messages = await client.until(DONE, times=3)
            items = [f"tts_{3 * number + n}" for n in (1, 2, 3)]
            assert [m["item_id"] for m in messages if m["type"] == DONE] == items
            deltas = dict.fromkeys(m["item_id"] for m in messages if m["type"] == DELTA)
            assert list(deltas) == items
            assert audio(messages) == tone(text)
            words = [word for m in messages if m["type"] == WORDS for word in m["words"]]
            assert words == text.split()
            starts = [m["start_seconds"][0] for m in messages if m["type"] == WORDS]
            assert starts == [0, 0, 0]


@given(st.text(min_size=1), st.integers(1, 9))
def test_a_text_that_is_cut_is_all_there(text: str, count: int) -> None:
    parts = cut_text(text, count)
    assert "".join(parts) == text
    assert len(parts) == min(count, len(text))
    assert all(parts)


@given(st.text(min_size=1), st.binary(max_size=99), st.integers(1, 5))
def test_no_sample_is_lost_between_items(text: str, half: bytes, count: int) -> None:
    (say,) = speak(together(segment="never"), "x")
    several = Several(Speech(), [f"i{n}" for n in range(count)])
    assert [*several.piece(say, half), *several.piece(say, half)] == []
    frames: list[Frame] = [*several.end(replace(say, text=text))]
    assert audio(told(frames)) == half + half


# ── what a client may ask for ─────────────────────────────────────────────────

READINGS = {"pronunciation_dict": ["NATO/nay toe", "a.m./in the morning"]}


def test_words_are_spoken_as_the_client_reads_them() -> None:
    conversation = together(segment="never")
    give(conversation, "tts_session.updated", session={"extra_params": READINGS})
    (say,) = speak(conversation, "NATO met at 6 a.m., not NATOs.")
    assert say.text == "nay toe met at 6 in the morning, not NATOs."


def test_one_context_may_have_readings_of_its_own() -> None:
    conversation = together(segment="never")
    session = {"extra_params": READINGS}
    give(conversation, "tts_session.updated", session=session, context_id="a")
    texts = [speak(conversation, "NATO", **of)[0].text for of in ({"context_id": "a"}, {})]
    assert texts == ["nay toe", "NATO"]


def test_readings_may_come_in_the_address() -> None:
    (say,) = speak(together(segment="never", extra_params=json.dumps(READINGS)), "NATO")
    assert say.text == "nay toe"


def test_extra_params_that_nobody_knows_are_left() -> None:
    conversation = together(segment="never")
    update = {"extra_params": {"temperature": 0.5}}
    *_, updated = told(give(conversation, "tts_session.updated", session=update))
    assert updated["type"] == "session.updated"
    assert updated["session"]["extra_params"] == {"pronunciation_dict": []}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"pronunciation_dict": ["NATO"]}, "pronunciation_dict: 'NATO' is not source/replacement"),
        ({"pronunciation_dict": ["/x"]}, "pronunciation_dict: '/x' is not source/replacement"),
        ({"pronunciation_dict": "NATO/x"}, "Expected `array`, got `str`"),
        ("NATO/x", "Expected `object`, got `str`"),
    ],
)
def test_readings_that_cannot_be_are_refused(extra: object, words: str) -> None:
    refusals = told(
        give(together(), "tts_session.updated", session={"extra_params": extra}),
    )
    refusals += told(Together(visit({"extra_params": json.dumps(extra)})).greet())
    for refusal in refusals:
        assert refusal["type"] == FAILED
        assert refusal["error"]["code"] == "invalid_parameter"
        assert words in refusal["error"]["message"]


def test_a_reading_is_not_read_again_and_the_longest_word_wins() -> None:
    readings = read_entries(["a/b", "b/c", "New York/noo yawk", "New/old", "C++/see plus plus"])
    assert respell("a b New York, New C++.", readings) == "b c noo yawk, old see plus plus."


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "mulaw"])
def test_a_format_that_nobody_has_described_is_refused_in_words(name: str) -> None:
    refusal, *_ = told(Together(visit({"response_format": name})).greet())
    assert refusal["error"]["code"] == "invalid_parameter"
    assert refusal["error"]["message"] == f"response_format '{name}': here is only pcm"


# ── who may come in, and for how long ─────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "code"), [("wrong", "invalid_api_key"), ("", "missing_api_key")], ids=["wrong", "none"]
)
async def test_a_bad_key_may_be_told_in_a_message(
    nursery: trio.Nursery, tmp_path: Path, key: str, code: str
) -> None:
    port = await served(nursery, tmp_path, 'bad_key = "frame"', key="right")
    async with connect(port, api_key=key) as client:
        failed = await client.next()
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
    assert failed["type"] == FAILED
    assert failed["error"]["code"] == code
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1000
    async with connect(port, api_key="right") as client:
        assert (await client.next())["type"] == "session.created"


async def test_a_silent_client_is_told_and_sent_away(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await served(nursery, tmp_path, idle_s=0.05)
    async with connect(port) as client:
        await client.next()
        failed = await client.next()
        with pytest.raises(ConnectionClosed):
            await client.next()
    assert failed["error"]["code"] == "idle_timeout"
    assert failed["error"]["message"] == "nothing was said for 0.05 s"


async def test_the_limit_to_silence_is_an_option_of_the_command() -> None:
    with start("--idle-timeout", "0.05") as server:
        async with connect(await first_port(server)) as client:
            await client.next()
            assert (await client.next())["error"]["code"] == "idle_timeout"
        server.terminate()


def test_nothing_is_spoken_for_a_stranger() -> None:
    *first, last = Together(visit({}, is_welcome=False)).greet()
    (failed,) = told(first)
    assert failed["error"]["code"] == "invalid_api_key"
    assert last == Close(1000)
