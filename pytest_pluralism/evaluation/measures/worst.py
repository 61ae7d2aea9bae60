"""The promise about the group that fares worst: ``population="worst"`` of any measure that has groups."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.at_level import interval_at
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.estimation.relative import advantage_over
from pytest_pluralism.core.estimation.worst import estimate_worst, worst_advantage
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.records import Estimate, Gate, Scores, Witness
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.evaluation.asking.meanings import Meaning, Meanings, Means, Named, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Rounds
from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["WORST", "WorstEvaluation", "worst_of"]

#: The word for the group that fares worst, whichever that is.
WORST = "worst"


@dataclass(frozen=True)
class WorstEvaluation:
    """The evaluation of every group, and the value of the one that fares worst.

    Attributes
    ----------
    groups : mapping of str to PlannedGate
        The measurement of each group.
    measure : Measure
        The measure.
    confidence_level : float or None
        Of the interval.
    against_baseline : bool
        Whether the groups are compared one by one, because the promise is about a change.
    better_than : str or None
        The reference that the promise names.
    """

    groups: Mapping[str, PlannedGate]
    measure: Measure
    confidence_level: float | None = 0.95
    against_baseline: bool = False
    better_than: str | None = None

    @cached_property
    def parts(self) -> Mapping[str, PlannedGate]:
        """The measurements that are compared with a baseline one by one; none where nothing is compared with it."""
        return self.groups if self.against_baseline else {}

    @property
    def stored(self) -> Mapping[str, PlannedGate]:
        """The measurements that a baseline stores one by one: the worst value is not a mean of units."""
        return self.groups

    @property
    def carries_bounds(self) -> bool:
        """Whether every group carries what answers leave open into its values."""
        return all(getattr(part.evaluation, "carries_bounds", False) for part in self.groups.values())

    def rounds(self) -> Rounds:
        """Measure each group, and find the one that fares worst."""
        found: dict[str, Scores] = {}
        for name, part in self.groups.items():
            found[name] = yield from part.evaluation.rounds()
        return self.scores(found)

    def meanings(self) -> Meanings:
        """Return what the labels of the requests of all groups stand for, where an evaluation says it."""
        found: dict[object, Meaning] = {}
        for part in self.groups.values():
            if isinstance(part.evaluation, Means):
                found |= part.evaluation.meanings()
        return found

    def names(self) -> NamedRequests:
        """Yield the requests of all groups whose evaluation names them."""
        for part in self.groups.values():
            if isinstance(part.evaluation, Named):
                yield from part.evaluation.names()

    def estimates(self, found: Mapping[str, Scores], /) -> dict[str, Estimate]:
        """Return the estimate of each group."""
        is_difference = self.measure.kind == "difference"
        return {
            name: estimate_scores(
                dataclasses.replace(scores, differences=True) if is_difference else scores,
                confidence_level=self.confidence_level,
            )
            for name, scores in found.items()
        }

    def scores(self, found: Mapping[str, Scores], /) -> Scores:
        """Return the units of all groups, the interval of the worst group, and a table of all groups."""
        estimates = self.estimates(found)
        name, worst = estimate_worst(estimates, direction=self.measure.direction)
        of_worst = found[name]
        table = [
            {
                "group": group,
                "value": finite_or_none(one.value),
                "low": finite_or_none(one.low),
                "high": finite_or_none(one.high),
                "n": one.n,
                "n_clusters": one.n_clusters,
                "n_missing": one.n_missing,
            }
            for group, one in estimates.items()
        ]
        doubts = [f"{group}: {scores.doubt}" for group, scores in found.items() if scores.doubt]
        if doubts and worst.confidence_level is not None:
            worst = dataclasses.replace(worst, low=math.nan, high=math.nan)
        units = tuple(
            dataclasses.replace(unit, unit_id=f"{group}: {unit.unit_id}", population=group)
            for group, one in found.items()
            for unit in one.units
        )
        return dataclasses.replace(
            of_worst,
            units=units,
            # The references beside the value are those of the worst group.
            witness=Witness(name, estimates[name].value, "the group that fares worst"),
            details={**of_worst.details, "worst": name, "groups": table},
            other_populations={group: one.value for group, one in estimates.items() if group != name},
            warnings=tuple(dict.fromkeys(text for one in found.values() for text in one.warnings)),
            guards=tuple(guard for one in found.values() for guard in one.guards),
            crossed=None,
            advantages=self._advantages(found, estimates, doubted=bool(doubts)),
            estimate=worst,
            doubt="; ".join(doubts),
        )

    def _advantages(
        self, found: Mapping[str, Scores], estimates: Mapping[str, Estimate], *, doubted: bool
    ) -> dict[str, Estimate]:
        """Return the advantage of the worst group over that of the reference, where the promise names one."""
        if self.better_than is None:
            return {}
        key = self.measure.reference_key(self.better_than)
        gains = {name: functools.partial(self._gain, scores, key) for name, scores in found.items()}
        advantage = worst_advantage(estimates, gains, direction=self.measure.direction)
        if doubted and advantage.confidence_level is not None:
            advantage = dataclasses.replace(advantage, low=math.nan, high=math.nan)
        return {key: advantage}

    def _gain(self, scores: Scores, key: str, level: float | None) -> Estimate:
        """Return the advantage of one group over a reference."""
        known = scores.advantages.get(key)
        if known is not None:
            return interval_at(known, level)
        return advantage_over(scores, key, direction=self.measure.direction, confidence_level=level)


def worst_of(plans: Sequence[PlannedGate], gate: Gate | None, /) -> PlannedGate:
    """Return the one gate about the worst of several groups.

    Parameters
    ----------
    plans : sequence of PlannedGate
        A gate for each group, by its ``population``.
    gate : Gate or None
        The promise.

    Raises
    ------
    InvalidParameterError
        There are fewer than two groups, two have one name, or the promise is about single units.
    """
    groups = {plan.population or "everyone": plan for plan in plans}
    if len(groups) < 2 or len(groups) < len(plans):
        raise InvalidParameterError(
            f"population={WORST!r} takes the worst of at least two groups, each measured once. Got "
            f"{', '.join(plan.population or 'everyone' for plan in plans) or 'none'}."
        )
    if WORST in groups:
        raise InvalidParameterError(
            f"population={WORST!r} means the group that fares worst, and here a group has that name. Rename the group."
        )
    for word in ("max_unit_increase", "max_unit_decrease"):
        if getattr(gate, word, None) is not None:
            raise InvalidParameterError(
                f"{word}={getattr(gate, word)!r} guards single units, and population={WORST!r} is about a group, which "
                "may be another one in each run. Use population='all', which guards the units of every group."
            )
    first = plans[0]
    evaluation = WorstEvaluation(
        groups,
        first.measure,
        first.confidence_level,
        against_baseline=gate is not None and gate.needs_baseline,
        better_than=None if gate is None else gate.better_than,
    )
    return dataclasses.replace(
        first,
        evaluation=evaluation,
        settings={**first.settings, "worst_of": list(groups)},
        population=WORST,
        unreachable=next((plan.unreachable for plan in plans if plan.unreachable), ""),
    )
