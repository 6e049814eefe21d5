"""A long row that is there and spoken anew: until it is, it has all that it had."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import (
    TONE,
    Row,
    Server,
    ask,
    end,
    eventually,
    ledger,
    results,
    sentences,
    serving,
    started,
    write_csv,
)

SCRIPT = " ".join(sentences(40).values())
SLOW = '[[fault]]\nkind = "slow"\nprobability = 1.0\nseconds = 0.008\n'


class Stand:
    """A row that is done, with the times of its words, and a server."""

    def __init__(self, here: Path, server: Server) -> None:
        self.here = here
        self.server = server
        self.out = here / "m"
        write_csv(here / "m.csv", {"long": SCRIPT})

    def flags(self, *flags: str) -> list[str]:
        voice = [*TONE, "--workers", "2", "--word-timestamps"]
        return ["run", "m.csv", *voice, "--endpoint", self.server.url, *flags]

    def run(self, *flags: str) -> Row:
        assert ask(*self.flags(*flags), here=self.here).status == 0
        return self.row()

    def row(self) -> Row:
        [row] = results(self.out)
        return row

    def begin(self, number: signal.Signals, *flags: str) -> None:
        """Speak it anew, and be stopped when some segments are there."""
        with started(*self.flags(*flags), here=self.here) as process:
            eventually(lambda: len(list(self.out.rglob("*.piece"))) > 4)
            end(process, number)

    def lines(self) -> list[int]:
        """How long the ledger's lines about segments are."""
        return [len(f"{line}") for line in ledger(self.out) if "segment" in line]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    faults = tmp_path / "faults.toml"
    faults.write_text(SLOW)
    with serving(tmp_path / "log", faults=faults) as server:
        yield Stand(tmp_path, server)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_row_that_is_not_spoken_anew_after_all_has_its_words_and_cues(
    stand: Stand, number: signal.Signals
) -> None:
    before = stand.run()
    assert before["words"]
    assert len(before["cues"]) > 5
    stand.begin(number, "--speed", "1.5")
    stand.begin(number, "--speed", "1.5")
    sent = len(stand.server.commits())
    after = stand.run()
    assert len(stand.server.commits()) == sent
    for name in ("words", "cues", "sha256", "script_hash"):
        assert after.get(name) == before.get(name), name
    texts = [commit["text"] for commit in stand.server.commits()]
    assert after["characters_sent"] == sum(map(len, texts))


def test_lines_about_segments_are_short_though_the_row_has_many_words(stand: Stand) -> None:
    stand.run()
    after = stand.run("--speed", "1.5")
    assert after["words"]
    assert len(stand.lines()) > 2 * len(after["cues"])
    assert max(stand.lines()) < 1500
    assert all("words" not in line for line in ledger(stand.out) if "segment" in line)
