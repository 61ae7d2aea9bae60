"""The marker ``pareto_improvement``: a model that is at least as good in every objective, and better in some."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.equal import TOLERANCE, compare, difference
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.pareto_gains import (
    PairedObjective,
    adjusted_for,
    pair_objective,
    stored_scores,
    worse_p_values,
)
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.metrics.multi_objective import LinearCommensuration, is_pareto_improvement
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Estimate, Gate, Outcome, Scores, UnitScore, Witness
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.evaluation.asking.meanings import Meaning, Meanings, Means, Named, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Evaluation, Rounds, asked_of

__all__ = ["AGAINST", "Commensuration", "Objective", "ParetoEvaluation", "check_functions"]

#: The references that a model is compared with, by name.
AGAINST = ("reference_model", "baseline")

#: Gains from which on a model is better in an objective: two scores that differ by less are equal.
SOME_GAIN = 2.0 * TOLERANCE

#: The reason why a model that is like another in every objective breaks the promise, though no gain is below 0.
NO_GAIN = "no objective gained: a Pareto improvement needs a gain in one, and the two models are equal in all of them"

#: From the best outcome to the worst.
SEVERITY = (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED, Outcome.ERROR)

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
        Its name in reports.
    direction : {"higher", "lower"}
        Which values are better.
    evaluation : Evaluation or None
        The measure.
    candidate, reference : mapping of str to float
        External scores by unit.
    part : PlannedGate or None
        The measurement of the candidate, as a baseline stores it.
    least : float
        The bound on its gain in its own units, beside the bound on every gain: -0.02 allows a loss.
    """

    name: str
    direction: str
    evaluation: Evaluation | None = None
    candidate: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reference: Mapping[str, float] = dataclasses.field(default_factory=dict)
    part: object = None
    least: float = 0.0


