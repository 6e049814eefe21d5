"""Telnyx's side of the conversation: by itself, over a port, and with our own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np
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

from batchtts import errors
from batchtts.audio.decode import Hearing, Sound, decode
from batchtts.server.app import Settings, serve
from batchtts.server.casting import Casting
from batchtts.server.conversation import Action, After, Cancel, Close, Pause, Say, Send
from batchtts.server.engine import Tone
from batchtts.server.house import House, TurnedAway, Visit
from batchtts.server.knobs import Knobs
from batchtts.server.knobs import Telnyx as TelnyxKnobs
from batchtts.server.telnyx import Telnyx
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner
from batchtts.wire.session import Listener
from batchtts.wire.telnyx import PROVIDER
from batchtts.wire.telnyx_voices import TELNYX_VOICES
from tests import e2e
from tests.sounds import is_like

KEY = "key-of-a-test"
PATH = "/v2/text-to-speech/speech"
DEADLINE = 10.0  # seconds
ASTRA = "Telnyx.NaturalHD.astra"
SCRIPT = "Call me Ishmael. Some years ago, never mind how long, I went to sea! Why?"
SENTENCES = ["Call me Ishmael.", "Some years ago, never mind how long, I went to sea!", "Why?"]

Message = dict[str, Any]


def tone(text: str, speed: float = 1.0) -> bytes:
    return b"".join(Tone().speak(text, TELNYX_VOICES[0], speed))


ALL = b"".join(map(tone, SENTENCES))


# ── by itself ─────────────────────────────────────────────────────────────────


def conversation(query: dict[str, str] | None = None, **knobs: object) -> Telnyx:
    casting = Casting("tone", frozenset({"tone"}))
    house = House(casting=casting, knobs=Knobs(telnyx=msgspec.convert(knobs, TelnyxKnobs)))
    asked = {"voice": ASTRA} if query is None else query
    return Telnyx(Visit(number=1, path=PATH, query=asked, key="k", house=house))


def ask(conversation: Telnyx, **message: object) -> list[Action]:
    """What comes of a message, but for the timer that every one starts anew."""
    actions = list(conversation.receive(json.dumps(message)))
    assert isinstance(actions.pop(0), After)
    return actions


def opened(query: dict[str, str] | None = None, **knobs: object) -> Telnyx:
    found = conversation(query, **knobs)
    assert ask(found, text=" ") == []
    return found


def said(actions: list[Action]) -> list[str]:
    return [action.text for action in actions if isinstance(action, Say)]


def told(actions: list[Action]) -> list[Message]:
    return [json.loads(action.message) for action in actions if isinstance(action, Send)]


def test_text_before_the_space_is_an_invalid_message_and_the_end() -> None:
    for message in ({"text": "Hello."}, {"text": ""}, {"force": True}, {"flush": True}):
        actions = ask(conversation(), **message)
        assert told(actions) == [{"error": "Invalid message"}]
        assert [type(action) for action in actions] == [Send, Pause, Close]


def test_plain_text_starts_nothing_until_a_flush() -> None:
    client = opened()
    assert ask(client, text="Call me Ishmael. ") == []
    assert ask(client, text="Some years ago") == []
    spoken = ask(client, text=" I went.", flush=True)
    assert said(spoken) == ["Call me Ishmael.", "Some years ago I went."]


def test_the_end_of_the_input_starts_what_is_left_and_is_answered_after_it() -> None:
    client = opened()
    ask(client, text="Call me Ishmael.")
    [say] = ask(client, text="")
    assert isinstance(say, Say)
    *_, final, close = client.end(say)
    assert isinstance(final, Send)
    assert json.loads(final.message) == {"audio": None, "text": "", "isFinal": True}
    assert close == Close(1000)
    assert ask(client, text="More.", flush=True) == []


def test_an_end_with_nothing_to_say_is_an_end_without_audio() -> None:
    for text in ("", "**...**", "🐋"):
        client = opened()
        ask(client, text=text) if text else None
        [message] = told(ask(client, text=""))
        assert message["isFinal"] is True


def test_force_drops_what_is_being_said_and_the_next_is_said_in_the_same_voice() -> None:
    client = opened()
    [old] = ask(client, text="Welcome.", flush=True)
    ask(client, text="Not this")
    assert isinstance(old, Say)
    assert ask(client, force=True) == [Cancel(old.context)]
    [new] = ask(client, text="Actually.", flush=True)
    assert isinstance(new, Say)
    assert (new.text, new.role) == ("Actually.", old.role)
    assert new.context != old.context
    assert told(ask(client, text="")) == []  # it waits for the new one alone
    assert json.loads(list(client.end(new))[-2].message)["isFinal"]  # type: ignore[union-attr]


def test_markdown_is_not_spoken() -> None:
    script = "# Loomings\n\n- Call me **Ishmael**. See [the whale](http://w.example/x) 🐋!"
    assert said(ask(opened(), text=script, flush=True)) == [
        "Loomings\n\nCall me Ishmael.",
        "See the whale !",
    ]


@pytest.mark.parametrize(
    ("settings", "voice", "speed"),
    [
        ({"voice_speed": 1.5}, ASTRA, 1.5),
        ({"voice_speed": 99}, ASTRA, 4.0),
        ({"speed": 1.5, "nonsense": []}, ASTRA, 1.0),
        ({"voice_speed": 1.5}, "Telnyx.KokoroTTS.af_heart", 1.0),
    ],
)
def test_settings_that_a_voice_does_not_know_are_left_out_without_a_word(
    settings: Message, voice: str, speed: float
) -> None:
    client = conversation({"voice": voice})
    ask(client, text=" ", voice_settings=settings)
    [say] = ask(client, text="Aye.", flush=True)
    assert isinstance(say, Say)
    assert say.speed == speed


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({}, 400, "voice 'Telnyx..' is not Provider.Model.VoiceId"),
        ({"voice": "astra"}, 400, "'astra'"),
        ({"voice": "Nobody.Model.astra"}, 400, "'Nobody.Model.astra'"),
        ({"voice": ASTRA, "audio_format": "opus"}, 400, "audio_format"),
        ({"voice": ASTRA, "sample_rate": "many"}, 400, "sample_rate"),
        ({"voice": ASTRA, "sample_rate": "11025"}, 400, "sample_rate 11025"),
        ({"voice": ASTRA, "sample_rate": "96000"}, 400, "sample_rate 96000"),
        ({"voice": ASTRA, "inactivity_timeout": "-1"}, 400, "inactivity_timeout"),
        ({"voice": "Telnyx.Ultra.aura"}, 403, "Ultra"),
    ],
)
def test_an_address_that_is_wrong_is_refused(
    query: dict[str, str], status: int, words: str
) -> None:
    with pytest.raises(TurnedAway) as refused:
        conversation(query)
    [error] = json.loads(f"{refused.value}")["errors"]
    assert (refused.value.status, error["code"]) == (status, f"{status}")
    assert words in error["detail"]


def test_a_voice_may_be_named_in_parts() -> None:
    client = opened({"model_id": "KokoroTTS", "voice_id": "bf_emma"})
    [say] = ask(client, text="Aye.", flush=True)
    assert isinstance(say, Say)
    assert say.role.name == "Telnyx.KokoroTTS.bf_emma"


@pytest.mark.parametrize("voice", ["Telnyx.NaturalHD.nobody", "aws.Polly.Generative.Lucia"])
def test_a_voice_that_is_not_there_is_an_error_and_the_end(voice: str) -> None:
    actions = ask(conversation({"voice": voice}), text=" ")
    assert told(actions) == [{"error": "Invalid voice_id specified"}]
    assert actions[-1] == Close(1000)


def test_the_whistle_speaks_every_voice_and_the_others_those_of_their_languages() -> None:
    for voice in TELNYX_VOICES:
        opened({"voice": voice.name})
    everybody = Casting("hibari", frozenset({"hibari", "nanotts", "tone"}))
    engines = {
        voice.language: everybody.stand_in(voice).model
        for voice in TELNYX_VOICES
        if voice.language != "pt-br"
    }
    assert engines == {
        "en-us": "hibari",
        **dict.fromkeys(("en-gb", "es", "fr", "fr-fr", "it"), "nanotts"),
    }


def test_a_voice_whose_language_nobody_speaks_is_one_that_is_not_there() -> None:
    house = House(casting=Casting("nanotts", frozenset({"nanotts", "tone"})))
    query = {"voice": "Telnyx.KokoroTTS.pf_dora"}
    client = Telnyx(Visit(number=1, path=PATH, query=query, key="k", house=house))
    assert told(ask(client, text=" ")) == [{"error": "Invalid voice_id specified"}]


@pytest.mark.parametrize("message", [{}, {"flush": False}, {"text": "a" * 65_537}])
def test_a_message_that_says_nothing_or_too_much_is_invalid(message: Message) -> None:
    assert told(ask(opened(), **message)) == [{"error": "Invalid message"}]


def test_an_engine_that_fails_is_told_in_the_words_of_the_provider() -> None:
    client = opened()
    [say] = ask(client, text="Aye.", flush=True)
    assert isinstance(say, Say)
    first, *rest = client.broken(say, "it died")
    assert isinstance(first, Send)
    assert json.loads(first.message) == {"error": "Error in audio response"}
    assert rest[-1] == Close(1000)
    client = opened()
    ask(client, text="Aye.")
    [say] = ask(client, text="")
    assert isinstance(say, Say)
    first, *_ = client.cannot_speak(say, "no words")
    assert isinstance(first, Send)
    assert json.loads(first.message) == {"error": "Error in remaining audio response"}


def test_where_the_guide_has_it_so_a_whole_sentence_is_spoken_without_a_flush() -> None:
    client = opened(sentences=True)
    assert said(ask(client, text="Call me **Ishmael**. Some years")) == ["Call me Ishmael."]
    assert said(ask(client, text=" ago.", flush=True)) == ["Some years ago."]


def test_who_says_nothing_is_let_go() -> None:
    client = conversation({"voice": ASTRA, "inactivity_timeout": "7"})
    assert list(client.greet()) == [After("idle", 7.0)]
    assert list(conversation().greet()) == [After("idle", 20.0)]
    assert list(client.expired("idle")) == [Close(1000)]


@given(
    st.lists(
        st.text()
        | st.binary()
        | st.fixed_dictionaries(
            {},
            optional={
                "text": st.none() | st.sampled_from(["", " ", "Aye. Aye."]) | st.text(),
                "flush": st.booleans(),
                "force": st.booleans(),
                "voice_settings": st.dictionaries(
                    st.sampled_from(["voice_speed", "x"]), st.none() | st.floats() | st.text()
                ),
            },
        ).map(json.dumps)
    )
)
def test_whatever_a_client_says_is_answered(messages: list[str | bytes]) -> None:
    client = conversation()
    for message in messages:
        for action in client.receive(message):
            assert isinstance(action, After | Send | Say | Cancel | Pause | Close)


# ── over a port ───────────────────────────────────────────────────────────────


@asynccontextmanager
async def server(tmp_path: Path, *knobs: str) -> AsyncIterator[int]:
    faults = tmp_path / "faults.toml"
    faults.write_text("\n".join(["[telnyx]", *knobs]), encoding="utf-8")
    settings = Settings(port=0, engine="tone", workers=2, faults=faults)
    with trio.fail_after(6 * DEADLINE):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(serve, settings)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def connect(port: int, **query: str) -> AsyncIterator[WebSocketConnection]:
    target = f"{PATH}?{urlencode({'voice': ASTRA} | query)}"
    bearer = [(b"Authorization", b"Bearer k")]
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, "host", target, extra_headers=bearer)
        nursery.cancel_scope.cancel()


async def talk(port: int, *messages: Message, **query: str) -> list[Message]:
    """Say all of it, and hear the other side out; it must close with 1000."""
    heard: list[Message] = []
    async with connect(port, **query) as ws:
        for message in messages:
            await ws.send_message(json.dumps(message))
        with trio.fail_after(DEADLINE):
            while ws.closed is None or heard[-1:] != [{}]:
                heard.append(await _next(ws))
    assert ws.closed is not None
    assert ws.closed.code == 1000
    return heard[:-1]


async def _next(ws: WebSocketConnection) -> Message:
    """The next message; none that is anything is empty, but the end is."""
    try:
        message: Message = json.loads(await ws.get_message())
    except ConnectionClosed:
        return {}
    return message


RECIPE = ({"text": " "}, {"text": SCRIPT, "flush": True}, {"text": ""})


async def test_the_first_sample_of_the_vendor_gets_its_audio(tmp_path: Path) -> None:
    text = "Hello from Telnyx text-to-speech, and from us, for it must not be short."
    async with server(tmp_path) as port:
        messages = await talk(port, {"text": " "}, {"text": text}, {"text": ""})
    *chunks, closing, final = messages
    assert final == {"audio": None, "text": "", "isFinal": True}
    assert closing == {"audio": None, "text": text, "isFinal": False, "cached": False}
    assert {(each["text"], each["isFinal"]) for each in chunks} == {(None, False)}
    assert len(chunks) > 1
    assert ["timeToFirstAudioFrameMs" in each for each in chunks].index(False) == 1
    data = b"".join(pybase64.b64decode(each["audio"]) for each in chunks)
    assert data.startswith(b"ID3")
    assert is_like(np.frombuffer(decode(data, 1).pcm, "<i2"), np.frombuffer(tone(text), "<i2"))


async def test_every_sentence_is_an_mp3_of_its_own_at_the_start_of_a_frame(tmp_path: Path) -> None:
    async with server(tmp_path) as port:
        messages = await talk(port, *RECIPE)
    payloads = [pybase64.b64decode(each["audio"]) for each in messages if each["audio"]]
    assert sum(payload.startswith(b"ID3") for payload in payloads) == 3
    assert [each["text"] for each in messages if each["text"]] == SENTENCES


async def test_frames_have_what_the_knobs_say(tmp_path: Path) -> None:
    knobs = ("types = true", "cache_frames = true", 'final = "each"', "tags = false")
    async with server(tmp_path, *knobs) as port:
        messages = await talk(port, *RECIPE)
    types = [each.get("type") for each in messages]
    assert set(types) == {"audio_chunk", "final", None}
    assert types.count("final") == 4
    assert messages.count({"audio": None, "cached": False}) == 3
    assert b"ID3" not in b"".join(pybase64.b64decode(each.get("audio") or "") for each in messages)


async def test_kokoro_may_stay_with_mp3(tmp_path: Path) -> None:
    async with server(tmp_path, "kokoro_mp3 = true") as port:
        voice = "Telnyx.KokoroTTS.af_heart"
        first, *_ = await talk(port, *RECIPE, voice=voice, audio_format="linear16")
        assert pybase64.b64decode(first["audio"]).startswith(b"ID3")


async def test_the_door_refuses_what_cannot_be_asked(tmp_path: Path) -> None:
    async with server(tmp_path) as port:
        for query, status in (({"voice": "astra"}, 400), ({"voice": "Telnyx.Ultra.a"}, 403)):
            with pytest.raises(ExceptionGroup) as group:
                async with connect(port, **query):
                    raise AssertionError("let in")
            [refused] = errors.leaves(group.value)
            assert isinstance(refused, ConnectionRejected)
            assert refused.status_code == status
            assert refused.body is not None
            assert json.loads(refused.body)["errors"][0]["code"] == f"{status}"


# ── with our own client ───────────────────────────────────────────────────────


async def heard(port: int, script: str = SCRIPT, voice: str = ASTRA, **options: object) -> Sound:
    """Have a script spoken as a run would."""
    chosen = PROVIDER.choose_voice(voice, None, None)
    dialect = PROVIDER.dialect(Manner(voice=chosen, options=options))
    hearing = Hearing(dialect.traits.raw_hz, dialect.traits.raw_encoding)
    listener = Listener(
        hear=hearing.hear, said=lambda: None, late=lambda context: None, time=hearing.time
    )
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as connections:
            line = Line.to(PROVIDER, f"ws://127.0.0.1:{port}", KEY)
            session = await line.call(connections, dialect)
            await session.speak(script, "u1", listener)
            session.close()
    return hearing.sound()


@pytest.mark.parametrize("final", ["end", "each"])
@pytest.mark.parametrize("text_frame", ["null", "again", "only"])
async def test_however_it_is_sent_it_is_heard_once_and_whole(
    tmp_path: Path, text_frame: str, final: str
) -> None:
    knobs = (f'text_frame = "{text_frame}"', f'final = "{final}"', "cache_frames = true")
    async with server(tmp_path, *knobs) as port:
        for audio_format in ("linear16", "pcm", "wav"):
            sound = await heard(port, audio_format=audio_format)
            assert (sound.pcm, sound.sample_rate_hz) == (ALL, 24_000)
        for options in ({}, {"audio_format": "mp3"}, {"audio_format": "ogg_vorbis"}):
            sound = await heard(port, **options)
            assert sound.sample_rate_hz == 24_000
            assert is_like(np.frombuffer(sound.pcm, "<i2"), np.frombuffer(ALL, "<i2"))


@pytest.mark.parametrize(
    ("audio_format", "sample_rate", "rate_hz"),
    [
        (None, 16_000, 16_000),
        ("mp3", 44_100, 44_100),
        ("linear16", 16_000, 16_000),
        ("wav", 48_000, 48_000),
        ("ogg_vorbis", 22_050, 22_050),
        ("mulaw", None, 8_000),
        ("alaw", 16_000, 16_000),
    ],
)
async def test_it_is_heard_at_the_rate_that_was_asked_for(
    tmp_path: Path, audio_format: str | None, sample_rate: int | None, rate_hz: int
) -> None:
    async with server(tmp_path) as port:
        sound = await heard(port, audio_format=audio_format, sample_rate=sample_rate)
    assert sound.sample_rate_hz == rate_hz
    assert abs(len(sound.pcm) / 2 / rate_hz - len(ALL) / 2 / 24_000) < 0.050


@contextmanager
def failing(kind: type[errors.BatchttsError], words: str) -> Iterator[None]:
    """What a group of errors from the nurseries holds must be this one alone."""
    with pytest.raises(ExceptionGroup) as group:
        yield
    [error] = errors.leaves(group.value)
    assert isinstance(error, kind)
    assert words in str(error)


async def test_what_the_server_refuses_costs_what_it_should(tmp_path: Path) -> None:
    async with server(tmp_path) as port:
        with failing(errors.VoiceUnavailable, "Invalid voice_id specified"):
            await heard(port, voice="Telnyx.NaturalHD.nobody")
        with failing(errors.VoiceUnavailable, "refused (403)"):
            await heard(port, voice="Telnyx.Ultra.aura")
        with failing(errors.VoiceUnavailable, "refused (400)"):
            await heard(port, voice="Nobody.Model.x")
        with failing(errors.ProviderDown, "sample_rate 96000 is not supported"):
            await heard(port, sample_rate=96_000)
        with failing(errors.SynthesisFailed, "end marker without any audio"):
            await heard(port, script="🐋")


@pytest.mark.parametrize("final", ["end", "each"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ('kind = "drop"\ncode = 1000', errors.SessionLost),
        ('kind = "drop"\ncode = 1006\nat = "last"', errors.SessionLost),
        ('kind = "drop"\ncode = 1000\nat = "first"', errors.AttemptError),
        ('kind = "silent"', errors.SynthesisFailed),
        ('kind = "fail"', errors.SynthesisFailed),
        ('kind = "bad_base64"', errors.RemoteProtocolError),
    ],
)
async def test_a_script_that_is_cut_in_its_second_sentence_is_no_success(
    tmp_path: Path, final: str, fault: str, kind: type[errors.BatchttsError]
) -> None:
    knobs = (f'final = "{final}"', "[[fault]]", fault, 'text = "Some years"')
    async with server(tmp_path, *knobs) as port:
        with failing(kind, ""):
            await heard(port)


async def test_audio_that_comes_again_on_purpose_is_heard_once(tmp_path: Path) -> None:
    async with server(tmp_path, "[[fault]]", 'kind = "double"', 'text = "years"') as port:
        assert (await heard(port, audio_format="linear16")).pcm == ALL


# ── from one end to the other ─────────────────────────────────────────────────


def test_a_job_is_spoken_and_what_cannot_be_asked_is_not(tmp_path: Path) -> None:
    manifest = tmp_path / "lines.csv"
    manifest.write_text(
        "id,text,voice,speed\n"
        f"plain,{SENTENCES[0]} Why?,,\n"
        f"fast,{SENTENCES[0]},Telnyx.Natural.allison,2\n"
        "nobody,Aye.,Telnyx.NaturalHD.nobody,\n"
        "slow,Aye aye.,Telnyx.KokoroTTS.am_adam,0.5\n",
        encoding="utf-8",
    )
    flags = ("--provider", "telnyx", "--out", "out")
    with e2e.serving(tmp_path / "log") as server:
        answer = e2e.ask(
            *("run", "lines.csv", *flags, "--endpoint", server.url),
            here=tmp_path,
            extra={"TELNYX_API_KEY": "k"},
        )
        asked = server.texts()
    assert answer.status == 3
    out = tmp_path / "out"
    assert e2e.untrue_lines(out) == []
    assert e2e.by_id(out, "error_code") == {
        "plain": None,
        "fast": None,
        "nobody": "voice_unavailable",
        "slow": "voice_unavailable",
    }
    seconds = e2e.by_id(out, "audio_s")
    assert seconds["plain"] == pytest.approx(0.060 * 20, abs=0.050)
    assert seconds["fast"] == pytest.approx(0.030 * 16, abs=0.050)
    assert e2e.by_id(out, "sample_rate_hz")["plain"] == 24_000
    assert asked == sorted([SENTENCES[0], "Why?", SENTENCES[0]])
