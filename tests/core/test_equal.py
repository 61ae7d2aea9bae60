"""Equal is equal: one tolerance, and the laws that comparisons of scores obey with it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_pluralism.core import decide
from pytest_pluralism.core.equal import TOLERANCE, compare, difference, levelled
from pytest_pluralism.core.metrics import diagonal_dominance, is_pareto_improvement, pareto_front, pareto_ranks
from pytest_pluralism.core.records import Estimate, Gate, Outcome

quick = settings(max_examples=100, deadline=None)
SCORE = st.floats(-10, 10)
#: The error that rounding adds to a score.
NOISE = st.floats(-0.2 * TOLERANCE, 0.2 * TOLERANCE)


@quick
@given(SCORE, SCORE, st.floats(0, 1))
def test_a_comparison_turns_round_with_its_sides(a, b, margin):
    assert compare(a, b, margin=margin) == -compare(b, a, margin=margin)
    assert compare(a, a, margin=margin) == 0
    assert compare(np.array([a]), np.array([b]), margin=margin)[0] == compare(a, b, margin=margin)


@quick
@given(SCORE, SCORE, NOISE)
def test_rounding_changes_no_comparison(a, b, noise):
    assume(not 0.5 * TOLERANCE < abs(a - b) < 20 * TOLERANCE)
    assert compare(a + noise, b) == compare(a, b)
    assert compare(a, a + noise) == 0
    assert difference(a, a + noise) == 0.0


def test_what_is_unknown_or_infinite():
    assert math.isnan(compare(math.nan, 0.0))
    assert np.isnan(compare([math.nan, 1.0], [0.0, math.nan])).all()
    assert compare(math.inf, 1.0) == 1
    assert compare(math.inf, math.inf) == 0
    assert compare([math.inf, -math.inf, math.inf], [1.0, 1.0, math.inf]).tolist() == [1, -1, 0]


def test_margins_between_shares_are_those_of_arithmetic():
    """A share of k of n answers differs by exactly 1 / n from its neighbors, whatever floats make of it."""
    for n in range(2, 30):
        for k in range(n):
            assert compare((k + 1) / n, k / n, margin=1 / n) == 0, (k, n)
            assert compare((k + 1) / n, k / n, margin=0.99 / n) == 1, (k, n)


@quick
@given(st.lists(st.integers(0, 4).map(lambda k: k / 10), min_size=1, max_size=8), st.data())
def test_levels_undo_rounding(scores, data):
    noisy = [score + data.draw(NOISE) for score in scores]
    level = levelled(noisy)
    for (one, a), (other, b) in itertools.product(zip(scores, level, strict=True), repeat=2):
        assert (a < b) == (one < other)
    np.testing.assert_allclose(level, scores, atol=TOLERANCE)


@pytest.mark.whole
@quick
@given(st.lists(st.tuples(*[st.integers(0, 3).map(lambda k: k / 10)] * 2), min_size=1, max_size=6), st.data())
def test_rounding_moves_no_model_on_or_off_a_front(points, data):
    plain = np.array(points)
    noisy = plain + np.array([[data.draw(NOISE), data.draw(NOISE)] for _ in points])
    assert pareto_front(noisy).tolist() == pareto_front(plain).tolist()
    assert pareto_ranks(noisy).tolist() == pareto_ranks(plain).tolist()
    table = is_pareto_improvement(plain[:, None], plain[None])
    np.testing.assert_array_equal(is_pareto_improvement(noisy[:, None], noisy[None]), table)


def test_even_answers_are_dominated_by_no_rounding():
    assert diagonal_dominance([[0.3, 0.1 + 0.2], [0.1 + 0.2, 0.3]]) == 1.0


@pytest.mark.parametrize("promise", [{"at_most": 0.3}, {"at_least": 0.3}])
def test_a_bound_that_is_met_is_kept_whatever_the_last_digit(promise):
    for value in (0.3, 0.1 + 0.2, 0.3 - 1e-16):
        estimate = Estimate(value, value, value, 0.0, n=50, n_clusters=50, confidence_level=None)
        assert decide(Gate(confidence_level=None, **promise), estimate).outcome is Outcome.PASSED


def test_an_advantage_of_rounding_is_none():
    estimate = Estimate(0.5, 0.4, 0.6, 0.05, n=50, n_clusters=50)
    for low in (0.0, 1e-16, 1e-13, 3e-8, 1e-5):
        advantage = Estimate(0.1, low, 0.2, 0.05, n=50, n_clusters=50)
        verdict = decide(Gate(better_than="uniform"), estimate, advantage=advantage)
        assert verdict.outcome is Outcome.INCONCLUSIVE
    beyond = Estimate(0.1, 2e-5, 0.2, 0.05, n=50, n_clusters=50)
    assert decide(Gate(better_than="uniform"), estimate, advantage=beyond).passed
    assert not decide(Gate(better_than="uniform"), estimate, advantage=beyond, noise_floor=1e-3).passed
