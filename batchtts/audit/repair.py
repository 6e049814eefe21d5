"""What can be done about the findings. Only a run makes a row done, and spends.

Rows whose audio is not as recorded are taken back in the ledger: the next run removes
their files and speaks them again. No file is removed that could be any use.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

import batchtts
from batchtts.audit.audit import Audit
from batchtts.audit.finding import Finding
from batchtts.audit.reading import Reading
from batchtts.lots import lots
from batchtts.model import Result
from batchtts.record import disk
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Header

_AT_ONCE = 1024


class Repair:
    """Mends what an audit has found; the directory must be occupied.

    Findings must be told to it one by one, and `mend` called when the audit is over.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._layout = audit.layout
        self._kinds: set[str] = set()
        self._is_older = False
        #: Findings that nothing was done about.
        self.left = 0
        #: What was done, a sentence each.
        self.deeds: list[str] = []

    def note(self, finding: Finding) -> None:
        """This is to be mended, if it can be."""
        self.left += not finding.can_mend
        self._is_older |= finding.kind == "results_older"
        if finding.can_mend:
            self._kinds.add(finding.kind)

    def mend(self) -> None:
        """Mend what can be mended.

        Raises:
            OutputBroken: nothing can be written; what was done stays done.
        """
        with disk.telling(self._layout.root):
            is_changed = self._mend_ledger()
            self._remove_strays()
            stale = {"results_damaged", "results_newer", "results_differ", "failed_differ"}
            if is_changed or stale & self._kinds:
                self._remove_derived(self._layout.results, self._layout.failed)
                self.left -= self._is_older
            if "summary_damaged" in self._kinds:
                self._remove_derived(self._layout.summary)

    def _mend_ledger(self) -> bool:
        """Return whether it says something else now."""
        reading = self._audit.reading
        is_changed = False
        with Ledger.open(self._layout.ledger, salvage=True) as ledger:
            if reading.is_torn:
                self.deeds.append("the torn end of the ledger was cut off")
            again = self._append(ledger, self._again(ledger))
            if again:
                self.deeds.append(f"{again:,} rows were taken back; the next run speaks them")
            if "damaged_line" in self._kinds:
                ledger.heal(self._layout.damaged)
                kept_in = self._layout.damaged.relative_to(self._layout.root)
                self.deeds.append(f"damaged lines of the ledger were moved to {kept_in}")
                is_changed = True
            if "damaged_snapshot" in self._kinds:
                self._fold(ledger)
                is_changed = True
            if "no_header" in self._kinds and ledger.head is None:
                ledger.append([self._header()])
                self.deeds.append("the ledger was given a header")
                is_changed = True
        return is_changed or bool(again)

    def _again(self, ledger: Ledger) -> Iterator[Result]:
        """Lines that take back what is not as recorded."""
        audit = self._audit
        for result in ledger.results(audit.broken):
            if result is not None:
                yield result.taken_back(result.path)
        for result in ledger.results(audit.shared):
            if result is not None:  # the file is another row's
                yield result.taken_back(None)
        files = {row_id: path for path, row_id in audit.strays.claimed.items()}
        for row_id in audit.reading.orphaned():
            yield Result(id=row_id, status="pending", path=files.get(row_id))

    def _append(self, ledger: Ledger, results: Iterable[Result]) -> int:
        count = 0
        for some in lots(results, _AT_ONCE):
            ledger.append(some)
            count += len(some)
        return count

    def _fold(self, ledger: Ledger) -> None:
        """Write a new snapshot of all that can be read."""
        reading = Reading.of(self._layout.ledger, ledger)
        past, head = reading.past, ledger.head
        if head is not None and head.snapshot is not None:
            ledger.fold(msgspec.structs.replace(head, snapshot=None), past.in_order())
        self.deeds.append(
            f"the snapshot was written anew: {len(past.addresses):,} rows were kept,"
            f" {reading.lost_rows:,} were lost"
        )

    def _header(self) -> Header:
        return Header(
            ledger=VERSION,
            manifest=self._audit.derived.manifest,
            batchtts=batchtts.__version__,
            created_at=time.time(),
        )

    def _remove_strays(self) -> None:
        paths = [self._layout.root / path for path in self._audit.strays.removable]
        for path in paths:
            disk.remove(path)
        if paths:
            self.deeds.append(f"{len(paths):,} files were removed that no row needs")

    def _remove_derived(self, *paths: Path) -> None:
        for path in paths:
            if path.exists():
                disk.remove(path)
                self.deeds.append(f"{path.name} was removed; the next run writes it")
