"""Cartesia: one request per context, many contexts per socket, an exact end.

A script is one request with ``continue`` false in a context of its own, so the
``done`` of that context ends the script. Everything about the voice is in the
request; a connection has no manner of its own. Errors may name no context and
then concern the connection; anything else without one is not understood, for it
could be of any script.
Where too much is asked for at once, audio has been seen to stop with neither
``done`` nor an error: that is a stall, and costs an attempt. The default number
of requests in flight is therefore what the smallest plan allows.
Source: Cartesia's API reference for text to speech over WebSockets, its pages on
API errors, on concurrency and timeouts, and on the models Sonic 3 and 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec

from batchtts.errors import VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire import prices
from batchtts.wire.dialogue import Traits
from batchtts.wire.events import Audio, Done, Event, Failed, Fault, Named, Words
from batchtts.wire.messages import Reader, asked, timings
from batchtts.wire.provider import Headers, Manner, Provider, read_options

#: The first version whose errors carry a code; older ones have a sentence only.
VERSION = "2026-03-01"

PATH = "/tts/websocket"
RATE_HZ: Final = 24_000
IDLE_S = 280.0  # of the 300 after which the server hangs up

SONIC_3, SONIC_3_5 = "sonic-3", "sonic-3.5"
SLOWEST, FASTEST = 0.6, 1.5

_LANGUAGES = tuple(
    (
        "en de es fr ja pt zh hi ko it nl pl ru sv tr tl bg ro ar cs el fi hr ms sk da ta uk hu"
        " no vi bn th he ka id te gu kn ml mr pa"
    ).split()
)

#: Katie and Jameson, whom the vendor's page on Sonic 3.5 names; there is no fixed list.
_IDS = ("f786b574-daa5-4673-aa0c-cbe3e8534c02", "a5136bf9-224c-4d76-b823-52bd5efcffcc")

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_FAULTS = {
    "401": Fault.KEY,
    "402": Fault.QUOTA,
    "403": Fault.KEY,
    "404": Fault.VOICE,
    "429": Fault.BUSY,
    "concurrency_limited": Fault.BUSY,
}

#: What is wrong with a request (400), by a word of the explanation.
_COMPLAINTS = {
    "transcript": Fault.SCRIPT,
    "voice": Fault.VOICE,
    "model": Fault.VOICE,
    "language": Fault.VOICE,
    "context": Fault.ENGINE,
}


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file may ask of Cartesia in `[options]`.

    Attributes:
        sample_rate: Hz.
        volume: 1.0 is normal; Sonic 3 only.
        emotion: As the provider spells it; Sonic 3 only.
        pronunciation_dict_id: A dictionary of the account.
    """

    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000] = RATE_HZ
    volume: Annotated[float, msgspec.Meta(ge=0.5, le=2.0)] | None = None
    emotion: str | None = None
    pronunciation_dict_id: str | None = None


class _Timings(msgspec.Struct):
    words: list[str] = []
    start: list[float] = []
    end: list[float] = []


class _Message(msgspec.Struct):
    """The parts of any server message that matter here."""

    type: str
    context_id: str | None = None
    data: bytes | None = None
    word_timestamps: _Timings | None = None
    status_code: object = None
    error_code: object = None
    title: str | None = None
    message: str | None = None
    error: str | None = None
    request_id: str | None = None


_read = Reader(
    _Message,
    {"chunk", "timestamps", "done", "error"},
)


