"""``pluralism leaderboard``: models of several reports by all objectives that they share."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_pluralism.cli.showing import EXIT_OK, Commands, UsageError, add_command, option, reading, say, say_json

__all__ = ["add_leaderboard"]


def add_leaderboard(commands: Commands) -> None:
    """Add ``pluralism leaderboard``."""
    weights = "a commensurating function: a weight for each objective, in the order of the table; repeatable"
    add_command(
        commands,
        "leaderboard",
        show_leaderboard,
        "compare the models of several reports by all objectives that they share",
        option("reports", nargs="+", type=Path, metavar="RUN.json", help="reports of --pluralism-report"),
        option("--function", action="append", default=[], metavar="NAME=W,W", help=weights),
        description="Show which models no other improves on in every objective, and their ranks under each function.",
    )


@reading
def show_leaderboard(arguments: argparse.Namespace) -> int:
    """Show a leaderboard as Markdown, or as JSON."""
    from pytest_pluralism.report.leaderboard import leaderboard_json, leaderboard_lines, read_leaderboard

    functions: dict[str, tuple[float, ...]] = {}
    for text in arguments.function:
        name, _, weights = text.partition("=")
        name = name.strip()
        if name in functions:
            raise UsageError(f"--function names {name!r} twice. Give each function a name of its own.")
        try:
            if not name:
                raise ValueError
            functions[name] = tuple(float(weight) for weight in weights.split(","))
        except ValueError:
            raise UsageError(f"--function must be NAME=WEIGHT,WEIGHT, such as equal=0.5,0.5. Got {text!r}.") from None
    board = read_leaderboard(arguments.reports)
    if arguments.json:
        say_json(leaderboard_json(board, functions=functions))
        return EXIT_OK
    say(*leaderboard_lines(board, functions=functions))
    return EXIT_OK
