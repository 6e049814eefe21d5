from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from batchtts.errors import OutputBroken, OutputInUse, UsageError
from batchtts.model import AudioFormat, Container, Result, Status, Take, Utterance, Voice
from batchtts.record import disk, names
from batchtts.record.store import Layout, Store, occupy

RATE_HZ = 24_000
VOICE = Voice("af_heart", "kokoro", "en-us")
PCM = (np.sin(np.arange(RATE_HZ) / 9) * 9000).astype("<i2").tobytes()


def take(row_id: str, pcm: bytes = PCM, status: Status = "done") -> Take:
    utterance = Utterance(
        row=0, id=row_id, script="Call me Ishmael.", voice=VOICE, speed=1.0, fingerprint="0f" * 16
    )
    result = Result(id=row_id, status=status, synth_s=0.5)
    return Take(utterance=utterance, pcm=pcm, sample_rate_hz=RATE_HZ, result=result)


@contextmanager
def store(
    root: Path,
    *contested: str,
    container: Container = "wav",
    sample_rate_hz: int = RATE_HZ,
    rows: int = 1,
) -> Iterator[Store]:
    with occupy(root) as layout:
        yield Store(
            layout,
            AudioFormat(container, sample_rate_hz),
            rows,
            frozenset(hash(stem.casefold()) for stem in contested),
        )


def at_once(*_: object) -> None:
    """Nothing is in the way of a new file."""


def files(root: Path) -> list[str]:
    """What a user sees."""
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith(".batchtts/"))


