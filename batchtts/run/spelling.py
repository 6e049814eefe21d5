"""Figures as people say them. Pure."""

from __future__ import annotations

from batchtts.errors import one_line
from batchtts.run.figures import Figures

SMALL_USD = 0.1  # below that, cents are too coarse
LEAST_USD = 0.0001  # below that, nobody wants to know


def line(figures: Figures) -> str:
    """One line for a log."""
    rows_per_s, x_real_time = figures.rows_per_s, figures.x_real_time
    parts = [
        f"{figures.done:,}/{figures.work.rows:,} done",
        f"{figures.failed:,} failed",
        f"{figures.in_flight:,} in flight",
        f"{figures.waiting:,} waiting" if figures.waiting else "",
        f"{figures.refused:,} refused" if figures.refused else "",
        "" if rows_per_s is None else f"{spell_rate(rows_per_s)}/s",
        "" if x_real_time is None else f"{x_real_time:,.1f} x real time",
    ]
    if figures.ttfa_s is not None:
        middle, high = figures.ttfa_s
        parts.append(f"ttfa p50 {middle:.2f} s p95 {high:.2f} s")
    parts += [spell_cost(figures), spell_left(figures)]
    told = ", ".join(filter(None, parts))
    if figures.work.label:
        told = f"{figures.work.label}: {told}"
    return f"{told}; last error: {one_line(figures.last_error)}" if figures.last_error else told


def spell_cost(figures: Figures) -> str:
    """What was spent and what all of it will cost; empty if nobody asks for money."""
    if figures.is_free:
        return ""
    spent, whole = figures.spent_usd, figures.projected_usd
    if whole is None:
        return spell_usd(spent, figures.unpriced or figures.work.unpriced)
    digits = 2 if max(spent, whole) >= SMALL_USD else 4
    return f"${spent:,.{digits}f} of ${whole:,.{digits}f}"


def spell_left(figures: Figures) -> str:
    """The time to go, in steps that let the eye rest; empty if nobody can tell."""
    if figures.first_at is None:
        return "starting"
    left_s = figures.left_s
    if left_s is None:
        return ""
    step_s = 5 if left_s >= 20 else 1
    return f"{spell_s(round(left_s / step_s) * step_s)} left"


def spell_rate(per_s: float) -> str:
    """How many in a second, with the digits that it takes to see it change."""
    return f"{per_s:,.1f}" if per_s >= 1 else f"{per_s:.2f}"


def spell_s(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def spell_usd(known: float, unpriced: int) -> str:
    """A sum of money, some of which may not be known."""
    if unpriced and not known:
        return "price not known"
    if 0 < known < LEAST_USD:
        told = f"under ${LEAST_USD}"
    else:
        told = f"${known:,.2f}" if known >= SMALL_USD or not known else f"${known:.4f}"
    return f"at least {told}" if unpriced else told


def spell_clock(seconds: float) -> str:
    """A span as a stopwatch has it."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
