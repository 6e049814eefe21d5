"""Which file names more than one row would have, on a file system that folds case."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.job.manifest import Manifest
from batchtts.job.plan import Bools, Ints
from batchtts.record import names

#: Ids that are their own names, in lower case, but for the devices of Windows.
_OWN_NAME = rf"^[a-z0-9_-]([a-z0-9._-]{{0,{names.LONGEST - 2}}}[a-z0-9_-])?$"
_MAY_BE_DEVICE = r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)"


def contested_names(manifest: Manifest, told: tuple[Ints, Ints]) -> frozenset[int]:
    """Return hash() of the case-folded file name stems that two ids would share.

    Args:
        told: hash() of such stems that are in use, and hash() of the ids that have them.
    """
    stems = manifest.id_hashes.copy()
    for batch in manifest.batches():
        at = slice(batch.first_row, batch.first_row + len(batch))
        for i in np.flatnonzero(~_are_own_names(pa.array(batch.ids, pa.string()))).tolist():
            stems[at][i] = hash(_stem(batch.ids[i]))
    return contested(
        np.concatenate([stems, told[0]]), np.concatenate([manifest.id_hashes, told[1]])
    )


def stems_of(manifest: Manifest, contested: frozenset[int]) -> list[str]:
    """Return the stems, case-folded, that stand behind such hashes in this manifest."""
    if not contested:
        return []
    stems = {_stem(it) for batch in manifest.batches() for it in batch.ids}
    return sorted(stem for stem in stems if hash(stem) in contested)


def folded_hashes(stems: pa.StringArray, ids: pa.StringArray, id_hashes: Ints) -> Ints:
    """Return hash() of each stem, case-folded; most are the ids themselves."""
    found = id_hashes.copy()
    is_own = pc.equal(stems, ids).to_numpy(zero_copy_only=False) & _are_own_names(ids)
    for i in np.flatnonzero(~is_own).tolist():
        found[i] = hash(stems[i].as_py().casefold())
    return found


def _stem(row_id: str) -> str:
    return names.stem(row_id).casefold()


def _are_own_names(ids: pa.StringArray) -> Bools:
    own = pc.match_substring_regex(ids, _OWN_NAME)
    device = pc.match_substring_regex(ids, _MAY_BE_DEVICE)
    found: Bools = pc.and_not(own, device).to_numpy(zero_copy_only=False)
    return found


def contested(names: Ints, ids: Ints) -> frozenset[int]:
    """Return the names that belong to more than one id.

    Args:
        names: hash() of each case-folded file name; that of the id, if they are alike.
        ids: hash() of the id that it belongs to; the same pair may come twice.
    """
    odd = np.flatnonzero(names != ids)  # nearly none, and the others cannot contest each other
    plain = np.ones(len(names), np.bool_)
    plain[odd] = False
    clashing = names[odd][np.isin(names[odd], names[plain])] if len(odd) else names[:0]
    odd = odd[np.argsort(names[odd], kind="stable")]
    mine, owners = names[odd], ids[odd]
    twice = mine[1:][(mine[1:] == mine[:-1]) & (owners[1:] != owners[:-1])]
    return frozenset([*clashing.tolist(), *twice.tolist()])
