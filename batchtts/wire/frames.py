"""Plain WebSocket messages, cut out of what a server sends; all else is left alone.

Plain is a text or binary message in one frame, without extensions. What is uncommon
or wrong is not judged here: the first such frame ends the cutting, and it and all
behind it is somebody else's, who knows every rule.
Frame layout and masking: RFC 6455, sections 5.2 and 5.3.
"""

from __future__ import annotations

from collections.abc import Callable

Buffer = bytes | bytearray | memoryview
Hear = Callable[[bytes], None]

#: Larger messages are not cut out.
LARGEST_BYTES = 16 * 1024 * 1024

# First bytes: the whole message in one frame, no reserved bits.
_TEXT, _BINARY = 0x81, 0x82
_PING, _PONG = 0x89, 0x8A
_MESSAGES = frozenset({_TEXT, _BINARY})
_CONTROLS = frozenset({_PING, _PONG})

_MASKED = 0x80
_SHORT, _LONG = 126, 127  # the length follows in two bytes, in eight


class Cutter:
    """Tells of the plain messages in a stream of frames.

    Attributes:
        is_cutting: False once an uncommon frame has come.
    """

    def __init__(self, text: Hear, binary: Hear) -> None:
        """Begin where the frames begin.

        Args:
            text: Takes a text message, in UTF-8.
            binary: Takes a binary message.
        """
        self._text = text
        self._binary = binary
        self._rest = bytearray()  # a frame, as far as it has come
        self.is_cutting = True

    def feed(self, data: memoryview) -> bytes:
        """Take in what has come; *data* may be overwritten afterwards.

        Returns:
            The pings and pongs in it, and all from the first uncommon frame on.
        """
        passed = bytearray()
        if self._rest:
            data = self._complete(data, passed)
        self._cut(data, passed)
        return bytes(passed)

    def _complete(self, data: memoryview, passed: bytearray) -> memoryview:
        """Add what the frame lacks that has begun; return what comes behind it."""
        rest = self._rest
        while len(data) and self._rest:
            lacks = _extent(rest, 0)[1] - len(rest)
            rest += data[:lacks]
            data = data[lacks:]
            start, end = _extent(rest, 0)
            if end == len(rest) or not _is_common(rest, 0, start, end):
                self._rest = bytearray()
                self._cut(memoryview(rest), passed)
        return data

    def _cut(self, data: memoryview, passed: bytearray) -> None:
        at, size = 0, len(data)
        while at < size and self.is_cutting:
            start, end = _extent(data, at)
            if not _is_common(data, at, start, end):
                self.is_cutting = False
            elif end > size:
                self._rest += data[at:]
                return
            elif data[at] in _CONTROLS:
                passed += data[at:end]
                at = end
            elif self._tell(data[at], bytes(data[start:end])):
                at = end
        passed += data[at:]

    def _tell(self, kind: int, message: bytes) -> bool:
        """Tell of a message; False if it is no text although it should be."""
        if kind == _BINARY:
            self._binary(message)
        elif message.isascii() or _is_utf8(message):
            self._text(message)
        else:
            self.is_cutting = False
        return self.is_cutting


def masked(message: bytes, mask: bytes) -> bytes:
    """Return a frame of a text message, as a client must send it.

    Args:
        mask: Four bytes that nobody can foresee.
    """
    size = len(message)
    if size < _SHORT:
        head = bytes((_TEXT, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_TEXT, _MASKED | _SHORT)) + size.to_bytes(2)
    else:
        head = bytes((_TEXT, _MASKED | _LONG)) + size.to_bytes(8)
    over = (mask * (size // 4 + 1))[:size]
    covered = int.from_bytes(message) ^ int.from_bytes(over)
    return head + mask + covered.to_bytes(size)


def _extent(data: Buffer, at: int) -> tuple[int, int]:
    """Where the payload of a frame begins and ends, as far as its head tells.

    Both are where the head ends, at least, as long as that has not come.
    """
    have = len(data) - at
    if have < 2:
        return at + 2, at + 2
    size = data[at + 1] & ~_MASKED
    if size < _SHORT:
        return at + 2, at + 2 + size
    start = at + (4 if size == _SHORT else 10)
    if len(data) < start:
        return start, start
    return start, start + int.from_bytes(data[at + 2 : start])


def _is_common(data: Buffer, at: int, start: int, end: int) -> bool:
    """Whether a frame is a plain message, a ping or a pong, as far as its head tells."""
    kind, size = data[at], end - start
    if kind in _CONTROLS:
        return len(data) < at + 2 or data[at + 1] < _SHORT
    if start > len(data):
        return kind in _MESSAGES
    if data[at + 1] & _MASKED:
        return False
    head_bytes = 2 if size < _SHORT else 4 if size < 1 << 16 else 10
    return kind in _MESSAGES and size <= LARGEST_BYTES and start == at + head_bytes


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
