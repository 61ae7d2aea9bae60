"""Jury pluralism: welfare of all jurors together, inequality, and those who are served worst.

The utilities of the jurors lie along one axis (the last, unless ``axis`` says otherwise); all other axes are units
(responses, questions, draws), and nothing here loops over them.
A NaN is a juror who gave no rating: missing, never 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.metrics.power_mean import Rows, power_mean
from pytest_pluralism.core.metrics.utilities import Missing, inequality_aversion, jurors_last, jury_panel, with_unknown
from pytest_pluralism.core.parameters import FloatArray, IntArray, finite_array, float_or_array, real_number

__all__ = [
    "atkinson_index",
    "conditional_value_at_risk",
    "gini_coefficient",
    "leximin_compare",
    "leximin_order",
    "satisfied_share",
    "welfare",
    "welfare_curve",
]


def welfare(
    utilities: npt.ArrayLike,
    /,
    *,
    alpha: float,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the welfare of a jury, the power mean of its utilities with inequality aversion ``alpha``.

    .. math:: w_\alpha(j) = \Bigl(\tfrac1n \sum_i j_i^{1-\alpha}\Bigr)^{1/(1-\alpha)}, \qquad
        w_1(j) = \Bigl(\prod_i j_i\Bigr)^{1/n}, \qquad w_\infty(j) = \min_i j_i

    ``alpha = 0`` is the utilitarian mean, ``alpha = 1`` Nash's product in the scale of the utilities, ``alpha = 2`` the
    harmonic mean, and ``alpha = inf`` the maximin of Rawls.

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        The utility of the response to each juror, at least 0; ``axis`` names the axis of the jurors.
    alpha : float
        Aversion to inequality, in [0, inf].
    axis : int, default -1
        The axis of the jurors.
    weights : array_like, shape (n_jurors,) or the shape of ``utilities``, optional
        The weight of each juror; weights are relative.
        A juror of weight 0 is not on the jury.
    missing : {"refuse", "propagate", "omit"}, default "refuse"
        The treatment of a NaN: raise, make the unit NaN, or leave this juror out (a unit that nobody rated is NaN).

    Returns
    -------
    float or numpy.ndarray, shape (...)
        Between the lowest and the mean utility, in the unit of the utilities; higher is better.

    Raises
    ------
    InvalidParameterError
        If ``alpha`` is not in [0, inf].
    InvalidParameterError
        If a utility is negative or infinite, or is NaN under ``missing="refuse"``.
    InvalidParameterError
        If ``weights`` are negative, all zero, or of another shape.

    Notes
    -----
    A utility of 0 makes the welfare 0 for ``alpha >= 1`` (the limit of the formula) and is an ordinary summand below.
    The sum is taken in log space: neither a large ``alpha`` nor one close to 1 loses digits.

    References
    ----------
    Sorensen et al. 2024, arXiv:2402.05070, section 4.3; Bakker et al. 2022, arXiv:2211.15006;
    Moulin 2004, Fair Division and Collective Welfare, doi:10.7551/mitpress/2954.001.0001.

    Examples
    --------
    >>> [round(welfare([0.2, 0.8], alpha=alpha), 6) for alpha in (0, 1, 2, float("inf"))]
    [0.5, 0.4, 0.32, 0.2]
    """
    aversion = inequality_aversion(alpha, name="alpha", function="welfare")
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="welfare", non_negative=True
    )
    return float_or_array(with_unknown(power_mean(values, juror_weights, alpha=aversion), known))


