"""The command line: parse, call, say what went wrong in one line.

Commands are imported when they are called, and import the rest inside their
bodies: ``batchtts --help`` must not pay for pyarrow and trio.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import TracebackType

import click

from batchtts import __version__
from batchtts.errors import BatchttsError, Exit

#: Command → its line in `batchtts --help`.
COMMANDS = {
    "run": "Speak every script that is not spoken yet.",
    "plan": "Say what a run would do and cost; connect to nothing.",
    "status": "Say what has become of a job.",
    "transcribe": "Write down what is said in sound files.",
    "serve": "Be a provider, on this machine.",
    "providers": "List the providers.",
    "voices": "List the voices of a provider.",
    "doctor": "Try a provider, step by step.",
}


class _Group(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"batchtts.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Group,
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
    sys.excepthook = _report_bug
    try:
        status = cli.main(prog_name="batchtts", standalone_mode=False)
    except click.exceptions.Abort:
        status = Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = Exit.USAGE
    except BatchttsError as error:
        _complain(error)
        status = error.exit_code
    except KeyboardInterrupt:
        status = Exit.INTERRUPTED
    sys.exit(int(status or 0))


def _report_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What nobody has caught is a bug: tell everything, and exit with a status of its own."""
    sys.__excepthook__(kind, error, trace)
    click.echo("batchtts: this is a bug in batchtts; nothing that was done is lost", err=True)
    sys.exit(Exit.BUG)


def _complain(error: BatchttsError) -> None:
    """One line on stderr, and the next step on another."""
    click.echo(f"batchtts: {one_line(str(error))}", err=True)
    if error.hint:
        click.echo(f"  hint: {one_line(error.hint)}", err=True)


def one_line(text: str) -> str:
    """Make text fit for a terminal: manifests and providers may hold anything."""
    return "".join(
        each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.splitlines())
    )
