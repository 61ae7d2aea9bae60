"""The gain of a model on another in one objective, with all that the measure knows of its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.estimation.at_level import as_difference, interval_at, with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.differences import subtract_estimates
from pytest_pluralism.core.estimation.multiplicity import adjust_p_values
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.estimation.trust import trusted_p_value
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Crossed, Estimate, IntervalKind, IntervalMethod, Scores
from pytest_pluralism.core.records.plain import JsonObject

__all__ = ["PairedObjective", "adjusted_for", "pair_objective", "stored_scores", "worse_p_values"]


#: Stored scores that differ by less are equal: batches of another shape round differently.
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class PairedObjective:
    """One objective of two models, oriented so that more is better.

    Attributes
    ----------
    unit_ids, clusters : tuple of str
        Of the units.
    ours, theirs : numpy.ndarray of float, shape (n,)
        The scores of the candidate and of the reference; NaN where there is none.
    values : tuple of two floats
        The value of the objective for each model as a whole.
    gain : Estimate
        The first less the second, as a difference.
    beyond : float
        The part of the variance of the gain that the units do not show (jurors beside queries).
    is_mean : bool
        Whether the gain is the mean of the differences by unit.
    """

    unit_ids: tuple[str, ...]
    clusters: tuple[str, ...]
    ours: FloatArray
    theirs: FloatArray
    values: tuple[float, float]
    gain: Estimate
    beyond: float = 0.0
    is_mean: bool = True

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which units have a score of both models."""
        return ~np.isnan(self.ours - self.theirs)


