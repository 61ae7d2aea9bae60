"""``pluralism plan``: how small a regression each promise can show, and how many units a smaller one needs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from pytest_pluralism.baselines.schema import Entry
from pytest_pluralism.cli.planned import CHANGES, GUARDS, gates_of, planned_rows
from pytest_pluralism.cli.results import read_results
from pytest_pluralism.cli.showing import (
    EXIT_OK,
    Commands,
    UsageError,
    add_command,
    complain,
    option,
    reading,
    say,
    say_json,
    shown,
    table,
)
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.report.alike import alike_names

__all__ = ["add_plan"]

SCHEMA = "pytest-pluralism/plan/1"


def add_plan(commands: Commands) -> None:
    """Add ``pluralism plan``."""
    wished = "a wished regression: how many units show a change of D (of a value: D beyond its bound)"
    gates = "how many promises about the model a run judges together (default: those that are there)"
    add_command(
        commands,
        "plan",
        show_plan,
        "show the smallest regression that each promise can detect, and the units that a smaller one needs",
        option("place", metavar="RUN.json", help="a report, a baseline, or a folder or URL with baselines"),
        option("--against", metavar="A", help="another run of the same tests, for the spread of changes"),
        option("--model", metavar="NAME", help="the model, where there are several"),
        option("--difference", type=float, metavar="D", help=wished),
        option("--power", type=float, default=0.8, metavar="P", help="the wanted power (default: 0.8)"),
        option("--gates", type=int, metavar="N", help=gates),
        description="For each promise of a report or baseline: the smallest true regression that fails it with the "
        "wanted power, and how often an unchanged model passes it. The spread is that of the units there; of a change, "
        "that of the pairs in the report or with --against, else that of two unpaired runs, which is larger. Promises "
        "are planned as they are judged, adjusted for their number (Holm's first step), beside what each shows alone.",
    )


@reading
def show_plan(arguments: argparse.Namespace) -> int:
    """Show what each promise can tell."""
    if not 0.0 < arguments.power < 1.0:
        raise UsageError(f"--power must be in (0, 1), such as 0.8. Got {arguments.power:g}.")
    if arguments.difference is not None and not 0.0 < arguments.difference < math.inf:
        raise UsageError(f"--difference must be a positive number. Got {arguments.difference:g}.")
    if arguments.gates is not None and arguments.gates < 1:
        raise UsageError(f"--gates must be a whole number of at least 1. Got {arguments.gates}.")
    results = read_results(arguments.place, arguments.model)
    against = read_results(arguments.against, arguments.model) if arguments.against else None
    gates = gates_of(results) if arguments.gates is None else arguments.gates
    rows = [
        row
        for key, entry in results.entries.items()
        for row in planned_rows(key, entry, against, gates=gates, power=arguments.power, wished=arguments.difference)
    ]
    if not rows:
        raise UsageError(f"{results.place} holds no promise with an interval. Plan with a report of a run.")
    for line in alike_names("promise", results.entries):
        complain(f"names that look the same: {line}")
    if arguments.json:
        content = {"place": results.place, "model": results.model, "power": arguments.power, "gates": gates}
        say_json({"schema": SCHEMA, **content, "promises": rows})
        return EXIT_OK
    power = f"{100 * arguments.power:g} %"
    say(f"{shown(results.place)} ({printable(results.model)}): what a promise shows with a power of {power}")
    say(*table([_heads(arguments, power), *(_cells(row, arguments) for row in rows)]))
    say(*_notes(rows, gates))
    return EXIT_OK


def _heads(arguments: argparse.Namespace, power: str) -> list[str]:
    wished = [f"units for {arguments.difference:g}"] if arguments.difference is not None else []
    return ["promise", "units", f"fails from ({power})", "alone", "unchanged passes", *wished, "measure"]


def _cells(row: Entry, arguments: argparse.Namespace) -> list[str]:
    wished = [_range(row["units_range"])] if arguments.difference is not None else []
    passes = "-" if row["unchanged_passes"] is None else f"{100 * row['unchanged_passes']:.0f} %"
    key = printable(row["key"], most=120)
    return [
        f"{row['bound']} {row['promise']:g}",
        f"{row['n']}",
        row["words"],
        row["alone"]["words"],
        passes,
        *wished,
        key,
    ]


def _range(numbers: Sequence[int] | None) -> str:
    """Return the units that a run as measured needs, and those of the outer end of its spread."""
    if numbers is None:
        return "-"
    return " to ".join(f"{number:,}" for number in dict.fromkeys(numbers))


def _notes(rows: Sequence[Entry], gates: int) -> list[str]:
    notes = []
    if gates > 1:
        notes.append(
            f"adjusted for {gates} promises about the model in one run (Holm's first step); alone: as the only one, or "
            "where all others fail"
        )
    if any(row["spread"] == "unpaired" for row in rows):
        notes.append("up to: from two unpaired runs; name another run with --against for the spread of the pairs")
    for row in rows:
        if row["margin"] > row["promise"] and row["bound"] in (*CHANGES, "max_drift", *GUARDS):
            notes.append(
                f"{row['bound']} {row['promise']:g} is below the numeric noise of the model: planned with "
                f"{row['margin']:.2g}"
            )
        if row["beyond_range"] is not None:
            notes.append(
                f"beyond {row['beyond_range']:g}: {row['bound']} {row['promise']:g} would need a value past the end of "
                "the measure to fail with this power; it needs more units"
            )
    return list(dict.fromkeys(notes))
