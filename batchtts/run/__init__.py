"""Doing it.

``batchtts.run`` is this package and the public function of the same name at
once: calling the package runs a job, without importing anything before that.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtts.job.settings import Job
    from batchtts.run.summary import Summary


class _Run(ModuleType):
    def __call__(self, job: Job) -> Summary:
        """Speak every row of a manifest that is not spoken yet; see batchtts.run.job.run."""
        from batchtts.run.job import run

        return run(job)


sys.modules[__name__].__class__ = _Run
