"""Left alone: the files in jobs/ that start a run where nobody looks.

Command lines are taken from the files themselves and only paths are changed, so a file
and its test cannot drift apart. The environment is as poor as cron, systemd and a
container make it: no home, no user, no terminal, another directory, another umask.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from batchtts.errors import Exit
from batchtts.job.settings import Job, load
from tests.e2e import (
    DEADLINE,
    LINGER_S,
    ROOT,
    Server,
    by_id,
    done,
    environment,
    eventually,
    sentences,
    serving,
    untrue_lines,
    write_csv,
)

JOBS = ROOT / "jobs"
CRONTAB = (JOBS / "batchtts.cron").read_text(encoding="utf-8")
SERVICE = (JOBS / "batchtts.service").read_text(encoding="utf-8")
TIMER = (JOBS / "batchtts.timer").read_text(encoding="utf-8")
NIGHTLY = (JOBS / "nightly.toml").read_text(encoding="utf-8")
DOCKERFILE = (JOBS / "Dockerfile").read_text(encoding="utf-8")
KUBERNETES = (JOBS / "kubernetes.yaml").read_text(encoding="utf-8")

KEY = "nk-0123456789"
ROWS = {"été": "One.", "夜": "Two words.", "c": "Three."}


# ── a place to work in ────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Place:
    """Where somebody has put the job, and a command `batchtts` that needs nothing around it."""

    folder: Path
    bin: Path

    @property
    def out(self) -> Path:
        return self.folder / "lib" / "nightly"

    def moved(self, text: str, paths: Mapping[str, Path]) -> str:
        """A text of jobs/ with its paths changed to ours; each must be in it."""
        for old, new in paths.items():
            assert old in text, old
            text = text.replace(old, str(new))
        return text


def settle(folder: Path, server: Server) -> Place:
    """Put job, manifest and key where a user would, and a command on the PATH."""
    place = Place(folder, folder / "bin")
    place.bin.mkdir(parents=True)
    (folder / "lib").mkdir()
    command = place.bin / "batchtts"
    python = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)}"
    command.write_text(f'#!/bin/sh\nexec env {python} -m batchtts "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    job = place.moved(NIGHTLY, {"/var/lib/batchtts": folder / "lib"})
    endpoint = f'endpoint = "{server.url}"\noptions.linger_s = {LINGER_S}\n'
    (folder / "nightly.toml").write_text(f"{job}\n{endpoint}", encoding="utf-8")
    (folder / "together.key").write_text(KEY, encoding="utf-8")
    (folder / "together.key").chmod(0o600)
    write_csv(folder / "nightly.csv", ROWS)
    return place


def made(place: Place) -> list[Path]:
    return [place.out, *place.out.rglob("*")]


def of_the_crontab(place: Place) -> list[str]:
    [line] = re.findall(r"^30 2 \* \* \*  (.*)$", CRONTAB, re.MULTILINE)
    return ["/bin/sh", "-c", place.moved(line, {"/home/you/batchtts": place.folder})]


def of_the_unit(place: Place) -> list[str]:
    [line] = re.findall(r"^ExecStart=(.*)$", SERVICE, re.MULTILINE)
    paths = {"/usr/local/bin": place.bin, "/etc/batchtts": place.folder}
    return shlex.split(place.moved(line, paths))


def of_the_container(place: Place) -> list[str]:
    [entry] = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    [args] = re.findall(r"^ +args: \[(.*)\]$", KUBERNETES, re.MULTILINE)
    words = [word.strip(' "') for word in place.moved(args, {"/job": place.folder}).split(",")]
    return [str(place.bin / json.loads(entry)[0]), *words]


LINES = {"crontab": of_the_crontab, "unit": of_the_unit, "container": of_the_container}


def alone(
    command: Sequence[str], place: Place, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in next to no environment."""
    return subprocess.run(
        command,
        env={"PATH": f"{place.bin}:/usr/bin:/bin", **variables},
        cwd="/",
        umask=0o077,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("where", "variables"),
    [("crontab", {}), ("unit", {"LANG": "C"}), ("container", {"LC_ALL": "POSIX"})],
    ids=str,
)
def test_the_line_of_each_file_works_where_there_is_nothing(
    tmp_path: Path, where: str, variables: dict[str, str]
) -> None:
    with serving(tmp_path / "log", key=KEY) as server:
        place = settle(tmp_path / "Bücher-夜", server)
        first = alone(LINES[where](place), place, **variables)
        assert (first.returncode, first.stdout, first.stderr) == (0, b"", b"")
        assert server.texts() == sorted(ROWS.values())
    assert by_id(place.out, "status") == dict.fromkeys(ROWS, "done")
    assert [path for path in made(place) if path.stat().st_mode & 0o077] == []

    again = alone(LINES[where](place), place, **variables)  # there is nobody to connect to
    assert (again.returncode, again.stdout, again.stderr) == (0, b"", b"")


