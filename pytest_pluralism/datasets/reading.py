"""Read text files for all readers: their text, JSON and tables, and the problems that are reported together."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from pytest_pluralism.core.errors import DatasetError, nearest_names, needed_for
from pytest_pluralism.core.records.plain import JsonFields, JsonObject

__all__ = [
    "FORMATS",
    "MAXIMUM_BYTES",
    "MOST_COUNTED",
    "MOST_LINES",
    "MOST_PROBLEMS",
    "Entries",
    "Line",
    "Problems",
    "Record",
    "Table",
    "files_like",
    "format_of",
    "json_array",
    "json_document",
    "json_lines",
    "kind_of",
    "listed",
    "number_in",
    "read_entries",
    "read_table",
    "read_text",
    "shown",
]

#: The place and the content of each entry of a file, in the order of the file.
Entries = Iterator[tuple[str, Any]]

#: One entry of a file, as JSON or a table has it: a table of fields says what it must hold.
Line: TypeAlias = JsonObject

#: An entry that was checked, for readers that make no record of it.
Record: TypeAlias = JsonFields

HALF_CHARACTERS = re.compile("[\ud800-\udfff]")

#: Maximum number of problems of one source that its error names; the others are counted.
MOST_PROBLEMS = 10

#: Maximum number of problems that are counted. Reading stops there, so that a file that is all wrong costs little.
MOST_COUNTED = 100

#: Maximum number of characters of one problem in an error.
LONGEST_PROBLEM = 1_000


#: The parts of a problem by which two of one kind differ: names and numbers.
ALIKE = re.compile(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\d.,]*")

#: Maximum number of problems of one kind that have a line each, and of places that one line for more of them names.
MOST_ALIKE, MOST_PLACES = 30, 9


@dataclass
class Problems:
    """The problems of one source, collected so that they are reported at once."""

    source: str
    remedy: str = ""
    found: list[str] = field(default_factory=list)
    count: int = 0
    #: The numbers and the places of the problems of one kind, by what they have in common.
    alike: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def add(self, where: str, what: str) -> None:
        """Note one problem and its place.

        Raises
        ------
        DatasetError
            If there are so many problems that reading on is of no use.
        """
        self.count += 1
        text = f"{where}: {what}" if where else what
        self.found.append(text if len(text) <= LONGEST_PROBLEM else f"{text[: LONGEST_PROBLEM - 3]}...")
        self.alike.setdefault(ALIKE.sub("#", what), []).append((self.count - 1, where))
        if self.count >= MOST_COUNTED:
            self.raise_if_any()

    @property
    def are_many(self) -> bool:
        """Return whether the next problem is only counted, so that a costly hint for it is not shown."""
        return self.count >= MOST_PROBLEMS

    def raise_if_any(self, nothing: str = "") -> None:
        """Raise one error that names up to ten problems and counts the others; one that comes often is one line.

        Where there is no other problem, ``nothing`` is one: what a source without entries lacks.

        Raises
        ------
        DatasetError
            If there is at least one problem.
        """
        if nothing and not self.count:
            self.add("", nothing)
        if not self.count:
            return
        if self.count == 1:
            message = f"{self.source}, {self.found[0]}"
        else:
            many = "at least " if self.count >= MOST_COUNTED else ""
            lines = list(self._lines())[:MOST_PROBLEMS]
            left = self.count - sum(number for _, number in lines)
            told = [f"  {line}" for line, _ in lines] + ([f"  and {left} more"] if left else [])
            message = "\n".join([f"{self.source} has {many}{self.count} problems:", *told])
        if self.remedy:
            message += f"\n{self.remedy}"
        raise DatasetError(message)

    def _lines(self) -> Iterator[tuple[str, int]]:
        """Yield the lines of an error in the order of the file, each with how many problems it tells of."""
        often = {some[0][0]: some for some in self.alike.values() if len(some) > MOST_ALIKE}
        told = {number for some in often.values() for number, _ in some[1:]}
        for number, text in enumerate(self.found):
            if number in often:
                places = [where for _, where in often[number][1:]]
                where = ", ".join(dict.fromkeys(places[:MOST_PLACES]))
                these = f", such as {where}" if len(places) > MOST_PLACES else f", in {where}"
                yield f"{text} (and {len(places)} more like it{these if where else ''})", len(places) + 1
            elif number not in told:
                yield text, 1


def shown(value: object, /) -> str:
    """Return a value from a file as an error shows it: on one line, and cut where it is long."""
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except ValueError:
        # Python writes no integer of more than some thousand digits.
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def kind_of(value: object, /) -> str:
    """Return the kind of a JSON value in words, such as ``"an object"``."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def listed(names: Iterable[str], /) -> str:
    """Return names in quotes, separated by commas."""
    return ", ".join(repr(name) for name in names)


