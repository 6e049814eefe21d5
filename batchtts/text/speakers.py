"""Speakers named within a script: ``[Alice] Good morning. [Bob] Hello.`` Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

from batchtts import errors
from batchtts.hints import meant
from batchtts.text.rendering import Edit, Rendering

_TAG = re.compile(r"\[([^\[\]\n]{1,80})\][ \t]*(?::[ \t]*)?")
# Words of letters: neither [1], nor [^note], nor [a], nor a link of Markdown.
_NAME_AT_LINE_START = re.compile(
    r"^[^\S\n]*\[([^\W\d_]\w+(?:[ .'’-]+\w+)*\.?|[^\W\d_](?:[ .'’-]+\w+)+\.?)\](?![(\[])",
    re.MULTILINE,
)


class Turn(NamedTuple):
    """``spoken[start:end]`` is said by *speaker*; None is the row's own voice."""

    start: int
    end: int
    speaker: str | None


def find_turns(rendering: Rendering, speakers: Collection[str]) -> tuple[Rendering, list[Turn]]:
    """Take the tags out of what is spoken, and find out who says what.

    Args:
        rendering: As it is after cleaning.
        speakers: Their names; a tag may have them in other letters' case. Without any,
            nothing is a tag.

    Returns:
        The rendering without tags, and turns that join to what is spoken, each with a name
        as *speakers* has it; no turns if there is no tag.

    Raises:
        ScriptRejected: a line begins with the tag of a speaker that nobody knows.
    """
    known = {_key(name): name for name in speakers}
    if not known or "[" not in rendering.spoken:
        return rendering, []
    _refuse_unknown(rendering, known)
    edits: list[Edit] = []
    cuts: list[tuple[int, str | None]] = [(0, None)]
    removed = 0
    for tag in _TAG.finditer(rendering.spoken):
        if speaker := known.get(_key(tag[1])):
            edits.append(Edit(tag.start(), tag.end(), ""))
            cuts.append((tag.start() - removed, speaker))
            removed += tag.end() - tag.start()
    edited = rendering.edited(edits)
    return edited, _joined(cuts, len(edited.spoken)) if edits else []


def _joined(cuts: list[tuple[int, str | None]], end: int) -> list[Turn]:
    """Turns with something in them; those of one speaker in a row are one."""
    turns: list[Turn] = []
    for (start, speaker), (until, _) in pairwise([*cuts, (end, None)]):
        if turns and turns[-1].speaker == speaker:
            turns[-1] = turns[-1]._replace(end=until)
        elif start < until:
            turns.append(Turn(start, until, speaker))
    return turns


def _refuse_unknown(rendering: Rendering, known: dict[str, str]) -> None:
    for tag in _NAME_AT_LINE_START.finditer(rendering.spoken):
        if _key(tag[1]) not in known:
            place = rendering.script_at(tag.start(1))
            line = rendering.script.count("\n", 0, place) + 1
            raise errors.ScriptRejected(
                f"line {line}: [{tag[1]}] is no speaker",
                hint=meant(
                    tag[1],
                    known.values(),
                    otherwise=f"the speakers are {', '.join(sorted(known.values()))}",
                ),
            )


def _key(name: str) -> str:
    """By which names are compared."""
    return unicodedata.normalize("NFC", name).strip().casefold()
