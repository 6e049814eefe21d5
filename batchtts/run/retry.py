"""When to try a segment again, and after how long. The only user of tenacity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from batchtts.errors import AttemptError, NotConnected, RateLimited

Spoken = TypeVar("Spoken")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Full jitter, doubling up to a ceiling; the provider's own wish comes first.

    Attributes:
        attempts: Tries that reached the provider. Being refused, or not getting
            through at all, uses up none of them: it costs nothing, and the
            breaker ends it.
    """

    attempts: int = 4
    base_s: float = 0.5  # the first backoff is drawn from [0, base_s]
    ceiling_s: float = 30.0
    knock_ceiling_s: float = 3.0  # between tries to connect
    longest_s: float = 300.0  # that a provider's wish is heeded

    async def persist(
        self,
        attempt: Callable[[], Awaitable[Spoken]],
        on_retry: Callable[[AttemptError, float], None],
    ) -> Spoken:
        """Try until it succeeds, or there is no use in trying.

        The first attempt goes without a controller, of which most rows need none.

        Raises:
            AttemptError: the last attempt failed like this.
        """
        failures: list[AttemptError] = []
        try:
            return await attempt()
        except AttemptError as error:
            failures.append(error)
        async for again in self.controller(on_retry):
            with again:
                if failures:
                    raise failures.pop()
                return await attempt()
        raise AssertionError("the controller neither returned nor raised")

    def controller(self, on_retry: Callable[[AttemptError, float], None]) -> AsyncRetrying:
        """Return a fresh controller: tenacity keeps the state of a loop on it.

        Sharing one between trio tasks hands one task another task's exception.

        Args:
            on_retry: Told of each failure that another try follows, and in how
                many seconds.
        """
        charged = 0

        def tell(call: RetryCallState) -> None:
            on_retry(_failure(call), call.upcoming_sleep)

        def is_used_up(call: RetryCallState) -> bool:
            nonlocal charged
            charged += _failure(call).charged
            return charged >= self.attempts

        return AsyncRetrying(
            sleep=trio.sleep,
            retry=retry_if_exception_type(AttemptError),
            stop=is_used_up,
            wait=self._backoff_s,
            before_sleep=tell,
            reraise=True,
        )

    def _backoff_s(self, call: RetryCallState) -> float:
        error = _failure(call)
        if error.retry_after_s is not None:
            return min(max(error.retry_after_s, self.base_s), self.longest_s)
        return wait_random_exponential(multiplier=self.base_s, max=self._ceiling_s(error))(call)

    def _ceiling_s(self, error: AttemptError) -> float:
        if isinstance(error, RateLimited) and error.queues_again:
            return self.base_s
        return self.knock_ceiling_s if isinstance(error, NotConnected) else self.ceiling_s


def _failure(call: RetryCallState) -> AttemptError:
    assert call.outcome is not None
    error = call.outcome.exception()
    assert isinstance(error, AttemptError)
    return error
