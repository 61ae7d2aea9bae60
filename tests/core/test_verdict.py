"""Decisions: the table of outcomes, what can never pass, unchanged models, and many gates in one run."""

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core import Estimate, Gate, Outcome, Verdict, Witness, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean, holm, interval_at, non_inferiority
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.messages import interval_words
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.core.verdict import (
    CLUSTERS_NEEDED_WITHOUT_VARIANCE,
    adjust_verdicts,
    failure_p_value,
)

PASSED, FAILED, INCONCLUSIVE, ERROR = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.ERROR


def estimated(value=0.30, low=0.25, high=0.35, n=100, **keywords):
    return Estimate(value, low, high, (high - low) / 4, n=n, n_clusters=keywords.pop("n_clusters", n), **keywords)


def from_error(value, error, n):
    half = stats.t.ppf(0.75, n - 1) * error
    return Estimate(value, value - half, value + half, error, n=n, n_clusters=n, confidence_level=0.5)


def scores(n=40, seed=0):
    return np.random.default_rng(seed).beta(2, 5, size=n)


# ----------------------------------------------------------------------------------------------- the table of outcomes


@pytest.mark.parametrize(
    ("bound", "at_most", "at_least"),
    [
        (0.20, FAILED, PASSED),
        (0.2499, FAILED, PASSED),
        (0.25, INCONCLUSIVE, PASSED),
        (0.30, INCONCLUSIVE, INCONCLUSIVE),
        (0.35, PASSED, INCONCLUSIVE),
        (0.3501, PASSED, FAILED),
        (0.40, PASSED, FAILED),
    ],
)
def test_absolute_promises(bound, at_most, at_least):
    assert decide(Gate(at_most=bound), estimated()).outcome is at_most
    assert decide(Gate(at_least=bound), estimated()).outcome is at_least


@pytest.mark.parametrize(
    ("margin", "low", "high", "outcome"),
    [
        (0.02, -0.03, 0.01, PASSED),
        (0.02, -0.03, 0.02, PASSED),
        (0.02, -0.03, 0.021, INCONCLUSIVE),
        (0.02, 0.02, 0.05, INCONCLUSIVE),
        (0.02, 0.021, 0.05, FAILED),
        (0.0, -0.03, -0.01, PASSED),
        (0.0, -0.01, 0.01, INCONCLUSIVE),
    ],
)
def test_promises_about_change(margin, low, high, outcome):
    change = estimated((low + high) / 2, low, high)
    assert decide(Gate(max_increase=margin), estimated(), change=change).outcome is outcome
    mirrored = estimated(-(low + high) / 2, -high, -low)
    assert decide(Gate(max_decrease=margin), estimated(), change=mirrored).outcome is outcome


def test_the_margin_is_at_least_the_noise_floor():
    change = estimated(0.02, 0.01, 0.03)
    gate = Gate(max_increase=0.005)
    assert decide(gate, estimated(), change=change).outcome is FAILED
    assert decide(gate, estimated(), change=change, noise_floor=0.03).outcome is PASSED
    assert decide(gate, estimated(), change=change, noise_floor=0.02).outcome is INCONCLUSIVE


def test_a_zero_has_no_sign():
    found = estimated(-0.0004, -0.1, -0.0)
    assert str(found) == "0.000 [-0.100, 0.000]"
    assert interval_words(found) == "0.000 [-0.100, 0.000]"
    low = Guard("the margin", estimated(-0.3, -0.4, -0.2), least=-0.0)
    assert guarded(decide(Gate(at_most=0.4), estimated()), [low]).reason.endswith("must be at least 0")


def test_on_the_value_alone():
    for value, at_most, at_least in ((0.29, PASSED, FAILED), (0.30, PASSED, PASSED), (0.31, FAILED, PASSED)):
        estimate = estimated(value, 0.0, 1.0)
        assert decide(Gate(at_most=0.30, confidence_level=None), estimate).outcome is at_most
        assert decide(Gate(at_least=0.30, confidence_level=None), estimate).outcome is at_least
    one = estimate_mean([0.2], confidence_level=None)
    assert decide(Gate(at_most=0.30, confidence_level=None), one).outcome is PASSED
    one = estimate_mean([0.2, 0.4], confidence_level=None)
    change = compare_paired([0.2, 0.4], [0.2, 0.35])
    assert decide(Gate(max_increase=0.03, confidence_level=None), one, change=change).outcome is PASSED
    assert decide(Gate(max_increase=0.02, confidence_level=None), one, change=change).outcome is FAILED


