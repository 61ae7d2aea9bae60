"""Comparing two results unit by unit: the paired difference, exact tests, non-inferiority and equivalence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.at_level import bound_p_value, checked_estimate
from pytest_pluralism.core.estimation.intervals import WantedInterval, estimate_units
from pytest_pluralism.core.estimation.sample import Labels, UnitLabels
from pytest_pluralism.core.parameters import (
    FloatArray,
    cluster_codes,
    finite_array,
    generator_of,
    moderate_array,
    number_array,
    one_of,
    real_number,
    same_length,
    whole_number,
)
from pytest_pluralism.core.records import Estimate

__all__ = [
    "ENUMERATED_CLUSTERS",
    "HypothesisTest",
    "compare_paired",
    "equivalence",
    "mcnemar",
    "non_inferiority",
    "sign_flip",
]

_ALTERNATIVES = ("two-sided", "greater", "less")

#: Up to this many clusters all sign patterns are counted: 2 ** 16 of them.
ENUMERATED_CLUSTERS = 16


def compare_paired(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    /,
    *,
    clusters: Labels | None = None,
    confidence_level: float | None = 0.95,
    unit_ids: Labels | None = None,
    other_clusters: Labels | None = None,
    method: str = "auto",
    n_resamples: int = 9999,
    rng: np.random.Generator | int = 0,
) -> Estimate:
    r"""Estimate the mean of the paired differences ``candidate - baseline``, clustered.

    .. math:: \bar d = \frac{1}{n}\sum_i (c_i - b_i)

    with the interval of :func:`~pytest_pluralism.core.estimation.estimate_mean` on the differences.

    Parameters
    ----------
    candidate, baseline : array_like of float, shape (n,)
        The scores of the same units in the same order. A unit with NaN on either side counts as missing.
    clusters, other_clusters : sequence of hashable, shape (n,), optional
        The cluster of each unit; units of one cluster are dependent.
    confidence_level : float in (0, 1) or None
        ``None``: the units are the whole set.
    unit_ids : sequence, shape (n,), optional
        Names of the units, kept in the estimate.
    method, n_resamples, rng
        As in ``estimate_mean``; never a share's interval, because differences are not shares, and where ``"auto"``
        would be ``"skewness"`` it is ``"outer"``: a gate on change tests one end at a time.

    Returns
    -------
    Estimate
        The mean difference, in the units of the scores; negative when the candidate's scores are lower.

    Raises
    ------
    InvalidParameterError
        If the two sides are not equally long, or for any reason of ``estimate_mean``.

    Notes
    -----
    Degenerate cases: when every difference is exactly 0 the interval is [0, 0].

    References
    ----------
    E. Miller, "Adding error bars to evals", 2024, arXiv:2411.00640, section 4 (paired differences).

    Examples
    --------
    >>> print(compare_paired([0.3, 0.5, 0.4], [0.2, 0.4, 0.2], method="t"))
    0.133 [-0.010, 0.277]
    """
    function = "compare_paired"
    if isinstance(method, str) and method in ("clopper-pearson", "wilson"):
        raise invalid_parameter("method", function, "one for differences, which are no shares", repr(method))
    left = _side(candidate, "candidate", function)
    right = _side(baseline, "baseline", function)
    same_length(left, right, name="candidate", other_name="baseline", function=function)
    # Differences of shares may all be 0 or 1 and must not be taken for shares.
    wanted = WantedInterval(confidence_level, method, n_resamples, rng, differences=True, function=function)
    return estimate_units(left - right, UnitLabels(clusters, other_clusters, unit_ids), wanted)


# ---------------------------------------------------------------------------------------------------------- tests


@dataclass(frozen=True, slots=True)
class HypothesisTest:
    """The outcome of a test: its p-value and how it came about.

    ``statistic`` is what was tested, in the units of the scores (for McNemar: the number of units that changed for
    the better for the candidate); ``n`` how many independent clusters or units carried the test; ``exact`` whether the
    p-value was enumerated instead of drawn or approximated.
    """

    p_value: float
    statistic: float
    n: int
    exact: bool
    method: str


def sign_flip(
    differences: npt.ArrayLike,
    /,
    *,
    clusters: Labels | None = None,
    margin: float = 0.0,
    alternative: str = "two-sided",
    n_resamples: int = 99_999,
    rng: np.random.Generator | int = 0,
) -> HypothesisTest:
    r"""Test the mean of paired differences by flipping the signs of whole clusters.

    Under the null hypothesis the total of each cluster, :math:`\sum_{i \in g} (d_i - \text{margin})`, is as likely to
    have the other sign. All :math:`2^G` sign patterns are counted when at most 16 clusters have a total other than 0,
    which makes the p-value exact; beyond, ``n_resamples`` patterns are drawn and the observed one is counted with them.

    Parameters
    ----------
    differences : array_like of float, shape (n,)
        Paired differences, candidate - baseline.
    clusters : sequence of hashable, shape (n,), optional
        The cluster of each unit; units of one cluster are dependent.
    margin : float
        The difference under the null hypothesis.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: the mean difference is above the margin.
    n_resamples : int
        How many sign patterns are drawn when there are too many to count.
    rng : numpy.random.Generator or int
        The generator, or the seed of one.

    Returns
    -------
    HypothesisTest
        ``p_value`` in (0, 1]; ``statistic`` is the mean difference minus the margin.

    Raises
    ------
    InvalidParameterError
        If the differences are empty or not finite, or clusters are not one a unit.
    InvalidParameterError
        If the alternative is unknown, the margin not finite or n_resamples not positive.

    Notes
    -----
    Degenerate cases: when every cluster's total is 0, the p-value is 1. With G clusters no one-sided p-value is below
    :math:`2^{-G}`.

    References
    ----------
    R. A. Fisher, "The Design of Experiments", 1935, section 21. J. Kuebler et al., 2026, arXiv:2602.10144.

    Examples
    --------
    >>> sign_flip([0.1, 0.2, 0.3, 0.2, 0.1], alternative="greater").p_value
    0.03125
    """
    function = "sign_flip"
    array = finite_array(differences, name="differences", function=function, moderate=True)
    if array.ndim != 1:
        raise invalid_parameter("differences", function, "an array with one axis", f"shape {array.shape}")
    null = real_number(margin, name="margin", function=function)
    one_of(alternative, _ALTERNATIVES, name="alternative", function=function)
    n_resamples = whole_number(n_resamples, name="n_resamples", function=function)
    generator = generator_of(rng, function=function)
    codes = cluster_codes(clusters, len(array), function=function)
    totals = np.bincount(codes, weights=array - null)
    n_clusters = len(totals)
    # A total of 0 has no sign to flip: leaving it out changes no p-value and shortens the count.
    totals = totals[totals != 0.0]
    observed = float(totals.sum())
    # Sums that are equal on paper differ by roundings, which must not decide whether a pattern is as extreme.
    slack = 1e-12 * float(np.abs(totals).sum())

    def as_extreme(sums: FloatArray) -> int:
        if alternative == "greater":
            return int((sums >= observed - slack).sum())
        if alternative == "less":
            return int((sums <= observed + slack).sum())
        return int((np.abs(sums) >= abs(observed) - slack).sum())

    exact = len(totals) <= ENUMERATED_CLUSTERS
    if exact:
        patterns = np.arange(2 ** len(totals))[:, None] >> np.arange(len(totals)) & 1
        p_value = as_extreme((1.0 - 2.0 * patterns) @ totals) / len(patterns)
    else:
        count, left, block = 0, n_resamples, max(1, 4_000_000 // len(totals))
        while left > 0:
            signs = 1.0 - 2.0 * generator.integers(0, 2, size=(min(block, left), len(totals)))
            count += as_extreme(signs @ totals)
            left -= block
        p_value = (count + 1) / (n_resamples + 1)
    how = "sign flips, all patterns" if exact else f"sign flips, {n_resamples} drawn"
    return HypothesisTest(p_value, float(array.mean()) - null, n_clusters, exact, how)


def non_inferiority(
    change: Estimate, /, *, margin: float, noise_floor: float = 0.0, worse: str = "higher"
) -> HypothesisTest:
    """Test that a candidate is not worse than its baseline by the margin or more.

    The null hypothesis is that it is; a small p-value shows non-inferiority. It is below ``(1 - level) / 2`` only
    when a gate with ``max_increase=margin`` (``worse="lower"``: ``max_decrease``) passes at ``level``.

    Parameters
    ----------
    change : Estimate
        The paired difference candidate - baseline.
    margin : float
        The greatest change for the worse that does not matter, in [0, inf).
    noise_floor : float
        The measured numeric noise; the margin is at least this.
    worse : {"higher", "lower"}
        Which direction is worse: higher for a distance, lower for a coverage.

    Returns
    -------
    HypothesisTest
        ``p_value`` in [0, 1], small when non-inferior; NaN when the change has no interval. ``statistic`` is the
        change.

    Raises
    ------
    InvalidParameterError
        If the margin or the noise floor is negative or not finite, or the direction is unknown.

    Notes
    -----
    Degenerate cases: a change of exactly 0 in every unit has no error; with a positive margin its p-value is 0, with a
    margin of 0 it is 1, although a gate passes an unchanged model even then.

    References
    ----------
    G. Piaggio et al., "Reporting of noninferiority and equivalence randomized trials", JAMA 308, 2012,
    doi:10.1001/jama.2012.87802 (one-sided 2.5 % beside two-sided 95 % intervals).

    Examples
    --------
    >>> change = compare_paired([0.31, 0.42, 0.53, 0.39], [0.30, 0.43, 0.52, 0.40])
    >>> non_inferiority(change, margin=0.05).p_value < 0.025
    True
    """
    function = "non_inferiority"
    limit = max(
        _margin(margin, name="margin", function=function), _margin(noise_floor, name="noise_floor", function=function)
    )
    one_of(worse, ("higher", "lower"), name="worse", function=function)
    checked_estimate(change, name="change", function=function)
    if worse == "higher":
        p_value = bound_p_value(change, limit, alternative="less")
    else:
        p_value = bound_p_value(change, -limit, alternative="greater")
    return HypothesisTest(p_value, change.value, change.n_clusters, False, f"non-inferiority, {change.method}")


def equivalence(change: Estimate, /, *, margin: float, noise_floor: float = 0.0) -> HypothesisTest:
    """Test that a change lies within the margin on both sides: two one-sided tests.

    Parameters
    ----------
    change : Estimate
        The paired difference candidate - baseline.
    margin : float
        The greatest change, either way, that does not matter, in [0, inf).
    noise_floor : float
        The measured numeric noise; the margin is at least this.

    Returns
    -------
    HypothesisTest
        ``p_value`` in [0, 1], the greater of the two one-sided ones, small when equivalent; NaN when the change has no
        interval.

    Raises
    ------
    InvalidParameterError
        If the margin or the noise floor is negative or not finite.

    References
    ----------
    D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987, doi:10.1007/BF01068419.

    Examples
    --------
    >>> change = compare_paired([0.31, 0.42, 0.53, 0.39], [0.30, 0.43, 0.52, 0.40])
    >>> equivalence(change, margin=0.05).p_value < 0.025
    True
    """
    higher = non_inferiority(change, margin=margin, noise_floor=noise_floor, worse="higher")
    lower = non_inferiority(change, margin=margin, noise_floor=noise_floor, worse="lower")
    p_value = math.nan if math.isnan(higher.p_value + lower.p_value) else max(higher.p_value, lower.p_value)
    return HypothesisTest(p_value, change.value, change.n_clusters, False, f"equivalence, {change.method}")


def mcnemar(candidate: npt.ArrayLike, baseline: npt.ArrayLike, /, *, alternative: str = "two-sided") -> HypothesisTest:
    r"""Test whether two results on the same yes-or-no units differ: McNemar's test, exact.

    With b units where only the candidate says yes and c where only the baseline does, b is binomial(b + c, 1/2) when
    neither is better.

    Parameters
    ----------
    candidate, baseline : array_like of 0 and 1 (or bool), shape (n,)
        The same units in the same order, each its own cluster.
    alternative : {"two-sided", "greater", "less"}
        ``"less"``: the candidate says yes to fewer units; the test for a degraded model.

    Returns
    -------
    HypothesisTest
        ``p_value`` in (0, 1]; ``statistic`` is b and ``n`` is b + c.

    Raises
    ------
    InvalidParameterError
        If a side holds anything but 0 and 1, or the two are not equally long.
    InvalidParameterError
        If the alternative is unknown.

    Notes
    -----
    Degenerate cases: when no unit differs, the p-value is 1.

    References
    ----------
    Q. McNemar, Psychometrika 12, 1947, doi:10.1007/BF02295996. J. Kuebler et al., 2026, arXiv:2602.10144.

    Examples
    --------
    >>> mcnemar([1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1], alternative="less").p_value
    0.03125
    """
    function = "mcnemar"
    left = finite_array(candidate, name="candidate", function=function, moderate=True)
    right = finite_array(baseline, name="baseline", function=function, moderate=True)
    for name, side in (("candidate", left), ("baseline", right)):
        if side.ndim != 1 or not np.isin(side, (0.0, 1.0)).all():
            raise invalid_parameter(name, function, "an array of 0 and 1 with one axis", f"shape {side.shape}")
    same_length(left, right, name="candidate", other_name="baseline", function=function)
    one_of(alternative, _ALTERNATIVES, name="alternative", function=function)
    better, worse = int((left > right).sum()), int((left < right).sum())
    changed = better + worse
    p_value = 1.0 if changed == 0 else _binomial_p_value(better, changed, alternative)
    return HypothesisTest(p_value, float(better), changed, True, "McNemar, exact")


def _binomial_p_value(better: int, changed: int, alternative: str) -> float:
    fewer, more = float(special.bdtr(better, changed, 0.5)), float(special.bdtr(changed - better, changed, 0.5))
    return {"less": fewer, "greater": more, "two-sided": min(2 * min(fewer, more), 1.0)}[alternative]


def _margin(value: float, *, name: str, function: str) -> float:
    number = real_number(value, name=name, function=function)
    if number < 0:
        raise invalid_parameter(name, function, "a float in [0, inf)", value)
    return number


def _side(values: npt.ArrayLike, name: str, function: str) -> FloatArray:
    array = number_array(values, name=name, function=function)
    if array.ndim != 1 or array.size == 0:
        raise invalid_parameter(name, function, "a non-empty array with one axis", f"shape {array.shape}")
    if np.isinf(array).any():
        raise invalid_parameter(name, function, "finite everywhere", "an infinity")
    return moderate_array(array, name=name, function=function)


def some(names: list[str], /) -> str:
    """Return a few of the names, and how many more there are."""
    if not names:
        return "none"
    return ", ".join(repr(name) for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def same_partition(left: Sequence[str] | None, right: Sequence[str] | None, order: list[int], /) -> bool:
    """Return whether two clusterings of the same units are one, whatever its clusters are called."""
    if left is None or right is None:
        single = [right[i] for i in order] if right is not None else left
        return single is None or len(set(single)) == len(single)
    pairs = {(a, right[i]) for a, i in zip(left, order, strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
