"""The bar of a run on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from batchtts.cli.bar import Bar
from batchtts.model import Result


def test_the_bar_tells_what_is_done_and_lines_stand_above_it() -> None:
    screen = io.StringIO()
    bar = Bar(Console(file=screen, force_terminal=True, no_color=True, highlight=False, width=80))
    bar.begin(3, 30)
    bar.echo("[a] line, as it is")
    done = Result(id="a", status="done", text_chars=10, frames=48_000, sample_rate_hz=24_000)
    bar.add(done)
    bar.add(Result(id="b", status="failed", text_chars=10))
    bar.end()
    assert "[a] line, as it is" in screen.getvalue()
    shown = screen.getvalue()
    assert "2/3" in shown
    assert "1 failed, 2 s of audio" in shown