def test_the_worst_of_several_bounds_wins():
    # Each bound alone: at_most and max_increase as named by the numbers, for all nine pairs of outcomes.
    at_most = {PASSED: 0.40, INCONCLUSIVE: 0.30, FAILED: 0.20}
    changes = {
        PASSED: estimated(0.0, -0.01, 0.01),
        INCONCLUSIVE: estimated(0.02, 0.0, 0.04),
        FAILED: estimated(0.04, 0.03, 0.05),
    }
    order = [PASSED, INCONCLUSIVE, FAILED]
    for first, second in itertools.product(order, order):
        gate = Gate(at_most=at_most[first], max_increase=0.02)
        verdict = decide(gate, estimated(), change=changes[second])
        assert verdict.outcome is max(first, second, key=order.index)
        assert (verdict.reason == "") == (verdict.outcome is PASSED)
    window = decide(Gate(at_least=0.26, at_most=0.28), estimated())
    assert window.outcome is INCONCLUSIVE
    assert decide(Gate(at_least=-0.1, at_most=0.2), estimated()).outcome is FAILED


@settings(max_examples=100, deadline=None)
@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(0.001, 1), st.floats(-2, 2))
def test_loosening_a_promise_never_makes_it_worse(value, below, above, bound):
    estimate = Estimate(value, value - below, value + above, (below + above) / 4, n=50, n_clusters=50)
    rank = {PASSED: 0, INCONCLUSIVE: 1, FAILED: 2}
    tight, loose = (decide(Gate(at_most=b), estimate) for b in (bound, bound + 0.1))
    assert rank[loose.outcome] <= rank[tight.outcome]
    mirrored = Estimate(-value, -value - above, -value + below, (below + above) / 4, n=50, n_clusters=50)
    other = decide(Gate(at_least=-bound), mirrored)
    assert (other.outcome, other.units_needed) == (tight.outcome, tight.units_needed)


# ---------------------------------------------------------------------------------------------------- other levels


def test_the_gates_level_decides():
    estimate = estimate_mean(scores(), unit_ids=range(40))
    wide = interval_at(estimate, 0.999)
    between = (estimate.high + wide.high) / 2
    assert decide(Gate(at_most=between), estimate).outcome is PASSED
    verdict = decide(Gate(at_most=between, confidence_level=0.999), estimate)
    assert verdict.outcome is INCONCLUSIVE
    assert "from the units" in verdict.reason
    assert f"{wide}" in verdict.reason
    bare = replace(estimate, values=(), unit_ids=(), clusters=())
    assert "from the standard error" in decide(Gate(at_most=between, confidence_level=0.9999), bare).reason
    assert "from the" not in decide(Gate(at_most=estimate.value), estimate).reason


def test_a_whole_set_under_a_gate_that_infers():
    whole = estimate_mean(scores(), confidence_level=None)
    again = estimate_mean(scores())
    assert decide(Gate(at_most=again.high), whole).outcome is PASSED
    assert decide(Gate(at_most=again.high - 1e-6), whole).outcome is INCONCLUSIVE
    nothing_known = replace(whole, values=(), unit_ids=())
    assert decide(Gate(at_most=1.0), nothing_known).outcome is INCONCLUSIVE


# -------------------------------------------------------------------------------------------------- what never passes

NAN = math.nan
GENEROUS = [
    Gate(at_most=10.0),
    Gate(at_least=-10.0),
    Gate(at_most=10.0, at_least=-10.0),
    Gate(max_increase=10.0),
    Gate(max_decrease=10.0),
    Gate(at_most=10.0, max_increase=10.0),
]


