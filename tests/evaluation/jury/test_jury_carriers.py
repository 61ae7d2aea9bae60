"""The effective number of jurors of a welfare, and the words about a small one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pytest_pluralism.baselines.comparison import entry_of, paired_change
from pytest_pluralism.core.estimation import estimate_crossed, estimate_scores
from pytest_pluralism.core.estimation.pareto_gains import pair_objective
from pytest_pluralism.core.estimation.welfare_bands import dominance_band
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.health import health_problems
from pytest_pluralism.core.metrics import two_level_welfare, welfare
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, query_welfare
from pytest_pluralism.core.metrics.welfare_carriers import LEAST_CARRIERS, Trust, doubts, trust_of
from pytest_pluralism.core.records import Estimate, Gate, Outcome, Provenance, Scores
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.records import (
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
    make_panel,
)
from pytest_pluralism.evaluation.jury.evaluations import AgainstReference, ChoiceEvaluation
from pytest_pluralism.evaluation.jury.scores import measured_policy, policy_scores
from pytest_pluralism.evaluation.jury.settings import JurySettings
from pytest_pluralism.evaluation.measures.registry import MEASURES


def table_of(matrix: np.ndarray, *, weights: np.ndarray | None = None, groups: np.ndarray | None = None) -> JuryTable:
    matrix.setflags(write=False)
    response, juror = np.nonzero(~np.isnan(matrix.T))
    n_jurors, n = matrix.shape
    voices = np.ones(n_jurors) if weights is None else weights
    names = () if groups is None else ("a", "b")
    return JuryTable(juror, response, matrix.T[response, juror], np.arange(n), np.ones(n), voices, groups, names, n)


def carriers(table: JuryTable, rule: WelfareRule) -> float:
    return trust_of(table, rule, query_welfare(table, rule)).least_carriers


def kish(part: np.ndarray) -> float:
    return float(part.sum() ** 2 / np.sum(part**2))


def slopes(value: object, matrix: np.ndarray) -> np.ndarray:
    """The derivative of the welfare of each response in each utility, by differences."""
    result = np.empty(matrix.shape)
    for place in np.ndindex(matrix.shape):
        step = np.zeros(matrix.shape)
        step[place] = 1e-6
        change = np.subtract(value(matrix + step), value(matrix - step))  # type: ignore[operator]
        result[place] = change[place[1]] / 2e-6
    return result / result.sum(axis=0)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, 5.0, 10.0])
def test_the_number_is_that_of_the_slopes(alpha: float) -> None:
    matrix = np.random.default_rng(0).uniform(0.2, 1.0, (9, 4))
    weights = np.linspace(0.5, 2.0, 9)
    part = slopes(lambda values: welfare(values.T, alpha=alpha, weights=weights), matrix)
    wanted = kish(part.mean(axis=1))
    if alpha > 1.0:
        wanted = min(wanted, float(np.mean([kish(column) for column in part.T])))
    assert carriers(table_of(matrix, weights=weights), WelfareRule(alpha=alpha)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("between", [0.0, 2.0])
def test_between_groups_the_number_is_that_of_the_slopes_too(between: float) -> None:
    matrix = np.random.default_rng(1).uniform(0.2, 1.0, (8, 4))
    groups = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    names = groups.tolist()
    part = slopes(lambda values: two_level_welfare(values.T, names, within_alpha=1.0, between_alpha=between), matrix)
    rule = WelfareRule(alpha=1.0, between_alpha=between)
    assert carriers(table_of(matrix, groups=groups), rule) == pytest.approx(kish(part.mean(axis=1)), rel=1e-5)


def test_a_group_that_decides_alone_carries_the_welfare_alone() -> None:
    matrix = np.full((9, 3), 0.9)
    matrix[6:] = 0.3
    groups = np.array([0] * 6 + [1] * 3)
    rule = WelfareRule(alpha=0.0, between_alpha=math.inf)
    assert carriers(table_of(matrix, groups=groups), rule) == pytest.approx(3.0)


@pytest.mark.parametrize(("share", "number"), [(1.0, 20.0), (0.5, 10.0), (0.1, 2.0), (0.02, 1.0)])
def test_the_worst_off_share_is_carried_by_as_many(share: float, number: float) -> None:
    matrix = np.random.default_rng(2).uniform(0.2, 1.0, (20, 200))
    assert carriers(table_of(matrix), WelfareRule(worst_share=share)) == pytest.approx(number)


def test_nobody_carries_what_nobody_judged() -> None:
    table = table_of(np.full((3, 2), np.nan))
    rule = WelfareRule(alpha=2.0)
    assert trust_of(table, rule, query_welfare(table, rule)) == Trust()
    assert not words_about(table, WelfareRule(alpha=2.0))


def words_about(table: JuryTable, rule: WelfareRule) -> list[str]:
    return list(doubts(rule, trust_of(table, rule, query_welfare(table, rule))))


def test_few_jurors_behind_the_number_are_said() -> None:
    matrix = np.random.default_rng(3).uniform(0.01, 1.0, (20, 20))
    assert not words_about(table_of(matrix), WelfareRule(alpha=1.0))
    (words,) = words_about(table_of(matrix), WelfareRule(alpha=5.0))
    assert f"fewer than {LEAST_CARRIERS:g}" in words
    (words,) = words_about(table_of(matrix), WelfareRule(worst_share=0.1))
    assert "about 2.0 jurors" in words
    assert not words_about(table_of(matrix), WelfareRule(worst_share=0.5))


def test_a_group_of_a_single_juror_is_named() -> None:
    matrix = np.random.default_rng(3).uniform(0.5, 1.0, (21, 20))
    groups = np.array([0] * 20 + [1])
    words = words_about(table_of(matrix, groups=groups), WelfareRule(alpha=0.0, between_alpha=0.0))
    assert "group 'b' is a single juror" in words[0]
    groups = np.array([0] * 11 + [1] * 10)
    assert not words_about(table_of(matrix, groups=groups), WelfareRule(alpha=0.0, between_alpha=0.0))


def trust(matrix: np.ndarray, rule: WelfareRule, groups: np.ndarray | None = None) -> Trust:
    table = table_of(matrix, groups=groups)
    return trust_of(table, rule, query_welfare(table, rule))


def test_a_group_of_a_single_juror_has_no_interval() -> None:
    """Its juror agrees with its mean, so that the interval would hold nothing of how its others differ."""
    matrix = np.random.default_rng(3).uniform(0.5, 1.0, (21, 20))
    rule = WelfareRule(alpha=0.0, between_alpha=0.0)
    assert "group 'b' is a single juror" in trust(matrix, rule, np.array([0] * 20 + [1])).doubt
    assert not trust(matrix, rule, np.array([0] * 19 + [1] * 2)).doubt


def test_few_jurors_who_differ_far_more_than_queries_keep_no_level_at_a_large_aversion() -> None:
    rng = np.random.default_rng(5)
    own = np.concatenate([np.full(5, 0.4), np.full(35, 0.8)])[:, None]
    by_juror = np.clip(own + 0.01 * rng.normal(size=(40, 40)), 0.1, 1.0)
    assert 5.0 < carriers(table_of(by_juror), WelfareRule(alpha=5.0)) < 8.0
    # It may be anything below, and still not above.
    found = query_welfare(table_of(by_juror), WelfareRule(alpha=5.0))
    assert trust(by_juror, WelfareRule(alpha=5.0)).below >= found.mean
    assert trust(by_juror, WelfareRule(alpha=2.0)).below < 0.1
    by_cell = np.clip(0.7 + 0.1 * rng.normal(size=(40, 40)), 0.4, 1.0)
    assert trust(by_cell, WelfareRule(alpha=5.0)).below < 0.1
    many = np.clip(0.7 + 0.05 * rng.normal(size=(40, 1)) + 0.01 * rng.normal(size=(40, 40)), 0.4, 1.0)
    assert trust(many, WelfareRule(alpha=5.0)).below < 0.1


def test_the_bias_at_a_large_aversion_may_be_none() -> None:
    table = table_of(np.clip(0.7 + 0.1 * np.random.default_rng(5).normal(size=(40, 40)), 0.4, 1.0))
    for alpha, is_large in ((2.0, False), (5.0, True)):
        found = query_welfare(table, WelfareRule(alpha=alpha))
        assert found.bias > 0.0
        assert trust_of(table, WelfareRule(alpha=alpha), found).above == (found.bias if is_large else 0.0)


@pytest.mark.parametrize("between", [None, 0.0, math.inf])
def test_the_worst_off_of_groups_are_judged_over_queries_alone(between: float | None) -> None:
    rule = WelfareRule(alpha=math.inf, between_alpha=between)
    scores = policy_scores(load_panel("example_town"), np.tile([0.0, 0.0, 1.0], 12), settings=JurySettings(rule=rule))
    assert scores.crossed is None
    assert any("over queries alone" in words for words in scores.warnings)


def test_reports_say_where_few_decide() -> None:
    panel, share = load_panel("example_town"), np.tile([0.0, 0.0, 1.0], 12)
    few = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(worst_share=0.01)))
    assert any("about 1.0 jurors" in words for words in few.warnings)
    many = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(alpha=2.0)))
    assert not any("jurors carry" in words for words in many.warnings)


def test_a_single_juror_keeps_no_promise_about_others() -> None:
    """Two jurors who differ leave it undecided; taking one of them out must not keep it."""
    rows = [{"juror": "a", "query": f"q{i}", "utility": 0.8 + 0.01 * (i % 3)} for i in range(40)]
    panel = panel_of(rows)
    alone = policy_scores(panel, np.ones(40), settings=JurySettings(rule=WelfareRule(alpha=0.0)))
    assert "a single juror says nothing about others" in alone.doubt
    assert decide(Gate(at_least=0.5), estimate_scores(alone)).outcome is Outcome.INCONCLUSIVE
    whole = policy_scores(panel, np.ones(40), settings=JurySettings(rule=WelfareRule(alpha=0.0), whole_jury=True))
    assert decide(Gate(at_least=0.5), estimate_scores(whole)).outcome is Outcome.PASSED


def panel_of_jurors(n_jurors: int, n_queries: int = 20) -> Panel:
    rng = np.random.default_rng(7)
    return panel_of(
        [
            {"juror": f"j{j}", "query": f"q{i}", "utility": float(np.clip(0.8 + 0.05 * rng.normal(), 0.1, 1.0))}
            for j in range(n_jurors)
            for i in range(n_queries)
        ]
    )


def scores_of(panel: Panel, rule: WelfareRule, *, whole: bool = False) -> Scores:
    return policy_scores(panel, np.ones(len(panel.queries)), settings=JurySettings(rule=rule, whole_jury=whole))


@pytest.mark.parametrize(("n_jurors", "n_queries", "said"), [
    (6, 20, "6 jurors, fewer than 10"), (6, 5, "5 clusters, fewer than 10"), (10, 20, ""),
])  # fmt: skip
@pytest.mark.parametrize("bound", ["at_least", "max_decrease"])
def test_few_jurors_are_few_units(n_jurors: int, n_queries: int, said: str, bound: str) -> None:
    scores = scores_of(panel_of_jurors(n_jurors, n_queries), WelfareRule(alpha=0.0))
    measure, gate = MEASURES["jury_welfare"], Gate(**{bound: 0.1})
    found = dict(health_problems(gate, scores, estimate_scores(scores), measure=measure))
    assert found.get("too_few_units", "") == said
    accepted = health_problems(gate, scores, estimate_scores(scores), measure=measure, suppressed=["too_few_units"])
    assert "too_few_units" not in dict(accepted)
    alone = health_problems(replace(gate, confidence_level=None), scores, estimate_scores(scores), measure=measure)
    assert "too_few_units" not in dict(alone)


def test_the_jurors_of_a_comparison_are_those_who_judged_both_systems() -> None:
    scores, few = (scores_of(panel_of_jurors(n), WelfareRule(alpha=0.0)) for n in (20, 4))
    beside = replace(scores, advantages={"uniform": estimate_scores(few)})
    gate, estimate = Gate(better_than="uniform"), estimate_scores(scores)
    found = dict(health_problems(gate, beside, estimate, measure=MEASURES["jury_welfare"]))
    assert found["too_few_units"] == "4 jurors in the comparison with 'uniform', fewer than 10"
    whole = replace(scores, advantages={"uniform": estimate})
    assert "too_few_units" not in dict(health_problems(gate, whole, estimate, measure=MEASURES["jury_welfare"]))


def changed(scores: Scores, level: float | None = 0.95) -> Estimate:
    """Return the change from these scores to slightly higher ones."""
    units = tuple(replace(unit, value=unit.value + 0.01 + 0.001 * (i % 3)) for i, unit in enumerate(scores.units))
    provenance = Provenance({"name": "m", "sha256": "ab"}, {"name": "made", "sha256": "cd"}, {"seed": 0})
    now, then = (
        entry_of(one, estimate_scores(one), provenance, None, direction="higher")
        for one in (replace(scores, units=units), scores)
    )
    return paired_change(now, then, confidence_level=level)


@pytest.mark.parametrize(("n_jurors", "alpha"), [(1, 0.0), (12, math.inf)])
def test_a_change_that_says_nothing_of_other_jurors_keeps_no_promise(n_jurors: int, alpha: float) -> None:
    panel, rule, gate = panel_of_jurors(n_jurors), WelfareRule(alpha=alpha), Gate(max_decrease=0.1)
    scores, whole = scores_of(panel, rule), scores_of(panel, rule, whole=True)
    found = decide(gate, estimate_scores(scores), change=changed(scores))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "jury='whole'" in found.reason
    assert decide(gate, estimate_scores(whole), change=changed(whole)).outcome is Outcome.PASSED
    # Decided on the value alone, the jurors are all there are.
    assert changed(scores, None).low == pytest.approx(changed(scores, None).value)
    better = replace(scores, units=tuple(replace(unit, value=unit.value + 0.1) for unit in scores.units))
    assert math.isnan(pair_objective("welfare", 1.0, better, scores, confidence_level=0.95).gain.low)
    assert pair_objective("welfare", 1.0, better, scores, confidence_level=None).gain.low > 0.0


def test_the_worst_off_juror_of_a_sample_breaks_a_promise_and_keeps_none() -> None:
    panel, rule = panel_of_jurors(12), WelfareRule(alpha=math.inf)
    scores = scores_of(panel, rule)
    estimate = estimate_scores(scores)
    kept = guarded(decide(Gate(at_least=0.5), estimate), scores.guards)
    assert kept.outcome is Outcome.INCONCLUSIVE
    assert "worst-off juror decides" in kept.reason
    assert guarded(decide(Gate(at_least=0.9), estimate), scores.guards).outcome is Outcome.FAILED
    near = guarded(decide(Gate(at_least=estimate.value), estimate), scores.guards)
    assert (near.outcome, near.units_needed) == (Outcome.INCONCLUSIVE, None)
    without = Gate(at_least=0.5, confidence_level=None)
    alone = estimate_scores(scores, confidence_level=None)
    assert guarded(decide(without, alone), scores.guards).outcome is Outcome.PASSED
    assert not scores_of(panel, rule, whole=True).guards


def test_the_gain_at_every_aversion_is_unknown_before_a_single_juror() -> None:
    matrix = np.random.default_rng(3).uniform(0.5, 0.9, (1, 20))
    tables = [table_of(matrix + shift) for shift in (0.1, 0.0)]
    assert math.isnan(dominance_band(*tables, alphas=[0.0, 1.0]).least().low)
    assert dominance_band(*tables, alphas=[0.0, 1.0], whole_jury=True).least().low > 0.0


def panel_of(rows: list[dict[str, object]]) -> Panel:
    jurors = sorted({str(row["juror"]) for row in rows})
    queries = list(dict.fromkeys(str(row["query"]) for row in rows))
    return make_panel(
        "made",
        tuple(map(Juror, jurors)),
        tuple(PanelQuery(name, name, (PanelResponse("r", "r"),)) for name in queries),
        UtilityScale(0.0, 1.0, mapped=False),
        [jurors.index(str(row["juror"])) for row in rows],
        [queries.index(str(row["query"])) for row in rows],
        [float(str(row["utility"])) for row in rows],
    )


def test_a_change_of_a_welfare_that_few_carry_is_as_unknown_as_its_level() -> None:
    panel, rule = load_panel("example_town"), WelfareRule(alpha=10.0)
    shares = (np.tile([0.0, 0.0, 1.0], 12), np.tile([0.1, 0.0, 0.9], 12))
    then, now = (policy_scores(panel, share, settings=JurySettings(rule=rule)) for share in shares)
    assert now.crossed is not None
    assert now.doubt
    provenance = Provenance({"name": "m", "sha256": "ab"}, {"name": "town", "sha256": "cd"}, {"seed": 0})
    stored, found = (entry_of(one, estimate_scores(one), provenance, None, direction="higher") for one in (then, now))
    change = paired_change(found, stored, confidence_level=0.95)
    assert math.isnan(change.low)
    assert math.isnan(change.high)
    assert now.doubt in change.method
    assert decide(Gate(max_decrease=0.5), estimate_scores(now), change=change).outcome is Outcome.INCONCLUSIVE
    # Without the doubt of either side the interval is as ever.
    known = [{name: value for name, value in one.items() if name != "doubt"} for one in (found, stored)]
    assert paired_change(known[0], known[1], confidence_level=0.95).low > -0.5


def on_five_levels(rng: np.random.Generator, n_jurors: int, n_queries: int) -> np.ndarray:
    """The lowest of five levels is worth 0.2."""
    latent = rng.normal(size=(n_jurors, 1)) + rng.normal(size=(1, n_queries)) + rng.normal(size=(n_jurors, n_queries))
    return 0.2 + 0.8 * np.round(4.0 / (1.0 + np.exp(-0.5 - latent))) / 4.0


def on_a_line(rng: np.random.Generator, n_jurors: int, n_queries: int) -> np.ndarray:
    """A continuous scale with the floor 0.01."""
    jurors, queries = rng.normal(scale=0.7, size=(n_jurors, 1)), rng.normal(scale=0.5, size=(1, n_queries))
    latent = jurors + queries + rng.normal(scale=0.8, size=(n_jurors, n_queries))
    return 0.01 + 0.98 / (1.0 + np.exp(-latent))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(20, 20), (100, 50)], ids=["20x20", "100x50"])
@pytest.mark.parametrize("drawn", [on_five_levels, on_a_line])
def test_intervals_without_a_doubt_cover_what_they_say(drawn: object, shape: tuple[int, int]) -> None:
    rng, n_runs = np.random.default_rng(20240514), 400
    rules = [*(WelfareRule(alpha=alpha) for alpha in (2.0, 5.0, 10.0)), WelfareRule(worst_share=0.25)]
    population = [table_of(drawn(rng, 3000, 100)) for _ in range(20)]  # type: ignore[operator]
    truths = [float(np.mean([query_welfare(one, rule).mean for one in population])) for rule in rules]
    covered, numbers = np.zeros(len(rules)), np.zeros(len(rules))
    for _ in range(n_runs):
        table = table_of(drawn(rng, *shape))  # type: ignore[operator]
        for place, rule in enumerate(rules):
            found = query_welfare(table, rule)
            trust = trust_of(table, rule, found)
            estimate = estimate_crossed(
                found.values,
                found.pseudo_values,
                cell_variance=found.cell_variance,
                cell_third=found.cell_third,
                bias=found.biases,
                carriers=trust.carriers,
                below=trust.below,
                above=trust.above,
                scale=(0.0, 1.0),
            )
            covered[place] += estimate.low <= truths[place] <= estimate.high
            numbers[place] += carriers(table, rule)
    for rule, share, number in zip(rules, covered / n_runs, numbers / n_runs, strict=True):
        print(f"{rule.words}, {shape}: carried by {number:.1f}, covered {share:.3f}")
        if number >= LEAST_CARRIERS:
            assert share >= 0.9


@pytest.mark.parametrize("whole", [False, True])
def test_a_promise_for_every_aversion_says_where_few_decide(whole: bool) -> None:
    panel = load_panel("example_town")
    measured = [
        measured_policy(panel, np.tile(share, 12), settings=JurySettings(whole_jury=whole))
        for share in ([0.0, 0.0, 1.0], [0.94, 0.04, 0.02])
    ]
    settings = JurySettings(whole_jury=whole)
    found = AgainstReference(ChoiceEvaluation(panel, settings), (0.0, 200.0))._doubts_of_band(*measured)
    assert bool(found) is not whole
    assert all(words.startswith("at alpha 200 about ") for words in found)
