"""The provider's side of Smallest's Waves. No I/O.

Every message is a request of its own, and names its voice. `complete` is a timer
that every request starts anew when its last chunk is sent, so that one may come for
several. What is too much at once is refused, and not kept for later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Literal

import msgspec
import pybase64

from batchtts.model import Voice
from batchtts.server.casting import NotAvailable, Role
from batchtts.server.conversation import Action, After, Close, Frame, Say, Send
from batchtts.server.house import TurnedAway, Visit
from batchtts.server.timings import spread
from batchtts.text.rendering import Rendering
from batchtts.text.segment import split
from batchtts.wire.lightning import BASE, LANGUAGES, LIGHTNING_VOICES, PRO, TIMED

SOCKETS = 5  # for each request that may be in flight

_PIECE = 250  # characters that are spoken at a time
_CHUNK = 16 * 1024  # bytes of PCM in a message
_TEXT = 64 * 1024  # characters that may wait for the rest

_VOICES = {(voice.name, voice.model): voice for voice in LIGHTNING_VOICES}
_OTHER = {BASE: PRO, PRO: BASE}

_Id = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[a-zA-Z0-9_\-.]+$")]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may ask for; what is not known is left aside.

    Attributes:
        more: More text follows (`continue`): this one waits for it.
        flush: Nothing waits any longer.
    """

    voice_id: Annotated[str, msgspec.Meta(min_length=1)]
    text: str
    model: Literal["lightning_v3.1", "lightning_v3.1_pro"] = "lightning_v3.1"
    language: str | None = None
    number_pronunciation_language: str | None = None
    math_notation: bool = False
    pronunciation_dicts: list[str] = []
    sample_rate: Literal[8_000, 16_000, 24_000, 44_100] = 44_100
    speed: Annotated[float, msgspec.Meta(ge=0.5, le=2)] = 1.0
    more: bool = msgspec.field(default=False, name="continue")
    flush: bool = False
    max_buffer_flush_ms: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    complete_backoff_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 4000
    word_timestamps: bool = False
    session_id: _Id | None = None
    request_id: _Id | None = None


