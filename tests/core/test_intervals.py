"""Intervals for means: against scipy, against formulas written out differently, and by their properties."""

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
    clustered_standard_error,
    compare_paired,
    estimate_mean,
    interval_at,
    wilson_interval,
)
from pytest_pluralism.core.estimation.intervals import ALLOWANCE_OF_CHANGES, ALLOWANCE_OF_VALUES
from pytest_pluralism.core.estimation.skewness import HEAVIEST_TAILS, TAILS_OF_CHANGES

scores = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=2, max_size=30)
quick = settings(max_examples=60, deadline=None)


def skewed(n, seed=0):
    return np.random.default_rng(seed).beta(1.0, 6.0, size=n)


# ------------------------------------------------------------------------------------- independent implementations


def test_t_is_scipys_when_units_stand_alone():
    values = skewed(17)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    estimate = estimate_mean(values, method="t", confidence_level=0.9)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected), rel=1e-12)
    assert estimate.standard_error == pytest.approx(stats.sem(values), rel=1e-12)
    assert (estimate.n, estimate.n_clusters, estimate.confidence_level) == (17, 17, 0.9)


def test_clustered_standard_error_as_a_double_sum_over_pairs():
    # Miller 2024 (arXiv:2411.00640), section 2.2: the sum over pairs within clusters of the products of residuals.
    values = skewed(12)
    clusters = [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4]
    mean = values.mean()
    total = 0.0
    for i in range(12):
        for j in range(12):
            if clusters[i] == clusters[j]:
                total += (values[i] - mean) * (values[j] - mean)
    assert clustered_standard_error(values, clusters=clusters) == pytest.approx(
        math.sqrt(5 / 4 * total) / 12, rel=1e-12
    )


def test_equal_clusters_are_their_means():
    values = skewed(40).reshape(8, 5)
    labels = np.repeat(list("abcdefgh"), 5)
    by_unit = estimate_mean(values.ravel(), clusters=labels)
    by_mean = estimate_mean(values.mean(axis=1))
    assert (by_unit.value, by_unit.low, by_unit.high, by_unit.standard_error) == pytest.approx(
        (by_mean.value, by_mean.low, by_mean.high, by_mean.standard_error), rel=1e-9
    )


def test_worked_by_hand():
    # Clusters {1, 3} and {5, 9}: mean 4.5, cluster totals of residuals -5 and 5, so SE = sqrt(2 * 50) / 4 = 2.5;
    # t with 1 degree of freedom at 97.5 % is 12.7062.
    estimate = estimate_mean([1.0, 3.0, 5.0, 9.0], clusters=["a", "a", "b", "b"], method="t")
    assert estimate.value == 4.5
    assert estimate.standard_error == 2.5
    assert estimate.high - estimate.value == pytest.approx(12.7062047 * 2.5, rel=1e-8)


def test_efron_and_tibshirani_table_2_1():
    # The mouse data, "An Introduction to the Bootstrap", table 2.1: means 86.86 and 56.22, standard errors 25.24 and
    # 14.14 (the latter printed from rounded squares; the data give 14.16).
    treatment = estimate_mean([94, 197, 16, 38, 99, 141, 23])
    control = estimate_mean([52, 104, 146, 10, 51, 30, 40, 27, 46])
    assert (round(treatment.value, 2), round(treatment.standard_error, 2)) == (86.86, 25.24)
    assert (round(control.value, 2), round(control.standard_error, 2)) == (56.22, 14.16)


def test_two_way_standard_error_from_indicator_matrices():
    # Cameron, Gelbach and Miller 2011, equation 2.10: V = V_1 + V_2 - V_12 with the Hadamard form of each term.
    generator = np.random.default_rng(3)
    question, juror = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6)
    values = generator.normal(size=6)[question] + generator.normal(size=5)[juror] + generator.normal(size=30)
    residual = values - values.mean()

    def term(same):
        n_clusters = len(np.unique(same.argmax(axis=1)))
        return n_clusters / (n_clusters - 1) * residual @ same @ residual / 30**2

    by_question = np.equal.outer(question, question)
    by_juror = np.equal.outer(juror, juror)
    variance = term(by_question) + term(by_juror) - term(by_question & by_juror)
    assert variance > 0
    estimate = estimate_mean(values, clusters=question, other_clusters=juror)
    assert estimate.standard_error == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert estimate.n_clusters == 5
    assert estimate.high - estimate.value == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(variance), rel=1e-9)