def welfare_curve(
    utilities: npt.ArrayLike,
    /,
    *,
    alphas: npt.ArrayLike,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray:
    r"""Compute the welfare over a sweep of ``alpha``.

    .. math:: \alpha \mapsto w_\alpha(j)

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        As in :func:`welfare`.
    alphas : array_like, shape (n_alphas,)
        The values of ``alpha``, each in [0, inf].
    axis, weights, missing
        As in :func:`welfare`.

    Returns
    -------
    numpy.ndarray, shape (n_alphas, ...)
        :func:`welfare` at each ``alpha``; it never rises with ``alpha``.

    Raises
    ------
    InvalidParameterError
        If ``alphas`` is not a non-empty vector of floats in [0, inf].
    InvalidParameterError
        For what :func:`welfare` refuses.

    References
    ----------
    Sorensen et al. 2024, arXiv:2402.05070, section 4.3.

    Examples
    --------
    >>> welfare_curve([0.2, 0.8], alphas=[0, 1, 2]).round(6).tolist()
    [0.5, 0.4, 0.32]
    """
    try:
        sweep = np.asarray(alphas)
    except ValueError as error:
        raise invalid_parameter("alphas", "welfare_curve", "a non-empty vector", repr(alphas)[:80]) from error
    if sweep.ndim != 1 or sweep.size == 0:
        raise invalid_parameter("alphas", "welfare_curve", "a non-empty vector", f"shape {sweep.shape}")
    aversions = [inequality_aversion(alpha, name="alphas", function="welfare_curve") for alpha in sweep.tolist()]
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="welfare_curve", non_negative=True
    )
    return np.stack([with_unknown(power_mean(values, juror_weights, alpha=alpha), known) for alpha in aversions])


def atkinson_index(
    utilities: npt.ArrayLike,
    /,
    *,
    alpha: float,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the share of the mean utility that inequality costs, for a jury with aversion ``alpha``.

    .. math:: A_\alpha(j) = 1 - \frac{w_\alpha(j)}{w_0(j)}

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        As in :func:`welfare`.
    alpha : float
        Aversion to inequality, in [0, inf]; Atkinson's epsilon.
    axis, weights, missing
        As in :func:`welfare`.

    Returns
    -------
    float or numpy.ndarray, shape (...)
        In [0, 1]; 0 is best and means that all are equal.
        It is 1 only where a utility of 0 makes the welfare 0.
        NaN where all utilities are 0: the share of nothing is not defined.

    Raises
    ------
    InvalidParameterError
        For what :func:`welfare` refuses.

    References
    ----------
    Atkinson 1970, On the measurement of inequality, doi:10.1016/0022-0531(70)90039-6.

    Examples
    --------
    >>> round(atkinson_index([0.2, 0.8], alpha=1), 6)
    0.2
    """
    aversion = inequality_aversion(alpha, name="alpha", function="atkinson_index")
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="atkinson_index", non_negative=True
    )
    values = _relative(values)
    mean = power_mean(values, juror_weights, alpha=0.0)
    level = np.minimum(power_mean(values, juror_weights, alpha=aversion), mean)
    nothing = mean <= 0.0
    index = 1.0 - level / np.where(nothing, 1.0, mean)
    return float_or_array(with_unknown(index, known & ~nothing))


def _relative(values: FloatArray, /) -> FloatArray:
    """Return utilities relative to the greatest: for an index without a scale, so that the smallest keep their mean."""
    greatest = values.max(axis=-1, keepdims=True)
    relative: FloatArray = values / np.where(greatest > 0.0, greatest, 1.0)
    return relative


def _ascending(values: FloatArray, weights: FloatArray, /) -> tuple[FloatArray, FloatArray]:
    """Return utilities from worst to best and the share of the jury up to and including each."""
    order = np.argsort(values, axis=-1, kind="stable")
    cumulated = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    return np.take_along_axis(values, order, axis=-1), cumulated / cumulated[..., -1:]


def gini_coefficient(
    utilities: npt.ArrayLike,
    /,
    *,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the Gini coefficient of the jurors' utilities.

    .. math:: G(j) = \frac{\sum_{i,k} |j_i - j_k|}{2 n^2 \bar j}

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        At least 0.
    axis, weights, missing
        As in :func:`welfare`.

    Returns
    -------
    float or numpy.ndarray, shape (...)
        In [0, 1 - 1/n]; 0 is best and means that all are equal.
        NaN where all utilities are 0.

    Raises
    ------
    InvalidParameterError
        If a utility is negative or infinite, or is NaN under ``missing="refuse"``.
    InvalidParameterError
        If ``weights`` are negative, all zero, or of another shape.

    References
    ----------
    Sen 1973, On Economic Inequality, section 2.7, doi:10.1093/0198281935.001.0001.

    Examples
    --------
    >>> round(gini_coefficient([1, 2, 3, 4]), 6)
    0.25
    """
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="gini_coefficient", non_negative=True
    )
    values = _relative(values)
    ordered, share = _ascending(values, juror_weights)
    mean = power_mean(values, juror_weights, alpha=0.0)
    nothing = mean <= 0.0
    # Summed over the steps between neighbours: every term is non-negative, and equal utilities give exactly 0.
    below = share[..., :-1]
    spread = (below * (1.0 - below) * np.diff(ordered, axis=-1)).sum(axis=-1)
    return float_or_array(with_unknown(spread / np.where(nothing, 1.0, mean), known & ~nothing))


