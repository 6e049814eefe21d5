"""What is known of a talk: its times, who is told how it goes, and who keeps what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from batchtts.model import Word


@dataclass(slots=True)
class Timeline:
    """Trio clock readings of one talk, in seconds; 0.0 is not yet."""

    committed_at: float = 0.0
    first_audio_at: float = 0.0
    last_audio_at: float = 0.0

    @property
    def ttfa_s(self) -> float:
        """Time to first audio: from commit to the first non-empty payload."""
        return self.first_audio_at - self.committed_at

    @property
    def synth_s(self) -> float:
        """From commit to the last payload; the quiet window is not counted."""
        return self.last_audio_at - self.committed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What a talk is told as it goes; none of these may block.

    Attributes:
        hear: Takes a payload and the item that it belongs to.
        said: The provider is no longer at work on the request.
        late: A script of this session that counted as whole was cut short.
        time: Takes the times of words and the item that they belong to.
    """

    hear: Callable[[bytes, str | None], None]
    said: Callable[[], None]
    late: Callable[[str], None]
    time: Callable[[Sequence[Word], str | None], None]


class Tape(Protocol):
    """Keeps what is said on one connection; none of these may block."""

    def opened(self, resource: str) -> None:
        """The connection is open; the dialect asked for it with this path and query."""

    def asked(self, context: str, script: str) -> None:
        """We are to have this script spoken; what we say next is for that."""

    def sent(self, message: str) -> None:
        """We have said this."""

    def received(self, message: str | bytes) -> None:
        """The provider has said this, in text (maybe in UTF-8)."""

    def received_binary(self, payload: bytes) -> None:
        """The provider has said this, in a binary message."""

    def waited(self) -> None:
        """Our patience ran out, or the quiet window was over."""

    def closed(self, code: int | None, reason: str) -> None:
        """The provider has closed the connection, or it broke."""

    def ended(self) -> None:
        """Nothing more will be said."""
