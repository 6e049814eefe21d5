"""Times of characters → times of words, as they come with pieces of audio. Pure.

Some providers time each character, from the beginning of the message that it
comes in, and may end a message in the middle of a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchtts.model import Word

_NOTHING_S = 1e-6  # less than anybody tells


@dataclass(slots=True)
class Reading:
    """How far one script has been heard: where in its audio, and in which word.

    Attributes:
        bytes_per_s: Of the audio; None if it is compressed, and what came is then
            as long as its last character says.
    """

    bytes_per_s: int | None
    _heard_s: float = 0.0
    _told_s: float = 0.0  # up to the end of the last character
    _text: str = ""
    _start_s: float = 0.0
    _end_s: float = 0.0

    def hear(self, payload: bytes) -> None:
        """Take note of audio; what is read next comes after it."""
        if self.bytes_per_s is None:
            self._heard_s = self._told_s
        else:
            self._heard_s += len(payload) / self.bytes_per_s

    def read(
        self, chars: Sequence[str], starts_ms: Sequence[float], spans_ms: Sequence[float]
    ) -> tuple[Word, ...]:
        """Return the words that are complete with these characters.

        Args:
            starts_ms: From the beginning of the audio that comes with them. Times
                that go on where the last ones ended count from that of the script.

        Raises:
            ValueError: there are not as many times as characters.
        """
        counts_on = bool(starts_ms) and 0.0 < self._told_s <= starts_ms[0] / 1000 + _NOTHING_S
        begins_s = 0.0 if counts_on else self._heard_s
        words: list[Word] = []
        for char, start_ms, span_ms in zip(chars, starts_ms, spans_ms, strict=True):
            start_s = begins_s + start_ms / 1000
            self._told_s = start_s + span_ms / 1000
            if char.isspace():
                words += self.rest()
            else:
                self._start_s = self._start_s if self._text else start_s
                self._end_s = self._told_s
                self._text += char
        return tuple(words)

    def rest(self) -> tuple[Word, ...]:
        """Return the word that was not complete, if there is one."""
        text, self._text = self._text, ""
        return (Word(text, self._start_s, self._end_s),) if text else ()
