"""Juries with few votes: what is left out, what is said, and intervals that stay on their scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core import Gate, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import estimate_scores
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
from pytest_pluralism.core.records import Scores
from pytest_pluralism.datasets.panels.records import Juror, Panel, PanelQuery, PanelResponse, UtilityScale, make_panel
from pytest_pluralism.evaluation.jury.scores import policy_scores
from pytest_pluralism.evaluation.jury.settings import JurySettings


def panel_of(utilities: np.ndarray, authors: dict[int, int] | None = None) -> Panel:
    """Return a panel with one response a query; NaN stands for a missing vote, and ``authors`` names the writers."""
    n_jurors, n_queries = utilities.shape
    who, query = np.nonzero(np.isfinite(utilities))
    queries = tuple(
        PanelQuery(f"q{i}", f"q{i}", (PanelResponse("r", "r", f"j{authors[i]}" if authors and i in authors else ""),))
        for i in range(n_queries)
    )
    jurors = tuple(Juror(f"j{i}") for i in range(n_jurors))
    scale = UtilityScale(0.0, 1.0, mapped=False)
    return make_panel("town", jurors, queries, scale, who, query, utilities[who, query], source="x")


def with_single_votes(rng: np.random.Generator, n_jurors: int, n_queries: int, share: float, own: bool) -> np.ndarray:
    """Return three levels; a share of the queries has one vote, of anybody or (``own``) of an author who agrees."""
    latent = rng.normal(0, 0.6, (n_jurors, 1)) + rng.normal(0, 0.6, (1, n_queries))
    latent = latent + rng.normal(0, 0.8, (n_jurors, n_queries))
    utilities = np.array([1 / 3, 2 / 3, 1.0])[np.digitize(latent, [-0.6, 0.3])]
    alone = int(share * n_queries)
    voter = rng.integers(0, n_jurors, alone)
    kept = utilities[voter, np.arange(alone)]
    utilities[:, :alone] = np.nan
    utilities[voter, np.arange(alone)] = 1.0 if own else kept
    return utilities


def scored(utilities: np.ndarray, alpha: float, **settings: object) -> Scores:
    panel = panel_of(utilities, settings.pop("authors", None))  # type: ignore[arg-type]
    chosen = JurySettings(rule=WelfareRule(alpha=alpha), **settings)  # type: ignore[arg-type]
    return policy_scores(panel, np.ones(utilities.shape[1]), settings=chosen)


TRUTHS = {0.0: 0.696, 1.0: 0.646, 2.0: 0.594}


@pytest.mark.whole
@pytest.mark.parametrize("alpha", TRUTHS)
def test_single_votes_leave_the_interval_on_its_scale_and_around_the_truth(alpha: float) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(60):
        estimate = estimate_scores(scored(with_single_votes(rng, 30, 40, 0.5, own=False), alpha))
        assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0
        held += estimate.low <= TRUTHS[alpha] <= estimate.high
    assert held >= 53


def test_a_conversation_whose_authors_vote_on_their_own_is_not_praised_for_it() -> None:
    """The interval of the mean was [.838, .984] around a value of .838: a lost query passed for a bias."""
    utilities = with_single_votes(np.random.default_rng(0), 20, 60, 0.75, own=True)
    scores = scored(utilities, 0.0)
    estimate = estimate_scores(scores)
    assert estimate.low < estimate.value - 0.02 < estimate.value + 0.02 < estimate.high < 1.0
    told = [words for words in scores.warnings if "a single vote, perhaps that of who wrote it" in words]
    assert len(told) == 1
    assert "45 of 60 queries" in told[0]
    assert "their welfare is 1.000, that of the others" in told[0]
    worse = estimate_scores(scored(utilities, 0.0, least_votes=2))
    assert worse.high < estimate.low
    assert worse.n == 15
    assert worse.n_missing == 0


@pytest.mark.parametrize(("alpha", "left"), [(0.0, 40), (0.5, 30), (2.0, 30)])
def test_queries_with_too_few_votes_are_left_out_counted_and_told(alpha: float, left: int) -> None:
    scores = scored(with_single_votes(np.random.default_rng(1), 30, 40, 0.25, own=False), alpha)
    assert len(scores.units) == left
    told = [words for words in scores.warnings if "are left out" in words]
    assert len(told) == (left < 40)
    assert all(words.startswith("10 of 40 queries have a response with a single vote") for words in told)
    assert all("least_votes=2" in words for words in told)


def test_how_many_votes_are_needed_is_a_setting() -> None:
    utilities = with_single_votes(np.random.default_rng(1), 30, 40, 0.25, own=False)
    assert len(scored(utilities, 2.0, least_votes=1).units) == 40
    assert JurySettings(rule=WelfareRule(alpha=1.0)).as_json()["least_votes"] == 2
    assert JurySettings(rule=WelfareRule(alpha=0.0)).as_json()["least_votes"] == 1
    assert JurySettings(rule=WelfareRule(satisfied_above=0.5)).as_json()["least_votes"] == 1
    assert JurySettings(rule=WelfareRule(alpha=0.0, between_alpha=1.0)).as_json()["least_votes"] == 2
    with pytest.raises(InvalidParameterError, match=r"'least_votes'.*Got 0"):
        JurySettings(least_votes=0)
    with pytest.raises(InvalidParameterError, match="every query has a response with fewer than 31 votes"):
        scored(utilities, 2.0, least_votes=31)


def test_the_votes_of_authors_are_told_where_they_carry_the_value() -> None:
    rng = np.random.default_rng(3)
    utilities = np.full((30, 40), np.nan)
    for query in range(40):
        utilities[rng.choice(30, 3, replace=False), query] = 0.4
    authors = {query: int(np.flatnonzero(np.isfinite(utilities[:, query]))[0]) for query in range(40)}
    for query, author in authors.items():
        utilities[author, query] = 1.0
    told = [words for words in scored(utilities, 0.0, authors=authors).warnings if words.startswith("authors'")]
    assert told == ["authors' own votes carry the value: without them it is 0.400 instead of 0.600 on 40 queries"]
    # Authors who vote as others do carry nothing.
    utilities[np.isfinite(utilities)] = 0.4
    assert not any("authors" in words for words in scored(utilities, 0.0, authors=authors).warnings)


def test_a_group_that_may_be_missing_is_told_where_it_would_count() -> None:
    utilities = with_single_votes(np.random.default_rng(1), 20, 40, 0.0, own=False)
    told = [words for words in scored(utilities, 1.0).warnings if "may be missing from this panel" in words]
    assert len(told) == 1
    assert told[0].startswith("a group below 14 % of the people may be missing from this panel of 20")
    many = with_single_votes(np.random.default_rng(1), 59, 40, 0.0, own=False)
    for scores in (scored(many, 0.0), *(scored(utilities, alpha, whole_jury=True) for alpha in (0.0, 1.0))):
        assert not any("may be missing" in words for words in scores.warnings)
    # So few jurors often hold nobody of a group of 5 %, which moves a plain mean too.
    assert any("a group below 14 % of the people may be missing" in words for words in scored(utilities, 0.0).warnings)
    assert any("a group below 5.0 % of the people may be" in words for words in scored(many[:58], 0.0).warnings)
    assert any("may be missing" in words for words in scored(utilities, 0.5).warnings)
    # Jurors and queries differ as much here.
    assert not any("jurors differ far more" in words for words in scored(utilities, 1.0).warnings)


def test_jurors_who_differ_far_more_than_queries_are_told() -> None:
    rng = np.random.default_rng(8)
    own = rng.normal(0.0, 0.25, (30, 1))
    utilities = np.clip(0.6 + own + rng.normal(0.0, 0.05, (30, 40)), 0.1, 1.0)
    told = [words for words in scored(utilities, 1.0).warnings if "jurors differ far more than queries" in words]
    assert len(told) == 1
    assert "of the variance is theirs" in told[0]
    assert not any("jurors differ" in words for words in scored(utilities, 0.0).warnings)


def test_few_who_decide_give_no_interval_at_a_large_aversion() -> None:
    utilities = with_single_votes(np.random.default_rng(5), 30, 40, 0.0, own=False)
    utilities[0] = 0.05
    scores = scored(utilities, 5.0)
    estimate = estimate_scores(scores)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)
    verdict = decide(Gate(at_least=0.0), estimate)
    assert verdict.outcome.value == "inconclusive"
    assert "jurors carry the welfare" in verdict.reason
    assert not math.isnan(estimate_scores(scored(utilities, 1.0)).low)


@pytest.mark.parametrize("whole_jury", [False, True])
def test_a_value_near_the_end_of_its_scale_keeps_its_interval_inside(whole_jury: bool) -> None:
    utilities = np.ones((30, 40))
    utilities[3, :20] = utilities[:2, 5] = 0.2
    for alpha in (0.0, 1.0, 2.0):
        estimate = estimate_scores(scored(utilities, alpha, whole_jury=whole_jury))
        assert estimate.low < estimate.value < estimate.high < 1.0
