"""The results' own columns: what they are, and what the lines of the ledger put into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.job.plan import Floats, Ints
from batchtts.lots import lots
from batchtts.model import Measures, Result

_AT_ONCE = 1024  # results that are held together

_TIME = pa.timestamp("us", tz="UTC")
_WORDS = pa.list_(
    pa.struct([("text", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())])
)
_CUES = pa.list_(
    pa.struct(
        [
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("voice", pa.string()),
        ]
    )
)


class _Column(NamedTuple):
    name: str
    type: pa.DataType
    unit: str
    about: str


_FAILURES = pa.list_(pa.struct([("at", _TIME), ("code", pa.string()), ("message", pa.string())]))

_COLUMNS = tuple(
    _Column(*column)
    for column in (
        ("id", pa.string(), "", "row id"),
        ("status", pa.string(), "", "done, failed or pending"),
        ("path", pa.string(), "", "audio file, below the output directory"),
        ("text_chars", pa.int64(), "characters", "of the script"),
        ("spoken", pa.string(), "", "what was sent, if that is not the script as it is written"),
        ("provider", pa.string(), "", "who was asked"),
        ("model", pa.string(), "", "model that spoke"),
        ("voice", pa.string(), "", "voice that spoke"),
        ("language", pa.string(), "", "of the voice"),
        ("sample_rate_hz", pa.int32(), "Hz", "of the file"),
        ("audio_s", pa.float64(), "s", "duration of the audio"),
        ("bytes", pa.int64(), "bytes", "size of the file"),
        ("sha256", pa.string(), "", "of the file"),
        ("peak_dbfs", pa.float64(), "dBFS", "loudest sample"),
        ("segments", pa.int32(), "", "commits that the script took"),
        ("attempts", pa.int32(), "", "tries at all segments together"),
        ("started_at", _TIME, "UTC", "taken up"),
        ("finished_at", _TIME, "UTC", "all heard, or given up"),
        ("queue_s", pa.float64(), "s", "waiting for a slot in flight"),
        ("connect_s", pa.float64(), "s", "opening connections"),
        ("ttfa_s", pa.float64(), "s", "first commit to first audio"),
        ("synth_s", pa.float64(), "s", "commits to last audio"),
        ("wall_s", pa.float64(), "s", "started_at to finished_at"),
        ("rtf", pa.float64(), "", "synth_s per audio_s"),
        (
            *("characters_sent", pa.int64(), "characters"),
            "in all attempts of all runs, lost ones too",
        ),
        ("cost_usd", pa.float64(), "USD", "list price of those"),
        (
            *("same_as", pa.string(), ""),
            "row with the same script that was spoken for this one, too",
        ),
        (
            *("words", _WORDS, "s"),
            "spoken words and their times, from the beginning of the file",
        ),
        (
            *("cues", _CUES, "s"),
            "segments of a script that took several: where in it, when in the file, whose voice",
        ),
        ("verdict", pa.string(), "", "pass, suspect, fail or unverified"),
        ("reasons", pa.list_(pa.string()), "", "why it is not pass, stable words"),
        ("speech_s", pa.float64(), "s", "from the first audible speech to the last"),
        ("pause_s", pa.float64(), "s", "of these, silence between words"),
        ("lead_s", pa.float64(), "s", "silence before it"),
        ("tail_s", pa.float64(), "s", "silence after it"),
        ("gap_s", pa.float64(), "s", "longest silence within it"),
        ("level_dbfs", pa.float64(), "dBFS", "RMS of what is loud in it"),
        ("floor_dbfs", pa.float64(), "dBFS", "RMS of the quietest parts"),
        ("end_dbfs", pa.float64(), "dBFS", "RMS of the last 20 ms"),
        ("clipped", pa.float64(), "", "share of samples next to the highest or the lowest"),
        ("dc", pa.float64(), "", "what is constant in it, as a share of full scale"),
        ("dropouts", pa.int32(), "", "holes within speech"),
        ("click", pa.float64(), "", "how far its sharpest moment stands out of what is around it"),
        ("recognizer", pa.string(), "", "model that heard it"),
        ("transcript", pa.string(), "", "what it heard"),
        ("wer", pa.float64(), "", "errors per word of the script"),
        ("cer", pa.float64(), "", "errors per character"),
        ("per", pa.float64(), "", "errors per phoneme, where these are known"),
        ("second_recognizer", pa.string(), "", "model that was asked, too, before it failed"),
        ("second_transcript", pa.string(), "", "what that heard"),
        ("second_wer", pa.float64(), "", "errors per word, of that"),
        ("mos", pa.float64(), "", "how natural it sounds, 1 to 5 (DistillMOS)"),
        ("takes", pa.int32(), "", "times that it was spoken"),
        ("kept_take", pa.int32(), "", "which of them this is"),
        ("refusals", pa.int32(), "", "requests that the provider would not have for now"),
        ("failures", _FAILURES, "", "attempts that failed, the latest of them"),
        ("error_code", pa.string(), "", "why it failed, a stable word"),
        ("error_message", pa.string(), "", "why it failed"),
    )
)

#: What is found out about audio that is there, and may be found out later.
JUDGED = (
    "verdict reasons click recognizer transcript wer cer per"
    " second_recognizer second_transcript second_wer mos takes kept_take"
).split()

_NAMES = frozenset(column.name for column in _COLUMNS)
_OWN = pa.schema(
    [
        pa.field(column.name, column.type, metadata={"unit": column.unit, "about": column.about})
        for column in _COLUMNS
    ]
)


def results_schema(carried: pa.Schema) -> pa.Schema:
    """The columns of results.parquet; a manifest's column that would hide one is renamed."""
    taken = {*_NAMES, *carried.names}
    theirs = [own.with_name(_free_name(own.name, taken)) for own in carried]
    units = {column.name: column.unit for column in _COLUMNS if column.unit}
    metadata = {**(carried.metadata or {}), b"batchtts.units": msgspec.json.encode(units)}
    return pa.schema([*_OWN, *theirs], metadata=metadata)


