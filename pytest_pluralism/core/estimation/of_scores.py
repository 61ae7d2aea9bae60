"""Estimates of scores: the mean over units, with the dimension that crosses them where there is one."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.at_level import as_difference, interval_at, with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import estimate_crossed, variance_of
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.estimation.left_open import with_bounds
from pytest_pluralism.core.estimation.scale import on_scale
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.records import Estimate, Scores

__all__ = ["estimate_scores"]


def estimate_scores(scores: Scores, /, *, confidence_level: float | None = 0.95) -> Estimate:
    """Estimate the mean of the units of an evaluation, with its second dimension if it has one.

    Parameters
    ----------
    scores : Scores
        The units, and perhaps what is crossed with them.
    confidence_level : float in (0, 1) or None
        Of the interval.

    Returns
    -------
    Estimate
        ``scores.estimate`` where that is set, of :func:`estimate_crossed` where ``scores.crossed`` is, else of
        :func:`~pytest_pluralism.core.estimation.estimate_mean`, or of
        :func:`~pytest_pluralism.core.estimation.compare_paired` where the values are differences; with
        ``scores.extra_variance``, ``scores.people_variance`` and ``scores.judge_variance`` in its interval, which lies
        within ``scores.scale``.
        Where ``scores.doubt`` says why an interval would say more than is known, its ends are NaN.

    Raises
    ------
    InvalidParameterError
        For what the two refuse.

    Examples
    --------
    >>> from pytest_pluralism.core.records import UnitScore
    >>> units = tuple(UnitScore(str(i), str(i), value) for i, value in enumerate([0.2, 0.4, 0.3]))
    >>> round(estimate_scores(Scores("js_distance", units)).value, 6)
    0.3
    """
    if scores.estimate is not None:
        return interval_at(scores.estimate, confidence_level)
    found = _estimate(scores, confidence_level)
    bounds = _bounds_of(scores)
    if confidence_level is None:
        return with_bounds(found, bounds)
    lowest, highest = scores.scale or (None, None)
    doubt = scores.doubt
    if lowest is not None and highest is not None and not lowest <= found.value <= highest:
        doubt = doubt or f"it is outside its scale, from {lowest:g} to {highest:g}"
    if doubt:
        return without_interval(found, f"unknown: {doubt}")
    # A crossed mean is drawn in where its skewness is known.
    return with_bounds(found if found.how.lowest is not None else on_scale(found, lowest, highest), bounds)


def _bounds_of(scores: Scores) -> list[tuple[float, float]]:
    """Return the bounds of the units that have a value; nothing where all values are known."""
    if not any(unit.bounds for unit in scores.units):
        return []
    known = [unit for unit in scores.units if not math.isnan(unit.value)]
    return [(unit.bounds[0], unit.bounds[1]) if unit.bounds else (unit.value, unit.value) for unit in known]


def _people_of(scores: Scores) -> str:
    """Return a hash of the people whose sample leaves the level open; empty where none is known to."""
    if not scores.people_variance:
        return ""
    rows = sorted((unit.unit_id, unit.reference_probabilities, unit.n_respondents) for unit in scores.units)
    return hashlib.sha256(repr(rows).encode("utf-8", "backslashreplace")).hexdigest()


def _estimate(scores: Scores, confidence_level: float | None) -> Estimate:
    values = [unit.value for unit in scores.units]
    crossed = scores.crossed
    of_people = variance_of(scores.people_variance, "people_variance", "estimate_scores")
    beside = variance_of(scores.extra_variance, "extra_variance", "estimate_scores") + of_people
    beside += variance_of(scores.judge_variance, "judge_variance", "estimate_scores")
    if crossed is None or confidence_level is None:
        ids, clusters = [unit.unit_id for unit in scores.units], [unit.cluster for unit in scores.units]
        if scores.differences:
            nothing = np.zeros(len(values))
            whole = compare_paired(values, nothing, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
            return as_difference(with_extra_variance(whole, beside, of_people=of_people))
        whole = estimate_mean(values, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
        return replace(with_extra_variance(whole, beside, of_people=of_people), people=_people_of(scores))
    kept = [unit for unit in scores.units if not math.isnan(unit.value)]
    if not kept:
        raise InvalidParameterError("No unit of the scores has a value, so that nothing can be estimated.")
    both = estimate_crossed(
        [unit.value for unit in kept],
        [unit.value for unit in crossed.units],
        cell_variance=crossed.cell_variance,
        cell_third=crossed.cell_third,
        bias=[crossed.biases[place] for place, unit in enumerate(scores.units) if not math.isnan(unit.value)]
        if crossed.biases
        else 0.0,
        carriers=crossed.carriers,
        below=crossed.below,
        above=crossed.above,
        scale=scores.scale,
        extra_variance=beside,
        confidence_level=confidence_level,
        n_missing=len(values) - len(kept),
        unit_ids=[unit.unit_id for unit in kept],
        crossed_ids=[unit.unit_id for unit in crossed.units],
    )
    return as_difference(both) if scores.differences else both
