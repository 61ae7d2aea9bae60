"""Scores in clusters: their mean, its standard error, and the degrees of freedom of that error."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import FloatArray, IntArray, cluster_codes, moderate_array, number_array
from pytest_pluralism.core.records import Estimate

__all__ = [
    "Balanced",
    "ClusteredSample",
    "IntArray",
    "UnitLabels",
    "cluster_contributions",
    "clustered_standard_error",
    "units_of",
]


#: Labels of units, one a unit.
Labels = Iterable[Hashable] | npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class UnitLabels:
    """The facts of each unit beside its score, as they are given: nothing is checked yet."""

    clusters: Labels | None = None
    other_clusters: Labels | None = None
    unit_ids: Labels | None = None
    weights: npt.ArrayLike | None = None


class Clusterings(TypedDict):
    """The clusterings that an estimate keeps, as keywords of ``estimate_mean``."""

    clusters: tuple[str, ...] | None
    other_clusters: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class Balanced:
    """Contributions of clusters with a standard error and degrees of freedom that allow for unequal sizes."""

    scores: FloatArray
    error: float
    freedom: float


@dataclass(frozen=True, eq=False)
class ClusteredSample:
    """Scores without gaps.

    Attributes
    ----------
    values : numpy.ndarray of float, shape (n,)
        The scores.
    codes, others : numpy.ndarray of int, shape (n,)
        The cluster of each unit, from 0 on, and its cluster in a second, crossed clustering (or None).
    masses : numpy.ndarray of float, shape (n,), or None
        The weights of the units.
    """

    values: FloatArray
    codes: IntArray
    others: IntArray | None = None
    masses: FloatArray | None = None

    def kept(self, keep: npt.NDArray[np.bool_], /) -> ClusteredSample:
        """Return the sample of some of its units."""
        if keep.all():
            return self
        others, masses = self.others, self.masses
        return ClusteredSample(
            self.values[keep],
            _recode(self.codes[keep]),
            None if others is None else _recode(others[keep]),
            None if masses is None else masses[keep],
        )

    @property
    def n_clusters(self) -> int:
        """The number of clusters; the smaller one of two clusterings."""
        one = _count(self.codes)
        return one if self.others is None else min(one, _count(self.others))

    @property
    def is_plain(self) -> bool:
        """Whether there is one clustering and no weights."""
        return self.others is None and self.masses is None

    @property
    def is_of_single_shares(self) -> bool:
        """Whether each unit stands alone and has a score in [0, 1]."""
        alone = self.is_plain and self.n_clusters == len(self.values)
        return alone and bool(((self.values >= 0.0) & (self.values <= 1.0)).all())

    @property
    def is_constant(self) -> bool:
        """Whether all scores are the same number."""
        return bool((self.values == self.values[0]).all())

    @cached_property
    def shares(self) -> FloatArray:
        """The share of each cluster in the whole."""
        return _shares(self.codes, self.masses)

    @property
    def has_equal_clusters(self) -> bool:
        """Whether all clusters are of one size."""
        return bool((self.shares == self.shares[0]).all())

    @property
    def has_a_cluster_of_all(self) -> bool:
        """Whether one cluster has all the weight up to rounding, so that nothing is known about others."""
        if self.masses is None:
            return False
        sides = [self.shares] if self.others is None else [self.shares, _shares(self.others, self.masses)]
        return any(bool((1.0 - 2.0 * one + float(np.sum(one**2)) <= 0.0).any()) for one in sides)

    @cached_property
    def mean(self) -> float:
        """The mean, whatever the order of the units."""
        if self.is_constant:
            return float(self.values[0])
        if self.masses is None:
            # fsum does not depend on the order of the units.
            return math.fsum(self.values) / len(self.values)
        return math.fsum(self.values * self.masses) / math.fsum(self.masses)

    def contributions(self) -> FloatArray:
        """Return what each cluster adds to ``mean - expectation``, times G, with a mean of 0."""
        masses = self.masses
        share = np.full(len(self.values), 1.0 / len(self.values)) if masses is None else masses / masses.sum()
        residuals = share * (self.values - self.mean)
        contributions: FloatArray = _count(self.codes) * np.bincount(self.codes, weights=residuals).astype(np.float64)
        return contributions

    def standard_error(self) -> float:
        """Return the clustered standard error of the mean; NaN with fewer than two clusters."""
        if self.others is None:
            return math.sqrt(self._variance())
        both = _recode(self.codes * (int(self.others.max()) + 1) + self.others)
        first, second, crossed = (
            ClusteredSample(self.values, codes, None, self.masses)._variance()
            for codes in (self.codes, self.others, both)
        )
        variance = first + second - crossed
        if math.isnan(variance):
            return math.nan
        return math.sqrt(variance if variance > 0 else max(first, second))

    def _variance(self) -> float:
        n_clusters = _count(self.codes)
        if n_clusters < 2:
            return math.nan
        if self.is_constant:
            # The mean of equal numbers may be off by a rounding, which must not pass for a variance.
            return 0.0
        return float(np.sum(self.contributions() ** 2)) / (n_clusters * (n_clusters - 1))

    @cached_property
    def balanced(self) -> Balanced:
        """The contributions, the standard error and its degrees of freedom, with allowance for unequal clusters.

        With w_g the share of cluster g and s the sum of their squares, a residual of cluster means that vary equally
        has the expected square 1 - 2 w_g + s. Dividing by it makes the variance unbiased, and Satterthwaite's degrees
        of freedom are those of the resulting quadratic form, in closed form. Equal clusters give G / (G - 1) and G - 1.
        """
        shares = self.shares
        n_clusters = len(shares)
        if self.has_equal_clusters:
            return Balanced(self.contributions(), math.sqrt(self._variance()), float(n_clusters - 1))
        s = float(np.sum(shares**2))
        scores = self.contributions() / np.sqrt(1.0 - 2.0 * shares + s)
        error = math.sqrt(float(np.sum(scores**2))) / n_clusters
        return Balanced(scores, error, self.freedom)

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom."""
        shares = self.shares
        s = float(np.sum(shares**2))
        expected = 1.0 - 2.0 * shares + s
        if (expected <= 0.0).any():
            return 1.0
        u = shares**2 / expected
        # tr(M^2) for M_gh = sqrt(u_g u_h) (delta_gh - w_g - w_h + s), expanded so that no (G, G) matrix is needed.
        a, b, c = float(np.sum(u)), float(np.sum(u * shares)), float(np.sum(u * shares**2))
        crossed = s * s * a * a + 2 * a * c - 4 * s * a * b + 2 * b * b
        diagonal = float(np.sum(u**2 * (expected**2 - (s - 2.0 * shares) ** 2)))
        return max(1.0, s**2 / (crossed + diagonal))