@dataclass(frozen=True)
class ParetoEvaluation:
    """An evaluation of a model that must be at least as good as another in every objective, and better in some.

    Each gain is judged by itself, and the worst outcome decides. A promise passes only when every gain has its whole
    interval at what is promised or above (an intersection-union test, which needs no adjustment). It fails when some
    gain has it below even at the level that is left to each objective, 1 - (1 - level) / k with k objectives: a model
    that is worse in none is called worse no more often than with one objective. The value is that of the objective that
    decides, less its own ``least``; the units are its units.

    Attributes
    ----------
    objectives : tuple of Objective
        At least two.
    functions : mapping of str to tuple of float or callable
        Commensurating functions by name: a weight for each objective, or a function of a dict of their values in their
        own units. They are reported and decide nothing.
    least : float
        The bound on every gain.
    confidence_level : float or None
        Of the interval of each gain; ``None`` decides by the values alone.
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
    confidence_level: float | None = 0.95
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
    def parts(self) -> dict[str, object]:
        """The measurements that a baseline stores, by objective; none where another model is asked."""
        return {one.name: one.part for one in self.objectives} if self.against == "baseline" else {}

    def rounds(self) -> Rounds:
        """Measure every objective of both models; against a baseline of the candidate, beside itself."""
        sides: dict[str, tuple[Scores, Scores]] = {}
        for objective in self.objectives:
            if objective.evaluation is None:
                sides[objective.name] = (_external(objective.candidate), _external(objective.reference))
                continue
            candidate = yield from objective.evaluation.rounds()
            reference = candidate
            if self.against == "reference_model":
                reference = yield from asked_of("reference_language_model", objective.evaluation.rounds())
            sides[objective.name] = (candidate, reference)
        return self._scores(sides)

    def meanings(self) -> Meanings:
        """Return what the labels of the requests of all objectives stand for, where an objective says it."""
        found: dict[Hashable, Meaning] = {}
        for objective in self.objectives:
            if isinstance(objective.evaluation, Means):
                found |= objective.evaluation.meanings()
        return found

    def names(self) -> NamedRequests:
        """Yield the requests of all objectives whose evaluation names them."""
        for objective in self.objectives:
            if isinstance(objective.evaluation, Named):
                yield from objective.evaluation.names()

    def beside(self, candidate: Mapping[str, Scores], stored: Mapping[str, Mapping[str, object]], /) -> Scores:
        """Compare the measured objectives with stored ones.

        Parameters
        ----------
        candidate : mapping of str to Scores
            By objective.
        stored : mapping of str to mapping
            By objective, its entry in the baseline.
        """
        return self._scores({name: (scores, stored_scores(scores, stored[name])) for name, scores in candidate.items()})

    def _scores(self, sides: Mapping[str, tuple[Scores, Scores]]) -> Scores:
        level = self.confidence_level
        pairs = [
            _levelled(pair_objective(one.name, _sign(one), *sides[one.name], confidence_level=level))
            for one in self.objectives
        ]
        p_values = worse_p_values([pair.gain for pair in pairs], [self.least + one.least for one in self.objectives])
        tested = [
            _shifted(adjusted_for(pair.gain, len(pairs)), -one.least)
            for one, pair in zip(self.objectives, pairs, strict=True)
        ]
        gate = Gate(at_least=self.least, confidence_level=level)
        outcomes = [decide(gate, one).outcome for one in tested]
        place = _deciding(outcomes, tested, p_values)
        deciding, decisive = self.objectives[place], pairs[place]
        means = np.array([pair.values for pair in pairs]).T
        is_better = bool(is_pareto_improvement(means[0], means[1]))
        is_alike = self.least >= 0 and all(compare(pair.gain.value, 0.0) == 0 for pair in pairs)
        no_gain = Guard("the gain in any objective", tested[place], least=SOME_GAIN, told=NO_GAIN)
        drawn = self._resampled(pairs)
        dominates = np.asarray(is_pareto_improvement(drawn[0], drawn[1]))
        return Scores(
            "pareto_improvement",
            _units(decisive, sides[deciding.name][0], deciding.name, 0.0 - deciding.least),
            warnings=self._said(pairs, outcomes[place], is_alike=is_alike, is_better=is_better),
            guards=(no_gain,) if is_alike else (),
            witness=Witness(deciding.name, decisive.gain.value, "the objective that decides"),
            details={
                "against": self.against,
                "objectives": [
                    _objective_json(one, pair, None if level is None else p_value, outcome)
                    for one, pair, p_value, outcome in zip(self.objectives, pairs, p_values, outcomes, strict=True)
                ],
                "deciding": deciding.name,
                "is_pareto_improvement": is_better,
                "probability_of_dominance": float(is_better if level is None else dominates.mean()),
                "functions": dict(self._commensurated(means, drawn)),
            },
            estimate=tested[place],
            differences=True,
        )

    def _said(
        self, pairs: Sequence[PairedObjective], outcome: Outcome, /, *, is_alike: bool, is_better: bool
    ) -> tuple[str, ...]:
        """Return the warning about a comparison, if there is one."""
        if is_alike:
            return (NO_GAIN,)
        if outcome is not Outcome.PASSED or is_better:
            return ()
        worse = [
            f"{one.name} by {-pair.gain.value:.3g}"
            for one, pair in zip(self.objectives, pairs, strict=True)
            if compare(pair.gain.value, 0.0) < 0
        ]
        said = f"worse in {', '.join(worse)}" if worse else "better in nothing"
        return (f"the promise bears it, but this is no Pareto improvement: {said}",)

    def _resampled(self, pairs: Sequence[PairedObjective]) -> FloatArray:
        """Return the values under a paired cluster bootstrap, shape (2, n_resamples, n_objectives); more is better.

        Things that several objectives share, such as questions, are drawn for all of them at once. Variance that units
        do not show of a gain is drawn beside them, from a normal distribution.
        """
        rng = np.random.default_rng(self.seed)
        known = {
            cluster: place for place, cluster in enumerate(dict.fromkeys(c for pair in pairs for c in pair.clusters))
        }
        n = len(known)
        sums = np.zeros((2, len(pairs), n))
        counts = np.zeros((len(pairs), n))
        for row, pair in enumerate(pairs):
            places = np.array([known[cluster] for cluster in pair.clusters])[pair.known]
            np.add.at(sums[0, row], places, pair.ours[pair.known])
            np.add.at(sums[1, row], places, pair.theirs[pair.known])
            np.add.at(counts[row], places, 1)
        result = np.empty((2, self.n_resamples, len(pairs)))
        for start in range(0, self.n_resamples, CHUNK):
            stop = min(start + CHUNK, self.n_resamples)
            drawn = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(start, stop)])
            size = drawn @ counts.T
            # An objective whose units were not drawn at all says nothing against dominance.
            result[:, start:stop] = np.divide(
                drawn @ sums.transpose(0, 2, 1), size, out=np.zeros((2, *size.shape)), where=size > 0
            )
        for row, pair in enumerate(pairs):
            error = math.sqrt(pair.beyond)
            if not pair.is_mean:
                # No mean of units, so that drawing units does not measure it.
                result[:, :, row] = np.array(pair.values)[:, None]
                error = pair.gain.standard_error
            if error > 0:
                result[0, :, row] += rng.normal(scale=error, size=self.n_resamples)
        return result

    def _commensurated(self, means: FloatArray, drawn: FloatArray) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield each function with its value for both models, and the gain with its interval."""
        level = self.confidence_level
        for name, function in self.functions.items():
            value = self._function(name, function)
            ours, other = (float(value(row)) for row in means)
            low = high = ours - other
            if level is not None:
                gains = np.array([value(one) - value(two) for one, two in zip(drawn[0], drawn[1], strict=True)])
                low, high = np.quantile(gains, [0.5 - level / 2, 0.5 + level / 2])
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


