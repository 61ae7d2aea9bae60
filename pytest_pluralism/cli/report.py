"""``pluralism report``: another form of a JSON report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_pluralism.cli.showing import EXIT_CODES, EXIT_OK, UsageError, say, say_json, shown

__all__ = ["add_report"]

#: The forms that are made from JSON.
_ENDINGS = (".html", ".md")


def add_report(commands: Any) -> None:
    """Add ``pluralism report``."""
    report = commands.add_parser(
        "report", help="another form of a JSON report: a page that opens offline, or Markdown",
        description="Write a JSON report of --pluralism-report as HTML or Markdown; the ending chooses the form.",
        epilog=EXIT_CODES,
    )  # fmt: skip
    report.add_argument("report", type=Path, metavar="RUN.json", help="a report of --pluralism-report")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="a .html or .md file")
    report.add_argument("--json", action="store_true", help="say what was written as JSON")
    report.set_defaults(run=write_report)


def write_report(arguments: argparse.Namespace) -> int:
    """Write a JSON report in another form."""
    from pytest_pluralism.files import check_writable, write_atomically
    from pytest_pluralism.report.forms import rendered
    from pytest_pluralism.report.reading import read_report

    output = arguments.output
    if output.suffix not in _ENDINGS:
        raise UsageError(
            f"--output must end with {' or '.join(_ENDINGS)}, because the ending chooses the form. Got {output}."
        )
    # Before a large file is read and checked.
    if problem := check_writable(output):
        raise UsageError(f"{output} cannot be written: {problem}")
    content = read_report(arguments.report)
    text = rendered(output, content["verdicts"], content["run"])
    write_atomically(output, text)
    if arguments.json:
        say_json({"written": str(output), "verdicts": len(content["verdicts"]), "characters": len(text)})
    else:
        say(f"report written: {shown(output)}")
    return EXIT_OK
