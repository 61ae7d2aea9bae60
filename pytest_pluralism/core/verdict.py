"""From a promise and an estimate to a verdict: the one place where outcomes are decided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.intervals import interval_at
from pytest_pluralism.core.parameters import real_number
from pytest_pluralism.core.records import Estimate, Gate, Outcome, Verdict, Witness

__all__ = ["CLUSTERS_NEEDED_WITHOUT_VARIANCE", "decide"]

#: A zero-width interval is believed from this many clusters on. When G clusters all show the same value, up to
#: 1 - 0.05 ** (1 / G) of all clusters may still differ (the "rule of three", about 3 / G): with 30, at most one in ten.
CLUSTERS_NEEDED_WITHOUT_VARIANCE = 30

#: More units than this is no advice.
_MOST_UNITS = 10_000_000


def decide(
    gate: Gate,
    estimate: Estimate,
    /,
    *,
    change: Estimate | None = None,
    noise_floor: float = 0.0,
    witness: Witness | None = None,
) -> Verdict:
    """Decide whether a promise is kept.

    ==================== ================================ ============================ =====================
    promise              PASSED                           FAILED                       INCONCLUSIVE
    ==================== ================================ ============================ =====================
    ``at_most=t``        ``estimate.high <= t``           ``estimate.low > t``         otherwise
    ``at_least=t``       ``estimate.low >= t``            ``estimate.high < t``        otherwise
    ``max_increase=m``   ``change.high <= margin``        ``change.low > margin``      otherwise
    ``max_decrease=m``   ``change.low >= -margin``        ``change.high < -margin``    otherwise
    ==================== ================================ ============================ =====================

    with ``margin = max(m, noise_floor)``. Several bounds in one gate: the worst outcome wins. With
    ``confidence_level=None`` the value stands for both ends.

    The interval is two-sided at the gate's confidence level, so each comparison with one of its ends is a one-sided
    test at half the rest: a 95 % confidence level makes every pass and every failure a one-sided test at 2.5 %.

    Parameters
    ----------
    gate : Gate
        The promise.
    estimate : Estimate
        What was measured. If its confidence level is not the gate's, its interval is made anew from its units, or
        from its standard error when it keeps none; the reason then says so.
    change : Estimate or None
        The paired difference candidate - baseline, for ``max_increase`` and ``max_decrease``.
    noise_floor : float
        The measured numeric noise of a score, in [0, inf): no change below it counts.
    witness : Witness or None
        Passed through.

    Returns
    -------
    Verdict
        The outcome, with a reason of one sentence unless it passed, and for INCONCLUSIVE how many more units of the
        same kind would probably decide.

    Raises
    ------
    InvalidParameterError
        If the noise floor is negative or not finite.

    Notes
    -----
    What can never pass, with ``n`` etc. those of the estimate (or of the change, for its promises):

    - a value that is NaN, or ``n = 0``: ERROR, because nothing was measured;
    - an interval that is NaN or unknown, when the gate has a confidence level;
    - ``n_missing > 0``, with or without a confidence level: what is missing may be what is bad;
    - ``n_clusters < 2`` when the gate has a confidence level;
    - a zero-width interval from fewer than ``CLUSTERS_NEEDED_WITHOUT_VARIANCE`` clusters when the gate has a
      confidence level: equal values from few clusters are no proof that other clusters agree;
    - ``max_increase`` or ``max_decrease`` without a ``change``.

    The zero-width rule has one exception, the unchanged model. When no unit changed by more than the noise floor
    (with a noise floor of 0: every difference is exactly 0), the change is not a quantity that happens to show no
    spread, it is the absence of one, and the promise not to change is kept whatever the margin. So a model passes
    its own baseline, every time.

    Examples
    --------
    >>> from pytest_pluralism.core.records import Estimate, Gate
    >>> estimate = Estimate(0.30, 0.25, 0.35, 0.025, n=100, n_clusters=100)
    >>> decide(Gate(at_most=0.40), estimate).outcome.value
    'passed'
    >>> verdict = decide(Gate(at_most=0.32), estimate)
    >>> verdict.outcome.value, verdict.units_needed
    ('inconclusive', 518)
    """
    floor = real_number(noise_floor, name="noise_floor", function="decide")
    if floor < 0:
        raise invalid_parameter("noise_floor", "decide", "a float in [0, inf)", noise_floor)
    parts: list[_Part] = []
    if gate.at_most is not None:
        parts.append(_bound(interval_at_gate(estimate, gate), gate.at_most, upper=True, what="the value"))
    if gate.at_least is not None:
        parts.append(_bound(interval_at_gate(estimate, gate), gate.at_least, upper=False, what="the value"))
    if gate.max_increase is not None:
        parts.append(_change(gate, estimate, change, gate.max_increase, floor, upper=True))
    if gate.max_decrease is not None:
        parts.append(_change(gate, estimate, change, gate.max_decrease, floor, upper=False))
    worst = max(parts, key=lambda part: _SEVERITY[part.outcome])
    reasons = [part.reason for part in parts if part.outcome is worst.outcome and part.reason]
    more = [part.units_needed for part in parts if part.outcome is Outcome.INCONCLUSIVE]
    known = [count for count in more if count is not None]
    return Verdict(
        outcome=worst.outcome,
        gate=gate,
        estimate=estimate,
        change=change,
        witness=witness,
        reason="; ".join(dict.fromkeys(reasons)),
        units_needed=max(known) if worst.outcome is Outcome.INCONCLUSIVE and len(known) == len(more) else None,
    )


_SEVERITY = {Outcome.PASSED: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAILED: 2, Outcome.ERROR: 3}


@dataclass(frozen=True, slots=True)
class _Part:
    """What one bound of a gate says."""

    outcome: Outcome
    reason: str = ""
    units_needed: int | None = None


def interval_at_gate(estimate: Estimate, gate: Gate, /) -> Estimate:
    """Return the estimate with its interval at the gate's confidence level."""
    return interval_at(estimate, gate.confidence_level)


