"""Checks of numbers, for files, reports and records alike."""

from __future__ import annotations

import math
from typing import SupportsFloat, SupportsIndex, TypeGuard

__all__ = ["finite_or_none", "is_finite", "is_number"]


def is_finite(value: SupportsFloat | SupportsIndex, /) -> bool:
    """Return whether a number is finite as a float64; a whole number may be too large for one."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_number(value: object, /) -> TypeGuard[float]:
    """Return whether a value is a number that a float64 can hold; ``True`` and ``False`` are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and is_finite(value)


def finite_or_none(value: float, /) -> float | None:
    """Return a number for JSON, which has neither NaN nor infinity."""
    return value if math.isfinite(value) else None
