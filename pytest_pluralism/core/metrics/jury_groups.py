"""Jury pluralism with groups: the worst-off group, welfare between groups, and juries of a stated composition.

Utilities, weights and missing ratings are treated as in :mod:`pytest_pluralism.core.metrics.jury`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.labels import is_missing
from pytest_pluralism.core.metrics.power_mean import power_mean
from pytest_pluralism.core.metrics.utilities import (
    Missing,
    inequality_aversion,
    jurors_last,
    jury_panel,
    utility_array,
    with_unknown,
)
from pytest_pluralism.core.parameters import (
    BoolArray,
    FloatArray,
    IntArray,
    cluster_codes,
    float_or_array,
    generator_of,
    real_number,
)

__all__ = [
    "JuryVerdict",
    "WorstOffGroup",
    "group_weighted_welfare",
    "median_of_juries",
    "two_level_welfare",
    "worst_off_group",
]


@dataclass(frozen=True, eq=False)
class WorstOffGroup:
    """The group that is served worst.

    Attributes
    ----------
    group : label, or numpy.ndarray of labels
        The group with the lowest value in each unit; among equals the one that comes first in ``groups``; ``None``
        where a value is NaN.
    value : float or numpy.ndarray
        Its value.
    groups : tuple
        All groups, in order of first appearance.
    values : numpy.ndarray, shape (..., n_groups)
        The value of every group.
    """

    group: object
    value: FloatArray | float
    groups: tuple[Hashable, ...]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class JuryVerdict:
    """The verdict of sampled juries.

    Attributes
    ----------
    median : float or numpy.ndarray
        The median over the juries.
    jury_means : numpy.ndarray, shape (..., n_juries)
        The mean rating of each jury, from which the spread of verdicts can be read.
    """

    median: FloatArray | float
    jury_means: FloatArray


def _group_members(groups: Sequence[Hashable], n: int, /, *, function: str) -> dict[Hashable, IntArray]:
    """Return the jurors of each group, in order of first appearance."""
    try:
        labels = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    except TypeError as error:
        raise invalid_parameter("groups", function, f"one label a juror ({n})", repr(groups)[:80]) from error
    for place, label in enumerate(labels):
        if is_missing(label):
            raise invalid_parameter("groups", function, "a label for every juror", f"{label!r} at index {place}")
    codes = cluster_codes(labels, n, name="groups", function=function)
    return {label: np.flatnonzero(codes == code) for code, label in enumerate(dict.fromkeys(labels))}


def _within_groups(
    values: FloatArray, weights: FloatArray, members: Mapping[Hashable, IntArray], /, *, alpha: float
) -> FloatArray:
    """Return the welfare within each group; NaN for a group of which nobody counts."""
    columns = []
    for jurors in members.values():
        own = weights[..., jurors]
        silent = own.sum(axis=-1) <= 0.0
        level = power_mean(values[..., jurors], np.where(silent[..., None], 1.0, own), alpha=alpha)
        columns.append(np.where(silent, np.nan, level))
    return np.stack(columns, axis=-1)


def _group_shares(
    group_weights: Mapping[object, float] | None, members: Mapping[Hashable, IntArray], /, *, function: str
) -> FloatArray:
    """Return the weight of each group, in the order of ``members``."""
    if group_weights is None:
        return np.ones(len(members))
    if not isinstance(group_weights, Mapping):
        raise invalid_parameter("group_weights", function, "a mapping from group to weight", repr(group_weights)[:80])
    if set(group_weights) != set(members):
        must = "a weight for each group and for no other (" + ", ".join(map(repr, members)) + ")"
        raise invalid_parameter("group_weights", function, must, ", ".join(map(repr, group_weights)) or "none")
    shares = np.array([real_number(group_weights[label], name="group_weights", function=function) for label in members])
    if (shares < 0.0).any() or shares.sum() <= 0.0:
        must = "non-negative, and positive for at least one group"
        raise invalid_parameter("group_weights", function, must, shares.tolist())
    return shares


def _two_levels(
    panel: tuple[FloatArray, FloatArray, BoolArray],
    groups: Sequence[Hashable],
    group_weights: Mapping[object, float] | None,
    /,
    *,
    within: float,
    between: float,
    function: str,
) -> FloatArray | float:
    values, weights, known = panel
    members = _group_members(groups, values.shape[-1], function=function)
    shares = _group_shares(group_weights, members, function=function)
    levels = _within_groups(values, weights, members, alpha=within)
    # A group that counts and that nobody speaks for makes the unit unknown; a group of weight 0 is not asked.
    silent = np.isnan(levels)
    known = known & ~(silent & (shares > 0.0)).any(axis=-1)
    levels = np.where(silent, 0.0, levels)
    return float_or_array(with_unknown(power_mean(levels, np.broadcast_to(shares, levels.shape), alpha=between), known))


def worst_off_group(
    utilities: npt.ArrayLike,
    groups: Sequence[Hashable],
    /,
    *,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> WorstOffGroup:
    r"""Group with the lowest mean utility, and the means of all groups.

    .. math:: \min_g \frac1{n_g} \sum_{i \in g} j_i

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        Any real utilities.
    groups : sequence of labels, length n_jurors
        The group of each juror.
    axis, weights, missing
        As in :func:`welfare`.

    Returns
    -------
    WorstOffGroup
        The group, its mean (in the unit of the utilities; higher is better), and the means of all.
        Where a group has no rating at all, nobody can say who is worst off: the group is ``None`` and the value NaN.

    Raises
    ------
    InvalidParameterError
        If ``groups`` does not name one group a juror.
    InvalidParameterError
        If a utility is infinite, or is NaN under ``missing="refuse"``.
    InvalidParameterError
        If ``weights`` are negative, all zero, or of another shape.

    References
    ----------
    Chakraborty et al. 2024, MaxMin-RLHF, arXiv:2402.08925.

    Examples
    --------
    >>> worst = worst_off_group([0.9, 0.7, 0.2, 0.4], ["left", "left", "right", "right"])
    >>> worst.group, round(worst.value, 6)
    ('right', 0.3)
    """
    values, juror_weights, known = jury_panel(
        utilities, weights, axis=axis, missing=missing, function="worst_off_group", non_negative=False
    )
    members = _group_members(groups, values.shape[-1], function="worst_off_group")
    means = _within_groups(values, juror_weights, members, alpha=0.0)
    means = np.where(known[..., None], means, np.nan)
    unknown = np.asarray(np.isnan(means).any(axis=-1))
    index = np.asarray(np.argmin(np.where(np.isnan(means), np.inf, means), axis=-1))
    value = np.where(unknown, np.nan, np.take_along_axis(means, index[..., None], axis=-1)[..., 0])
    names = np.empty(len(members), dtype=object)
    names[:] = list(members)
    worst = names[index.reshape(-1)]
    worst[unknown.reshape(-1)] = None
    group = worst[0] if index.ndim == 0 else worst.reshape(index.shape)
    return WorstOffGroup(group=group, value=float_or_array(value), groups=tuple(members), values=means)


def two_level_welfare(
    utilities: npt.ArrayLike,
    groups: Sequence[Hashable],
    /,
    *,
    within_alpha: float,
    between_alpha: float,
    group_weights: Mapping[object, float] | None = None,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the welfare between groups of the welfare within each group.

    .. math:: w_{\beta}\bigl(w_\alpha(j_{g_1}), w_\alpha(j_{g_2}), \dots\bigr)

    Every group has one voice, whatever its size, unless ``group_weights`` say otherwise.

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        At least 0.
    groups : sequence of labels, length n_jurors
        The group of each juror.
    within_alpha, between_alpha : float
        Aversion to inequality within and between groups, in [0, inf].
    group_weights : mapping from label to float, optional
        The weight of each group, for example ``collections.Counter(groups)`` for its size.
    axis, weights, missing
        As in :func:`welfare`; ``weights`` are relative to the other jurors of the group.

    Returns
    -------
    float or numpy.ndarray, shape (...)
        Between the lowest and the highest utility; higher is better.
        A unit in which a group has no rating at all is NaN under ``missing="omit"``: a group is never left out.

    Raises
    ------
    InvalidParameterError
        If ``within_alpha`` or ``between_alpha`` is not in [0, inf].
    InvalidParameterError
        If ``groups`` does not name one group a juror.
    InvalidParameterError
        If ``group_weights`` does not give each group, and no other, a non-negative number, one of them positive.
    InvalidParameterError
        For what :func:`welfare` refuses.

    References
    ----------
    Sorensen et al. 2024, arXiv:2402.05070, section 4.3; Chakraborty et al. 2024, arXiv:2402.08925 (``within_alpha=0,
    between_alpha=inf``).

    Examples
    --------
    >>> two_level_welfare([0.5, 1.0, 0.25], ["a", "a", "b"], within_alpha=0, between_alpha=float("inf"))
    0.25
    """
    name = "two_level_welfare"
    within = inequality_aversion(within_alpha, name="within_alpha", function=name)
    between = inequality_aversion(between_alpha, name="between_alpha", function=name)
    panel = jury_panel(utilities, weights, axis=axis, missing=missing, function=name, non_negative=True)
    return _two_levels(panel, groups, group_weights, within=within, between=between, function=name)


