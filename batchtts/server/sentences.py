"""Where a growing text may be cut, as a provider does it before the commit comes.

Joining the pieces and the rest gives the text back, but for white space at the cuts.
"""

from __future__ import annotations

import re

# A full stop ends a sentence when white space follows, or when the next append
# went on without any: "a test.This is".
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|(?<=[a-z]{2})[.!?…]+(?=[A-Z])|[。！？]")
_ABBREVIATIONS = frozenset(["dr", "mr", "mrs", "ms", "prof", "st", "vs", "no", "e.g", "i.e", "etc"])


def cut(text: str, limit: int) -> tuple[list[str], str]:
    """Return the whole sentences of *text*, and what is left over.

    Args:
        text: What has come in so far; more may follow.
        limit: Characters; what is left over and is longer is cut between words.
    """
    sentences, start = [], 0
    for end in _END.finditer(text):
        if not _is_abbreviated(text[start : end.end()]):
            sentences.append(text[start : end.end()].strip())
            start = end.end()
    rest = text[start:]
    while len(rest) > limit:
        space = rest.rfind(" ", 1, limit + 1)
        at = space if space > 0 else limit
        sentences.append(rest[:at].strip())
        rest = rest[at:]
    return [sentence for sentence in sentences if sentence], rest


def _is_abbreviated(sentence: str) -> bool:
    last = sentence.split()[-1] if sentence.strip() else ""
    if not last.endswith(".") or last.endswith(".."):
        return False
    word = last.lstrip("(\"'“‘").removesuffix(".")
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")
