"""What must not be in a recorded conversation is taken out here. Pure.

A key is taken out of any text, however it is spelled there. A script is masked:
its letters become ``x`` and its digits ``0``, so that spacing, length and the
order of words stay, and what a dialogue makes of a conversation stays with them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

#: In place of a key. Keys are ASCII, so no part of one can be in this.
MASKED_KEY = "•••"

#: Fields of messages that say what is spoken, without case, hyphens and underscores.
_SPOKEN = frozenset(
    """
    alignment caption captions char character characters chars displaytext grapheme graphemes
    input normalizedalignment normalizedtext originaltext phone phoneme phonemes phonemetimestamps
    phones punctuatedword script sentence sentences spokentext ssml subtitle subtitles text texts
    timestamps token tokens transcript transcription utterance word words wordtimestamps
    """.split()
)

_TOKEN = re.compile(r"[^\W_]+")
_SPACE = re.compile(r"\s")


class Secret:
    """A key that must not be told."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._pattern = re.compile("".join(map(_spellings, key)))

    def out_of(self, text: str) -> str:
        """Return a text without the key: as it is, percent-encoded, escaped in JSON, or mixed."""
        if "%" in text or "\\" in text or " " in self._key:
            return self._pattern.sub(MASKED_KEY, text)
        return text.replace(self._key, MASKED_KEY)  # most of what is said is long and plain

    def out_of_bytes(self, payload: bytes) -> bytes:
        """Return bytes without the key."""
        key = self._key.encode()
        return payload.replace(key, b"*" * len(key))


def _spellings(character: str) -> str:
    code = ord(character)
    ways = [rf"\\u(?i:{code:04x})", f"%(?i:{code:02x})"]
    if character in '"\\/':
        ways.append(re.escape(f"\\{character}"))
    if character == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join([*ways, re.escape(character)])})"


def mask(text: str) -> str:
    """Return a text of the same shape that says nothing."""
    return "".join(map(_mask_character, text))


def _mask_character(character: str) -> str:
    match unicodedata.category(character)[0], character.isascii():
        case "L", True:
            return "x"
        case "L", False:
            return "ж"  # a letter that is no plain one, as the original was
        case "N", _:
            return "0"
        case "M", _:
            return "\u0301"
        case _:
            return character


class Screen:
    """Masks what messages tell of some scripts."""

    def __init__(self, scripts: Iterable[str]) -> None:
        self._scripts = [script.casefold() for script in scripts]
        self._words = {word for script in self._scripts for word in _TOKEN.findall(script)}
        self._letters = [_letters(script) for script in self._scripts]

    def mask(self, message: str) -> str:
        """Return a message without what it tells of the scripts; without any, it stays as it is."""
        try:
            said = json.loads(message)
            masked = self._mask(said, is_spoken=False)
            if masked == said:
                return message
            return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            return self._mask_prose(message)

    def _mask(self, value: object, *, is_spoken: bool) -> object:
        match value:
            case str():
                return mask(value) if is_spoken else self._mask_string(value)
            case list():
                is_spoken = is_spoken or self._spells(value)
                return [self._mask(each, is_spoken=is_spoken) for each in value]
            case dict():
                return {
                    name: self._mask(each, is_spoken=is_spoken or _plain(name) in _SPOKEN)
                    for name, each in value.items()
                }
            case _:
                return value

    def _spells(self, parts: list[object]) -> bool:
        """Whether these are pieces of a script, one after another."""
        letters = _letters("".join(part for part in parts if isinstance(part, str)))
        return bool(letters) and any(letters in script for script in self._letters)

    def _mask_string(self, value: str) -> str:
        """Mask a sentence; a single word is the name of something."""
        is_name = value.isascii() and not _SPACE.search(value)
        return value if is_name else self._mask_prose(value)

    def _mask_prose(self, text: str) -> str:
        """Mask every word that is one of a script's."""
        return _TOKEN.sub(lambda found: self._mask_word(found[0]), text)

    def _mask_word(self, word: str) -> str:
        told = word.casefold()
        # Not every script puts spaces between its words.
        is_part = not word.isascii() and any(told in script for script in self._scripts)
        return mask(word) if told in self._words or is_part else word


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
