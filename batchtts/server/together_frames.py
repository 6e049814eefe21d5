"""What Together's side says: its messages, and speech put into them. No I/O.

Source: Together's WebSocket guide and API reference for text to speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import pybase64

from batchtts.server.conversation import Frame, Framing, Say, Send
from batchtts.server.timings import spread

_DELTA = 16 * 1024  # bytes of PCM in a message


class Speech:
    """Deltas, and the `done` of their item."""

    def piece(self, say: Say, payload: bytes) -> Iterator[Frame]:
        """Put a piece of PCM into deltas."""
        # Written by hand: a JSON library would look for characters to escape in
        # megabytes of base64.
        head = f'{{"type":"conversation.item.audio_output.delta","item_id":"{say.item}",'
        tail = f',"context_id":{to_json(say.context)}}}' if say.named else "}"
        view = memoryview(payload)
        for start in range(0, len(view), _DELTA):
            delta = pybase64.b64encode_as_string(view[start : start + _DELTA])
            yield Send(f'{head}"delta":"{delta}"{tail}')

    def end(self, say: Say) -> Iterator[Frame]:
        """Say that the item is done."""
        done = {"type": "conversation.item.audio_output.done", "item_id": say.item}
        yield message(done, _name(say))

    def cannot_speak(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that the text is at fault."""
        yield failed("invalid_text", reason, _name(say))

    def broken(self, say: Say, reason: str) -> Iterator[Frame]:
        """Say that the engine is at fault."""
        yield failed("internal_error", reason, _name(say), kind="server_error")


class Timed:
    """The same, with the times of the words of each item.

    Nobody has written down where they come; a client must take them before the
    `done` as well as after it.
    """

    def __init__(self, inner: Framing, where: Literal["before", "after"]) -> None:
        self._inner = inner
        self._where = where
        self._heard_bytes: dict[str, int] = {}  # by item

    def piece(self, say: Say, payload: bytes) -> Iterable[Frame]:
        """Know how long the audio is."""
        self._heard_bytes[say.item] = self._heard_bytes.get(say.item, 0) + len(payload)
        return self._inner.piece(say, payload)

    def end(self, say: Say) -> Iterator[Frame]:
        """Say when the words were, and that the item is done."""
        samples = self._heard_bytes.pop(say.item, 0) // 2
        times = [_word_timestamps(say, samples)] if samples else []
        done = list(self._inner.end(say))
        yield from [*times, *done] if self._where == "before" else [*done, *times]

    def cannot_speak(self, say: Say, reason: str) -> Iterable[Frame]:
        """Say so."""
        return self._inner.cannot_speak(say, reason)

    def broken(self, say: Say, reason: str) -> Iterable[Frame]:
        """Say so."""
        return self._inner.broken(say, reason)


def _word_timestamps(say: Say, samples: int) -> Send:
    words = spread(say.text, samples, say.sample_rate_hz)
    told = {
        "type": "conversation.item.word_timestamps",
        "item_id": say.item,
        "words": [word.text for word in words],
        "start_seconds": [round(word.start_s, 3) for word in words],
        "end_seconds": [round(word.end_s, 3) for word in words],
    }
    return message(told, _name(say))


def message(told: dict[str, Any], context: str | None = None) -> Send:
    """A message that belongs to a context, or to none that has a name."""
    return Send(to_json(told if context is None else told | {"context_id": context}))


def failed(
    code: str,
    reason: str,
    context: str | None = None,
    *,
    kind: str = "invalid_request_error",
) -> Send:
    """A `conversation.item.tts.failed`."""
    error = {"message": reason, "type": kind, "param": None, "code": code}
    return message({"type": "conversation.item.tts.failed", "error": error}, context)


def to_json(value: object) -> str:
    """As all messages are written."""
    return msgspec.json.encode(value).decode()


def _name(say: Say) -> str | None:
    return say.context if say.named else None
