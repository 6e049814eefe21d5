"""A file of faults, as TOML has it → a plan; what cannot be is told with its place. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from batchtts.errors import UsageError
from batchtts.hints import meant, misfit
from batchtts.server.faults import KINDS, WHERE, Fault, Plan, Refuse
from batchtts.server.knobs import Knobs

#: Codes that no close message may carry (RFC 6455, 7.4.1); 1006 stands for none at all.
_NEVER_SENT = frozenset({1004, 1005, 1015})

_Table = TypeVar("_Table", bound=msgspec.Struct)


def parse(document: Mapping[str, Any], name: str) -> Plan:
    """Make a plan of what TOML has made of a file.

    Args:
        name: Of the file, for messages.

    Raises:
        UsageError: an unknown key, kind or value, or a fault that can never fall.
    """
    known = ("seed", "fault", *Knobs.__struct_fields__)
    for key in document:
        if key not in known:
            raise UsageError(f"{name}: unknown key {key!r}; {_meant(key, known)}")
    sections = {section: document[section] for section in Knobs.__struct_fields__ & document.keys()}
    entries = document.get("fault", [])
    if not isinstance(entries, list):
        raise UsageError(f"{name}: fault is a list of tables: write [[fault]]")
    seed = document.get("seed", 0)
    if not isinstance(seed, int):
        raise UsageError(f"{name}: seed: expected `int`, got {seed!r}")
    return Plan(
        seed=seed,
        faults=tuple(_fault(entry, f"{name}, fault {n}") for n, entry in enumerate(entries, 1)),
        knobs=_knobs(sections, name),
    )


def _knobs(sections: Mapping[str, Any], name: str) -> Knobs:
    kinds = get_type_hints(Knobs)
    read = {key: _read(kinds[key], table, f"{name}, [{key}]") for key, table in sections.items()}
    return Knobs(**read)


def _fault(entry: object, where: str) -> Fault:
    table = dict(entry) if isinstance(entry, dict) else {}
    kind = table.pop("kind", None)
    if kind is None:
        raise UsageError(f"{where}: no kind; there are {', '.join(KINDS)}")
    if kind not in KINDS:
        raise UsageError(f"{where}: unknown kind {kind!r}; {_meant(kind, [*KINDS])}")
    fault = _read(KINDS[kind], table, f"{where} ({kind})")
    _check(fault, f"{where} ({kind})")
    return fault


def _read(kind: type[_Table], table: object, where: str) -> _Table:
    """Convert a table of the file, and say what is wrong with it if it cannot be."""
    known = kind.__struct_fields__
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}; {_meant(key, known)}")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        place, told = misfit(error)
        key = place.partition("[")[0]
        if wrong := re.fullmatch(r"invalid enum value '?(.*?)'?", told):
            told += f"; {_meant(wrong[1], _choices(get_type_hints(kind)[key]))}"
        raise UsageError(f"{where}: {key}: {told}" if key else f"{where}: {told}") from None


def _check(fault: Fault, where: str) -> None:
    """Refuse what could never fall, or nobody could tell when."""
    given = [name for name in ("probability", "requests", "text") if getattr(fault, name)]
    if len(given) != 1:
        told = f"not {' and '.join(given)}" if given else "and it has none"
        raise UsageError(f"{where}: one of probability, requests and text says when, {told}")
    can = WHERE[type(fault)]
    for protocol in fault.on or ():
        if protocol not in can:
            there = ", ".join(sorted(can))
            raise UsageError(f"{where}: cannot happen on {protocol}; it can on {there}")
    if fault.text and isinstance(fault, Refuse):
        raise UsageError(f"{where}: a connection is refused before there is any text")
    if fault.text and set(fault.on or ()) == {"transcription"}:
        raise UsageError(f"{where}: what is to be transcribed has no text; take requests")
    for code in (getattr(fault, "code", None), getattr(fault, "close", None)):
        if code in _NEVER_SENT:
            raise UsageError(f"{where}: nobody can close with {code} (RFC 6455, 7.4.1)")


def _choices(hint: object) -> list[str]:
    """The values that an annotation leaves to choose from, at any depth."""
    inner = get_args(hint)
    return [
        value
        for each in inner
        for value in (_choices(each) if get_args(each) else [f"{each}"])
        if each not in (type(None), Ellipsis)
    ]


def _meant(word: object, known: Sequence[str]) -> str:
    there_are = f"there are {', '.join(known)}"
    return there_are if str(word).isdigit() else meant(str(word), known, otherwise=there_are)
