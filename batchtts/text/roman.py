"""Roman numerals where they are numbers: in headings, behind `Chapter`, behind kings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from batchtts.text.digits import word_behind
from batchtts.text.rendering import Edit
from batchtts.text.spelling import cardinal, ordinal
from batchtts.text.tongues import Tongue

_ROMAN = r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ALONE = re.compile(rf"\s*(?P<roman>{_ROMAN})(?=\s*\Z|[.:)](?:\s|\Z)|\s+[—–-]\s|\s*\n)")
_END = r"(?![\w’'-])(?!\.\w)"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

# A numeral before the word for a century.
_CENTURIES = {
    "fr": re.compile(rf"\b(?P<roman>{_ROMAN})(?:ᵉ|er|e|ème|ᵉʳ)(?=\s+siècles?\b)"),
    "it": re.compile(rf"\b(?P<roman>{_ROMAN})(?=\s+secolo\b)"),
}


def value_of(numeral: str) -> int:
    """Return the value of a Roman numeral that is written well."""
    values = [_VALUES[it] for it in numeral]
    return sum(
        -here if here < behind else here
        for here, behind in zip(values, [*values[1:], 0], strict=True)
    )


def roman_edits(text: str, tongue: Tongue, *, is_heading: bool) -> Iterator[Edit]:
    """Find what is surely a number, and how it is said, in no order."""
    if is_heading and (found := _ALONE.match(text)) and _is_numeral(found["roman"]):
        yield Edit(*found.span("roman"), cardinal(value_of(found["roman"]), tongue))
    if tongue.heads:
        yield from _of_heads(text, tongue)
    if tongue.kings:
        yield from _of_kings(text, tongue)
    if tongue.language in _CENTURIES:
        for found in _CENTURIES[tongue.language].finditer(text):
            yield Edit(found.start(), found.end(), ordinal(value_of(found["roman"]), tongue))


def _is_numeral(letters: str) -> bool:
    return len(letters) > 1 or letters in "IVX"


def _of_heads(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _heads(tongue).finditer(text):
        numeral = found["roman"]
        if not _is_numeral(numeral) or (numeral == "I" and _is_pronoun(text, found)):
            continue
        yield Edit(*found.span("roman"), cardinal(value_of(numeral), tongue))


def _is_pronoun(text: str, found: re.Match[str]) -> bool:
    """Whether `I` may be the English word: `the best part I know`."""
    if " " in found["head"]:
        return False
    return word_behind(text, found.end())[:1].islower() or found["head"].islower()


def _of_kings(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _kings(tongue).finditer(text):
        value = value_of(found["roman"])
        if _is_numeral(found["roman"]) and (value > 1 or tongue.language != "en" or found["title"]):
            said = _reign(value, tongue, is_queen=found["name"] in _spaced(tongue.queens))
            yield Edit(*found.span("numeral"), said)


def _reign(value: int, tongue: Tongue, *, is_queen: bool) -> str:
    """How a monarch of this number is called."""
    match tongue.language:
        case "fr" if value > 1:
            return cardinal(value, tongue)
        case "fr":
            return "première" if is_queen else "premier"
        case "es" if value > 10:
            return cardinal(value, tongue)
        case "es" | "it":
            said = ordinal(value, tongue)
            return said.removesuffix("o") + "a" if is_queen else said
        case _:
            words = re.split("(-)", ordinal(value, tongue))
            return "the " + "".join(it.capitalize() for it in words)


def _spaced(words: str) -> list[str]:
    return [it.replace("_", " ") for it in words.split()]


@cache
def _heads(tongue: Tongue) -> re.Pattern[str]:
    heads = "|".join(re.escape(it) for it in sorted(_spaced(tongue.heads), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?P<head>(?i:{heads}))[ \t\u00a0]+(?P<roman>{_ROMAN}){_END}")


@cache
def _kings(tongue: Tongue) -> re.Pattern[str]:
    words = _spaced(f"{tongue.kings} {tongue.queens}")
    names = "|".join(re.escape(it) for it in sorted(words, key=len, reverse=True))
    titles = r"(?:(?P<title>King|Queen|Pope|Emperor|Tsar|Czar)[ \u00a0])?"
    first = r"(?:er|ᵉʳ|ère|re)?" if tongue.language == "fr" else ""
    return re.compile(
        rf"(?<!\w){titles}(?P<name>{names})[ \u00a0](?P<numeral>(?P<roman>{_ROMAN}){first}){_END}"
    )
