"""Reading JSON reports, which may come from strangers: bounded before they are parsed, checked before they are used."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.core.errors import DatasetError, MissingExtraError
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.files import read_regular
from pytest_pluralism.report.json_report import SCHEMA

__all__ = ["load_report", "read_report", "test_of"]

#: The largest file that is read; a report of 50,000 questions is about this large.
MOST_BYTES = 100_000_000

#: The most units of all verdicts together that a report is rendered with.
MOST_UNITS = 50_000

#: Beyond this no number of a report means anything, and arithmetic with it would end in infinities.
LARGEST_NUMBER = 1e15


def load_report(path: Path, /, *, whole: bool = True) -> Content:
    """Return the JSON of a report: a file of ours in its size, its numbers and its outermost form.

    With ``whole``, where jsonschema is installed, its verdicts must also keep the schema; the caller checks the fields
    that it uses otherwise.

    Raises
    ------
    DatasetError
        If the file cannot be read, is too large, is not JSON, or is not a report of this version.
    """
    try:
        size = path.stat().st_size
        data = read_regular(path, most=MOST_BYTES) if size <= MOST_BYTES else b""
        if max(size, len(data)) > MOST_BYTES:
            raise DatasetError(
                f"{path}: has {max(size, len(data)):,} bytes, and a report may have {MOST_BYTES:,}. Run fewer tests in "
                "one run."
            )
        text = data.decode("utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text (byte {error.start}). Reports are written as UTF-8.") from error
    try:
        content = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        why = "is nested too deeply" if isinstance(error, RecursionError) else f"cannot be read as JSON: {error}"
        raise DatasetError(f"{path}: {why}. Write the report again with --pluralism-report=run.json.") from None
    named = content.get("schema") if isinstance(content, dict) else None
    if named != SCHEMA:
        hint = "Write one with --pluralism-report=run.json."
        if isinstance(named, str) and named.startswith(SCHEMA.rpartition("/")[0]):
            hint = "It comes from another version of pytest-pluralism: use that one, or run the tests again."
        got = printable(json.dumps(named)) if named is not None else "no schema"
        raise DatasetError(f"{path}: is not a report of this version ({SCHEMA}). Got {got}. {hint}")
    if not isinstance(content.get("verdicts"), list):
        raise DatasetError(f"{path}: has no list of verdicts. Write it again with --pluralism-report=run.json.")
    if not whole:
        return dict(content)
    with contextlib.suppress(ImportError):
        # The units are left to those who use them: there may be 50,000.
        verdicts = [{**one, "units": []} if _has_units(one) else one for one in content["verdicts"]]
        _check_schema(path, {**content, "verdicts": verdicts})
    return dict(content)


def read_report(path: Path, /) -> Content:
    """Return the JSON of a report that keeps its schema in everything.

    Raises
    ------
    DatasetError
        Also if it has more units than can be shown, or breaks the schema; with the place in the file.
    MissingExtraError
        If jsonschema is not installed.
    """
    if importlib.util.find_spec("jsonschema") is None:
        raise MissingExtraError("Reading a report", 'pip install "pytest-pluralism[report]"')
    content = load_report(path)
    verdicts = content["verdicts"]
    n_units = sum(len(entry["units"]) for entry in verdicts if _has_units(entry))
    if n_units > MOST_UNITS:
        raise DatasetError(
            f"{path}: has {n_units:,} units, and a page holds {MOST_UNITS:,}. Run fewer tests in one run."
        )
    _check_schema(path, content)
    return content


def test_of(entry: Entry, /) -> str:
    """Return the node id of a verdict without its model: that of the same test of another model is equal."""
    base, _, inside = str(entry["nodeid"]).partition("[")
    parts = inside.removesuffix("]").replace(str(entry["model"]["name"]), "\0", 1).split("-")
    rest = "-".join(part for part in parts if part != "\0")
    return f"{base}[{rest}]" if rest else base


def _check_schema(path: Path, content: Content) -> None:
    """Refuse what breaks the schema of reports, with the place of the first problem.

    Raises
    ------
    ImportError
        If jsonschema is not installed.
    """
    import jsonschema

    schema = json.loads(files("pytest_pluralism.report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    # The first problem is enough: a broken file may have a million.
    problem = next(jsonschema.Draft202012Validator(schema).iter_errors(content), None)
    if problem is not None:
        raise DatasetError(
            f"{path}: {printable(problem.json_path, most=120)} is not as a report has it: "
            f"{printable(problem.message, most=160)}. Write the report again with --pluralism-report=run.json."
        )


def _has_units(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("units"), list)


def _number(text: str) -> float | int:
    # Counted before it is parsed: a million digits take minutes.
    if len(text) > 400:
        raise ValueError(f"a number of {len(text):,} digits")
    number = float(text)
    if not abs(number) <= LARGEST_NUMBER:
        raise ValueError(f"the number {text[:30]} is beyond {LARGEST_NUMBER:g}")
    return int(number) if text.lstrip("-").isdigit() else number


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")
