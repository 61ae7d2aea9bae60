"""``pluralism plan``: how small a regression each promise can show, and how many units a smaller one needs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_pluralism.cli.results import Results, read_results
from pytest_pluralism.cli.showing import EXIT_CODES, EXIT_OK, UsageError, say, say_json, shown, table
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.messages import printable

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate

__all__ = ["add_plan"]

SCHEMA = "pytest-pluralism/plan/1"

#: What is promised of a value, and of a change: for each the bound and what the measure does when it gets worse.
_VALUES = {"at_most": "rise", "at_least": "fall"}
_CHANGES = {"max_increase": "rise", "max_decrease": "fall"}


def add_plan(commands: Any) -> None:
    """Add ``pluralism plan``."""
    plan = commands.add_parser(
        "plan",
        help="how small a regression each promise can show, and how many units a smaller one needs",
        description="For each promise of a report or baseline: the smallest true regression that fails it with the "
        "wanted power, and how often an unchanged model passes it. The spread is that of the units there; of a change, "
        "that of the pairs in the report or with --against, else that of two unpaired runs, which is larger.",
        epilog=EXIT_CODES,
    )
    plan.add_argument("place", metavar="RUN.json", help="a report, a baseline, or a folder or URL with baselines")
    plan.add_argument("--against", metavar="A", help="another run of the same tests, for the spread of changes")
    plan.add_argument("--model", metavar="NAME", help="the model, where there are several")
    plan.add_argument(
        "--difference",
        type=float,
        metavar="D",
        help="a wished regression: how many units show a change of D (of a value: D beyond its bound)",
    )
    plan.add_argument("--power", type=float, default=0.8, metavar="P", help="the wanted power (default: 0.8)")
    plan.add_argument("--json", action="store_true", help="write JSON instead of text")
    plan.set_defaults(run=show_plan)


def show_plan(arguments: argparse.Namespace) -> int:
    """Show what each promise can tell."""
    if not 0.0 < arguments.power < 1.0:
        raise UsageError(f"--power must be in (0, 1), such as 0.8. Got {arguments.power:g}.")
    if arguments.difference is not None and not 0.0 < arguments.difference < math.inf:
        raise UsageError(f"--difference must be a positive number. Got {arguments.difference:g}.")
    results = read_results(arguments.place, arguments.model)
    against = read_results(arguments.against, arguments.model) if arguments.against else None
    rows = [row for key, entry in results.entries.items() for row in _planned(key, entry, against, arguments)]
    if not rows:
        raise UsageError(f"{results.place} holds no promise with an interval. Plan with a report of a run.")
    if arguments.json:
        content = {"place": results.place, "model": results.model, "power": arguments.power, "promises": rows}
        say_json({"schema": SCHEMA, **content})
        return EXIT_OK
    power = f"{100 * arguments.power:g} %"
    say(f"{shown(results.place)} ({printable(results.model)}): what a promise shows with a power of {power}")
    heads = ["promise", "units", f"fails from ({power})", "unchanged passes"]
    if arguments.difference is not None:
        heads.append(f"units for {arguments.difference:g}")
    lines = [(*heads, "measure")]
    for row in rows:
        cells = [
            f"{row['bound']} {row['promise']:g}",
            f"{row['n']}",
            row["words"],
            "-" if row["unchanged_passes"] is None else f"{100 * row['unchanged_passes']:.0f} %",
        ]
        if arguments.difference is not None:
            cells.append("none" if row["units_needed"] is None else f"{row['units_needed']:,}")
        lines.append((*cells, printable(row["key"], most=120)))
    for line in table(lines):
        say(line)
    if any(row["spread"] == "unpaired" for row in rows):
        say("up to: from two unpaired runs; name another run with --against for the spread of the pairs")
    return EXIT_OK


def _planned(
    key: str, entry: Mapping[str, Any], against: Results | None, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    from pytest_pluralism.core.estimation.power import smallest_detectable_difference

    gate = entry.get("gate") or {}
    level = gate.get("confidence_level", 0.95)
    if level is None:
        # What is decided on the value alone shows every difference, and takes noise for one.
        return []
    rows = []
    for bound, verb in {**_VALUES, **_CHANGES}.items():
        if bound not in gate:
            continue
        estimate, spread = _value(entry, level), "units"
        if bound in _CHANGES:
            estimate, spread = _change(key, entry, against, level)
        row: dict[str, Any] = {
            "key": key,
            "bound": bound,
            "promise": gate[bound],
            "confidence_level": level,
            "n": estimate.n,
            "n_clusters": estimate.n_clusters,
            "standard_error": estimate.standard_error,
            "spread": spread,
            "detectable": None,
            "fails_from": None,
            "unchanged_passes": None,
            "units_needed": None,
            "words": "never",
        }
        try:
            beyond = smallest_detectable_difference(estimate, confidence_level=level, power=arguments.power)
        except InvalidParameterError:
            # One cluster, or no standard error: nothing can be told.
            rows.append(row)
            continue
        if math.isfinite(beyond):
            row["detectable"] = beyond
            side = 1.0 if verb == "rise" else -1.0
            at = gate[bound] + (beyond if bound in _CHANGES else side * beyond)
            row["fails_from"] = at
            least = "up to " if spread == "unpaired" else ""
            row["words"] = f"{least}a {verb} of {at:.3f}" if bound in _CHANGES else f"a value of {at:.3f}"
        row["unchanged_passes"] = _unchanged_passes(bound, gate[bound], estimate, level)
        if arguments.difference is not None:
            wished = arguments.difference - (gate[bound] if bound in _CHANGES else 0.0)
            row["units_needed"] = _units(estimate, wished, level, arguments.power)
        rows.append(row)
    return rows


def _value(entry: Mapping[str, Any], level: float) -> Estimate:
    from pytest_pluralism.core.estimation import estimate_mean

    known = entry["estimate"]
    if str(known.get("method", "")).startswith("crossed") or entry.get("crossed"):
        return _stored(known, level)
    units = entry["units"]
    clusters = [unit.get("cluster", unit["id"]) for unit in units]
    return estimate_mean([unit["value"] for unit in units], clusters=clusters, confidence_level=level)


def _change(key: str, entry: Mapping[str, Any], against: Results | None, level: float) -> tuple[Estimate, str]:
    """Return the spread of a change, and where it is from: of pairs, or of two runs that are not paired."""
    from pytest_pluralism.baselines.comparison import differences, paired_change

    if against is not None and key in against.entries and not list(differences(entry, against.entries[key])):
        return paired_change(entry, against.entries[key], confidence_level=level), "paired"
    known = entry.get("change")
    if known and known.get("standard_error"):
        return _stored(known, level), "paired"
    value = _stored(entry["estimate"], level)
    return _with_error(value, math.sqrt(2.0) * value.standard_error), "unpaired"


def _stored(known: Mapping[str, Any], level: float) -> Estimate:
    from pytest_pluralism.core.records import Estimate

    low, high, error = (
        math.nan if known.get(name) is None else known[name] for name in ("low", "high", "standard_error")
    )
    n, n_clusters = int(known["n"]), int(known["n_clusters"])
    return Estimate(known["value"], low, high, error, n, n_clusters, level, str(known.get("method") or ""))


def _with_error(estimate: Estimate, error: float) -> Estimate:
    from dataclasses import replace

    return replace(estimate, standard_error=error, method="", values=(), unit_ids=(), clusters=())


def _unchanged_passes(bound: str, promise: float, estimate: Estimate, level: float) -> float | None:
    """Return how often a promise about a change is kept when nothing changed; of a value there is no such thing."""
    from pytest_pluralism.core.estimation.power import power_of_gate

    if bound not in _CHANGES:
        return None
    if promise == 0.0:
        return 0.0 if estimate.standard_error > 0 else 1.0
    return power_of_gate(estimate, difference=promise, confidence_level=level)


def _units(estimate: Estimate, difference: float, level: float, power: float) -> int | None:
    from pytest_pluralism.core.estimation.power import units_needed

    if difference <= 0:
        # A regression that the promise allows never fails it.
        return None
    try:
        return units_needed(estimate, difference=difference, confidence_level=level, power=power)
    except InvalidParameterError:
        return None