def test_two_way_falls_back_to_the_greater_one_way_variance():
    # A Latin-square pattern: every row and column has the same total, so V_1 + V_2 - V_12 is negative.
    square = np.array([[1.0, 0.0, 0.5], [0.5, 1.0, 0.0], [0.0, 0.5, 1.1]])
    row, column = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    rows = clustered_standard_error(square.ravel(), clusters=row)
    columns = clustered_standard_error(square.ravel(), clusters=column)
    cells = clustered_standard_error(square.ravel())
    assert rows**2 + columns**2 - cells**2 < 0
    both = clustered_standard_error(square.ravel(), clusters=row, other_clusters=column)
    assert both == pytest.approx(max(rows, columns), rel=1e-12)


def test_weighted_mean_by_repeating_units():
    # A weight of 3 is three equal units of one cluster.
    values, weights = np.array([0.1, 0.4, 0.2, 0.9]), np.array([1, 3, 2, 1])
    weighted = estimate_mean(values, weights=weights, method="t")
    repeated = estimate_mean(np.repeat(values, weights), clusters=np.repeat(np.arange(4), weights), method="t")
    assert (weighted.value, weighted.standard_error, weighted.low) == pytest.approx(
        (repeated.value, repeated.standard_error, repeated.low), rel=1e-12
    )
    assert weighted.values == ()
    automatic = estimate_mean(values, weights=weights)
    repeated = estimate_mean(
        np.repeat(values, weights), clusters=np.repeat(np.arange(4), weights), method="satterthwaite"
    )
    assert (automatic.low, automatic.high) == pytest.approx((repeated.low, repeated.high), rel=1e-12)


def test_degrees_of_freedom_from_the_eigenvalues_of_the_quadratic_form():
    # Satterthwaite: (sum of eigenvalues)^2 / (sum of their squares) of the matrix behind the variance estimator.
    sizes = np.array([1, 2, 2, 5, 9, 1])
    labels = np.repeat(np.arange(6), sizes)
    values = skewed(len(labels))
    w = sizes / sizes.sum()
    residual_maker = np.eye(6) - np.outer(np.ones(6), w)
    scaled = np.diag(w / np.sqrt(1 - 2 * w + np.sum(w**2))) @ residual_maker
    eigenvalues = np.linalg.eigvalsh(scaled @ scaled.T)
    freedom = eigenvalues.sum() ** 2 / np.sum(eigenvalues**2)
    means = np.array([values[labels == g].mean() for g in range(6)])
    error = math.sqrt(np.sum((scaled @ means) ** 2))
    estimate = estimate_mean(values, clusters=labels, method="satterthwaite")
    assert estimate.high - estimate.value == pytest.approx(stats.t.ppf(0.975, freedom) * error, rel=1e-9)
    assert f"{freedom:.1f} degrees of freedom" in estimate.method


def allowance(n, z=1.959963984540054):
    """Return how far z standard errors of a normal sample's skewness move an end (Johnson 1978), in standard errors."""
    error = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return z * error * (1 + 2 * z**2) / (6 * math.sqrt(n))


def test_the_standard_error_of_skewness():
    # Fisher's formula is that of the bias-corrected skewness of normal samples.
    drawn = stats.skew(np.random.default_rng(5).standard_normal((20_000, 25)), axis=1, bias=False)
    z = 1.0
    assert allowance(25, z) * 6 * math.sqrt(25) / 3 == pytest.approx(drawn.std(), rel=0.03)


