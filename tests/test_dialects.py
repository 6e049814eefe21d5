"""Conversations with Together, and what holds for every dialogue; see `tests.talks`."""

from __future__ import annotations

import io
import json
import tracemalloc
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pybase64
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from batchtts.audio.decode import Hearing
from batchtts.errors import LocalProtocolError, RemoteProtocolError
from batchtts.model import Voice
from batchtts.wire.dialogue import Dialogue, Patience, State, Traits
from batchtts.wire.events import (
    Audio,
    Closed,
    Done,
    Event,
    Failed,
    Fault,
    Finished,
    Late,
    Named,
    Ready,
    Stalled,
    Words,
)
from batchtts.wire.kokoro import KOKORO
from batchtts.wire.together import Options, Together
from tests import talks
from tests.talks import NAMES, Refused, lines, replay

DELTA = "conversation.item.audio_output.delta"
DONE = "conversation.item.audio_output.done"
HEART = Voice("af_heart", KOKORO, "en-us")
RATE_HZ = 24_000

ONE = b"\x00\x00\x01\x00"
TWO = b"\x02\x00\x03\x00"
THREE = b"\x04\x00\x05\x00"


def meaning(name: str) -> list[Event | Refused]:
    """What a conversation with Together comes to."""
    return talks.meaning(f"together-{name}")


def audio(payload: bytes, item: int = 1, context: str | None = "u1") -> Audio:
    return Audio(payload, context, f"tts_{item}")


def done(item: int = 1, context: str | None = "u1") -> Done:
    return Done(context, f"tts_{item}")


@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_says_what_it_shows(name: str) -> None:
    assert lines(name)[0].startswith("# ")
    assert {line[:1] for line in lines(name)} <= set("#@=<>~")


@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_ends_at_rest(name: str) -> None:
    dialogue, _ = replay(name)
    assert dialogue.state in {State.IDLE, State.SPENT}


@pytest.mark.parametrize("name", NAMES)
def test_what_ends_badly_is_never_spoken_to_again(name: str) -> None:
    dialogue, events = replay(name)
    is_well = events[-1] == Finished() and dialogue.dialect.traits.reusable
    assert (dialogue.state is State.IDLE) == is_well
    if dialogue.state is State.SPENT:
        with pytest.raises(LocalProtocolError, match="cannot speak: the dialogue awaits nothing"):
            dialogue.speak("again", "u9")


# What one commit may come back as.


def test_a_script_is_whole_after_its_done_and_some_quiet() -> None:
    assert meaning("one-item") == [Ready(), audio(ONE), audio(TWO), done(), Finished()]


def test_a_commit_may_come_back_as_several_items() -> None:
    assert meaning("two-items") == [
        Ready(),
        *(audio(ONE), done(1)),
        *(audio(TWO, 2), done(2)),
        Finished(),
    ]


def test_an_item_may_begin_before_the_last_one_is_done() -> None:
    assert meaning("second-item-announced-first") == [
        Ready(),
        *(audio(ONE), audio(TWO, 2), done(1), done(2)),
        Finished(),
    ]


def test_the_first_of_two_dones_does_not_open_the_quiet_window() -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    dialogue.receive('{"type":"session.created"}')
    dialogue.speak("Call me Ishmael. Some years ago.", "u1")
    for item in ("tts_1", "tts_2"):
        dialogue.receive(f'{{"type":"{DELTA}","item_id":"{item}","delta":"AAABAA=="}}')
    dialogue.receive(f'{{"type":"{DONE}","item_id":"tts_1"}}')
    first = dialogue.state
    dialogue.receive(f'{{"type":"{DONE}","item_id":"tts_2"}}')
    assert (first, dialogue.state) == (State.SPEAKING, State.LINGERING)


def test_deltas_of_two_items_may_take_turns() -> None:
    assert meaning("interleaved-items") == [
        Ready(),
        *(audio(ONE), audio(TWO, 2), audio(THREE), audio(ONE, 2), done(2), done(1)),
        Finished(),
    ]


def test_a_second_item_within_the_window_belongs_to_the_script() -> None:
    assert meaning("second-item-within-the-window") == [
        Ready(),
        *(audio(ONE), done(1)),
        *(audio(TWO, 2), audio(THREE, 2), done(2)),
        Finished(),
    ]


