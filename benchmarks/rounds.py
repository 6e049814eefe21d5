"""Contenders in turn, each short and long: the difference is what audio costs.

The rest of a run is starting up and connecting. Ratios are taken round by round, so
that a slow minute of the machine hits both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.frames import RATE_HZ
from benchmarks.replay import Replay, Served

TARGET_DELTA_BYTES = 16_384  # the targets were set for these


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is spoken, and in which pieces.

    Attributes:
        short, long: Utterances per socket in the two runs of a round.
    """

    sockets: int = 64
    short: int = 1
    long: int = 20
    utterance_s: float = 5.0
    delta_bytes: int = 16_384
    context: bool = True
    tls: bool = False

    @property
    def lengths(self) -> tuple[int, int]:
        """Both, the short one first."""
        return self.short, self.long

    @property
    def audio_bytes(self) -> int:
        """Of one utterance."""
        return 2 * round(self.utterance_s * RATE_HZ)

    def hours(self, per_socket: int) -> float:
        """Hours of audio of a run."""
        return self.sockets * per_socket * self.utterance_s / 3600

    def replay(self) -> Replay:
        """A server for it."""
        return Replay(
            utterance_s=self.utterance_s,
            delta_bytes=self.delta_bytes,
            context=self.context,
            tls=self.tls,
        )

    def told(self) -> dict[str, Any]:
        """It, for the findings."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        return (
            f"{self.sockets} sockets{' with TLS' if self.tls else ''}, utterances of"
            f" {self.utterance_s:g} s, deltas of {self.delta_bytes / 1024:g} KiB"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One contender in one round, and what the server did for its long run."""

    short: measure.Cost
    long: measure.Cost
    served: Served

    def per_hour(self, load: Load) -> float:
        """Processor seconds per hour of audio, start-up left out."""
        hours = load.hours(load.long) - load.hours(load.short)
        return (self.long.cpu_s - self.short.cpu_s) / hours

    def startup_s(self, load: Load) -> float:
        """Processor seconds before the first audio: imports, plan, connections."""
        return self.short.cpu_s - self.per_hour(load) * load.hours(load.short)


#: Runs a contender, given by its name, over so many utterances per socket.
Run = Callable[[str, int], measure.Cost]


def play(
    names: Sequence[str], rounds: int, load: Load, server: Replay, run: Run
) -> dict[str, list[Round]]:
    """Run all contenders in turn, each in every round."""
    seen: dict[str, list[Round]] = {name: [] for name in names}
    for name in measure.alternate(names, rounds):
        short = run(name, load.short)
        before = server.served()
        long = run(name, load.long)
        served = server.served().since(before)
        assert served.commits == load.sockets * load.long, served
        seen[name].append(Round(short=short, long=long, served=served))
    return seen


def sum_up(rounds: list[Round], load: Load) -> dict[str, Any]:
    """What one contender costs."""
    long = measure.middle([each.long for each in rounds])
    per_hour = median(each.per_hour(load) for each in rounds)
    return {
        "cpu_s_per_audio_hour": per_hour,
        "each_round": [each.per_hour(load) for each in rounds],
        "cpu_ms_per_utterance": per_hour * load.utterance_s / 3.6,
        "startup_cpu_s": median(each.startup_s(load) for each in rounds),
        "whole_cpu_s": long.cpu_s,
        "wall_s": long.wall_s,
        "peak_mib": long.peak_bytes / measure.MIB,
        "server_cpu_s_per_audio_hour": median(each.served.cpu_s for each in rounds)
        / load.hours(load.long),
        "server_share": median(each.served.cpu_s / each.long.wall_s for each in rounds),
    }


def ratio(ours: list[Round], theirs: list[Round], load: Load) -> float:
    """Ours divided by theirs per hour of audio, the median of the rounds."""
    pairs = zip(ours, theirs, strict=True)
    return median(a.per_hour(load) / b.per_hour(load) for a, b in pairs)


def ratios(seen: Mapping[str, list[Round]], ours: str, load: Load) -> dict[str, float]:
    """Ours divided by each of the others."""
    return {name: ratio(seen[ours], theirs, load) for name, theirs in seen.items() if name != ours}
