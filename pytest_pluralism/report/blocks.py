"""The blocks of a report: sentences, tables, charts and parts, as plain records that every form of report writes.

A plain ``str`` in a record is untrusted, and each form escapes it; :class:`Ours` marks the words and numbers that the
package wrote. Numbers are made into words here, once, so that all forms say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_pluralism.report.cells import Entry, Ours, bound_words
from pytest_pluralism.report.charts import Chart, Track

__all__ = [
    "Cell",
    "Code",
    "Para",
    "Part",
    "Points",
    "Table",
    "interval",
    "matrix",
    "number",
    "percent",
    "span",
    "texts",
]


class Code(str):
    """Untrusted text that is shown as code."""

    __slots__ = ()


@dataclass(frozen=True)
class Cell:
    """Hold one cell of a table; ``text`` is ``None`` where there is no value.

    ``value`` is the number by which its column sorts, ``why`` the reason why it stands out (``"best"``), ``shade`` its
    strength from 0 to 8, ``track`` a picture in place of words.
    """

    text: str | None
    value: float | None = None
    is_number: bool = False
    why: str = ""
    shade: int | None = None
    is_framed: bool = False
    track: Track | None = None


@dataclass(frozen=True)
class Para:
    """A sentence, in parts that are escaped one by one."""

    parts: tuple[str, ...]
    is_warning: bool = False


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: tuple[Para, ...]


@dataclass(frozen=True)
class Table:
    """Hold a table whose first cells head their rows.

    ``name`` is what a screen reader calls it, ``caption`` the sentence above it in parts, ``sorts`` what its rows are
    called where its columns sort, ``own`` the row that is about the model itself.
    """

    name: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: tuple[str, ...] = ()
    sorts: str = ""
    own: int | None = None

    @property
    def columns(self) -> Iterator[tuple[str, bool]]:
        """The headings, each with whether its column holds numbers."""
        first = self.rows[0] if self.rows else ()
        return ((head, place < len(first) and first[place].is_number) for place, head in enumerate(self.heads))


@dataclass(frozen=True)
class Part:
    """Hold a part of a verdict or of a page, with charts beside what it says.

    ``section`` is the section of the Markdown report in which it stands; empty where only the page shows it.
    """

    title: str
    blocks: tuple[Para | Points | Table, ...]
    charts: tuple[Chart, ...] = ()
    section: str = ""


def number(value: float | None, form: str = "z.3f", **more: Any) -> Cell:
    """Return the cell of a number, ``0.382``; by its form ``+.3f`` with a sign."""
    text = None if value is None else Ours(f"{value:{form}}")
    return Cell(text, value, is_number=True, **more)


def interval(entry: Entry, sign: str = "", *, value: str = "value") -> Cell:
    """Return the cell of an estimate with its interval, by the names that all estimates have in a report."""
    found = entry[value]
    return Cell(bound_words(found, entry.get("low"), entry.get("high"), sign), found, is_number=True)


def span(low: float | None, high: float | None, sign: str = "") -> Cell:
    """Return the cell of an interval without its value, ``[0.361, 0.404]``."""
    text = None if low is None or high is None else Ours(f"[{low:{sign}.3f}, {high:{sign}.3f}]")
    return Cell(text, is_number=True)


def percent(share: float) -> Ours:
    """Return a share in percent."""
    return Ours(f"{100 * share:.0f} %")


def matrix(
    name: str, caption: Iterable[str], corner: str, sides: tuple[Sequence[str], Sequence[str]],
    values: Sequence[Sequence[float]], last: tuple[str, Sequence[float]] | None = None,
) -> Table:  # fmt: skip
    """Return a table of rows by columns, each row shaded from its least to its greatest value, which stands out.

    Parameters
    ----------
    name, caption, corner
        Its name, the sentence above it, and the heading of its first column.
    sides : tuple of sequence of str
        The names of the rows and of the columns; a cell whose names are the same is framed.
    values : sequence of sequence of float
        The numbers, row by row.
    last : tuple of (str, sequence of float), optional
        One more column, with its heading.
    """
    rows = []
    for place, (row, line) in enumerate(zip(sides[0], values, strict=True)):
        low, high = min(line), max(line)
        cells = [
            number(
                value,
                why="best" if value == high else "",
                shade=round(8 * (value - low) / (high - low)) if high > low else 0,
                is_framed=column == row,
            )
            for column, value in zip(sides[1], line, strict=True)
        ]
        rows.append((Cell(str(row)), *cells, *([number(last[1][place])] if last else [])))
    heads = (Ours(corner), *map(str, sides[1]), *([Ours(last[0])] if last else []))
    return Table(name, heads, tuple(rows), tuple(caption))


def texts(*words: object) -> tuple[Cell, ...]:
    """Return cells of untrusted words."""
    return tuple(Cell(word if isinstance(word, str) else str(word)) for word in words)
