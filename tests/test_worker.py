"""One worker, and a provider that does what it is told, in virtual time."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import msgspec
import pytest
import soundfile
import trio
from trio.testing import MockClock

from batchtts.audio.measure import measure
from batchtts.errors import (
    BadAudio,
    NotConnected,
    OutputBroken,
    ProviderDown,
    RateLimited,
    ScriptRejected,
    SessionLost,
    Stalled,
    Unauthorized,
    VoiceUnavailable,
)
from batchtts.job import wording
from batchtts.job.prints import Fingerprints
from batchtts.model import AudioFormat, Pauses, Result, Take, Utterance, Voice
from batchtts.record import begun as notebook
from batchtts.record import disk
from batchtts.record.begun import Begun, Sent
from batchtts.record.pieces import Pieces
from batchtts.run.budget import Budget
from batchtts.run.crew import Crew
from batchtts.run.joining import Joinery
from batchtts.run.pace import Breaker, InFlight
from batchtts.run.reading import Part, Reading
from batchtts.run.retry import RetryPolicy
from batchtts.run.worker import REMEMBERED, Segment, Worker
from batchtts.text.rendering import Rendering
from batchtts.wire import registry
from batchtts.wire.kokoro import KOKORO
from batchtts.wire.line import Line
from batchtts.wire.session import Listener, Timeline
from batchtts.wire.tape import FileTape, Recorder
from batchtts.wire.together import Together

HEART, SKY = Voice("af_heart", KOKORO, "en-us"), Voice("af_sky", KOKORO, "en-us")
SCRIPT = "Call me Ishmael."
PRINTS = Fingerprints("together", AudioFormat("wav", 24_000))
SPEECH = b"\x00\x20\x00\xe0" * 12_000  # one second at a quarter of full scale
TOGETHER = replace(registry.get("together"), segment_chars=20)
PAUSES = Pauses(sentence=0.5)


@dataclass(frozen=True)
class Answer:
    """How a provider answers a script.

    Attributes:
        begins_s, takes_s: From the commit to the first audio and to the last.
        lingers_s: From the last audio until the session is free again.
        late: Contexts of earlier scripts that go on after all.
    """

    pcm: bytes = SPEECH
    begins_s: float = 0.25
    takes_s: float = 0.5
    lingers_s: float = 0.0
    late: tuple[str, ...] = ()
    closes: bool = False


@dataclass(frozen=True)
class Closed:
    """How a provider answers when it does not even open a session."""

    error: Exception


Said = Answer | Closed | Exception


@dataclass
class Provider:
    """A line and all its sessions; takes the next answer for each script."""

    answers: deque[Said]
    calls: list[Together] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)
    tapes: list[FileTape] = field(default_factory=list)
    scripts: list[tuple[float, str]] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    afterwards: list[str] = field(default_factory=list)
    closed: int = 0
    connect_s: float = 0.1

    async def call(
        self, connections: trio.Nursery, dialect: Together, tape: FileTape | None
    ) -> Talk:
        await trio.sleep(self.connect_s)
        if tape is not None:
            tape.opened("/")
            self.tapes.append(tape)
        if self.answers and isinstance(self.answers[0], Closed):
            raise cast("Closed", self.answers.popleft()).error
        self.calls.append(dialect)
        self.talks.append(Talk(self))
        return self.talks[-1]


@dataclass
class Talk:
    """One session."""

    provider: Provider
    reusable: bool = True

    async def speak(self, script: str, context: str, listener: Listener) -> Timeline:
        assert self.reusable
        self.provider.scripts.append((trio.current_time(), script))
        self.provider.contexts.append(context)
        answer = self.provider.answers.popleft() if self.provider.answers else Answer()
        timeline = Timeline(committed_at=trio.current_time())
        if isinstance(answer, Exception):
            self.reusable = False
            raise answer
        assert isinstance(answer, Answer)
        for earlier in answer.late:
            listener.late(earlier)
        await trio.sleep(answer.begins_s)
        timeline.first_audio_at = trio.current_time()
        listener.hear(answer.pcm[:101], None)
        await trio.sleep(answer.takes_s - answer.begins_s)
        timeline.last_audio_at = trio.current_time()
        listener.hear(answer.pcm[101:], None)
        listener.said()
        await trio.sleep(answer.lingers_s)
        listener.said()
        self.reusable = not answer.closes
        return timeline

    def adopt(self, dialect: Together) -> None:
        pass

    @property
    def is_at_rest(self) -> bool:
        return self.reusable

    async def heed(self, late: Callable[[str], None]) -> None:
        await trio.sleep(1.0)
        for earlier in self.provider.afterwards:
            late(earlier)

    def close(self) -> None:
        self.provider.closed += 1


@dataclass
class Desk:
    """Where what workers bring is written down: pieces on the disk, and what was sent for each.

    Attributes:
        told: Characters of each segment that was written down, by row and number.
    """

    pieces: Pieces
    told: dict[tuple[int, int], int] = field(default_factory=dict)

    def read(self, utterance: Utterance, limit: int) -> Reading:
        said = wording.Said(Rendering.of(utterance.script))
        return Reading.of(utterance, said, limit, self.pieces, PRINTS)

    def keep(self, segment: Segment) -> None:
        reading, number = segment.part.reading, segment.part.number
        told = reading.tell(number, TOGETHER.cost_usd)
        self.told[reading.utterance.row, number] = told.characters
        if not segment.part.is_spoiled:
            self.pieces.publish([segment.piece])


@dataclass
class Hands:
    """A worker that is given all of a row, part by part, as it would be if it were alone."""

    worker: Worker
    crew: Crew
    desk: Desk

    async def take(self, utterance: Utterance) -> Take:
        """Speak a whole row."""
        take = await self.attempt(utterance)
        assert take is not None
        return take

    async def attempt(self, utterance: Utterance) -> Take | None:
        """The same of a row that may be left in the middle."""
        limit = self.crew.provider.segment_chars
        takes = [await self.speak(part) for part in self.desk.read(utterance, limit).parts()]
        assert takes[:-1] == [None] * len(takes[:-1])
        return takes[-1]

    async def speak(self, part: Part) -> Take | None:
        """Speak one part and write it down."""
        outcome = await self.worker.take(part)
        if isinstance(outcome, Segment):
            self.desk.keep(outcome)
            outcome = await self.worker.follow(outcome)
        return outcome

    def part(self) -> None:
        self.worker.part()

    def hang_up(self) -> None:
        self.worker.hang_up()


@dataclass
class Studio:
    """A crew with its provider."""

    provider: Provider
    crew: Crew
    desk: Desk
    stops: list[str]

    def worker(self, number: int = 0) -> Hands:
        return Hands(Worker(self.crew, number), self.crew, self.desk)

    def read(self, utterance: Utterance) -> Reading:
        return self.desk.read(utterance, self.crew.provider.segment_chars)


@asynccontextmanager
async def studio(
    *answers: Said,
    in_flight: int = 8,
    attempts: int = 4,
    failures: int = 100,
    most_usd: float | None = None,
    begun: Begun | None = None,
) -> AsyncIterator[Studio]:
    provider = Provider(deque(answers))
    stops: list[str] = []
    async with trio.open_nursery() as connections:
        with Begun(Path(os.devnull)) as nobody, TemporaryDirectory() as root:
            pieces = Pieces(Path(root, "pieces"))
            joinery = Joinery(pieces, AudioFormat("wav", 24_000), PAUSES, Path(root))
            crew = Crew(
                name="run",
                provider=TOGETHER,
                line=cast("Line", provider),
                policy=RetryPolicy(attempts=attempts),
                in_flight=InFlight(in_flight),
                breaker=Breaker(failures=failures, patience_s=60.0),
                connections=connections,
                budget=Budget(most_usd),
                begun=begun or nobody,
                path_of=lambda row_id: f"wav/{row_id}.wav",
                pieces=pieces,
                join=joinery.join,
                stop=lambda: stops.append("stopped"),
            )
            yield Studio(provider, crew, Desk(pieces), stops)


def row(
    number: int = 0, script: str = SCRIPT, voice: Voice = HEART, speed: float = 1.0
) -> Utterance:
    return Utterance(
        row=number,
        id=f"ch{number}",
        script=script,
        voice=voice,
        speed=speed,
        fingerprint="0f" * 16,
    )


def spoken(take: Take | None) -> bool:
    assert take is not None
    return (take.result.status, take.pcm) == ("done", SPEECH)


# What a take says


async def test_a_take_says_how_it_went(autojump_clock: MockClock) -> None:
    async with studio() as it:
        take = await it.worker().take(row())
    assert take.result.started_at is not None
    assert take.result.finished_at is not None
    assert take.pcm == SPEECH
    assert (take.utterance, take.sample_rate_hz) == (row(), 24_000)
    assert it.crew.corrections == []
    assert take.result.measures == measure(SPEECH, 24_000)
    told = msgspec.structs.replace(take.result, started_at=None, finished_at=None, measures=None)
    assert told == Result(
        id="ch0",
        status="done",
        fingerprint="0f" * 16,
        text_chars=16,
        provider="together",
        model=KOKORO,
        voice="af_heart",
        language="en-us",
        peak_dbfs=-12.041,
        verdict="pass",
        segments=1,
        attempts=1,
        queue_s=0.0,
        connect_s=0.1,
        ttfa_s=0.25,
        synth_s=0.5,
        wall_s=0.6,
        characters_sent=16,
        cost_usd=16 * 4e-6,
        context="run-0-0-0",
    )


async def test_a_failure_is_a_take_too(autojump_clock: MockClock) -> None:
    async with studio(ScriptRejected("no such letters")) as it:
        take = await it.worker().take(row())
    assert (take.pcm, take.result.status, take.result.attempts) == (b"", "failed", 1)
    assert take.result.error_code == "script_rejected"
    assert take.result.error_message == "no such letters"
    assert take.result.peak_dbfs is None
    assert take.result.ttfa_s is None


async def test_a_long_script_is_spoken_in_segments(autojump_clock: MockClock) -> None:
    script = "Call me Ishmael. Some years ago, never mind."
    answers = [Answer(SPEECH[:n]) for n in (40_000, 42_000, 44_000)]
    async with studio(*answers) as it:
        take = await it.worker().take(row(script=script))
        assert take.file is not None
        samples, rate_hz = soundfile.read(take.file, dtype="int16")
    told = ["Call me Ishmael.", "Some years ago,", "never mind."]
    assert [said for _, said in it.provider.scripts] == told
    assert it.provider.contexts == ["run-0-0-0", "run-0-1-0", "run-0-2-0"]
    result = take.result
    assert (result.status, result.segments, result.attempts) == ("done", 3, 3)
    assert (result.ttfa_s, result.synth_s, result.wall_s) == (0.25, 1.5, 1.6)
    assert (result.context, result.text_chars) == ("run-0-2-0", len(script))
    assert result.peak_dbfs == -12.041
    assert it.desk.told == {(0, at): len(text) for at, text in enumerate(told)}
    assert (result.characters_sent, result.cost_usd) == (0, 0.0)  # other lines tell of that
    # Each of them is speech from end to end, so there is nothing to trim.
    pauses = round(24_000 * (PAUSES.sentence + PAUSES.clause))
    assert len(samples) == sum((40_000, 42_000, 44_000)) // 2 + pauses
    assert (take.pcm, take.sample_rate_hz, rate_hz) == (b"", 24_000, 24_000)
    assert (result.frames, result.path) == (len(samples), None)
    assert result.cues is not None
    assert [script[cue.start : cue.end].strip() for cue in result.cues] == told
    assert "".join(script[cue.start : cue.end] for cue in result.cues) == script


async def test_a_row_of_one_segment_has_no_cues(autojump_clock: MockClock) -> None:
    async with studio() as it:
        take = await it.worker().take(row())
    assert (take.result.cues, take.file) == (None, None)


async def test_a_model_without_a_price_has_no_cost(autojump_clock: MockClock) -> None:
    async with studio() as it:
        take = await it.worker().take(row(voice=Voice("narrator", "minimax/speech", "en")))
    assert take.result.cost_usd is None


# Attempts


async def test_a_lost_attempt_is_followed_by_another_on_a_new_session(
    autojump_clock: MockClock,
) -> None:
    async with studio(Stalled("no first audio"), SessionLost("closed (1000)")) as it:
        take = await it.worker().take(row())
    assert spoken(take)
    assert take.result.attempts == 3
    assert take.result.cost_usd == pytest.approx(3 * 16 * 4e-6)
    assert (len(it.provider.calls), it.provider.closed) == (3, 2)
    assert it.provider.contexts == ["run-0-0-0", "run-0-0-1", "run-0-0-2"]


async def test_after_so_many_attempts_the_row_is_failed(autojump_clock: MockClock) -> None:
    async with studio(*[Stalled(f"{n}") for n in range(9)], attempts=3) as it:
        take = await it.worker().take(row())
    assert (take.result.attempts, len(it.provider.scripts)) == (3, 3)
    assert (take.result.error_code, take.result.error_message) == ("stalled", "2")


async def test_every_segment_has_its_own_attempts(autojump_clock: MockClock) -> None:
    lost = Stalled("no first audio")
    async with studio(lost, Answer(), lost, Answer(), attempts=2) as it:
        take = await it.worker().take(row(script="Call me Ishmael. Some years ago."))
    assert (take.result.status, take.result.segments, take.result.attempts) == ("done", 2, 4)
    said = [script for _, script in it.provider.scripts]
    assert said == ["Call me Ishmael."] * 2 + ["Some years ago."] * 2


async def test_what_costs_nothing_uses_up_no_attempt(autojump_clock: MockClock) -> None:
    free: list[Said] = [RateLimited("429"), Closed(NotConnected("connection refused"))]
    async with studio(Answer(), *free * 10, attempts=1) as it:
        for number in range(2):
            assert spoken(await it.worker().take(row(number)))
    assert len(it.provider.scripts) == 1 + 10 + 1


async def test_what_was_refused_is_not_paid_for(autojump_clock: MockClock) -> None:
    async with studio(RateLimited("429"), RateLimited("429")) as it:
        take = await it.worker().take(row())
    assert take.result.cost_usd == pytest.approx(16 * 4e-6)


@pytest.mark.parametrize(
    ("pcm", "code"),
    [
        (bytes(48_000), "bad_audio"),
        (b"", "bad_audio"),
        (SPEECH[:4800], "truncated"),
        (SPEECH[:-1], "bad_audio"),
        (b"ID3\x04" + SPEECH, "bad_audio"),
    ],
)
async def test_audio_that_cannot_be_right_is_a_lost_attempt(
    autojump_clock: MockClock, pcm: bytes, code: str
) -> None:
    async with studio(Answer(pcm), Answer(pcm), attempts=2) as it:
        take = await it.worker().take(row())
        again = await it.worker().take(row())
    assert (take.result.error_code, take.pcm, take.result.attempts) == (code, b"", 2)
    assert spoken(again)
    assert it.provider.closed == 2


async def test_the_times_of_a_take_are_those_of_the_audio_that_is_kept(
    autojump_clock: MockClock,
) -> None:
    silence = Answer(bytes(48_000), begins_s=7.0, takes_s=9.0)
    async with studio(silence, Answer()) as it:
        take = await it.worker().take(row())
    assert (take.result.ttfa_s, take.result.synth_s) == (0.25, 0.5)


async def test_a_voice_that_is_not_there_is_no_matter_of_attempts(
    autojump_clock: MockClock,
) -> None:
    async with studio(Closed(VoiceUnavailable("no voice af_heart"))) as it:
        take = await it.worker().take(row())
    assert (take.result.error_code, take.result.attempts) == ("voice_unavailable", 0)
    assert take.result.context is None
    assert take.result.cost_usd == 0.0


async def test_a_row_that_is_dropped_gives_its_slot_back(autojump_clock: MockClock) -> None:
    async with studio(Answer(begins_s=100.0, takes_s=100.0)) as it:
        with trio.move_on_after(5) as scope:
            await it.worker().take(row())
        assert scope.cancelled_caught
        assert it.crew.slots.held == 0


# Sessions


async def test_a_session_is_kept_from_row_to_row(autojump_clock: MockClock) -> None:
    async with studio() as it:
        worker = it.worker()
        takes = [await worker.take(row(n)) for n in range(3)]
    assert all(map(spoken, takes))
    assert [take.result.connect_s for take in takes] == [0.1, 0.0, 0.0]
    assert (len(it.provider.calls), it.provider.closed) == (1, 0)


async def test_a_session_that_goes_on_in_another_voice_says_so_on_its_tape(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    cartesia = registry.get("cartesia")
    one, two = cartesia.voices[:2]
    async with studio() as it:
        it.crew.provider = cartesia
        it.crew.recorder = Recorder(directory=tmp_path, provider=cartesia)
        worker = it.worker(7)
        for number, voice in enumerate((one, one, two)):
            assert spoken(await worker.take(row(number, voice=voice)))
    [tape] = it.provider.tapes
    tape.ended()
    assert voices_on_tape(tmp_path) == [one.name, two.name]


async def test_audio_after_the_last_script_takes_its_row_back(autojump_clock: MockClock) -> None:
    async with studio() as it:
        worker = it.worker()
        take = await worker.take(row(3))
        it.provider.afterwards.append(f"{take.result.context}")
        worker.part()
        await trio.sleep(0.5)
        assert (it.provider.closed, it.crew.corrections) == (0, [])
        await trio.sleep(1.0)
        assert it.provider.closed == 1
    [correction] = it.crew.corrections
    assert (correction.row, correction.result.error_code) == (3, "truncated")


async def test_a_session_that_failed_is_not_heard_out(autojump_clock: MockClock) -> None:
    async with studio(Answer(closes=True)) as it:
        worker = it.worker()
        await worker.take(row(0))
        worker.part()
        assert it.provider.closed == 1


def voices_on_tape(directory: Path) -> list[str]:
    """The voices that the only file names, in order."""
    [path] = directory.glob("cartesia-*-w0007.txt")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line[2:])["voice"][0] for line in lines if line[:1] == "@"]


@pytest.mark.parametrize("other", [row(1, voice=SKY), row(1, speed=1.5)])
async def test_another_voice_or_speed_takes_another_session(
    autojump_clock: MockClock, other: Utterance
) -> None:
    async with studio() as it:
        worker = it.worker()
        for each in (row(0), other, row(2)):
            assert spoken(await worker.take(each))
        await trio.sleep(2.0)
    assert [(call.voice, call.speed) for call in it.provider.calls] == [
        (HEART, 1.0),
        (other.voice, other.speed),
        (HEART, 1.0),
    ]
    assert it.provider.closed == 2


async def test_a_session_that_has_had_enough_is_replaced(autojump_clock: MockClock) -> None:
    async with studio(Answer(closes=True)) as it:
        worker = it.worker()
        for number in range(2):
            assert spoken(await worker.take(row(number)))
    assert (len(it.provider.calls), it.provider.closed) == (2, 1)


async def test_a_session_that_closes_in_the_queue_is_replaced(autojump_clock: MockClock) -> None:
    async with studio(in_flight=1) as it, trio.open_nursery() as nursery:
        await it.crew.slots.acquire()
        nursery.start_soon(it.worker().take, row())
        await trio.sleep(3)
        it.provider.talks[0].reusable = False
        it.crew.slots.release()
    assert (len(it.provider.calls), it.provider.closed) == (2, 1)
    assert [when for when, _ in it.provider.scripts] == pytest.approx([3.1])


async def test_who_hangs_up_lets_the_session_go(autojump_clock: MockClock) -> None:
    async with studio() as it:
        worker = it.worker()
        worker.hang_up()
        assert it.provider.closed == 0
        await worker.take(row())
        worker.hang_up()
        worker.hang_up()
    assert it.provider.closed == 1


# Slots


async def test_a_slot_is_free_as_soon_as_the_provider_has_said_all(
    autojump_clock: MockClock,
) -> None:
    answer = Answer(takes_s=2.0, lingers_s=10.0)
    async with studio(answer, in_flight=1) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.worker(0).take, row(0))
        await trio.sleep(1)
        take = await it.worker(1).take(row(1))
        assert trio.current_time() == pytest.approx(2.6)
    assert [when for when, _ in it.provider.scripts] == pytest.approx([0.1, 2.1])
    assert take.result.queue_s == pytest.approx(1.0)


async def test_refusals_in_a_row_take_slots_away_and_successes_give_them_back(
    autojump_clock: MockClock,
) -> None:
    async with studio(*[RateLimited("429")] * 2, in_flight=4) as it:
        await it.worker().take(row())
        assert it.crew.in_flight.limit == 2
        async with trio.open_nursery() as nursery:
            for number in range(1, 6):
                nursery.start_soon(it.worker(number).take, row(number))
    assert it.crew.in_flight.limit > 2


async def test_a_refusal_by_handshake_takes_no_slots_away(autojump_clock: MockClock) -> None:
    async with studio(*[Closed(RateLimited("429"))] * 5, in_flight=4) as it:
        assert spoken(await it.worker().take(row()))
    assert it.crew.in_flight.limit == 4


async def test_a_row_that_is_begun_goes_on_before_others_begin(autojump_clock: MockClock) -> None:
    async with studio(in_flight=1) as it, trio.open_nursery() as nursery:
        for number, script in enumerate(["Call me Ishmael. Some years ago.", "Two.", "Three."]):
            nursery.start_soon(it.worker(number).take, row(number, script))
            await trio.sleep(0.01)
    spoken_in_order = [script for _, script in it.provider.scripts]
    assert spoken_in_order == ["Call me Ishmael.", "Two.", "Some years ago.", "Three."]


async def test_a_refused_request_comes_back_for_a_slot_at_once(autojump_clock: MockClock) -> None:
    refusals = [RateLimited("429")] * 8
    async with studio(*refusals, in_flight=64) as it:
        assert spoken(await it.worker().take(row()))
    waits = [later - earlier for (earlier, _), (later, _) in pairwise(it.provider.scripts)]
    assert all(wait_s <= 0.1 + RetryPolicy().base_s for wait_s in waits)


async def test_nobody_asks_for_a_while_when_a_lone_request_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with studio(*[RateLimited("429")] * 6, in_flight=1) as it:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(it.worker(number).take, row(number))
        waits = [later - earlier for (earlier, _), (later, _) in pairwise(it.provider.scripts)]
        for wait_s, least_s in zip(waits[2:6], [0.5, 1.0, 2.0, 4.0], strict=True):
            assert least_s <= wait_s + 1e-9


# What ends a run


@pytest.mark.parametrize("where", [Closed(Unauthorized("401")), Unauthorized("401")])
async def test_a_key_that_was_taken_before_is_tried_again(
    autojump_clock: MockClock, where: Said
) -> None:
    async with studio(Answer(closes=True), where) as it:
        worker = it.worker()
        assert spoken(await worker.take(row(0)))
        again = await worker.take(row(1))
    assert spoken(again)
    assert again.result.cost_usd == 16 * 4e-6


async def test_a_row_whose_key_is_refused_while_others_are_spoken_fails(
    autojump_clock: MockClock,
) -> None:
    refusals = [Closed(Unauthorized("403"))] * 200
    async with studio(Answer(closes=True), *refusals) as it:
        worker = it.worker()
        await worker.take(row(0))
        takes: list[Take] = []

        async def take() -> None:
            takes.append(await worker.take(row(1)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            while not takes:
                await trio.sleep(1.0)
                it.crew.succeeded()
    assert takes[0].result.error_code == "voice_unavailable"
    assert takes[0].result.error_message == "403, again and again for this row"


async def test_a_key_that_is_refused_for_good_ends_the_run(autojump_clock: MockClock) -> None:
    refusals = [Closed(Unauthorized("401"))] * 200
    async with studio(Answer(closes=True), *refusals, failures=4) as it:
        worker = it.worker()
        await worker.take(row(0))
        with pytest.raises(ProviderDown, match="401, though it was taken before"):
            await worker.take(row(1))


@pytest.mark.parametrize("where", [Closed(Unauthorized("401")), Unauthorized("401")])
async def test_a_refused_key_ends_the_run(
    autojump_clock: MockClock, where: Closed | Exception
) -> None:
    async with studio(where) as it:
        with pytest.raises(Unauthorized):
            await it.worker().take(row())
        assert it.crew.slots.held == 0


async def test_a_provider_that_is_down_ends_the_run(autojump_clock: MockClock) -> None:
    async with studio(failures=5) as it:
        worker = it.worker()
        assert spoken(await worker.take(row()))
        it.provider.answers.extend([RateLimited("429", retry_after_s=10.0)] * 99)
        with pytest.raises(ProviderDown, match="429") as raised:
            await worker.take(row(1))
        assert raised.value.hint == "what is done stays done; run the same command again"
        assert trio.current_time() == pytest.approx(60.6, abs=11)


async def test_a_provider_that_never_answered_ends_the_run_soon(autojump_clock: MockClock) -> None:
    nobody = [Closed(NotConnected("connection refused")) for _ in range(999)]
    async with studio(*nobody, failures=400) as it:
        with pytest.raises(ProviderDown, match="connection refused"):
            await it.worker().take(row())
        assert 10 <= trio.current_time() < 15


async def test_one_success_anywhere_and_the_provider_is_not_down(
    autojump_clock: MockClock,
) -> None:
    lost = BadAudio("x", retry_after_s=30.0)
    answers: list[Said] = [lost, lost, Answer()]
    async with studio(*answers * 5, failures=3, attempts=3) as it:
        worker = it.worker()
        for number in range(5):
            assert spoken(await worker.take(row(number)))


# Audio that comes after its end


async def test_a_row_that_goes_on_after_its_end_is_taken_back(autojump_clock: MockClock) -> None:
    async with studio(Answer(), Answer(late=("run-7-0-0", "run-7-0-0"))) as it:
        worker = it.worker()
        before = await worker.take(row(7))
        take = await worker.take(row(8))
    assert spoken(before)
    assert spoken(take)
    [correction] = it.crew.corrections
    result = correction.result
    assert (correction.row, result.id, result.status) == (7, "ch7", "failed")
    assert result.error_code == "truncated"
    assert result.error_message == "audio came after the provider had said that it was done"
    assert (result.path, result.sha256, result.frames) == (None, None, None)


async def test_a_row_that_is_taken_back_is_not_paid_for_once_more(
    autojump_clock: MockClock,
) -> None:
    async with studio(Stalled(""), Answer(), Answer(late=("run-7-0-1",))) as it:
        worker = it.worker()
        before = await worker.take(row(7))
        await worker.take(row(8))
    [correction] = it.crew.corrections
    assert correction.result.attempts == before.result.attempts == 2
    assert (before.result.characters_sent, before.result.cost_usd) == (32, 32 * 4e-6)
    assert (correction.result.characters_sent, correction.result.cost_usd) == (0, 0.0)


async def test_what_is_taken_back_of_a_model_without_a_price_has_no_known_cost(
    autojump_clock: MockClock,
) -> None:
    other = row(7, voice=Voice("narrator", "minimax/speech", "en"))
    async with studio(Answer(), Answer(late=("run-7-0-0",))) as it:
        worker = it.worker()
        await worker.take(other)
        await worker.take(replace(other, row=8, id="ch8"))
    [correction] = it.crew.corrections
    assert (correction.result.characters_sent, correction.result.cost_usd) == (0, None)


async def test_a_context_that_nobody_knows_takes_nothing_back(autojump_clock: MockClock) -> None:
    async with studio(Answer(late=("other-1-0-0",))) as it:
        await it.worker().take(row())
    assert it.crew.corrections == []


async def test_only_so_many_scripts_are_remembered(autojump_clock: MockClock) -> None:
    late = ("run-0-0-0", f"run-{REMEMBERED}-0-0")
    async with studio(*[Answer()] * (REMEMBERED + 1), Answer(late=late)) as it:
        worker = it.worker()
        for number in range(REMEMBERED + 1):
            await worker.take(row(number))
        await worker.take(row(REMEMBERED + 1))
    assert [correction.row for correction in it.crew.corrections] == [REMEMBERED]


async def test_a_row_whose_own_segment_goes_on_after_its_end_is_failed(
    autojump_clock: MockClock,
) -> None:
    async with studio(Answer(), Answer(late=("run-0-0-0",))) as it:
        take = await it.worker().take(row(script="Call me Ishmael. Some years ago."))
    assert (take.result.status, take.result.error_code, take.pcm) == ("failed", "truncated", b"")
    assert (take.file, it.crew.corrections) == (None, [])
    assert it.desk.told == {(0, 0): 16, (0, 1): 15}
    assert (take.result.characters_sent, take.result.cost_usd) == (0, 0.0)


# A budget

PRICE_USD = len(SCRIPT) * 4e-6
LONGER = "Call me Ishmael. Some years ago."  # two segments


def money(it: Studio) -> tuple[float, float]:
    return it.crew.budget.spent_usd, it.crew.budget.reserved_usd


async def test_a_row_that_does_not_fit_is_left_untouched_and_ends_the_run(
    autojump_clock: MockClock,
) -> None:
    async with studio(most_usd=1.5 * PRICE_USD) as it:
        worker = it.worker()
        assert spoken(await worker.take(row(0)))
        assert it.stops == []
        left = await worker.take(row(1))
    assert (left.result.status, left.pcm, left.result.attempts) == ("pending", b"", 0)
    assert (left.result.error_code, left.result.context) == (None, None)
    assert it.stops == ["stopped"]
    assert len(it.provider.scripts) == 1
    assert money(it) == pytest.approx((PRICE_USD, 0.0))


async def test_what_fits_exactly_is_spoken(autojump_clock: MockClock) -> None:
    async with studio(most_usd=3 * PRICE_USD) as it:
        assert all([spoken(await it.worker().take(row(n))) for n in range(3)])
    assert it.stops == []


async def test_all_of_a_row_must_fit_before_any_of_it_is_sent(autojump_clock: MockClock) -> None:
    async with studio(most_usd=1.5 * PRICE_USD) as it:
        take = await it.worker().attempt(row(script=LONGER))
    assert (take, it.provider.scripts, it.stops) == (None, [], ["stopped"])
    assert money(it) == (0.0, 0.0)


async def test_workers_together_keep_within_the_budget(autojump_clock: MockClock) -> None:
    async with studio(most_usd=3.5 * PRICE_USD) as it:
        takes = []

        async def take(number: int) -> None:
            takes.append(await it.worker(number).take(row(number)))

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(take, number)
    statuses = sorted(each.result.status for each in takes)
    assert statuses == ["done"] * 3 + ["pending"] * 5
    assert len(it.provider.scripts) == 3
    assert money(it) == pytest.approx((3 * PRICE_USD, 0.0))


async def test_a_retry_that_does_not_fit_gives_the_row_back_and_tells_what_it_cost(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    with Begun(tmp_path / "begun.jsonl") as begun:
        async with studio(Stalled("x"), most_usd=1.5 * PRICE_USD, begun=begun) as it:
            take = await it.worker().take(row())
        assert (take.result.status, take.result.attempts, take.pcm) == ("pending", 1, b"")
        assert it.stops == ["stopped"]
        assert money(it) == pytest.approx((PRICE_USD, 0.0))
        [left] = begun.unsettled()
        assert (left.characters_sent, left.cost_usd) == pytest.approx((16, PRICE_USD))


async def test_what_was_refused_is_free_to_be_spent(autojump_clock: MockClock) -> None:
    busy: list[Said] = [RateLimited("429"), Closed(NotConnected("refused"))]
    async with studio(Answer(), *busy * 3, most_usd=2 * PRICE_USD) as it:
        for number in range(2):
            assert spoken(await it.worker().take(row(number)))
    assert it.stops == []


async def test_a_row_that_is_dropped_gives_its_money_back(autojump_clock: MockClock) -> None:
    async with studio(Answer(begins_s=100.0, takes_s=100.0), most_usd=1.0) as it:
        with trio.move_on_after(5):
            await it.worker().take(row())
    assert it.crew.budget.reserved_usd == pytest.approx(0.0)


async def test_a_row_that_cannot_be_spoken_gives_its_money_back(autojump_clock: MockClock) -> None:
    async with studio(Closed(VoiceUnavailable("no such voice")), most_usd=1.0) as it:
        await it.worker().take(row())
    assert money(it) == pytest.approx((0.0, 0.0))


# What is noted before it is sent


class Notebook(Begun):
    """Remembers all that was ever noted."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.every: list[Sent] = []

    def note(self, told: Iterable[Sent]) -> None:
        noted = list(told)
        self.every += noted
        super().note(noted)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Notebook]:
    with Notebook(tmp_path / "begun.jsonl") as begun:
        yield begun


