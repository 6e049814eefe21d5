"""Whether another take of a row is better than the one that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TypeVar

import msgspec

from batchtts.errors import UtteranceError
from batchtts.model import VERDICTS, Kept, Result, Take
from batchtts.verify.judging import Judge
from batchtts.verify.listening import Listener
from batchtts.verify.sound import Stretch, stretches, stretches_of

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Contest:
    """Each new take against the one that is there.

    Attributes:
        had: What is known of a row, by its place among those that the run considers.
        holds: Whether it has audio that it may keep.
    """

    listener: Listener
    judge: Judge
    had: Callable[[int], Result | None]
    holds: Callable[[int], bool]

    async def weigh(self, outcome: Outcome) -> Outcome | Take | Kept:
        """Return what is to be recorded of what a worker has brought.

        Raises:
            RunError: nothing can be heard any more.
        """
        if not isinstance(outcome, Take) or outcome.result.status == "pending":
            return outcome
        had = self.had(outcome.utterance.row)
        takes = 1 + (had.takes if had is not None else 0)
        result = msgspec.structs.replace(outcome.result, takes=takes, kept_take=takes)
        if result.status == "done":
            result = await self._judged(replace(outcome, result=result))
        if had is None or not self.holds(outcome.utterance.row):
            return replace(outcome, result=result)
        if result.status == "failed" or _rank(had) <= _rank(result):
            return Kept(outcome, _kept(had, result))
        return replace(outcome, result=result)

    async def _judged(self, take: Take) -> Result:
        """What the take is taken for; as much of that as can be heard."""
        line = take.result
        script = line.spoken or take.utterance.script
        try:
            line = await self.listener.listen(script, line, _parts(take))
            judgement = self.judge.judge(script, line)
            if self.judge.would_fail_for_words(line) and self.listener.lacks_second(line):
                line = await self.listener.ask_second(script, line, _parts(take))
        except UtteranceError:
            pass  # what was not heard is judged by what was measured
        judgement = self.judge.judge(script, line)
        return msgspec.structs.replace(line, verdict=judgement.verdict, reasons=judgement.reasons)


def _parts(take: Take) -> Iterator[Stretch]:
    if take.file is None:
        return stretches_of(take.pcm, take.sample_rate_hz)
    return stretches(Path(take.file), take.result.sha256)


def _kept(had: Result, result: Result) -> Result:
    """The line that what a row has is better than what this take has cost."""
    return msgspec.structs.replace(
        had,
        takes=result.takes,
        characters_sent=result.characters_sent,
        cost_usd=result.cost_usd,
        context=result.context,
        segment=None,
        take_characters=0,
        take_usd=0.0,
    )


def _rank(line: Result) -> tuple[float, ...]:
    """The less, the better: the verdict, then what was heard, then how natural it sounds.

    What could not be heard is not known to be better than anything.
    """
    heard = line.heard
    errors = inf if heard is None else heard.wer if heard.per is None else heard.per
    grade = VERDICTS.index(line.verdict) if line.verdict is not None else 1
    if "not_heard" in line.reasons:
        grade = len(VERDICTS)
    return (grade, errors, -(line.mos or 0.0))
