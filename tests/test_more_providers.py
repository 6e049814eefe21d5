"""What is asked of Cartesia, ElevenLabs and Deepgram, and what is refused before that."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from batchtts.errors import SettingsError, VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire.deepgram import PROVIDER as DEEPGRAM
from batchtts.wire.provider import Vocabulary
from tests.test_more_dialects import OURS, dialect, every_provider

KATIE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
GEORGE = "JBFqnCBsd6RMkjVDRZzb"
THALIA = "aura-2-thalia-en"


# The handshake.


def query_of(spoken: Vocabulary) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(spoken.resource).query, strict_parsing=True))


def test_nothing_of_a_voice_is_in_the_handshake_of_cartesia() -> None:
    assert dialect("cartesia", 1.5, options={"sample_rate": 8000}).resource == "/tts/websocket"


def test_the_handshake_of_elevenlabs_has_the_voice_and_all_that_lasts() -> None:
    spoken = dialect("elevenlabs", word_timestamps=True)
    assert urlsplit(spoken.resource).path == f"/v1/text-to-speech/{GEORGE}/stream-input"
    assert query_of(spoken) == {
        "model_id": "eleven_flash_v2_5",
        "output_format": "pcm_24000",
        "auto_mode": "true",
        "inactivity_timeout": "180",
        "language_code": "en",
        "sync_alignment": "true",
    }


def test_what_is_asked_for_in_options_is_in_the_handshake() -> None:
    options = {
        "output_format": "ulaw_8000",
        "auto_mode": False,
        "inactivity_timeout": 20,
        "seed": 7,
        "apply_text_normalization": "off",
        "enable_logging": False,
    }
    voice = Voice(GEORGE, "eleven_multilingual_v2", "de")
    assert query_of(dialect("elevenlabs", voice=voice, options=options)) == {
        "model_id": "eleven_multilingual_v2",
        "output_format": "ulaw_8000",
        "auto_mode": "false",
        "inactivity_timeout": "20",
        "seed": "7",
        "apply_text_normalization": "off",
        "enable_logging": "false",
    }


def test_a_voice_is_quoted_in_the_path() -> None:
    spoken = dialect("elevenlabs", voice=Voice("a/b?c", "eleven_flash_v2", "en"))
    assert spoken.resource.startswith("/v1/text-to-speech/a%2Fb%3Fc/stream-input?")


def test_the_handshake_of_deepgram_has_the_voice_as_its_model() -> None:
    assert urlsplit(dialect("deepgram").resource).path == "/v1/speak"
    asked = {"model": THALIA, "encoding": "linear16", "sample_rate": "24000"}
    assert query_of(dialect("deepgram")) == asked
    options = {"sample_rate": 48000, "mip_opt_out": True}
    assert query_of(dialect("deepgram", 0.9, options=options)) == asked | {
        "sample_rate": "48000",
        "speed": "0.9",
        "mip_opt_out": "true",
    }


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("cartesia", (("X-API-Key", "k"), ("Cartesia-Version", "2026-03-01"))),
        ("elevenlabs", (("xi-api-key", "k"),)),
        ("deepgram", (("Authorization", "Token k"),)),
    ],
)
def test_each_wants_the_key_in_its_own_way(name: str, headers: object) -> None:
    assert OURS[name].headers("k") == headers


@pytest.mark.parametrize(
    ("output_format", "encoding", "hz"),
    [
        ("pcm_24000", "s16le", 24_000),
        ("pcm_44100", "s16le", 44_100),
        ("ulaw_8000", "mulaw", 8000),
        ("alaw_8000", "alaw", 8000),
        ("mp3_44100_128", "s16le", 44_100),
    ],
)
def test_the_format_asked_for_is_the_one_that_is_expected(
    output_format: str, encoding: str, hz: int
) -> None:
    traits = dialect("elevenlabs", options={"output_format": output_format}).traits
    assert (traits.raw_encoding, traits.raw_hz) == (encoding, hz)


@pytest.mark.parametrize("name", ["cartesia", "deepgram"])
def test_the_rate_asked_for_is_the_one_that_is_expected(name: str) -> None:
    assert dialect(name, options={"sample_rate": 48000}).traits.raw_hz == 48_000


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("cartesia", {"sample_rate": 11025}, "cartesia, option sample_rate: invalid enum value"),
        ("cartesia", {"encoding": "pcm_f32le"}, "cartesia has no option 'encoding'"),
        ("elevenlabs", {"output_format": "wav"}, "elevenlabs, option output_format: invalid enum"),
        ("elevenlabs", {"inactivity_timeout": 181}, "elevenlabs, option inactivity_timeout: "),
        ("deepgram", {"sample_rate": 44100}, "deepgram, option sample_rate: invalid enum value"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    name: str, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        OURS[name].check_options(options)
    assert str(refused.value).startswith(problem)


# Paces that cannot be had are refused before anything is sent.


@pytest.mark.parametrize(
    ("name", "slowest", "fastest"),
    [("cartesia", 0.6, 1.5), ("elevenlabs", 0.7, 1.2), ("deepgram", 0.7, 1.5)],
)
def test_a_pace_beyond_the_limits_is_refused(name: str, slowest: float, fastest: float) -> None:
    for speed in (slowest, 1.0, fastest):
        assert dialect(name, speed).speak("Call me Ishmael.", "u1")
    for speed in (slowest - 0.05, fastest + 0.05):
        with pytest.raises(VoiceUnavailable, match=f"speed {speed:g} is not within"):
            dialect(name, speed)


@pytest.mark.parametrize(
    ("name", "voice", "problem"),
    [
        ("cartesia", Voice(KATIE, "sonic-3.5", "en"), "sonic-3.5 takes no speed; sonic-3 does"),
        ("cartesia", Voice(KATIE, "sonic-2", "en"), "sonic-2 takes no speed; sonic-3 does"),
        (
            "deepgram",
            Voice("aura-asteria-en", "aura", "en"),
            "aura-asteria-en has its own speed only, not 1.1",
        ),
        (
            "deepgram",
            Voice("aura-2-lara-de", "aura-2", "de"),
            "aura-2-lara-de has its own speed only, not 1.1",
        ),
    ],
)
def test_a_voice_without_a_pace_is_not_asked_for_one(name: str, voice: Voice, problem: str) -> None:
    assert dialect(name, 1.0, voice).speak("Call me Ishmael.", "u1")
    with pytest.raises(VoiceUnavailable) as refused:
        dialect(name, 1.1, voice)
    assert str(refused.value) == problem


def test_a_dated_sonic_3_takes_what_sonic_3_does() -> None:
    spoken = dialect("cartesia", 1.1, Voice(KATIE, "sonic-3-2026-01-12", "en"))
    [request] = map(json.loads, spoken.speak("Call me Ishmael.", "u1"))
    assert (request["model_id"], request["generation_config"]) == (
        "sonic-3-2026-01-12",
        {"speed": 1.1},
    )


# Voices.


@pytest.mark.parametrize(
    ("name", "asked", "voice"),
    [
        ("cartesia", (None, None, None), Voice(KATIE, "sonic-3", "en")),
        ("cartesia", (None, "sonic-3.5", "JA"), Voice(KATIE, "sonic-3.5", "ja")),
        ("cartesia", (KATIE, "sonic-2", None), Voice(KATIE, "sonic-2", "und")),
        ("elevenlabs", (None, None, None), Voice(GEORGE, "eleven_flash_v2_5", "en")),
        (
            "elevenlabs",
            (None, "eleven_multilingual_v2", "de-at"),
            Voice(GEORGE, "eleven_multilingual_v2", "de-at"),
        ),
        ("deepgram", (None, None, None), Voice(THALIA, "aura-2", "en")),
        ("deepgram", (None, None, "nl"), Voice("aura-2-rhea-nl", "aura-2", "nl")),
        ("deepgram", (None, "aura", None), Voice("aura-asteria-en", "aura", "en")),
        ("deepgram", (None, None, "en-us"), Voice(THALIA, "aura-2", "en")),
    ],
)
def test_a_wish_finds_its_voice(
    name: str, asked: tuple[str | None, str | None, str | None], voice: Voice
) -> None:
    assert OURS[name].choose_voice(*asked) == voice


UNLISTED = {
    "cartesia": ("00000000-0000-4000-8000-00000000000A", "sonic-3", "und"),
    "elevenlabs": ("0123456789abcdefABCD", "eleven_flash_v2_5", "und"),
    "deepgram": ("aura-2-nobody-pt", "aura-2", "pt"),
}


@every_provider
def test_a_voice_may_be_asked_for_by_an_id_that_is_not_listed(name: str) -> None:
    voice = Voice(*UNLISTED[name])
    assert OURS[name].choose_voice(voice.name, None, None) == voice
    assert OURS[name].choose_voice(voice.name, voice.model, None) == voice


@every_provider
@pytest.mark.parametrize("wish", ["Katie", "", "aura-3-thalia-en", "0123456789abcdefABC"])
def test_what_cannot_be_an_id_is_a_voice_that_nobody_has(name: str, wish: str) -> None:
    with pytest.raises(VoiceUnavailable, match=f"{name} has no voice"):
        OURS[name].choose_voice(wish, None, None)


@pytest.mark.parametrize(
    ("name", "voice", "model", "problem"),
    [
        ("elevenlabs", GEORGE, "eleven_v3", "elevenlabs has no model 'eleven_v3'"),
        ("elevenlabs", "0123456789abcdefABCD", "eleven_v3", "elevenlabs has no model 'eleven_v3'"),
        ("deepgram", THALIA, "flux", "deepgram has no model 'flux'"),
        ("deepgram", "aura-2-nobody-pt", "aura", "deepgram has no voice 'aura-2-nobody-pt'"),
    ],
)
def test_a_model_that_the_socket_does_not_have_is_refused(
    name: str, voice: str, model: str, problem: str
) -> None:
    with pytest.raises(VoiceUnavailable) as refused:
        OURS[name].choose_voice(voice, model, None)
    assert str(refused.value) == problem


def test_deepgram_has_the_voices_of_its_specification() -> None:
    counts: dict[tuple[str, str], int] = {}
    for voice in DEEPGRAM.voices:
        counts[voice.model, voice.language] = counts.get((voice.model, voice.language), 0) + 1
    aura_2 = {"en": 41, "es": 17, "de": 7, "nl": 9, "fr": 2, "it": 10, "ja": 5}
    assert counts == {**{("aura-2", tag): n for tag, n in aura_2.items()}, ("aura", "en"): 12}


def test_no_piece_is_longer_than_a_socket_takes_in_a_minute() -> None:
    assert not dialect("deepgram").traits.reusable
    assert DEEPGRAM.segment_chars <= 2000


@every_provider
def test_every_listed_voice_has_a_price_and_a_day_of_it(name: str) -> None:
    provider = OURS[name]
    assert {voice.model for voice in provider.voices} == set(provider.usd_per_million_chars)
    assert provider.prices_as_of
