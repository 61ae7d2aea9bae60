"""Intervals for the mean of unit scores: clustered, skewness-aware, for shares, and for whole sets.

Nothing here draws random numbers unless a bootstrap is asked for by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.resampling import FEW_CLUSTERS, bootstrap_interval
from pytest_pluralism.core.estimation.shares import EXACT, WILSON, is_share, share_ends, share_p_value
from pytest_pluralism.core.parameters import (
    FloatArray,
    cluster_codes,
    generator_of,
    moderate_array,
    number_array,
    one_of,
    real_number,
    unit_interval,
    whole_number,
)
from pytest_pluralism.core.records import Estimate

__all__ = [
    "ALLOWANCE_OF_CHANGES",
    "ALLOWANCE_OF_VALUES",
    "FEW_CLUSTERS",
    "METHODS",
    "UNEQUAL_RULE_SHARE",
    "allowance_of",
    "bound_p_value",
    "cluster_contributions",
    "clustered_standard_error",
    "estimate_mean",
    "interval_at",
    "units_of",
]

IntArray = npt.NDArray[np.intp]

#: What the method of an interval says that holds the sampling error of the people.
RESPONDENTS = "respondents resampled"

#: What the method of an interval says whose value is a difference, and no share even where it is 0 or 1.
DIFFERENCES = " of differences"

#: The methods that ``estimate_mean`` knows.
METHODS = ("auto", "t", "satterthwaite", "skewness", "outer", "clopper-pearson", "wilson", "bca", "bootstrap_t")

_BOOTSTRAPS = ("bca", "bootstrap_t")

#: A sample's skewness is itself uncertain, and samples that miss the long tail show too little of it. So each end of a
#: ``"skewness"`` interval moves outwards by what this many times ``z`` standard errors of the skewness are worth, with
#: ``z`` the normal quantile of the level. It keeps two-sided coverage near its level (measured by
#: ``tools/simulate_statistics.py``; docs/explanation/statistics.md shows the table).
ALLOWANCE_OF_VALUES = 0.4

#: The same for ``"outer"`` intervals and for p-values, so that each end alone errs at most at its level.
ALLOWANCE_OF_CHANGES = 1.25

#: Where clusters are so unequal that the degrees of freedom fall below this share of G - 1, the skewness of what they
#: contribute says more about their sizes than about the scores, and is left alone (measured likewise).
UNEQUAL_RULE_SHARE = 1 / 3


def estimate_mean(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Sequence[Any] | npt.NDArray[Any] | None = None,
    confidence_level: float | None = 0.95,
    unit_ids: Sequence[Any] | None = None,
    other_clusters: Sequence[Any] | npt.NDArray[Any] | None = None,
    weights: npt.ArrayLike | None = None,
    method: str = "auto",
    n_resamples: int = 9999,
    rng: np.random.Generator | int = 0,
) -> Estimate:
    r"""Estimate the mean of unit scores, with an interval that knows which units belong together.

    .. math:: \bar x = \frac{1}{n}\sum_i x_i, \qquad
              \widehat{SE}^2 = \frac{G}{G-1}\,\frac{1}{n^2} \sum_{g=1}^{G} \Big(\sum_{i \in g} (x_i - \bar x)\Big)^2

    for G clusters; the interval uses Student's t with G - 1 degrees of freedom.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One score a unit. NaN means that the unit has no score: it is left out and counted in ``n_missing``, and an
        estimate with missing scores never passes a gate.
    clusters : sequence of hashable, shape (n,), optional
        What makes units dependent (the question that several countries answered). By default every unit stands alone.
    confidence_level : float in (0, 1) or None
        ``None`` says that the units are the whole set: ``low`` and ``high`` equal the value, the standard error is 0.
    unit_ids : sequence, shape (n,), optional
        Names of the units, all different, kept so that two estimates can be paired.
    other_clusters : sequence of hashable, shape (n,), optional
        A second, crossed clustering (juror beside query): two-way clustering after Cameron, Gelbach and Miller.
    weights : array_like of float, shape (n,), optional
        Sampling weights of the units, non-negative. A unit of weight 0 is left out and not counted. A weighted estimate
        keeps no units, so it cannot be subtracted.
    method : {"auto", "t", "satterthwaite", "skewness", "outer", "clopper-pearson", "wilson", "bca", "bootstrap_t"}
        How the interval is made. ``"t"`` is the formula above. ``"auto"`` takes a wider one where plain t intervals
        cover too little: Clopper and Pearson's exact one when every value is 0 or 1 (in clusters after Korn and
        Graubard; ``"wilson"`` is shorter, and one of its ends may err more often than its level); for clusters of
        unequal sizes (or weights) an unbiased variance with Satterthwaite's degrees of freedom; and unless clusters are
        very unequal or weighted, ``"skewness"``: Hall's cubic transformation of the t interval, which takes out
        skewness, with an allowance for the skewness being an estimate (below ``FEW_CLUSTERS`` = 10 each end is the
        outer one of Hall's and t's instead). ``"outer"`` has a larger allowance and takes the outer of the two ends at
        any number of clusters. For two-way clusters ``"auto"`` is ``"t"``.
    n_resamples : int
        For ``"bca"`` and ``"bootstrap_t"``: how many resamples of the clusters.
    rng : numpy.random.Generator or int
        For ``"bca"`` and ``"bootstrap_t"``: the generator, or the seed of one.

    Returns
    -------
    Estimate
        The mean in the units of the values, its interval and its clustered standard error.

    Raises
    ------
    InvalidParameterError
        If values are empty, not one-dimensional or infinite.
    InvalidParameterError
        If clusters, unit_ids or weights are not one a unit, weights are negative or unit_ids repeat.
    InvalidParameterError
        If the confidence level is not in (0, 1), or the method is unknown or cannot be used with these values.

    Notes
    -----
    Degenerate cases. With a single cluster nothing is known about other clusters: the standard error, ``low`` and
    ``high`` are NaN. With no score at all the value is NaN and ``n`` is 0. Equal values give a zero-width interval
    (except shares, see :func:`clopper_pearson_interval`); a gate does not trust it from few clusters.

    References
    ----------
    E. Miller, "Adding error bars to evals", 2024, arXiv:2411.00640 (clustered standard errors).
    R. M. Bell, D. F. McCaffrey, "Bias reduction in standard errors for linear regression with multi-stage samples",
    Survey Methodology 28, 2002 (degrees of freedom).
    P. Hall, "On the removal of skewness by transformation", J. R. Stat. Soc. B 54, 1992 (skewness).
    N. J. Johnson, "Modified t tests and confidence intervals for asymmetrical populations", J. Am. Stat. Assoc. 73,
    1978 (the allowance).
    C. J. Clopper, E. S. Pearson, Biometrika 26, 1934, doi:10.1093/biomet/26.4.404 (shares). E. L. Korn, B. I. Graubard,
    "Confidence intervals for proportions with small expected number of positive counts estimated from survey data",
    Survey Methodology 24, 1998 (shares in clusters).
    A. C. Cameron, J. B. Gelbach, D. L. Miller, "Robust inference with multiway clustering", 2011,
    doi:10.1198/jbes.2010.07136.

    Examples
    --------
    >>> estimate = estimate_mean([0.2, 0.4, 0.3, 0.5], method="t")
    >>> print(estimate)
    0.350 [0.145, 0.555]
    >>> estimate_mean([0.2, 0.4, 0.3, 0.5], clusters=["a", "a", "b", "b"]).n_clusters
    2
    """
    return estimate_units(
        values,
        clusters=clusters,
        confidence_level=confidence_level,
        unit_ids=unit_ids,
        other_clusters=other_clusters,
        weights=weights,
        method=method,
        n_resamples=n_resamples,
        rng=rng,
        maybe_shares=True,
        function="estimate_mean",
    )


def estimate_units(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Sequence[Any] | npt.NDArray[Any] | None,
    confidence_level: float | None,
    unit_ids: Sequence[Any] | None,
    other_clusters: Sequence[Any] | npt.NDArray[Any] | None,
    weights: npt.ArrayLike | None,
    method: str,
    n_resamples: int,
    rng: np.random.Generator | int,
    maybe_shares: bool,
    function: str,
) -> Estimate:
    """Do the work of ``estimate_mean``; ``maybe_shares`` is false for differences, whose 0 and 1 are no shares."""
    array = _scores(values, function=function)
    n_asked = len(array)
    freedom: float | None = None
    one_of(method, METHODS, name="method", function=function)
    level = None
    if confidence_level is not None:
        level = unit_interval(confidence_level, name="confidence_level", function=function)
    if method in _BOOTSTRAPS:
        whole_number(n_resamples, name="n_resamples", function=function)
        rng = generator_of(rng, function=function)
    ids = _unit_ids(unit_ids, n_asked, function=function)
    codes = cluster_codes(clusters, n_asked, function=function)
    others = None
    if other_clusters is not None:
        others = cluster_codes(other_clusters, n_asked, name="other_clusters", function=function)
    masses = None if weights is None else _weights(weights, n_asked, function=function)

    labels = _stored_labels(clusters, other_clusters)
    present = ~np.isnan(array)
    # A unit of weight 0 says nothing: it is neither a unit of the estimate nor a missing one.
    counted = np.ones(n_asked, dtype=bool) if masses is None else masses > 0
    n_missing = int((counted & ~present).sum())
    if bool(present.any()) and not bool((present & counted).any()):
        raise invalid_parameter("weights", function, "positive for at least one unit with a score", "0 in total")
    present &= counted
    if not present.all():
        array = array[present]
        keep = np.flatnonzero(present)
        codes = _recode(codes[keep])
        others = None if others is None else _recode(others[keep])
        masses = None if masses is None else masses[keep]
        ids = tuple(ids[i] for i in keep) if ids else ()
        labels = tuple(labels[i] for i in keep) if labels else ()

    n = len(array)
    if n == 0:
        nan = math.nan
        return Estimate(nan, nan, nan, nan, 0, 0, level, "no scores", n_missing)
    n_clusters = _count(codes) if others is None else min(_count(codes), _count(others))
    binary = maybe_shares and bool(np.isin(array, (0.0, 1.0)).all())
    chosen = _choose_method(method, codes, masses, binary=binary, two_way=others is not None, function=function)
    if method == "auto" and chosen == "skewness" and not maybe_shares:
        # A gate on change tests one end at a time: each end alone must keep its level.
        chosen = "outer"
    value = _mean(array, masses)
    store_units = masses is None
    if level is None:
        low = high = value
        error, how = 0.0, "whole set" if others is None else "two-way, whole set"
        if not maybe_shares:
            how += DIFFERENCES
    else:
        error = _standard_error(array, codes, others, masses)
        low, high, how, freedom = _ends(
            array, codes, others, masses, value, error, n_clusters, level, chosen, n_resamples, rng
        )
        if chosen in _BOOTSTRAPS and not maybe_shares:
            # Without its seed it is made anew by another method, which must not take differences for shares.
            how += DIFFERENCES
    return Estimate(
        value=value,
        # At low levels a corrected interval may lie beside the value; NaN stays NaN.
        low=min(low, value),
        high=max(high, value),
        standard_error=error,
        n=n,
        n_clusters=n_clusters,
        confidence_level=level,
        method=how,
        n_missing=n_missing,
        unit_ids=ids if store_units else (),
        values=tuple(array.tolist()) if store_units else (),
        clusters=labels if store_units else (),
        degrees_of_freedom=freedom,
    )


def allowance_of(method: str, /, *, level: float, n_clusters: float) -> float:
    """Return by how many standard errors the ends of an interval of this method are moved out for unsure skewness."""
    if "corrected for skewness" not in method:
        return 0.0
    outer = "outer ends" in method
    if not outer and n_clusters < FEW_CLUSTERS:
        return 0.0
    share = ALLOWANCE_OF_CHANGES if outer else ALLOWANCE_OF_VALUES
    return share * _skewness_allowance(float(special.ndtri(0.5 + level / 2)), n_clusters)


def interval_at(estimate: Estimate, confidence_level: float | None, /) -> Estimate:
    """Return the same estimate with its interval at another confidence level.

    The interval is made anew from the units when the estimate holds them, and that of a share from its counts and its
    standard error. Else both its sides are stretched by the ratio of the quantiles of Student's t, which keeps its
    degrees of freedom and its asymmetry; ``method`` says which.

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
    if level is None:
        return replace(estimate, low=estimate.value, high=estimate.value, confidence_level=None)
    # A crossed mean does not keep what its two dimensions have in common, so that its interval is stretched.
    if estimate.values and estimate.n == len(estimate.values) and not estimate.crossed_values:
        units = {"clusters": None, "other_clusters": None} | units_of(estimate)
        again = estimate_units(
            estimate.values,
            confidence_level=level,
            unit_ids=estimate.unit_ids or None,
            method=_method_of(estimate),
            weights=None,
            n_resamples=9999,
            rng=0,
            maybe_shares=DIFFERENCES not in estimate.method,
            function="interval_at",
            **units,
        )
        again = with_extra_variance(again, estimate.extra_variance)
        if DIFFERENCES in estimate.method:
            again = as_difference(again)
        return replace(again, n_missing=estimate.n_missing, method=f"{again.method}, from the units")
    error = estimate.standard_error
    if estimate.confidence_level is None or estimate.n_clusters < 2 or math.isnan(error):
        return replace(estimate, low=math.nan, high=math.nan, confidence_level=level, method="unknown")
    if _is_plain_share(estimate) and 0.0 <= estimate.value <= 1.0:
        # Counts and the error say all that an interval of a share is made of; a stretched one would leave [0, 1].
        low, high, how = share_ends(
            estimate.value,
            error,
            estimate.n,
            estimate.n_clusters,
            level=level,
            method=estimate.method,
            freedom=_freedom(estimate),
        )
        return replace(estimate, low=low, high=high, confidence_level=level, method=f"{how}, from the standard error")
    freedom = _freedom(estimate)
    ratio = _quantile(freedom, level) / _quantile(freedom, estimate.confidence_level)
    if RESPONDENTS in estimate.method:
        ratio = max(1.0, ratio)
    kind = estimate.method.removesuffix(", from the standard error")
    return replace(
        estimate,
        low=estimate.value - ratio * (estimate.value - estimate.low),
        high=estimate.value + ratio * (estimate.high - estimate.value),
        confidence_level=level,
        method=f"{'t' if kind in ('', 'clustered t') else kind}, from the standard error",
    )


