from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import check_grad

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics import bridging
from pytest_pluralism.core.metrics.bridging import bridging_intercepts


def simulated(seed=0, *, n_respondents=40, n_responses=25, share=0.6, noise=0.1):
    """Votes of two camps with known bridging scores."""
    rng = np.random.default_rng(seed)
    camp = np.repeat([-1.0, 1.0], n_respondents // 2)
    slant = rng.normal(scale=0.3, size=n_responses)
    shared = rng.normal(scale=0.15, size=n_responses)
    ratings = 0.5 + shared + camp[:, None] * slant + rng.normal(scale=noise, size=(n_respondents, n_responses))
    ratings = np.clip(ratings, 0.0, 1.0)
    ratings[rng.random(ratings.shape) > share] = math.nan
    return ratings, camp, slant, shared


def loss_by_definition(ratings, fit, intercept_penalty=0.15, factor_penalty=0.03):
    """The loss of the published program, one rating at a time."""
    errors = []
    for u, n in np.argwhere(~np.isnan(ratings)):
        guess = fit.intercept + fit.respondent_intercepts[u] + fit.response_intercepts[n]
        guess += fit.respondent_factors[u] * fit.response_factors[n]
        errors.append((ratings[u, n] - guess) ** 2)
    strict = fit.intercept**2 + np.nanmean(fit.respondent_intercepts**2) + np.nanmean(fit.response_intercepts**2)
    loose = np.nanmean(fit.respondent_factors**2) + np.nanmean(fit.response_factors**2)
    return np.mean(errors) + intercept_penalty * strict + factor_penalty * loose


def alternating_ridge(ratings, *, seed, sweeps=4000, intercept_penalty=0.15, factor_penalty=0.03):
    """The same model by alternating least squares: each half is an exact ridge regression."""
    rng = np.random.default_rng(seed)
    n, m = ratings.shape
    given = ~np.isnan(ratings)
    total = given.sum()
    level, own, shared = 0.0, np.zeros(n), np.zeros(m)
    view, slant = rng.normal(scale=0.3, size=n), rng.normal(scale=0.3, size=m)

    def solve(target, design, size):
        penalty = np.diag([intercept_penalty, factor_penalty]) * total / size
        return np.linalg.solve(design.T @ design + penalty, design.T @ target)

    before = math.inf
    for _ in range(sweeps):
        rest = ratings - own[:, None] - shared - np.outer(view, slant)
        level = rest[given].sum() / (total * (1 + intercept_penalty))
        for u in range(n):
            seen = given[u]
            design = np.column_stack([np.ones(seen.sum()), slant[seen]])
            own[u], view[u] = solve(ratings[u, seen] - level - shared[seen], design, n)
        for j in range(m):
            seen = given[:, j]
            design = np.column_stack([np.ones(seen.sum()), view[seen]])
            shared[j], slant[j] = solve(ratings[seen, j] - level - own[seen], design, m)
        now = np.concatenate([[level], own, shared])
        if np.abs(now - before).max() < 1e-12:
            break
        before = now
    return level, own, shared, view, slant


def test_agrees_with_alternating_least_squares():
    ratings = simulated(1, n_respondents=20, n_responses=12)[0]
    fit = bridging_intercepts(ratings)
    level, own, shared, view, slant = alternating_ridge(ratings, seed=1)
    assert fit.converged
    assert fit.intercept == pytest.approx(level, abs=1e-6)
    np.testing.assert_allclose(fit.respondent_intercepts, own, atol=1e-6)
    np.testing.assert_allclose(fit.response_intercepts, shared, atol=1e-6)
    np.testing.assert_allclose(np.outer(fit.respondent_factors, fit.response_factors), np.outer(view, slant), atol=1e-5)
    assert fit.loss == pytest.approx(loss_by_definition(ratings, fit), abs=1e-13)


def test_without_viewpoints_it_is_a_ridge_regression_on_intercepts():
    ratings = simulated(2, n_respondents=12, n_responses=6)[0]
    fit = bridging_intercepts(ratings, factor_penalty=10.0)
    assert fit.converged
    np.testing.assert_allclose(fit.respondent_factors, 0.0, atol=1e-6)
    n, m = ratings.shape
    pairs = np.argwhere(~np.isnan(ratings))
    design = np.zeros((len(pairs), 1 + n + m))
    design[:, 0] = 1.0
    design[np.arange(len(pairs)), 1 + pairs[:, 0]] = 1.0
    design[np.arange(len(pairs)), 1 + n + pairs[:, 1]] = 1.0
    penalty = 0.15 * np.diag([1.0] + [1 / n] * n + [1 / m] * m)
    target = ratings[pairs[:, 0], pairs[:, 1]]
    exact = np.linalg.solve(design.T @ design / len(pairs) + penalty, design.T @ target / len(pairs))
    assert fit.intercept == pytest.approx(exact[0], abs=1e-7)
    np.testing.assert_allclose(fit.response_intercepts, exact[1 + n :], atol=1e-7)


def test_one_unanimous_response_in_closed_form():
    # All rate 1 and lambda_f is dear, so level + own + shared = 1 - e with equal parts: each is (1 - e) / 3, and the
    # derivative e = .15 (1 - e) / 3 gives e = .05 / 1.05.
    fit = bridging_intercepts(np.ones((6, 1)), factor_penalty=100.0)
    part = (1 - 0.05 / 1.05) / 3
    assert fit.intercept == pytest.approx(part, abs=1e-9)
    np.testing.assert_allclose(fit.response_intercepts, [part], atol=1e-9)
    np.testing.assert_allclose(fit.respondent_intercepts, np.full(6, part), atol=1e-9)


def test_the_gradient_is_that_of_the_loss():
    rng = np.random.default_rng(3)
    ratings = simulated(3, n_respondents=8, n_responses=5)[0]
    u, n = np.nonzero(~np.isnan(ratings))
    votes = bridging._Votes(
        respondent=u,
        response=n,
        rating=ratings[u, n],
        n_respondents=8,
        n_responses=5,
        intercept_penalty=0.15,
        factor_penalty=0.03,
    )
    theta = rng.normal(size=1 + 2 * 13)
    error = check_grad(lambda t: votes.loss_and_gradient(t)[0], lambda t: votes.loss_and_gradient(t)[1], theta)
    assert error < 1e-6


def test_approval_across_camps_beats_approval_by_the_larger_camp():
    # Wojcik et al. 2022: a note that the large camp loves has more votes, one that both camps like bridges.
    partisan, bridge, other = 0, 1, 2
    camps = np.array([0] * 14 + [1] * 6)
    ratings = np.zeros((20, 6))
    ratings[camps == 0, partisan] = 1.0
    ratings[camps == 1, other] = 1.0
    ratings[:, bridge] = np.tile([1.0, 1.0, 0.0, 1.0, 0.5], 4)
    ratings[camps == 0, 3] = 1.0
    ratings[camps == 1, 4] = 1.0
    assert ratings[:, partisan].mean() == ratings[:, bridge].mean() == 0.7
    fit = bridging_intercepts(ratings)
    assert fit.response_intercepts[bridge] > fit.response_intercepts[partisan] + 0.1
    assert np.argmax(fit.response_intercepts) == bridge
    # The viewpoint factor tells the camps apart, and the largest is positive by convention.
    signs = np.sign(fit.respondent_factors)
    assert len(set(signs[camps == 0])) == len(set(signs[camps == 1])) == 1
    assert signs[0] != signs[-1]
    assert fit.respondent_factors[np.argmax(np.abs(fit.respondent_factors))] > 0
    assert abs(fit.response_factors[bridge]) < 0.2 * abs(fit.response_factors[partisan])


def test_recovers_what_the_votes_were_made_of():
    ratings, camp, slant, shared = simulated(4, n_respondents=60, n_responses=40)
    fit = bridging_intercepts(ratings)
    assert fit.converged
    assert np.corrcoef(fit.response_intercepts, shared)[0, 1] > 0.9
    assert abs(np.corrcoef(fit.response_factors, slant)[0, 1]) > 0.9
    assert abs(np.corrcoef(fit.respondent_factors, camp)[0, 1]) > 0.95


def test_helpful_needs_the_threshold_and_enough_ratings():
    ratings = np.zeros((8, 4))
    ratings[:, 0] = 1.0
    ratings[:4, 1] = 1.0
    ratings[4:, 1] = math.nan
    fit = bridging_intercepts(ratings)
    assert fit.n_ratings.tolist() == [8, 4, 8, 8]
    assert (fit.response_intercepts[:2] >= 0.40).all()
    assert fit.helpful.tolist() == [True, False, False, False]
    assert bridging_intercepts(ratings, min_ratings=4).helpful.tolist() == [True, True, False, False]
    assert not bridging_intercepts(ratings, threshold=0.99).helpful.any()


def test_votes_that_were_not_cast_are_not_votes_of_zero():
    ratings = simulated(5, n_respondents=20, n_responses=8)[0]
    wider = np.full((22, 9), math.nan)
    wider[1:21, :8] = ratings
    narrow, wide = bridging_intercepts(ratings), bridging_intercepts(wider)
    assert np.isnan(wide.response_intercepts[8])
    assert np.isnan(wide.respondent_factors[[0, 21]]).all()
    assert wide.n_ratings[8] == 0
    assert not wide.helpful[8]
    assert not bridging_intercepts(wider, min_ratings=0, threshold=-1.0).helpful[8]
    np.testing.assert_allclose(wide.response_intercepts[:8], narrow.response_intercepts, atol=1e-7)
    assert not np.allclose(bridging_intercepts(np.nan_to_num(ratings)).response_intercepts, narrow.response_intercepts)


def test_is_deterministic_and_leaves_its_input_alone():
    ratings = simulated(6, n_respondents=20, n_responses=10)[0]
    before = ratings.copy()
    ratings.flags.writeable = False
    first, second = bridging_intercepts(ratings), bridging_intercepts(ratings)
    np.testing.assert_array_equal(first.response_intercepts, second.response_intercepts)
    np.testing.assert_array_equal(ratings, before)
    seeded = [bridging_intercepts(ratings, n_restarts=2, rng=np.random.default_rng(9)) for _ in range(2)]
    np.testing.assert_array_equal(seeded[0].response_factors, seeded[1].response_factors)
    assert seeded[0].loss <= first.loss + 1e-10
    # The default start finds what random starts find, here.
    np.testing.assert_allclose(seeded[0].response_intercepts, first.response_intercepts, atol=1e-6)


def test_does_not_depend_on_the_order_of_people_and_responses():
    ratings = simulated(7, n_respondents=20, n_responses=10)[0]
    rng = np.random.default_rng(7)
    rows, columns = rng.permutation(20), rng.permutation(10)
    fit, moved = bridging_intercepts(ratings), bridging_intercepts(ratings[np.ix_(rows, columns)])
    np.testing.assert_allclose(moved.response_intercepts, fit.response_intercepts[columns], atol=1e-6)
    np.testing.assert_allclose(moved.respondent_factors, fit.respondent_factors[rows], atol=1e-5)


def test_a_fit_that_was_stopped_says_so():
    assert not bridging_intercepts(simulated(8)[0], max_iterations=1).converged


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
def test_constant_ratings_have_no_viewpoints(constant):
    fit = bridging_intercepts(np.full((5, 3), constant))
    assert fit.converged
    np.testing.assert_allclose(np.outer(fit.respondent_factors, fit.response_factors), 0.0, atol=1e-6)
    assert fit.response_intercepts.min() == pytest.approx(fit.response_intercepts.max(), abs=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bridging_intercepts([1, 0, 1]),
        lambda: bridging_intercepts([[1, 2]]),
        lambda: bridging_intercepts([[1, -0.1]]),
        lambda: bridging_intercepts([[1, math.inf]]),
        lambda: bridging_intercepts([[math.nan]]),
        lambda: bridging_intercepts(np.empty((0, 3))),
        lambda: bridging_intercepts([["helpful"]]),
        lambda: bridging_intercepts([[1, 0]], intercept_penalty=0),
        lambda: bridging_intercepts([[1, 0]], factor_penalty=-0.03),
        lambda: bridging_intercepts([[1, 0]], threshold=math.nan),
        lambda: bridging_intercepts([[1, 0]], min_ratings=-1),
        lambda: bridging_intercepts([[1, 0]], min_ratings=2.5),
        lambda: bridging_intercepts([[1, 0]], n_restarts=True),
        lambda: bridging_intercepts([[1, 0]], max_iterations=0),
    ],
)
def test_what_is_no_rating_is_refused(call):
    with pytest.raises(InvalidParameterError, match=r"^The '\w+' parameter of \w+ must be .* Got .* instead\.$"):
        call()


def test_restarts_find_a_lower_minimum_where_there_is_one():
    rng = np.random.default_rng(47)
    ratings = (rng.random((6, 5)) < 0.5).astype(float)
    ratings[rng.random(ratings.shape) > 0.8] = math.nan
    alone, best = bridging_intercepts(ratings), bridging_intercepts(ratings, n_restarts=8)
    assert best.loss < alone.loss - 1e-3
    assert best.loss == pytest.approx(loss_by_definition(ratings, best), abs=1e-12)
