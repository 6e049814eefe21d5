"""Try a provider, step by step: reach it, greet it, have one sentence spoken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from batchtts import errors
from batchtts.audio.decode import Hearing
from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.job.settings import Speaker
from batchtts.review.checks import find_fault
from batchtts.run import local
from batchtts.wire.line import Line
from batchtts.wire.provider import Manner
from batchtts.wire.session import Listener

SENTENCE = "If you can hear this, everything is in order."

Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Doctor:
    """Examines one speaker.

    Attributes:
        tell: Told of each step that went well, with its seconds.
    """

    speaker: Speaker
    tell: Tell

    def examine(self) -> None:
        """Go through the steps.

        Raises:
            BatchttsError: the step after the last one told of failed, and why.
        """
        try:
            trio.run(self._examine)
        except* errors.BatchttsError as group:
            failures = list(errors.leaves(group))
        else:
            return
        raise failures[0]

    async def _examine(self) -> None:
        if self.speaker.url is not None:
            await self._call(self.speaker.url, self.speaker.key)
            return
        began_at = trio.current_time()
        server = await local.start()
        try:
            self.tell("started a voice server on this machine", trio.current_time() - began_at)
            await self._call(server.url, server.key)
        finally:
            await server.end()

    async def _call(self, url: str, key: str | None) -> None:
        provider = self.speaker.provider
        manner = Manner(voice=self.speaker.voice, options=self.speaker.options)
        dialect = provider.dialect(manner)
        line = Line.to(provider, url, key)
        hearing = Hearing(dialect.traits.raw_hz, dialect.traits.raw_encoding)
        async with trio.open_nursery() as connections:
            began_at = trio.current_time()
            session = await line.call(connections, dialect)
            step = "connected and was greeted" if dialect.traits.greets else "connected"
            self.tell(step, trio.current_time() - began_at)
            listener = Listener(hear=hearing.hear, said=_nothing, late=_ignore, time=hearing.time)
            timeline = await session.speak(SENTENCE, "doctor", listener)
            self.tell("heard the first audio after the commit", timeline.ttfa_s)
            sound = hearing.sound()
            rate_hz = sound.sample_rate_hz
            fault = find_fault(sound.pcm, SENTENCE, speed=1.0, sample_rate_hz=rate_hz)
            if fault is not None:
                raise fault
            heard = f"{duration_s(sound.pcm, rate_hz):.2f} s, {peak_dbfs(sound.pcm):.1f} dBFS"
            self.tell(f"heard a whole sentence ({heard})", timeline.synth_s)
            session.close()


def _nothing() -> None:
    """One request needs no slot."""


def _ignore(context: str) -> None:
    """There was no earlier script."""
