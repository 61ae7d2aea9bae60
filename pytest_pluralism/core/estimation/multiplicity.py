"""Several promises in one run: p-values adjusted for how many there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import FloatArray, finite_array, one_of, whole_number

__all__ = ["adjust_p_values", "benjamini_hochberg", "bonferroni", "holm", "look_factor"]


def holm(p_values: npt.ArrayLike, /) -> FloatArray:
    r"""Adjust p-values so that the chance of any false alarm stays at the level (Holm).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\big(1, (m - j + 1)\, p_{(j)}\big)

    Valid however the tests depend on one another, and never weaker than Bonferroni's.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        One p-value a test.

    Returns
    -------
    numpy.ndarray of float, shape (m,)
        Adjusted p-values in [0, 1], in the given order; each at least its p-value.

    Raises
    ------
    InvalidParameterError
        If there are none, they have more than one axis, or one is not in [0, 1].

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    array = _p_values(p_values, "holm")
    order = np.argsort(array, kind="stable")
    steps = np.maximum.accumulate(array[order] * np.arange(len(array), 0, -1))
    return _in_given_order(steps, order)


def bonferroni(p_values: npt.ArrayLike, /) -> FloatArray:
    """Adjust p-values by Bonferroni's inequality: each times their number, at most 1.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        One p-value a test.

    Returns
    -------
    numpy.ndarray of float, shape (m,)
        Adjusted p-values in [0, 1], in the given order.

    Raises
    ------
    InvalidParameterError
        If there are none, they have more than one axis, or one is not in [0, 1].

    Examples
    --------
    >>> bonferroni([0.01, 0.5]).tolist()
    [0.02, 1.0]
    """
    array = _p_values(p_values, "bonferroni")
    adjusted: FloatArray = np.minimum(1.0, array * len(array))
    return adjusted


def benjamini_hochberg(p_values: npt.ArrayLike, /) -> FloatArray:
    r"""Adjust p-values so that the expected share of false alarms among all alarms stays at the level.

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \min\big(1, \tfrac{m}{j}\, p_{(j)}\big)

    Valid for independent or positively dependent tests.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        One p-value a test.

    Returns
    -------
    numpy.ndarray of float, shape (m,)
        Adjusted p-values in [0, 1], in the given order; each at least its p-value.

    Raises
    ------
    InvalidParameterError
        If there are none, they have more than one axis, or one is not in [0, 1].

    References
    ----------
    Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57, 1995, 289-300, doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    array = _p_values(p_values, "benjamini_hochberg")
    order = np.argsort(array, kind="stable")
    m = len(array)
    # m / j >= 1, computed first: p * m / j could round to just below p.
    steps = np.minimum.accumulate((array[order] * (m / np.arange(1, m + 1)))[::-1])[::-1]
    return _in_given_order(steps, order)


def adjust_p_values(p_values: npt.ArrayLike, /, *, method: str = "holm") -> FloatArray:
    """Adjust p-values by the named method.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        One p-value a test.
    method : {"holm", "bonferroni", "benjamini_hochberg", "none"}
        How.

    Returns
    -------
    numpy.ndarray of float, shape (m,)
        Adjusted p-values in [0, 1], in the given order.

    Raises
    ------
    InvalidParameterError
        If the method is unknown, or for any reason of the method.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.5], method="bonferroni").tolist()
    [0.02, 1.0]
    """
    if isinstance(method, str) and method == "none":
        return _p_values(p_values, "adjust_p_values").copy()
    return _METHODS[one_of(method, [*_METHODS, "none"], name="method", function="adjust_p_values")](p_values)


_METHODS: dict[str, Callable[[npt.ArrayLike], FloatArray]] = {
    "holm": holm,
    "bonferroni": bonferroni,
    "benjamini_hochberg": benjamini_hochberg,
}


#: Looks that nothing counts each spend this part of the error of one look: a run that only compares stores nothing, and
#: is the first look of its baseline every time. With a fifth, any twenty of them spend the error of four.
UNCOUNTED = 5.0


def look_factor(look: int, /, *, plan: int | str = "counted") -> float:
    r"""Return the number by which p-values are multiplied at one of several looks at the same baseline.

    .. math:: \sum_{k \ge 1} \frac{\alpha}{\max(5, k^2)} < 0.8\,\alpha

    With ``"counted"``, look k spends :math:`\alpha / \max(5, k^2)`, so that the chance of any false failure over any
    number of counted looks is below that of a single one, however the looks depend on one another (the sum of their
    chances bounds it). A run that stores nothing is not counted, and is the same look again: any twenty such runs fail
    falsely with a chance of at most :math:`20 \alpha / 5`, which is 10 % at 95 % confidence. With a planned number N
    each of the first N looks spends :math:`\alpha / N`, and later ones :math:`\alpha / k^2`. Both hold as far as the
    p-value of each look is right.

    Parameters
    ----------
    look : int
        The number of this look, from 1.
    plan : int or {"counted", "each"}
        The planned number of looks; ``"counted"`` plans none, and ``"each"`` takes every look by itself.

    Returns
    -------
    float
        In [1, inf).

    Raises
    ------
    InvalidParameterError
        If the look or the planned number is not a whole number from 1.

    References
    ----------
    K. K. G. Lan and D. L. DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983,
    doi:10.1093/biomet/70.3.659 (spending).

    Examples
    --------
    >>> look_factor(1), look_factor(5), look_factor(5, plan=20)
    (5.0, 25.0, 20.0)
    """
    number = whole_number(look, name="look", function="look_factor")
    if plan == "each":
        return 1.0
    squared = float(number) ** 2
    if plan == "counted":
        return max(UNCOUNTED, squared)
    planned = whole_number(plan, name="plan", function="look_factor")
    return float(planned) if number <= planned else squared


def _p_values(p_values: npt.ArrayLike, function: str) -> FloatArray:
    array = finite_array(p_values, name="p_values", function=function)
    if array.ndim != 1:
        raise invalid_parameter("p_values", function, "an array with one axis", f"shape {array.shape}")
    if (array < 0).any() or (array > 1).any():
        where = int(np.flatnonzero((array < 0) | (array > 1))[0])
        raise invalid_parameter("p_values", function, "in [0, 1]", f"{array[where]} at index {where}")
    return array


def _in_given_order(steps: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted
