from __future__ import annotations

import io
import re
import struct
from contextlib import suppress
from typing import get_args

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.audio.decode import Hearing, Sound, decode
from batchtts.errors import BadAudio, Truncated
from batchtts.model import Word
from batchtts.wire.dialogue import Encoding
from tests.sounds import FLAC, MP3, OPUS, VORBIS, WAV, encoded, heard, is_like, speech

RATE_HZ = 24_000
PCM = np.arange(-500, 500, dtype="<i2").tobytes()

# Two bytes of silence first: what is drawn must not begin like another format.
whole_samples = st.binary(max_size=64).map(lambda data: b"\0\0" + data[: len(data) // 2 * 2])


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    promised = len(data) if size is None else size
    return struct.pack("<4sI", name, promised) + data + b"\0" * (len(data) % 2)


def fmt(
    tag: int = 1, channels: int = 1, rate_hz: int = RATE_HZ, bits: int = 16, more: bytes = b""
) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame, frame, bits) + more


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", sum(map(len, chunks)) + 4) + b"WAVE" + b"".join(chunks)


def refused(data: bytes) -> str:
    with pytest.raises(BadAudio) as error:
        decode(data, RATE_HZ)
    return str(error.value)


# Raw


@pytest.mark.parametrize("data", [b"", b"\0\0", PCM])
def test_raw_samples_are_taken_as_they_are(data: bytes) -> None:
    assert decode(data, RATE_HZ).pcm == data


def test_half_a_sample_is_bad_audio() -> None:
    assert refused(PCM[:-1]) == "1999 bytes do not make whole 16-bit samples"


def samples_of(data: bytes, encoding: Encoding) -> list[int]:
    return [*map(int, np.frombuffer(decode(data, RATE_HZ, encoding).pcm, "<i2"))]


def test_floats_are_samples_of_which_one_is_the_loudest() -> None:
    floats = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -9e9, 1 / 32768], "<f4")
    found = samples_of(floats.tobytes(), "f32le")
    assert found == [0, 16384, -16384, 32767, -32768, 32767, -32768, 1]


def test_floats_are_whole_and_numbers() -> None:
    with pytest.raises(BadAudio, match=r"^9 bytes do not make whole 32-bit samples$"):
        decode(bytes(9), RATE_HZ, "f32le")
    for number in (np.nan, np.inf):
        with pytest.raises(BadAudio, match=r"^samples that are no numbers$"):
            decode(np.array([0, number], "<f4").tobytes(), RATE_HZ, "f32le")


@pytest.mark.parametrize(("encoding", "code"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_telephone_samples_are_eight_bits_each(encoding: Encoding, code: str) -> None:
    data = encoded(speech(8_000), 8_000, ("RAW", code))
    sound = decode(data, 8_000, encoding)
    assert (len(sound.pcm), sound.sample_rate_hz) == (2 * len(data), 8_000)
    assert is_like(np.frombuffer(sound.pcm, "<i2"), speech(8_000), 8_000)
    assert decode(b"", 8_000, encoding).pcm == b""


def test_what_is_silent_on_the_telephone_is_no_mp3() -> None:
    assert not any(samples_of(b"\xff" * 20_000, "mulaw"))


@pytest.mark.parametrize("encoding", get_args(Encoding))
def test_a_header_wins_over_what_was_asked_for(encoding: Encoding) -> None:
    for kind in (WAV, MP3, VORBIS, FLAC):
        sound = decode(encoded(speech(16_000), 16_000, kind), 8_000, encoding)
        assert sound.sample_rate_hz == 16_000
        assert is_like(np.frombuffer(sound.pcm, "<i2"), speech(16_000), 16_000)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\x1a\x45\xdf\xa3", "WebM"),
        (b"\0\0\0\x20ftypM4A ", "MP4"),
        (b"FORM\0\0\0\0AIFF", "AIFF"),
        (b".snd\0\0\0\x18", "AU"),
        (b"caff\0\1", "CAF"),
        (b"#!AMR\n", "AMR"),
        (b'{"error": "Service unavailable"}', "text"),
        (b"<!DOCTYPE html><html><body>Bad gateway", "text"),
    ],
)
def test_what_nobody_asked_for_is_named(start: bytes, name: str) -> None:
    assert refused(start + PCM) == f"{name} where speech was asked for"