def group_weighted_welfare(
    utilities: npt.ArrayLike,
    groups: Sequence[Hashable],
    /,
    *,
    alpha: float,
    group_weights: Mapping[object, float] | None = None,
    axis: int = -1,
    weights: npt.ArrayLike | None = None,
    missing: Missing = "refuse",
) -> FloatArray | float:
    r"""Compute the welfare of a jury in which each group counts as much as stated, whatever its size.

    .. math:: \Bigl(\sum_g \omega_g \tfrac1{n_g} \sum_{i \in g} j_i^{1-\alpha}\Bigr)^{1/(1-\alpha)}

    Parameters
    ----------
    utilities : array_like, shape (..., n_jurors)
        At least 0.
    groups : sequence of labels, length n_jurors
        The group of each juror.
    alpha : float
        Aversion to inequality, in [0, inf].
    group_weights : mapping from label to float, optional
        The weight of each group; equal by default.
    axis, weights, missing
        As in :func:`two_level_welfare`.

    Returns
    -------
    float or numpy.ndarray, shape (...)
        Between the lowest and the highest utility; higher is better.

    Raises
    ------
    InvalidParameterError
        For what :func:`two_level_welfare` refuses.

    References
    ----------
    Sorensen et al. 2024, arXiv:2402.05070, section 4.3, with weights.

    Examples
    --------
    >>> group_weighted_welfare([0.9, 0.9, 0.9, 0.1], ["a", "a", "a", "b"], alpha=0)
    0.5
    """
    name = "group_weighted_welfare"
    aversion = inequality_aversion(alpha, name="alpha", function=name)
    panel = jury_panel(utilities, weights, axis=axis, missing=missing, function=name, non_negative=True)
    return _two_levels(panel, groups, group_weights, within=aversion, between=aversion, function=name)


