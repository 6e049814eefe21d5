"""What a run does first: put in order what an earlier one, or somebody else, has left.

A run that was killed leaves word of what it had sent, and perhaps audio that no line
tells of; audio that was taken back may still be there; lines and files may be damaged.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from batchtts.errors import LedgerBroken
from batchtts.job.plan import Ints
from batchtts.model import Result
from batchtts.notices import notice
from batchtts.record import begun, disk
from batchtts.record.begun import Sent
from batchtts.record.hashes import sha256_of
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Place
from batchtts.record.store import Layout
from batchtts.run.memory import Memory, recall

log = logging.getLogger("batchtts.run")


def put_in_order(ledger: Ledger, layout: Layout) -> Memory:
    """Mend the ledger, remove the audio that no line counts, and say what there is.

    Returns:
        What the ledger tells now; its damaged lines are those that were taken out.

    Raises:
        LedgerBroken: it cannot be understood.
        OutputBroken: it cannot be mended here.
    """
    memory = recall(ledger)
    damaged = memory.damaged
    if damaged:
        _heal(ledger, layout, memory)
        memory = recall(ledger)
    if settle(ledger, layout, memory):
        memory = recall(ledger)
    return replace(memory, damaged=damaged)


def settle(ledger: Ledger, layout: Layout, memory: Memory) -> bool:
    """Remove the audio that no line counts, and account for what a killed run had sent.

    Returns:
        Whether the ledger tells more now.

    Raises:
        OutputBroken: it could not be done.
    """
    for result in ledger.results(memory.taken_back):
        _remove(layout.root, result.path if result is not None else None)
    told = list(_settle(ledger, layout, memory))
    if told:
        ledger.append(told)
    return bool(told)


def _heal(ledger: Ledger, layout: Layout, memory: Memory) -> None:
    """Take damaged lines out; the rows that they were about are to be spoken again."""
    damaged = memory.damaged
    log.warning(
        "%s: %d damaged lines (the first is line %d); every file is read, and what they told of"
        " is spoken again",
        *(layout.ledger, len(damaged), damaged[0].number),
        extra=notice("ledger_damaged", lines=len(damaged)),
    )
    known = [each for each in damaged if each.id is not None]
    places = memory.past.find(np.array([hash(each.id) for each in known], dtype=np.int64))
    last = [int(memory.past.addresses[place]) if place >= 0 else -1 for place in places]
    pending = (
        Result(id=f"{each.id}", status="pending")
        for each, address in zip(known, last, strict=True)
        if address < each.address  # else a later line tells what became of the row
    )
    ledger.heal(layout.damaged, pending)


def _settle(ledger: Ledger, layout: Layout, memory: Memory) -> Iterator[Result]:
    """Account for what a killed run had sent; remove what it had put down and not recorded."""
    for sent in begun.left(layout.begun):
        last = _last(ledger, memory, sent.id)
        unsettled = sent.unsettled_by(last)
        if unsettled is not None and (last is None or last.path != sent.path):
            _remove(layout.root, sent.path)
        told = conclusion(ledger, unsettled, last)
        if told is not None:
            yield told


def conclusion(ledger: Ledger, rest: Sent | None, last: Result | None) -> Result | None:
    """The line that ends a take which came to nothing; None if there is nothing to say.

    Args:
        rest: What the ledger does not tell of, if anything.
        last: The last line about the row.
    """
    full = None if last is None else whole(ledger, last)
    if rest is not None and rest.characters_sent:
        return spent(rest, full)
    if full is None or full is last:
        return None
    return msgspec.structs.replace(full, characters_sent=0, cost_usd=0.0)


def whole(ledger: Ledger, last: Result) -> Result:
    """A line with the words and cues that it has left to an earlier one."""
    if last.more_at is None:
        return last
    more = None
    with suppress(LedgerBroken):  # lines that were damaged were taken out: all have moved
        [more] = ledger.results([last.more_at])
    if more is None or (more.id, more.sha256) != (last.id, last.sha256):
        return msgspec.structs.replace(last, more_at=None)
    return msgspec.structs.replace(last, words=more.words, cues=more.cues, more_at=None)


def lightened(last: Result | None, address: int) -> Result | None:
    """The line at *address* for lines that say the same again and again: without what is long."""
    if last is None or last.more_at is not None or not (last.words or last.cues):
        return last
    return msgspec.structs.replace(last, words=None, cues=None, more_at=address)


def spent(sent: Sent, last: Result | None) -> Result:
    """The line about a take that came to nothing: what the last line said, and the spend."""
    last = last or Result(id=sent.id, status="pending", provider=sent.provider, model=sent.model)
    return msgspec.structs.replace(
        last,
        characters_sent=sent.characters_sent,
        cost_usd=sent.cost_usd,
        context=sent.take,
        segment=None,
        take_characters=0,
        take_usd=0.0,
    )


def _last(ledger: Ledger, memory: Memory, row_id: str) -> Result | None:
    [place] = memory.past.find(np.array([hash(row_id)], dtype=np.int64))
    if place < 0:
        return None
    [found] = ledger.results([int(memory.past.addresses[place])])
    return found


def _remove(root: Path, path: str | None) -> None:
    if path:
        with disk.telling(root):
            disk.remove(root / path)


def find_lost(
    ledger: Ledger, root: Path, addresses: Ints, *, thorough: bool
) -> tuple[list[int], list[Result]]:
    """Look whether the audio of finished rows is there, as it was recorded.

    A file whose size and time are as they were is taken for whole, unless
    *thorough*; one with another time is read.

    Returns:
        Places in *addresses* whose audio is gone or not what it was, and lines that
        tell of the new time of those that were read and are whole.
    """
    lost: list[int] = []
    touched: list[int] = []
    order = np.argsort(addresses)  # a ledger is read from its beginning to its end
    with disk.opened_directory(root) as folder:
        for at, place in zip(order, ledger.places(addresses[order]), strict=True):
            found = _look(place, folder)
            if found is None:
                lost.append(int(at))
            elif thorough or found.st_mtime_ns != place.mtime_ns:
                touched.append(int(at))
    if touched:
        told = "reading %d files, to see whether they are what they were"
        log.info(told, len(touched), extra=notice("files_read", files=len(touched)))
    renewed: list[Result | None] = []
    for at, result in zip(touched, ledger.results(addresses[touched].tolist()), strict=True):
        if result is not None and is_whole(result, root):
            renewed.append(_renew(result, root))
        else:
            lost.append(at)
    return sorted(lost), [each for each in renewed if each is not None]


def is_whole(result: Result, root: Path) -> bool:
    """Whether the audio of a result is what it was; reads all of it."""
    try:
        return result.path is not None and sha256_of(root / result.path) == result.sha256
    except OSError:
        return False


def _look(place: Place, folder: int) -> os.stat_result | None:
    try:
        # pathlib takes 3 x longer, the way from the root a tenth.
        found = os.stat(place.path or "", dir_fd=folder)
    except OSError:
        return None
    return found if found.st_size == place.bytes else None


def _renew(result: Result, root: Path) -> Result | None:
    """The same line with the time that the file has now; None if it has that time."""
    mtime_ns = (root / f"{result.path}").stat().st_mtime_ns
    if mtime_ns == result.mtime_ns:
        return None
    return result.restated(mtime_ns=mtime_ns)
