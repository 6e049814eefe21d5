"""How natural speech sounds: the real model, where onnxruntime is installed."""

from __future__ import annotations

from importlib import resources
from math import isclose

import numpy as np
import pytest
import trio

from batchtts import errors
from batchtts.model import Voice
from batchtts.review import mos
from batchtts.review.distillmos import DistillMos, _windows, spectra
from batchtts.review.mos import critics
from batchtts.server.damage import How, damage
from batchtts.server.engine import load as load_engine
from batchtts.wire.embedded import HIBARI, NANOTTS
from tests.sounds import speech
from tests.test_ear import SENTENCES

RATE_HZ = 24_000

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1, [0]),
        (122_880, [0]),
        (122_881, [0, 1]),
        (122_880 + 16_000, [0, 16_000]),
        (122_880 + 16_002, [0, 8_001, 16_002]),
    ],
)
def test_windows_reach_from_the_beginning_to_the_end(samples: int, starts: list[int]) -> None:
    ramp = np.arange(1, samples + 1, dtype=np.float32)
    windows = _windows(ramp)
    assert windows.shape == (len(starts), 122_880)
    assert [int(window[0]) - 1 for window in windows] == starts
    assert windows.max() == samples


def test_a_spectrum_is_compressed_and_does_not_depend_on_the_level() -> None:
    at = np.arange(122_880) / 16_000
    window = np.sin(2 * np.pi * 1000 * at).astype(np.float32)[None]
    seen = spectra(window)
    assert seen.shape == (1, 2, 161, 768)
    magnitude = np.hypot(seen[0, 0], seen[0, 1])[:, 300]
    assert magnitude.argmax() == 20  # of 50 Hz each
    assert isclose(magnitude[20], 80**0.3, rel_tol=1e-3)  # a Hann window holds half of 320 / 2
    assert np.allclose(spectra(window * np.float32(0.01)), seen, atol=0.1)


def test_silence_has_a_spectrum_too() -> None:
    assert np.isfinite(spectra(np.zeros((1, 122_880), np.float32))).all()


def test_the_licence_lies_beside_the_model() -> None:
    licence = resources.files("batchtts.review") / "distillmos.LICENSE"
    assert "Copyright (c) Microsoft Corporation" in licence.read_text()


def test_what_is_missing_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchtts.review.mos.find_spec", lambda module: None)
    with pytest.raises(errors.SettingsError, match="needs onnxruntime") as error:
        mos.check()
    assert error.value.hint == "pip install 'batchtts[mos]'"


async def test_several_are_judged_at_a_time_and_each_has_its_own_score() -> None:
    sounds = [speech(RATE_HZ, 1.0, seed).tobytes() for seed in range(3)]
    scores: dict[int, float] = {}
    with trio.fail_after(100):
        async with critics(workers=2) as critic, trio.open_nursery() as nursery:

            async def judge(number: int) -> None:
                scores[number] = await critic.judge(sounds[number], RATE_HZ)

            for number in range(3):
                nursery.start_soon(judge, number)
    alone = DistillMos()
    assert scores == {number: alone.judge(sound, RATE_HZ) for number, sound in enumerate(sounds)}


async def test_no_audio_has_no_score_and_half_a_sample_is_an_error_of_its_row() -> None:
    with trio.fail_after(100):
        async with critics(workers=1) as critic:
            with pytest.raises(errors.BadAudio):
                await critic.judge(b"", RATE_HZ)
            with pytest.raises(errors.ProcessDied):
                await critic.judge(b"odd", RATE_HZ)
            assert 1 <= await critic.judge(speech().tobytes(), RATE_HZ) <= 5


# ── what the embedded voices are worth ────────────────────────────────────────


@pytest.fixture(scope="module")
def model() -> DistillMos:
    return DistillMos()


def spoken(voice: Voice) -> list[bytes]:
    engine = load_engine(voice.model)
    return [b"".join(engine.speak(text, voice, 1.0)) for text in SENTENCES]


@pytest.fixture(scope="module")
def clean() -> list[bytes]:
    return spoken(Voice("af_heart", HIBARI, "en-us"))


@pytest.mark.slow
def test_the_best_voice_is_worth_four_and_a_half(model: DistillMos, clean: list[bytes]) -> None:
    scores = [model.judge(pcm, RATE_HZ) for pcm in clean]
    assert 4.35 < np.mean(scores) < 4.75
    assert min(scores) > 4.1


@pytest.mark.slow
def test_the_simple_one_is_worth_less_than_three_and_a_half(model: DistillMos) -> None:
    scores = [model.judge(pcm, RATE_HZ) for pcm in spoken(Voice("pico_us", NANOTTS, "en-us"))]
    assert np.mean(scores) < 3.5


@pytest.mark.slow
@pytest.mark.parametrize("how", ["noise", "dropouts"])
def test_damage_to_the_signal_costs_more_than_one(
    model: DistillMos, clean: list[bytes], how: How
) -> None:
    damaged = [damage(pcm, RATE_HZ, how, seed) for seed, pcm in enumerate(clean)]
    costs = [
        model.judge(before, RATE_HZ) - model.judge(after, RATE_HZ)
        for before, after in zip(clean, damaged, strict=True)
    ]
    assert np.mean(costs) > 1
    assert min(costs) > 0.4


@pytest.mark.slow
def test_a_recording_of_a_minute_is_judged_as_its_parts_are(
    model: DistillMos, clean: list[bytes]
) -> None:
    whole = model.judge(b"".join(clean) * 3, RATE_HZ)
    assert whole == pytest.approx(np.mean([model.judge(it, RATE_HZ) for it in clean]), abs=0.4)
