"""A suite against itself: counts of false alarms, against counting by hand and against runs whose truth is known."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy import stats

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.false_alarms import false_alarms, pairs_needed
from pytest_pluralism.core.records import Gate, Scores, UnitScore


def scores(values: list[float], clusters: list[str] | None = None) -> Scores:
    names = clusters or [f"c{number}" for number in range(len(values))]
    units = tuple(
        UnitScore(f"q{number}", cluster, value)
        for number, (value, cluster) in enumerate(zip(values, names, strict=True))
    )
    return Scores("js_distance", units)


def runs_of(n_runs: int, *, noise: float, n: int = 40, drift: float = 0.0, seed: int = 0) -> list[dict[str, Scores]]:
    generator = np.random.default_rng(seed)
    base = generator.uniform(0.2, 0.6, n)
    return [{"a": scores((base + drift * run + generator.normal(0, noise, n)).tolist())} for run in range(n_runs)]


def test_runs_that_are_alike_raise_no_alarm() -> None:
    found = false_alarms({"a": Gate(max_increase=0.02)}, runs_of(6, noise=0.0))
    assert (found.alarms, found.n, found.independent_alarms, found.n_independent) == (0, 30, 0, 3)
    assert (found.half_alarms, found.n_half, found.rate) == (0, 15, 0.0)
    # Clopper and Pearson's interval of 0 in 3, by the beta distribution.
    assert (found.low, found.high) == pytest.approx((0.0, stats.beta.ppf(0.975, 1, 3)))


def test_counts_are_those_of_counting_by_hand() -> None:
    # Run 1 is worse than 0 and 2 by 0.1 in every unit: of six ordered pairs, two see a rise.
    base = np.linspace(0.2, 0.6, 80)
    runs = [{"a": scores((base + rise).tolist())} for rise in (0.0, 0.1, 0.0)]
    found = false_alarms({"a": Gate(max_increase=0.02)}, runs)
    assert (found.alarms, found.n, found.gates[0].alarms) == (2, 6, 2)
    assert (found.independent_alarms, found.n_independent) == (1, 1)
    assert found.gates[0].largest_change == pytest.approx(0.1)
    assert found.half_alarms == 1, "of the three pairs in order, 0 to 1 rises"


@pytest.mark.whole
@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_a_sound_gate_keeps_its_level(noise: float) -> None:
    # Even with no margin, a gate on noise alone fails in at most 2.5 % of comparisons, up to what 20 runs show.
    found = false_alarms({"a": Gate(max_increase=0.0)}, runs_of(20, noise=noise, seed=3))
    assert found.rate < 0.06
    assert found.low <= 0.025


@pytest.mark.slow
def test_many_gates_are_adjusted_together() -> None:
    generator = np.random.default_rng(5)
    base = generator.uniform(0.2, 0.6, 25)
    runs = [
        {f"g{gate}": scores((base + generator.normal(0, 0.05, 25)).tolist()) for gate in range(15)} for _ in range(10)
    ]
    gates = {f"g{gate}": Gate(max_increase=0.0) for gate in range(15)}
    alone = false_alarms(gates, runs, method="none")
    together = false_alarms(gates, runs)
    assert alone.alarms > 3 * max(1, together.alarms)
    assert sum(gate.alarms for gate in alone.gates) == sum(gate.alarms for gate in together.gates)


def test_a_bound_that_is_broken_on_the_whole_is_no_false_alarm() -> None:
    runs = runs_of(4, noise=0.0)
    found = false_alarms({"a": Gate(at_most=0.1)}, runs)
    assert found.gates[0].is_broken
    assert (found.alarms, found.gates[0].n) == (0, 0)
    both = false_alarms({"a": Gate(at_most=0.1, max_increase=0.02)}, runs)
    assert both.gates[0].is_broken
    assert (both.alarms, both.gates[0].n) == (0, 12)


def test_a_bound_that_one_run_breaks_by_chance_is_one() -> None:
    runs = [{"a": scores([0.3 + rise + 0.001 * unit for unit in range(30)])} for rise in (0.0, 0.0, 0.0, 0.2)]
    found = false_alarms({"a": Gate(at_most=0.4)}, runs)
    assert not found.gates[0].is_broken
    assert found.alarms == 3, "whichever run stands before it"


def test_clusters_stay_whole_in_halves() -> None:
    # Two clusters: half of them would be one, of which nothing can be said.
    clusters = ["x", "y"] * 20
    runs = [{"a": scores([0.3] * 40, clusters)} for _ in range(2)]
    assert false_alarms({"a": Gate(max_increase=0.0)}, runs).n_half == 0


def test_the_same_seed_splits_alike_and_nothing_is_changed() -> None:
    runs = runs_of(5, noise=0.2)
    before = copy.deepcopy(runs)
    gates = {"a": Gate(max_increase=0.0)}
    assert false_alarms(gates, runs, rng=1) == false_alarms(gates, runs, rng=1)
    assert runs == before


def test_what_cannot_be_compared() -> None:
    runs = runs_of(2, noise=0.0)
    with pytest.raises(InvalidParameterError, match="at least two runs"):
        false_alarms({"a": Gate(max_increase=0.0)}, runs[:1])
    with pytest.raises(InvalidParameterError, match="at least one gate"):
        false_alarms({}, runs)
    with pytest.raises(InvalidParameterError, match="same units"):
        false_alarms({"a": Gate(max_increase=0.0)}, [runs[0], {"a": scores([0.1, 0.2])}])


@pytest.mark.parametrize("level", [0.001, 0.025, 0.05, 0.3, 0.9, 0.99])
def test_so_many_pairs_are_the_fewest_that_show_a_level(level: float) -> None:
    n = pairs_needed(level)
    ends = [stats.binomtest(0, pairs).proportion_ci(0.95, "exact").high for pairs in (n, max(n - 1, 1))]
    assert ends[0] <= level
    assert n == 1 or ends[1] > level


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, float("nan"), "a"])
def test_a_level_that_is_none(level: object) -> None:
    with pytest.raises(InvalidParameterError, match="level"):
        pairs_needed(level)  # type: ignore[arg-type]
