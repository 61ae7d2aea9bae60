"""Surveys whose answers are only known within bounds: the least and the most that a distance or an entropy may be.

The shares of the options that a model leaves open fill a box, cut by the plane on which they sum to 1. A distance to
people is quasi-convex in them, and an entropy concave, so that one end lies in a corner of that set, and the other
where the shares are those of the people (or even), as far as the box allows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pytest_pluralism.core.estimation.left_open import Bounds
from pytest_pluralism.core.metrics import entropy
from pytest_pluralism.core.records import UnitScore
from pytest_pluralism.evaluation.surveys.respondents import Comparison

__all__ = ["distance_bounds", "entropy_bounds", "inside", "of_kept"]

#: Corners are counted out up to so many options; beyond, a coarser bound is taken.
MOST_OPTIONS = 7


def of_kept(bounds: Bounds, kept: Sequence[int], /) -> tuple[tuple[float, float], ...]:
    """Return the bounds of the shares of some options among themselves."""
    some = [bounds[place] for place in kept]
    lows, highs = sum(low for low, _ in some), sum(high for _, high in some)
    return tuple(
        (low / max(low + highs - high, 1e-300), min(1.0, high / max(high + lows - low, 1e-300))) for low, high in some
    )


def inside(shares: np.ndarray, bounds: Bounds, /) -> np.ndarray:
    """Return the distribution within bounds that is a multiple of given shares wherever the bounds allow it."""
    low, high = np.asarray(bounds, dtype=np.float64).T
    given = np.maximum(shares, 1e-12)
    below, above = 0.0, float((high / given).max()) + 1.0
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (middle, above) if np.clip(middle * given, low, high).sum() < 1.0 else (below, middle)
    found = np.clip(above * given, low, high)
    return np.asarray(found / found.sum())


def _corners(bounds: Bounds) -> list[np.ndarray]:
    """Return the corners of the distributions within bounds: all shares but one are at an end."""
    n, found = len(bounds), []
    for free in range(n):
        others = [bounds[place] for place in range(n) if place != free]
        for ends in itertools.product(*others):
            rest = 1.0 - sum(ends)
            if bounds[free][0] - 1e-9 <= rest <= bounds[free][1] + 1e-9:
                found.append(np.clip(np.insert(np.asarray(ends), free, rest), 0.0, 1.0))
    return found


def distance_bounds(unit: UnitScore, bounds: Bounds, asked: float | None, how: Comparison, /) -> tuple[float, float]:
    """Return the least and the most that the distance of a unit may be, corrected as its value is.

    Parameters
    ----------
    unit : UnitScore
        The unit, with its value.
    bounds : sequence of (float, float)
        The least and the most share of each option.
    asked : float or None
        The number of people who answered.
    how : Comparison
        The comparison that gave the value.
    """
    people = np.asarray(unit.reference_probabilities)
    ours = np.asarray(unit.model_probabilities)
    if len(bounds) > MOST_OPTIONS:
        # A Jensen-Shannon distance is a metric, and at most the root of the total variation distance.
        away = np.maximum(np.asarray(bounds)[:, 1] - ours, ours - np.asarray(bounds)[:, 0]).sum() / 2
        radius = float(np.sqrt(min(1.0, away)))
        return max(0.0, unit.value - radius), min(1.0, unit.value + radius)
    tried = [inside(people, bounds), inside(ours, bounds), *_corners(bounds)]
    found = how.distances(tried, [people] * len(tried), [asked] * len(tried)).values
    return min(unit.value, float(found.min())), max(unit.value, float(found.max()))


def entropy_bounds(unit: UnitScore, bounds: Bounds, /) -> tuple[float, float]:
    """Return the least and the most entropy in bits of answers within bounds."""
    value = float(unit.details["model_entropy"])
    n = len(bounds)
    most = max(value, float(entropy(inside(np.full(n, 1.0 / n), bounds))))
    if n > MOST_OPTIONS:
        return 0.0, most
    return min([value, *(float(entropy(corner / corner.sum())) for corner in _corners(bounds))]), most
