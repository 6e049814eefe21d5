"""The words of a text as they are heard, however they are written. Pure.

A script says `$3,450.75` and a recognizer `three thousand four hundred and fifty dollars
and seventy-five cents`: here both come to the same words. Each word remembers from which
part of the text it comes. What is written without spaces counts by characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from batchtts.text import english
from batchtts.text.numbers import number_edits
from batchtts.text.rendering import Edit, Rendering
from batchtts.text.spelling import cardinal, year
from batchtts.text.tongues import Tongue, find_tongue


class Word(NamedTuple):
    """A word that is heard, and the part of the text that it stands for."""

    text: str
    start: int
    end: int


# More than one word may stand for the same part.
_APOSTROPHES = {ord(it): "'" for it in "’‘ʼʻ′`´＇"}
_LETTERS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.){2,}(?:[^\W\d_](?![\w]))?")
_RUNS = re.compile(r"[0-9]+|[^0-9]+")
_SUM = re.compile(r"(?P<mark>[$£€¥]) ?(?P<sum>[0-9](?:[0-9.,]*[0-9])?)")
_MOST_DIGITS = 6  # in a number that is not read digit by digit

_SYMBOLS = {
    "en": {"&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "°": "degrees",
           "$": "dollars", "£": "pounds", "€": "euros", "¥": "yen"},
    "de": {"&": "und", "%": "Prozent", "+": "plus", "=": "gleich", "°": "Grad",
           "$": "Dollar", "£": "Pfund", "€": "Euro"},
    "fr": {"&": "et", "%": "pour cent", "+": "plus", "°": "degrés", "$": "dollars",
           "£": "livres", "€": "euros"},
    "es": {"&": "y", "%": "por ciento", "+": "más", "°": "grados", "$": "dólares",
           "£": "libras", "€": "euros"},
    "it": {"&": "e", "%": "per cento", "+": "più", "°": "gradi", "$": "dollari",
           "£": "sterline", "€": "euro"},
}  # fmt: skip
_SHORT = {
    "de": {"dr": "Doktor", "prof": "Professor", "nr": "Nummer", "usw": "und so weiter",
           "bzw": "beziehungsweise", "ca": "circa", "str": "Straße", "hr": "Herr", "hrn": "Herrn"},
    "fr": {"mme": "madame", "mlle": "mademoiselle", "dr": "docteur", "st": "saint",
           "ste": "sainte", "mm": "messieurs", "etc": "et cetera"},
    "es": {"sr": "señor", "sra": "señora", "srta": "señorita", "dr": "doctor", "dra": "doctora",
           "ud": "usted", "uds": "ustedes", "etc": "etcétera"},
    "it": {"sig": "signor", "dott": "dottor", "prof": "professor", "ecc": "eccetera"},
}  # fmt: skip

# Written without spaces: Thai, Lao, Myanmar, Khmer, kana and Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


def normalize(text: str, language: str) -> list[Word]:
    """Return the words that are heard of a text, in order.

    Args:
        language: A tag like ``en`` or ``pt-BR``; of any language.

    Returns:
        Words of letters, in lower case; in English with apostrophes within. Their parts of
        the text are in order and either the same or apart; what is between them is in none,
        nor are hesitations.
    """
    tongue = find_tongue(language)
    code = language.lower().replace("_", "-").partition("-")[0]
    rendering = Rendering.of(text)
    if tongue is not None:
        rendering = rendering.edited(number_edits(text, language, is_heading=False))
    rendering = rendering.edited(_written(rendering.spoken, code))
    words = list(_apart(_words(rendering, code, tongue)))
    return list(_counted(words)) if code == "en" else words


def _written(text: str, code: str) -> list[Edit]:
    """Symbols, abbreviations and letters with full stops, as words."""
    edits = [Edit(*it.span(), f" {it[0].replace('.', '')} ") for it in _LETTERS.finditer(text)]
    symbols = _SYMBOLS.get(code)
    if symbols:
        edits += (
            Edit(*it.span(), f"{it['sum']} {symbols[it['mark']]} ")
            for it in _SUM.finditer(text)
            if it["mark"] in symbols
        )
        pattern = re.compile("[" + re.escape("".join(symbols)) + "]")
        edits += (Edit(*it.span(), f" {symbols[it[0]]} ") for it in pattern.finditer(text))
    if code == "en":
        edits += _english(text)
    elif code in _SHORT:
        short = _SHORT[code]
        pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(short)})\.", re.IGNORECASE)
        edits += (
            Edit(*it.span(), f"{short[it[0][:-1].lower()]} ") for it in pattern.finditer(text)
        )
    return list(_first(sorted(edits, key=lambda it: (it.start, -it.end))))


def _first(edits: Iterable[Edit]) -> Iterator[Edit]:
    """Leave out what begins within another one."""
    end = 0
    for edit in edits:
        if edit.start >= end:
            yield edit
            end = edit.end


_TITLES = re.compile(
    rf"(?<![\w.'’])(?P<word>{'|'.join(english.ABBREVIATIONS)})(?:\.|(?![\w'’]))", re.IGNORECASE
)
_DOTTED = re.compile(rf"(?<![\w.'’])(?P<word>{'|'.join(english.DOTTED)})\.(?= [A-Z0-9])")
_NUMBER = re.compile(
    r"(?<![\w.'’])No\.(?=\s?[0-9])|(?<![\w.'’])No\.(?= (?:"
    + "|".join(sorted(english.NUMBERS))
    + r")\b)"
)
_FRACTION = re.compile(rf"(?<![0-9/.,])(?:{'|'.join(map(re.escape, english.FRACTIONS))})(?![0-9/])")
_SAINT = re.compile(r"(?<![\w.'’])(?:St|ST)\.?(?=(?P<name>[ \u00a0][A-Z])?)(?![\w'’])")
_UNIT = re.compile(
    rf"(?:(?<=[0-9])|(?<![\w.'’])(?P<number>(?:\w+-)?(?:{'|'.join(sorted(english.NUMBERS))}) ))"
    rf"[ \u00a0-]?(?P<unit>{'|'.join(sorted(english.UNITS, key=len, reverse=True))})(?![\w'’])\.?"
)


def _english(text: str) -> Iterator[Edit]:
    for found in _TITLES.finditer(text):
        said = english.ABBREVIATIONS[found["word"].lower()]
        is_title = found["word"][0].isupper() or found[0].endswith(".")
        if is_title or found["word"] == "vs":
            yield Edit(*found.span(), f"{said} ")
    for found in _FRACTION.finditer(text):
        yield Edit(*found.span(), f" {english.FRACTIONS[found[0]]} ")
    for found in _NUMBER.finditer(text):
        yield Edit(*found.span(), "number ")
    for found in _SAINT.finditer(text):
        yield Edit(*found.span(), "Saint " if found["name"] else "Street ")
    for found in _UNIT.finditer(text):
        start = found.end("number") if found["number"] else found.start()
        yield Edit(start, found.end(), f" {english.UNITS[found['unit']]} ")


@cache
def _word_pattern() -> re.Pattern[str]:
    """A run of letters, digits and marks, with apostrophes inside; or a lone character."""
    marks = [it for it in range(0x300, 0x20000) if unicodedata.category(chr(it))[0] == "M"]
    classes = "".join(f"{chr(it)}" for it in marks if not 0x0E00 <= it <= 0x0EFF)
    letters = rf"(?:(?![{_UNSPACED}])[^\W_]|[{classes}])"
    return re.compile(rf"[{_UNSPACED}][{classes}]*|'?{letters}+(?:'{letters}+)*")


def _words(rendering: Rendering, code: str, tongue: Tongue | None) -> Iterator[Word]:
    """The words of what is spoken, each in its one form."""
    spoken = rendering.spoken.translate(_APOSTROPHES)
    begins, ends = rendering.begins, rendering.ends
    for found in _word_pattern().finditer(spoken):
        start, end = found.span()
        if begins is not None and ends is not None:
            start, end = int(begins[start]), int(ends[end - 1])
        for form in _forms(found[0], code, tongue):
            yield Word(form, start, end)


def _apart(words: Iterable[Word]) -> Iterator[Word]:
    """Give words whose parts overlap the same part."""
    waiting: list[Word] = []
    end = 0
    for word in words:
        if waiting and word.start >= end:
            yield from (it._replace(start=waiting[0].start, end=end) for it in waiting)
            waiting = []
        end = max(end, word.end)
        waiting.append(word)
    yield from (it._replace(start=waiting[0].start, end=end) for it in waiting)


@lru_cache(maxsize=65536)
def _forms(written: str, code: str, tongue: Tongue | None) -> tuple[str, ...]:
    """The words that one written word stands for."""
    plain = unicodedata.normalize("NFKC", written).casefold()
    if code == "en":
        plain = _unaccented(plain)
        words = [it for it in english.american(plain) if it not in english.HESITATIONS]
    else:
        words = plain.replace("'", " ").split()
    said: list[str] = []
    for word in words:
        if any(map(str.isdecimal, word)):
            said += _read(word, tongue)
        else:
            said.append("".join(it for it in word if _is_letter(it) or it == "'").strip("'"))
    return tuple(filter(None, said))


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _unaccented(word: str) -> str:
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFKD", word)
    return "".join(it for it in parts if not unicodedata.combining(it))


def _read(word: str, tongue: Tongue | None) -> Iterator[str]:
    """Digits that are in no known kind of number, and letters between them."""
    digits = "".join(str(unicodedata.decimal(it, it)) for it in word)
    for part in _RUNS.findall("".join(filter(_is_letter, digits))):
        if not part.isdecimal() or tongue is None:
            yield part
            continue
        if len(part) > _MOST_DIGITS or (len(part) > 1 and part[0] == "0"):
            said = " ".join(cardinal(int(it), tongue) for it in part)
        elif 1100 <= int(part) <= 2099:
            said = year(int(part), tongue)
        else:
            said = cardinal(int(part), tongue)
        yield from re.findall(r"[^\W_]+", said.casefold())


def _counted(words: list[Word]) -> Iterator[Word]:
    """English numbers in one form: without `and`, `one hundred` for `a hundred`."""
    for place, word in enumerate(words):
        before = words[place - 1].text if place else ""
        behind = words[place + 1].text if place + 1 < len(words) else ""
        match word.text:
            case "and" if behind in english.NUMBERS and before in english.SCALES | english.COINS:
                continue
            case "a" if behind in english.SCALES:
                yield word._replace(text="one")
            case "o" | "oh" if before in english.NUMBERS and behind in english.NUMBERS:
                yield word._replace(text="zero")
            case _:
                yield word
