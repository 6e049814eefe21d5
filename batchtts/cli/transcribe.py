"""``batchtts transcribe``: what is said in sound files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchtts.cli.options import PATH
from batchtts.errors import one_line

if TYPE_CHECKING:
    from batchtts.review.transcribe import Transcript


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option(
    "--recognizer",
    metavar="NAME",
    default="local",
    show_default=True,
    help="local needs no key and knows English; together needs TOGETHER_API_KEY.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="ws:// or wss:// address in place of the recognizer's own.",
)
@click.option("--model", metavar="NAME", help="Model that hears.  [default: the recognizer's own]")
@click.option(
    "--language", metavar="TAG", help="What is spoken, such as en.  [default: as it is heard]"
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each file.")
def transcribe(
    files: tuple[Path, ...],
    recognizer: str,
    endpoint: str | None,
    model: str | None,
    language: str | None,
    as_json: bool,
) -> int:
    """Write down what is said in each FILE.

    FILE is WAV, FLAC, Ogg or MP3, of any rate. With one FILE the text is
    written, with several a line for each: the path, a tab and the text. Where
    no words were heard the text is empty. A paid recognizer charges for every
    second of audio.

    \b
    Exit status:
      0    every file was heard
      2    a setting is wrong, a key or a file is missing; nothing was spent
      3    some files could not be heard
      4    the recognizer refuses or cannot be reached
      130  interrupted

    \b
    Examples:
      batchtts transcribe out/demo/wav/lamp-01.wav
      batchtts transcribe --json *.flac > heard.jsonl
      batchtts transcribe --recognizer together --language en talk.mp3
    """
    from batchtts.errors import Exit, UsageError
    from batchtts.job.hearer import Wish
    from batchtts.review import transcribe as review

    for path in files:
        if not path.exists():
            raise UsageError(f"{path}: no such file")
    wish = Wish(recognizer=recognizer, endpoint=endpoint, model=model, language=language)
    hearer = review.find_hearer(wish, os.environ)
    about = {"recognizer": hearer.recognizer.name, "model": hearer.attention.model}
    failed = 0

    def tell(transcript: Transcript) -> None:
        nonlocal failed
        if transcript.error is not None:
            failed += 1
            _complain(str(transcript.error), transcript.error.hint)
            return
        if not transcript.text:
            _complain(f"{transcript.path}: no words were heard")
        if as_json:
            click.echo(json.dumps(_facts(transcript) | about))
        elif len(files) == 1:
            click.echo(one_line(transcript.text))
        else:
            click.echo(f"{one_line(str(transcript.path))}\t{one_line(transcript.text)}")

    review.transcribe(hearer, files, tell)
    if failed and len(files) > 1:
        click.echo(f"{len(files):,} files: {len(files) - failed:,} heard, {failed:,} not", err=True)
    return Exit.SOME_FAILED if failed else Exit.DONE


def _facts(transcript: Transcript) -> dict[str, object]:
    return {
        "path": str(transcript.path),
        "text": transcript.text,
        "audio_s": round(transcript.audio_s, 3),
        "wall_s": round(transcript.wall_s, 3),
    }


def _complain(problem: str, hint: str | None = None) -> None:
    click.echo(f"batchtts: {one_line(problem)}", err=True)
    if hint:
        click.echo(f"  hint: {one_line(hint)}", err=True)