@pytest.mark.parametrize("n", [8, 25, 400])
@pytest.mark.parametrize("sign", [1, -1])
def test_ends_of_a_change_solve_halls_equation(n, sign):
    # Hall 1992: g(S) = S + a S^2 + a^2 S^3 / 3 + skewness / (6 n) with a = skewness / 3 equals t / sqrt(n) at an end.
    values = sign * skewed(n)
    estimate, plain = estimate_mean(values, method="outer"), estimate_mean(values, method="t")
    sigma, skewness = values.std(ddof=1), stats.skew(values)
    assert abs(skewness) > 0.5
    side = (estimate.high if sign > 0 else estimate.low) - values.mean()
    side -= sign * ALLOWANCE_OF_CHANGES * allowance(n) * sigma / math.sqrt(n)
    s, a = -side / sigma, skewness / 3
    solved = s + a * s**2 + a**2 * s**3 / 3 + skewness / (6 * n)
    assert solved == pytest.approx(-sign * stats.t.ppf(0.975, n - 1) / math.sqrt(n), rel=1e-9)
    # On the side without the long tail the end is never inside that of t.
    inner, of_t = (estimate.low, plain.low) if sign > 0 else (estimate.high, plain.high)
    assert sign * inner <= sign * of_t


def test_few_large_differences_widen_both_sides():
    values = np.zeros(40)
    values[:8] = [0.3, -0.2, 0.05, 0.02, -0.04, 0.1, 0.01, -0.01]
    change, plain = compare_paired(values, np.zeros(40)), estimate_mean(values, method="outer")
    wider = 1 + TAILS_OF_CHANGES * min(math.sqrt(stats.kurtosis(values) - math.sqrt(24 / 40)), HEAVIEST_TAILS)
    assert wider > 1.4
    assert change.high - change.value == pytest.approx(wider * (plain.high - plain.value))
    assert change.value - change.low == pytest.approx(wider * (plain.value - plain.low))


@pytest.mark.parametrize("n", [25, 100, 400])
@pytest.mark.parametrize("sign", [1, -1])
def test_ends_of_a_value_are_johnsons(n, sign):
    # Johnson 1978: skewness moves an end by skewness (1 + 2 t^2) / (6 sqrt(n)) standard errors.
    values = sign * skewed(n)
    estimate = estimate_mean(values, method="skewness")
    error, skewness = stats.sem(values), abs(stats.skew(values))
    t = stats.t.ppf(0.975, n - 1)
    moves = skewness * (1 + 2 * t * t) / (6 * math.sqrt(n))
    ends = sorted(
        abs(end - estimate.value) / error - ALLOWANCE_OF_VALUES * allowance(n) for end in estimate_ends(estimate)
    )
    assert ends == pytest.approx([t / (1 + moves / t), t + (1 + 2.5 / math.sqrt(n)) * moves], rel=1e-9)


def estimate_ends(estimate):
    return estimate.low, estimate.high


@pytest.mark.parametrize("n", [2, 3, 5, 9, 10, 11, 25, 100])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_an_end_follows_every_score_on_its_side_of_the_mean(n, level):
    """Lowering a score that is not above the mean never raises the lower end, and the mirror image."""
    generator = np.random.default_rng([n, round(1000 * level)])
    for _ in range(200):
        shape = generator.choice([0.2, 0.5, 1.0, 4.0], size=2)
        values = generator.beta(*shape, size=n)
        below = np.flatnonzero(values <= values.mean())
        lowered = values.copy()
        lowered[generator.choice(below)] *= generator.choice([0.0, 0.5, 0.999])
        before, after = (estimate_mean(one, confidence_level=level) for one in (values, lowered))
        assert after.low <= before.low + 1e-12
        mirrored = [estimate_mean(1 - one, confidence_level=level) for one in (values, lowered)]
        assert mirrored[1].high >= mirrored[0].high - 1e-12


# ------------------------------------------------------------------------------------------------ what is written down


