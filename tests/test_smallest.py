"""Conversations with Smallest, and what is known of it; see `tests.talks`."""

from __future__ import annotations

import json
from dataclasses import replace

import pybase64
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtts.audio.decode import Hearing
from batchtts.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    SettingsError,
    VoiceUnavailable,
)
from batchtts.model import Voice, Word
from batchtts.wire.dialogue import Dialogue, Patience, State
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
from batchtts.wire.lightning import BASE, LANGUAGES, LIGHTNING_VOICES, PRO, TIMED
from batchtts.wire.provider import Manner
from batchtts.wire.smallest import PROVIDER, Options, Smallest
from tests import talks
from tests.talks import Refused, replay

SOPHIA = Voice("sophia", BASE, "en-us")
DEVANSH = Voice("devansh", BASE, "en-in")

ONE = b"\x00\x00\x01\x00"
TWO = b"\x02\x00\x03\x00"


def meaning(name: str) -> list[Event | Refused]:
    """What a conversation with Smallest comes to."""
    return talks.meaning(f"smallest-{name}")


def audio(payload: bytes, context: str | None = "u1", item: str | None = None) -> Audio:
    return Audio(payload, context, item)


def request(dialect: Smallest, script: str = "Call me Ishmael.") -> dict[str, object]:
    """What is asked for, but for the script and its name."""
    (message,) = dialect.speak(script, "u1")
    asked: dict[str, object] = json.loads(message)
    assert (asked.pop("text"), asked.pop("request_id")) == (script, "u1")
    return asked


# How a script ends.


@pytest.mark.parametrize("name", ["older-complete", "misspelled-complete", "chatter", "everything"])
def test_a_script_is_whole_after_its_complete_and_some_quiet(name: str) -> None:
    assert meaning("one-script") == [audio(ONE), audio(TWO), Done("u1"), Finished()]
    assert meaning(name) == [audio(ONE), Done("u1"), Finished()]


@pytest.mark.parametrize("name", ["close-after-complete", "close-without-code"])
def test_a_polite_close_after_complete_is_an_end_and_no_failure(name: str) -> None:
    assert meaning(name) == [audio(ONE), Done("u1"), Finished()]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("close-before-complete", Closed(1000, "", "next audio")),
        ("break-after-complete", Closed(1006, "", "second thoughts")),
    ],
)
def test_any_other_close_is_a_failure(name: str, end: Closed) -> None:
    assert meaning(name)[-1] == end


def test_audio_behind_complete_belongs_to_the_script() -> None:
    done = Done("u1")
    assert meaning("complete-too-soon") == [audio(ONE), done, audio(TWO), done, Finished()]


@pytest.mark.parametrize("name", ["complete-without-audio", "empty-chunk"])
def test_complete_without_any_audio_is_a_failure(name: str) -> None:
    assert meaning(name)[-1] == Failed("end marker without any audio")


def test_complete_before_the_audio_of_a_second_script_may_be_that_of_the_first() -> None:
    first = [audio(ONE), Done("u1"), Finished()]
    second = [audio(TWO, "u2"), Done("u2"), Finished()]
    assert meaning("belated-complete") == first + second
    silence = Stalled("no first audio within 20 s")
    assert meaning("belated-complete-and-nothing") == [*first, silence]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-first-audio", "no first audio within 20 s"),
        ("no-complete", "no next audio within 10 s"),
    ],
)
def test_silence_is_told_with_what_was_awaited(name: str, reason: str) -> None:
    assert meaning(name)[-1] == Stalled(reason)


