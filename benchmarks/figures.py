"""One figure, its target, and the peer's beside it; all of them as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_NUMBER, _TARGET, _VERDICT = 9, 8, 6
_MET, _MISSED = "ok", "missed"


def figure(
    name: str,
    value: float,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    unit: str = "",
    peer: str = "",
) -> dict[str, Any]:
    """Return a figure for the findings.

    Args:
        at_most, at_least: The target; one of them.
        unit: What comes behind the number.
        peer: What others take, in the same run; in words.
    """
    assert (at_most is None) is not (at_least is None), f"{name}: one target"
    met = value >= at_least if at_least is not None else value <= (at_most or 0)
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "at_most": at_most,
        "at_least": at_least,
        "verdict": _MET if met else _MISSED,
        "peer": peer,
    }


def gather(findings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the figures of all parts, as each has left them under ``figures``."""
    return [each for found in findings.values() for each in _figures_of(found)]


def _figures_of(found: object) -> Sequence[dict[str, Any]]:
    return found.get("figures", []) if isinstance(found, dict) else []


def table(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The figures as lines, a hundred columns wide if names and peers are brief."""
    name_width = max((len(each["name"]) for each in figures), default=0) + 2
    yield f"{'':{name_width}}{'here':>{_NUMBER}} {'target':>{_TARGET}}{'':{_VERDICT + 4}}beside it"
    for each in figures:
        here = f"{_spell(each['value'])}{each['unit'] and ' ' + each['unit']}"
        line = (
            f"{each['name']:{name_width}}{here:>{_NUMBER}} {_target(each):>{_TARGET}}"
            f"  {each['verdict']:{_VERDICT}}  {each['peer']}"
        )
        yield line.rstrip()
    missed = sum(each["verdict"] == _MISSED for each in figures)
    yield f"{len(figures) - missed} of {len(figures)} reached"


def _target(each: Mapping[str, Any]) -> str:
    most, least = each["at_most"], each["at_least"]
    return f"<= {_spell(most)}" if most is not None else f">= {_spell(least)}"


def _spell(number: float) -> str:
    """Three figures that matter; whole numbers from a hundred."""
    return f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.3g}"
