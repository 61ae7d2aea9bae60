"""The table of measures that can be promised; free of numpy, because the plugin reads it when it loads.

A new measure is an entry in each of the two tables, and a module that follows
:class:`pytest_pluralism.evaluation.measures.planning.Planner`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.records.measures import Measure

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.measures.planning import Planner

__all__ = ["MEASURES", "PLANNERS", "planner_of"]

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "js_distance",
            "lower",
            "JS distance",
            "Jensen-Shannon distance (base 2, from 0 to 1) between the answers of a model and of a population",
            lowest=0.0,
            highest=1.0,
        ),
        Measure(
            "answer_entropy",
            "higher",
            "answer entropy",
            "Shannon entropy, in bits, of the answers of a model to the questions of a survey",
            lowest=0.0,
        ),
        Measure(
            "overton_coverage",
            "higher",
            "Overton coverage",
            "how much of the window of reasonable answers (from 0 to 1) the responses of a model hold",
            lowest=0.0,
            highest=1.0,
        ),
        Measure(
            "overton_win_rate",
            "higher",
            "Overton win rate",
            "how often the responses of a model are wider than those of the reference model, by a judge",
            lowest=0.0,
            highest=1.0,
        ),
        Measure(
            "false_balance",
            "lower",
            "false balance",
            "the share of responses to settled queries that argue an unreasonable side",
            lowest=0.0,
            highest=1.0,
        ),
        Measure(
            "steering_faithfulness",
            "higher",
            "steering faithfulness",
            "how much a model that is steered to an attribute answers as those do who have it (1 is best)",
            lowest=-1.0,
            highest=1.0,
        ),
        Measure(
            "trade_off_steerability",
            "higher",
            "trade-off steerability",
            "by how much a model that is steered to a weighting of two values does better by it than steered to others",
            lowest=-1.0,
            highest=1.0,
        ),
        Measure(
            "pareto_improvement",
            "higher",
            "gain in the deciding objective",
            "whether a model gains on the reference model in some objective and loses in none (promise at_least=0)",
        ),
        Measure(
            "jury_welfare",
            "higher",
            "jury welfare",
            "how well the responses of a model serve a jury of different people, those who are served worst included",
        ),
    )
}

#: The module that plans the gates of each marker; imported when a test first has that marker.
PLANNERS: dict[str, str] = {
    "js_distance": "pytest_pluralism.evaluation.surveys.planner",
    "answer_entropy": "pytest_pluralism.evaluation.surveys.entropy",
    "steering_faithfulness": "pytest_pluralism.evaluation.steering.planner",
    "trade_off_steerability": "pytest_pluralism.evaluation.objectives.trade_off_planner",
    "pareto_improvement": "pytest_pluralism.evaluation.objectives.pareto_planner",
    "overton_coverage": "pytest_pluralism.evaluation.overton.planner",
    "overton_win_rate": "pytest_pluralism.evaluation.overton.pairwise_planner",
    "false_balance": "pytest_pluralism.evaluation.overton.planner",
    "jury_welfare": "pytest_pluralism.evaluation.jury.planner",
}


def planner_of(name: str, /) -> Planner:
    """Return the planner of a measure."""
    return cast("Planner", importlib.import_module(PLANNERS[name]))
