"""What is read of many rows at once is what is read of each for itself."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.job.manifest import scan
from batchtts.job.plan import short
from batchtts.job.settings import load
from batchtts.job.speaker import choose_speaker
from batchtts.run.agenda import LONGEST_CHARS, Agenda
from batchtts.run.memory import recall
from batchtts.run.survey import survey

texts = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.sampled_from(["Alpha.", "été", "Ш", "…!", " \n", "_", "x" * (LONGEST_CHARS + 1)]),
)
cells = {
    "text": texts,
    "voice": st.sampled_from([None, "tone", "pico_us", "nobody", " "]),
    "model": st.sampled_from([None, "tone", "other"]),
    "language": st.sampled_from([None, "en-us", "xx"]),
    "speed": st.sampled_from([None, 1.0, 0.5, 2.25]),
}
names = st.sets(st.sampled_from(["voice", "model", "language", "speed"])).map(sorted)
tables = names.flatmap(
    lambda chosen: st.lists(
        st.fixed_dictionaries({name: cells[name] for name in ["text", *chosen]}), min_size=1
    )
)


def surveyed(path: Path, rows: list[dict[str, object]]) -> Agenda:
    kinds = {name: pa.float64() if name == "speed" else pa.string() for name in rows[0]}
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(kinds)), path)
    job = load(path, {"provider": "local", "voice": "tone", "speed": 1.5})
    speaker = choose_speaker(job, {}, has_hibari=True)
    return survey(job, speaker, scan(path), recall(None))


@settings(deadline=None)
@given(tables)
def test_rows_are_read_together_as_they_are_one_by_one(rows: list[dict[str, object]]) -> None:
    with TemporaryDirectory() as folder:
        agenda = surveyed(Path(folder, "m.parquet"), rows)
        speakable = [it for batch in agenda.batches() for it in batch]
        refused = [it for batch in agenda.refusals() for it in batch]
    each = sorted([*speakable, *refused], key=lambda it: it.row)
    assert [it.row for it in each] == list(range(len(rows)))
    assert agenda.prints.tolist() == [short(it.fingerprint) for it in each]
    assert agenda.characters.tolist() == [len(it.script) for it in each]
    assert agenda.refused.tolist() == [it.refusal is not None for it in each]
    assert [agenda.models[at] for at in agenda.model_of] == [it.voice.model for it in each]


def test_some_rows_are_picked_out_of_many(tmp_path: Path) -> None:
    path, count = tmp_path / "m.parquet", 25_000
    table = pa.table(
        {"id": [f"u{n}" for n in range(count)], "text": ["Alpha."] * count, "n": [0] * count}
    )
    pq.write_table(table, path, row_group_size=7000)
    manifest = scan(path)
    wanted = np.array([0, 1, 9_999, 10_000, 13_999, 14_000, 24_999])
    found = [
        (row, it)
        for each in manifest.pick(wanted)
        for row, it in zip(each.rows, each.ids, strict=True)
    ]
    assert found == [(row, f"u{row}") for row in wanted.tolist()]
    assert list(manifest.pick(wanted[:0])) == []
    assert [len(each) for each in manifest.pick(np.arange(12_000, 12_010))] == [10]


def test_rows_are_found_by_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"id": [7, 9, 11], "text": ["a", "b", "c"]}), path)
    assert scan(path).find(["9", "7", "8"]) == {"7": 0, "9": 1}
    pq.write_table(pa.table({"text": ["a", "b", "c"]}), path)
    assert scan(path).find(["3", "1", "0", "4", "x", "²"]) == {"1": 0, "3": 2}
    pq.write_table(
        pa.table({"id": pa.array(["x", "y"]).dictionary_encode(), "text": ["a", "b"]}), path
    )
    assert scan(path).find(["y"]) == {"y": 1}
