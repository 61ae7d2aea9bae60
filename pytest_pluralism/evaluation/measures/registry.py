"""The registry of measures; free of numpy, because the plugin reads the names when it loads.

A new measure is a line here. The module that the line names follows
:class:`pytest_pluralism.evaluation.measures.planning.Planner`, and its ``MEASURE`` says everything about the measure.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.words import UNIT_COLUMNS, UNITS

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.measures.planning import Planner

__all__ = ["MEASURES", "PLANNERS", "Planners", "measure_of", "planner_of"]

#: The module that plans the gates of each marker; imported when a test first has that marker.
PLANNERS: dict[str, str] = {
    "js_distance": "pytest_pluralism.evaluation.surveys.planner",
    "answer_entropy": "pytest_pluralism.evaluation.surveys.entropy",
    "overton_coverage": "pytest_pluralism.evaluation.overton.planner",
    "overton_win_rate": "pytest_pluralism.evaluation.overton.pairwise",
    "false_balance": "pytest_pluralism.evaluation.overton.false_balance_planner",
    "steering_faithfulness": "pytest_pluralism.evaluation.steering.planner",
    "steered_distance": "pytest_pluralism.evaluation.steering.distances",
    "trade_off_steerability": "pytest_pluralism.evaluation.objectives.trade_offs",
    "pareto_improvement": "pytest_pluralism.evaluation.objectives.pareto_planner",
    "preference_accuracy": "pytest_pluralism.evaluation.preferences.planner",
    "jury_welfare": "pytest_pluralism.evaluation.jury.planner",
    "jury_choice": "pytest_pluralism.evaluation.jury.elected",
}


def planner_of(name: str, /) -> Planner:
    """Return the planner of a measure."""
    return cast("Planner", importlib.import_module(PLANNERS[name]))


class Planners(Mapping[str, "Planner"]):
    """The planners by measure: those of the package, each imported when it is first wanted, and those of a project.

    Parameters
    ----------
    brought : mapping of str to Planner
        The planners that hooks bring.
    """

    def __init__(self, brought: Mapping[str, Planner] | None = None) -> None:
        self._brought = dict(brought or {})

    def __getitem__(self, name: str) -> Planner:
        return self._brought[name] if name in self._brought else planner_of(name)

    def __contains__(self, name: object) -> bool:
        return name in PLANNERS or name in self._brought

    def __iter__(self) -> Iterator[str]:
        yield from PLANNERS
        yield from self._brought

    def __len__(self) -> int:
        return len(PLANNERS) + len(self._brought)


class _Measures(Mapping[str, Measure]):
    """The measures by name; the module of one is imported when it is first read."""

    def __getitem__(self, name: str) -> Measure:
        return planner_of(name).MEASURE

    def __contains__(self, name: object) -> bool:
        return name in PLANNERS

    def __iter__(self) -> Iterator[str]:
        return iter(PLANNERS)

    def __len__(self) -> int:
        return len(PLANNERS)


MEASURES: Mapping[str, Measure] = _Measures()


def measure_of(entry: Mapping[str, object], /) -> Measure:
    """Return the measure of a verdict in a report or of a result in a baseline.

    It is the one that the entry carries; else the one of the registry, for entries of earlier versions; else one that
    has the name of the metric and the words that all measures share.
    """
    carried = entry.get("measure")
    if isinstance(carried, Mapping):
        return Measure.from_json(carried)
    name = str(entry.get("metric"))
    if name in MEASURES:
        return MEASURES[name]
    direction = "lower" if entry.get("direction") == "lower" else "higher"
    return Measure(name, direction, name.replace("_", " "), unit=UNITS, columns=UNIT_COLUMNS)
