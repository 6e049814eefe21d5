"""One piece of speech as several items. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from batchtts.server.conversation import Frame, Framing, Say


class Several:
    """A framing that holds an item back until it is whole, and sends it as several.

    The text and the audio are cut at the same proportion, the text behind white
    space where there is some.
    """

    def __init__(self, inner: Framing, names: Sequence[str], between: Sequence[Frame] = ()) -> None:
        """Cut one item.

        Args:
            names: Of the items; there are fewer if there is too little to cut.
            between: What comes between two of them.
        """
        self._inner = inner
        self._names = names
        self._between = between
        self._pcm = bytearray()

    def piece(self, say: Say, payload: bytes) -> Iterator[Frame]:
        """Keep a piece."""
        self._pcm += payload
        yield from ()

    def end(self, say: Say) -> Iterator[Frame]:
        """Send all of it."""
        samples = len(self._pcm) // 2
        texts = cut_text(say.text, min(len(self._names), samples))
        at = 0
        for number, text in enumerate(texts):
            if number:
                yield from self._between
            part = replace(say, item=self._names[number], text=text)
            begin, at = samples * at // len(say.text), at + len(text)
            until = samples * at // len(say.text)
            yield from self._inner.piece(part, bytes(self._pcm[2 * begin : 2 * until]))
            yield from self._inner.end(part)

    def cannot_speak(self, say: Say, reason: str) -> Iterable[Frame]:
        """Say so, and nothing of what was kept."""
        return self._inner.cannot_speak(say, reason)

    def broken(self, say: Say, reason: str) -> Iterable[Frame]:
        """Say so, and nothing of what was kept."""
        return self._inner.broken(say, reason)


def cut_text(text: str, count: int) -> list[str]:
    """Cut *text* into at most *count* parts of about the same length; they join to it."""
    bounds, at = [0], 0
    for number in range(1, min(count, len(text))):
        goal = max(len(text) * number // count, at + 1)
        limit = len(text) * (number + 1) // count
        spaces = [end for end in range(at + 1, limit) if text[end - 1].isspace()]
        at = min(spaces, key=lambda end: abs(end - goal), default=goal)
        bounds.append(at)
    return [text[begin:end] for begin, end in zip(bounds, [*bounds[1:], len(text)], strict=True)]
