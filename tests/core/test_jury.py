from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics import jury, jury_groups
from pytest_pluralism.core.metrics.jury import (
    atkinson_index,
    conditional_value_at_risk,
    gini_coefficient,
    leximin_compare,
    leximin_order,
    satisfied_share,
    welfare,
    welfare_curve,
)
from pytest_pluralism.core.metrics.jury_groups import (
    group_weighted_welfare,
    median_of_juries,
    two_level_welfare,
    worst_off_group,
)

INF = float("inf")
ALPHAS = [0.0, 0.3, 0.999, 1.0, 1.001, 2.0, 5.5, 40.0, 1e6, INF]

utility = st.floats(1e-3, 1.0)
juries = st.lists(utility, min_size=1, max_size=8)
aversions = st.one_of(st.sampled_from(ALPHAS), st.floats(0.0, 50.0))
quick = settings(max_examples=75, deadline=None)


def read_only(values, dtype=np.float64):
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def exact_welfare(utilities, alpha, weights=None):
    """The formula of the definition as it stands, with eighty digits."""
    with localcontext() as context:
        context.prec = 80
        context.Emax, context.Emin = 10**12, -(10**12)
        weights = [Decimal(w) for w in (weights or [1] * len(utilities))]
        utilities = [Decimal(u) for u in utilities]
        order = 1 - Decimal(alpha)
        total = sum(weights)
        if order == 0:
            mean = sum(w * u.ln() for w, u in zip(weights, utilities, strict=True)) / total
            return float(mean.exp())
        mean = sum(w * (order * u.ln()).exp() for w, u in zip(weights, utilities, strict=True)) / total
        return float((mean.ln() / order).exp())


# ------------------------------------------------------------------------------------------------------- welfare


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1 - 1e-12, 1 - 1e-6, 1.0, 1 + 1e-12, 1 + 1e-9, 1.5, 2.0, 17.0, 900.0, 1e6])
def test_welfare_agrees_with_the_formula_in_eighty_digits(alpha):
    utilities = [0.013, 0.27, 0.27, 0.9, 1.0]
    assert welfare(utilities, alpha=alpha) == pytest.approx(exact_welfare(utilities, alpha), rel=1e-13)
    weights = [3.0, 0.25, 1.0, 2.0, 7.0]
    weighted = welfare(utilities, alpha=alpha, weights=weights)
    assert weighted == pytest.approx(exact_welfare(utilities, alpha, weights), rel=1e-13)


@quick
@given(juries, st.one_of(st.floats(0.0, 1e4), st.floats(1 - 1e-5, 1 + 1e-5)))
def test_welfare_agrees_with_the_formula_everywhere(utilities, alpha):
    assert welfare(utilities, alpha=alpha) == pytest.approx(exact_welfare(utilities, alpha), rel=1e-12)


def test_welfare_closed_forms():
    utilities = [0.2, 0.4, 0.9]
    assert welfare(utilities, alpha=0) == pytest.approx(0.5, abs=1e-15)
    assert welfare(utilities, alpha=1) == pytest.approx(statistics.geometric_mean(utilities), rel=1e-15)
    assert welfare(utilities, alpha=2) == pytest.approx(statistics.harmonic_mean(utilities), rel=1e-15)
    assert welfare(utilities, alpha=INF) == 0.2
    assert welfare([0.5, 0.25], alpha=1) == pytest.approx(math.sqrt(0.125), rel=1e-15)
    # alpha = 3: order -2, in exact arithmetic.
    fractions = [Fraction(1, 5), Fraction(2, 5), Fraction(9, 10)]
    square = 1 / (sum(1 / f**2 for f in fractions) / 3)
    assert welfare(utilities, alpha=3) == pytest.approx(math.sqrt(square), rel=1e-14)


def test_welfare_agrees_with_the_power_mean_of_scipy():
    rng = np.random.default_rng(1)
    utilities = rng.uniform(0.05, 1.0, size=(4, 5, 7))
    weights = rng.uniform(0.1, 3.0, size=7)
    for alpha in (0.0, 0.4, 1.0, 2.0, 6.0):
        theirs = stats.pmean(utilities, 1 - alpha, axis=-1, weights=np.broadcast_to(weights, utilities.shape))
        np.testing.assert_allclose(welfare(utilities, alpha=alpha, weights=weights), theirs, rtol=1e-12)


def test_welfare_of_the_two_responses_of_the_utilitarian_and_the_maximin_view():
    # Numbers of our own, by hand from the welfare functions of Sorensen et al. 2024, section 4.3 (which has no worked
    # example): alpha = 0 and alpha -> infinity order these two responses differently.
    majority, compromise = [1.0, 1.0, 1.0, 0.1], [0.7, 0.7, 0.7, 0.6]
    assert welfare(majority, alpha=0) > welfare(compromise, alpha=0)
    assert welfare(majority, alpha=INF) < welfare(compromise, alpha=INF)
    assert welfare([majority, compromise], alpha=1).argmax() == 1


