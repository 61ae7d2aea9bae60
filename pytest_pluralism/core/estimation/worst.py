"""The worst of several groups: intervals that allow for having looked for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.at_level import as_difference, interval_at
from pytest_pluralism.core.estimation.selection import level_for
from pytest_pluralism.core.estimation.trust import is_alike_but_one, is_too_certain, unseen_end
from pytest_pluralism.core.parameters import one_of
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = ["estimate_worst", "worst_advantage", "worst_change"]

#: Returns the paired change of one group, or its advantage over a reference, at a confidence level.
Paired = Callable[[float | None], Estimate]

#: The lower and the upper end of an interval of which higher is better.
Ends = tuple[float, float]


def estimate_worst(estimates: Mapping[str, Estimate], /, *, direction: str = "higher") -> tuple[str, Estimate]:
    r"""Return the group that fares worst, and its value with an interval that allows for having looked for it.

    With the interval :math:`[l_g, h_g]` of each of k groups at the level :math:`\gamma`, and :math:`h'_g` at the level
    :math:`1 - (1 - \gamma) / k`, the interval of :math:`\min_g \mu_g` is

    .. math:: [\min_g l_g, \min_g h'_g].

    The lower end needs no adjustment: it is below that of the group that is truly worst, whichever that is. So a
    promise passes when every group keeps it (an intersection-union test), and fails when one breaks it by Bonferroni's
    inequality.

    Parameters
    ----------
    estimates : mapping of str to Estimate
        One for each group, at least one, all at one confidence level.
    direction : {"higher", "lower"}
        The values that are better; with ``"lower"`` the largest value is the worst, and the ends change places.

    Returns
    -------
    str
        The group with the worst value, the first of several.
    Estimate
        Its value. The ends are NaN where a group has no interval, or too few units to trust one without a spread.

    Raises
    ------
    InvalidParameterError
        There is no estimate, the levels differ, or ``direction`` is none of the two.

    References
    ----------
    R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982,
    doi:10.1080/00401706.1982.10487790 (intersection-union tests).

    Examples
    --------
    >>> groups = {"north": Estimate(0.7, 0.6, 0.8, 0.05, 50, 50), "south": Estimate(0.6, 0.5, 0.7, 0.05, 50, 50)}
    >>> name, worst = estimate_worst(groups)
    >>> name, round(worst.low, 3), round(worst.high, 3)
    ('south', 0.5, 0.715)
    """
    sign, level = _checked(estimates, direction, "estimate_worst")
    place = min(estimates, key=lambda name: _first(sign * estimates[name].value))
    value = estimates[place].value
    if any(math.isnan(one.value) for one in estimates.values()):
        value = math.nan
    low = high = value
    blurred: list[str] = []
    if level is not None and not math.isnan(value):
        strict = {name: interval_at(one, level_for(len(estimates), level)) for name, one in estimates.items()}
        ends = {name: (_lower(one, sign), _ends(strict[name], sign)[1]) for name, one in estimates.items()}
        low, high = (_least(column) for column in zip(*ends.values(), strict=True))
        low, high = (low, high) if sign > 0 else (-high, -low)
        blurred = _blurred(ends)
    elif not math.isnan(value):
        # Without an interval the ends are those that the answers leave open.
        choose = min if sign > 0 else max
        low, high = (choose(getattr(one, end) for one in estimates.values()) for end in ("low", "high"))
    return place, _estimate(value, low, high, estimates, level, blurred)


def worst_change(
    now: Mapping[str, Estimate],
    before: Mapping[str, Estimate],
    paired: Mapping[str, Paired],
    /,
    *,
    direction: str = "higher",
) -> Estimate:
    r"""Return the change of the value of the group that fares worst, whichever group that is before and now.

    .. math:: \min_g \mu_g - \min_h \mu^0_h = \min_g \max_h \, (\mu_g - \mu^0_h)
        = \max_h \min_g \, (\mu_g - \mu^0_h)

    The lower end is the first of these of the lower ends of the k x k differences, the upper end the second of their
    upper ends, each at the level :math:`1 - (1 - \gamma) / k`. The group that is truly worst now has k differences,
    and so has the one that was, so that Bonferroni's inequality over k, not over all pairs, makes both ends hold. The
    difference of one group is paired by its units; that of two groups adds the two half-widths, which holds however
    they depend on each other.

    Parameters
    ----------
    now, before : mapping of str to Estimate
        The groups of the two sides, all at one confidence level.
    paired : mapping of str to callable
        For each group a function that returns its paired change, now minus before, at a confidence level.
    direction : {"higher", "lower"}
        The values that are better.

    Returns
    -------
    Estimate
        The change in the units of the values. The ends are NaN where those of a group are.

    Raises
    ------
    InvalidParameterError
        The groups of the two sides differ, or the levels, or ``direction`` is none of the two.

    Examples
    --------
    >>> before = {"north": Estimate(0.7, 0.6, 0.8, 0.05, 50, 50), "south": Estimate(0.5, 0.4, 0.6, 0.05, 50, 50)}
    >>> same = Estimate(0.0, -0.01, 0.01, 0.005, 50, 50)
    >>> change = worst_change(before, before, {name: lambda level: same for name in before})
    >>> change.value, change.low, round(change.high, 2)
    (0.0, -0.01, 0.01)
    """
    sign, level = _checked(now, direction, "worst_change")
    if now.keys() != before.keys() or now.keys() != paired.keys():
        raise invalid_parameter("before", "worst_change", f"of the groups {', '.join(now)}", ", ".join(before))
    value = estimate_worst(now, direction=direction)[1].value - estimate_worst(before, direction=direction)[1].value
    low = high = value
    changes: list[Estimate] = []
    blurred: list[str] = []
    if level is not None and not math.isnan(value):
        strict = level_for(len(now), level)
        ours = {name: _ends(interval_at(one, strict), sign) for name, one in now.items()}
        theirs = {name: _ends(interval_at(one, strict), sign) for name, one in before.items()}
        # A group in which no unit changed has no change, however few its units are.
        own = {name: as_difference(make(strict)) for name, make in paired.items()}
        changes = list(own.values())
        of_change = {name: _ends_of_change(one, sign) for name, one in own.items()}
        low, high = _of_pairs(ours, theirs, of_change)
        low, high = (low, high) if sign > 0 else (-high, -low)
        blurred = _blurred(ours, theirs, of_change)
    elif level is None and any(one.bounds for one in (*now.values(), *before.values())):
        # Without an interval the ends are those that the answers leave open.
        own = {name: as_difference(make(None)) for name, make in paired.items()}
        low, high = _of_pairs(
            {name: _open_ends(one, sign) for name, one in now.items()},
            {name: _open_ends(one, sign) for name, one in before.items()},
            {name: _open_ends(one, sign) for name, one in own.items()},
        )
        low, high = (low, high) if sign > 0 else (-high, -low)
    return _difference(now, value, low, high, level, changes, blurred)


def worst_advantage(
    now: Mapping[str, Estimate], paired: Mapping[str, Paired], /, *, direction: str = "higher"
) -> Estimate:
    r"""Return by how much the group that fares worst is better off than the one that fares worst under a reference.

    .. math:: \min_g s \mu_g - \min_h s \rho_h = \min_g \max_h \, s (\mu_g - \rho_h)

    with the value :math:`\mu_g` of a group, :math:`\rho_h` that of the reference for a group, and s = -1 where lower
    values are better, else 1. The interval is made as that of :func:`worst_change`, of k x k differences at the level
    :math:`1 - (1 - \gamma) / k`. The advantage of one group is paired by its units. Between two groups it is the
    difference of their values plus the advantage of the second, and the three half-widths are added, which holds
    however they depend on each other.

    Parameters
    ----------
    now : mapping of str to Estimate
        The groups, all at one confidence level.
    paired : mapping of str to callable
        For each group a function that returns its paired advantage over the reference, above 0 where the group is
        better off, at a confidence level.
    direction : {"higher", "lower"}
        The values that are better.

    Returns
    -------
    Estimate
        The advantage: above 0 when the worst group is better off than that of the reference. The ends are NaN where
        those of a group are.

    Raises
    ------
    InvalidParameterError
        The groups differ, or the levels, or ``direction`` is none of the two.

    Examples
    --------
    >>> groups = {"north": Estimate(0.7, 0.6, 0.8, 0.05, 50, 50), "south": Estimate(0.5, 0.4, 0.6, 0.05, 50, 50)}
    >>> gain = Estimate(0.2, 0.15, 0.25, 0.025, 50, 50)
    >>> advantage = worst_advantage(groups, {name: lambda level: gain for name in groups})
    >>> round(advantage.value, 3), round(advantage.low, 3)
    (0.2, 0.15)
    """
    sign, level = _checked(now, direction, "worst_advantage")
    if now.keys() != paired.keys():
        raise invalid_parameter("paired", "worst_advantage", f"of the groups {', '.join(now)}", ", ".join(paired))
    strict = None if level is None else level_for(len(now), level)
    gains = {name: as_difference(make(strict)) for name, make in paired.items()}
    values = {name: sign * one.value for name, one in now.items()}
    value = _least(values.values()) - _least(values[name] - gain.value for name, gain in gains.items())
    ours: dict[str, Ends] = {}
    own: dict[str, Ends] = {}
    if strict is not None and not math.isnan(value):
        ours = {name: _ends(interval_at(one, strict), sign) for name, one in now.items()}
        own = {name: _ends_of_change(gain, 1.0) for name, gain in gains.items()}
    elif any(one.bounds for one in (*now.values(), *gains.values())):
        # Without an interval the ends are those that the answers leave open.
        ours = {name: _open_ends(one, sign) for name, one in now.items()}
        own = {name: _open_ends(gain, 1.0) for name, gain in gains.items()}
    theirs = {name: (ends[0] - own[name][1], ends[1] - own[name][0]) for name, ends in ours.items()}
    low, high = _of_pairs(ours, theirs, own) if ours else (value, value)
    blurred = [] if strict is None else _blurred(ours, own)
    return _difference(now, value, low, high, level, list(gains.values()), blurred)


def _open_ends(estimate: Estimate, sign: float) -> Ends:
    """Return the ends of an estimate without an interval, where higher is better."""
    return (estimate.low, estimate.high) if sign > 0 else (-estimate.high, -estimate.low)


def _of_pairs(ours: Mapping[str, Ends], theirs: Mapping[str, Ends], own: Mapping[str, Ends]) -> Ends:
    """Return the ends of the difference of the least of ours and the least of theirs, where higher is better.

    ``own`` has the ends of the difference of a group with itself, which is paired. The difference is a minimum over
    ours of maxima over theirs, and a maximum over theirs of minima over ours: each end takes the narrower of the two.
    """
    pairs = {
        (name, other): own[name] if name == other else (mine[0] - its[1], mine[1] - its[0])
        for name, mine in ours.items()
        for other, its in theirs.items()
    }
    low = _least(_most(pairs[name, other][0] for other in theirs) for name in ours)
    high = _most(_least(pairs[name, other][1] for name in ours) for other in theirs)
    return low, high


def _difference(
    now: Mapping[str, Estimate],
    value: float,
    low: float,
    high: float,
    level: float | None,
    of: list[Estimate],
    blurred: list[str],
) -> Estimate:
    """Return the estimate of a difference of worst groups; a unit that lacks one of both sides is missing."""
    found = _estimate(value, min(low, value), max(high, value), now, level, blurred)
    n_missing = max(found.n_missing, sum(one.n_missing for one in of))
    n_asked = found.n + found.n_missing
    return replace(found, n=n_asked - n_missing, n_missing=n_missing, how=replace(found.how, difference=True))


def _checked(estimates: Mapping[str, Estimate], direction: str, function: str) -> tuple[float, float | None]:
    """Return the sign that makes higher values better, and the level of all estimates."""
    one_of(direction, ("higher", "lower"), name="direction", function=function)
    if not estimates:
        raise invalid_parameter("estimates", function, "at least one estimate", "none")
    levels = {one.confidence_level for one in estimates.values()}
    if len(levels) > 1:
        raise invalid_parameter("estimates", function, "at one confidence level", f"{sorted(map(str, levels))}")
    return (1.0 if direction == "higher" else -1.0), next(iter(levels))


def _first(value: float) -> float:
    """Return a value by which a NaN comes first."""
    return -math.inf if math.isnan(value) else value


def _ends(estimate: Estimate, sign: float) -> Ends:
    """Return the ends of an interval where higher is better; NaN where nothing is known of the spread."""
    if is_too_certain(estimate) or estimate.n_clusters < 2:
        return math.nan, math.nan
    return (estimate.low, estimate.high) if sign > 0 else (-estimate.high, -estimate.low)


def _ends_of_change(estimate: Estimate, sign: float) -> Ends:
    """Return the ends of a change; NaN where all units but one changed alike and few carry that."""
    alike = any(is_alike_but_one(estimate, 0.0, upper=upper) for upper in (False, True))
    return (math.nan, math.nan) if alike else _ends(estimate, sign)


def _lower(estimate: Estimate, sign: float) -> float:
    """Return the lower end of a group where higher is better, no better than its units can show."""
    if is_alike_but_one(estimate, math.nan, upper=sign < 0):
        return math.nan
    low = _ends(estimate, sign)[0]
    unseen = unseen_end(estimate, upper=sign < 0)
    return low if unseen is None else min(low, sign * unseen)


def _least(values: Iterable[float]) -> float:
    """Return the least of some numbers; NaN where one is NaN."""
    found = list(values)
    return math.nan if any(map(math.isnan, found)) else min(found)


def _most(values: Iterable[float]) -> float:
    """Return the largest of some numbers; NaN where one is NaN."""
    found = list(values)
    return math.nan if any(map(math.isnan, found)) else max(found)


def _blurred(*sides: Mapping[str, Ends]) -> list[str]:
    """Return the groups of which an end of an interval is unknown."""
    return [name for name in sides[0] if any(math.isnan(end) for side in sides for end in side[name])]


def _told(groups: Mapping[str, Estimate], blurred: Sequence[str]) -> str:
    """Return how an interval was made, or which groups leave it unknown."""
    if not blurred:
        return f"the worst of {len(groups)} groups, simultaneous"
    shown = ", ".join(f"{name} ({groups[name].n} in {groups[name].n_clusters} clusters)" for name in blurred[:3])
    more = ", ..." if len(blurred) > 3 else ""
    return f"unknown: the units of {shown}{more} are too few or too much alike to show how much they vary"


def _estimate(
    value: float, low: float, high: float, groups: Mapping[str, Estimate], level: float | None, blurred: Sequence[str]
) -> Estimate:
    """Return the estimate of a worst group; it counts the units of all groups and the clusters of the smallest."""
    of = list(groups.values())
    n, n_clusters = sum(one.n for one in of), min(one.n_clusters for one in of)
    error = math.nan
    if level is not None and not math.isnan(low + high):
        quantile = float(special.stdtrit(max(n_clusters - 1, 1), 0.5 + level / 2.0))
        error = max(value - low, high - value, 0.0) / quantile
    elif level is None:
        error = 0.0
    how = IntervalMethod(kind=IntervalKind.BAND, told=_told(groups, blurred))
    return Estimate(value, low, high, error, n, n_clusters, level, n_missing=sum(one.n_missing for one in of), how=how)
