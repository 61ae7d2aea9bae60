"""Reward models that are steered along a trade-off."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import pytest_pluralism as pp
from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import InvalidParameterError, NoNumberError
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.records import Gate, Outcome, RewardRequest
from pytest_pluralism.datasets.steering import trade_offs
from pytest_pluralism.models.protocol import ModelIdentity

SERVED: dict[tuple[str, str], dict[str, float]] = {}
for _line in Path(trade_offs.__file__).with_name("trade_offs.jsonl").read_text(encoding="utf-8").splitlines():
    _row = json.loads(_line)
    for _option in _row["options"]:
        SERVED[_row["scenario"], _option["text"]] = {name: _option[name] for name in _row["pair"]}


class Reward:
    def __init__(self, function: Callable[[RewardRequest], float]) -> None:
        self.function, self.identity = function, ModelIdentity("reward", "reward", "reward", "float32", "cpu")

    def reward(self, requests: Sequence[RewardRequest], /, *, progress: object = None) -> list[float]:
        return [self.function(one) for one in requests]

    def close(self) -> None: ...


def follows(request: RewardRequest) -> float:
    served = SERVED[request.prompt, request.response]
    found = re.match(r"Weigh (.+) at ([\d.]+) % and (.+) at ([\d.]+) %", request.attribute)
    if found is None:
        return sum(served.values())
    return sum(float(share) / 100 * served[name] for name, share in ((found[1], found[2]), (found[3], found[4])))


def measured(function: Callable[[RewardRequest], float], **keywords: Any) -> Any:
    return pp.measure(
        lambda prompt: "",
        "trade_off_steerability",
        "trade_offs",
        judge="rewards",
        value_model=Reward(function),
        settings={"answers": "off"},
        **keywords,
    )


def outcome(found: Any) -> Outcome:
    return guarded(decide(Gate(at_least=0.05), found.estimate), found.scores.guards).outcome


def test_a_reward_that_follows_its_weights_is_steerable() -> None:
    found = measured(follows)
    assert outcome(found) is Outcome.PASSED
    details = found.scores.details
    assert details["reward"] == pytest.approx(details["reward_best_possible"])
    for table in details["pairs"]:
        assert table["largest_regret"] == pytest.approx(0)
        assert table["hypervolume"] > table["hypervolume_unsteered"]


@pytest.mark.parametrize(
    "function",
    [
        lambda one: 0.0,
        lambda one: float(len(one.response)),
        lambda one: follows(RewardRequest(one.prompt, one.response, "")),
    ],
    ids=["constant", "length", "ignores the weights"],
)
def test_a_reward_that_ignores_its_weights_is_not(function: Callable[[RewardRequest], float]) -> None:
    found = measured(function)
    assert found.estimate.value == pytest.approx(0)
    assert outcome(found) is Outcome.FAILED


def test_a_reward_that_is_not_a_number_is_an_error() -> None:
    broken = next(iter(SERVED))[0]
    with pytest.raises(NoNumberError, match="only finite numbers"):
        measured(lambda one: math.nan if one.prompt == broken else follows(one))


def test_results_of_choices_have_the_settings_that_they_always_had() -> None:
    from pytest_pluralism.evaluation.objectives.trade_offs import TradeOffSettings

    assert set(TradeOffSettings().as_json()) == {"weights", "score", "reference_point"}
    with pytest.raises(InvalidParameterError, match="'choice' or 'rewards'"):
        TradeOffSettings(judge="people")
