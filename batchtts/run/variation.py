"""What is done otherwise when a row is spoken again because it was not good."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Stage = Literal["seed", "boundaries", "other"]

_SHORTEST_CHARS = 40  # of a segment: shorter ones lose their melody


@dataclass(frozen=True, slots=True)
class Variation:
    """How a take differs from the ones before.

    Attributes:
        stage: Another seed, where the provider takes one; other boundaries between
            segments; or another voice.
        number: Of the take, from 2.
    """

    stage: Stage
    number: int

    @classmethod
    def after(cls, takes: int, *, has_other: bool) -> Variation:
        """How a row is spoken that was spoken so often.

        Args:
            has_other: Whether the job names another voice or provider.
        """
        stages: dict[int, Stage] = {1: "seed", 2: "boundaries"}
        last: Stage = "other" if has_other else "seed"
        return cls(stages.get(takes, last), takes + 1)

    def segment_chars(self, characters: int, most: int) -> int:
        """The limit of a segment of a script with so many characters."""
        if self.stage != "boundaries":
            return most
        return min(most, max(_SHORTEST_CHARS, math.ceil(characters / 2) + 1))
