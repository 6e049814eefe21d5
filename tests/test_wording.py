"""What is spoken for a script, and by whom, as a job has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtts.errors import SettingsError
from batchtts.job.casting import Casting
from batchtts.job.settings import Job
from batchtts.job.speaker import choose_speaker
from batchtts.job.wording import Said, Wording, read_dictionary
from batchtts.model import Pauses, Voice
from batchtts.text.dictionary import Dictionary
from batchtts.wire import registry
from batchtts.wire.provider import Manner

LOCAL = registry.get("local")
HEART = LOCAL.choose_voice("af_heart", None, None)
VOICES = {"Alice": "af_heart", "Bob": "pico_us"}
LIMIT = LOCAL.segment_chars


def casting() -> Casting:
    return Casting(LOCAL, HEART)


def said(script: str, wording: Wording) -> Said:
    return wording.say(script, HEART, casting())


def turns(script: str, wording: Wording) -> list[tuple[str | None, str]]:
    found = said(script, wording)
    spoken = found.rendering.spoken
    return [(turn.speaker, spoken[turn.start : turn.end].strip()) for turn in found.turns]


def test_a_job_that_asks_for_nothing_has_scripts_spoken_as_they_are() -> None:
    script = "**Not** [Alice] markup & not <b>tags</b>: $5."
    assert Wording().is_plain
    assert said(script, Wording()).rendering.spoken == script
    assert Wording().in_a_word(said(script, Wording()), LIMIT) == script


def test_markup_goes_before_words_are_replaced() -> None:
    wording = Wording(markup="markdown", dictionary=Dictionary.parse("NATO,nay toe\n"))
    found = said("The **NATO** treaty", wording)
    assert found.rendering.spoken == "The nay toe treaty"
    assert found.rendering.script == "The **NATO** treaty"


def test_a_dialogue_is_divided_among_its_speakers() -> None:
    wording = Wording(voices=VOICES)
    script = "He knocked. [Alice] Come in! [bob] Thank you."
    assert turns(script, wording) == [
        (None, "He knocked."),
        ("Alice", "Come in!"),
        ("Bob", "Thank you."),
    ]
    assert {name: voice.name for name, voice in said(script, wording).cast.items()} == VOICES


def test_turns_stay_where_they_are_when_words_become_longer() -> None:
    words = Dictionary.parse("NATO,nay toe\nhi,a very long greeting indeed\n")
    wording = Wording(voices=VOICES, dictionary=words)
    assert turns("[Alice] hi NATO [Bob] NATO hi [Alice] NATO", wording) == [
        ("Alice", "a very long greeting indeed nay toe"),
        ("Bob", "nay toe a very long greeting indeed"),
        ("Alice", "nay toe"),
    ]


def test_nobody_says_what_another_one_does() -> None:
    words = Dictionary.parse("good morning,guten Morgen\n")
    wording = Wording(voices=VOICES, dictionary=words, numbers_as_words=True)
    assert turns("[Alice] I have $5 [Bob] million more. [Alice] At 5 [Bob] PM. Good", wording) == [
        ("Alice", "I have five dollars"),
        ("Bob", "million more."),
        ("Alice", "At five"),
        ("Bob", "PM. Good"),
    ]
    assert turns("[Alice] Oh good [Bob] morning all.", wording) == [
        ("Alice", "Oh good"),
        ("Bob", "morning all."),
    ]


def test_a_tag_of_nobody_is_why_a_row_is_refused() -> None:
    refusal = said("[Carol] Hello.", Wording(voices=VOICES)).refusal
    assert refusal is not None
    assert refusal.code == "script_rejected"
    assert refusal.message == "line 1: [Carol] is no speaker; the speakers are Alice, Bob"


def chosen(speaker: str | None, *, voice: str | None = None) -> tuple[str, str | None]:
    wish = (voice, None, None, None)
    found, refusal = Wording(voices=VOICES).cast(wish, speaker, casting())
    return found.name, refusal.message if refusal else None


def test_a_column_says_who_speaks_a_row_unless_the_row_has_a_voice_of_its_own() -> None:
    assert chosen(" BOB ") == ("pico_us", None)
    assert chosen(None) == ("af_heart", None)
    assert chosen("Bob", voice="pico_gb") == ("pico_gb", None)
    assert chosen("Carol") == ("af_heart", "speaker 'Carol' has no voice; voices has Alice, Bob")


def test_without_voices_a_column_of_speakers_means_nothing() -> None:
    voice, refusal = Wording().cast((None, None, None, None), "Carol", casting())
    assert (voice, refusal) == (HEART, None)


def printed(script: str, **settings: object) -> str:
    wording = Wording(**settings)  # type: ignore[arg-type]
    return wording.in_a_word(said(script, wording), LIMIT)


def test_a_row_that_sounds_the_same_stands_for_the_same() -> None:
    words = Dictionary.parse("NATO,nay toe\n")
    assert printed("Hello.", dictionary=words) == printed("Hello.")
    assert printed("Hello.", pauses=Pauses(sentence=1.0)) == printed("Hello.")
    assert printed("NATO", dictionary=words) == printed("nay toe")


def test_a_row_that_sounds_otherwise_stands_for_something_else() -> None:
    long = "A sentence. " * LIMIT
    dialogue = "[Alice] Hello. [Bob] Hello."
    told = [
        printed("Hello."),
        printed("NATO"),
        printed("NATO", dictionary=Dictionary.parse("NATO,nay toe\n")),
        printed(long),
        printed(long, pauses=Pauses(sentence=1.0)),
        printed(dialogue),
        printed(dialogue, voices=VOICES),
        printed(dialogue, voices=VOICES | {"Bob": "pico_gb"}),
        printed(dialogue, voices=VOICES, pauses=Pauses(sentence=1.0)),
    ]
    assert len(set(told)) == len(told)


def test_a_script_of_several_segments_stands_for_its_marks_too() -> None:
    """They decide where it is cut, and cues are places in it."""
    text = "A title.\n\n" + "A sentence. " * LIMIT
    alike = [printed(text, markup="markdown"), printed(f"# {text}", markup="markdown")]
    alike.append(printed(text.replace("title", "*title*"), markup="markdown"))
    assert len(set(alike)) == len(alike)
    assert alike[0] == printed(text)
    assert printed("*Hello*.", markup="markdown") == printed("Hello.")


def test_what_two_wordings_stand_for_tells_them_apart() -> None:
    every = [
        Wording(),
        Wording(markup="html"),
        Wording(numbers_as_words=True),
        Wording(voices=VOICES),
        Wording(pauses=Pauses(clause=1.0)),
        Wording(dictionary=Dictionary.parse("a,b\n")),
        Wording(dictionary=Dictionary.parse("a,c\n")),
    ]
    assert len({each.stands_for for each in every}) == len(every)
    assert Wording().stands_for == Wording().stands_for


def refusal(act: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(SettingsError) as caught:
        act()
    return str(caught.value), caught.value.hint


def test_a_dictionary_that_cannot_be_read_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    message, _ = refusal(lambda: read_dictionary(path))
    assert message == f"{path}: no such file or directory"
    path.write_text("NATO,nay toe\nNATO\n")
    message, _ = refusal(lambda: read_dictionary(path))
    assert message.startswith(f"{path}")
    assert "line 2" in message
    path.write_bytes(b"\xff\xfe")
    message, _ = refusal(lambda: read_dictionary(path))
    assert message.startswith(f"{path}: ")


def test_a_speaker_whose_voice_nobody_has_is_refused_before_anything_is_read() -> None:
    job = Job(manifest=Path("m.csv"), provider="local", voices={"Alice": "heart"})
    message, hint = refusal(lambda: choose_speaker(job, {}, has_hibari=True))
    assert message == "voices: Alice: local has no voice 'heart'"
    assert hint == "did you mean af_heart?"


def test_a_limit_on_cost_needs_the_prices_of_all_speakers() -> None:
    job = Job(
        manifest=Path("m.csv"),
        provider="local",
        voices={"Alice": "af_heart"},
        max_cost_usd=1.0,
    )
    assert choose_speaker(job, {}, has_hibari=True).voice
    smallest = registry.get("smallest")
    known = [voice for voice in smallest.voices if smallest.cost_usd(voice.model, 1) is not None]
    [name, *_] = (it.name for it in smallest.voices if smallest.cost_usd(it.model, 1) is None)
    job = Job(
        manifest=Path("m.csv"),
        provider="smallest",
        voice=known[0].name,
        model=known[0].model,
        voices={"Alice": name},
        max_cost_usd=1.0,
    )
    message, _ = refusal(lambda: choose_speaker(job, {}, has_hibari=True, needs_key=False))
    assert message.startswith("max_cost_usd: the price of ")


def test_a_voice_of_the_cast_is_a_voice_of_the_provider() -> None:
    cast = said("[Bob] Hello.", Wording(voices=VOICES)).cast
    assert isinstance(cast["Bob"], Voice)
    assert cast["Bob"] in LOCAL.voices


def test_a_provider_with_a_dictionary_of_its_own_is_sent_what_that_can_hold() -> None:
    together = registry.get("together")
    words = Dictionary.parse("NATO,nay toe\ncolour,color\n")
    wording = Wording(dictionary=words)
    theirs = Casting(together, Voice("v", "minimax/speech-2.6-turbo", "en"))
    ours = Casting(together, HEART)
    script = "NATO and colour"
    found = wording.say(script, theirs.voice, theirs)
    assert found.rendering.spoken == "NATO and color"
    assert wording.pronunciations == {"NATO": "nay toe"}
    assert wording.say(script, HEART, ours).rendering.spoken == "nay toe and color"
    others = Wording(dictionary=Dictionary.parse("NATO,en ay tee oh\ncolour,color\n"))
    told = [each.in_a_word(each.say(script, theirs.voice, theirs), 9) for each in (wording, others)]
    assert told[0] != told[1]


def test_a_session_is_told_how_words_are_read_if_its_model_takes_that() -> None:
    together = registry.get("together")
    own = {"extra_params": {"pronunciation_dict": ["OTAN/oh tan"]}}
    manner = Manner(
        voice=Voice("v", "minimax/speech-2.6-turbo", "en"),
        options=own,
        pronunciations={"NATO": "nay toe"},
    )
    [hello] = together.dialect(manner).hello()
    told = json.loads(hello)["session"]["extra_params"]["pronunciation_dict"]
    assert told == ["OTAN/oh tan", "NATO/nay toe"]
    kokoro = Manner(voice=together.voices[0], pronunciations={"NATO": "nay toe"})
    assert together.dialect(kokoro).hello() == []


@pytest.mark.parametrize(("language", "spoken"), [("de", "de"), ("en", "en")])
def test_a_speaker_speaks_the_language_of_the_row_if_the_voice_knows_it(
    language: str, spoken: str
) -> None:
    cartesia = registry.get("cartesia")
    narrator = cartesia.choose_voice(None, None, language)
    wording = Wording(voices={"Alice": cartesia.voices[0].name})
    found = wording.say("Eins. [Alice] Zwei.", narrator, Casting(cartesia, narrator))
    assert found.cast["Alice"].language == spoken


def test_a_voice_that_does_not_know_the_language_of_the_row_speaks_its_own() -> None:
    cast = said("Hello. [Bob] Hello.", Wording(voices={"Bob": "pico_gb"})).cast
    assert (cast["Bob"].name, cast["Bob"].language) == ("pico_gb", "en-gb")
