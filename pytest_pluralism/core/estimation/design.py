"""Effective numbers of respondents of a complex sample: how much strata and clusters change the spread of shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.survey import effective_sample_size
from pytest_pluralism.core.parameters import FloatArray, IntArray

__all__ = ["SampleDesign", "design_effective_size"]


@dataclass(frozen=True)
class SampleDesign:
    """The design of a sample: for each respondent the stratum, and the cluster that was drawn.

    Attributes
    ----------
    strata : array of int, (n_respondents,)
        The number of the stratum, from 0; all 0 without strata.
    clusters : array of int, (n_respondents,), or None
        The number of the primary sampling unit, from 0, which belongs to one stratum; ``None`` where each respondent
        was drawn alone.
    """

    strata: IntArray
    clusters: IntArray | None = None

    @property
    def n_units(self) -> IntArray:
        """The number of primary sampling units of each stratum."""
        if self.clusters is None:
            return np.bincount(self.strata)
        stratum_of = np.zeros(int(self.clusters.max(initial=-1)) + 1, dtype=np.intp)
        stratum_of[self.clusters] = self.strata
        return np.bincount(stratum_of)

    @property
    def n_single(self) -> int:
        """The number of strata with one primary sampling unit, whose spread nobody knows."""
        return int(np.sum(self.n_units == 1))


def design_effective_size(
    answers: npt.ArrayLike, weights: npt.ArrayLike, design: SampleDesign, /, *, n_options: int
) -> float:
    r"""Return the number of respondents of a simple random sample whose shares vary as much as those of a design.

    .. math:: n_\text{eff} = \frac{\sum_k p_k (1 - p_k)}{\sum_k \widehat{\mathrm{var}}(p_k)}

    The variance of each share is linearised (Taylor) and taken between the primary sampling units within strata, drawn
    with replacement. Respondents without an answer count as members of their units outside the domain, so that the
    answers of a group are estimated as a domain of the whole sample. A stratum with one unit adds its squared
    deviation from the mean of the whole sample.

    Parameters
    ----------
    answers : array of int, (n_respondents,)
        The option that each respondent chose; -1 for those who gave no answer or are not in the group.
    weights : array of float, (n_respondents,)
        Sampling weights, not negative.
    design : SampleDesign
        Strata and clusters.
    n_options : int
        Number of options.

    Returns
    -------
    float
        Greater than 0; the effective size of Kish where everybody gave the same answer. It may exceed the number of
        respondents where strata make a sample better than a simple one.

    Raises
    ------
    InvalidParameterError
        If nobody answered.

    References
    ----------
    D. A. Binder, "On the variances of asymptotically normal estimators from complex surveys", International
    Statistical Review 51, 1983, doi:10.2307/1402588. J. N. K. Rao, A. J. Scott, "On chi-squared tests for multiway
    contingency tables with cell proportions estimated from survey data", Annals of Statistics 12, 1984,
    doi:10.1214/aos/1176346391.

    Examples
    --------
    >>> design = SampleDesign(np.zeros(4, dtype=int), np.array([0, 0, 1, 1]))
    >>> round(design_effective_size([0, 0, 1, 1], [1.0] * 4, design, n_options=2), 3)
    1.0
    """
    chosen, weight = np.asarray(answers, dtype=np.intp), np.asarray(weights, dtype=np.float64)
    inside = chosen >= 0
    chosen, weight = chosen[inside], weight[inside]
    total = float(weight.sum())
    if total <= 0:
        raise invalid_parameter("answers", "design_effective_size", "answers with a positive weight", "none")
    shares = np.bincount(chosen, weight, n_options) / total
    n_units = design.n_units
    strata = design.strata[inside]
    if design.clusters is None:
        # Each respondent is a unit, so that sums by stratum and option say all.
        sums = _by(strata, chosen, weight, len(n_units), n_options)
        squares = _by(strata, chosen, weight**2, len(n_units), n_options)
        first = sums - sums.sum(axis=1, keepdims=True) * shares
        second = squares * (1 - 2 * shares) + squares.sum(axis=1, keepdims=True) * shares**2
    else:
        n_clusters = int(design.clusters.max(initial=-1)) + 1
        sums = _by(design.clusters[inside], chosen, weight, n_clusters, n_options)
        deviations = sums - sums.sum(axis=1, keepdims=True) * shares
        stratum_of = np.zeros(n_clusters, dtype=np.intp)
        stratum_of[design.clusters] = design.strata
        first = np.zeros((len(n_units), n_options))
        second = np.zeros_like(first)
        np.add.at(first, stratum_of, deviations)
        np.add.at(second, stratum_of, deviations**2)
    n: FloatArray = n_units[:, None].astype(np.float64)
    within = n / np.maximum(n - 1, 1) * (second - first**2 / np.maximum(n, 1))
    variance = float(np.where(n > 1, within, second).sum()) / total**2
    spread = float(np.sum(shares * (1 - shares)))
    if spread <= 0 or variance <= 0:
        return effective_sample_size(weight)
    return spread / variance


def _by(rows: IntArray, columns: IntArray, values: FloatArray, n_rows: int, n_columns: int) -> FloatArray:
    """Return the sums of values by two codes, shape (n_rows, n_columns)."""
    found = np.bincount(rows * n_columns + columns, values, n_rows * n_columns)
    return found.astype(np.float64).reshape(n_rows, n_columns)
