from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.decode import Hearing, decode
from batchtts.errors import BadAudio, Truncated

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


@pytest.mark.parametrize(
    ("magic", "name"), [(b"ID3\x04", "MP3"), (b"OggS\0", "Ogg"), (b"fLaC\0", "FLAC")]
)
def test_what_nobody_asked_for_is_named(magic: bytes, name: str) -> None:
    assert refused(magic + PCM) == f"{name} where PCM was asked for"


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


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (fmt(rate_hz=22_050), "1 channels of 16 bits at 22050 Hz, format 1"),
        (fmt(channels=2), "2 channels of 16 bits at 24000 Hz, format 1"),
        (fmt(bits=8), "1 channels of 8 bits at 24000 Hz, format 1"),
        (fmt(tag=3, bits=32), "1 channels of 32 bits at 24000 Hz, format 3"),
        (fmt(tag=7, bits=8), "1 channels of 8 bits at 24000 Hz, format 7"),
    ],
)
def test_a_riff_stream_of_another_kind_is_bad_audio(header: bytes, found: str) -> None:
    told = refused(riff(chunk(b"fmt ", header), chunk(b"data", PCM)))
    assert told == f"RIFF with {found}, where mono 16-bit PCM at 24000 Hz was asked for"


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
    assert Hearing(RATE_HZ).sound().pcm == b""


def test_a_riff_stream_that_hides_its_format_is_bad_audio() -> None:
    hidden = riff(b"data" + struct.pack("<I", 4) + b"\1\2\3\4")
    assert refused(hidden) == "a RIFF header that does not say its format"
