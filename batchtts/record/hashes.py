"""What a file holds, in one number."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits; reads all of it.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123  # a string, where there are many
        return file_digest(file, "sha256").hexdigest()
