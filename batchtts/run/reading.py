"""A row while it is spoken: its segments, who is at work on them, what became of each.

A row of one segment is brought by the worker that spoke it. Those of a longer one are
spoken by any workers, each piece is durable on its own, and whoever brings the last one
makes the row's audio of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf

from batchtts.audio.measure import worst
from batchtts.errors import UtteranceError
from batchtts.job.prints import Fingerprints
from batchtts.job.wording import Said
from batchtts.model import Result, Utterance, Verdict, Voice
from batchtts.record.pieces import Facts, Pieces, folder_of, names_of
from batchtts.run.budget import Spend
from batchtts.run.notes import Notes
from batchtts.text.segment import Piece as Segment
from batchtts.text.segment import split

Cost = Callable[[str, int], float | None]  # of so many characters by a model, in USD


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of a row that somebody is to speak; none is left in a row that has all."""

    reading: Reading
    number: int

    @property
    def text(self) -> str:
        """What is to be spoken."""
        return self.reading.pieces[self.number].text

    @property
    def script_chars(self) -> int:
        """How much of the script it is."""
        piece = self.reading.pieces[self.number]
        return piece.end - piece.start

    @property
    def voice(self) -> Voice:
        """Who is to speak it."""
        return self.reading.voices[self.number]

    @property
    def is_spoiled(self) -> bool:
        """Whether it was taken for whole and is not."""
        return self.number in self.reading.spoiled


