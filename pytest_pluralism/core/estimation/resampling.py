"""The bootstrap over clusters: BCa, studentised and percentile intervals of a mean. No global random state."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    FloatArray,
    cluster_codes,
    finite_array,
    generator_of,
    one_of,
    unit_interval,
    whole_number,
)

__all__ = ["FEW_CLUSTERS", "bootstrap_interval", "bootstrap_means"]

#: Below this many clusters little is known of the shape of what they contribute, so that no interval that is corrected
#: for shape is trusted to be shorter than the plain one.
FEW_CLUSTERS = 10

#: How many cluster counts are held in memory at once.
_BLOCK = 4_000_000


def bootstrap_means(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Sequence[Hashable] | npt.NDArray[np.generic] | None = None,
    n_resamples: int = 9999,
    rng: np.random.Generator | int = 0,
) -> FloatArray:
    """Return the means of resamples in which whole clusters are drawn with replacement.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One score a unit.
    clusters : sequence of hashable, shape (n,), optional
        The cluster of each unit; by default every unit stands alone.
    n_resamples : int
        How many resamples.
    rng : numpy.random.Generator or int
        The generator, or the seed of one.

    Returns
    -------
    numpy.ndarray of float, shape (n_resamples,)
        The mean over the units of each resample.

    Raises
    ------
    InvalidParameterError
        If values are empty, not finite or not one-dimensional, or clusters are not one a unit.
    InvalidParameterError
        If n_resamples is not positive.

    References
    ----------
    B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6.

    Examples
    --------
    >>> bootstrap_means([1.0, 2.0, 3.0], n_resamples=4, rng=0).shape
    (4,)
    """
    sums, sizes = _clusters(values, clusters, n_resamples, "bootstrap_means")
    return _resample(sums, sizes, n_resamples, generator_of(rng, function="bootstrap_means"), studentise=False)[0]


def bootstrap_interval(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Sequence[Hashable] | npt.NDArray[np.generic] | None = None,
    confidence_level: float = 0.95,
    method: str = "bca",
    n_resamples: int = 9999,
    rng: np.random.Generator | int = 0,
) -> tuple[float, float]:
    """Return a bootstrap interval for the mean, resampling whole clusters.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One score a unit.
    clusters : sequence of hashable, shape (n,), optional
        The cluster of each unit; units of one cluster are dependent.
    confidence_level : float in (0, 1)
        The level.
    method : {"bca", "bootstrap_t", "percentile"}
        Bias-corrected and accelerated; studentised by the clustered standard error; or plain percentiles.
    n_resamples : int
        How many resamples.
    rng : numpy.random.Generator or int
        The generator, or the seed of one.

    Returns
    -------
    tuple of float
        The ends; NaN with fewer than two clusters, or where too many resamples have no standard error.

    Raises
    ------
    InvalidParameterError
        If values are empty, not finite or not one-dimensional, or clusters are not one a unit.
    InvalidParameterError
        If the level is not in (0, 1), the method is unknown or n_resamples is not positive.

    Notes
    -----
    Degenerate cases: equal values give a zero-width interval. Resamples that drew one and the same cluster throughout
    have no standard error: in the studentised bootstrap they count as infinitely far out, and where that reaches the
    level (few clusters), the ends are unknown: NaN. With few clusters BCa and percentile intervals cover too little
    (docs/explanation/statistics.md has the measured figures); below ten clusters each of their ends is therefore the
    outer one of its own and the t interval's.

    References
    ----------
    B. Efron, "Better bootstrap confidence intervals", 1987, doi:10.1080/01621459.1987.10478410;
    Efron and Tibshirani, 1993, chapters 12 and 14.

    Examples
    --------
    >>> low, high = bootstrap_interval([1.0, 2.0, 3.0, 4.0], n_resamples=999, rng=0)
    >>> low < 2.5 < high
    True
    """
    function = "bootstrap_interval"
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    one_of(method, ("bca", "bootstrap_t", "percentile"), name="method", function=function)
    sums, sizes = _clusters(values, clusters, n_resamples, function)
    n_clusters = len(sums)
    if n_clusters < 2:
        return math.nan, math.nan
    mean = float(sums.sum() / sizes.sum())
    residuals = sums - mean * sizes
    if np.allclose(residuals, 0.0, rtol=0.0, atol=1e-12 * max(1.0, float(np.abs(sums).max()))):
        return mean, mean
    tails = np.array([0.5 - level / 2, 0.5 + level / 2])
    generator = generator_of(rng, function=function)
    error = math.sqrt(n_clusters / (n_clusters - 1) * float(np.sum(residuals**2))) / float(sizes.sum())
    means, errors = _resample(sums, sizes, n_resamples, generator, studentise=method == "bootstrap_t")
    if method == "bootstrap_t":
        known = errors > 1e-12 * float(np.abs(residuals).max()) / float(sizes.sum())
        statistics = np.copysign(np.inf, means - mean)
        statistics[known] = (means[known] - mean) / errors[known]
        # Order statistics, since between a number and an infinity there is nothing to interpolate.
        low, high = mean - error * np.quantile(statistics, tails[::-1], method="inverted_cdf")
        return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else (math.nan, math.nan)
    if method == "bca":
        tails = _bca_tails(sums, sizes, mean, means, tails)
    low, high = np.quantile(means, tails)
    if n_clusters < FEW_CLUSTERS:
        half = -float(special.stdtrit(n_clusters - 1, 0.5 - level / 2)) * error
        low, high = min(low, mean - half), max(high, mean + half)
    return float(low), float(high)


def _bca_tails(sums: FloatArray, sizes: FloatArray, mean: float, means: FloatArray, tails: FloatArray) -> FloatArray:
    """Shift the tails for the bias of the resamples and for how the error changes with the mean."""
    # Ties with the mean count half, as in a mid-rank, so that few distinct values do not pass for a bias.
    below = float((means < mean).mean() + 0.5 * (means == mean).mean())
    bias = float(special.ndtri(min(max(below, 0.5 / len(means)), 1 - 0.5 / len(means))))
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    spread = without.mean() - without
    acceleration = float(np.sum(spread**3) / (6.0 * np.sum(spread**2) ** 1.5))
    shifted = bias + special.ndtri(tails)
    adjusted: FloatArray = special.ndtr(bias + shifted / (1.0 - acceleration * shifted))
    return adjusted


def _resample(
    sums: FloatArray, sizes: FloatArray, n_resamples: int, generator: np.random.Generator, *, studentise: bool
) -> tuple[FloatArray, FloatArray]:
    n_clusters = len(sums)
    means, errors = np.empty(n_resamples), np.zeros(n_resamples)
    block = max(1, _BLOCK // n_clusters)
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        counts = generator.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters), size=size).astype(np.float64)
        n_units = counts @ sizes
        mean = counts @ sums / n_units
        means[start : start + size] = mean
        if studentise:
            # sum_g count_g (S_g - mean n_g)^2, expanded so that no (resamples x clusters) residuals are held.
            squares = counts @ sums**2 - 2 * mean * (counts @ (sums * sizes)) + mean**2 * (counts @ sizes**2)
            errors[start : start + size] = np.sqrt(n_clusters / (n_clusters - 1) * np.maximum(squares, 0.0)) / n_units
    return means, errors


def _clusters(
    values: npt.ArrayLike,
    clusters: Sequence[Hashable] | npt.NDArray[np.generic] | None,
    n_resamples: int,
    function: str,
) -> tuple[FloatArray, FloatArray]:
    array = finite_array(values, name="values", function=function, moderate=True)
    if array.ndim != 1:
        raise invalid_parameter("values", function, "an array with one axis", f"shape {array.shape}")
    whole_number(n_resamples, name="n_resamples", function=function)
    codes = cluster_codes(clusters, len(array), function=function)
    return np.bincount(codes, weights=array).astype(np.float64), np.bincount(codes).astype(np.float64)
