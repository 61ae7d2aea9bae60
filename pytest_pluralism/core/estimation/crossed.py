"""Means over two crossed dimensions, jurors beside queries, from the two margins: no table of all cells is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.resampling import FEW_CLUSTERS
from pytest_pluralism.core.estimation.scale import on_scale, skewness_of_scale
from pytest_pluralism.core.estimation.skewness import unsure_skewness, without_skewness
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.parameters import FloatArray, finite_array, real_number, same_length, unit_interval
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = ["compare_crossed", "estimate_crossed"]

#: How far rounding alone can move an end.
ROUNDING = 1e-12

_NAN = math.nan

_WHOLE = IntervalMethod(kind=IntervalKind.WHOLE_SET, crossed=True)

#: Both ends move out by what so many times ``z`` standard errors of the skewness are worth. Panels that hold none of
#: the few who are served worst show too little of the long tail below, so that the lower end moves further (measured
#: by ``tools/simulate_samples.py``; docs/explanation/statistics.md shows the table).
ALLOWANCE_BELOW, ALLOWANCE_ABOVE = 1.25, 0.8

_UNKNOWN = IntervalMethod(told="unknown: fewer than two units in a dimension")


def estimate_crossed(
    values: npt.ArrayLike,
    crossed: npt.ArrayLike,
    /,
    *,
    cell_variance: float = 0.0,
    cell_third: float = 0.0,
    carriers: float = math.inf,
    below: float = 0.0,
    above: float = 0.0,
    scale: tuple[float, float] | None = None,
    bias: npt.ArrayLike = 0.0,
    extra_variance: float = 0.0,
    confidence_level: float | None = 0.95,
    n_missing: int = 0,
    unit_ids: Sequence[str] = (),
    crossed_ids: Sequence[str] = (),
) -> Estimate:
    r"""Estimate a mean whose cells are crossed: the same jurors judge all queries, and both are samples.

    .. math:: \widehat{SE}^2 = V_1 + V_2 - V_{12} + V_0, \qquad
        V_1 = \frac{1}{n(n-1)}\sum_q (x_q - \bar x)^2, \qquad V_2 = \frac{1}{m(m-1)} \sum_j (y_j - \bar y)^2

    with the greater of :math:`V_1` and :math:`V_2` where :math:`V_1 + V_2 - V_{12}` is not positive. The interval is
    that of Student's t, with Satterthwaite's degrees of freedom of :math:`V_1 + V_2 - V_{12}` from :math:`n - 1` of the
    first and :math:`\min(m, \text{carriers}) - 1` of the second, without the skewness of both dimensions as for
    :func:`~pytest_pluralism.core.estimation.estimate_mean`.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One value for each unit of the first dimension; their mean is the estimate.
    crossed : array_like of float, shape (m,)
        One pseudo-value for each unit of the second dimension: the mean plus m times what the unit adds to it. Only
        their spread and skewness matter.
    cell_variance : float
        :math:`V_{12}`: what the cells would contribute if all of them were independent, which both margins contain.
    cell_third : float
        The same of the third cumulant of the mean.
    carriers : float
        The effective number of units of the second dimension that carry the mean, where few of them count most.
    below, above : float
        How much lower and higher than measured the mean may be, beyond chance: the ends are moved by them.
    scale : tuple of float or None
        The lowest and the highest value that there can be; the interval then lies between them.
    bias : array_like of float, shape (n,) or scalar
        How much each value is too large in expectation; the interval is that of the mean without it.
    extra_variance : float
        :math:`V_0`: of the mean, from what neither dimension shows (jurors that are estimated).
    confidence_level : float in (0, 1) or None
        ``None`` says that both dimensions are whole sets.
    n_missing : int
        How many units of the first dimension have no value.
    unit_ids, crossed_ids : sequence of str, optional
        Names of the units of both dimensions; with both, the estimate keeps its units and can be subtracted.

    Returns
    -------
    Estimate
        It counts units of the first dimension, and the smaller number of both as clusters.

    Raises
    ------
    InvalidParameterError
        If a margin is empty, not finite or not one-dimensional, or a number is not finite.
    InvalidParameterError
        If a variance is negative or the confidence level is neither in (0, 1) nor None.

    Notes
    -----
    Degenerate cases: with fewer than two units in a dimension the standard error and the ends are NaN. The ends are NaN
    too where the bias is so large that the interval would not hold the mean.

    References
    ----------
    A. C. Cameron, J. B. Gelbach, D. L. Miller, "Robust inference with multiway clustering", 2011,
    doi:10.1198/jbes.2010.07136. B. Efron, C. Stein, "The jackknife estimate of variance", 1981,
    doi:10.1214/aos/1176345462.

    Examples
    --------
    >>> print(estimate_crossed([0.2, 0.4, 0.3, 0.5], [0.3, 0.4, 0.35]))
    0.350 [0.046, 0.654]
    """
    function = "estimate_crossed"
    first = _margin(values, "values", function)
    second = _margin(crossed, "crossed", function)
    asked = (("cell_variance", cell_variance), ("extra_variance", extra_variance))
    common, beside = (variance_of(one, name, function) for name, one in asked)
    biases = _biases(bias, first, function)
    ids, others = _names(unit_ids, crossed_ids, (len(first), len(second)), function)
    value = math.fsum(first) / len(first)
    unbiased = first - biases
    shift = value - math.fsum(unbiased) / len(first) if biases.any() else 0.0
    n_clusters = min(len(first), len(second))
    if confidence_level is None:
        return Estimate(value, value, value, 0.0, len(first), n_clusters, None, n_missing=n_missing, how=_WHOLE)
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    if n_clusters < 2:
        return Estimate(value, _NAN, _NAN, _NAN, len(first), n_clusters, level, n_missing=n_missing, how=_UNKNOWN)
    one, two = _variance(unbiased), _variance(second)
    error = math.sqrt((one + two - common if one + two > common else max(one, two)) + beside)
    third = _third(unbiased) + _third(second) - real_number(cell_third, name="cell_third", function=function)
    freedom = _freedom(one, len(first) - 1.0, two, max(min(len(second), carriers) - 1.0, 1.0), common)
    skewness = third / error**3 if error else 0.0
    skewness += 0.0 if scale is None else skewness_of_scale(value - shift, error, *scale)
    lower, upper = _lengths(freedom, level, max(min(n_clusters, carriers), 2.0), skewness)
    found = Estimate(
        value=value,
        low=value - shift - lower * error - below,
        high=value - shift + upper * error + above,
        standard_error=error,
        n=len(first),
        n_clusters=n_clusters,
        confidence_level=level,
        n_missing=n_missing,
        how=IntervalMethod(kind=IntervalKind.CROSSED, bias=shift),
        degrees_of_freedom=freedom,
        unit_ids=ids,
        values=tuple(first.tolist()) if ids else (),
        clusters=ids,
        crossed_ids=others,
        crossed_values=tuple(second.tolist()) if ids else (),
        extra_variance=beside,
    )
    return _around_its_value(found if scale is None else on_scale(found, *scale), shift)


def _names(
    unit_ids: Sequence[str], crossed_ids: Sequence[str], lengths: tuple[int, int], function: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the units of both dimensions; none where those of one are missing."""
    for name, names in (("unit_ids", unit_ids), ("crossed_ids", crossed_ids)):
        if not isinstance(names, Sequence):
            raise invalid_parameter(name, function, "a sequence of names, empty for none", repr(names)[:80])
    if (len(unit_ids), len(crossed_ids)) != lengths:
        return (), ()
    return tuple(map(str, unit_ids)), tuple(map(str, crossed_ids))


