"""Word timings as a provider tells them, and what they say about completeness. Pure.

A provider that times its words says with them how far it has come in a script.
Both sides are compared by their letters and digits alone, so that spacing,
punctuation and case do not matter. A provider that reads ``$100`` as "one
hundred dollars" and says so cannot be compared; then the timings judge nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from batchtts.model import Word

_MARKUP = re.compile(r"<[^<>]*>|(?<=\])\([^()\s]*\)")  # tags, and where links lead


# Two letters or more, maybe with an apostrophe or a hyphen inside and marks around.
_PLAIN = re.compile(r"[^\w]*[A-Za-z][A-Za-z'’-]*[A-Za-z][^\w]*")


class Coverage:
    """How much of one script its word timings account for; markup is not spoken."""

    def __init__(self, script: str) -> None:
        self._script = _MARKUP.sub(" ", script)
        self._letters = _letters(self._script)
        self._heard: dict[str | None, list[str]] = {}  # by item, in the order of their beginnings

    def add(self, item: str | None, words: Sequence[Word]) -> None:
        """Take in the words of an item, in order."""
        self._heard.setdefault(item, []).extend(_letters(word.text) for word in words)

    def echo(self, item: str | None, text: str) -> None:
        """Take in the text of a part of an item, in order."""
        self._heard.setdefault(item, []).append(_letters(text))

    @property
    def items(self) -> frozenset[str | None]:
        """The items that words were timed in."""
        return frozenset(self._heard)

    @property
    def is_whole(self) -> bool:
        """Whether every letter of the script was timed."""
        return bool(self._letters) and self._so_far() == self._letters

    def missing(self) -> str | None:
        """What the script has after the last word that was timed.

        None if that cannot be told: no word was timed, the provider spells what
        it says in its own way, or there are no plain words in the rest.
        """
        heard = self._so_far()
        if not heard or not self._letters.startswith(heard):
            return None
        rest = _rest(self._script, len(heard))
        if "`" in rest:
            return None  # code, which some leave out
        return rest if any(map(_is_plain, rest.split())) else None

    def _so_far(self) -> str:
        return "".join(letters for item in self._heard.values() for letters in item)


def _letters(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded))


def _rest(script: str, letters: int) -> str:
    """The words of *script* that begin after its first *letters* letters and digits."""
    seen = 0
    words = script.split()
    for number, word in enumerate(words):
        if seen >= letters:
            return " ".join(words[number:])
        seen += len(_letters(word))
    return ""


def _is_plain(word: str) -> bool:
    """A word that nobody spells in another way; an address is none."""
    return _PLAIN.fullmatch(word) is not None
