"""The ``pluralism`` command: what is done outside a run of tests.

Every subcommand is one function that takes the parsed arguments and returns the exit code: 0 when all is well, 1 when
problems were found or the command failed, 2 for a wrong command.
Results go to the standard output, complaints to the standard error; names from outside are shown so that no terminal
obeys them.
"""

# argparse, and neither click nor typer: the command is small, and a plugin that others install beside their own tools
# should bring as few packages as it can.

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pytest_pluralism import __version__
from pytest_pluralism.cli.answers import add_answers
from pytest_pluralism.cli.baselines import add_baselines
from pytest_pluralism.cli.cards import add_try
from pytest_pluralism.cli.check import add_check
from pytest_pluralism.cli.compare import add_compare
from pytest_pluralism.cli.completion import add_completion
from pytest_pluralism.cli.export import add_export
from pytest_pluralism.cli.history import add_history
from pytest_pluralism.cli.init import add_init
from pytest_pluralism.cli.label import add_label
from pytest_pluralism.cli.leaderboard import add_leaderboard
from pytest_pluralism.cli.merge import add_merge
from pytest_pluralism.cli.plan import add_plan
from pytest_pluralism.cli.promises import add_promises
from pytest_pluralism.cli.publish import add_publish
from pytest_pluralism.cli.report import add_report
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PROBLEMS,
    EXIT_USAGE,
    UsageError,
    complain,
)
from pytest_pluralism.cli.survey import add_survey
from pytest_pluralism.cli.sweep import add_sweep
from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.core.untrusted import harmless

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (by default those of the process) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            # A terminal that cannot show a character shows its code instead of ending the command.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except UsageError as error:
        complain(error)
        return EXIT_USAGE
    except (PluralismError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader of the output has seen enough (`| head`); Python would complain once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_OK
        complain(error)
        return EXIT_PROBLEMS
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


class _Parser(argparse.ArgumentParser):
    """A parser that shows wrong arguments so that nothing obeys them."""

    def error(self, message: str) -> NoReturn:
        """Write the usage and what is wrong, and end the command."""
        super().error(harmless(message))


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="pluralism",
        description="Write, try and look after pluralism regression tests. The tests themselves run with pytest.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"pytest-pluralism {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_answers(commands)
    add_baselines(commands)
    add_check(commands)
    add_plan(commands)
    add_compare(commands)
    add_history(commands)
    add_export(commands)
    add_init(commands)
    add_leaderboard(commands)
    add_label(commands)
    add_merge(commands)
    add_promises(commands)
    add_completion(commands, parser)
    add_publish(commands)
    add_report(commands)
    add_sweep(commands)
    add_try(commands)
    add_survey(commands)
    return parser
