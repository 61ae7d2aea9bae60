"""Welfare of responses over sparse votes: values by query, and what each juror and each draw adds.

The measures are those of :mod:`pytest_pluralism.core.metrics`, computed on a list of votes instead of a full table, so
that ten thousand jurors and ten thousand queries fit into memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.metrics.power_mean import (
    Cells,
    PowerSums,
    positive_total,
    power_level,
    power_mean,
    power_sums,
)
from pytest_pluralism.core.parameters import BoolArray, FloatArray, IntArray, real_number

#: The rest serves evaluations of juries and is not a measure of arrays.
__all__ = ["WelfareRule"]


NEEDS_GROUPS = (
    "Welfare between groups needs a panel with at least two groups. Give jurors a 'group' or name one with by=."
)

#: A juror who carries more than this share of a response's welfare is taken out exactly, not by subtraction.
_CANCELS = 1e-3


@dataclass(frozen=True)
class WelfareRule:
    """The rule by which the utilities of a jury become one number.

    Attributes
    ----------
    alpha : float
        Aversion to inequality, in [0, inf]: between jurors, or within groups where ``between_alpha`` is set.
    satisfied_above : float or None
        Count the share of jurors with a utility above this instead.
    worst_share : float or None
        Take the mean of the worst-off share of the jury instead, in (0, 1].
    between_alpha : float or None
        Aversion to inequality between groups: two-level welfare, in which every group has one voice.
    """

    alpha: float = 1.0
    satisfied_above: float | None = None
    worst_share: float | None = None
    between_alpha: float | None = None

    def __post_init__(self) -> None:
        for name, inside in (("alpha", "[0, inf]"), ("between_alpha", "[0, inf]"), ("satisfied_above", "(-inf, inf)")):
            value = getattr(self, name)
            if value is None and name != "alpha":
                continue
            aversion = name != "satisfied_above"
            number = real_number(value, name=name, function="WelfareRule", allow_infinite=aversion)
            if aversion and number < 0.0:
                raise invalid_parameter(name, "WelfareRule", f"a float in {inside}", repr(value))
            object.__setattr__(self, name, number)
        share = self.worst_share
        if share is not None:
            number = real_number(share, name="worst_share", function="WelfareRule")
            if not 0.0 < number <= 1.0:
                raise invalid_parameter("worst_share", "WelfareRule", "a float in (0, 1]", repr(share))
            object.__setattr__(self, "worst_share", number)
        chosen = [
            name for name in ("satisfied_above", "worst_share", "between_alpha") if getattr(self, name) is not None
        ]
        if len(chosen) > 1:
            raise InvalidParameterError(
                f"{' and '.join(map(repr, chosen))} are different measures. Choose one, or write two tests."
            )

    @property
    def words(self) -> str:
        """The measure in words."""
        if self.satisfied_above is not None:
            return f"share of jurors above {self.satisfied_above:g}"
        if self.worst_share is not None:
            return f"mean of the worst-off {100 * self.worst_share:g} %"
        if self.between_alpha is not None:
            return f"welfare between groups (alpha {self.between_alpha:g}) of welfare within (alpha {self.alpha:g})"
        return f"welfare at alpha {self.alpha:g}"

    @property
    def needs_positive(self) -> bool:
        """Whether utilities must be positive under this rule."""
        if self.satisfied_above is not None or self.worst_share is not None:
            return False
        return self.alpha >= 1.0 or (self.between_alpha or 0.0) >= 1.0


@dataclass(frozen=True, eq=False)
class JuryTable:
    """Utilities of jurors for responses, as a list of cells, with the share of each response in its query.

    Attributes
    ----------
    juror, response : numpy.ndarray of int, shape (n_cells,)
        The juror and the response of each cell; sorted by response.
    utility : numpy.ndarray of float, shape (n_cells,)
        The utility.
    response_query : numpy.ndarray of int, shape (n_responses,)
        The query of each response.
    share : numpy.ndarray of float, shape (n_responses,)
        The share of the response in its query; the shares of a query sum to 1.
    weights : numpy.ndarray of float, shape (n_jurors,)
        The weight of each juror.
    group : numpy.ndarray of int or None, shape (n_jurors,)
        The group of each juror, as a place in ``group_names``.
    group_names : tuple of str
        The groups.
    n_queries : int
        Number of queries; one without responses has no value.
    juror_ids : tuple of str
        The names of the jurors in messages; empty where nothing is known.
    n_draws : int
        Number of copies of every response: estimated utilities have a response of its own for each draw of the worth of
        a text, all texts under the first draw before those under the second.
    """

    juror: IntArray
    response: IntArray
    utility: FloatArray
    response_query: IntArray
    share: FloatArray
    weights: FloatArray
    group: IntArray | None
    group_names: tuple[str, ...]
    n_queries: int
    juror_ids: tuple[str, ...] = ()
    n_draws: int = 1

    def name_of(self, place: int, /) -> str:
        """Return the name of a juror in messages."""
        return f"juror {self.juror_ids[place]!r}" if self.juror_ids else f"the juror at index {place}"

    def with_share(self, share: npt.ArrayLike, /) -> JuryTable:
        """Return the same utilities under other shares of the responses."""
        return replace(self, share=np.asarray(share, dtype=np.float64))

    def of_jurors(self, members: npt.NDArray[np.bool_], /) -> JuryTable:
        """Return the table of some jurors; the others have no cells."""
        keep = members[self.juror]
        return replace(self, juror=self.juror[keep], response=self.response[keep], utility=self.utility[keep])


@dataclass(frozen=True, eq=False)
class QueryWelfare:
    """Welfare by query, and what each juror adds to its mean.

    Attributes
    ----------
    values : numpy.ndarray, shape (n_queries,)
        NaN where a response that is given was judged by nobody (or, between groups, not by every group).
    by_response : numpy.ndarray, shape (n_responses,)
        The welfare of each response.
    biases : numpy.ndarray, shape (n_queries,)
        How much too large each value is for the population of jurors, by the jackknife over those who judged it; 0
        where one juror alone did.
    pseudo_values : numpy.ndarray, shape (n_jurors,)
        The mean plus, for each juror, the number of jurors times what the juror adds to it; NaN for jurors without any
        cell.
    cell_variance, cell_third : float
        The shares of jurors and queries together in the variance, and in the third cumulant, of the mean.
    draws : numpy.ndarray, shape (n_draws,)
        The mean of ``values`` under each draw of estimated utilities; a single one of recorded votes.
    """

    values: FloatArray
    by_response: FloatArray
    biases: FloatArray
    pseudo_values: FloatArray
    cell_variance: float
    cell_third: float
    draws: FloatArray

    @property
    def extra_variance(self) -> float:
        """The variance of the mean that the estimation of utilities adds."""
        return float(self.draws.var(ddof=1)) if len(self.draws) > 1 else 0.0

    @property
    def mean(self) -> float:
        """The mean over the queries that have a value."""
        return float(np.nanmean(self.values)) if np.isfinite(self.values).any() else math.nan

    @property
    def bias(self) -> float:
        """The bias of the mean for the population of jurors: how much too large it is."""
        known = np.isfinite(self.values)
        return float(self.biases[known].mean()) if known.any() else 0.0

    @property
    def corrected(self) -> FloatArray:
        """The welfare of each query less its bias."""
        corrected: FloatArray = self.values - self.biases
        return corrected

    @property
    def standard_error(self) -> float:
        """The standard error of the corrected mean over queries and jurors; NaN where either are fewer than two."""
        sides = [one[np.isfinite(one)] for one in (self.corrected, self.pseudo_values)]
        if min(map(len, sides)) < 2:
            return math.nan
        queries, jurors = (float(one.var(ddof=1)) / len(one) for one in sides)
        own = queries + jurors - self.cell_variance
        return math.sqrt(own if own > 0.0 else max(queries, jurors))


@dataclass(frozen=True, eq=False)
class _OfCells:
    """Welfare by response, and by cell what its juror does to it.

    ``without`` is the change when the juror is left out of ``own``, the juror's share among the voters on the response
    or among those of the juror's group; ``voice`` is the juror's share in the welfare of the response.
    """

    level: FloatArray
    deviation: FloatArray
    without: FloatArray
    voice: FloatArray
    own: FloatArray


def query_welfare(table: JuryTable, rule: WelfareRule, /) -> QueryWelfare:
    r"""Return the welfare of each query: the mean over the responses given of the welfare of each.

    .. math:: \bar w_q = \sum_r p_{qr}\, w(u_{1r}, \dots, u_{nr})

    over the jurors who judged response r; a missing vote is missing, never 0.
    """
    if rule.between_alpha is not None and (table.group is None or len(table.group_names) < 2):
        raise InvalidParameterError(NEEDS_GROUPS)
    refuse_negative(table, rule)
    found = _by_response(table, rule)
    values = _by_query(table, found.level)
    known = np.isfinite(values)
    n_known = int(known.sum())
    if not n_known:
        nothing = np.full(len(table.weights), np.nan)
        draws = means_by_draw(table, found.level)
        return QueryWelfare(values, found.level, np.zeros_like(values), nothing, 0.0, 0.0, draws)
    # The jackknife over the voters of each response, weighed so that what is linear in their votes cancels: with equal
    # weights n - 1 times the mean change. A response that one juror judged says nothing about its bias.
    left = np.where(np.isnan(found.without), 0.0, (1.0 - found.own) * found.without)
    biases = _by_query(table, Cells(table.response, len(table.share)).total(left))
    mean = math.fsum(values[known]) / n_known
    query = table.response_query[table.response]
    use = known[query] & (table.share > 0.0)[table.response]
    who, query, response = table.juror[use], query[use], table.response[use]
    jurors = Cells(who, len(table.weights))
    counted = jurors.total(table.weights[who]) > 0.0
    adds = table.share[response] / n_known * (found.voice[use] * (values[query] - mean) + found.deviation[use])
    # A juror who judged several responses to one query is one cell.
    pairs = np.unique(who * np.intp(table.n_queries) + query, return_inverse=True)[1]
    n_cells = int(pairs.max()) + 1
    cells = Cells(pairs, n_cells).total(adds)
    return QueryWelfare(
        values,
        found.level,
        np.where(known, biases, 0.0),
        np.where(counted, mean + int(counted.sum()) * jurors.total(adds), np.nan),
        float(np.sum(cells**2)) * n_cells / max(n_cells - 1, 1),
        float(np.sum((cells - cells.mean()) ** 3)),
        means_by_draw(table, found.level),
    )


def _by_query(table: JuryTable, by_response: FloatArray) -> FloatArray:
    """Return the mean of each query over the responses that are given to it; NaN for a query without any."""
    given = table.share > 0.0
    weighted = np.where(given, table.share * np.where(given, by_response, 0.0), 0.0)
    asked = np.bincount(table.response_query[given], minlength=table.n_queries) > 0
    return np.where(asked, Cells(table.response_query, table.n_queries).total(weighted), np.nan)


def shares_of_cells(table: JuryTable, cells: Cells, /) -> FloatArray:
    """Return the share of each cell in the weight of what the cells belong to."""
    weight = table.weights[table.juror]
    total = cells.of_jurors(cells.total(weight))
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0.0)


def _by_response(table: JuryTable, rule: WelfareRule) -> _OfCells:
    if rule.between_alpha is not None:
        return _two_level(table, within=rule.alpha, between=rule.between_alpha)
    if rule.satisfied_above is not None:
        satisfied = (table.utility > rule.satisfied_above).astype(np.float64)
        found = _power(satisfied, table, alpha=0.0)
    elif rule.worst_share is not None:
        found = _worst_off(table, share=rule.worst_share)
    else:
        found = _power(table.utility, table, alpha=rule.alpha)
    own = shares_of_cells(table, Cells(table.response, len(table.share)))
    return _OfCells(*found, own, own)


def means_by_draw(table: JuryTable, by_response: FloatArray, /) -> FloatArray:
    """Return the mean over queries under each draw of estimated utilities; NaN where no query has a value.

    Queries in which a response that is given has no value are left out, as they are of the mean over all draws.
    """
    n_texts = len(table.share) // table.n_draws
    query, share = table.response_query[:n_texts], table.share.reshape(table.n_draws, n_texts) * table.n_draws
    given = share > 0.0
    parts = np.where(given, share * np.where(given, by_response.reshape(table.n_draws, n_texts), 0.0), 0.0)
    values = np.stack([np.bincount(query, part, table.n_queries) for part in parts])
    known = np.isfinite(values).all(axis=0) & (np.bincount(query[given[0]], minlength=table.n_queries) > 0)
    if not known.any():
        return np.full(table.n_draws, np.nan)
    means: FloatArray = values[:, known].mean(axis=1)
    return means


def juror_means(table: JuryTable, /) -> FloatArray:
    """Return the mean utility of each juror under the shares of the responses; NaN for one who judged nothing given."""
    weight = table.share[table.response]
    total = np.bincount(table.juror, weight, len(table.weights))
    sums = np.bincount(table.juror, weight * table.utility, len(table.weights))
    return np.where(total > 0.0, sums / np.where(total > 0.0, total, 1.0), np.nan)


def group_means(table: JuryTable, rule: WelfareRule, /) -> dict[str, float]:
    """Return the mean welfare within each group; NaN for a group that judged nothing.

    Queries that nobody of a group judged are left out of that group's mean.
    """
    if table.group is None:
        return {}
    alone = replace(rule, between_alpha=None)
    result = {}
    for code, name in enumerate(table.group_names):
        members = table.of_jurors(table.group == code)
        judged = np.bincount(members.response, minlength=len(table.share)) > 0
        share = np.where(judged, table.share, 0.0)
        total = np.bincount(table.response_query, share, table.n_queries)[table.response_query]
        share = np.divide(share, total, out=np.zeros_like(share), where=total > 0.0)
        result[name] = query_welfare(members.with_share(share), alone).mean
    return result


def refuse_negative(table: JuryTable, rule: WelfareRule, /) -> None:
    """Refuse utilities that a rule gives no meaning.

    Raises
    ------
    InvalidParameterError
        If a utility is negative, or is 0 where one such juror makes the welfare 0.
    """
    if rule.satisfied_above is not None or rule.worst_share is not None or not len(table.utility):
        return
    lowest = float(table.utility.min())
    where = table.name_of(int(table.juror[table.utility.argmin()]))
    if lowest < 0.0 and (rule.alpha > 0.0 or rule.between_alpha):
        raise InvalidParameterError(
            f"{rule.words[0].upper()}{rule.words[1:]} needs utilities that are not negative: the lowest is {lowest:g} "
            f"({where}). Declare the scale of the panel (lowest, highest), which maps it to (0, 1]."
        )
    if lowest <= 0.0 and rule.needs_positive:
        raise InvalidParameterError(
            f"{rule.words[0].upper()}{rule.words[1:]} needs positive utilities: one juror with {lowest:g} ({where}) "
            "makes it 0 whatever the others have. Declare a scale with a floor above 0, or use alpha below 1."
        )


# ------------------------------------------------------------------------------------------------- one rule each


def _power(values: FloatArray, table: JuryTable, *, alpha: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the power mean of each response, the influence of each cell, and the change when the juror is left out.

    The change is NaN where nobody else judged the response.
    """
    return _power_by(values, Cells(table.response, len(table.share)), table.weights[table.juror], alpha=alpha)


