"""How the server misbehaves, by script: which faults there are, and when one falls. No I/O.

    seed = 7                        # the same file and texts meet the same faults again

    [[fault]]
    kind = "drop"                   # a class below, and its attributes
    probability = 0.05              # or requests = [3, 7], or text = "Ishmael"
    times = 1                       # at most so often; without it, always
    on = ["together", "telnyx"]     # without it, wherever the kind can happen
    code = 1006

    [telnyx]                        # a section of `Knobs`: what no vendor documents
    text_frame = "again"

Requests are counted from 1 over the whole server, and connections for `refuse`.
Whether a fault with a probability falls depends on the seed, its place in the
file, the text, and how often that text was asked for, but not on what else the
server does: a job with many workers meets the same faults each time. At most one
falls on a request: the first in the file that is due and fits.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Annotated, Literal
from zlib import crc32

import msgspec

from batchtts.server.damage import Harm, How
from batchtts.server.knobs import Count, Knobs, Seconds

ProtocolName = Literal["together", "telnyx", "smallest", "transcription"]

#: Before any audio, in the middle of it, or after all of it but before the end marker.
At = Literal["first", "middle", "last"]

#: Of a close; 1006 is a connection that breaks off without one.
Code = Annotated[int, msgspec.Meta(ge=1000, le=4999)]

_SPEECH: frozenset[ProtocolName] = frozenset({"together", "telnyx", "smallest"})
_ALL: frozenset[ProtocolName] = frozenset({*_SPEECH, "transcription"})

#: What `other` has to say as long as nothing else was asked for.
_ANOTHER = "Nobody has asked for this sentence."


class _When(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """When a fault falls; one of the first three is needed.

    Attributes:
        requests: Their numbers.
        text: Falls on requests whose text has this in it.
        times: At most so often; None is always.
        on: None is wherever it can.
    """

    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    requests: tuple[Count, ...] | None = None
    text: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    times: Count | None = None
    on: Annotated[tuple[ProtocolName, ...], msgspec.Meta(min_length=1)] | None = None


class Refuse(_When, frozen=True, kw_only=True, tag="refuse"):
    """The upgrade is answered with an HTTP status.

    Attributes:
        retry_after_s: Whole seconds in a `Retry-After` header; None leaves it out.
    """

    status: Literal[401, 403, 429, 500, 503] = 503
    retry_after_s: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Fail(_When, frozen=True, kw_only=True, tag="fail"):
    """The protocol's own words for a failure of the engine, and nothing after them.

    Attributes:
        close: Closes with this code, too.
        event_type: Transcription: fail the utterance alone, or else the session.
    """

    at: At = "middle"
    close: Code | None = None
    event_type: bool = False


class Drop(_When, frozen=True, kw_only=True, tag="drop"):
    """The connection is closed; 1006 is without a goodbye."""

    at: At = "middle"
    code: Code = 1006


class Stall(_When, frozen=True, kw_only=True, tag="stall"):
    """Nothing more is said, and the connection stays open."""

    at: At = "middle"


class Slow(_When, frozen=True, kw_only=True, tag="slow"):
    """A pause before each message of the speech."""

    seconds: Seconds = 0.2


class Odd(_When, frozen=True, kw_only=True, tag="odd"):
    """Payloads that end in the middle of a sample.

    Attributes:
        size_bytes: Of a payload before base64.
    """

    size_bytes: Count = 4097


class Riff(_When, frozen=True, kw_only=True, tag="riff"):
    """A RIFF header of unknown length before raw PCM.

    Attributes:
        split: The header itself comes in two payloads.
    """

    split: bool = False


class Items(_When, frozen=True, kw_only=True, tag="items"):
    """A commit comes back as several items.

    Attributes:
        delay_s: Silence between two of them.
        close: Closes with this code where the second one would begin.
    """

    count: Annotated[int, msgspec.Meta(ge=2)] = 2
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    close: Code | None = None


class Silent(_When, frozen=True, kw_only=True, tag="silent"):
    """An end marker without any audio."""


class Double(_When, frozen=True, kw_only=True, tag="double"):
    """The message with the text of a segment has all its audio, again."""


class Late(_When, frozen=True, kw_only=True, tag="late"):
    """Audio of another context comes in between.

    Attributes:
        of: One that nobody has heard of, or the last that was finished on this
            connection; without one the fault waits for a request that has it.
    """

    of: Literal["unknown", "finished"] = "unknown"


class Damage(_When, frozen=True, kw_only=True, tag="damage"):
    """Speech that is whole and well formed, but not what was asked for.

    Attributes:
        how: The end cut off, 0.4 s missing, silence of the same length, all of it
            twice, what was asked for before by another request, half as fast again
            or as slow, six dropouts of 50 ms, noise 15 dB below the speech, or eight
            times as loud as there is room for.
    """

    how: How = "missing"


class BadJson(_When, frozen=True, kw_only=True, tag="bad_json"):
    """Half a message."""

    at: At = "middle"


class BadBase64(_When, frozen=True, kw_only=True, tag="bad_base64"):
    """Audio with characters that base64 does not have."""


class Binary(_When, frozen=True, kw_only=True, tag="binary"):
    """A binary message."""

    at: At = "middle"


class Big(_When, frozen=True, kw_only=True, tag="big"):
    """A message of this size: valid, but most of it is white space."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 << 20)] = 5 << 19