def test_the_crontab_leaves_a_line_for_each_night_and_the_status_of_the_run(tmp_path: Path) -> None:
    with serving(tmp_path / "log", key=KEY) as server:
        place = settle(tmp_path / "here", server)
    (place.folder / "together.key").write_text("")
    refused = alone(of_the_crontab(place), place)
    assert refused.returncode == Exit.USAGE
    assert refused.stderr == f"batchtts: key_file {place.folder}/together.key is empty\n".encode()
    log = (place.folder / "nightly.log").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d 2\n", log)


# ── cron ──────────────────────────────────────────────────────────────────────


def test_the_crontab_is_one() -> None:
    lines = [line for line in CRONTAB.splitlines() if line and not line.startswith("#")]
    entries = [line for line in lines if not re.match(r"[A-Z]+=\S+$", line)]
    for line in entries + re.findall(r"^#(\d.*)$", CRONTAB, re.MULTILINE):
        *fields, command = line.split(None, 5)
        assert [field for field in fields if not re.fullmatch(r"\*|\d+", field)] == []
        assert "%" not in command  # cron would cut the line there
        [job] = re.findall(r"\S+\.toml", command)
        assert job.startswith("/")
    assert len(entries) == 1


@pytest.mark.skipif(not shutil.which("crontab"), reason="no crontab here")
def test_crontab_accepts_the_crontab() -> None:
    usage = subprocess.run(["crontab", "-?"], capture_output=True, text=True, check=False).stderr
    if "-T" not in usage and "-n\t(dry run" not in usage:
        pytest.skip("this crontab has no dry run")
    flag = "-T" if "-T" in usage else "-n"
    done = subprocess.run(
        ["crontab", flag, str(JOBS / "batchtts.cron")], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


#: A machine with this one crontab: what is mounted here is seen by nobody else.
CRON = """
mount --make-rprivate / && mount -t tmpfs none /run && mount -t tmpfs none /etc/cron.d &&
mount --bind /dev/null /etc/crontab && mount --bind "$1" /var/spool/cron/crontabs && exec cron -f
"""


@pytest.mark.slow
def test_a_real_cron_runs_the_crontab(tmp_path: Path) -> None:
    need_namespaces("cron")
    with serving(tmp_path / "log", key=KEY) as server:
        place = settle(tmp_path / "here", server)
        paths = {"/home/you/batchtts": place.folder, "/usr/local/bin": place.bin}
        text = place.moved(CRONTAB, paths).replace("\n30 2 * * *", "\n* * * * *")
        said = "batchtts run --quiet", f"exec >>{place.folder}/said 2>&1; batchtts run --quiet"
        (tmp_path / "spool").mkdir()
        crontab = tmp_path / "spool" / "root"
        crontab.write_text(text.replace(*said), encoding="utf-8")
        crontab.chmod(0o600)
        log = place.folder / "nightly.log"
        with as_first_process("sh", "-c", CRON, "-", str(tmp_path / "spool"), here=tmp_path):
            eventually(lambda: log.exists() and log.read_text().endswith("\n"), 130)
        assert log.read_text().splitlines()[0].split()[1:] == ["0"]
        assert server.texts() == sorted(ROWS.values())
    assert by_id(place.out, "status") == dict.fromkeys(ROWS, "done")
    assert (place.folder / "said").read_text() == ""
    assert [path for path in made(place) if path.stat().st_mode & 0o077] == []


# ── systemd ───────────────────────────────────────────────────────────────────


def told(name: str, unit: str = SERVICE) -> str:
    """The value of a line of a unit."""
    [value] = re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)
    return str(value)


