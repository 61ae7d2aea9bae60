"""The worst of several groups: its interval allows for having looked for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean, estimate_worst, interval_at, worst_change
from pytest_pluralism.core.records import Estimate, Gate, Outcome


def groups(*values: float, n: int = 50, half: float = 0.1, level: float | None = 0.95) -> dict[str, Estimate]:
    return {str(i): Estimate(v, v - half, v + half, half / 2, n, n, level) for i, v in enumerate(values)}


def test_the_lower_end_is_that_of_some_group_and_the_upper_end_allows_for_their_number() -> None:
    found = groups(0.7, 0.6, 0.9)
    name, worst = estimate_worst(found)
    assert (name, worst.value, worst.low) == ("1", 0.6, 0.5)
    assert worst.high == pytest.approx(interval_at(found["1"], 1 - 0.05 / 3).high)
    assert (worst.n, worst.n_clusters) == (150, 50)


def test_where_lower_is_better_the_largest_is_worst() -> None:
    name, worst = estimate_worst(groups(0.7, 0.6, 0.9), direction="lower")
    assert (name, worst.value) == ("2", 0.9)
    assert worst.high == pytest.approx(1.0)
    assert worst.low < 0.8


def test_a_group_of_which_too_little_is_known_leaves_the_worst_open() -> None:
    few = groups(0.9) | {"few": estimate_mean([0.8, 0.8, 0.8])}
    worst = estimate_worst(few)[1]
    assert math.isnan(worst.low)
    assert decide(Gate(at_least=0.5), worst).outcome is not Outcome.PASSED
    nothing = groups(0.9) | {"none": Estimate(math.nan, math.nan, math.nan, math.nan, 0, 0)}
    assert estimate_worst(nothing)[0] == "none"
    assert decide(Gate(at_least=0.5), estimate_worst(nothing)[1]).outcome is Outcome.ERROR


def test_a_missing_value_of_any_group_never_passes() -> None:
    rng = np.random.default_rng(0)
    found = {"a": estimate_mean(rng.uniform(0.8, 0.9, 60)), "b": estimate_mean([*rng.uniform(0.8, 0.9, 60), math.nan])}
    assert decide(Gate(at_least=0.1), estimate_worst(found)[1]).outcome is Outcome.INCONCLUSIVE


def test_an_unchanged_model_keeps_its_worst_group_and_a_worse_one_does_not() -> None:
    rng = np.random.default_rng(1)
    before = {name: rng.normal(mean, 0.1, 200) for name, mean in (("a", 0.6), ("b", 0.61), ("c", 0.9))}

    def change(now: dict[str, np.ndarray]) -> Estimate:
        return worst_change(
            {name: estimate_mean(values) for name, values in now.items()},
            {name: estimate_mean(values) for name, values in before.items()},
            {
                name: lambda level, name=name: compare_paired(now[name], before[name], confidence_level=level)
                for name in now
            },
        )

    promise = Gate(max_decrease=0.02)
    estimate = estimate_worst({name: estimate_mean(values) for name, values in before.items()})[1]
    jitter = {name: values + rng.normal(0, 0.01, 200) for name, values in before.items()}
    assert decide(promise, estimate, change=change(jitter)).outcome is Outcome.PASSED
    lost = {**jitter, "b": before["b"] - 0.1}
    assert decide(promise, estimate, change=change(lost)).outcome is Outcome.FAILED
    # The best group may fall by as much without becoming the worst.
    spared = {**jitter, "c": before["c"] - 0.1}
    assert decide(promise, estimate, change=change(spared)).outcome is Outcome.PASSED


def test_an_unchanged_model_keeps_its_worst_of_small_groups() -> None:
    rng = np.random.default_rng(2)
    values = {name: rng.normal(mean, 0.05, 12) for name, mean in (("a", 0.6), ("b", 0.62))}
    found = {name: estimate_mean(mine) for name, mine in values.items()}

    def change(moved: float) -> Estimate:
        def paired(name: str, level: float | None) -> Estimate:
            return compare_paired(values[name] + moved, values[name], confidence_level=level)

        return worst_change(found, found, {name: lambda level, name=name: paired(name, level) for name in found})

    promise, estimate = Gate(max_decrease=0.02), estimate_worst(found)[1]
    assert decide(promise, estimate, change=change(0.0)).outcome is Outcome.PASSED
    # The same loss in each of few units is not believed to be that of all.
    assert decide(promise, estimate, change=change(-0.01)).outcome is Outcome.INCONCLUSIVE


def test_groups_and_levels_must_fit() -> None:
    with pytest.raises(InvalidParameterError, match="at least one estimate"):
        estimate_worst({})
    with pytest.raises(InvalidParameterError, match="at one confidence level"):
        estimate_worst({**groups(0.5), "x": groups(0.4, level=0.9)["0"]})
    with pytest.raises(InvalidParameterError, match="of the groups"):
        worst_change(groups(0.5), groups(0.5, 0.6), {"0": lambda level: groups(0.0)["0"]})
