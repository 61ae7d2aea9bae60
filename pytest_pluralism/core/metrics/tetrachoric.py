"""The tetrachoric correlation of two binary answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import integrate, optimize, special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    finite_array,
)

__all__ = [
    "TetrachoricCorrelation",
    "tetrachoric_correlation",
]


@dataclass(frozen=True, slots=True)
class TetrachoricCorrelation:
    """A tetrachoric correlation with its uncertainty.

    Attributes
    ----------
    correlation : float
        The maximum likelihood estimate, in [-1, 1]; NaN where a margin is constant.
    standard_error : float
        Asymptotic; NaN where the correlation is NaN or at the boundary.
    row_threshold, column_threshold : float
        The latent value above which an answer is the second; infinite where a margin is constant.
    n : float
        The sum of the table.
    degenerate : str
        ``""``, ``"constant"`` (an answer was never given) or ``"boundary"`` (a cell is empty).
    """

    correlation: float
    standard_error: float
    row_threshold: float
    column_threshold: float
    n: float
    degenerate: str = ""


def tetrachoric_correlation(table: npt.ArrayLike, /) -> TetrachoricCorrelation:
    r"""Estimate the correlation of two normal variables of which only "below" and "above" were seen.

    With thresholds :math:`h, k` from the margins, the estimate solves :math:`\Phi_2(h, k; \rho) = n_{11} / n`.
    A table of four cells has as many free cells as the model has parameters, so this is maximum likelihood.

    Parameters
    ----------
    table : array_like, shape (2, 2)
        Number of occurrences of each pair of binary answers (rows: one source, columns: the other); weights
        are allowed.

    Returns
    -------
    TetrachoricCorrelation
        The correlation, in [-1, 1] (1: full agreement; swapping the columns changes its sign), with its standard error.

        An answer that was never given in a row or a column leaves the correlation undefined: NaN, ``"constant"``.
        One empty cell, or two on a diagonal, puts the estimate at the boundary: 1 where the empty cells are off the
        main diagonal, -1 where they are on it, ``"boundary"``, and there is no standard error (NaN).

    Raises
    ------
    InvalidParameterError
        The table is not 2 x 2, not finite, has a negative count, or is empty.

    References
    ----------
    .. [1] K. Pearson, "Mathematical contributions to the theory of evolution. VII", Philosophical Transactions of the
       Royal Society A 195, 1900. doi:10.1098/rsta.1900.0022
    .. [2] G. M. Tallis, "The maximum likelihood estimation of correlation from contingency tables", Biometrics 18(3),
       1962. doi:10.2307/2527476

    Examples
    --------
    >>> found = tetrachoric_correlation([[40, 10], [10, 40]])
    >>> round(found.correlation, 4), round(found.standard_error, 3)
    (0.809, 0.074)
    """
    function = "tetrachoric_correlation"
    counts = finite_array(table, name="table", function=function, minimum_ndim=2)
    if counts.shape != (2, 2):
        raise invalid_parameter("table", function, "a table of shape (2, 2)", f"shape {counts.shape}")
    if (counts < 0).any():
        raise invalid_parameter("table", function, "non-negative", float(counts.min()))
    n = float(counts.sum())
    if n == 0.0:
        raise invalid_parameter("table", function, "a table with at least one count", "only zeros")
    (a, b), (c, d) = counts / n
    row, column = float(a + b), float(a + c)
    h, k = float(special.ndtri(row)), float(special.ndtri(column))
    nan = math.nan
    if 0.0 in (counts.sum(axis=0).min(), counts.sum(axis=1).min()):
        return TetrachoricCorrelation(nan, nan, h, k, n, "constant")
    if 0.0 in (b, c):
        return TetrachoricCorrelation(1.0, nan, h, k, n, "boundary")
    if 0.0 in (a, d):
        return TetrachoricCorrelation(-1.0, nan, h, k, n, "boundary")

    # The angle, not the correlation, is the unknown: its integrand stays bounded up to both ends.
    def density(angle: float) -> float:
        cosine = math.cos(angle)
        return math.exp(-(h * h + k * k - 2.0 * h * k * math.sin(angle)) / (2.0 * cosine * cosine)) / (2.0 * math.pi)

    independent = row * column

    def excess(angle: float) -> float:
        area, _ = integrate.quad(density, 0.0, angle, epsabs=1e-13, epsrel=1e-11, limit=200)
        return independent + float(area) - float(a)

    end = math.pi / 2.0 - 1e-9
    if excess(-end) >= 0.0 or excess(end) <= 0.0:
        # A cell so small that the estimate is 1 to nine digits.
        return TetrachoricCorrelation(-1.0 if excess(-end) >= 0.0 else 1.0, nan, h, k, n, "boundary")
    angle = float(optimize.brentq(excess, -end, end, xtol=1e-13, rtol=1e-13))
    rho, rest = math.sin(angle), math.cos(angle)
    # Delta method on the multinomial shares: how the solution moves with each cell, thresholds included.
    below_row = float(special.ndtr((k - rho * h) / rest))
    below_column = float(special.ndtr((h - rho * k) / rest))
    gradient = np.array([1.0 - below_row - below_column, -below_row, -below_column, 0.0])
    shares = np.array([a, b, c, d])
    variance = float((gradient**2 * shares).sum() - (gradient * shares).sum() ** 2)
    error = math.sqrt(max(variance, 0.0) / n) / (density(angle) / rest)
    return TetrachoricCorrelation(rho, error, h, k, n)
