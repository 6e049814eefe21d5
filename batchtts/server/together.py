"""The provider's side of Together's realtime speech protocol. No I/O.

Text is collected per context until a sentence is whole, or until the commit;
each piece of text becomes an item, and each item ends with its own `done`.
Nothing ends a commit: that is the protocol, not an omission here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pybase64

from batchtts.server.casting import NotAvailable
from batchtts.server.conversation import Action, After, Cancel, Close, Frame, Say, Send
from batchtts.server.engine import SAMPLE_RATE_HZ, has_words
from batchtts.server.house import Visit
from batchtts.server.sentences import cut
from batchtts.wire.kokoro import KOKORO

_DELTA = 16 * 1024  # bytes of PCM in a message
_TEXT = 64 * 1024  # characters in an item, about an hour of speech
_CONTEXTS = 100  # with text that waits for its commit

_DEFAULT = "default"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may choose, in the address or by `tts_session.updated`.

    Attributes:
        voice: None for the default of the model.
        sample_rate: Taken and left: Kokoro speaks at 24 kHz whatever is asked.
        alignment: Word timings are not offered; `word` gives audio without them.
    """

    model: str = KOKORO
    voice: str | None = None
    speed: Annotated[float, msgspec.Meta(ge=0.25, le=4)] = 1.0
    language: str | None = None
    segment: Literal["sentence", "immediate", "never"] = "sentence"
    max_partial_length: Annotated[int, msgspec.Meta(ge=1)] = 250
    response_format: Literal["pcm", "raw"] = "pcm"
    sample_rate: int = SAMPLE_RATE_HZ
    alignment: Literal["none", "word"] = "none"


