"""Recognizer name → recognizer: our own server, and Together."""

from __future__ import annotations

from batchtts.errors import SettingsError
from batchtts.hints import meant
from batchtts.wire.embedded import MOONSHINE, TONE
from batchtts.wire.recognizer import Attention, Recognizer, read_options
from batchtts.wire.together_stt import RECOGNIZER as TOGETHER
from batchtts.wire.together_stt import Options as TogetherOptions
from batchtts.wire.together_stt import TogetherTranscription


class Options(TogetherOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those of Together.

    Attributes:
        linger_s: Our server makes one transcript of a commit; what is left of the
            window only keeps this on the same path as the one that does not promise so.
    """

    linger_s: float = 0.02


def _dialect(attention: Attention) -> TogetherTranscription:
    options = read_options(attention, Options)
    return TogetherTranscription(attention.model, attention.language, options)


LOCAL = Recognizer(
    name="local",
    about="a recognizer on this machine, for English; no key, no network, no cost",
    url=None,
    key_variable=None,
    dialect=_dialect,
    models=(MOONSHINE, TONE),
    usd_per_hour={MOONSHINE: 0.0, TONE: 0.0},
    prices_as_of=TOGETHER.prices_as_of,
    options=Options,
)

_KNOWN = {each.name: each for each in (LOCAL, TOGETHER)}


def names() -> tuple[str, ...]:
    """Every recognizer that can be asked for."""
    return tuple(_KNOWN)


def get(name: str) -> Recognizer:
    """Return a recognizer by its name.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in _KNOWN:
        there_are = f"there are: {', '.join(_KNOWN)}"
        raise SettingsError(
            f"no recognizer {name!r}", hint=meant(name, _KNOWN, otherwise=there_are)
        )
    return _KNOWN[name]
