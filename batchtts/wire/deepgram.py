"""Deepgram Aura: Speak and Flush, audio in binary messages, one Flushed per Flush.

A socket takes 20 Flush messages and 2,400 characters a minute, and beyond the
first of these it warns instead of speaking. One socket per script stays within
both whatever the scripts are, for no piece is longer than 2,000 characters;
whether the characters of several sockets are added up is not documented, and a
close that says so slows the run down. The handshake that this costs is hidden
by workers that connect while others wait for their turn.
The reason of a close begins with a code, and two of them share the close code
1008: one is for good, the other says to wait.
Source: Deepgram's API reference for text to speech over WebSockets, its pages on
Flush, on the voice controls and on WebSocket errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from batchtts.errors import VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire import prices
from batchtts.wire.dialogue import Traits
from batchtts.wire.events import Done, Event, Failed, Fault, Named
from batchtts.wire.messages import Reader, address
from batchtts.wire.provider import Headers, Manner, Provider, read_options

PATH = "/v1/speak"
RATE_HZ: Final = 24_000
IDLE_S = 5.0  # how long a socket may wait for its text is not documented
SLOWEST, FASTEST = 0.7, 1.5

AURA, AURA_2 = "aura", "aura-2"

#: Model and language → names; the first of a language is its default.
_NAMES = {
    (AURA_2, "en"): (
        "thalia amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora"
        " cordelia delia draco electra harmonia helena hera hermes hyperion iris janus juno"
        " jupiter luna mars minerva neptune odysseus ophelia orion orpheus pandora phoebe pluto"
        " saturn selene theia vesta zeus"
    ),
    (AURA_2, "es"): (
        "celeste agustina alvaro antonia aquila carina diana estrella gloria javier luciano nestor"
        " olivia selena silvia sirio valerio"
    ),
    (AURA_2, "de"): "viktoria aurelia elara fabian julius kara lara",
    (AURA_2, "nl"): "rhea beatrix cornelia daphne hestia lars leda roman sander",
    (AURA_2, "fr"): "agathe hector",
    (AURA_2, "it"): "livia cesare cinzia demetra dionisio elio flavio maia melia perseo",
    (AURA_2, "ja"): "izanami ama ebisu fujin uzume",
    (AURA, "en"): ("asteria angus arcas athena helios hera luna orion orpheus perseus stella zeus"),
}

VOICES = tuple(
    Voice(f"{model}-{name}-{language}", model, language)
    for (model, language), names in _NAMES.items()
    for name in names.split()
)

_NAME = re.compile(r"(aura(?:-2)?)-[a-z]+-([a-z]{2})")

#: The code that a close or an error begins with; NET-… may go better next time.
_CODE = re.compile(r"\b(?:DATA|MESSAGE|BIG)-\d{4}\b")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file may ask of Deepgram in `[options]`.

    Attributes:
        sample_rate: Hz.
        mip_opt_out: Keep scripts out of the improvement of models; may cost more.
    """

    sample_rate: Literal[8000, 16000, 24000, 32000, 48000] = RATE_HZ
    mip_opt_out: bool = False


class _Message(msgspec.Struct):
    """The parts of any server message that matter here, in its several spellings."""

    type: str
    request_id: str | None = None
    description: str | None = None
    message: str | None = None
    code: object = None
    warn_msg: str | None = None
    warn_code: object = None
    err_msg: str | None = None
    err_code: object = None

    @property
    def reason(self) -> str:
        """What is wrong, in the provider's words, and the code."""
        told = self.description or self.message or self.warn_msg or self.err_msg
        code = self.code or self.warn_code or self.err_code
        return f"{told or 'no reason given'}" + (f" ({code})" if code else "")


_read = Reader(
    _Message,
    {"Metadata", "Flushed", "Warning", "Error"},
)


