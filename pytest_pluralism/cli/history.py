"""``pluralism history``: each measure over the releases that git remembers."""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.baselines import DEFAULT_PLACE
from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.showing import (
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    check_output,
    complain,
    option,
    reading,
    say,
    say_json,
    shown,
    table,
)
from pytest_pluralism.core.untrusted import printable

if TYPE_CHECKING:
    from pytest_pluralism.baselines.history import Revision

__all__ = ["add_history"]

SCHEMA = "pytest-pluralism/history/1"

#: The files that a history can be drawn into.
_ENDINGS = (".svg", ".html")


def add_history(commands: Commands) -> None:
    """Add ``pluralism history``."""
    output = "draw it into a .svg or .html file that opens offline, instead of text"
    place = "a baseline or a folder of them (default: %(default)s)"
    add_command(
        commands,
        "history",
        show_history,
        "show each measure over the releases of a baseline in git",
        option("place", nargs="?", default=DEFAULT_PLACE, metavar="PATH", help=place),
        option("--model", metavar="NAME", help="the model, where the folder has several baselines"),
        option("--key", metavar="PATTERN", help="only measures that match, such as '*Democrat*'"),
        option("--most", type=int, default=100, metavar="N", help="maximum number of commits (default: 100)"),
        option("-o", "--output", type=Path, metavar="PATH", help=output),
        description="Draw each measure of a baseline over the commits that changed it.",
    )


@reading
def show_history(arguments: argparse.Namespace) -> int:
    """Show what became of each measure."""
    from pytest_pluralism.baselines.history import history_gaps, history_of
    from pytest_pluralism.baselines.places import LocalFile, place_of
    from pytest_pluralism.cli.results import only_model, refuse_missing
    from pytest_pluralism.report.alike import alike_names

    place, model, output = arguments.place, arguments.model, arguments.output
    if output is not None:
        check_output(output, _ENDINGS)
    if not place.endswith(".json") and model is None:
        refuse_missing(place)
        model = only_model(place)
    file = place_of(place, model or "")
    revisions = history_of(file, most=max(1, arguments.most))
    keys = list(dict.fromkeys(key for one in revisions for key in one.entries))
    if arguments.key:
        keys = [key for key in keys if fnmatch.fnmatchcase(key, arguments.key)]
        if not keys:
            raise UsageError(f"no measure of {file} matches {arguments.key!r}. Leave out --key to see all.")
    if output is not None:
        _write(output, [_measure_json(key, revisions) for key in keys], model or Path(place).stem, str(file))
        if arguments.json:
            say_json({"schema": SCHEMA, "file": str(file), "written": str(output), "measures": len(keys)})
        else:
            say(f"history written: {shown(output)}")
    elif arguments.json:
        say_json({"schema": SCHEMA, "file": str(file), "measures": [_measure_json(key, revisions) for key in keys]})
    else:
        say(f"{shown(file)}: {len(keys)} measures, {len(revisions)} revisions")
        for key in keys:
            say(*_drawn(key, revisions))
    for line in alike_names("measure", keys):
        complain(f"names that look the same: {line}")
    if isinstance(file, LocalFile):
        complain(*history_gaps(file))
    damaged = [one for one in revisions if one.problem not in ("", "removed")]
    for one in damaged:
        complain(one.problem)
    return EXIT_PROBLEMS if damaged else EXIT_OK


def _write(output: Path, measures: Sequence[Content], model: str, file: str) -> None:
    from pytest_pluralism.files import write_atomically
    from pytest_pluralism.report.html import history_html, history_picture

    is_page = output.suffix == ".html"
    write_atomically(output, history_html(measures, model=model, file=file) if is_page else history_picture(measures))


def _measure_json(key: str, revisions: Sequence[Revision]) -> Content:
    from pytest_pluralism.report.json_report import estimate_json

    known = [one for one in revisions if key in one.entries]
    last = known[-1].entries[key]
    return {
        "key": key,
        "metric": last["metric"],
        "population": last.get("population"),
        "dataset": last["dataset"].get("name"),
        "direction": last.get("direction") or None,
        "gate": last.get("gate") or {},
        "revisions": [
            {
                "commit": one.commit or None,
                "date": one.date or None,
                "tags": list(one.tags),
                "subject": one.subject,
                "model_sha256": one.entries[key]["model"].get("sha256"),
                "estimate": one.entries[key]["estimate"],
                "drift": estimate_json(one.drifts[key]) if key in one.drifts else None,
            }
            for one in known
        ],
    }


def _drawn(key: str, revisions: Sequence[Revision]) -> Iterator[str]:
    from pytest_pluralism.baselines.history import interval_drawing

    known = [(one, one.entries[key]["estimate"]) for one in revisions if key in one.entries]
    ends = [[_or(estimate, name) for name in ("low", "value", "high")] for _, estimate in known]
    direction = known[-1][0].entries[key].get("direction")
    better = f"  ({direction} is better)" if direction in ("lower", "higher") else ""
    yield ""
    yield f"{printable(key, most=160)}{better}"
    first, last = min(low for low, _, _ in ends), max(high for _, _, high in ends)
    rows = [
        (
            f"  {one.date[:10] or 'now'}",
            printable(", ".join(one.tags), most=24),
            one.commit[:10],
            f"{value:.3f} [{low:.3f}, {high:.3f}]",
            _drift_words(one, key),
            f"|{interval_drawing(low, value, high, first, last)}|",
        )
        for (one, _), (low, value, high) in zip(known, ends, strict=True)
    ]
    yield from table(rows)


def _drift_words(revision: Revision, key: str) -> str:
    """Return the change from the anchor with its interval; nothing where the result is the anchor itself."""
    from pytest_pluralism.report.cells import bound_words

    drift = revision.drifts.get(key)
    if drift is None:
        return ""
    return f"drift {bound_words(drift.value, drift.low, drift.high, '+')}"


def _or(estimate: Content, name: str) -> float:
    number = estimate.get(name)
    return float(number if number is not None else estimate["value"])
