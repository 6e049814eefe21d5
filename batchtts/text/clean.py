"""Which scripts have nothing in them to speak."""

from __future__ import annotations

import re

#: A letter or a digit of any writing system: a word character that is no underscore.
SPOKEN = re.compile(r"[^\W_]")


def why_unspeakable(script: str | None) -> str | None:
    """Return why nothing can be spoken, in one short phrase, or None if something can."""
    if script is None:
        return "script is null"
    if SPOKEN.search(script):
        return None
    if not script:
        return "script is empty"
    return "script is blank" if script.isspace() else "script has no letter or digit to speak"