def test_large_alpha_is_stable_and_agrees_with_the_minimum():
    rng = np.random.default_rng(2)
    utilities = rng.uniform(1e-6, 1.0, size=(50, 9))
    lowest = utilities.min(axis=-1)
    # (n)^(1/alpha) bounds how far the power mean can be above the minimum.
    high = welfare(utilities, alpha=1e6)
    assert (high >= lowest).all()
    np.testing.assert_allclose(high, lowest, rtol=math.log(9) / 1e6 * 1.01)
    np.testing.assert_allclose(welfare(utilities, alpha=1e300), lowest, rtol=1e-14)
    np.testing.assert_array_equal(welfare(utilities, alpha=INF), lowest)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
def test_welfare_is_continuous_at_alpha_one(gap):
    utilities = [0.02, 0.3, 0.98]
    centre = welfare(utilities, alpha=1)
    # The slope in alpha is minus half the variance of the log utilities, times the level.
    slope = 0.5 * np.var(np.log(utilities)) * centre
    for alpha in (1 - gap, 1 + gap):
        assert abs(welfare(utilities, alpha=alpha) - centre) <= 1.2 * slope * gap + 1e-15


def test_zero_utilities_are_the_limit_of_the_formula():
    utilities = [0.0, 0.64, 0.36]
    assert welfare(utilities, alpha=0) == pytest.approx(1 / 3, rel=1e-15)
    assert welfare(utilities, alpha=0.5) == pytest.approx(((0.8 + 0.6) / 3) ** 2, rel=1e-14)
    for alpha in (1, 1 + 1e-9, 2, 1e6, INF):
        assert welfare(utilities, alpha=alpha) == 0.0
    for alpha in ALPHAS:
        assert welfare([0.0, 0.0], alpha=alpha) == 0.0
        assert welfare([0.0, 0.5], alpha=alpha, weights=[0, 1]) == pytest.approx(0.5, rel=1e-15)
    for alpha in (0.5, 0.9):
        tiny = [1e-300, 0.64, 0.36]
        assert welfare(tiny, alpha=alpha) == pytest.approx(welfare(utilities, alpha=alpha), rel=1e-12)


def test_extreme_utilities_neither_overflow_nor_underflow():
    utilities = [1e-300, 1e300]
    assert welfare(utilities, alpha=1) == pytest.approx(1.0, rel=1e-12)
    assert welfare(utilities, alpha=3) == pytest.approx(math.sqrt(2) * 1e-300, rel=1e-12)
    assert welfare(utilities, alpha=0.5) == pytest.approx(0.25 * 1e300, rel=1e-12)


@quick
@given(juries, aversions, st.data())
def test_welfare_rises_with_each_juror(utilities, alpha, data):
    juror = data.draw(st.integers(0, len(utilities) - 1))
    better = list(utilities)
    better[juror] += data.draw(st.floats(0.0, 1.0))
    assert welfare(better, alpha=alpha) >= welfare(utilities, alpha=alpha) * (1 - 1e-13)


@quick
@given(juries, aversions, aversions)
def test_welfare_falls_with_alpha_between_minimum_and_mean(utilities, first, second):
    low, high = sorted([first, second])
    levels = [welfare(utilities, alpha=alpha) for alpha in (low, high)]
    assert levels[1] <= levels[0] * (1 + 1e-13)
    for level in levels:
        assert min(utilities) <= level <= np.mean(utilities) * (1 + 1e-13)


@quick
@given(juries, aversions, st.floats(1e-6, 1e6), st.randoms(use_true_random=False), st.integers(2, 4))
def test_welfare_is_homogeneous_anonymous_and_replication_invariant(utilities, alpha, scale, random, copies):
    level = welfare(utilities, alpha=alpha)
    assert welfare([scale * u for u in utilities], alpha=alpha) == pytest.approx(scale * level, rel=1e-12)
    shuffled = list(utilities)
    random.shuffle(shuffled)
    assert welfare(shuffled, alpha=alpha) == pytest.approx(level, rel=1e-12)
    assert welfare(utilities * copies, alpha=alpha) == pytest.approx(level, rel=1e-12)
    assert welfare(utilities, alpha=alpha, weights=[copies] * len(utilities)) == pytest.approx(level, rel=1e-12)


@pytest.mark.whole
@quick
@given(juries, aversions, st.data())
def test_weights_are_numbers_of_equal_jurors(utilities, alpha, data):
    copies = data.draw(st.lists(st.integers(0, 4), min_size=len(utilities), max_size=len(utilities)).filter(any))
    everybody = [u for u, n in zip(utilities, copies, strict=True) for _ in range(n)]
    for measure in (
        lambda u, w=None: welfare(u, alpha=alpha, weights=w),
        lambda u, w=None: atkinson_index(u, alpha=alpha, weights=w),
        lambda u, w=None: gini_coefficient(u, weights=w),
        lambda u, w=None: satisfied_share(u, threshold=0.5, weights=w),
        lambda u, w=None: conditional_value_at_risk(u, share=0.3, weights=w),
    ):
        assert measure(utilities, copies) == pytest.approx(measure(everybody), rel=1e-11, abs=1e-14)


