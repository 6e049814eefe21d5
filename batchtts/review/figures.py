"""What there is to judge of a script and what was heard of it. Pure.

A wrong word may be one wrong sound or a lost half sentence: so what differs is measured in
phonemes, or in letters, and in the longest stretch that is missing in one piece.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from batchtts.review import sounds
from batchtts.review.alignment import Piece
from batchtts.review.likeness import Likeness

_MOST_CELLS = 12_000  # of a table of phonemes; larger stretches are measured by their length
_MATCHED = 0.5  # taken off a gap for a phoneme in it that was heard
_OTHER = 0.25  # or another in its place
_BRIDGE = 3  # units of a word that is equal by chance between two that differ
_SHORT_PASSAGE = 3  # words in a row that are a passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What there is to judge of a comparison.

    A unit is a phoneme where phonemes are known, and a letter where not. A stretch that
    is missing is counted net: what was heard instead is taken off.

    Attributes:
        words, units: Of the script.
        heard: Words of the transcript.
        wer, cer, per: Errors per word, character and phoneme of the script; None: not known.
        found: Share of the script's units that were heard, from 0 to 1.
        missing_start, missing_middle, missing_end: Units of the longest stretch that is
            missing there.
        added: Units of the longest stretch that is not in the script.
        repeated: Words of the longest passage that was heard once too often.
        audio_s: How long it plays, for whoever knows it.
    """

    words: int
    heard: int
    units: int
    wer: float
    cer: float
    per: float | None
    found: float
    missing_start: float
    missing_middle: float
    missing_end: float
    added: float
    repeated: int
    audio_s: float | None = None

    @property
    def pace(self) -> float | None:
        """Units of the script per second of audio; None where that is not known."""
        return self.units / self.audio_s if self.audio_s else None

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard of words that are there."""
        return self.words > 0 and not self.heard


def measure(
    said: Sequence[str], heard: Sequence[str], pieces: Sequence[Piece], likeness: Likeness
) -> Figures:
    """Measure what differs between the words of a script and those that were heard."""
    places = [0, *accumulate(len(likeness.units([word])) for word in said)]
    regions = list(_regions(pieces, places))
    gaps = _Gaps(places[-1])
    for region in regions:
        first, last = region[0], region[-1]
        start = places[first.start]
        others = likeness.units(heard[first.heard_start : last.heard_end])
        gaps.note(start, likeness.units(said[first.start : last.end]), others)
    words, characters, phonemes = _errors(said, heard, regions, likeness)
    per = phonemes / max(places[-1], 1) if likeness.has_phonemes else None
    return Figures(
        words=len(said),
        heard=len(heard),
        units=places[-1],
        wer=words / max(len(said), 1),
        cer=characters / max(len(" ".join(said)), 1),
        per=per,
        found=1 - gaps.lost / places[-1] if places[-1] else 1.0,
        missing_start=gaps.missing["start"],
        missing_middle=gaps.missing["middle"],
        missing_end=gaps.missing["end"],
        added=gaps.added,
        repeated=_repeated(said, heard),
    )


def _regions(pieces: Sequence[Piece], places: Sequence[int]) -> Iterator[list[Piece]]:
    """Stretches that differ; a short word that is equal between two may be so by chance."""
    region: list[Piece] = []
    for piece in pieces:
        is_right = piece.kind in ("equal", "forgiven")
        if not is_right or (region and places[piece.end] - places[piece.start] <= _BRIDGE):
            region.append(piece)
        elif region:
            yield _trimmed(region)
            region = []
    if region:
        yield _trimmed(region)


def _trimmed(region: list[Piece]) -> list[Piece]:
    while region[-1].kind in ("equal", "forgiven"):
        region.pop()
    return region


def _errors(
    said: Sequence[str], heard: Sequence[str], regions: list[list[Piece]], likeness: Likeness
) -> tuple[int, int, int]:
    """Wrong words, characters and phonemes: what is forgiven was heard as it was written."""
    import jiwer

    if not regions:
        return 0, 0, 0
    refs = [said[it[0].start : it[-1].end] for it in regions]
    hyps = [
        [
            word
            for piece in region
            for word in (
                said[piece.start : piece.end]
                if piece.kind in ("equal", "forgiven")
                else heard[piece.heard_start : piece.heard_end]
            )
        ]
        for region in regions
    ]
    texts = [" ".join(it) for it in refs], [" ".join(it) for it in hyps]
    units = [likeness.units(it) for it in refs], [likeness.units(it) for it in hyps]
    found = (
        jiwer.process_words(*texts),
        jiwer.process_characters(*texts),
        jiwer.process_characters(*units),
    )
    words, characters, phonemes = (it.substitutions + it.deletions + it.insertions for it in found)
    return words, characters, phonemes


class _Gaps:
    """The longest stretches that are missing or too many, in units."""

    def __init__(self, units: int) -> None:
        self._units = units
        self.missing = {"start": 0.0, "middle": 0.0, "end": 0.0}
        self.added = 0.0
        self.lost = 0.0

    def note(self, start: int, said: str, heard: str) -> None:
        """A stretch that differs, and where it begins."""
        if len(said) * len(heard) > _MOST_CELLS:
            steps = [sounds.Step(1, 1, 1.0)] * min(len(said), len(heard))
            steps += [sounds.Step(1, 0, 1.0)] * (len(said) - len(heard))
            steps += [sounds.Step(0, 1, 1.0)] * (len(heard) - len(said))
        else:
            steps = sounds.align(said, heard)
        self.lost += sum(step.cost if step.heard else 1.0 for step in steps if step.said)
        amount, begin, end = _densest(steps, missing=True)
        place = "middle"
        if start + begin <= 1:
            place = "start"
        elif start + end >= self._units - 1:
            place = "end"
        self.missing[place] = max(self.missing[place], amount)
        self.added = max(self.added, _densest(steps, missing=False)[0])


def _densest(steps: Sequence[sounds.Step], *, missing: bool) -> tuple[float, int, int]:
    """The stretch with the most that is missing, net, and where in what was said it is."""
    best, now = 0.0, 0.0
    begin = end = since = at = 0
    for step in steps:
        if step.said and step.heard:
            now -= _MATCHED if step.cost < 0.5 else _OTHER
        else:
            now += step.cost if bool(step.said) is missing else -step.cost
        at += step.said
        if now <= 0:
            now, since = 0.0, at
        elif now > best:
            best, begin, end = now, since, at
    return best, begin, end


def _repeated(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words of the longest passage that was heard more often than it is in the script."""
    size = min(_SHORT_PASSAGE, len(said))
    if not size or len(heard) <= size:
        return 0
    once = Counter(zip(*(said[by:] for by in range(size)), strict=False))
    seen: Counter[tuple[str, ...]] = Counter()
    longest = run = 0
    for passage in zip(*(heard[by:] for by in range(size)), strict=False):
        seen[passage] += 1
        run = run + 1 if 0 < once[passage] < seen[passage] else 0
        longest = max(longest, run)
    return longest + size - 1 if longest else 0
