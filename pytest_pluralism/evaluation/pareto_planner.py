"""Plans the gates of the marker ``pareto_improvement``: one over all objectives of a file.

The file is JSON: ``{"objectives": [...]}``, each objective either a measure of ours,
``{"name": "for the country", "measure": "js_distance", "dataset": "gss", "population": "US adults"}``,
or scores that were computed elsewhere,
``{"name": "helpfulness", "direction": "higher", "scores": {"model A": {"prompt 1": 0.7}, "model B": {...}}}``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, PluralismError, nearest_names
from pytest_pluralism.datasets.survey_file import read_text
from pytest_pluralism.evaluation.multi_objective import Objective, ParetoEvaluation, check_functions
from pytest_pluralism.evaluation.planning import PlannedGate, Planning

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "plan"]

KEYWORDS = ("functions", "candidate", "reference", "seed")

DATASET = "a JSON file of objectives"
EXAMPLE = "objectives.json"

REMEDY = "The format of objectives is described in the reference, under 'Steering'."

#: The measure that promises itself cannot be one of its own objectives.
ITSELF = "pareto_improvement"


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate.

    Raises
    ------
    PluralismError
        The file or an objective is wrong.
    """
    path = planning.find_file(planning.dataset)
    text = read_text(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{path}: is not JSON: {error}. {REMEDY}") from error
    entries = content.get("objectives") if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or len(entries) < 2:
        raise DatasetError(f"{path}: must hold a field 'objectives' with at least two of them. {REMEDY}")
    objectives = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, objective {number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"]:
            raise DatasetError(f"{where}: must be an object with a 'name'. {REMEDY}")
        given = {"measure", "scores"} & entry.keys()
        if len(given) != 1:
            raise DatasetError(f"{where}: must have either 'measure' or 'scores'. {REMEDY}")
        read = _measured if "measure" in given else _external
        objectives.append(read(planning, entry, where, path))
    functions = planning.keywords.get("functions", {})
    seed = planning.choose("seed")
    evaluation = ParetoEvaluation(
        tuple(objectives),
        check_functions(functions, len(objectives)),
        least=(planning.gate.at_least if planning.gate is not None else None) or 0.0,
        confidence_level=planning.confidence_level or 0.95,
        seed=seed,
    )
    return [
        planning.planned(
            evaluation,
            source={
                "name": path.name,
                "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
                "source": f"file {path.name}",
            },
            settings={"objectives": [one.name for one in objectives], "seed": seed},
        )
    ]


def _measured(planning: Planning, entry: Mapping[str, Any], where: str, path: Path) -> Objective:
    """Return an objective that is one of our measures."""
    from pytest_pluralism.evaluation.registry import MEASURES, planner_of

    name = entry["measure"]
    known = [one for one in MEASURES if one != ITSELF]
    if name not in known:
        near = nearest_names(str(name), known, most=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DatasetError(f"{where}: unknown measure {name!r}.{hint} Known: {', '.join(known)}.")
    measure, planner = MEASURES[name], planner_of(name)
    keywords = {word: value for word, value in entry.items() if word not in ("name", "measure", "dataset")}
    unknown = [word for word in keywords if word not in planner.KEYWORDS]
    if unknown:
        near = nearest_names(unknown[0], planner.KEYWORDS, most=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DatasetError(f"{where}: {name} has no keyword {unknown[0]!r}{hint}")
    dataset = entry.get("dataset")
    if not isinstance(dataset, str):
        raise DatasetError(f"{where}: 'dataset' must be {planner.DATASET}, not {dataset!r}.")
    problems: list[str] = []
    sub = dataclasses.replace(
        planning, measure=measure, dataset=dataset, keywords=keywords, gate=None, problems=problems
    )
    try:
        plans = planner.plan(sub)
    except PluralismError as error:
        raise InvalidParameterError(f"{where}: {error}") from error
    if problems:
        raise InvalidParameterError(f"{where}: {problems[0]}")
    if len(plans) != 1:
        raise DatasetError(f"{where}: measures {len(plans)} populations; an objective is one. Name one of them.")
    return Objective(entry["name"], measure.direction, plans[0].evaluation)


def _external(planning: Planning, entry: Mapping[str, Any], where: str, path: Path) -> Objective:
    """Return an objective whose scores were computed elsewhere."""
    scores = entry["scores"]
    if isinstance(scores, str):
        beside = path.parent / scores
        try:
            scores = json.loads(read_text(beside))
        except ValueError as error:
            raise DatasetError(f"{where}: {beside} is not JSON: {error}.") from error
    if not isinstance(scores, Mapping) or not all(isinstance(rows, Mapping) and rows for rows in scores.values()):
        raise DatasetError(f"{where}: 'scores' must give for each model an object of units and numbers. {REMEDY}")
    direction = entry.get("direction", "higher")
    if direction not in ("higher", "lower"):
        raise DatasetError(f"{where}: 'direction' must be 'higher' or 'lower', not {direction!r}.")
    sides = []
    for role in ("candidate", "reference"):
        model = planning.keywords.get(role)
        if not isinstance(model, str):
            raise InvalidParameterError(
                f"{where}: external scores need to know whose they are: add {role}= with the name of a model "
                f"({', '.join(map(repr, list(scores)[:4]))})."
            )
        if model not in scores:
            near = nearest_names(model, list(scores), most=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DatasetError(f"{where}: has no scores of {model!r}.{hint} It has {', '.join(map(repr, scores))}.")
        for unit, value in scores[model].items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise DatasetError(
                    f"{where}: the score of {model!r} for {unit!r} must be a finite number, not {value!r}."
                )
        sides.append({str(unit): float(value) for unit, value in scores[model].items()})
    if set(sides[0]) != set(sides[1]):
        only = sorted(set(sides[0]) ^ set(sides[1]))
        raise DatasetError(
            f"{where}: the two models have scores of different units ({only[0]!r} and {len(only) - 1} more), which "
            "cannot be paired."
        )
    return Objective(entry["name"], direction, None, sides[0], sides[1])
