"""Survey files: JSON lines, JSON arrays and CSV, plain or gzipped."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, nearest_names
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets.surveys import modular_pluralism
from pytest_pluralism.datasets.surveys.assembly import Problems, ReadDistribution, ReadQuestion, assemble_survey
from pytest_pluralism.datasets.surveys.refusals import RefusalPolicy

__all__ = [
    "FORMATS",
    "MAXIMUM_BYTES",
    "csv_objects",
    "files_like",
    "format_of",
    "is_survey_path",
    "json_array",
    "json_document",
    "json_lines",
    "read_survey_file",
    "read_text",
]

#: The largest file that is read, before and after decompression.
MAXIMUM_BYTES = 200_000_000

#: The endings of survey files; each may be followed by ``.gz``.
FORMATS = (".jsonl", ".json", ".csv")

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
    entries = json_lines(text, problems) if kind == ".jsonl" else json_array(text, path)
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


def read_text(
    path: Path, /, *, maximum_bytes: int = MAXIMUM_BYTES, what: str = "survey file", holds: str = "question"
) -> str:
    """Return the text of a file, decompressed if its name ends in ``.gz``; its size is looked at before it is read.

    ``what`` names the kind of file and ``holds`` its parts, for errors.

    Raises
    ------
    DatasetError
        If the file does not exist, is not a file, may not be read, is too large, is empty, is binary, is not UTF-8 or
        is not gzip though its name says so.
    """
    try:
        if not path.exists():
            raise DatasetError(f"{path}: there is no such file.{_neighbours(path)}")
        if not path.is_file():
            raise DatasetError(f"{path}: is not a file. Name the {what} itself.")
        size = path.stat().st_size
        if size > maximum_bytes:
            raise DatasetError(
                f"{path}: is too large ({size:,} bytes; at most {maximum_bytes:,} are read). Split the {what} or keep "
                "only what you test."
            )
        data = _decompressed(path, maximum_bytes) if path.suffix == ".gz" else path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if not data.strip():
        raise DatasetError(f"{path}: is empty. A {what} holds at least one {holds}.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DatasetError(f"{path}: is encoded in UTF-16. Save it as UTF-8.")
    if b"\x00" in data[:8192]:
        raise DatasetError(f"{path}: is binary, not text. A {what} is UTF-8 text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. Save the file as UTF-8."
        ) from error


def _decompressed(path: Path, maximum_bytes: int) -> bytes:
    try:
        with gzip.open(path) as stream:
            data = stream.read(maximum_bytes + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: is not a whole gzip file, though its name ends in .gz.") from error
    if len(data) > maximum_bytes:
        raise DatasetError(f"{path}: is too large when decompressed (at most {maximum_bytes:,} bytes are read).")
    return data


def format_of(path: Path, formats: Sequence[str] = FORMATS, /) -> str | None:
    """Return the ending of a file, that of its content where it is compressed, if it is one of ``formats``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in formats else None


def files_like(path: Path, /) -> list[str]:
    """Return the names of the files of data beside a path whose names look most like its own, best first."""
    try:
        found = sorted(one.name for one in path.parent.iterdir() if format_of(one) is not None)
    except OSError:
        return []
    if path.suffix:
        return nearest_names(path.name, found)
    # A name without an ending is near to one that has any.
    by_stem: dict[str, list[str]] = {}
    for name in found:
        by_stem.setdefault(name.partition(".")[0], []).append(name)
    return [name for stem in nearest_names(path.name, by_stem) for name in by_stem[stem]]


def _neighbours(path: Path) -> str:
    """Name the files beside a missing one that look like it."""
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    near = files_like(path)
    return f" Nearest: {', '.join(repr(name) for name in near)}." if near else ""


# ------------------------------------------------------------------------------------------------------------- JSON


