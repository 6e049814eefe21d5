"""What there is to listen to in an output directory: audio, its script, its ledger line.

Rows and scripts come from results.parquet, what is known of the audio from the ledger;
what is found out goes there, and then into the results.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.errors import OutputBroken
from batchtts.job.columns import as_text
from batchtts.job.plan import DONE, Ints, Past, places
from batchtts.model import Result
from batchtts.record.amendment import AGAIN, News, ResultsStale, amend, opened
from batchtts.record.ledger import Ledger
from batchtts.record.scripts import script_column
from batchtts.record.store import Layout
from batchtts.record.tally import Tally
from batchtts.run.memory import recall

_AT_ONCE = 512  # rows that are read together; one may have the words of two hours


class Item(NamedTuple):
    """A row that has audio.

    Attributes:
        place: Among the rows of the results, from 0.
        script: What was to be heard: as it was sent, where that is not as it was written.
        line: The last one about it.
    """

    place: int
    script: str
    line: Result


@dataclass(slots=True)
class Corpus:
    """The rows of one output directory that have audio.

    Attributes:
        count: How many there are.
        audio_s: Seconds of audio in them.
    """

    layout: Layout
    ledger: Ledger
    count: int
    audio_s: float
    _column: str
    _addresses: Ints  # of the line about each row of the results; -1 if it has no audio
    _past: Past
    _shared: Ints  # hash() of the SHA-256 of files that are the audio of several rows, ascending

    @classmethod
    def open(cls, layout: Layout, ledger: Ledger) -> Corpus:
        """Find out which rows have audio.

        Raises:
            UsageError: there are no results, or they are not those of the ledger.
            LedgerBroken: it cannot be understood.
        """
        memory = recall(ledger)
        if memory.damaged:
            told = f"{ledger.path}: {len(memory.damaged)} damaged lines"
            raise ResultsStale(told, hint=f"{AGAIN}; it takes them out")
        past = memory.past
        with opened(layout) as file:
            news = News.of(layout, ledger, file)
            column = script_column(file)
            addresses = _addresses(file, past, news)
            audio_s, shared = _audio(file)
        count = int(np.count_nonzero(addresses >= 0))
        return cls(layout, ledger, count, audio_s, column, addresses, past, shared)

    @property
    def shared(self) -> int:
        """How many files are the audio of several rows."""
        return len(self._shared)

    def shared_at(self, sha256: str | None) -> int:
        """The number of a file among those, or -1."""
        [at] = places(self._shared, np.array([hash(sha256)], np.int64))
        return int(at)

    def line(self, place: int) -> Result | None:
        """The last line about a row of the results, if it has audio."""
        [line] = self.ledger.results([int(self._addresses[place])])
        return line

    def items(self) -> Iterator[list[Item]]:
        """Yield the rows that have audio, in the order of the results, some at a time."""
        first = 0
        with opened(self.layout) as file:
            names = list(dict.fromkeys(["id", self._column]))
            for batch in file.iter_batches(_AT_ONCE, columns=names):
                here = first + np.flatnonzero(self._addresses[first : first + len(batch)] >= 0)
                first += len(batch)
                if not len(here):
                    continue
                scripts = as_text(batch[self._column].take(here - first + len(batch)))
                lines = self.ledger.results(self._addresses[here].tolist())
                yield [_item(*each) for each in zip(here.tolist(), scripts, lines, strict=True)]

    def failed(self, codes: Collection[str]) -> dict[str, int]:
        """Return rows that have failed for one of these reasons, and how often they were spoken."""
        with opened(self.layout) as file:
            ids = [
                row_id
                for batch in file.iter_batches(columns=["id", "status", "error_code"])
                for row_id, status, code in zip(*map(pa.Array.to_pylist, batch), strict=True)
                if status == "failed" and code in codes
            ]
        at = self._past.find(np.fromiter(map(hash, ids), np.int64, len(ids)))
        lines = self.ledger.results(self._past.addresses[at[at >= 0]].tolist())
        return {line.id: line.takes for line in lines if line is not None}

    def tell(self, places: Sequence[int], lines: Sequence[Result]) -> None:
        """Write down what was found out about some rows, durably.

        Raises:
            OutputBroken: it could not be written.
        """
        self._addresses[np.array(places, np.int64)] = self.ledger.append(lines)

    def amend(self) -> Tally:
        """Bring the results up to date; return what they amount to.

        Raises:
            OutputBroken: they could not be written.
        """
        rows = iter(self._addresses)

        def told(ids: list[str]) -> Iterator[Result | None]:
            return self.ledger.results([int(next(rows)) for _ in ids])

        return amend(self.layout, self.ledger, told)


def _item(place: int, script: str | None, line: Result | None) -> Item:
    if line is None:
        raise OutputBroken("the ledger has changed", hint="run the same command again")
    return Item(place, line.spoken or script or "", line)


def _addresses(file: pq.ParquetFile, past: Past, news: News) -> Ints:
    found = [np.empty(0, np.int64)]
    for batch in file.iter_batches(columns=["id", "status", "sha256"]):
        hashes = np.fromiter(map(hash, batch["id"].to_pylist()), np.int64, len(batch))
        at = past.find(hashes)
        is_done = batch["status"].to_numpy(zero_copy_only=False) == "done"
        addresses = np.full(len(batch), -1, np.int64)
        has_audio = np.flatnonzero(is_done & (at >= 0))
        has_audio = has_audio[past.kinds[at[has_audio]] == DONE]
        addresses[has_audio] = past.addresses[at[has_audio]]
        news.check(batch, addresses)
        found.append(addresses)
    return np.concatenate(found)


def _audio(file: pq.ParquetFile) -> tuple[float, Ints]:
    """Return seconds of audio, and hash() of the SHA-256 of what several rows have, ascending."""
    total_s, found = 0.0, [np.empty(0, np.int64)]
    for batch in file.iter_batches(columns=["audio_s", "sha256"]):
        total_s += float(np.nansum(batch["audio_s"].to_numpy(zero_copy_only=False)))
        sums = batch["sha256"].drop_null().to_pylist()
        found.append(np.fromiter(map(hash, sums), np.int64, len(sums)))
    values, counts = np.unique(np.concatenate(found), return_counts=True)
    return total_s, values[counts > 1]
