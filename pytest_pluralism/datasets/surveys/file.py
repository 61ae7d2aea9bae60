"""Survey files: JSON lines, JSON arrays and CSV, plain or gzipped."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets.fields import Field, Fields, text
from pytest_pluralism.datasets.frames import is_frame, table_of_frame
from pytest_pluralism.datasets.names import clean_name
from pytest_pluralism.datasets.reading import (
    Entries,
    Problems,
    Table,
    format_of,
    json_document,
    kind_of,
    number_in,
    read_entries,
    read_table,
    read_text,
)
from pytest_pluralism.datasets.sources import OWN, Rows, Source, of_one_form, source_of
from pytest_pluralism.datasets.surveys import modular_pluralism
from pytest_pluralism.datasets.surveys.assembly import (
    DISTRIBUTION,
    QUESTION,
    ReadDistribution,
    ReadQuestion,
    assemble_survey,
)
from pytest_pluralism.datasets.surveys.refusals import Refusals
from pytest_pluralism.datasets.surveys.sources import SURVEY_SOURCES, ReadSource

__all__ = ["is_keyed_survey", "is_survey_path", "read_distributions", "read_survey_file", "survey_in_memory"]

#: The columns of a table. Their cells are checked together with the fields of the other formats.
COLUMNS = Fields(
    dict[str, str],
    *(
        Field(name, text(), required=True)
        for name in ("question_id", "question", "option", "population", "probability")
    ),
    also=("n_respondents", "n_effective", "cluster", "position", "refusal"),
)

#: The columns that must hold the same in all rows of a question, and of one of its options or populations.
SAME = {
    "question": "",
    "cluster": "",
    "position": "option",
    "refusal": "option",
    "n_respondents": "population",
    "n_effective": "population",
}

REMEDY = "The format of survey files is described in the reference, under 'Surveys'."


def is_survey_path(name: str, /) -> bool:
    """Return whether a name looks like the path of a survey file rather than the name of a survey."""
    if format_of(Path(name)) is not None or "/" in name or "\\" in name:
        return True
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        # No file has a name that is so long, or that holds such a character.
        return False


def read_survey_file(path: Path, /, *, refusals: Refusals = "keep") -> Survey:
    """Read one survey file.

    Parameters
    ----------
    path : Path
        A ``.jsonl``, ``.json`` or ``.csv`` file, or one of these followed by ``.gz``.
    refusals : {"keep", "drop", "separate"} or sequence of str
        The policy for refusals, or the options that are refusals, which are dropped.

    Returns
    -------
    Survey
        Its name is the name of the file, without folders.

    Raises
    ------
    DatasetError
        If the file cannot be read or anything in it is wrong; up to ten problems are named at once.
    """
    source = f"file {path.name}"
    kind = format_of(path)
    if kind in (".csv", ".tsv"):
        text, problems = read_text(path), Problems(str(path), REMEDY)
        table = read_table(text, problems, delimiter="\t" if kind == ".tsv" else ",")
        if not set(COLUMNS.required) <= set(table.columns):
            found = source_of(SURVEY_SOURCES, dict.fromkeys(table.columns))
            if found is not None:
                return _of_source(found, Rows(path, table.rows, problems), refusals)
        questions, n_rows = _from_table(table, problems)
        source += f"; read: {n_rows} rows"
        return assemble_survey(path.name, questions, problems=problems, refusals=refusals, source=source)
    if kind == ".json" and (found_rows := _keyed(path)) is not None:
        return _of_source(found_rows[0], found_rows[1], refusals)
    entries, problems = read_entries(path, what="survey file", holds="question", remedy=REMEDY)
    first = list(itertools.islice(entries, 1))
    entries = itertools.chain(first, entries)
    if modular_pluralism.is_modular_pluralism([entry for _, entry in first]):
        questions, note = modular_pluralism.read_rows(entries, problems)
        return assemble_survey(
            path.name,
            questions,
            problems=problems,
            refusals=refusals,
            source=f"{source}: {modular_pluralism.SOURCE}{note}",
            leave_out_degenerate=True,
        )
    other = source_of(SURVEY_SOURCES, next((entry for _, entry in first), None))
    if other is not None:
        return _of_source(other, Rows(path, entries, problems), refusals)
    if kind == ".parquet":
        questions, n_rows = _from_table(_as_table(entries), problems)
        source += f"; read: {n_rows} rows"
        return assemble_survey(path.name, questions, problems=problems, refusals=refusals, source=source)
    read = (question for where, entry in entries if (question := _from_entry(where, entry, problems)) is not None)
    return assemble_survey(path.name, read, problems=problems, refusals=refusals, source=source)


def _of_source(source: Source[ReadSource], rows: Rows, refusals: Refusals) -> Survey:
    """Return the survey of a known source, which a user cannot correct; one of the user's own can be."""
    counted = _Counted(rows.entries)
    with of_one_form(rows.path, source.name):
        questions, note = source.read(Rows(rows.path, counted, rows.problems))
    return assemble_survey(
        rows.path.name,
        questions,
        problems=rows.problems,
        refusals=refusals,
        source=f"file {rows.path.name}: {source.words}{note}; read: {counted.n} rows",
        leave_out_degenerate=source.licence != OWN,
    )


