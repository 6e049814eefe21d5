"""Files become text: in memory with exact timings, over a socket, and by the command.

The server hears with the tone recognizer, which reads the tone engine's whistles:
what comes back must be exactly what was spoken.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trio
import trustme
from trio.testing import MemorySendStream, MockClock, memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_client_stream, wrap_server_stream

from batchtts import errors
from batchtts.audio.write import resample
from batchtts.errors import BadAudio, ProviderDown, SessionLost, Stalled, SynthesisFailed
from batchtts.job.hearer import Hearer, Wish
from batchtts.review.transcribe import Recording, find_hearer, listening, read
from batchtts.run.retry import RetryPolicy
from batchtts.server import tls
from batchtts.server.app import Settings, serve
from batchtts.server.engine import Tone, load
from batchtts.wire.dialogue import Dialogue, Patience
from batchtts.wire.embedded import EMBEDDED_VOICES, HIBARI, MOONSHINE, TONE
from batchtts.wire.session import SEND_S, Session
from batchtts.wire.together_stt import TogetherTranscription
from tests.e2e import COMMAND, Server, ask, descendants, environment, eventually, is_gone, serving
from tests.e2e import started as started_command
from tests.test_heard import heard_share

SAID = "conversation.item.input_audio_transcription"
ONCE = RetryPolicy(attempts=2, base_s=0.0, knock_ceiling_s=0.0)
TEXTS = {"a": "Call me Ishmael.", "b": "Some years ago.", "c": "Never mind how long."}


def whistled(text: str) -> bytes:
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == TONE)
    return b"".join(Tone().speak(text, voice, 1.0))


def samples(text: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(whistled(text), "<i2")


def write(path: Path, text: str) -> Path:
    soundfile.write(path, samples(text), 24_000)
    return path


# ── in memory, where the clock is ours ────────────────────────────────────────

Step = float | str | dict[str, object]

COMMIT, HANG_UP = "until our commit", "hang up"
CREATED: Step = {"type": "session.created"}
COMMITTED: Step = {"type": "input_audio_buffer.committed"}
CHATTER: Step = {"type": "input_audio_buffer.processed", "processed_ms": 5}


def guess(text: str) -> Step:
    return {"type": f"{SAID}.delta", "delta": text}


def heard(text: str) -> Step:
    return {"type": f"{SAID}.completed", "transcript": text}


async def play(far: trio.abc.Stream, steps: tuple[Step, ...]) -> None:
    async with trio.open_nursery() as nursery:
        ws = await (await wrap_server_stream(nursery, far)).accept()
        try:
            for step in steps:
                if isinstance(step, float):
                    await trio.sleep(step)
                elif step == COMMIT:
                    while "buffer.commit" not in await ws.get_message():
                        pass
                elif step == HANG_UP:
                    await ws.aclose(1000)
                else:
                    await ws.send_message(json.dumps(step))
            await ws.get_message()
        except ConnectionClosed:
            pass


@asynccontextmanager
async def wired(*steps: Step) -> AsyncIterator[tuple[Session, MemorySendStream]]:
    """A session with a recognizer that keeps to a script, and the wire to it."""
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, far, steps)
        ws = await wrap_client_stream(
            nursery,
            near,  # type: ignore[arg-type]  # any trio stream will do
            *("recognizer.test", "/v1/realtime"),
        )
        session = Session(ws, Dialogue(TogetherTranscription(), Patience()))
        await session.greet()
        yield session, near.send_stream
        nursery.cancel_scope.cancel()


async def transcript(*steps: Step, seconds: int = 1) -> str:
    async with wired(CREATED, *steps) as (session, _):
        messages = TogetherTranscription().listen(bytes(32_000 * seconds), "r1")
        text = await session.transcribe(messages, "r1")
        assert not session.reusable
        return text


async def test_a_transcript_is_whole_after_two_quiet_seconds(autojump_clock: MockClock) -> None:
    assert await transcript(COMMIT, COMMITTED, 1.0, guess("Fix"), 1.0, heard(" Fox. ")) == "Fox."
    assert trio.current_time() == 4.0


async def test_transcripts_within_the_window_are_joined(autojump_clock: MockClock) -> None:
    steps = (COMMIT, heard("Call me"), 1.5, heard(""), 1.5, guess("Ish"), 9.0, heard("Ishmael."))
    assert await transcript(*steps) == "Call me Ishmael."
    assert trio.current_time() == 14.0


async def test_chatter_does_not_hold_the_window_open(autojump_clock: MockClock) -> None:
    assert await transcript(COMMIT, heard("Fox."), *((0.5, CHATTER) * 9)) == "Fox."
    assert trio.current_time() == 2.0


async def test_silence_after_the_acknowledgement_is_no_words(autojump_clock: MockClock) -> None:
    assert await transcript(COMMIT, COMMITTED) == ""
    assert trio.current_time() == 10.0


@pytest.mark.parametrize(
    ("steps", "error", "reason", "at"),
    [
        (
            (COMMIT,),
            Stalled,
            "no transcript within 20 s; after nothing (context r1)",
            20.0,
        ),
        (
            (COMMIT, COMMITTED, 1.0, guess("the")),
            Stalled,
            "no transcript after a guess within 10 s; after 1 acknowledged, 1 guess (context r1)",
            11.0,
        ),
        (
            (COMMIT, heard("Fox."), 1.0, HANG_UP),
            SessionLost,
            "closed (1000) while awaiting another transcript; after 1 heard (context r1)",
            1.0,
        ),
        (
            (COMMIT, {"type": f"{SAID}.failed", "error": {"message": "oops"}}),
            SynthesisFailed,
            "oops; after nothing (context r1)",
            0.0,
        ),
    ],
)
async def test_a_transcript_that_does_not_come_is_a_failure(
    autojump_clock: MockClock,
    steps: tuple[Step, ...],
    error: type[errors.BatchttsError],
    reason: str,
    at: float,
) -> None:
    with pytest.raises(BaseExceptionGroup) as group:
        await transcript(*steps)
    [found] = errors.leaves(group.value)
    assert (type(found), str(found), trio.current_time()) == (error, reason, at)


async def test_audio_may_take_its_time_to_leave_if_only_it_leaves(
    autojump_clock: MockClock,
) -> None:
    async with wired(CREATED, COMMIT, heard("Fox.")) as (session, wire):
        deliver = wire.send_all_hook
        assert deliver is not None

        async def dawdle() -> None:
            await trio.sleep(SEND_S - 1)
            await deliver()

        wire.send_all_hook = dawdle
        messages = TogetherTranscription().listen(bytes(32_000 * 4), "r1")
        assert await session.transcribe(messages, "r1") == "Fox."
        assert trio.current_time() == 5 * (SEND_S - 1) + 2.0


async def test_audio_of_which_nothing_leaves_is_given_up_on(autojump_clock: MockClock) -> None:
    async with wired(CREATED) as (session, wire):
        wire.send_all_hook = trio.sleep_forever
        with pytest.raises(Stalled, match=f"^the provider took no audio for {SEND_S:g} s$"):
            await session.transcribe(TogetherTranscription().listen(bytes(64_000), "r1"), "r1")
        assert trio.current_time() == SEND_S


# ── files ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sound_file_of_any_kind_is_read(tmp_path: Path, name: str, channels: int) -> None:
    told = np.tile(samples("Call me Ishmael.")[:, None], channels)
    soundfile.write(tmp_path / name, told, 24_000)
    recording = read(tmp_path / name)
    assert recording.sample_rate_hz == 24_000
    assert recording.audio_s == pytest.approx(0.96, abs=0.01)
    if name in ("x.wav", "x.flac"):
        assert recording.pcm == whistled("Call me Ishmael.")


def test_channels_are_mixed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.array([[100, 300], [-5, -5]], dtype="int16"), 8000)
    assert np.frombuffer(read(tmp_path / "x.wav").pcm, "<i2").tolist() == [200, -5]


def _text(path: Path) -> None:
    path.write_text("Call me Ishmael. " * 100)


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


def _no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0, dtype="int16"), 24_000)


def _cut_header(path: Path) -> None:
    path.write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_text, "not a sound file"),
        (_nothing, "not a sound file"),
        (_cut_header, "not a sound file"),
        (_no_samples, "there is no audio in it"),
        (Path.mkdir, "is a directory"),
    ],
)
def test_what_is_no_sound_is_told(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    path = tmp_path / "x.wav"
    make(path)
    with pytest.raises(BadAudio) as error:
        read(path)
    assert str(error.value) == f"{path}: {words}"


# ── over a socket ─────────────────────────────────────────────────────────────


def hearer(port: int, recognizer: str = "together", **options: object) -> Hearer:
    options = {"linger_s": 0.05, **options} if recognizer == "together" else options
    wish = Wish(recognizer=recognizer, endpoint=f"ws://127.0.0.1:{port}", options=options)
    return find_hearer(wish, {"TOGETHER_API_KEY": "k"})


async def serve_with(nursery: trio.Nursery, tmp_path: Path, weather: str = "") -> int:
    """Serve with these faults and knobs, in TOML."""
    path = tmp_path / "weather.toml"
    await trio.Path(path).write_text(weather)
    settings = Settings(port=0, engine=TONE, workers=1, faults=path, log=tmp_path / "served.jsonl")
    port: int = await nursery.start(serve, settings)
    return port


def connections(tmp_path: Path) -> list[int]:
    """The connection of each commit."""
    told = map(json.loads, (tmp_path / "served.jsonl").read_text().splitlines())
    return [line["connection"] for line in told if line["event"] == "commit"]


@pytest.mark.parametrize("recognizer", ["together", "local"])
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 44_100])
async def test_a_recording_of_any_rate_is_heard(
    nursery: trio.Nursery, tmp_path: Path, recognizer: str, rate_hz: int
) -> None:
    port = await serve_with(nursery, tmp_path)
    recording = Recording(resample(whistled("Call me Ishmael."), 24_000, rate_hz), rate_hz)
    async with listening(hearer(port, recognizer)) as transcriber:
        assert await transcriber.hear(recording) == "Call me Ishmael."


async def test_24_khz_may_be_sent_as_it_is(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await serve_with(nursery, tmp_path)
    async with listening(hearer(port, sample_rate=24_000)) as transcriber:
        assert await transcriber.hear(Recording(whistled("Fox."), 24_000)) == "Fox."
    log = (tmp_path / "served.jsonl").read_text()
    assert json.loads(log.splitlines()[-1])["samples"] == 4 * 1440


async def test_every_recording_has_a_connection_of_its_own(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    port = await serve_with(nursery, tmp_path)
    async with listening(hearer(port)) as transcriber:
        for text in TEXTS.values():
            assert await transcriber.hear(Recording(whistled(text), 24_000)) == text
    assert connections(tmp_path) == [1, 2, 3]


async def test_a_commit_that_is_split_is_one_text(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await serve_with(nursery, tmp_path, "[transcription]\nsplits = true\n")
    # The second part begins with the silence before it, so it reads as something else.
    pcm = whistled("Call me.") + bytes(48_000 * 2) + whistled("Ishmael!")
    async with listening(hearer(port, linger_s=1.0)) as transcriber:
        text = await transcriber.hear(Recording(pcm, 24_000))
    assert text.startswith("Call me. ")
    assert len(text) > len("Call me. ")


FAULTS = {
    "failed": 'kind = "fail"',
    "failed, the utterance alone": 'kind = "fail"\nevent_type = true\nat = "last"',
    "failed and closed": 'kind = "fail"\nclose = 4503',
    "dropped": 'kind = "drop"\nat = "last"',
    "closed politely": 'kind = "drop"\ncode = 1000\nat = "first"',
    "half a message": 'kind = "bad_json"',
    "binary": 'kind = "binary"\nat = "first"',
    "refused for now": 'kind = "refuse"\nstatus = 503',
    "too many": 'kind = "refuse"\nstatus = 429\nretry_after_s = 0',
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_failed_attempt_is_followed_by_another(
    nursery: trio.Nursery, tmp_path: Path, fault: str
) -> None:
    weather = f'[[fault]]\n{fault}\nrequests = [1]\non = ["transcription"]\n'
    port = await serve_with(nursery, tmp_path, weather)
    async with listening(hearer(port), ONCE) as transcriber:
        assert await transcriber.hear(Recording(whistled("Fox."), 24_000)) == "Fox."
    assert len(connections(tmp_path)) == (1 if "refuse" in fault else 2)


async def test_attempts_come_to_an_end(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await serve_with(nursery, tmp_path, '[[fault]]\nkind = "fail"\nprobability = 1.0\n')
    path = await trio.to_thread.run_sync(write, tmp_path / "x.wav", "Fox.")
    async with listening(hearer(port), ONCE) as transcriber:
        found = await transcriber.hear_file(path)
    assert isinstance(found.error, SynthesisFailed)
    assert str(found.error).startswith(f"{path}: failed on purpose; after ")
    assert (found.text, found.audio_s) == ("", 0.24)
    assert len(connections(tmp_path)) == 2


async def down(hearer: Hearer, pcm: bytes | None = None) -> ProviderDown:
    """Why nothing can be heard."""
    with pytest.raises(BaseExceptionGroup) as group:
        async with listening(hearer, ONCE, outage_s=0.0) as transcriber:
            await transcriber.hear(Recording(pcm or whistled("Fox."), 24_000))
    [found] = errors.leaves(group.value)
    assert isinstance(found, ProviderDown)
    return found


async def test_nobody_to_ask_is_the_end(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await serve_with(nursery, tmp_path, '[[fault]]\nkind = "refuse"\nprobability = 1.0\n')
    error = await down(hearer(port))
    told = f"together at ws://127.0.0.1:{port}: answers 503; nothing else for 0 s"
    assert str(error) == told


async def test_a_model_that_is_not_there_is_the_end(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await serve_with(nursery, tmp_path)
    wish = Wish(recognizer="together", model="x", endpoint=f"ws://127.0.0.1:{port}")
    error = await down(find_hearer(wish, {"TOGETHER_API_KEY": "k"}))
    assert str(error).startswith(
        f"together at ws://127.0.0.1:{port}: model 'x' is not available; there are "
    )


async def test_about_silence_nobody_is_asked() -> None:
    async with listening(hearer(port=1)) as transcriber:
        assert await transcriber.hear(Recording(bytes(48_000), 24_000)) == ""


# ── the command ───────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with sound files, and with what is none."""
    path = tmp_path_factory.mktemp("sounds")
    for name, text in TEXTS.items():
        write(path / f"{name}.wav", text)
    write(path / "long.flac", "On and on. " * 20)
    soundfile.write(path / "silent.wav", np.zeros(24_000, dtype="int16"), 24_000)
    soundfile.write(path / "empty.wav", np.zeros(0, dtype="int16"), 24_000)
    (path / "notes.txt").write_text("This is not a sound.\n" * 40)
    return path


