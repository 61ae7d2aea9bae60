"""How the ``pluralism`` command says things: results to the standard output, complaints to the standard error."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_pluralism.core.messages import printable

__all__ = [
    "EXIT_CODES",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_PROBLEMS",
    "EXIT_USAGE",
    "UsageError",
    "complain",
    "say",
    "say_json",
    "shown",
    "size",
    "table",
    "time_words",
]

EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = "exit codes: 0 all is well; 1 problems were found, or it could not be done; 2 the command is wrong"

#: The longest path or message that is shown.
MOST_CHARACTERS = 2000


class UsageError(Exception):
    """The command asks for something that is not there."""


def size(number: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, large in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if number >= large:
            return f"{number / large:.1f} {unit}"
    return f"{number} B"


def time_words(seconds: float) -> str:
    """Return a time as UTC, ISO 8601."""
    try:
        moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose columns are as wide as they must be."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()


def shown(what: object) -> str:
    """Return something from outside so that no terminal obeys it."""
    return printable(str(what), most=MOST_CHARACTERS)


def say(line: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(line + "\n")


def say_json(content: dict[str, Any]) -> None:
    """Write the result as JSON."""
    # ASCII, so that names from outside reach no terminal as they are.
    say(json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False))


def complain(what: object) -> None:
    """Write what went wrong."""
    sys.stderr.write(f"pluralism: {shown(what)}\n")
