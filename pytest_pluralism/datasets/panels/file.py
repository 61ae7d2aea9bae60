"""Panel files: votes as a long table or as a matrix, in JSON lines, JSON or CSV, plain or gzipped.

Any table of annotators and ratings is read by naming its columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter, nearest_names
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.panels.assembly import ReadVote, assemble_panel
from pytest_pluralism.datasets.panels.records import (
    KINDS,
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
)
from pytest_pluralism.datasets.reading import Problems, format_of, json_array, json_lines, read_text

__all__ = ["FORMATS", "read_panel_file", "read_ratings"]

#: The endings of panel files; each may be followed by ``.gz``.
FORMATS = (".jsonl", ".json", ".csv", ".tsv")

#: The words that stand for a missing vote in a table.
MISSING = frozenset({"", "na", "nan", "null", "none"})

REMEDY = "The format of panel files is described in the reference, under 'Panels'."

#: What a response is called where a query has one alone.
ONLY = "response"

VOTE_FIELDS = ("juror", "query", "response", "utility")
JUROR_FIELDS = ("juror", "group", "attributes", "weight", "statement", "kind")
TEXT_FIELDS = ("query", "response", "text", "author")
SCALE_FIELDS = ("lowest", "highest", "higher_is_better", "measurement", "levels", "floor", "mapped")
FIELDS = tuple(dict.fromkeys((*VOTE_FIELDS, *JUROR_FIELDS, *TEXT_FIELDS, "scale")))


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
        votes, jurors, queries = _from_table(text, "\t" if kind == ".tsv" else ",", problems)
    else:
        entries = (
            json_lines(text, problems) if kind == ".jsonl" else json_array(text, path, holds="vote", remedy=REMEDY)
        )
        votes, jurors, queries, own = _from_entries(entries, problems)
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


def _from_entries(
    entries: Sequence[tuple[str, Any]], problems: Problems
) -> tuple[list[ReadVote], list[Juror] | None, list[PanelQuery] | None, UtilityScale | None]:
    """Sort the objects of a file by what they hold: a scale, a juror, a text or a vote."""
    votes: list[ReadVote] = []
    jurors: list[Juror] = []
    query_texts: dict[str, str] = {}
    responses: dict[str, dict[str, PanelResponse]] = {}
    scale: UtilityScale | None = None
    named: dict[tuple[str, str], str] = {}
    for where, entry in entries:
        if not isinstance(entry, dict):
            problems.add(where, f"must be an object with 'juror', 'query' and 'utility', not {str(entry)[:40]!r}")
            continue
        wrong = [name for name in entry if name not in FIELDS and nearest_names(name, FIELDS, most=1)]
        wrong = [name for name in wrong if nearest_names(name, FIELDS, most=1)[0] not in entry]
        if wrong:
            problems.add(where, f"unknown field {wrong[0]!r}; did you mean {nearest_names(wrong[0], FIELDS)[0]!r}?")
            continue
        if "scale" in entry:
            if scale is not None:
                problems.add(where, "declares the scale a second time; keep one")
            scale = _scale(entry["scale"], where, problems) or scale
        elif "utility" in entry:
            lacking = [name for name in ("juror", "query") if name not in entry]
            if lacking:
                problems.add(where, f"lacks {lacking[0]!r} (it has {', '.join(map(repr, entry))})")
                continue
            about = next((name for name in JUROR_FIELDS if name != "juror" and name in entry), None)
            if about is not None:
                problems.add(where, f"{about!r} is about the juror: give it in a row of the juror, without 'utility'")
                continue
            query, response = entry["query"], entry.get("response", ONLY)
            votes.append(ReadVote(entry["juror"], query, response, entry["utility"], where))
        elif "juror" in entry:
            juror = _juror(entry, where, problems)
            if juror is not None:
                jurors.append(juror)
        elif "query" in entry and isinstance(entry.get("text"), str):
            query, response = entry["query"], entry.get("response")
            if not isinstance(query, str) or not (response is None or isinstance(response, str)):
                problems.add(where, "'query' and 'response' must be strings")
                continue
            key = (query, "" if response is None else response)
            if key in named:
                problems.add(where, f"gives the text of {key} a second time (first at {named[key]}); keep one")
                continue
            named[key] = where
            if response is None:
                query_texts[query] = entry["text"]
            else:
                author = entry.get("author", "")
                responses.setdefault(query, {})[response] = PanelResponse(response, entry["text"], str(author))
        else:
            problems.add(where, "holds neither a vote ('utility'), a juror, a text nor a scale")
    queries: list[PanelQuery] | None = None
    if query_texts or responses:
        names = dict.fromkeys([*query_texts, *responses])
        if query_texts:
            for name in responses:
                if name not in query_texts:
                    problems.add("", f"responses to query {name!r} have texts, but the query itself has none; add it")
        queries = [
            PanelQuery(name, query_texts.get(name, name), tuple(responses.get(name, {}).values())) for name in names
        ]
        if not query_texts:
            # Only responses were given texts: queries without any stay what the votes call them.
            called = [vote.query for vote in votes if isinstance(vote.query, str)]
            others = dict.fromkeys(name for name in called if name not in names)
            queries += [PanelQuery(name, name) for name in others]
    return votes, jurors or None, queries, scale


def _scale(found: Any, where: str, problems: Problems) -> UtilityScale | None:
    if not isinstance(found, dict):
        problems.add(where, f"'scale' must be an object with {', '.join(map(repr, SCALE_FIELDS))}")
        return None
    unknown = [name for name in found if name not in SCALE_FIELDS]
    if unknown:
        near = nearest_names(unknown[0], SCALE_FIELDS, most=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(SCALE_FIELDS)}"
        problems.add(where, f"unknown field {unknown[0]!r} of the scale{hint}")
        return None
    try:
        return UtilityScale(**found)
    except InvalidParameterError as error:
        problems.add(where, str(error))
        return None


def _juror(entry: Mapping[str, Any], where: str, problems: Problems) -> Juror | None:
    juror_id, attributes = entry["juror"], entry.get("attributes", {})
    if not isinstance(juror_id, str) or not juror_id.strip():
        problems.add(where, f"'juror' must be a non-empty string, not {juror_id!r}")
        return None
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        problems.add(where, f"'attributes' of juror {juror_id!r} must map kinds of groups to strings")
        return None
    if "group" in entry:
        if not isinstance(entry["group"], str):
            problems.add(where, f"'group' of juror {juror_id!r} must be a string, not {entry['group']!r}")
            return None
        attributes = {"group": entry["group"], **attributes}
    statement, kind = entry.get("statement", ""), entry.get("kind", "recorded")
    if not isinstance(statement, str):
        problems.add(where, f"'statement' of juror {juror_id!r} must be a string")
        return None
    if not _is_kind(kind, juror_id, where, problems):
        return None
    return Juror(juror_id, dict(attributes), entry.get("weight", 1.0), statement, kind)


def _is_kind(kind: Any, juror_id: str, where: str, problems: Problems) -> bool:
    if kind in KINDS:
        return True
    known = f"{', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}"
    problems.add(where, f"'kind' of juror {juror_id!r} must be {known}, not {str(kind)[:40]!r}")
    return False


# ----------------------------------------------------------------------------------------------------------- tables


def _rows(text: str, delimiter: str, problems: Problems) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the rows of a table with the line where each ends; the first result has no cells but the columns."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        columns = [column.strip() for column in reader.fieldnames or []]
        reader.fieldnames = columns
        if len(set(columns)) != len(columns):
            repeated = next(column for column in columns if columns.count(column) > 1)
            problems.add("line 1", f"column {repeated!r} appears twice")
            return
        if len(columns) == 1 and delimiter == "," and ";" in columns[0]:
            problems.add("line 1", "separate columns with commas, not semicolons")
            return
        yield "line 1", dict.fromkeys(columns, "")
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row or None in row.values():
                problems.add(where, f"must have {len(columns)} columns like the header")
                continue
            yield where, {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        problems.add(f"line {reader.line_num}", f"is not CSV: {error}")


#: Votes, the jurors that are described, and the queries that have texts.
_Read = tuple[list[ReadVote], list[Juror] | None, list[PanelQuery] | None]


def _from_table(text: str, delimiter: str, problems: Problems) -> _Read:
    rows = _rows(text, delimiter, problems)
    header = next(rows, None)
    if header is None:
        return [], None, None
    columns = list(header[1])
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
        return _from_long(rows, columns, problems)
    return _from_wide(rows, columns, problems)


def _from_long(rows: Iterator[tuple[str, dict[str, str]]], columns: Sequence[str], problems: Problems) -> _Read:
    if "query" not in columns:
        problems.add("line 1", "lacks the column 'query'")
        return [], None, None
    extra = [name for name in columns if name not in (*VOTE_FIELDS, "query_text", "response_text")]
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
        votes.append(ReadVote(cells["juror"], query, response, _number(cells["utility"]), where))
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
                    _number(cells[name]),
                    f"{where}, column {name!r}",
                )
            )
    return votes, _described(jurors, problems), None


def _described(jurors: Mapping[str, tuple[str, Mapping[str, str]]], problems: Problems) -> list[Juror]:
    result = []
    for juror_id, (where, described) in jurors.items():
        weight = _number(described.get("weight", "1"))
        if not isinstance(weight, float):
            problems.add(where, f"'weight' of juror {juror_id!r} must be a number, not {described['weight']!r}")
            weight = 1.0
        statement, kind = described.get("statement", ""), described.get("kind", "recorded") or "recorded"
        _is_kind(kind, juror_id, where, problems)
        groups = {
            name: value for name, value in described.items() if name not in ("weight", "statement", "kind") and value
        }
        result.append(Juror(juror_id, groups, weight, statement, kind))
    return result


def _number(cell: str) -> float | str | None:
    if cell.casefold() in MISSING:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


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
        What written ratings mean (``{"Yes": 1, "No": 0}``).
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
    known = ("juror", "query", "utility", "response", "query_text", "response_text", "weight", "groups")
    for parameter, mapping in (("columns", columns), ("values", {} if values is None else values)):
        if not isinstance(mapping, Mapping):
            raise invalid_parameter(parameter, "read_ratings", "a mapping", repr(mapping)[:60])
    for name in columns:
        if name not in known:
            raise invalid_parameter("columns", "read_ratings", f"made of {', '.join(known)}", repr(name))
    for name in known[:3]:
        if name not in columns:
            raise invalid_parameter("columns", "read_ratings", f"a mapping that names {name!r}", repr(dict(columns)))
    groups = columns.get("groups", ())
    if isinstance(groups, str) or not isinstance(groups, Sequence):
        raise invalid_parameter("columns", "read_ratings", "a mapping with 'groups' as a list of names", repr(groups))
    problems = Problems(str(path), REMEDY)
    text = read_text(path, what="table", holds="rating")
    kind = format_of(path, FORMATS)
    if kind == ".jsonl":
        entries = json_lines(text, problems)
        for where, entry in entries:
            if not isinstance(entry, dict):
                problems.add(where, f"must be an object with one rating, not {str(entry)[:40]!r}")
        rows: Iterator[tuple[str, dict[str, Any]]] = iter(
            [(where, entry) for where, entry in entries if isinstance(entry, dict)]
        )
        found = list(dict.fromkeys(name for _, entry in entries if isinstance(entry, dict) for name in entry))
    elif kind in (".csv", ".tsv"):
        table = _rows(text, "\t" if kind == ".tsv" else ",", problems)
        header = next(table, None)
        # Without a header every column would be missing.
        problems.raise_if_any()
        found = list(header[1]) if header else []
        rows = table
    else:
        raise DatasetError(f"{path}: a table of ratings must end in .csv, .tsv or .jsonl, not {path.suffix!r}.")
    for name in [*(columns[part] for part in columns if part != "groups"), *groups]:
        if name not in found:
            near = nearest_names(str(name), found, most=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.add("line 1", f"lacks the column {name!r} (it has {', '.join(map(repr, found[:8]))}){hint}")
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
        own = {name: _name(cells.get(name)) or "unknown" for name in groups}
        raw = cells.get(columns["weight"]) if "weight" in columns else 1.0
        weight = _number(raw) if isinstance(raw, str) else raw
        if not is_number(weight):
            problems.add(where, f"{columns['weight']!r} must be a number, not {str(raw)[:40]!r}")
            weight = 1.0
        record = Juror(juror, own, float(weight))
        first, before = jurors.setdefault(juror, (where, record))
        if before != record:
            problems.add(where, f"juror {juror!r} has other groups or another weight than at {first}")
        raw = cells.get(columns["utility"])
        value: Any = raw
        if isinstance(raw, str):
            value = (values or {}).get(raw, _number(raw)) if raw.casefold() not in MISSING else None
        texts.setdefault(query, parts.get("query_text") or query)
        written = parts.get("response_text") or response
        responses.setdefault(query, {}).setdefault(response, PanelResponse(response, written))
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
