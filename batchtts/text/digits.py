"""Which digits are a number, and which are part of a code, a version or a telephone. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from batchtts.text.spelling import MOST
from batchtts.text.tongues import Tongue

#: What does not stand directly before a number or behind it.
LEFT = r"(?<![\w.,:/\\\-–−#@&=+*^'’$€£¥%°~<>|])(?<![0-9][ \u00a0\u202f])"
RIGHT = (
    r"(?![\w%‰°$€£¥#*^=+/\\@&~|<>]|[.,:’'\-–−]\w|[\-–−][$€£]|\)?[ \u00a0\u202f][0-9]"
    r"|[ \u00a0\u202f]?[%‰°€$£¥½¼¾⅓⅔⅛])"
)
HARD_SPACES = "\u00a0\u202f\u2009"
SPACE = "[ \u00a0\u202f\u2009]"

_FIRST_WORD = re.compile(r"[ \u00a0]([^\W\d_][\w.'’]*)")
_LAST_WORD = re.compile(r"([\w.'’]+)[ \u00a0]\Z")


class Number(NamedTuple):
    """What some digits stand for."""

    value: int
    decimals: str
    is_grouped: bool


@cache
def number_pattern(tongue: Tongue) -> str:
    """A number as this language writes it: grouped or not, with or without decimals."""
    spaces = HARD_SPACES + (" " if tongue.is_spaced else "")
    groups = "|".join(
        rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{3}})+(?![0-9])" for mark in tongue.group + spaces
    )
    return rf"(?:{groups}|[0-9]{{1,16}})(?:{re.escape(tongue.decimal)}[0-9]{{1,12}})?(?![0-9])"


def read_number(text: str, tongue: Tongue) -> Number | None:
    """Return the number; None if it begins with a zero too many, or is too large to read."""
    whole, _, decimals = text.partition(tongue.decimal)
    digits = "".join(it for it in whole if it.isdigit())
    if len(digits) > 1 and digits[0] == "0":
        return None
    value = int(digits)
    return Number(value, decimals, len(digits) < len(whole)) if value < MOST else None


def word_behind(text: str, at: int) -> str:
    """The next word if nothing but a space is before it, as it is written."""
    found = _FIRST_WORD.match(text, at)
    return found[1] if found else ""


def word_before(text: str, at: int) -> str:
    """The word before if nothing but a space is behind it, as it is written."""
    found = _LAST_WORD.search(text[max(0, at - 24) : at])
    return found[1] if found else ""
