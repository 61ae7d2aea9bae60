"""Scores by unit, and the witness that shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_pluralism.core.records.estimates import Estimate
from pytest_pluralism.core.records.plain import JsonObject

__all__ = ["Crossed", "Drawn", "Guard", "Scores", "UnitScore", "Witness"]


@dataclass(frozen=True, slots=True)
class UnitScore:
    """The value of a measure for one unit, and what it was computed from.

    ``references`` holds what other answers to this unit would score (``uniform``, ``shuffle``, ``population:NAME``), so
    that a promise relative to one of them is decided on paired differences.
    ``details`` holds JSON-able extras of the measure, under the names of the report's schema.
    ``bounds`` is the least and the most that the value may be, where a model leaves it open; else empty.
    ``reference_bounds`` is the same of references that are answers of the model too, such as those without steering,
    and ``reference_masses`` the option mass of these.
    """

    unit_id: str
    cluster: str
    value: float
    population: str | None = None
    text: str = ""
    options: tuple[str, ...] = ()
    model_probabilities: tuple[float, ...] = ()
    reference_probabilities: tuple[float, ...] = ()
    option_mass: float | None = None
    n_respondents: float | None = None
    details: JsonObject = field(default_factory=dict)
    references: Mapping[str, float] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    reference_bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reference_masses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crossed:
    """The second dimension of an evaluation whose units were all judged by the same others: jurors beside queries.

    ``units`` holds one pseudo-value for each of the others, whose mean is that of the units of the scores;
    ``cell_variance`` and ``cell_third`` are what both dimensions contain of the variance and of the third cumulant of
    the mean, ``biases`` how much too large each unit's value is, ``carriers`` the number of the others that carry the
    mean, and ``below`` and ``above`` how much lower and higher it may be than it is measured: see
    :func:`~pytest_pluralism.core.estimation.estimate_crossed`.
    """

    units: tuple[UnitScore, ...]
    cell_variance: float = 0.0
    cell_third: float = 0.0
    biases: tuple[float, ...] = ()
    carriers: float = math.inf
    below: float = 0.0
    above: float = 0.0


@dataclass(frozen=True, slots=True)
class Guard:
    """A number that must not be below ``least`` beside the promise, in ``words``.

    With ``must_be_shown`` a promise passes only when the whole interval is at ``least`` or above; without, it is enough
    that the interval is not below it. ``told`` is the whole reason where it does not hold; without it, the reason names
    the number and its bound. A guard ``of_sample`` speaks of others than were measured, and is left out of a promise
    without an interval.
    """

    words: str
    estimate: Estimate
    must_be_shown: bool = True
    least: float = 0.0
    told: str = ""
    of_sample: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """The draws that the units of an evaluation were counted from, where a model only gives sampled answers.

    Attributes
    ----------
    fewest : float
        The draws behind the unit that has the fewest.
    mean : float
        The mean number of draws a unit.
    variance : float or None
        The part of the squared standard error of the mean that drawing makes; ``None`` where nobody knows. The
        interval of units that are drawn one by one holds it, as it is part of their spread; a value that is judged
        without an interval does not.
    corrected : bool
        Whether the bias that drawing adds to the value was taken out.
    """

    fewest: float
    mean: float
    variance: float | None = None
    corrected: bool = False

    def words(self) -> str:
        """Return what is said of them beside the value."""
        many = f"{self.mean:.0f} draws" if self.fewest == self.mean else f"{self.mean:.1f} draws on average"
        text = f"sampled answers: {many} a unit (fewest {self.fewest:g})"
        if self.variance is not None:
            text += f", which move the mean by a standard error of {math.sqrt(self.variance):.3g}"
        if not self.corrected:
            text += "; the bias that drawing adds to the value is not taken out"
        return text


@dataclass(frozen=True)
class Scores:
    """All units of one evaluation, with the references that stand beside their mean.

    ``references`` maps a name (``uniform``, ``shuffle``, ``sampling_floor``, ...) to the mean score that it would get;
    ``other_populations`` maps the other populations to the score of the reference population against them.
    ``details`` holds JSON-able extras of the whole evaluation, such as a matrix of several scores.
    ``crossed`` is the second dimension of the units, where there is one; ``witness`` is what shows the outcome best
    where that is not a unit (a group of jurors).
    ``extra_variance`` is what no unit shows of the variance of their mean (of jurors that are estimated).
    ``people_variance`` is what people who answered all units may share of it; where two models are compared with the
    same people it is not part of the change.
    ``judge_variance`` is what is not known of the errors of a judge, as a part of the variance of the level;
    ``relative_variance`` is the same of a change, relative to its square.
    ``scale`` is the lowest and the highest value that there can be, between which the interval lies; ``doubt`` says why
    no interval is known, where none is, and ``change_doubt`` why none of a change is.
    ``estimate`` is given where the promise is not about a mean of the units (the least of several means).
    ``differences`` says that each value is a difference: gains of 0 and 1 are not shares, and no gain in any unit is no
    lack of a spread.
    ``shared`` says what all units have in common, so that they show nothing about others, with the remedies; it is the
    reason of a verdict that needs an interval.
    ``guards`` must hold beside a promise about the value: see :func:`~pytest_pluralism.core.guards.guarded`.
    ``drawn`` says of sampled answers how many there were; ``None`` where probabilities were read.
    ``advantages`` holds by how much the value is better than a reference, by its name, where the units alone do not say
    it: of a jury, jurors are a part of its uncertainty.
    ``unread_choices`` counts the answers and texts that rest on a choice of a model that could not be read, and all.
    """

    metric: str
    units: tuple[UnitScore, ...]
    references: Mapping[str, float] = field(default_factory=dict)
    other_populations: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    details: JsonObject = field(default_factory=dict)
    crossed: Crossed | None = None
    witness: Witness | None = None
    extra_variance: float = 0.0
    people_variance: float = 0.0
    judge_variance: float = 0.0
    relative_variance: float = 0.0
    scale: tuple[float, float] | None = None
    doubt: str = ""
    change_doubt: str = ""
    estimate: Estimate | None = None
    differences: bool = False
    shared: str = ""
    guards: tuple[Guard, ...] = ()
    drawn: Drawn | None = None
    advantages: Mapping[str, Estimate] = field(default_factory=dict)
    unread_choices: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Witness:
    """The unit that shows the outcome best: the worst question, group or juror."""

    unit_id: str
    value: float
    text: str = ""
