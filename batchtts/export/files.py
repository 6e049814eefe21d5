"""Audio files as FFmpeg writes and reads them: codecs, containers, chapters, covers.

Only for the process of `batchtts.export.child`, as the filters are.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple

import av
import av.audio
import numpy as np
from av.codec.context import Flags as CodecFlags
from av.container import Flags, OutputContainer
from av.error import FFmpegError
from av.stream import Disposition

from batchtts.export.filters import Loudness, frame, from_frame, limited
from batchtts.export.lame import Lame
from batchtts.export.languages import three_letters
from batchtts.export.meter import Floats
from batchtts.export.orders import Encode, Figures, Inspect, Marked, Measure, Measured, Picture

_BLOCK_FRAMES = 1 << 14
_LOSSLESS_FRAMES = 4096

#: What a child looks after between two blocks; may raise.
Check = Callable[[], None]


class CoverRefused(ValueError):
    """The cover is no picture, or none that such a file can have."""


def _encoded(blocks: Iterator[Floats], stream: Any) -> Iterator[av.Packet[Any]]:  # noqa: ANN401
    """The packets of a stream as FFmpeg encodes it."""
    for made in _framed(blocks, stream.codec_context):
        yield from stream.encode(made)
    yield from stream.encode(None)


def _by_lame(blocks: Iterator[Floats], stream: Any) -> Iterator[av.Packet[Any]]:  # noqa: ANN401
    yield from Lame(stream).packets(blocks)


class _Kind(NamedTuple):
    """How a format is made.

    Attributes:
        options: Of the container.
        manner: Of the codec. AAC's quick search is as good for one voice as the slow one.
        has_marks: Whether the container has chapters; others have comments that say so.
    """

    container: str
    codec: str
    samples: str
    options: dict[str, str]
    manner: dict[str, str]
    has_marks: bool
    has_picture: bool
    encode: Callable[[Iterator[Floats], Any], Iterator[av.Packet[Any]]] = _encoded


_KINDS = {
    "m4b": _Kind(
        "mp4", "aac", "fltp", {"movflags": "+faststart", "brand": "M4B "}, {"aac_coder": "fast"},
        has_marks=True, has_picture=True,
    ),
    "mp3": _Kind(
        "mp3", "libmp3lame", "s16p", {"id3v2_version": "3"}, {},
        has_marks=True, has_picture=True, encode=_by_lame,
    ),
    "flac": _Kind("flac", "flac", "s16", {}, {}, has_marks=False, has_picture=True),
    "opus": _Kind(
        "ogg", "libopus", "flt", {}, {"compression_level": "5", "application": "audio"},
        has_marks=False, has_picture=False,
    ),
}  # fmt: skip


# ── writing ───────────────────────────────────────────────────────────────────


def encode(order: Encode, pcm: Iterator[Floats]) -> None:
    """Write a file of the samples, each part at its own gain; no clock is in it."""
    kind = _KINDS[order.format]
    container = av.open(order.path, "w", format=kind.container, container_options=kind.options)
    with closing(container):
        container.flags |= _value(Flags.bitexact)
        stream = _add_stream(container, kind, order)
        _describe(container, kind, order)
        cover = _add_cover(container, kind, order.cover)
        stream.codec_context.open()
        container.start_encoding()
        if cover is not None:
            container.mux(cover)
        for packet in kind.encode(_parts(order, pcm), stream):
            container.mux(packet)


def _add_stream(container: OutputContainer, kind: _Kind, order: Encode) -> Any:  # noqa: ANN401
    stream: Any = container.add_stream(
        kind.codec, rate=order.sample_rate_hz, layout="mono", options=kind.manner
    )
    context = stream.codec_context
    context.flags |= _value(CodecFlags.bitexact)
    context.format = kind.samples
    if order.bit_rate:
        context.bit_rate = order.bit_rate
    if order.language:
        stream.metadata["language"] = three_letters(order.language)
    return stream


def _value(flag: Any) -> int:  # noqa: ANN401
    """A flag as a number, which its type hides."""
    return int(flag.value)


def _describe(container: OutputContainer, kind: _Kind, order: Encode) -> None:
    container.metadata.update(order.tags)
    if order.format == "m4b":
        container.metadata["media_type"] = "2"  # an audiobook
    elif order.language:
        container.metadata["language"] = three_letters(order.language)
    marks = _marks(order)
    if kind.has_marks:
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": round(1000 * mark.start_s),
                    "end": round(1000 * mark.end_s),
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": mark.title},
                }
                for number, mark in enumerate(marks)
            ]
        )
    else:
        for number, mark in enumerate(marks, 1):
            container.metadata[f"CHAPTER{number:03}"] = _clock(mark.start_s)
            container.metadata[f"CHAPTER{number:03}NAME"] = mark.title
        if order.cover is not None and not kind.has_picture:
            container.metadata["METADATA_BLOCK_PICTURE"] = _block(order.cover)


def _marks(order: Encode) -> list[Marked]:
    ends = [0, *accumulate(part.frames for part in order.parts)]
    seconds = [end / order.sample_rate_hz for end in ends]
    return [
        Marked(part.title, start_s, end_s)
        for part, start_s, end_s in zip(order.parts, seconds, seconds[1:], strict=False)
    ]


def _clock(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def _parts(order: Encode, pcm: Iterator[Floats]) -> Iterator[Floats]:
    """The samples, as loud as they are to be."""
    source = _Source(pcm)
    for part in order.parts:
        gain = np.float32(10 ** (part.gain_db / 20))
        louder = (block * gain for block in source.take(part.frames))
        if part.ceiling_dbfs is None:
            yield from louder
        else:
            yield from limited(
                louder, part.frames, order.sample_rate_hz, part.ceiling_dbfs, order.oversampling
            )
    source.expect_end()


class _Source:
    """Blocks of any size, taken in stretches."""

    def __init__(self, blocks: Iterator[Floats]) -> None:
        self._blocks = filter(len, blocks)  # an empty one is not the end
        self._rest = np.zeros(0, np.float32)

    def take(self, frames: int) -> Iterator[Floats]:
        """Yield so many samples.

        Raises:
            ValueError: there are not as many.
        """
        while frames:
            if not len(self._rest):
                self._rest = next(self._blocks, self._rest)
                if not len(self._rest):
                    raise ValueError("there is less audio than was told")
            block, self._rest = self._rest[:frames], self._rest[frames:]
            frames -= len(block)
            yield block

    def expect_end(self) -> None:
        """There must be no more."""
        if len(self._rest) or any(len(block) for block in self._blocks):
            raise ValueError("there is more audio than was told")


def _framed(blocks: Iterator[Floats], context: Any) -> Iterator[av.AudioFrame]:  # noqa: ANN401
    """Frames of the size and the samples that the codec takes."""
    rate_hz = context.sample_rate
    resampler = av.AudioResampler(
        format=context.format, layout="mono", rate=rate_hz,
        frame_size=context.frame_size or _LOSSLESS_FRAMES,
    )  # fmt: skip
    at = 0
    for block in blocks:
        if len(block):
            yield from resampler.resample(frame(np.clip(block, -1, 1), rate_hz, at))
            at += len(block)
    yield from resampler.resample(None)


# ── covers ────────────────────────────────────────────────────────────────────


def check_cover(cover: Picture) -> tuple[str, int, int]:
    """What a cover is: its codec, and how wide and high.

    Raises:
        CoverRefused: nobody can see it.
    """
    try:
        with av.open(io.BytesIO(cover.data), "r") as picture:
            context = picture.streams.video[0].codec_context
            next(picture.decode(video=0))
            found = (context.name, context.width, context.height)
    except (FFmpegError, IndexError, StopIteration) as error:
        raise CoverRefused("the cover is damaged, or is no picture") from error
    if found[0] not in ("mjpeg", "png"):
        raise CoverRefused(f"the cover is neither a JPEG nor a PNG, but {found[0]}")
    return found


def _add_cover(
    container: OutputContainer, kind: _Kind, cover: Picture | None
) -> av.Packet[Any] | None:
    if cover is None or not kind.has_picture:
        return None
    codec, width, height = check_cover(cover)
    stream: Any = container.add_mux_stream(codec, width=width, height=height)
    stream.disposition = Disposition.attached_pic
    stream.metadata.update(title="cover", comment="Cover (front)")
    packet: av.Packet[Any] = av.Packet(cover.data)
    packet.stream = stream
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    return packet


def _block(cover: Picture) -> str:
    """A cover as comments of Ogg have it: a picture block of FLAC in base64."""
    _, width, height = check_cover(cover)
    kind = cover.media_type.encode()
    words = (3, len(kind)), (0, width, height, 24, 0, len(cover.data))
    first, second = (b"".join(word.to_bytes(4, "big") for word in each) for each in words)
    return b64encode(first + kind + second + cover.data).decode()


# ── reading ───────────────────────────────────────────────────────────────────


def inspect(order: Inspect, check: Check) -> Measured:
    """Decode a file, and measure it in stretches."""
    with av.open(order.path, "r") as container:
        stream = container.streams.audio[0]
        measuring = _Stretches(stream.codec_context.sample_rate, order)
        for decoded in container.decode(stream):
            check()
            measuring.add(from_frame(decoded))
        chapters = [
            Marked(each["metadata"].get("title", ""), *_seconds(each))
            for each in container.chapters()
        ]
    return measuring.end(chapters)


def _seconds(chapter: Any) -> tuple[float, float]:  # noqa: ANN401
    base = chapter["time_base"]
    return float(chapter["start"] * base), float(chapter["end"] * base)


class _Stretches:
    """Measures each stretch, and all of it."""

    def __init__(self, sample_rate_hz: int, order: Inspect) -> None:
        self._rate_hz = sample_rate_hz
        self._finds_loudness = order.finds_loudness
        self._ends = [round(end_s * sample_rate_hz) for end_s in order.ends_s]
        self._whole = self._begun(is_part=False) if len(self._ends) > 1 else None
        self._part = self._begun()
        self._found: list[Figures] = []
        self._gathered: list[Floats] = []
        self._at = 0

    def _begun(self, *, is_part: bool = True) -> Loudness:
        wanted = self._finds_loudness
        return Loudness(self._rate_hz, finds_lufs=wanted, finds_true_peak=wanted and is_part)

    def add(self, samples: Floats) -> None:
        """Take a frame; many are measured together."""
        self._gathered.append(samples)
        if sum(map(len, self._gathered)) >= _BLOCK_FRAMES:
            self._measure()

    def _measure(self) -> None:
        if not self._gathered:
            return
        samples = np.concatenate(self._gathered)
        self._gathered.clear()
        if self._whole is not None:
            self._whole.add(samples)
        while len(self._found) < len(self._ends) - 1:
            left = self._ends[len(self._found)] - self._at
            if left > len(samples):
                break
            self._take(samples[:left])
            samples = samples[left:]
            self._next()
        self._take(samples)

    def _take(self, samples: Floats) -> None:
        self._part.add(samples)
        self._at += len(samples)

    def _next(self) -> None:
        self._found.append(self._part.end())
        self._part = self._begun()

    def end(self, chapters: list[Marked]) -> Measured:
        """What was found."""
        self._measure()
        self._found.append(self._part.end())
        if self._whole is None:
            return Measured(self._found, self._found[0], chapters)
        peaks = [each.true_peak_dbfs for each in self._found if each.true_peak_dbfs is not None]
        return Measured(self._found, self._whole.end(max(peaks, default=None)), chapters)


def measure(pcm: Iterator[Floats], order: Measure) -> Measured:
    """Measure audio before anything is done to it."""
    wanted = order.finds_loudness
    loudness = Loudness(order.sample_rate_hz, finds_lufs=wanted, finds_true_peak=False)
    for samples in pcm:
        loudness.add(samples)
    figures = loudness.end()
    return Measured([figures], figures, powers=loudness.powers)
