"""A single change that stands apart from all others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core import Gate
from pytest_pluralism.core.estimation import compare_crossed, compare_paired, subtract_estimates
from pytest_pluralism.core.estimation.apart import MOST_CLUSTERS, Apart, changes_apart
from pytest_pluralism.core.health import HEALTH_CHECKS, problems_of_change, problems_of_difference
from pytest_pluralism.core.records import Estimate
from pytest_pluralism.evaluation.measures.registry import MEASURES


def change_of(values: npt.ArrayLike, clusters: list[str] | None = None) -> Estimate:
    array = np.asarray(values, dtype=float)
    return compare_paired(array, np.zeros(len(array)), unit_ids=[f"q{i}" for i in range(len(array))], clusters=clusters)


def independently(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether an end stands apart, with arrays: the gap after the first j against the mean of seven more."""
    for side in (values, -values):
        ordered = np.sort(side)[::-1]
        gaps = -np.diff(ordered) * np.arange(1, len(ordered))
        for j in range(1, min(6, len(values) - 7)):
            if ordered[j - 1] > 0 and gaps[j - 1] > (3.0 if j == 1 else 12.0) * gaps[j : j + 7].mean():
                return True
    return False


def found_in(values: npt.ArrayLike, *, least: float = 0.0, room: float = 0.0, **more: float) -> Apart | None:
    return changes_apart(change_of(values), least=least, room=room, **more)


def test_the_rule_by_hand() -> None:
    """The gaps after the first are .01 each, weighed 2 to 8 (mean .05), so that the first must exceed .15."""
    others = [0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, *[-0.001 * n for n in range(20)]]
    found = found_in([0.24, *others])
    assert found is not None
    assert (found.names, found.change, found.next_change, found.n_apart, found.n_clusters) == (
        *(("q0",), 0.24, 0.08, 1),
        29,
    )
    assert found_in([0.22, *others]) is None
    # A change within the margin is not a sign of a loss.
    assert found_in([0.24, *others], least=0.24) is None


def test_a_fall_counts_like_a_rise_and_the_larger_one_is_named() -> None:
    noise = np.linspace(-0.01, 0.01, 40)
    found = found_in([0.2, *noise, -0.3])
    assert found is not None
    assert (found.names, found.change) == (("q41",), -0.3)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_several_equal_changes_stand_apart_like_one(number: int) -> None:
    """A release that turned two questions round is not better than one that turned one round."""
    noise = np.random.default_rng(3).normal(0.0, 0.01, 100 - number)
    found = found_in([*noise, *[0.3] * number], room=0.02)
    assert found is not None
    assert found.n_apart == number
    assert found_in([*noise[:94], *[0.3] * 6], room=0.02) is None


def test_one_change_among_none_stands_apart() -> None:
    found = found_in([0.0] * 30 + [0.3])
    assert found is not None
    assert found.next_change == 0.0
    assert found_in([0.0] * 30) is None


def test_what_could_not_use_up_the_room_leaves_nothing_open() -> None:
    """One of 100 was seen, so that at most 4.7 % are of its kind; each can move the mean by the scale over 100."""
    values = [0.3, *np.linspace(-0.01, 0.01, 99)]
    found = found_in(values, longest=1.0)
    assert found is not None
    # The binomial chance of at most one of 100 is 5 % at this share.
    share = found.largest_share
    assert (1 - share) ** 100 + 100 * share * (1 - share) ** 99 == pytest.approx(0.05, rel=1e-9)
    assert share == pytest.approx(0.0466, abs=1e-4)
    assert found_in(values, room=0.046, longest=1.0) is not None
    assert found_in(values, room=0.047, longest=1.0) is None
    assert found_in(values, room=0.047, longest=2.0) is not None


@pytest.mark.parametrize(("n", "is_judged"), [(8, False), (9, True), (MOST_CLUSTERS, True), (MOST_CLUSTERS + 1, False)])
def test_few_and_many_clusters_are_not_judged(n: int, is_judged: bool) -> None:
    assert (found_in([0.0] * (n - 1) + [0.3]) is not None) == is_judged
    # A share of 3 % is missing from 1 % of samples of the largest number at most.
    assert 0.97 ** (MOST_CLUSTERS + 1) < 0.01 <= 0.97**MOST_CLUSTERS


def test_clusters_are_compared_and_not_their_units() -> None:
    """Two units of a cluster that cancel are not a change of it; two that agree are one change."""
    clusters = [f"c{i // 2}" for i in range(40)]
    quiet = np.zeros(40)
    assert changes_apart(change_of([0.3, -0.3, *quiet[2:]], clusters), least=0.02, room=0.0) is None
    found = changes_apart(change_of([0.3, 0.3, *quiet[2:]], clusters), least=0.02, room=0.0)
    assert found is not None
    assert (found.names, found.change, found.n_clusters) == (("c0",), 0.3, 20)


