"""What a provider's side of a conversation asks its connection to do. No I/O.

A conversation takes in messages and hands back actions, in order. Speech and
hearing take time: `Say` and `Listen` name who will put what comes of them into
messages. Everything between is the connection's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from batchtts.server.casting import Role
from batchtts.server.damage import Harm

#: What speech may be packed into; `pcm` is s16le without a header.
Packing = Literal["pcm", "wav", "mp3", "ogg", "mulaw", "alaw"]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text message."""

    message: str


@dataclass(frozen=True, slots=True)
class SendBinary:
    """Send a binary message."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for so many seconds; what comes after this waits."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close politely, after all that was sent."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Abort:
    """Break the connection off without a goodbye, after all that was sent."""


@dataclass(frozen=True, slots=True)
class After:
    """Call `expired` with this name after so many seconds, counted from when all
    that was sent is on its way.

    Naming the same timer again starts it anew; infinity stops it. The timer
    ``idle`` does not run out while there is something to say.
    """

    name: str
    seconds: float


Frame = Send | SendBinary | Pause | Close | Abort | After


class Framing(Protocol):
    """Puts speech into messages."""

    def piece(self, say: Say, payload: bytes) -> Iterable[Frame]: ...
    def end(self, say: Say) -> Iterable[Frame]: ...
    def cannot_speak(self, say: Say, reason: str) -> Iterable[Frame]: ...
    def broken(self, say: Say, reason: str) -> Iterable[Frame]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Speak an item: pieces, then its end or its failure.

    Attributes:
        item: The provider's name for it, unique in the connection.
        context: Items of one context are spoken in order.
        named: Whether the client gave the context a name, and wants it back.
        framing: Puts the speech into messages.
        seed: Of an engine that has more than one take of a text.
        packing: What a piece is. Only `pcm` at 24 kHz comes piece by piece; all
            else comes as one whole piece.
        fault: What goes wrong with it on purpose, if anything does; for the log.
        harm: What is done to its audio, or to what it says. All of it is held back until
            it is spoken.
    """

    item: str
    context: str
    named: bool
    text: str
    role: Role
    speed: float
    framing: Framing
    seed: int = 0
    packing: Packing = "pcm"
    sample_rate_hz: int = 24_000
    fault: str | None = None
    harm: Harm | None = None


class Transcribing(Protocol):
    """Puts what was heard into messages."""

    def guessed(self, listen: Listen, text: str) -> Iterable[Frame]: ...
    def heard(self, listen: Listen, text: str) -> Iterable[Frame]: ...
    def unheard(self, listen: Listen, reason: str) -> Iterable[Frame]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Recognize speech; pieces of one context are recognized in order.

    Attributes:
        pcm: mono s16le.
        model: As the client asked for it.
        ear: The recognizer that takes its part.
        fault: See `Say`.
    """

    item: str
    context: str
    pcm: bytes
    sample_rate_hz: int
    model: str
    ear: str
    framing: Transcribing
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Drop what is still to be spoken in a context."""

    context: str


Action = Frame | Say | Listen | Cancel


class Conversation(Protocol):
    """The provider's side of one connection."""

    def greet(self) -> Iterable[Action]:
        """The client is here."""

    def receive(self, message: str | bytes) -> Iterable[Action]:
        """The client has said something; bytes are a binary message."""

    def expired(self, timer: str) -> Iterable[Action]:
        """A timer of `After` has run out."""

    def leave(self) -> None:
        """The connection is over."""
