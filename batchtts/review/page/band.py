"""How long a voice speaks for so many characters, and what is unusual for it. Pure.

Robust, from the rows themselves: the median, and some median deviations to either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np

from batchtts.review.page.bins import Floats, Histogram, logarithmic

#: A breath: what every script takes beside its own characters, in characters.
BREATH_CHARS = 6

FEWEST = 5  # rows of a voice from which something can be learned
#: Seconds a character, in bins.
PACES = logarithmic(0.001, 10.0, 120)

_DEVIATIONS = 4.0
_NARROWEST = 0.25  # of the logarithm: a quarter longer or shorter is nothing unusual
_NORMAL = 1.4826  # standard deviations in a median deviation


@dataclass(frozen=True, slots=True)
class Band:
    """What is usual for a voice.

    Attributes:
        pace_s: Seconds a character, a breath counted in.
        half_width: How far from that is still usual, in natural logarithms.
    """

    pace_s: float
    half_width: float

    def limits_s(self, chars: float) -> tuple[float, float]:
        """Between how many seconds so many characters should last."""
        usual = self.pace_s * (chars + BREATH_CHARS)
        return usual * exp(-self.half_width), usual * exp(self.half_width)


def paces(seconds: Floats, chars: Floats) -> Floats:
    """Seconds a character, of each row; NaN where it is not known."""
    is_known = np.isfinite(seconds) & np.isfinite(chars) & (seconds > 0)
    return np.where(is_known, seconds, np.nan) / (np.nan_to_num(chars) + BREATH_CHARS)


def learn(found: Histogram) -> Band | None:
    """What the paces of a voice say; None if they are too few.

    Args:
        found: Of paces, in the bins of PACES.
    """
    if found.total < FEWEST:
        return None
    middle = log(found.quantile(0.5))
    centres = np.log(np.sqrt(found.edges[:-1] * found.edges[1:]))
    away = np.abs(centres - middle)
    order = np.argsort(away)
    sums = np.cumsum(found.counts[order])
    deviation = float(away[order][np.searchsorted(sums, found.total / 2)])
    return Band(exp(middle), max(_NARROWEST, _DEVIATIONS * _NORMAL * deviation))


def distances(found: Floats, pace_s: Floats, half_width: Floats) -> Floats:
    """How far paces are from the usual; 1 is the edge of the band, NaN is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(np.log(found / pace_s)) / half_width
