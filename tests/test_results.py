from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtts.errors import ManifestChanged, OutputBroken
from batchtts.job.manifest import Manifest, scan
from batchtts.job.plan import Facts, sum_usd
from batchtts.model import Differences, Failure, Heard, Measures, Result, Word
from batchtts.record import disk
from batchtts.record.columns import results_schema
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION as LEDGER_VERSION
from batchtts.record.lines import Header
from batchtts.record.results import Fold
from batchtts.record.store import Layout

VERSION = "0.1.0"
SPOKEN: dict[str, Any] = {
    "fingerprint": "0f" * 16,
    "path": "wav/ch1.wav",
    "text_chars": 16,
    "provider": "together",
    "model": "hexgrad/Kokoro-82M",
    "voice": "af_heart",
    "language": "en-us",
    "sample_rate_hz": 24_000,
    "frames": 48_000,
    "bytes": 96_044,
    "sha256": "ab" * 32,
    "peak_dbfs": -3.5,
    "segments": 1,
    "attempts": 2,
    "started_at": 1_700_000_000.25,
    "finished_at": 1_700_000_001.5,
    "queue_s": 0.0,
    "connect_s": 0.1,
    "ttfa_s": 0.3,
    "synth_s": 0.5,
    "wall_s": 1.25,
    "characters_sent": 16,
    "cost_usd": 0.000064,
}
MEASURES = Measures(1.25, 0.25, 0.25, 0.5, 0.125, -20.0, -70.0, -65.0, 0.0, 0.0001, 2, 1.5)
DIFFERENCES = Differences(
    words=4,
    heard=2,
    units=12,
    wer=0.25,
    cer=0.5,
    per=None,
    found=0.5,
    missing_start=0.0,
    missing_middle=0.0,
    missing_end=6.0,
    added=0.0,
    repeated=0,
)
JUDGED: dict[str, Any] = {
    "verdict": "suspect",
    "reasons": ("too_long",),
    "measures": MEASURES,
    "heard": Heard("ear", "call me", DIFFERENCES),
    "failures": (Failure(1_700_000_000.5, "stalled", "late"),),
}
DONE = Result(id="ch1", status="done", words=(Word("Call", 0.1, 0.4),), **SPOKEN, **JUDGED)
FAILED = Result(
    id="ch2",
    status="failed",
    text_chars=3,
    attempts=4,
    finished_at=1_700_000_002.0,
    characters_sent=12,
    cost_usd=0.5,
    error_code="stalled",
    error_message="no first audio within 20 s",
)


def failed(row_id: str) -> Result:
    return msgspec.structs.replace(FAILED, id=row_id)


@dataclass
class Desk:
    """A folder with a manifest and a ledger, and what is made of them."""

    root: Path
    wanted: Mapping[str, str] = field(default_factory=dict)
    open: ExitStack = field(default_factory=ExitStack)

    def scan(self, table: pa.Table, name: str = "books.parquet") -> Manifest:
        pq.write_table(table, self.root / name)
        return scan(self.root / name, self.wanted)

    def fold(self, manifest: Manifest, *told: Result) -> Fold:
        """A ledger that tells this of the manifest's rows, by their ids."""
        ledger = self.open.enter_context(Ledger.open(self.root / "ledger.jsonl"))
        addresses = ledger.append(told)
        lines = {result.id: address for result, address in zip(told, addresses, strict=True)}
        ids = [row_id for batch in manifest.batches() for row_id in batch.ids]
        spent = {
            row_id: [result for result in told if result.id == row_id]
            for row_id in dict.fromkeys(ids)
        }
        known = Facts.blank(len(ids))
        known.addresses[:] = [lines.get(row_id, -1) for row_id in ids]
        known.is_done[:] = known.addresses >= 0
        known.characters_sent[:] = [sum(it.characters_sent for it in spent[each]) for each in ids]
        known.costs_usd[:] = [
            sum(sum_usd(it.characters_sent, it.cost_usd) for it in spent[each]) for each in ids
        ]
        return Fold(
            manifest=manifest,
            ledger=ledger,
            told=lambda: iter([known.at(slice(8)), known.at(slice(8, None))]),
            layout=Layout(self.root),
            version=VERSION,
        )

    def results(self) -> pa.Table:
        return pq.read_table(self.root / "results.parquet")

    def failed(self) -> Manifest:
        """The failed rows as the next run would read them."""
        return scan(self.root / "failed.parquet", self.wanted)


