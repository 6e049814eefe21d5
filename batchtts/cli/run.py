"""``batchtts run``: the command that this is all about."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import click

from batchtts.cli.flags import Flag, Sectioned, Tongue
from batchtts.cli.options import (
    PATH,
    choosing,
    keeping,
    limiting,
    pacing,
    picking,
    reading,
    reviewing,
    speaking,
    telling,
)
from batchtts.errors import SettingsError


@click.command(cls=Sectioned)
@click.argument("manifest", type=PATH)
@reading
@click.option(
    "--show-settings",
    cls=Flag,
    is_flag=True,
    help="Print every setting and where it comes from; run nothing.",
)
@choosing
@speaking
@picking
@keeping
@limiting
@pacing
@reviewing
@telling
@click.pass_context
def run(ctx: click.Context, /, manifest: Path, show_settings: bool, **flags: object) -> int:
    """Speak every script in MANIFEST that is not spoken yet.

    MANIFEST is a CSV, TSV, JSONL or Parquet table (plain or .gz) with a column
    of ids and one of texts, or a job file (.toml) that names one. Run the same
    command again after a crash, a kill or a full disk: what is recorded as done
    is not spoken again, and what failed is tried again.

    A flag beats the environment (BATCHTTS_RUN_MAX_COST=5 is --max-cost 5), that
    beats the job file, and that the default.

    \b
    Exit status:
      0    every row is done
      2    the command, the job file or the manifest is wrong; nothing was spent
      3    finished, but some rows failed; they are in failed.parquet
           (with --verify also if what was heard is not what a script says)
      4    the run was refused or broken: key, quota, provider down, disk full
      5    stopped by a limit: work is left, run again
      11   another run holds the output directory
      70   a bug in batchtts
      130  interrupted; 143 terminated (both after draining)
      Any other status is a failure, too.

    \b
    Examples:
      batchtts run jobs/demo.csv
      batchtts run corpus.parquet --provider together --max-cost 5
      batchtts run book.csv -o out/book --column id=line,text=words
      batchtts run jobs/nightly.toml --show-settings
    """
    # Before pyarrow is imported: its own allocator keeps tens of megabytes that nobody uses.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from batchtts.cli import talk
    from batchtts.job.salvage import salvage
    from batchtts.job.settings import load
    from batchtts.run.aftermath import aftermath
    from batchtts.run.job import run as run_job

    # What is imported stays, and audio makes no cycles: looking for some after
    # every 700 objects took a tenth of a run's processor time.
    gc.freeze()
    gc.set_threshold(50_000)
    try:
        job = load(manifest, flags)
    except SettingsError:
        if not show_settings:
            refused = salvage(manifest, flags, ctx.ensure_object(Tongue).log_format)
            talk.begin(refused)
            with aftermath(refused):
                raise
        raise
    if show_settings:
        from batchtts.cli.sources import show

        show(ctx, manifest, job)
        return 0
    ctx.ensure_object(Tongue).log_format = job.log_format
    progress = talk.begin(job)
    summary = run_job(job, progress=progress)
    talk.conclude(summary, job)
    return summary.exit_code
