"""Segments joined: pauses as asked, measured in another way than they are made, and no clicks."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.audio.edges import find_edges
from batchtts.audio.join import Joined, Joiner
from batchtts.errors import BadAudio
from batchtts.server import process
from batchtts.server.engine import SAMPLE_RATE_HZ, Tone
from batchtts.wire.embedded import EMBEDDED_VOICES, HIBARI, NANOTTS
from tests.e2e import ask, results
from tests.sounds import speech

Samples = np.ndarray[Any, np.dtype[Any]]

VOICES = {voice.name: voice for voice in EMBEDDED_VOICES}
TOLERANCE_S = 0.020

few = settings(max_examples=40)

rates_hz = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
pauses_s = st.floats(0, 1.5)


@dataclass(frozen=True)
class Provider:
    """How one provider makes a segment."""

    lead_in_s: float
    tail_s: float
    dbfs: float
    offset: int
    hiss_dbfs: float
    is_noisy: bool
    seed: int

    def segment(self, rate_hz: int) -> bytes:
        """Half a second of something like speech, with what this provider puts around it.

        Without silence around it, speech begins and ends in the middle of a wave.
        """
        chance = np.random.default_rng(self.seed)
        sound = spoken(rate_hz, self.seed)
        if self.is_noisy:
            sound = chance.normal(0, 1, len(sound)) * np.abs(sound)
        ramp = np.linspace(0, 1, rate_hz // 200)
        if self.lead_in_s:
            sound[: len(ramp)] *= ramp
        if self.tail_s:
            sound[-len(ramp) :] *= ramp[::-1]
        sound *= 32768 * 10 ** (self.dbfs / 20) / np.abs(sound).max()
        around = (np.zeros(round(rate_hz * it)) for it in (self.lead_in_s, self.tail_s))
        whole = np.concatenate((next(around), sound, next(around))) + self.offset
        whole += chance.normal(0, 32768 * 10 ** (self.hiss_dbfs / 20), len(whole))
        return bytes(np.clip(np.rint(whole), -32768, 32767).astype("<i2").tobytes())


@functools.cache
def _spoken(rate_hz: int, seed: int) -> Samples:
    return speech(rate_hz, 0.5, seed).astype(float)


def spoken(rate_hz: int, seed: int) -> Samples:
    """One of a few sounds, to be changed at will."""
    return _spoken(rate_hz, seed).copy()


providers = st.builds(
    Provider,
    lead_in_s=st.floats(0, 0.6),
    tail_s=st.floats(0, 0.6),
    dbfs=st.floats(-20, -6),
    offset=st.integers(-2000, 2000),
    hiss_dbfs=st.floats(-120, -85),
    is_noisy=st.booleans(),
    seed=st.integers(0, 9),
)


def join(segments: list[bytes], rate_hz: int, pause_s: float) -> list[Joined]:
    joiner = Joiner(rate_hz)
    joined = [joiner.add(each, pause_s) for each in segments[:-1]]
    return [*joined, joiner.add(segments[-1], last=True)]


def whole(joined: list[Joined]) -> Samples:
    return np.frombuffer(b"".join(each.pcm for each in joined), "<i2").astype(float)


def measured_pauses_s(joined: list[Joined], rate_hz: int, share: float = 0.01) -> list[float]:
    return pauses_between(whole(joined), spans_s(joined), rate_hz, share)


def spans_s(joined: list[Joined]) -> list[tuple[float, float]]:
    return [(it.start_s, it.end_s) for it in joined]


def pauses_between(
    samples: Samples, spans: list[tuple[float, float]], rate_hz: int, share: float = 0.01
) -> list[float]:
    """From where one has fallen to a share of its loudest 10 ms, to where the next has risen."""
    heard: list[Samples] = []
    middles = [
        round((end_s + start_s) / 2 * rate_hz) for (_, end_s), (start_s, _) in pairwise(spans)
    ]
    for start, end in zip([0, *middles], [*middles, len(samples)], strict=True):
        levels = rms(samples[start:end], rate_hz)
        heard.append(
            start + len_of_half_window(rate_hz) + np.flatnonzero(levels > levels.max() * share)
        )
    return [float(later[0] - earlier[-1]) / rate_hz for earlier, later in pairwise(heard)]


def rms(samples: Samples, rate_hz: int) -> Samples:
    """The level of the 10 ms from every sample on."""
    frames = 2 * len_of_half_window(rate_hz)
    energy = np.concatenate(([0.0], np.cumsum(samples**2)))
    levels: Samples = np.sqrt(np.maximum(energy[frames:] - energy[:-frames], 0) / frames)
    return levels


def len_of_half_window(rate_hz: int) -> int:
    return rate_hz // 200


def jumps(samples: Samples) -> Samples:
    return np.abs(np.diff(samples))


def assert_no_click(joined: list[Joined], rate_hz: int) -> None:
    assert_no_click_between(whole(joined), spans_s(joined), rate_hz)


def assert_no_click_between(
    samples: Samples, spans: list[tuple[float, float]], rate_hz: int
) -> None:
    """No sample of a join is further from the next one than samples of the speech around it."""
    frames = [(round(start_s * rate_hz), round(end_s * rate_hz)) for start_s, end_s in spans]
    for one, other in pairwise(frames):
        around = np.concatenate([jumps(samples[start:end]) for start, end in (one, other)])
        limit = np.quantile(around, 0.999)
        assert jumps(samples[one[1] - 1 : other[0] + 2]).max(initial=0) <= limit


@few
@given(rates_hz, st.lists(providers, min_size=2, max_size=4), pauses_s)
def test_pauses_are_what_was_asked_for(rate_hz: int, sent: list[Provider], pause_s: float) -> None:
    upright = [replace(it, offset=0) for it in sent]
    joined = join([it.segment(rate_hz) for it in upright], rate_hz, pause_s)
    asked = [pause_s] * (len(sent) - 1)
    gaps = [b.start_s - a.end_s for a, b in pairwise(joined)]
    assert gaps == pytest.approx(asked, abs=0.0101)
    assert measured_pauses_s(joined, rate_hz) == pytest.approx(asked, abs=TOLERANCE_S)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
@pytest.mark.parametrize("pause_s", [0.15, 0.35, 1.2])
def test_pauses_of_a_provider_that_hisses_are_too(rate_hz: int, pause_s: float) -> None:
    hissing = [Provider(0.3, 0.46, -8, 0, -50, is_noisy=False, seed=seed) for seed in range(4)]
    joined = join([it.segment(rate_hz) for it in hissing], rate_hz, pause_s)
    measured = measured_pauses_s(joined, rate_hz, share=0.05)
    assert measured == pytest.approx([pause_s] * 3, abs=TOLERANCE_S)
    assert_no_click(joined, rate_hz)


@few
@given(rates_hz, st.lists(providers, min_size=2, max_size=4), pauses_s)
def test_no_join_clicks(rate_hz: int, sent: list[Provider], pause_s: float) -> None:
    assert_no_click(join([it.segment(rate_hz) for it in sent], rate_hz, pause_s), rate_hz)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
@pytest.mark.parametrize("pause_s", [0.0, 0.35])
@pytest.mark.parametrize("hertz", [85, 200])
def test_a_provider_that_cuts_a_wave_at_its_crest_makes_no_click(
    rate_hz: int, pause_s: float, hertz: int
) -> None:
    crests = 16_000 * np.cos(2 * np.pi * hertz * np.linspace(0, 40 / hertz, 40 * rate_hz // hertz))
    segment = crests.astype("<i2").tobytes()
    assert_no_click(join([segment] * 3, rate_hz, pause_s), rate_hz)


def test_a_constant_offset_makes_no_click() -> None:
    rate_hz = 24_000
    sent = Provider(0.3, 0.46, -16, 3000, -120, is_noisy=False, seed=3)
    joined = join([sent.segment(rate_hz)] * 3, rate_hz, 0.35)
    assert_no_click(joined, rate_hz)
    between = whole(joined)[round((joined[0].end_s + 0.1) * rate_hz) :][: rate_hz // 10]
    assert not between.any()


@few
@given(rates_hz, st.lists(providers, min_size=2, max_size=3), pauses_s)
def test_both_sides_of_a_join_are_exactly_zero(
    rate_hz: int, sent: list[Provider], pause_s: float
) -> None:
    joined = join([it.segment(rate_hz) for it in sent], rate_hz, pause_s)
    for one, other in pairwise(joined):
        assert one.pcm[-2:] == other.pcm[:2] == b"\0\0"


@few
@given(rates_hz, st.lists(providers, min_size=1, max_size=4), pauses_s)
def test_speech_is_where_it_is_said_to_be_and_otherwise_untouched(
    rate_hz: int, sent: list[Provider], pause_s: float
) -> None:
    segments = [it.segment(rate_hz) for it in sent]
    joined = join(segments, rate_hz, pause_s)
    samples = whole(joined)
    fade = round(0.005 * rate_hz) + 1
    for segment, placed in zip(segments, joined, strict=True):
        shift = round(placed.shift_s * rate_hz)
        heard = find_edges(segment, rate_hz).audible
        assert round(placed.start_s * rate_hz) - shift == heard.start
        assert round(placed.end_s * rate_hz) - shift == heard.end
        own = np.frombuffer(segment, "<i2")[heard.start + fade : heard.end - fade]
        at = heard.start + fade + shift
        assert np.array_equal(samples[at : at + len(own)], own)


@few
@given(rates_hz, providers, pauses_s)
def test_one_segment_is_left_as_it_is(rate_hz: int, sent: Provider, pause_s: float) -> None:
    segment = sent.segment(rate_hz)
    only = Joiner(rate_hz).add(segment, pause_s, last=True)
    assert only.pcm == segment
    assert only.shift_s == 0


@few
@given(rates_hz, providers, providers)
def test_the_first_beginning_and_the_last_end_are_the_providers_own(
    rate_hz: int, one: Provider, other: Provider
) -> None:
    segments = [one.segment(rate_hz), other.segment(rate_hz)]
    joined = whole(join(segments, rate_hz, 0.35))
    quarter = rate_hz // 4
    head, tail = (np.frombuffer(each, "<i2") for each in segments)
    assert np.array_equal(joined[:quarter], head[:quarter])
    assert np.array_equal(joined[-quarter:], tail[-quarter:])


@given(rates_hz, st.lists(st.integers(0, 300), min_size=2, max_size=4), pauses_s)
def test_next_to_nothing_is_joined_too(rate_hz: int, frames: list[int], pause_s: float) -> None:
    segments = [np.full(count, 9000, "<i2").tobytes() for count in frames]
    joined = join(segments, rate_hz, pause_s)
    pauses = round(pause_s * rate_hz) * (len(frames) - 1)
    assert len(whole(joined)) == sum(frames) + pauses
    for one, other in pairwise(joined):
        assert one.end_s <= other.start_s


def test_times_of_words_move_with_their_segment() -> None:
    rate_hz = 24_000
    sent = Provider(0.3, 0.46, -10, 0, -120, is_noisy=False, seed=1)
    first, second = join([sent.segment(rate_hz)] * 2, rate_hz, 0.35)
    assert first.start_s == pytest.approx(0.3, abs=0.004)
    assert first.end_s == pytest.approx(0.8, abs=0.004)
    assert second.start_s - first.end_s == pytest.approx(0.35, abs=1 / rate_hz)
    assert second.shift_s + 0.3 == pytest.approx(second.start_s, abs=0.004)


def test_half_a_sample_is_an_error() -> None:
    with pytest.raises(BadAudio):
        Joiner(24_000).add(b"\0")


@pytest.mark.parametrize("pause_s", [0.0, 0.15, 0.7])
def test_every_whistle_of_the_tone_engine_is_kept(pause_s: float) -> None:
    texts = ("Call me Ishmael.", "Some years", "ago I went to sea,", "a")
    segments = [b"".join(Tone().speak(text, VOICES["tone"], 1.0)) for text in texts]
    joined = join(segments, SAMPLE_RATE_HZ, pause_s)
    assert len(whole(joined)) * 2 == sum(map(len, segments)) + 3 * round(pause_s * 48_000)
    assert_no_click(joined, SAMPLE_RATE_HZ)
    measured = measured_pauses_s(joined, SAMPLE_RATE_HZ)
    assert measured == pytest.approx([pause_s] * 3, abs=TOLERANCE_S)


SENTENCES = (
    "She sells sea shells.|He held his hat, and hummed.|Half of the staff was off.|Stop!|Hush."
    "|Who is there?|Five thousand six hundred and seventy-eight.|Yes.|Thanks for the fish."
    "|Suddenly she laughed, and shut the book with a snap.|Oh, my love."
).split("|")


def said(engine: str) -> list[bytes]:
    """The sentences, each spoken on its own; they begin and end in sounds of every kind."""
    requests = [process.Request(text, "", engine, "en-us", 1.0) for text in SENTENCES]
    replies = subprocess.run(
        [sys.executable, "-m", "batchtts.server.process", "--engine", engine],
        input=b"".join(map(process.encode, requests)),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout
    whole, at = [b""], 0
    while at < len(replies):
        (length,) = process.LENGTH.unpack_from(replies, at)
        kind, body = replies[at + 4 : at + 5], replies[at + 5 : at + 4 + length]
        at += 4 + length
        if kind == process.PIECE:
            whole[-1] += body
        else:
            assert kind == process.END
            whole.append(b"")
    return whole[:-1]


@pytest.mark.skipif(
    not (find_spec("hibari") and find_spec("py_nanotts")), reason="the voices are not installed"
)
@pytest.mark.parametrize("engine", [HIBARI, NANOTTS])
def test_pauses_between_real_voices_are_what_was_asked_for(engine: str) -> None:
    segments = said(engine)
    assert len(segments) == len(SENTENCES)
    for pause_s in (0.0, 0.05, 0.15, 0.35, 1.2):
        joined = join(segments, SAMPLE_RATE_HZ, pause_s)
        measured = measured_pauses_s(joined, SAMPLE_RATE_HZ)
        assert measured == pytest.approx([pause_s] * len(measured), abs=TOLERANCE_S)
        assert_no_click(joined, SAMPLE_RATE_HZ)


PAUSES = {"clause": 0.25, "sentence": 0.5, "paragraph": 0.9, "heading": 1.4}
SCRIPT = """
The Lamp of the Harbor

