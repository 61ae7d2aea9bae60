"""Whether a model improves on another: at least as good in every objective, and better in some."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.metrics.multi_objective import LinearCommensuration, is_pareto_improvement
from pytest_pluralism.core.records import Estimate, Scores, UnitScore, Witness
from pytest_pluralism.evaluation.rounds import Evaluation, Rounds, asked_of

__all__ = ["AGAINST", "Commensuration", "Objective", "ParetoEvaluation", "check_functions"]

FloatArray = npt.NDArray[np.float64]

#: What a model is compared with, by name.
AGAINST = ("reference_model", "baseline")

#: A model that is like another in every objective is no improvement, though no gain is below 0.
NO_GAIN = -1e-12

#: Stored scores that differ by less are equal: batches of another shape round differently.
ROUNDING = 1e-5

#: So many draws of the bootstrap are computed at a time.
CHUNK = 250

#: A weight for each objective, or a function of all of them; more is better.
Commensuration = tuple[float, ...] | Callable[[dict[str, float]], float]


@dataclass(frozen=True)
class Objective:
    """One objective: a measure of ours, a function of the project, or scores that were computed elsewhere.

    Attributes
    ----------
    name : str
        What reports call it.
    direction : {"higher", "lower"}
        Which values are better.
    evaluation : Evaluation or None
        The measure.
    candidate, reference : mapping of str to float
        External scores by unit.
    part : PlannedGate or None
        The measurement of the candidate, as a baseline stores it.
    """

    name: str
    direction: str
    evaluation: Evaluation | None = None
    candidate: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reference: Mapping[str, float] = dataclasses.field(default_factory=dict)
    part: Any = None


@dataclass(frozen=True)
class _Sides:
    """Scores of the candidate and of the reference by unit, and the cluster of each unit."""

    candidate: Mapping[str, float]
    reference: Mapping[str, float]
    clusters: Mapping[str, str]


@dataclass(frozen=True)
class ParetoEvaluation:
    """Whether a model is at least as good as another in every objective, and better in some.

    Its units are those of the objective that decides: where the whole interval of some gain is below what is promised,
    the lowest of these; else the one with the lowest lower end. So a promise passes only when every gain has its whole
    interval at what is promised or above (an intersection-union test), and fails when some gain has it below.

    Attributes
    ----------
    objectives : tuple of Objective
        At least two.
    functions : mapping of str to tuple of float or callable
        Commensurating functions by name: a weight for each objective, or a function of a dict of their values in their
        own units. They are reported and decide nothing.
    least : float
        What is promised of every gain.
    confidence_level : float
        Of the interval of each gain.
    n_resamples : int
        Of the bootstrap that says how probable dominance is.
    seed : int
        Of the bootstrap.
    against : {"reference_model", "baseline"}
        Whether the other model is asked in the same run, or its stored scores are taken.
    """

    objectives: tuple[Objective, ...]
    functions: Mapping[str, Commensuration] = dataclasses.field(default_factory=dict)
    least: float = 0.0
    confidence_level: float = 0.95
    n_resamples: int = 2000
    seed: int = 0
    against: str = "reference_model"

    def __post_init__(self) -> None:
        function = "pareto_improvement"
        if len(self.objectives) < 2:
            raise invalid_parameter("objectives", function, "at least two", f"{len(self.objectives)}")
        names = [one.name for one in self.objectives]
        if len(set(names)) < len(names):
            raise invalid_parameter("objectives", function, "with different names", repr(names))
        if self.against not in AGAINST:
            raise invalid_parameter("against", function, "'reference_model' or 'baseline'", repr(self.against))
        for name, weights in self.functions.items():
            if callable(weights):
                continue
            if len(weights) != len(self.objectives):
                must = f"a weight for each of the {len(self.objectives)} objectives"
                raise invalid_parameter("functions", function, must, f"{len(weights)} for {name!r}")
            LinearCommensuration(tuple(weights))

    @property
    def parts(self) -> dict[str, Any]:
        """The measurements that a baseline stores, by objective; none where another model is asked."""
        return {one.name: one.part for one in self.objectives} if self.against == "baseline" else {}

    def rounds(self) -> Rounds:
        """Measure every objective of both models; against a baseline of the candidate, beside itself."""
        sides: dict[str, _Sides] = {}
        for objective in self.objectives:
            if objective.evaluation is None:
                clusters = {unit: unit for unit in objective.candidate}
                sides[objective.name] = _Sides(objective.candidate, objective.reference, clusters)
                continue
            candidate = yield from objective.evaluation.rounds()
            reference = candidate
            if self.against == "reference_model":
                reference = yield from asked_of("reference_language_model", objective.evaluation.rounds())
            sides[objective.name] = _sides(candidate, {unit.unit_id: unit.value for unit in reference.units})
        return self._scores(sides)

    def beside(self, candidate: Mapping[str, Scores], stored: Mapping[str, Mapping[str, float]], /) -> Scores:
        """Compare the measured objectives with stored ones.

        Parameters
        ----------
        candidate : mapping of str to Scores
            By objective.
        stored : mapping of str to mapping of str to float
            By objective, the values by unit.
        """
        sides = {}
        for name, scores in candidate.items():
            now = {unit.unit_id: unit.value for unit in scores.units}
            then = {
                unit: now[unit] if unit in now and abs(now[unit] - value) <= ROUNDING else value
                for unit, value in stored[name].items()
            }
            sides[name] = _sides(scores, then)
        return self._scores(sides)

    def _scores(self, sides: Mapping[str, _Sides]) -> Scores:
        gains: dict[str, Estimate] = {}
        means = np.empty((2, len(self.objectives)))
        for index, objective in enumerate(self.objectives):
            one = sides[objective.name]
            _check_units(objective, one)
            sign = _sign(objective)
            ids = list(one.candidate)
            ours, other = (np.array([sign * side[unit] for unit in ids]) for side in (one.candidate, one.reference))
            means[:, index] = ours.mean(), other.mean()
            gains[objective.name] = compare_paired(
                ours, other, clusters=[one.clusters[unit] for unit in ids], confidence_level=self.confidence_level
            )
        names = list(gains)
        worse = [name for name in names if gains[name].high < self.least]
        deciding = min(worse, key=lambda name: gains[name].high) if worse else min(names, key=lambda n: gains[n].low)
        shift = 0.0
        if self.least >= 0 and not worse and not any(gain.value > 0 for gain in gains.values()):
            shift = NO_GAIN
        decisive = next(one for one in self.objectives if one.name == deciding)
        one = sides[deciding]
        units = tuple(
            UnitScore(
                unit,
                one.clusters[unit],
                _sign(decisive) * (value - one.reference[unit]) + shift,
                details={"objective": deciding},
            )
            for unit, value in one.candidate.items()
        )
        drawn = self._resampled(sides)
        differences = drawn[0] - drawn[1]
        dominates = (differences >= 0).all(axis=1) & (differences > 0).any(axis=1)
        details = {
            "against": self.against,
            "objectives": [
                {"name": one.name, "direction": one.direction, "candidate": _sign(one) * float(means[0, i]),
                 "reference": _sign(one) * float(means[1, i]), "gain": gains[one.name].value,
                 "low": gains[one.name].low, "high": gains[one.name].high, "n": gains[one.name].n}
                for i, one in enumerate(self.objectives)
            ],
            "deciding": deciding,
            "is_pareto_improvement": bool(is_pareto_improvement(means[0], means[1])),
            "probability_of_dominance": float(dominates.mean()),
            "functions": dict(self._commensurated(means, drawn)),
        }  # fmt: skip
        warnings = ("no objective is better than the reference's: the two are alike",) if shift else ()
        return Scores(
            "pareto_improvement",
            units,
            warnings=warnings,
            witness=Witness(deciding, gains[deciding].value, "the objective that decides"),
            details=details,
        )

    def _resampled(self, sides: Mapping[str, _Sides]) -> FloatArray:
        """Return the means under a paired cluster bootstrap, shape (2, n_resamples, n_objectives); more is better.

        What several objectives share, such as the questions, is drawn for all of them at once.
        """
        rng = np.random.default_rng(self.seed)
        known = {
            cluster: place
            for place, cluster in enumerate(dict.fromkeys(c for one in sides.values() for c in one.clusters.values()))
        }
        n = len(known)
        sums = np.zeros((2, len(self.objectives), n))
        counts = np.zeros((len(self.objectives), n))
        for row, objective in enumerate(self.objectives):
            one, sign = sides[objective.name], _sign(objective)
            for unit, cluster in one.clusters.items():
                place = known[cluster]
                sums[0, row, place] += sign * one.candidate[unit]
                sums[1, row, place] += sign * one.reference[unit]
                counts[row, place] += 1
        result = np.empty((2, self.n_resamples, len(self.objectives)))
        for start in range(0, self.n_resamples, CHUNK):
            stop = min(start + CHUNK, self.n_resamples)
            drawn = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(start, stop)])
            size = drawn @ counts.T
            # An objective whose units were not drawn at all says nothing against dominance.
            result[:, start:stop] = np.divide(
                drawn @ sums.transpose(0, 2, 1), size, out=np.zeros((2, *size.shape)), where=size > 0
            )
        return result

    def _commensurated(self, means: FloatArray, drawn: FloatArray) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield each function with its value for both models, and the gain with its interval."""
        tail = 0.5 - self.confidence_level / 2
        for name, function in self.functions.items():
            value = self._function(name, function)
            ours, other = (float(value(row)) for row in means)
            gains = np.array([value(one) - value(two) for one, two in zip(drawn[0], drawn[1], strict=True)])
            low, high = np.quantile(gains, [tail, 1.0 - tail])
            yield (
                name,
                {
                    "candidate": ours,
                    "reference": other,
                    "gain": ours - other,
                    "low": min(float(low), ours - other),
                    "high": max(float(high), ours - other),
                },
            )

    def _function(self, name: str, function: Commensuration) -> Callable[[FloatArray], float]:
        if not callable(function):
            linear = LinearCommensuration(tuple(function))
            return lambda row: float(linear(row))
        call = function
        signs = [_sign(one) for one in self.objectives]
        names = [one.name for one in self.objectives]

        def of(row: FloatArray) -> float:
            value = call({each: sign * float(one) for each, sign, one in zip(names, signs, row, strict=True)})
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
                must = f"return a finite number from {name!r}"
                raise invalid_parameter("functions", "pareto_improvement", must, repr(value)[:80])
            return float(value)

        return of


