"""Small pictures beside a number, as SVG elements of a few hundred bytes: thousands of them fit into one page.

They are made of numbers alone, carry no text, and stand beside the numbers that they show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["bars", "domain_of", "mirror", "track"]

#: Sizes of a track in its own units.
_WIDTH, _HEIGHT, _EDGE = 160.0, 16.0, 5.0


def domain_of(values: Sequence[float], /, *, lowest: float, highest: float) -> tuple[float, float]:
    """Return the ends of a scale that holds all ``values``: those of the measure where they are near enough to be read.

    A measure without ends, or one that can be negative where nothing is, gets ends from the values.
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0.0:
        lowest = max(lowest, 0.0)
    ends = [lowest, highest]
    room = (high - low) * 0.1 or 0.5
    for place, (end, value) in enumerate(((lowest, low - room), (highest, high + room))):
        if not math.isfinite(end):
            step = 10.0 ** math.floor(math.log10(room * 10.0))
            ends[place] = (math.floor if place == 0 else math.ceil)(value / step) * step
    return ends[0], ends[1]


def track(
    domain: tuple[float, float],
    /,
    *,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    baseline: float | None = None,
    kind: str = "model",
) -> str:
    """Return a value with its interval on a scale; what is promised is shaded, a baseline is a hollow diamond.

    Parameters
    ----------
    domain : tuple of float
        The ends of the scale.
    value, low, high : float or None
        What was measured, and its interval.
    at_least, at_most : float or None
        The promise: the values that keep it are shaded, its bound is a line.
    baseline : float or None
        The stored result.
    kind : str
        ``"model"``, or ``"people"`` for a reference.
    """
    low_end, high_end = domain

    def x(number: float) -> float:
        share = (number - low_end) / (high_end - low_end)
        return _EDGE + (_WIDTH - 2 * _EDGE) * min(max(share, 0.0), 1.0)

    parts = []
    if at_least is not None or at_most is not None:
        start = x(at_least) if at_least is not None else _EDGE
        end = x(at_most) if at_most is not None else _WIDTH - _EDGE
        parts.append(f'<rect class="kept" x="{start:.1f}" width="{max(end - start, 0.0):.1f}" height="16"/>')
    parts.append(f'<path class="axis" d="M{_EDGE:g} 8H{_WIDTH - _EDGE:g}"/>')
    if low_end < 0.0 < high_end:
        parts.append(f'<path class="axis" d="M{x(0.0):.1f} 5v6"/>')
    parts += [f'<path class="bound" d="M{x(bound):.1f} 0v16"/>' for bound in (at_least, at_most) if bound is not None]
    if low is not None and high is not None:
        parts.append(f'<path class="{kind} interval" d="M{x(low):.1f} 8H{x(high):.1f}"/>')
    if baseline is not None:
        parts.append(f'<path class="then" d="M{x(baseline):.1f} 3l4 5-4 5-4-5z"/>')
    if value is not None:
        parts.append(f'<circle class="{kind}" cx="{x(value):.1f}" cy="8" r="3.5"/>')
    return f'<svg class="track" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" aria-hidden="true">' + "".join(parts) + "</svg>"


def bars(ours: float, theirs: float | None, /) -> str:
    """Return two shares of one option as bars, the model's above the people's; a hundred units are the whole."""
    parts = f'<path class="m" d="M0 1h{100 * ours:.0f}v5H0z"/>'
    if theirs is not None:
        parts += f'<path class="p" d="M0 8h{100 * theirs:.0f}v5H0z"/>'
    return f'<svg class="bars" aria-hidden="true">{parts}</svg>'


def mirror(ours: Sequence[float], theirs: Sequence[float], /) -> str:
    """Return two distributions back to back: the model's upwards, the people's downwards, one column an option."""

    def columns(shares: Sequence[float], sign: int) -> str:
        return "".join(f"M{9 * place} 16v{-sign * 15 * share:.0f}h8V16z" for place, share in enumerate(shares))

    width = 9 * max(len(ours), len(theirs), 1) - 1
    parts = f'<path class="m" d="{columns(ours, 1)}"/>'
    if theirs:
        parts += f'<path class="p" d="{columns(theirs, -1)}"/>'
    return f'<svg class="mirror" width="{width}" aria-hidden="true">{parts}</svg>'
