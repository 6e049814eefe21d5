"""Many sockets in one process, which say how they fare: ours, or the vendor's sample's.

A few are opened, then all; every one has utterances spoken without end and drops the
audio. After so many seconds one line of JSON goes to standard output; the sockets
stay open until standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import ssl
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import trio
import websockets

from batchtts.wire import registry
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner
from batchtts.wire.session import Listener
from benchmarks import stalls
from benchmarks.peers import PATH, SCRIPT
from benchmarks.vendor import receive_audio

_SETTLE_S = 1.5  # until new sockets have heard something; still counts as opening
GC_OBJECTS = 50_000  # between two collections, as `batchtts run` sets it


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How many, where, for how long."""

    url: str
    few: int
    sockets: int
    seconds: float


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tell(crowd: Crowd, few_bytes: int, opening_s: float, late_s: list[float], held: int) -> None:
    """Print how it went; *late_s* from *held* on is from when all were open."""
    found = {
        "kib_per_socket": (resident_bytes() - few_bytes) / 1024 / (crowd.sockets - crowd.few),
        "few_mib": few_bytes / (1 << 20),
        "opening_s": opening_s,
        "stall_opening": stalls.sum_up(late_s[:held]),
        "stall": stalls.sum_up(late_s[held:]),
    }
    print(json.dumps(found), flush=True)


async def ours(crowd: Crowd) -> None:
    """The sessions of batchtts, with the collector as `batchtts run` sets it."""
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)
    provider = registry.get("together")
    manner = Manner(voice=provider.voices[0], options={"linger_s": 0.0})
    line = Line.to(provider, crowd.url, "replay")
    late_s: list[float] = []

    async def speak(number: int, task_status: trio.TaskStatus[None]) -> None:
        session = await line.call(connections, provider.dialect(manner))
        task_status.started()
        for at in count():
            await session.speak(SCRIPT, f"5a2f90b1-{number}-{at}-0", _IGNORED)

    async def start(numbers: range) -> None:
        async with trio.open_nursery() as opening:
            for number in numbers:
                opening.start_soon(speaking.start, speak, number)

    async with trio.open_nursery() as connections, trio.open_nursery() as speaking:
        await start(range(crowd.few))
        await trio.sleep(_SETTLE_S)
        few_bytes, began_at = resident_bytes(), time.monotonic()
        speaking.start_soon(stalls.watch_trio, late_s)
        await start(range(crowd.few, crowd.sockets))
        opening_s = time.monotonic() - began_at
        await trio.sleep(_SETTLE_S)
        held = len(late_s)
        await trio.sleep(crowd.seconds)
        tell(crowd, few_bytes, opening_s, late_s, held)
        await trio.to_thread.run_sync(sys.stdin.read)
        speaking.cancel_scope.cancel()
        connections.cancel_scope.cancel()


_IGNORED = Listener(
    hear=lambda payload, item: None,
    said=lambda: None,
    late=lambda context: None,
    time=lambda words, item: None,
)


async def vendor(crowd: Crowd) -> None:
    """The vendor's sample, which keeps an utterance until it is whole."""
    trust = ssl.create_default_context() if crowd.url.startswith("wss:") else None
    late_s: list[float] = []

    async def speak(ws: websockets.ClientConnection) -> None:
        json.loads(await ws.recv())  # session.created
        while True:
            await ws.send(json.dumps({"type": "input_text_buffer.append", "text": SCRIPT}))
            await ws.send(json.dumps({"type": "input_text_buffer.commit"}))
            await receive_audio(ws)

    async def start(number: int) -> None:
        opening = (websockets.connect(crowd.url + PATH, ssl=trust) for _ in range(number))
        for ws in await asyncio.gather(*opening):
            tasks.create_task(speak(ws))

    async with asyncio.TaskGroup() as tasks:
        await start(crowd.few)
        await asyncio.sleep(_SETTLE_S)
        few_bytes, began_at = resident_bytes(), time.monotonic()
        tasks.create_task(stalls.watch_asyncio(late_s))
        await start(crowd.sockets - crowd.few)
        opening_s = time.monotonic() - began_at
        await asyncio.sleep(_SETTLE_S)
        held = len(late_s)
        await asyncio.sleep(crowd.seconds)
        tell(crowd, few_bytes, opening_s, late_s, held)
        await asyncio.to_thread(sys.stdin.read)
        os._exit(0)  # a thousand polite goodbyes are not measured


def main() -> None:
    """Be a crowd."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("peer", choices=["ours", "vendor"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = vars(parser.parse_args())
    if options.pop("peer") == "ours":
        trio.run(ours, Crowd(**options))
    else:
        asyncio.run(vendor(Crowd(**options)))


if __name__ == "__main__":
    main()
