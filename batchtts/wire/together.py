"""Together: named JSON events, explicit commit, no end-of-commit marker.

One commit may come back as several items, each with its own ``done``, so the
dialogue lingers after the last ``done`` in case another item follows. We ask
for ``segment=never`` and send pieces the server has no reason to split, but
whether that guarantees one item per commit is not documented.
Source: Together's WebSocket guide and API reference for text to speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from batchtts.model import Voice, Word
from batchtts.wire import prices
from batchtts.wire.dialogue import Traits
from batchtts.wire.events import Audio, Done, Event, Failed, Fault, Named, Ready, Words
from batchtts.wire.kokoro import KOKORO, KOKORO_VOICES, ORPHEUS, ORPHEUS_VOICES
from batchtts.wire.messages import Reader, address, decode_base64, timings
from batchtts.wire.provider import Manner, Provider, read_options

PATH = "/v1/audio/speech/websocket"
RATE_HZ = 24_000

#: What a failed frame's code means; anything else is judged by its type.
_DICTIONARY = "pronunciation_dict"

_FAULTS = {
    "invalid_api_key": Fault.KEY,
    "missing_api_key": Fault.KEY,
    "insufficient_quota": Fault.QUOTA,
    "model_not_available": Fault.VOICE,
    "voice_not_available": Fault.VOICE,
    "rate_limit_exceeded": Fault.BUSY,
    "no_healthy_workers": Fault.BUSY,
    "idle_timeout": Fault.ENGINE,
}


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file may ask of Together in `[options]`.

    Attributes:
        segment: Where the server may cut a script into items.
        max_partial_length: Characters after which it may cut in any case.
        sample_rate: Hz; Kokoro and Orpheus speak at 24,000 whatever is asked.
        language: As the provider spells it, such as ``en`` or ``zh-hk``.
        extra_params: Sent as it is, for example
            ``{pronunciation_dict = ["NATO/nay toe"]}``.
        linger_s: The quiet window after the last ``done``.
    """

    segment: Literal["sentence", "immediate", "never"] = "never"
    max_partial_length: Annotated[int, msgspec.Meta(ge=1)] = 250
    sample_rate: Annotated[int, msgspec.Meta(ge=1)] | None = None
    language: str | None = None
    extra_params: dict[str, object] = {}
    linger_s: Annotated[float, msgspec.Meta(ge=0)] = 0.5


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None


class _Session(msgspec.Struct):
    id: str | None = None
    voice: str | None = None
    model: str | None = None


class _Timings(msgspec.Struct):
    words: list[str] | None = None
    start_seconds: list[float] | None = None
    end_seconds: list[float] | None = None


class _Message(msgspec.Struct):
    """The parts of any server message that matter here."""

    type: str
    context_id: str | None = None
    item_id: str | None = None
    delta: msgspec.Raw = msgspec.Raw()
    error: _Error | str | None = None
    message: str | None = None
    session: _Session | None = None
    words: list[str] | None = None
    start_seconds: list[float] | None = None
    end_seconds: list[float] | None = None
    timestamps: _Timings | None = None


_KNOWN = {voice.name for voice in (*KOKORO_VOICES, *ORPHEUS_VOICES)}


_encode = msgspec.json.encode

_read = Reader(
    _Message,
    {
        "conversation.item.audio_output.delta",
        "conversation.item.audio_output.done",
        "conversation.item.tts.failed",
        "conversation.item.word_timestamps",
        "error",
        "session.created",
        "session.updated",
    },
    audio="delta",
)


