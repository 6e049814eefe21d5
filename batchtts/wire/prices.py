"""What providers charge: US dollars for a million characters, by provider and model.

List prices, as public pages had them on the day below. A model that is not here
has no known price; plans and results then say so instead of guessing.
"""

from __future__ import annotations

AS_OF = "2026-08-21"

#: Together's overview of text to speech.
TOGETHER = {
    "hexgrad/Kokoro-82M": 4.0,
    "canopylabs/orpheus-3b-0.1-ft": 15.0,
    "cartesia/sonic-2": 65.0,
}

#: Unverified: tables of others. For the first two they have 3 or 6; this is the dearer.
TELNYX = {
    "Telnyx.Natural": 6.0,
    "Telnyx.KokoroTTS": 6.0,
    "Telnyx.NaturalHD": 48.0,
    "Telnyx.Qwen3TTS": 32.0,
    "Minimax.speech-2.8-turbo": 34.0,
    "Minimax.speech-2.8-hd": 34.0,
    "Resemble.Turbo": 8.0,
    "Rime.ArcanaV3": 20.0,
    "Rime.Coda": 20.0,
    "aws.Polly.Neural": 24.0,
    "aws.Polly.Standard": 9.0,
}

#: The model card of Lightning v3.1 Pro, for the standard plan; no page tells the other's.
SMALLEST = {
    "lightning_v3.1_pro": 19.5,
}

#: Cartesia's pages on pricing: about a credit for a character, and a hundred thousand
#: credits for 5 dollars in the smallest paid plan; larger plans come down to 37.
CARTESIA = {
    "sonic-3": 50.0,
    "sonic-3.5": 50.0,
}

#: ElevenLabs' pages on pricing, the dearest of the plans; others come down to 50 and 100.
ELEVENLABS = {
    "eleven_flash_v2_5": 60.0,
    "eleven_turbo_v2_5": 60.0,
    "eleven_flash_v2": 60.0,
    "eleven_turbo_v2": 60.0,
    "eleven_multilingual_v2": 120.0,
}

#: Deepgram, as secondary sources have it; a plan may have figures of its own.
DEEPGRAM = {
    "aura": 15.0,
    "aura-2": 30.0,
}