def failing(number: int) -> Callable[..., None]:
    """A durable step that the system refuses."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


# Publishing


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_what_is_published_is_what_was_heard(tmp_path: Path, container: Container) -> None:
    with store(tmp_path, container=container) as shelf:
        [result] = shelf.publish([take("ch1")], at_once)
    assert files(tmp_path) == [f"{container}/ch1.{container}"] == [result.path]
    path = tmp_path / f"{container}/ch1.{container}"
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert samples.tobytes() == PCM
    assert soundfile.info(path).subtype == "PCM_16"
    assert result == Result(
        id="ch1",
        status="done",
        synth_s=0.5,
        path=result.path,
        sample_rate_hz=rate_hz,
        frames=len(samples),
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mtime_ns=path.stat().st_mtime_ns,
    )
    assert (result.audio_s, result.rtf) == (1.0, 0.5)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_another_rate_is_the_same_sound_for_the_same_time(tmp_path: Path, rate_hz: int) -> None:
    with store(tmp_path, sample_rate_hz=rate_hz) as shelf:
        [result] = shelf.publish([take("ch1")], at_once)
    samples, read_hz = soundfile.read(tmp_path / "wav/ch1.wav")
    assert (read_hz, len(samples)) == (rate_hz, result.frames)
    assert result.audio_s == pytest.approx(1.0, abs=0.001)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(9000 / 32768 / np.sqrt(2), rel=0.01)


def test_failed_takes_pass_through(tmp_path: Path) -> None:
    failed = take("ch2", b"", "failed")
    with store(tmp_path) as shelf:
        results = shelf.publish([take("ch1"), failed, take("ch3")], at_once)
    assert [result.path for result in results] == ["wav/ch1.wav", None, "wav/ch3.wav"]
    assert results[1] == failed.result
    assert files(tmp_path) == ["wav/ch1.wav", "wav/ch3.wav"]


def test_what_is_spoken_again_takes_the_place_of_the_old(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        [old] = shelf.publish([take("ch1")], at_once)
        [new] = shelf.publish([take("ch1", PCM[:4800])], at_once)
    assert files(tmp_path) == ["wav/ch1.wav"]
    assert soundfile.info(tmp_path / "wav/ch1.wav").frames == new.frames == 2400
    assert old.sha256 != new.sha256


def test_nothing_stays_behind_out_of_sight(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        shelf.publish([take("ch1"), take("ch2")], at_once)
        assert list(shelf.layout.scratch.iterdir()) == []


def test_a_contested_name_is_given_to_nobody(tmp_path: Path) -> None:
    with store(tmp_path, "Ahab") as shelf:
        results = shelf.publish([take("Ahab"), take("AHAB"), take("Ishmael")], at_once)
    assert [result.path for result in results] == [
        f"wav/{names.own_stem('Ahab')}.wav",
        f"wav/{names.own_stem('AHAB')}.wav",
        "wav/Ishmael.wav",
    ]


def test_many_rows_go_into_folders(tmp_path: Path) -> None:
    with store(tmp_path, rows=5000) as shelf:
        [result] = shelf.publish([take("ch1")], at_once)
    assert result.path == f"wav/{names.digest('ch1')[:2]}/ch1.wav"
    assert files(tmp_path) == [result.path]


def test_the_user_decides_who_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with store(tmp_path / "out") as shelf:
            shelf.publish([take("ch1")], at_once)
    finally:
        os.umask(before)
    assert (tmp_path / "out/wav/ch1.wav").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "out/wav").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("step", ["create", "sync", "rename", "make_directory"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_leaves_nothing_under_a_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    with store(tmp_path) as shelf, monkeypatch.context() as broken:
        broken.setattr(disk, step, failing(number))
        with pytest.raises(OutputBroken, match=f"(?i){os.strerror(number)}"):
            shelf.publish([take("ch1"), take("ch2")], at_once)
    assert files(tmp_path) == []


def test_a_directory_that_cannot_be_made_durable_breaks_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store(tmp_path) as shelf:
        shelf.publish([take("ch1")], at_once)
        monkeypatch.setattr(disk, "sync_directory", failing(errno.EIO))
        with pytest.raises(OutputBroken):
            shelf.publish([take("ch2")], at_once)
    assert soundfile.info(tmp_path / "wav/ch2.wav").frames == RATE_HZ


def test_a_full_disk_found_out_while_writing_breaks_the_run(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with store(tmp_path) as shelf:
        (shelf.layout.scratch / "1.part").symlink_to(full)
        with pytest.raises(OutputBroken):
            shelf.publish([take("ch1")], at_once)
    assert files(tmp_path) == []


# Sharing


REFUSALS = [errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS]


def test_shared_audio_is_one_file_with_two_names(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        shared = shelf.share([("ch2", source), ("ch3", source)], at_once)
        assert list(shelf.layout.scratch.iterdir()) == []
    assert files(tmp_path) == ["wav/ch1.wav", "wav/ch2.wav", "wav/ch3.wav"]
    assert shared == [
        msgspec.structs.replace(source, id=row_id, path=f"wav/{row_id}.wav")
        for row_id in ("ch2", "ch3")
    ]
    inodes = {(tmp_path / name).stat().st_ino for name in files(tmp_path)}
    assert len(inodes) == 1


@pytest.mark.parametrize("number", REFUSALS)
def test_where_a_file_has_one_name_only_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(disk, "link", failing(number))
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        os.utime(tmp_path / "wav/ch1.wav", ns=(5, 5))
        [shared] = shelf.share([("ch2", source)], at_once)
    first, second = tmp_path / "wav/ch1.wav", tmp_path / "wav/ch2.wav"
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_ino != second.stat().st_ino
    assert shared.mtime_ns == second.stat().st_mtime_ns != 5
    expected = msgspec.structs.replace(
        source, id="ch2", path="wav/ch2.wav", mtime_ns=shared.mtime_ns
    )
    assert shared == expected


def test_a_copy_is_durable_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "link", failing(errno.EPERM))
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        steps: list[str] = []
        for name in ("sync", "rename", "sync_directory"):
            step = getattr(disk, name)

            def noted(*told: object, name: str = name, step: Callable[..., None] = step) -> None:
                steps.append(name)
                step(*told)

            monkeypatch.setattr(disk, name, noted)
        shelf.share([("ch2", source)], at_once)
    assert steps == ["sync", "rename", "sync_directory"]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("how", ["gone", "shorter", "other"])
def test_audio_that_is_not_what_it_was_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(disk, "link", failing(errno.EPERM))
    with store(tmp_path) as shelf:
        one, other = shelf.publish([take("ch1"), take("ch2")], at_once)
        path = tmp_path / "wav/ch1.wav"
        whole = path.read_bytes()
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(whole[:-2] if how == "shorter" else whole[:-1] + b"?")
            os.utime(path, ns=(5, 5))
        told = shelf.share([("ch3", one), ("ch4", other)], at_once)
        assert list(shelf.layout.scratch.iterdir()) == []
    assert told[0] == Result(id="ch3", status="pending")
    assert (told[1].status, told[1].path) == ("done", "wav/ch4.wav")
    assert "wav/ch3.wav" not in files(tmp_path)


def test_audio_that_was_only_touched_is_shared(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        os.utime(tmp_path / "wav/ch1.wav", ns=(5, 5))
        [shared] = shelf.share([("ch2", source)], at_once)
    assert (shared.status, shared.mtime_ns) == ("done", 5)


def test_what_is_shared_takes_the_place_of_the_old(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        shelf.publish([take("ch2", PCM[:4800])], at_once)
        shelf.share([("ch2", source)], at_once)
    assert (tmp_path / "wav/ch1.wav").read_bytes() == (tmp_path / "wav/ch2.wav").read_bytes()


def test_speaking_a_row_again_leaves_those_that_share_its_audio_alone(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        shelf.share([("ch2", source)], at_once)
        shelf.publish([take("ch1", PCM[:4800])], at_once)
    assert soundfile.info(tmp_path / "wav/ch1.wav").frames == 2400
    assert soundfile.info(tmp_path / "wav/ch2.wav").frames == RATE_HZ


def test_sharing_again_what_is_shared_changes_nothing(tmp_path: Path) -> None:
    with store(tmp_path) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        assert shelf.share([("ch2", source)], at_once) == shelf.share([("ch2", source)], at_once)
    assert files(tmp_path) == ["wav/ch1.wav", "wav/ch2.wav"]


@pytest.mark.parametrize("step", ["rename", "link", "make_directory", "sync_directory"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_while_sharing_breaks_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    with store(tmp_path, rows=5000) as shelf:
        [source] = shelf.publish([take("ch1")], at_once)
        monkeypatch.setattr(disk, step, failing(number))
        with pytest.raises(OutputBroken, match=f"(?i){os.strerror(number)}"):
            shelf.share([("ch2", source)], at_once)


def test_the_way_is_cleared_when_all_is_written_and_nothing_has_its_name(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    with store(tmp_path) as shelf:
        shelf.publish([take("ch1")], at_once)

        def clear() -> None:
            seen.append(files(tmp_path))
            seen.append(sorted(it.name for it in shelf.layout.scratch.iterdir()))

        shelf.publish([take("ch2"), take("ch3"), take("ch4", b"", "failed")], clear)
    assert seen == [["wav/ch1.wav"], ["2.part", "3.part"]]


# Occupying


def test_an_output_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    root = tmp_path / "a/b/out"
    with occupy(root) as layout:
        assert layout == Layout(root)
        assert layout.scratch.is_dir()
    assert layout.ledger == root / "ledger.jsonl"
    assert layout.summary == root / "summary.json"


@pytest.mark.parametrize("place", ["taken", "taken/out", "taken/a/b"])
def test_a_file_is_no_output_directory(tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").write_text("mine")
    with (
        pytest.raises(UsageError, match="taken is a file, not a directory") as refused,
        occupy(tmp_path / place),
    ):
        pass
    assert refused.value.hint == "name another --out"
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_name_that_no_file_system_takes_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputBroken, match="file name too long"), occupy(tmp_path / ("x" * 300)):
        pass


@as_user
def test_a_read_only_parent_is_told_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputBroken, match="permission denied"), occupy(tmp_path / "out"):
        pass


@as_user
def test_a_parent_that_may_not_be_entered_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(OutputBroken, match="permission denied"), occupy(tmp_path / "closed/out"):
        pass


def test_a_disk_that_takes_no_directory_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "sync_directory", failing(errno.EROFS))
    with pytest.raises(OutputBroken, match="read-only file system"), occupy(tmp_path / "out"):
        pass


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    with occupy(tmp_path) as layout:
        (layout.scratch / "1.part").write_bytes(b"RIFF")
        layout.ledger.write_bytes(b"{}\n")
    with occupy(tmp_path) as layout:
        assert list(layout.scratch.iterdir()) == []
        assert layout.ledger.exists()


def test_only_one_run_is_in_a_directory(tmp_path: Path) -> None:
    with occupy(tmp_path) as layout:
        (layout.scratch / "1.part").write_bytes(b"RIFF")
        with pytest.raises(OutputInUse, match=f"{tmp_path} is in use by pid {os.getpid()}"):
            occupy(tmp_path).__enter__()
        assert (layout.scratch / "1.part").exists()
    with occupy(tmp_path):
        pass


# The durable steps


def test_a_small_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scratch = tmp_path / "summary.json", tmp_path / "scratch"
    disk.replace_file(path, b"old", scratch=scratch)
    disk.replace_file(path, b"new", scratch=scratch)
    monkeypatch.setattr(disk, "sync", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        disk.replace_file(path, b"newest", scratch=scratch)
    assert path.read_bytes() == b"new"


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    disk.replace_file(tmp_path / "whole", b"0123456789", scratch=tmp_path / "scratch")
    assert (tmp_path / "whole").read_bytes() == b"0123456789"
