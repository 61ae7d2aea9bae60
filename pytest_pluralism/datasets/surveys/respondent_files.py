"""Files and data frames with one row a respondent, as columns of codes: CSV, Parquet, Excel, SPSS and Stata.

Only the columns that are wanted are kept, each as small numbers that stand for its different values, so that a file of
some hundred megabytes needs a fraction of that in memory.
"""

from __future__ import annotations

import codecs
import gzip
import importlib
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import DatasetError, PluralismError, did_you_mean, needed_for
from pytest_pluralism.datasets.frames import columns_of, is_frame
from pytest_pluralism.datasets.reading import listed

__all__ = ["RESPONDENT_FORMATS", "Respondents", "Value", "Variable", "canonical", "read_respondents"]

#: One value of a cell: a number or a text. Whole numbers are ints, and a text that is a number is that number.
Value = int | float | str

#: Small integers, because a file has many of them.
IntArray = npt.NDArray[np.signedinteger[Any]]

#: The texts of cells that hold nothing, as R, pandas, SQL and spreadsheets write them.
EMPTY = frozenset({"", "NA", "NaN", "nan", "<NA>", "#N/A", "NULL", "null", "."})

#: The signs that separate the columns of a table.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

#: Maximum number of bytes of a table after decompression, and of the parts of an Excel file.
MOST_BYTES = 1 << 30
MOST_EXCEL_BYTES = 1 << 28

#: Maximum numbers of columns of a table, of rows of a Parquet file, and of cells of a sheet, empty ones included.
MOST_COLUMNS = 50_000
MOST_ROWS = 20_000_000
MOST_CELLS = 20_000_000

#: Installs what files of respondents need.
INSTALL = 'pip install "pytest-pluralism[respondents]"'


@dataclass(frozen=True)
class Variable:
    """One column: for each respondent the place of its value, and what the file says about the values.

    Attributes
    ----------
    name : str
        The name of the column.
    codes : array of int, (n_respondents,)
        The place of the value in ``values``; -1 for an empty cell.
    values : tuple
        The different values.
    text : str
        The label of the variable, which says what the column is about.
    labels : mapping
        The labels of values.
    missing : frozenset
        The values that the file declares to be missing.
    is_ordered : bool
        Whether the order of ``values`` means something: that of a categorical column.
    """

    name: str
    codes: IntArray
    values: tuple[Value, ...]
    text: str = ""
    labels: Mapping[Value, str] = field(default_factory=dict)
    missing: frozenset[Value] = frozenset()
    is_ordered: bool = False


@dataclass(frozen=True)
class Respondents:
    """The columns of one source that were asked for, and remarks about how it was read."""

    name: str
    n_rows: int
    variables: Mapping[str, Variable]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def canonical(value: object, /) -> Value:
    """Return a value as it is compared: a text that is a number is that number, and a whole number is an int.

    Examples
    --------
    >>> [canonical(value) for value in ("1", "1.0", 1.0, " Yes ", "1.5")]
    [1, 1, 1, 'Yes', 1.5]
    """
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return int(number) if math.isfinite(number) and number.is_integer() else number
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    # Words such as "inf", and numbers with underscores or leading zeros ("007"), are names.
    if not math.isfinite(number) or "_" in text or (text.lstrip("-")[:1] == "0" and text.lstrip("-")[1:2].isdigit()):
        return text
    return int(number) if number.is_integer() else number


#: The remedy for a file that is too large.
KEEP = "Keep the columns that you need, and save the file anew."

#: Takes the names of all columns, and returns those to read.
Wanted = Callable[[Sequence[str]], Iterable[str]]


def read_respondents(source: object, wanted: Wanted, /, *, sheet: str | None = None) -> Respondents:
    """Return the columns of a file or data frame.

    Parameters
    ----------
    source : path or data frame
        A file (``.csv``, ``.tsv``, each also with ``.gz``, ``.parquet``, ``.xlsx``, ``.sav``, ``.dta``), or a data
        frame of any library that narwhals knows.
    wanted : callable
        Takes the names of all columns, and returns those to read.
    sheet : str, optional
        The sheet of an Excel file that has several.

    Raises
    ------
    DatasetError
        If the file cannot be read, or lacks a column.
    MissingExtraError
        If a package is not installed.
    """
    if is_frame(source):
        return _from_frame(source, wanted)
    path = Path(cast("str", source))
    ending = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]).lower()
    reader = READERS.get(ending)
    if reader is None:
        raise DatasetError(
            f"{path}: a file of respondents must end in {', '.join(RESPONDENT_FORMATS)}, not {path.suffix!r}."
        )
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file.")
    try:
        return reader(path, wanted, sheet)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: is not a whole gzip file, though its name ends in .gz.") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _checked(path: object, names: Sequence[str], wanted: Wanted) -> list[str]:
    """Return the wanted columns, all of which are there, each once."""
    if len(names) > MOST_COLUMNS:
        raise DatasetError(f"{path}: has {len(names):,} columns; at most {MOST_COLUMNS:,} are read. {KEEP}")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DatasetError(f"{path}, line 1: column {name!r} appears twice. Give each column another name.")
        seen.add(name)
    chosen = list(dict.fromkeys(wanted(names)))
    for name in chosen:
        if name not in seen:
            hint = did_you_mean(name, names)
            raise DatasetError(f"{path}: lacks the column {name!r} (it has {listed(names[:12])}).{hint}")
    return chosen


