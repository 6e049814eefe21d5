from __future__ import annotations

from pathlib import Path

import pytest

from batchtts.run.learned import GOOD_FOR_S, keep, recall
from batchtts.run.pace import InFlight

HERE, THERE = "together at ws://here", "together at ws://there"


def taught(in_flight: int, allowed: int = 64) -> InFlight:
    """A pace that was refused beyond so many."""
    pace = InFlight(allowed, in_flight)
    for _ in range(in_flight):
        pace.succeeded(pace.send(in_flight), is_full=False)
    pace.succeeded(pace.send(in_flight), is_full=True)
    pace.refused(pace.send(in_flight + 1), in_flight)
    assert pace.learned == in_flight
    return pace


def learn(path: Path, where: str, pace: InFlight, now: float = 0.0) -> int | None:
    return keep(path, where, pace, allowed=pace.ceiling, now=now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pace.json"


def test_what_was_learned_of_an_address_is_known_of_that_address(path: Path) -> None:
    assert learn(path, HERE, taught(16)) == 16
    assert learn(path, THERE, taught(5)) == 5
    assert recall(path, HERE, allowed=64, now=60.0) == 16
    assert recall(path, THERE, allowed=64, now=60.0) == 5
    assert recall(path, "deepgram at wss://elsewhere", allowed=64, now=60.0) == 0


def test_it_is_known_for_a_day(path: Path) -> None:
    learn(path, HERE, taught(16), now=1000.0)
    assert recall(path, HERE, allowed=64, now=1000.0 + GOOD_FOR_S - 1.0) == 16
    assert recall(path, HERE, allowed=64, now=1000.0 + GOOD_FOR_S) == 0
    assert recall(path, HERE, allowed=64, now=999.0) == 0


def test_who_allows_another_number_wants_to_know_anew(path: Path) -> None:
    learn(path, HERE, taught(16))
    assert recall(path, HERE, allowed=32, now=1.0) == 0


def test_a_run_that_was_never_refused_writes_nothing(path: Path) -> None:
    assert learn(path, HERE, InFlight(64)) is None
    assert not path.exists()


def test_a_run_that_was_never_refused_takes_back_what_was_known(path: Path) -> None:
    learn(path, HERE, taught(16))
    learn(path, THERE, taught(5))
    assert learn(path, HERE, InFlight(64)) is None
    assert recall(path, HERE, allowed=64, now=1.0) == 0
    assert recall(path, THERE, allowed=64, now=1.0) == 5


def test_a_run_that_was_too_short_to_tell_changes_nothing(path: Path) -> None:
    learn(path, HERE, taught(16), now=1.0)
    assert learn(path, HERE, InFlight(64, 16), now=2.0) is None
    assert keep(path, HERE, InFlight(3), allowed=64, now=2.0) is None
    assert recall(path, HERE, allowed=64, now=GOOD_FOR_S) == 16
    assert recall(path, HERE, allowed=64, now=GOOD_FOR_S + 1.5) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b'{"together at ws://here": 16}',
        b'{"together at ws://here": {"in_flight": "16", "allowed": 64, "at": 0}}',
        b'{"together at ws://here": {"in_flight": -16, "allowed": 64, "at": 0}}',
    ],
)
def test_what_cannot_be_read_is_not_known(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert recall(path, HERE, allowed=64, now=1.0) == 0
    assert learn(path, HERE, taught(16)) == 16
    assert recall(path, HERE, allowed=64, now=1.0) == 16


def test_what_cannot_be_written_is_told_all_the_same(tmp_path: Path) -> None:
    assert learn(tmp_path / "not there" / "pace.json", HERE, taught(16)) == 16
