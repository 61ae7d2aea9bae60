from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics import voting
from pytest_pluralism.core.metrics.voting import (
    condorcet_winner,
    maximal_lottery,
    pairwise_counts,
    pairwise_preferences,
    schulze,
)

quick = settings(max_examples=60, deadline=None)


def ballots(*groups):
    """Rankings and counts from lines such as (5, "ACBED")."""
    options = sorted(groups[0][1])
    ranks = [[order.index(option) + 1 for option in options] for _, order in groups]
    return np.array(ranks, dtype=float), np.array([count for count, _ in groups], dtype=float)


# The example with 45 voters by which Schulze's method is usually introduced.
SCHULZE_45 = ballots(
    (5, "ACBED"), (5, "ADECB"), (8, "BEDAC"), (3, "CABED"), (7, "CAEBD"), (2, "CBADE"), (7, "DCEBA"), (8, "EBADC")
)  # fmt: skip
# Tennessee: Memphis, Nashville, Chattanooga, Knoxville; the capital is the Condorcet winner.
TENNESSEE = ballots((42, "MNCK"), (26, "NCKM"), (15, "CKNM"), (17, "KCNM"))


@st.composite
def profiles(draw, ties=True):
    """A few rankings of two to five options; ranks need not be dense."""
    m = draw(st.integers(2, 5))
    one = st.lists(st.integers(1, 4), min_size=m, max_size=m) if ties else st.permutations(range(1, m + 1))
    return np.array(draw(st.lists(one, min_size=1, max_size=9)), dtype=float)


@st.composite
def shares(draw):
    """A matrix with P + P.T = 1 made of eighths, with plenty of ties."""
    m = draw(st.integers(1, 6))
    upper = draw(st.lists(st.integers(0, 8), min_size=m * m, max_size=m * m))
    margins = np.triu(np.reshape(upper, (m, m)) / 8 - 0.5, 1)
    return 0.5 + margins - margins.T


def read_only(values):
    array = np.array(values, dtype=float)
    array.flags.writeable = False
    return array


# ------------------------------------------------------------------------------------------- rankings to matrices


@quick
@given(profiles())
def test_pairwise_matrices_are_counted_ballot_by_ballot(rankings):
    n, m = rankings.shape
    strict, halves = pairwise_counts(rankings), pairwise_preferences(rankings)
    for a, b in itertools.product(range(m), repeat=2):
        wins = sum(row[a] < row[b] for row in rankings)
        ties = sum(row[a] == row[b] for row in rankings)
        assert strict[a, b] == wins
        assert halves[a, b] == pytest.approx(float(Fraction(int(2 * wins + ties), 2 * n)), abs=1e-15)
    np.testing.assert_array_equal(halves + halves.T, 1.0)


def test_counts_are_numbers_of_equal_ballots_and_units_are_leading_axes():
    rankings, counts = SCHULZE_45
    spelled_out = np.repeat(rankings, counts.astype(int), axis=0)
    np.testing.assert_array_equal(pairwise_counts(rankings, counts=counts), pairwise_counts(spelled_out))
    units = np.stack([spelled_out, 6 - spelled_out]).reshape(2, 1, *spelled_out.shape)
    both = pairwise_preferences(units)
    assert both.shape == (2, 1, 5, 5)
    np.testing.assert_allclose(both[1, 0], both[0, 0].T, atol=1e-15)


def test_options_that_were_not_ranked():
    nan = math.nan
    rankings = [[1, 2, nan], [2, 1, 3], [nan, 1, nan]]
    for function in (pairwise_counts, pairwise_preferences):
        with pytest.raises(InvalidParameterError, match=r"pass missing='last' or missing='omit'.*index \(0, 2\)"):
            function(rankings)
    np.testing.assert_array_equal(pairwise_counts(rankings, missing="last"), [[0, 1, 2], [2, 0, 3], [0, 0, 0]])
    np.testing.assert_array_equal(pairwise_counts(rankings, missing="omit"), [[0, 1, 1], [1, 0, 1], [0, 0, 0]])
    last = pairwise_preferences(rankings, missing="last")
    assert last[0, 2] == pytest.approx((2 + 0.5) / 3)
    assert pairwise_preferences(rankings, missing="omit")[0, 1] == 0.5
    assert pairwise_preferences(rankings, missing="omit")[0, 2] == 1.0
    with pytest.raises(InvalidParameterError, match="somebody ranked both options of every pair"):
        pairwise_preferences([[1, nan], [nan, 1]], missing="omit")


