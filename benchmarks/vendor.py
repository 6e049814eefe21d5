"""The peer: the vendor's own sample, on many sockets at once.

asyncio, websockets, json and base64 exactly as in Together's API reference, less
the printing and the half-second naps, and with the end that the sample never comes
to: an utterance is over at its ``done``. One WAV per utterance, written with
`wave`; with ``--plain``, the bare samples as the sample itself writes them. Nothing is
made durable, nothing is checked, nothing is remembered.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import wave
from pathlib import Path

import websockets

RATE_HZ = 24_000


async def speak(url: str, scripts: list[tuple[str, str]], out: Path, *, plain: bool) -> None:
    """Speak some scripts on one connection, one after another."""
    headers = {"Authorization": f"Bearer {os.environ.get('TOGETHER_API_KEY')}"}
    async with websockets.connect(url, additional_headers=headers) as ws:
        json.loads(await ws.recv())  # session.created
        for name, script in scripts:
            await ws.send(json.dumps({"type": "input_text_buffer.append", "text": script}))
            await ws.send(json.dumps({"type": "input_text_buffer.commit"}))
            audio = await receive_audio(ws)
            save = save_plain if plain else save_wav
            save(out / f"{name}.wav", audio)


async def receive_audio(ws: websockets.ClientConnection) -> bytearray:
    """Gather one utterance."""
    audio_data = bytearray()
    async for message in ws:
        data = json.loads(message)
        if data["type"] == "conversation.item.audio_output.delta":
            audio_chunk = base64.b64decode(data["delta"])
            audio_data.extend(audio_chunk)
        elif data["type"] == "conversation.item.audio_output.done":
            return audio_data
        elif data["type"] == "conversation.item.tts.failed":
            raise RuntimeError(data.get("error", {}).get("message"))
    raise RuntimeError("closed before the end")


def save_plain(path: Path, audio: bytearray) -> None:
    """Write the samples and nothing else, as the sample does; no player opens it."""
    with path.open("wb") as f:
        f.write(audio)


def save_wav(path: Path, audio: bytearray) -> None:
    """Write a WAV."""
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(RATE_HZ)
        f.writeframes(audio)


async def speak_all(options: argparse.Namespace) -> None:
    """Deal the scripts out to the sockets."""
    scripts = [tuple(line.split(",", 1)) for line in options.manifest.read_text().splitlines()[1:]]
    url = f"{options.url}/v1/audio/speech/websocket?model=hexgrad/Kokoro-82M&voice=af_heart"
    hands = [scripts[at :: options.sockets] for at in range(options.sockets)]
    options.out.mkdir(parents=True)
    await asyncio.gather(
        *(speak(url, hand, options.out, plain=options.plain) for hand in hands if hand)
    )


def main() -> None:
    """Speak a manifest of two columns, id and text, without quotes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vendor", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--sockets", type=int, default=64)
    parser.add_argument("--plain", action="store_true")
    asyncio.run(speak_all(parser.parse_args()))


if __name__ == "__main__":
    main()
