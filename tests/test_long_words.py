"""Times of words, asked for or not while a long row is spoken: all of them in the end, or none."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchtts.errors import Truncated
from batchtts.model import Cue, Result, Word
from batchtts.run.notes import correction
from tests.e2e import (
    TONE,
    Row,
    Server,
    ask,
    end,
    eventually,
    results,
    sentences,
    serving,
    started,
    write_csv,
)

SCRIPT = " ".join(sentences(26).values())
SLOW = '[[fault]]\nkind = "slow"\nprobability = 1.0\nseconds = 0.02\n'
TIMED = "--word-timestamps"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    faults = tmp_path / "faults.toml"
    faults.write_text(SLOW)
    with serving(tmp_path / "log", faults=faults) as server:
        yield server


def kill_and_finish(
    here: Path, server: Server, first: tuple[str, ...], then: tuple[str, ...]
) -> Row:
    """Kill a run when some of its segments are on the disk, and run again."""
    write_csv(here / "m.csv", {"long": SCRIPT})
    flags = ["run", "m.csv", *TONE, "--workers", "2", "--endpoint", server.url]
    with started(*flags, *first, here=here) as process:
        eventually(lambda: len(list(here.rglob("*.piece"))) > 3)
        end(process, signal.SIGKILL)
    assert ask(*flags, *then, here=here).status == 0
    [row] = results(here / "m")
    return row


def test_who_asks_for_the_times_of_words_later_has_them_of_all_segments(
    tmp_path: Path, server: Server
) -> None:
    row = kill_and_finish(tmp_path, server, (), (TIMED,))
    starts = [word["start_s"] for word in row["words"]]
    assert len(starts) == len(SCRIPT.split())
    assert starts == sorted(starts)
    for cue in row["cues"]:
        assert any(cue["start_s"] <= start_s <= cue["end_s"] for start_s in starts)


def test_who_asks_for_them_no_longer_has_none_and_pays_for_nothing_again(
    tmp_path: Path, server: Server
) -> None:
    assert kill_and_finish(tmp_path, server, (TIMED,), ())["words"] is None
    again = len(server.commits()) - len({commit["text"] for commit in server.commits()})
    assert again <= 2


def test_a_row_that_is_taken_back_tells_of_no_words_nor_segments() -> None:
    words, cues = (Word("Call", 0.0, 0.5),), (Cue(0, 4, 0.0, 0.5),)
    told = Result(id="long", status="done", words=words, cues=cues)
    failed = correction(0, told, Truncated("cut short")).result
    assert (failed.status, failed.words, failed.cues) == ("failed", None, None)
