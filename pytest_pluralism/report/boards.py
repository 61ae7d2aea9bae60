"""The questions of a report by the promises that ask them: one row a question, one column a promise."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from pytest_pluralism.report.blocks import Cell, number
from pytest_pluralism.report.unit_views import UnitView

if TYPE_CHECKING:
    from pytest_pluralism.report.views import VerdictView

__all__ = ["Board", "boards", "script_json"]

#: The strengths of a shade, from 0.
SHADES = 8


@dataclass(frozen=True)
class Board:
    """Hold a table of questions by promises: each row a unit and its values, the worst first.

    ``heads`` has the number of each promise, and the people that it is about.
    """

    title: str
    noun: str
    heads: tuple[tuple[int, str], ...]
    rows: tuple[tuple[UnitView, tuple[Cell, ...]], ...]


def boards(verdicts: Sequence[tuple[int, VerdictView]], /) -> tuple[Board, ...]:
    """Return the boards of a report, for promises whose units are not responses."""
    found: dict[tuple[str, str, str], list[tuple[int, VerdictView]]] = {}
    for place, verdict in verdicts:
        if verdict.units is not None and not any(unit.responses for unit in verdict.units.units):
            found.setdefault((verdict.metric, verdict.dataset, verdict.model), []).append((place, verdict))
    return tuple(_board(_different(sorted(some, key=lambda pair: pair[0]))) for some in found.values())


def _different(verdicts: Sequence[tuple[int, VerdictView]]) -> list[tuple[int, VerdictView]]:
    """Return the first of all verdicts that show the same numbers: two promises about one measurement."""
    seen: dict[object, tuple[int, VerdictView]] = {}
    for pair in verdicts:
        units = pair[1].units.units if pair[1].units else ()
        seen.setdefault((pair[1].population, frozenset((unit.id, unit.numbers[0].text) for unit in units)), pair)
    return list(seen.values())


def _board(verdicts: Sequence[tuple[int, VerdictView]]) -> Board:
    units: dict[str, UnitView] = {}
    values: dict[str, dict[int, float | None]] = {}
    is_descending = True
    noun = "questions"
    for place, verdict in verdicts:
        if verdict.units is None:
            continue
        is_descending, noun = verdict.units.is_descending, verdict.units.noun.many
        for unit in verdict.units.units:
            units.setdefault(unit.id, unit)
            values.setdefault(unit.id, {})[place] = unit.value
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
            tuple(number(value, shade=shade(value)) for value in (values[name].get(at) for at, _ in verdicts)),
        )
        for name in sorted(units, key=worst)
    )
    first = verdicts[0][1]
    heads = tuple((place, verdict.population or verdict.title) for place, verdict in verdicts)
    return Board(f"{first.measure} ({first.dataset}), {first.model}", noun, heads, rows)


def script_json(content: object, /) -> Markup:
    """Return JSON for a block of data in a page: nothing in it ends the block, or begins a comment."""
    text = json.dumps(content, ensure_ascii=True)
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - no sign of markup is left
