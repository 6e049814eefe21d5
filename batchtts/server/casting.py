"""Who speaks for whom: a model and a voice are asked for, an engine takes the part.

A model and a voice must belong together exactly. The voices of Kokoro and
Orpheus are spoken by stand-ins, so that a job written for the vendor runs here.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from batchtts.model import Voice
from batchtts.server.ear import MODULES as EARS
from batchtts.server.engine import MODULES
from batchtts.wire.embedded import EMBEDDED_VOICES, HIBARI, MOONSHINE, NANOTTS, TONE
from batchtts.wire.kokoro import KOKORO, KOKORO_VOICES, ORPHEUS, ORPHEUS_VOICES
from batchtts.wire.together_stt import PARAKEET, WHISPER

INSTALL = "pip install 'batchtts[local]'"
INSTALL_EAR = "pip install 'batchtts[hear]'"

_VOICES = {
    voice_model: {voice.name: voice for voice in voices if voice.model == voice_model}
    for voices in (KOKORO_VOICES, ORPHEUS_VOICES, EMBEDDED_VOICES)
    for voice_model in {voice.model for voice in voices}
}
_DEFAULTS = {KOKORO: "af_heart", ORPHEUS: "tara"}
_STAND_INS = {voice.name: voice for voice in EMBEDDED_VOICES}

#: Language → the engine that speaks it, and what that calls it.
_SPEAKERS = {
    "en": (HIBARI, "en-us"),
    "en-gb": (NANOTTS, "en-gb"),
    **{language: (NANOTTS, language) for language in ("de", "es", "fr", "it")},
}
_MIXED = re.compile(r"(\w+)(?:\(\d+(?:\.\d+)?\))?")  # af_bella, af_bella(2)


@dataclass(frozen=True, slots=True)
class Role:
    """What was asked for, and the voice that speaks it; its model is the engine."""

    model: str
    name: str
    voice: Voice


class NotAvailable(ValueError):
    """No engine here takes the part."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        #: Stable short name, in the vendor's spelling where there is one.
        self.code = code


#: Model that hears → who takes its part.
_HEARERS = {WHISPER: MOONSHINE, PARAKEET: MOONSHINE, MOONSHINE: MOONSHINE, TONE: TONE}


def installed_engines() -> frozenset[str]:
    """Return the engines and recognizers that this Python can import."""
    modules = MODULES | EARS
    found = {name for name, module in modules.items() if importlib.util.find_spec(module)}
    return frozenset(found | {TONE})


@dataclass(frozen=True, slots=True)
class Casting:
    """The engine that was asked for, and those that there are.

    Attributes:
        preferred: tone speaks every voice and hears for everybody, nanotts speaks
            those of hibari too.
        installed: Names of engines and recognizers.
    """

    preferred: str
    installed: frozenset[str]

    def cast(self, model: str, name: str | None = None, language: str | None = None) -> Role:
        """Return who speaks the voice *name* of *model*.

        Args:
            name: None for the default voice of the model.
            language: What the client says the text is in, if it says so.

        Raises:
            NotAvailable: No such model or voice, or nobody here speaks it.
        """
        voices = _VOICES.get(model)
        if voices is None:
            there_are = ", ".join(_VOICES)
            raise _no_model(f"model {model!r} is not available; there are {there_are}")
        name = name or _DEFAULTS.get(model) or next(iter(voices))
        role = Role(model, name, self._voice(model, voices[_first(name, model, voices)]))
        speaks = role.voice.language
        if language and role.voice.model != TONE and _primary(language) != _primary(speaks):
            raise _no_voice(f"voice {name!r} speaks {speaks}, not {language!r}")
        return role

    def _voice(self, model: str, asked: Voice) -> Voice:
        if self.preferred == TONE:
            return Voice(asked.name, TONE, asked.language)
        emulated = model in (KOKORO, ORPHEUS)
        engine = self._stand_in(asked).model if emulated else model
        if engine == HIBARI and emulated and not self._hibari_plays:
            engine = NANOTTS
        if engine not in self.installed:
            raise _no_model(f"{engine} is not installed; {INSTALL}")
        return Voice(asked.name, engine, asked.language)

    @property
    def _hibari_plays(self) -> bool:
        return self.preferred == HIBARI and HIBARI in self.installed

    def _stand_in(self, asked: Voice) -> Voice:
        if asked.model == ORPHEUS:
            return Voice(asked.name, HIBARI, asked.language)
        try:
            return _STAND_INS[asked.name]
        except KeyError:
            spoken = {voice.language for voice in KOKORO_VOICES if voice.name in _STAND_INS}
            languages = ", ".join(sorted(spoken))
            raise _no_voice(
                f"voice {asked.name!r} is {asked.language}, which nobody here speaks;"
                f" there are {languages}"
            ) from None

    def stand_in(self, asked: Voice) -> Voice:
        """Return who speaks for a voice of somebody else's, by its language alone.

        Raises:
            NotAvailable: Nobody here speaks the language, or the engine is not installed.
        """
        if self.preferred == TONE:
            return Voice(asked.name, TONE, asked.language)
        language = asked.language.lower()
        spoken = language if language in _SPEAKERS else _primary(language)
        engine, dialect = _SPEAKERS.get(spoken, ("", ""))
        if not engine:
            raise _no_voice(
                f"voice {asked.name!r} is to speak {asked.language}, which nobody here does;"
                f" there are {', '.join(sorted(_SPEAKERS))}"
            )
        if engine == HIBARI and not self._hibari_plays:
            engine = NANOTTS
        if engine not in self.installed:
            raise _no_model(f"{engine} is not installed; {INSTALL}")
        return Voice(asked.name, engine, dialect)

    def cast_ear(self, model: str) -> str:
        """Return the recognizer that takes the part of *model*.

        Raises:
            NotAvailable: No such model, or nobody here takes its part.
        """
        if model not in _HEARERS:
            raise _no_model(f"model {model!r} is not available; there are {', '.join(_HEARERS)}")
        hears = TONE if self.preferred == TONE else _HEARERS[model]
        if hears not in self.installed:
            raise _no_model(f"{hears} is not installed; {INSTALL_EAR}")
        return hears

    @property
    def misses_hibari(self) -> bool:
        """Whether it was asked for and is not installed."""
        return self.preferred == HIBARI and not self._hibari_plays

    @property
    def notice(self) -> str:
        """One line for the person who starts the server: who speaks."""
        if self.preferred == TONE:
            return "the tone engine speaks every voice: a whistle for every character"
        if self.misses_hibari:
            return f"hibari is not installed, nanotts speaks for it; {INSTALL}"
        english = "hibari speaks American English, " if self._hibari_plays else ""
        return f"{english}nanotts {'the rest' if english else 'speaks every voice'}"


def _first(name: str, model: str, voices: dict[str, Voice]) -> str:
    """The voice that speaks for *name*, which may be a mixture of Kokoro's voices."""
    parts = [_MIXED.fullmatch(part) for part in name.split("+")]
    names = [part[1] for part in parts if part]
    mixture = len(names) == len(parts) and all(part in voices for part in names)
    if name in voices or (mixture and model == KOKORO):
        return names[0]
    raise _no_voice(f"voice {name!r} is not available for model {model!r}")


def _primary(language: str) -> str:
    return language.lower().partition("-")[0]


def _no_model(message: str) -> NotAvailable:
    return NotAvailable("model_not_available", message)


def _no_voice(message: str) -> NotAvailable:
    return NotAvailable("voice_not_available", message)
