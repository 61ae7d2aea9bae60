"""Comparisons of a suite with itself: the rate of regressions that its gates see where there are none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import compare_crossed
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.estimation.shares import clopper_pearson_interval
from pytest_pluralism.core.parameters import generator_of, unit_interval
from pytest_pluralism.core.records import Estimate, Gate, Outcome, Scores, Verdict
from pytest_pluralism.core.verdict import adjust_verdicts, decide

__all__ = ["FalseAlarms", "GateAlarms", "false_alarms", "pairs_needed"]

#: A half of fewer clusters decides nothing.
_LEAST_CLUSTERS = 4


@dataclass(frozen=True, slots=True)
class GateAlarms:
    """The outcomes of one gate in all comparisons of a suite with itself.

    ``n`` counts the comparisons and ``n_half`` those on half of the clusters; ``alarms``, ``half_alarms`` how often it
    FAILED, ``undecided`` how often it was INCONCLUSIVE.
    ``is_broken`` says that the mean over all runs breaks an absolute bound, which is not a false alarm and not counted.
    ``largest_change`` is the largest change of the mean between two runs, in the units of the scores.
    """

    key: str
    alarms: int
    undecided: int
    n: int
    half_alarms: int
    n_half: int
    is_broken: bool
    largest_change: float


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """The false alarms of a suite: comparisons in which any gate FAILED, after the adjustment for their number.

    Attributes
    ----------
    alarms, n : int
        Among all ordered pairs of runs, which share runs with one another.
    independent_alarms, n_independent : int
        Among pairs that share no run; only these carry the interval.
    low, high : float
        The exact 95 % interval of the rate (Clopper and Pearson), from the independent pairs.
    half_alarms, n_half : int
        Among pairs of which half of the clusters were looked at.
    gates : tuple of GateAlarms
        Each gate by itself, before the adjustment.
    """

    alarms: int
    n: int
    independent_alarms: int
    n_independent: int
    low: float
    high: float
    half_alarms: int
    n_half: int
    gates: tuple[GateAlarms, ...]

    @property
    def rate(self) -> float:
        """The share of all pairs with an alarm, in [0, 1]."""
        return self.alarms / self.n


def pairs_needed(level: float, /) -> int:
    r"""Return how many pairs of runs that share none show a rate of at most ``level``, when none of them alarms.

    .. math:: 1 - 0.025^{1/n} \le level

    which is the upper end of the exact 95 % interval of no alarm in n pairs (Clopper and Pearson).

    Parameters
    ----------
    level : float in (0, 1)
        The highest rate of false alarms.

    Returns
    -------
    int
        The smallest such n, at least 1.

    Raises
    ------
    InvalidParameterError
        If the level is not in (0, 1).

    Examples
    --------
    >>> pairs_needed(0.025)
    146
    """
    rate = unit_interval(level, name="level", function="pairs_needed")
    return max(1, math.ceil(math.log(0.025) / math.log1p(-rate)))


def false_alarms(
    gates: Mapping[str, Gate],
    runs: Sequence[Mapping[str, Scores]],
    /,
    *,
    noise_floors: Mapping[str, float] | None = None,
    method: str = "holm",
    rng: np.random.Generator | int = 0,
) -> FalseAlarms:
    """Compare runs of one model under different seeds with one another, as if each were a release of the next.

    Parameters
    ----------
    gates : mapping of str to Gate
        The promises, by key.
    runs : sequence of mapping of str to Scores
        The scores of each run, by the same keys; at least two.
    noise_floors : mapping of str to float, optional
        The numeric noise of each score; by default 0.
    method : str
        The adjustment of failures for the number of gates, as for
        :func:`~pytest_pluralism.core.verdict.adjust_verdicts`.
    rng : numpy.random.Generator or int
        Splits the clusters in halves.

    Returns
    -------
    FalseAlarms
        The counts.

    Raises
    ------
    InvalidParameterError
        If there are fewer than two runs, no gates, or a run does not have the units of the others.
    """
    function = "false_alarms"
    if len(runs) < 2:
        raise invalid_parameter("runs", function, "at least two runs", len(runs))
    if not gates:
        raise invalid_parameter("gates", function, "at least one gate", "none")
    for run in runs:
        for key in gates:
            if [unit.unit_id for unit in run[key].units] != [unit.unit_id for unit in runs[0][key].units]:
                raise InvalidParameterError(
                    f"The runs of false_alarms must have the same units. They differ in {key!r}."
                )
    generator = generator_of(rng, function=function)
    floors = {key: (noise_floors or {}).get(key, 0.0) for key in gates}
    judged = {key: _unbroken(gate, [run[key] for run in runs]) for key, gate in gates.items()}
    live = {key: gate for key, gate in judged.items() if gate is not None}
    seen = _Comparisons(floors, method, {key: [] for key in gates}, {key: [] for key in gates})
    for then, now in itertools.permutations(range(len(runs)), 2):
        pairs = {key: (runs[now][key], runs[then][key]) for key in live}
        seen.alarmed[then, now] = seen.add(live, pairs, seen.outcomes)
        if then > now:
            continue
        halves = {key: _half(*pair, generator) for key, pair in pairs.items()}
        smaller = {key: half for key, half in halves.items() if half is not None}
        if smaller:
            seen.half_alarmed.append(seen.add(live, smaller, seen.halves))
    independent = [seen.alarmed[place, place + 1] for place in range(0, len(runs) - 1, 2)]
    low, high = clopper_pearson_interval(sum(independent), len(independent))
    return FalseAlarms(
        alarms=sum(seen.alarmed.values()),
        n=len(seen.alarmed),
        independent_alarms=sum(independent),
        n_independent=len(independent),
        low=low,
        high=high,
        half_alarms=sum(seen.half_alarmed),
        n_half=len(seen.half_alarmed),
        gates=tuple(
            GateAlarms(
                key=key,
                alarms=seen.outcomes[key].count(Outcome.FAILED),
                undecided=seen.outcomes[key].count(Outcome.INCONCLUSIVE),
                n=len(seen.outcomes[key]),
                half_alarms=seen.halves[key].count(Outcome.FAILED),
                n_half=len(seen.halves[key]),
                is_broken=judged[key] != gate,
                largest_change=_range([run[key] for run in runs]),
            )
            for key, gate in gates.items()
        ),
    )


@dataclass
class _Comparisons:
    """The outcomes of each gate, whole and on half of the clusters, and the pairs of runs with an alarm."""

    floors: Mapping[str, float]
    method: str
    outcomes: dict[str, list[Outcome]]
    halves: dict[str, list[Outcome]]
    alarmed: dict[tuple[int, int], bool] = field(default_factory=dict)
    half_alarmed: list[bool] = field(default_factory=list)

    def add(
        self,
        gates: Mapping[str, Gate],
        pairs: Mapping[str, tuple[Scores, Scores]],
        outcomes: Mapping[str, list[Outcome]],
        /,
    ) -> bool:
        """Judge pairs of scores (now, then), keep the outcomes, and return whether any gate fails after adjustment."""
        verdicts = {key: _verdict(gates[key], *pair, self.floors[key]) for key, pair in pairs.items()}
        for key, verdict in verdicts.items():
            outcomes[key].append(verdict.outcome)
        return _any_failed(verdicts, self.floors, self.method)


def _unbroken(gate: Gate, scores: Sequence[Scores]) -> Gate | None:
    """Return the part of a promise that the mean over all runs keeps; a change of a model to itself is always kept."""
    mean = sum(_mean(one) for one in scores) / len(scores)
    at_most = gate.at_most if gate.at_most is None or mean <= gate.at_most else None
    at_least = gate.at_least if gate.at_least is None or mean >= gate.at_least else None
    if (at_most, at_least) == (None, None) and not gate.needs_baseline:
        return None
    return replace(gate, at_most=at_most, at_least=at_least)


def _verdict(gate: Gate, now: Scores, then: Scores, floor: float) -> Verdict:
    estimate = estimate_scores(now, confidence_level=gate.confidence_level)
    change = _change(now, then, gate.confidence_level) if gate.needs_baseline else None
    return decide(gate, estimate, change=change, noise_floor=floor)


def _change(now: Scores, then: Scores, level: float | None) -> Estimate:
    ids = [unit.unit_id for unit in now.units]
    ours, theirs = [unit.value for unit in now.units], [unit.value for unit in then.units]
    beside = now.extra_variance + then.extra_variance
    if now.crossed is not None and then.crossed is not None and level is not None:
        return compare_crossed(
            ours,
            theirs,
            [unit.value for unit in now.crossed.units],
            [unit.value for unit in then.crossed.units],
            extra_variance=beside,
            confidence_level=level,
            unit_ids=ids,
            crossed_ids=[unit.unit_id for unit in now.crossed.units],
        )
    clusters = [unit.cluster for unit in now.units]
    change = compare_paired(ours, theirs, clusters=clusters, confidence_level=level, unit_ids=ids)
    return with_extra_variance(change, beside)


def _half(now: Scores, then: Scores, generator: np.random.Generator) -> tuple[Scores, Scores] | None:
    """Return two runs on a random half of their clusters; ``None`` where that is too little, or jurors judged them."""
    names = list(dict.fromkeys(unit.cluster for unit in now.units))
    if now.crossed is not None or now.estimate is not None or len(names) < 2 * _LEAST_CLUSTERS:
        return None
    chosen = {names[place] for place in generator.permutation(len(names))[: len(names) // 2].tolist()}
    kept = [place for place, unit in enumerate(now.units) if unit.cluster in chosen]
    return _part(now, kept), _part(then, kept)


def _part(scores: Scores, kept: Sequence[int]) -> Scores:
    # Half of the units carry twice the variance that none of them shows.
    more = len(scores.units) / len(kept)
    units = tuple(scores.units[place] for place in kept)
    return replace(scores, units=units, extra_variance=more * scores.extra_variance)


def _any_failed(verdicts: Mapping[str, Verdict], floors: Mapping[str, float], method: str) -> bool:
    if not verdicts:
        return False
    adjusted = adjust_verdicts(list(verdicts.values()), method=method, noise_floors=[floors[key] for key in verdicts])
    return any(verdict.outcome is Outcome.FAILED for verdict in adjusted)


def _mean(scores: Scores) -> float:
    return sum(unit.value for unit in scores.units) / len(scores.units)


def _range(scores: Sequence[Scores]) -> float:
    means = [_mean(one) for one in scores]
    return max(means) - min(means)