def _biases(bias: npt.ArrayLike, values: FloatArray, function: str) -> FloatArray:
    """Return the checked biases of values: one for all, or one each."""
    biases = finite_array(bias, name="bias", function=function, moderate=True, minimum_ndim=0)
    if biases.shape not in ((), values.shape):
        raise invalid_parameter("bias", function, f"a number, or one a value ({len(values)})", f"shape {biases.shape}")
    return biases


def _around_its_value(found: Estimate, shift: float) -> Estimate:
    """Return an estimate whose interval holds its value up to rounding; its ends are NaN where it does not."""
    value = found.value
    rounding = ROUNDING * max(1.0, abs(value))
    if found.low - rounding <= value <= found.high + rounding:
        return replace(found, low=min(found.low, value), high=max(found.high, value))
    why = f"it is about {shift:.3f} too high by the number of votes, and its interval does not reach it"
    return without_interval(found, f"unknown: {why}")


def compare_crossed(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    candidate_crossed: npt.ArrayLike,
    baseline_crossed: npt.ArrayLike,
    /,
    *,
    extra_variance: float = 0.0,
    confidence_level: float | None = 0.95,
    unit_ids: Sequence[str] = (),
    crossed_ids: Sequence[str] = (),
) -> Estimate:
    r"""Estimate the paired difference of two crossed means over the same units in both dimensions.

    .. math:: \widehat{SE}^2 = V_1(c - b) + V_2(c - b) + V_0

    The cells' own part, which both margins contain, is not taken out, since the differences of the cells are not kept:
    the interval is somewhat too wide when single cells vary more than whole jurors and whole queries.

    Parameters
    ----------
    candidate, baseline : array_like of float, shape (n,)
        The values of the first dimension in the same order.
    candidate_crossed, baseline_crossed : array_like of float, shape (m,)
        The pseudo-values of the second dimension in the same order.
    extra_variance, confidence_level, unit_ids, crossed_ids
        As in :func:`estimate_crossed`.

    Returns
    -------
    Estimate
        The mean difference candidate - baseline.

    Raises
    ------
    InvalidParameterError
        If the two sides are not equally long, or for any reason of :func:`estimate_crossed`.

    References
    ----------
    As for :func:`estimate_crossed`; E. Miller 2024, arXiv:2411.00640 (paired differences).

    Examples
    --------
    >>> print(compare_crossed([0.3, 0.5, 0.4], [0.2, 0.4, 0.2], [0.4, 0.5], [0.3, 0.3]))
    0.133 [-0.630, 0.897]
    """
    function = "compare_crossed"
    sides = [
        _margin(one, name, function)
        for one, name in (
            (candidate, "candidate"),
            (baseline, "baseline"),
            (candidate_crossed, "candidate_crossed"),
            (baseline_crossed, "baseline_crossed"),
        )
    ]
    same_length(sides[0], sides[1], name="candidate", other_name="baseline", function=function)
    same_length(sides[2], sides[3], name="candidate_crossed", other_name="baseline_crossed", function=function)
    return estimate_crossed(
        sides[0] - sides[1],
        sides[2] - sides[3],
        extra_variance=extra_variance,
        confidence_level=confidence_level,
        unit_ids=unit_ids,
        crossed_ids=crossed_ids,
    )


