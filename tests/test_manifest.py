from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import ManifestChanged, ManifestError
from batchtts.job.manifest import Batch, Manifest, first_repeat, scan
from batchtts.job.source import Malformed, Source, quoted_cut


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str | bytes | pa.Table) -> Path:
    path = Path(name)
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
        return path
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def scanned(name: str, content: str | bytes | pa.Table, **wanted: str) -> Manifest:
    return scan(write(name, content), wanted)


def parquet(**columns: object) -> pa.Table:
    return pa.table(columns)


def only_batch(manifest: Manifest) -> Batch:
    [batch] = manifest.batches()
    return batch


def carried(manifest: Manifest) -> dict[str, list[object]]:
    cells: dict[str, list[object]] = only_batch(manifest).carried.to_pydict()
    return cells


def types(manifest: Manifest) -> dict[str, str]:
    return {field.name: str(field.type) for field in manifest.schema}


def rows_of(manifest: Manifest) -> list[tuple[str, str | None]]:
    return [row for it in manifest.batches() for row in zip(it.ids, it.texts, strict=True)]


def refusal(use: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(ManifestError) as refused:
        use()
    return str(refused.value), refused.value.hint


def why_not(name: str, content: str | bytes | pa.Table, **wanted: str) -> str:
    return refusal(lambda: scanned(name, content, **wanted))[0]


def way_out(name: str, content: str | bytes | pa.Table, **wanted: str) -> str | None:
    return refusal(lambda: scanned(name, content, **wanted))[1]


# What a row is


TABLE = parquet(
    id=["a", "b"],
    text=["Call me Ishmael.", ' "Some" years\nago, é '],
    voice=["af_heart", None],
    speed=[1.5, None],
    chapter=[1, 2],
)
AS_JSON = "".join(json.dumps(row) + "\n" for row in TABLE.to_pylist())
AS_CSV = (
    "id,text,voice,speed,chapter\n"
    "a,Call me Ishmael.,af_heart,1.5,1\n"
    'b," ""Some"" years\nago, é ",,,2\n'
)
AS_TSV = (
    "id\ttext\tvoice\tspeed\tchapter\n"
    "a\tCall me Ishmael.\taf_heart\t1.5\t1\n"
    'b\t" ""Some"" years\nago, é "\t\t\t2\n'
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("books.csv", AS_CSV),
        ("books.CSV", AS_CSV),
        ("books.csv.gz", AS_CSV),
        ("books.tsv", AS_TSV),
        ("books.tsv.gz", AS_TSV),
        ("books.jsonl", AS_JSON),
        ("books.ndjson", AS_JSON),
        ("books.jsonl.gz", AS_JSON),
        ("books.parquet", TABLE),
        ("books.pq", TABLE),
    ],
)
def test_all_formats_say_the_same(name: str, content: str | pa.Table) -> None:
    manifest = scanned(name, content)
    batch = only_batch(manifest)
    assert manifest.rows == 2
    assert manifest.id_hashes.tolist() == [hash("a"), hash("b")]
    assert types(manifest) == {"text": "string", "speed": "double", "chapter": "int64"}
    assert batch.first_row == 0
    assert batch.ids == ["a", "b"]
    assert batch.texts == ["Call me Ishmael.", ' "Some" years\nago, é ']
    assert batch.voices == ["af_heart", None]
    assert batch.models == batch.languages == [None, None]
    assert batch.speeds == [1.5, None]
    assert batch.carried.schema == manifest.schema
    assert batch.carried.to_pydict() == {
        "text": ["Call me Ishmael.", ' "Some" years\nago, é '],
        "speed": [1.5, None],
        "chapter": [1, 2],
    }


LINES = "id,text\n" + "".join(f"u{row},script {row}\n" for row in range(25_000))


@pytest.mark.parametrize("first_row", [0, 1, 9_999, 10_000, 17_000, 24_999, 25_000, 99_999])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_reading_can_start_at_any_row(form: str, first_row: int) -> None:
    table = parquet(
        id=[f"u{row}" for row in range(25_000)], text=[f"script {row}" for row in range(25_000)]
    )
    path = Path(f"books.{form}")
    if form == "parquet":
        pq.write_table(table, path, row_group_size=7_000)
    else:
        write(path.name, LINES if form == "csv" else "\n".join(map(json.dumps, table.to_pylist())))
    batches = list(scan(path).batches(first_row))
    assert [name for it in batches for name in it.ids] == [
        f"u{r}" for r in range(first_row, 25_000)
    ]
    assert all(len(it.ids) <= 10_000 for it in batches)
    assert all(it.ids[0] == f"u{it.first_row}" for it in batches)


