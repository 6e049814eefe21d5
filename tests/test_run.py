"""A run from end to end: a manifest, the command, a server over a real socket, files."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from batchtts.model import Pauses
from tests.e2e import (
    AT_ONCE,
    TONE,
    Answer,
    Server,
    ask,
    audio_files,
    by_id,
    descendants,
    done,
    end,
    eventually,
    is_gone,
    results,
    sentences,
    serving,
    snapshot,
    started,
    untrue_lines,
    write_csv,
)

SCRIPTS = {"a": "Call me Ishmael.", "b": "Some years ago.", "c": "Never mind how long."}
TEXTS = sorted(SCRIPTS.values())
SAMPLES_PER_CHARACTER = 1440  # of the tone engine: 60 ms at 24 kHz

#: Some 200 segments.
LONG = "On and on. " * 4500


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, server: Server) -> Path:
    """A directory with m.csv, whose server has nothing to tell yet."""
    write_csv(tmp_path / "m.csv", SCRIPTS)
    server.news()
    return tmp_path


@pytest.fixture(scope="module")
def spoken(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where m.csv has been spoken, and a copy of it beside it."""
    here = tmp_path_factory.mktemp("spoken")
    write_csv(here / "m.csv", SCRIPTS)
    server.news()
    assert server.speaks("m.csv", here=here).status == 0
    assert server.texts() == TEXTS
    shutil.copytree(here, here.with_name("copy"))
    return here


@pytest.fixture
def out(spoken: Path, server: Server) -> Path:
    """Where m.csv has been spoken, as it was then; the server has nothing to tell yet."""
    shutil.rmtree(spoken)
    shutil.copytree(spoken.with_name("copy"), spoken)
    server.news()
    return spoken / "m"


