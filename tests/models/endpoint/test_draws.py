"""Letters that are drawn and counted: as many as a promise needs, and never one that was paid for twice."""

from __future__ import annotations

import contextlib
import json
from collections import Counter

import pytest

from pytest_pluralism.core.records import Gate
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.asking.drawing import Promised
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.surveys.asking import AskSettings
from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
from pytest_pluralism.models.answers.store import AnswerStore

LEVEL, CHANGE = Promised(Gate(at_most=0.5)), Promised(Gate(max_increase=0.01))


@pytest.fixture
def evaluation(tmp_path):
    rows = [
        {
            "question_id": f"q{number}",
            "question": f"Should the town do thing number {number}?",
            "options": ["Yes", "No"],
            "distributions": [{"population": "North", "probabilities": [0.4, 0.6]}],
        }
        for number in range(3)
    ]
    path = tmp_path / "town.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return DistributionalEvaluation(load_survey(str(path)), AskSettings(examples=0, repetitions=2), "North")


def drawn(served):
    """Return how many texts were asked for to each prompt since the last call."""
    by_prompt = Counter()
    for one in served.log:
        if "thing number" in str(one.body):
            by_prompt[json.dumps(one.body["messages"])] += one.body.get("n", 1)
    served.log.clear()
    return sorted(set(by_prompt.values())), len(by_prompt)


@pytest.mark.whole
def test_stored_letters_are_topped_up_to_what_a_promise_needs(serve, opened, evaluation, tmp_path):
    served = serve(routes=("/chat/completions",), cap=0)
    spec = served.spec + "?timeout=60&patience=120"
    with AnswerStore(tmp_path / "answers") as store:

        def run(model, promised, engine=None):
            engine = engine or Engine(
                store=lambda: store, note=lambda text: None, progress=lambda text: contextlib.nullcontext()
            )
            found, _ = engine.measure(evaluation, lambda role: model, promised=promised)
            assert all(unit.details["n_draws"] > 0 for unit in found.units)
            return engine

        model = opened(spec)
        engine = run(model, LEVEL)
        # 100 texts a question, in two prompts.
        assert drawn(served) == ([50], 6)
        run(model, LEVEL, engine)
        assert drawn(served) == ([], 0)
        # In the same run another promise needs more of them, up to the cap.
        run(model, CHANGE, engine)
        assert drawn(served) == ([50], 6)
        # The next run finds them all; a number that the spec asks for changes nothing of what is there.
        run(opened(spec), CHANGE)
        assert drawn(served) == ([], 0)
        run(opened(f"{spec}&samples=8"), CHANGE)
        assert drawn(served) == ([], 0)
        again = opened(f"{spec}&samples=103")
        run(again, LEVEL)
        assert drawn(served) == ([3], 6)
        assert again.identity.sha256 == model.identity.sha256
