"""What a run makes of speech that was damaged on its way, on every protocol and in every code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile

from batchtts.server.damage import How, damage
from batchtts.server.faults import Damage as Fault
from batchtts.server.faults import Faults, Plan
from tests.e2e import Row, serving
from tests.sounds import is_like
from tests.test_faults import SPEECH, TEXT, speak, to_toml, tone

WAYS = get_args(How)
RATE_HZ = 24_000

BEFORE = "It is a way I have of driving off the spleen."


def script(how: How) -> str:
    return f"Here comes {how}, {TEXT}"


def samples_of(row: Row, here: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    samples, rate_hz = soundfile.read(here / "m" / row["path"], dtype="int16")
    assert rate_hz == RATE_HZ
    return np.asarray(samples)


def expected(how: How) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What the server sends: the seed of a first request depends on the text alone."""
    faults = Faults(Plan(seed=7))
    faults.strike("together", script(how), lambda it: True)
    harm = faults.harm(Fault(probability=1.0, how=how), script(how))
    whole = tone(script(how)).tobytes()
    return np.frombuffer(damage(whole, RATE_HZ, how, harm.seed), "<i2")


def write_faults(path: Path) -> Path:
    entries = [{"kind": "damage", "text": f"comes {how},", "how": how} for how in WAYS]
    path.write_text("seed = 7\n" + "".join(map(to_toml, entries)))
    return path


@pytest.mark.parametrize("protocol", SPEECH)
def test_all_of_the_audio_is_damaged_and_the_log_says_how(tmp_path: Path, protocol: str) -> None:
    scripts = {how: script(how) for how in WAYS}
    faults = write_faults(tmp_path / "faults.toml")
    with serving(tmp_path / "log", faults=faults) as server:
        rows = speak(server, protocol, {"before": BEFORE}, tmp_path)
        rows = speak(server, protocol, {"before": BEFORE, **scripts}, tmp_path, attempts=1)
        commits, ends = server.commits(), server.finished()
    for how in WAYS:
        if how not in ("silence", "other"):
            assert np.array_equal(samples_of(rows[how], tmp_path), expected(how)), how
    assert rows["silence"]["error_code"] == "bad_audio"
    others = [BEFORE, *scripts.values()]
    heard = samples_of(rows["other"], tmp_path)
    assert [text for text in others if np.array_equal(tone(text), heard)] != [script("other")]
    assert any(np.array_equal(tone(text), heard) for text in others)
    for lines in (commits, ends):
        told = {line["text"]: (line.get("fault"), line.get("how")) for line in lines}
        assert told == {BEFORE: (None, None)} | {
            text: ("damage", how) for how, text in scripts.items()
        }
    assert {line["outcome"] for line in ends} == {"spoken"}
    long = next(line for line in ends if line.get("how") == "doubled")
    assert long["samples"] == 2 * len(tone(script("doubled")))


def test_what_was_asked_for_before_is_said_instead(tmp_path: Path) -> None:
    faults = {"kind": "damage", "text": "Ishmael", "how": "other"}
    (tmp_path / "faults.toml").write_text(to_toml(faults))
    with serving(tmp_path / "log", faults=tmp_path / "faults.toml") as server:
        first = speak(server, "together", {"a": TEXT}, tmp_path)["a"]
        heard = samples_of(first, tmp_path)
        assert not np.array_equal(heard, tone(TEXT))
        speak(server, "together", {"b": BEFORE}, tmp_path)
        last = speak(server, "together", {"c": f"Then {TEXT}"}, tmp_path)["c"]
    assert np.array_equal(samples_of(last, tmp_path), tone(BEFORE))


@pytest.mark.parametrize("code", ["mp3", "wav", "mulaw", "ogg_vorbis"])
def test_audio_is_damaged_before_it_is_put_into_a_code(tmp_path: Path, code: str) -> None:
    options: Mapping[str, Any] = {"audio_format": code, "sample_rate": RATE_HZ}
    faults = write_faults(tmp_path / "faults.toml")
    with serving(tmp_path / "log", faults=faults) as server:
        rows = speak(server, "telnyx", {"a": script("doubled")}, tmp_path, options=options)
    assert is_like(samples_of(rows["a"], tmp_path), expected("doubled"))


def test_the_times_of_words_are_those_of_what_is_sent(tmp_path: Path) -> None:
    faults = write_faults(tmp_path / "faults.toml")
    with serving(tmp_path / "log", faults=faults) as server:
        scripts = {"a": script("doubled")}
        rows = speak(server, "together", scripts, tmp_path, word_timestamps=True)
    end_s = rows["a"]["words"][-1]["end_s"]
    assert end_s == pytest.approx(2 * len(tone(script("doubled"))) / RATE_HZ, abs=0.01)
