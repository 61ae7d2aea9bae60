"""From a promise and an estimate to a verdict: the one place where outcomes are decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_pluralism.core.bounds import (
    Part,
    bound_p_value_of,
    change_part,
    guard_is_broken,
    is_unchanged,
    mean_bounds,
    other_units,
    over_looks,
    relative_part,
    units_part,
    unseen_words,
    value_part,
)
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.multiplicity import adjust_p_values
from pytest_pluralism.core.estimation.trust import (
    CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE,
    CLUSTERS_NEEDED_WITHOUT_VARIANCE,
    ROUNDING,
    contradiction_of,
)
from pytest_pluralism.core.parameters import real_number, same_length
from pytest_pluralism.core.records import Estimate, Gate, Outcome, Verdict, Witness

__all__ = [
    "CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE",
    "CLUSTERS_NEEDED_WITHOUT_VARIANCE",
    "ROUNDING",
    "adjust_verdicts",
    "decide",
    "failure_p_value",
]

_SEVERITY = {Outcome.PASSED: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAILED: 2, Outcome.ERROR: 3}


def decide(
    gate: Gate,
    estimate: Estimate,
    /,
    *,
    change: Estimate | None = None,
    advantage: Estimate | None = None,
    drift: Estimate | None = None,
    looks: float = 1.0,
    noise_floor: float = 0.0,
    unit_noise_floor: float | None = None,
    witness: Witness | None = None,
) -> Verdict:
    """Decide whether a promise is kept.

    ==================== ================================ ============================ =====================
    promise              PASSED                           FAILED                       INCONCLUSIVE
    ==================== ================================ ============================ =====================
    ``at_most=t``        ``estimate.high <= t``           ``estimate.low > t``         otherwise
    ``at_least=t``       ``estimate.low >= t``            ``estimate.high < t``        otherwise
    ``better_than=r``    ``advantage.low > noise``        ``advantage.high < 0``       otherwise
    ``max_increase=m``   ``change.high <= margin``        ``change.low > margin``      otherwise
    ``max_decrease=m``   ``change.low >= -margin``        ``change.high < -margin``    otherwise
    ``max_change=m``     both of these                    either of these              otherwise
    ==================== ================================ ============================ =====================

    with ``margin = max(m, noise_floor)`` and ``noise = max(1e-5, noise_floor)``. Two numbers that rounding alone can
    part are equal here (:func:`~pytest_pluralism.core.equal.compare`). Several bounds in one gate: the worst outcome
    wins. With ``confidence_level=None`` the value stands for both ends. ``max_change`` is a test of equivalence (TOST),
    with both one-sided tests at half the rest of the confidence level.

    With a ``drift``, the same promises are judged against the anchor of the baseline too, with ``max_drift`` in the
    place of ``m`` where it is given. A failure must then survive two comparisons, and with ``looks`` above 1 that many
    looks: its p-value times their number is below half the rest of the confidence level, else it is INCONCLUSIVE.
    A PASSED is never changed by the number of looks.

    ``max_unit_increase=m`` and ``max_unit_decrease=m`` guard each unit by itself: FAILED when a single one got worse by
    more than ``max(m, unit_noise_floor)``, else PASSED. They say something of these units alone, so that there is
    nothing to infer and nothing to adjust for: with scores that are drawn, leave room for the draw.

    The interval is two-sided at the gate's confidence level, so each comparison with one of its ends is a one-sided
    test, nominally at half the rest: 2.5 % for a 95 % confidence level. With skewed scores from few clusters one of the
    two ends errs more often than that, and the other less often (measured: docs/explanation/statistics.md).

    Parameters
    ----------
    gate : Gate
        The promise.
    estimate : Estimate
        The estimate that was measured. If its confidence level is not the gate's, its interval is made anew from its
        units, or from its standard error when it keeps none; the reason then says so.
    change : Estimate or None
        The paired difference candidate - baseline, for ``max_increase``, ``max_decrease`` and ``max_change``.
    advantage : Estimate or None
        By how much the value is better than the reference of ``better_than``, paired by unit; above 0 is better.
    drift : Estimate or None
        The paired difference candidate - anchor, where the anchor is another result than the baseline. Without a
        ``change`` the promise is judged against the anchor alone, as in a run that stores its result.
    looks : float
        The number, in [1, inf), by which p-values of changes are multiplied
        (:func:`~pytest_pluralism.core.estimation.look_factor`).
    noise_floor : float
        The measured numeric noise of a score, in [0, inf): no change below it counts.
    unit_noise_floor : float, optional
        The same of a single unit, in [0, inf); by default ``noise_floor``.
    witness : Witness or None
        Passed through.

    Returns
    -------
    Verdict
        The outcome, with a reason of one sentence unless it passed, and for INCONCLUSIVE how many more units of the
        same kind would probably decide. A promise that is kept says in ``unseen`` what could not show.

    Raises
    ------
    InvalidParameterError
        If the noise floor is negative or not finite, ``looks`` is below 1, or the gate, estimate or change is no such
        record.

    Notes
    -----
    These can never pass, with ``n`` etc. those of the estimate (or of the change, for its promises):

    - a value that is NaN, or ``n = 0``: ERROR, because nothing was measured;
    - a record that contradicts itself: ERROR. So are a value outside its interval or ends the wrong way round, an
      infinite value or end, a negative or infinite standard error, a negative count, more clusters than units, and as
      many kept units as ``n`` does not say;
    - an interval that is NaN or unknown, when the gate has a confidence level;
    - ``n_missing > 0``, with or without a confidence level: what is missing may be what is bad;
    - ``n_clusters < 2`` when the gate has a confidence level;
    - a value without a spread (clusters that are equal up to rounding, ``ROUNDING``) from fewer than
      ``CLUSTERS_NEEDED_WITHOUT_VARIANCE`` clusters when the gate has a confidence level: equal values from few clusters
      do not prove that other clusters agree. For a share of 0 or 1, whose interval is exact and never of zero width,
      from fewer than ``CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE``;
    - ``max_increase`` or ``max_decrease`` without a ``change`` or ``drift``, or with one of other units than the
      estimate's: other names where both keep them, else another number of them (INCONCLUSIVE).

    A bound that such a value breaks is INCONCLUSIVE, too: what is not believed is not believed either way, and an
    inconclusive promise fails its test unless the run says otherwise.

    These do not pass although the interval keeps the bound (scores that hardly vary; never about hand-made records,
    which keep no units):

    - units of which all but the worst one are equal, from as few clusters: a single worse unit must not undo the rule
      on spread;
    - a value of scores in [0, 1] whose bound lies beyond what so many units can show, however little they vary: the end
      of :func:`~pytest_pluralism.core.estimation.trust.unseen_end`.

    With these, lowering a score that is not above the mean never turns an undecided ``at_least`` into PASSED, and
    likewise for ``at_most``, for units that stand alone.

    The rule on spread has one exception, the unchanged model. When no unit changed by more than the noise floor
    (with a noise floor of 0: every difference is 0 up to rounding, ``ROUNDING``), the change is not a quantity
    that happens to show no spread, it is the absence of one, and the promise not to change is kept whatever the margin.
    So a model passes its own baseline, every time. The same holds for an estimate that is itself a difference (its
    ``how`` says so) and is 0 with an interval of [0, 0]: a model gains nothing on itself.

    Examples
    --------
    >>> from pytest_pluralism.core.records import Estimate, Gate
    >>> estimate = Estimate(0.30, 0.25, 0.35, 0.025, n=100, n_clusters=100)
    >>> decide(Gate(at_most=0.40), estimate).outcome.value
    'passed'
    >>> verdict = decide(Gate(at_most=0.32), estimate)
    >>> verdict.outcome.value, verdict.units_needed
    ('inconclusive', 513)
    """
    floor = _noise_floor(noise_floor, "decide")
    unit_floor = floor if unit_noise_floor is None else _noise_floor(unit_noise_floor, "decide")
    _records(gate, estimate, change, "decide")
    if advantage is not None and not isinstance(advantage, Estimate):
        raise invalid_parameter("advantage", "decide", "an Estimate or None", repr(advantage)[:80])
    looks = _looks(looks, "decide")
    wrong = [contradiction_of(estimate, "the value")]
    if gate.better_than is not None and advantage is not None:
        wrong.append(contradiction_of(advantage, "the advantage"))
    if gate.needs_baseline and change is not None:
        wrong.append(contradiction_of(change, "the change"))
    if gate.needs_anchor and drift is not None:
        wrong.append(contradiction_of(drift, "the change from the anchor"))
    known_parts = Verdict(Outcome.ERROR, gate, estimate, change, witness, advantage=advantage, drift=drift, looks=looks)
    if any(wrong):
        return replace(known_parts, reason="; ".join(filter(None, wrong)))
    parts: list[Part] = []
    if gate.at_most is not None:
        parts.append(value_part(gate, estimate, gate.at_most, floor, upper=True))
    if gate.at_least is not None:
        parts.append(value_part(gate, estimate, gate.at_least, floor, upper=False))
    if gate.better_than is not None:
        parts.append(relative_part(gate, estimate, advantage, floor))
    for what, side, of_drift in (sides := _sides(change, drift)):
        for margin, upper in mean_bounds(gate, floor, of_drift=of_drift):
            part = change_part(gate, estimate, side, margin, floor, upper=upper, what=what)
            parts.append(over_looks(part, gate, side, margin, upper=upper, looks=looks * len(sides)))
    if gate.max_unit_increase is not None:
        parts.append(units_part(estimate, change, max(gate.max_unit_increase, unit_floor), upper=True))
    if gate.max_unit_decrease is not None:
        parts.append(units_part(estimate, change, max(gate.max_unit_decrease, unit_floor), upper=False))
    worst = max(parts, key=lambda part: _SEVERITY[part.outcome])
    reasons = [part.reason for part in parts if part.outcome is worst.outcome and part.reason]
    more = [part.units_needed for part in parts if part.outcome is Outcome.INCONCLUSIVE]
    known = [count for count in more if count is not None]
    passed = worst.outcome is Outcome.PASSED
    return replace(
        known_parts,
        outcome=worst.outcome,
        reason="; ".join(dict.fromkeys(reasons)),
        units_needed=max(known) if worst.outcome is Outcome.INCONCLUSIVE and len(known) == len(more) else None,
        unseen=unseen_words(gate, estimate, change, floor) if passed else "",
    )


def failure_p_value(
    gate: Gate,
    estimate: Estimate,
    /,
    *,
    change: Estimate | None = None,
    advantage: Estimate | None = None,
    drift: Estimate | None = None,
    looks: float = 1.0,
    noise_floor: float = 0.0,
    unit_noise_floor: float | None = None,
) -> float:
    """Return the p-value of the null hypothesis that a promise is kept: small when it is shown to be broken.

    It is below ``(1 - confidence_level) / 2`` only when :func:`decide` says FAILED. With several bounds in one gate
    it is the smallest of their p-values times their number (Bonferroni); a bound whose interval cannot be trusted shows
    nothing and counts as 1.

    Parameters
    ----------
    gate, estimate, change, advantage, drift, looks, noise_floor, unit_noise_floor
        As in :func:`decide`.

    Returns
    -------
    float
        In [0, 1]; NaN when the gate decides on the value alone, when a single unit got worse than its guard allows
        (which is seen, not inferred), or when none of its intervals can be trusted, as listed for :func:`decide`.

    Raises
    ------
    InvalidParameterError
        If the noise floor is negative or not finite.

    Examples
    --------
    >>> from pytest_pluralism.core.records import Estimate, Gate
    >>> estimate = Estimate(0.30, 0.25, 0.35, 0.025, n=100, n_clusters=100)
    >>> round(failure_p_value(Gate(at_most=0.25), estimate), 3)
    0.025
    """
    floor = _noise_floor(noise_floor, "failure_p_value")
    unit_floor = floor if unit_noise_floor is None else _noise_floor(unit_noise_floor, "failure_p_value")
    _records(gate, estimate, change, "failure_p_value")
    if gate.confidence_level is None or guard_is_broken(gate, change, unit_floor):
        return math.nan
    p_values: list[float] = []
    if gate.at_most is not None:
        p_values.append(bound_p_value_of(gate, estimate, gate.at_most, "greater"))
    if gate.at_least is not None:
        p_values.append(bound_p_value_of(gate, estimate, gate.at_least, "less"))
    if gate.better_than is not None:
        p_values.append(math.nan if advantage is None else bound_p_value_of(gate, advantage, 0.0, "less"))
    is_odd = bool(contradiction_of(estimate, "the value"))
    for _, side, of_drift in _sides(change, drift):
        known = None if side is None or is_odd or other_units(estimate, side) else side
        for margin, upper in mean_bounds(gate, floor, of_drift=of_drift):
            alternative = "greater" if upper else "less"
            p_values.append(
                _looks(looks, "failure_p_value")
                * _p_value_of_change(gate, known, margin if upper else -margin, alternative, floor)
            )
    if all(math.isnan(p_value) for p_value in p_values):
        return math.nan
    return min(1.0, min(1.0 if math.isnan(p_value) else p_value for p_value in p_values) * len(p_values))


def _sides(change: Estimate | None, drift: Estimate | None) -> list[tuple[str, Estimate | None, bool]]:
    """Return the changes that a promise is judged by, in words, and whether each is the drift, alone if need be."""
    sides = [("the change", change, False), ("the change from the anchor", drift, True)]
    if drift is None:
        return sides[:1]
    return sides if change is not None else sides[1:]


def _p_value_of_change(gate: Gate, change: Estimate | None, bound: float, alternative: str, floor: float) -> float:
    if change is None or change.n_clusters < 2 or contradiction_of(change, ""):
        return math.nan
    return 1.0 if is_unchanged(change, gate, floor) else bound_p_value_of(gate, change, bound, alternative)


def adjust_verdicts(
    verdicts: Sequence[Verdict],
    /,
    *,
    method: str = "holm",
    noise_floors: Sequence[float] | None = None,
    unit_noise_floors: Sequence[float] | None = None,
) -> tuple[Verdict, ...]:
    """Take back failures that many promises in one run explain: FAILED becomes INCONCLUSIVE.

    A gate with several bounds is as many tests, also when it is the only one. With m gates at 95 %, each fails by
    chance in at most 2.5 % of runs, and some of them in up to m times that. After
    the adjustment the chance of any false FAILED in the run is at most 2.5 % (Holm), whatever m is, as far as each
    p-value is right (not for strongly skewed scores from few clusters). A PASSED is never
    changed: a release that passes only if all its gates pass needs no adjustment for that, and neither does an ERROR or
    a gate that decides on the value alone.

    Parameters
    ----------
    verdicts : sequence of Verdict
        The verdicts of one run.
    method : {"holm", "bonferroni", "benjamini_hochberg", "none"}
        How; ``"benjamini_hochberg"`` bounds the share of false ones among the FAILED instead.
    noise_floors : sequence of float, optional
        The noise floor that each verdict was decided with; by default 0.
    unit_noise_floors : sequence of float, optional
        The same of a single unit; by default ``noise_floors``.

    Returns
    -------
    tuple of Verdict
        In the given order.

    Raises
    ------
    InvalidParameterError
        If the method is unknown, or there is not one noise floor a verdict.

    References
    ----------
    S. Holm, Scand. J. Statist. 6, 1979, 65-70. R. L. Berger, Technometrics 24, 1982, doi:10.1080/00401706.1982.10487790
    (why all-must-pass needs no adjustment).

    Examples
    --------
    >>> from pytest_pluralism.core.records import Estimate, Gate
    >>> failed = decide(Gate(at_most=0.25), Estimate(0.30, 0.25, 0.35, 0.0246, n=100, n_clusters=100))
    >>> adjust_verdicts([failed] * 3)[0].outcome.value
    'inconclusive'
    """
    floors = [0.0] * len(verdicts) if noise_floors is None else list(noise_floors)
    same_length(floors, verdicts, name="noise_floors", other_name="verdicts", function="adjust_verdicts")
    unit_floors = floors if unit_noise_floors is None else list(unit_noise_floors)
    same_length(unit_floors, verdicts, name="unit_noise_floors", other_name="verdicts", function="adjust_verdicts")
    p_values = [
        math.nan
        if verdict.estimate is None
        else failure_p_value(
            verdict.gate,
            verdict.estimate,
            change=verdict.change,
            advantage=verdict.advantage,
            drift=verdict.drift,
            looks=verdict.looks,
            noise_floor=floor,
            unit_noise_floor=unit_floor,
        )
        for verdict, floor, unit_floor in zip(verdicts, floors, unit_floors, strict=True)
    ]
    tested = [i for i, p_value in enumerate(p_values) if not math.isnan(p_value)]
    adjusted = list(verdicts)
    if not tested:
        # An unknown method is an error all the same.
        adjust_p_values([1.0], method=method)
        return tuple(adjusted)
    for i, p_value in zip(tested, adjust_p_values([p_values[i] for i in tested], method=method), strict=True):
        level = verdicts[i].gate.confidence_level
        # A lone promise with one bound is decided by its interval; with two, each of them has half the error.
        is_alone = len(tested) == 1 and _n_bounds(verdicts[i].gate) == 1
        kept = method == "none" or is_alone or level is None or p_value < (1.0 - level) / 2.0
        if verdicts[i].outcome is Outcome.FAILED and not kept:
            adjusted[i] = replace(
                verdicts[i],
                outcome=Outcome.INCONCLUSIVE,
                reason=f"{verdicts[i].reason}; among {_tests(len(tested), verdicts[i].gate)} this may be chance "
                f"({method}-adjusted p = {p_value:.2g})",
            )
    return tuple(adjusted)


def _n_bounds(gate: Gate) -> int:
    """Return how many bounds of a gate are inferred."""
    bounds = (gate.at_most, gate.at_least, gate.better_than, gate.max_increase, gate.max_decrease)
    return sum(bound is not None for bound in bounds) + 2 * (gate.max_change is not None)


def _tests(n_gates: int, gate: Gate) -> str:
    return f"{n_gates} promises" if n_gates > 1 else f"the {_n_bounds(gate)} bounds of this promise"


def _noise_floor(value: float, function: str) -> float:
    floor = real_number(value, name="noise_floor", function=function)
    if floor < 0:
        raise invalid_parameter("noise_floor", function, "a float in [0, inf)", value)
    return floor


def _looks(value: float, function: str) -> float:
    looks = real_number(value, name="looks", function=function)
    if looks < 1.0:
        raise invalid_parameter("looks", function, "a float in [1, inf)", value)
    return looks


def _records(gate: Gate, estimate: Estimate, change: Estimate | None, function: str) -> None:
    """Refuse a value that is not a record, which only an untyped caller can give."""
    if not isinstance(gate, Gate):
        raise invalid_parameter("gate", function, "a Gate", repr(gate)[:80])
    if not isinstance(estimate, Estimate):
        raise invalid_parameter("estimate", function, "an Estimate", repr(estimate)[:80])
    if change is not None and not isinstance(change, Estimate):
        raise invalid_parameter("change", function, "an Estimate or None", repr(change)[:80])
