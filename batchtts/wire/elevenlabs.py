"""ElevenLabs: text and its end on a socket of its own, base64 in JSON.

The end of the text is an empty one; after it come the rest of the audio,
``isFinal`` and the close. Nothing ends a part of the text, so a socket carries
one script. What went wrong is told by the word in ``error``: the close code is
1008 for nearly everything.
Times are those of characters and count from the beginning of their message's
audio, so the audio before it is added. They are told for the text as it was
sent, which makes them a second proof that all of it was spoken.
Source: ElevenLabs' API reference for stream-input, its guide to WebSockets, its
pages on error messages and models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec

from batchtts.errors import VoiceUnavailable
from batchtts.model import Voice, Word
from batchtts.wire import prices
from batchtts.wire.characters import Reading
from batchtts.wire.dialogue import Encoding, Traits
from batchtts.wire.events import Audio, Done, Event, Failed, Fault, Words
from batchtts.wire.messages import address, asked
from batchtts.wire.provider import Headers, Manner, Provider, read_options

RATE_HZ = 24_000
SLOWEST, FASTEST = 0.7, 1.2

FLASH, MULTILINGUAL = "eleven_flash_v2_5", "eleven_multilingual_v2"

_V2 = tuple(
    (
        "en ja zh de hi fr ko pt it es id nl tr fil pl sv bg ro ar cs el fi hr ms sk da ta uk ru"
    ).split()
)
_V2_5 = (*_V2, "hu", "no", "vi")

#: Models that this socket has, and their languages; the first is the default.
_MODELS = {
    FLASH: _V2_5,
    MULTILINGUAL: _V2,
    "eleven_turbo_v2_5": _V2_5,
    "eleven_flash_v2": ("en",),
    "eleven_turbo_v2": ("en",),
}

#: Models that can be told the language; the others find out by themselves.
_TOLD = (FLASH, "eleven_turbo_v2_5")

#: George, of the vendor's quickstart, and Rachel, long the example of its reference.
_IDS = ("JBFqnCBsd6RMkjVDRZzb", "21m00Tcm4TlvDq8ikWAM")
_ID = re.compile(r"[0-9A-Za-z]{20}")

#: What a word of the provider's means, in a message, a refusal or a close.
_FAULTS = {
    "invalid_api_key": Fault.KEY,
    "missing_api_key": Fault.KEY,
    "quota_exceeded": Fault.QUOTA,
    "too_many_concurrent_requests": Fault.BUSY,
    "system_busy": Fault.BUSY,
    "max_character_limit_exceeded": Fault.SCRIPT,
    "voice_not_found": Fault.VOICE,
    "voice_id_does_not_exist": Fault.VOICE,
    "model_not_found": Fault.VOICE,
    "only_for_": Fault.VOICE,  # a larger plan
}

_Unit = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

# fmt: off
_OutputFormat = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_32000", "pcm_44100", "pcm_48000",
    "mp3_22050_32", "mp3_44100_32", "mp3_44100_64", "mp3_44100_96", "mp3_44100_128",
    "mp3_44100_192", "ulaw_8000", "alaw_8000", "opus_48000_32", "opus_48000_64",
    "opus_48000_96", "opus_48000_128", "opus_48000_192",
]
# fmt: on

_ENCODINGS: dict[str, Encoding] = {"ulaw": "mulaw", "alaw": "alaw"}
_BYTES_PER_SAMPLE = {"pcm": 2, "ulaw": 1, "alaw": 1}


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file may ask of ElevenLabs in `[options]`.

    Attributes:
        output_format: Codec, Hz and kbit/s; some need a larger plan.
        inactivity_timeout: Seconds a socket may wait for its script.
        auto_mode: Speak at once, without a schedule of chunks.
        seed: The same again, as far as the provider can.
        apply_text_normalization: Whether numbers and such are spelled out first.
        enable_ssml_parsing: Whether markup in a script is understood.
        enable_logging: Off needs an enterprise plan.
        stability, similarity_boost, style, use_speaker_boost: Of the voice. If any
            of them or a speed is given, the first two are sent too, and take the
            place of those that are kept with the voice.
    """

    output_format: _OutputFormat = "pcm_24000"
    inactivity_timeout: Annotated[int, msgspec.Meta(ge=1, le=180)] = 180
    auto_mode: bool = True
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    apply_text_normalization: Literal["auto", "on", "off"] | None = None
    enable_ssml_parsing: bool | None = None
    enable_logging: bool | None = None
    stability: _Unit | None = None
    similarity_boost: _Unit | None = None
    style: _Unit | None = None
    use_speaker_boost: bool | None = None