def _variable(name: str, codes: npt.ArrayLike, raw: Sequence[object], **about: Any) -> Variable:
    """Return a column of which equal values stand once, and empty ones not at all."""
    places: dict[Value, int] = {}
    table = np.empty(len(raw) + 1, dtype=np.int16 if len(raw) < 2**15 else np.int32)
    table[-1] = -1
    for index, value in enumerate(raw):
        is_nan = isinstance(value, (float, np.floating)) and math.isnan(value)
        if value is None or is_nan or (isinstance(value, str) and value.strip() in EMPTY) or str(value) == "NaT":
            table[index] = -1
        else:
            table[index] = places.setdefault(canonical(value), len(places))
    return Variable(name, table[np.asarray(codes)], tuple(places), **about)


def _factorised(values: Sequence[object]) -> tuple[IntArray, list[object]]:
    """Return the place of each value among the different ones, and these."""
    known: dict[object, int] = {}
    codes = [known.setdefault((type(value), value) if value == value else None, len(known)) for value in values]
    return np.array(codes, dtype=np.intp), [None if pair is None else pair[1] for pair in known]  # type: ignore[index]


# ---------------------------------------------------------------------------------------------------------- frames


def _from_frame(frame: object, wanted: Wanted) -> Respondents:
    columns = columns_of(frame, function="survey_from_respondents")
    variables, n_rows = {}, len(next(iter(columns.values()))) if columns else 0
    for name in _checked("The data frame", list(columns), wanted):
        series = columns[name]
        ordered: list[object] = []
        if "Categorical" in str(series.dtype) or "Enum" in str(series.dtype):
            ordered = series.cat.get_categories().to_list()
        codes, values = _factorised([*ordered, *series.to_list()])
        variables[name] = _variable(name, codes[len(ordered) :], values, is_ordered=bool(ordered))
    return Respondents("frame", n_rows, variables, tuple(columns))


# ---------------------------------------------------------------------------------------------------------- tables


def _package(name: str, path: Path) -> ModuleType:
    with needed_for(f"The file {path.name}", INSTALL):
        return importlib.import_module(name)


def _check_text(path: Path) -> str:
    """Return the header of a table after a look at its encoding."""
    opened = gzip.open if path.suffix == ".gz" else open
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    header, line, n_bytes = "", 1, 0
    with opened(path, "rb") as stream:
        while block := stream.read(1 << 20):
            n_bytes += len(block)
            if opened is gzip.open and n_bytes > MOST_BYTES:
                raise DatasetError(f"{path}: holds more than {MOST_BYTES:,} bytes when decompressed. {KEEP}")
            if not header and block.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DatasetError(f"{path}: is encoded in UTF-16. Save it as UTF-8.")
            if b"\x00" in block[:8192]:
                raise DatasetError(f"{path}: is binary, not text. A table is UTF-8 text.")
            try:
                text = decoder.decode(block)
            except UnicodeDecodeError as error:
                at = line + error.object[: error.start].count(b"\n")
                sign = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
                raise DatasetError(f"{path}, line {at}: {sign}. Save the file as UTF-8.") from error
            header = header or text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
            line += block.count(b"\n")
    if not header.strip():
        raise DatasetError(f"{path}: is empty. A table of respondents has a header and rows.")
    if max(map(header.count, SEPARATORS)) >= MOST_COLUMNS:
        raise DatasetError(f"{path}: has more than {MOST_COLUMNS:,} columns. {KEEP}")
    return header


def _separator(path: Path, header: str) -> str:
    if ".tsv" in path.suffixes:
        return "\t"
    plain = "".join(part for place, part in enumerate(header.split('"')) if place % 2 == 0)
    found = [sign for sign in SEPARATORS if sign in plain]
    if len(found) > 1:
        words = " and ".join(SEPARATORS[sign] for sign in found)
        raise DatasetError(f"{path}, line 1: has {words}. Keep one sign to separate columns, and quote the others.")
    return found[0] if found else ","


