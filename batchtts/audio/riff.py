"""WAV taken apart: several files in a row, lengths that nobody knew, and the rest. Pure.

A header may have been written before the length was known, and libraries open a
file that was cut short as a fine shorter one; so chunks are walked here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from batchtts.errors import BadAudio, Truncated

# A header written before the length was known has nothing here, or almost the most there is.
_UNKNOWN_SIZE_FROM = 0x7FFFFF00

PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE

#: Format tag → bits of a sample.
_KNOWN = {PCM: (8, 16, 24, 32), _FLOAT: (32, 64), _A_LAW: (8,), _MU_LAW: (8,)}

#: How a file begins.
START = re.compile(rb"RIFF.{4}WAVE", re.DOTALL)
# Such a header begins another file, even where nobody knows how long the last one is.
_NEXT = re.compile(rb"RIFF.{4}WAVEfmt [\x10\x12\x28]\0\0\0", re.DOTALL)
_NAME = re.compile(rb"[ -~]{4}")


@dataclass(frozen=True, slots=True)
class Format:
    """What the samples of a file are."""

    tag: int
    channels: int
    sample_rate_hz: int
    bits: int

    @property
    def is_plain(self) -> bool:
        """Mono, s16le."""
        return (self.tag, self.channels, self.bits) == (PCM, 1, 16)


@dataclass(frozen=True, slots=True)
class Wave:
    """One file."""

    format: Format
    samples: bytes

    def rendered(self) -> bytes:
        """The file anew, with a true length and nothing but samples."""
        return header(self.format, len(self.samples)) + self.samples


def header(form: Format, samples_bytes: int) -> bytes:
    """Return what stands before so many bytes of samples in a file with nothing else."""
    width = form.channels * form.bits // 8
    fields = (form.tag, form.channels, form.sample_rate_hz, form.sample_rate_hz * width)
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, *fields, width, form.bits)
    head += struct.pack("<4sI", b"data", samples_bytes)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(head) + samples_bytes, b"WAVE") + head


def split(data: bytes) -> list[Wave]:
    """Return the files that stand in a row; the first one begins with *data*.

    Raises:
        BadAudio: a format that nobody here knows, half a sample, or something else
            behind the samples.
        Truncated: a header promises more than there is.
    """
    waves, at = [], 0
    while at < len(data):
        wave, at = _wave(data, at)
        waves.append(wave)
    return waves


def _wave(data: bytes, start: int) -> tuple[Wave, int]:
    """Walk the chunks of one file up to its samples; return where the next file begins."""
    at, form = start + 12, None
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"fmt ":
            form = _format(data[at : at + size])
        if name == b"data":
            if form is None:
                raise BadAudio("a RIFF header that does not say its format")
            end, following = _end(data, at, size)
            return Wave(form, _whole(data[at:end], form)), following
        at += size + size % 2
    raise Truncated("a RIFF header without audio")


def _format(fmt: bytes) -> Format:
    if len(fmt) < 16:
        raise Truncated("a RIFF header that is cut short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == _EXTENSIBLE:
        tag = int.from_bytes(fmt[24:26], "little") or PCM
    if bits not in _KNOWN.get(tag, ()) or channels not in (1, 2):
        raise BadAudio(f"RIFF with {channels} channels of {bits} bits at {rate} Hz, format {tag}")
    return Format(tag, channels, rate, bits)


def _end(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Where samples end, and the next file begins: an unknown size runs up to it."""
    if size == 0 or size >= _UNKNOWN_SIZE_FROM:
        found = _NEXT.search(data, at)
        end = found.start() if found else len(data)
        return end, end
    end = at + size
    if len(data) < end:
        raise Truncated(f"a RIFF header promises {size} bytes of audio; {len(data) - at} came")
    return end, _behind_chunks(data, end + size % 2)


def _behind_chunks(data: bytes, at: int) -> int:
    """The end of the chunks that follow the samples.

    Raises:
        BadAudio: something else does; it may be more audio than the header knew of.
    """
    while at < len(data) and not START.match(data, at):
        is_chunk = len(data) >= at + 8 and _NAME.match(data, at)
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if not is_chunk or end > len(data):
            raise BadAudio(f"{len(data) - at} bytes behind what a RIFF header promises")
        at = end + end % 2
    return at


def _whole(samples: bytes, form: Format) -> bytes:
    if len(samples) % (form.channels * form.bits // 8):
        count = f"{form.channels} times " if form.channels > 1 else ""
        raise BadAudio(f"{len(samples)} bytes do not make whole {count}{form.bits}-bit samples")
    return samples
