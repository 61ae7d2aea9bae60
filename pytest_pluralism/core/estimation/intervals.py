"""Intervals for the mean of unit scores: clustered, skewness-aware, for shares, and for whole sets.

Nothing here draws random numbers unless a bootstrap is asked for by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.resampling import FEW_CLUSTERS, bootstrap_interval
from pytest_pluralism.core.estimation.sample import (
    ClusteredSample,
    Labels,
    UnitLabels,
    checked_scores,
    checked_unit_ids,
    cluster_contributions,
    clustered_standard_error,
    read_sample,
    stored_labels,
    units_of,
)
from pytest_pluralism.core.estimation.shares import clopper_pearson_interval, share_ends
from pytest_pluralism.core.estimation.skewness import (
    ALLOWANCE_OF_CHANGES,
    ALLOWANCE_OF_VALUES,
    allowance_of,
    side_of_change,
    side_of_value,
    skewness_of,
    tails_of,
)
from pytest_pluralism.core.parameters import generator_of, one_of, unit_interval, whole_number
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = [
    "ALLOWANCE_OF_CHANGES",
    "ALLOWANCE_OF_VALUES",
    "FEW_CLUSTERS",
    "METHODS",
    "UNEQUAL_RULE_SHARE",
    "WantedInterval",
    "allowance_of",
    "cluster_contributions",
    "clustered_standard_error",
    "estimate_mean",
    "estimate_units",
    "units_of",
]

#: The methods that ``estimate_mean`` knows.
METHODS = ("auto", "t", "satterthwaite", "skewness", "outer", "clopper-pearson", "wilson", "bca", "bootstrap_t")

#: Where clusters are so unequal that the degrees of freedom fall below this share of G - 1, the skewness of what they
#: contribute says more about their sizes than about the scores, and is left alone (measured by
#: ``tools/simulate_statistics.py``).
UNEQUAL_RULE_SHARE = 1 / 3


@dataclass(frozen=True)
class WantedInterval:
    """The interval that is asked for, as it is given; ``function`` is what an error names.

    ``differences`` says that the units are differences, whose 0 and 1 are not shares.
    """

    confidence_level: float | None = 0.95
    method: str = "auto"
    n_resamples: int = 9999
    rng: np.random.Generator | int = 0
    differences: bool = False
    function: str = "estimate_mean"


def estimate_mean(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Labels | None = None,
    confidence_level: float | None = 0.95,
    unit_ids: Labels | None = None,
    other_clusters: Labels | None = None,
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
        The cluster of each unit (the question that several countries answered). By default every unit stands alone.
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
        UnitLabels(clusters, other_clusters, unit_ids, weights),
        WantedInterval(confidence_level, method, n_resamples, rng, function="estimate_mean"),
    )


def estimate_units(values: npt.ArrayLike, labels: UnitLabels, wanted: WantedInterval, /) -> Estimate:
    """Do the work of :func:`estimate_mean`, for scores and for differences."""
    function = wanted.function
    array = checked_scores(values, function=function)
    one_of(wanted.method, METHODS, name="method", function=function)
    level = None
    if wanted.confidence_level is not None:
        level = unit_interval(wanted.confidence_level, name="confidence_level", function=function)
    if IntervalMethod(kind=_kind(wanted.method)).is_bootstrap:
        whole_number(wanted.n_resamples, name="n_resamples", function=function)
        wanted = replace(wanted, rng=generator_of(wanted.rng, function=function))
    ids = checked_unit_ids(labels.unit_ids, len(array), function=function)
    asked = read_sample(array, labels, function=function)
    present = ~np.isnan(array)
    # A unit of weight 0 says nothing: it is neither a unit of the estimate nor a missing one.
    counted = np.ones(len(array), dtype=bool) if asked.masses is None else asked.masses > 0
    n_missing = int((counted & ~present).sum())
    if bool(present.any()) and not bool((present & counted).any()):
        raise invalid_parameter("weights", function, "positive for at least one unit with a score", "0 in total")
    present &= counted
    if not present.any():
        nan, how = math.nan, IntervalMethod(kind=IntervalKind.NO_SCORES)
        return Estimate(nan, nan, nan, nan, 0, 0, level, n_missing=n_missing, how=how)
    sample = asked.kept(present)
    estimate = _estimated(sample, wanted, level, n_missing)
    if sample.masses is not None:
        return estimate
    firsts = labels.clusters
    if firsts is None and labels.other_clusters is not None:
        firsts = range(len(array))
    keep = np.flatnonzero(present)
    kept_ids, kept_clusters, kept_others = (
        tuple(names[i] for i in keep) if names else ()
        for names in (ids, stored_labels(firsts), stored_labels(labels.other_clusters))
    )
    return replace(
        estimate,
        unit_ids=kept_ids,
        values=tuple(sample.values.tolist()),
        clusters=kept_clusters,
        other_clusters=kept_others,
    )


def _estimated(sample: ClusteredSample, wanted: WantedInterval, level: float | None, n_missing: int) -> Estimate:
    value, two_way = sample.mean, sample.others is not None
    method, is_free = _choose_method(sample, wanted), wanted.method == "auto"
    error, freedom = 0.0, None
    low = high = value
    how = IntervalMethod(
        kind=IntervalKind.WHOLE_SET, two_way=two_way, difference=wanted.differences, paired=wanted.differences
    )
    if level is not None:
        error = sample.standard_error()
        low, high, how, freedom = _ends(sample, error, level, replace(wanted, method=method))
        if is_free and how.kind is IntervalKind.SKEWNESS and sample.is_of_single_shares:
            # Nothing between 0 and 1 varies more than units that are 0 or 1, whose interval is exact.
            n = len(sample.values)
            exact = clopper_pearson_interval(value * n, n, confidence_level=level)
            low, high, how = max(low, exact[0]), min(high, exact[1]), replace(how, within_exact=True)
    return Estimate(
        value=value,
        # At low levels a corrected interval may lie beside the value; NaN stays NaN.
        low=min(low, value),
        high=max(high, value),
        standard_error=error,
        n=len(sample.values),
        n_clusters=sample.n_clusters,
        confidence_level=level,
        n_missing=n_missing,
        degrees_of_freedom=freedom,
        how=how,
    )


# ------------------------------------------------------------------------------------------------------- the ends


def _ends(
    sample: ClusteredSample, error: float, level: float, wanted: WantedInterval
) -> tuple[float, float, IntervalMethod, float | None]:
    """Return the ends, how they were made, and the degrees of freedom unless they are G - 1."""
    n_clusters, value, kind = sample.n_clusters, sample.mean, _kind(wanted.method)
    if n_clusters < 2:
        return math.nan, math.nan, IntervalMethod(told="unknown: fewer than two clusters"), None
    if sample.has_a_cluster_of_all:
        return math.nan, math.nan, IntervalMethod(told="unknown: one cluster has all the weight"), None
    two_way, weighted = sample.others is not None, sample.masses is not None
    how = IntervalMethod(kind=kind, two_way=two_way, weighted=weighted, paired=wanted.differences)
    if how.is_share:
        # A cluster that holds most units makes the plain error too small, and unsure: nothing balances its residuals.
        error, freedom = sample.balanced.error, sample.balanced.freedom
        low, high = share_ends(value, error, len(sample.values), n_clusters, level=level, kind=kind, freedom=freedom)
        how = replace(how, clustered=n_clusters < len(sample.values))
        return low, high, how, None if freedom == n_clusters - 1 else freedom
    if how.is_bootstrap:
        low, high = bootstrap_interval(
            sample.values,
            clusters=sample.codes,
            confidence_level=level,
            method=wanted.method,
            n_resamples=wanted.n_resamples,
            rng=wanted.rng,
        )
        # Without its seed it is made anew by another method, which must not take differences for shares.
        how = replace(how, n_resamples=wanted.n_resamples, difference=wanted.differences)
        return low, high, how, None
    if kind is IntervalKind.T or error == 0.0:
        half = float(special.stdtrit(n_clusters - 1, 0.5 + level / 2)) * error
        return value - half, value + half, replace(how, kind=IntervalKind.T), None
    return _balanced_ends(sample, level, how)


def _balanced_ends(
    sample: ClusteredSample, level: float, how: IntervalMethod
) -> tuple[float, float, IntervalMethod, float | None]:
    value, n_clusters, balanced = sample.mean, sample.n_clusters, sample.balanced
    error, freedom = balanced.error, balanced.freedom
    quantile = float(special.stdtrit(freedom, 0.5 + level / 2))
    if not how.is_corrected_for_skewness:
        return value - quantile * error, value + quantile * error, replace(how, freedom=freedom), freedom
    skewness, z = skewness_of(balanced.scores), float(special.ndtri(0.5 + level / 2))
    if how.kind is IntervalKind.OUTER:
        tails = tails_of(balanced.scores) if how.paired else 0.0
        lower, upper = (side_of_change(one, tails, quantile, z, n_clusters) for one in (-skewness, skewness))
        return value - error * lower, value + error * upper, how, freedom
    lower, upper = (side_of_value(one, quantile, z, n_clusters) for one in (-skewness, skewness))
    return value - error * lower, value + error * upper, how, freedom


def _kind(method: str) -> IntervalKind:
    return IntervalKind.UNKNOWN if method == "auto" else IntervalKind(method)


def _choose_method(sample: ClusteredSample, wanted: WantedInterval) -> str:
    method, function = wanted.method, wanted.function
    binary = not wanted.differences and bool(np.isin(sample.values, (0.0, 1.0)).all())
    if method == "auto":
        return _automatic(sample, binary=binary, differences=wanted.differences)
    if method != "t" and not sample.is_plain and (sample.others is not None or method != "satterthwaite"):
        raise InvalidParameterError(
            f"The 'method' parameter of {function} must be 'auto' or 't' (or 'satterthwaite', for weights) with "
            f"weights or other_clusters. Got {method!r} instead."
        )
    if IntervalMethod(kind=_kind(method)).is_share and not binary:
        raise invalid_parameter("method", function, "another one unless every value is 0 or 1", repr(method))
    return method


def _automatic(sample: ClusteredSample, *, binary: bool, differences: bool) -> str:
    if sample.others is not None:
        return "t"
    if binary and sample.is_plain:
        return "clopper-pearson"
    n_clusters, equal = len(sample.shares), sample.has_equal_clusters
    level_enough = n_clusters > 1 and (equal or sample.freedom >= UNEQUAL_RULE_SHARE * (n_clusters - 1))
    if sample.is_plain and level_enough:
        # A gate on change tests one end at a time: each end alone must keep its level.
        return "outer" if differences else "skewness"
    return "t" if equal else "satterthwaite"
