"""Conversations with Cartesia, ElevenLabs and Deepgram; see `tests.talks`.

What holds for every conversation, whoever it is with, is in `tests.test_dialects`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pybase64
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtts.audio.decode import Hearing
from batchtts.errors import RemoteProtocolError
from batchtts.model import Voice, Word
from batchtts.wire.cartesia import PROVIDER as CARTESIA
from batchtts.wire.deepgram import PROVIDER as DEEPGRAM
from batchtts.wire.dialogue import Dialogue, Patience, State
from batchtts.wire.elevenlabs import PROVIDER as ELEVENLABS
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
    Stalled,
    Words,
)
from batchtts.wire.provider import Manner, Vocabulary
from tests.talks import Refused, lines, meaning, replay

OURS = {provider.name: provider for provider in (CARTESIA, ELEVENLABS, DEEPGRAM)}
every_provider = pytest.mark.parametrize("name", OURS)

ONE = b"\x00\x00\x01\x00"
TWO = b"\x02\x00\x03\x00"


def dialect(
    name: str,
    speed: float = 1.0,
    voice: Voice | None = None,
    options: Mapping[str, object] | None = None,
    *,
    word_timestamps: bool = False,
) -> Vocabulary:
    """A dialect with a manner of its own, or the provider's defaults."""
    provider = OURS[name]
    manner = Manner(
        voice=voice or provider.choose_voice(None, None, None),
        speed=speed,
        word_timestamps=word_timestamps,
        options=options or {},
    )
    return provider.dialect(manner)


def end(name: str) -> Event | Refused:
    """What a conversation comes to in the end, but for a close after it."""
    return next(
        event
        for event in reversed(meaning(name))
        if not (isinstance(event, Closed) and event.awaited == "nothing")
    )


# A script from its beginning to its end.


def test_a_context_of_cartesia_ends_with_its_done_and_no_quiet() -> None:
    assert meaning("cartesia-one-script") == [
        *(Audio(ONE, "u1"), Audio(TWO, "u1")),
        *(Done("u1"), Finished()),
    ]


def test_a_socket_of_cartesia_carries_one_script_after_another() -> None:
    dialogue, events = replay("cartesia-two-scripts")
    assert events == [
        *(Audio(ONE, "u1"), Done("u1"), Finished()),
        *(Audio(TWO, "u2"), Done("u2"), Finished()),
    ]
    assert dialogue.state is State.IDLE


def test_a_socket_of_cartesia_goes_on_in_another_voice() -> None:
    assert meaning("cartesia-two-voices")[3:] == [Audio(TWO, "u2"), Done("u2"), Finished()]
    [_, request] = [line[2:] for line in lines("cartesia-two-voices") if line[:1] == ">"]
    spoken = json.loads(request)
    assert (spoken["language"], spoken["generation_config"]) == ("fr", {"speed": 0.8})


def test_a_socket_of_elevenlabs_ends_with_its_only_script() -> None:
    assert meaning("elevenlabs-one-script") == [
        *(Audio(ONE), Audio(TWO), Done(), Finished()),
        Closed(1000, "", "nothing"),
    ]


def test_one_message_may_bring_audio_and_the_end() -> None:
    assert meaning("elevenlabs-audio-and-end-together")[:4] == [
        *(Audio(ONE), Audio(TWO), Done(), Finished()),
    ]


@pytest.mark.parametrize("name", ["one-script", "late-metadata", "no-metadata"])
def test_a_flushed_ends_the_script_of_a_flush(name: str) -> None:
    events = [event for event in meaning(f"deepgram-{name}") if not isinstance(event, Audio)]
    assert events == [Done(), Finished(), Closed(1000, "", "nothing")]


def test_the_name_of_a_request_is_kept_for_messages() -> None:
    dialogue, events = replay("deepgram-no-next-audio")
    request = "550e8400-e29b-41d4-a716-446655440000"
    assert events[0] == Named(request)
    assert dialogue.account == f"after 1 audio (request {request}, context u1)"


