"""Intervals on a scale with ends: what is beyond an end is drawn in, so that neither end has to be cut off."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import special

from pytest_pluralism.core.records import Estimate

__all__ = ["beyond_scale", "off_scale", "on_scale", "skewness_of_scale"]

#: A value nearer to an end of its scale than this part of it counts as so near.
_NEAREST = 1e-9


def on_scale(estimate: Estimate, lowest: float | None, highest: float | None, /) -> Estimate:
    r"""Return an estimate whose ends lie within a scale.

    With p the place of the value (less its bias) on the scale, in (0, 1), an end that is h away becomes

    .. math:: \operatorname{expit}\Bigl(\operatorname{logit} p + \frac{h}{p (1 - p)}\Bigr)

    with h a part of the scale, which to first order is the end itself. Where the scale has no end, the value lies
    outside, or the interval is unknown, the estimate stays as it is.
    """
    if lowest is None or highest is None or not _is_inside(estimate, lowest, highest):
        return estimate
    centre = _centre(estimate)
    place, width = _place(centre, lowest, highest), highest - lowest
    low, high = (
        end
        if end == centre
        else lowest + width * float(special.expit(special.logit(place) + (end - centre) / _unit(place, width)))
        for end in (estimate.low, estimate.high)
    )
    return replace(estimate, low=low, high=high, how=replace(estimate.how, lowest=lowest, highest=highest))


def skewness_of_scale(value: float, error: float, lowest: float, highest: float, /) -> float:
    """Return what drawing an interval into a scale adds to the skewness that its lengths must take out.

    The logit of the mean is skewed by the mean's own skewness, and by how the logit bends: to second order by
    ``1.5 * error`` times the ratio of its second to its first derivative.
    """
    if not lowest <= value <= highest or lowest >= highest:
        return 0.0
    place, width = _place(value, lowest, highest), highest - lowest
    return 1.5 * error * (2.0 * place - 1.0) / _unit(place, width)


def off_scale(estimate: Estimate, /) -> Estimate:
    """Return the estimate that :func:`on_scale` drew in."""
    low, high = (beyond_scale(estimate, end) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high, how=replace(estimate.how, lowest=None, highest=None))


def beyond_scale(estimate: Estimate, end: float, /) -> float:
    """Return where a place on the scale of an estimate was before it was drawn in; infinite for an end of the scale."""
    lowest, highest = estimate.how.lowest, estimate.how.highest
    if lowest is None or highest is None or math.isnan(end):
        return end
    centre = _centre(estimate)
    if end == centre:
        return end
    place, width = _place(centre, lowest, highest), highest - lowest
    there = (end - lowest) / width
    if there <= 0.0 or there >= 1.0:
        return math.copysign(math.inf, there - 0.5)
    return centre + float(special.logit(there) - special.logit(place)) * _unit(place, width)


def _is_inside(estimate: Estimate, lowest: float, highest: float) -> bool:
    known = not (math.isnan(estimate.low) or math.isnan(estimate.high)) and math.isfinite(highest - lowest)
    return known and lowest <= _centre(estimate) <= highest and lowest < highest


def _centre(estimate: Estimate) -> float:
    return estimate.value - estimate.how.bias


def _place(value: float, lowest: float, highest: float) -> float:
    return min(max((value - lowest) / (highest - lowest), _NEAREST), 1.0 - _NEAREST)


def _unit(place: float, width: float) -> float:
    return width * place * (1.0 - place)
