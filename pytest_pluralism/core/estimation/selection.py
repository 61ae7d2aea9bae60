"""The best of several against one of them: an interval that allows for having looked for the best."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy.typing as npt

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.parameters import finite_array, unit_interval, whole_number
from pytest_pluralism.core.records import Estimate

__all__ = ["compare_best", "level_for"]


def level_for(n_compared: int, confidence_level: float = 0.95, /) -> float:
    """Return the confidence level of each of several intervals of which all hold together (Bonferroni).

    Parameters
    ----------
    n_compared : int
        How many intervals, at least 1.
    confidence_level : float in (0, 1)
        Of all of them together.

    Returns
    -------
    float
        In (0, 1).

    Examples
    --------
    >>> round(level_for(10), 6)
    0.995
    """
    n = whole_number(n_compared, name="n_compared", function="level_for")
    level = unit_interval(confidence_level, name="confidence_level", function="level_for")
    return level if n == 1 else 1.0 - (1.0 - level) / n


def compare_best(
    scores: npt.ArrayLike,
    own: int,
    /,
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
    n_looks: int = 1,
) -> tuple[int, Estimate]:
    r"""Compare the best of several with one of them, unit by unit.

    Whichever is best was chosen by the same scores, so its plain interval lies above 0 far too often when all are
    equal. Each of the k - 1 others could have been it, so the interval is that of :func:`~pytest_pluralism.core.
    estimation.compare_paired` at the level :math:`1 - (1 - level) / ((k - 1)\, n_{looks})`.

    Parameters
    ----------
    scores : array_like of float, shape (k, n_units)
        A row for each one that is compared, higher is better.
    own : int
        The row of the one that the best is compared with.
    clusters : sequence of hashable, shape (n_units,), optional
        The cluster of each unit; units of one cluster are dependent.
    confidence_level : float in (0, 1)
        The level of the whole: when all are equal the interval lies above 0 in at most half of the rest of runs.
    n_looks : int
        How many such comparisons are made together (groups, weights); they share the level.

    Returns
    -------
    tuple of int and Estimate
        The row of the best (the own one where none is better) and its mean advantage, 0 or more.

    Raises
    ------
    InvalidParameterError
        If the scores are not finite or have not two axes, or ``own`` is not one of the rows.

    References
    ----------
    C. E. Bonferroni, "Teoria statistica delle classi e calcolo delle probabilità", 1936.

    Examples
    --------
    >>> best, ahead = compare_best([[0.5, 0.4, 0.6], [0.6, 0.5, 0.9], [0.5, 0.5, 0.5]], 0)
    >>> best, round(ahead.value, 4), ahead.low > 0
    (1, 0.1667, False)
    """
    function = "compare_best"
    rows = finite_array(scores, name="scores", function=function, minimum_ndim=2, moderate=True)
    if rows.ndim != 2:
        raise invalid_parameter("scores", function, "an array with two axes", f"shape {rows.shape}")
    place = whole_number(own, name="own", function=function, least=0)
    if place >= len(rows):
        raise invalid_parameter("own", function, f"a row of the scores, in [0, {len(rows) - 1}]", own)
    looks = whole_number(n_looks, name="n_looks", function=function)
    means = rows.mean(axis=1)
    best = int(means.argmax())
    if compare(float(means[best]), float(means[place])) <= 0:
        best = place
    level = level_for(max(1, (len(rows) - 1) * looks), confidence_level)
    return best, compare_paired(rows[best], rows[place], clusters=clusters, confidence_level=level)
