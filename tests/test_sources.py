"""Where settings come from: flag, environment, job file, default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from batchtts.job.settings import Job
from batchtts.wire.prices import AS_OF
from tests.e2e import TONE, ask, write_csv

ROWS = {"a": "One.", "b": "Two.", "c": "Three."}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a manifest that is spoken, m.csv, and one that is not, new.csv."""
    path = tmp_path_factory.mktemp("sources")
    write_csv(path / "m.csv", ROWS)
    write_csv(path / "new.csv", ROWS)
    assert ask("run", "m.csv", *TONE, "--quiet", here=path).status == 0
    return path


def shown(here: Path, *command: str, extra: Mapping[str, str] = {}) -> dict[str, tuple[str, str]]:
    """What `--show-settings` prints: value and source, by key."""
    answer = ask("run", *command, "--show-settings", here=here, extra=extra)
    assert (answer.status, answer.err) == (0, "")
    head, *lines = answer.out.splitlines()
    value, source = head.index("VALUE"), head.index("SOURCE")
    return {line[:value].strip(): (line[value:source].strip(), line[source:]) for line in lines}


def test_a_flag_beats_the_environment_and_that_the_job_file_and_that_the_default(
    here: Path,
) -> None:
    (here / "empty.toml").write_text('manifest = "m.csv"')
    (here / "told.toml").write_text('manifest = "m.csv"\nattempts = 2\nquiet = true')
    told = {"BATCHTTS_RUN_ATTEMPTS": "3", "BATCHTTS_RUN_QUIET": "no"}
    places = [
        shown(here, "empty.toml"),
        shown(here, "told.toml"),
        shown(here, "told.toml", extra=told),
        shown(here, "told.toml", "--attempts", "5", "--quiet", extra=told),
    ]
    assert [each["attempts"] for each in places] == [
        ("4", "default"),
        ("2", "told.toml"),
        ("3", "BATCHTTS_RUN_ATTEMPTS"),
        ("5", "flag --attempts"),
    ]
    assert [each["quiet"] for each in places] == [
        ("false", "default"),
        ("true", "told.toml"),
        ("false", "BATCHTTS_RUN_QUIET"),
        ("true", "flag --quiet"),
    ]


def test_a_quiet_job_file_is_overruled_from_above(here: Path) -> None:
    (here / "quiet.toml").write_text(
        'manifest = "m.csv"\nquiet = true\nprovider = "local"\nvoice = "tone"'
    )
    assert ask("run", "quiet.toml", here=here).err == ""
    assert "3 rows" in ask("run", "quiet.toml", "--no-quiet", here=here).err
    loud = {"BATCHTTS_RUN_QUIET": "0"}
    assert "3 rows" in ask("run", "quiet.toml", here=here, extra=loud).err
    assert ask("run", "quiet.toml", "--quiet", here=here, extra=loud).err == ""


def test_every_setting_is_shown_and_nothing_is_run(here: Path, tmp_path: Path) -> None:
    before = sorted(here.rglob("*"))
    told = shown(here, "new.csv")
    tables = {"columns", "options", "prices", "voices"}
    assert set(Job.__struct_fields__) | {"key", "price"} == {key.partition(".")[0] for key in told}
    assert {told[key] for key in tables} == {("-", "default")}
    assert told["manifest"] == ("new.csv", "argument")
    assert told["out"] == ("new", "manifest")
    assert told["provider"] == ("local", "no provider named and no key set")
    assert told["workers"] == ("8", "default of local")
    assert told["key"] == ("none is needed", "default of local")
    assert told["price"][0] == "$0.00 a million characters"
    assert sorted(here.rglob("*")) == before


def test_settings_tell_where_a_key_is_and_never_what_it_is(here: Path) -> None:
    told = shown(here, "new.csv", extra={"TOGETHER_API_KEY": "sk-never-shown"})
    assert told["key"] == ("in the environment", "TOGETHER_API_KEY (set)")
    assert told["provider"] == ("together", "TOGETHER_API_KEY is set")
    assert told["price"] == ("$4.00 a million characters", f"list price of together, as of {AS_OF}")
    assert "sk-never-shown" not in repr(told)
    told = shown(here, "new.csv", "--provider", "together")
    assert told["key"] == ("in the environment", "TOGETHER_API_KEY (not set)")
    (here / "secret.toml").write_text(
        'manifest = "m.csv"\nprovider = "together"\nkey_file = "key"\n'
        'ping_url = "https://host/sk-never-shown"\nprices = { "hexgrad/Kokoro-82M" = 2 }'
    )
    told = shown(here, "secret.toml", "--endpoint", "wss://host/?key=sk-never-shown")
    assert told["key"] == ("in a file", "key")
    assert told["ping_url"] == ("https://host/…", "secret.toml")
    assert told["price"] == ("$2.00 a million characters", "prices")
    assert "sk-never-shown" not in repr(told)


