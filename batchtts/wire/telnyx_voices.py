"""The voices of Telnyx that are known by name; any other is asked for by its full name.

A full name is ``Provider.Model.VoiceId``, and a model here is all of it but the
last part: ``Telnyx.NaturalHD.astra`` belongs to ``Telnyx.NaturalHD``. The voices
of KokoroTTS have the names of Kokoro-82M. Source: Telnyx's pages on its own voices.
"""

from __future__ import annotations

from batchtts.model import Voice
from batchtts.wire.kokoro import KOKORO_VOICES

NATURAL = "Telnyx.Natural"
NATURAL_HD = "Telnyx.NaturalHD"
KOKORO_TTS = "Telnyx.KokoroTTS"

#: Languages of KokoroTTS, without the country.
_KOKORO_LANGUAGES = ("en", "es", "fr", "it", "pt")

#: The first one is the default of its model.
TELNYX_VOICES = (
    *(
        Voice(f"{NATURAL_HD}.{name}", NATURAL_HD, "en-us")
        for name in "astra albion luna orion celeste".split()
    ),
    Voice(f"{NATURAL_HD}.amarante", NATURAL_HD, "fr-fr"),
    *(Voice(f"{NATURAL}.{name}", NATURAL, "en-us") for name in "allison brook abbie".split()),
    *(
        Voice(f"{KOKORO_TTS}.{voice.name}", KOKORO_TTS, voice.language)
        for voice in KOKORO_VOICES
        if voice.language.partition("-")[0] in _KOKORO_LANGUAGES
    ),
)