def test_the_automatic_rule():
    few = skewed(30)
    for values in (few, skewed(3), skewed(2000)):
        assert estimate_mean(values).method == "clustered t, corrected for skewness"
    assert estimate_mean(few, clusters=np.arange(30) // 5).method == "clustered t, corrected for skewness"
    very_unequal = [0] * 21 + list(range(1, 10))
    assert estimate_mean(few, clusters=very_unequal).method == "clustered t, 1.0 degrees of freedom"
    assert estimate_mean(few, weights=np.ones(30)).method == "weighted clustered t"
    assert estimate_mean(few, clusters=np.arange(30) // 5, other_clusters=np.arange(30) % 5).method == (
        "two-way clustered t"
    )
    assert estimate_mean((few > 0.1).astype(float)).method == "clopper-pearson"


def test_finite_set():
    estimate = estimate_mean([0.1, 0.3], confidence_level=None, unit_ids=["a", "b"], clusters=["x", "x"])
    assert (estimate.value, estimate.low, estimate.high, estimate.standard_error) == (0.2, 0.2, 0.2, 0.0)
    assert (estimate.unit_ids, estimate.values, estimate.clusters) == (("a", "b"), (0.1, 0.3), ("x", "x"))


def test_one_cluster_shows_nothing_about_others():
    for estimate in (estimate_mean([0.3]), estimate_mean([0.3, 0.4, 0.5], clusters=[1, 1, 1])):
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)
        assert math.isnan(estimate.standard_error)
        assert estimate.n_clusters == 1


def test_missing_scores_are_counted_and_their_units_left_out():
    estimate = estimate_mean([0.1, math.nan, 0.3, 0.5], clusters=["a", "b", "c", "c"], unit_ids=[1, 2, 3, 4])
    full = estimate_mean([0.1, 0.3, 0.5], clusters=["a", "c", "c"], unit_ids=[1, 3, 4])
    assert estimate.n_missing == 1
    assert replace(estimate, n_missing=0) == full
    assert (estimate.unit_ids, estimate.clusters) == (("1", "3", "4"), ("a", "c", "c"))
    nothing = estimate_mean([math.nan, math.nan])
    assert (nothing.n, nothing.n_clusters, nothing.n_missing) == (0, 0, 2)
    assert math.isnan(nothing.value)


def test_stored_labels_keep_clusters_apart():
    assert estimate_mean([0.1, 0.2, 0.3], clusters=["a", "b", "b"]).clusters == ("a", "b", "b")
    assert len(set(estimate_mean([0.1, 0.2], clusters=[1, "1"]).clusters)) == 2
    pairs = estimate_mean([0.1, 0.2], clusters=["q", "r"], other_clusters=["x", "y"])
    assert (pairs.clusters, pairs.other_clusters) == (("q", "r"), ("x", "y"))
    assert estimate_mean([0.1, 0.2]).clusters == ()


@pytest.mark.parametrize("method", ["auto", "t", "satterthwaite", "skewness"])
@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 2, 2, 2, 3, 4, 5, 5]])
def test_interval_at_another_level_is_the_one_made_there(method, clusters):
    values = skewed(10)
    estimate = estimate_mean(values, clusters=clusters, method=method, unit_ids=range(10))
    again = interval_at(estimate, 0.8)
    direct = estimate_mean(values, clusters=clusters, method=method, confidence_level=0.8)
    assert (again.low, again.high) == pytest.approx((direct.low, direct.high), rel=1e-12)
    assert again.method.endswith(", from the units")
    assert interval_at(again, 0.95).low == pytest.approx(estimate.low, rel=1e-12)
    assert interval_at(estimate, 0.95) is estimate


def test_interval_at_another_level_without_the_units():
    estimate = replace(estimate_mean(skewed(10), method="t"), values=(), unit_ids=())
    again = interval_at(estimate, 0.99)
    assert again.high - again.value == pytest.approx(stats.t.ppf(0.995, 9) * estimate.standard_error, rel=1e-9)
    assert again.method == "t, from the standard error"
    whole = interval_at(estimate, None)
    assert whole.low == whole.value == whole.high
    assert math.isnan(interval_at(whole, 0.95).low)


LEVELS = (0.5, 0.9, 0.95, 0.99, 0.999)


def check_monotone(estimate):
    ends = [(at.low, at.high) for at in (interval_at(estimate, level) for level in LEVELS)]
    for (low, high), (wider_low, wider_high) in itertools.pairwise(ends):
        assert wider_low <= low <= high <= wider_high


