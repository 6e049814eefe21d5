"""Conversations with Telnyx: what they come to, what we ask for, and what we refuse to ask."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

import pybase64
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtts.errors import RemoteProtocolError, VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire import registry
from batchtts.wire.dialogue import Dialogue, Patience, State
from batchtts.wire.events import (
    Audio,
    Closed,
    Done,
    Echo,
    Event,
    Failed,
    Fault,
    Finished,
    Stalled,
)
from batchtts.wire.provider import Manner
from batchtts.wire.telnyx import PROVIDER, Telnyx
from batchtts.wire.telnyx_voices import KOKORO_TTS, NATURAL, NATURAL_HD, TELNYX_VOICES
from batchtts.wire.words import Coverage
from tests import talks
from tests.talks import Refused

ASTRA = Voice("Telnyx.NaturalHD.astra", NATURAL_HD, "en-us")
HEART = Voice("Telnyx.KokoroTTS.af_heart", KOKORO_TTS, "en-us")
LUCIA = Voice("aws.Polly.Generative.Lucia", "aws.Polly.Generative", "es-es")

ONE = Audio(b"\x00\x00\x01\x00")
TWO = Audio(b"\x02\x00\x03\x00")
THREE = Audio(b"\x04\x00\x05\x00")


def meaning(name: str) -> list[Event | Refused]:
    """What a conversation comes to, but for the texts that are sent back."""
    told = talks.meaning(f"telnyx-{name}")
    return [event for event in told if not isinstance(event, Echo)]


# What is heard.


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("one-segment", [ONE, TWO]),
        ("text-frame-again", [ONE, TWO]),
        ("text-frame-only", [Audio(ONE.payload + TWO.payload)]),
        ("segments-of-both-kinds", [ONE, TWO, THREE]),
        ("audio-and-end-together", [ONE, TWO]),
        ("cache-frames", [ONE]),
        ("typed-frames", [ONE]),
        ("empty-audio", [ONE]),
        ("chunks-with-an-empty-text", [ONE]),
        ("closed-without-a-code", [ONE]),
        ("closed-within-the-quiet", [ONE]),
        ("quiet-is-the-end", [ONE]),
        ("speed", [ONE]),
        ("speed-of-minimax", [ONE]),
        ("escaped-script", [ONE]),
        ("echo-in-other-words", [ONE]),
        ("segment-without-words", [ONE]),
        ("echo-unchecked", [ONE]),
        ("echo-without-markdown", [ONE]),
    ],
)
def test_every_segment_is_heard_once(name: str, heard: list[Audio]) -> None:
    assert meaning(name) == [*heard, Done(), Finished()]


def test_the_text_of_a_segment_is_told_behind_its_audio() -> None:
    assert talks.meaning("telnyx-final-after-each-segment") == [
        *(ONE, Echo("Call me"), Done()),
        *(TWO, Echo("Ishmael."), Done()),
        *(Done(), Finished()),
    ]


def test_a_connection_that_stays_open_is_no_matter_when_all_of_the_script_was_sent_back() -> None:
    assert meaning("no-close") == [ONE, Done(), Finished()]


def test_an_end_after_each_segment_is_not_the_end() -> None:
    expected = [ONE, Done(), TWO, Done(), Done(), Finished()]
    assert meaning("final-after-each-segment") == expected


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("close-before-the-end", Closed(1000, "", "next audio")),
        ("close-in-the-second-segment", Closed(1000, "", "next audio")),
        ("broken-off-after-the-end", Closed(1006, "", "close after the end")),
        ("echo-of-half", Failed("no echo of 'Ishmael.'", Fault.CUT)),
        ("echo-of-half-and-quiet", Failed("no echo of 'Ishmael.'", Fault.CUT)),
        ("segment-without-audio", Failed("no audio of 'Ishmael.'")),
        ("no-close-and-no-echo", Stalled("no close after the end within 10 s")),
        ("no-first-audio", Stalled("no first audio within 20 s")),
        ("no-next-audio", Stalled("no next audio within 10 s")),
    ],
)
def test_what_may_be_half_a_script_is_a_failure(name: str, end: Event) -> None:
    assert end in meaning(name)
    assert Finished() not in meaning(name)


# What the provider complains of.


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("invalid-message", Failed("Invalid message", Fault.SCRIPT)),
        ("invalid-voice", Failed("Invalid voice_id specified", Fault.VOICE)),
        ("error-in-the-audio", Failed("Error in audio response")),
        ("error-in-the-rest", Failed("Error in remaining audio response")),
        ("too-many", Failed("Rate limit exceeded", Fault.BUSY)),
        ("error-as-object", Failed("Invalid voice", Fault.VOICE)),
        ("error-without-words", Failed("no reason given")),
        ("end-without-audio", Failed("end marker without any audio")),
        ("format-that-the-voice-lacks", Failed("unsupported sample rate", Fault.VOICE)),
    ],
)
def test_a_failure_is_told_with_its_fault(name: str, failure: Failed) -> None:
    assert [event for event in meaning(name) if isinstance(event, Failed)] == [failure]
    assert Finished() not in meaning(name)


@pytest.mark.parametrize("name", ["bad-base64", "bad-json", "text-as-a-number", "binary"])
def test_what_cannot_be_read_ends_the_conversation(name: str) -> None:
    [refused] = meaning(name)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("cannot read")


@pytest.mark.parametrize(
    ("status", "words", "fault"),
    [
        (400, "voice 'astra' is not Provider.Model.VoiceId", Fault.VOICE),
        (400, "", Fault.VOICE),
        (422, "unsupported language", Fault.VOICE),
        (403, "Ultra is not available", Fault.VOICE),
        (400, "sample_rate 1 is not supported", None),
        (400, "unknown audio_format", None),
        (401, "", None),
        (429, "", None),
        (500, "voice", None),
    ],
)
def test_a_refusal_is_that_of_a_voice_unless_every_row_would_meet_it(
    status: int, words: str, fault: Fault | None
) -> None:
    assert Telnyx(ASTRA).traits.judge_status(status, words) is fault


# Whatever a provider says.

KEYS = ["audio", "text", "isFinal", "error", "errors", "type", "cached"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
    max_leaves=8,
)
sane = st.fixed_dictionaries(
    {},
    optional={
        "audio": st.none()
        | st.binary(max_size=6).map(lambda pcm: pybase64.b64encode(pcm).decode()),
        "text": st.sampled_from([None, "", "Call me", "Ishmael."]),
        "isFinal": st.booleans(),
    },
)
odd = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, values))
frames = (
    st.builds(json.dumps, sane)
    | st.builds(lambda message: json.dumps(message).encode(), sane)
    | st.builds(json.dumps, values | odd)
    | st.text()
    | st.binary()
)
closes = st.sampled_from([1000, 1001, 1005, 1006, 1008, 1011, 4001, None]).map(
    lambda code: ("close", code)
)
FINAL = json.dumps({"isFinal": True})
SOME = json.dumps({"audio": "AAABAA=="})
WHOLE = json.dumps({"audio": None, "text": "Call me Ishmael."})


def hear(dialogue: Dialogue, said: object) -> list[Event]:
    match said:
        case str() | bytes():
            return dialogue.receive(said)
        case ("close", code):
            assert code is None or isinstance(code, int)
            return dialogue.receive_close(code, "")
        case _:
            return dialogue.receive_silence()


@given(st.lists(frames | closes | st.none()))
@example([SOME, FINAL, ("close", 1000)])
@example([FINAL, ("close", 1000)])
@example([SOME, ("close", 1000)])
@example([SOME, FINAL, None])
@example([SOME, WHOLE, FINAL, None])
@example([SOME, FINAL, SOME, ("close", 1000)])
def test_whatever_comes_nothing_is_whole_without_audio_an_end_and_a_close(
    said: list[object],
) -> None:
    dialogue, events, last = Dialogue(Telnyx(ASTRA), Patience()), list[Event](), None
    dialogue.speak("Call me Ishmael.", "u1")
    sent_back = Coverage("Call me Ishmael.")
    for each in said:
        if dialogue.state is State.SPENT:
            break
        last = each
        with suppress(RemoteProtocolError):
            for event in hear(dialogue, each):
                if isinstance(event, Echo):
                    sent_back.echo(event.item, event.text)
                else:
                    events.append(event)
    if Finished() in events:
        assert any(isinstance(event, Audio) for event in events)
        assert events[-2:] == [Done(), Finished()]
        assert last in [("close", 1000), ("close", 1005)] or sent_back.is_whole


chunk = st.binary(min_size=1, max_size=6)
segments = st.lists(
    st.tuples(st.lists(chunk, min_size=1, max_size=3), st.sampled_from(["null", "again", "only"])),
    min_size=1,
    max_size=4,
)


@given(segments)
def test_however_the_audio_of_segments_comes_it_is_heard_once(
    told: list[tuple[list[bytes], str]],
) -> None:
    dialect, heard = Telnyx(ASTRA), bytearray()
    for chunks, kind in told:
        whole = pybase64.b64encode(b"".join(chunks)).decode()
        parts = [] if kind == "only" else [pybase64.b64encode(each).decode() for each in chunks]
        messages = [{"audio": part, "text": None} for part in parts]
        messages.append({"audio": None if kind == "null" else whole, "text": "Call me."})
        for message in messages:
            for event in dialect.parse(json.dumps(message)):
                heard += event.payload if isinstance(event, Audio) else b""
    assert heard == b"".join(each for chunks, _ in told for each in chunks)


# What we ask for.


def dialect(voice: Voice = ASTRA, speed: float = 1.0) -> Telnyx:
    return Telnyx.of(Manner(voice=voice, speed=speed))


def query(voice: Voice = ASTRA, **options: object) -> dict[str, str]:
    spoken = Telnyx.of(Manner(voice=voice, options=options))
    path, _, told = spoken.resource.partition("?")
    assert path == "/v2/text-to-speech/speech"
    return dict(parse_qsl(told, strict_parsing=True))


def test_nothing_is_asked_for_but_the_voice() -> None:
    assert query() == {"voice": "Telnyx.NaturalHD.astra"}
    assert urlsplit(dialect().resource).query == "voice=Telnyx.NaturalHD.astra"


def test_what_the_options_say_is_asked_for() -> None:
    asked = query(audio_format="mp3", sample_rate=44_100, text_type="ssml", disable_cache=True)
    assert asked == {
        "voice": "Telnyx.NaturalHD.astra",
        "audio_format": "mp3",
        "sample_rate": "44100",
        "text_type": "ssml",
        "disable_cache": "true",
    }
    assert "disable_cache" not in query(disable_cache=False)


@pytest.mark.parametrize(
    ("voice", "audio_format", "sample_rate", "encoding", "hz"),
    [
        (ASTRA, "linear16", None, "s16le", 24_000),
        (ASTRA, "pcm", 48_000, "s16le", 48_000),
        (ASTRA, "mulaw", None, "mulaw", 8_000),
        (ASTRA, "alaw", 16_000, "alaw", 16_000),
        (HEART, "linear16", 16_000, "s16le", 24_000),
        (Voice("Telnyx.Bayan.x", "Telnyx.Bayan", "ar"), "linear16", None, "s16le", 16_000),
    ],
)
def test_audio_without_a_header_is_of_the_rate_that_was_asked_for(
    voice: Voice, audio_format: str, sample_rate: int | None, encoding: str, hz: int
) -> None:
    options = {"audio_format": audio_format, "sample_rate": sample_rate}
    traits = Telnyx.of(Manner(voice=voice, options=options)).traits
    assert (traits.raw_encoding, traits.raw_hz) == (encoding, hz)
    assert query(voice, **options)["sample_rate"] == f"{hz}"


@pytest.mark.parametrize(
    ("voice", "options", "language"),
    [
        (LUCIA, {}, "es-ES"),
        (Voice("azure.zh-X", "azure", "zh-hant-tw"), {}, "zh-Hant-TW"),
        (Voice("aws.Polly.Neural.Amy", "aws.Polly.Neural", "und"), {}, None),
        (LUCIA, {"language": "es-MX"}, "es-MX"),
        (ASTRA, {}, None),
    ],
)
def test_only_voices_of_some_providers_are_told_a_language(
    voice: Voice, options: dict[str, str], language: str | None
) -> None:
    assert query(voice, **options).get("language") == language


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (NATURAL, "voice_speed"),
        (NATURAL_HD, "voice_speed"),
        ("telnyx.naturalhd", "voice_speed"),
        ("Minimax.speech-2.8-hd", "speed"),
    ],
)
def test_a_pace_goes_by_the_name_that_the_model_has_for_it(model: str, key: str) -> None:
    opening, *_ = dialect(Voice(f"{model}.x", model, "en"), 1.5).speak("Call me Ishmael.", "u1")
    assert json.loads(opening) == {"text": " ", "voice_settings": {key: 1.5}}


@pytest.mark.parametrize("voice", [HEART, LUCIA, Voice("Rime.Coda.x", "Rime.Coda", "en")])
def test_a_pace_that_would_be_left_out_in_silence_is_refused_before_anything_is_said(
    voice: Voice,
) -> None:
    with pytest.raises(VoiceUnavailable, match=f"^{voice.model} takes no speed$") as refused:
        dialect(voice, 1.25)
    assert refused.value.hint == "leave it at 1, or put what the voice takes into voice_settings"
    assert dialect(voice, 1.0)


@given(st.text())
def test_whatever_the_script_it_arrives_as_it_is_between_a_space_and_the_end(script: str) -> None:
    messages = [json.loads(message) for message in dialect().speak(script, "u1")]
    assert messages == [{"text": " "}, {"text": script, "flush": True}, {"text": ""}]


def test_nothing_is_said_before_the_script() -> None:
    assert dialect().hello() == []


# What is known beforehand.


def test_telnyx_is_one_of_the_providers() -> None:
    assert registry.get("telnyx") is PROVIDER
    assert PROVIDER.choose_voice(None, None, None) == ASTRA
    assert PROVIDER.choose_voice(None, KOKORO_TTS, "es").name == "Telnyx.KokoroTTS.ef_dora"
    assert PROVIDER.choose_voice(None, None, "fr").name == "Telnyx.NaturalHD.amarante"


@pytest.mark.parametrize(
    ("name", "model", "language", "voice"),
    [
        ("Telnyx.NaturalHD.luna", None, None, ("Telnyx.NaturalHD.luna", NATURAL_HD, "en-us")),
        ("luna", NATURAL_HD, None, ("Telnyx.NaturalHD.luna", NATURAL_HD, "en-us")),
        ("bond", NATURAL_HD, "en", ("Telnyx.NaturalHD.bond", NATURAL_HD, "en")),
        (LUCIA.name, None, "es_ES", (LUCIA.name, LUCIA.model, "es-es")),
        (LUCIA.name, LUCIA.model, None, (LUCIA.name, LUCIA.model, "und")),
        (
            "Minimax.speech-2.8-turbo.A",
            None,
            None,
            ("Minimax.speech-2.8-turbo.A", "Minimax.speech-2.8-turbo", "und"),
        ),
        ("azure.en-US-AvaNeural", None, None, ("azure.en-US-AvaNeural", "azure", "und")),
    ],
)
def test_a_voice_goes_by_its_full_name_or_by_the_last_part_and_its_model(
    name: str, model: str | None, language: str | None, voice: tuple[str, str, str]
) -> None:
    assert PROVIDER.choose_voice(name, model, language) == Voice(*voice)


@pytest.mark.parametrize("name", ["astra", "Telnyx.NaturalHD.", ".astra", "Telnyx..astra", "a. b"])
def test_what_is_no_full_name_is_no_voice(name: str) -> None:
    with pytest.raises(VoiceUnavailable, match="telnyx has no voice"):
        PROVIDER.choose_voice(name, None, None)


def test_a_voice_of_another_model_is_refused() -> None:
    with pytest.raises(VoiceUnavailable, match=r"belongs to the model aws\.Polly\.Generative, not"):
        PROVIDER.choose_voice(LUCIA.name, NATURAL_HD, None)


def test_the_model_of_a_listed_voice_is_all_of_its_name_but_the_last_part() -> None:
    assert {voice.name.rpartition(".")[0] == voice.model for voice in TELNYX_VOICES} == {True}


def test_what_costs_nothing_known_is_not_guessed() -> None:
    assert PROVIDER.cost_usd(NATURAL_HD, 1_000_000) == 48.0
    assert PROVIDER.cost_usd("azure", 1_000_000) is None
