"""How alike words are: by their phonemes, or by their letters where those are not known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from batchtts.review import sounds
from batchtts.text import english

#: How a word sounds: one character for each phoneme, without marks of stress.
Phonemize = Callable[[str], str]

_WEAK_VOWEL = 0.4  # cost of one that is missing, or of a few that are near
_SAME_NUMBER = 0.8  # units of it that must be heard at least


class Likeness:
    """Compares runs of words of one language; remembers what it has compared."""

    def __init__(self, phonemize: Phonemize | None, *, is_english: bool) -> None:
        self._phonemize = phonemize
        self._is_english = is_english
        self._costs: dict[tuple[str, str], float] = {}

    @property
    def has_phonemes(self) -> bool:
        """Whether units are phonemes, and not letters."""
        return self._phonemize is not None

    def units(self, words: Sequence[str]) -> str:
        """The phonemes of words, or their letters."""
        if self._phonemize is None:
            return _letters(words)
        return "".join(self._phonemize(word) or word for word in words)

    def cost(self, said: Sequence[str], heard: Sequence[str]) -> float:
        """What it costs to hear some words for others, in units."""
        if said == heard:
            return 0.0
        pair = self.units(said), self.units(heard)
        cost = self._costs.get(pair)
        if cost is None:
            is_near = self.forgives(said, heard)
            cost = self._costs[pair] = 0.1 if is_near else sounds.distance(*pair)
        return cost

    def forgives(self, said: Sequence[str], heard: Sequence[str]) -> bool:
        """Whether two runs of words are the same to the ear, or mean the same."""
        if not said or not heard:
            return False
        if _letters(said) == _letters(heard):
            return True
        if self._is_english and (
            english.meaning(said) == english.meaning(heard) or self._is_same_number(said, heard)
        ):
            return True
        return self._phonemize is not None and sounds.are_alike(
            self.units(said), self.units(heard), _WEAK_VOWEL
        )

    def _is_same_number(self, said: Sequence[str], heard: Sequence[str]) -> bool:
        """Whether the digits are the same, and no hundred or thousand is missing."""
        if not self.are_numbers(said, heard) or not english.same_number(said, heard):
            return False
        return len(self.units(heard)) >= _SAME_NUMBER * len(self.units(said))

    def are_numbers(self, said: Sequence[str], heard: Sequence[str]) -> bool:
        """Whether all of these are words of which numbers are made."""
        return self._is_english and english.NUMBERS.issuperset((*said, *heard))


def _letters(words: Sequence[str]) -> str:
    return "".join(words).replace("'", "")
