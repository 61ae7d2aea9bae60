"""Steerable measures against scikit-learn, numeric integrals and the published definitions."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics.classification import classification_scores
from pytest_pluralism.core.metrics.multi_objective import diagonal_dominance
from pytest_pluralism.core.metrics.steerability import goal_space_steering, prompt_steerability_index
from pytest_pluralism.core.metrics.steerable import (
    attribute_faithfulness,
    best_of_contexts,
    steered_distance,
    steered_distance_gain,
    steered_distance_matrix,
    steering_gain,
)

quick = settings(max_examples=60, deadline=None)
STANCES = ("support", "oppose", "either")


def answers(labels, *, least=1, most=25):
    return st.lists(st.tuples(st.sampled_from(labels), st.sampled_from(labels)), min_size=least, max_size=most)


def columns(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


def distributions(rng, *shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


# ------------------------------------------------------------------------------------------------ classification


@pytest.mark.whole
@quick
@given(answers(STANCES))
def test_three_way_scores_are_those_of_scikit_learn(pairs):
    predicted, actual = columns(pairs)
    scores = classification_scores(predicted, actual, labels=STANCES)
    with warnings.catch_warnings():
        # scikit-learn warns of predicted classes without support, and leaves them out: our stated rule.
        warnings.simplefilter("ignore")
        balanced = sklearn.metrics.balanced_accuracy_score(actual, predicted)
    assert scores.accuracy == pytest.approx(sklearn.metrics.accuracy_score(actual, predicted))
    assert scores.balanced_accuracy == pytest.approx(balanced)
    assert scores.macro_f1 == pytest.approx(
        sklearn.metrics.f1_score(actual, predicted, average="macro", zero_division=0)
    )
    np.testing.assert_array_equal(
        scores.confusion[:, :3], sklearn.metrics.confusion_matrix(actual, predicted, labels=STANCES)
    )
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        actual, predicted, labels=STANCES, zero_division=np.nan
    )
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)


@quick
@given(answers(STANCES))
def test_two_way_scores_are_those_of_the_rows_that_are_left(pairs):
    left = [(p, a) for p, a in pairs if "either" not in (p, a)]
    scores = classification_scores(*columns(pairs), labels=STANCES, drop="either")
    assert scores.labels == ("support", "oppose")
    assert (scores.n, scores.n_dropped) == (len(left), len(pairs) - len(left))
    if not left:
        assert np.isnan([scores.accuracy, scores.balanced_accuracy, scores.macro_f1]).all()
        return
    predicted, actual = columns(left)
    assert scores.accuracy == pytest.approx(sklearn.metrics.accuracy_score(actual, predicted))
    assert scores.macro_f1 == pytest.approx(
        sklearn.metrics.f1_score(actual, predicted, average="macro", zero_division=0)
    )


def test_unparsed_answers_are_wrong_and_no_class():
    actual = ["support", "oppose", "either", "support"] * 25
    predicted = [*actual[:-1], "?"]
    ours = classification_scores(predicted, actual, labels=STANCES, unparsed="?")
    assert ours.accuracy == 0.99
    assert ours.n_unparsed == 1
    assert ours.macro_f1 > 0.99
    # The published protocol makes a class of it: one unparsed answer costs a quarter of macro-F1.
    published = classification_scores(predicted, actual, labels=(*STANCES, "?"))
    assert published.macro_f1 == pytest.approx(ours.macro_f1 * 0.75)
    assert published.macro_f1 == pytest.approx(
        sklearn.metrics.f1_score(actual, predicted, average="macro", zero_division=0)
    )


def test_scores_by_leading_axes_with_codes_for_labels():
    rng = np.random.default_rng(0)
    predicted, actual = rng.integers(0, 4, (2, 3, 30)), rng.integers(0, 3, (2, 3, 30))
    scores = classification_scores(predicted, actual, labels=[0, 1, 2], drop=2, unparsed=3)
    assert scores.accuracy.shape == (2, 3)
    assert scores.confusion.shape == (2, 3, 2, 3)
    for i, j in np.ndindex(2, 3):
        one = classification_scores(predicted[i, j], actual[i, j], labels=[0, 1, 2], drop=2, unparsed=3)
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "n", "n_dropped", "n_unparsed"):
            assert getattr(scores, name)[i, j] == getattr(one, name), name


@quick
@given(answers(STANCES), st.permutations(STANCES))
def test_scores_do_not_depend_on_the_order_of_labels_or_rows(pairs, order):
    scores = classification_scores(*columns(pairs), labels=STANCES)
    other = classification_scores(*columns(pairs[::-1]), labels=order)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert getattr(scores, name) == pytest.approx(getattr(other, name))


@pytest.mark.parametrize(
    ("predicted", "actual", "keywords", "message"),
    [
        (["a"], ["a", "b"], {"labels": "ab"}, "at least two labels"),
        (["a"], ["a", "b"], {"labels": ["a", "b"]}, "of the shape of 'actual'"),
        ([], [], {"labels": ["a", "b"]}, "non-empty"),
        (["a"], ["b"], {"labels": ["a"]}, "at least two labels"),
        (["a"], ["b"], {"labels": ["a", "b", "a"]}, "all different"),
        (["c"], ["b"], {"labels": ["a", "b"]}, r"'predicted' .* one of the labels 'a', 'b'. Got 'c' at index \(0,\)"),
        (["a"], ["c"], {"labels": ["a", "b"]}, r"'actual' .* Got 'c'"),
        (["a"], ["?"], {"labels": ["a", "b"], "unparsed": "?"}, "'actual' .*"),
        (["a"], ["a"], {"labels": ["a", "b"], "unparsed": "a"}, "'unparsed'"),
        (["a"], ["a"], {"labels": ["a", "b"], "drop": "b"}, "at least two labels besides"),
        ([None], ["a"], {"labels": ["a", "b"]}, "Got None at index"),
        ([np.nan], [1.0], {"labels": [0, 1]}, r"Got nan at index \(0,\)"),
    ],
)
def test_classification_refuses(predicted, actual, keywords, message):
    with pytest.raises(InvalidParameterError, match=message):
        classification_scores(predicted, actual, **keywords)


# -------------------------------------------------------------------------------------------------- faithfulness


@quick
@given(st.lists(st.tuples(st.sampled_from(["c", "a", "b"]), st.floats(-1, 1)), min_size=1, max_size=30))
def test_faithfulness_is_the_mean_by_attribute(rows):
    attributes, scores = columns(rows)
    result = attribute_faithfulness(scores, attributes)
    assert result.attributes == tuple(dict.fromkeys(attributes))
    expected = [np.mean([s for a, s in rows if a == attribute]) for attribute in result.attributes]
    np.testing.assert_allclose(result.values, expected, atol=1e-12)
    assert result.n_units == tuple(attributes.count(a) for a in result.attributes)
    assert result.mean == pytest.approx(np.mean(scores), abs=1e-12)
    assert result.attribute_mean == pytest.approx(np.mean(expected), abs=1e-12)
    assert result.worst == pytest.approx(min(expected), abs=1e-12)
    assert result.worst <= result.mean + 1e-12
    assert result.values[result.attributes.index(result.worst_attribute)] == result.worst


def test_definition_8_asks_every_attribute():
    # Sorensen et al. 2024, Definition 8: faithful to every a in A. A mean of 0.75 hides one that is never reflected.
    result = attribute_faithfulness([1, 1, 1, 0], ["secular", "religious", "left", "right"])
    assert (result.mean, result.worst, result.worst_attribute) == (0.75, 0.0, "right")


def test_faithfulness_and_gain_by_leading_axes():
    steered, unsteered = np.array([[1, 1, 0, 0], [1, 0, 1, 1]]), np.array([[0, 1, 0, 1], [1, 0, 1, 0]])
    attributes = ["x", "y", "x", "y"]
    result = steering_gain(steered, unsteered, attributes)
    np.testing.assert_array_equal(result.values, [[0.5, -0.5], [0.0, 0.5]])
    assert result.worst_attribute.tolist() == ["y", "x"]
    np.testing.assert_array_equal(result.worst, [-0.5, 0.0])
    difference = (
        attribute_faithfulness(steered, attributes).values - attribute_faithfulness(unsteered, attributes).values
    )
    np.testing.assert_allclose(result.values, difference)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "non-empty"),
        (([1.0, np.nan], ["a", "b"]), "finite"),
        (([1.0, 1.0], ["a"]), r"one label a unit \(2\)"),
        (([1.0], [np.nan]), "not missing"),
        (([1.0, 1.0], [["a"], ["b"]]), "hashable labels"),
    ],
)
def test_faithfulness_refuses(arguments, message):
    with pytest.raises(InvalidParameterError, match=message):
        attribute_faithfulness(*arguments)


def test_gain_refuses_units_that_are_not_paired():
    with pytest.raises(InvalidParameterError, match="of the shape of 'steered'"):
        steering_gain([1.0, 0.0], [1.0], ["a", "b"])


# ------------------------------------------------------------------------------------- distances under steering


def test_steered_distances_are_those_of_scipy():
    rng = np.random.default_rng(5)
    steered, reference = distributions(rng, 3, 7, 4), distributions(rng, 3, 7, 4)
    unsteered = distributions(rng, 7, 4)
    distance = steered_distance(steered, reference)
    gain = steered_distance_gain(steered, unsteered, reference)
    matrix = steered_distance_matrix(steered, reference)
    assert distance.shape == gain.shape == (3, 7)
    for g, q in np.ndindex(3, 7):
        near = scipy.spatial.distance.jensenshannon(steered[g, q], reference[g, q], base=2)
        far = scipy.spatial.distance.jensenshannon(unsteered[q], reference[g, q], base=2)
        assert distance[g, q] == pytest.approx(near)
        assert gain[g, q] == pytest.approx(far - near)
    for g, h in np.ndindex(3, 3):
        each = [scipy.spatial.distance.jensenshannon(reference[g, q], steered[h, q], base=2) for q in range(7)]
        assert matrix[g, h] == pytest.approx(np.mean(each))


def test_a_model_that_becomes_each_group_has_no_distance_and_no_regret():
    groups = distributions(np.random.default_rng(6), 4, 5, 3)
    assert steered_distance(groups, groups).max() == pytest.approx(0.0, abs=1e-7)
    assert diagonal_dominance(-steered_distance_matrix(groups, groups)) == 1.0
    np.testing.assert_allclose(steered_distance_gain(groups, groups, groups), 0.0, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: steered_distance([0.5, 0.5], [0.2, 0.3, 0.5]), "over as many options as 'steered'"),
        (lambda: steered_distance([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 3), "of a shape that fits"),
        (lambda: steered_distance([0.5, 0.6], [0.5, 0.5]), "sum to 1"),
        (lambda: steered_distance([0.5, np.nan], [0.5, 0.5]), "finite"),
        (lambda: steered_distance_gain([0.5, 0.5], [0.2, 0.3, 0.5], [0.5, 0.5]), "'unsteered' .* as many options"),
        (lambda: steered_distance_matrix([[0.5, 0.5]], [[0.5, 0.5]]), r"of shape \(n_groups, n_questions, n_options\)"),
        (lambda: steered_distance_matrix([[[0.5, 0.5]]], [[0.5, 0.5]]), "of the shape of 'steered'"),
    ],
)
def test_steered_distances_refuse(call, message):
    with pytest.raises(InvalidParameterError, match=message):
        call()


# --------------------------------------------------------------------------------------------------- OpinionQA


@pytest.mark.whole
@quick
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)), elements=st.floats(0, 1))
)
def test_best_of_contexts_in_both_readings(alignment):
    by_question = best_of_contexts(alignment)
    by_group = best_of_contexts(alignment, reading="per_group")
    for unit, table in enumerate(alignment.tolist()):
        assert by_question[unit] == pytest.approx(np.mean([max(column) for column in zip(*table, strict=True)]))
        assert by_group[unit] == pytest.approx(max(np.mean(row) for row in table))
    assert (by_question >= by_group - 1e-12).all()


def test_best_of_contexts_refuses():
    with pytest.raises(InvalidParameterError, match=r"'per_question', 'per_group'. Got 'both'"):
        best_of_contexts([[0.5]], reading="both")
    with pytest.raises(InvalidParameterError, match="at least 2 axes"):
        best_of_contexts([0.5])


# ------------------------------------------------------------------------------------------ prompt steerability


def beta_wasserstein(first, second):
    """Integrate the gap between two cumulative Beta distributions on a fine grid."""
    x = (1 - np.cos(np.linspace(0, np.pi, 20_001))) / 2  # Dense at both ends, where the extremes are steep.
    gap = np.abs(scipy.stats.beta.cdf(x, *first) - scipy.stats.beta.cdf(x, *second))
    return scipy.integrate.trapezoid(gap, x)


@pytest.mark.whole
@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.just(n),
            *(st.tuples(st.integers(0, n), st.integers(0, n)).filter(lambda c, n=n: sum(c) <= n) for _ in range(2)),
        )
    ),
    st.sampled_from([0.5, 1.0]),
)
def test_prompt_steerability_is_the_ratio_of_distances_between_beta_profiles(case, prior):
    n, baseline, steered = case
    profile = [(prior + c[0], prior + c[1]) for c in (baseline, steered, (n, 0), (0, n))]
    expected = (beta_wasserstein(profile[0], profile[2]) - beta_wasserstein(profile[1], profile[2])) / beta_wasserstein(
        profile[3], profile[2]
    )
    index = prompt_steerability_index(baseline, steered, n_statements=n, prior=prior)
    assert index == pytest.approx(expected, abs=2e-4)
    assert -1 - 1e-12 <= index <= 1 + 1e-12
    against = prompt_steerability_index(baseline[::-1], steered[::-1], n_statements=n, prior=prior)
    assert against == pytest.approx(-index, abs=1e-12)


def test_prompt_steerability_of_read_answers_is_the_change_in_share():
    baseline, steered = np.array([[0, 10], [6, 4], [10, 0]]), np.array([[10, 0], [9, 1], [10, 0]])
    np.testing.assert_allclose(prompt_steerability_index(baseline, steered), [1.0, 0.3, 0.0], atol=1e-12)
    np.testing.assert_allclose(prompt_steerability_index(baseline, steered, prior=3.0), [1.0, 0.3, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (([1, 2, 3], [1, 2, 3]), {}, "two counts in the last axis"),
        (([1, -2], [1, 2]), {}, "'baseline' .* non-negative"),
        (([1, 2], [1, 3]), {}, "'n_statements' .* different numbers of answers"),
        (([1, 2], [1, 2]), {"n_statements": 2}, r"at least the number of answers counted \(3\)"),
        (([0, 0], [0, 0]), {}, "at least one statement"),
        (([1, 2], [1, 2]), {"prior": 0.0}, r"a float in \(0, inf\)"),
        (([[1, 2]] * 2, [[1, 2]] * 3), {}, "of a shape that fits"),
        (([], []), {}, "non-empty"),
    ],
)
def test_prompt_steerability_refuses(arguments, keywords, message):
    with pytest.raises(InvalidParameterError, match=message):
        prompt_steerability_index(*arguments, **keywords)


# -------------------------------------------------------------------------------------------------- goal space

# Sixteenths: far from underflow, so that the properties hold to rounding.
GOALS = hnp.arrays(np.float64, (4, 3), elements=st.integers(-32, 32).map(lambda i: i / 16))


@quick
@given(GOALS, GOALS, GOALS)
def test_goal_space_is_projection_and_rejection(source, output, goal):
    goal = np.where((goal == source).all(axis=1, keepdims=True), source + 1, goal)
    result = goal_space_steering(source, output, goal)
    for i in range(4):
        request, movement = goal[i] - source[i], output[i] - source[i]
        progress = movement @ request / (request @ request)
        left = goal[i] - output[i]
        # The published form: what is left to go, projected on the request, over the length of the request.
        published = abs(left @ request) / (request @ request)
        assert result.progress[i] == pytest.approx(progress, abs=1e-9)
        assert result.miscalibration[i] == pytest.approx(published, abs=1e-9)
        assert result.overshoot[i] - result.undershoot[i] == pytest.approx(progress - 1, abs=1e-9)
        assert min(result.overshoot[i], result.undershoot[i]) == 0
        aside = np.linalg.norm(left - (left @ request) / (request @ request) * request)
        way = np.linalg.norm(movement)
        assert result.side_effect_share[i] == pytest.approx(aside / way if way else 0.0, abs=1e-7)
        assert result.steering_error[i] == pytest.approx(np.linalg.norm(left))
    assert (result.side_effect_share <= 1).all()


@quick
@given(GOALS, GOALS, GOALS, st.sampled_from([0.25, 2.0, 8.0]))
def test_goal_space_does_not_depend_on_scale_place_or_rotation(source, output, goal, scale):
    goal = np.where((goal == source).all(axis=1, keepdims=True), source + 1, goal)
    turn = scipy.stats.special_ortho_group.rvs(3, random_state=0)
    before = goal_space_steering(source, output, goal)
    after = goal_space_steering(*(scale * (z @ turn) + 1 for z in (source, output, goal)))
    np.testing.assert_allclose(after.progress, before.progress, atol=1e-9)
    np.testing.assert_allclose(after.side_effect_share, before.side_effect_share, atol=1e-7)


def test_goal_space_at_its_corners():
    exact = goal_space_steering([0, 0], [0.3, 0.4], [0.3, 0.4])
    assert exact.progress == pytest.approx(1)
    assert exact.side_effect_share == pytest.approx(0, abs=1e-9)
    still = goal_space_steering([0, 0], [0, 0], [1, 0])
    assert (still.undershoot, still.overshoot, still.side_effect_share) == (1.0, 0.0, 0.0)
    sideways = goal_space_steering([0, 0], [0, 5], [1, 0])
    assert (sideways.progress, sideways.side_effect_share) == (0.0, 1.0)
    backwards = goal_space_steering([0, 0], [-1, 0], [1, 0])
    assert (backwards.undershoot, backwards.side_effect_share) == (2.0, 0.0)


def test_goal_space_refuses():
    with pytest.raises(InvalidParameterError, match=r"'goal' .* different from 'source'. Got the same at index \(1,\)"):
        goal_space_steering([[0, 0], [1, 1]], [[0, 0], [1, 1]], [[1, 0], [1, 1]])
    with pytest.raises(InvalidParameterError, match=r"'output' .* of the shape of 'source'"):
        goal_space_steering([0, 0], [0], [1, 1])
    with pytest.raises(InvalidParameterError, match="finite"):
        goal_space_steering([0, np.nan], [0, 0], [1, 1])


def test_inputs_are_left_as_they_were():
    arrays = {
        "scores": np.array([1.0, 0.0]),
        "labels": np.array(["a", "b"]),
        "p": np.array([[[0.25, 0.75]], [[0.5, 0.5]]]),
        "counts": np.array([3.0, 1.0]),
    }
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array.flags.writeable = False
    scores, labels, p, counts = arrays.values()
    attribute_faithfulness(scores, labels)
    steering_gain(scores, scores, labels)
    classification_scores(labels, labels, labels=["a", "b"])
    steered_distance(p, p)
    steered_distance_gain(p, p, p)
    steered_distance_matrix(p, p)
    best_of_contexts(p)
    prompt_steerability_index(counts, counts)
    goal_space_steering(scores, scores, counts)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, copies[name])


def test_best_of_contexts_keeps_every_axis_of_the_units():
    alignment = np.random.default_rng(0).random((2, 3, 4, 5))
    for reading in ("per_question", "per_group"):
        found = best_of_contexts(alignment, reading=reading)
        assert found.shape == (2, 3)
        for unit in np.ndindex(2, 3):
            assert found[unit] == pytest.approx(best_of_contexts(alignment[unit], reading=reading))


@pytest.mark.parametrize("scale", [2.0**1000, 2.0**600, 1.0, 2.0**-600, 2.0**-1060])
def test_goal_space_steering_does_not_depend_on_the_unit(scale):
    source, output, goal = np.array([0.0, 1.0]), np.array([1.5, 3.0]), np.array([1.0, 1.0])
    moved = goal_space_steering(source * scale, output * scale, goal * scale)
    assert (moved.progress, moved.overshoot, moved.side_effect_share) == (1.5, 0.5, 0.8)
    assert moved.steering_error == pytest.approx(math.hypot(0.5, 2.0) * scale, rel=1e-14, abs=0)


def test_goal_space_steering_of_the_largest_numbers():
    largest = np.finfo(np.float64).max
    moved = goal_space_steering([-largest, 0.0], [largest, 0.0], [largest, 0.0])
    assert (moved.progress, moved.side_effect_share, moved.steering_error) == (1.0, 0.0, 0.0)
    assert goal_space_steering([-largest, 0.0], [-largest, 0.0], [largest, 0.0]).steering_error == math.inf
    assert goal_space_steering([0.0], [1e200], [1e-200]).progress == math.inf
