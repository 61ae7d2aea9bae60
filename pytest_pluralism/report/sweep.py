"""A suite over many models in a row: checkpoints by their steps, or adapters by their scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.blocks import Cell, Para, Part, Table, interval, texts
from pytest_pluralism.report.cells import Entry, Ours, outcome_of
from pytest_pluralism.report.charts import DASHES, Chart, Mark
from pytest_pluralism.report.html import drawn_html, drawn_picture
from pytest_pluralism.report.leaderboard import Leaderboard
from pytest_pluralism.report.reading import test_of
from pytest_pluralism.report.views import front_part, title_of

__all__ = ["SWEEP_SCHEMA", "Place", "front_json", "front_of", "sweep_html", "sweep_json", "sweep_picture"]

SWEEP_SCHEMA = "pytest-pluralism/sweep/1"

#: The name of the objective that a file of the user holds.
HELPFULNESS = "helpfulness"


@dataclass(frozen=True)
class Place:
    """One model of a sweep.

    Attributes
    ----------
    spec : str
        The model, as it is named.
    x : float
        Its place on the axis: a number of steps, a scale, or its place in the list.
    series : str
        The run to which it belongs; models of one series are joined by a line.
    label : str
        The name of its place.
    verdicts : sequence of mapping
        The verdicts of the suite on it, as a report has them.
    problem : str
        Why there are none; empty where there are.
    exit_code : int
        The exit code of the run, 0 where every promise and every other test of the suite passed.
    """

    spec: str
    x: float
    series: str
    label: str
    verdicts: Sequence[Entry] = field(default=(), compare=False)
    problem: str = ""
    exit_code: int = 0


def sweep_json(places: Sequence[Place], axis: str, suite: str, /) -> Content:
    """Return every promise of a suite over the models of a sweep, as plain JSON values.

    Parameters
    ----------
    places : sequence of Place
        The models, by their places.
    axis : str
        The name of the axis: ``"step"``, ``"scale"`` or ``"model"``.
    suite : str
        The name of the suite, or the path of the tests.
    """
    promises: dict[tuple[str, str], Content] = {}
    for place in places:
        for entry in place.verdicts:
            key = test_of(entry), str(entry["key"])
            promise = promises.setdefault(key, {"test": key[0], "key": key[1], "points": []})
            if entry.get("direction"):
                # A model that could not be asked knows the promise by its name alone.
                names = ("metric", "population", "direction", "gate", "measure")
                promise |= {name: entry.get(name) for name in names}
                promise["dataset"] = (entry.get("dataset") or {}).get("name")
            estimate = entry.get("estimate") or {}
            promise["points"].append(
                {
                    "spec": place.spec,
                    "series": place.series,
                    "x": place.x,
                    "label": place.label,
                    "outcome": outcome_of(entry),
                    "reason": entry.get("reason") or "",
                    **{name: estimate.get(name) for name in ("value", "low", "high", "n")},
                }
            )
    models = [
        {name: getattr(one, name) for name in ("spec", "x", "label", "series", "problem", "exit_code")}
        for one in places
    ]
    return {
        "schema": SWEEP_SCHEMA,
        "suite": suite,
        "axis": axis,
        "models": models,
        "promises": list(promises.values()),
    }


def sweep_html(content: Content, front: Leaderboard | None = None, /) -> str:
    """Return the page of a sweep: every promise over the axis, and the front where two objectives were chosen."""
    first = [*_problems(content), *([front_part(front)] if front is not None else [])]
    intro = f"{content['suite']}: {len(content['promises'])} promises over {len(content['models'])} models."
    return drawn_html("Pluralism sweep", intro, _drawn(content), first)


def sweep_picture(content: Content, /) -> str:
    """Return the charts of a sweep below one another, as an SVG file that loads nothing."""
    return drawn_picture(_drawn(content))


def _problems(content: Content) -> list[Part]:
    lost = [one for one in content["models"] if one["problem"]]
    if not lost:
        return []
    rows = tuple(texts(one["spec"], one["problem"]) for one in lost)
    table = Table("Models that were not measured", (Ours("model"), Ours("why")), rows)
    return [Part("Models that were not measured", (table,))]


def _drawn(content: Content) -> list[tuple[Entry, str, Part]]:
    return [
        (promise, title, _part(promise, content["axis"], title))
        for promise in content["promises"]
        for title in [_title(promise)]
    ]


def _title(promise: Entry) -> str:
    if "metric" not in promise:
        return str(promise["test"])
    return title_of(measure_of(promise), promise["population"], str(promise["dataset"] or ""))


def _part(promise: Entry, axis: str, title: str) -> Part:
    """Return one promise over the axis as a table and a chart."""
    points = promise["points"]
    rows = [
        (
            *texts(point["label"], point["spec"]),
            interval(point) if point["value"] is not None else Cell(Ours("-"), is_number=True),
            Cell(Ours(point["outcome"])),
            *texts(point["reason"]),
        )
        for point in points
    ]
    heads = (Ours(axis), Ours("model"), Ours("value [interval]"), Ours("verdict"), Ours("why"))
    table = Table(f"{title} by {axis}", heads, tuple(rows))
    known = [point for point in points if is_number(point["value"])]
    if not known:
        return Part(f"By {axis}", (Para((Ours("No model has a value."),)), table))
    series = list(dict.fromkeys(point["series"] for point in known))
    marks: list[Mark] = []
    for place, name in enumerate(series):
        mine = [point for point in known if point["series"] == name]
        for point in mine:
            low, high = (point["value"] if point[end] is None else point[end] for end in ("low", "high"))
            marks.append(Mark("span", ((point["x"], low), (point["x"], high))))
        line = tuple((point["x"], point["value"]) for point in mine)
        dashes = "" if place == 0 else DASHES[(place - 1) % len(DASHES)]
        marks.append(Mark("line", line, label=name if len(series) > 1 else "", dashes=dashes))
        marks += [
            Mark("dot" if point["outcome"] == "passed" else "ring", ((point["x"], point["value"]),)) for point in mine
        ]
    gate = promise.get("gate") or {}
    bounds = [gate[name] for name in ("at_most", "at_least") if is_number(gate.get(name))]
    marks += [Mark("level", ((0.0, bound),), "ink", "promise", "6 3") for bound in bounds]
    ticks = tuple({point["x"]: str(point["label"]) for point in known}.items())
    chart = Chart(
        f"{title} by {axis}",
        "Filled: the promise is kept. The line of a point is its interval.",
        "" if axis == "model" else axis,
        measure_of(promise).title,
        tuple(marks),
        x_ticks=ticks,
    )
    return Part(f"By {axis}", (table,), (chart,))


def front_of(
    content: Content, pluralism: Entry, helpfulness: Entry | Mapping[str, float], /
) -> tuple[Leaderboard, list[str]]:
    """Return the models of a sweep by two objectives, and the specs that have no value in one of them.

    Parameters
    ----------
    content : mapping
        The result of :func:`sweep_json`.
    pluralism : mapping
        One of its promises.
    helpfulness : mapping
        Another one, or a number for each spec, of which more is better.

    Raises
    ------
    DatasetError
        Fewer than two models have both values.
    """
    first = _values(pluralism)
    own = "points" in helpfulness
    second = _values(helpfulness) if own else {str(spec): float(value) for spec, value in helpfulness.items()}
    labels = {one["spec"]: one for one in content["models"]}
    both = [spec for spec in labels if spec in first and spec in second]
    if len(both) < 2:
        raise DatasetError(
            f"{len(both)} of the {len(labels)} models have a value of both objectives, and a front needs two."
        )
    names = [f"{content['axis']} {labels[spec]['label']}" for spec in both]
    shown = [f"{name} ({spec})" if names.count(name) > 1 else name for name, spec in zip(names, both, strict=True)]
    directions = (str(pluralism["direction"]), str(helpfulness["direction"]) if own else "higher")
    objectives = (_title(pluralism), _title(helpfulness) if own else HELPFULNESS)
    values = tuple((first[spec], second[spec]) for spec in both)
    return Leaderboard(tuple(shown), objectives, directions, values), [spec for spec in labels if spec not in both]


def _values(promise: Entry) -> dict[str, float]:
    points: Iterable[Entry] = promise["points"]
    return {point["spec"]: float(point["value"]) for point in points if is_number(point["value"])}


def front_json(board: Leaderboard, /) -> Content:
    """Return the two objectives of a sweep, and which models are on their front, as plain JSON values."""
    from pytest_pluralism.core.metrics.multi_objective import pareto_front

    front = pareto_front(board.points)
    return {
        "objectives": [
            {"name": name, "direction": way} for name, way in zip(board.objectives, board.directions, strict=True)
        ],
        "models": [
            {"name": printable(name, most=200), "values": list(values), "on_front": bool(is_best)}
            for name, values, is_best in zip(board.models, board.values, front, strict=True)
        ],
    }
