from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.job.plan import (
    CHANGED,
    DONE,
    FAILED,
    NEW,
    Ints,
    Past,
    Plan,
    Told,
    make_plan,
    short,
)
from batchtts.job.prints import Fingerprints
from batchtts.job.sharing import find_spoken, find_twins
from batchtts.model import AudioFormat, Status, Voice
from batchtts.run.contest import contested

VOICE = Voice("af_heart", "hexgrad/Kokoro-82M", "en-us")
WAV = AudioFormat("wav", 24_000)

statuses = st.sampled_from(["done", "failed", "pending"])
prints = st.sampled_from(["0f" * 16, "ff" * 16, ""])
past_lines = st.lists(st.tuples(st.integers(-3, 3), statuses, prints))


KINDS = {"done": DONE, "failed": FAILED, "pending": NEW}


def ints(*numbers: int) -> Ints:
    return np.array(numbers, np.int64)


def past(*lines: tuple[int, Status, str], room: int = 0) -> Past:
    """What the ledger tells, line by line; a line's address is its place times ten."""
    told = (
        Told(
            ints(each[0]),
            ints(10 * at),
            np.array([KINDS[each[1]]], np.uint8),
            ints(short(each[2])),
            ints(at),
            np.array([at / 4]),
        )
        for at, each in enumerate(lines)
    )
    return Past.of(told, room=room)


def plan(rows: dict[int, str], told: Past) -> Plan:
    """Compare rows, given as id and fingerprint, with the past."""
    return make_plan(ints(*rows), ints(*map(short, rows.values())), told)


OLD, NOW = "0f" * 16, "f0" * 16


# The past


def test_the_last_line_about_an_id_counts() -> None:
    told = past((7, "failed", OLD), (5, "done", OLD), (7, "done", NOW), (7, "failed", ""))
    assert told.id_hashes.tolist() == [5, 7]
    assert told.addresses.tolist() == [10, 30]
    assert told.kinds.tolist() == [DONE, FAILED]
    assert told.fingerprints.tolist() == [short(OLD), 0]
    assert told.characters_sent.tolist() == [1, 0 + 2 + 3]
    assert told.costs_usd.tolist() == [0.25, 1.25]


@given(past_lines, st.integers(0, 30))
def test_the_past_is_what_a_dictionary_would_remember(
    lines: list[tuple[int, Status, str]], room: int
) -> None:
    remembered: dict[int, tuple[int, int, int, int, float]] = {}
    for at, (row, status, fingerprint) in enumerate(lines):
        *_, characters, cost_usd = remembered.get(row, (0, 0.0))
        remembered[row] = (
            10 * at,
            KINDS[status],
            short(fingerprint),
            characters + at,
            cost_usd + at / 4,
        )
    told = past(*lines, room=room)
    assert told.id_hashes.tolist() == sorted(remembered)
    columns = (
        told.addresses,
        told.kinds,
        told.fingerprints,
        told.characters_sent,
        told.costs_usd,
    )
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    assert rows == [remembered[each] for each in sorted(remembered)]
    found = told.find(ints(*range(-5, 6)))
    assert [at >= 0 for at in found.tolist()] == [each in remembered for each in range(-5, 6)]
    assert all(
        told.id_hashes[at] == each for each, at in zip(range(-5, 6), found, strict=True) if at >= 0
    )


def test_in_an_empty_past_nothing_is_found() -> None:
    assert past().find(ints(1, 2)).tolist() == [-1, -1]


# What is to be done


@dataclass(frozen=True)
class Case:
    """A line of the ledger about a row, and what becomes of the row."""

    line: tuple[Status, str] | None
    kind: int
    counts: bool
    replaces: bool = False


