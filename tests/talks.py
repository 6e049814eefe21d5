"""Conversations with a provider, written down: what was said, and what we make of it.

A file in tests/dialogues/ is named after its provider. Its lines begin with

    #   what the conversation shows; the first line of every file
    @   how the script is to be spoken, where that matters (JSON, see `manner`)
    =   we are asked for a script: its context, then the script as JSON
    >   we say
    <   the provider says; ``< binary BASE64`` in a binary message, and
        ``< close 1000`` is the end of the connection
    ~   silence, until our patience runs out

``batchtts run --record`` writes the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pybase64

from batchtts.errors import RemoteProtocolError
from batchtts.model import Voice
from batchtts.wire import registry
from batchtts.wire.dialogue import Dialogue, Patience
from batchtts.wire.events import Event, Named
from batchtts.wire.provider import Manner, Vocabulary

RECORDED = Path(__file__).parent / "dialogues"
NAMES = sorted(path.stem for path in RECORDED.glob("*.txt"))


@dataclass(frozen=True)
class Refused:
    """What the dialogue would not have, in its words."""

    reason: str


def lines(name: str) -> list[str]:
    """The lines of a file."""
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def manner(provider: str, told: Sequence[str]) -> Manner:
    """How a recorded script is to be spoken: what ``@`` says, and the provider's defaults."""
    asked: dict[str, Any] = next((json.loads(line[2:]) for line in told if line[:1] == "@"), {})
    voice = registry.get(provider).choose_voice(None, None, None)
    if "voice" in asked:
        voice = Voice(*asked.pop("voice"))
    return Manner(voice=voice, **asked)


def dialect_of(name: str) -> Vocabulary:
    """The dialect that a file is in."""
    provider = name.partition("-")[0]
    return registry.get(provider).dialect(manner(provider, lines(name)))


def replay(name: str) -> tuple[Dialogue, list[Event | Refused]]:
    """Play a recorded conversation; return the dialogue and what it made of it."""
    return play(lines(name), dialect_of(name))


def play(told: Sequence[str], dialect: Vocabulary) -> tuple[Dialogue, list[Event | Refused]]:
    """Play the lines of a conversation; ours must be what we really say."""
    dialogue = Dialogue(dialect, Patience())
    unsent = dialect.hello()
    events: list[Event | Refused] = []
    for line in told:
        who, text = line[:1], line[2:]
        if who == "=":
            assert not unsent
            context, _, script = text.partition(" ")
            unsent = dialogue.speak(json.loads(script), context)
        elif who == ">":
            assert unsent.pop(0) == text
        elif who in "<~":
            assert not (unsent and events)
            events += hear(dialogue, who, text)
    assert not unsent
    return dialogue, events


def hear(dialogue: Dialogue, who: str, text: str) -> Sequence[Event | Refused]:
    """What the dialogue makes of a line that is not ours."""
    if who == "~":
        return dialogue.receive_silence()
    if text.startswith("close "):
        return dialogue.receive_close(int(text.removeprefix("close ")), "")
    try:
        if text.startswith("binary "):
            payload = pybase64.b64decode(text.removeprefix("binary "), validate=True)
            return dialogue.receive_binary(payload)
        return dialogue.receive(text)
    except RemoteProtocolError as error:
        return [Refused(str(error))]


def meaning(name: str) -> list[Event | Refused]:
    """What a conversation comes to, but for what the provider calls it."""
    return [event for event in replay(name)[1] if not isinstance(event, Named)]