def _sides(candidate: Scores, reference: Mapping[str, float]) -> _Sides:
    return _Sides(
        {unit.unit_id: unit.value for unit in candidate.units},
        reference,
        {unit.unit_id: unit.cluster for unit in candidate.units},
    )


def _check_units(objective: Objective, one: _Sides) -> None:
    if set(one.candidate) == set(one.reference) and one.candidate:
        return
    only = sorted(set(one.candidate) ^ set(one.reference))
    raise DatasetError(
        f"The objective {objective.name!r} has other units for the model than for the reference"
        f"{f' ({only[0]!r} and {len(only) - 1} more)' if only else ''}: they cannot be paired. "
        "Give scores of the same units for both."
    )


def _sign(objective: Objective) -> float:
    return 1.0 if objective.direction == "higher" else -1.0


def check_functions(functions: Any, objectives: Sequence[str], /) -> dict[str, Commensuration]:
    """Return commensurating functions as a test names them: ``{"equal": [0.5, 0.5], "worst": lambda o: ...}``.

    Raises
    ------
    InvalidParameterError
        If they are no such mapping, or are without objectives.
    """
    must = f"a dict of names to lists of {len(objectives)} weights or to functions of a dict of {', '.join(objectives)}"
    if not isinstance(functions, Mapping) or not all(isinstance(name, str) for name in functions):
        raise invalid_parameter("functions", "pareto_improvement", must, repr(functions))
    result: dict[str, Commensuration] = {}
    for name, weights in functions.items():
        if not callable(weights) and not isinstance(weights, (list, tuple)):
            raise invalid_parameter("functions", "pareto_improvement", must, repr(functions))
        result[name] = weights if callable(weights) else tuple(weights)
    return result