def test_welfare_curve_is_welfare_at_each_alpha():
    rng = np.random.default_rng(3)
    utilities = rng.uniform(0.0, 1.0, size=(6, 4, 2))
    curve = welfare_curve(utilities, alphas=ALPHAS, axis=1, weights=[1, 2, 3, 4])
    assert curve.shape == (len(ALPHAS), 6, 2)
    for alpha, row in zip(ALPHAS, curve, strict=True):
        np.testing.assert_array_equal(row, welfare(utilities, alpha=alpha, axis=1, weights=[1, 2, 3, 4]))
    assert (np.diff(curve, axis=0) <= 1e-14).all()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_every_measure_works_along_any_axis_as_it_does_row_by_row(axis):
    rng = np.random.default_rng(4)
    utilities = rng.uniform(0.01, 1.0, size=(3, 4, 5))
    rows = np.moveaxis(utilities, axis, -1)
    n = rows.shape[-1]
    groups = ["a", "b", *["a"] * (n - 2)]
    for measure in (
        lambda u, axis: welfare(u, alpha=2, axis=axis),
        lambda u, axis: atkinson_index(u, alpha=2, axis=axis),
        lambda u, axis: gini_coefficient(u, axis=axis),
        lambda u, axis: satisfied_share(u, threshold=0.5, axis=axis),
        lambda u, axis: conditional_value_at_risk(u, share=0.4, axis=axis),
        lambda u, axis: two_level_welfare(u, groups, within_alpha=1, between_alpha=INF, axis=axis),
        lambda u, axis: group_weighted_welfare(u, groups, alpha=1, axis=axis),
        lambda u, axis: worst_off_group(u, groups, axis=axis).value,
        lambda u, axis: median_of_juries(u, groups, composition={"a": 1, "b": 1}, rng=0, axis=axis).median,
        lambda u, axis: leximin_compare(u, u[::-1], axis=axis),
    ):
        together = measure(utilities, axis)
        assert together.shape == rows.shape[:-1]
    for index in np.ndindex(rows.shape[:-1]):
        assert welfare(utilities, alpha=2, axis=axis)[index] == welfare(rows[index], alpha=2)
        assert gini_coefficient(utilities, axis=axis)[index] == pytest.approx(gini_coefficient(rows[index]), rel=1e-14)


def test_a_single_unit_is_a_float_and_inputs_are_left_alone():
    utilities, weights = read_only([0.4, 0.1, 0.9]), read_only([1.0, 2.0, 0.0])
    copies = utilities.copy(), weights.copy()
    groups = ["a", "b", "b"]
    values = [
        welfare(utilities, alpha=0.7, weights=weights),
        atkinson_index(utilities, alpha=0.7, weights=weights),
        gini_coefficient(utilities, weights=weights),
        satisfied_share(utilities, threshold=0.2, weights=weights),
        conditional_value_at_risk(utilities, share=0.2, weights=weights),
        worst_off_group(utilities, groups, weights=weights).value,
        two_level_welfare(utilities, groups, within_alpha=0, between_alpha=1, weights=weights),
        group_weighted_welfare(utilities, groups, alpha=1, weights=weights),
        median_of_juries(utilities, groups, composition={"b": 2}, rng=1).median,
    ]
    assert [type(value) for value in values] == [float] * len(values)
    leximin_order(np.stack([utilities, utilities]))
    assert isinstance(leximin_compare(utilities, utilities), int)
    welfare_curve(utilities, alphas=read_only([0, 1, 2]))
    np.testing.assert_array_equal(utilities, copies[0])
    np.testing.assert_array_equal(weights, copies[1])


# ---------------------------------------------------------------------------------------------- refusals, missing


@pytest.mark.parametrize("alpha", [-1, -1e-9, -INF, math.nan, "1", None, True])
def test_alpha_outside_its_range_is_refused(alpha):
    for call in (
        lambda: welfare([0.5, 0.6], alpha=alpha),
        lambda: atkinson_index([0.5, 0.6], alpha=alpha),
        lambda: two_level_welfare([0.5, 0.6], "ab", within_alpha=alpha, between_alpha=0),
        lambda: two_level_welfare([0.5, 0.6], "ab", within_alpha=0, between_alpha=alpha),
    ):
        with pytest.raises(InvalidParameterError):
            call()


