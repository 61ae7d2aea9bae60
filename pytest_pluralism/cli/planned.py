"""Rows of ``pluralism plan``: the regressions that each promise of a run or baseline can show.

A run adjusts failures for the number of promises about a model (Holm). So a promise is planned at the level of Holm's
first step, which is the strictest: it fails there even if no other promise of the run does. Beside it stands what it
would show alone, which is also Holm's last step, when all the others fail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.results import Results
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

if TYPE_CHECKING:
    from pytest_pluralism.core.estimation.redrawn import RedrawnEnds

__all__ = ["CHANGES", "GUARDS", "gates_of", "planned_rows"]

#: The bounds on a value and on a change, each with the directions in which the measure breaks it.
_VALUES = {"at_most": ("rise",), "at_least": ("fall",)}
CHANGES = {"max_increase": ("rise",), "max_decrease": ("fall",), "max_change": ("rise", "fall")}

#: Numbers of units are looked for in so many steps, by drawing up to so many, until they nearly show what is wished.
MOST_STEPS, MOST_REDRAWN, TOLERANCE = 5, 2_000, 0.03

#: The largest rounding of a number in a file.
ROUNDS = 1e-6

#: The bounds on each unit by itself, where nothing is inferred.
GUARDS = {"max_unit_increase": "rise", "max_unit_decrease": "fall"}


def gates_of(results: Results) -> int:
    """Return how many promises a run adjusts for: those with something to infer."""
    if not results.adjusted:
        return 1
    gates = [entry.get("gate") or {} for entry in results.entries.values()]
    return max(1, sum(_level(gate) is not None and _n_bounds(gate) > 0 for gate in gates))


def _n_bounds(gate: Entry) -> int:
    return sum(len(verbs) for bound, verbs in {**_VALUES, **CHANGES}.items() if bound in gate)


def _level(gate: Entry) -> float | None:
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
        return self.name in CHANGES or self.name == "max_drift"

    @property
    def room(self) -> float:
        """The distance from the bound to the end of the scale."""
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


def planned_rows(
    key: str, entry: Entry, against: Results | None, *, gates: int, power: float, wished: float | None
) -> list[Content]:
    """Return a row for each bound of a promise: what it can show, and how many units a wished regression needs."""
    from pytest_pluralism.baselines.comparison import floors_beside, known_floors

    gate = entry.get("gate") or {}
    other = _other(key, entry, against)
    floor, unit_floor = known_floors(entry) if other is None else floors_beside(entry, other)
    rows = []
    level = _level(gate)
    drifts = _drifts(entry)
    wishes = _Wishes(gates, _n_bounds(gate), power, wished)
    for name, verbs in {**_VALUES, **CHANGES}.items():
        # A promise about the value alone shows every difference, and takes noise for one.
        if name not in gate or level is None:
            continue
        own = []
        for verb in verbs:
            margin = max(gate[name], floor) if name in CHANGES else gate[name]
            bound = _Bound(name, verb, gate[name], margin, entry["estimate"]["value"], _end(entry, verb))
            own.append(_planned(key, entry, other, bound, level, wishes))
            if name in CHANGES and "max_drift" in gate:
                far = max(gate["max_drift"], floor)
                bound = _Bound("max_drift", verb, gate["max_drift"], far, entry["estimate"]["value"], bound.end)
                own.append(_planned(key, entry, drifts or other, bound, level, wishes))
        rows += _both_ways(own, name) if len(verbs) > 1 else own
    for name, verb in GUARDS.items():
        if name in gate:
            rows.append(_guarded(key, entry, other, name, verb, max(gate[name], unit_floor)))
    return rows


def _both_ways(rows: list[Content], name: str) -> list[Content]:
    """Return the rows of a promise that bounds both ways: an unchanged model must keep both sides of each margin."""
    for bound in (name, "max_drift"):
        sides = [row for row in rows if row["bound"] == bound]
        shares = [row["unchanged_passes"] for row in sides]
        if sides and None not in shares:
            # No sample breaks both.
            together = max(0.0, math.fsum(shares) - (len(shares) - 1))
            for row in sides:
                row["unchanged_passes"] = together
    return rows


def _drifts(entry: Entry) -> Entry | None:
    """Return the anchor of an entry of a baseline, where that is another result that it may be compared with."""
    from pytest_pluralism.baselines.comparison import differences

    anchor: Entry | None = entry.get("anchor")
    if anchor is None or "units" not in anchor or anchor["units"] == entry["units"]:
        return None
    return None if list(differences(entry, anchor)) else anchor


@dataclass(frozen=True)
class _Wishes:
    """The inputs of a plan: promises of the run, bounds of the promise, power, and a regression to detect."""

    gates: int
    n_bounds: int
    power: float
    regression: float | None

    def adjusted(self, level: float) -> float:
        """Return the level of Holm's first step times the number of bounds (Bonferroni), as the verdict has it."""
        n_tests = self.gates * self.n_bounds
        return level if n_tests == 1 else 1.0 - (1.0 - level) / n_tests