def noted(begun: Notebook) -> list[int]:
    return [each.characters_sent for each in begun.every]


async def test_what_is_sent_is_noted_before_it_leaves(
    autojump_clock: MockClock, begun: Notebook, tmp_path: Path
) -> None:
    async with studio(Answer(begins_s=9.0, takes_s=9.0), begun=begun) as it:
        with trio.move_on_after(5):
            await it.worker().take(row(3))
    [left] = notebook.left(tmp_path / "begun.jsonl")
    assert msgspec.structs.replace(left, cost_usd=None) == Sent(
        take="run-3",
        id="ch3",
        path="wav/ch3.wav",
        characters_sent=16,
        provider="together",
        model=KOKORO,
    )
    assert left.cost_usd == pytest.approx(PRICE_USD)


async def test_every_attempt_is_noted_with_those_before_it(
    autojump_clock: MockClock, begun: Notebook
) -> None:
    async with studio(Stalled("x"), Answer(), Stalled("x"), begun=begun) as it:
        take = await it.worker().take(row(script=LONGER))
    # Segments of 16 and 15 characters, each of them sent twice.
    assert noted(begun) == [16, 32, 32 + 15, 32 + 30]
    assert [each.told_characters for each in begun.every] == [0, 0, 32, 32]
    assert it.desk.told == {(0, 0): 32, (0, 1): 30}
    assert take.result.characters_sent == 0


