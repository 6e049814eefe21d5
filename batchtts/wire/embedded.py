"""The voices that the server of our own speaks with, and whom they stand in for.

It takes the names of Together's Kokoro voices, so that a manifest which runs
offline today runs on the paid provider tomorrow without a change. The model
says who really speaks: hibari (neural, English) or nanotts (SVOX Pico).
"""

from __future__ import annotations

from batchtts.model import Voice
from batchtts.wire.kokoro import KOKORO_VOICES

HIBARI = "hibari"
NANOTTS = "nanotts"
TONE = "tone"

#: The recognizer of our own server, by the name of its model.
MOONSHINE = "moonshine-tiny-en"

#: One for other languages and second opinions; its model is fetched or named.
FASTER_WHISPER = "faster-whisper"

#: Language of a Kokoro voice → the engine that stands in for it.
_STAND_INS = {"en-us": HIBARI, "en-gb": NANOTTS, "es": NANOTTS, "fr": NANOTTS, "it": NANOTTS}

EMBEDDED_VOICES = (
    *(
        Voice(voice.name, _STAND_INS[voice.language], voice.language)
        for voice in KOKORO_VOICES
        if voice.language in _STAND_INS
    ),
    Voice("pico_us", NANOTTS, "en-us"),
    Voice("pico_gb", NANOTTS, "en-gb"),
    Voice("pico_de", NANOTTS, "de"),
    Voice("pico_es", NANOTTS, "es"),
    Voice("pico_fr", NANOTTS, "fr"),
    Voice("pico_it", NANOTTS, "it"),
    Voice("tone", TONE, "zxx"),
)
