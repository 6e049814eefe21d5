"""What exact checks find of damaged speech, and what they take for damaged and is not.

    python -m benchmarks.detection [--rows 300] [--seed 2] [--voice af_heart] [--undamaged]

Rows of made-up English are spoken by `batchtts run` with a voice of this machine, every
other one of them is damaged, and all are judged twice: as a run judges, in their order,
with what is known so far; and when all rows are known, as a corpus is verified. With
--undamaged, the voices of nanotts, too, speak rows of any length, and none is damaged.

Damage is done here, to the audio that a run has left, so that a run's own retries do not
hide what it finds.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
import wave
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import get_args

from batchtts.errors import AttemptError, Exit
from batchtts.model import Judgement, Voice
from batchtts.review.checks import Findings, check, examine, find_fault
from batchtts.review.norms import Key, Norms
from batchtts.server.damage import How, damage
from benchmarks import measure, prose

HOWS: tuple[How, ...] = get_args(How)
OTHER: How = "other"

CAUGHT, FALSE_ALARMS = 0.60, 0.02  # what was promised: at least, and at most

HEART = Voice("af_heart", "hibari", "en-us")
NANOTTS = tuple(
    Voice(name, "nanotts", language)
    for name, language in (
        ("pico_gb", "en-gb"),
        ("pico_de", "de"),
        ("pico_es", "es"),
        ("pico_fr", "fr"),
        ("pico_it", "it"),
    )
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A row and its audio."""

    script: str
    pcm: bytes
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged; *how* it was damaged, or an empty text."""

    script: str
    how: str
    findings: Findings


def main() -> None:
    """Speak, damage, judge and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("--rows", type=int, default=300, help="half of them undamaged")
    parser.add_argument("--seed", type=int, default=2, help="of the texts and of the damage")
    parser.add_argument("--undamaged", action="store_true", help="have nanotts speak, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as root:
        scripts = list(islice(prose.sentences(options.seed), options.rows))
        spoken = speak(Path(root, "heart"), scripts, HEART)
        cases = list(damaged(spoken, options.seed))
        print(*table("while they are spoken", cases, judged_in_turn(cases, HEART)), sep="\n")
        print(*table("when all are known", cases, judged_at_the_end(cases, HEART)), sep="\n")
        print(*_told(spoken, HEART), sep="\n", flush=True)
        for voice in NANOTTS if options.undamaged else ():
            scripts = prose.rows(voice.language, options.seed, options.rows)
            print(
                *_told(speak(Path(root, voice.name), scripts, voice), voice), sep="\n", flush=True
            )


def speak(where: Path, scripts: Sequence[str], voice: Voice) -> list[Spoken]:
    """Have rows spoken by a run; what it failed is not there."""
    where.mkdir()
    manifest, out = where / "rows.csv", where / "out"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows((f"{number:05}", script) for number, script in enumerate(scripts))
    speaker = ("--provider", "local", "--voice", voice.name, "--quiet")
    command = [*map(str, measure.batchtts("run", manifest, "--out", out, *speaker))]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode not in (Exit.DONE, Exit.SOME_FAILED):  # an engine may not know a text
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}")
    return list(_heard(out, scripts))


def _heard(out: Path, scripts: Sequence[str]) -> Iterator[Spoken]:
    for number, script in enumerate(scripts):
        path = out / "wav" / f"{number:05}.wav"
        if not path.exists():
            continue
        with wave.open(f"{path}") as file:
            yield Spoken(script, file.readframes(file.getnframes()), file.getframerate())


def damaged(spoken: Sequence[Spoken], seed: int) -> Iterator[Case]:
    """Damage every other row, each way in its turn."""
    for number, it in enumerate(spoken):
        how = HOWS[number // 2 % len(HOWS)] if number % 2 else ""
        pcm = spoken[(number * 7 + 5) % len(spoken)].pcm if how == OTHER else it.pcm
        if how:
            pcm = damage(pcm, it.sample_rate_hz, how, seed + number)
        yield Case(it.script, how, examine(pcm, it.sample_rate_hz))


def judged_in_turn(cases: Sequence[Case], voice: Voice) -> Iterator[Judgement]:
    """Judge as a run does."""
    norms = Norms()
    for case in cases:
        try:
            yield check(
                *(case.findings, case.script, voice), speed=1.0, norms=norms, is_again=False
            )
        except AttemptError as error:
            yield Judgement("fail", (f"{error}".partition(" (")[0].partition(": ")[2] or "floor",))


def judged_at_the_end(cases: Sequence[Case], voice: Voice) -> Iterator[Judgement]:
    """Judge what was not refused at once, with all of it known."""
    key: Key = (voice.model, voice.name, voice.language)
    norms = Norms()
    norms.learn_all(
        (key, it.script, 1.0, it.findings.measures) for it in cases if not _is_refused(it)
    )
    for case in cases:
        if _is_refused(case):
            yield Judgement("fail", ("floor",))
        else:
            yield norms.judge(key, case.script, 1.0, case.findings.measures)


def _is_refused(case: Case) -> bool:
    found = case.findings
    return find_fault(found.peak_dbfs, found.duration_s, case.script, speed=1.0) is not None


def table(title: str, cases: Sequence[Case], judgements: Iterator[Judgement]) -> Iterator[str]:
    """Tell what became of each kind of damage."""
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for case, judgement in zip(cases, judgements, strict=True):
        verdicts[case.how][judgement.verdict] += 1
        reasons[case.how].update(judgement.reasons)
    yield f"{title:24} {'rows':>5} {'pass':>5} {'suspect':>8} {'fail':>5}  caught"
    for how in ("", *HOWS):
        told = verdicts[how]
        some = ", ".join(f"{name} {count}" for name, count in reasons[how].most_common(3))
        rows, share = told.total(), _caught(told)
        figures = f"{rows:5} {told['pass']:5} {told['suspect']:8} {told['fail']:5}"
        yield f"  {how or 'undamaged':22} {figures}  {share:6.1%}  {some}"
    all_damaged = sum((told for how, told in verdicts.items() if how), Counter[str]())
    caught, alarms = _caught(all_damaged), _caught(verdicts[""])
    yield f"  caught {caught:.1%} (promised: {CAUGHT:.0%}), false alarms {alarms:.1%} (2 %)"


def _caught(verdicts: Counter[str]) -> float:
    return 1 - verdicts["pass"] / max(verdicts.total(), 1)


def _told(spoken: Sequence[Spoken], voice: Voice) -> Iterator[str]:
    """Judge what is not damaged, and tell what is taken for it."""
    cases = [Case(it.script, "", examine(it.pcm, it.sample_rate_hz)) for it in spoken]
    judgements = list(judged_in_turn(cases, voice))
    verdicts = Counter(it.verdict for it in judgements)
    told = f"{verdicts['suspect']} suspect, {verdicts['fail']} fail"
    yield f"undamaged, {voice.name} ({voice.language}): {len(cases)} rows, {told}"
    for case, judgement in zip(cases, judgements, strict=True):
        if judgement.verdict != "pass":
            yield f"    {judgement.verdict} {' '.join(judgement.reasons)}: {case.script[:60]}"


if __name__ == "__main__":
    main()
