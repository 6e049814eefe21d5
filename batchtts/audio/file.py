"""One audio file written piece by piece, however long: WAV, or FLAC through soundfile.

Holds the same samples as what `audio.write` makes of them in one piece.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from hashlib import file_digest
from math import inf, log10
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import soundfile

from batchtts.audio import riff
from batchtts.audio.pcm import BYTES_PER_SAMPLE, FULL_SCALE, samples_of
from batchtts.audio.write import Resampler
from batchtts.errors import ScriptRejected
from batchtts.model import AudioFormat

#: What the length in a RIFF header can say, less the header.
WAV_BYTES_AT_MOST = 0xFFFFFFFF - 36


#: What is open for reading and writing, and takes all that is written.
File = io.BufferedRandom | io.BytesIO


class Facts(NamedTuple):
    """What a whole file is.

    Attributes:
        frames: Samples in it.
        bytes: Its size.
        sha256: Of the file, 64 hexadecimal digits.
        peak_dbfs: As audio.pcm.peak_dbfs().
    """

    frames: int
    bytes: int
    sha256: str
    peak_dbfs: float


class AudioFile:
    """Writes mono s16le samples into a file; after the block it is whole.

    Args:
        file: Empty, open for reading and writing (``"x+b"``). It stays open, and whoever
            opened it makes it durable, or removes it if the block was left by an error.
        format: What to write.
        from_hz: The rate of the samples that come.

    Raises:
        OSError: from write() and at the end of the block, as the operating system has it.
    """

    def __init__(self, file: File, format: AudioFormat, from_hz: int) -> None:
        self._file = file
        self._container = _CONTAINERS[format.container](file, format.sample_rate_hz)
        self._resampler = Resampler(from_hz, format.sample_rate_hz)
        self._frames = 0
        self._loudest = 0
        self._facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        """What was written; known behind the block."""
        assert self._facts is not None
        return self._facts

    def __enter__(self) -> Self:
        return self

    def write(self, pcm: bytes) -> None:
        """Add samples.

        Raises:
            ScriptRejected: a WAV cannot hold so many.
            BadAudio: *pcm* ends in the middle of a sample.
        """
        self._put(self._resampler.feed(pcm))

    def _put(self, pcm: bytes) -> None:
        samples = samples_of(pcm)
        if samples.size:
            self._loudest = max(self._loudest, int(samples.max()), -int(samples.min()))
            self._frames += samples.size
            self._container.write(pcm)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._container.abandon()
            return
        self._put(self._resampler.end())
        self._container.close()
        self._file.flush()
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        # The header, which comes first, was written last: only now can it be hashed.
        sha256 = file_digest(self._file, "sha256").hexdigest()
        peak_dbfs = 20 * log10(self._loudest / FULL_SCALE) if self._loudest else -inf
        self._facts = Facts(self._frames, size, sha256, peak_dbfs)


class _Container(Protocol):
    """What becomes of samples at the rate of the file; may raise OSError."""

    def __init__(self, file: File, sample_rate_hz: int) -> None: ...

    def write(self, pcm: bytes) -> None:
        """Add samples."""
        ...

    def close(self) -> None:
        """Make it whole."""
        ...

    def abandon(self) -> None:
        """Nobody wants the file."""
        ...


class _Wav:
    """A header with a length that is written in the end, and the samples as they are."""

    def __init__(self, file: File, sample_rate_hz: int) -> None:
        self._file = file
        self._format = riff.Format(riff.PCM, 1, sample_rate_hz, 16)
        self._bytes = 0
        file.write(riff.header(self._format, 0))

    def write(self, pcm: bytes) -> None:
        self._bytes += len(pcm)
        if self._bytes > WAV_BYTES_AT_MOST:
            hours = WAV_BYTES_AT_MOST / BYTES_PER_SAMPLE / self._format.sample_rate_hz / 3600
            raise ScriptRejected(
                f"more audio than a WAV can hold: {hours:.1f} hours"
                f" at {self._format.sample_rate_hz} Hz",
                hint="write FLAC, or make several rows of it",
            )
        self._file.write(pcm)

    def close(self) -> None:
        self._file.seek(0)
        self._file.write(riff.header(self._format, self._bytes))

    def abandon(self) -> None:
        pass


class _Flac:
    """soundfile's, which writes into whatever has the methods of a file."""

    def __init__(self, file: File, sample_rate_hz: int) -> None:
        self._outlet = _Outlet(file)
        self._sound = soundfile.SoundFile(
            self._outlet, "w", sample_rate_hz, 1, "PCM_16", format="FLAC"
        )
        self._outlet.tell_failure()

    def write(self, pcm: bytes) -> None:
        self._sound.buffer_write(pcm, dtype="int16")
        self._outlet.tell_failure()

    def close(self) -> None:
        self._sound.close()
        self._outlet.tell_failure()

    def abandon(self) -> None:
        self._sound.close()


class _Outlet:
    """A file for a library in C, through which no error can pass.

    After a failure it takes everything and keeps nothing.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._failure: OSError | None = None

    def tell_failure(self) -> None:
        """Raise what the library could not."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: bytes) -> int:
        self._try(lambda: self._file.write(data))
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._try(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        return self._try(self._file.tell)

    def _try(self, act: Callable[[], int]) -> int:
        if self._failure is None:
            try:
                return act()
            except OSError as error:
                self._failure = error
        return 0


_CONTAINERS: dict[str, type[_Container]] = {"wav": _Wav, "flac": _Flac}