def carried_as(carried: pa.Schema, name: str) -> str:
    """The name that a column of the manifest has in the results."""
    found: str = results_schema(carried).names[len(_OWN) + carried.get_field_index(name)]
    return found


def _free_name(name: str, taken: set[str]) -> str:
    """The name that a manifest's column has in the results."""
    if name not in _NAMES:
        return name
    while name in taken:
        name = f"manifest_{name}"
    taken.add(name)
    return name


def as_columns(
    told: Iterable[Result | None],
    ids: Sequence[str],
    texts: Sequence[str | None],
    characters_sent: Ints,
    costs_usd: Floats,
) -> pa.Table:
    """Return the results' own columns of some rows.

    Args:
        told: The last result of each; None for a row that has none.
        characters_sent, costs_usd: Of all results of each row; see sum_usd().
    """
    made, at = [], 0
    for some in lots(told, _AT_ONCE):
        rows = slice(at, at + len(some))
        made.append(_made(some, ids[rows], texts[rows], characters_sent[rows], costs_usd[rows]))
        at += len(some)
    return pa.Table.from_batches(made, schema=_OWN)


def _made(
    told: Sequence[Result | None],
    ids: Sequence[str],
    texts: Sequence[str | None],
    characters_sent: Ints,
    costs_usd: Floats,
) -> pa.RecordBatch:
    rows = [result for result in told if result is not None]
    columns = {column.name: _column(column, rows) for column in _COLUMNS}
    ends = [result.finished_at if result is not None else None for result in told]
    is_unheard = ~np.array(ends, np.bool_) & (characters_sent == 0)
    if len(rows) < len(told):
        columns = _spread(columns, told, texts)
    columns["id"] = pa.array(ids, pa.string())
    columns["characters_sent"] = pa.array(characters_sent)
    columns["cost_usd"] = pa.array(costs_usd, mask=np.isnan(costs_usd) | is_unheard)
    return pa.record_batch(list(columns.values()), schema=_OWN)


def _spread(
    columns: dict[str, pa.Array], told: Sequence[Result | None], texts: Sequence[str | None]
) -> dict[str, pa.Array]:
    """Put rows that the ledger does not tell of between the others."""
    is_told = np.array([result is not None for result in told], np.bool_)
    at = pa.array(np.cumsum(is_told) - 1, mask=~is_told)
    spread = {name: column.take(at) for name, column in columns.items()}
    lengths = pa.array([len(text or "") for text in texts], pa.int64())
    otherwise = {"status": "pending", "text_chars": lengths, "segments": 0, "attempts": 0}
    return spread | {name: pc.coalesce(spread[name], it) for name, it in otherwise.items()}


