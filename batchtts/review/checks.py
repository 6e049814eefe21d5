"""Is this the whole script, and nothing else? A verdict from duration and level alone. Pure."""

from __future__ import annotations

from batchtts.errors import AttemptError, BadAudio, Truncated

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
