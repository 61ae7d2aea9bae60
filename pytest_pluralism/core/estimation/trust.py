"""What can be believed of an estimate: a record that holds together, from enough clusters that vary."""

from __future__ import annotations

import math

from pytest_pluralism.core.equal import TOLERANCE as ROUNDING
from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.estimation.at_level import bound_p_value, interval_at
from pytest_pluralism.core.records import Estimate

__all__ = [
    "CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE",
    "CLUSTERS_NEEDED_WITHOUT_VARIANCE",
    "ROUNDING",
    "clusters_needed",
    "contradiction_of",
    "is_too_certain",
    "trusted_p_value",
]

#: A zero-width interval is believed from this many clusters on. When G clusters all show the same value, up to
#: 1 - 0.05 ** (1 / G) of all clusters may still differ (the "rule of three", about 3 / G): with 30, at most one in ten.
CLUSTERS_NEEDED_WITHOUT_VARIANCE = 30

#: A share of 0 or 1 is believed from this many clusters on. Its interval is exact, so that it needs fewer than the rule
#: above; but values that are all 1 may also come from a scale that is no share, which few of them do not show.
CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE = 10


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


def is_too_certain(estimate: Estimate, /) -> bool:
    """Return whether nothing varies although few clusters carry the value."""
    if estimate.confidence_level is None:
        return False
    smallest = ROUNDING * max(1.0, abs(estimate.value))
    spread = estimate.standard_error * math.sqrt(estimate.n_clusters)
    if spread > smallest and estimate.high - estimate.low > smallest:
        return False
    if estimate.how.difference and compare(estimate.low, 0.0) == compare(estimate.high, 0.0) == 0.0:
        # Two that are alike in every unit: not a value without a spread, but the absence of one.
        return False
    return estimate.n_clusters < clusters_needed(estimate)


def clusters_needed(estimate: Estimate, /) -> int:
    """Return from how many clusters on a value without a spread is believed."""
    return CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE if estimate.how.is_share else CLUSTERS_NEEDED_WITHOUT_VARIANCE


def trusted_p_value(estimate: Estimate, bound: float, /, *, alternative: str, confidence_level: float) -> float:
    """Return the p-value of :func:`bound_p_value`; NaN where the interval at this level cannot be trusted."""
    if estimate.n == 0 or estimate.n_clusters < 2 or math.isnan(estimate.value) or contradiction_of(estimate, ""):
        return math.nan
    at_gate = interval_at(estimate, confidence_level)
    if math.isnan(at_gate.low) or math.isnan(at_gate.high) or is_too_certain(at_gate):
        return math.nan
    return bound_p_value(at_gate, bound, alternative=alternative)