@dataclass(frozen=True, slots=True)
class Deepgram:
    """One connection's vocabulary: voice, pace and rate are fixed for its life."""

    voice: Voice
    speed: float = 1.0
    options: Options = field(default_factory=Options)

    @classmethod
    def of(cls, manner: Manner) -> Deepgram:
        """Return the dialect of a connection for a script in this manner.

        Raises:
            VoiceUnavailable: the voice has no such pace. It is not asked, because a
                wish that is passed over in silence would be taken for granted.
        """
        voice, speed = manner.voice, manner.speed
        has_pace = voice.model == AURA_2 and voice.language.partition("-")[0] in ("en", "es")
        if speed != 1.0 and not has_pace:
            raise VoiceUnavailable(f"{voice.name} has its own speed only, not {speed:g}")
        if not SLOWEST <= speed <= FASTEST:
            raise VoiceUnavailable(f"speed {speed:g} is not within {SLOWEST:g} and {FASTEST:g}")
        return cls(voice, speed, read_options(manner, Options))

    @property
    def traits(self) -> Traits:
        """One script per connection, audio in binary messages, no word timings."""
        return Traits(
            idle_s=IDLE_S,
            sends_binary=True,
            raw_hz=self.options.sample_rate,
            judge_status=_judge_status,
            judge_close=_judge_close,
        )

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""
        query: dict[str, object] = {
            "model": self.voice.name,
            "encoding": "linear16",
            "sample_rate": self.options.sample_rate,
            "speed": None if self.speed == 1.0 else f"{self.speed:g}",
            "mip_opt_out": "true" if self.options.mip_opt_out else None,
        }
        return address(PATH, query)

    def hello(self) -> list[str]:
        """Nothing: all is in the query."""
        return []

    def speak(self, script: str, context: str) -> list[str]:
        """Send the whole script and ask for all of its audio; a socket has one context."""
        messages = ({"type": "Speak", "text": script}, {"type": "Flush"})
        return [msgspec.json.encode(each).decode() for each in messages]

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one text message; a warning that is not of Flush is no failure."""
        said = _read(message)
        match said:
            case _Message(type="Flushed"):
                return (Done(),)
            case _Message(type="Metadata", request_id=str(request)):
                return (Named(request),)
            case _Message(type="Warning") if "flush" in said.reason.lower():
                return (Failed(said.reason, Fault.BUSY),)
            case _Message(type="Error"):
                fault = _judge_close(None, said.reason) or Fault.ENGINE
                return (Failed(said.reason, fault),)
            case _:
                return ()


def _judge_status(status: int, words: str) -> Fault | None:
    """A query that cannot be had: its only part that varies is the voice and its pace."""
    return Fault.VOICE if status == 400 else None


def _judge_close(code: int | None, words: str) -> Fault | None:
    """What a close or an error is about."""
    found = _CODE.search(words)
    if found is None:
        return None
    return Fault.BUSY if found[0] == "DATA-0001" else Fault.SCRIPT


def _headers(key: str) -> Headers:
    return (("Authorization", f"Token {key}"),)


def _open_voice(name: str, model: str | None) -> Voice | None:
    """A voice that is newer than the list: its name says its model and language."""
    said = _NAME.fullmatch(name)
    if said is None or model not in (None, said[1]):
        return None
    return Voice(name, said[1], said[2])


PROVIDER = Provider(
    name="deepgram",
    about="Deepgram: Aura-2 in seven languages, Aura-1 in English",
    url="wss://api.deepgram.com",
    key_variable="DEEPGRAM_API_KEY",
    dialect=Deepgram.of,
    voices=VOICES,
    sample_rate_hz=RATE_HZ,
    segment_chars=1000,
    workers=10,
    in_flight=8,
    usd_per_million_chars=prices.DEEPGRAM,
    prices_as_of=prices.AS_OF,
    headers=_headers,
    options=Options,
    inaudible=frozenset({"mip_opt_out"}),
    open_voices=_open_voice,
)
