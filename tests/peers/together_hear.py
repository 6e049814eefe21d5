"""Have the vendor's own client library hear recordings, as a program of its users would.

Run by tests/test_together_client.py in an environment of its own:

    python together_hear.py URL TURN_DETECTION FILE…

Each FILE holds s16le mono at 16 kHz. What was heard goes to standard output: one
JSON object with `texts`, one for each FILE, and `kinds`, the events of the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from together import AsyncTogether

MODEL = "openai/whisper-large-v3"
APPEND_BYTES = 8192  # as in the vendor's guide


async def hear(client: AsyncTogether, turns: str, pcm: bytes) -> tuple[str, list[str]]:
    """Return what is said in a recording, and the kinds of events that told it."""
    kinds: list[str] = []
    session = client.beta.realtime.transcription(
        model=MODEL,
        turn_detection={"type": turns},
        language="en",
        event_callback=lambda event: kinds.append(event.type),
    )
    async with session:
        for start in range(0, len(pcm), APPEND_BYTES):
            await session.append(pcm[start : start + APPEND_BYTES])
        return await session.flush(), kinds


async def main(url: str, turns: str, paths: list[str]) -> None:
    """Hear every file and tell what came."""
    client = AsyncTogether(api_key="k", base_url=f"{url}/v1")
    heard = [await hear(client, turns, Path(path).read_bytes()) for path in paths]  # noqa: ASYNC240
    told = {"texts": [text for text, _ in heard], "kinds": heard[-1][1]}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