def median_of_juries(
    ratings: npt.ArrayLike,
    groups: Sequence[Hashable],
    /,
    *,
    composition: Mapping[Any, int],
    rng: np.random.Generator | int,
    n_juries: int = 100,
    axis: int = -1,
    missing: Literal["refuse", "propagate", "reseat"] = "refuse",
) -> JuryVerdict:
    r"""Compute the median verdict of juries sampled with a stated composition.

    .. math:: \operatorname{median}_{t} \frac1{|J_t|} \sum_{i \in J_t} r_i

    Each jury fills the seats of each group with different jurors of that group, drawn uniformly.
    All units are judged by the same juries, so that two units can be compared in pairs; ``missing="reseat"`` changes
    the seats of jurors without a rating, and no others.

    Parameters
    ----------
    ratings : array_like, shape (..., n_jurors)
        The rating of each juror of the pool; any real numbers.
    groups : sequence of labels, length n_jurors
        The group of each juror.
    composition : mapping from label to int
        Number of seats of each group; groups that are not named have none.
    rng : numpy.random.Generator or int
        The generator, or the seed of one.
    n_juries : int, default 100
        Number of juries that are sampled.
    axis : int, default -1
        The axis of the jurors.
    missing : {"refuse", "propagate", "reseat"}, default "refuse"
        The treatment of a NaN: raise, make the unit NaN, or give the seat to another juror of the group who rated the
        unit (a unit that fewer jurors of a group rated than it has seats is NaN).
        It cannot be omitted, since an empty seat would change the composition.

    Returns
    -------
    JuryVerdict
        The median over juries, in the unit of the ratings, and the mean of each jury.

    Raises
    ------
    InvalidParameterError
        If ``composition`` names a group that has no juror, gives no seat, or gives more seats than there are jurors.
    InvalidParameterError
        If ``n_juries`` is not a positive integer.
    InvalidParameterError
        If ``rng`` is neither a Generator nor a non-negative integer.
    InvalidParameterError
        If ``groups`` does not name one group a juror.
    InvalidParameterError
        If a rating is infinite, or is NaN under ``missing="refuse"``.

    References
    ----------
    Gordon et al. 2022, Jury Learning, doi:10.1145/3491102.3502004.

    Examples
    --------
    >>> verdict = median_of_juries([1, 1, 1, 4], ["a", "a", "a", "b"], composition={"a": 1, "b": 1}, rng=0)
    >>> verdict.median
    2.5
    """
    function = "median_of_juries"
    array = utility_array(
        ratings,
        name="ratings",
        function=function,
        missing=missing,
        policies=("refuse", "propagate", "reseat"),
        non_negative=False,
    )
    values = jurors_last(array, axis=axis, name="ratings", function=function)
    members = _group_members(groups, values.shape[-1], function=function)
    if isinstance(n_juries, bool) or not isinstance(n_juries, (int, np.integer)) or n_juries < 1:
        raise invalid_parameter("n_juries", function, "a positive integer", repr(n_juries))
    if not isinstance(composition, Mapping):
        raise invalid_parameter("composition", function, "a mapping from group to seats", repr(composition)[:80])
    generator = generator_of(rng, function=function)
    seats = np.zeros((int(n_juries), values.shape[-1]))
    ranks: list[tuple[IntArray, int, FloatArray]] = []
    for label, wanted in composition.items():
        jurors = members.get(label)
        if jurors is None:
            must = "made of groups that have jurors (" + ", ".join(map(repr, members)) + ")"
            raise invalid_parameter("composition", function, must, repr(label))
        if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or not 0 <= wanted <= jurors.size:
            must = f"a number of seats in [0, {jurors.size}] for {label!r}, the jurors there are"
            raise invalid_parameter("composition", function, must, repr(wanted))
        # The places of the smallest of independent uniform numbers are a uniform sample without replacement.
        drawn = generator.random((int(n_juries), jurors.size))
        ranks.append((jurors, int(wanted), drawn))
        np.put_along_axis(seats, jurors[np.argsort(drawn, axis=-1)[:, :wanted]], 1.0, axis=-1)
    n_seats = seats[0].sum()
    if n_seats == 0.0:
        raise invalid_parameter("composition", function, "a jury of at least one seat", dict(composition))
    absent = np.isnan(values)
    means = np.where(absent, 0.0, values) @ seats.T / n_seats
    partial = np.asarray(absent.any(axis=-1))
    means = np.where(partial[..., None], np.nan, means)
    if missing == "reseat":
        for unit in map(tuple, np.argwhere(partial).tolist()):
            means[unit] = _reseated(values[unit], ranks, n_seats)
    # A unit that is NaN stays NaN: numpy's median hands a NaN on.
    return JuryVerdict(median=float_or_array(np.asarray(np.median(means, axis=-1))), jury_means=means)


def _reseated(ratings: FloatArray, ranks: Sequence[tuple[IntArray, int, FloatArray]], n_seats: float) -> FloatArray:
    """Return the mean of each jury on one unit when the seats go to those of each group who rated it."""
    total = np.zeros(len(ranks[0][2]))
    for jurors, wanted, drawn in ranks:
        there = np.flatnonzero(~np.isnan(ratings[jurors]))
        if there.size < wanted:
            return np.full_like(total, np.nan)
        if wanted:
            # The same random numbers as for everybody, so that who rated the unit keeps the seat.
            chosen = np.argpartition(drawn[:, there], wanted - 1, axis=-1)[:, :wanted]
            total += ratings[jurors[there[chosen]]].sum(axis=-1)
    means: FloatArray = total / n_seats
    return means