class _Alignment(msgspec.Struct, rename="camel"):
    """When characters are spoken, in any of the spellings that are about."""

    chars: list[str] = []
    characters: list[str] = []
    char_start_times_ms: list[float] = []
    starts_ms: list[float] = msgspec.field(default_factory=list, name="char_start_times_ms")
    char_durations_ms: list[float] = []
    chars_durations_ms: list[float] = []
    spans_ms: list[float] = msgspec.field(default_factory=list, name="chars_durations_ms")


class _Message(msgspec.Struct, rename="camel"):
    """The parts of any server message that matter here."""

    audio: bytes | None = None
    is_final: bool | None = None
    alignment: msgspec.Raw = msgspec.Raw(b"null")
    normalized_alignment: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    message: str | None = None
    code: object = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_alignment = msgspec.json.Decoder(_Alignment | None).decode
_encode = msgspec.json.encode


@dataclass(slots=True)
class ElevenLabs:
    """What is said for one script, and how far its answer has been read."""

    voice: Voice
    speed: float = 1.0
    options: Options = field(default_factory=Options)
    word_timestamps: bool = False
    _reading: Reading = field(init=False)

    def __post_init__(self) -> None:
        codec, hz = self._format
        size = _BYTES_PER_SAMPLE.get(codec)
        self._reading = Reading(size * hz if size else None)

    @classmethod
    def of(cls, manner: Manner) -> ElevenLabs:
        """Return the dialect of a connection for a script in this manner.

        Raises:
            VoiceUnavailable: no voice has this pace. What the provider makes of
                such a wish is not documented, so it is not sent.
        """
        if not SLOWEST <= manner.speed <= FASTEST:
            raise VoiceUnavailable(
                f"speed {manner.speed:g} is not within {SLOWEST:g} and {FASTEST:g}"
            )
        options = read_options(manner, Options)
        return cls(manner.voice, manner.speed, options, manner.word_timestamps)

    @property
    def traits(self) -> Traits:
        """One script per connection; markup in a script has no times to compare."""
        options, (codec, hz) = self.options, self._format
        return Traits(
            idle_s=0.9 * options.inactivity_timeout,
            times_words=self.word_timestamps and not options.enable_ssml_parsing,
            raw_encoding=_ENCODINGS.get(codec, "s16le"),
            raw_hz=hz,
            judge_status=_judge,
            judge_close=_judge,
        )

    @property
    def _format(self) -> tuple[str, int]:
        codec, hz = self.options.output_format.split("_")[:2]
        return codec, int(hz)

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""
        options = self.options
        query: dict[str, object] = {
            "model_id": self.voice.model,
            "output_format": options.output_format,
            "auto_mode": options.auto_mode,
            "inactivity_timeout": options.inactivity_timeout,
            "language_code": self._language,
            "sync_alignment": self.word_timestamps or None,
            "seed": options.seed,
            "apply_text_normalization": options.apply_text_normalization,
            "enable_ssml_parsing": options.enable_ssml_parsing,
            "enable_logging": options.enable_logging,
        }
        voice = quote(self.voice.name, safe="")
        return address(f"/v1/text-to-speech/{voice}/stream-input", query)

    @property
    def _language(self) -> str | None:
        """The language without the country, for models that can be told."""
        base = self.voice.language.partition("-")[0]
        return base if self.voice.model in _TOLD and base != "und" else None

    def hello(self) -> list[str]:
        """Nothing before the script: its pace comes with it."""
        return []

    def speak(self, script: str, context: str) -> list[str]:
        """Open with a space and the settings; then the whole script, then its end."""
        settings = self._settings
        opening = {"text": " "} | ({"voice_settings": settings} if settings else {})
        text = script if script.endswith(" ") else f"{script} "
        return [_encode(each).decode() for each in (opening, {"text": text}, {"text": ""})]

    @property
    def _settings(self) -> dict[str, object]:
        """Those of the voice that are asked for; empty is the voice's own."""
        options = self.options
        wishes: dict[str, object] = {
            "stability": options.stability,
            "similarity_boost": options.similarity_boost,
            "style": options.style,
            "use_speaker_boost": options.use_speaker_boost,
            "speed": None if self.speed == 1.0 else self.speed,
        }
        given = asked(wishes)
        return {"stability": 0.5, "similarity_boost": 0.75} | given if given else {}

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one server message; the last one may bring audio and the end."""
        said = _decode_message(message)
        if said.error is not None or said.code is not None:
            return (_failed(said),)
        events: list[Event] = []
        if words := self._words(said):
            events.append(Words(words))
        if said.audio is not None:
            self._reading.hear(said.audio)
            events.append(Audio(said.audio))
        if said.is_final:
            events.append(Done())
        return events

    def _words(self, said: _Message) -> tuple[Word, ...]:
        """The words that are complete with this message; none if nobody wants them."""
        if not self.word_timestamps:
            return ()
        told = _decode_alignment(said.alignment) or _decode_alignment(said.normalized_alignment)
        words = self._read(told) if told else ()
        return words + self._reading.rest() if said.is_final else words

    def _read(self, told: _Alignment) -> tuple[Word, ...]:
        return self._reading.read(
            told.chars or told.characters,
            told.char_start_times_ms or told.starts_ms,
            told.char_durations_ms or told.chars_durations_ms or told.spans_ms,
        )


def _failed(said: _Message) -> Failed:
    reason = said.message or "no reason given"
    code = said.error or said.code
    return Failed(f"{reason} ({code})", _judge(None, f"{said.error}") or Fault.ENGINE)


def _judge(code: int | None, words: str) -> Fault | None:
    """What the provider's words mean, wherever they stand."""
    return next((fault for word, fault in _FAULTS.items() if word in words), None)