def _planned(
    key: str,
    entry: Entry,
    other: Entry | None,
    bound: _Bound,
    level: float,
    wishes: _Wishes,
) -> Content:
    adjusted = wishes.adjusted(level)
    spread = "units"
    if bound.is_change:
        estimate, spread = _change(entry, other, level)
        judged = estimate
    else:
        estimate = _value(entry, level)
        # The p-value is adjusted; it has the larger allowance for skewness.
        judged = estimate if adjusted == level else _value(entry, level, method="outer")
    row: Content = {
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
        "units_range": None,
        "words": "never",
        "alone": {"detectable": None, "fails_from": None, "words": "never"},
    }
    try:
        tests = _Tests(estimate, judged, level, adjusted, bound, wishes.power)
    except InvalidParameterError:
        # One cluster, or no standard error: nothing can be told.
        return row
    row |= _detectable(bound, tests.beyond, spread)
    row["alone"] = _detectable(bound, tests.alone, spread)
    row["beyond_range"] = bound.end if row["detectable"] is None and math.isfinite(tests.beyond) else None
    row["unchanged_passes"] = tests.unchanged_passes()
    if wishes.regression is not None:
        found = tests.units(wishes.regression - (bound.margin if bound.is_change else 0.0))
        if found is not None:
            # Planned on the outer end: a run knows its own spread badly.
            row["units_range"], row["units_needed"] = list(found), found[1]
    return row


class _Tests:
    """Return how far a truth must lie beyond a bound to fail: as judged among the promises of a run, and alone.

    Where scores are corrected for skewness, the units themselves say it, drawn again; elsewhere a formula does.
    """

    def __init__(
        self, estimate: Estimate, judged: Estimate, level: float, adjusted: float, bound: _Bound, power: float
    ) -> None:
        from pytest_pluralism.core.estimation.power import smallest_detectable_difference
        from pytest_pluralism.core.estimation.redrawn import redraw_ends

        self.estimate, self.judged, self.bound, self.power = estimate, judged, bound, power
        self.level, self.adjusted = level, adjusted
        self.beyond = smallest_detectable_difference(judged, confidence_level=adjusted, power=power)
        self.alone = smallest_detectable_difference(estimate, confidence_level=level, power=power)
        self.ends: RedrawnEnds | None = None
        # Of many units the shape does not matter, and drawing them takes long.
        keeps = len(estimate.values) == estimate.n <= MOST_REDRAWN and estimate.how.is_corrected_for_skewness
        if keeps and math.isfinite(self.beyond):
            rises = bound.verb == "rise"
            self.ends = redraw_ends(estimate, confidence_level=level, is_change=bound.is_change)
            self.alone = self.ends.detectable(power, rises=rises)
            self.beyond = self._redrawn(estimate.n) if adjusted != level else self.alone

    def _redrawn(self, n: int) -> float:
        from pytest_pluralism.core.estimation.redrawn import redraw_ends

        method = "auto" if self.adjusted == self.level else "outer"
        ends = redraw_ends(
            self.estimate, confidence_level=self.adjusted, method=method, n=n, is_change=self.bound.is_change
        )
        return ends.detectable(self.power, rises=self.bound.verb == "rise")

    def unchanged_passes(self) -> float | None:
        """Return how often a promise about a change is kept when nothing changed; of a value there is no such thing."""
        from pytest_pluralism.core.estimation.power import power_of_gate

        if not self.bound.is_change:
            return None
        if self.bound.margin == 0.0:
            return 0.0 if self.estimate.standard_error > 0 else 1.0
        # A promise that is kept is never adjusted.
        if self.ends is not None:
            return self.ends.clears(self.bound.margin, rises=self.bound.verb == "rise")
        return power_of_gate(self.estimate, difference=self.bound.margin, confidence_level=self.level)

    def units(self, difference: float) -> tuple[int, int] | None:
        """Return between how many units show a regression so far beyond the bound; none shows one that is allowed.

        The first number takes the spread as it was measured, the second one the outer end of it.
        """
        from pytest_pluralism.core.estimation.power import units_range

        if difference <= 0:
            return None
        try:
            n, outer = units_range(self.judged, difference=difference, confidence_level=self.adjusted, power=self.power)
        except InvalidParameterError:
            return None
        if self.ends is not None and 0.0 < self.beyond < math.inf:
            n = self._units_redrawn(difference)
        return n, max(n, outer)

    def _units_redrawn(self, difference: float) -> int:
        """Look for the number of units along a line of logarithms through what two numbers of them show."""
        n, shown, slope = self.estimate.n, self.beyond, -0.5
        for _ in range(MOST_STEPS):
            wanted = _steps_to(n, difference / shown, slope)
            if wanted > MOST_REDRAWN or wanted == n:
                return wanted
            found = self._redrawn(wanted)
            if not math.isfinite(found) or abs(found - difference) <= TOLERANCE * difference:
                return wanted
            # Few skewed units show less than the square root of their number says.
            slope = min(max(math.log(found / shown) / math.log(wanted / n), -2.0), -0.3)
            n, shown = wanted, found
        return _steps_to(n, difference / shown, slope)