@pytest.mark.parametrize("weights", [[1, 1] + [0] * 38, [9, 1] + [0] * 38, [30] * 2 + [1] * 38, [1] * 40])
def test_weighted_intervals_grow_with_the_level(weights):
    values = skewed(40)
    estimate = estimate_mean(values, weights=weights)
    check_monotone(estimate)
    # The degrees of freedom stay: the interval at another level is the one that would have been made there.
    for level in LEVELS:
        direct = estimate_mean(values, weights=weights, confidence_level=level)
        again = interval_at(estimate, level)
        assert (again.low, again.high) == pytest.approx((direct.low, direct.high), rel=1e-9)
        p_value = bound_p_value(estimate, direct.low, alternative="greater")
        assert p_value == pytest.approx((1 - level) / 2, rel=1e-6)


@pytest.mark.parametrize("values", [skewed(12), [0.0] * 9, [0.0, 1.0, 1.0, 1.0, 1.0]])
def test_intervals_without_their_units_keep_their_shape(values):
    estimate = replace(estimate_mean(values), values=())
    check_monotone(estimate)
    again = interval_at(interval_at(estimate, 0.99), 0.95)
    assert (again.low, again.high) == pytest.approx((estimate.low, estimate.high), rel=1e-9)
    assert again.method.count("from the standard error") == 1


def test_units_of_weight_0_are_no_evidence():
    for values, weights, clusters in (
        ([0.1] + [0.9] * 39, [1] + [0] * 39, None),
        ([0.1, math.nan, 0.2, 0.9], [1, 0, 2, 0], None),
        ([0.1, 0.3, 0.2, 0.9], [1, 2, 2, 0], ["a", "a", "b", "c"]),
    ):
        used = [i for i, weight in enumerate(weights) if weight]
        estimate = estimate_mean(values, weights=weights, clusters=clusters)
        alone = estimate_mean(
            [values[i] for i in used],
            weights=[weights[i] for i in used],
            clusters=None if clusters is None else [clusters[i] for i in used],
        )
        assert repr(estimate) == repr(alone)
        assert estimate.n == len(used)
        assert estimate.n_missing == 0
    error = clustered_standard_error([0.1, 0.2, 0.9], weights=[1, 1, 0])
    assert error == clustered_standard_error([0.1, 0.2], weights=[1, 1])
    assert (
        decide(Gate(at_most=0.5), estimate_mean([0.1] + [0.9] * 39, weights=[1] + [0] * 39)).outcome == "inconclusive"
    )
    # Nearly all the weight on one unit: its residual is below rounding, and nothing is known of others.
    for weights in ([1] + [1e-20] * 39, [1] + [1e-300] * 39):
        lonely = estimate_mean([0.1] + [0.9] * 39, weights=weights)
        assert decide(Gate(at_most=0.5), lonely).outcome == "inconclusive"


def test_interval_at_keeps_two_way_clusters():
    question, juror = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6)
    values = np.random.default_rng(3).normal(size=6)[question] + skewed(30)
    for level in (0.95, None):
        estimate = estimate_mean(values, clusters=question, other_clusters=juror, confidence_level=level)
        direct = estimate_mean(values, clusters=question, other_clusters=juror, confidence_level=0.9)
        assert interval_at(estimate, 0.9).low == pytest.approx(direct.low, rel=1e-12)


@pytest.mark.parametrize("method", ["t", "satterthwaite", "skewness", "outer"])
@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 2, 2, 2, 3, 4, 5, 5]])
@pytest.mark.parametrize("keep", [True, False])
def test_p_value_of_an_end_is_half_the_rest(method, clusters, keep):
    estimate = estimate_mean(skewed(10), clusters=clusters, method=method)
    if not keep:
        estimate = replace(estimate, values=(), clusters=())
    if method == "skewness" and keep:
        # With less allowance than the p-value has, an end is reached sooner than the p-value falls to half the rest.
        assert bound_p_value(estimate, estimate.high, alternative="less") > 0.025
        assert bound_p_value(estimate, estimate.low, alternative="greater") > 0.025
        estimate = estimate_mean(skewed(10), clusters=clusters, method="outer")
    assert bound_p_value(estimate, estimate.high, alternative="less") == pytest.approx(0.025, rel=1e-6)
    assert bound_p_value(estimate, estimate.low, alternative="greater") == pytest.approx(0.025, rel=1e-6)
    assert bound_p_value(estimate, estimate.high, alternative="greater") >= 0.975 - 1e-6