def pair_objective(
    name: str, sign: float, candidate: Scores, reference: Scores, /, *, confidence_level: float | None
) -> PairedObjective:
    """Pair the scores of two models unit by unit.

    The interval of the gain is that of the measure: over jurors and queries where they are crossed, with the variance
    that units do not show, and from the two intervals (taken to be independent) where the value is not a mean of units.

    Parameters
    ----------
    name : str
        Of the objective.
    sign : float
        -1 where lower is better, else 1.
    candidate, reference : Scores
        Of the same units.
    confidence_level : float in (0, 1) or None
        Of the interval; ``None`` says that the units are the whole set.

    Raises
    ------
    DatasetError
        If the two have other units, or no unit has a score of both.

    References
    ----------
    G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures", Statist. Med. 27, 2008,
    doi:10.1002/sim.3095 (the interval of a difference from two intervals).
    """
    here = {unit.unit_id: unit for unit in candidate.units}
    there = {unit.unit_id: unit.value for unit in reference.units}
    if set(here) != set(there) or not here:
        only = sorted(set(here) ^ set(there))
        raise DatasetError(
            f"The objective {name!r} has other units for the model than for the reference"
            f"{f' ({only[0]!r} and {len(only) - 1} more)' if only else ''}: they cannot be paired. "
            "Give scores of the same units for both."
        )
    ours = sign * np.array([unit.value for unit in here.values()])
    theirs = sign * np.array([there[unit] for unit in here])
    known = ~np.isnan(ours - theirs)
    if not known.any():
        raise DatasetError(
            f"The objective {name!r} has no unit with a score of both models, so that nothing can be said of it. "
            "Give scores, or leave the objective out."
        )
    ids, clusters = tuple(here), tuple(unit.cluster for unit in here.values())
    plain = compare_paired(ours, theirs, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
    values, gain, is_mean = (float(ours[known].mean()), float(theirs[known].mean())), plain, True
    differ = np.asarray(compare(ours, theirs))[known] != 0
    sides = (candidate, reference) if sign > 0 else (reference, candidate)
    if candidate.estimate is not None or reference.estimate is not None:
        one, two = (estimate_scores(side, confidence_level=confidence_level) for side in (candidate, reference))
        values, is_mean = (sign * one.value, sign * two.value), False
        if differ.any() or compare(one.value, two.value) != 0:
            first, second = (one, two) if sign > 0 else (two, one)
            gain = _difference(first, second)
    elif differ.any():
        if confidence_level is not None and (candidate.crossed is not None or reference.crossed is not None):
            first, second = (
                estimate_scores(replace(side, extra_variance=0.0), confidence_level=confidence_level) for side in sides
            )
            gain = subtract_estimates(first, second)
        # A unit that is alike in both is the same text, of which jurors who are estimated think the same.
        gain = with_extra_variance(gain, float(differ.mean()) * (candidate.extra_variance + reference.extra_variance))
        doubt = candidate.change_doubt or reference.change_doubt
        if doubt and confidence_level is not None:
            gain = without_interval(gain, f"unknown: {doubt}")
    beyond = gain.standard_error**2 - plain.standard_error**2
    return PairedObjective(
        ids, clusters, ours, theirs, values, as_difference(gain), beyond if beyond > 0 else 0.0, is_mean
    )


def _difference(left: Estimate, right: Estimate) -> Estimate:
    """Return ``left - right`` of two values that are not means of paired units."""
    if left.values and len(left.unit_ids) == len(left.values) == len(right.values) == len(right.unit_ids):
        return subtract_estimates(left, right)
    value = left.value - right.value
    return Estimate(
        value=value,
        low=value - math.hypot(left.value - left.low, right.high - right.value),
        high=value + math.hypot(left.high - left.value, right.value - right.low),
        standard_error=math.hypot(left.standard_error, right.standard_error),
        n=min(left.n, right.n),
        n_clusters=min(left.n_clusters, right.n_clusters),
        confidence_level=left.confidence_level,
        n_missing=max(left.n_missing, right.n_missing),
        how=IntervalMethod(kind=IntervalKind.TWO_INTERVALS, difference=True),
    )


def adjusted_for(gain: Estimate, n_objectives: int, /) -> Estimate:
    """Return a gain whose upper end lets at most one of several objectives err, by Bonferroni's inequality.

    Each single objective may be called worse with half of what the level leaves over, divided by their number: then
    some objective of a model that is worse in none is called worse no more often than one alone would be. The lower end
    stays: all objectives must keep a promise, which needs no adjustment. It keeps no units, which would say otherwise.
    """
    adjusted = replace(gain, unit_ids=(), values=(), clusters=(), crossed_ids=(), crossed_values=())
    level = gain.confidence_level
    if level is None or math.isnan(gain.high):
        return adjusted
    high = interval_at(gain, 1.0 - (1.0 - level) / n_objectives).high
    return replace(adjusted, high=max(high, gain.high), how=replace(gain.how, n_objectives=n_objectives))


def worse_p_values(gains: list[Estimate], bounds: list[float], /) -> list[float]:
    """Return for each objective the p-value of being worse than promised, adjusted for their number (Holm).

    A p-value that cannot be trusted or inferred counts as 1.
    """
    alone = [
        math.nan
        if gain.confidence_level is None
        else trusted_p_value(gain, bound, alternative="less", confidence_level=gain.confidence_level)
        for gain, bound in zip(gains, bounds, strict=True)
    ]
    adjusted = adjust_p_values([1.0 if math.isnan(one) else one for one in alone], method="holm")
    return [float(one) for one in adjusted]


def stored_scores(candidate: Scores, entry: JsonObject, /) -> Scores:
    """Return what a baseline holds in the form of scores; values that differ from today's by rounding are today's."""
    now = {unit.unit_id: unit for unit in candidate.units}
    units = []
    for unit in entry["units"]:
        here, value = now.get(unit["id"]), _number(unit["value"])
        if here is not None and abs(here.value - value) <= ROUNDING:
            value = here.value
        units.append((unit["id"], value))
    crossed = candidate.crossed
    if crossed is not None:
        others = {unit["id"]: _number(unit["value"]) for unit in entry.get("crossed", ())}
        crossed = Crossed(
            tuple(replace(unit, value=others[unit.unit_id]) for unit in crossed.units if unit.unit_id in others)
        )
    return replace(
        candidate,
        units=tuple(replace(now[name], value=value) for name, value in units if name in now),
        crossed=crossed,
        extra_variance=float(entry.get("extra_variance") or 0.0),
        estimate=None if candidate.estimate is None else _stored_estimate(entry["estimate"]),
    )


def _stored_estimate(stored: JsonObject) -> Estimate:
    return Estimate(
        value=_number(stored.get("value")),
        low=_number(stored.get("low")),
        high=_number(stored.get("high")),
        standard_error=_number(stored.get("standard_error")),
        n=int(stored.get("n") or 0),
        n_clusters=int(stored.get("n_clusters") or 0),
        confidence_level=stored.get("confidence_level"),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
