"""``pluralism try``: runs a ready suite on any model, and writes a pluralism card."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_pluralism import __version__
from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.case_study import TABLES, answer_settings, asked_of, write_tables
from pytest_pluralism.cli.running import JUDGED, options_of, suite_command, suite_folder
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    check_output,
    complain,
    option,
    say,
    say_json,
    shown,
)
from pytest_pluralism.suites import SUITES, Suite

__all__ = ["add_try"]

SCHEMA = "pytest-pluralism/card/1"

#: The choice that runs every suite.
ALL = "all"

#: The name of a test in a file of a suite.
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)

#: The exit code of pytest for a run that was interrupted.
_INTERRUPTED = 2


def add_try(commands: Commands) -> None:
    """Add ``pluralism try``."""
    suites = "; ".join(f"{one.name}: {one.words}" for one in SUITES.values())
    add_command(
        commands,
        "try",
        try_model,
        "run a ready suite on any model, and write a pluralism card",
        option("model", metavar="SPEC", help="the model, as --pluralism-model names it"),
        option("--suite", default="quick", metavar="NAME", help=f"{suites}; or {ALL} (default: quick)"),
        option("--entailment-model", metavar="SPEC", help="the entailment model of the suite overton"),
        option("--before", metavar="SPEC", help="the model before alignment, for the suite case_study"),
        option("--nations", type=Path, metavar="FILE", help="GlobalOpinionQA, for the tables of case_study"),
        option("--nation", action="append", default=[], metavar="NAME", help="a nation of that file; repeatable"),
        option("--mpi", type=Path, metavar="FILE", help="answers of people to a personality test, for the tables"),
        option("--pytest", default="", metavar="OPTIONS", help="options for pytest, in one text: '-n 2 -v'"),
        option(
            "-o", "--output", type=Path, default=Path("pluralism-card"), metavar="FOLDER", help="folder of the card"
        ),
        description="Run a ready suite on any model without writing a test, and write its result as a pluralism card "
        "(HTML, JSON, and Markdown for a model card).",
        epilog=f"{EXIT_CODES}; problems are promises that are not kept, and suites that could not be run",
    )


def try_model(arguments: argparse.Namespace) -> int:
    """Run the suites and write their cards."""
    suites = _chosen(arguments)
    asked = asked_of(arguments.nations, arguments.nation, arguments.mpi) if arguments.before else []
    codes: list[int] = []
    cards: list[Content] = []
    for suite in suites:
        code, paths = _card(suite, arguments)
        if code == _INTERRUPTED:
            return EXIT_INTERRUPTED
        if suite.pair and paths:
            settings = answer_settings(arguments.pytest)
            pair = arguments.before, arguments.model
            paths += write_tables(*pair, asked, arguments.output, settings=settings, quiet=arguments.json)
        codes.append(code)
        cards.append({"suite": suite.name, "version": suite.version, "exit_code": code, "written": paths})
        for path in paths if not arguments.json else ():
            say(f"written: {shown(path)}")
    if arguments.json:
        say_json({"schema": SCHEMA, "cards": cards})
    return EXIT_PROBLEMS if any(codes) else EXIT_OK


def _chosen(arguments: argparse.Namespace) -> list[Suite]:
    """Return the suites that are run.

    Raises
    ------
    UsageError
        There is no such suite, or an option that it needs is missing, or one that it does not know is there.
    """
    if arguments.suite != ALL and arguments.suite not in SUITES:
        raise UsageError(f"--suite must be one of {', '.join(SUITES)} or {ALL}. Got {shown(arguments.suite)!r}.")
    suites = list(SUITES.values()) if arguments.suite == ALL else [SUITES[arguments.suite]]
    if any(suite.judge for suite in suites) and not arguments.entailment_model:
        raise UsageError("--entailment-model=SPEC is missing: the suite overton needs a model that judges entailment.")
    if arguments.suite == ALL and not arguments.before:
        # Two models are another question than one.
        suites = [suite for suite in suites if not suite.pair]
        complain("the suite case_study is left out: it compares two models. Add --before=SPEC for it.")
    if any(suite.pair for suite in suites) and not arguments.before:
        raise UsageError("--before=SPEC is missing: the suite case_study compares a model with one before alignment.")
    if arguments.before and _same_place(arguments.before, arguments.model):
        raise UsageError(
            f"--before must be another model: one beside itself never changed. Got {shown(arguments.before)}."
        )
    for word in () if any(suite.pair for suite in suites) else ("before", "nations", "nation", "mpi"):
        if getattr(arguments, word):
            raise UsageError(f"--{word} is for the suite case_study. Add --suite=case_study, or leave it out.")
    return suites


def _same_place(one: str, other: str) -> bool:
    """Return whether two specs are one model: equal words, or one place on this machine."""
    return one == other or (Path(one).exists() and Path(other).exists() and Path(one).samefile(other))


def _card(suite: Suite, arguments: argparse.Namespace) -> tuple[int, list[str]]:
    """Run one suite, and return the exit code of pytest and the files that were written."""
    from pytest_pluralism.report.forms import rendered
    from pytest_pluralism.report.reading import read_report
    from pytest_pluralism.report.templates import render
    from pytest_pluralism.report.views import run_view

    page, record, card = (arguments.output / f"{suite.name}{ending}" for ending in (".html", ".json", ".md"))
    is_new = not arguments.output.exists()
    arguments.output.mkdir(parents=True, exist_ok=True)
    check_output(card, [".md"])
    # Files of an earlier run must not be taken for those of this one, which may end without any.
    tables = [arguments.output / f"{TABLES}{ending}" for ending in (".html", ".md")] if suite.pair else []
    for old in (page, record, card, *tables):
        old.unlink(missing_ok=True)
    words = [
        *(f"--pluralism-model={arguments.model}", f"--pluralism-report={record}"),
        *([f"--pluralism-entailment-model={arguments.entailment_model}"] if suite.judge else []),
        *([f"--pluralism-reference-model={arguments.before}", "--pluralism-baseline=reference"] if suite.pair else []),
        *options_of(arguments.pytest),
    ]
    command = suite_command(suite, words)
    done = subprocess.run(command, check=False, stdout=sys.stderr if arguments.json else None)
    if done.returncode not in JUDGED or not record.is_file():
        if is_new:
            # A folder that is not empty stays.
            with contextlib.suppress(OSError):
                arguments.output.rmdir()
        return done.returncode or EXIT_PROBLEMS, []
    content = read_report(record)
    repeat = _typed(suite, arguments)
    # The command of pytest holds for the folder of the suite alone, where nobody types it.
    run = {**content["run"], "command": repeat}
    for file in (page, record):
        file.write_text(rendered(file, content["verdicts"], run), encoding="utf-8")
    unjudged = _unjudged(suite, content["verdicts"])
    if unjudged:
        complain(f"the suite {suite.name} was not judged whole: {', '.join(unjudged)} made no verdict")
    text = render(
        "card.md.jinja",
        unjudged=unjudged,
        view=run_view(content["verdicts"], run),
        suite=suite.name,
        version=suite.version,
        package=__version__,
        command=repeat,
    )
    card.write_text(text, encoding="utf-8")
    code = done.returncode or (EXIT_PROBLEMS if unjudged else EXIT_OK)
    return code, [path.as_posix() for path in (page, record, card)]


def _typed(suite: Suite, arguments: argparse.Namespace) -> str:
    """Return the command that runs one suite, with the options that were given for it."""
    options = [f"--entailment-model={arguments.entailment_model}"] if suite.judge else []
    if suite.pair:
        options.append(f"--before={arguments.before}")
        options += [f"--nations={arguments.nations}"] if arguments.nations else []
        options += [f"--nation={name}" for name in arguments.nation]
        options += [f"--mpi={arguments.mpi}"] if arguments.mpi else []
    options += [f"--pytest={arguments.pytest}"] if arguments.pytest else []
    return shlex.join(["pluralism", "try", arguments.model, f"--suite={suite.name}", *options])


def _unjudged(suite: Suite, verdicts: Sequence[Entry]) -> list[str]:
    """Return the tests of a suite that have no verdict: they were deselected or skipped."""
    files = suite_folder(suite).glob("test_*.py")
    tests = [name for file in sorted(files) for name in _TEST.findall(file.read_text(encoding="utf-8"))]
    judged = {str(entry["nodeid"]).rpartition("::")[2].partition("[")[0] for entry in verdicts}
    return [name for name in tests if name not in judged]