def _from_text(path: Path, wanted: Wanted, _: str | None) -> Respondents:
    arrow, table = _package("pyarrow", path), _package("pyarrow.csv", path)
    header = _check_text(path)
    sign = _separator(path, header)
    parsing = table.ParseOptions(delimiter=sign, newlines_in_values='"' in header or _has_quotes(path))
    # Several threads do not say in which line an error is.
    in_turn = table.ReadOptions(use_threads=False)
    try:
        with table.open_csv(path, read_options=in_turn, parse_options=parsing) as stream:
            names = [name.strip() for name in stream.schema.names]
            raw = stream.schema.names
        chosen = _checked(path, names, wanted)
        coded = arrow.dictionary(arrow.int32(), arrow.string())
        original = {name: raw[names.index(name)] for name in chosen}
        # Columns that are not wanted are parsed as well, so that a row that is too short is found.
        types = dict.fromkeys(original.values(), coded)
        converting = table.ConvertOptions(column_types=types, include_columns=list(original.values()))
        try:
            found = table.read_csv(path, parse_options=parsing, convert_options=converting)
        except arrow.ArrowInvalid:
            found = table.read_csv(path, read_options=in_turn, parse_options=parsing, convert_options=converting)
    except arrow.ArrowInvalid as error:
        raise DatasetError(f"{path}: is not a table: {_arrow_words(error)}.") from error
    variables = {name: _of_arrow(name, found.column(column)) for name, column in original.items()}
    notes = () if sign == "," or ".tsv" in path.suffixes else (f"columns are separated by {SEPARATORS[sign]}",)
    return Respondents(path.name, found.num_rows, variables, tuple(names), notes)


def _has_quotes(path: Path) -> bool:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as stream:
        return any(b'"' in block for block in iter(lambda: stream.read(1 << 22), b""))


def _arrow_words(error: Exception) -> str:
    first = str(error).strip().splitlines()[0]
    return first.removeprefix("CSV parse error: ").replace("Row #", "line ")[:300]


def _of_arrow(name: str, column: Any) -> Variable:
    """Return a column of Arrow, whose chunks have dictionaries of their own."""
    if column.num_chunks == 0:
        return _variable(name, [], [])
    merged = column.combine_chunks() if column.num_chunks > 1 else column.chunk(0)
    merged = merged.unify_dictionaries() if hasattr(merged, "unify_dictionaries") else merged
    if not hasattr(merged, "dictionary"):
        merged = merged.dictionary_encode()
    if hasattr(merged, "num_chunks"):
        merged = merged.chunk(0)
    codes = merged.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _variable(name, codes, merged.dictionary.to_pylist())


def _from_parquet(path: Path, wanted: Wanted, _: str | None) -> Respondents:
    arrow, parquet = _package("pyarrow", path), _package("pyarrow.parquet", path)
    try:
        schema, n_rows = parquet.read_schema(path), parquet.read_metadata(path).num_rows
        if n_rows > MOST_ROWS:
            raise DatasetError(f"{path}: has {n_rows:,} rows; at most {MOST_ROWS:,} are read. Draw some of them.")
        names = list(schema.names)
        chosen = _checked(path, names, wanted)
        # A few bytes can stand for millions of equal texts, which stay one each.
        texts = [name for name in chosen if arrow.types.is_string(schema.field(name).type)]
        found = parquet.read_table(path, columns=chosen, read_dictionary=texts)
    except arrow.ArrowInvalid as error:
        raise DatasetError(f"{path}: is not a Parquet file: {_arrow_words(error)}.") from error
    variables = {}
    for name in chosen:
        column = found.column(name)
        is_coded = arrow.types.is_dictionary(column.type)
        variables[name] = replace(_of_arrow(name, column), is_ordered=is_coded and column.type.ordered)
    return Respondents(path.name, found.num_rows, variables, tuple(names))


