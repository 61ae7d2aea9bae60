"""The number of answers that is drawn for a promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.drawing import FEWEST_DRAWS, MOST_DRAWS, PRESUMED_SPREAD, draws_planned
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import Gate, more_draws, sampled_answer

LEVEL, CHANGE, BARE = Gate(at_most=0.4), Gate(max_increase=0.02), Gate(at_most=0.4, confidence_level=None)


def test_a_level_needs_as_many_draws_whatever_the_number_of_questions():
    assert {draws_planned(LEVEL, n_questions=n) for n in (1, 25, 1000)} == {MOST_DRAWS}
    assert {draws_planned(LEVEL, n_questions=n, prompts_each=5) for n in (1, 25, 1000)} == {20}
    assert draws_planned(None, n_questions=25, prompts_each=5) == draws_planned(LEVEL, n_questions=25, prompts_each=5)


def test_a_tighter_margin_and_a_higher_level_need_more_draws_and_more_questions_fewer():
    def many(margin, n=1000, level=0.95):
        return draws_planned(Gate(max_increase=margin, confidence_level=level), n_questions=n, prompts_each=2)

    assert many(0.01) >= many(0.02) > many(0.05)
    assert many(0.02, level=0.99) > many(0.02, level=0.9)
    assert many(0.02, n=400) > many(0.02, n=4000)
    # The half-width that drawing alone makes is a third of the margin.
    n = many(0.02)
    half = 1.96 * 0.5 * math.sqrt(2.0 / (1000 * 2 * n))
    assert half <= 0.02 / 3 < half * math.sqrt(n / (n - 1)) * 1.02


def test_a_value_without_an_interval_needs_most_from_one_question():
    assert draws_planned(BARE, n_questions=1) == MOST_DRAWS
    assert draws_planned(BARE, n_questions=1000, prompts_each=5) == FEWEST_DRAWS / 5


def test_no_plan_leaves_its_ends():
    assert draws_planned(Gate(max_increase=0.0), n_questions=10**6) == MOST_DRAWS
    assert draws_planned(Gate(max_increase=0.9), n_questions=10**6) == FEWEST_DRAWS
    assert draws_planned(Gate(max_increase=0.9), n_questions=10**6, prompts_each=50) == 1
    assert draws_planned(LEVEL, n_questions=10, width=math.inf) == MOST_DRAWS


@pytest.mark.parametrize("keywords", [{"n_questions": 0}, {"n_questions": 2, "prompts_each": 0}, {"n_questions": 1.5}])
def test_counts_are_checked(keywords):
    with pytest.raises(InvalidParameterError, match="whole number from 1"):
        draws_planned(LEVEL, **keywords)


def test_one_draw_moves_a_distance_by_no_more_than_the_rule_takes_it_to():
    rng = np.random.default_rng(0)
    for _ in range(60):
        people, model = rng.dirichlet(np.full(4, 0.8)), rng.dirichlet(np.full(4, 0.8))
        shares = rng.multinomial(100, model, 400) / 100
        moved = np.std(jensen_shannon_distance(shares, np.tile(people, (400, 1)))) * math.sqrt(100)
        assert moved <= 0.5 * 1.05
    assert 0.1 < PRESUMED_SPREAD < 0.2


def test_further_draws_are_added_to_those_before():
    both = more_draws(sampled_answer([3, 0], n_drawn=4, top_text="A"), [1, 5], n_drawn=8, top_text="B")
    assert both == sampled_answer([4, 5], n_drawn=12, top_text="B")
    assert more_draws(both, [0, 0], n_drawn=2).counts == both.counts
    with pytest.raises(InvalidParameterError, match="one for each of 2 labels"):
        more_draws(both, [1, 2, 3], n_drawn=6)