class _DuplicateKeyError(ValueError):
    """A JSON object names a field twice."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _DuplicateKeyError(f"field {repeated!r} appears twice in one object")
    return result


def _parse_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique_keys)


def json_lines(text: str, problems: Problems, /) -> list[tuple[str, Any]]:
    """Return the place and the content of each line that is not blank; what is no JSON is noted."""
    entries = []
    # Only line feeds separate: other separators of Unicode may stand inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            entries.append((where, _parse_json(line)))
        except json.JSONDecodeError as error:
            hint = (
                "; an array over several lines belongs in a .json file" if number == 1 and line.strip() == "[" else ""
            )
            problems.add(where, f"is not JSON: {error.msg} at column {error.colno}{hint}")
        except _DuplicateKeyError as error:
            problems.add(where, str(error))
        except RecursionError:
            problems.add(where, "is nested too deeply")
        except ValueError as error:
            problems.add(where, f"cannot be read: {error}")
    return entries


def csv_objects(text: str, problems: Problems, /, *, numbers: Sequence[str] = ()) -> list[tuple[str, dict[str, Any]]]:
    """Return the place and the fields of each row of a table; empty cells are left out.

    ``numbers`` are columns whose cells become floats where they can.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    entries: list[tuple[str, dict[str, Any]]] = []
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row or None in row.values():
                problems.add(where, "must have as many columns as the header")
                continue
            entry: dict[str, Any] = {name.strip(): value.strip() for name, value in row.items() if value.strip()}
            for name in numbers:
                try:
                    entry[name] = float(entry[name])
                except (KeyError, ValueError):
                    continue
            entries.append((where, entry))
    except csv.Error as error:
        problems.add(f"line {reader.line_num}", f"is not CSV: {error}")
    return entries


def json_document(text: str, path: Path, /) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    DatasetError
        If the text is no JSON, is nested too deeply or names a field twice in one object.
    """
    try:
        return _parse_json(text)
    except json.JSONDecodeError as error:
        hint = " One object a line belongs in a .jsonl file." if error.msg == "Extra data" else ""
        raise DatasetError(
            f"{path}, line {error.lineno}: is not JSON: {error.msg} at column {error.colno}.{hint}"
        ) from error
    except RecursionError as error:
        raise DatasetError(f"{path}: is nested too deeply.") from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}.") from error


def json_array(text: str, path: Path, /, *, holds: str = "question", remedy: str = REMEDY) -> list[tuple[str, Any]]:
    """Return the place and the content of each entry of an array.

    Raises
    ------
    DatasetError
        If the text is no JSON, or no array.
    """
    content = json_document(text, path)
    if not isinstance(content, list):
        raise DatasetError(f"{path}: must hold an array of {holds}s, not {_kind(content)}. {remedy}")
    return [(f"entry {number}", entry) for number, entry in enumerate(content, start=1)]


def _from_entry(where: str, entry: Any, problems: Problems) -> ReadQuestion | None:
    if not isinstance(entry, dict):
        problems.add(where, f"must be an object with {_listed(REQUIRED_QUESTION_FIELDS)}, not {_kind(entry)}")
        return None
    identifier = entry.get("question_id")
    place = f"{where}, question {identifier!r}" if isinstance(identifier, str) and identifier else where
    complete = _check_fields(entry, QUESTION_FIELDS, REQUIRED_QUESTION_FIELDS, place, problems)
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
        if not _check_fields(row, DISTRIBUTION_FIELDS, REQUIRED_DISTRIBUTION_FIELDS, inner, problems):
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


def _check_fields(
    entry: Mapping[str, Any], known: tuple[str, ...], required: tuple[str, ...], where: str, problems: Problems
) -> bool:
    """Note missing fields and probable misspellings; return whether there were none.

    Other unknown fields are ignored, so that a file may say more about its questions.
    """
    before = len(problems.found)
    misspelt = set()
    for name in entry:
        if name in known:
            continue
        near = difflib.get_close_matches(name.casefold(), [k for k in known if k not in entry], n=1, cutoff=0.8)
        if near:
            misspelt.add(near[0])
            problems.add(where, f"unknown field {name!r}; did you mean {near[0]!r}?")
    missing = [name for name in required if name not in entry and name not in misspelt]
    if missing:
        has = ", ".join(repr(name) for name in entry) or "nothing"
        problems.add(where, f"lacks {_listed(missing)} (it has {has})")
    return len(problems.found) == before


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
        if not _check_fields(dict.fromkeys(columns), CSV_COLUMNS, REQUIRED_CSV_COLUMNS, "line 1", problems):
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


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
