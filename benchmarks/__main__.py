"""``python -m benchmarks``: tables on stdout, at the end what was to be reached; JSON, too."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import (
    cost,
    figures,
    measure,
    receive,
    resume,
    scale,
    scheduling,
    sockets,
    stall,
    startup,
    window,
)
from benchmarks.replay import allow_sockets
from benchmarks.rounds import Load

Findings = dict[str, Any]
Part = tuple[Callable[[Path], Findings], Callable[[Findings], Iterator[str]]]

#: What the options are unless they are given: in the short form, in the long one.
_SHORT = {
    "rounds": 5,
    "utterances": 16,
    "files": 8,
    "resume_rows": 300_000,
    "spoken": 5000,
    "window_rows": 24,
}
_LONG = {
    "rounds": 7,
    "utterances": 40,
    "files": 40,
    "resume_rows": 10_000_000,
    "spoken": 1_000_000,
    "window_rows": 200,
}

_FEW = 3  # rounds of what takes long and hardly varies, and ...
_ONCE = 1  # ... of what looks a thousand times in one; both in the short form


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and tell."""
    options = _parse(arguments)
    allow_sockets()
    findings: Findings = {"machine": measure.machine()}
    for line in _machine_lines(findings["machine"]):
        print(line)
    # Deleted at the very end, see benchmarks/cost.py.
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=options.dir) as root:
        for name, (find, tell) in _chosen(options).items():
            where = Path(root, name)
            where.mkdir()
            began_at = time.monotonic()
            findings[name] = find(where)
            print("", *tell(findings[name]), sep="\n")
            print(f"  [{time.monotonic() - began_at:.0f} s]", flush=True)
        print("", *figures.table(figures.gather(findings)), sep="\n", flush=True)
        if options.json:
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(findings)))


def _chosen(options: argparse.Namespace) -> dict[str, Part]:
    parts, more = _parts(options), _more(options)
    names = options.only or (parts | more if options.full else parts)
    if unknown := set(names) - (parts | more).keys():
        raise SystemExit(
            f"no part is called {', '.join(sorted(unknown))}: {', '.join(parts | more)}"
        )
    return {name: part for name, part in (parts | more).items() if name in names}


def _parts(options: argparse.Namespace) -> dict[str, Part]:
    """What the short form measures, in this order.

    A part is how it is found and how it is told, and another goes into this table
    where it belongs. One that leaves ``figures`` among its findings (see figures.py)
    has them in the last table of all.
    """
    rounds, rows, load = options.rounds, options.rows, _load(options)
    few, once = (rounds, rounds) if options.full else (min(_FEW, rounds), _ONCE)
    files = replace(load, long=options.files)
    small = replace(files, utterance_s=cost.SMALL_S)
    plain, tls, whole = _contenders(options)
    return {
        "startup": (lambda where: startup.compare(where, options.plan_rows, rounds), startup.lines),
        "receive": _receive(load, plain, rounds),
        "receive-tls": _receive(replace(load, tls=True), tls, rounds),
        "cost": _cost(files, whole, rounds),
        "cost-1s": _cost(small, cost.SHORT, rounds),
        "stall": (lambda where: stall.compare(where, [files, small], once), stall.lines),
        "sockets": _sockets(options, tls=False),
        "scheduling": (
            lambda where: scheduling.compare(where, scheduling.short_cases(), at_once=5),
            scheduling.lines,
        ),
        "resume": (
            lambda where: resume.compare(where, rows=options.resume_rows, rounds=few),
            resume.lines,
        ),
        "again": (
            lambda where: scale.again(where, rows=max(1, rows // 10), rounds=few),
            scale.again_lines,
        ),
        "memory": (
            lambda where: scale.peak(where, rows=rows, spoken=options.spoken),
            scale.peak_lines,
        ),
    }


def _more(options: argparse.Namespace) -> dict[str, Part]:
    """What only the long form measures: other loads, other contenders, the quiet window."""
    rounds, load = options.rounds, _load(options)
    files = replace(load, long=options.files)
    parts: dict[str, Part] = {
        "scheduling-all": (
            lambda where: scheduling.compare(where, scheduling.all_cases()),
            scheduling.lines,
        ),
        "window": (
            lambda where: window.compare(
                where, rows=options.window_rows, rounds=rounds, few=options.full
            ),
            window.lines,
        ),
        "sockets-tls": _sockets(options, tls=True),
        "cost-no-context": _cost(replace(files, context=False), cost.SHORT, rounds),
    }
    for size in (4, 48):
        pieces = size * 1024
        parts[f"receive-{size}k"] = _receive(
            replace(load, delta_bytes=pieces), receive.FULL, rounds
        )
        parts[f"cost-{size}k"] = _cost(replace(files, delta_bytes=pieces), cost.SHORT, rounds)
    return parts


def _contenders(options: argparse.Namespace) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Who receives, who receives with TLS, and who writes."""
    if options.full:
        return receive.FULL, receive.TLS_FULL, cost.FULL
    return receive.SHORT, receive.TLS, cost.SHORT


def _load(options: argparse.Namespace) -> Load:
    return Load(
        sockets=options.sockets,
        long=options.utterances,
        utterance_s=options.utterance_s,
        delta_bytes=options.delta_bytes,
    )


def _receive(load: Load, names: Sequence[str], rounds: int) -> Part:
    return lambda where: receive.compare(where, load, names, rounds), receive.lines


def _cost(load: Load, names: Sequence[str], rounds: int) -> Part:
    return lambda where: cost.compare(where, load, names, rounds), cost.lines


def _sockets(options: argparse.Namespace, *, tls: bool) -> Part:
    def find(where: Path) -> Findings:
        number, seconds = options.crowd, options.crowd_s
        names = (sockets.OURS, sockets.VENDOR)
        return sockets.compare(where, sockets=number, seconds=seconds, tls=tls, names=names)

    return find, sockets.lines


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure batchtts beside its peers; medians of alternating rounds.",
    )
    add = parser.add_argument
    add("--full", action="store_true", help="other loads, more contenders, every row spoken: hours")
    add("--only", action="append", metavar="PART", help="by its name in the JSON; may be repeated")
    add("--json", type=Path, metavar="FILE", help="write the findings there, too")
    add("--dir", type=Path, metavar="DIR", help="where to work; takes some GB  [default: TMPDIR]")
    add("--rounds", type=int, metavar="N", help="[default: 5; full: 7]")
    add("--sockets", type=int, metavar="N", default=64, help="[default: 64]")
    add("--utterances", type=int, metavar="N", help="per socket, from 2  [default: 16; full: 40]")
    add("--files", type=int, metavar="N", help="the same, for WAVs  [default: 8; full: 40]")
    add("--utterance-s", type=float, metavar="S", default=5.0, help="[default: 5]")
    add("--delta-bytes", type=int, metavar="N", default=16_384, help="[default: 16384]")
    add("--plan-rows", type=int, metavar="N", default=100_000, help="[default: 100000]")
    add("--crowd", type=int, metavar="N", default=1000, help="sockets at once  [default: 1000]")
    add("--crowd-s", type=float, metavar="S", default=6.0, help="for so long  [default: 6]")
    add("--resume-rows", type=int, metavar="N", help="[default: 300000; full: 10000000]")
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
