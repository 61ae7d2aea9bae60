"""Voting: the choice of a jury whose members rank options instead of rating them.

A ranking gives each option a rank, 1 for the best; equal ranks are ties and NaN is an option that was not ranked.
Utilities become ranks by a change of sign: ``pairwise_preferences(-utilities)``.

A matrix of preferences says at ``[a, b]`` how many respondents, or which share of them, prefer option a to option b.
All axes but the last two are units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog, nnls

from pytest_pluralism.core.errors import PluralismError, invalid_parameter
from pytest_pluralism.core.parameters import BoolArray, FloatArray, IntArray, finite_array, number_array, one_of

__all__ = [
    "SchulzeOutcome",
    "condorcet_winner",
    "maximal_lottery",
    "pairwise_counts",
    "pairwise_preferences",
    "schulze",
]


#: The treatment of options that a respondent did not rank.
Unranked = Literal["refuse", "last", "omit"]

#: How far P[a, b] + P[b, a] may be from 1.
COMPLEMENT_TOLERANCE = 1e-9

#: The margin by which a maximal lottery may lose against an option, relative to the largest margin of all.
LOTTERY_TOLERANCE = 1e-9

#: A probability counts up to this much in the search for the options that have any.
SUPPORT_CAP = 1e-5

#: Singular values below this, relative to the largest, are 0.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class SchulzeOutcome:
    """The outcome of Schulze's method.

    Attributes
    ----------
    winners : numpy.ndarray of bool, shape (..., n_options)
        The options that no other option beats; at least one, several when they tie.
    ranks : numpy.ndarray of int, shape (..., n_options)
        1 + how many options beat this one; equal ranks are ties.
    strengths : numpy.ndarray, shape (..., n_options, n_options)
        The strength of the strongest path from a to b; 0 on the diagonal and where there is no path.
    """

    winners: BoolArray
    ranks: IntArray
    strengths: FloatArray


# ----------------------------------------------------------------------------------------- from rankings to matrices


def _ballots(
    rankings: npt.ArrayLike, counts: npt.ArrayLike | None, /, *, missing: str, function: str
) -> tuple[FloatArray, FloatArray]:
    policies = ("refuse", "last", "omit")
    one_of(missing, policies, name="missing", function=function)
    ranks = number_array(rankings, name="rankings", function=function)
    absent = np.isnan(ranks)
    if missing == "refuse" and absent.any():
        where = tuple(int(i) for i in np.argwhere(absent)[0])
        must = "complete (a NaN is an option that was not ranked; pass missing='last' or missing='omit' to allow it)"
        raise invalid_parameter("rankings", function, must, f"nan at index {where}")
    finite_array(np.where(absent, 0.0, ranks), name="rankings", function=function, minimum_ndim=2)
    if missing == "last":
        ranks = np.where(absent, np.inf, ranks)
    n_respondents = ranks.shape[-2]
    if counts is None:
        return ranks, np.ones(n_respondents)
    ballots = finite_array(counts, name="counts", function=function)
    if ballots.shape != (n_respondents,):
        must = f"one number a ranking ({n_respondents})"
        raise invalid_parameter("counts", function, must, f"shape {ballots.shape}")
    if (ballots < 0.0).any() or ballots.sum() <= 0.0:
        raise invalid_parameter("counts", function, "non-negative, and positive for at least one", ballots.tolist())
    return ranks, ballots


def _count_pairs(ranks: FloatArray, ballots: FloatArray, /) -> tuple[FloatArray, FloatArray]:
    """Return how many prefer a to b, and how many compare a with b at all."""
    n_options = ranks.shape[-1]
    wins = np.empty((*ranks.shape[:-2], n_options, n_options))
    compared = np.empty_like(wins)
    ranked = ~np.isnan(ranks)
    # One option at a time: the memory stays that of the rankings.
    for option in range(n_options):
        own = ranks[..., option : option + 1]
        wins[..., option, :] = np.einsum("...vb,v->...b", own < ranks, ballots)
        compared[..., option, :] = np.einsum("...vb,v->...b", ranked[..., option : option + 1] & ranked, ballots)
    return wins, compared


def pairwise_counts(
    rankings: npt.ArrayLike, /, *, counts: npt.ArrayLike | None = None, missing: Unranked = "refuse"
) -> FloatArray:
    r"""Count the respondents who prefer one option to another.

    .. math:: N_{ab} = \sum_v c_v [r_{va} < r_{vb}]

    Parameters
    ----------
    rankings : array_like, shape (..., n_respondents, n_options)
        Ranks, 1 for the best; equal ranks are ties.
    counts : array_like, shape (n_respondents,), optional
        The number of respondents, or the sampling weight, that each row stands for.
    missing : {"refuse", "last", "omit"}, default "refuse"
        The treatment of a NaN: raise, stand in a tie below all ranked options, or leave the respondent out of its
        pairs.

    Returns
    -------
    numpy.ndarray, shape (..., n_options, n_options)
        At ``[a, b]`` how many strictly prefer a to b; a tie counts for neither; 0 on the diagonal.

    Raises
    ------
    InvalidParameterError
        If a rank is infinite, or NaN under ``missing="refuse"``, or there are fewer than two axes.
    InvalidParameterError
        If ``counts`` are negative, all zero, or not one a respondent.

    References
    ----------
    Schulze 2011, A new monotonic, clone-independent, reversal symmetric, and Condorcet-consistent single-winner
    election method, section 2.1, doi:10.1007/s00355-010-0475-4.

    Examples
    --------
    >>> pairwise_counts([[1, 2], [1, 2], [2, 1]]).tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    ranks, ballots = _ballots(rankings, counts, missing=missing, function="pairwise_counts")
    return _count_pairs(ranks, ballots)[0]