def test_a_delta_after_its_done_opens_the_item_again() -> None:
    assert meaning("item-goes-on-after-its-done") == [
        Ready(),
        *(audio(ONE), done(), audio(TWO), done()),
        Finished(),
    ]


def test_an_item_without_its_done_is_waited_for_in_vain() -> None:
    assert meaning("second-item-without-end")[-1] == Stalled("no next audio within 10 s")


def test_the_same_done_twice_is_one_end() -> None:
    assert meaning("repeated-done") == [Ready(), audio(ONE), done(), done(), Finished()]


@pytest.mark.parametrize(
    "name",
    [
        *("done-without-audio", "second-item-without-audio"),
        *("empty-delta", "item-names-used-again"),
    ],
)
def test_an_end_marker_without_any_audio_is_a_failure(name: str) -> None:
    assert meaning(name)[-1] == Failed("end marker without any audio")


# What a provider complains of.


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        (
            "bad-voice",
            Failed("Voice 'tara' is not available for model hexgrad/Kokoro-82M", Fault.VOICE),
        ),
        (
            "bad-voice-in-a-context",
            Failed(
                "Voice 'tara' is not available for model hexgrad/Kokoro-82M", Fault.VOICE, "default"
            ),
        ),
        ("bad-key", Failed("Incorrect API key provided (invalid_api_key)", Fault.KEY)),
        (
            "bad-model",
            Failed("Model 'hexgrad/Kokoro' is not available (model_not_available)", Fault.VOICE),
        ),
        (
            "out-of-credit",
            Failed("You have used up your credit (insufficient_quota)", Fault.QUOTA, "u1"),
        ),
        ("no-workers", Failed("No healthy workers (no_healthy_workers)", Fault.BUSY, "u1")),
        ("too-many-requests", Failed("slow down (429)", Fault.BUSY)),
        ("forbidden", Failed("no access to this model (403)", Fault.KEY)),
        ("rate-limit-by-type", Failed("slow down", Fault.BUSY)),
        ("bad-text", Failed("Text contains unsupported characters", Fault.SCRIPT, "u1")),
        ("failed-mid-audio", Failed("engine overloaded", Fault.ENGINE, "u1")),
        ("error-without-object", Failed("no reason given", Fault.ENGINE)),
        ("failed-without-any-error", Failed("no reason given", Fault.ENGINE)),
        ("error-at-top-level", Failed("something broke", Fault.ENGINE)),
        ("error-as-string", Failed("something broke", Fault.ENGINE)),
    ],
)
def test_a_failure_is_told_with_its_fault(name: str, failure: Failed) -> None:
    assert [event for event in meaning(name) if isinstance(event, Failed)] == [failure]


def test_the_failed_frame_counts_and_not_the_polite_close_after_it() -> None:
    assert meaning("bad-key")[-1] == Closed(1000, "", "nothing")


def test_the_failure_of_another_script_is_left_out() -> None:
    assert meaning("failed-elsewhere") == [
        Ready(),
        audio(TWO, 2, "u2"),
        done(2, "u2"),
        Finished(),
    ]


# What the times of words say.


def test_when_every_word_was_timed_there_is_nothing_to_wait_for() -> None:
    dialogue, _ = replay("together-words-all-timed")
    assert dialogue.state is State.IDLE
    assert meaning("words-all-timed")[-2:] == [done(), Finished()]


def test_timings_behind_the_done_close_the_window() -> None:
    *_, last_words, end = meaning("words-after-the-done")
    assert isinstance(last_words, Words)
    assert end == Finished()


def test_timings_that_end_too_early_are_a_script_cut_short() -> None:
    assert meaning("words-missing")[-1] == Failed(
        "no word timings for 'Some years ago.'", Fault.CUT
    )


def test_the_timings_of_an_item_that_is_still_to_come_close_nothing() -> None:
    events = meaning("words-of-a-second-item-first")
    assert events[-4:] == [done(), audio(TWO, 2), done(2), Finished()]


@pytest.mark.parametrize(
    "name",
    ["words-in-another-spelling", "words-without-the-last-figure", "words-that-never-came"],
)
def test_timings_that_prove_nothing_leave_it_to_the_window(name: str) -> None:
    assert lines(f"together-{name}")[-1] == "~"
    assert meaning(name)[-2:] == [done(), Finished()]


