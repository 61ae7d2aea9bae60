"""The view of a report: everything that its forms show, computed once from the JSON report as frozen records.

The page and the Markdown report are two templates over this view.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pytest_pluralism.core.errors import DatasetError, PluralismError
from pytest_pluralism.core.messages import gained_over, length_words, needed_words, subject
from pytest_pluralism.core.metrics.multi_objective import pareto_front
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.words import CLUSTERS, in_order
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.alike import alike_lines
from pytest_pluralism.report.blocks import Cell, Para, Part, Table, interval, number, texts
from pytest_pluralism.report.cells import Entry, Ours, estimate_words, interval_cell, outcome_of, promise_cell
from pytest_pluralism.report.charts import Chart, Mark, Track, domain_of
from pytest_pluralism.report.decisions import KEPT, OUTCOMES, Decision, Judged, decisions, moved_of, source_words
from pytest_pluralism.report.family_views import VIEWS, groups_part, protocol_part
from pytest_pluralism.report.json_report import report_content
from pytest_pluralism.report.leaderboard import Leaderboard, leaderboard_of
from pytest_pluralism.report.mutants import mutant_parts
from pytest_pluralism.report.unit_views import UnitsView, UnitView, units_view

__all__ = [
    "OUTCOMES",
    "UNEXPECTED",
    "Part",
    "RunView",
    "VerdictView",
    "front_part",
    "guarded",
    "history_part",
    "run_view",
    "title_of",
    "verdict_views",
]

#: With fewer units a chart of how they are spread shows nothing that the table does not.
LEAST_UNITS = 8

#: Maximum number of other populations beside a value; the nearest ones are shown.
MOST_POPULATIONS = 12

#: The errors that a file of somebody else may cause in one part of a report, which is then left out and says so.
UNEXPECTED = (
    ArithmeticError, AttributeError, LookupError, PluralismError, RecursionError, TypeError, ValueError,
)  # fmt: skip

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class WitnessView:
    """Hold the unit that shows an outcome, and its value or its change in words."""

    id: str
    text: str
    words: str


@dataclass(frozen=True)
class VerdictView:
    """Hold everything that is shown of one verdict; what cannot be read has the defaults, and a part that says so.

    ``decided`` has the words for what decided, ``level`` those for the level of the interval; ``beside`` has the
    references that a table has room for, in their order.
    """

    nodeid: str
    key: str
    outcome: str
    model: str
    title: str
    parts: tuple[Part, ...]
    metric: str = ""
    dataset: str = ""
    population: str = ""
    value: float | None = None
    interval: str = Ours("–")
    change_value: float | None = None
    change: str = ""
    moved: int | None = None
    decided: str = Ours("–")
    promise: str = ""
    level: str = ""
    reason: str = ""
    facts: str = ""
    needed: str = ""
    warnings: tuple[str, ...] = ()
    unseen: str = ""
    witness: WitnessView | None = None
    track: Track | None = None
    references: tuple[tuple[str, float], ...] = ()
    option_mass: float | None = None
    beside: tuple[tuple[str, float], ...] = ()
    nearest: tuple[str, float] | None = None
    units: UnitsView | None = None
    origins: Table | None = None
    repeat: str = ""

    @property
    def is_kept(self) -> bool:
        """Say whether the promise was not broken: kept, or stored with nothing to be compared with."""
        return self.outcome in KEPT

    @property
    def window(self) -> UnitView | None:
        """The unit whose response is shown beside its window: the witness, else the first that has one."""
        units = [unit for unit in (self.units.units if self.units else ()) if unit.answers and unit.responses]
        witness = self.witness.id if self.witness else None
        return next((unit for unit in units if unit.id == witness), units[0] if units else None)

    @property
    def worst(self) -> tuple[UnitView, ...]:
        """The five units that did worst."""
        return tuple(unit for unit in (self.units.units if self.units else ()) if unit.value is not None)[:5]


@dataclass(frozen=True)
class RunView:
    """Hold everything that a report shows, the verdicts in the order of the tests.

    ``run`` is what the JSON report says of the run; ``front`` compares models by the objectives that they share, and
    ``mutants`` says which damage the promises notice; ``alike`` names what looks the same and is not.
    """

    verdicts: tuple[VerdictView, ...]
    run: Entry
    settings: Table
    versions: Table
    front: tuple[Part, ...]
    mutants: tuple[Part, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def ordered(self) -> list[tuple[int, VerdictView]]:
        """The verdicts with their numbers, what did not pass first; within that, in the order of the tests."""
        return sorted(enumerate(self.verdicts, start=1), key=lambda pair: OUTCOMES.index(pair[1].outcome))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """May each model be released, and why not."""
        judged = [
            Judged(
                number,
                one.model,
                one.outcome,
                one.title,
                one.decided,
                one.promise,
                (one.witness.text or one.witness.id) if one.witness else "",
                has_warnings=bool(one.warnings),
                moved=one.moved,
            )
            for number, one in enumerate(self.verdicts, start=1)
        ]
        policy = (self.run.get("settings", {}).get("inconclusive") or {}).get("value", "fail")
        return decisions(judged, complete=self.run.get("complete", True) is not False, lets_pass=policy != "fail")

    @property
    def source(self) -> list[tuple[str, str, str]]:
        """The commit, the job and the person of the run, where they are known."""
        return list(source_words(self.run))

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Count the verdicts of each outcome."""
        found = [verdict.outcome for verdict in self.verdicts]
        return [(name, found.count(name)) for name in OUTCOMES if name in found]

    @property
    def counted(self) -> str:
        """The counts in words."""
        return Ours(", ".join(f"{count} {name}" for name, count in self.counts) or "No verdicts")

    @property
    def models(self) -> str:
        """The names of the models."""
        return ", ".join(dict.fromkeys(verdict.model for verdict in self.verdicts))


