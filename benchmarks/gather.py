"""The peer of the scheduling: the vendor's sample for each row, as many at once as are allowed.

asyncio.gather over all rows in the order of the manifest, a semaphore of the provider's
limit, a connection for as long as it is good, and a second of pause, doubled each
time, after a failure: what one writes around the sample of `benchmarks.vendor`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import websockets

from benchmarks.replay import allow_sockets
from benchmarks.vendor import receive_audio, save_wav

PAUSE_S, TRIES = 1.0, 8


async def speak(free: list[websockets.ClientConnection], url: str, script: str) -> bytearray:
    """Speak one script on a connection that is free, or on a new one."""
    ws = free.pop() if free else None
    if ws is None:
        ws = await websockets.connect(url, max_queue=None)
        json.loads(await ws.recv())  # session.created
    try:
        await ws.send(json.dumps({"type": "input_text_buffer.append", "text": script}))
        await ws.send(json.dumps({"type": "input_text_buffer.commit"}))
        audio = await receive_audio(ws)
    except BaseException:
        await ws.close()
        raise
    free.append(ws)
    return audio


async def speak_all(options: argparse.Namespace) -> None:
    """Speak a manifest."""
    rows = [line.split(",", 1) for line in options.manifest.read_text().splitlines()[1:]]
    url = f"{options.url}/v1/audio/speech/websocket?model=hexgrad/Kokoro-82M&voice=af_heart"
    free: list[websockets.ClientConnection] = []
    slots = asyncio.Semaphore(options.in_flight)

    async def take(name: str, script: str) -> None:
        async with slots:
            for attempt in range(TRIES):
                try:
                    audio = await speak(free, url, script)
                    break
                except RuntimeError:
                    await asyncio.sleep(PAUSE_S * 2**attempt)
            else:
                return
            save_wav(options.out / f"{name}.wav", audio)

    options.out.mkdir(parents=True)
    await asyncio.gather(*(take(name, script) for name, script in rows))
    await asyncio.gather(*(ws.close() for ws in free))


def main() -> None:
    """Speak a manifest of two columns, id and text, without quotes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gather", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    allow_sockets()
    asyncio.run(speak_all(parser.parse_args()))


if __name__ == "__main__":
    main()
