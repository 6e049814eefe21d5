"""Who receives: five programs that have the same utterances spoken and count their bytes.

Nothing is written and nothing is kept. Every one opens all its sockets, has its
utterances spoken on each, one after another, and fails if one has not as many bytes
of audio as it must have.

floor: a raw asyncio protocol with one receive buffer for all sockets, frames cut by
hand, msgspec and pybase64: what Python can hardly be faster than.
vendor: the provider's own sample: asyncio, websockets, json and base64.
stock: trio-websocket as it comes, json and base64.
tuned: trio-websocket with a buffer of 64 KiB, msgspec and pybase64.
ours: the sessions of batchtts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

PATH = "/v1/audio/speech/websocket?model=hexgrad/Kokoro-82M&voice=af_heart"
SCRIPT = "Sentence 1 of a book that nobody will ever read."

_DELTA = "conversation.item.audio_output.delta"
_DONE = "conversation.item.audio_output.done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one program is to do.

    Attributes:
        audio_bytes: Of one utterance, decoded.
    """

    url: str
    sockets: int
    utterances: int
    audio_bytes: int

    def check(self, audio_bytes: int) -> None:
        """Fail unless an utterance has come whole."""
        if audio_bytes != self.audio_bytes:
            raise RuntimeError(f"{audio_bytes} bytes of audio instead of {self.audio_bytes}")

    def trust(self) -> ssl.SSLContext | None:
        """What TLS needs, once for all sockets."""
        return ssl.create_default_context() if self.url.startswith("wss:") else None


def floor(task: Task) -> None:
    """Cut frames by hand."""
    from benchmarks.floor import receive

    asyncio.run(receive(task))


def vendor(task: Task) -> None:
    """Receive as the provider's sample does."""

    async def every() -> None:
        trust = task.trust()
        await asyncio.gather(*(_vendor_socket(task, trust) for _ in range(task.sockets)))

    asyncio.run(every())


async def _vendor_socket(task: Task, trust: ssl.SSLContext | None) -> None:
    import websockets

    from benchmarks.vendor import receive_audio

    headers = {"Authorization": f"Bearer {os.environ.get('TOGETHER_API_KEY')}"}
    async with websockets.connect(task.url + PATH, additional_headers=headers, ssl=trust) as ws:
        json.loads(await ws.recv())  # session.created
        for _ in range(task.utterances):
            await ws.send(json.dumps({"type": "input_text_buffer.append", "text": SCRIPT}))
            await ws.send(json.dumps({"type": "input_text_buffer.commit"}))
            task.check(len(await receive_audio(ws)))


def stock(task: Task) -> None:
    """Receive with trio-websocket as it comes."""
    _trio_websocket(task, _from_json, _AS_IT_COMES)


def tuned(task: Task) -> None:
    """Receive with trio-websocket, a larger buffer and faster codecs."""
    _trio_websocket(task, _from_msgspec(), 1 << 16)


Decode = Callable[[str | bytes], tuple[str, bytes]]

_AS_IT_COMES = 4096  # bytes, the default of trio-websocket


def _from_json(message: str | bytes) -> tuple[str, bytes]:
    data = json.loads(message)
    return data["type"], base64.b64decode(data.get("delta", ""))


def _from_msgspec() -> Decode:
    import msgspec
    import pybase64

    class Said(msgspec.Struct):
        type: str
        delta: str = ""

    decode = msgspec.json.Decoder(Said).decode

    def read(message: str | bytes) -> tuple[str, bytes]:
        said = decode(message)
        return said.type, pybase64.b64decode(said.delta.encode(), validate=True)

    return read


def _trio_websocket(task: Task, decode: Decode, buffer_bytes: int) -> None:
    import trio
    from trio_websocket import open_websocket_url

    trust = task.trust()

    async def one() -> None:
        async with open_websocket_url(
            task.url + PATH, trust, receive_buffer_size=buffer_bytes
        ) as ws:
            await ws.get_message()  # session.created
            for _ in range(task.utterances):
                append = {"type": "input_text_buffer.append", "text": SCRIPT}
                await ws.send_message(json.dumps(append))
                await ws.send_message(json.dumps({"type": "input_text_buffer.commit"}))
                kind, audio = "", bytearray()
                while kind != _DONE:
                    kind, part = decode(await ws.get_message())
                    audio.extend(part)
                task.check(len(audio))

    async def every() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(task.sockets):
                nursery.start_soon(one)

    trio.run(every)


def ours(task: Task) -> None:
    """Receive with the sessions of batchtts."""
    import trio

    from batchtts.wire import registry
    from batchtts.wire.line import Line
    from batchtts.wire.provider import Manner
    from batchtts.wire.session import Listener, Session

    provider = registry.get("together")
    manner = Manner(voice=provider.voices[0], options={"linger_s": 0.0})

    async def speak(session: Session, context: str) -> None:
        audio = list[bytes]()
        listener = Listener(
            hear=lambda payload, item: audio.append(payload),
            said=lambda: None,
            late=lambda context: None,
            time=lambda words, item: None,
        )
        await session.speak(SCRIPT, context, listener)
        task.check(len(b"".join(audio)))

    async def one(line: Line, connections: trio.Nursery, socket: int) -> None:
        session = await line.call(connections, provider.dialect(manner))
        for number in range(task.utterances):
            await speak(session, f"5a2f90b1-{socket}-{number}-0")
        session.close()

    async def every() -> None:
        line = Line.to(provider, task.url, "replay")
        async with trio.open_nursery() as connections, trio.open_nursery() as nursery:
            for socket in range(task.sockets):
                nursery.start_soon(one, line, connections, socket)

    trio.run(every)


PEERS = {it.__name__: it for it in (floor, vendor, stock, tuned, ours)}


def host(url: str) -> tuple[str, int]:
    """Where a socket is opened."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def main() -> None:
    """Receive as the options say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--sockets", type=int, default=64)
    parser.add_argument("--utterances", type=int, default=1)
    parser.add_argument("--audio-bytes", type=int, required=True)
    options = vars(parser.parse_args())
    PEERS[options.pop("peer")](Task(**options))


if __name__ == "__main__":
    main()