def _change(
    gate: Gate, estimate: Estimate, change: Estimate | None, promise: float, floor: float, *, upper: bool
) -> _Part:
    if math.isnan(estimate.value) or estimate.n == 0:
        return _Part(Outcome.ERROR, "nothing was measured: the estimate has no value")
    if estimate.n_missing:
        return _Part(Outcome.INCONCLUSIVE, _missing(estimate))
    if change is None:
        return _Part(Outcome.INCONCLUSIVE, "there is no comparable baseline to compare with")
    margin = max(promise, floor)
    unchanged = (
        change.n > 0
        and change.n_missing == 0
        and (change.n_clusters >= 2 or gate.confidence_level is None)
        and (
            all(abs(difference) <= floor for difference in change.values)
            if change.values
            else change.value == change.low == change.high == 0.0
        )
    )
    if unchanged:
        return _Part(Outcome.PASSED)
    bound = margin if upper else -margin
    return _bound(interval_at_gate(change, gate), bound, upper=upper, what="the change")


def _bound(estimate: Estimate, bound: float, *, upper: bool, what: str) -> _Part:
    """Compare an interval with a bound: an upper one, or a lower one."""
    if math.isnan(estimate.value) or estimate.n == 0:
        return _Part(Outcome.ERROR, f"nothing was measured: {what} is unknown")
    level = estimate.confidence_level
    inferring = level is not None
    if inferring and estimate.n_clusters < 2:
        return _Part(Outcome.INCONCLUSIVE, f"{what} comes from a single cluster, which shows nothing about others")
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return _Part(Outcome.INCONCLUSIVE, f"the interval of {what} is unknown")
    if inferring and estimate.low == estimate.high and estimate.n_clusters < CLUSTERS_NEEDED_WITHOUT_VARIANCE:
        lacking = CLUSTERS_NEEDED_WITHOUT_VARIANCE - estimate.n_clusters
        return _Part(
            Outcome.INCONCLUSIVE,
            f"{what} does not vary over {estimate.n_clusters} clusters, too few to trust that "
            f"(at least {CLUSTERS_NEEDED_WITHOUT_VARIANCE} are needed)",
            math.ceil(lacking * estimate.n / estimate.n_clusters),
        )
    kept = estimate.high <= bound if upper else estimate.low >= bound
    broken = estimate.low > bound if upper else estimate.high < bound
    must = f"must be at {'most' if upper else 'least'} {bound:.3g}"
    told = f"{estimate}" + ("" if not estimate.method.endswith(_RECOMPUTED) else f" ({estimate.method})")
    if broken:
        return _Part(Outcome.FAILED, f"{what} is {told}, {must}")
    if estimate.n_missing:
        return _Part(Outcome.INCONCLUSIVE, _missing(estimate))
    if kept:
        return _Part(Outcome.PASSED)
    more = _more_units(estimate, bound)
    hint = f"about {more} more units would decide" if more is not None else "no number of units would decide"
    return _Part(Outcome.INCONCLUSIVE, f"{what} is {told}, {must}: {hint}", more)


_RECOMPUTED = (", from the units", ", from the standard error")


def _missing(estimate: Estimate) -> str:
    return f"{estimate.n_missing} of {estimate.n + estimate.n_missing} units have no score"


def _more_units(estimate: Estimate, bound: float) -> int | None:
    """How many more units of the same kind, at the same mean and variance, bring the nearer end to the bound."""
    level, n_clusters = estimate.confidence_level, estimate.n_clusters
    distance = abs(bound - estimate.value)
    if level is None or distance == 0.0 or n_clusters < 2:
        return None
    half = estimate.high - estimate.value if bound > estimate.value else estimate.value - estimate.low
    tail = 0.5 + level / 2

    def width(clusters: int) -> float:
        quantiles = stats.t.ppf(tail, [clusters - 1, n_clusters - 1])
        return float(half * math.sqrt(n_clusters / clusters) * quantiles[0] / quantiles[1])

    if width(_MOST_UNITS) >= distance:
        return None
    few, many = n_clusters, _MOST_UNITS
    while many - few > 1:
        middle = (few + many) // 2
        if width(middle) < distance:
            many = middle
        else:
            few = middle
    return max(1, math.ceil((many - n_clusters) * estimate.n / n_clusters))