def without_lines(fold: Fold) -> Fold:
    """The same, when no line counts any more."""
    known = Facts.joined([*fold.told()])
    known.is_done[:] = False
    return replace(fold, told=lambda: iter([known]))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    Layout(tmp_path).scratch.mkdir(parents=True)
    desk = Desk(tmp_path)
    with desk.open:
        yield desk


def table(**columns: object) -> pa.Table:
    return pa.table(columns)


BOOK = table(id=["ch2", "ch1", "ch3"], text=["Two", "Call me Ishmael.", "Three"])


# What the results say


def test_the_results_are_in_the_order_of_the_manifest(desk: Desk) -> None:
    desk.fold(desk.scan(BOOK), DONE, FAILED).write()
    results = desk.results().select(["id", "status", "error_code"]).to_pylist()
    assert results == [
        {"id": "ch2", "status": "failed", "error_code": "stalled"},
        {"id": "ch1", "status": "done", "error_code": None},
        {"id": "ch3", "status": "pending", "error_code": None},
    ]


def test_a_row_that_is_done_says_everything(desk: Desk) -> None:
    desk.fold(desk.scan(BOOK), DONE).write()
    told = SPOKEN | {"id": "ch1", "status": "done", "text": "Call me Ishmael."}
    told |= {"words": [{"text": "Call", "start_s": 0.1, "end_s": 0.4}], "cues": None}
    told |= {"audio_s": 2.0, "rtf": 0.25, "error_code": None, "error_message": None}
    told |= {"takes": 1, "kept_take": 1, "refusals": 0}
    told |= {"verdict": "suspect", "reasons": ["too_long"], "mos": None, "second_wer": None}
    told |= dict.fromkeys(("second_recognizer", "second_transcript", "same_as", "spoken"))
    told |= msgspec.structs.asdict(MEASURES)
    told |= {"recognizer": "ear", "transcript": "call me", "wer": 0.25, "cer": 0.5, "per": None}
    told["failures"] = [
        {"at": datetime.fromtimestamp(1_700_000_000.5, UTC), "code": "stalled", "message": "late"}
    ]
    told["started_at"] = datetime.fromtimestamp(1_700_000_000.25, UTC)
    told["finished_at"] = datetime.fromtimestamp(1_700_000_001.5, UTC)
    del told["fingerprint"], told["frames"]
    assert desk.results().to_pylist()[1] == told


def test_a_row_that_is_pending_says_what_is_known(desk: Desk) -> None:
    desk.fold(desk.scan(BOOK)).write()
    row = desk.results().to_pylist()[2]
    known = {name: value for name, value in row.items() if value not in (None, 0)}
    assert known == {"id": "ch3", "status": "pending", "text": "Three", "text_chars": 5}


def test_every_number_has_a_unit_where_there_is_one() -> None:
    schema = results_schema(pa.schema([]))
    units = msgspec.json.decode(schema.metadata[b"batchtts.units"])
    assert units == {
        "text_chars": "characters",
        "sample_rate_hz": "Hz",
        "audio_s": "s",
        "bytes": "bytes",
        "peak_dbfs": "dBFS",
        "started_at": "UTC",
        "finished_at": "UTC",
        "queue_s": "s",
        "connect_s": "s",
        "ttfa_s": "s",
        "synth_s": "s",
        "wall_s": "s",
        "characters_sent": "characters",
        "cost_usd": "USD",
        "words": "s",
        "cues": "s",
        "speech_s": "s",
        "pause_s": "s",
        "lead_s": "s",
        "tail_s": "s",
        "gap_s": "s",
        "level_dbfs": "dBFS",
        "floor_dbfs": "dBFS",
        "end_dbfs": "dBFS",
    }
    assert units == {
        it.name: it.metadata[b"unit"].decode() for it in schema if it.metadata[b"unit"]
    }
    assert all(it.metadata[b"about"] for it in schema)


def test_units_and_version_are_in_the_file(desk: Desk) -> None:
    desk.fold(desk.scan(BOOK)).write()
    told = pq.read_metadata(desk.root / "results.parquet").metadata
    assert told[b"batchtts.units"] == results_schema(pa.schema([])).metadata[b"batchtts.units"]
    assert msgspec.json.decode(told[b"batchtts"])["batchtts"] == VERSION
    schema = pq.read_schema(desk.root / "results.parquet")
    assert schema.field("ttfa_s").metadata[b"unit"] == b"s"


