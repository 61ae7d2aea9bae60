"""Nine behaviors under steering, by every score and context: what each of them gains, as one table.

The model is steered to the Red league. It gains what its steered answers are closer to Red's than its unsteered ones,
and is promised to gain at least .05. The gains are computed again from the answers, without the evaluation.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.records import Answer, Gate, Prompt
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.datasets.steering.file import SteeringSet, load_steering
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation, SteeringSettings
from pytest_pluralism.evaluation.steering.settings import SCORES
from pytest_pluralism.evaluation.surveys.asking import AskSettings

ASKING = AskSettings(examples=0, repetitions=1, option_order="none")

#: The leagues, and the one that is opposed to each.
OPPOSED = {"Red": "Blue", "Blue": "Red", "Green": "Red"}

N_QUESTIONS, N_OPTIONS = 40, 4

Shares = NDArray[np.float64]

CONTEXTS = ("instruction", "portrait", "biography", "system", "opinionqa:bio", "opinionqa:portray")


@cache
def people() -> dict[str, Shares]:
    """Return what each league answers, question by question; everybody is their mean."""
    rng = np.random.default_rng(0)
    found = {name: rng.dirichlet([0.8] * N_OPTIONS, N_QUESTIONS) for name in OPPOSED}
    return {**found, "everybody": np.mean(list(found.values()), axis=0)}


def leagues() -> SteeringSet:
    """Return the leagues with their questions, read from a file as anybody's."""
    lines: list[dict[str, object]] = [
        {"attribute": name, "who": f"a member of the {name} league", "category": "league", "opposite": opposite}
        for name, opposite in OPPOSED.items()
    ]
    for place in range(N_QUESTIONS):
        answers = [
            {"population": name, "probabilities": people()[name][place].tolist(), "n_respondents": 5000}
            for name in OPPOSED
        ]
        options = [f"{word} {place}" for word in ("all", "more", "less", "none")]
        question = {"question_id": f"q{place:02d}", "question": f"Matter {place:02d}: how much?", "options": options}
        lines.append({**question, "distributions": answers})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leagues.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        return load_steering(path)


the_leagues = cache(leagues)


def one_hot(shares: Shares) -> Shares:
    return np.eye(N_OPTIONS)[int(shares.argmax())]


def jittered(place: int, name: str) -> Shares:
    rng = np.random.default_rng([place, *name.encode()])
    shares: Shares = np.maximum(people()[name][place] + rng.normal(0.0, 0.05, N_OPTIONS), 1e-3)
    return shares / shares.sum()


#: The answers of each behavior to a question: who is named ("" where nobody is), and whether anybody is spoken to.
BEHAVIORS: dict[str, Callable[[int, str, bool], Shares]] = {
    "perfect": lambda place, named, _: people()[named or "everybody"][place],
    "ignores": lambda place, *_: people()["everybody"][place],
    "even": lambda *_: np.full(N_OPTIONS, 1 / N_OPTIONS),
    "opposite": lambda place, named, _: people()[OPPOSED.get(named, "everybody")][place],
    "modal": lambda place, named, _: one_hot(people()[named][place]) if named else people()["everybody"][place],
    "startled": lambda place, _, spoken: np.array([0.91, 0.03, 0.03, 0.03]) if spoken else people()["everybody"][place],
    "always Blue": lambda place, _, spoken: people()["Blue" if spoken else "everybody"][place],
    "noisy": lambda place, named, _: jittered(place, named or "everybody"),
    "half way": lambda place, named, _: (people()["everybody"][place] + people()[named or "everybody"][place]) / 2,
}

P, F, I = "passed", "failed", "inconclusive"  # noqa: E741 - the letters of the table

