"""The parts of a report that all measures share: scales, references, spreads, past results, models side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.messages import length_words
from pytest_pluralism.core.metrics.multi_objective import pareto_front
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.words import in_order
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.blocks import Cell, Para, Part, Table, interval, number, texts
from pytest_pluralism.report.cells import Entry, Ours
from pytest_pluralism.report.charts import Chart, Mark, Track, domain_of
from pytest_pluralism.report.leaderboard import Leaderboard, leaderboard_of

__all__ = [
    "domains_of",
    "front_part",
    "front_parts",
    "history_part",
    "numbers",
    "references_part",
    "track_of",
    "verdict_history",
]

#: With fewer units a chart of how they are spread shows nothing that the table does not.
LEAST_UNITS = 8

#: Maximum number of other populations beside a value; the nearest ones are shown.
MOST_POPULATIONS = 12


# ------------------------------------------------------------------------------------------------------------ scales


def _scale_of(entry: Entry) -> str:
    """Return the name of the scale on which a verdict is drawn: that of its measure, or of its changes."""
    is_change = "change" in entry and not {"at_most", "at_least", "better_than"} & set(entry["gate"])
    return f"change of {entry['metric']}" if is_change else str(entry["metric"])


def domains_of(verdicts: Sequence[Entry]) -> dict[str, tuple[float, float]]:
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


def track_of(entry: Entry, domains: Mapping[str, tuple[float, float]]) -> Track | None:
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


def references_part(entry: Entry, title: str, measure: Measure, domain: tuple[float, float]) -> Part:
    """Return the value among its references and the other populations, best first, and how the units are spread."""
    estimate, gate = entry["estimate"], entry["gate"]
    is_higher = entry.get("direction") == "higher"

    def best_first(pair: tuple[str, float]) -> float:
        return -pair[1] if is_higher else pair[1]

    stored = ((entry.get("baseline") or {}).get("estimate") or {}).get("value")
    others = sorted(numbers((entry.get("other_populations") or {}).items()), key=best_first)
    beside = [("the baseline", stored), *in_order(entry["references"], measure.references)]
    bounds = {name: gate[name] for name in ("at_least", "at_most") if name in gate}
    own = Track(domain, estimate["value"], estimate["low"], estimate["high"], **bounds)
    rows = [(str(entry["model"].get("name", "")) or "the model", own)] if _finite([estimate["value"]]) else []
    rows += [(name, Track(domain, value, kind="people")) for name, value in numbers(beside)]
    rows += [(name, Track(domain, value, kind="people")) for name, value in others[:MOST_POPULATIONS]]
    rows.sort(key=lambda row: best_first((row[0], row[1].value)))
    place = next((place for place, row in enumerate(rows) if row[1] is own), None)
    table = Table(
        "References",
        (Ours("reference"), measure.title, Ours(f"from {own.ends[0]} to {own.ends[1]}")),
        tuple((Cell(name), number(one.value), Cell("", track=one)) for name, one in rows),
        (Ours(f"References, {'highest' if is_higher else 'lowest'} is best"),),
        own=place,
    )
    left = len(others) - MOST_POPULATIONS
    more = (Para((Ours(f"And {left:,} more "), measure.others.of(left), Ours("."))),) if left > 0 else ()
    length = (entry.get("baseline") or {}).get("length")
    if length:
        more = (*more, Para((Ours("The change, "), length_words(length))))
    charts = (*_spread(entry, title, measure), *_entropies(entry, title))
    return Part("", (table, *more), charts)


def numbers(pairs: Iterable[tuple[str, object]]) -> Iterator[tuple[str, float]]:
    """Return the pairs whose second is a finite number."""
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
        for name, value in sorted(numbers(lines), key=lambda line: line[1])
    ]
    caption = "Spread of the values; the table below lists each one."
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


def verdict_history(entry: Entry, title: str) -> Part:
    """Return the past results of the baseline of a verdict, and this run."""
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


def front_parts(verdicts: Sequence[Entry]) -> Iterator[Part]:
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
