"""Receiving alone, nothing written: our sessions between the floor and their peers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ceiling, measure, rounds
from benchmarks.figures import figure
from benchmarks.replay import Replay
from benchmarks.rounds import TARGET_DELTA_BYTES, Load

FLOOR, VENDOR, STOCK, TUNED, OURS = "floor", "vendor", "stock", "tuned", "ours"

SHORT = (OURS, FLOOR, VENDOR, STOCK)
FULL = (*SHORT, TUNED)
TLS = (OURS, VENDOR)
TLS_FULL = (OURS, FLOOR, VENDOR)

_TITLES = {
    OURS: "batchtts, its sessions",
    FLOOR: "floor: asyncio, by hand, C codecs",
    VENDOR: "vendor's sample stack",
    STOCK: "trio-websocket + json",
    TUNED: "trio-websocket, 64 KiB, msgspec",
}

#: Ours divided by theirs, at most.
_TARGETS = {VENDOR: 0.40, STOCK: 0.2, FLOOR: 1.6}
_TLS_TARGETS = {VENDOR: 0.7}


def compare(where: Path, load: Load, names: Sequence[str], number: int) -> dict[str, Any]:
    """Receive with each of them, *number* times short and long."""
    with load.replay() as server:

        def run(name: str, per_socket: int) -> measure.Cost:
            receive = command(name, server, load, per_socket)
            return measure.run(receive, environment=server.environment)

        seen = rounds.play(names, number, load, server, run)
    found = {
        "load": load.told(),
        "title": str(load),
        "rounds": number,
        "contenders": {name: rounds.sum_up(each, load) for name, each in seen.items()},
        "ratio": rounds.ratios(seen, OURS, load),
        "ceiling": ceiling.ceiling(load),
    }
    return found | {"figures": list(_figures(found, load))}


def command(name: str, server: Replay, load: Load, per_socket: int) -> list[str | Path]:
    """What runs a contender."""
    return [
        *(sys.executable, "-m", "benchmarks.peers", name, "--url", server.url),
        *("--sockets", f"{load.sockets}", "--utterances", f"{per_socket}"),
        *("--audio-bytes", f"{load.audio_bytes}"),
    ]


def _figures(found: dict[str, Any], load: Load) -> Iterator[dict[str, Any]]:
    if load.delta_bytes != TARGET_DELTA_BYTES:
        return  # told, but no target was set for it
    costs = {name: it["cpu_s_per_audio_hour"] for name, it in found["contenders"].items()}
    for name, most in (_TLS_TARGETS if load.tls else _TARGETS).items():
        if name in costs:
            yield figure(
                f"receive{', TLS' if load.tls else ''}: CPU / {_BRIEF[name]}",
                found["ratio"][name],
                at_most=most,
                peer=f"{costs[OURS]:.2f} : {costs[name]:.2f} s per audio hour",
            )


_BRIEF = {VENDOR: "vendor's sample", STOCK: "trio-websocket + json", FLOOR: "floor"}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield f"Receiving, nothing written: {found['title']}, {found['rounds']} rounds"
    head = (
        f"{'per hour':>9}{'ours/':>7}{'start-up':>10}{'server':>8}{'busy':>6}{'wall':>8}{'peak':>9}"
    )
    yield f"  {'processor seconds':34}{head}"
    for name, it in found["contenders"].items():
        yield (
            f"  {_TITLES[name]:34}{it['cpu_s_per_audio_hour']:9.2f}"
            f"{found['ratio'].get(name, 1.0):7.2f}{it['startup_cpu_s']:8.2f} s"
            f"{it['server_cpu_s_per_audio_hour']:8.2f}{it['server_share']:6.0%}"
            f"{it['wall_s']:6.1f} s{it['peak_mib']:5.0f} MiB"
        )
    yield ceiling.line(found["ceiling"])
