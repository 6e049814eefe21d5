"""What the columns of a manifest are for, and what their cells say.

Some columns mean something here; the others are carried to the results as they
are. Text formats do not say what type a column has, and a type is only given where
nothing is lost by it: ``007`` stays text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from batchtts.errors import ManifestError
from batchtts.hints import nearest

#: The names that a column with this meaning may have, best first.
ROLES = {
    "text": ("text", "script", "sentence", "transcript", "normalized_text"),
    "id": ("id", "utt_id", "utterance_id", "key"),
    "voice": ("voice",),
    "model": ("model",),
    "language": ("language",),
    "speed": ("speed",),
    "speaker": ("speaker",),
    "canary": ("canary",),
}
SLOWEST, FASTEST = 0.25, 4.0
LISTED = 12  # columns named in a message

_YES, _NO = ("true", "1", "yes"), ("", "false", "0", "no")

_TRUTHS = (("true", "false"), ("True", "False"), ("TRUE", "FALSE"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column of the manifest is which; None where there is none."""

    text: str
    id: str | None
    voice: str | None
    model: str | None
    language: str | None
    speed: str | None
    speaker: str | None = None
    canary: str | None = None

    @property
    def used(self) -> list[str]:
        """Those that say what is to be spoken, and how."""
        who = (self.voice, self.model, self.language, self.speed, self.speaker)
        ours = (self.text, self.id, *who, self.canary)
        return [name for name in ours if name is not None]

    def carried(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that are copied to the results."""
        ours = {self.id, self.voice, self.model, self.language} - {self.text, self.speed}
        return [name for name in names if name not in ours]


def resolve(
    path: Path, names: Sequence[str], wanted: Mapping[str, str], *, speakers: bool = False
) -> Columns:
    """Find the columns that mean something, *wanted* ones first.

    Args:
        speakers: Whether a column "speaker" does; else it is like any other.
    """
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(path, f'two columns are named "{name}"')
    chosen = {role: _wanted(path, names, role, name) for role, name in wanted.items()}
    free = [name for name in names if name not in chosen.values()]
    guessed = [role for role in ROLES if speakers or role != "speaker"]
    found = {role: _first(free, ROLES[role]) for role in guessed} | chosen
    text = found.pop("text")
    if text is None:
        near = next(filter(None, (nearest(name, free) for name in ROLES["text"])), None)
        hint = f'did you mean "{near}"? --column text={near}' if near else "--column text=NAME"
        raise ManifestError(path, f'no column "text"; it has {_listed(names)}', hint=hint)
    return Columns(text=text, **found)


def _wanted(path: Path, names: Sequence[str], role: str, name: str) -> str:
    if role not in ROLES:
        raise ManifestError(path, f'no use for a column "{role}"; there is {_listed([*ROLES])}')
    found = _match(names, name)
    if found is None:
        near = nearest(name, names)
        hint = near and f'did you mean "{near}"? --column {role}={near}'
        raise ManifestError(path, f'no column "{name}"; it has {_listed(names)}', hint=hint)
    return found


def _first(names: Sequence[str], sought: Iterable[str]) -> str | None:
    return next(filter(None, (_match(names, name) for name in sought)), None)


def _match(names: Sequence[str], sought: str) -> str | None:
    if sought in names:
        return sought
    folded = sought.strip().casefold()
    return next((name for name in names if name.strip().casefold() == folded), None)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def check_types(path: Path, columns: Columns, schema: pa.Schema) -> None:
    """Refuse types that cannot be read as what the column is for."""
    for role in ROLES:
        name = getattr(columns, role)
        if name is not None and not _fits(role, schema.field(name).type):
            needed, hint = _needs(role)
            problem = f'column "{name}" is {schema.field(name).type}; it must be {needed}'
            raise ManifestError(path, problem, hint=hint)


def _fits(role: str, type: pa.DataType) -> bool:
    if pa.types.is_dictionary(type):
        return _fits(role, type.value_type)
    if _is_text(type):
        return True
    if role == "text":
        return False
    if role == "canary":
        kinds = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_null)
        return any(kind(type) for kind in kinds)
    if pa.types.is_integer(type) or pa.types.is_null(type):
        return True
    return role == "speed" and (pa.types.is_floating(type) or pa.types.is_decimal(type))


def _needs(role: str) -> tuple[str, str | None]:
    if role == "text":
        return "text", "name the column to speak: --column text=NAME"
    if role == "speed":
        return "numbers", None
    if role == "canary":
        return "true or false", None
    return "text or integers", f"cast it, or choose another column: --column {role}=NAME"


def _is_text(type: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(kind(type) for kind in kinds)


def as_text(column: pa.Array) -> list[str | None]:
    """Return the cells as they are written; integers in decimal."""
    cells: list[str | None] = in_utf8(column).to_pylist()
    return cells


def in_utf8(column: pa.Array) -> pa.StringArray:
    """Return the same cells in a column of text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == pa.string() else column.cast(pa.string())


def as_names(column: pa.Array) -> list[str | None]:
    """Return the cells as text; a blank one names nothing."""
    return [cell if cell and not cell.isspace() else None for cell in as_text(column)]


def as_ids(path: Path, column: pa.Array, first_row: int) -> list[str]:
    """Return the cells as ids, which are neither null nor empty."""
    ids = as_text(column)
    for bad, name in ((None, "null"), ("", "empty")):
        if bad in ids:
            row = first_row + ids.index(bad) + 1
            raise ManifestError(path, f"id is {name}", row=row)
    return ids  # type: ignore[return-value]  # no None is left


def as_speeds(path: Path, column: pa.Array, first_row: int) -> list[float | None]:
    """Return the cells as factors, 1.0 being the voice's own pace."""
    speeds = [_as_speed(cell) for cell in column.to_pylist()]
    for position, speed in enumerate(speeds):
        if speed is not None and not SLOWEST <= speed <= FASTEST:  # NaN is refused too
            cell = column[position].as_py()
            problem = f"speed is {cell}; it must be a number from {SLOWEST:g} to {FASTEST:g}"
            raise ManifestError(path, problem, row=first_row + position + 1)
    return speeds


def as_truths(path: Path, column: pa.Array, first_row: int) -> list[bool]:
    """Return the cells as yes or no; a blank one is no.

    Raises:
        ManifestError: a cell is neither.
    """
    truths = []
    for position, cell in enumerate(as_text(column)):
        told = (cell or "").strip().lower()
        if told not in _YES and told not in _NO:
            problem = f'canary is "{cell}"; it must be true or false'
            raise ManifestError(path, problem, row=first_row + position + 1)
        truths.append(told in _YES)
    return truths


def _as_speed(cell: object) -> float | None:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        return float(cell)  # type: ignore[arg-type]  # numbers and text by check_types
    except ValueError:
        return float("nan")


def retyped(column: pa.Array, type: pa.DataType) -> pa.Array:
    """Give a column of text the type that was found for it; an empty cell becomes null."""
    if column.type == type:
        return column
    return pc.if_else(pc.equal(column, ""), None, column).cast(type)


@dataclass(slots=True)
class Guess:
    """The type that every cell of a column of text has, as far as it was seen."""

    empty: bool = True
    whole: bool = True
    decimal: bool = True
    truths: list[tuple[str, str]] = field(default_factory=lambda: list(_TRUTHS))
    padded: bool = False  # some decimal ends in a zero that is not needed
    digits: set[int] = field(default_factory=set)  # behind the point

    def see(self, column: pa.Array) -> None:
        if not (self.whole or self.decimal or self.truths):
            return
        cells = column.filter(pc.not_equal(column, ""))
        if len(cells):
            self.empty = False
            self.whole = self.whole and _are_whole(cells)
            self.decimal = self.decimal and self._are_decimal(cells)
            self.truths = [pair for pair in self.truths if _are_among(cells, pair)]

    @property
    def type(self) -> pa.DataType:
        if self.empty:
            return pa.string()
        if self.whole:
            return pa.int64()
        # 1.9 and 1.10 are chapters or versions; 1.90 and 1.10 are numbers.
        if self.decimal and not (self.padded and len(self.digits) > 1):
            return pa.float64()
        return pa.bool_() if self.truths else pa.string()

    def _are_decimal(self, cells: pa.Array) -> bool:
        # Fifteen digits and any fraction survive a double.
        if not _all_match(cells, r"^-?(0|[1-9]\d{0,14})(\.\d{1,17})?\z"):
            return False
        point = pc.find_substring(cells, ".")
        behind = pc.subtract(pc.binary_length(cells), pc.add(point, 1))
        self.digits.update(pc.unique(pc.if_else(pc.less(point, 0), 0, behind)).to_pylist())
        self.padded |= pc.any(pc.match_substring_regex(cells, r"\.\d+0\z")).as_py()
        return True


def _are_whole(cells: pa.Array) -> bool:
    try:
        numbers = cells.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    # Back again they must look the same: 007, +7 and 0x7 do not.
    return bool(numbers.cast(pa.string()).equals(cells))


def _are_among(cells: pa.Array, words: tuple[str, str]) -> bool:
    return bool(pc.all(pc.is_in(cells, pa.array(words))).as_py())


def _all_match(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())
