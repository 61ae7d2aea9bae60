"""Promises about a change that hold both ways, and against two results: the last release and the anchor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, equivalence, look_factor
from pytest_pluralism.core.records import Estimate
from pytest_pluralism.core.verdict import adjust_verdicts, failure_p_value

NOW = Estimate(0.4, 0.35, 0.45, 0.025, n=40, n_clusters=40)


def change_of(mean: float, spread: float = 0.02, n: int = 40, seed: int = 0) -> Estimate:
    draws = np.random.default_rng(seed).normal(0.0, 1.0, n)
    draws = (draws - draws.mean()) / draws.std()
    return compare_paired(mean + spread * draws, np.zeros(n))


@pytest.mark.parametrize(
    ("mean", "spread", "outcome"),
    [
        (0.0, 0.02, Outcome.PASSED),
        (0.005, 0.02, Outcome.PASSED),
        (-0.005, 0.02, Outcome.PASSED),
        (0.05, 0.02, Outcome.FAILED),
        (-0.05, 0.02, Outcome.FAILED),
        (0.018, 0.02, Outcome.INCONCLUSIVE),
        (-0.018, 0.02, Outcome.INCONCLUSIVE),
        (0.0, 0.2, Outcome.INCONCLUSIVE),
    ],
)
def test_equivalence_holds_when_both_ends_lie_within(mean: float, spread: float, outcome: Outcome) -> None:
    change = change_of(mean, spread)
    gate = Gate(max_change=0.02)
    verdict = decide(gate, NOW, change=change)
    assert verdict.outcome is outcome
    # The same as two one-sided tests, and as both of the one-sided promises.
    assert (equivalence(change, margin=0.02).p_value < 0.025) == (outcome is Outcome.PASSED)
    both = [decide(Gate(**{name: 0.02}), NOW, change=change) for name in ("max_increase", "max_decrease")]
    assert (outcome is Outcome.PASSED) == all(one.passed for one in both)
    assert (outcome is Outcome.FAILED) == any(one.outcome is Outcome.FAILED for one in both)


def test_equivalence_of_a_value_alone_and_of_an_unchanged_model() -> None:
    alone = Gate(max_change=0.02, confidence_level=None)
    for value, outcome in ((0.02, Outcome.PASSED), (-0.02, Outcome.PASSED), (0.021, Outcome.FAILED)):
        change = compare_paired([value], [0.0], confidence_level=None)
        one = Estimate(0.4, 0.4, 0.4, 0.0, n=1, n_clusters=1, confidence_level=None)
        assert decide(alone, one, change=change).outcome is outcome
    assert decide(Gate(max_change=0.0), NOW, change=compare_paired([0.3] * 40, [0.3] * 40)).passed
    assert decide(Gate(max_change=0.0), NOW).outcome is Outcome.INCONCLUSIVE


def test_the_anchor_is_judged_by_the_same_promise_or_by_its_own() -> None:
    last, anchor = change_of(0.005), change_of(0.1)
    verdict = decide(Gate(max_increase=0.02), NOW, change=last, drift=anchor)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith("the change from the anchor is 0.100")
    assert verdict.drift is anchor
    assert decide(Gate(max_increase=0.02, max_drift=0.2), NOW, change=last, drift=anchor).passed
    assert decide(Gate(max_increase=0.2, max_drift=0.02), NOW, change=last, drift=anchor).outcome is Outcome.FAILED
    assert decide(Gate(max_change=0.02), NOW, change=last, drift=change_of(-0.1)).outcome is Outcome.FAILED
    assert decide(Gate(max_decrease=0.02), NOW, change=last, drift=change_of(-0.1)).outcome is Outcome.FAILED
    assert decide(Gate(max_increase=0.02), NOW, change=last, drift=change_of(-0.1)).passed
    # A promise that broke against the last release is told as such.
    broke = decide(Gate(max_increase=0.02), NOW, change=anchor, drift=last)
    assert broke.reason.startswith("the change is 0.100")


def test_an_anchor_that_contradicts_itself_is_an_error() -> None:
    odd = Estimate(0.5, 0.6, 0.7, 0.01, n=40, n_clusters=40)
    assert decide(Gate(max_increase=0.02), NOW, change=change_of(0.0), drift=odd).outcome is Outcome.ERROR


def test_many_looks_take_back_a_failure_and_never_a_pass() -> None:
    broken, kept = change_of(0.0275), change_of(0.0)
    gate = Gate(max_increase=0.02)
    assert decide(gate, NOW, change=broken).outcome is Outcome.FAILED
    verdict = decide(gate, NOW, change=broken, looks=look_factor(9))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "over repeated comparisons with this baseline, this may be chance" in verdict.reason
    assert decide(gate, NOW, change=kept, looks=1e6).passed
    assert decide(gate, NOW, change=change_of(0.2), looks=1e6).outcome is Outcome.FAILED
    one, many = (failure_p_value(gate, NOW, change=broken, looks=looks) for looks in (1.0, 9.0))
    assert many == pytest.approx(9 * one)
    # Holm over several promises sees the looks of each.
    for looks, outcome in ((1.0, Outcome.FAILED), (4.0, Outcome.INCONCLUSIVE)):
        failed = decide(gate, NOW, change=change_of(0.031), looks=looks)
        assert failed.outcome is Outcome.FAILED
        assert adjust_verdicts([failed, failed])[0].outcome is outcome


def test_all_looks_together_spend_less_than_twice_one() -> None:
    for plan in (7, 20):
        spent = sum(1.0 / look_factor(look, plan=plan) for look in range(1, 5000))
        assert 1.0 <= spent < 2.0
    assert sum(1.0 / look_factor(look) for look in range(1, 5000)) == pytest.approx(0.795, abs=0.001)
    assert [look_factor(look) for look in (1, 2, 3, 4)] == [5.0, 5.0, 9.0, 16.0]
    # Twenty looks that nothing counts: at most 10 % of series fail falsely, however they depend on one another.
    assert 20 * 0.025 / look_factor(1) <= 0.1
    assert look_factor(30, plan="each") == 1.0
    for wrong in (0, 1.5, True):
        with pytest.raises(InvalidParameterError, match="look"):
            look_factor(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="plan"):
        look_factor(1, plan="often")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"max_drift": 0.1}, "there is no such promise"),
        ({"max_drift": 0.1, "at_most": 0.4}, "there is no such promise"),
        ({"max_change": 0.1, "max_increase": 0.1}, "bounds the change both ways"),
        ({"max_change": -0.1}, "max_change"),
        ({"max_change": float("nan")}, "max_change"),
    ],
)
def test_bounds_that_say_nothing_or_say_it_twice(bounds: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        Gate(**bounds)


def test_a_result_that_is_stored_is_judged_against_the_anchor_alone() -> None:
    gate = Gate(max_increase=0.02)
    for drift, outcome in ((0.0, Outcome.PASSED), (0.018, Outcome.INCONCLUSIVE), (0.1, Outcome.FAILED)):
        verdict = decide(gate, NOW, drift=change_of(drift))
        assert verdict.outcome is outcome
        assert (verdict.change, verdict.passed or verdict.reason.startswith("the change from the anchor is")) == (
            None,
            True,
        )
    # One comparison spends the whole error, and the worst of several bounds decides.
    alone = failure_p_value(gate, NOW, drift=change_of(0.031))
    assert alone == pytest.approx(failure_p_value(gate, NOW, change=change_of(0.031)))
    assert adjust_verdicts([decide(gate, NOW, drift=change_of(0.1))] * 3)[0].outcome is Outcome.FAILED
    assert decide(Gate(at_most=0.5, max_increase=0.02), NOW, drift=change_of(0.1)).outcome is Outcome.FAILED
    assert decide(Gate(at_most=0.3, max_increase=0.02), NOW, drift=change_of(0.0)).outcome is Outcome.FAILED
    assert decide(Gate(max_increase=0.02, max_drift=0.2), NOW, drift=change_of(0.1)).passed


def test_looks_below_one_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="looks"):
        decide(Gate(max_increase=0.1), NOW, change=change_of(0.0), looks=0.5)