def _steps_to(n: int, ratio: float, slope: float) -> int:
    return max(2, math.ceil(n * math.pow(ratio, 1.0 / slope)))


def _detectable(bound: _Bound, beyond: float, spread: str) -> Content:
    within = math.isfinite(beyond) and beyond <= bound.room
    return {
        "detectable": beyond if within else None,
        "fails_from": bound.at(beyond) if within else None,
        "words": bound.words(beyond, spread),
    }


def _guarded(key: str, entry: Entry, other: Entry | None, name: str, verb: str, margin: float) -> Content:
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
        "units_range": None,
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


def _unit_changes(entry: Entry, other: Entry | None) -> list[float]:
    if other is not None:
        then = {unit["id"]: unit["value"] for unit in other["units"]}
        return [unit["value"] - then[unit["id"]] for unit in entry["units"]]
    return [unit["change"] for unit in entry["units"] if unit.get("change") is not None]


def _end(entry: Entry, verb: str) -> float:
    """Return the last value of the measure on its worse side."""
    from pytest_pluralism.evaluation.measures.registry import measure_of

    measure = measure_of(entry)
    value = entry["estimate"]["value"]
    # Rewards are in the units of their model.
    if not measure.lowest <= value <= measure.highest:
        return math.inf if verb == "rise" else -math.inf
    return measure.highest if verb == "rise" else measure.lowest


def _other(key: str, entry: Entry, against: Results | None) -> Entry | None:
    """Return the same of the other run, where the two may be compared."""
    from pytest_pluralism.baselines.comparison import differences

    other = against.entries.get(key) if against is not None else None
    return None if other is None or list(differences(entry, other)) else other


def _value(entry: Entry, level: float, *, method: str = "auto") -> Estimate:
    known = entry["estimate"]
    stored = _stored(known, level)
    if entry.get("crossed") or stored.how.crossed or not stored.how.is_mean_of_units:
        return stored
    usual = _of_units(entry, stored.how.difference, level, "auto")
    if stored.how.kind is IntervalKind.UNKNOWN and not _is_all_of(usual, stored):
        return stored
    if method == "auto" or not usual.how.is_corrected_for_skewness:
        return usual
    return _of_units(entry, stored.how.difference, level, method)


def _of_units(entry: Entry, differences: bool, level: float, method: str) -> Estimate:
    from pytest_pluralism.core.estimation import compare_paired, estimate_mean

    values = [unit["value"] for unit in entry["units"]]
    clusters = [unit.get("cluster", unit["id"]) for unit in entry["units"]]
    if differences:
        nothing = [0.0] * len(values)
        return compare_paired(values, nothing, clusters=clusters, confidence_level=level, method=method)
    return estimate_mean(values, clusters=clusters, confidence_level=level, method=method)


def _is_all_of(usual: Estimate, stored: Estimate) -> bool:
    """Whether the units show all the uncertainty that a file tells, where it does not say how that was estimated."""
    error = stored.standard_error
    known = math.isnan(error) or error <= usual.standard_error * (1.0 + ROUNDS)
    return known and abs(usual.value - stored.value) <= ROUNDS * max(1.0, abs(stored.value))


def _change(entry: Entry, other: Entry | None, level: float) -> tuple[Estimate, str]:
    """Return the spread of a change, and where it is from: of pairs, or of two runs that are not paired."""
    from pytest_pluralism.baselines.comparison import paired_change

    if other is not None:
        return paired_change(entry, other, confidence_level=level), "paired"
    known = entry.get("change")
    if known and known.get("standard_error"):
        return _stored(known, level), "paired"
    value = _stored(entry["estimate"], level)
    return _with_error(value, math.sqrt(2.0) * value.standard_error), "unpaired"


def _stored(known: Entry, level: float) -> Estimate:
    low, high, error = (
        math.nan if known.get(name) is None else known[name] for name in ("low", "high", "standard_error")
    )
    n, n_clusters = int(known["n"]), int(known["n_clusters"])
    how = IntervalMethod.from_json(known.get("how"))
    return Estimate(known["value"], low, high, error, n, n_clusters, level, how=how)


def _with_error(estimate: Estimate, error: float) -> Estimate:
    return replace(estimate, standard_error=error, how=IntervalMethod(), values=(), unit_ids=(), clusters=())
