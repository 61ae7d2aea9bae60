"""Every public measure: a worked example with its source, on read-only arrays, and properties that were missing.

The other two kinds of tests, an independent implementation and more properties, are in the file of each family.
"""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_pluralism.core import metrics
from pytest_pluralism.core.metrics import LinearCommensuration, SingleObjective

ROADMAP = "Sorensen et al. 2024"
HAND = "by hand, from the formula of the docstring"
CYCLE = [[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]]
#: Two clear camps of five and a note that both like: Community Notes, "Note ranking algorithm".
CAMPS = [[1, 1, 0, 0]] * 5 + [[1, 0, 1, 0]] * 5

#: measure -> positional arguments, keywords, what is read from the result, what it must be, where that is from
EXAMPLES = {
    # ---- agreement
    "cohen_kappa": ([[0, 1, 0, 1], [0, 1, 1, 1]], {}, None, 0.5, HAND),
    # ---- distributional
    "jensen_shannon_distance": ([[1.0, 0.0], [0.5, 0.5]], {}, None, math.sqrt(1 - 0.75 * math.log2(3) + 0.5), HAND),
    "jensen_shannon_divergence": ([[1.0, 0.0], [0.5, 0.5]], {}, None, 1.5 - 0.75 * math.log2(3), HAND),
    "kullback_leibler_divergence": (
        [[0.5, 0.5], [0.75, 0.25]],
        {},
        None,
        0.2075,
        "Cover and Thomas, Elements of Information Theory, 2nd ed., Example 2.3.1",
    ),
    "total_variation_distance": ([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]], {}, None, 0.25, HAND),
    "wasserstein_distance": ([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]], {}, None, 1.0, HAND),
    "opinion_alignment": (
        [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
        {},
        None,
        0.0,
        "Santurkar et al. 2023: 1 - WD / (N - 1), whose greatest WD is N - 1",
    ),
    "entropy": (
        [[1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 64, 1 / 64, 1 / 64, 1 / 64]],
        {},
        None,
        2.0,
        "Cover and Thomas, 2nd ed., Example 1.1.2",
    ),
    "entropy_ratio": ([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]], {}, None, 1.5, HAND),
    "mode_agreement": ([[0.4, 0.4, 0.2], [0.1, 0.6, 0.3]], {}, None, 0.5, HAND),
    "tetrachoric_correlation": (
        [[[30, 10], [10, 30]]],
        {},
        lambda found: found.correlation,
        math.sin(2 * math.pi * (30 / 80 - 1 / 4)),
        "Sheppard 1899: sin(2 pi (p11 - 1/4)) for median dichotomies",
    ),
    "shuffle_control": ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], {}, None, 2 / 3, HAND),
    "sampling_floor": (
        [[0.2] * 5],
        {"n_respondents": 1000, "method": "analytic"},
        None,
        math.sqrt(4 / (8 * 1000 * math.log(2))),
        "the square root of the mean divergence, chi-squared with K - 1 degrees of freedom / (8 n ln 2)",
    ),
    "option_order_bias": ([[[0.8, 0.2], [0.4, 0.6]]], {}, None, 0.2, HAND),
    "brier_score": ([[0.7, 0.3], [1.0, 0.0]], {}, None, 0.18, "Brier 1950: the sum over both classes"),
    "brier_decomposition": (
        [[0.75, 0.25], [0.5, 0.5]],
        {},
        lambda parts: (parts.excess, parts.irreducible),
        (0.125, 0.5),
        HAND,
    ),
    "calibration_error": ([[[0.9, 0.1], [0.8, 0.2]], [[1.0, 0.0], [0.5, 0.5]]], {"n_bins": 10}, None, 0.2, HAND),
    "population_fidelity_score": (
        # Adaptability: distances 1/4, 3/8, 1/8 against 1/2, 3/4, 1/4. Accuracy: off by 1/4, 0, 1/8. Same order.
        [[[[0.75, 0.25], [0.5, 0.5], [0.375, 0.625]]], [[[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]]],
        {},
        lambda found: (found.accuracy, found.adaptability, found.structure, found.score),
        (0.875, 0.5, 1.0, (0.875 * 0.5) ** (1 / 3)),
        "by hand, from the parts of arXiv 2609.36253",
    ),
    # ---- Overton
    "coverage": ([[0.9, 0.2, 0.7, 0.4]], {"threshold": 0.5}, None, 0.5, f"by hand, {ROADMAP}, Definition 4"),
    "soft_coverage": ([[1.0, 0.5, 0.0]], {}, None, 0.5, HAND),
    "window_precision_recall_f1": (
        # Two of three reasonable answers and one of two unreasonable ones are entailed.
        [[0.9, 0.6, 0.4], [0.7, 0.1]],
        {"threshold": 0.5},
        lambda found: (found.precision, found.recall, found.f1, found.accuracy),
        (2 / 3, 2 / 3, 2 / 3, 3 / 5),
        f"by hand, {ROADMAP}, Overton pluralism: precision, recall and accuracy against W(x) and U(x)",
    ),
    "overton_score": ([[5, 4, 2, 1, 1, 5]], {"clusters": list("aabbbc")}, None, 2 / 3, "arXiv 2512.01351, by hand"),
    "cluster_coverage": (
        [[5, 4, 2, 5]],
        {"clusters": list("aabb"), "questions": [1, 1, 1, 2]},
        None,
        [0.5, 1.0],
        HAND,
    ),
    "sided_coverage": (
        [[0.9, 0.8, 0.9, 0.1]],
        {"stances": ["for", "for", "against", "against"], "threshold": 0.5},
        lambda found: found.shares,
        [0.5, 1.0],
        HAND,
    ),
    "false_balance": ([[[0.9, 0.1], [0.2, 0.1]]], {"settled": [True, True], "threshold": 0.5}, None, 0.5, HAND),
    "pairwise_win_rate": ([[1, 0, -1, 1]], {}, None, 0.625, HAND),
    # ---- steerable
    "attribute_faithfulness": (
        [[1.0, 0.0, 1.0, 1.0]],
        {"attributes": list("aabb")},
        lambda found: (found.mean, found.worst),
        (0.75, 0.5),
        f"by hand, {ROADMAP}, Definition 8",
    ),
    "steering_gain": (
        [[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]],
        {"attributes": list("llrr")},
        lambda found: found.values,
        [0.5, 0.0],
        HAND,
    ),
    "classification_scores": (
        # Gold s s o e; said s o o e. Recalls 1/2, 1, 1; F1 2/3, 2/3, 1.
        [np.array(["s", "o", "o", "e"]), np.array(["s", "s", "o", "e"])],
        {"labels": ["s", "o", "e"]},
        lambda found: (found.accuracy, found.balanced_accuracy, found.macro_f1),
        (0.75, 2.5 / 3, 7 / 9),
        HAND,
    ),
    "steered_distance": ([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]], {}, None, [1.0, 0.0], HAND),
    "steered_distance_gain": (
        [[[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0], [[1.0, 0.0], [0.0, 1.0]]],
        {},
        None,
        [1.0, 0.0],
        HAND,
    ),
    "steered_distance_matrix": ([[[[1.0, 0.0]], [[0.0, 1.0]]]] * 2, {}, None, [[0, 1], [1, 0]], HAND),
    "best_of_contexts": ([[[0.75, 0.25], [0.5, 0.75]]], {}, None, 0.75, "Santurkar et al. 2023: the best per question"),
    "prompt_steerability_index": ([[6, 4], [9, 1]], {}, None, 0.3, HAND),
    "goal_space_steering": (
        [[0.0, 0.0], [1.5, 2.0], [1.0, 0.0]],
        {},
        lambda moved: (moved.overshoot, moved.undershoot, moved.side_effect_share),
        (0.5, 0.0, 0.8),
        "arXiv 2505.23816, by hand: 0.5 too far along, 2 beside, of a movement of 2.5",
    ),
    # ---- jury
    "welfare": ([[0.2, 0.8]], {"alpha": 2}, None, 0.32, f"{ROADMAP}, Definition 20: the harmonic mean at alpha = 2"),
    "welfare_curve": ([[0.2, 0.8]], {"alphas": [0, 1, math.inf]}, None, [0.5, 0.4, 0.2], f"{ROADMAP}, Definition 20"),
    "atkinson_index": ([[0.2, 0.8]], {"alpha": 1}, None, 0.2, "Atkinson 1970: 1 - geometric / arithmetic mean"),
    "gini_coefficient": ([[1.0, 2.0, 3.0, 4.0]], {}, None, 0.25, HAND),
    "satisfied_share": ([[0.2, 0.5, 0.8, 0.9]], {"threshold": 0.5}, None, 0.5, f"{ROADMAP}, MAX-SAT: 1{{j > tau}}"),
    "conditional_value_at_risk": ([[1.0, 2.0, 3.0, 4.0]], {"share": 0.5}, None, 1.5, HAND),
    "leximin_compare": ([[1, 5, 3], [2, 1, 9]], {}, None, 1, "sorted 1 3 5 against 1 2 9, by hand"),
    "leximin_order": ([[[1, 9, 9], [2, 2, 2], [2, 2, 3]]], {}, None, [2, 1, 0], HAND),
    "worst_off_group": (
        [[0.9, 0.7, 0.2, 0.4]],
        {"groups": list("llrr")},
        lambda found: found.value,
        0.3,
        HAND,
    ),
    "group_weighted_welfare": ([[0.9, 0.9, 0.9, 0.1]], {"groups": list("aaab"), "alpha": 0}, None, 0.5, HAND),
    "two_level_welfare": (
        [[0.5, 1.0, 0.25]],
        {"groups": list("aab"), "within_alpha": 0, "between_alpha": math.inf},
        None,
        0.25,
        HAND,
    ),
    "median_of_juries": (
        # Every jury has one vote of 1 and one of 4.
        [[1.0, 1.0, 1.0, 4.0]],
        {"groups": list("aaab"), "composition": {"a": 1, "b": 1}, "rng": 0},
        lambda verdict: verdict.median,
        2.5,
        "Gordon et al. 2022: the median of jury means, by hand",
    ),
    "bridging_intercepts": (
        [CAMPS],
        {},
        lambda fit: fit.helpful,
        [True, False, False, False],
        "Community Notes, Note ranking algorithm: helpful at 0.40 with 5 ratings, of a note that both camps like",
    ),
    "pairwise_counts": ([[[1, 2], [1, 2], [2, 1]]], {}, None, [[0, 2], [1, 0]], HAND),
    "pairwise_preferences": ([[[1, 2], [1, 2], [2, 1], [1, 1]]], {}, None, [[0.5, 0.625], [0.375, 0.5]], HAND),
    "condorcet_winner": ([[[0.5, 0.6, 0.7], [0.4, 0.5, 0.9], [0.3, 0.1, 0.5]]], {}, None, 0, HAND),
    "schulze": (
        [[[0, 6, 4], [3, 0, 7], [5, 2, 0]]],
        {},
        lambda found: found.ranks,
        [1, 2, 3],
        "strongest paths 6 (AB), 6 (AC), 7 (BC) against 5, 5, 5, by hand",
    ),
    "maximal_lottery": ([CYCLE], {}, None, [1 / 3] * 3, "the one equilibrium of rock, paper, scissors"),
    # ---- multi-objective
    "is_pareto_improvement": ([[0.7, 0.5], [0.6, 0.5]], {}, None, True, f"{ROADMAP}, Definition 12"),
    "pareto_front": ([[[1, 3], [3, 1], [1, 1]]], {}, None, [True, True, False], f"{ROADMAP}, Definition 14"),
    "pareto_ranks": ([[[1, 3], [3, 1], [1, 1], [0, 0]]], {}, None, [0, 0, 1, 2], HAND),
    "commensurate": (
        # One row a function, one column a model.
        [[[0.2, 0.6], [0.5, 0.5]]],
        {"functions": [SingleObjective(0), LinearCommensuration([1.0, 3.0])]},
        None,
        [[0.2, 0.5], [0.2 + 3 * 0.6, 0.5 + 3 * 0.5]],
        f"by hand, {ROADMAP}, Definition 13",
    ),
    "hypervolume": (
        [[[5, 5], [4, 6], [2, 7], [7, 4]]],
        {"reference_point": [0, 0]},
        None,
        39.0,
        "moocore documentation of hypervolume, maximise=True with ref=0",
    ),
    "trade_off_matrix": (
        [[[0.9, 0.1], [0.3, 0.8]]],
        {"functions": [SingleObjective(0), SingleObjective(1)]},
        None,
        [[0.9, 0.3], [0.1, 0.8]],
        f"by hand, {ROADMAP}, Definition 16: f(M_f')",
    ),
    # Steered to f the model reaches .5, steered to the other function .6: not steerable by Definition 16.
    "trade_off_regret": ([[[0.9, 0.3], [0.6, 0.5]]], {}, None, [0.0, 0.1], f"by hand, {ROADMAP}, Definition 16"),
    "diagonal_dominance": ([[[0.9, 0.3], [0.6, 0.5]]], {}, None, 0.5, f"by hand, {ROADMAP}, Definition 16"),
    "summed_reward": ([[[0.9, 0.3], [0.6, 0.5]]], {}, None, 1.4, f"by hand, {ROADMAP}, Definition 17"),
}


