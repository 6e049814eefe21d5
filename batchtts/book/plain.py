"""Plain text: paragraphs between empty lines, chapters by headings that keep a pattern.

Lines that were broken to fit a width are joined; lines that end early on purpose, as in
verse, stay lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

from batchtts.book.parts import Block, Document, Item, Omission, count_words, is_spoken
from batchtts.book.pruning import CONTENTS

_NUMBER = (
    r"(?:\d{1,3}|[IVXLC]{1,8}|the\s+)?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty"
    r"|fifty|first|second|third|fourth|fifth|sixth|last|eins|zwei|drei|vier|fünf|sechs|sieben"
    r"|acht|neun|zehn|un|deux|trois|quatre|cinq|uno|dos|tres|cuatro|cinco)(?:[-\s]\w+)?"
    r"|\d{1,3}|[IVXLC]{1,8}"
)
_KEYWORD = "chapter|kapitel|chapitre|cap[ií]tulo|capitolo|hoofdstuk|глава|letter|canto|scene|act"
_PART_WORD = "part|book|volume|teil|buch|partie|livre|parte|libro|deel|boek|часть"
_CHAPTER = re.compile(
    rf"(?:{_KEYWORD})\s+(?:{_NUMBER})(?=$|\s|[.:,;—–-])(.*)", re.IGNORECASE | re.DOTALL
)
_PART = re.compile(
    rf"(?:{_PART_WORD})\s+(?:{_NUMBER})(?=$|\s|[.:,;—–-])(.*)", re.IGNORECASE | re.DOTALL
)
_MATTER = re.compile(
    r"(?:prologue?|epilogue?|preface|introduction|foreword|afterword|appendix(?:\s+\w{1,3})?"
    r"|conclusion|postscript|prelude|interlude|etymology|vorwort|einleitung|nachwort|epilog)\W*",
    re.IGNORECASE,
)
_ROMAN = re.compile(r"[IVXLC]{1,8}\.?")
_PAGE = re.compile(r"\W*(?:page\s+)?\d{1,4}\W*", re.IGNORECASE)
_LONGEST_HEADING = 100  # characters
_LONGEST_CAPITALS = 60
_COMPARED = 200  # characters of a line
_SENTENCE = 12  # words of a line that is none of a table of contents
_LEAST_BETWEEN = 40.0  # words, on the average, between headings that are only capitals
_LONGEST_WRAPPED = 120  # characters of a line that was broken to fit
_LEVEL_OF_PART, _LEVEL = 1, 2


class _Group(NamedTuple):
    """Lines between empty lines; the first is so many lines from the beginning."""

    lines: list[str]
    number: int

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.lines).split())


def read_plain(text: str, *, keep: Collection[str] = ()) -> Document:
    """Make blocks of a text; headings among them as far as they keep a pattern."""
    groups = _groups(text)
    width = _width(groups)
    levels = _levels(groups)
    items: list[Item] = []
    for n, group in enumerate(groups):
        place = f"line {group.number}"
        level = levels.get(n, 0)
        texts = _lines(group) if level else _said(group, width)
        items += [_item(text, level, place, keep) for text in texts]
    return Document("", items if "contents" in keep else _without_contents(items))


def _item(text: str, level: int, place: str, keep: Collection[str]) -> Item:
    if not is_spoken(text):
        return Omission("empty", place, count_words(text))
    if not level and "pages" not in keep and _PAGE.fullmatch(text):
        return Omission("pages", place, count_words(text))
    return Block(text, level, place)


def _groups(text: str) -> list[_Group]:
    found: list[_Group] = []
    lines: list[str] = []
    begun = 1
    for number, line in enumerate([*_cleaned(text).split("\n"), ""], 1):
        if line.strip():
            begun = begun if lines else number
            lines.append(line.expandtabs())
        elif lines:
            found.append(_Group(lines, begun))
            lines = []
    return found


def _cleaned(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").lstrip("\ufeff")
    return text.translate(_UNSEEN)


_UNSEEN = {
    **dict.fromkeys((*range(9), 0x0B, *range(0x0E, 0x20), 0x7F, 0xAD, 0x200B, 0xFEFF, 0x2060)),
    **dict.fromkeys((0xA0, 0x202F, 0x2007), " "),
}


def _lines(group: _Group) -> list[str]:
    return ["\n".join(" ".join(line.split()) for line in group.lines)]


# ── paragraphs ────────────────────────────────────────────────────────────────


def _width(groups: Sequence[_Group]) -> int:
    """How long lines get before they are broken."""
    lengths = sorted(len(line) for group in groups for line in group.lines[:-1])
    return lengths[len(lengths) * 9 // 10] if lengths else 0


def _said(group: _Group, width: int) -> list[str]:
    """The paragraphs of a group of lines."""
    lines = [" ".join(line.split()) for line in group.lines]
    if any(len(line) > _LONGEST_WRAPPED for line in lines[:-1]):
        return lines  # each line is a paragraph
    indents = [line[:1].isspace() for line in group.lines]
    if indents[0] and not all(indents) and len(lines) > 1:
        return _by_indents(lines, indents)
    return [_joined(lines, width)]


def _by_indents(lines: Sequence[str], indents: Sequence[bool]) -> list[str]:
    found: list[list[str]] = []
    for line, is_indented in zip(lines, indents, strict=True):
        if is_indented:
            found.append([])
        found[-1].append(line)
    return [_unwrapped(it) for it in found]


def _joined(lines: Sequence[str], width: int) -> str:
    """One paragraph; with its lines, if at each end of one there was room for the next word."""
    pairs = pairwise(lines)
    is_verse = len(lines) > 1 and all(
        len(line) + 1 + len(following.split(" ", 1)[0]) < width for line, following in pairs
    )
    return "\n".join(lines) if is_verse else _unwrapped(lines)


def _unwrapped(lines: Sequence[str]) -> str:
    joined = "\n".join(lines)
    return re.sub(r"(?<=[^\W\d_])-\n(?=[^\W\d_])", "-", joined).replace("\n", " ")


# ── headings ──────────────────────────────────────────────────────────────────


def _levels(groups: Sequence[_Group]) -> dict[int, int]:
    """Which groups are headings, and of which level."""
    chapters = _matching(groups, lambda it: _is_titled(_CHAPTER, it))
    parts = _matching(groups, lambda it: _is_titled(_PART, it))
    matter = _matching(groups, _is_matter)
    contents = _matching(groups, lambda it: bool(CONTENTS.fullmatch(it.text)))
    if not chapters and len(parts) < 2:
        chapters = _romans(groups) or _capitals(groups)
    if not chapters and len(parts) < 2:
        return dict.fromkeys(contents, _LEVEL)
    found = dict.fromkeys([*chapters, *matter, *contents], _LEVEL)
    found |= dict.fromkeys(parts, _LEVEL_OF_PART if chapters else _LEVEL)
    for n in [*chapters, *parts]:
        if n + 1 < len(groups) and n + 1 not in found and _is_subtitle(groups[n + 1]):
            found[n + 1] = found[n]
    return found


def _matching(groups: Sequence[_Group], holds: Callable[[_Group], bool]) -> list[int]:
    return [n for n, group in enumerate(groups) if len(group.lines) <= 3 and holds(group)]


def _is_titled(pattern: re.Pattern[str], group: _Group) -> bool:
    """Whether it is a word and a number, and behind them nothing or a title."""
    found = pattern.fullmatch(group.text)
    if found is None or len(group.text) > _LONGEST_HEADING:
        return False
    rest = found[found.re.groups].strip()
    title = rest.lstrip(".:,;—–- ")
    return not title or title != rest or not title[:1].islower()


def _is_matter(group: _Group) -> bool:
    is_told = group.text.isupper() or group.text.istitle()
    return len(group.lines) == 1 and is_told and bool(_MATTER.fullmatch(group.text))


def _is_subtitle(group: _Group) -> bool:
    """A short line of capitals, or of words that begin with them, without a full stop."""
    text = group.text
    if len(group.lines) > 1 or len(text) > _LONGEST_CAPITALS or text.endswith((".", ",", ";", ":")):
        return text.isupper() and len(group.lines) == 1 and len(text) <= _LONGEST_CAPITALS
    words = [it for it in re.findall(r"[^\W\d_]+", text) if len(it) > 3]
    return bool(words) and text[:1] not in "\"“‘'«„—" and all(it[:1].isupper() for it in words)


def _romans(groups: Sequence[_Group]) -> list[int]:
    """Numerals alone, if they count from one."""
    found = _matching(groups, lambda it: bool(_ROMAN.fullmatch(it.text)))
    numbers = [groups[n].text.rstrip(".") for n in found]
    expected = list(takewhile(lambda it: it in numbers, ("I", "II", "III")))
    return found if len(expected) >= min(3, max(2, len(found))) else []


def _capitals(groups: Sequence[_Group]) -> list[int]:
    """Lines of capitals, if they are no more than headings would be, and all different."""
    found = _matching(groups, _is_capitals)
    texts = Counter(groups[n].text for n in found)
    words = sum(count_words(group.text) for group in groups)
    if len(found) < 2 or max(texts.values()) > 1 or words < _LEAST_BETWEEN * len(found):
        return []
    return found


def _is_capitals(group: _Group) -> bool:
    text = group.text
    letters = sum(map(str.isalpha, text))
    is_short = len(group.lines) == 1 and len(text) <= _LONGEST_CAPITALS
    return is_short and text.isupper() and letters >= 3 and not text.startswith(("*", "—"))


# ── a table of contents ───────────────────────────────────────────────────────


def _without_contents(items: list[Item]) -> list[Item]:
    """Leave out the short lines below "Contents", up to where the first of them comes again."""
    places = [n for n, it in enumerate(items) if isinstance(it, Block)]
    blocks = [it for it in items if isinstance(it, Block)]
    lines = [list(filter(None, map(_bare, it.text.split("\n")))) for it in blocks]
    at = 0
    while at < len(blocks):
        end = at + 1
        if blocks[at].level and CONTENTS.fullmatch(blocks[at].line):
            end = _end_of_contents(blocks, lines, at)
            for n in range(at, end) if end > at + 1 else ():
                block = blocks[n]
                items[places[n]] = Omission("contents", block.place, count_words(block.text))
        at = end
    return items


def _end_of_contents(blocks: Sequence[Block], lines: Sequence[list[str]], at: int) -> int:
    """Where the contents that block *at* announces are over; the next block if there are none."""
    body = next((n for n in range(at + 1, len(blocks)) if _is_sentence(blocks[n])), len(blocks))
    last = {line: n for n in range(at + 1, body) for line in lines[n]}
    agains = (max((last[line] for line in lines[n]), default=n) for n in range(at + 1, body))
    again = next((it for n, it in enumerate(agains, at + 1) if it > n), None)
    if again is None:
        return at + 1
    later = {line for own in lines[again:] for line in own}
    while again > at + 1 and later.isdisjoint(lines[again - 1]):
        again -= 1
    return again


def _is_sentence(block: Block) -> bool:
    longest = max(block.text.split("\n"), key=len)
    is_full = count_words(longest) >= _SENTENCE and longest.endswith((".", "!", "?", "”", '"'))
    return len(longest) > _LONGEST_HEADING or is_full


def _bare(line: str) -> str:
    """A line of contents without its page number and dots."""
    return re.sub(r"[\s.…]*\d*\s*$", "", " ".join(re.findall(r"\w+", line[:_COMPARED]))).casefold()
