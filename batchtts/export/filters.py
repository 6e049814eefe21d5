"""What FFmpeg's filters do to speech: measure its loudness, and keep its peaks down.

Only for the process of `batchtts.export.child`: parts of the libraries are under the GPL,
and nothing of them is loaded into the process of a caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.error import BlockingIOError as NotYet
from av.error import EOFError as AtEnd
from av.filter import Graph

from batchtts.export.meter import Floats, Meter, decibels, from_s16
from batchtts.export.orders import Figures

_SILENT_LUFS = -69.9  # what the filter says where it could measure nothing is softer
_TOLD_PER_S = 10
_LIMITER = "attack=5:release=80:level=0:latency=1"


class _Chain:
    """Filters in a row: samples in, frames out."""

    def __init__(self, sample_rate_hz: int, *filters: tuple[str, str]) -> None:
        graph = Graph()
        self._rate_hz = sample_rate_hz
        self._source = graph.add(
            "abuffer",
            f"sample_rate={sample_rate_hz}:sample_fmt=flt:channel_layout=mono"
            f":time_base=1/{sample_rate_hz}",
        )
        last = self._source
        for name, options in filters:
            step = graph.add(name, options)
            last.link_to(step)
            last = step
        self._sink = graph.add("abuffersink")
        last.link_to(self._sink)
        graph.configure()
        self._graph = graph
        self._at = 0

    def add(self, samples: Floats) -> Iterator[av.AudioFrame]:
        """Put a block in, and yield what comes out."""
        self._source.push(frame(samples, self._rate_hz, self._at))
        self._at += len(samples)
        yield from self._ready()

    def end(self) -> Iterator[av.AudioFrame]:
        """Yield what is left."""
        self._source.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[av.AudioFrame]:
        while True:
            try:
                made = self._sink.pull()
            except (NotYet, AtEnd):
                return
            assert isinstance(made, av.AudioFrame)
            yield made


def frame(samples: Floats, sample_rate_hz: int, at: int) -> av.AudioFrame:
    """Samples as FFmpeg has them; *at* counts those before."""
    made = av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
    made.sample_rate = sample_rate_hz
    made.pts = at
    made.time_base = Fraction(1, sample_rate_hz)
    return made


def from_frame(decoded: av.AudioFrame) -> Floats:
    """Samples of one channel from -1 to 1, whatever the frame has them as."""
    samples = decoded.to_ndarray().reshape(-1)
    return from_s16(samples) if samples.dtype == np.int16 else samples.astype(np.float32)


class Loudness:
    """All that is measured in a stretch of audio, block by block."""

    def __init__(self, sample_rate_hz: int, *, finds_lufs: bool, finds_true_peak: bool) -> None:
        peak = ":peak=true" if finds_true_peak else ""
        self._finds_true_peak = finds_true_peak
        self._told_frames = sample_rate_hz // _TOLD_PER_S
        self._meter = Meter(sample_rate_hz)
        filters = ("ebur128", f"metadata=1:framelog=quiet{peak}")
        self._chain = _Chain(sample_rate_hz, filters) if finds_lufs else None
        self._last: av.AudioFrame | None = None

    def add(self, samples: Floats) -> None:
        """Measure a block."""
        if len(samples):
            self._meter.add(samples)
            if self._chain is not None:
                self._keep(self._chain.add(samples))

    def _keep(self, frames: Iterator[av.AudioFrame]) -> None:
        """The last frame tells of all that went before; one that is not full tells nothing."""
        for each in frames:
            if each.samples == self._told_frames:
                self._last = each

    @property
    def powers(self) -> list[float]:
        """As Measured has it."""
        return self._meter.powers

    def end(self, true_peak_dbfs: float | None = None) -> Figures:
        """What was found.

        Args:
            true_peak_dbfs: If that is known from elsewhere.
        """
        if self._chain is not None:
            self._keep(self._chain.end())
        told = self._last.metadata if self._last is not None else {}
        lufs = float(told.get("lavfi.r128.I", "-inf"))
        meter = self._meter
        if self._finds_true_peak:
            found = decibels(float(told.get("lavfi.r128.true_peak", "0")))
            true_peak_dbfs = max(found, meter.peak_dbfs)
        return Figures(
            duration_s=meter.duration_s,
            lufs=lufs if lufs > _SILENT_LUFS else None,
            rms_dbfs=meter.rms_dbfs,
            peak_dbfs=meter.peak_dbfs,
            true_peak_dbfs=true_peak_dbfs,
            noise_floor_dbfs=meter.noise_floor_dbfs,
            head_s=meter.head_s,
            tail_s=meter.tail_s,
        )


def limited(
    blocks: Iterator[Floats],
    frames: int,
    sample_rate_hz: int,
    ceiling_dbfs: float,
    oversampling: int,
) -> Iterator[Floats]:
    """Yield *frames* samples none of which is louder than the ceiling."""
    fine_hz = sample_rate_hz * oversampling
    chain = _Chain(
        sample_rate_hz,
        ("aresample", f"{fine_hz}"),
        ("alimiter", f"limit={10 ** (ceiling_dbfs / 20):.6f}:{_LIMITER}"),
        ("aresample", f"{sample_rate_hz}"),
        ("aformat", "sample_fmts=flt"),
    )
    left = frames
    for made in _through(chain, blocks):
        samples = from_frame(made)[:left]
        left -= len(samples)
        yield samples
    yield np.zeros(left, np.float32)


def _through(chain: _Chain, blocks: Iterator[Floats]) -> Iterator[av.AudioFrame]:
    for block in blocks:
        yield from chain.add(block)
    yield from chain.end()
