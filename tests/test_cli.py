"""The command line from outside: help, streams, exit status, pipes, narrow terminals."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import batchtts
from batchtts.cli import COMMANDS
from batchtts.cli.options import Option
from batchtts.record.columns import results_schema
from batchtts.run.spelling import spell_usd
from batchtts.wire import registry
from batchtts.wire.prices import AS_OF
from tests.e2e import COMMAND, DEADLINE, TONE, Answer, ask, environment, write_csv

WIDTH = 88  # columns
ROWS = {"a": "One.", "b": "Two.", "c": "Three."}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a manifest that is spoken, m.csv, and one that is not, new.csv."""
    path = tmp_path_factory.mktemp("cli")
    write_csv(path / "m.csv", ROWS)
    write_csv(path / "new.csv", ROWS)
    answer = ask("run", "m.csv", *TONE, "--quiet", here=path)
    assert answer == Answer(0, "", "", answer.seconds)
    return path


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `--help` says, by command."""
    path = tmp_path_factory.mktemp("help")
    return {name: ask(name, "--help", here=path).out for name in COMMANDS}


def test_the_program_says_what_it_can_do(tmp_path: Path) -> None:
    answer = ask("--help", here=tmp_path)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("Usage: batchtts [OPTIONS] COMMAND [ARGS]...\n")
    for name, line in COMMANDS.items():
        assert f"  {name}" in answer.out
        assert line in answer.out


def test_h_is_help_too(tmp_path: Path) -> None:
    assert ask("-h", here=tmp_path).out == ask("--help", here=tmp_path).out


def test_the_version_is_told(tmp_path: Path) -> None:
    answer = ask("--version", here=tmp_path)
    assert (answer.out, answer.err) == (f"batchtts, version {batchtts.__version__}\n", "")
    assert answer.status == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_summary_examples_and_exit_status(helps: dict[str, str], name: str) -> None:
    usage, blank, summary, *_ = helps[name].splitlines()
    assert usage.startswith(f"Usage: batchtts {name} ")
    assert blank == ""
    assert summary.startswith("  ")
    assert summary.strip()[0].isupper()
    assert "\n  Exit status:\n    " in helps[name]
    assert f"\n    batchtts {name}" in helps[name].partition("\n  Example")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_its_width(helps: dict[str, str], name: str) -> None:
    assert max(map(len, helps[name].splitlines())) <= WIDTH


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_choice_and_says_every_flag_in_words(
    helps: dict[str, str], name: str
) -> None:
    options = helps[name].partition("\nOptions:\n")[2]
    flags = [line for line in options.splitlines() if line.startswith("  -")]
    assert flags
    assert all(len(line.split()) > 1 for line in flags)


def test_the_flags_of_a_run_stand_in_sections(helps: dict[str, str]) -> None:
    sections = re.findall(r"^(\w[^:\n]*):$", helps["run"], re.MULTILINE)
    flags = helps["run"].partition("\nOptions:\n")[2]
    assert sections == [
        *("Options", "Who speaks", "Which rows", "Limits", "How hard it tries"),
        *("Is it any good", "What it tells"),
    ]
    assert re.findall(r"^  .*--(\w[\w-]*)", flags.partition("\nLimits:\n")[2], re.MULTILINE)[
        :3
    ] == [*("max-cost", "max-duration", "limit")]
    assert len(re.findall(r"^  .*--", helps["run"], re.MULTILINE)) > 30


def test_run_documents_every_exit_status(helps: dict[str, str]) -> None:
    status = helps["run"].partition("Exit status:\n")[2].partition("Examples:")[0]
    told = [line.split()[0] for line in status.splitlines() if line.strip()[:1].isdigit()]
    assert told == "0 2 3 4 5 11 70 130".split()
    assert "143 terminated" in status


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_a_narrow_terminal_gets_help_too(tmp_path: Path, name: str) -> None:
    answer = ask(*filter(None, [name]), "--help", here=tmp_path, extra={"COLUMNS": "40"})
    assert (answer.status, answer.err) == (0, "")
    assert "Options:" in answer.out


def test_a_narrow_terminal_gets_tables_and_a_run_too(here: Path) -> None:
    narrow = {"COLUMNS": "40"}
    for command in (["voices"], ["providers"], ["plan", "m.csv", *TONE], ["status", "m"]):
        answer = ask(*command, here=here, extra=narrow)
        assert (answer.status, answer.err) == (0, "")
    answer = ask("run", "m.csv", *TONE, here=here, extra=narrow)
    assert answer.status == 0
    assert "3 rows: 3 done, 0 failed" in answer.err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["frobnicate"], "No such command 'frobnicate'."),
        (["run", "--frobnicate"], "No such option '--frobnicate'."),
        (["run"], "Missing argument 'MANIFEST'."),
        (["run", "one.csv", "two.csv"], "Got unexpected extra argument (two.csv)"),
        (["status", "nowhere"], "nowhere: no such directory"),
        (["status", "."], ".: no ledger here"),
        (["run", "."], ".: is a directory"),
        (["run", "/"], "/: is a directory"),
        (["run", "m.csv", "--max-cost", "cheap"], "'cheap' is not a valid number."),
        (["run", "m.csv", "--workers", "x"], "'x' is not a valid whole number."),
        (["serve", "--port", "x"], "'x' is not a valid whole number."),
        (["voices", "nobody"], "no provider 'nobody'"),
        (["doctor", "nobody"], "no provider 'nobody'"),
        (["plan", "nothing.csv"], "nothing.csv: no such file"),
        (["plan", "nothing.csv", "-O", "x"], "'x' is not KEY=VALUE"),
        (["plan", "nothing.csv", "-O", "=x"], "'=x' is not KEY=VALUE"),
    ],
)
def test_a_wrong_command_is_told_on_stderr_with_status_2(
    tmp_path: Path, command: list[str], says: str
) -> None:
    answer = ask(*command, here=tmp_path)
    wrong, *hint = answer.err.splitlines()
    assert wrong.startswith("batchtts: ")
    assert says in wrong
    assert [line[:8] for line in hint] in ([], ["  hint: "])
    assert (answer.status, answer.out) == (2, "")


def test_a_wrong_command_is_shown_where_help_is(tmp_path: Path) -> None:
    answer = ask("run", "--frobnicate", here=tmp_path)
    assert answer.err.endswith("\n  hint: `batchtts run --help` says what there is\n")


def test_a_wrong_value_is_told_with_the_variable_that_holds_it(tmp_path: Path) -> None:
    answer = ask("plan", "m.csv", here=tmp_path, extra={"BATCHTTS_RUN_LIMIT": "0"})
    assert "Invalid value for 'BATCHTTS_RUN_LIMIT': 0 is not in" in answer.err
    answer = ask("plan", "m.csv", "--limit", "0", here=tmp_path, extra={"BATCHTTS_RUN_LIMIT": "1"})
    assert "Invalid value for '--limit': 0 is not in" in answer.err


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    answer = ask(here=tmp_path)
    assert answer.out + answer.err == ask("--help", here=tmp_path).out
    assert answer.status == 2


# ── stdout is for data, stderr for people ─────────────────────────────────────


def data(answer: Answer) -> Any:  # noqa: ANN401  whatever the command has to tell
    assert (answer.status, answer.err) == (0, "")
    return json.loads(answer.out)


def test_a_run_says_everything_on_stderr(here: Path) -> None:
    answer = ask("run", "m.csv", *TONE, here=here)
    assert (answer.status, answer.out) == (0, "")
    assert answer.err == (
        "3 rows: 3 done, 0 failed; nothing to speak; $0.00 in all\nm/results.parquet\n"
    )


def test_a_quiet_run_says_nothing_when_all_is_well(here: Path) -> None:
    answer = ask("run", "m.csv", *TONE, "-q", here=here)
    assert answer == Answer(0, "", "", answer.seconds)


def test_a_quiet_run_says_what_is_wrong(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One.", "b": "?"})
    answer = ask("run", "m.csv", *TONE, "-q", here=tmp_path)
    assert answer.status == 3
    assert answer.out == ""
    first, rows, step = answer.err.splitlines()
    assert first.endswith("run b failed: script has no letter or digit to speak")
    assert rows.startswith("2 rows: 1 done, 1 failed; ")
    assert step == "m/failed.parquet says why; it is a manifest itself"


def test_rows_that_no_limit_but_the_sample_left_out_are_not_promised(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {name: f"Number {name}." for name in "abcd"})
    flags = (*TONE, "-q", "--sample", "2", "--limit", "1")
    told = [ask("run", "m.csv", *flags, here=tmp_path).err.splitlines()[-1] for _ in range(3)]
    assert told == [
        "stopped by --limit 1: 3 rows left, run again",
        *["2 rows left out by --sample 2: run without it"] * 2,
    ]


def test_a_plan_says_what_a_run_would_do_and_changes_nothing(here: Path) -> None:
    before = sorted(here.iterdir())
    answer = ask("plan", "new.csv", *TONE, here=here)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == (
        "+3 new, ~0 changed, =0 done, !0 failed before, -0 gone\n"
        "3 rows to speak: 14 characters with local/tone, $0.00, about 0 s\n"
    )
    assert sorted(here.iterdir()) == before


def test_a_plan_is_data_for_machines(here: Path) -> None:
    spoken = {
        **dict.fromkeys(["new", "changed", "failed", "gone", "refused"], 0),
        "done": 3,
        "to_speak": 0,
        "characters": 0,
        "provider": "local",
        "voice": "tone",
        "models": {},
        "cost_usd": 0.0,
        "unpriced_models": 0,
        "why_changed": {},
        "shared": 0,
        "left_out": 0,
        "duration_s": 0.0,
    }
    assert data(ask("plan", "m.csv", *TONE, "--json", here=here)) == spoken
    assert data(ask("plan", "new.csv", *TONE, "--json", here=here)) == {
        **spoken,
        "new": 3,
        "done": 0,
        "to_speak": 3,
        "characters": 14,
        "models": {"tone": 14},
        "duration_s": 0.1,
    }


def test_a_sum_says_what_is_not_known_of_it() -> None:
    sums = [spell_usd(0.0, 0), spell_usd(1.5, 0), spell_usd(1.5, 2), spell_usd(0.0, 2)]
    assert sums == ["$0.00", "$1.50", "at least $1.50", "price not known"]
    assert spell_usd(0.0042, 0) == "$0.0042"
    assert [spell_usd(0.0001, 0), spell_usd(0.00009, 0)] == ["$0.0001", "under $0.0001"]


def test_a_plan_adds_up_the_prices_of_all_models(here: Path) -> None:
    rows = ["id,text,model,voice", f"a,{'x' * 1000},,", f"b,{'x' * 1000},cartesia/sonic-2,q"]
    (here / "dear.csv").write_text("\n".join(rows))
    keyed = {"TOGETHER_API_KEY": "k"}
    told = data(ask("plan", "dear.csv", "-p", "together", "--json", here=here, extra=keyed))
    assert told["cost_usd"] == pytest.approx(1000 * 4e-6 + 1000 * 65e-6)
    (here / "unknown.csv").write_text("\n".join([*rows, "c,x,some/model,q"]))
    told = ask("plan", "unknown.csv", "-p", "together", here=here, extra=keyed)
    assert ", at least $0.0690" in told.out


def test_a_plan_knows_what_a_paid_provider_would_charge(here: Path) -> None:
    secret = {"TOGETHER_API_KEY": "sk-never-shown"}
    answer = ask("plan", "new.csv", "--provider", "together", "--json", here=here, extra=secret)
    assert data(answer)["cost_usd"] == pytest.approx(14 * 4 / 1e6)
    assert "sk-never-shown" not in answer.out


def test_a_status_is_data_for_machines_and_for_people(here: Path) -> None:
    found = data(ask("status", "m", "--json", here=here))
    assert found.pop("audio_s") == pytest.approx(0.060 * 14)
    assert found == {
        "done": 3,
        "failed": 0,
        "taken_back": 0,
        "cost_usd": 0.0,
        "unpriced": 0,
        "verdicts": {"pass": 3},
        "errors": {},
        "characters_sent": 14,
        "damaged_lines": 0,
        "manifest": str(here / "m.csv"),
    }
    answer = ask("status", "m", here=here)
    assert "3 done, 0 failed; " in answer.out
    assert (answer.status, answer.err) == (0, "")


def test_the_columns_of_results_are_told_with_their_units(here: Path) -> None:
    told = json.loads(ask("status", "m", "--columns", "--json", here=here).out)
    schema = results_schema(pa.schema([]))
    assert all(it.pop("type") for it in told)
    assert told[: len(schema)] == [
        {
            "name": field.name,
            "unit": field.metadata[b"unit"].decode(),
            "about": field.metadata[b"about"].decode(),
        }
        for field in schema
    ]
    assert told[-1]["about"] == "as in the manifest"
    table = ask("status", "m", "--columns", here=here).out.splitlines()
    assert len(table) == 1 + len(told)


def test_a_status_counts_what_was_taken_back(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", ROWS)
    ask("run", "m.csv", *TONE, here=tmp_path)
    (tmp_path / "m/wav/a.wav").unlink()
    assert ask("check", "m", "--repair", here=tmp_path).status == 0
    assert "2 done, 0 failed, 1 dropped or taken back; " in ask("status", "m", here=tmp_path).out


def test_a_plan_says_that_rows_have_no_ids(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("text\nOne.\n")
    answer = ask("plan", "m.csv", *TONE, here=tmp_path)
    assert answer.err.endswith("run m.csv has no id column: ids are row numbers, from 1\n")


def test_providers_are_data_and_their_keys_are_not(here: Path) -> None:
    secret = {"TOGETHER_API_KEY": "sk-never-shown"}
    shown = ask("providers", "--json", here=here, extra=secret)
    told = {each["name"]: each for each in data(shown)}
    assert {"local", "together"} <= set(told)
    assert (told["together"]["key_variable"], told["together"]["key_set"]) == (
        "TOGETHER_API_KEY",
        True,
    )
    table = ask("providers", here=here, extra=secret)
    assert "TOGETHER_API_KEY (set)" in table.out
    assert "sk-never-shown" not in shown.out + table.out + table.err


def test_the_list_of_providers_has_what_one_must_know_and_fits_80_columns(here: Path) -> None:
    answer = ask("providers", here=here)
    assert (answer.status, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 80
    blocks = {block.split()[0]: block for block in answer.out.rstrip("\n").split("\n\n")}
    assert list(blocks) == list(registry.built_in())
    assert [line.split(maxsplit=1) for line in blocks["together"].splitlines()[1:6]] == [
        ["key", "TOGETHER_API_KEY (not set)"],
        ["voices", "62, or those of other models by name"],
        ["audio", "pcm; 24,000 Hz"],
        ["limits", "250 characters a request, 8 at once, 8 sockets"],
        ["price", f"$4 to $65 a million characters, as of {AS_OF}"],
    ]
    assert "options  segment, max_partial_length, " in blocks["together"]
    assert "price    free" in blocks["local"]


@pytest.mark.parametrize("name", registry.built_in())
def test_every_provider_tells_its_options_with_type_and_default(here: Path, name: str) -> None:
    told = {each["name"]: each for each in data(ask("providers", "--json", here=here))}
    provider = registry.get(name)
    options = told[name]["options"]
    assert list(options) == list(provider.options.__struct_fields__)
    assert all(set(option) > {"default"} for option in options.values())
    provider.check_options({key: option["default"] for key, option in options.items()})
    assert told[name]["segment_chars"] == provider.segment_chars


def test_an_option_is_told_as_its_type_and_its_default(here: Path) -> None:
    told = {each["name"]: each for each in data(ask("providers", "--json", here=here))}
    assert told["together"]["options"] == {
        "segment": {"enum": ["immediate", "never", "sentence"], "default": "never"},
        "max_partial_length": {"type": "integer", "minimum": 1, "default": 250},
        "sample_rate": {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
            "default": None,
        },
        "language": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "extra_params": {
            "type": "object",
            "additionalProperties": {"description": "any object"},
            "default": {},
        },
        "linger_s": {"type": "number", "minimum": 0, "default": 0.5},
    }


def test_a_provider_of_open_voices_says_so_beside_its_list(here: Path) -> None:
    answer = ask("voices", "cartesia", "--json", here=here)
    assert answer.status == 0
    assert len(json.loads(answer.out)) == len(registry.get("cartesia").voices)
    assert answer.err == "cartesia takes other voices, too: name one with --voice\n"


@pytest.mark.parametrize(
    ("told", "option"),
    [
        ("segment=never", ("segment", "never")),
        (" segment = never", ("segment", " never")),
        ("linger_s=0.5", ("linger_s", 0.5)),
        ("n=-3", ("n", -3)),
        ("flag=true", ("flag", True)),
        ("flag=True", ("flag", "True")),
        ('id="123"', ("id", "123")),
        ("empty=", ("empty", "")),
        ("eq=a=b", ("eq", "a=b")),
        ('extra={ a = ["x # y"] }', ("extra", {"a": ["x # y"]})),
        ("day=2026-01-01", ("day", "2026-01-01")),
        ("note=5 # five", ("note", "5 # five")),
        ("note=1\nb = 2", ("note", "1\nb = 2")),
        ("color=#ff0000", ("color", "#ff0000")),
        (f"deep={'[' * 5000}", ("deep", "[" * 5000)),
    ],
)
def test_an_option_is_read_as_in_a_job_file(told: str, option: tuple[str, object]) -> None:
    assert Option().convert(told, None, None) == option


def test_options_reach_the_provider(here: Path) -> None:
    answer = ask("plan", "new.csv", *TONE, "-O", "linger=1", here=here)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == (
        "batchtts: local has no option 'linger'\n  hint: did you mean linger_s or language?\n"
    )
    good = ("-O", "segment=sentence", "--option", "linger_s=0.1", "--word-timestamps")
    assert ask("plan", "new.csv", *TONE, *good, here=here).status == 0


@pytest.mark.parametrize("provider", ["local", "together"])
def test_voices_are_data(here: Path, provider: str) -> None:
    voices = data(ask("voices", provider, "--json", here=here))
    assert {tuple(voice) for voice in voices} == {("voice", "model", "language")}
    assert voices[0]["voice"] == "af_heart"
    french = data(ask("voices", provider, "--language", "fr", "--json", here=here))
    assert french == [voice for voice in voices if voice["language"] == "fr"] != []


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["run", "--help"],
        ["voices"],
        ["providers", "--json"],
        ["plan", "m.csv", *TONE],
        ["status", "m"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_closed_pipe_is_no_reason_for_a_traceback(
    here: Path, command: list[str], buffering: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, *command],
            cwd=here,
            env=environment({"PYTHONUNBUFFERED": buffering}),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr == b""


# ── completion ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(tmp_path: Path, shell: str) -> None:
    answer = ask(here=tmp_path, extra={"_BATCHTTS_COMPLETE": f"{shell}_source"})
    assert answer.status == 0
    assert f"_BATCHTTS_COMPLETE={shell}_complete" in answer.out
    assert "Usage:" not in answer.out


def test_commands_and_flags_are_completed(tmp_path: Path) -> None:
    def complete(line: str) -> list[str]:
        words = {"_BATCHTTS_COMPLETE": "bash_complete", "COMP_WORDS": line}
        answer = ask(here=tmp_path, extra={**words, "COMP_CWORD": f"{len(line.split()) - 1}"})
        return answer.out.splitlines()

    assert complete("batchtts p") == ["plain,plan", "plain,providers"]
    assert "plain,--sample-rate" in complete("batchtts run --s")
    assert complete("batchtts serve --engine t") == ["plain,tone"]
