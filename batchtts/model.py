"""The values that travel through a run. Frozen, with units in their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

Status = Literal["done", "failed", "pending"]
Container = Literal["wav", "flac"]
Boundary = Literal["word", "clause", "sentence", "paragraph", "heading"]

#: Whether audio is what its script says. ``unverified`` was to be heard, and nobody here
#: understands its language.
Verdict = Literal["pass", "suspect", "fail", "unverified"]
VERDICTS: tuple[Verdict, ...] = ("pass", "unverified", "suspect", "fail")

#: How long a pause may be.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=60)]


@dataclass(frozen=True, slots=True)
class Voice:
    """A provider's name of a speaker.

    Attributes:
        name: As the provider spells it.
        model: The model that has this voice.
        language: BCP 47 tag in lower case, such as ``en-us``.
    """

    name: str
    model: str
    language: str


class Word(msgspec.Struct, frozen=True, array_like=True):
    """One spoken word; seconds from the beginning of what it is a part of."""

    text: str
    start_s: float
    end_s: float


class Cue(msgspec.Struct, frozen=True, array_like=True):
    """One segment of a script in its audio file.

    Attributes:
        start, end: Of the script, in characters; those of all cues join to all of it.
        start_s, end_s: When it is spoken, from the beginning of the file; pauses are between cues.
        voice: Who speaks it, if not the voice of the row.
    """

    start: int
    end: int
    start_s: float
    end_s: float
    voice: str = ""


class Measures(msgspec.Struct, frozen=True, array_like=True):
    """What was measured in audio; of a row of several segments the worst of each.

    Attributes:
        speech_s: From the beginning of audible speech to its end.
        pause_s: Of these, silences that are longer than those within a word.
        lead_s, tail_s: Before and after it.
        gap_s: The longest silence within it.
        level_dbfs: RMS of what is loud in it.
        floor_dbfs: RMS of the quietest parts of the audio.
        end_dbfs: RMS of the last 20 ms.
        clipped: Share of samples that are next to the highest or the lowest one.
        dc: What is constant in it, as a share of full scale.
        dropouts: Holes that begin or end within speech from one sample to the next.
        click: How far its sharpest moment stands out of what is around it, as a ratio; 0 until
            somebody has looked.
    """

    speech_s: float
    pause_s: float
    lead_s: float
    tail_s: float
    gap_s: float
    level_dbfs: float
    floor_dbfs: float
    end_dbfs: float
    clipped: float
    dc: float
    dropouts: int
    click: float = 0.0


class Differences(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What there is to judge of a script and what was heard of it.

    A unit is a phoneme where phonemes are known, and a letter where not. A stretch that
    is missing is counted net: what was heard instead is taken off.

    Attributes:
        words, units: Of the script.
        heard: Words of the transcript.
        wer, cer, per: Errors per word, character and phoneme of the script, both sides
            normalized; None: not known.
        found: Share of the script's units that were heard, from 0 to 1.
        missing_start, missing_middle, missing_end: Units of the longest stretch that is
            missing there.
        added: Units of the longest stretch that is not in the script.
        repeated: Words of the longest passage that was heard once too often.
        audio_s: How long it plays, for whoever knows it.
    """

    words: int
    heard: int
    units: int
    wer: float
    cer: float
    per: float | None
    found: float
    missing_start: float
    missing_middle: float
    missing_end: float
    added: float
    repeated: int
    audio_s: float | None = None

    @property
    def pace(self) -> float | None:
        """Units of the script per second of audio; None where that is not known."""
        return self.units / self.audio_s if self.audio_s else None

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard of words that are there."""
        return self.words > 0 and not self.heard

    def rounded(self) -> Differences:
        """The same to four digits: ledger lines are kept for ever."""
        told = msgspec.structs.asdict(self).items()
        return msgspec.structs.replace(
            self, **{name: round(it, 4) for name, it in told if isinstance(it, float)}
        )


class Heard(msgspec.Struct, frozen=True):
    """What a recognizer made of the audio of a row; *recognizer* is the name of its model."""

    recognizer: str
    transcript: str
    differences: Differences

    @property
    def wer(self) -> float:
        """Errors per word of the script."""
        return self.differences.wer

    @property
    def cer(self) -> float:
        """Errors per character."""
        return self.differences.cer

    @property
    def per(self) -> float | None:
        """Errors per phoneme; None where the phonemes of the language are not known."""
        return self.differences.per


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An attempt that failed; *at* is when, in seconds since the epoch (UTC)."""

    at: float
    code: str
    message: str


