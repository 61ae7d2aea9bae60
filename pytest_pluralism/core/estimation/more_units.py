"""The number of units that would decide what an interval leaves open."""

from __future__ import annotations

import math

from scipy import special

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.estimation.at_level import interval_spread
from pytest_pluralism.core.estimation.shares import share_ends
from pytest_pluralism.core.records import Estimate

__all__ = ["more_units"]

#: The largest number of units that is worth advising.
_MOST_UNITS = 10_000_000


def more_units(estimate: Estimate, bound: float, /) -> int | None:
    """Return how many more units of the same kind, at the same mean and variance, bring the nearer end to the bound."""
    level, n_clusters = estimate.confidence_level, estimate.n_clusters
    if level is None or compare(bound, estimate.value) == 0 or n_clusters < 2:
        return None
    upper = bound > estimate.value
    half = estimate.high - estimate.value if upper else estimate.value - estimate.low
    tail = 0.5 + level / 2
    freedom = 1.0
    if estimate.degrees_of_freedom is not None and not math.isinf(estimate.degrees_of_freedom):
        freedom = estimate.degrees_of_freedom / (n_clusters - 1)
    now = float(special.stdtrit(max(1.0, freedom * (n_clusters - 1)), tail))

    def width(clusters: int) -> float:
        growth = clusters / n_clusters
        if estimate.how.is_share:
            # Divided first, so that as many units as clusters stay exactly as many.
            n, error = estimate.n / n_clusters * clusters, interval_spread(estimate) / math.sqrt(clusters)
            left = max(1.0, freedom * (clusters - 1))
            low, high = share_ends(
                estimate.value, error, n, clusters, level=level, kind=estimate.how.kind, freedom=left
            )
            return high - estimate.value if upper else estimate.value - low
        quantile = float(special.stdtrit(max(1.0, freedom * (clusters - 1)), tail))
        return half / math.sqrt(growth) * quantile / now

    def decides(clusters: int) -> bool:
        end = width(clusters)
        return compare(estimate.value + end, bound) < 0 if upper else compare(estimate.value - end, bound) > 0

    if not decides(_MOST_UNITS):
        return None
    few, many = n_clusters, _MOST_UNITS
    while many - few > 1:
        middle = (few + many) // 2
        if decides(middle):
            many = middle
        else:
            few = middle
    return max(1, math.ceil((many - n_clusters) * estimate.n / n_clusters))