def test_many_rows_say_what_their_lines_say_and_nothing_of_each_other(desk: Desk) -> None:
    """More rows than are looked up together; of every third the ledger tells nothing."""
    ids = [f"r{i}" for i in range(9000)]
    told = {
        row_id: msgspec.structs.replace(
            DONE if i % 2 else FAILED,
            id=row_id,
            text_chars=i,
            started_at=1_700_000_000 + i / 8,
            cost_usd=i / 4,
            words=(Word(row_id, i, i + 0.5),) if i % 7 == 0 else None,
        )
        for i, row_id in enumerate(ids)
        if i % 3
    }
    texts = [row_id * (i % 4) or None for i, row_id in enumerate(ids)]
    manifest = desk.scan(table(id=ids, text=texts))
    tally = desk.fold(manifest, *reversed(told.values())).write()
    assert dict(tally.status) == {"done": 3000, "failed": 3000, "pending": 3000}
    assert tally.cost_usd == sum(it.cost_usd or 0.0 for it in told.values())
    assert tally.audio_s == sum(it.audio_s or 0.0 for it in told.values())
    names = "id status path text_chars sha256 audio_s rtf attempts segments error_code".split()
    names += "error_message synth_s characters_sent cost_usd".split()
    for row, row_id, text in zip(desk.results().to_pylist(), ids, texts, strict=True):
        it = told.get(row_id) or Result(id=row_id, status="pending", text_chars=len(text or ""))
        assert {name: row[name] for name in names} == {name: getattr(it, name) for name in names}
        assert row["provider"] == (it.provider or None)
        assert row["started_at"] == (it.started_at and datetime.fromtimestamp(it.started_at, UTC))
        assert row["words"] == (it.words and [msgspec.structs.asdict(word) for word in it.words])
    assert desk.failed().rows == 3000


# The manifest's own columns


CARRIED = {
    "chapter": pa.array([1, 2, None], pa.int16()),
    "tags": pa.array([["a"], [], None], pa.list_(pa.string())),
    "place": pa.array([{"x": 1.5, "y": "z"}, None, {"x": None, "y": ""}]),
    "read_at": pa.array([datetime(2026, 1, 2, tzinfo=UTC), None, None], pa.timestamp("ms", "UTC")),
    "kind": pa.array(["prose", "verse", "prose"]).dictionary_encode(),
}


def test_the_columns_of_the_manifest_come_along_with_their_types(desk: Desk) -> None:
    manifest = BOOK
    for name, values in CARRIED.items():
        manifest = manifest.append_column(name, values)
    desk.fold(desk.scan(manifest), DONE, FAILED).write()
    for name, values in CARRIED.items():
        column = desk.results().column(name)
        assert column.to_pylist() == values.to_pylist()
        assert column.type == values.type
    assert desk.failed().schema.field("tags").type == pa.list_(pa.string())


def test_a_column_that_would_hide_one_of_ours_is_renamed(desk: Desk) -> None:
    manifest = BOOK.append_column("status", pa.array(["old"] * 3)).append_column(
        "bytes", pa.array([1, 2, 3])
    )
    desk.fold(desk.scan(manifest), DONE).write()
    results = desk.results()
    assert results.column("manifest_status").to_pylist() == ["old"] * 3
    assert results.column("manifest_bytes").to_pylist() == [1, 2, 3]
    assert results.column("status").to_pylist() == ["pending", "done", "pending"]


def test_no_two_columns_of_the_results_have_one_name(desk: Desk) -> None:
    manifest = BOOK.append_column("status", pa.array(["old"] * 3)).append_column(
        "manifest_status", pa.array(["older"] * 3)
    )
    desk.fold(desk.scan(manifest), DONE).write()
    names = desk.results().column_names
    assert len(names) == len(set(names))
    assert desk.results().column("manifest_status").to_pylist() == ["older"] * 3
    assert desk.results().column("manifest_manifest_status").to_pylist() == ["old"] * 3


def test_results_are_a_manifest_again(desk: Desk) -> None:
    desk.fold(desk.scan(BOOK), DONE).write()
    again = scan(desk.root / "results.parquet")
    assert [(batch.ids, batch.texts) for batch in again.batches()] == [
        (BOOK["id"].to_pylist(), BOOK["text"].to_pylist())
    ]