def samples(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    found: np.ndarray[Any, np.dtype[np.int16]] = soundfile.read(path, dtype="int16")[0]
    return found


# ── what comes out ────────────────────────────────────────────────────────────


#: What only a verification knows.
HEARD = {"recognizer", "transcript", "wer", "cer", "per", "mos"}


def test_a_manifest_is_spoken_and_accounted_for(out: Path) -> None:
    rows = results(out)
    assert [row["id"] for row in rows] == list(SCRIPTS)
    for row in rows:
        text = SCRIPTS[row["id"]]
        info = soundfile.info(out / row["path"])
        assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
        assert info.frames == SAMPLES_PER_CHARACTER * len(text)
        assert row["audio_s"] == pytest.approx(info.frames / 24_000)
        assert row["text_chars"] == len(text)
        assert row["path"] == f"wav/{row['id']}.wav"
        unheard = {name for name in row if name.startswith("second_")} | HEARD
        assert {name for name, value in row.items() if value is None} - unheard == {
            "same_as",
            "spoken",
            "words",
            "cues",
            "failures",
            "error_code",
            "error_message",
        }
        assert (row["verdict"], row["reasons"]) == ("pass", [])
        assert row["speech_s"] + row["lead_s"] + row["tail_s"] == pytest.approx(row["audio_s"])
        assert row["started_at"] <= row["finished_at"]
        assert 0 < row["ttfa_s"] <= row["synth_s"] <= row["wall_s"]
        assert row["peak_dbfs"] == pytest.approx(-10, abs=0.1)
    assert untrue_lines(out) == []
    assert not (out / "failed.parquet").exists()


def test_the_summary_has_the_figures_of_the_run(out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    counts = {name: summary[name] for name in ("rows", "done", "failed", "pending", "spoken")}
    assert counts == {"rows": 3, "done": 3, "failed": 0, "pending": 0, "spoken": 3}
    assert summary["audio_s"] == pytest.approx(0.060 * sum(map(len, TEXTS)), abs=0.001)
    assert summary["exit_code"] == 0


def test_every_format_of_a_manifest_gives_the_same_audio(here: Path, server: Server) -> None:
    rows = [{"id": row_id, "text": text} for row_id, text in SCRIPTS.items()]
    lines = [f"{row_id}\t{text}" for row_id, text in SCRIPTS.items()]
    (here / "tabs.tsv").write_text("\n".join(["id\ttext", *lines]))
    (here / "lines.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), here / "columns.parquet")
    manifests = ["m.csv", "tabs.tsv", "lines.jsonl", "columns.parquet"]
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda name: server.speaks(name, here=here), manifests)
        assert [answer.status for answer in answers] == [0, 0, 0, 0]
    first, *others = (by_id(here / name.partition(".")[0], "sha256") for name in manifests)
    assert set(first) == set(SCRIPTS)
    assert others == [first] * 3


def test_other_columns_of_a_csv_are_carried_with_the_types_that_fit_all_cells(
    here: Path, server: Server
) -> None:
    (here / "m.csv").write_text(
        "id,text,page,level,draft,code,status\n"
        "a,One.,1,0.5,true,007,mine\n"
        "b,Two.,,1.25,false,010,\n"
    )
    assert server.speaks("m.csv", here=here).status == 0
    table = pq.read_table(here / "m" / "results.parquet")
    names = ["text", "page", "level", "draft", "code", "manifest_status"]
    assert [str(table.schema.field(name).type) for name in names] == (
        "string int64 double bool string string".split()
    )
    assert table.select(names).to_pylist() == [
        dict(zip(names, ("One.", 1, 0.5, True, "007", "mine"), strict=True)),
        dict(zip(names, ("Two.", None, 1.25, False, "010", ""), strict=True)),
    ]


def test_other_columns_of_a_parquet_file_keep_their_types(here: Path, server: Server) -> None:
    day = datetime.datetime(1851, 10, 18, tzinfo=datetime.UTC)
    carried = pa.table(
        {
            "tags": pa.array([["sea", "whale"], []], pa.list_(pa.string())),
            "day": pa.array([day, None], pa.timestamp("s", tz="UTC")),
            "weight": pa.array([1.5, None], pa.float32()),
            "about": pa.array([{"page": 1}, {"page": 2}]),
        }
    )
    manifest = carried.append_column("id", [["a", "b"]]).append_column("text", [["One.", "Two."]])
    pq.write_table(manifest, here / "m.parquet")
    manifest = pq.read_table(here / "m.parquet")
    assert server.speaks("m.parquet", here=here).status == 0
    table = pq.read_table(here / "m" / "results.parquet")
    for name in carried.column_names:
        assert table.schema.field(name).type == manifest.schema.field(name).type
        assert table.column(name).to_pylist() == manifest.column(name).to_pylist()


def test_results_say_their_units(out: Path) -> None:
    schema = pq.read_schema(out / "results.parquet")
    units = json.loads(schema.metadata[b"batchtts.units"])
    assert units["audio_s"] == "s"
    assert units["sample_rate_hz"] == "Hz"
    assert set(units) <= set(schema.names)


def test_a_row_may_choose_its_voice_and_its_speed(here: Path, server: Server) -> None:
    (here / "m.csv").write_text(
        "id,text,voice,speed\na,One.,,\nb,Two.,bf_emma,\nc,Six.,,2\nd,Ten.,pico_de,0.5\n"
    )
    assert server.speaks("m.csv", here=here).status == 0
    heard = {row["text"]: row["voice"] for row in server.news()}
    assert heard == {"One.": "tone", "Two.": "bf_emma", "Six.": "tone", "Ten.": "pico_de"}
    assert by_id(here / "m", "voice") == {"a": "tone", "b": "bf_emma", "c": "tone", "d": "pico_de"}
    frames = {path.stem: len(samples(path)) for path in (here / "m" / "wav").iterdir()}
    whole = 4 * SAMPLES_PER_CHARACTER
    assert frames == {"a": whole, "b": whole, "c": whole // 2, "d": whole * 2}


def test_a_voice_that_a_row_chooses_and_nobody_has_fails_that_row_alone(
    here: Path, server: Server
) -> None:
    (here / "m.csv").write_text("id,text,voice\na,One.,af_haert\nb,Two.,\n")
    answer = server.speaks("m.csv", here=here)
    assert answer.status == 3
    assert server.texts() == ["Two."]
    assert by_id(here / "m", "error_code") == {"a": "voice_unavailable", "b": None}
    assert by_id(here / "m", "error_message")["a"].startswith(
        "local has no voice 'af_haert'; did you mean af_heart"
    )


def test_flac_holds_the_same_samples(out: Path, server: Server) -> None:
    assert server.speaks("m.csv", "--format", "flac", "-o", "lossless", here=out.parent).status == 0
    flac = out.parent / "lossless"
    assert audio_files(flac) == {f"flac/{row_id}.flac" for row_id in SCRIPTS}
    for row_id in SCRIPTS:
        spoken = samples(out / f"wav/{row_id}.wav")
        assert np.array_equal(samples(flac / f"flac/{row_id}.flac"), spoken)
    assert untrue_lines(flac) == []


def test_another_sample_rate_has_the_same_sound(out: Path, server: Server) -> None:
    assert (
        server.speaks("m.csv", "--sample-rate", "16000", "-o", "low", here=out.parent).status == 0
    )
    low = out.parent / "low"
    assert set(by_id(low, "sample_rate_hz").values()) == {16_000}
    assert untrue_lines(low) == []
    for row_id, text in SCRIPTS.items():
        path = low / f"wav/{row_id}.wav"
        assert soundfile.info(path).samplerate == 16_000
        assert len(samples(path)) == len(text) * SAMPLES_PER_CHARACTER * 16 // 24
        loudness = [
            float(np.sqrt(np.mean(samples(each / f"wav/{row_id}.wav").astype(float) ** 2)))
            for each in (out, low)
        ]
        assert loudness[1] == pytest.approx(loudness[0], rel=0.02)


def test_a_manifest_without_ids_is_numbered(here: Path, server: Server) -> None:
    (here / "m.csv").write_text("text\nOne.\nTwo.\n")
    answer = server.speaks("m.csv", here=here)
    assert answer.status == 0
    assert answer.err.count("m.csv has no id column: ids are row numbers, from 1") == 1
    assert list(by_id(here / "m", "path").items()) == [("1", "wav/1.wav"), ("2", "wav/2.wav")]


def test_a_job_file_says_what_flags_would(here: Path, server: Server) -> None:
    (here / "job.toml").write_text(
        f'manifest = "m.csv"\nout = "spoken"\nprovider = "local"\nvoice = "tone"\n'
        f'endpoint = "{server.url}"\nformat = "flac"\n\n[columns]\ntext = "id"\n'
    )
    assert ask("run", "job.toml", here=here).status == 0
    assert server.texts() == ["a", "b", "c"]
    assert len(audio_files(here / "spoken")) == 3
    flags = ["--column", "text=text", "--format", "wav", "-o", "other"]
    assert ask("run", "job.toml", *flags, here=here).status == 0
    assert server.texts() == TEXTS


def test_a_long_script_is_spoken_in_pieces_and_is_whole(here: Path, server: Server) -> None:
    text = "A sentence of a long script. " * 40
    write_csv(here / "m.csv", {"long": text})
    assert server.speaks("m.csv", "--workers", "1", here=here).status == 0
    pieces = [row["text"] for row in server.news()]
    assert len(pieces) > 2
    assert " ".join(pieces) == text.strip()
    assert by_id(here / "m", "segments") == {"long": len(pieces)}
    assert by_id(here / "m", "characters_sent") == {"long": sum(map(len, pieces))}
    spoken = len("".join(pieces)) * SAMPLES_PER_CHARACTER
    pauses = (len(pieces) - 1) * round(24_000 * Pauses().sentence)
    assert abs(len(samples(here / "m/wav/long.wav")) - spoken - pauses) <= 24 * len(pieces)


# ── the second run ────────────────────────────────────────────────────────────


def test_a_second_run_opens_no_connection_and_leaves_the_results_alone(
    here: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "log") as server:
        assert server.speaks("m.csv", here=here).status == 0
    before = (here / "m" / "results.parquet").stat()
    answer = server.speaks("m.csv", here=here)  # it has ended: nobody would answer
    assert answer.status == 0
    assert "3 rows: 3 done, 0 failed; nothing to speak" in answer.err
    after = (here / "m" / "results.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_changed_text_is_spoken_again_and_no_other(out: Path, server: Server) -> None:
    before = by_id(out, "sha256")
    write_csv(out.parent / "m.csv", SCRIPTS | {"b": "Some days ago."})
    assert server.speaks("m.csv", here=out.parent).status == 0
    assert server.texts() == ["Some days ago."]
    after = by_id(out, "sha256")
    assert {row_id for row_id in SCRIPTS if after[row_id] != before[row_id]} == {"b"}
    assert untrue_lines(out) == []


def test_another_voice_is_spoken_again(out: Path, server: Server) -> None:
    answer = server.speaks("m.csv", "--voice", "bf_emma", here=out.parent)
    assert answer.status == 0
    assert server.texts() == TEXTS
    assert set(by_id(out, "voice").values()) == {"bf_emma"}


@pytest.mark.parametrize("cut", [True, False], ids=["cut short", "removed"])
def test_audio_that_is_lost_is_made_again_and_no_other(
    out: Path, server: Server, cut: bool
) -> None:
    path = out / "wav/b.wav"
    whole = path.read_bytes()
    path.unlink()
    if cut:
        path.write_bytes(whole[: len(whole) // 2])
    answer = server.speaks("m.csv", here=out.parent)
    assert answer.status == 0
    assert "1 finished rows have lost their audio" in answer.err
    assert server.texts() == ["Some years ago."]
    assert path.read_bytes() == whole
    assert set(by_id(out, "status").values()) == {"done"}


def test_a_manifest_in_another_order_costs_nothing(out: Path, server: Server) -> None:
    before = by_id(out, "sha256")
    write_csv(out.parent / "m.csv", dict(reversed(SCRIPTS.items())))
    assert server.speaks("m.csv", here=out.parent).status == 0
    assert server.news() == []
    assert list(by_id(out, "sha256").items()) == list(reversed(before.items()))


def test_a_manifest_that_grows_and_shrinks_costs_what_is_new(out: Path, server: Server) -> None:
    write_csv(
        out.parent / "m.csv", {"a": SCRIPTS["a"], "d": "Having little money.", "c": SCRIPTS["c"]}
    )
    assert server.speaks("m.csv", here=out.parent).status == 0
    assert server.texts() == ["Having little money."]
    assert list(by_id(out, "status").items()) == [("a", "done"), ("d", "done"), ("c", "done")]


def test_a_manifest_that_has_moved_costs_nothing(out: Path, server: Server) -> None:
    (out.parent / "m.csv").rename(out.parent / "renamed.csv")
    assert server.speaks("renamed.csv", "-o", "m", here=out.parent).status == 0
    assert server.news() == []


def test_what_failed_is_tried_again_and_what_is_done_is_not(here: Path) -> None:
    (here / "m.csv").write_text("id,text,voice\na,One.,af_heart\nb,Two.,jf_alpha\n")
    command = ["run", "m.csv", *AT_ONCE]
    key = {"TOGETHER_API_KEY": "any"}  # which chooses the provider
    with serving(here / "log", engine="nanotts") as server:  # which has no Japanese voice
        first = ask(*command, "--endpoint", server.url, here=here, extra=key)
        assert first.status == 3
        assert "TOGETHER_API_KEY is set: speaking with together" in first.err
        assert server.texts() == ["One."]
    assert by_id(here / "m", "error_code") == {"a": None, "b": "voice_unavailable"}
    assert pq.read_table(here / "m" / "failed.parquet")["id"].to_pylist() == ["b"]
    with serving(here / "log") as server:  # which whistles for every voice
        second = ask(*command, "--endpoint", server.url, here=here, extra=key)
        assert second.status == 0
        assert server.texts() == ["Two."]
    assert by_id(here / "m", "status") == {"a": "done", "b": "done"}
    assert not (here / "m" / "failed.parquet").exists()


# ── a paid provider is the same path ──────────────────────────────────────────


def test_the_paid_provider_and_the_local_one_give_the_same_audio(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "id,text,voice\n"
        "a,The harbor is quiet tonight.,\n"
        'b,"Dr. Grey paid $3.50, and left.",af_bella\n'
        "c,Who is there?,bf_emma\n"
    )
    key = {"TOGETHER_API_KEY": "sk-never-shown"}

    def paid() -> Answer:
        with serving(tmp_path / "log", engine="hibari") as server:
            flags = ["--provider", "together", "--endpoint", server.url, "-o", "paid", *AT_ONCE]
            return ask("run", "m.csv", *flags, here=tmp_path, extra=key)

    with ThreadPoolExecutor() as pool:
        together = pool.submit(paid)
        local = ask("run", "m.csv", "--provider", "local", "-o", "local", here=tmp_path)
        assert (together.result().status, local.status) == (0, 0)
    assert by_id(tmp_path / "paid", "provider") == dict.fromkeys("abc", "together")
    for row_id in "abc":
        one, other = (samples(tmp_path / out / f"wav/{row_id}.wav") for out in ("paid", "local"))
        assert len(one) > 12_000
        assert np.array_equal(one, other)
    assert set(by_id(tmp_path / "local", "cost_usd").values()) == {0.0}
    assert by_id(tmp_path / "paid", "cost_usd")["c"] == pytest.approx(13 * 4 / 1e6)
    written = [data for data in snapshot(tmp_path).values() if data is not None]
    assert not [data for data in written if b"sk-never-shown" in data]


# ── signals ───────────────────────────────────────────────────────────────────


def run_flags(server: Server, *more: str) -> list[str]:
    return ["run", "m.csv", *TONE, "--endpoint", server.url, *more]


def said(here: Path) -> str:
    return (here / "stderr").read_text()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_drains_writes_the_results_and_the_next_run_finishes(
    here: Path, server: Server, number: signal.Signals, status: int
) -> None:
    scripts = sentences(150)
    write_csv(here / "m.csv", scripts)
    out = here / "m"
    with started(*run_flags(server, "--workers", "1"), here=here) as process:
        eventually(lambda: len(done(out)) >= 5)
        end(process, number)
    assert process.returncode == status
    assert f"stopping: {number.name}; finishing what is in flight, 30 s at most" in said(here)
    spoken = done(out)
    assert 5 <= len(spoken) < 150
    statuses = by_id(out, "status")
    assert [row_id for row_id in scripts if statuses[row_id] == "done"] == sorted(spoken)
    assert list(statuses.values()).count("pending") == 150 - len(spoken)
    assert json.loads((out / "summary.json").read_text())["exit_code"] == status
    assert server.texts() == sorted(scripts[row_id] for row_id in spoken)  # nothing was dropped

    assert server.speaks("m.csv", here=here).status == 0
    assert server.texts() == sorted(set(scripts.values()) - {scripts[row] for row in spoken})
    assert set(by_id(out, "status").values()) == {"done"}


SLOW = """
[[fault]]
kind = "slow"
requests = [5, 6]
seconds = 10
"""


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """A server that takes minutes for the fifth and the sixth segment."""
    (tmp_path / "faults.toml").write_text(SLOW)
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        yield server


def test_a_second_signal_drops_what_is_in_flight(here: Path, slow: Server) -> None:
    write_csv(here / "m.csv", {"short": "Hello.", "long": LONG, "later": "Never said."})
    out = here / "m"
    with started(*run_flags(slow, "--workers", "2"), here=here) as process:
        eventually(lambda: len(slow.commits()) == 6)
        process.send_signal(signal.SIGINT)
        eventually(lambda: "stopping: SIGINT; finishing" in said(here))
        assert process.poll() is None
        assert end(process, signal.SIGINT) < 2
    assert process.returncode == 130
    assert "stopping at once: SIGINT again" in said(here)
    assert by_id(out, "status") == dict.fromkeys(["short", "long", "later"], "pending")
    sent = [len(row["text"]) for row in slow.commits()]
    assert by_id(out, "characters_sent")["long"] == sum(sent)
    assert audio_files(out) == set()


def test_the_grace_of_a_stopped_run_is_limited(here: Path, slow: Server) -> None:
    write_csv(here / "m.csv", {"long": LONG})
    with started(*run_flags(slow, "--grace", "0.2", "--workers", "2"), here=here) as process:
        eventually(lambda: len(slow.commits()) == 6)
        assert end(process, signal.SIGTERM) < 2
    assert process.returncode == 143
    assert by_id(here / "m", "status") == {"long": "pending"}
    assert "1 rows: 0 done, 0 failed, 1 left; " in said(here)
    assert "nothing to speak" not in said(here)


# ── the server of a run ───────────────────────────────────────────────────────


def with_a_server(process: subprocess.Popen[bytes], out: Path) -> set[int]:
    """Wait until a run has spoken; return its server and the processes that speak for it."""
    eventually(lambda: len(done(out)) >= 3)
    return descendants(process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_server_of_a_run_ends_with_it(tmp_path: Path, number: signal.Signals) -> None:
    write_csv(tmp_path / "m.csv", sentences(2000))
    with started("run", "m.csv", *TONE, "--workers", "2", here=tmp_path) as process:
        children = with_a_server(process, tmp_path / "m")
        assert len(children) >= 2
        end(process, number)
    eventually(lambda: all(map(is_gone, children)), 5)


def test_the_server_of_a_finished_run_is_gone(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(40))
    with started("run", "m.csv", "--voice", "tone", "--workers", "2", here=tmp_path) as process:
        children = with_a_server(process, tmp_path / "m")
        assert process.wait(30) == 0
    why = "no provider named and no key set: speaking with local, on this machine, at no cost"
    assert said(tmp_path).count(why) == 1
    assert children
    assert [pid for pid in children if not is_gone(pid)] == []


def test_a_server_that_dies_breaks_the_run_and_the_next_one_finishes(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(2000))
    out = tmp_path / "m"
    with started("run", "m.csv", *TONE, "--workers", "2", here=tmp_path) as process:
        children = with_a_server(process, out)
        (serving,) = (pid for pid in children if descendants(pid))
        os.kill(serving, signal.SIGKILL)
        assert process.wait(30) == 4
    assert "the voice server on this machine has ended" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    statuses = list(by_id(out, "status").values())
    assert statuses.count("done") == len(done(out)) >= 3
    assert set(statuses) == {"done", "pending"}


def test_what_breaks_the_output_is_told_and_not_what_followed(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", SCRIPTS)
    in_the_way = tmp_path / "m" / "wav" / "b.wav"
    in_the_way.mkdir(parents=True)
    answer = ask("run", "m.csv", *TONE, here=tmp_path)
    (line,) = (line for line in answer.err.splitlines() if line.startswith("batchtts: "))
    assert line.startswith("batchtts: m")
    assert "is a directory" in line
    assert "Traceback" not in answer.err
    assert answer.status == 4
    assert "b" not in done(tmp_path / "m")
    in_the_way.rmdir()
    assert ask("run", "m.csv", *TONE, here=tmp_path).status == 0
    assert sorted(done(tmp_path / "m")) == list(SCRIPTS)
    assert untrue_lines(tmp_path / "m") == []


# ── two at once ───────────────────────────────────────────────────────────────


def test_a_second_run_on_the_same_directory_is_refused_and_names_the_first(
    here: Path, server: Server
) -> None:
    write_csv(here / "m.csv", sentences(2000))
    out = here / "m"
    with started(*run_flags(server, "--workers", "2"), here=here) as first:
        eventually(lambda: len(done(out)) >= 3)
        second = server.speaks("m.csv", here=here)
        assert first.poll() is None
        end(first, signal.SIGINT)
    assert second.status == 11
    assert second.err.startswith(f"batchtts: m is in use by pid {first.pid} on ")
    assert second.err.splitlines()[1:] == [
        "  hint: `batchtts status m` says how far it is; wait, or stop it"
    ]
    assert first.returncode == 130
    texts = server.texts()
    assert len(texts) == len(set(texts)) == len(done(out))


def test_a_killed_run_holds_no_directory(here: Path, server: Server) -> None:
    write_csv(here / "m.csv", sentences(60))
    with started(*run_flags(server, "--workers", "2"), here=here) as process:
        eventually(lambda: len(done(here / "m")) >= 3)
        end(process, signal.SIGKILL)
    assert server.speaks("m.csv", here=here).status == 0
    assert set(by_id(here / "m", "status").values()) == {"done"}
