"""Estimates: a number with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_pluralism.core.records.how import IntervalMethod

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty: never a bare float.

    Attributes
    ----------
    value : float
        The mean over units.
    low, high : float
        The ends of the interval at ``confidence_level``; equal to ``value`` when ``confidence_level`` is ``None`` and
        nothing is left open.
    standard_error : float
        The standard error of ``value``, clustered; NaN where it cannot be known.
    n, n_clusters : int
        How many units and how many independent clusters of units.
    confidence_level : float or None
        ``None`` means that the units are the whole set, so that there is nothing to infer.
    method : str
        The words of ``how``, for people. Nothing is decided on them.
    how : IntervalMethod
        The record of how the interval was made. Where none is given nothing is known of the interval, and ``method``
        keeps the words that were given.
    degrees_of_freedom : float or None
        Of Student's t in the interval, in [1, inf]; ``None`` means ``n_clusters - 1``. An estimate without its units is
        taken to another confidence level by it.
    crossed_ids, crossed_values : tuple
        The second dimension of a crossed mean (jurors beside queries), kept for the same reason.
    unit_ids, values, clusters, other_clusters : tuple
        The units themselves, kept so that two estimates can be paired: ``left - right`` is the mean of the differences
        by unit, with its own clustered interval. ``other_clusters`` is the second of two crossed clusterings.
    extra_variance : float
        The part of the squared standard error that the units do not show (of jurors that are estimated); the standard
        error includes it.
    bounds : tuple
        For each of ``values`` the least and the most that it may be, where a model leaves it open; the interval holds
        what they leave open of the mean. Empty where the values are known.
    people : str
        A hash of the people whose sample is a part of ``extra_variance``; empty where there are none. Two estimates
        beside the same people share the uncertainty of that sample, so that it is not part of their difference.
    """

    value: float
    low: float
    high: float
    standard_error: float
    n: int
    n_clusters: int
    confidence_level: float | None = 0.95
    method: str = ""
    n_missing: int = 0
    unit_ids: tuple[str, ...] = field(default=(), repr=False, compare=False)
    values: tuple[float, ...] = field(default=(), repr=False, compare=False)
    clusters: tuple[str, ...] = field(default=(), repr=False, compare=False)
    degrees_of_freedom: float | None = field(default=None, repr=False, compare=False)
    crossed_ids: tuple[str, ...] = field(default=(), repr=False, compare=False)
    crossed_values: tuple[float, ...] = field(default=(), repr=False, compare=False)
    extra_variance: float = field(default=0.0, repr=False, compare=False)
    how: IntervalMethod = field(default=IntervalMethod(), repr=False, compare=False)
    other_clusters: tuple[str, ...] = field(default=(), repr=False, compare=False)
    bounds: tuple[tuple[float, float], ...] = field(default=(), repr=False, compare=False)
    people: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.how == IntervalMethod():
            object.__setattr__(self, "how", IntervalMethod(told=self.method))
        object.__setattr__(self, "method", self.how.words())

    def __str__(self) -> str:
        return f"{self.value:z.3f} [{self.low:z.3f}, {self.high:z.3f}]"

    def __sub__(self, other: Estimate) -> Estimate:
        """Return the paired difference by unit, with its interval."""
        if not isinstance(other, Estimate):
            return NotImplemented
        from pytest_pluralism.core.estimation.differences import subtract_estimates

        return subtract_estimates(self, other)
