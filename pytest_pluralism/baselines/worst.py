"""The change of the group that fares worst, between two results that hold the units of every group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.comparison import paired_change
from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.core.finite import is_number

if TYPE_CHECKING:
    from pytest_pluralism.core.estimation.worst import Paired
    from pytest_pluralism.core.records import Estimate

__all__ = ["change_of_worst", "is_of_worst"]

#: How far two intervals of one group may differ by rounding.
_ROUNDING = 1e-9

#: The parts of a result that belong to its worst group alone, and say nothing about the others.
_OF_ONE_GROUP = ("crossed", "extra_variance", "relative_variance", "doubt")


def is_of_worst(entry: Entry, /) -> bool:
    """Return whether a result is about the group that fares worst, whichever that is."""
    return bool(entry["settings"].get("worst_of")) and bool((entry.get("details") or {}).get("groups"))


def change_of_worst(now: Entry, then: Entry, /, *, confidence_level: float | None) -> Estimate:
    """Return the change of the value of the group that fares worst, which may be another group on each side.

    Parameters
    ----------
    now, then : mapping
        Two results about the worst group that may be compared, with the units of every group.
    confidence_level : float in (0, 1) or None
        Of the interval.

    Returns
    -------
    Estimate
        As :func:`~pytest_pluralism.core.estimation.worst_change` makes it. Its ends are NaN where the units of a group
        do not say all of its uncertainty, as where the same jurors or a judge stand behind all of them.
    """
    from pytest_pluralism.core.estimation import worst_change
    from pytest_pluralism.core.estimation.unknown import without_interval

    sides = _by_group(now), _by_group(then)
    estimates = [{name: _estimate(part, confidence_level) for name, part in side.items()} for side in sides]

    def paired(name: str) -> Paired:
        return lambda level: paired_change(sides[0][name], sides[1][name], confidence_level=level)

    changes = {name: paired(name) for name in sides[0]}
    change = worst_change(estimates[0], estimates[1], changes, direction=now["direction"])
    whole = all(_says_all(side, found) for side, found in zip((now, then), estimates, strict=True))
    if confidence_level is None or whole:
        return change
    told = "unknown: the units of a group do not say all of its uncertainty; a run beside a baseline knows it"
    return without_interval(change, told)


def _by_group(entry: Entry) -> dict[str, Content]:
    """Return the results of the groups of one result about the worst of them."""
    found: dict[str, Content] = {}
    for unit in entry["units"]:
        name = str(unit["population"])
        found.setdefault(name, {**entry, "units": []})["units"].append(unit)
    return found


def _estimate(entry: Mapping[str, object], level: float | None) -> Estimate:
    from pytest_pluralism.core.estimation.of_scores import estimate_scores
    from pytest_pluralism.core.records import Scores, UnitScore

    units: list[Content] = entry["units"]  # type: ignore[assignment]
    made = [
        UnitScore(
            str(unit["id"]),
            str(unit["cluster"]),
            math.nan if unit["value"] is None else float(unit["value"]),
            bounds=tuple(unit.get("bounds", ())),
        )
        for unit in units
    ]
    return estimate_scores(Scores(str(entry["metric"]), tuple(made)), confidence_level=level)


def _says_all(entry: Entry, estimates: Mapping[str, Estimate]) -> bool:
    """Return whether the interval of each group is as wide as the one that the run found."""
    if any(entry.get(part) for part in _OF_ONE_GROUP):
        return False
    rows = {str(row["group"]): row for row in entry["details"]["groups"]}
    if rows.keys() != estimates.keys():
        return False
    for name, row in rows.items():
        one = estimates[name]
        if not (is_number(row["low"]) and is_number(row["high"])):
            return False
        if not (one.low <= row["low"] + _ROUNDING and one.high >= row["high"] - _ROUNDING):
            return False
    return True
