"""MP3 taken apart: several files in a row, and whether each is whole. Pure.

A provider may send a file for every sentence, one behind the other. A decoder
that reads the header of the first takes that file's length for all there is,
and without a header guesses a length from the first frame; both would cut
speech short. So frames are counted here, and every file that goes to a decoder
has a header that says how many there are.
Frames: ISO/IEC 11172-3 and 13818-3. Headers: LAME's Info tag, Xing, VBRI. Tags: ID3.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

from batchtts.errors import BadAudio, Truncated

#: Bytes that tell MP3 from everything else.
HEAD_BYTES = 8192

_CHAIN = 4  # frames in a row that no other bytes make by chance

_MPEG_1 = 3
#: kbit/s by index; 0 and 15 are not used by anybody whose frames can be counted.
_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES_HZ = {
    _MPEG_1: (44_100, 48_000, 32_000, 0),
    2: (22_050, 24_000, 16_000, 0),
    0: (11_025, 12_000, 8_000, 0),
    1: (0, 0, 0, 0),
}
_MIDDLING = 9 << 4  # a bitrate whose frames have room for a header

# Every first frame looks like this, and hardly anything in quiet samples does.
_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", re.DOTALL)

_FRAMES, _BYTES = 1, 2  # fields of a Xing header


class Kind(NamedTuple):
    """What is the same in every frame of a file."""

    version: int
    sample_rate_hz: int
    channels: int


class Frame(NamedTuple):
    """The first four bytes of a frame, and what they say."""

    kind: Kind
    length: int  # bytes, with these four
    has_crc: bool


def frame_at(data: bytes, at: int) -> Frame | None:
    """Return the frame of layer III whose header stands at a place, if one does."""
    if len(data) < at + 4 or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version, second, third = (data[at + 1] >> 3) & 3, data[at + 2], data[at + 3]
    rate_hz = _RATES_HZ[version][(second >> 2) & 3]
    bitrate = (_BITRATES_1 if version == _MPEG_1 else _BITRATES_2)[second >> 4]
    if not rate_hz or not bitrate or third & 3 == 2:
        return None
    length = (144_000 if version == _MPEG_1 else 72_000) * bitrate // rate_hz + ((second >> 1) & 1)
    kind = Kind(version, rate_hz, 1 if third >> 6 == 3 else 2)
    return Frame(kind, length, not data[at + 1] & 1)


def begins_at(head: bytes, size: int) -> int | None:
    """Return where MP3 begins; None if there is none.

    Args:
        head: The first HEAD_BYTES of the data, or all of it.
        size: Bytes of the whole data.
    """
    first = frame_at(head, 0)
    has_header = first is not None and _header_in(head, 0, first) is not None
    if _is_id3(head, 0) or has_header or _chain(head, 0, size):
        return 0
    for candidate in _SYNC.finditer(head, 0, HEAD_BYTES // 4):
        if _chain(head, candidate.start(), None):
            return candidate.start()
    return None


def _chain(head: bytes, at: int, size: int | None) -> bool:
    """Whether frames of one kind follow each other: so many, or to the end or a tag."""
    first, count = frame_at(head, at), 0
    frame = first
    while first and frame and frame.kind == first.kind:
        count, at = count + 1, at + frame.length
        is_end = size is not None and (at == size or (at > size and count > 1))
        if count == _CHAIN or is_end or (size is not None and _is_tag(head, at)):
            return True
        frame = frame_at(head, at)
    return False


def split(data: bytes) -> list[bytes]:
    """Return the files that stand in a row, without their tags, each with a true header.

    Raises:
        BadAudio: there is something else between the frames, or no frame with audio.
        Truncated: the last frame is cut short, or a header promises more of them.
    """
    files: list[_File] = []
    at, is_new = 0, True
    while at < len(data):
        if tag := _tag_length(data, at):
            at, is_new = at + tag, True
        elif frame := frame_at(data, at):
            if at + frame.length > len(data):
                raise Truncated(
                    f"the last frame of MP3 has {len(data) - at} of {frame.length} bytes"
                )
            header = _header_in(data, at, frame)
            if is_new or header or files[-1].is_full or files[-1].kind != frame.kind:
                files.append(_File(frame.kind, header, at + frame.length if header else at))
                is_new = False
            files[-1].frames += header is None
            at += frame.length
            files[-1].end = at
        elif data[at] == 0:
            at, is_new = _behind_zeros(data, at), True
        else:
            raise _strange(data, at)
    found = [each.rendered(data) for each in files if each.has_audio]
    if not found:
        raise BadAudio("MP3 without a frame of audio")
    return found


class _Header(NamedTuple):
    """A frame without sound that says how many follow it.

    Attributes:
        start: Its place in the data.
        fields: The place in the frame of the number of frames and that of bytes;
            None if it does not have both.
        frames: 0 if it does not know.
    """

    start: int
    fields: int | None
    frames: int


@dataclass(slots=True)
class _File:
    """Frames that belong together.

    Attributes:
        start, end: The place of its audio, without the header.
        frames: Of audio.
    """

    kind: Kind
    header: _Header | None
    start: int
    end: int = 0
    frames: int = 0

    @property
    def is_full(self) -> bool:
        """Whether what follows belongs to another file."""
        return self.header is not None and self.frames == self.header.frames > 0

    @property
    def has_audio(self) -> bool:
        """Whether there is any.

        Raises:
            Truncated: the header promises more; by one, for some count themselves.
        """
        if self.header is not None and self.frames + 1 < self.header.frames:
            promised = self.header.frames
            raise Truncated(f"MP3 of {self.frames} frames, of which {promised} were promised")
        return self.frames > 0

    def rendered(self, data: bytes) -> bytes:
        """The file, with a header that says how long it is."""
        audio = data[self.start : self.end]
        if self.header is None or self.header.fields is None:
            return _make_header(audio, self.frames) + audio
        own = bytearray(data[self.header.start : self.start])  # it says what to trim, too
        struct.pack_into(">II", own, self.header.fields, self.frames, len(own) + len(audio))
        return bytes(own) + audio


def _header_in(data: bytes, at: int, frame: Frame) -> _Header | None:
    """The header that a frame is; None if it is one of audio."""
    place = at + _side_bytes(frame)
    if data[place : place + 4] in (b"Xing", b"Info"):
        flags, frames = struct.unpack_from(">II", data[place + 4 : place + 12].ljust(8, b"\0"))
        has_both = flags & 3 == _FRAMES | _BYTES and place + 16 <= at + frame.length
        fields = place + 8 - at if has_both else None
        return _Header(at, fields, frames if flags & _FRAMES else 0)
    if data[at + 36 : at + 40] == b"VBRI":
        (frames,) = struct.unpack_from(">I", data[at + 50 : at + 54].ljust(4, b"\0"))
        return _Header(at, None, frames)
    return None


def _side_bytes(frame: Frame) -> int:
    """Bytes before the audio of a frame, where a header stands."""
    stereo = frame.kind.channels == 2
    side = (32 if stereo else 17) if frame.kind.version == _MPEG_1 else (17 if stereo else 9)
    return 4 + side + (2 if frame.has_crc else 0)


def _make_header(audio: bytes, frames: int) -> bytes:
    """A frame without sound that says how many follow it."""
    start = bytes((0xFF, audio[1] | 1, _MIDDLING | audio[2] & 0x0C, audio[3]))
    frame = frame_at(start, 0)
    assert frame is not None
    fields = struct.pack(">4sIII", b"Xing", _FRAMES | _BYTES, frames, frame.length + len(audio))
    return (start.ljust(_side_bytes(frame), b"\0") + fields).ljust(frame.length, b"\0")


def _is_id3(data: bytes, at: int) -> bool:
    """Whether an ID3 tag of version 2 begins here."""
    return data[at : at + 3] == b"ID3" and data[at + 3 : at + 4] in (b"\2", b"\3", b"\4")


def _is_tag(data: bytes, at: int) -> bool:
    """Whether a tag begins here, which may be one of version 1: those stand behind audio."""
    return _is_id3(data, at) or data.startswith(b"TAG", at)


def _tag_length(data: bytes, at: int) -> int:
    """Bytes of the tag that begins here; 0 if there is none."""
    if not _is_tag(data, at):
        return 0
    length = 128
    if data.startswith(b"ID3", at):
        head = data[at : at + 10].ljust(10, b"\0")
        if max(head[6:]) > 0x7F:
            raise BadAudio("an ID3 tag without a length")
        length = 10 + (10 if head[5] & 0x10 else 0)
        length += sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    if at + length > len(data):
        raise Truncated(f"an ID3 tag has {len(data) - at} of {length} bytes")
    return length


def _behind_zeros(data: bytes, at: int) -> int:
    """The end of some padding."""
    found = re.compile(rb"\0+").match(data, at)
    assert found is not None
    return found.end()


def _strange(data: bytes, at: int) -> Truncated | BadAudio:
    if len(data) - at < 4 and data[at] == 0xFF:
        return Truncated(f"the last frame of MP3 has {len(data) - at} bytes")
    return BadAudio(f"MP3 that goes on with something else at byte {at}")
