"""Damage that the server does to speech is found, taken again and paid for as it is told.

The real voice, the real recognizer and the real critic: minutes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import mean

import pytest

from benchmarks import heard, prose
from tests.e2e import Server, ask, ledger, results, serving

pytestmark = pytest.mark.slow

pytest.importorskip("hibari", reason="the voice: the extra `local`")
pytest.importorskip("moonshine_voice", reason="the recognizer: the extra `hear`")
pytest.importorskip("jiwer", reason="the comparison: the extra `verify`")

KEY = {"TOGETHER_API_KEY": "k"}
LONG_S = 1200.0


def scripts(rows: int, seed: int) -> list[str]:
    return list(islice(prose.sentences(seed), rows))


def write(path: Path, texts: list[str]) -> None:
    lines = (json.dumps({"id": f"{n:05}", "text": it}) for n, it in enumerate(texts))
    path.write_text("\n".join(lines), encoding="utf-8")


def test_damage_is_found_by_measuring_by_hearing_and_by_the_critic(tmp_path: Path) -> None:
    texts = scripts(300, 12)
    hows = [
        heard.HOWS[it // 2 % len(heard.HOWS)] if it % 2 else heard.UNDAMAGED
        for it in range(len(texts))
    ]
    stages, pace = heard.judged(tmp_path, texts, hows, 12)
    for stage, share in heard.CAUGHT.items():
        flagged = [stages[stage][f"{n:05}"] != "pass" for n in range(len(texts))]
        caught = [it for it, how in zip(flagged, hows, strict=True) if how != heard.UNDAMAGED]
        alarms = [it for it, how in zip(flagged, hows, strict=True) if how == heard.UNDAMAGED]
        assert mean(caught) >= share, stage
        assert mean(alarms) <= heard.FALSE_ALARMS, stage
    assert pace > 10


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One that damages every fifth request, in all its ways."""
    each = 0.2 / len(heard.HOWS)
    faults = [
        f'[[fault]]\nkind = "damage"\nhow = "{how}"\nprobability = {each:.4f}' for how in heard.HOWS
    ]
    (tmp_path / "faults.toml").write_text("\n".join(["seed = 5", *faults]))
    with serving(
        tmp_path / "served.jsonl", engine="hibari", faults=tmp_path / "faults.toml"
    ) as running:
        yield running


def test_retakes_end_undamaged_or_flagged_and_cost_what_was_served(
    server: Server, tmp_path: Path
) -> None:
    write(tmp_path / "m.jsonl", scripts(80, 21))
    command = ("run", "m.jsonl", "-p", "together", "--endpoint", server.url, "--quiet")
    flags = ("--verify", "--retakes", "3", "--workers", "4")
    answer = ask(*command, *flags, here=tmp_path, extra=KEY, deadline=LONG_S)
    assert answer.status in (0, 3), answer.err
    damaged = {row["context_id"] for row in server.finished() if row.get("fault")}
    rows, kept = results(tmp_path / "m"), contexts(tmp_path / "m")
    done = [row for row in rows if row["status"] == "done"]
    bad = [row for row in done if kept[row["id"], row["sha256"]] in damaged]
    assert [row["id"] for row in bad if row["verdict"] == "pass"] == []
    assert len(damaged) > len(bad)
    assert any(row["takes"] > 1 for row in rows)
    sent = sum(len(row["text"]) for row in server.commits())
    assert sum(row["characters_sent"] for row in rows) == sent
    summary = json.loads((tmp_path / "m/summary.json").read_bytes())
    assert summary["characters_sent"] == sent
    assert summary["spent_usd"] == pytest.approx(sent * 4 / 1e6, abs=1e-6)


def contexts(out: Path) -> dict[tuple[str, str], str]:
    """Under which context audio came, by the id of its row and its SHA-256."""
    found: dict[tuple[str, str], str] = {}
    for line in ledger(out):
        if line.get("sha256") and line.get("context"):
            found.setdefault((line["id"], line["sha256"]), line["context"])
    return found


def test_a_recognizer_behind_a_socket_hears_what_it_hears_directly(tmp_path: Path) -> None:
    write(tmp_path / "m.jsonl", scripts(100, 22))
    with serving(tmp_path / "served.jsonl", engine="hibari") as server:
        speaker = ("-p", "together", "--endpoint", server.url, "--quiet")
        answer = ask("run", "m.jsonl", *speaker, here=tmp_path, extra=KEY, deadline=LONG_S)
        assert answer.status == 0, answer.err
        shutil.copytree(tmp_path / "m", tmp_path / "n")
        errors = []
        for out, endpoint in (("m", ()), ("n", ("--endpoint", server.url))):
            ask("verify", out, *endpoint, "--quiet", here=tmp_path, extra=KEY, deadline=LONG_S)
            errors.append(mean(row["wer"] for row in results(tmp_path / out)))
    assert errors[0] == pytest.approx(errors[1], abs=0.005)
