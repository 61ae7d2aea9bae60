"""Plan the gates of the marker ``overton_win_rate``: the model under test against the reference model."""

from __future__ import annotations

from typing import Any

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.records.measures import Measure, Term
from pytest_pluralism.core.words import QUERIES
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.overton import planner as overton_planner
from pytest_pluralism.evaluation.overton.pairwise import CoverageJudge, ModelJudge, PairwiseEvaluation, PairwiseJudge
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "plan"]

MEASURE = Measure(
    "overton_win_rate",
    "higher",
    "Overton win rate",
    "how often the responses of a model are wider than those of the reference model, by a judge",
    lowest=0.0,
    highest=1.0,
    kind="share",
    unit=QUERIES,
    data="windows",
    references=(Term("even", "equally wide"), Term("share_of_ties", "share of ties")),
    beside="even",
)

#: What decides which of two responses is wider.
JUDGES = ("coverage", "model")

#: Settings of coverage that a comparison of two responses has no use for.
UNUSED = ("draws", "controls", "word_budgets", "second_opinion")

OWN = tuple(name for name in overton_planner.OWN if name not in UNUSED)

KEYWORDS = (*OWN, "judge", "margin", "responses", "rivals")

DATASET = overton_planner.DATASET
EXAMPLE = overton_planner.EXAMPLE


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate of one marker.

    Raises
    ------
    PluralismError
        The windows, the settings, the judge or the recorded responses are wrong.
    """
    chosen = {name: planning.keywords[name] for name in OWN if name in planning.keywords}
    settings = OvertonSettings(**{**chosen, **{name: planning.choose(name) for name in ("template", "seed")}})
    windows = overton_planner.windows_of(planning)
    name, margin = planning.keywords.get("judge", "coverage"), planning.keywords.get("margin", 0.0)
    if name not in JUDGES:
        must = "one of " + ", ".join(map(repr, JUDGES))
        raise invalid_parameter("judge", planning.measure.name, must, repr(name))
    judge: PairwiseJudge = CoverageJudge(settings, margin) if name == "coverage" else ModelJudge(margin=margin)
    recorded = {word: overton_planner.recorded_of(planning, windows, word) for word in ("responses", "rivals")}
    texts = {word: None if one is None else one.responses for word, one in recorded.items()}
    described: dict[str, Any] = {"judge": name, "margin": margin, **settings.as_json()}
    described |= {word: {"name": one.name, "sha256": one.sha256} for word, one in recorded.items() if one is not None}
    evaluation = PairwiseEvaluation(windows, judge, settings, texts["responses"], texts["rivals"])
    source = {"name": windows.name, "sha256": windows.sha256, "source": windows.source}
    return [planning.planned(evaluation, source=source, settings=described)]
