"""Worse scores never pass where better ones are undecided, and scores that hardly vary are not believed too soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_pluralism.core import Gate, decide
from pytest_pluralism.core.estimation import compare_paired, estimate_mean
from pytest_pluralism.core.estimation.trust import unseen_end, unseen_share
from pytest_pluralism.core.records import Outcome

PASSED, INCONCLUSIVE = Outcome.PASSED, Outcome.INCONCLUSIVE

thorough = settings(max_examples=400, deadline=None)

#: Scores of measures are often 0, 1 or a simple share, and seldom anything: all of it across the borders of methods.
one_score = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9, 1.0]), st.floats(0, 1), st.floats(0.9, 1.0))


@st.composite
def lists_of_scores(draw):
    base = draw(one_score)
    n = draw(st.integers(2, 90))
    some = draw(st.lists(one_score, max_size=min(n, 8)))
    return [base] * (n - len(some)) + some


def outcome(scores, bound, *, upper):
    gate = Gate(at_most=1.0 - bound) if upper else Gate(at_least=bound)
    estimate = estimate_mean([1.0 - score for score in scores] if upper else scores)
    return decide(gate, estimate).outcome


@pytest.mark.whole
@thorough
@given(lists_of_scores(), st.data(), st.booleans())
def test_lowering_a_score_that_is_not_above_the_mean_passes_nothing(scores, data, upper):
    mean = float(np.mean(scores))
    below = [place for place, score in enumerate(scores) if score <= mean]
    if not below:
        return
    place = data.draw(st.sampled_from(below))
    worse = list(scores)
    worse[place] = data.draw(st.one_of(st.just(0.0), st.floats(0, scores[place])))
    low = estimate_mean(worse).low
    near = st.sampled_from([low - 1e-6, low - 0.02, unseen_end_of(worse) - 1e-6])
    bound = data.draw(st.one_of(st.floats(0.01, 0.99), near))
    if not 0.0 < bound < 1.0:
        return
    if outcome(worse, bound, upper=upper) is PASSED:
        assert outcome(scores, bound, upper=upper) is PASSED


def unseen_end_of(scores):
    end = unseen_end(estimate_mean(scores), upper=False)
    return 0.5 if end is None else end


@pytest.mark.whole
@thorough
@given(lists_of_scores(), st.data())
def test_what_scores_cannot_show_follows_every_score(scores, data):
    """The guard itself: no score that gets worse, above the mean or below it, makes its end better."""
    place = data.draw(st.integers(0, len(scores) - 1))
    worse = list(scores)
    worse[place] = data.draw(st.floats(0, scores[place]))
    ends = [unseen_end(estimate_mean(one), upper=False) for one in (scores, worse)]
    mirrored = [unseen_end(estimate_mean([1.0 - score for score in one]), upper=True) for one in (scores, worse)]
    if None not in ends + mirrored:
        assert ends[1] <= ends[0] + 1e-12
        assert mirrored[1] >= mirrored[0] - 1e-12


@pytest.mark.whole
@thorough
@given(st.floats(0, 1), st.integers(2, 29), st.data(), st.floats(0.01, 0.99))
@example(0.5, 4, None, 0.1)
@example(1.0, 25, None, 0.95)
def test_constant_scores_stay_undecided_when_one_of_them_gets_worse(score, n, data, bound):
    constant = [score] * n
    if decide(Gate(at_least=bound), estimate_mean(constant)).outcome is PASSED:
        return
    lower = score / 2 if data is None else data.draw(st.floats(0, score))
    assert outcome([*constant[1:], lower], bound, upper=False) is not PASSED
    assert outcome([*constant[1:], lower], bound, upper=True) is not PASSED


@pytest.mark.parametrize("n", [4, 12])
@pytest.mark.parametrize("jitter", [0.0, 1e-13, 1e-9, 1e-6])
def test_a_jitter_is_no_spread(n, jitter):
    assert decide(Gate(at_most=0.301), estimate_mean([0.3] * (n - 1) + [0.3 + jitter])).outcome is INCONCLUSIVE
    spread = estimate_mean(0.3 + jitter * np.arange(n))
    assert decide(Gate(at_most=0.301), spread, noise_floor=1e-5).outcome is INCONCLUSIVE


def test_a_change_of_all_units_but_one_alike_is_not_believed():
    values = estimate_mean([0.3 + 0.01 * i for i in range(12)])
    for last in (0.01, 0.010001):
        change = compare_paired([0.01] * 11 + [last], [0.0] * 12)
        assert decide(Gate(max_increase=0.02), values, change=change).outcome is INCONCLUSIVE
    # Units that did not change are not chance: one that changed a little does not undo them.
    change = compare_paired([0.0] * 11 + [0.005], [0.0] * 12)
    assert decide(Gate(max_increase=0.02), values, change=change).outcome is PASSED


@pytest.mark.parametrize("n", [12, 25, 40, 60])
@pytest.mark.parametrize("bound", [0.9, 0.95])
def test_a_worse_model_passes_no_sooner(n, bound):
    better = outcome([1.0] * n, bound, upper=False)
    for worse in ([1.0] * (n - 1) + [0.9], [1.0] * (n - 1) + [0.5], [1.0] * (n - 2) + [0.5, 0.75]):
        if better is not PASSED:
            assert outcome(worse, bound, upper=False) is INCONCLUSIVE


def test_twelve_responses_near_the_end_of_the_scale_show_no_more_than_twelve_that_are_there():
    soft = [0.991, 0.987, 0.995, 0.989, 0.993, 0.99, 0.992, 0.988, 0.994, 0.986, 0.99, 0.991]
    verdict = decide(Gate(at_least=0.95), estimate_mean(soft))
    assert verdict.outcome is INCONCLUSIVE
    # As many as perfect scores need: 0.95 ** 72 is below 2.5 %; and outliers of 4 % need 75.
    assert verdict.units_needed == 72 - 12
    assert unseen_share(72, 0.95) <= 0.05 < unseen_share(71, 0.95)


@pytest.mark.parametrize("n", [10, 25, 60, 74, 75, 120])
def test_near_constant_scores_with_outliers(n):
    """4 % of .35 among scores near .3: their mean is kept in at most 5 % of runs, and in none below 75 units."""
    generator, passed, runs = np.random.default_rng(n), 0, 300
    for _ in range(runs):
        scores = 0.3 + generator.normal(0, 0.001, n) + 0.05 * (generator.random(n) < 0.04)
        passed += decide(Gate(at_most=0.302), estimate_mean(scores)).outcome is PASSED
    # Of 300 runs at 5 % more than 26 are seen in one of a thousand.
    assert passed <= (0 if n < 75 else 26)


@pytest.mark.parametrize(("clusters", "size"), [(10, 8), (12, 20), (25, 4)])
def test_perfect_clusters_show_no_more_than_so_many_of_them(clusters: int, size: int) -> None:
    """A worse model must not pass: exact ones in clusters are undecided, and so are scores near 1."""
    ids = np.repeat(np.arange(clusters), size).tolist()
    for score in (1.0, 0.999):
        scores = score - 0.0001 * np.repeat(np.arange(clusters), size) * (score < 1.0)
        verdict = decide(Gate(at_least=0.9), estimate_mean(scores, clusters=ids))
        assert verdict.outcome is INCONCLUSIVE
    assert f"scores that {clusters * size} units in {clusters} clusters may miss" in verdict.reason
    # Ninety-five per cent need 72 perfect clusters, and outliers of 4 % need 75.
    assert verdict.units_needed is not None
    assert verdict.units_needed >= (math.ceil(math.log(0.025) / math.log(0.9)) - clusters) * size


def test_a_kept_level_says_which_scores_may_not_show() -> None:
    scores = 0.6 + 0.02 * np.sin(np.arange(25))
    kept = decide(Gate(at_least=0.57), estimate_mean(scores))
    assert kept.outcome is PASSED
    # One sample of 25 in twenty holds none of 11.3 % of the units.
    lowest = (1.0 - 0.113) * scores.mean()
    assert kept.unseen.startswith("scores of 0 confined to fewer than 11 % of the units may not show")
    assert float(kept.unseen.rsplit(" ", 1)[1]) == pytest.approx(lowest, abs=0.002)
    mirrored = decide(Gate(at_most=0.43), estimate_mean(1.0 - scores))
    assert mirrored.unseen.startswith("scores of 1 confined to fewer than 11 % of the units")
    clustered = decide(
        Gate(at_least=0.57), estimate_mean(np.repeat(scores, 4), clusters=np.repeat(range(25), 4).tolist())
    )
    assert "fewer than 11 % of the clusters may not show" in clustered.unseen
    # Nothing is said where so many of them would keep the bound, of exact shares, and of the value alone.
    assert decide(Gate(at_least=0.5), estimate_mean(scores)).unseen == ""
    assert decide(Gate(at_least=0.5), estimate_mean([1.0] * 25)).unseen == ""
    alone = estimate_mean(scores, confidence_level=None)
    assert decide(Gate(at_least=0.57, confidence_level=None), alone).unseen == ""


def test_a_share_in_few_clusters_that_are_nearly_equal_shows_no_more_than_the_clusters_do() -> None:
    """One cluster holds the few units that differ, so that the interval is short; other clusters may hold none else."""
    clusters = np.repeat(np.arange(20), 10)
    scores = np.ones(200)
    scores[:3] = 0.0
    estimate = estimate_mean(scores, clusters=clusters)
    assert estimate.low > 0.9
    verdict = decide(Gate(at_least=0.9), estimate)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "200 units in 20 clusters may miss" in verdict.reason
    assert decide(Gate(at_most=0.1), estimate_mean(1.0 - scores, clusters=clusters)).outcome is Outcome.INCONCLUSIVE
    assert decide(Gate(at_least=0.8), estimate).passed
    # Two hundred units that stand alone do show it.
    assert decide(Gate(at_least=0.9), estimate_mean(scores)).passed