def test_binary_messages_may_end_in_the_middle_of_a_sample() -> None:
    hearing = Hearing(24_000)
    for event in meaning("deepgram-odd-lengths"):
        if isinstance(event, Audio):
            hearing.hear(event.payload, event.item)
    assert hearing.sound().pcm == ONE


def test_slashes_of_base64_may_be_escaped() -> None:
    assert meaning("cartesia-escaped-slashes")[0] == Audio(b"\xff\xff\xff\xff", "u1")


@pytest.mark.parametrize(
    "name",
    ["cartesia-chatter", "elevenlabs-chatter", "deepgram-chatter", "deepgram-harmless-warning"],
)
def test_what_means_nothing_changes_nothing(name: str) -> None:
    heard = [event.payload for event in meaning(name) if isinstance(event, Audio)]
    assert heard in ([ONE], [ONE, TWO])
    assert end(name) == Finished()


@pytest.mark.parametrize(
    "name",
    [
        "cartesia-done-without-audio",
        "elevenlabs-end-without-audio",
        "deepgram-flushed-without-audio",
    ],
)
def test_an_end_without_any_audio_is_a_failure(name: str) -> None:
    assert end(name) == Failed("end marker without any audio")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("cartesia-close-before-done", 1000), ("elevenlabs-close-before-the-end", 1000)),
        *(("deepgram-polite-close-before-flushed", 1000), ("deepgram-cut-in-the-flush", 1011)),
        ("elevenlabs-close-without-a-word", 1008),
    ],
)
def test_a_close_before_the_end_is_half_a_script_whatever_its_code(name: str, code: int) -> None:
    [heard, closed] = meaning(name)
    assert heard in (Audio(ONE), Audio(ONE, "u1"))
    assert closed == Closed(code, "", "next audio")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cartesia-no-first-audio", "no first audio within 20 s"),
        ("cartesia-stops-without-a-word", "no next audio within 10 s"),
        ("elevenlabs-no-next-audio", "no next audio within 10 s"),
        ("deepgram-no-first-audio", "no first audio within 20 s"),
        ("deepgram-no-next-audio", "no next audio within 10 s"),
    ],
)
def test_a_stream_that_stops_without_a_word_is_a_stall(name: str, reason: str) -> None:
    assert end(name) == Stalled(reason)


def test_five_minutes_without_a_script_cost_the_connection_only() -> None:
    assert meaning("cartesia-idle-close")[-2:] == [Finished(), Closed(1000, "", "script")]
    assert dialect("cartesia").traits.idle_s == 280.0


# What belongs to another script.


def test_another_context_is_none_of_our_business() -> None:
    assert meaning("cartesia-failed-elsewhere") == [Audio(TWO, "u2"), Done("u2"), Finished()]


def test_audio_after_its_done_says_that_the_script_was_cut_short() -> None:
    assert meaning("cartesia-late-audio")[2:5] == [Finished(), Late("u1"), Audio(TWO, "u2")]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("cartesia-no-context", '{"type":"done","done":true'),
        ("cartesia-no-data", '{"type":"chunk","context_id":"u1","done":false'),
        ("cartesia-bad-base64", '{"type":"chunk","context_id":"u1","data":"AAABA*A="'),
        ("elevenlabs-bad-base64", '{"audio":"AAABA*A="}'),
        ("elevenlabs-no-object", '["audio"]'),
        ("elevenlabs-uneven-alignment", '{"audio":"AAABAA==","alignment"'),
        ("deepgram-not-json", "Flushed"),
    ],
)
def test_what_cannot_be_understood_is_quoted(name: str, start: str) -> None:
    refused = end(name)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith(f"cannot read '{start}")


def test_audio_that_nobody_asked_for_is_refused() -> None:
    assert meaning("deepgram-audio-before-the-script") == [Refused("Audio while awaiting script")]