def test_times_that_do_not_match_their_words_are_left_out() -> None:
    events = meaning("words-of-uneven-length")
    assert events == [Ready(), audio(ONE), Words((), "u1", "tts_1"), done(), Finished()]


def test_options_without_a_place_in_the_address_are_said_first() -> None:
    assert meaning("extra-params")[-1] == Finished()


def test_an_item_that_fails_after_others_fails_the_script() -> None:
    assert meaning("three-items-and-late-failure")[-1] == Failed(
        "engine overloaded", Fault.ENGINE, "u1"
    )


# What belongs to another script.


def test_audio_of_an_abandoned_script_is_left_out() -> None:
    assert meaning("late-audio-of-an-abandoned-context") == [
        Ready(),
        audio(TWO, 2, "u2"),
        done(2, "u2"),
        Finished(),
    ]


def test_audio_of_a_script_that_counted_as_whole_is_told_once() -> None:
    assert meaning("late-audio-of-a-finished-context") == [
        Ready(),
        *(audio(ONE), done(), Finished()),
        Late("u1"),
        *(audio(TWO, 3, "u2"), done(3, "u2"), Finished()),
    ]


def test_one_connection_carries_one_script_after_another() -> None:
    assert meaning("two-scripts") == [
        Ready(),
        *(audio(ONE), done(), Finished()),
        *(audio(TWO, 2, "u2"), done(2, "u2"), Finished()),
    ]


def test_a_delta_without_a_context_belongs_to_the_script_that_was_asked_for() -> None:
    assert meaning("no-context-ids") == [
        Ready(),
        audio(ONE, context=None),
        done(context=None),
        Finished(),
    ]


# What audio looks like.


def heard(name: str) -> bytes:
    hearing = Hearing(RATE_HZ)
    for event in meaning(name):
        if isinstance(event, Audio):
            hearing.hear(event.payload, event.item)
    return hearing.sound().pcm


def test_a_delta_may_end_in_the_middle_of_a_sample() -> None:
    assert heard("odd-length-deltas") == b"\x00\x00\x01\x00"


def test_a_riff_header_that_nobody_asked_for_is_not_heard() -> None:
    assert heard("riff-header") == ONE + TWO


def test_interleaved_items_are_heard_one_after_another() -> None:
    assert heard("interleaved-items") == ONE + THREE + TWO + ONE


def test_slashes_of_base64_may_be_escaped() -> None:
    assert heard("escaped-slashes") == b"\xff\xff\xff\xff"


# How a connection ends.


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("polite-close-before-done", Closed(1000, "", "next audio")),
        ("close-between-items", Closed(1000, "", "second thoughts")),
        ("close-between-scripts", Closed(1001, "", "script")),
        ("cut-in-the-greeting", Closed(1006, "", "greeting")),
        ("server-error-in-the-greeting", Closed(1011, "", "greeting")),
    ],
)
def test_a_close_says_when_in_the_conversation_it_came(name: str, end: Closed) -> None:
    assert meaning(name)[-1] == end


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-greeting", "no greeting within 10 s"),
        ("no-first-audio", "no first audio within 20 s"),
        ("no-next-audio", "no next audio within 10 s"),
    ],
)
def test_silence_is_told_with_what_was_awaited(name: str, reason: str) -> None:
    assert meaning(name)[-1] == Stalled(reason)


# What means nothing, and what cannot be.


def test_chatter_is_left_out() -> None:
    events = [event for event in meaning("chatter") if not isinstance(event, Words)]
    assert events == [Ready(), audio(ONE), done(), Finished()]


def test_a_greeting_need_not_describe_its_session() -> None:
    assert meaning("bare-greeting") == [Ready(), audio(ONE), done(), Finished()]


@pytest.mark.parametrize(
    ("name", "voice"), [("wrong-voice-in-the-greeting", "tara"), ("wrong-voice-later", "am_adam")]
)
def test_a_session_in_another_voice_is_refused(name: str, voice: str) -> None:
    reason = f"asked for af_heart, the session speaks {voice}"
    assert meaning(name)[-1] == Failed(reason, Fault.VOICE)


