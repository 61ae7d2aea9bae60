"""Skewness of what clusters contribute to a mean, and intervals of Student's t without it."""

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
    "allowance_of",
    "skewness_of",
    "skewness_p_value",
    "without_skewness",
]

#: A sample's skewness is itself uncertain, and samples that miss the long tail show too little of it. So each end of a
#: ``"skewness"`` interval moves outwards by what this many times ``z`` standard errors of the skewness are worth, with
#: ``z`` the normal quantile of the level. It keeps two-sided coverage near its level (measured by
#: ``tools/simulate_statistics.py``; docs/explanation/statistics.md shows the table).
ALLOWANCE_OF_VALUES = 0.4

#: The same for ``"outer"`` intervals and for p-values, so that each end alone errs at most at its level.
ALLOWANCE_OF_CHANGES = 1.25


def allowance_of(how: IntervalMethod, /, *, level: float, n_clusters: float) -> float:
    """Return by how many standard errors the ends of such an interval are moved out for unsure skewness."""
    if not how.is_corrected_for_skewness:
        return 0.0
    outer = how.kind is IntervalKind.OUTER
    if not outer and n_clusters < FEW_CLUSTERS:
        return 0.0
    share = ALLOWANCE_OF_CHANGES if outer else ALLOWANCE_OF_VALUES
    return share * _skewness_allowance(float(special.ndtri(0.5 + level / 2)), n_clusters)


def without_skewness(y: float, skewness: float, n_clusters: float, /) -> float:
    """Invert Hall's cubic transformation, which takes the skewness out of a t statistic divided by sqrt(G)."""
    shifted = y - skewness / (6 * n_clusters)
    # The limit of the cube root formula for no skewness; the formula itself would lose all its digits there.
    if abs(skewness) < 1e-6:
        return shifted
    return 3.0 / skewness * (float(np.cbrt(1.0 + skewness * shifted)) - 1.0)


def _skewness_allowance(z: float, n_clusters: float) -> float:
    """Return how many standard errors an end moves when the skewness is off by ``z`` standard errors of its own.

    To first order skewness moves the end of an interval by (1 + 2 z^2) / (6 sqrt(G)) standard errors (Johnson 1978).
    """
    g = n_clusters
    # Two clusters are never skewed; the standard error is that of three.
    error = math.sqrt(6.0 * g * (g - 1) / (max(g - 2, 1) * (g + 1) * (g + 3)))
    return z * error * (1.0 + 2.0 * z * z) / (6.0 * math.sqrt(g))


def skewness_p_value(skewness: float, statistic: float, freedom: float, n_clusters: int, /) -> float:
    """Return the level at which the corrected end meets the bound: the tail at which a monotone function is 0."""
    root = math.sqrt(n_clusters)

    def excess(z: float) -> float:
        quantile = -float(special.stdtrit(freedom, float(special.ndtr(-z))))
        end = root * without_skewness(quantile / root, skewness, n_clusters)
        return end + ALLOWANCE_OF_CHANGES * _skewness_allowance(z, n_clusters) - statistic

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
    deviations = scores - scores.mean()
    spread = math.sqrt(float(np.mean(deviations**2)))
    # Contributions that are equal roundings of 0 are not skewed.
    return float(np.mean((deviations / spread) ** 3)) if spread > 0.0 else 0.0