She sells sea shells, and half of the staff was off. He held his hat, and hummed a song about
five thousand six hundred and seventy-eight fish. Suddenly she laughed, and shut the book with
a snap. Who is there, she asked, at this hour of the night? Nobody but the wind and the sea.

When the last of the ships had gone, and the men who had mended its sails sat in the kitchen of
the house by the harbor, somebody began to sing of a lamp that had burned for a hundred years,
of those who had carried it up the stairs, and of the one who had let it go out, in a winter
when nobody came.

Thanks for the fish.
"""


def what_stands_behind(script: str, end: int) -> str:
    """Which pause is asked for where a segment ends."""
    before = script[:end].rstrip()
    is_finished = before.endswith((".", "?"))
    if "\n\n" in script[len(before) : end]:
        return "paragraph" if is_finished else "heading"
    return "sentence" if is_finished else "clause"


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("hibari") and find_spec("py_nanotts")), reason="the voices are not installed"
)
@pytest.mark.parametrize("voice", ["af_heart", "bf_emma", "pico_de"])
def test_pauses_in_the_file_of_a_long_row_are_those_of_the_job_file(
    tmp_path: Path, voice: str
) -> None:
    script = SCRIPT.strip()
    (tmp_path / "m.jsonl").write_text(json.dumps({"id": "long", "text": script}))
    asked = "".join(f"{name} = {pause_s}\n" for name, pause_s in PAUSES.items())
    told = f'manifest = "m.jsonl"\nprovider = "local"\nvoice = "{voice}"\nout = "out"\n'
    (tmp_path / "job.toml").write_text(f"{told}[pauses]\n{asked}")
    assert ask("run", "job.toml", here=tmp_path).status == 0
    [row] = results(tmp_path / "out")
    samples, rate_hz = soundfile.read(tmp_path / "out" / row["path"], dtype="int16")
    behind = [what_stands_behind(script, cue["end"]) for cue in row["cues"][:-1]]
    assert set(behind) == set(PAUSES)
    spans = [(cue["start_s"], cue["end_s"]) for cue in row["cues"]]
    measured = pauses_between(samples.astype(float), spans, rate_hz)
    assert measured == pytest.approx([PAUSES[name] for name in behind], abs=TOLERANCE_S)
    assert_no_click_between(samples.astype(float), spans, rate_hz)
