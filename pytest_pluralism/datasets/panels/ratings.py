"""Tables of ratings in any form, read by the names of their columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, did_you_mean, invalid_parameter
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.names import clean_name
from pytest_pluralism.datasets.panels.assembly import ReadVote, assemble_panel
from pytest_pluralism.datasets.panels.columns import looks_like_weight
from pytest_pluralism.datasets.panels.others import RatedTable
from pytest_pluralism.datasets.panels.records import Juror, Panel, PanelQuery, PanelResponse, UtilityScale
from pytest_pluralism.datasets.panels.tables import ONLY, ReadPanel, WideTable, vote_in
from pytest_pluralism.datasets.reading import (
    Line,
    Problems,
    format_of,
    json_lines,
    listed,
    number_in,
    read_entries,
    read_table,
    read_text,
    shown,
)
from pytest_pluralism.datasets.sources import Rows, Source, of_one_form

__all__ = ["RATING_FORMATS", "panel_of_source", "read_ratings"]

#: The endings of tables of ratings; each may be followed by ``.gz``.
RATING_FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")

REMEDY = "The format of panel files is described in the reference, under 'Panels'."


def _name(value: object) -> str | None:
    """Return the name in a cell; a number is a name, too."""
    if isinstance(value, str):
        return clean_name(value) or None
    return str(value) if is_number(value) else None


def read_ratings(
    path: Path,
    /,
    *,
    columns: Line,
    scale: UtilityScale | None = None,
    values: Mapping[str, float] | None = None,
    leave_out_empty: bool = True,
) -> Panel:
    """Read any table with one rating a row, by the names of its columns.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file, or one of these followed by ``.gz``, or a ``.parquet`` file.
    columns : mapping
        ``juror``, ``query`` and ``utility`` name the columns of the annotator, of what was rated and of the rating;
        ``response`` the column that tells several responses to one query apart; ``query_text`` and ``response_text``
        the columns of their texts; ``weight`` that of the annotator's weight, or ``None``; ``groups`` is a list of
        columns that say which groups the annotator belongs to.
        In a table with one row an annotator, ``votes`` is a list of columns instead of ``query`` and ``utility``: each
        is a query by its whole name.
    scale : UtilityScale, optional
        The scale of the ratings. Without one they must be utilities in [0, 1].
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
    groups, asked = _check_columns(columns, values)
    problems = Problems(str(path), REMEDY)
    found, rows = _rated(path, problems)
    named = [column for part, column in columns.items() if part not in ("groups", "votes") and column is not None]
    for name in [*named, *groups, *asked]:
        if name not in found:
            hint = did_you_mean(str(name), found, "; did you mean {!r}?")
            problems.add("line 1", f"lacks the column {name!r} (it has {listed(found[:8])}){hint}")
    problems.raise_if_any()
    differing: dict[str, str] = {}
    if asked:
        wide = WideTable(
            columns["juror"],
            columns.get("weight"),
            {name: name for name in groups},
            {name: (name, None) for name in asked},
            values,
            unknown="unknown",
        )
        cells = ((where, {name: _cell(row.get(name)) for name in found}) for where, row in rows)
        read: ReadPanel = (*wide.read(cells, problems), None)
    else:
        read = _rated_by(rows, columns, groups, values, problems, differing)
    votes, jurors, queries = read
    panel = assemble_panel(
        path.name,
        votes,
        problems=problems,
        jurors=jurors,
        queries=queries,
        scale=scale,
        source=f"ratings of {path.name}",
        leave_out_empty=leave_out_empty,
    )
    unread = [] if "weight" in columns else [name for name in found if name not in (*named, *groups, *asked)]
    warnings = [
        f"the column {name!r} looks like the jurors' weights and is not read: name it as 'weight' in columns=, or "
        "write 'weight': None there"
        for name in unread
        if looks_like_weight(name) or name == "weight"
    ]
    if differing:
        query, where = next(iter(differing.items()))
        warnings.append(
            f"{len(differing)} of {len(panel.queries)} queries have several texts in the table, and the first is kept "
            f"({query!r} differs at {where})"
        )
    return replace(panel, warnings=(*panel.warnings, *warnings))


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _rated_by(
    rows: Iterable[tuple[str, Line]],
    columns: Line,
    groups: Sequence[str],
    values: Mapping[str, float] | None,
    problems: Problems,
    differing: dict[str, str],
) -> ReadPanel:
    """Return the votes, jurors and queries of rows with one rating each.

    ``differing`` takes in the queries with more than one text, and the place of the second.
    """
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
        raw: object = cells.get(columns["utility"])
        text = parts.get("query_text") or query
        written = PanelResponse(response, parts.get("response_text") or response)
        first_written = responses.setdefault(query, {}).setdefault(response, written)
        if texts.setdefault(query, text) != text or first_written != written:
            differing.setdefault(query, where)
        votes.append(ReadVote(juror, query, response, _vote(raw, values), where))
    queries = [PanelQuery(name, text, tuple(responses[name].values())) for name, text in texts.items()]
    return votes, [juror for _, juror in jurors.values()], queries