def test_the_text_of_one_file_is_all_that_is_written(server: Server, here: Path) -> None:
    answer = ask("transcribe", "a.wav", "--endpoint", server.url, here=here)
    assert (answer.status, answer.out, answer.err) == (0, "Call me Ishmael.\n", "")


def test_the_texts_of_several_files_come_in_their_order(server: Server, here: Path) -> None:
    files = ["long.flac", "c.wav", "a.wav", "b.wav", "a.wav"]
    answer = ask("transcribe", *files, "--endpoint", server.url, here=here)
    assert (answer.status, answer.err) == (0, "")
    told = dict(line.split("\t") for line in answer.out.splitlines())
    assert [line.split("\t")[0] for line in answer.out.splitlines()] == files
    assert told.pop("long.flac") == ("On and on. " * 20).strip()
    assert told == {f"{name}.wav": text for name, text in TEXTS.items()}


def test_a_line_of_json_has_the_figures(server: Server, here: Path) -> None:
    answer = ask("transcribe", "a.wav", "b.wav", "--json", "--endpoint", server.url, here=here)
    assert (answer.status, answer.err) == (0, "")
    one, two = (json.loads(line) for line in answer.out.splitlines())
    assert 0 < one.pop("wall_s") < 60
    assert one == {
        "path": "a.wav",
        "text": "Call me Ishmael.",
        "audio_s": 0.96,
        "recognizer": "local",
        "model": MOONSHINE,
    }
    assert two["path"] == "b.wav"


