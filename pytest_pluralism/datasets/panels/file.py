"""Panel files: votes as a long table or as a matrix, in JSON lines, JSON or CSV, plain or gzipped.

Any table of annotators and ratings is read by naming its columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter, nearest_names
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, Kind, UnfitError, one_of, text
from pytest_pluralism.datasets.panels.assembly import ReadVote, assemble_panel
from pytest_pluralism.datasets.panels.records import (
    KINDS,
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
)
from pytest_pluralism.datasets.reading import (
    Problems,
    Table,
    format_of,
    json_array,
    json_lines,
    listed,
    number_in,
    read_table,
    read_text,
    shown,
)

__all__ = ["FORMATS", "SCALE_FIELDS", "read_panel_file", "read_ratings"]

#: The endings of panel files; each may be followed by ``.gz``.
FORMATS = (".jsonl", ".json", ".csv", ".tsv")

#: The words that stand for a missing vote in a table.
MISSING = frozenset({"", "na", "nan", "null", "none"})

REMEDY = "The format of panel files is described in the reference, under 'Panels'."

#: The name of a response where a query has one alone.
ONLY = "response"

SCALE_FIELDS = ("lowest", "highest", "higher_is_better", "measurement", "levels", "floor", "mapped")


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise UnfitError(instead="must map kinds of groups to strings")
    return value


def _weight(value: object) -> object:
    # Its range is checked together with the weights of the other jurors.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitError
    return value


def _juror(
    juror: str, group: str | None, attributes: Mapping[str, str], weight: float, statement: str, kind: str
) -> Juror:
    return Juror(juror, dict(attributes) if group is None else {"group": group, **attributes}, weight, statement, kind)


JUROR = Fields(
    _juror,
    Field("juror", text(strip=False), required=True),
    Field("group", text("a string", empty=True, strip=False)),
    Field("attributes", Kind("an object", _attributes), default={}),
    Field("weight", Kind("a number", _weight), default=1.0),
    Field("statement", text("a string", empty=True, strip=False), default=""),
    Field("kind", one_of(KINDS), default=KINDS[0]),
)

#: The fields of a vote. Their values are checked where the panel is put together.
VOTE = Fields(
    dict[str, Any],
    Field("juror", ANYTHING, required=True),
    Field("query", ANYTHING, required=True),
    Field("utility", ANYTHING, required=True),
    Field("response", ANYTHING, default=ONLY),
)

TEXT = Fields(
    dict[str, Any],
    Field("query", text("strings", empty=True, strip=False), required=True),
    Field("text", text("a string", empty=True, strip=False), required=True),
    Field("response", text("strings", empty=True, strip=False)),
    Field("author", Kind("a name", str), default=""),
)

SCALE = Fields(UtilityScale, also=SCALE_FIELDS, strict=True)

#: Every field of an entry, whatever it holds.
ENTRY = Fields(dict[str, Any], also=dict.fromkeys((*VOTE.names, *JUROR.names, *TEXT.names, "scale")))


def read_panel_file(path: Path, /, *, scale: UtilityScale | None = None, leave_out_empty: bool = False) -> Panel:
    """Read one panel file.

    Parameters
    ----------
    path : Path
        A ``.jsonl``, ``.json``, ``.csv`` or ``.tsv`` file, or one of these followed by ``.gz``.
    scale : UtilityScale, optional
        The scale of the votes, which a file may also declare itself.
    leave_out_empty : bool
        Leave out jurors and queries without a vote instead of refusing them.

    Returns
    -------
    Panel
        Its name is the name of the file, without folders.

    Raises
    ------
    DatasetError
        If the file cannot be read or anything in it is wrong; up to ten problems are named at once.
    """
    kind = format_of(path, FORMATS)
    if kind is None:
        raise DatasetError(
            f"{path}: a panel file must end in {', '.join(FORMATS)} (or one of these and .gz), not {path.suffix!r}."
        )
    text = read_text(path, what="panel file", holds="vote")
    problems = Problems(str(path), REMEDY)
    if kind in (".csv", ".tsv"):
        table = read_table(text, problems, delimiter="\t" if kind == ".tsv" else ",")
        votes, jurors, queries = _from_table(table, problems)
    else:
        read = _Entries(problems)
        for where, entry in (
            json_lines(text, problems) if kind == ".jsonl" else json_array(text, path, holds="vote", remedy=REMEDY)
        ):
            read.add(where, entry)
        votes, jurors, queries, own = read.votes, read.jurors or None, read.queries(), read.scale
        if own is not None and scale is not None and own != scale:
            problems.add("", f"declares a scale ({own.mapping}) other than the one asked for ({scale.mapping})")
        scale = own or scale
    return assemble_panel(
        path.name,
        votes,
        problems=problems,
        jurors=jurors,
        queries=queries,
        scale=scale,
        source=f"file {path.name}",
        leave_out_empty=leave_out_empty,
    )


# ------------------------------------------------------------------------------------------------------------- JSON


@dataclass
class _Entries:
    """The objects of a file, sorted by what they hold: a scale, a juror, a text or a vote."""

    problems: Problems
    votes: list[ReadVote] = field(default_factory=list)
    jurors: list[Juror] = field(default_factory=list)
    query_texts: dict[str, str] = field(default_factory=dict)
    responses: dict[str, dict[str, PanelResponse]] = field(default_factory=dict)
    scale: UtilityScale | None = None
    named: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def add(self, where: str, entry: Any) -> None:
        """Take in one object."""
        problems = self.problems
        if not isinstance(entry, dict):
            problems.add(where, f"must be an object with 'juror', 'query' and 'utility', not {shown(entry)}")
        elif not ENTRY.fit(entry, where, problems):
            return
        elif "scale" in entry:
            if self.scale is not None:
                problems.add(where, "declares the scale a second time; keep one")
            self.scale = _scale(entry["scale"], where, problems) or self.scale
        elif "utility" in entry:
            about = next((name for name in JUROR.names if name != "juror" and name in entry), None)
            if about is not None:
                problems.add(where, f"{about!r} is about the juror: give it in a row of the juror, without 'utility'")
            elif VOTE.fit(entry, where, problems):
                response = entry.get("response", ONLY)
                self.votes.append(ReadVote(entry["juror"], entry["query"], response, entry["utility"], where))
        elif "juror" in entry:
            juror = JUROR.read(entry, where, problems, of=f" of juror {entry['juror']!r}")
            if juror is not None:
                self.jurors.append(juror)
        elif "query" in entry and isinstance(entry.get("text"), str):
            read = TEXT.read(entry, where, problems)
            if read is not None:
                self._name(where, **read)
        else:
            problems.add(where, "holds neither a vote ('utility'), a juror, a text nor a scale")

    def _name(self, where: str, query: str, response: str | None, text: str, author: str) -> None:
        first = self.named.setdefault((query, response), where)
        if first != where:
            what = f"gives the text of {(query, response or '')} a second time (first at {first}); keep one"
            self.problems.add(where, what)
        elif response is None:
            self.query_texts[query] = text
        else:
            self.responses.setdefault(query, {})[response] = PanelResponse(response, text, author)

    def queries(self) -> list[PanelQuery] | None:
        """Return the queries that have texts, or whose responses have some; ``None`` where there are no texts."""
        names = dict.fromkeys([*self.query_texts, *self.responses])
        if self.query_texts:
            for name in self.responses:
                if name not in self.query_texts:
                    what = f"responses to query {name!r} have texts, but the query itself has none; add it"
                    self.problems.add("", what)
        elif names:
            # Only responses were given texts: the other queries have the names that the votes give them.
            names |= dict.fromkeys(vote.query for vote in self.votes if isinstance(vote.query, str))
        return [
            PanelQuery(name, self.query_texts.get(name, name), tuple(self.responses.get(name, {}).values()))
            for name in names
        ] or None


def _scale(found: Any, where: str, problems: Problems) -> UtilityScale | None:
    if not SCALE.fit(found, f"{where}, the scale", problems):
        return None
    try:
        return UtilityScale(**found)
    except InvalidParameterError as error:
        problems.add(where, str(error))
        return None


# ----------------------------------------------------------------------------------------------------------- tables


#: Votes, the jurors that are described, and the queries that have texts.
_Read = tuple[list[ReadVote], list[Juror] | None, list[PanelQuery] | None]


def _from_table(table: Table, problems: Problems) -> _Read:
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
    return _from_wide(table.rows, columns, problems)


def _from_long(rows: Iterator[tuple[str, dict[str, str]]], columns: Sequence[str], problems: Problems) -> _Read:
    if "query" not in columns:
        problems.add("line 1", "lacks the column 'query'")
        return [], None, None
    extra = [name for name in columns if name not in (*VOTE.names, "query_text", "response_text")]
    texts: dict[str, str] = {}
    responses: dict[str, dict[str, PanelResponse]] = {}
    votes: list[ReadVote] = []
    jurors: dict[str, tuple[str, dict[str, str]]] = {}
    for where, cells in rows:
        described = {name: cells[name] for name in extra}
        first, known = jurors.setdefault(cells["juror"], (where, described))
        if known != described:
            name = next(name for name in extra if known[name] != described[name])
            problems.add(where, f"{name!r} of juror {cells['juror']!r} differs from {first}; it must be the same")
            continue
        query, response = cells["query"], cells.get("response") or ONLY
        votes.append(ReadVote(cells["juror"], query, response, _vote(cells["utility"]), where))
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


def _from_wide(rows: Iterator[tuple[str, dict[str, str]]], columns: Sequence[str], problems: Problems) -> _Read:
    """Read a matrix: a row a juror, a column a query, or ``QUERY/RESPONSE`` where a query has several responses."""
    known = [name for name in columns if name in ("juror", "group", "weight") or name.startswith("attribute:")]
    questions = [name for name in columns if name not in known]
    if not questions:
        problems.add("line 1", "has no column with votes beside the juror's own columns")
    votes: list[ReadVote] = []
    jurors: dict[str, tuple[str, dict[str, str]]] = {}
    for where, cells in rows:
        if cells["juror"] in jurors:
            problems.add(
                where, f"juror {cells['juror']!r} has a row already (at {jurors[cells['juror']][0]}); keep one"
            )
            continue
        jurors[cells["juror"]] = (
            where,
            {name.removeprefix("attribute:"): cells[name] for name in known if name != "juror"},
        )
        for name in questions:
            query, slash, response = name.partition("/")
            votes.append(
                ReadVote(
                    cells["juror"],
                    query,
                    response if slash else ONLY,
                    _vote(cells[name]),
                    f"{where}, column {name!r}",
                )
            )
    return votes, _described(jurors, problems), None


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


def _vote(cell: str) -> float | str | None:
    return None if cell.casefold() in MISSING else number_in(cell)


def _name(value: Any) -> str | None:
    """Return what a cell calls somebody or something; numbers are names, too."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if is_number(value) else None


