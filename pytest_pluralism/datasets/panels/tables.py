"""Tables of a panel: votes in the long form, one a row, and in the wide form, one row a juror."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import cast

import numpy as np

from pytest_pluralism.core.errors import did_you_mean
from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, Kind, UnfitError, one_of, text
from pytest_pluralism.datasets.names import NAME, clean_name
from pytest_pluralism.datasets.panels.assembly import ReadVote, VoteColumns
from pytest_pluralism.datasets.panels.columns import check_votes, check_weights, looks_like_weight, split_header
from pytest_pluralism.datasets.panels.records import KINDS, MOST_VOTES, Juror, PanelQuery, PanelResponse, UtilityScale
from pytest_pluralism.datasets.reading import MOST_COUNTED, Problems, Record, Table, number_in

__all__ = ["JUROR", "ONLY", "VOTE", "ReadPanel", "WideTable", "read_panel_table", "vote_in"]

#: The words that stand for a missing vote in a table.
MISSING = frozenset({"", "na", "nan", "null", "none"})

#: The name of a response where a query has one alone.
ONLY = "response"


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise UnfitError(instead="must map kinds of groups to strings")
    return {clean_name(name): clean_name(one) for name, one in value.items()}


def _weight(value: object) -> object:
    # Its range is checked together with the weights of the other jurors.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitError
    return value


def _juror(
    juror: str, group: str | None, attributes: Mapping[str, str], weight: float, statement: str, kind: str
) -> Juror:
    groups = dict(attributes) if group is None else {"group": clean_name(group), **attributes}
    return Juror(juror, groups, weight, statement, kind)


JUROR = Fields(
    _juror,
    Field("juror", NAME, required=True),
    Field("group", text("a string", empty=True, strip=False)),
    Field("attributes", Kind("an object", _attributes), default={}),
    Field("weight", Kind("a number", _weight), default=1.0),
    Field("statement", text("a string", empty=True, strip=False), default=""),
    Field("kind", one_of(KINDS), default=KINDS[0]),
)

#: The fields of a vote. Their values are checked where the panel is put together.
VOTE = Fields(
    Record,
    Field("juror", ANYTHING, required=True),
    Field("query", ANYTHING, required=True),
    Field("utility", ANYTHING, required=True),
    Field("response", ANYTHING, default=ONLY),
)

#: Maximum number of cells of a wide table, empty ones included.
MOST_CELLS = 2 * MOST_VOTES

#: The number of different votes of a column that are kept: enough to know that they are not 0 and 1 alone.
MOST_FOUND = 3

#: Maximum number of different cells that are remembered.
MOST_KNOWN = 1 << 16

#: Number of rows of a table that are taken in at once.
BLOCK = 256

#: Maximum number of different jurors and responses of a table.
MOST_NAMES = 250_000

#: Votes, the jurors that are described, and the queries that have texts.
ReadPanel = tuple[list[ReadVote] | VoteColumns, list[Juror] | None, list[PanelQuery] | None]


def read_panel_table(table: Table, scale: UtilityScale | None, problems: Problems, /) -> ReadPanel:
    """Return the votes, jurors and queries of a table whose columns have the names of the format."""
    columns = table.columns
    if not columns:
        return [], None, None
    if "juror" not in columns:
        hint = did_you_mean("juror", columns, " (did you mean {!r}?)")
        problems.add(
            "line 1",
            f"lacks the column 'juror'{hint}; it has {', '.join(map(repr, columns[:8]))}. A table with other columns "
            "is read with load_panel(..., columns={...})",
        )
        return [], None, None
    if "utility" in columns:
        return _from_long(table, problems)
    return _from_wide(table, scale, problems)


def _from_long(table: Table, problems: Problems) -> ReadPanel:
    columns = table.columns
    if "query" not in columns:
        problems.add("line 1", "lacks the column 'query'")
        return [], None, None
    extra = [name for name in columns if name not in (*VOTE.names, "query_text", "response_text")]
    groups = [name for name in extra if name not in ("weight", "statement", "kind")]
    parts = {part: part for part in (*VOTE.names, "query_text", "response_text") if part in columns}
    check_weights(extra, parts, groups, problems)
    problems.raise_if_any()
    long, next_look = _Long(columns, extra, problems), 1 << 13
    while block := list(itertools.islice(table.cells, BLOCK)):
        long.add(block)
        if len(long.votes.odd) >= MOST_COUNTED:
            # They are errors, and so many of them that the rest of the file tells no more.
            break
        if long.n_names > MOST_NAMES:
            names = f"holds more than {MOST_NAMES:,} names of jurors and responses"
            problems.add(f"line {block[-1][0]}", f"{names}; split the panel or select queries")
            problems.raise_if_any()
        if len(long.votes.values) >= next_look:
            next_look *= 2
            if long.votes.n_repeated >= MOST_COUNTED:
                break
    queries = [PanelQuery(name, text, tuple(long.responses[name].values())) for name, text in long.texts.items()]
    return long.votes, _described(long.jurors, problems) if extra else None, queries


class _Long:
    """The votes of a table with a row a vote: the names in a row are cleaned and checked where they first stand."""

    def __init__(self, columns: Sequence[str], extra: Sequence[str], problems: Problems) -> None:
        self.problems, self.extra = problems, extra
        self.lines = array("q")
        self.votes = VoteColumns(lambda row: f"line {self.lines[row]}")
        self.texts: dict[str, str] = {}
        self.responses: dict[str, dict[str, PanelResponse]] = {}
        #: The place of the row in which a juror first stands, and how it is described there.
        self.jurors: dict[str, tuple[str, dict[str, str]]] = {}
        self._juror, self._vote = columns.index("juror"), columns.index("utility")
        self._about = [columns.index(name) for name in extra]
        parts = [name for name in ("query", "response", "query_text", "response_text") if name in columns]
        self._on = {name: columns.index(name) for name in parts}
        #: By the cells of a row: the place of a juror with its description, and that of a response with its texts.
        self._who: dict[object, int] = {}
        self._what: dict[object, int] = {}
        self._who_in: Callable[[list[str]], object] = itemgetter(self._juror, *self._about)
        self._what_in: Callable[[list[str]], object] = itemgetter(*self._on.values())
        self._places: dict[str, int] = {}
        self._pairs: dict[tuple[str, str], int] = {}

    @property
    def n_names(self) -> int:
        """The number of different jurors and responses."""
        return len(self._places) + len(self._pairs)

    def add(self, block: Sequence[tuple[int, list[str]]]) -> None:
        """Take in rows: all at once where all their names are known and all their votes are numbers."""
        rows = [cells for _, cells in block]
        who = list(map(self._who.get, map(self._who_in, rows)))
        what = list(map(self._what.get, map(self._what_in, rows)))
        try:
            values = array("d", map(float, [cells[self._vote] for cells in rows]))
        except ValueError:
            values = array("d")
        if None in who or None in what or not values or not math.isfinite(sum(values)):
            for number, cells in block:
                self._add_row(number, cells)
            return
        self.lines.extend([number for number, _ in block])
        self.votes.extend(cast("list[int]", who), cast("list[int]", what), values)

    def _add_row(self, number: int, cells: list[str]) -> None:
        who = self._who.get(self._who_in(cells))
        if who is None:
            who = self._described(number, cells)
            if who is None:
                return
        what = self._what.get(self._what_in(cells))
        if what is None:
            what = self._answered(number, cells)
        self.lines.append(number)
        self.votes.add(who, what, _number_or_vote(cells[self._vote]))

    def _described(self, number: int, cells: list[str]) -> int | None:
        """Return the place of a juror; ``None`` where an earlier row describes it otherwise."""
        juror, where = clean_name(cells[self._juror]), f"line {number}"
        about = [cells[place] for place in self._about]
        described = {name: cell.strip() for name, cell in zip(self.extra, about, strict=True)}
        first, known = self.jurors.setdefault(juror, (where, described))
        if known != described:
            name = next(name for name in self.extra if known[name] != described[name])
            self.problems.add(where, f"{name!r} of juror {juror!r} differs from {first}; it must be the same")
            return None
        place = self._places.setdefault(juror, len(self._places))
        if place == len(self.votes.jurors):
            self.votes.jurors.append(juror)
        self._who[self._who_in(cells)] = place
        return place

    def _answered(self, number: int, row: list[str]) -> int:
        """Return the place of a response to a query, whose texts must be the same in all rows."""
        cells, where = {name: row[place] for name, place in self._on.items()}, f"line {number}"
        query, response = clean_name(cells["query"]), clean_name(cells.get("response", "")) or ONLY
        before = self.problems.count
        text = cells.get("query_text", "").strip() or query
        if self.texts.setdefault(query, text) != text:
            self.problems.add(
                where, f"'query_text' of query {query!r} differs from an earlier row; it must be the same"
            )
        written = PanelResponse(response, cells.get("response_text", "").strip() or response)
        if self.responses.setdefault(query, {}).setdefault(response, written) != written:
            self.problems.add(
                where, f"'response_text' of response {response!r} to query {query!r} differs from earlier rows"
            )
        place = self._pairs.setdefault((query, response), len(self._pairs))
        if place == len(self.votes.responses):
            self.votes.responses.append((query, response))
        if self.problems.count == before:
            self._what[self._what_in(row)] = place
        return place


def _number_or_vote(cell: str) -> float | str | None:
    try:
        number = float(cell)
    except ValueError:
        return vote_in(cell.strip())
    return number if number == number else vote_in(cell.strip())


def _from_wide(table: Table, scale: UtilityScale | None, problems: Problems) -> ReadPanel:
    """Read a matrix: a row a juror, a column a query, or ``QUERY/RESPONSE`` where a query has several responses."""
    own = [name for name in table.columns if name in ("juror", "group", "weight") or name.startswith("attribute:")]
    questions = [name for name in table.columns if name not in own]
    if not questions:
        problems.add("line 1", "has no column with votes beside the juror's own columns")
    groups = {name: name.removeprefix("attribute:") for name in own if name not in ("juror", "weight")}
    check_weights(
        questions,
        {"juror": "juror", "votes": [name for name in questions if not looks_like_weight(name)]},
        list(groups),
        problems,
    )
    asked = split_header(questions, problems)
    problems.raise_if_any()
    wide = WideTable("juror", "weight" if "weight" in own else None, groups, asked)
    votes, jurors = wide.read(table.rows, problems)
    check_votes(wide.found, scale or UtilityScale(0.0, 1.0, mapped=False), list(groups), problems)
    return votes, jurors, None


@dataclass
class WideTable:
    """A matrix of votes: the columns of the juror's name and weight, of groups by their names, and of votes."""

    juror: str
    weight: str | None
    groups: Mapping[str, str]
    asked: Mapping[str, tuple[str, str | None]]
    values: Mapping[str, float] | None = None
    unknown: str = ""
    found: dict[str, set[float]] = field(default_factory=dict)

    def read(
        self, rows: Iterable[tuple[str, Mapping[str, str]]], problems: Problems
    ) -> tuple[VoteColumns, list[Juror]]:
        """Return the votes and the jurors of the rows."""
        names, places = list(self.asked), list[str]()
        votes = VoteColumns(lambda row: f"{places[votes.who[row]]}, column {names[votes.what[row]]!r}")
        votes.responses += [(query, response or ONLY) for query, response in self.asked.values()]
        jurors: dict[str, tuple[str, dict[str, str]]] = {}
        known = _KnownCells(self.values)
        for where, cells in rows:
            juror = clean_name(cells[self.juror])
            if juror in jurors:
                problems.add(where, f"juror {juror!r} has a row already (at {jurors[juror][0]}); keep one")
                continue
            described = {group: cells[name] or self.unknown for name, group in self.groups.items()}
            jurors[juror] = (where, described | ({"weight": cells[self.weight]} if self.weight else {}))
            number = len(places)
            votes.jurors.append(juror)
            places.append(where)
            row = [cells[name] for name in names]
            given = known.of_row(row)
            odd = {place: known.odd[cell] for place, cell in enumerate(row) if cell in known.odd} if known.odd else {}
            votes.add_row(number, given, odd)
            if len(votes.odd) >= MOST_COUNTED:
                # They are errors, and so many of them that the rest of the file tells no more.
                break
            if len(places) > MOST_NAMES:
                problems.add(where, f"the table has more than {MOST_NAMES:,} jurors; split the panel")
                problems.raise_if_any()
            if len(votes.values) > MOST_CELLS:
                problems.add(where, f"the table has more than {MOST_CELLS:,} cells; split the panel or select queries")
                problems.raise_if_any()
        columns = np.array(votes.values).reshape(-1, max(len(names), 1)).T
        self.found = {
            name: set(np.unique(column[~np.isnan(column)])[:MOST_FOUND].tolist())
            for name, column in zip(names, columns, strict=False)
        }
        return votes, _described(jurors, problems)


