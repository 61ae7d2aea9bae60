"""Plans the gates of the markers ``overton_coverage`` and ``false_balance``: one a window set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.core.records import WindowSet
from pytest_pluralism.datasets.windows.loading import EMBEDDED_WINDOWS, load_windows
from pytest_pluralism.datasets.windows.responses import RecordedResponses, read_responses
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation
from pytest_pluralism.evaluation.overton.false_balance import FalseBalanceEvaluation
from pytest_pluralism.evaluation.overton.published import ModularOvertonEvaluation
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "OWN", "plan", "recorded_of", "windows_of"]

#: Keywords that are settings of the evaluation itself; ``template`` and ``seed`` override those of the run.
OWN = tuple(field.name for field in dataclasses.fields(OvertonSettings))

KEYWORDS = (*OWN, "responses", "protocol")

DATASET = "the name or file of a set of windows"
EXAMPLE = "contested"

PROTOCOLS = ("sound", "modular_pluralism")

#: What a verdict is called by its score.
TITLES = {
    "coverage": "Overton coverage",
    "soft_coverage": "soft Overton coverage",
    "sided_coverage": "Overton coverage of the worst side",
    "f1": "F1 against the Overton window",
}


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate of one marker.

    Raises
    ------
    PluralismError
        The windows, the settings or the recorded responses are wrong.
    """
    protocol = _protocol(planning)
    chosen = {name: planning.keywords[name] for name in OWN if name in planning.keywords}
    for name in ("template", "seed"):
        chosen[name] = planning.choose(name)
    if isinstance(chosen.get("word_budgets"), list):
        chosen["word_budgets"] = tuple(chosen["word_budgets"])
    settings = OvertonSettings(**chosen)
    windows = windows_of(planning)
    recorded = recorded_of(planning, windows, "responses")
    responses = None if recorded is None else recorded.responses
    if protocol == "modular_pluralism":
        published = ModularOvertonEvaluation(windows, settings.seed, responses)
        return [_planned(planning, published, windows, published.as_json(), recorded)]
    evaluation: OvertonEvaluation | FalseBalanceEvaluation
    if planning.measure.name == "false_balance":
        if "score" in planning.keywords:
            raise invalid_parameter("score", "false_balance", "left out: there is one score", repr(chosen["score"]))
        evaluation = FalseBalanceEvaluation(windows, settings, responses)
        measure = planning.measure
    else:
        evaluation = OvertonEvaluation(windows, settings, responses)
        measure = dataclasses.replace(planning.measure, title=TITLES[settings.score])
    planned = _planned(planning, evaluation, windows, {"protocol": "sound", **settings.as_json()}, recorded)
    return [dataclasses.replace(planned, measure=measure)]


def _planned(
    planning: Planning,
    evaluation: Any,
    windows: WindowSet,
    settings: dict[str, Any],
    recorded: RecordedResponses | None,
) -> PlannedGate:
    if recorded is not None:
        settings = {**settings, "responses": {"name": recorded.name, "sha256": recorded.sha256}}
    source = {"name": windows.name, "sha256": windows.sha256, "source": windows.source}
    return planning.planned(evaluation, source=source, settings=settings)


def _protocol(planning: Planning) -> str:
    """Return the protocol: one that is meant for this marker, or the sound one where the run has another."""
    if "protocol" not in planning.keywords:
        run = str(planning.settings["protocol"])
        return run if run in PROTOCOLS and planning.measure.name == "overton_coverage" else "sound"
    protocol = planning.keywords["protocol"]
    if protocol not in PROTOCOLS:
        must = "one of " + ", ".join(map(repr, PROTOCOLS))
        raise invalid_parameter("protocol", planning.measure.name, must, repr(protocol))
    if protocol != "sound":
        if planning.measure.name != "overton_coverage":
            raise invalid_parameter("protocol", planning.measure.name, "'sound'", repr(protocol))
        fixed = [name for name in OWN if name in planning.keywords and name != "seed"]
        if fixed:
            planning.problems.append(
                f"{fixed[0]}={planning.keywords[fixed[0]]!r} cannot be chosen under the protocol {protocol!r}, which "
                "decides everything but the seed. Leave it out, or use protocol='sound'."
            )
    return str(protocol)


def windows_of(planning: Planning, /) -> WindowSet:
    """Return the windows that a marker names."""
    name = planning.dataset
    if not isinstance(name, str) or not name:
        must = "the name or file of a set of windows, a str"
        raise invalid_parameter("dataset", planning.measure.name, must, repr(name))
    if name in EMBEDDED_WINDOWS:
        return load_windows(name)
    # A folder is found by the file that it must hold.
    votes = planning.find_file(f"{name}/participants-votes.csv")
    if votes.is_file():
        return load_windows(votes.parent)
    path = planning.find_file(name)
    return load_windows(path if path.exists() else name)


def recorded_of(planning: Planning, windows: WindowSet, keyword: str, /) -> RecordedResponses | None:
    """Return the recorded responses that a keyword of a marker names, if it is there."""
    name = planning.keywords.get(keyword)
    if name is None:
        return None
    if not isinstance(name, str) or not name:
        raise invalid_parameter(keyword, planning.measure.name, "the name of a file, a str", repr(name))
    path = planning.find_file(name)
    if not Path(path).is_file():
        raise DatasetError(f"{name}: there is no such file of responses, neither beside the test nor under the root.")
    return read_responses(path, queries=[window.query_id for window in windows.windows])
