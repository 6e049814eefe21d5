"""When the words of a text are spoken: an estimate, since no engine here tells. No I/O."""

from __future__ import annotations

import re

from batchtts.model import Word

_WORD = re.compile(r"\S+")


def spread(text: str, samples: int, sample_rate_hz: int) -> tuple[Word, ...]:
    """Spread the words of a text over its audio, as if every character took as long.

    White space takes as long as a letter, which is the truth for the tone engine:
    its times are exact. For speech they are off by some tenths of a second.

    Args:
        text: All that is spoken.
        samples: Of its audio.

    Returns:
        The words with what is written to them, such as ``$100`` or ``sea.``.
    """
    seconds = samples / sample_rate_hz
    return tuple(
        Word(word[0], seconds * word.start() / len(text), seconds * word.end() / len(text))
        for word in _WORD.finditer(text)
    )