@pytest.mark.parametrize("gate", GENEROUS)
@pytest.mark.parametrize(
    ("estimate", "outcome"),
    [
        (Estimate(NAN, NAN, NAN, NAN, 0, 0), ERROR),
        (Estimate(NAN, 0.1, 0.2, 0.1, 9, 9), ERROR),
        (Estimate(0.1, 0.1, 0.1, 0.0, 0, 0), ERROR),
        (Estimate(0.1, NAN, 0.2, 0.1, 9, 9), INCONCLUSIVE),
        (Estimate(0.1, 0.0, NAN, 0.1, 9, 9), INCONCLUSIVE),
        (Estimate(0.1, 0.0, 0.2, 0.1, 9, 9, n_missing=1), INCONCLUSIVE),
        (Estimate(0.1, 0.0, 0.2, 0.1, 9, 1), INCONCLUSIVE),
        (estimate_mean([0.1]), INCONCLUSIVE),
        (estimate_mean([0.1, 0.2], clusters=["same", "same"]), INCONCLUSIVE),
        (estimate_mean([0.1, 0.1, 0.1]), INCONCLUSIVE),
        (estimate_mean([0.1, 0.2, NAN]), INCONCLUSIVE),
        (estimate_mean([NAN]), ERROR),
    ],
    ids=str,
)
def test_what_never_passes(gate, estimate, outcome):
    # The same for the value and for the change; a change is asked for with a good estimate beside it.
    good = estimate_mean(scores())
    value, change = (good, estimate) if gate.needs_baseline else (estimate, None)
    verdict = decide(gate, value, change=change)
    assert verdict.outcome is outcome
    assert verdict.reason


@pytest.mark.parametrize("gate", GENEROUS)
def test_missing_scores_of_the_candidate_do_not_pass_either(gate):
    estimate = estimate_mean([*scores(), NAN])
    unchanged = compare_paired(scores(), scores())
    verdict = decide(gate, estimate, change=unchanged)
    assert verdict.outcome is INCONCLUSIVE
    assert "1 of 41 units" in verdict.reason
    on_value = replace(gate, confidence_level=None)
    assert decide(on_value, estimate, change=unchanged).outcome is INCONCLUSIVE


def test_what_is_there_can_fail_although_something_is_missing():
    assert decide(Gate(at_most=0.01), estimate_mean([*scores(), NAN])).outcome is FAILED


@pytest.mark.parametrize("gate", [Gate(max_increase=1.0), Gate(max_decrease=1.0), Gate(at_most=1.0, max_increase=1.0)])
@pytest.mark.parametrize("level", [0.95, None])
def test_no_baseline(gate, level):
    verdict = decide(replace(gate, confidence_level=level), estimate_mean(scores()))
    assert verdict.outcome is INCONCLUSIVE
    assert "no comparable baseline" in verdict.reason


# ------------------------------------------------------------------------------------------------------ zero variance