@pytest.mark.parametrize(
    "case",
    [
        Case(None, NEW, counts=False),
        Case(("done", NOW), DONE, counts=True),
        Case(("done", OLD), CHANGED, counts=False, replaces=True),
        Case(("done", ""), CHANGED, counts=False, replaces=True),
        Case(("failed", NOW), FAILED, counts=True),
        Case(("failed", OLD), NEW, counts=False),
        Case(("pending", NOW), NEW, counts=False),
        Case(("pending", ""), NEW, counts=False),
    ],
)
def test_a_row_is_done_only_if_it_was_done_just_so(case: Case) -> None:
    line = [] if case.line is None else [(7, *case.line)]
    made = plan({7: NOW}, past((1, "done", NOW), *line))
    assert made.kinds.tolist() == [case.kind]
    assert made.addresses.tolist() == [10 if case.counts else -1]
    assert made.replaces.tolist() == [10 if case.replaces else -1]
    assert made.characters_sent.tolist() == [0 if case.line is None else 1]
    assert made.costs_usd.tolist() == [0.0 if case.line is None else 0.25]
    assert made.gone.tolist() == [0]


def test_a_first_run_has_everything_to_do() -> None:
    made = plan({7: NOW, 5: NOW}, past())
    assert (made.kinds.tolist(), made.addresses.tolist()) == ([NEW] * 2, [-1] * 2)
    assert (made.replaces.tolist(), made.gone.tolist()) == ([-1] * 2, [])
    assert (made.characters_sent.tolist(), made.costs_usd.tolist()) == ([0, 0], [0.0, 0.0])


def test_another_order_of_the_rows_changes_nothing() -> None:
    told = past((1, "done", NOW), (2, "failed", NOW), (3, "done", NOW))
    made = plan({3: NOW, 1: NOW, 2: NOW}, told)
    assert made.kinds.tolist() == [DONE, DONE, FAILED]
    assert made.addresses.tolist() == [20, 0, 10]


def test_a_row_that_left_the_manifest_is_gone() -> None:
    made = plan({1: NOW}, past((1, "done", NOW), (2, "done", NOW), (3, "failed", NOW)))
    assert (made.gone.tolist(), made.to_do) == ([10, 20], 0)


def test_a_row_that_left_the_manifest_and_was_taken_back_is_gone_no_more() -> None:
    made = plan({1: NOW}, past((1, "done", NOW), (2, "done", NOW), (2, "pending", "")))
    assert made.gone.tolist() == []


def test_what_is_gone_comes_in_the_order_of_the_ledger() -> None:
    made = plan({}, past((9, "done", NOW), (2, "failed", NOW), (-5, "done", NOW)))
    assert made.gone.tolist() == [0, 10, 20]


def test_a_plan_gets_shorter_as_the_run_gets_on() -> None:
    made = plan({1: NOW, 2: NOW, 3: NOW}, past((3, "done", NOW)))
    assert (made.to_do, made.count(NEW), made.count(DONE)) == (2, 2, 1)
    made.settle(0, DONE, 40)
    made.settle(1, FAILED, 50)
    assert (made.to_do, made.count(FAILED)) == (1, 1)
    assert made.addresses.tolist() == [40, 50, 0]


def test_a_row_that_is_settled_replaces_nothing_any_more() -> None:
    made = plan({1: NOW}, past((1, "done", OLD)))
    assert made.replaces.tolist() == [0]
    made.settle(0, FAILED, 40)
    assert (made.replaces.tolist(), made.addresses.tolist()) == ([-1], [40])


def test_what_is_spent_adds_up() -> None:
    made = plan({1: NOW, 2: NOW}, past((1, "failed", NOW), (2, "done", NOW)))
    made.spend(1, 5, 0.5)
    made.spend(1, 7, 0.25)
    assert made.characters_sent.tolist() == [0, 1 + 5 + 7]
    assert made.costs_usd.tolist() == [0.0, 0.25 + 0.5 + 0.25]


