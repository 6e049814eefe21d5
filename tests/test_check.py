from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtts.audit.audit import Audit, occupied
from batchtts.audit.finding import Finding
from batchtts.audit.reading import Reading
from batchtts.audit.repair import Repair
from batchtts.cli import COMMANDS
from batchtts.errors import LedgerBroken, OutputInUse, UsageError
from batchtts.job.settings import Job
from batchtts.model import Result
from batchtts.record import lines, lock, snapshot
from batchtts.record.begun import Begun, Sent
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Entry, Header
from batchtts.record.store import Layout
from batchtts.run.job import run
from batchtts.run.memory import recall
from batchtts.run.summary import Summary
from tests import e2e
from tests.e2e import Server, ask, serving
from tests.entries import told_by

SCRIPTS = e2e.sentences(8) | {"mute": ""}  # the last one is refused
SPOKEN = len(SCRIPTS) - 1

AUDIO = {"audio_missing", "audio_size", "audio_sha256"}

some_of = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@dataclass(frozen=True)
class Made:
    """Output directories of finished jobs, never to be changed, and a place for copies."""

    here: Path
    server: Server
    numbers: Iterator[int]

    def run(self, out: Path, *, snapshot_bytes: int = 1 << 20, rows: int = 99) -> Summary:
        """Run the job, or some rows of it, into a directory."""
        manifest = self.here / f"m{rows}.csv"
        e2e.write_csv(manifest, dict(list(SCRIPTS.items())[:rows]))
        job = self.job(manifest, out)
        return run(msgspec.structs.replace(job, snapshot_bytes=snapshot_bytes), environment={})

    def job(self, manifest: Path, out: Path | None = None) -> Job:
        """A job for the server beside it."""
        where = self.server.url
        return Job(manifest=manifest, out=out, provider="local", voice="tone", endpoint=where)

    def copy(self, name: str = "plain") -> Path:
        """A directory of its own, with times and all."""
        return Path(shutil.copytree(self.here / name, self.here / f"copy{next(self.numbers)}"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One job with a ledger of lines, and one of which some rows are in a snapshot."""
    here = tmp_path_factory.mktemp("made")
    with serving(here / "log") as server:
        made = Made(here, server, count())
        made.run(here / "plain")
        made.run(here / "folded", rows=5, snapshot_bytes=1)
        made.run(here / "folded")
        yield made


def look(out: Path, *, quick: bool = False) -> list[Finding]:
    return list(Audit(Layout(out), quick=quick).findings())


def kinds(out: Path, *, quick: bool = False) -> set[str]:
    return {finding.kind for finding in look(out, quick=quick)}


def repair(out: Path) -> Repair:
    layout = Layout(out)
    with occupied(layout, to_write=True):
        audit = Audit(layout)
        mending = Repair(audit)
        for finding in audit.findings():
            mending.note(finding)
        mending.mend()
    return mending


def sounds(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "wav").iterdir())}


def wavs(out: Path) -> list[Path]:
    return sorted((out / "wav").iterdir())


def flip(path: Path, at: int, mask: int = 0xFF) -> None:
    """Change one byte in its place; the time of the file changes, too."""
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def rot(path: Path, at: int, mask: int = 0xFF) -> None:
    """Change one byte as a failing disk does: nothing tells of it."""
    before = path.stat()
    flip(path, at, mask)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.truncate(at)


def swap(one: Path, other: Path) -> None:
    between = one.with_suffix(".between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def told(ledger: Ledger) -> dict[str, Result]:
    """The last lines of a ledger, by id."""
    addresses = [at for at, it in told_by(ledger) if isinstance(it, Entry) and it.id]
    return {it.id: it for it in ledger.results(addresses) if it is not None}


def is_done(made: Made, out: Path, before: dict[str, bytes]) -> bool:
    """Whether all is as if nothing had happened."""
    assert look(out) == []
    assert sounds(out) == before
    return {row["status"] for row in e2e.results(out)} == {"done", "failed"}


# What is as recorded


@pytest.mark.parametrize("name", ["plain", "folded"])
def test_a_finished_job_is_as_recorded_and_is_left_as_it_is(made: Made, name: str) -> None:
    out = made.copy(name)
    before = e2e.snapshot(out)
    audit = Audit(Layout(out))
    with occupied(Layout(out), to_write=False) as is_held:
        assert is_held
        assert list(audit.findings()) == []
    assert (audit.rows_done, audit.rows_failed, audit.files) == (SPOKEN, 1, SPOKEN)
    assert audit.read_bytes == sum(map(len, sounds(out).values()))
    assert audit.notes == []
    assert e2e.snapshot(out) == before
    assert repair(out).deeds == []
    assert e2e.snapshot(out) == before


def test_flac_is_read_back_too(made: Made, tmp_path: Path) -> None:
    e2e.write_csv(tmp_path / "m.csv", {"a": "Some words."})
    run(msgspec.structs.replace(made.job(tmp_path / "m.csv"), format="flac"), environment={})
    assert look(tmp_path / "m") == []
    rot(tmp_path / "m/flac/a.flac", 60)
    assert [it.kind for it in look(tmp_path / "m")] == ["audio_sha256"]


def test_a_job_of_which_rows_share_audio_is_as_recorded(made: Made, tmp_path: Path) -> None:
    e2e.write_csv(tmp_path / "m.csv", {"a": "Some words.", "b": "Some words.", "B": "Other words."})
    assert run(made.job(tmp_path / "m.csv"), environment={}).shared == 1
    assert look(tmp_path / "m") == []


# The ledger


def every_cut(path: Path, step: int) -> list[int]:
    """Lengths that a ledger may be cut to: every *step* bytes, and about the ends of lines."""
    data = path.read_bytes()
    ends = [at for at, byte in enumerate(data) if byte == ord("\n")]
    near = {at + delta for at in ends for delta in (-1, 0, 1)}
    return sorted(it for it in {*range(0, len(data), step), *near} if it < len(data))


def assert_every_cut_is_found(made: Made, name: str, step: int) -> None:
    out = made.copy(name)
    path = out / "ledger.jsonl"
    whole = path.read_bytes()
    for size in every_cut(path, step):
        path.write_bytes(whole[:size])
        assert look(out, quick=True), f"cut to {size} bytes"
    path.write_bytes(whole)
    assert look(out, quick=True) == []


@pytest.mark.parametrize("name", ["plain", "folded"])
def test_a_ledger_that_was_cut_short_is_found_out(made: Made, name: str) -> None:
    assert_every_cut_is_found(made, name, 41)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "folded"])
def test_a_ledger_that_was_cut_short_anywhere_is_found_out(made: Made, name: str) -> None:
    assert_every_cut_is_found(made, name, 1)


@given(st.sampled_from(["plain", "folded"]), st.randoms(use_true_random=False), st.data())
@some_of
def test_a_changed_byte_of_the_ledger_is_found_and_can_be_mended(
    made: Made, name: str, chance: random.Random, data: st.DataObject
) -> None:
    out = made.copy(name)
    before = sounds(out)
    path = out / "ledger.jsonl"
    at = data.draw(st.integers(0, path.stat().st_size - 1))
    mask = data.draw(st.integers(1, 255))
    flip(path, at, mask)
    found = look(out)
    assert "damaged_line" in {it.kind for it in found} or "torn_tail" in {it.kind for it in found}
    mended = repair(out)
    assert sounds(out) == before
    rest = look(out)
    assert {it.kind for it in rest} <= {"stray_audio"}
    assert len(rest) == mended.left <= 2
    shutil.rmtree(out)


def test_the_line_and_the_row_are_named(made: Made) -> None:
    out = made.copy()
    path = out / "ledger.jsonl"
    told = path.read_bytes().splitlines(keepends=True)
    row_id = json.loads(told[2])["id"]
    flip(path, len(told[0] + told[1]) + 40)
    assert str(look(out)[0]) == f"ledger.jsonl: line 3 is damaged (row {row_id})"


def test_a_line_that_was_cut_short_is_told_from_a_damaged_one(made: Made) -> None:
    out = made.copy()
    before = (out / "ledger.jsonl").read_bytes()
    begins = before.rindex(b"\n", 0, -1) + 1
    cut(out / "ledger.jsonl", begins + 100)
    assert str(look(out)[0]).startswith("ledger.jsonl: its last line is cut short after 100 bytes")
    assert "damaged_line" not in kinds(out)
    assert repair(out).deeds[0] == "the torn end of the ledger was cut off"
    assert look(out) == []
    assert (out / "ledger.jsonl").read_bytes().startswith(before[:begins])
    assert not (out / ".batchtts/damaged.jsonl").exists()


def test_a_damaged_line_about_a_row_that_was_done_later_costs_nothing(made: Made) -> None:
    out = made.copy()
    with Ledger.open(out / "ledger.jsonl") as ledger:
        results = told(ledger)
        told_before = msgspec.structs.replace(results["s0001"], status="failed")
        [address] = ledger.append([told_before])
        ledger.append([results["s0001"]])
    flip(out / "ledger.jsonl", address + 30)
    (out / "results.parquet").unlink()
    assert kinds(out) == {"damaged_line"}
    assert repair(out).left == 0
    assert look(out) == []
    assert made.run(out).spoken == 0


def test_a_ledger_without_a_header_is_given_one(made: Made) -> None:
    out = made.copy()
    path = out / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert {"no_header"} < kinds(out) | {"results_newer"}
    assert repair(out).left == 0
    assert look(out) == []
    with Ledger.peek(path) as ledger:
        found = [it for _, it in told_by(ledger) if isinstance(it, Entry) and it.ledger]
    [manifest] = [it.manifest for it in found]
    assert manifest == str((made.here / "m99.csv").resolve())


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_a_ledger_of_another_version_is_not_touched(made: Made, version: int) -> None:
    out = made.copy()
    path = out / "ledger.jsonl"
    path.write_bytes(lines.encode(Header(ledger=version, manifest="m.csv")))
    with pytest.raises(LedgerBroken, match=f"ledger {version}"):
        repair(out)
    assert path.read_bytes() == lines.encode(Header(ledger=version, manifest="m.csv"))


@pytest.mark.parametrize("text", ["a poem\nof two lines\n", "a poem"])
def test_what_is_no_ledger_is_not_touched(made: Made, text: str) -> None:
    out = made.copy()
    (out / "ledger.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(LedgerBroken, match="no line of it"):
        repair(out)
    assert (out / "ledger.jsonl").read_text(encoding="utf-8") == text


# The snapshot


def snapshot_of(out: Path) -> Path:
    [path] = out.glob("ledger-*.parquet")
    return path


@given(st.data())
@settings(some_of, max_examples=8)
def test_a_damaged_snapshot_is_found_and_what_it_has_is_kept(
    made: Made, data: st.DataObject
) -> None:
    out = made.copy("folded")
    before = sounds(out)
    path = snapshot_of(out)
    at = data.draw(st.integers(0, path.stat().st_size - 1))
    is_cut = data.draw(st.booleans())
    if is_cut:
        cut(path, at)
    else:
        flip(path, at, data.draw(st.integers(1, 255)))
    assert "damaged_snapshot" in kinds(out)
    mended = repair(out)
    assert sounds(out) == before
    rest = look(out)
    assert {it.kind for it in rest} <= {"stray_audio"}
    assert len(rest) == mended.left
    again = made.run(out)
    assert again.spoken == mended.left
    assert is_done(made, out, before)
    shutil.rmtree(out)


def test_a_snapshot_that_is_gone_is_found(made: Made) -> None:
    out = made.copy("folded")
    before = sounds(out)
    snapshot_of(out).unlink()
    assert "damaged_snapshot" in kinds(out)
    repair(out)
    assert made.run(out).spoken == 5
    assert is_done(made, out, before)


def test_a_snapshot_whose_ledger_has_lost_its_first_lines_is_kept(made: Made) -> None:
    out = made.copy("folded")
    before = sounds(out)
    path = out / "ledger.jsonl"
    heads = len(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    with path.open("r+b") as file:
        file.write(bytes(heads))
    assert "damaged_line" in kinds(out)
    assert repair(out).left == 0
    assert made.run(out).spoken == 0
    assert is_done(made, out, before)


@pytest.mark.parametrize("with_byte", [b"\n", b"\r"])
def test_a_snapshot_survives_a_break_in_the_line_that_names_it(
    made: Made, with_byte: bytes
) -> None:
    out = made.copy("folded")
    before = sounds(out)
    with (out / "ledger.jsonl").open("r+b") as file:
        file.seek(20)
        file.write(with_byte)
    assert "damaged_line" in kinds(out)
    assert made.run(out).spoken == 0
    assert is_done(made, out, before)


def make_long(out: Path, rows: int) -> list[int]:
    """A folded ledger of rows without audio; return where its row groups begin in the file."""
    with Ledger.open(out / "ledger.jsonl") as ledger:
        head = Header(ledger=VERSION, manifest="m.csv")
        some = [Result(id=f"r{i:06}", status="failed", error_code="x") for i in range(rows)]
        told = ledger.append([head, *some])[1:]
        ledger.fold(head, ((address, 1, 0.5) for address in told))
    metadata = pq.read_metadata(snapshot_of(out))
    line = len(snapshot.SCHEMA) - 1
    columns = [metadata.row_group(it).column(line) for it in range(metadata.num_row_groups)]
    return [it.data_page_offset for it in columns]


@pytest.mark.parametrize("is_folded", [False, True], ids=["lines", "snapshot"])
def test_a_price_that_is_not_known_is_read_as_a_run_reads_it(
    tmp_path: Path, is_folded: bool
) -> None:
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        row = Result(id="ch1", status="failed", characters_sent=16, cost_usd=0.5)
        unpriced = msgspec.structs.replace(row, id="ch2", cost_usd=None)
        head = Header(ledger=VERSION, manifest="m.csv")
        ledger.append([head, row, unpriced])
        if is_folded:
            ledger.fold(head, recall(ledger).past.in_order())
        read, recalled = Reading.of(tmp_path / "ledger.jsonl", ledger).past, recall(ledger).past
    assert sorted(map(str, read.costs_usd)) == ["0.5", "nan"]
    np.testing.assert_array_equal(read.costs_usd, recalled.costs_usd)


def test_of_a_damaged_snapshot_all_other_row_groups_are_kept(tmp_path: Path) -> None:
    rows = 2 * snapshot.GROUP_ROWS + 10
    begins = make_long(tmp_path, rows)
    flip(snapshot_of(tmp_path), begins[1] + 2000)
    [found] = look(tmp_path)
    assert found.kind == "damaged_snapshot"
    assert f"{snapshot.GROUP_ROWS:,} of its rows are lost" in found.message
    repair(tmp_path)
    assert look(tmp_path) == []
    assert snapshot_of(tmp_path).name == "ledger-000002.parquet"
    with Ledger.peek(tmp_path / "ledger.jsonl") as ledger:
        kept = pa.Table.from_batches(ledger.folded()).to_pydict()
    assert len(kept["id"]) == rows - snapshot.GROUP_ROWS
    assert sum(kept["cost_usd"]) == 0.5 * len(kept["id"])
    assert kept["id"][snapshot.GROUP_ROWS] == f"r{2 * snapshot.GROUP_ROWS:06}"


# Audio


@given(st.data())
@some_of
def test_a_byte_of_audio_that_rots_is_found(made: Made, data: st.DataObject) -> None:
    out = made.copy()
    path = data.draw(st.sampled_from(wavs(out)))
    rot(path, data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.integers(1, 255)))
    [found] = look(out)
    assert (found.kind, found.path, found.row_id) == (
        "audio_sha256",
        f"wav/{path.name}",
        path.stem,
    )
    assert look(out, quick=True) == []
    shutil.rmtree(out)


@given(st.data())
@some_of
def test_audio_that_was_cut_short_is_found_even_in_a_hurry(made: Made, data: st.DataObject) -> None:
    out = made.copy()
    path = data.draw(st.sampled_from(wavs(out)))
    cut(path, data.draw(st.integers(0, path.stat().st_size - 1)))
    for quick in (False, True):
        assert [(it.kind, it.row_id) for it in look(out, quick=quick)] == [
            ("audio_size", path.stem)
        ]
    shutil.rmtree(out)


def test_audio_that_is_gone_or_another_rows_is_found(made: Made) -> None:
    out = made.copy()
    first, second, third, *_ = wavs(out)
    swap(first, second)
    third.unlink()
    found = {it.row_id: it.kind for it in look(out)}
    assert set(found) == {first.stem, second.stem, third.stem}
    assert found[third.stem] == "audio_missing"
    assert {found[first.stem], found[second.stem]} <= {"audio_sha256", "audio_size"}


def rewrite(out: Path, row_id: str, **changes: object) -> None:
    """Add a whole line about a row that says something else."""
    with Ledger.open(out / "ledger.jsonl") as ledger:
        results = told(ledger)
        ledger.append([msgspec.structs.replace(results[row_id], **changes)])
    (out / "results.parquet").unlink(missing_ok=True)


def test_audio_must_have_the_length_that_the_ledger_says(made: Made) -> None:
    out = made.copy()
    rewrite(out, "s0002", frames=7)
    [found] = look(out)
    assert (found.kind, found.row_id) == ("audio_samples", "s0002")


def test_two_rows_cannot_have_one_path(made: Made) -> None:
    out = made.copy()
    before = sounds(out)
    with Ledger.open(out / "ledger.jsonl") as ledger:
        results = told(ledger)
        ledger.append([msgspec.structs.replace(results["s0001"], id="other")])
    assert {it.kind: it.row_id for it in look(out)} == {
        "audio_shared": "other",
        "results_older": None,
    }
    assert repair(out).left == 0
    assert look(out) == []
    assert made.run(out).spoken == 0
    assert sounds(out) == before


# Files that nobody needs


def test_what_is_not_batchttss_is_listed_and_stays(made: Made) -> None:
    out = made.copy()
    shutil.copy(wavs(out)[0], out / "wav/mine.wav")
    [found] = look(out)
    assert (found.kind, found.path, found.can_mend) == ("stray_audio", "wav/mine.wav", False)
    assert repair(out).left == 1
    assert (out / "wav/mine.wav").exists()


def test_what_batchtts_left_behind_is_removed(made: Made) -> None:
    out = made.copy()
    (out / ".batchtts/tmp").mkdir(exist_ok=True)
    left = [".batchtts/tmp/7.part", "ledger.jsonl.part", "ledger-000099.parquet"]
    rewrite(out, "s0003", status="failed", error_code="truncated")
    for name in left:
        (out / name).write_bytes(b"half")
    found = look(out)
    assert {it.path for it in found} == {*left, "wav/s0003.wav"}
    assert all(it.can_mend for it in found)
    repair(out)
    assert look(out) == []
    assert not (out / "wav/s0003.wav").exists()
    assert len(wavs(out)) == SPOKEN - 1


def test_audio_that_was_taken_back_is_left_to_the_next_run(made: Made) -> None:
    out = made.copy()
    rewrite(out, "s0003", status="pending")
    audit = Audit(Layout(out))
    assert list(audit.findings()) == []
    assert audit.notes == [
        "1 rows were dropped or taken back; a run speaks those that its manifest has",
        "the next run removes 1 files of such rows",
    ]


def test_takes_of_a_killed_run_are_told_and_are_no_error(made: Made) -> None:
    out = made.copy()
    shutil.copy(wavs(out)[0], out / "wav/new.wav")
    with Begun(out / ".batchtts/begun.jsonl") as begun:
        begun.note([Sent(take="abcd-9", id="new", path="wav/new.wav", characters_sent=9)])
    audit = Audit(Layout(out))
    assert list(audit.findings()) == []
    assert audit.notes == ["a run was killed with 1 rows under way; the next accounts for them"]


# What is made from the ledger


def edit(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the rows of a table, and nothing that it says of itself."""
    table = pq.read_table(path)
    schema = table.schema.with_metadata(pq.read_metadata(path).metadata)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=schema), path)