def test_without_a_quiet_window_complete_is_the_end() -> None:
    dialogue = Dialogue(Smallest(SOPHIA, options=Options(linger_s=0)), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    dialogue.receive('{"status":"chunk","data":{"audio":"AAABAA=="}}')
    assert dialogue.receive('{"status":"complete"}') == [Done(), Finished()]


# Whose audio it is.


def test_one_connection_speaks_in_one_voice_after_another() -> None:
    assert meaning("two-voices") == [
        *(audio(ONE), Done("u1"), Finished()),
        *(audio(TWO, "u2"), Done("u2"), Finished()),
    ]


def test_what_is_about_another_request_is_left_out() -> None:
    assert meaning("complete-of-another") == [audio(TWO, "u2"), Done("u2"), Finished()]


def test_audio_of_a_script_that_counted_as_whole_is_told() -> None:
    assert meaning("late-audio") == [
        *(audio(ONE), Done("u1"), Finished()),
        *(Late("u1"), audio(TWO, "u2"), Done("u2"), Finished()),
    ]


def test_where_our_name_is_not_echoed_theirs_tells_what_is_late() -> None:
    assert meaning("late-audio-without-echo") == [
        *(audio(ONE, None, "task_1"), Done(), Finished()),
        Refused("audio of task_1, an item of an earlier script"),
    ]


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("no-echo", ["task_1", "task_1"]),
        ("pieces-of-other-names", ["task_1", "task_2"]),
        ("bare", [None]),
    ],
)
def test_frames_without_our_name_belong_to_the_script_that_was_asked_for(
    name: str, items: list[str | None]
) -> None:
    pieces = [audio(payload, None, item) for payload, item in zip((ONE, TWO), items, strict=False)]
    assert meaning(name) == [*pieces, Done(), Finished()]


def test_the_providers_name_for_a_request_is_told_once() -> None:
    names = [event for event in replay("smallest-two-voices")[1] if isinstance(event, Named)]
    assert names == [Named("task_1"), Named("task_2")]


def test_the_name_of_another_request_is_not_taken_for_that_of_ours() -> None:
    names = [
        event for event in replay("smallest-complete-of-another")[1] if isinstance(event, Named)
    ]
    assert names == [Named("task_2")]


# What audio looks like.


@pytest.mark.parametrize(
    ("name", "pcm"),
    [
        ("one-script", ONE + TWO),
        ("odd-lengths", ONE),
        ("pieces-of-other-names", ONE + TWO),
        ("escaped-slashes", b"\xff\xff\xff\xff"),
    ],
)
def test_chunks_are_put_together(name: str, pcm: bytes) -> None:
    hearing = Hearing(24_000)
    for event in meaning(name):
        if isinstance(event, Audio):
            hearing.hear(event.payload, event.item)
    assert hearing.sound().pcm == pcm


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 44_100])
def test_audio_comes_at_the_rate_that_is_asked_for(rate_hz: int) -> None:
    dialect = Smallest.of(Manner(voice=SOPHIA, options={"sample_rate": rate_hz}))
    assert dialect.traits.raw_hz == rate_hz
    assert request(dialect)["sample_rate"] == rate_hz


# The times of words.


def test_when_every_word_was_timed_complete_is_the_end() -> None:
    events = meaning("words-all-timed")
    words = [event.words[0] for event in events if isinstance(event, Words)]
    assert [word.text for word in words] == "I paid $100 on Dec 25th.".split()
    assert words[2] == Word("$100", 0.5, 0.75)
    assert events[-2:] == [Done("u1"), Finished()]


def test_words_behind_complete_close_the_window() -> None:
    *_, done, me, ishmael, end = meaning("words-after-complete")
    assert (done, end) == (Done("u1"), Finished())
    assert (me, ishmael) == (
        Words((Word("me", 0.25, 0.5),), "u1"),
        Words((Word("Ishmael.", 0.5, 1.0),), "u1"),
    )


@pytest.mark.parametrize(
    ("name", "missing"),
    [("words-missing", "Some years ago."), ("words-missing-and-a-close", "me Ishmael.")],
)
def test_words_that_end_too_early_are_a_script_cut_short(name: str, missing: str) -> None:
    assert meaning(name)[-1] == Failed(f"no word timings for {missing!r}", Fault.CUT)


@pytest.mark.parametrize("name", ["words-that-never-came", "words-not-offered"])
def test_without_any_times_the_window_decides(name: str) -> None:
    assert meaning(name) == [audio(ONE), Done("u1"), Finished()]


