"""What differs between providers: how they talk, and what to expect of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol, runtime_checkable

from batchtts.wire.events import Event, Fault

Encoding = Literal["s16le", "f32le", "mulaw", "alaw"]


def _no_opinion(code: int | None, words: str) -> Fault | None:
    """A provider whose refusals mean what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a provider's conversations are like.

    Attributes:
        greets: The provider speaks first.
        reusable: One connection may carry a second script.
        listens: It is given audio and says what it hears.
        linger_s: Seconds to wait after Done, or after what was heard, for more of
            the same script.
        closes: The provider closes the connection when it has said everything: a
            Done may be that of a part, and a polite close after one is the end.
            Silence is one only with a `linger_s`, or if every word was told of.
        ends_by_timer: A Done says that nothing was sent for a while, and may come for
            an earlier script, even under the name of the one that is to be spoken.
        idle_s: Seconds without a script after which the provider may have given
            the connection up, so that a new one is the better choice.
        sends_binary: Audio comes as binary messages.
        times_words: Timings were asked for, and come for every word.
        echoes: What was spoken comes back as text, all of it.
        raw_encoding: Of audio without a header.
        raw_hz: Sample rate of audio without a header.
        judge_status: What an HTTP status in place of the handshake means, and the
            words that came with it; None if it is what it is everywhere.
        judge_close: The same of a close code and its reason.
    """

    greets: bool = False
    reusable: bool = False
    listens: bool = False
    linger_s: float = 0.0
    closes: bool = False
    ends_by_timer: bool = False
    idle_s: float = inf
    sends_binary: bool = False
    times_words: bool = False
    echoes: bool = False
    raw_encoding: Encoding = "s16le"
    raw_hz: int = 24_000
    judge_status: Callable[[int, str], Fault | None] = _no_opinion
    judge_close: Callable[[int | None, str], Fault | None] = _no_opinion


class Translator(Protocol):
    """What one provider says, and how. One instance per connection."""

    @property
    def traits(self) -> Traits:
        """What to expect; the same for the life of the dialect."""

    def hello(self) -> list[str]:
        """Messages that come before the first script."""

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one text message, as text or in UTF-8; it may mean nothing to us."""


@runtime_checkable
class Dialect(Translator, Protocol):
    """The dialect of a provider that speaks."""

    def speak(self, script: str, context: str) -> list[str]:
        """Messages that carry a whole script and its commit."""


@runtime_checkable
class Listening(Translator, Protocol):
    """The dialect of a recognizer."""

    @property
    def sample_rate_hz(self) -> int:
        """Of the audio that it is given."""

    def listen(self, pcm: bytes, context: str) -> list[str]:
        """Messages that carry a whole recording, mono s16le, and its commit."""
