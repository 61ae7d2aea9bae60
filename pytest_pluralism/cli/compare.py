"""``pluralism compare``: two runs or baselines beside each other, unit by unit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.results import read_results
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_OK,
    EXIT_PROBLEMS,
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
from pytest_pluralism.report.cells import bound_words

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, Verdict

__all__ = ["add_compare"]

SCHEMA = "pytest-pluralism/comparison/1"


@dataclass(frozen=True)
class _Compared:
    """A row, the verdict on what was promised of it, and the noise floors of that."""

    row: Content
    verdict: Verdict | None = None
    floors: tuple[float, float] = (0.0, 0.0)


def add_compare(commands: Commands) -> None:
    """Add ``pluralism compare``."""
    side = "a report, a baseline, or a folder or URL with baselines"
    add_command(
        commands,
        "compare",
        show_comparison,
        "compare two reports or baselines, unit by unit",
        option("before", metavar="A", help=side),
        option("after", metavar="B", help=side),
        option("--model", metavar="NAME", help="the model, where A and B have several"),
        option("--model-before", metavar="NAME", help="the model of A, where it is another one"),
        description="Show the change from A to B of everything that both measured, paired by unit, and what promises "
        "about a change say to it.",
        epilog=f"{EXIT_CODES}; problems are broken promises about a change, results that cannot be compared, and "
        "promises of B that were not measured",
    )


@reading
def show_comparison(arguments: argparse.Namespace) -> int:
    """Show the changes."""
    then = read_results(arguments.before, arguments.model_before or arguments.model)
    now = read_results(arguments.after, arguments.model)
    shared = [key for key in now.entries if key in then.entries]
    if not shared:
        raise UsageError(f"{then.place} and {now.place} share no result: their tests or promises have other names.")
    rows = _adjusted([_compared(key, now.entries[key], then.entries[key]) for key in shared], is_adjusted=now.adjusted)
    only = {
        "before": [key for key in then.entries if key not in now.entries],
        "after": [key for key in now.entries if key not in then.entries],
    }
    for results in (then, now):
        for problem in results.problems:
            complain(f"{results.place}: {problem}")
    broken = any(row["outcome"] in ("failed", "not comparable") for row in rows) or bool(now.problems)
    if arguments.json:
        sides = {
            "before": {"place": then.place, "model": then.model, "problems": list(then.problems)},
            "after": {"place": now.place, "model": now.model, "problems": list(now.problems)},
        }
        say_json({"schema": SCHEMA, **sides, "results": rows, "only": only})
        return EXIT_PROBLEMS if broken else EXIT_OK
    say(f"from {shown(then.place)} ({printable(then.model)}) to {shown(now.place)} ({printable(now.model)})")
    lines: list[tuple[str, ...]] = [("was", "is", "change [interval]", "worst unit", "promise", "measure")]
    lines += [_row(row) for row in rows]
    say(*table(lines))
    units = [str(row["worst"]["id"]) for row in rows if row["worst"]]
    for line in [
        *alike_names("model", [then.model, now.model]),
        *alike_names("result", [*then.entries, *now.entries]),
        *alike_names("unit", units),
    ]:
        say(f"names that look the same: {line}")
    for row in rows:
        for why in row["differences"]:
            say(f"not comparable: {printable(row['key'], most=120)}: {printable(why, most=300)}")
        if row["from_version"] == 1:
            what = "neither what was asked nor what the units are is compared: it was stored by version 1"
            say(f"{printable(row['key'], most=120)}: {what}")
        if "drift" in row:
            drift = row["drift"]
            words = bound_words(drift["value"], drift["low"], drift["high"], "+")
            say(f"from the anchor: {words}: {printable(row['key'], most=120)}")
        if "health" in row or "among" in row.get("reason", ""):
            say(f"{printable(row['key'], most=120)}: {printable(row['reason'], most=300)}")
    for side, keys in only.items():
        for key in keys:
            say(f"only {side}: {printable(key, most=200)}")
    return EXIT_PROBLEMS if broken else EXIT_OK


def _adjusted(found: Sequence[_Compared], *, is_adjusted: bool) -> list[Content]:
    """Return the rows with the outcomes that a run gives to this number of promises, adjusted for it."""
    from pytest_pluralism.core.verdict import adjust_verdicts

    judged = [one for one in found if one.verdict is not None]
    verdicts = adjust_verdicts(
        [one.verdict for one in judged if one.verdict is not None],
        method="holm" if is_adjusted else "none",
        noise_floors=[one.floors[0] for one in judged],
        unit_noise_floors=[one.floors[1] for one in judged],
    )
    for one, verdict in zip(judged, verdicts, strict=True):
        one.row["outcome"], one.row["reason"] = verdict.outcome.value, verdict.reason
    return [one.row for one in found]


def _compared(key: str, now: Entry, then: Entry) -> _Compared:
    from pytest_pluralism.baselines.comparison import (
        differences,
        floors_beside,
        moved_surroundings,
        paired_change,
    )
    from pytest_pluralism.baselines.worst import change_of_worst, is_of_worst
    from pytest_pluralism.core.health import problems_of_change
    from pytest_pluralism.core.records import Estimate, Gate, Outcome
    from pytest_pluralism.core.records.verdicts import CHANGES
    from pytest_pluralism.core.verdict import decide
    from pytest_pluralism.evaluation.measures.registry import measure_of
    from pytest_pluralism.report.json_report import estimate_json

    row: Content = {
        "key": key,
        "direction": now.get("direction") or then.get("direction") or None,
        "before": then["estimate"],
        "after": now["estimate"],
        "change": None,
        "worst": None,
        "promise": {},
        "outcome": "not comparable",
        "differences": list(differences(now, then)),
        "surroundings": moved_surroundings(now, then),
        "from_version": min(side.get("from_version", 2) for side in (now, then)),
    }
    if row["differences"]:
        return _Compared(row)
    gate = now.get("gate") or then.get("gate") or {}
    level = gate.get("confidence_level", 0.95)
    change = units_change = paired_change(now, then, confidence_level=level)
    if is_of_worst(now):
        # Of all units together, those of the other groups would hide it.
        change = change_of_worst(now, then, confidence_level=level)
    pick = min if row["direction"] == "higher" else max
    unit_id, value = pick(zip(units_change.unit_ids, units_change.values, strict=True), key=lambda pair: pair[1])
    row["change"] = estimate_json(change)
    row["worst"] = {"id": unit_id, "value": value}
    row["outcome"] = "no promise"
    row["promise"] = {name: gate[name] for name in CHANGES if name in gate}
    drift = _drift(now, then, level)
    if drift is not None:
        row["drift"] = estimate_json(drift)
    if row["promise"]:
        floor, unit_floor = floors_beside(now, then)
        value = now["estimate"]["value"]
        # Of what is promised here, only whether there is a value counts.
        estimate = Estimate(value, value, value, 0.0, change.n, change.n_clusters, None)
        promised = Gate(confidence_level=level, **row["promise"])
        verdict = decide(promised, estimate, change=change, drift=drift, noise_floor=floor, unit_noise_floor=unit_floor)
        found = problems_of_change(
            promised, [units_change], drift=drift, measure=measure_of(now), noise_floors=(floor, unit_floor)
        )
        if found and verdict.passed:
            row["health"] = [name for name, _ in found]
            verdict = replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=found[0][1])
        return _Compared(row, verdict, (floor, unit_floor))
    return _Compared(row)


def _drift(now: Entry, then: Entry, level: float | None) -> Estimate | None:
    """Return the change from the anchor of the earlier side; nothing where that is the entry, or not comparable."""
    from pytest_pluralism.baselines.comparison import differences, paired_change

    anchor = then.get("anchor")
    if anchor is None or "units" not in anchor or anchor["units"] == then["units"] or list(differences(now, anchor)):
        return None
    return paired_change(now, anchor, confidence_level=level)


def _row(row: Entry) -> tuple[str, ...]:
    change = row["change"]
    return (
        f"{row['before']['value']:.3f}",
        f"{row['after']['value']:.3f}",
        bound_words(change["value"], change["low"], change["high"], "+") or "-" if change else "-",
        f"{printable(row['worst']['id'], most=24)} {row['worst']['value']:+.3f}" if row["worst"] else "-",
        row["outcome"],
        printable(row["key"], most=120),
    )
