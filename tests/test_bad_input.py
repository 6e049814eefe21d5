"""Bad input: one clear line, the documented exit status, nothing lost and nothing spent.

Every case is a command of its own in a directory of its own. They are all started
when the first test asks, some at a time: those that wait for a dead line do nothing
else, and those that only read a manifest are over in half a second.
"""

from __future__ import annotations

import io
import os
import shlex
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme

from tests.e2e import (
    DEADLINE,
    TONE,
    Answer,
    ask,
    audio_files,
    by_id,
    done,
    ledger,
    results,
    serving,
    snapshot,
    untrue_lines,
    write_csv,
)

SOON = 20.0  # seconds: ten of patience, a last pause, and a start on a busy machine
SECRET = "sk-wrong-and-very-secret"

GOOD = "id,text\na,Call me Ishmael.\nb,Some years ago.\n"
LOCAL = shlex.join(TONE)


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


WHOLE = parquet(id=["a", "b"], text=["Call me Ishmael.", "Some years ago."])
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, the files that it finds, and what it has to say to them."""

    command: str
    says: str
    hint: str | None = None
    files: Mapping[str, str | bytes | None] = field(default_factory=lambda: {"m.csv": GOOD})
    environment: Mapping[str, str] = field(default_factory=dict)


def manifest(content: str | bytes | None, says: str, hint: str | None = None) -> Case:
    return Case(command="run m.csv", files={"m.csv": content}, says=says, hint=hint)


def flags(command: str, says: str, hint: str | None = None) -> Case:
    return Case(command=f"run m.csv {command}", says=says, hint=hint)


def job_file(content: str, says: str, hint: str | None = None) -> Case:
    files = {"m.csv": GOOD, "job.toml": content}
    return Case(command="run job.toml", files=files, says=says, hint=hint)


#: What is refused before anything is tried: exit 2, and the directory as it was.
REFUSED = {
    "no such file": Case(
        command="run moby-dikc.csv",
        files={"moby-dick.csv": GOOD},
        says="moby-dikc.csv: no such file",
        hint='did you mean "moby-dick.csv"?',
    ),
    "no such directory": Case(
        command="run books/m.csv",
        says="books/m.csv: no such file",
        hint="there is no directory books",
    ),
    "empty file": manifest("", "m.csv: is empty (0 bytes)"),
    "header only": manifest("id,text\n", "m.csv: no rows"),
    "missing column": manifest(
        "id,chapter,scirpt\na,1,Call me Ishmael.\n",
        'm.csv: no column "text"; it has id, chapter, scirpt',
        'did you mean "scirpt"? --column text=scirpt',
    ),
    "a column that --column names and nobody has": flags(
        "--column text=sript", 'm.csv: no column "sript"; it has id, text'
    ),
    "duplicate ids": manifest(
        "id,text\na,One.\nb,Two.\nc,Three.\nb,Four.\n",
        'm.csv, row 4: id "b" is also in row 2; ids must be unique',
    ),
    "empty id": manifest("id,text\na,One.\n,Two.\n", "m.csv, row 2: id is empty"),
    "null id": Case(
        command="run m.parquet",
        files={"m.parquet": parquet(id=["a", None], text=["One.", "Two."])},
        says="m.parquet, row 2: id is null",
    ),
    "ragged row": manifest(
        "id,text\na,One.\nb,Two, or three.\n", "m.csv, row 2: expected 2 columns, got 3"
    ),
    "Latin-1": manifest(
        "id,text\na,Grüß Gott.\n".encode("latin-1"),
        "m.csv: byte 12 (0xFC) is not UTF-8",
        "iconv -f WINDOWS-1252 -t UTF-8 m.csv > m.utf8.csv",
    ),
    "Parquet cut short": Case(
        command="run m.parquet",
        files={"m.parquet": WHOLE[:-100]},
        says="m.parquet: not a whole Parquet file; it was cut short or is something else",
    ),
    "manifest is a directory": manifest(
        None,
        "m.csv: is a directory",
        "name one of its files: .csv, .tsv, .jsonl, .ndjson (each also with .gz), .parquet and .pq",
    ),
    "OUT is a file": Case(
        command=f"run m.csv -o notes.txt {LOCAL}",
        files={"m.csv": GOOD, "notes.txt": "mine"},
        says="notes.txt is a file, not a directory",
        hint="name another --out",
    ),
    "OUT is below a file": Case(
        command=f"run m.csv -o notes.txt/out {LOCAL}",
        files={"m.csv": GOOD, "notes.txt": "mine"},
        says="notes.txt is a file, not a directory",
        hint="name another --out",
    ),
    "no voice for the language": flags(
        "--provider local --language ja",
        "local has no voice for the language 'ja'",
        "it has de, en-gb, en-us, es, fr, it, zxx",
    ),
    "unknown voice": flags(
        "--provider local --voice af_haert",
        "local has no voice 'af_haert'",
        "did you mean af_heart or af_sarah or af_river?",
    ),
    "unknown provider": flags(
        "--provider togehter", "no provider 'togehter'", "did you mean together?"
    ),
    "missing key": flags(
        "--provider together",
        "together needs a key",
        "set TOGETHER_API_KEY, or take --provider local",
    ),
    "http endpoint": flags(
        "--endpoint http://127.0.0.1:1",
        "endpoint http://127.0.0.1:1: not a WebSocket URL",
        "for example wss://host:8765",
    ),
    "endpoint with half an address": flags(
        "--endpoint ws://[::1",
        "endpoint ws://[::1: not a WebSocket URL",
        "for example wss://host:8765",
    ),
    "unknown key in a job file": job_file(
        'manifest = "m.csv"\nworkrs = 3\n',
        "job.toml: unknown key 'workrs'",
        "did you mean workers?",
    ),
    "no workers in a job file": job_file(
        'manifest = "m.csv"\nworkers = 0\n', "job.toml: workers: expected `int` >= 1"
    ),
}

#: What is wrong with one flag: exit 2, and the last line says which flag and which value.
MISTYPED = {
    "no workers": ("run m.csv --workers 0", "'--workers': 0 is not in the range 1<=x<=1024"),
    "words for workers": ("run m.csv -w many", "'--workers': 'many' is not a valid whole"),
    "too fast": ("run m.csv --speed 9", "'--speed': 9.0 is not in the range 0.25<=x<=4"),
    "few samples": ("run m.csv --sample-rate 10", "'--sample-rate': 10 is not in the range"),
    "unknown column key": ("run m.csv --column x=y", "'x=y' is not KEY=NAME with a KEY of id, "),
    "port beyond all ports": ("serve --port 65536", "'--port': 65536 is not in the range"),
}

IDS = [
    "plain",
    "a/b",
    "../../../../up",
    "/etc/passwd",
    "..",
    ".",
    ".hidden",
    "back\\slash",
    "nul\0inside",
    "bell\atab\tescape\x1b[31m",
    "two\nlines",
    "🎉",
    "x" * 300,
    "é" * 300,
    "CON",
    "nul",
    "LPT1",
    "aux.txt",
    "Case",
    "case",
    "CASE",
    "é",
    "e\u0301",
    " space ",
    "a%2Fb",
    "-rf",
    "~",
    "right\u202eleft",
    "a:b*c?d|e<f>g",
]
WEIRD = parquet(id=IDS, text=[f"Row number {number}." for number in range(len(IDS))])
NOTHING_TO_SAY = 'id,text,page\na,Hello.,1\nb,,2\nc,"  \t ",3\nd,"?! … —",4\ne,Goodbye.,5\n'
HUGE = "id,text\nbig," + "words " * 900_000 + "\nsmall,Hello.\n"

#: What is run, and not refused out of hand.
TRIED: dict[str, tuple[str, dict[str, str | bytes | None]]] = {
    "weird ids": (f"run m.parquet {LOCAL}", {"m.parquet": WEIRD}),
    "nothing to say": (f"run m.csv {LOCAL}", {"m.csv": NOTHING_TO_SAY}),
    "huge cell": (f"run m.csv {LOCAL}", {"m.csv": HUGE}),
}

#: Ids that would speak to the terminal, where they fail and where they are refused.
EVIL = {
    "evil in a row": parquet(id=["red\x1b[31m\a", "two\nlines", "c\u202e"], text=["", "", ""]),
    "evil in a refusal": parquet(id=["\x1b[31m\nred\a"] * 2, text=["One.", "Two."]),
}

SPEAK = f"run m.csv {LOCAL} --endpoint"


# ── who is called, and does not answer as it should ───────────────────────────


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Let *talk* answer every call; yield the host and the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            talk(self.request)

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """The caller has hung up, which is the caller's business."""

    with Listener(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield "{}:{}".format(*listener.server_address)
        finally:
            listener.shutdown()
            thread.join(DEADLINE)


def speak_http(line: socket.socket) -> None:
    line.recv(65536)
    body = b"It works!"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    line.sendall(head + body)


def speak_ssh(line: socket.socket) -> None:
    line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    while line.recv(65536):
        pass


def certified() -> Callable[[socket.socket], None]:
    """A server whose certificate is in order, were its authority known."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)

    def talk(line: socket.socket) -> None:
        with tls.wrap_socket(line, server_side=True) as secure:
            speak_http(secure)

    return talk


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nobody listens, and nobody will as long as this is open."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*bound.getsockname())


# ── asking all of them at once ────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that was run, the directory it ran in, and that directory before."""

    answer: Answer
    here: Path
    before: dict[str, bytes | None]

    @property
    def out(self) -> Path:
        return self.here / "m"

    @property
    def is_untouched(self) -> bool:
        return snapshot(self.here) == self.before


Find = Callable[[str], Asked]


class Desk:
    """Where commands are handed in, to be run some at a time."""

    def __init__(self, root: Path, pool: ThreadPoolExecutor) -> None:
        self._root = root
        self._pool = pool
        self._asked: dict[str, Future[Asked]] = {}

    def ask(
        self,
        name: str,
        command: str,
        files: Mapping[str, str | bytes | None],
        environment: Mapping[str, str] = {},
    ) -> None:
        self._asked[name] = self._pool.submit(self._ask, name, command, files, environment)

    def find(self, name: str) -> Asked:
        return self._asked[name].result(DEADLINE)

    def _ask(
        self,
        name: str,
        command: str,
        files: Mapping[str, str | bytes | None],
        environment: Mapping[str, str],
    ) -> Asked:
        here = self._root / name.replace(" ", "-")
        here.mkdir()
        for file, content in files.items():
            if content is None:
                (here / file).mkdir()
            else:
                data = content if isinstance(content, bytes) else content.encode()
                (here / file).write_bytes(data)
        before = snapshot(here)
        return Asked(ask(*shlex.split(command), here=here, extra=environment), here, before)


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Find]:
    """Runs that call somebody who does not answer as they should: they wait, and cost nothing."""
    with ExitStack() as held:
        address = {
            "refused": f"ws://{held.enter_context(nobody())}",
            "http": f"ws://{held.enter_context(listening(speak_http))}",
            "ssh": f"ws://{held.enter_context(listening(speak_ssh))}",
            "no tls": f"wss://{held.enter_context(listening(speak_http))}",
            "tls": f"wss://{held.enter_context(listening(certified()))}",
        }
        pool = held.enter_context(ThreadPoolExecutor(len(address)))
        desk = Desk(tmp_path_factory.mktemp("called"), pool)
        for name, url in address.items():
            desk.ask(name, f"{SPEAK} {url}", {"m.csv": GOOD})
        yield desk.find


