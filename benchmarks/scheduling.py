"""Whether an allowed request is ever idle: a job against a provider that takes its time.

The least time that a job can take is what its requests keep the provider busy, divided
by how many it takes at once, and not less than the longest of them. Beside it: what
`batchtts run` takes, and a program around the vendor's sample. Both ends are the
provider's own witness: from the first commit that it accepted to the last end.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import measure
from benchmarks.figures import figure
from benchmarks.paced import (
    CHARS_PER_S,
    DONE,
    FIRST_S,
    FIRST_SPREAD,
    LOST,
    PACE,
    REFUSED,
    Manners,
    Paced,
    Request,
)

MANIFEST = "rows.csv"
OURS, PEER = "batchtts", "asyncio.gather"

SPEECH_S, SPEECH_SPREAD = 4.5, 0.5  # of a row: median, and sigma of its logarithm
SHORTEST_S, LONGEST_S = 0.8, 30.0

# The targets.
OF_BOUND = 1.03
BACK_S = 30.0
REFUSED_PERCENT = 1.0

BACK, BACK_FOR_S = 0.95, 5.0  # of the new limit; on average over so long

_WORDS = "and so it goes on from word to word without any end in sight "


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job, and a provider.

    Attributes:
        lasts_s: Roughly how long the job will take.
        allowed: Requests in flight that the user allows; None is the provider's limit.
        with_peer: Whether the peer does it, too; a limit that drops costs it minutes.
    """

    name: str
    manners: Manners
    lasts_s: float
    allowed: int | None = None
    with_peer: bool = True

    @property
    def in_flight(self) -> int:
        """Requests that a client may have in flight."""
        return self.allowed or self.manners.limit

    @property
    def rows(self) -> int:
        """As many as it takes."""
        speech_s = SPEECH_S * math.exp(SPEECH_SPREAD**2 / 2)
        request_s = FIRST_S * math.exp(FIRST_SPREAD**2 / 2) + speech_s / PACE
        drops_at_s = min(self.manners.drops_at_s, self.lasts_s)
        slots_s = self.manners.limit * drops_at_s
        slots_s += self.manners.drops_to * (self.lasts_s - drops_at_s)
        return round(slots_s / request_s)


def short_cases(lasts_s: float = 40.0) -> list[Case]:
    """A few, to be run all at once."""
    drop = Manners(limit=64, drops_at_s=lasts_s / 3, drops_to=16)
    return [
        Case(name="16", manners=Manners(limit=16), lasts_s=lasts_s),
        Case(name="64", manners=Manners(limit=64), lasts_s=lasts_s),
        Case(name="64, then 16", manners=drop, lasts_s=lasts_s, with_peer=False),
    ]


