"""Paired comparisons: against scipy, published examples, enumeration by hand, and properties."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    compare_paired,
    equivalence,
    estimate_mean,
    interval_at,
    mcnemar,
    non_inferiority,
    sign_flip,
    subtract_estimates,
)
from pytest_pluralism.core.estimation.intervals import allowance_of
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.estimation.skewness import HEAVIEST_TAILS, TAILS_OF_CHANGES
from pytest_pluralism.core.records import Scores, UnitScore

#: Fisher 1935, "The Design of Experiments", section 17: Darwin's maize, crossed minus self-fertilised, in inches / 8.
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]

quick = settings(max_examples=60, deadline=None)
differences = st.lists(st.integers(-20, 20), min_size=2, max_size=9)


def two_sides(n=20, seed=0):
    generator = np.random.default_rng(seed)
    baseline = generator.beta(2, 5, size=n)
    return baseline + generator.normal(0.02, 0.05, size=n), baseline


# ----------------------------------------------------------------------------------------------------- differences


def test_compare_paired_is_scipys_paired_t():
    candidate, baseline = two_sides()
    change = compare_paired(candidate, baseline, method="t")
    expected = stats.ttest_rel(candidate, baseline).confidence_interval(0.95)
    assert (change.low, change.high) == pytest.approx(tuple(expected), rel=1e-10)
    assert change.value == pytest.approx(np.mean(candidate - baseline), rel=1e-12)


def test_compare_paired_is_the_estimate_of_the_differences():
    candidate, baseline = two_sides()
    clusters = np.arange(20) // 4
    change = compare_paired(candidate, baseline, clusters=clusters, unit_ids=range(20))
    assert change == estimate_mean(candidate - baseline, clusters=clusters, method="outer")
    assert change.unit_ids == tuple(map(str, range(20)))
    assert change.values == tuple((candidate - baseline).tolist())


def test_differences_of_shares_are_no_shares():
    change = compare_paired([1, 1, 1, 1, 0], [0, 1, 1, 0, 0])
    assert "wilson" not in change.method
    nothing = compare_paired([1, 1, 0, 1, 0], [1, 1, 0, 1, 0])
    assert (nothing.low, nothing.high) == (0.0, 0.0)


def test_missing_on_either_side():
    change = compare_paired([0.1, math.nan, 0.4, 0.5], [0.1, 0.2, math.nan, 0.4], unit_ids="abcd")
    assert (change.n, change.n_missing, change.unit_ids) == (2, 2, ("a", "d"))


def test_subtracting_pairs_by_name_whatever_the_order():
    candidate, baseline = two_sides()
    clusters = np.arange(20) // 4
    order = np.random.default_rng(1).permutation(20)
    left = estimate_mean(candidate, clusters=clusters, unit_ids=range(20))
    right = estimate_mean(baseline[order], clusters=[f"cluster {c}" for c in clusters[order]], unit_ids=order)
    change = left - right
    expected = compare_paired(candidate, baseline, clusters=clusters)
    assert change == expected
    assert left - left == compare_paired(candidate, candidate, clusters=clusters)


def test_differences_can_be_subtracted_again():
    values = np.random.default_rng(0).random((4, 10))
    a, b, c, d = (estimate_mean(row, unit_ids=range(10)) for row in values)
    again = (a - b) - (c - d)
    assert again.values == pytest.approx(values[0] - values[1] - values[2] + values[3])
    assert again.n == 10


def test_subtracting_two_way_estimates_keeps_both_ways():
    question, juror = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6)
    candidate, baseline = two_sides(30)
    left, right = (
        estimate_mean(side, clusters=question, other_clusters=juror, unit_ids=range(30))
        for side in (candidate, baseline)
    )
    change = left - right
    assert change == compare_paired(candidate, baseline, clusters=question, other_clusters=juror)
    assert change.method == "two-way clustered t"


def test_what_cannot_be_subtracted():
    named = estimate_mean([0.1, 0.2, 0.3], unit_ids="abc")
    with pytest.raises(InvalidParameterError, match="same units: 'c' only on the left, 'd' only on the right"):
        named - estimate_mean([0.1, 0.2, 0.3], unit_ids="abd")
    with pytest.raises(
        InvalidParameterError, match=r"'right' parameter of subtract_estimates .* keeps its units by name"
    ):
        named - estimate_mean([0.1, 0.2, 0.3])
    with pytest.raises(InvalidParameterError, match="keeps its units by name"):
        estimate_mean([0.1, 0.2, 0.3], unit_ids="abc", weights=[1, 2, 3]) - named
    with pytest.raises(InvalidParameterError, match="confidence level"):
        named - estimate_mean([0.1, 0.2, 0.3], unit_ids="abc", confidence_level=0.9)
    with pytest.raises(InvalidParameterError, match="other clusters"):
        named - estimate_mean([0.1, 0.2, 0.3], unit_ids="abc", clusters=[1, 1, 2])
    with pytest.raises(TypeError):
        named - 0.1
    # Labels need not agree as long as the same units stand together.
    single = estimate_mean([0.1, 0.2, 0.3], unit_ids="abc", clusters=[7, 8, 9])
    assert subtract_estimates(named, single).value == 0.0


@quick
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_swapping_the_sides_mirrors(pairs):
    left, right = np.array(pairs).T
    forth, back = compare_paired(left, right), compare_paired(right, left)
    assert (back.value, back.low, back.high) == pytest.approx(
        (-forth.value, -forth.high, -forth.low), rel=1e-6, abs=1e-9
    )
    assert forth.low <= forth.value <= forth.high


# ------------------------------------------------------------------------------------------------------- sign flips


def test_fishers_test_of_darwins_maize():
    # Fisher 1935, section 21: of 32,768 sign patterns 863 give a total of 314 or more; two-sided 5.267 %.
    assert sum(DARWIN) == 314
    assert sign_flip(DARWIN, alternative="greater").p_value == 863 / 32768
    test = sign_flip(DARWIN)
    assert test.p_value == 1726 / 32768
    assert (test.n, test.exact) == (15, True)
    assert test.statistic == pytest.approx(314 / 15)


@quick
@given(differences, st.sampled_from(["greater", "less", "two-sided"]))
def test_sign_flip_is_scipys_permutation_test(values, alternative):
    array = np.array(values, dtype=float)
    expected = stats.permutation_test(
        (array, np.zeros(len(array))),
        lambda x, y: np.mean(x - y),
        permutation_type="samples",
        alternative=alternative,
        n_resamples=np.inf,
    )
    ours = sign_flip(values, alternative=alternative).p_value
    # SciPy's two-sided p-value is twice the smaller tail; the pattern mirrored is as likely, so they agree up to 1.
    assert ours == pytest.approx(expected.pvalue, rel=1e-9)


def test_sign_flip_flips_whole_clusters():
    values, clusters = [3.0, -1.0, 2.0, 2.0, -1.0, 0.5], ["a", "a", "b", "b", "c", "c"]
    totals = [2.0, 4.0, -0.5]
    sums = [sum(s * t for s, t in zip(signs, totals, strict=True)) for signs in itertools.product((1, -1), repeat=3)]
    expected = sum(total >= 5.5 for total in sums) / 8
    test = sign_flip(values, clusters=clusters, alternative="greater")
    assert (test.p_value, test.n) == (expected, 3)


def test_sign_flip_draws_beyond_sixteen_clusters():
    values = np.random.default_rng(0).normal(0.4, 1, size=30)
    drawn = sign_flip(values, alternative="greater", rng=1)
    assert not drawn.exact
    # The normal approximation of the permutation distribution is good to a fraction of a percent here.
    z = values.sum() / math.sqrt(np.sum(values**2))
    assert drawn.p_value == pytest.approx(stats.norm.sf(z), abs=0.006)
    assert drawn == sign_flip(values, alternative="greater", rng=1)
    few = np.concatenate([values[:10], np.zeros(20)])
    assert sign_flip(few).exact
    assert sign_flip(few).p_value == sign_flip(values[:10]).p_value


def test_drawn_and_counted_agree():
    values = np.random.default_rng(2).normal(0.3, 1, size=17)
    signs = 1 - 2.0 * (np.arange(2**17)[:, None] >> np.arange(17) & 1)
    counted = (signs @ values >= values.sum() - 1e-12).mean()
    drawn = sign_flip(values, alternative="greater", n_resamples=200_000).p_value
    assert drawn == pytest.approx(counted, abs=4 * math.sqrt(counted / 200_000))


def test_sign_flip_with_a_margin_and_without_any_difference():
    assert sign_flip([0.0, 0.0, 0.0]).p_value == 1.0
    values = [0.01, 0.03, 0.02, 0.0]
    shifted = sign_flip(np.array(values) - 0.05, alternative="less").p_value
    assert sign_flip(values, margin=0.05, alternative="less").p_value == shifted == 1 / 16


# ---------------------------------------------------------------------------------------- non-inferiority and others


def test_non_inferiority_is_the_one_sided_t_test():
    candidate, baseline = two_sides()
    change = compare_paired(candidate, baseline, method="t")
    expected = stats.ttest_1samp(candidate - baseline, 0.05, alternative="less").pvalue
    assert non_inferiority(change, margin=0.05).p_value == pytest.approx(expected, rel=1e-9)
    mirrored = compare_paired(baseline, candidate, method="t")
    assert non_inferiority(mirrored, margin=0.05, worse="lower").p_value == pytest.approx(expected, rel=1e-9)


def test_the_margin_is_at_least_the_noise_floor():
    change = compare_paired(*two_sides(), method="t")
    assert non_inferiority(change, margin=0.01, noise_floor=0.06) == non_inferiority(change, margin=0.06)
    assert non_inferiority(change, margin=0.06, noise_floor=0.01) == non_inferiority(change, margin=0.06)
    assert equivalence(change, margin=0.01, noise_floor=0.06) == equivalence(change, margin=0.06)


def test_equivalence_is_two_one_sided_tests():
    candidate, baseline = two_sides()
    change = compare_paired(candidate, baseline, method="t")
    upper = stats.ttest_1samp(candidate - baseline, 0.05, alternative="less").pvalue
    lower = stats.ttest_1samp(candidate - baseline, -0.05, alternative="greater").pvalue
    assert equivalence(change, margin=0.05).p_value == pytest.approx(max(upper, lower), rel=1e-9)
    # The classical statement: equivalent at 2.5 % exactly when the 95 % interval lies within the margins.
    for margin in np.linspace(0, 0.1, 41):
        inside = change.high < margin and change.low > -margin
        assert (equivalence(change, margin=margin).p_value < 0.025) == inside


def test_no_interval_no_p_value():
    change = compare_paired([0.1], [0.2])
    assert math.isnan(non_inferiority(change, margin=0.1).p_value)
    assert math.isnan(equivalence(change, margin=0.1).p_value)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_mcnemar_is_the_exact_binomial_test(alternative):
    generator = np.random.default_rng(4)
    for _ in range(20):
        candidate, baseline = generator.integers(0, 2, size=(2, 30))
        better, worse = int(((candidate == 1) & (baseline == 0)).sum()), int(((candidate == 0) & (baseline == 1)).sum())
        test = mcnemar(candidate, baseline, alternative=alternative)
        expected = stats.binomtest(better, better + worse, alternative=alternative).pvalue
        assert test.p_value == pytest.approx(expected, rel=1e-9)
        assert (test.statistic, test.n, test.exact) == (better, better + worse, True)


def test_mcnemar_is_the_sign_flip_test_of_binary_units():
    candidate, baseline = np.array([[1, 1, 1, 0, 0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0, 0, 0, 0, 1]])
    for alternative in ("two-sided", "greater", "less"):
        assert mcnemar(candidate, baseline, alternative=alternative).p_value == pytest.approx(
            sign_flip(candidate - baseline, alternative=alternative).p_value, rel=1e-12
        )
    assert mcnemar(candidate, candidate).p_value == 1.0


def test_inputs_stay_as_they_were():
    candidate, baseline = two_sides()
    copies = candidate.copy(), baseline.copy()
    candidate.flags.writeable = baseline.flags.writeable = False
    compare_paired(candidate, baseline)
    sign_flip(candidate, margin=0.1)
    assert (candidate == copies[0]).all()
    assert (baseline == copies[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_paired([0.1], [0.1, 0.2]), "'candidate' parameter of compare_paired must be as long as"),
        (lambda: compare_paired([], []), "'candidate' parameter of compare_paired must be a non-empty array"),
        (lambda: compare_paired([0.1, math.inf], [0, 0]), "'candidate' parameter of compare_paired must be finite"),
        (lambda: compare_paired(["a"], [0]), "'candidate' parameter of compare_paired must be an array of numbers"),
        (lambda: compare_paired([0, 1], [1, 0], method="wilson"), "'method' parameter of compare_paired"),
        (lambda: compare_paired([0, 1], [1, 0], clusters=[1]), "'clusters' parameter of compare_paired"),
        (lambda: sign_flip([0.1], alternative="up"), "'alternative' parameter of sign_flip"),
        (lambda: sign_flip([0.1], n_resamples=0), "'n_resamples' parameter of sign_flip"),
        (lambda: sign_flip([0.1], n_resamples=10.5), "'n_resamples' parameter of sign_flip must be an integer"),
        (lambda: sign_flip([0.1], rng="x"), "'rng' parameter of sign_flip must be a numpy.random.Generator or"),
        (lambda: sign_flip([0.1, 0.2], clusters=[[1], [2]]), "'clusters' parameter of sign_flip must be labels that"),
        (lambda: compare_paired([0, 1], [1, 2], method="bca", n_resamples=0), "'n_resamples' parameter of compare_p"),
        (lambda: sign_flip([[0.1]]), "'differences' parameter of sign_flip must be an array with one axis"),
        (lambda: sign_flip([math.nan]), "'differences' parameter of sign_flip must be finite"),
        (lambda: mcnemar([0, 2], [0, 1]), "'candidate' parameter of mcnemar must be an array of 0 and 1"),
        (lambda: mcnemar([0], [0, 1]), "'candidate' parameter of mcnemar must be as long as"),
        (lambda: mcnemar([0], [1], alternative="up"), "'alternative' parameter of mcnemar"),
        (
            lambda: non_inferiority(compare_paired([0.1, 0.2], [0, 0]), margin=-1),
            r"'margin' parameter of non_inferiority must be a float in \[0, inf\). Got -1 instead.",
        ),
        (lambda: non_inferiority(compare_paired([0.1, 0.2], [0, 0]), margin=1, worse="up"), "'worse' parameter"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InvalidParameterError, match=message):
        call()


def test_a_unit_that_is_missing_on_either_side_is_missing_from_the_difference():
    candidate, baseline = two_sides()
    whole = compare_paired(candidate, baseline)
    for left_gaps, right_gaps in (([3], [3]), ([3], [4]), ([3], []), ([], [3, 5])):
        left, right = candidate.copy(), baseline.copy()
        left[left_gaps] = right[right_gaps] = math.nan
        clusters = np.arange(20) // 2
        change = estimate_mean(left, unit_ids=range(20), clusters=clusters) - estimate_mean(
            right, unit_ids=range(20), clusters=clusters
        )
        expected = compare_paired(left, right, clusters=clusters)
        assert change == expected
        assert change.n_missing == len({*left_gaps, *right_gaps})
        for gate in (Gate(max_increase=1.0), Gate(at_most=whole.value + 1.0)):
            assert decide(gate, change, change=change).outcome is Outcome.INCONCLUSIVE
    # More names on one side only than the other side has missing units: these are other units.
    gap = [math.nan, *baseline[1:]]
    with pytest.raises(InvalidParameterError, match="same units"):
        estimate_mean(candidate, unit_ids=range(2, 22)) - estimate_mean(gap, unit_ids=range(20))


def hall(totals, level):
    """Solve Hall's equation of 1992 for the upper end, in standard errors."""
    n, skewness = len(totals), stats.skew(totals)
    a = skewness / 3
    t = stats.t.ppf(0.5 + level / 2, n - 1) / math.sqrt(n)
    roots = np.roots([a**2 / 3, a, 1.0, skewness / (6 * n) + t])
    return -math.sqrt(n) * roots[np.abs(roots.imag).argmin()].real