class Pauses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of silence between two segments, by what stands between them in the script."""

    word: Seconds = 0.0
    clause: Seconds = 0.15
    sentence: Seconds = 0.35
    paragraph: Seconds = 0.7
    heading: Seconds = 1.2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What is written to disk: mono, 16 bit."""

    container: Container
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What audio is taken for; the reasons are stable words, and none where it is good."""

    verdict: Verdict = "pass"
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row cannot be spoken, known before anything is sent."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One row of the manifest, typed; it yields one audio file.

    Attributes:
        row: Place among the rows that the run considers, from 0.
        id: As the manifest has it; any non-empty text.
        script: What is to be spoken.
        speed: 1.0 is the voice's own pace, 2.0 twice as fast.
        fingerprint: 32 hexadecimal digits over everything that changes the sound.
        script_hash: 16 of them over the script alone.
        refusal: Set if there is no use in asking the provider.
    """

    row: int
    id: str
    script: str
    voice: Voice
    speed: float
    fingerprint: str
    script_hash: str = ""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """What a worker brings back for one utterance.

    Attributes:
        pcm: mono s16le at the provider's rate; empty if the utterance failed.
        result: All but the facts of the file, if that is not written yet.
        file: Where the whole audio is, if it is; durable, and not under its final name.
    """

    utterance: Utterance
    pcm: bytes
    sample_rate_hz: int
    result: Result
    file: str | None = None

    @classmethod
    def without_audio(cls, utterance: Utterance, result: Result) -> Take:
        """There is nothing to be heard."""
        return cls(utterance, b"", 0, result)


@dataclass(frozen=True, slots=True)
class Kept:
    """A row keeps the audio that it has: another take of it is no better.

    Attributes:
        take: What was brought, and is not wanted.
        result: What the row has, and what this take has cost.
    """

    take: Take
    result: Result


@dataclass(frozen=True, slots=True)
class Correction:
    """A row that was recorded as done and is not."""

    row: int
    result: Result


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an utterance: one line of the ledger, one row of the results.

    Times of day are seconds since the epoch (UTC), spans are seconds.
    """

    id: str
    status: Status
    fingerprint: str = ""
    script_hash: str = ""  # of the script alone: 16 hexadecimal digits
    speed: float = 1.0
    same_as: str | None = None  # id of the row that was spoken for this one, too
    path: str | None = None  # below the output directory, with forward slashes
    text_chars: int = 0
    spoken: str | None = None  # what was sent, if that is not the script as it is written
    provider: str = ""
    model: str = ""
    voice: str = ""
    language: str = ""
    sample_rate_hz: int | None = None
    frames: int | None = None  # samples in the file
    bytes: int | None = None  # size of the file
    sha256: str | None = None  # of the file
    mtime_ns: int | None = None  # when the file was written, as the file system has it
    peak_dbfs: float | None = None
    segments: int = 0
    attempts: int = 0  # tries at any of its segments
    started_at: float | None = None
    finished_at: float | None = None
    queue_s: float | None = None  # waiting for a slot in flight
    connect_s: float | None = None  # opening connections
    ttfa_s: float | None = None  # first commit to first payload
    synth_s: float | None = None  # commits to last payloads, all segments
    wall_s: float | None = None  # from taken up to handed to the disk
    characters_sent: int = 0  # of all attempts that the provider may charge for
    cost_usd: float | None = None  # list price of them
    error_code: str | None = None
    error_message: str | None = None
    context: str | None = None  # ties the row to the provider's own log
    failures: tuple[Failure, ...] = ()  # attempts that failed, the latest of them
    refusals: int = 0  # requests that the provider would not have for now
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()  # why it is not ``pass``: stable words
    measures: Measures | None = None
    heard: Heard | None = None
    second: Heard | None = None  # by another recognizer, where the first would have it fail
    mos: float | None = None  # how natural it sounds, 1 to 5, as DistillMOS has it
    takes: int = 1  # times that the whole row was spoken
    kept_take: int = 1  # which of them this is, from 1
    words: tuple[Word, ...] | None = None  # times from the beginning of the file
    cues: tuple[Cue, ...] | None = None  # of a script of several segments
    segment: int | None = None  # the line is about one of several, and the row is as it was
    take_characters: int = 0  # of such lines: what all lines of this take tell of, up to this
    take_usd: float | None = 0.0  # the same
    more_at: int | None = None  # of such lines: address of the line with words and cues

    def taken_back(self, path: str | None) -> Result:
        """The line that this audio counts no more; what was sent is told of as before."""
        return Result(
            id=self.id,
            status="pending",
            path=path,
            context=self.context,
            segment=self.segment,
            take_characters=self.take_characters,
            take_usd=self.take_usd,
        )

    def restated(self, **changes: object) -> Result:
        """The next line about the same audio, with something else in it; it costs nothing."""
        return msgspec.structs.replace(
            self, characters_sent=0, cost_usd=None if self.is_unpriced else 0.0, **changes
        )

    @property
    def audio_s(self) -> float | None:
        """Seconds of audio in the file."""
        if self.frames is None or self.sample_rate_hz is None:
            return None
        return self.frames / self.sample_rate_hz

    @property
    def is_unpriced(self) -> bool:
        """Whether it cost something, and nobody here knows how much."""
        return self.characters_sent > 0 and self.cost_usd is None

    @property
    def rtf(self) -> float | None:
        """Synthesis seconds per second of audio; below 1 is faster than real time."""
        audio_s = self.audio_s
        return self.synth_s / audio_s if self.synth_s is not None and audio_s else None
