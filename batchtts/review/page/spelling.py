"""Figures as people read them. Pure."""

from __future__ import annotations

from math import floor, isfinite, log10

import numpy as np

NOTHING = "–"

_LEAST_USD = 0.0001


def count(number: float | None) -> str:
    """A whole number."""
    return NOTHING if number is None else f"{number:,.0f}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(value: float | None, digits: int = 3) -> str:
    """A number with so many digits that count, and no more."""
    if value is None or not isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    places = max(0, digits - 1 - floor(log10(abs(value))))
    told = f"{value:,.{places}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def seconds(value: float | None) -> str:
    """A span; from milliseconds to hours."""
    if value is None or not isfinite(value):
        return NOTHING
    if value < 1:
        return f"{short(value * 1000, 2)} ms" if value else "0 s"
    if value < 100:
        return f"{short(value)} s"
    return f"{short(value / 60, 2)} min" if value < 100 * 60 else f"{value / 3600:,.1f} h"


def clock(value: float | None) -> str:
    """A position in audio: minutes and seconds."""
    if value is None or not isfinite(value):
        return NOTHING
    minutes, rest = divmod(value, 60)
    if minutes < 1:
        return f"{rest:.1f} s"
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:02.0f}" if hours else f"{minutes}:{rest:02.0f}"


def hours(value_s: float) -> str:
    """How much audio."""
    if value_s < 60:
        return f"{value_s:.1f} s"
    if value_s < 3600:
        return f"{value_s / 60:.1f} min"
    return f"{value_s / 3600:,.1f} h"


def percent(share: float | None) -> str:
    """A share of one, as precise as it matters."""
    if share is None or not isfinite(share):
        return NOTHING
    value = share * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def usd(value: float | None, *, is_part: bool = False) -> str:
    """A sum of money; *is_part* if there is more that nobody knows."""
    if value is None:
        return NOTHING
    if is_part and not value:
        return "not known"
    if 0 < value < _LEAST_USD:
        told = f"under ${_LEAST_USD}"
    else:
        told = f"${value:,.2f}" if value >= 1 or not value else f"${value:.4f}"
    return f"at least {told}" if is_part else told


def size(count_bytes: float) -> str:
    """A size in bytes."""
    units = iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while count_bytes >= 1000 and unit != "GB":
        count_bytes, unit = count_bytes / 1000, next(units)
    return f"{short(count_bytes)} {unit}"


def moment(at: float | None, unit: str = "s") -> str:
    """A point in time, in UTC, from seconds since the epoch.

    Args:
        unit: The smallest that is told, as numpy calls it.
    """
    if at is None or not isfinite(at):
        return NOTHING
    told = np.datetime_as_string(np.datetime64(round(at * 1000), "ms"), unit=unit)  # type: ignore[call-overload]  # any unit
    return f"{told}".replace("T", " ")


def short_text(text: str, most: int) -> str:
    """A text, or its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
