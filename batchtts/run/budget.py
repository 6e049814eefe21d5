"""What a run may spend. Pure arithmetic.

Money is set aside before a script leaves, so what is spent and what is set aside
together never go beyond the limit, however many workers there are.
"""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING_USD = 1e-12


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