def run_view(entries: Iterable[Entry], run: Entry, /) -> RunView:
    """Return the view of a report.

    Parameters
    ----------
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    run : mapping
        The description of the run.
    """
    verdicts = report_content(entries, run)["verdicts"]
    settings = [
        texts(name, one["value"] if isinstance(one["value"], str) else json.dumps(one["value"]), one["origin"])
        for name, one in sorted(run.get("settings", {}).items(), key=lambda pair: pair[1]["origin"] == "default")
    ]
    versions = [texts(name, version) for name, version in run.get("versions", {}).items()]
    return RunView(
        verdict_views(verdicts, run),
        run,
        Table("Settings, and where each comes from", (Ours("setting"), Ours("value"), Ours("from")), tuple(settings)),
        Table("Versions", (Ours("package"), Ours("version")), tuple(versions)),
        guarded("Models by all objectives", lambda: _front(verdicts)),
        guarded("Damage that the promises notice", lambda: mutant_parts(run.get("mutants", ()))),
        tuple(alike_lines(verdicts)),
    )


def verdict_views(verdicts: Sequence[Entry], run: Entry, /) -> tuple[VerdictView, ...]:
    """Return the views of verdicts, all on the same scales."""
    domains = _domains(verdicts)
    return tuple(_verdict(entry, domains, run) for entry in verdicts)


def _verdict(entry: Entry, domains: Mapping[str, tuple[float, float]], run: Entry) -> VerdictView:
    try:
        return _whole(entry, domains, run)
    except UNEXPECTED as error:
        # One verdict of a stranger's file must not take the others with it.
        title = str(entry.get("key") or entry["nodeid"])
        model = str(entry["model"].get("name", ""))
        parts = (_left_out(title, error),)
        return VerdictView(str(entry["nodeid"]), str(entry.get("key")), entry["outcome"], model, title, parts)


