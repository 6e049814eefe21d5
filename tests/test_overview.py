"""The summary says of all rows together what the results say of each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from batchtts.job.settings import Job
from batchtts.run.job import run
from batchtts.run.overview import Overview
from batchtts.run.summary import Summary
from tests import e2e


def spoken(here: Path, **more: object) -> Summary:
    e2e.write_csv(
        here / "m.csv", {**e2e.sentences(6), "one": "A day.", "two": "A day.", "bad": "."}
    )
    settings: dict[str, object] = {"manifest": here / "m.csv", "provider": "local", "voice": "tone"}
    job = Job(**{**settings, **more})  # type: ignore[arg-type]  # as a job file has them
    return run(job, environment={})


def test_the_summary_agrees_with_the_results(tmp_path: Path) -> None:
    summary = spoken(tmp_path, verify=True, recognizer_model="tone")
    rows = e2e.results(tmp_path / "m")
    done = [row for row in rows if row["status"] == "done"]
    assert summary.errors == Counter(it["error_code"] for it in rows if it["error_code"])
    assert summary.reasons == Counter(why for it in done for why in it["reasons"])
    assert summary.verdicts == Counter(it["verdict"] for it in done)
    assert sum(it.rows for it in summary.voices) == len(done) == summary.done
    assert sum(it.audio_s for it in summary.voices) == pytest.approx(summary.audio_s, abs=0.01)
    assert summary.audio_s == pytest.approx(sum(it["audio_s"] for it in done), abs=0.001)
    assert summary.ttfa_s is not None
    ttfas = [it["ttfa_s"] for it in done if it["ttfa_s"] is not None]
    assert summary.ttfa_s.p50 == pytest.approx(np.quantile(ttfas, 0.5), abs=1e-4)
    assert summary.ttfa_s.p95 == pytest.approx(np.quantile(ttfas, 0.95), abs=1e-4)
    assert [it.wer and it.wer.p50 for it in summary.voices] == [0.0] * len(summary.voices)
    assert summary.characters_sent == sum(it["characters_sent"] for it in rows)
    assert summary.attempts == sum(it["attempts"] for it in rows)
    assert (summary.heard, summary.shared, summary.exit_code) == (7, 1, 3)
    written = (tmp_path / "m" / "summary.json").read_bytes()
    assert msgspec.json.decode(written, type=Summary) == summary


def test_of_rows_that_all_failed_there_is_nothing_to_say(tmp_path: Path) -> None:
    e2e.write_csv(tmp_path / "m.csv", {"a": "...", "b": "!"})
    summary = run(Job(manifest=tmp_path / "m.csv", provider="local", voice="tone"), environment={})
    overview = Overview.of(tmp_path / "m" / "results.parquet")
    assert (overview.ttfa_s, overview.rtf, overview.voices) == (None, None, ())
    assert (summary.verdicts, summary.reasons) == ({}, {})
    assert summary.errors == {"script_rejected": 2}
