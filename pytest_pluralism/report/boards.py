"""The questions of a report by the promises that ask them: one row a question, one column a promise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_pluralism.report.blocks import Cell, number
from pytest_pluralism.report.unit_views import UnitsView, UnitView

__all__ = ["Asked", "Board", "boards"]

#: The strengths of a shade, from 0.
SHADES = 8


@dataclass(frozen=True)
class Asked:
    """Hold the units of one promise, with its number, the title of the board on which they stand, and their people."""

    number: int
    title: str
    people: str
    units: UnitsView


@dataclass(frozen=True)
class Board:
    """Hold a table of questions by promises: each row a unit and its values, the worst first.

    ``heads`` has the number of each promise, and the people that it is about.
    """

    title: str
    noun: str
    heads: tuple[tuple[int, str], ...]
    rows: tuple[tuple[UnitView, tuple[Cell, ...]], ...]


def boards(asked: Iterable[Asked], /) -> tuple[Board, ...]:
    """Return the boards of a report, for promises whose units are not responses."""
    found: dict[str, list[Asked]] = {}
    for one in asked:
        if not any(unit.responses for unit in one.units.units):
            found.setdefault(one.title, []).append(one)
    return tuple(_board(_different(sorted(some, key=lambda one: one.number))) for some in found.values())


def _different(asked: Sequence[Asked]) -> list[Asked]:
    """Return the first of all promises that show the same numbers: two promises about one measurement."""
    seen: dict[object, Asked] = {}
    for one in asked:
        numbers = frozenset((unit.id, unit.numbers[0].text) for unit in one.units.units)
        seen.setdefault((one.people, numbers), one)
    return list(seen.values())


def _board(asked: Sequence[Asked]) -> Board:
    units: dict[str, UnitView] = {}
    values: dict[str, dict[int, float | None]] = {}
    for one in asked:
        for unit in one.units.units:
            units.setdefault(unit.id, unit)
            values.setdefault(unit.id, {})[one.number] = unit.value
    is_descending, noun = asked[0].units.is_descending, asked[0].units.noun.many
    known = [value for row in values.values() for value in row.values() if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    sign = -1.0 if is_descending else 1.0

    def worst(name: str) -> float:
        found = [sign * value for value in values[name].values() if value is not None]
        return min(found, default=math.inf)

    def shade(value: float | None) -> int | None:
        if value is None or high <= low:
            return None
        share = (value - low) / (high - low)
        return round(SHADES * (share if is_descending else 1.0 - share))

    rows = tuple(
        (
            units[name],
            tuple(number(value, shade=shade(value)) for value in (values[name].get(one.number) for one in asked)),
        )
        for name in sorted(units, key=worst)
    )
    return Board(asked[0].title, noun, tuple((one.number, one.people) for one in asked), rows)