def subtract_crossed(left: Estimate, right: Estimate, here: list[int], order: list[int], /) -> Estimate:
    """Return ``left - right`` over the units ``here`` on the left, which are ``order`` on the right.

    The others (jurors) are paired where both sides have the same, and independent where they have none in common.
    """
    first = np.array([left.values[i] for i in here]) - np.array([right.values[i] for i in order])
    ours, theirs = set(left.crossed_ids), set(right.crossed_ids)
    level, ids = left.confidence_level, [left.unit_ids[i] for i in here]
    beside = left.extra_variance + right.extra_variance
    if ours == theirs:
        place = {name: i for i, name in enumerate(right.crossed_ids)}
        second = np.array(left.crossed_values) - np.array(
            [right.crossed_values[place[one]] for one in left.crossed_ids]
        )
        return estimate_crossed(
            first,
            second,
            extra_variance=beside,
            confidence_level=level,
            unit_ids=ids,
            crossed_ids=left.crossed_ids,
        )
    if ours & theirs:
        raise InvalidParameterError(
            "Two crossed estimates can only be subtracted when they are about the same others (jurors) or about none "
            f"in common: {len(ours & theirs)} are on both sides, {len(ours ^ theirs)} on one."
        )
    parts = [np.array(side.crossed_values) for side in (left, right) if side.crossed_values]
    if any(len(part) < 2 for part in parts):
        return estimate_crossed(first, parts[0][:1], confidence_level=level)
    # The part with fewer others stands for both, with the other's variance beside it.
    small = min(parts, key=len)
    extra = sum(_variance(part) for part in parts if part is not small)
    return estimate_crossed(first, small, extra_variance=beside + extra, confidence_level=level)


def _margin(values: npt.ArrayLike | Sequence[float], name: str, function: str) -> FloatArray:
    array = finite_array(values, name=name, function=function, moderate=True)
    if array.ndim != 1:
        raise invalid_parameter(name, function, "an array with one axis", f"shape {array.shape}")
    return array


def variance_of(value: float, name: str, function: str) -> float:
    number = real_number(value, name=name, function=function)
    if number < 0.0:
        raise invalid_parameter(name, function, "a float in [0, inf)", value)
    return number


def _freedom(one: float, of_one: float, two: float, of_two: float, common: float) -> float:
    """Return Satterthwaite's degrees of freedom of a sum of two variances less what both contain.

    They are the smaller ones where nothing is left of it.
    """
    left = one + two - common
    if left <= 0.0:
        return min(of_one, of_two)
    return max(left**2 / (one**2 / of_one + two**2 / of_two), 1.0)


def _lengths(freedom: float, level: float, n_clusters: float, skewness: float) -> tuple[float, float]:
    """Return how many standard errors both sides are long where the mean has this skewness."""
    quantile, root = float(special.stdtrit(freedom, 0.5 + level / 2)), math.sqrt(n_clusters)
    below, above = (
        share * unsure_skewness(float(special.ndtri(0.5 + level / 2)), n_clusters)
        for share in (ALLOWANCE_BELOW, ALLOWANCE_ABOVE)
    )
    lower = root * without_skewness(quantile / root, skewness * root, n_clusters)
    upper = -root * without_skewness(-quantile / root, skewness * root, n_clusters)
    if n_clusters < FEW_CLUSTERS:
        return max(lower, quantile) + below, max(upper, quantile)
    lower, upper = lower + below, upper + above
    # At low levels a corrected interval may lie beside its value.
    return max(lower, 0.0), max(upper, 0.0)


def _third(values: FloatArray) -> float:
    """Return the third cumulant of a mean of independent values."""
    return float(np.sum((values - values.mean()) ** 3)) / len(values) ** 3


def _variance(values: FloatArray) -> float:
    return float(values.var(ddof=1)) / len(values)
