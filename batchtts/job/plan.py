"""Manifest minus ledger: what is new, changed, done, failed before, gone. Pure.

Rows are met by position, in order, and looked up by id; a re-ordered manifest
costs nothing. Per row a few bytes are kept, whatever its script.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from batchtts.model import AudioFormat, Status, Voice

NEW, CHANGED, FAILED, DONE = range(4)

_AT_ONCE = 8192

#: What the status of a ledger line makes of its row.
KINDS: dict[Status, int] = {"pending": NEW, "failed": FAILED, "done": DONE}

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Kinds = np.ndarray[tuple[int], np.dtype[np.uint8]]


class Fingerprints:
    """Hashes everything that changes the sound of a script."""

    def __init__(
        self, provider: str, format: AudioFormat, options: Mapping[str, object] = {}
    ) -> None:
        self._common = f"{provider}\0{format.container}\0{format.sample_rate_hz}\0"
        if options:
            self._common += f"{json.dumps(options, sort_keys=True)}\0"
        self._begun: dict[tuple[Voice, float], Any] = {}

    def of(self, script: str, voice: Voice, speed: float) -> str:
        """Return 32 hexadecimal digits."""
        begun = self._begun.get((voice, speed))
        if begun is None:
            how = f"{self._common}{voice.model}\0{voice.name}\0{voice.language}\0{speed:.6g}\0"
            begun = self._begun[voice, speed] = sha256(how.encode())
        whole = begun.copy()
        whole.update(script.encode())
        return str(whole.hexdigest()[:32])


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


@dataclass(slots=True)
class Plan:
    """What is to be done with each row; changes as the run gets on.

    Attributes:
        kinds: Shape (rows,): NEW, CHANGED, FAILED or DONE.
        addresses: Shape (rows,): the ledger line that counts, or -1.
        replaces: Shape (rows,): the line about audio that is there and is not what is
            wanted now, or -1.
        characters_sent, costs_usd: Shape (rows,): of all attempts of all runs; see sum_usd().
        gone: Where the ledger tells of ids that the manifest has no longer.
        settled: Shape (rows,): rows that this run has come to an end with.
    """

    kinds: Kinds
    addresses: Ints
    replaces: Ints
    characters_sent: Ints
    costs_usd: Floats
    gone: Ints
    settled: np.ndarray[tuple[int], np.dtype[np.bool_]]

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
    place = past.find(id_hashes)
    known = place >= 0

    def recalled(values: np.ndarray[Any, Any], otherwise: int) -> np.ndarray[Any, Any]:
        if not len(values):
            return np.full(len(place), otherwise, dtype=values.dtype)
        found = values[place]
        found[~known] = otherwise
        return found

    kinds = recalled(past.kinds, NEW)
    addresses = recalled(past.addresses, -1)
    same = known & (recalled(past.fingerprints, 0) == fingerprints)
    changed = known & ~same & (kinds == DONE)
    kinds[changed] = CHANGED
    kinds[known & ~same & (kinds == FAILED)] = NEW
    is_missed = past.kinds != NEW
    is_missed[place[known]] = False
    return Plan(
        kinds=kinds,
        addresses=np.where(same & (kinds != NEW), addresses, -1),
        replaces=np.where(changed, addresses, -1),
        characters_sent=recalled(past.characters_sent, 0),
        costs_usd=recalled(past.costs_usd, 0),
        gone=np.sort(past.addresses[is_missed]),
        settled=np.zeros(len(place), np.bool_),
    )


def find_twins(fingerprints: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Of rows with the same fingerprint the first one speaks for the others.

    Args:
        fingerprints: Of all rows, shape (all,).
        rows: Those to look at, ascending.

    Returns:
        The rows that are spoken for, ascending, and for each the one that speaks.
    """
    _, first, inverse = np.unique(fingerprints[rows], return_index=True, return_inverse=True)
    speaker = rows[first[inverse]]
    others = speaker != rows
    return rows[others], speaker[others]


def find_spoken(
    fingerprints: Ints, rows: Ints, past: Past, *, lost: Ints, sound: Ints
) -> tuple[Ints, Ints]:
    """Find rows whose audio is there already, under another id.

    Args:
        lost: Addresses of lines whose audio is not there any more.
        sound: Addresses of lines whose audio was looked for and stays.

    Returns:
        Those of *rows*, and for each the address of a line that tells of its audio.
    """
    prints, addresses = past.spoken(fingerprints[rows], lost=lost, sound=sound)
    at = places(prints, fingerprints[rows])
    return rows[at >= 0], addresses[at[at >= 0]]


def places(ascending: Ints, sought: Ints) -> Ints:
    """Return where each number is found, or -1."""
    if not len(ascending):
        return np.full(len(sought), -1, dtype=np.int64)
    at = np.searchsorted(ascending, sought).clip(max=len(ascending) - 1)
    return np.where(ascending[at] == sought, at, -1)


def sum_usd(characters_sent: int, cost_usd: float | None) -> float:
    """A cost as sums need it: not a number if something was sent and the price is not known."""
    if cost_usd is None:
        return math.nan if characters_sent else 0.0
    return cost_usd


def hash_script(script: str) -> str:
    """Return 16 hexadecimal digits that stand for a script."""
    return sha256(script.encode()).hexdigest()[:16]


def short(fingerprint: str) -> int:
    """The first 64 bits of a fingerprint as a signed number; 0 for none."""
    return int.from_bytes(bytes.fromhex(fingerprint[:16]), "big", signed=True)


def contested(names: Ints, ids: Ints) -> frozenset[int]:
    """Return the names that belong to more than one id.

    Args:
        names: hash() of each case-folded file name.
        ids: hash() of the id that it belongs to; the same pair may come twice.
    """
    pairs = np.unique(np.stack([names, ids], axis=1), axis=0) if len(names) else names
    if not len(pairs):
        return frozenset()
    values, counts = np.unique(pairs[:, 0], return_counts=True)
    return frozenset(values[counts > 1].tolist())


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