class _Refused(ValueError):
    """The client's message is wrong, or comes too soon; the connection stays open."""

    def __init__(self, code: str, message: str, path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.path = path


@dataclass(slots=True)
class _Task:
    """A request that is at work, or was the last one.

    Attributes:
        left: Items that are not spoken yet.
        said_bytes: Of the items that are.
        item_bytes: Of the item that is being spoken.
        words: That were timed.
    """

    name: str
    request: Request
    is_mute: bool = False
    left: set[str] = field(default_factory=set)
    said_bytes: int = 0
    item_bytes: int = 0
    words: int = 0
    is_failed: bool = False


class Smallest:
    """One connection."""

    def __init__(self, visit: Visit) -> None:
        """Let a client in.

        Raises:
            TurnedAway: this key has too many connections.
        """
        self._visit = visit
        self._house = visit.house
        self._knobs = visit.house.knobs.smallest
        self._idle_s = _timeout_s(visit.query.get("timeout", "")) or self._knobs.idle_s
        self._tasks: dict[str, _Task] = {}  # that are at work
        self._last: _Task | None = None
        self._count = 0
        self._waiting: Request | None = None  # for more text
        if self._house.sockets[visit.key] >= SOCKETS * self._knobs.units:
            raise TurnedAway(429, f"more than {SOCKETS * self._knobs.units} connections")
        self._house.sockets[visit.key] += 1
        self._is_counted = True

    def greet(self) -> Iterator[Action]:
        """Say nothing, and wait."""
        yield After("idle", self._idle_s)

    def receive(self, message: str | bytes) -> Iterator[Action]:
        """Take in one request of the client, or the end of one."""
        yield After("idle", self._idle_s)
        request = None
        try:
            request = _parse(message)
            yield from self._collect(request)
        except _Refused as refusal:
            yield self._error(refusal, _echo(request))

    def expired(self, timer: str) -> Iterator[Action]:
        """Say that all is complete, or that nobody has said anything for too long."""
        match timer:
            case "complete":
                yield Send(_json(self._about(self._last) | self._completion()))
                if self._knobs.closes:
                    self._give_back()
                    yield Close(1000)
            case "flush":
                yield from self._flush()
            case _:
                words = f"Connection timed out after {self._idle_s:g} seconds of inactivity"
                yield self._error(_Refused("408", words), {})
                yield Close(1000)

    def leave(self) -> None:
        """Give back what is not given back yet."""
        self._house.in_flight[self._visit.key] -= len(self._tasks)
        self._tasks.clear()
        self._give_back()

    def piece(self, say: Say, payload: bytes) -> Iterator[Frame]:
        """Put a piece of PCM into chunks."""
        task = self._tasks.get(_task_name(say))
        if task:
            task.item_bytes += len(payload)
        if task and task.is_mute:
            payload = bytes(len(payload))
        # Written by hand: a JSON library would look for characters to escape in
        # megabytes of base64.
        head = f'{_json(self._ids(say) | {"status": "chunk"})[:-1]},"data":{{"audio":"'
        view = memoryview(payload)
        for start in range(0, len(view), _CHUNK):
            audio = pybase64.b64encode_as_string(view[start : start + _CHUNK])
            yield Send(f'{head}{audio}"}}}}')
            if task and self._knobs.quiet == "chunks":
                yield _completing(task)

    def end(self, say: Say) -> Iterator[Frame]:
        """Tell the times of the words, and start the timer after the last of them."""
        task = self._tasks.get(_task_name(say))
        if task:
            yield from self._timings(task, say)
            yield from self._settle(task, say)

    def cannot_speak(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that the text is at fault."""
        yield from self._fail(say, _Refused("400", reason))

    def broken(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that the engine is at fault."""
        yield from self._fail(say, _Refused("500", reason))

    def _fail(self, say: Say, refusal: _Refused) -> Iterator[Frame]:
        """An item fails; those after it are spoken nevertheless."""
        yield self._error(refusal, self._ids(say))
        if task := self._tasks.get(_task_name(say)):
            task.is_failed = True
            yield from self._settle(task, say)

    def _timings(self, task: _Task, say: Say) -> Iterator[Frame]:
        if not (task.request.word_timestamps and task.item_bytes and say.role.name in TIMED):
            return
        begins_s = task.said_bytes / 2 / say.sample_rate_hz
        for word in spread(say.text, task.item_bytes // 2, say.sample_rate_hz):
            timing = {
                "id": task.words,
                "word": word.text,
                "start": round(begins_s + word.start_s, 6),
                "end": round(begins_s + word.end_s, 6),
            }
            yield Send(_json(self._ids(say) | {"status": "word_timestamp", "data": timing}))
            task.words += 1

    def _settle(self, task: _Task, say: Say) -> Iterator[Frame]:
        """An item is over; if it was the last of its request, that is, too."""
        task.said_bytes, task.item_bytes = task.said_bytes + task.item_bytes, 0
        task.left.discard(say.item)
        if not task.left and task.name in self._tasks:
            del self._tasks[task.name]
            self._house.in_flight[self._visit.key] -= 1
            if task.said_bytes or not task.is_failed:
                yield _completing(task)

    def _collect(self, request: Request) -> Iterator[Action]:
        """Keep the text of a request that goes on, or have it spoken."""
        before = self._waiting.text if self._waiting else ""
        if len(before) + len(request.text) > _TEXT:
            raise _Refused("too_big", f"more than {_TEXT} characters", "text")
        whole = msgspec.structs.replace(request, text=before + request.text)
        if not request.more or request.flush:
            self._waiting = None
            yield After("flush", inf)
            yield from self._speak(whole)
            return
        self._waiting = whole
        if request.max_buffer_flush_ms:
            yield After("flush", request.max_buffer_flush_ms / 1000)

    def _flush(self) -> Iterator[Action]:
        """Have spoken what has waited long enough."""
        request, self._waiting = self._waiting, None
        try:
            if request is not None:
                yield from self._speak(request)
        except _Refused as refusal:
            yield self._error(refusal, _echo(request))

    def _speak(self, request: Request) -> Iterator[Action]:
        if not request.text.strip():
            return  # nothing, and no `complete` either
        role, is_foreign = self._cast(request)
        if self._house.in_flight[self._visit.key] >= self._knobs.units:
            raise _Refused("429", f"Concurrency limit of {self._knobs.units} reached")
        task = self._begin(request)
        task.is_mute = is_foreign and self._knobs.mismatch == "silence"
        if is_foreign and self._knobs.mismatch == "nothing":
            yield _completing(task)
            return
        if self._knobs.quiet == "requests":
            yield After("complete", inf)
        self._house.in_flight[self._visit.key] += 1
        self._tasks[task.name] = task
        says = list(_items(task, role, self))
        task.left.update(say.item for say in says)
        yield from says

    def _begin(self, request: Request) -> _Task:
        self._count += 1
        self._last = _Task(f"task_{self._visit.number}_{self._count}", request)
        return self._last

    def _cast(self, request: Request) -> tuple[Role, bool]:
        """Return who speaks, and whether the voice belongs to the other model."""
        language = request.language
        if language not in (None, *LANGUAGES[PRO]):
            raise _Refused("invalid_enum_value", f"Invalid enum value {language!r}", "language")
        name, model = request.voice_id, request.model
        voice = _VOICES.get((name, model)) or _VOICES.get((name, _OTHER[model]))
        if voice is None:
            raise _Refused("404", f"Voice {name!r} not found")
        is_foreign = voice.model != model
        if is_foreign:
            voice = next(voice for voice in LIGHTNING_VOICES if voice.model == model)
        spoken = voice.language if language in (None, "auto") else f"{language}"
        try:
            stand_in = self._house.casting.stand_in(Voice(voice.name, model, spoken))
        except NotAvailable as error:
            raise _Refused("404", f"{error}") from None
        return Role(model, name, stand_in), is_foreign

    def _give_back(self) -> None:
        """This connection counts no longer."""
        if self._is_counted:
            self._is_counted = False
            self._house.sockets[self._visit.key] -= 1

    def _ids(self, say: Say) -> dict[str, str]:
        task = self._tasks.get(_task_name(say))
        ids = {"session_id": f"ws_{self._visit.number}", "request_id": _task_name(say)}
        if task and task.request.session_id:
            ids["external_session_id"] = task.request.session_id
        if say.named:
            ids["external_request_id"] = say.context
        return ids

    def _about(self, task: _Task | None) -> dict[str, str]:
        ids = {"session_id": f"ws_{self._visit.number}"}
        return ids | ({"request_id": task.name} | _echo(task.request) if task else {})

    def _completion(self) -> dict[str, object]:
        older = {"message": "All chunks sent", "done": True} if self._knobs.explains else {}
        return {"status": "complete"} | older

    def _error(self, refusal: _Refused, ids: dict[str, str]) -> Send:
        """Complain in the shape that is set."""
        words: dict[str, object] = {"message": f"{refusal}", "code": refusal.code}
        failed = ids | {"status": "error"}
        match self._knobs.error_shape:
            case "message":
                return Send(_json(failed | {"message": f"{refusal}"}))
            case "text":
                return Send(_json(failed | {"error": f"{refusal}"}))
            case "object":
                return Send(_json(failed | {"error": words}))
            case "issues":  # as over HTTP, without any status
                path = [refusal.path] if refusal.path else []
                return Send(_json({"error": [words | {"path": path}]}))


def _items(task: _Task, role: Role, framing: Smallest) -> Iterator[Say]:
    request = task.request
    for number, piece in enumerate(split(Rendering.of(request.text), _PIECE, "")):
        yield Say(
            item=f"{task.name}.{number}" if number else task.name,
            context=request.request_id or task.name,
            named=request.request_id is not None,
            text=request.text[piece.start : piece.end],
            role=role,
            speed=request.speed,
            framing=framing,
            sample_rate_hz=request.sample_rate,
        )


def _completing(task: _Task) -> After:
    return After("complete", task.request.complete_backoff_ms / 1000)


def _task_name(say: Say) -> str:
    return say.item.partition(".")[0]


def _echo(request: Request | None) -> dict[str, str]:
    """The client's own names, where it has given some."""
    if request is None:
        return {}
    names = {"session_id": request.session_id, "request_id": request.request_id}
    return {f"external_{key}": name for key, name in names.items() if name is not None}


def _timeout_s(told: str) -> float | None:
    """A positive whole number of seconds; anything else is as if it were not there."""
    return float(told) or None if re.fullmatch(r"[0-9]{1,9}", told) else None


_CODES = (("Invalid enum value", "invalid_enum_value"), (" >= ", "too_small"), (" <= ", "too_big"))


def _parse(message: str | bytes) -> Request:
    if isinstance(message, bytes):
        raise _Refused("400", "binary messages are not part of this protocol")
    try:
        return msgspec.json.decode(message, type=Request)
    except msgspec.ValidationError as error:
        problem, _, place = f"{error}".partition(" - at `$.")
        code = next((code for sign, code in _CODES if sign in problem), "invalid_type")
        path = place.rstrip("`")
        raise _Refused(code, f"{path}: {problem}" if path else problem, path) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refused("400", f"not JSON: {error}") from None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