@pytest.mark.parametrize("level", [0.95, None])
def test_each_end_of_a_change_is_the_outer_one(level):
    # A gate tests one end at a time: neither may lie inside the plain or the corrected interval, nor be less allowing.
    values = np.random.default_rng(2).gamma(1.0, size=30)
    for sign in (1.0, -1.0):
        for clusters in (None, np.arange(30) // 2):
            change = compare_paired(sign * values, np.zeros(30), clusters=clusters, confidence_level=level)
            for at in (0.9, 0.95):
                here = interval_at(change, at)
                plain = estimate_mean(sign * values, clusters=clusters, method="t", confidence_level=at)
                totals = np.bincount(np.arange(30) if clusters is None else clusters, weights=sign * values)
                tails = np.sqrt(max(stats.kurtosis(totals) - np.sqrt(24 / len(totals)), 0.0))
                assert tails < HEAVIEST_TAILS
                wider = 1 + TAILS_OF_CHANGES * tails
                lower, upper = (hall(side * totals, at) for side in (-1.0, 1.0))
                moved = plain.standard_error * allowance_of(here.how, level=at, n_clusters=plain.n_clusters)
                assert moved > 0
                error, value = plain.standard_error, plain.value
                assert value - here.low == pytest.approx(wider * max(value - plain.low, error * lower + moved))
                assert here.high - value == pytest.approx(wider * max(plain.high - value, error * upper + moved))


def test_differences_of_a_whole_set_are_no_shares_at_another_level_either():
    change = compare_paired([1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], confidence_level=None)
    direct = compare_paired([1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0])
    at = interval_at(change, 0.95)
    assert (at.low, at.high) == (direct.low, direct.high)


def gains(*values, **more):
    units = tuple(UnitScore(f"q{n}", f"q{n}", value) for n, value in enumerate(values))
    return estimate_scores(Scores("steering_faithfulness", units, differences=True, **more))


def test_gains_of_0_and_1_are_no_shares():
    # As shares, these would have the exact interval of 10 of 40; as differences, they have that of their mean.
    values = [1.0] * 10 + [0.0] * 30
    estimate = gains(*values)
    assert estimate.value == 0.25
    paired = compare_paired(values, [0.0] * 40, unit_ids=[f"q{n}" for n in range(40)])
    assert (estimate.low, estimate.high) == (paired.low, paired.high)
    assert "differences" in estimate.method
    assert interval_at(estimate, 0.9).low > estimate.low


def test_a_model_that_gains_nothing_anywhere_gains_nothing():
    # As a share, nothing in 25 units would reach up to 0.137, and a promise of a gain of 0.02 would be undecided.
    nothing = gains(*[0.0] * 25)
    assert (nothing.low, nothing.value, nothing.high) == (0.0, 0.0, 0.0)
    assert decide(Gate(at_least=0.02), nothing).outcome is Outcome.FAILED
    assert decide(Gate(at_least=0.0), nothing).outcome is Outcome.PASSED
