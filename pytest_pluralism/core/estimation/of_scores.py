"""Estimates of scores: the mean over units, with the dimension that crosses them where there is one."""

from __future__ import annotations

import math

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.at_level import as_difference, interval_at, with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import estimate_crossed, variance_of
from pytest_pluralism.core.estimation.intervals import estimate_mean
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
        ``scores.extra_variance`` in its interval.

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
    values = [unit.value for unit in scores.units]
    crossed = scores.crossed
    beside = variance_of(scores.extra_variance, "extra_variance", "estimate_scores")
    if crossed is None or confidence_level is None:
        ids, clusters = [unit.unit_id for unit in scores.units], [unit.cluster for unit in scores.units]
        if scores.differences:
            nothing = np.zeros(len(values))
            whole = compare_paired(values, nothing, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
            return as_difference(with_extra_variance(whole, beside))
        whole = estimate_mean(values, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
        return with_extra_variance(whole, beside)
    kept = [unit for unit in scores.units if not math.isnan(unit.value)]
    if not kept:
        raise InvalidParameterError("No unit of the scores has a value, so that nothing can be estimated.")
    both = estimate_crossed(
        [unit.value for unit in kept],
        [unit.value for unit in crossed.units],
        cell_variance=crossed.cell_variance,
        bias=crossed.bias,
        extra_variance=beside,
        confidence_level=confidence_level,
        n_missing=len(values) - len(kept),
        unit_ids=[unit.unit_id for unit in kept],
        crossed_ids=[unit.unit_id for unit in crossed.units],
    )
    return as_difference(both) if scores.differences else both
