"""Smallest Waves: a whole request per message, and an end that is a timer.

``complete`` comes when no audio was sent for ``complete_backoff_ms``, and not when
a request is finished: one may come for several requests, or between two pieces of
one. So a connection has one request at a time, a script is short enough not to be
cut by the provider, and the dialogue lingers after each ``complete``. Whether the
connection is closed then is told both ways.
Source: the API reference of /waves/v1/tts/live, and the pages on word timestamps,
on concurrency and limits, and on errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec

from batchtts.errors import LocalProtocolError, VoiceUnavailable
from batchtts.model import Voice, Word
from batchtts.wire import prices
from batchtts.wire.dialogue import Traits
from batchtts.wire.events import Audio, Done, Event, Failed, Fault, Named, Words
from batchtts.wire.lightning import BASE, LANGUAGES, LIGHTNING_VOICES, TIMED
from batchtts.wire.messages import asked, decode_base64
from batchtts.wire.provider import Manner, Provider, read_options

PATH = "/waves/v1/tts/live"
RATE_HZ: Final = 24_000
SLOWEST, FASTEST = 0.5, 2.0

# The provider cuts what is longer than 240 to 250 characters, and says that about
# 140 are quickest. This keeps most sentences whole, and out of the reach of that cut.
SEGMENT_CHARS = 200

_REQUEST_ID = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_VOICE_ID = re.compile(r"[a-z0-9_-]+")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file may ask of Smallest in `[options]`.

    Attributes:
        sample_rate: Hz.
        number_pronunciation_language: What numbers are read in, if not in the
            language of the rest.
        math_notation: Read the signs between figures as words: 6 x 7 as six times seven.
        pronunciation_dicts: Ids of dictionaries that the account has.
        complete_backoff_ms: Silence after which the provider takes a request for
            finished. It has the request in flight for as long, and its own default of
            4000 would cost four seconds a script; but where audio comes more slowly
            than that, ``complete`` comes too soon.
        linger_s: The quiet window after a ``complete``, in case it came too soon. It
            costs a connection and no request in flight, so it may be the longer one.
        timeout_s: Seconds without a message of ours after which the provider hangs up.
    """

    sample_rate: Literal[8_000, 16_000, 24_000, 44_100] = RATE_HZ
    number_pronunciation_language: str | None = None
    math_notation: bool = False
    pronunciation_dicts: tuple[str, ...] = ()
    complete_backoff_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 200
    linger_s: Annotated[float, msgspec.Meta(ge=0)] = 0.5
    timeout_s: Annotated[int, msgspec.Meta(ge=1)] = 120


class _Chunk(msgspec.Struct):
    audio: msgspec.Raw


class _Timing(msgspec.Struct):
    word: str
    start: float
    end: float


class _Message(msgspec.Struct):
    """The parts of any server message that matter here."""

    status: str | int | None = None
    request_id: str | None = None
    external_request_id: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    message: object = None
    error: object = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_timing = msgspec.json.Decoder(_Timing).decode


@dataclass(slots=True)
class Smallest:
    """One connection's vocabulary; the voice and its manner are in every request."""

    voice: Voice
    speed: float = 1.0
    options: Options = field(default_factory=Options)
    word_timestamps: bool = False
    _asked: str = field(default="", init=False)  # the request, as we call it
    _named: str = field(default="", init=False)  # and as the provider does

    @classmethod
    def of(cls, manner: Manner) -> Smallest:
        """Return the dialect of a connection that speaks in this manner.

        Raises:
            VoiceUnavailable: nobody here speaks so fast, or so slowly.
        """
        if not SLOWEST <= manner.speed <= FASTEST:
            raise VoiceUnavailable(
                f"smallest speaks at {SLOWEST:g} to {FASTEST:g} times a voice's own pace,"
                f" not at {manner.speed:g}"
            )
        options = read_options(manner, Options)
        return cls(manner.voice, manner.speed, options, manner.word_timestamps)

    @property
    def traits(self) -> Traits:
        """Nobody greets; the end is told, and a close after it is one, too."""
        options = self.options
        return Traits(
            reusable=True,
            linger_s=options.linger_s,
            closes=options.linger_s > 0,
            ends_by_timer=True,
            # The provider counts from our last message, we from its last one.
            idle_s=options.timeout_s / 2,
            times_words=self._is_timed,
            raw_hz=options.sample_rate,
            judge_status=_judge_status,
        )

    @property
    def resource(self) -> str:
        """Path and query of the handshake request: the same for every voice."""
        return f"{PATH}?timeout={self.options.timeout_s}"

    @property
    def _is_timed(self) -> bool:
        return self.word_timestamps and self.voice.name in TIMED

    @property
    def _language(self) -> str | None:
        language = self.voice.language.partition("-")[0]
        return None if language == "und" else language

    def hello(self) -> list[str]:
        """Nothing comes before the first script."""
        return []

    def speak(self, script: str, context: str) -> list[str]:
        """Say everything at once: the script, and how it is to be spoken."""
        if not _REQUEST_ID.fullmatch(context):
            raise LocalProtocolError(f"{context!r} cannot be the name of a request")
        self._asked = context
        options = self.options
        request: dict[str, object] = {
            "voice_id": self.voice.name,
            "text": script,
            "model": self.voice.model,
            "language": self._language,
            "number_pronunciation_language": options.number_pronunciation_language,
            "math_notation": options.math_notation or None,
            "pronunciation_dicts": options.pronunciation_dicts or None,
            "sample_rate": options.sample_rate,
            "speed": None if self.speed == 1.0 else self.speed,
            "word_timestamps": self._is_timed or None,
            "complete_backoff_ms": options.complete_backoff_ms,
            "request_id": context,
        }
        return [msgspec.json.encode(asked(request)).decode()]

    def parse(self, message: str | bytes) -> Sequence[Event]:
        """Translate one server message."""
        said = _decode_message(message)
        context = said.external_request_id or None
        named = self._name(said.request_id, context)
        # Where our name is not echoed, theirs tells the audio of an earlier script.
        item = None if context else said.request_id
        match said.status:
            case "chunk":
                audio = decode_base64(_decode_chunk(said.data).audio)
                return (*named, Audio(audio, context, item))
            case "word_timestamp":
                timing = _decode_timing(said.data)
                word = Word(timing.word, timing.start, timing.end)
                return (*named, Words((word,), context, item))
            case "complete" | "comp":  # so spelled on an older page
                return (*named, Done(context))
            case _ if _is_failure(said):
                return (*named, _failed(said))
            case _:
                return named

    def _name(self, request: str | None, context: str | None) -> tuple[Named, ...]:
        """The provider's name for our request, when it is a new one."""
        if not request or request == self._named or context not in (None, self._asked):
            return ()
        self._named = request
        return (Named(request),)


