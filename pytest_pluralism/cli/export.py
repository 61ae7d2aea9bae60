"""``pluralism export``: the requests of a suite as a file, to be answered elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.collecting import collect
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    complain,
    option,
    say,
    say_json,
    shown,
)
from pytest_pluralism.models.recorded.batches import FORMATS, BatchForm, batch_line

__all__ = ["add_export"]

SCHEMA = "pytest-pluralism/exported/1"

#: The model under test.
UNDER_TEST = "language_model"


def add_export(commands: Commands) -> None:
    """Add ``pluralism export``."""
    formats = f"{', '.join(FORMATS)} (default: plain)"
    answers = "recorded answers of earlier rounds, FILE or ROLE=FILE; several times for several files"
    role = "whose requests: language_model (default), reference_language_model, entailment_model or value_model"
    samples = "draw N answers to each closed question of a batch, instead of asking for log-probabilities"
    add_command(
        commands,
        "export",
        export,
        "write the requests of a suite to a file, to be answered elsewhere",
        option("tests", nargs="*", metavar="TESTS", help="files or folders of tests (default: as pytest finds them)"),
        option("-o", "--output", metavar="FILE", required=True, help="the file to write (.jsonl)"),
        option("--format", choices=FORMATS, default="plain", help=formats),
        option("--model", metavar="NAME", help="the name of the model in the requests of a batch"),
        option("--form", choices=("chat", "raw"), default="chat", help="the form of batch prompts (default: chat)"),
        option("--samples", type=int, default=0, metavar="N", help=samples),
        option("--role", default=UNDER_TEST, metavar="ROLE", help=role),
        option("--answers", action="append", default=[], metavar="FILE", help=answers),
        option("--pytest", action="append", default=[], metavar="ARG", help="an argument for pytest, several times"),
        description="Write the requests of the markers of a suite, which pytest collects in a process of its own. "
        "Rounds that depend on answers are written once these are given with --answers.",
        epilog=f"{EXIT_CODES}; problems are tests that cannot be read, and requests that the format cannot hold",
    )


def export(arguments: argparse.Namespace) -> int:
    """Write the file."""
    output = Path(arguments.output)
    if arguments.format != "plain" and not arguments.model:
        raise UsageError(f"--format={arguments.format} needs the name of the model in its requests: --model=NAME.")
    if arguments.samples < 0:
        raise UsageError(f"--samples must be a whole number from 0. Got {arguments.samples}.")
    if not output.parent.is_dir():
        raise UsageError(f"{output} cannot be written: there is no folder {str(output.parent)!r}.")
    form = None
    if arguments.format != "plain":
        form = BatchForm(arguments.format, arguments.model, arguments.form == "chat", arguments.samples)
    with _collected(arguments.tests, arguments.answers, arguments.pytest) as (rows, summary):
        written, left = _write(output, rows, form, arguments.role)
    others = {role: count for role, count in summary["requests"].items() if role != arguments.role}
    problems = list(summary["problems"])
    if left:
        problems.append(
            f"{left} requests cannot be asked in a batch of {arguments.format}; use --format=plain for them"
        )
    if arguments.json:
        content = {"schema": SCHEMA, "output": str(output), "written": written, "other_roles": others}
        say_json({**content, "notes": summary["notes"], "problems": problems})
    else:
        say(f"{written} requests to the {arguments.role} written to {shown(output)}")
        for role, count in others.items():
            say(f"{count} requests to the {role} are not in it: export them with --role={role}")
        for note in summary["notes"]:
            say(shown(note))
        complain(*problems)
    return EXIT_PROBLEMS if problems else EXIT_OK


@contextlib.contextmanager
def _collected(
    tests: Sequence[str], answers: Sequence[str], more: Sequence[str]
) -> Iterator[tuple[Iterator[Content], Content]]:
    """Let pytest collect the tests in a process of its own; give the rows that it wrote, and their summary."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        words = [f"--pluralism-export={file}", *(f"--pluralism-export-answers={one}" for one in answers), *more]
        summary, problem = collect(words, tests, Path(f"{file}.summary"))
        if problem:
            summary["problems"].append(problem)
        yield _rows(file), summary


def _rows(file: Path) -> Iterator[Content]:
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _write(output: Path, rows: Iterator[Content], form: BatchForm | None, role: str) -> tuple[int, int]:
    """Write the rows of a role; return how many, and how many the format cannot hold. Nobody sees half a file."""
    written = left = 0
    descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for row in rows:
                if row["role"] != role:
                    continue
                line = row if form is None else batch_line(row, form)
                if line is None:
                    left += 1
                    continue
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                written += 1
        # As other files of the user are made, and not for its owner alone.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return written, left


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