# ------------------------------------------------------------------------------------------------- worked examples


def test_tennessee():
    rankings, counts = TENNESSEE
    preferences = pairwise_preferences(rankings, counts=counts)
    # Options in the order of the letters: C, K, M, N. The usual textbook table, per voter.
    np.testing.assert_allclose(preferences[3], [0.68, 0.68, 0.58, 0.5], atol=1e-15)
    assert condorcet_winner(preferences) == 3
    np.testing.assert_array_equal(schulze(preferences).ranks, [2, 3, 4, 1])
    np.testing.assert_array_equal(maximal_lottery(preferences), [0, 0, 0, 1])


def test_schulze_with_45_voters():
    rankings, counts = SCHULZE_45
    votes = pairwise_counts(rankings, counts=counts)
    np.testing.assert_array_equal(
        votes,
        [[0, 20, 26, 30, 22], [25, 0, 16, 33, 18], [19, 29, 0, 17, 24], [15, 12, 28, 0, 14], [23, 27, 21, 31, 0]],
    )
    outcome = schulze(votes)
    np.testing.assert_array_equal(
        outcome.strengths,
        [[0, 28, 28, 30, 24], [25, 0, 28, 33, 24], [25, 29, 0, 29, 24], [25, 28, 28, 0, 24], [25, 28, 28, 31, 0]],
    )
    assert outcome.winners.tolist() == [False, False, False, False, True]
    # E > A > C > B > D
    assert outcome.ranks.tolist() == [2, 4, 3, 5, 1]
    assert condorcet_winner(votes) == -1


def test_condorcet_cycle():
    # Condorcet's paradox: each beats the next by two to one, and no rule that treats them alike can choose.
    preferences = pairwise_preferences([[1, 2, 3], [3, 1, 2], [2, 3, 1]])
    assert condorcet_winner(preferences) == -1
    assert schulze(preferences).winners.all()
    assert (schulze(preferences).ranks == 1).all()
    np.testing.assert_allclose(maximal_lottery(preferences), np.full(3, 1 / 3), atol=1e-15)


@quick
@given(st.tuples(*[st.integers(1, 50)] * 3))
def test_maximal_lottery_of_a_cycle_of_three_in_closed_form(margins):
    # a beats b by x, b beats c by y, c beats a by z: p is proportional to (y, z, x).
    x, y, z = (margin / 100 for margin in margins)
    preferences = 0.5 + np.array([[0, x, -z], [-x, 0, y], [z, -y, 0]])
    expected = np.array([y, z, x]) / (x + y + z)
    np.testing.assert_allclose(maximal_lottery(preferences), expected, atol=1e-12)


def test_maximal_lottery_of_a_known_tie_is_the_even_one():
    # Nothing but ties: every lottery is maximal.
    np.testing.assert_allclose(maximal_lottery(np.full((4, 4), 0.5)), np.full(4, 0.25), atol=1e-15)
    # Two options tie and both beat the third: the two share.
    two = np.array([[0.5, 0.5, 0.9], [0.5, 0.5, 0.6], [0.1, 0.4, 0.5]])
    np.testing.assert_allclose(maximal_lottery(two), [0.5, 0.5, 0], atol=1e-15)
    # An inequality binds: a ties b, c beats a a little, b beats c: all lotteries on b and a with enough b... by hand:
    # margins (p M)_a = .1 p_c >= 0, (p M)_b = -.2 p_c >= 0 forces p_c = 0, (p M)_c = -.1 p_a + .2 p_b >= 0.
    bound = 0.5 + np.array([[0, 0, -0.1], [0, 0, 0.2], [0.1, -0.2, 0]])
    np.testing.assert_allclose(maximal_lottery(bound), [0.5, 0.5, 0], atol=1e-15)
    steeper = 0.5 + np.array([[0, 0, -0.3], [0, 0, 0.1], [0.3, -0.1, 0]])
    np.testing.assert_allclose(maximal_lottery(steeper), [0.25, 0.75, 0], atol=1e-14)
    # Three options tie, and the fourth beats the even lottery on them: 6 p_a <= 2 p_b + p_c binds.
    # The shortest solution of p_a + p_b + p_c = 1 and 6 p_a - 2 p_b - p_c = 0 is (23, 47, 44) / 114.
    # The fifth beats the even lottery as well, but not the answer: which inequalities bind must be found, not guessed.
    margins = np.zeros((5, 5))
    margins[:3, 3] = [-0.3, 0.1, 0.05]
    margins[:3, 4] = [-0.3, 0.2, 0.05]
    many = maximal_lottery(0.5 + margins - margins.T)
    np.testing.assert_allclose(many, np.array([23, 47, 44, 0, 0]) / 114, atol=1e-14)


