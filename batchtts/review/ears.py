"""Recognizers of this machine, called directly: a few processes, no server and no socket.

    async with ears("moonshine-tiny-en") as listener:
        text = await listener.hear(pcm, 24_000, "en-us")

As many recordings are heard at a time as there are processes; others wait in line.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from batchtts import errors
from batchtts.hints import meant
from batchtts.review.children import processors, ready, twice
from batchtts.server import whisper
from batchtts.server.ear import MODULES
from batchtts.server.pool import Pool
from batchtts.wire.embedded import FASTER_WHISPER, MOONSHINE, TONE


@dataclass(frozen=True, slots=True)
class _Kind:
    """What there is to know of a recognizer before it is started.

    Attributes:
        extra: What to install it with; None if it is always there.
        has_models: Whether it wants to be told which model to load.
    """

    knows: Callable[[str], bool]
    extra: str | None = None
    has_models: bool = False


def _is_english(language: str) -> bool:
    return language.lower().replace("_", "-").partition("-")[0] == "en"


_KINDS: Mapping[str, _Kind] = {
    MOONSHINE: _Kind(_is_english, "hear"),
    FASTER_WHISPER: _Kind(lambda it: bool(whisper.language_of(it)), "whisper", has_models=True),
    TONE: _Kind(lambda it: True),
}

#: Those that hear words.
NAMES = (MOONSHINE, FASTER_WHISPER)


class Ears:
    """Hears recordings, as many at a time as there are processes; make one with `ears`."""

    def __init__(self, name: str, workers: int, pool: Pool, *, model: str | None) -> None:
        self.name = name
        self.workers = workers
        self._model = model
        self._pool = pool

    def knows(self, language: str) -> bool:
        """Whether it can hear a language at all; see `knows`."""
        return knows(self.name, language, model=self._model)

    async def hear(self, pcm: bytes, sample_rate_hz: int, language: str = "") -> str:
        """Return what is said in a recording; nothing, if nothing is.

        Args:
            pcm: mono s16le, whole samples.
            language: BCP 47 tag of what is spoken; a recognizer of many may find it
                out if it is not told.

        Raises:
            ProcessDied: two processes have died of this recording.
        """
        return await twice(lambda: _hear(self._pool, pcm, sample_rate_hz, language))


def knows(name: str, language: str, *, model: str | None = None) -> bool:
    """Return whether a recognizer can hear a language, by its BCP 47 tag.

    What it makes of any other is worth nothing, whatever it looks like.
    """
    if model is not None and model.endswith(".en"):  # as English models are named
        return _is_english(language)
    return _kind(name).knows(language)


def check(name: str, model: str | None = None) -> None:
    """Find out whether a recognizer can be started, without starting it.

    Args:
        model: A directory, or a name on the hub, for faster-whisper.

    Raises:
        SettingsError: there is none of that name, it is not installed, or the model
            is none.
    """
    kind = _kind(name)
    if model is not None and not kind.has_models:
        raise errors.SettingsError(f"{name} has its model inside; there is no other for it")
    if kind.extra is not None and find_spec(MODULES[name]) is None:
        raise errors.SettingsError(
            f"{name} is not installed", hint=f"pip install 'batchtts[{kind.extra}]'"
        )
    if model is not None:
        _check_model(Path(model))


@contextlib.asynccontextmanager
async def ears(
    name: str, *, workers: int | None = None, model: str | None = None
) -> AsyncIterator[Ears]:
    """Start the processes of a recognizer, and end them at the end of the block.

    Args:
        workers: Processes; None is one for each processor.
        model: See `check`.

    Raises:
        SettingsError: it cannot be started.
    """
    check(name, model)
    size = workers or processors()
    pool = Pool(name, size, "ear", model=model)
    what = name if model is None else f"{name} with {model}"
    async with ready(pool, size, lambda: _hear(pool, b"", 16_000, ""), what):
        yield Ears(name, size, pool, model=model)


def _kind(name: str) -> _Kind:
    if name not in _KINDS:
        there_are = f"there are: {', '.join(NAMES)}"
        raise errors.SettingsError(
            f"no recognizer {name!r}", hint=meant(name, NAMES, otherwise=there_are)
        )
    return _KINDS[name]


def _check_model(path: Path) -> None:
    """Tell a directory that cannot be a model from one; names on the hub have no such thing."""
    if path.exists() or path.is_absolute() or f"{path}".startswith("."):
        for name in ("model.bin", "config.json", "tokenizer.json"):
            if not (path / name).is_file():
                raise errors.SettingsError(
                    f"{path}: no {name}",
                    hint="a model of faster-whisper is a directory that has one",
                )


async def _hear(pool: Pool, pcm: bytes, sample_rate_hz: int, language: str) -> str:
    async def ignore(guess: str) -> None: ...

    return await pool.listen(pcm, sample_rate_hz, ignore, language)
