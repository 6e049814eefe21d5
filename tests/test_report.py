"""The page about what came out: what it says, and what it does not let anybody say."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from batchtts.errors import Exit, UsageError
from batchtts.review.page.sound import Shelf
from tests.e2e import TONE, ask, environment, sentences, write_csv
from tests.pages import EVIL, Page, corpus, failed, make, publish, spoken
from tests.shelf import row as old_row
from tests.shelf import shelve, voiced


def page_of(out: Path, most: int = 200) -> Page:
    return Page(make(out, most=most)[0])


def test_a_page_says_what_became_of_the_rows(tmp_path: Path) -> None:
    good = [spoken(f"a{n}", attempts=1 + (n == 3), verdict="pass") for n in range(6)]
    bad = spoken("b", verdict="fail", reasons=["cut_end"], refusals=2, wer=0.25)
    lost = failed("c", error_message="no next audio within 10 s")
    out = publish(tmp_path / "moby", [*good, bad, lost])
    summary = {"manifest": "moby.csv", "spent_usd": 0.007, "estimated_usd": 0.006}
    (out / "summary.json").write_text(json.dumps(summary))
    page = page_of(out)
    for told in (
        "moby manifest moby.csv provider local voices 1 spoken 2026-03-01 02:30 to 02:30 UTC",
        "failed (no audio) 1 12 % fail (verdict) 1 12 % pass 6 75 %",
        "Rows 8 7 done, 1 failed",
        "Cost $0.0080 last run $0.0070 of $0.0060 estimated",
        "Retries 4 in 2 rows, 2 refusals",
        "1 – stalled no next audio within 10 s × 1",
        "RTF 0.8",
        "All rows, the most suspect first",
    ):
        assert told in page.text
    assert "moby · batchtts report" in page.text


def test_every_plot_is_described_and_has_its_figures(tmp_path: Path) -> None:
    rows = [
        spoken(f"a{n}", text="Ten boats. " * (n + 1), seconds=0.5 + n, mos=4.0) for n in range(8)
    ]
    odd = spoken("b", verdict="suspect", reasons=["gap"], wer=0.25)
    page = page_of(publish(tmp_path, [*rows, odd]))
    plots = [it for it in page.all("svg") if it.get("role") == "img"]
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert len(plots) == 8
    for plot in plots:
        assert {*(plot["aria-labelledby"] or "").split()} <= ids
    assert len(page.all("desc")) == 8
    assert page.text.count("Figures of ") >= 8
    assert "9 rows: half within 300 ms, 95 % within 30" in page.text


def test_the_worst_rows_come_first(tmp_path: Path) -> None:
    rows = [
        spoken("good", verdict="pass", mos=4.5, wer=0.0),
        spoken("wrong", verdict="pass", mos=4.5, wer=0.25),
        spoken("doubtful", verdict="suspect", reasons=["gap"]),
        failed("lost"),
        spoken("dull", verdict="pass", mos=2.0, wer=0.0),
        spoken("broken", verdict="fail", reasons=["cut_end"], wer=0.25),
        spoken("waiting", status="pending", samples=None, path=None),
    ]
    page = page_of(publish(tmp_path, rows))
    ids = [it["data-id"] for it in page.all("li") if "data-id" in it]
    assert ids == ["broken", "lost", "doubtful", "wrong", "dull", "good"]


def test_rows_without_audio_leave_room_for_those_to_be_heard(tmp_path: Path) -> None:
    lost = [failed(f"lost{n}") for n in range(20)]
    heard = [spoken(f"heard{n}", seconds=0.2) for n in range(7)]
    out = publish(tmp_path, [*lost, *heard])
    for most, expected in ((10, 5), (16, 7), (40, 7)):
        page = page_of(out, most=most)
        ids = [f"{it['data-id']}" for it in page.all("li") if "data-id" in it]
        assert sum(it.startswith("heard") for it in ids) == expected
        assert len(ids) == min(most, 27)
    assert "The 10 most suspect of 27 rows" in page_of(out, most=10).text


def test_a_row_says_all_that_is_known_of_it(tmp_path: Path) -> None:
    failure = {"at": 1_772_332_201_000_000, "code": "session_lost", "message": "closed with 1006"}
    row = spoken(
        "lamp-07",
        text="The keeper counted ten boats.",
        verdict="fail",
        reasons=["cut_end", "words"],
        attempts=5,
        failures=[failure],
        level_dbfs=-21.5,
        kept_take=2,
        recognizer="moonshine",
        transcript="The keeper counted hens",
        wer=0.4,
        per=0.2,
        mos=3.14,
        second_recognizer="whisper",
        second_transcript="the keeper counted to",
        second_wer=0.4,
    )
    text, _ = make(publish(tmp_path, [row]))
    [told] = Page(text).rows
    told = " ".join(told.split())
    for each in (
        "lamp-07 fail cut_end words",
        "WER 40 % PER 20 % MOS 3.1 5 attempts",
        "1 failed attempt, details",
        "2026-03-01 02:30:01 session_lost closed with 1006",
        "the second recognizer heard: the keeper counted to",
        "level -21.5 dBFS",
        "take kept 2",
        "finished 2026-03-01 02:30:00 UTC",
    ):
        assert each in told
    assert "The keeper counted <del>ten boats</del> <ins>hens</ins>." in text


def test_what_others_wrote_stays_words(tmp_path: Path) -> None:
    out = tmp_path / "<b>out"
    failure = {"at": 1_772_332_201_000_000, "code": EVIL, "message": EVIL}
    texts = "text recognizer transcript second_transcript second_recognizer same_as".split()
    names = "provider model voice language".split()
    evil = dict.fromkeys([*texts, *names], EVIL)
    odd = spoken(EVIL, evil, verdict="fail", reasons=[EVIL], failures=[failure], file="a")
    lost = failed(f"{EVIL}2", voice=EVIL, error_code=EVIL, error_message=EVIL)
    publish(out, [odd, lost, spoken("c", status=EVIL, verdict=EVIL)])
    (out / "summary.json").write_text(json.dumps({"manifest": EVIL}))
    text, _ = make(out)
    assert "<script>window" not in text
    assert "<img" not in text
    assert "49" not in re.findall(r"&gt;(\d+)&amp;lt;", text)
    page = Page(text)
    assert len(page.all("script")) == 1
    given = {name for _, attributes in page.elements for name in attributes}
    assert not any(name.startswith("on") or name == "style" for name in given)
    links = [it["href"] for it in page.all("a")]
    assert all(f"{link}".startswith("#") for link in links)
    assert page.text.count("{{7*7}}") > 10


def test_the_page_lets_the_browser_take_nothing_but_itself(tmp_path: Path) -> None:
    text, _ = make(publish(tmp_path, [spoken("a")]))
    [policy] = [it["content"] for it in Page(text).all("meta") if "http-equiv" in it]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        told = b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{told}'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


def test_the_script_of_the_page_is_small() -> None:
    script = Path(make.__code__.co_filename).parents[1] / "batchtts/review/page/report.js"
    assert script.stat().st_size < 15_000


# ── audio ─────────────────────────────────────────────────────────────────────


def sources(page: Page) -> list[str]:
    return [f"{it['src']}" for it in page.all("audio")]


def test_players_find_the_audio_from_wherever_the_page_is(tmp_path: Path) -> None:
    out = publish(tmp_path / "my out", [spoken("a", file="deep/100% a#1?")])
    for target in (out / "report.html", tmp_path / "r.html", tmp_path / "x" / "y" / "r.html"):
        [source] = sources(Page(make(out, target)[0]))
        assert not re.search(r"[ #?]", source)
        path = target.parent / unquote(source)
        assert path.resolve() == (out / "wav" / "deep" / "100% a#1?.wav").resolve()


def test_audio_that_is_gone_or_another_is_told_in_its_row(tmp_path: Path) -> None:
    out = publish(tmp_path, [spoken(name) for name in ("gone", "short", "other", "text", "good")])
    wav = out / "wav"
    (wav / "gone.wav").unlink()
    (wav / "short.wav").write_bytes((wav / "short.wav").read_bytes()[:-100])
    data = (wav / "other.wav").read_bytes()
    (wav / "other.wav").write_bytes(data[:-100] + bytes(range(100)))
    (wav / "text.wav").write_bytes(b"x" * len(data))
    text, made = make(out)
    page = Page(text)
    told = {row.split()[0]: " ".join(row.split()) for row in page.rows}
    assert "wav/gone.wav is not there any more" in told["gone"]
    assert "replaced since: 47,944 bytes, and 48,044 were recorded" in told["short"]
    assert "replaced since: as large as what was recorded, and not the same" in told["other"]
    assert "wav/text.wav is no audio any more" in told["text"]
    assert "since" not in told["good"]
    assert (made.troubled, made.linked, len(sources(page))) == (4, 3, 3)
    assert "The audio of 4 rows shown below is missing, or is not what was recorded." in page.text


@pytest.mark.parametrize("path", ["../outside.wav", "/etc/passwd", "a/../../b.wav", "a\0b", None])
def test_no_path_leads_out_of_the_output_directory(tmp_path: Path, path: str | None) -> None:
    sound = Shelf(tmp_path, tmp_path / "r.html").sound(path, 10, None)
    assert sound.href is None
    assert "path" in sound.problem


def test_audio_can_be_in_the_page(tmp_path: Path) -> None:
    out = publish(tmp_path, [spoken("a", seconds=2.0), spoken("b", seconds=1.0)])
    text, made = make(out, tmp_path / "elsewhere" / "r.html", embed=True)
    assert (made.embedded, made.linked) == (2, 0)
    for source, seconds in zip(sources(Page(text)), (2.0, 1.0), strict=True):
        kind, _, data = source.partition(",")
        assert kind == "data:audio/mpeg;base64"
        samples, rate_hz = soundfile.read(io.BytesIO(b64decode(data)))
        assert len(samples) / rate_hz == pytest.approx(seconds, abs=0.1)


def test_what_has_no_room_in_the_page_is_linked(tmp_path: Path) -> None:
    out = publish(tmp_path, [spoken("a", seconds=1.0)])
    recorded = (out / "wav" / "a.wav").stat().st_size
    shelf = Shelf(out, out / "r.html", room=12_000)
    sounds = [shelf.sound("wav/a.wav", recorded, None) for _ in range(4)]
    assert [it.is_embedded for it in sounds] == [True] * shelf.embedded + [False] * shelf.linked
    assert 0 < shelf.embedded < 4
    assert shelf.embedded_bytes <= 12_000
    assert sounds[-1].href == "wav/a.wav"


# ── results that are not as usual ─────────────────────────────────────────────


def test_of_results_of_an_older_version_it_says_what_is_not_known(tmp_path: Path) -> None:
    sound = voiced(0.4)
    rows = [old_row("a", sound), old_row("b", error_message="stalled"), old_row("c", sound)]
    out = shelve(tmp_path, rows)
    page = page_of(out)
    assert "of an older version, and do not know of: spoken, provider, model, sha256," in page.text
    assert "these results do not know of attempts" in page.text
    assert "when rows were in work is not known" in page.text
    assert "Rows 3 2 done, 1 failed" in page.text
    assert len(page.rows) == 3


def test_a_transcript_of_the_manifest_is_not_what_was_heard(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "status": ["done"], "transcript": ["The script."]})
    pq.write_table(table, tmp_path / "results.parquet")
    text, _ = make(tmp_path)
    assert "The script." in text
    assert "<del>" not in Page(text).rows[0]


def test_columns_that_are_something_else_are_not_known(tmp_path: Path) -> None:
    odd = {
        "id": ["a", "b"],
        "status": ["done", "failed"],
        "audio_s": ["long", "short"],
        "started_at": ["yesterday", None],
        "verdict": [[1], [2]],
        "failures": ["?", "!"],
        "text": ["One.", "Two."],
    }
    pq.write_table(pa.table(odd), tmp_path / "results.parquet")
    page = page_of(tmp_path)
    assert "Rows 2 1 done, 1 failed" in page.text
    assert len(page.rows) == 2


def test_nothing_at_all_is_a_page_too(tmp_path: Path) -> None:
    page = page_of(publish(tmp_path / "none", []))
    assert "there is nothing to be shown" in page.text
    page = page_of(publish(tmp_path / "left", [spoken("a", status="pending", samples=None)]))
    assert "Rows 1 0 done, 0 failed, 1 left" in page.text


def test_a_summary_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    out = publish(tmp_path, [spoken("a")])
    for broken in ("", "[1]", '{"spent_usd": "much", "estimated_usd": null}'):
        (out / "summary.json").write_text(broken)
        assert "estimate not known" in page_of(out).text


def test_more_voices_than_anybody_counts_are_counted_as_one(tmp_path: Path) -> None:
    out = corpus(tmp_path, 20_000, voices=1500)
    page = page_of(out, most=5)
    assert "all others" in page.text
    assert re.search(r"And \d+ voices more\.", page.text)
    assert len(page.all("h3")) == 7 + 5


def test_a_long_script_is_shown_where_it_is_wrong(tmp_path: Path) -> None:
    words = [f"word{n}" for n in range(3000)]
    heard = " ".join(["cat" if it == "word1500" else it for it in words])
    text, made = make(
        publish(tmp_path, [spoken("a", text=" ".join(words), recognizer="m", transcript=heard)])
    )
    assert "<del>word1500</del> <ins>cat</ins>" in text
    assert "word1600" not in text
    assert "characters …" in text
    assert made.bytes < 80_000


# ── the command ───────────────────────────────────────────────────────────────


def test_a_run_is_reported(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sentences(6))
    assert ask("run", "m.csv", *TONE, "--quiet", here=tmp_path).status == 0
    answer = ask("report", "m", here=tmp_path)
    assert (answer.status, answer.out) == (0, "")
    told = r"m/report\.html: 6 rows, 6 of them one by one, 0\.\d MB\n"
    assert re.fullmatch(told, answer.err)
    assert ask("check", "m", here=tmp_path).status == 0
    assert ask("report", "m", "-o", "new/page.html", "--embed", here=tmp_path).status == 0
    assert (tmp_path / "new" / "page.html").stat().st_size > (
        tmp_path / "m" / "report.html"
    ).stat().st_size
    assert [it.name for it in (tmp_path / "new").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["none"], "none: no such directory"),
        (["empty"], "empty: no results.parquet in it"),
        (["file"], "file: not a directory that `batchtts run` made"),
        (["out", "-o", "empty"], "empty: is a directory"),
        (["out", "-o", "out/results.parquet"], "out/results.parquet: is there, and is no report"),
        (["out", "--column", "words_"], 'out/results.parquet: no column "words_"'),
        (["out", "--rows", "0"], "0 is not in the range"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(tmp_path: Path, command: list[str], says: str) -> None:
    publish(tmp_path / "out", [spoken("a", seconds=0.1)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    before = (tmp_path / "out" / "results.parquet").read_bytes()
    answer = ask("report", *command, here=tmp_path)
    assert answer.status == Exit.USAGE
    assert says in answer.err.splitlines()[0]
    assert "Traceback" not in answer.err
    assert (tmp_path / "out" / "results.parquet").read_bytes() == before


def test_damaged_results_are_told(tmp_path: Path) -> None:
    (tmp_path / "results.parquet").write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(UsageError, match="cannot be read"):
        make(tmp_path)


def test_a_page_that_is_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = publish(tmp_path / "out", [spoken("a", seconds=0.1)])
    first, _ = make(out)
    (out / "results.parquet").write_bytes(b"")
    with pytest.raises(UsageError):
        make(out)
    assert (out / "report.html").read_text("utf-8") == first


def test_without_jinja_it_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['jinja2'] = None; from batchtts.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "out"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == Exit.USAGE
    assert done.stderr.splitlines() == [
        "batchtts: a report needs jinja2",
        "  hint: pip install 'batchtts[report]'",
    ]


@pytest.mark.slow
def test_a_million_rows_are_a_small_page_within_a_minute(tmp_path: Path) -> None:
    out = corpus(tmp_path / "corpus", 1_000_000)
    began_at = time.monotonic()
    answer = ask("report", out, here=tmp_path, deadline=120)
    assert answer.status == 0, answer.err
    assert time.monotonic() - began_at < 60
    assert (out / "report.html").stat().st_size < 10_000_000
    assert getrusage(RUSAGE_CHILDREN).ru_maxrss < 800_000  # KiB
    page = Page((out / "report.html").read_text("utf-8"))
    assert len(page.rows) == 200
    assert "The 200 most suspect of 1,000,000 rows" in page.text