@dataclass(slots=True)
class Reading:
    """A row and how far it has come.

    Attributes:
        pieces: Its segments.
        voices: Of each of them.
        facts: Of the segments that are on the disk.
        sent: In this run, or about to be.
        told: As much of that as the ledger tells of, segment by segment.
        left_chars: Of the segments that are not on the disk.
        in_flight: Segments that somebody is at work on.
        prepaid_usd: Set aside for segments that nobody has begun.
        failure: Why the row has failed, if it has.
        is_left: Whether the rest is not to be spoken in this run.
        is_in_order: Whether it is not to be begun before those that come before it.
        spoiled: Segments that were taken for whole and are not.
        result: What became of the row, once that is known.
        spoken: What is sent, if that is not the script as it is written.
    """

    utterance: Utterance
    pieces: Sequence[Segment]
    voices: Sequence[Voice]
    folder: str = ""
    names: Sequence[str] = ()
    facts: dict[int, Facts] = field(default_factory=dict)
    sent: Spend = field(default_factory=Spend)
    told: Spend = field(default_factory=Spend)
    left_chars: int = 0
    in_flight: int = 0
    prepaid_usd: float | None = None
    failure: UtteranceError | None = None
    is_left: bool = False
    is_in_order: bool = False
    spoiled: set[int] = field(default_factory=set)
    result: Result | None = None
    spoken: str | None = None
    _noted: dict[int, int] = field(default_factory=dict)
    _begun: Notes | None = None
    _failed: Notes | None = None

    @classmethod
    def of(
        cls,
        utterance: Utterance,
        said: Said,
        limit: int,
        shelf: Pieces,
        prints: Fingerprints,
        *,
        word_timestamps: bool = False,
        take: str = "",
    ) -> Reading:
        """Begin to read a row, or go on where an earlier run has ended.

        Args:
            limit: Characters of a segment.
            prints: By which segments of earlier runs are known again.
            word_timestamps: Whether what was spoken without them is to be spoken again.
            take: Of a row that has audio: only segments of the same take are of any use.
        """
        script, voice, spoken = utterance.script, utterance.voice, said.rendering.spoken
        if len(spoken) <= limit and not said.turns:
            alone = [Segment(0, len(script), spoken, "paragraph", None)]
            written = None if spoken == script else spoken
            return cls(utterance, alone, [voice], left_chars=len(spoken), spoken=written)
        pieces = split(said.rendering, limit, voice.language, said.turns)
        voices = [said.cast[it.speaker] if it.speaker is not None else voice for it in pieces]
        reading = cls(utterance, pieces, voices)
        if spoken != script or said.turns:
            reading.spoken = " ".join(piece.text for piece in pieces)
        if len(pieces) > 1:
            texts = (f"{piece.text}{said.readings}{take}" for piece in pieces)
            asked = zip(texts, voices, strict=True)
            names = names_of([prints.segment(*each, utterance.speed) for each in asked])
            reading._find(shelf, names, word_timestamps=word_timestamps)
        else:
            reading.left_chars = len(pieces[0].text)
        return reading

    def _find(self, shelf: Pieces, names: Sequence[str], *, word_timestamps: bool) -> None:
        """Look for the segments that were spoken in an earlier run."""
        self.folder, self.names = folder_of(self.utterance.id), names
        found = enumerate(shelf.find(self.folder, self.names))
        self.facts = {
            at: facts
            for at, facts in found
            if facts is not None and (facts.is_timed or not word_timestamps)
        }
        missing = (it.text for at, it in enumerate(self.pieces) if at not in self.facts)
        self.left_chars = sum(map(len, missing))

    def parts(self) -> Iterator[Part]:
        """Give out what is to be spoken, as long as there is use in it."""
        missing = [number for number in range(len(self.pieces)) if number not in self.facts]
        for number in missing or [len(self.pieces) - 1]:
            if self.is_over:
                return
            self.in_flight += 1
            yield Part(self, number)

    @property
    def size(self) -> int:
        """Rows with more are begun first; long ones are all alike, as their segments are."""
        return 0 if self.is_in_order else len(self.pieces[0].text)

    @property
    def is_over(self) -> bool:
        """Whether no more of it is to be begun."""
        return self.failure is not None or self.is_left

    @property
    def is_alone(self) -> bool:
        """Whether it is one segment, whose audio is that of the row."""
        return len(self.pieces) == 1

    @property
    def is_whole(self) -> bool:
        """Whether all segments are on the disk."""
        return len(self.facts) == len(self.pieces)

    @property
    def urgency(self) -> int:
        """Characters to send of a row that was begun; 0 for others."""
        return self.left_chars if self._noted or self.facts else 0

    @property
    def voice(self) -> Voice:
        """Who speaks the row: its own voice, unless another one says all of it."""
        return self.voices[0] if len(set(self.voices)) == 1 else self.utterance.voice

    def other_voice(self, number: int) -> str:
        """The name of the voice of a segment, if that is not the row's."""
        name = self.voices[number].name
        return name if name != self.voice.name else ""

    def note(self, number: int, characters: int, cost: Cost) -> None:
        """So much of a segment will have been sent in this run, all attempts together."""
        more = characters - self._noted.get(number, 0)
        self._noted[number] = characters
        self.sent = self.sent.plus(more, cost(self.voices[number].model, more))

    def tell(self, number: int, cost: Cost) -> Spend:
        """The ledger is about to tell what was spent on a segment; return how much that is."""
        characters = self._noted[number]
        cost_usd = cost(self.voices[number].model, characters)
        self.told = self.told.plus(characters, cost_usd)
        return Spend().plus(characters, cost_usd)

    def keep(self, number: int, facts: Facts) -> None:
        """A segment is on the disk."""
        self.facts[number] = facts
        self.left_chars -= len(self.pieces[number].text)

    def to_pay(self, cost: Cost) -> float:
        """What it costs to speak the segments that are missing, as far as prices are known."""
        missing = ((at, it.text) for at, it in enumerate(self.pieces) if at not in self.facts)
        return sum(cost(self.voices[at].model, len(text)) or 0.0 for at, text in missing)

    def fail(self, error: UtteranceError, notes: Notes | None = None) -> None:
        """The row will not be whole in this run; the first one to say so is told of."""
        if self.failure is None:
            self.failure, self._failed = error, notes

    def spoil(self, number: int, error: UtteranceError, shelf: Pieces) -> None:
        """A segment that was taken for whole is not."""
        self.spoiled.add(number)
        if self.facts.pop(number, None) is not None:
            self.left_chars += len(self.pieces[number].text)
        if self.names:
            shelf.remove(self.folder, self.names[number])
        self.fail(error)

    def begin(self, notes: Notes) -> None:
        """Somebody is at work on a segment; what these notes tell first is told of the row."""
        self._begun = self._begun or notes

    def context(self, take: str, notes: Notes) -> str | None:
        """The last one of this take, if it has sent anything: that settles what was sent."""
        own = [context for context in notes.contexts if context.startswith(f"{take}-")]
        if not own and self.sent.characters:
            return take
        return next(reversed(own or notes.contexts), None)

    def notes(self) -> Notes:
        """What is to be remembered of the row: of its segments, and of one that failed."""
        told = sorted(self.facts.items())
        notes = self._failed or Notes()
        if self._begun is not None:
            notes.started_at, notes.began_at = self._begun.started_at, self._begun.began_at
        if not told:
            return notes
        facts = [each for _, each in told]
        first = facts[0]
        notes.attempts += sum(each.attempts for each in facts)
        notes.queue_s += sum(each.queue_s for each in facts)
        notes.connect_s += sum(each.connect_s for each in facts)
        notes.synth_s += sum(each.synth_s for each in facts)
        notes.ttfa_s = first.ttfa_s if told[0][0] == 0 else notes.ttfa_s
        notes.peak_dbfs = max([-inf, *(each.peak_dbfs for each in facts)])
        notes.failures = sorted(
            [*chain.from_iterable(each.failures for each in facts), *notes.failures],
            key=lambda it: it.at,
        )
        notes.refused += sum(each.refused for each in facts)
        notes.verdict = _worst_verdict([each.verdict for each in facts])
        notes.reasons = tuple(dict.fromkeys(chain.from_iterable(each.reasons for each in facts)))
        measures = [each.measures for each in facts if each.measures is not None]
        notes.measures = worst(measures) if measures else None
        notes.contexts = [*(each.context for each in facts), *notes.contexts]
        return notes


def _worst_verdict(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    """Of the segments of a row; None if it would pass and one of them was never judged."""
    for verdict in ("fail", "suspect", None):
        if verdict in verdicts:
            return verdict
    return "pass"
