"""A provider that takes its time: so many requests at once, each as long as its script.

It speaks what `benchmarks.replay` speaks of Together's protocol. A request is answered
with audio at five times real time after a first wait that varies; what is beyond the
limit is refused, and some requests fail after their first audio. It keeps when each
request came and went, and how long it was meant to take, so that whoever asks can tell
how well its limit was used, and that it kept to its own times itself.

The audio is a quarter as long as the speech that it stands for: a client checks only
that it is not too short, and neither side of a small machine should be busy with it.
"""

from __future__ import annotations

import argparse
import math
import selectors
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush
from random import Random
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.connection import Connection, Said
from benchmarks.frames import TEXT, Script, frame, noise
from benchmarks.pulse import Pings
from benchmarks.replay import BACKLOG, GREETING, allow_sockets

CHARS_PER_S = 15.0
PACE = 5.0  # times real time
FIRST_S, FIRST_SPREAD = 0.3, 0.5  # median, and sigma of its logarithm
DELTA_S = 1.0  # of speech that a delta stands for
THIN = 4  # and what it is shorter

DONE, FAILED, REFUSED, LOST = "done", "failed", "refused", "lost"


class Request(msgspec.Struct):
    """What became of a commit; times in seconds, by the server's clock.

    Attributes:
        first_s: How long until its first audio.
        meant_s: How long it was to be in flight.
        limit: How many could be at the time.
    """

    came_at: float
    first_s: float
    meant_s: float
    limit: int
    went_at: float = 0.0
    outcome: str = LOST


class Told(msgspec.Struct):
    """What a server has seen."""

    cpu_s: float
    requests: list[Request]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a provider behaves.

    Attributes:
        limit: Requests in flight at once.
        fails: Share that fails after the first audio.
        refuses: Share that is refused below the limit.
        drops_at_s: After the first commit; then it takes *drops_to*.
    """

    limit: int
    fails: float = 0.0
    refuses: float = 0.0
    drops_at_s: float = math.inf
    drops_to: int = 0


class Paced:
    """The server in a process of its own, which ends with the block or with us."""

    def __init__(self, manners: Manners) -> None:
        options = [
            f"--{name.replace('_', '-')}={getattr(manners, name)}" for name in Manners.__slots__
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.paced", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        port = self._line().removeprefix(GREETING).rpartition(":")[2]
        self.url = f"ws://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def told(self) -> Told:
        """Ask what came so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return msgspec.json.decode(self._line(), type=Told)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the paced server ended ({self._process.wait()})")
        return line.strip()


Act = Callable[[], None]


@dataclass(slots=True)
class Clock:
    """What is to be done at which time."""

    _due: list[tuple[float, int, Act]] = field(default_factory=list)
    _count: int = 0

    def at(self, when: float, act: Act) -> None:
        """Do something later."""
        self._count += 1
        heappush(self._due, (when, self._count, act))

    def run(self) -> float | None:
        """Do what is due; return seconds until the next thing is."""
        while self._due:
            wait_s = self._due[0][0] - time.monotonic()
            if wait_s > 0:
                return wait_s
            heappop(self._due)[2]()
        return None


class House:
    """The limit that all connections share, and what came of each request."""

    def __init__(self, manners: Manners, clock: Clock) -> None:
        self.clock = clock
        self.requests: list[Request] = []
        self._manners = manners
        self._random = Random(1)
        self._in_flight = 0

    def admit(self, text: str) -> Request:
        """A commit has come; it may be refused."""
        now = time.monotonic()
        speech_s = len(text) / CHARS_PER_S
        first_s = FIRST_S * math.exp(self._random.gauss(0.0, FIRST_SPREAD))
        request = Request(now, first_s, first_s + speech_s / PACE, self._limit(now))
        if self._in_flight >= request.limit or self._random.random() < self._manners.refuses:
            request.outcome, request.went_at = REFUSED, now
        else:
            self._in_flight += 1
            if self._random.random() < self._manners.fails:
                request.meant_s = first_s + self._random.random() * speech_s / PACE
                request.outcome = FAILED
        self.requests.append(request)
        return request

    def _limit(self, now: float) -> int:
        first = self.requests[0].came_at if self.requests else now
        has_dropped = now - first >= self._manners.drops_at_s
        return self._manners.drops_to if has_dropped else self._manners.limit

    def leave(self, request: Request, outcome: str) -> None:
        """A request is in flight no more."""
        self._in_flight -= 1
        request.outcome, request.went_at = outcome, time.monotonic()


