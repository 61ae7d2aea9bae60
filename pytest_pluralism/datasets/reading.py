"""Text files as every reader gets them: their text, JSON, CSV and fields, and the problems that are told together."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, nearest_names

__all__ = [
    "FORMATS",
    "MAXIMUM_BYTES",
    "MOST_PROBLEMS",
    "Problems",
    "csv_objects",
    "files_like",
    "format_of",
    "json_array",
    "json_document",
    "json_lines",
    "read_text",
]


HALF_CHARACTERS = re.compile("[\ud800-\udfff]")

#: How many problems of one source are named in its error; the others are counted.
MOST_PROBLEMS = 10


@dataclass
class Problems:
    """What is wrong with one source: collected, so that all of it is reported at once."""

    source: str
    remedy: str = ""
    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note one problem and its place."""
        self.found.append(f"{where}: {what}" if where else what)

    def raise_if_any(self) -> None:
        """Raise one error that names up to ten problems and counts the others.

        Raises
        ------
        DatasetError
            If there is at least one problem.
        """
        if not self.found:
            return
        count = len(self.found)
        shown = self.found[:MOST_PROBLEMS]
        if count == 1:
            message = f"{self.source}, {shown[0]}"
        else:
            lines = [f"{self.source} has {count} problems:", *(f"  {problem}" for problem in shown)]
            if count > len(shown):
                lines.append(f"  and {count - len(shown)} more")
            message = "\n".join(lines)
        if self.remedy:
            message += f"\n{self.remedy}"
        raise DatasetError(message)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def show(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


#: The largest file that is read, before and after decompression.
MAXIMUM_BYTES = 200_000_000

#: The endings of survey files; each may be followed by ``.gz``.
FORMATS = (".jsonl", ".json", ".csv")


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


def json_array(text: str, path: Path, /, *, remedy: str, holds: str = "question") -> list[tuple[str, Any]]:
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


def check_fields(
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
        problems.add(where, f"lacks {listed(missing)} (it has {has})")
    return len(problems.found) == before


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
