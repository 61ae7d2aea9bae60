"""Runs to come, from one run and without a formula: its units are drawn again, and their intervals made anew.

The formulas of :mod:`pytest_pluralism.core.estimation.power` take scores as not skewed. Where they are, and far out in
the tails where adjusting for many promises looks, a gate fails less often than they say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.at_level import sample_of
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.parameters import FloatArray, generator_of, real_number, unit_interval, whole_number
from pytest_pluralism.core.records import Estimate

__all__ = ["RedrawnEnds", "redraw_ends"]


@dataclass(frozen=True, slots=True)
class RedrawnEnds:
    """Where the ends of an interval fall around the truth.

    Attributes
    ----------
    lows, highs : numpy.ndarray of float, shape (n_draws,)
        The ends less the truth, each sorted; infinite where a draw shows no spread, so that nothing is decided.
    """

    lows: FloatArray
    highs: FloatArray

    def detectable(self, power: float, /, *, rises: bool) -> float:
        """Return how far beyond its bound a truth must lie so that the interval clears the bound this often.

        Parameters
        ----------
        power : float in (0, 1)
            The wanted share.
        rises : bool
            Whether the truth lies above an upper bound, or else below a lower one.

        Returns
        -------
        float
            In the units of the scores; infinite where too many draws decide nothing.

        Raises
        ------
        InvalidParameterError
            If the power is out of range.
        """
        wanted = math.ceil(unit_interval(power, name="power", function="detectable") * len(self.lows) - 1e-9)
        return float(-self.lows[len(self.lows) - wanted] if rises else self.highs[wanted - 1])

    def clears(self, distance: float, /, *, rises: bool) -> float:
        """Return how often the interval keeps a bound that lies ``distance`` beyond the truth, in [0, 1]."""
        room = real_number(distance, name="distance", function="clears")
        return float(np.mean(self.highs <= room) if rises else np.mean(self.lows >= -room))


def redraw_ends(
    estimate: Estimate,
    /,
    *,
    confidence_level: float = 0.95,
    method: str = "auto",
    n: int | None = None,
    n_draws: int = 400,
    is_change: bool = False,
    rng: np.random.Generator | int = 0,
) -> RedrawnEnds:
    """Draw the clusters of a run again, with replacement, and return the ends of the interval of each draw.

    Parameters
    ----------
    estimate : Estimate
        A stored run that keeps its units; for a promise about change, the paired difference.
    confidence_level : float in (0, 1)
        The level of the intervals, two-sided.
    method : str
        How they are made, as for :func:`~pytest_pluralism.core.estimation.estimate_mean`; what is adjusted for many
        promises is decided as ``"outer"`` decides.
    n : int, optional
        How many units of the same kind; by default as many as the estimate has.
    n_draws : int
        How many draws; the share of a power of 80 % is then known to two standard errors of 4 % with 400.
    is_change : bool
        Whether the units are differences, which are not shares.
    rng : numpy.random.Generator or int
        Draws.

    Returns
    -------
    RedrawnEnds
        The ends, around the mean of the estimate.

    Raises
    ------
    InvalidParameterError
        If the estimate does not keep its units, has fewer than two clusters, or a number is out of range.
    """
    function = "redraw_ends"
    draws = whole_number(n_draws, name="n_draws", function=function)
    level = unit_interval(confidence_level, name="confidence_level", function=function)
    if len(estimate.values) != estimate.n or estimate.n_clusters < 2:
        raise InvalidParameterError(
            f"The 'estimate' parameter of {function} must be one that keeps its units, from at least two clusters. "
            f"Got {len(estimate.values)} of {estimate.n} units from {estimate.n_clusters} clusters instead."
        )
    generator = generator_of(rng, function=function)
    scores = np.asarray(estimate.values, dtype=float) - estimate.value
    codes = sample_of(estimate).codes
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    members = np.split(order, np.cumsum(sizes)[:-1])
    units = estimate.n if n is None else whole_number(n, name="n", function=function)
    n_clusters = max(2, round(units * estimate.n_clusters / estimate.n))
    lows, highs = np.empty(draws), np.empty(draws)
    for place in range(draws):
        chosen = generator.integers(len(members), size=n_clusters)
        drawn = scores[np.concatenate([members[one] for one in chosen])]
        clusters = np.repeat(np.arange(n_clusters), sizes[chosen])
        if is_change:
            one = compare_paired(drawn, np.zeros(len(drawn)), clusters=clusters, confidence_level=level, method=method)
        else:
            one = estimate_mean(drawn, clusters=clusters, confidence_level=level, method=method)
        decides = one.standard_error > 0.0
        lows[place], highs[place] = (one.low, one.high) if decides else (-math.inf, math.inf)
    return RedrawnEnds(np.sort(lows), np.sort(highs))
