"""MP3 as LAME makes it, in packets for FFmpeg to write down.

Only for the process of `batchtts.export.child`, as the filters are. The wheel that carries
FFmpeg has a LAME, too, but one that was built without the processor's vector instructions:
the same settings take it more than three times as long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.audio
import lameenc
import numpy as np
from av.packet import PacketSideData

from batchtts.audio.mpeg import frame_at
from batchtts.export.meter import Floats, to_s16

#: From 0, the slowest, to 9. Speech at this one is as near to the original as at any slower
#: one, by the noise that is added and by the distance of spectra in decibels.
_QUALITY = 5

#: What a decoder says before the first sample: LAME's own 576, and the 529 of any decoder.
#: Source: LAME's technical FAQ, on the delay of encoder and decoder.
_DELAY = 576 + 529

#: FFmpeg's AV_PKT_DATA_SKIP_SAMPLES: so many at the start, so many at the end, and why.
_SKIPPED = struct.Struct("<IIBB")


class Lame:
    """Encodes what goes into a stream that was added for MP3."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401
        context = stream.codec_context
        self._stream = stream
        self._frame_size: int = context.frame_size
        self._rate_hz: int = context.sample_rate
        self._said_frames = self._packets = 0
        self._lame = lameenc.Encoder()
        self._lame.silence()
        self._lame.set_channels(1)
        self._lame.set_in_sample_rate(self._rate_hz)
        self._lame.set_out_sample_rate(self._rate_hz)
        self._lame.set_bit_rate(context.bit_rate // 1000)
        self._lame.set_quality(_QUALITY)

    def packets(self, blocks: Iterator[Floats]) -> Iterator[av.Packet[Any]]:
        """Yield all of a stream.

        The first packet and the last say how much in them is no audio, so that a decoder
        gives back as many samples as went in.
        """
        held: bytes | None = None
        for data in _frames(self._encoded(blocks)):
            if held is not None:
                yield self._packed(held)
            held = data
        if held is not None:
            yield self._packed(held, is_last=True)

    def _encoded(self, blocks: Iterator[Floats]) -> Iterator[bytes]:
        for block in blocks:
            self._said_frames += len(block)
            yield bytes(self._lame.encode(to_s16(block).tobytes()))
        yield bytes(self._lame.flush())

    def _packed(self, data: bytes, *, is_last: bool = False) -> av.Packet[Any]:
        packet: av.Packet[Any] = av.Packet(data)
        packet.stream = self._stream
        packet.pts = packet.dts = self._packets * self._frame_size - _DELAY
        packet.duration, packet.time_base = self._frame_size, Fraction(1, self._rate_hz)
        head = 0 if self._packets else _DELAY
        self._packets += 1
        whole = self._packets * self._frame_size - _DELAY
        tail = whole - self._said_frames if is_last else 0
        if head or tail:
            packet.set_sidedata(self._skipping(head, tail))
        return packet

    def _skipping(self, head: int, tail: int) -> PacketSideData:
        """Such a note, which can be had from an encoder of FFmpeg alone."""
        encoder: Any = av.CodecContext.create("libmp3lame", "w")
        encoder.sample_rate, encoder.layout, encoder.format = self._rate_hz, "mono", "s16p"
        silence = np.zeros((1, self._frame_size), np.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16p", layout="mono")
        frame.sample_rate = self._rate_hz
        made = encoder.encode(frame) + encoder.encode(None)
        note = PacketSideData.from_packet(made[0], "skip_samples")
        note.update(_SKIPPED.pack(head, tail, 0, 0))
        return note


def _frames(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each frame of a stream that comes in pieces."""
    rest = b""
    for piece in pieces:
        data, at = rest + piece, 0
        while (frame := frame_at(data, at)) and at + frame.length <= len(data):
            yield data[at : at + frame.length]
            at += frame.length
        rest = data[at:]
    assert not rest, f"{len(rest)} bytes are no frame"
