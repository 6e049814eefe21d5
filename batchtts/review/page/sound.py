"""The audio of a row as it is on disk now: what it looks like, and how a page plays it."""

from __future__ import annotations

import io
import os
from base64 import b64encode
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import numpy as np
import soundfile
import soxr

from batchtts.record.hashes import sha256_of
from batchtts.review.page.bins import Floats
from batchtts.review.page.drawing import num

WIDE, HIGH = 240, 40  # of a waveform, in units of its own
#: Bytes of audio that a page takes into itself.
EMBEDDED_BYTES = 24_000_000

_COLUMNS = 120
_FRAMES_EACH = 1 << 15  # of a column that are looked at; a long file is looked at in parts
_HASHED_BYTES = 64_000_000  # a larger file is known by its size
_MP3_HZ = 24_000
_MP3_BYTES_PER_S = 4_500  # at most, as measured with speech


@dataclass(frozen=True, slots=True)
class Sound:
    """What can be heard of a row.

    Attributes:
        problem: Why it cannot be heard, or is not what was recorded; or nothing.
        href: Where the page finds it; None if it does not.
        waveform: A path in an area of WIDE by HIGH.
        audio_s: How long it lasts.
        is_embedded: Whether *href* is the audio itself.
    """

    problem: str = ""
    href: str | None = None
    waveform: str = ""
    audio_s: float = 0.0
    is_embedded: bool = False


class Shelf:
    """The audio of an output directory, for a page at some place.

    Args:
        room: Bytes of audio that the page takes into itself; what is beyond is linked.

    Attributes:
        embedded, linked: Rows whose audio is in the page, and beside it.
        embedded_bytes: What the former take, before they are spelled in base64.
    """

    def __init__(self, out: Path, page: Path, room: int = 0) -> None:
        self._out = out
        self._page = page
        self._room = room
        self.embedded = 0
        self.linked = 0
        self.troubled = 0
        self.embedded_bytes = 0

    def sound(self, path: str | None, size_bytes: int | None, sha256: str | None) -> Sound:
        """Look at the audio of a row that is done."""
        if not path:
            return self._missing("no path is recorded")
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
            return self._missing("the recorded path leads out of the output directory")
        file = self._out / path
        try:
            if not file.is_file():
                return self._missing(f"{path} is not there any more")
            problem = _change(file, size_bytes, sha256)
            with soundfile.SoundFile(file) as opened:
                audio_s = opened.frames / opened.samplerate
                waveform = _waveform(opened)
            href, is_embedded = self._play(file, audio_s)
        except OSError as error:
            return self._missing(f"{path} cannot be read: {(error.strerror or f'{error}').lower()}")
        except soundfile.LibsndfileError as error:
            return self._missing(f"{path} is no audio any more: {error.error_string.lower()}")
        self.troubled += bool(problem)
        return Sound(problem, href, waveform, audio_s, is_embedded)

    def _missing(self, why: str) -> Sound:
        self.troubled += 1
        return Sound(why)

    def _play(self, file: Path, audio_s: float) -> tuple[str, bool]:
        room = self._room - self.embedded_bytes
        if audio_s * _MP3_BYTES_PER_S < room:
            data = _as_mp3(file)
            if len(data) <= room:
                self.embedded += 1
                self.embedded_bytes += len(data)
                return f"data:audio/mpeg;base64,{b64encode(data).decode()}", True
        self.linked += 1
        return relative(file, self._page), False


def relative(file: Path, page: Path) -> str:
    """How a page refers to a file, wherever both are moved together."""
    return quote(os.path.relpath(file.resolve(), page.parent.resolve()))


def _change(file: Path, size_bytes: int | None, sha256: str | None) -> str:
    """What is different from what was recorded."""
    found = file.stat().st_size
    if size_bytes is not None and found != size_bytes:
        return f"replaced since: {found:,} bytes, and {size_bytes:,} were recorded"
    if sha256 and found <= _HASHED_BYTES and sha256_of(file) != sha256:
        return "replaced since: as large as what was recorded, and not the same"
    return ""


def _waveform(file: soundfile.SoundFile) -> str:
    """The highest and lowest sample of each column, as one outline."""
    columns = min(_COLUMNS, file.frames)
    if columns < 2:
        return ""
    edges = np.linspace(0, file.frames, columns + 1).astype(int).tolist()
    highs: Floats = np.zeros(columns)
    lows: Floats = np.zeros(columns)
    for column, (begin, end) in enumerate(pairwise(edges)):
        if end - begin > _FRAMES_EACH:
            file.seek(begin)
        block = file.read(min(end - begin, _FRAMES_EACH), dtype="float32", always_2d=True)
        if block.size:
            highs[column], lows[column] = _shown(block.max()), _shown(block.min())
    middle, step = HIGH / 2, WIDE / columns
    xs = [(it + 0.5) * step for it in range(columns)]
    above = [(x, middle - max(it, 0.01) * middle) for x, it in zip(xs, highs, strict=True)]
    below = [(x, middle - min(it, -0.01) * middle) for x, it in zip(xs, lows, strict=True)]
    return "M" + "L".join(f"{num(x)} {num(y)}" for x, y in [*above, *below[::-1]]) + "Z"


def _shown(sample: float) -> float:
    """Quiet sound is drawn larger than it is: noise is to be seen, and clipping too."""
    return float(np.sign(sample) * min(abs(sample), 1.0) ** 0.6)


def _as_mp3(file: Path) -> bytes:
    """The same, small, and in the form that every browser plays."""
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate_hz != _MP3_HZ:
        mono = soxr.resample(mono, rate_hz, _MP3_HZ)
    whole = io.BytesIO()
    with soundfile.SoundFile(
        *(whole, "w", _MP3_HZ, 1),
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=0.7,
        bitrate_mode="VARIABLE",
    ) as encoder:
        encoder.write(mono)
    return whole.getvalue()
