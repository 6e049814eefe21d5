"""The server of our own, as a child process for the length of one run.

It listens on a free port with a key that only this run knows, and it ends when
the pipe to its standard input does, also when this process is killed, and at no signal.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field

import trio

from batchtts.errors import ProviderDown

START_S = 30.0
STOP_S = 5.0

GREETING = "listening on "


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running server: where it is and what opens it."""

    process: trio.Process
    url: str
    key: str = field(repr=False)

    async def watch(self) -> None:
        """Wait for the server to end, which it must not.

        Raises:
            ProviderDown: it has ended.
        """
        status = await self.process.wait()
        raise ProviderDown(f"the voice server on this machine has ended ({status})")

    async def end(self) -> None:
        """Close its standard input and wait; kill it if that is not enough."""
        with trio.CancelScope(shield=True):
            assert self.process.stdin is not None
            await self.process.stdin.aclose()
            with trio.move_on_after(STOP_S):
                await self.process.wait()
                return
            self.process.kill()
            await self.process.wait()


async def start() -> LocalServer:
    """Start the server and wait until it listens.

    Raises:
        ProviderDown: it did not start.
    """
    key = secrets.token_urlsafe(24)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "batchtts", "serve", "--port", "0", "--attached"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**_environment(), "BATCHTTS_SERVE_KEY": key},
        start_new_session=True,  # Ctrl-C is for the run, which then drains
    )
    with trio.move_on_after(START_S):
        line = await _first_line(process)
        if line.startswith(GREETING):
            return LocalServer(process, line.removeprefix(GREETING), key)
    process.kill()
    raise ProviderDown(
        "the voice server on this machine did not start", hint="try `batchtts serve` by hand"
    )


def _environment() -> dict[str, str]:
    """That of this process, without what is meant for a server that somebody starts by hand."""
    told = os.environ.items()
    return {name: value for name, value in told if not name.startswith("BATCHTTS_SERVE_")}


async def _first_line(process: trio.Process) -> str:
    assert process.stdout is not None
    said = b""
    while b"\n" not in said:
        more = await process.stdout.receive_some()
        if not more:
            break
        said += more
    return said.decode(errors="replace").partition("\n")[0].strip()
