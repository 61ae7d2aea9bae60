"""Tables of a panel: votes in the long form, one a row, and in the wide form, one row a juror."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_pluralism.core.errors import nearest_names
from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, Kind, UnfitError, one_of, text
from pytest_pluralism.datasets.names import NAME, clean_name
from pytest_pluralism.datasets.panels.assembly import ReadVote
from pytest_pluralism.datasets.panels.columns import check_votes, check_weights, looks_like_weight, split_header
from pytest_pluralism.datasets.panels.records import KINDS, Juror, PanelQuery, PanelResponse, UtilityScale
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

#: Votes, the jurors that are described, and the queries that have texts.
ReadPanel = tuple[list[ReadVote], list[Juror] | None, list[PanelQuery] | None]


def read_panel_table(table: Table, scale: UtilityScale | None, problems: Problems, /) -> ReadPanel:
    """Return the votes, jurors and queries of a table whose columns have the names of the format."""
    columns = table.columns
    if not columns:
        return [], None, None
    if "juror" not in columns:
        near = nearest_names("juror", columns, most=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        problems.add(
            "line 1",
            f"lacks the column 'juror'{hint}; it has {', '.join(map(repr, columns[:8]))}. A table with other columns "
            "is read with load_panel(..., columns={...})",
        )
        return [], None, None
    if "utility" in columns:
        return _from_long(table.rows, columns, problems)
    return _from_wide(table, scale, problems)


def _from_long(rows: Iterator[tuple[str, dict[str, str]]], columns: Sequence[str], problems: Problems) -> ReadPanel:
    if "query" not in columns:
        problems.add("line 1", "lacks the column 'query'")
        return [], None, None
    extra = [name for name in columns if name not in (*VOTE.names, "query_text", "response_text")]
    groups = [name for name in extra if name not in ("weight", "statement", "kind")]
    parts = {part: part for part in (*VOTE.names, "query_text", "response_text") if part in columns}
    check_weights(extra, parts, groups, problems)
    problems.raise_if_any()
    texts: dict[str, str] = {}
    responses: dict[str, dict[str, PanelResponse]] = {}
    votes: list[ReadVote] = []
    jurors: dict[str, tuple[str, dict[str, str]]] = {}
    # Their hashes, which take a fraction of the memory of the names.
    cast: set[int] = set()
    for where, cells in rows:
        cells |= {name: clean_name(cells[name]) for name in ("juror", "query", "response") if name in cells}
        described = {name: cells[name] for name in extra}
        first, known = jurors.setdefault(cells["juror"], (where, described))
        if known != described:
            name = next(name for name in extra if known[name] != described[name])
            problems.add(where, f"{name!r} of juror {cells['juror']!r} differs from {first}; it must be the same")
            continue
        query, response = cells["query"], cells.get("response") or ONLY
        votes.append(ReadVote(cells["juror"], query, response, vote_in(cells["utility"]), where))
        cast.add(hash((cells["juror"], query, response)))
        if len(votes) - len(cast) >= MOST_COUNTED:
            # They are errors, and so many of them that the rest of the file tells no more.
            break
        text = cells.get("query_text") or query
        if texts.setdefault(query, text) != text:
            problems.add(where, f"'query_text' of query {query!r} differs from an earlier row; it must be the same")
        written = PanelResponse(response, cells.get("response_text") or response)
        if responses.setdefault(query, {}).setdefault(response, written) != written:
            problems.add(
                where, f"'response_text' of response {response!r} to query {query!r} differs from earlier rows"
            )
    queries = [PanelQuery(name, text, tuple(responses[name].values())) for name, text in texts.items()]
    return votes, _described(jurors, problems) if extra else None, queries


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
    found: dict[str, set[float | str | None]] = field(default_factory=dict)

    def read(
        self, rows: Iterable[tuple[str, Mapping[str, str]]], problems: Problems
    ) -> tuple[list[ReadVote], list[Juror]]:
        """Return the votes and the jurors of the rows."""
        votes: list[ReadVote] = []
        jurors: dict[str, tuple[str, dict[str, str]]] = {}
        self.found = {name: set() for name in self.asked}
        for where, cells in rows:
            juror = clean_name(cells[self.juror])
            if juror in jurors:
                problems.add(where, f"juror {juror!r} has a row already (at {jurors[juror][0]}); keep one")
                continue
            described = {group: cells[name] or self.unknown for name, group in self.groups.items()}
            jurors[juror] = (where, described | ({"weight": cells[self.weight]} if self.weight else {}))
            for name, (query, response) in self.asked.items():
                vote = vote_in(cells[name], self.values)
                self.found[name].add(vote)
                votes.append(ReadVote(juror, query, response or ONLY, vote, f"{where}, column {name!r}"))
        return votes, _described(jurors, problems)


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
