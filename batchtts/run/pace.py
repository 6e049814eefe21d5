"""How much at once: the shared limits of all workers. Pure arithmetic, no clock.

The limit on requests in flight is cut when the provider refuses and grows by
one for every window of successes; an error never speeds it up.
"""

from __future__ import annotations

from dataclasses import dataclass

CUT = 0.7  # what is left of the limit after a refusal
CUT_EVERY_S = 2.0  # refusals closer together than this are one refusal


@dataclass(slots=True)
class InFlight:
    """Requests that may be in flight at the provider at once.

    Attributes:
        ceiling: What the user or the provider allows; never exceeded.
        limit: What is allowed now, at least 1.
    """

    ceiling: int
    limit: int = 0
    _successes: int = 0
    _cut_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.limit = self.limit or self.ceiling

    def refused(self, now: float) -> None:
        """The provider has too much of us."""
        self._successes = 0
        if now - self._cut_at >= CUT_EVERY_S:
            self._cut_at = now
            self.limit = max(1, int(self.limit * CUT))

    def succeeded(self) -> None:
        """A request was answered in full."""
        self._successes += 1
        if self._successes >= self.limit and self.limit < self.ceiling:
            self._successes = 0
            self.limit += 1


@dataclass(slots=True)
class Breaker:
    """Tells a provider that is down from one that fails now and then.

    It breaks after *failures* attempts in a row, by any worker, with no success
    between them, over at least *patience_s* seconds. Until the first success
    *first_patience_s* is enough, and where nobody answers at all one attempt
    is: a wrong address should be told soon.
    """

    failures: int
    patience_s: float = 120.0
    first_patience_s: float = 10.0
    _in_a_row: int = 0
    _since: float = 0.0
    _succeeded: bool = False

    @property
    def has_succeeded(self) -> bool:
        """Whether anything ever went well."""
        return self._succeeded

    @property
    def in_a_row(self) -> int:
        """Attempts that failed since the last success."""
        return self._in_a_row

    @property
    def is_closed(self) -> bool:
        """Whether the last attempt that ended was a success, or there was none."""
        return self._in_a_row == 0

    def lasting_s(self, now: float) -> float:
        """Seconds since the first of the failures in a row began."""
        return now - self._since if self._in_a_row else 0.0

    def failed(
        self, began_at: float, now: float, *, unreachable: bool = False, busy: bool = False
    ) -> bool:
        """Count a failed attempt; True if the provider must be taken for down.

        Args:
            began_at: When the attempt began, by the same clock as *now*.
            unreachable: No session came about.
            busy: The provider answers, and refuses for now.
        """
        if self._in_a_row == 0:
            self._since = began_at
        self._in_a_row += 1
        is_first = not self._succeeded and not busy
        enough = 1 if is_first and unreachable else self.failures
        patience_s = min(self.first_patience_s, self.patience_s) if is_first else self.patience_s
        return self._in_a_row >= enough and now - self._since >= patience_s

    def succeeded(self) -> None:
        """Somebody was answered."""
        self._in_a_row = 0
        self._succeeded = True