def public_measures():
    return {name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}


def call(name):
    arguments, keywords, read, expected, _ = EXAMPLES[name]
    arrays = [np.array(argument) for argument in arguments]
    measure = getattr(metrics, name)
    positional = [
        parameter.name
        for parameter in inspect.signature(measure).parameters.values()
        if parameter.kind is parameter.POSITIONAL_ONLY
    ]
    # The second positional argument of some measures is not an array (groups, stances, functions).
    others = [keywords[key] for key in positional[len(arrays) :]]
    left = {key: value for key, value in keywords.items() if key not in positional}
    for array in arrays:
        array.flags.writeable = False
    before = [array.copy() for array in arrays]
    result = measure(*arrays, *others, **left)
    assert all((array == old).all() for array, old in zip(arrays, before, strict=True))
    return result if read is None else read(result), expected


def test_every_public_measure_has_an_example_with_its_source():
    assert set(EXAMPLES) == public_measures()
    assert all(source for *_, source in EXAMPLES.values())


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_worked_example_and_inputs_unchanged(name):
    result, expected = call(name)
    np.testing.assert_allclose(np.asarray(result, dtype=float), np.asarray(expected, dtype=float), atol=6e-5)


def test_the_parameters_of_community_notes_are_the_defaults():
    # Community Notes, "Note ranking algorithm": lambda_i = .15, five times lambda_f = .03, helpful from .40, 5 ratings.
    defaults = inspect.signature(metrics.bridging_intercepts).parameters
    published = {"intercept_penalty": 0.15, "factor_penalty": 0.03, "threshold": 0.40, "min_ratings": 5}
    assert {name: defaults[name].default for name in published} == published