def pairwise_preferences(
    rankings: npt.ArrayLike, /, *, counts: npt.ArrayLike | None = None, missing: Unranked = "refuse"
) -> FloatArray:
    r"""Compute the share of respondents who prefer one option to another, a tie being half a preference each way.

    .. math:: P_{ab} = \frac{N_{ab} + \tfrac12 T_{ab}}{N_{ab} + N_{ba} + T_{ab}}

    where :math:`T` counts the ties.

    Parameters
    ----------
    rankings, counts, missing
        As in :func:`pairwise_counts`.

    Returns
    -------
    numpy.ndarray, shape (..., n_options, n_options)
        In [0, 1], with ``P + P.T = 1`` and 1/2 on the diagonal.

    Raises
    ------
    InvalidParameterError
        For what :func:`pairwise_counts` refuses.
    InvalidParameterError
        If, under ``missing="omit"``, nobody ranked both options of some pair.

    References
    ----------
    Fishburn 1984, Probabilistic social choice based on simple voting comparisons, doi:10.2307/2297786.

    Examples
    --------
    >>> pairwise_preferences([[1, 2], [1, 2], [2, 1], [1, 1]]).tolist()
    [[0.5, 0.625], [0.375, 0.5]]
    """
    ranks, ballots = _ballots(rankings, counts, missing=missing, function="pairwise_preferences")
    wins, compared = _count_pairs(ranks, ballots)
    if (compared <= 0.0).any():
        where = tuple(int(i) for i in np.argwhere(compared <= 0.0)[0])
        must = "such that somebody ranked both options of every pair"
        raise invalid_parameter("rankings", "pairwise_preferences", must, f"nobody for the pair at {where}")
    return 0.5 + 0.5 * (wins - np.swapaxes(wins, -1, -2)) / compared


# ------------------------------------------------------------------------------------------------- from matrices on


