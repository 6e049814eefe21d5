"""What is not as it was recorded, in one line each.

torn_tail         the ledger's last line was cut short
damaged_line      a line of the ledger is not as it was written
no_header         no line of the ledger says whose it is
damaged_snapshot  the snapshot is gone, or not as it was written
audio_missing     a file of a finished row is not there
audio_size        … has another size than the ledger says
audio_sha256      … has another content
audio_samples     … has another length or rate
audio_unreadable  … cannot be read
audio_shared      two finished rows have one path
stray_audio       an audio file that no finished row has
leftover          a file that was never whole, or that no line names
results_damaged   results.parquet cannot be read, or is not the work of a run
results_older     … was made before the ledger's last lines
results_newer     … was made of lines that the ledger has no longer
results_differ    … says something else about a row than the ledger
failed_differ     failed.parquet is not the failed rows of results.parquet
summary_damaged   summary.json cannot be read
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal[
    "torn_tail",
    "damaged_line",
    "no_header",
    "damaged_snapshot",
    "audio_missing",
    "audio_size",
    "audio_sha256",
    "audio_samples",
    "audio_unreadable",
    "audio_shared",
    "stray_audio",
    "leftover",
    "results_damaged",
    "results_older",
    "results_newer",
    "results_differ",
    "failed_differ",
    "summary_damaged",
]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it was recorded.

    Attributes:
        path: Of the file, below the output directory.
        row_id: Of the row that it is about, if that is known.
        can_mend: Whether a repair takes care of it.
    """

    kind: Kind
    path: str
    message: str
    row_id: str | None = None
    can_mend: bool = True

    def __str__(self) -> str:
        about = f" (row {self.row_id})" if self.row_id is not None else ""
        return f"{self.path}: {self.message}{about}"
