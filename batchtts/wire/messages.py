"""What dialects have in common: JSON that may mean nothing, base64, wishes left open."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import pybase64

from batchtts.model import Word


class _Kind(msgspec.Struct):
    """As much of a message as tells whether the rest matters."""

    type: str


_LONG_BYTES = 1024  # of a message that is worth another way
_MARK = b'"?"'  # what is decoded in place of a long value

_decode_kind = msgspec.json.Decoder(_Kind).decode


class Typed(Protocol):
    """A message that says what it is."""

    type: str


Message = TypeVar("Message", bound=Typed)


class Reader(Generic[Message]):
    """Decodes messages of the kinds that matter; others may hold anything."""

    def __init__(
        self, message: type[Message], matters: Collection[str], audio: str | None = None
    ) -> None:
        """Decode messages of one type.

        Args:
            matters: The kinds of which every one must fit.
            audio: The name of a long value without escapes, of type msgspec.Raw in
                *message*. It is found by looking for its quotes: five times as fast.
        """
        self._decode = msgspec.json.Decoder(message).decode
        self._matters = frozenset(matters)
        self._audio = audio or ""
        self._key = f'"{audio}":'.encode() if audio else b""

    def __call__(self, message: str | bytes) -> Message | None:
        """Return a message; None if it does not fit and is of another kind.

        Raises:
            msgspec.MsgspecError, ValueError: it cannot be read.
        """
        try:
            if self._key and isinstance(message, bytes) and len(message) > _LONG_BYTES:
                return self._decode_around(message) or self._decode(message)
            return self._decode(message)
        except msgspec.ValidationError:
            if _decode_kind(message).type in self._matters:
                raise
            return None

    def _decode_around(self, message: bytes) -> Message | None:
        """Decode all but the long value, and add that; None if it is not so simple."""
        start = message.find(self._key) + len(self._key)
        start += message[start : start + 1] == b" "
        end = message.find(b'"', start + 1)
        if start <= len(self._key) or message[start : start + 1] != b'"' or end < 0:
            return None
        around = message[:start] + _MARK + message[end + 1 :]
        if around.count(_MARK) > 1:
            return None  # which of the two it is would not show
        try:
            said = self._decode(around)
        except msgspec.MsgspecError:
            return None
        if bytes(getattr(said, self._audio)) != _MARK:
            return None  # it belongs to something else
        setattr(said, self._audio, msgspec.Raw(memoryview(message)[start : end + 1]))
        return said


def decode_base64(text: msgspec.Raw) -> bytes:
    """Decode a JSON string of base64, as a rule without making text of it first.

    Raises:
        ValueError: it is no such string.
    """
    view = memoryview(text)
    if len(view) < 2 or view[0] != ord('"'):
        raise ValueError("a message without audio")
    try:
        return pybase64.b64decode(view[1:-1], validate=True)
    except ValueError:  # an escaped slash, or no base64 at all
        return pybase64.b64decode(msgspec.json.decode(text, type=str), validate=True)


def timings(
    words: Sequence[str] | None, starts: Sequence[float] | None, ends: Sequence[float] | None
) -> tuple[Word, ...]:
    """Put words and their seconds together; nothing if they do not match.

    Timings stand beside the audio, and are no reason to throw it away.
    """
    words, starts, ends = words or (), starts or (), ends or ()
    if not len(words) == len(starts) == len(ends):
        return ()
    return tuple(map(Word, words, starts, ends))


def asked(wishes: Mapping[str, object]) -> dict[str, object]:
    """Return the wishes that were made: None is none."""
    return {name: value for name, value in wishes.items() if value is not None}


def address(path: str, wishes: Mapping[str, object]) -> str:
    """Return path and query of a handshake request.

    A space is ``%20`` and never a plus; true and false are in lower case.
    """
    query = {
        name: f"{value}".lower() if isinstance(value, bool) else value
        for name, value in asked(wishes).items()
    }
    return f"{path}?{urlencode(query, quote_via=quote)}"
