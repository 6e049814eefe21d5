"""``python -m benchmarks``: a table on stdout, the same as JSON with ``--json``."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import cost, measure, scale, startup, window
from benchmarks.replay import allow_sockets

Findings = dict[str, Any]
Part = tuple[Callable[[Path], Findings], Callable[[Findings], Iterator[str]]]

#: What the options are unless they are given: in the short form, in the long one.
_SHORT = {"rounds": 3, "utterances": 16, "spoken": 5000, "window_rows": 24}
_LONG = {"rounds": 5, "utterances": 40, "spoken": 1_000_000, "window_rows": 200}


def _variants(load: cost.Load) -> dict[str, cost.Load]:
    """The other loads of the long form."""
    return {
        "cost-4k": replace(load, delta_bytes=4096),
        "cost-48k": replace(load, delta_bytes=49_152),
        "cost-1s": replace(load, utterance_s=1.0, long=60),
        "cost-no-context": replace(load, context=False),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and tell."""
    options = _parse(arguments)
    allow_sockets()
    findings: Findings = {"machine": measure.machine()}
    for line in _machine_lines(findings["machine"]):
        print(line)
    # Deleted at the very end, see benchmarks/cost.py.
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=options.dir) as root:
        for name, (find, tell) in _parts(options).items():
            where = Path(root, name)
            where.mkdir()
            began_at = time.monotonic()
            findings[name] = find(where)
            print("", *tell(findings[name]), sep="\n")
            print(f"  [{time.monotonic() - began_at:.0f} s]", flush=True)
        if options.json:
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(findings)))


def _parts(options: argparse.Namespace) -> dict[str, Part]:
    """What is measured, in this order."""
    rounds, rows = options.rounds, options.rows
    load = cost.Load(
        sockets=options.sockets,
        long=options.utterances,
        utterance_s=options.utterance_s,
        delta_bytes=options.delta_bytes,
    )

    def price(load: cost.Load) -> Part:
        return lambda where: cost.compare(where, load, rounds), cost.lines

    parts: dict[str, Part] = {
        "startup": (lambda where: startup.compare(where, rounds), startup.lines),
        "cost": price(load),
        "again": (
            lambda where: scale.again(where, rows=max(1, rows // 10), rounds=rounds),
            scale.again_lines,
        ),
        "memory": (
            lambda where: scale.peak(where, rows=rows, spoken=options.spoken),
            scale.peak_lines,
        ),
        "window": (
            lambda where: window.compare(
                where, rows=options.window_rows, rounds=rounds, few=options.full
            ),
            window.lines,
        ),
    }
    if options.full:
        parts |= {name: price(other) for name, other in _variants(load).items()}
    return {name: part for name, part in parts.items() if name in (options.only or parts)}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure batchtts beside its peers; medians of alternating rounds.",
    )
    add = parser.add_argument
    add("--full", action="store_true", help="more rounds, other loads, every row spoken: hours")
    add("--only", action="append", metavar="PART", help="startup, cost, again, memory or window")
    add("--json", type=Path, metavar="FILE", help="write the findings there, too")
    add("--dir", type=Path, metavar="DIR", help="where to work; takes some GB  [default: TMPDIR]")
    add("--rounds", type=int, metavar="N", help="[default: 3; full: 5]")
    add("--sockets", type=int, metavar="N", default=64, help="[default: 64]")
    add("--utterances", type=int, metavar="N", help="per socket, from 2  [default: 16; full: 40]")
    add("--utterance-s", type=float, metavar="S", default=5.0, help="[default: 5]")
    add("--delta-bytes", type=int, metavar="N", default=16_384, help="[default: 16384]")
    add("--rows", type=int, metavar="N", default=1_000_000, help="for memory  [default: 1000000]")
    add("--spoken", type=int, metavar="N", help="rows of these  [default: 5000; full: all]")
    add("--window-rows", type=int, metavar="N", help="for window  [default: 24; full: 200]")
    options = parser.parse_args(arguments)
    for name, value in (_LONG if options.full else _SHORT).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _machine_lines(machine: Findings) -> Iterator[str]:
    yield f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    yield ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"load before: {machine['load']}"


if __name__ == "__main__":
    main()
