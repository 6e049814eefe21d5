"""Have pipecat's own services speak, as a program of its users would.

Run by tests/test_pipecat.py in an environment of its own:

    python pipecat_speak.py together|smallest URL TEXT…

Each TEXT is a turn of its own. What was heard goes to standard output: one JSON
object with `pcm` (base64, s16le mono 24 kHz), `words` and `errors`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys

from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.services.smallest.tts import SmallestTTSService
from pipecat.services.together.tts import TogetherTTSService
from pipecat.tests.utils import SleepFrame, run_test

RATE_HZ = 24_000


def service(name: str, url: str) -> TogetherTTSService | SmallestTTSService:
    """Make the service as its documentation does, but for the address."""
    if name == "together":
        return TogetherTTSService(api_key="k", url=f"{url}/v1/audio/speech/websocket")
    return SmallestTTSService(api_key="k", base_url=url, sample_rate=RATE_HZ)


async def main(name: str, url: str, texts: list[str]) -> None:
    """Speak every text and tell what came."""
    speaking = [frame for text in texts for frame in (TTSSpeakFrame(text), SleepFrame(3.0))]
    down, up = await run_test(service(name, url), frames_to_send=speaking, start_timeout=10.0)
    heard = b"".join(frame.audio for frame in down if isinstance(frame, TTSAudioRawFrame))
    told = {
        "pcm": base64.b64encode(heard).decode(),
        "errors": [frame.error for frame in (*down, *up) if isinstance(frame, ErrorFrame)],
        "frames": [type(frame).__name__ for frame in down],
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
