"""Intervals for shares: of units that say yes or no, alone or in clusters.

A gate tests one end of an interval at a time, so its default is exact: Clopper and Pearson's, of which each end alone
errs at most at its level. Wilson's is shorter, right on average over shares, and wrong at one end for many of them.
"""

from __future__ import annotations

import math

from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import real_number, unit_interval
from pytest_pluralism.core.records import Estimate, IntervalKind

__all__ = ["clopper_pearson_interval", "wilson_interval"]

#: The smallest tail that a p-value is searched in: what is less likely has the p-value 0 to any purpose.
_LEAST_LOG_TAIL = -690.0


def wilson_interval(n_yes: float, n: float, /, *, confidence_level: float = 0.95) -> tuple[float, float]:
    r"""Return Wilson's score interval for a share.

    .. math:: \frac{\hat p + z^2/2n}{1 + z^2/n} \pm
              \frac{z}{1 + z^2/n}\sqrt{\frac{\hat p(1-\hat p)}{n} + \frac{z^2}{4n^2}}

    Parameters
    ----------
    n_yes : float
        How many units say yes, in [0, n].
    n : float
        How many units; an effective sample size need not be whole.
    confidence_level : float in (0, 1)
        The level of the interval.

    Returns
    -------
    tuple of float
        The ends, within [0, 1]; never of zero width.

    Raises
    ------
    InvalidParameterError
        If n is not positive, or n_yes is not in [0, n].
    InvalidParameterError
        If the confidence level is not in (0, 1).

    References
    ----------
    E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> low, high = wilson_interval(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    yes, total, level = _counts(n_yes, n, confidence_level, function="wilson_interval")
    return _wilson(yes / total, total, float(special.ndtri(0.5 + level / 2)))


def clopper_pearson_interval(n_yes: float, n: float, /, *, confidence_level: float = 0.95) -> tuple[float, float]:
    r"""Return the exact interval for a share after Clopper and Pearson: each end errs at most at its level.

    .. math:: \big[B_{(1-level)/2}(x,\ n - x + 1),\ B_{(1+level)/2}(x + 1,\ n - x)\big]

    with x of n units saying yes and B the quantiles of the beta distribution.

    Parameters
    ----------
    n_yes : float
        How many units say yes, in [0, n].
    n : float
        How many units; an effective sample size need not be whole.
    confidence_level : float in (0, 1)
        The level of the interval; it covers at least that often, whatever the share.

    Returns
    -------
    tuple of float
        The ends, within [0, 1]; never of zero width.

    Raises
    ------
    InvalidParameterError
        If n is not positive, or n_yes is not in [0, n].
    InvalidParameterError
        If the confidence level is not in (0, 1).

    References
    ----------
    C. J. Clopper, E. S. Pearson, Biometrika 26, 1934, doi:10.1093/biomet/26.4.404.

    Examples
    --------
    >>> low, high = clopper_pearson_interval(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.3085)
    """
    yes, total, level = _counts(n_yes, n, confidence_level, function="clopper_pearson_interval")
    return _exact(yes, total, 0.5 - level / 2)


def effective_units(share: float, error: float, n: float, n_clusters: float) -> float:
    """Return how many independent units have the binomial variance that equals the clustered variance.

    A share of 0 or 1 shows no variance, so that only the clusters count; clusters never make more units than there are.
    """
    binomial = share * (1.0 - share)
    return min(binomial / error**2, float(n)) if binomial > 0 and error > 0 else float(n_clusters)


def share_ends(
    share: float, error: float, n: float, n_clusters: float, /, *, level: float, kind: IntervalKind, freedom: float
) -> tuple[float, float]:
    """Return the ends of a share's interval; ``error`` is its clustered standard error.

    ``freedom`` are the degrees of freedom of that error: G - 1, or fewer where clusters are of unequal sizes.
    """
    tail = 0.5 - level / 2
    clustered = n_clusters < n
    if kind is IntervalKind.WILSON:
        quantile = -float(special.stdtrit(freedom, tail)) if clustered else -float(special.ndtri(tail))
        units = effective_units(share, error, n, n_clusters) if clustered else float(n)
        return _wilson(share, units, quantile)
    units = exact_units(share, error, n, n_clusters, tail, freedom)
    return _exact(share * units, units, tail, share)


def exact_units(share: float, error: float, n: float, n_clusters: float, tail: float, freedom: float) -> float:
    """Return how many units an exact interval may count on: all of them, or fewer when they come in clusters.

    Korn and Graubard: the effective units, shortened by how much wider Student's t with the degrees of freedom of the
    clustered error is. When all units agree there is no variance to be unsure of: then each cluster counts as one unit.
    """
    units = effective_units(share, error, n, n_clusters) if n_clusters < n else float(n)
    # At a level that rounds to 0 all quantiles are 0.
    if n_clusters >= n or not 0.0 < share < 1.0 or tail >= 0.5:
        return units
    ratio = float(special.stdtrit(n - 1, tail)) / float(special.stdtrit(freedom, tail))
    return units * ratio * ratio


def share_p_value(estimate: Estimate, limit: float, side: float, /, *, error: float, freedom: float) -> float:
    """Return the one-sided p-value that agrees with a share's interval; ``side`` is 1 for "greater", else -1.

    Exact intervals are inverted; in clusters a p-value above one half is given as 1. Wilson's interval holds the
    shares that the score test does not reject, so the score test is its p-value.
    """
    share, n, n_clusters = estimate.value, estimate.n, estimate.n_clusters
    if not 0.0 < limit < 1.0:
        # A share of exactly 0 or 1 (or beyond) allows one outcome only.
        return 0.0 if side * (share - limit) > 0 else 1.0
    clustered = n_clusters < n
    if estimate.how.kind is IntervalKind.WILSON:
        units = effective_units(share, error, n, n_clusters) if clustered else float(n)
        statistic = -(side * (share - limit) * math.sqrt(units) / math.sqrt(limit * (1.0 - limit)))
        return float(special.stdtr(freedom, statistic) if clustered else special.ndtr(statistic))
    if side < 0:
        share, limit = 1.0 - share, 1.0 - limit
    if share == 0.0:
        return 1.0
    if not clustered or share == 1.0:
        units = float(n_clusters)
        return float(special.betainc(share * units, units - share * units + 1.0, limit))

    def lower_end(log_tail: float) -> float:
        tail = math.exp(log_tail)
        units = exact_units(share, error, n, n_clusters, tail, freedom)
        return _exact(share * units, units, tail, share)[0]

    low, high = _LEAST_LOG_TAIL, math.log(0.499)
    if lower_end(high) <= limit:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if lower_end(middle) <= limit:
            low = middle
        else:
            high = middle
    return math.exp(high)


def _exact(yes: float, n: float, tail: float, share: float | None = None) -> tuple[float, float]:
    value = yes / n if share is None else share
    low = 0.0 if value == 0.0 else float(special.betaincinv(yes, n - yes + 1.0, tail))
    high = 1.0 if value == 1.0 else 1.0 - float(special.betaincinv(n - yes, yes + 1.0, tail))
    # Below the level at which the ends meet, an exact interval of few units may lie beside the share.
    return min(low, value), max(high, value)


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    shrink = 1.0 + z * z / n
    centre = (share + z * z / (2.0 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    # Rounding must not push an end past a share of exactly 0 or 1.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def _counts(n_yes: float, n: float, confidence_level: float, *, function: str) -> tuple[float, float, float]:
    total = real_number(n, name="n", function=function)
    if total <= 0:
        raise invalid_parameter("n", function, "a number in (0, inf)", n)
    yes = real_number(n_yes, name="n_yes", function=function)
    if not 0 <= yes <= total:
        raise invalid_parameter("n_yes", function, f"a number in [0, {total:g}]", n_yes)
    return yes, total, unit_interval(confidence_level, name="confidence_level", function=function)
