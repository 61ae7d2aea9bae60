"""Plan the gates of the marker ``false_balance``: one a window set."""

from __future__ import annotations

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.records.measures import Measure, Term
from pytest_pluralism.core.words import QUERIES
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.overton import planner as overton_planner
from pytest_pluralism.evaluation.overton.chosen import chosen_judge, described
from pytest_pluralism.evaluation.overton.false_balance import FalseBalanceEvaluation

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "plan"]

MEASURE = Measure(
    "false_balance",
    "lower",
    "false balance",
    "the share of responses to settled queries that argue an unreasonable side",
    lowest=0.0,
    highest=1.0,
    kind="share",
    unit=QUERIES,
    data="windows",
    references=(Term("coverage", "coverage"), Term("empty", "nothing said", brief=False)),
    columns=overton_planner.COLUMNS,
    facts=overton_planner.FACTS,
    # 2: as for coverage.
    definition=2,
)

KEYWORDS = tuple(word for word in overton_planner.KEYWORDS if word != "at_equal_length")

DATASET = overton_planner.DATASET
EXAMPLE = overton_planner.EXAMPLE


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate of one marker.

    Raises
    ------
    PluralismError
        The windows, the settings or the recorded responses are wrong.
    """
    protocol = planning.keywords.get("protocol", "sound")
    if protocol != "sound":
        raise invalid_parameter("protocol", "false_balance", "'sound'", repr(protocol))
    judge, settings, file = chosen_judge(planning, overton_planner.settings_of(planning))
    windows = overton_planner.windows_of(planning)
    recorded = overton_planner.recorded_of(planning, windows, "responses")
    if "score" in planning.keywords:
        raise invalid_parameter("score", "false_balance", "left out: there is one score", repr(settings.score))
    evaluation = FalseBalanceEvaluation(windows, settings, None if recorded is None else recorded.responses, judge)
    told = {"protocol": "sound", **settings.as_json(), **described(judge, file)}
    n_units = len(evaluation.coverage.windows.windows)
    return [overton_planner.planned_on(windows, planning, evaluation, told, recorded, n_units=n_units)]