def _pairwise(preferences: npt.ArrayLike, /, *, function: str) -> FloatArray:
    array = finite_array(preferences, name="preferences", function=function, minimum_ndim=2)
    if array.shape[-1] != array.shape[-2]:
        must = "a square matrix in its last two axes"
        raise invalid_parameter("preferences", function, must, f"shape {array.shape}")
    if (array < 0.0).any():
        where = tuple(int(i) for i in np.argwhere(array < 0.0)[0])
        must = "counts or shares, not margins: non-negative"
        raise invalid_parameter("preferences", function, must, f"{array[where]} at index {where}")
    return array


def _off_diagonal(array: FloatArray, /) -> FloatArray:
    return np.where(np.eye(array.shape[-1], dtype=np.bool_), 0.0, array)


def condorcet_winner(preferences: npt.ArrayLike, /) -> IntArray | int:
    r"""Return the option that a majority prefers to every other option.

    .. math:: a : P_{ab} > P_{ba} \text{ for all } b \ne a

    Parameters
    ----------
    preferences : array_like, shape (..., n_options, n_options)
        The number or share of respondents who prefer a to b; the diagonal is ignored.

    Returns
    -------
    int or numpy.ndarray of int, shape (...)
        Its index, or -1 where there is none (a cycle, or a tie at the top).

    Raises
    ------
    InvalidParameterError
        If ``preferences`` is not square, finite and non-negative.

    References
    ----------
    Condorcet 1785, Essai sur l'application de l'analyse.

    Examples
    --------
    >>> condorcet_winner([[0.5, 0.6, 0.7], [0.4, 0.5, 0.9], [0.3, 0.1, 0.5]])
    0
    """
    array = _pairwise(preferences, function="condorcet_winner")
    beats = (array > np.swapaxes(array, -1, -2)) | np.eye(array.shape[-1], dtype=np.bool_)
    unbeaten = np.asarray(beats.all(axis=-1))
    winner = np.where(unbeaten.any(axis=-1), np.argmax(unbeaten, axis=-1), -1)
    return int(winner) if winner.ndim == 0 else winner


def schulze(
    preferences: npt.ArrayLike, /, *, strength: Literal["winning_votes", "margins"] = "winning_votes"
) -> SchulzeOutcome:
    r"""Rank options by Schulze's method: compare two options by their strongest chains of majorities.

    Option a beats b when the strongest path from a to b is stronger than the strongest path back; a path is as strong
    as its weakest majority.

    Parameters
    ----------
    preferences : array_like, shape (..., n_options, n_options)
        The number or share of respondents who prefer a to b; the diagonal is ignored.
        Give counts (:func:`pairwise_counts`) where ties between majorities must be exact.
    strength : {"winning_votes", "margins"}, default "winning_votes"
        The strength of the majority of a over b: the votes for it, or the votes for it less those against it.
        The two agree when nobody ties options.

    Returns
    -------
    SchulzeOutcome
        Winners (several when they tie), ranks and path strengths.

    Raises
    ------
    InvalidParameterError
        If ``preferences`` is not square, finite and non-negative.
    InvalidParameterError
        If ``strength`` is neither of the two words.

    References
    ----------
    Schulze 2011, doi:10.1007/s00355-010-0475-4, section 2.3.

    Examples
    --------
    >>> schulze([[0, 2, 1], [1, 0, 2], [2, 1, 0]]).winners.tolist()
    [True, True, True]
    >>> schulze([[0, 6, 4], [3, 0, 7], [5, 2, 0]]).ranks.tolist()
    [1, 2, 3]
    """
    one_of(strength, ("winning_votes", "margins"), name="strength", function="schulze")
    array = _pairwise(preferences, function="schulze")
    against = np.swapaxes(array, -1, -2)
    majority = np.where(array > against, array if strength == "winning_votes" else array - against, 0.0)
    paths = _off_diagonal(majority)
    for option in range(array.shape[-1]):
        through = np.minimum(paths[..., :, option, None], paths[..., None, option, :])
        paths = np.maximum(paths, through)
    paths = _off_diagonal(paths)
    beaten_by = (paths < np.swapaxes(paths, -1, -2)).sum(axis=-1)
    return SchulzeOutcome(winners=beaten_by == 0, ranks=np.asarray(1 + beaten_by, dtype=np.intp), strengths=paths)