@pytest.mark.parametrize("voice", [SOPHIA, DEVANSH, Voice("meher", PRO, "en-in")])
@pytest.mark.parametrize("are_wanted", [False, True])
def test_only_voices_that_time_their_words_are_asked_to(voice: Voice, *, are_wanted: bool) -> None:
    dialect = Smallest(voice, word_timestamps=are_wanted)
    are_asked = are_wanted and voice.name in TIMED
    assert ("word_timestamps" in request(dialect)) == dialect.traits.times_words == are_asked


def test_the_words_of_frames_without_our_name_are_heard_with_their_audio() -> None:
    dialogue = Dialogue(Smallest(DEVANSH, word_timestamps=True), Patience())
    dialogue.speak("Call", "u1")
    hearing = Hearing(24_000)
    word = {"id": 0, "word": "Call", "start": 0, "end": 1}
    timing = {"request_id": "t", "status": "word_timestamp", "data": word}
    chunk = {"request_id": "t", "status": "chunk", "data": {"audio": "AAABAA=="}}
    for frame in map(json.dumps, (chunk, timing)):
        for event in dialogue.receive(frame):
            if isinstance(event, Audio):
                hearing.hear(event.payload, event.item)
            elif isinstance(event, Words):
                hearing.time(event.words, event.item)
    assert dialogue.receive('{"request_id":"t","status":"complete"}')[-1] == Finished()
    assert hearing.sound().words == (Word("Call", 0.0, 1.0),)


# What the provider complains of.


@pytest.mark.parametrize(
    ("name", "reason", "fault"),
    [
        ("failed-piece", "Failed to synthesize chunk", Fault.ENGINE),
        ("failed-in-the-window", "Failed to synthesize chunk", Fault.ENGINE),
        ("too-much-at-once", "Concurrency limit of 1 reached for your plan", Fault.BUSY),
        ("too-many-requests", "slow down (429)", Fault.BUSY),
        ("error-as-text", "Internal server error", Fault.ENGINE),
        ("error-as-object", "Internal server error (internal_error)", Fault.ENGINE),
        ("error-and-message", "no answer from upstream (Bad Gateway)", Fault.ENGINE),
        ("bad-key", "Invalid API key (401)", Fault.KEY),
        ("bad-key-in-words", "Unauthorized", Fault.KEY),
        ("usage-limit", "Workspace usage limit reached (403)", Fault.QUOTA),
        ("larger-plan-needed", "Please upgrade to a higher plan (400)", Fault.VOICE),
        ("no-such-voice", "Voice 'sophia' not found", Fault.VOICE),
    ],
)
def test_a_failure_of_our_request_is_told_with_its_fault(
    name: str, reason: str, fault: Fault
) -> None:
    assert meaning(name)[-1] == Failed(reason, fault, "u1")


@pytest.mark.parametrize(
    ("name", "reason", "fault"),
    [
        ("too-many-requests-by-status", "slow down (429)", Fault.BUSY),
        ("error-without-status", "Internal server error (500)", Fault.ENGINE),
        ("message-without-status", "something broke", Fault.ENGINE),
        ("error-without-reason", "no reason given", Fault.ENGINE),
        ("bad-model", "model: Invalid enum value (invalid_enum_value)", Fault.VOICE),
        (
            "bad-text",
            "text: String must contain at most 140 character(s) (too_big)",
            Fault.SCRIPT,
        ),
    ],
)
def test_a_failure_without_any_name_is_that_of_our_request(
    name: str, reason: str, fault: Fault
) -> None:
    assert meaning(name)[-1] == Failed(reason, fault)


