"""How natural speech sounds, as a mean opinion score from 1 to 5: DistillMOS of Microsoft.

The model is beside this module, its licence beside that. It hears 7.68 s at a time;
what is shorter is filled up with silence, of what is longer it hears several windows
that overlap, and the score is their mean. It was trained on whole utterances.
"""

from __future__ import annotations

from hashlib import sha256
from importlib import resources
from math import ceil
from typing import Any

import numpy as np

NAME = "distillmos"

_SHA256 = "e10a3e8fdbb7440d9876d0a5166ac891fee8935fd78d1cad1e4306eb4f1b508c"

_RATE_HZ = 16_000
_WINDOW = 122_880  # samples
_HOP = 16_000  # at most so many samples from one window to the next
_AT_ONCE = 4  # windows

_FRAME, _STEP = 320, 160  # samples of a spectrum, and from one to the next
_TAPER = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)).astype(np.float32)
_LOUDNESS = 0.3  # the power by which magnitudes are compressed
_NOTHING = 1e-12

Samples = np.ndarray[Any, np.dtype[np.float32]]


class DistillMos:
    """The model, ready to judge."""

    name = NAME

    def __init__(self) -> None:
        """Load it.

        Raises:
            ImportError: onnxruntime is not installed.
            ValueError: the file is not the one that was tested.
        """
        import onnxruntime

        model = resources.files(__package__).joinpath("distillmos.onnx").read_bytes()
        if sha256(model).hexdigest() != _SHA256:
            raise ValueError("distillmos.onnx is not the file that belongs here")
        lean = onnxruntime.SessionOptions()
        lean.intra_op_num_threads = lean.inter_op_num_threads = 1
        here = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(model, lean, providers=here)

    def judge(self, pcm: bytes, sample_rate_hz: int) -> float:
        """Return the score of an utterance.

        Args:
            pcm: mono s16le, whole samples.
        """
        windows = _windows(_at_its_rate(pcm, sample_rate_hz))
        scores = [
            self._session.run(None, {"spec": spectra(windows[start : start + _AT_ONCE])})[0]
            for start in range(0, len(windows), _AT_ONCE)
        ]
        return float(np.concatenate(scores).mean())


def _at_its_rate(pcm: bytes, sample_rate_hz: int) -> Samples:
    import soxr

    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    if sample_rate_hz == _RATE_HZ or not samples.size:
        return samples
    resampled: Samples = soxr.resample(samples, sample_rate_hz, _RATE_HZ, quality="HQ")
    return resampled


def _windows(samples: Samples) -> Samples:
    """Cut windows at equal distances, the first at the beginning and the last at the end."""
    samples = np.pad(samples, (0, max(_WINDOW - len(samples), 0)))
    room = len(samples) - _WINDOW
    starts = np.linspace(0, room, ceil(room / _HOP) + 1).astype(int)
    windows: Samples = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[starts]
    return windows


def spectra(windows: Samples) -> Samples:
    """Return what the model sees: compressed spectra, real and imaginary.

    Args:
        windows: shape (count, samples).

    Returns:
        shape (count, 2, frequencies, frames).
    """
    loudest = np.abs(windows).max(axis=1, keepdims=True)
    edge = (_FRAME - _STEP) // 2
    padded = np.pad(windows / (loudest + 1e-8), ((0, 0), (edge, edge)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME, axis=1)[:, ::_STEP]
    spectrum = np.fft.rfft(frames * _TAPER).transpose(0, 2, 1)
    magnitude = np.maximum(np.abs(spectrum), _NOTHING)
    compressed = spectrum * magnitude ** (_LOUDNESS - 1)
    parts = np.stack([compressed.real, compressed.imag], axis=1)
    seen: Samples = parts.astype(np.float32)
    return seen