def all_cases(lasts_s: float = 40.0) -> list[Case]:
    """Each limit: as it is, with mishaps, not known beforehand, dropping to a quarter."""
    cases = []
    for limit in (4, 16, 64, 256):
        kinds = {
            "": Manners(limit=limit),
            ", 2 % fail": Manners(limit=limit, fails=0.02),
            ", 2 % fail, 1 % refused": Manners(limit=limit, fails=0.02, refuses=0.01),
        }
        cases += [
            Case(name=f"{limit}{kind}", manners=manners, lasts_s=lasts_s)
            for kind, manners in kinds.items()
        ]
        manners = Manners(limit=limit, fails=0.02)
        told = f"{limit}, {2 * limit} allowed"
        cases.append(Case(name=told, manners=manners, lasts_s=lasts_s, allowed=2 * limit))
        drop = Manners(limit=limit, fails=0.02, drops_at_s=lasts_s / 2, drops_to=limit // 4)
        cases.append(Case(name=f"{limit}, then {limit // 4}", manners=drop, lasts_s=2 * lasts_s))
    return cases


def compare(where: Path, cases: Sequence[Case], *, at_once: int = 1) -> dict[str, Any]:
    """Run each case by each contender, each with a server of its own.

    Args:
        at_once: Runs side by side; they wait for their servers most of the time.
    """
    found: dict[str, Any] = {}
    places = {case.name: where / f"{number}" for number, case in enumerate(cases)}
    for case in cases:
        places[case.name].mkdir()
        _write_manifest(places[case.name] / MANIFEST, case.rows)
        found[case.name] = {"in_flight": case.in_flight, "rows": case.rows, "contenders": {}}

    def measure_one(contender: str, case: Case) -> None:
        it = _measure(contender, case, places[case.name])
        found[case.name]["contenders"][contender] = it

    pairs = [(OURS, case) for case in cases]
    pairs += [(PEER, case) for case in cases if case.with_peer]
    with ThreadPoolExecutor(at_once) as side_by_side:
        list(side_by_side.map(measure_one, *zip(*pairs, strict=True)))
    return {"cases": found, "figures": list(_figures(found))}


def _figures(cases: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What was promised of each case."""
    for name, case in cases.items():
        ours, peer = case["contenders"][OURS], case["contenders"].get(PEER)
        beside = f"{PEER} {peer['ratio']:.3f}" if peer else ""
        told = f"makespan / bound, limit {name}"
        yield figure(told, ours["ratio"], at_most=OF_BOUND, peer=beside)
        if "back_s" in ours:
            yield figure(f"{BACK:.0%} of limit {name}", ours["back_s"], unit="s", at_most=BACK_S)
            yield figure(
                f"refused, limit {name}", 100 * ours["refused"], unit="%", at_most=REFUSED_PERCENT
            )


def _write_manifest(path: Path, rows: int) -> None:
    random = Random(0)
    with path.open("w") as file:
        file.write("id,text\n")
        for row in range(rows):
            speech_s = SPEECH_S * math.exp(random.gauss(0.0, SPEECH_SPREAD))
            speech_s = min(max(speech_s, SHORTEST_S), LONGEST_S)
            file.write(f"u{row:07d},{_text(row, round(speech_s * CHARS_PER_S))}\n")


def _text(row: int, characters: int) -> str:
    text = f"{row} {_WORDS * (characters // len(_WORDS) + 1)}"
    return text[: characters - 1].rstrip() + "."


def _measure(name: str, case: Case, directory: Path) -> dict[str, Any]:
    with Paced(case.manners) as server:
        cost = measure.run(_command(name, case, directory, server.url))
        told = server.told()
    return {**_judge(told.requests, case.manners), "cpu_s": cost.cpu_s, "server_cpu_s": told.cpu_s}


def _command(name: str, case: Case, directory: Path, url: str) -> list[str | Path]:
    manifest, out = directory / MANIFEST, directory / name
    if name == PEER:
        program = [sys.executable, "-m", "benchmarks.gather"]
        return [*program, manifest, out, "--url", url, "--in-flight", f"{case.in_flight}"]
    job = directory / "job.toml"
    settings = {
        "manifest": f"{manifest}",
        "out": f"{out}",
        "provider": "together",
        "endpoint": url,
        "in_flight": case.in_flight,
        "workers": 2 * case.in_flight,
    }
    job.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    return measure.batchtts("run", job, "--quiet")


def _judge(requests: Sequence[Request], manners: Manners) -> dict[str, Any]:
    """What a server's account amounts to."""
    taken = [it for it in requests if it.outcome != REFUSED]
    assert not any(it.outcome == LOST for it in requests), "the job has left before its end"
    begin, end = min(it.came_at for it in taken), max(it.went_at for it in taken)
    drops_at = begin + manners.drops_at_s
    bound_s = _bound_s(taken, begin, manners)
    late_s = sorted(it.went_at - it.came_at - it.meant_s for it in taken)
    judged: dict[str, Any] = {
        "makespan_s": end - begin,
        "bound_s": bound_s,
        "ratio": (end - begin) / bound_s,
        "busy_s": sum(it.meant_s for it in taken),
        "requests": len(requests),
        "refused": (len(requests) - len(taken)) / len(requests),
        "done": sum(it.outcome == DONE for it in taken),
        "late_p99_s": late_s[len(late_s) * 99 // 100],
        "used": [
            round(_busy(taken, at, at + 1.0) / _allowed(at, at + 1.0, drops_at, manners), 3)
            for at in (begin + second for second in range(int(end - begin)))
        ],
    }
    came = sorted(it.came_at for it in taken)
    is_full_at = came[min(manners.limit, len(came)) - 1]
    for name, since, until in (
        ("start", begin, is_full_at),
        ("middle", is_full_at, came[-1]),
        ("end", came[-1], end),
    ):
        idle = _allowed(since, until, drops_at, manners) - _busy(taken, since, until)
        judged[f"idle_{name}_s"] = idle / manners.limit
    if drops_at < end:
        judged["back_s"] = _back_s(taken, drops_at, came[-1], manners.drops_to)
    return judged


def _bound_s(taken: Sequence[Request], begin: float, manners: Manners) -> float:
    """The least time: busy at full limit, and no shorter than the longest request."""
    meant_s = [it.meant_s for it in taken]
    if sum(meant_s) / manners.limit <= manners.drops_at_s:
        return max(sum(meant_s) / manners.limit, *meant_s)
    # What is in flight when the limit drops goes on; nothing else is taken until there
    # is room below the new one.
    drops_at, most = begin + manners.drops_at_s, manners.drops_to
    ends_s = sorted(
        max(0.0, it.came_at + it.meant_s - drops_at) for it in taken if it.came_at < drops_at
    )
    rest_s = sum(it.meant_s for it in taken if it.came_at >= drops_at)
    return manners.drops_at_s + (rest_s + sum(ends_s[-most:])) / most


def _busy(taken: Sequence[Request], since: float, until: float) -> float:
    """Requests in flight, over time."""
    return sum(
        max(0.0, min(it.went_at, until) - max(it.came_at, since))
        for it in taken
        if it.came_at < until and it.went_at > since
    )


def _allowed(since: float, until: float, drops_at: float, manners: Manners) -> float:
    """The same, of what might have been."""
    before_s = max(0.0, min(until, drops_at) - since)
    after_s = max(0.0, until - max(since, drops_at))
    return before_s * manners.limit + after_s * manners.drops_to


def _back_s(taken: Sequence[Request], drops_at: float, until: float, limit: int) -> float:
    """How long after the drop the new limit is used again."""
    step_s = 0.25
    for step in range(int((until - BACK_FOR_S - drops_at) / step_s)):
        since = drops_at + step * step_s
        over = [it for it in taken if it.came_at >= drops_at]
        if _busy(over, since, since + BACK_FOR_S) >= BACK * limit * BACK_FOR_S:
            return step * step_s
    return math.inf


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield "Scheduling: first audio 0.3 s, synthesis at 5 x real time; idle: seconds of the limit"
    yield (
        f"  {'requests at once':30}{'':16}{'took':>9}{'bound':>9}{'ratio':>8}{'refused':>9}"
        f"{'idle: start':>13}{'middle':>8}{'end':>7}{'back':>8}"
    )
    for name, case in found["cases"].items():
        for contender, it in case["contenders"].items():
            back = f"{it['back_s']:6.1f} s" if "back_s" in it else ""
            yield (
                f"  {name:30}{contender:16}{it['makespan_s']:7.1f} s{it['bound_s']:7.1f} s"
                f"{it['ratio']:8.3f}{it['refused']:9.2%}{it['idle_start_s']:11.2f} s"
                f"{it['idle_middle_s']:6.2f} s{it['idle_end_s']:5.2f} s{back}"
            )
