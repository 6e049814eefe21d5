"""What is known of a provider before anybody talks to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from batchtts.errors import VoiceUnavailable
from batchtts.model import Voice
from batchtts.wire.dialogue import Dialect


class Vocabulary(Dialect, Protocol):
    """A dialect that also knows where to ask for it."""

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""


class MakeDialect(Protocol):
    """Makes the dialect of one connection, whose voice and speed stay the same."""

    def __call__(self, voice: Voice, speed: float) -> Vocabulary: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A company or a server: its address, its voices, its limits and its prices.

    Attributes:
        url: Scheme and host; None if the run starts the server itself.
        key_variable: Environment variable with the key; None if no key is needed.
        voices: The first one is the default.
        open_models: Whether models beyond those of *voices* may be asked for.
        sample_rate_hz: Of the PCM that comes back.
        segment_chars: Longest piece of a script for one commit.
        workers: Sockets, unless the user says otherwise.
        usd_per_million_chars: By model; a model that is not there has no known price.
        prices_as_of: The day the prices were true, ISO 8601.
    """

    name: str
    about: str
    url: str | None
    key_variable: str | None
    dialect: MakeDialect
    voices: tuple[Voice, ...]
    open_models: bool
    sample_rate_hz: int
    segment_chars: int
    workers: int
    usd_per_million_chars: Mapping[str, float]
    prices_as_of: str

    def choose_voice(self, name: str | None, model: str | None, language: str | None) -> Voice:
        """Find the voice that is meant.

        Raises:
            VoiceUnavailable: there is none, or it belongs to another model or language.
        """
        known = {voice.model for voice in self.voices}
        if model is not None and model not in known:
            return self._choose_unlisted(name, model, language)
        voices = [voice for voice in self.voices if model in (None, voice.model)]
        if name is None:
            return self._choose_by_language(voices, language)
        return self._choose_by_name(voices, name, language)

    def _choose_unlisted(self, name: str | None, model: str, language: str | None) -> Voice:
        if not self.open_models:
            models = sorted({voice.model for voice in self.voices})
            raise VoiceUnavailable(
                f"{self.name} has no model {model!r}", hint=_nearest(model, models)
            )
        if name is None:
            raise VoiceUnavailable(f"{self.name}: name a voice of the model {model!r}")
        return Voice(name, model, normalize_language(language or "und"))

    def _choose_by_language(self, voices: list[Voice], language: str | None) -> Voice:
        for voice in voices:
            if language is None or speaks(voice, language):
                return voice
        languages = ", ".join(sorted({voice.language for voice in voices}))
        raise VoiceUnavailable(
            f"{self.name} has no voice for the language {language!r}", hint=f"it has {languages}"
        )

    def _choose_by_name(self, voices: list[Voice], name: str, language: str | None) -> Voice:
        parts = _parts(name)
        found = [self._voice_named(part, voices, language) for part in parts]
        if len({voice.model for voice in found}) > 1:
            raise VoiceUnavailable(f"{name}: voices of different models do not mix")
        return Voice(name, found[0].model, found[0].language)

    def _voice_named(self, name: str, voices: list[Voice], language: str | None) -> Voice:
        voice = next((voice for voice in voices if voice.name == name), None)
        if voice is None:
            raise self._no_voice(name, voices)
        if language is not None and not speaks(voice, language):
            raise VoiceUnavailable(
                f"the voice {name} speaks {voice.language}, not {language}",
                hint=f"`batchtts voices {self.name}` lists them",
            )
        return voice

    def _no_voice(self, name: str, voices: list[Voice]) -> VoiceUnavailable:
        elsewhere = [voice.model for voice in self.voices if voice.name == name]
        if elsewhere:
            asked = voices[0].model
            return VoiceUnavailable(
                f"the voice {name} belongs to the model {elsewhere[0]}, not {asked}"
            )
        return VoiceUnavailable(
            f"{self.name} has no voice {name!r}",
            hint=_nearest(name, [voice.name for voice in voices])
            or f"`batchtts voices {self.name}` lists them",
        )

    def cost_usd(self, model: str, characters: int) -> float | None:
        """What *characters* cost, or None if the price is not known."""
        price = self.usd_per_million_chars.get(model)
        return None if price is None else price * characters / 1e6


# One voice of a Kokoro mix, as in `af_bella(2)+af_heart(1)`.
_MIXED = re.compile(r"([a-z][fm]_[a-z]+)(?:\(\d+(?:\.\d+)?\))?\Z")


def _parts(name: str) -> list[str]:
    """The voices that a name stands for: several if it is a mix."""
    parts = [_MIXED.match(part) for part in name.split("+")]
    return [part[1] for part in parts if part] if all(parts) else [name]


def normalize_language(tag: str) -> str:
    """Return a language tag in the one spelling used here: lower case, hyphens."""
    return tag.strip().lower().replace("_", "-")


def speaks(voice: Voice, language: str) -> bool:
    """Whether a voice can read a language; ``en`` and ``en-us`` mean each other."""
    asked = normalize_language(language)
    return asked == voice.language or (
        asked.partition("-")[0] == voice.language.partition("-")[0]
        and ("-" not in asked or "-" not in voice.language)
    )


def _nearest(word: str, words: list[str]) -> str | None:
    near = difflib.get_close_matches(word, words, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else None
