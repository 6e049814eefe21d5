"""The session that a worker keeps from segment to segment.

A session speaks in one way for its whole life unless the messages carry the voice: a
line in the wrong voice is worse than a new connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from batchtts.model import Voice
from batchtts.run.crew import Crew
from batchtts.run.notes import Notes
from batchtts.wire.dialect import Traits
from batchtts.wire.provider import Manner, Vocabulary
from batchtts.wire.session import Session
from batchtts.wire.tape import FileTape


@dataclass(frozen=True, slots=True)
class Style:
    """How something is spoken, and what follows from it."""

    manner: Manner
    dialect: Vocabulary
    traits: Traits
    resource: str


class Calls:
    """One worker's way to the provider."""

    def __init__(self, crew: Crew, number: int, late: Callable[[str], None]) -> None:
        """Begin without a session.

        Args:
            number: Of the worker.
            late: Told of a script that was taken for complete and goes on after all.
        """
        self._crew = crew
        self._number = number
        self._late = late
        self._session: Session | None = None
        self._tape: FileTape | None = None
        self._resource = ""
        self._style: Style | None = None

    def style(self, voice: Voice, speed: float) -> Style:
        """How to speak so, which is mostly how the last segment was spoken."""
        style, crew = self._style, self._crew
        if style is None or (style.manner.voice, style.manner.speed) != (voice, speed):
            manner = crew.manner(voice, speed)
            dialect = crew.provider.dialect(manner)
            style = self._style = Style(manner, dialect, dialect.traits, dialect.resource)
        return style

    async def connect(self, style: Style, notes: Notes) -> Session:
        """Return a session that speaks as it is wanted."""
        session, suits = self._session, self._resource == style.resource
        if session is not None and suits and session.reusable:
            session.adopt(style.dialect)
            if self._tape is not None:
                self._tape.turn(style.manner)
            return session
        self.part()
        began_at, crew = trio.current_time(), self._crew
        self._tape = crew.recorder.tape(self._number, style.manner) if crew.recorder else None
        self._session = await crew.line.call(crew.connections, style.dialect, self._tape)
        self._resource = style.resource
        notes.connect_s += trio.current_time() - began_at
        return self._session

    def hang_up(self) -> None:
        """Drop the session, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def part(self) -> None:
        """Let the session go, if there is one, but hear it out."""
        if self._session is not None and self._session.is_at_rest:
            self._crew.connections.start_soon(self._heed, self._session)
            self._session = None
        self.hang_up()

    async def _heed(self, session: Session) -> None:
        try:
            await session.heed(self._late)
        finally:
            session.close()
