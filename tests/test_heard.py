"""The words of the demonstration are in its audio, says a recognizer that knows nothing of us."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile
import soxr

import batchtts

DEMO = Path(__file__).parent.parent / "jobs" / "demo.csv"


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def heard_share(script: str, transcript: str) -> float:
    """The share of the words of *script* that stand in *transcript*, in order."""
    said = words(script)
    matcher = difflib.SequenceMatcher(None, said, words(transcript), autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(said)


@pytest.mark.slow
def test_the_words_of_the_demonstration_are_heard(tmp_path: Path) -> None:
    import moonshine_voice
    from moonshine_voice.transcriber import Transcriber

    summary = batchtts.run(batchtts.Job(manifest=DEMO, out=tmp_path / "demo", provider="local"))
    assert summary.done == 24

    folder = os.path.join(moonshine_voice.get_assets_path(), "tiny-en")  # noqa: PTH118  # it wants text
    transcriber = Transcriber(folder, moonshine_voice.ModelArch.TINY)
    shares = {}
    for row in pq.read_table(tmp_path / "demo" / "results.parquet").to_pylist():
        if any(map(str.isdigit, row["text"])):
            continue  # heard as words, written as figures
        samples, rate = soundfile.read(tmp_path / "demo" / row["path"], dtype="float32")
        told = transcriber.transcribe_without_streaming(
            soxr.resample(samples, rate, 16_000).tolist(), 16_000
        )
        shares[row["id"]] = heard_share(row["text"], " ".join(line.text for line in told.lines))
    assert len(shares) >= 15
    assert min(shares.values()) > 0.6, shares
    assert sum(shares.values()) / len(shares) > 0.9, shares
