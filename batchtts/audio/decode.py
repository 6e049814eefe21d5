"""A provider's payloads → PCM. The only reader of what comes over the wire.

Payloads are kept per item: an item may begin with a RIFF header although raw
PCM was asked for, and a payload may end in the middle of a sample.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from batchtts.audio.pcm import duration_s
from batchtts.errors import BadAudio, Truncated
from batchtts.model import Word
from batchtts.wire.dialogue import Encoding

# The first bytes of what nobody asked for. MP3 without a tag looks like PCM.
_FOREIGN = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}

# A header written before the length was known has nothing here, or almost the most there is.
_UNKNOWN_SIZE_FROM = 0x7FFFFF00

_PCM, _EXTENSIBLE = 1, 0xFFFE


@dataclass(frozen=True, slots=True)
class Sound:
    """Speech that was heard.

    Attributes:
        pcm: mono s16le.
        words: Their times, from the beginning of *pcm*.
    """

    pcm: bytes
    sample_rate_hz: int
    words: tuple[Word, ...] = ()


@dataclass(slots=True)
class Hearing:
    """What is heard during one attempt at one segment.

    Attributes:
        raw_encoding, raw_hz: Of audio without a header.
    """

    raw_hz: int
    raw_encoding: Encoding = "s16le"
    _items: dict[str | None, list[bytes]] = field(default_factory=dict)
    _words: dict[str | None, list[Word]] = field(default_factory=dict)

    def hear(self, payload: bytes, item: str | None) -> None:
        """Keep a payload; nothing else, for the socket must be read on."""
        self._items.setdefault(item, []).append(payload)

    def time(self, words: Sequence[Word], item: str | None) -> None:
        """Keep the times of words."""
        self._words.setdefault(item, []).extend(words)

    def sound(self) -> Sound:
        """Return everything heard, items in the order in which they began.

        Raises:
            BadAudio: some item is not audio, or not of one rate with the others.
            Truncated: a header promises more than there is.
        """
        heard = {
            item: decode(b"".join(payloads), self.raw_hz, self.raw_encoding)
            for item, payloads in self._items.items()
        }
        rates = {sound.sample_rate_hz for sound in heard.values()}
        if len(rates) > 1:
            raise BadAudio(f"items at {' and '.join(f'{rate} Hz' for rate in sorted(rates))}")
        begins_s, words = 0.0, list[Word]()
        for item, sound in heard.items():
            words += _placed(self._words.get(item, []), begins_s, words)
            begins_s += duration_s(sound.pcm, sound.sample_rate_hz)
        pcm = b"".join(sound.pcm for sound in heard.values())
        return Sound(pcm, rates.pop() if rates else self.raw_hz, tuple(words))


def _placed(told: Sequence[Word], begins_s: float, before: Sequence[Word]) -> list[Word]:
    """Words from the beginning of everything, although they are told from that of their item.

    Whether a provider counts on from item to item is not documented: times that
    go on where the last ones ended are left as they are.
    """
    counts_on = bool(told and before) and told[0].start_s >= before[-1].end_s
    return list(told) if counts_on else shifted(told, begins_s)


def shifted(words: Iterable[Word], seconds: float) -> list[Word]:
    """Return words that are spoken so much later."""
    return [Word(each.text, each.start_s + seconds, each.end_s + seconds) for each in words]


def decode(data: bytes, raw_hz: int, raw_encoding: Encoding = "s16le") -> Sound:
    """Return the PCM of one item: raw samples, or RIFF with s16le inside.

    Raises:
        BadAudio: another format or channel count, or half a sample.
        Truncated: a RIFF header promises more than there is.
    """
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            raise BadAudio(f"{name} where PCM was asked for")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        data = _riff_data(data, raw_hz)
    if len(data) % 2:
        raise BadAudio(f"{len(data)} bytes do not make whole 16-bit samples")
    return Sound(data, raw_hz)


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
