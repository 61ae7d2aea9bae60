"""Welfare over the aversion to inequality, with bands that hold the whole curve at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import estimate_crossed
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.estimation.scale import off_scale, on_scale
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, QueryWelfare, WelfareRule, query_welfare
from pytest_pluralism.core.metrics.welfare_carriers import Trust, trust_of
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = ["Band", "dominance_band", "welfare_band"]


#: How the interval of the least of a curve is made.
LEAST = IntervalMethod(kind=IntervalKind.BAND, difference=True, told="least of the curve, simultaneous band")


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over the aversion to inequality with pointwise and simultaneous bands.

    Attributes
    ----------
    alphas, values : tuple of float
        The curve.
    low, high : tuple of float
        The pointwise ends, which are those of a gate at the same aversion; NaN where nothing is known.
    band_low, band_high : tuple of float
        The ends of the band that holds the whole curve at once with the same confidence, never inside the former.
    confidence_level : float
        Of both.
    n, n_clusters, n_missing : int
        The queries with a value, the smaller number of queries and jurors, and the queries without a value.
    """

    alphas: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    band_low: tuple[float, ...]
    band_high: tuple[float, ...]
    confidence_level: float
    n: int = 0
    n_clusters: int = 0
    n_missing: int = 0

    @property
    def dominates(self) -> bool:
        """Whether the whole curve of differences is at least 0 with confidence."""
        return all(low >= 0.0 for low in self.band_low)

    @property
    def least_place(self) -> int:
        """The place of the aversion at which the curve is lowest."""
        return int(np.argmin(self.values))

    def least(self) -> Estimate:
        """Return the lowest value of a curve of differences, with an interval that the band gives.

        The band holds the whole curve at once, so that the least of the true curve lies between the least of its lower
        and the least of its upper ends, whichever aversion these are at.
        """
        value = self.values[self.least_place]
        low, high = (math.nan, math.nan)
        if all(map(math.isfinite, (*self.band_low, *self.band_high))):
            low, high = min(self.band_low), min(self.band_high)
        quantile = float(special.stdtrit(max(self.n_clusters - 1, 1), 0.5 + self.confidence_level / 2))
        error = max(value - low, high - value) / quantile
        counts = (self.n, self.n_clusters, self.confidence_level)
        return Estimate(value, low, high, error, *counts, n_missing=self.n_missing, how=LEAST)

    def as_json(self) -> dict[str, object]:
        """Return the curve as plain JSON values; infinity is the word ``"inf"``, and what is not known ``None``."""
        names = ("values", "low", "high", "band_low", "band_high")
        return {
            "alphas": [("inf" if math.isinf(alpha) else alpha) for alpha in self.alphas],
            **{name: list(map(finite_or_none, getattr(self, name))) for name in names},
            "confidence_level": self.confidence_level,
        }


@dataclass(frozen=True, eq=False)
class _Point:
    """The numbers of one place of a curve: by query, by juror (``None``: over queries alone), and by draw."""

    by_query: FloatArray
    by_juror: FloatArray | None
    draws: FloatArray
    biases: FloatArray | float = 0.0
    cell_variance: float = 0.0
    cell_third: float = 0.0
    trust: Trust = field(default_factory=Trust)

    @property
    def extra_variance(self) -> float:
        return float((self.draws**2).sum())


