"""Rows as long as a chapter, end to end: spoken in parallel, killed, stopped, and never paid twice.

The server's log is the witness: it has every text that ever arrived.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from batchtts.errors import Exit
from batchtts.record.pieces import Pieces
from batchtts.run.joining import Joinery
from batchtts.run.notes import Notes
from batchtts.run.reading import Part
from batchtts.run.worker import Worker
from tests.e2e import (
    DEADLINE,
    TONE,
    Answer,
    Row,
    Server,
    ask,
    audio_files,
    by_id,
    end,
    eventually,
    ledger,
    results,
    sentences,
    serving,
    started,
    untrue_lines,
    write_csv,
)
from tests.test_books import Desk, Killed, dying, is_killed, killing

PER_CHARACTER_USD = 4e-6  # of the model that the servers here play

#: Every message of the speech is late, so that a segment takes a while.
SLOW = '[[fault]]\nkind = "slow"\nprobability = 1.0\nseconds = {seconds}\n'

PAID = ("--provider", "together", "--voice", "af_heart", "--option", "linger_s=0.02")


def script(count: int, seed: int = 0) -> str:
    """A script of so many sentences, four or so to a segment."""
    return " ".join(sentences(count, seed).values())


class Stand:
    """A directory with a manifest, and a server."""

    def __init__(self, here: Path, server: Server) -> None:
        self.here = here
        self.server = server
        self.out = here / "m"

    def write(self, **rows: str) -> None:
        write_csv(self.here / "m.csv", rows)

    def flags(self, *flags: str) -> list[str]:
        voice = () if "--provider" in flags else TONE
        return ["run", "m.csv", *voice, "--endpoint", self.server.url, *flags]

    def run(self, *flags: str, deadline: float = DEADLINE) -> Answer:
        extra = {"TOGETHER_API_KEY": "any"}
        return ask(*self.flags(*flags), here=self.here, extra=extra, deadline=deadline)

    def kill(self, *flags: str, after: int) -> None:
        """Begin a run and kill it when so many texts more have arrived."""
        target = len(self.server.commits()) + after
        with started(*self.flags(*flags), here=self.here) as process:
            eventually(lambda: len(self.server.commits()) >= target)
            end(process, signal.SIGKILL)

    def check_money(self, usd: float = 0.0) -> None:
        """What the results say was sent is what has arrived, and nothing is counted twice."""
        sent = sum(len(commit["text"]) for commit in self.server.commits())
        assert sum(by_id(self.out, "characters_sent").values()) == sent
        costs = [cost or 0.0 for cost in by_id(self.out, "cost_usd").values()]
        assert sum(costs) == pytest.approx(sent * usd)

    def check_done(self) -> None:
        """All is there, and nothing else."""
        assert set(by_id(self.out, "status").values()) == {"done"}
        assert untrue_lines(self.out) == []
        assert audio_files(self.out) == {row["path"] for row in results(self.out)}
        assert self.pieces() == []

    def pieces(self) -> list[Path]:
        return sorted((self.out / ".batchtts/pieces").rglob("*.piece"))

    def row(self, row_id: str = "long") -> Row:
        [row] = [row for row in results(self.out) if row["id"] == row_id]
        return row

    def samples(self, row_id: str = "long") -> bytes:
        path = self.out / self.row(row_id)["path"]
        samples, _ = soundfile.read(path, dtype="int16")
        return bytes(samples.tobytes())


@contextmanager
def standing(root: Path, name: str, seconds: float = 0.0) -> Iterator[Stand]:
    """A stand of its own; its server takes so long for each message."""
    here = root / name
    here.mkdir()
    faults = here / "faults.toml"
    faults.write_text(SLOW.format(seconds=seconds) if seconds else "")
    with serving(here / "log", faults=faults) as server:
        yield Stand(here, server)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path, "here") as stand:
        yield stand


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path, "slow", 0.03) as stand:
        yield stand


def in_flight(log: Path) -> int:
    """The most texts that were in flight at any time."""
    most = now = 0
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)["event"]
        now += {"commit": 1, "done": -1}.get(event, 0)
        most = max(most, now)
    return most


# ── in parallel ───────────────────────────────────────────────────────────────


def test_a_long_row_is_spoken_by_all_workers_and_is_the_same(tmp_path: Path) -> None:
    text, heard = script(160), {}
    for workers in (1, 4):
        with standing(tmp_path, f"w{workers}", 0.01) as stand:
            stand.write(long=text)
            assert stand.run("--workers", f"{workers}").status == 0
            assert in_flight(stand.here / "log") == workers
            row = stand.row()
            assert row["segments"] == row["attempts"] == len(stand.server.commits()) >= 35
            assert sum(len(cue["voice"]) for cue in row["cues"]) == 0
            stand.check_done()
            stand.check_money()
            heard[workers] = (row["sha256"], row["cues"], stand.samples())
    assert heard[1] == heard[4]


def test_cues_have_all_of_the_script_in_order_and_lie_in_the_file(stand: Stand) -> None:
    text = script(20)
    stand.write(long=text)
    assert stand.run("--workers", "3").status == 0
    row = stand.row()
    cues = row["cues"]
    assert "".join(text[cue["start"] : cue["end"]] for cue in cues) == text
    times = [second for cue in cues for second in (cue["start_s"], cue["end_s"])]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= row["audio_s"] + 0.001
    sent = {commit["text"] for commit in stand.server.commits()}
    assert {text[cue["start"] : cue["end"]].strip() for cue in cues} == sent


@pytest.mark.parametrize("flags", [("--format", "flac"), ("--sample-rate", "44100")])
def test_the_format_of_a_long_row_is_what_was_asked_for(
    stand: Stand, tmp_path: Path, flags: tuple[str, str]
) -> None:
    stand.write(long=script(20))
    assert stand.run("--workers", "3", *flags).status == 0
    row = stand.row()
    info = soundfile.info(stand.out / row["path"])
    is_flac = flags[1] == "flac"
    assert (info.format, info.samplerate) == (("FLAC", 24_000) if is_flac else ("WAV", 44_100))
    assert info.frames == round(row["audio_s"] * info.samplerate)
    stand.check_done()
    plain = Stand(stand.here, stand.server)
    plain.out = tmp_path / "plain"
    assert plain.run("--out", str(plain.out)).status == 0
    assert plain.row()["audio_s"] == pytest.approx(row["audio_s"], abs=1e-3)
    assert [cue["start_s"] for cue in plain.row()["cues"]] == [
        cue["start_s"] for cue in row["cues"]
    ]
    if is_flac:
        assert plain.samples() == stand.samples()


def test_of_two_rows_with_the_same_long_script_one_is_spoken(stand: Stand) -> None:
    text = script(20)
    stand.write(one=text, two=text, three="Hello.")
    assert stand.run("--workers", "3").status == 0
    stand.check_done()
    stand.check_money()
    assert stand.row("one")["segments"] == len(stand.server.commits()) - 1
    assert (stand.row("two")["same_as"], stand.row("two")["cues"]) == (
        "one",
        stand.row("one")["cues"],
    )
    assert stand.samples("one") == stand.samples("two")


# ── killed ────────────────────────────────────────────────────────────────────


def check_kills(
    root: Path, *, sentences: int, workers: int, kills: int, hours: float = 0.0
) -> None:
    """Kill a run again and again while it speaks a row that is at least so long."""
    text, deadline = script(sentences), DEADLINE * (1 + hours)
    with standing(root, "unhurt") as unhurt:
        unhurt.write(long=text)
        assert unhurt.run("--workers", "4", deadline=deadline).status == 0
        assert unhurt.row()["audio_s"] >= 3600 * hours
        needed = Counter(commit["text"] for commit in unhurt.server.commits())
    with standing(root, "hurt", 0.002 if hours else 0.02) as hurt:
        hurt.write(long=text)
        flags = ("--workers", f"{workers}")
        each = max(1, needed.total() // (kills + 2))
        for _ in range(kills):
            hurt.kill(*flags, after=each)
            assert untrue_lines(hurt.out) == []
        assert hurt.run(*flags, deadline=deadline).status == 0
        commits = Counter(commit["text"] for commit in hurt.server.commits())
        assert needed <= commits
        assert needed.total() < commits.total() <= needed.total() + kills * workers
        hurt.check_done()
        hurt.check_money()
        assert hurt.row()["sha256"] == unhurt.row()["sha256"]
        assert hurt.row()["cues"] == unhurt.row()["cues"]
        assert hurt.run(*flags).status == 0
        hurt.check_money()


def test_a_run_killed_ten_times_pays_for_ten_segments_more_at_most(tmp_path: Path) -> None:
    check_kills(tmp_path, sentences=100, workers=1, kills=10)


@pytest.mark.slow
def test_ten_kills_of_a_chapter_of_two_hours_cost_ten_segments_at_most(tmp_path: Path) -> None:
    check_kills(tmp_path, sentences=2000, workers=1, kills=10, hours=2)


@pytest.mark.slow
def test_a_kill_drops_no_more_than_what_the_workers_had_in_flight(tmp_path: Path) -> None:
    check_kills(tmp_path, sentences=120, workers=4, kills=3)


#: What is done to an output directory, or a manifest, before a run is killed.
Change = Callable[[Desk, pytest.MonkeyPatch], None]


def begin_anew(desk: Desk, _: pytest.MonkeyPatch) -> None:
    shutil.rmtree(desk.out)


def replace_script(desk: Desk, _: pytest.MonkeyPatch) -> None:
    desk.rows["long"] = script(14, seed=7)
    desk.write()


def speak_again(_: Desk, __: pytest.MonkeyPatch) -> None:
    """The flag says it."""


def lose_the_first_segment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one was spoken by another run than the one that will finish the row."""

    def die(*_: object) -> None:
        raise Killed

    shutil.rmtree(desk.out)
    with monkeypatch.context() as patched:
        patched.setattr(Joinery, "join", die)
        with pytest.raises(BaseExceptionGroup):
            desk.run()
    first, *rest = sorted((desk.out / ".batchtts/pieces").rglob("*.piece"))
    assert len(rest) >= 2
    first.unlink()


