"""Shares: against scipy, a published table, sums over all outcomes, and the verdicts and plans that use them."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core import Gate, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    bound_p_value,
    clopper_pearson_interval,
    clustered_standard_error,
    compare_paired,
    estimate_mean,
    interval_at,
    power_of_gate,
    smallest_detectable_difference,
    units_needed,
    wilson_interval,
)
from pytest_pluralism.core.verdict import CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE

quick = settings(max_examples=60, deadline=None)

#: R. G. Newcombe, Statist. Med. 17, 1998, table I: method 3 (Wilson) and method 5 (Clopper and Pearson).
NEWCOMBE = {
    (81, 263): ((0.2553, 0.3662), (0.2527, 0.3676)),
    (15, 148): ((0.0624, 0.1605), (0.0578, 0.1617)),
    (0, 20): ((0.0, 0.1611), (0.0, 0.1684)),
    (1, 29): ((0.0061, 0.1718), (0.0009, 0.1776)),
}


def yes_and_no(n_yes, n):
    return [1.0] * n_yes + [0.0] * (n - n_yes)


@pytest.mark.parametrize(("n_yes", "n"), [*NEWCOMBE, (29, 29)])
@pytest.mark.parametrize(("ours", "method"), [(wilson_interval, "wilson"), (clopper_pearson_interval, "exact")])
def test_intervals_are_scipys(n_yes, n, ours, method):
    expected = stats.binomtest(n_yes, n).proportion_ci(0.95, method=method)
    assert ours(n_yes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_newcombe_1998_table_1():
    for (n_yes, n), (wilson, exact) in NEWCOMBE.items():
        assert wilson_interval(n_yes, n) == pytest.approx(wilson, abs=5e-5)
        assert clopper_pearson_interval(n_yes, n) == pytest.approx(exact, abs=5e-5)


@pytest.mark.parametrize("n", [2, 7, 10, 25, 50])
def test_each_end_of_a_gate_errs_at_most_at_its_level(n):
    # All outcomes, no simulation: a true share of exactly the bound, and how often a gate decides all the same.
    intervals = [estimate_mean(yes_and_no(k, n)) for k in range(n + 1)]
    for truth in (0.03, 0.1, 0.35, 0.5, 0.8, 0.9, 0.97):
        chance = stats.binom.pmf(np.arange(n + 1), n, truth)
        too_low = sum(chance[k] for k, one in enumerate(intervals) if one.high < truth)
        too_high = sum(chance[k] for k, one in enumerate(intervals) if one.low > truth)
        assert max(too_low, too_high) <= 0.025


def test_wilson_is_there_by_name():
    values = yes_and_no(5, 8)
    alone = estimate_mean(values, method="wilson")
    assert (alone.low, alone.high, alone.method) == (*wilson_interval(5, 8), "wilson")
    clusters = [0, 0, 1, 1, 2, 2, 3, 3]
    clustered = estimate_mean(values, clusters=clusters, method="wilson")
    error = clustered_standard_error(values, clusters=clusters)
    effective = (5 / 8 * 3 / 8) / error**2
    z = stats.t.ppf(0.975, 3)
    middle = (5 / 8 + z**2 / 2 / effective) / (1 + z**2 / effective)
    assert (clustered.low + clustered.high) / 2 == pytest.approx(middle, rel=1e-9)
    assert interval_at(clustered, 0.9).method == "wilson, clustered, from the units"


def test_clusters_after_korn_and_graubard_1998():
    generator = np.random.default_rng(2)
    clusters = np.arange(60) // 4
    values = (generator.normal(size=15)[clusters] + generator.normal(size=60) > 0.6).astype(float)
    share, error = values.mean(), clustered_standard_error(values, clusters=clusters)
    effective = min(share * (1 - share) / error**2, 60) * (stats.t.ppf(0.975, 59) / stats.t.ppf(0.975, 14)) ** 2
    yes = share * effective
    expected = (
        stats.beta.ppf(0.025, yes, effective - yes + 1),
        stats.beta.ppf(0.975, yes + 1, effective - yes),
    )
    estimate = estimate_mean(values, clusters=clusters)
    assert (estimate.low, estimate.high) == pytest.approx(expected, rel=1e-9)
    assert estimate.method == "clopper-pearson, clustered"
    # Whole clusters that agree count as one unit each.
    agreed = estimate_mean([1.0] * 60, clusters=clusters)
    assert agreed.low == pytest.approx(clopper_pearson_interval(15, 15)[0], rel=1e-12)


@pytest.mark.parametrize(("n_yes", "n"), [(7, 20), (0, 12), (12, 12), (1, 30)])
@pytest.mark.parametrize("limit", [0.05, 0.35, 0.5, 0.97])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_p_values_are_the_exact_binomial_tests(n_yes, n, limit, alternative):
    expected = stats.binomtest(n_yes, n, limit, alternative=alternative).pvalue
    assert bound_p_value(estimate_mean(yes_and_no(n_yes, n)), limit, alternative=alternative) == pytest.approx(
        expected, rel=1e-9
    )


def test_p_value_of_wilson_is_the_score_test():
    estimate = estimate_mean(yes_and_no(7, 20), method="wilson")
    z = (0.35 - 0.5) / math.sqrt(0.25 / 20)
    assert bound_p_value(estimate, 0.5, alternative="less") == pytest.approx(stats.norm.cdf(z), rel=1e-9)
    assert bound_p_value(estimate, 1.0, alternative="greater") == 1.0
    assert bound_p_value(estimate, 1.0, alternative="less") == 0.0


@pytest.mark.parametrize("method", ["auto", "wilson"])
@pytest.mark.parametrize("clusters", [None, np.arange(20) // 3])
def test_the_p_value_of_an_end_is_half_the_rest(method, clusters):
    estimate = estimate_mean(yes_and_no(7, 20), clusters=clusters, method=method)
    assert bound_p_value(estimate, estimate.high, alternative="less") == pytest.approx(0.025, rel=1e-6)
    assert bound_p_value(estimate, estimate.low, alternative="greater") == pytest.approx(0.025, rel=1e-6)


@pytest.mark.whole
@quick
@given(st.integers(2, 30), st.data())
def test_p_values_fall_with_the_distance_and_agree_with_the_gate(n, data):
    values = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))
    clusters = data.draw(st.one_of(st.none(), st.lists(st.integers(0, 6), min_size=n, max_size=n)))
    if clusters is not None and len(set(clusters)) < 2:
        return
    estimate = estimate_mean(values, clusters=clusters)
    bounds = np.linspace(0.01, 0.99, 25)
    p_values = [bound_p_value(estimate, bound, alternative="greater") for bound in bounds]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(p_values))
    for bound, p_value in zip(bounds, p_values, strict=True):
        if abs(estimate.low - bound) > 1e-9:
            assert (p_value < 0.025) == (estimate.low > bound)
    flipped = estimate_mean([1.0 - value for value in values], clusters=clusters)
    assert bound_p_value(flipped, 0.7, alternative="less") == pytest.approx(
        bound_p_value(estimate, 0.3, alternative="greater"), rel=1e-6, abs=1e-12
    )


@quick
@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.01, 0.99))
def test_intervals_stay_inside_and_mirror(n_yes, more, level):
    n = n_yes + more
    if n == 0:
        return
    for interval in (wilson_interval, clopper_pearson_interval):
        low, high = interval(n_yes, n, confidence_level=level)
        assert 0 <= low <= n_yes / n <= high <= 1
        assert low < high
        assert interval(more, n, confidence_level=level) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wider = clopper_pearson_interval(n_yes, n, confidence_level=(1 + level) / 2)
    assert wider[0] <= low
    assert wider[1] >= high


def test_agreement_of_few_units_proves_nothing():
    enough = CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE
    for n, outcome in ((2, "inconclusive"), (enough - 1, "inconclusive"), (enough, "passed")):
        verdict = decide(Gate(at_least=0.1), estimate_mean([1.0] * n))
        assert verdict.outcome == outcome
        if outcome == "inconclusive":
            assert verdict.units_needed == enough - n
    # Differences that are all 1 are not a share.
    assert decide(
        Gate(max_decrease=0.1), estimate_mean([1.0] * 12), change=compare_paired([1.0] * 12, [0.0] * 12)
    ).outcome == ("inconclusive")


# ---------------------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(("n_yes", "n", "difference"), [(30, 50, 0.15), (48, 50, 0.1), (4, 40, 0.08)])
def test_power_is_the_share_of_outcomes_that_decide(n_yes, n, difference):
    run = estimate_mean(yes_and_no(n_yes, n))
    truth = n_yes / n
    chance = stats.binom.pmf(np.arange(n + 1), n, truth)
    intervals = [clopper_pearson_interval(k, n) for k in range(n + 1)]
    powers = []
    if truth - difference > 0:
        powers.append(sum(chance[k] for k in range(n + 1) if intervals[k][0] > truth - difference))
    if truth + difference < 1:
        powers.append(sum(chance[k] for k in range(n + 1) if intervals[k][1] < truth + difference))
    assert power_of_gate(run, difference=difference) == pytest.approx(min(powers), abs=1e-9)


def test_plans_of_a_share():
    run = estimate_mean(yes_and_no(40, 50))
    for power in (0.5, 0.8, 0.9):
        n = units_needed(run, difference=0.1, power=power)
        assert power_of_gate(run, difference=0.1, n=n) >= power > power_of_gate(run, difference=0.1, n=n - 1)
    smallest = smallest_detectable_difference(run)
    assert power_of_gate(run, difference=smallest) >= 0.8
    assert power_of_gate(run, difference=0.98 * smallest) < 0.8
    assert smallest_detectable_difference(estimate_mean(yes_and_no(25, 50)), n=2) == math.inf
    # A run in which everyone says yes still plans: its successors decide once the exact interval clears the bound.
    agreed = estimate_mean([1.0] * 12)
    n = units_needed(agreed, difference=0.1)
    assert clopper_pearson_interval(n, n)[0] > 0.9 > clopper_pearson_interval(n - 1, n - 1)[0]
    assert power_of_gate(agreed, difference=0.5, n=CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE - 1) == 0.0


def test_plans_of_a_clustered_share_by_simulation():
    generator = np.random.default_rng(8)
    clusters = np.arange(200) // 4

    def draw():
        shared, own = generator.normal(size=50)[clusters], generator.normal(size=200)
        return ((0.6 * shared + 0.8 * own) > -0.5244).astype(float)  # a share of 0.7

    runs = [estimate_mean(draw(), clusters=clusters) for _ in range(400)]
    decided = np.mean([run.low > 0.7 - 0.13 for run in runs])
    planned = np.mean([power_of_gate(run, difference=0.13) for run in runs[:40]])
    assert planned == pytest.approx(decided, abs=0.12)


def test_the_advice_of_an_undecided_share():
    estimate = estimate_mean(yes_and_no(30, 50))
    verdict = decide(Gate(at_least=0.5), estimate)
    assert verdict.outcome == "inconclusive"
    n = 50 + verdict.units_needed
    assert clopper_pearson_interval(0.6 * n, n)[0] > 0.5 > clopper_pearson_interval(0.6 * (n - 1), n - 1)[0]


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((1, 0), {}, r"'n' parameter of clopper_pearson_interval must be a number in \(0, inf\)"),
        ((3, 2), {}, r"'n_yes' parameter of clopper_pearson_interval must be a number in \[0, 2\]"),
        ((None, 2), {}, "'n_yes' parameter of clopper_pearson_interval must be a real number. Got None"),
        ((1, 2), {"confidence_level": 95}, "'confidence_level' parameter of clopper_pearson_interval"),
    ],
)
def test_errors(arguments, keywords, message):
    with pytest.raises(InvalidParameterError, match=message):
        clopper_pearson_interval(*arguments, **keywords)


@pytest.mark.parametrize("method", ["auto", "wilson"])
@pytest.mark.parametrize("n_yes", [0, 10, 12])
@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]])
def test_without_its_units_a_share_has_the_same_interval_at_another_level(method, n_yes, clusters):
    # Stretched as t's, that of 10 of 12 would end above 1 at 99 %, and contradict the p-value.
    estimate = estimate_mean(yes_and_no(n_yes, 12), clusters=clusters, method=method)
    bare = replace(estimate, values=(), unit_ids=(), clusters=())
    for level in (1e-17, 0.5, 0.8, 0.99, 0.999):
        anew, made = interval_at(estimate, level), interval_at(bare, level)
        assert (made.low, made.high) == (anew.low, anew.high)
        assert made.method.endswith("from the standard error")


def test_plans_of_many_sizes_count_each_unit():
    # 49 * (53 / 49) is a rounding above 53, which must not pass for units in clusters.
    estimate = estimate_mean(yes_and_no(16, 49))
    for n in (53, 63, 106):
        least = power_of_gate(estimate, difference=0.15, n=n)
        exact = [float(stats.binom.sf(stats.binom.isf(0.025, n, one - 0.15), n, one)) for one in (16 / 49, 33 / 49)]
        assert least == pytest.approx(min(exact), abs=1e-12)


def test_one_cluster_that_holds_most_units_makes_the_interval_wide_instead_of_wrong():
    # Its residuals nearly balance themselves, so that the plain clustered error is far too small.
    generator = np.random.default_rng(3)
    sizes = [2] * 9 + [200]
    clusters = np.repeat(np.arange(10), sizes)
    wrong = 0
    for _ in range(60):
        shared, own = generator.normal(size=10)[clusters], generator.normal(size=218)
        estimate = estimate_mean((0.55 * shared + 0.83 * own > 0).astype(float), clusters=clusters)
        wrong += not estimate.low <= 0.5 <= estimate.high
        for side, end in (("greater", estimate.low), ("less", estimate.high)):
            # From one level to the other and back: the p-value of an end is its level.
            if 1e-9 < end < 1 - 1e-9:
                assert bound_p_value(estimate, end, alternative=side) == pytest.approx(0.025, rel=1e-3)
    assert wrong <= 4
    assert estimate.degrees_of_freedom < 2