def welfare_band(
    table: JuryTable,
    /,
    *,
    alphas: Sequence[float],
    confidence_level: float = 0.95,
    whole_jury: bool = False,
    scale: tuple[float, float] | None = None,
    n_resamples: int = 999,
    seed: int = 0,
) -> Band:
    """Return the welfare over a sweep of ``alpha`` with its bands.

    The simultaneous band takes the quantile of the largest studentised deviation over the sweep, from multipliers on
    jurors, on queries and on the draws of estimated utilities (a Gaussian approximation with the dependence between the
    values of ``alpha``).

    Parameters
    ----------
    table : JuryTable
        The utilities.
    alphas : sequence of float
        The sweep.
    confidence_level : float
        Of the bands.
    whole_jury : bool
        The jurors are all there are: only queries are a sample.
    scale : tuple of float or None
        The lowest and the highest utility that there can be, between which all ends lie.
    n_resamples : int
        How many multipliers are drawn.
    seed : int
        Of the multipliers.
    """
    points = []
    for alpha in alphas:
        found = query_welfare(table, WelfareRule(alpha=alpha))
        if whole_jury or math.isinf(alpha):
            points.append(_Point(found.values, None, _errors(found.draws)))
            continue
        trust = trust_of(table, WelfareRule(alpha=alpha), found)
        points.append(
            _Point(
                found.values,
                found.pseudo_values,
                _errors(found.draws),
                found.biases,
                found.cell_variance,
                found.cell_third,
                trust,
            )
        )
    return _band(alphas, points, _Asked(False, confidence_level, n_resamples, seed, scale))


def dominance_band(
    candidate: JuryTable,
    baseline: JuryTable,
    /,
    *,
    alphas: Sequence[float],
    confidence_level: float = 0.95,
    whole_jury: bool = False,
    same_draws: bool = False,
    n_resamples: int = 999,
    seed: int = 0,
) -> Band:
    """Return the difference candidate - baseline over a sweep of ``alpha``: at least 0 throughout is dominance.

    Parameters
    ----------
    candidate, baseline : JuryTable
        Utilities of the same jurors on the same queries.
    alphas, confidence_level, whole_jury, n_resamples, seed
        As in :func:`welfare_band`.
    same_draws : bool
        A draw of estimated utilities is the same possible world in both tables, so that draws are subtracted one by
        one; else the errors of the two are taken to be independent.

    Raises
    ------
    InvalidParameterError
        If the two are not about as many jurors and queries.
    """
    if (candidate.n_queries, len(candidate.weights)) != (baseline.n_queries, len(baseline.weights)):
        must = f"of the same jurors and queries ({len(candidate.weights)} and {candidate.n_queries})"
        got = f"{len(baseline.weights)} and {baseline.n_queries}"
        raise invalid_parameter("baseline", "dominance_band", must, got)
    points = []
    for alpha in alphas:
        ours, theirs = (query_welfare(table, WelfareRule(alpha=alpha)) for table in (candidate, baseline))
        errors = errors_of_difference(ours, theirs, same_draws=same_draws)
        if whole_jury or math.isinf(alpha):
            points.append(_Point(ours.values - theirs.values, None, errors))
        else:
            # The differences of the cells are not kept, and what few jurors carry is said with the gain.
            points.append(
                _Point(
                    ours.values - theirs.values,
                    ours.pseudo_values - theirs.pseudo_values,
                    errors,
                    ours.biases - theirs.biases,
                )
            )
    return _band(alphas, points, _Asked(True, confidence_level, n_resamples, seed))


def errors_of_difference(ours: QueryWelfare, theirs: QueryWelfare, /, *, same_draws: bool) -> FloatArray:
    """Return numbers whose squares sum to the variance that estimated utilities add to a difference of means."""
    if same_draws and len(ours.draws) == len(theirs.draws):
        return _errors(ours.draws - theirs.draws)
    return np.concatenate([_errors(ours.draws), _errors(theirs.draws)])


def _errors(draws: FloatArray) -> FloatArray:
    """Return the deviations of draws, scaled so that their squares sum to their variance."""
    errors: FloatArray = (draws - draws.mean()) / math.sqrt(max(len(draws) - 1, 1))
    return errors


@dataclass(frozen=True)
class _Asked:
    """The request for a band."""

    is_difference: bool
    level: float
    n_resamples: int
    seed: int
    scale: tuple[float, float] | None = None