@killing
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(begin_anew, marks=pytest.mark.slow),
        replace_script,
        pytest.param(speak_again, marks=pytest.mark.slow),
        lose_the_first_segment,
    ],
    ids=lambda change: change.__name__,
)
def test_a_kill_at_any_step_of_a_long_row_loses_nothing_and_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    flags: Mapping[str, object] = {"again": ("id:long",)} if change is speak_again else {}
    with standing(tmp_path, "server") as stand:
        desk = Desk(tmp_path / "desk", stand.server)
        desk.root.mkdir()
        desk.rows = {"long": script(14), "short": "Hello."}
        desk.run()
        if change in (begin_anew, lose_the_first_segment):
            stand.server.texts()
        change(desk, monkeypatch)
        before = shutil.copytree(desk.root, tmp_path / "before")
        sent_before = characters_of(stand.server.texts())
        desk.run(**flags)
        desk.check()
        unhurt = (by_id(desk.out, "sha256"), by_id(desk.out, "cues"))
        needed = len(stand.server.texts())
        for number in range(200):
            shutil.rmtree(desk.root)
            shutil.copytree(before, desk.root)
            was_killed = strike(desk, number, monkeypatch, flags)
            assert untrue_lines(desk.out) == [], number
            desk.run(**flags)
            desk.check()
            texts = stand.server.texts()
            told = sum(by_id(desk.out, "characters_sent").values())
            assert told == sent_before + characters_of(texts), number
            assert (by_id(desk.out, "sha256"), by_id(desk.out, "cues")) == unhurt, number
            is_asked_twice = change is speak_again and len(texts) > needed
            assert len(texts) == needed or len(texts) == needed + 1 or is_asked_twice, number
            assert not leftovers(desk.out), number
            if not was_killed:
                assert number > 12
                return
    raise AssertionError("it never came to its end")


