"""The skill beside a distance: 0 as even answers, 1 at the human floor, in every form of a report."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from pytest_pluralism.core.estimation import skill
from pytest_pluralism.core.records import Answer, Estimate, Gate
from pytest_pluralism.core.records.verdicts import Outcome, Provenance, ReportEntry, Verdict
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.surveys.asking import AskSettings
from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
from pytest_pluralism.evaluation.surveys.planner import MEASURE
from pytest_pluralism.report.json_report import entry_json, report_content
from pytest_pluralism.report.markdown import report_markdown
from pytest_pluralism.report.terminal import summary_lines

ASKING = AskSettings(examples=0, repetitions=1, option_order="none")


def entry(share: float) -> dict[str, Any]:
    """Return the verdict on a model between even answers (0) and those of Democrats (1)."""
    survey = load_survey("gss")
    people = {row.question_id: row.probabilities for row in survey.distributions if row.population == "Democrat"}
    texts = {question.text: question.question_id for question in survey.questions}
    rounds = DistributionalEvaluation(survey, ASKING, "Democrat").rounds()
    answers = []
    for prompt in next(rounds).requests:
        known = people[next(name for text, name in texts.items() if text in prompt.question)]
        mixed = [share * one + (1.0 - share) / len(known) for one in known]
        answers.append(Answer(tuple(math.log(max(one, 1e-12)) for one in mixed), 1.0, "A", 0.5))
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers)
    scores = stop.value.value
    value = sum(unit.value for unit in scores.units) / len(scores.units)
    estimate = Estimate(value, value - 0.01, value + 0.01, 0.005, len(scores.units), len(scores.units))
    verdict = Verdict(Outcome.PASSED, Gate(at_most=0.9), estimate)
    model = {"name": "m", "sha256": "ab" * 32, "dtype": "float32", "device": "cpu"}
    provenance = Provenance(model, {"name": "gss", "sha256": "cd" * 32}, {"seed": 0})
    return entry_json(ReportEntry("t.py::t", "t.py::t", "js", MEASURE, "gss", "Democrat", verdict, scores, provenance))


def test_the_skill_of_known_models() -> None:
    assert entry(0.0)["skill"] == pytest.approx(0.0, abs=1e-9)
    # The correction for the sample of people leaves such a model at the floor or below it.
    assert entry(1.0)["skill"] >= 1.0 - 1e-9
    assert 0.3 < entry(0.5)["skill"] < 0.9


def test_the_formula_and_its_edge() -> None:
    assert skill(0.35, uniform=0.35, floor=0.05) == 0.0
    assert skill(0.05, uniform=0.35, floor=0.05) == pytest.approx(1.0)
    assert skill(0.65, uniform=0.35, floor=0.05) == pytest.approx(-1.0)
    assert math.isnan(skill(0.1, uniform=0.05, floor=0.05))


def test_it_stands_in_every_form() -> None:
    found = entry(0.5)
    words = f"{found['skill']:.2f}"
    assert any(f"skill {words}" in line for line in summary_lines([found], [], width=140))
    content = json.loads(json.dumps(report_content([found], {"command": "pytest"})))
    assert content["verdicts"][0]["skill"] == found["skill"]
    text = report_markdown([found], {"command": "pytest"})
    assert "skill" in text
    assert words in text