# ----------------------------------------------------------------------------- properties that had no test of their own

quick = settings(max_examples=40, deadline=None)


def distributions(*shape):
    """Distributions over the last axis: positive numbers, normalised."""
    numbers = hnp.arrays(np.float64, shape, elements=st.integers(1, 50).map(float))
    return numbers.map(lambda array: array / array.sum(axis=-1, keepdims=True))


@quick
@given(distributions(4), distributions(4), st.permutations(range(4)))
def test_measures_of_nominal_answers_do_not_depend_on_the_order_of_options(p, q, order):
    for measure in (metrics.entropy_ratio, metrics.mode_agreement, metrics.brier_score, metrics.shuffle_control):
        assert measure(p[order], q[order]) == pytest.approx(measure(p, q), abs=1e-9)
    assert metrics.entropy_ratio(p, q) * metrics.entropy_ratio(q, p) == pytest.approx(1.0)
    assert metrics.mode_agreement(p, p) > 0.0
    assert metrics.sampling_floor(p[order], n_respondents=90) == pytest.approx(
        metrics.sampling_floor(p, n_respondents=90)
    )


@quick
@given(distributions(4), distributions(4))
def test_ordinal_answers_may_be_turned_round_and_shuffling_loses(p, q):
    assert metrics.opinion_alignment(p[::-1], q[::-1]) == pytest.approx(metrics.opinion_alignment(p, q), abs=1e-9)
    assert 0.0 <= metrics.opinion_alignment(p, q) <= 1.0
    assert metrics.opinion_alignment(p, p) == 1.0
    # To be as near to the people as the people themselves is never worse than a shuffle.
    assert metrics.shuffle_control(p, p) >= 0.0
    few, many = (metrics.sampling_floor(p, n_respondents=n) for n in (50, 200))
    assert few == pytest.approx(2 * many)


