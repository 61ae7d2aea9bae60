"""Surveys whose answers are only known within bounds: the least and the most that a distance or an entropy may be.

The shares of the options that a model leaves open fill a box, cut by the plane on which they sum to 1. A distance to
people is quasi-convex in them, and an entropy concave, so that one end lies in a corner of that set, and the other
where the shares are those of the people (or even), as far as the box allows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pytest_pluralism.core.estimation.left_open import Bounds, around
from pytest_pluralism.core.metrics import entropy, jensen_shannon_distance
from pytest_pluralism.core.records import UnitScore
from pytest_pluralism.evaluation.surveys.respondents import Comparison

__all__ = [
    *("corners", "distance_bounds", "entropy_bounds", "entropy_ends", "farthest", "inside", "linear_bounds"),
    *("of_kept", "open_words", "radius"),
]

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


def linear_bounds(worth: np.ndarray, bounds: Bounds, /) -> tuple[float, float]:
    """Return the least and the most mean worth of options whose shares lie within bounds, and sum to 1.

    Parameters
    ----------
    worth : numpy.ndarray, shape (n_options,)
        The worth of each option.
    bounds : sequence of (float, float)
        The least and the most share of each option.

    Examples
    --------
    >>> least, most = linear_bounds(np.array([1.0, 0.0, 0.5]), [(0.2, 0.4), (0.1, 0.7), (0.1, 0.3)])
    >>> round(least, 6), round(most, 6)
    (0.25, 0.55)
    """
    low, high = np.asarray(bounds, dtype=np.float64).T

    def end(order: np.ndarray) -> float:
        room = (high - low)[order]
        # The rest of 1 goes to the first options, as far as each may take it.
        before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
        given = np.clip(1.0 - low.sum() - before, 0.0, room)
        return float(low @ worth + given @ worth[order])

    upwards = np.argsort(worth, kind="stable")
    return end(upwards), end(upwards[::-1])


def corners(bounds: Bounds, /) -> list[np.ndarray]:
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
        away = radius(ours, bounds)
        return max(0.0, unit.value - away), min(1.0, unit.value + away)
    tried = [inside(people, bounds), inside(ours, bounds), *corners(bounds)]
    found = how.distances(tried, [people] * len(tried), [asked] * len(tried)).values
    return around(unit.value, (float(found.min()), float(found.max())))


def farthest(shares: np.ndarray, bounds: Bounds, /) -> float:
    """Return a bound on how far answers within bounds may be from some shares: half of what all shares may move."""
    low, high = np.asarray(bounds).T
    return float(np.maximum(high - shares, shares - low).sum()) / 2.0


def radius(shares: np.ndarray, bounds: Bounds, /) -> float:
    """Return how far the answers within bounds may be from some shares, as a Jensen-Shannon distance in base 2.

    The distance is a metric that no permutation of the options changes, so that by no more than this the distance of
    shuffled answers from anybody differs.
    """
    if len(bounds) > MOST_OPTIONS:
        return float(np.sqrt(min(1.0, farthest(shares, bounds))))
    found = np.array([one / one.sum() for one in corners(bounds)])
    return float(np.max(jensen_shannon_distance(found, np.tile(shares, (len(found), 1))))) if len(found) else 1.0


def open_words(units: Sequence[UnitScore], /) -> list[str]:
    """Return what is said of units that a model leaves open; nothing where all are known."""
    opened = [unit for unit in units if unit.bounds and unit.bounds[1] > unit.bounds[0]]
    if not opened:
        return []
    widest = max(opened, key=lambda unit: unit.bounds[1] - unit.bounds[0])
    below, above = (sum(abs(unit.bounds[side] - unit.value) for unit in opened) / len(units) for side in (0, 1))
    ends = f"{widest.unit_id}: from {widest.bounds[0]:.3f} to {widest.bounds[1]:.3f}"
    mean = f"the mean from {below:.2g} lower to {above:.2g} higher"
    told = f"the likeliest tokens leave {len(opened)} of {len(units)} units open (widest {ends}), and {mean}"
    return [f"{told}; the interval holds that"]


def entropy_bounds(unit: UnitScore, bounds: Bounds, /) -> tuple[float, float]:
    """Return the least and the most entropy in bits of answers within bounds, of which a unit has one."""
    return around(float(unit.details["model_entropy"]), entropy_ends(bounds))


def entropy_ends(bounds: Bounds, /) -> tuple[float, float]:
    """Return the least and the most entropy in bits within bounds: it is concave in the shares."""
    n = len(bounds)
    most = float(entropy(inside(np.full(n, 1.0 / n), bounds)))
    if n > MOST_OPTIONS:
        return 0.0, most
    return min([most, *(float(entropy(corner / corner.sum())) for corner in corners(bounds))]), most