@pytest.mark.parametrize(
    ("status", "fingerprint", "addresses", "replaces"),
    [
        ("done", OLD, -1, 70),  # the audio is there, and is not what is wanted
        ("failed", NOW, 70, -1),
        ("failed", OLD, -1, -1),
        ("pending", "", -1, -1),
    ],
)
def test_what_was_spent_to_no_avail_leaves_a_row_as_it_was(
    status: Status, fingerprint: str, addresses: int, replaces: int
) -> None:
    made = plan({1: NOW}, past((1, status, fingerprint)))
    kinds = made.kinds.tolist()
    made.restate(0, 70, 16, 0.5)
    assert (made.addresses.tolist(), made.replaces.tolist()) == ([addresses], [replaces])
    assert (made.characters_sent.tolist(), made.costs_usd.tolist()) == ([16], [0.5])
    assert made.kinds.tolist() == kinds


def test_a_row_that_is_reopened_keeps_its_audio_until_there_is_another() -> None:
    made = plan({1: NOW, 2: NOW, 3: NOW}, past((1, "done", NOW), (2, "failed", NOW)))
    made.reopen(ints(0, 1, 2), CHANGED)
    assert made.kinds.tolist() == [CHANGED, FAILED, NEW]
    assert made.addresses.tolist() == [-1, 10, -1]
    assert made.replaces.tolist() == [0, -1, -1]
    made.reopen(ints(0), NEW)
    assert (made.kinds.tolist()[0], made.replaces.tolist()[0]) == (CHANGED, 0)


# The same script twice


@given(st.lists(st.integers(0, 3)), st.data())
def test_of_equal_rows_the_first_speaks_for_the_others(
    fingerprints: list[int], data: st.DataObject
) -> None:
    every = range(len(fingerprints))
    rows = sorted(data.draw(st.sets(st.sampled_from(every)))) if fingerprints else []
    first: dict[int, int] = {}
    for each in rows:
        first.setdefault(fingerprints[each], each)
    awaiting, speakers = find_twins(ints(*fingerprints), ints(*rows))
    expected = [(each, first[fingerprints[each]]) for each in rows]
    assert list(zip(awaiting.tolist(), speakers.tolist(), strict=True)) == [
        pair for pair in expected if pair[0] != pair[1]
    ]


def test_whose_audio_is_there_need_not_be_spoken() -> None:
    told = past((1, "done", OLD), (2, "failed", NOW), (3, "done", NOW), (4, "done", NOW))
    wanted = ints(short(NOW), short(OLD), 5, short(NOW))
    rows, addresses = find_spoken(wanted, ints(1, 2, 3), told, lost=ints(), sound=ints())
    assert (rows.tolist(), addresses.tolist()) == ([1, 3], [0, 20])


def test_audio_that_is_lost_or_was_taken_back_is_shared_with_nobody() -> None:
    told = past((1, "done", OLD), (2, "done", NOW), (3, "done", NOW), (1, "pending", OLD))
    wanted = ints(short(OLD), short(NOW))
    rows, addresses = find_spoken(wanted, ints(0, 1), told, lost=ints(10), sound=ints())
    assert (rows.tolist(), addresses.tolist()) == ([1], [20])
    rows, addresses = find_spoken(wanted, ints(0, 1), told, lost=ints(10, 20), sound=ints())
    assert (rows.tolist(), addresses.tolist()) == ([], [])


def test_audio_that_was_looked_for_is_shared_first() -> None:
    told = past(*((each, "done", NOW) for each in range(9)))
    for sound in (20, 50, 80):
        found = find_spoken(ints(short(NOW)), ints(0), told, lost=ints(0), sound=ints(sound))
        assert found[1].tolist() == [sound]


