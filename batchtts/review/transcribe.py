"""Recordings become text: through a recognizer, on a connection each, with retries.

The recognizer of this machine is reached as any other one is: its server is
started for as long as it is needed, and called over a socket.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import inf
from pathlib import Path

import numpy as np
import soundfile
import trio

from batchtts import errors
from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.audio.write import resample
from batchtts.job.hearer import Hearer, Wish, choose_hearer
from batchtts.run import local
from batchtts.run.pace import Breaker
from batchtts.run.retry import RetryPolicy
from batchtts.wire.dialogue import Patience
from batchtts.wire.line import Line
from batchtts.wire.session import CLOSE_S

#: A recognizer that needs longer than this share of what it hears has stalled.
SLOWEST = 0.25


@dataclass(frozen=True, slots=True)
class Recording:
    """Something to listen to.

    Attributes:
        pcm: mono s16le, whole samples.
    """

    pcm: bytes
    sample_rate_hz: int

    @property
    def audio_s(self) -> float:
        """How long it plays, in seconds."""
        return duration_s(self.pcm, self.sample_rate_hz)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was heard in a file, or why nothing could be.

    Attributes:
        text: Empty if there are no words in it.
        wall_s: Seconds that it took, with all attempts.
        error: Set if it failed; then there is no text.
    """

    path: Path
    text: str = ""
    audio_s: float = 0.0
    wall_s: float = 0.0
    error: errors.UtteranceError | None = None


def find_hearer(wish: Wish, environment: Mapping[str, str]) -> Hearer:
    """Decide who hears, knowing what is installed here.

    Raises:
        SettingsError: nobody can, as it is wished for.
    """
    return choose_hearer(wish, environment, has_ear=find_spec("moonshine_voice") is not None)


