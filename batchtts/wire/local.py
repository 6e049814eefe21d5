"""The server of our own as a provider: Together's dialect, no key, no price."""

from __future__ import annotations

from msgspec.structs import replace

from batchtts.wire.embedded import EMBEDDED_VOICES
from batchtts.wire.provider import Manner, Provider, read_options
from batchtts.wire.together import PROVIDER as TOGETHER
from batchtts.wire.together import Options as TogetherOptions
from batchtts.wire.together import Together


class Options(TogetherOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those of Together.

    Attributes:
        linger_s: Our server makes one item of a commit; what is left of the window
            only keeps this on the same path as the provider that does not promise so.
        seed: Another one is another take of the same script, where the voice has more.
    """

    linger_s: float = 0.02
    seed: int = 0


def _dialect(manner: Manner) -> Together:
    options = read_options(manner, Options)
    if options.seed:
        extra_params = {**options.extra_params, "seed": options.seed}
        options = replace(options, extra_params=extra_params)
    return Together(manner.voice, manner.speed, options, manner.word_timestamps)


PROVIDER = Provider(
    name="local",
    about="voices on this machine; no key, no network, no cost",
    url=None,
    key_variable=None,
    dialect=_dialect,
    voices=EMBEDDED_VOICES,
    sample_rate_hz=TOGETHER.sample_rate_hz,
    segment_chars=TOGETHER.segment_chars,
    usd_per_million_chars={voice.model: 0.0 for voice in EMBEDDED_VOICES},
    prices_as_of=TOGETHER.prices_as_of,
    options=Options,
    inaudible=TOGETHER.inaudible,
)
