"""Bounds beside faithfulness: a group is not its commonest answer, and a group and its opposite must part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.metrics import entropy
from pytest_pluralism.core.records import Answer, Gate, Outcome, Question, Scores, Verdict
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.datasets.steering.file import SteeringSet, steering_of_survey
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.steering.bounds import SteeringBounds, check_bounds
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation, SteeringSettings
from pytest_pluralism.evaluation.surveys.asking import AskSettings

ASKING = AskSettings(examples=0, repetitions=1, option_order="none")

AnswerAs = Callable[[str, Question], Sequence[float]]


@pytest.fixture(scope="module")
def gss() -> SteeringSet:
    return steering_of_survey(load_survey("gss"))


def measured(steering: SteeringSet, answer_as: AnswerAs, bounds: SteeringBounds, score: str = "mode") -> Scores:
    """Return the scores of a model for Democrats, which answers as it is told for the party that a prompt names."""
    settings = SteeringSettings(score=score, checks=("unsteered", "family"))
    rounds = SteerableEvaluation(steering, ASKING, settings, "Democrat", bounds).rounds()
    asked = next(rounds)
    questions = {question.text: question for question in steering.survey.questions}
    who = {one.who: one.name for one in steering.attributes}
    answers = []
    for prompt in asked.requests:
        question = next(question for text, question in questions.items() if text in prompt.question)
        side = next((name for words, name in who.items() if words in prompt.question), "")
        shares = np.maximum(answer_as(side, question), 1e-12)
        answers.append(Answer(tuple(float(math.log(one)) for one in shares / shares.sum()), 1.0, "A", 0.5))
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers)
    found: Scores = stop.value.value
    return found


def people(steering: SteeringSet) -> dict[tuple[str, str], np.ndarray]:
    rows = steering.survey.distributions
    return {(row.population, row.question_id): np.asarray(row.probabilities) for row in rows}


def model_of(steering: SteeringSet, kind: str) -> AnswerAs:
    table = people(steering)
    other = {"Democrat": "Republican", "Republican": "Democrat"}

    def answer_as(side: str, question: Question) -> Sequence[float]:
        name = side or "US adults"
        if kind == "the same for all":
            name = "US adults"
        if kind == "turned round":
            name = other.get(name, name)
        known = table[name, question.question_id]
        if kind == "modal":
            return [float(place == known.argmax()) for place in range(len(known))]
        if kind == "middle":
            places = np.arange(len(known))
            return np.asarray(np.abs(places - round(float(known @ places))) < 0.5, dtype=np.float64).tolist()
        return known.tolist()

    return answer_as


def verdict_of(scores: Scores, least: float = 0.5) -> Verdict:
    return guarded(decide(Gate(at_least=least), estimate_scores(scores)), scores.guards)


@pytest.mark.parametrize(
    ("kind", "bounds", "outcome"),
    [
        # By its modes alone the model that knows one answer of each group is perfect.
        ("modal", SteeringBounds(), Outcome.PASSED),
        ("modal", SteeringBounds(entropy_ratio=0.5), Outcome.FAILED),
        ("modal", SteeringBounds(spread_ratio=0.5), Outcome.FAILED),
        ("people", SteeringBounds(entropy_ratio=0.9, spread_ratio=0.9, contrast=0.9), Outcome.PASSED),
        ("people", SteeringBounds(entropy_ratio=1.2), Outcome.FAILED),
    ],
)
def test_a_group_is_not_its_commonest_answer(
    gss: SteeringSet, kind: str, bounds: SteeringBounds, outcome: Outcome
) -> None:
    verdict = verdict_of(measured(gss, model_of(gss, kind), bounds))
    assert verdict.outcome is outcome
    assert ("of the people's" in verdict.reason) == (outcome is Outcome.FAILED)


@pytest.mark.parametrize(
    ("kind", "contrast", "outcome"),
    [
        ("people", 0.5, Outcome.PASSED),
        ("the same for all", 0.2, Outcome.FAILED),
        ("turned round", 0.0, Outcome.FAILED),
        # Exactly no contrast is at least none.
        ("the same for all", 0.0, Outcome.PASSED),
    ],
)
def test_a_group_and_its_opposite_must_part(gss: SteeringSet, kind: str, contrast: float, outcome: Outcome) -> None:
    scores = measured(gss, model_of(gss, kind), SteeringBounds(contrast=contrast), score="js")
    assert verdict_of(scores).outcome is outcome
    (guard,) = scores.guards
    (pair,) = scores.details["opposite"]
    assert guard.estimate.value == pytest.approx(pair["contrast"] - contrast)


def test_the_guard_of_the_entropy_is_the_difference_in_bits(gss: SteeringSet) -> None:
    scores = measured(gss, model_of(gss, "modal"), SteeringBounds(entropy_ratio=0.5))
    (guard,) = scores.guards
    theirs = [float(entropy(unit.reference_probabilities)) for unit in scores.units]
    assert guard.estimate.value == pytest.approx(-0.5 * float(np.mean(theirs)), abs=1e-6)


def test_a_spread_along_a_declared_scale_is_warned_of(gss: SteeringSet) -> None:
    survey = gss.survey
    placed = replace(
        survey,
        questions=tuple(
            replace(question, positions=tuple(map(float, range(len(question.options)))))
            for question in survey.questions
        ),
    )
    ordered = replace(gss, survey=placed)
    flat = measured(ordered, model_of(ordered, "middle"), SteeringBounds())
    assert flat.details["flattening"]["spread_ratio"] == pytest.approx(0.0, abs=1e-6)
    whole = measured(ordered, model_of(ordered, "people"), SteeringBounds())
    assert whole.details["flattening"]["spread_ratio"] == pytest.approx(1.0, abs=1e-6)
    assert not any("spread less" in warning for warning in whole.warnings)


@pytest.mark.parametrize(
    ("bounds", "gate", "changes", "words"),
    [
        ({"entropy_ratio": 0.0}, Gate(at_least=0.5), {}, "least_entropy_ratio.*a finite number above 0"),
        ({"spread_ratio": True}, Gate(at_least=0.5), {}, "least_spread_ratio.*a finite number above 0"),
        ({"contrast": float("nan")}, Gate(at_least=0.5), {}, "least_contrast.*a finite number"),
        ({"entropy_ratio": 0.5}, Gate(max_decrease=0.1), {}, "stands beside a promise about the value"),
        ({"entropy_ratio": 0.5}, Gate(at_least=0.5), {"kind": "choice"}, "one right answer each"),
        ({"contrast": 0.5}, Gate(at_least=0.5), {"can_contrast": False}, "needs an attribute with an 'opposite'"),
    ],
)
def test_bounds_that_say_nothing_are_refused(
    bounds: dict[str, Any], gate: Gate, changes: dict[str, Any], words: str
) -> None:
    known = {"kind": "distribution", "can_contrast": True, **changes}
    with pytest.raises(InvalidParameterError, match=words):
        check_bounds(SteeringBounds(**bounds), gate, **known)
