"""Panel files: votes as a long table or as a matrix, in JSON lines, JSON or CSV, plain or gzipped.

Any table of annotators and ratings is read by naming its columns.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.datasets.fields import Field, Fields, Kind, text
from pytest_pluralism.datasets.names import clean_name
from pytest_pluralism.datasets.panels.assembly import ReadVote, assemble_panel
from pytest_pluralism.datasets.panels.columns import looks_like_weight
from pytest_pluralism.datasets.panels.others import PANEL_SOURCES
from pytest_pluralism.datasets.panels.ratings import REMEDY, panel_of_source, read_ratings
from pytest_pluralism.datasets.panels.records import Juror, Panel, PanelQuery, PanelResponse, UtilityScale
from pytest_pluralism.datasets.panels.tables import JUROR, ONLY, VOTE, read_panel_table
from pytest_pluralism.datasets.reading import (
    MOST_COUNTED,
    Entries,
    Problems,
    Record,
    format_of,
    json_array,
    json_lines,
    listed,
    read_entries,
    read_table,
    read_text,
    shown,
)
from pytest_pluralism.datasets.sources import Rows, source_of

__all__ = ["FORMATS", "SCALE_FIELDS", "read_panel_file", "read_ratings"]

#: The endings of panel files; each may be followed by ``.gz``.
FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

SCALE_FIELDS = ("lowest", "highest", "higher_is_better", "measurement", "levels", "floor", "mapped")


TEXT = Fields(
    Record,
    Field("query", text("strings", empty=True, strip=False), required=True),
    Field("text", text("a string", empty=True, strip=False), required=True),
    Field("response", text("strings", empty=True, strip=False)),
    Field("author", Kind("a name", str), default=""),
)

SCALE = Fields(UtilityScale, also=SCALE_FIELDS, strict=True)

#: Every field of an entry, whatever it holds.
ENTRY = Fields(Record, also=dict.fromkeys((*VOTE.names, *JUROR.names, *TEXT.names, "scale")))


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
    if kind == ".parquet":
        entries, problems = read_entries(path, what="panel file", holds="vote", remedy=REMEDY, formats=FORMATS)
        return _of_others(path, entries, problems)
    text = read_text(path, what="panel file", holds="vote")
    problems = Problems(str(path), REMEDY)
    if kind in (".csv", ".tsv"):
        table = read_table(text, problems, delimiter="\t" if kind == ".tsv" else ",")
        known = source_of(PANEL_SOURCES, dict.fromkeys(table.columns))
        if known is not None and "juror" not in table.columns:
            return panel_of_source(known, Rows(path, table.rows, problems))
        votes, jurors, queries = read_panel_table(table, scale, problems)
    else:
        read = _Entries(problems)
        lines = json_lines(text, problems) if kind == ".jsonl" else json_array(text, path, holds="vote", remedy=REMEDY)
        first = list(itertools.islice(lines, 1))
        lines = itertools.chain(first, lines)
        if first and source_of(PANEL_SOURCES, first[0][1]) is not None:
            return _of_others(path, lines, problems)
        for where, entry in lines:
            read.add(where, entry)
            if read.n_repeated >= MOST_COUNTED:
                # They are errors, and so many of them that the rest of the file tells no more.
                break
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


def _of_others(path: Path, entries: Entries, problems: Problems) -> Panel:
    """Return the panel of a known source."""
    first = next(entries, None)
    known = source_of(PANEL_SOURCES, None if first is None else first[1])
    if first is None or known is None:
        columns = listed(list(first[1])[:12]) if first is not None and isinstance(first[1], dict) else "nothing"
        names = ", ".join(source.name for source in PANEL_SOURCES)
        raise DatasetError(
            f"{path}: has {columns}, which are the columns of no panel. Known are {names}. Name the columns of another "
            "table: load_panel(..., columns={'juror': ..., 'query': ..., 'utility': ...})."
        )
    return panel_of_source(known, Rows(path, itertools.chain([first], entries), problems))


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
    cast: set[tuple[object, ...]] = field(default_factory=set)
    n_repeated: int = 0

    def add(self, where: str, entry: object) -> None:
        """Take in one object."""
        problems = self.problems
        if not isinstance(entry, dict):
            problems.add(where, f"must be an object with 'juror', 'query' and 'utility', not {shown(entry)}")
        elif not ENTRY.fit(entry, where, problems):
            return
        elif weights := [name for name in entry if name not in ENTRY.names and looks_like_weight(name)]:
            problems.add(where, f"the field {weights[0]!r} may be the juror's weight; call it 'weight', or remove it")
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
                key = (entry["juror"], entry["query"], response)
                # A name of another type is told later.
                with contextlib.suppress(TypeError):
                    self.n_repeated += key in self.cast
                    self.cast.add(key)
                self.votes.append(ReadVote(*key, entry["utility"], where))
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
        query, response = clean_name(query), None if response is None else clean_name(response)
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


def _scale(found: object, where: str, problems: Problems) -> UtilityScale | None:
    if not SCALE.fit(found, f"{where}, the scale", problems):
        return None
    try:
        return UtilityScale(**cast("Record", found))
    except InvalidParameterError as error:
        problems.add(where, str(error))
        return None