def characters_of(texts: list[str]) -> int:
    return sum(map(len, texts))


def leftovers(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.suffix in (".part", ".piece")]


def strike(
    desk: Desk, number: int, monkeypatch: pytest.MonkeyPatch, flags: Mapping[str, object]
) -> bool:
    """Run, killed at one step; return whether it came to that step."""
    with dying(number, monkeypatch):
        try:
            desk.run(**flags)
        except BaseException as error:  # told apart in the next line
            if not is_killed(error):
                raise
            return True
    return False


# ── what fails, and what is stopped ───────────────────────────────────────────


def spoken_needed(text: str, root: Path) -> Counter[str]:
    """What a run that nothing happens to has spoken."""
    with standing(root, "needed") as unhurt:
        unhurt.write(long=text)
        assert unhurt.run("--workers", "4").status == 0
        return Counter(commit["text"] for commit in unhurt.server.commits())


@contextmanager
def spoilt(root: Path, request: int) -> Iterator[Stand]:
    """A stand whose server answers one request with silence, the others slowly."""
    here = root / "spoilt"
    here.mkdir()
    silent = f'[[fault]]\nkind = "silent"\nrequests = [{request}]\n'
    (here / "faults.toml").write_text(silent + SLOW.format(seconds=0.01))
    with serving(here / "log", faults=here / "faults.toml") as server:
        yield Stand(here, server)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_segment_that_fails_fails_the_row_and_the_next_run_speaks_what_is_missing(
    tmp_path: Path, workers: int
) -> None:
    text = script(60)
    needed = spoken_needed(text, tmp_path)
    with spoilt(tmp_path, request=5) as stand:
        stand.write(long=text)
        answer = stand.run("--workers", f"{workers}", "--attempts", "1")
        assert answer.status == 3
        row = stand.row()
        assert (row["status"], row["error_code"]) == ("failed", "synthesis_failed")
        assert (row["path"], row["cues"], row["audio_s"]) == (None, None, None)
        sent = len(stand.server.commits())
        assert 5 <= sent <= 5 + workers - 1
        assert len(stand.pieces()) == sent - 1
        assert row["attempts"] == sent
        stand.check_money()
        check = ask("check", stand.out, here=stand.here)
        assert (check.status, "leftover" in check.out + check.err) == (0, False)

        stand.server.news()
        assert stand.run("--workers", f"{workers}").status == 0
        assert len(stand.server.texts()) == needed.total() - (sent - 1)
        stand.check_done()
        stand.check_money()
        assert stand.row()["attempts"] == needed.total()


