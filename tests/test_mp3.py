"""MP3 as providers send it: several files in a row, with and without tags and headers."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtts.audio import mpeg
from batchtts.audio.decode import Hearing, decode
from batchtts.errors import BadAudio, Truncated
from tests.sounds import MP3, bare_mp3, encoded, frames, heard, id3, is_like, mp3, speech

RATES = pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000, 44_100])

#: What this encoder puts in front, and a header would tell to trim.
DELAY = 576

FIRST, SECOND = mp3(seed=1), mp3(seed=2, seconds=0.7)
BOTH = np.concatenate([speech(seed=1), speech(seed=2, seconds=0.7)])


def refused(data: bytes) -> str:
    with pytest.raises(BadAudio) as error:
        decode(data, 24_000)
    return str(error.value)


# One file.


@RATES
def test_a_file_is_heard_whole_and_at_its_own_rate(rate_hz: int) -> None:
    assert is_like(heard(mp3(rate_hz), rate_hz), speech(rate_hz), rate_hz)


@RATES
def test_a_file_without_a_header_is_heard_to_its_end(rate_hz: int) -> None:
    found = heard(bare_mp3(rate_hz, seconds=3), rate_hz)
    assert len(found) >= 3 * rate_hz
    assert is_like(found[: DELAY + 3 * rate_hz], speech(rate_hz, seconds=3), rate_hz, DELAY)


def test_two_channels_are_mixed_into_one() -> None:
    stereo = np.stack([speech(), speech()], axis=1)
    assert is_like(heard(encoded(stereo, 24_000, MP3)), speech())


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.05, 0.1])
@pytest.mark.parametrize("make", [mp3, bare_mp3])
def test_a_file_may_be_short(make: object, seconds: float) -> None:
    assert callable(make)
    assert len(heard(make(seconds=seconds))) >= seconds * 24_000


@given(st.lists(st.integers(0, len(FIRST)), max_size=10))
def test_it_does_not_matter_where_a_file_is_cut(cuts: list[int]) -> None:
    hearing, at = Hearing(24_000), 0
    for cut in (*sorted(cuts), len(FIRST)):
        hearing.hear(FIRST[at:cut], None)
        at = cut
    assert hearing.sound() == decode(FIRST, 24_000)


# Several in a row.


@RATES
def test_files_with_tags_are_heard_one_after_another(rate_hz: int) -> None:
    first, second = mp3(rate_hz, seed=1), mp3(rate_hz, seed=2)
    source = np.concatenate([speech(rate_hz, seed=1), speech(rate_hz, seed=2)])
    assert is_like(heard(id3() + first + id3(7) + second, rate_hz), source, rate_hz)


@pytest.mark.parametrize(
    "data",
    [
        FIRST + SECOND,
        FIRST + b"TAG" + bytes(125) + SECOND + b"TAG" + bytes(125),
        FIRST + bytes(1000) + SECOND + bytes(3),
        id3() + id3(0) + FIRST + SECOND,
        b"ID3\4\0\x10\0\0\0\0" + b"3DI\4\0\x10\0\0\0\0" + FIRST + SECOND,
    ],
    ids=["bare", "tags of version 1", "padding", "two tags", "tag with a footer"],
)
def test_whatever_stands_between_files_they_are_heard_whole(data: bytes) -> None:
    assert is_like(heard(data), BOTH)


def test_the_header_of_the_first_file_does_not_end_what_has_none() -> None:
    found = heard(FIRST + bare_mp3(seed=2, seconds=3))
    assert is_like(found[:24_000], speech(seed=1))
    assert is_like(found[24_000 : DELAY + 96_000], speech(seed=2, seconds=3), late=DELAY)


def test_many_files_without_headers_are_heard_to_the_last() -> None:
    found = heard(b"".join(id3() + bare_mp3(seed=seed) for seed in range(5)))
    assert 5 * 24_000 <= len(found) < 5 * (24_000 + 3 * 576 + 529)


def test_files_of_another_rate_are_heard_at_that_of_the_first() -> None:
    data = mp3(24_000, seed=1) + mp3(44_100, seed=2, seconds=0.7)
    assert is_like(heard(data), BOTH)
    assert is_like(heard(bare_mp3(24_000, 0.5) + mp3(16_000, seed=2))[-24_000:], speech(seed=2))


# Headers that tell little, or not quite the truth.


def promising(count: int, flags: int = 15) -> bytes:
    """FIRST, whose header promises so many frames."""
    place = FIRST.find(b"Xing") + 4
    return FIRST[:place] + struct.pack(">II", flags, count) + FIRST[place + 8 :]


def vbri(count: int) -> bytes:
    """FIRST with the header that another encoder would write."""
    end = frames(FIRST)[0][1]
    header = FIRST[:4] + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 0, 0, count)
    assert len(header) <= end
    return header.ljust(end, b"\0") + FIRST[end:]


COUNT = len(frames(FIRST)) - 1


@pytest.mark.parametrize(
    ("data", "late"),
    [
        (promising(0), 0),
        (promising(COUNT, flags=0), DELAY),
        (promising(COUNT, flags=1), DELAY),
        (vbri(0), DELAY),
        (vbri(COUNT), DELAY),
    ],
)
def test_a_header_that_does_not_say_all_cuts_nothing_off(data: bytes, late: int) -> None:
    assert is_like(heard(data)[: late + 24_000], speech(seed=1), late=late)
    assert len(heard(data + SECOND)) >= 1.7 * 24_000


def test_some_headers_count_themselves() -> None:
    assert is_like(heard(promising(COUNT + 1)), speech(seed=1))


def test_what_is_more_than_a_header_promises_is_heard_too() -> None:
    assert len(heard(promising(COUNT // 2))) > 24_000 - 576  # two files, as far as can be told


@pytest.mark.parametrize("data", [promising(COUNT + 2), vbri(COUNT + 2), promising(2**32 - 1)])
def test_a_file_with_fewer_frames_than_promised_is_truncated(data: bytes) -> None:
    with pytest.raises(Truncated, match=f"MP3 of {COUNT} frames, of which .* were promised"):
        decode(data + SECOND, 24_000)


# What is cut short.


def test_a_last_frame_that_is_cut_short_is_truncated() -> None:
    start, end = frames(FIRST)[-1]
    for data in (FIRST, id3() + FIRST, SECOND + bare_mp3(seed=1)):
        for missing in range(1, end - start):
            with pytest.raises(Truncated, match="the last frame of MP3 has"):
                decode(data[:-missing], 24_000)


def test_a_file_that_is_cut_between_frames_is_truncated_if_it_has_a_header() -> None:
    for start, _ in frames(FIRST)[1:-1]:
        with pytest.raises(Truncated):
            decode(FIRST[:start], 24_000)


def test_a_tag_that_is_cut_short_is_truncated() -> None:
    with pytest.raises(Truncated, match="an ID3 tag has 40 of 310 bytes"):
        decode(id3()[:40], 24_000)


# What is no MP3, or not only.


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (FIRST + b"hello" + SECOND, f"goes on with something else at byte {len(FIRST)}"),
        (id3() + b"hello", "goes on with something else at byte 310"),
        (b"ID3\4\0\0\xff\0\0\0" + FIRST, "an ID3 tag without a length"),
        (id3(), "MP3 without a frame of audio"),
        (promising(0)[: frames(FIRST)[0][1]], "MP3 without a frame of audio"),
        (b"hello" + FIRST, "MP3 behind 5 bytes of anything where speech was asked for"),
    ],
)
def test_what_does_not_belong_there_is_bad_audio(data: bytes, told: str) -> None:
    assert told in refused(data)


@pytest.mark.parametrize(
    "samples",
    [
        b"\xff\xfb\x90\x64" * 3000,
        b"\xff\xfb\x90\x64" + bytes(10_000),
        b"\xff\xf3\x84\xc4" + np.arange(5000, dtype="<i2").tobytes(),
        np.full(5000, -1, "<i2").tobytes(),
        b"TAG" + bytes(10_001),
    ],
)
def test_samples_that_look_like_a_frame_are_samples(samples: bytes) -> None:
    assert decode(samples, 24_000).pcm == samples


@given(st.binary(min_size=4, max_size=4).map(lambda four: b"\xff" + four[1:]))
def test_a_header_says_how_long_its_frame_is_or_is_none(four: bytes) -> None:
    frame = mpeg.frame_at(four, 0)
    assert frame is None or 24 <= frame.length <= 1441


@given(
    st.sampled_from([FIRST, id3() + SECOND, bare_mp3(seconds=0.2)]),
    st.integers(0, 2000),
    st.integers(0, 40),
    st.binary(max_size=40),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_becomes_of_it_on_the_way_it_is_a_sound_or_another_attempt(
    data: bytes, at: int, cut: int, put: bytes
) -> None:
    try:
        sound = decode(data[:at] + put + data[at + cut :], 24_000)
    except (BadAudio, Truncated) as error:
        told = str(error)
    else:
        told = f"{len(sound.pcm) // 2} samples"
    assert told.isprintable()