async def test_what_was_refused_is_withdrawn(autojump_clock: MockClock, begun: Notebook) -> None:
    async with studio(Stalled("x"), RateLimited("429"), begun=begun) as it:
        await it.worker().take(row())
    assert noted(begun) == [16, 32, 16, 32]


async def test_where_no_connection_came_about_nothing_is_noted_as_sent(
    autojump_clock: MockClock, begun: Notebook
) -> None:
    nobody = Closed(NotConnected("connection refused"))
    async with studio(nobody, nobody, begun=begun) as it:
        await it.worker().take(row())
    assert [characters for characters in noted(begun) if characters] == [16]
    assert len(it.provider.scripts) == 1


async def test_what_cannot_be_noted_is_not_sent(
    autojump_clock: MockClock, begun: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with studio(begun=begun) as it:
        monkeypatch.setattr(disk, "write_all", full)
        with pytest.raises(OutputBroken, match="no space left"):
            await it.worker().take(row())
        assert it.provider.scripts == []
        assert it.crew.slots.held == 0


async def test_a_model_without_a_price_is_noted_without_a_cost(
    autojump_clock: MockClock, begun: Notebook
) -> None:
    async with studio(begun=begun) as it:
        await it.worker().take(row(voice=Voice("narrator", "minimax/speech", "en")))
    assert [(it.characters_sent, it.cost_usd) for it in begun.every] == [(16, None)]


# A clock that is set


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_meanwhile_changes_no_span(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    clock = time.time
    async with studio(Answer(begins_s=1.0, takes_s=2.0)) as it:
        taken: list[Take] = []

        async def take() -> None:
            taken.append(await it.worker().take(row()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await trio.sleep(0.5)
            monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
    [result] = [each.result for each in taken]
    assert result.started_at is not None
    assert result.finished_at == pytest.approx(result.started_at + 2.1, abs=1e-5)
    assert result.wall_s == 2.1
