"""Try a provider, step by step: reach it, greet it, have one sentence spoken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from batchtts import errors
from batchtts.audio.decode import Hearing
from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.job.speaker import Speaker
from batchtts.model import Word
from batchtts.review.checks import find_fault
from batchtts.run import local
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner, Vocabulary
from batchtts.wire.session import Listener, Session

SENTENCE = "If you can hear this, everything is in order."

#: What to do, where an error does not know better.
_ADVICE: dict[type[errors.BatchttsError], str] = {
    errors.NotConnected: "see whether the provider is up, and whether this machine may reach it",
    errors.RateLimited: "try again later, or ask the provider for higher limits",
    errors.SessionLost: "try again; if it stays so, tell the provider",
    errors.Stalled: "try again; if it stays so, try another voice or tell the provider",
    errors.SynthesisFailed: "try again; if it stays so, try another voice or tell the provider",
    errors.ScriptRejected: "try a voice that speaks English",
    errors.BadAudio: "try another voice or model",
    errors.Truncated: "try another voice or model",
    errors.RemoteProtocolError: "record it with `batchtts run --record DIR`, and report it",
    errors.QuotaExhausted: "see what is left on the account",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What was tried, whether it went well, and the seconds that it took."""

    what: str
    is_ok: bool
    seconds: float


Tell = Callable[[Step], None]


@dataclass(slots=True)
class _Round:
    """Where an examination has come to, and since when."""

    tell: Tell
    at: str = ""
    since: float = field(default_factory=trio.current_time)

    def begin(self, what: str) -> None:
        """Go on to a step."""
        self.at, self.since = what, trio.current_time()

    def passed(self, what: str, seconds: float | None = None) -> None:
        """The step went well; say what was found."""
        self.tell(Step(what, is_ok=True, seconds=self._so_far() if seconds is None else seconds))

    def failed(self) -> None:
        """The step is where it ends."""
        self.tell(Step(self.at, is_ok=False, seconds=self._so_far()))

    def _so_far(self) -> float:
        return trio.current_time() - self.since


@dataclass(slots=True)
class _Watch:
    """A tape of nothing: it tells when the connection is open."""

    steps: _Round
    where: str
    greets: bool

    def opened(self, resource: str) -> None:
        """Told by the line, between the upgrade and the greeting."""
        self.steps.passed(f"connected to {self.where}")
        self.steps.begin("wait for the greeting" if self.greets else "introduce ourselves")

    def asked(self, context: str, script: str) -> None: ...
    def sent(self, message: str) -> None: ...
    def received(self, message: str | bytes) -> None: ...
    def received_binary(self, payload: bytes) -> None: ...
    def waited(self) -> None: ...
    def closed(self, code: int | None, reason: str) -> None: ...
    def ended(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Doctor:
    """Examines one speaker.

    Attributes:
        tell: Told of each step; the one that failed is the last.
    """

    speaker: Speaker
    tell: Tell

    def examine(self) -> None:
        """Go through the steps.

        Raises:
            BatchttsError: the last step told of failed, and why.
        """
        try:
            trio.run(self._examine)
        except* errors.BatchttsError as group:
            failures = list(errors.leaves(group))
        else:
            return
        failure = failures[0]
        failure.hint = failure.hint or _ADVICE.get(type(failure))
        raise failure

    async def _examine(self) -> None:
        steps = _Round(self.tell)
        if self.speaker.url is not None:
            await self._call(steps, self.speaker.url, self.speaker.key)
            return
        steps.begin("start a voice server on this machine")
        try:
            server = await local.start()
        except errors.BatchttsError:
            steps.failed()
            raise
        try:
            steps.passed("started a voice server on this machine")
            await self._call(steps, server.url, server.key)
        finally:
            await server.end()

    async def _call(self, steps: _Round, url: str, key: str | None) -> None:
        provider = self.speaker.provider
        manner = Manner(
            voice=self.speaker.voice,
            word_timestamps=self.speaker.word_timestamps,
            options=self.speaker.options,
        )
        dialect, line = provider.dialect(manner), Line.to(provider, url, key)
        async with trio.open_nursery() as connections:
            try:
                session = await self._connect(steps, line, dialect, connections)
                await self._hear(steps, session, dialect)
            except errors.BatchttsError:
                steps.failed()
                raise
            steps.begin("close")
            session.close()
        steps.passed("closed")

    async def _connect(
        self, steps: _Round, line: Line, dialect: Vocabulary, connections: trio.Nursery
    ) -> Session:
        steps.begin(f"connect to {line.where}")
        watch = _Watch(steps, line.where, dialect.traits.greets)
        session = await line.call(connections, dialect, watch)
        if dialect.traits.greets:
            steps.passed("was greeted")
        return session

    async def _hear(self, steps: _Round, session: Session, dialect: Vocabulary) -> None:
        """Have a sentence spoken and look at it.

        Raises:
            BatchttsError: it was not, or there is something wrong with it.
        """
        hearing, is_first = Hearing(dialect.traits.raw_hz, dialect.traits.raw_encoding), True

        def hear(payload: bytes, item: str | None) -> None:
            nonlocal is_first
            if is_first:
                steps.passed("heard the first audio after the commit")
                steps.at, is_first = "hear a whole sentence", False
            hearing.hear(payload, item)

        steps.begin("hear the first audio after the commit")
        listener = Listener(hear=hear, said=_nothing, late=_ignore, time=hearing.time)
        timeline = await session.speak(SENTENCE, "doctor", listener)
        sound = hearing.sound()
        audio_s, loudest_dbfs = duration_s(sound.pcm, sound.sample_rate_hz), peak_dbfs(sound.pcm)
        fault = find_fault(loudest_dbfs, audio_s, SENTENCE, speed=1.0)
        if fault is not None:
            raise fault
        heard = f"{audio_s:.2f} s, {loudest_dbfs:.1f} dBFS"
        if self.speaker.word_timestamps:
            heard += f", {_count(sound.words)} timed"
        steps.passed(f"heard a whole sentence ({heard})", timeline.synth_s)


def _count(words: Sequence[Word]) -> str:
    return f"{len(words)} word{'' if len(words) == 1 else 's'}"


def _nothing() -> None:
    """One request needs no slot."""


def _ignore(context: str) -> None:
    """There was no earlier script."""
