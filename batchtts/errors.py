"""What went wrong, named by how much work it costs.

    BatchttsError
    ├── UsageError          exit 2    the command or its files are wrong; nothing was spent
    │   ├── ManifestError
    │   └── SettingsError
    ├── RunError            exit 4    the run was refused or broken
    │   ├── Unauthorized, QuotaExhausted, ProviderDown, ManifestChanged, LedgerBroken, OutputBroken
    │   └── OutputInUse     exit 11   another run holds the output directory
    └── UtteranceError      the row is failed, the run goes on
        ├── ScriptRejected, VoiceUnavailable
        ├── ProcessDied
        ├── BudgetSpent     the row is left for another run
        └── AttemptError    another attempt may succeed
            └── NotConnected, RateLimited, SessionLost, Stalled, SynthesisFailed,
                RemoteProtocolError, BadAudio, Truncated

Each is caught in one place: AttemptError by the retry loop, UtteranceError by the
worker, RunError by the speech of a run until its books are closed, BatchttsError by
the command line. What comes after a run sees them all and lets them go on.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

Caught = TypeVar("Caught", bound=BaseException)


class Exit(IntEnum):
    """The exit status of every command; any other number is a failure too."""

    DONE = 0
    USAGE = 2
    SOME_FAILED = 3
    BROKEN = 4
    LIMIT = 5
    IN_USE = 11
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class BatchttsError(Exception):
    """Something that a person can act on; shown as one line, never as a traceback."""

    exit_code: Exit = Exit.BUG

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        #: The next step for the person at the terminal.
        self.hint = hint


class UsageError(BatchttsError):
    """The command or its files are wrong; nothing was spent."""

    exit_code = Exit.USAGE


class ManifestError(UsageError):
    """A manifest that cannot be used; nothing has been tried.

    Args:
        path: The manifest as the user named it.
        problem: What is wrong, with the values.
        row: The data row, counted from 1; a header is not a row.
    """

    def __init__(
        self, path: object, problem: str, *, row: int | None = None, hint: str | None = None
    ) -> None:
        where = f"{path}" if row is None else f"{path}, row {row}"
        super().__init__(f"{where}: {problem}", hint=hint)


class SettingsError(UsageError):
    """A flag, an environment variable or a key of a job file that cannot be used."""


class RunError(BatchttsError):
    """The run was refused or broken; what is done stays done."""

    exit_code = Exit.BROKEN


class Unauthorized(RunError):
    """The provider refused the key."""


class QuotaExhausted(RunError):
    """The account has nothing left to spend."""


class ProviderDown(RunError):
    """Nobody answers, or every attempt of every worker has failed for too long."""


class ManifestChanged(RunError):
    """The manifest is not the file that was read at the start of the run."""


class LedgerBroken(RunError):
    """The ledger holds something that no version of batchtts known here has written."""


class OutputBroken(RunError):
    """The output directory does not take what must be written: full, read-only, failing."""


class OutputInUse(RunError):
    """Another run holds the output directory."""

    exit_code = Exit.IN_USE


class UtteranceError(BatchttsError):
    """This row is failed; the run goes on."""

    exit_code = Exit.SOME_FAILED

    #: Stable short name, written to the ``error_code`` column of the results.
    code = "utterance"


class ScriptRejected(UtteranceError):
    """No attempt will ever make this script into speech."""

    code = "script_rejected"


class VoiceUnavailable(UtteranceError):
    """The provider does not have this voice, model or language."""

    code = "voice_unavailable"


class ProcessDied(UtteranceError):
    """What looks at finished speech on this machine has died of this row, twice."""

    code = "process_died"


class BudgetSpent(UtteranceError):
    """This row would cost more than the run may spend yet; it is left as it is."""

    code = "budget"


class AttemptError(UtteranceError):
    """This attempt is lost and its session with it; another one may succeed."""

    code = "attempt"
    #: Whether the attempt uses up one of the row's attempts: it does as soon as
    #: the provider may have been given the script.
    charged = True

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        #: Seconds the provider asked us to wait, if it said so.
        self.retry_after_s = retry_after_s


class NotConnected(AttemptError):
    """No session came about; the script never left this machine."""

    exit_code = Exit.BROKEN
    code = "not_connected"
    charged = False


class RateLimited(AttemptError):
    """The provider refuses for now: too many requests, or no capacity."""

    code = "rate_limited"
    charged = False
    #: Whether the next attempt has to wait for a slot in flight, which is pause enough.
    queues_again = False


class SessionLost(AttemptError):
    """The connection closed before the provider's own end marker, whatever the code."""

    code = "session_lost"


class Stalled(AttemptError):
    """Our patience ran out."""

    code = "stalled"


class SynthesisFailed(AttemptError):
    """The provider says that it failed."""

    code = "synthesis_failed"


class RemoteProtocolError(AttemptError):
    """The provider said something that its protocol does not have."""

    code = "protocol"


class BadAudio(AttemptError):
    """Audio that cannot be what was asked for: silent, or not whole samples."""

    code = "bad_audio"


class Truncated(AttemptError):
    """Audio too short for its script."""

    code = "truncated"


class LocalProtocolError(Exception):
    """A bug in batchtts: something was driven out of order. Never caught."""


def one_line(text: str) -> str:
    """Make text fit for a terminal: manifests and providers may hold anything."""
    return "".join(
        each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.splitlines())
    )


def leaves(group: BaseExceptionGroup[Caught]) -> list[Caught]:
    """Return the errors of a group of any depth, in order."""
    found: list[Caught] = []
    for error in group.exceptions:
        found.extend(leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
