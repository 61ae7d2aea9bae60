"""The tie policies of Schulze's method: the chance of each of several winners to be the one that is taken."""

from __future__ import annotations

import numpy as np

from pytest_pluralism.core.parameters import BoolArray, FloatArray

__all__ = ["TIES", "worth_of_winners"]

#: The ways of counting several winners of Schulze's method.
TIES = ("any", "random", "ballot")


def worth_of_winners(winners: BoolArray, ranks: FloatArray, weights: FloatArray, /, *, ties: str) -> FloatArray:
    """Return what each response counts where Schulze's method has these winners.

    Parameters
    ----------
    winners : numpy.ndarray of bool, shape (n_responses,)
        The winners, at least one.
    ranks : numpy.ndarray, shape (n_jurors, n_responses)
        Ranks, smaller for better; NaN for a response that a juror did not judge.
    weights : numpy.ndarray, shape (n_jurors,)
        The weights of the jurors.
    ties : {"any", "random", "ballot"}
        Whether each winner counts as one; as the chance to be drawn among all winners; or as the chance to come first
        when the ballots of jurors, drawn one after another by their weights, part the winners, and a fair draw
        parts those that no ballot does.

    Returns
    -------
    numpy.ndarray, shape (n_responses,)
        In [0, 1], 0 for all but the winners.

    Notes
    -----
    Among the jurors who part a set of winners, the first to be drawn is each of them by weight, and those who do not
    part it part no subset of it. So the chance is a mean over the jurors who part the set, of the chances within the
    responses that each of them likes best. A juror who did not judge all of them does not part them.
    """
    if ties == "any":
        return winners.astype(np.float64)
    if ties == "random":
        return np.asarray(winners / winners.sum(), dtype=np.float64)
    result = np.zeros(len(winners))
    for place, chance in _by_ballots(frozenset(np.flatnonzero(winners).tolist()), ranks, weights, {}).items():
        result[place] = chance
    return result


def _by_ballots(
    tied: frozenset[int], ranks: FloatArray, weights: FloatArray, known: dict[frozenset[int], dict[int, float]]
) -> dict[int, float]:
    """Return the chance of each of some tied responses to be the one that ballots put first."""
    if tied in known:
        return known[tied]
    places = sorted(tied)
    own = ranks[:, places]
    parts = (weights > 0.0) & ~np.isnan(own).any(axis=1) & (own.min(axis=1) < own.max(axis=1))
    if not parts.any():
        found = dict.fromkeys(places, 1.0 / len(places))
    else:
        found = dict.fromkeys(places, 0.0)
        total = float(weights[parts].sum())
        best = own[parts] == own[parts].min(axis=1, keepdims=True)
        for row, weight in zip(best, weights[parts], strict=True):
            inner = frozenset(place for place, is_best in zip(places, row, strict=True) if is_best)
            for place, chance in _by_ballots(inner, ranks, weights, known).items():
                found[place] += float(weight) / total * chance
    known[tied] = found
    return found
