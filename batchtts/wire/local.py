"""The server of our own as a provider: Together's dialect, no key, no price."""

from __future__ import annotations

from functools import partial

from batchtts.wire.embedded import EMBEDDED_VOICES
from batchtts.wire.provider import Provider
from batchtts.wire.together import PROVIDER as TOGETHER
from batchtts.wire.together import Together

PROVIDER = Provider(
    name="local",
    about="voices on this machine; no key, no network, no cost",
    url=None,
    key_variable=None,
    # Our server makes one item of a commit; what is left of the window only
    # keeps this on the same path as the provider that does not promise so.
    dialect=partial(Together, linger_s=0.02),
    voices=EMBEDDED_VOICES,
    open_models=False,
    sample_rate_hz=TOGETHER.sample_rate_hz,
    segment_chars=TOGETHER.segment_chars,
    workers=8,
    usd_per_million_chars={voice.model: 0.0 for voice in EMBEDDED_VOICES},
    prices_as_of=TOGETHER.prices_as_of,
)