def test_p_value_of_a_constant_and_of_the_unknown():
    constant = estimate_mean([0.3, 0.3, 0.3], method="t")
    assert bound_p_value(constant, 0.2, alternative="greater") == 0.0
    assert bound_p_value(constant, 0.3, alternative="greater") == 1.0
    assert math.isnan(bound_p_value(estimate_mean([0.3]), 0.2, alternative="greater"))
    assert math.isnan(bound_p_value(estimate_mean([0.3, 0.4], confidence_level=None), 0.2, alternative="less"))


# ---------------------------------------------------------------------------------------------------------- properties


@quick
@given(scores, st.sampled_from(["auto", "t", "skewness"]), st.randoms(use_true_random=False))
def test_the_interval_holds_the_value_and_ignores_the_order(values, method, random):
    estimate = estimate_mean(values, method=method)
    assert estimate.low <= estimate.value <= estimate.high
    places = list(range(len(values)))
    random.shuffle(places)
    shuffled = estimate_mean([values[i] for i in places], method=method)
    assert shuffled.value == estimate.value
    assert (shuffled.low, shuffled.high) == pytest.approx((estimate.low, estimate.high), rel=1e-9, abs=1e-12)


@quick
@given(scores, st.floats(-3, 3), st.floats(0.1, 5), st.sampled_from(["t", "skewness"]))
def test_shift_and_scale(values, shift, scale, method):
    # Spreads of the size of a rounding are not told apart from none after a shift.
    values = np.array(values)
    if np.ptp(values) < 1e-3:
        return
    clusters = np.arange(len(values)) // 2
    if clusters.max() == 0:
        clusters = None
    plain = estimate_mean(values, clusters=clusters, method=method)
    moved = estimate_mean(shift + scale * values, clusters=clusters, method=method)
    if plain.standard_error < 1e-6:
        return
    expected = [shift + scale * end for end in (plain.value, plain.low, plain.high)]
    assert [moved.value, moved.low, moved.high] == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert moved.standard_error == pytest.approx(scale * plain.standard_error, rel=1e-6)


