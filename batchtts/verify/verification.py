"""Verifying what was spoken: all rows of an output directory, and a verdict on each.

In three passes. What was not heard yet is heard, each row durable by itself, so that
whoever is killed hears nothing twice. Then all rows teach what is usual for their voice.
Then each is judged by that; where one recognizer would have a row fail, a second one is
asked, if there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import trio

from batchtts.errors import UtteranceError
from batchtts.model import Result
from batchtts.notices import notice
from batchtts.run.desk import Desk
from batchtts.run.figures import Figures
from batchtts.verify.corpus import Corpus, Item
from batchtts.verify.judging import Judge
from batchtts.verify.listening import Listener
from batchtts.verify.sound import Stretch, stretches

log = logging.getLogger("batchtts.verify")

#: Lines that become durable together, at most.
GROUP = 64

#: What is done with a row: a line about it, if there is anything to say.
Work = Callable[[Item], Awaitable[Result | None]]


@dataclass(slots=True)
class Verified:
    """What verifying has brought.

    Attributes:
        heard: Rows that were listened to, this time.
        heard_s: Seconds of audio in them.
        unheard: Rows that could not be, or whose audio is not what was recorded.
        failing: Ids of rows that fail → how often they were spoken.
        twins: Ids of rows that fail and share the audio of another one → whose.
    """

    heard: int = 0
    heard_s: float = 0.0
    unheard: int = 0
    failing: dict[str, int] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Verification:
    """One time that the rows of an output directory are verified.

    Attributes:
        figures: Told of each row that was listened to.
    """

    corpus: Corpus
    listener: Listener
    judge: Judge
    figures: Figures
    done: Verified = field(default_factory=Verified)
    _known: dict[str, Result] = field(default_factory=dict)  # by the SHA-256 of shared audio

    async def verify(self) -> Verified:
        """Do it all.

        Raises:
            RunError: nothing can be heard any more, or nothing written.
        """
        await self._pass(_alone(self.corpus.items()), self._listen)
        await self._pass(_twins(self.corpus.items()), self._listen)
        await trio.to_thread.run_sync(self._learn)
        await self._pass(self.corpus.items(), self._judge)
        return self.done

    def _learn(self) -> None:
        for items in self.corpus.items():
            trio.from_thread.check_cancelled()
            for item in items:
                self.judge.learn(item.script, item.line)

    async def _pass(self, batches: Iterable[Sequence[Item]], work: Work) -> None:
        """Do something with every row, several at once, and write down what comes of it."""
        desk = Desk[tuple[int, Result]](GROUP)
        outer, inner = trio.open_memory_channel[Item](0)
        async with trio.open_nursery() as services:
            services.start_soon(desk.keep_record, self._record)
            try:
                async with trio.open_nursery() as workers:
                    workers.start_soon(_feed, iter(batches), outer)
                    for _ in range(self.listener.at_once):
                        workers.start_soon(self._work, inner.clone(), desk, work)
                    inner.close()
            finally:
                desk.close()

    async def _work(
        self,
        items: trio.MemoryReceiveChannel[Item],
        desk: Desk[tuple[int, Result]],
        work: Work,
    ) -> None:
        with items:
            async for item in items:
                began_at = trio.current_time()
                line = await work(item)
                if line is not None:
                    handed = desk.hand_over((item.place, line), trio.current_time() - began_at)
                    await handed.settled.wait()  # a kill costs what is being listened to

    async def _record(self, told: Sequence[tuple[int, Result]]) -> None:
        places, lines = zip(*told, strict=True)
        await trio.to_thread.run_sync(self.corpus.tell, places, lines)

    async def _listen(self, item: Item) -> Result | None:
        try:
            return await self._find_out(item)
        finally:
            self.figures.done += 1
            audio_s = item.line.audio_s or 0.0
            self.figures.finish(item.line.id, audio_s, audio_s)

    async def _find_out(self, item: Item) -> Result | None:
        line = item.line
        if not self.listener.lacks(line):
            self._remember(line)
            return None
        known = self._known.get(f"{line.sha256}")
        if known is not None and known.script_hash == line.script_hash:
            return line.restated(heard=known.heard, second=known.second, mos=known.mos)
        try:
            line = await self.listener.listen(item.script, line, self._parts(line))
        except UtteranceError as error:
            self._miss(item, error)
            return None
        self.done.heard += 1
        self.done.heard_s += line.audio_s or 0.0
        self._remember(line)
        return line.restated()

    def _remember(self, line: Result) -> None:
        if self.corpus.is_shared(line.sha256):
            self._known[f"{line.sha256}"] = line

    async def _judge(self, item: Item) -> Result | None:
        line = item.line
        judgement = self.judge.judge(item.script, line)
        if self.judge.would_fail_for_words(line) and self.listener.lacks_second(line):
            try:
                line = await self.listener.ask_second(item.script, line, self._parts(line))
            except UtteranceError as error:
                self._miss(item, error)
            judgement = self.judge.judge(item.script, line)
        if judgement.verdict == "fail":
            self.done.failing[line.id] = line.takes
            if line.same_as is not None:
                self.done.twins[line.id] = line.same_as
        if (judgement.verdict, judgement.reasons) == (item.line.verdict, item.line.reasons):
            return line.restated() if line is not item.line else None
        return line.restated(verdict=judgement.verdict, reasons=judgement.reasons)

    def _parts(self, line: Result) -> Iterator[Stretch]:
        return stretches(self.corpus.layout.root / f"{line.path}", line.sha256)

    def _miss(self, item: Item, error: UtteranceError) -> None:
        self.done.unheard += 1
        facts = notice("row_unheard", id=item.line.id, code=error.code, error=f"{error}")
        log.warning("%s: %s", item.line.id, error, extra=facts)


async def _feed(batches: Iterator[Sequence[Item]], outer: trio.MemorySendChannel[Item]) -> None:
    with outer:
        while batch := await trio.to_thread.run_sync(next, batches, ()):
            for item in batch:
                await outer.send(item)


def _alone(batches: Iterable[Sequence[Item]]) -> Iterator[list[Item]]:
    """The rows that were spoken; those that share their audio come when it was heard."""
    return filter(None, ([it for it in items if it.line.same_as is None] for items in batches))


def _twins(batches: Iterable[Sequence[Item]]) -> Iterator[list[Item]]:
    return filter(None, ([it for it in items if it.line.same_as is not None] for items in batches))
