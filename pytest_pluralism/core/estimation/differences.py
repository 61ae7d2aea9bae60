"""Differences of two estimates of the same units."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.at_level import checked_estimate, with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired, same_partition, some
from pytest_pluralism.core.estimation.left_open import difference_bounds, with_bounds
from pytest_pluralism.core.estimation.sample import units_of
from pytest_pluralism.core.estimation.scale import on_scale
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.records import Estimate

__all__ = ["subtract_estimates"]


def subtract_estimates(left: Estimate, right: Estimate, /) -> Estimate:
    """Return the paired difference ``left - right`` of two estimates over the same units.

    Units are matched by their names, whatever their order. A unit without a score on either side is missing from the
    difference and counted in its ``n_missing``. The uncertainty of a sample of people is added for both sides, unless
    both were measured beside the same people: it is then the same for both, and not part of the difference. Where the
    ends of both lie within a scale, those of the difference lie within what two values of it can differ by. Where the
    interval of a side is unknown, that of the difference is unknown too.

    Parameters
    ----------
    left, right : Estimate
        Two estimates that keep their units.

    Returns
    -------
    Estimate
        The mean difference with its own clustered interval, at the level of ``left``; it keeps the differences by
        unit, so that it can be subtracted again.

    Raises
    ------
    InvalidParameterError
        If an estimate keeps no named units (it was made without ``unit_ids``, or with weights).
    InvalidParameterError
        If the two are not about the same units or the same clusters of them.
    InvalidParameterError
        If the two have different confidence levels.

    Examples
    --------
    >>> from pytest_pluralism.core.estimation import estimate_mean
    >>> left = estimate_mean([0.5, 0.6, 0.9], unit_ids=["a", "b", "c"])
    >>> right = estimate_mean([0.4, 0.3, 0.4], unit_ids=["c", "a", "b"])
    >>> round(subtract_estimates(left, right).value, 6)
    0.3
    """
    function = "subtract_estimates"
    for name, estimate in (("left", left), ("right", right)):
        checked_estimate(estimate, name=name, function=function)
        if not estimate.values or len(estimate.unit_ids) != len(estimate.values):
            raise invalid_parameter(name, function, "an estimate that keeps its units by name", f"{estimate}")
    only_left = sorted(set(left.unit_ids) - set(right.unit_ids))
    only_right = sorted(set(right.unit_ids) - set(left.unit_ids))
    n_asked, n_common = left.n + left.n_missing, len(left.unit_ids) - len(only_left)
    # The names of units without a score are not kept: a name that one side lacks may be one of its missing units.
    may_be_missing = len(only_left) <= right.n_missing and len(only_right) <= left.n_missing
    if n_asked != right.n + right.n_missing or not may_be_missing or not n_common:
        raise InvalidParameterError(
            "Two estimates can only be subtracted when they are about the same units: "
            f"{some(only_left)} only on the left, {some(only_right)} only on the right."
        )
    if left.confidence_level != right.confidence_level:
        raise invalid_parameter(
            "right",
            function,
            f"an estimate at the left one's confidence level ({left.confidence_level})",
            right.confidence_level,
        )
    place = {unit_id: i for i, unit_id in enumerate(right.unit_ids)}
    here = [i for i, unit_id in enumerate(left.unit_ids) if unit_id in place]
    order = [place[left.unit_ids[i]] for i in here]
    ours, theirs = units_of(left), units_of(right)
    clusters, other_clusters = (
        None if labels is None else [labels[i] for i in here] for labels in (ours["clusters"], ours["other_clusters"])
    )
    two_way = (ours["other_clusters"] is None) == (theirs["other_clusters"] is None)
    alike = same_partition(clusters, theirs["clusters"], order)
    if not (two_way and alike and same_partition(other_clusters, theirs["other_clusters"], order)):
        raise invalid_parameter("right", function, "clustered like the left one", "other clusters of the same units")
    if left.crossed_values or right.crossed_values:
        from pytest_pluralism.core.estimation.crossed import subtract_crossed

        crossed = _on_scale(subtract_crossed(left, right, here, order), left, right)
        return _unless_unknown(replace(crossed, n_missing=n_asked - n_common), left, right)
    change = compare_paired(
        [left.values[i] for i in here],
        [right.values[i] for i in order],
        confidence_level=left.confidence_level,
        unit_ids=[left.unit_ids[i] for i in here],
        clusters=clusters,
        other_clusters=other_clusters,
    )
    # Variance that the units do not show may differ between the two sides; the same people stand beside both.
    shared = left.people != "" and left.people == right.people
    unseen = [max(0.0, one.extra_variance - shared * one.how.people_variance) for one in (left, right)]
    change = _on_scale(with_extra_variance(change, sum(unseen)), left, right)
    change = with_bounds(
        change,
        difference_bounds(
            [left.values[i] for i in here],
            [left.bounds[i] for i in here] if left.bounds else (),
            [right.values[i] for i in order],
            [right.bounds[i] for i in order] if right.bounds else (),
        ),
    )
    return _unless_unknown(replace(change, n_missing=n_asked - n_common), left, right)


def _unless_unknown(change: Estimate, left: Estimate, right: Estimate) -> Estimate:
    """Return a difference without its interval where that of a side is unknown, as before a single juror."""
    unknown = next((one for one in (left, right) if math.isnan(one.low) or math.isnan(one.high)), None)
    if unknown is None:
        return change
    return without_interval(change, unknown.how.told or "unknown")


def _on_scale(change: Estimate, left: Estimate, right: Estimate) -> Estimate:
    """Return a difference whose ends two values on the scales of both sides can have."""
    ends = (left.how.lowest, left.how.highest, right.how.lowest, right.how.highest)
    lowest, highest, other_lowest, other_highest = ends
    if lowest is None or highest is None or other_lowest is None or other_highest is None:
        return change
    return on_scale(change, lowest - other_highest, highest - other_lowest)