@given(past_lines, st.lists(prints), st.sets(st.integers(0, 9)))
def test_a_source_is_done_and_sounds_as_it_should(
    lines: list[tuple[int, Status, str]], wanted: list[str], lost: set[int]
) -> None:
    told = past(*lines)
    last = {line[0]: (10 * at, line) for at, line in enumerate(lines)}
    there = {
        address: short(line[2])
        for address, line in last.values()
        if line[1] == "done" and address not in {10 * each for each in lost}
    }
    fingerprints = ints(*map(short, wanted))
    gone = ints(*(10 * each for each in lost))
    rows, addresses = find_spoken(
        fingerprints, np.arange(len(wanted)), told, lost=gone, sound=ints()
    )
    assert rows.tolist() == [
        row for row, each in enumerate(fingerprints.tolist()) if each in there.values()
    ]
    assert [there[address] for address in addresses.tolist()] == fingerprints[rows].tolist()


# Fingerprints


def test_a_fingerprint_is_32_hexadecimal_digits() -> None:
    fingerprint = Fingerprints("together", WAV).of("Call me Ishmael.", VOICE, 1.0)
    assert len(fingerprint) == 32
    assert bytes.fromhex(fingerprint)


def test_the_same_sound_has_the_same_fingerprint() -> None:
    first, second = Fingerprints("together", WAV), Fingerprints("together", WAV)
    first.of("Another.", VOICE, 1.0)
    assert first.of("Call me.", VOICE, 1.0) == first.of("Call me.", VOICE, 1.0)
    assert first.of("Call me.", VOICE, 1.0) == second.of("Call me.", VOICE, 1)


def test_a_fingerprint_is_the_same_in_every_version() -> None:
    """Another one would have every row of every job spoken again."""
    fingerprint = Fingerprints("together", WAV).of("Call me Ishmael.", VOICE, 1.0)
    assert fingerprint == "879002885f51bb592e513939b8ee8f53"


@pytest.mark.parametrize(
    "other",
    [
        Fingerprints("local", WAV).of("Call me.", VOICE, 1.0),
        Fingerprints("together", AudioFormat("flac", 24_000)).of("Call me.", VOICE, 1.0),
        Fingerprints("together", AudioFormat("wav", 48_000)).of("Call me.", VOICE, 1.0),
        Fingerprints("together", WAV).of("Call me!", VOICE, 1.0),
        Fingerprints("together", WAV).of("Call me. ", VOICE, 1.0),
        Fingerprints("together", WAV).of("Call me.", VOICE, 1.1),
        Fingerprints("together", WAV).of("Call me.", Voice("x", VOICE.model, "en-us"), 1.0),
        Fingerprints("together", WAV).of("Call me.", Voice("af_heart", "x", "en-us"), 1.0),
        Fingerprints("together", WAV).of("Call me.", Voice("af_heart", VOICE.model, "fr"), 1.0),
    ],
)
def test_whatever_changes_the_sound_changes_the_fingerprint(other: str) -> None:
    assert other != Fingerprints("together", WAV).of("Call me.", VOICE, 1.0)


@pytest.mark.parametrize(
    ("fingerprint", "number"),
    [
        ("", 0),
        ("0" * 15 + "1" + "f" * 16, 1),
        ("f" * 32, -1),
        ("8" + "0" * 31, -(2**63)),
        ("7" + "f" * 15, 2**63 - 1),
    ],
)
def test_the_short_form_is_the_first_64_bits(fingerprint: str, number: int) -> None:
    assert short(fingerprint) == number


# Names


def test_a_name_that_two_ids_have_is_contested() -> None:
    assert contested(ints(1, 1, 2, 3), ints(10, 11, 12, 13)) == {1}


def test_an_id_does_not_contest_its_own_name() -> None:
    assert contested(ints(1, 1, 2), ints(10, 10, 11)) == frozenset()


def test_nobody_contests_nothing() -> None:
    assert contested(ints(), ints()) == frozenset()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_exactly_the_names_of_several_ids_are_contested(pairs: list[tuple[int, int]]) -> None:
    owners: dict[int, set[int]] = {}
    for name, owner in pairs:
        owners.setdefault(name, set()).add(owner)
    found = contested(ints(*(name for name, _ in pairs)), ints(*(owner for _, owner in pairs)))
    assert found == {name for name, of in owners.items() if len(of) > 1}
