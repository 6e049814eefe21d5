"""The address that hears how a run ended. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def find_problem(url: str) -> str | None:
    """Say why nobody can be told at an address; None if somebody can."""
    no_address = "not an http:// or https:// address"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return no_address
    except ValueError:
        return no_address
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "holds characters that no address has"
    return "a name or a password cannot be in it" if "@" in parts.netloc else None


def address(url: str, status: int) -> str:
    """Return where a run that ended with *status* is told: at ``/fail`` unless it is 0."""
    parts = urlsplit(url)._replace(fragment="")
    if status:
        parts = parts._replace(path=f"{parts.path.rstrip('/')}/fail")
    return parts.geturl()


def shown(url: str) -> str:
    """Return an address without what only its owner may know: the path is the secret of some."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"
