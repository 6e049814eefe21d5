"""The provider's side of Telnyx's speech. No I/O but a look at the clock.

A space opens, text is collected, a flush or the end of the input has it spoken,
sentence by sentence. Each sentence is a segment: its audio, then a frame with its
text. The end of the input is answered with `isFinal` and a close. What went
wrong is told in one frame, and the connection closed shortly after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pybase64

from batchtts.server.casting import NotAvailable, Role
from batchtts.server.conversation import (
    Action,
    After,
    Cancel,
    Close,
    Frame,
    Packing,
    Pause,
    Say,
    Send,
)
from batchtts.server.engine import SAMPLE_RATE_HZ, has_words
from batchtts.server.house import TurnedAway, Visit
from batchtts.server.markdown import plain
from batchtts.server.sentences import cut
from batchtts.wire.telnyx_voices import KOKORO_TTS, NATURAL, NATURAL_HD, TELNYX_VOICES

_CHUNK = 8191  # bytes of audio in a frame; odd, so that samples are cut in two
_SEGMENT = 500  # characters
_TEXT = 64 * 1024  # characters that may wait for a flush
_SHORTLY = 0.05  # seconds between an error and the close
_SPEEDS = (0.25, 4.0)

_VOICES = {voice.name: voice for voice in TELNYX_VOICES}

#: Those whose voices may be asked for, in lower case.
_PROVIDERS = frozenset(
    "telnyx aws azure elevenlabs minimax murfai resemble rime inworld fish xai humain".split()
)
_ULTRA = "telnyx.ultra."
_WITH_SPEED = (NATURAL, NATURAL_HD)

_PACKINGS: dict[str, Packing] = {
    "mp3": "mp3",
    "linear16": "pcm",
    "pcm": "pcm",
    "wav": "wav",
    "mulaw": "mulaw",
    "alaw": "alaw",
    "ogg_vorbis": "ogg",
}
_RATES_HZ = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000)
_FASTEST_MP3_HZ = 48_000

#: ID3 of version 2.4 with one frame: the name of the encoder, in Latin letters.
_ID3 = b"ID3\4\0\0\0\0\0\x13TSSE\0\0\0\x09\0\0\0batchtts"


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may choose in the address; what is not known is left aside.

    Attributes:
        voice: Wins over the three that come after it.
        inactivity_timeout: Seconds; of older pages of the guide.
    """

    voice: str | None = None
    provider: str = "Telnyx"
    model_id: str | None = None
    voice_id: str | None = None
    audio_format: Literal["mp3", "linear16", "pcm", "wav", "mulaw", "alaw", "ogg_vorbis"] = "mp3"
    sample_rate: int = SAMPLE_RATE_HZ
    text_type: Literal["text", "ssml"] = "text"
    disable_cache: bool = False
    inactivity_timeout: Annotated[int, msgspec.Meta(ge=1)] | None = None

    @property
    def full_name(self) -> str:
        """The voice as ``Provider.Model.VoiceId``."""
        parts = (self.provider, self.model_id, self.voice_id)
        return self.voice or ".".join(part or "" for part in parts)


class _Message(msgspec.Struct, frozen=True):
    text: str | None = None
    flush: bool = False
    force: bool = False
    voice_settings: dict[str, Any] = {}


class _Invalid(ValueError):
    """A message that is none; the reason is the vendor's."""


@dataclass(slots=True)
class _Segment:
    """What is kept of a segment while it is spoken."""

    asked_at: float = field(default_factory=time.monotonic)
    audio: bytearray = field(default_factory=bytearray)
    is_begun: bool = False


