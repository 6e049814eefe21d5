"""What is spoken for a script, letter by letter from where in the script it comes. Pure.

Cleaning changes what is spoken: marks of Markdown go, `$5` becomes words. Each change
is an Edit of the text as it stands, and a Rendering keeps the way back, so that a cut in
what is spoken is a cut in the script, and nothing of the script is lost between the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

Places = np.ndarray[tuple[int], np.dtype[np.int32]]


class Edit(NamedTuple):
    """``text[start:end]`` is spoken as *said*."""

    start: int
    end: int
    said: str


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A script and what is spoken for it.

    Attributes:
        begins, ends: Shape (len(spoken),): which part of the script each character stands
            for; None as long as nothing was changed. All characters of one replacement
            stand for the same part.
    """

    script: str
    spoken: str
    begins: Places | None = None
    ends: Places | None = None

    @classmethod
    def of(cls, script: str) -> Self:
        """As it is written."""
        return cls(script, script)

    def edited(self, edits: Iterable[Edit]) -> Rendering:
        """Change what is spoken.

        Args:
            edits: Of `spoken`, in ascending order, none within another.

        Raises:
            ValueError: they are not.
        """
        edits = [edit for edit in edits if self.spoken[edit.start : edit.end] != edit.said]
        if not edits:
            return self
        if any(second.start < first.end for first, second in pairwise(edits)):
            raise ValueError("edits that overlap")
        places = np.arange(len(self.spoken), dtype=np.int32)
        old_begins = places if self.begins is None else self.begins
        old_ends = places + 1 if self.ends is None else self.ends
        texts: list[str] = []
        begins: list[Places] = []
        ends: list[Places] = []
        at = 0
        for start, end, said in [*edits, Edit(len(self.spoken), len(self.spoken), "")]:
            texts += self.spoken[at:start], said
            begins.append(old_begins[at:start])
            ends.append(old_ends[at:start])
            first, last = self._part(old_begins, old_ends, start, end)
            begins.append(np.full(len(said), first, np.int32))
            ends.append(np.full(len(said), last, np.int32))
            at = end
        return Rendering(self.script, "".join(texts), np.concatenate(begins), np.concatenate(ends))

    def _part(self, begins: Places, ends: Places, start: int, end: int) -> tuple[int, int]:
        """Which part of the script ``spoken[start:end]`` stands for."""
        if start < end:
            return int(begins[start]), int(ends[end - 1])
        place = int(begins[start]) if start < len(begins) else len(self.script)
        is_within = 0 < start < len(begins) and ends[start - 1] > place
        return place, int(ends[start - 1]) if is_within else place

    def may_cut(self, at: int) -> bool:
        """Whether the text may be cut before ``spoken[at]``: not within a replacement."""
        if self.begins is None or self.ends is None or not 0 < at < len(self.spoken):
            return True
        if self.ends[at - 1] > self.begins[at]:
            return False
        # What was put in stands for no character: both ends of its part are one place.
        return bool(self.begins[at - 1] < self.ends[at])

    def spoken_at(self, place: int) -> int:
        """Where what is spoken for ``script[place:]`` begins."""
        if self.begins is None:
            return min(place, len(self.spoken))
        return int(np.searchsorted(self.begins, place))

    def script_at(self, at: int) -> int:
        """Where a cut before ``spoken[at]`` cuts the script.

        What is not spoken goes with what comes after it, as an opening mark does. All
        that a replacement stands for goes with the first part of it.
        """
        if at <= 0:
            return 0
        if at >= len(self.spoken):
            return len(self.script)
        return at if self.ends is None else int(self.ends[at - 1])
