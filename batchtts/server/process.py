"""One engine in a process of its own: the child's side, and the bytes between.

    request   u32 length, then MessagePack: [text, voice, model, language, speed]
    reply     u32 length, one letter, then
                P   a piece of the speech, mono s16le PCM at 24 kHz
                E   nothing: the speech is complete
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
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from batchtts.model import Voice
from batchtts.server.engine import CannotSpeak, Engine, load

LENGTH = struct.Struct("<I")
PIECE, END, CANNOT = b"P", b"E", b"C"


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What one child is asked to say."""

    text: str
    voice: str
    model: str
    language: str
    speed: float


def encode(request: Request) -> bytes:
    """A request as it goes to the child's standard input."""
    body = msgspec.msgpack.encode(request)
    return LENGTH.pack(len(body)) + body


def answer(engine: Engine, requests: BinaryIO, reply: Callable[[bytes, bytes], None]) -> None:
    """Speak what comes in on *requests* until it ends."""
    while header := requests.read(LENGTH.size):
        (length,) = LENGTH.unpack(header)
        body = requests.read(length)
        if len(body) < length:
            return  # the server is gone
        request = msgspec.msgpack.decode(body, type=Request)
        voice = Voice(request.voice, request.model, request.language)
        try:
            for piece in engine.speak(request.text, voice, request.speed):
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
    """Speak until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server to decide
    parser = argparse.ArgumentParser(description="Speak requests from stdin to stdout.")
    parser.add_argument("--engine", required=True)
    engine_name = parser.parse_args().engine
    replies = _claim_stdout()

    def reply(kind: bytes, body: bytes) -> None:
        data = memoryview(LENGTH.pack(1 + len(body)) + kind + body)
        while data:
            data = data[replies.write(data) :]

    with os.fdopen(os.dup(0), "rb") as requests:
        try:
            answer(load(engine_name), requests, reply)
        except BrokenPipeError:
            return  # the server is gone


if __name__ == "__main__":
    main()