@quick
@given(distributions(9, 3), distributions(9, 3), st.randoms(use_true_random=False))
def test_calibration_error_does_not_depend_on_the_order_of_questions(p, q, random):
    order = random.sample(range(9), 9)
    error = metrics.calibration_error(p, q)
    assert metrics.calibration_error(p[order], q[order]) == pytest.approx(error, abs=1e-9)
    assert 0.0 <= error <= 1.0
    assert metrics.calibration_error(p, p) == pytest.approx(0.0, abs=1e-9)


@quick
@given(distributions(3, 4, 3), distributions(3, 4, 3), st.permutations(range(4)))
def test_population_fidelity_does_not_depend_on_the_order_of_groups(model, survey, order):
    found, moved = (metrics.population_fidelity_score(model[:, i], survey[:, i]) for i in (list(range(4)), order))
    parts = ("accuracy", "adaptability", "structure", "score")
    for part in parts:
        here, there = getattr(found, part), getattr(moved, part)
        assert (math.isnan(here) and math.isnan(there)) or here == pytest.approx(there, abs=1e-6)
        assert math.isnan(here) or 0.0 <= here <= 1.0


@quick
@given(distributions(3, 4), distributions(4), distributions(3, 4))
def test_steered_distances_are_distances_and_gains_are_their_differences(steered, unsteered, reference):
    distance = metrics.steered_distance(steered, reference)
    matrix = metrics.steered_distance_matrix(steered[:, None], reference[:, None])
    np.testing.assert_allclose(np.diagonal(matrix), distance, atol=1e-12)
    assert ((distance >= 0) & (distance <= 1)).all()
    gain = metrics.steered_distance_gain(steered, unsteered, reference)
    plain = metrics.jensen_shannon_distance(unsteered, reference)
    np.testing.assert_allclose(gain, plain - distance, atol=1e-9)
    np.testing.assert_allclose(metrics.steered_distance_gain(reference, unsteered, reference), plain, atol=1e-12)