@quick
@given(scores, st.floats(0.5, 0.9), st.floats(0.91, 0.99))
def test_higher_confidence_is_never_narrower(values, less, more):
    narrow, wide = estimate_mean(values, confidence_level=less), estimate_mean(values, confidence_level=more)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_inputs_stay_as_they_were():
    values, weights, clusters = skewed(20), np.ones(20), np.arange(20) // 3
    copies = [array.copy() for array in (values, weights, clusters)]
    for array in (values, weights, clusters):
        array.flags.writeable = False
    estimate_mean(values, clusters=clusters)
    estimate_mean(values, clusters=clusters, weights=weights)
    estimate_mean(values, clusters=clusters, other_clusters=np.arange(20) % 3)
    estimate_mean(values, clusters=clusters, method="bca", n_resamples=99)
    for array, copy in zip((values, weights, clusters), copies, strict=True):
        assert (array == copy).all()


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("values", "keywords", "message"),
    [
        ([], {}, "'values' parameter of estimate_mean must be a non-empty array"),
        ([[0.1, 0.2]], {}, "'values' parameter of estimate_mean must be a non-empty array with one axis"),
        ([0.1, math.inf], {}, "'values' parameter of estimate_mean must be finite everywhere. Got inf at index 1"),
        (["a"], {}, "'values' parameter of estimate_mean must be an array of numbers"),
        ([0.1, 0.2], {"clusters": [1]}, "'clusters' parameter of estimate_mean must be one label a unit"),
        ([0.1, 0.2], {"unit_ids": ["a", "a"]}, "'unit_ids' parameter of estimate_mean must be all different"),
        ([0.1, 0.2], {"clusters": 5}, "'clusters' parameter of estimate_mean must be one label a unit (2). Got 5"),
        ([0.1, 0.2], {"clusters": [[1], [2]]}, "'clusters' parameter of estimate_mean must be labels that can be told"),
        ([0.1, 0.2], {"clusters": [1, None]}, "must be a label for every unit. Got None at position 1 instead."),
        ([0.1, 0.2], {"clusters": [math.nan, 1]}, "must be a label for every unit. Got nan at position 0 instead."),
        ([0.1, 0.2], {"clusters": np.array([1, math.nan], np.float32)}, "'clusters' parameter of estimate_mean must"),
        ([0.1, 0.2], {"other_clusters": [1, None]}, "'other_clusters' parameter of estimate_mean must be a label"),
        ([0.1, 0.2], {"unit_ids": 5}, "'unit_ids' parameter of estimate_mean must be one name a unit"),
        (
            [0.1, 0.2],
            {"method": "bca", "rng": "x"},
            "'rng' parameter of estimate_mean must be a numpy.random.Generator",
        ),
        ([0.1, 0.2], {"method": "bca", "rng": -1}, "'rng' parameter of estimate_mean must be a numpy.random.Generator"),
        ([0.1, 0.2], {"method": "bca", "n_resamples": 1.5}, "'n_resamples' parameter of estimate_mean must be an int"),
        ([0.1, 0.2], {"method": "bca", "n_resamples": 0}, "'n_resamples' parameter of estimate_mean must be an int"),
        ([0.1, 0.2], {"unit_ids": ["a"]}, "'unit_ids' parameter of estimate_mean must be one name a unit"),
        ([0.1, 0.2], {"weights": [1, -1]}, "'weights' parameter of estimate_mean must be finite and non-negative"),
        ([0.1, 0.2], {"weights": [0, 0]}, "'weights' parameter of estimate_mean must be positive for at least one"),
        ([0.1, 0.2], {"weights": [1]}, "'weights' parameter of estimate_mean must be one number a unit"),
        ([0.1, math.nan], {"weights": [0, 1]}, "'weights' parameter of estimate_mean must be positive"),
        ([0.1, 0.2], {"confidence_level": 95}, "'confidence_level' parameter of estimate_mean must be a float in"),
        ([0.1, 0.2], {"method": "normal"}, "'method' parameter of estimate_mean must be one of 'auto'"),
        ([0.1, 0.2], {"method": "wilson"}, "'method' parameter of estimate_mean must be another one unless"),
        ([0.1, 0.2], {"method": "bca", "weights": [1, 2]}, "must be 'auto' or 't'"),
    ],
)
def test_errors(values, keywords, message):
    with pytest.raises(InvalidParameterError) as caught:
        estimate_mean(values, **keywords)
    assert message in str(caught.value)


def test_errors_of_wilson_and_p_values():
    for arguments in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(InvalidParameterError, match="parameter of wilson_interval must be"):
            wilson_interval(*arguments)
    with pytest.raises(InvalidParameterError, match="'alternative' parameter of bound_p_value"):
        bound_p_value(estimate_mean([0.1, 0.2]), 0.1, alternative="two-sided")
    with pytest.raises(InvalidParameterError, match="finite everywhere"):
        clustered_standard_error([0.1, math.nan])


def test_every_name_of_the_package_loads():
    from pytest_pluralism.core import estimation

    assert sorted(estimation.__all__) == sorted(dir(estimation))
    for name in estimation.__all__:
        found = getattr(estimation, name)
        assert found.__name__ == name
        assert found.__module__.startswith("pytest_pluralism.core.estimation.")
    with pytest.raises(AttributeError, match="attribute bootstrap"):
        estimation.bootstrap  # noqa: B018


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([0.1, 0.2, 9.9], mask=[0, 0, 1]),
        ["0.1", "0.2", "0.3"],
        np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"),
        np.array([0.1, 0.2j]),
    ],
    ids=["masked", "texts", "dates", "complex"],
)
def test_what_only_looks_like_scores_is_refused(values):
    for measured in (
        lambda: estimate_mean(values),
        lambda: compare_paired(values, [0.1] * len(values)),
        lambda: compare_paired([0.1] * len(values), values),
        lambda: estimate_mean([0.1] * len(values), weights=values),
    ):
        with pytest.raises(InvalidParameterError, match="must be"):
            measured()
