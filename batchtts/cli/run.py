"""``batchtts run``: the command that this is all about."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from batchtts.cli.options import PATH, choosing, reading, speaking


@click.command()
@click.argument("manifest", type=PATH)
@reading
@choosing
@speaking
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="WebSockets open at once.  [default: the provider's, see `batchtts providers`]",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Requests at the provider at once.  [default: the provider's, or as many as workers]",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Tries at one segment.  [default: 4]",
)
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long a stopped run may finish what is in flight.  [default: 30]",
)
@click.option(
    "--record",
    type=PATH,
    metavar="DIR",
    help="Write every conversation with the provider to a file in DIR, without the key.",
)
@click.option(
    "--record-scripts/--no-record-scripts",
    default=None,
    help="With the scripts, or with an x for each of their letters.  [default: with]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")
@click.option("--verbose", is_flag=True, help="Tell of every attempt that failed.")
def run(manifest: Path, quiet: bool, verbose: bool, **flags: object) -> int:
    """Speak every script in MANIFEST that is not spoken yet.

    MANIFEST is a CSV, TSV, JSONL or Parquet table (plain or .gz) with a column
    of ids and one of texts, or a job file (.toml) that names one. Run the same
    command again after a crash, a kill or a full disk: what is recorded as done
    is not spoken again, and what failed is tried again.

    \b
    Exit status:
      0    every row is done
      2    the command, the job file or the manifest is wrong; nothing was spent
      3    finished, but some rows failed; they are in failed.parquet
      4    the run was refused or broken: key, quota, provider down, disk full
      5    stopped by a limit: work is left, run again
      11   another run holds the output directory
      70   a bug in batchtts
      130  interrupted; 143 terminated (both after draining)
      Any other status is a failure, too.

    \b
    Examples:
      batchtts run jobs/demo.csv
      batchtts run corpus.parquet --provider together --workers 16
      batchtts run book.csv -o out/book --column id=line,text=words
    """
    from batchtts.cli import talk
    from batchtts.job.settings import load
    from batchtts.run.job import run as run_job

    # What is imported stays, and audio makes no cycles: looking for some after
    # every 700 objects took a tenth of a run's processor time.
    gc.freeze()
    gc.set_threshold(50_000)
    progress = talk.begin(quiet=quiet, verbose=verbose)
    job = load(manifest, flags)
    summary = run_job(job, progress=progress)
    talk.conclude(summary, quiet=quiet)
    return summary.exit_code
