"""``pluralism report``: another form of a JSON report."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_pluralism.cli.showing import (
    EXIT_OK,
    Commands,
    add_command,
    check_output,
    option,
    reading,
    say,
    say_json,
    shown,
)

__all__ = ["add_report"]

#: The forms that are made from JSON.
_ENDINGS = (".html", ".md")


def add_report(commands: Commands) -> None:
    """Add ``pluralism report``."""
    add_command(
        commands,
        "report",
        write_report,
        "write a JSON report in another form: a page that opens offline, or Markdown",
        option("report", type=Path, metavar="RUN.json", help="a report of --pluralism-report"),
        option("-o", "--output", type=Path, required=True, metavar="PATH", help="a .html or .md file"),
        description="Write a JSON report of --pluralism-report as HTML or Markdown; the ending chooses the form.",
    )


@reading
def write_report(arguments: argparse.Namespace) -> int:
    """Write a JSON report in another form."""
    from pytest_pluralism.files import write_atomically
    from pytest_pluralism.report.forms import rendered
    from pytest_pluralism.report.reading import read_report

    output = arguments.output
    check_output(output, _ENDINGS)
    content = read_report(arguments.report)
    text = rendered(output, content["verdicts"], content["run"])
    write_atomically(output, text)
    if arguments.json:
        say_json({"written": str(output), "verdicts": len(content["verdicts"]), "characters": len(text)})
    else:
        say(f"report written: {shown(output)}")
    return EXIT_OK
