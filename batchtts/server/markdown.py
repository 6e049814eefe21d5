"""What is left of Markdown when it is read aloud. No I/O.

Marks go, words stay: those of headings, lists, quotations, code, and of links
without their addresses. Emoji go too. It is a provider's convenience for text
that comes out of a language model, and no parser of Markdown.
"""

from __future__ import annotations

import re

#: Lines that are nothing but marks: fences, rules, underlines of headings.
_MARKS_ONLY = re.compile(r"^[ \t]*(?:(?:```|~~~)[^\n`]*|(?:[-*_=][ \t]*){3,})$", re.MULTILINE)

#: What a line may begin with: marks of headings, quotations and lists.
_LEADING = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*+]|\d{1,3}[.)])[ \t]+", re.MULTILINE)

_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")

#: Words between two marks that are the same, not those in the middle of a word.
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|~~|`{1,3})(?=\S)([^*_~`\n]+)(?<=\S)\1(?!\w)")

_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d\u20e3]+")

_DEEPEST = 3  # marks around marks


def plain(text: str) -> str:
    """Return *text* without marks and emoji; what has none of either stays as it is."""
    text = _MARKS_ONLY.sub("", text)
    for _ in range(_DEEPEST):
        text = _LEADING.sub("", text)
    text = _LINK.sub(r"\1", text)
    for _ in range(_DEEPEST):
        text = _EMPHASIS.sub(r"\2", text)
    return _EMOJI.sub("", text)
