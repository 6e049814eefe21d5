"""A server in somebody's terminal: its first line, its signals, its exit status."""

from __future__ import annotations

import os
import signal
import sys

import trio

from batchtts.errors import Exit, UsageError
from batchtts.server.app import Settings, serve
from batchtts.server.casting import Casting, installed_engines

_STATUS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


async def stay(settings: Settings) -> Exit:
    """Serve until a signal, or the end of standard input; return the exit status.

    Raises:
        UsageError: It cannot be served like that.
    """
    ends: list[Exit] = []
    refusals: list[BaseException] = []
    try:
        async with trio.open_nursery() as nursery:
            if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
                await nursery.start(_end_at_signal, ends, nursery.cancel_scope)
            if settings.until_eof:
                nursery.start_soon(_end_at_eof, ends, nursery.cancel_scope)
            _announce(settings, await nursery.start(serve, settings))
    except* UsageError as group:
        refusals.extend(group.exceptions)
    if refusals:
        raise refusals[0]
    return ends[0]


def _announce(settings: Settings, port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "ws" if settings.certificate is None else "wss"
    try:
        sys.stdout.write(f"listening on {scheme}://{host}:{port}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever started us is gone; what is left in the buffer must go, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    casting = Casting(settings.engine, installed_engines())
    if not settings.until_eof:
        sys.stderr.write(f"{casting.notice}; Ctrl-C stops\n")
        sys.stderr.flush()


async def _end_at_signal(
    ends: list[Exit], serving: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(*_STATUS) as signals:
        task_status.started()
        async for number in signals:
            ends.append(_STATUS[signal.Signals(number)])
            serving.cancel()


async def _end_at_eof(ends: list[Exit], serving: trio.CancelScope) -> None:
    await trio.to_thread.run_sync(_read_to_the_end, abandon_on_cancel=True)
    ends.append(Exit.DONE)
    serving.cancel()


def _read_to_the_end() -> None:
    """Wait in a thread: the event loop cannot wait for every kind of standard input."""
    while os.read(0, 4096):
        pass
