"""The effective number of jurors behind a welfare; with only a few, an interval over jurors is too narrow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.metrics.pooled_welfare import pooled_welfare
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, QueryWelfare, WelfareRule, query_welfare
from pytest_pluralism.core.parameters import FloatArray

#: These functions serve evaluations of juries; they are not measures of arrays.
__all__: list[str] = []

#: With fewer jurors than these behind a welfare, its interval held the truth clearly less often than it says.
LEAST_CARRIERS = 5.0

#: Up to this aversion what few jurors carry is said; above it no interval is given where few do (measured: see
#: docs/explanation/statistics.md).
MOST_TOLD = 2.0

#: Where jurors have more than this share of the variance, few of a kind decide an averse welfare, and panels that hold
#: none of them are too sure of it (measured: docs/explanation/statistics.md).
MOSTLY_JURORS = 0.7

#: At large aversions so few carriers are not enough there to say that a welfare is not lower: the panels that showed at
#: least ``LEAST_CARRIERS`` of them were those that held none of the jurors who are served worst.
LEAST_CARRIERS_OF_MOSTLY_JURORS = 8.0


@dataclass(frozen=True)
class Trust:
    """The allowances of an interval over jurors.

    Attributes
    ----------
    carriers : float
        The number of jurors behind the mean over all queries.
    below : float
        How much lower the welfare may be than the mean less its bias: few votes on a response hide those who are worst
        off, and two ways to allow for it differ by so much.
    above : float
        How much higher it may be than that: at large aversions the bias is not known well, and may be none.
    doubt : str
        Why no interval would hold what it says; empty where one does.
    least_carriers : float
        The number of jurors that carry the welfare: the smaller one of the number behind the mean over all queries
        and, where the worst-off count for more (an ``alpha`` above 1, or ``worst_share``), the mean over the responses
        given of the number behind each.
    single_groups : tuple of str
        The groups of a single juror, where groups have one voice each.
    """

    carriers: float = math.inf
    below: float = 0.0
    doubt: str = ""
    above: float = 0.0
    least_carriers: float = math.inf
    single_groups: tuple[str, ...] = ()


def trust_of(table: JuryTable, rule: WelfareRule, found: QueryWelfare, /) -> Trust:
    """Return what an interval over jurors has to allow for.

    Parameters
    ----------
    table, rule
        The utilities, and how they become one number.
    found : QueryWelfare
        Their welfare under the rule.
    """
    overall, each = _carriers(table, rule, found.by_response)
    least = min(overall, each)
    if rule.between_alpha is not None and (alone := _groups_of_one(table)):
        return Trust(doubt=_of_one(alone[0]), least_carriers=least, single_groups=tuple(alone))
    if math.isnan(overall):
        return Trust()
    pooled = pooled_welfare(table, rule)
    below = max(0.0, found.mean - found.bias - pooled) if math.isfinite(pooled) else 0.0
    averse = rule.satisfied_above is None and rule.worst_share is None and rule.between_alpha is None
    if not averse or not 1.0 < rule.alpha < math.inf:
        return Trust(overall, below, least_carriers=least)
    is_large = rule.alpha > MOST_TOLD
    number = least if is_large else overall
    doubt = ""
    # Rounding must not decide: a tenth of fifty is five.
    if number < LEAST_CARRIERS - 1e-9:
        doubt = f"about {number:.1f} jurors carry the welfare, and fewer than {LEAST_CARRIERS:g} say little of others"
    elif is_large and found.bias > found.standard_error:
        doubt = (
            f"the votes on each response are so few that the welfare is about {found.bias:.3f} too high, more than its "
            f"standard error of {found.standard_error:.3f}"
        )
    elif (
        is_large
        and number < LEAST_CARRIERS_OF_MOSTLY_JURORS - 1e-9
        and not math.isnan(found.mean)
        and juror_share(found) > MOSTLY_JURORS
    ):
        # A few whom a panel may not hold decide it: it may be anything below, and still not above.
        below = max(below, found.mean)
    return Trust(overall, below, doubt, max(found.bias, 0.0) if is_large else 0.0, least)


def juror_share(found: QueryWelfare, /) -> float:
    """Return the share of jurors in the variance of a mean welfare, without what single votes add to it."""
    jurors, queries = (one[np.isfinite(one)] for one in (found.pseudo_values, found.values))
    if min(len(jurors), len(queries)) < 2:
        return 0.0
    own = float(jurors.var(ddof=1)) / len(jurors)
    both = own + float(queries.var(ddof=1)) / len(queries) - found.cell_variance
    return max(own - found.cell_variance, 0.0) / both if both > 0.0 else 0.0


def _groups_of_one(table: JuryTable) -> list[str]:
    """Return the groups of which one juror alone judged what is given."""
    if table.group is None:
        return []
    counted = np.zeros(len(table.weights), dtype=bool)
    counted[table.juror[(table.share > 0.0)[table.response]]] = True
    counted &= table.weights > 0.0
    sizes = np.bincount(table.group[counted], minlength=len(table.group_names))
    return [name for name, size in zip(table.group_names, sizes.tolist(), strict=True) if size == 1]


def _of_one(name: str) -> str:
    return f"group {name!r} is a single juror, which says nothing about others in that group"


def _carriers(table: JuryTable, rule: WelfareRule, level: FloatArray) -> tuple[float, float]:
    r"""Return the number of jurors behind the mean over all queries, and the mean number behind each response.

    .. math:: n_r = \frac{(\sum_i d_i)^2}{\sum_i d_i^2}, \qquad d_i = \frac{\partial w_r}{\partial u_i}

    It is the number of those who judged a response where all count the same, and falls to 1 as one alone decides.
    """
    shift = _shares_of_a_voice(table, rule, level)
    given = (table.share > 0.0)[table.response] & np.isfinite(shift)
    response, shift = table.response[given], shift[given]
    if not shift.sum() > 0.0:
        return math.nan, math.inf
    share = table.share[response]
    by_juror = np.bincount(table.juror[given], share * shift, len(table.weights))
    overall = float(by_juror.sum() ** 2 / np.sum(by_juror**2))
    if rule.satisfied_above is not None or (rule.worst_share is None and rule.alpha <= 1.0):
        return overall, math.inf
    squares = np.bincount(response, shift**2, len(table.share))
    known = squares > 0.0
    each = np.average(1.0 / squares[known], weights=table.share[known])
    return overall, float(each)


def _shares_of_a_voice(table: JuryTable, rule: WelfareRule, level: FloatArray) -> FloatArray:
    """Return the slope of each response's welfare, ``level``, in each cell: shares that sum to 1 over a response."""
    n = len(table.share)
    weight = table.weights[table.juror]
    if rule.worst_share is not None:
        part = _worst_off_parts(table, rule.worst_share)
    elif rule.satisfied_above is not None or (rule.alpha == 0.0 and rule.between_alpha is None):
        part = weight
    elif rule.between_alpha is None:
        part = weight * _steepness(table.utility, level[table.response], rule.alpha)
    else:
        assert table.group is not None  # noqa: S101 - the welfare was computed
        between = level
        part = np.zeros(len(weight))
        for code in range(len(table.group_names)):
            mine = table.group == code
            cells = mine[table.juror]
            within = query_welfare(table.of_jurors(mine), WelfareRule(alpha=rule.alpha)).by_response
            own = weight[cells] * _steepness(table.utility[cells], within[table.response[cells]], rule.alpha)
            total = np.bincount(table.response[cells], weight[cells], n)[table.response[cells]]
            slope = (
                (within == between).astype(np.float64)
                if math.isinf(rule.between_alpha)
                else _steepness(within, between, rule.between_alpha)
            )
            own = np.divide(own, total, out=np.zeros_like(own), where=total > 0.0)
            part[cells] = own * slope[table.response[cells]]
    total = np.bincount(table.response, part, n)[table.response]
    shares: FloatArray = np.divide(part, total, out=np.full(len(part), np.nan), where=total > 0.0)
    return shares


