"""Skewness and heavy tails of what clusters contribute to a mean: how long each side of its interval is.

A side is given in standard errors, with ``skewness`` positive where the longer tail lies on that side.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from pytest_pluralism.core.estimation.resampling import FEW_CLUSTERS
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import IntervalKind, IntervalMethod

__all__ = [
    "ALLOWANCE_OF_CHANGES",
    "ALLOWANCE_OF_VALUES",
    "HEAVIEST_TAILS",
    "TAILS_OF_CHANGES",
    "allowance_of",
    "kurtosis_of",
    "side_of_change",
    "side_of_value",
    "side_p_value",
    "skewness_of",
    "tails_of",
    "unsure_skewness",
    "without_skewness",
]

#: A sample's skewness is itself uncertain, and samples that miss the long tail show too little of it. So each end of a
#: ``"skewness"`` interval moves outwards by what this many times ``z`` standard errors of the skewness are worth, with
#: ``z`` the normal quantile of the level. It keeps two-sided coverage near its level (measured by
#: ``tools/simulate_statistics.py``; docs/explanation/statistics.md shows the table).
ALLOWANCE_OF_VALUES = 0.4

#: The same for ``"outer"`` intervals and for p-values, so that each end alone errs at most at its level.
ALLOWANCE_OF_CHANGES = 1.25

#: Differences of which few are large have heavy tails, and a sample shows only some of them. So both sides of an
#: ``"outer"`` interval of differences grow by this many times the root of the excess kurtosis, as far as it exceeds its
#: standard error (measured likewise).
TAILS_OF_CHANGES = 0.3

#: The largest root of the excess kurtosis that is counted.
HEAVIEST_TAILS = 4.0

#: A correction to first order in the skewness is too short for few clusters; its slope grows by this over sqrt(G).
_MORE_SLOPE = 2.5


def allowance_of(how: IntervalMethod, /, *, level: float, n_clusters: float) -> float:
    """Return by how many standard errors the ends of such an interval are moved out for unsure skewness."""
    if not how.is_corrected_for_skewness:
        return 0.0
    share = ALLOWANCE_OF_CHANGES if how.kind is IntervalKind.OUTER else ALLOWANCE_OF_VALUES
    return share * unsure_skewness(float(special.ndtri(0.5 + level / 2)), n_clusters)


def side_of_value(skewness: float, quantile: float, z: float, n_clusters: float, /) -> float:
    """Return the length of one side of the interval of a value.

    Johnson's correction, linear in the skewness. Its slope is as steep as it may be for the interval to follow the
    scores: when a score on the far side of the mean moves further away, the end never moves the other way.

    Parameters
    ----------
    skewness : float
        Of the contributions of the clusters, positive towards this side.
    quantile, z : float
        Of Student's t and of the normal distribution at the level.
    n_clusters : float
        At least 2; a plan need not have whole clusters.
    """
    g, root = n_clusters, math.sqrt(n_clusters)
    allowance = ALLOWANCE_OF_VALUES * unsure_skewness(z, g)
    first_order = (1.0 + 2.0 * quantile * quantile) / (6.0 * root)
    steepest = _steepest_slope(quantile + allowance, g)
    if skewness > 0.0:
        side = quantile + min(first_order * (1.0 + _MORE_SLOPE / root), steepest) * skewness
    else:
        # The same to first order, and never shorter at a higher level.
        side = quantile * quantile / (quantile - min(first_order, steepest) * skewness)
    side += allowance
    return max(side, quantile) if g < FEW_CLUSTERS else side


def _steepest_slope(length: float, n_clusters: float) -> float:
    """Return the steepest slope in the skewness at which the end of a side of this length follows each score.

    Moving the score with the standardised residual z outwards moves the mean by 1, the end's distance from it by
    |z| length / r and, through the skewness, by 3 slope (z^2 - 1 - |z| skewness) / r, with r = sqrt(G - 1). The sum of
    these is never negative when the square of (2 u s / 3 - length / r) is at most 4 u (1 - u) for u = 3 slope / r and
    the greatest skewness s of G numbers, (G - 2) / r; this returns the largest root.
    """
    r = math.sqrt(n_clusters - 1)
    greatest, ratio = (n_clusters - 2) / r, length / r
    if 2.0 * greatest / 3.0 <= ratio:
        return r / 3.0
    a, b = 4.0 / 9.0 * greatest**2 + 4.0, 4.0 / 3.0 * greatest * ratio + 4.0
    return r / 3.0 * (b + math.sqrt(max(b * b - 4.0 * a * ratio * ratio, 0.0))) / (2.0 * a)


def side_of_change(skewness: float, tails: float, quantile: float, z: float, n_clusters: float, /) -> float:
    """Return the length of one side of the interval of a change: the outer one of Hall's and t's, for heavy tails.

    Parameters
    ----------
    skewness, quantile, z, n_clusters
        As for :func:`side_of_value`.
    tails : float
        As :func:`tails_of` returns it.
    """
    root = math.sqrt(n_clusters)
    corrected = -root * without_skewness(-quantile / root, skewness, n_clusters)
    allowance = ALLOWANCE_OF_CHANGES * unsure_skewness(z, n_clusters)
    return max(corrected + allowance, quantile) * (1.0 + TAILS_OF_CHANGES * tails)


def side_p_value(
    how: IntervalMethod, skewness: float, tails: float, statistic: float, freedom: float, n_clusters: int, /
) -> float:
    """Return the level at which an end of the interval meets the bound, ``statistic`` standard errors away.

    That of a value is the p-value of a change without heavy tails, unless the interval itself is longer: far out in the
    tails, where adjusting for many tests looks, the smaller allowance rejects too often.
    """
    is_value = how.kind is IntervalKind.SKEWNESS
    weight = tails if how.paired else 0.0

    def excess(z: float) -> float:
        quantile = -float(special.stdtrit(freedom, float(special.ndtr(-z))))
        side = side_of_change(skewness, weight, quantile, z, n_clusters)
        if is_value and z > 0.0:
            side = max(side, side_of_value(skewness, quantile, z, n_clusters))
        return side - statistic

    low, high = -30.0, 30.0
    for _ in range(64):
        middle = (low + high) / 2
        if excess(middle) < 0.0:
            low = middle
        else:
            high = middle
    return float(special.ndtr(-(low + high) / 2))


def skewness_of(scores: FloatArray, /) -> float:
    """Return the skewness of contributions; 0 for those that do not vary."""
    standardised = _standardised(scores)
    return 0.0 if standardised is None else float(np.mean(standardised**3))


def kurtosis_of(scores: FloatArray, /) -> float:
    """Return the excess kurtosis of contributions, in [-2, inf); 0 for those that do not vary."""
    standardised = _standardised(scores)
    return 0.0 if standardised is None else float(np.mean(standardised**4)) - 3.0


def tails_of(scores: FloatArray, /) -> float:
    """Return the root of what the excess kurtosis exceeds its standard error by, in [0, ``HEAVIEST_TAILS``]."""
    excess = kurtosis_of(scores) - math.sqrt(24.0 / len(scores))
    return min(math.sqrt(max(excess, 0.0)), HEAVIEST_TAILS)


def _standardised(scores: FloatArray) -> FloatArray | None:
    deviations = scores - scores.mean()
    spread = math.sqrt(float(np.mean(deviations**2)))
    # Contributions that are equal roundings of 0 are not skewed.
    return deviations / spread if spread > 0.0 else None


def without_skewness(y: float, skewness: float, n_clusters: float, /) -> float:
    """Invert Hall's cubic transformation, which takes the skewness out of a t statistic divided by sqrt(G)."""
    shifted = y - skewness / (6 * n_clusters)
    # The limit of the cube root formula for no skewness; the formula itself would lose all its digits there.
    if abs(skewness) < 1e-6:
        return shifted
    return 3.0 / skewness * (float(np.cbrt(1.0 + skewness * shifted)) - 1.0)


def unsure_skewness(z: float, n_clusters: float) -> float:
    """Return how many standard errors an end moves when the skewness is off by ``z`` standard errors of its own.

    To first order skewness moves the end of an interval by (1 + 2 z^2) / (6 sqrt(G)) standard errors (Johnson 1978).
    """
    g = n_clusters
    # Two clusters are never skewed; the standard error is that of three.
    error = math.sqrt(6.0 * g * (g - 1) / (max(g - 2, 1) * (g + 1) * (g + 3)))
    return z * error * (1.0 + 2.0 * z * z) / (6.0 * math.sqrt(g))
