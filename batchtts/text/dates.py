"""Dates and times of day in words, where they are surely dates and times. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from batchtts.text.digits import LEFT, RIGHT, SPACE, word_before, word_behind
from batchtts.text.rendering import Edit
from batchtts.text.spelling import cardinal, ordinal, year
from batchtts.text.tongues import Tongue

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEAR = r"(?P<year>1[0-9]{3}|20[0-9]{2})"
_DAY = r"(?P<day>[1-9]|[12][0-9]|3[01])"
_ISO = re.compile(rf"{LEFT}{_YEAR}-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01]){RIGHT}")
_SHORT = r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
_TIME = re.compile(
    rf"{LEFT}(?P<hour>1?[0-9]|2[0-3])(?::(?P<minute>[0-5][0-9]))?"
    rf"(?:{SPACE}?(?P<half>[ap]\.?m\b\.?))?{RIGHT}",
    re.IGNORECASE,
)
_UHR = re.compile(rf"{LEFT}(?P<hour>1?[0-9]|2[0-3])(?:[:.](?P<minute>[0-5][0-9]))?(?={SPACE}Uhr\b)")
_HEURES = re.compile(
    rf"{LEFT}(?P<hour>1?[0-9]|2[0-3])(?:{SPACE}?h{SPACE}?(?P<minute>[0-5][0-9])?\b"
    rf"|:(?P<other>[0-5][0-9])){RIGHT}"
)
_ALLE = re.compile(rf"{LEFT}(?P<hour>1?[0-9]|2[0-3])[:.](?P<minute>[0-5][0-9]){RIGHT}")

# Behind these a German ordinal ends in -n, behind those in -e.
_DATIVE = "am vom zum beim im dem den des diesem jenem jeden seit ab bis"
_ARTICLE = "der die das"


def date_edits(text: str, tongue: Tongue, language: str) -> Iterator[Edit]:
    """Find dates, and how they are said, in no order.

    Args:
        language: With its region: 05/12/2024 is in May in ``en-us`` only.
    """
    for pattern in _numeric(tongue, language):
        for found in pattern.finditer(text):
            yield from _date(text, found, tongue)
    if tongue.months:
        yield from _named(text, tongue)
    if tongue.language == "de":
        yield from _german_ordinals(text, tongue)


def _numeric(tongue: Tongue, language: str) -> Iterator[re.Pattern[str]]:
    month = r"(?P<month>0?[1-9]|1[0-2])"
    day = r"(?P<day>0?[1-9]|[12][0-9]|3[01])"
    if tongue.months:
        yield _ISO
    if language in ("en-us", "en_us"):
        yield re.compile(f"{LEFT}{month}/{day}/{_YEAR}{RIGHT}")
    if tongue.language == "de":
        yield re.compile(rf"{LEFT}{day}\.{SPACE}?{month}\.{SPACE}?{_YEAR}{RIGHT}")


def _date(text: str, found: re.Match[str], tongue: Tongue) -> Iterator[Edit]:
    day, month = int(found["day"]), int(found["month"])
    if day > _DAYS[month - 1]:
        return
    name, spoken_year = tongue.months[month - 1], year(int(found["year"]), tongue)
    match tongue.language:
        case "en":
            said = f"{name} {ordinal(day, tongue)}, {spoken_year}"
        case "de":
            said = f"{_inflected(text, found.start(), day, tongue, 'r')} {name} {spoken_year}"
        case "es" | "pt":
            said = f"{_day(day, tongue)} de {name} de {spoken_year}"
        case _:
            said = f"{_day(day, tongue)} {name} {spoken_year}"
    yield Edit(*found.span(), said)


def _day(day: int, tongue: Tongue) -> str:
    is_first = day == 1 and tongue.language in ("fr", "it", "pt")
    return ordinal(1, tongue) if is_first else cardinal(day, tongue)


def _named(text: str, tongue: Tongue) -> Iterator[Edit]:
    """Find dates whose months are words."""
    match tongue.language:
        case "en":
            yield from _month_first(text, tongue)
            yield from _day_first(text, tongue)
        case "de":
            for found in _with_month(tongue).finditer(text):
                said = _inflected(text, found.start(), int(found["day"]), tongue, "r")
                yield Edit(found.start(), found.start("month"), said + " ")
                yield from _year_of(found, tongue)
        case _:
            for found in _with_month(tongue).finditer(text):
                if not found["mark"] or found["day"] == "1":
                    yield Edit(*found.span("written"), _day(int(found["day"]), tongue))
                    yield from _year_of(found, tongue)


@cache
def _with_month(tongue: Tongue) -> re.Pattern[str]:
    months = "|".join(tongue.months)
    match tongue.language:
        case "de":
            mark, then, of = "", r"\. ?", " "
        case "es" | "pt":
            mark, then, of = "[º°]?", " de ", "(?: del? | )"
        case _:
            mark, then, of = "(?:er|[º°])?", " ", " "
    return re.compile(
        rf"{LEFT}(?P<written>{_DAY}(?P<mark>{mark})){then}(?P<month>(?i:{months}))\b"
        rf"(?:{of}{_YEAR}{RIGHT})?"
    )


def _year_of(found: re.Match[str], tongue: Tongue) -> Iterator[Edit]:
    if found["year"]:
        yield Edit(*found.span("year"), year(int(found["year"]), tongue))


@cache
def _english(tongue: Tongue) -> tuple[re.Pattern[str], re.Pattern[str]]:
    months = rf"(?P<month>(?:{'|'.join(tongue.months)})\b|(?:{_SHORT})\b\.?)"
    end = r"(?P<end>st|nd|rd|th)?"
    return (
        re.compile(rf"\b{months} (?P<written>{_DAY}{end})(?:(?P<comma>,? ){_YEAR})?{RIGHT}"),
        re.compile(rf"{LEFT}(?P<written>{_DAY}{end} ){months}(?:,? {_YEAR})?{RIGHT}"),
    )


def _month_first(text: str, tongue: Tongue) -> Iterator[Edit]:
    for found in _english(tongue)[0].finditer(text):
        behind = word_behind(text, found.end())
        if found["year"] or not behind[:1].islower() or behind in tongue.links.split():
            yield Edit(*found.span("written"), ordinal(int(found["day"]), tongue))
            yield from _year_of(found, tongue)


def _day_first(text: str, tongue: Tongue) -> Iterator[Edit]:
    """`12 May 2024`; without a year only where a date is expected."""
    for found in _english(tongue)[1].finditer(text):
        before = word_before(text, found.start()).lower()
        if found["year"] or before in ("on", "of", "since", "until", "from", "by", "the"):
            article = "" if before == "the" else "the "
            said = f"{article}{ordinal(int(found['day']), tongue)} of "
            yield Edit(*found.span("written"), said)
            yield from _year_of(found, tongue)


def _german_ordinals(text: str, tongue: Tongue) -> Iterator[Edit]:
    """`im 19. Jahrhundert`: the word before says the ending."""
    pattern = rf"{LEFT}(?P<number>[1-9][0-9]?)\.(?= (?:Jahrhunderts?|Jahrtausends?|Weltkriegs?)\b)"
    for found in re.finditer(pattern, text):
        before = word_before(text, found.start()).lower()
        if before in (_DATIVE + " der das").split():
            said = _inflected(text, found.start(), int(found["number"]), tongue, "")
            yield Edit(*found.span(), said)


def _inflected(text: str, at: int, value: int, tongue: Tongue, otherwise: str) -> str:
    """A German ordinal with the ending that the word before asks for."""
    before = word_before(text, at).lower()
    said = ordinal(value, tongue)
    if before in _DATIVE.split():
        return said + "n"
    return said if before in _ARTICLE.split() else said + otherwise


def time_edits(text: str, tongue: Tongue) -> Iterator[Edit]:
    """Find times of day, and how they are said, in no order."""
    match tongue.language:
        case "en":
            for found in _TIME.finditer(text):
                yield from _english_time(text, found, tongue)
        case "de":
            for found in _UHR.finditer(text):
                yield from _german_time(text, found, tongue)
        case "fr":
            for found in _HEURES.finditer(text):
                yield Edit(*found.span(), _french_time(found, tongue))
        case "es" | "it":
            for found in _ALLE.finditer(text):
                yield from _southern_time(text, found, tongue)
        case _:
            return


def _english_time(text: str, found: re.Match[str], tongue: Tongue) -> Iterator[Edit]:
    hour, minute, half = int(found["hour"]), found["minute"], found["half"]
    if (minute is None and half is None) or hour == 0 or (half and hour > 12):
        return
    words = [cardinal(hour, tongue)]
    if minute is not None and int(minute):
        words += ["oh"] * (minute[0] == "0") + [cardinal(int(minute), tongue)]
    elif half is None:
        if hour > 12:
            return
        words.append("o'clock")
    if half:
        is_ended = half.endswith(".") or text.startswith(".", found.end())
        words.append(f"{half[0].lower()}.m" + "." * (half.endswith(".") or not is_ended))
    yield Edit(*found.span(), " ".join(words))


def _german_time(text: str, found: re.Match[str], tongue: Tongue) -> Iterator[Edit]:
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    end = found.end() + len(" Uhr")
    said = "ein" if hour == 1 else cardinal(hour, tongue)
    said += " Uhr" + (f" {cardinal(minute, tongue)}" if minute else "")
    if not (minute and word_behind(text, end).isnumeric()):
        yield Edit(found.start(), end, said)


def _french_time(found: re.Match[str], tongue: Tongue) -> str:
    hour, minute = int(found["hour"]), int(found["minute"] or found["other"] or 0)
    said = cardinal(hour, tongue) + "e" * (hour in (1, 21))
    said += " heure" if hour < 2 else " heures"
    if not minute:
        return said
    return f"{said} {cardinal(minute, tongue)}" + "e" * (minute % 10 == 1 and minute != 11)


def _southern_time(text: str, found: re.Match[str], tongue: Tongue) -> Iterator[Edit]:
    """Spanish and Italian, behind the words that go before a time."""
    hour, minute = int(found["hour"]), int(found["minute"])
    before = word_before(text, found.start()).lower()
    is_time = before in ("las", "la", "alle", "ore", "dalle", "le")
    if not is_time or hour in (0, 1, 21):
        return
    said = cardinal(hour, tongue)
    if minute and tongue.language == "it":
        said += f" e {cardinal(minute, tongue)}"
    elif minute:
        said += (" cero" if minute < 10 else "") + f" {cardinal(minute, tongue)}"
    yield Edit(*found.span(), said)
