"""``pluralism baselines``: look after stored past results."""

from __future__ import annotations

import argparse
import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.baselines import DEFAULT_PLACE
from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.results import refuse_missing
from pytest_pluralism.cli.showing import (
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    add_command,
    complain,
    group,
    option,
    say,
    say_json,
    shown,
    table,
)
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.report.cells import bound_words

if TYPE_CHECKING:
    from pytest_pluralism.baselines.places import BaselineFile

__all__ = ["add_baselines"]

SCHEMA = "pytest-pluralism/baselines/1"

_UPDATE = "pytest --pluralism-update-baseline"


def add_baselines(commands: Commands) -> None:
    """Add ``pluralism baselines``."""
    actions = group(
        commands,
        "baselines",
        "inspect and maintain stored past results of models",
        "Look after the baselines in a folder.",
    )
    words = "a folder, a .json file or a URL (default: %(default)s)"
    place = option("place", nargs="?", default=DEFAULT_PLACE, metavar="PATH", help=words)
    add_command(actions, "list", list_baselines, "show what is stored, one line a result", place)
    checks = "check every file, its hashes and whether its numbers follow from its units; changes nothing"
    add_command(actions, "verify", verify_baselines, checks, place)
    add_command(
        actions,
        "prune",
        prune_baselines,
        "remove results",
        place,
        option("--tests", type=Path, default=Path(), metavar="DIR", help="the root of the tests (default: here)"),
        option("--key", metavar="PATTERN", help="results that match instead, such as '*::test_old *'"),
        option("--dry-run", action="store_true", help="only say what would be removed"),
        description="Remove the results of tests whose file is gone, or those that match --key.",
    )


def list_baselines(arguments: argparse.Namespace) -> int:
    """Show what is stored."""
    return _show(arguments, details=True)


def verify_baselines(arguments: argparse.Namespace) -> int:
    """Check every file."""
    return _show(arguments, details=False)


def _show(arguments: argparse.Namespace, *, details: bool) -> int:
    from pytest_pluralism.baselines.places import files_in

    refuse_missing(arguments.place)
    read = [(file, *_read(file)) for file in files_in(arguments.place)]
    problems = sum(bool(problem) for _, _, _, problem in read)
    if arguments.json:
        content = [
            {"file": str(file), "model": model, "problem": problem or None, "entries": _entries_json(entries)}
            for file, model, entries, problem in read
        ]
        say_json({"schema": SCHEMA, "place": arguments.place, "baselines": content})
        return EXIT_PROBLEMS if problems else EXIT_OK
    for file, model, entries, problem in read:
        units = sum(len(entry["units"]) for entry in entries.values())
        state = "not usable" if problem else f"{len(entries)} results with {units:,} units of {printable(model)}"
        say(f"{shown(file)}: {state}")
        if details and entries:
            for line in table([_row(key, entry) for key, entry in entries.items()]):
                say(f"  {line}")
        if problem:
            complain(problem)
    if not read:
        say(f"no baselines are stored in {shown(arguments.place)}")
    return EXIT_PROBLEMS if problems else EXIT_OK


def prune_baselines(arguments: argparse.Namespace) -> int:
    """Remove results of tests that are gone, or that match a pattern."""
    from pytest_pluralism.baselines.places import files_in
    from pytest_pluralism.baselines.store import remove_entries

    refuse_missing(arguments.place)
    problems = False
    content = []
    for file in files_in(arguments.place):
        model, entries, problem = _read(file)
        if problem:
            problems = True
            complain(problem)
            continue
        odd = [key for key in entries if _is_odd(key, arguments)]
        if not arguments.dry_run:
            # Also without odd ones: an update that was killed may have left lines that nothing names.
            remove_entries(file, model, odd)
        content.append({"file": str(file), "model": model, "removed": odd})
    if arguments.json:
        say_json({"schema": SCHEMA, "place": arguments.place, "dry_run": arguments.dry_run, "baselines": content})
        return EXIT_PROBLEMS if problems else EXIT_OK
    for one in content:
        word = "would remove" if arguments.dry_run else "removed"
        say(f"{shown(one['file'])}: {word} {len(one['removed'])} results")
        for key in one["removed"]:
            say(f"  {printable(key, most=200)}")
    return EXIT_PROBLEMS if problems else EXIT_OK


def _is_odd(key: str, arguments: argparse.Namespace) -> bool:
    if arguments.key is not None:
        return fnmatch.fnmatchcase(key, arguments.key)
    return not (arguments.tests / key.partition("::")[0]).exists()


def _read(file: BaselineFile) -> tuple[str, Content, str]:
    from pytest_pluralism.baselines.store import model_of, read_baseline

    try:
        model = model_of(file)
        return model, read_baseline(file, model, update=_UPDATE), ""
    except BaselineError as error:
        return "", {}, str(error)


def _entries_json(entries: Content) -> list[Content]:
    parts = ("metric", "direction", "population", "estimate", "variance", "noise_floor", "gate", "model", "dataset")
    return [
        {
            "key": key,
            **{name: entry.get(name) for name in parts},
            "n_units": len(entry["units"]),
            "from_version": entry.get("from_version", 2),
        }
        for key, entry in entries.items()
    ]


def _row(key: str, entry: Content) -> tuple[str, ...]:
    estimate = entry["estimate"]
    return (
        bound_words(estimate["value"], estimate.get("low"), estimate.get("high")) or "-",
        f"{len(entry['units'])} units",
        printable(str(entry["model"].get("sha256", "?"))[:12]),
        printable(key, most=160),
    )