class _Counted:
    """Entries that count themselves while they are read."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.n = 0

    def __iter__(self) -> Entries:
        return self

    def __next__(self) -> tuple[str, object]:
        found = next(self._entries)
        self.n += 1
        return found


def is_keyed_survey(path: Path, /) -> bool:
    """Return whether a file is an object of the questions of a known source by their keys."""
    return format_of(path) == ".json" and path.is_file() and _keyed(path) is not None


def _keyed(path: Path) -> tuple[Source[ReadSource], Rows] | None:
    """Return the entries of an object of questions by their keys, where they are of a known source."""
    text = read_text(path)
    if text.lstrip()[:1] != "{":
        return None
    content = json_document(text, path)
    if not isinstance(content, dict) or not all(isinstance(one, dict) for one in content.values()):
        return None
    rows = [(f"key {key!r}", {"qkey": key, **one}) for key, one in content.items()]
    found = source_of(SURVEY_SOURCES, rows[0][1] if rows else None)
    return None if found is None else (found, Rows(path, iter(rows), Problems(str(path), REMEDY)))


def _as_table(entries: Entries) -> Table:
    """Return the rows of a Parquet file as a table of texts."""
    rows = [(where, {name: str(value) for name, value in entry.items()}) for where, entry in entries]
    columns = dict.fromkeys(name for _, cells in rows for name in cells)
    return Table(tuple(columns), ((where, {**dict.fromkeys(columns, ""), **cells}) for where, cells in rows))


def survey_in_memory(content: Any, /, *, refusals: Refusals = "keep") -> Survey:
    """Read a data frame with the columns of a table, or a list of the objects of a file of JSON lines.

    Raises
    ------
    DatasetError
        If anything in it is wrong; up to ten problems are named at once.
    MissingExtraError
        If a data frame is given and narwhals is not installed.
    """
    problems = Problems("The data frame" if is_frame(content) else "The list", REMEDY)
    if is_frame(content):
        name, table = "frame", table_of_frame(content, function="load_survey")
        other = source_of(SURVEY_SOURCES, dict.fromkeys(table.columns))
        if other is not None and not set(COLUMNS.required) <= set(table.columns):
            return _of_source(other, Rows(Path("frame"), table.rows, problems), refusals)
        questions, n_rows = _from_table(table, problems)
        source = f"a data frame; read: {n_rows} rows"
    else:
        name, source = "list", "a list of questions"
        entries = ((f"entry {number}", entry) for number, entry in enumerate(content, start=1))
        found = [_from_entry(where, entry, problems) for where, entry in entries]
        questions = [question for question in found if question is not None]
    return assemble_survey(name, questions, problems=problems, refusals=refusals, source=source)


def _from_entry(where: str, entry: Any, problems: Problems) -> ReadQuestion | None:
    identifier = entry.get("question_id") if isinstance(entry, dict) else None
    place = f"{where}, question {identifier!r}" if isinstance(identifier, str) and identifier else where
    complete = QUESTION.fit(entry, place, problems)
    rows = read_distributions(entry.get("distributions", []), place, problems) if isinstance(entry, dict) else None
    if not complete or rows is None:
        return None
    return ReadQuestion(**QUESTION.taken(entry) | {"distributions": rows}, where=where)


def read_distributions(rows: object, place: str, problems: Problems, /) -> list[ReadDistribution] | None:
    """Return the distributions of a question, unchecked; note what is not one, and fields that do not fit."""
    if not isinstance(rows, list):
        problems.add(place, f"'distributions' must be a list, not {kind_of(rows)}")
        return None
    before = problems.count
    read = []
    for number, row in enumerate(rows, start=1):
        inner = f"{place}, distribution {number}"
        if not isinstance(row, dict):
            problems.add(inner, f"must be an object, not {kind_of(row)}")
        elif DISTRIBUTION.fit(row, inner, problems):
            read.append(ReadDistribution(**DISTRIBUTION.taken(row)))
    return read if problems.count == before else None


# ----------------------------------------------------------------------------------------------------------- tables


def _from_table(table: Table, problems: Problems) -> tuple[list[ReadQuestion], int]:
    """Return the questions of a table with a row for each question, option and population, and its number of rows."""
    if not table.columns or not COLUMNS.fit(dict.fromkeys(table.columns), "line 1", problems):
        return [], 0
    n_rows = 0
    written: dict[tuple[str, ...], tuple[str, str]] = {}
    questions: dict[str, _Rows] = {}
    for where, cells in table.rows:
        n_rows += 1
        identifier = cells["question_id"]
        cells["population"] = clean_name(cells["population"])
        place = f"{where}, question {identifier!r}"
        for name, of in SAME.items():
            key = (name, identifier, cells[of] if of else "")
            cell, first = written.setdefault(key, (cells.get(name, ""), where))
            if cells.get(name, "") != cell:
                whose = f" of {of} {cells[of]!r}" if of else ""
                problems.add(place, f"{name!r}{whose} differs from {first}; it must be the same in all rows of it")
        if cells.get("refusal", "").casefold() not in REFUSAL_MARKS:
            problems.add(place, f"'refusal' must be 1, 0 or empty, not {cells['refusal']!r}")
        questions.setdefault(identifier, _Rows(where, cells)).add(place, cells, problems)
    return [question.read(problems) for question in questions.values()], n_rows


#: The marks of a refusal, and whether the option is one.
REFUSAL_MARKS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


class _Rows:
    """The rows of one question, gathered in whatever order they come."""

    def __init__(self, where: str, cells: Mapping[str, str]) -> None:
        self.where, self.first = where, cells
        self.options: dict[str, Mapping[str, str]] = {}
        self.populations: dict[str, tuple[str, Mapping[str, str], dict[str, float | str | None]]] = {}

    def add(self, place: str, cells: Mapping[str, str], problems: Problems) -> None:
        """Take in one row."""
        option, population = cells["option"], cells["population"]
        self.options.setdefault(option, cells)
        _, _, shares = self.populations.setdefault(population, (place, cells, {}))
        if option in shares:
            problems.add(place, f"option {option!r} of population {population!r} appears twice")
        shares[option] = number_in(cells["probability"])

    def read(self, problems: Problems) -> ReadQuestion:
        """Return the question as the table gives it."""
        distributions = []
        for population, (place, cells, shares) in self.populations.items():
            lacking = next((option for option in self.options if option not in shares), None)
            if lacking is not None:
                what = f"has no row for option {lacking!r}; write probability 0 if nobody chose it"
                problems.add(f"{place}, population {population!r}", what)
                continue
            counts = [number_in(cells.get(name, "")) for name in ("n_respondents", "n_effective")]
            distributions.append(ReadDistribution(population, [shares[option] for option in self.options], *counts))
        positions = [number_in(cells.get("position", "")) for cells in self.options.values()]
        marked = [o for o, cells in self.options.items() if REFUSAL_MARKS.get(cells.get("refusal", "").casefold())]
        return ReadQuestion(
            question_id=self.first["question_id"],
            text=self.first["question"],
            options=list(self.options),
            distributions=distributions,
            cluster=self.first.get("cluster") or None,
            positions=positions if any(position is not None for position in positions) else None,
            # Without the column, or without a mark in it, refusals are detected as in the other formats.
            refusals=marked or None,
            where=self.where,
        )
