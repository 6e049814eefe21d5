"""The benchmark of books runs and tells all that it measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import environment

pytest.importorskip("av", reason="the encoder: the extra `audiobook`")


@pytest.mark.slow
def test_a_small_book_is_measured(tmp_path: Path) -> None:
    flags = ("--hours", "0.01", "--words", "3000", "--dir", f"{tmp_path}")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.book", *flags],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    names = [line.partition(",")[0].split()[0] for line in done.stdout.splitlines()]
    assert names == ["book", "run", "export", "export", "subtitles"]
    assert not list(tmp_path.iterdir())