def satisfied_share(
    utilities: npt.ArrayLike,
    /,
    *,
    threshold: float,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the share of the jurors with a utility above a threshold, the MAX-SAT welfare.

    .. math:: \frac1n \sum_i [j_i > \tau]

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        Any real utilities.
    threshold : float
        A juror with a utility above it is satisfied; one with a utility equal to it is not.
    axis, weights, missing
        As in :func:`welfare`.

    Returns
    -------
    float or numpy.ndarray, shape (...)
        In [0, 1]; 1 is best.

    Raises
    ------
    InvalidParameterError
        If ``threshold`` is not a finite number.
    InvalidParameterError
        If a utility is infinite, or is NaN under ``missing="refuse"``.
    InvalidParameterError
        If ``weights`` are negative, all zero, or of another shape.

    References
    ----------
    Sorensen et al. 2024, arXiv:2402.05070, section 4.3.

    Examples
    --------
    >>> satisfied_share([0.2, 0.5, 0.8, 0.9], threshold=0.5)
    0.5
    """
    bound = real_number(threshold, name="threshold", function="satisfied_share")
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="satisfied_share", non_negative=False
    )
    satisfied = np.where(np.asarray(compare(values, bound)) > 0, juror_weights, 0.0)
    return float_or_array(with_unknown(satisfied.sum(axis=-1) / juror_weights.sum(axis=-1), known))


def conditional_value_at_risk(
    utilities: npt.ArrayLike,
    /,
    *,
    share: float,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the mean utility of the worst-off share of the jury.

    .. math:: \frac1s \int_0^s F^{-1}(u)\,du

    where :math:`F` is the distribution of the utilities; the juror on the border counts in part.

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        Any real utilities.
    share : float
        The share ``s`` of the jury, in (0, 1].
    axis, weights, missing
        As in :func:`welfare`.

    Returns
    -------
    float or numpy.ndarray, shape (...)
        Between the minimum (small ``share``) and the mean (``share=1``), in the unit of the utilities.
        Higher is better.

    Raises
    ------
    InvalidParameterError
        If ``share`` is not in (0, 1].
    InvalidParameterError
        If a utility is infinite, or is NaN under ``missing="refuse"``.
    InvalidParameterError
        If ``weights`` are negative, all zero, or of another shape.

    References
    ----------
    Rockafellar and Uryasev 2002, Conditional value-at-risk for general loss distributions,
    doi:10.1016/S0378-4266(02)00271-6.

    Examples
    --------
    >>> conditional_value_at_risk([1, 2, 3, 4], share=0.5)
    1.5
    """
    tail = real_number(share, name="share", function="conditional_value_at_risk")
    if not 0.0 < tail <= 1.0:
        raise invalid_parameter("share", "conditional_value_at_risk", "a float in (0, 1]", share)
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="conditional_value_at_risk", non_negative=False
    )
    ordered, upto = _ascending(values, juror_weights)
    counted = np.diff(np.minimum(upto, tail), axis=-1, prepend=0.0)
    low, high = Rows().extremes(values, juror_weights)
    result = np.clip((counted * ordered).sum(axis=-1) / counted.sum(axis=-1), low, high)
    return float_or_array(with_unknown(result, known))


