"""What is known of a recognizer before anybody talks to it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from batchtts.errors import SettingsError
from batchtts.hints import meant
from batchtts.wire.dialect import Listening
from batchtts.wire.provider import Addressed, Headers, NoOptions, bearer


class Hearsay(Addressed, Listening, Protocol):
    """A dialect that listens, and knows where to ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What is listened for: what a dialect that listens is made for.

    Attributes:
        language: BCP 47 tag of what is spoken; None leaves it to the recognizer.
        options: What the user asked for beyond that.
    """

    model: str
    language: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)


Options = TypeVar("Options", bound=msgspec.Struct)


def read_options(attention: Attention, kind: type[Options]) -> Options:
    """Return the options as the recognizer's own type.

    Raises:
        SettingsError: an unknown one, or a value that does not fit.
    """
    try:
        return msgspec.convert(attention.options, kind, strict=False)
    except msgspec.ValidationError as error:
        told = str(error)
        raise SettingsError(f"recognizer, options: {told[:1].lower()}{told[1:]}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognizer:
    """A company or a server that hears: its address, its models and its prices.

    Attributes:
        url: Scheme and host; None if whoever asks starts the server itself.
        key_variable: Environment variable with the key; None if no key is needed.
        dialect: Makes the dialect of one connection.
        models: Those that are known by name; the first one is the default.
        open_models: Whether others may be asked for.
        sessions: Connections at once.
        usd_per_hour: Of audio, by model; a model that is not there has no known price.
        prices_as_of: The day the prices were true, ISO 8601.
        headers: What the key looks like in the handshake request.
        options: What may be asked of it beyond model and language.
    """

    name: str
    about: str
    url: str | None
    key_variable: str | None
    dialect: Callable[[Attention], Hearsay]
    models: tuple[str, ...]
    open_models: bool = False
    sessions: int = 2
    usd_per_hour: Mapping[str, float] = field(default_factory=dict)
    prices_as_of: str = ""
    headers: Callable[[str], Headers] = bearer
    options: type[msgspec.Struct] = NoOptions

    def choose_model(self, name: str | None) -> str:
        """Find the model that is meant.

        Raises:
            SettingsError: there is none of that name.
        """
        if name is None:
            return self.models[0]
        if name not in self.models and not self.open_models:
            it_has = f"it has {', '.join(self.models)}"
            raise SettingsError(
                f"{self.name} has no model {name!r} that hears",
                hint=meant(name, self.models, otherwise=it_has),
            )
        return name

    def cost_usd(self, model: str, audio_s: float) -> float | None:
        """What so many seconds of audio cost, or None if the price is not known."""
        price = self.usd_per_hour.get(model)
        return None if price is None else price * audio_s / 3600
