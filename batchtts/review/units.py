"""How much there is to say in a script, in letters of plain prose. Pure.

Digits, signs and abbreviations are said in words that are not written there, and a sign
of Chinese is a syllable. How they are said differs from voice to voice: of such units it
is told how many there are, so that nobody is held to them too strictly.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_NUMBER = re.compile(r"\d[\d,.'\u00a0\u202f]*")
_ACRONYM = re.compile(r"\b[A-Z]{2,6}\b")
_BREATH = re.compile(r"[,;:](?=\s)|[，、；：]|\s[-–—]\s|[.!?…]+(?=\s)|[。！？]")

#: Letters of what is said for a digit, in its place of three; and for thousands of any power.
_ONES, _TENS, _HUNDREDS, _GROUP = 4.0, 5.5, 11.0, 8.0
_TEENS = 7.0
_POINT = 5.0
#: More digits than that are said one by one.
_MOST_DIGITS = 15

#: What is in no language is not read as words, but sign by sign.
NO_LANGUAGE = "zxx"

_CAPITAL = 3.5  # said by its name
_SHORT_LETTERS = 6  # all in capitals, so many are an abbreviation, and more are a heading
_SIGNS = {"%": 7.0, "$": 7.0, "€": 5.0, "£": 6.0, "&": 3.0, "@": 2.0, "+": 4.0, "=": 6.0, "°": 7.0}
_BREATH_UNITS = 2.5

_HAN, _KANA, _HANGUL = 3.5, 2.0, 3.0


class Units(NamedTuple):
    """What there is to say.

    Attributes:
        all: Letters of plain prose that would take as long.
        loose: Of these, what may be said in one way or another.
    """

    all: float
    loose: float


def units(script: str, language: str = "") -> float:
    """Return how much there is to say, in letters of plain prose."""
    return count(script, language).all


@lru_cache(maxsize=1024)
def count(script: str, language: str = "") -> Units:
    """Count what there is to say; *language* is a tag such as ``en-us``."""
    if language == NO_LANGUAGE:
        return Units(float(len(script)), 0.0)
    loose = 0.0
    if any(map(str.isdigit, script)):
        loose += sum(_said(found[0], language) for found in _NUMBER.finditer(script))
        script = _NUMBER.sub(" ", script)
    letters = sum(map(str.isalpha, script))
    if not script.isupper() or letters <= _SHORT_LETTERS:
        capitals = sum(len(found[0]) for found in _ACRONYM.finditer(script))
        letters -= capitals
        loose += capitals * _CAPITAL
    for sign in _SIGNS.keys() & set(script):
        loose += _SIGNS[sign] * script.count(sign)
    plain = letters + _BREATH_UNITS * len(_BREATH.findall(script))
    if not script.isascii():
        plain += sum(_more(each) for each in script if each > "\u0e00")
    return Units(plain + loose, loose)


def _more(character: str) -> float:
    """How much more there is to say of a character than of a letter."""
    if not character.isalpha():
        return 0.0
    if "\u3040" <= character <= "\u30ff":
        return _KANA - 1
    if "\uac00" <= character <= "\ud7a3":
        return _HANGUL - 1
    return _HAN - 1 if unicodedata.category(character) == "Lo" and character > "\u2e80" else 0.0


def _said(number: str, language: str) -> float:
    """Letters of a number as it is said."""
    number = number.rstrip(",.'\u00a0\u202f")
    comma = language[:2] in ("de", "es", "fr", "it", "pt", "nl", "pl", "sv", "ru")
    whole, point, decimals = number.partition("," if comma else ".")
    digits = [int(each) for each in whole if each.isdigit()]
    if not digits or digits[0] == 0 or len(digits) > _MOST_DIGITS or (point and point in decimals):
        return _ONES * sum(map(str.isdigit, number))
    after = _POINT + _ONES * sum(map(str.isdigit, decimals)) if decimals else 0.0
    if len(whole) == 4 and digits[0] == 1 and digits[1] > 0 and not decimals:
        return _below_thousand(digits[:2]) + _below_thousand(digits[2:])  # a year
    groups = [digits[max(end - 3, 0) : end] for end in range(len(digits), 0, -3)]
    return after + sum(
        _below_thousand(group) + (_GROUP if power and any(group) else 0.0)
        for power, group in enumerate(groups)
    )


def _below_thousand(digits: list[int]) -> float:
    hundreds, tens, ones = [0] * (3 - len(digits)) + digits
    letters = _HUNDREDS if hundreds else 0.0
    if tens == 1:
        return letters + _TEENS
    return letters + (_TENS if tens else 0.0) + (_ONES if ones else 0.0)
