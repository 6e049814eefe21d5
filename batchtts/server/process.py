"""An engine, a recognizer or a critic in a process of its own: its side, and the bytes between.

    request   u32 length, then MessagePack: [text, voice, model, language, speed, seed] for an
              engine, [pcm, sample rate, language] for a recognizer or a critic
    reply     u32 length, one letter, then
                P   a piece of the speech, mono s16le PCM at 24 kHz; or of the text, in UTF-8;
                    or the score, a double
                E   nothing: it is complete
                C   the reason, in UTF-8, why it cannot be spoken

Lengths are little-endian and count what follows them. Replies come in the order
of the requests. The end of standard input ends the process, so a server that is
killed leaves no child behind. Anything else that goes wrong ends it as well.
"""

from __future__ import annotations

import argparse
import os
import signal
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import msgspec

from batchtts.model import Voice
from batchtts.review import distillmos
from batchtts.server import ear, engine
from batchtts.server.engine import CannotSpeak

LENGTH = struct.Struct("<I")
SCORE = struct.Struct("<d")
PIECE, END, CANNOT = b"P", b"E", b"C"

#: What a child does with the body of a request.
Work = Callable[[bytes], Iterator[bytes]]


class Critic(Protocol):
    """Says how good a recording is."""

    def judge(self, pcm: bytes, sample_rate_hz: int) -> float: ...


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What one child is asked to say."""

    text: str
    voice: str
    model: str
    language: str
    speed: float
    seed: int = 0


class Recording(msgspec.Struct, frozen=True, array_like=True):
    """What one child is asked to listen to: mono s16le.

    Attributes:
        language: BCP 47 tag; empty if it is not known, or does not matter.
    """

    pcm: bytes
    sample_rate_hz: int
    language: str = ""


def encode(request: Request | Recording) -> bytes:
    """A request as it goes to the child's standard input."""
    body = msgspec.msgpack.encode(request)
    return LENGTH.pack(len(body)) + body


def speaking(speaker: engine.Engine) -> Work:
    """Return what an engine does."""

    def speak(body: bytes) -> Iterator[bytes]:
        request = msgspec.msgpack.decode(body, type=Request)
        voice = Voice(request.voice, request.model, request.language)
        return speaker.speak(request.text, voice, request.speed, request.seed)

    return speak


def hearing(listener: ear.Ear) -> Work:
    """Return what a recognizer does."""

    def hear(body: bytes) -> Iterator[bytes]:
        request = msgspec.msgpack.decode(body, type=Recording)
        heard = listener.hear(request.pcm, request.sample_rate_hz, request.language)
        return map(str.encode, heard)

    return hear


def judging(critic: Critic) -> Work:
    """Return what a critic does."""

    def judge(body: bytes) -> Iterator[bytes]:
        request = msgspec.msgpack.decode(body, type=Recording)
        yield SCORE.pack(critic.judge(request.pcm, request.sample_rate_hz))

    return judge


def answer(work: Work, requests: BinaryIO, reply: Callable[[bytes, bytes], None]) -> None:
    """Do what comes in on *requests* until it ends."""
    while header := requests.read(LENGTH.size):
        (length,) = LENGTH.unpack(header)
        body = requests.read(length)
        if len(body) < length:
            return  # the server is gone
        try:
            for piece in work(body):
                reply(PIECE, piece)
        except CannotSpeak as refusal:
            reply(CANNOT, str(refusal).encode())
        else:
            reply(END, b"")


def _claim_stdout() -> BinaryIO:
    """Keep standard output for replies; what a library prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return replies


def main() -> None:
    """Speak, hear or judge until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # when to end is for the server to decide
        signal.signal(number, signal.SIG_IGN)
    parser = argparse.ArgumentParser(description="Answer requests from stdin on stdout.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--engine")
    what.add_argument("--ear")
    what.add_argument("--critic", choices=[distillmos.NAME])
    parser.add_argument("--model", help="of a recognizer that has none of its own")
    asked = parser.parse_args()
    replies = _claim_stdout()

    def reply(kind: bytes, body: bytes) -> None:
        data = memoryview(LENGTH.pack(1 + len(body)) + kind + body)
        while data:
            data = data[replies.write(data) :]

    work = _work(asked)
    with os.fdopen(os.dup(0), "rb") as requests:
        try:
            answer(work, requests, reply)
        except BrokenPipeError:
            return  # the server is gone


def _work(asked: argparse.Namespace) -> Work:
    """Load who does it."""
    if asked.engine:
        return speaking(engine.load(asked.engine))
    if asked.ear:
        return hearing(ear.load(asked.ear, asked.model))
    return judging(distillmos.DistillMos())


if __name__ == "__main__":
    main()
