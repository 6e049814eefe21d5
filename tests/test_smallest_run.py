"""`batchtts run --provider smallest` against our server: what is left on disk, and at what cost."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import soundfile

from batchtts.audio.join import Joiner
from batchtts.model import Pauses, Voice
from batchtts.server.engine import Tone
from batchtts.text.rendering import Rendering
from batchtts.text.segment import split
from batchtts.wire.smallest import SEGMENT_CHARS
from tests.e2e import Answer, Row, Server, ask, ledger, results, sentences, serving

KEY = {"SMALLEST_API_KEY": "k"}
QUICK = ("-O", "complete_backoff_ms=0", "-O", "linger_s=0.05")
LONG = (
    "Having little or no money in my purse, and nothing particular to interest me on shore, I"
    " thought I would sail about a little and see the watery part of the world. It is a way I"
    " have of driving off the spleen, and regulating the circulation."
)

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server that behaves as a file of faults and knobs says."""
    with ExitStack() as running:

        def start(knobs: str = "") -> Server:
            (tmp_path / "knobs.toml").write_text(knobs)
            log = tmp_path / "served.jsonl"
            return running.enter_context(serving(log, faults=tmp_path / "knobs.toml"))

        yield start


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def run(server: Server, here: Path, *flags: str, path: str = "") -> Answer:
    command = ("run", "m.csv", "--provider", "smallest", "--endpoint", f"{server.url}{path}")
    return ask(*command, *flags, here=here, extra=KEY)


def as_spoken(script: str, speed: float = 1.0) -> bytes:
    """The samples of a script: each segment is a sound of its own, and pauses are between."""
    voice, joiner = Voice("x", "tone", "zxx"), Joiner(24_000)
    pieces = split(Rendering.of(script), SEGMENT_CHARS, "en-us")
    joined = bytearray()
    for piece in pieces:
        pcm = b"".join(Tone().speak(piece.text, voice, speed))
        pause_s = getattr(Pauses(), piece.boundary)
        joined += joiner.add(pcm, pause_s, last=piece is pieces[-1]).pcm
    return bytes(joined)


def heard(out: Path, row: Row) -> bytes:
    samples, rate_hz = soundfile.read(out / row["path"], dtype="int16")
    assert rate_hz == 24_000
    return bytes(samples.tobytes())


def assert_all_spoken(here: Path, texts: Mapping[str, str]) -> list[Row]:
    rows = results(here / "m")
    assert [(row["id"], row["status"]) for row in rows] == [(it, "done") for it in texts]
    for row in rows:
        assert heard(here / "m", row) == as_spoken(texts[row["id"]])
    return rows


def assert_nothing_twice(rows: Sequence[Row]) -> None:
    assert [row["attempts"] for row in rows] == [row["segments"] for row in rows]


def longest_first(texts: dict[str, str]) -> dict[str, str]:
    """In the order in which a single worker speaks them."""
    return dict(sorted(texts.items(), key=lambda it: -len(it[1])))


def test_alternating_voices_and_models_share_a_connection(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    texts = {"long": LONG, **longest_first(sentences(5))}
    voices = ["sophia", "meher", "magnus"] * 2
    write(
        tmp_path / "m.csv",
        [
            {"id": it, "text": text, "voice": voice}
            for (it, text), voice in zip(texts.items(), voices, strict=True)
        ],
    )
    assert run(server, tmp_path, "--workers", "1", *QUICK).status == 0
    rows = assert_all_spoken(tmp_path, texts)
    assert_nothing_twice(rows)
    assert rows[0]["segments"] == 2
    commits = server.commits()
    assert {commit["connection"] for commit in commits} == {1}
    assert [commit["voice"] for commit in commits] == ["sophia", *voices]
    assert [row["cost_usd"] is None for row in rows] == [voice != "meher" for voice in voices]


def test_five_workers_never_have_two_requests_in_flight(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    texts = sentences(24)
    write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in texts.items()])
    assert run(server, tmp_path, *QUICK).status == 0
    assert_nothing_twice(assert_all_spoken(tmp_path, texts))
    assert {commit["connection"] for commit in server.commits()} == {1, 2, 3, 4, 5}