def leximin_order(utilities: npt.ArrayLike, /) -> IntArray:
    r"""Sort candidates by the worst-off juror, then the second worst-off, and so on.

    Candidate a comes before b when, at the first rank from below where their sorted utilities differ, a has more.

    Parameters
    ----------
    utilities : array_like, shape (..., n_candidates, n_jurors)
        The utility of each candidate to each juror; any real number.

    Returns
    -------
    numpy.ndarray of int, shape (..., n_candidates)
        Indices of the candidates, best first; candidates with the same sorted utilities keep their order.

    Raises
    ------
    InvalidParameterError
        If ``utilities`` has fewer than two axes or is not finite everywhere.
        Ratings that are missing are refused: sorted utilities of different juries have no common ranks.

    References
    ----------
    Sen 1970, Collective Choice and Social Welfare, chapter 9 (the lexicographic form of Rawls' principle).

    Examples
    --------
    >>> leximin_order([[1, 9, 9], [2, 2, 2], [2, 2, 3]]).tolist()
    [2, 1, 0]
    """
    array = finite_array(utilities, name="utilities", function="leximin_order", minimum_ndim=2)
    ranked = np.sort(array, axis=-1)
    # lexsort sorts by its last key first and keeps equals in order.
    keys = -np.moveaxis(ranked, -1, 0)[::-1]
    return np.lexsort(keys, axis=-1)


def leximin_compare(a: npt.ArrayLike, b: npt.ArrayLike, /, *, axis: int = -1) -> npt.NDArray[np.int8] | int:
    r"""Compare two candidates by leximin.

    .. math:: \operatorname{sign}(a_{(k)} - b_{(k)}), \quad k = \min\{k : a_{(k)} \ne b_{(k)}\}

    Parameters
    ----------
    a, b : array_like, shape (..., n_jurors)
        The utilities of the two candidates, for the same jurors; other axes broadcast.
    axis : int, default -1
        The axis of the jurors.

    Returns
    -------
    int or numpy.ndarray of int, shape (...)
        1 where ``a`` is better, -1 where ``b`` is, 0 where their sorted utilities are the same.

    Raises
    ------
    InvalidParameterError
        If ``a`` or ``b`` is not finite everywhere (missing ratings are refused).
    InvalidParameterError
        If the numbers of jurors differ, or the other axes do not broadcast.

    References
    ----------
    Sen 1970, Collective Choice and Social Welfare, chapter 9.

    Examples
    --------
    >>> leximin_compare([1, 5, 3], [2, 1, 9])
    1
    """
    function = "leximin_compare"
    left = np.sort(jurors_last(finite_array(a, name="a", function=function), axis=axis, name="a", function=function))
    right = np.sort(jurors_last(finite_array(b, name="b", function=function), axis=axis, name="b", function=function))
    if left.shape[-1] != right.shape[-1]:
        must = f"utilities of the same jurors as 'a' ({left.shape[-1]})"
        raise invalid_parameter("b", function, must, f"{right.shape[-1]} jurors")
    try:
        signs = np.sign(left - right)
    except ValueError as error:
        must = f"of a shape that broadcasts with 'a' {left.shape}"
        raise invalid_parameter("b", function, must, f"shape {right.shape}") from error
    first = np.asarray(np.argmax(np.asarray(signs != 0.0), axis=-1))
    decided = np.take_along_axis(signs, first[..., None], axis=-1)[..., 0].astype(np.int8)
    return int(decided) if decided.ndim == 0 else decided