# ----------------------------------------------------------------------------------------- independent implementations


def strongest_paths(votes):
    """The strength of the strongest path, over all simple paths one by one."""
    m = len(votes)
    strengths = np.zeros((m, m))
    for a, b in itertools.permutations(range(m), 2):
        between = [c for c in range(m) if c not in (a, b)]
        for length in range(len(between) + 1):
            for middle in itertools.permutations(between, length):
                path = [a, *middle, b]
                links = [votes[x][y] if votes[x][y] > votes[y][x] else 0 for x, y in itertools.pairwise(path)]
                strengths[a, b] = max(strengths[a, b], min(links))
    return strengths


@quick
@given(profiles())
def test_schulze_agrees_with_all_simple_paths(rankings):
    votes = pairwise_counts(rankings)
    outcome = schulze(votes)
    paths = strongest_paths(votes)
    np.testing.assert_array_equal(outcome.strengths, paths)
    np.testing.assert_array_equal(outcome.winners, (paths >= paths.T).all(axis=-1))
    assert outcome.winners.any()
    np.testing.assert_array_equal(outcome.ranks, 1 + (paths < paths.T).sum(axis=-1))
    margins = votes - votes.T
    np.testing.assert_array_equal(
        schulze(votes, strength="margins").strengths, strongest_paths(np.maximum(margins, 0.0))
    )


@quick
@given(profiles(ties=False))
def test_without_ties_winning_votes_and_margins_agree(rankings):
    votes = pairwise_counts(rankings)
    np.testing.assert_array_equal(schulze(votes).ranks, schulze(votes, strength="margins").ranks)


