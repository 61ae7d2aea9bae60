"""Estimates that are there already: at another confidence level, against a bound, with more variance."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.intervals import WantedInterval, estimate_units
from pytest_pluralism.core.estimation.left_open import with_bounds, without_bounds
from pytest_pluralism.core.estimation.sample import ClusteredSample, UnitLabels, units_of
from pytest_pluralism.core.estimation.scale import beyond_scale, off_scale, on_scale
from pytest_pluralism.core.estimation.shares import share_ends, share_p_value
from pytest_pluralism.core.estimation.skewness import side_p_value, skewness_of, tails_of
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.parameters import cluster_codes, one_of, real_number, unit_interval
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = [
    "as_difference",
    "bound_p_value",
    "checked_estimate",
    "freedom_of",
    "half_of_people",
    "interval_at",
    "interval_spread",
    "quantile_of",
    "sample_of",
    "with_extra_variance",
    "without_people",
]

#: Kinds whose standard error allows for clusters of unequal sizes.
_BALANCED = (IntervalKind.SKEWNESS, IntervalKind.OUTER, IntervalKind.SATTERTHWAITE)


def interval_at(estimate: Estimate, confidence_level: float | None, /) -> Estimate:
    """Return the same estimate with its interval at another confidence level.

    The interval is made anew from the units when the estimate holds them, and that of a share from its counts and its
    standard error. Else both its sides are stretched by the ratio of the quantiles of Student's t, which keeps its
    degrees of freedom and its asymmetry; ``how`` says which.

    Parameters
    ----------
    estimate : Estimate
        The estimate.
    confidence_level : float in (0, 1) or None
        The level of the new interval.

    Returns
    -------
    Estimate
        A new estimate; the given one when the level is the same already.

    Raises
    ------
    InvalidParameterError
        If the confidence level is neither in (0, 1) nor None.

    Notes
    -----
    Degenerate cases: without units and without a known standard error (a whole set that kept no units) the ends are
    NaN. An interval that was widened for the respondents (:func:`~pytest_pluralism.core.estimation.
    widen_for_respondents`) holds a bias that does not depend on the level, so it is never made narrower.

    Examples
    --------
    >>> wide = interval_at(estimate_mean([0.2, 0.4, 0.3, 0.5], method="t"), 0.99)
    >>> print(wide, wide.confidence_level)
    0.350 [-0.027, 0.727] 0.99
    """
    checked_estimate(estimate, name="estimate", function="interval_at")
    level = None
    if confidence_level is not None:
        level = unit_interval(confidence_level, name="confidence_level", function="interval_at")
    if level == estimate.confidence_level:
        return estimate
    if estimate.bounds:
        return with_bounds(interval_at(without_bounds(estimate), level), estimate.bounds)
    if level is None:
        return replace(estimate, low=estimate.value, high=estimate.value, confidence_level=None)
    how = estimate.how
    if how.lowest is not None:
        return on_scale(interval_at(off_scale(estimate), level), how.lowest, how.highest)
    if _gives_its_interval_again(estimate):
        again = estimate_units(
            estimate.values,
            UnitLabels(**units_of(estimate), unit_ids=estimate.unit_ids or None),
            WantedInterval(level, _method_of(how), differences=how.difference or how.paired, function="interval_at"),
        )
        again = with_extra_variance(again, estimate.extra_variance, of_people=how.people_variance)
        if how.difference:
            again = as_difference(again)
        how = replace(again.how, remade="units")
        return replace(again, n_missing=estimate.n_missing, people=estimate.people, how=how)
    error = estimate.standard_error
    if estimate.confidence_level is None or estimate.n_clusters < 2 or math.isnan(error):
        return without_interval(replace(estimate, confidence_level=level), "unknown")
    how = replace(how, remade="standard error")
    if _is_plain_share(estimate) and 0.0 <= estimate.value <= 1.0:
        # Counts and the error say all that an interval of a share is made of; a stretched one would leave [0, 1].
        low, high = share_ends(
            estimate.value,
            error,
            estimate.n,
            estimate.n_clusters,
            level=level,
            kind=how.kind,
            freedom=freedom_of(estimate),
        )
        return replace(estimate, low=low, high=high, confidence_level=level, how=how)
    freedom = freedom_of(estimate)
    ratio = quantile_of(freedom, level) / quantile_of(freedom, estimate.confidence_level)
    if how.respondents:
        ratio = max(1.0, ratio)
    centre = estimate.value - how.bias
    return replace(
        estimate,
        low=centre - ratio * (centre - estimate.low),
        high=centre + ratio * (estimate.high - centre),
        confidence_level=level,
        how=how,
    )


def with_extra_variance(estimate: Estimate, variance: float, /, *, of_people: float = 0.0) -> Estimate:
    """Return an estimate whose interval also holds a variance of its value that the units do not show.

    ``of_people`` is the part of it that comes from the people who were asked. Each side grows in quadrature, so that an
    asymmetric interval keeps its shape; that of a whole set stays as it is.
    """
    if not variance or estimate.confidence_level is None:
        return estimate
    added = quantile_of(freedom_of(estimate), estimate.confidence_level) * math.sqrt(variance)
    value = estimate.value
    return replace(
        estimate,
        low=value - math.hypot(value - estimate.low, added),
        high=value + math.hypot(estimate.high - value, added),
        standard_error=math.hypot(estimate.standard_error, math.sqrt(variance)),
        extra_variance=estimate.extra_variance + variance,
        how=replace(estimate.how, people_variance=estimate.how.people_variance + of_people),
    )


def half_of_people(estimate: Estimate, /) -> float:
    """Return by how much the people who were asked leave a value open, either way; 0 where that is not known."""
    if estimate.confidence_level is None or not estimate.how.people_variance:
        return 0.0
    return quantile_of(freedom_of(estimate), estimate.confidence_level) * math.sqrt(estimate.how.people_variance)


def without_people(estimate: Estimate, /) -> Estimate:
    """Return an estimate as if all people had been asked: its units alone are a sample."""
    people, variance = half_of_people(estimate), estimate.how.people_variance
    if not people:
        return estimate
    below, above = (
        math.sqrt(max(half**2 - people**2, 0.0))
        for half in (estimate.value - estimate.low, estimate.high - estimate.value)
    )
    return replace(
        estimate,
        low=estimate.value - below,
        high=estimate.value + above,
        standard_error=math.sqrt(max(estimate.standard_error**2 - variance, 0.0)),
        extra_variance=max(estimate.extra_variance - variance, 0.0),
        how=replace(estimate.how, people_variance=0.0),
    )


def as_difference(estimate: Estimate, /) -> Estimate:
    """Return an estimate whose record says that it is about differences."""
    return replace(estimate, how=replace(estimate.how, difference=True))


def bound_p_value(estimate: Estimate, bound: float, /, *, alternative: str) -> float:
    """Return the one-sided p-value of an estimate against a bound, which agrees with its interval.

    ``alternative="greater"`` tests whether the expectation lies above the bound: the p-value is below
    ``(1 - level) / 2`` only when the lower end of the two-sided interval at ``level`` lies above the bound. For all
    methods but ``"skewness"`` it is exactly then; there the p-value is that of ``"outer"``, because far out in the
    tails, where adjusting for many tests looks, a correction with less allowance rejects too often (measured:
    docs/explanation/statistics.md).

    Parameters
    ----------
    estimate : Estimate
        The estimate; its ``how`` decides how the interval is inverted.
    bound : float
        The number that the expectation is compared with.
    alternative : {"greater", "less"}
        Which side is claimed.

    Returns
    -------
    float
        In [0, 1]; NaN when the interval is unknown or the estimate is about a whole set, where nothing is inferred.

    Raises
    ------
    InvalidParameterError
        If the bound is not finite or the alternative is unknown.

    Notes
    -----
    Degenerate cases: a zero standard error gives 0 when the value lies strictly on the claimed side, else 1. The
    p-value of a bootstrap interval is that of the clustered t.

    Examples
    --------
    >>> estimate = estimate_mean([0.2, 0.4, 0.3, 0.5], method="t")
    >>> round(bound_p_value(estimate, 0.145, alternative="greater"), 3)
    0.025
    """
    function = "bound_p_value"
    checked_estimate(estimate, name="estimate", function=function)
    limit = real_number(bound, name="bound", function=function)
    one_of(alternative, ("greater", "less"), name="alternative", function=function)
    side = 1.0 if alternative == "greater" else -1.0
    unknown = (estimate.value, estimate.low, estimate.high, estimate.standard_error)
    level = estimate.confidence_level
    if level is None or estimate.n_clusters < 2 or any(map(math.isnan, unknown)):
        return math.nan
    limit, estimate = beyond_scale(estimate, limit), off_scale(estimate)
    if math.isinf(limit):
        return 0.0 if side * limit < 0.0 else 1.0
    value, error, n_clusters = estimate.value, estimate.standard_error, estimate.n_clusters
    if _is_plain_share(estimate):
        freedom = freedom_of(estimate)
        error = interval_spread(estimate) / math.sqrt(n_clusters)
        return share_p_value(estimate, limit, side, error=error, freedom=freedom)
    if error == 0.0:
        return 0.0 if side * (value - limit) > 0 else 1.0
    by_units = len(estimate.values) == estimate.n and not estimate.extra_variance
    if estimate.how.kind in _BALANCED and by_units:
        balanced = sample_of(estimate).balanced
        statistic = (value - limit) / balanced.error
        plain = float(special.stdtr(balanced.freedom, -(side * statistic)))
        if not estimate.how.is_corrected_for_skewness:
            return plain
        skewness, tails = -side * skewness_of(balanced.scores), tails_of(balanced.scores)
        p_value = side_p_value(estimate.how, skewness, tails, side * statistic, balanced.freedom, n_clusters)
        return max(plain, p_value)
    # Without the units the interval itself says what a standard error is worth on the side that faces the bound.
    value -= estimate.how.bias
    half = value - estimate.low if value > limit else estimate.high - value
    freedom = freedom_of(estimate)
    if half > 0:
        error = half / quantile_of(freedom, level)
    statistic = -(side * (value - limit) / error)
    return float(special.ndtr(statistic) if math.isinf(freedom) else special.stdtr(freedom, statistic))


def sample_of(estimate: Estimate, /) -> ClusteredSample:
    """Return the kept units of an estimate with their clusters."""
    n, others = len(estimate.values), estimate.other_clusters
    codes = cluster_codes(estimate.clusters or None, n, function="Estimate")
    other_codes = cluster_codes(others, n, name="other_clusters", function="Estimate") if others else None
    return ClusteredSample(np.asarray(estimate.values, dtype=np.float64), codes, other_codes)


def interval_spread(estimate: Estimate, /) -> float:
    """Return the standard deviation between clusters that an estimate's interval is made with."""
    error, how = estimate.standard_error, estimate.how
    if (how.kind in _BALANCED or how.is_share) and len(estimate.values) == estimate.n and error:
        error = sample_of(estimate).balanced.error
    return error * math.sqrt(estimate.n_clusters)


