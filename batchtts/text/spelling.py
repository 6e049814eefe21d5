"""Numbers in words, with what num2words leaves to its callers. Pure.

num2words is imported when the first number is spelled: it is installed for those only
who want it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from batchtts.text.tongues import Noun, Tongue

MOST = 10**15  # what has more digits is no number that anybody reads

#: What num2words says, and what is said.
_MENDED = {
    "en": ((",", ""),),
    "es": (("veintiuno mil", "veintiún mil"), (" uno mil", " un mil")),
    "fr": (("vingtsi", "vingti"), ("centsi", "centi")),
    "pt": ((",", ""),),
    "sv": (("etttusen", "ettusen"),),
}


@lru_cache(maxsize=4096)
def _words(value: int, code: str, kind: str) -> str:
    from num2words import num2words

    words = str(num2words(value, lang=code, to=kind))
    for wrong, right in _MENDED.get(code[:2], ()):
        words = words.replace(wrong, right)
    return words


def cardinal(value: int, tongue: Tongue) -> str:
    """Spell a number that counts nothing."""
    return _words(value, tongue.code, "cardinal")


def ordinal(value: int, tongue: Tongue) -> str:
    """Spell a place in an order, in the masculine singular."""
    return _words(value, tongue.code, "ordinal")


def year(value: int, tongue: Tongue) -> str:
    """Spell a year."""
    return _words(value, tongue.code, "year" if tongue.is_counted_in_hundreds else "cardinal")


def decimal(value: int, decimals: str, tongue: Tongue) -> str:
    """Spell a number with decimals."""
    return f"{cardinal(value, tongue)} {tongue.point} {_decimals(decimals, tongue)}"


def _decimals(digits: str, tongue: Tongue) -> str:
    """One by one, or as a number if the language does so and they are two at most."""
    if tongue.is_by_digit or len(digits) > 2:
        return " ".join(cardinal(int(digit), tongue) for digit in digits)
    zeros = len(digits) - len(digits.lstrip("0"))
    parts = [0] * zeros + ([int(digits)] if zeros < len(digits) else [])
    return " ".join(cardinal(part, tongue) for part in parts)


def counted(value: int, noun: Noun, tongue: Tongue) -> str | None:
    """Spell so many of something; None where the form is not known for sure."""
    name = noun.one if value == 1 or (value == 0 and tongue.language == "fr") else noun.many
    words = before_noun(value, tongue, is_feminine=noun.is_feminine)
    return None if words is None else f"{words} {name}"


def before_noun(value: int, tongue: Tongue, *, is_feminine: bool) -> str | None:
    """Spell a number as it is before a noun of that gender; None if that is not known."""
    words = cardinal(value, tongue)
    if not agrees(value, tongue):
        return words
    match tongue.language:
        case "de" if not is_feminine:
            return words.removesuffix("s")
        case "fr":
            return words + "e" if is_feminine else words
        case "es" if is_feminine:
            return "una" if value == 1 else None
        case "es":
            return re.sub("veintiuno$", "veintiún", re.sub(r"\buno$", "un", words))
        case "it":
            return "una" if is_feminine else "un"
        case _:
            return None


def agrees(value: int, tongue: Tongue) -> bool:
    """Whether the form of a number depends on what is counted."""
    ends_in_one = value % 10 == 1 and value % 100 != 11
    has_hundreds = any(int(it) >= 200 for it in f"{value:,}".split(","))
    match tongue.language:
        case "de":
            return value % 100 == 1
        case "fr":
            return ends_in_one and value % 100 not in (71, 91)
        case "es":
            return ends_in_one or has_hundreds
        case "pt":
            return (value % 10 in (1, 2) and value % 100 not in (11, 12)) or has_hundreds
        case "it" | "nl":
            return value == 1
        case "sv":
            return ends_in_one
        case _:
            return False
