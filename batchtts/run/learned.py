"""How many requests in flight a provider took, kept in the output directory for the next run.

A hint and nothing more: what cannot be read is not there, and what cannot be written
is not kept.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from batchtts.run.pace import InFlight

GOOD_FOR_S = 86_400.0  # a day


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What one address took.

    Attributes:
        in_flight: Requests at once.
        allowed: How many the run could have had; who changes that wants to know anew.
        at: When, seconds since the epoch.
    """

    in_flight: int
    allowed: int
    at: float


def recall(path: Path, where: str, *, allowed: int, now: float) -> int:
    """Return how many requests an address took; 0 is not known."""
    found = _read(path).get(where)
    if found is None or found.allowed != allowed or not 0 <= now - found.at < GOOD_FOR_S:
        return 0
    return max(0, found.in_flight)


def keep(path: Path, where: str, pace: InFlight, *, allowed: int, now: float) -> int | None:
    """Write down what an address took; return it, if it is less than is allowed.

    A run that was never refused tells that it takes more than was known; one that is
    too short to tell changes nothing.
    """
    known = _read(path)
    if (taken := pace.learned) is not None:
        known[where] = Learned(in_flight=taken, allowed=allowed, at=now)
    elif where in known and pace.limit >= allowed:
        del known[where]
    else:
        return None
    with suppress(OSError):
        path.write_bytes(msgspec.json.encode(known))
    return taken


def _read(path: Path) -> dict[str, Learned]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Learned])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
