"""The weighted power mean, computed so that neither a large order nor one close to 0 loses digits.

The formula stands here once, for jurors along an axis (:class:`Rows`) and for jurors in a list of votes
(:class:`Cells`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pytest_pluralism.core.metrics.utilities import HUGE
from pytest_pluralism.core.parameters import BoolArray, FloatArray, IntArray

#: Parts of measures, which are not measures themselves.
__all__: list[str] = []

#: How often numbers above ``HUGE`` are halved before they are summed.
LARGEST_EXPONENT = 500

#: Up to here the exponential of a number and of its negative are float64s of full precision.
MOST_NATS = 700.0


class Jury(Protocol):
    """The layout of the jurors of each unit."""

    def total(self, values: FloatArray, /) -> FloatArray:
        """Return the sum over the jurors of each unit."""
        ...

    def extremes(self, values: FloatArray, weights: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        """Return the lowest and the highest value of each unit's jurors with a positive weight."""
        ...

    def of_jurors(self, values: FloatArray, /) -> FloatArray:
        """Return the value of each unit for each of its jurors."""
        ...


class Rows:
    """Jurors along the last axis of an array."""

    def total(self, values: FloatArray, /) -> FloatArray:
        """Return the sum over the last axis."""
        result: FloatArray = values.sum(axis=-1)
        return result

    def extremes(self, values: FloatArray, weights: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        """Return the lowest and the highest value along the last axis."""
        present = weights > 0.0
        return np.where(present, values, np.inf).min(axis=-1), np.where(present, values, -np.inf).max(axis=-1)

    def of_jurors(self, values: FloatArray, /) -> FloatArray:
        """Return the values with a last axis that broadcasts."""
        return values[..., None]


@dataclass(frozen=True, eq=False)
class Cells:
    """Jurors in a list of cells: ``code`` is the unit of each cell, and ``n`` the number of units."""

    code: IntArray
    n: int

    def total(self, values: FloatArray, /) -> FloatArray:
        """Return the sum over the cells of each unit."""
        # bincount returns integers where there are no cells.
        return np.bincount(self.code, values, self.n).astype(np.float64, copy=False)

    def extremes(self, values: FloatArray, weights: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        """Return the lowest and the highest value of each unit; infinite where no cell has a positive weight."""
        low, high = np.full(self.n, np.inf), np.full(self.n, -np.inf)
        present = weights > 0.0
        np.minimum.at(low, self.code[present], values[present])
        np.maximum.at(high, self.code[present], values[present])
        return low, high

    def of_jurors(self, values: FloatArray, /) -> FloatArray:
        """Return the value of the unit of each cell."""
        return values[self.code]


@dataclass(frozen=True, eq=False)
class PowerSums:
    """The power mean of each unit for a finite order other than 1, with the sums that it is made of.

    Attributes
    ----------
    level : numpy.ndarray
        The power mean; NaN for a unit without a positive weight.
    anchor : numpy.ndarray
        The largest term of the sum belongs to this utility, the lowest or the highest; 1 where ``is_zero``.
    is_zero : numpy.ndarray of bool
        Whether the anchor is 0 or missing, so that there is no sum.
    distance : numpy.ndarray
        The logarithm of each juror's utility relative to the anchor; 0 where it does not count.
    log_ratio : numpy.ndarray
        The logarithm of the power mean relative to the anchor.
    mean_power : numpy.ndarray
        The mean of the powers of the utilities relative to the anchor; 1 for order 0.
    """

    level: FloatArray
    anchor: FloatArray
    is_zero: BoolArray
    distance: FloatArray
    log_ratio: FloatArray
    mean_power: FloatArray


def positive_total(weights: FloatArray, jury: Jury, /) -> tuple[FloatArray, BoolArray]:
    """Return the sum of the weights of each unit (1 where it is 0), and whether it is positive."""
    total = jury.total(weights)
    some = np.asarray(total > 0.0)
    return np.where(some, total, 1.0), some


def power_sums(values: FloatArray, weights: FloatArray, jury: Jury, /, *, alpha: float) -> PowerSums:
    """Return the weighted power mean of order ``1 - alpha`` and its sums, for a positive, finite ``alpha``."""
    low, high = jury.extremes(values, weights)
    total, some = positive_total(weights, jury)
    order = 1.0 - alpha
    # The sum is taken relative to its largest term, low^order or high^order, so that no power overflows; expm1 and
    # log1p keep the small differences that decide when the order is close to 0.
    anchor = low if order < 0.0 else high
    is_zero = np.asarray(~some | (anchor <= 0.0))
    anchor = np.where(is_zero, 1.0, anchor)
    with np.errstate(divide="ignore", over="ignore"):
        distance = np.log(values) - jury.of_jurors(np.log(anchor))
        distance = np.where((weights > 0.0) & (jury.of_jurors(np.where(is_zero, 0.0, 1.0)) > 0.0), distance, 0.0)
        mean_power = np.ones_like(total)
        if order == 0.0:
            log_ratio = jury.total(weights * distance) / total
        else:
            exponent = order * distance
            shortfall = jury.total(weights * np.expm1(exponent)) / total
            # Far from the anchor 1 + shortfall would cancel; the sum of the powers themselves does not.
            mean_power = jury.total(weights * np.exp(exponent)) / total
            log_ratio = np.where(shortfall > -0.5, np.log1p(np.maximum(shortfall, -0.5)), np.log(mean_power)) / order
        # A ratio of its own may overflow where the product does not.
        near = np.abs(log_ratio) < MOST_NATS
        product = anchor * np.exp(np.where(near, log_ratio, 0.0))
        level = np.where(near, product, np.exp(np.log(anchor) + log_ratio))
    level = np.where(is_zero | ((low <= 0.0) & (order <= 0.0)), 0.0, level)
    level = np.where(some, np.clip(level, low, high), np.nan)
    return PowerSums(level, anchor, is_zero, distance, log_ratio, mean_power)


def power_level(values: FloatArray, weights: FloatArray, jury: Jury, /, *, alpha: float) -> FloatArray:
    """Return the weighted power mean of order ``1 - alpha`` of each unit; NaN without a positive weight."""
    if alpha != 0.0 and math.isfinite(alpha):
        return power_sums(values, weights, jury, alpha=alpha).level
    low, high = jury.extremes(values, weights)
    total, some = positive_total(weights, jury)
    if alpha == 0.0:
        # Where a sum could exceed float64, it is taken of utilities halved often enough (by a power of two: exactly).
        largest = np.maximum(np.abs(low), np.abs(high))
        halvings = np.where(some & (largest > HUGE), float(LARGEST_EXPONENT), 0.0)
        scaled = np.ldexp(values, -jury.of_jurors(halvings).astype(np.intc))
        mean = np.ldexp(jury.total(weights * scaled) / total, halvings.astype(np.intc))
        low = np.clip(mean, low, high)
    return np.where(some, low, np.nan)


def power_mean(values: FloatArray, weights: FloatArray, /, *, alpha: float) -> FloatArray:
    """Return the weighted power mean of order ``1 - alpha`` over the last axis."""
    return power_level(values, weights, Rows(), alpha=alpha)
