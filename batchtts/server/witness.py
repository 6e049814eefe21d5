"""What the server has served, one JSON object per line, for whoever must prove it.

A line is one write to a file opened for appending, so it is there and whole if
its writer is killed in the next instant, and several servers may share a file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import trio

from batchtts.server.connection import Item
from batchtts.server.conversation import Listen, Say


class Log:
    """A file that grows by two lines per item: `commit`, and later `done`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def close(self) -> None:
        os.close(self._file)

    def write(self, event: str, path: str, connection: int, item: Item) -> None:
        work = item.work
        line: dict[str, object] = {
            "time": time.time(),
            "event": event,
            "path": path,
            "connection": connection,
            "context_id": work.context,
            "item_id": work.item,
            **_asked(work),
            "samples": item.samples,
            "seconds": round(trio.current_time() - item.committed, 6),
            "outcome": item.outcome,
        }
        if item.transcript is not None:
            line["transcript"] = item.transcript
        if work.fault is not None:
            line["fault"] = work.fault
        if isinstance(work, Say) and work.harm is not None:
            line["how"] = work.harm.how
        os.write(self._file, msgspec.json.encode(line) + b"\n")


def _asked(work: Say | Listen) -> dict[str, object]:
    if isinstance(work, Listen):
        return {"model": work.model}
    return {"text": work.text, "voice": work.role.name, "model": work.role.model}


class Page:
    """What one connection writes into a log, if there is one."""

    def __init__(self, log: Log | None, path: str, connection: int) -> None:
        self._log = log
        self._path = path
        self._connection = connection

    def commit(self, item: Item) -> None:
        self._write("commit", item)

    def done(self, item: Item) -> None:
        self._write("done", item)

    def _write(self, event: str, item: Item) -> None:
        if self._log is not None:
            self._log.write(event, self._path, self._connection, item)