class _Message(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    context_id: str | None = None
    session: dict[str, Any] | None = None


class _Refused(ValueError):
    """The client's message is wrong; the connection stays open."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Context:
    """What a context holds; `own` are settings that differ from the session's."""

    text: str = ""
    appended: bool = False  # since the last commit
    spoken: bool = False  # since the last commit
    own: dict[str, Any] = field(default_factory=dict)


class Together:
    """One connection."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._casting = visit.house.casting
        self._knobs = visit.house.knobs.together
        self._chosen: dict[str, Any] = {}
        self._contexts: dict[str, _Context] = {}
        self._items = 0

    def greet(self) -> Iterator[Action]:
        """Say `session.created`, or what is wrong with the address and goodbye."""
        chosen = {key: value for key, value in self._visit.query.items() if key != "api_key"}
        if "model_id" in chosen:  # the guide's name for it in 2025
            chosen.setdefault("model", chosen.pop("model_id"))
        try:
            session = self._check(chosen, strict=False)
        except _Refused as refusal:
            yield Send(_failed(refusal.code, str(refusal)))
            yield Close(1000)
            return
        self._chosen = msgspec.structs.asdict(session)
        about = {
            "id": f"session-{self._visit.number}",
            "object": "realtime.tts.session",
            "modalities": ["text", "audio"],
            "model": session.model,
            "voice": self._about(session)["voice"],
        }
        yield Send(_json({"event_id": "evt_1", "type": "session.created", "session": about}))
        yield After("idle", self._knobs.idle_s)

    def expired(self, timer: str) -> Iterator[Action]:
        """Nobody has said anything for too long."""
        yield Send(_failed("idle_timeout", "the session was idle for too long"))
        yield Close(1000)

    def leave(self) -> None:
        """Nothing is kept beyond the connection."""

    def receive(self, message: str | bytes) -> Iterator[Action]:
        """Take in one message of the client."""
        yield After("idle", self._knobs.idle_s)
        echo = None
        try:
            parsed = _parse(message)
            echo = parsed.context_id
            yield from self._answer(parsed)
        except _Refused as refusal:
            yield Send(_failed(refusal.code, str(refusal), echo))

    def piece(self, say: Say, pcm: bytes) -> Iterator[Frame]:
        """Put a piece of PCM into deltas."""
        # Written by hand: a JSON library would look for characters to escape in
        # megabytes of base64.
        head = f'{{"type":"conversation.item.audio_output.delta","item_id":"{say.item}",'
        tail = f',"context_id":{_json(say.context)}}}' if say.named else "}"
        view = memoryview(pcm)
        for start in range(0, len(view), _DELTA):
            delta = pybase64.b64encode_as_string(view[start : start + _DELTA])
            yield Send(f'{head}"delta":"{delta}"{tail}')

    def end(self, say: Say) -> Iterator[Frame]:
        """Say that the item is done."""
        done = {"type": "conversation.item.audio_output.done", "item_id": say.item}
        yield Send(_json(done | _echo(_name(say))))

    def cannot_speak(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that the text is at fault."""
        yield Send(_failed("invalid_text", reason, _name(say)))

    def broken(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that the engine is at fault."""
        yield Send(_failed("internal_error", reason, _name(say), kind="server_error"))

    def _answer(self, message: _Message) -> Iterable[Action]:
        match message.type:
            case "input_text_buffer.append":
                return self._append(message)
            case "input_text_buffer.commit":
                return self._commit(message)
            case "input_text_buffer.clear":
                return self._clear(message)
            case "tts_session.updated":
                return self._update(message)
            case "context.cancel":
                return self._cancel(message)
            case unknown:
                raise _Refused("unknown_message_type", f"unknown message type {unknown!r}")

    def _append(self, message: _Message) -> Iterator[Action]:
        if message.text is None:
            raise _Refused("missing_text", "input_text_buffer.append without text")
        context = self._context(message)
        if len(context.text) + len(message.text) > _TEXT:
            raise _Refused("invalid_text", f"more than {_TEXT} characters without a commit")
        context.text += message.text
        context.appended = True
        received = {"type": "conversation.item.input_text.received", "text": message.text}
        yield Send(_json(received | _echo(message.context_id)))
        session = self._session(context)
        if session.segment == "sentence":
            whole, context.text = cut(context.text, session.max_partial_length)
            yield from self._say(message, whole)
        elif session.segment == "immediate" and has_words(context.text):
            whole, context.text = [context.text], ""
            yield from self._say(message, whole)

    def _commit(self, message: _Message) -> Iterator[Action]:
        context = self._context(message)
        if not context.appended:
            return  # a client that commits twice, as some do to be sure, is not at fault
        rest, spoken = context.text, context.spoken
        context.text, context.appended, context.spoken = "", False, False
        if spoken and not has_words(rest):
            return  # the space, or the quote, behind the last sentence
        if self._session(context).segment == "sentence":
            whole, rest = cut(rest, self._session(context).max_partial_length)
            yield from self._say(message, whole)
            rest = rest.strip() if has_words(rest) or not whole else ""
        if rest:
            yield from self._say(message, [rest])
        context.spoken = False

    def _clear(self, message: _Message) -> Iterator[Action]:
        context = self._context(message)
        context.text, context.appended, context.spoken = "", False, False
        yield from ()

    def _update(self, message: _Message) -> Iterator[Action]:
        chosen = message.session or {}
        own = self._context(message).own if message.context_id else {}
        session = self._check({**self._chosen, **own, **chosen})
        if message.context_id is not None:
            own.update(chosen)
        else:
            self._chosen = msgspec.structs.asdict(session)
            for context in self._contexts.values():
                context.own = {key: context.own[key] for key in context.own.keys() - chosen.keys()}
        updated = {"type": "session.updated", "session": self._about(session)}
        yield Send(_json(updated | _echo(message.context_id)))

    def _cancel(self, message: _Message) -> Iterator[Action]:
        name = message.context_id or _DEFAULT
        self._contexts.pop(name, None)
        yield Cancel(name)
        yield Send(_json({"type": "context.cancelled"} | _echo(message.context_id)))

    def _say(self, message: _Message, texts: Iterable[str]) -> Iterator[Say]:
        context = self._context(message)
        session = self._session(context)
        role = self._casting.cast(session.model, session.voice, session.language)
        for text in texts:
            self._items += 1
            context.spoken = True
            yield Say(
                item=f"tts_{self._items}",
                context=message.context_id or _DEFAULT,
                named=message.context_id is not None,
                text=text,
                role=role,
                speed=session.speed,
                framing=self,
            )

    def _context(self, message: _Message) -> _Context:
        name = message.context_id or _DEFAULT
        if name not in self._contexts:
            if len(self._contexts) >= _CONTEXTS:
                self._forget()
            self._contexts[name] = _Context()
        return self._contexts[name]

    def _forget(self) -> None:
        """Let go of contexts that hold nothing: a job has one for every row."""
        self._contexts = {
            name: context
            for name, context in self._contexts.items()
            if context.appended or context.own
        }
        if sum(context.appended for context in self._contexts.values()) >= _CONTEXTS:
            raise _Refused("too_many_contexts", f"more than {_CONTEXTS} contexts await a commit")

    def _session(self, context: _Context) -> Session:
        return msgspec.convert({**self._chosen, **context.own}, Session)

    def _check(self, chosen: dict[str, Any], *, strict: bool = True) -> Session:
        try:
            session = msgspec.convert(chosen, Session, strict=strict)
            self._casting.cast(session.model, session.voice, session.language)
        except msgspec.ValidationError as error:
            raise _Refused("invalid_parameter", str(error).replace("`$.", "`")) from None
        except NotAvailable as error:
            raise _Refused(error.code, str(error)) from None
        return session

    def _about(self, session: Session) -> dict[str, Any]:
        role = self._casting.cast(session.model, session.voice, session.language)
        return msgspec.structs.asdict(session) | {"voice": role.name}


def _parse(message: str | bytes) -> _Message:
    if isinstance(message, bytes):
        raise _Refused("invalid_json", "binary messages are not part of this protocol")
    try:
        return msgspec.json.decode(message, type=_Message)
    except msgspec.ValidationError as error:
        raise _Refused("invalid_message", str(error)) from None
    except msgspec.DecodeError as error:
        raise _Refused("invalid_json", f"not JSON: {error}") from None


def _failed(
    code: str,
    message: str,
    context: str | None = None,
    *,
    kind: str = "invalid_request_error",
) -> str:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return _json({"type": "conversation.item.tts.failed", "error": error} | _echo(context))


def _name(say: Say) -> str | None:
    return say.context if say.named else None


def _echo(context: str | None) -> dict[str, str]:
    return {} if context is None else {"context_id": context}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
