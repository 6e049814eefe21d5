"""What is found of speech that the server damages: by measuring, by hearing, by a critic.

    python -m benchmarks.heard [--rows 300] [--seed 12] [--dir DIR] [--missed]

Rows of made-up English are spoken by the embedded voice through `batchtts serve`, which
damages every other one, each of its ways in turn. `batchtts run` measures them, `batchtts
verify` hears them, `batchtts verify --mos` asks the critic, too; after each the verdicts
are counted. One attempt each, so that no retry hides what is found. What a run refuses
is found, and is a failed row from then on.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq

from batchtts.server.damage import How
from benchmarks import measure, prose

HOWS = get_args(How)
UNDAMAGED = "undamaged"

#: What was promised: of damaged rows at least, of undamaged ones at most.
CAUGHT = {"measured": 0.60, "and heard": 0.95, "and MOS": 0.98}
FALSE_ALARMS = 0.02

#: Row → verdict, or that it was refused.
Verdicts = Mapping[str, str]


def main() -> None:
    """Speak, damage, judge and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heard")
    parser.add_argument("--rows", type=int, default=300, help="half of them undamaged")
    parser.add_argument("--seed", type=int, default=12, help="of the texts and of the damage")
    parser.add_argument("--dir", type=Path, help="where everything stays")
    parser.add_argument("--missed", action="store_true", help="name the rows that were misjudged")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as root:
        where = options.dir or Path(root)
        where.mkdir(exist_ok=True)
        scripts = list(islice(prose.sentences(options.seed), options.rows))
        hows = [HOWS[it // 2 % len(HOWS)] if it % 2 else UNDAMAGED for it in range(len(scripts))]
        stages, pace = judged(where, scripts, hows, options.seed)
        print(*table(hows, stages), sep="\n")
        print(f"hearing takes one core 1/{pace:.0f} of real time (promised: 1/10)")
        if options.missed:
            print(*missed(where, scripts, hows, list(stages.values())[-1]), sep="\n")


def judged(
    where: Path, scripts: Sequence[str], hows: Sequence[str], seed: int
) -> tuple[dict[str, Verdicts], float]:
    """Return the verdict on each row after each stage, and how fast it was heard.

    That is seconds of audio for each second of processor time, starting up among them.
    """
    manifest, out = where / "rows.csv", where / "out"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows((f"{number:05}", script) for number, script in enumerate(scripts))
    stages: dict[str, Verdicts] = {}
    with serving(where, scripts, hows, seed) as url:
        speaker = ("--provider", "local", "--endpoint", url, "--attempts", "1", "--quiet")
        run = measure.batchtts("run", manifest, "--out", out, *speaker)
        subprocess.run(list(map(str, run)), check=False)  # some rows are refused, as they should be
    stages["measured"] = _verdicts(out)
    began_s = _children_s()
    heard_s = _verify(out)
    pace = heard_s / (_children_s() - began_s)
    stages["and heard"] = _verdicts(out)
    _verify(out, "--mos")
    stages["and MOS"] = _verdicts(out)
    return stages, pace


def _verify(out: Path, *flags: str) -> float:
    """Verify, and return how many seconds were heard."""
    command = map(str, measure.batchtts("verify", out, "--json", *flags))
    done = subprocess.run(list(command), check=False, stdout=subprocess.PIPE)
    return float(json.loads(done.stdout)["heard_s"])


def _children_s() -> float:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def serving(where: Path, scripts: Sequence[str], hows: Sequence[str], seed: int) -> Iterator[str]:
    """Have a server that damages the rows as it is told, at the address that is yielded."""
    told = [f"seed = {seed}"]
    for script, how in zip(scripts, hows, strict=True):
        if how != UNDAMAGED:
            text = script.replace("\\", "\\\\").replace('"', '\\"')
            told.append(f'[[fault]]\nkind = "damage"\nhow = "{how}"\ntext = "{text}"')
    (where / "faults.toml").write_text("\n".join(told), encoding="utf-8")
    command = measure.batchtts("serve", "--port", "0", "--until-eof", "--log", where / "served")
    process = subprocess.Popen(
        [*map(str, command), "--faults", f"{where / 'faults.toml'}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.stdin.close()


def _verdicts(out: Path) -> Verdicts:
    rows = pq.read_table(out / "results.parquet", columns=["id", "status", "verdict"])
    return {
        row["id"]: row["verdict"] if row["status"] == "done" else "refused"
        for row in rows.to_pylist()
    }


def table(hows: Sequence[str], stages: Mapping[str, Verdicts]) -> Iterator[str]:
    """Tell what share of each kind of damage was found, at every stage."""
    kinds = {how.replace("_", " "): [it == how for it in hows] for how in HOWS}
    kinds["**all**"] = [it != UNDAMAGED for it in hows]
    kinds["false alarms"] = [it == UNDAMAGED for it in hows]
    yield _line("", kinds)
    yield "|---" * (1 + len(kinds)) + "|"
    yield _line("rows", [f"{sum(chosen)}" for chosen in kinds.values()])
    for stage, verdicts in stages.items():
        yield _line(stage, [_share(chosen, verdicts) for chosen in kinds.values()])
    last = Counter(list(stages.values())[-1].values())
    yield f"verdicts at the end: {', '.join(f'{n} {it}' for it, n in last.most_common())}"
    promised = ", ".join(f"{stage} {share:.0%}" for stage, share in CAUGHT.items())
    yield f"promised: {promised}; false alarms {FALSE_ALARMS:.0%}"


def _line(name: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join((name, *cells))} |"


def _share(chosen: Sequence[bool], verdicts: Verdicts) -> str:
    rows = [f"{number:05}" for number, is_chosen in enumerate(chosen) if is_chosen]
    found = sum(verdicts[row] != "pass" for row in rows)
    return f"{100 * found / max(len(rows), 1):.3g} %"


def missed(
    where: Path, scripts: Sequence[str], hows: Sequence[str], verdicts: Verdicts
) -> Iterator[str]:
    """Name what was misjudged, and what was heard in it."""
    columns = ["id", "reasons", "wer", "per", "mos", "transcript"]
    for row in pq.read_table(where / "out" / "results.parquet", columns=columns).to_pylist():
        number = int(row["id"])
        how, is_passed = hows[number], verdicts[row["id"]] == "pass"
        if (how == UNDAMAGED) != is_passed:
            yield f"{how} {verdicts[row['id']]} {row}\n    {scripts[number]}"


if __name__ == "__main__":
    main()
