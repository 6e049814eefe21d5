"""What a file of faults may say, and which faults fall on whom."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import trio

from batchtts.errors import UsageError
from batchtts.server.app import Settings, serve
from batchtts.server.damage import Harm, How
from batchtts.server.faultfile import parse
from batchtts.server.faults import (
    KINDS,
    WHERE,
    Damage,
    Drop,
    Fail,
    Fault,
    Faults,
    Plan,
    Refuse,
    Stall,
)
from batchtts.server.knobs import Knobs, Telnyx, with_idle
from tests.e2e import ROOT, ask


def read(text: str) -> Plan:
    return parse(tomllib.loads(text), "weather.toml")


def anything(fault: Fault) -> bool:
    return True


def struck(faults: Faults, *texts: str) -> list[Fault | None]:
    return [faults.strike("together", text, anything) for text in texts]


# ── the file ──────────────────────────────────────────────────────────────────


def test_a_file_says_faults_and_knobs() -> None:
    plan = read(
        """
        seed = 7
        [[fault]]
        kind = "drop"
        probability = 0.05
        on = ["together", "telnyx"]
        code = 1011
        [[fault]]
        kind = "refuse"
        requests = [3, 7]
        status = 429
        retry_after_s = 2
        [telnyx]
        text_frame = "again"
        """
    )
    assert plan == Plan(
        seed=7,
        faults=(
            Drop(probability=0.05, on=("together", "telnyx"), code=1011),
            Refuse(requests=(3, 7), status=429, retry_after_s=2),
        ),
        knobs=Knobs(telnyx=Telnyx(text_frame="again")),
    )


def test_an_empty_file_says_nothing() -> None:
    assert read("") == Plan()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_needs_no_more_than_when(kind: str) -> None:
    (fault,) = read(f'[[fault]]\nkind = "{kind}"\nprobability = 0.5').faults
    assert type(fault) is KINDS[kind]
    assert WHERE[type(fault)]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("", "no kind; there are refuse, fail, drop, stall"),
        ('kind = "dorp"', "unknown kind 'dorp'; did you mean drop?"),
        ('kind = "drop"\nprobabilty = 1', "(drop): unknown key 'probabilty'; did you mean prob"),
        ('kind = "drop"\nprobability = 2', "(drop): probability: expected `float` <= 1.0"),
        ('kind = "drop"\nprobability = "x"', "(drop): probability: expected `float"),
        ('kind = "drop"', "(drop): one of probability, requests and text says when, and it has no"),
        (
            'kind = "drop"\nprobability = 1\nrequests = [1]',
            "(drop): one of probability, requests and text says when, not probability and requests",
        ),
        ('kind = "drop"\nrequests = [0]', "(drop): requests: expected `int` >= 1"),
        (
            'kind = "drop"\nprobability = 1\nat = "frist"',
            "(drop): at: invalid enum value 'frist'",
        ),
        ('kind = "drop"\nprobability = 1\ncode = 1005', "(drop): nobody can close with 1005"),
        ('kind = "fail"\nprobability = 1\nclose = 1015', "(fail): nobody can close with 1015"),
        ('kind = "drop"\nprobability = 1\non = ["telnix"]', "'telnix'; did you mean telnyx?"),
        ('kind = "drop"\nprobability = 1\non = []', "(drop): on: expected `array` of length >= 1"),
        (
            'kind = "double"\nprobability = 1\non = ["together"]',
            "(double): cannot happen on together; it can on telnyx",
        ),
        ('kind = "items"\nprobability = 1\ncount = 1', "(items): count: expected `int` >= 2"),
        (
            'kind = "refuse"\nprobability = 1\nstatus = 404',
            "status: invalid enum value 404; there are 401, 403, 429, 500, 503",
        ),
        (
            'kind = "damage"\nprobability = 1\nhow = "mising"',
            "(damage): how: invalid enum value 'mising'; did you mean missing?",
        ),
        ('kind = "refuse"\ntext = "x"', "(refuse): a connection is refused before there is any"),
        ('kind = "drop"\ntext = "x"\non = ["transcription"]', "(drop): what is to be transcribed"),
    ],
)
def test_a_fault_that_cannot_be_is_told_with_its_place_and_what_was_meant(
    entry: str, told: str
) -> None:
    good = '[[fault]]\nkind = "stall"\nprobability = 0.1\n'
    with pytest.raises(UsageError) as error:
        read(f"{good}[[fault]]\n{entry}")
    assert f"{error.value}".startswith("weather.toml, fault 2")
    assert told in f"{error.value}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sead = 7", "weather.toml: unknown key 'sead'; did you mean seed?"),
        ('seed = "x"', "weather.toml: seed: expected `int`, got 'x'"),
        ("fault = 1", "weather.toml: fault is a list of tables: write [[fault]]"),
        ("[telnix]", "weather.toml: unknown key 'telnix'; did you mean telnyx?"),
        ("[telnyx]\nidle = 1", "weather.toml, [telnyx]: unknown key 'idle'; did you mean idle_s?"),
        ("[telnyx]\nidle_s = 0", "weather.toml, [telnyx]: idle_s: expected `float` > 0.0"),
        (
            '[telnyx]\ntext_frame = "agian"',
            "weather.toml, [telnyx]: text_frame: invalid enum value 'agian'; did you mean again?",
        ),
    ],
)
def test_anything_else_that_cannot_be_is_told_too(text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        read(text)
    assert f"{error.value}" == told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read .*weather.toml: no such file or directory"),
        (b"[[fault]", "weather.toml: not TOML: "),
        (b"\xff", "weather.toml: not TOML: "),
        (b"x = 1", "weather.toml: unknown key 'x'"),
    ],
)
async def test_nothing_is_served_with_a_file_that_cannot_be(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "weather.toml"
    if content is not None:
        path.write_bytes(content)
    with trio.fail_after(10), pytest.raises(UsageError, match=told):
        await serve(Settings(port=0, engine="tone", faults=path))


def test_the_command_tells_what_is_wrong_with_a_file_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "weather.toml").write_text('[[fault]]\nkind = "drop"\nprobabilty = 0.1\n')
    answer = ask("serve", "--port", "0", "--faults", "weather.toml", here=tmp_path)
    told = "weather.toml, fault 1 (drop): unknown key 'probabilty'; did you mean probability?"
    assert (answer.status, answer.err) == (2, f"batchtts: {told}\n")


def test_one_limit_to_silence_can_be_set_for_all_protocols() -> None:
    knobs = with_idle(Knobs(telnyx=Telnyx(types=True)), 5)
    sections = [getattr(knobs, name) for name in Knobs.__struct_fields__]
    assert {section.idle_s for section in sections} == {5}
    assert knobs.telnyx.types


# ── when they fall ────────────────────────────────────────────────────────────

TEXTS = [f"Sentence {number}." for number in range(1000)]


def test_a_fault_with_numbers_falls_on_those_requests_of_the_whole_server() -> None:
    faults = Faults(Plan(faults=(Drop(requests=(2, 4)),)))
    falls = [
        faults.strike(protocol, "Hello.", anything) is not None
        for protocol in ("together", "telnyx", "smallest", "together", "telnyx")
    ]
    assert falls == [False, True, False, True, False]


def test_a_fault_with_a_text_falls_on_requests_that_have_it() -> None:
    faults = Faults(Plan(faults=(Drop(text="Ishmael"),)))
    assert struck(faults, "Call me Ishmael.", "Call me.", "Ishmael?") == [
        Drop(text="Ishmael"),
        None,
        Drop(text="Ishmael"),
    ]


def test_a_fault_may_fall_so_often_and_no_more() -> None:
    faults = Faults(Plan(faults=(Drop(text="a", times=2),)))
    assert [fault is not None for fault in struck(faults, *"aaaa")] == [True, True, False, False]


def test_at_most_one_falls_and_it_is_the_first_that_fits() -> None:
    first, second = Drop(text="a", times=1), Stall(text="a")
    assert struck(Faults(Plan(faults=(first, second))), *"aa") == [first, second]
    faults = Faults(Plan(faults=(first, second)))
    assert faults.strike("together", "a", lambda it: isinstance(it, Stall)) == second


def test_a_fault_falls_only_where_it_is_told_to() -> None:
    faults = Faults(Plan(faults=(Drop(text="a", on=("telnyx",)),)))
    assert faults.strike("together", "a", anything) is None
    assert faults.strike("telnyx", "a", anything) is not None


def test_what_is_to_be_heard_has_no_text() -> None:
    faults = Faults(Plan(faults=(Drop(text="a"), Stall(requests=(2,)))))
    assert faults.strike("transcription", b"aa", anything) is None
    assert faults.strike("transcription", b"aa", anything) == Stall(requests=(2,))


def test_connections_are_refused_by_their_numbers_and_requests_are_not() -> None:
    refusal = Refuse(requests=(1, 3))
    faults = Faults(Plan(faults=(refusal,)))
    assert struck(faults, "a") == [None]
    assert [faults.refusal("together") for _ in range(4)] == [refusal, None, refusal, None]


def test_a_fault_with_a_probability_falls_about_so_often() -> None:
    faults = Faults(Plan(seed=7, faults=(Drop(probability=0.1), Stall(probability=0.1))))
    fallen = [type(fault) for fault in struck(faults, *TEXTS)]
    assert 70 < fallen.count(Drop) < 130
    assert 60 < fallen.count(Stall) < 120


def test_the_same_texts_meet_the_same_faults_in_any_order() -> None:
    plan = Plan(seed=7, faults=(Drop(probability=0.2),))
    there = dict(zip(TEXTS, struck(Faults(plan), *TEXTS), strict=True))
    back = dict(zip(TEXTS[::-1], struck(Faults(plan), *TEXTS[::-1]), strict=True))
    assert there == back
    other = struck(Faults(Plan(seed=8, faults=plan.faults)), *TEXTS)
    assert list(there.values()) != other


def test_a_text_that_is_asked_for_again_is_drawn_for_again() -> None:
    faults = Faults(Plan(seed=7, faults=(Fail(probability=0.5),)))
    fallen = [fault is not None for fault in struck(faults, *["Again."] * 100)]
    assert 30 < fallen.count(True) < 70


def harm_after(how: How, *texts: str) -> Harm:
    """What is done to the last of some requests."""
    faults = Faults(Plan(seed=7, faults=(Damage(probability=1.0, how=how),)))
    fault = struck(faults, *texts)[-1]
    assert isinstance(fault, Damage)
    return faults.harm(fault, texts[-1])


def test_another_text_is_the_last_that_was_asked_for_and_has_words() -> None:
    assert harm_after("other", "One.", "Two.", "Three.").text == "Two."
    assert harm_after("other", "One.", "Two.", "...", "Two.").text == "One."
    assert harm_after("missing", "One.", "Two.").text == "Two."


def test_where_nothing_else_was_asked_for_a_sentence_of_ours_is_another_text() -> None:
    assert harm_after("other", "One.", "One.").text not in ("", "One.")


def test_a_text_is_damaged_alike_whatever_came_before_and_anew_when_asked_again() -> None:
    first = harm_after("noise", "One.").seed
    assert harm_after("noise", "Two.", "One.").seed == first
    assert harm_after("noise", "One.", "One.").seed != first
    assert harm_after("noise", "Two.").seed != first


def test_the_example_has_every_kind_of_fault() -> None:
    path = ROOT / "jobs" / "weather.toml"
    plan = parse(tomllib.loads(path.read_text(encoding="utf-8")), f"{path}")
    assert {type(fault) for fault in plan.faults} == set(KINDS.values())