#: The largest file that is read, before and after decompression.
MAXIMUM_BYTES = 200_000_000

#: The endings of files of data; each but the last may be followed by ``.gz``.
FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


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
    """Return a sentence with the names of the files beside a missing one that look like it."""
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    near = files_like(path)
    return f" Nearest: {', '.join(repr(name) for name in near)}." if near else ""


# ------------------------------------------------------------------------------------------------------------- JSON


#: Maximum number of lines of a file, blank ones included.
MOST_LINES = 3_000_000

#: Number of characters after which the part of a text ends whose lines are found at once.
LINES_PART = 1 << 16

#: Maximum numbers of objects and arrays, and of commas, of one JSON text: what fits into the memory of a small machine.
MOST_PARTS = 3_000_000
MOST_COMMAS = 20_000_000

#: Maximum numbers of values of a Parquet file, those in lists counted one by one, and of those in lists.
MOST_VALUES = 50_000_000
MOST_LISTED = 5_000_000

#: Maximum number of cells of a Parquet file that are made at once.
MOST_AT_ONCE = 1 << 18


class _DuplicateKeyError(ValueError):
    """A JSON object names a field twice."""


def _unique_keys(pairs: list[tuple[str, object]]) -> Record:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                first = f"{pairs[0][0]!r}: {shown(pairs[0][1])}"
                raise _DuplicateKeyError(f"field {name!r} appears twice in one object, which begins with {first}")
            seen.add(name)
    return result


def _parse_json(text: str) -> object:
    if len(text) > MOST_PARTS and (text.count("{") + text.count("[") > MOST_PARTS or text.count(",") > MOST_COMMAS):
        raise ValueError(f"holds more than {MOST_PARTS:,} objects or {MOST_COMMAS:,} values; split the file")
    return json.loads(text, object_pairs_hook=_unique_keys)


def _lines(text: str, problems: Problems) -> Iterator[str]:
    """Yield the lines of a text with their ends. Only line feeds separate: other separators may stand inside a text."""
    if text.count("\n") + (not text.endswith("\n")) > MOST_LINES:
        problems.add("", f"holds more than {MOST_LINES:,} lines; split the file")
        problems.raise_if_any()
    start = 0
    while start < len(text):
        # A part at a time, as a stream of a text takes four times its memory.
        end = text.find("\n", start + LINES_PART) + 1 or len(text)
        yield from io.StringIO(text[start:end], newline="\n")
        start = end


