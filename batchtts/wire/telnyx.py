"""Telnyx: base64 in JSON, one script per connection, MP3 unless asked otherwise.

A space opens, ``flush`` starts the speech, an empty text ends the input. One
connection carries one script: after the end of the input come the rest of the
audio, ``isFinal`` and the provider's own close. The vendor's guide has an
``isFinal`` after each synthesis as well, and a script may be cut into several;
so only the close that follows an ``isFinal`` says that the script is whole, and
only if the texts of its segments, which are sent back, are not its beginning alone.
Should no close come, they must be all of the script.

Audio comes in frames whose ``text`` is null, and a frame with the text of the
segment follows them; or all of it comes in that frame; or, as was seen, in both.
Markdown and emoji are not spoken. No times of words are told.
Source: Telnyx's guide to streaming speech over a WebSocket, its pages on
configuration, voice settings, errors and voices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgspec

from batchtts.errors import VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire import prices
from batchtts.wire.dialogue import Encoding, Traits
from batchtts.wire.events import Audio, Done, Echo, Event, Failed, Fault
from batchtts.wire.messages import address
from batchtts.wire.provider import Manner, Provider, read_options
from batchtts.wire.telnyx_voices import KOKORO_TTS, NATURAL, NATURAL_HD, TELNYX_VOICES

PATH = "/v2/text-to-speech/speech"
RATE_HZ = 24_000
TELEPHONE_HZ = 8_000

#: The provider hangs up after 20 s without a word, say older pages of the guide.
IDLE_S = 15.0

Fact = TypeVar("Fact")

AudioFormat = Literal["mp3", "linear16", "pcm", "wav", "mulaw", "alaw", "ogg_vorbis"]

#: Formats without a header, and what is in them.
_RAW: dict[str, Encoding] = {
    "linear16": "s16le",
    "pcm": "s16le",
    "mulaw": "mulaw",
    "alaw": "alaw",
}

#: Models, or whole providers, that speak at one rate whatever is asked.
_FIXED_HZ = {KOKORO_TTS.lower(): RATE_HZ, "telnyx.qwen3tts": RATE_HZ, "telnyx.bayan": 16_000}

#: What a speed is called, by model or provider; nobody else is known to take one.
_SPEEDS = {
    NATURAL.lower(): "voice_speed",
    NATURAL_HD.lower(): "voice_speed",
    "minimax": "speed",
}

#: Providers that must be told the language.
_TOLD = ("aws", "azure", "elevenlabs", "inworld")

#: Parameters that are the same for every row.
_OF_THE_JOB = ("audio_format", "sample_rate", "text_type", "disable_cache")

#: What the words of an error mean; any other is an accident of the provider's.
_FAULTS = {
    "invalid message": Fault.SCRIPT,
    "invalid voice": Fault.VOICE,
    "rate limit": Fault.BUSY,
    "too many": Fault.BUSY,
}


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file may ask of Telnyx in `[options]`.

    Attributes:
        audio_format: Unless it is given, none is asked for, and MP3 comes. The
            vendor's pages do not agree on the names: `linear16` and `pcm` are the
            same, and not every voice takes either.
        sample_rate: Hz; what a voice can do differs. Formats without a header are
            asked for at 24,000 Hz, and at 8,000 if they are mu-law or A-law.
        language: BCP 47, for AWS, Azure, ElevenLabs and Inworld; the row's own
            unless it is given.
        text_type: `ssml` is for AWS and Azure.
        disable_cache: Have it spoken anew.
        voice_settings: As the provider of the voice spells them; what it does not
            know it leaves out without a word. The speed of a row comes on top.
        check_echo: Whether the texts of segments, which are sent back, prove anything:
            a script fails if they end before it does, or if one has no audio.
        linger_s: Takes so many seconds of quiet after an `isFinal` for the end,
            should the provider ever leave the connection open. With 0 only the texts
            that were sent back decide: a script that they do not cover has failed.
    """

    audio_format: AudioFormat | None = None
    sample_rate: Annotated[int, msgspec.Meta(ge=8_000, le=96_000)] | None = None
    language: str | None = None
    text_type: Literal["text", "ssml"] | None = None
    disable_cache: bool | None = None
    voice_settings: dict[str, object] = {}
    check_echo: bool = True
    linger_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class _Error(msgspec.Struct):
    message: str | None = None
    detail: str | None = None
    title: str | None = None


