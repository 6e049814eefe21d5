"""What a plan tells beside its counts: why rows have changed, and how long it may take."""

from __future__ import annotations

from collections import Counter

import numpy as np

from batchtts.job.plan import DONE
from batchtts.job.speaker import Speaker
from batchtts.model import Result, Utterance
from batchtts.record.ledger import Ledger
from batchtts.run.agenda import Agenda

#: Finished rows that the pace is taken from, the latest ones.
REMEMBERED = 1000

#: Where there is no past: characters that one request speaks in a second, a
#: provider speaking some four times as fast as a person (15 a second) does.
GUESSED_CHARS_PER_S = 60.0

_SETTINGS = ("provider", "model", "voice", "language", "speed", "format", "options")


def why_changed(agenda: Agenda, speaker: Speaker, ledger: Ledger) -> Counter[str]:
    """Count what sets changed rows apart from their audio, the first reason of each.

    The reasons are ``text``, a setting (``provider``, ``model``, ``voice``, ``language``,
    ``speed``, ``format``, ``options``) and ``again`` for a row that is only asked for again.
    """
    reasons: Counter[str] = Counter()
    for changed in agenda.changed():
        told = ledger.results(address for _, address in changed)
        for (utterance, _), result in zip(changed, told, strict=True):
            if result is not None:
                reasons[_reason(utterance, result, speaker)] += 1
    return reasons


def _reason(utterance: Utterance, result: Result, speaker: Speaker) -> str:
    if utterance.fingerprint == result.fingerprint:
        return "again"
    if utterance.script_hash != result.script_hash:
        return "text"
    voice = utterance.voice
    wanted = (speaker.provider.name, voice.model, voice.name, voice.language, utterance.speed)
    had = (result.provider, result.model, result.voice, result.language, result.speed)
    for name, one, other in zip(_SETTINGS, wanted, had, strict=False):
        if one != other:
            return name
    container = f"{result.path}".rpartition(".")[2]
    is_format = (container, result.sample_rate_hz) != (
        speaker.format.container,
        speaker.format.sample_rate_hz,
    )
    return "format" if is_format else "options"


def duration_s(agenda: Agenda, speaker: Speaker, ledger: Ledger | None) -> float:
    """Guess how long a run would take, from the pace of rows that are done, if there are any."""
    at_once = min(speaker.in_flight, agenda.to_speak)
    pace = (_pace(agenda, ledger) if ledger is not None else None) or GUESSED_CHARS_PER_S
    return agenda.characters_to_speak / (pace * max(1, at_once))


def _pace(agenda: Agenda, ledger: Ledger) -> float | None:
    """Characters per second of one request, in rows that were done."""
    done = agenda.memory.past.addresses[agenda.memory.past.kinds == DONE]
    latest = np.sort(done)[-REMEMBERED:]
    characters, seconds = 0, 0.0
    for result in ledger.results(latest.tolist()):
        if result is not None and result.wall_s:
            characters += result.text_chars
            seconds += result.wall_s - (result.queue_s or 0.0)
    return characters / seconds if characters and seconds > 0 else None
