"""Who speaks in a run: a provider, how it is reached, and how it sounds.

The user's own choice, or else what the environment and this machine allow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from urllib.parse import urlsplit

from batchtts.errors import SettingsError, UtteranceError
from batchtts.job import keys
from batchtts.job.settings import Job
from batchtts.job.wording import Wording
from batchtts.model import AudioFormat, Voice
from batchtts.wire import registry
from batchtts.wire.provider import Manner, Provider

LOCAL = "local"

#: Sockets for each request in flight where a socket is held for a while after its request.
SOCKETS_EACH = 2
MOST_SOCKETS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who speaks in a run: a provider, how it is reached, and how it sounds.

    Attributes:
        url: Where; None if the run must start the server itself.
        key: Never shown.
        key_source: Where it was found, for messages; None if there is none.
        workers: WebSockets open at once, at most.
        in_flight: Requests at the provider at once, at most.
        why: One line when the choice was not the user's own, or None.
    """

    provider: Provider
    url: str | None
    key: str | None = field(repr=False)
    voice: Voice
    format: AudioFormat
    workers: int
    in_flight: int
    why: str | None
    key_source: str | None = None
    word_timestamps: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    wording: Wording = field(default_factory=Wording)

    @property
    def times_words(self) -> bool:
        """Whether the times of words come with the job's own voice, if they are asked for."""
        manner = Manner(voice=self.voice, word_timestamps=True, options=self.options)
        return self.provider.dialect(manner).traits.times_words

    @property
    def audible_options(self) -> Mapping[str, object]:
        """The options that change the sound."""
        silent = self.provider.inaudible
        return {name: value for name, value in self.options.items() if name not in silent}


def find_speaker(job: Job, environment: Mapping[str, str], *, needs_key: bool = True) -> Speaker:
    """Decide who speaks, knowing what is installed here; see `choose_speaker`.

    Raises:
        SettingsError: nobody can, as the job has it.
    """
    has_hibari = find_spec("hibari") is not None
    return choose_speaker(job, environment, has_hibari=has_hibari, needs_key=needs_key)


def choose_speaker(
    job: Job, environment: Mapping[str, str], *, has_hibari: bool, needs_key: bool = True
) -> Speaker:
    """Decide who speaks.

    Args:
        has_hibari: Whether the best of the embedded voices is installed.
        needs_key: Whether a key is looked for; a plan calls nobody.

    Raises:
        SettingsError: no such provider, voice or endpoint, a key is missing, or what
            may be spent is limited and the price is not known.
    """
    provider, why = _choose_provider(job, environment)
    if job.prices:
        prices = {**provider.usd_per_million_chars, **job.prices}
        provider = replace(provider, usd_per_million_chars=prices)
    name = job.voice
    if provider.name == LOCAL and not has_hibari and not (name or job.model or job.language):
        name, why = "pico_us", "hibari is not installed: speaking with pico_us"
    provider.check_options(job.options)
    try:
        voice = provider.choose_voice(name, job.model, job.language)
        dialect = provider.dialect(Manner(voice=voice, speed=job.speed, options=job.options))
    except UtteranceError as error:
        raise SettingsError(str(error), hint=error.hint) from None
    _check_voices(provider, job)
    if job.max_cost_usd is not None and provider.cost_usd(voice.model, 1) is None:
        raise no_price(provider, voice.model)
    url = _find_address(provider, job)
    workers = job.workers or _sockets(provider, job.in_flight, dialect.traits.linger_s)
    key = _find_key(provider, job, environment) if needs_key else None
    return Speaker(
        provider=provider,
        url=url,
        key=key.value if key else None,
        key_source=key.source if key else None,
        voice=voice,
        format=AudioFormat(job.format, job.sample_rate_hz or provider.sample_rate_hz),
        workers=workers,
        in_flight=min(job.in_flight or provider.in_flight or workers, workers),
        why=why,
        word_timestamps=job.word_timestamps,
        options=job.options,
        wording=Wording.of(job),
    )


def _check_voices(provider: Provider, job: Job) -> None:
    """Make sure that every speaker has a voice, whose price is known if that matters."""
    for name, wanted in job.voices.items():
        try:
            voice = provider.choose_voice(wanted, None, None)
        except UtteranceError as error:
            raise SettingsError(f"voices: {name}: {error}", hint=error.hint) from None
        if job.max_cost_usd is not None and provider.cost_usd(voice.model, 1) is None:
            raise no_price(provider, voice.model)


def _sockets(provider: Provider, in_flight: int | None, linger_s: float) -> int:
    """As many as keep so many requests in flight: some are held by none."""
    if in_flight is None:
        return provider.workers
    each = provider.workers / (provider.in_flight or provider.workers)
    if linger_s:
        each = max(each, SOCKETS_EACH)
    return max(provider.workers, min(math.ceil(in_flight * each), MOST_SOCKETS))


def no_price(provider: Provider, model: str) -> SettingsError:
    """Say that a limit on cost cannot be kept, and how it can."""
    return SettingsError(
        f"max_cost_usd: the price of {model} at {provider.name} is not known",
        hint=f'tell US dollars for a million characters: prices = {{ "{model}" = 15.0 }} '
        "in a job file",
    )


def _choose_provider(job: Job, environment: Mapping[str, str]) -> tuple[Provider, str | None]:
    if job.provider is not None:
        return registry.get(job.provider), None
    if job.key_file is not None:
        raise SettingsError(
            f"key_file {job.key_file}: no provider is named", hint='provider = "together"'
        )
    for name in registry.built_in():
        provider = registry.get(name)
        if provider.key_variable and environment.get(provider.key_variable, "").strip():
            return provider, f"{provider.key_variable} is set: speaking with {name}"
    where = "" if job.endpoint else ", on this machine, at no cost"
    return registry.get(LOCAL), f"no provider named and no key set: speaking with local{where}"


def _find_address(provider: Provider, job: Job) -> str | None:
    url = check_endpoint(job.endpoint) or provider.url
    if url is None and provider.name != LOCAL:
        raise SettingsError(
            f"{provider.name} has no address of its own", hint="tell it with --endpoint wss://host"
        )
    return url


def _find_key(provider: Provider, job: Job, environment: Mapping[str, str]) -> keys.Key | None:
    variable = provider.key_variable
    if provider.name == LOCAL:
        if job.endpoint is None:
            return None  # the run starts the server, with a key that nobody else knows
        variable = keys.SERVE_VARIABLE
    key = keys.find(job.key_file, variable, environment)
    if key is None and provider.name == LOCAL:
        return keys.Key(LOCAL, None)  # any key will do
    if key is None and variable is not None:
        raise SettingsError(
            f"{provider.name} needs a key", hint=f"set {variable}, or take --provider {LOCAL}"
        )
    return key


def check_endpoint(url: str | None) -> str | None:
    """Return an address that somebody can be called at.

    Raises:
        SettingsError: it is none.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        # A key may stand before the @ or behind the question mark.
        shown = re.sub(r"//[^/@]*@", "//", url.partition("?")[0])
        raise SettingsError(
            f"endpoint {shown}: not a WebSocket URL", hint="for example wss://host:8765"
        )
    return url
