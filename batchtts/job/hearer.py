"""Who hears: a recognizer, how it is reached, and what it listens for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchtts.errors import SettingsError
from batchtts.job import keys
from batchtts.job.speaker import LOCAL, check_endpoint
from batchtts.wire import recognizers
from batchtts.wire.embedded import MOONSHINE
from batchtts.wire.recognizer import Attention, Recognizer

INSTALL = "pip install 'batchtts[hear]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user asks for; None is the default.

    Attributes:
        recognizer: See `recognizers.names`.
        endpoint: ``ws://`` or ``wss://`` URL that stands in for the recognizer's own.
        options: What this recognizer alone can be asked for.
        key_file: Holds the key and nothing else.
    """

    recognizer: str = LOCAL
    endpoint: str | None = None
    model: str | None = None
    language: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearer:
    """A recognizer that can be called.

    Attributes:
        url: Where; None if whoever calls must start the server first.
        key: Never shown.
        key_file: Where it came from, if that was a file.
    """

    recognizer: Recognizer
    url: str | None
    key: str | None = field(repr=False)
    attention: Attention
    key_file: Path | None = None


def choose_hearer(wish: Wish, environment: Mapping[str, str], *, has_ear: bool) -> Hearer:
    """Decide who hears.

    Args:
        has_ear: Whether the embedded recognizer is installed.

    Raises:
        SettingsError: no such recognizer, model or endpoint, a key is missing, or
            the recognizer of this machine is not installed.
    """
    recognizer = recognizers.get(wish.recognizer)
    attention = Attention(
        model=recognizer.choose_model(wish.model), language=wish.language, options=wish.options
    )
    recognizer.dialect(attention)  # its options are wrong now, or never
    url = check_endpoint(wish.endpoint) or recognizer.url
    if url is None and attention.model == MOONSHINE and not has_ear:
        raise SettingsError(
            f"{MOONSHINE} is not installed", hint=f"{INSTALL}, or take --recognizer together"
        )
    return Hearer(
        recognizer=recognizer,
        url=url,
        key=_find_key(recognizer, wish, environment) if url else None,
        attention=attention,
        key_file=wish.key_file,
    )


def _find_key(recognizer: Recognizer, wish: Wish, environment: Mapping[str, str]) -> str | None:
    if recognizer.key_variable is None:
        key = keys.find(wish.key_file, keys.SERVE_VARIABLE, environment)
        return key.value if key else LOCAL  # without one, any will do
    key = keys.find(wish.key_file, recognizer.key_variable, environment)
    if key is None:
        raise SettingsError(
            f"{recognizer.name} needs a key",
            hint=f"set {recognizer.key_variable}, or take --recognizer {LOCAL}",
        )
    return key.value