def json_lines(text: str, problems: Problems, /) -> Entries:
    """Yield the place and the content of each line that is not blank; lines that are not JSON are noted."""
    for number, line in enumerate(_lines(text, problems), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            content = _parse_json(line)
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
        else:
            yield where, content


def json_document(text: str, path: Path, /) -> object:
    """Return the content of a JSON file.

    Raises
    ------
    DatasetError
        If the text is not JSON, is nested too deeply, holds too many values or names a field twice in one object.
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


def json_array(text: str, path: Path, /, *, remedy: str, holds: str = "question") -> Entries:
    """Return the place and the content of each entry of an array.

    Raises
    ------
    DatasetError
        If the text is not JSON, or not an array.
    """
    content = json_document(text, path)
    if not isinstance(content, list):
        raise DatasetError(f"{path}: must hold an array of {holds}s, not {kind_of(content)}. {remedy}")
    return ((f"entry {number}", entry) for number, entry in enumerate(content, start=1))


# ----------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, and the place and the cells of each row, which are read once.

    ``cells`` are the same rows as lists, each with the number of its line, for readers of many rows.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[str, dict[str, str]]]
    cells: Iterator[tuple[int, list[str]]] = field(default_factory=lambda: iter(()))


def read_table(text: str, problems: Problems, /, *, delimiter: str = ",") -> Table:
    """Return the columns and rows of a table; cells lose the white space around them.

    In a table with tabs, a quote is a character like any other, unless all cells that begin with one end with one.
    A table whose header is wrong has no columns and no rows. A row of another length is noted and left out.
    """
    # Old tables end their lines with a carriage return alone.
    text = text if "\n" in text else text.replace("\r", "\n")
    plain = delimiter == "\t" and not _is_quoted(text)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL
    reader = csv.reader(_lines(text, problems), strict=True, delimiter=delimiter, quoting=quoting)
    nothing = Table((), iter(()))
    try:
        columns = tuple(column.strip() for column in next(filter(None, reader), []))
    except csv.Error as error:
        problems.add("line 1", f"is not CSV: {error}")
        return nothing
    repeated = next((column for column, number in Counter(columns).items() if number > 1), None)
    if repeated is not None:
        problems.add("line 1", f"column {repeated!r} appears twice")
        return nothing
    if len(columns) == 1 and delimiter == "," and ";" in columns[0]:
        problems.add("line 1", "separate columns with commas, not semicolons")
        return nothing
    cells = _cells(reader, columns, problems)
    return Table(columns, _rows(cells, columns), cells)


def _is_quoted(text: str) -> bool:
    """Return whether every cell of a table with tabs that begins with a quote is a quoted one, on one line."""
    cells = re.finditer(r'(?:^|\t)(")([^\t\n\r]*)', text, re.MULTILINE) if '"' in text else ()
    return all(re.fullmatch(r'(?:[^"]|"")*"', cell[2]) for cell in cells)


class _Dialect(Protocol):
    """The form of a table, for the module csv."""

    delimiter: str


class _Reader(Protocol):
    """A reader of the module csv."""

    @property
    def line_num(self) -> int: ...

    @property
    def dialect(self) -> _Dialect: ...

    def __iter__(self) -> Iterator[list[str]]: ...


def _rows(cells: Iterator[tuple[int, list[str]]], columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    for number, row in cells:
        yield f"line {number}", {name: cell.strip() for name, cell in zip(columns, row, strict=True)}


def _cells(reader: _Reader, columns: tuple[str, ...], problems: Problems) -> Iterator[tuple[int, list[str]]]:
    n_columns = len(columns)
    try:
        for cells in reader:
            if len(cells) == n_columns:
                yield reader.line_num, cells
            elif cells:
                hint = "; a cell holds neither tabs nor line feeds" if reader.dialect.delimiter == "\t" else ""
                what = f"must have {n_columns} columns like the header, not {len(cells)}{hint}"
                problems.add(f"line {reader.line_num}", what)
    except csv.Error as error:
        problems.add(f"line {reader.line_num}", f"is not CSV: {error}")


# ------------------------------------------------------------------------------------------------------------ files


def read_entries(
    path: Path,
    /,
    *,
    what: str,
    holds: str,
    remedy: str,
    formats: Sequence[str] = FORMATS,
    numbers: Sequence[str] = (),
) -> tuple[Entries, Problems]:
    """Return the entries of a file of JSON lines, a JSON array or a table, and the problems of the file.

    Parameters
    ----------
    path : Path
        The file; its ending says what it is.
    what, holds : str
        Names of the file and of its entries in errors: ``"survey file"``, ``"question"``.
    remedy : str
        The last line of each error.
    formats : sequence of str
        The endings that are read.
    numbers : sequence of str
        The columns of a table whose cells become floats where they can, or ``None`` where they are empty. Empty cells
        of other columns are left out of their entry.

    Raises
    ------
    DatasetError
        If the file cannot be read or has another ending.
    """
    kind = format_of(path, formats)
    if kind is None:
        of_people = path.suffix.lower() in (".xlsx", ".sav", ".dta")
        raise DatasetError(
            f"{path}: a {what} must end in {', '.join(formats)} (or one of these and .gz), not {path.suffix!r}."
            + (" A file with a row a respondent becomes a survey by: pluralism survey build" if of_people else "")
        )
    problems = Problems(str(path), remedy)
    if kind == ".parquet":
        return _parquet(path, what, holds), problems
    text = read_text(path, what=what, holds=holds)
    if kind == ".jsonl":
        return json_lines(text, problems), problems
    if kind in (".csv", ".tsv"):
        return _objects(read_table(text, problems, delimiter="\t" if kind == ".tsv" else ","), numbers), problems
    return json_array(text, path, holds=holds, remedy=remedy), problems


def _parquet(path: Path, what: str, holds: str) -> Entries:
    """Yield the rows of a Parquet file, without their nulls, block by block."""
    with needed_for(f"The file {path.name}", 'pip install "pytest-pluralism[respondents]"'):
        pa, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    if not path.is_file():
        read_text(path, what=what, holds=holds)
    try:
        with parquet.ParquetFile(path) as file:
            _check_parquet(path, file.metadata)
            leaves = [file.schema.column(place) for place in range(len(file.schema))]
        # A few bytes can stand for thousands of equal texts: these are counted before they are made.
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            number = n_bytes = 0
            for batch in file.iter_batches(batch_size=max(1, min(1024, MOST_AT_ONCE // max(len(leaves), 1)))):
                n_bytes += sum(map(_unpacked_bytes, batch.columns))
                if n_bytes > MAXIMUM_BYTES:
                    raise DatasetError(
                        f"{path}: is too large when unpacked (at most {MAXIMUM_BYTES:,} bytes are read)."
                    )
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", {name: value for name, value in row.items() if value is not None}
    except (OSError, pa.ArrowInvalid) as error:
        raise DatasetError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0][:200]}.") from error


def _check_parquet(path: Path, metadata: Any) -> None:
    """Raise an error for a Parquet file with more rows, or values of its columns and lists, than are read."""
    if metadata.num_rows > MOST_LINES:
        raise DatasetError(f"{path}: has {metadata.num_rows:,} rows; at most {MOST_LINES:,} are read. Split the file.")
    n_values = n_listed = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for place in range(group.num_columns):
            n_values += group.column(place).num_values
            n_listed += group.column(place).num_values if metadata.schema.column(place).max_repetition_level else 0
            if n_values > MOST_VALUES or n_listed > MOST_LISTED:
                raise DatasetError(
                    f"{path}: has more than {MOST_VALUES:,} values, or {MOST_LISTED:,} in lists. Split the file, or "
                    "leave columns out."
                )


def _unpacked_bytes(column: Any) -> int:
    """Return the bytes of a column of Arrow with each of its texts written out, those in lists and objects too."""
    if hasattr(column, "dictionary"):
        lengths = [len(text or "") for text in column.dictionary.to_pylist()]
        return sum(lengths[place] for place in column.indices.drop_null().to_pylist())
    parts = column.type.num_fields
    if not parts:
        return int(column.nbytes)
    if hasattr(column, "keys"):
        return _unpacked_bytes(column.keys) + _unpacked_bytes(column.items)
    flat = column.flatten()
    return sum(map(_unpacked_bytes, flat)) if isinstance(flat, list) else _unpacked_bytes(flat)


def _objects(table: Table, numbers: Sequence[str]) -> Entries:
    for where, cells in table.rows:
        entry: Record = {name: cell for name, cell in cells.items() if cell}
        for name in numbers:
            if name in cells:
                entry[name] = number_in(cells[name])
        yield where, entry


def number_in(cell: str, /) -> float | str | None:
    """Return the number in a cell, ``None`` for an empty one, and the text itself where it is not a number."""
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell
