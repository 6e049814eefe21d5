"""How much at once: the shared limits of all workers. Pure arithmetic, no clock.

What a refusal means depends on when its request left, and how many were in flight with
it. More than went well before: a step too far, and one less is right. As many as went
well before: chance, until it happens again at once; then the provider takes less than it
did, and the limit is halved until something is accepted. Up to what was refused each success
then lets in one more, so that a cut is soon made good. There it stays; only a row of
successes, longer each time, tries one more. An error never speeds anything up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Refusals that are no chance any more, if they are among twice as many requests in a row.
IN_DOUBT, IN_DOUBT_OF_MANY, MANY = 2, 3, 32

#: Share of requests that may be refused by chance; more than that, and one less is sent.
CHANCE = 0.01

#: Successes that prove a number in flight to be good; as many as the number, where it is less.
PROOF = 48

#: Successes after which one more than what is known to be good is tried: at first, at most,
#: and at most for each that may be in flight.
PROBE, PROBE_MOST, PROBE_MOST_EACH = 64, 1024, 64

#: Seconds without any request once a lone one was refused: at first, at most.
PAUSE_S, PAUSE_MOST_S = 0.5, 4.0

#: Refusals in a row that are enough, however many workers there are: most of them wait.
REFUSALS = 20


@dataclass(frozen=True, slots=True)
class Turn:
    """When a request left.

    Attributes:
        number: Among all of the run, from 1.
        in_flight: Requests at the provider, this one among them.
    """

    number: int
    in_flight: int


@dataclass(slots=True)
class InFlight:
    """Requests that may be in flight at the provider at once.

    Attributes:
        ceiling: What the user or the provider allows; never exceeded.
        limit: What is allowed now, at least 1.
    """

    ceiling: int
    limit: int = 0
    _sent: int = 0
    _cut_at: int = 0  # the last request before the last cut; what it meets is old news
    _goes_well: bool = False  # something went well since then
    _good: int = 0  # in flight, proven since the last cut
    _bad: int | None = None  # the fewest in flight that were refused since the last cut
    _proofs: int = 0
    _proven: int = 0  # what they prove
    _successes: int = 0  # since there is nothing left to do but to try one more
    _patience: int = PROBE  # and how many of them it takes
    _in_doubt: list[int] = field(default_factory=list)
    _by_chance: float = 0.0  # refusals lately
    _alone: int = 0  # refusals in a row of a request that was alone

    def __post_init__(self) -> None:
        self.limit = min(self.limit or self.ceiling, self.ceiling)
        self._begin_proof()

    @property
    def learned(self) -> int | None:
        """What the provider takes, if that is less than is allowed and is proven."""
        is_known = self._bad is not None and self._good >= self.limit
        return self.limit if is_known and self.limit < self.ceiling else None

    def send(self, in_flight: int) -> Turn:
        """A request is about to leave; so many are in flight with it."""
        self._sent += 1
        self._by_chance *= 1 - 1 / self._lately
        return Turn(self._sent, in_flight)

    def succeeded(self, turn: Turn, *, is_full: bool) -> None:
        """A request was answered in full.

        Args:
            is_full: Whether as many are in flight as may be. If not, it is not the
                limit that keeps them few, and there is no need for more.
        """
        if turn.number <= self._cut_at:
            return
        self._goes_well, self._alone = True, 0
        if turn.in_flight > self._good:
            self._prove(turn.in_flight)
        if is_full and self.limit < self.ceiling:
            self._grow()

    def refused(self, turn: Turn, still_in_flight: int) -> float:
        """The provider has too much of us; return seconds in which nothing should be sent."""
        self._begin_proof()
        number, in_flight = turn.number, turn.in_flight
        if number <= self._cut_at:
            self.limit = max(1, min(self.limit, still_in_flight))
        elif self._is_falling:
            return self._cut(in_flight)
        elif self._bad is not None and in_flight >= self._bad > 1:
            self._step_back(self._bad)
        elif self._is_certain(number):
            return self._cut(in_flight)
        elif self._goes_well and in_flight > self._good:
            self._step_back(in_flight)
        else:
            self._bear()
        return 0.0

    @property
    def _is_falling(self) -> bool:
        return self._cut_at > 0 and not self._goes_well

    def _begin_proof(self) -> None:
        self._proofs, self._proven = 0, self.ceiling

    def _prove(self, in_flight: int) -> None:
        self._proofs += 1
        self._proven = min(self._proven, in_flight)
        if self._proofs >= min(self.limit, PROOF):
            self._good = self._proven
            self._begin_proof()
            if self._bad is not None and self._good >= self._bad:
                self._bad, self._patience = None, PROBE

    def _grow(self) -> None:
        if self._bad is None or self.limit < self._bad - 1:
            self.limit += 1
            self._successes = 0
        elif self.limit < self._bad:
            self._successes += 1
            if self._successes >= min(self._patience, PROBE_MOST_EACH * self.limit):
                self._successes, self._patience = 0, min(2 * self._patience, PROBE_MOST)
                self.limit += 1

    def _step_back(self, in_flight: int) -> None:
        self._bad = in_flight
        self.limit = min(self.limit, max(1, self._good, in_flight - 1))
        self._successes = 0

    def _is_certain(self, number: int) -> bool:
        """Whether too many requests in a row were refused for this to be chance."""
        enough = IN_DOUBT if self.limit < MANY else IN_DOUBT_OF_MANY
        self._in_doubt = sorted([*self._in_doubt, number])[-enough:]
        return len(self._in_doubt) == enough and number - self._in_doubt[0] < 2 * enough

    @property
    def _lately(self) -> int:
        return max(100, 4 * self.limit)

    def _bear(self) -> None:
        """Take it for chance; but a limit that others share may have become a little less."""
        self._by_chance += 1
        usual = CHANCE * self._lately
        if self.limit > 1 and self._by_chance > usual + 2 * usual**0.5:
            self._by_chance -= 1
            self._bad, self._successes = self.limit, 0
            self.limit -= 1
            self._good = min(self._good, self.limit)

    def _cut(self, in_flight: int) -> float:
        is_lowest = self.limit == 1
        self.limit = max(1, self.limit // 2)
        self._cut_at, self._goes_well = self._sent, False
        self._good, self._bad = 0, in_flight
        self._successes, self._patience = 0, PROBE
        self._in_doubt.clear()
        if not is_lowest:
            return 0.0
        self._alone += 1
        return min(PAUSE_S * 2.0 ** min(self._alone - 1, 10), PAUSE_MOST_S)


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
        if busy:
            enough = min(enough, REFUSALS)
        patience_s = min(self.first_patience_s, self.patience_s) if is_first else self.patience_s
        return self._in_a_row >= enough and now - self._since >= patience_s

    def succeeded(self) -> None:
        """Somebody was answered."""
        self._in_a_row = 0
        self._succeeded = True
