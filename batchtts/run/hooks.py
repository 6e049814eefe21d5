"""What somebody else does when a run has ended: commands, and a web address that is asked for.

Nothing here can change how a run ended: what fails is one warning.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPMessage
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import urljoin, urlsplit

from batchtts import __version__
from batchtts.errors import one_line
from batchtts.job import ping
from batchtts.job.durations import spell
from batchtts.notices import notice

log = logging.getLogger(__name__)

PING_S = 10.0
TOLD_BYTES = 64 * 1024  # of what a command says; the end of it
TOLD_CHARS = 200  # of what went wrong with a ping


def call(
    name: str, command: str | Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> None:
    """Run a command to its end; what it says becomes log lines.

    Args:
        name: Of the hook, for people.
        command: A string is for ``sh -c``.
    """
    words = ["/bin/sh", "-c", command] if isinstance(command, str) else [*command]
    try:
        with TemporaryFile() as said:
            problem = _wait(words, environment, timeout_s, said)
            level = logging.WARNING if problem else logging.INFO
            for line in _lines(said):
                log.log(level, "%s", line, extra=notice("hook_output", name))
    except (OSError, ValueError) as error:  # nothing to start, or a name that no system has
        problem = (getattr(error, "strerror", None) or str(error)).lower()
    if problem:
        failed = notice("hook_failed", hook=name, problem=problem)
        log.warning("%s failed: %s", name, problem, extra=failed)


def _wait(
    words: Sequence[str], environment: Mapping[str, str], timeout_s: float, said: IO[bytes]
) -> str | None:
    """Wait for a command, kill all of it if it takes too long; return what went wrong."""
    process = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )
    try:
        status = process.wait(min(timeout_s, threading.TIMEOUT_MAX))
    except subprocess.TimeoutExpired:
        return f"killed after {spell(timeout_s)}"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status < 0:
        return f"ended by signal {-status}"
    return f"exit status {status}" if status else None


def _lines(said: IO[bytes]) -> list[str]:
    said.seek(max(0, said.seek(0, os.SEEK_END) - TOLD_BYTES))
    return [one_line(line) for line in said.read().decode(errors="replace").splitlines()]


class _NotElsewhere(urllib.request.HTTPRedirectHandler):
    """Follows where it is sent, unless that is another scheme."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse to leave the scheme, above all from https to something open."""
        target = urlsplit(urljoin(req.full_url, newurl))
        if target.scheme != urlsplit(req.full_url).scheme:
            raise urllib.error.URLError(f"it redirects to {target.scheme}://")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def tell(url: str, status: int, timeout_s: float = PING_S) -> None:
    """Ask for an address, which thereby hears how the run ended."""
    problems = ["no answer"]
    asking = threading.Thread(
        target=_ask, args=(ping.address(url, status), timeout_s, problems), daemon=True
    )
    asking.start()
    asking.join(timeout_s)  # looking up a name, or a slow answer, has no deadline of its own
    for problem in tuple(problems):
        failed = notice("ping_failed", url=ping.shown(url), problem=problem)
        log.warning("ping_url %s: %s", ping.shown(url), problem, extra=failed)


def _ask(url: str, timeout_s: float, problems: list[str]) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": f"batchtts/{__version__}"})
    try:
        with urllib.request.build_opener(_NotElsewhere).open(request, timeout=timeout_s):
            problems.clear()
    except urllib.error.HTTPError as error:
        problems[:] = [f"status {error.code}"]
    except urllib.error.URLError as error:
        told = getattr(error.reason, "strerror", None) or error.reason
        problems[:] = [one_line(str(told)).lower()[:TOLD_CHARS]]
    except (OSError, ValueError, HTTPException) as error:
        problems[:] = [one_line(str(error) or type(error).__name__).lower()[:TOLD_CHARS]]
