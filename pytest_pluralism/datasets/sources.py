"""Tables of known sources: the names of its columns identify each, never their places, and one function reads it.

A source is one row of a table: the columns that it has, its reader, its licence and its link. Where a file fits two
rows, the one with more columns is meant.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pytest_pluralism.core.errors import DatasetError, PluralismError
from pytest_pluralism.datasets.reading import Entries, Line, Problems

__all__ = ["OWN", "Rows", "Source", "as_list", "of_one_form", "source_of"]

R = TypeVar("R")

#: The licence of a table of the user's own.
OWN = "yours"


@dataclass(frozen=True)
class Rows:
    """The rows of a file, and the problems that a reader notes."""

    path: Path
    entries: Entries
    problems: Problems


@dataclass(frozen=True)
class Source(Generic[R]):
    """One source.

    Attributes
    ----------
    name : str
        The name that people know it by.
    fields : tuple of str
        The columns, or fields, that tell it.
    read : callable
        Reads the rows.
    licence : str
        The licence of the data.
    link : str
        Where they are from.
    note : str
        Assumptions, for ``source``.
    fits : callable, optional
        Takes the first row, and says whether it is of this source; for sources that columns alone do not tell apart.
    """

    name: str
    fields: tuple[str, ...]
    read: Callable[[Rows], R]
    licence: str
    link: str
    note: str = ""
    fits: Callable[[Line], bool] = lambda _: True

    @property
    def words(self) -> str:
        """Return the source in words, for ``source``."""
        return f"{self.name} ({self.licence}, {self.link})" + (f"; {self.note}" if self.note else "")


@contextlib.contextmanager
def of_one_form(path: Path, name: str, /) -> Iterator[None]:
    """Turn the failure of a reader into an error that names the file, for rows that are not like the published ones.

    Raises
    ------
    DatasetError
        If the reader meets a row that lacks a field, or has a value of another kind.
    """
    try:
        yield
    except PluralismError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        lacks = f"a row lacks the field {error}" if isinstance(error, KeyError) else f"a row is odd: {str(error)[:200]}"
        raise DatasetError(f"{path}: is not like the published files of {name}: {lacks}. Correct the row.") from error


def source_of(sources: Iterable[Source[R]], row: object, /) -> Source[R] | None:
    """Return the source whose columns a row has; ``None`` where there is none.

    Raises
    ------
    DatasetError
        If two sources fit equally well.
    """
    if not isinstance(row, Mapping):
        return None
    found = [source for source in sources if set(source.fields) <= row.keys() and source.fits(row)]
    found.sort(key=lambda source: len(source.fields), reverse=True)
    if len(found) > 1 and len(found[0].fields) == len(found[1].fields):
        names = " and ".join(source.name for source in found[:2])
        raise DatasetError(f"The columns fit two sources: {names}. Leave out the columns of one of them.")
    return found[0] if found else None


def as_list(value: object, /) -> list[object] | None:
    """Return a list that a cell holds: itself, or as JSON or a literal of Python; ``None`` where it is none."""
    from pytest_pluralism.datasets.literals import literal_of

    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    if not isinstance(value, str):
        return None
    try:
        found = json.loads(value) if value.lstrip()[:1] == "[" and "'" not in value else literal_of(value, "a list")
    except (ValueError, RecursionError, DatasetError):
        return None
    return list(found) if isinstance(found, (list, tuple)) else None