def with_another(column: str, value: object) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda rows: [row | {column: value} if row["id"] == "s0004" else row for row in rows]


EDITS: dict[str, Any] = {
    "status": "failed",
    "path": "wav/s0005.wav",
    "voice": "somebody",
    "model": "something",
    "bytes": 3,
    "sha256": "00" * 32,
    "error_code": "stalled",
    "cost_usd": 7.0,
    "characters_sent": 1,
    "words": [{"text": "no", "start_s": 0.0, "end_s": 1.0}],
}


@pytest.mark.parametrize("column", EDITS)
@pytest.mark.parametrize("name", ["plain", "folded"])
def test_results_that_were_edited_are_found(made: Made, name: str, column: str) -> None:
    out = made.copy(name)
    edit(out / "results.parquet", with_another(column, EDITS[column]))
    found = look(out)
    assert ("results_differ", "s0004") in {(it.kind, it.row_id) for it in found}
    assert {it.path for it in found} <= {"results.parquet", "failed.parquet"}
    repair(out)
    assert look(out) == []
    assert made.run(out).spoken == 0
    assert is_done(made, out, sounds(made.here / name))


@pytest.mark.parametrize("change", [lambda rows: rows[1:], lambda rows: [*rows[1:], rows[1]]])
def test_rows_taken_from_the_results_or_put_there_twice_are_found(
    made: Made, change: Callable[[Any], Any]
) -> None:
    out = made.copy()
    edit(out / "results.parquet", change)
    assert kinds(out) == {"results_damaged"}


