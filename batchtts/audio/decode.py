"""A provider's payloads → PCM. The only reader of what comes over the wire.

Payloads are kept per item, and an item says by its first bytes what it is,
whatever was asked for: raw samples, RIFF, MP3, Ogg or FLAC, one file or several
in a row. A payload may end anywhere, in the middle of a sample too.
Every format is counted before it is decoded: what a decoder would take for the
end, or pass over in silence, must not make half a sentence of a whole one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile

from batchtts.audio import mpeg, ogg, riff
from batchtts.audio.pcm import duration_s
from batchtts.audio.write import resample
from batchtts.errors import BadAudio, Truncated
from batchtts.model import Word
from batchtts.wire.dialogue import Encoding

# How another file begins behind the first, with the head of its first block.
_NEXT_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22", re.DOTALL)

#: Place, first bytes, name. Nothing here reads those below FLAC, and nobody asks for them.
_MAGIC = (
    (0, riff.START, "RIFF"),
    (0, re.compile(rb"OggS"), "Ogg"),
    (0, re.compile(rb"fLaC"), "FLAC"),
    (0, re.compile(rb"\x1a\x45\xdf\xa3"), "WebM"),
    (4, re.compile(rb"ftyp[0-9A-Za-z ]{4}"), "MP4"),
    (0, re.compile(rb"FORM....AIF", re.DOTALL), "AIFF"),
    (0, re.compile(rb"\.snd\0\0"), "AU"),
    (0, re.compile(rb"caff\0"), "CAF"),
    (0, re.compile(rb"#!AMR(-WB)?\n"), "AMR"),
    (0, re.compile(rb'\s*(?:\{\s*"|<[!?A-Za-z])[\t\n\r -~]{14}'), "text"),
)

_SLOWEST_HZ, _FASTEST_HZ = 4_000, 192_000
_LONGEST_S = 3600  # for one item; a small file may hold years of silence
_BLOCK_FRAMES = 1 << 20

_SUBTYPES = {"mulaw": "ULAW", "alaw": "ALAW"}

Samples = np.ndarray[Any, np.dtype[np.float32]]


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

    def plain_sound(self) -> Sound | None:
        """The same as sound() if there is nothing to decode; all else is work for a thread.

        Raises:
            BadAudio: some item does not end with a whole sample.
        """
        is_plain = self.raw_encoding == "s16le" and all(
            _kind(*_head(payloads)) is None for payloads in self._items.values()
        )
        if not is_plain:
            return None
        return self._gathered(lambda data: Sound(_raw(data, "s16le"), self.raw_hz))

    def sound(self) -> Sound:
        """Return everything heard, items in the order in which they began.

        All of it is at the rate of the first item.

        Raises:
            BadAudio: some item is not audio.
            Truncated: some item is not all there.
        """
        return self._gathered(lambda data: decode(data, self.raw_hz, self.raw_encoding))

    def _gathered(self, read: Callable[[bytes], Sound]) -> Sound:
        rate_hz, begins_s = 0, 0.0
        heard, words = list[bytes](), list[Word]()
        for item, payloads in self._items.items():
            sound = read(b"".join(payloads))
            rate_hz = rate_hz or sound.sample_rate_hz
            heard.append(resample(sound.pcm, sound.sample_rate_hz, rate_hz))
            words += _placed(self._words.get(item, []), begins_s, words)
            begins_s += duration_s(heard[-1], rate_hz)
        return Sound(b"".join(heard), rate_hz or self.raw_hz, tuple(words))


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
    """Return the PCM of one item.

    Several files in a row are joined at the rate of the first one. Two channels
    are mixed into one: mono is what is asked for, so they are the same twice.

    Args:
        raw_hz, raw_encoding: What *data* is if it has no header.

    Raises:
        BadAudio: it cannot be read.
        Truncated: it is not all there.
    """
    kind = _kind(data[: mpeg.HEAD_BYTES], len(data))
    if kind is None:
        return Sound(_raw(data, raw_encoding), raw_hz)
    if kind not in _READERS:
        raise BadAudio(f"{kind} where speech was asked for")
    sounds = list(_READERS[kind](data))
    rate_hz = sounds[0].sample_rate_hz
    pcm = b"".join(resample(each.pcm, each.sample_rate_hz, rate_hz) for each in sounds)
    return Sound(pcm, rate_hz)


def _head(payloads: Sequence[bytes]) -> tuple[bytes, int]:
    """As much of an item as tells what it is, and how long all of it is."""
    head = bytearray()
    for payload in payloads:
        if len(head) >= mpeg.HEAD_BYTES:
            break
        head += payload[: mpeg.HEAD_BYTES]
    return bytes(head[: mpeg.HEAD_BYTES]), sum(map(len, payloads))


def _kind(head: bytes, size: int) -> str | None:
    """What data is by its first bytes; None is samples without a header."""
    for place, magic, name in _MAGIC:
        if magic.match(head, place):
            return name
    at = mpeg.begins_at(head, size)
    return "MP3" if at == 0 else None if at is None else f"MP3 behind {at} bytes of anything"


def _read_riff(data: bytes) -> Iterator[Sound]:
    return map(_wave, riff.split(data))


def _read_ogg(data: bytes) -> Iterator[Sound]:
    return (_file(each, "Ogg") for each in ogg.split(data))


def _read_flac(data: bytes) -> Iterator[Sound]:
    starts = [0, *(found.start() for found in _NEXT_FLAC.finditer(data, 1))]
    ends = [*starts[1:], len(data)]
    return (_file(data[start:end], "FLAC") for start, end in zip(starts, ends, strict=True))


def _read_mp3(data: bytes) -> Iterator[Sound]:
    return (_file(each, "MP3") for each in mpeg.split(data))


_READERS: dict[str, Callable[[bytes], Iterator[Sound]]] = {
    "RIFF": _read_riff,
    "Ogg": _read_ogg,
    "FLAC": _read_flac,
    "MP3": _read_mp3,
}


def _raw(data: bytes, encoding: Encoding) -> bytes:
    """Raw samples as s16le."""
    match encoding:
        case "s16le":
            if len(data) % 2:
                raise BadAudio(f"{len(data)} bytes do not make whole 16-bit samples")
            return data
        case "f32le":
            if len(data) % 4:
                raise BadAudio(f"{len(data)} bytes do not make whole 32-bit samples")
            return _s16(np.frombuffer(data, "<f4"))
        case "mulaw" | "alaw":
            samples, _ = soundfile.read(
                io.BytesIO(data),
                dtype="int16",
                channels=1,
                samplerate=_SLOWEST_HZ,
                format="RAW",
                subtype=_SUBTYPES[encoding],
            )
            return bytes(samples.astype("<i2").tobytes())


def _wave(wave: riff.Wave) -> Sound:
    """The sound of one WAV."""
    rate_hz = _audible(wave.format.sample_rate_hz, "RIFF")
    if wave.format.is_plain or not wave.samples:
        return Sound(wave.samples, rate_hz)
    return _file(wave.rendered(), "RIFF")


def _file(data: bytes, name: str) -> Sound:
    """The sound of one whole file, through libsndfile."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate_hz = _audible(file.samplerate, name)
            longest, promised, pcm = _LONGEST_S * rate_hz, file.frames, bytearray()
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                pcm += _s16(block.mean(axis=1) if block.shape[1] > 1 else block[:, 0])
                if len(pcm) // 2 > longest:
                    raise BadAudio(f"{name} of more than an hour")
    except soundfile.SoundFileError as error:
        raise BadAudio(f"{name} that cannot be read: {' '.join(str(error).split())}") from None
    if len(pcm) // 2 < promised <= longest:
        raise Truncated(f"{name} of {len(pcm) // 2} samples, of which {promised} were promised")
    return Sound(bytes(pcm), rate_hz)


def _audible(rate_hz: int, name: str) -> int:
    if not _SLOWEST_HZ <= rate_hz <= _FASTEST_HZ:
        raise BadAudio(f"{name} at {rate_hz} Hz")
    return rate_hz


def _s16(samples: Samples) -> bytes:
    """Samples of which 1.0 is the loudest, as s16le."""
    if not np.isfinite(samples).all():
        raise BadAudio("samples that are no numbers")
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * np.float32(32768))
    return bytes(np.minimum(scaled, 32767).astype("<i2").tobytes())