def _steepness(values: FloatArray, level: FloatArray, alpha: float) -> FloatArray:
    """Return (value / level) to the power of -alpha: how much more those below the level count."""
    if alpha == 0.0:
        return np.ones_like(values)
    good = (values > 0.0) & (level > 0.0)
    distance = np.log(np.where(good, values, 1.0)) - np.log(np.where(good, level, 1.0))
    # No exponent overflows; beyond this bound a juror decides alone anyway.
    return np.where(good, np.exp(np.clip(-alpha * distance, -300.0, 300.0)), 0.0)


def _worst_off_parts(table: JuryTable, share: float) -> FloatArray:
    """Return how much of each juror lies in the worst-off share of a response's jury."""
    order = np.lexsort((table.utility, table.response))
    code = table.response[order]
    weight = table.weights[table.juror]
    total = np.bincount(table.response, weight, len(table.share))
    own = (weight / np.where(total > 0.0, total, 1.0)[table.response])[order]
    upto = np.cumsum(own)
    first = np.searchsorted(code, np.arange(len(table.share)))
    upto -= np.concatenate([[0.0], upto])[first][code]
    part = np.empty_like(own)
    part[order] = np.clip(np.minimum(upto, share) - np.minimum(upto - own, share), 0.0, None)
    return part


def doubts(rule: WelfareRule, trust: Trust, /) -> Iterator[str]:
    """Yield the warnings about an interval over jurors, from what :func:`trust_of` found under the rule."""
    yield from map(_of_one, trust.single_groups)
    # Rounding must not decide: a tenth of fifty is five.
    if trust.least_carriers < LEAST_CARRIERS - 1e-9:
        yield (
            f"about {trust.least_carriers:.1f} jurors carry the "
            f"{'share' if rule.satisfied_above is not None else 'welfare'}: with fewer than {LEAST_CARRIERS:g} the "
            "interval is too narrow; ask more jurors, or count the worst-off less"
        )
