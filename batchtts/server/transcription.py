"""The provider's side of Together's realtime transcription protocol. No I/O.

Audio is collected in a buffer. With turn detection each segment of speech is
heard when it is over, and a commit ends the one that is not; without, a commit
hears everything. Silence comes back as nothing at all. A failure of the session
is a failed frame without an event type, then a close with code 1000: that is the
protocol, not an omission here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import pybase64

from batchtts.server.casting import NotAvailable
from batchtts.server.conversation import Action, After, Close, Frame, Listen, Send
from batchtts.server.house import Visit
from batchtts.server.pauses import Detection, Segment, Segmenter

#: Format → sample rate, Hz; without a rate in its name it is 24,000.
_RATES = {
    "pcm_s16le_16000": 16_000,
    "pcm_s16le_24000": 24_000,
    "pcm_s16le_8000": 8_000,
    "pcm16": 24_000,
    "pcm_s16": 24_000,
    "pcm_s16le": 24_000,
}

_SAID = "conversation.item.input_audio_transcription"
_APPEND_S = 1.0  # of audio that a message should carry, at most
_BUFFER = 128 * 1024 * 1024  # bytes without a commit, an hour at 16 kHz


class _Address(Detection, frozen=True, kw_only=True):
    """What a client may choose in the address; what is not here is left."""

    model: str
    input_audio_format: str | None = None
    turn_detection: Literal["server_vad", "none"] = "server_vad"


class _Turns(Detection, frozen=True, kw_only=True):
    type: Literal["server_vad", "none"] = "server_vad"


class _Update(msgspec.Struct, frozen=True):
    """What a client may choose later on; what is not here is left."""

    turn_detection: _Turns | msgspec.UnsetType | None = msgspec.UNSET
    language: str | None = None
    prompt: str | None = None


class _Message(msgspec.Struct, frozen=True):
    type: str
    audio: str | None = None
    session: _Update | None = None
    echo_id: Any = None
    client_sent_at: Any = None
    payload: Any = None


class _Refused(ValueError):
    """The client's message is wrong; the session goes on."""


