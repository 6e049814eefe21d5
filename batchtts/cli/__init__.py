"""The command line: parse, call, say what went wrong in one line.

Commands are imported when they are called, and import the rest inside their
bodies: ``batchtts --help`` must not pay for pyarrow and trio.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from itertools import pairwise
from types import TracebackType

import click

from batchtts import __version__
from batchtts.cli import streams
from batchtts.cli.flags import Tongue
from batchtts.cli.groups import OnDemand
from batchtts.errors import BatchttsError, Exit, UsageError, one_line

#: Command → its line in `batchtts --help`.
COMMANDS = {
    "book": "Make a manifest of a book.",
    "run": "Speak every script that is not spoken yet.",
    "plan": "Say what a run would do and cost; connect to nothing.",
    "status": "Say what has become of a job.",
    "verify": "Hear what is spoken, and judge every row.",
    "check": "Read everything back, and say what is not as recorded.",
    "export": "Make an audiobook, or subtitles, of what is spoken.",
    "report": "Show what came out as a page, the worst first.",
    "transcribe": "Write down what is said in sound files.",
    "serve": "Be a provider, on this machine.",
    "providers": "List the providers.",
    "voices": "List the voices of a provider.",
    "doctor": "Try a provider, step by step.",
    "selftest": "Prove on this machine that a kill loses nothing.",
}


@click.group(
    cls=OnDemand,
    told=COMMANDS,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 88,
        "auto_envvar_prefix": "BATCHTTS",
        "show_default": True,
    },
    epilog="Start with: batchtts run MANIFEST. It needs no key and no network.",
)
@click.version_option(__version__, prog_name="batchtts")
def cli() -> None:
    """Turn a table of scripts into finished speech, and account for every row."""


def main() -> None:
    """Run the command line and exit with the status of what was done."""
    tongue = Tongue()
    sys.excepthook = partial(_report_bug, tongue)
    streams.mend()
    if os.getpid() == 1:  # of a container, where a signal without a handler is lost
        signal.signal(signal.SIGTERM, lambda *_: os._exit(Exit.TERMINATED))
    try:
        status = cli.main(prog_name="batchtts", standalone_mode=False, obj=tongue)
    except click.exceptions.Abort:
        status = Exit.INTERRUPTED
    except click.ClickException as error:
        _complain_of_usage(error, tongue)
        status = Exit.USAGE
    except BatchttsError as error:
        _complain(error, tongue)
        status = error.exit_code
    except KeyboardInterrupt:
        status = Exit.INTERRUPTED
    sys.exit(int(status or 0))


def _report_bug(
    tongue: Tongue, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What nobody has caught is a bug: tell everything, and exit with a status of its own."""
    told = "this is a bug in batchtts; nothing that was done is lost"
    if tongue.log_format == "json":
        from traceback import format_exception

        _echo_json(told, Exit.BUG, None, traceback="".join(format_exception(kind, error, trace)))
    else:
        sys.__excepthook__(kind, error, trace)
        click.echo(f"batchtts: {told}", err=True)
    sys.exit(Exit.BUG)


def _complain_of_usage(error: click.ClickException, tongue: Tongue) -> None:
    """Like all that is wrong; for machines wherever they ask for it."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    asks = ("--log-format", "json") in pairwise(sys.argv) or "--log-format=json" in sys.argv
    hint = None
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"`{error.ctx.command_path} --help` says what there is"
    told = UsageError(error.format_message(), hint=hint)
    _complain(told, Tongue("json") if asks else tongue)


def _complain(error: BatchttsError, tongue: Tongue) -> None:
    """One line on stderr, and the next step on another."""
    message, hint = one_line(str(error)), one_line(error.hint or "")
    if tongue.log_format == "json":
        _echo_json(message, error.exit_code, hint or None)
        return
    click.echo(f"batchtts: {message}", err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)


def _echo_json(message: str, exit_code: Exit, hint: str | None, **facts: object) -> None:
    from batchtts.cli.talk import spell_error

    click.echo(spell_error(message, exit_code, hint, **facts), err=True)
