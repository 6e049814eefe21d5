"""How long something may take, as people write it: ``90s``, ``1h30m``, plain seconds. Pure."""

from __future__ import annotations

import re

#: What a text may look like, for hints.
EXAMPLES = "90s, 30m, 2h, 1h30m, 1d, or plain seconds"

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_PLAIN = re.compile(_NUMBER, re.ASCII)
_SPELLED = re.compile(
    r"\s*".join(rf"(?:(?P<{unit}>{_NUMBER})\s*{unit})?" for unit in _UNITS), re.ASCII
)


def parse_s(text: str) -> float:
    """Return the seconds that a text tells.

    Raises:
        ValueError: it tells none.
    """
    told = text.strip().lower()
    if _PLAIN.fullmatch(told):
        return float(told)
    spelled = _SPELLED.fullmatch(told)
    if not told or spelled is None:
        raise ValueError(f"{text!r} is no duration")
    return sum(float(spelled[unit] or 0) * seconds for unit, seconds in _UNITS.items())


def spell(seconds: float) -> str:
    """Write seconds so that `parse_s` reads them again."""
    if not 1 <= seconds < 1e9:
        return f"{seconds:g}s"
    parts, left = [], seconds
    for unit, length in _UNITS.items():
        count, left = (left, 0.0) if unit == "s" else divmod(left, length)
        parts.append(f"{count:.6f}".rstrip("0").rstrip(".") + unit if count else "")
    return "".join(parts)
