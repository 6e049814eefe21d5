"""The program as its user meets it: commands, a server beside them, what is left on disk.

House rules: every wait has a deadline, every process is ended by its id, nothing
leaves this machine, and no key of whoever runs the tests is seen by what is tested.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

import batchtts

DEADLINE = 60.0  # seconds, for whatever should take a few
COMMAND = [sys.executable, "-m", "batchtts"]
ROOT = Path(batchtts.__file__).parents[1]

#: The voice for tests: quick, and the same on every machine.
TONE = ("--provider", "local", "--voice", "tone")

#: How long the dialects with a quiet window wait for more, in seconds: a server of our
#: own has nothing to add, and a run hears its sessions out for four such windows.
LINGER_S = 0.02
AT_ONCE = ("--option", f"linger_s={LINGER_S}")

#: Columns that two runs of the same work need not agree on.
TIMES = frozenset(
    "attempts characters_sent started_at finished_at queue_s connect_s ttfa_s synth_s wall_s"
    " rtf".split()
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str
    seconds: float


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """Return this environment without what would change a run, and with *extra*."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("BATCHTTS_") or name.endswith("_API_KEY") or name == "COLUMNS")
    }
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **extra}


def ask(
    *arguments: str | Path, here: Path, extra: Mapping[str, str] = {}, deadline: float = DEADLINE
) -> Answer:
    """Run a command in the directory *here* to its end."""
    began_at = time.monotonic()
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=here,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=deadline,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr, time.monotonic() - began_at)


@contextmanager
def started(
    *arguments: str | Path, here: Path, extra: Mapping[str, str] = {}
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command whose standard error goes to the file *here*/stderr; kill it at the end."""
    with (here / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=here,
            env=environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def eventually(holds: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Wait until something holds, and fail if it does not in time."""
    until = time.monotonic() + deadline
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not so within {deadline:g} s")
        time.sleep(0.005)


# ── a server beside it ────────────────────────────────────────────────────────


class Server:
    """`batchtts serve` in a process of its own, and the log that is its witness."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"ws://127.0.0.1:{port}"
        self._log = log
        self._seen = len(self.commits())

    def commits(self) -> list[Row]:
        """What was committed, since the log was begun."""
        return self._logged("commit")

    def finished(self) -> list[Row]:
        """What came to its end, one way or other, since the log was begun."""
        return self._logged("done")

    def _logged(self, event: str) -> list[Row]:
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [row for row in map(json.loads, lines) if row["event"] == event]

    def news(self) -> list[Row]:
        """What was committed since the last call."""
        commits = self.commits()
        news, self._seen = commits[self._seen :], len(commits)
        return news

    def texts(self) -> list[str]:
        """The texts of the news, in alphabetical order."""
        return sorted(row["text"] for row in self.news())

    def speaks(self, manifest: str, *flags: str, here: Path) -> Answer:
        """Run a manifest in *here* with the voice for tests, against this server."""
        return ask("run", manifest, *TONE, "--endpoint", self.url, *flags, here=here)

    def kill(self) -> None:
        """Kill it as the system would."""
        self.process.kill()
        self.process.wait(DEADLINE)


@contextmanager
def serving(
    log: Path,
    *,
    engine: str = "tone",
    port: int = 0,
    key: str | None = None,
    faults: Path | None = None,
) -> Iterator[Server]:
    """Serve until the end of the block; the server ends, too, if this process is killed."""
    flags = ["--port", f"{port}", "--engine", engine, "--log", str(log), "--until-eof"]
    flags += ["--faults", str(faults)] if faults else []
    process = subprocess.Popen(
        [*COMMAND, "serve", *flags],
        env=environment({"BATCHTTS_SERVE_KEY": key} if key else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        greeting = process.stdout.readline().decode()
        try:
            yield Server(process, int(greeting.rpartition(":")[2]), log)
        finally:
            process.terminate()


# ── processes ─────────────────────────────────────────────────────────────────


def descendants(pid: int) -> set[int]:
    """The children of a process, and theirs."""
    children: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children |= {int(child) for child in task.read_text().split()}
    return children.union(*map(descendants, children))


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> float:
    """Send a signal, wait for the end; return the seconds that it took."""
    began_at = time.monotonic()
    process.send_signal(number)
    process.wait(DEADLINE)
    return time.monotonic() - began_at


# ── what is left on disk ──────────────────────────────────────────────────────


def write_csv(path: Path, rows: Mapping[str, str]) -> None:
    """Write a manifest of ids and texts without anything to quote."""
    lines = [f"{row_id},{text}" for row_id, text in rows.items()]
    path.write_text("\n".join(["id,text", *lines, ""]), encoding="utf-8")


def results(out: Path) -> list[Row]:
    """The rows of results.parquet."""
    rows: list[Row] = pq.read_table(out / "results.parquet").to_pylist()
    return rows


def by_id(out: Path, column: str) -> dict[str, Any]:
    """One column of results.parquet, by row id."""
    return {row["id"]: row[column] for row in results(out)}


def lasting(out: Path) -> pa.Table:
    """The results without what depends on when they were made."""
    table = pq.read_table(out / "results.parquet")
    return table.select([name for name in table.column_names if name not in TIMES])


def ledger(out: Path) -> list[Row]:
    """The whole lines of the ledger; one that is being written is left out."""
    path = out / "ledger.jsonl"
    data = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def done(out: Path) -> list[str]:
    """The ids that the ledger calls done, once for every time that it does."""
    return [line["id"] for line in ledger(out) if line.get("status") == "done"]


def audio_files(out: Path) -> set[str]:
    """Every audio file below an output directory, whole or not, as the results name them."""
    return {str(path.relative_to(out)) for path in out.rglob("*") if is_audio(path)}


def is_audio(path: Path) -> bool:
    return path.suffix in {".wav", ".flac", ".part"}


def untrue_lines(out: Path) -> list[str]:
    """The ids that are done as the ledger has it, and whose file is not what it says."""
    newest = {line["id"]: line for line in ledger(out) if "id" in line}
    return [
        row_id
        for row_id, line in newest.items()
        if line["status"] == "done" and not _is_true(line, out / line["path"])
    ]


def _is_true(line: Row, path: Path) -> bool:
    samples, rate = soundfile.read(path, dtype="int16")
    data = path.read_bytes()
    told = (line["frames"], line["sample_rate_hz"], line["bytes"], line["sha256"])
    return told == (len(samples), rate, len(data), sha256(data).hexdigest())


def snapshot(directory: Path) -> dict[str, bytes | None]:
    """Every file below a directory with its content, and every directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


# ── something to say ──────────────────────────────────────────────────────────

WORDS = """
the a one that this every some old new long short quiet bright slow green last river
window letter morning garden voice harbor story winter teacher market road answer light
wheel machine mountain question summer bridge kitchen captain paper number forest song
opened carried remembered followed answered crossed painted noticed kept turned waited
left found wrote slowly again today together beyond under before after without because
""".split()


def sentences(count: int, seed: int = 0) -> dict[str, str]:
    """Return row id → sentence; no two are alike, and each fits into one segment."""
    chance = random.Random(seed)
    found: dict[str, str] = {}
    for number in range(count):
        words = " ".join(chance.choices(WORDS, k=chance.randint(3, 14)))
        found[f"s{number:04}"] = f"{words.capitalize()} {number}."
    return found
