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
