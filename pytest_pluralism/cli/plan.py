"""``pluralism plan``: how small a regression each promise can show, and how many units a smaller one needs.

A run adjusts failures for the number of promises about a model (Holm). So a promise is planned at the level of Holm's
first step, which is the strictest: it fails there even if no other promise of the run does. Beside it stands what it
would show alone, which is also Holm's last step, when all the others fail.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

#: What is promised of each unit by itself, where nothing is inferred.
_GUARDS = {"max_unit_increase": "rise", "max_unit_decrease": "fall"}


def add_plan(commands: Any) -> None:
    """Add ``pluralism plan``."""
    plan = commands.add_parser(
        "plan",
        help="how small a regression each promise can show, and how many units a smaller one needs",
        description="For each promise of a report or baseline: the smallest true regression that fails it with the "
        "wanted power, and how often an unchanged model passes it. The spread is that of the units there; of a change, "
        "that of the pairs in the report or with --against, else that of two unpaired runs, which is larger. Promises "
        "are planned as they are judged, adjusted for their number (Holm's first step), beside what each shows alone.",
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
    plan.add_argument(
        "--gates",
        type=int,
        metavar="N",
        help="how many promises about the model a run judges together (default: those that are there)",
    )
    plan.add_argument("--json", action="store_true", help="write JSON instead of text")
    plan.set_defaults(run=show_plan)


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
    gates = _gates(results) if arguments.gates is None else arguments.gates
    rows = [
        row
        for key, entry in results.entries.items()
        for row in _rows(key, entry, against, gates=gates, power=arguments.power, wished=arguments.difference)
    ]
    if not rows:
        raise UsageError(f"{results.place} holds no promise with an interval. Plan with a report of a run.")
    if arguments.json:
        content = {"place": results.place, "model": results.model, "power": arguments.power, "gates": gates}
        say_json({"schema": SCHEMA, **content, "promises": rows})
        return EXIT_OK
    power = f"{100 * arguments.power:g} %"
    say(f"{shown(results.place)} ({printable(results.model)}): what a promise shows with a power of {power}")
    for line in table([_heads(arguments, power), *(_cells(row, arguments) for row in rows)]):
        say(line)
    for line in _notes(rows, gates):
        say(line)
    return EXIT_OK


def _heads(arguments: argparse.Namespace, power: str) -> list[str]:
    wished = [f"units for {arguments.difference:g}"] if arguments.difference is not None else []
    return ["promise", "units", f"fails from ({power})", "alone", "unchanged passes", *wished, "measure"]


def _cells(row: Mapping[str, Any], arguments: argparse.Namespace) -> list[str]:
    wished = [_or_dash(row["units_needed"], ",")] if arguments.difference is not None else []
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


def _or_dash(number: int | None, form: str) -> str:
    return "-" if number is None else f"{number:{form}}"


def _notes(rows: Sequence[Mapping[str, Any]], gates: int) -> list[str]:
    notes = []
    if gates > 1:
        notes.append(
            f"adjusted for {gates} promises about the model in one run (Holm's first step); alone: as the only one, or "
            "where all others fail"
        )
    if any(row["spread"] == "unpaired" for row in rows):
        notes.append("up to: from two unpaired runs; name another run with --against for the spread of the pairs")
    for row in rows:
        if row["margin"] > row["promise"] and row["bound"] in {**_CHANGES, **_GUARDS}:
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


def _gates(results: Results) -> int:
    """Return how many promises a run adjusts for: those with something to infer."""
    if not results.adjusted:
        return 1
    gates = [entry.get("gate") or {} for entry in results.entries.values()]
    return max(1, sum(_level(gate) is not None and _n_bounds(gate) > 0 for gate in gates))


def _n_bounds(gate: Mapping[str, Any]) -> int:
    return sum(bound in gate for bound in (*_VALUES, *_CHANGES))


def _level(gate: Mapping[str, Any]) -> float | None:
    level: float | None = gate.get("confidence_level", 0.95)
    return level


@dataclass(frozen=True)
class _Bound:
    """One bound of a promise: how far the value may go, what it is, and where the measure ends on its worse side."""

    name: str
    verb: str
    promise: float
    margin: float
    value: float
    end: float

    @property
    def is_change(self) -> bool:
        return self.name in _CHANGES

    @property
    def room(self) -> float:
        """How far beyond the bound there are values at all."""
        most = abs(self.end - self.value) - self.margin if self.is_change else abs(self.end - self.margin)
        return max(most, 0.0)

    def at(self, beyond: float) -> float:
        """Return the value, or the size of the change, that lies so far beyond the bound."""
        return self.margin - beyond if self.verb == "fall" and not self.is_change else self.margin + beyond

    def words(self, beyond: float, spread: str) -> str:
        if not math.isfinite(beyond):
            return "never"
        if beyond > self.room:
            return f"beyond {self.end:g}"
        least = "up to " if spread == "unpaired" else ""
        what = f"a {self.verb} of" if self.is_change else "a value of"
        return f"{least if self.is_change else ''}{what} {self.at(beyond):.3f}"


def _rows(
    key: str, entry: Mapping[str, Any], against: Results | None, *, gates: int, power: float, wished: float | None
) -> list[dict[str, Any]]:
    from pytest_pluralism.baselines.comparison import floors_beside, known_floors

    gate = entry.get("gate") or {}
    other = _other(key, entry, against)
    floor, unit_floor = known_floors(entry) if other is None else floors_beside(entry, other)
    rows = []
    level = _level(gate)
    for name, verb in {**_VALUES, **_CHANGES}.items():
        # What is decided on the value alone shows every difference, and takes noise for one.
        if name not in gate or level is None:
            continue
        margin = max(gate[name], floor) if name in _CHANGES else gate[name]
        bound = _Bound(name, verb, gate[name], margin, entry["estimate"]["value"], _end(entry, verb))
        rows.append(_planned(key, entry, other, bound, level, (gates, _n_bounds(gate)), power, wished))
    for name, verb in _GUARDS.items():
        if name in gate:
            rows.append(_guarded(key, entry, other, name, verb, max(gate[name], unit_floor)))
    return rows


def _planned(
    key: str,
    entry: Mapping[str, Any],
    other: Mapping[str, Any] | None,
    bound: _Bound,
    level: float,
    counts: tuple[int, int],
    power: float,
    wished: float | None,
) -> dict[str, Any]:
    from pytest_pluralism.core.estimation.power import smallest_detectable_difference

    gates, n_bounds = counts
    # Holm's first step times the number of bounds in the gate (Bonferroni), as the verdict has it.
    tests = gates * n_bounds
    adjusted = level if tests == 1 else 1.0 - (1.0 - level) / tests
    spread = "units"
    if bound.is_change:
        estimate, spread = _change(entry, other, level)
        judged = estimate
    else:
        estimate = _value(entry, level)
        # What is adjusted is the p-value, which has the larger allowance for skewness.
        judged = estimate if adjusted == level else _value(entry, level, method="outer")
    row: dict[str, Any] = {
        "key": key,
        "bound": bound.name,
        "promise": bound.promise,
        "margin": bound.margin,
        "confidence_level": level,
        "adjusted_level": adjusted,
        "n": estimate.n,
        "n_clusters": estimate.n_clusters,
        "standard_error": estimate.standard_error,
        "spread": spread,
        "detectable": None,
        "fails_from": None,
        "beyond_range": None,
        "unchanged_passes": None,
        "units_needed": None,
        "words": "never",
        "alone": {"detectable": None, "fails_from": None, "words": "never"},
    }
    try:
        beyond = smallest_detectable_difference(judged, confidence_level=adjusted, power=power)
        alone = smallest_detectable_difference(estimate, confidence_level=level, power=power)
    except InvalidParameterError:
        # One cluster, or no standard error: nothing can be told.
        return row
    row |= _detectable(bound, beyond, spread)
    row["alone"] = _detectable(bound, alone, spread)
    row["beyond_range"] = bound.end if row["detectable"] is None and math.isfinite(beyond) else None
    row["unchanged_passes"] = _unchanged_passes(bound, estimate, level)
    if wished is not None:
        row["units_needed"] = _units(judged, wished - (bound.margin if bound.is_change else 0.0), adjusted, power)
    return row


def _detectable(bound: _Bound, beyond: float, spread: str) -> dict[str, Any]:
    within = math.isfinite(beyond) and beyond <= bound.room
    return {
        "detectable": beyond if within else None,
        "fails_from": bound.at(beyond) if within else None,
        "words": bound.words(beyond, spread),
    }


def _guarded(
    key: str, entry: Mapping[str, Any], other: Mapping[str, Any] | None, name: str, verb: str, margin: float
) -> dict[str, Any]:
    """Return what a guard of each unit shows: every change of one unit beyond it, and that of the units themselves."""
    changes = _unit_changes(entry, other)
    words = f"one unit's {verb} of {margin:.3g}"
    return {
        "key": key,
        "bound": name,
        "promise": entry["gate"][name],
        "margin": margin,
        "confidence_level": None,
        "adjusted_level": None,
        "n": len(entry["units"]),
        "n_clusters": entry["estimate"].get("n_clusters"),
        "standard_error": None,
        "spread": "paired" if changes else "unknown",
        "detectable": 0.0,
        "fails_from": margin,
        "beyond_range": None,
        "unchanged_passes": _guard_holds(changes, margin),
        "units_needed": None,
        "words": words,
        # Nothing is inferred, so that nothing is adjusted.
        "alone": {"detectable": 0.0, "fails_from": margin, "words": words},
        "largest_change": max(map(abs, changes), default=None),
    }


def _guard_holds(changes: Sequence[float], margin: float) -> float | None:
    """Return how often no unit gets worse by more than a guard allows, when units move as much but neither way."""
    if not changes:
        return None
    mean = math.fsum(changes) / len(changes)
    # Either way, each of them could as well have gone the other way.
    beyond = sum(abs(change - mean) > margin for change in changes) / (2 * len(changes))
    return float((1.0 - beyond) ** len(changes))


def _unit_changes(entry: Mapping[str, Any], other: Mapping[str, Any] | None) -> list[float]:
    if other is not None:
        then = {unit["id"]: unit["value"] for unit in other["units"]}
        return [unit["value"] - then[unit["id"]] for unit in entry["units"]]
    return [unit["change"] for unit in entry["units"] if unit.get("change") is not None]


def _end(entry: Mapping[str, Any], verb: str) -> float:
    """Return the last value of the measure on its worse side."""
    from pytest_pluralism.evaluation.registry import MEASURES

    measure = MEASURES.get(str(entry.get("metric")))
    if measure is None:
        return math.inf if verb == "rise" else -math.inf
    return measure.highest if verb == "rise" else measure.lowest


def _other(key: str, entry: Mapping[str, Any], against: Results | None) -> Mapping[str, Any] | None:
    """Return the same of the other run, where the two may be compared."""
    from pytest_pluralism.baselines.comparison import differences

    other = against.entries.get(key) if against is not None else None
    return None if other is None or list(differences(entry, other)) else other


def _value(entry: Mapping[str, Any], level: float, *, method: str = "auto") -> Estimate:
    from pytest_pluralism.core.estimation import estimate_mean

    known = entry["estimate"]
    if str(known.get("method", "")).startswith("crossed") or entry.get("crossed"):
        return _stored(known, level)
    values = [unit["value"] for unit in entry["units"]]
    clusters = [unit.get("cluster", unit["id"]) for unit in entry["units"]]
    usual = estimate_mean(values, clusters=clusters, confidence_level=level)
    if method == "auto" or "corrected for skewness" not in usual.method:
        return usual
    return estimate_mean(values, clusters=clusters, confidence_level=level, method=method)


def _change(entry: Mapping[str, Any], other: Mapping[str, Any] | None, level: float) -> tuple[Estimate, str]:
    """Return the spread of a change, and where it is from: of pairs, or of two runs that are not paired."""
    from pytest_pluralism.baselines.comparison import paired_change

    if other is not None:
        return paired_change(entry, other, confidence_level=level), "paired"
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


def _unchanged_passes(bound: _Bound, estimate: Estimate, level: float) -> float | None:
    """Return how often a promise about a change is kept when nothing changed; of a value there is no such thing."""
    from pytest_pluralism.core.estimation.power import power_of_gate

    if not bound.is_change:
        return None
    if bound.margin == 0.0:
        return 0.0 if estimate.standard_error > 0 else 1.0
    # A promise that is kept is never adjusted.
    return power_of_gate(estimate, difference=bound.margin, confidence_level=level)


def _units(estimate: Estimate, difference: float, level: float, power: float) -> int | None:
    from pytest_pluralism.core.estimation.power import units_needed

    if difference <= 0:
        # A regression that the promise allows never fails it.
        return None
    try:
        return units_needed(estimate, difference=difference, confidence_level=level, power=power)
    except InvalidParameterError:
        return None
