"""Odd arguments of untyped callers: always the one error grammar, never a traceback from inside numpy or a warning."""

import math

import numpy as np
import pytest

from pytest_pluralism.core import metrics
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    bound_p_value,
    clustered_standard_error,
    compare_crossed,
    compare_paired,
    effective_sample_size,
    equivalence,
    estimate_crossed,
    estimate_mean,
    interval_at,
    kish_design_effect,
    mcnemar,
    non_inferiority,
    power_of_gate,
    resample_human_distributions,
    sampling_error_of_distance,
    sign_flip,
    subtract_estimates,
)
from pytest_pluralism.core.parameters import cluster_codes

P, Q = [0.2, 0.3, 0.5], [0.5, 0.25, 0.25]
VOTES = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
MASKED = np.ma.masked_array([1, 2], mask=[0, 1])
HUGE = [1e308] * 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.bridging_intercepts(VOTES, rng="x"), "'rng' parameter of bridging_intercepts"),
        (lambda: metrics.bridging_intercepts(VOTES, rng=-1), "'rng' parameter of bridging_intercepts"),
        (lambda: metrics.bridging_intercepts(VOTES, factor_penalty=1e100), r"'factor_penalty' .* \(0, 1e\+12\]"),
        (lambda: metrics.classification_scores([[1], [1, 2]], [1, 2], labels=[1, 2]), "'predicted' .* rows of one len"),
        (lambda: metrics.classification_scores([1, 2], [1, 2], labels=None), "'labels' parameter of classification"),
        (lambda: metrics.classification_scores([1, 2], [1, 2], labels=[[1], [2]]), "hashable labels"),
        (lambda: metrics.classification_scores([1, 2], [1, 2], labels=[1, 2], drop=[]), "'drop' and 'unparsed'"),
        (lambda: metrics.group_weighted_welfare([1, 2], None, alpha=1), "'groups' .* one label a juror"),
        (lambda: metrics.welfare([1, 2], alpha=1, missing=MASKED), "'missing' parameter of welfare must be one of"),
        (lambda: metrics.welfare_curve([1, 2], alphas=[[1], [1, 2]]), "'alphas' parameter of welfare_curve"),
        (lambda: metrics.mode_agreement(P, Q, ties=MASKED), "'ties' parameter of mode_agreement must be one of"),
        (lambda: metrics.shuffle_control(P, Q, measure="js"), "'measure' .* must be a function. Got 'js'"),
        (lambda: metrics.sampling_floor(P, n_respondents=100, method=MASKED), "'method' parameter of sampling_floor"),
        (lambda: metrics.population_fidelity_score(None, [P]), "'model' .* a sequence with one entry a question"),
        (lambda: metrics.commensurate([[1.0, 2.0]], None), "'functions' .* a sequence of callables. Got None"),
        (lambda: metrics.entropy(HUGE), r"'p' parameter of entropy must be of a magnitude up to 1e\+150"),
        (
            lambda: metrics.attribute_faithfulness(HUGE, ["a", "a", "b", "b"]),
            r"of a magnitude up to 1e\+150 \(rescale it\)",
        ),
        (lambda: interval_at(None, 0.9), "'estimate' parameter of interval_at must be an Estimate. Got None"),
        (lambda: bound_p_value("x", 0.1, alternative="less"), "'estimate' parameter of bound_p_value"),
        (lambda: non_inferiority(None, margin=0.1), "'change' parameter of non_inferiority must be an Estimate"),
        (lambda: equivalence(None, margin=0.1), "'change' parameter of non_inferiority must be an Estimate"),
        (lambda: subtract_estimates(1, 2), "'left' parameter of subtract_estimates must be an Estimate"),
        (lambda: power_of_gate(None, difference=0.1), "'estimate' parameter of power_of_gate must be an Estimate"),
        (lambda: estimate_mean(HUGE), r"'values' .* of a magnitude up to 1e\+150"),
        (lambda: estimate_mean([10**400, 1]), r"'values' .* of a magnitude up to 1e\+150"),
        (lambda: power_of_gate(estimate_mean([0.1, 0.2]), difference=10**400), r"'difference' .* up to 1e\+150"),
        (lambda: power_of_gate(estimate_mean([0.1, 0.2]), difference=1, n=10**400), "'n' .* at most 100,000,000"),
        (lambda: estimate_mean([0.1] * 4, weights=HUGE), r"'weights' .* of a magnitude up to 1e\+150"),
        (lambda: estimate_mean([0.1, 0.2], method=MASKED), "'method' parameter of estimate_mean must be one of"),
        (lambda: clustered_standard_error([0.1] * 4, weights=HUGE), r"'weights' .* of a magnitude up to 1e\+150"),
        (lambda: compare_paired(HUGE, HUGE), r"'candidate' .* of a magnitude up to 1e\+150"),
        (lambda: compare_crossed(HUGE, HUGE, HUGE, HUGE), r"of a magnitude up to 1e\+150"),
        (lambda: estimate_crossed([0.1, 0.2], [0.1, 0.2], unit_ids=None), "'unit_ids' .* a sequence of names"),
        (lambda: sign_flip([0.1, 0.2], margin=1e308), r"'margin' .* of a magnitude up to 1e\+150"),
        (lambda: mcnemar([1, 0], [0, 1], alternative=MASKED), "'alternative' parameter of mcnemar must be one of"),
        (lambda: resample_human_distributions([P], 1e300, n_resamples=2, rng=0), "'n_respondents'"),
        (lambda: sampling_error_of_distance([P], [Q], 100, distance="js"), "'distance' .* must be a function"),
        (lambda: cluster_codes([[1], [2]], 2, function="f"), r"hashable ones\). Got \[1\] at position 0"),
        (lambda: cluster_codes(["a", "b", None, "a"], 4, function="f"), "a label for every unit. Got None at pos.* 2"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InvalidParameterError, match=message):
        call()


def test_seeds_are_generators():
    for function, keywords in (
        (metrics.shuffle_control, {"method": "monte_carlo", "n_draws": 50}),
        (
            lambda p, _, **rest: metrics.sampling_floor(
                p, n_respondents=100, method="resampling", n_resamples=50, **rest
            ),
            {},
        ),
    ):
        assert function(P, Q, rng=3, **keywords) == function(P, Q, rng=np.random.default_rng(3), **keywords)


def test_the_smallest_numbers_keep_their_ratios():
    assert metrics.gini_coefficient([5e-324, 0, 0]) == pytest.approx(2 / 3)
    assert metrics.atkinson_index([5e-324, 0, 0], alpha=0.5) == pytest.approx(
        metrics.atkinson_index([1, 0, 0], alpha=0.5)
    )
    assert kish_design_effect([5e-324, 0, 0, 0]) == 4.0
    assert effective_sample_size([1e-200] * 3) == 3.0
    assert math.isnan(metrics.gini_coefficient([0.0, 0.0]))


def test_mcnemar_of_many_units():
    better, worse = np.ones(30_000), np.zeros(30_000)
    left = np.concatenate([better[:14_700], worse[:15_300]])
    assert mcnemar(left, 1 - left, alternative="less").p_value == pytest.approx(0.000271, rel=0.01)
