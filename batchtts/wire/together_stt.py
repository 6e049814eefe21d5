"""Together's realtime transcription: audio is appended and committed, text comes back.

Turn detection is off: the whole recording is one commit. That may come back as
several transcripts, or as none if there are no words in it, and nothing says
which one is the last. So the dialogue lingers, and a connection carries one
recording only: item ids are optional here, and a transcript that comes late
could not be told from one of the next recording.
Source: Together's realtime transcription guide; what the vendor's own client
library knows beyond that is marked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import pybase64

from batchtts.wire.dialect import Traits
from batchtts.wire.events import Acknowledged, Event, Failed, Fault, Guess, Heard, Named, Ready
from batchtts.wire.messages import Reader, address, asked
from batchtts.wire.provider import Headers, bearer
from batchtts.wire.recognizer import Attention, Recognizer, read_options

PATH = "/v1/realtime"
WHISPER = "openai/whisper-large-v3"
PARAKEET = "nvidia/parakeet-tdt-0.6b-v3"

IDLE_S = 300.0  # without audio, after which the session ends (client library)
APPEND_S = 1  # of audio, the most that one message should carry (client library)

#: What an error's code means; anything else is judged by its type and its words.
_FAULTS = {
    "invalid_api_key": Fault.KEY,
    "missing_api_key": Fault.KEY,
    "401": Fault.KEY,
    "403": Fault.KEY,
    "insufficient_quota": Fault.QUOTA,
    "model_not_available": Fault.VOICE,
    "model_not_accessible": Fault.VOICE,
    "no_healthy_upstream": Fault.BUSY,
    "no_healthy_workers": Fault.BUSY,
    "rate_limit_exceeded": Fault.BUSY,
    "429": Fault.BUSY,
}

#: Words about audio that no attempt will make any better.
_UNFIT = re.compile(r"unsupported .*(format|rate)|input.rate|invalid audio", re.IGNORECASE)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked of Together's transcription.

    Attributes:
        sample_rate: Of what is sent, Hz. Only 16,000 is documented; 24,000 is
            known to the vendor's client library.
        prompt: Names and terms that are likely to be said.
        linger_s: The quiet window after the last transcript; the vendor's client
            library waits as long before it takes a session for finished.
    """

    sample_rate: Literal[16_000, 24_000] = 16_000
    prompt: str | None = None
    linger_s: Annotated[float, msgspec.Meta(ge=0)] = 2.0


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None


class _Session(msgspec.Struct):
    id: str | None = None


class _Message(msgspec.Struct):
    """The parts of any server message that matter here."""

    type: str
    delta: str | None = None
    transcript: str | None = None
    item_id: str | None = None
    error: _Error | str | None = None
    message: str | None = None
    session: _Session | None = None


_SAID = "conversation.item.input_audio_transcription"
_read = Reader(
    _Message,
    {
        f"{_SAID}.delta",
        f"{_SAID}.completed",
        f"{_SAID}.failed",
        "error",
        "input_audio_buffer.committed",
        "session.created",
    },
)


@dataclass(frozen=True, slots=True)
class TogetherTranscription:
    """One connection's vocabulary: its model and its sample rate are fixed for its life."""

    model: str = WHISPER
    language: str | None = None
    options: Options = field(default_factory=Options)

    @classmethod
    def of(cls, attention: Attention) -> TogetherTranscription:
        """Return the dialect of a connection that listens for this."""
        return cls(attention.model, attention.language, read_options(attention, Options))

    @property
    def traits(self) -> Traits:
        """The provider greets, and acknowledges a commit before its transcripts."""
        return Traits(
            greets=True,
            listens=True,
            linger_s=self.options.linger_s,
            idle_s=IDLE_S,
            judge_close=_judge_close,
        )

    @property
    def sample_rate_hz(self) -> int:
        """Of the audio to listen to."""
        return self.options.sample_rate

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""
        query = {
            "model": self.model,
            "intent": "transcription",
            "input_audio_format": f"pcm_s16le_{self.sample_rate_hz}",
            "turn_detection": "none",
        }
        return address(PATH, query)

    def hello(self) -> list[str]:
        """What has no place in the query."""
        told = {"language": self.language, "prompt": self.options.prompt}
        session = asked(told)
        if not session:
            return []
        # The name of what the client sends ends like an answer, too (client library).
        updated = {"type": "transcription_session.updated", "session": session}
        return [msgspec.json.encode(updated).decode()]

    def listen(self, pcm: bytes, context: str) -> list[str]:
        """Append a recording, a second at a time, and commit it."""
        size, view = APPEND_S * 2 * self.sample_rate_hz, memoryview(pcm)
        audio = (
            pybase64.b64encode_as_string(view[start : start + size])
            for start in range(0, len(view), size)
        )
        # Base64 has nothing to escape: no JSON library need look for it.
        appends = [f'{{"type":"input_audio_buffer.append","audio":"{each}"}}' for each in audio]
        return [*appends, '{"type":"input_audio_buffer.commit"}']

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one server message."""
        said = _read(message)
        if said is None:
            return ()
        match said.type:
            case "conversation.item.input_audio_transcription.delta":
                # An empty one promises nothing: silence may follow.
                return (Guess(said.delta),) if said.delta else ()
            case "conversation.item.input_audio_transcription.completed":
                if said.transcript is None:
                    raise ValueError("completed without a transcript")
                return (Heard(said.transcript, said.item_id),)
            case "conversation.item.input_audio_transcription.failed" | "error":
                return (_failed(said),)
            case "input_audio_buffer.committed":
                return (Acknowledged(),)
            case "session.created":
                name = said.session and said.session.id
                return (Named(name), Ready()) if name else (Ready(),)
            case _:
                return ()


def _failed(said: _Message) -> Failed:
    """What failed: with an event type the utterance, without it the session.

    We have one utterance on a session, so it is lost either way.
    """
    error = said.error if isinstance(said.error, _Error) else _Error(message=said.error)
    reason = error.message or said.message or "no reason given"
    fault = _FAULTS.get(str(error.code)) or _judge(error, reason)
    return Failed(f"{reason} ({error.code})" if error.code else reason, fault)


def _judge(error: _Error, reason: str) -> Fault:
    """The fault of an error whose code is not known."""
    if error.type == "rate_limit_error":
        return Fault.BUSY
    if error.type == "invalid_request_error" or _UNFIT.search(reason):
        return Fault.SCRIPT
    return Fault.ENGINE  # among them an idle timeout: the next session has none


def _judge_close(code: int | None, words: str) -> Fault | None:
    """No worker is free; the code 1000 says nothing, it comes after failures, too."""
    return Fault.BUSY if code == 4503 else None


def headers(key: str) -> Headers:
    """The key, and the version of the protocol."""
    return (*bearer(key), ("OpenAI-Beta", "realtime=v1"))


RECOGNIZER = Recognizer(
    name="together",
    about="Together AI: Whisper large v3, Parakeet and others over one WebSocket",
    url="wss://api.together.ai",
    key_variable="TOGETHER_API_KEY",
    dialect=TogetherTranscription.of,
    models=(WHISPER, PARAKEET),
    open_models=True,
    sessions=4,
    headers=headers,
    options=Options,
)
