"""Cells that the tables of several reports share: a value with its interval, and a promise in signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["interval_cell", "promise_cell"]

_SIGNS = {
    "at_least": "≥ ",
    "at_most": "≤ ",
    "max_increase": "rise ≤ ",
    "max_decrease": "fall ≤ ",
    "max_unit_increase": "each rise ≤ ",
    "max_unit_decrease": "each fall ≤ ",
}


def interval_cell(entry: Mapping[str, Any], /) -> str:
    """Return what a verdict decided on: the value with its interval, or the change where only that was promised."""
    is_change = "change" in entry and not {"at_most", "at_least"} & set(entry["gate"])
    estimate = entry["change"] if is_change else entry["estimate"]
    if estimate is None or estimate["value"] is None:
        return "-"
    sign = "+" if is_change else ""
    if None in (estimate["low"], estimate["high"], estimate["confidence_level"]):
        return f"{estimate['value']:{sign}.3f}"
    return f"{estimate['value']:{sign}.3f} [{estimate['low']:{sign}.3f}, {estimate['high']:{sign}.3f}]"


def promise_cell(gate: Mapping[str, Any], /) -> str:
    """Return the bounds of a promise, ``≤ 0.4``."""
    return ", ".join(f"{sign}{gate[name]:g}" for name, sign in _SIGNS.items() if name in gate)
