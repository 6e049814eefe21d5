"""Who listens, and what is heard in one row: transcript, errors, how natural it sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio
from msgspec.structs import replace

from batchtts.audio.clicks import sharpest
from batchtts.model import Differences, Heard, Result
from batchtts.verify.sound import Stretch


class Ear(Protocol):
    """A recognizer that can be asked.

    Attributes:
        name: Of its model.
        workers: Recordings that it hears at the same time.
    """

    @property
    def name(self) -> str: ...

    @property
    def workers(self) -> int: ...

    def knows(self, language: str) -> bool:
        """Whether it understands a language, given as a BCP 47 tag."""
        ...

    async def hear(self, pcm: bytes, sample_rate_hz: int, language: str) -> str:
        """Return what is said in mono s16le audio.

        Raises:
            UtteranceError: this cannot be heard.
            RunError: nor can anything else.
        """
        ...


class Critic(Protocol):
    """What says how natural speech sounds."""

    @property
    def workers(self) -> int: ...

    async def judge(self, pcm: bytes, sample_rate_hz: int) -> float:
        """Return 1 (bad) to 5 (excellent); errors are as those of an Ear."""
        ...


#: Script, transcript and language → what differs.
Compare = Callable[[str, str, str], Differences]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who listens.

    Attributes:
        ear: None if nobody is to hear words.
        second: Asked where the first would have a row fail.
        critic: None if nobody wants to know how natural it sounds.
    """

    compare: Compare
    ear: Ear | None = None
    second: Ear | None = None
    critic: Critic | None = None

    @property
    def workers(self) -> int:
        """Rows that are listened to at the same time."""
        return max([1, *(it.workers for it in (self.ear, self.critic) if it is not None)])

    def lacks(self, line: Result) -> bool:
        """Whether there is anything to listen for in the audio of a row."""
        return self.lacks_words(line) or self.lacks_score(line)

    def lacks_words(self, line: Result) -> bool:
        """Whether the first recognizer would say more of it than is known."""
        return self.ear is not None and _is_news(self.ear, line, line.heard)

    def lacks_second(self, line: Result) -> bool:
        """Whether the second one would."""
        return self.second is not None and _is_news(self.second, line, line.second)

    def lacks_score(self, line: Result) -> bool:
        """Whether it was not said yet how natural it sounds."""
        return self.critic is not None and line.mos is None

    async def listen(self, script: str, line: Result, parts: Iterator[Stretch]) -> Result:
        """Return a line with what was lacking.

        Args:
            parts: Of the audio that the line tells of, read in threads.

        Raises:
            UtteranceError: it cannot be heard, or is not what was recorded.
            RunError: nor can anything else.
        """
        ear = self.ear if self.lacks_words(line) else None
        critic = self.critic if self.lacks_score(line) else None
        texts: list[str] = []
        scored: list[tuple[float, float]] = []
        click = 0.0
        while (part := await _next(parts)) is not None:
            click = max(click, await trio.to_thread.run_sync(sharpest, *part))
            if ear is not None:
                texts.append(await ear.hear(*part, line.language))
            if critic is not None:
                scored.append((part.audio_s, await critic.judge(*part)))
        if ear is not None:
            heard = await self._heard(ear, script, texts, line)
            line = replace(line, heard=heard, second=None)
        if line.measures is not None:
            line = replace(line, measures=replace(line.measures, click=click))
        if scored:
            mean = sum(each_s * mos for each_s, mos in scored) / sum(it for it, _ in scored)
            line = replace(line, mos=round(mean, 3))
        return line

    async def ask_second(self, script: str, line: Result, parts: Iterator[Stretch]) -> Result:
        """Return a line with what the second recognizer hears; errors are as those of listen()."""
        assert self.second is not None
        texts = list[str]()
        while (part := await _next(parts)) is not None:
            texts.append(await self.second.hear(*part, line.language))
        return replace(line, second=await self._heard(self.second, script, texts, line))

    async def _heard(self, ear: Ear, script: str, texts: list[str], line: Result) -> Heard:
        transcript = " ".join(filter(None, (it.strip() for it in texts)))
        compare = partial(self.compare, script, transcript, line.language)
        differences = await trio.to_thread.run_sync(compare)
        differences = replace(differences, audio_s=line.audio_s)
        return Heard(ear.name, transcript, differences.rounded())


def _is_news(ear: Ear, line: Result, heard: Heard | None) -> bool:
    if not ear.knows(line.language):
        return False
    return heard is None or heard.recognizer != ear.name


async def _next(parts: Iterator[Stretch]) -> Stretch | None:
    return await trio.to_thread.run_sync(next, parts, None)
