"""Runs that are killed at a bad moment, and what somebody does to their output meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from batchtts.model import Result
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Header
from batchtts.run.joining import Joinery
from batchtts.run.reading import Reading
from tests.e2e import ask, audio_files, by_id, done, sentences, serving
from tests.test_books import Desk, Killed, dying, is_killed, killing


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serving(tmp_path / "log") as server:
        desk = Desk(tmp_path / "desk", server)
        desk.root.mkdir()
        yield desk


def killed(desk: Desk) -> None:
    """Run, and be killed by what is patched."""
    with pytest.raises(BaseException) as caught:  # told apart in the next line
        desk.run()
    assert is_killed(caught.value)


@killing
def test_a_row_that_was_joined_at_no_cost_leaves_no_audio_that_nobody_knows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(self: Joinery, reading: Reading) -> None:
        raise Killed

    append = Ledger.append

    def dies_before_success(self: Ledger, told: Sequence[Header | Result]) -> list[int]:
        told = list(told)
        if any(isinstance(line, Result) and line.status == "done" for line in told):
            raise Killed
        return append(self, told)

    desk.rows = {"long": " ".join(sentences(14).values())}
    with monkeypatch.context() as patched:
        patched.setattr(Joinery, "join", dies)
        killed(desk)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", dies_before_success)
        killed(desk)
    assert audio_files(desk.out) == {"wav/long.wav"}
    desk.rows = {"other": "Hello there."}
    desk.run()
    assert audio_files(desk.out) == {"wav/other.wav"}


@killing
def test_what_is_repaired_after_a_kill_is_counted_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        shutil.rmtree(desk.root)
        desk.root.mkdir()
        desk.rows = {"a": "Call me Ishmael.", "b": f"Some {number} years ago."}
        desk.server.texts()
        with dying(number, monkeypatch):
            killed(desk)
        if done(desk.out):
            break
    [row] = done(desk.out)
    (desk.out / f"wav/{row}.wav").write_bytes(b"broken")
    ask("check", "m", "--repair", here=desk.root)
    desk.run()
    assert sum(by_id(desk.out, "characters_sent").values()) == len("".join(desk.texts()))