def test_a_session_in_a_voice_that_nobody_knows_is_accepted() -> None:
    assert meaning("unknown-voice-in-the-greeting")[-1] == Finished()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("bad-json", f'\'{{"type":"{DELTA}","delta":"AAAB\''),
        ("no-type", '\'{"delta":"AAABAA=="}\''),
        ("bad-base64", f'\'{{"type":"{DELTA}","context_id":"u1","item_i'),
        ("bad-base64-with-escapes", f'\'{{"type":"{DELTA}","context_id":"u1","item_i'),
        ("no-delta", f'\'{{"type":"{DELTA}","context_id":"u1","item_i'),
        ("null-delta", f'\'{{"type":"{DELTA}","context_id":"u1","item_i'),
    ],
)
def test_a_frame_that_cannot_be_read_is_quoted(name: str, start: str) -> None:
    [greeting, refused] = meaning(name)
    assert greeting == Ready()
    assert isinstance(refused, Refused)
    assert refused.reason.startswith(f"cannot read {start}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("audio-before-commit", "Audio while awaiting script"),
        ("second-greeting", "Ready while awaiting first audio"),
    ],
)
def test_what_comes_out_of_turn_is_refused(name: str, reason: str) -> None:
    assert meaning(name)[-1] == Refused(reason)


def test_a_frame_nested_too_deeply_cannot_be_read() -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    with pytest.raises(RemoteProtocolError, match="cannot read"):
        dialogue.receive('{"type":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}")
    assert dialogue.state is State.SPENT


# What we say.


def test_a_script_is_escaped_as_json() -> None:
    _, events = replay("together-escaped-script")
    append, _ = Together(HEART).speak('"Ahoy!"\n\t\\ café 🐋 „naja“', "u1")
    assert lines("together-escaped-script")[3] == f"> {append}"
    assert events[-1] == Finished()


@given(st.text(), st.text(min_size=1))
def test_whatever_the_script_it_arrives_as_it_is(script: str, context: str) -> None:
    append, commit = (json.loads(message) for message in Together(HEART).speak(script, context))
    assert append == {"type": "input_text_buffer.append", "text": script, "context_id": context}
    assert commit == {"type": "input_text_buffer.commit", "context_id": context}


def query_of(dialect: Together) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(dialect.resource).query, strict_parsing=True))


def test_the_handshake_asks_for_model_and_voice_and_one_item() -> None:
    assert urlsplit(Together(HEART).resource).path == "/v1/audio/speech/websocket"
    assert query_of(Together(HEART)) == {
        "model": "hexgrad/Kokoro-82M",
        "voice": "af_heart",
        "response_format": "pcm",
        "segment": "never",
        "max_partial_length": "250",
    }


def test_the_handshake_asks_for_another_speed_only() -> None:
    assert "speed" not in query_of(Together(HEART, 1.0))
    assert query_of(Together(HEART, 1.25))["speed"] == "1.25"


def test_the_handshake_asks_for_what_the_options_say() -> None:
    options = Options(segment="sentence", max_partial_length=80, sample_rate=48_000, language="fr")
    asked = query_of(Together(HEART, options=options, word_timestamps=True))
    assert asked["segment"] == "sentence"
    assert asked["max_partial_length"] == "80"
    assert asked["sample_rate"] == "48000"
    assert asked["language"] == "fr"
    assert asked["alignment"] == "word"


@pytest.mark.parametrize(
    ("voice", "language", "rate_hz"),
    [
        (HEART, None, 24_000),
        (Voice("helpful woman", "cartesia/sonic-2", "fr"), "fr", 16_000),
        (Voice("helpful woman", "cartesia/sonic-2", "und"), None, 16_000),
    ],
)
def test_only_models_of_others_are_told_a_language_and_obey_a_rate(
    voice: Voice, language: str | None, rate_hz: int
) -> None:
    dialect = Together(voice, options=Options(sample_rate=16_000))
    assert query_of(dialect).get("language") == language
    assert dialect.traits.raw_hz == rate_hz


def test_the_space_of_a_name_is_not_a_plus() -> None:
    voice = Voice("helpful woman", "cartesia/sonic-2", "en")
    assert "voice=helpful%20woman" in Together(voice).resource