def test_a_close_after_complete_costs_connections_and_no_attempts(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve("[smallest]\ncloses = true\nexplains = true\n")
    texts = sentences(12)
    write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in texts.items()])
    assert run(server, tmp_path, *QUICK).status == 0
    assert_nothing_twice(assert_all_spoken(tmp_path, texts))
    assert len({commit["connection"] for commit in server.commits()}) == len(texts)


@pytest.mark.parametrize("shape", ["message", "issues"])
def test_too_much_at_once_costs_time_and_no_rows(serve: Serve, tmp_path: Path, shape: str) -> None:
    server = serve(f'[smallest]\nerror_shape = "{shape}"\n')
    texts = sentences(8)
    write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in texts.items()])
    assert run(server, tmp_path, "--in-flight", "5", "--attempts", "1", *QUICK).status == 0
    assert_all_spoken(tmp_path, texts)
    assert sorted(commit["text"] for commit in server.commits()) == sorted(texts.values())


@pytest.mark.slow
def test_how_much_at_once_is_too_much_is_known_to_the_next_run(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve('[[fault]]\nkind = "slow"\nprobability = 1.0\nseconds = 0.1\n')
    learned = tmp_path / "m/.batchtts/pace.json"
    texts = sentences(48)
    for count in (24, 48):
        some = dict(list(texts.items())[:count])
        write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in some.items()])
        answer = run(server, tmp_path, "--in-flight", "4", "--workers", "5", *QUICK)
        assert answer.status == 0
        [found] = json.loads(learned.read_bytes()).values()
        assert 1 <= found["in_flight"] < found["allowed"] == 4
        told = f"smallest took {found['in_flight']} requests at once, of 4 that it may be sent"
        assert told in answer.err
    assert_all_spoken(tmp_path, texts)


def test_complete_in_the_middle_of_a_script_does_not_cut_it(serve: Serve, tmp_path: Path) -> None:
    server = serve('[smallest]\nquiet = "chunks"\n')
    texts = sentences(6)
    write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in texts.items()])
    # With every word timed the window closes at once, so it may be as long as it likes.
    flags = ("--voice", "devansh", "--word-timestamps", "-O", "complete_backoff_ms=0")
    assert run(server, tmp_path, *flags, "-O", "linger_s=30").status == 0
    assert_all_spoken(tmp_path, texts)
    # A request may be refused while the last one still counts; that is not speaking twice.
    assert sorted(commit["text"] for commit in server.commits()) == sorted(texts.values())


