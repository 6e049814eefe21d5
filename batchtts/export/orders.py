"""What a child that encodes is told, and what it answers.

    to the child    one letter, u32 length, then
                      O   an order, in MessagePack
                      P   a piece of the audio it is about: mono s16le
                      E   nothing: the audio is complete
    from the child  u32 length, then an answer in MessagePack

Lengths are little-endian and count what follows them. To each order there is one answer.
Audio that ends without an E was cut off, and nothing is made of it.
"""

from __future__ import annotations

import struct

import msgspec

LENGTH = struct.Struct("<I")
HEAD = struct.Struct("<cI")
ORDER, PIECE, END = b"O", b"P", b"E"

#: Between the peaks that are told apart in Measured.powers.
PEAK_STEP_DB = 0.5

#: Nothing is said to be softer, in dB; digital silence is as loud.
SILENCE_DB = -120.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured in a stretch of audio.

    Attributes:
        lufs: Integrated loudness as EBU R128 has it; None if it is too short or too soft,
            or that was not asked for.
        rms_dbfs: Of all samples, silence among them.
        true_peak_dbfs: Between the samples, too; None if that was not asked for.
        noise_floor_dbfs: Level of the softest half second.
        head_s, tail_s: How long nothing is heard at the beginning and at the end.
    """

    duration_s: float
    lufs: float | None
    rms_dbfs: float
    peak_dbfs: float
    true_peak_dbfs: float | None
    noise_floor_dbfs: float
    head_s: float
    tail_s: float


class Picture(msgspec.Struct, frozen=True):
    """A cover."""

    data: bytes
    media_type: str


class Part(msgspec.Struct, frozen=True):
    """A chapter in a file to be.

    Attributes:
        frames: How many of the samples are its own.
        ceiling_dbfs: No peak may be above; None if none is.
    """

    title: str
    frames: int
    gain_db: float
    ceiling_dbfs: float | None = None


class Step(msgspec.Struct, frozen=True):
    """From a sample on, audio is made so much louder."""

    at: int
    gain_db: float


class Check(msgspec.Struct, frozen=True, tag="check"):
    """Look whether a file could be made so; no audio follows."""

    format: str
    cover: Picture | None = None


class Measure(msgspec.Struct, frozen=True, tag="measure"):
    """Measure the audio that follows, with these steps."""

    sample_rate_hz: int
    steps: list[Step] = []
    finds_loudness: bool = True


class Encode(msgspec.Struct, frozen=True, tag="encode", kw_only=True):
    """Write the audio that follows to a file.

    Attributes:
        bit_rate: Bits a second; 0 where nothing is lost.
        parts: Of the audio, in order; they are the chapters of the file.
        language: BCP 47 tag, or nothing.
        oversampling: How many times as fine peaks are looked for, so that those between
            the samples count, too; 1 if they do not.
        steps: Before all else.
    """

    path: str
    format: str
    sample_rate_hz: int
    bit_rate: int
    tags: dict[str, str]
    parts: list[Part]
    language: str = ""
    cover: Picture | None = None
    oversampling: int = 4
    steps: list[Step] = []


class Inspect(msgspec.Struct, frozen=True, tag="inspect"):
    """Read a file back, and measure it.

    Attributes:
        ends_s: Where the stretches end that are measured apart; the last one is the end.
        finds_loudness: Whether loudness and true peaks are wanted, which take time.
    """

    path: str
    ends_s: list[float]
    finds_loudness: bool = True


class Marked(msgspec.Struct, frozen=True):
    """A chapter as a file has it."""

    title: str
    start_s: float
    end_s: float


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It is as it was asked for."""


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    """What was measured: each stretch, and all of it.

    Attributes:
        powers: Of what has its peaks at full scale, PEAK_STEP_DB below that, and so on.
    """

    parts: list[Figures]
    whole: Figures
    chapters: list[Marked] = []
    powers: list[float] = []


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It cannot be done.

    Attributes:
        errno: What the operating system said; 0 if it did not.
        what: What is wrong: the cover, or anything else.
    """

    message: str
    errno: int = 0
    what: str = ""


Order = Check | Measure | Encode | Inspect
Answer = Done | Measured | Refused


def spell_order(order: Order) -> bytes:
    """An order as it goes to the child."""
    body = msgspec.msgpack.encode(order)
    return HEAD.pack(ORDER, len(body)) + body


def read_order(body: bytes) -> Order:
    """The order again."""
    order: Order = msgspec.msgpack.decode(body, type=Order)
    return order


def spell_answer(answer: Answer) -> bytes:
    """An answer as it comes from the child."""
    body = msgspec.msgpack.encode(answer)
    return LENGTH.pack(len(body)) + body


def read_answer(body: bytes) -> Answer:
    """The answer again."""
    answer: Answer = msgspec.msgpack.decode(body, type=Answer)
    return answer
