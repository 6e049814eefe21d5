"""Is this the whole script, and nothing else? What every utterance has to pass. Pure.

First what no voice could do, from duration and level alone, then what this voice does not do.
"""

from __future__ import annotations

from typing import NamedTuple

from batchtts.audio.measure import measure
from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.errors import AttemptError, BadAudio, Truncated
from batchtts.model import Judgement, Measures, Voice
from batchtts.review.norms import Norms

# Nobody speaks so fast: brisk English is 15 to 20 characters a second, and the
# fastest reading of a screen reader about 45.
CHARS_PER_S = 60.0

# Nor so slowly: careful Mandarin is about 3 characters a second, and a figure
# may be read as several words.
S_PER_CHAR = 1.5
GRACE_S = 10.0

#: Quieter than this is nothing, whatever the length; hiss is about -60 to -70.
SILENCE_DBFS = -50.0


def find_fault(
    peak_dbfs: float, duration_s: float, script: str, *, speed: float
) -> AttemptError | None:
    """Return what is wrong with the audio of a script, or None.

    Args:
        peak_dbfs: Level of its loudest sample.
        speed: The pace that was asked for, 1.0 is normal.
    """
    if peak_dbfs < SILENCE_DBFS:
        return BadAudio(f"nothing but silence ({peak_dbfs:.0f} dBFS at its loudest)")
    spoken = sum(map(str.isalnum, script))
    if duration_s < spoken / (CHARS_PER_S * max(speed, 1.0)):
        return Truncated(f"{duration_s:.2f} s of audio cannot hold {spoken} letters and digits")
    if duration_s > GRACE_S + spoken * S_PER_CHAR / min(speed, 1.0):
        return BadAudio(f"{duration_s:.2f} s of audio for {spoken} letters and digits")
    return None


class Findings(NamedTuple):
    """What an utterance is judged by."""

    peak_dbfs: float
    duration_s: float
    measures: Measures


def examine(pcm: bytes, sample_rate_hz: int) -> Findings:
    """Measure an utterance: 30 µs for each second of it.

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    return Findings(peak_dbfs(pcm), duration_s(pcm, sample_rate_hz), measure(pcm, sample_rate_hz))


def check(
    findings: Findings, script: str, voice: Voice, *, speed: float, norms: Norms, is_again: bool
) -> Judgement:
    """Judge an utterance, and learn from it what is usual for its voice.

    Args:
        is_again: It was tried before. Of what fails again and again nothing is learned, so
            that it does not become usual.

    Raises:
        AttemptError: it cannot be all of the script, or is surely damaged.
    """
    fault = find_fault(findings.peak_dbfs, findings.duration_s, script, speed=speed)
    if fault is not None:
        raise fault
    key, measures = (voice.model, voice.name, voice.language), findings.measures
    judgement = norms.judge(key, script, speed, measures)
    is_bad = judgement.verdict == "fail"
    if not (is_bad and is_again):
        norms.learn(key, script, speed, measures)
    if is_bad:
        told = ", ".join(_tell(reason, measures) for reason in judgement.reasons)
        is_cut = not {"too_short", "cut_end"}.isdisjoint(judgement.reasons)
        raise (Truncated if is_cut else BadAudio)(f"unlike this voice: {told}")
    return judgement


#: Reason → what was measured, as a person is told.
_TOLD = {
    "too_short": "too short ({0.speech_s:.2f} s of speech, {0.pause_s:.2f} s of it pauses)",
    "too_long": "too long ({0.speech_s:.2f} s of speech, {0.pause_s:.2f} s of it pauses)",
    "cut_end": "cut at its end ({0.end_dbfs:.0f} dBFS there, {0.tail_s:.2f} s of silence)",
    "noisy": "noisy ({0.floor_dbfs:.0f} dBFS where it is quiet)",
    "clipped": "clipped ({0.clipped:.1%} of all samples)",
    "dropouts": "holes in speech ({0.dropouts})",
    "splice": "a click ({0.click:.1f} times what is around it)",
    "long_gap": "{0.gap_s:.2f} s of silence within it",
    "long_lead": "{0.lead_s:.2f} s of silence before it",
    "long_tail": "{0.tail_s:.2f} s of silence after it",
    "quiet": "quiet ({0.level_dbfs:.0f} dBFS)",
    "loud": "loud ({0.level_dbfs:.0f} dBFS)",
    "dc": "not centred ({0.dc:+.1%})",
}


def _tell(reason: str, measures: Measures) -> str:
    return _TOLD[reason].format(measures)
