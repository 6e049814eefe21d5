"""How near two rows of phonemes are, and where something is missing between them. Pure.

Phonemes are single characters. What a recognizer mistakes for one another costs little,
and so does what speakers swallow; a gap costs less the longer it is than gaps here and
there, so that a missing syllable is found in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

_OPEN = 0.6  # for a gap to begin
_WEAK = frozenset("əɪʊhɐᵻᵊ")
_LIGHT = 0.4  # for a phoneme to be missing that is often swallowed
_VOWELS = frozenset("AIOWYaeiouæɑɒɔəɛɜɪʊʌɐᵊᵻ")

_NO_VOWELS = dict.fromkeys(map(ord, _VOWELS))

#: Phonemes that are mistaken for one another, and how much that costs.
_NEAR = (
    (0.0, "ə ɐ ᵊ ʌ"), (0.0, "t ɾ T ʔ"), (0.1, "ɪ ᵻ ə ɐ ᵊ ʌ"), (0.1, "ɑ ɔ ɒ"), (0.1, "ɜ ə"),
    (0.2, "i ɪ"), (0.2, "u ʊ"), (0.2, "ɛ æ"), (0.2, "ɛ ɪ"), (0.2, "ɛ A"), (0.2, "O ɔ"),
    (0.2, "ʊ ə"), (0.2, "ɑ ə"), (0.2, "w ʍ"), (0.2, "j i"), (0.3, "w u"),
    (0.3, "t d"), (0.3, "p b"), (0.3, "k ɡ"), (0.3, "s z"), (0.3, "f v"), (0.3, "θ ð"),
    (0.3, "ʃ ʒ"), (0.3, "ʧ ʤ"), (0.3, "m n ŋ"), (0.4, "θ f"), (0.4, "ð v"), (0.4, "θ t"),
    (0.4, "ð d"), (0.4, "s ʃ"), (0.4, "z ʒ"), (0.4, "ʧ ʃ"), (0.4, "ʤ ʒ"), (0.4, "t ʧ"),
    (0.4, "d ʤ"), (0.4, "l ɹ w"), (0.5, "v b"), (0.5, "s θ"),
)  # fmt: skip


@cache
def _costs() -> dict[tuple[str, str], float]:
    costs: dict[tuple[str, str], float] = {}
    for first, second in product(_VOWELS, repeat=2):
        costs[first, second] = 0.5
    for cost, group in reversed(_NEAR):
        for first, second in product(group.split(), repeat=2):
            costs[first, second] = cost
    return costs


def replacing(said: str, heard: str) -> float:
    """What it costs to hear one phoneme for another."""
    return 0.0 if said == heard else _costs().get((said, heard), 1.0)


def skipping(phoneme: str) -> float:
    """What it costs that a phoneme is only on one side."""
    return _LIGHT if phoneme in _WEAK else 1.0


def distance(said: Sequence[str], heard: Sequence[str]) -> float:
    """The least cost to make one of the other."""
    costs = _costs()
    skips = [skipping(it) for it in heard]
    row = [0.0]
    for skip in skips:
        row.append(row[-1] + skip)
    for phoneme in said:
        skip, before = skipping(phoneme), row
        row = [before[0] + skip]
        for place, other in enumerate(heard):
            same = 0.0 if phoneme == other else costs.get((phoneme, other), 1.0)
            row.append(
                min(before[place] + same, before[place + 1] + skip, row[place] + skips[place])
            )
    return row[-1]


def are_alike(said: str, heard: str, tolerance: float) -> bool:
    """Whether the consonants are the same and the vowels differ no more than that."""
    if abs(len(said) - len(heard)) > 1:
        return False
    bones, others = (it.translate(_NO_VOWELS) for it in (said, heard))
    return len(bones) == len(others) and (
        distance(bones, others) == 0 and distance(said, heard) <= tolerance
    )


class Step(NamedTuple):
    """A stretch of an alignment: so many phonemes said, so many heard.

    One of both is 0 in a gap; otherwise they are equal in number.
    """

    said: int
    heard: int
    cost: float


def align(said: Sequence[str], heard: Sequence[str]) -> list[Step]:
    """Align with gaps as long and as few as may be, one step for each phoneme."""
    costs, far = _costs(), float("inf")
    rows, columns = len(said), len(heard)
    # Three tables: the last step was a pair, a phoneme missing, one too many.
    pair = [[far] * (columns + 1) for _ in range(rows + 1)]
    less = [[far] * (columns + 1) for _ in range(rows + 1)]
    more = [[far] * (columns + 1) for _ in range(rows + 1)]
    pair[0][0] = 0.0
    for row in range(rows + 1):
        for column in range(columns + 1):
            if row and column:
                one, other = said[row - 1], heard[column - 1]
                cost = 0.0 if one == other else costs.get((one, other), 1.0)
                at = row - 1, column - 1
                pair[row][column] = cost + min(t[at[0]][at[1]] for t in (pair, less, more))
            if row:
                cost, up = skipping(said[row - 1]), row - 1
                less[row][column] = cost + min(
                    less[up][column], _OPEN + pair[up][column], _OPEN + more[up][column]
                )
            if column:
                cost, left = skipping(heard[column - 1]), column - 1
                more[row][column] = cost + min(
                    more[row][left], _OPEN + pair[row][left], _OPEN + less[row][left]
                )
    return _traced(said, heard, (pair, less, more))


def _traced(
    said: Sequence[str], heard: Sequence[str], tables: tuple[list[list[float]], ...]
) -> list[Step]:
    row, column = len(said), len(heard)
    moves = ((1, 1), (1, 0), (0, 1))
    kind = min(range(3), key=lambda it: tables[it][row][column])
    steps: list[Step] = []
    while row or column:
        down, right = moves[kind]
        row, column = row - down, column - right
        match kind:
            case 0:
                cost = replacing(said[row], heard[column])
            case 1:
                cost = skipping(said[row])
            case _:
                cost = skipping(heard[column])
        steps.append(Step(down, right, cost))
        here = kind
        kind = min(
            range(3),
            key=lambda it: tables[it][row][column] + (_OPEN if here and it != here else 0.0),
        )
    return steps[::-1]