def _from_excel(path: Path, wanted: Wanted, sheet: str | None) -> Respondents:
    excel = _package("openpyxl", path)
    try:
        with zipfile.ZipFile(path) as packed:
            n_bytes = sum(part.file_size for part in packed.infolist())
        if n_bytes > MOST_EXCEL_BYTES:
            raise DatasetError(
                f"{path}: holds {n_bytes:,} bytes when decompressed; at most {MOST_EXCEL_BYTES:,} are read. {KEEP}"
            )
        book = excel.load_workbook(path, read_only=True, data_only=True)
    except DatasetError:
        raise
    except (ValueError, KeyError, excel.utils.exceptions.InvalidFileException) as error:
        raise DatasetError(f"{path}: is not an Excel file: {str(error)[:200]}.") from error
    except Exception as error:
        raise DatasetError(f"{path}: is not an Excel file: {type(error).__name__}: {str(error)[:200]}.") from error
    try:
        names = book.sheetnames
        if sheet is None and len(names) > 1:
            raise DatasetError(f"{path}: has the sheets {listed(names)}. Name one: sheet={names[0]!r}.")
        if sheet is not None and sheet not in names:
            raise DatasetError(f"{path}: has no sheet {sheet!r}. It has {listed(names)}.")
        rows = _sheet_rows(book[sheet or names[0]], path)
        header = next((row for row in rows if any(cell is not None for cell in row)), ())
        columns = ["" if cell is None else str(cell).strip() for cell in header]
        while columns and not columns[-1]:
            columns.pop()
        # A table may begin at any column of its sheet.
        first = next((place for place, name in enumerate(columns) if name), 0)
        columns = columns[first:]
        places = {name: first + columns.index(name) for name in _checked(path, columns, wanted)}
        found: dict[str, list[object]] = {name: [] for name in places}
        n_rows = 0
        for row in rows:
            if all(cell is None for cell in row):
                continue
            n_rows += 1
            for name, place in places.items():
                found[name].append(row[place] if place < len(row) else None)
    except PluralismError:
        raise
    except Exception as error:
        # The parts of a sheet are read one by one, and each may be damaged in ways of its own.
        raise DatasetError(f"{path}: is damaged: {type(error).__name__}: {str(error)[:200]}.") from error
    finally:
        book.close()
    variables = {name: _variable(name, *_factorised(values)) for name, values in found.items()}
    return Respondents(path.name, n_rows, variables, tuple(columns))


def _sheet_rows(sheet: Any, path: Path) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a sheet up to a number of cells: a few bytes can stand for a row of thousands of them."""
    # The size that a file declares may be wrong: cells beyond it would be lost.
    sheet.reset_dimensions()
    n_cells = 0
    for row in sheet.iter_rows(values_only=True):
        n_cells += len(row)
        if n_cells > MOST_CELLS:
            raise DatasetError(f"{path}: the sheet has more than {MOST_CELLS:,} cells. {KEEP}")
        yield row


def _from_statistics(path: Path, wanted: Wanted, _: str | None) -> Respondents:
    """Read a file of SPSS or Stata with its labels and declared missing values."""
    package = _package("pyreadstat", path)
    read = package.read_sav if path.suffix.lower() == ".sav" else package.read_dta
    try:
        _, meta = read(str(path), metadataonly=True)
        chosen = _checked(path, list(meta.column_names), wanted)
        data, meta = read(str(path), usecols=chosen, user_missing=True, output_format="dict")
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"{path}: cannot be read as {path.suffix}: {str(error)[:200]}.") from error
    variables = {}
    for name in chosen:
        labels = {
            canonical(code): str(label).strip() for code, label in meta.variable_value_labels.get(name, {}).items()
        }
        variable = _variable(name, *_factorised(list(data[name])))
        text = meta.column_names_to_labels.get(name) or ""
        missing = frozenset(value for value in {*variable.values, *labels} if _is_missing(value, name, meta))
        variables[name] = replace(variable, text=text, labels=labels, missing=missing)
    n_rows = len(next(iter(data.values()))) if data else 0
    return Respondents(path.name, n_rows, variables, tuple(meta.column_names))


def _is_missing(value: Value, name: str, meta: Any) -> bool:
    """Return whether a file declares a value to be missing: a range of SPSS, or a letter of Stata."""
    for span in (meta.missing_ranges or {}).get(name, ()):
        low, high = canonical(span["lo"]), canonical(span["hi"])
        if value == low or (isinstance(value, (int, float)) and isinstance(low, (int, float))
                            and isinstance(high, (int, float)) and low <= value <= high):  # fmt: skip
            return True
    return value in {canonical(one) for one in (meta.missing_user_values or {}).get(name, ())}


#: The reader of each ending.
READERS: Mapping[str, Callable[[Path, Wanted, str | None], Respondents]] = {
    **dict.fromkeys((".csv", ".csv.gz", ".tsv", ".tsv.gz"), _from_text),
    ".parquet": _from_parquet,
    ".xlsx": _from_excel,
    **dict.fromkeys((".sav", ".dta"), _from_statistics),
}

#: The endings of files of respondents.
RESPONDENT_FORMATS = tuple(READERS)
