"""Overton measures against independent counts, worked examples and their properties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics.overton import (
    coverage,
    false_balance,
    sided_coverage,
    soft_coverage,
    window_precision_recall_f1,
)
from pytest_pluralism.core.metrics.representation import cluster_coverage, overton_score, pairwise_win_rate

PROBABILITY = st.floats(0, 1, width=32)
WINDOW = hnp.arrays(np.float64, st.integers(1, 8), elements=PROBABILITY)
quick = settings(max_examples=60, deadline=None)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


# ------------------------------------------------------------------------------------------------- coverage


def test_coverage_is_the_recall_that_scikit_learn_counts():
    rng = np.random.default_rng(0)
    entailment = rng.random((20, 7))
    weights = rng.random((20, 7))
    shares = coverage(entailment, threshold=0.6, weights=weights)
    expected = [
        sklearn.metrics.recall_score(np.ones(7), e >= 0.6, sample_weight=w, zero_division=0)
        for e, w in zip(entailment, weights, strict=True)
    ]
    np.testing.assert_allclose(shares, expected, rtol=1e-12)


def test_definition_4_a_response_set_is_overton_pluralistic_when_it_holds_the_whole_window():
    # Sorensen et al. 2024, Definitions 4 and 5: all of W(x), so coverage 1 and nothing less.
    for held in itertools.product([0.0, 1.0], repeat=4):
        assert (coverage(held, threshold=0.5) == 1.0) == all(held)


def test_an_answer_at_the_threshold_is_covered():
    assert coverage([0.5, 0.49999], threshold=0.5) == 0.5


def test_coverage_takes_any_leading_axes_and_gives_a_float_for_one_response():
    entailment = np.random.default_rng(1).random((2, 3, 4, 5))
    shares = coverage(entailment, threshold=0.5)
    assert shares.shape == (2, 3, 4)
    assert shares[1, 2, 3] == coverage(entailment[1, 2, 3], threshold=0.5)
    assert isinstance(coverage(entailment[0, 0, 0], threshold=0.5), float)


def test_weight_zero_pads_windows_of_different_lengths():
    padded = coverage([[0.9, 0.1, 0.0], [0.9, 0.9, 0.9]], threshold=0.5, weights=[[1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(padded, [0.5, 1.0])


@quick
@given(WINDOW, st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_coverage_falls_with_the_threshold(entailment, thresholds):
    low, high = sorted(thresholds)
    assert coverage(entailment, threshold=low) >= coverage(entailment, threshold=high)


@quick
@given(st.data(), st.floats(0, 1))
def test_another_response_in_the_set_never_lowers_coverage(data, threshold):
    first = data.draw(WINDOW)
    second = data.draw(hnp.arrays(np.float64, first.shape, elements=PROBABILITY))
    weights = data.draw(hnp.arrays(np.float64, first.shape, elements=st.floats(0.125, 8)))
    alone = coverage(first, threshold=threshold, weights=weights)
    assert coverage(np.maximum(first, second), threshold=threshold, weights=weights) >= alone
    assert soft_coverage(np.maximum(first, second), weights=weights) >= soft_coverage(first, weights=weights) - 1e-12


@quick
@given(WINDOW, st.floats(0.01, 1))
def test_an_added_answer_raises_coverage_if_covered_and_lowers_it_if_not(entailment, threshold):
    before = coverage(entailment, threshold=threshold)
    assert coverage(np.append(entailment, 1.0), threshold=threshold) >= before
    assert coverage(np.append(entailment, 0.0), threshold=threshold) <= before


@pytest.mark.whole
@quick
@given(WINDOW)
def test_soft_coverage_is_coverage_averaged_over_thresholds(entailment):
    grid = (np.arange(4000) + 0.5) / 4000
    average = np.mean([(entailment >= t).mean() for t in grid])
    assert soft_coverage(entailment) == pytest.approx(average, abs=1e-3)


def test_scaling_the_weights_changes_nothing():
    rng = np.random.default_rng(2)
    entailment, weights = rng.random((5, 6)), rng.integers(1, 9, (5, 6))
    np.testing.assert_allclose(
        coverage(entailment, threshold=0.3, weights=weights), coverage(entailment, threshold=0.3, weights=8 * weights)
    )


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (([],), {"threshold": 0.5}, "'entailment' parameter of coverage must be a non-empty array"),
        (([0.5, np.nan],), {"threshold": 0.5}, r"finite everywhere. Got nan at index \(1,\)"),
        (([0.5, 1.5],), {"threshold": 0.5}, r"probabilities in \[0, 1\]. Got 1.5 at index \(1,\)"),
        (([0.5],), {"threshold": 1.5}, r"'threshold' parameter of coverage must be a float in \[0, 1\]. Got 1.5"),
        (([0.5],), {"threshold": None}, "'threshold' parameter"),
        (([0.5, 0.5],), {"threshold": 0.5, "weights": [1.0]}, r"one weight an answer \(2\)"),
        (([0.5, 0.5],), {"threshold": 0.5, "weights": [1.0, -1.0]}, "non-negative"),
        (([0.5, 0.5],), {"threshold": 0.5, "weights": [0.0, 0.0]}, "positive for at least one answer"),
        (([[0.5, 0.5]] * 3,), {"threshold": 0.5, "weights": [[1.0, 1.0]] * 2}, r"of a shape that fits \(3, 2\)"),
        (([[0.5, 0.5]] * 2,), {"threshold": 0.5, "weights": [[1, 1], [0, 0]]}, r"only zeros at index \(1,\)"),
    ],
)
def test_coverage_refuses(arguments, keywords, message):
    with pytest.raises(InvalidParameterError, match=message):
        coverage(*arguments, **keywords)


# ------------------------------------------------------------------------------------- precision and its kin


@pytest.mark.whole
@quick
@given(WINDOW, WINDOW, st.floats(0.01, 1))
def test_window_scores_are_those_of_scikit_learn(reasonable, unreasonable, threshold):
    scores = window_precision_recall_f1(reasonable, unreasonable, threshold=threshold)
    actual = np.r_[np.ones(reasonable.size), np.zeros(unreasonable.size)]
    said = np.asarray(compare(np.r_[reasonable, unreasonable], threshold)) >= 0
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        actual, said, average="binary", zero_division=0
    )
    assert scores.recall == pytest.approx(recall)
    assert scores.f1 == pytest.approx(f1)
    assert scores.accuracy == pytest.approx(sklearn.metrics.accuracy_score(actual, said))
    assert scores.recall == coverage(reasonable, threshold=threshold)
    if said.any():
        assert scores.precision == pytest.approx(precision)
    else:
        assert np.isnan(scores.precision)


def test_weighted_window_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    inside, outside = rng.random((9, 5)), rng.random((9, 4))
    w_in, w_out = rng.random((9, 5)), rng.random((9, 4))
    scores = window_precision_recall_f1(
        inside, outside, threshold=0.4, reasonable_weights=w_in, unreasonable_weights=w_out
    )
    for i in range(9):
        actual, said = np.r_[np.ones(5), np.zeros(4)], np.r_[inside[i], outside[i]] >= 0.4
        weight = np.r_[w_in[i], w_out[i]]
        precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
            actual, said, average="binary", sample_weight=weight
        )
        assert (scores.precision[i], scores.recall[i], scores.f1[i]) == pytest.approx((precision, recall, f1))
        accuracy = sklearn.metrics.accuracy_score(actual, said, sample_weight=weight)
        assert scores.accuracy[i] == pytest.approx(accuracy)


def test_a_unit_without_unreasonable_answers_has_precision_1():
    scores = window_precision_recall_f1(
        [[0.9, 0.1], [0.9, 0.9]],
        [[0.9], [0.9]],
        threshold=0.5,
        reasonable_weights=[1, 1],
        unreasonable_weights=[[0], [1]],
    )
    np.testing.assert_allclose(scores.precision, [1.0, 2 / 3])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"reasonable_weights": [1, 1]}, "'unreasonable_weights' .* given when the other side is weighted"),
        ({"unreasonable_weights": [1]}, "'reasonable_weights' .* given when the other side is weighted"),
        ({"reasonable_weights": [1, 1], "unreasonable_weights": [1, 1]}, "one weight an answer"),
        ({"reasonable_weights": [1, 1], "unreasonable_weights": [-1]}, "non-negative"),
        ({"reasonable_weights": [0, 0], "unreasonable_weights": [1]}, "positive for at least one"),
    ],
)
def test_window_scores_refuse_weights(keywords, message):
    with pytest.raises(InvalidParameterError, match=message):
        window_precision_recall_f1([0.5, 0.5], [0.5], threshold=0.5, **keywords)


def test_window_scores_refuse_units_that_do_not_match():
    with pytest.raises(InvalidParameterError, match="same leading shape as 'reasonable'"):
        window_precision_recall_f1([[0.5]] * 3, [[0.5]] * 2, threshold=0.5)


# ------------------------------------------------------------------------------------------------ OvertonScore


def slow_overton(rows, threshold, weighted):
    """Score rows of (question, cluster, rating, weight) with dictionaries."""
    questions = {}
    for question, cluster, rating, weight in rows:
        questions.setdefault(question, {}).setdefault(cluster, []).append((rating, weight))
    scores = {}
    for question, clusters in questions.items():
        covered = total = 0.0
        for members in clusters.values():
            people = sum(w for _, w in members)
            share = people if weighted else 1.0
            total += share
            covered += share * (sum(r * w for r, w in members) / people >= threshold)
        scores[question] = covered / total
    return scores


@quick
@given(
    st.lists(
        st.tuples(st.sampled_from("qrs"), st.sampled_from("abcd"), st.integers(1, 5), st.integers(1, 3)),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_overton_score_is_that_of_dictionaries(rows, weighted):
    questions, clusters, ratings, weights = (list(column) for column in zip(*rows, strict=True))
    expected = slow_overton(rows, 4.0, weighted)
    arguments = {"questions": questions, "weighted": weighted, "sampling_weights": weights}
    by_question = cluster_coverage(ratings, clusters, **arguments)
    np.testing.assert_allclose(by_question, [expected[q] for q in sorted(expected)])
    assert overton_score(ratings, clusters, **arguments) == pytest.approx(np.mean(list(expected.values())))


def test_a_cluster_is_covered_from_a_mean_of_4_of_5():
    # arXiv 2512.01351: a cluster is covered when its members' mean rating is >= 4.
    assert overton_score([4, 4, 5, 3], ["a", "a", "b", "b"]) == 1.0
    assert overton_score([4, 4, 5, 2], ["a", "a", "b", "b"]) == 0.5


def test_rows_are_questions_and_clusters_may_be_shared_or_their_own():
    ratings = [[5, 5, 1, 1], [5, 1, 5, 5]]
    shared = cluster_coverage(ratings, ["x", "x", "y", "y"])
    np.testing.assert_array_equal(shared, [0.5, 0.5])
    own = cluster_coverage(ratings, [[0, 0, 1, 1], [0, 1, 2, 2]])
    np.testing.assert_array_equal(own, [0.5, 2 / 3])
    flat = cluster_coverage(np.ravel(ratings), [0, 0, 1, 1, 0, 1, 2, 2], questions=[0] * 4 + [1] * 4)
    np.testing.assert_array_equal(own, flat)


def test_the_weighted_score_counts_people():
    ratings, clusters = [5, 5, 5, 1], ["many", "many", "many", "one"]
    assert overton_score(ratings, clusters) == 0.5
    assert overton_score(ratings, clusters, weighted=True) == 0.75


@quick
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), min_size=1, max_size=25), st.randoms())
def test_overton_score_ignores_order_and_rises_with_ratings(rows, random):
    shuffled = rows[:]
    random.shuffle(shuffled)
    score = overton_score([r for _, r in rows], [c for c, _ in rows])
    assert overton_score([r for _, r in shuffled], [c for c, _ in shuffled]) == pytest.approx(score)
    assert overton_score([min(r + 1, 5) for _, r in rows], [c for c, _ in rows]) >= score


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (([], []), {}, "'ratings' parameter of overton_score must be a non-empty array"),
        (([5, np.nan], ["a", "b"]), {}, "finite everywhere"),
        (([5, 5], ["a"]), {}, r"'clusters' .* one label a rating \(2\)"),
        (([[5, 5]] * 3, [["a", "b"]] * 2), {}, r"'clusters' .* of shape \(3, 2\)"),
        (([5, 5], ["a", "b"]), {"questions": ["q"]}, "'questions' .* one label a rating"),
        (([[5, 5]], ["a", "b"]), {"questions": ["q", "q"]}, "left out when each row"),
        (([5, 5], [1.0, np.nan]), {}, "labels that are not missing"),
        (([5, 5], np.array(["a", None], dtype=object)), {}, "not missing. Got None at index 1 instead"),
        (([5, 5], [["a"], ["b"]]), {}, "hashable labels"),
        (([5, 5], ["a", "b"]), {"sampling_weights": [1.0]}, "one weight a rating"),
        (([5, 5], ["a", "b"]), {"sampling_weights": [1.0, 0.0]}, "positive"),
        (([5, 5], ["a", "b"]), {"threshold": np.nan}, "'threshold'"),
        (([5, 5], ["a", "b"]), {"weighted": "yes"}, "True or False"),
        (([[[5]]], ["a"]), {}, "one or two axes"),
    ],
)
def test_overton_score_refuses(arguments, keywords, message):
    with pytest.raises(InvalidParameterError, match=message):
        overton_score(*arguments, **keywords)


# ------------------------------------------------------------------------------------------ sides and balance


def test_naming_both_sides_and_arguing_one_shows_in_the_worst_side():
    # The template of the talk: "on the one hand ... on the other hand ..." that misses most reasons of one side.
    stances = ["for"] * 3 + ["against"] * 3
    sides = sided_coverage([0.9, 0.9, 0.9, 0.9, 0.1, 0.1], stances, threshold=0.5)
    assert coverage([0.9, 0.9, 0.9, 0.9, 0.1, 0.1], threshold=0.5) == pytest.approx(2 / 3)
    assert sides.worst_stance == "against"
    assert sides.worst_share == pytest.approx(1 / 3)


@quick
@given(st.data(), st.floats(0.01, 1))
def test_sides_are_the_coverage_of_their_answers(data, threshold):
    n_answers = data.draw(st.integers(1, 6))
    entailment = data.draw(hnp.arrays(np.float64, (4, n_answers), elements=PROBABILITY))
    stances = np.array(data.draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=n_answers, max_size=n_answers)))
    sides = sided_coverage(entailment, stances, threshold=threshold)
    for column, stance in enumerate(sides.stances):
        np.testing.assert_allclose(
            sides.shares[:, column], coverage(entailment[:, stances == stance], threshold=threshold)
        )
    np.testing.assert_array_equal(sides.worst_share, sides.shares.min(axis=1))
    assert (sides.worst_share <= coverage(entailment, threshold=threshold) + 1e-12).all()


def test_a_side_that_a_window_does_not_have_is_nan_and_never_the_worst():
    sides = sided_coverage(
        [[0.9, 0.1], [0.9, 0.1]], [["for", "for"], ["for", "against"]], threshold=0.5, weights=[[1, 1], [1, 1]]
    )
    np.testing.assert_array_equal(sides.shares, [[np.nan, 0.5], [0.0, 1.0]])
    assert sides.worst_stance.tolist() == ["for", "against"]
    assert sides.worst_share.tolist() == [0.5, 0.0]


def test_stances_must_fit_the_answers():
    with pytest.raises(InvalidParameterError, match=r"'stances' .* one label"):
        sided_coverage([0.5, 0.5], ["for"], threshold=0.5)


def test_false_balance_counts_settled_queries_with_any_unreasonable_reason():
    entailment = frozen([[0.9, 0.9], [0.0, 0.6], [0.1, 0.1], [1.0, 1.0]])
    settled = frozen([True, True, True, False], dtype=bool)
    expected = np.mean([any(p >= 0.5 for p in row) for row, s in zip(entailment, settled, strict=True) if s])
    assert false_balance(entailment, settled, threshold=0.5) == expected == pytest.approx(2 / 3)
    both = false_balance(np.stack([entailment, np.zeros((4, 2))]), settled, threshold=0.5)
    np.testing.assert_allclose(both, [2 / 3, 0.0])


def test_false_balance_leaves_padding_and_contested_queries_out():
    weights = [[1, 0], [1, 1], [0, 0]]
    assert false_balance([[0.1, 0.9], [0.1, 0.1], [1, 1]], [True, True, False], threshold=0.5, weights=weights) == 0.0


@quick
@given(hnp.arrays(np.float64, (5, 3), elements=PROBABILITY), st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_false_balance_falls_with_the_threshold(entailment, thresholds):
    low, high = sorted(thresholds)
    settled = [True, False, True, True, True]
    assert false_balance(entailment, settled, threshold=low) >= false_balance(entailment, settled, threshold=high)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5], [True]), "at least 2 axes"),
        (([[0.5]], [1]), "one truth value a query"),
        (([[0.5]], [True, True]), "one truth value a query"),
        (([[0.5]], [False]), "true for at least one query"),
    ],
)
def test_false_balance_refuses(arguments, message):
    with pytest.raises(InvalidParameterError, match=message):
        false_balance(*arguments, threshold=0.5)


# --------------------------------------------------------------------------------------------------- win rate


@quick
@given(hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(-1, 1)))
def test_win_rates_of_the_two_rivals_add_up(outcomes):
    assert pairwise_win_rate(outcomes) + pairwise_win_rate(-outcomes) == pytest.approx(1.0)
    listed = outcomes.tolist()
    assert pairwise_win_rate(outcomes, ties="loss") == pytest.approx(listed.count(1) / len(listed))
    decided = listed.count(1) + listed.count(-1)
    dropped = pairwise_win_rate(outcomes, ties="drop")
    assert np.isnan(dropped) if not decided else dropped == pytest.approx(listed.count(1) / decided)


def test_win_rate_by_leading_axes():
    np.testing.assert_array_equal(pairwise_win_rate([[1, 0], [-1, -1]]), [0.75, 0.0])
    np.testing.assert_array_equal(pairwise_win_rate([[1, 0], [0, 0]], ties="drop"), [1.0, np.nan])


@pytest.mark.parametrize(
    ("outcomes", "ties", "message"),
    [
        ([], "half", "non-empty"),
        ([0.5], "half", "-1, 0 or 1 everywhere. Got 0.5"),
        ([np.nan], "half", "finite"),
        ([1], "win", "'half', 'drop', 'loss'. Got 'win'"),
    ],
)
def test_win_rate_refuses(outcomes, ties, message):
    with pytest.raises(InvalidParameterError, match=message):
        pairwise_win_rate(outcomes, ties=ties)


def test_inputs_are_left_as_they_were():
    entailment, weights = frozen([[0.9, 0.1, 0.4]]), frozen([1.0, 2.0, 3.0])
    before = entailment.copy(), weights.copy()
    coverage(entailment, threshold=0.5, weights=weights)
    soft_coverage(entailment, weights=weights)
    window_precision_recall_f1(
        entailment, entailment, threshold=0.5, reasonable_weights=weights, unreasonable_weights=weights
    )
    sided_coverage(entailment, frozen(["a", "b", "a"], dtype=None), threshold=0.5, weights=weights)
    false_balance(entailment, frozen([True], dtype=bool), threshold=0.5, weights=weights)
    overton_score(entailment, frozen([0, 1, 1], dtype=int), sampling_weights=weights)
    pairwise_win_rate(frozen([1, 0, -1]))
    np.testing.assert_array_equal(entailment, before[0])
    np.testing.assert_array_equal(weights, before[1])


def test_an_answer_exactly_at_the_threshold_is_said():
    scores = window_precision_recall_f1([0.5, 0.2], [0.5, 0.1], threshold=0.5)
    assert (scores.precision, scores.recall) == (0.5, 0.5)
