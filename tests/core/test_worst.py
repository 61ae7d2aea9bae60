"""The worst of several groups: its interval allows for having looked for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    compare_paired,
    estimate_mean,
    estimate_worst,
    interval_at,
    worst_advantage,
    worst_change,
)
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
    verdict = decide(Gate(at_least=0.5), worst)
    assert verdict.outcome is not Outcome.PASSED
    assert verdict.reason == (
        "the interval of the value is unknown: the units of few (3 in 3 clusters) are too few or too much alike to "
        "show how much they vary"
    )
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


def advantage(
    now: dict[str, np.ndarray], reference: dict[str, np.ndarray], direction: str = "higher", level: float | None = 0.95
) -> Estimate:
    sides = (now, reference) if direction == "higher" else (reference, now)
    return worst_advantage(
        {name: estimate_mean(values, confidence_level=level) for name, values in now.items()},
        {
            name: lambda at, name=name: compare_paired(sides[0][name], sides[1][name], confidence_level=at)
            for name in now
        },
        direction=direction,
    )


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_worst_group_is_better_off_than_that_of_a_reference(direction: str) -> None:
    rng = np.random.default_rng(2)
    sign = 1.0 if direction == "higher" else -1.0
    reference = {name: 0.5 + sign * rng.normal(mean, 0.1, 200) for name, mean in (("a", -0.2), ("b", 0.1), ("c", 0.2))}
    better = {name: values + sign * rng.normal(0.1, 0.02, 200) for name, values in reference.items()}
    gate = Gate(better_than="reference")
    worst = estimate_worst({name: estimate_mean(values) for name, values in better.items()}, direction=direction)[1]
    gain = advantage(better, reference, direction)
    assert gain.value == pytest.approx(0.1, abs=0.02)
    assert decide(gate, worst, advantage=gain).outcome is Outcome.PASSED
    # The other way round it is shown to be worse, and beside itself neither.
    assert decide(gate, worst, advantage=advantage(reference, better, direction)).outcome is Outcome.FAILED
    same = advantage(reference, reference, direction)
    assert (same.value, same.low) == (0.0, 0.0)
    assert decide(gate, worst, advantage=same).outcome is Outcome.INCONCLUSIVE
    # All but the worst gain: nothing is gained for the worst.
    rest = {name: values if name == "a" else better[name] for name, values in reference.items()}
    assert decide(gate, worst, advantage=advantage(rest, reference, direction)).outcome is not Outcome.PASSED


def test_the_group_that_is_worst_under_the_reference_may_be_another_one() -> None:
    rng = np.random.default_rng(3)
    reference = {"a": rng.normal(0.3, 0.05, 200), "b": rng.normal(0.8, 0.05, 200)}
    # "b" loses .2 and is the worst now, and yet better off than "a" was.
    now = {"a": reference["a"] + rng.normal(0.4, 0.02, 200), "b": reference["b"] - rng.normal(0.2, 0.02, 200)}
    gain = advantage(now, reference)
    assert gain.value == pytest.approx(0.3, abs=0.02)
    assert gain.low > 0.0
    assert gain.low <= gain.value <= gain.high


def test_an_advantage_that_few_equal_units_carry_is_not_believed() -> None:
    rng = np.random.default_rng(4)
    many = rng.uniform(0.2, 0.4, 100)
    few = rng.uniform(0.2, 0.4, 8)
    one_less = np.array([0.1] * 7 + [0.05])
    for gains in (np.full(8, 0.1), one_less):
        now, reference = {"many": many + 0.1 * rng.random(100), "few": few + gains}, {"many": many, "few": few}
        gain = advantage(now, reference)
        assert math.isnan(gain.low)
        assert decide(Gate(better_than="x"), estimate_mean(many), advantage=gain).outcome is Outcome.INCONCLUSIVE
    single = advantage({"many": many + 0.1, "one": few[:1] + 0.1}, {"many": many, "one": few[:1]})
    assert math.isnan(single.low)


def test_a_unit_without_its_reference_is_missing() -> None:
    rng = np.random.default_rng(5)
    theirs = rng.uniform(0.2, 0.4, 60)
    ours = theirs + rng.uniform(0.1, 0.2, 60)
    lacking = np.array([math.nan, *theirs[1:]])
    gain = advantage({"a": ours, "b": ours}, {"a": theirs, "b": lacking})
    assert gain.n_missing == 1
    assert decide(Gate(better_than="x"), estimate_mean(ours), advantage=gain).outcome is Outcome.INCONCLUSIVE


def test_a_level_that_all_units_of_a_small_group_but_one_share_is_not_believed() -> None:
    rng = np.random.default_rng(6)
    found = {"many": estimate_mean(rng.uniform(0.7, 0.9, 100)), "few": estimate_mean([0.8] * 8 + [0.7])}
    assert decide(Gate(at_least=0.5), estimate_worst(found)[1]).outcome is Outcome.INCONCLUSIVE


def test_without_a_level_an_advantage_is_its_value() -> None:
    gain = advantage({"a": np.array([0.5, 0.7])}, {"a": np.array([0.4, 0.4])}, level=None)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.2, 0.2, 0.2))
    with pytest.raises(InvalidParameterError, match="of the groups a"):
        worst_advantage({"a": estimate_mean([0.5, 0.7])}, {})
