"""A provider that costs next to nothing: it sends frames that were built beforehand.

It knows just enough of Together's protocol to be spoken to: it accepts the upgrade,
greets, and answers each commit with the same utterance as fast as the socket takes
it, or one message every so often. The context id is the client's, so a frame is two
pieces, the long one shared by all utterances. It serves until its standard input
ends, and answers each line there with what it has done so far; the line ``quiet``
puts an end to its pings.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from benchmarks.connection import Connection
from benchmarks.frames import Script, noise
from benchmarks.pulse import Pings, Pulse
from benchmarks.tls import AUTHORITY, Secure, certify

GREETING = "listening on "
BACKLOG = 4096
QUIET = "quiet"

_GOLDEN = 0.618  # spreads what comes again and again over its period


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server has done since it began.

    Attributes:
        open: Connections that are open now.
        longest_pong_s: The longest wait for the answer to a ping.
    """

    cpu_s: float
    connections: int
    commits: int
    sent_bytes: int
    open: int = 0
    pings: int = 0
    pongs: int = 0
    longest_pong_s: float = 0.0

    def since(self, earlier: Served) -> Served:
        """Return what was done after *earlier*."""
        return Served(
            cpu_s=self.cpu_s - earlier.cpu_s,
            connections=self.connections - earlier.connections,
            commits=self.commits - earlier.commits,
            sent_bytes=self.sent_bytes - earlier.sent_bytes,
            open=self.open,
            pings=self.pings - earlier.pings,
            pongs=self.pongs - earlier.pongs,
            longest_pong_s=self.longest_pong_s,
        )


class Replay:
    """A server in a process of its own, which ends with the block or with us.

    Attributes:
        environment: What a client needs in its own to trust the server.
    """

    def __init__(
        self,
        *,
        utterance_s: float,
        delta_bytes: int = 16_384,
        context: bool = True,
        tls: bool = False,
        every_s: float = 0.0,
        ping_s: float = 0.0,
    ) -> None:
        """Start it.

        Args:
            tls: With a certificate that is made now and gone afterwards.
            every_s: Between two messages on one connection; 0 is as fast as it goes.
            ping_s: Between two pings on one connection; 0 is none.
        """
        self._where = TemporaryDirectory(prefix="replay-") if tls else None
        options = [f"--utterance-s={utterance_s}", f"--delta-bytes={delta_bytes}"]
        options += [f"--every-s={every_s}", f"--ping-s={ping_s}"]
        options += [] if context else ["--no-context"]
        options += [f"--tls={self._where.name}"] if self._where else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.replay", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.port = int(self._line().removeprefix(GREETING).rpartition(":")[2])
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self.port}"
        authority = Path(self._where.name, AUTHORITY) if self._where else None
        self.environment: Mapping[str, str] = {"SSL_CERT_FILE": str(authority)} if authority else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()
        if self._where is not None:
            self._where.cleanup()

    def environment_of_client(self) -> dict[str, str]:
        """Our own environment, and the authority to be trusted."""
        return {**os.environ, **self.environment}

    def served(self) -> Served:
        """Ask what was done so far."""
        return self._ask("")

    def quiet(self) -> Served:
        """Have it send no more pings."""
        return self._ask(QUIET)

    def _ask(self, question: str) -> Served:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n")
        return Served(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the replay server ended ({self._process.wait()})")
        return line.strip()


class Server:
    """All connections, in one thread."""

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None, *, every_s: float, ping_s: float
    ) -> None:
        self._script = script
        self._tls = tls
        self._every_s = every_s
        self._ping_s = ping_s
        self._ready = selectors.DefaultSelector()
        self._pulse = Pulse()
        self._pings = Pings()
        self._connections = 0
        self._open = 0
        self._commits = 0
        self._sent_bytes = 0

    def serve(self) -> None:
        """Serve on a free port until standard input ends."""
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            listener.setblocking(False)
            self._ready.register(listener, selectors.EVENT_READ, None)
            self._ready.register(sys.stdin, selectors.EVENT_READ, None)
            print(f"{GREETING}127.0.0.1:{listener.getsockname()[1]}", flush=True)
            while True:
                for key, events in self._ready.select(self._pulse.wait_s(time.monotonic())):
                    if isinstance(key.data, Connection):
                        self._move(key.data, events)
                    elif key.fileobj is listener:
                        self._accept(listener)
                    elif question := sys.stdin.readline():
                        self._report(question.strip())
                    else:
                        return
                self._pulse.beat(time.monotonic())

    def _accept(self, listener: socket.socket) -> None:
        plain, _ = listener.accept()
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = plain if self._tls is None else Secure(plain, self._tls)
        self._connections += 1
        self._open += 1
        connection = Connection(peer, self._script, self._pings, paced=self._every_s > 0)
        self._ready.register(peer, selectors.EVENT_READ, connection)
        now, phase = time.monotonic(), self._connections * _GOLDEN % 1.0
        if self._every_s:
            every_s = self._every_s
            self._pulse.add(now + phase * every_s, every_s, lambda: self._drip(connection))
        if self._ping_s:
            ping_s = self._ping_s
            self._pulse.add(now + phase * ping_s, ping_s, lambda: self._ping(connection))

    def _drip(self, connection: Connection) -> bool:
        if not connection.ended:
            connection.drip()
            self._move(connection, selectors.EVENT_WRITE)
        return not connection.ended

    def _ping(self, connection: Connection) -> bool:
        if self._ping_s and not connection.ended:
            connection.ping()
            self._move(connection, selectors.EVENT_WRITE)
        return bool(self._ping_s) and not connection.ended

    def _move(self, connection: Connection, events: int) -> None:
        commits, sent_bytes = connection.commits, connection.sent_bytes
        if events & selectors.EVENT_WRITE:
            connection.send()
        if events & selectors.EVENT_READ:
            connection.receive()
        self._commits += connection.commits - commits
        self._sent_bytes += connection.sent_bytes - sent_bytes
        if connection.ended:
            self._ready.unregister(connection.peer)
            connection.peer.close()
            self._open -= 1
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self._ready.get_key(connection.peer).events != wanted:
            self._ready.modify(connection.peer, wanted, connection)

    def _report(self, question: str) -> None:
        if question == QUIET:
            self._ping_s = 0.0
        done = Served(
            cpu_s=time.process_time(),
            connections=self._connections,
            commits=self._commits,
            sent_bytes=self._sent_bytes,
            open=self._open,
            pings=self._pings.sent,
            pongs=self._pings.answered,
            longest_pong_s=self._pings.longest_s,
        )
        print(json.dumps(asdict(done)), flush=True)


def allow_sockets() -> None:
    """Let this process and its children have as many open files as they may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Serve as the options say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--utterance-s", type=float, default=5.0)
    parser.add_argument("--delta-bytes", type=int, default=16_384)
    parser.add_argument("--no-context", action="store_true", help="leave context_id out")
    parser.add_argument("--tls", type=Path, metavar="DIR", help="put the authority there")
    parser.add_argument("--every-s", type=float, default=0.0, help="between two messages")
    parser.add_argument("--ping-s", type=float, default=0.0, help="between two pings")
    options = parser.parse_args()
    allow_sockets()
    script = Script(noise(options.utterance_s), options.delta_bytes, context=not options.no_context)
    tls = certify(options.tls) if options.tls else None
    Server(script, tls, every_s=options.every_s, ping_s=options.ping_s).serve()


if __name__ == "__main__":
    main()