@pytest.mark.parametrize("name", ["cartesia", "elevenlabs"])
def test_only_deepgram_sends_binary_messages(name: str) -> None:
    dialogue = Dialogue(dialect(name), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    with pytest.raises(RemoteProtocolError, match="cannot read a binary message of 4 bytes"):
        dialogue.receive_binary(ONE)


# What a provider complains of.


@pytest.mark.parametrize(
    ("name", "reason", "fault"),
    [
        (
            "cartesia-too-many-contexts",
            "Too many concurrent requests: You have exceeded your plan's limit."
            " (concurrency_limited)",
            Fault.BUSY,
        ),
        (
            "cartesia-too-many-contexts-in-a-sentence",
            "Too many concurrent requests (429)",
            Fault.BUSY,
        ),
        (
            "cartesia-no-such-voice",
            "Voice not found: No voice has this id. (voice_not_found)",
            Fault.VOICE,
        ),
        ("cartesia-bad-model", "Invalid model: sonic-33 is not known. (400)", Fault.VOICE),
        (
            "cartesia-bad-transcript",
            "Bad request: The transcript has no words for this model. (400)",
            Fault.SCRIPT,
        ),
        ("cartesia-bad-context", "Context has expired (400)", Fault.ENGINE),
        ("cartesia-bad-key", "Unauthorized: Invalid API key (401)", Fault.KEY),
        (
            "cartesia-out-of-credit",
            "Payment required: Out of credits. (credits_exhausted)",
            Fault.QUOTA,
        ),
        ("cartesia-error-between-scripts", "Internal server error (500)", Fault.ENGINE),
        ("cartesia-failed-mid-audio", "Internal error: the model went away (500)", Fault.ENGINE),
        ("cartesia-error-without-reason", "no reason given", Fault.ENGINE),
        ("elevenlabs-bad-key", "Invalid API key (invalid_api_key)", Fault.KEY),
        (
            "elevenlabs-no-such-voice",
            "A voice with this id was not found. (voice_not_found)",
            Fault.VOICE,
        ),
        (
            "elevenlabs-larger-plan-needed",
            "Your plan does not include this output format. (only_for_creator+)",
            Fault.VOICE,
        ),
        (
            "elevenlabs-out-of-quota",
            "This request exceeds your quota. (quota_exceeded)",
            Fault.QUOTA,
        ),
        (
            "elevenlabs-too-many-requests",
            "Too many concurrent requests. (too_many_concurrent_requests)",
            Fault.BUSY,
        ),
        ("elevenlabs-busy", "We are busy. (system_busy)", Fault.BUSY),
        (
            "elevenlabs-too-long",
            "The text is too long. (max_character_limit_exceeded)",
            Fault.SCRIPT,
        ),
        (
            "elevenlabs-too-slow",
            "No input within 20 s. (input_timeout_exceeded)",
            Fault.ENGINE,
        ),
        ("elevenlabs-error-by-number", "broken (1011)", Fault.ENGINE),
        (
            "deepgram-too-many-flushes",
            "Flush limit exceeded: wait until the 60 second window has passed. (EXCESSIVE_FLUSH)",
            Fault.BUSY,
        ),
        (
            "deepgram-too-many-flushes-in-other-words",
            "Too many flush messages. (FLUSH)",
            Fault.BUSY,
        ),
        (
            "deepgram-bad-command",
            "Could not deserialize the text. (DATA-0000)",
            Fault.SCRIPT,
        ),
        ("deepgram-too-fast", "Too many characters. (DATA-0001)", Fault.BUSY),
        ("deepgram-server-error", "Internal error (NET-0000)", Fault.ENGINE),
        ("deepgram-error-without-reason", "no reason given", Fault.ENGINE),
        (
            "deepgram-too-fast-by-its-close",
            "DATA-0001: throughput limit exceeded",
            Fault.BUSY,
        ),
        (
            "deepgram-refused-by-its-close",
            "DATA-0000: could not deserialize",
            Fault.SCRIPT,
        ),
        ("elevenlabs-out-of-quota-by-its-close", "quota_exceeded", Fault.QUOTA),
    ],
)
def test_a_failure_is_told_with_its_fault(name: str, reason: str, fault: Fault) -> None:
    told = end(name)
    assert isinstance(told, Failed)
    assert (told.reason, told.fault) == (reason, fault)


def test_a_server_that_is_gone_is_a_lost_connection_whatever_it_calls_that() -> None:
    reason = "NET-0000: internal server error"
    assert end("deepgram-lost-by-its-close") == Closed(1011, reason, "next audio")


@pytest.mark.parametrize(
    ("code", "words", "fault"),
    [
        (1008, "DATA-0000", Fault.SCRIPT),
        (1008, "DATA-0001: throughput", Fault.BUSY),
        (1003, "MESSAGE-0000", Fault.SCRIPT),
        (1009, "BIG-0001", Fault.SCRIPT),
        (1011, "NET-0000", None),
        (1011, "NET-0001", None),
        (1008, "", None),
        (None, "", None),
    ],
)
def test_deepgram_says_in_the_reason_of_a_close_what_it_is_about(
    code: int | None, words: str, fault: Fault | None
) -> None:
    dialogue = Dialogue(dialect("deepgram"), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    reason = f"closed ({code} {words!r}) while awaiting first audio"
    expected = Failed(reason, fault) if fault else Closed(code, reason, "first audio")
    assert dialogue.receive_close(code, reason) == [expected]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("quota_exceeded", Fault.QUOTA),
        ("invalid_api_key", Fault.KEY),
        ("input_timeout_exceeded", None),
        ("", None),
    ],
)
def test_elevenlabs_may_say_in_a_close_or_a_refusal_what_it_is_about(
    words: str, fault: Fault | None
) -> None:
    traits = dialect("elevenlabs").traits
    assert traits.judge_close(1008, f"closed (1008 {words!r})") is fault
    body = f'{{"detail":{{"status":"{words}"}}}}'
    assert traits.judge_status(401, body) is fault


