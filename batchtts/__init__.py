"""Turn a table of scripts into finished speech, and account for every row.

import batchtts

summary = batchtts.run(batchtts.Job(manifest="jobs/demo.csv", out="out/demo"))
print(summary.done, "rows,", summary.audio_s, "s of audio")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtts.errors import BatchttsError as BatchttsError
    from batchtts.job.settings import Job as Job
    from batchtts.run.job import run as run
    from batchtts.run.summary import Summary as Summary

__version__ = "0.1.0"

__all__ = ["BatchttsError", "Job", "Summary", "__version__", "run"]

_HOMES = {
    "BatchttsError": "batchtts.errors",
    "Job": "batchtts.job.settings",
    "Summary": "batchtts.run.summary",
}


def __getattr__(name: str) -> object:
    """Import the public names when they are used: `import batchtts` stays fast."""
    if name == "run":
        return import_module("batchtts.run")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
