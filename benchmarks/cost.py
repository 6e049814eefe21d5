"""Processor time of the whole path: `batchtts run` beside the vendor's own sample.

Every run writes to a new folder and nothing is deleted before the end: ext4 is slow
to create files where others have just been deleted, and would bill the next contender.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ceiling, measure, rounds
from benchmarks.figures import figure
from benchmarks.rounds import TARGET_DELTA_BYTES, Load

OURS = "batchtts run"
SAMPLE = "vendor's sample + wave"
BARE = "vendor's sample, bare samples"

SHORT = (OURS, SAMPLE)
FULL = (OURS, SAMPLE, BARE)

OF_SAMPLE = 0.8  # of the processor time of the sample, at most
TIMES_REAL = 3000  # hours of audio per hour of one core, at least
SMALL_S = 1.0  # the length of a small utterance
SMALL_MS = 1.5  # of processor time for one, at most

_TEXT = "Sentence {} of a book that nobody will ever read."  # 1 s is enough for it


def compare(where: Path, load: Load, names: Sequence[str], number: int) -> dict[str, Any]:
    """Run all contenders in turn, *number* times short and long."""
    manifests = {n: write_manifest(where / f"{n}.csv", n * load.sockets) for n in load.lengths}
    outs = (where / f"{at}" for at in range(2 * number * len(names)))
    with load.replay() as server:

        def run(name: str, per_socket: int) -> measure.Cost:
            manifest = manifests[per_socket]
            return measure.run(command(name, manifest, next(outs), server.url, load.sockets))

        seen = rounds.play(names, number, load, server, run)
    pairs = zip(seen[OURS], seen[SAMPLE], strict=True)
    found = {
        "load": load.told(),
        "title": str(load),
        "rounds": number,
        "contenders": {name: rounds.sum_up(each, load) for name, each in seen.items()},
        "ratio": rounds.ratios(seen, OURS, load),
        "whole_ratio": median(ours.long.cpu_s / theirs.long.cpu_s for ours, theirs in pairs),
        "ceiling": ceiling.ceiling(load),
    }
    return found | {"figures": list(_figures(found, load))}


def write_manifest(path: Path, rows: int, text: str = _TEXT) -> Path:
    """Write a manifest of so many rows."""
    with path.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"u{row:07d},{text.format(row)}\n" for row in range(rows))
    return path


def command(name: str, manifest: Path, out: Path, url: str, sockets: int) -> list[str | Path]:
    """What runs a contender."""
    if name == OURS:
        provider = ("--provider", "together", "--endpoint", url, "--workers", f"{sockets}")
        return measure.batchtts("run", manifest, "--out", out, "--quiet", *provider)
    peer = [sys.executable, "-m", "benchmarks.vendor", str(manifest), str(out), "--url", url]
    return [*peer, "--sockets", f"{sockets}", *(["--plain"] if name == BARE else [])]


def _figures(found: dict[str, Any], load: Load) -> Iterator[dict[str, Any]]:
    ours, sample = (found["contenders"][name] for name in (OURS, SAMPLE))
    if load.utterance_s == SMALL_S:
        yield figure(
            f"WAVs of {SMALL_S:g} s: CPU of each",
            ours["cpu_ms_per_utterance"],
            unit="ms",
            at_most=SMALL_MS,
            peer=f"sample + wave {sample['cpu_ms_per_utterance']:.2f} ms",
        )
        return
    if load.delta_bytes != TARGET_DELTA_BYTES or not load.context:
        return  # told, but no target was set for it
    per_hour = ours["cpu_s_per_audio_hour"]
    yield figure(
        "WAVs: CPU / vendor's sample + wave",
        found["ratio"][SAMPLE],
        at_most=OF_SAMPLE,
        peer=f"{per_hour:.2f} : {sample['cpu_s_per_audio_hour']:.2f} s per audio hour",
    )
    yield figure(
        "WAVs: times real time, one core",
        3600 / per_hour,
        at_least=TIMES_REAL,
        peer=f"sample + wave {3600 / sample['cpu_s_per_audio_hour']:,.0f}",
    )


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield f"The whole path: {found['title']}, {found['rounds']} rounds"
    head = (
        f"{'per hour':>9}{'each':>9}{'ours/':>7}{'start-up':>10}{'server':>8}{'wall':>8}{'peak':>9}"
    )
    yield f"  {'processor seconds':31}{head}"
    for name, it in found["contenders"].items():
        yield (
            f"  {name:31}{it['cpu_s_per_audio_hour']:9.2f}{it['cpu_ms_per_utterance']:6.2f} ms"
            f"{found['ratio'].get(name, 1.0):7.2f}{it['startup_cpu_s']:8.2f} s"
            f"{it['server_cpu_s_per_audio_hour']:8.2f}"
            f"{it['wall_s']:6.1f} s{it['peak_mib']:5.0f} MiB"
        )
    yield ceiling.line(found["ceiling"])
    yield f"  the long runs with their start-up: {found['whole_ratio']:.2f} x the vendor's sample"
