"""Which voice speaks a row: its own wish, else the job's, else its language's default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchtts.errors import UtteranceError
from batchtts.model import Refusal, Voice
from batchtts.wire.provider import Manner, Provider, speaks

Choice = tuple[Voice, Refusal | None]
Wish = tuple[str | None, str | None, str | None, float | None]  # voice, model, language, speed


@dataclass(frozen=True, slots=True)
class Casting:
    """The job's own choice, and every wish that came up so far."""

    provider: Provider
    voice: Voice
    speed: float = 1.0
    options: Mapping[str, object] = field(default_factory=dict)
    _known: dict[Wish, tuple[Voice, Refusal | None]] = field(default_factory=dict)

    def of(
        self,
        name: str | None,
        model: str | None,
        language: str | None,
        speed: float | None = None,
    ) -> tuple[Voice, Refusal | None]:
        """Return the voice of a row, and why it cannot be had, or not so fast, if it cannot."""
        wish = (name, model, language, speed)
        if wish not in self._known:
            self._known[wish] = self._cast(wish)
        return self._known[wish]

    def _cast(self, wish: Wish) -> tuple[Voice, Refusal | None]:
        name, model, language, speed = wish
        voice = Voice(name or "", model or self.voice.model, language or "und")
        try:
            voice = self._choose(name, model, language)
            self._try(voice, speed)
        except UtteranceError as error:
            message = f"{error}; {error.hint}" if error.hint else str(error)
            return voice, Refusal(error.code, message)
        return voice, None

    def _try(self, voice: Voice, speed: float | None) -> None:
        """Make a dialect, which refuses a manner that the provider does not have."""
        manner = Manner(voice=voice, speed=speed or self.speed, options=self.options)
        self.provider.dialect(manner)

    def _choose(self, name: str | None, model: str | None, language: str | None) -> Voice:
        is_ours = name is None and model in (None, self.voice.model)
        if is_ours and (language is None or speaks(self.voice, language)):
            return self.voice
        is_listed = any(voice.model == self.voice.model for voice in self.provider.voices)
        return self.provider.choose_voice(
            name, model or (None if is_listed else self.voice.model), language
        )