def test_the_errors_name_the_parameter_and_the_remedy():
    with pytest.raises(InvalidParameterError) as error:
        welfare([0.1, 0.2], alpha=-1)
    assert str(error.value) == "The 'alpha' parameter of welfare must be a float in [0, inf]. Got -1 instead."
    with pytest.raises(InvalidParameterError, match=r"map the utilities to \(0, 1\] first.*-0.5 at index \(1,\)"):
        welfare([0.1, -0.5], alpha=0)
    with pytest.raises(InvalidParameterError, match="gini_coefficient must be non-negative"):
        gini_coefficient([0.1, -0.5])
    with pytest.raises(
        InvalidParameterError, match="missing rating, never 0; pass missing='propagate' or missing='omit'"
    ):
        welfare([0.1, math.nan], alpha=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: welfare([], alpha=0),
        lambda: welfare(0.5, alpha=0),
        lambda: welfare(["much"], alpha=0),
        lambda: welfare([0.5, INF], alpha=0),
        lambda: welfare([0.5, 0.1], alpha=0, axis=1),
        lambda: welfare([0.5, 0.1], alpha=0, axis=0.0),
        lambda: welfare([0.5, 0.1], alpha=0, weights=[1]),
        lambda: welfare([0.5, 0.1], alpha=0, weights=[0, 0]),
        lambda: welfare([0.5, 0.1], alpha=0, weights=[2, -1]),
        lambda: welfare([0.5, 0.1], alpha=0, weights=[math.nan, 1]),
        lambda: welfare([0.5, 0.1], alpha=0, missing="ignore"),
        lambda: welfare_curve([0.5, 0.1], alphas=[]),
        lambda: welfare_curve([0.5, 0.1], alphas=1.0),
        lambda: welfare_curve([0.5, 0.1], alphas=[0, -1]),
        lambda: satisfied_share([0.5, 0.1], threshold=math.nan),
        lambda: conditional_value_at_risk([0.5, 0.1], share=0),
        lambda: conditional_value_at_risk([0.5, 0.1], share=1.1),
        lambda: worst_off_group([0.5, 0.1], ["a"]),
        lambda: worst_off_group([0.5, 0.1], ["a", None]),
        lambda: worst_off_group([0.5, 0.1], ["a", math.nan]),
        lambda: two_level_welfare([0.5, 0.1], "ab", within_alpha=0, between_alpha=0, group_weights={"a": 1}),
        lambda: two_level_welfare([0.5, 0.1], "ab", within_alpha=0, between_alpha=0, group_weights={"a": 0, "b": 0}),
        lambda: two_level_welfare([0.5, 0.1], "ab", within_alpha=0, between_alpha=0, group_weights={"a": 2, "b": -1}),
        lambda: two_level_welfare([0.5, 0.1], "ab", within_alpha=0, between_alpha=0, group_weights=[1, 1]),
        lambda: median_of_juries([1, 2], "ab", composition={"c": 1}, rng=0),
        lambda: median_of_juries([1, 2], "ab", composition={"a": 2}, rng=0),
        lambda: median_of_juries([1, 2], "ab", composition={"a": -1}, rng=0),
        lambda: median_of_juries([1, 2], "ab", composition={"a": 0}, rng=0),
        lambda: median_of_juries([1, 2], "ab", composition={}, rng=0),
        lambda: median_of_juries([1, 2], "ab", composition=[1], rng=0),
        lambda: median_of_juries([1, 2], "ab", composition={"a": 1}, rng=0, n_juries=0),
        lambda: median_of_juries([1, 2], "ab", composition={"a": 1}, rng=0, missing="omit"),
        lambda: median_of_juries([1, math.nan], "ab", composition={"a": 1}, rng=0),
        lambda: leximin_order([1, 2]),
        lambda: leximin_order([[1, math.nan]]),
        lambda: leximin_compare([1, 2], [1, 2, 3]),
        lambda: leximin_compare([[1, 2]] * 2, [[1, 2]] * 3),
    ],
)
def test_what_cannot_be_measured_is_refused(call):
    with pytest.raises(InvalidParameterError, match=r"^The '\w+' parameter of \w+ must be .* Got .* instead\.$"):
        call()


MISSING_MEASURES = [
    lambda u, **k: welfare(u, alpha=0.5, **k),
    lambda u, **k: welfare(u, alpha=1, **k),
    lambda u, **k: welfare(u, alpha=INF, **k),
    lambda u, **k: welfare_curve(u, alphas=[2.0], **k)[0],
    lambda u, **k: atkinson_index(u, alpha=2, **k),
    lambda u, **k: gini_coefficient(u, **k),
    lambda u, **k: satisfied_share(u, threshold=0.3, **k),
    lambda u, **k: conditional_value_at_risk(u, share=0.5, **k),
]


@pytest.mark.parametrize("measure", MISSING_MEASURES)
def test_missing_ratings_are_refused_propagated_or_left_out_but_never_zero(measure):
    nan = math.nan
    utilities = read_only([[0.2, 0.9, nan], [0.2, 0.9, 0.5], [nan, nan, nan]])
    with pytest.raises(InvalidParameterError, match="never 0"):
        measure(utilities)
    propagated = measure(utilities, missing="propagate")
    assert np.isnan(propagated).tolist() == [True, False, True]
    left_out = measure(utilities, missing="omit")
    complete = measure([[0.2, 0.9]]), measure([[0.2, 0.9, 0.5]])
    np.testing.assert_allclose(left_out[:2], np.concatenate(complete), rtol=1e-14)
    assert propagated[1] == left_out[1]
    assert np.isnan(left_out[2])
    # Nobody who has weight rated.
    assert np.isnan(measure([[nan, 0.5]], missing="omit", weights=[1, 0])).all()


# ----------------------------------------------------------------------------------------------------- inequality


def gini_by_definition(utilities):
    exact = [Fraction(u) for u in utilities]
    spread = sum(abs(a - b) for a, b in itertools.product(exact, repeat=2))
    return float(spread / (2 * len(exact) * sum(exact)))