def test_the_plus_of_a_mix_is_not_a_space() -> None:
    mix = Voice("af_bella(2)+af_heart(1)", KOKORO, "en-us")
    assert "voice=af_bella%282%29%2Baf_heart%281%29" in Together(mix).resource
    assert query_of(Together(mix))["voice"] == mix.name


# Whatever a provider says.


OURS = ["u1", "u2", "default"]
ITEMS = ["tts_1", "tts_2"]
TYPES = [
    *(DELTA, DONE, "error", "conversation.item.tts.failed"),
    *("session.created", "session.updated", "conversation.item.word_timestamps"),
]
FIELDS = [
    *("type", "delta", "context_id", "item_id", "error", "message", "code", "session", "voice"),
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ITEMS),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    max_leaves=8,
)
odd = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)}, optional=dict.fromkeys(FIELDS[1:], values)
)
sane = st.fixed_dictionaries(
    {"type": st.sampled_from([DELTA, DELTA, DONE, DONE, "session.updated"])},
    optional={
        "context_id": st.sampled_from(OURS),
        "item_id": st.sampled_from(ITEMS),
        "delta": st.binary(max_size=6).map(lambda pcm: pybase64.b64encode(pcm).decode()),
    },
)
frames = (
    st.builds(json.dumps, values | odd)
    | st.builds(json.dumps, sane)
    | st.text()
    | st.binary()
    | st.builds(lambda message: json.dumps(message).encode(), sane)
)
#: A frame, silence, or a script of ours if one may be spoken.
moves = frames | st.none() | st.sampled_from([("script", "u1"), ("script", "u2")])


@given(st.lists(moves))
def test_whatever_a_provider_says_is_an_event_or_a_protocol_error(
    said: list[str | bytes | tuple[str, str] | None],
) -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    dialogue.receive('{"type":"session.created"}')
    for move in said:
        if isinstance(move, tuple):
            if dialogue.state is State.IDLE:
                dialogue.speak("Call me Ishmael.", move[1])
            continue
        try:
            events = dialogue.receive_silence() if move is None else dialogue.receive(move)
        except RemoteProtocolError:
            assert dialogue.state is State.SPENT
        else:
            assert all(isinstance(event, Event) for event in events)


@given(st.lists(sane.map(json.dumps)))
@example([json.dumps({"type": DELTA, "delta": ""}), json.dumps({"type": DONE})])
@example([json.dumps({"type": DELTA, "delta": "AAA="}), json.dumps({"type": DONE})])
def test_nothing_is_whole_without_audio_and_the_end_of_every_item(said: list[str]) -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    dialogue.receive('{"type":"session.created"}')
    dialogue.speak("Call me Ishmael.", "u1")
    events: list[Event] = []
    try:
        for message in said:
            events += dialogue.receive(message)
        events += dialogue.receive_silence()
    except RemoteProtocolError:
        return
    spoken = [(event.item, bool(event.payload)) for event in events if isinstance(event, Audio)]
    ended = {event.item for event in events if isinstance(event, Done)}
    if Finished() in events:
        assert spoken
        items = {item for item, _ in spoken}
        # An end that names no item ends those that were open, and the other way round.
        assert ended
        assert items == ended or None in items | ended
        assert all(heard_something for _, heard_something in spoken)


# Where deltas are cut.


def cut(data: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in at})
    return [data[i:j] for i, j in zip([0, *ends], [*ends, len(data)], strict=True)]


def listen(pieces: list[bytes]) -> bytes:
    """Hear pieces as they come out of the dialect."""
    dialect, hearing = Together(HEART), Hearing(RATE_HZ)
    for piece in pieces:
        delta = pybase64.b64encode(piece).decode()
        [event] = dialect.parse(json.dumps({"type": DELTA, "item_id": "tts_1", "delta": delta}))
        assert isinstance(event, Audio)
        hearing.hear(event.payload, event.item)
    return hearing.sound().pcm


