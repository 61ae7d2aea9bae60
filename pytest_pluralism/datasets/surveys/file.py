"""Survey files: JSON lines, JSON arrays and CSV, plain or gzipped."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets.reading import (
    FORMATS,
    Problems,
    _kind,
    check_fields,
    format_of,
    json_array,
    json_lines,
    listed,
    read_text,
)
from pytest_pluralism.datasets.surveys import modular_pluralism
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, assemble_survey
from pytest_pluralism.datasets.surveys.refusals import RefusalPolicy

__all__ = ["is_survey_path", "read_survey_file"]

QUESTION_FIELDS = ("question_id", "question", "options", "distributions", "cluster", "positions", "refusals")
REQUIRED_QUESTION_FIELDS = QUESTION_FIELDS[:4]
DISTRIBUTION_FIELDS = ("population", "probabilities", "n_respondents", "n_effective")
REQUIRED_DISTRIBUTION_FIELDS = DISTRIBUTION_FIELDS[:2]
CSV_COLUMNS = (
    "question_id",
    "question",
    "option",
    "population",
    "probability",
    "n_respondents",
    "n_effective",
    "cluster",
    "position",
    "refusal",
)
REQUIRED_CSV_COLUMNS = CSV_COLUMNS[:5]

REMEDY = "The format of survey files is described in the reference, under 'Surveys'."


def is_survey_path(name: str, /) -> bool:
    """Return whether a name looks like the path of a survey file rather than the name of a survey."""
    return format_of(Path(name)) is not None or "/" in name or "\\" in name or Path(name).is_file()


def read_survey_file(path: Path, /, *, refusals: RefusalPolicy = "keep") -> Survey:
    """Read one survey file.

    Parameters
    ----------
    path : Path
        A ``.jsonl``, ``.json`` or ``.csv`` file, or one of these followed by ``.gz``.
    refusals : {"keep", "drop", "separate"}
        What becomes of refusals.

    Returns
    -------
    Survey
        Its name is the name of the file, without folders.

    Raises
    ------
    DatasetError
        If the file cannot be read or anything in it is wrong; up to ten problems are named at once.
    """
    kind = format_of(path)
    if kind is None:
        raise DatasetError(
            f"{path}: a survey file must end in {', '.join(FORMATS)} (or one of these and .gz), not {path.suffix!r}."
        )
    text = read_text(path)
    problems = Problems(str(path), REMEDY)
    source = f"file {path.name}"
    if kind == ".csv":
        questions = _from_csv(text, problems)
        return assemble_survey(path.name, questions, problems=problems, refusals=refusals, source=source)
    entries = json_lines(text, problems) if kind == ".jsonl" else json_array(text, path, remedy=REMEDY)
    if modular_pluralism.is_modular_pluralism([entry for _, entry in entries]):
        questions, note = modular_pluralism.read_rows(entries, problems)
        return assemble_survey(
            path.name,
            questions,
            problems=problems,
            refusals=refusals,
            source=f"{source}: {modular_pluralism.SOURCE}{note}",
            leave_out_degenerate=True,
        )
    read = [question for where, entry in entries if (question := _from_entry(where, entry, problems)) is not None]
    return assemble_survey(path.name, read, problems=problems, refusals=refusals, source=source)


def _from_entry(where: str, entry: Any, problems: Problems) -> ReadQuestion | None:
    if not isinstance(entry, dict):
        problems.add(where, f"must be an object with {listed(REQUIRED_QUESTION_FIELDS)}, not {_kind(entry)}")
        return None
    identifier = entry.get("question_id")
    place = f"{where}, question {identifier!r}" if isinstance(identifier, str) and identifier else where
    complete = check_fields(entry, QUESTION_FIELDS, REQUIRED_QUESTION_FIELDS, place, problems)
    rows = entry.get("distributions", [])
    if not isinstance(rows, list):
        problems.add(place, f"'distributions' must be a list, not {_kind(rows)}")
        return None
    distributions = []
    for number, row in enumerate(rows, start=1):
        inner = f"{place}, distribution {number}"
        if not isinstance(row, dict):
            problems.add(inner, f"must be an object, not {_kind(row)}")
            complete = False
            continue
        if not check_fields(row, DISTRIBUTION_FIELDS, REQUIRED_DISTRIBUTION_FIELDS, inner, problems):
            complete = False
            continue
        distributions.append(ReadDistribution(**{name: row.get(name) for name in DISTRIBUTION_FIELDS}))
    if not complete:
        return None
    return ReadQuestion(
        question_id=identifier,
        text=entry["question"],
        options=entry["options"],
        distributions=distributions,
        cluster=entry.get("cluster"),
        positions=entry.get("positions"),
        refusals=entry.get("refusals"),
        where=where,
    )


# -------------------------------------------------------------------------------------------------------------- CSV


def _from_csv(text: str, problems: Problems) -> list[ReadQuestion]:
    """Return the questions of a table with one row for each question, option and population."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip() for column in reader.fieldnames or []]
        reader.fieldnames = columns
        if len(set(columns)) != len(columns):
            repeated = next(column for column in columns if columns.count(column) > 1)
            problems.add("line 1", f"column {repeated!r} appears twice")
            return []
        if not check_fields(dict.fromkeys(columns), CSV_COLUMNS, REQUIRED_CSV_COLUMNS, "line 1", problems):
            if len(columns) == 1 and ";" in columns[0]:
                problems.add("line 1", "separate columns with commas, not semicolons")
            return []
        table: dict[str, _CsvQuestion] = {}
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row or None in row.values():
                problems.add(where, f"must have {len(columns)} columns like the header")
                continue
            cells = {name: value.strip() for name, value in row.items()}
            question = table.setdefault(cells["question_id"], _CsvQuestion(cells, where))
            question.add(cells, where, problems)
    except csv.Error as error:
        problems.add(f"line {reader.line_num}", f"is not CSV: {error}")
        return []
    return [question.read(problems) for question in table.values()]