# RIFF


def test_a_wav_file_is_its_samples() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(PCM, "<i2"), RATE_HZ, subtype="PCM_16", format="WAV")
    assert decode(file.getvalue(), RATE_HZ).pcm == PCM


@pytest.mark.parametrize(
    "data",
    [
        riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM)),
        riff(chunk(b"LIST", b"odd"), chunk(b"fmt ", fmt()), chunk(b"data", PCM)),
        riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM), chunk(b"LIST", b"made by nobody")),
        riff(chunk(b"fmt ", fmt(0xFFFE, more=bytes(24))), chunk(b"data", PCM)),
        riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM, size=0)),
        riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM, size=0xFFFFFFFF)),
        riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM, size=0x7FFFFFFF)),
        riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM, size=0x7FFFFF00 + 36)),
    ],
)
def test_a_riff_stream_is_its_samples(data: bytes) -> None:
    assert decode(data, RATE_HZ).pcm == PCM


def test_a_riff_stream_without_a_sample_is_empty() -> None:
    assert decode(riff(chunk(b"fmt ", fmt()), chunk(b"data", b"")), RATE_HZ).pcm == b""


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 192_000])
def test_a_riff_stream_says_its_rate(rate_hz: int) -> None:
    sound = decode(riff(chunk(b"fmt ", fmt(rate_hz=rate_hz)), chunk(b"data", PCM)), RATE_HZ)
    assert (sound.pcm, sound.sample_rate_hz) == (PCM, rate_hz)


@pytest.mark.parametrize(
    ("container", "code"),
    [
        *(("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT")),
        *(("WAV", "DOUBLE"), ("WAV", "ULAW"), ("WAV", "ALAW")),
        *(("WAVEX", "PCM_16"), ("WAVEX", "FLOAT"), ("WAVEX", "ULAW")),
    ],
)
def test_a_riff_stream_of_another_kind_is_heard(container: str, code: str) -> None:
    first = encoded(speech(22_050), 22_050, (container, code))
    second = encoded(speech(22_050, seed=1), 22_050, (container, code))
    source = np.concatenate([speech(22_050), speech(22_050, seed=1)])
    assert is_like(heard(first + second, 22_050), source, 22_050)


def test_two_channels_of_a_riff_stream_are_mixed_into_one() -> None:
    stereo = np.stack([speech(), speech(seed=1)], axis=1)
    mixed = (speech().astype(int) + speech(seed=1)) / 2
    assert np.abs(heard(encoded(stereo, RATE_HZ, WAV)) - mixed).max() <= 2


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (fmt(channels=3), "with 3 channels of 16 bits at 24000 Hz, format 1"),
        (fmt(bits=12), "with 1 channels of 12 bits at 24000 Hz, format 1"),
        (fmt(tag=0x55, bits=0), "with 1 channels of 0 bits at 24000 Hz, format 85"),
        (fmt(rate_hz=1), "at 1 Hz"),
        (fmt(rate_hz=2**32 - 1, bits=0)[:14] + b"\x10\0", "at 4294967295 Hz"),
    ],
)
def test_a_riff_stream_that_nobody_can_hear_is_bad_audio(header: bytes, found: str) -> None:
    assert refused(riff(chunk(b"fmt ", header), chunk(b"data", PCM))) == f"RIFF {found}"


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_several_riff_streams_in_a_row_are_heard_whole(size: int | None) -> None:
    one = riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM, size=size))
    note = chunk(b"LIST", b"odd") if size is None else b""
    assert decode(one + note + one + one, RATE_HZ).pcm == PCM * 3


def test_a_riff_stream_of_another_rate_is_heard_at_that_of_the_first() -> None:
    data = encoded(speech(), RATE_HZ, WAV) + encoded(speech(44_100, seed=1), 44_100, WAV)
    assert is_like(heard(data), np.concatenate([speech(), speech(seed=1)]))


def test_audio_that_a_riff_header_knows_nothing_of_is_not_lost() -> None:
    data = riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM[:1000])) + PCM[1000:]
    assert refused(data) == "1000 bytes behind what a RIFF header promises"


