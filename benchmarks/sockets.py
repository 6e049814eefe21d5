"""A thousand sockets at once, each of which hears something now and then, and is pinged.

What counts is the memory of one more socket, that every ping is answered and how
soon, and how late the event loop is. The audio that a run holds until an utterance is
whole is not in it: the sessions' listener drops it here, which the vendor's sample
cannot.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import stalls
from benchmarks.figures import figure
from benchmarks.replay import Replay, Served

OURS, VENDOR = "ours", "vendor"

FEW = 10
EVERY_S = 1.0  # between two deltas on one socket
PING_S = 1.0
PONG_S = 5.0  # the longest that the last pings are waited for
UTTERANCE_S = 1.0  # three deltas of 16 KiB and a `done`

KIB = 120
STALL_MS = 20

_POLL_S = 0.05
_TITLES = {OURS: "batchtts, its sessions", VENDOR: "vendor's sample stack"}


def compare(
    where: Path, *, sockets: int, seconds: float, tls: bool = False, names: Sequence[str]
) -> dict[str, Any]:
    """Hold so many sockets for so long with each of them."""
    seen = {name: _hold(name, sockets, seconds, tls=tls) for name in names}
    found = {"sockets": sockets, "seconds": seconds, "tls": tls, "contenders": seen}
    return found | {"figures": list(_figures(found))}


def _hold(name: str, sockets: int, seconds: float, *, tls: bool) -> dict[str, Any]:
    server = Replay(utterance_s=UTTERANCE_S, tls=tls, every_s=EVERY_S, ping_s=PING_S)
    with server, _crowd(name, server, sockets, seconds) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        if not told:
            raise RuntimeError(f"{name}: exit status {process.wait()}")
        served = _last_pongs(server)
        process.communicate()
    return {**json.loads(told), **asdict(served)}


def _crowd(name: str, server: Replay, sockets: int, seconds: float) -> subprocess.Popen[str]:
    options = ("--few", f"{min(FEW, sockets // 2)}", "--sockets", f"{sockets}")
    command = [sys.executable, "-m", "benchmarks.crowd", name, "--url", server.url, *options]
    return subprocess.Popen(
        [*command, "--seconds", f"{seconds}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=server.environment_of_client(),
    )


def _last_pongs(server: Replay) -> Served:
    """Wait for the answers to the pings that are under way."""
    served, ends_at = server.quiet(), time.monotonic() + PONG_S
    while served.pongs < served.pings and time.monotonic() < ends_at:
        time.sleep(_POLL_S)
        served = server.served()
    return served


def _figures(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if found["tls"]:
        return  # told, but no target was set for it
    ours, sample = found["contenders"][OURS], found["contenders"].get(VENDOR)
    name = f"{found['sockets']:,} sockets:"
    yield figure(
        f"{name} alive at the end",
        ours["open"],
        at_least=found["sockets"],
        peer=f"sample {sample['open']:,}" if sample else "",
    )
    yield figure(
        f"{name} memory of each",
        ours["kib_per_socket"],
        unit="KiB",
        at_most=KIB,
        peer=f"sample {sample['kib_per_socket']:.0f} KiB" if sample else "",
    )
    yield figure(
        f"{name} pings not answered",
        ours["pings"] - ours["pongs"],
        at_most=0,
        peer=f"of {ours['pings']:,}; longest wait {1000 * ours['longest_pong_s']:.0f} ms",
    )
    yield figure(
        f"{name} loop stall, p99",
        ours["stall"]["p99_ms"],
        unit="ms",
        at_most=STALL_MS,
        peer=f"sample {sample['stall']['p99_ms']:.1f} ms" if sample else "",
    )


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield (
        f"{found['sockets']:,} sockets{' with TLS' if found['tls'] else ''} for"
        f" {found['seconds']:g} s, each with a delta and a ping every second"
    )
    for name, it in found["contenders"].items():
        yield (
            f"  {_TITLES[name]:24}{it['kib_per_socket']:5.0f} KiB each, {it['open']:,} alive;"
            f" {it['pongs']:,} of {it['pings']:,} pings answered,"
            f" longest wait {1000 * it['longest_pong_s']:.0f} ms"
        )
        yield f"  {'':24}loop late: {stalls.spell(it['stall'])}"
        yield (
            f"  {'':24}while opening, {it['opening_s']:.1f} s: {stalls.spell(it['stall_opening'])}"
        )
