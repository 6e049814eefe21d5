"""Files that no line of the ledger answers for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from batchtts.audit import audio
from batchtts.audit.finding import Finding
from batchtts.audit.reading import Reading
from batchtts.job.plan import DONE, places
from batchtts.lots import lots
from batchtts.record import begun, names, snapshot
from batchtts.record.store import Layout

_AT_ONCE = 8192


@dataclass(slots=True)
class Strays:
    """Looks for files that should not be there.

    Attributes:
        taken_back: Audio that the next run removes, as the ledger's last line about it says.
        claimed: Audio of rows whose ledger lines are damaged: path → id.
        removable: Files that are batchtts's own, and of no use.
    """

    layout: Layout
    reading: Reading
    taken_back: int = 0
    claimed: dict[str, str] = field(default_factory=dict)
    removable: list[str] = field(default_factory=list)

    def findings(self) -> Iterator[Finding]:
        """Look for them."""
        yield from self._leftovers()
        past, reading = self.reading.past, self.reading
        kept = reading.paths_of(past.addresses[past.kinds == DONE])
        known, told_at = reading.paths()
        in_flight = {sent.path for sent in begun.left(self.layout.begun)}
        orphans = _stems(reading.orphaned())
        for some in lots(audio.files(self.layout.root), _AT_ONCE):
            hashes = np.array([hash(path) for path in some], dtype=np.int64)
            for at in np.flatnonzero(places(kept, hashes) < 0).tolist():
                path = some[at]
                if path in in_flight:
                    continue  # the next run looks after it
                [place] = places(known, hashes[at : at + 1])
                if place >= 0:
                    yield from self._examine(path, int(told_at[place]))
                else:
                    yield self._foreign(path, orphans)

    def _examine(self, path: str, address: int) -> Iterator[Finding]:
        """Say why a file is there that the line at *address* tells of."""
        ledger, past = self.reading.ledger, self.reading.past
        [told] = ledger.results([address])
        assert told is not None
        [place] = past.find(np.array([hash(told.id)], dtype=np.int64))
        [last] = ledger.results([int(past.addresses[place])])
        assert last is not None
        if last.status == "done":
            message = f"the row has its audio at {last.path} now"
            yield Finding("stray_audio", path, message, told.id, can_mend=False)
        elif last.status == "pending" and last.path == path:
            self.taken_back += 1
        else:
            self.removable.append(path)
            yield Finding("stray_audio", path, f"its row is {last.status}", told.id)

    def _foreign(self, path: str, orphans: dict[str, str]) -> Finding:
        row_id = orphans.get(path.rpartition("/")[2].rpartition(".")[0])
        if row_id is not None:
            self.claimed[path] = row_id
            message = "the line of the ledger that told of it is damaged"
            return Finding("stray_audio", path, message, row_id)
        message = "no line of the ledger tells of it; run again, or remove it by hand"
        return Finding("stray_audio", path, message, can_mend=False)

    def _leftovers(self) -> Iterator[Finding]:
        """What was never whole, and snapshots that no line names."""
        layout = self.layout
        head = self.reading.ledger.head
        named = head.snapshot.name if head is not None and head.snapshot is not None else None
        drafts = [layout.root / "ledger.jsonl.part", layout.private / "begun.jsonl.part"]
        found = [path for path in drafts if path.is_file()]
        if layout.scratch.is_dir():
            found += sorted(path for path in layout.scratch.iterdir() if path.is_file())
        for path in found:
            yield self._leftover(path.relative_to(layout.root).as_posix(), "was never whole")
        for path in snapshot.among(layout.root):
            if path.name != named:
                yield self._leftover(path.name, "no line of the ledger names it")

    def _leftover(self, path: str, message: str) -> Finding:
        self.removable.append(path)
        return Finding("leftover", path, message)


def _stems(ids: Sequence[str]) -> dict[str, str]:
    """The file names that each id may have, less their endings → the id."""
    return {stem: row_id for row_id in ids for stem in (names.stem(row_id), names.own_stem(row_id))}