def test_long_scripts_come_in_small_batches() -> None:
    script = "word " * 200_000  # 1 MB
    table = parquet(text=[f"{script}{row}" for row in range(20)])
    pq.write_table(table, "long.parquet", use_dictionary=False)
    as_csv = "text\n" + "".join(f'"{script}\n{row}"\n' for row in range(20))
    for manifest in (scan(Path("long.parquet")), scanned("long.csv", as_csv)):
        batches = list(manifest.batches())
        assert sum(len(it.ids) for it in batches) == 20
        assert max(len(it.ids) for it in batches) <= 4


def test_without_an_id_column_ids_are_row_numbers() -> None:
    manifest = scanned("books.csv", "script\none\n\ntwo\n")
    assert manifest.columns.id is None
    assert rows_of(manifest) == [("1", "one"), ("2", "two")]


def test_ids_are_not_stripped() -> None:
    manifest = scanned("books.csv", 'id,text\n a ,x\na,y\n"é\n",z\n')
    assert [name for name, _ in rows_of(manifest)] == [" a ", "a", "é\n"]


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (pa.array([7, -8]), ["7", "-8"]),
        (pa.array([7, 2**64 - 1], pa.uint64()), ["7", "18446744073709551615"]),
        (pa.array(["007", "8"], pa.large_string()), ["007", "8"]),
        (pa.array(["007", "8"], pa.string_view()), ["007", "8"]),
        (pa.array(["007", "8"]).dictionary_encode(), ["007", "8"]),
        (pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
    ],
)
def test_ids_are_text_or_the_digits_of_integers(ids: pa.Array, texts: list[str]) -> None:
    manifest = scanned("books.parquet", parquet(id=ids, text=["x", "y"]))
    assert only_batch(manifest).ids == texts


def test_integers_are_ids_in_json_too() -> None:
    assert rows_of(scanned("b.jsonl", '{"id": 7, "text": "x"}')) == [("7", "x")]


def test_blank_names_are_none_and_empty_scripts_are_kept() -> None:
    manifest = scanned("b.csv", "text,voice,model,language\n,,  ,\nx, v,m,en-us\n")
    batch = only_batch(manifest)
    assert batch.texts == ["", "x"]
    assert batch.voices == [None, " v"]
    assert batch.models == [None, "m"]
    assert batch.languages == [None, "en-us"]
    assert types(manifest) == {"text": "string"}


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    for name, content in (("b.csv", "id,text\na,x\n"), ("b.jsonl", '{"id": "a", "text": "x"}')):
        assert rows_of(scanned(name, b"\xef\xbb\xbf" + content.encode())) == [("a", "x")]


def test_nul_bytes_in_a_script_are_kept() -> None:
    assert rows_of(scanned("b.csv", "id,text\na,x\0y\n")) == [("a", "x\0y")]


# Which column is which


@pytest.mark.parametrize(
    ("header", "text", "id"),
    [
        ("id,text", "text", "id"),
        ("ID, Script ", " Script ", "ID"),
        ("transcript,sentence,utt_id", "sentence", "utt_id"),
        ("normalized_text,key", "normalized_text", "key"),
        ("TEXT,text,utterance_id", "text", "utterance_id"),
        ("script,text,other", "text", None),
    ],
)
def test_columns_are_found_by_name(header: str, text: str, id: str | None) -> None:
    columns = scanned("b.csv", f"{header}\n{','.join('abc'[: header.count(',') + 1])}\n").columns
    assert (columns.text, columns.id) == (text, id)


def test_wanted_columns_come_first() -> None:
    columns = scanned("b.csv", "id,text,foo\na,b,c\n", id="foo", text="id").columns
    assert (columns.id, columns.text) == ("foo", "id")


def test_a_column_can_be_id_and_text_and_is_carried_then() -> None:
    manifest = scanned("b.csv", "word\nyes\n", id="word", text="word")
    assert rows_of(manifest) == [("yes", "yes")]
    assert carried(manifest) == {"word": ["yes"]}


def test_a_wanted_column_that_is_missing_is_refused_with_the_nearest_name() -> None:
    assert refusal(lambda: scanned("b.csv", "id,script,chapter\na,b,1\n", text="scrpt")) == (
        'b.csv: no column "scrpt"; it has id, script, chapter',
        'did you mean "script"? --column text=script',
    )