class _Fatal(ValueError):
    """The session is over."""

    def __init__(self, code: str | None, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


class Transcription:
    """One connection."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._knobs = visit.house.knobs.transcription
        self._is_over = False
        self._model: str | None = None  # until there is a session
        self._ear = ""
        self._rate_hz = 0
        self._detection: Detection | None = None
        self._language: str | None = None
        self._buffer = bytearray()
        self._half = b""  # of a sample
        self._taken = 0  # samples that are in the buffer no more
        self._segmenter: Segmenter | None = None
        self._items = 0
        self._begins: dict[str, int] = {}  # items that are being heard, in samples

    def greet(self) -> Iterator[Action]:
        """Say `session.created`, or what is wrong with the address and goodbye."""
        if not self._visit.query.get("model"):
            return  # it waits for one that never comes
        try:
            self._open()
        except _Fatal as error:
            yield from self._give_up(error)
            return
        about = {
            "id": f"session-{self._visit.number}",
            "object": "realtime.session",
            "modalities": ["audio"],
            "model": self._model,
        }
        yield Send(_json({"type": "session.created", "session": about}))
        yield After("idle", self._knobs.idle_s)

    def expired(self, timer: str) -> Iterator[Action]:
        """No audio has come for too long."""
        told = f"no audio for {self._knobs.idle_s:g} s"
        yield from self._give_up(_Fatal("idle_timeout", told, "service_unavailable_error"))

    def leave(self) -> None:
        """Nothing is kept beyond the connection."""

    def receive(self, message: str | bytes) -> Iterator[Action]:
        """Take in one message of the client."""
        if self._is_over or self._model is None:
            return
        try:
            yield from self._answer(_parse(message))
        except _Refused as refusal:
            error = {"message": str(refusal), "type": "invalid_request_error"}
            yield Send(_json({"type": "error", "error": error}))
        except _Fatal as error:
            yield from self._give_up(error)

    def guessed(self, listen: Listen, text: str) -> Iterator[Frame]:
        """Put what was heard so far into a message that takes the place of the last one."""
        delta = {"type": f"{_SAID}.delta", "delta": text}
        yield Send(_json(delta | self._about(listen)))

    def heard(self, listen: Listen, text: str) -> Iterator[Frame]:
        """Put a transcript into a message, unless there is nothing in it."""
        about = self._about(listen)
        begin = self._begins.pop(listen.item)
        if self._knobs.tells_progress:
            end = begin + len(listen.pcm) // 2
            processed = {"processed_ms": round(end / self._rate_hz * 1000)}
            yield Send(_json({"type": "input_audio_buffer.processed"} | processed))
        if text:
            completed = {"type": f"{_SAID}.completed", "transcript": text}
            yield Send(_json(completed | about))

    def unheard(self, listen: Listen, reason: str) -> Iterator[Frame]:
        """Say that this utterance is lost; the session is not."""
        about = self._about(listen)
        self._begins.pop(listen.item)
        error = {"message": reason, "type": "server_error", "param": None, "code": None}
        yield Send(_json({"type": f"{_SAID}.failed", "error": error, **about} | _UTTERANCE))

    def _open(self) -> None:
        """Find out what the address asks for.

        Raises:
            _Fatal: It cannot be had.
        """
        query = dict(self._visit.query)
        try:
            asked = msgspec.convert(query, _Address, strict=False)
            self._ear = self._visit.house.casting.cast_ear(asked.model)
        except msgspec.ValidationError as error:
            raise _Fatal("invalid_parameter", str(error).replace("`$.", "`")) from None
        except NotAvailable as error:
            raise _Fatal(error.code, str(error)) from None
        rate_hz = _RATES.get(asked.input_audio_format or "")
        if rate_hz is None:
            told = f"unsupported input_audio_format {asked.input_audio_format!r}"
            raise _Fatal("invalid_parameter", f"{told}; there are {', '.join(_RATES)}")
        self._rate_hz = rate_hz
        self._detect(asked if asked.turn_detection == "server_vad" else None)
        self._model = asked.model

    def _answer(self, message: _Message) -> Iterable[Action]:
        match message.type:
            case "input_audio_buffer.append":
                return self._append(message)
            case "input_audio_buffer.commit":
                return self._commit()
            case "input_audio_buffer.clear":
                return self._clear()
            case "transcription_session.updated":
                return self._update(message.session or _Update())
            case "echo":
                return self._echo(message)
            case unknown:
                raise _Refused(f"unknown message type {unknown!r}")

    def _append(self, message: _Message) -> Iterator[Action]:
        yield After("idle", self._knobs.idle_s)
        try:
            audio = pybase64.b64decode(message.audio or "", validate=True)
        except ValueError:
            raise _Fatal("invalid_audio", "invalid audio data: not base64") from None
        if len(audio) > 2 * _APPEND_S * self._rate_hz and self._knobs.long_append == "error":
            raise _Refused(f"more than {_APPEND_S * 1000:g} ms of audio in one message")
        if len(self._buffer) + len(audio) > _BUFFER:
            raise _Fatal("buffer_full", f"more than {_BUFFER} bytes of audio without a commit")
        whole = self._half + audio
        self._half = whole[len(whole) // 2 * 2 :]
        pcm = whole[: len(whole) // 2 * 2]
        if self._segmenter is None:
            self._buffer += pcm
            return
        self._taken += len(pcm) // 2
        for segment in self._segmenter.feed(pcm):
            yield self._listen(segment)

    def _commit(self) -> Iterator[Action]:
        listens = [self._listen(segment) for segment in self._tail()]
        if self._knobs.acknowledges:
            item = {"item_id": listens[-1].item} if listens and self._knobs.names_items else {}
            yield Send(_json({"type": "input_audio_buffer.committed"} | item))
        yield from listens

    def _tail(self) -> list[Segment]:
        """What a commit has heard: all there is, or what is still being said."""
        if self._segmenter is not None:
            tail = self._segmenter.flush()
            return [tail] if tail else []
        begin, pcm = self._taken, bytes(self._buffer)
        self._buffer.clear()
        self._taken += len(pcm) // 2
        if not self._knobs.splits:
            return [Segment(begin, pcm)] if pcm else []
        segmenter = Segmenter(Detection(), self._rate_hz, begin)
        parts = list(segmenter.feed(pcm))
        tail = segmenter.flush()
        return [*parts, tail] if tail else parts

    def _clear(self) -> Iterator[Action]:
        self._taken += len(self._buffer) // 2
        self._buffer.clear()
        self._half = b""
        self._detect(self._detection)
        yield from ()

    def _update(self, asked: _Update) -> Iterator[Action]:
        if asked.language is not None and asked.language.lower().partition("-")[0] != "en":
            raise _Refused(f"language {asked.language!r}: the recognizer here hears English")
        self._language = asked.language or self._language
        turns = asked.turn_detection
        if turns is not msgspec.UNSET:
            yield from (self._listen(segment) for segment in self._turn(turns))
        detection = None
        if self._detection is not None:
            detection = {"type": "server_vad", **_settings(self._detection)}
        session = {"turn_detection": detection, "language": self._language}
        yield Send(_json({"type": "transcription_session.updated", "session": session}))

    def _turn(self, turns: _Turns | None) -> list[Segment]:
        """Detect turns in another way; return what ends with the old one."""
        is_on = turns is not None and turns.type == "server_vad"
        ending = self._tail() if self._segmenter is not None or is_on else []
        self._detect(turns if is_on else None)
        return ending

    def _detect(self, detection: Detection | None) -> None:
        self._detection = detection
        self._segmenter = None
        if detection is not None:
            self._segmenter = Segmenter(detection, self._rate_hz, self._taken)

    def _echo(self, message: _Message) -> Iterator[Action]:
        now_ms = time.time_ns() // 1_000_000
        yield Send(
            _json(
                {
                    "type": "echo.response",
                    "echo_id": message.echo_id,
                    "client_sent_at": message.client_sent_at,
                    "server_received_at": now_ms,
                    "server_sent_at": now_ms,
                    "payload": message.payload,
                }
            )
        )

    def _listen(self, segment: Segment) -> Listen:
        assert self._model is not None
        self._items += 1
        item = f"item_{self._items}"
        self._begins[item] = segment.begin
        return Listen(
            item=item,
            context="audio",
            pcm=segment.pcm,
            sample_rate_hz=self._rate_hz,
            model=self._model,
            ear=self._ear,
            framing=self,
        )

    def _about(self, listen: Listen) -> dict[str, object]:
        if not self._knobs.names_items:
            return {}
        return {
            "item_id": listen.item,
            "start": round(self._begins[listen.item] / self._rate_hz, 3),
            "duration": round(len(listen.pcm) / 2 / self._rate_hz, 3),
        }

    def _give_up(self, fatal: _Fatal) -> Iterator[Action]:
        self._is_over = True
        error = {"message": str(fatal), "type": fatal.kind, "param": None, "code": fatal.code}
        yield Send(_json({"type": f"{_SAID}.failed", "error": error}))
        yield Close(1000)


#: What tells the failure of an utterance from that of the session.
_UTTERANCE = {"event_type": "completed"}


def _parse(message: str | bytes) -> _Message:
    if isinstance(message, bytes):
        raise _Fatal("invalid_audio", "audio comes in base64; a binary message ends the session")
    try:
        return msgspec.json.decode(message, type=_Message)
    except msgspec.ValidationError as error:
        raise _Refused(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refused(f"not JSON: {error}") from None


def _settings(detection: Detection) -> dict[str, object]:
    return {name: getattr(detection, name) for name in Detection.__struct_fields__}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