def test_gini_worked_examples():
    # The usual textbook cases: equality, one who has everything, and a uniform ladder (n^2 - 1) / (3 n (n + 1)).
    assert gini_coefficient([0.3] * 7) == 0.0
    assert gini_coefficient([0, 0, 0, 1]) == 0.75
    assert gini_coefficient([1, 2, 3, 4]) == pytest.approx(0.25, abs=1e-15)
    for n in (2, 5, 40):
        assert gini_coefficient(np.arange(1, n + 1)) == pytest.approx((n - 1) / (3 * n), rel=1e-13)


@quick
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=9).filter(lambda u: sum(u) > 1e-3))
def test_gini_is_the_mean_difference_and_stays_in_its_range(utilities):
    value = gini_coefficient(utilities)
    assert value == pytest.approx(gini_by_definition(utilities), rel=1e-12, abs=1e-14)
    assert 0.0 <= value <= 1 - 1 / len(utilities) + 1e-12


def test_atkinson_worked_examples():
    # By hand from the definition of the index, 1 - (the equal level that is as good) / mean: so the share 1 - A of the
    # total, divided equally, has the same welfare, and for [1, 4] the means of order 1/2, 0, -1 and the minimum over
    # the mean of 5/2 are 9/10, 4/5, 16/25 and 2/5.
    utilities = [0.1, 0.2, 0.3, 0.9]
    for alpha in (0.5, 1, 2, 7, INF):
        share = 1 - atkinson_index(utilities, alpha=alpha)
        equal = [share * np.mean(utilities)] * 4
        assert welfare(equal, alpha=alpha) == pytest.approx(welfare(utilities, alpha=alpha), rel=1e-13)
    assert atkinson_index([1, 4], alpha=1) == pytest.approx(0.2, abs=1e-15)
    assert atkinson_index([1, 4], alpha=2) == pytest.approx(0.36, abs=1e-15)
    assert atkinson_index([1, 4], alpha=0.5) == pytest.approx(0.1, abs=1e-15)
    assert atkinson_index([1, 4], alpha=INF) == pytest.approx(0.6, abs=1e-15)
    assert atkinson_index([0, 4], alpha=1) == 1.0
    assert atkinson_index([0.7] * 3, alpha=1.7) == 0.0


def test_inequality_of_nothing_is_not_defined():
    for value in (gini_coefficient([0.0, 0.0]), atkinson_index([0.0, 0.0], alpha=1)):
        assert math.isnan(value)
    assert np.isnan(gini_coefficient([[0.0, 0.0], [0.0, 1.0]])).tolist() == [True, False]


@quick
@given(st.lists(utility, min_size=2, max_size=8), aversions.filter(lambda a: a > 0), st.data())
def test_transfers_from_rich_to_poor_lower_inequality(utilities, alpha, data):
    # Pigou-Dalton.
    poor, rich = int(np.argmin(utilities)), int(np.argmax(utilities))
    amount = data.draw(st.floats(0.0, 0.5)) * (utilities[rich] - utilities[poor])
    after = list(utilities)
    after[poor] += amount
    after[rich] -= amount
    for measure in (gini_coefficient, lambda u: atkinson_index(u, alpha=alpha)):
        assert 0.0 <= measure(utilities) < 1.0
        assert measure(after) <= measure(utilities) + 1e-13
    assert welfare(after, alpha=alpha) >= welfare(utilities, alpha=alpha) * (1 - 1e-13)


@quick
@given(st.lists(utility, min_size=2, max_size=8), aversions, st.floats(1e-3, 1e3), st.integers(2, 3))
def test_inequality_does_not_depend_on_scale_or_size(utilities, alpha, scale, copies):
    for measure in (gini_coefficient, lambda u: atkinson_index(u, alpha=alpha)):
        value = measure(utilities)
        assert measure(np.array(utilities) * scale) == pytest.approx(value, rel=1e-9, abs=1e-13)
        assert measure(utilities * copies) == pytest.approx(value, rel=1e-9, abs=1e-13)


# -------------------------------------------------------------------------------------------- share, worst-off share


def test_satisfied_share_is_strict_and_exact_at_one():
    assert satisfied_share([0.5, 0.5, 0.6, 0.1], threshold=0.5) == 0.25
    for n in range(1, 200):
        # 49 times 1/49 is not 1 in floating point; everybody satisfied must be.
        assert satisfied_share(np.ones(n), threshold=0.5) == 1.0
        assert satisfied_share(np.ones(n), threshold=0.5, weights=np.full(n, 0.1)) == 1.0
    assert satisfied_share([-2.0, -1.0], threshold=-1.5) == 0.5


def tail_mean(utilities, share):
    """The mean of the worst-off share, juror by juror in fractions."""
    left = Fraction(share) * len(utilities)
    total = Fraction(0)
    for value in sorted(map(Fraction, utilities)):
        part = min(Fraction(1), left)
        total += part * value
        left -= part
    return float(total / (Fraction(share) * len(utilities)))


