"""How late an event loop is: somebody sleeps five milliseconds, again and again, and looks.

What is measured imports its loop itself: who measures must stay small, see measure.py.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

NAP_S = 0.005


async def watch_trio(late_s: list[float]) -> None:
    """Note for ever how late a task of trio's wakes."""
    import trio

    while True:
        due_at = time.perf_counter() + NAP_S
        await trio.sleep(NAP_S)
        late_s.append(time.perf_counter() - due_at)


async def watch_asyncio(late_s: list[float]) -> None:
    """The same for asyncio."""
    import asyncio

    while True:
        due_at = time.perf_counter() + NAP_S
        await asyncio.sleep(NAP_S)
        late_s.append(time.perf_counter() - due_at)


def sum_up(late_s: Sequence[float]) -> dict[str, float]:
    """Half, 99 % and all of the looks found the loop at most so late, in milliseconds."""
    ordered = sorted(late_s)
    assert ordered, "nobody looked"
    return {
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[len(ordered) * 99 // 100],
        "max_ms": 1000 * ordered[-1],
        "looks": len(ordered),
    }


def spell(found: dict[str, float]) -> str:
    """It, in words."""
    return "p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, longest {max_ms:.1f} ms".format(**found)