def _power_by(
    values: FloatArray, cells: Cells, weight: FloatArray, *, alpha: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what :func:`_power` does, for any units of the cells."""
    total, some = positive_total(weight, cells)
    if alpha == 0.0:
        level = power_level(values, weight, cells, alpha=alpha)
        away = weight * (values - np.where(some, level, 0.0)[cells.code])
        alone, rest = _others(weight, total[cells.code])
        return level, away / total[cells.code], np.where(alone, np.nan, -away / rest)
    if math.isinf(alpha):
        unknown = np.zeros_like(values)
        return power_level(values, weight, cells, alpha=alpha), unknown, unknown
    sums = power_sums(values, weight, cells, alpha=alpha)
    now = np.where(some, sums.level, 0.0)[cells.code]
    counted = weight > 0.0
    order = 1.0 - alpha
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        base = np.where(now > 0.0, now, 1.0)
        relative = np.where(counted, np.log(values) - np.log(base), 0.0)
        influence = base * (relative if order == 0.0 else np.expm1(order * relative) / order)
        deviation = np.where(counted & (now > 0.0), weight / total[cells.code] * influence, 0.0)
    without = _level_without(values, cells, weight, sums, alpha=alpha) - now
    without = np.where(sums.is_zero[cells.code] | ~counted, 0.0, without)
    # A single juror with a utility of 0 leaves nothing behind either.
    alone, _ = _others(weight, total[cells.code])
    return sums.level, deviation, np.where(alone, np.nan, without)


def _others(weight: FloatArray, total: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Return whether each cell is the only one of its unit that counts, and the weight of the others (1 if so)."""
    rest = total - weight
    alone = np.asarray(rest <= 1e-12 * total)
    return alone, np.where(alone, 1.0, rest)


def _level_without(
    values: FloatArray, cells: Cells, weight: FloatArray, sums: PowerSums, *, alpha: float
) -> FloatArray:
    """Return the power mean of each cell's unit without that cell; without meaning where no other cell counts."""
    code, order = cells.code, 1.0 - alpha
    total = positive_total(weight, cells)[0][code]
    _, rest = _others(weight, total)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if order == 0.0:
            left = np.exp((sums.log_ratio[code] * total - weight * sums.distance) / rest)
            level: FloatArray = sums.anchor[code] * left
            return level
        power = sums.mean_power[code]
        left = (power * total - weight * np.exp(order * sums.distance)) / rest
        # The juror who carries nearly all of the sum is taken out by a sum without that juror.
        heavy = np.flatnonzero(left < _CANCELS * power)
        left[heavy] = 1.0
        without = sums.anchor[code] * np.exp(np.log(left) / order)
    while len(heavy):
        # One juror of each unit at a time.
        first = heavy[np.unique(code[heavy], return_index=True)[1]]
        reduced = weight.copy()
        reduced[first] = 0.0
        touched = np.isin(code, code[first])
        again = power_level(values[touched], reduced[touched], Cells(code[touched], cells.n), alpha=alpha)
        without[first] = again[code[first]]
        heavy = np.setdiff1d(heavy, first)
    return np.asarray(without)


def _worst_off(table: JuryTable, *, share: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean of the worst-off share of each response's jury, the influence of each cell, and the change."""
    n = len(table.share)
    weight = table.weights[table.juror]
    total = np.bincount(table.response, weight, n)
    some = total > 0.0
    safe = np.where(some, total, 1.0)
    order = np.lexsort((table.utility, table.response))
    code, values, own = table.response[order], table.utility[order], (weight / safe[table.response])[order]
    cumulated, sums = np.cumsum(own), np.cumsum(own * values)
    first = np.searchsorted(code, np.arange(n))
    last = np.searchsorted(code, np.arange(n), side="right") - 1
    start, base = (np.concatenate([[0.0], one])[first] for one in (cumulated, sums))
    upto = cumulated - start[code]
    counted = np.clip(np.minimum(upto, share) - np.minimum(upto - own, share), 0.0, None)
    mass = np.bincount(code, counted, n)
    level = np.where(some, np.bincount(code, counted * values, n) / np.where(mass > 0.0, mass, 1.0), np.nan)
    border = np.full(n, -np.inf)
    np.maximum.at(border, code[counted > 1e-15], values[counted > 1e-15])
    influence = (np.minimum(values, border[code]) - border[code]) / share + border[code] - level[code]
    deviation = np.empty_like(values)
    deviation[order] = own * influence
    # Without a juror the worst-off share of the rest reaches less far; past the juror's own place it starts later.
    alone = own > 1.0 - 1e-12
    upper = share * np.where(alone, 1.0, 1.0 - own)
    passed = upto - own < upper
    reach = np.where(passed, upper + own, upper)
    place = np.clip(np.searchsorted(cumulated, start[code] + reach), first[code], last[code])
    below = sums[place] - own[place] * values[place] - base[code]
    area = below + (reach - (upto[place] - own[place])) * values[place] - np.where(passed, own * values, 0.0)
    without = np.empty_like(values)
    without[order] = np.where(alone, np.nan, np.where(own > 0.0, area / upper - level[code], 0.0))
    return level, deviation, without


def _two_level(table: JuryTable, *, within: float, between: float) -> _OfCells:
    """Return the welfare between groups of the welfare within each; every group has one voice."""
    assert table.group is not None  # noqa: S101 - checked by the caller
    n, k = len(table.share), len(table.group_names)
    code = table.response * np.intp(k) + table.group[table.juror]
    weight = table.weights[table.juror]
    level, deviation, without = _power_by(table.utility, Cells(code, n * k), weight, alpha=within)
    levels = level.reshape(n, k)
    silent = np.asarray(np.isnan(levels).any(axis=1))
    filled = np.where(silent[:, None], 1.0, levels)
    ones = np.ones_like(filled)
    result = power_mean(filled, ones, alpha=between)
    if math.isinf(between):
        slope = np.zeros_like(filled)
        slope[np.arange(n), filled.argmin(axis=1)] = 1.0
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.nan_to_num((filled / result[:, None]) ** -between / k, nan=0.0, posinf=0.0)
    deviation = deviation * slope.reshape(-1)[code]
    own = shares_of_cells(table, Cells(code, n * k))
    steep = slope.sum(axis=1, keepdims=True)
    voices = np.divide(slope, steep, out=np.full_like(slope, 1.0 / k), where=steep > 0.0)
    left = np.zeros_like(without)
    for one in range(k):
        cells = np.flatnonzero(table.group[table.juror] == one)
        changed = filled[table.response[cells]]
        gone = np.isnan(without[cells])
        changed[:, one] = np.maximum(changed[:, one] + np.where(gone, 0.0, without[cells]), 0.0)
        moved = power_mean(changed, np.ones_like(changed), alpha=between)
        # A group without a voter leaves the response without a value.
        left[cells] = np.where(gone, np.nan, moved - result[table.response[cells]])
    unknown = silent[table.response]
    return _OfCells(
        np.where(silent, np.nan, result),
        np.where(unknown, 0.0, deviation),
        np.where(unknown, 0.0, left),
        voices.reshape(-1)[code] * own,
        own,
    )
