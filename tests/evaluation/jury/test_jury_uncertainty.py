"""The uncertainty that estimated jurors add to intervals, bands and changes, and the least gain over every aversion."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.baselines.comparison import entry_of, paired_change
from pytest_pluralism.baselines.schema import baseline_texts, parse_baseline
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.estimation import estimate_mean, estimate_scores, interval_at
from pytest_pluralism.core.estimation.at_level import bound_p_value, with_extra_variance
from pytest_pluralism.core.estimation.welfare_bands import dominance_band
from pytest_pluralism.core.false_alarms import false_alarms
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, query_welfare
from pytest_pluralism.core.records import (
    Answer,
    Estimate,
    Gate,
    GenerationSettings,
    Outcome,
    Provenance,
    Response,
    Scores,
)
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.asking.rounds import drive
from pytest_pluralism.evaluation.jury.evaluations import (
    AgainstReference,
    ChoiceEvaluation,
    JurySettings,
    WrittenEvaluation,
)
from pytest_pluralism.evaluation.jury.fitted import FittedJurors
from pytest_pluralism.evaluation.jury.jurors import JurorUtilities
from pytest_pluralism.evaluation.jury.scores import JuryMeasured, measured_texts, policy_scores

WRITING = GenerationSettings(max_new_tokens=8, temperature=0.0)

PROVENANCE = Provenance({"name": "m", "sha256": "ab"}, {"name": "town", "sha256": "cd"}, {"seed": 0})


def guessed(seed: int, *, spread: float = 0.1, level: float = 0.5, n_draws: int = 40, n_texts: int = 12) -> Any:
    """Utilities of the jurors of the example town for a text a query, with an error that they share."""
    rng = np.random.default_rng(seed)
    base = level + rng.normal(scale=0.08, size=(1, 50, 1)) + rng.normal(scale=0.05, size=(1, 50, n_texts))
    common = rng.normal(scale=spread, size=(n_draws, 1, 1))
    return JurorUtilities(np.clip(base + common, 0.02, 1.0), "estimated", "made for this test")


def measured(found: JurorUtilities, **settings: Any) -> JuryMeasured:
    panel = load_panel("example_town")
    return measured_texts(panel, found, ["new"] * 12, np.arange(12), settings=JurySettings(**settings))


def driven(evaluation: Any, ask: Callable[[Any], list[Any]]) -> Scores:
    scores: Scores = drive(evaluation.rounds(), ask)
    return scores


# ------------------------------------------------------------------------------------------------------------ bands


@pytest.mark.whole
@pytest.mark.parametrize("whole", [False, True], ids=["sample", "whole"])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_curve_is_that_of_the_gates_and_its_band_holds_it(whole: bool, level: float) -> None:
    found = guessed(0)
    curve = measured(found, whole_jury=whole, confidence_level=level).scores.details["curve"]
    for place, alpha in enumerate(curve["alphas"]):
        gate = measured(found, rule=WelfareRule(alpha=alpha), whole_jury=whole)
        assert gate.welfare.extra_variance > 0.0
        estimate = estimate_scores(gate.scores, confidence_level=level)
        assert curve["values"][place] == pytest.approx(estimate.value)
        if gate.scores.doubt:
            assert curve["low"][place] is curve["band_high"][place] is None
            continue
        assert (curve["low"][place], curve["high"][place]) == pytest.approx((estimate.low, estimate.high))
        assert curve["band_low"][place] < estimate.low < estimate.high < curve["band_high"][place]


@pytest.mark.whole
def test_what_estimation_adds_is_the_variance_of_the_draws() -> None:
    found = measured(guessed(1), rule=WelfareRule(alpha=1.0))
    by_hand = [
        measured(replace(guessed(1), utilities=guessed(1).utilities[[draw]]), rule=WelfareRule(alpha=1.0)).welfare.mean
        for draw in range(40)
    ]
    np.testing.assert_allclose(found.welfare.draws, by_hand, rtol=1e-12)
    assert found.scores.extra_variance == pytest.approx(np.var(by_hand, ddof=1))


def test_a_text_that_nobody_judges_is_left_out_of_the_draws() -> None:
    found = guessed(2)
    utilities = found.utilities.copy()
    utilities[:, :, 3] = np.nan
    some = measured(replace(found, utilities=utilities), rule=WelfareRule(alpha=1.0))
    assert np.isnan(some.welfare.values).sum() == 1
    assert some.welfare.draws.mean() == pytest.approx(some.welfare.mean)
    nobody = measured(replace(found, utilities=np.full_like(utilities, np.nan)), rule=WelfareRule(alpha=1.0)).scores
    json.dumps(nobody.details, allow_nan=False)
    assert nobody.details["curve"]["values"] == [None] * len(nobody.details["curve"]["alphas"])
    assert decide(Gate(at_least=0.0), estimate_scores(nobody)).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": WelfareRule(alpha=1.0), "whole_jury": True},
        {"rule": WelfareRule(alpha=math.inf)},
        {"composition": {"center": 5, "river": 5}, "n_juries": 20},
    ],
    ids=["whole", "maximin", "composition"],
)
def test_an_interval_over_queries_alone_holds_the_error_of_the_jurors_too(settings: Any) -> None:
    unsure = measured(guessed(3, spread=0.1), **settings)
    assert unsure.scores.crossed is None
    estimate = estimate_scores(unsure.scores)
    alone = estimate_mean([unit.value for unit in unsure.scores.units])
    assert unsure.scores.extra_variance == pytest.approx(np.var(unsure.welfare.draws, ddof=1))
    assert estimate.standard_error**2 == pytest.approx(alone.standard_error**2 + unsure.scores.extra_variance)
    assert estimate.low < alone.low - 0.05
    # At another level, and as the difference of two, it is still there.
    assert interval_at(estimate, 0.99).low < estimate.low
    again = replace(estimate, unit_ids=tuple(map(str, range(12))), clusters=())
    assert (again - again).standard_error ** 2 == pytest.approx(2 * unsure.scores.extra_variance)
    assert bound_p_value(estimate, estimate.low, alternative="greater") == pytest.approx(0.025)


def test_variance_is_added_on_both_sides_in_quadrature() -> None:
    estimate = Estimate(0.5, 0.4, 0.55, 0.03, 10, 10, degrees_of_freedom=math.inf)
    wide = with_extra_variance(estimate, 0.05**2)
    added = 1.959964 * 0.05
    assert (wide.low, wide.high) == pytest.approx((0.5 - math.hypot(0.1, added), 0.5 + math.hypot(0.05, added)))
    assert wide.standard_error == pytest.approx(math.hypot(0.03, 0.05))
    assert with_extra_variance(estimate, 0.0) is estimate
    whole = replace(estimate, low=0.5, high=0.5, confidence_level=None)
    assert with_extra_variance(whole, 0.05**2) is whole


# ---------------------------------------------------------------------------------------------------------- changes


def test_a_gain_holds_the_error_of_both_sides_unless_the_draws_are_the_same_worlds() -> None:
    ours, theirs = measured(guessed(4, level=0.6)).table, measured(guessed(5, level=0.4)).table
    alphas = (0.0, 1.0, 5.0)
    apart = dominance_band(ours, theirs, alphas=alphas)
    found = [query_welfare(table, WelfareRule(alpha=1.0)) for table in (ours, theirs)]
    extra = sum(one.extra_variance for one in found)
    assert apart.high[1] - apart.low[1] > 2 * 1.96 * math.sqrt(extra)
    same = dominance_band(ours, ours, alphas=alphas, same_draws=True)
    assert same.band_low == same.band_high == (0.0, 0.0, 0.0)
    assert not dominance_band(ours, ours, alphas=alphas).dominates


def fitted(texts: Sequence[str]) -> np.ndarray:
    panel = load_panel("example_town")
    rows = [np.random.default_rng(len(text)).normal(size=4) for text in texts]
    assert panel.n_votes
    return np.array(rows)


@pytest.mark.whole
def test_a_text_has_the_same_error_wherever_it_is_written() -> None:
    panel = load_panel("example_town")
    evaluation = WrittenEvaluation(panel, JurySettings(), FittedJurors(embed=fitted), WRITING)

    def ask(changed: int) -> Callable[[Any], list[Any]]:
        def answer(asked: Any) -> list[Any]:
            other = asked.role == "reference_language_model"
            return [
                (Response(f"{'other ' if other and place < changed else ''}text {place}", 3, "eos"),)
                for place in range(len(asked.requests))
            ]

        return answer

    alike, half, all_other = (driven(AgainstReference(evaluation), ask(changed)) for changed in (0, 6, 12))
    assert alike.extra_variance == 0.0
    assert estimate_scores(alike).low == estimate_scores(alike).high == 0.0
    assert 0.0 < half.extra_variance < all_other.extra_variance


def test_a_change_against_a_baseline_holds_the_error_of_both_sides() -> None:
    now, then = (measured(guessed(seed, level=level), whole_jury=True).scores for seed, level in ((6, 0.6), (7, 0.5)))
    entries = [entry_of(one, estimate_scores(one), PROVENANCE, None) for one in (now, then)]
    assert entries[0]["extra_variance"] == now.extra_variance
    change = paired_change(*entries, confidence_level=0.95)
    without = paired_change(*({**one, "extra_variance": 0.0} for one in entries), confidence_level=0.95)
    extra = now.extra_variance + then.extra_variance
    assert change.standard_error**2 == pytest.approx(without.standard_error**2 + extra)
    same = paired_change(entries[0], entries[0], confidence_level=0.95)
    assert (same.low, same.high) == (0.0, 0.0)
    sampled = measured(guessed(6, level=0.6)).scores, measured(guessed(7, level=0.5)).scores
    crossed = [entry_of(one, estimate_scores(one), PROVENANCE, None) for one in sampled]
    assert paired_change(*crossed, confidence_level=0.95).extra_variance == pytest.approx(extra, rel=0.2)


def test_a_stored_baseline_keeps_what_estimation_adds() -> None:
    scores = measured(guessed(6)).scores
    entry = entry_of(scores, estimate_scores(scores), PROVENANCE, None, direction="higher")

    def read(text: str, lines: dict[str, str]) -> dict[str, Any]:
        return parse_baseline(text, "\n".join(lines.values()), name="b", companion_name="b.units", update="pytest")

    text, lines = baseline_texts("m", {"t k": entry})
    assert read(text, lines)["t k"]["extra_variance"] == scores.extra_variance > 0.0
    text, lines = baseline_texts("m", {"t k": {**entry, "extra_variance": -1.0}})
    with pytest.raises(BaselineError, match="its extra variance is"):
        read(text, lines)


def test_a_suite_against_itself_knows_the_error_of_estimated_jurors() -> None:
    runs = [{"g": measured(guessed(seed, spread=0.2), whole_jury=True).scores} for seed in range(4)]
    blind = [{"g": replace(run["g"], extra_variance=0.0)} for run in runs]
    gates = {"g": Gate(max_decrease=0.01)}
    assert false_alarms(gates, runs).alarms == 0
    assert false_alarms(gates, blind).alarms > 0


# ------------------------------------------------------------------------------------------------- every aversion


def choosing(panel: Panel, ours: dict[str, float], theirs: dict[str, float]) -> Callable[[Any], list[Answer]]:
    kinds = {one.text: one.response_id for query in panel.queries for one in query.responses}

    def ask(asked: Any) -> list[Answer]:
        shares = theirs if asked.role == "reference_language_model" else ours
        answers = []
        for prompt in asked.requests:
            options = [line[3:] for line in prompt.question.splitlines()[-len(prompt.labels) :]]
            answers.append(Answer(tuple(math.log(shares[kinds[one]]) for one in options), 1.0, "A", 0.5))
        return answers

    return ask


PLEASER = {"for the center": 0.94, "for both": 0.04, "for the river": 0.02}
BRIDGE = {"for the center": 0.04, "for both": 0.92, "for the river": 0.04}
EVEN = {"for the center": 0.1, "for both": 0.8, "for the river": 0.1}
ALPHAS = (0.0, 1.0, 2.0, 5.0, 10.0)


def test_the_least_gain_over_every_aversion_is_judged_by_the_band() -> None:
    panel = load_panel("example_town")
    evaluation = AgainstReference(ChoiceEvaluation(panel, JurySettings(rule=WelfareRule(alpha=10.0))), ALPHAS)
    worse = driven(evaluation, choosing(panel, PLEASER, BRIDGE))
    estimate = estimate_scores(worse)
    band = worse.details["dominance"]
    assert band["values"][0] > 0.0
    assert (estimate.value, estimate.low, estimate.high) == (
        min(band["values"]),
        min(band["band_low"]),
        min(band["band_high"]),
    )
    assert decide(Gate(at_least=-0.05), estimate).outcome is Outcome.FAILED
    assert worse.witness is not None
    assert worse.witness.unit_id == "group river"
    deciding = ALPHAS[int(np.argmin(band["values"]))]
    assert worse.witness.text == f"gains least at alpha {deciding:g}, which decides"
    # The units and the groups are those of the aversion that decides.
    direct = driven(
        AgainstReference(ChoiceEvaluation(panel, JurySettings(rule=WelfareRule(alpha=deciding)))),
        choosing(panel, PLEASER, BRIDGE),
    )
    assert [unit.value for unit in worse.units] == [unit.value for unit in direct.units]
    assert worse.witness.value == direct.details["gain_by_group"]["river"]
    better = estimate_scores(driven(evaluation, choosing(panel, BRIDGE, EVEN)))
    assert decide(Gate(at_least=0.0), better).outcome is Outcome.PASSED
    same = estimate_scores(driven(evaluation, choosing(panel, BRIDGE, BRIDGE)))
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert estimate_scores(worse, confidence_level=None).low == estimate.value
    assert interval_at(estimate, 0.99).low < estimate.low
    assert bound_p_value(estimate, estimate.high, alternative="less") == pytest.approx(0.025)


@pytest.mark.parametrize("whole", [False, True], ids=["sample", "whole"])
@pytest.mark.parametrize("alphas", [(), ALPHAS], ids=["one", "every"])
def test_a_model_loses_nothing_against_itself(whole: bool, alphas: tuple[float, ...]) -> None:
    panel = load_panel("example_town")
    settings = JurySettings(rule=WelfareRule(alpha=1.0), whole_jury=whole)
    same = driven(AgainstReference(ChoiceEvaluation(panel, settings), alphas), choosing(panel, BRIDGE, BRIDGE))
    assert decide(Gate(at_least=0.0), estimate_scores(same)).outcome is Outcome.PASSED
    assert decide(Gate(at_least=0.0, confidence_level=0.99), estimate_scores(same)).outcome is Outcome.PASSED
    assert decide(Gate(at_least=0.01), estimate_scores(same)).outcome is Outcome.FAILED
    # Values without a spread that are not differences are believed as little as ever.
    flat = Estimate(0.0, 0.0, 0.0, 0.0, 12, 12, method="clustered t")
    assert decide(Gate(at_least=0.0), flat).outcome is Outcome.INCONCLUSIVE


def test_without_groups_the_aversion_itself_is_the_witness() -> None:
    panel = load_panel("example_town")
    settings = JurySettings(rule=WelfareRule(alpha=10.0), group="river")
    found = driven(AgainstReference(ChoiceEvaluation(panel, settings), ALPHAS), choosing(panel, PLEASER, BRIDGE))
    assert found.witness is not None
    assert found.witness.unit_id.startswith("alpha ")
    assert found.witness.value == estimate_scores(found).value < -0.3


def test_a_gain_of_a_whole_jury_is_no_share() -> None:
    panel = load_panel("example_town")
    settings = JurySettings(rule=WelfareRule(alpha=1.0), whole_jury=True)
    same = driven(AgainstReference(ChoiceEvaluation(panel, settings)), choosing(panel, BRIDGE, BRIDGE))
    # A share of 0 among 12 would have an upper end of .26.
    assert (estimate_scores(same).low, estimate_scores(same).high) == (0.0, 0.0)


@pytest.mark.slow
def test_the_band_of_the_least_gain_errs_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    alphas, n_runs, level = (0.0, 1.0, 5.0), 400, 0.95

    def table(shift: np.ndarray, jurors: np.ndarray, queries: np.ndarray) -> JuryTable:
        n_draws = 25
        error = rng.normal(scale=0.03, size=(n_draws, 1, 1))
        cells = np.clip(0.55 + jurors + queries + shift + error, 0.02, 1.0)
        drawn = cells.transpose(0, 2, 1).reshape(n_draws * 30, 40)
        response, juror = np.nonzero(np.isfinite(drawn))
        query, share = np.tile(np.arange(30), n_draws), np.full(30 * n_draws, 1 / n_draws)
        utility = drawn[response, juror]
        return JuryTable(juror, response, utility, query, share, np.ones(40), None, (), 30, n_draws=n_draws)

    covered = 0
    for seed in range(n_runs):
        jurors, queries = rng.normal(scale=0.1, size=(40, 1)), rng.normal(scale=0.05, size=(1, 30))
        # Estimates that are off by one error for all texts of a model: the true gain is zero.
        ours, theirs = (table(rng.normal(scale=0.03, size=(1, 1)), jurors, queries) for _ in range(2))
        band = dominance_band(ours, theirs, alphas=alphas, confidence_level=level, seed=seed)
        covered += all(low <= 0.0 <= high for low, high in zip(band.band_low, band.band_high, strict=True))
    print(f"band of differences of estimated jurors: held no gain in {covered / n_runs:.3f} of {n_runs}")
    assert 0.92 <= covered / n_runs <= 0.99


def test_one_query_gives_no_band() -> None:
    panel = load_panel("example_town").select(queries=["bus"])
    scores = policy_scores(panel, np.array([0.0, 1.0, 0.0]), settings=JurySettings())
    json.dumps(scores.details, allow_nan=False)
    assert scores.details["curve"]["band_low"] == [None] * 6
