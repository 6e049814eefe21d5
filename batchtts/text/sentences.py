"""Where sentences end. Pure.

`sentencex` proposes ends by the rules and abbreviations of the language. It is never
trusted: what it gives back must join to what it was given, and an end after "Mr.",
before a small letter or in front of a closing mark is taken back. Rules of our own
stand in for it, and find sentences within a quotation, which it keeps whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

#: What is given to the library at a time: it takes quadratic time for unpaired quotation marks.
_WINDOW = 4000

# The library panics at some white space beyond ASCII, and takes no surrogates.
_UNUSUAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    "\ufeff\ud800-\udfff]"
)

CLOSERS = "\"'”’»›)\\]}」』】）》〉"
_SENTENCE = re.compile(
    rf"[.!?…]+(?:[{CLOSERS}“‘]|\s»)*(?:\s+|$)"
    rf"|(?:[。！？｡؟۔।॥።፧။៕։܀།\u037e]|．(?!\d))+[…{CLOSERS}]*\s*"
)
_GREEK = re.compile(rf"[.!?…;]+[{CLOSERS}]*(?:\s+|$)|\u037e[{CLOSERS}]*\s*")

_LAST_WORD = re.compile(r"[^\W_][\w.]*(?=\.\s*$)")
_CLOSER = re.compile(rf"[{CLOSERS}]")
_NEXT_LETTER = re.compile(r"\s*(?:[–—-]\s*)?(\w)")
_NUMBER_FOLLOWS = re.compile(r"\s*(?:\d|(?!I\b)[IVXLC]+\b)")
# Japanese goes on after a quotation to say that it was said.
_SAID = re.compile("[」』](?:と|って|なんて|など)")
_ENUMERATOR = re.compile(r"\s*[(\[]?\d{1,3}\.\s*")

_DOTTED = re.compile(r"\b\w\.\s?\w\.\s+$")
# Languages that write a full stop behind the number of a day.
_ORDINAL = re.compile(r"(?<!\d)\d{1,2}\.\s+$")
_WITH_ORDINALS = frozenset("cs da de et fi hr hu is lv nb nn no sk sl sr tr".split())

# Words whose full stop ends no sentence: a name follows.
_BEFORE_NAME = frozenset(
    "mr mrs ms mx dr prof rev hon gen col maj capt cmdr lt sgt cpl st mt messrs fr ph.d fig figs "
    "vol vols chap "
    "hr hrn bzw z.b d.h u.a vgl mme mlle mgr sr sra srta dña sres ud uds dott sig "
    "sigg ing avv dhr mevr drs dra profa e.g i.e cf vs viz np m.in т.е г ул".split()
)
# The same if a number follows.
_BEFORE_NUMBER = frozenset(
    "no nos nr núm num n.º p pp pg s eq ch cap kap sec sect § art ca c "
    "approx bd jan feb mar apr jun jul aug sep sept oct okt nov dec dez tel op cit est".split()
)


def sentence_ends(text: str, language: str) -> list[int]:
    """Return where the sentences of a paragraph end.

    Args:
        text: Any text.
        language: BCP 47 tag; one that nobody knows is treated as English.

    Returns:
        Ascending; white space belongs to the sentence before it. The end of *text* is
        not among them.
    """
    return list(_corrected(text, _proposed(text, language)))


def plain_ends(text: str, language: str) -> list[int]:
    """Return the same by rules of our own, within quotations too."""
    pattern = _GREEK if _base(language) == "el" else _SENTENCE
    ends = (found.end() for found in pattern.finditer(text))
    return [end for end in _corrected(text, ends) if not _is_doubtful(text, end, language)]


def binds(text: str, at: int) -> bool:
    """Whether the word before ``text[at]`` says nothing without the one behind it.

    So it is with "Mr.", "No." and a number, to which its unit belongs.
    """
    before = text[max(0, at - 40) : at].rstrip()
    return before[-1:].isdigit() or _is_abbreviation(before, text, at)


def _base(language: str) -> str:
    return language.partition("-")[0].lower() or "en"


def _proposed(text: str, language: str) -> Iterator[int]:
    """What the library says, a window at a time."""
    plain, start = _UNUSUAL.sub(" ", text).replace("\u037e", ";"), 0
    while start < len(plain):
        window = plain[start : start + _WINDOW]
        ends = _ask(window, _base(language))
        if ends is None:
            ends = plain_ends(window, language)
        is_last = start + _WINDOW >= len(plain)
        # The last sentence of a window may go on behind it: it is looked at again.
        ends = [end for end in ends if end < len(window)]
        yield from (start + end for end in ends)
        start += len(window) if is_last or not ends else ends[-1]


def _ask(window: str, language: str) -> list[int] | None:
    """Where the sentences of *window* end by the library; None if it has lost something."""
    from sentencex import segment

    sentences: Sequence[str] = segment(language, window)
    return list(accumulate(map(len, sentences))) if "".join(sentences) == window else None


def _corrected(text: str, ends: Iterable[int]) -> Iterator[int]:
    """Leave out the ends that are none."""
    start, is_lower = 0, text.islower()
    for end in ends:
        if 0 < end < len(text) and not _goes_on(text, start, end, is_lower):
            yield end
            start = end


def _is_doubtful(text: str, end: int, language: str) -> bool:
    """Whether it takes more than a full stop to know: "U.S.", and "5." in some languages."""
    before = text[max(0, end - 40) : end]
    if _DOTTED.search(before):
        return True
    return _base(language) in _WITH_ORDINALS and _ORDINAL.search(before) is not None


def _goes_on(text: str, start: int, end: int, is_lower: bool) -> bool:
    """Whether the sentence ``text[start:end]`` is not over yet."""
    if _CLOSER.match(text, end) and not text[end - 1].isspace():
        return True
    if text[end] == "»" and text.rfind("«", start, end) > text.rfind("»", start, end):
        return True
    if _SAID.match(text, end - 1):
        return True
    found = _NEXT_LETTER.match(text, end)
    # A writing without capitals, such as Georgian, has small letters that do not change.
    if found and not is_lower and found[1].islower() and found[1].title() != found[1]:
        return True
    if _ENUMERATOR.fullmatch(text, start, min(end, start + 20)):
        return True
    return _is_abbreviation(text[max(start, end - 40) : end], text, end)


def _is_abbreviation(before: str, text: str, end: int) -> bool:
    """Whether *before* ends with a word whose full stop ends no sentence."""
    found = _LAST_WORD.search(before)
    if found is None:
        return False
    word = found[0].casefold()
    if len(word) == 1 and word.isalpha():
        return True
    if word in _BEFORE_NAME:
        return True
    return word in _BEFORE_NUMBER and _NUMBER_FOLLOWS.match(text, end) is not None
