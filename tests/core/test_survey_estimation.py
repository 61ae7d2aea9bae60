"""Weights and respondents: formulas by hand, exact multinomial moments, and what the resampling must find."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    effective_sample_size,
    estimate_mean,
    interval_at,
    kish_design_effect,
    resample_human_distributions,
    sampling_error_of_distance,
    widen_for_respondents,
)
from pytest_pluralism.core.records import Estimate


def total_variation(p, q):
    return np.abs(p - q).sum(axis=-1) / 2


def whole(value, n):
    return Estimate(value, value, value, 0.0, n, n, confidence_level=None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.floats(0.1, 10))
def test_design_effect_is_one_plus_the_squared_variation(weights, scale):
    # Kish 1965, section 11.7: 1 + the squared coefficient of variation of the weights.
    array = np.array(weights)
    array.flags.writeable = False
    effect = kish_design_effect(array)
    assert effect == pytest.approx(1 + array.var() / array.mean() ** 2, rel=1e-9)
    assert effective_sample_size(array) == pytest.approx(len(array) / effect, rel=1e-9)
    assert kish_design_effect(scale * array) == pytest.approx(effect, rel=1e-9)
    assert 1 - 1e-9 <= effect <= len(array) + 1e-9


def test_design_effect_by_hand():
    assert kish_design_effect([1, 1, 2]) == 3 * 6 / 16
    assert effective_sample_size([5, 5, 5, 5]) == 4
    assert effective_sample_size([1, 0, 0]) == 1


def test_resamples_have_the_moments_of_a_multinomial():
    p = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]])
    n = np.array([50, 400])
    again = resample_human_distributions(p, n, n_resamples=20_000, rng=0)
    assert again.shape == (20_000, 2, 3)
    assert again.sum(axis=-1) == pytest.approx(1.0)
    assert again.mean(axis=0) == pytest.approx(p, abs=0.003)
    assert again.var(axis=0) == pytest.approx(p * (1 - p) / n[:, None], rel=0.06, abs=1e-9)


def test_errors_of_a_distance_that_is_linear_are_known_exactly():
    # Where the model always answers the first option, total variation is 1 - p_1: unbiased, with the binomial variance.
    p, n = np.array([[0.3, 0.7], [0.6, 0.4]]), 100
    sampling = sampling_error_of_distance(
        [[1.0, 0.0], [1.0, 0.0]], p, n, distance=total_variation, n_resamples=20_000, rng=1
    )
    errors = np.sqrt(p[:, 0] * p[:, 1] / n)
    assert sampling.values == pytest.approx((0.7, 0.4))
    assert sampling.standard_errors == pytest.approx(tuple(errors), rel=0.03)
    assert sampling.biases == pytest.approx((0, 0), abs=4 * errors.max() / math.sqrt(20_000))
    assert sampling.standard_error == pytest.approx(math.hypot(*sampling.standard_errors) / 2)
    assert sampling.shared_standard_error == pytest.approx(np.mean(sampling.standard_errors))
    # The floor is half the mean absolute deviation of a binomial share, summed over two options.
    k = np.arange(101)
    floor = [np.sum(stats.binom.pmf(k, 100, share) * np.abs(k / 100 - share)) for share in p[:, 0]]
    assert sampling.sampling_floors == pytest.approx(tuple(floor), rel=0.03)


def test_the_distance_by_default_is_jensen_shannon():
    model, human = [[0.1, 0.2, 0.7]], [[0.3, 0.3, 0.4]]
    sampling = sampling_error_of_distance(model, human, 100, n_resamples=50)
    assert sampling.value == pytest.approx(jensenshannon(model[0], human[0], base=2), rel=1e-9)


def test_fewer_respondents_more_bias():
    generator = np.random.default_rng(2)
    model, human = generator.dirichlet(np.ones(4), size=(2, 20))
    few, many = (sampling_error_of_distance(model, human, n, n_resamples=400) for n in (50, 1000))
    assert few.bias > many.bias > 0
    assert few.standard_error > many.standard_error
    assert few.sampling_floor > many.sampling_floor > 0
    # The bias of a smooth distance goes down with n, its error with the root of n.
    assert few.standard_error / many.standard_error == pytest.approx(math.sqrt(20), rel=0.25)


def test_the_bias_reported_is_the_bias_there_is():
    generator = np.random.default_rng(3)
    model, people = generator.dirichlet(np.full(4, 2.0), size=(2, 40))
    truth = np.mean([jensenshannon(a, b, base=2) for a, b in zip(model, people, strict=True)])
    excess, reported = [], []
    for _ in range(60):
        measured = generator.multinomial(80, people) / 80
        sampling = sampling_error_of_distance(model, measured, 80, n_resamples=60, rng=generator)
        excess.append(sampling.value - truth)
        reported.append(sampling.bias)
    assert np.mean(excess) > 0
    assert np.mean(reported) == pytest.approx(np.mean(excess), rel=0.35)


def test_widening_a_whole_set():
    model, human = [[0.5, 0.5], [0.2, 0.8]], [[0.6, 0.4], [0.3, 0.7]]
    sampling = sampling_error_of_distance(model, human, 200, rng=1)
    widened = widen_for_respondents(whole(sampling.value, 2), sampling)
    assert widened.high - widened.value == pytest.approx(1.959964 * sampling.standard_error, rel=1e-6)
    assert widened.value - widened.low == pytest.approx(widened.high - widened.value + sampling.bias, rel=1e-6)
    assert widened.confidence_level == 0.95
    assert "respondents" in widened.method
    shared = widen_for_respondents(whole(sampling.value, 2), sampling, shared_respondents=True)
    assert shared.high > widened.high


def test_widening_questions_that_stand_for_more_does_not_count_respondents_twice():
    generator = np.random.default_rng(4)
    model, human = generator.dirichlet(np.ones(4), size=(2, 30))
    sampling = sampling_error_of_distance(model, human, 300)
    estimate = estimate_mean(sampling.values, unit_ids=range(30))
    widened = widen_for_respondents(estimate, sampling)
    assert widened.high == pytest.approx(estimate.high, rel=1e-12)
    assert widened.low == pytest.approx(estimate.low - sampling.bias, rel=1e-9)
    shared = widen_for_respondents(estimate, sampling, shared_respondents=True)
    assert shared.standard_error == pytest.approx(math.hypot(estimate.standard_error, sampling.shared_standard_error))
    assert shared.low < widened.low
    assert shared.high > widened.high
    assert shared.values == ()


def test_one_answer_from_everybody_has_no_error():
    sampling = sampling_error_of_distance([[0.5, 0.5]], [[1.0, 0.0]], 10, n_resamples=20)
    assert (sampling.bias, sampling.standard_error, sampling.sampling_floor) == (0.0, 0.0, 0.0)


def test_seeds_and_inputs():
    model, human = np.array([[0.5, 0.5]]), np.array([[0.6, 0.4]])
    model.flags.writeable = human.flags.writeable = False
    first = sampling_error_of_distance(model, human, 50, n_resamples=20, rng=5)
    assert first == sampling_error_of_distance(model, human, 50, n_resamples=20, rng=5)
    assert first != sampling_error_of_distance(model, human, 50, n_resamples=20, rng=6)
    assert first == sampling_error_of_distance(model, human, [50.2], n_resamples=20, rng=5)
    assert (model.tolist(), human.tolist()) == ([[0.5, 0.5]], [[0.6, 0.4]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kish_design_effect([]), "'sampling_weights' parameter of kish_design_effect must be a non-empty"),
        (lambda: kish_design_effect([0, 0]), "must be non-negative and not all 0"),
        (lambda: effective_sample_size([1, -1]), "'sampling_weights' parameter of effective_sample_size"),
        (lambda: effective_sample_size([[1.0]]), "an array with one axis"),
        (lambda: resample_human_distributions([[0.5, 0.6]], 10), "sum to 1"),
        (lambda: resample_human_distributions([0.5, 0.5], 10), "an array with two axes"),
        (lambda: resample_human_distributions([[0.5, 0.5]], 0), "'n_respondents' parameter .* must be at least 1"),
        (lambda: resample_human_distributions([[0.5, 0.5]], [5, 5]), "or one a question"),
        (lambda: resample_human_distributions([[0.5, 0.5]], 5, n_resamples=0), "'n_resamples' parameter"),
        (lambda: sampling_error_of_distance([[0.5, 0.5]], [[0.5, 0.5]] * 2, 9), "'model_probabilities' parameter"),
        (lambda: sampling_error_of_distance([[0.5, 0.5]], [[0.5, 0.5]], 9, n_resamples=1), "'n_resamples' parameter"),
        (
            lambda: widen_for_respondents(
                whole(0.3, 2), sampling_error_of_distance([[0.5, 0.5]], [[0.6, 0.4]], 9, n_resamples=5)
            ),
            "'sampling' parameter of widen_for_respondents must be about the 2 units",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(InvalidParameterError, match=message):
        call()


@pytest.mark.parametrize("level", [0.95, None])
def test_another_level_does_not_take_the_respondents_out(level):
    generator = np.random.default_rng(0)
    human, model = generator.dirichlet([1.5] * 4, size=(2, 25))
    sampling = sampling_error_of_distance(model, human, 30, n_resamples=200)
    estimate = estimate_mean(sampling.values, confidence_level=level)
    widened = widen_for_respondents(estimate, sampling)
    assert sampling.bias > 0.001
    below = interval_at(widened, 0.94)
    assert (below.low, below.high) == pytest.approx((widened.low, widened.high))
    above = interval_at(widened, 0.99)
    assert above.low < widened.low < widened.high < above.high
    # There and back again it still holds the bias.
    again = interval_at(above, 0.9)
    assert again.low <= widened.low
    assert again.high >= widened.high