def _vote(raw: object, values: Mapping[str, float] | None) -> object:
    """Return a vote: a truth value is 1 or 0, unless ``values`` says what it stands for."""
    if isinstance(raw, bool):
        return (values or {}).get(str(raw), (values or {}).get(str(raw).lower(), float(raw)))
    return vote_in(raw, values) if isinstance(raw, str) else raw


def panel_of_source(source: Source[RatedTable], rows: Rows) -> Panel:
    """Return the panel of a known source, which a user cannot correct: jurors and queries without a vote are left out.

    Raises
    ------
    DatasetError
        If anything in it is wrong.
    """
    differing: dict[str, str] = {}
    held: list[tuple[str, Line]] = []
    with of_one_form(rows.path, source.name):
        table = source.read(rows)
        for where, row in table.rows:
            if isinstance(row, Mapping):
                held.append((where, row))
            else:
                rows.problems.add(where, f"must be an object with one rating, not {shown(row)}")
    groups = table.columns.get("groups", ())
    known = set(itertools.chain.from_iterable(row for _, row in held))
    votes, jurors, queries = _rated_by(
        held, table.columns, [name for name in groups if name in known], table.values, rows.problems, differing
    )
    panel = assemble_panel(
        rows.path.name,
        votes,
        problems=rows.problems,
        jurors=jurors,
        queries=queries,
        scale=table.scale,
        source=f"file {rows.path.name}: {source.words}",
        leave_out_empty=True,
    )
    warnings = [f"{len(differing)} of {len(panel.queries)} queries have several texts, and the first is kept"]
    return replace(panel, warnings=(*panel.warnings, *(warnings if differing else ())))


#: The keys of ``columns``; the first three are required, or the first and ``votes``.
PARTS = ("juror", "query", "utility", "response", "query_text", "response_text", "weight", "groups", "votes")


def _check_columns(columns: Line, values: Mapping[str, float] | None) -> tuple[Sequence[str], Sequence[str]]:
    """Return the columns of groups and of votes; raise an error if the names of columns do not make sense."""
    for parameter, mapping in (("columns", columns), ("values", {} if values is None else values)):
        if not isinstance(mapping, Mapping):
            raise invalid_parameter(parameter, "read_ratings", "a mapping", repr(mapping)[:60])
    for name in columns:
        if name not in PARTS:
            raise invalid_parameter("columns", "read_ratings", f"made of {', '.join(PARTS)}", repr(name))
    for name in ("juror",) if "votes" in columns else PARTS[:3]:
        if name not in columns:
            raise invalid_parameter("columns", "read_ratings", f"a mapping that names {name!r}", repr(dict(columns)))
    if "votes" in columns and set(columns) - {"juror", "weight", "groups", "votes"}:
        must = "a mapping with 'votes', a column for each query, or with 'query' and 'utility', and not both"
        raise invalid_parameter("columns", "read_ratings", must, repr(dict(columns)))
    lists = [columns.get(name, ()) for name in ("groups", "votes")]
    for name, found in zip(("groups", "votes"), lists, strict=True):
        if isinstance(found, str) or not isinstance(found, Sequence):
            must = f"a mapping with {name!r} as a list of names"
            raise invalid_parameter("columns", "read_ratings", must, repr(found))
    return lists[0], lists[1]


def _rated(path: Path, problems: Problems) -> tuple[Sequence[str], Iterable[tuple[str, Line]]]:
    """Return the columns and the rows of any table."""
    kind = format_of(path, RATING_FORMATS)
    if kind is None:
        ends = ", ".join(RATING_FORMATS)
        raise DatasetError(f"{path}: a table of ratings must end in {ends}, not {path.suffix!r}.")
    if kind == ".parquet":
        entries, _ = read_entries(path, what="table", holds="rating", remedy=REMEDY, formats=RATING_FORMATS)
        held = list(entries)
        return list(dict.fromkeys(itertools.chain.from_iterable(entry for _, entry in held))), held
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
    juror: str, cells: Line, weighted: str | None, groups: Sequence[str], where: str, problems: Problems
) -> Juror:
    """Return the juror of one row."""
    raw = 1.0 if weighted is None else cells.get(weighted)
    weight = number_in(raw) if isinstance(raw, str) else raw
    if not isinstance(weight, (int, float)) or not is_number(weight):
        problems.add(where, f"{weighted!r} must be a number, not {str(raw)[:40]!r}")
        weight = 1.0
    return Juror(juror, {name: clean_name(_name(cells.get(name)) or "unknown") for name in groups}, float(weight))
