"""Estimates of units whose values are only known within bounds: the interval holds what is left open.

The mean of the least values and that of the most are the ends of what the data allow; the sampling error of the units
comes on top on each side, as for a partially identified mean (Imbens and Manski, Econometrica 72, 2004,
doi:10.1111/j.1468-0262.2004.00555.x, in the conservative form that covers the whole range).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_pluralism.core.records import Estimate

__all__ = ["Bounds", "around", "difference_bounds", "open_sides", "with_bounds", "without_bounds"]

#: For each unit the least and the most that its value may be.
Bounds = Sequence[tuple[float, float]]


def open_sides(estimate: Estimate, /) -> tuple[float, float]:
    """Return by how much the mean may be lower and higher than the value, in [0, inf) each."""
    if not estimate.bounds:
        return 0.0, 0.0
    pairs = list(zip(estimate.values, estimate.bounds, strict=True))
    below = math.fsum(value - low for value, (low, _) in pairs) / len(pairs)
    above = math.fsum(high - value for value, (_, high) in pairs) / len(pairs)
    return max(below, 0.0), max(above, 0.0)


def around(value: float, ends: tuple[float, float], /) -> tuple[float, float]:
    """Return bounds that hold the value, which rounding may have put outside."""
    low, high = ends
    return min(low, value), max(high, value)


def with_bounds(estimate: Estimate, bounds: Bounds, /) -> Estimate:
    """Return an estimate that keeps the bounds of its units, and whose interval holds what they leave open.

    Parameters
    ----------
    estimate : Estimate
        The estimate, which keeps its units.
    bounds : sequence of (float, float)
        The least and the most value of each unit, in the order of ``estimate.values``; empty where all are known.

    Examples
    --------
    >>> from pytest_pluralism.core.estimation import estimate_mean
    >>> estimate = estimate_mean([0.2, 0.4], confidence_level=None)
    >>> print(with_bounds(estimate, [(0.1, 0.2), (0.4, 0.6)]))
    0.300 [0.250, 0.400]
    """
    if not bounds or not estimate.values:
        return estimate
    kept = replace(estimate, bounds=tuple((float(low), float(high)) for low, high in bounds))
    below, above = open_sides(kept)
    return replace(kept, low=kept.low - below, high=kept.high + above)


def without_bounds(estimate: Estimate, /) -> Estimate:
    """Return an estimate as if the values of its units were known."""
    below, above = open_sides(estimate)
    return replace(estimate, low=estimate.low + below, high=estimate.high - above, bounds=())


def difference_bounds(
    left: Sequence[float], left_bounds: Bounds, right: Sequence[float], right_bounds: Bounds, /
) -> list[tuple[float, float]]:
    """Return the bounds of the differences left - right by unit; empty where both sides are known."""
    if not left_bounds and not right_bounds:
        return []
    ours = left_bounds or [(value, value) for value in left]
    theirs = right_bounds or [(value, value) for value in right]
    return [(low - high_of, high - low_of) for (low, high), (low_of, high_of) in zip(ours, theirs, strict=True)]