def test_half_a_sample_of_a_riff_stream_is_bad_audio() -> None:
    two = fmt(channels=2)
    assert refused(riff(chunk(b"fmt ", two), chunk(b"data", PCM[:-2]))) == (
        "1998 bytes do not make whole 2 times 16-bit samples"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM))[:-2], "promises 2000 bytes.*; 1998 came"),
        (riff(chunk(b"fmt ", fmt())), "without audio"),
        (riff(), "without audio"),
        (riff(chunk(b"fmt ", fmt()), b"data"), "without audio"),
        (riff(chunk(b"fmt ", fmt()))[:24], "cut short"),
        (riff(chunk(b"LIST", b"", size=10_000)), "without audio"),
    ],
)
def test_a_riff_stream_that_breaks_off_is_truncated(data: bytes, why: str) -> None:
    with pytest.raises(Truncated, match=why):
        decode(data, RATE_HZ)


@given(st.binary(max_size=100), st.booleans())
def test_whatever_comes_is_whole_samples_or_another_attempt(data: bytes, is_riff: bool) -> None:
    head = riff(chunk(b"fmt ", fmt())) if is_riff else b""
    with suppress(BadAudio, Truncated):
        assert len(decode(head + data, RATE_HZ).pcm) % 2 == 0


# Ogg and FLAC


@pytest.mark.parametrize("kind", [VORBIS, FLAC])
def test_one_file_after_another_is_heard(kind: tuple[str, str]) -> None:
    data = encoded(speech(), RATE_HZ, kind) + encoded(speech(seed=1), RATE_HZ, kind)
    assert is_like(heard(data), np.concatenate([speech(), speech(seed=1)]))


def test_opus_is_heard() -> None:
    tone = (np.sin(np.arange(RATE_HZ) / 20) * 16_000).astype("<i2")
    found = heard(encoded(tone, RATE_HZ, OPUS) * 2)
    assert is_like(found, np.concatenate([tone, tone]))


def pages(data: bytes) -> list[bytes]:
    starts = [found.start() for found in re.finditer(b"OggS", data)]
    return [data[i:j] for i, j in zip(starts, [*starts[1:], len(data)], strict=True)]


OGG = encoded(speech(seconds=3.0), RATE_HZ, VORBIS)


def test_ogg_that_breaks_off_is_truncated() -> None:
    for end in range(50, len(OGG), 97):
        with pytest.raises(Truncated, match="Ogg"):
            decode(OGG[:end], RATE_HZ)
    with pytest.raises(Truncated, match="Ogg that ends in the header of a page"):
        decode(OGG + b"OggS", RATE_HZ)
    with pytest.raises(Truncated, match="Ogg without the last page of a stream"):
        decode(b"".join(pages(OGG)[:-1]) + OGG, RATE_HZ)


def test_ogg_with_two_streams_at_once_is_no_speech() -> None:
    first, *others = pages(OGG)
    with pytest.raises(Truncated, match="Ogg without the last page of a stream"):
        decode(first + pages(encoded(speech(), RATE_HZ, VORBIS))[0] + b"".join(others), RATE_HZ)


def test_ogg_with_a_page_that_is_damaged_or_missing_is_bad_audio() -> None:
    first, *middle, last = pages(OGG)
    assert len(middle) > 1
    assert refused(first + b"".join(middle[:-1]) + last).startswith("Ogg without page")
    assert refused(OGG[:-1] + b"?").startswith("a damaged page of Ogg")
    assert refused(OGG + b"hello").startswith("Ogg that goes on with something else")


def test_a_small_file_of_endless_silence_is_bad_audio() -> None:
    silence = np.broadcast_to(np.int16(0), (3600 * 4_000 + 1,))
    assert refused(encoded(silence, 4_000, FLAC)) == "FLAC of more than an hour"