def _headers(key: str) -> Headers:
    return (("xi-api-key", key),)


def _open_voice(name: str, model: str | None) -> Voice | None:
    """A voice of the public library or of the account.

    Raises:
        VoiceUnavailable: the socket does not have this model.
    """
    if model is not None and model not in _MODELS:
        raise VoiceUnavailable(
            f"elevenlabs has no model {model!r}", hint=f"it has {', '.join(_MODELS)}"
        )
    return Voice(name, model or FLASH, "und") if _ID.fullmatch(name) else None


PROVIDER = Provider(
    name="elevenlabs",
    about="ElevenLabs: Flash, Turbo and Multilingual, any voice by its id",
    url="wss://api.elevenlabs.io",
    key_variable="ELEVENLABS_API_KEY",
    dialect=ElevenLabs.of,
    voices=tuple(Voice(name, model, "en") for model in _MODELS for name in _IDS),
    sample_rate_hz=RATE_HZ,
    segment_chars=1000,
    workers=6,
    in_flight=4,
    formats=("pcm", "mp3", "opus", "ulaw", "alaw"),
    usd_per_million_chars=prices.ELEVENLABS,
    prices_as_of=prices.AS_OF,
    headers=_headers,
    options=Options,
    inaudible=frozenset({"inactivity_timeout", "enable_logging"}),
    open_voices=_open_voice,
    languages=_MODELS,
)
