"""A job, run in this process, and how late its event loop was: a line of JSON."""

from __future__ import annotations

import argparse
import functools
import gc
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from batchtts.job.settings import Job
from batchtts.run.job import run
from benchmarks import stalls
from benchmarks.crowd import GC_OBJECTS


def _watch(run_loop: Callable[..., object], late_s: list[float]) -> Callable[..., object]:
    """Return a way to run a loop in which one more task looks how late it is."""

    @functools.wraps(run_loop)
    def watched(main: Callable[..., Awaitable[object]], *arguments: object) -> object:
        async def both() -> object:
            trio.lowlevel.spawn_system_task(stalls.watch_trio, late_s)
            return await main(*arguments)

        return run_loop(both)

    return watched


def main() -> None:
    """Run a job against an endpoint."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watched", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--sockets", type=int, default=64)
    options = parser.parse_args()
    job = Job(
        manifest=options.manifest,
        out=options.out,
        provider="together",
        endpoint=options.url,
        workers=options.sockets,
    )
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)
    late_s: list[float] = []
    trio.run = _watch(trio.run, late_s)  # type: ignore[assignment]  # no door for a watcher
    summary = run(job)
    assert not summary.exit_code, summary
    print(json.dumps(stalls.sum_up(late_s)))


if __name__ == "__main__":
    main()