class Speaker(Connection):
    """One client, whose answers take their time."""

    def __init__(self, peer: socket.socket, script: Script, house: House, move: Act) -> None:
        super().__init__(peer, script, Pings(), paced=False)
        self._house = house
        self._move = move  # to be called when there is something to send
        self._text = ""
        self._request: Request | None = None

    def _reply(self, said: Said) -> None:
        if said.type == "input_text_buffer.append":
            self._text += said.text
        elif said.type == "input_text_buffer.commit":
            text, self._text = self._text, ""
            self._begin(self._house.admit(text), len(text) / CHARS_PER_S, said.context_id)

    def _begin(self, request: Request, speech_s: float, context: str) -> None:
        if request.outcome == REFUSED:
            self._fail(context, "rate_limit_exceeded", "rate_limit_error")
            return
        self._request = request
        at, begins_at = self._house.clock.at, request.came_at + request.first_s
        for number in range(math.ceil(speech_s / DELTA_S)):
            when = begins_at + number * DELTA_S / PACE
            at(when, lambda: self._speak(request, delta(context)))
        end = done(context) if request.outcome == LOST else []
        at(request.came_at + request.meant_s, lambda: self._end(request, end, context))

    def _speak(self, request: Request, pieces: Sequence[bytes]) -> None:
        if self._request is request:
            self._outbox.extend(pieces)
            self._move()

    def _end(self, request: Request, end: Sequence[bytes], context: str) -> None:
        if self._request is not request:
            return
        self._request = None
        self._house.leave(request, DONE if end else FAILED)
        if end:
            self._outbox.extend(end)
        else:
            self._fail(context, "internal_error", "server_error")
        self._move()

    def _fail(self, context: str, code: str, kind: str) -> None:
        error = {"message": code.replace("_", " "), "type": kind, "param": None, "code": code}
        kind = "conversation.item.tts.failed"
        self._say({"type": kind, "error": error, "context_id": context})

    def gone(self) -> None:
        """The client has left; what it wanted is not in flight any more."""
        if self._request is not None:
            self._house.leave(self._request, LOST)
            self._request = None


def delta(context: str) -> list[bytes]:
    """A piece of audio."""
    return _named("delta", context)


def done(context: str) -> list[bytes]:
    """The end of it."""
    return _named("done", context)


def _named(kind: str, context: str) -> list[bytes]:
    tail = context.encode() + b'"}'
    return [_begun(kind, len(tail)), tail]


@lru_cache
def _begun(kind: str, tail_bytes: int) -> bytes:
    """A frame up to the context; its length depends on that one's only."""
    told = {"type": f"conversation.item.audio_output.{kind}", "item_id": "tts_1"}
    if kind == "delta":
        told["delta"] = b64encode(noise(DELTA_S / THIN)).decode()
    begun = msgspec.json.encode(told)[:-1] + b',"context_id":"'
    return frame(TEXT, begun, more_bytes=tail_bytes)


class Server:
    """All connections, in one thread."""

    def __init__(self, manners: Manners) -> None:
        self._clock = Clock()
        self._house = House(manners, self._clock)
        self._ready = selectors.DefaultSelector()
        self._nothing = Script(b"", 1, context=True)

    def serve(self) -> None:
        """Serve on a free port until standard input ends."""
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            listener.setblocking(False)
            self._ready.register(listener, selectors.EVENT_READ, None)
            self._ready.register(sys.stdin, selectors.EVENT_READ, None)
            print(f"{GREETING}127.0.0.1:{listener.getsockname()[1]}", flush=True)
            while True:
                for key, events in self._ready.select(self._clock.run()):
                    if isinstance(key.data, Speaker):
                        self._move(key.data, events)
                    elif key.fileobj is listener:
                        self._accept(listener)
                    elif sys.stdin.readline():
                        self._report()
                    else:
                        return

    def _accept(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        speaker = Speaker(
            peer, self._nothing, self._house, lambda: self._move(speaker, selectors.EVENT_WRITE)
        )
        self._ready.register(peer, selectors.EVENT_READ, speaker)

    def _move(self, speaker: Speaker, events: int) -> None:
        if speaker.peer.fileno() < 0:
            return
        if events & selectors.EVENT_WRITE:
            speaker.send()
        if events & selectors.EVENT_READ:
            speaker.receive()
        if speaker.ended:
            speaker.gone()
            self._ready.unregister(speaker.peer)
            speaker.peer.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if speaker.unsent else 0)
        if self._ready.get_key(speaker.peer).events != wanted:
            self._ready.modify(speaker.peer, wanted, speaker)

    def _report(self) -> None:
        told = Told(cpu_s=time.process_time(), requests=self._house.requests)
        print(msgspec.json.encode(told).decode(), flush=True)


def main() -> None:
    """Serve as the options say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paced", description=__doc__)
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--fails", type=float, default=0.0)
    parser.add_argument("--refuses", type=float, default=0.0)
    parser.add_argument("--drops-at-s", type=float, default=math.inf)
    parser.add_argument("--drops-to", type=int, default=0)
    options = parser.parse_args()
    allow_sockets()
    Server(Manners(**vars(options))).serve()


if __name__ == "__main__":
    main()
