"""Manifest minus ledger: what is new, changed, done, failed before, gone. Pure.

Rows are met by position, in order, and looked up by id; a re-ordered manifest
costs nothing. Per row a few bytes are kept, whatever its script.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from batchtts.model import AudioFormat, Status, Voice

NEW, CHANGED, FAILED, DONE = range(4)

_KINDS: dict[Status, int] = {"pending": NEW, "failed": FAILED, "done": DONE}

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
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


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger says of each id that it knows: arrays of one length, ids unique.

    Attributes:
        id_hashes: hash() of the ids, ascending.
        offsets: Where the last line of each begins.
        kinds: NEW (taken back), FAILED or DONE.
        fingerprints: The first 64 bits of each, as a signed number.
    """

    id_hashes: Ints
    offsets: Ints
    kinds: Kinds
    fingerprints: Ints

    @classmethod
    def of(cls, lines: Iterable[tuple[int, int, Status, str]]) -> Past:
        """Fold (id hash, offset, status, fingerprint), oldest first; the last one counts."""
        hashes, offsets, kinds, prints = _columns(lines)
        # Of equal ids the stable order puts the last line last; that one is kept.
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        last = np.append(ordered[1:] != ordered[:-1], [True] if len(ordered) else [])
        keep = order[last.astype(bool)]
        return cls(hashes[keep], offsets[keep], kinds[keep], prints[keep])

    def find(self, id_hashes: Ints) -> Ints:
        """Return for each id its place in the arrays, or -1."""
        if not len(self.id_hashes):
            return np.full(len(id_hashes), -1, dtype=np.int64)
        at = np.searchsorted(self.id_hashes, id_hashes).clip(max=len(self.id_hashes) - 1)
        return np.where(self.id_hashes[at] == id_hashes, at, -1)


@dataclass(slots=True)
class Plan:
    """What is to be done with each row; changes as the run gets on.

    Attributes:
        kinds: Shape (rows,): NEW, CHANGED, FAILED or DONE.
        offsets: Shape (rows,): the ledger line that counts, or -1.
        gone: Ids in the ledger that the manifest has no longer.
    """

    kinds: Kinds
    offsets: Ints
    gone: int

    def count(self, kind: int) -> int:
        """How many rows are of a kind."""
        return int(np.count_nonzero(self.kinds == kind))

    @property
    def to_do(self) -> int:
        """How many rows are not done."""
        return len(self.kinds) - self.count(DONE)

    def settle(self, row: int, kind: int, offset: int) -> None:
        """A row has become DONE or FAILED, as the ledger line at *offset* says."""
        self.kinds[row] = kind
        self.offsets[row] = offset


def make_plan(id_hashes: Ints, fingerprints: Ints, past: Past) -> Plan:
    """Compare each row of the manifest with the past."""
    place = past.find(id_hashes)
    known = place >= 0
    if not len(past.id_hashes):
        return Plan(np.full(len(place), NEW, dtype=np.uint8), place, 0)
    kinds = np.where(known, past.kinds[place], NEW).astype(np.uint8)
    same = known & (past.fingerprints[place] == fingerprints)
    kinds[known & ~same & (kinds == DONE)] = CHANGED
    kinds[known & ~same & (kinds == FAILED)] = NEW
    offsets = np.where(same & (kinds != NEW), past.offsets[place], -1)
    return Plan(kinds, offsets, len(past.id_hashes) - int(np.count_nonzero(known)))


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


def _columns(lines: Iterable[tuple[int, int, Status, str]]) -> tuple[Ints, Ints, Kinds, Ints]:
    hashes, offsets, kinds, prints = array("q"), array("q"), array("B"), array("q")
    for id_hash, offset, status, fingerprint in lines:
        hashes.append(id_hash)
        offsets.append(offset)
        kinds.append(_KINDS[status])
        prints.append(short(fingerprint))
    return (
        np.array(hashes, dtype=np.int64),
        np.array(offsets, dtype=np.int64),
        np.array(kinds, dtype=np.uint8),
        np.array(prints, dtype=np.int64),
    )
