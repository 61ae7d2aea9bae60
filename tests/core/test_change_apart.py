"""A single change that stands apart from all others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core import Gate
from pytest_pluralism.core.estimation import compare_paired, subtract_estimates
from pytest_pluralism.core.estimation.apart import MOST_CLUSTERS, change_apart
from pytest_pluralism.core.health import HEALTH_CHECKS, problems_of_change, problems_of_difference
from pytest_pluralism.core.records import Estimate


def change_of(values: npt.ArrayLike, clusters: list[str] | None = None) -> Estimate:
    array = np.asarray(values, dtype=float)
    return compare_paired(array, np.zeros(len(array)), unit_ids=[f"q{i}" for i in range(len(array))], clusters=clusters)


def independently(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether an end stands apart, with arrays and by the share of the first gap in the first eight."""
    for side in (values, -values):
        gaps = -np.diff(np.sort(side)[::-1])[:8] * np.arange(1, 9)
        if gaps[0] / 3.0 > np.mean(gaps[1:]):
            return True
    return False


def test_the_rule_by_hand() -> None:
    """The gaps after the first are .01 each, weighed 2 to 8 (mean .05), so that the first must exceed .15."""
    others = [0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, *[-0.001 * n for n in range(20)]]
    found = change_apart(change_of([0.24, *others]), margin=0.02)
    assert found is not None
    assert (found.name, found.change, found.next_change, found.n_clusters) == ("q0", 0.24, 0.08, 29)
    assert change_apart(change_of([0.22, *others]), margin=0.02) is None
    # A change within the margin is no sign of a loss.
    assert change_apart(change_of([0.24, *others]), margin=0.25) is None


def test_a_fall_counts_like_a_rise_and_the_larger_one_is_named() -> None:
    noise = np.linspace(-0.01, 0.01, 40)
    found = change_apart(change_of([0.2, *noise, -0.3]), margin=0.02)
    assert found is not None
    assert (found.name, found.change) == ("q41", -0.3)


def test_one_change_among_none_stands_apart() -> None:
    found = change_apart(change_of([0.0] * 30 + [0.3]), margin=0.02)
    assert found is not None
    assert found.next_change == 0.0
    assert change_apart(change_of([0.0] * 30), margin=0.0) is None


@pytest.mark.parametrize(("n", "is_judged"), [(8, False), (9, True), (MOST_CLUSTERS, True), (MOST_CLUSTERS + 1, False)])
def test_few_and_many_clusters_are_not_judged(n: int, is_judged: bool) -> None:
    assert (change_apart(change_of([0.0] * (n - 1) + [0.3]), margin=0.02) is not None) == is_judged
    # A share of 3 % is missing from 1 % of samples of the largest number at most.
    assert 0.97 ** (MOST_CLUSTERS + 1) < 0.01 <= 0.97**MOST_CLUSTERS


def test_clusters_are_compared_and_not_their_units() -> None:
    """Two units of a cluster that cancel are no change of it; two that agree are one change."""
    clusters = [f"c{i // 2}" for i in range(40)]
    quiet = np.zeros(40)
    assert change_apart(change_of([0.3, -0.3, *quiet[2:]], clusters), margin=0.02) is None
    found = change_apart(change_of([0.3, 0.3, *quiet[2:]], clusters), margin=0.02)
    assert found is not None
    assert (found.name, found.change, found.n_clusters) == ("c0", 0.3, 20)


changes = st.lists(st.integers(-1000, 1000).map(lambda value: value / 1024), min_size=9, max_size=60)


@given(changes)
def test_it_agrees_with_another_implementation(values: list[float]) -> None:
    array = np.array(values)
    given_values = array.copy()
    found = change_apart(change_of(array), margin=0.0)
    # An end on the wrong side of 0 is not a change in that direction.
    if array.max() > 0 > array.min():
        assert (found is not None) == independently(array)
    np.testing.assert_array_equal(array, given_values)


@given(changes, st.randoms(use_true_random=False), st.sampled_from([0.25, 0.5, 2.0]))
def test_neither_order_nor_direction_nor_size_matters(values: list[float], random: object, scale: float) -> None:
    found = change_apart(change_of(values), margin=0.0)
    turned = change_apart(change_of([-scale * value for value in values]), margin=0.0)
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = change_apart(change_of(shuffled), margin=0.0)
    assert (found is None) == (turned is None) == (again is None)
    if found is not None and turned is not None and again is not None:
        assert abs(turned.change) == abs(scale * found.change)
        assert abs(again.change) == abs(found.change)


def test_the_check_names_the_unit_and_what_a_sample_does_not_hold() -> None:
    change = change_of([0.3, *np.linspace(-0.01, 0.01, 99)])
    ((name, text),) = problems_of_change(Gate(max_increase=0.05), change)
    assert name in HEALTH_CHECKS
    assert text.startswith("unit q0 changed by +0.300, far more than all others (next: +0.010)")
    # .971^100 = 5 %.
    assert (
        "up to 3 % of the units may do so, and the interval does not show it: 5 % of samples of 100 hold none" in text
    )
    for gate in (Gate(at_most=0.5), Gate(max_increase=0.05, confidence_level=None), Gate(max_increase=0.5)):
        assert problems_of_change(gate, change) == []
    assert problems_of_change(Gate(max_increase=0.05), change, suppressed=["change_apart"]) == []
    assert problems_of_change(Gate(max_increase=0.05), None) == []
    ((_, text),) = problems_of_change(Gate(max_increase=0.05), None, change)
    assert "+0.300 since the anchor" in text


def test_a_difference_within_a_test_is_checked_alike() -> None:
    names = [f"q{i}" for i in range(40)]
    before, after = np.linspace(0.3, 0.4, 40), np.linspace(0.301, 0.399, 40)
    after[5] += 0.3
    left, right = (compare_paired(side, np.zeros(40), unit_ids=names) for side in (after, before))
    difference = subtract_estimates(left, right)
    for gate in (Gate(at_most=0.05), Gate(at_least=-0.05)):
        assert [name for name, _ in problems_of_difference(gate, difference, [], suppressed=[])] == ["change_apart"]
    assert problems_of_difference(Gate(at_most=0.05), difference, [], suppressed=["change_apart"]) == []
    # A promise that something rises is not one that nothing was lost.
    assert problems_of_difference(Gate(at_least=0.001), difference, [], suppressed=[]) == []