@pytest.mark.parametrize("name", ["idle-timeout", "idle-between-scripts"])
def test_a_connection_that_was_given_up_costs_an_attempt_and_no_more(name: str) -> None:
    *_, failed, closed = meaning(name)
    assert failed == Failed("Connection timed out after 120 seconds of inactivity", Fault.ENGINE)
    assert closed == Closed(1000, "", "nothing")


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        # A script that is quoted must not look like an account without money.
        ({"status": "error", "message": "cannot say 'give credit where it is due'"}, Fault.ENGINE),
        ({"status": "error", "message": "model inference failed"}, Fault.ENGINE),
        ({"status": "error", "error": {"message": "quota exceeded"}}, Fault.QUOTA),
        ({"status": "error", "error": {"code": 402}}, Fault.QUOTA),
        ({"status": "error", "error": {"message": "Text is required", "code": 422}}, Fault.SCRIPT),
        ({"status": "error", "message": "Language 'xx' is not supported"}, Fault.VOICE),
        ({"error": {"message": "no", "code": "invalid_type", "path": ["voice_id"]}}, Fault.VOICE),
        ({"error": [], "message": "Rate limit exceeded"}, Fault.BUSY),
        ({"status": 500}, Fault.ENGINE),
        ({"status": "queued", "error": "too many requests"}, Fault.BUSY),
    ],
)
def test_a_fault_is_judged_by_words_and_code(frame: dict[str, object], fault: Fault) -> None:
    (failed,) = Smallest(SOPHIA).parse(json.dumps(frame))
    assert isinstance(failed, Failed)
    assert failed.fault is fault


@pytest.mark.parametrize(
    ("status", "words", "fault"),
    [
        (403, "Trial usage limit reached", Fault.QUOTA),
        (403, "key of another workspace", None),
        (429, "usage limit", None),
        (400, "upgrade to a higher plan", None),
    ],
)
def test_only_403_of_a_handshake_means_two_things(
    status: int, words: str, fault: Fault | None
) -> None:
    assert Smallest(SOPHIA).traits.judge_status(status, words) is fault


# What cannot be.


@pytest.mark.parametrize(
    "name",
    [
        *("bad-json", "bad-base64", "no-audio", "no-data", "null-audio", "binary"),
        *("words-without-times", "audio-before-the-script"),
    ],
)
def test_what_cannot_be_read_ends_the_conversation(name: str) -> None:
    dialogue, events = replay(f"smallest-{name}")
    assert isinstance(events[-1], Refused)
    assert dialogue.state is State.SPENT


STATUSES = ["chunk", "chunk", "complete", "complete", "word_timestamp", "error", "queued", "comp"]
OURS = ["u1", "u2"]
THEIRS = ["task_1", "task_2"]
FIELDS = [
    "status",
    "data",
    "request_id",
    "external_request_id",
    "message",
    "error",
    "audio",
    "code",
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(STATUSES),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    max_leaves=8,
)
odd = st.fixed_dictionaries(
    {"status": st.sampled_from(STATUSES) | values}, optional=dict.fromkeys(FIELDS[1:], values)
)
payloads = st.binary(max_size=6).map(lambda pcm: pybase64.b64encode(pcm).decode())
sane = st.fixed_dictionaries(
    {
        "status": st.sampled_from(STATUSES),
        "data": st.fixed_dictionaries(
            {"audio": payloads, "word": st.sampled_from(["Call", "me", "Ishmael."])},
            optional={"start": st.floats(0, 9), "end": st.floats(0, 9)},
        ),
    },
    optional={
        "external_request_id": st.sampled_from(OURS),
        "request_id": st.sampled_from(THEIRS),
        "message": st.text(),
    },
)
frames = (
    st.builds(json.dumps, values | odd | sane)
    | st.text()
    | st.binary()
    | st.builds(lambda message: json.dumps(message).encode(), sane)
)
#: A frame, silence, a close, or a script of ours if one may be spoken.
moves = frames | st.sampled_from([None, 1000, 1006, ("script", "u1"), ("script", "u2")])