@pytest.mark.parametrize(
    ("status", "fault"), [(400, Fault.VOICE), (401, None), (404, None), (503, None)]
)
def test_deepgram_refuses_a_voice_before_the_handshake(status: int, fault: Fault | None) -> None:
    assert dialect("deepgram").traits.judge_status(status, "") is fault


# The times of words.


def rounded(events: Sequence[Event | Refused]) -> list[tuple[str, float, float]]:
    """The words of a conversation with their times, to a tenth of a millisecond."""
    words: list[Word] = []
    for event in events:
        if isinstance(event, Words):
            words += event.words
    return [(word.text, round(word.start_s, 4), round(word.end_s, 4)) for word in words]


def test_cartesia_times_words() -> None:
    assert rounded(meaning("cartesia-timed-words")) == [
        *(("Call", 0.0, 0.3), ("me", 0.3, 0.5), ("Ishmael.", 0.5, 1.1)),
    ]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("timed-characters", ("Ishmael.", 0.04, 0.08)),
        ("timed-from-the-beginning", ("Ishmael.", 0.05, 0.095)),
        ("other-spellings", ("Ishmael.", 0.05, 0.09)),
    ],
)
def test_elevenlabs_times_characters(name: str, last: tuple[str, float, float]) -> None:
    words = rounded(meaning(f"elevenlabs-{name}"))
    assert words == [("Call", 0.0, 0.02), ("me", 0.025, 0.035), last]
    assert end(f"elevenlabs-{name}") == Finished()


@pytest.mark.parametrize("name", ["cartesia-words-cut-short", "elevenlabs-characters-cut-short"])
def test_a_script_whose_last_word_was_never_timed_was_cut(name: str) -> None:
    assert end(name) == Failed("no word timings for 'Ishmael.'", Fault.CUT)


def test_times_that_nobody_asked_for_are_not_read() -> None:
    assert meaning("elevenlabs-unwanted-alignment")[:3] == [Audio(ONE), Done(), Finished()]


@pytest.mark.parametrize(
    ("name", "times"), [("cartesia", True), ("elevenlabs", True), ("deepgram", False)]
)
def test_times_are_expected_where_they_can_be_had(name: str, times: bool) -> None:
    assert dialect(name, word_timestamps=True).traits.times_words is times
    assert dialect(name).traits.times_words is False


def test_markup_is_never_timed_and_so_never_missed() -> None:
    options = {"enable_ssml_parsing": True}
    spoken = dialect("elevenlabs", options=options, word_timestamps=True)
    assert spoken.traits.times_words is False
    assert "sync_alignment=true" in spoken.resource