def with_extra_variance(estimate: Estimate, variance: float, /) -> Estimate:
    """Return an estimate whose interval also holds a variance of its value that the units do not show.

    Each side grows in quadrature, so that an asymmetric interval keeps its shape; that of a whole set stays as it is.
    """
    if not variance or estimate.confidence_level is None:
        return estimate
    added = _quantile(_freedom(estimate), estimate.confidence_level) * math.sqrt(variance)
    value = estimate.value
    return replace(
        estimate,
        low=value - math.hypot(value - estimate.low, added),
        high=value + math.hypot(estimate.high - value, added),
        standard_error=math.hypot(estimate.standard_error, math.sqrt(variance)),
        extra_variance=estimate.extra_variance + variance,
    )


def as_difference(estimate: Estimate, /) -> Estimate:
    """Return an estimate whose method says that it is about differences."""
    return estimate if DIFFERENCES in estimate.method else replace(estimate, method=estimate.method + DIFFERENCES)


def _is_plain_share(estimate: Estimate) -> bool:
    """Whether the interval of a share was made from its counts alone."""
    return is_share(estimate) and RESPONDENTS not in estimate.method and not estimate.extra_variance


def interval_spread(estimate: Estimate, /) -> float:
    """Return the standard deviation between clusters that an estimate's interval is made with."""
    error = estimate.standard_error
    corrected = ("skewness", "outer", "satterthwaite", EXACT, WILSON)
    if _method_of(estimate) in corrected and len(estimate.values) == estimate.n and error:
        error = _unequal(np.asarray(estimate.values), cluster_codes_of(estimate), None)[1]
    return error * math.sqrt(estimate.n_clusters)


