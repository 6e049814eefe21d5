"""`batchtts serve`: a provider of our own, in the foreground."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from batchtts.cli.options import Number, Whole


@click.command(short_help="Serve the voices of this machine.")
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen."
)
@click.option(
    "--port",
    type=Whole(0, 65535),
    metavar="N",
    default=8765,
    show_default=True,
    help="0 picks a free one.",
)
@click.option(
    "--engine",
    type=click.Choice(["hibari", "nanotts", "tone"]),
    default="hibari",
    show_default=True,
    help="hibari speaks with nanotts beside it; nanotts alone; tone is for tests.",
)
@click.option(
    "--workers",
    type=Whole(1, 64),
    metavar="N",
    help="Processes per engine and recognizer.  [default: one per processor, at most 4]",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append a line of JSON when a text is committed, and when its audio is sent.",
)
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Serve wss:// with this certificate, in PEM; its issuers may follow it.",
)
@click.option(
    "--private-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The key of the certificate, in PEM, not encrypted.",
)
@click.option(
    "--faults",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML that says what goes wrong, and how often; see the README.",
)
@click.option(
    "--idle-timeout",
    "idle_s",
    type=Number(0, min_open=True),
    metavar="SECONDS",
    help="Without a message of the client.  [default: as each protocol has it]",
)
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when standard input ends.")
@click.option("--attached", is_flag=True, hidden=True, help="The same, and at no signal.")
def serve(
    host: str,
    port: int,
    engine: str,
    workers: int | None,
    log: Path | None,
    certificate: Path | None,
    private_key: Path | None,
    faults: Path | None,
    idle_s: float | None,
    until_eof: bool,
    attached: bool,
) -> None:
    """Serve the voices of this machine until interrupted.

    Answers at ws://ADDRESS:N in the protocols of Together, for speech and for
    transcription, of Telnyx and of Smallest, each at the vendor's own path, with
    the voices that need no key and no network. The first line on standard output
    says where it listens. Any key is taken, unless BATCHTTS_SERVE_KEY is set;
    without that, only this machine is served.

    \b
    Exit status:
      2    the port is in use, or the options or FILE are wrong
      130  interrupted; 143 terminated

    \b
    Examples:
      batchtts serve
      batchtts serve --port 0 --engine tone --log served.jsonl
      batchtts serve --faults weather.toml
      batchtts serve --certificate server.pem --private-key server.key
    """
    import trio

    from batchtts.server.app import Settings
    from batchtts.server.foreground import stay

    settings = Settings(
        host=host,
        port=port,
        engine=engine,
        workers=workers,
        key=os.environ.get("BATCHTTS_SERVE_KEY") or None,
        log=log,
        certificate=certificate,
        private_key=private_key,
        faults=faults,
        idle_s=idle_s,
        until_eof=until_eof or attached,
    )
    if attached:  # whoever signals a whole service means the run, which still needs a voice
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    raise SystemExit(trio.run(stay, settings))
