"""Trust in an estimate: a record that holds together, from enough clusters that vary."""

from __future__ import annotations

import math

import numpy as np

from pytest_pluralism.core.equal import TOLERANCE as ROUNDING
from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.estimation.at_level import bound_p_value, interval_at, sample_of
from pytest_pluralism.core.estimation.shares import clopper_pearson_interval
from pytest_pluralism.core.records import Estimate

__all__ = [
    "CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE",
    "CLUSTERS_NEEDED_TO_SEE_OUTLIERS",
    "CLUSTERS_NEEDED_WITHOUT_VARIANCE",
    "ROUNDING",
    "UNSEEN_SHARE",
    "clusters_needed",
    "contradiction_of",
    "is_alike_but_one",
    "is_too_certain",
    "missed_scores",
    "trusted_p_value",
    "units_to_see",
    "unseen_end",
    "unseen_share",
]

#: A zero-width interval is believed from this many clusters on. When G clusters all show the same value, up to
#: 1 - 0.05 ** (1 / G) of all clusters may still differ (the "rule of three", about 3 / G): with 30, at most one in ten.
CLUSTERS_NEEDED_WITHOUT_VARIANCE = 30

#: A share of 0 or 1 is believed from this many clusters on. Its interval is exact, so that it needs fewer than the rule
#: above; but values that are all 1 may also come from a scale that is not a share, which few of them do not show.
CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE = 10

#: Below this many clusters a sample misses a share of 4 % in more than 5 % of cases: 0.96 ** 74 = 4.9 %.
CLUSTERS_NEEDED_TO_SEE_OUTLIERS = 75

#: The share of units that fewer clusters may miss, for scores in [0, 1].
UNSEEN_SHARE = 0.04


def contradiction_of(estimate: Estimate, what: str, /) -> str:
    """Return in words how a record contradicts itself; empty when it does not. NaN is unknown, not wrong."""
    value, low, high, error = estimate.value, estimate.low, estimate.high, estimate.standard_error
    slack = ROUNDING * max(1.0, abs(value))
    if any(math.isinf(number) for number in (value, low, high)):
        wrong = f"{estimate} is not finite"
    elif low > high:
        wrong = f"its lower end {low:.6g} is above its upper end {high:.6g}"
    elif low > value + slack or high < value - slack:
        wrong = f"{value:.6g} lies outside its interval [{low:.6g}, {high:.6g}]"
    elif error < 0 or math.isinf(error):
        wrong = f"its standard error is {error:g}"
    elif estimate.n < 0 or estimate.n_missing < 0 or not 0 <= estimate.n_clusters <= estimate.n:
        wrong = f"it counts {estimate.n} units, {estimate.n_clusters} clusters and {estimate.n_missing} missing units"
    else:
        kept = {
            len(units)
            for units in (estimate.values, estimate.unit_ids, estimate.clusters, estimate.other_clusters)
            if units
        }
        if kept <= {estimate.n}:
            return ""
        wrong = f"it counts {estimate.n} units and keeps {', '.join(map(str, sorted(kept)))}"
    return f"the record of {what} contradicts itself: {wrong}"


def is_too_certain(estimate: Estimate, /, *, noise_floor: float = 0.0) -> bool:
    """Return whether nothing varies by more than rounding and numeric noise although few clusters carry the value."""
    if estimate.confidence_level is None:
        return False
    smallest = max(ROUNDING * max(1.0, abs(estimate.value)), noise_floor)
    spread = estimate.standard_error * math.sqrt(estimate.n_clusters)
    if spread > smallest and estimate.high - estimate.low > ROUNDING * max(1.0, abs(estimate.value)):
        return False
    if estimate.how.difference and compare(estimate.low, 0.0) == compare(estimate.high, 0.0) == 0.0:
        # Two that are alike in every unit: not a value without a spread, but the absence of one.
        return False
    return estimate.n_clusters < clusters_needed(estimate)


def is_alike_but_one(estimate: Estimate, bound: float, /, *, upper: bool, noise_floor: float = 0.0) -> bool:
    """Return whether all units but the worst one are equal, from too few clusters to trust that.

    If equal units were not believed and a single worse one was, a worse model would pass. Differences of which all but
    one are 0 are not due to chance: those units did not change.

    Parameters
    ----------
    estimate : Estimate
        An estimate with a confidence level; only one that keeps its units is looked at.
    bound : float
        The bound that the value must keep. Scores in [0, 1] cannot break one outside.
    upper : bool
        Whether high scores are the worse ones, as for ``at_most``.
    noise_floor : float
        The numeric noise of a score: units that differ by less are equal.
    """
    units = np.sort(np.asarray(estimate.values))
    if estimate.confidence_level is None or len(units) != estimate.n or len(units) < 2:
        return False
    rest = units[:-1] if upper else units[1:]
    equal = max(ROUNDING * max(1.0, float(np.abs(rest).max())), noise_floor)
    if rest[-1] - rest[0] > equal:
        return False
    if _is_in_unit_interval(estimate) and (bound >= 1.0 if upper else bound <= 0.0):
        return False
    best = 0.0 if upper else 1.0
    is_unchanged = (estimate.how.paired or estimate.how.difference) and abs(float(rest[0])) <= equal
    is_share = _is_in_unit_interval(estimate) and abs(float(rest[0]) - best) <= equal
    needed = CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE if is_share else CLUSTERS_NEEDED_WITHOUT_VARIANCE
    return not is_unchanged and estimate.n_clusters < needed


