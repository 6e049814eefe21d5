"""Conversations with a recognizer, and what is known of one; see `tests.talks`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import LocalProtocolError, RemoteProtocolError, SettingsError
from batchtts.job.hearer import Hearer, Wish, choose_hearer
from batchtts.wire import recognizers
from batchtts.wire.dialogue import Dialogue, Patience, State
from batchtts.wire.embedded import MOONSHINE, TONE
from batchtts.wire.events import (
    Acknowledged,
    Closed,
    Event,
    Failed,
    Fault,
    Finished,
    Guess,
    Heard,
    Named,
    Ready,
    Stalled,
)
from batchtts.wire.recognizer import Attention
from batchtts.wire.together_stt import (
    PARAKEET,
    RECOGNIZER,
    WHISPER,
    Options,
    TogetherTranscription,
)
from tests import talks
from tests.talks import HEARD, Refused, lines, replay

SAID = "conversation.item.input_audio_transcription"
FOX = "The quick fox."


def meaning(name: str) -> list[Event | Refused]:
    """What a conversation with a recognizer comes to, after the greeting."""
    greeting, *events = talks.meaning(f"transcription-{name}")
    return events if greeting == Ready() else [greeting, *events]


@pytest.mark.parametrize("name", HEARD)
def test_a_conversation_says_what_it_shows(name: str) -> None:
    assert lines(name)[0].startswith("# ")
    assert {line[:1] for line in lines(name)} <= set("#@=<>~")


@pytest.mark.parametrize("name", HEARD)
def test_a_connection_carries_one_recording(name: str) -> None:
    dialogue, _ = replay(name)
    assert dialogue.state is State.SPENT
    with pytest.raises(LocalProtocolError, match="the dialogue awaits nothing"):
        dialogue.begin("r9")


# What a commit may come back as.


def test_a_commit_comes_back_as_a_transcript() -> None:
    assert meaning("one-transcript") == [
        *(Acknowledged(), Guess("the quick"), Heard(FOX, "i1")),
        Finished(),
    ]


def test_a_commit_may_come_back_as_several_transcripts() -> None:
    assert meaning("several-transcripts") == [
        *(Acknowledged(), Heard(FOX, "i1")),
        *(Guess("jumps"), Heard("Jumps over.", "i2")),
        Finished(),
    ]


def test_guesses_are_no_transcript() -> None:
    *guesses, heard, end = meaning("guesses-replace")
    assert guesses == [Guess("the"), Guess("the quick box"), Guess("the quick fox")]
    assert (heard, end) == (Heard(FOX), Finished())


def test_nothing_but_the_words_is_needed() -> None:
    assert meaning("no-ids") == [Guess("The quick"), Heard(FOX), Finished()]


@pytest.mark.parametrize("name", ["silence", "silence-with-empty-guess"])
def test_silence_after_the_acknowledgement_is_a_transcript_without_words(name: str) -> None:
    assert meaning(name) == [Acknowledged(), Finished()]


def test_a_transcript_may_be_empty() -> None:
    assert meaning("silence-told") == [Acknowledged(), Heard("", "i1"), Finished()]


def test_silence_without_an_acknowledgement_is_a_stall() -> None:
    assert meaning("no-acknowledgement") == [Stalled("no transcript within 20 s")]


def test_the_acknowledgement_may_come_at_any_time() -> None:
    assert meaning("late-acknowledgement") == [
        *(Guess("the"), Acknowledged(), Heard(FOX, "i1"), Acknowledged()),
        Finished(),
    ]


def test_several_acknowledgements_are_one() -> None:
    assert meaning("several-acknowledgements") == [
        *(Acknowledged(), Acknowledged(), Heard(FOX, "i1")),
        Finished(),
    ]


@pytest.mark.parametrize("name", ["guess-without-transcript", "guess-after-transcript"])
def test_a_guess_promises_a_transcript(name: str) -> None:
    assert meaning(name)[-1] == Stalled("no transcript after a guess within 10 s")


def test_chatter_means_nothing() -> None:
    assert meaning("chatter") == [Heard(FOX, "i1"), Finished()]


def test_language_and_prompt_are_told_after_the_greeting() -> None:
    assert meaning("language-and-prompt") == [Heard("Call me Ishmael.", "i1"), Finished()]


# What a recognizer complains of.


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("utterance-failed", Failed("decoder crashed")),
        ("session-failed", Failed("worker lost (internal_error)")),
        ("bad-key", Failed("Incorrect API key provided (invalid_api_key)", Fault.KEY)),
        ("missing-key", Failed("No API key provided (missing_api_key)", Fault.KEY)),
        (
            "bad-model",
            Failed("Model 'openai/whisper' is not available (model_not_available)", Fault.VOICE),
        ),
        ("model-of-others", Failed("No access to this model (model_not_accessible)", Fault.VOICE)),
        ("no-upstream", Failed("no healthy upstream (no_healthy_upstream)", Fault.BUSY)),
        ("no-workers", Failed("No healthy workers (no_healthy_workers)", Fault.BUSY)),
        ("no-workers-by-close", Failed("no healthy workers", Fault.BUSY)),
        ("bad-request", Failed("session.language: unknown", Fault.SCRIPT)),
        ("bad-format", Failed("Unsupported input audio format: pcm_s24le", Fault.SCRIPT)),
        ("bad-rate", Failed("the input rate does not match", Fault.SCRIPT)),
        ("bad-audio", Failed("Invalid audio data", Fault.SCRIPT)),
        ("idle", Failed("no audio for 300 s (idle_timeout)")),
        ("out-of-credit", Failed("credit exhausted (insufficient_quota)", Fault.QUOTA)),
        ("too-many-requests", Failed("slow down (429)", Fault.BUSY)),
        ("rate-limit-by-type", Failed("slow down", Fault.BUSY)),
        ("error-object", Failed("engine overloaded")),
        ("error-at-top-level", Failed("engine overloaded")),
        ("error-as-string", Failed("engine overloaded")),
        ("error-without-reason", Failed("no reason given")),
    ],
)
def test_a_failure_is_told_with_its_fault(name: str, failure: Failed) -> None:
    assert [event for event in meaning(name) if isinstance(event, Failed)] == [failure]


@pytest.mark.parametrize("name", ["bad-key", "session-failed", "bad-format", "idle"])
def test_the_failed_frame_counts_and_not_the_polite_close_after_it(name: str) -> None:
    assert meaning(name)[-1] == Closed(1000, "", "nothing")


@pytest.mark.parametrize(
    ("name", "awaited"),
    [
        ("polite-close-before-transcript", "first words"),
        ("close-in-the-window", "another transcript"),
        ("close-after-guess", "transcript after a guess"),
    ],
)
def test_a_close_before_the_end_is_a_failure_whatever_its_code(name: str, awaited: str) -> None:
    last = meaning(name)[-1]
    assert isinstance(last, Closed)
    assert last.awaited == awaited


def test_no_greeting_is_a_stall() -> None:
    assert meaning("no-greeting") == [Stalled("no greeting within 10 s")]


def test_words_that_nobody_asked_for_are_refused() -> None:
    assert meaning("transcript-before-commit") == [Refused("Heard while awaiting script")]


@pytest.mark.parametrize(
    "name", ["transcript-missing", "transcript-of-another-kind", "bad-json", "binary"]
)
def test_what_cannot_be_read_is_refused(name: str) -> None:
    last = meaning(name)[-1]
    assert isinstance(last, Refused)
    assert last.reason.startswith("cannot read ")


def test_the_session_is_named() -> None:
    assert Named("s-1") in replay("transcription-one-transcript")[1]


# What we say.


def test_the_address_asks_for_one_commit_of_16_khz() -> None:
    address = urlsplit(TogetherTranscription().resource)
    assert address.path == "/v1/realtime"
    assert dict(parse_qsl(address.query, strict_parsing=True)) == {
        "model": WHISPER,
        "intent": "transcription",
        "input_audio_format": "pcm_s16le_16000",
        "turn_detection": "none",
    }


def test_24_khz_is_an_option() -> None:
    dialect = TogetherTranscription(options=Options(sample_rate=24_000))
    assert "input_audio_format=pcm_s16le_24000" in dialect.resource
    assert dialect.sample_rate_hz == 24_000


def test_the_key_and_the_version_are_headers() -> None:
    assert RECOGNIZER.headers("sk-1") == (
        ("Authorization", "Bearer sk-1"),
        ("OpenAI-Beta", "realtime=v1"),
    )


@given(st.binary(max_size=300_000).map(lambda pcm: pcm[: len(pcm) // 2 * 2]))
def test_a_recording_is_appended_a_second_at_a_time(pcm: bytes) -> None:
    *appends, commit = map(json.loads, TogetherTranscription().listen(pcm, "r1"))
    assert commit == {"type": "input_audio_buffer.commit"}
    assert {tuple(append) for append in appends} <= {("type", "audio")}
    assert {append["type"] for append in appends} <= {"input_audio_buffer.append"}
    audio = [pybase64.b64decode(append["audio"], validate=True) for append in appends]
    assert b"".join(audio) == pcm
    assert all(0 < len(each) <= 32_000 for each in audio)


def test_a_recognizer_is_not_asked_to_speak() -> None:
    dialogue = Dialogue(TogetherTranscription(), Patience())
    dialogue.receive('{"type":"session.created"}')
    with pytest.raises(LocalProtocolError, match="cannot speak: this is a recognizer's dialect"):
        dialogue.speak("Call me Ishmael.", "u1")


# Whatever it says.

TYPES = [
    *(f"{SAID}.{kind}" for kind in ("delta", "completed", "failed", "start_of_turn")),
    *("error", "session.created", "input_audio_buffer.committed", "input_audio_buffer.processed"),
]
FIELDS = ["type", "delta", "transcript", "item_id", "error", "message", "code", "session", "id"]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    max_leaves=8,
)
odd = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)}, optional=dict.fromkeys(FIELDS[1:], values)
)
sane = st.one_of(
    st.fixed_dictionaries({"type": st.just(f"{SAID}.delta"), "delta": st.text()}),
    st.fixed_dictionaries({"type": st.just(f"{SAID}.completed"), "transcript": st.text()}),
    st.just({"type": "input_audio_buffer.committed"}),
)
frames = (
    st.builds(json.dumps, values | odd)
    | st.builds(json.dumps, sane)
    | st.text()
    | st.binary()
    | st.builds(lambda message: json.dumps(message).encode(), sane)
)


def begun() -> Dialogue:
    dialogue = Dialogue(TogetherTranscription(), Patience())
    dialogue.receive('{"type":"session.created"}')
    dialogue.begin("r1")
    return dialogue


@given(st.lists(frames | st.none()))
def test_whatever_a_recognizer_says_is_an_event_or_a_protocol_error(
    said: list[str | bytes | None],
) -> None:
    dialogue = begun()
    for frame in said:
        try:
            events = dialogue.receive_silence() if frame is None else dialogue.receive(frame)
        except RemoteProtocolError:
            assert dialogue.state is State.SPENT
        else:
            assert all(isinstance(event, Event) for event in events)


@given(st.lists(sane.map(json.dumps)))
def test_a_transcript_is_what_was_completed_and_nothing_else(said: list[str]) -> None:
    dialogue, events = begun(), list[Event]()
    for message in said:
        events += dialogue.receive(message)
    events += dialogue.receive_silence()
    kinds = {json.loads(message)["type"].rpartition(".")[2] for message in said}
    if Finished() in events:
        completed = [json.loads(message).get("transcript") for message in said]
        heard = [event.text for event in events if isinstance(event, Heard)]
        assert heard == [text for text in completed if text is not None]
        assert heard or "committed" in kinds
    else:
        assert isinstance(events[-1], Stalled)


# Who can be asked.

KEY = {"TOGETHER_API_KEY": "sk-1"}


def hearer(environment: dict[str, str] | None = None, **wish: object) -> Hearer:
    return choose_hearer(Wish(**wish), environment or {}, has_ear=True)  # type: ignore[arg-type]


def refusal(wish: Wish, environment: dict[str, str], *, has_ear: bool = True) -> tuple[str, str]:
    with pytest.raises(SettingsError) as error:
        choose_hearer(wish, environment, has_ear=has_ear)
    return str(error.value), error.value.hint or ""


def test_the_recognizer_of_this_machine_is_the_default() -> None:
    found = hearer(KEY)
    assert (found.recognizer.name, found.attention.model) == ("local", MOONSHINE)
    assert (found.url, found.key) == (None, None)


def test_a_recognizer_is_asked_with_its_key() -> None:
    found = hearer(KEY, recognizer="together", model="openai/whisper-large-v4", language="en")
    assert (found.url, found.key) == ("wss://api.together.ai", "sk-1")
    assert asdict(found.attention) == {
        "model": "openai/whisper-large-v4",
        "language": "en",
        "options": {},
    }
    assert "sk-1" not in repr(found)


def test_a_server_of_ours_takes_any_key_or_its_own() -> None:
    there = "ws://127.0.0.1:8765"
    assert hearer(endpoint=there).key == "local"
    assert hearer({"BATCHTTS_SERVE_KEY": "mine"}, endpoint=there).key == "mine"


def test_a_key_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-2\n")
    path.chmod(0o600)
    found = hearer(KEY, recognizer="together", key_file=path)
    assert (found.key, found.key_file) == ("sk-2", path)


def test_a_missing_key_is_told_with_its_variable() -> None:
    assert refusal(Wish(recognizer="together"), {}) == (
        "together needs a key",
        "set TOGETHER_API_KEY, or take --recognizer local",
    )


def test_a_missing_recognizer_is_told_with_what_to_install() -> None:
    assert refusal(Wish(), {}, has_ear=False) == (
        "moonshine-tiny-en is not installed",
        "pip install 'batchtts[hear]', or take --recognizer together",
    )


def test_the_recognizer_need_not_be_installed_to_ask_another_machine_or_to_hear_tones() -> None:
    choose_hearer(Wish(endpoint="ws://127.0.0.1:8765"), {}, has_ear=False)
    choose_hearer(Wish(model=TONE), {}, has_ear=False)


@pytest.mark.parametrize(
    ("wish", "says", "hint"),
    [
        (Wish(recognizer="tohether"), "no recognizer 'tohether'", "did you mean together?"),
        (Wish(recognizer="x"), "no recognizer 'x'", "there are: local, together"),
        (
            Wish(model="moonshine"),
            "local has no model 'moonshine' that hears",
            "did you mean moonshine-tiny-en?",
        ),
        (
            Wish(model=WHISPER),
            f"local has no model {WHISPER!r} that hears",
            "it has moonshine-tiny-en, tone",
        ),
        (
            Wish(endpoint="http://127.0.0.1"),
            "endpoint http://127.0.0.1: not a WebSocket URL",
            "for example wss://host:8765",
        ),
        (
            Wish(options={"sample_rate": 44_100}),
            "recognizer, options: invalid enum value 44100 - at `$.sample_rate`",
            "",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anybody_is_called(wish: Wish, says: str, hint: str) -> None:
    assert refusal(wish, KEY) == (says, hint)


def test_recognizers_are_known_by_name() -> None:
    assert recognizers.names() == ("local", "together")
    for name in recognizers.names():
        known = recognizers.get(name)
        assert known.name == name
        attention = Attention(model=known.choose_model(None))
        assert known.dialect(attention).traits.listens


def test_what_costs_nothing_and_what_is_not_known_to_cost_anything() -> None:
    assert recognizers.get("local").cost_usd(MOONSHINE, 3600.0) == 0.0
    assert recognizers.get("together").cost_usd(PARAKEET, 3600.0) is None


def test_our_own_server_makes_no_second_transcript_to_wait_for() -> None:
    local = recognizers.get("local").dialect(Attention(model=MOONSHINE))
    vendor = recognizers.get("together").dialect(Attention(model=WHISPER))
    assert (local.traits.linger_s, vendor.traits.linger_s) == (0.02, 2.0)
