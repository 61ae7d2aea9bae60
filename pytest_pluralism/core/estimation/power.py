"""Sample sizes: the units that a promise needs, and the difference that a number of units can show."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.at_level import checked_estimate, interval_spread, sample_of
from pytest_pluralism.core.estimation.shares import exact_units
from pytest_pluralism.core.estimation.skewness import (
    allowance_of,
    kurtosis_of,
    side_of_change,
    side_of_value,
    skewness_of,
    tails_of,
)
from pytest_pluralism.core.estimation.trust import (
    CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE,
    CLUSTERS_NEEDED_WITHOUT_VARIANCE,
)
from pytest_pluralism.core.parameters import real_number, unit_interval
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = ["power_of_gate", "smallest_detectable_difference", "units_needed", "units_range"]

#: The outer end of a pilot's spread is its upper end at this one-sided level.
OUTER_END = 0.95

#: A pilot shows too little of heavy tails: so much is added to the excess kurtosis that its spread is judged with.
_MORE_TAILS = 2.0

#: No promise is worth more clusters, or units, than this.
_MOST_CLUSTERS = 100_000_000


def power_of_gate(
    estimate: Estimate, /, *, difference: float, n: int | None = None, confidence_level: float = 0.95
) -> float:
    r"""Return the chance that a gate decides when the truth lies ``difference`` away from its bound.

    .. math:: P\big(T_{G-1}(\delta / SE_n) > t_{G-1,\,(1 + level)/2}\big), \qquad SE_n = SE \sqrt{n_0 / n}

    with the noncentral t distribution: a gate passes (fails) when an end of its two-sided interval clears the bound.
    For clusters of unequal sizes the degrees of freedom are those of the estimate's interval, in proportion; for an
    interval that is corrected for skewness the quantile grows by its allowance, as if scores were not skewed. For
    shares the binomial distribution says how often the exact interval clears the bound; of both sides the harder one.

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
    run = _run(estimate, function)
    distance = abs(real_number(difference, name="difference", function=function))
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    clusters = float(estimate.n_clusters if n is None else _n_units(n, function) * estimate.n_clusters / estimate.n)
    return run.power(distance, clusters, level)