def unseen_share(n: int, level: float, /) -> float:
    """Return the largest share of units that a sample of this size may hold none of, at one end of a level.

    Fewer than ten units count as ten: their intervals are wide enough, and a bound that none of them could keep would
    be of no use.
    """
    return 1.0 - math.pow(0.5 - level / 2, 1.0 / max(n, CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE))


def unseen_end(estimate: Estimate, /, *, upper: bool) -> float | None:
    """Return the best end that scores in [0, 1] can show, whatever their spread; ``None`` for other scores.

    Shares of units that stand alone have an exact interval, and need none. In clusters the interval of a share depends
    on how alike the units of a cluster seem, and where one cluster alone holds the few units that differ, it is short.

    It follows every score: no score that gets worse makes it better. Two things limit it. Perfect scores of n clusters
    leave room for a share of :func:`unseen_share` that is the worst. And below ``CLUSTERS_NEEDED_TO_SEE_OUTLIERS``
    clusters the mean is taken as if ``UNSEEN_SHARE`` of the units, which the sample does not hold, were the worst.

    Parameters
    ----------
    estimate : Estimate
        An estimate with a confidence level that keeps its units.
    upper : bool
        Whether high scores are the worse ones, as for ``at_most``.
    """
    level = estimate.confidence_level
    if level is None or not _is_in_unit_interval(estimate) or _is_exact(estimate):
        return None
    value = estimate.value if upper else 1.0 - estimate.value
    if estimate.n_clusters < CLUSTERS_NEEDED_TO_SEE_OUTLIERS:
        value += UNSEEN_SHARE * (1.0 - value)
    end = max(value, unseen_share(estimate.n_clusters, level))
    if sample_of(estimate).is_of_single_shares:
        # The exact interval needs no such room: it is that of units which are 0 or 1.
        exact = clopper_pearson_interval(estimate.value * estimate.n, estimate.n, confidence_level=level)
        end = min(end, exact[1] if upper else 1.0 - exact[0])
    return end if upper else 1.0 - end


def missed_scores(estimate: Estimate, /, *, upper: bool) -> tuple[float, float] | None:
    """Return the share of clusters that one sample in twenty holds none of, and the value if these all scored worst.

    ``None`` for scores that are not in [0, 1], and for shares of units that stand alone, whose exact interval holds
    such units already.

    Parameters
    ----------
    estimate : Estimate
        An estimate that keeps its units.
    upper : bool
        Whether high scores are the worse ones, as for ``at_most``.
    """
    if estimate.n_clusters < 1 or not _is_in_unit_interval(estimate) or _is_exact(estimate):
        return None
    share = 1.0 - math.pow(0.05, 1.0 / estimate.n_clusters)
    return share, estimate.value + share * ((1.0 if upper else 0.0) - estimate.value)


def units_to_see(estimate: Estimate, bound: float, /, *, upper: bool) -> int | None:
    """Return how many units in all :func:`unseen_end` needs to keep a bound; ``None`` where no number is enough."""
    level = estimate.confidence_level
    room = bound if upper else 1.0 - bound
    if level is None or room <= 0.0:
        return None
    perfect = 2 if room >= 1.0 else math.ceil(math.log(0.5 - level / 2) / math.log1p(-room) - 1e-9)
    perfect = math.ceil(perfect * estimate.n / estimate.n_clusters)
    outliers = math.ceil(CLUSTERS_NEEDED_TO_SEE_OUTLIERS * estimate.n / estimate.n_clusters)
    value = estimate.value if upper else 1.0 - estimate.value
    return max(perfect, estimate.n if value + UNSEEN_SHARE * (1.0 - value) <= room else outliers)


def _is_exact(estimate: Estimate) -> bool:
    """Whether the interval is the exact one of a share of units that stand alone."""
    return estimate.how.is_share and estimate.n_clusters >= estimate.n


def _is_in_unit_interval(estimate: Estimate) -> bool:
    """Whether an estimate keeps units that lie in [0, 1] and are scores, with an interval that is made of them."""
    how = estimate.how
    if how.difference or how.paired or not how.is_mean_of_units or len(estimate.values) != estimate.n:
        return False
    return min(estimate.values) >= 0.0 and max(estimate.values) <= 1.0


def clusters_needed(estimate: Estimate, /) -> int:
    """Return from how many clusters on a value without a spread is believed."""
    if estimate.how.is_share:
        return CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE
    if _is_in_unit_interval(estimate):
        # Up to rounding, as a share.
        low, high = min(estimate.values), max(estimate.values)
        if high <= ROUNDING or low >= 1.0 - ROUNDING:
            return CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE
    return CLUSTERS_NEEDED_WITHOUT_VARIANCE


def trusted_p_value(estimate: Estimate, bound: float, /, *, alternative: str, confidence_level: float) -> float:
    """Return the p-value of :func:`bound_p_value`; NaN where the interval at this level cannot be trusted."""
    if estimate.n == 0 or estimate.n_clusters < 2 or math.isnan(estimate.value) or contradiction_of(estimate, ""):
        return math.nan
    at_gate = interval_at(estimate, confidence_level)
    if math.isnan(at_gate.low) or math.isnan(at_gate.high) or is_too_certain(at_gate):
        return math.nan
    return bound_p_value(at_gate, bound, alternative=alternative)