def _column(column: _Column, rows: Sequence[Result]) -> pa.Array:
    made = _MADE.get(column.name)
    return made(rows) if made is not None else pa.array(_values(rows, column.name), column.type)


def _values(rows: Sequence[Result], name: str) -> list[Any]:
    return list(map(attrgetter(name), rows))


def _floats(rows: Sequence[Result], name: str) -> Floats:
    """Numbers, which are none where nothing is known."""
    return np.array(_values(rows, name), np.float64)


def _name(name: str) -> Callable[[Sequence[Result]], pa.Array]:
    return lambda rows: pa.array([it or None for it in _values(rows, name)], pa.string())


def _time(name: str) -> Callable[[Sequence[Result]], pa.Array]:
    def times(rows: Sequence[Result]) -> pa.Array:
        at_s = _floats(rows, name)
        at_us = np.rint(np.nan_to_num(at_s) * 1e6).astype(np.int64)
        return pa.array(at_us, mask=np.isnan(at_s)).cast(_TIME)

    return times


def _audio_s(rows: Sequence[Result]) -> pa.Array:
    return pa.array(_floats(rows, "frames") / _floats(rows, "sample_rate_hz"), from_pandas=True)


def _rtf(rows: Sequence[Result]) -> pa.Array:
    audio_s = _floats(rows, "frames") / _floats(rows, "sample_rate_hz")
    audio_s[audio_s == 0] = np.nan
    return pa.array(_floats(rows, "synth_s") / audio_s, from_pandas=True)


def _list(name: str, type: pa.DataType) -> Callable[[Sequence[Result]], pa.Array]:
    def lists(rows: Sequence[Result]) -> pa.Array:
        values = _values(rows, name)
        if all(value is None for value in values):
            return pa.nulls(len(rows), type)
        asdict = msgspec.structs.asdict
        return pa.array([it and [asdict(each) for each in it] for it in values], type)

    return lists


def _part(of: str, name: str, type: pa.DataType) -> Callable[[Sequence[Result]], pa.Array]:
    """A column that is an attribute of an attribute, which may be None."""

    def parts(rows: Sequence[Result]) -> pa.Array:
        wholes = _values(rows, of)
        return pa.array([it and getattr(it, name) for it in wholes], type)

    return parts


def _failures(rows: Sequence[Result]) -> pa.Array:
    told = [
        [{"at": round(it.at * 1e6), "code": it.code, "message": it.message} for it in each] or None
        for each in _values(rows, "failures")
    ]
    return pa.array(told, _FAILURES)


def _reasons(rows: Sequence[Result]) -> pa.Array:
    told = [it.reasons if it.verdict is not None else None for it in rows]
    return pa.array(told, pa.list_(pa.string()))


def _of_done(name: str) -> Callable[[Sequence[Result]], pa.Array]:
    return lambda rows: pa.array(
        [getattr(it, name) if it.status == "done" else None for it in rows], pa.int32()
    )


_MEASURES = Measures.__struct_fields__
_HEARD = ("recognizer", "transcript", "wer", "cer", "per")
_SECOND = {f"second_{name}": name for name in ("recognizer", "transcript", "wer")}
_TYPES = {column.name: column.type for column in _COLUMNS}


#: Columns that are not a value of the result as it is.
_MADE: dict[str, Callable[[Sequence[Result]], pa.Array]] = {
    **{name: _name(name) for name in ("provider", "model", "voice", "language")},
    **{name: _time(name) for name in ("started_at", "finished_at")},
    "audio_s": _audio_s,
    "rtf": _rtf,
    "words": _list("words", _WORDS),
    "cues": _list("cues", _CUES),
    "reasons": _reasons,
    "failures": _failures,
    "takes": _of_done("takes"),
    "kept_take": _of_done("kept_take"),
    **{name: _part("measures", name, _TYPES[name]) for name in _MEASURES},
    **{name: _part("heard", name, _TYPES[name]) for name in _HEARD},
    **{name: _part("second", it, _TYPES[name]) for name, it in _SECOND.items()},
}
