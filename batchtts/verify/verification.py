"""Verifying what was spoken: all rows of an output directory, and a verdict on each.

In three passes. What was not heard yet is heard, each row durable by itself, so that
whoever is killed hears nothing twice. Then all rows teach what is usual for their voice.
Then each is judged by that; where one recognizer would have a row fail, a second one is
asked, if there is one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import trio
from msgspec.structs import replace

from batchtts.errors import UtteranceError
from batchtts.job.plan import Ints
from batchtts.model import Result
from batchtts.notices import notice
from batchtts.run.desk import Desk, Handed
from batchtts.run.figures import Figures
from batchtts.verify.corpus import Corpus, Item
from batchtts.verify.judging import Judge
from batchtts.verify.listening import Listener
from batchtts.verify.sound import Stretch, stretches

log = logging.getLogger("batchtts.verify")

#: Lines that become durable together, at most.
GROUP = 64


class Said(NamedTuple):
    """What there is to say of a row.

    Attributes:
        line: None if it is nothing new.
        was_asked: Whether somebody had to listen, and should not have to again.
    """

    line: Result | None = None
    was_asked: bool = False


#: What is done with a row; and what of that at once, if nobody has to be waited for.
Work = Callable[[Item], Awaitable[Said]]
Glance = Callable[[Item], Said | None]


@dataclass(slots=True)
class Verified:
    """What verifying has brought.

    Attributes:
        heard: Rows that were listened to, this time.
        heard_s: Seconds of audio in them.
        unheard: Rows that could not be, or whose audio is not what was recorded.
        failing: Ids of rows that fail → how often they were spoken.
        twins: Ids of those that share the audio of another one of them → which.
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
    _known: Ints = field(init=False)  # shared audio → place of a row of which it was heard
    _turns: dict[int, trio.Lock] = field(default_factory=dict)  # of shared audio
    _audio: dict[str, int] = field(default_factory=dict)  # of rows that fail: hash() of the SHA-256

    def __post_init__(self) -> None:
        self._known = np.full(self.corpus.shared, -1, np.int64)

    async def verify(self) -> Verified:
        """Do it all.

        Raises:
            RunError: nothing can be heard any more, or nothing written.
        """
        await self._pass(_alone(self.corpus.items()), self._pass_over, self._listen)
        await self._pass(_twins(self.corpus.items()), self._pass_over, self._listen)
        await trio.to_thread.run_sync(self._learn)
        await self._pass(self.corpus.items(), self._judge, self._ask_second)
        self._find_heads()
        return self.done

    def _find_heads(self) -> None:
        """Of rows that fail and have the same audio, let one stand for those that share it.

        That need not be the one that was spoken: it may have changed since, or have had its
        audio taken back and got it again, from one of the others.
        """
        done, heads = self.done, dict[int, str]()
        for row_id in sorted(done.failing, key=lambda it: it in done.twins):
            heads.setdefault(self._audio[row_id], row_id)
        found = {it: heads[self._audio[it]] for it in done.twins}
        done.twins = {it: head for it, head in found.items() if head != it}

    def _learn(self) -> None:
        for items in self.corpus.items():
            trio.from_thread.check_cancelled()
            for item in items:
                self.judge.learn(item.script, item.line)

    async def _pass(self, batches: Iterable[Sequence[Item]], glance: Glance, work: Work) -> None:
        """Do something with every row, several at once, and write down what comes of it."""
        desk = Desk[tuple[int, Result]](GROUP)
        outer, inner = trio.open_memory_channel[Item](0)
        async with trio.open_nursery() as services:
            services.start_soon(desk.keep_record, self._record)
            try:
                async with trio.open_nursery() as workers:
                    workers.start_soon(self._feed, iter(batches), glance, outer, desk)
                    for _ in range(self.listener.workers):
                        workers.start_soon(self._work, inner.clone(), desk, work)
                    inner.close()
            finally:
                desk.close()

    async def _feed(
        self,
        batches: Iterator[Sequence[Item]],
        glance: Glance,
        outer: trio.MemorySendChannel[Item],
        desk: Desk[tuple[int, Result]],
    ) -> None:
        """Do what can be done at once, and give out the rest."""
        handed = deque[Handed[tuple[int, Result]]]()
        with outer:
            while batch := await trio.to_thread.run_sync(next, batches, ()):
                for item in batch:
                    said = glance(item)
                    if said is None:
                        await outer.send(item)
                    elif said.line is not None:
                        handed.append(desk.hand_over((item.place, said.line), 0.0))
                while len(handed) > GROUP:  # who is killed loses nothing that was asked for
                    await handed.popleft().settled.wait()

    async def _work(
        self,
        items: trio.MemoryReceiveChannel[Item],
        desk: Desk[tuple[int, Result]],
        work: Work,
    ) -> None:
        handed = deque[Handed[tuple[int, Result]]]()
        with items:
            async for item in items:
                began_at = trio.current_time()
                async with self._turn(item):
                    said = await work(item)
                    if said.line is None:
                        continue
                    took_s = trio.current_time() - began_at
                    handed.append(desk.hand_over((item.place, said.line), took_s))
                    while len(handed) > (0 if said.was_asked else GROUP):
                        await handed.popleft().settled.wait()  # a kill costs what is asked for

    @asynccontextmanager
    async def _turn(self, item: Item) -> AsyncIterator[None]:
        """Of rows with the same audio one is seen to at a time: what is heard once will do."""
        at = self.corpus.shared_at(item.line.sha256)
        if at < 0:
            yield
            return
        turn = self._turns.setdefault(at, trio.Lock())
        async with turn:
            yield
        if not turn.statistics().tasks_waiting:
            self._turns.pop(at, None)

    async def _record(self, told: Sequence[tuple[int, Result]]) -> None:
        places, lines = zip(*told, strict=True)
        await trio.to_thread.run_sync(self.corpus.tell, places, lines)

    def _pass_over(self, item: Item) -> Said | None:
        if self.listener.lacks(item.line):
            return None
        self._remember(item)
        self._count(item)
        return Said()

    async def _listen(self, item: Item) -> Said:
        try:
            return await self._find_out(item)
        finally:
            self._count(item)

    def _count(self, item: Item) -> None:
        self.figures.done += 1
        audio_s = item.line.audio_s or 0.0
        self.figures.finish(item.line.id, audio_s, audio_s)

    async def _find_out(self, item: Item) -> Said:
        line = item.line
        known = await self._same(item)
        if known is not None and not self.listener.lacks(known):
            return Said(line.restated(heard=known.heard, second=known.second, mos=known.mos))
        try:
            line = await self.listener.listen(item.script, line, self._parts(line))
        except UtteranceError as error:
            self._miss(item, error)
            return Said()
        self.done.heard += 1
        self.done.heard_s += line.audio_s or 0.0
        self._remember(item)
        return Said(line.restated(), was_asked=True)

    def _remember(self, item: Item) -> None:
        at = self.corpus.shared_at(item.line.sha256)
        if at >= 0:
            self._known[at] = item.place

    async def _same(self, item: Item) -> Result | None:
        """What is known of another row with the same script and audio."""
        at = self.corpus.shared_at(item.line.sha256)
        if at < 0 or self._known[at] < 0:
            return None
        known = await trio.to_thread.run_sync(self.corpus.line, int(self._known[at]))
        own = (item.line.sha256, item.line.script_hash, item.line.language)
        is_same = known is not None and (known.sha256, known.script_hash, known.language) == own
        return known if is_same else None

    def _judge(self, item: Item) -> Said | None:
        line = item.line
        if self.judge.would_fail_for_words(line) and self.listener.lacks_second(line):
            return None
        return Said(self._judged(item, line))

    async def _ask_second(self, item: Item) -> Said:
        line = item.line
        known = await self._same(item)
        if known is not None and not self.listener.lacks_second(known):
            return Said(self._judged(item, replace(line, second=known.second)))
        try:
            line = await self.listener.ask_second(item.script, line, self._parts(line))
        except UtteranceError as error:
            self._miss(item, error)
        else:
            self._remember(item)
        return Said(self._judged(item, line), was_asked=True)

    def _judged(self, item: Item, line: Result) -> Result | None:
        judgement = self.judge.judge(item.script, line)
        if judgement.verdict == "fail":
            self.done.failing[line.id] = line.takes
            self._audio[line.id] = hash(line.sha256)
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


def _alone(batches: Iterable[Sequence[Item]]) -> Iterator[list[Item]]:
    """The rows that were spoken; those that share their audio come when it was heard."""
    return filter(None, ([it for it in items if it.line.same_as is None] for items in batches))


def _twins(batches: Iterable[Sequence[Item]]) -> Iterator[list[Item]]:
    return filter(None, ([it for it in items if it.line.same_as is not None] for items in batches))
