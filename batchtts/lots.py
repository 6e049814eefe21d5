"""Many things, some at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Thing = TypeVar("Thing")


def lots(things: Iterable[Thing], most: int) -> Iterator[list[Thing]]:
    """Yield lists of *most* things, the last of which may be shorter and none of which is empty."""
    left = iter(things)
    while some := list(islice(left, most)):
        yield some