@dataclass(frozen=True, slots=True)
class Together:
    """One connection's vocabulary: its voice and speed are fixed for its life."""

    voice: Voice
    speed: float = 1.0
    options: Options = field(default_factory=Options)
    word_timestamps: bool = False

    @classmethod
    def of(cls, manner: Manner) -> Together:
        """Return the dialect of a connection that speaks in this manner."""
        options = read_options(manner, Options)
        if manner.pronunciations and _pronounces(manner.voice.model):
            options = _with_pronunciations(options, manner.pronunciations)
        return cls(manner.voice, manner.speed, options, manner.word_timestamps)

    @property
    def traits(self) -> Traits:
        """The provider greets, and says when an item ends but not when a commit does."""
        return Traits(
            greets=True,
            reusable=True,
            linger_s=self.options.linger_s,
            times_words=self.word_timestamps,
            raw_hz=self._rate_hz,
            judge_status=self._judge_status,
            judge_close=_judge_close,
        )

    @property
    def _rate_hz(self) -> int:
        """Kokoro and Orpheus keep to their own rate; others honour what is asked."""
        is_fixed = self.voice.model in (KOKORO, ORPHEUS)
        return RATE_HZ if is_fixed else self.options.sample_rate or RATE_HZ

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""
        options = self.options
        query: dict[str, object] = {
            "model": self.voice.model,
            "voice": self.voice.name,
            "response_format": "pcm",
            "segment": options.segment,
            "max_partial_length": options.max_partial_length,
            "speed": None if self.speed == 1.0 else f"{self.speed:g}",
            "sample_rate": options.sample_rate,
            "language": options.language or self._language,
            "alignment": "word" if self.word_timestamps else None,
        }
        return address(PATH, query)

    @property
    def _language(self) -> str | None:
        """The row's language, for models whose voices do not imply it."""
        is_implied = self.voice.model in (KOKORO, ORPHEUS) or self.voice.language == "und"
        return None if is_implied else self.voice.language

    def _judge_status(self, status: int, words: str) -> Fault | None:
        """A voice that we do not know is the first suspect of a bad request."""
        is_listed = self.voice.model in (KOKORO, ORPHEUS)
        return Fault.VOICE if status in (400, 422) and not is_listed else None

    def hello(self) -> list[str]:
        """What has no place in the query; the rest is there."""
        if not self.options.extra_params:
            return []
        session = {"extra_params": self.options.extra_params}
        return [_encode({"type": "tts_session.updated", "session": session}).decode()]

    def speak(self, script: str, context: str) -> list[str]:
        """Append the whole script to a context of its own and commit it."""
        append = {"type": "input_text_buffer.append", "text": script, "context_id": context}
        commit = {"type": "input_text_buffer.commit", "context_id": context}
        return [_encode(append).decode(), _encode(commit).decode()]

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one server message."""
        said = _read(message)
        if said is None:
            return ()
        # What it calls a context without a name; ours all have one.
        context = None if said.context_id == "default" else said.context_id
        match said.type:
            case "conversation.item.audio_output.delta":
                return (Audio(decode_base64(said.delta), context, said.item_id),)
            case "conversation.item.audio_output.done":
                return (Done(context, said.item_id),)
            case "conversation.item.word_timestamps":
                return (Words(_words(said), context, said.item_id),)
            case "session.created":
                return self._greeted(said.session)
            case "session.updated":
                refusal = self._check(said.session)
                return (refusal,) if refusal else ()
            case "conversation.item.tts.failed" | "error":
                return (_failed(said),)
            case _:
                return ()

    def _greeted(self, session: _Session | None) -> Sequence[Event]:
        name = Named(session.id) if session and session.id else None
        greeting = self._check(session) or Ready()
        return (name, greeting) if name else (greeting,)

    def _check(self, session: _Session | None) -> Failed | None:
        """A session in another voice that we know would speak every script wrongly."""
        if session is None or session.voice not in _KNOWN or session.voice == self.voice.name:
            return None
        reason = f"asked for {self.voice.name}, the session speaks {session.voice}"
        return Failed(reason, Fault.VOICE)


def _pronounces(model: str) -> bool:
    """Whether a model is known to take a ``pronunciation_dict``.

    Together documents it for "some models", and names none; its form is that of MiniMax.
    """
    return model.lower().startswith("minimax/")


def _with_pronunciations(options: Options, words: Mapping[str, str]) -> Options:
    """Options that ask for these, too; what the user has written comes first."""
    own = options.extra_params.get(_DICTIONARY, [])
    told = [*(own if isinstance(own, list) else [own]), *map("/".join, words.items())]
    extra = {**options.extra_params, _DICTIONARY: told}
    return msgspec.structs.replace(options, extra_params=extra)


def _words(said: _Message) -> tuple[Word, ...]:
    """The timings of a message; one client of the vendor's finds them one level down."""
    told = said.timestamps or said
    return timings(told.words, told.start_seconds, told.end_seconds)


def _judge_close(code: int | None, words: str) -> Fault | None:
    """Documented for the transcription sibling: no worker is free."""
    return Fault.BUSY if code == 4503 else None


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
    dialect=Together.of,
    voices=(*KOKORO_VOICES, *ORPHEUS_VOICES),
    open_models=True,
    sample_rate_hz=RATE_HZ,
    segment_chars=250,
    usd_per_million_chars=prices.TOGETHER,
    prices_as_of=prices.AS_OF,
    options=Options,
    inaudible=frozenset({"linger_s"}),
    pronounces=_pronounces,
)