# The rows that failed


ONE_FAILED = [
    ({}, table(id=["ch1", "ch2"], text=["One", None])),
    ({}, table(id=["ch1", "ch2"], text=["One", "Two"], voice=["a", "b"], language=[None, "en"])),
    ({}, table(id=["ch1", "ch2"], text=["One", "Two"], speed=[1.0, 1.5], model=["m", None])),
    ({}, table(id=["ch1", "ch2"], text=["One", "Two"], error_code=["", "old"], audio_s=[1, 2])),
    ({"id": "utt", "text": "line"}, table(utt=["ch1", "ch2"], line=["One", "Two"], id=[7, 8])),
    ({"id": "word", "text": "word"}, table(word=["ch1", "ch2"])),
    ({"voice": "who", "model": "who"}, table(id=["ch1", "ch2"], text=["1", "2"], who=["x", "y"])),
]


@pytest.mark.parametrize(("wanted", "manifest"), ONE_FAILED)
def test_the_failed_rows_are_a_manifest_that_says_the_same(
    desk: Desk, wanted: dict[str, str], manifest: pa.Table
) -> None:
    desk.wanted = wanted
    first = desk.scan(manifest)
    desk.fold(first, DONE, FAILED).write()
    [before], [after] = first.batches(), desk.failed().batches()
    for values in ("ids", "texts", "voices", "models", "languages", "speeds"):
        assert getattr(after, values) == getattr(before, values)[1:]
    why = pq.read_table(desk.root / "failed.parquet", columns=["error_code", "error_message"])
    assert why.to_pylist() == [
        {"error_code": "stalled", "error_message": "no first audio within 20 s"}
    ]


def test_rows_without_an_id_keep_their_number_when_they_failed(desk: Desk) -> None:
    manifest = desk.scan(table(text=["One", "Two", "Three"]))
    desk.fold(manifest, failed("2")).write()
    [batch] = desk.failed().batches()
    assert (batch.ids, batch.texts) == (["2"], ["Two"])


def test_where_nothing_failed_there_is_no_list_of_failures(desk: Desk) -> None:
    manifest = desk.scan(BOOK)
    desk.fold(manifest, FAILED).write()
    assert (desk.root / "failed.parquet").exists()
    desk.fold(manifest, DONE).write()
    assert not (desk.root / "failed.parquet").exists()


def test_only_what_failed_in_a_large_manifest_is_listed(desk: Desk) -> None:
    ids = [f"u{n}" for n in range(20_000)]
    manifest = desk.scan(table(id=ids, text=ids, n=range(20_000)))
    told = [failed(f"u{n}") for n in (0, 9_999, 19_999)]
    tally = desk.fold(manifest, *told).write()
    assert (tally.rows, dict(tally.status)) == (20_000, {"failed": 3, "pending": 19_997})
    [batch] = desk.failed().batches()
    assert batch.ids == ["u0", "u9999", "u19999"]
    assert batch.carried.column("n").to_pylist() == [0, 9_999, 19_999]


# What they amount to, and for how long it is true


def test_a_tally_counts_every_row(desk: Desk) -> None:
    tally = desk.fold(desk.scan(BOOK), DONE, FAILED).write()
    assert tally.rows == 3
    assert dict(tally.status) == {"done": 1, "failed": 1, "pending": 1}
    assert tally.audio_s == 2.0
    assert tally.cost_usd == pytest.approx(0.500064)


def test_what_was_spent_on_a_row_is_that_of_all_its_runs(desk: Desk) -> None:
    again = msgspec.structs.replace(DONE, id="ch2")
    tally = desk.fold(desk.scan(BOOK), FAILED, again).write()
    row = desk.results().to_pylist()[0]
    assert (row["status"], row["characters_sent"]) == ("done", 28)
    assert row["cost_usd"] == tally.cost_usd == pytest.approx(0.500064)


def test_a_row_that_nothing_was_sent_for_has_no_cost(desk: Desk) -> None:
    desk.fold(desk.scan(BOOK)).write()
    told = desk.results().select(["characters_sent", "cost_usd"]).to_pylist()
    assert told == [{"characters_sent": 0, "cost_usd": None}] * 3