def _whole(entry: Entry, domains: Mapping[str, tuple[float, float]], run: Entry) -> VerdictView:
    measure = measure_of(entry)
    estimate, change, gate = entry["estimate"], entry.get("change"), entry["gate"]
    dataset = entry.get("dataset") or {}
    references = {name: value for name, value in entry["references"].items() if value is not None}
    title, level = _verdict_title(entry), gate.get("confidence_level")
    skill = (("skill", float(entry["skill"])),) if entry.get("skill") is not None else ()
    others = {name: value for name, value in (entry.get("other_populations") or {}).items() if value is not None}
    closest = max if entry.get("direction") == "higher" else min
    nearest = closest(others.items(), key=lambda pair: pair[1]) if others and measure.has_nearest else None
    masses = [unit["option_mass"] for unit in entry["units"] if unit.get("option_mass") is not None]
    parts = [*_parts(entry, title, measure, domains.get(measure.name))]
    units = None
    try:
        units = units_view(entry, measure) if entry["units"] else None
    except UNEXPECTED as error:
        parts.append(_left_out("The list of units", error))
    return VerdictView(
        str(entry["nodeid"]),
        str(entry["key"]),
        outcome_of(entry),
        str(entry["model"].get("name", "")),
        title,
        tuple(parts),
        metric=measure.name,
        dataset=str(dataset.get("name", "")),
        population=str(entry.get("population", measure.everybody if dataset else "")),
        value=(estimate or {}).get("value"),
        interval=estimate_words(estimate),
        change_value=change["value"] if change else None,
        change=estimate_words(change, "+") if change else "",
        moved=moved_of(entry),
        decided=interval_cell(entry),
        promise=promise_cell(gate),
        level=f"{100 * level:g} % interval" if level is not None else "",
        reason=str(entry.get("reason") or ""),
        facts="; ".join(_facts(estimate, measure, masses)),
        needed=_begun(needed_words(measure, entry["units_needed"])) if entry.get("units_needed") else "",
        warnings=tuple(map(str, entry.get("warnings", ()))),
        unseen=str(entry.get("unseen") or ""),
        witness=_witness(entry),
        track=_track(entry, domains),
        references=(*in_order(references, measure.references), *skill),
        option_mass=sum(masses) / len(masses) if masses else None,
        beside=(*in_order(references, measure.references, brief=True), *skill),
        nearest=nearest,
        units=units,
        origins=_origins(entry),
        repeat=f"{run.get('command', 'pytest')} {shlex.quote(str(entry['nodeid']))}",
    )


def guarded(title: str, make: Callable[[], Iterable[Part]]) -> tuple[Part, ...]:
    """Return parts, or a sentence where the report holds something that they cannot show."""
    try:
        return tuple(make())
    except UNEXPECTED as error:
        return (_left_out(title, error),)


def _left_out(title: str, error: Exception) -> Part:
    words = f"{type(error).__name__}: {error}"[:400]
    said = f"{title} cannot be shown: the report holds something that is not as expected there ({words})."
    return Part("", (Para((said,), is_warning=True),), section="Left out")


def _parts(entry: Entry, title: str, measure: Measure, domain: tuple[float, float] | None) -> Iterator[Part]:
    """Yield the parts of a verdict in the order of the page."""
    details, estimate = entry.get("details") or {}, entry["estimate"]
    if estimate is not None and domain is not None and (entry["references"] or entry["units"]):
        yield from guarded("The references", lambda: [_references(entry, title, measure, domain)])
    if details and measure.view in VIEWS:
        yield from guarded(measure.title, lambda: VIEWS[measure.view](details, title, measure))
    if details.get("groups"):
        yield from guarded("The groups", lambda: [groups_part(details, measure)])
    if details.get("quirks") or "sound" in details:
        yield from guarded("The protocol", lambda: [protocol_part(details, (estimate or {}).get("value"))])
    if entry.get("history"):
        yield from guarded("The history", lambda: [_history(entry, title)])


def title_of(measure: Measure, population: str | None, dataset: str, over: str | None = None, /) -> str:
    """Return what was measured, of whom."""
    return _begun(subject(measure, population, dataset, over=over))