def units_needed(
    estimate: Estimate, /, *, difference: float, confidence_level: float = 0.95, power: float = 0.8
) -> int:
    """Return how many units in all show a difference of a given size with the given power.

    An estimate that keeps its units is a pilot: its own spread is uncertain, and the fewer units it has the more. So
    the plan takes the outer end of that spread and the longer side of the interval for skewed scores
    (:func:`units_range` has both ends). An estimate without its units, and a share, are taken at their word.

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
        ``CLUSTERS_NEEDED_WITHOUT_VARIANCE`` when the estimate shows no variance. The power of shares climbs in steps,
        up and a little down: then one unit less has not the power, although still fewer may have.

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
    run = _pilot(estimate, _run(estimate, function))
    return _units_needed(run, estimate, difference, confidence_level, power, function)


def units_range(
    estimate: Estimate, /, *, difference: float, confidence_level: float = 0.95, power: float = 0.8
) -> tuple[int, int]:
    """Return between how many units in all show a difference with the given power: as measured, and at the outer end.

    Parameters
    ----------
    estimate, difference, confidence_level, power
        As for :func:`units_needed`.

    Returns
    -------
    tuple of int
        The number if the spread of the estimate were exact, and the one of :func:`units_needed`; equal for an estimate
        that does not keep its units.

    Raises
    ------
    InvalidParameterError
        As for :func:`units_needed`.

    Examples
    --------
    >>> from pytest_pluralism.core.estimation import estimate_mean
    >>> low, high = units_range(estimate_mean([0.2, 0.4, 0.3, 0.5, 0.1, 0.3, 0.4, 0.2]), difference=0.05)
    >>> low < high
    True
    """
    function = "units_range"
    run = _run(estimate, function)
    low = _units_needed(run, estimate, difference, confidence_level, power, function)
    high = _units_needed(_pilot(estimate, run), estimate, difference, confidence_level, power, function)
    return low, max(low, high)


def _units_needed(
    run: _Run, estimate: Estimate, difference: float, confidence_level: float, power: float, function: str
) -> int:
    distance = abs(real_number(difference, name="difference", function=function))
    if distance == 0.0:
        raise invalid_parameter("difference", function, "other than 0", difference)
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    wanted = unit_interval(power, name="power", function=function)
    few, many = 1, 2
    while run.power(distance, float(many), level) < wanted:
        few, many = many, many * 2
        if many > _MOST_CLUSTERS:
            raise invalid_parameter("difference", function, "one that 100,000,000 clusters show", distance)
    while many - few > 1:
        middle = (few + many) // 2
        if run.power(distance, float(middle), level) < wanted:
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
        ``CLUSTERS_NEEDED_WITHOUT_VARIANCE`` clusters on and infinite below, where no gate decides. Infinite, too, for a
        share from so few units that no bound between 0 and 1 is decided.

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
    run = _run(estimate, function)
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    wanted = unit_interval(power, name="power", function=function)
    clusters = float(estimate.n_clusters if n is None else _n_units(n, function) * estimate.n_clusters / estimate.n)
    if clusters < 2:
        raise invalid_parameter("n", function, f"at least two clusters of {estimate.n / estimate.n_clusters:g}", n)
    if run.share is None and run.spread == 0.0:
        return 0.0 if clusters >= CLUSTERS_NEEDED_WITHOUT_VARIANCE else math.inf
    # In multiples of the standard error the answer lies between 0 and a bound that doubling finds; for a share, between
    # 0 and the bounds 0 and 1.
    error, low, high = run.spread / math.sqrt(clusters), 0.0, 1.0
    if run.share is not None:
        error, high = 1.0, max(run.share, 1.0 - run.share) * (1.0 - 1e-9)
        if run.power(high, clusters, level) < wanted:
            return math.inf
    while run.power(high * error, clusters, level) < wanted:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        if run.power(middle * error, clusters, level) < wanted:
            low = middle
        else:
            high = middle
    return high * error


@dataclass(frozen=True, slots=True)
class _Run:
    """The spread that a stored run shows of runs to come: the spread between its clusters, or its share."""

    spread: float
    freedom_of_a_cluster: float
    how: IntervalMethod
    share: float | None
    n: int
    n_clusters: int
    #: Of a pilot: the skewness of its contributions, whatever the side, and the weight of their tails.
    skewness: float | None = None
    tails: float = 0.0

    def _side(self, freedom: float, clusters: float, level: float) -> float:
        """Return how many standard errors long the side is that faces the bound; of a pilot, the longer one."""
        quantile, z = float(special.stdtrit(freedom, 0.5 + level / 2)), float(special.ndtri(0.5 + level / 2))
        if self.skewness is None or not self.how.is_corrected_for_skewness:
            return quantile + allowance_of(self.how, level=level, n_clusters=clusters)
        if self.how.kind is IntervalKind.OUTER:
            return side_of_change(self.skewness, self.tails, quantile, z, clusters)
        return side_of_value(self.skewness, quantile, z, clusters)

    def power(self, distance: float, clusters: float, level: float) -> float:
        """Return the chance that the gate decides with so many clusters."""
        if clusters < 2:
            return 0.0
        if self.share is not None:
            return self._power_of_share(self.share, distance, clusters, level)
        if self.spread == 0.0:
            # Units without variance decide only from the least number of clusters that a gate asks for.
            return 1.0 if distance > 0 and clusters >= CLUSTERS_NEEDED_WITHOUT_VARIANCE else 0.0
        freedom = max(1.0, self.freedom_of_a_cluster * (clusters - 1))
        quantile = self._side(freedom, clusters, level)
        shift = distance * math.sqrt(clusters) / self.spread
        if shift > 37.0 + quantile * 10:
            # So far out that the noncentral t only returns rounding errors.
            return 1.0
        return 1.0 - float(special.nctdtr(freedom, shift, quantile))

    def _power_of_share(self, share: float, distance: float, clusters: float, level: float) -> float:
        # Imported late: it is slow to import, and only this needs it.
        from scipy.stats import binom

        if not 0.0 < share < 1.0 and clusters < CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE:
            return 0.0
        tail = 0.5 - level / 2
        # Divided first, so that as many units as clusters stay exactly as many.
        n = self.n / self.n_clusters * clusters
        freedom = max(1.0, self.freedom_of_a_cluster * (clusters - 1))
        units = exact_units(share, self.spread / math.sqrt(clusters), n, clusters, tail, freedom)
        whole = math.floor(units + 1e-9)
        if distance <= 0.0 or whole < 1:
            return 0.0
        # From below and from above, which is the same for the no's. A bound beyond 0 and 1 is always cleared.
        sides = [(one, one - distance) for one in (share, 1.0 - share) if one - distance > 0.0]
        if not sides:
            return 1.0
        return min(float(binom.sf(binom.isf(tail, whole, bound), whole, truth)) for truth, bound in sides)


def _run(estimate: Estimate, function: str) -> _Run:
    _check(estimate, function)
    freedom = estimate.degrees_of_freedom
    return _Run(
        spread=interval_spread(estimate),
        freedom_of_a_cluster=1.0 if freedom is None else freedom / (estimate.n_clusters - 1),
        how=estimate.how,
        share=estimate.value if estimate.how.is_share else None,
        n=estimate.n,
        n_clusters=estimate.n_clusters,
    )


def _pilot(estimate: Estimate, run: _Run) -> _Run:
    """Return a run at the outer end of what its units say of the spread; the same one where it keeps none."""
    if len(estimate.values) != estimate.n or run.spread == 0.0 or run.share is not None or estimate.extra_variance:
        return run
    z = float(special.ndtri(OUTER_END))
    scores = sample_of(estimate).balanced.scores
    skewness = abs(skewness_of(scores))
    # The kurtosis of gamma distributions is one and a half times the square of their skewness.
    kurtosis = max(kurtosis_of(scores), 1.5 * skewness**2) + _MORE_TAILS
    spread = run.spread * math.exp(0.5 * z * math.sqrt((kurtosis + 2.0) / run.n_clusters))
    return replace(run, spread=spread, skewness=skewness, tails=tails_of(scores) if run.how.paired else 0.0)


def _check(estimate: Estimate, function: str) -> None:
    """Refuse an estimate that says nothing about other runs."""
    checked_estimate(estimate, name="estimate", function=function)
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


def _n_units(n: int, function: str) -> int:
    if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) or n < 1:
        raise invalid_parameter("n", function, "an integer in [1, inf)", repr(n))
    if n > _MOST_CLUSTERS:
        raise invalid_parameter("n", function, f"at most {_MOST_CLUSTERS:,}", f"{float(min(n, 10**300)):g}")
    return int(n)
