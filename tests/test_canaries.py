"""Rows that every run speaks, and what is told when they do not sound as they did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchtts.errors import ManifestError
from batchtts.job.settings import Job
from batchtts.run.job import run
from batchtts.run.summary import Summary
from tests import e2e
from tests.e2e import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    here = tmp_path_factory.mktemp("server")
    with e2e.serving(here / "log") as found:
        yield found


@pytest.fixture
def here(tmp_path: Path, server: Server) -> Path:
    server.news()
    write(tmp_path, "a,Some years ago.,", "b,Call me Ishmael.,true")
    return tmp_path


def write(here: Path, *rows: str, names: str = "id,text,canary") -> None:
    (here / "m.csv").write_text("\n".join([names, *rows, ""]))


def speak(here: Path, server: Server, **more: object) -> Summary:
    usual: dict[str, object] = {
        "manifest": here / "m.csv",
        "provider": "local",
        "voice": "tone",
        "endpoint": server.url,
    }
    return run(Job(**{**usual, **more}), environment={})  # type: ignore[arg-type]


def history(here: Path) -> list[bytes]:
    path = here / "m" / "canaries.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def test_a_canary_is_spoken_by_every_run_and_remembered(here: Path, server: Server) -> None:
    first = speak(here, server)
    assert (first.spoken, first.alerts, len(history(here))) == (2, (), 1)
    assert server.texts() == ["Call me Ishmael.", "Some years ago."]
    second = speak(here, server)
    assert (second.spoken, second.done, second.exit_code) == (1, 2, 0)
    assert server.texts() == ["Call me Ishmael."]
    assert len(history(here)) == 2
    assert e2e.untrue_lines(here / "m") == []
    assert e2e.ask("check", here / "m", here=here).status == 0


def test_with_again_only_that_is_spoken(here: Path, server: Server) -> None:
    speak(here, server)
    server.news()
    speak(here, server, again=("a",))
    assert server.texts() == ["Some years ago."]
    assert len(history(here)) == 1


def test_a_canary_that_fails_has_what_it_had_and_no_line(
    here: Path, server: Server, tmp_path: Path
) -> None:
    speak(here, server)
    before = e2e.by_id(here / "m", "sha256")
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "fail"\ntext = "Ishmael"\n')
    with e2e.serving(tmp_path / "log", faults=tmp_path / "faults.toml") as bad:
        summary = speak(here, bad, attempts=1)
        assert len(bad.texts()) == 1
    assert (summary.exit_code, summary.done, summary.alerts) == (0, 2, ())
    assert e2e.by_id(here / "m", "sha256") == before
    assert len(history(here)) == 1
    assert e2e.by_id(here / "m", "characters_sent")["b"] == 2 * len("Call me Ishmael.")


def test_a_canary_that_sounds_otherwise_is_told_of_and_no_failure(
    here: Path, server: Server, tmp_path: Path
) -> None:
    for _ in range(3):
        speak(here, server)
    fault = '[[fault]]\nkind = "damage"\nhow = "doubled"\ntext = "Ishmael"\n'
    (tmp_path / "faults.toml").write_text(fault)
    with e2e.serving(tmp_path / "log", faults=tmp_path / "faults.toml") as changed:
        summary = speak(here, changed)
    assert summary.exit_code == 0
    assert {(it.id, it.what) for it in summary.alerts} >= {("b", "duration")}


def test_a_canary_with_another_script_begins_anew(here: Path, server: Server) -> None:
    speak(here, server)
    write(here, "a,Some years ago.,", "b,Never mind how long precisely it was.,true")
    assert speak(here, server).alerts == ()
    assert len(history(here)) == 2


def test_a_history_that_is_gone_or_torn_is_no_more_than_that(here: Path, server: Server) -> None:
    speak(here, server)
    speak(here, server)
    path = here / "m" / "canaries.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert speak(here, server).alerts == ()
    assert len(history(here)) == 2  # what was torn is gone, what is new is whole
    path.write_bytes(b"\xff\n{}\n" + path.read_bytes())
    speak(here, server)
    path.unlink()
    assert speak(here, server).alerts == ()
    assert len(history(here)) == 1


def test_a_canary_is_spoken_even_if_its_script_has_audio(here: Path, server: Server) -> None:
    write(here, "a,Some years ago.,", "b,Some years ago.,yes", "c,Some years ago.,")
    speak(here, server)
    speak(here, server)
    assert server.texts() == ["Some years ago."] * 2
    assert len(history(here)) in (1, 2)
    assert e2e.by_id(here / "m", "status") == dict.fromkeys("abc", "done")
    assert e2e.ask("check", here / "m", here=here).status == 0


def test_a_column_of_another_kind_is_no_canary(here: Path, server: Server) -> None:
    write(here, "a,Some years ago.,yellow")
    with pytest.raises(ManifestError, match='canary is "yellow"; it must be true or false'):
        speak(here, server)
    assert server.news() == []
    assert not (here / "m").exists()


def test_columns_of_a_manifest_may_be_called_as_those_of_the_results(
    here: Path, server: Server
) -> None:
    names = "id,text,verdict,wer,transcript,takes"
    write(here, "a,Some years ago.,true,x,y,7", "b,Call me Ishmael.,false,z,,8", names=names)
    more = {"columns": {"canary": "verdict"}, "verify": True, "recognizer_model": "tone"}
    for _ in range(2):
        summary = speak(here, server, recognizer_endpoint=server.url, **more)
        assert (summary.exit_code, summary.verdicts) == (0, {"pass": 2})
    assert len(history(here)) == 2
    row = e2e.results(here / "m")[0]
    own = [row[it] for it in ("verdict", "wer", "transcript", "takes")]
    assert own == ["pass", 0.0, "Some years ago.", 1]
    theirs = [row[f"manifest_{it}"] for it in ("verdict", "wer", "transcript", "takes")]
    assert theirs == [True, "x", "y", 7]
