"""Whisper through faster-whisper: a hundred languages, and many times the work of Moonshine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from batchtts.server.stretches import at_rate, audible, cut
from batchtts.wire.embedded import FASTER_WHISPER

#: Where no model is named: fetched from the hub once, 145 MB.
DEFAULT_MODEL = "base"

#: The languages that it knows, by its own names of them.
LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he"
    " hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne"
    " nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk"
    " ur uz vi yi yo yue zh".split()
)

#: What others call some of them.
_NAMES = {"cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "nb": "no"}

_RATE_HZ = 16_000
#: It hears 30 s at a time. Without times of words it would leave out what is beyond them.
_LONGEST_S = 28.0


def language_of(tag: str) -> str | None:
    """Return Whisper's name of a BCP 47 tag's language; None if it does not know that."""
    primary = tag.lower().replace("_", "-").partition("-")[0]
    name = _NAMES.get(primary, primary)
    return name if name in LANGUAGES else None


class Whisper:
    """Hears what it is told the language of; finds the language out if it is not."""

    name = FASTER_WHISPER

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        """Load a model.

        Args:
            model: A directory, or a name on the hub.
        """
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            model,
            device="cpu",
            compute_type="int8",
            cpu_threads=1,
            local_files_only=Path(model).is_dir(),
        )

    def hear(self, pcm: bytes, sample_rate_hz: int, language: str = "") -> Iterator[str]:
        """Yield what is said, stretch by stretch."""
        from faster_whisper.vad import get_speech_timestamps

        samples = audible(at_rate(pcm, sample_rate_hz, _RATE_HZ))
        said = False
        for stretch in cut(samples, round(_LONGEST_S * _RATE_HZ)):
            if not len(stretch) or not get_speech_timestamps(stretch):
                continue
            # One temperature: with several, what is not certain would be left to chance.
            segments, _ = self._model.transcribe(
                stretch,
                language=language_of(language),
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=True,
            )
            text = "".join(segment.text for segment in segments).strip()
            if text:
                yield f" {text}" if said else text
                said = True
