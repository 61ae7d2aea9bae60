"""Data frames of any library that narwhals knows (pandas, polars, PyArrow, Modin, ...): their columns and cells."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Protocol

from pytest_pluralism.core.errors import DatasetError, invalid_parameter, needed_for
from pytest_pluralism.datasets.reading import Table

__all__ = ["FRAMES", "columns_of", "is_frame", "make_frame", "table_of_frame"]

#: Installs what frames need.
FRAMES = 'pip install "pytest-pluralism[frames]"'


class Categories(Protocol):
    """The categories of a column."""

    def get_categories(self) -> Series:
        """Return the categories in their order."""
        ...


class Series(Protocol):
    """A column of a data frame: a series of narwhals."""

    dtype: object
    cat: Categories

    def __len__(self) -> int: ...

    def to_list(self) -> list[object]:
        """Return the values."""
        ...


def is_frame(value: object, /) -> bool:
    """Return whether a value looks like a data frame, without importing any library."""
    return hasattr(value, "columns") and not isinstance(value, (str, bytes, Mapping))


def columns_of(frame: object, /, *, function: str) -> dict[str, Series]:
    """Return the columns of a data frame by name, each as a series of narwhals.

    Raises
    ------
    MissingExtraError
        If narwhals is not installed.
    InvalidParameterError
        If the value is not a data frame.
    DatasetError
        If a name of a column is not a text, or stands twice.
    """
    narwhals = _narwhals(f"A data frame for {function}")
    try:
        known = narwhals.from_native(frame, eager_only=True)
        names = list(known.columns)
    except (TypeError, ValueError) as error:
        if hasattr(frame, "columns") and "nique" in str(error):
            raise DatasetError(f"The data frame for {function}: {error}. Give each column another name.") from error
        must = "a path, or a data frame of pandas, polars or another library that narwhals knows, in memory"
        raise invalid_parameter("frame", function, must, type(frame).__name__) from error
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise DatasetError(f"The data frame for {function}: column {wrong[0]!r} must have a text for a name.")
    return {name: known[name] for name in names}


def table_of_frame(frame: object, /, *, function: str) -> Table:
    """Return a data frame as a table of texts; cells without a value are empty."""
    columns = columns_of(frame, function=function)
    cells = {name: [_cell(value) for value in series.to_list()] for name, series in columns.items()}

    def rows() -> Iterator[tuple[str, dict[str, str]]]:
        for number, values in enumerate(zip(*cells.values(), strict=True)):
            yield f"row {number}", dict(zip(cells, values, strict=True))

    return Table(tuple(cells), rows())


def make_frame(columns: Mapping[str, Sequence[object]], /, *, backend: str) -> object:
    """Return a data frame of a library.

    Parameters
    ----------
    columns : mapping of str to sequence
        The cells of each column.
    backend : {"pandas", "polars"}
        The library.

    Raises
    ------
    InvalidParameterError
        If ``backend`` is another word.
    MissingExtraError
        If narwhals or the library is not installed.
    """
    if backend not in ("pandas", "polars"):
        raise invalid_parameter("backend", "to_frame", "'pandas' or 'polars'", repr(backend))
    narwhals = _narwhals("A data frame")
    with needed_for(f"A data frame of {backend}", f"pip install {backend}"):
        return narwhals.from_dict(dict(columns), backend=backend).to_native()


def _narwhals(what: str) -> ModuleType:
    with needed_for(what, FRAMES):
        # The stable names do not change with the version that is installed.
        return importlib.import_module("narwhals.stable.v2")


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("<NA>", "NaT"):
        return ""
    return str(value).strip()