def test_only_known_columns_can_be_wanted() -> None:
    assert why_not("b.csv", "text\nx\n", pitch="text") == (
        'b.csv: no use for a column "pitch";'
        " there is text, id, voice, model, language, speed, speaker, canary"
    )


def test_a_manifest_without_text_is_refused_with_what_it_has() -> None:
    assert refusal(lambda: scanned("b.csv", "id,txt\na,b\n")) == (
        'b.csv: no column "text"; it has id, txt',
        'did you mean "txt"? --column text=txt',
    )
    many = ",".join(f"c{number}" for number in range(100))
    assert refusal(lambda: scanned("b.csv", f"{many}\n")) == (
        'b.csv: no column "text"; it has c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11'
        " and 88 more",
        "--column text=NAME",
    )


def test_two_columns_of_one_name_are_refused() -> None:
    assert why_not("b.csv", "id,text,text\na,b,c\n") == 'b.csv: two columns are named "text"'
    twice = pa.Table.from_arrays([pa.array(["x"])] * 2, names=["text", "text"])
    assert why_not("b.parquet", twice) == 'b.parquet: two columns are named "text"'


# What an id, a script and a speed may be


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("b.csv", "id,text\na,x\n,y\n", "b.csv, row 2: id is empty"),
        ("b.jsonl", '{"id":"a","text":"x"}\n{"text":"y"}', "b.jsonl, row 2: id is null"),
        ("b.parquet", parquet(id=["a", None], text=["x", "y"]), "b.parquet, row 2: id is null"),
    ],
)
def test_every_row_needs_an_id(name: str, content: str | pa.Table, problem: str) -> None:
    assert why_not(name, content) == problem


def test_the_first_repeated_id_is_named_with_both_rows() -> None:
    ids = ["c", "b", "a12", "b2", "x", "y", "a12", "b", "c", "a12"]
    rows = "".join(f"{name},text\n" for name in ids)
    assert why_not("books.csv", f"id,text\n{rows}") == (
        'books.csv, row 7: id "a12" is also in row 3; ids must be unique'
    )


def test_a_repeated_id_is_found_across_batches() -> None:
    again = LINES + "u3,again\n"
    assert why_not("b.csv", again) == (
        'b.csv, row 25001: id "u3" is also in row 4; ids must be unique'
    )


def test_ids_that_only_share_a_hash_are_no_repetition() -> None:
    hashes = np.array([5, 9, 5, 9, 5])
    assert first_repeat(hashes, lambda: ["a", "b", "c", "d", "e"]) is None
    assert first_repeat(hashes, lambda: ["a", "b", "c", "d", "a"]) == (0, 4, "a")


def test_any_number_of_shared_hashes_is_looked_through() -> None:
    hashes = np.arange(5_000) % 2_500
    ids = [str(row) for row in range(4_999)]
    assert first_repeat(hashes, lambda: [*ids, "4999"]) is None
    assert first_repeat(hashes, lambda: [*ids, "2499"]) == (2_499, 4_999, "2499")


@given(st.lists(st.sampled_from("abcdefgh")))
def test_the_first_repetition_is_the_one_that_a_set_finds(ids: list[str]) -> None:
    hashes = np.array([hash(name) % 3 for name in ids], np.int64)
    again = next((row for row, name in enumerate(ids) if name in ids[:row]), None)
    expected = None if again is None else (ids.index(ids[again]), again, ids[again])
    assert first_repeat(hashes, lambda: ids) == expected


@pytest.mark.parametrize(
    ("ids", "type"), [([1.0, 2.0], "double"), ([True, False], "bool"), ([b"a", b"b"], "binary")]
)
def test_ids_of_other_types_are_refused(ids: list[object], type: str) -> None:
    assert refusal(lambda: scanned("b.parquet", parquet(id=ids, text=["x", "y"]))) == (
        f'b.parquet: column "id" is {type}; it must be text or integers',
        "cast it, or choose another column: --column id=NAME",
    )


def test_a_text_column_that_is_not_text_is_refused() -> None:
    problem = 'column "text" is int64; it must be text'
    assert why_not("b.parquet", parquet(text=[1, 2])) == f"b.parquet: {problem}"
    assert why_not("b.jsonl", '{"text": 1}') == f"b.jsonl: {problem}"


@pytest.mark.parametrize("speed", ["0.2", "4.1", "nan", "inf", "fast", "-1", "1,5"])
def test_a_speed_is_a_number_from_a_quarter_to_four(speed: str) -> None:
    assert why_not("b.csv", f'text,speed\nx,1\ny,"{speed}"\n') == (
        f"b.csv, row 2: speed is {speed}; it must be a number from 0.25 to 4"
    )