def _external(scores: Mapping[str, float]) -> Scores:
    return Scores("objective", tuple(UnitScore(unit, unit, value) for unit, value in scores.items()))


def _units(decisive: PairedObjective, measured: Scores, name: str, shift: float) -> tuple[UnitScore, ...]:
    """Return the gains of the objective that decides, each moved by ``shift``."""
    texts = {unit.unit_id: unit.text for unit in measured.units}
    gains = difference(decisive.ours, decisive.theirs).tolist()
    return tuple(
        UnitScore(unit, cluster, gain + shift, text=texts[unit], details={"objective": name})
        for unit, cluster, gain in zip(decisive.unit_ids, decisive.clusters, gains, strict=True)
    )


def _objective_json(
    objective: Objective, pair: PairedObjective, p_value: float | None, outcome: Outcome
) -> dict[str, object]:
    """Return one objective as plain JSON values, in its own units."""
    return {
        "name": objective.name,
        "direction": objective.direction,
        "candidate": _sign(objective) * pair.values[0],
        "reference": _sign(objective) * pair.values[1],
        "gain": pair.gain.value,
        "low": finite_or_none(pair.gain.low),
        "high": finite_or_none(pair.gain.high),
        "n": pair.gain.n,
        "n_missing": pair.gain.n_missing,
        "least": objective.least,
        "p_worse": p_value,
        "outcome": outcome.value,
    }


def _deciding(outcomes: Sequence[Outcome], tested: Sequence[Estimate], p_values: Sequence[float]) -> int:
    """Return the place of the objective that decides: of those with the worst outcome, the one that is surest of it."""
    worst = max(outcomes, key=SEVERITY.index)
    places = [place for place, outcome in enumerate(outcomes) if outcome is worst]
    if worst is Outcome.FAILED:
        return min(places, key=lambda place: (p_values[place], tested[place].high))
    return min(places, key=lambda place: -math.inf if math.isnan(tested[place].low) else tested[place].low)


def _levelled(pair: PairedObjective, /) -> PairedObjective:
    """Return an objective whose gain, and each end of it, is exactly 0 where it is 0 up to rounding."""
    gain = pair.gain
    value, low, high = (0.0 if compare(one, 0.0) == 0 else one for one in (gain.value, gain.low, gain.high))
    return dataclasses.replace(pair, gain=dataclasses.replace(gain, value=value, low=low, high=high))


def _shifted(estimate: Estimate, by: float, /) -> Estimate:
    """Return an estimate of a value that is another by so much."""
    return (
        dataclasses.replace(estimate, value=estimate.value + by, low=estimate.low + by, high=estimate.high + by)
        if by
        else estimate
    )


def _sign(objective: Objective) -> float:
    return 1.0 if objective.direction == "higher" else -1.0


def check_functions(functions: object, objectives: Sequence[str], /) -> dict[str, Commensuration]:
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