@quick
@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=9), st.floats(0.01, 1.0))
def test_conditional_value_at_risk_is_the_mean_of_the_worst_off(utilities, share):
    value = conditional_value_at_risk(utilities, share=share)
    assert value == pytest.approx(tail_mean(utilities, share), rel=1e-11, abs=1e-12)
    assert min(utilities) <= value <= np.mean(utilities) + 1e-12


def test_conditional_value_at_risk_closed_forms():
    utilities = [4.0, 1.0, 3.0, 2.0]
    assert conditional_value_at_risk(utilities, share=1) == 2.5
    assert conditional_value_at_risk(utilities, share=0.25) == 1.0
    assert conditional_value_at_risk(utilities, share=1e-9) == 1.0
    assert conditional_value_at_risk(utilities, share=0.375) == pytest.approx((1 + 0.5 * 2) / 1.5, rel=1e-15)


# --------------------------------------------------------------------------------------------------------- leximin


def test_leximin_prefers_the_second_worst_off_when_the_worst_off_are_equal():
    # Maximin cannot tell these apart; leximin can (Sen 1970, chapter 9).
    assert leximin_compare([1, 5, 2], [9, 1, 1]) == 1
    assert leximin_compare([1, 1, 9], [2, 1, 5]) == -1
    assert leximin_compare([3, 1, 2], [2, 3, 1]) == 0
    np.testing.assert_array_equal(leximin_compare([[1, 2], [3, 3]], [2, 1]), [0, 1])


@quick
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=6))
def test_leximin_order_is_the_order_of_sorted_tuples(candidates):
    expected = sorted(range(len(candidates)), key=lambda c: sorted(candidates[c]), reverse=True)
    # Python's reverse sort keeps equals in order, as leximin_order does.
    order = leximin_order(candidates).tolist()
    assert order == expected
    both = leximin_order(np.stack([candidates, candidates[::-1]]))
    assert both[0].tolist() == expected
    for a, b in itertools.pairwise(order):
        assert leximin_compare(candidates[a], candidates[b]) == int(sorted(candidates[a]) > sorted(candidates[b]))


# ----------------------------------------------------------------------------------------------------------- groups


def test_worst_off_group_names_the_group_and_all_means():
    utilities = [[0.9, 0.7, 0.2, 0.4], [0.1, 0.2, 0.9, 0.9]]
    worst = worst_off_group(utilities, np.array(["left", "left", "right", "right"]))
    assert worst.groups == ("left", "right")
    assert worst.group.tolist() == ["right", "left"]
    np.testing.assert_allclose(worst.values, [[0.8, 0.3], [0.15, 0.9]], rtol=1e-14)
    np.testing.assert_allclose(worst.value, [0.3, 0.15], rtol=1e-14)
    # Labels may be tuples (intersections of groups); among equals the first that appears.
    single = worst_off_group([-1.0, -1.0], [("US", 30), ("US", 50)])
    assert single.group == ("US", 30)
    assert single.value == -1.0


def test_a_group_without_ratings_is_never_left_out_in_silence():
    utilities = [[0.9, 0.8, math.nan], [0.9, math.nan, 0.1]]
    worst = worst_off_group(utilities, "aab", missing="omit")
    assert worst.group.tolist() == [None, "b"]
    np.testing.assert_array_equal(worst.value, [math.nan, 0.1])
    np.testing.assert_array_equal(worst.values, [[0.8500000000000001, math.nan], [0.9, 0.1]])
    levels = two_level_welfare(utilities, "aab", within_alpha=0, between_alpha=0, missing="omit")
    np.testing.assert_allclose(levels, [math.nan, 0.5])
    # Unless the group has no weight.
    alone = two_level_welfare(
        utilities, "aab", within_alpha=0, between_alpha=0, missing="omit", group_weights={"a": 1, "b": 0}
    )
    np.testing.assert_allclose(alone, [0.85, 0.9])
    assert worst_off_group([0.9, math.nan], "ab", missing="propagate").group is None


def test_two_level_welfare_is_welfare_of_welfares():
    rng = np.random.default_rng(5)
    utilities = rng.uniform(0.05, 1.0, size=(4, 6))
    groups = ["a", "b", "b", "c", "a", "b"]
    parts = [[0, 4], [1, 2, 5], [3]]
    for within, between in itertools.product([0, 0.5, 1, 3, INF], repeat=2):
        levels = np.stack([welfare(utilities[:, part], alpha=within) for part in parts], axis=-1)
        mine = two_level_welfare(utilities, groups, within_alpha=within, between_alpha=between)
        np.testing.assert_allclose(mine, welfare(levels, alpha=between), rtol=1e-13)
    # MaxMin-RLHF: the mean of the worst-off group.
    np.testing.assert_allclose(
        two_level_welfare(utilities, groups, within_alpha=0, between_alpha=INF),
        worst_off_group(utilities, groups).value,
        rtol=1e-14,
    )