def test_a_row_that_was_dropped_has_cost_what_was_sent(desk: Desk) -> None:
    dropped = Result(id="ch2", status="pending", characters_sent=3, cost_usd=0.25)
    fold = desk.fold(desk.scan(BOOK), dropped)
    tally = without_lines(fold).write()
    row = desk.results().to_pylist()[0]
    assert (row["status"], row["characters_sent"], row["cost_usd"]) == ("pending", 3, 0.25)
    assert (dict(tally.status), tally.cost_usd) == ({"pending": 3}, 0.25)


def test_a_model_without_a_price_has_no_cost_however_much_was_sent(desk: Desk) -> None:
    unpriced = msgspec.structs.replace(DONE, cost_usd=None)
    tally = desk.fold(desk.scan(BOOK), unpriced).write()
    row = desk.results().to_pylist()[1]
    assert (row["characters_sent"], row["cost_usd"]) == (16, None)
    assert (tally.cost_usd, tally.unpriced) == (0.0, 1)


def test_a_row_says_whose_audio_it_has(desk: Desk) -> None:
    shared = Result(
        id="ch3", status="done", same_as="ch1", path="wav/ch3.wav", finished_at=1.0, cost_usd=0.0
    )
    desk.fold(desk.scan(BOOK), DONE, shared).write()
    assert desk.results().column("same_as").to_pylist() == [None, None, "ch1"]
    assert desk.results().to_pylist()[2]["cost_usd"] == 0.0


def test_results_are_current_as_long_as_nothing_changes(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE, FAILED)
    assert fold.tally() is None
    assert fold.tally() is None
    written = fold.write()
    assert fold.tally() is not None
    assert fold.tally() == written


def test_without_the_list_of_failures_they_are_not_current(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE, FAILED)
    fold.write()
    (desk.root / "failed.parquet").unlink()
    assert fold.tally() is None
    fold.write()
    assert (desk.root / "failed.parquet").exists()


def test_a_longer_ledger_makes_them_old(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    fold.ledger.append([Header(ledger=LEDGER_VERSION, manifest="elsewhere")])
    assert fold.tally() is None


def test_rows_that_count_no_more_make_them_old(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    assert without_lines(fold).tally() is None


def test_another_manifest_makes_them_old(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    os.utime(fold.manifest.path, ns=(1, 1))
    assert replace(fold, manifest=scan(fold.manifest.path)).tally() is None
    moved = fold.manifest.path.with_name("moved.parquet")
    fold.manifest.path.rename(moved)
    assert replace(fold, manifest=scan(moved)).tally() is None


def test_another_version_makes_them_old(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    assert replace(fold, version="0.2.0").tally() is None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table", None])
def test_results_that_cannot_be_read_are_written_anew(desk: Desk, content: bytes | None) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    if content is None:
        pq.write_table(BOOK, desk.root / "results.parquet")
    else:
        (desk.root / "results.parquet").write_bytes(content)
    assert fold.tally() is None
    fold.write()
    assert fold.tally() is not None


# Whole files only


def test_a_reader_keeps_the_old_results_while_new_ones_come(desk: Desk) -> None:
    manifest = desk.scan(BOOK)
    desk.fold(manifest, FAILED).write()
    with (desk.root / "results.parquet").open("rb") as reader:
        desk.fold(manifest, DONE).write()
        assert pq.read_table(reader).column("status").to_pylist()[0] == "failed"
    assert desk.results().column("status").to_pylist() == ["pending", "done", "pending"]


@pytest.mark.parametrize("step", ["sync", "rename"])
def test_a_full_disk_leaves_the_old_results(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    before = (desk.root / "results.parquet").read_bytes()
    monkeypatch.setattr(disk, step, full)
    with pytest.raises(OutputBroken, match=r"(?i)no space left on device"):
        fold.write()
    assert (desk.root / "results.parquet").read_bytes() == before


def test_a_manifest_that_changed_under_way_is_never_mixed_in(desk: Desk) -> None:
    fold = desk.fold(desk.scan(BOOK), DONE)
    fold.write()
    before = (desk.root / "results.parquet").read_bytes()
    pq.write_table(BOOK.slice(1), fold.manifest.path)
    with pytest.raises(ManifestChanged):
        fold.write()
    assert (desk.root / "results.parquet").read_bytes() == before


def test_nothing_stays_behind_out_of_sight(desk: Desk) -> None:
    manifest = desk.scan(BOOK)
    for told in (failed("ch2"), DONE):
        desk.fold(manifest, told).write()
        assert list(Layout(desk.root).scratch.iterdir()) == []