def checked_estimate(value: object, /, *, name: str, function: str) -> Estimate:
    """Return ``value`` if it is an estimate, which an untyped caller may forget."""
    if not isinstance(value, Estimate):
        raise invalid_parameter(name, function, "an Estimate", repr(value)[:80])
    return value


def freedom_of(estimate: Estimate, /) -> float:
    """Return the degrees of freedom of an estimate's standard error."""
    return estimate.n_clusters - 1.0 if estimate.degrees_of_freedom is None else estimate.degrees_of_freedom


def quantile_of(freedom: float, level: float, /) -> float:
    """Return how many standard errors long a side of a two-sided interval is; the normal's for infinite freedom."""
    tail = 0.5 + level / 2
    return float(special.ndtri(tail) if math.isinf(freedom) else special.stdtrit(freedom, tail))


def _gives_its_interval_again(estimate: Estimate) -> bool:
    """Whether the kept units are all that the interval was made of."""
    if not estimate.values or estimate.n != len(estimate.values) or estimate.crossed_values:
        return False
    # A record from elsewhere may count fewer clusters than its labels show, as for two crossed clusterings.
    return estimate.how.is_mean_of_units and sample_of(estimate).n_clusters == estimate.n_clusters


def _method_of(how: IntervalMethod) -> str:
    """Return which method makes the interval again; bootstraps become ``auto``, because their seed is not kept."""
    again = (IntervalKind.T, *_BALANCED)
    return how.kind.value if (how.kind in again and not how.within_exact) or how.is_share else "auto"


def _is_plain_share(estimate: Estimate) -> bool:
    """Whether the interval of a share was made from its counts alone."""
    return estimate.how.is_share and not estimate.how.respondents and not estimate.extra_variance
