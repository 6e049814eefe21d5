"""Scripts with markup, end to end: what the results say is true of the script that a row has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e import TONE, Row, Server, ask, results, sentences, serving

BODY = " ".join(sentences(12).values())


class Stand:
    """A job with markup, and a server."""

    def __init__(self, here: Path, server: Server) -> None:
        self.here = here
        self.server = server
        (here / "job.toml").write_text('manifest = "m.parquet"\nmarkup = "markdown"\n')

    def run(self, **rows: str) -> dict[str, Row]:
        table = pa.table({"id": [*rows], "text": [*rows.values()]})
        pq.write_table(table, self.here / "m.parquet")
        answer = ask("run", "job.toml", *TONE, "--endpoint", self.server.url, here=self.here)
        assert answer.status == 0, answer.err
        return {row["id"]: row for row in results(self.here / "m")}


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with serving(tmp_path / "log") as server:
        yield Stand(tmp_path, server)


def test_rows_that_share_audio_have_their_own_lengths_and_cues(stand: Stand) -> None:
    rows = {"a": "*Call* me.", "b": "Call me.", "c": f"*Oh*. {BODY}", "d": f"Oh. {BODY}"}
    found = stand.run(**rows)
    assert {row_id: row["text_chars"] for row_id, row in found.items()} == {
        row_id: len(script) for row_id, script in rows.items()
    }
    assert found["b"]["same_as"] == "a"
    for row_id in ("c", "d"):
        assert found[row_id]["cues"][-1]["end"] == len(rows[row_id])


def test_cues_are_places_in_the_script_though_only_its_marks_have_changed(stand: Stand) -> None:
    for script in (f"*Oh*. {BODY}", f"Oh. {BODY}"):
        [row] = stand.run(a=script).values()
        assert row["cues"][-1]["end"] == len(script)
