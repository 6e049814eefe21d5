"""Conversations with a provider, written down: what was said, and what we make of it.

A file in tests/dialogues/ is named after its provider. Its lines begin with

    #   what the conversation shows; the first line of every file
    @   how what follows is to be spoken, where that matters (JSON, see `manner`);
        before all that is said, or between two scripts
    =   we are asked for a script: its context, then the script as JSON; or to listen
        to a recording: its context, then its samples in base64 as JSON
    >   we say
    <   the provider says; ``< binary BASE64`` in a binary message, and
        ``< close 1000`` is the end of the connection, maybe with a reason
    ~   silence, until our patience runs out

``batchtts run --record`` writes the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pybase64

from batchtts.errors import RemoteProtocolError
from batchtts.model import Voice
from batchtts.wire import registry
from batchtts.wire.dialect import Listening
from batchtts.wire.dialogue import Dialogue, Patience
from batchtts.wire.events import Event, Named
from batchtts.wire.provider import Manner, Vocabulary
from batchtts.wire.recognizer import Attention, Hearsay
from batchtts.wire.together_stt import RECOGNIZER as TOGETHER_HEARS

RECORDED = Path(__file__).parent / "dialogues"
_ALL = sorted(path.stem for path in RECORDED.glob("*.txt"))

#: Conversations with a recognizer begin with this in place of a provider's name.
TRANSCRIPTION = "transcription"
HEARD = [name for name in _ALL if name.partition("-")[0] == TRANSCRIPTION]
NAMES = [name for name in _ALL if name not in HEARD]


@dataclass(frozen=True)
class Refused:
    """What the dialogue would not have, in its words."""

    reason: str


def lines(name: str) -> list[str]:
    """The lines of a file."""
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def manner(provider: str, told: Sequence[str]) -> Manner:
    """How a first script is to be spoken: what ``@`` says, and the provider's defaults."""
    head = takewhile(lambda line: line[:1] in "#@", told)
    asked: dict[str, Any] = next((json.loads(line[2:]) for line in head if line[:1] == "@"), {})
    voice = registry.get(provider).choose_voice(None, None, None)
    if "voice" in asked:
        voice = Voice(*asked.pop("voice"))
    return Manner(voice=voice, **asked)


def attention(told: Sequence[str]) -> Attention:
    """What is listened for: what ``@`` says, and the default model."""
    asked: dict[str, Any] = next((json.loads(line[2:]) for line in told if line[:1] == "@"), {})
    return Attention(**{"model": TOGETHER_HEARS.models[0], **asked})


def dialect_of(name: str) -> Vocabulary | Hearsay:
    """The dialect that a file is in."""
    provider = name.partition("-")[0]
    if provider == TRANSCRIPTION:
        return TOGETHER_HEARS.dialect(attention(lines(name)))
    return registry.get(provider).dialect(manner(provider, lines(name)))


def replay(name: str) -> tuple[Dialogue, list[Event | Refused]]:
    """Play a recorded conversation; return the dialogue and what it made of it."""
    return play(lines(name), dialect_of(name), name.partition("-")[0])


def play(
    told: Sequence[str], dialect: Vocabulary | Hearsay, provider: str = ""
) -> tuple[Dialogue, list[Event | Refused]]:
    """Play the lines of a conversation; ours must be what we really say.

    Args:
        provider: Must be named if the manner changes on the way.
    """
    dialogue = Dialogue(dialect, Patience())
    unsent = dialect.hello()
    events: list[Event | Refused] = []
    for line in told:
        who, text = line[:1], line[2:]
        if who == "=":
            assert not unsent
            unsent = ask(dialogue, *text.split(" ", 1))
        elif who == ">":
            assert unsent.pop(0) == text
        elif who == "@" and events:
            dialogue.adopt(registry.get(provider).dialect(manner(provider, [line])))
        elif who in "<~":
            if text.startswith("close "):
                unsent = []  # nobody is left to say it to
            assert not (unsent and events)
            events += hear(dialogue, who, text)
    assert not unsent
    return dialogue, events


def ask(dialogue: Dialogue, context: str, told: str) -> list[str]:
    """What we say to have a script spoken, or a recording heard."""
    asked: str = json.loads(told)
    if not isinstance(dialogue.dialect, Listening):
        return dialogue.speak(asked, context)
    dialogue.begin(context)
    return dialogue.dialect.listen(pybase64.b64decode(asked, validate=True), context)


def hear(dialogue: Dialogue, who: str, text: str) -> Sequence[Event | Refused]:
    """What the dialogue makes of a line that is not ours."""
    if who == "~":
        return dialogue.receive_silence()
    if text.startswith("close "):
        code, _, reason = text.removeprefix("close ").partition(" ")
        return dialogue.receive_close(int(code), reason)
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
