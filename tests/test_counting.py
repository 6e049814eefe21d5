"""What a run counts while it goes on is what its results hold in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchtts.job.settings import load
from batchtts.run.figures import Figures
from batchtts.run.job import run
from batchtts.run.summary import Summary
from tests.e2e import LINGER_S, Row, results, sentences, serving, write_csv
from tests.test_books import hear_late

WEATHER = """
[[fault]]
kind = "fail"
text = "hopeless"

[[fault]]
kind = "fail"
text = "doubtful"
times = 2

[[fault]]
kind = "fail"
text = "chapter"
times = 1
"""

CHAPTER = " ".join(["The chapter begins.", *sentences(20).values()])


class Witness:
    """Keeps what it is to show."""

    def __init__(self) -> None:
        self.seen: list[Figures] = []
        self.over: list[Figures] = []

    def begin(self, figures: Figures) -> None:
        self.seen.append(figures)

    async def watch(self) -> None: ...

    def end(self) -> None:
        self.over.append(self.seen[-1])


class Place:
    """A directory with a job, and who counts what is spoken of it."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url
        (root / "m.toml").write_text('manifest = "m.csv"\nout = "m"\nprices = { tone = 15.0 }\n')

    def run(self, **flags: object) -> tuple[Summary, Figures]:
        told: dict[str, object] = {"provider": "local", "voice": "tone", "endpoint": self.url}
        told |= {"attempts": 2, "options": {"linger_s": LINGER_S}} | flags
        witness = Witness()
        summary = run(load(self.root / "m.toml", told), environment={}, progress=witness)
        [figures] = witness.seen
        assert witness.over == [figures]
        return summary, figures

    def rows(self) -> list[Row]:
        return results(self.root / "m")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("server")
    (root / "weather.toml").write_text(WEATHER)
    with serving(root / "log", faults=root / "weather.toml") as server:
        yield server.url


@pytest.fixture
def place(tmp_path: Path, url: str) -> Place:
    return Place(tmp_path, url)


def check(figures: Figures, summary: Summary, rows: list[Row]) -> None:
    """The figures are those of the rows that the run was to speak, and of the summary."""
    count = [row["status"] for row in rows].count
    assert (figures.done, figures.failed) == (count("done"), count("failed"))
    assert figures.size_done == figures.work.size == sum(row["text_chars"] for row in rows)
    assert figures.audio_s == pytest.approx(sum(row["audio_s"] or 0.0 for row in rows))
    assert figures.audio_s == pytest.approx(summary.spoken_audio_s, abs=1e-3)
    assert figures.spent_usd == pytest.approx(sum(row["cost_usd"] for row in rows))
    assert figures.spent_usd == pytest.approx(summary.spent_usd, abs=1e-6)
    assert figures.projected_usd == figures.spent_usd
    assert (figures.in_flight, figures.waiting, figures.share) == (0, 0, 1.0)


def test_rows_of_every_kind_are_counted_as_the_results_have_them(place: Place) -> None:
    scripts = sentences(12) | {
        "lost": "A hopeless case.",
        "found": "A doubtful case.",
        "again": "Once more.",
        "chapter": CHAPTER,
    }
    write_csv(place.root / "m.csv", scripts | {"twin": "Once more.", "none": "?"})
    summary, figures = place.run(attempts=3)
    rows = [row for row in place.rows() if row["id"] not in ("twin", "none")]
    check(figures, summary, rows)
    assert figures.work.estimated_usd == pytest.approx(summary.estimated_usd)
    assert figures.faltered == 2 + 2 + 1  # the third failure of what is lost is the last one
    assert figures._pieces == sum(row["segments"] for row in rows) > len(rows)
    assert (figures._begun, figures.unpriced) == ({}, 0)
    assert figures.last_error is not None


def test_a_row_that_is_cut_short_is_counted_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(place.root / "m.csv", {"a": "The first row of all.", "b": "Never.", "c": "Ever."})
    hear_late(monkeypatch, "a", "c")
    summary, figures = place.run(workers=1)
    assert (figures.done, figures.failed, summary.done, summary.failed) == (2, 1, 2, 1)
    assert figures.spent_usd == pytest.approx(summary.spent_usd)


def test_a_row_that_keeps_what_it_had_is_neither_done_nor_failed(
    tmp_path: Path,
) -> None:
    (tmp_path / "weather.toml").write_text('[[fault]]\nkind = "fail"\nrequests = [3]\n')
    write_csv(tmp_path / "m.csv", {"a": "One.", "b": "Two."})
    with serving(tmp_path / "log", faults=tmp_path / "weather.toml") as server:
        place = Place(tmp_path, server.url)
        place.run(attempts=1)
        summary, figures = place.run(attempts=1, again=("id:a",))
    assert (summary.done, summary.failed, summary.spoken) == (2, 0, 0)
    assert (figures.done, figures.failed, figures.kept, figures.share) == (0, 0, 1, 1.0)
    assert figures.spent_usd == pytest.approx(summary.spent_usd)
