"""Moonshine tiny: English, with the model inside its wheel.

The library of that wheel is asked only whether there is any speech in a stretch:
its detector is good, but it remembers what it was given before, and where to cut is
decided here. The words are read from its two networks directly: the library takes
four times as long for them, most of it in threads that wait for each other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from batchtts.server.stretches import Samples, at_rate, audible, cut, framed
from batchtts.wire.embedded import MOONSHINE

_RATE_HZ = 16_000
_LONGEST_S = 15.0  # beyond 30 s it loses its way
_SPEECH = "0.3"  # probability of it, in any 32 ms


class Moonshine:
    """Hears English."""

    name = MOONSHINE

    def __init__(self) -> None:
        import moonshine_voice
        from moonshine_voice.transcriber import Transcriber

        folder = Path(moonshine_voice.get_assets_path()) / "tiny-en"
        options = {
            "identify_speakers": "false",
            "return_audio_data": "false",
            "vad_threshold": _SPEECH,
            "skip_transcription": "true",
        }
        self._gate = Transcriber(folder, moonshine_voice.ModelArch.TINY, options=options)
        self._reader = _Reader(folder)
        self._give_back = _memory_giver()

    def hear(self, pcm: bytes, sample_rate_hz: int, language: str = "") -> Iterator[str]:
        """Yield what is said, stretch by stretch."""
        samples = audible(at_rate(pcm, sample_rate_hz, _RATE_HZ))
        said = False
        for stretch in cut(samples, round(_LONGEST_S * _RATE_HZ)):
            text = self._reader.read(framed(stretch, 1_600, 3_200)) if self._has(stretch) else ""
            if text:
                yield f" {text}" if said else text
                said = True
            self._give_back()

    def _has(self, stretch: Samples) -> bool:
        """Whether there is speech. Silence before it lets the gate forget; it is blind to
        the last 32 ms."""
        heard = framed(stretch, 16_000, 8_000).tolist()
        return bool(self._gate.transcribe_without_streaming(heard, _RATE_HZ).lines)


class _Reader:
    """The two networks, and the words that they are about."""

    _BEGIN, _END = 1, 2
    _SPECIAL = b"<"  # so begin the names of what is not said
    _TOKENS_PER_S = 6.5  # nobody says more; a loop would

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        lean = onnxruntime.SessionOptions()
        lean.intra_op_num_threads = lean.inter_op_num_threads = 1
        here = ["CPUExecutionProvider"]

        def network(name: str) -> Any:  # noqa: ANN401  it has no types
            return onnxruntime.InferenceSession(folder / name, lean, providers=here)

        self._encoder = network("encoder_model.ort")
        self._decoder = network("decoder_model_merged.ort")
        self._words = _read_words((folder / "tokenizer.bin").read_bytes())
        self._past = {
            each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), np.float32)
            for each in self._decoder.get_inputs()
            if each.name.startswith("past_key_values")
        }

    def read(self, samples: Samples) -> str:
        """Return the likeliest words, one after the other."""
        heard = samples[None]
        mask = np.ones(heard.shape, np.int64)
        (states,) = self._encoder.run(None, {"input_values": heard, "attention_mask": mask})
        known = {"encoder_attention_mask": mask, "encoder_hidden_states": states}
        past, last, said = dict(self._past), self._BEGIN, list[int]()
        for step in range(int(len(samples) / _RATE_HZ * self._TOKENS_PER_S) + 1):
            asked = {"input_ids": np.array([[last]]), "use_cache_branch": np.array([step > 0])}
            odds, *present = self._decoder.run(None, known | asked | past)
            last = int(odds[0, -1].argmax())
            if last == self._END:
                break
            said.append(last)
            now = zip(past, present, strict=True)  # what is heard stays the same
            past |= {name: value for name, value in now if step == 0 or ".decoder." in name}
        return self._spell(said)

    def _spell(self, said: list[int]) -> str:
        parts = (self._words[each] for each in said)
        spelled = b"".join(part for part in parts if part[1:] == b"" or part[:1] != self._SPECIAL)
        return spelled.decode(errors="ignore").replace("▁", " ").strip()


def _read_words(table: bytes) -> list[bytes]:
    """Read what each token is, in their order: a length, in one byte or in two, and so many."""
    words, at = list[bytes](), 0
    while at < len(table):
        length, at = table[at], at + 1
        if length >= 128:
            length, at = length - 128 + 128 * table[at], at + 1
        words.append(table[at : at + length])
        at += length
    return words


def _memory_giver() -> Callable[[], object]:
    """What gives memory back to the system: the C library of Linux keeps 8 MB of each stretch."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: trim(0)) if trim else (lambda: None)