def read_ratings(
    path: Path,
    /,
    *,
    columns: Mapping[str, Any],
    scale: UtilityScale,
    values: Mapping[str, float] | None = None,
    leave_out_empty: bool = True,
) -> Panel:
    """Read any table with one rating a row, by the names of its columns.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file, or one of these followed by ``.gz``.
    columns : mapping
        ``juror``, ``query`` and ``utility`` name the columns of the annotator, of what was rated and of the rating;
        ``response`` the column that tells several responses to one query apart; ``query_text`` and ``response_text``
        the columns of their texts; ``weight`` that of the annotator's weight; ``groups`` is a list of columns that
        say which groups the annotator belongs to.
    scale : UtilityScale
        The scale of the ratings.
    values : mapping from str to float, optional
        The numbers that written ratings stand for (``{"Yes": 1, "No": 0}``).
    leave_out_empty : bool
        Leave out annotators and queries without a rating instead of refusing them.

    Returns
    -------
    Panel
        Attributes without an entry are ``"unknown"``.

    Raises
    ------
    InvalidParameterError
        If ``columns`` lacks a name or holds an unknown one.
    DatasetError
        If the file cannot be read, lacks a column, or anything in it is wrong.
    """
    groups = _check_columns(columns, values)
    problems = Problems(str(path), REMEDY)
    found, rows = _rated(path, problems)
    for name in [*(columns[part] for part in columns if part != "groups"), *groups]:
        if name not in found:
            near = nearest_names(str(name), found, most=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.add("line 1", f"lacks the column {name!r} (it has {listed(found[:8])}){hint}")
    problems.raise_if_any()
    votes: list[ReadVote] = []
    jurors: dict[str, tuple[str, Juror]] = {}
    texts: dict[str, str] = {}
    responses: dict[str, dict[str, PanelResponse]] = {}
    named = [part for part in ("juror", "query", "response", "query_text", "response_text") if part in columns]
    for where, cells in rows:
        parts = {part: _name(cells.get(columns[part])) for part in named}
        lacking = next((part for part, name in parts.items() if name is None), None)
        if lacking is not None:
            column = columns[lacking]
            problems.add(where, f"{column!r} must hold a text or a number, not {str(cells.get(column))[:40]!r}")
            continue
        juror, query, response = (str(parts.get(part, ONLY)) for part in ("juror", "query", "response"))
        record = _rater(juror, cells, columns.get("weight"), groups, where, problems)
        first, before = jurors.setdefault(juror, (where, record))
        if before != record:
            problems.add(where, f"juror {juror!r} has other groups or another weight than at {first}")
        raw: Any = cells.get(columns["utility"])
        texts.setdefault(query, parts.get("query_text") or query)
        written = parts.get("response_text") or response
        responses.setdefault(query, {}).setdefault(response, PanelResponse(response, written))
        value = (values or {}).get(raw, _vote(raw)) if isinstance(raw, str) else raw
        votes.append(ReadVote(juror, query, response, value, where))
    return assemble_panel(
        path.name,
        votes,
        problems=problems,
        jurors=[juror for _, juror in jurors.values()],
        queries=[PanelQuery(name, text, tuple(responses[name].values())) for name, text in texts.items()],
        scale=scale,
        source=f"ratings of {path.name}",
        leave_out_empty=leave_out_empty,
    )


#: The keys of ``columns``; the first three are required.
PARTS = ("juror", "query", "utility", "response", "query_text", "response_text", "weight", "groups")


def _check_columns(columns: Mapping[str, Any], values: Mapping[str, float] | None) -> Sequence[str]:
    """Return the columns of groups; raise an error if the names of columns do not make sense."""
    for parameter, mapping in (("columns", columns), ("values", {} if values is None else values)):
        if not isinstance(mapping, Mapping):
            raise invalid_parameter(parameter, "read_ratings", "a mapping", repr(mapping)[:60])
    for name in columns:
        if name not in PARTS:
            raise invalid_parameter("columns", "read_ratings", f"made of {', '.join(PARTS)}", repr(name))
    for name in PARTS[:3]:
        if name not in columns:
            raise invalid_parameter("columns", "read_ratings", f"a mapping that names {name!r}", repr(dict(columns)))
    groups = columns.get("groups", ())
    if isinstance(groups, str) or not isinstance(groups, Sequence):
        raise invalid_parameter("columns", "read_ratings", "a mapping with 'groups' as a list of names", repr(groups))
    return groups


def _rated(path: Path, problems: Problems) -> tuple[Sequence[str], Iterable[tuple[str, Mapping[str, Any]]]]:
    """Return the columns and the rows of any table."""
    kind = format_of(path, FORMATS)
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise DatasetError(f"{path}: a table of ratings must end in .csv, .tsv or .jsonl, not {path.suffix!r}.")
    text = read_text(path, what="table", holds="rating")
    if kind != ".jsonl":
        table = read_table(text, problems, delimiter="\t" if kind == ".tsv" else ",")
        # Without a header every column would be missing.
        problems.raise_if_any()
        return table.columns, table.rows
    rows = []
    for where, entry in json_lines(text, problems):
        if isinstance(entry, dict):
            rows.append((where, entry))
        else:
            problems.add(where, f"must be an object with one rating, not {str(entry)[:40]!r}")
    return list(dict.fromkeys(itertools.chain.from_iterable(entry for _, entry in rows))), rows


def _rater(
    juror: str, cells: Mapping[str, Any], weighted: str | None, groups: Sequence[str], where: str, problems: Problems
) -> Juror:
    """Return the juror of one row."""
    raw = 1.0 if weighted is None else cells.get(weighted)
    weight = number_in(raw) if isinstance(raw, str) else raw
    if not isinstance(weight, (int, float)) or not is_number(weight):
        problems.add(where, f"{weighted!r} must be a number, not {str(raw)[:40]!r}")
        weight = 1.0
    return Juror(juror, {name: _name(cells.get(name)) or "unknown" for name in groups}, float(weight))