def test_a_row_fails_once_though_several_of_its_segments_do(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "faults.toml").write_text('[[fault]]\nkind = "silent"\nprobability = 1.0\n')
    with serving(here / "log", faults=here / "faults.toml") as server:
        stand = Stand(here, server)
        stand.write(long=script(60))
        answer = stand.run("--workers", "4", "--attempts", "2")
        assert answer.status == 3
        assert answer.err.count("long failed: ") == 1
        assert "1 rows: 0 done, 1 failed" in answer.err
        failed = [line for line in ledger(stand.out) if line.get("status") == "failed"]
        assert len(failed) == 1
        assert stand.pieces() == []
        stand.check_money()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_finishes_the_segments_in_flight_and_the_next_run_goes_on(
    tmp_path: Path, slow: Stand, number: signal.Signals
) -> None:
    text = script(60)
    needed = spoken_needed(text, tmp_path)
    slow.write(long=text, short="Hello.")
    with started(*slow.flags("--workers", "3"), here=slow.here) as process:
        eventually(lambda: len(slow.server.commits()) >= 5)
        end(process, number)
    assert process.returncode == 128 + number
    sent = len(slow.server.commits())
    assert sent < needed.total()
    assert len(slow.pieces()) == sent
    assert by_id(slow.out, "status") == {"long": "pending", "short": "pending"}
    slow.check_money()
    check = ask("check", slow.out, here=slow.here)
    assert (check.status, "leftover" in check.out + check.err) == (0, False)
    assert ask("status", slow.out, here=slow.here).status == 0

    assert slow.run("--workers", "3").status == 0
    commits = Counter(commit["text"] for commit in slow.server.commits())
    assert commits == needed + Counter(["Hello."])  # nothing was sent twice
    slow.check_done()
    slow.check_money()


def test_a_script_that_has_changed_leaves_no_segments_of_the_old_one(slow: Stand) -> None:
    slow.write(long=script(60), short="Hello.")
    slow.kill("--workers", "2", after=6)
    assert slow.pieces()
    slow.write(long=script(12, seed=5), short="Hello.")
    slow.server.news()
    assert slow.run("--workers", "2").status == 0
    texts = " ".join(slow.server.texts())
    assert all(sentence in texts for sentence in sentences(12, 5).values())
    slow.check_done()
    slow.check_money()