def _band(alphas: Sequence[float], points: Sequence[_Point], asked: _Asked) -> Band:
    level = asked.level
    if not len(alphas):
        raise invalid_parameter("alphas", "welfare_band", "at least one float in [0, inf]", "none")
    queries = np.stack([point.by_query for point in points])
    known = np.asarray(np.isfinite(queries).all(axis=0))
    queries = queries[:, known]
    n, n_missing = queries.shape[1], int((~known).sum())
    places = tuple(float(alpha) for alpha in alphas)
    if not n:
        nothing = (math.nan,) * len(places)
        return Band(places, nothing, nothing, nothing, nothing, nothing, level, 0, 0, n_missing)
    values = queries.mean(axis=1)
    # Each row sums to 0 and has the squared sum V of its dimension, so that standard normal multipliers make the error.
    rows = [(queries - values[:, None]) / math.sqrt(max(n * (n - 1), 1))]
    one = next((point.by_juror for point in points if point.by_juror is not None), None)
    seated = np.isfinite(one) if one is not None else np.zeros(0, dtype=bool)
    m = int(seated.sum())
    if m > 1:
        jurors = np.zeros((len(points), m))
        for row, point in enumerate(points):
            if point.by_juror is not None:
                part = point.by_juror[seated]
                jurors[row] = (part - part.mean()) / math.sqrt(m * (m - 1))
        rows.append(jurors)
    rows.append(np.stack([point.draws for point in points]))
    error = np.sqrt(sum((part**2).sum(axis=1) for part in rows))
    rng = np.random.default_rng(asked.seed)
    noise = sum(rng.standard_normal((asked.n_resamples, part.shape[1])) @ part.T for part in rows)
    safe = np.where(error > 0.0, error, 1.0)
    largest = np.abs(noise / safe).max(axis=1)
    n_clusters = min(n, m) if m > 1 else n
    tail = 0.5 + level / 2
    t = float(special.stdtrit(max(n_clusters, 2) - 1, tail))
    # Few units: the normal critical value is stretched as Student's is.
    wide = max(float(np.quantile(largest, level)) * t / float(special.ndtri(tail)), t)
    inner = [_pointwise(point, known, asked) for point in points]
    # The band is as much wider than an interval as its critical value is larger; NaN, where nothing is known, stays.
    outer = [_wider(one, wide / t) for one in inner]
    low, high, band_low, band_high = (
        tuple(getattr(one, end) for one in each) for each in (inner, outer) for end in ("low", "high")
    )
    return Band(places, tuple(values.tolist()), low, high, band_low, band_high, level, n, n_clusters, n_missing)


def _wider(estimate: Estimate, ratio: float) -> Estimate:
    """Return an estimate whose sides are longer by a ratio, on its scale where it has one."""
    inside = off_scale(estimate)
    centre = inside.value - inside.how.bias
    low, high = (centre + ratio * (end - centre) for end in (inside.low, inside.high))
    return on_scale(replace(inside, low=low, high=high), estimate.how.lowest, estimate.how.highest)


def _pointwise(point: _Point, known: npt.NDArray[np.bool_], asked: _Asked) -> Estimate:
    """Return the estimate of a gate at one place of the curve."""
    level = asked.level
    values = point.by_query[known]
    jurors = None if point.by_juror is None else point.by_juror[np.isfinite(point.by_juror)]
    if jurors is None or len(jurors) < 2:
        if jurors is not None and len(jurors) == 1:
            # A single juror says nothing about others.
            alone = estimate_mean(values, confidence_level=None)
            return replace(alone, low=math.nan, high=math.nan, confidence_level=level)
        if asked.is_difference:
            alone = compare_paired(values, np.zeros_like(values), confidence_level=level)
        else:
            alone = estimate_mean(values, confidence_level=level)
        return on_scale(with_extra_variance(alone, point.extra_variance), *(asked.scale or (None, None)))
    found = estimate_crossed(
        values,
        jurors,
        bias=point.biases[known] if isinstance(point.biases, np.ndarray) else point.biases,
        cell_variance=point.cell_variance,
        cell_third=point.cell_third,
        carriers=point.trust.carriers,
        below=point.trust.below,
        above=point.trust.above,
        scale=asked.scale,
        extra_variance=point.extra_variance,
        confidence_level=level,
    )
    return replace(found, low=math.nan, high=math.nan) if point.trust.doubt else found