def cluster_codes_of(estimate: Estimate, /) -> IntArray:
    """Return which cluster each kept unit of an estimate belongs to."""
    return cluster_codes(estimate.clusters or None, estimate.n, function="Estimate")


def _freedom(estimate: Estimate) -> float:
    return estimate.n_clusters - 1.0 if estimate.degrees_of_freedom is None else estimate.degrees_of_freedom


def _quantile(freedom: float, level: float) -> float:
    """How many standard errors a side of a two-sided interval is long; infinite degrees of freedom are the normal's."""
    tail = 0.5 + level / 2
    return float(special.ndtri(tail) if math.isinf(freedom) else special.stdtrit(freedom, tail))


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
        The estimate; its method decides how the interval is inverted.
    bound : float
        What the expectation is compared with.
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
    if estimate.confidence_level is None or estimate.n_clusters < 2 or any(map(math.isnan, unknown)):
        return math.nan
    value, error, n_clusters = estimate.value, estimate.standard_error, estimate.n_clusters
    if _is_plain_share(estimate):
        freedom = _freedom(estimate)
        error = interval_spread(estimate) / math.sqrt(n_clusters)
        return share_p_value(estimate, limit, side, error=error, freedom=freedom)
    if error == 0.0:
        return 0.0 if side * (value - limit) > 0 else 1.0
    how = _method_of(estimate)
    by_units = len(estimate.values) == estimate.n and not estimate.extra_variance
    if how in ("skewness", "outer", "satterthwaite") and by_units:
        scores, error, freedom = _unequal(np.asarray(estimate.values), cluster_codes_of(estimate), None)
        statistic = (value - limit) / error
        plain = float(special.stdtr(freedom, -(side * statistic)))
        if how == "satterthwaite":
            return plain
        return max(plain, _skewness_p_value(side * _skewness(scores), side * statistic, freedom, n_clusters))
    # Without the units the interval itself says what a standard error is worth on the side that faces the bound.
    half = value - estimate.low if value > limit else estimate.high - value
    freedom = _freedom(estimate)
    if half > 0:
        error = half / _quantile(freedom, estimate.confidence_level)
    statistic = -(side * (value - limit) / error)
    return float(special.ndtr(statistic) if math.isinf(freedom) else special.stdtr(freedom, statistic))


