"""``batchtts verify``: is what was spoken what the scripts say?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchtts.cli.options import PATH
from batchtts.errors import Exit, UsageError

if TYPE_CHECKING:
    from batchtts.verify.audition import Outcome
    from batchtts.verify.calling import Audition


@click.command()
@click.argument("out", type=PATH)
@click.option(
    "--recognizer",
    metavar="NAME",
    default="local",
    show_default=True,
    help="Who hears: local (English), together, faster-whisper, or none.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="ws:// or wss:// address in place of the recognizer's own.",
)
@click.option("--model", metavar="NAME", help="Model that hears.  [default: the recognizer's own]")
@click.option(
    "--second",
    metavar="NAME",
    help="Who is asked before a row fails; none is nobody.  [default: faster-whisper, if there]",
)
@click.option("--mos", is_flag=True, help="Also say how natural each row sounds, from 1 to 5.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")
@click.option("--json", "as_json", is_flag=True, help="The outcome for machines.")
def verify(out: Path, quiet: bool, as_json: bool, **flags: Any) -> int:  # noqa: ANN401
    """Hear what was spoken in the output directory OUT, and judge every row.

    What a recognizer hears is compared with the script, by words and, in English,
    by phonemes; what was measured in the audio counts, too. Every row is compared
    with what is usual for its voice, and is pass, suspect or fail, with reasons;
    or unverified, if its language is not known. It all goes into results.parquet.

    Run it again after a kill, or when more was spoken: what was heard is not heard
    again. A paid recognizer charges for every second of audio. `batchtts run
    --verify --retakes 3` does the same, and speaks again what fails.

    \b
    Exit status:
      0    no row fails
      2    a setting is wrong, or there are no results of this version
      3    some rows fail, or could not be heard
      4    the recognizer refuses, cannot be reached, or nothing can be written
      11   a run holds the output directory
      130  interrupted; 143 terminated; what was heard is kept

    \b
    Examples:
      batchtts verify out/demo
      batchtts verify out/demo --mos --second none
      batchtts verify out/book --recognizer faster-whisper --model base
    """
    from batchtts.cli import talk
    from batchtts.record.ledger import Ledger
    from batchtts.record.store import Layout, occupy
    from batchtts.verify.audition import verify as listen

    if not Layout(out).ledger.is_file():
        told = "no ledger in it" if out.is_dir() else "no such directory"
        raise UsageError(f"{out}: {told}", hint="`batchtts run MANIFEST` makes one")
    progress = talk.show(is_quiet=quiet or as_json)
    with occupy(out) as layout, Ledger.open(layout.ledger) as ledger:
        outcome = listen(layout, ledger, _audition(**flags), progress)
    if as_json:
        click.echo(json.dumps(_facts(outcome)))
    elif not quiet:
        for line in _closing_lines(out, outcome):
            click.echo(line, err=True)
    if outcome.broken is not None:
        raise outcome.broken
    if outcome.stopped_by is not None:
        return 128 + outcome.stopped_by
    is_bad = outcome.tally.verdict["fail"] or outcome.verified.unheard
    return Exit.SOME_FAILED if is_bad else Exit.DONE


def _audition(
    recognizer: str, endpoint: str | None, model: str | None, second: str | None, mos: bool
) -> Audition:
    from batchtts.job.hearer import Wish
    from batchtts.verify.calling import Audition

    wish = Wish(recognizer=recognizer, endpoint=endpoint, model=model)
    return Audition(
        ear=None if recognizer == "none" else wish,
        second=second,
        mos=mos,
        environment=os.environ,
    )


def _facts(outcome: Outcome) -> dict[str, Any]:
    verified = outcome.verified
    return {
        "heard": verified.heard,
        "heard_s": round(verified.heard_s, 3),
        "unheard": verified.unheard,
        "verdicts": {it: n for it, n in outcome.tally.verdict.items() if n},
        "failing": sorted(verified.failing),
    }


def _closing_lines(out: Path, outcome: Outcome) -> list[str]:
    verified, verdicts = outcome.verified, outcome.tally.verdict
    told = [f"{verdicts[it]:,} {it}" for it in ("pass", "suspect", "fail", "unverified")]
    lines = [f"{', '.join(it for it in told if not it.startswith('0 '))}"]
    if verified.heard:
        lines[0] += f"; {verified.heard:,} rows heard, {verified.heard_s:,.1f} s of audio"
    if verified.unheard:
        lines.append(f"{verified.unheard:,} rows could not be heard: see above")
    if verdicts["fail"] or verdicts["suspect"]:
        lines.append(f"batchtts report {out} shows them")
    return lines
