"""Welfare over sparse votes: against the measures of the core, brute-force jackknives and simulated truth."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_crossed, estimate_crossed, estimate_mean, interval_at
from pytest_pluralism.core.estimation.welfare_bands import dominance_band, welfare_band
from pytest_pluralism.core.metrics import (
    conditional_value_at_risk,
    satisfied_share,
    two_level_welfare,
    welfare,
)
from pytest_pluralism.core.metrics.pooled_welfare import pooled_welfare
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, group_means, query_welfare
from pytest_pluralism.core.metrics.welfare_carriers import trust_of
from pytest_pluralism.core.records import Estimate

ALPHAS = (0.0, 0.5, 1.0, 1.0 + 1e-9, 2.0, 5.0, 20.0, 1e6, math.inf)


def table_of(
    matrix: np.ndarray,
    *,
    share: np.ndarray | None = None,
    response_query: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> JuryTable:
    """A table from a matrix of shape (n_jurors, n_responses) with NaN where nobody voted."""
    matrix.setflags(write=False)
    response, juror = np.nonzero(~np.isnan(matrix.T))
    n_jurors, n_responses = matrix.shape
    query = np.arange(n_responses) if response_query is None else response_query
    return JuryTable(
        juror=juror,
        response=response,
        utility=matrix.T[response, juror],
        response_query=query,
        share=np.ones(n_responses) if share is None else share,
        weights=np.ones(n_jurors) if weights is None else weights,
        group=groups,
        group_names=() if groups is None else tuple(f"g{code}" for code in range(int(groups.max()) + 1)),
        n_queries=int(query.max()) + 1,
    )


def panel(seed: int, n_jurors: int = 12, n_queries: int = 8, missing: float = 0.25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.choice([0.02, 0.2, 0.4, 0.6, 0.8, 1.0], size=(n_jurors, n_queries))
    values[rng.random(values.shape) < missing] = np.nan
    values[0] = 0.5  # Somebody judges everything.
    return values


RULES = [
    *((WelfareRule(alpha=alpha), lambda u, w, g, alpha=alpha: welfare(u, alpha=alpha, weights=w, missing="omit"))
      for alpha in ALPHAS),
    (WelfareRule(satisfied_above=0.4), lambda u, w, g: satisfied_share(u, threshold=0.4, weights=w, missing="omit")),
    (WelfareRule(worst_share=0.1), lambda u, w, g: conditional_value_at_risk(u, share=0.1, weights=w, missing="omit")),
    (WelfareRule(worst_share=0.5), lambda u, w, g: conditional_value_at_risk(u, share=0.5, weights=w, missing="omit")),
    *((WelfareRule(alpha=a, between_alpha=b),
       lambda u, w, g, a=a, b=b: two_level_welfare(u, g, within_alpha=a, between_alpha=b, weights=w, missing="omit"))
      for a, b in ((0.0, math.inf), (1.0, 2.0), (2.0, 0.0))),
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("rule", "reference"), RULES, ids=lambda part: getattr(part, "words", ""))
def test_every_rule_is_the_measure_of_the_core(rule: WelfareRule, reference: object, weighted: bool) -> None:
    for seed in range(5):
        matrix = panel(seed)
        groups = np.arange(len(matrix)) % 3
        weights = np.random.default_rng(seed).uniform(0.2, 3.0, len(matrix)) if weighted else np.ones(len(matrix))
        found = query_welfare(table_of(matrix, weights=weights, groups=groups), rule)
        wanted = reference(matrix.T, weights, groups.tolist())  # type: ignore[operator]
        np.testing.assert_allclose(found.values, wanted, rtol=0, atol=1e-12)
        assert found.mean == pytest.approx(float(np.nanmean(wanted)), abs=1e-12)


def test_a_very_large_aversion_agrees_with_maximin() -> None:
    matrix = panel(3)
    far = query_welfare(table_of(matrix), WelfareRule(alpha=1e6)).values
    np.testing.assert_allclose(far, np.nanmin(matrix, axis=0), rtol=1e-5)


def estimated(
    table: JuryTable, rule: WelfareRule, scale: tuple[float, float] | None = None, *, level: float = 0.95
) -> Estimate:
    """Return the estimate that an evaluation makes of recorded votes."""
    found = query_welfare(table, rule)
    trust = trust_of(table, rule, found)
    return estimate_crossed(
        found.values[np.isfinite(found.values)],
        found.pseudo_values[np.isfinite(found.pseudo_values)],
        cell_variance=found.cell_variance,
        cell_third=found.cell_third,
        bias=found.biases[np.isfinite(found.values)],
        carriers=trust.carriers,
        below=trust.below,
        above=trust.above,
        scale=scale,
        confidence_level=level,
    )


def leave_out_biases(table: JuryTable, rule: WelfareRule) -> np.ndarray:
    """Return the bias of each query by a jackknife that takes out one voter after the other by hand."""
    whole = query_welfare(table, rule).values
    found = np.zeros(table.n_queries)
    for cell in range(len(table.juror)):
        juror, query = table.juror[cell], table.response[cell]
        beside = table.response == query
        if rule.between_alpha is not None:
            assert table.group is not None
            beside &= table.group[table.juror] == table.group[juror]
        own = table.weights[juror] / table.weights[table.juror[beside]].sum()
        if own < 1.0:
            members = np.arange(len(table.weights)) != juror
            found[query] += (1.0 - own) * (query_welfare(table.of_jurors(members), rule).values[query] - whole[query])
    return found


def slopes(table: JuryTable, rule: WelfareRule) -> np.ndarray:
    """Return how the mean moves as the weight of each juror grows, by differences."""
    found = []
    for juror, weight in enumerate(table.weights):
        ends = []
        for step in (1e-6, -1e-6):
            moved = table.weights.copy()
            moved[juror] += step * weight
            ends.append(query_welfare(replace(table, weights=moved), rule).mean)
        found.append((ends[0] - ends[1]) / 2e-6)
    return np.array(found)


RULES = (
    *(WelfareRule(alpha=alpha) for alpha in (0.0, 0.5, 1.0, 2.0, 5.0, 40.0)),
    *(WelfareRule(worst_share=share) for share in (0.02, 0.3, 1.0)),
    WelfareRule(satisfied_above=0.5),
    *(WelfareRule(alpha=one, between_alpha=other) for one, other in ((0.0, 2.0), (1.0, 0.5), (2.0, 0.0))),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.words)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_the_bias_of_each_query_is_that_of_a_jackknife_over_its_own_voters(rule: WelfareRule, weighted: bool) -> None:
    matrix = panel(7, n_jurors=9, n_queries=6, missing=0.3)
    matrix[:, 4] = np.nan
    matrix[3, 4] = 0.7
    groups = np.arange(9) % 2 if rule.between_alpha is not None else None
    table = table_of(matrix, weights=np.linspace(0.5, 2.0, 9) if weighted else None, groups=groups)
    found = query_welfare(table, rule)
    np.testing.assert_allclose(found.biases, leave_out_biases(table, rule), rtol=0, atol=1e-9)
    if rule.between_alpha is None:
        # One voter does not show a bias: the query stays as it is, with any juror left out.
        assert found.biases[4] == 0.0
        assert found.values[4] == pytest.approx(float(rule.satisfied_above is not None) or 0.7)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.words)
def test_what_a_juror_adds_is_the_slope_of_the_mean_in_the_weight_of_the_juror(rule: WelfareRule) -> None:
    matrix = panel(11, n_jurors=12, n_queries=1, missing=0.0)
    # With one query nothing is added for queries that lie above or below the mean.
    table = table_of(matrix, weights=np.linspace(0.7, 1.3, 12), groups=np.arange(12) % 3)
    found = query_welfare(table, rule)
    np.testing.assert_allclose((found.pseudo_values - found.mean) / 12, slopes(table, rule), rtol=0, atol=1e-6)
    assert np.nanmean(found.pseudo_values) == pytest.approx(found.mean)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.words)
def test_what_jurors_add_has_the_mean_of_the_queries(rule: WelfareRule) -> None:
    matrix = panel(5, n_jurors=8, n_queries=6, missing=0.4)
    found = query_welfare(table_of(matrix, groups=np.arange(8) % 2), rule)
    assert np.nanmean(found.pseudo_values) == pytest.approx(found.mean)


def test_the_pooled_welfare_is_the_power_mean_where_votes_are_many() -> None:
    rng = np.random.default_rng(4)
    matrix = np.clip(rng.normal(0.6, 0.15, (4000, 1)) + rng.normal(0, 0.05, (4000, 12)), 0.2, 1.0)
    found = query_welfare(table_of(matrix), WelfareRule(alpha=2.0))
    pooled = pooled_welfare(table_of(matrix), WelfareRule(alpha=2.0))
    assert pooled == pytest.approx(found.mean - found.bias, abs=1e-4)
    for rule in (WelfareRule(alpha=1.0), WelfareRule(alpha=12.0), WelfareRule(worst_share=0.2)):
        assert math.isnan(pooled_welfare(table_of(matrix), rule))
    alone = np.where(np.eye(12) > 0, 0.4, np.nan)
    assert math.isnan(pooled_welfare(table_of(alone), WelfareRule(alpha=2.0)))


def test_the_pooled_welfare_sees_what_few_votes_hide() -> None:
    """One in twenty is served badly: of three votes on a query most hold no such juror, and look well served."""
    rng = np.random.default_rng(8)
    means, pooled = [], []
    for _ in range(200):
        matrix = np.where(rng.random((200, 60)) < 0.05, 0.05, 0.8)
        matrix[rng.random(matrix.shape) > 0.03] = np.nan
        table = table_of(matrix[:, (~np.isnan(matrix)).sum(axis=0) > 1])
        found = query_welfare(table, WelfareRule(alpha=2.0))
        means.append(found.mean - found.bias)
        pooled.append(pooled_welfare(table, WelfareRule(alpha=2.0)))
    truth = 1.0 / (0.05 / 0.05 + 0.95 / 0.8)
    assert np.mean(means) > truth + 0.1
    assert np.mean(pooled) == pytest.approx(truth, abs=0.05)


def test_the_intervals_hold_where_a_few_of_a_group_judge_in_turns() -> None:
    rng = np.random.default_rng(0)
    covered, n_runs = 0, 60
    groups = np.repeat([0, 1], [20, 4])
    for _ in range(n_runs):
        jurors, queries = rng.normal(scale=0.2, size=(24, 1)), rng.normal(scale=0.05, size=(1, 24))
        matrix = 5.0 + jurors + queries + rng.normal(scale=0.05, size=(24, 24))
        matrix[20:][np.arange(4)[:, None] != np.arange(24) % 4] = np.nan
        estimate = estimated(table_of(matrix, groups=groups), WelfareRule(alpha=0.0, between_alpha=0.0))
        covered += estimate.low <= 5.0 <= estimate.high
    assert covered / n_runs >= 0.85


def test_a_mean_with_all_cells_has_the_two_way_error_of_the_core() -> None:
    # Whole jurors and queries differ here, so that neither part alone is the larger error.
    matrix = drawn(np.random.default_rng(3), 15, 10)
    found = query_welfare(table_of(matrix), WelfareRule(alpha=0.0))
    jurors, queries = np.indices(matrix.shape).reshape(2, -1)
    core = estimate_mean(matrix.reshape(-1), clusters=queries.tolist(), other_clusters=jurors.tolist(), method="t")
    ours = estimate_crossed(found.values, found.pseudo_values, cell_variance=found.cell_variance, bias=found.bias)
    assert ours.value == pytest.approx(core.value, abs=1e-12)
    assert ours.standard_error == pytest.approx(core.standard_error, rel=1e-6)
    assert found.bias == pytest.approx(0.0, abs=1e-12)


def test_shares_of_responses_weigh_their_welfare() -> None:
    matrix = np.array([[0.9, 0.1, 0.5], [0.9, 0.8, 0.5]])
    table = table_of(matrix, response_query=np.array([0, 0, 1]), share=np.array([0.25, 0.75, 1.0]))
    found = query_welfare(table, WelfareRule(alpha=1.0))
    wanted = 0.25 * 0.9 + 0.75 * math.sqrt(0.08)
    np.testing.assert_allclose(found.values, [wanted, 0.5], atol=1e-15)
    np.testing.assert_allclose(found.by_response, [0.9, math.sqrt(0.08), 0.5], atol=1e-15)


def test_a_response_that_is_given_and_nobody_judged_has_no_value() -> None:
    matrix = np.array([[0.5, np.nan], [0.7, np.nan]])
    found = query_welfare(table_of(matrix), WelfareRule(alpha=0.0))
    assert found.values[0] == pytest.approx(0.6)
    assert np.isnan(found.values[1])
    assert found.mean == pytest.approx(0.6)


def test_group_means_leave_out_what_a_group_did_not_judge() -> None:
    matrix = np.array([[0.2, 0.4], [0.4, 0.6], [0.9, np.nan]])
    found = group_means(table_of(matrix, groups=np.array([0, 0, 1])), WelfareRule(alpha=0.0))
    assert found == pytest.approx({"g0": 0.4, "g1": 0.9})


@settings(max_examples=60, deadline=None)
@given(
    matrix=npst.arrays(np.float64, (5, 4), elements=st.floats(0.01, 1.0)),
    alphas=st.lists(st.floats(0.0, 50.0), min_size=2, max_size=4),
)
def test_welfare_never_rises_with_aversion_and_lies_between_worst_and_mean(
    matrix: np.ndarray, alphas: list[float]
) -> None:
    before = matrix.copy()
    curve = [query_welfare(table_of(matrix), WelfareRule(alpha=alpha)).values for alpha in sorted(alphas)]
    for higher, lower in itertools.pairwise(curve):
        assert (lower <= higher + 1e-12).all()
    assert (curve[-1] >= matrix.min(axis=0) - 1e-12).all()
    assert (curve[0] <= matrix.mean(axis=0) + 1e-12).all()
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize(
    ("value", "rule", "words"),
    [
        (0.0, WelfareRule(alpha=1.0), "needs positive utilities"),
        (0.0, WelfareRule(alpha=0.0, between_alpha=2.0), "needs positive utilities"),
        (-0.5, WelfareRule(alpha=0.5), "not negative"),
    ],
)
def test_utilities_that_a_rule_cannot_take_are_refused_with_a_remedy(
    value: float, rule: WelfareRule, words: str
) -> None:
    matrix = np.array([[value, 0.5], [0.5, 0.5]])
    with pytest.raises(InvalidParameterError, match=words) as error:
        query_welfare(table_of(matrix, groups=np.array([0, 1])), rule)
    assert "scale" in str(error.value)


def test_a_mean_and_a_satisfied_share_take_negative_utilities() -> None:
    table = table_of(np.array([[-0.5, 0.5], [0.5, 0.5]]))
    np.testing.assert_allclose(query_welfare(table, WelfareRule(alpha=0.0)).values, [0.0, 0.5])
    np.testing.assert_allclose(query_welfare(table, WelfareRule(satisfied_above=0.0)).values, [0.5, 1.0])


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"alpha": -1.0}, "'alpha'"),
        ({"alpha": math.nan}, "'alpha'"),
        ({"worst_share": 0.0}, "'worst_share'"),
        ({"satisfied_above": 0.5, "worst_share": 0.1}, "different measures"),
    ],
)
def test_a_wrong_rule_is_refused(keywords: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        WelfareRule(**keywords)


def test_two_levels_need_groups() -> None:
    with pytest.raises(InvalidParameterError, match="two groups"):
        query_welfare(table_of(np.full((2, 2), 0.5)), WelfareRule(alpha=0.0, between_alpha=1.0))


# ---------------------------------------------------------------------------------------------------------- bands


def test_the_band_of_a_curve_holds_its_pointwise_intervals() -> None:
    band = welfare_band(table_of(panel(5, 30, 20, 0.1)), alphas=[0, 1, 2, 5])
    for low, high, inner_low, inner_high, value in zip(
        band.band_low, band.band_high, band.low, band.high, band.values, strict=True
    ):
        if math.isnan(value - inner_low):
            # A handful of jurors decide at the largest aversion, of whom others are not told.
            assert value in band.values[-2:]
            assert math.isnan(low) and math.isnan(high)  # noqa: PT018 - one fact
        else:
            assert low <= inner_low <= value <= inner_high <= high
    assert list(band.values) == sorted(band.values, reverse=True)


def test_a_response_that_is_better_for_everybody_dominates_and_the_reverse_does_not() -> None:
    worse = panel(5, 40, 30, 0.0) * 0.8
    better = np.minimum(worse + 0.1, 1.0)
    alphas = [0, 0.5, 1, 2, 5]
    assert dominance_band(table_of(better), table_of(worse), alphas=alphas).dominates
    assert not dominance_band(table_of(worse), table_of(better), alphas=alphas).dominates


def test_pleasing_the_majority_is_better_on_average_and_does_not_dominate() -> None:
    rng = np.random.default_rng(0)
    even = np.clip(0.65 + rng.normal(scale=0.05, size=(50, 20)), 0.02, 1.0)
    pleasing = np.clip(
        np.where(np.arange(50)[:, None] < 40, 0.9, 0.05) + rng.normal(scale=0.02, size=(50, 20)), 0.02, 1.0
    )
    band = dominance_band(table_of(pleasing), table_of(even), alphas=[0, 5])
    assert band.values[0] > 0.0 > band.values[1]
    assert band.band_high[1] < 0.0
    assert not band.dominates


# ----------------------------------------------------------------------------------------------------- statistics


def drawn(rng: np.random.Generator, n_jurors: int, n_queries: int) -> np.ndarray:
    """Jurors, queries and cells each have an effect; five levels, the lowest worth 0.2."""
    latent = rng.normal(size=(n_jurors, 1)) + rng.normal(size=(1, n_queries)) + rng.normal(size=(n_jurors, n_queries))
    return 0.2 + 0.8 * np.round(4.0 / (1.0 + np.exp(-0.5 - latent))) / 4.0


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(20, 20), (100, 50)], ids=["20x20", "100x50"])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_the_intervals_cover_the_population_of_jurors_and_queries(alpha: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(20240514)
    truth = float(np.mean([np.asarray(welfare(drawn(rng, 20_000, 1).T, alpha=alpha)) for _ in range(1500)]))
    covered, n_runs = 0, 1500
    for _ in range(n_runs):
        estimate = estimated(table_of(drawn(rng, *shape)), WelfareRule(alpha=alpha), (0.0, 1.0))
        covered += estimate.low <= truth <= estimate.high
    print(f"alpha {alpha:g}, {shape}: covered {covered / n_runs:.3f} of {n_runs}")
    # Small panels, and large aversions, err on the wide side.
    assert 0.93 <= covered / n_runs <= (0.98 if shape[0] == 100 else 0.995)


@pytest.mark.slow
def test_the_band_covers_the_whole_curve_at_once() -> None:
    rng = np.random.default_rng(7)
    alphas = (0.0, 1.0, 2.0, 5.0)
    population = [drawn(rng, 20_000, 1).T for _ in range(1000)]
    truth = [float(np.mean([np.asarray(welfare(one, alpha=alpha)) for one in population])) for alpha in alphas]
    covered, n_runs = 0, 600
    for seed in range(n_runs):
        band = welfare_band(table_of(drawn(rng, 40, 30)), alphas=alphas, n_resamples=499, seed=seed)
        # An end that is not known excludes nothing.
        covered += all(
            not (value < low or high < value)
            for low, value, high in zip(band.band_low, truth, band.band_high, strict=True)
        )
    print(f"band over {alphas}: covered {covered / n_runs:.3f} of {n_runs}")
    assert 0.92 <= covered / n_runs <= 0.99


def test_a_paired_change_sees_what_two_separate_intervals_do_not() -> None:
    matrix = panel(9, 40, 30, 0.0) * 0.8
    before = query_welfare(table_of(matrix), WelfareRule(alpha=1.0))
    after = query_welfare(table_of(matrix * 1.02), WelfareRule(alpha=1.0))
    change = compare_crossed(after.values, before.values, after.pseudo_values, before.pseudo_values)
    assert change.low > 0.0
    assert change.n == 30
    assert change.n_clusters == 30
    alone = estimate_crossed(after.values, after.pseudo_values)
    assert alone.low < before.mean


def crossed_of(matrix: np.ndarray, jurors: list[str], alpha: float = 1.0) -> Estimate:
    found = query_welfare(table_of(matrix), WelfareRule(alpha=alpha))
    return estimate_crossed(
        found.values,
        found.pseudo_values,
        cell_variance=found.cell_variance,
        bias=found.bias,
        unit_ids=[f"q{place}" for place in range(matrix.shape[1])],
        crossed_ids=jurors,
    )


def test_estimates_of_two_systems_are_subtracted_over_the_same_jurors() -> None:
    matrix = panel(9, 40, 30, 0.0) * 0.8
    jurors = [f"j{place}" for place in range(40)]
    left, right = crossed_of(matrix * 1.02, jurors), crossed_of(matrix[::-1].copy(), jurors[::-1])
    change = left - right
    assert change.value == pytest.approx(left.value - right.value)
    assert change.low > 0.0
    assert change.n == 30
    again = interval_at(change, 0.99)
    assert again.low < change.low
    assert again.value == change.value


def test_a_difference_lies_within_what_two_values_of_the_scale_can_differ_by() -> None:
    names = {"unit_ids": list("wxyz"), "crossed_ids": list("abc")}
    sides = [
        estimate_crossed([1.0, 1.0, 0.6, 1.0], [1.1, 0.7, 0.9], scale=(0.0, 1.0), **names),
        estimate_crossed([0.0, 0.0, 0.4, 0.0], [-0.1, 0.3, 0.1], scale=(0.0, 1.0), **names),
    ]
    difference = sides[0] - sides[1]
    assert -1.0 < difference.low < difference.value < difference.high < 1.0
    assert interval_at(difference, 0.999).high < 1.0
    # Without the scale, so few jurors would leave more open than there is.
    left, right = (replace(side, how=replace(side.how, lowest=None, highest=None)) for side in sides)
    assert (left - right).high > 1.0
    assert difference.high - difference.low < (left - right).high - (left - right).low


def test_estimates_of_two_groups_are_subtracted_as_of_different_jurors() -> None:
    matrix = panel(9, 40, 30, 0.0) * 0.8
    left = crossed_of(matrix[:15], [f"a{place}" for place in range(15)])
    right = crossed_of(matrix[15:], [f"b{place}" for place in range(25)])
    gap = left - right
    jurors = sum(np.var(side.crossed_values, ddof=1) / len(side.crossed_values) for side in (left, right))
    queries = np.var(np.subtract(left.values, right.values), ddof=1) / 30
    assert gap.standard_error == pytest.approx(math.sqrt(jurors + queries))
    both = crossed_of(matrix, [f"a{place}" for place in range(40)])
    with pytest.raises(InvalidParameterError, match="15 are on both sides"):
        left - both


@pytest.mark.parametrize(
    ("keywords", "words"),
    [({"cell_variance": -1.0}, "cell_variance"), ({"confidence_level": 1.5}, "confidence_level")],
)
def test_wrong_parameters_of_a_crossed_estimate_are_refused(keywords: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        estimate_crossed([0.1, 0.2], [0.1, 0.2], **keywords)


def test_one_unit_in_a_dimension_says_nothing_of_others() -> None:
    estimate = estimate_crossed([0.1, 0.2, 0.3], [0.2])
    assert estimate.value == pytest.approx(0.2)
    assert math.isnan(estimate.low)


@pytest.mark.slow
def test_a_million_votes_take_seconds_and_little_memory() -> None:
    import resource

    rng = np.random.default_rng(0)
    n = 10_000
    juror, response = np.unique(np.stack([rng.integers(0, n, 1_000_000), rng.integers(0, n, 1_000_000)]), axis=1)
    order = np.lexsort((juror, response))
    table = JuryTable(
        juror[order],
        response[order],
        rng.uniform(0.1, 1.0, len(juror)),
        np.arange(n),
        np.ones(n),
        np.ones(n),
        None,
        (),
        n,
    )
    start = time.perf_counter()
    band = welfare_band(table, alphas=[0, 0.5, 1, 2, 5, 10])
    print(f"{time.perf_counter() - start:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 1024**2
    assert list(band.values) == sorted(band.values, reverse=True)


def test_a_response_that_one_juror_alone_judged_worthless_says_nothing_of_its_bias() -> None:
    matrix = np.array([[0.0, 0.9], [np.nan, 0.4], [np.nan, 0.1]])
    rule = WelfareRule(alpha=0.5)
    found = query_welfare(table_of(matrix), rule)
    assert found.values[0] == found.biases[0] == 0.0
    np.testing.assert_allclose(found.biases, leave_out_biases(table_of(matrix), rule), rtol=0, atol=1e-12)