def maximal_lottery(preferences: npt.ArrayLike, /) -> FloatArray:
    r"""Compute the maximal lottery (minimax winner): the mixture of options that no option beats in expectation.

    .. math:: p \in \operatorname{argmax}_{p} \min_{q} \sum_{a,b} p_a \bigl(P_{ab} - \tfrac12\bigr) q_b

    The game is symmetric, so its value is 0 and the solutions are the lotteries with :math:`(P - 1/2)^T p \ge 0`: a
    linear programme.
    It may have many solutions (it has one when all margins of counts are odd).
    The one returned has the smallest sum of squares, the one closest to the uniform lottery: it is unique, and does not
    depend on the order of the options.
    Margins below about 1e-7 of the largest cannot be told from ties.

    Parameters
    ----------
    preferences : array_like, shape (..., n_options, n_options)
        Share that prefers a to b, with ``P + P.T = 1`` and 1/2 on the diagonal (:func:`pairwise_preferences`).

    Returns
    -------
    numpy.ndarray, shape (..., n_options)
        Probabilities; exactly 1 on a Condorcet winner.

    Raises
    ------
    InvalidParameterError
        If ``preferences`` is not square, or not in [0, 1].
    InvalidParameterError
        If ``preferences`` and its transpose do not sum to 1.

    References
    ----------
    Fishburn 1984, doi:10.2307/2297786; Swamy et al. 2024, A minimaximalist approach to reinforcement learning from
    human feedback, arXiv:2401.04056; Lawson and Hanson 1995, Solving Least Squares Problems, chapter 23,
    doi:10.1137/1.9781611971217.

    Examples
    --------
    >>> maximal_lottery([[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]]).round(6).tolist()
    [0.333333, 0.333333, 0.333333]
    """
    function = "maximal_lottery"
    array = _pairwise(preferences, function=function)
    sums = array + np.swapaxes(array, -1, -2)
    off = np.abs(sums - 1.0)
    if (off > COMPLEMENT_TOLERANCE).any():
        where = tuple(int(i) for i in np.argwhere(off == off.max())[0])
        must = "shares with P + P.T = 1 (a tie is 1/2, also on the diagonal)"
        raise invalid_parameter("preferences", function, must, f"a sum of {sums[where]:.9g} at index {where}")
    margins = 0.5 * (array - np.swapaxes(array, -1, -2))
    n_options = array.shape[-1]
    winners = np.asarray(condorcet_winner(array))
    result: FloatArray = np.asarray(winners[..., None] == np.arange(n_options), dtype=np.float64)
    # Each game without a Condorcet winner is a programme of its own; there is no closed form to vectorise.
    for unit in np.argwhere(winners < 0):
        result[tuple(unit)] = _least_squares_lottery(margins[tuple(unit)])
    return result


def _worst_margin(lottery: FloatArray, margins: FloatArray, /) -> float:
    return float((lottery @ margins).min())