# What we say.


@every_provider
@given(script=st.text(min_size=1), context=st.text(min_size=1))
def test_whatever_the_script_it_arrives_as_it_is(name: str, script: str, context: str) -> None:
    [first, *rest] = map(json.loads, dialect(name).speak(script, context))
    match name:
        case "cartesia":
            assert (first["transcript"], first["context_id"], rest) == (script, context, [])
        case "elevenlabs":
            space = "" if script.endswith(" ") else " "
            assert [first, *rest] == [{"text": " "}, {"text": script + space}, {"text": ""}]
        case _:
            assert [first, *rest] == [{"type": "Speak", "text": script}, {"type": "Flush"}]


def test_what_we_say_is_written_down_in_every_conversation() -> None:
    assert [line for line in lines("elevenlabs-settings") if line[:1] == ">"] == [
        '> {"text":" ","voice_settings":{"stability":0.8,"similarity_boost":0.75,'
        '"use_speaker_boost":false,"speed":1.15}}',
        '> {"text":"Call me Ishmael. "}',
        '> {"text":""}',
    ]


# Whatever a provider says.


def told(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    """Messages with any of these fields, all but ``type`` at will."""
    always = {"type": fields.pop("type")} if "type" in fields else {}
    return st.fixed_dictionaries(always, optional=fields).map(json.dumps)


base64 = st.binary(max_size=6).map(lambda data: pybase64.b64encode(data).decode())
contexts = st.sampled_from(["u1", "u1", "u2", None])
short = st.text("ab ", max_size=4)
timings = st.fixed_dictionaries(
    {
        "words": st.just(["Call", "me"]),
        "start": st.lists(st.floats(0, 2), min_size=1, max_size=2),
        "end": st.lists(st.floats(0, 2), min_size=2, max_size=2),
    }
)
alignments = st.fixed_dictionaries(
    {},
    optional={
        "chars": st.lists(short, max_size=2),
        "charStartTimesMs": st.lists(st.integers(0, 9), max_size=2),
        "charsDurationsMs": st.lists(st.integers(0, 9), max_size=2),
        "charDurationsMs": st.lists(st.integers(0, 9), max_size=2),
    },
)
SANE: dict[str, st.SearchStrategy[str | bytes]] = {
    "cartesia": told(
        type=st.sampled_from(["chunk", "chunk", "done", "done", "timestamps", "error", "news"]),
        data=base64,
        context_id=contexts,
        word_timestamps=timings,
        status_code=st.sampled_from([206, 400, 429, "429", 500]),
    ),
    "elevenlabs": told(
        audio=base64 | st.none(),
        isFinal=st.booleans() | st.none(),
        alignment=alignments | st.none(),
        normalizedAlignment=alignments | st.none(),
    ),
    "deepgram": told(
        type=st.sampled_from(["Flushed", "Flushed", "Metadata", "Warning", "Cleared"]),
        request_id=short,
        description=short,
    )
    | st.binary(max_size=6),
}
FIELDS = (
    "type data context_id word_timestamps status_code error_code title message error request_id"
    " audio isFinal alignment normalizedAlignment code description warn_msg chars words start end"
).split()
KINDS = "chunk timestamps done error flush_done Metadata Flushed Warning Error Cleared".split()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | base64,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    max_leaves=8,
)
odd = st.dictionaries(st.sampled_from(FIELDS), values | st.sampled_from(KINDS))
anything = (
    st.builds(json.dumps, values | odd)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(FIELDS[1:], values)
    ).map(json.dumps)
    | st.text()
    | st.binary()
)


def hear(dialogue: Dialogue, message: str | bytes) -> list[Event]:
    """Take in a message; bytes are a binary one where there are any."""
    if isinstance(message, bytes) and dialogue.dialect.traits.sends_binary:
        return dialogue.receive_binary(message)
    return dialogue.receive(message)


