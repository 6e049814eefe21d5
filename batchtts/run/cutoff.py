"""SIGTERM while nobody speaks: it ends what is done meanwhile, as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


@contextmanager
def heeding_sigterm(error: type[BaseException] = Terminated, *details: object) -> Iterator[None]:
    """Let SIGTERM raise in the block, if it is in the main thread and the signal is not ignored.

    Args:
        error, details: What is raised, and what of.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        raise error(*details)

    before = signal.getsignal(signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or before in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
