"""Answer extraction: the claims of a response and the answers of a window, matched one to one.

The other way to measure a response against its window (Sorensen et al. 2024, section 2): extract the set of answers
that it gives, and compare that set with the window. One claim can then stand for one answer only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import unit_interval

__all__ = ["Matching", "match_claims"]


@dataclass(frozen=True, slots=True)
class Matching:
    """A matching of claims with answers.

    ``pairs`` are (claim, answer), by index; the other indices are in ``unmatched_claims`` and ``unmatched_answers``.
    """

    pairs: tuple[tuple[int, int], ...]
    unmatched_claims: tuple[int, ...]
    unmatched_answers: tuple[int, ...]


def match_claims(entailment: npt.ArrayLike, /, *, threshold: float) -> Matching:
    r"""Return a matching of claims with answers, one to one, so that the sum of their entailments is largest.

    .. math:: \max_M \sum_{(c, a) \in M} e_{ca} \quad \text{with } e_{ca} \ge t \text{ for each pair of the matching } M

    Parameters
    ----------
    entailment : array_like of shape (n_claims, n_answers)
        Probability that each claim entails each answer; either number may be 0.
    threshold : float in [0, 1]
        Below this no claim stands for an answer.

    Returns
    -------
    Matching
        Pairs in the order of the claims.

    Raises
    ------
    InvalidParameterError
        If ``entailment`` has not two axes, or holds anything but probabilities.
    InvalidParameterError
        If ``threshold`` is not in [0, 1].

    Examples
    --------
    >>> match_claims([[0.9, 0.8], [0.7, 0.1], [0.2, 0.3]], threshold=0.5)
    Matching(pairs=((0, 1), (1, 0)), unmatched_claims=(2,), unmatched_answers=())
    """
    limit = unit_interval(threshold, name="threshold", function="match_claims", open_interval=False)
    matrix = np.asarray(entailment, dtype=np.float64)
    if matrix.ndim != 2 or not ((matrix >= 0.0) & (matrix <= 1.0)).all():
        must = "probabilities of shape (n_claims, n_answers)"
        raise invalid_parameter("entailment", "match_claims", must, f"shape {matrix.shape}")
    possible = matrix >= limit
    claims, answers = linear_sum_assignment(np.where(possible, matrix, 0.0), maximize=True)
    chosen = zip(claims.tolist(), answers.tolist(), strict=True)
    pairs = tuple((claim, answer) for claim, answer in chosen if possible[claim, answer])
    return Matching(
        pairs,
        tuple(sorted(set(range(matrix.shape[0])) - {claim for claim, _ in pairs})),
        tuple(sorted(set(range(matrix.shape[1])) - {answer for _, answer in pairs})),
    )
