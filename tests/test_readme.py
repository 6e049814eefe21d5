"""The README is a promise: its commands are run, its tables are compared with the code."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchtts import errors
from batchtts.errors import Exit
from batchtts.wire import registry
from tests.e2e import LINGER_S

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Step:
    """A command of the README and what it is said to print."""

    command: str
    output: str


def console_steps() -> list[Step]:
    steps = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a fresh clone has for its user."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user who has just opened a terminal."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("BATCHTTS")}
    own = {k: v for k, v in own.items() if not k.endswith("_API_KEY")}
    return own | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def served(clone: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address of a server like the README's own, which stands in for the paid one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchtts", "serve", "--port", "0", "--until-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=clone,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process.stdout.readline().removeprefix("listening on ").strip()
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def localize(command: str, served: str) -> tuple[list[str], dict[str, str]]:
    """The same command on this machine: a free port, this Python, no vendor."""
    words = shlex.split(command.replace("ws://127.0.0.1:8765", served))
    extra: dict[str, str] = {}
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        extra[name] = value
    if "together" in words and "--endpoint" not in words:
        extra[f"BATCHTTS_{words[1].upper()}_ENDPOINT"] = served
    if "together" in words:
        extra["TOGETHER_API_KEY"] = "test"
    if words[1:2] == ["run"] and "together" in words:
        extra["BATCHTTS_RUN_OPTION"] = f"linger_s={LINGER_S}"
    if words[0] == "batchtts":
        return [sys.executable, "-m", *words], extra
    assert words[0] == "python"
    return [sys.executable, *words[1:]], extra


def test_every_command_of_the_readme_works(
    clone: Path, environment: dict[str, str], served: str
) -> None:
    for step in console_steps():
        if step.command.startswith(("export ", "batchtts serve")):
            continue  # the fixtures did that
        command, extra = localize(step.command, served)
        done = subprocess.run(
            command, env=environment | extra, cwd=clone, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, (step.command, done.stderr)
        assert done.stdout.startswith(step.output), step.command


def test_the_python_of_the_readme_works(clone: Path, environment: dict[str, str]) -> None:
    [program] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 rows, ")
    assert done.stdout.endswith("exit code 0\n")


def test_the_targets_of_the_readme_can_be_made() -> None:
    make = shutil.which("make")
    assert make is not None
    for target in re.findall(r"^    make (\w+)$", README, re.MULTILINE):
        subprocess.run([make, "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_exit_statuses_are_those_of_the_code() -> None:
    told = re.findall(r"^\| (\d+(?:, \d+)?) \| \w", README, re.MULTILINE)
    assert [int(n) for cell in told for n in cell.split(", ")] == [status.value for status in Exit]


def test_the_error_codes_are_those_of_the_code() -> None:
    sentence = README[README.index("`error_code` is one of") :].partition(".\n")[0]
    told = set(re.findall(r"`(\w+)`", sentence)) - {"error_code"}
    assert told == {error.code for error in leaves(errors.UtteranceError)} - {
        "attempt",
        "budget",
        "process_died",
    }  # nor does a row fail of these


def leaves(error: type[errors.UtteranceError]) -> Iterator[type[errors.UtteranceError]]:
    for child in error.__subclasses__():
        yield child
        yield from leaves(child)


@pytest.mark.parametrize("name", registry.names())
def test_the_number_of_voices_is_told_right(name: str) -> None:
    provider = registry.get(name)
    key = f"`{provider.key_variable}`" if provider.key_variable else "none"
    assert f"| `{name}` | {key} | {len(provider.voices)} |" in README


def test_the_example_of_a_provider_is_as_short_as_it_is_told() -> None:
    whole = (ROOT / "tests" / "example" / "batchtts_parrot.py").read_text(encoding="utf-8")
    [lines] = re.findall(r"\(tests/example\)\s+is a whole one in (\d+) lines", README)
    assert len(whole.splitlines()) == int(lines)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert README.count("\n") < 440
