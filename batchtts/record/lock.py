"""One run at a time on an output directory.

The lock is the operating system's, so a process that died in any way holds
none. Who holds it stands in a file beside it, for people only.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import filelock
import msgspec

from batchtts.errors import OutputInUse


class Holder(msgspec.Struct):
    """Who runs here."""

    pid: int
    host: str
    since: str


@contextmanager
def hold(directory: Path, *, shown_as: Path) -> Iterator[None]:
    """Hold the lock that lives in *directory* for as long as the block runs.

    Raises:
        OutputInUse: another process holds it.
    """
    lock = filelock.FileLock(directory / "lock", blocking=False)
    holder = directory / "holder.json"
    try:
        lock.acquire()
    except filelock.Timeout:
        raise OutputInUse(
            f"{shown_as} is in use{_who(holder)}",
            hint=f"`batchtts status {shown_as}` says how far it is; wait, or stop it",
        ) from None
    try:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        me = Holder(pid=os.getpid(), host=socket.gethostname(), since=now)
        holder.write_bytes(msgspec.json.encode(me))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    try:
        who = msgspec.json.decode(holder.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return " by another run"
    return f" by pid {who.pid} on {who.host} since {who.since}"
