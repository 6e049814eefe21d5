"""Output directories with a spoken book in them, written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

HZ = 24000

Samples = np.ndarray[tuple[int], np.dtype[np.int16]]

_TYPES = {
    "id": pa.string(),
    "status": pa.string(),
    "path": pa.string(),
    "text_chars": pa.int64(),
    "voice": pa.string(),
    "language": pa.string(),
    "sample_rate_hz": pa.int32(),
    "audio_s": pa.float64(),
    "bytes": pa.int64(),
    "error_message": pa.string(),
    "words": pa.list_(
        pa.struct([("text", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())])
    ),
    "cues": pa.list_(
        pa.struct(
            [
                ("start", pa.int32()),
                ("end", pa.int32()),
                ("start_s", pa.float64()),
                ("end_s", pa.float64()),
                ("voice", pa.string()),
            ]
        )
    ),
    "text": pa.string(),
    "chapter": pa.int32(),
    "chapter_title": pa.string(),
    "paragraph": pa.int32(),
    "kind": pa.string(),
}


def voiced(
    seconds: float, *, hz: int = HZ, pitch_hz: float = 220.0, quiet_s: float = 0.2
) -> Samples:
    """A tone with silence of its own at both ends, which are not part of *seconds*."""
    times = np.arange(round(seconds * hz)) / hz
    tone = np.rint(8000 * np.sin(2 * np.pi * pitch_hz * times)).astype(np.int16)
    quiet = np.zeros(round(quiet_s * hz), np.int16)
    return np.concatenate([quiet, tone, quiet])


def row(
    row_id: str,
    samples: Samples | None = None,
    *,
    hz: int = HZ,
    container: str = "wav",
    **facts: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """A row of the results; done, if it has samples."""
    told = {
        "id": row_id,
        "status": "done",
        "voice": "ada",
        "language": "en",
        "text": "Hm.",
        **facts,
    }
    told.setdefault("text_chars", len(told["text"] or ""))
    if samples is None:
        return {**told, "status": facts.get("status", "failed")}
    about = {"sample_rate_hz": hz, "audio_s": len(samples) / hz}
    return {"path": f"{container}/{row_id}.{container}", "samples": samples, **about, **told}


def shelve(
    out: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    metadata: Mapping[str, bytes] = {},
    **about: Any,  # noqa: ANN401
) -> Path:
    """Write the results of a run, and its audio; *about* is what is known of the book."""
    out.mkdir(parents=True, exist_ok=True)
    told = [_written(out, dict(each)) for each in rows]
    names = dict.fromkeys(name for each in told for name in each)
    always = [name for name in _TYPES if name not in names and name in _OWN]
    columns = {
        name: pa.array([each.get(name) for each in told], _TYPES.get(name))
        for name in [*names, *always]
    }
    extra = {"batchtts.book": json.dumps(about).encode()} if about else {}
    table = pa.table(columns).replace_schema_metadata({**extra, **metadata})
    pq.write_table(table, out / "results.parquet")
    return out


_OWN = (*tuple(_TYPES)[:10], "text")


def _written(out: Path, told: dict[str, Any]) -> dict[str, Any]:
    samples = told.pop("samples", None)
    if samples is None:
        return told
    path = out / told["path"]
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, samples, told["sample_rate_hz"], subtype="PCM_16")
    return {"bytes": path.stat().st_size, **told}