# ── what goes wrong ───────────────────────────────────────────────────────────

_FAULTS = {"401": Fault.KEY, "402": Fault.QUOTA, "403": Fault.KEY, "429": Fault.BUSY}

#: Statuses of requests that are wrong, and how the names of such mistakes begin.
_WRONG = re.compile(r"400|404|422|invalid_|too_(?:big|small)|unrecognized_", re.IGNORECASE)

_BUSY = re.compile(
    r"concurren|rate limit|too many requests|active request|at the same time", re.IGNORECASE
)
_QUOTA = re.compile(
    r"usage limit|quota (?:is )?(?:exceeded|exhausted)|out of credits?"
    r"|insufficient (?:quota|credits?|balance|funds)",
    re.IGNORECASE,
)
_KEY = re.compile(r"unauthori[sz]ed|(?:invalid|missing) (?:api[ _-]?key|token)", re.IGNORECASE)
_PLAN = re.compile(r"(?:upgrade|higher|your) (?:to a higher )?plan", re.IGNORECASE)
_VOICE = re.compile(r"voice|model|language", re.IGNORECASE)
_ABSENT = re.compile(
    r"(?:voice|model|language).{0,80} not (?:found|available|supported)", re.IGNORECASE
)


def _is_failure(said: _Message) -> bool:
    """Whether a message of no known status is a complaint; some have no status at all."""
    if said.status is None:
        return bool(said.error or said.message)
    return said.status == "error" or bool(said.error) or _is_refusal(said.status)


def _is_refusal(status: str | int) -> bool:
    return isinstance(status, int) and status >= 400


def _failed(said: _Message) -> Failed:
    reason, code = _complaint(said)
    told = f"{reason} ({code})" if code else reason
    return Failed(told, _judge(code, reason), said.external_request_id)


def _complaint(said: _Message) -> tuple[str, str]:
    """The words of a failure and its code, in whichever of the shapes it comes."""
    error = said.error[0] if isinstance(said.error, list) and said.error else said.error
    if isinstance(error, dict):
        reason, code = error.get("message") or said.message, error.get("code")
        if isinstance(path := error.get("path"), list) and path:
            reason = f"{'.'.join(map(str, path))}: {reason}"
    else:
        reason, code = (said.message, error) if said.message else (error, None)
    if not code and isinstance(said.status, int):
        code = said.status
    return f"{reason or 'no reason given'}", f"{code or ''}"


def _judge(code: str, reason: str) -> Fault:
    """Whose fault it is; one and the same status may be for a key, a plan and a limit."""
    for words, fault in ((_BUSY, Fault.BUSY), (_QUOTA, Fault.QUOTA)):
        if words.search(reason):
            return fault
    if code in _FAULTS:
        return _FAULTS[code]
    if _KEY.search(reason):
        return Fault.KEY
    if _PLAN.search(reason) or _ABSENT.search(reason):
        return Fault.VOICE
    if _WRONG.match(code):
        return Fault.VOICE if _VOICE.search(reason) else Fault.SCRIPT
    return Fault.ENGINE  # the timeout of an idle connection is one of these


def _judge_status(status: int, words: str) -> Fault | None:
    """Documented for 403 among other causes: the limit of a trial, or of a workspace."""
    return Fault.QUOTA if status == 403 and _QUOTA.search(words) else None


def _any_voice(name: str, model: str | None) -> Voice | None:
    """A voice of the catalogue, or a clone, by its id."""
    if model not in (None, *LANGUAGES):
        raise VoiceUnavailable(
            f"smallest has no model {model!r}", hint=f"it has {', '.join(LANGUAGES)}"
        )
    return Voice(name, model or BASE, "und") if _VOICE_ID.fullmatch(name) else None


PROVIDER = Provider(
    name="smallest",
    about="Smallest AI Waves: Lightning v3.1 and v3.1 Pro, 31 languages",
    url="wss://api.smallest.ai",
    key_variable="SMALLEST_API_KEY",
    dialect=Smallest.of,
    voices=LIGHTNING_VOICES,
    open_voices=_any_voice,
    languages=LANGUAGES,
    sample_rate_hz=RATE_HZ,
    segment_chars=SEGMENT_CHARS,
    workers=5,
    in_flight=1,
    usd_per_million_chars=prices.SMALLEST,
    prices_as_of=prices.AS_OF,
    options=Options,
    inaudible=frozenset({"complete_backoff_ms", "linger_s", "timeout_s"}),
)
