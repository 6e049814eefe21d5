"""What the connections of one server share, and what is known of one that has just come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from batchtts.server.casting import Casting
from batchtts.server.knobs import Knobs


@dataclass(slots=True, kw_only=True)
class House:
    """Shared by all connections.

    Attributes:
        in_flight: Requests at work, by key, where a provider limits them.
        sockets: Connections, by key, where a provider limits them.
    """

    casting: Casting
    knobs: Knobs = field(default_factory=Knobs)
    in_flight: Counter[str] = field(default_factory=Counter)
    sockets: Counter[str] = field(default_factory=Counter)


class TurnedAway(Exception):
    """A conversation does not take this client; the upgrade is answered with a status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One client.

    Attributes:
        number: Tells connections apart.
        query: The parameters of the address.
        is_welcome: Whether the key is good; only those who say so themselves are
            let in without.
    """

    number: int
    path: str
    query: Mapping[str, str]
    key: str
    house: House
    is_welcome: bool = True
