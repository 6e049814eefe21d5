"""A guard against getting slower: ``python -m benchmarks.guard``.

What we need for fixed loads, divided by what a peer needs for the same: a ratio that
hardly depends on the machine, of instructions where they can be counted. The file
beside this has the ratios that were accepted; exit status 1 if one is exceeded by more
than the tolerance.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import cost, startup
from benchmarks.count import COUNTERS, INSTRUCTIONS, TIME, Command, Counter, best
from benchmarks.receive import OURS as SESSIONS
from benchmarks.receive import VENDOR, command
from benchmarks.rounds import Load

FILE = Path(__file__).with_name("guard.json")

#: By how much more a ratio may be than what was accepted.
TOLERANCES = {INSTRUCTIONS: 0.08, TIME: 0.30}


class Accepted(msgspec.Struct, forbid_unknown_fields=True):
    """The ratios that were accepted, by what was counted, then by the load."""

    tolerance: dict[str, float]
    ratios: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Our work and the peer's on one load."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """Ours divided by theirs."""
        return self.ours / self.theirs


#: Looks in a folder of its own how two sides work on one load.
Look = Callable[[Path, Counter], Duel]


def _difference(
    load: Load, counter: Counter, environment: Mapping[str, str], run: Callable[[int], Command]
) -> float:
    """What one utterance takes, start-up left out."""
    short, long = (counter.count(run(each), environment) for each in load.lengths)
    return (long - short) / (load.sockets * (load.long - load.short))


def _receive(where: Path, counter: Counter) -> Duel:
    load = Load(sockets=8, short=1, long=9) if counter.unit == INSTRUCTIONS else Load(long=16)
    with load.replay() as server:
        ours, theirs = (
            _difference(load, counter, server.environment, partial(command, name, server, load))
            for name in (SESSIONS, VENDOR)
        )
    return Duel(ours=ours, theirs=theirs)


def _whole_path(where: Path, counter: Counter) -> Duel:
    load = Load(sockets=16, short=2, long=42, utterance_s=1.0)
    manifests = {
        each: cost.write_manifest(where / f"{each}.csv", each * load.sockets)
        for each in load.lengths
    }
    with load.replay() as server:

        def run(name: str, per_socket: int) -> Command:
            out = where / f"{name == cost.OURS}-{per_socket}"
            return cost.command(name, manifests[per_socket], out, server.url, load.sockets)

        ours, theirs = (
            _difference(load, counter, {}, partial(run, name)) for name in (cost.OURS, cost.SAMPLE)
        )
    return Duel(ours=ours, theirs=theirs)


def _plan(suffix: str) -> Look:
    def look(where: Path, counter: Counter) -> Duel:
        tables = {path.suffix: path for path in startup.manifests(where, 100_000)}
        ours = counter.count(startup.plan(tables[suffix]), {})
        return Duel(ours=ours, theirs=counter.count(startup.read(tables[suffix]), {}))

    return look


LOADS: dict[str, Look] = {
    "receive 16 KiB deltas / vendor's sample": _receive,
    "whole path, utterances of 1 s / vendor's sample + wave": _whole_path,
    "plan 100,000 rows of CSV / pyarrow reads them": _plan(".csv"),
    "plan 100,000 rows of Parquet / pyarrow reads them": _plan(".parquet"),
}


def look(
    counter: Counter, where: Path, rounds: int, wanted: str = ""
) -> Iterator[tuple[str, Duel]]:
    """Count on every load whose name has *wanted* in it."""
    for number, (name, one) in enumerate(LOADS.items()):
        if wanted in name:
            folders = [where / f"{number}-{at}" for at in range(rounds)]
            for folder in folders:
                folder.mkdir()
            duels = [one(folder, counter) for folder in folders]
            yield name, sorted(duels, key=lambda duel: duel.ratio)[len(duels) // 2]


def judge(ratio: float, accepted: float | None, tolerance: float) -> str:
    """What to say of a ratio: nothing is exceeded where nothing was accepted."""
    if accepted is None:
        return "nothing accepted yet"
    if ratio > accepted * (1 + tolerance):
        return f"EXCEEDED: accepted are {accepted:.3f} + {tolerance:.0%}"
    if ratio < accepted * (1 - tolerance):
        return f"better than the accepted {accepted:.3f}: accept this"
    return f"ok, accepted are {accepted:.3f} + {tolerance:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, judge and tell; or accept what is."""
    options = _parse(arguments)
    known = _read(options.file)
    counter = next((each for each in COUNTERS if each.name == options.by), None) or best()
    rounds = options.rounds or counter.rounds
    ratios = known.ratios.setdefault(counter.unit, {})
    tolerance = known.tolerance[counter.unit]
    print(f"{counter.unit}, by {counter.name}, ours divided by the peer's")
    exceeded = []
    with tempfile.TemporaryDirectory(prefix="guard-") as where:
        for name, duel in look(counter, Path(where), rounds, options.only):
            told = judge(duel.ratio, ratios.get(name), tolerance)
            if told.startswith("EXCEEDED"):
                exceeded.append(name)
            if options.accept:
                ratios[name], told = round(duel.ratio, 3), "accepted"
            print(f"  {name:56}{duel.ratio:8.3f}  {told}", flush=True)
    if options.accept:
        options.file.write_bytes(msgspec.json.format(msgspec.json.encode(known)) + b"\n")
        return 0
    if exceeded:
        print("slower than before: make it faster, or `python -m benchmarks.guard --accept`")
    return 1 if exceeded else 0


def _read(path: Path) -> Accepted:
    if not path.exists():
        return Accepted(tolerance=dict(TOLERANCES), ratios={})
    return msgspec.json.decode(path.read_bytes(), type=Accepted)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    add = parser.add_argument
    add("--accept", action="store_true", help="write the ratios that are found into the file")
    add("--only", default="", metavar="WORD", help="the loads whose names have this in them")
    add("--by", choices=[each.name for each in COUNTERS], help="[default: the first that works]")
    add("--rounds", type=int, metavar="N", help="[default: 1 of instructions, 7 of time]")
    add("--file", type=Path, default=FILE, help="what was accepted  [default: guard.json]")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