def read(path: Path) -> Recording:
    """Read a sound file of any kind that libsndfile knows; several channels become one.

    Raises:
        BadAudio: there is none, or no sound in it.
    """
    try:
        with path.open("rb") as file:
            samples, rate_hz = soundfile.read(file, dtype="int16", always_2d=True)
    except OSError as error:
        raise errors.BadAudio(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except soundfile.LibsndfileError:
        raise errors.BadAudio(
            f"{path}: not a sound file", hint="WAV, FLAC, Ogg and MP3 can be read"
        ) from None
    if not len(samples):
        raise errors.BadAudio(f"{path}: there is no audio in it")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    return Recording(np.asarray(mono).astype("<i2").tobytes(), rate_hz)


class Transcriber:
    """Hears recordings, some at a time; make one with `listening`."""

    def __init__(
        self,
        hearer: Hearer,
        line: Line,
        connections: trio.Nursery,
        policy: RetryPolicy,
        outage_s: float,
    ) -> None:
        """Hear over a line.

        Args:
            connections: Where connections live.
            outage_s: How long nothing may succeed before nobody is asked any more.
        """
        self._hearer = hearer
        self._line = line
        self._connections = connections
        self._policy = policy
        self._sessions = trio.CapacityLimiter(hearer.recognizer.sessions)
        self._breaker = Breaker(failures=4 * hearer.recognizer.sessions, patience_s=outage_s)

    async def hear(self, recording: Recording) -> str:
        """Return what is said in a recording; nothing, if nothing is.

        Raises:
            UtteranceError: this recording cannot be heard.
            RunError: nor can any other.
        """
        if peak_dbfs(recording.pcm) == -inf:
            return ""  # whoever is asked about silence may make words of it
        rate_hz = self._hearer.recognizer.dialect(self._hearer.attention).sample_rate_hz
        pcm = await trio.to_thread.run_sync(
            resample, recording.pcm, recording.sample_rate_hz, rate_hz
        )
        async with self._sessions:
            async for attempt in self._policy.controller(_nothing):
                with attempt:
                    return await self._attempt(pcm, recording.audio_s)
        raise AssertionError("the controller neither returned nor raised")

    async def hear_file(self, path: Path) -> Transcript:
        """Return what is said in a file, or why that cannot be told.

        Raises:
            RunError: nor can it be for any other file.
        """
        began_at = trio.current_time()
        try:
            recording = await trio.to_thread.run_sync(read, path)
        except errors.BadAudio as error:
            return Transcript(path=path, error=error)
        transcript = Transcript(path=path, audio_s=recording.audio_s)
        try:
            text = await self.hear(recording)
        except errors.UtteranceError as error:
            named = type(error)(f"{path}: {error}", hint=error.hint)
            return replace(transcript, error=named, wall_s=trio.current_time() - began_at)
        return replace(transcript, text=text, wall_s=trio.current_time() - began_at)

    async def _attempt(self, pcm: bytes, audio_s: float) -> str:
        began_at = trio.current_time()
        try:
            text = await self._try(pcm, audio_s)
        except errors.VoiceUnavailable as error:
            raise errors.ProviderDown(f"{self._line.where}: {error}", hint=error.hint) from error
        except errors.AttemptError as error:
            self._count(error, began_at)
            raise
        self._breaker.succeeded()
        return text

    async def _try(self, pcm: bytes, audio_s: float) -> str:
        """Be heard once, on a connection of its own.

        What comes late, after the quiet window, can then be in no other transcript.
        """
        dialect = self._hearer.recognizer.dialect(self._hearer.attention)
        usual, more_s = Patience(), SLOWEST * audio_s
        patience = Patience(
            first_audio_s=usual.first_audio_s + more_s, next_audio_s=usual.next_audio_s + more_s
        )
        line = replace(self._line, patience=patience)
        session = await line.call(self._connections, dialect)
        try:
            return await session.transcribe(dialect.listen(pcm, "recording"), "recording")
        finally:
            session.close()

    def _count(self, error: errors.AttemptError, began_at: float) -> None:
        """An attempt failed.

        Raises:
            ProviderDown: it was one too many.
        """
        now = trio.current_time()
        is_busy = isinstance(error, errors.RateLimited)
        is_unreachable = isinstance(error, errors.NotConnected)
        if self._breaker.failed(began_at, now, unreachable=is_unreachable, busy=is_busy):
            lasting_s = self._breaker.lasting_s(now)
            raise errors.ProviderDown(f"{error}; nothing else for {lasting_s:.0f} s") from error


@contextlib.asynccontextmanager
async def listening(
    hearer: Hearer, policy: RetryPolicy | None = None, *, outage_s: float = 120.0
) -> AsyncIterator[Transcriber]:
    """Be ready to hear, with a server on this machine if it takes one.

    Args:
        outage_s: How long nothing may succeed before nobody is asked any more.

    Raises:
        RunError: it did not start, or has ended; in an exception group.
    """
    policy = policy or RetryPolicy()
    if hearer.url is not None:
        line = _line(hearer, hearer.url, hearer.key)
        async with _calling(hearer, line, policy, outage_s) as transcriber:
            yield transcriber
        return
    server = await local.start()
    try:
        async with trio.open_nursery() as watched:
            watched.start_soon(server.watch)
            line = _line(hearer, server.url, server.key)
            async with _calling(hearer, line, policy, outage_s) as transcriber:
                yield transcriber
            watched.cancel_scope.cancel()
    finally:
        await server.end()


def _line(hearer: Hearer, url: str, key: str | None) -> Line:
    key_file = None if hearer.key_file is None else f"{hearer.key_file}"
    return Line.to(hearer.recognizer, url, key, key_file=key_file)


@contextlib.asynccontextmanager
async def _calling(
    hearer: Hearer, line: Line, policy: RetryPolicy, outage_s: float
) -> AsyncIterator[Transcriber]:
    async with trio.open_nursery() as connections:
        yield Transcriber(hearer, line, connections, policy, outage_s)
        connections.cancel_scope.deadline = trio.current_time() + CLOSE_S


def transcribe(hearer: Hearer, paths: Iterable[Path], tell: Callable[[Transcript], None]) -> None:
    """Hear files; *tell* is given what came of each, in their order, as soon as it is known.

    Raises:
        RunError: no more of them can be heard.
    """
    try:
        trio.run(_transcribe, hearer, paths, tell)
    except BaseExceptionGroup as group:
        found = errors.leaves(group)
        raise next((e for e in found if isinstance(e, KeyboardInterrupt)), found[0]) from None


async def _transcribe(
    hearer: Hearer, paths: Iterable[Path], tell: Callable[[Transcript], None]
) -> None:
    waiting, done, told = enumerate(paths), dict[int, Transcript](), 0

    async def work(transcriber: Transcriber) -> None:
        nonlocal told
        for number, path in waiting:  # each worker takes the next one
            done[number] = await transcriber.hear_file(path)
            while told in done:
                tell(done.pop(told))
                told += 1

    async with listening(hearer) as transcriber, trio.open_nursery() as workers:
        for _ in range(hearer.recognizer.sessions):
            workers.start_soon(work, transcriber)


def _nothing(error: errors.AttemptError, wait_s: float) -> None:
    """What is said of an attempt that another one follows."""
