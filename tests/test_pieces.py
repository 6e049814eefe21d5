"""Segments on the disk: each is what was heard, or none at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import OutputBroken
from batchtts.model import Word
from batchtts.record import disk, lines
from batchtts.record.pieces import Facts, Piece, Pieces, folder_of, names_of

FACTS = Facts(
    sample_rate_hz=24_000,
    peak_dbfs=-3.0,
    attempts=2,
    queue_s=0.0,
    connect_s=0.1,
    ttfa_s=0.25,
    synth_s=0.5,
    context="run-0-0-1",
    words=(Word("Hello", 0.1, 0.4),),
)
PCM = bytes(range(200))
NAMES = names_of([f"said {number}" for number in range(3)])


def piece(number: int = 0, folder: str = "row", pcm: bytes = PCM) -> Piece:
    return Piece(folder, NAMES[number], FACTS, pcm)


@pytest.fixture
def shelf(tmp_path: Path) -> Pieces:
    return Pieces(tmp_path / "private" / "pieces")


def path_of(shelf: Pieces, number: int = 0, folder: str = "row") -> Path:
    return shelf.directory / folder / NAMES[number]


def found(shelf: Pieces, folder: str = "row") -> list[int]:
    """The numbers of the pieces that are there."""
    told = enumerate(Pieces(shelf.directory).find(folder, NAMES))
    return [number for number, facts in told if facts is not None]


def test_where_nothing_was_published_nothing_is_found(shelf: Pieces) -> None:
    assert found(shelf) == []
    assert not shelf.directory.exists()


def test_what_was_published_is_found_and_read_as_it_was(shelf: Pieces) -> None:
    shelf.publish([piece(2), piece(0, pcm=b"")])
    assert found(shelf) == [0, 2]
    facts, pcm = Pieces(shelf.directory).read("row", NAMES[2])
    assert pcm == PCM
    assert msgspec.structs.replace(facts, sha256="", name="") == FACTS
    assert shelf.read("row", NAMES[0])[1] == b""
    assert {path.name for path in (shelf.directory / "row").iterdir()} == {NAMES[0], NAMES[2]}


def test_pieces_of_several_rows_are_published_together(shelf: Pieces) -> None:
    shelf.publish([piece(0, "one"), piece(0, "two"), piece(1, "one")])
    assert (found(shelf, "one"), found(shelf, "two"), found(shelf)) == ([0, 1], [0], [])


def test_a_piece_that_is_published_again_is_the_last_one(shelf: Pieces) -> None:
    shelf.publish([piece()])
    shelf.publish([piece(pcm=PCM[:100])])
    assert shelf.read("row", NAMES[0])[1] == PCM[:100]


@given(st.data())
def test_a_piece_that_is_cut_anywhere_is_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shelf = Pieces(tmp_path_factory.getbasetemp() / "cut")
    shelf.publish([piece()])
    whole = path_of(shelf).read_bytes()
    path_of(shelf).write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert found(shelf) == []


@given(st.data())
def test_a_piece_with_another_bit_is_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shelf = Pieces(tmp_path_factory.getbasetemp() / "flipped")
    shelf.publish([piece()])
    spoilt = bytearray(path_of(shelf).read_bytes())
    spoilt[data.draw(st.integers(0, len(spoilt) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path_of(shelf).write_bytes(spoilt)
    assert found(shelf) == []


@pytest.mark.parametrize("at", [path_of, lambda shelf: path_of(shelf, 1, "other")])
def test_a_piece_of_something_else_is_none(shelf: Pieces, at: object) -> None:
    """It is whole, but it is the sound of another text, or of another row."""
    assert callable(at)
    shelf.publish([piece(1), piece(0, "other")])
    at(shelf).write_bytes(path_of(shelf, 1).read_bytes())
    assert found(shelf) == [1]
    assert found(shelf, "other") == [0]


@pytest.mark.parametrize("data", [b"", b"\n", b"\0" * 4096, b"RIFF\n", os.urandom(300) + b"\n"])
def test_what_no_run_has_written_is_none(shelf: Pieces, data: bytes) -> None:
    shelf.publish([piece()])
    path_of(shelf).write_bytes(data)
    assert found(shelf) == []


def test_a_piece_with_other_facts_is_none(shelf: Pieces) -> None:
    """Another version may have written it."""

    class Others(msgspec.Struct, frozen=True):
        sha256: str = "0f"
        rate: str = "high"

    shelf.publish([piece()])
    path_of(shelf).write_bytes(lines.encode(Others()) + PCM)
    assert found(shelf) == []


def test_a_directory_in_the_place_of_a_piece_is_none(shelf: Pieces) -> None:
    path_of(shelf).mkdir(parents=True)
    assert found(shelf) == []


def test_to_read_what_is_gone_is_an_error_that_says_what_to_do(shelf: Pieces) -> None:
    shelf.publish([piece()])
    path_of(shelf).write_bytes(b"no")
    with pytest.raises(OutputBroken, match=r"\.piece: not what was written there") as raised:
        shelf.read("row", NAMES[0])
    assert raised.value.hint == "run the same command again: what is missing is spoken again"


# ── on a disk that fails, or stops ────────────────────────────────────────────


@pytest.mark.parametrize("step", ["create", "write_all", "sync", "rename", "sync_directory"])
def test_where_a_disk_fails_no_piece_is_half(
    shelf: Pieces, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shelf.publish([piece(0)])
    with monkeypatch.context() as patched:
        patched.setattr(disk, step, fail)
        with pytest.raises(OutputBroken, match="no space left"):
            shelf.publish([piece(1), piece(2)])
    there = found(shelf)
    assert there == [0] if step != "sync_directory" else there == [0, 1, 2]
    shelf.publish([piece(1), piece(2)])
    assert found(shelf) == [0, 1, 2]


def test_all_content_is_durable_before_any_name_is_given(
    shelf: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for name in ("sync", "rename", "sync_directory"):
        step = getattr(disk, name)

        def note(*told: object, name: str = name, step: object = step) -> None:
            assert callable(step)
            steps.append(name)
            step(*told)

        monkeypatch.setattr(disk, name, note)
    shelf.publish([piece(0)])
    steps.clear()
    shelf.publish([piece(1), piece(2)])
    assert steps == ["sync", "sync", "rename", "rename", "sync_directory"]


# ── removed ───────────────────────────────────────────────────────────────────


def test_a_piece_that_is_removed_is_gone_and_may_be_gone_before(shelf: Pieces) -> None:
    shelf.publish([piece(0), piece(1)])
    shelf.remove("row", NAMES[0])
    shelf.remove("row", NAMES[0])
    assert found(shelf) == [1]


def test_the_pieces_of_a_row_are_dropped_with_all_that_lies_there(shelf: Pieces) -> None:
    shelf.publish([piece(0), piece(1), piece(0, "other")])
    (shelf.directory / "row" / "x.part").touch()
    shelf.drop("row")
    shelf.drop("row")
    assert not (shelf.directory / "row").exists()
    assert found(shelf, "other") == [0]
    shelf.publish([piece(2)])
    assert found(shelf) == [2]


def test_all_pieces_are_cleared_at_once(shelf: Pieces) -> None:
    shelf.clear()
    shelf.publish([piece(0), piece(0, "other")])
    shelf.clear()
    assert not shelf.directory.exists()
    shelf.publish([piece(1)])
    assert found(shelf) == [1]


# ── names ─────────────────────────────────────────────────────────────────────


def test_each_row_has_a_folder_of_its_own() -> None:
    folders = {folder_of("a"), folder_of("b"), folder_of("A")}
    assert len(folders) == 3
    assert folder_of("a") in folders
    assert all(folder.isalnum() and len(folder) == 32 for folder in folders)


def test_a_piece_is_known_again_wherever_it_stands() -> None:
    before = names_of(["One.", "Two.", "Three.", "Two."])
    assert len(set(before)) == 4
    after = names_of(["One.", "New.", "Two.", "Three.", "Two.", "Two."])
    assert set(before) < set(after)
    assert [name in before for name in after] == [True, False, True, True, True, False]
    assert names_of(["said"]) != names_of(["Said"])
