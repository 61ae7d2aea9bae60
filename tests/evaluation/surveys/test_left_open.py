"""Answers that leave probabilities open: what a distance, an entropy, an interval and a verdict make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core import decide
from pytest_pluralism.core.estimation import estimate_mean
from pytest_pluralism.core.estimation.at_level import interval_at
from pytest_pluralism.core.estimation.left_open import open_sides, with_bounds
from pytest_pluralism.core.metrics import entropy, jensen_shannon_distance
from pytest_pluralism.core.records import Answer, Gate, Outcome, UnitScore
from pytest_pluralism.evaluation.surveys.left_open import distance_bounds, entropy_bounds, inside, of_kept
from pytest_pluralism.evaluation.surveys.respondents import Comparison

RNG = np.random.default_rng(3)


def drawn(bounds, n=4000):
    """Return distributions within bounds, drawn at random."""
    low, high = np.asarray(bounds).T
    free = RNG.uniform(low, high, size=(n, len(bounds)))
    free[:, -1] = 1.0 - free[:, :-1].sum(axis=1)
    return free[(free[:, -1] >= low[-1]) & (free[:, -1] <= high[-1])]


def unit(ours, people):
    details = {"model_entropy": float(entropy(ours))}
    value = float(jensen_shannon_distance(ours, people))
    return UnitScore(
        "q", "q", value, model_probabilities=tuple(ours), reference_probabilities=tuple(people), details=details
    )


CASES = [
    ([(0.1, 0.4), (0.2, 0.5), (0.1, 0.6)], [0.5, 0.3, 0.2]),
    ([(0.0, 0.2), (0.3, 0.6), (0.2, 0.7)], [0.05, 0.9, 0.05]),
    ([(0.1, 0.2), (0.2, 0.3), (0.2, 0.3), (0.2, 0.5)], [0.1, 0.2, 0.3, 0.4]),
]


@pytest.mark.parametrize(("bounds", "people"), CASES)
def test_no_answer_within_bounds_leaves_the_bounds_of_the_distance_and_of_the_entropy(bounds, people):
    samples = drawn(bounds)
    assert len(samples) > 200
    one = unit(samples[0], people)
    low, high = distance_bounds(one, bounds, None, Comparison(2.0, corrected=False))
    distances = jensen_shannon_distance(samples, np.tile(people, (len(samples), 1)))
    assert low - 1e-9 <= distances.min()
    assert distances.max() <= high + 1e-9
    # The ends are those of an answer, and no wider than they must be.
    assert distances.min() - low < 0.02
    assert high - distances.max() < 0.04
    least, most = entropy_bounds(one, bounds)
    entropies = entropy(samples)
    assert least - 1e-9 <= entropies.min()
    assert entropies.max() <= most + 1e-9


def test_many_options_have_coarser_bounds_that_hold():
    bounds = [(0.05, 0.15)] * 10
    samples = drawn(bounds)
    people = RNG.dirichlet(np.ones(10))
    one = unit(samples[0], people)
    low, high = distance_bounds(one, bounds, None, Comparison(2.0, corrected=False))
    distances = jensen_shannon_distance(samples, np.tile(people, (len(samples), 1)))
    assert low <= distances.min()
    assert distances.max() <= high


def test_the_distribution_inside_is_that_of_the_people_where_the_bounds_allow_it():
    assert inside(np.array([0.2, 0.8]), [(0.1, 0.5), (0.5, 0.9)]) == pytest.approx([0.2, 0.8])
    assert inside(np.array([0.0, 1.0]), [(0.1, 0.5), (0.5, 0.9)]) == pytest.approx([0.1, 0.9])


def test_shares_of_an_answer_have_the_bounds_that_its_labels_allow():
    answer = Answer((math.log(0.5), math.log(0.1)), 0.6, "A", 0.5, bounds=((0.5, 0.5), (0.0, 0.2)))
    (low, high), other = answer.share_bounds()
    assert (low, high) == pytest.approx((0.5 / 0.7, 1.0))
    assert other == pytest.approx((0.0, 0.2 / 0.7))
    assert answer.open_share == pytest.approx(0.2 / 0.7)
    assert of_kept([(0.5, 0.6), (0.1, 0.2), (0.2, 0.4)], [0, 1])[0] == pytest.approx((0.5 / 0.7, 0.6 / 0.7))


VALUES = [0.2, 0.3, 0.25, 0.35, 0.3, 0.22, 0.28, 0.31, 0.26, 0.33, 0.29, 0.24]
BOUNDS = [(value - 0.05, value + 0.1) for value in VALUES]


@pytest.mark.parametrize("level", [None, 0.9, 0.95])
def test_an_interval_holds_what_is_left_open_at_every_level(level):
    plain = estimate_mean(VALUES, confidence_level=level)
    wide = with_bounds(estimate_mean(VALUES, confidence_level=0.8), BOUNDS)
    again = interval_at(wide, level)
    assert (again.low, again.high) == pytest.approx((plain.low - 0.05, plain.high + 0.1))
    assert open_sides(again) == pytest.approx((0.05, 0.1))


def test_a_difference_of_two_estimates_holds_what_both_leave_open():
    names = [str(place) for place in range(12)]
    left = with_bounds(estimate_mean(VALUES, unit_ids=names), BOUNDS)
    right = with_bounds(estimate_mean(VALUES[::-1], unit_ids=names[::-1]), BOUNDS[::-1])
    both = left - right
    assert both.bounds[0] == pytest.approx((-0.15, 0.15))
    assert (both.low, both.high) == pytest.approx((-0.15, 0.15))
    known = left - estimate_mean(VALUES, unit_ids=names)
    assert (known.low, known.high) == pytest.approx((-0.05, 0.1))
    # Answers that may have changed do not count as unchanged.
    assert decide(Gate(max_increase=0.0), left, change=both).outcome is Outcome.INCONCLUSIVE
    moved = estimate_mean([value + 0.01 * (place % 3) for place, value in enumerate(VALUES)], unit_ids=names)
    assert decide(Gate(max_increase=0.05), left, change=left - moved).outcome is Outcome.INCONCLUSIVE
    assert decide(Gate(max_increase=0.2), left, change=left - moved).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        (Gate(at_most=0.36, confidence_level=None), Outcome.INCONCLUSIVE),
        (Gate(at_most=0.40, confidence_level=None), Outcome.PASSED),
        (Gate(at_most=0.22, confidence_level=None), Outcome.FAILED),
        (Gate(at_most=0.26, confidence_level=None), Outcome.INCONCLUSIVE),
        (Gate(at_least=0.25, confidence_level=None), Outcome.INCONCLUSIVE),
        (Gate(at_most=0.36), Outcome.INCONCLUSIVE),
        (Gate(at_most=0.45), Outcome.PASSED),
        (Gate(at_most=0.15), Outcome.FAILED),
    ],
)
def test_a_promise_that_is_left_open_is_undecided(gate, outcome):
    estimate = with_bounds(estimate_mean(VALUES, confidence_level=gate.confidence_level), BOUNDS)
    verdict = decide(gate, estimate)
    assert verdict.outcome is outcome
    # Without the bounds none of these is undecided.
    if outcome is Outcome.INCONCLUSIVE and gate.confidence_level is None:
        assert "leave it open" in verdict.reason
        assert "--max-logprobs" in verdict.reason
        assert verdict.units_needed is None


def test_a_unit_that_may_have_risen_is_neither_kept_nor_broken():
    names = [str(place) for place in range(12)]
    change = with_bounds(estimate_mean([0.0] * 12, unit_ids=names), [(-0.01, 0.05), *[(0.0, 0.0)] * 11])
    estimate = estimate_mean(VALUES, unit_ids=names)
    assert decide(Gate(max_unit_increase=0.02), estimate, change=change).outcome is Outcome.INCONCLUSIVE
    assert decide(Gate(max_unit_increase=0.06), estimate, change=change).outcome is Outcome.PASSED
    risen = with_bounds(estimate_mean([0.1] + [0.0] * 11, unit_ids=names), [(0.08, 0.2), *[(0.0, 0.0)] * 11])
    assert decide(Gate(max_unit_increase=0.06), estimate, change=risen).outcome is Outcome.FAILED
