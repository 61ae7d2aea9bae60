"""Estimates whose interval nobody knows."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_pluralism.core.records import Estimate, IntervalMethod

__all__ = ["without_interval"]


def without_interval(estimate: Estimate, told: str, /) -> Estimate:
    """Return an estimate whose ends are NaN, and whose method says why: ``unknown: fewer than two clusters``."""
    return replace(estimate, low=math.nan, high=math.nan, how=IntervalMethod(told=told))
