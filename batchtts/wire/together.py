"""Together: named JSON events, explicit commit, no end-of-commit marker.

One commit may come back as several items, each with its own ``done``, so the
dialogue lingers after the last ``done`` in case another item follows. We ask
for ``segment=never`` and send pieces the server has no reason to split, but
whether that guarantees one item per commit is not documented.
Source: Together's WebSocket guide and API reference for text to speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

import msgspec
import pybase64

from batchtts.model import Voice
from batchtts.wire.dialogue import Audio, Done, Event, Failed, Fault, Ready
from batchtts.wire.kokoro import KOKORO, KOKORO_VOICES, ORPHEUS, ORPHEUS_VOICES
from batchtts.wire.provider import Provider

PATH = "/v1/audio/speech/websocket"

#: What a failed frame's code means; anything else is judged by its type.
_FAULTS = {
    "invalid_api_key": Fault.KEY,
    "missing_api_key": Fault.KEY,
    "insufficient_quota": Fault.QUOTA,
    "model_not_available": Fault.VOICE,
    "voice_not_available": Fault.VOICE,
    "rate_limit_exceeded": Fault.BUSY,
    "no_healthy_workers": Fault.BUSY,
}


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None


class _Session(msgspec.Struct):
    voice: str | None = None
    model: str | None = None


class _Message(msgspec.Struct):
    """The parts of any server message that matter here."""

    type: str
    context_id: str | None = None
    item_id: str | None = None
    delta: msgspec.Raw = msgspec.Raw()
    error: _Error | str | None = None
    message: str | None = None
    session: _Session | None = None


_KNOWN = {voice.name for voice in (*KOKORO_VOICES, *ORPHEUS_VOICES)}


class _Kind(msgspec.Struct):
    """As much of a message as tells whether the rest matters."""

    type: str


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.encode

_MATTERS = {
    "conversation.item.audio_output.delta",
    "conversation.item.audio_output.done",
    "conversation.item.tts.failed",
    "error",
    "session.created",
    "session.updated",
}


@dataclass(frozen=True, slots=True)
class Together:
    """One connection's vocabulary: its voice and speed are fixed for its life."""

    voice: Voice
    speed: float = 1.0
    linger_s: float = 0.5
    max_partial_chars: int = 250

    greets = True
    reusable = True

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""
        query = {
            "model": self.voice.model,
            "voice": self.voice.name,
            "response_format": "pcm",
            "segment": "never",
            "max_partial_length": self.max_partial_chars,
        }
        if self.speed != 1.0:
            query["speed"] = f"{self.speed:g}"
        return f"{PATH}?{urlencode(query, quote_via=quote)}"

    def hello(self) -> list[str]:
        """Nothing: model, voice and speed are in the query."""
        return []

    def speak(self, script: str, context: str) -> list[str]:
        """Append the whole script to a context of its own and commit it."""
        append = {"type": "input_text_buffer.append", "text": script, "context_id": context}
        commit = {"type": "input_text_buffer.commit", "context_id": context}
        return [_encode(append).decode(), _encode(commit).decode()]

    def parse(self, message: str | bytes) -> Event | None:
        """Translate one server message."""
        said = _decode(message)
        if said is None:
            return None
        match said.type:
            case "conversation.item.audio_output.delta":
                return Audio(_decode_base64(said.delta), said.context_id, said.item_id)
            case "conversation.item.audio_output.done":
                return Done(said.context_id, said.item_id)
            case "session.created":
                return self._check(said.session) or Ready()
            case "session.updated":
                return self._check(said.session)
            case "conversation.item.tts.failed" | "error":
                return _failed(said)
            case _:
                return None

    def _check(self, session: _Session | None) -> Failed | None:
        """A session in another voice that we know would speak every script wrongly."""
        if session is None or session.voice not in _KNOWN or session.voice == self.voice.name:
            return None
        reason = f"asked for {self.voice.name}, the session speaks {session.voice}"
        return Failed(reason, Fault.VOICE)


def _decode(message: str | bytes) -> _Message | None:
    """Decode a message; None if it is of another kind than those that matter."""
    try:
        return _decode_message(message)
    except msgspec.ValidationError:
        if _decode_kind(message).type in _MATTERS:
            raise
        return None


def _decode_base64(delta: msgspec.Raw) -> bytes:
    """Decode a JSON string of base64, as a rule without making text of it first."""
    text = memoryview(delta)
    if len(text) < 2 or text[0] != ord('"'):
        raise ValueError("a delta without audio")
    try:
        return pybase64.b64decode(text[1:-1], validate=True)
    except ValueError:  # an escaped slash, or no base64 at all
        return pybase64.b64decode(msgspec.json.decode(delta, type=str), validate=True)


def _failed(said: _Message) -> Failed:
    error = said.error if isinstance(said.error, _Error) else _Error(message=said.error)
    reason = error.message or said.message or "no reason given"
    fault = _FAULTS.get(str(error.code)) or _judge(error, reason)
    return Failed(f"{reason} ({error.code})" if error.code else reason, fault, said.context_id)


def _judge(error: _Error, reason: str) -> Fault:
    """The fault of an error whose code is not known."""
    if str(error.code) in ("401", "403"):
        return Fault.KEY
    if str(error.code) == "429" or error.type == "rate_limit_error":
        return Fault.BUSY
    if error.type == "invalid_request_error":
        return Fault.VOICE if "voice" in reason.lower() else Fault.SCRIPT
    return Fault.ENGINE


PROVIDER = Provider(
    name="together",
    about="Together AI: Kokoro-82M, Orpheus 3B and others over one WebSocket",
    url="wss://api.together.ai",
    key_variable="TOGETHER_API_KEY",
    dialect=Together,
    voices=(*KOKORO_VOICES, *ORPHEUS_VOICES),
    open_models=True,
    sample_rate_hz=24_000,
    segment_chars=250,
    workers=8,
    usd_per_million_chars={KOKORO: 4.0, ORPHEUS: 15.0, "cartesia/sonic-2": 65.0},
    prices_as_of="2026-08-21",
)