@given(st.lists(moves), st.booleans(), st.sampled_from([0.0, 0.5]))
def test_whatever_a_provider_says_is_an_event_or_a_protocol_error(
    said: list[str | bytes | int | tuple[str, str] | None], are_timed: bool, linger_s: float
) -> None:
    dialect = Smallest(DEVANSH, options=Options(linger_s=linger_s), word_timestamps=are_timed)
    dialogue = Dialogue(dialect, Patience())
    for move in said:
        if isinstance(move, tuple):
            if dialogue.state is State.IDLE:
                dialogue.speak("Call me Ishmael.", move[1])
            continue
        try:
            if isinstance(move, int):
                events = dialogue.receive_close(move, "")
            else:
                events = dialogue.receive_silence() if move is None else dialogue.receive(move)
        except RemoteProtocolError:
            assert dialogue.state is State.SPENT
        else:
            assert all(isinstance(event, Event) for event in events)


@given(st.lists(sane.map(json.dumps) | st.sampled_from([None, 1000])), st.sampled_from([0.0, 0.5]))
@example([json.dumps({"status": "chunk", "data": {"audio": ""}}), '{"status":"complete"}'], 0.0)
@example([json.dumps({"status": "chunk", "data": {"audio": "AAA="}}), None], 0.5)
def test_nothing_is_whole_without_audio_and_complete(
    said: list[str | int | None], linger_s: float
) -> None:
    dialogue = Dialogue(Smallest(SOPHIA, options=Options(linger_s=linger_s)), Patience())
    dialogue.speak("Call me Ishmael.", "u1")
    events: list[Event] = []
    for move in said:
        try:
            if isinstance(move, str):
                events += dialogue.receive(move)
            elif move is None:
                events += dialogue.receive_silence()
            else:
                events += dialogue.receive_close(move, "")
        except RemoteProtocolError:
            break
        if Finished() in events or dialogue.state is State.SPENT:
            break
    if Finished() in events:
        kinds = [type(event) for event in events if not isinstance(event, Named | Words)]
        assert kinds[-2:] == [Done, Finished]
        assert any(isinstance(event, Audio) and event.payload for event in events)


# What we say.


def test_a_request_says_everything_and_no_more() -> None:
    assert request(Smallest(SOPHIA)) == {
        "voice_id": "sophia",
        "model": "lightning_v3.1",
        "language": "en",
        "sample_rate": 24000,
        "complete_backoff_ms": 200,
    }


@given(st.text(), st.from_regex(r"[a-zA-Z0-9_.-]{1,128}", fullmatch=True))
def test_whatever_the_script_it_arrives_as_it_is(script: str, context: str) -> None:
    (message,) = Smallest(SOPHIA).speak(script, context)
    asked = json.loads(message)
    assert (asked["text"], asked["request_id"]) == (script, context)


@pytest.mark.parametrize("context", ["", "a b", "ü", "x" * 129, "a\n"])
def test_a_name_that_the_provider_would_not_take_is_a_bug_of_ours(context: str) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be the name of a request"):
        Smallest(SOPHIA).speak("Call me Ishmael.", context)


@pytest.mark.parametrize(
    ("language", "told"),
    [("en-us", "en"), ("pt-br", "pt"), ("hi", "hi"), ("auto", "auto"), ("und", None)],
)
def test_a_language_is_told_where_it_is_known(language: str, told: str | None) -> None:
    assert request(Smallest(replace(SOPHIA, language=language))).get("language") == told


@pytest.mark.parametrize(("speed", "told"), [(1.0, None), (0.5, 0.5), (1.25, 1.25), (2.0, 2.0)])
def test_another_pace_is_told(speed: float, told: float | None) -> None:
    assert request(Smallest.of(Manner(voice=SOPHIA, speed=speed))).get("speed") == told


@pytest.mark.parametrize("speed", [0.25, 0.49, 2.01, 4.0])
def test_a_pace_that_the_provider_does_not_have_is_refused_before_anything_is_sent(
    speed: float,
) -> None:
    with pytest.raises(
        VoiceUnavailable, match=f"0.5 to 2 times a voice's own pace, not at {speed:g}"
    ):
        PROVIDER.dialect(Manner(voice=SOPHIA, speed=speed))


