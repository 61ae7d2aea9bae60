"""Input and output of the ``pluralism`` command: results to the standard output, complaints to the standard error."""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.core.errors import DatasetError, PluralismError
from pytest_pluralism.core.untrusted import harmless, printable

__all__ = [
    "EXIT_CODES",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_PROBLEMS",
    "EXIT_USAGE",
    "Commands",
    "UsageError",
    "add_command",
    "check_output",
    "complain",
    "group",
    "option",
    "reading",
    "say",
    "say_json",
    "shown",
    "size",
    "table",
    "time_words",
]

if TYPE_CHECKING:
    #: The place to which commands are added.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object

EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = "exit codes: 0 all is well; 1 problems were found, or the command failed; 2 the command is wrong"

#: The longest path or message that is shown.
MOST_CHARACTERS = 2000


class UsageError(Exception):
    """The command asks for something that is not there."""


def option(*flags: str, **keywords: object) -> tuple[tuple[str, ...], Entry]:
    """Return an argument of a command, for :func:`add_command`."""
    return flags, keywords


def reading(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Let a command that computes with files of others end with a sentence, whatever numbers and words stand there."""

    @functools.wraps(run)
    def bounded(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except PluralismError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DatasetError(
                f"a file is not as pytest-pluralism writes it ({type(error).__name__}: "
                f"{printable(str(error), most=160)}). Write it again: --pluralism-report=run.json for a report, "
                "--pluralism-update-baseline for a baseline."
            ) from error

    return bounded


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    words: str,
    *options: tuple[tuple[str, ...], Entry],
    **keywords: Any,
) -> None:
    """Add a command that runs a function, with its options and ``--json``; the keywords are those of its parser."""
    parser = commands.add_parser(name, help=words, **{"description": words, "epilog": EXIT_CODES, **keywords})
    for flags, how in options:
        parser.add_argument(*flags, **how)
    parser.add_argument("--json", action="store_true", help="write JSON instead of text")
    parser.set_defaults(run=run, parser=parser)


def group(commands: Commands, name: str, words: str, description: str) -> Commands:
    """Add a command that has actions, and return where these are added."""
    parser = commands.add_parser(name, help=words, description=description, epilog=EXIT_CODES)
    return parser.add_subparsers(title="actions", metavar="ACTION", required=True)


def check_output(output: Path, endings: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before anything is read.

    Raises
    ------
    UsageError
        Its ending names no form, or nothing can be written there.
    """
    from pytest_pluralism.files import check_writable

    if output.suffix not in endings:
        raise UsageError(
            f"--output must end with {' or '.join(endings)}, because the ending chooses the form. Got {output}."
        )
    if problem := check_writable(output):
        raise UsageError(f"{output} cannot be written: {problem}")


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


def say(*lines: str) -> None:
    """Write lines of the result."""
    sys.stdout.writelines(harmless(line) + "\n" for line in lines)


def say_json(content: Content) -> None:
    """Write the result as JSON."""
    # ASCII, so that names from outside reach no terminal as they are.
    text = json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False)
    # Two number signs can stand in strings alone, where an escape says the same.
    sys.stdout.write(text.replace("##", "#\\u0023") + "\n")


def complain(*whats: object) -> None:
    """Write what went wrong; an error that lists several problems keeps its lines, each without commands."""
    for what in whats:
        first, *others = str(what)[:MOST_CHARACTERS].split("\n")
        lines = [f"pluralism: {shown(first)}", *(f"  {shown(line.strip())}" for line in others if line.strip())]
        sys.stderr.write(harmless("\n".join(lines)) + "\n")
