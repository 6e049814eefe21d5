"""Who is called to listen: recognizers of this machine or behind a WebSocket, and a critic."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Generic, TypeVar

import trio

from batchtts.errors import SettingsError
from batchtts.hints import meant
from batchtts.job.hearer import Hearer, Wish
from batchtts.model import Differences
from batchtts.review import ears, mos, transcribe
from batchtts.review.children import processors
from batchtts.review.compare import compare, require_comparison
from batchtts.review.phonemes import english
from batchtts.review.units import NO_LANGUAGE
from batchtts.verify.listening import Ear, Listener
from batchtts.wire.embedded import FASTER_WHISPER, MOONSHINE, TONE

NOBODY = "none"

#: As users call recognizers that are called directly → the name of the model.
_DIRECT = {"local": MOONSHINE, "faster-whisper": FASTER_WHISPER}

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audition:
    """Who is wanted to listen.

    Attributes:
        ear: None if no words are to be heard.
        second: Asked before a row fails; None is faster-whisper where it is installed and has
            a model here, ``none`` is nobody.
        whisper_model: A directory, or a name that faster-whisper knows.
        mos: Whether it is wanted how natural it sounds.
        outage_s: How long nobody may be reached before nobody is asked any more.
        environment: Where keys are looked up.
    """

    ear: Wish | None
    second: str | None = None
    whisper_model: str | None = None
    mos: bool = False
    outage_s: float = 120.0
    environment: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Make sure that who is wanted can be called.

        Raises:
            SettingsError: somebody cannot.
        """
        if self.ear is not None:
            require_comparison()
            name = self.direct
            if name is None:
                transcribe.find_hearer(self.ear, self.environment)
            else:
                ears.check(name, self._model_of(name))
        if self.second_name is not None:
            ears.check(self.second_name, self._model_of(self.second_name))
        if self.mos:
            mos.check()

    @property
    def direct(self) -> str | None:
        """The recognizer of this machine that hears, if it is one and needs no connection."""
        if self.ear is None or self.ear.endpoint is not None:
            return None
        if self.ear.recognizer == "local" and self.ear.model == TONE:
            return TONE
        return _DIRECT.get(self.ear.recognizer)

    @property
    def second_name(self) -> str | None:
        """The recognizer that is asked before a row fails."""
        if self.ear is None or self.second == NOBODY:
            return None
        if self.second is None:
            is_there = find_spec("faster_whisper") is not None and self.whisper_model is not None
            return FASTER_WHISPER if is_there and self.direct != FASTER_WHISPER else None
        if self.second not in _DIRECT:
            there_are = f"there are: {', '.join([*_DIRECT, NOBODY])}"
            hint = meant(self.second, [*_DIRECT, NOBODY], otherwise=there_are)
            raise SettingsError(f"second_recognizer: no {self.second!r}", hint=hint)
        return _DIRECT[self.second]

    def _model_of(self, name: str) -> str | None:
        return self.whisper_model if name == FASTER_WHISPER else None


@asynccontextmanager
async def listening(audition: Audition) -> AsyncIterator[Listener]:
    """Have who is wanted to listen for a while.

    Processes of this machine are started when there is something to hear.

    Raises:
        SettingsError: somebody cannot be called.
    """
    audition.check()
    async with AsyncExitStack() as held:
        ear, second = None, None
        if audition.direct is not None:
            ear = _direct(audition, audition.direct, held)
        elif audition.ear is not None:
            hearer = transcribe.find_hearer(audition.ear, audition.environment)
            calling = transcribe.listening(hearer, outage_s=audition.outage_s)
            ear = _Distant(hearer, await held.enter_async_context(calling))
        if audition.second_name is not None:
            second = _direct(audition, audition.second_name, held)
        critic = _Resident(mos.critics, held) if audition.mos else None
        yield Listener(compare=_comparing(), ear=ear, second=second, critic=critic)


def _direct(audition: Audition, name: str, held: AsyncExitStack) -> Ear:
    model = audition.whisper_model if name == FASTER_WHISPER else None
    return _Near(name, model, _Late(partial(ears.ears, name, model=model), held))


def _comparing() -> Callable[[str, str, str], Differences]:
    """What compares, in one thread at a time: phonemes are looked up in one lexicon."""
    phonemize, lock = english(), threading.Lock()

    def differences(script: str, transcript: str, language: str) -> Differences:
        with lock:
            return compare(script, transcript, language, phonemize).figures

    return differences


class _Late(Generic[Opened]):
    """What is opened when it is used for the first time."""

    def __init__(
        self, opening: Callable[[], AbstractAsyncContextManager[Opened]], held: AsyncExitStack
    ) -> None:
        self._opening = opening
        self._held = held
        self._lock = trio.Lock()
        self._opened: Opened | None = None

    async def get(self) -> Opened:
        """Return it, opened."""
        async with self._lock:
            if self._opened is None:
                self._opened = await self._held.enter_async_context(self._opening())
            return self._opened


@dataclass(frozen=True, slots=True)
class _Near:
    """A recognizer in processes of this machine."""

    name: str
    model: str | None
    late: _Late[ears.Ears]

    @property
    def workers(self) -> int:
        return processors()

    def knows(self, language: str) -> bool:
        return ears.knows(self.name, language, model=self.model)

    async def hear(self, pcm: bytes, sample_rate_hz: int, language: str) -> str:
        return await (await self.late.get()).hear(pcm, sample_rate_hz, language)


@dataclass(frozen=True, slots=True)
class _Distant:
    """A recognizer behind a WebSocket."""

    hearer: Hearer
    transcriber: transcribe.Transcriber

    @property
    def name(self) -> str:
        return self.hearer.attention.model

    @property
    def workers(self) -> int:
        return self.hearer.recognizer.sessions

    def knows(self, language: str) -> bool:
        """What is known of the models of this machine; of others, that they know many."""
        if self.name in (MOONSHINE, TONE):
            return ears.knows(self.name, language)
        return language not in ("", NO_LANGUAGE)

    async def hear(self, pcm: bytes, sample_rate_hz: int, language: str) -> str:
        return await self.transcriber.hear(transcribe.Recording(pcm, sample_rate_hz))


class _Resident:
    """The critic, in processes of this machine."""

    def __init__(
        self, opening: Callable[[], AbstractAsyncContextManager[mos.Critics]], held: AsyncExitStack
    ) -> None:
        self._late = _Late(opening, held)

    @property
    def workers(self) -> int:
        return processors()

    async def judge(self, pcm: bytes, sample_rate_hz: int) -> float:
        return await (await self._late.get()).judge(pcm, sample_rate_hz)
