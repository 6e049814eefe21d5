"""What a provider's side of a conversation asks its connection to do. No I/O.

A conversation takes in messages and hands back actions, in order; when speech
comes about, it says how to frame it. Everything between is the connection's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from batchtts.server.casting import Role


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text message."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Speak an item: pieces, then its end or its failure.

    Attributes:
        item: The provider's name for it, unique in the connection.
        context: Items of one context are spoken in order.
        named: Whether the client gave the context a name, and wants it back.
    """

    item: str
    context: str
    named: bool
    text: str
    role: Role
    speed: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Drop what is still to be spoken in a context."""

    context: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close politely, after all that was sent."""

    code: int


Action = Send | Say | Cancel | Close


class Conversation(Protocol):
    """The provider's side of one connection."""

    def greet(self) -> Iterable[Action]: ...
    def receive(self, message: str | bytes) -> Iterable[Action]: ...
    def piece(self, say: Say, pcm: bytes) -> Iterable[str]: ...
    def end(self, say: Say) -> str: ...
    def cannot_speak(self, say: Say, reason: str) -> str: ...
    def broken(self, say: Say, reason: str) -> str: ...
