"""The provider's side of Together's realtime speech protocol. No I/O.

Text is collected per context until a sentence is whole, or until the commit;
each piece of text becomes an item, and each item ends with its own `done`.
Nothing ends a commit: that is the protocol, not an omission here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from batchtts.server.casting import NotAvailable
from batchtts.server.conversation import Action, After, Cancel, Close, Framing, Say
from batchtts.server.engine import SAMPLE_RATE_HZ, has_words
from batchtts.server.house import Visit
from batchtts.server.items import Several
from batchtts.server.pronounce import read_entries, respell
from batchtts.server.sentences import cut
from batchtts.server.together_frames import Speech, Timed, failed, message
from batchtts.wire.kokoro import KOKORO

_TEXT = 64 * 1024  # characters in an item, about an hour of speech
_CONTEXTS = 100  # with text that waits for its commit

_DEFAULT = "default"


class ExtraParams(msgspec.Struct, frozen=True):
    """What a client may choose that only some models have; what is not here is left.

    Attributes:
        pronunciation_dict: Entries like ``NATO/nay toe``; whole words, case and all.
        seed: Of our own voices alone: another one is another take.
    """

    pronunciation_dict: tuple[str, ...] = ()
    seed: int | msgspec.UnsetType = msgspec.UNSET


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may choose, in the address or by `tts_session.updated`.

    Attributes:
        voice: None for the default of the model.
        response_format: Only PCM is spoken here. The guide has the others, but
            nobody has published what their messages hold.
        sample_rate: Taken and left: Kokoro speaks at 24 kHz whatever is asked.
        alignment: With `word`, the times of the words of each item, as spoken.
    """

    model: str = KOKORO
    voice: str | None = None
    speed: Annotated[float, msgspec.Meta(ge=0.25, le=4)] = 1.0
    language: str | None = None
    segment: Literal["sentence", "immediate", "never"] = "sentence"
    max_partial_length: Annotated[int, msgspec.Meta(ge=1)] = 250
    response_format: Literal["pcm", "raw", "mp3", "opus", "aac", "flac", "wav", "mulaw"] = "pcm"
    sample_rate: int = SAMPLE_RATE_HZ
    alignment: Literal["none", "word"] = "none"
    extra_params: ExtraParams = ExtraParams()


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
        try:
            self._check_key()
            session = self._check(_choices(self._visit.query), strict=False)
        except _Refused as refusal:
            yield failed(refusal.code, str(refusal))
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
        yield message({"event_id": "evt_1", "type": "session.created", "session": about})
        yield After("idle", self._knobs.idle_s)

    def expired(self, timer: str) -> Iterator[Action]:
        """Nobody has said anything for too long."""
        reason = f"nothing was said for {self._knobs.idle_s:g} s"
        yield failed("idle_timeout", reason, kind="service_unavailable_error")
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
            yield failed(refusal.code, str(refusal), echo)

    def _answer(self, said: _Message) -> Iterable[Action]:
        match said.type:
            case "input_text_buffer.append":
                return self._append(said)
            case "input_text_buffer.commit":
                return self._commit(said)
            case "input_text_buffer.clear":
                return self._clear(said)
            case "tts_session.updated":
                return self._update(said)
            case "context.cancel":
                return self._cancel(said)
            case unknown:
                raise _Refused("unknown_message_type", f"unknown message type {unknown!r}")

    def _append(self, said: _Message) -> Iterator[Action]:
        if said.text is None:
            raise _Refused("missing_text", "input_text_buffer.append without text")
        context = self._context(said)
        if len(context.text) + len(said.text) > _TEXT:
            raise _Refused("invalid_text", f"more than {_TEXT} characters without a commit")
        context.text += said.text
        context.appended = True
        received = {"type": "conversation.item.input_text.received", "text": said.text}
        yield message(received, said.context_id)
        session = self._session(context)
        if session.segment == "sentence":
            whole, context.text = cut(context.text, session.max_partial_length)
            yield from self._say(said, whole)
        elif session.segment == "immediate" and has_words(context.text):
            whole, context.text = [context.text], ""
            yield from self._say(said, whole)

    def _commit(self, said: _Message) -> Iterator[Action]:
        context = self._context(said)
        if not context.appended:
            return  # a client that commits twice, as some do to be sure, is not at fault
        rest, spoken = context.text, context.spoken
        context.text, context.appended, context.spoken = "", False, False
        if spoken and not has_words(rest):
            return  # the space, or the quote, behind the last sentence
        if self._session(context).segment == "sentence":
            whole, rest = cut(rest, self._session(context).max_partial_length)
            yield from self._say(said, whole)
            rest = rest.strip() if has_words(rest) or not whole else ""
        if rest:
            yield from self._say(said, [rest])
        context.spoken = False

    def _clear(self, said: _Message) -> Iterator[Action]:
        context = self._context(said)
        context.text, context.appended, context.spoken = "", False, False
        yield from ()

    def _update(self, said: _Message) -> Iterator[Action]:
        chosen = said.session or {}
        own = self._context(said).own if said.context_id else {}
        session = self._check({**self._chosen, **own, **chosen})
        if said.context_id is not None:
            own.update(chosen)
        else:
            self._chosen = msgspec.structs.asdict(session)
            for context in self._contexts.values():
                context.own = {key: context.own[key] for key in context.own.keys() - chosen.keys()}
        updated = {"type": "session.updated", "session": self._about(session)}
        yield message(updated, said.context_id)

    def _cancel(self, said: _Message) -> Iterator[Action]:
        name = said.context_id or _DEFAULT
        self._contexts.pop(name, None)
        yield Cancel(name)
        yield message({"type": "context.cancelled"}, said.context_id)

    def _say(self, said: _Message, texts: Iterable[str]) -> Iterator[Say]:
        context = self._context(said)
        session = self._session(context)
        role = self._casting.cast(session.model, session.voice, session.language)
        readings = read_entries(session.extra_params.pronunciation_dict)
        for text in texts:
            names = [f"tts_{self._items + n}" for n in range(1, self._knobs.items_per_commit + 1)]
            self._items += len(names)
            context.spoken = True
            yield Say(
                item=names[0],
                context=said.context_id or _DEFAULT,
                named=said.context_id is not None,
                text=respell(text, readings),
                role=role,
                speed=session.speed,
                seed=session.extra_params.seed or 0,
                framing=self._framing(session, names),
            )

    def _framing(self, session: Session, names: list[str]) -> Framing:
        framing: Framing = Speech()
        if session.alignment == "word":
            framing = Timed(framing, self._knobs.timings)
        return Several(framing, names) if len(names) > 1 else framing

    def _context(self, said: _Message) -> _Context:
        name = said.context_id or _DEFAULT
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
            read_entries(session.extra_params.pronunciation_dict)
            self._casting.cast(session.model, session.voice, session.language)
        except msgspec.ValidationError as error:
            raise _Refused("invalid_parameter", str(error).replace("`$.", "`")) from None
        except NotAvailable as error:
            raise _Refused(error.code, str(error)) from None
        except ValueError as error:
            raise _Refused("invalid_parameter", f"pronunciation_dict: {error}") from None
        if session.response_format not in ("pcm", "raw"):
            raise _Refused(
                "invalid_parameter",
                f"response_format {session.response_format!r}: here is only pcm",
            )
        return session

    def _about(self, session: Session) -> dict[str, Any]:
        role = self._casting.cast(session.model, session.voice, session.language)
        about: dict[str, Any] = msgspec.to_builtins(session)
        return about | {"voice": role.name}

    def _check_key(self) -> None:
        if not self._visit.key:
            raise _Refused("missing_api_key", "bring Authorization: Bearer KEY, or ?api_key=KEY")
        if not self._visit.is_welcome:
            raise _Refused("invalid_api_key", "this is not the key of this server")


def _choices(query: Mapping[str, str]) -> dict[str, Any]:
    """What the address asks for; whether an object may be there, and how, is not documented."""
    chosen: dict[str, Any] = {key: value for key, value in query.items() if key != "api_key"}
    if "model_id" in chosen:  # the guide's name for it in 2025
        chosen.setdefault("model", chosen.pop("model_id"))
    if "extra_params" in chosen:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            chosen["extra_params"] = msgspec.json.decode(chosen["extra_params"])
    return chosen


def _parse(message: str | bytes) -> _Message:
    if isinstance(message, bytes):
        raise _Refused("invalid_json", "binary messages are not part of this protocol")
    try:
        return msgspec.json.decode(message, type=_Message)
    except msgspec.ValidationError as error:
        raise _Refused("invalid_message", str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Refused("invalid_json", f"not JSON: {error}") from None
