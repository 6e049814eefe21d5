"""What a run may spend. Pure arithmetic.

Money is set aside before a script leaves, so what is spent and what is set aside
together never go beyond the limit, however many workers there are.
"""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING_USD = 1e-12
_DIGITS = 12  # of a dollar, behind the point


@dataclass(frozen=True, slots=True)
class Spend:
    """Characters that somebody charges for, and their list price.

    Attributes:
        unpriced: How many of them have none that is known.
    """

    characters: int = 0
    usd: float = 0.0
    unpriced: int = 0

    @property
    def cost_usd(self) -> float | None:
        """The price of all; None if it is not known."""
        return None if self.unpriced else round(self.usd, _DIGITS)

    def plus(self, characters: int, cost_usd: float | None) -> Spend:
        """With so many more (or fewer) characters, which cost so much."""
        unpriced = characters if cost_usd is None else 0
        usd = self.usd + (cost_usd or 0.0)
        return Spend(self.characters + characters, usd, self.unpriced + unpriced)

    def minus(self, other: Spend) -> Spend:
        """Without those of another."""
        return Spend(
            self.characters - other.characters,
            self.usd - other.usd,
            self.unpriced - other.unpriced,
        )


@dataclass(slots=True)
class Budget:
    """Dollars that may be spent, were spent, and are set aside for what is in flight.

    Attributes:
        most_usd: None if there is no limit.
    """

    most_usd: float | None = None
    spent_usd: float = 0.0
    reserved_usd: float = 0.0

    def reserve(self, cost_usd: float) -> bool:
        """Set some aside; False if there is not so much left, and then nothing is."""
        needed = self.spent_usd + self.reserved_usd + cost_usd
        if self.most_usd is not None and needed > self.most_usd + _ROUNDING_USD:
            return False
        self.reserved_usd += cost_usd
        return True

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Of what was set aside, so much was spent; the rest is free again."""
        self.reserved_usd -= reserved_usd
        self.spent_usd += spent_usd
