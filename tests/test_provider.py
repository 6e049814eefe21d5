"""What is known of a provider before anybody talks to it: names, voices, prices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batchtts.errors import SettingsError, VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire import registry
from batchtts.wire.embedded import EMBEDDED_VOICES, HIBARI, NANOTTS, TONE
from batchtts.wire.kokoro import KOKORO, KOKORO_VOICES, ORPHEUS, ORPHEUS_VOICES
from batchtts.wire.local import PROVIDER as LOCAL
from batchtts.wire.provider import Manner, Provider, normalize_language, speaks
from batchtts.wire.together import PROVIDER as TOGETHER
from batchtts.wire.together import Together

PROVIDERS = pytest.mark.parametrize(
    "provider", [registry.get(name) for name in registry.built_in()], ids=registry.built_in()
)


# The registry.


def test_the_providers_begin_with_those_of_this_machine_and_together() -> None:
    assert registry.names()[:2] == ("local", "together")


@pytest.mark.parametrize("name", registry.built_in())
def test_a_provider_is_found_by_its_name(name: str) -> None:
    assert registry.get(name).name == name


def test_a_provider_is_imported_when_somebody_asks_for_it() -> None:
    program = (
        "import sys; from batchtts.wire import registry;"
        "print('batchtts.wire.together' in sys.modules);"
        "registry.get('together');"
        "print('batchtts.wire.together' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout.split() == [b"False", b"True"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("togehter", "did you mean together?"),
        ("Local", "did you mean local?"),
        ("polly", f"there are: {', '.join(registry.names())}"),
        ("", f"there are: {', '.join(registry.names())}"),
    ],
)
def test_a_provider_that_is_not_there_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=f"^no provider '{name}'$") as refused:
        registry.get(name)
    assert refused.value.hint == hint


# Choosing a voice.


def test_the_first_voice_is_the_default() -> None:
    assert TOGETHER.choose_voice(None, None, None) == Voice("af_heart", KOKORO, "en-us")
    assert LOCAL.choose_voice(None, None, None) == Voice("af_heart", HIBARI, "en-us")


@PROVIDERS
def test_every_voice_is_found_by_its_name_and_model(provider: Provider) -> None:
    for voice in provider.voices:
        assert provider.choose_voice(voice.name, voice.model, voice.language) == voice


@pytest.mark.parametrize(
    ("model", "voice"),
    [(KOKORO, Voice("af_heart", KOKORO, "en-us")), (ORPHEUS, Voice("tara", ORPHEUS, "en-us"))],
)
def test_a_model_brings_its_own_default_voice(model: str, voice: Voice) -> None:
    assert TOGETHER.choose_voice(None, model, None) == voice


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en", "af_heart"),
        ("en-us", "af_heart"),
        ("en-GB", "bf_alice"),
        ("en_gb", "bf_alice"),
        (" FR ", "ff_siwis"),
        ("pt", "pf_dora"),
        ("zh-tw", "zf_xiaobei"),
    ],
)
def test_a_language_brings_its_own_default_voice(language: str, name: str) -> None:
    assert TOGETHER.choose_voice(None, None, language).name == name


def refusal(
    provider: Provider, name: str | None, model: str | None, language: str | None
) -> tuple[str, str | None]:
    with pytest.raises(VoiceUnavailable) as refused:
        provider.choose_voice(name, model, language)
    return str(refused.value), refused.value.hint


def test_a_language_that_nobody_speaks_is_refused_with_those_that_there_are() -> None:
    assert refusal(LOCAL, None, None, "ja") == (
        "local has no voice for the language 'ja'",
        "it has de, en-gb, en-us, es, fr, it, zxx",
    )


def test_a_language_that_the_model_does_not_speak_is_refused() -> None:
    assert refusal(TOGETHER, None, ORPHEUS, "fr") == (
        "together has no voice for the language 'fr'",
        "it has en-us",
    )


def test_a_voice_of_another_language_is_refused() -> None:
    assert refusal(TOGETHER, "ff_siwis", None, "de") == (
        "the voice ff_siwis speaks fr, not de",
        "`batchtts voices together` lists them",
    )


def test_a_voice_of_another_country_is_refused() -> None:
    assert refusal(TOGETHER, "bf_emma", None, "en-us") == (
        "the voice bf_emma speaks en-gb, not en-us",
        "`batchtts voices together` lists them",
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("af_hart", "did you mean af_heart"),
        ("heart", "did you mean af_heart"),
        ("?", "`batchtts voices together` lists them"),
    ],
)
def test_a_voice_that_is_not_there_is_refused_with_the_nearest(name: str, hint: str) -> None:
    message, told = refusal(TOGETHER, name, None, None)
    assert message == f"together has no voice {name!r}"
    assert told is not None
    assert told.startswith(hint)


def test_a_voice_of_another_model_is_refused_with_its_own() -> None:
    assert refusal(TOGETHER, "tara", KOKORO, None) == (
        f"the voice tara belongs to the model {ORPHEUS}, not {KOKORO}",
        None,
    )


# Mixes.


@pytest.mark.parametrize(
    "name", ["af_bella+af_heart", "af_bella(2)+af_heart(1)", "af_bella+am_adam+af_sky(0.5)"]
)
def test_a_mix_is_a_voice_of_its_model(name: str) -> None:
    assert TOGETHER.choose_voice(name, None, "en") == Voice(name, KOKORO, "en-us")


def test_every_part_of_a_mix_must_be_there() -> None:
    message, hint = refusal(TOGETHER, "af_bella(2)+af_hart(1)", None, None)
    assert message == "together has no voice 'af_hart'"
    assert hint is not None
    assert hint.startswith("did you mean af_heart")


def test_every_part_of_a_mix_must_speak_the_language() -> None:
    message, _ = refusal(TOGETHER, "af_bella+bf_emma", None, "en-us")
    assert message == "the voice bf_emma speaks en-gb, not en-us"


def test_voices_of_different_models_do_not_mix() -> None:
    message, _ = refusal(LOCAL, "af_bella+bf_emma", None, None)
    assert message == "af_bella+bf_emma: voices of different models do not mix"


# Models.


def test_an_open_provider_takes_any_model_together_with_a_voice() -> None:
    voice = TOGETHER.choose_voice("helpful woman", "cartesia/sonic-2", "EN_us")
    assert voice == Voice("helpful woman", "cartesia/sonic-2", "en-us")


def test_the_language_of_an_unlisted_voice_is_undetermined() -> None:
    assert TOGETHER.choose_voice("helpful woman", "cartesia/sonic-2", None).language == "und"


def test_an_unlisted_model_needs_a_voice() -> None:
    assert refusal(TOGETHER, None, "cartesia/sonic-2", None) == (
        "together: name a voice of the model 'cartesia/sonic-2'",
        "the provider's own pages list them",
    )


@pytest.mark.parametrize(
    ("model", "hint"),
    [("nanotss", "did you mean nanotts?"), ("hexgrad/Kokoro-82M", "it has hibari, nanotts, tone")],
)
def test_a_closed_provider_refuses_an_unlisted_model(model: str, hint: str) -> None:
    assert refusal(LOCAL, "af_heart", model, None) == (f"local has no model {model!r}", hint)


# Languages.


@pytest.mark.parametrize(
    ("tag", "normal"), [("en", "en"), ("EN_US", "en-us"), (" pt-BR\n", "pt-br")]
)
def test_a_language_tag_has_one_spelling(tag: str, normal: str) -> None:
    assert normalize_language(tag) == normal


@pytest.mark.parametrize(
    ("spoken", "asked", "is_spoken"),
    [
        ("en-us", "en-us", True),
        ("en-us", "en", True),
        ("fr", "fr-ca", True),
        ("en-us", "en-gb", False),
        ("en-us", "e", False),
        ("es", "en", False),
    ],
)
def test_a_language_and_its_country_mean_each_other(
    spoken: str, asked: str, is_spoken: bool
) -> None:
    assert speaks(Voice("v", "m", spoken), asked) is is_spoken


# Prices.


@pytest.mark.parametrize(
    ("model", "cost_usd"),
    [(KOKORO, 4.0), (ORPHEUS, 15.0), ("cartesia/sonic-2", 65.0), ("cartesia/sonic-9", None)],
)
def test_a_million_characters_cost_their_price_or_an_unknown_one(
    model: str, cost_usd: float | None
) -> None:
    assert TOGETHER.cost_usd(model, 1_000_000) == cost_usd


def test_a_price_is_by_the_character() -> None:
    assert TOGETHER.cost_usd(KOKORO, 250) == 0.001


def test_what_is_spoken_on_this_machine_costs_nothing() -> None:
    assert {LOCAL.cost_usd(voice.model, 1_000_000) for voice in LOCAL.voices} == {0.0}


@pytest.mark.parametrize("provider", [LOCAL, TOGETHER], ids=["local", "together"])
def test_every_listed_voice_has_a_price(provider: Provider) -> None:
    assert {voice.model for voice in provider.voices} <= set(provider.usd_per_million_chars)


# Voices.


@PROVIDERS
def test_no_voice_is_listed_twice(provider: Provider) -> None:
    names = [(voice.name, voice.model) for voice in provider.voices]
    assert len(names) == len(set(names))


def test_the_name_of_a_kokoro_voice_says_its_language() -> None:
    spoken = {f"{voice.name[0]} {voice.language}" for voice in KOKORO_VOICES}
    assert sorted(spoken) == [
        *("a en-us", "b en-gb", "e es", "f fr", "h hi", "i it", "j ja", "p pt-br", "z zh"),
    ]


def test_kokoro_has_54_voices_and_orpheus_eight() -> None:
    assert (len(KOKORO_VOICES), len(ORPHEUS_VOICES)) == (54, 8)


def test_every_stand_in_has_the_name_and_language_of_a_kokoro_voice() -> None:
    kokoro = {(voice.name, voice.language) for voice in KOKORO_VOICES}
    own = [voice for voice in EMBEDDED_VOICES if (voice.name, voice.language) not in kokoro]
    assert [voice.name for voice in own] == [
        *("pico_us", "pico_gb", "pico_de", "pico_es", "pico_fr", "pico_it", "tone"),
    ]


def test_each_language_of_this_machine_has_its_engine() -> None:
    assert {(voice.language, voice.model) for voice in EMBEDDED_VOICES} == {
        *(("en-us", HIBARI), ("en-us", NANOTTS), ("en-gb", NANOTTS), ("de", NANOTTS)),
        *(("es", NANOTTS), ("fr", NANOTTS), ("it", NANOTTS), ("zxx", TONE)),
    }


def test_a_job_for_this_machine_runs_on_the_paid_provider_unchanged() -> None:
    voice = LOCAL.choose_voice("bf_emma", None, "en-gb")
    assert TOGETHER.choose_voice(voice.name, None, voice.language).name == "bf_emma"


def test_both_providers_speak_the_same_dialect_and_local_waits_less() -> None:
    voice = LOCAL.choose_voice("af_heart", None, None)
    manner = Manner(voice=voice, speed=1.5)
    assert TOGETHER.dialect(manner) == Together(voice, 1.5)
    assert TOGETHER.dialect(manner).traits.linger_s == 0.5
    assert LOCAL.dialect(manner).traits.linger_s == 0.02


@pytest.mark.parametrize("name", ["tara+leo", "af_heart(x)", "af_heart+", "pico_us+af_heart"])
def test_what_is_no_mix_is_a_name_that_nobody_has(name: str) -> None:
    with pytest.raises(VoiceUnavailable, match="no voice"):
        registry.get("together").choose_voice(name, None, None)
