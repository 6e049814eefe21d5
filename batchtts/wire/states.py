"""What a dialogue may await, and what moves it from one to the next. Pure."""

from __future__ import annotations

from enum import Enum

from batchtts.wire.events import (
    Acknowledged,
    Audio,
    Done,
    Echo,
    Event,
    Finished,
    Guess,
    Heard,
    Named,
    Ready,
    Words,
)


class State(Enum):
    """What the dialogue awaits."""

    OPENING = "greeting"
    IDLE = "script"
    COMMITTED = "first audio"
    ACKNOWLEDGED = "first words"  # from a recognizer, which may hear none
    SPEAKING = "next audio"
    LINGERING = "second thoughts"
    SPENT = "nothing"  # never speak here again


#: From each state, by each event that is legal there.
TRANSITIONS: dict[State, dict[type[Event], State]] = {
    State.OPENING: {Ready: State.IDLE},
    State.IDLE: {},
    State.COMMITTED: {
        Audio: State.SPEAKING,
        Acknowledged: State.ACKNOWLEDGED,
        Guess: State.SPEAKING,
        Heard: State.LINGERING,
    },
    State.ACKNOWLEDGED: {
        Acknowledged: State.ACKNOWLEDGED,
        Guess: State.SPEAKING,
        Heard: State.LINGERING,
        Finished: State.IDLE,
    },
    State.SPEAKING: {
        Audio: State.SPEAKING,
        Done: State.LINGERING,
        Acknowledged: State.SPEAKING,
        Guess: State.SPEAKING,
        Heard: State.LINGERING,
    },
    State.LINGERING: {
        Audio: State.SPEAKING,
        Done: State.LINGERING,
        Acknowledged: State.LINGERING,
        Guess: State.SPEAKING,
        Heard: State.LINGERING,
        Finished: State.IDLE,
    },
    State.SPENT: {},
}

#: Events that say something and move nothing.
ASIDES = (Named, Words, Echo)