class _KnownCells:
    """The votes of cells, each read once: a table has few different ones."""

    def __init__(self, values: Mapping[str, float] | None) -> None:
        self.values = values
        self.numbers: dict[str, float] = {}
        self.odd: dict[str, object] = {}

    def of_row(self, row: Sequence[str]) -> list[float]:
        """Return the votes of a row; NaN where there is none, or where it is odd."""
        numbers = self.numbers
        if len(numbers) > MOST_KNOWN:
            numbers.clear()
        for cell in row:
            if cell not in numbers:
                vote = vote_in(cell, self.values)
                if isinstance(vote, (int, float)) and math.isfinite(vote):
                    numbers[cell] = float(vote)
                else:
                    numbers[cell] = math.nan
                    if vote is not None:
                        self.odd[cell] = vote
        return [numbers[cell] for cell in row]


def _described(jurors: Mapping[str, tuple[str, Mapping[str, str]]], problems: Problems) -> list[Juror]:
    result = []
    for juror_id, (where, described) in jurors.items():
        own = {name: described[name] for name in ("statement", "kind") if described.get(name)}
        groups = {
            name: cell for name, cell in described.items() if name not in ("weight", "statement", "kind") and cell
        }
        weight = number_in(described.get("weight", "1"))
        values = {"juror": juror_id, "attributes": groups, "weight": "" if weight is None else weight, **own}
        juror = JUROR.checked(values, where, problems, of=f" of juror {juror_id!r}")
        result.append(juror or Juror(juror_id))
    return result


def vote_in(cell: str, values: Mapping[str, float] | None = None) -> float | str | None:
    """Return the vote in a cell: a number, ``None`` for a missing one, or the text of one that is wrong."""
    if values and cell in values:
        return values[cell]
    return None if cell.casefold() in MISSING else number_in(cell)