def test_speeds_may_be_numbers_of_any_kind_or_numeric_text() -> None:
    for speeds in (
        pa.array([2, 1], pa.int8()),
        pa.array([2, 1], pa.float32()),
        pa.array([Decimal("2.0"), Decimal("1.0")]),
        pa.array([" 2", "1.0"]),
        pa.array(["2", "1"]).dictionary_encode(),
    ):
        manifest = scanned("b.parquet", parquet(text=["x", "y"], speed=speeds))
        assert only_batch(manifest).speeds == [2.0, 1.0]
        assert manifest.schema.field("speed").type == speeds.type
    blank = scanned("b.csv", "text,speed\nx,\ny, \n")
    assert only_batch(blank).speeds == [None, None]


def test_a_speed_that_is_a_truth_is_refused() -> None:
    problem = 'column "speed" is bool; it must be numbers'
    assert why_not("b.jsonl", '{"text": "x", "speed": true}') == f"b.jsonl: {problem}"


# What is carried from CSV


@pytest.mark.parametrize(
    ("cells", "type", "values"),
    [
        (["1", "-20", "0", ""], "int64", [1, -20, 0, None]),
        (["9223372036854775807"], "int64", [2**63 - 1]),
        (["9223372036854775808"], "string", ["9223372036854775808"]),
        (["007", "8"], "string", ["007", "8"]),
        (["+7"], "string", ["+7"]),
        (["-0"], "double", [-0.0]),
        (["0x7"], "string", ["0x7"]),
        ([" 7"], "string", [" 7"]),
        (["1.5", "2", "", "-0.25"], "double", [1.5, 2.0, None, -0.25]),
        (["1.50", "2.00"], "double", [1.5, 2.0]),
        (["1.9", "1.10"], "string", ["1.9", "1.10"]),
        (["1.0", "2.25"], "double", [1.0, 2.25]),
        (["007.5"], "string", ["007.5"]),
        ([".5"], "string", [".5"]),
        (["5."], "string", ["5."]),
        (["1e5"], "string", ["1e5"]),
        (["nan"], "string", ["nan"]),
        (["1234567890123456789", "0.5"], "string", ["1234567890123456789", "0.5"]),
        (["true", "false", ""], "bool", [True, False, None]),
        (["True", "False"], "bool", [True, False]),
        (["TRUE", "TRUE"], "bool", [True, True]),
        (["true", "False"], "string", ["true", "False"]),
        (["true", "1"], "string", ["true", "1"]),
        (["", ""], "string", ["", ""]),
        (["a", "", "1"], "string", ["a", "", "1"]),
        (["2024-01-31"], "string", ["2024-01-31"]),
        (["null", "NA"], "string", ["null", "NA"]),
    ],
)
def test_a_column_has_a_type_only_if_every_cell_has_it(
    cells: list[str], type: str, values: list[object]
) -> None:
    rows = "".join(f"x,{cell}\n" for cell in cells)
    manifest = scanned("b.csv", f"text,it\n{rows}")
    assert types(manifest)["it"] == type
    assert carried(manifest)["it"] == values


def test_the_last_cell_of_a_long_column_can_make_it_text() -> None:
    rows = "".join(f"some words to speak,{row}\n" for row in range(60_000))
    assert types(scanned("b.csv", f"text,it\n{rows}"))["it"] == "int64"
    manifest = scanned("b.csv", f"text,it\n{rows}x,007\n")
    cells = [cell for it in manifest.batches() for cell in it.carried["it"].to_pylist()]
    assert cells == [*map(str, range(60_000)), "007"]


def test_scripts_that_look_like_numbers_stay_text() -> None:
    manifest = scanned("b.csv", "id,text,voice\n1,1984,7\n")
    assert types(manifest) == {"text": "string"}
    assert only_batch(manifest).texts == ["1984"]
    assert only_batch(manifest).voices == ["7"]


# What CSV may look like


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(
    st.lists(st.tuples(words.filter(bool), words, words), min_size=1, unique_by=lambda it: it[0]),
    # Minimal quoting spares the newlines that are not its own, which every reader takes for such.
    st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL)]),
    st.sampled_from([("csv", ","), ("tsv", "\t")]),
)
def test_what_a_csv_writer_writes_comes_back(
    rows: list[tuple[str, str, str]],
    ending: tuple[str, Literal[0, 1]],
    kind: tuple[str, str],
) -> None:
    text = io.StringIO(newline="")
    newline, quoting = ending
    form, delimiter = kind
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([("id", "text", "voice"), *rows])
    manifest = scanned(f"b.{form}", text.getvalue())
    assert rows_of(manifest) == [row[:2] for row in rows]


