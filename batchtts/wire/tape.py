"""Conversations on disk, as they are said: one file for each connection.

The lines of a file begin with

    #   a remark; the first line says who was talked with, when and about what
    @   how what follows is to be spoken (JSON, the fields of `Manner`)
    =   we are asked for a script: its context, then the script as JSON
    >   we say
    <   the provider says; ``< binary BASE64`` in a binary message, and
        ``< close 1000 REASON`` is the end of the connection
    ~   silence, until our patience runs out or the quiet window is over

so that what was recorded can be replayed without a provider. The key is never
in it, however it is spelled; the script is masked on request. Lines are written
by the task that talks: a directory that is slow makes the run slow.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
import pybase64

from batchtts import __version__
from batchtts.errors import SettingsError
from batchtts.notices import notice
from batchtts.wire.provider import Manner, Provider, Vocabulary
from batchtts.wire.redact import Screen, Secret, mask

#: A close without a code (RFC 6455, section 7.1.5).
_NO_CODE = 1006

#: What a line of the provider's begins with when it is no text message.
_MARKS = ("binary ", "close ")

#: Scripts of a connection that the provider may still tell something of.
_REMEMBERED = 8

_IS_MASKED = "the script is masked, x for a letter; what we say is what we would say for that"

log = logging.getLogger(__name__)


def prepare(directory: Path) -> None:
    """Make a directory for recordings, and make sure that it takes files.

    Raises:
        SettingsError: it does not.
    """
    probe = directory / f".{os.getpid()}.probe"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        told = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"record {directory}: {told.lower()}") from None


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Makes the tapes of one run.

    Attributes:
        key: What must not be on a tape.
        keeps_scripts: Whether scripts are on the tapes as they are, or masked.
        is_broken: The directory takes nothing any more; the run goes on without.
    """

    directory: Path
    provider: Provider
    key: str | None = field(default=None, repr=False)
    keeps_scripts: bool = True
    is_broken: bool = False
    secret: Secret | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.secret = Secret(self.key) if self.key else None

    def tape(self, number: int, manner: Manner) -> FileTape:
        """Return the tape of one connection of the worker with this number."""
        return FileTape(self, number, manner)

    def create(self, number: int) -> BinaryIO | None:
        """Create a file that no other connection of any run has; None if that cannot be done."""
        now_us = time.time_ns() // 1000
        while not self.is_broken:
            seconds, us = divmod(now_us, 1_000_000)
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
            name = re.sub(r"\W", "_", self.provider.name)
            path = self.directory / f"{name}-{stamp}.{us:06}-w{number:04}.txt"
            try:
                with suppress(FileExistsError):
                    return path.open("xb")
            except OSError as error:
                self.fail(error)
            now_us += 1
        return None

    def fail(self, error: OSError) -> None:
        """Record nothing more: what is spoken is worth more than what is written about it."""
        if self.is_broken:
            return  # said once, by the first of many connections
        self.is_broken = True
        told = os.strerror(error.errno) if error.errno else str(error)
        problem = notice("recording_stops", "tape")
        log.warning("recording stops: %s: %s", self.directory, told.lower(), extra=problem)


class FileTape:
    """What is said on one connection, line by line in a file; see the module."""

    def __init__(self, recorder: Recorder, number: int, manner: Manner) -> None:
        self._recorder = recorder
        self._secret = recorder.secret
        self._number = number
        self._manner = manner
        self._file: BinaryIO | None = None
        self._scripts: deque[str] = deque(maxlen=_REMEMBERED)
        self._screen: Screen | None = None if recorder.keeps_scripts else Screen(())
        self._is_said = False  # what we say now is on the tape already, masked

    def turn(self, manner: Manner) -> None:
        """Go on in another manner."""
        if manner != self._manner:
            self._manner = manner
            self._write("@", _spell(manner))

    def opened(self, resource: str) -> None:
        """Begin the file: only a connection that came about has one."""
        self._file = self._recorder.create(self._number)
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        name = self._recorder.provider.name
        self._write("#", f"{name} by batchtts {__version__} at {began}: {resource}")
        if self._screen is not None:
            self._write("#", _IS_MASKED)
        self._write("@", _spell(self._manner))

    def asked(self, context: str, script: str) -> None:
        """Write down a script, or its mask and what would be said for that."""
        told = script if self._screen is None else mask(script)
        self._write("=", f"{context} {json.dumps(told, ensure_ascii=False)}")
        if self._screen is None:
            return
        self._scripts.append(script)
        self._screen = Screen(self._scripts)
        self._is_said = False
        for message in self._dialect().speak(told, context):
            self.sent(message)
        self._is_said = True

    def sent(self, message: str) -> None:
        """Write down what we say."""
        if not self._is_said:
            self._write_message(">", message)

    def received(self, message: str | bytes) -> None:
        """Write down what the provider says."""
        self._is_said = False
        if isinstance(message, bytes) and not _is_text(message):
            told = pybase64.b64encode(message).decode()
            self._write("#", f"< in bytes that are no text, here in base64: {told}")
            return
        text = message if isinstance(message, str) else message.decode()
        self._write_message("<", text if self._screen is None else self._screen.mask(text))

    def received_binary(self, payload: bytes) -> None:
        """Write down a binary message of the provider's."""
        self._is_said = False
        shown = self._secret.out_of_bytes(payload) if self._secret else payload
        self._write("<", f"binary {pybase64.b64encode(shown).decode()}")

    def waited(self) -> None:
        """Write down that nothing was said."""
        self._is_said = False
        self._write("~", "")

    def closed(self, code: int | None, reason: str) -> None:
        """Write down how the connection was closed."""
        self._is_said = False
        told = reason if self._screen is None else self._screen.mask(reason)
        self._write("<", f"close {_NO_CODE if code is None else code} {_flat(told)}".rstrip())

    def ended(self) -> None:
        """End the file."""
        if self._file is not None:
            with suppress(OSError):  # every line was flushed
                self._file.close()
            self._file = None

    def _dialect(self) -> Vocabulary:
        return self._recorder.provider.dialect(self._manner)

    def _write_message(self, who: str, message: str) -> None:
        """Write a message on one line; between the parts of JSON a line break is a space."""
        flat = _flat(message)
        if flat.startswith(_MARKS):
            flat = f" {flat}"
        if flat != message and not _is_json(message):
            self._write("#", "the next line is no JSON, and had other white space")
        self._write(who, flat)

    def _write(self, who: str, text: str) -> None:
        """Write a line and let go of it; the crash of this process does not take it back."""
        if self._file is None:
            return
        shown = _flat(self._secret.out_of(text) if self._secret else text)
        line = f"{who} {shown}\n" if shown else f"{who}\n"
        try:
            self._file.write(line.encode(errors="backslashreplace"))
            self._file.flush()
        except OSError as error:
            self._recorder.fail(error)
            self.ended()


def _spell(manner: Manner) -> str:
    """The fields of a manner that are not what they are by default, as JSON."""
    voice = manner.voice
    told: dict[str, object] = {"voice": [voice.name, voice.model, voice.language]}
    usual = Manner(voice=voice)
    for name in ("speed", "word_timestamps", "options"):
        value = getattr(manner, name)
        if value != getattr(usual, name):
            told[name] = value
    return msgspec.json.encode(told).decode()


def _flat(text: str) -> str:
    return text.replace("\r\n", "  ").replace("\n", " ").replace("\r", " ")


def _is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_json(message: str) -> bool:
    try:
        json.loads(message)
    except (ValueError, RecursionError):
        return False
    return True
