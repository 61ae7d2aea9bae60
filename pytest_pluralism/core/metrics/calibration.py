"""Measures of distributions as predictions of one person's answer: the Brier score and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.metrics.distributional import (
    distribution_pair,
)
from pytest_pluralism.core.parameters import (
    FloatArray,
    float_or_array,
    whole_number,
)

__all__ = [
    "BrierDecomposition",
    "brier_decomposition",
    "brier_score",
    "calibration_error",
]


@dataclass(frozen=True, slots=True)
class BrierDecomposition:
    """The Brier score of soft targets, and the two parts that it is the sum of.

    Attributes
    ----------
    score : float or ndarray
        The expected Brier score, in [0, 2], lower is better.
    excess : float or ndarray
        The part that the prediction adds: its squared distance to the reference, in [0, 2], best 0.
    irreducible : float or ndarray
        The part that people's disagreement costs the best prediction: the Gini impurity of the reference, in
        [0, 1 - 1/K].
    """

    score: float | FloatArray
    excess: float | FloatArray
    irreducible: float | FloatArray


def brier_score(p: npt.ArrayLike, q: npt.ArrayLike, /) -> float | FloatArray:
    r"""Compute the expected Brier score of predicting ``p`` for one person drawn from ``q``.

    .. math:: B(p, q) = \sum_i q_i \sum_j (p_j - [i = j])^2 = \sum_j (p_j - q_j)^2 + 1 - \sum_j q_j^2

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the prediction, the reference); the leading axes broadcast.

    Returns
    -------
    float or ndarray, shape (...)
        Unitless, in [0, 2]; lower is better. The best possible value is ``1 - sum(q**2)``, reached by ``p = q``.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.

    References
    ----------
    .. [1] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1),
       1950. doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2

    Examples
    --------
    >>> brier_score([0.5, 0.5], [1.0, 0.0])
    0.5
    """
    return _brier(p, q, "brier_score").score


def brier_decomposition(p: npt.ArrayLike, q: npt.ArrayLike, /) -> BrierDecomposition:
    r"""Split the expected Brier score into what the prediction adds and what no prediction can avoid.

    .. math:: B(p, q) = \sum_j (p_j - q_j)^2 + \Bigl(1 - \sum_j q_j^2\Bigr)

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the prediction, the reference); the leading axes broadcast.

    Returns
    -------
    BrierDecomposition
        ``score = excess + irreducible``; see there for ranges.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.

    References
    ----------
    .. [1] M. H. DeGroot and S. E. Fienberg, "The comparison and evaluation of forecasters", The Statistician 32, 1983.
       doi:10.2307/2987588

    Examples
    --------
    >>> brier_decomposition([0.75, 0.25], [0.5, 0.5])
    BrierDecomposition(score=0.625, excess=0.125, irreducible=0.5)
    """
    return _brier(p, q, "brier_decomposition")


def calibration_error(p: npt.ArrayLike, q: npt.ArrayLike, /, *, n_bins: int = 10) -> float:
    r"""Compute how far stated probabilities are from the shares of people, over bins of the stated probability.

    .. math:: C = \sum_b \frac{n_b}{n} \, |\bar p_b - \bar q_b|

    over all n pairs of a unit and an option, in equal-width bins of the prediction.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the prediction, the reference); the leading axes broadcast. All units are pooled.
    n_bins : int, default 10
        Number of bins that divide [0, 1]; the last one holds 1. More bins see more and are noisier.

    Returns
    -------
    float
        Unitless, in [0, 1]; 0 is best. Blind to who is wrong about which option: answers whose errors cancel within a
        bin are calibrated.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.
    InvalidParameterError
        ``n_bins`` is not a positive int.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
       binning", AAAI 2015. doi:10.1609/aaai.v29i1.9602

    Examples
    --------
    >>> calibration_error([[0.9, 0.1], [0.9, 0.1]], [[0.7, 0.3], [0.7, 0.3]])
    0.2
    """
    bins = whole_number(n_bins, name="n_bins", function="calibration_error")
    first, second = np.broadcast_arrays(*distribution_pair(p, q, "calibration_error"))
    stated, actual = first.reshape(-1), second.reshape(-1)
    code = np.minimum((stated * bins).astype(np.intp), bins - 1)
    away = np.bincount(code, weights=stated - actual, minlength=bins)
    return float(np.abs(away).sum() / stated.size)


def _brier(p: npt.ArrayLike, q: npt.ArrayLike, function: str) -> BrierDecomposition:
    first, second = np.broadcast_arrays(*distribution_pair(p, q, function))
    excess = ((first - second) ** 2).sum(axis=-1)
    irreducible = np.maximum(1.0 - (second**2).sum(axis=-1), 0.0)
    return BrierDecomposition(float_or_array(excess + irreducible), float_or_array(excess), float_or_array(irreducible))