@given(st.text('ab,"\n\r', max_size=30))
def test_a_csv_is_read_as_the_standard_library_reads_it_or_refused(body: str) -> None:
    content = f"a,text\n{body}"
    try:
        _, *rows = filter(None, csv.reader(io.StringIO(content, newline=""), strict=True))
    except csv.Error:
        rows = [[]]
    if not rows or {len(row) for row in rows} != {2}:
        why_not("b.csv", content)
        return
    batches = scanned("b.csv", content).batches()
    found = [row for it in batches for row in zip(*it.carried.to_pydict().values(), strict=True)]
    assert [tuple(map(str, row)) for row in found] == [tuple(row) for row in rows]


@given(st.text('ab,"\n\r', max_size=60), st.integers(1, 20))
def test_chunks_of_any_size_hold_whole_records(text: str, size: int) -> None:
    path = write("b.csv", text)
    source = Source(path, "csv", gzipped=False)
    try:
        chunks = list(source.chunks(quoted_cut(","), size=size))
    except Malformed:
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text, newline=""), strict=True))
        return
    assert b"".join(chunks).decode() in (text, text + "\n")
    rows = [csv.reader(io.StringIO(it.decode(), newline=""), strict=True) for it in chunks]
    whole = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert [row for it in rows for row in it if row] == [row for row in whole if row]


OPEN = "a quote opens here and is never closed"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('id,text\n1,"unterminated\n2,x\n', f"b.csv, row 1: {OPEN}"),
        ('id,text\n1,"unterminated\n2,x', f"b.csv, row 1: {OPEN}"),
        ('id,text\n1,x\n2,"', f"b.csv, row 2: {OPEN}"),
        ('id,text\n1,x\n"2,y\n3,z\n', f"b.csv, row 2: {OPEN}"),
        ('id,text\n1,"a ""quoted"" word\n2,x\n', f"b.csv, row 1: {OPEN}"),
        ('id,text\n1,"x"\n\n2,"ab""\n3,y\n', f"b.csv, row 2: {OPEN}"),
        ('id,"text\n1,x\n', f"b.csv: header: {OPEN}"),
    ],
)
def test_a_quote_that_is_never_closed_swallows_no_rows(content: str, problem: str) -> None:
    assert refusal(lambda: scanned("b.csv", content)) == (
        problem,
        'inside a quoted field, write a quote twice: ""',
    )


def test_a_quote_that_closes_in_the_wrong_row_swallows_no_rows() -> None:
    assert why_not("b.csv", 'id,text\n1,x\n2,"open\n3,y\n4,"fine"\n5,z\n') == (
        "b.csv, row 2: a quoted field goes on after its closing quote: "
        '…"open\\n3,y\\n4,"fine"\\n5,z\\n…'
    )


def test_the_row_of_a_bad_quote_is_right_far_into_the_file() -> None:
    rows = "".join(f'{row},"two\nlines, ""{row}"""\n' for row in range(1, 60_001))
    assert why_not("b.csv", f'id,text\n{rows}x,"open\n{rows}').startswith("b.csv, row 60001: ")


def test_an_endless_row_is_given_up() -> None:
    content = 'id,text\na,x\nb,"' + "no quote ends this\n" * 2_000_000
    assert why_not("b.csv", content) == "b.csv, row 2: no end of it within 32 MiB"
    content = '{"text":"x"}\n{"text":"' + "y" * 40_000_000
    assert why_not("b.jsonl", content) == "b.jsonl, row 2: no end of it within 32 MiB"


def test_a_quote_inside_an_unquoted_field_is_a_quote() -> None:
    manifest = scanned("b.csv", 'id,text\n1,a 5" nail\n2,the "best" of "times"\n')
    assert rows_of(manifest) == [("1", 'a 5" nail'), ("2", 'the "best" of "times"')]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("id,text\na,x\nb\n", "row 2: expected 2 columns, got 1"),
        ("id,text\n\na,x\n\n\nb,y,z\n", "row 2: expected 2 columns, got 3"),
        ('\nid,text\na,"x\ny"\nb,"x\n\ny"\nc,d,e', "row 3: expected 2 columns, got 3"),
        ("id,text\na, b, c", "row 1: expected 2 columns, got 3"),
        (LINES + "x\n", "row 25001: expected 2 columns, got 1"),
        (LINES * 2 + LINES.replace("\n", ',"\n"\n'), "row 50002: expected 2 columns, got 3"),
    ],
)
def test_a_row_with_too_many_or_too_few_cells_is_refused(content: str, problem: str) -> None:
    assert why_not("b.csv", content.replace("\nid,text\nu0", "\nx,text\nu0")) == f"b.csv, {problem}"


