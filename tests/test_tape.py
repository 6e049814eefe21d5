"""Conversations as they are recorded: what is in the files, and that they can be replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import pybase64
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio_websocket import WebSocketRequest, serve_websocket

from batchtts.errors import SessionLost, SettingsError
from batchtts.model import Voice
from batchtts.wire import registry
from batchtts.wire.events import Audio, Closed, Event, Finished, Ready
from batchtts.wire.kokoro import KOKORO
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner
from batchtts.wire.redact import MASKED_KEY
from batchtts.wire.session import Listener
from batchtts.wire.tape import FileTape, Recorder, prepare
from batchtts.wire.together import PROVIDER
from tests import talks
from tests.e2e import AT_ONCE, ask, by_id, sentences, serving, write_csv
from tests.talks import NAMES, Refused

KEY = "sk/ishmael+42"
SCRIPT = "Call me Ishmael."
HEART = Manner(voice=Voice("af_heart", KOKORO, "en-us"))
CREATED = '{"type":"session.created","session":{"voice":"af_heart"}}'

a_directory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def recorder(directory: Path, **more: bool) -> Recorder:
    return Recorder(directory=directory, provider=PROVIDER, key=KEY, **more)


@contextmanager
def opened(directory: Path, manner: Manner = HEART, **more: bool) -> Iterator[FileTape]:
    """A tape of a connection, for as long as that is open."""
    tape = recorder(directory, **more).tape(1, manner)
    tape.opened("/speech?voice=af_heart")
    try:
        yield tape
    finally:
        tape.ended()


def files(directory: Path) -> list[Path]:
    """What was recorded, the oldest first."""
    return sorted(directory.glob("*.txt"))


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def recorded(directory: Path) -> list[str]:
    """The lines of the newest file."""
    return lines_of(files(directory)[-1])


def replay(path: Path) -> list[Event | Refused]:
    """What a recorded conversation comes to."""
    provider, told = path.name.partition("-")[0], lines_of(path)
    dialect = registry.get(provider).dialect(talks.manner(provider, told))
    return talks.play(told, dialect, provider)[1]


def tell(tape: FileTape, provider: str, told: list[str]) -> None:
    """Say on tape what the lines of a conversation say."""
    for line in told:
        who, text = line[:1], line[2:]
        kind, _, rest = text.partition(" ")
        match who, kind:
            case "@", _:
                tape.turn(talks.manner(provider, [line]))
            case "=", _:
                tape.asked(kind, json.loads(rest))
            case ">", _:
                tape.sent(text)
            case "~", _:
                tape.waited()
            case "<", "close":
                code, _, reason = rest.partition(" ")
                tape.closed(int(code), reason)
            case "<", "binary":
                tape.received_binary(pybase64.b64decode(rest))
            case "<", _:
                tape.received(text.encode())
            case _:
                pass  # a remark


def again(name: str, directory: Path, *, keeps_scripts: bool) -> Path:
    """Record a known conversation."""
    provider = registry.get(name.partition("-")[0])
    made = Recorder(directory=directory, provider=provider, keeps_scripts=keeps_scripts)
    tape = made.tape(0, talks.manner(provider.name, talks.lines(name)))
    tape.opened("/")
    tell(tape, provider.name, talks.lines(name))
    tape.ended()
    return files(directory)[-1]


# Replaying.


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_conversation_comes_to_the_same(name: str, tmp_path: Path) -> None:
    assert replay(again(name, tmp_path, keeps_scripts=True)) == talks.replay(name)[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_conversation_takes_the_same_course(name: str, tmp_path: Path) -> None:
    events = replay(again(name, tmp_path, keeps_scripts=False))
    course = [type(event) for event in events]
    assert course == [type(event) for event in talks.replay(name)[1]]


@pytest.mark.parametrize("name", NAMES)
def test_no_word_of_a_masked_script_is_on_the_tape(name: str, tmp_path: Path) -> None:
    scripts = [line.partition(" ")[2] for line in talks.lines(name) if line[:1] == "="]
    told = again(name, tmp_path, keeps_scripts=False).read_text(encoding="utf-8")
    said = [line for line in told.splitlines() if line[:1] in "=><"]
    for word in " ".join(scripts).replace('"', " ").split():
        if len(word) > 4 and word.isalpha():
            assert not any(word.casefold() in line.casefold() for line in said), word


def test_a_conversation_that_changes_its_voice_says_so(tmp_path: Path) -> None:
    provider = registry.get("cartesia")
    one, two = (Manner(voice=voice) for voice in provider.voices[:2])
    tape = Recorder(directory=tmp_path, provider=provider).tape(0, one)
    tape.opened("/")
    for context, manner in (("u1", one), ("u2", one), ("u3", two)):
        tape.turn(manner)
        tape.asked(context, SCRIPT)
        for message in provider.dialect(manner).speak(SCRIPT, context):
            tape.sent(message)
        audio = {"type": "chunk", "data": "AAABAA==", "done": False, "context_id": context}
        tape.received(json.dumps({**audio, "status_code": 206}))
        tape.received(json.dumps({"type": "done", "done": True, "context_id": context}))
    tape.ended()
    [path] = files(tmp_path)
    assert [line[:1] for line in lines_of(path)].count("@") == 2
    assert replay(path).count(Finished()) == 3


# What is in a file.


def test_the_first_line_says_who_was_talked_with_and_the_second_in_which_manner(
    tmp_path: Path,
) -> None:
    voice = Voice("af_sky", KOKORO, "en-us")
    options = {"linger_s": 0.1}
    with opened(tmp_path, Manner(voice=voice, speed=1.5, word_timestamps=True, options=options)):
        pass
    first, second = recorded(tmp_path)
    assert first.startswith("# together by batchtts ")
    assert first.endswith(": /speech?voice=af_heart")
    assert json.loads(second.removeprefix("@ ")) == {
        "voice": ["af_sky", KOKORO, "en-us"],
        "speed": 1.5,
        "word_timestamps": True,
        "options": {"linger_s": 0.1},
    }


def test_a_line_is_on_disk_as_soon_as_it_is_said(tmp_path: Path) -> None:
    with opened(tmp_path) as tape:
        tape.received(CREATED)
        assert recorded(tmp_path)[-1] == f"< {CREATED}"
        tape.asked("u1", SCRIPT)
        assert recorded(tmp_path)[-1] == f'= u1 "{SCRIPT}"'


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
def test_json_on_several_lines_becomes_one(line_break: str, tmp_path: Path) -> None:
    message = {"type": "session.created", "session": {"id": "s 1"}}
    with opened(tmp_path) as tape:
        tape.received(json.dumps(message, indent=1).replace("\n", line_break))
    last, before = recorded(tmp_path)[-1], recorded(tmp_path)[-2]
    assert json.loads(last.removeprefix("< ")) == message
    assert before.startswith("@")


def test_text_on_several_lines_becomes_one_that_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as tape:
        tape.received("HELLO\r\nWORLD")
    assert recorded(tmp_path)[-2:] == [
        "# the next line is no JSON, and had other white space",
        "< HELLO  WORLD",
    ]


@pytest.mark.parametrize("text", ["close 1000", "binary AAAA"])
def test_text_is_not_taken_for_what_it_is_not(text: str, tmp_path: Path) -> None:
    with opened(tmp_path) as tape:
        tape.received(text)
    assert recorded(tmp_path)[-1] == f"<  {text}"


def test_bytes_that_are_no_text_are_kept_in_a_remark(tmp_path: Path) -> None:
    with opened(tmp_path) as tape:
        tape.received(b"\xff\xfe\n")
    assert recorded(tmp_path)[-1] == "# < in bytes that are no text, here in base64: //4K"


def test_binary_messages_silence_and_the_end_have_their_lines(tmp_path: Path) -> None:
    with opened(tmp_path) as tape:
        tape.received_binary(b"\0\1")
        tape.waited()
        tape.closed(1008, "no\nmore")
        tape.closed(None, "")
    assert recorded(tmp_path)[-4:] == ["< binary AAE=", "~", "< close 1008 no more", "< close 1006"]


@a_directory
@given(st.text(), st.text(), st.text())
def test_whatever_is_said_a_line_is_a_line(
    tmp_path: Path, script: str, message: str, reason: str
) -> None:
    for keeps_scripts in (True, False):
        with opened(tmp_path, keeps_scripts=keeps_scripts) as tape:
            before = len(recorded(tmp_path))
            tape.asked("u1", script)
            if keeps_scripts:
                tape.sent(message)
                tape.sent("{}")
            tape.received(json.dumps({"text": message}, indent=2, ensure_ascii=False))
            tape.closed(1000, reason)
        said = [line[:1] for line in recorded(tmp_path)[before:] if line[:1] != "#"]
        assert said == ["=", ">", ">", "<", "<"]


# What is not in a file.


@a_directory
@given(st.text(), st.text())
def test_the_key_is_on_no_tape(tmp_path: Path, before: str, after: str) -> None:
    tape = recorder(tmp_path).tape(1, HEART)
    told = f"{before}{KEY}{after}"
    tape.opened(f"/speech?api_key={KEY}&api_key=sk%2fishmael%2B42")
    tape.turn(Manner(voice=HEART.voice, options={"extra_params": {"key": told}}))
    tape.asked(KEY, told)
    tape.sent(json.dumps({"key": told}))
    tape.received(json.dumps({"key": told}).replace("/", "\\/"))
    tape.received(told)
    tape.received_binary(told.encode(errors="replace"))
    tape.closed(1008, told)
    tape.ended()
    text = files(tmp_path)[-1].read_text(encoding="utf-8")
    assert KEY not in text
    assert "ishmael" not in text
    binary = next(line for line in text.split("\n") if line.startswith("< binary "))
    assert KEY.encode() not in pybase64.b64decode(binary.removeprefix("< binary "))


def test_the_mask_of_a_script_is_what_we_say(tmp_path: Path) -> None:
    with opened(tmp_path, keeps_scripts=False) as tape:
        for context in ("u1", "u2"):
            tape.asked(context, SCRIPT)
            for message in PROVIDER.dialect(HEART).speak(SCRIPT, context):
                tape.sent(message)
            tape.received(json.dumps({"type": "received", "text": SCRIPT}))
        tape.closed(1008, f"cannot say {SCRIPT}")
        assert recorded(tmp_path)[-1] == "< close 1008 cannot say xxxx xx xxxxxxx."
    told = recorded(tmp_path)[3:-1]
    assert told[:4] == [
        '= u1 "xxxx xx xxxxxxx."',
        '> {"type":"input_text_buffer.append","text":"xxxx xx xxxxxxx.","context_id":"u1"}',
        '> {"type":"input_text_buffer.commit","context_id":"u1"}',
        '< {"type":"received","text":"xxxx xx xxxxxxx."}',
    ]
    assert told[4:] == [line.replace("u1", "u2") for line in told[:4]]


# Files.


def test_every_connection_has_a_file_of_its_own_and_they_sort_by_time(tmp_path: Path) -> None:
    with ExitStack() as connections:
        for context, number in enumerate((3, 1, 1, 2)):
            tape = recorder(tmp_path).tape(number, HEART)
            tape.opened("/")
            connections.callback(tape.ended)
            tape.asked(f"u{context}", SCRIPT)
    names = [path.name for path in files(tmp_path)]
    assert [name[-9:] for name in names] == [f"w{n:04}.txt" for n in (3, 1, 1, 2)]
    assert [lines_of(tmp_path / name)[-1][:4] for name in names] == ["= u0", "= u1", "= u2", "= u3"]
    assert all(name.startswith("together-2") for name in names)


def test_a_connection_that_did_not_come_about_has_no_file(tmp_path: Path) -> None:
    tape = recorder(tmp_path).tape(1, HEART)
    tape.ended()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_made_and_left_empty(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_directory_that_takes_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^record .*/file/said: not a directory$"):
        prepare(tmp_path / "file" / "said")


def test_when_the_directory_is_gone_the_talk_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = recorder(tmp_path / "gone")
    for number in range(2):
        tape = made.tape(number, HEART)
        tape.opened("/")
        tape.received(CREATED)
        tape.ended()
    assert caplog.messages == [f"recording stops: {tmp_path}/gone: no such file or directory"]


class FullDisk(Recorder):
    """A directory on a disk without room."""

    def create(self, number: int) -> BinaryIO | None:
        return Path("/dev/full").open("wb")


def test_when_the_disk_is_full_the_talk_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = FullDisk(directory=tmp_path, provider=PROVIDER)
    for number in range(2):
        tape = made.tape(number, HEART)
        tape.opened("/")
        tape.asked("u1", SCRIPT)
        tape.ended()
    assert caplog.messages == [f"recording stops: {tmp_path}: no space left on device"]


# Over a real connection.


async def hang_up(request: WebSocketRequest) -> None:
    """Greet, hear a script out, speak half of it and hang up."""
    ws = await request.accept()
    await ws.send_message(CREATED)
    while "commit" not in await ws.get_message():
        pass
    delta = {"type": "conversation.item.audio_output.delta", "item_id": "t", "delta": "AAABAA=="}
    await ws.send_message(json.dumps(delta, indent=2))
    await ws.aclose(1011, f"the key {KEY} is worn out")


async def test_a_connection_is_recorded_to_its_end(tmp_path: Path) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_websocket, hang_up, "127.0.0.1", 0, None)
            line = Line.to(PROVIDER, f"ws://127.0.0.1:{server.port}/?token=hidden", KEY)
            dialect = PROVIDER.dialect(HEART)
            async with trio.open_nursery() as connections:
                session = await line.call(connections, dialect, recorder(tmp_path).tape(7, HEART))
                heard: list[bytes] = []
                with pytest.raises(SessionLost):
                    await session.speak(SCRIPT, "u1", listener(heard))
                session.close()
            nursery.cancel_scope.cancel()
    [path] = files(tmp_path)
    assert path.name.endswith("-w0007.txt")
    reason = f"the key {MASKED_KEY} is worn out"
    assert lines_of(path)[-1] == f"< close 1011 {reason}"
    assert "voice=af_heart" in lines_of(path)[0]
    assert "hidden" not in lines_of(path)[0]
    assert replay(path) == [
        Ready(),
        Audio(heard[0], None, "t"),
        Closed(1011, reason, "next audio"),
    ]


def listener(heard: list[bytes]) -> Listener:
    return Listener(
        hear=lambda payload, item: heard.append(payload),
        said=lambda: None,
        late=lambda context: None,
        time=lambda words, item: None,
    )


ROWS = sentences(12)


@pytest.mark.parametrize("flag", ["--record-scripts", "--no-record-scripts"])
def test_a_run_is_recorded_and_its_files_can_be_replayed(flag: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", ROWS)
    with serving(tmp_path / "served.jsonl", key=KEY) as server:
        answer = ask(
            *("run", "m.csv", "--provider", "together", "--endpoint", server.url),
            *("--workers", "2", "--record", "said", flag, *AT_ONCE),
            here=tmp_path,
            extra={"TOGETHER_API_KEY": KEY},
        )
    assert answer.status == 0, answer.err
    paths = files(tmp_path / "said")
    assert {path.name[-9:] for path in paths} == {"w0000.txt", "w0001.txt"}
    heard = 0
    for path in paths:
        events = replay(path)
        assert events[-1] == Finished()
        heard += sum(len(event.payload) for event in events if isinstance(event, Audio))
    assert heard == sum(size - 44 for size in by_id(tmp_path / "m", "bytes").values())
    told = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert "ishmael" not in told
    assert all((text in told) == (flag == "--record-scripts") for text in ROWS.values())


def test_a_run_that_cannot_be_recorded_is_not_begun(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", {"a": "One."})
    (tmp_path / "file").touch()
    with serving(tmp_path / "served.jsonl") as server:
        answer = server.speaks("m.csv", "--record", "file", here=tmp_path)
        assert server.commits() == []
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == "batchtts: record file: file exists\n"
    assert not (tmp_path / "m").exists()