def test_what_cannot_be_heard_is_told_and_the_rest_is_heard(server: Server, here: Path) -> None:
    files = ["a.wav", "notes.txt", "silent.wav", "empty.wav", "b.wav"]
    answer = ask("transcribe", *files, "--endpoint", server.url, here=here)
    assert answer.status == 3
    assert answer.out == "a.wav\tCall me Ishmael.\nsilent.wav\t\nb.wav\tSome years ago.\n"
    assert answer.err.splitlines() == [
        "batchtts: notes.txt: not a sound file",
        "  hint: WAV, FLAC, Ogg and MP3 can be read",
        "batchtts: silent.wav: no words were heard",
        "batchtts: empty.wav: there is no audio in it",
        "5 files: 3 heard, 2 not",
    ]


def test_one_file_that_cannot_be_heard_is_one_line(server: Server, here: Path) -> None:
    answer = ask("transcribe", "empty.wav", "--endpoint", server.url, here=here)
    assert (answer.status, answer.out) == (3, "")
    assert answer.err == "batchtts: empty.wav: there is no audio in it\n"


def test_the_server_is_started_if_none_is_named(here: Path) -> None:
    answer = ask("transcribe", "a.wav", "--model", "tone", here=here)
    assert (answer.status, answer.out, answer.err) == (0, "Call me Ishmael.\n", "")


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (["nothing.wav"], ["batchtts: nothing.wav: no such file"]),
        (["a.wav", "nothing.wav"], ["batchtts: nothing.wav: no such file"]),
        (
            ["a.wav", "--recognizer", "together"],
            [
                "batchtts: together needs a key",
                "  hint: set TOGETHER_API_KEY, or take --recognizer local",
            ],
        ),
        (
            ["a.wav", "--recognizer", "whisper"],
            ["batchtts: no recognizer 'whisper'", "  hint: there are: local, together"],
        ),
        (
            ["a.wav", "--endpoint", "127.0.0.1:8765"],
            [
                "batchtts: endpoint 127.0.0.1:8765: not a WebSocket URL",
                "  hint: for example wss://host:8765",
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_heard(
    here: Path, command: list[str], lines: list[str]
) -> None:
    answer = ask("transcribe", *command, here=here)
    assert (answer.status, answer.out, answer.err.splitlines()) == (2, "", lines)


def test_a_refused_key_is_told_and_not_shown(tmp_path: Path, here: Path) -> None:
    with serving(tmp_path / "log", key="right") as server:
        options = ("--recognizer", "together", "--endpoint", server.url)
        wrong = {"TOGETHER_API_KEY": "sk-wrong"}
        answer = ask("transcribe", "a.wav", *options, here=here, extra=wrong)
    assert (answer.status, answer.out) == (4, "")
    assert answer.err.splitlines() == [
        f"batchtts: together at {server.url}: key refused (401)",
        "  hint: set TOGETHER_API_KEY",
    ]


def test_an_interrupted_command_ends_and_its_server_with_it(here: Path, tmp_path: Path) -> None:
    sound = write(tmp_path / "x.wav", "On and on. " * 500)
    command = ("transcribe", sound, "--model", "tone")
    with started_command(*command, here=tmp_path, extra={}) as process:
        eventually(lambda: bool(descendants(process.pid)))
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        eventually(lambda: all(map(is_gone, children)))
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_a_reader_that_has_had_enough_is_no_bug(server: Server, here: Path) -> None:
    files = ["a.wav", "b.wav", "c.wav"]
    with subprocess.Popen(
        [*COMMAND, "transcribe", *files, "--endpoint", server.url],
        cwd=here,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read().decode()
        process.wait(60)
    assert "bug" not in told


# ── TLS ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority, a certificate of its own for 127.0.0.1, and wrong files."""
    path = tmp_path_factory.mktemp("vault")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(path / "authority.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path / "both.pem"))
    issued.cert_chain_pems[0].write_to_path(str(path / "server.pem"))
    issued.private_key_pem.write_to_path(str(path / "server.key"))
    authority.issue_cert("x").private_key_pem.write_to_path(str(path / "other.key"))
    (path / "notes.txt").write_text("no certificate, and no key\n")
    return path


@contextmanager
def secured(vault: Path, engine: str = TONE) -> Iterator[str]:
    """The address of a server with a certificate, until the end of the block."""
    flags = ["--certificate", f"{vault}/server.pem", "--private-key", f"{vault}/server.key"]
    command = [*COMMAND, "serve", "--port", "0", "--engine", engine, "--until-eof", *flags]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        greeting = process.stdout.readline().decode().strip()
        try:
            yield greeting.removeprefix("listening on ")
        finally:
            process.terminate()


def test_a_recording_is_heard_over_tls_by_who_trusts_the_server(vault: Path, here: Path) -> None:
    with secured(vault) as url:
        assert url.startswith("wss://127.0.0.1:")
        trusting = {"SSL_CERT_FILE": str(vault / "authority.pem")}
        command = ("transcribe", "a.wav", "--endpoint", url)
        answer = ask(*command, here=here, extra=trusting)
        doubtful = ask(*command, here=here)
    assert (answer.status, answer.out, answer.err) == (0, "Call me Ishmael.\n", "")
    assert doubtful.status == 4
    assert "its certificate is not trusted" in doubtful.err
    assert "SSL_CERT_FILE" in doubtful.err


def test_certificate_and_key_make_a_context_and_none_makes_none(vault: Path) -> None:
    assert isinstance(tls.read(vault / "server.pem", vault / "server.key"), ssl.SSLContext)
    assert isinstance(tls.read(vault / "both.pem", vault / "both.pem"), ssl.SSLContext)
    assert tls.read(None, None) is None


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("server.pem", None, "--private-key is missing"),
        (None, "server.key", "--certificate is missing"),
        ("no.pem", "server.key", "{0}/no.pem: no such file or directory"),
        ("server.pem", "no.key", "{0}/no.key: no such file or directory"),
        ("server.pem", "other.key", "{0}/other.key is not the key of {0}/server.pem"),
        ("notes.txt", "server.key", "{0}/notes.txt: no certificate in PEM"),
        ("server.pem", "notes.txt", "{0}/notes.txt: no private key in PEM"),
        ("server.key", "server.key", "{0}/server.key: no certificate in PEM"),
        ("server.pem", "server.pem", "{0}/server.pem: no private key in PEM"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told(
    vault: Path, certificate: str | None, key: str | None, says: str
) -> None:
    with pytest.raises(errors.UsageError) as error:
        tls.read(certificate and vault / certificate, key and vault / key)  # type: ignore[arg-type]
    assert str(error.value).startswith(says.format(vault))


def test_an_encrypted_key_is_told_and_nobody_is_asked_for_its_password(vault: Path) -> None:
    from cryptography.hazmat.primitives import serialization as pem

    key = pem.load_pem_private_key((vault / "server.key").read_bytes(), None)
    secret = key.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"x")
    )
    (vault / "secret.key").write_bytes(secret)
    with pytest.raises(errors.UsageError, match=r"secret\.key: the key is encrypted$") as error:
        tls.read(vault / "server.pem", vault / "secret.key")
    assert error.value.hint == f"openssl pkey -in {vault}/secret.key -out plain.pem decrypts it"


# ── with words ────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("moonshine_voice") is None, reason="the extra `hear` is missing"
)
def test_what_the_embedded_voice_says_is_heard_over_tls(vault: Path, tmp_path: Path) -> None:
    text = "The lighthouse keeper climbed the stairs every evening before the sun went down."
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == HIBARI)
    pcm = b"".join(load(HIBARI).speak(text, voice, 1.0))
    soundfile.write(tmp_path / "x.wav", np.frombuffer(pcm, "<i2"), 24_000)
    extra = {"SSL_CERT_FILE": str(vault / "authority.pem"), "TOGETHER_API_KEY": "k"}
    with secured(vault, HIBARI) as url:
        for recognizer in ("together", "local"):
            options = ("--recognizer", recognizer, "--endpoint", url)
            answer = ask("transcribe", "x.wav", *options, here=tmp_path, extra=extra)
            assert (answer.status, answer.err) == (0, "")
            assert heard_share(text, answer.out) == 1.0
    answer = ask("transcribe", "x.wav", here=tmp_path)
    assert (answer.status, heard_share(text, answer.out)) == (0, 1.0)
