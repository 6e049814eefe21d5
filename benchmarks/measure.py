"""What a process costs, and what a number of such costs amounts to.

Processor time and peak memory are the kernel's own count for the whole process tree.
The peak includes that of the process which starts another (Linux keeps it over an
exec), so nothing here imports anything large.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from batchtts import __version__ as batchtts_version

MIB = 1 << 20
_POLL_S = 0.05

#: The key of a provider that asks for none.
ENVIRONMENT = {"TOGETHER_API_KEY": "replay"}

_PACKAGES = "trio trio-websocket websockets msgspec pybase64 pyarrow soundfile".split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process has used, from its start to its end."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(
    command: Sequence[str | Path],
    *,
    exit_code: int = 0,
    environment: Mapping[str, str] = {},
    stop: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> Cost:
    """Run a command to its end.

    Args:
        exit_code: The only one that is right.
        stop: Called once it runs; may wait for something and send a signal.

    Raises:
        RuntimeError: it ended otherwise.
    """
    began_at = time.monotonic()
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT, **environment},
    )
    try:
        if stop is not None:
            stop(process)
    except BaseException:
        process.kill()
        raise
    finally:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != exit_code:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit status {process.returncode}")
    return Cost(
        wall_s=time.monotonic() - began_at,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_bytes=used.ru_maxrss * 1024,
    )


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Look until it holds; a process that has ended need not be waited for."""
    while not holds() and not _has_ended(process):
        time.sleep(_POLL_S)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Looks without taking the status, which wait4 is for.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def batchtts(*arguments: str | Path) -> list[str | Path]:
    """The command line, by this interpreter."""
    return [sys.executable, "-m", "batchtts", *arguments]


def alternate(names: Sequence[str], rounds: int) -> list[str]:
    """The order of measuring: round by round, every other round backwards."""
    return [name for at in range(rounds) for name in (names if at % 2 == 0 else names[::-1])]


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the medians, each for itself."""
    return Cost(
        wall_s=median(cost.wall_s for cost in costs),
        cpu_s=median(cost.cpu_s for cost in costs),
        peak_bytes=round(median(cost.peak_bytes for cost in costs)),
    )


def machine() -> dict[str, Any]:
    """Say on what this was measured."""
    packages = {"batchtts": batchtts_version}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": packages,
        "load": round(os.getloadavg()[0], 2),
    }