def test_the_times_of_words_are_those_of_the_file(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    write(tmp_path / "m.csv", [{"id": "long", "text": LONG}])
    assert run(server, tmp_path, "--voice", "liam", "--word-timestamps").status == 0
    (row,) = assert_all_spoken(tmp_path, {"long": LONG})
    assert [word["text"] for word in row["words"]] == LONG.split()
    assert len(row["cues"]) == 2
    for cue in row["cues"]:
        said = LONG[cue["start"] : cue["end"]].strip()
        words = [it for it in row["words"] if cue["start_s"] - 0.01 <= it["start_s"] < cue["end_s"]]
        assert " ".join(word["text"] for word in words) == said
        for word in words:
            begin_s, end_s = word["start_s"] - cue["start_s"], word["end_s"] - cue["start_s"]
            assert said[round(begin_s / 0.06) : round(end_s / 0.06)] == word["text"]


def test_the_older_address_is_an_endpoint_with_a_path(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    write(tmp_path / "m.csv", [{"id": "a", "text": "Call me Ishmael."}])
    older = "/waves/v1/lightning-v3.1/get_speech/stream"
    assert run(server, tmp_path, *QUICK, path=older).status == 0
    assert_all_spoken(tmp_path, {"a": "Call me Ishmael."})
    assert {commit["path"] for commit in server.commits()} == {older}


def test_a_timeout_of_our_own_reaches_the_older_address(serve: Serve, tmp_path: Path) -> None:
    server = serve("[smallest]\nidle_s = 0.001\n")  # nothing could be said without
    write(tmp_path / "m.csv", [{"id": "a", "text": "Call me Ishmael."}])
    older = "/waves/v1/lightning-v3.1/get_speech/stream"
    assert run(server, tmp_path, *QUICK, path=older).status == 0


def test_a_pace_out_of_range_fails_its_row_and_is_not_asked_for(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve()
    rows = [
        {"id": "slow", "text": "Call me Ishmael.", "speed": 0.3},
        {"id": "fine", "text": "Some years ago.", "speed": 1.5},
    ]
    write(tmp_path / "m.csv", rows)
    assert run(server, tmp_path, *QUICK).status == 3
    slow, fine = results(tmp_path / "m")
    assert (slow["status"], slow["error_code"], slow["attempts"], slow["cost_usd"]) == (
        *("failed", "voice_unavailable"),
        *(0, 0.0),
    )
    assert "0.5 to 2 times" in slow["error_message"]
    assert heard(tmp_path / "m", fine) == as_spoken("Some years ago.", 1.5)
    assert [commit["text"] for commit in server.commits()] == ["Some years ago."]


def test_another_rate_is_resampled_into_the_file(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    write(tmp_path / "m.csv", [{"id": "a", "text": "Call me Ishmael."}])
    assert run(server, tmp_path, *QUICK, "-O", "sample_rate=44100").status == 0
    (row,) = results(tmp_path / "m")
    assert (row["sample_rate_hz"], row["audio_s"]) == (24_000, pytest.approx(0.96, abs=1e-3))


#: A failed piece, a connection that breaks off, a polite close without `complete`, and so on.
FAULTS = (
    'kind = "fail"\nat = "middle"',
    'kind = "drop"\nat = "middle"',
    'kind = "drop"\nat = "last"\ncode = 1000',
    'kind = "silent"',
    'kind = "bad_json"',
    'kind = "bad_base64"',
    'kind = "binary"',
    'kind = "odd"',
    'kind = "riff"',
    'kind = "late"',
)


def test_whatever_goes_wrong_every_row_is_whole_in_the_end(serve: Serve, tmp_path: Path) -> None:
    refused = '[[fault]]\nkind = "refuse"\nrequests = [2]\n'
    server = serve(
        refused + "".join(f"[[fault]]\nrequests = [{n}]\n{it}\n" for n, it in enumerate(FAULTS, 1))
    )
    texts = sentences(12)
    write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in texts.items()])
    assert run(server, tmp_path, *QUICK).status == 0
    assert_all_spoken(tmp_path, texts)
    fallen = {commit.get("fault") for commit in server.commits()}
    assert fallen >= {fault.split('"')[1] for fault in FAULTS}


def test_late_audio_of_a_finished_script_takes_that_row_back(serve: Serve, tmp_path: Path) -> None:
    server = serve('[[fault]]\nkind = "late"\nof = "finished"\nrequests = [2]\n')
    texts = longest_first(sentences(3))
    write(tmp_path / "m.csv", [{"id": it, "text": text} for it, text in texts.items()])
    assert run(server, tmp_path, "--workers", "1", *QUICK).status == 3
    first, second, third = results(tmp_path / "m")
    assert (first["status"], first["error_code"]) == ("failed", "truncated")
    assert [second["status"], third["status"]] == ["done", "done"]
    told = [line["status"] for line in ledger(tmp_path / "m") if line.get("id") == first["id"]]
    assert told == ["done", "pending", "failed"]
    assert run(server, tmp_path, "--workers", "1", *QUICK).status == 0
    assert_all_spoken(tmp_path, texts)