class _CsvQuestion:
    """The rows of one question, gathered in whatever order they come."""

    def __init__(self, cells: Mapping[str, str], where: str) -> None:
        self.where = where
        self.first = cells
        self.options: dict[str, tuple[float | str | None, bool]] = {}
        self.populations: dict[str, tuple[str, dict[str, Any], Mapping[str, str]]] = {}

    def add(self, cells: Mapping[str, str], where: str, problems: Problems) -> None:
        """Take one row in."""
        place = f"{where}, question {cells['question_id']!r}"
        for name in ("question", "cluster"):
            if cells.get(name, "") != self.first.get(name, ""):
                problems.add(
                    place, f"{name!r} differs from {self.where}; it must be the same in all rows of a question"
                )
        flag = cells.get("refusal", "").casefold()
        if flag not in ("", "0", "1", "true", "false", "yes", "no"):
            problems.add(place, f"'refusal' must be 1, 0 or empty, not {cells['refusal']!r}")
        described = (_csv_number(cells.get("position", "")), flag in ("1", "true", "yes"))
        option, population = cells["option"], cells["population"]
        if self.options.setdefault(option, described) != described:
            problems.add(place, f"'position' or 'refusal' of option {option!r} differs from an earlier row")
        _, shares, counts = self.populations.setdefault(population, (where, {}, cells))
        for name in ("n_respondents", "n_effective"):
            if cells.get(name, "") != counts.get(name, ""):
                problems.add(place, f"{name!r} of population {population!r} differs from an earlier row")
        if option in shares:
            problems.add(place, f"option {option!r} of population {population!r} appears twice")
        shares[option] = _csv_number(cells["probability"])

    def read(self, problems: Problems) -> ReadQuestion:
        """Return the question as the table gives it."""
        identifier = self.first["question_id"]
        distributions = []
        for population, (where, shares, counts) in self.populations.items():
            lacking = [option for option in self.options if option not in shares]
            if lacking:
                place = f"{where}, question {identifier!r}, population {population!r}"
                problems.add(place, f"has no row for option {lacking[0]!r}; write probability 0 if nobody chose it")
                continue
            distributions.append(
                ReadDistribution(
                    population,
                    [shares[option] for option in self.options],
                    _csv_number(counts.get("n_respondents", "")),
                    _csv_number(counts.get("n_effective", "")),
                )
            )
        positions = [position for position, _ in self.options.values()]
        refusals = [option for option, (_, refusal) in self.options.items() if refusal]
        return ReadQuestion(
            question_id=identifier,
            text=self.first["question"],
            options=list(self.options),
            distributions=distributions,
            cluster=self.first.get("cluster") or None,
            positions=positions if any(position is not None for position in positions) else None,
            # Without the column, or without a mark in it, refusals are detected as in the other formats.
            refusals=refusals or None,
            where=self.where,
        )


def _csv_number(cell: str) -> float | str | None:
    """Return the number in a cell, ``None`` for an empty one, and the text itself if it is no number."""
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell
