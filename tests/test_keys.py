"""Keys: where they come from, and that nobody gets to see them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from batchtts.errors import SettingsError
from batchtts.job.settings import load
from batchtts.job.speaker import Speaker, choose_speaker
from tests.e2e import AT_ONCE, ask, serving, write_csv

KEY = "tgp_v1_0123456789abcdef"
OTHER = "tgp_v1_of-the-environment"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def key_file(content: str | bytes, mode: int = 0o600) -> Path:
    path = Path("secret/key.txt")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def speaker(job: str, **environment: str) -> Speaker:
    """Who speaks in a job with a key file."""
    path = Path("job.toml")
    path.write_text(f'manifest = "m.csv"\nkey_file = "secret/key.txt"\n{job}\n')
    return choose_speaker(load(path, {}), environment, has_hibari=True)


TOGETHER = 'provider = "together"'


def refusal(job: str = TOGETHER) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        speaker(job)
    assert KEY not in f"{refused.value} {refused.value.hint}"
    return refused.value


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"\n\n  {KEY}\r\n\n"])
def test_a_key_file_holds_a_key_and_white_space_around_it(content: str) -> None:
    key_file(content)
    chosen = speaker(TOGETHER)
    assert (chosen.key, chosen.key_source) == (KEY, "secret/key.txt")


def test_a_key_file_comes_before_the_environment() -> None:
    key_file(KEY)
    assert speaker(TOGETHER, TOGETHER_API_KEY=OTHER).key == KEY


def test_without_a_file_the_environment_is_the_source() -> None:
    job = load(Path("m.csv"), {})
    chosen = choose_speaker(job, {"TOGETHER_API_KEY": OTHER}, has_hibari=True)
    assert (chosen.key, chosen.key_source) == (OTHER, "TOGETHER_API_KEY")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        (" \n\t\n", "is empty"),
        (f"{KEY}\n{KEY}", "holds more than one line"),
        (f"# mine\n{KEY}", "holds more than one line"),
        ("k" * 20_000, "holds more than one line"),
        (f"{KEY}é", "holds characters that no key has"),
        (f"“{KEY}”", "holds characters that no key has"),
        (f"{KEY}\0", "holds characters that no key has"),
        (f"\ufeff{KEY}", "holds characters that no key has"),
        (KEY.encode("utf-16"), "holds characters that no key has"),
        (b"\xff\xfe", "holds characters that no key has"),
    ],
)
def test_a_file_without_a_key_is_named_and_not_repeated(content: str | bytes, problem: str) -> None:
    key_file(content)
    assert str(refusal()) == f"key_file secret/key.txt {problem}"


def test_a_file_that_cannot_be_read_is_named() -> None:
    assert str(refusal()) == "key_file secret/key.txt: no such file or directory"
    Path("secret/key.txt").mkdir(parents=True)
    assert str(refusal()) == "key_file secret/key.txt: is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_we_may_not_read_is_named() -> None:
    key_file(KEY, 0)
    assert str(refusal()) == "key_file secret/key.txt: permission denied"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_may_read_is_warned_of(
    mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    key_file(KEY, mode)
    assert speaker(TOGETHER).key == KEY
    assert caplog.messages == [
        "key_file secret/key.txt is open to others than you; chmod 600 secret/key.txt"
    ]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_ones_own_is_not_warned_of(mode: int, caplog: pytest.LogCaptureFixture) -> None:
    key_file(KEY, mode)
    speaker(TOGETHER)
    assert caplog.messages == []


def test_a_key_may_come_through_a_pipe(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    os.write(writing, KEY.encode())
    os.close(writing)
    Path("job.toml").write_text(
        f'manifest = "m.csv"\nkey_file = "/dev/fd/{reading}"\nprovider = "together"\n'
    )
    chosen = choose_speaker(load(Path("job.toml"), {}), {}, has_hibari=True)
    os.close(reading)
    assert (chosen.key, caplog.messages) == (KEY, [])


def test_a_key_file_needs_a_provider() -> None:
    error = refusal("")
    assert str(error) == "key_file secret/key.txt: no provider is named"
    assert error.hint == 'provider = "together"'


def test_a_key_file_is_left_alone_where_no_key_is_needed() -> None:
    assert speaker('provider = "local"').key is None


def test_our_own_server_takes_the_key_of_a_file_too() -> None:
    key_file(KEY)
    local = 'provider = "local"\nendpoint = "ws://127.0.0.1:1"'
    assert speaker(local, BATCHTTS_SERVE_KEY=OTHER).key == KEY


def test_a_key_of_a_file_opens_a_server_and_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One.", "b": "Two."})
    key_file(KEY, 0o644)
    with serving(tmp_path / "served.jsonl", key=KEY) as server:
        (tmp_path / "job.toml").write_text(
            f'manifest = "m.csv"\n{TOGETHER}\nendpoint = "{server.url}"\n'
            'key_file = "secret/key.txt"\nrecord = "said"\n'
        )
        answer = ask("run", "job.toml", "--verbose", *AT_ONCE, here=tmp_path)
        key_file("wrong")
        refused = ask("run", "job.toml", "--out", "again", here=tmp_path)
    assert answer.status == 0, answer.err
    assert "keys key_file secret/key.txt is open to others than you; chmod 600" in answer.err
    assert (refused.status, refused.out) == (4, "")
    assert "  hint: the key came from secret/key.txt\n" in refused.err
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "key.txt"]
    assert {"ledger.jsonl", "results.parquet", "summary.json"} <= {path.name for path in left}
    assert not any(KEY.encode() in path.read_bytes() for path in left)
    assert KEY not in answer.out + answer.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("mode", "is_warned_of"), [(0o440, False), (0o400, False), (0o444, True)])
def test_a_secret_that_root_lends_to_a_group_is_as_it_must_be(
    mode: int, is_warned_of: bool, caplog: pytest.LogCaptureFixture
) -> None:
    key_file(KEY, mode)
    os.chown("secret/key.txt", 1, 1)
    assert speaker(TOGETHER).key == KEY
    assert bool(caplog.messages) is is_warned_of
