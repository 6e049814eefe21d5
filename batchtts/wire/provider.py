"""What is known of a provider before anybody talks to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from batchtts.errors import SettingsError, VoiceUnavailable
from batchtts.hints import misfit
from batchtts.model import Voice
from batchtts.wire.dialect import Dialect, Translator

Headers = tuple[tuple[str, str], ...]


class Addressed(Translator, Protocol):
    """A dialect that also knows where to ask for it."""

    @property
    def resource(self) -> str:
        """Path and query of the handshake request."""


class Vocabulary(Addressed, Dialect, Protocol):
    """The same, of a provider that speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How scripts are to be spoken: what a dialect is made for.

    Attributes:
        word_timestamps: Whether the times of words are wanted, where they can be had.
        options: What the user asked for beyond that; checked against the provider's own.
        pronunciations: Words and how they are read, for a voice that takes them.
    """

    voice: Voice
    speed: float = 1.0
    word_timestamps: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    pronunciations: Mapping[str, str] = field(default_factory=dict)


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider without options of its own."""


Options = TypeVar("Options", bound=msgspec.Struct)


def read_options(manner: Manner, kind: type[Options]) -> Options:
    """Return the options of a manner as the provider's own type."""
    return msgspec.convert(manner.options, kind, strict=False)


def bearer(key: str) -> Headers:
    """The key as most providers want it (RFC 6750, section 2.1)."""
    return (("Authorization", f"Bearer {key}"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A company or a server: its address, its voices, its limits and its prices.

    Attributes:
        url: Scheme and host; None if the run starts the server itself.
        key_variable: Environment variable with the key; None if no key is needed.
        dialect: Makes the dialect of one connection.
        voices: Those that are known by name; the first one is the default.
        sample_rate_hz: Of the audio files, unless the user says otherwise.
        formats: What audio can come as, the default first.
        segment_chars: Longest piece of a script for one commit.
        workers: Sockets, unless the user says otherwise.
        in_flight: Requests at once, unless the user says otherwise; None is as
            many as there are sockets.
        usd_per_million_chars: By model; a model that is not there has no known price.
        prices_as_of: The day the prices were true, ISO 8601.
        headers: What the key looks like in the handshake request.
        options: What `[options]` of a job file may hold.
        inaudible: Options that do not change the sound.
        open_models: Whether models beyond those of *voices* may be asked for.
        open_voices: A voice beyond those listed, by its name and model; None if
            there can be none of that name.
        languages: Model → languages that all its voices read, the first one by default.
        pronounces: Whether a model takes words and how they are read; for the others the
            words are replaced in the text.
    """

    name: str
    about: str
    url: str | None
    key_variable: str | None
    dialect: Callable[[Manner], Vocabulary]
    voices: tuple[Voice, ...]
    sample_rate_hz: int
    segment_chars: int
    workers: int = 8
    in_flight: int | None = None
    formats: tuple[str, ...] = ("pcm",)
    usd_per_million_chars: Mapping[str, float] = field(default_factory=dict)
    prices_as_of: str = ""
    headers: Callable[[str], Headers] = bearer
    options: type[msgspec.Struct] = NoOptions
    inaudible: frozenset[str] = frozenset()
    open_models: bool = False
    open_voices: Callable[[str, str | None], Voice | None] | None = None
    languages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pronounces: Callable[[str], bool] = lambda model: False

    def check_options(self, options: Mapping[str, object]) -> None:
        """Refuse options that the provider does not have.

        Raises:
            SettingsError: an unknown one, or a value that does not fit.
        """
        known = self.options.__struct_fields__
        for name in options:
            if name not in known:
                listed = f"it has {', '.join(known)}" if known else "it has none"
                raise SettingsError(
                    f"{self.name} has no option {name!r}", hint=_nearest(name, [*known]) or listed
                )
        try:
            msgspec.convert(options, self.options, strict=False)
        except msgspec.ValidationError as error:
            option, problem = misfit(error)
            raise SettingsError(
                f"{self.name}, option {option}: {problem}",
                hint="`batchtts providers --json` has what it takes",
            ) from None

    def choose_voice(self, name: str | None, model: str | None, language: str | None) -> Voice:
        """Find the voice that is meant.

        Raises:
            VoiceUnavailable: there is none, or it belongs to another model or language.
        """
        if name is not None and self.open_voices and not self._lists(name):
            return self._choose_open(name, model, language)
        known = {voice.model for voice in self.voices}
        if model is not None and model not in known:
            return self._choose_unlisted(name, model, language)
        voices = [voice for voice in self.voices if model in (None, voice.model)]
        if name is None:
            return self._choose_by_language(voices, language)
        return self._choose_by_name(voices, name, language)

    def _lists(self, name: str) -> bool:
        return any(voice.name == name for voice in self.voices)

    def _choose_open(self, name: str, model: str | None, language: str | None) -> Voice:
        assert self.open_voices is not None
        voice = self.open_voices(name, model)
        if voice is None:
            raise self._no_voice(name, list(self.voices))
        return self._in_language(voice, language) or Voice(
            voice.name, voice.model, normalize_language(language or voice.language)
        )

    def _choose_unlisted(self, name: str | None, model: str, language: str | None) -> Voice:
        if not self.open_models:
            models = sorted({voice.model for voice in self.voices})
            raise VoiceUnavailable(
                f"{self.name} has no model {model!r}",
                hint=_nearest(model, models) or f"it has {', '.join(models)}",
            )
        if name is None:
            raise VoiceUnavailable(
                f"{self.name}: name a voice of the model {model!r}",
                hint=_nearest(model, sorted({voice.model for voice in self.voices}))
                or "the provider's own pages list them",
            )
        return Voice(name, model, normalize_language(language or "und"))

    def _choose_by_language(self, voices: list[Voice], language: str | None) -> Voice:
        for voice in voices:
            if language is None or speaks(voice, language):
                return voice
        for voice in voices:
            if found := self._in_language(voice, language):
                return found
        languages = {voice.language for voice in voices}
        languages.update(*(self.languages.get(voice.model, ()) for voice in voices))
        raise VoiceUnavailable(
            f"{self.name} has no voice for the language {language!r}",
            hint=f"it has {', '.join(sorted(languages))}",
        )

    def _in_language(self, voice: Voice, language: str | None) -> Voice | None:
        """The same voice in a language that it reads; None if it does not."""
        if language is None or speaks(voice, language):
            return voice
        asked = normalize_language(language)
        for each in self.languages.get(voice.model, ()):
            if speaks(Voice(voice.name, voice.model, each), asked):
                return Voice(voice.name, voice.model, asked)
        return None

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
        found = self._in_language(voice, language)
        if found is None:
            raise VoiceUnavailable(
                f"the voice {name} speaks {voice.language}, not {language}",
                hint=f"`batchtts voices {self.name}` lists them",
            )
        return found

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
