"""Row id → file name. Pure.

A name comes from the id alone wherever that is safe on every file system:
letters, digits, ``-``, ``_`` and ``.`` stay, everything else is percent-encoded.
Where two names would be one on a file system that folds case, or the name
would be too long, a hash of the id makes it its own.
"""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import quote

LONGEST = 120  # characters; file systems allow 255 bytes, and suffixes follow

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")
# Windows opens a device for these, whatever the ending.
_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)")


def stem(id: str) -> str:
    """Return the id as a file name without its ending; two ids may differ in case only."""
    if len(id) <= LONGEST and _PLAIN.match(id) and not _DEVICE.match(id) and id[-1] != ".":
        return id
    # quote() leaves a tilde alone, and ours marks a hash.
    encoded = quote(id, safe="").replace("~", "%7E")
    if encoded[0] == "." or _DEVICE.match(encoded):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if encoded[-1] == ".":
        encoded = encoded[:-1] + "%2E"
    if len(encoded) > LONGEST:
        return f"{_clip(encoded)}~{digest(id)}"
    return encoded


def own_stem(id: str) -> str:
    """Return a stem that no other id has on any file system."""
    plain = stem(id)
    return plain if "~" in plain else f"{_clip(plain)}~{digest(id)}"


def digest(id: str) -> str:
    """A short hash that stands for an id."""
    return sha256(id.encode()).hexdigest()[:16]


def folder(id: str, rows: int) -> str:
    """Return the folders between the root and the file, with a closing slash.

    A folder is kept to some thousands of files: none up to 4,096 rows, 256
    folders up to a million, 65,536 beyond.
    """
    if rows <= 4096:
        return ""
    spread = digest(id)
    if rows <= 1_000_000:
        return f"{spread[:2]}/"
    return f"{spread[:2]}/{spread[2:4]}/"


def _clip(encoded: str) -> str:
    """Shorten without cutting a percent sequence in two."""
    clipped = encoded[: LONGEST - 20]
    return re.sub(r"%[0-9A-F]?\Z", "", clipped) if len(encoded) > len(clipped) else encoded