def quoted(paragraphs: list[str]) -> str:
    """Paragraphs as a cell of CSV."""
    return '"{}"'.format("\n\n".join(paragraphs))


def test_after_a_change_in_one_place_the_other_segments_are_there(slow: Stand) -> None:
    parts = [script(4, seed) for seed in range(12)]
    slow.write(long=quoted(parts))
    slow.kill("--workers", "2", after=6)
    there = len(slow.pieces())
    assert there >= 4
    slow.server.news()
    changed = [parts[0], "A paragraph that is new.", *parts[1:-1], "And an end."]
    slow.write(long=quoted(changed))
    (slow.here / "job.toml").write_text('manifest = "m.csv"\npauses = { paragraph = 1.0 }\n')
    flags = [flag for flag in slow.flags("--workers", "2") if flag not in ("run", "m.csv")]
    assert ask("run", "job.toml", *flags, "-o", slow.out, here=slow.here).status == 0
    assert len(slow.server.texts()) == slow.row()["segments"] - there
    assert [cue["end"] for cue in slow.row()["cues"]][-1] == len("\n\n".join(changed))
    slow.check_money()
    slow.check_done()


def test_a_row_that_is_gone_leaves_no_segments(slow: Stand) -> None:
    slow.write(long=script(60), short="Hello.")
    slow.kill("--workers", "2", after=6)
    slow.write(short="Hello.")
    assert slow.run("--workers", "2").status == 0
    slow.check_done()


def test_a_budget_that_ends_in_the_middle_of_a_row_leaves_it_and_the_next_run_goes_on(
    tmp_path: Path,
) -> None:
    text = script(30)
    needed = spoken_needed(text, tmp_path)
    whole_usd = sum(len(each) * n for each, n in needed.items()) * PER_CHARACTER_USD
    with spoilt(tmp_path, request=4) as stand:
        stand.write(long=text, short="Hello.")
        most = f"{whole_usd + 20 * PER_CHARACTER_USD:.6f}"  # not enough to say one twice
        answer = stand.run(*PAID, "--workers", "2", "--max-cost", most)
        assert answer.status == 5
        assert by_id(stand.out, "status") == {"long": "pending", "short": "pending"}
        sent = [len(commit["text"]) for commit in stand.server.commits()]
        assert 4 <= len(sent) < needed.total()
        assert sum(sent) * PER_CHARACTER_USD <= float(most)
        assert len(stand.pieces()) == len(sent) - 1
        stand.check_money(PER_CHARACTER_USD)

        assert stand.run(*PAID, "--workers", "2", "--max-cost", most).status == 0
        commits = Counter(commit["text"] for commit in stand.server.commits())
        assert commits.total() == needed.total() + 1 + 1  # the one that was silent; Hello
        stand.check_done()
        stand.check_money(PER_CHARACTER_USD)


def test_a_row_that_does_not_fit_into_the_budget_is_not_begun(stand: Stand) -> None:
    stand.write(short="Hello.", long=script(30))
    assert stand.run(*PAID, "--max-cost", "0.001").status == 5
    assert [commit["text"] for commit in stand.server.commits()] == ["Hello."]
    assert by_id(stand.out, "status") == {"short": "done", "long": "pending"}
    stand.check_money(PER_CHARACTER_USD)


def test_a_long_row_that_is_asked_for_again_is_spoken_again(stand: Stand) -> None:
    stand.write(long=script(12), short="Hello.")
    assert stand.run().status == 0
    first, segments = stand.row(), stand.row()["segments"]
    assert stand.run("--again", "id:long").status == 0
    assert len(stand.server.commits()) == 2 * segments + 1
    assert stand.row()["sha256"] == first["sha256"]
    assert stand.row()["characters_sent"] == 2 * first["characters_sent"]
    stand.check_done()
    stand.check_money()


