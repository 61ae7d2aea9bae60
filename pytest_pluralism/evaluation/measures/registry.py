"""The registry of measures; free of numpy, because the plugin reads the names when it loads.

A new measure is a line here. The module that the line names follows
:class:`pytest_pluralism.evaluation.measures.planning.Planner`, and its ``MEASURE`` says everything about the measure.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.records.measures import Measure

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.measures.planning import Planner

__all__ = ["MEASURES", "PLANNERS", "planner_of"]

#: The module that plans the gates of each marker; imported when a test first has that marker.
PLANNERS: dict[str, str] = {
    "js_distance": "pytest_pluralism.evaluation.surveys.planner",
    "answer_entropy": "pytest_pluralism.evaluation.surveys.entropy",
    "overton_coverage": "pytest_pluralism.evaluation.overton.planner",
    "overton_win_rate": "pytest_pluralism.evaluation.overton.pairwise_planner",
    "false_balance": "pytest_pluralism.evaluation.overton.false_balance_planner",
    "steering_faithfulness": "pytest_pluralism.evaluation.steering.planner",
    "trade_off_steerability": "pytest_pluralism.evaluation.objectives.trade_off_planner",
    "pareto_improvement": "pytest_pluralism.evaluation.objectives.pareto_planner",
    "jury_welfare": "pytest_pluralism.evaluation.jury.planner",
}


def planner_of(name: str, /) -> Planner:
    """Return the planner of a measure."""
    return cast("Planner", importlib.import_module(PLANNERS[name]))


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
