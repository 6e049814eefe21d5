"""What a server may send in frames, right or wrong, and what is heard of it.

Everything follows from a random number generator, so that a seed is enough to have
it again. What stock wsproto hears is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from batchtts.wire.frames import Cutter

#: Kind of event → all of that kind, in order.
Heard = dict[str, list[object]]

_FIN = 0x80
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_PLAIN = (0x81, 0x82, 0x89, 0x8A)
_NO_TEXT = CloseReason.INVALID_FRAME_PAYLOAD_DATA

_SIZES = (124, 125, 126, 127, 128, 255, 256, 300)
_LARGE = (65_534, 65_535, 65_536, 65_537, 70_000)
_HUGE = (1 << 20, 1 << 24, (1 << 24) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_WORDS = (
    "",
    "a",
    "hello",
    '{"type":"x"}',
    "é",
    "naïve €",
    "😀",
    "a😀b",
    "\0",
    "\u07ff\u0800\uffff",
)
_NO_UTF8 = (
    b"\xff",
    b"\xfe\xff",
    b"\xc3",
    b"a\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\xaf",
)
_CODES = (0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013)
_MORE_CODES = (1014, 1015, 1016, 1100, 2999, 3000, 3999, 4000, 4503, 4999, 5000, 65_535)


def frame(first: int, payload: bytes, *, form: int | None = None, size: int | None = None) -> bytes:
    """Return a frame with this first byte.

    Args:
        form: In how many bytes the length follows, where it is not the right number.
        size: The length that it claims to have, where it is not the right one.
    """
    size = len(payload) if size is None else size
    form = (0 if size < 126 else 2 if size < 1 << 16 else 8) if form is None else form
    told = bytes((size,)) if form == 0 else bytes((126 if form == 2 else 127,))
    return bytes((first,)) + told + (size.to_bytes(form) if form else b"") + payload


def babble(random: Random) -> bytes:
    """Return some frames."""
    said = b"".join(_frames(random) for _ in range(random.randint(1, 5)))
    if said and random.random() < 0.05:
        at = random.randrange(len(said))
        said = said[:at] + bytes((said[at] ^ 1 << random.randrange(8),)) + said[at + 1 :]
    if random.random() < 0.1:
        said = said[: random.randint(0, len(said))]
    return said


def pieces(random: Random, said: bytes) -> Iterator[bytes]:
    """Cut it up as a network might."""
    match random.randrange(4):
        case 0:
            yield said
        case 1 if len(said) < 200:
            yield from (said[at : at + 1] for at in range(len(said)))
        case _:
            cuts = sorted(random.randint(0, len(said)) for _ in range(random.randint(1, 6)))
            yield from (said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True))


class Ours:
    """A cutter, and stock wsproto for what it leaves alone."""

    def __init__(self) -> None:
        self.heard: Heard = {"message": []}
        told = self.heard["message"]
        self._cutter = Cutter(lambda text: told.append(text.decode()), told.append)
        self._rest = Alone(self.heard)

    def feed(self, piece: bytes) -> None:
        room = bytearray(piece)
        passed = self._cutter.feed(memoryview(room))
        room[:] = bytes(len(room))  # what is kept beyond the call is lost
        if passed:
            self._rest.feed(passed)


class Alone:
    """Stock wsproto."""

    def __init__(self, heard: Heard | None = None) -> None:
        self.heard: Heard = {"message": []} if heard is None else heard
        self._connection = Connection(ConnectionType.CLIENT)
        self._text: list[str] = []
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        if "end" not in self.heard:
            self._connection.receive_data(piece)
            for event in self._connection.events():
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case TextMessage():
                self._text.append(event.data)
                if event.message_finished:
                    self.heard["message"].append("".join(self._text))
                    self._text.clear()
            case BytesMessage():
                self._data.append(bytes(event.data))
                if event.message_finished:
                    self.heard["message"].append(b"".join(self._data))
                    self._data.clear()
            case Ping() | Pong():
                self.heard.setdefault(type(event).__name__, []).append(bytes(event.payload))
            case CloseConnection():
                # Where text ceased to be text depends on the pieces.
                reason = None if event.code == _NO_TEXT else event.reason
                self.heard.setdefault("end", []).append((event.code, reason))
            case _:
                raise AssertionError(event)


def difference(random: Random) -> str:
    """Say how what we hear differs from what wsproto hears, after any piece; empty if not.

    One difference is meant: text that is none is refused when its frame is whole,
    and not before.
    """
    said = babble(random)
    ours, alone, so_far = Ours(), Alone(), b""
    for piece in pieces(random, said):
        ours.feed(piece)
        alone.feed(piece)
        so_far += piece
        if ours.heard != alone.heard and not is_meant(so_far, ours.heard, alone.heard):
            return f"{so_far[:300]!r}: {ours.heard} instead of {alone.heard}"
    return ""


def is_meant(said: bytes, ours: Heard, alone: Heard) -> bool:
    """Whether what we hear lacks but the refusal of a text that is not whole."""
    others = dict(alone)
    is_refused = others.pop("end", None) == [(_NO_TEXT, None)]
    return is_refused and ours == others and _stops_within_plain_text(said)


def _stops_within_plain_text(said: bytes) -> bool:
    """Whether a plain text frame that has begun is not whole, and all before it is plain."""
    at = 0
    while len(said) >= at + 2 and said[at] in _PLAIN:
        size, head = said[at + 1], at + 2
        if size in (126, 127):
            head += 2 if size == 126 else 8
            size = int.from_bytes(said[at + 2 : head])
        if head + size > len(said):
            return said[at] == 0x81
        at = head + size
    return False


def count_differences(seed: int, sequences: int) -> list[str]:
    """Compare so many sequences; return what differed."""
    random = Random(seed)
    return list(filter(None, (difference(random) for _ in range(sequences))))


# The frames.


def _frames(random: Random) -> bytes:
    return random.choice(_KINDS)(random)


def _size(random: Random) -> int:
    chance = random.random()
    if chance < 0.002:
        return random.choice(_LARGE)
    return random.choice(_SIZES) if chance < 0.1 else random.randint(0, 9)


def _text(random: Random) -> bytes:
    if random.random() < 0.5:
        return "".join(random.choice(_WORDS) for _ in range(random.randint(0, 3))).encode()
    return b"t" * _size(random)


def _data(random: Random) -> bytes:
    return bytes((random.randrange(256),)) * _size(random)


def _plain_text(random: Random) -> bytes:
    return frame(_FIN | _TEXT, _text(random))


def _plain_data(random: Random) -> bytes:
    return frame(_FIN | _BINARY, _data(random))


def _control(random: Random) -> bytes:
    size = random.choice((0, 1, 4, 124, 125))
    return frame(_FIN | random.choice((_PING, _PONG)), bytes((random.randrange(256),)) * size)


def _wrong_control(random: Random) -> bytes:
    kind = random.choice((_PING, _PONG, _CLOSE))
    match random.randrange(4):
        case 0:
            return frame(_FIN | kind, bytes(random.choice((126, 130, 65_536))))
        case 1:
            return frame(_FIN | kind, b"hi", form=random.choice((2, 8)))
        case 2:
            return frame(kind, b"hi")
        case _:
            return bytes((_FIN | kind, random.choice((126, 127))))


def _fragmented(random: Random) -> bytes:
    """A message in fragments, maybe with a control frame between two, or cut in a character."""
    kind = random.choice((_TEXT, _BINARY))
    whole = _text(random) if kind == _TEXT else _data(random)
    if random.random() < 0.1:
        whole += random.choice(_NO_UTF8)
    cuts = sorted(random.randint(0, len(whole)) for _ in range(random.randint(1, 3)))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    said = b""
    for number, part in enumerate(parts):
        fin = _FIN if number == len(parts) - 1 else 0
        said += frame(fin | (_CONTINUATION if number else kind), part)
        if random.random() < 0.2:
            said += _control(random)
    return said


def _no_text(random: Random) -> bytes:
    wrong = random.choice(_NO_UTF8)
    return frame(_FIN | _TEXT, _text(random) + wrong + random.choice((b"", b"x" * 130)))


def _close(random: Random) -> bytes:
    code = random.choice((*_CODES, *_MORE_CODES)).to_bytes(2)
    reason = random.choice((b"", b"bye", "grüße".encode(), *_NO_UTF8))
    return frame(_FIN | _CLOSE, random.choice((b"", b"\x03", code, code + reason, code + reason)))


def _masked(random: Random) -> bytes:
    plain = bytearray(random.choice((_plain_text, _plain_data, _control))(random))
    plain[1] |= 0x80
    return bytes(plain)


def _reserved(random: Random) -> bytes:
    plain = bytearray(random.choice((_plain_text, _plain_data, _control))(random))
    plain[0] ^= random.choice((0x10, 0x20, 0x40, 0x70, 0x03, 0x07))
    return bytes(plain)


def _wasteful(random: Random) -> bytes:
    kind, form = random.choice((_TEXT, _BINARY)), random.choice((2, 8))
    size = random.choice((0, 1, 5, 125) if form == 2 else (0, 5, 125, 126, 65_535))
    return frame(_FIN | kind, b"w" * size, form=form)


def _huge(random: Random) -> bytes:
    return frame(_FIN | random.choice((_TEXT, _BINARY)), b"few", size=random.choice(_HUGE))


def _stray(random: Random) -> bytes:
    return frame(random.choice((0, _FIN)) | _CONTINUATION, _text(random))


def _noise(random: Random) -> bytes:
    return bytes(random.randrange(256) for _ in range(random.randint(1, 12)))


_ODD: tuple[Callable[[Random], bytes], ...] = (
    *(_wrong_control, _no_text, _masked, _reserved, _wasteful, _huge, _stray, _noise, _close),
)
_KINDS = (*(_plain_text, _plain_data, _control) * 6, *(_fragmented,) * 4, *_ODD)