def test_every_status_means_something_to_the_unit() -> None:
    fine = {int(word) for word in told("SuccessExitStatus").split()}
    final = {int(word) for word in told("RestartPreventExitStatus").split()}
    assert fine == {Exit.LIMIT, Exit.TERMINATED}
    assert set(Exit) - fine - final == {Exit.DONE, Exit.BROKEN}
    assert not fine & final
    assert (told("Restart"), told("StartLimitBurst")) == ("on-failure", "4")


def test_the_unit_waits_longer_than_the_run_may_take_to_end() -> None:
    [grace_s] = re.findall(r"--grace (\d+)", told("ExecStart"))
    assert int(told("TimeoutStopSec")) >= 2 * int(grace_s)
    # The voices of `local` are other processes of the unit: a SIGTERM ends them at once.
    assert (told("KillMode"), told("KillSignal")) == ("mixed", "SIGTERM")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    service = tmp_path / "batchtts.service"
    service.write_text(SERVICE.replace("/usr/local/bin/batchtts", "/bin/true"))
    (tmp_path / "batchtts.timer").write_text(TIMER)
    verified = analyze("verify", "--man=no", str(service), str(tmp_path / "batchtts.timer"))
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    exposed = analyze("security", "--offline=true", "--threshold=15", str(service))
    if "unrecognized option" in exposed.stderr:
        pytest.skip("this systemd-analyze looks at running units only")
    assert exposed.returncode == 0, exposed.stdout


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