# What JSON Lines may look like


def json_lines(*cells: object) -> str:
    return "".join(json.dumps({"text": "x", "it": cell}) + "\n" for cell in cells)


@pytest.mark.parametrize(
    ("cells", "type"),
    [
        ([1, None, 2], "int64"),
        ([1, 2.5], "double"),
        ([None, None], "string"),
        (["2024-01-31", "12:00"], "string"),
        ([True, None], "bool"),
        ([[], [1], None], "list<item: int64>"),
        ([[]], "list<item: string>"),
        ([{"a": 1}, {"b": [None]}], "struct<a: int64, b: list<item: string>>"),
    ],
)
def test_json_types_are_unified(cells: list[object], type: str) -> None:
    manifest = scanned("b.jsonl", json_lines(*cells))
    assert types(manifest)["it"] == type
    pq.write_table(pa.Table.from_batches([only_batch(manifest).carried]), "results.parquet")


def test_json_types_are_unified_over_the_whole_file() -> None:
    many = [1] * 60_000
    manifest = scanned("b.jsonl", json_lines(*many, 2.5))
    assert {str(it.carried["it"].type) for it in manifest.batches()} == {"double"}
    assert why_not("b.jsonl", json_lines(*many, 2, "2a")) == (
        'b.jsonl, row 60002: column "it" cannot hold "2a", it is int64 elsewhere'
    )
    big = json_lines(2**60, *many, 2.5)
    assert why_not("b.jsonl", big) == (
        'b.jsonl, row 1: column "it" cannot hold 1152921504606846976, it is double elsewhere'
    )


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["a", 1], 'row 2: column "it" cannot hold 1, it is string elsewhere'),
        ([1.5, True], 'row 2: column "it" cannot hold true, it is double elsewhere'),
        ([[1], {}], 'row 2: column "it" cannot hold {}, it is list<item: int64> elsewhere'),
        ([None, 1, 2**70], f'row 3: column "it" cannot hold {2**70}, it is int64 elsewhere'),
        (
            [{"a": 1}, {"a": "x"}],
            'row 2: column "it" cannot hold {"a":"x"}, it is struct<a: int64> elsewhere',
        ),
    ],
)
def test_mixed_json_types_are_refused_with_the_row(cells: list[object], problem: str) -> None:
    assert why_not("b.jsonl", json_lines(*cells)) == f"b.jsonl, {problem}"


def test_objects_that_never_have_a_key_are_refused() -> None:
    assert why_not("b.jsonl", json_lines({}, {})) == (
        'b.jsonl: column "it" holds objects that never have a key'
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "Expected `object`, got `array`"),
        ('{"text": "x"', "Input data was truncated"),
        ('{"text": "x"} {"text": "y"}', "JSON is malformed: trailing characters (byte 15)"),
    ],
)
def test_a_line_that_is_no_object_is_refused_with_its_row(line: str, problem: str) -> None:
    rows = '{"text": "x"}\r\n  \n\n{"text": "x"}\n'
    assert why_not("b.jsonl", f"{rows}{line}\n{rows}") == (
        f"b.jsonl, row 3: not a JSON object: {problem}"
    )


def test_a_key_may_come_late_or_never() -> None:
    manifest = scanned("b.jsonl", '{"script":"x"}\n{}\n{"script":null,"voice":"v"}\n')
    assert only_batch(manifest).texts == ["x", None, None]
    assert only_batch(manifest).voices == [None, None, "v"]


# What Parquet may look like


def test_parquet_columns_keep_their_types() -> None:
    table = pa.table(
        {
            "text": pa.array(["x", None]).dictionary_encode(),
            "small": pa.array([1, 2], pa.int8()),
            "when": pa.array([0, 1], pa.timestamp("ms", "UTC")),
            "tags": pa.array([["a"], []]),
            "raw": pa.array([b"\xff", None]),
            "none": pa.nulls(2),
            "voice": pa.nulls(2),
        }
    )
    manifest = scanned("b.parquet", table.replace_schema_metadata({"pandas": "{}"}))
    kept = table.drop_columns("voice")
    assert manifest.schema == kept.schema
    assert manifest.schema.metadata is None
    assert only_batch(manifest).texts == ["x", None]
    assert only_batch(manifest).carried.to_pydict() == kept.to_pydict()