class Telnyx:
    """One connection."""

    def __init__(self, visit: Visit) -> None:
        """Let a client in.

        Raises:
            TurnedAway: the address is wrong, or the model is not spoken here.
        """
        self._knobs = visit.house.knobs.telnyx
        self._casting = visit.house.casting
        self._address = _read(visit.query)
        self._voice = self._address.full_name
        self._idle_s = float(self._address.inactivity_timeout or self._knobs.idle_s)
        self._role: Role | None = None  # nobody until the client has opened
        self._speed = 1.0
        self._text = ""
        self._segments: dict[str, _Segment] = {}  # by item, not ended yet
        self._count = 0
        self._restarts = 0
        self._is_over = False  # nothing more is taken in

    def greet(self) -> Iterator[Action]:
        """Say nothing, and wait."""
        yield After("idle", self._idle_s)

    def receive(self, message: str | bytes) -> Iterator[Action]:
        """Take in one message of the client; there is none after the end of the input."""
        yield After("idle", self._idle_s)
        if self._is_over:
            return
        try:
            yield from self._answer(_parse(message))
        except _Invalid as invalid:
            yield from self._fail(f"{invalid}")

    def expired(self, timer: str) -> Iterator[Action]:
        """Nobody has said anything for too long."""
        self._is_over = True
        yield Close(1000)

    def leave(self) -> None:
        """Nothing is kept beyond the connection."""

    def piece(self, say: Say, payload: bytes) -> Iterator[Frame]:
        """Put audio into frames of its own, or keep it for the frame with the text."""
        segment = self._segments.get(say.item, _Segment())
        if say.packing == "mp3" and self._knobs.tags:
            payload = _ID3 + payload
        if self._knobs.text_frame != "null":
            segment.audio += payload
        if self._knobs.text_frame == "only":
            return
        view = memoryview(payload)
        for start in range(0, len(view), _CHUNK):
            yield self._audio(segment, view[start : start + _CHUNK], None)

    def end(self, say: Say) -> Iterator[Frame]:
        """Tell the text of the segment; if it was the last one, that too."""
        segment = self._segments.pop(say.item, _Segment())
        yield self._audio(segment, segment.audio, say.text)
        if self._knobs.final == "each":
            yield self._final()
        yield from self._finish()

    def cannot_speak(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that it went wrong; the provider tells no reason."""
        return self.broken(say, reason)

    def broken(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that it went wrong; the provider tells no reason."""
        self._segments.pop(say.item, None)
        remaining = "remaining " if self._is_over else ""
        return self._fail(f"Error in {remaining}audio response")

    def _answer(self, message: _Message) -> Iterable[Action]:
        if self._role is None:
            return self._open(message)
        return self._collect(message)

    def _open(self, message: _Message) -> Iterator[Action]:
        """Take the settings, and find out who speaks."""
        if message.text != " ":
            raise _Invalid("Invalid message")
        voice = _VOICES.get(self._voice)
        try:
            if voice is None:
                raise _Invalid("Invalid voice_id specified")
            self._role = Role(voice.model, voice.name, self._casting.stand_in(voice))
        except NotAvailable:
            raise _Invalid("Invalid voice_id specified") from None
        self._speed = _speed(voice.model, message.voice_settings)
        yield from ()

    def _collect(self, message: _Message) -> Iterator[Action]:
        if message.force:
            yield Cancel(self._context)
            self._restarts += 1
            self._text = ""
            self._segments.clear()
        if message.text is None and not message.force and not message.flush:
            raise _Invalid("Invalid message")
        self._text += message.text or ""
        if len(self._text) > _TEXT:
            raise _Invalid("Invalid message")
        self._is_over = message.text == ""
        if message.flush or self._is_over:
            yield from self._speak_all()
        elif self._knobs.sentences:
            whole, self._text = cut(self._text, _SEGMENT)
            yield from self._speak(map(plain, whole))
        yield from self._finish()

    def _speak_all(self) -> Iterator[Action]:
        whole, rest = cut(plain(self._text), _SEGMENT)
        self._text = ""
        yield from self._speak([*whole, rest])

    def _speak(self, texts: Iterable[str]) -> Iterator[Action]:
        assert self._role is not None
        packing, rate_hz = _PACKINGS[self._address.audio_format], self._address.sample_rate
        if self._knobs.kokoro_mp3 and self._role.model == KOKORO_TTS:
            packing, rate_hz = "mp3", SAMPLE_RATE_HZ
        for text in map(str.strip, texts):
            if not has_words(text):
                continue
            self._count += 1
            item = f"segment-{self._count}"
            self._segments[item] = _Segment()
            if self._knobs.cache_frames:
                yield Send(_json({"audio": None, "cached": False}))
            yield Say(
                item=item,
                context=self._context,
                named=False,
                text=text,
                role=self._role,
                speed=self._speed,
                framing=self,
                packing=packing,
                sample_rate_hz=rate_hz,
            )

    def _finish(self) -> Iterator[Frame]:
        """Say goodbye when there is nothing more to say, and nothing more to come."""
        if self._is_over and not self._segments:
            yield self._final()
            yield Close(1000)

    def _fail(self, reason: str) -> Iterator[Frame]:
        self._is_over = True
        kind = {"type": "error"} if self._knobs.types else {}
        yield Send(_json(kind | {"error": reason}))
        yield Pause(_SHORTLY)
        yield Close(1000)

    @property
    def _context(self) -> str:
        return f"worker-{self._restarts}"

    def _audio(
        self, segment: _Segment, audio: bytes | bytearray | memoryview, text: str | None
    ) -> Send:
        """A frame with audio, or with the text of a segment, or both."""
        frame: dict[str, object] = {"type": "audio_chunk"} if self._knobs.types else {}
        frame |= {"audio": pybase64.b64encode_as_string(audio) if audio else None}
        frame |= {"text": text, "isFinal": False, "cached": False}
        if audio and not segment.is_begun:
            segment.is_begun = True
            waited_s = time.monotonic() - segment.asked_at
            frame["timeToFirstAudioFrameMs"] = round(waited_s * 1000)
        return Send(_json(frame))

    def _final(self) -> Send:
        kind = {"type": "final"} if self._knobs.types else {}
        return Send(_json(kind | {"audio": None, "text": "", "isFinal": True}))


def _read(query: Mapping[str, str]) -> _Address:
    """Read the address.

    Raises:
        TurnedAway: it is wrong, or asks for what is not to be had on a WebSocket.
    """
    try:
        address = msgspec.convert(dict(query), _Address, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(400, f"{error}".replace("`$.", "`")) from None
    parts = address.full_name.split(".")
    if len(parts) < 2 or not all(parts) or parts[0].lower() not in _PROVIDERS:
        raise _refused(400, f"voice {address.full_name!r} is not Provider.Model.VoiceId")
    fastest_hz = _FASTEST_MP3_HZ if address.audio_format == "mp3" else max(_RATES_HZ)
    if address.sample_rate not in _RATES_HZ or address.sample_rate > fastest_hz:
        raise _refused(400, f"sample_rate {address.sample_rate} is not supported")
    if address.full_name.lower().startswith(_ULTRA):
        raise _refused(403, "the Ultra model is not available over WebSocket")
    return address


def _refused(status: int, detail: str) -> TurnedAway:
    """A refusal as the vendor's REST interface words one."""
    title = "Forbidden" if status == 403 else "Bad Request"
    error = {"code": f"{status}", "title": title, "detail": detail}
    return TurnedAway(status, _json({"errors": [error]}))


def _speed(model: str, settings: dict[str, Any]) -> float:
    """The pace that is asked for, where the model has one."""
    asked = settings.get("voice_speed", 1.0)
    if model not in _WITH_SPEED:
        return 1.0
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        raise _Invalid("Invalid message")
    slowest, fastest = _SPEEDS
    return min(max(float(asked), slowest), fastest)


def _parse(message: str | bytes) -> _Message:
    try:
        if isinstance(message, bytes):
            raise _Invalid("Invalid message")
        return msgspec.json.decode(message, type=_Message)
    except (msgspec.MsgspecError, RecursionError):
        raise _Invalid("Invalid message") from None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