def clustered_standard_error(
    values: npt.ArrayLike,
    /,
    *,
    clusters: Labels | None = None,
    other_clusters: Labels | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    r"""Return the clustered standard error of a mean.

    One way: the formula of :func:`estimate_mean`. Two ways: :math:`V = V_1 + V_2 - V_{12}`, each with its own
    G/(G-1); when that is not positive, the greater of :math:`V_1` and :math:`V_2`.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One score a unit.
    clusters, other_clusters : sequence of hashable, shape (n,), optional
        The clusterings.
    weights : array_like of float, shape (n,), optional
        Sampling weights.

    Returns
    -------
    float
        In [0, inf); NaN with fewer than two clusters.

    Raises
    ------
    InvalidParameterError
        If values are empty, not one-dimensional or not finite, or the others are not one a unit.

    References
    ----------
    E. Miller, 2024, arXiv:2411.00640, section 2.2; Cameron, Gelbach and Miller, 2011, doi:10.1198/jbes.2010.07136.

    Examples
    --------
    >>> round(clustered_standard_error([1.0, 2.0, 3.0, 4.0]), 4)
    0.6455
    >>> clustered_standard_error([1.0, 2.0, 3.0, 4.0], clusters=["a", "a", "b", "b"])
    1.0
    """
    function = "clustered_standard_error"
    array = checked_scores(values, function=function)
    if np.isnan(array).any():
        raise invalid_parameter("values", function, "finite everywhere", "nan")
    sample = read_sample(array, UnitLabels(clusters, other_clusters, weights=weights), function=function)
    return sample.kept(np.ones(len(array), dtype=bool) if sample.masses is None else sample.masses > 0).standard_error()


def cluster_contributions(array: FloatArray, codes: IntArray, masses: FloatArray | None = None, /) -> FloatArray:
    """Return what each cluster adds to ``mean - expectation``, times G: their mean is 0, their spread the error's."""
    return ClusteredSample(array, codes, None, masses).contributions()


# --------------------------------------------------------------------------------------------------------- reading


def read_sample(array: FloatArray, labels: UnitLabels, /, *, function: str) -> ClusteredSample:
    """Return scores (NaN where there is none) with their clusters and weights, checked."""
    n, others = len(array), labels.other_clusters
    codes = cluster_codes(labels.clusters, n, function=function)
    other_codes = None if others is None else cluster_codes(others, n, name="other_clusters", function=function)
    masses = None if labels.weights is None else _weights(labels.weights, n, function=function)
    return ClusteredSample(array, codes, other_codes, masses)


def checked_scores(values: npt.ArrayLike, /, *, function: str) -> FloatArray:
    """Return scores as an array with one axis; NaN stands for no score."""
    array = number_array(values, name="values", function=function)
    if array.ndim != 1 or array.size == 0:
        raise invalid_parameter("values", function, "a non-empty array with one axis", f"shape {array.shape}")
    if np.isinf(array).any():
        where = int(np.flatnonzero(np.isinf(array))[0])
        raise invalid_parameter("values", function, "finite everywhere", f"{array[where]} at index {where}")
    return moderate_array(array, name="values", function=function)


def _weights(weights: npt.ArrayLike, n: int, *, function: str) -> FloatArray:
    masses = number_array(weights, name="weights", function=function)
    if masses.shape != (n,):
        raise invalid_parameter("weights", function, f"one number a unit ({n})", f"shape {masses.shape}")
    if not np.isfinite(masses).all() or (masses < 0).any():
        raise invalid_parameter("weights", function, "finite and non-negative", repr(masses.tolist())[:80])
    moderate_array(masses, name="weights", function=function)
    if float(masses.sum()) == 0.0:
        raise invalid_parameter("weights", function, "positive for at least one unit", "0 in total")
    return masses


def checked_unit_ids(unit_ids: Labels | None, n: int, /, *, function: str) -> tuple[str, ...]:
    """Return names of units as strings; none where none are given."""
    if unit_ids is None:
        return ()
    try:
        ids = tuple(str(unit_id) for unit_id in unit_ids)
    except TypeError as error:
        raise invalid_parameter("unit_ids", function, f"one name a unit ({n})", repr(unit_ids)[:80]) from error
    if len(ids) != n:
        raise invalid_parameter("unit_ids", function, f"one name a unit ({n})", f"{len(ids)} names")
    if len(set(ids)) != n:
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise invalid_parameter("unit_ids", function, "all different", f"{twice!r} more than once")
    return ids


def stored_labels(labels: Labels | None, /) -> tuple[str, ...]:
    """Return the labels of clusters as strings for a record, different ones as different strings."""
    if labels is None:
        return ()
    given = list(labels)
    names = [str(label) for label in given]
    if len(set(names)) != len(set(given)):
        # 1 and "1" are different clusters; their representations keep them apart.
        names = [repr(label) for label in given]
    return tuple(names)


def units_of(estimate: Estimate, /) -> Clusterings:
    """Return the ``clusters`` and ``other_clusters`` that an estimate keeps, as keywords of ``estimate_mean``."""
    return {"clusters": estimate.clusters or None, "other_clusters": estimate.other_clusters or None}


def _shares(codes: IntArray, masses: FloatArray | None) -> FloatArray:
    shares = np.bincount(codes, weights=masses)
    whole: FloatArray = shares / shares.sum()
    return whole


def _count(codes: IntArray) -> int:
    return int(codes.max()) + 1


def _recode(codes: IntArray) -> IntArray:
    return np.unique(codes, return_inverse=True)[1].astype(np.intp)
