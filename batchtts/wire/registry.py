"""Provider name → provider; its module is imported when somebody asks for it.

Providers of other people are found by their entry points in the group
`batchtts.providers`. Our own names cannot be taken, and nothing of other
people's is imported, or even looked for, to find one of ours.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from batchtts.errors import SettingsError
from batchtts.hints import meant
from batchtts.wire.provider import Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Each entry point: a name, and the `Provider` of that name.
GROUP = "batchtts.providers"

_MODULES = {
    "local": "batchtts.wire.local",
    "together": "batchtts.wire.together",
    "telnyx": "batchtts.wire.telnyx",
    "smallest": "batchtts.wire.smallest",
    "cartesia": "batchtts.wire.cartesia",
    "elevenlabs": "batchtts.wire.elevenlabs",
    "deepgram": "batchtts.wire.deepgram",
}

#: What importing somebody else's module may come to.
_UNUSABLE = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    OSError,
    SystemExit,
)


def built_in() -> tuple[str, ...]:
    """Every provider that comes with batchtts."""
    return tuple(_MODULES)


def names() -> tuple[str, ...]:
    """Every provider that can be asked for: ours, then those of others in alphabetical order."""
    return (*_MODULES, *sorted(_offers()))


def get(name: str) -> Provider:
    """Return a provider by its name.

    Raises:
        SettingsError: there is none of that name, or it is somebody else's and broken.
    """
    if name in _MODULES:
        provider = import_module(_MODULES[name]).PROVIDER
        assert isinstance(provider, Provider)
        return provider
    offers = _offers()
    if name not in offers:
        known = (*_MODULES, *sorted(offers))
        there_are = f"there are: {', '.join(known)}"
        raise SettingsError(f"no provider {name!r}", hint=meant(name, known, otherwise=there_are))
    return _load(name, offers[name])


def _offers() -> dict[str, list[EntryPoint]]:
    """The entry points of other people, by name; looking for them reads every distribution."""
    from importlib.metadata import entry_points

    offers: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point.name not in _MODULES:
            offers.setdefault(point.name, []).append(point)
    return offers


def _load(name: str, points: list[EntryPoint]) -> Provider:
    """Import a provider of somebody else's.

    Raises:
        SettingsError: several want the name, it cannot be imported, or it is not what it should be.
    """
    whose = " and ".join(sorted(map(_distribution, points)))
    if len(points) > 1:
        raise SettingsError(
            f"several distributions have a provider {name}: {whose}",
            hint="uninstall all but one of them",
        )
    hint = f"update or uninstall {whose}"
    try:
        provider = points[0].load()
    except _UNUSABLE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(f"the provider {name} of {whose}: {reason}", hint=hint) from error
    if not isinstance(provider, Provider):
        reason = f"{points[0].value} is a {type(provider).__name__}, not a Provider"
        raise SettingsError(f"the provider {name} of {whose}: {reason}", hint=hint)
    if provider.name != name:
        reason = f"it calls itself {provider.name!r}"
        raise SettingsError(f"the provider {name} of {whose}: {reason}", hint=hint)
    return provider


def _distribution(point: EntryPoint) -> str:
    return (point.dist and point.dist.name) or point.value