def _least_squares_lottery(margins: FloatArray, /) -> FloatArray:
    """Return the maximal lottery with the smallest sum of squares, for one antisymmetric matrix."""
    scale = np.abs(margins).max()
    if scale == 0.0:
        return np.full(len(margins), 1.0 / len(margins))
    game = margins / scale
    vertex, essential = _linear_programme(game)
    # Against an option of the essential set every maximal lottery has margin 0.
    # That leaves linear equations, whose shortest solution is the answer unless an inequality binds too.
    inside, outside = np.flatnonzero(essential), np.flatnonzero(~essential)
    equations = np.concatenate([game[np.ix_(inside, inside)].T, np.ones((1, inside.size))])
    left, singular, free = np.linalg.svd(equations)
    rank = int((singular > RANK_TOLERANCE * singular[0]).sum())
    shortest = free[:rank].T @ (left[-1, :rank] / singular[:rank])
    bounds = np.concatenate([np.eye(inside.size), game[np.ix_(inside, outside)].T])
    limits = -bounds @ shortest
    if rank < inside.size and (limits > 0.0).any():
        shortest = shortest + _least_distance(bounds @ free[rank:].T, limits) @ free[rank:]
    lottery = np.zeros(len(game))
    lottery[inside] = np.maximum(shortest, 0.0)
    lottery = _polished(lottery, game) if lottery.sum() > 0.0 else vertex
    # Margins below the tolerance of the solver can put an option into the essential set that does not belong there.
    return lottery if _worst_margin(lottery, game) >= -LOTTERY_TOLERANCE else _polished(vertex, game)


def _least_distance(bounds: FloatArray, limits: FloatArray, /) -> FloatArray:
    """Return the shortest y with ``bounds @ y >= limits``, from the dual: a non-negative least squares problem."""
    dual = np.concatenate([bounds.T, limits[None, :]])
    right = np.zeros(len(dual))
    right[-1] = 1.0
    try:
        multipliers, _ = nnls(dual, right, maxiter=100 * len(limits))
    except RuntimeError as error:
        raise PluralismError("the least squares of maximal_lottery did not converge") from error
    residual = dual @ multipliers - right
    if residual[-1] == 0.0:
        return np.zeros(bounds.shape[1])
    shortest: FloatArray = -residual[:-1] / residual[-1]
    return shortest


def _polished(lottery: FloatArray, game: FloatArray, /) -> FloatArray:
    """Return the better of a solution and one solved anew for the options in play, without the error of the solver."""
    lottery = lottery / lottery.sum()
    in_play = lottery > 1e-7
    binding = lottery @ game < 1e-7
    system = np.concatenate([game[np.ix_(in_play, binding)].T, np.ones((1, int(in_play.sum())))])
    right = np.zeros(len(system))
    right[-1] = 1.0
    exact = np.zeros_like(lottery)
    exact[in_play] = np.linalg.lstsq(system, right, rcond=RANK_TOLERANCE)[0]
    if exact.min() < 0.0 or _worst_margin(exact, game) < min(_worst_margin(lottery, game), -1e-14):
        return lottery
    return np.asarray(exact / exact.sum())


def _linear_programme(game: FloatArray, /) -> tuple[FloatArray, BoolArray]:
    """Return a maximal lottery, and which options have a positive probability in any of them (the essential set).

    The programme maximises the sum of the probabilities, each counted up to a small cap only, so that giving every
    option a little is worth more than giving one option much.
    """
    n_options = len(game)
    eye = np.eye(n_options)
    nothing = np.zeros((n_options, n_options))
    # A lottery always exists; where the margins span many orders of magnitude, presolve or a tight tolerance can make
    # the solver miss it.
    for presolve, tolerance in ((True, 1e-10), (False, 1e-10), (False, 1e-7)):
        solution = linprog(
            np.concatenate([np.zeros(n_options), -np.ones(n_options)]),
            A_ub=np.block([[-game.T, nothing], [-eye, eye]]),
            b_ub=np.zeros(2 * n_options),
            A_eq=np.concatenate([np.ones(n_options), np.zeros(n_options)])[None, :],
            b_eq=[1.0],
            bounds=[(0.0, None)] * n_options + [(0.0, SUPPORT_CAP)] * n_options,
            method="highs",
            options={
                "presolve": presolve,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            },
        )
        if solution.x is not None and solution.status == 0:
            weights = np.maximum(solution.x[:n_options], 0.0)
            return np.asarray(weights / weights.sum()), np.asarray(solution.x[n_options:] > 1e-8)
    raise PluralismError(f"the linear programme of maximal_lottery was not solved: {solution.message}")