@quick
@given(hnp.arrays(np.float64, (2, 6), elements=st.floats(0, 1, width=32)), st.permutations(range(6)))
def test_gains_and_worst_groups_do_not_depend_on_the_order(scores, order):
    groups = np.array(list("aabbcc"))
    gain = metrics.steering_gain(scores[0], scores[1], groups)
    moved = metrics.steering_gain(scores[0][order], scores[1][order], groups[order])
    assert sorted(gain.values) == pytest.approx(sorted(moved.values))
    turned = metrics.steering_gain(scores[1], scores[0], groups)
    np.testing.assert_allclose(np.sort(turned.values), np.sort(-gain.values), atol=1e-12)
    worst = metrics.worst_off_group(scores[0], groups)
    assert metrics.worst_off_group(scores[0][order], groups[order]).value == pytest.approx(worst.value)
    assert scores[0].min() - 1e-9 <= worst.value <= scores[0].mean() + 1e-9
    verdict = metrics.median_of_juries(scores[0], groups, composition={"a": 1, "b": 2}, rng=1, n_juries=9)
    assert scores[0][:4].min() - 1e-9 <= verdict.median <= scores[0][:4].max() + 1e-9


@quick
@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(-5, 5, width=32)), st.floats(0.125, 8, width=32))
def test_linear_commensuration_is_linear(objectives, scale):
    function = LinearCommensuration([1.0, 2.0, 0.5])
    whole = metrics.commensurate(objectives, [function])
    np.testing.assert_allclose(metrics.commensurate(scale * objectives, [function]), scale * whole, atol=1e-6)
    np.testing.assert_allclose(metrics.commensurate(objectives[::-1], [function]), whole[:, ::-1], atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(hnp.arrays(np.bool_, (6, 4)), st.permutations(range(6)))
def test_bridging_does_not_depend_on_the_order_of_respondents(votes, order):
    ratings = votes.astype(float)
    fit, moved = metrics.bridging_intercepts(ratings), metrics.bridging_intercepts(ratings[order])
    losses = [float(one.loss) for one in (fit, moved)]
    assert losses[0] == pytest.approx(losses[1], abs=5e-3)