# ── containers ────────────────────────────────────────────────────────────────


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its words."""
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(name, words) for name, _, words in (line.partition(" ") for line in whole)]


def test_the_image_is_small_runs_as_nobody_and_takes_signals() -> None:
    said = dict(instructions())  # the last of each
    known = "FROM RUN COPY ENV USER WORKDIR VOLUME STOPSIGNAL ENTRYPOINT CMD".split()
    assert set(said) == set(known)
    assert said["FROM"].endswith("-slim")
    assert int(said["USER"].partition(":")[0]) > 0
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert said["VOLUME"] == said["WORKDIR"] == "/data"
    assert json.loads(said["ENTRYPOINT"]) == ["batchtts"]  # no shell between us and signals
    assert isinstance(json.loads(said["CMD"]), list)
    pips = [words for _, words in instructions() if "pip install" in words]
    assert all("--no-cache-dir" in words and "[local]" in words for words in pips)
    assert pips


def test_what_the_image_is_made_of_is_there() -> None:
    copies = [words.split() for name, words in instructions() if name == "COPY"]
    sources = [word for words in copies if words[0] != "--from=build" for word in words[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert wanted <= set(sources)


def test_every_status_means_something_to_kubernetes() -> None:
    rules = KUBERNETES.split("- action: ")[1:]
    codes = {
        rule.split()[0]: [int(code) for code in found.group(1).split(",")]
        for rule in rules
        if (found := re.search(r"values: \[(.*)\]", rule))
    }
    assert codes == {
        "FailJob": [Exit.USAGE, Exit.SOME_FAILED, Exit.LIMIT, Exit.BUG],
        "Count": [Exit.BROKEN, Exit.IN_USE, Exit.INTERRUPTED, Exit.TERMINATED],
    }
    assert sorted(chain(*codes.values())) == sorted(set(Exit) - {Exit.DONE})


def test_kubernetes_waits_longer_than_the_run_may_take_to_end() -> None:
    [seconds] = re.findall(r"terminationGracePeriodSeconds: (\d+)", KUBERNETES)
    [grace_s] = re.findall(r'--grace, "(\d+)"', KUBERNETES)
    assert int(seconds) >= 2 * int(grace_s)


def test_the_user_of_the_image_is_that_of_the_pod() -> None:
    [user, group] = dict(instructions())["USER"].split(":")
    for name, value in [("runAsUser", user), ("runAsGroup", group), ("fsGroup", group)]:
        assert re.findall(rf"{name}: (.*)", KUBERNETES) == [value]


def test_the_jobs_in_the_files_are_jobs(tmp_path: Path) -> None:
    [block] = re.findall(r"^  nightly\.toml: \|\n((?:    .*\n)+)", KUBERNETES, re.MULTILINE)
    path = tmp_path / "nightly.toml"
    path.write_text(textwrap.dedent(block), encoding="utf-8")
    jobs = [load(path, {}), load(JOBS / "nightly.toml", {})]
    assert [type(job) for job in jobs] == [Job, Job]
    [named] = re.findall(r"^LoadCredential=(\S+?):", SERVICE, re.MULTILINE)
    assert f'key_file = "/run/credentials/batchtts.service/{named}"' in SERVICE
    assert f'key_file = "/run/credentials/batchtts.service/{named}"' in NIGHTLY


# ── the first process of a container ──────────────────────────────────────────


def need_namespaces(*programs: str) -> None:
    """Skip the test that calls where it cannot have process numbers and mounts of its own."""
    missing = [name for name in ("unshare", *programs) if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {missing[0]} here")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=DEADLINE, check=False)
    if tried.returncode:
        pytest.skip("no process may have process numbers of its own here")


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@contextmanager
def as_first_process(*command: str, here: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a command as process 1 of its own world; give it, and its number in ours."""
    with (here / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            [*UNSHARE, *command],
            cwd=here,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    with process:
        try:
            eventually(lambda: bool(children(process.pid)))
            [first] = children(process.pid)
            yield process, first
        finally:
            for child in children(process.pid):  # the first, and with it its whole world
                os.kill(child, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(DEADLINE)
            process.kill()


def children(pid: int) -> list[int]:
    """The processes that a process has started, and not those that they did."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_the_first_process_finishes_what_is_in_flight_when_it_is_terminated(tmp_path: Path) -> None:
    need_namespaces()
    write_csv(tmp_path / "m.csv", sentences(2000))
    run = [sys.executable, "-m", "batchtts", "run", "m.csv", "--provider", "local", "-v", "tone"]
    with as_first_process(*run, here=tmp_path) as (process, first):
        eventually(lambda: len(done(tmp_path / "m")) > 5)
        os.kill(first, signal.SIGTERM)
        assert process.wait(DEADLINE) == Exit.TERMINATED
    assert set(by_id(tmp_path / "m", "status").values()) == {"done", "pending"}
    assert untrue_lines(tmp_path / "m") == []


def test_the_first_process_can_be_terminated_before_it_begins(tmp_path: Path) -> None:
    need_namespaces()
    write_csv(tmp_path / "m.csv", ROWS)
    os.mkfifo(tmp_path / "key")
    (tmp_path / "job.toml").write_text(
        'manifest = "m.csv"\nprovider = "together"\nkey_file = "key"\n'
    )
    writing = -1

    def is_reading() -> bool:
        nonlocal writing
        try:
            writing = os.open(tmp_path / "key", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    run = [sys.executable, "-m", "batchtts", "run", "job.toml"]
    with as_first_process(*run, here=tmp_path) as (process, first):
        eventually(is_reading)  # and it waits for a key that never comes
        os.kill(first, signal.SIGTERM)
        assert process.wait(DEADLINE) == Exit.TERMINATED
    os.close(writing)
