"""A provider's payloads → PCM. The only reader of what comes over the wire.

Payloads are kept per item: an item may begin with a RIFF header although raw
PCM was asked for, and a payload may end in the middle of a sample.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from batchtts.errors import BadAudio, Truncated

# The first bytes of what nobody asked for. MP3 without a tag looks like PCM.
_FOREIGN = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}

# A header written before the length was known has nothing here, or almost the most there is.
_UNKNOWN_SIZE_FROM = 0x7FFFFF00

_PCM, _EXTENSIBLE = 1, 0xFFFE


@dataclass(slots=True)
class Hearing:
    """What is heard during one attempt at one segment."""

    sample_rate_hz: int
    _items: dict[str | None, list[bytes]] = field(default_factory=dict)

    def hear(self, payload: bytes, item: str | None) -> None:
        """Keep a payload; nothing else, for the socket must be read on."""
        self._items.setdefault(item, []).append(payload)

    def pcm(self) -> bytes:
        """Return everything heard as mono s16le at the expected rate.

        Raises:
            BadAudio: some item is not what was asked for.
            Truncated: a RIFF header promises more than there is.
        """
        return b"".join(
            decode(b"".join(heard), self.sample_rate_hz) for heard in self._items.values()
        )


def decode(data: bytes, sample_rate_hz: int) -> bytes:
    """Return the PCM of one item: raw s16le, or RIFF with exactly that inside.

    Raises:
        BadAudio: another format, rate or channel count, or half a sample.
        Truncated: a RIFF header promises more than there is.
    """
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            raise BadAudio(f"{name} where PCM was asked for")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        data = _riff_data(data, sample_rate_hz)
    if len(data) % 2:
        raise BadAudio(f"{len(data)} bytes do not make whole 16-bit samples")
    return data


def _riff_data(data: bytes, sample_rate_hz: int) -> bytes:
    """Walk the chunks of a RIFF stream; a data chunk of unknown size runs to the end."""
    at, is_known = 12, False
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"fmt ":
            _check_format(data[at : at + size], sample_rate_hz)
            is_known = True
        if name == b"data" and not is_known:
            raise BadAudio("a RIFF header that does not say its format")
        if name == b"data":
            return _sized(data[at:], size)
        at += size + size % 2
    raise Truncated("a RIFF header without audio")


def _check_format(fmt: bytes, sample_rate_hz: int) -> None:
    if len(fmt) < 16:
        raise Truncated("a RIFF header that is cut short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag not in (_PCM, _EXTENSIBLE) or channels != 1 or bits != 16 or rate != sample_rate_hz:
        raise BadAudio(
            f"RIFF with {channels} channels of {bits} bits at {rate} Hz, format {tag},"
            f" where mono 16-bit PCM at {sample_rate_hz} Hz was asked for"
        )


def _sized(data: bytes, size: int) -> bytes:
    if size == 0 or size >= _UNKNOWN_SIZE_FROM:
        return data
    if len(data) < size:
        raise Truncated(f"a RIFF header promises {size} bytes of audio; {len(data)} came")
    return data[:size]
