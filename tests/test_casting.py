from __future__ import annotations

import pytest

from batchtts.job.casting import Casting
from batchtts.model import Refusal, Voice
from batchtts.wire import registry
from batchtts.wire.kokoro import KOKORO, ORPHEUS

TOGETHER = registry.get("together")
HEART = Voice("af_heart", KOKORO, "en-us")
SONIC = "cartesia/sonic-2"


def cast(
    name: str | None = None,
    model: str | None = None,
    language: str | None = None,
    *,
    job: Voice = HEART,
    provider: str = "together",
) -> tuple[Voice, Refusal | None]:
    return Casting(registry.get(provider), job).of(name, model, language)


def test_a_row_without_a_wish_gets_the_voice_of_the_job() -> None:
    assert cast() == (HEART, None)


@pytest.mark.parametrize("language", ["en-us", "en", "EN_us"])
def test_a_language_that_the_voice_of_the_job_speaks_keeps_it(language: str) -> None:
    assert cast(language=language) == (HEART, None)


def test_a_row_in_another_language_gets_the_default_of_that_language() -> None:
    assert cast(language="fr") == (Voice("ff_siwis", KOKORO, "fr"), None)


def test_a_row_may_name_its_own_voice() -> None:
    assert cast("bm_george") == (Voice("bm_george", KOKORO, "en-gb"), None)


def test_a_row_may_name_another_model() -> None:
    assert cast(model=ORPHEUS) == (Voice("tara", ORPHEUS, "en-us"), None)
    assert cast("leo", ORPHEUS) == (Voice("leo", ORPHEUS, "en-us"), None)


def test_naming_the_model_of_the_job_changes_nothing() -> None:
    assert cast(model=KOKORO, language="en") == (HEART, None)


def test_a_name_is_looked_for_in_every_listed_model() -> None:
    assert cast("tara") == (Voice("tara", ORPHEUS, "en-us"), None)


def test_a_model_that_is_not_listed_takes_the_name_as_it_is() -> None:
    job = Voice("narrator", SONIC, "und")
    assert cast("storyteller", job=job) == (Voice("storyteller", SONIC, "und"), None)
    assert cast("storyteller", language="DE", job=job) == (Voice("storyteller", SONIC, "de"), None)
    assert cast(job=job) == (job, None)


def test_a_voice_that_is_not_there_is_refused_with_a_hint() -> None:
    voice, refusal = cast("af_hart")
    assert voice == Voice("af_hart", KOKORO, "und")
    assert refusal is not None
    assert refusal.code == "voice_unavailable"
    assert refusal.message.startswith("together has no voice 'af_hart'; did you mean af_heart")


def test_a_voice_of_another_language_is_refused() -> None:
    voice, refusal = cast("ff_siwis", language="en")
    assert voice == Voice("ff_siwis", KOKORO, "en")
    assert refusal is not None
    assert refusal.message.startswith("the voice ff_siwis speaks fr, not en")


def test_a_language_without_a_voice_is_refused() -> None:
    voice, refusal = cast(language="tlh")
    assert voice == Voice("", KOKORO, "tlh")
    assert refusal is not None
    assert refusal.message.startswith("together has no voice for the language 'tlh'; it has")


def test_a_refusal_without_a_hint_is_its_message() -> None:
    _, refusal = cast("leo", KOKORO)
    assert refusal is not None
    assert refusal.message == f"the voice leo belongs to the model {ORPHEUS}, not {KOKORO}"


def test_a_wish_is_thought_about_once() -> None:
    casting = Casting(TOGETHER, HEART)
    assert casting.of("af_hart", None, None)[1] is casting.of("af_hart", None, None)[1]


def test_the_voices_on_this_machine_have_their_own_models() -> None:
    voice, refusal = cast("bm_george", job=Voice("af_heart", "hibari", "en-us"), provider="local")
    assert (voice, refusal) == (Voice("bm_george", "nanotts", "en-gb"), None)


def test_a_speed_that_nobody_speaks_at_is_refused_before_anything_is_sent() -> None:
    deepgram = registry.get("deepgram")
    voice = deepgram.choose_voice("aura-2-julius-de", None, None)
    _, refusal = Casting(deepgram, voice).of(None, None, None, 1.2)
    assert refusal is not None
    assert refusal.code == "voice_unavailable"
    assert Casting(deepgram, voice).of(None, None, None, 1.0) == (voice, None)


def test_the_speed_of_the_job_is_that_of_rows_without_one() -> None:
    smallest = registry.get("smallest")
    voice = smallest.choose_voice(None, None, None)
    casting = Casting(smallest, voice, speed=3.0)
    assert casting.of(None, None, None, None)[1] is not None
    assert casting.of(None, None, None, 1.5) == (voice, None)
