"""What stands for a script and for how it is to sound: hashes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from batchtts.job.plan import Ints
from batchtts.model import AudioFormat, Voice

if TYPE_CHECKING:
    from _hashlib import HASH


class Fingerprints:
    """Hashes everything that changes the sound of a script."""

    def __init__(
        self, provider: str, format: AudioFormat, options: Mapping[str, object] = {}
    ) -> None:
        told = f"{json.dumps(options, sort_keys=True)}\0" if options else ""
        self._common = f"{provider}\0{format.container}\0{format.sample_rate_hz}\0{told}"
        self._sound = f"{provider}\0{told}"
        self._begun: dict[tuple[Voice, float], HASH] = {}

    def of(self, script: str, voice: Voice, speed: float) -> str:
        """Return 32 hexadecimal digits."""
        whole = self._begin(voice, speed).copy()
        whole.update(script.encode())
        return str(whole.hexdigest()[:32])

    def segment(self, text: str, voice: Voice, speed: float) -> str:
        """Stands for what a provider is asked for, whatever file it becomes a part of."""
        return f"{self._sound}{_how(voice, speed)}{text}"

    def shorts(self, scripts: Sequence[bytes | None], voice: Voice, speed: float) -> Ints:
        """Return `short()` of each fingerprint; the scripts are UTF-8, None is an empty one."""
        copy, found = self._begin(voice, speed).copy, bytearray()
        for script in scripts:
            whole = copy()
            if script:
                whole.update(script)
            found += whole.digest()[:8]
        return np.frombuffer(found, dtype=">i8").astype(np.int64)

    def _begin(self, voice: Voice, speed: float) -> HASH:
        begun = self._begun.get((voice, speed))
        if begun is None:
            begun = sha256(f"{self._common}{_how(voice, speed)}".encode())
            self._begun[voice, speed] = begun
        return begun


def _how(voice: Voice, speed: float) -> str:
    return f"{voice.model}\0{voice.name}\0{voice.language}\0{speed:.6g}\0"


def hash_script(script: str) -> str:
    """Return 16 hexadecimal digits that stand for a script."""
    return sha256(script.encode()).hexdigest()[:16]
