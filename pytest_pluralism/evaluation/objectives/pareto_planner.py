"""Plans the gates of the marker ``pareto_improvement``: one over all objectives of a file.

The file is JSON: ``{"objectives": [...]}``, each objective a measure of ours,
``{"name": "for the country", "measure": "js_distance", "dataset": "gss", "population": "US adults"}``,
scores that were computed elsewhere,
``{"name": "helpfulness", "direction": "higher", "scores": {"model A": {"prompt 1": 0.7}, "model B": {...}}}``,
or a function that the marker names in ``callables``,
``{"name": "brevity", "direction": "higher", "callable": "brevity", "prompts": ["What is a poll?", ...]}``.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import (
    DatasetError,
    InvalidParameterError,
    PluralismError,
    did_you_mean,
    invalid_parameter,
)
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.records.measures import Measure, Term
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.words import UNIT_COLUMNS, UNITS
from pytest_pluralism.datasets.beside import file_beside
from pytest_pluralism.datasets.panels.records import shown
from pytest_pluralism.datasets.reading import json_document, read_text
from pytest_pluralism.evaluation.asking.rounds import Evaluation
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.objectives.objectives import (
    WRITING,
    CallableObjective,
    ExternalObjective,
    ResponseObjective,
)
from pytest_pluralism.evaluation.objectives.pareto import AGAINST, Objective, ParetoEvaluation, check_functions

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "plan"]

MEASURE = Measure(
    "pareto_improvement",
    "higher",
    "gain in the deciding objective",
    "whether a model gains on the reference model in some objective and loses in none (promise at_least=0)",
    kind="difference",
    unit=UNITS,
    data="objectives",
    columns=UNIT_COLUMNS,
    facts=(Term("cluster", "cluster"),),
    view="pareto",
)

KEYWORDS = ("functions", "callables", "against", "candidate", "reference", "seed")

DATASET = "a JSON file of objectives"
EXAMPLE = "objectives.json"

REMEDY = "The format of objectives is described in the reference, under 'Steering'."

#: The kinds of objective; each is one of them.
KINDS = ("measure", "scores", "callable")

#: The fields of an objective, whatever it is made of.
COMMON_FIELDS = ("name", "least")

#: The fields of an objective that is a function, and of one that was scored elsewhere.
CALLABLE_FIELDS = (*COMMON_FIELDS, "callable", "version", "direction", "prompts", "max_new_tokens", "temperature")
EXTERNAL_FIELDS = (*COMMON_FIELDS, "scores", "direction")

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
    text = read_text(path, what="file of objectives", holds="objective")
    content = json_document(text, path)
    entries = content.get("objectives") if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or len(entries) < 2:
        raise DatasetError(f"{path}: must hold a field 'objectives' with at least two of them. {REMEDY}")
    against = planning.keywords.get("against", AGAINST[0])
    if against not in AGAINST:
        raise invalid_parameter("against", planning.measure.name, " or ".join(map(repr, AGAINST)), repr(against))
    callables = _callables(planning)
    objectives = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, objective {number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"]:
            raise DatasetError(f"{where}: must be an object with a 'name'. {REMEDY}")
        given = [kind for kind in KINDS if kind in entry]
        if len(given) != 1:
            raise DatasetError(f"{where}: must have one of {', '.join(map(repr, KINDS))}. {REMEDY}")
        least = entry.get("least", 0.0)
        if not is_number(least):
            raise DatasetError(f"{where}: 'least' must be a number, what its gain must be, not {shown(least)}.")
        if given == ["callable"]:
            objective = _called(planning, entry, where, path, callables)
        else:
            read = _measured if given == ["measure"] else _external
            objective = read(planning, entry, where, path)
        objectives.append(dataclasses.replace(objective, least=float(least)))
    unused = [name for name in callables if name not in [entry.get("callable") for entry in entries]]
    if unused:
        raise InvalidParameterError(f"{path}: no objective has 'callable': {unused[0]!r}, which callables= names.")
    functions = planning.keywords.get("functions", {})
    seed = planning.choose("seed")
    evaluation = ParetoEvaluation(
        tuple(objectives),
        check_functions(functions, [one.name for one in objectives]),
        least=(planning.gate.at_least if planning.gate is not None else None) or 0.0,
        confidence_level=planning.confidence_level,
        seed=seed,
        against=against,
    )
    source = {"name": path.name, "sha256": _sha256(text), "source": f"file {path.name}"}
    settings = {"objectives": [one.name for one in objectives], "against": against, "seed": seed}
    return [planning.planned(evaluation, source=source, settings=settings)]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _callables(planning: Planning) -> Mapping[str, Callable[..., Any]]:
    """Return the functions that the marker names."""
    given = planning.keywords.get("callables", {})
    if not isinstance(given, Mapping) or not all(isinstance(n, str) and callable(f) for n, f in given.items()):
        must = "a dict of names to functions, such as {'brevity': brevity}"
        raise invalid_parameter("callables", planning.measure.name, must, repr(given)[:200])
    return given


def _called(
    planning: Planning, entry: JsonObject, where: str, path: Path, callables: Mapping[str, Callable[..., Any]]
) -> Objective:
    """Return an objective that is a function of the project."""
    _check_fields(entry, CALLABLE_FIELDS, where)
    name = entry["callable"]
    if not isinstance(name, str):
        raise DatasetError(f"{where}: 'callable' must be the name of a function in callables=, not {shown(name)}.")
    if name not in callables:
        hint = did_you_mean(str(name), callables)
        raise InvalidParameterError(
            f"{where}: the marker names no function {name!r}.{hint} Add callables={{{str(name)!r}: ...}} to it."
        )
    function, direction = callables[name], _direction(entry, where)
    version = entry.get("version", "")
    if not isinstance(version, str):
        raise DatasetError(f"{where}: 'version' must be a text such as '2', not {shown(version)}.")
    identity = [_source_of(function), version]
    evaluation: CallableObjective | ResponseObjective
    if "prompts" not in entry:
        for field in ("max_new_tokens", "temperature"):
            if field in entry:
                raise DatasetError(
                    f"{where}: {field!r} says how responses are written; add 'prompts', or leave it out."
                )
        evaluation = CallableObjective(entry["name"], function)
        content = [entry["name"], str(name), *identity]
    else:
        prompts = _prompts(entry["prompts"], where, path)
        writing = dataclasses.replace(
            WRITING,
            **{field: entry[field] for field in ("max_new_tokens", "temperature") if field in entry},
            seed=planning.choose("seed"),
        )
        evaluation = ResponseObjective(entry["name"], function, prompts, writing, planning.settings["template"])
        content = [entry["name"], str(name), *identity, *prompts]
    part = _part(planning, entry["name"], direction, evaluation, _sha256(json.dumps(content)))
    return Objective(entry["name"], direction, evaluation, part=part)


def _source_of(function: Callable[..., object]) -> str:
    """Return the source of a function, else its name: what is not written in Python is told apart by its version.

    An object that is called is the source of its class and what it holds, a partial its function and arguments.
    """
    if isinstance(function, functools.partial):
        return json.dumps([_source_of(function.func), _held(function.args), _held(function.keywords)])
    if not inspect.isroutine(function) and not inspect.isclass(function):
        return json.dumps([_source_of(type(function)), _held(getattr(function, "__dict__", {}))])
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _held(values: object) -> str:
    """Return plain values as text, and others by their type, because an address changes in every run."""
    try:
        return json.dumps(values, skipkeys=True, default=lambda one: type(one).__qualname__)
    except (ValueError, RecursionError):
        # It holds itself.
        return type(values).__qualname__


def _check_fields(entry: Mapping[str, object], known: Sequence[str], where: str) -> None:
    for field in entry:
        if field not in known:
            hint = did_you_mean(str(field), known)
            raise DatasetError(f"{where}: unknown field {field!r}.{hint} Known: {', '.join(known)}.")


def _prompts(given: object, where: str, path: Path) -> tuple[str, ...]:
    """Return prompts from a list, or from a text file with one a line."""
    if isinstance(given, str):
        lines = read_text(_beside(path, given, where), what="file of prompts", holds="prompt").splitlines()
        given = [line.strip() for line in lines if line.strip()]
    if not isinstance(given, list) or len(given) < 2 or not all(isinstance(one, str) and one.strip() for one in given):
        raise DatasetError(
            f"{where}: 'prompts' must be a list of at least two texts, or a text file with one a line, not "
            f"{str(given)[:80]!r}."
        )
    return tuple(given)


def _beside(path: Path, name: str, where: str) -> Path:
    try:
        return file_beside(path, name)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error


def _direction(entry: Mapping[str, object], where: str) -> str:
    direction = entry.get("direction", "higher")
    if direction not in ("higher", "lower"):
        raise DatasetError(f"{where}: 'direction' must be 'higher' or 'lower', not {direction!r}.")
    return str(direction)


def _part(planning: Planning, name: str, direction: str, evaluation: Evaluation, sha256: str) -> PlannedGate:
    """Return the measurement of an objective that is not a built-in measure, as a baseline stores it."""
    better = "lower" if direction == "lower" else "higher"
    measure = Measure("objective", better, name, f"the objective {name!r}", unit=UNITS, data="objectives")
    return PlannedGate(
        measure,
        planning.dataset,
        evaluation,
        None,
        planning.confidence_level,
        source={"name": name, "sha256": sha256, "source": planning.dataset},
        population=name,
    )


def _measured(planning: Planning, entry: JsonObject, where: str, path: Path) -> Objective:
    """Return an objective that is one of our measures."""
    name = entry["measure"]
    known = [one for one in planning.planners if one != ITSELF]
    if name not in known:
        hint = did_you_mean(str(name), known)
        raise DatasetError(f"{where}: unknown measure {name!r}.{hint} Known: {', '.join(known)}.")
    planner = planning.planners[name]
    measure = planner.MEASURE
    keywords = {word: value for word, value in entry.items() if word not in (*COMMON_FIELDS, "measure", "dataset")}
    unknown = [word for word in keywords if word not in planner.KEYWORDS]
    if unknown:
        hint = did_you_mean(unknown[0], planner.KEYWORDS, "; did you mean {!r}?")
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
    return Objective(entry["name"], measure.direction, plans[0].evaluation, part=plans[0])


def _external(planning: Planning, entry: JsonObject, where: str, path: Path) -> Objective:
    """Return an objective whose scores were computed elsewhere."""
    _check_fields(entry, EXTERNAL_FIELDS, where)
    scores = entry["scores"]
    if isinstance(scores, str):
        beside = _beside(path, scores, where)
        scores = json_document(read_text(beside, what="file of scores", holds="score"), beside)
    if not isinstance(scores, Mapping) or not all(isinstance(rows, Mapping) and rows for rows in scores.values()):
        raise DatasetError(f"{where}: 'scores' must give for each model an object of units and numbers. {REMEDY}")
    direction = _direction(entry, where)
    stored = planning.keywords.get("against") == "baseline"
    if stored and "reference" in planning.keywords:
        raise InvalidParameterError("reference= names a model beside against='baseline'. Leave one of the two out.")
    sides = []
    for role in ("candidate",) if stored else ("candidate", "reference"):
        model = planning.keywords.get(role)
        if not isinstance(model, str):
            raise InvalidParameterError(
                f"{where}: external scores need to know whose they are: add {role}= with the name of a model "
                f"({', '.join(map(repr, list(scores)[:4]))})."
            )
        if model not in scores:
            hint = did_you_mean(model, list(scores))
            raise DatasetError(f"{where}: has no scores of {model!r}.{hint} It has {', '.join(map(repr, scores))}.")
        for unit, value in scores[model].items():
            if not is_number(value):
                raise DatasetError(
                    f"{where}: the score of {model!r} for {unit!r} must be a finite number, not {shown(value)}."
                )
        sides.append({str(unit): float(value) for unit, value in scores[model].items()})
    if stored:
        external = ExternalObjective(sides[0])
        digest = _sha256(json.dumps(sorted(sides[0])))
        part = _part(planning, entry["name"], direction, external, digest)
        return Objective(entry["name"], direction, external, part=part)
    if set(sides[0]) != set(sides[1]):
        only = sorted(set(sides[0]) ^ set(sides[1]))
        raise DatasetError(
            f"{where}: the two models have scores of different units ({only[0]!r} and {len(only) - 1} more), which "
            "cannot be paired."
        )
    return Objective(entry["name"], direction, None, sides[0], sides[1])
