"""Framings that do to speech, on its way into messages, what a fault says. No I/O.

Each stands before the protocol's own framing, for one request, and spoils what
goes in or what comes out. The audio stays the engine's own, so that what a client
has kept can be compared with it sample by sample.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import singledispatch
from math import inf
from typing import Any

import msgspec
import pybase64

from batchtts.server.conversation import (
    Abort,
    Close,
    Frame,
    Framing,
    Listen,
    Pause,
    Say,
    Send,
    SendBinary,
    Transcribing,
)
from batchtts.server.faults import (
    BadBase64,
    BadJson,
    Big,
    Binary,
    Double,
    Drop,
    Fail,
    Items,
    Late,
    Odd,
    Riff,
    Silent,
    Slow,
    Stall,
)
from batchtts.server.items import Several

_REASON = "failed on purpose"
_HALF_JSON = '{"type":"conversation.item.audio_output.delta","audio":"AAAA'
_STRAY = bytes(960)
_LATE_BYTES = 4800  # 100 ms
_NOBODY = "nobody-asked"

#: The beginning of audio in base64, in the messages of any protocol.
_AUDIO = re.compile(r'"(?:delta|audio)":\s*"(?=[A-Za-z0-9+/]{4})')

Cutting = Fail | Drop | Stall | BadJson | Binary


# ── framings ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Bent:
    """Other pieces and another end; what fails by itself fails as it would."""

    inner: Framing
    pieces: Callable[[Say, bytes], Iterable[Frame]]
    ends: Callable[[Say], Iterable[Frame]]

    def piece(self, say: Say, payload: bytes) -> Iterable[Frame]:
        return self.pieces(say, payload)

    def end(self, say: Say) -> Iterable[Frame]:
        return self.ends(say)

    def cannot_speak(self, say: Say, reason: str) -> Iterable[Frame]:
        return self.inner.cannot_speak(say, reason)

    def broken(self, say: Say, reason: str) -> Iterable[Frame]:
        return self.inner.broken(say, reason)


@dataclass(slots=True)
class _Cut:
    """As it should be up to a point, then something else; after that, as a rule, nothing."""

    inner: Framing
    fault: Cutting
    is_over: bool = False

    def piece(self, say: Say, payload: bytes) -> Iterable[Frame]:
        if self.fault.at == "last" or self.is_over:
            return () if self.is_silent else self.inner.piece(say, payload)
        frames = list(self.inner.piece(say, payload))
        return self._fall(say, frames, 0 if self.fault.at == "first" else (len(frames) + 1) // 2)

    def end(self, say: Say) -> Iterable[Frame]:
        if not self.is_over:
            return self._fall(say, self.inner.end(say) if _goes_on(self.fault) else (), 0)
        return () if self.is_silent else self.inner.end(say)

    def cannot_speak(self, say: Say, reason: str) -> Iterable[Frame]:
        return () if self.is_silent else self.inner.cannot_speak(say, reason)

    def broken(self, say: Say, reason: str) -> Iterable[Frame]:
        return () if self.is_silent else self.inner.broken(say, reason)

    @property
    def is_silent(self) -> bool:
        return self.is_over and not _goes_on(self.fault)

    def _fall(self, say: Say, frames: Iterable[Frame], kept: int) -> Iterator[Frame]:
        self.is_over = True
        whole = list(frames)
        yield from whole[:kept]
        yield from _instead(self.fault, lambda: self.inner.broken(say, _REASON))
        if _goes_on(self.fault):
            yield from whole[kept:]


@dataclass(slots=True)
class CutHearing:
    """The same for what is heard: guesses, and all the rest at once."""

    inner: Transcribing
    fault: Cutting
    is_over: bool = False

    def guessed(self, listen: Listen, text: str) -> Iterable[Frame]:
        if self.fault.at == "first" and not self.is_over:
            return self._fall(listen, self.inner.guessed(listen, text), 0)
        return () if self.is_silent else self.inner.guessed(listen, text)

    def heard(self, listen: Listen, text: str) -> Iterable[Frame]:
        if self.is_over:
            return () if self.is_silent else self.inner.heard(listen, text)
        is_failure = isinstance(self.fault, Fail)
        frames = [] if is_failure else list(self.inner.heard(listen, text))
        kept = {"first": 0, "middle": len(frames) // 2, "last": len(frames) - 1}[self.fault.at]
        return self._fall(listen, frames, max(kept, 0))

    def unheard(self, listen: Listen, reason: str) -> Iterable[Frame]:
        return () if self.is_silent else self.inner.unheard(listen, reason)

    @property
    def is_silent(self) -> bool:
        return self.is_over and not _goes_on(self.fault)

    def _fall(self, listen: Listen, frames: Iterable[Frame], kept: int) -> Iterator[Frame]:
        self.is_over = True
        whole = list(frames)
        yield from whole[:kept]
        yield from _instead(self.fault, lambda: self._failure(listen))
        if _goes_on(self.fault):
            yield from whole[kept:]

    def _failure(self, listen: Listen) -> Iterator[Frame]:
        """Fail the utterance; or the session, which is told by leaving the event out."""
        is_utterance = isinstance(self.fault, Fail) and self.fault.event_type
        for frame in self.inner.unheard(listen, _REASON):
            if isinstance(frame, Send):
                told: dict[str, Any] = msgspec.json.decode(frame.message)
                told.pop("event_type", None)
                told |= {"event_type": "completed"} if is_utterance else {}
                yield Send(msgspec.json.encode(told).decode())


def _instead(fault: Cutting, failure: Callable[[], Iterable[Frame]]) -> Iterator[Frame]:
    match fault:
        case Fail(close=code):
            yield from failure()
            if code is not None:
                yield _closing(code)
        case Drop(code=code):
            yield _closing(code)
        case BadJson():
            yield Send(_HALF_JSON)
        case Binary():
            yield SendBinary(_STRAY)
        case Stall():
            yield Pause(inf)  # whatever else waits to be sent on this connection waits, too


def _goes_on(fault: Cutting) -> bool:
    return isinstance(fault, BadJson | Binary)


def _closing(code: int) -> Frame:
    return Abort() if code == 1006 else Close(code)


# ── what is done to speech ────────────────────────────────────────────────────


@singledispatch
def spoil(fault: object, inner: Framing, say: Say, last: Say | None) -> Framing:
    """Return a framing that does to *inner* what the fault says.

    Args:
        last: What was finished on this connection before, if anything was.
    """
    raise TypeError(f"nothing is known of {fault!r}")


@spoil.register
def _(fault: Cutting, inner: Framing, say: Say, last: Say | None) -> Framing:
    return _Cut(inner, fault)


@spoil.register
def _(fault: Slow, inner: Framing, say: Say, last: Say | None) -> Framing:
    def dawdle(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            yield Pause(fault.seconds)
            yield frame

    return _through(inner, dawdle)


@spoil.register
def _(fault: Odd, inner: Framing, say: Say, last: Say | None) -> Framing:
    def pieces(say: Say, payload: bytes) -> Iterator[Frame]:
        for start in range(0, len(payload), fault.size_bytes):
            yield from inner.piece(say, payload[start : start + fault.size_bytes])

    return Bent(inner, pieces, inner.end)


@spoil.register
def _(fault: Riff, inner: Framing, say: Say, last: Say | None) -> Framing:
    header = _riff_header(say.sample_rate_hz)

    def pieces(say: Say, payload: bytes) -> Iterator[Frame]:
        nonlocal header
        payload, header = header + payload, b""
        if payload.startswith(b"RIFF") and fault.split:
            yield from inner.piece(say, payload[:7])
            payload = payload[7:]
        yield from inner.piece(say, payload)

    return Bent(inner, pieces, inner.end)


@spoil.register
def _(fault: Items, inner: Framing, say: Say, last: Say | None) -> Framing:
    names = [say.item, *(f"{say.item}.{number}" for number in range(2, fault.count + 1))]
    closing = [] if fault.close is None else [_closing(fault.close)]
    return Several(inner, names, [Pause(fault.delay_s), *closing])


@spoil.register
def _(fault: Silent, inner: Framing, say: Say, last: Say | None) -> Framing:
    return Bent(inner, lambda say, payload: (), inner.end)


@spoil.register
def _(fault: Late, inner: Framing, say: Say, last: Say | None) -> Framing:
    nobody = replace(say, item=_NOBODY, context=_NOBODY, named=True)
    other = (last if fault.of == "finished" else None) or nobody
    is_over = False

    def pieces(say: Say, payload: bytes) -> Iterator[Frame]:
        nonlocal is_over
        frames = list(inner.piece(say, payload))
        yield from frames[:1]
        if not is_over:
            is_over = True
            yield from inner.piece(other, payload[:_LATE_BYTES])
        yield from frames[1:]

    return Bent(inner, pieces, inner.end)


@spoil.register
def _(fault: BadBase64, inner: Framing, say: Say, last: Say | None) -> Framing:
    return _spoil_audio(inner, lambda message, at: f"{message[:at]}*!*!{message[at + 4 :]}")


@spoil.register
def _(fault: Big, inner: Framing, say: Say, last: Say | None) -> Framing:
    return _spoil_audio(inner, lambda message, at: message.ljust(fault.size_bytes))


@spoil.register
def _(fault: Double, inner: Framing, say: Say, last: Say | None) -> Framing:
    heard = bytearray()

    def pieces(say: Say, payload: bytes) -> Iterable[Frame]:
        heard.extend(payload)
        return inner.piece(say, payload)

    def end(say: Say) -> Iterator[Frame]:
        again = pybase64.b64encode_as_string(heard)
        for frame in inner.end(say):
            told: Any = msgspec.json.decode(frame.message) if isinstance(frame, Send) else {}
            if told.get("text"):
                yield Send(msgspec.json.encode(told | {"audio": again}).decode())
            else:
                yield frame

    return Bent(inner, pieces, end)


def _through(inner: Framing, change: Callable[[Iterable[Frame]], Iterable[Frame]]) -> Framing:
    """Change the messages of a framing, whatever they hold."""
    return Bent(
        inner,
        lambda say, payload: change(inner.piece(say, payload)),
        lambda say: change(inner.end(say)),
    )


def _spoil_audio(inner: Framing, spoiled: Callable[[str, int], str]) -> Framing:
    """Spoil the first message with audio in it, knowing where its base64 begins."""
    is_over = False

    def change(frames: Iterable[Frame]) -> Iterator[Frame]:
        nonlocal is_over
        for frame in frames:
            found = _AUDIO.search(frame.message) if isinstance(frame, Send) else None
            if isinstance(frame, Send) and found and not is_over:
                is_over = True
                yield Send(spoiled(frame.message, found.end()))
            else:
                yield frame

    return _through(inner, change)


def _riff_header(sample_rate_hz: int) -> bytes:
    """The header of a stream whose length was not known when it began."""
    unknown = 0xFFFFFFFF
    about = struct.pack("<HHIIHH", 1, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    return (
        struct.pack("<4sI8sI", b"RIFF", unknown, b"WAVEfmt ", 16)
        + about
        + struct.pack("<4sI", b"data", unknown)
    )
