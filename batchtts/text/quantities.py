"""Sums of money, percentages, measures and ranges in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from batchtts.text.digits import (
    LEFT,
    RIGHT,
    SPACE,
    Number,
    number_pattern,
    read_number,
    word_before,
    word_behind,
)
from batchtts.text.rendering import Edit
from batchtts.text.spelling import agrees, before_noun, cardinal, counted, decimal, year
from batchtts.text.tongues import Money, Noun, Tongue

# Before a sum or a measure that says what kind of thing it is: `a $20 bill`, `the 5 km run`.
_DETERMINERS = frozenset(
    "a an the his her its my our your their this that each every another one first second last"
    " new".split()
)
_SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion",
    "tn": "trillion",
}  # fmt: skip
_LEFT_OF_MONEY = r"(?<![\w.,:/\\\-–−#@&=+*^'’$€£¥%°~<>|])"


def quantity_edits(text: str, tongue: Tongue) -> Iterator[Edit]:
    """Find what is so many of something, and how it is said, in no order."""
    yield from _ranges(text, tongue)
    if tongue.money:
        yield from _sums(text, tongue)
    yield from _percentages(text, tongue)
    if tongue.units:
        yield from _measures(text, tongue)


@cache
def _sum(tongue: Tongue) -> tuple[re.Pattern[str], re.Pattern[str]]:
    number, marks = number_pattern(tongue), "[€$£]"
    scale = (
        rf"(?:{SPACE}(?P<word>thousand|million|billion|trillion)\b|(?P<scale>bn|tn|mn|[kKmMbB])\b)?"
    )
    scale = scale if tongue.language == "en" else "(?P<word>(?!))?(?P<scale>(?!))?"
    return (
        re.compile(rf"{_LEFT_OF_MONEY}(?P<mark>{marks}){SPACE}?(?P<number>{number}){scale}{RIGHT}"),
        re.compile(
            rf"{LEFT}(?P<number>{number}){scale}{SPACE}?(?P<mark>{marks})(?![\w$€£]|{SPACE}[0-9])"
        ),
    )


def _sums(text: str, tongue: Tongue) -> Iterator[Edit]:
    for pattern in _sum(tongue):
        for found in pattern.finditer(text):
            number = read_number(found["number"], tongue)
            if number is None or _is_kind(text, found):
                continue
            money = tongue.money[found["mark"]]
            said = _scaled(number, found, money, tongue) or _exact(number, found, money, tongue)
            if said is not None:
                yield Edit(*found.span(), said)


def _scaled(number: Number, found: re.Match[str], money: Money, tongue: Tongue) -> str | None:
    """`$3.5bn`: three point five billion dollars."""
    scale = found["word"] or _SCALES.get((found["scale"] or "").lower())
    return scale and f"{_plain(number, tongue)} {scale} {money.whole.many}"


def _exact(number: Number, found: re.Match[str], money: Money, tongue: Tongue) -> str | None:
    """`$3.50`: three dollars and fifty cents."""
    if found["word"] or found["scale"] or len(number.decimals) not in (0, 2):
        return None
    whole, cents = number.value, int(number.decimals or 0)
    if not cents:
        return counted(whole, money.whole, tongue)
    if not whole:
        return counted(cents, money.cent, tongue)
    said, small = counted(whole, money.whole, tongue), cardinal(cents, tongue)
    if tongue.language == "en":
        small = counted(cents, money.cent, tongue) or small
    return said and f"{said}{tongue.and_cents}{small}"


def _plain(number: Number, tongue: Tongue) -> str:
    if number.decimals:
        return decimal(number.value, number.decimals, tongue)
    return cardinal(number.value, tongue)


def _is_kind(text: str, found: re.Match[str]) -> bool:
    """Whether it says what kind of thing the next word is, and is then said otherwise."""
    before, behind = word_before(text, found.start()), word_behind(text, found.end())
    return before.lower() in _DETERMINERS and behind[:1].isalpha()


@cache
def _percentage(tongue: Tongue) -> re.Pattern[str]:
    return re.compile(rf"{LEFT}(?P<number>{number_pattern(tongue)}){SPACE}?%(?![\w%]|[\-–−]\w)")


def _percentages(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _percentage(tongue).finditer(text):
        number = read_number(found["number"], tongue)
        if number is None:
            continue
        said = _counting(number, Noun(tongue.percent, tongue.percent), tongue)
        if said is not None:
            yield Edit(*found.span(), said)


def _counting(number: Number, noun: Noun, tongue: Tongue) -> str | None:
    if not number.decimals:
        return counted(number.value, noun, tongue)
    is_one = tongue.language == "fr" and number.value < 2
    return f"{_plain(number, tongue)} {noun.one if is_one else noun.many}"


def _unit_pattern(tongue: Tongue) -> str:
    return "|".join(re.escape(it) for it in sorted(tongue.units, key=len, reverse=True))


@cache
def _measure(tongue: Tongue) -> re.Pattern[str]:
    left = LEFT.replace("−", "")
    return re.compile(
        rf"{left}(?P<minus>−|(?<= )-)?(?P<number>{number_pattern(tongue)}){SPACE}?"
        rf"(?P<unit>{_unit_pattern(tongue)})(?![\w²³/·°^-])"
    )


def _measures(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _measure(tongue).finditer(text):
        number = read_number(found["number"], tongue)
        if number is None:
            continue
        if _is_kind(text, found):
            yield Edit(*found.span(), found[0])
            continue
        said = _counting(number, tongue.units[found["unit"]], tongue)
        if said is not None:
            yield Edit(*found.span(), f"{tongue.minus} {said}" if found["minus"] else said)


@cache
def _range(tongue: Tongue) -> re.Pattern[str]:
    number = number_pattern(tongue)
    unit = rf"|{_unit_pattern(tongue)}" if tongue.units else ""
    return re.compile(
        rf"{LEFT}(?P<first>{number})(?P<dash>[–-]| – )(?P<last>{number})"
        rf"(?:{SPACE}?(?P<unit>%{unit})(?![\w²³/·°^%-])|{RIGHT})"
    )


def _ranges(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _range(tongue).finditer(text):
        first, last = read_number(found["first"], tongue), read_number(found["last"], tongue)
        if first is None or last is None:
            continue
        said = _years(text, found, first, last, tongue) or _numbers(
            text, found, first, last, tongue
        )
        if said is not None:
            yield Edit(*found.span(), said)


def _is_year(number: Number) -> bool:
    return 1100 <= number.value <= 2099 and not (number.is_grouped or number.decimals)


def _years(
    text: str, found: re.Match[str], first: Number, last: Number, tongue: Tongue
) -> str | None:
    """`1914–1918`, with any dash; `1914-18` may be a code, but for what stands before it."""
    if found["unit"] or not _is_year(first):
        return None
    if _is_year(last) and first.value < last.value:
        return f"{year(first.value, tongue)} {tongue.to} {year(last.value, tongue)}"
    is_short = len(found["last"]) == 2 and first.value % 100 < last.value
    is_cued = word_before(text, found.start()).lower() in tongue.cues.split()
    is_range = found["dash"] == "–" or (found["dash"] == "-" and is_cued)
    if not (is_short and is_range):
        return None
    return f"{year(first.value, tongue)} {tongue.to} {cardinal(last.value, tongue)}"


def _numbers(
    text: str, found: re.Match[str], first: Number, last: Number, tongue: Tongue
) -> str | None:
    """`5–10 kg`; with a hyphen only behind `pages` and its like."""
    before = word_before(text, found.start()).lower()
    is_short = not (first.decimals or last.decimals) and first.value < last.value < 1100
    is_range = found["dash"] == "–" or (found["dash"] == "-" and before in tongue.pages.split())
    if not (is_range and is_short):
        return None
    noun = _noun(found["unit"], tongue)
    if noun is None:
        is_counting = bool(word_behind(text, found.end()))
        if is_counting and (agrees(first.value, tongue) or agrees(last.value, tongue)):
            return None
        return f"{cardinal(first.value, tongue)} {tongue.to} {cardinal(last.value, tongue)}"
    words = before_noun(first.value, tongue, is_feminine=noun.is_feminine)
    said = counted(last.value, noun, tongue)
    return words and said and f"{words} {tongue.to} {said}"


def _noun(unit: str | None, tongue: Tongue) -> Noun | None:
    if unit is None:
        return None
    return Noun(tongue.percent, tongue.percent) if unit == "%" else tongue.units[unit]