class _Message(msgspec.Struct, rename="camel"):
    """The parts of any server message that matter here."""

    audio: bytes | None = None
    text: str | None = None
    is_final: bool | None = None
    error: str | _Error | None = None
    errors: list[_Error] | None = None
    type: object = None


_decode = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.encode


@dataclass(slots=True)
class Telnyx:
    """What is said for one script, and what has come of the segment that is spoken."""

    voice: Voice
    speed: float = 1.0
    options: Options = field(default_factory=Options)
    _is_streamed: bool = False  # this segment came in frames of its own

    @classmethod
    def of(cls, manner: Manner) -> Telnyx:
        """Return the dialect of a connection for a script in this manner.

        Raises:
            VoiceUnavailable: the voice takes no speed. The provider would leave it
                out and say nothing, so nothing is sent.
        """
        dialect = cls(manner.voice, manner.speed, read_options(manner, Options))
        if manner.speed != 1.0 and dialect._known(_SPEEDS) is None:
            raise VoiceUnavailable(
                f"{manner.voice.model} takes no speed",
                hint="leave it at 1, or put what the voice takes into voice_settings",
            )
        return dialect

    @property
    def traits(self) -> Traits:
        """The provider ends a script by closing the connection, after `isFinal`."""
        return Traits(
            linger_s=self.options.linger_s,
            closes=True,
            echoes=self.options.check_echo,
            idle_s=IDLE_S,
            raw_encoding=_RAW.get(self.options.audio_format or "", "s16le"),
            raw_hz=self._raw_hz,
            judge_status=_judge_status,
            judge_close=_judge_close,
        )

    @property
    def _raw_hz(self) -> int:
        """The rate of what comes without a header, which nothing on the wire tells."""
        is_telephone = self.options.audio_format in ("mulaw", "alaw")
        usual = TELEPHONE_HZ if is_telephone else RATE_HZ
        return self._known(_FIXED_HZ) or self.options.sample_rate or usual

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""
        options = self.options
        is_raw = options.audio_format in _RAW
        query: dict[str, object] = {
            "voice": self.voice.name,
            "audio_format": options.audio_format,
            "sample_rate": self._raw_hz if is_raw else options.sample_rate,
            "language": options.language or self._language,
            "text_type": options.text_type,
            "disable_cache": "true" if options.disable_cache else None,
        }
        return address(PATH, query)

    @property
    def _language(self) -> str | None:
        """The row's language, for providers whose voices do not imply it."""
        is_told = self.voice.name.partition(".")[0].lower() in _TOLD
        return _spelled(self.voice.language) if is_told and self.voice.language != "und" else None

    def hello(self) -> list[str]:
        """Nothing before the script: the space that opens comes with it."""
        return []

    def speak(self, script: str, context: str) -> list[str]:
        """Open with a space and the settings; then the whole script at once, then its end."""
        self._is_streamed = False
        settings = self._settings
        opening = {"text": " "} | ({"voice_settings": settings} if settings else {})
        messages = (opening, {"text": script, "flush": True}, {"text": ""})
        return [_encode(message).decode() for message in messages]

    @property
    def _settings(self) -> dict[str, object]:
        """Those of the voice that are asked for; empty is the voice's own."""
        name = self._known(_SPEEDS)
        is_plain = self.speed == 1.0 or name is None
        return self.options.voice_settings | ({} if is_plain else {f"{name}": self.speed})

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one server message; one may bring audio and the end."""
        said = _decode(message)
        if said.error or said.errors or said.type == "error":
            return (_failed(said),)
        if self.options.check_echo and self._is_silent(said):
            return (Failed(f"no audio of {said.text!r:.80}"),)
        is_end = bool(said.is_final) or said.type == "final"
        events: list[Event] = []
        if said.audio and not (said.text and self._is_streamed):
            events.append(Audio(said.audio))
        if said.text or is_end:
            self._is_streamed = False
        elif said.audio:
            self._is_streamed = True
        if said.text:
            events.append(Echo(said.text))
        if is_end:
            events.append(Done())
        return events

    def _is_silent(self, said: _Message) -> bool:
        """Whether a segment with words has ended, and nothing was heard of it."""
        has_words = any(map(str.isalnum, said.text or ""))
        return has_words and not said.audio and not self._is_streamed

    def _known(self, facts: dict[str, Fact]) -> Fact | None:
        """What is known of the model, or else of its provider."""
        model = self.voice.model.lower()
        return facts.get(model, facts.get(model.partition(".")[0]))


def _spelled(language: str) -> str:
    """A language tag as most people write it: ``en-US``, ``zh-Hant-TW`` (RFC 5646, 2.1.1)."""
    first, *others = language.split("-")
    cased = [part.upper() if len(part) == 2 else part.title() for part in others]
    return "-".join([first, *cased])


def _failed(said: _Message) -> Failed:
    error = said.error or next(iter(said.errors or ()), None) or "no reason given"
    reason = error if isinstance(error, str) else error.detail or error.message or error.title
    reason = reason or "no reason given"
    words = reason.lower()
    faults = (fault for known, fault in _FAULTS.items() if known in words)
    return Failed(reason, next(faults, Fault.ENGINE))


def _judge_status(status: int, words: str) -> Fault | None:
    """A refusal that is about the voice: malformed, not for this interface, not for us."""
    if status == 403:
        return Fault.VOICE
    is_of_the_row = not any(name in words for name in _OF_THE_JOB)
    return Fault.VOICE if status in (400, 422) and is_of_the_row else None


def _judge_close(code: int | None, words: str) -> Fault | None:
    """Seen where a voice does not have the format or the rate that was asked for."""
    return Fault.VOICE if code in (1008, 4001, 4003) else None


def _open_voice(name: str, model: str | None) -> Voice | None:
    """A voice by its full name, or by the last part of it and its model.

    Raises:
        VoiceUnavailable: the voice is of another model.
    """
    full = f"{model}.{name}" if model and "." not in name else name
    belongs_to = full.rpartition(".")[0]
    if not belongs_to or not all(full.split(".")) or any(map(str.isspace, full)):
        return None
    if model not in (None, belongs_to):
        raise VoiceUnavailable(f"the voice {name} belongs to the model {belongs_to}, not {model}")
    listed = (voice for voice in TELNYX_VOICES if voice.name == full)
    return next(listed, Voice(full, belongs_to, "und"))


PROVIDER = Provider(
    name="telnyx",
    about="Telnyx: NaturalHD, Natural, KokoroTTS, and voices of others by their full name",
    url="wss://api.telnyx.com",
    key_variable="TELNYX_API_KEY",
    dialect=Telnyx.of,
    voices=TELNYX_VOICES,
    sample_rate_hz=RATE_HZ,
    # No limit is documented; the engine behind Natural takes 500 at once, says its maker.
    segment_chars=500,
    workers=4,  # no limit is documented
    formats=("mp3", "linear16", "pcm", "wav", "mulaw", "alaw", "ogg_vorbis"),
    usd_per_million_chars=prices.TELNYX,
    prices_as_of=prices.AS_OF,
    options=Options,
    inaudible=frozenset({"check_echo", "disable_cache", "linger_s"}),
    open_voices=_open_voice,
)