@pytest.mark.parametrize("name", ["plain", "folded"])
def test_a_cost_that_nobody_knows_is_no_finding(made: Made, name: str) -> None:
    out = made.copy(name)
    with Ledger.open(out / "ledger.jsonl") as ledger:
        last = [it for it in told(ledger).values() if it.status == "done"]
        spent = (msgspec.structs.replace(it, cost_usd=None, characters_sent=5) for it in last)
        ledger.append(spent)
    made.run(out)
    assert None in e2e.by_id(out, "cost_usd").values()
    assert look(out) == []


def test_results_that_cannot_be_read_are_found(made: Made) -> None:
    out = made.copy()
    size = (out / "results.parquet").stat().st_size
    for at in (0, size // 2, size - 10, size - 1):
        cut(out / "results.parquet", at)
        assert kinds(out) == {"results_damaged"}
        shutil.copy(made.here / "plain/results.parquet", out)
    pq.write_table(pa.table({"id": ["s0001"]}), out / "results.parquet")
    assert kinds(out) == {"results_damaged"}


def test_results_that_are_gone_are_no_finding(made: Made) -> None:
    out = made.copy()
    (out / "results.parquet").unlink()
    assert look(out) == []
    (out / "failed.parquet").unlink()
    assert look(out) == []


def test_results_of_another_ledger_are_found(made: Made) -> None:
    longer, shorter = made.copy("plain"), made.copy("folded")
    made.run(made.here / "short", rows=3)
    shutil.copy(made.here / "short/results.parquet", longer)
    assert "results_older" in kinds(longer)
    out = made.copy("short")
    shutil.copy(shorter / "results.parquet", out)
    assert "results_newer" in kinds(out)


def test_results_that_are_older_than_the_ledger_stay(made: Made) -> None:
    out = made.copy()
    before = (out / "results.parquet").read_bytes()
    with Ledger.open(out / "ledger.jsonl") as ledger:
        ledger.append([Result(id="s0001", status="pending", path="wav/s0001.wav")])
    assert kinds(out) == {"results_older"}
    assert repair(out).left == 1
    assert (out / "results.parquet").read_bytes() == before


def test_failed_rows_are_those_of_the_results(made: Made) -> None:
    out = made.copy()
    edit(out / "failed.parquet", lambda rows: [row | {"error_code": "other"} for row in rows])
    assert kinds(out) == {"failed_differ"}
    shutil.copy(made.here / "plain/failed.parquet", out)
    edit(out / "failed.parquet", lambda rows: [row | {"id": "s0001"} for row in rows])
    assert kinds(out) == {"failed_differ"}
    edit(out / "failed.parquet", lambda rows: [])
    assert kinds(out) == {"failed_differ"}
    (out / "failed.parquet").unlink()
    assert kinds(out) == {"failed_differ"}
    repair(out)
    made.run(out)
    assert look(out) == []
    assert (out / "failed.parquet").exists()


def test_a_summary_that_cannot_be_read_is_found(made: Made) -> None:
    out = made.copy()
    cut(out / "summary.json", 20)
    assert kinds(out) == {"summary_damaged"}
    repair(out)
    assert look(out) == []


# What the next run mends by itself


@pytest.mark.parametrize("hurt", ["flipped", "cut", "removed", "swapped"])
def test_a_run_speaks_exactly_the_rows_whose_audio_was_hurt(made: Made, hurt: str) -> None:
    out = made.copy()
    before = sounds(out)
    first, second, *_ = wavs(out)
    if hurt == "removed":
        first.unlink()
    elif hurt == "swapped":
        swap(first, second)
    else:
        (flip if hurt == "flipped" else cut)(first, 2000)
    found = {it.row_id for it in look(out)}
    again = made.run(out)
    assert again.spoken == len(found) == (2 if hurt == "swapped" else 1)
    assert is_done(made, out, before)


def test_what_rots_without_a_trace_is_mended_by_a_repair_and_a_run(made: Made) -> None:
    out = made.copy()
    before = sounds(out)
    rot(wavs(out)[0], 2000)
    assert made.run(out).spoken == 0
    assert repair(out).left == 0
    assert look(out) == []
    assert made.run(out).spoken == 1
    assert is_done(made, out, before)


def hurt_ledger(path: Path, chance: random.Random) -> None:
    """Cut it, or change some of its bytes."""
    size = path.stat().st_size
    if chance.random() < 0.3:
        cut(path, chance.randrange(size))
        return
    for _ in range(chance.choice([1, 1, 1, 3])):
        flip(path, chance.randrange(size), chance.randrange(1, 256))


def hurt_audio(paths: Sequence[Path], chance: random.Random) -> int:
    """Hurt the audio of some rows; return of how many."""
    hurt = chance.sample(paths, chance.randint(0, 3))
    for path in hurt:
        size = path.stat().st_size
        if (how := chance.randrange(3)) == 0:
            path.unlink()
        else:
            (flip if how == 1 else cut)(path, size // 2)
    return len(hurt)


def assert_a_run_mends(made: Made, name: str, seed: int) -> None:
    chance = random.Random(seed)
    out = made.copy(name)
    before = sounds(out)
    audio = hurt_audio(wavs(out), chance)
    untold = 0
    if chance.random() < 0.7:
        whole = (out / "ledger.jsonl").read_bytes().splitlines()
        hurt_ledger(out / "ledger.jsonl", chance)
        kept = (out / "ledger.jsonl").read_bytes().splitlines()
        untold = (Counter(whole) - Counter(kept)).total()
    assert bool(look(out)) == bool(audio or untold)
    again = made.run(out)
    assert again.spoken <= audio + untold
    assert is_done(made, out, before)
    shutil.rmtree(out)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_mends_what_was_hurt(made: Made, seed: int) -> None:
    assert_a_run_mends(made, ["plain", "folded"][seed % 2], seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_a_run_mends_whatever_was_hurt(made: Made, seed: int) -> None:
    assert_a_run_mends(made, ["plain", "folded"][seed % 2], seed)


def test_a_run_gives_a_ledger_without_a_header_one_even_if_nothing_is_to_do(made: Made) -> None:
    out = made.here / "whole"
    made.run(out, rows=SPOKEN)
    flip(out / "ledger.jsonl", 30)
    assert {"no_header", "damaged_line"} <= kinds(out)
    assert made.run(out, rows=SPOKEN).spoken == 0
    assert look(out) == []


def test_a_run_goes_on_after_an_id_that_is_no_text_any_more(made: Made) -> None:
    out = made.copy()
    before = sounds(out)
    data = (out / "ledger.jsonl").read_bytes()
    (out / "ledger.jsonl").write_bytes(data.replace(b'{"id":"s0002"', b'{"id":"s\xa9002"', 1))
    assert "damaged_line" in kinds(out)
    assert made.run(out).spoken == 1
    assert is_done(made, out, before)


def test_a_run_writes_results_anew_whose_seal_is_no_text_any_more(made: Made) -> None:
    out = made.copy()
    path = out / "results.parquet"
    flip(path, path.read_bytes().index(b'"manifest":"') + len('"manifest":"'))
    assert kinds(out) == {"results_damaged"}
    made.run(out)
    assert look(out) == []


# The command


def test_it_is_told_in_lines_and_in_figures(made: Made) -> None:
    out = made.copy()
    size = sum(map(len, sounds(out).values()))
    whole = ask("check", out, here=made.here)
    assert (whole.status, whole.err) == (0, "")
    assert whole.out.startswith(f"{SPOKEN} rows done, {SPOKEN} files read, ")
    assert whole.out.endswith(": all as recorded\n")
    wavs(out)[0].unlink()
    hurt = ask("check", out, here=made.here)
    assert hurt.status == 3
    assert hurt.out.splitlines()[0] == "wav/s0000.wav: not there (row s0000)"
    assert hurt.out.splitlines()[1].endswith(": 1 finding")
    told = ask("check", out, "--json", here=made.here)
    assert told.status == 3
    facts = json.loads(told.out)
    assert facts["bytes"] < size
    assert facts["findings"] == [
        {
            "kind": "audio_missing",
            "path": "wav/s0000.wav",
            "row_id": "s0000",
            "message": "not there",
        }
    ]
    mended = ask("check", out, "--repair", here=made.here)
    assert mended.status == 0
    assert "repaired: 1 rows were taken back; the next run speaks them" in mended.out
    assert "1 finding, all mended" in mended.out


def test_there_must_be_a_ledger(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError), occupied(Layout(path), to_write=True):
            pass
    assert list(tmp_path.iterdir()) == []
    assert ask("check", "none", here=tmp_path).status == 2


def test_a_run_that_has_the_directory_is_not_disturbed(made: Made) -> None:
    out = made.copy()
    (out / ".batchtts/tmp").mkdir(exist_ok=True)
    (out / ".batchtts/tmp/1.part").write_bytes(b"half")
    with lock.hold(out / ".batchtts", shown_as=out):
        assert ask("check", out, "--repair", here=made.here).status == 11
    with occupied(Layout(out), to_write=False), pytest.raises(OutputInUse):
        made.run(out)
    assert (out / ".batchtts/tmp/1.part").exists()


def test_a_ledger_from_the_future_is_no_finding(made: Made) -> None:
    out = made.copy()
    newer = lines.encode(Header(ledger=VERSION + 1, manifest="m.csv"))
    (out / "ledger.jsonl").write_bytes(newer)
    assert ask("check", out, here=made.here).status == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_directory_that_cannot_be_written_can_be_checked(made: Made) -> None:
    out = made.copy()
    (out / ".batchtts/lock").unlink(missing_ok=True)
    for folder in (out / ".batchtts", out):
        folder.chmod(0o555)
    try:
        with occupied(Layout(out), to_write=False) as is_held:
            assert not is_held
            assert look(out) == []
    finally:
        for folder in (out, out / ".batchtts"):
            folder.chmod(0o755)


def test_it_is_a_command_among_the_others() -> None:
    assert "check" in COMMANDS


def test_a_sound_file_that_was_never_one_is_told(made: Made) -> None:
    out = made.copy()
    data = np.random.default_rng(0).bytes(3000)
    (out / "wav/s0001.wav").write_bytes(data)
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(str(out / "wav/s0001.wav"))
    rewrite(out, "s0001", bytes=len(data), sha256=sha256(data).hexdigest())
    [found] = look(out)
    assert (found.kind, found.row_id) == ("audio_unreadable", "s0001")
