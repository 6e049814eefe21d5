"""What is known of every row of a manifest while a run gets on, some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from batchtts.job.plan import Facts, Ints, Past, places
from batchtts.job.sharing import Sieve
from batchtts.record.standing import GROUP_ROWS, Standing
from batchtts.run.agenda import Agenda


@dataclass(slots=True)
class Ground:
    """What is known of every row: from a standing, and better by the agendas of this run.

    Attributes:
        standing: Of an earlier run; None if the first agenda is about all rows.
        agendas: Of this run; where two are about a row, the later one knows better.
    """

    standing: Standing | None
    agendas: list[Agenda]

    @property
    def left(self) -> Facts:
        """What is known of ids that the manifest has no longer."""
        return self.agendas[0].plan.left

    def facts(self) -> Iterator[Facts]:
        """Yield what is known of the rows, in order, *GROUP_ROWS* at a time.

        Raises:
            OutputBroken: the standing cannot be read.
        """
        first = 0
        for facts in self._first_word():
            for agenda in self.agendas:
                if agenda.rows is not None:
                    at, end = np.searchsorted(agenda.rows, [first, first + len(facts)])
                    facts.put(agenda.rows[at:end] - first, agenda.known(slice(at, end)))
            yield facts
            first += len(facts)

    def of(self, rows: Ints) -> Facts:
        """What is known of some rows, ascending."""
        first, at, found = 0, 0, []
        for facts in self.facts():
            end = int(np.searchsorted(rows, first + len(facts)))
            found.append(facts.at(rows[at:end] - first))
            first, at = first + len(facts), end
        return Facts.joined(found)

    def untouched(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield rows that are done, and not by this run, and the ledger lines about them."""
        first = 0
        for facts in self._first_word():
            rows = first + np.flatnonzero(facts.is_done)
            for agenda in self.agendas:
                if agenda.rows is not None:
                    rows = rows[places(agenda.rows, rows) < 0]
                else:
                    rows = rows[~agenda.plan.settled[rows]]
            yield rows, facts.addresses[rows - first]
            first += len(facts)

    def told_of(self, prints: Ints) -> Past:
        """Return what the ledger tells of audio with these fingerprints, ascending."""
        sieve = Sieve(prints)
        found = [_sifted(self.left, sieve)]
        found += self._told_before(sieve)
        found += [
            _sifted(it.known(slice(None)), sieve) for it in self.agendas if it.rows is not None
        ]
        return as_past(Facts.joined(found))

    def _told_before(self, sieve: Sieve) -> Iterator[Facts]:
        """Yield what is known of rows that no agenda knows better."""
        if self.standing is None:
            groups = iter(self._first_word())
        else:
            groups = self.standing.some(lambda kinds, prints: len(sieve.among(kinds, prints)) > 0)
        first = 0
        for facts in groups:
            rows = first + sieve.among(facts.kinds, facts.prints)
            for agenda in self.agendas:
                if agenda.rows is not None:
                    rows = rows[places(agenda.rows, rows) < 0]
            yield facts.at(rows - first)
            first += len(facts)

    def _first_word(self) -> Iterator[Facts]:
        if self.standing is not None:
            yield from self.standing.facts()
            return
        every = self.agendas[0]
        for start in range(0, len(every), GROUP_ROWS):
            yield every.known(slice(start, start + GROUP_ROWS))


def _sifted(facts: Facts, sieve: Sieve) -> Facts:
    return facts.at(sieve.among(facts.kinds, facts.prints))


def as_past(facts: Facts) -> Past:
    """The same facts as a past; whose they are is not said."""
    return Past(
        np.arange(len(facts)),
        facts.addresses,
        facts.kinds,
        facts.prints,
        facts.characters_sent,
        facts.costs_usd,
    )
