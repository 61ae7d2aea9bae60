"""Promises relative to a reference: by how much the model scores better than other answers to the same units."""

from __future__ import annotations

import math

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.at_level import as_difference
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.estimation.left_open import with_bounds
from pytest_pluralism.core.parameters import one_of
from pytest_pluralism.core.records import Estimate, Gate, Measure, Scores, UnitScore

__all__ = ["advantage_of", "advantage_over", "estimate_reference", "skill"]


def advantage_over(scores: Scores, name: str, /, *, direction: str, confidence_level: float | None = 0.95) -> Estimate:
    r"""Estimate by how much the model scores better than a reference, on paired units.

    .. math:: \bar a = \frac{1}{n} \sum_i s (v_i - r_i)

    with the value :math:`v_i` and the reference :math:`r_i` of unit i; s is -1 where lower values are better, else 1.

    Parameters
    ----------
    scores : Scores
        The units, each with its references.
    name : str
        The reference, by its name among the references of a unit.
    direction : {"lower", "higher"}
        Which values are better.
    confidence_level : float in (0, 1) or None
        Of the interval.

    Returns
    -------
    Estimate
        The mean advantage, in the units of the scores: above 0 when the model is better. A unit without a value or
        without the reference counts as missing.

    Raises
    ------
    InvalidParameterError
        No unit has the reference, or the direction is unknown.

    Examples
    --------
    >>> from pytest_pluralism.core.records import UnitScore
    >>> pairs = zip([0.2, 0.3, 0.1], [0.5, 0.4, 0.3])
    >>> units = [UnitScore(str(i), str(i), v, references={"uniform": r}) for i, (v, r) in enumerate(pairs)]
    >>> round(advantage_over(Scores("js_distance", tuple(units)), "uniform", direction="lower").value, 6)
    0.2
    """
    one_of(direction, ("lower", "higher"), name="direction", function="advantage_over")
    ours = [unit.value for unit in scores.units]
    theirs = _values(scores, name)
    first, second = (theirs, ours) if direction == "lower" else (ours, theirs)
    advantage = compare_paired(
        first,
        second,
        clusters=[unit.cluster for unit in scores.units],
        unit_ids=[unit.unit_id for unit in scores.units],
        confidence_level=confidence_level,
    )
    if not any(unit.bounds or name in unit.reference_bounds for unit in scores.units):
        return advantage
    known = {unit.unit_id: _open_unit(unit, name, direction) for unit in scores.units}
    pairs = zip(advantage.unit_ids, advantage.values, strict=True)
    return with_bounds(advantage, [(value - known[one][0], value + known[one][1]) for one, value in pairs])


def advantage_of(scores: Scores, gate: Gate, measure: Measure, /, *, confidence_level: float | None) -> Estimate | None:
    """Return by how much a model is better than the reference that a promise names; nothing where it names none.

    Parameters
    ----------
    scores : Scores
        The units, each with its references.
    gate : Gate
        The promise.
    measure : Measure
        The measure, which knows its references by their names in promises.
    confidence_level : float in (0, 1) or None
        Of the interval.
    """
    if gate.better_than is None:
        return None
    key = measure.reference_key(gate.better_than)
    if key in scores.advantages:
        return scores.advantages[key]
    return advantage_over(scores, key, direction=measure.direction, confidence_level=confidence_level)


def _open_unit(unit: UnitScore, name: str, direction: str) -> tuple[float, float]:
    """Return by how much an advantage of a unit may be lower, and higher, than that of its value."""
    low, high = unit.bounds or (unit.value, unit.value)
    below, above = unit.value - low, high - unit.value
    if direction == "lower":
        below, above = above, below
    if name in unit.reference_bounds:
        least, most = unit.reference_bounds[name]
        lower, higher = unit.references[name] - least, most - unit.references[name]
        # A reference that is better takes from the advantage.
        below, above = (below + higher, above + lower) if direction == "higher" else (below + lower, above + higher)
    return below, above


def estimate_reference(scores: Scores, name: str, /, *, confidence_level: float | None = 0.95) -> Estimate:
    """Estimate the mean score of a reference over the units, as if a model had answered so.

    Parameters
    ----------
    scores : Scores
        The units, each with its references.
    name : str
        The reference, by its name among the references of a unit.
    confidence_level : float in (0, 1) or None
        Of the interval.

    Returns
    -------
    Estimate
        In the units of the scores; a difference where the scores are differences.

    Raises
    ------
    InvalidParameterError
        No unit has the reference.
    """
    values = _values(scores, name)
    clusters, ids = [unit.cluster for unit in scores.units], [unit.unit_id for unit in scores.units]
    if not scores.differences:
        return estimate_mean(values, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
    nothing = [0.0] * len(values)
    found = compare_paired(values, nothing, clusters=clusters, unit_ids=ids, confidence_level=confidence_level)
    return as_difference(found)


def skill(value: float, /, *, uniform: float, floor: float = 0.0) -> float:
    r"""Compute how far a distance is on the way from even answers to the human sampling floor.

    .. math:: S = \frac{u - v}{u - f}

    Parameters
    ----------
    value : float
        The distance of the model, v.
    uniform : float
        That of even answers to the same questions, u.
    floor : float
        That of a model that answers as the population does, f: what the sampling of the people leaves of it.

    Returns
    -------
    float
        In (-inf, inf): 0 for even answers, 1 at the human sampling floor, below 0 beyond even answers.
        NaN where even answers are at the floor themselves, so that there is no way to go.

    References
    ----------
    A. H. Murphy, "Skill scores based on the mean square error and their relationships to the correlation coefficient",
    Monthly Weather Review 116, 1988, doi:10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2 (skill against a reference).

    Examples
    --------
    >>> round(skill(0.2, uniform=0.35, floor=0.05), 6), skill(0.05, uniform=0.35, floor=0.05)
    (0.5, 1.0)
    """
    way = uniform - floor
    return (uniform - value) / way if way > 0.0 else math.nan


def _values(scores: Scores, name: str) -> list[float]:
    values = [unit.references.get(name, math.nan) for unit in scores.units]
    if all(math.isnan(value) for value in values):
        raise InvalidParameterError(f"no unit of {scores.metric} has the reference {name!r}.")
    return values