def _begun(words: str) -> str:
    """Return words as the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def _verdict_title(entry: Entry) -> str:
    dataset = entry.get("dataset")
    if not dataset:
        # A requirement on a test's own estimates has no words but the test's.
        test = str(entry["nodeid"]).rpartition("::")[2].partition("[")[0]
        return f"{test}: {entry.get('key', '')}"
    measure = measure_of(entry)
    over = gained_over(entry.get("settings") or {})
    return title_of(measure, entry.get("population"), str(dataset.get("name", "")), over)


def _facts(estimate: Entry | None, measure: Measure, masses: Sequence[float]) -> Iterator[str]:
    if estimate is None:
        return
    n, n_clusters = estimate["n"], estimate["n_clusters"]
    yield f"{n:,} {measure.unit.of(n)} in {n_clusters:,} {CLUSTERS.of(n_clusters)}"
    if estimate.get("standard_error") is not None:
        yield f"standard error {estimate['standard_error']:.3f}"
    if estimate.get("method"):
        yield f"interval: {estimate['method']}"
    if masses:
        yield f"option mass {sum(masses) / len(masses):.2f} (lowest {min(masses):.2f})"


def _witness(entry: Entry) -> WitnessView | None:
    """Return the witness with its value, or with its change where that is what broke the promise."""
    witness = entry["witness"]
    if not witness:
        return None
    value = witness.get("value")
    words = "without a value"
    if value is not None:
        is_change = any(unit["id"] == witness["id"] and unit.get("change") == value for unit in entry["units"])
        words = f"changed by {value:+.3f}" if is_change else f"{value:.3f}"
    return WitnessView(str(witness["id"]), str(witness.get("text") or ""), words)


def _origins(entry: Entry) -> Table:
    rows = [texts("test", entry["nodeid"])]
    for kind in ("model", "dataset", "settings", "baseline"):
        for name, value in (entry.get(kind) or {}).items():
            rows.append(
                texts(f"{kind}: {name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            )
    return Table("Model, data and settings", (Ours("name"), Ours("value")), tuple(rows))


# ------------------------------------------------------------------------------------------------------------ scales


def _scale_of(entry: Entry) -> str:
    """Return the name of the scale on which a verdict is drawn: that of its measure, or of its changes."""
    is_change = "change" in entry and not {"at_most", "at_least", "better_than"} & set(entry["gate"])
    return f"change of {entry['metric']}" if is_change else str(entry["metric"])


def _domains(verdicts: Sequence[Entry]) -> dict[str, tuple[float, float]]:
    """Return a scale for each measure on which all that is drawn of it has its place."""
    found: dict[str, list[float]] = {}
    measures = {str(entry["metric"]): measure_of(entry) for entry in verdicts}
    for entry in verdicts:
        gate, metric = entry["gate"], str(entry["metric"])
        mine = found.setdefault(metric, [])
        for estimate in (entry["estimate"], (entry.get("baseline") or {}).get("estimate")):
            if isinstance(estimate, Mapping):
                mine += _finite(estimate.get(name) for name in ("value", "low", "high"))
        mine += _finite(gate.get(name) for name in ("at_least", "at_most"))
        for name in ("references", "other_populations"):
            mine += _finite((entry.get(name) or {}).values())
        if change := entry.get("change"):
            changes = found.setdefault(f"change of {metric}", [0.0])
            changes += _finite(change.get(name) for name in ("value", "low", "high"))
            changes += _finite([gate.get("max_increase"), -gate.get("max_decrease", math.nan)])
            both = gate.get("max_change", math.nan)
            changes += _finite([both, -both])
    result = {}
    for name, values in found.items():
        measure = measures.get(name)
        low, high = (measure.lowest, measure.highest) if measure else (-math.inf, math.inf)
        # Rewards are in the units of their model.
        if not all(low <= value <= high for value in values):
            low, high = -math.inf, math.inf
        result[name] = domain_of(values, lowest=low, highest=high)
    return result


def _finite(values: Iterable[object]) -> list[float]:
    return [float(value) for value in values if isinstance(value, (int, float)) and math.isfinite(value)]


def _track(entry: Entry, domains: Mapping[str, tuple[float, float]]) -> Track | None:
    """Return what decided: the value and its promise, or the change and how large it may be."""
    scale, gate = _scale_of(entry), entry["gate"]
    is_change = scale != entry["metric"]
    estimate = entry["change"] if is_change else entry["estimate"]
    stored = 0.0 if is_change else ((entry.get("baseline") or {}).get("estimate") or {}).get("value")
    if estimate is None or not _finite([estimate["value"]]) or (stored is not None and not _finite([stored])):
        return None
    better = gate.get("max_decrease", gate.get("max_change"))
    return Track(
        domains[scale],
        estimate["value"],
        estimate["low"],
        estimate["high"],
        at_least=(-better if better is not None else None) if is_change else gate.get("at_least"),
        at_most=gate.get("max_increase", gate.get("max_change")) if is_change else gate.get("at_most"),
        baseline=stored,
    )


# -------------------------------------------------------------------------------------------- parts that all share


def _references(entry: Entry, title: str, measure: Measure, domain: tuple[float, float]) -> Part:
    """Return the value among its references and the other populations, best first, and how the units are spread."""
    estimate, gate = entry["estimate"], entry["gate"]
    is_higher = entry.get("direction") == "higher"

    def best_first(pair: tuple[str, float]) -> float:
        return -pair[1] if is_higher else pair[1]

    stored = ((entry.get("baseline") or {}).get("estimate") or {}).get("value")
    others = sorted(_numbers((entry.get("other_populations") or {}).items()), key=best_first)
    beside = [("the baseline", stored), *in_order(entry["references"], measure.references)]
    bounds = {name: gate[name] for name in ("at_least", "at_most") if name in gate}
    own = Track(domain, estimate["value"], estimate["low"], estimate["high"], **bounds)
    rows = [(str(entry["model"].get("name", "")) or "the model", own)] if _finite([estimate["value"]]) else []
    rows += [(name, Track(domain, value, kind="people")) for name, value in _numbers(beside)]
    rows += [(name, Track(domain, value, kind="people")) for name, value in others[:MOST_POPULATIONS]]
    rows.sort(key=lambda row: best_first((row[0], row[1].value)))
    place = next((place for place, row in enumerate(rows) if row[1] is own), None)
    table = Table(
        "References",
        (Ours("who"), measure.title, Ours(f"from {own.ends[0]} to {own.ends[1]}")),
        tuple((Cell(name), number(one.value), Cell("", track=one)) for name, one in rows),
        (Ours(f"What the value is read against, {'highest' if is_higher else 'lowest'} is best"),),
        own=place,
    )
    left = len(others) - MOST_POPULATIONS
    more = (Para((Ours(f"And {left:,} more "), measure.others.of(left), Ours("."))),) if left > 0 else ()
    length = (entry.get("baseline") or {}).get("length")
    if length:
        more = (*more, Para((Ours("The change, "), length_words(length))))
    charts = (*_spread(entry, title, measure), *_entropies(entry, title))
    return Part("", (table, *more), charts)


def _numbers(pairs: Iterable[tuple[str, object]]) -> Iterator[tuple[str, float]]:
    return ((name, number) for name, value in pairs for number in _finite([value]))


def _spread(entry: Entry, title: str, measure: Measure) -> Iterator[Chart]:
    """Yield the chart of how the values of the units are spread, with what they are read against as lines."""
    values = _finite(unit["value"] for unit in entry["units"])
    if len(values) < LEAST_UNITS:
        return
    gate, references = entry["gate"], entry["references"]
    lines = [("mean", entry["estimate"]["value"])]
    lines += [(name.replace("_", " "), gate.get(name)) for name in ("at_least", "at_most")]
    beside = {name: references.get(name) for name in ("uniform", "sampling_floor", "unsteered")}
    lines += in_order(beside, measure.references)
    low, high, n_bars = min(values), max(values), min(20, max(5, len(values) // 4))
    wide = (high - low or 1.0) / n_bars
    counts = [0] * n_bars
    for value in values:
        counts[min(int((value - low) / wide), n_bars - 1)] += 1
    marks = [
        Mark("bar", ((low + place * wide, 0.0), (low + (place + 1) * wide, count)))
        for place, count in enumerate(counts)
    ]
    marks += [
        Mark("rule", ((value, 0.0),), "ink", name, "" if name == "mean" else "6 3")
        for name, value in sorted(_numbers(lines), key=lambda line: line[1])
    ]
    caption = "How the units are spread; the table below has each of them."
    yield Chart(f"Spread of the units of {title}", caption, measure.title, measure.unit.many, tuple(marks))


def _entropies(entry: Entry, title: str) -> Iterator[Chart]:
    """Yield the chart of the entropy of the model's answers against that of the people's, one dot a unit."""
    pairs = [
        (unit["reference_entropy"], unit["model_entropy"])
        for unit in entry["units"]
        if unit.get("model_entropy") is not None and unit.get("reference_entropy") is not None
    ]
    if len(pairs) < LEAST_UNITS:
        return
    top = max(max(pair) for pair in pairs)
    below = sum(ours < theirs for theirs, ours in pairs)
    yield Chart(
        f"Entropy of the answers, {title}",
        f"Below the line the model is surer than the people are: {below} of {len(pairs)} units.",
        "entropy of the people's answers (bits)",
        "entropy of the model's (bits)",
        (Mark("line", ((0.0, 0.0), (top, top)), "muted", "alike", "6 3"), Mark("dot", tuple(pairs))),
    )


def _history(entry: Entry, title: str) -> Part:
    points = [one for one in entry["history"] if one["value"] is not None]
    estimate = entry["estimate"]
    if estimate and estimate["value"] is not None:
        points.append({**estimate, "date": "this run", "tags": [], "commit": ""})
    measure = measure_of(entry)
    caption = "Each commit that changed the baseline, and this run."
    return history_part(points, entry["gate"], measure, f"History: {title}", caption)


def history_part(points: Sequence[Entry], gate: Entry, measure: Measure, title: str, caption: str, /) -> Part:
    """Return a measure over past results as a table and a chart.

    Parameters
    ----------
    points : sequence of mapping
        Each with its ``date``, ``tags``, ``commit``, ``value``, ``low`` and ``high``, oldest first.
    gate : mapping
        The promise.
    measure, title, caption
        The measure, what a screen reader says of the chart, and the sentence below it.
    """
    rows, marks, names = [], [], []
    for place, point in enumerate(points):
        tags, when = ", ".join(map(str, point["tags"])), str(point["date"])[:10]
        rows.append((*texts(when, tags, str(point["commit"])[:10]), interval(point)))
        ends = [point["value"] if point.get(end) is None else point[end] for end in ("low", "high")]
        marks.append(Mark("span", ((place, ends[0]), (place, ends[1]))))
        names.append((float(place), tags or when))
    line = tuple((place, point["value"]) for place, point in enumerate(points))
    promise = _finite([gate.get("at_most", gate.get("at_least"))])
    marks += [Mark("line", line), Mark("dot", line)]
    marks += [Mark("level", ((0.0, one),), "ink", "promise", "6 3") for one in promise]
    heads = (Ours("when"), Ours("tag"), Ours("commit"), Ours("value [interval]"))
    table = Table("Past results", heads, tuple(rows), own=len(rows) - 1)
    chart = Chart(title, caption, "", measure.title, tuple(marks), x_ticks=tuple(names))
    return Part("Over past results", (table,), (chart,) if rows else ())


def _front(verdicts: Sequence[Entry]) -> Iterator[Part]:
    """Yield the models by all objectives that they share; nothing of a single model."""
    if len({str(entry["model"].get("name")) for entry in verdicts if entry["outcome"] != "error"}) < 2:
        return
    try:
        board = leaderboard_of(("the report", entry) for entry in verdicts)
    except DatasetError:
        # The models share nothing that can be put side by side.
        return
    if len(board.objectives) >= 2:
        yield front_part(board)


def front_part(board: Leaderboard, /) -> Part:
    """Return the models of a leaderboard as a table, with a chart of its first two objectives."""
    front = pareto_front(board.points)
    rows = [
        (Cell(model), *map(number, values), Cell(Ours("yes" if is_best else "no")))
        for model, values, is_best in zip(board.models, board.values, front, strict=True)
    ]
    heads = [
        f"{name} {'↑' if way == 'higher' else '↓'}"
        for name, way in zip(board.objectives, board.directions, strict=True)
    ]
    table = Table("Models", (Ours("model"), *heads, Ours("on the front")), tuple(rows), sorts="models")
    marks = [
        Mark("dot" if is_best else "ring", ((values[0], values[1]),), label=model)
        for model, values, is_best in zip(
            board.models, board.values, pareto_front([point[:2] for point in board.points]), strict=True
        )
    ]
    better = [{"higher": "more", "lower": "less"}[direction] for direction in board.directions[:2]]
    caption = (
        f"The first two objectives; {better[0]} of the first and {better[1]} of the second is better. "
        "Filled models are on the front of these two."
    )
    first, second = board.objectives[:2]
    chart = Chart(f"Models by {first} and {second}", caption, first, second, tuple(marks))
    words = Ours("A model is on the front when no other is at least as good in every objective and better in one.")
    return Part("Models by all objectives", (Para((words,)), table), (chart,))
