"""Multi-objective measures against brute force, and the laws that fronts, volumes and regrets obey."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics.multi_objective import (
    LinearCommensuration,
    SingleObjective,
    commensurate,
    diagonal_dominance,
    hypervolume,
    is_pareto_improvement,
    pareto_front,
    pareto_ranks,
    summed_reward,
    trade_off_matrix,
    trade_off_regret,
)

quick = settings(max_examples=60, deadline=None)
#: Few different values, so that ties and duplicates are common.
COARSE = st.integers(0, 3).map(float)
POINTS = st.integers(1, 4).flatmap(
    lambda d: hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(d)), elements=COARSE)
)


def improves(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))


def brute_front(points):
    return [not any(improves(other, point) for other in points) for point in points]


def brute_ranks(points):
    left, ranks, rank = dict(enumerate(map(tuple, points))), {}, 0
    while left:
        top = [i for i, p in left.items() if not any(improves(q, p) for q in left.values())]
        for i in top:
            ranks[i] = rank
            del left[i]
        rank += 1
    return [ranks[i] for i in range(len(points))]


def brute_hypervolume(points, corner):
    """Add up boxes with signs: inclusion and exclusion over all subsets of models."""
    volume = 0.0
    for size in range(1, len(points) + 1):
        for subset in itertools.combinations(points, size):
            volume += (-1) ** (size + 1) * np.prod(np.min(subset, axis=0) - corner)
    return volume


# ----------------------------------------------------------------------------------------------------- Pareto


@quick
@given(POINTS)
def test_front_and_ranks_are_those_of_brute_force(points):
    assert pareto_front(points).tolist() == brute_front(points)
    assert pareto_ranks(points).tolist() == brute_ranks(points)


@quick
@given(POINTS)
def test_improvement_is_a_strict_partial_order(points):
    table = is_pareto_improvement(points[:, None], points[None, :])
    assert table.tolist() == [[improves(a, b) for b in points] for a in points]
    assert not table.diagonal().any()
    assert not (table & table.T).any()
    for i, j, k in itertools.product(range(len(points)), repeat=3):
        assert not (table[i, j] and table[j, k]) or table[i, k]


@quick
@given(POINTS)
def test_front_is_where_nothing_improves_and_is_never_empty(points):
    front = pareto_front(points)
    assert front.any()
    table = is_pareto_improvement(points[:, None], points[None, :])
    np.testing.assert_array_equal(front, ~table.any(axis=0))
    np.testing.assert_array_equal(front, pareto_ranks(points) == 0)


def test_definition_12_and_14():
    # Sorensen et al. 2024: an improvement is at least as good everywhere and better somewhere; the top of the
    # leaderboard is the models without one. Duplicates of a front model stay on it.
    assert is_pareto_improvement([1, 2], [1, 1]) is True
    assert is_pareto_improvement([1, 2], [1, 2]) is False
    assert pareto_front([[1, 2], [2, 1], [2, 1], [1, 1]]).tolist() == [True, True, True, False]


def test_front_keeps_all_duplicates_and_ignores_the_sign_of_zero():
    assert pareto_front(np.zeros((5, 3))).all()
    assert pareto_front([[0.0, 1.0], [-0.0, 1.0]]).all()


def test_front_of_ten_thousand_models_is_quick():
    rng = np.random.default_rng(0)
    points = rng.random((10_000, 3))
    started = time.perf_counter()
    front = pareto_front(points)
    assert time.perf_counter() - started < 1.0
    # Spot check with the definition on every front model and on as many others.
    chosen = np.r_[np.flatnonzero(front), rng.choice(10_000, 200)]
    for i in chosen:
        assert front[i] == (not is_pareto_improvement(points, points[i]).any())


@pytest.mark.parametrize("function", [pareto_front, pareto_ranks])
@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ([], "at least 2 axes"),
        ([1.0, 2.0], "at least 2 axes"),
        (np.zeros((0, 2)), "non-empty"),
        ([[1.0, np.nan]], r"finite everywhere. Got nan at index \(0, 1\)"),
        ([[1.0, np.inf]], "finite everywhere"),
        ([[1.0, 2.0], [1.0]], "an array of numbers"),
        (np.zeros((2, 2, 2)), r"of shape \(n_models, n_objectives\)"),
    ],
)
def test_front_and_ranks_refuse(function, objectives, message):
    with pytest.raises(InvalidParameterError, match=f"'objectives' parameter of {function.__name__}.*{message}"):
        function(objectives)


def test_improvement_refuses_objectives_that_do_not_match():
    with pytest.raises(InvalidParameterError, match=r"of as many objectives as 'a' \(2\). Got 3"):
        is_pareto_improvement([1, 2], [1, 2, 3])
    with pytest.raises(InvalidParameterError, match=r"of a shape that fits \(3, 2\)"):
        is_pareto_improvement(np.zeros((3, 2)), np.zeros((2, 2)))
    with pytest.raises(InvalidParameterError, match="finite"):
        is_pareto_improvement([1, np.nan], [1, 2])


# ------------------------------------------------------------------------------------------------ hypervolume


@quick
@given(POINTS)
def test_hypervolume_is_that_of_inclusion_and_exclusion(points):
    corner = np.full(points.shape[1], -1.0)
    assert hypervolume(points, reference_point=corner) == pytest.approx(brute_hypervolume(points, corner))


@quick
@given(POINTS, st.data())
def test_hypervolume_grows_with_models_and_ignores_dominated_ones(points, data):
    corner = np.zeros(points.shape[1])
    volume = hypervolume(points, reference_point=corner)
    another = data.draw(hnp.arrays(np.float64, (1, points.shape[1]), elements=COARSE))
    assert hypervolume(np.r_[points, another], reference_point=corner) >= volume - 1e-12
    front = points[pareto_front(points)]
    assert hypervolume(front, reference_point=corner) == pytest.approx(volume)
    below = points[:1] * data.draw(st.floats(0, 1))
    assert hypervolume(np.r_[points, below], reference_point=corner) == pytest.approx(volume)
    assert hypervolume(points[::-1], reference_point=corner) == pytest.approx(volume)


def test_hypervolume_by_hand():
    # Two steps: a 1 by 3 box and a 3 by 1 box that share the unit square.
    assert hypervolume([[1, 3], [3, 1]], reference_point=[0, 0]) == 3 + 3 - 1
    assert hypervolume([[1, 3]], reference_point=[1, 0]) == 0.0
    assert hypervolume([[3.0], [2.0]], reference_point=[0.5]) == 2.5


def test_hypervolume_names_the_axis_that_is_not_bounded():
    with pytest.raises(InvalidParameterError, match=r"Got 2 for objective 1, where model 0 has 1, instead"):
        hypervolume([[3, 1], [4, 5]], reference_point=[0, 2])


@pytest.mark.parametrize("corner", [[0.0], [0.0, 0.0, 0.0], 0.0, [[0.0, 0.0]], [0.0, np.nan], [0.0, -np.inf]])
def test_hypervolume_refuses_reference_points(corner):
    with pytest.raises(InvalidParameterError, match="'reference_point' parameter of hypervolume"):
        hypervolume([[1.0, 2.0]], reference_point=corner)


# ---------------------------------------------------------------------------------------------- commensuration


def test_commensuration_by_hand():
    objectives = [[0.2, 0.6, 0.4], [0.5, 0.5, 0.5]]
    functions = [LinearCommensuration((1, 0, 1)), SingleObjective(2), min, lambda o: float(np.prod(o))]
    np.testing.assert_allclose(
        commensurate(objectives, functions), [[0.6, 1.0], [0.4, 0.5], [0.2, 0.5], [0.2 * 0.6 * 0.4, 0.125]]
    )


def test_a_maximiser_of_positive_weights_is_on_the_front():
    # Definition 13 and 14: whatever increasing function is chosen later, its best model is on the front.
    rng = np.random.default_rng(4)
    objectives = rng.integers(0, 5, (40, 3)).astype(float)
    front = pareto_front(objectives)
    weights = [LinearCommensuration(tuple(rng.uniform(0.1, 1, 3))) for _ in range(50)]
    assert front[commensurate(objectives, weights).argmax(axis=1)].all()


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([], "a non-empty sequence of callables"),
        (min, "a sequence of callables. Got one callable"),
        ([min, 3], "Got 3 at index 1"),
        ([lambda o: "good"], "callables that return one number"),
        ([lambda o: o], "callables that return one finite number"),
        ([lambda o: float("nan")], "Got nan from function 0"),
        ([SingleObjective(2)], "of more than 2 objectives. Got 2"),
        ([LinearCommensuration((1, 2, 3))], "of 3 objectives, one a weight. Got 2"),
    ],
)
def test_commensuration_refuses(functions, message):
    with pytest.raises(InvalidParameterError, match=message):
        commensurate([[1.0, 2.0], [3.0, 4.0]], functions)


def test_the_functions_themselves_are_checked():
    for weights in ((), (0.0, 0.0), (np.nan, 1.0), ((1.0, 2.0),)):
        with pytest.raises(InvalidParameterError, match="'weights' parameter of LinearCommensuration"):
            LinearCommensuration(weights)
    for index in (-1, 1.5, True, None):
        with pytest.raises(InvalidParameterError, match="'index' parameter of SingleObjective"):
            SingleObjective(index)
    assert LinearCommensuration(np.array([1, 2])) == LinearCommensuration((1.0, 2.0))


# --------------------------------------------------------------------------------------------- trade-off steering


@quick
@given(st.data())
def test_trade_off_measures_are_their_loops(data):
    n = data.draw(st.integers(1, 4))
    objectives = data.draw(hnp.arrays(np.float64, (3, n, 2), elements=COARSE))
    functions = [LinearCommensuration((1.0, float(i))) for i in range(n)]
    matrix = trade_off_matrix(objectives, functions)
    for unit, f, g in itertools.product(range(3), range(n), range(n)):
        assert matrix[unit, f, g] == functions[f](objectives[unit, g])
    regret = trade_off_regret(matrix)
    expected = [[max(m[f, g] for g in range(n)) - m[f, f] for f in range(n)] for m in matrix]
    np.testing.assert_allclose(regret, expected)
    assert (regret >= 0).all()
    np.testing.assert_allclose(diagonal_dominance(matrix), (np.array(expected) == 0).mean(axis=1))
    np.testing.assert_allclose(summed_reward(matrix), [sum(m[f, f] for f in range(n)) for m in matrix])


def test_definition_16_a_steerable_model_maximises_each_function_it_is_steered_to():
    matrix = trade_off_matrix([[0.9, 0.1], [0.3, 0.8]], [SingleObjective(0), SingleObjective(1)])
    assert diagonal_dominance(matrix) == 1.0
    np.testing.assert_array_equal(trade_off_regret(matrix), [0.0, 0.0])
    assert summed_reward(matrix) == pytest.approx(1.7)
    # The same models under the other labels are steered to exactly the wrong function.
    swapped = matrix[:, ::-1]
    assert diagonal_dominance(swapped) == 0.0
    np.testing.assert_allclose(trade_off_regret(swapped), [0.6, 0.7])


def test_a_model_that_ignores_steering_has_no_regret_and_less_reward():
    ignores = trade_off_matrix([[0.5, 0.5], [0.5, 0.5]], [SingleObjective(0), SingleObjective(1)])
    assert not trade_off_regret(ignores).any()
    assert summed_reward(ignores) == 1.0 < 1.7


@pytest.mark.parametrize("function", [trade_off_regret, diagonal_dominance, summed_reward])
@pytest.mark.parametrize(
    ("matrix", "message"),
    [([[1.0, 2.0]], "square"), ([1.0], "at least 2 axes"), ([[np.nan]], "finite"), (np.zeros((0, 0)), "non-empty")],
)
def test_trade_off_measures_refuse(function, matrix, message):
    with pytest.raises(
        InvalidParameterError, match=f"'objective_by_steering' parameter of {function.__name__}.*{message}"
    ):
        function(matrix)


def test_trade_off_matrix_refuses_another_number_of_functions():
    with pytest.raises(InvalidParameterError, match=r"as many as the rows of 'objectives_by_steering' \(2\). Got 1"):
        trade_off_matrix([[1.0], [2.0]], [SingleObjective(0)])


def test_inputs_are_left_as_they_were():
    points = np.array([[1.0, 3.0], [3.0, 1.0]])
    corner = np.zeros(2)
    for array in (points, corner):
        array.flags.writeable = False
    pareto_front(points)
    pareto_ranks(points)
    is_pareto_improvement(points, points)
    hypervolume(points, reference_point=corner)

    def greedy(objectives):
        objectives[:] = -1.0
        return 0.0

    trade_off_matrix(points, [greedy, SingleObjective(0)])
    trade_off_regret(points)
    np.testing.assert_array_equal(points, [[1.0, 3.0], [3.0, 1.0]])


def test_commensuration_keeps_every_axis_of_the_models():
    objectives = np.arange(24.0).reshape(2, 3, 4)
    found = commensurate(objectives, [lambda vector: float(vector.sum()), LinearCommensuration([1, 1, 1, 1])])
    assert found.shape == (2, 2, 3)
    np.testing.assert_allclose(found, np.stack([objectives.sum(axis=-1)] * 2))


@pytest.mark.parametrize("measure", [trade_off_regret, diagonal_dominance, summed_reward])
def test_many_matrices_have_to_be_square_too(measure):
    with pytest.raises(InvalidParameterError, match="square in its last two axes"):
        measure(np.zeros((3, 3, 4)))
    with pytest.raises(InvalidParameterError, match="square in its last two axes"):
        measure(np.zeros((4, 3, 4)))


@pytest.mark.parametrize("measure", [diagonal_dominance, summed_reward])
def test_one_matrix_gives_a_plain_float(measure):
    assert type(measure(np.eye(3))) is float
