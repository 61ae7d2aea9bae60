"""Comparing two results unit by unit: the paired difference, exact tests, non-inferiority and equivalence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.intervals import cluster_contributions, estimate_mean, units_of
from pytest_pluralism.core.parameters import FloatArray, cluster_codes, real_number, same_length
from pytest_pluralism.core.records import Estimate

__all__ = [
    "HypothesisTest",
    "compare_paired",
    "equivalence",
    "mcnemar",
    "non_inferiority",
    "sign_flip",
    "subtract_estimates",
]


def compare_paired(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    /,
    *,
    clusters: Sequence[Any] | npt.NDArray[Any] | None = None,
    confidence_level: float | None = 0.95,
    unit_ids: Sequence[Any] | None = None,
    other_clusters: Sequence[Any] | npt.NDArray[Any] | None = None,
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
        What makes units dependent.
    confidence_level : float in (0, 1) or None
        ``None``: the units are the whole set.
    unit_ids : sequence, shape (n,), optional
        Names of the units, kept in the estimate.
    method, n_resamples, rng
        As in ``estimate_mean``; never a share's interval, because differences are no shares.

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
    if method == "wilson":
        raise invalid_parameter("method", function, "one for differences, which are no shares", repr(method))
    left = _side(candidate, "candidate", function)
    right = _side(baseline, "baseline", function)
    same_length(left, right, name="candidate", other_name="baseline", function=function)
    differences = left - right
    if method == "auto" and other_clusters is None:
        # Differences of shares may all be 0 or 1 and must not be taken for shares.
        method = "skewness"
    return estimate_mean(
        differences,
        clusters=clusters,
        confidence_level=confidence_level,
        unit_ids=unit_ids,
        other_clusters=other_clusters,
        method=method,
        n_resamples=n_resamples,
        rng=rng,
    )


def subtract_estimates(left: Estimate, right: Estimate, /) -> Estimate:
    """Return the paired difference ``left - right`` of two estimates over the same units.

    Units are matched by their names, whatever their order.

    Parameters
    ----------
    left, right : Estimate
        Two estimates that keep their units.

    Returns
    -------
    Estimate
        The mean difference with its own clustered interval, at the level of ``left``; it keeps the differences by
        unit, so that it can be subtracted again.

    Raises
    ------
    InvalidParameterError
        If an estimate keeps no named units (it was made without ``unit_ids``, or with weights).
    InvalidParameterError
        If the two are not about the same units or the same clusters of them.
    InvalidParameterError
        If the two have different confidence levels.

    Examples
    --------
    >>> left = estimate_mean([0.5, 0.6, 0.9], unit_ids=["a", "b", "c"])
    >>> right = estimate_mean([0.4, 0.3, 0.4], unit_ids=["c", "a", "b"])
    >>> round(subtract_estimates(left, right).value, 6)
    0.3
    """
    function = "subtract_estimates"
    for name, estimate in (("left", left), ("right", right)):
        if not estimate.values or len(estimate.unit_ids) != len(estimate.values):
            raise invalid_parameter(name, function, "an estimate that keeps its units by name", f"{estimate}")
    if set(left.unit_ids) != set(right.unit_ids):
        only_left = sorted(set(left.unit_ids) - set(right.unit_ids))
        only_right = sorted(set(right.unit_ids) - set(left.unit_ids))
        raise InvalidParameterError(
            "Two estimates can only be subtracted when they are about the same units: "
            f"{_some(only_left)} only on the left, {_some(only_right)} only on the right."
        )
    if left.confidence_level != right.confidence_level:
        raise invalid_parameter(
            "right", function, f"an estimate at the left one's confidence level ({left.confidence_level})",
            right.confidence_level,
        )
    place = {unit_id: i for i, unit_id in enumerate(right.unit_ids)}
    order = [place[unit_id] for unit_id in left.unit_ids]
    left_units, right_units = units_of(left), units_of(right)
    if left_units.keys() != right_units.keys() or not all(
        _same_partition(left_units[key], right_units[key], order) for key in left_units
    ):
        raise invalid_parameter("right", function, "clustered like the left one", "other clusters of the same units")
    return compare_paired(
        left.values,
        [right.values[i] for i in order],
        confidence_level=left.confidence_level,
        unit_ids=left.unit_ids,
        **left_units,
    )


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


def _side(values: npt.ArrayLike, name: str, function: str) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_parameter(name, function, "an array of numbers", repr(values)[:80]) from error
    if array.ndim != 1 or array.size == 0:
        raise invalid_parameter(name, function, "a non-empty array with one axis", f"shape {array.shape}")
    if np.isinf(array).any():
        raise invalid_parameter(name, function, "finite everywhere", "an infinity")
    return array


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(repr(name) for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _same_partition(left: Any, right: Any, order: list[int]) -> bool:
    if left is None or right is None:
        single = left if right is None else right
        return single is None or len(set(single)) == len(single)
    pairs = {(a, right[i]) for a, i in zip(left, order, strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
