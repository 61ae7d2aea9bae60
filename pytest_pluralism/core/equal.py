"""Comparisons of scores: one tolerance and one rule for margins, ties, fronts, ranks, guards and thresholds."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
import numpy.typing as npt

__all__ = ["TOLERANCE", "compare", "difference", "levelled"]

#: Two scores are equal when they differ by at most this, times the larger of 1 and their magnitudes. The sum of a
#: thousand shares is wrong by about 1e-14; what batches of another shape do to a network's scores is larger, and is
#: measured as the noise floor of a model.
TOLERANCE = 1e-12


@overload
def compare(a: float, b: float, /, *, margin: float = 0.0) -> float: ...
@overload
def compare(a: npt.ArrayLike, b: npt.ArrayLike, /, *, margin: float = 0.0) -> Any: ...
def compare(a: npt.ArrayLike, b: npt.ArrayLike, /, *, margin: float = 0.0) -> Any:
    r"""Return whether scores are greater (1), equal (0) or less (-1) than others.

    .. math:: |a - b| \le m + 10^{-12} \max(1, |a|, |b|) \quad\text{is equal}

    Parameters
    ----------
    a, b : float or array_like
        The scores; their shapes broadcast.
    margin : float
        The m above: a difference of at most this is a tie; in [0, inf).

    Returns
    -------
    float or ndarray of float
        -1, 0 or 1; NaN where a score is NaN, so that nothing unknown keeps or breaks a promise.
        ``compare(b, a)`` is always ``-compare(a, b)``.

    Examples
    --------
    >>> compare(0.1 + 0.2, 0.3), compare(0.8, 0.6, margin=0.2), compare(0.8, 0.6, margin=0.1)
    (0.0, 0.0, 1.0)
    """
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if math.isnan(a) or math.isnan(b):
            return math.nan
        if a == b:
            return 0.0
        scale = max(1.0, abs(a), abs(b))
        if math.isfinite(scale) and abs(a - b) <= margin + TOLERANCE * scale:
            return 0.0
        return 1.0 if a > b else -1.0
    left, right = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    scale = np.maximum(1.0, np.maximum(np.abs(left), np.abs(right)))
    with np.errstate(invalid="ignore", over="ignore"):
        gap = left - right
        near = np.isfinite(scale) & (np.abs(gap) <= margin + TOLERANCE * scale)
    signs = np.sign(np.where(near | (left == right), 0.0, gap))
    return float(signs) if signs.ndim == 0 else signs


def difference(a: npt.ArrayLike, b: npt.ArrayLike, /) -> npt.NDArray[np.float64]:
    """Return ``a - b``, and exactly 0 where the two are equal.

    Examples
    --------
    >>> difference([0.1 + 0.2, 0.5], [0.3, 0.25])
    array([0.  , 0.25])
    """
    gap = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return np.where(np.asarray(compare(np.asarray(a), np.asarray(b))) == 0.0, 0.0, gap)


def levelled(scores: npt.ArrayLike, /) -> npt.NDArray[np.float64]:
    """Return scores in which equal ones are the same number, so that plain comparisons of them agree with each other.

    Equality up to a tolerance is not transitive; in a set of scores those that a chain of equal ones joins are made the
    same: all get the least of them.

    Parameters
    ----------
    scores : array_like of shape (n, ...)
        Compared along the first axis.

    Returns
    -------
    ndarray of shape (n, ...)
        The scores.

    Examples
    --------
    >>> levelled([0.3, 0.1 + 0.2, 0.5]).tolist()
    [0.3, 0.3, 0.5]
    """
    values = np.array(scores, dtype=np.float64)
    order = np.argsort(values, axis=0, kind="stable")
    rising = np.take_along_axis(values, order, axis=0)
    starts = np.ones(rising.shape, dtype=bool)
    starts[1:] = np.asarray(compare(rising[1:], rising[:-1])) != 0.0
    places = np.arange(len(rising)).reshape((-1,) + (1,) * (rising.ndim - 1))
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=0)
    np.put_along_axis(values, order, np.take_along_axis(rising, first, axis=0), axis=0)
    return values
