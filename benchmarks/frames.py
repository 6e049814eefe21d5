"""What goes over the wire: noise, the frames of an utterance, and the frames of a client."""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from functools import lru_cache
from random import Random

import msgspec

RATE_HZ = 24_000

# RFC 6455, 5.2.
FIN, MASKED = 0x80, 0x80
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

encode = msgspec.json.encode


def noise(seconds: float) -> bytes:
    """Return mono s16le at 24 kHz that nothing can compress, about 12 dB below full scale."""
    random = Random(0)
    samples = array("h", random.randbytes(2 * round(seconds * RATE_HZ)))
    for at, sample in enumerate(samples):
        samples[at] = sample // 4
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def frame(opcode: int, payload: bytes, *, more_bytes: int = 0, mask: bytes | None = None) -> bytes:
    """Return a frame, or the beginning of one that *more_bytes* will follow.

    Args:
        mask: Four bytes that are put in front of the payload; it is masked already.
    """
    size, masked = len(payload) + more_bytes, MASKED if mask is not None else 0
    if size < 126:
        head = bytes([FIN | opcode, masked | size])
    elif size < 1 << 16:
        head = bytes([FIN | opcode, masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([FIN | opcode, masked | 127]) + size.to_bytes(8, "big")
    return head + (mask or b"") + payload


def plain_mask(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame under a mask that changes nothing."""
    return frame(opcode, payload, mask=bytes(4))


def head(data: bytearray) -> tuple[int, int, int]:
    """Return opcode, start and length of a client's frame; a length below 0 is not known yet."""
    size, at = data[1] & ~MASKED, 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(data[2:at], "big") if len(data) >= at else -1
    return data[0] & 0x0F, at + 4, size


def unmask(payload: bytearray, mask: bytearray) -> bytes:
    """Return what a client's payload says."""
    size = len(payload)
    whole = (bytes(mask) * (size // 4 + 1))[:size]
    unmasked = int.from_bytes(payload, "little") ^ int.from_bytes(whole, "little")
    return unmasked.to_bytes(size, "little")


class Script:
    """The utterance that answers every commit, cut into frames."""

    def __init__(self, pcm: bytes, delta_bytes: int, *, context: bool) -> None:
        starts = range(0, len(pcm), delta_bytes)
        deltas = [b64encode(pcm[at : at + delta_bytes]).decode() for at in starts]
        item = "conversation.item"
        self._messages = [
            {"type": f"{item}.audio_output.delta", "item_id": "tts_1", "delta": delta}
            for delta in deltas
        ]
        self._messages.append({"type": f"{item}.audio_output.done", "item_id": "tts_1"})
        self._whole = None if context else [frame(TEXT, encode(it)) for it in self._messages]
        self._begun = lru_cache(self._begin)

    def answer(self, context: str) -> list[bytes]:
        """Return the frames of one utterance, in pieces."""
        if self._whole is not None:
            return self._whole
        tail = context.encode() + b'"}'
        return [piece for begun in self._begun(len(tail)) for piece in (begun, tail)]

    def one_by_one(self, context: str) -> list[list[bytes]]:
        """Return the same, the pieces of each frame together."""
        pieces = self.answer(context)
        each = len(pieces) // len(self._messages)
        return [pieces[at : at + each] for at in range(0, len(pieces), each)]

    def _begin(self, tail_bytes: int) -> list[bytes]:
        """The frames up to the context id; their lengths depend on its length only."""
        return [
            frame(TEXT, encode(message)[:-1] + b',"context_id":"', more_bytes=tail_bytes)
            for message in self._messages
        ]
