"""What is found out about audio after the results were written goes into them, too.

Nothing else in them changes: which rows count, and what they cost, is for a run to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchtts.errors import UsageError
from batchtts.job.plan import Ints
from batchtts.model import Result
from batchtts.record import disk
from batchtts.record.columns import JUDGED, as_columns, results_schema
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.record.table import Table
from batchtts.record.tally import SCHEMA_VERSION, Seal, Tally, numbers_of, tally_of

_AT_ONCE = 4096  # rows that are amended together

#: What helps where verifying is no use.
AGAIN = "run the same job again: what is done costs nothing"


class ResultsStale(UsageError):
    """The results are not those of the ledger, or of this version."""


@dataclass(slots=True)
class News:
    """What a ledger tells beyond what the results were made from, as far as it may.

    That is what somebody who was killed has found out about audio that they have.

    Attributes:
        begin: Where it begins; all lines from this address on are news.
    """

    layout: Layout
    ledger: Ledger
    begin: int
    _told: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, layout: Layout, ledger: Ledger, file: pq.ParquetFile) -> News:
        """Look at what came since.

        Raises:
            ResultsStale: it tells of more than that.
        """
        seal = _seal_of(file)
        begin = ledger.folded_rows + ledger.size_bytes - (ledger.mark - seal.ledger_mark)
        news = cls(layout, ledger, begin)
        if ledger.tail_at(seal.ledger_mark) != seal.ledger_tail:
            raise news.stale
        if seal.ledger_mark == ledger.mark:
            return news
        for block in ledger.blocks():
            for entry, address in zip(block.entries, block.addresses.tolist(), strict=True):
                if address >= begin:
                    costs = entry.characters_sent or entry.cost_usd
                    if entry.id is None or entry.status != "done" or costs:
                        raise news.stale
                    news._told.add(hash(entry.id))
        return news

    @property
    def stale(self) -> ResultsStale:
        """Why the results cannot be amended."""
        return ResultsStale(f"{self.layout.results}: older than the ledger", hint=AGAIN)

    def check(self, rows: pa.RecordBatch, addresses: Ints) -> None:
        """Make sure that what came since is about the audio that some rows have.

        Args:
            rows: With the columns ``id``, ``status`` and ``sha256``.
            addresses: Of the last line about each; -1 if it has no audio.

        Raises:
            ResultsStale: it is about other audio, or rows that had none.
        """
        if not self._told:
            return
        hashes = map(hash, rows["id"].to_pylist())
        at = [place for place, it in enumerate(hashes) if it in self._told]
        lines = self.ledger.results(addresses[at].tolist())
        for place, line in zip(at, lines, strict=True):
            if line is None or line.sha256 != rows["sha256"][place].as_py():
                raise self.stale


def amend(
    layout: Layout, ledger: Ledger, told: Callable[[list[str]], Iterator[Result | None]]
) -> Tally:
    """Bring what was found out about audio up to date, and leave all else as it is.

    Args:
        told: Returns the last lines about some ids.

    Raises:
        ResultsStale: they must be written anew, by a run.
        OutputBroken: they could not be written.
    """
    with opened(layout) as file, disk.telling(layout.root):
        seal = _seal_of(file)
        if (seal.ledger_mark, seal.ledger_tail) == (ledger.mark, ledger.tail):
            return tally_of(seal.tally)
        schema = file.schema_arrow
        metadata = {k: v for k, v in (schema.metadata or {}).items() if k != b"batchtts"}
        schema = schema.with_metadata(metadata)
        table = Table(layout.results, layout.scratch, schema)
        tally = Tally()
        with table:
            for batch in file.iter_batches(_AT_ONCE):
                amended = _amended(batch, told(batch["id"].to_pylist()))
                tally.add(pa.Table.from_batches([amended]))
                table.add(amended.columns)
            now = msgspec.structs.replace(
                seal,
                ledger_mark=ledger.mark,
                ledger_tail=ledger.tail,
                tally=numbers_of(tally),
            )
            table.seal(msgspec.json.encode(now))
        table.publish()
    return tally


@contextmanager
def opened(layout: Layout) -> Iterator[pq.ParquetFile]:
    """Open the results, if they are of this version; what is read in the block is checked.

    Raises:
        ResultsStale: they are not.
        UsageError: there are none, or they cannot be read.
    """
    try:
        with pq.ParquetFile(layout.results, page_checksum_verification=True) as file:
            _check_current(layout, file)
            yield file
    except FileNotFoundError as error:
        told = "no results.parquet in it" if layout.root.is_dir() else "no such directory"
        hint = "`batchtts run MANIFEST` writes it when it ends"
        raise UsageError(f"{layout.root}: {told}", hint=hint) from error
    except NotADirectoryError as error:
        raise UsageError(f"{layout.root}: not a directory that `batchtts run` made") from error
    except (OSError, pa.ArrowException) as error:
        why = getattr(error, "strerror", None)
        told = why.lower() if why else f"{error}".partition("\n")[0]
        hint = "`batchtts check` says what is damaged; a run writes it anew"
        raise UsageError(f"{layout.results}: cannot be read: {told}", hint=hint) from error


def _check_current(layout: Layout, file: pq.ParquetFile) -> None:
    own = results_schema(pa.schema([]))
    here = file.schema_arrow
    is_alike = all(it.name in here.names and here.field(it.name).type == it.type for it in own)
    if not is_alike or _seal_of(file).schema != SCHEMA_VERSION:
        told = f"{layout.results}: written by another version of batchtts"
        raise ResultsStale(told, hint=AGAIN)


def _seal_of(file: pq.ParquetFile) -> Seal:
    try:
        return msgspec.json.decode((file.metadata.metadata or {})[b"batchtts"], type=Seal)
    except (KeyError, msgspec.MsgspecError) as error:
        told = "results.parquet: not a file that this batchtts wrote"
        raise ResultsStale(told, hint="run the same job again") from error


def _amended(batch: pa.RecordBatch, told: Iterator[Result | None]) -> pa.RecordBatch:
    ids, rows = batch["id"].to_pylist(), len(batch)
    lines = list(told)
    sums = batch["sha256"].to_pylist()
    is_same = pa.array(
        [
            line is not None and line.status == "done" and line.sha256 == found
            for line, found in zip(lines, sums, strict=True)
        ]
    )
    nothing = np.zeros(rows, np.int64)
    new = as_columns(lines, ids, [None] * rows, nothing, nothing.astype(np.float64))
    for name in JUDGED:
        at = batch.schema.get_field_index(name)
        column = new[name].combine_chunks()
        chosen = pc.if_else(is_same, column, batch[name])
        batch = batch.set_column(at, batch.schema.field(at), chosen)
    return batch
