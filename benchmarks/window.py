"""What the quiet window costs: the same job with it and without.

Together says when an item ends and never when a commit does, so a socket is held
for half a second after the last `done`, in case another item follows. The request
is not in flight any more by then: the window costs sockets, and where there are
more of those than requests in flight, no throughput.

Each row takes the provider about a second in which it does nothing but wait, so
that the requests in flight are what limits a run, and not this machine. How long
it took is the provider's own witness: from the first commit to the last `done`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.cost import write_manifest

WITH = "with the window, 8 sockets"
WITHOUT = "without, 8 sockets"
FEW = "with the window, 4 sockets"

IN_FLIGHT = 4
_TEXT = "Row {:07d} ends."  # 17 whistles of 60 ms: three deltas and a `done`
_MESSAGES = 4
_REQUEST_S = 1.0
_GREETING = "listening on "


def compare(where: Path, *, rows: int, rounds: int, few: bool) -> dict[str, Any]:
    """Run the contenders in turn, each in every round.

    Args:
        few: Also with as many sockets as requests in flight, where the window
            must cost what it lasts.
    """
    manifest = write_manifest(where / "rows.csv", rows, _TEXT)
    names = [WITH, WITHOUT, *([FEW] if few else [])]
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    log = where / "log"
    with _serving(where, log) as url:
        for number, name in enumerate(measure.alternate(names, rounds)):
            job = _write_job(where / f"{number}.toml", name, manifest, url)
            begin = log.stat().st_size
            cost = measure.run(measure.batchtts("run", job, "--quiet"))
            seen[name].append({"wall_s": cost.wall_s, **_witnessed(log, begin, rows)})
    medians = {
        name: {key: median(each[key] for each in found) for key in found[0]}
        for name, found in seen.items()
    }
    pairs = zip(seen[WITH], seen[WITHOUT], strict=True)
    return {
        "rows": rows,
        "rounds": rounds,
        "in_flight": IN_FLIGHT,
        "contenders": medians,
        "ratio": median(ours["span_s"] / theirs["span_s"] for ours, theirs in pairs),
    }


@contextmanager
def _serving(where: Path, log: Path) -> Iterator[str]:
    """The address of our own server, which waits before each message."""
    faults = where / "slow.toml"
    pause_s = _REQUEST_S / _MESSAGES
    faults.write_text(f'[[fault]]\nkind = "slow"\nprobability = 1.0\nseconds = {pause_s}\n')
    flags: list[str | Path] = ["--port", "0", "--engine", "tone", "--until-eof"]
    flags += ["--log", log, "--faults", faults]
    process = subprocess.Popen(
        list(map(str, measure.batchtts("serve", *flags))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().removeprefix(_GREETING)
        process.communicate()


def _write_job(path: Path, name: str, manifest: Path, url: str) -> Path:
    settings = {
        "manifest": str(manifest),
        "out": str(path.with_suffix("")),
        "provider": "together",
        "endpoint": url,
        "workers": IN_FLIGHT if name == FEW else 2 * IN_FLIGHT,
        "in_flight": IN_FLIGHT,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    options = ["[options]", "linger_s = 0"] if name == WITHOUT else []
    path.write_text("\n".join([*lines, *options, ""]))
    return path


def _witnessed(log: Path, begin: int, rows: int) -> dict[str, float]:
    """What the server has written since its log was so many bytes long."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = [json.loads(line) for line in file]
    commits = [line["time"] for line in lines if line["event"] == "commit"]
    done = [line for line in lines if line["outcome"] == "spoken"]
    assert len(commits) == len(done) == rows, f"{len(commits)} commits, {len(done)} spoken"
    return {
        "span_s": max(line["time"] for line in done) - min(commits),
        "request_s": median(line["seconds"] for line in done),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    rows, in_flight = found["rows"], found["in_flight"]
    yield (
        f"The quiet window: {rows} rows of {_REQUEST_S:g} s at the provider, {in_flight} requests"
        f" in flight, {found['rounds']} rounds"
    )
    yield f"  {'':32}{'per s':>9}{'a request':>11}{'all':>8}{'wall':>8}"
    for name, it in found["contenders"].items():
        yield (
            f"  {name:32}{rows / it['span_s']:9.2f}{it['request_s']:9.2f} s"
            f"{it['span_s']:6.1f} s{it['wall_s']:6.1f} s"
        )
    yield f"  {'as the requests in flight allow':32}{in_flight / _REQUEST_S:9.2f}"
    yield f"  with the window it takes {found['ratio']:.2f} x as long as without"
