"""Which words of a script were heard as which words of a transcript. Pure.

jiwer aligns the words; where sides differ, stretches are paired again by how they sound or
are spelled, several words against several where that is nearer: `every one` is `everyone`.
A text of any length is cut at passages that both sides have once, so that the time grows
with the length and not with its square.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product
from typing import Literal, NamedTuple

Kind = Literal["equal", "substituted", "deleted", "inserted", "forgiven"]

_AT_ONCE = 2000  # words that are aligned without looking for a place to cut
_MOST = 10_000  # words that are aligned at all without one
_PASSAGE = 6  # words that both sides must have once, in a row
_SMALL = 200  # pairs of words in a stretch that is looked at again
_BUDGET = 2000  # pairs that are looked at in all, or one for every two words
_SEVERAL = tuple(it for it in product(range(1, 4), repeat=2) if it != (3, 3))


class Piece(NamedTuple):
    """``script[start:end]`` was heard as ``heard[heard_start:heard_end]``."""

    kind: Kind
    start: int
    end: int
    heard_start: int
    heard_end: int


#: What it costs to hear the second words for the first; None on a side: nothing.
Cost = Callable[[Sequence[str], Sequence[str]], float]


def align(script: Sequence[str], heard: Sequence[str], cost: Cost) -> list[Piece]:
    """Pair the words of two texts, in order.

    Args:
        cost: What it costs to hear one run of words for another; either may be empty.

    Returns:
        Pieces that cover both sides. None is forgiven yet.
    """
    pieces: list[Piece] = []
    budget = max(_BUDGET, len(script) // 2)
    for first, other in pairwise(_cuts(script, heard)):
        block = script[first[0] : other[0]], heard[first[1] : other[1]]
        for piece in _differing(*block):
            at = _shifted(piece, first)
            pairs = (at.end - at.start) * (at.heard_end - at.heard_start)
            if at.kind == "equal" or not 0 < pairs <= min(_SMALL, budget):
                pieces.append(_named(at))
            else:
                budget -= pairs
                pieces += _paired(script, heard, at, cost)
    return merged(pieces)


def _shifted(piece: Piece, by: tuple[int, int]) -> Piece:
    kind, start, end, heard_start, heard_end = piece
    return Piece(kind, start + by[0], end + by[0], heard_start + by[1], heard_end + by[1])


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Make one of runs that are equal."""
    runs: list[Piece] = []
    for piece in pieces:
        if runs and piece.kind == runs[-1].kind == "equal":
            runs[-1] = runs[-1]._replace(end=piece.end, heard_end=piece.heard_end)
        else:
            runs.append(piece)
    return runs


def _cuts(script: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Places on both sides, in order, between which blocks are small."""
    cuts = [(0, 0)]
    ends = (len(script), len(heard))
    if max(ends) > _AT_ONCE:
        for place in _anchors(script, heard):
            if max(place[0] - cuts[-1][0], place[1] - cuts[-1][1]) > _AT_ONCE // 2:
                cuts.append(place)
    whole = [*cuts, ends]
    fine = [whole[0]]
    for (start, heard_start), (end, heard_end) in pairwise(whole):
        parts = -(-max(end - start, heard_end - heard_start) // _MOST) or 1
        fine += (
            (
                start + (end - start) * part // parts,
                heard_start + (heard_end - heard_start) * part // parts,
            )
            for part in range(1, parts + 1)
        )
    return fine


def _anchors(script: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Where passages begin that each side has once, the longest row of them in order."""
    places = _once(script)
    others = _once(heard)
    common = sorted((at, others[passage]) for passage, at in places.items() if passage in others)
    ends: list[int] = []  # the least end of a row of each length
    best: list[int] = []  # and which pair that is
    before: list[int] = []
    for number, (_, at) in enumerate(common):
        length = bisect_left(ends, at)
        before.append(best[length - 1] if length else -1)
        ends[length : length + 1] = [at]
        best[length : length + 1] = [number]
    row: list[tuple[int, int]] = []
    number = best[-1] if best else -1
    while number >= 0:
        row.append(common[number])
        number = before[number]
    return row[::-1]


def _once(words: Sequence[str]) -> dict[int, int]:
    """Passages that occur once, by their hash, and where."""
    passages = [hash(tuple(words[at : at + _PASSAGE])) for at in range(len(words) - _PASSAGE + 1)]
    counts = Counter(passages)
    return {passage: at for at, passage in enumerate(passages) if counts[passage] == 1}


def _differing(script: Sequence[str], heard: Sequence[str]) -> Iterator[Piece]:
    """Runs that are equal, and what is between them."""
    import jiwer

    if not script or not heard:
        if script or heard:
            yield Piece("substituted", 0, len(script), 0, len(heard))
        return
    aligned = jiwer.process_words(" ".join(script), " ".join(heard)).alignments[0]
    open_at: tuple[int, int] | None = None
    for chunk in aligned:
        start, heard_start = chunk.ref_start_idx, chunk.hyp_start_idx
        if chunk.type == "equal":
            if open_at is not None:
                yield Piece("substituted", open_at[0], start, open_at[1], heard_start)
                open_at = None
            yield Piece("equal", start, chunk.ref_end_idx, heard_start, chunk.hyp_end_idx)
        elif open_at is None:
            open_at = start, heard_start
    if open_at is not None:
        yield Piece("substituted", open_at[0], len(script), open_at[1], len(heard))


def _paired(
    script: Sequence[str], heard: Sequence[str], piece: Piece, cost: Cost
) -> Iterator[Piece]:
    """Pair the words of two runs that differ, each with what is nearest."""
    said, other = script[piece.start : piece.end], heard[piece.heard_start : piece.heard_end]
    for start, end, heard_start, heard_end in _nearest(said, other, cost):
        is_equal = said[start:end] == other[heard_start:heard_end]
        pair = Piece("equal" if is_equal else "substituted", start, end, heard_start, heard_end)
        yield _named(_shifted(pair, (piece.start, piece.heard_start)))


def _named(piece: Piece) -> Piece:
    """A piece with nothing on a side is an insertion or a deletion."""
    if piece.start == piece.end:
        return piece._replace(kind="inserted")
    return piece._replace(kind="deleted") if piece.heard_start == piece.heard_end else piece


def _nearest(
    said: Sequence[str], other: Sequence[str], cost: Cost
) -> list[tuple[int, int, int, int]]:
    """The cheapest way to pair runs of up to three words."""
    rows, columns = len(said), len(other)
    best = {(0, 0): 0.0}
    came: dict[tuple[int, int], tuple[int, int]] = {}
    moves = ((1, 0), (0, 1), *_SEVERAL)
    for row, column in product(range(rows + 1), range(columns + 1)):
        for down, right in moves:
            at = row - down, column - right
            if at not in best:
                continue
            total = best[at] + cost(said[at[0] : row], other[at[1] : column])
            # The cheaper of two that cost the same pairs fewer words at a time.
            total += 0.01 * (down + right > 2)
            if total < best.get((row, column), float("inf")):
                best[row, column], came[row, column] = total, at
    path = [(rows, columns)]
    while path[-1] != (0, 0):
        path.append(came[path[-1]])
    steps = pairwise(reversed(path))
    return [(start, end, heard, heard_end) for (start, heard), (end, heard_end) in steps]