@pytest.fixture(scope="module")
def asked(called: Find, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Find]:
    """Everything else; while this goes on, *called* waits."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        desk = Desk(tmp_path_factory.mktemp("asked"), pool)
        for name, (command, held) in TRIED.items():
            desk.ask(name, command, held)
        for name, case in REFUSED.items():
            desk.ask(name, case.command, case.files, case.environment)
        for name, (command, _) in MISTYPED.items():
            desk.ask(name, command, {"m.csv": GOOD})
        desk.ask("picture", "run m.csv", {"m.csv": PNG})
        for name, evil in EVIL.items():
            desk.ask(name, f"run m.parquet {LOCAL}", {"m.parquet": evil})
        yield desk.find


# ── refused before anything is tried ──────────────────────────────────────────


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_made(asked: Find, name: str) -> None:
    case, found = REFUSED[name], asked(name)
    hint = f"  hint: {case.hint}\n" if case.hint else ""
    assert found.answer.err == f"batchtts: {case.says}\n{hint}"
    assert found.answer.out == ""
    assert found.answer.status == 2
    assert found.is_untouched


@pytest.mark.parametrize("name", MISTYPED)
def test_a_flag_that_cannot_be_is_named_with_its_value_and_nothing_is_made(
    asked: Find, name: str
) -> None:
    found = asked(name)
    first, *_ = found.answer.err.splitlines()
    assert MISTYPED[name][1] in first
    assert found.answer.status == 2
    assert found.is_untouched


def test_a_picture_is_not_taken_for_badly_encoded_text(asked: Find) -> None:
    found = asked("picture")
    first, *hint = found.answer.err.splitlines()
    assert first.startswith("batchtts: m.csv: is not text")
    assert "iconv" not in "".join(hint)
    assert found.answer.status == 2
    assert found.is_untouched


def test_a_port_in_use_is_told_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = ask("serve", "--port", f"{port}", here=tmp_path)
    assert answer.err == (
        f"batchtts: port {port} on 127.0.0.1 is in use\n  hint: --port 0 picks a free one\n"
    )
    assert (answer.status, answer.out) == (2, "")


# ── rows that fail while others are done ──────────────────────────────────────


def test_rows_with_nothing_to_say_fail_and_the_others_are_done(asked: Find) -> None:
    found = asked("nothing to say")
    assert found.answer.status == 3
    assert by_id(found.out, "error_message") == {
        "a": None,
        "b": "script is empty",
        "c": "script is blank",
        "d": "script has no letter or digit to speak",
        "e": None,
    }
    assert done(found.out) == ["a", "e"] or done(found.out) == ["e", "a"]
    assert audio_files(found.out) == {"wav/a.wav", "wav/e.wav"}
    for row_id in "bcd":
        assert f"run {row_id} failed: script " in found.answer.err
    assert found.answer.err.endswith("m/failed.parquet says why; it is a manifest itself\n")


def test_what_failed_is_a_manifest_that_says_why(asked: Find) -> None:
    found = asked("nothing to say")
    failed = pq.read_table(found.out / "failed.parquet").to_pydict()
    assert failed == {
        "id": ["b", "c", "d"],
        "text": ["", "  \t ", "?! … —"],
        "page": [2, 3, 4],
        "error_code": ["script_rejected"] * 3,
        "error_message": [
            "script is empty",
            "script is blank",
            "script has no letter or digit to speak",
        ],
    }
    answer = ask("plan", found.out / "failed.parquet", *TONE, here=found.here)
    assert answer.status == 0
    assert answer.out.endswith("3 rows cannot be spoken; a run says which and why\n")


def test_a_text_of_five_megabytes_fails_alone(asked: Find) -> None:
    found = asked("huge cell")
    assert found.answer.status == 3
    big, small = results(found.out)
    assert big["error_code"] == "script_rejected"
    assert big["error_message"].endswith("1,000,000 is the limit: split the row")
    assert (big["status"], small["status"]) == ("failed", "done")
    assert len(found.answer.err) < 1000


def test_any_text_can_be_an_id_and_none_leaves_the_output_directory(asked: Find) -> None:
    found = asked("weird ids")
    assert found.answer.status == 0
    assert [row["id"] for row in results(found.out)] == IDS
    paths = [row["path"] for row in results(found.out)]
    assert audio_files(found.out) == set(paths)
    assert len({path.casefold() for path in paths}) == len(IDS)
    assert untrue_lines(found.out) == []
    assert {path.name for path in found.here.iterdir()} == {"m", "m.parquet"}


def test_file_names_are_plain_on_every_system(asked: Find) -> None:
    names = [Path(row["path"]).name for row in results(asked("weird ids").out)]
    assert all(name.isascii() and name.isprintable() and len(name) <= 200 for name in names)
    assert not {char for name in names for char in name} & set('\\/:*?"<>| ')
    devices = {"con", "nul", "lpt1", "aux"}
    assert not {name.partition(".")[0].lower() for name in names} & devices
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize("name", EVIL)
def test_control_characters_of_an_id_do_not_reach_the_terminal(asked: Find, name: str) -> None:
    answer = asked(name).answer
    assert answer.status in (2, 3)
    assert "31m" in answer.err
    assert not [char for char in answer.err if not char.isprintable() and char != "\n"]


def test_a_directory_of_another_manifest_is_left_alone(tmp_path: Path) -> None:
    write_csv(tmp_path / "one.csv", {"a": "One.", "b": "Two."})
    write_csv(tmp_path / "other.csv", {"a": "Else.", "z": "And else."})
    assert ask("run", "one.csv", *TONE, "-o", "out", here=tmp_path).status == 0
    before = snapshot(tmp_path)
    answer = ask("run", "other.csv", *TONE, "-o", "out", here=tmp_path)
    assert answer.err == (
        f"batchtts: out was written for {tmp_path / 'one.csv'},"
        " and other.csv has none of its rows"
        " with the same script and settings\n  hint: name another --out\n"
    )
    assert answer.status == 2
    now = snapshot(tmp_path)
    assert {name: data for name, data in now.items() if ".batchtts" not in name} == {
        name: data for name, data in before.items() if ".batchtts" not in name
    }


# ── nobody there, or the wrong one ────────────────────────────────────────────


def nothing_was_spent(found: Asked) -> bool:
    return (
        [line for line in ledger(found.out) if "id" in line] == []
        and set(by_id(found.out, "status").values()) == {"pending"}
        and audio_files(found.out) == set()
    )


CALLED = {
    "refused": ("connection refused", "what is done stays done; run the same command again"),
    "http": (
        "answers HTTP 200 instead of a WebSocket: It works!",
        "is this the right --endpoint?",
    ),
    "ssh": ("no WebSocket", None),
    "tls": (
        "its certificate is not trusted: unable to get local issuer certificate",
        "if it is your own, name its authority in SSL_CERT_FILE",
    ),
    "no tls": ("no TLS here", None),
}


@pytest.mark.parametrize("name", CALLED)
def test_an_address_that_does_not_answer_as_it_should_is_told_soon(
    called: Find, asked: Find, name: str
) -> None:
    says, hint = CALLED[name]
    found = called(name)
    line, *rest = [line for line in found.answer.err.splitlines() if ": rows" not in line][1:]
    assert line.startswith("batchtts: local ")
    assert "s://127.0.0.1:" in line
    assert says in line
    assert hint is None or rest == [f"  hint: {hint}"]
    assert len(rest) <= 1
    assert found.answer.status == 4
    assert found.answer.seconds < SOON
    assert nothing_was_spent(found)


def test_a_refused_key_ends_the_run_at_once_and_is_never_shown(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {f"r{n}": f"Row number {n}." for n in range(5000)})
    with serving(tmp_path / "log", key="right") as server:
        command = ["run", "m.csv", "--provider", "together", "--endpoint", server.url]
        key = {"TOGETHER_API_KEY": SECRET}
        answer = ask(*command, "--verbose", here=tmp_path, extra=key)
        assert server.commits() == []
    assert answer.err.splitlines()[-2:] == [
        f"batchtts: together at {server.url}: key refused (401)",
        "  hint: set TOGETHER_API_KEY",
    ]
    assert answer.status == 4
    assert answer.seconds < SOON / 3
    assert len(answer.err.splitlines()) < 10
    assert nothing_was_spent(Asked(answer, tmp_path, {}))
    assert SECRET not in answer.err + answer.out
    written = [data for name, data in snapshot(tmp_path).items() if data is not None]
    assert not [data for data in written if SECRET.encode() in data]


def test_a_key_that_a_header_cannot_carry_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(GOOD)
    answer = ask(
        *("run", "m.csv", "--provider", "together"),
        here=tmp_path,
        extra={"TOGETHER_API_KEY": f"{SECRET}\nHost: elsewhere"},
    )
    assert answer.err == "batchtts: TOGETHER_API_KEY holds characters that no key has\n"
    assert answer.status == 2
    assert not (tmp_path / "m").exists()
