"""How many units a promise needs, and how small a difference a number of units can show."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.intervals import allowance_of
from pytest_pluralism.core.parameters import real_number, unit_interval
from pytest_pluralism.core.records import Estimate

__all__ = ["power_of_gate", "smallest_detectable_difference", "units_needed"]

#: No promise is worth more clusters than this.
_MOST_CLUSTERS = 100_000_000


def power_of_gate(
    estimate: Estimate, /, *, difference: float, n: int | None = None, confidence_level: float = 0.95
) -> float:
    r"""Return the chance that a gate decides when the truth lies ``difference`` away from its bound.

    .. math:: P\big(T_{G-1}(\delta / SE_n) > t_{G-1,\,(1 + level)/2}\big), \qquad SE_n = SE \sqrt{n_0 / n}

    with the noncentral t distribution: a gate passes (fails) when an end of its two-sided interval clears the bound.
    For an interval that is corrected for skewness the quantile grows by its allowance, as if scores were not skewed.

    Parameters
    ----------
    estimate : Estimate
        A stored run, for its variance and cluster sizes; for a promise about change, the paired difference.
    difference : float
        How far the truth is from the bound; the sign does not matter.
    n : int, optional
        How many units of the same kind; by default as many as the estimate has.
    confidence_level : float in (0, 1)
        The gate's level.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InvalidParameterError
        If the estimate has no standard error or fewer than two clusters, or difference, n or the level is out of range.

    References
    ----------
    E. Miller, 2024, arXiv:2411.00640, section 5.

    Examples
    --------
    >>> run = Estimate(0.3, 0.26, 0.34, 0.02, n=100, n_clusters=100)
    >>> round(power_of_gate(run, difference=0.057), 2)
    0.81
    """
    function = "power_of_gate"
    spread = _cluster_spread(estimate, function)
    distance = abs(real_number(difference, name="difference", function=function))
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    clusters = float(estimate.n_clusters if n is None else _n_units(n, function) * estimate.n_clusters / estimate.n)
    return _power(distance, spread, clusters, level, estimate.method)


def units_needed(
    estimate: Estimate, /, *, difference: float, confidence_level: float = 0.95, power: float = 0.8
) -> int:
    """Return how many units in all show a difference of a given size with the given power.

    Parameters
    ----------
    estimate : Estimate
        A stored run, for its variance and cluster sizes; for a promise about change, the paired difference.
    difference : float
        How far the truth is from the bound; not 0. The sign does not matter.
    confidence_level : float in (0, 1)
        The gate's level, two-sided.
    power : float in (0, 1)
        The wanted chance that the gate decides.

    Returns
    -------
    int
        The smallest number of units with clusters as large as those of the estimate, at least two clusters of them;
        ``CLUSTERS_NEEDED_WITHOUT_VARIANCE`` when the estimate shows no variance.

    Raises
    ------
    InvalidParameterError
        If the estimate has no standard error or fewer than two clusters, or difference, level or power is out of range.
    InvalidParameterError
        If more than a hundred million clusters would be needed.

    References
    ----------
    E. Miller, 2024, arXiv:2411.00640, section 5, with the t distribution instead of the normal.

    Examples
    --------
    >>> run = Estimate(0.3, 0.26, 0.34, 0.02, n=100, n_clusters=100)
    >>> units_needed(run, difference=0.03)
    351
    """
    function = "units_needed"
    spread = _cluster_spread(estimate, function)
    distance = abs(real_number(difference, name="difference", function=function))
    if distance == 0.0:
        raise invalid_parameter("difference", function, "other than 0", difference)
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    wanted = unit_interval(power, name="power", function=function)
    few, many = 1, 2
    while _power(distance, spread, float(many), level, estimate.method) < wanted:
        few, many = many, many * 2
        if many > _MOST_CLUSTERS:
            raise invalid_parameter("difference", function, "one that 100,000,000 clusters show", distance)
    while many - few > 1:
        middle = (few + many) // 2
        if _power(distance, spread, float(middle), level, estimate.method) < wanted:
            few = middle
        else:
            many = middle
    return math.ceil(many * estimate.n / estimate.n_clusters - 1e-9)


def smallest_detectable_difference(
    estimate: Estimate, /, *, n: int | None = None, confidence_level: float = 0.95, power: float = 0.8
) -> float:
    """Return the smallest distance from the bound that a gate decides with the given power.

    Parameters
    ----------
    estimate : Estimate
        A stored run, for its variance and cluster sizes; for a promise about change, the paired difference.
    n : int, optional
        How many units of the same kind; by default as many as the estimate has.
    confidence_level : float in (0, 1)
        The gate's level, two-sided.
    power : float in (0, 1)
        The wanted chance that the gate decides.

    Returns
    -------
    float
        In [0, inf], in the units of the scores. When the estimate shows no variance it is 0 from
        ``CLUSTERS_NEEDED_WITHOUT_VARIANCE`` clusters on and infinite below, where no gate decides.

    Raises
    ------
    InvalidParameterError
        If the estimate has no standard error or fewer than two clusters, or n, level or power is out of range.

    References
    ----------
    E. Miller, 2024, arXiv:2411.00640, section 5.

    Examples
    --------
    >>> run = Estimate(0.3, 0.26, 0.34, 0.02, n=100, n_clusters=100)
    >>> round(smallest_detectable_difference(run), 4)
    0.0566
    """
    function = "smallest_detectable_difference"
    spread = _cluster_spread(estimate, function)
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    wanted = unit_interval(power, name="power", function=function)
    clusters = float(estimate.n_clusters if n is None else _n_units(n, function) * estimate.n_clusters / estimate.n)
    if clusters < 2:
        raise invalid_parameter("n", function, f"at least two clusters of {estimate.n / estimate.n_clusters:g}", n)
    if spread == 0.0:
        return 0.0 if clusters >= _clusters_without_variance() else math.inf
    # In multiples of the standard error the answer lies between 0 and a bound that doubling finds.
    error = spread / math.sqrt(clusters)
    low, high = 0.0, 1.0
    while _power(high * error, spread, clusters, level, estimate.method) < wanted:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        if _power(middle * error, spread, clusters, level, estimate.method) < wanted:
            low = middle
        else:
            high = middle
    return high * error


def _cluster_spread(estimate: Estimate, function: str) -> float:
    """Return the standard deviation between clusters, as it enters the error of the mean."""
    if estimate.confidence_level is None:
        must = "one with a confidence level: about a whole set there is nothing to infer"
        raise invalid_parameter("estimate", function, must, f"{estimate}")
    if estimate.standard_error < 0 or math.isinf(estimate.standard_error):
        raise invalid_parameter(
            "estimate", function, "one with a standard error in [0, inf)", f"{estimate.standard_error:g}"
        )
    if estimate.n_clusters < 2 or math.isnan(estimate.standard_error):
        raise invalid_parameter(
            "estimate", function, "one with a standard error from at least two clusters", f"{estimate.n_clusters}"
        )
    return estimate.standard_error * math.sqrt(estimate.n_clusters)


def _clusters_without_variance() -> int:
    # Imported late: decisions are built on estimates, and only this rule goes the other way.
    from pytest_pluralism.core.verdict import CLUSTERS_NEEDED_WITHOUT_VARIANCE

    return CLUSTERS_NEEDED_WITHOUT_VARIANCE


def _n_units(n: int, function: str) -> int:
    if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) or n < 1:
        raise invalid_parameter("n", function, "an integer in [1, inf)", repr(n))
    return int(n)


def _power(distance: float, spread: float, clusters: float, level: float, method: str) -> float:
    if clusters < 2:
        return 0.0
    if spread == 0.0:
        # What shows no variance decides only from as many clusters on as a gate asks for.
        return 1.0 if distance > 0 and clusters >= _clusters_without_variance() else 0.0
    quantile = float(special.stdtrit(clusters - 1, 0.5 + level / 2))
    quantile += allowance_of(method, level=level, n_clusters=clusters)
    shift = distance * math.sqrt(clusters) / spread
    if shift > 37.0 + quantile * 10:
        # So far out that the noncentral t only returns rounding errors.
        return 1.0
    return 1.0 - float(special.nctdtr(clusters - 1, shift, quantile))
