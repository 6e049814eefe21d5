"""A conversation that faults fall on: stands between the protocol and its connection. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from batchtts.server.conversation import Action, Conversation, Frame, Framing, Listen, Say
from batchtts.server.faults import Damage, Fault, Faults, Items, Late, Odd, ProtocolName, Riff
from batchtts.server.mishaps import Bent, CutHearing, Cutting, spoil


class Unlucky:
    """A conversation whose speech goes wrong now and then."""

    def __init__(self, inner: Conversation, faults: Faults, protocol: ProtocolName) -> None:
        self._inner = inner
        self._faults = faults
        self._protocol = protocol
        self._finished: Say | None = None  # the last one that was

    def greet(self) -> Iterator[Action]:
        """As the conversation does."""
        return map(self._disturb, self._inner.greet())

    def receive(self, message: str | bytes) -> Iterator[Action]:
        """As the conversation does, but for the faults."""
        return map(self._disturb, self._inner.receive(message))

    def expired(self, timer: str) -> Iterator[Action]:
        """As the conversation does, but for the faults."""
        return map(self._disturb, self._inner.expired(timer))

    def leave(self) -> None:
        """As the conversation does."""
        self._inner.leave()

    def _disturb(self, action: Action) -> Action:
        match action:
            case Say():
                return self._disturb_speech(action)
            case Listen():
                return self._disturb_hearing(action)
            case _:
                return action

    def _disturb_speech(self, say: Say) -> Say:
        fault = self._faults.strike(self._protocol, say.text, lambda it: self._fits(it, say))
        framing = self._noting(say.framing)
        if fault is None:
            return replace(say, framing=framing)
        if isinstance(fault, Damage):
            harm = self._faults.harm(fault, say.text)
            return replace(say, framing=framing, fault=_name(fault), harm=harm)
        spoiled = spoil(fault, framing, say, self._finished)
        return replace(say, framing=spoiled, fault=_name(fault))

    def _disturb_hearing(self, listen: Listen) -> Listen:
        fault = self._faults.strike(self._protocol, listen.pcm, lambda it: isinstance(it, Cutting))
        if not isinstance(fault, Cutting):
            return listen
        return replace(listen, framing=CutHearing(listen.framing, fault), fault=_name(fault))

    def _fits(self, fault: Fault, say: Say) -> bool:
        """Whether speech like this can have it."""
        match fault:
            case Riff() | Odd() | Items():
                return say.packing == "pcm"
            case Late(of="finished"):
                return self._finished is not None
            case _:
                return True

    def _noting(self, inner: Framing) -> Framing:
        """A framing that lets us know what was finished."""

        def end(say: Say) -> Iterable[Frame]:
            self._finished = say
            return inner.end(say)

        return Bent(inner, inner.piece, end)


def _name(fault: Fault) -> str:
    return str(fault.__struct_config__.tag)