@pytest.mark.whole
@quick
@given(st.lists(utility, min_size=2, max_size=8), aversions, st.data())
def test_with_groups_counted_by_size_the_two_levels_fall_into_one(utilities, alpha, data):
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=len(utilities), max_size=len(utilities)))
    by_size = two_level_welfare(
        utilities, groups, within_alpha=alpha, between_alpha=alpha, group_weights=Counter(groups)
    )
    assert by_size == pytest.approx(welfare(utilities, alpha=alpha), rel=1e-11)
    sizes = Counter(groups)
    equal = group_weighted_welfare(utilities, groups, alpha=alpha)
    assert equal == pytest.approx(welfare(utilities, alpha=alpha, weights=[1 / sizes[g] for g in groups]), rel=1e-11)


# ----------------------------------------------------------------------------------------------------------- juries


def test_sampled_juries_have_the_stated_composition():
    # Powers of two tell from the sum who sat on the jury.
    ratings = 2.0 ** np.arange(9)
    groups = ["a"] * 4 + ["b"] * 3 + ["c"] * 2
    verdict = median_of_juries(ratings, groups, composition={"a": 2, "c": 1, "b": 0}, rng=0, n_juries=500)
    members = [int(total) for total in np.rint(verdict.jury_means * 3)]
    seats = [[juror for juror in range(9) if total >> juror & 1] for total in members]
    assert all(len(jury) == 3 for jury in seats)
    assert all(Counter(groups[juror] for juror in jury) == {"a": 2, "c": 1} for jury in seats)
    # Each of the 6 * 2 juries is drawn about as often as any other: chi-squared with 11 degrees of freedom.
    frequencies = np.array(list(Counter(members).values()))
    assert len(frequencies) == 12
    assert ((frequencies - 500 / 12) ** 2 / (500 / 12)).sum() < stats.chi2.ppf(0.9999, 11)
    assert verdict.median == np.median(verdict.jury_means)


def test_sampled_juries_agree_with_all_juries():
    rng = np.random.default_rng(6)
    ratings, groups = rng.integers(0, 5, size=(3, 7)).astype(float), list("aaaabbb")
    juries_of_all = [
        [*left, *right]
        for left in itertools.combinations(range(4), 2)
        for right in itertools.combinations(range(4, 7), 2)
    ]
    means = np.stack([ratings[:, jury].mean(axis=-1) for jury in juries_of_all], axis=-1)
    verdict = median_of_juries(ratings, groups, composition={"a": 2, "b": 2}, rng=7, n_juries=20_001)
    np.testing.assert_allclose(verdict.jury_means.mean(axis=-1), means.mean(axis=-1), atol=0.02)
    assert (np.abs(verdict.median - np.median(means, axis=-1)) <= 0.25).all()


def test_sampled_juries_are_the_same_for_a_seed_and_for_all_units():
    ratings, groups = read_only([[1, 2, 3, 4], [2, 4, 6, 8]]), "aabb"
    settings_ = {"composition": {"a": 1, "b": 1}, "n_juries": 11}
    first = median_of_juries(ratings, groups, rng=3, **settings_)
    again = median_of_juries(ratings, groups, rng=np.random.default_rng(3), **settings_)
    np.testing.assert_array_equal(first.jury_means, again.jury_means)
    np.testing.assert_array_equal(first.jury_means[1], 2 * first.jury_means[0])
    assert not np.array_equal(first.jury_means, median_of_juries(ratings, groups, rng=4, **settings_).jury_means)
    propagated = median_of_juries([[1, math.nan], [1, 2]], "ab", composition={"a": 1}, rng=0, missing="propagate")
    np.testing.assert_array_equal(propagated.median, [math.nan, 1.0])


def test_the_seat_of_who_did_not_rate_goes_to_another_of_the_group():
    nan = math.nan
    ratings = read_only(
        [[1, 10, 100, 1000, 10000], [1, nan, 100, 1000, 10000], [nan, nan, 100, 1000, 10000], [1, 10, 100, nan, 10000]]
    )
    settings_ = {"composition": {"a": 2, "b": 1}, "n_juries": 400, "rng": 5}
    means = median_of_juries(ratings, "aaabb", missing="reseat", **settings_).jury_means
    sums = np.round(3 * means)
    whole = median_of_juries(ratings[:1], "aaabb", **settings_).jury_means
    np.testing.assert_array_equal(means[0], whole[0])
    assert set(sums[0]) == {pair + seat for pair in (11, 101, 110) for seat in (1000, 10000)}
    assert set(sums[1]) == {101 + 1000, 101 + 10000}
    # Jurors who rated the unit keep the seat.
    kept = np.isin(sums[0], (101 + 1000, 101 + 10000))
    np.testing.assert_array_equal(sums[1][kept], sums[0][kept])
    # Nobody else of the group rated the third unit.
    assert np.isnan(means[2]).all()
    assert set(sums[3]) == {pair + 10000 for pair in (11, 101, 110)}
    np.testing.assert_array_equal(sums[3] % 1000, sums[0] % 1000)
    unseated = median_of_juries([[1, nan]], "ab", composition={"a": 1}, rng=0, missing="reseat")
    np.testing.assert_array_equal(unseated.median, [1.0])