@pytest.mark.parametrize("end", [3, 4, 20, -1, -30])
def test_a_parquet_file_that_is_cut_short_is_refused(end: int) -> None:
    whole = write("b.parquet", TABLE).read_bytes()
    assert why_not("b.parquet", whole[:end]) == (
        "b.parquet: not a whole Parquet file; it was cut short or is something else"
    )


def test_a_parquet_file_with_a_damaged_page_is_refused() -> None:
    numbers = pa.table({"text": [f"script number {row}" for row in range(5000)]})
    pq.write_table(numbers, "b.parquet", use_dictionary=False, compression="zstd")
    raw = bytearray(Path("b.parquet").read_bytes())
    raw[200:2000] = bytes(1800)
    assert why_not("b.parquet", bytes(raw)).startswith("b.parquet: not a whole Parquet file")


def test_parquet_text_that_is_not_utf8_is_refused() -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xe9"]).buffers())
    assert why_not("b.parquet", parquet(text=bad)).startswith(
        "b.parquet: damaged in rows 1 to 1: In column 0: Invalid: Invalid UTF8"
    )


# What bytes a text may have


def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    content = b"text\n" + b"x" * 1037 + b"\xe9,\n"
    assert refusal(lambda: scanned("books.csv", content)) == (
        "books.csv: byte 1042 (0xE9) is not UTF-8",
        "iconv -f WINDOWS-1252 -t UTF-8 books.csv > books.utf8.csv",
    )
    assert refusal(lambda: scanned("my books.csv.gz", content)) == (
        "my books.csv.gz: byte 1042 (0xE9) is not UTF-8",
        "gunzip -c 'my books.csv.gz' | iconv -f WINDOWS-1252 -t UTF-8 | gzip"
        " > 'my books.utf8.csv'.gz",
    )


@pytest.mark.parametrize("bad", [b"\xe9", b"\xc3", b"\xed\xa0\x80", b"\xff"])
@pytest.mark.parametrize("name", ["b.csv", "b.tsv", "b.jsonl"])
def test_the_place_of_a_bad_byte_counts_all_bytes_before(name: str, bad: bytes) -> None:
    opening, closing = ('{"text":"', '"}\n') if name == "b.jsonl" else ('"', '"\n')
    rows = f"{opening}text{closing}" + f"{opening}né{closing}" * 200_000
    before = b"\xef\xbb\xbf" + f"{rows}{opening}".encode()
    found = why_not(name, before + bad + closing.encode())
    assert found == f"{name}: byte {len(before)} (0x{bad[0]:02X}) is not UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_named_by_their_mark(encoding: str) -> None:
    assert refusal(lambda: scanned("b.csv", "id,text\na,x\n".encode(encoding))) == (
        f"b.csv: is {encoding.upper()}, not UTF-8",
        f"iconv -f {encoding.upper()} -t UTF-8 b.csv > b.utf8.csv",
    )


# What file it may be


def test_a_missing_file_is_refused_with_the_nearest_name() -> None:
    write("books.csv", "text\nx\n")
    assert refusal(lambda: scan(Path("boks.csv"))) == (
        "boks.csv: no such file",
        'did you mean "books.csv"?',
    )
    assert refusal(lambda: scan(Path("zzz"))) == ("zzz: no such file", None)
    assert refusal(lambda: scan(Path("nowhere/b.csv"))) == (
        "nowhere/b.csv: no such file",
        "there is no directory nowhere",
    )


def test_what_is_not_a_file_is_refused() -> None:
    Path("folder.csv").mkdir()
    os.mkfifo("pipe.csv")
    assert refusal(lambda: scan(Path("folder.csv")))[0] == "folder.csv: is a directory"
    assert refusal(lambda: scan(Path("pipe.csv"))) == (
        "pipe.csv: is a pipe or a device, not a file",
        "write it to a file first: it is read more than once",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused() -> None:
    path = write("b.csv", "text\nx\n")
    path.chmod(0)
    assert refusal(lambda: scan(path))[0] == "b.csv: cannot be read: Permission denied"


def test_a_name_that_cannot_be_is_refused() -> None:
    path = Path("x" * 300)
    assert refusal(lambda: scan(path))[0] == f"{path}: cannot be read: File name too long"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("b.csv", b"", "b.csv: is empty (0 bytes)"),
        ("b.csv", "id,text", "b.csv: no rows"),
        ("b.csv", "id,text\n\n\n", "b.csv: no rows"),
        ("b.csv", "\n\n", "b.csv: no rows"),
        ("b.csv", b"\xef\xbb\xbf", "b.csv: no rows"),
        ("b.csv.gz", b"", "b.csv.gz: no rows"),
        ("b.jsonl", "\n \n", "b.jsonl: no rows"),
        ("b.parquet", TABLE.slice(0, 0), "b.parquet: no rows"),
    ],
)
def test_a_manifest_without_rows_is_refused(name: str, content: bytes, problem: str) -> None:
    assert why_not(name, content) == problem


