"""A run in figures for Prometheus: a file that its node exporter picks up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchtts.run.summary import Summary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_BEGINNING = b"# HELP batchtts_"
LAST_SUCCESS = "batchtts_last_success_timestamp_seconds"

#: Figures of a run: name, what it is, the field of `Summary`.
_FIGURES = (
    ("audio_seconds", "Audio of all rows that are done.", "audio_s"),
    ("cost_usd", "List price of what all runs sent.", "cost_usd"),
    ("unpriced_rows", "Rows whose model has no known price.", "unpriced"),
    ("run_rows_spoken", "Rows that the last run spoke.", "spoken"),
    ("run_rows_shared", "Rows that the last run gave the audio of others.", "shared"),
    ("run_audio_seconds", "Audio of the rows that the last run spoke.", "spoken_audio_s"),
    ("run_characters_sent", "Characters that the last run sent.", "characters_sent"),
    ("run_cost_usd", "List price of what the last run sent.", "spent_usd"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended.

    Attributes:
        job: Name of the output directory.
        summary: None if the run did not get that far.
        at: Unix time.
    """

    job: str
    summary: Summary | None
    exit_status: int
    at: float
    duration_s: float


def write(path: Path, ending: Ending) -> None:
    """Put a whole file in the place of the last one, whose last success is kept.

    Raises:
        OSError: that cannot be.
    """
    from prometheus_client import write_to_textfile

    if path.exists() and not _is_ours(path):
        raise OSError("is there, and is not a file of such figures")
    registry = _collect(ending, ending.at if ending.exit_status == 0 else last_success(path))
    write_to_textfile(os.fspath(path), registry)


def _is_ours(path: Path) -> bool:
    """Whether a file may be replaced: what is a manifest or a device stays."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_BEGINNING)) in (b"", _BEGINNING)


def last_success(path: Path) -> float | None:
    """Return when the last good run of an existing file was; None if that is not known."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        text = path.read_text(encoding="utf-8")
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError, LookupError):
        return None
    samples = (sample for family in families for sample in family.samples)
    return next((sample.value for sample in samples if sample.name == LAST_SUCCESS), None)


def _collect(ending: Ending, succeeded_at: float | None) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()
    for name, about, value in _values(ending, succeeded_at):
        Gauge(name, about, ["job"], registry=registry).labels(ending.job).set(value)
    if ending.summary is not None:
        rows = Gauge("batchtts_rows", "Rows of the manifest.", ["job", "status"], registry=registry)
        for status in ("done", "failed", "pending"):
            rows.labels(ending.job, status).set(getattr(ending.summary, status))
    return registry


def _values(ending: Ending, succeeded_at: float | None) -> Iterator[tuple[str, str, float]]:
    yield "batchtts_exit_status", "Of the last run; 0 is success.", ending.exit_status
    yield "batchtts_last_run_timestamp_seconds", "When the last run ended.", ending.at
    if succeeded_at is not None:
        yield LAST_SUCCESS, "When a run last ended with status 0.", succeeded_at
    yield "batchtts_run_duration_seconds", "How long the last run took.", ending.duration_s
    if ending.summary is not None:
        for name, about, field in _FIGURES:
            yield f"batchtts_{name}", about, getattr(ending.summary, field)
