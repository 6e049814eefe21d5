"""Provider name → provider; its module is imported when somebody asks for it."""

from __future__ import annotations

import difflib
from importlib import import_module

from batchtts.errors import SettingsError
from batchtts.wire.provider import Provider

_MODULES = {
    "local": "batchtts.wire.local",
    "together": "batchtts.wire.together",
}


def names() -> tuple[str, ...]:
    """Every provider that can be asked for."""
    return tuple(_MODULES)


def get(name: str) -> Provider:
    """Return a provider by its name.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in _MODULES:
        near = difflib.get_close_matches(name, _MODULES, n=1)
        known = ", ".join(_MODULES)
        raise SettingsError(
            f"no provider {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"there are: {known}",
        )
    provider = import_module(_MODULES[name]).PROVIDER
    assert isinstance(provider, Provider)
    return provider
