"""What the results say of all rows together: read when they are written, for the summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchtts.job.plan import Floats
from batchtts.run.summary import OfVoice, Spread

_VOICES = 50
_KEY = ("model", "voice", "language")
_COLUMNS = (*_KEY, "status", "audio_s", "ttfa_s", "rtf", "wer", "mos", "reasons", "error_code")

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Voice:
    rows: int = 0
    audio_s: float = 0.0
    wers: list[Floats] = field(default_factory=list)
    moses: list[Floats] = field(default_factory=list)


@dataclass(slots=True)
class Overview:
    """What the results say of all rows together; see `Summary`."""

    reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    _ttfas: list[Floats] = field(default_factory=list)
    _rtfs: list[Floats] = field(default_factory=list)
    _voices: dict[Key, _Voice] = field(default_factory=lambda: defaultdict(_Voice))

    @classmethod
    def of(cls, results: Path) -> Overview:
        """Read results that were just written."""
        found = cls()
        with pq.ParquetFile(results) as file:
            for batch in file.iter_batches(1 << 16, columns=list(_COLUMNS)):
                found._see(pa.Table.from_batches([batch]))
        return found

    def _see(self, rows: pa.Table) -> None:
        for each in pc.value_counts(rows["error_code"].drop_null()).to_pylist():
            self.errors[each["values"]] += each["counts"]
        done = rows.filter(pc.equal(rows["status"], "done"))
        for each in pc.value_counts(pc.list_flatten(done["reasons"])).to_pylist():
            self.reasons[each["values"]] += each["counts"]
        self._ttfas.append(_numbers(done, "ttfa_s"))
        self._rtfs.append(_numbers(done, "rtf"))
        keys = done.group_by(list(_KEY)).aggregate([("status", "count")]).to_pylist()
        for each in keys:
            key = (each["model"] or "", each["voice"] or "", each["language"] or "")
            some = done if len(keys) == 1 else done.filter(_is(done, each))
            voice = self._voices[key]
            voice.rows += len(some)
            voice.audio_s += pc.sum(some["audio_s"]).as_py() or 0.0
            voice.wers.append(_numbers(some, "wer"))
            voice.moses.append(_numbers(some, "mos"))

    @property
    def ttfa_s(self) -> Spread | None:
        """Of the rows that are done."""
        return _spread(self._ttfas)

    @property
    def rtf(self) -> Spread | None:
        """The same."""
        return _spread(self._rtfs)

    @property
    def voices(self) -> tuple[OfVoice, ...]:
        """By voice, those with the most audio first."""
        most = sorted(self._voices.items(), key=lambda it: -it[1].audio_s)[:_VOICES]
        return tuple(
            OfVoice(
                **dict(zip(_KEY, key, strict=True)),
                rows=voice.rows,
                audio_s=round(voice.audio_s, 3),
                wer=_spread(voice.wers),
                mos=_spread(voice.moses),
            )
            for key, voice in most
        )


def _is(rows: pa.Table, wanted: dict[str, str | None]) -> pa.ChunkedArray:
    mask = None
    for name in _KEY:
        same = pc.is_in(rows[name], value_set=pa.array([wanted[name]], pa.string()))
        mask = same if mask is None else pc.and_(mask, same)
    return mask


def _numbers(rows: pa.Table, name: str) -> Floats:
    return np.asarray(rows[name].drop_null().to_numpy(), np.float64)


def _spread(parts: list[Floats]) -> Spread | None:
    values = np.concatenate(parts) if parts else np.empty(0)
    if not len(values):
        return None
    middle, high = np.quantile(values, [0.5, 0.95])
    return Spread(p50=round(float(middle), 4), p95=round(float(high), 4))