changes = st.lists(st.integers(-1000, 1000).map(lambda value: value / 1024), min_size=9, max_size=60)


@given(changes)
def test_it_agrees_with_another_implementation(values: list[float]) -> None:
    array = np.array(values)
    given_values = array.copy()
    assert (found_in(array) is not None) == independently(array)
    np.testing.assert_array_equal(array, given_values)


@given(changes, st.randoms(use_true_random=False), st.sampled_from([0.25, 0.5, 2.0]))
def test_neither_order_nor_direction_nor_size_matters(values: list[float], random: object, scale: float) -> None:
    found = found_in(values)
    turned = found_in([-scale * value for value in values])
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = found_in(shuffled)
    assert (found is None) == (turned is None) == (again is None)
    if found is not None and turned is not None and again is not None:
        assert abs(turned.change) == abs(scale * found.change)
        assert abs(again.change) == abs(found.change)


def test_the_check_names_the_unit_and_what_a_sample_does_not_hold() -> None:
    change = change_of([0.3, *np.linspace(-0.01, 0.01, 99)])
    ((name, text),) = problems_of_change(Gate(max_increase=0.02), [change], measure=MEASURES["js_distance"])
    assert name in HEALTH_CHECKS
    assert text == (
        "question q0 rose by 0.300, far from the next change (+0.010); up to 4.7 % of questions may change so, which "
        "the interval of 100 does not show. Look at it, or ask more questions"
    )
    for gate in (Gate(at_most=-0.5), Gate(max_increase=0.02, confidence_level=None), Gate(max_increase=0.5)):
        assert problems_of_change(gate, [change]) == []
    assert problems_of_change(Gate(max_increase=0.02), [change], suppressed=["change_apart"]) == []
    assert problems_of_change(Gate(max_increase=0.02), [None]) == []
    assert problems_of_change(Gate(max_increase=0.02), [None, change])
    # The change from the anchor is judged at the margin of the drift.
    tight, wide = Gate(max_increase=0.5, max_drift=0.02), Gate(max_increase=0.02, max_drift=0.5)
    assert problems_of_change(tight, [change]) == []
    assert problems_of_change(tight, [None], drift=change)
    assert problems_of_change(wide, [None], drift=change) == []
    # A share of 4.7 % cannot raise the mean of a distance by more than .047.
    assert problems_of_change(Gate(max_increase=0.06), [change], measure=MEASURES["js_distance"]) == []
    # Noise of a single unit is not a change.
    assert problems_of_change(Gate(max_increase=0.02), [change], noise_floors=(0.0, 0.3)) == []


def test_two_units_are_named_together() -> None:
    change = change_of([0.3, 0.25, *np.linspace(-0.01, 0.01, 98)])
    ((_, text),) = problems_of_change(Gate(max_decrease=0.02), [change])
    assert text.startswith("2 units (q0, q1) rose by 0.250 or more, far from the next change (+0.010); up to 6.2 %")
    assert text.endswith("Look at them, or ask more units")


def test_a_juror_who_stands_apart_counts_in_a_crossed_change() -> None:
    """Forty jurors judged 30 queries; one of them finds the new release much worse."""
    queries, jurors = np.linspace(-0.011, 0.009, 30), np.linspace(-0.01, 0.01, 40)
    jurors[3] = -0.5
    change = compare_crossed(
        *(queries, np.zeros(30), jurors - jurors.mean() + queries.mean(), np.zeros(40)),
        unit_ids=[f"q{i}" for i in range(30)],
        crossed_ids=[f"juror {i}" for i in range(40)],
    )
    ((_, text),) = problems_of_change(Gate(max_decrease=0.05), [change], measure=MEASURES["jury_welfare"])
    assert text.startswith("juror juror 3 fell by 0.4")


def test_a_difference_within_a_test_is_checked_alike() -> None:
    names = [f"q{i}" for i in range(40)]
    before, after = np.linspace(0.3, 0.4, 40), np.linspace(0.301, 0.399, 40)
    after[5] += 0.3
    left, right = (compare_paired(side, np.zeros(40), unit_ids=names) for side in (after, before))
    difference = subtract_estimates(left, right)
    for gate in (Gate(at_most=0.05), Gate(at_least=-0.05), Gate(at_most=0.05, at_least=-0.05)):
        assert [name for name, _ in problems_of_difference(gate, difference, [], suppressed=[])] == ["change_apart"]
    assert problems_of_difference(Gate(at_most=0.05), difference, [], suppressed=["change_apart"]) == []
    # A promise that something rises is not one that nothing was lost.
    assert problems_of_difference(Gate(at_least=0.001), difference, [], suppressed=[]) == []