@every_provider
@given(st.data(), st.booleans())
def test_whatever_a_provider_says_is_an_event_or_a_protocol_error(
    name: str, data: st.DataObject, word_timestamps: bool
) -> None:
    dialogue = Dialogue(dialect(name, word_timestamps=word_timestamps), Patience())
    moves = st.none() | st.just(("script",)) | SANE[name] | anything
    dialogue.speak("Call me Ishmael.", "u1")
    for move in data.draw(st.lists(moves, max_size=12)):
        if isinstance(move, tuple):
            if dialogue.state is State.IDLE:
                dialogue.speak("Call me Ishmael.", "u2")
            continue
        try:
            events = dialogue.receive_silence() if move is None else hear(dialogue, move)
        except RemoteProtocolError:
            assert dialogue.state is State.SPENT
        else:
            assert all(isinstance(event, Event) for event in events)


@every_provider
@given(st.data(), st.booleans())
def test_nothing_is_whole_without_audio_and_then_an_end(
    name: str, data: st.DataObject, word_timestamps: bool
) -> None:
    dialogue = Dialogue(dialect(name, word_timestamps=word_timestamps), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    events: list[Event] = []
    said = st.lists(SANE[name], max_size=8) | st.lists(SANE[name] | anything, max_size=8)
    try:
        for message in data.draw(said):
            if dialogue.state in (State.IDLE, State.SPENT):
                break
            events += hear(dialogue, message)
        events += dialogue.receive_silence()
    except RemoteProtocolError:
        return
    if Finished() in events:
        spoken = [isinstance(each, Audio) and each.context in (None, "u1") for each in events]
        ended = [isinstance(each, Done) and each.context in (None, "u1") for each in events]
        assert True in spoken
        assert spoken.index(True) < ended.index(True)
        assert all(event.payload for event in events if isinstance(event, Audio))


SUCCESSES: dict[str, list[str | bytes]] = {
    "cartesia": [
        '{"type":"chunk","context_id":"u1","data":"AAABAA=="}',
        '{"type":"done","context_id":"u1"}',
    ],
    "elevenlabs": ['{"audio":"AAABAA=="}', '{"isFinal":true}'],
    "deepgram": [ONE, '{"type":"Flushed"}'],
}


@every_provider
@given(left_out=st.integers(0, 1), noise=st.lists(st.text(max_size=3), max_size=3))
@example(left_out=0, noise=[])
@example(left_out=1, noise=[])
def test_half_of_a_success_is_none(name: str, left_out: int, noise: list[str]) -> None:
    whole = SUCCESSES[name]
    assert Finished() in outcome(dialect(name), whole)
    half: list[str | bytes] = [whole[1 - left_out], *(json.dumps({"type": n}) for n in noise)]
    assert Finished() not in outcome(dialect(name), half)


def outcome(spoken: Vocabulary, said: Sequence[str | bytes]) -> list[Event]:
    """What comes of a script that is answered so."""
    dialogue = Dialogue(spoken, Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    events: list[Event] = []
    for message in said:
        events += hear(dialogue, message) if dialogue.state is not State.SPENT else []
    return events


@every_provider
def test_a_message_nested_too_deeply_cannot_be_read(name: str) -> None:
    dialogue = Dialogue(dialect(name), Patience())
    with pytest.raises(RemoteProtocolError, match="cannot read"):
        dialogue.receive('{"type":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}")


@pytest.mark.parametrize("name", ["cartesia", "deepgram"])
def test_a_message_of_an_unknown_kind_may_hold_anything(name: str) -> None:
    news = '{"type":"news","data":5,"message":{},"context_id":[],"description":1,"code":{}}'
    assert dialect(name).parse(news) == ()


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"status_code": 429}, Fault.BUSY),
        ({"status_code": "429"}, Fault.BUSY),
        ({"error_code": "concurrency_limited"}, Fault.BUSY),
        ({"status_code": None, "error_code": []}, Fault.ENGINE),
    ],
)
def test_an_error_is_understood_by_its_code_or_its_status(
    said: dict[str, object], fault: Fault
) -> None:
    [failed] = dialect("cartesia").parse(json.dumps({"type": "error"} | said))
    assert isinstance(failed, Failed)
    assert failed.fault is fault
