"""The records that cross borders inside the package: frozen, made of plain Python values, free of numpy.

Nothing here computes a measure or decides anything.
Live objects (models, pytest items, arrays on a device) never go into a record.
"""

from __future__ import annotations

from pytest_pluralism.core.records.asked import AnswerDistribution, Question, Survey, Window, WindowAnswer, WindowSet
from pytest_pluralism.core.records.estimates import Estimate
from pytest_pluralism.core.records.how import IntervalKind, IntervalMethod
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.records.prompts import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    RequestName,
    Response,
    RewardRequest,
    Turn,
    more_draws,
    sampled_answer,
)
from pytest_pluralism.core.records.scores import Crossed, Drawn, Scores, UnitScore, Witness
from pytest_pluralism.core.records.verdicts import Gate, Outcome, Provenance, ReportEntry, Verdict

__all__ = [
    "Answer",
    "AnswerDistribution",
    "Crossed",
    "Drawn",
    "EntailmentPair",
    "EntailmentScores",
    "Estimate",
    "FullAnswerPrompt",
    "FullAnswerScores",
    "Gate",
    "GenerationSettings",
    "IntervalKind",
    "IntervalMethod",
    "Measure",
    "Outcome",
    "Prompt",
    "Provenance",
    "Question",
    "ReportEntry",
    "RequestName",
    "Response",
    "RewardRequest",
    "Scores",
    "Survey",
    "Turn",
    "UnitScore",
    "Verdict",
    "Window",
    "WindowAnswer",
    "WindowSet",
    "Witness",
    "more_draws",
    "sampled_answer",
]
