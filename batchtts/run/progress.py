"""How a run is going: a bar on a terminal, a line a minute elsewhere.

A run counts in its figures and hands them to whoever shows them; when to look at them is
theirs to decide.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

import trio

from batchtts.notices import notice
from batchtts.run.figures import Figures, Work
from batchtts.run.spelling import line

log = logging.getLogger(__name__)

REPORT_EVERY_S = 60.0


class Progress(Protocol):
    """Shows how work is going, whatever work that is."""

    def begin(self, figures: Figures) -> None:
        """Work begins, and these will tell of it."""

    async def watch(self) -> None:
        """Do what is to be done meanwhile, until cancelled."""

    def end(self) -> None:
        """The work is over, however it went."""


class Silent:
    """Says nothing."""

    def begin(self, figures: Figures) -> None: ...

    async def watch(self) -> None: ...

    def end(self) -> None: ...


class Lines:
    """A line in the log every minute, whatever happens in it."""

    def __init__(self) -> None:
        self._figures = counting()

    def begin(self, figures: Figures) -> None:
        """Work begins, and these will tell of it."""
        self._figures = figures

    async def watch(self) -> None:
        """Do what is to be done meanwhile, until cancelled."""
        while True:
            await trio.sleep(REPORT_EVERY_S)
            facts = self._figures.facts()
            log.info("%s", line(self._figures), extra=notice("progress", more=facts))

    def end(self) -> None:
        """The work is over, however it went."""


def counting(work: Work | None = None) -> Figures:
    """Begin to count, by the clock on the wall; without *work* for nobody."""
    return Figures(work or Work(), time.monotonic)