def test_a_row_that_fails_when_it_is_spoken_again_keeps_what_it_had_and_what_was_spoken(
    tmp_path: Path,
) -> None:
    text = script(12)
    segments = spoken_needed(text, tmp_path).total()
    with spoilt(tmp_path, request=segments + 2) as stand:
        stand.write(long=text)
        assert stand.run("--workers", "1").status == 0
        first = stand.row()
        stand.run("--workers", "1", "--again", "id:long", "--attempts", "1")
        assert (stand.row()["status"], stand.row()["sha256"]) == ("done", first["sha256"])
        assert stand.row()["cues"] == first["cues"]
        assert len(stand.pieces()) == 1
        stand.check_money()
        stand.server.news()
        assert stand.run("--workers", "1", "--again", "id:long").status == 0
        assert len(stand.server.news()) == segments - 1
        stand.check_done()
        stand.check_money()


def test_a_segment_that_was_damaged_on_the_disk_is_spoken_again(slow: Stand) -> None:
    slow.write(long=script(40))
    slow.kill("--workers", "1", after=7)
    whole = slow.pieces()
    assert len(whole) >= 5
    damaged = {whole[0], whole[1], whole[2]}
    whole[0].write_bytes(whole[0].read_bytes()[:-2])
    data = bytearray(whole[1].read_bytes())
    data[-100] ^= 1
    whole[1].write_bytes(data)
    whole[2].write_bytes(whole[3].read_bytes())  # it says so itself, but has another name
    slow.server.news()
    assert slow.run("--workers", "2").status == 0
    said = slow.server.texts()
    row = slow.row()
    assert len(said) == row["segments"] - len(whole) + len(damaged)
    slow.check_done()
    slow.check_money()
    heard = slow.samples()
    shutil.rmtree(slow.out)
    assert slow.run("--workers", "4").status == 0
    assert slow.samples() == heard


# ── audio that comes after its end ────────────────────────────────────────────


def take_back_first(patched: pytest.MonkeyPatch, where: type, name: str, *, after: bool) -> None:
    """Let more audio of the first segment come just before or after something is done."""
    spoken: list[tuple[Worker, str]] = []
    remember, act = Worker._remember, getattr(where, name)

    def remembering(self: Worker, part: Part, notes: Notes) -> None:
        remember(self, part, notes)
        if part.number == 0:
            spoken.append((self, notes.contexts[-1]))

    def acting(*told: object) -> object:
        found = act(*told) if after else None
        for worker, context in spoken:
            worker._take_back(context)
        return found if after else act(*told)

    patched.setattr(Worker, "_remember", remembering)
    patched.setattr(where, name, acting)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "name"), [(Pieces, "publish"), (Joinery, "join")])
def test_of_a_row_with_a_segment_that_was_cut_short_only_that_is_spoken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str, after: bool
) -> None:
    """It may be known while the segment is written down, or while the row is joined."""
    with standing(tmp_path, "server") as stand:
        desk = Desk(tmp_path / "desk", stand.server)
        desk.root.mkdir()
        desk.rows = {"long": script(14)}
        with monkeypatch.context() as patched:
            take_back_first(patched, where, name, after=after)
            summary = desk.run()
        assert (summary.exit_code, summary.failed) == (Exit.SOME_FAILED, 1)
        assert by_id(desk.out, "error_code") == {"long": "truncated"}
        texts = [commit["text"] for commit in stand.server.news()]
        there = sorted(path.name for path in desk.out.rglob("*.piece"))
        assert len(there) == len(texts) - 1
        assert not list(desk.out.rglob("*.part"))
        assert desk.run().exit_code == Exit.DONE
        again = stand.server.texts()
        assert texts[0] in again
        assert len(again) == by_id(desk.out, "segments")["long"] - len(there)
        told = by_id(desk.out, "characters_sent")
        assert told == {"long": characters_of(texts) + characters_of(again)}
        desk.check()
        assert not leftovers(desk.out)


# ── however long ──────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_memory_does_not_grow_with_the_script(tmp_path: Path) -> None:
    peaks = []
    for count in (100, 10_000):
        with standing(tmp_path, f"n{count}") as stand:
            stand.write(long=script(count))
            flags = stand.flags("--workers", "4", "--speed", "2", "--quiet")
            with started(*flags, here=stand.here) as process:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            peaks.append(used.ru_maxrss * 1024)
            assert stand.row()["status"] == "done"
            shutil.rmtree(stand.out)
    assert peaks[1] < peaks[0] + 64 * 2**20
    assert peaks[1] < 400 * 2**20
