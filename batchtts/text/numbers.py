"""Numbers read as words, where it is sure which words. Pure.

A voice reads digits somehow, so that digits which may be a code, a telephone number, a
version or a score stay digits: a wrong word is worse. Each kind of number is looked
for in its turn, the surest first, and what one has taken no other looks at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from batchtts.text.dates import date_edits, time_edits
from batchtts.text.digits import (
    LEFT,
    RIGHT,
    Number,
    number_pattern,
    read_number,
    word_before,
    word_behind,
)
from batchtts.text.quantities import quantity_edits
from batchtts.text.rendering import Edit
from batchtts.text.roman import roman_edits
from batchtts.text.spelling import agrees, cardinal, decimal, ordinal, year
from batchtts.text.tongues import Tongue, find_tongue

_MORE = re.compile(r"\.\s+\S")
_SOMETHING = re.compile("[0-9½¼¾⅓⅔⅛IVXLC]")
_EMERGENCY = frozenset((110, 111, 112, 118, 119, 911, 999))
_VERSIONS = frozenset("version versions ver v release python java kapitel abschnitt abs §".split())
# Behind these a number is a name, and read in a way of its own.
_NAMED = frozenset(
    "room flight route highway interstate call dial number channel code pin bus extension apartment"
    " suite box zimmer flug route appel chambre vol numéro habitación vuelo camera volo".split()
)

_ENGLISH_ORDINAL = re.compile(
    r"(?<![\w.,:/\\–−#@&=+*^'’$€£¥%°~<>|])(?<![0-9]-)(?P<number>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,6})"
    r"(?P<end>st|nd|rd|th)\b(?!['’]\w)",
    re.IGNORECASE,
)
_FRENCH_ORDINAL = re.compile(
    rf"{LEFT}(?P<number>[0-9]{{1,3}})(?P<end>er|re|ère|ème|nde?|e)\b(?!['’\-])"
)
_MARKED_ORDINAL = re.compile(rf"{LEFT}(?P<number>[0-9]{{1,2}})\.?(?P<end>[ºª])(?!\w)")
_DECADE = re.compile(rf"{LEFT}(?P<number>(?:1[1-9]|20)[0-9]0)s\b(?!['’]\w)")
_SHORT_DECADE = re.compile(
    r"(?<![\w.,:/\-$€£#])(?:['’]|(?<=\bthe )|(?<=\bhis )|(?<=\bher )|(?<=\btheir )|(?<=\bmy )"
    r"|(?<=\byour )|(?<=\bearly )|(?<=\blate ))(?P<number>[2-9]0)s\b(?!['’]\w)"
)
_COMPOUND = re.compile(rf"{LEFT}(?P<number>[1-9][0-9]{{0,2}})(?=-[^\W\d_A-Z]{{2}})")
_FRACTION = re.compile(rf"{LEFT}(?:(?P<number>[0-9]{{1,3}}) ?)?(?P<mark>[½¼¾⅓⅔⅛])(?!\w|[⁄/])")


def missing() -> str | None:
    """Return the package that has to be installed before numbers can be read; None if it is."""
    try:
        import num2words  # noqa: F401
    except ImportError:
        return "num2words"
    return None


def knows(language: str) -> bool:
    """Whether numbers can be read in a language like ``en`` or ``pt-BR``."""
    return find_tongue(language) is not None


def number_edits(text: str, language: str, *, is_heading: bool) -> list[Edit]:
    """Return which numbers are said as which words, in order.

    Args:
        is_heading: A Roman numeral with which the text begins is a number.
    """
    tongue = find_tongue(language)
    if tongue is None or not _SOMETHING.search(text):
        return []
    taken = bytearray(len(text))
    kept: list[Edit] = []
    for edit in _found(text, tongue, language.lower(), is_heading=is_heading):
        if not any(taken[edit.start : edit.end]):
            taken[edit.start : edit.end] = b"\1" * (edit.end - edit.start)
            kept.append(edit)
    return sorted(edit for edit in kept if text[edit.start : edit.end] != edit.said)


def _found(text: str, tongue: Tongue, language: str, *, is_heading: bool) -> Iterator[Edit]:
    """Everything that may be said as words, the surest first."""
    yield from roman_edits(text, tongue, is_heading=is_heading)
    yield from date_edits(text, tongue, language)
    yield from time_edits(text, tongue)
    yield from quantity_edits(text, tongue)
    for pattern, say in _ORDINALS.get(tongue.language, ()):
        for found in pattern.finditer(text):
            said = say(found, tongue)
            if said is not None:
                yield Edit(*found.span(), said)
    if tongue.language in ("en", "de"):
        yield from _compounds(text, tongue)
    yield from _fractions(text, tongue)
    yield from _numbers(text, tongue)


def _english_ordinal(found: re.Match[str], tongue: Tongue) -> str | None:
    number = read_number(found["number"], tongue)
    if number is None:
        return None
    value = number.value
    ending = {1: "st", 2: "nd", 3: "rd"}.get(value % 10 if value % 100 not in (11, 12, 13) else 0)
    return ordinal(value, tongue) if found["end"].lower() == (ending or "th") and value else None


def _decade(found: re.Match[str], tongue: Tongue) -> str:
    words = year(int(found["number"]), tongue)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _french_ordinal(found: re.Match[str], tongue: Tongue) -> str | None:
    value, end = int(found["number"]), found["end"]
    match end:
        case "er":
            return "premier" if value == 1 else None
        case "re" | "ère":
            return "première" if value == 1 else None
        case "nd" | "nde":
            return f"seco{end}" if value == 2 else None
        case _:
            is_written_well = value > 1 and found["number"][0] != "0"
            return ordinal(value, tongue) if is_written_well else None


def _marked_ordinal(found: re.Match[str], tongue: Tongue) -> str | None:
    """`1.º` and `1ª` in Spanish, Italian and Portuguese; who says what above ten differs."""
    value = int(found["number"])
    if not 1 <= value <= 10:
        return None
    said = ordinal(value, tongue)
    return said if found["end"] == "º" else said.removesuffix("o") + "a"


_Say = Callable[[re.Match[str], Tongue], str | None]
_ORDINALS: dict[str, tuple[tuple[re.Pattern[str], _Say], ...]] = {
    "en": ((_ENGLISH_ORDINAL, _english_ordinal), (_DECADE, _decade), (_SHORT_DECADE, _decade)),
    "fr": ((_FRENCH_ORDINAL, _french_ordinal),),
    "es": ((_MARKED_ORDINAL, _marked_ordinal),),
    "it": ((_MARKED_ORDINAL, _marked_ordinal),),
    "pt": ((_MARKED_ORDINAL, _marked_ordinal),),
}


def _compounds(text: str, tongue: Tongue) -> Iterator[Edit]:
    """`a 20-year-old`."""
    for found in _COMPOUND.finditer(text):
        value = int(found["number"])
        if not agrees(value, tongue):
            yield Edit(*found.span("number"), cardinal(value, tongue))


def _fractions(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _FRACTION.finditer(text):
        whole, mark = found["number"], found["mark"]
        if whole is None:
            said = tongue.fractions.get(mark)
        elif mark in tongue.mixed and whole[0] != "0":
            words = "ein" if whole == "1" and tongue.language == "de" else None
            said = (words or cardinal(int(whole), tongue)) + tongue.mixed[mark]
        else:
            said = None
        is_counting = tongue.language not in ("en", "de") and word_behind(text, found.end())
        if said and not is_counting:
            yield Edit(*found.span(), said)


@cache
def _number(tongue: Tongue) -> re.Pattern[str]:
    sign = r"(?:(?P<minus>−|(?<=[^\d\s][ (])-|(?<=[(])-))?"
    left = LEFT.replace("−", "")
    return re.compile(rf"{left}{sign}(?P<number>{number_pattern(tongue)}){RIGHT}")


def _numbers(text: str, tongue: Tongue) -> Iterator[Edit]:
    """What is a number and nothing else."""
    for found in _number(tongue).finditer(text):
        number = read_number(found["number"], tongue)
        said = None if number is None else _say(text, found, number, tongue)
        if said is not None:
            yield Edit(*found.span(), f"{tongue.minus} {said}" if found["minus"] else said)


def _say(text: str, found: re.Match[str], number: Number, tongue: Tongue) -> str | None:
    value, before = number.value, word_before(text, found.start("number")).rstrip(".")
    if number.decimals:
        is_version = before.lower() in _VERSIONS
        return None if is_version else decimal(value, number.decimals, tongue)
    if not number.is_grouped and 1000 <= value <= 2099 and not found["minus"]:
        return _say_year(text, found, value, tongue)
    behind = word_behind(text, found.end())
    if (
        found["minus"] == "-"
        and behind
        and behind.lower() not in (*tongue.links.split(), "degrees")
    ):
        return None
    if agrees(value, tongue) and behind and behind.lower() not in tongue.links.split():
        return None
    if not number.is_grouped and _is_name(text, found, value, before, tongue):
        return None
    return cardinal(value, tongue)


def _say_year(text: str, found: re.Match[str], value: int, tongue: Tongue) -> str | None:
    """What is surely no year stays digits where years are read otherwise."""
    before, behind = word_before(text, found.start()), word_behind(text, found.end())
    is_cued = before.lower() in tongue.cues.split()
    is_noun = bool(behind) and behind.lower() not in tongue.links.split()
    is_odd = agrees(value, tongue) or 0 < value % 100 < 10
    if not is_cued and ((is_noun and is_odd) or (value < 1100 and tongue.is_counted_in_hundreds)):
        return None
    return year(value, tongue)


def _is_name(text: str, found: re.Match[str], value: int, before: str, tongue: Tongue) -> bool:
    """Whether it is read in a way of its own: an ordinal, a room, an aeroplane."""
    if value >= 10_000 or value in _EMERGENCY:
        return True
    if tongue.has_dots and value < 100 and _MORE.match(text, found.end()):
        return True
    is_long = value >= 100
    return is_long and (
        before.lower() in _NAMED or (tongue.language == "en" and before[:1].isupper())
    )