def test_equal_values_from_few_clusters():
    few = CLUSTERS_NEEDED_WITHOUT_VARIANCE - 1
    constant = estimate_mean([0.2] * few)
    for gate in (Gate(at_most=0.5), Gate(at_most=0.1)):
        verdict = decide(gate, constant)
        assert (verdict.outcome, verdict.units_needed) == (INCONCLUSIVE, 1)
        assert "does not vary over 29 clusters" in verdict.reason
    clustered = estimate_mean([0.2] * 50, clusters=np.arange(50) // 5)
    assert decide(Gate(at_most=0.5), clustered).units_needed == 100
    enough = estimate_mean([0.2] * CLUSTERS_NEEDED_WITHOUT_VARIANCE)
    assert decide(Gate(at_most=0.5), enough).outcome is PASSED
    assert decide(Gate(at_most=0.1), enough).outcome is FAILED
    assert decide(Gate(at_most=0.5, confidence_level=None), constant).outcome is PASSED


def test_the_constant_comes_from_the_rule_of_three():
    # With G equal clusters, a share of others above 1 - 0.05^(1/G) would have shown itself with 95 %.
    assert (
        1 - 0.05 ** (1 / CLUSTERS_NEEDED_WITHOUT_VARIANCE)
        < 0.1
        < 1 - 0.05 ** (1 / (CLUSTERS_NEEDED_WITHOUT_VARIANCE - 2))
    )


def test_an_unchanged_model_passes_its_own_baseline_every_time():
    for seed in range(10):
        for n in (2, 5, 40):
            values = scores(n, seed)
            change = compare_paired(values, values, unit_ids=range(n))
            for promise in (0.02, 0.0):
                for gate in (Gate(max_increase=promise), Gate(max_decrease=promise)):
                    verdict = decide(gate, estimate_mean(values), change=change)
                    assert (verdict.outcome, verdict.reason) == (PASSED, "")
            # Absolute promises about the same units have rules of their own.
            if n == 2:
                assert decide(Gate(at_most=0.9), estimate_mean([0.3, 0.3])).outcome is INCONCLUSIVE


def test_unchanged_up_to_numeric_noise_and_rounding():
    values = scores(5)
    estimate = estimate_mean(values)
    rounding = compare_paired(values + 1e-15, values)
    assert decide(Gate(max_increase=0.0), estimate, change=rounding).outcome is PASSED
    shifted = compare_paired(values + 0.001, values)
    # Five clusters that all changed by the same amount: no spread, but a change, so that nothing is known of others.
    assert decide(Gate(max_increase=0.02), estimate, change=shifted).outcome is INCONCLUSIVE
    assert decide(Gate(max_increase=0.02), estimate, change=shifted, noise_floor=0.0011).outcome is PASSED
    without_units = replace(compare_paired(values, values), values=())
    assert decide(Gate(max_increase=0.0), estimate, change=without_units).outcome is PASSED


def test_one_cluster_is_not_enough_even_when_unchanged():
    change = compare_paired([0.3, 0.4], [0.3, 0.4], clusters=["q", "q"])
    estimate = estimate_mean([0.3, 0.4])
    assert decide(Gate(max_increase=0.02), estimate, change=change).outcome is INCONCLUSIVE
    assert decide(Gate(max_increase=0.02, confidence_level=None), estimate, change=change).outcome is PASSED


# ------------------------------------------------------------------------------------------------- how many more units


def test_more_units_decide():
    # Take the advice: repeat the units until there are that many more, and the same gate decides.
    values = scores(40)
    estimate = estimate_mean(values, method="t")
    for bound in (estimate.value + 0.02, estimate.value - 0.02):
        gate = Gate(at_most=bound)
        verdict = decide(gate, estimate)
        assert verdict.outcome is INCONCLUSIVE
        assert f"about {verdict.units_needed} more units would decide" in verdict.reason

        def after(n, gate=gate):
            clusters = n
            error = values.std(ddof=1) / math.sqrt(clusters)
            return decide(gate, from_error(estimate.value, error, clusters)).outcome

        assert after(40 + verdict.units_needed) is (PASSED if bound > estimate.value else FAILED)
        assert after(40 + verdict.units_needed - 1) is INCONCLUSIVE


def test_more_units_in_clusters():
    clustered = estimated(n=500, n_clusters=100)
    alone = estimated(n=100)
    gate = Gate(at_most=0.32)
    assert decide(gate, clustered).units_needed == 5 * decide(gate, alone).units_needed


def test_no_number_of_units_decides():
    verdict = decide(Gate(at_most=0.30), estimated())
    assert (verdict.outcome, verdict.units_needed) == (INCONCLUSIVE, None)
    assert "no number of units" in verdict.reason
    # With one bound out of reach the whole gate is.
    assert decide(Gate(at_most=0.30, at_least=0.26), estimated()).units_needed is None
    both = decide(Gate(at_most=0.32, at_least=0.26), estimated())
    assert both.units_needed == max(
        decide(Gate(at_most=0.32), estimated()).units_needed, decide(Gate(at_least=0.26), estimated()).units_needed
    )
    assert decide(Gate(at_most=0.2), estimated()).units_needed is None
    assert decide(Gate(at_most=0.4), estimated()).units_needed is None


# -------------------------------------------------------------------------------------------------------- what is told


def test_the_reason_is_one_sentence_with_the_numbers():
    assert decide(Gate(at_most=0.2), estimated()).reason == "the value is 0.300 [0.250, 0.350] and must be at most 0.2"
    change = estimated(0.04, 0.03, 0.05)
    verdict = decide(Gate(max_increase=0.02), estimated(), change=change)
    assert verdict.reason == "the change is 0.040 [0.030, 0.050] and must be at most 0.02"
    verdict = decide(Gate(max_decrease=0.02), estimated(), change=estimated(-0.04, -0.05, -0.03))
    assert verdict.reason == "the change is -0.040 [-0.050, -0.030] and must be at least -0.02"


def test_everything_passes_through():
    witness, gate, estimate, change = Witness("q1", 0.9), Gate(at_most=0.4), estimated(), estimated(0.0, -0.1, 0.1)
    verdict = decide(gate, estimate, change=change, witness=witness)
    assert verdict == Verdict(PASSED, gate, estimate, change, witness)
    assert verdict.witness is witness


@pytest.mark.parametrize("floor", [-0.1, math.inf, math.nan, "0.1", True])
def test_noise_floor_errors(floor):
    for function in (decide, failure_p_value):
        with pytest.raises(InvalidParameterError, match="'noise_floor' parameter of"):
            function(Gate(at_most=0.1), estimated(), noise_floor=floor)


# -------------------------------------------------------------------------------------------------- many gates, one run


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 30), st.floats(0.05, 0.6), st.sampled_from([0.8, 0.95]))
def test_the_p_value_agrees_with_the_verdict(seed, n, bound, level):
    estimate = estimate_mean(scores(n, seed), clusters=np.arange(n) // 2 if n > 5 else None)
    for gate in (Gate(at_most=bound, confidence_level=level), Gate(at_least=bound, confidence_level=level)):
        failed = decide(gate, estimate).outcome is FAILED
        p_value = failure_p_value(gate, estimate)
        if abs(p_value - (1 - level) / 2) > 1e-9 and p_value < (1 - level) / 2:
            assert failed
        plain = estimate_mean(estimate.values, clusters=estimate.clusters or None, method="t")
        p_value = failure_p_value(gate, plain)
        if abs(p_value - (1 - level) / 2) > 1e-9:
            assert (decide(gate, plain).outcome is FAILED) == (p_value < (1 - level) / 2)


def test_the_p_value_of_a_change():
    generator = np.random.default_rng(0)
    baseline = scores(30)
    change = compare_paired(baseline + generator.normal(0.05, 0.05, size=30), baseline)
    p_value = failure_p_value(Gate(max_increase=0.02), estimated(n=30), change=change)
    assert p_value < 0.025
    assert decide(Gate(max_increase=0.02), estimated(n=30), change=change).outcome is FAILED
    assert non_inferiority(change, margin=0.02).p_value >= 1 - p_value - 0.05
    assert failure_p_value(Gate(max_increase=0.0), estimated(n=30), change=compare_paired(baseline, baseline)) == 1.0
    both = failure_p_value(Gate(max_increase=0.02, max_decrease=0.02), estimated(n=30), change=change)
    assert both == pytest.approx(2 * p_value)


def test_no_p_value():
    assert math.isnan(failure_p_value(Gate(at_most=0.1, confidence_level=None), estimated()))
    assert math.isnan(failure_p_value(Gate(at_most=0.1), estimate_mean([0.2, 0.2])))
    assert math.isnan(failure_p_value(Gate(at_most=0.1), estimate_mean([0.2])))
    assert math.isnan(failure_p_value(Gate(max_increase=0.1), estimated()))
    # A promise that shows nothing does not hide one that does.
    alone = failure_p_value(Gate(at_most=0.22), estimated())
    assert failure_p_value(Gate(at_most=0.22, max_increase=0.1), estimated()) == pytest.approx(2 * alone)


def test_holm_takes_back_failures_that_chance_explains():
    clear = decide(Gate(at_most=0.05), estimate_mean(scores()))
    slight = decide(Gate(at_most=estimate_mean(scores()).low - 1e-4), estimate_mean(scores()))
    passed = decide(Gate(at_most=0.9), estimate_mean(scores()))
    by_value = decide(Gate(at_most=0.05, confidence_level=None), estimate_mean(scores()))
    broken = decide(Gate(at_most=0.9), estimate_mean([math.nan]))
    run = [clear, slight, passed, by_value, broken]
    assert [verdict.outcome for verdict in run] == [FAILED, FAILED, PASSED, FAILED, ERROR]
    adjusted = adjust_verdicts(run)
    assert [verdict.outcome for verdict in adjusted] == [FAILED, INCONCLUSIVE, PASSED, FAILED, ERROR]
    assert "among 3 promises this may be chance" in adjusted[1].reason
    assert adjusted[0] == clear
    p_values = [failure_p_value(verdict.gate, verdict.estimate) for verdict in run[:3]]
    assert [p < 0.025 for p in holm(p_values)] == [True, False, False]
    assert adjust_verdicts([slight]) == (slight,)
    assert adjust_verdicts(run, method="none") == tuple(run)
    assert adjust_verdicts([]) == ()


def test_adjusting_knows_the_noise_floor():
    values = scores(30)
    noise = np.random.default_rng(0).normal(0, 0.002, size=30)
    change = compare_paired(values + 0.05 + noise, values)
    verdict = decide(Gate(max_increase=0.02), estimated(n=30), change=change, noise_floor=0.03)
    assert verdict.outcome is FAILED
    assert adjust_verdicts([verdict], noise_floors=[0.03]) == (verdict,)


def test_errors_of_adjusting():
    verdict = decide(Gate(at_most=0.2), estimated())
    with pytest.raises(InvalidParameterError, match="'method' parameter of adjust_p_values"):
        adjust_verdicts([verdict], method="sidak")
    with pytest.raises(InvalidParameterError, match="'method' parameter of adjust_p_values"):
        adjust_verdicts([], method="sidak")
    with pytest.raises(InvalidParameterError, match="'noise_floors' parameter of adjust_verdicts"):
        adjust_verdicts([verdict], noise_floors=[])


# -------------------------------------------------------------------------- what only a fault would show: small corners


@pytest.mark.parametrize("n", [2, 3, 5, 40])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
def test_the_advice_is_exact_for_few_units_too(n, share):
    values = scores(n)
    estimate = estimate_mean(values, method="t")
    for bound in (estimate.value + share * (estimate.high - estimate.value), estimate.value * (1 - 1e-3 * share)):
        gate = Gate(at_most=bound)
        more = decide(gate, estimate).units_needed

        def after(n, gate=gate):
            error = values.std(ddof=1) / math.sqrt(n)
            return decide(gate, from_error(estimate.value, error, n)).outcome

        assert after(n + more) in {PASSED, FAILED}
        if more > 1:
            assert after(n + more - 1) is INCONCLUSIVE
    # One more unit is advised where one more is enough.
    close = Gate(at_most=estimated().high - 1e-6)
    assert decide(close, estimated()).units_needed == 1


def test_a_bound_at_a_distance_of_one_is_within_reach():
    assert decide(Gate(at_most=1.0), estimated(0.0, -1.5, 1.5)).units_needed > 1


def test_two_clusters_can_decide():
    two = estimate_mean([0.2, 0.3], method="t")
    assert decide(Gate(at_most=10.0), two).outcome is PASSED
    assert decide(Gate(at_most=-10.0), two).outcome is FAILED
    assert failure_p_value(Gate(at_most=-10.0), two) < 0.025


def test_a_score_without_a_value_has_no_change():
    change = compare_paired(scores(), scores())
    for estimate in (Estimate(NAN, 0.1, 0.2, 0.1, 9, 9), Estimate(0.1, 0.1, 0.1, 0.0, 0, 0)):
        assert decide(Gate(max_increase=1.0), estimate, change=change).outcome is ERROR


def test_a_change_that_was_not_measured_everywhere_is_not_an_unchanged_model():
    missing = compare_paired(scores(), [NAN, *scores()[1:]])
    verdict = decide(Gate(max_increase=1.0), estimate_mean(scores()), change=missing)
    assert verdict.outcome is INCONCLUSIVE
    assert "1 of 40 units" in verdict.reason
    nothing = Estimate(0.0, 0.0, 0.0, 0.0, 0, 0)
    gate = Gate(max_increase=0.0, confidence_level=None)
    assert decide(gate, estimate_mean(scores()), change=nothing).outcome is ERROR


def test_a_change_of_exactly_the_noise_floor_is_noise():
    shifted = compare_paired([0.5, 0.75, 1.0], [0.25, 0.5, 0.75])
    estimate = estimate_mean([0.5, 0.75, 1.0])
    assert decide(Gate(max_increase=0.0), estimate, change=shifted, noise_floor=0.25).outcome is PASSED
    assert decide(Gate(max_increase=0.0), estimate, change=shifted, noise_floor=0.2499).outcome is not PASSED


@pytest.mark.parametrize(
    ("value", "width", "outcome"),
    [(1000.0, 5e-10, INCONCLUSIVE), (1000.0, 2e-9, PASSED), (0.5, 5e-13, INCONCLUSIVE), (0.5, 1.5e-12, PASSED)],
)
def test_no_spread_is_seen_below_rounding(value, width, outcome):
    estimate = Estimate(value, value - width / 2, value + width / 2, width / 4, n=9, n_clusters=9)
    assert decide(Gate(at_most=value + 1), estimate).outcome is outcome


def test_p_values_of_a_loss_and_of_a_gain_mirror_each_other():
    candidate = scores(30) + np.random.default_rng(0).normal(0.05, 0.05, size=30)
    gain, loss = compare_paired(candidate, scores(30)), compare_paired(scores(30), candidate)
    for floor in (0.0, 0.03):
        p_value = failure_p_value(Gate(max_decrease=0.02), estimated(n=30), change=loss, noise_floor=floor)
        mirrored = failure_p_value(Gate(max_increase=0.02), estimated(n=30), change=gain, noise_floor=floor)
        assert p_value == pytest.approx(mirrored, rel=1e-9)
        assert 0 < p_value < 0.1


def test_only_a_change_can_be_unchanged():
    # Forty scores of 0 are a score of 0; forty differences of 0 are not a change, and neither are two.
    assert failure_p_value(Gate(at_least=0.1), estimate_mean([0.0] * 40)) < 0.025
    for n in (2, 40):
        unchanged = compare_paired(scores(n), scores(n))
        assert failure_p_value(Gate(max_increase=0.0), estimated(n=n), change=unchanged) == 1.0


def test_what_cannot_be_trusted_has_no_p_value():
    gate = Gate(at_most=0.1)
    assert math.isnan(failure_p_value(gate, Estimate(0.3, 0.25, 0.35, 0.025, n=9, n_clusters=1)))
    assert math.isnan(failure_p_value(gate, Estimate(0.3, NAN, 0.35, 0.025, n=9, n_clusters=9)))
    assert math.isnan(failure_p_value(gate, Estimate(0.3, 0.25, NAN, 0.025, n=9, n_clusters=9)))
    # It does not hide what the other bound shows, whichever comes first.
    untrusted, change = estimate_mean([0.2] * 5), estimated(0.04, 0.03, 0.05, n=5)
    alone = failure_p_value(Gate(max_increase=0.02), untrusted, change=change)
    both = failure_p_value(Gate(at_most=0.5, max_increase=0.02), untrusted, change=change)
    assert both == pytest.approx(2 * alone)


def test_p_values_of_several_bounds_stay_below_one():
    assert failure_p_value(Gate(at_least=0.0, at_most=0.6), estimated()) == 1.0


def _failed_change(n_errors, floor=0.0):
    """A change that is ``n_errors`` standard errors above the larger of a margin of 0.02 and the floor."""
    value = max(0.02, floor) + n_errors * 0.01
    change = Estimate(value, value - 0.0196, value + 0.0196, 0.01, n=10_000, n_clusters=10_000)
    verdict = decide(Gate(max_increase=0.02), estimated(n=10_000), change=change, noise_floor=floor)
    assert verdict.outcome is FAILED
    return verdict


def test_changes_are_adjusted_as_levels_are():
    clear, slight = _failed_change(9.0), _failed_change(2.0)
    outcomes = [verdict.outcome for verdict in adjust_verdicts([slight, clear, slight])]
    assert outcomes == [INCONCLUSIVE, FAILED, INCONCLUSIVE]
    # Two gates are many enough for an adjustment, and it takes back no more than it must.
    assert [verdict.outcome for verdict in adjust_verdicts([slight, slight])] == [INCONCLUSIVE] * 2
    assert [verdict.outcome for verdict in adjust_verdicts([slight, clear])] == [FAILED] * 2
    assert [verdict.outcome for verdict in adjust_verdicts([slight, clear], method="bonferroni")] == [
        INCONCLUSIVE,
        FAILED,
    ]


def test_an_adjusted_change_is_held_against_its_own_noise_floor():
    slight = _failed_change(2.0, floor=0.1)
    adjusted = adjust_verdicts([slight, slight], noise_floors=[0.1, 0.1])
    assert [verdict.outcome for verdict in adjusted] == [INCONCLUSIVE] * 2
    # Against a smaller floor the same changes are clear.
    assert adjust_verdicts([slight, slight]) == (slight, slight)


def test_an_error_without_an_estimate_is_left_alone():
    error = Verdict(ERROR, Gate(at_most=0.1), None, reason="the survey could not be read")
    slight = _failed_change(2.0)
    adjusted = adjust_verdicts([error, slight, slight])
    assert [verdict.outcome for verdict in adjusted] == [ERROR, INCONCLUSIVE, INCONCLUSIVE]
    assert adjusted[0] == error


INF = math.inf
CONTRADICTIONS = [
    (Estimate(0.5, 0.0, 0.1, 0.02, 40, 40), "lies outside its interval"),
    (Estimate(-0.5, 0.0, 0.1, 0.02, 40, 40), "lies outside its interval"),
    (Estimate(0.1, 0.2, 0.0, 0.02, 40, 40), "is above its upper end"),
    (Estimate(-INF, -INF, 0.1, 0.02, 40, 40), "is not finite"),
    (Estimate(0.0, -INF, 0.1, 0.02, 40, 40), "is not finite"),
    (Estimate(0.0, -0.1, INF, 0.02, 40, 40), "is not finite"),
    (Estimate(0.0, -0.1, 0.1, -0.02, 40, 40), "its standard error is -0.02"),
    (Estimate(0.0, -0.1, 0.1, INF, 40, 40), "its standard error is inf"),
    (Estimate(0.0, -0.1, 0.1, 0.02, -40, 40), "it counts -40 units"),
    (Estimate(0.0, -0.1, 0.1, 0.02, 40, 41), "41 clusters"),
    (Estimate(0.0, -0.1, 0.1, 0.02, 40, -2), "-2 clusters"),
    (Estimate(0.0, -0.1, 0.1, 0.02, 40, 40, n_missing=-1), "-1 missing units"),
    (Estimate(0.0, -0.1, 0.1, 0.02, 40, 40, values=(0.0,) * 5), "counts 40 units and keeps 5"),
    (Estimate(0.0, -0.1, 0.1, 0.02, 40, 40, unit_ids=("a",)), "counts 40 units and keeps 1"),
]


@pytest.mark.parametrize("gate", GENEROUS)
@pytest.mark.parametrize(("record", "message"), CONTRADICTIONS)
@pytest.mark.parametrize("level", [0.95, 0.9, None])
def test_a_record_that_contradicts_itself_is_an_error(gate, record, message, level):
    good = estimated(0.0, -0.1, 0.1, n=40)
    gate = replace(gate, confidence_level=level)
    for estimate, change in ((record, good), (good, record) if gate.needs_baseline else (record, None)):
        witness = Witness("q1", 0.5, "Is it so?")
        verdict = decide(gate, estimate, change=change, witness=witness)
        assert verdict.outcome is ERROR
        assert (verdict.gate, verdict.witness) == (gate, witness)
        # Identity, because a record with NaN does not equal itself.
        assert verdict.estimate is estimate
        assert verdict.change is change
        assert message in verdict.reason
        wrong = "the value" if estimate is record else "the change"
        assert verdict.reason.startswith(f"the record of {wrong} contradicts itself: ")
    assert math.isnan(failure_p_value(Gate(at_most=-1.0), record))
    assert math.isnan(failure_p_value(Gate(max_increase=0.0), record, change=good))
    assert math.isnan(failure_p_value(Gate(max_increase=0.0), good, change=record))
    assert decide(gate, good, change=good).outcome is PASSED


@pytest.mark.parametrize("gate", [Gate(max_increase=9.0), Gate(max_decrease=9.0), Gate(max_increase=0.0)])
def test_a_change_of_other_units_is_not_comparable(gate):
    estimate = estimate_mean(scores(), unit_ids=range(40))
    fewer = compare_paired(scores(5), scores(5, seed=1))
    renamed = compare_paired(scores(), scores(), unit_ids=range(1, 41))
    for change in (fewer, replace(fewer, values=()), renamed, estimated(0.5, 0.4, 0.6)):
        verdict = decide(gate, estimate, change=change)
        assert verdict.outcome is INCONCLUSIVE
        assert "not comparable" in verdict.reason
        assert math.isnan(failure_p_value(gate, estimate, change=change))
    # The same units pass in any order; a baseline without one of the scores is missing it, not another set.
    order = np.random.default_rng(0).permutation(40)
    same = compare_paired(scores()[order], scores()[order], unit_ids=order)
    assert decide(gate, estimate, change=same).outcome is PASSED
    gap = compare_paired(scores(), [NAN, *scores()[1:]], unit_ids=range(40))
    assert "1 of 40 units" in decide(gate, estimate, change=gap).reason


@pytest.mark.parametrize("function", [decide, failure_p_value])
def test_what_is_no_record_is_refused(function):
    for arguments, name in (((Gate(at_most=1), None), "estimate"), ((0.5, estimated()), "gate")):
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of {function.__name__} must be"):
            function(*arguments)
    with pytest.raises(InvalidParameterError, match="'change' parameter of"):
        function(Gate(max_increase=1), estimated(), change=0.1)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, Fraction])
def test_any_real_number_is_a_bound(kind):
    gate = Gate(at_most=kind(1), max_increase=kind(0))
    assert (gate.at_most, gate.max_increase) == (1, 0)
    json.dumps([gate.at_most, gate.max_increase])
    if kind is not np.int64:
        level = Gate(at_most=1, confidence_level=kind(0.5)).confidence_level
        assert type(level) is float
    for wrong in (True, np.True_, "1", kind(0) + 1j if kind is not Fraction else 1j):
        with pytest.raises(InvalidParameterError, match="'at_most' parameter of Gate must be a finite number"):
            Gate(at_most=wrong)