#: The gain of each behavior by each score, and what becomes of the promise. A model that knows nothing but the
#: commonest answer of each league gains by the last two scores: bounds on its spread are for that (test_bounds_beside).
EXPECTED: dict[str, tuple[tuple[float, str], ...]] = {
    #               js           wasserstein  mode         probability
    "perfect":     ((0.27, P),   (0.14, P),   (0.52, P),   (0.11, P)),
    "ignores":     ((0.00, F),   (0.00, F),   (0.00, F),   (0.00, F)),
    "even":        ((0.00, F),   (0.00, F),   (0.00, F),   (0.00, F)),
    "opposite":    ((-0.19, F),  (-0.11, F),  (-0.25, F),  (-0.06, F)),
    "modal":       ((-0.27, F),  (-0.14, F),  (0.52, P),   (0.22, P)),
    "startled":    ((-0.38, F),  (-0.32, F),  (-0.22, F),  (-0.06, F)),
    "always Blue": ((-0.19, F),  (-0.11, F),  (-0.25, F),  (-0.06, F)),
    "noisy":       ((0.18, P),   (0.11, P),   (0.38, P),   (0.11, P)),
    "half way":    ((0.12, P),   (0.07, P),   (0.28, P),   (0.06, I)),
}  # fmt: skip


def answers(behavior: str, prompts: tuple[Prompt, ...]) -> list[Answer]:
    found = []
    for prompt in prompts:
        told = " ".join([prompt.system, *(turn.question + turn.answer for turn in prompt.examples), prompt.question])
        place = re.search(r"Matter (\d+):", told)
        if place is None:
            # A question that has nothing to do with the leagues.
            n = len(prompt.labels)
            found.append(Answer((-math.log(n),) * n, 1.0, "A", 1 / n))
            continue
        named = re.search(r"the (Red|Blue|Green) league", told)
        spoken = bool(prompt.system) or not prompt.question.startswith("Matter") or "would" in prompt.question
        shares = BEHAVIORS[behavior](int(place[1]), named[1] if named else "", spoken)
        logs = tuple(math.log(max(float(one), 1e-15)) for one in shares)
        found.append(Answer(logs, 1.0, "A", float(shares.max())))
    return found


def measured(behavior: str, score: str, context: str) -> tuple[float, str]:
    settings = SteeringSettings(contexts=(context,), score=score, over="unsteered")
    rounds = SteerableEvaluation(the_leagues(), ASKING, settings, "Red").rounds()
    asked = next(rounds)
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers(behavior, asked.requests_as(Prompt)))
    scores = stop.value.value
    estimate = estimate_scores(scores)
    verdict = guarded(decide(Gate(at_least=0.05), estimate), scores.guards)
    return estimate.value, verdict.outcome.value


@pytest.mark.parametrize(
    "context", [CONTEXTS[0], *(pytest.param(context, marks=pytest.mark.slow) for context in CONTEXTS[1:])]
)
@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_the_battery_of_steering(behavior: str, context: str) -> None:
    for score, (gain, outcome) in zip(SCORES, EXPECTED[behavior], strict=True):
        found = measured(behavior, score, context)
        assert found == (pytest.approx(gain, abs=0.006), outcome), score


def test_every_behavior_is_in_the_table() -> None:
    assert set(EXPECTED) == set(BEHAVIORS)
    assert len(BEHAVIORS) == 9


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_the_table_is_what_the_answers_come_to(behavior: str) -> None:
    red, answer = people()["Red"], BEHAVIORS[behavior]
    gains = np.zeros((N_QUESTIONS, 2))
    for place in range(N_QUESTIONS):
        for sign, shares in ((1, answer(place, "Red", True)), (-1, answer(place, "", False))):
            most = np.isclose(shares, shares.max())
            gains[place] += sign * np.array(
                [-jensenshannon(shares, red[place], base=2), most[red[place].argmax()] / most.sum()]
            )
    # The evaluation takes out what the sample of people adds to a distance.
    table = EXPECTED[behavior]
    assert gains.mean(axis=0) == pytest.approx([table[0][0], table[2][0]], abs=0.02)
