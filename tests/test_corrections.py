"""A row that was taken for whole and is not: that is said whenever its take is written down."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np

from batchtts.model import Correction, Result
from batchtts.run.crew import Crew
from batchtts.run.speech import Speech


async def test_a_correction_waits_for_the_take_that_it_corrects() -> None:
    settled = np.array([True, False])
    told: list[int] = []

    async def record(_: Sequence[object], corrections: Sequence[Correction]) -> None:
        told.extend(it.row for it in corrections if settled[it.row])

    speech = SimpleNamespace(
        books=SimpleNamespace(record=record),
        agenda=SimpleNamespace(plan=SimpleNamespace(settled=settled)),
    )
    failed = [Correction(row, Result(id=f"{row}", status="failed")) for row in (0, 1)]
    crew = cast("Crew", SimpleNamespace(corrections=failed))
    await Speech._record(cast("Speech", speech), crew, [])
    assert (told, [it.row for it in crew.corrections]) == ([0], [1])
    settled[1] = True
    await Speech._record(cast("Speech", speech), crew, [])
    assert (told, crew.corrections) == ([0, 1], [])