def riff(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        writer.writeframes(pcm)
    return file.getvalue()


samples = st.binary(min_size=2, max_size=200).map(lambda data: data[: len(data) // 2 * 2])
places = st.lists(st.integers(0, 300), max_size=10)


@given(samples, places)
@example(b"\x00\x01\x02\x03", [1, 2, 3])
def test_it_does_not_matter_where_raw_samples_are_cut(pcm: bytes, at: list[int]) -> None:
    assume(not pcm.startswith((b"RIFF", b"ID3", b"OggS", b"fLaC")))
    assert listen(cut(pcm, at)) == pcm


@given(samples, places)
@example(b"\x00\x01\x02\x03", [1, 5, 13, 43, 44, 45])
def test_it_does_not_matter_where_a_riff_stream_is_cut(pcm: bytes, at: list[int]) -> None:
    assert listen(cut(riff(pcm), at)) == pcm


@given(samples, places)
def test_it_does_not_matter_where_a_riff_stream_of_unknown_length_is_cut(
    pcm: bytes, at: list[int]
) -> None:
    stream = riff(pcm)[:40] + b"\xff\xff\xff\xff" + pcm
    assert listen(cut(stream, at)) == pcm


@given(st.data(), st.lists(samples, min_size=2, max_size=3))
def test_it_does_not_matter_how_the_deltas_of_items_take_turns(
    data: st.DataObject, items: list[bytes]
) -> None:
    assume(not any(pcm.startswith((b"RIFF", b"ID3", b"OggS", b"fLaC")) for pcm in items))
    turns = [(i, piece) for i, pcm in enumerate(items) for piece in cut(pcm, [1, 5])]
    order = data.draw(st.permutations([i for i, _ in turns]))
    queues = {i: [piece for j, piece in turns if j == i] for i in range(len(items))}
    hearing = Hearing(RATE_HZ)
    for i in range(len(items)):
        hearing.hear(b"", f"{i}")  # items are played in the order in which they begin
    for i in order:
        hearing.hear(queues[i].pop(0), f"{i}")
    assert hearing.sound().pcm == b"".join(items)


# What does not depend on the provider.


@dataclass(frozen=True)
class Whistle:
    """A dialect of one word per event, on connections for one script."""

    traits: Traits = field(default_factory=Traits)

    def hello(self) -> list[str]:
        return []

    def speak(self, script: str, context: str) -> list[str]:
        return [script]

    def parse(self, message: str | bytes) -> Sequence[Event]:
        return (Done(),) if message == "done" else (Audio(b"\x00\x01"),)


def test_a_provider_that_does_not_greet_takes_a_script_at_once() -> None:
    assert Dialogue(Whistle(), Patience()).speak("Call me Ishmael.", "u1") == ["Call me Ishmael."]


def test_without_a_window_the_done_is_the_end() -> None:
    dialogue = Dialogue(Whistle(), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    assert dialogue.receive("audio") == [Audio(b"\x00\x01")]
    assert dialogue.receive("done") == [Done(), Finished()]


def test_a_connection_for_one_script_is_spent_after_it() -> None:
    dialogue = Dialogue(Whistle(), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    dialogue.receive("audio")
    dialogue.receive("done")
    assert dialogue.state is State.SPENT


def test_a_binary_message_is_audio_where_that_is_how_audio_comes() -> None:
    dialogue = Dialogue(Whistle(Traits(sends_binary=True)), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    assert dialogue.receive_binary(ONE) == [Audio(ONE)]


def test_a_binary_message_where_none_belongs_ends_it() -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    with pytest.raises(RemoteProtocolError, match=r"^cannot read a binary message of 4 bytes$"):
        dialogue.receive_binary(ONE)
    assert dialogue.state is State.SPENT


def test_a_close_may_say_more_than_that_it_is_over() -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    assert dialogue.receive_close(4503, "no worker") == [Failed("no worker", Fault.BUSY)]
    assert dialogue.receive_close(4503, "no worker") == [Closed(4503, "no worker", "nothing")]


def test_another_voice_is_adopted_between_scripts_only() -> None:
    dialogue = Dialogue(Whistle(Traits(reusable=True)), Patience())
    other = Whistle(Traits(reusable=True))
    dialogue.adopt(other)
    assert dialogue.dialect is other
    dialogue.speak("Call me Ishmael.", "u1")
    with pytest.raises(LocalProtocolError, match="cannot adopt: the dialogue awaits first audio"):
        dialogue.adopt(Whistle())


def test_what_came_is_counted_for_each_script() -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    dialogue.receive('{"type":"session.created","session":{"id":"s-9"}}')
    assert dialogue.account == ""
    dialogue.speak("Call me Ishmael.", "u1")
    assert dialogue.account == "after nothing (request s-9, context u1)"
    for _ in range(2):
        dialogue.receive(f'{{"type":"{DELTA}","delta":"AAABAA=="}}')
    dialogue.receive(f'{{"type":"{DELTA}","delta":""}}')
    dialogue.receive('{"type":"news"}')
    assert dialogue.account == ("after 2 audio, 1 empty audio, 1 other (request s-9, context u1)")


def test_a_script_is_not_spoken_into_another_one() -> None:
    dialogue = Dialogue(Whistle(), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    with pytest.raises(LocalProtocolError, match="cannot speak: the dialogue awaits first audio"):
        dialogue.speak("Some years ago.", "u2")


def test_a_done_before_any_script_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="Done while awaiting script"):
        Dialogue(Whistle(), Patience()).receive("done")


def test_between_scripts_patience_has_no_end() -> None:
    assert Dialogue(Whistle(), Patience()).patience_s == float("inf")


def test_patience_depends_on_what_is_awaited() -> None:
    patience = Patience(greeting_s=1.0, first_audio_s=2.0, next_audio_s=3.0)
    dialogue = Dialogue(Together(HEART), patience)
    waits = [dialogue.patience_s]
    dialogue.receive('{"type":"session.created"}')
    waits.append(dialogue.patience_s)
    dialogue.speak("Call me Ishmael.", "u1")
    waits.append(dialogue.patience_s)
    dialogue.receive(f'{{"type":"{DELTA}","delta":"AAABAA=="}}')
    waits.append(dialogue.patience_s)
    dialogue.receive(f'{{"type":"{DONE}"}}')
    waits.append(dialogue.patience_s)
    assert waits == [1.0, float("inf"), 2.0, 3.0, 0.5]


def test_an_item_of_an_earlier_script_is_never_heard_in_the_next() -> None:
    dialogue, events = replay("together-late-without-context")
    assert events == [
        Named("s-1"),
        Ready(),
        audio(ONE, context=None),
        done(context=None),
        Finished(),
        Refused("audio of tts_1, an item of an earlier script"),
    ]
    assert dialogue.state is State.SPENT


def test_a_connection_holds_no_more_after_ten_thousand_scripts_than_after_a_thousand() -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    dialogue.receive('{"type":"session.created"}')
    pcm = pybase64.b64encode(ONE).decode()

    def speak(number: int) -> None:
        named = {"context_id": f"u{number}", "item_id": f"tts_{number}"}
        dialogue.speak("Call me Ishmael.", f"u{number}")
        dialogue.receive(json.dumps({"type": DELTA, "delta": pcm, **named}))
        dialogue.receive(json.dumps({"type": DONE, **named}))
        assert dialogue.receive_silence() == [Finished()]

    tracemalloc.start()
    try:
        for number in range(1_000):
            speak(number)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1_000, 10_000):
            speak(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 9_000  # less than a byte a script


@pytest.mark.parametrize(("begun", "ended"), [("tts_1", None), (None, "tts_1")])
def test_an_end_that_names_its_item_only_once_is_an_end(
    begun: str | None, ended: str | None
) -> None:
    dialogue = Dialogue(Together(HEART), Patience())
    dialogue.receive('{"type":"session.created"}')
    dialogue.speak("Call me Ishmael.", "u1")
    delta = {"type": DELTA, "delta": pybase64.b64encode(ONE).decode(), "item_id": begun}
    assert dialogue.receive(json.dumps(delta)) == [Audio(ONE, None, begun)]
    assert dialogue.receive(json.dumps({"type": DONE, "item_id": ended})) == [Done(None, ended)]
    assert dialogue.receive_silence() == [Finished()]


def test_a_message_of_an_unknown_kind_may_hold_anything() -> None:
    assert Together(HEART).parse('{"type":"news","message":{},"item_id":5,"error":[]}') == ()


@pytest.mark.parametrize(
    ("code", "fault"),
    [(401, Fault.KEY), ("403", Fault.KEY), ("429", Fault.BUSY), (429.0, Fault.ENGINE)],
)
def test_a_status_is_understood_as_a_number_and_as_text(code: float | str, fault: Fault) -> None:
    [failed] = Together(HEART).parse(json.dumps({"type": "error", "error": {"code": code}}))
    assert isinstance(failed, Failed)
    assert failed.fault is fault