def units_of(estimate: Estimate, /) -> dict[str, Any]:
    """Return the ``clusters`` (and ``other_clusters``) that an estimate keeps, as keywords of ``estimate_mean``."""
    if not estimate.clusters:
        return {"clusters": None}
    if estimate.method.startswith("two-way"):
        pairs = [json.loads(label) for label in estimate.clusters]
        return {"clusters": [pair[0] for pair in pairs], "other_clusters": [pair[1] for pair in pairs]}
    return {"clusters": estimate.clusters}


def clustered_standard_error(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Sequence[Any] | npt.NDArray[Any] | None = None,
    other_clusters: Sequence[Any] | npt.NDArray[Any] | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    r"""Return the clustered standard error of a mean.

    One way: the formula of :func:`estimate_mean`. Two ways: :math:`V = V_1 + V_2 - V_{12}`, each with its own
    G/(G-1); when that is not positive, the greater of :math:`V_1` and :math:`V_2`.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One score a unit.
    clusters, other_clusters : sequence of hashable, shape (n,), optional
        The clusterings.
    weights : array_like of float, shape (n,), optional
        Sampling weights.

    Returns
    -------
    float
        In [0, inf); NaN with fewer than two clusters.

    Raises
    ------
    InvalidParameterError
        If values are empty, not one-dimensional or not finite, or the others are not one a unit.

    References
    ----------
    E. Miller, 2024, arXiv:2411.00640, section 2.2; Cameron, Gelbach and Miller, 2011, doi:10.1198/jbes.2010.07136.

    Examples
    --------
    >>> round(clustered_standard_error([1.0, 2.0, 3.0, 4.0]), 4)
    0.6455
    >>> clustered_standard_error([1.0, 2.0, 3.0, 4.0], clusters=["a", "a", "b", "b"])
    1.0
    """
    function = "clustered_standard_error"
    array = _scores(values, function=function)
    if np.isnan(array).any():
        raise invalid_parameter("values", function, "finite everywhere", "nan")
    codes = cluster_codes(clusters, len(array), function=function)
    others = None
    if other_clusters is not None:
        others = cluster_codes(other_clusters, len(array), name="other_clusters", function=function)
    masses = None if weights is None else _weights(weights, len(array), function=function)
    if masses is not None and (masses == 0.0).any():
        keep = np.flatnonzero(masses)
        array, codes, masses = array[keep], _recode(codes[keep]), masses[keep]
        others = None if others is None else _recode(others[keep])
    return _standard_error(array, codes, others, masses)


def cluster_contributions(array: FloatArray, codes: IntArray, masses: FloatArray | None = None, /) -> FloatArray:
    """Return what each cluster adds to ``mean - expectation``, times G: their mean is 0, their spread the error's."""
    share = np.full(len(array), 1.0 / len(array)) if masses is None else masses / masses.sum()
    n_clusters = _count(codes)
    residuals = share * (array - _mean(array, masses))
    contributions: FloatArray = n_clusters * np.bincount(codes, weights=residuals).astype(np.float64)
    return contributions


# ------------------------------------------------------------------------------------------------------- the ends


def _ends(
    array: FloatArray,
    codes: IntArray,
    others: IntArray | None,
    masses: FloatArray | None,
    value: float,
    error: float,
    n_clusters: int,
    level: float,
    method: str,
    n_resamples: int,
    rng: np.random.Generator | int,
) -> tuple[float, float, str, float | None]:
    """Return the ends, how they were made, and the degrees of freedom unless they are G - 1."""
    if n_clusters < 2:
        return math.nan, math.nan, "unknown: fewer than two clusters", None
    if masses is not None and any(_has_all(one, masses) for one in (codes, others) if one is not None):
        return math.nan, math.nan, "unknown: one cluster has all the weight", None
    two_way = others is not None
    if method in (EXACT, WILSON):
        # A cluster that holds most units makes the plain error too small, and unsure: nothing balances its residuals.
        _, error, freedom = _unequal(array, codes, None)
        ends = share_ends(value, error, len(array), n_clusters, level=level, method=method, freedom=freedom)
        return *ends, None if freedom == n_clusters - 1 else freedom
    if method in _BOOTSTRAPS:
        low, high = bootstrap_interval(
            array, clusters=codes, confidence_level=level, method=method, n_resamples=n_resamples, rng=rng
        )
        return low, high, f"{method}, {n_resamples} resamples", None
    kind = "two-way clustered t" if two_way else ("weighted clustered t" if masses is not None else "clustered t")
    if method == "t" or error == 0.0:
        half = float(special.stdtrit(n_clusters - 1, 0.5 + level / 2)) * error
        return value - half, value + half, kind, None
    scores, error, freedom = _unequal(array, codes, masses)
    quantile = float(special.stdtrit(freedom, 0.5 + level / 2))
    if method in ("skewness", "outer"):
        outer = method == "outer"
        skewness, root = _skewness(scores), math.sqrt(n_clusters)
        kind += ", outer ends, corrected for skewness" if outer else ", corrected for skewness"
        allowance = allowance_of(kind, level=level, n_clusters=n_clusters)
        lower = root * _without_skewness(quantile / root, skewness, n_clusters) + allowance
        upper = -root * _without_skewness(-quantile / root, skewness, n_clusters) + allowance
        if outer or n_clusters < FEW_CLUSTERS:
            lower, upper = max(lower, quantile), max(upper, quantile)
        return value - error * lower, value + error * upper, kind, freedom
    how = f"{kind}, {freedom:.1f} degrees of freedom"
    return value - quantile * error, value + quantile * error, how, freedom


def _unequal(array: FloatArray, codes: IntArray, masses: FloatArray | None) -> tuple[FloatArray, float, float]:
    """Return cluster contributions, a standard error and its degrees of freedom that allow for unequal clusters.

    With w_g the share of cluster g and s the sum of their squares, a residual of cluster means that vary equally has
    the expected square 1 - 2 w_g + s. Dividing by it makes the variance unbiased, and Satterthwaite's degrees of
    freedom are those of the resulting quadratic form, in closed form. Equal clusters give G / (G - 1) and G - 1 again.
    """
    shares = np.bincount(codes, weights=masses)
    shares = shares / shares.sum()
    n_clusters = len(shares)
    if (shares == shares[0]).all():
        error = math.sqrt(_variance(array, codes, masses))
        return cluster_contributions(array, codes, masses), error, float(n_clusters - 1)
    s = float(np.sum(shares**2))
    expected = 1.0 - 2.0 * shares + s
    scores = cluster_contributions(array, codes, masses) / np.sqrt(expected)
    error = math.sqrt(float(np.sum(scores**2))) / n_clusters
    return scores, error, _satterthwaite(shares)


def _has_all(codes: IntArray, masses: FloatArray) -> bool:
    """Whether one cluster has all the weight up to rounding, so that nothing is known about others."""
    shares = np.bincount(codes, weights=masses)
    shares = shares / shares.sum()
    return bool((1.0 - 2.0 * shares + float(np.sum(shares**2)) <= 0.0).any())


def _satterthwaite(shares: FloatArray) -> float:
    s = float(np.sum(shares**2))
    expected = 1.0 - 2.0 * shares + s
    if (expected <= 0.0).any():
        return 1.0
    u = shares**2 / expected
    trace = float(np.sum(shares**2))
    # tr(M^2) for M_gh = sqrt(u_g u_h) (delta_gh - w_g - w_h + s), expanded so that no (G, G) matrix is needed.
    a, b, c = float(np.sum(u)), float(np.sum(u * shares)), float(np.sum(u * shares**2))
    crossed = s * s * a * a + 2 * a * c - 4 * s * a * b + 2 * b * b
    diagonal = float(np.sum(u**2 * (expected**2 - (s - 2.0 * shares) ** 2)))
    return max(1.0, trace**2 / (crossed + diagonal))


def _without_skewness(y: float, skewness: float, n_clusters: int) -> float:
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


def _skewness_p_value(skewness: float, statistic: float, freedom: float, n_clusters: int) -> float:
    """Return the level at which the corrected end meets the bound: the tail at which a monotone function is 0."""
    root = math.sqrt(n_clusters)

    def excess(z: float) -> float:
        quantile = -float(special.stdtrit(freedom, float(special.ndtr(-z))))
        end = root * _without_skewness(quantile / root, skewness, n_clusters)
        return end + ALLOWANCE_OF_CHANGES * _skewness_allowance(z, n_clusters) - statistic

    low, high = -30.0, 30.0
    for _ in range(64):
        middle = (low + high) / 2
        if excess(middle) < 0.0:
            low = middle
        else:
            high = middle
    return float(special.ndtr(-(low + high) / 2))


def _skewness(scores: FloatArray) -> float:
    deviations = scores - scores.mean()
    spread = math.sqrt(float(np.mean(deviations**2)))
    # Contributions that are equal roundings of 0 are not skewed.
    return float(np.mean((deviations / spread) ** 3)) if spread > 0.0 else 0.0


# --------------------------------------------------------------------------------------------------- small pieces


def _standard_error(array: FloatArray, codes: IntArray, others: IntArray | None, masses: FloatArray | None) -> float:
    if others is None:
        return math.sqrt(_variance(array, codes, masses))
    first, second = _variance(array, codes, masses), _variance(array, others, masses)
    both = _variance(array, _recode(codes * (int(others.max()) + 1) + others), masses)
    variance = first + second - both
    if math.isnan(variance):
        return math.nan
    return math.sqrt(variance if variance > 0 else max(first, second))


def _variance(array: FloatArray, codes: IntArray, masses: FloatArray | None) -> float:
    n_clusters = _count(codes)
    if n_clusters < 2:
        return math.nan
    if (array == array[0]).all():
        # The mean of equal numbers may be off by a rounding, which must not pass for a variance.
        return 0.0
    contributions = cluster_contributions(array, codes, masses)
    return float(np.sum(contributions**2)) / (n_clusters * (n_clusters - 1))


def _mean(array: FloatArray, masses: FloatArray | None) -> float:
    if (array == array[0]).all():
        return float(array[0])
    if masses is None:
        # fsum does not depend on the order of the units.
        return math.fsum(array) / len(array)
    return math.fsum(array * masses) / math.fsum(masses)


def _count(codes: IntArray) -> int:
    return int(codes.max()) + 1


def _recode(codes: IntArray) -> IntArray:
    return np.unique(codes, return_inverse=True)[1].astype(np.intp)


def _choose_method(
    method: str, codes: IntArray, masses: FloatArray | None, *, binary: bool, two_way: bool, function: str
) -> str:
    plain = masses is None and not two_way
    if method == "auto":
        if two_way:
            return "t"
        if binary and plain:
            return EXACT
        shares = np.bincount(codes, weights=masses)
        shares = shares / shares.sum()
        n_clusters = len(shares)
        equal = bool((shares == shares[0]).all())
        level_enough = n_clusters > 1 and (equal or _satterthwaite(shares) >= UNEQUAL_RULE_SHARE * (n_clusters - 1))
        if plain and level_enough:
            return "skewness"
        return "t" if equal else "satterthwaite"
    if method != "t" and (two_way or (masses is not None and method != "satterthwaite")):
        raise InvalidParameterError(
            f"The 'method' parameter of {function} must be 'auto' or 't' (or 'satterthwaite', for weights) with "
            f"weights or other_clusters. Got {method!r} instead."
        )
    if method in (EXACT, WILSON) and not binary:
        raise invalid_parameter("method", function, "another one unless every value is 0 or 1", repr(method))
    return method


def _method_of(estimate: Estimate) -> str:
    """Which method makes the interval of an estimate again; bootstraps become ``auto``, their seed is not kept."""
    how = estimate.method
    for share in (EXACT, WILSON):
        if how.startswith(share):
            return share
    if "outer ends" in how:
        return "outer"
    if "skewness" in how:
        return "skewness"
    if "degrees of freedom" in how:
        return "satterthwaite"
    if "clustered t" in how:
        return "t"
    return "auto"


def checked_estimate(value: Any, /, *, name: str, function: str) -> Estimate:
    """Return ``value`` if it is an estimate, which an untyped caller may forget."""
    if not isinstance(value, Estimate):
        raise invalid_parameter(name, function, "an Estimate", repr(value)[:80])
    return value


def _scores(values: npt.ArrayLike, *, function: str) -> FloatArray:
    array = number_array(values, name="values", function=function)
    if array.ndim != 1 or array.size == 0:
        raise invalid_parameter("values", function, "a non-empty array with one axis", f"shape {array.shape}")
    if np.isinf(array).any():
        where = int(np.flatnonzero(np.isinf(array))[0])
        raise invalid_parameter("values", function, "finite everywhere", f"{array[where]} at index {where}")
    return moderate_array(array, name="values", function=function)


def _weights(weights: npt.ArrayLike, n: int, *, function: str) -> FloatArray:
    masses = number_array(weights, name="weights", function=function)
    if masses.shape != (n,):
        raise invalid_parameter("weights", function, f"one number a unit ({n})", f"shape {masses.shape}")
    if not np.isfinite(masses).all() or (masses < 0).any():
        raise invalid_parameter("weights", function, "finite and non-negative", repr(masses.tolist())[:80])
    moderate_array(masses, name="weights", function=function)
    if float(masses.sum()) == 0.0:
        raise invalid_parameter("weights", function, "positive for at least one unit", "0 in total")
    return masses


def _unit_ids(unit_ids: Sequence[Any] | None, n: int, *, function: str) -> tuple[str, ...]:
    if unit_ids is None:
        return ()
    try:
        ids = tuple(str(unit_id) for unit_id in unit_ids)
    except TypeError as error:
        raise invalid_parameter("unit_ids", function, f"one name a unit ({n})", repr(unit_ids)[:80]) from error
    if len(ids) != n:
        raise invalid_parameter("unit_ids", function, f"one name a unit ({n})", f"{len(ids)} names")
    if len(set(ids)) != n:
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise invalid_parameter("unit_ids", function, "all different", f"{twice!r} more than once")
    return ids


def _stored_labels(clusters: Any, other_clusters: Any) -> tuple[str, ...]:
    """Return the labels as strings for the record; two-way labels as JSON pairs, which can be taken apart again."""
    if other_clusters is not None:
        others = list(other_clusters)
        firsts = list(range(len(others))) if clusters is None else list(clusters)
        return tuple(json.dumps([str(a), str(b)]) for a, b in zip(firsts, others, strict=True))
    if clusters is None:
        return ()
    labels = list(clusters)
    names = [str(label) for label in labels]
    if len(set(names)) != len(set(labels)):
        # 1 and "1" are different clusters; their representations keep them apart.
        names = [repr(label) for label in labels]
    return tuple(names)
