"""Answers within bounds, in every measure of closed answers: no answer within them gives a value outside of its own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytest_pluralism as pp
from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.estimation import advantage_over
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.records import Answer, Gate, Outcome, Prompt
from pytest_pluralism.models.protocol import ModelIdentity

ASKING: dict[str, Any] = {"repetitions": 2, "examples": 0, "settings": {"answers": "off"}}
GROUPS = ("North", "South", "East")


def draw(*what: object) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8], "big"))


def ends(prompt: Prompt, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the most probability of each label, which follow from the prompt."""
    rng = draw(prompt.system, prompt.question)
    low = rng.dirichlet(np.ones(len(prompt.labels))) * 0.6
    return low, low + width * rng.random(len(low))


class Model:
    """A model whose answers leave the labels open, or (``seed``) one of those that it may be."""

    def __init__(self, width: float, seed: int | None = None) -> None:
        self.width, self.seed = width, seed
        self.identity = ModelIdentity("m", "m", f"{width} {seed}", "float32", "cpu")

    def answer(self, prompts: Sequence[Prompt], /, *, progress: object = None) -> list[Answer]:
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Answer:
        low, high = ends(prompt, self.width)
        values, bounds = (low + high) / 2, tuple(zip(low.tolist(), high.tolist(), strict=True))
        if self.seed is not None:
            rng = draw(self.seed, prompt.system, prompt.question)
            # Ends are tried more often than what lies between them.
            part = np.clip(rng.uniform(-0.5, 1.5, len(low)), 0.0, 1.0)
            values, bounds = low + part * (high - low), ()
        logs = tuple(float(math.log(one)) for one in values)
        return Answer(logs, float(min(1.0, values.sum())), "A", 0.5, bounds=bounds)

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write a steering set, a survey and preference pairs."""
    folder, rng = tmp_path_factory.mktemp("open"), np.random.default_rng(1)
    survey: list[dict[str, Any]] = [
        {
            "question_id": f"q{number}",
            "question": f"Question {number}?",
            "options": ["a", "b", "c"],
            "positions": [0, 1, 2],
            "distributions": [
                {"population": group, "probabilities": rng.dirichlet([1, 1, 1]).round(6).tolist(), "n_respondents": 400}
                for group in GROUPS
            ],
        }
        for number in range(8)
    ]
    people: list[dict[str, Any]] = [
        {"attribute": group, "who": f"one from the {group}", "category": "quarter"} for group in GROUPS
    ]
    people[0]["opposite"], people[1]["opposite"] = "South", "North"
    pairs: list[dict[str, Any]] = [{"persona": "ana", "description": "a farmer"}]
    pairs += [
        {"prompt": f"Where to {n}?", "chosen": f"Fields {n}.", "rejected": f"Sea {n}.", "persona": "ana"}
        for n in range(12)
    ]
    files: dict[str, list[dict[str, Any]]] = {
        "survey": [{name: value for name, value in row.items() if name != "positions"} for row in survey],
        "steering": [*people, *survey],
        "pairs": pairs,
    }
    found = {}
    for name, rows in files.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        found[name] = str(path)
    return found


TRADE_OFFS = str(Path(__file__).parents[3] / "fixtures" / "trade_offs.jsonl")

STEERING = "steering_faithfulness"
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("js_distance", "survey", {"population": "North"}),
    ("answer_entropy", "survey", {"population": "North"}),
    *((STEERING, "steering", {"attribute": "North", "score": score}) for score in ("js", "mode", "probability")),
    (STEERING, "steering", {"attribute": "North", "score": "wasserstein"}),
    (STEERING, "steering", {"over": "unsteered", "score": "js"}),
    (STEERING, "steering", {"attribute": "North", "over": "placebo", "score": "js"}),
    (STEERING, "steering", {"attribute": "North", "context": ["instruction", "portrait"], "across": "best_per_group"}),
    (
        STEERING,
        "steering",
        {"attribute": "North", "context": ["instruction", "portrait"], "across": "best_per_question"},
    ),
    (
        STEERING,
        "steering",
        {"attribute": "North", "least_entropy_ratio": 0.5, "least_spread_ratio": 0.5, "least_contrast": 0.1},
    ),
    ("steered_distance", "steering", {"most_gap": 0.3}),
    ("steered_distance", "steering", {"population": "North"}),
    ("trade_off_steerability", TRADE_OFFS, {"pair": "security-freedom"}),
    ("trade_off_steerability", TRADE_OFFS, {"pair": "security-freedom", "score": "reward"}),
    ("preference_accuracy", "pairs", {"judge": "choice"}),
    *(("jury_choice", "example_town", {"rule": rule, "jury": "whole"}) for rule in ("bridging", "schulze", "minimax")),
    ("jury_welfare", "example_town", {"alpha": 2.0}),
    ("jury_welfare", "example_town", {"satisfied_above": 0.6}),
    ("jury_welfare", "example_town", {"worst_share": 0.2}),
    ("jury_welfare", "example_town", {"alpha": 1.0, "population": "river"}),
]


def measured(model: Model, case: tuple[str, str, dict[str, Any]], data: dict[str, str]) -> Any:
    metric, name, keywords = case
    asking = ASKING if metric != "preference_accuracy" else {"settings": {"answers": "off"}}
    return pp.measure(model, metric, data.get(name, name), **asking, **keywords)


@pytest.mark.whole
@pytest.mark.parametrize("case", CASES, ids=[f"{metric}-{number}" for number, (metric, _, _) in enumerate(CASES)])
def test_no_answer_within_bounds_gives_a_value_outside_of_its_own(
    case: tuple[str, str, dict[str, Any]], data: dict[str, str]
) -> None:
    opened = measured(Model(0.15), case, data).scores
    assert any(unit.bounds and unit.bounds[1] > unit.bounds[0] for unit in opened.units)
    assert any("leave" in warning and "open" in warning for warning in opened.warnings)
    bounds = {unit.unit_id: unit.bounds for unit in opened.units if unit.bounds}
    beside = {unit.unit_id: unit.reference_bounds for unit in opened.units}
    reached = 0.0
    for seed in range(12):
        found = measured(Model(0.15, seed), case, data).scores
        for unit in found.units:
            if unit.unit_id not in bounds:
                assert math.isnan(unit.value)
                continue
            low, high = bounds[unit.unit_id]
            assert low - 1e-9 <= unit.value <= high + 1e-9, unit.unit_id
            reached = max(reached, abs(unit.value - (low + high) / 2) / max((high - low) / 2, 1e-12))
            for name, (least, most) in beside[unit.unit_id].items():
                assert least - 1e-9 <= unit.references[name] <= most + 1e-9, (unit.unit_id, name)
        for guard, same in zip(opened.guards, found.guards, strict=True):
            assert guard.estimate.bounds
            for value, (low, high) in zip(same.estimate.values, guard.estimate.bounds, strict=True):
                assert low - 1e-9 <= value <= high + 1e-9, guard.words
    # The bounds are not so wide that they say nothing.
    assert reached > 0.4


@pytest.mark.whole
def test_known_answers_have_no_bounds(data: dict[str, str]) -> None:
    for case in CASES:
        found = measured(Model(0.0, 0), case, data).scores
        assert not any(unit.bounds or unit.reference_bounds for unit in found.units)
        assert not any(guard.estimate.bounds for guard in found.guards)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("metric", "keywords", "better"),
    [(STEERING, {"attribute": "North", "score": "js"}, "unsteered"), ("steered_distance", {}, "elsewhere")],
)
def test_an_advantage_over_answers_that_are_open_too_is_as_open_as_both(
    metric: str, keywords: dict[str, Any], better: str, data: dict[str, str]
) -> None:
    case = (metric, "steering", keywords)
    direction = "lower" if metric == "steered_distance" else "higher"
    opened = advantage_over(measured(Model(0.15), case, data).scores, better, direction=direction)
    for seed in range(8):
        known = advantage_over(measured(Model(0.15, seed), case, data).scores, better, direction=direction)
        for value, (low, high) in zip(known.values, opened.bounds, strict=True):
            assert low - 1e-9 <= value <= high + 1e-9
    verdict = decide(Gate(better_than=better), opened, advantage=opened)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_what_is_open_leaves_a_promise_open_that_a_narrow_answer_decides(data: dict[str, str]) -> None:
    case = (STEERING, "steering", {"attribute": "North", "score": "js"})
    known = measured(Model(0.0, 0), case, data)
    at_least = known.estimate.low - 0.01
    assert decide(Gate(at_least=at_least), known.estimate).outcome is Outcome.PASSED
    opened = measured(Model(0.3), case, data)
    found = guarded(decide(Gate(at_least=at_least), opened.estimate), opened.scores.guards)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert opened.estimate.low < at_least < opened.estimate.high


def test_a_band_over_aversions_refuses_open_answers_with_the_reason() -> None:
    from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
    from pytest_pluralism.datasets.panels.loading import load_panel
    from pytest_pluralism.evaluation.asking.rounds import drive
    from pytest_pluralism.evaluation.jury.evaluations import AgainstReference, ChoiceEvaluation, JurySettings

    inner = ChoiceEvaluation(load_panel("example_town"), JurySettings(rule=WelfareRule(alpha=1.0)))
    with pytest.raises(ModelError, match="band over several aversions"):
        drive(AgainstReference(inner, (0.0, 1.0)).rounds(), lambda asked: Model(0.2).answer(asked.requests))
    found = drive(AgainstReference(inner).rounds(), lambda asked: Model(0.2).answer(asked.requests))
    # The same answers on both sides may still be different ones within their bounds.
    assert all(unit.value == 0.0 and unit.bounds[0] < 0.0 < unit.bounds[1] for unit in found.units)


@pytest.mark.whole
@pytest.mark.parametrize("level", [None, 0.95])
def test_the_group_that_fares_worst_is_as_open_as_its_answers(level: float | None, data: dict[str, str]) -> None:
    from pytest_pluralism.core.estimation.worst import estimate_worst, worst_advantage, worst_change

    def estimates(model: Model) -> dict[str, Any]:
        return {
            group: pp.measure(
                model, "js_distance", data["survey"], population=group, confidence_level=level, **ASKING
            ).estimate
            for group in GROUPS
        }

    opened = estimates(Model(0.15))
    worst = estimate_worst(opened, direction="lower")[1]
    if level is None:
        same = {name: (lambda level, one=one: one - one) for name, one in opened.items()}
        changes = worst_change(opened, opened, same)
        assert changes.low < 0.0 < changes.high
        gains = worst_advantage(opened, {name: (lambda level, one=one: one) for name, one in opened.items()})
        assert gains.low < gains.value < gains.high
    for seed in range(6):
        known = max(one.value for one in estimates(Model(0.15, seed)).values())
        assert worst.low - 1e-9 <= known <= worst.high + 1e-9