Fault = (
    Refuse
    | Fail
    | Drop
    | Stall
    | Slow
    | Odd
    | Riff
    | Items
    | Silent
    | Double
    | Late
    | Damage
    | BadJson
    | BadBase64
    | Binary
    | Big
)

#: Where a kind can happen.
WHERE: Mapping[type[Fault], frozenset[ProtocolName]] = {
    Refuse: _ALL,
    Fail: _ALL,
    Drop: _ALL,
    Stall: _ALL,
    Slow: _SPEECH,
    Odd: _SPEECH,
    Riff: _SPEECH,
    Items: frozenset({"together"}),
    Silent: _SPEECH,
    Double: frozenset({"telnyx"}),
    Late: frozenset({"together", "smallest"}),
    Damage: _SPEECH,
    BadJson: _ALL,
    BadBase64: _SPEECH,
    Binary: _ALL,
    Big: _SPEECH,
}

#: Kind, as a file has it, → its class.
KINDS: Mapping[str, type[Fault]] = {str(kind.__struct_config__.tag): kind for kind in WHERE}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says."""

    seed: int = 0
    faults: tuple[Fault, ...] = ()
    knobs: Knobs = Knobs()


class Faults:
    """What goes wrong on one server; knows what has come in so far."""

    def __init__(self, plan: Plan) -> None:
        self._seed = plan.seed
        self._faults = plan.faults
        self._fallen: Counter[int] = Counter()  # by place in the file
        self._requests = itertools.count(1)
        self._connections = itertools.count(1)
        self._asked: Counter[int] = Counter()  # by the checksum of a text
        self._texts: deque[str] = deque(maxlen=2)  # the last two that differ

    def refusal(self, protocol: ProtocolName) -> Refuse | None:
        """Return how the next connection is refused; None lets it in."""
        number = next(self._connections)
        found = self._first(protocol, number, "", f"{number}", lambda it: isinstance(it, Refuse))
        return found if isinstance(found, Refuse) else None

    def strike(
        self, protocol: ProtocolName, asked: str | bytes, fits: Callable[[Fault], bool]
    ) -> Fault | None:
        """Return what goes wrong with the next request, if anything does.

        Args:
            asked: What is to be spoken, or the audio to listen to.
            fits: Whether this request can have it at all.
        """
        text = asked if isinstance(asked, str) else ""
        checksum = _checksum(asked)
        self._asked[checksum] += 1
        if any(map(str.isalnum, text)) and text not in self._texts:
            self._texts.append(text)
        return self._first(
            protocol,
            next(self._requests),
            text,
            f"{checksum} {self._asked[checksum]}",
            lambda it: not isinstance(it, Refuse) and fits(it),
        )

    def harm(self, fault: Damage, text: str) -> Harm:
        """Return what is done to the request that was struck last with this text."""
        checksum = _checksum(text)
        drawn = sha256(f"{self._seed} {checksum} {self._asked[checksum]}".encode()).digest()
        others = [it for it in self._texts if it != text]
        spoken = text if fault.how != "other" else [_ANOTHER, *others][-1]
        return Harm(fault.how, int.from_bytes(drawn[:8]), spoken)

    def _first(
        self,
        protocol: ProtocolName,
        number: int,
        text: str,
        draw: str,
        fits: Callable[[Fault], bool],
    ) -> Fault | None:
        for place, fault in enumerate(self._faults):
            can = protocol in (fault.on or WHERE[type(fault)])
            is_left = fault.times is None or self._fallen[place] < fault.times
            if can and is_left and fits(fault) and self._is_due(place, fault, number, text, draw):
                self._fallen[place] += 1
                return fault
        return None

    def _is_due(self, place: int, fault: Fault, number: int, text: str, draw: str) -> bool:
        if fault.probability is not None:
            drawn = sha256(f"{self._seed} {place} {draw}".encode()).digest()
            return int.from_bytes(drawn[:8]) < fault.probability * 2**64
        if fault.text is not None:
            return fault.text in text
        return number in (fault.requests or ())


def _checksum(asked: str | bytes) -> int:
    return crc32(asked.encode(errors="replace") if isinstance(asked, str) else asked)