def test_flac_that_breaks_off_is_another_attempt() -> None:
    data = encoded(speech(), RATE_HZ, FLAC)
    for end in (5, 41, len(data) // 2, len(data) - 1):
        with pytest.raises((BadAudio, Truncated), match="FLAC"):
            decode(data[:end], RATE_HZ)


@given(
    st.sampled_from([encoded(speech(seconds=0.1), RATE_HZ, it) for it in (VORBIS, OPUS, FLAC)]),
    st.integers(0, 3000),
    st.integers(0, 40),
    st.binary(max_size=40),
)
@settings(deadline=None)
def test_whatever_becomes_of_a_file_it_is_a_sound_or_another_attempt(
    data: bytes, at: int, cut: int, put: bytes
) -> None:
    with suppress(BadAudio, Truncated):
        assert len(decode(data[:at] + put + data[at + cut :], RATE_HZ).pcm) % 2 == 0


# What is heard in an attempt


@given(whole_samples, st.lists(st.integers(0, 64)))
def test_payloads_may_be_cut_anywhere(pcm: bytes, cuts: list[int]) -> None:
    hearing, at = Hearing(RATE_HZ), 0
    for cut in sorted(cuts):
        hearing.hear(pcm[at:cut], "item")
        at = max(at, cut)
    hearing.hear(pcm[at:], "item")
    assert hearing.sound().pcm == pcm


def test_every_item_may_have_a_header_of_its_own() -> None:
    hearing = Hearing(RATE_HZ)
    first = riff(chunk(b"fmt ", fmt()), chunk(b"data", PCM, size=0xFFFFFFFF))
    hearing.hear(first[:13], "1")
    hearing.hear(first[13:], "1")
    hearing.hear(riff(chunk(b"fmt ", fmt()), chunk(b"data", b"\1\2")), "2")
    hearing.hear(b"\3\4", None)
    assert hearing.sound().pcm == PCM + b"\1\2\3\4"


def test_items_that_come_by_turns_stay_apart() -> None:
    hearing = Hearing(RATE_HZ)
    for payload, item in ((b"\1", "a"), (b"\2", "b"), (b"\1", "a"), (b"\2", "b")):
        hearing.hear(payload, item)
    assert hearing.sound().pcm == b"\1\1\2\2"


def test_half_a_sample_in_any_item_is_bad_audio() -> None:
    hearing = Hearing(RATE_HZ)
    hearing.hear(b"\0", "a")
    hearing.hear(b"\0", "b")
    with pytest.raises(BadAudio):
        hearing.sound()


def test_nothing_heard_is_nothing() -> None:
    assert Hearing(RATE_HZ).sound() == Sound(b"", RATE_HZ)


def test_items_of_another_rate_are_heard_at_that_of_the_first() -> None:
    hearing = Hearing(RATE_HZ)
    hearing.hear(encoded(speech(), RATE_HZ, WAV), "1")
    hearing.hear(encoded(speech(44_100, seed=1), 44_100, WAV), "2")
    hearing.time([Word("one", 0.0, 1.0)], "1")
    hearing.time([Word("two", 0.25, 0.75)], "2")
    sound = hearing.sound()
    source = np.concatenate([speech(), speech(seed=1)])
    assert sound.sample_rate_hz == RATE_HZ
    assert is_like(np.frombuffer(sound.pcm, "<i2"), source)
    assert sound.words == (Word("one", 0.0, 1.0), Word("two", 1.25, 1.75))


def test_raw_samples_alone_need_no_decoding() -> None:
    plain = Hearing(RATE_HZ)
    assert plain.plain_sound() == plain.sound() == Sound(b"", RATE_HZ)
    for payload in (b"", PCM[:1], PCM[1:], PCM * 20):
        plain.hear(payload, "1")
    assert plain.plain_sound() == plain.sound() == Sound(PCM * 21, RATE_HZ)
    for kind in (WAV, MP3, VORBIS, FLAC):
        data, hearing = encoded(speech(), RATE_HZ, kind), Hearing(RATE_HZ)
        hearing.hear(PCM, "1")
        hearing.hear(data[:2], "2")
        hearing.hear(data[2:], "2")
        assert hearing.plain_sound() is None
    assert Hearing(RATE_HZ, "mulaw").plain_sound() is None


def test_a_riff_stream_that_hides_its_format_is_bad_audio() -> None:
    hidden = riff(b"data" + struct.pack("<I", 4) + b"\1\2\3\4")
    assert refused(hidden) == "a RIFF header that does not say its format"
