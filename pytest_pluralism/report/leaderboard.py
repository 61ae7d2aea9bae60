"""A leaderboard of several objectives: the front, and ranks under each function that is named; never one number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.core.equal import compare, levelled
from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.metrics.multi_objective import LinearCommensuration, commensurate, pareto_front, pareto_ranks
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.report.alike import alike_names
from pytest_pluralism.report.cells import Entry
from pytest_pluralism.report.reading import load_report

__all__ = ["Leaderboard", "leaderboard_json", "leaderboard_lines", "leaderboard_of", "read_leaderboard"]

#: The measure whose value is that of one of several objectives.
IMPROVEMENT = "pareto_improvement"

LEADERBOARD_SCHEMA = "pytest-pluralism/leaderboard/1"

#: How often the units are drawn again to see whether a model is on the front.
FRONT_DRAWS = 1000


@dataclass(frozen=True)
class Leaderboard:
    """Models by objectives.

    Attributes
    ----------
    models : tuple of str
        Their names.
    objectives : tuple of str
        The measures that every model has, with the same data and settings.
    directions : tuple of str
        ``"higher"`` or ``"lower"``, one an objective.
    values : tuple of tuple of float, (n_models, n_objectives)
        As measured.
    left_out : tuple of str
        Objectives that not every model has, or that were measured differently.
    units : tuple of array, (n_models, n_units) each
        The values by unit of each objective, the same units for all models; empty where one objective has none.
    """

    models: tuple[str, ...]
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    left_out: tuple[str, ...] = ()
    units: tuple[FloatArray, ...] = field(default=(), compare=False)

    @property
    def points(self) -> list[list[float]]:
        """The values as they are oriented: more is better."""
        signs = [1.0 if direction == "higher" else -1.0 for direction in self.directions]
        return [[sign * value for sign, value in zip(signs, row, strict=True)] for row in self.values]

    def on_front(self) -> list[float] | None:
        """Return how often each model is on the front when the units are drawn again; nothing without units.

        Units are drawn with replacement, the same ones for all models, and anew for each objective: a probability near
        one half says that the data do not tell whether a model belongs there.
        """
        if not self.units or any(one.shape[1] < 2 for one in self.units):
            return None
        rng = np.random.default_rng(0)
        signs = [1.0 if direction == "higher" else -1.0 for direction in self.directions]
        counts = np.zeros(len(self.models))
        for _ in range(FRONT_DRAWS):
            drawn = [
                sign * one[:, rng.integers(0, one.shape[1], one.shape[1])].mean(axis=1)
                for sign, one in zip(signs, self.units, strict=True)
            ]
            counts += np.asarray(pareto_front(np.array(drawn).T))
        return [float(one) for one in counts / FRONT_DRAWS]


def read_leaderboard(paths: Sequence[Path], /) -> Leaderboard:
    """Gather the verdicts of several JSON reports.

    Raises
    ------
    DatasetError
        If a file is not a report of ours, fewer than two models were measured, or they share no objective.
    """
    return leaderboard_of((str(path), entry) for path in paths for entry in load_report(path, whole=False)["verdicts"])


def leaderboard_of(entries: Iterable[tuple[str, Entry]], /) -> Leaderboard:
    """Gather verdicts, each with the name of where it comes from.

    Raises
    ------
    DatasetError
        If fewer than two models were measured, they share no objective, one model has two results for one, or a
        verdict has another form than ours.
    """
    found: dict[_Release, dict[_Way, float]] = {}
    by_unit: dict[tuple[_Release, _Way], Mapping[str, float]] = {}
    for path, entry in entries:
        read = _read(path, entry)
        if read is None:
            continue
        model, way, value = read
        by_unit[model, way] = _units_of(entry)
        if compare(found.setdefault(model, {}).setdefault(way, value), value) != 0:
            raise DatasetError(
                f"{path}: the model {printable(model.name)!r} has two different results for {printable(way.key)!r} in "
                "these reports, measured in the same way. Name each run once, or give the models different names."
            )
    if len(found) < 2:
        raise DatasetError(
            f"These reports hold results of {len(found)} model(s), and a leaderboard needs two. Name more reports."
        )
    models = tuple(found)
    names = [one.name for one in models]
    every = dict.fromkeys(way for mine in found.values() for way in mine)
    alike = [way for way in every if all(way in mine for mine in found.values())]
    if not alike:
        raise DatasetError(
            "These reports share no objective that was measured on the same data with the same settings. "
            "Run the same tests for all models."
        )
    return Leaderboard(
        tuple(f"{one.name} ({one.revision})" if names.count(one.name) > 1 else one.name for one in models),
        tuple(_names(alike)),
        tuple(way.direction for way in alike),
        tuple(tuple(found[model][way] for way in alike) for model in models),
        tuple(dict.fromkeys(way.key for way in every if way not in alike)),
        _matched([[by_unit[model, way] for model in models] for way in alike]),
    )


def _units_of(entry: Entry) -> Mapping[str, float]:
    """Return the values by unit of a verdict, where its value is their mean and each stands alone; else nothing."""
    units, value = entry.get("units"), entry["estimate"]["value"]
    how = entry["estimate"].get("how")
    # Jurors are a part of the uncertainty that no draw of queries shows.
    if not isinstance(units, list) or (isinstance(how, Mapping) and how.get("crossed")):
        return {}
    if not all(isinstance(unit, Mapping) and is_number(unit.get("value")) for unit in units):
        return {}
    values = {str(unit.get("id")): float(unit["value"]) for unit in units}
    clusters = {str(unit.get("cluster", unit.get("id"))) for unit in units}
    mean = math.fsum(values.values()) / len(values) if values else math.nan
    # Units that share a cluster, and values that are made in another way, cannot be drawn one by one.
    return values if len(clusters) == len(units) == len(values) and compare(mean, value) == 0 else {}


def _matched(objectives: Sequence[Sequence[Mapping[str, float]]]) -> tuple[FloatArray, ...]:
    """Return the values by unit of each objective; nothing where models have others, or one objective has none."""
    found = []
    for mine in objectives:
        names = list(mine[0])
        if not names or any(set(one) != set(names) for one in mine):
            return ()
        found.append(np.array([[one[name] for name in names] for one in mine]))
    return tuple(found)


@dataclass(frozen=True)
class _Release:
    """A model: its name, its content, and what tells it from others of the same name."""

    name: str
    sha256: str
    revision: str = field(default="", compare=False)


@dataclass(frozen=True)
class _Way:
    """The measure, the data and the settings of a value: only values that agree in them can be put side by side."""

    key: str
    direction: str
    settings: str


def _read(path: str, entry: object) -> tuple[_Release, _Way, float] | None:
    """Return the model, what was measured of it, and the value; nothing where there is nothing to compare.

    Raises
    ------
    DatasetError
        If the verdict has another form than ours.
    """
    if not isinstance(entry, Mapping):
        raise _wrong(path, "each verdict", "an object", entry)
    estimate, direction = entry.get("estimate"), entry.get("direction")
    # A promise of improvement has the value of whichever objective decided it: no measurement of its own.
    if estimate is None or direction is None or entry.get("metric") == IMPROVEMENT:
        return None
    if not isinstance(estimate, Mapping):
        raise _wrong(path, "'estimate' of a verdict", "an object", estimate)
    if direction not in ("higher", "lower"):
        raise _wrong(path, "'direction' of a verdict", "'higher' or 'lower'", direction)
    key, value = entry.get("key"), estimate.get("value")
    if not isinstance(key, str):
        raise _wrong(path, "'key' of a verdict", "a text", key)
    parts: dict[str, Entry] = {}
    for name in ("model", "dataset", "baseline"):
        part = entry.get(name)
        if part is not None and not isinstance(part, Mapping):
            raise _wrong(path, f"{name!r} of the verdict {printable(key)!r}", "an object", part)
        parts[name] = part or {}
    model, beside = parts["model"].get("name"), parts["baseline"].get("name")
    if not isinstance(model, str):
        raise _wrong(path, f"the name of the 'model' of the verdict {printable(key)!r}", "a text", model)
    if value is None or (beside and key.endswith(f" against {beside}")):
        # No value, or the same measurement, judged against one more baseline.
        return None
    if not is_number(value):
        raise _wrong(path, f"the value of the verdict {printable(key)!r}", "a finite number", value)
    way = {"data": parts["dataset"].get("sha256"), "settings": entry.get("settings")}
    sha256, revision = (str(parts["model"].get(name) or "") for name in ("sha256", "revision"))
    release = _Release(model, sha256, revision or sha256[:10] or "no revision")
    return release, _Way(key, direction, json.dumps(way, sort_keys=True)), float(value)


def _wrong(path: str, what: str, must: str, got: object) -> DatasetError:
    return DatasetError(
        f"{path}: {what} must be {must}. Got {printable(repr(got)[:200], most=80)}. "
        "Write the report again with --pluralism-report=run.json."
    )


def _names(ways: Sequence[_Way]) -> Iterator[str]:
    """Yield a name for each objective: its key, with the settings that tell it from others of the same key."""
    flat = [dict(_leaves(json.loads(way.settings))) for way in ways]
    for way, mine in zip(ways, flat, strict=True):
        others = [other for one, other in zip(ways, flat, strict=True) if one.key == way.key and one != way]
        told = [
            f"{place.rpartition('.')[2]}={value}"
            for place, value in mine.items()
            if any(other.get(place) != value for other in others)
        ]
        yield f"{way.key} ({', '.join(told) or way.direction})" if others else way.key


def _leaves(content: object, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping) and content:
        for name, part in content.items():
            yield from _leaves(part, f"{place}.{name}")
    else:
        yield place, content if isinstance(content, str) else json.dumps(content)


def leaderboard_lines(
    board: Leaderboard, /, *, functions: Mapping[str, Sequence[float]] | None = None
) -> Iterator[str]:
    """Yield the leaderboard as Markdown: objectives, the front, and the rank of each model under each function.

    Parameters
    ----------
    board : Leaderboard
        The results.
    functions : mapping of str to sequence of float
        Commensurating functions by name, with a weight for each objective in the order of the table; weights are of the
        objectives as they are oriented (more is better). Every single objective is a function too.

    Raises
    ------
    InvalidParameterError
        If a function has not one finite weight an objective.
    """
    front, fronts, ranks = _ranked(board, functions or {})
    arrows = ["↑" if direction == "higher" else "↓" for direction in board.directions]
    heads = [f"{name} {arrow}" for name, arrow in zip(_cells(board.objectives), arrows, strict=True)]
    names, chances = _cells(board.models), board.on_front()
    yield "| model | " + " | ".join(heads) + " | on the front | front |"
    yield "|---" * (len(heads) + 3) + "|"
    for index, model in enumerate(names):
        values = " | ".join(f"{value:.3f}" for value in board.values[index])
        place = "yes" if front[index] else ""
        if chances is not None:
            place += f" ({100 * chances[index]:.0f} %)"
        yield f"| {model} | {values} | {place.strip()} | {int(fronts[index]) + 1} |"
    yield ""
    yield "| rank of | " + " | ".join(_cells(tuple(ranks))) + " |"
    yield "|---" * (len(ranks) + 1) + "|"
    for index, model in enumerate(names):
        yield f"| {model} | " + " | ".join(str(rank[index]) for rank in ranks.values()) + " |"
    if chances is not None:
        yield ""
        yield f"In brackets: in how many of {FRONT_DRAWS} draws of the units a model is on the front."
    if board.left_out:
        yield ""
        left = ", ".join(_cell(name) for name in board.left_out[:6])
        yield f"Left out, because not all models have it or it was measured differently: {left}."
    for kind, alike in (("model", board.models), ("objective", board.objectives)):
        for line in alike_names(kind, alike):
            yield ""
            yield f"Names that look the same: {_cell(line, most=400)}."


def leaderboard_json(board: Leaderboard, /, *, functions: Mapping[str, Sequence[float]] | None = None) -> Content:
    """Return what :func:`leaderboard_lines` shows as plain JSON values.

    Raises
    ------
    InvalidParameterError
        If a function has not one finite weight an objective.
    """
    front, fronts, ranks = _ranked(board, functions or {})
    chances = board.on_front()
    return {
        "schema": LEADERBOARD_SCHEMA,
        "objectives": [
            {"name": name, "direction": direction}
            for name, direction in zip(board.objectives, board.directions, strict=True)
        ],
        "models": [
            {
                "name": model,
                "values": list(board.values[index]),
                "on_front": front[index],
                "front": fronts[index] + 1,
                **({} if chances is None else {"front_probability": chances[index]}),
                "ranks": {name: rank[index] for name, rank in ranks.items()},
            }
            for index, model in enumerate(board.models)
        ],
        "left_out": list(board.left_out),
    }


def _ranked(
    board: Leaderboard, functions: Mapping[str, Sequence[float]]
) -> tuple[list[bool], list[int], dict[str, list[int]]]:
    """Return who is on the front, in which front each model is, and its rank under each function."""
    points = board.points
    for name in functions:
        if name in board.objectives:
            raise InvalidParameterError(
                f"The function {printable(name)!r} has the name of an objective, by which models are ranked anyway. "
                "Give it another name."
            )
    named = {name: _checked(name, weights, len(board.objectives)) for name, weights in functions.items()}
    for index, objective in enumerate(board.objectives):
        named[objective] = tuple(float(index == other) for other in range(len(board.objectives)))
    ranks = {
        name: _ranks(commensurate(points, [LinearCommensuration(tuple(weights))])[0].tolist())
        for name, weights in named.items()
    }
    return [bool(one) for one in pareto_front(points)], [int(one) for one in pareto_ranks(points)], ranks


def _checked(name: str, weights: Sequence[float], n_objectives: int) -> tuple[float, ...]:
    if len(weights) != n_objectives:
        must = f"a weight for each of the {n_objectives} objectives"
        raise invalid_parameter("functions", "leaderboard", must, f"{len(weights)} for {name!r}")
    if not all(math.isfinite(weight) for weight in weights) or not any(weights):
        raise InvalidParameterError(f"The weights of {name!r} must be finite, and not all 0. Got {list(weights)!r}.")
    return tuple(float(weight) for weight in weights)


def _ranks(values: Sequence[float]) -> list[int]:
    """Return the rank of each value, 1 for the largest; equal ones share the better rank."""
    level = levelled(values).tolist()
    return [1 + sum(other > value for other in level) for value in level]


def _cells(names: Sequence[str]) -> list[str]:
    """Return names as cells of a table, cut where they are long and yet different."""
    return [
        _cell(name) if sum(_cell(other) == _cell(name) for other in names) == 1 else _cell(name, most=len(name))
        for name in names
    ]


def _cell(name: object, *, most: int = 60) -> str:
    return printable(str(name), most=most).replace("|", "\\|")
