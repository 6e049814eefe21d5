"""Results with all that is found out about audio, written by hand, and pages made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from batchtts.record.columns import results_schema
from batchtts.review import report
from batchtts.review.report import Made
from tests.sounds import speech

BEGAN = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
HZ = 24_000

#: What must stay words wherever it stands.
EVIL = "\"'><script>window.evil=1</script><img src=x onerror=window.evil=1>{{7*7}}&lt;"


Facts = Mapping[str, Any]
NOTHING: Facts = {}


def spoken(row_id: str, told: Facts = NOTHING, /, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A row that is done, with a second of sound unless it is told otherwise."""
    facts = {"text": "Ten boats came in.", **told, **more}
    text, seconds = facts["text"], facts.pop("seconds", 1.0)
    usual = {
        "id": row_id,
        "status": "done",
        "path": f"wav/{facts.get('file', row_id)}.wav",
        "text_chars": len(text),
        "provider": "local",
        "model": "kokoro",
        "voice": "ada",
        "language": "en-us",
        "segments": 1,
        "attempts": 1,
        "samples": speech(HZ, seconds),
        "audio_s": seconds,
        "speech_s": seconds,
        "ttfa_s": 0.3,
        "wall_s": 0.9,
        "synth_s": 0.8,
        "rtf": 0.8 / seconds,
        "characters_sent": len(text),
        "cost_usd": 0.001,
        "refusals": 0,
    }
    return {**usual, **{name: value for name, value in facts.items() if name != "file"}}


def failed(row_id: str, told: Facts = NOTHING, /, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A row of which there is nothing to hear."""
    usual = {"status": "failed", "error_code": "stalled", "error_message": "no audio"}
    nothing = dict.fromkeys("path samples audio_s speech_s rtf ttfa_s synth_s".split())
    return {**spoken(row_id), **nothing, "attempts": 4, **usual, **told, **more}


def publish(out: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write results and audio; a row each two seconds."""
    out.mkdir(parents=True, exist_ok=True)
    told = [_shelved(out, dict(row), place) for place, row in enumerate(rows)]
    schema = results_schema(pa.schema([("text", pa.string())]))
    pq.write_table(pa.Table.from_pylist(told, schema=schema), out / "results.parquet")
    return out


def _shelved(out: Path, row: dict[str, Any], place: int) -> dict[str, Any]:
    began = BEGAN + timedelta(seconds=2 * place)
    wall = timedelta(seconds=row.get("wall_s") or 1.0)
    row = {"started_at": began, "finished_at": began + wall, **row}
    samples = row.pop("samples", None)
    if samples is None:
        return row
    path = out / row["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, HZ, subtype="PCM_16")
    data = path.read_bytes()
    about = {"bytes": len(data), "sha256": sha256(data).hexdigest(), "sample_rate_hz": HZ}
    return {**about, **row}


def corpus(out: Path, count: int, *, voices: int = 8, nights: int = 3) -> Path:
    """Results of many rows, without audio: a hundredth failed, a half percent is cut off."""
    out.mkdir(parents=True, exist_ok=True)
    schema = results_schema(pa.schema([("text", pa.string())]))
    chance = np.random.default_rng(7)
    with pq.ParquetWriter(out / "results.parquet", schema, compression="zstd") as writer:
        for first in range(0, count, 10_000):
            places = np.arange(first, min(first + 10_000, count))
            writer.write_table(_some(schema, places, places * nights // count, voices, chance))
    return out


def _some(
    schema: pa.Schema,
    places: np.ndarray[Any, np.dtype[np.int64]],
    night: np.ndarray[Any, np.dtype[np.int64]],
    voices: int,
    chance: np.random.Generator,
) -> pa.Table:
    count = len(places)
    words = np.clip(chance.lognormal(2.6, 0.6, count), 1, 400).astype(int)
    texts = ["boat " * it + f"{place}" for it, place in zip(words, places, strict=True)]
    chars = np.array([len(text) for text in texts])
    voice = chance.integers(0, voices, count)
    is_cut, is_failed = chance.random(count) < 0.005, chance.random(count) < 0.01
    audio_s = (0.06 + 0.004 * voice) * (chars + 6) * np.exp(chance.normal(0, 0.08, count))
    audio_s[is_cut] *= 0.4
    begins = BEGAN.timestamp() + night * 86_400.0 + places * 0.01
    wall_s = 0.3 + audio_s * 0.1
    wer = np.where(chance.random(count) < 0.8, 0.0, chance.exponential(0.06, count))
    wer[is_cut] = 0.6
    attempts = 1 + (chance.random(count) < 0.05) + 3 * is_failed
    failures = [
        [{"at": round(begin * 1e6), "code": "stalled", "message": f"no audio in request {place}"}]
        if tries > 1
        else None
        for begin, place, tries in zip(begins, places, attempts, strict=True)
    ]
    nothing: dict[str, Any] = {"mask": is_failed}
    columns: dict[str, Any] = {
        "id": [f"row-{place:07}" for place in places],
        "status": np.where(is_failed, "failed", "done"),
        "path": [f"wav/{place}.wav" for place in places],
        "text_chars": chars,
        "provider": ["local"] * count,
        "voice": [f"voice-{it}" for it in voice],
        "language": ["en-us"] * count,
        "audio_s": pa.array(audio_s, **nothing),
        "segments": [1] * count,
        "attempts": attempts,
        "started_at": (begins * 1e6).astype(np.int64),
        "finished_at": ((begins + wall_s) * 1e6).astype(np.int64),
        "ttfa_s": pa.array(chance.lognormal(-1, 0.5, count), **nothing),
        "synth_s": pa.array(wall_s, **nothing),
        "wall_s": wall_s,
        "characters_sent": chars,
        "cost_usd": chars * 1e-5,
        "verdict": pa.array(np.where(is_cut, "fail", "pass").astype(object), **nothing),
        "reasons": [["cut_end"] if it else [] for it in is_cut],
        "recognizer": ["moonshine"] * count,
        "transcript": texts,
        "wer": pa.array(wer, **nothing),
        "mos": pa.array(np.clip(chance.normal(4, 0.3, count), 1, 5), **nothing),
        "refusals": (chance.random(count) < 0.02).astype(int),
        "failures": failures,
        "error_code": ["stalled" if it else None for it in is_failed],
        "error_message": ["no audio" if it else None for it in is_failed],
        "text": texts,
    }
    made = [
        pa.array(columns[it.name]).cast(it.type) if it.name in columns else pa.nulls(count, it.type)
        for it in schema
    ]
    return pa.table(made, schema=schema)


def make(
    out: Path, target: Path | None = None, *, embed: bool = False, most: int = 200
) -> tuple[str, Made]:
    """Make the page of an output directory, and read it."""
    path = target or out / "report.html"
    made = report.write(out, path, embed=embed, most=most, column=None, made_at="2026-03-01 08:00")
    return path.read_text("utf-8"), made


class Page(HTMLParser):
    """What a reader makes of a page: its elements, and its words.

    Attributes:
        elements: Name and attributes of each.
        rows: The words of each row that is shown by itself.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "article":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open[-1:] in (["script"], ["style"]):
            return
        self.words.append(data)
        if "article" in self._open:
            self.rows[-1] += data

    @property
    def text(self) -> str:
        """All words, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name."""
        return [attributes for name, attributes in self.elements if name == tag]
