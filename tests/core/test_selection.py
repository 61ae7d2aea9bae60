"""The best of several: an interval that allows for having looked for it, and gates with two bounds."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_pluralism.core import Gate, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_best, compare_paired, estimate_mean, interval_at, level_for
from pytest_pluralism.core.records import Outcome
from pytest_pluralism.core.verdict import adjust_verdicts, failure_p_value


def rows(k=4, n=20):
    scores = np.random.default_rng(1).random((k, n))
    scores[2] += 0.3
    return scores


def test_the_best_is_compared_at_the_level_that_is_left_to_it():
    scores = rows()
    best, ahead = compare_best(scores, 0)
    plain = compare_paired(scores[2], scores[0])
    assert best == 2
    assert (ahead.value, ahead.confidence_level) == (plain.value, 1 - 0.05 / 3)
    assert ahead.low == pytest.approx(interval_at(plain, 1 - 0.05 / 3).low)
    assert ahead.low < plain.low
    _, many = compare_best(scores, 0, n_looks=5)
    assert many.confidence_level == pytest.approx(1 - 0.05 / 15)


def test_one_that_is_best_itself_has_no_advantage_to_explain():
    best, ahead = compare_best(rows(), 2)
    assert (best, ahead.value, ahead.low, ahead.high) == (2, 0.0, 0.0, 0.0)
    assert compare_best([[0.5, 0.4], [0.4, 0.5]], 1)[0] == 1


def test_two_that_are_compared_need_no_adjustment():
    scores = rows()[:2]
    assert compare_best(scores, 0)[1].confidence_level == 0.95 == level_for(1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: compare_best([0.1, 0.2], 0), "at least 2 axes"),
        (lambda: compare_best(rows(), 4), "a row of the scores, in \\[0, 3\\]"),
        (lambda: compare_best(rows(), -1), "'own' parameter of compare_best"),
        (lambda: compare_best(rows(), 0, n_looks=0), "'n_looks' parameter of compare_best"),
        (lambda: level_for(0), "'n_compared' parameter of level_for"),
    ],
)
def test_wrong_input(call, says):
    with pytest.raises(InvalidParameterError, match=says):
        call()


def both_bounds():
    generator = np.random.default_rng(367)
    ids = [str(i) for i in range(60)]
    value = estimate_mean(generator.beta(3, 6, 60), unit_ids=ids)
    change = compare_paired(generator.normal(0.02, 0.05, 60), np.zeros(60), unit_ids=ids)
    return Gate(at_most=1 / 3, max_increase=0.02), value, change


def test_a_gate_with_two_bounds_is_two_tests_also_when_it_is_alone():
    gate, value, change = both_bounds()
    verdict = decide(gate, value, change=change)
    assert verdict.outcome is Outcome.FAILED
    assert 0.025 < failure_p_value(gate, value, change=change) < 0.06
    (alone,) = adjust_verdicts([verdict])
    beside, _ = adjust_verdicts([verdict, decide(Gate(at_most=1.0), value)])
    assert alone.outcome is beside.outcome is Outcome.INCONCLUSIVE
    assert "the 2 bounds of this promise" in alone.reason
    assert adjust_verdicts([verdict], method="none")[0].outcome is Outcome.FAILED


def test_a_lone_gate_with_one_bound_is_decided_by_its_interval():
    _, value, _ = both_bounds()
    bound = value.low - 1e-9
    verdict = decide(Gate(at_most=bound), value)
    assert adjust_verdicts([verdict]) == (verdict,)
    assert verdict.outcome is Outcome.FAILED


def test_a_kept_promise_says_what_it_could_not_see():
    ids = [f"q{i}" for i in range(25)]
    value = estimate_mean(np.linspace(0.2, 0.4, 25), unit_ids=ids)
    small = 0.001 * np.arange(25)
    small[3] = 0.05
    change = compare_paired(small - small.mean(), np.zeros(25), unit_ids=ids)
    verdict = decide(Gate(max_increase=0.02), value, change=change)
    assert verdict.outcome is Outcome.PASSED
    # Of 11.3 % of the questions none is among 25 in one sample of twenty: 0.887 ** 25 is 5 %.
    assert verdict.unseen == (
        f"a rise confined to fewer than 11 % of the units may not show; the largest single rise was "
        f"{0.05 - small.mean():.3f} (q3)"
    )
    nothing = decide(Gate(max_decrease=0.02), value, change=compare_paired(small, small, unit_ids=ids))
    assert nothing.unseen == "a fall confined to fewer than 11 % of the units may not show; no unit fell"
    assert decide(Gate(at_most=0.9), value).unseen == ""
    assert decide(Gate(max_increase=0.02, confidence_level=None), value, change=change).unseen == ""