def test_every_voice_is_asked_for_at_the_same_address() -> None:
    assert {Smallest(voice).resource for voice in LIGHTNING_VOICES} == {
        "/waves/v1/tts/live?timeout=120"
    }


def test_a_connection_is_left_before_the_provider_gives_it_up() -> None:
    dialect = Smallest(SOPHIA, options=Options(timeout_s=30))
    assert dialect.resource.endswith("?timeout=30")
    assert dialect.traits.idle_s == 15


# What is known of the provider.


def test_the_window_and_the_timers_do_not_change_the_sound() -> None:
    assert {"complete_backoff_ms", "linger_s", "timeout_s"} == PROVIDER.inaudible


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sample_rate", 22_050),
        ("complete_backoff_ms", 10_001),
        ("complete_backoff_ms", -1),
        ("timeout_s", 0),
        ("linger_s", -0.1),
        ("output_format", "mp3"),
    ],
)
def test_an_option_that_cannot_be_is_refused(option: str, value: object) -> None:
    with pytest.raises(SettingsError, match=option):
        PROVIDER.check_options({option: value})


@pytest.mark.parametrize(
    ("name", "model", "language", "voice"),
    [
        (None, None, None, Voice("sophia", BASE, "en-us")),
        (None, PRO, None, Voice("meher", PRO, "en-in")),
        ("meher", None, None, Voice("meher", PRO, "en-in")),
        ("devansh", PRO, None, Voice("devansh", PRO, "en-in")),
        ("devansh", None, "hi", Voice("devansh", BASE, "hi")),
        (None, None, "hi", Voice("neel", BASE, "hi")),
        (None, None, "ta", Voice("jeevan", BASE, "ta")),
        (None, None, "ja", Voice("aria", PRO, "ja")),
        (None, None, "nl", Voice("sophia", BASE, "nl")),
        ("sophia", None, "auto", Voice("sophia", BASE, "auto")),
        ("some_clone-7", None, None, Voice("some_clone-7", BASE, "und")),
        ("some_clone-7", PRO, "fr", Voice("some_clone-7", PRO, "fr")),
    ],
)
def test_a_voice_is_found(
    name: str | None, model: str | None, language: str | None, voice: Voice
) -> None:
    assert PROVIDER.choose_voice(name, model, language) == voice


@pytest.mark.parametrize(
    ("name", "model", "language", "reason"),
    [
        ("meher", BASE, None, f"the voice meher belongs to the model {PRO}, not {BASE}"),
        ("sophia", PRO, None, f"the voice sophia belongs to the model {BASE}, not {PRO}"),
        ("sophia", None, "ja", "the voice sophia speaks en-us, not ja"),
        ("Some Clone", None, None, "smallest has no voice 'Some Clone'"),
        ("some_clone", "lightning-large", None, "smallest has no model 'lightning-large'"),
        (None, "lightning-large", None, "smallest has no model 'lightning-large'"),
    ],
)
def test_a_voice_that_would_be_spoken_wrongly_is_refused(
    name: str | None, model: str | None, language: str | None, reason: str
) -> None:
    with pytest.raises(VoiceUnavailable) as refused:
        PROVIDER.choose_voice(name, model, language)
    assert str(refused.value) == reason


def test_there_are_twenty_languages_and_thirty_one() -> None:
    assert {model: len(set(told) - {"auto"}) for model, told in LANGUAGES.items()} == {
        BASE: 20,
        PRO: 31,
    }


def test_every_voice_speaks_a_language_of_its_model() -> None:
    for voice in LIGHTNING_VOICES:
        assert voice.language.partition("-")[0] in LANGUAGES[voice.model], voice


def test_no_voice_is_listed_twice_for_a_model() -> None:
    assert len({(voice.name, voice.model) for voice in LIGHTNING_VOICES}) == len(LIGHTNING_VOICES)


def test_only_the_model_with_a_price_has_a_cost() -> None:
    assert PROVIDER.cost_usd(PRO, 10_000) == pytest.approx(0.195)
    assert PROVIDER.cost_usd(BASE, 10_000) is None