def value_of_the_game(preferences):
    """The maximin value, by the textbook programme."""
    m = len(preferences)
    game = preferences - 0.5
    solution = linprog(
        [0.0] * m + [-1.0],
        A_ub=np.column_stack([-game.T, np.ones(m)]),
        b_ub=np.zeros(m),
        A_eq=[[1.0] * m + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
    )
    return -solution.fun


@quick
@given(shares(), st.randoms(use_true_random=False))
def test_maximal_lottery_loses_to_nothing_and_does_not_depend_on_the_order(preferences, random):
    lottery = maximal_lottery(preferences)
    assert lottery.min() >= 0.0
    assert lottery.sum() == pytest.approx(1.0, abs=1e-14)
    worst = (lottery @ (preferences - 0.5)).min()
    assert worst >= -1e-13
    assert worst == pytest.approx(value_of_the_game(preferences), abs=1e-9)
    order = list(range(len(preferences)))
    random.shuffle(order)
    np.testing.assert_allclose(maximal_lottery(preferences[np.ix_(order, order)]), lottery[order], atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(shares())
def test_maximal_lottery_is_the_one_with_the_smallest_sum_of_squares(preferences):
    m = len(preferences)
    game = preferences - 0.5
    fit = minimize(
        lambda p: p @ p,
        maximal_lottery(preferences),
        jac=lambda p: 2 * p,
        method="SLSQP",
        bounds=[(0, 1)] * m,
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: np.ones(m)},
            {"type": "ineq", "fun": lambda p: p @ game, "jac": lambda p: game.T},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    mine = maximal_lottery(preferences)
    # No feasible point that another solver finds is shorter (it may leave the feasible set by its tolerance).
    assert mine @ mine <= fit.fun + 1e-6


@quick
@given(st.integers(2, 6), st.data())
def test_a_condorcet_winner_wins_everywhere(m, data):
    upper = data.draw(st.lists(st.floats(-0.5, 0.5), min_size=m * m, max_size=m * m))
    margins = np.triu(np.reshape(upper, (m, m)), 1)
    preferences = 0.5 + margins - margins.T
    winner = data.draw(st.integers(0, m - 1))
    lead = data.draw(st.floats(1e-12, 0.5))
    preferences[winner], preferences[:, winner] = 0.5 + lead, 0.5 - lead
    preferences[winner, winner] = 0.5
    assert condorcet_winner(preferences) == winner
    assert maximal_lottery(preferences)[winner] == 1.0
    assert maximal_lottery(preferences).sum() == 1.0
    outcome = schulze(preferences)
    assert outcome.winners.tolist() == [option == winner for option in range(m)]


@pytest.mark.parametrize("m", [12, 30])
@pytest.mark.parametrize("kind", ["integers", "reals", "clones"])
def test_maximal_lottery_of_many_options(m, kind):
    rng = np.random.default_rng(m)
    for _ in range(3):
        if kind == "integers":
            margins = rng.integers(-3, 4, (m, m)) / 8
        elif kind == "reals":
            margins = rng.uniform(-0.5, 0.5, (m, m))
        else:
            family = rng.integers(0, m // 2, m)
            few = np.triu(rng.uniform(-0.5, 0.5, (m // 2, m // 2)), 1)
            margins = (few - few.T)[np.ix_(family, family)]
        margins = np.triu(margins, 1)
        preferences = 0.5 + margins - margins.T
        lottery = maximal_lottery(preferences)
        assert (lottery @ (preferences - 0.5)).min() >= -1e-12
        order = rng.permutation(m)
        np.testing.assert_allclose(maximal_lottery(preferences[np.ix_(order, order)]), lottery[order], atol=1e-9)


@quick
@given(shares(), st.integers(0, 5))
def test_clones_share_what_their_option_had(preferences, which):
    # Maximal lotteries do not reward an option for being listed twice.
    which %= len(preferences)
    with_clone = np.insert(np.insert(preferences, 0, preferences[which], axis=0), 0, 0.5, axis=1)
    with_clone[:, 0] = 1.0 - with_clone[0]
    with_clone[0, 0] = with_clone[0, which + 1] = with_clone[which + 1, 0] = 0.5
    lottery = maximal_lottery(with_clone)
    joined = lottery[1:].copy()
    joined[which] += lottery[0]
    assert (joined @ (preferences - 0.5)).min() >= -1e-12


# ------------------------------------------------------------------------------------------------ shapes, refusals


def test_units_are_leading_axes_and_inputs_are_left_alone():
    rng = np.random.default_rng(8)
    margins = np.triu(rng.integers(-4, 5, (3, 2, 4, 4)) / 10, 1)
    preferences = read_only(0.5 + margins - np.swapaxes(margins, -1, -2))
    before = preferences.copy()
    winners, outcome = condorcet_winner(preferences), schulze(preferences)
    for index in np.ndindex(3, 2):
        one = preferences[index]
        np.testing.assert_array_equal(maximal_lottery(preferences)[index], maximal_lottery(one))
        np.testing.assert_array_equal(outcome.strengths[index], schulze(one).strengths)
        np.testing.assert_array_equal(outcome.ranks[index], schulze(one).ranks)
        assert winners[index] == condorcet_winner(one)
        assert isinstance(condorcet_winner(one), int)
    np.testing.assert_array_equal(preferences, before)
    rankings, counts = read_only(SCHULZE_45[0]), read_only(SCHULZE_45[1])
    pairwise_counts(rankings, counts=counts)
    pairwise_preferences(rankings, counts=counts)
    np.testing.assert_array_equal(rankings, SCHULZE_45[0])


def test_a_single_option_wins():
    assert maximal_lottery([[0.5]]).tolist() == [1.0]
    assert schulze([[0.5]]).winners.tolist() == [True]
    assert condorcet_winner([[0.5]]) == 0


def test_maximal_lottery_refuses_what_does_not_sum_to_one():
    with pytest.raises(InvalidParameterError) as error:
        maximal_lottery([[0.5, 0.7], [0.4, 0.5]])
    assert str(error.value) == (
        "The 'preferences' parameter of maximal_lottery must be shares with P + P.T = 1 (a tie is 1/2, also on the "
        "diagonal). Got a sum of 1.1 at index (0, 1) instead."
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: maximal_lottery([[0.0, 0.7], [0.3, 0.0]]),
        lambda: maximal_lottery([[0.5, 1.7], [-0.7, 0.5]]),
        lambda: maximal_lottery([0.5, 0.5]),
        lambda: maximal_lottery([[0.5, 0.5]]),
        lambda: maximal_lottery([[0.5, math.nan], [math.nan, 0.5]]),
        lambda: maximal_lottery(np.empty((0, 0))),
        lambda: schulze([[0, 1], [-1, 0]]),
        lambda: schulze([[0, 1], [1, 0]], strength="votes"),
        lambda: condorcet_winner([[0, 1, 2], [1, 0, 2]]),
        lambda: schulze("abc"),
        lambda: condorcet_winner([[0, math.inf], [1, 0]]),
        lambda: pairwise_counts([1, 2, 3]),
        lambda: pairwise_counts([["first", "second"]]),
        lambda: pairwise_counts([[1, math.inf]]),
        lambda: pairwise_counts([[1, 2]], counts=[1, 2]),
        lambda: pairwise_counts([[1, 2]], counts=[0]),
        lambda: pairwise_counts([[1, 2]], counts=[-1]),
        lambda: pairwise_preferences([[1, 2]], missing="drop"),
    ],
)
def test_what_is_no_vote_is_refused(call):
    with pytest.raises(InvalidParameterError, match=r"^The '\w+' parameter of \w+ must be .* Got .* instead\.$"):
        call()


def test_everything_public_is_exported():
    assert list(voting.__all__) == sorted(voting.__all__)
    for name in voting.__all__:
        assert getattr(voting, name).__doc__


def test_ballots_may_be_counted_in_fractions():
    rankings = [[1, 2, 3], [3, 1, 2]]
    halves = pairwise_counts(rankings, counts=[0.5, 0.25])
    np.testing.assert_allclose(halves * 4, pairwise_counts(rankings, counts=[2, 1]))


@pytest.mark.parametrize("essential", [[True] * 4, [True, False, False, False]])
def test_a_wrong_essential_set_is_noticed(monkeypatch, essential):
    # Rock, paper, scissors, and an option that loses to each: where the solver is wrong about who is essential, the
    # equations give no maximal lottery, and what the linear programme itself found is used instead.
    preferences = np.full((4, 4), 0.5)
    for winner, loser in ((0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)):
        preferences[winner, loser], preferences[loser, winner] = 1.0, 0.0
    solve = voting._linear_programme
    monkeypatch.setattr(voting, "_linear_programme", lambda game: (solve(game)[0], np.array(essential)))
    np.testing.assert_allclose(maximal_lottery(preferences), [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-12)


def test_least_distance_is_that_of_the_nearest_point():
    # By hand: the point nearest to 0 with y0 >= 3; the foot on the line y0 + y1 = 4; nothing to do; no such point.
    least = voting._least_distance
    np.testing.assert_allclose(least(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([3.0, -1.0])), [3, 0], atol=1e-12)
    np.testing.assert_allclose(least(np.array([[1.0, 1.0]]), np.array([4.0])), [2, 2], atol=1e-12)
    np.testing.assert_allclose(least(np.array([[1.0, 1.0]]), np.array([-4.0])), [0, 0], atol=1e-12)
    np.testing.assert_allclose(least(np.array([[0.0], [0.0]]), np.array([1.0, 1.0])), [0], atol=1e-12)