@dataclass(frozen=True, slots=True)
class Cartesia:
    """How one script is asked for."""

    voice: Voice
    speed: float = 1.0
    options: Options = field(default_factory=Options)
    word_timestamps: bool = False

    @classmethod
    def of(cls, manner: Manner) -> Cartesia:
        """Return the dialect of scripts in this manner.

        Raises:
            VoiceUnavailable: the model takes no such wish. It is not asked, because
                a wish that is passed over in silence would be taken for granted.
        """
        dialect = cls(
            manner.voice, manner.speed, read_options(manner, Options), manner.word_timestamps
        )
        wishes, model = dialect._wishes, manner.voice.model
        if wishes and not (model == SONIC_3 or model.startswith(f"{SONIC_3}-")):
            raise VoiceUnavailable(f"{model} takes no {' or '.join(wishes)}; {SONIC_3} does")
        if not SLOWEST <= manner.speed <= FASTEST:
            raise VoiceUnavailable(
                f"speed {manner.speed:g} is not within {SLOWEST:g} and {FASTEST:g}"
            )
        return dialect

    @property
    def traits(self) -> Traits:
        """No greeting; sockets last for five minutes without a script."""
        return Traits(
            reusable=True,
            idle_s=IDLE_S,
            times_words=self.word_timestamps,
            raw_hz=self.options.sample_rate,
        )

    @property
    def resource(self) -> str:
        """Path of the handshake request; nothing depends on the voice."""
        return PATH

    def hello(self) -> list[str]:
        """Nothing: all is in the request."""
        return []

    def speak(self, script: str, context: str) -> list[str]:
        """Ask for the whole script in a context of its own."""
        request: dict[str, object] = {
            "model_id": self.voice.model,
            "transcript": script,
            "voice": {"mode": "id", "id": self.voice.name},
            "language": self._language,
            "context_id": context,
            "continue": False,
            "output_format": {
                "container": "raw",
                "encoding": "pcm_s16le",
                "sample_rate": self.options.sample_rate,
            },
            "max_buffer_delay_ms": 0,
            "add_timestamps": self.word_timestamps or None,
            "generation_config": self._wishes or None,
            "pronunciation_dict_id": self.options.pronunciation_dict_id,
        }
        return [msgspec.json.encode(asked(request)).decode()]

    @property
    def _language(self) -> str | None:
        """Two letters, without the country; None if it is not known."""
        base = self.voice.language.partition("-")[0]
        return None if base == "und" else base

    @property
    def _wishes(self) -> dict[str, object]:
        """How the speech is to differ from the voice's own way."""
        wishes = {
            "speed": None if self.speed == 1.0 else self.speed,
            "volume": self.options.volume,
            "emotion": self.options.emotion,
        }
        return asked(wishes)

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one server message."""
        said = _read(message)
        match said:
            case _Message(type="error"):
                return _failed(said)
            case _Message(type="chunk", data=bytes(payload), context_id=str(context)):
                return (Audio(payload, context),)
            case _Message(type="done", context_id=str(context)):
                return (Done(context),)
            case _Message(type="timestamps", context_id=str(context)):
                told = said.word_timestamps or _Timings()
                return (Words(timings(told.words, told.start, told.end), context),)
            case _Message(type="chunk" | "done" | "timestamps"):
                raise ValueError("a message that could be of any script, or a chunk without data")
            case _:
                return ()


def _failed(said: _Message) -> Sequence[Event]:
    """Either shape of an error; one without a context concerns the connection."""
    told = said.message or said.error
    reason = ": ".join(part for part in (said.title, told) if part) or "no reason given"
    code = said.error_code or said.status_code
    fault = _FAULTS.get(str(said.error_code)) or _judge(str(said.status_code), reason)
    failed = Failed(f"{reason} ({code})" if code else reason, fault, said.context_id)
    return (Named(said.request_id), failed) if said.request_id else (failed,)


def _judge(status: str, reason: str) -> Fault:
    """The fault of an error whose code is not known."""
    if status == "400":
        words = reason.lower()
        faults = (fault for word, fault in _COMPLAINTS.items() if word in words)
        return next(faults, Fault.SCRIPT)
    return _FAULTS.get(status, Fault.ENGINE)


def _headers(key: str) -> Headers:
    return (("X-API-Key", key), ("Cartesia-Version", VERSION))


def _open_voice(name: str, model: str | None) -> Voice | None:
    """A voice of the public library or of the account."""
    return Voice(name, model or SONIC_3, "und") if _UUID.fullmatch(name) else None


PROVIDER = Provider(
    name="cartesia",
    about="Cartesia: Sonic, 42 languages, any voice by its id",
    url="wss://api.cartesia.ai",
    key_variable="CARTESIA_API_KEY",
    dialect=Cartesia.of,
    voices=tuple(Voice(name, model, "en") for model in (SONIC_3, SONIC_3_5) for name in _IDS),
    sample_rate_hz=RATE_HZ,
    segment_chars=500,
    workers=4,
    in_flight=2,
    usd_per_million_chars=prices.CARTESIA,
    prices_as_of=prices.AS_OF,
    headers=_headers,
    options=Options,
    open_models=True,
    open_voices=_open_voice,
    languages={SONIC_3: _LANGUAGES, SONIC_3_5: _LANGUAGES},
)