def test_an_unknown_ending_is_refused_with_the_known_ones() -> None:
    known = ".csv, .tsv, .jsonl, .ndjson (each also with .gz), .parquet and .pq"
    for name, ending in (("b.txt", ".txt"), ("b", ""), ("b.xlsx", ".xlsx"), ("b.zip.gz", ".gz")):
        assert why_not(name, "x") == f'{name}: unknown ending "{ending}"; manifests are {known}'


def test_parquet_under_another_name_is_refused() -> None:
    raw = write("b.parquet", TABLE).read_bytes()
    assert refusal(lambda: scanned("b.csv", raw)) == (
        "b.csv: is a Parquet file under another name",
        "mv b.csv b.parquet",
    )


def test_gzip_is_told_by_the_name() -> None:
    assert refusal(lambda: scanned("b.csv", gzip.compress(b"text\nx\n"))) == (
        "b.csv: is compressed with gzip, and its name does not say so",
        "mv b.csv b.csv.gz",
    )
    Path("c.csv.gz").write_bytes(b"text\nx\n")
    assert refusal(lambda: scan(Path("c.csv.gz")))[0].startswith("c.csv.gz: is not whole gzip data")
    assert way_out("b.parquet.gz", b"PAR1") == "gunzip b.parquet.gz"


@pytest.mark.parametrize("end", [5, 40, -1, -9])
@pytest.mark.parametrize("name", ["b.csv.gz", "b.jsonl.gz"])
def test_gzip_that_is_cut_short_is_refused(name: str, end: int) -> None:
    rows = LINES if name == "b.csv.gz" else json_lines(*range(9_000))
    raw = write(name, rows).read_bytes()
    Path(name).write_bytes(raw[:end])
    assert refusal(lambda: scan(Path(name)))[0] == f"{name}: the gzip data is cut short"


def test_gzip_with_a_wrong_checksum_is_refused() -> None:
    raw = bytearray(write("b.csv.gz", LINES).read_bytes())
    raw[-8] ^= 1
    Path("b.csv.gz").write_bytes(raw)
    assert refusal(lambda: scan(Path("b.csv.gz")))[0].startswith(
        "b.csv.gz: is not whole gzip data: CRC check failed"
    )


# Whether it is still the same file


def changed(use: Callable[[], object]) -> str:
    with pytest.raises(ManifestChanged) as error:
        use()
    return str(error.value)


def test_a_manifest_that_has_changed_is_not_read_on() -> None:
    manifest = scanned("b.csv", "id,text\na,x\n")
    write("b.csv", "id,text\na,x\nb,y\n")
    assert changed(lambda: list(manifest.batches())) == "b.csv: has changed since it was read"


def test_a_manifest_of_the_same_size_and_time_can_be_another_file() -> None:
    manifest = scanned("b.csv", "id,text\na,x\n")
    os.utime(write("new.csv", "id,text\na,y\n"), ns=(manifest.stamp.mtime_ns,) * 2)
    Path("new.csv").replace("b.csv")
    assert changed(lambda: list(manifest.batches())) == "b.csv: has changed since it was read"


def test_a_change_while_it_is_read_is_noticed_at_the_end() -> None:
    manifest = scanned("b.csv", LINES)
    batches = manifest.batches()
    next(batches)
    with Path("b.csv").open("a") as file:
        file.write('late,"row')
    assert changed(lambda: list(batches)) == "b.csv: has changed since it was read"


def test_a_manifest_that_is_gone_has_changed() -> None:
    manifest = scanned("b.csv", "id,text\na,x\n")
    Path("b.csv").unlink()
    assert changed(lambda: next(manifest.batches())) == (
        "b.csv: is gone since it was read: No such file or directory"
    )


def test_reading_may_stop_early() -> None:
    manifest = scanned("b.csv", LINES)
    batches = manifest.batches()
    next(batches)
    del batches
    assert len(rows_of(manifest)) == 25_000