def test_tables_are_merged_key_by_key(here: Path) -> None:
    (here / "tables.toml").write_text(
        'manifest = "m.csv"\ncolumns = { id = "id", text = "other" }\n'
        'options = { segment = "sentence", linger_s = 1 }\nprovider = "local"'
    )
    told = shown(here, "tables.toml", "--column", "text=text", "-O", "linger_s=2")
    assert told["columns.id"] == ("id", "tables.toml")
    assert told["columns.text"] == ("text", "flag --column")
    assert told["options.segment"] == ("sentence", "tables.toml")
    assert told["options.linger_s"] == ("2", "flag --option")
    told = shown(here, "m.csv", extra={"BATCHTTS_RUN_COLUMN": "text=text"})
    assert told["columns.text"] == ("text", "BATCHTTS_RUN_COLUMN")


LIMITS = {
    "max_cost_usd": ("MAX_COST", "--max-cost", "0.5", "0.5"),
    "max_duration_s": ("MAX_DURATION", "--max-duration", "1h30m", "5400.0"),
    "limit": ("LIMIT", "--limit", "7", "7"),
    "sample": ("SAMPLE", "--sample", "7", "7"),
    "seed": ("SEED", "--seed", "-7", "-7"),
    "again": ("AGAIN", "--again", "failed", '["failed"]'),
    "prune": ("PRUNE", "--prune", "1", "true"),
    "dedup": ("DEDUP", "--no-dedup", "0", "false"),
    "outage_s": ("OUTAGE", "--outage", "2m", "120.0"),
    "log_format": ("LOG_FORMAT", "--log-format", "json", "json"),
    "metrics": ("METRICS", "--metrics", "m.prom", "m.prom"),
    "sample_rate_hz": ("SAMPLE_RATE", "--sample-rate", "8000", "8000"),
}


def test_whatever_a_flag_says_a_variable_says_by_the_same_name(here: Path) -> None:
    flags = [
        word
        for _, flag, value, _ in LIMITS.values()
        for word in ((flag,) if flag in ("--prune", "--no-dedup") else (flag, value))
    ]
    variables = {f"BATCHTTS_RUN_{name}": value for name, _, value, _ in LIMITS.values()}
    told, other = shown(here, "m.csv", *flags), shown(here, "m.csv", extra=variables)
    for key, (name, flag, _, value) in LIMITS.items():
        assert told[key] == (value, f"flag {flag.replace('--no-', '--')}")
        assert other[key] == (value, f"BATCHTTS_RUN_{name}")


def test_a_variable_by_the_name_of_the_key_is_good_too(here: Path) -> None:
    assert shown(here, "m.csv", extra={"BATCHTTS_RUN_GRACE_S": "1m"})["grace_s"] == (
        "60.0",
        "BATCHTTS_RUN_GRACE_S",
    )


@pytest.mark.parametrize(
    ("command", "variable", "says"),
    [
        ("run", "BATCHTTS_RUN_MAXCOST", "Did you mean BATCHTTS_RUN_MAX_COST?"),
        ("run", "BATCHTTS_RUN_MAX_COST", "'x' is not a valid number"),
        ("run", "BATCHTTS_RUN_MAX_DURATION", "'x' is no duration: 90s, 30m, 2h"),
        ("run", "BATCHTTS_RUN_PRUNE", "'x' is not a valid boolean"),
        ("plan", "BATCHTTS_RUN_MAX_COST", "'x' is not a valid number"),
        ("plan", "BATCHTTS_PLAN_LIMITS", "Did you mean BATCHTTS_PLAN_LIMIT?"),
    ],
)
def test_a_variable_that_cannot_be_is_refused(
    here: Path, command: str, variable: str, says: str
) -> None:
    answer = ask(command, "m.csv", *TONE, here=here, extra={variable: "x"})
    assert says in answer.err
    assert (answer.status, answer.out) == (2, "")


def test_an_empty_variable_says_nothing(here: Path) -> None:
    assert shown(here, "m.csv", extra={"BATCHTTS_RUN_OUT": ""})["out"] == ("m", "manifest")


def test_a_plan_needs_no_key_and_heeds_what_is_set_for_runs(here: Path) -> None:
    answer = ask("plan", "new.csv", "--provider", "together", here=here)
    assert (answer.status, answer.err) == (0, "")
    assert "with together/af_heart" in answer.out
    told = {"BATCHTTS_RUN_PROVIDER": "together", "BATCHTTS_PLAN_VOICE": "af_sky"}
    assert "with together/af_sky" in ask("plan", "new.csv", here=here, extra=told).out


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_limit_on_cost_without_a_price_is_refused_before_anything_is_spent(
    here: Path, command: str
) -> None:
    keyed = {"TOGETHER_API_KEY": "k"}
    dear = ("-p", "together", "--model", "a/b", "--voice", "q", "--max-cost", "1")
    answer = ask(command, "new.csv", *dear, here=here, extra=keyed)
    assert answer.err == (
        "batchtts: max_cost_usd: the price of a/b at together is not known\n"
        "  hint: tell US dollars for a million characters:"
        ' prices = { "a/b" = 15.0 } in a job file\n'
    )
    assert answer.status == 2
    assert not (here / "new").exists()
