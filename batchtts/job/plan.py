"""Manifest minus ledger: what is new, changed, done, failed before, gone. Pure.

Rows are met by position, in order, and looked up by id; a re-ordered manifest
costs nothing. Per row a few bytes are kept, whatever its script.

What a ledger tells of ids is the `Past`; what is known of rows, however it came to
be known, are `Facts`; what is to be done with them is a `Plan`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from batchtts.model import Status

NEW, CHANGED, FAILED, DONE = range(4)

_AT_ONCE = 8192
_SOUGHT_AT_ONCE = 1 << 20

#: What the status of a ledger line makes of its row.
KINDS: dict[Status, int] = {"pending": NEW, "failed": FAILED, "done": DONE}

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Kinds = np.ndarray[tuple[int], np.dtype[np.uint8]]
Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Told(NamedTuple):
    """What some ledger lines tell of their ids, oldest first: arrays of one length.

    Attributes:
        id_hashes: hash() of the ids.
        addresses: Where the lines are found.
        kinds: What their status makes of the row; see KINDS.
        fingerprints: The first 64 bits of each, as a signed number.
        characters_sent, costs_usd: See sum_usd().
    """

    id_hashes: Ints
    addresses: Ints
    kinds: Kinds
    fingerprints: Ints
    characters_sent: Ints
    costs_usd: Floats


#: Of the columns of Told.
_TYPES = (np.int64, np.int64, np.uint8, np.int64, np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger says of each id that it knows: arrays of one length, ids unique.

    Attributes:
        id_hashes: hash() of the ids, ascending.
        addresses: Where the last line of each is found.
        kinds: NEW (taken back, or never finished), FAILED or DONE.
        fingerprints: The first 64 bits of each, as a signed number.
        characters_sent, costs_usd: Of all lines about the id; see sum_usd().
    """

    id_hashes: Ints
    addresses: Ints
    kinds: Kinds
    fingerprints: Ints
    characters_sent: Ints
    costs_usd: Floats

    @classmethod
    def of(cls, told: Iterable[Told], *, room: int = 0) -> Past:
        """Fold lines, oldest first; the last one about an id counts, and what all have cost.

        Args:
            room: For so many lines at least; memory that is not used costs nothing.
        """
        columns = _joined(told, room)
        hashes = next(columns)
        # Of equal ids the stable order puts the last line last; that one is kept.
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        is_last = np.append(hashes[1:] != hashes[:-1], [True])[: len(hashes)]
        if is_last.all():
            return cls(hashes, *(column[order] for column in columns))
        keep, first = order[is_last], np.flatnonzero(np.append([True], is_last[:-1]))
        addresses, kinds, prints = (next(columns)[keep] for _ in range(3))
        sums = (np.add.reduceat(column[order], first) for column in columns)
        return cls(hashes[is_last], addresses, kinds, prints, *sums)

    def find(self, id_hashes: Ints) -> Ints:
        """Return for each id its place in the arrays, or -1."""
        return places(self.id_hashes, id_hashes)

    @property
    def known_usd(self) -> float:
        """What all lines together have cost, as far as prices are known."""
        return float(np.nansum(self.costs_usd))

    def in_order(self) -> Iterator[tuple[int, int, float]]:
        """Yield address, characters and dollars of each id, addresses ascending."""
        order = np.argsort(self.addresses)
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            columns = (self.addresses[some], self.characters_sent[some], self.costs_usd[some])
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def spoken(self, wanted: Ints, *, lost: Ints, sound: Ints) -> tuple[Ints, Ints]:
        """Return those of some fingerprints that are done and not lost, and where each is.

        Of lines with the same fingerprint those in *sound* come first. The fingerprints
        come back ascending.
        """
        done = np.flatnonzero(self.kinds == DONE)
        done = done[places(np.unique(wanted), self.fingerprints[done]) >= 0]
        if len(done):
            done = done[places(np.sort(lost), self.addresses[done]) < 0]
            is_sound = places(np.sort(sound), self.addresses[done]) >= 0
            done = done[np.argsort(~is_sound, kind="stable")]
        prints, at = np.unique(self.fingerprints[done], return_index=True)
        return prints, self.addresses[done[at]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of some rows, or of ids that no row has: arrays of one length.

    Attributes:
        is_done: Whether the audio is what is wanted, and was not found to be lost.
        kinds: What the last line about each makes of it: NEW, FAILED or DONE.
        addresses: Of that line; -1 if there is none, or none that matters.
        prints: The first 64 bits of the fingerprint that the line has.
        characters_sent, costs_usd: Of all lines about it; see sum_usd().
    """

    is_done: Bools
    kinds: Kinds
    addresses: Ints
    prints: Ints
    characters_sent: Ints
    costs_usd: Floats

    @classmethod
    def blank(cls, count: int) -> Facts:
        """Of as many rows that nothing is known of."""
        return cls(
            np.zeros(count, np.bool_),
            np.zeros(count, np.uint8),
            np.full(count, -1, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, np.float64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Facts]) -> Facts:
        """All of them, one after the other."""
        columns = zip(*(part.columns for part in parts), strict=True)
        return cls(*map(np.concatenate, columns)) if parts else cls.blank(0)

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def columns(self) -> tuple[Any, ...]:
        """The arrays, in the order of the attributes."""
        return (
            self.is_done,
            self.kinds,
            self.addresses,
            self.prints,
            self.characters_sent,
            self.costs_usd,
        )

    @property
    def counting(self) -> Ints:
        """The addresses of the lines that count: about what is wanted; else -1."""
        return np.where(self.is_done | (self.kinds == FAILED), self.addresses, -1)

    def at(self, places: Ints | Bools | slice) -> Facts:
        """The facts about some of these."""
        return Facts(*(column[places] for column in self.columns))

    def put(self, places: Ints, facts: Facts) -> None:
        """Know better of some of these."""
        for ours, theirs in zip(self.columns, facts.columns, strict=True):
            ours[places] = theirs


@dataclass(slots=True)
class Plan:
    """What is to be done with each row; changes as the run gets on.

    Attributes:
        kinds: Shape (rows,): NEW, CHANGED, FAILED or DONE.
        addresses: Shape (rows,): the ledger line that counts, or -1.
        replaces: Shape (rows,): the line about audio that is there and is not what is
            wanted now, or -1.
        characters_sent, costs_usd: Shape (rows,): of all attempts of all runs; see sum_usd().
        settled: Shape (rows,): rows that this run has come to an end with.
        changed: The rows that were CHANGED from the first, ascending.
        had: The first 64 bits of the fingerprints of what these have.
        left: What is known of ids that the manifest has no longer, addresses ascending.
    """

    kinds: Kinds
    addresses: Ints
    replaces: Ints
    characters_sent: Ints
    costs_usd: Floats
    settled: Bools
    changed: Ints
    had: Ints
    left: Facts

    @property
    def gone(self) -> Ints:
        """Where the ledger tells of ids that the manifest has no longer."""
        return self.left.addresses

    def count(self, kind: int) -> int:
        """How many rows are of a kind."""
        return int(np.count_nonzero(self.kinds == kind))

    @property
    def to_do(self) -> int:
        """How many rows are not done."""
        return len(self.kinds) - self.count(DONE)

    def settle(self, row: int, kind: int, address: int) -> None:
        """A row has become DONE or FAILED, as the ledger line at *address* says."""
        self.kinds[row] = kind
        self.addresses[row] = address
        self.replaces[row] = -1
        self.settled[row] = True

    def spend(self, row: int, characters: int, cost_usd: float | None) -> None:
        """So much more was spent on a row."""
        self.characters_sent[row] += characters
        self.costs_usd[row] += sum_usd(characters, cost_usd)

    def restate(self, row: int, address: int, characters: int, cost_usd: float | None) -> None:
        """So much more was spent on a row, and to no avail: all else stays as it was."""
        self.spend(row, characters, cost_usd)
        if self.replaces[row] >= 0:
            self.replaces[row] = address
        elif self.addresses[row] >= 0:
            self.addresses[row] = address

    def reopen(self, rows: Ints, kind: int) -> None:
        """Rows that were done are to be done again; their audio is there meanwhile."""
        was_done = rows[self.kinds[rows] == DONE]
        self.replaces[was_done] = self.addresses[was_done]
        self.kinds[was_done] = kind
        self.addresses[was_done] = -1

    def close(self, rows: Ints) -> None:
        """Rows that were reopened stay done after all."""
        self.kinds[rows] = DONE
        self.addresses[rows] = self.replaces[rows]
        self.replaces[rows] = -1


def make_plan(id_hashes: Ints, fingerprints: Ints, past: Past) -> Plan:
    """Compare each row of the manifest with the past."""
    at = past.find(id_hashes)
    missed = past.kinds != NEW
    missed[at[at >= 0]] = False
    left = np.flatnonzero(missed)
    left = left[np.argsort(past.addresses[left])]
    return compare(recalled(past, at), fingerprints, recalled(past, left))


def recalled(past: Past, at: Ints) -> Facts:
    """What is known of some ids, by their places in the past; -1 is nowhere."""
    unknown = at < 0

    def column(values: np.ndarray[Any, Any], otherwise: int) -> np.ndarray[Any, Any]:
        if not len(values):
            return np.full(len(at), otherwise, dtype=values.dtype)
        found = values[at]
        found[unknown] = otherwise
        return found

    return Facts(
        np.zeros(len(at), np.bool_),
        column(past.kinds, NEW),
        column(past.addresses, -1),
        column(past.fingerprints, 0),
        column(past.characters_sent, 0),
        column(past.costs_usd, 0),
    )


def compare(facts: Facts, fingerprints: Ints, left: Facts) -> Plan:
    """Compare what is known of rows with what is wanted; the plan keeps arrays of *facts*.

    Args:
        left: Of ids that the manifest has no longer.
    """
    kinds, addresses = facts.kinds, facts.addresses
    known = addresses >= 0
    same = known & (facts.prints == fingerprints)
    changed = np.flatnonzero(known & ~same & (kinds == DONE))
    replaces = np.full(len(kinds), -1, np.int64)
    replaces[changed] = addresses[changed]
    kinds[changed] = CHANGED
    kinds[~same & (kinds == FAILED)] = NEW
    addresses[~same | (kinds == NEW)] = -1
    return Plan(
        kinds=kinds,
        addresses=addresses,
        replaces=replaces,
        characters_sent=facts.characters_sent,
        costs_usd=facts.costs_usd,
        settled=np.zeros(len(kinds), np.bool_),
        changed=changed,
        had=facts.prints[changed],
        left=left,
    )


def known(plan: Plan, prints: Ints, some: slice) -> Facts:
    """What is known of some rows that a plan is about, now; *prints* are what is wanted."""
    kinds, replaces = plan.kinds[some], plan.replaces[some]
    is_done, is_held = kinds == DONE, replaces >= 0
    found = np.where(is_done | (kinds == FAILED), prints[some], 0)
    first, end, _ = some.indices(len(plan.kinds))
    from_, to = np.searchsorted(plan.changed, [first, end])
    was = prints[some].copy()  # what was lost, or is asked for again, is what is wanted
    was[plan.changed[from_:to] - first] = plan.had[from_:to]
    return Facts(
        is_done,
        np.where(is_held, DONE, np.where(kinds == CHANGED, NEW, kinds)).astype(np.uint8),
        np.where(is_held, replaces, plan.addresses[some]),
        np.where(is_held, was, found),
        plan.characters_sent[some],
        plan.costs_usd[some],
    )


def places(ascending: Ints, sought: Ints) -> Ints:
    """Return where each number is found, or -1."""
    found = np.full(len(sought), -1, dtype=np.int64)
    if not len(ascending):
        return found
    for start in range(0, len(sought), _SOUGHT_AT_ONCE):
        some = sought[start : start + _SOUGHT_AT_ONCE]
        order = np.argsort(some)  # sought in order, each is found near the one before
        ordered = some[order]
        at = np.searchsorted(ascending, ordered).clip(max=len(ascending) - 1)
        at[ascending[at] != ordered] = -1
        found[start + order] = at
    return found


def sum_usd(characters_sent: int, cost_usd: float | None) -> float:
    """A cost as sums need it: not a number if something was sent and the price is not known."""
    if cost_usd is None:
        return math.nan if characters_sent else 0.0
    return cost_usd


def short(fingerprint: str) -> int:
    """The first 64 bits of a fingerprint as a signed number; 0 for none."""
    return int.from_bytes(bytes.fromhex(fingerprint[:16]), "big", signed=True)


def _joined(told: Iterable[Told], room: int) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the columns whole, one by one; nobody else has them."""
    columns = [np.empty(room, dtype) for dtype in _TYPES]
    size = 0
    for some in told:
        parts: Sequence[np.ndarray[Any, Any]] = some
        begin, size = size, size + len(some.addresses)
        for column, part in zip(columns, parts, strict=True):
            if size > len(column):
                column.resize(size + size // 8, refcheck=False)
            column[begin:size] = part
    while columns:
        column = columns.pop(0)
        column.resize(size, refcheck=False)
        yield column
