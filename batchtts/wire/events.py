"""What happens in a conversation with a provider, in words that are the same for all."""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from batchtts.model import Word


class Fault(Enum):
    """Whose fault a failure is, as far as the provider says."""

    ENGINE = auto()  # theirs; another attempt may succeed
    BUSY = auto()  # nobody's; too many requests for now
    SCRIPT = auto()  # this script will never be spoken
    VOICE = auto()  # no such voice, model or language
    KEY = auto()  # the key is refused
    QUOTA = auto()  # nothing left to spend
    CUT = auto()  # nobody's words: some of the script was not spoken


class Ready(msgspec.Struct, frozen=True):
    """The provider accepts text."""


class Named(msgspec.Struct, frozen=True):
    """The provider's own name for what it is at, for messages and its support."""

    request: str


class Audio(msgspec.Struct, frozen=True):
    """Some encoded audio, not necessarily a whole number of samples."""

    payload: bytes
    context: str | None = None
    item: str | None = None


class Words(msgspec.Struct, frozen=True):
    """When the words of an item are spoken, in seconds from its beginning."""

    words: tuple[Word, ...]
    context: str | None = None
    item: str | None = None


class Echo(msgspec.Struct, frozen=True):
    """The text of a part of an item, when all the audio of that part has come."""

    text: str
    context: str | None = None
    item: str | None = None


class Acknowledged(msgspec.Struct, frozen=True):
    """A recognizer has all of the audio; if there are no words in it, nothing follows."""


class Guess(msgspec.Struct, frozen=True):
    """What a recognizer believes to hear so far; takes the place of its last guess."""

    text: str


class Heard(msgspec.Struct, frozen=True):
    """What a recognizer has heard, for good."""

    text: str
    item: str | None = None


class Done(msgspec.Struct, frozen=True):
    """The provider's end marker; some providers send several per commit."""

    context: str | None = None
    item: str | None = None


class Finished(msgspec.Struct, frozen=True):
    """The whole script has been heard."""


class Failed(msgspec.Struct, frozen=True):
    """The provider says that it cannot, or we see that it did not."""

    reason: str
    fault: Fault = Fault.ENGINE
    context: str | None = None


class Stalled(msgspec.Struct, frozen=True):
    """Our patience ran out."""

    reason: str


class Closed(msgspec.Struct, frozen=True):
    """The connection is gone; says when in the conversation that was."""

    code: int | None
    reason: str = ""
    awaited: str = ""


class Late(msgspec.Struct, frozen=True):
    """Audio of a script that was taken for finished: it was cut short."""

    context: str


Event = (
    Ready
    | Named
    | Audio
    | Words
    | Echo
    | Acknowledged
    | Guess
    | Heard
    | Done
    | Finished
    | Failed
    | Stalled
    | Closed
    | Late
)
