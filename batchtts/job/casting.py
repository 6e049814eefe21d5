"""Which voice speaks a row: its own wish, else the job's, else its language's default."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchtts.errors import VoiceUnavailable
from batchtts.model import Refusal, Voice
from batchtts.wire.provider import Provider, speaks

Wish = tuple[str | None, str | None, str | None]  # voice, model, language


@dataclass(frozen=True, slots=True)
class Casting:
    """The job's own choice, and every wish that came up so far."""

    provider: Provider
    voice: Voice
    _known: dict[Wish, tuple[Voice, Refusal | None]] = field(default_factory=dict)

    def of(
        self, name: str | None, model: str | None, language: str | None
    ) -> tuple[Voice, Refusal | None]:
        """Return the voice of a row, and why it cannot be had if it cannot."""
        wish = (name, model, language)
        if wish not in self._known:
            self._known[wish] = self._cast(wish)
        return self._known[wish]

    def _cast(self, wish: Wish) -> tuple[Voice, Refusal | None]:
        name, model, language = wish
        try:
            return self._choose(name, model, language), None
        except VoiceUnavailable as error:
            message = f"{error}; {error.hint}" if error.hint else str(error)
            asked = Voice(name or "", model or self.voice.model, language or "und")
            return asked, Refusal(error.code, message)

    def _choose(self, name: str | None, model: str | None, language: str | None) -> Voice:
        is_ours = name is None and model in (None, self.voice.model)
        if is_ours and (language is None or speaks(self.voice, language)):
            return self.voice
        is_listed = any(voice.model == self.voice.model for voice in self.provider.voices)
        return self.provider.choose_voice(
            name, model or (None if is_listed else self.voice.model), language
        )