def test_a_jury_of_everybody_is_the_mean():
    ratings = [0.3, 0.9, 0.1]
    verdict = median_of_juries(ratings, "aab", composition={"a": 2, "b": 1}, rng=0)
    assert verdict.median == pytest.approx(np.mean(ratings), rel=1e-15)


def test_everything_public_is_exported():
    for module in (jury, jury_groups):
        assert list(module.__all__) == sorted(module.__all__)
        for name in module.__all__:
            assert getattr(module, name).__doc__


# -------------------------------------------------------------------------- what only a fault would show: small corners


def test_a_curve_refuses_negative_utilities_at_every_aversion():
    with pytest.raises(InvalidParameterError, match="non-negative"):
        welfare_curve([0.5, -0.1], alphas=[0.0])


def test_worst_off_groups_keep_every_axis_of_the_units():
    utilities = np.random.default_rng(0).random((2, 3, 4))
    worst = worst_off_group(utilities, ["a", "a", "b", "b"])
    assert worst.group.shape == worst.value.shape == (2, 3)
    for unit in np.ndindex(2, 3):
        alone = worst_off_group(utilities[unit], ["a", "a", "b", "b"])
        assert (worst.group[unit], worst.value[unit]) == (alone.group, pytest.approx(alone.value))


def test_there_may_be_one_jury_and_there_are_a_hundred_unless_asked():
    ratings, groups, composition = [1, 2, 3, 4], ["a", "a", "b", "b"], {"a": 1, "b": 1}
    assert median_of_juries(ratings, groups, composition=composition, rng=0).jury_means.shape == (100,)
    one = median_of_juries(ratings, groups, composition=composition, rng=0, n_juries=1)
    assert one.jury_means.shape == (1,)
    assert one.median == one.jury_means[0]


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_of_each_juror_in_each_unit_follow_the_axis(axis):
    rng = np.random.default_rng(1)
    utilities, weights = rng.random((3, 3)), rng.random((3, 3))
    found = welfare(utilities, alpha=2.0, axis=axis, weights=weights)
    units = zip(np.moveaxis(utilities, axis, -1), np.moveaxis(weights, axis, -1), strict=True)
    np.testing.assert_allclose(found, [welfare(unit, alpha=2.0, weights=own) for unit, own in units])


def test_two_levels_take_weights_and_refuse_negative_utilities():
    utilities, groups = [0.2, 0.8, 0.5, 0.9], ["a", "a", "b", "b"]
    found = two_level_welfare(utilities, groups, within_alpha=0.0, between_alpha=0.0, weights=[3, 1, 1, 1])
    assert found == pytest.approx(((3 * 0.2 + 0.8) / 4 + 0.7) / 2)
    with pytest.raises(InvalidParameterError, match="non-negative"):
        two_level_welfare([-0.1, 0.8], ["a", "b"], within_alpha=0.0, between_alpha=0.0)


@pytest.mark.parametrize("rng", ["x", -1, True, 0.5, None])
def test_juries_refuse_what_is_no_generator(rng):
    with pytest.raises(InvalidParameterError, match=r"'rng' parameter of median_of_juries must be a numpy.random"):
        median_of_juries([1, 2], ["a", "b"], composition={"a": 1}, rng=rng)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, 2, INF])
def test_welfare_of_the_largest_numbers(alpha):
    assert welfare([1e308] * 2, alpha=alpha) == pytest.approx(1e308, rel=1e-12)
    assert atkinson_index([1e308] * 2, alpha=alpha) == pytest.approx(0.0, abs=1e-12)
    assert welfare([0.2, 0.8], alpha=alpha, weights=[1e308, 1e308]) == welfare([0.2, 0.8], alpha=alpha)


def test_means_of_the_largest_numbers():
    worst = worst_off_group([1e308, 1e308, -1e308, -1e308], "aabb")
    assert (worst.group, worst.value) == ("b", -1e308)
    assert gini_coefficient([1e308, 1e308]) == 0.0
    assert welfare([[1e308, 1e308], [0.2, 0.8]], alpha=0).tolist() == [1e308, 0.5]


@pytest.mark.parametrize("alpha", [1.0 - 1e-12, 1.0, 1.0 + 1e-12])
@pytest.mark.parametrize(
    ("utilities", "logarithm"),
    [
        ([1e-300] + [1e300] * 9, 240.0),
        ([5e-324] * 9 + [1e300], (9 * math.log10(5e-324) + 300) / 10),
        ([5e-324, 1e300], (math.log10(5e-324) + 300) / 2),
    ],
)
def test_welfare_about_the_geometric_mean_of_the_widest_ranges(utilities, logarithm, alpha):
    # Within 1e-12 of alpha = 1 the power mean is the geometric one, whose logarithm is a mean of logarithms.
    assert math.log10(welfare(utilities, alpha=alpha)) == pytest.approx(logarithm, abs=1e-6)


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1.0, 1e300])
def test_weights_are_relative_however_small(scale):
    assert welfare([1.0, 4.0], alpha=0.5, weights=[scale, scale]) == pytest.approx(2.25, rel=1e-12)
    assert welfare([1.0, 4.0], alpha=0.0, weights=[scale, scale]) == 2.5
