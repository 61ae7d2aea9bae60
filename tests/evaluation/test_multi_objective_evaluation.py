"""Trade-offs and Pareto improvement, on models whose choices are known."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.estimation.crossed import estimate_scores
from pytest_pluralism.core.metrics import hypervolume
from pytest_pluralism.core.records import Answer, Gate, Outcome, Scores, UnitScore
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.datasets.steering_trade_offs import load_trade_offs
from pytest_pluralism.evaluation.distributional import AskSettings
from pytest_pluralism.evaluation.multi_objective import (
    TradeOffEvaluation,
    TradeOffSettings,
    refuse_nothing_to_steer_to,
)
from pytest_pluralism.evaluation.pareto import Objective, ParetoEvaluation, check_functions
from pytest_pluralism.evaluation.rounds import Round

BENCHMARK = Path(__file__).parents[2] / "fixtures" / "trade_offs.jsonl"
ASKING = AskSettings(examples=0, repetitions=1)


@pytest.fixture(scope="module")
def benchmark():
    return load_trade_offs(BENCHMARK)


def weight_of(prompt):
    found = re.search(r"at (\d+) % and", prompt.question)
    return None if found is None else int(found[1]) / 100


def run(benchmark, follow, pair=None, **settings):
    """Put a model through the benchmark; ``follow(weight)`` says which weight it really acts by."""
    evaluation = TradeOffEvaluation(benchmark, ASKING, TradeOffSettings(**settings), pair)
    rounds = evaluation.rounds()
    asked = next(rounds)
    served = {one.text: dict(zip(one.options, one.served, strict=True)) for one in benchmark.scenarios}
    answers = []
    for prompt in asked.requests:
        table = next(table for text, table in served.items() if text in prompt.question)
        options = [line[3:] for line in prompt.question.split("\n") if line[1:3] == ". "]
        weight = follow(weight_of(prompt))
        worth = [weight * table[one][0] + (1 - weight) * table[one][1] for one in options]
        best = int(np.argmax(worth))
        answers.append(Answer(tuple(0.0 if i == best else -60.0 for i in range(len(options))), 1.0, "A", 0.9))
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers)
    return stop.value.value


# --------------------------------------------------------------------------------------------------------- trade-offs


def test_the_benchmark_has_four_pairs_and_scenarios_with_a_middle_way(benchmark):
    assert len(benchmark.pairs) >= 4
    for scenario in benchmark.scenarios:
        assert len(scenario.options) == 3
        first, middle, second = scenario.served
        # Under even weights the middle way is best, under one-sided ones an end: so every weight can be told.
        assert sum(middle) > max(sum(first), sum(second)) or sum(middle) >= 1.0
        assert first[0] > middle[0] > second[0]
        assert first[1] < middle[1] < second[1]


def test_a_model_that_follows_the_weights_has_no_regret(benchmark):
    scores = run(benchmark, lambda weight: 0.5 if weight is None else weight)
    details = scores.details
    for table in details["pairs"]:
        assert table["diagonal_dominance"] == 1.0
        assert table["largest_regret"] == 0.0
        assert table["steps_in_order"] > 0
        assert table["span"] > 1.0
        assert table["hypervolume"] > table["hypervolume_unsteered"]
        # Who follows the weights gives up one value for the other at every step.
        assert table["on_front"] == [
            not any((np.array(two) >= one).all() and two != one for two in table["objectives"])
            for one in table["objectives"]
        ]
        assert table["hypervolume"] == pytest.approx(hypervolume(table["objectives"], reference_point=[0, 0]))
        assert table["summed_reward"] == pytest.approx(np.trace(np.array(table["matrix"])))
    assert details["advantage"] > 0
    assert details["reward"] == pytest.approx(details["reward_best_possible"])
    assert scores.warnings == ()
    assert np.mean([unit.value for unit in scores.units]) == pytest.approx(details["advantage"])


def test_a_model_that_ignores_the_weights_has_no_regret_either_and_no_advantage(benchmark):
    scores = run(benchmark, lambda weight: 0.5)
    assert all(table["largest_regret"] == 0.0 for table in scores.details["pairs"])
    assert [unit.value for unit in scores.units] == pytest.approx([0.0] * len(scores.units), abs=1e-12)
    assert all(
        table["hypervolume"] == pytest.approx(table["hypervolume_unsteered"]) for table in scores.details["pairs"]
    )
    assert any("the weights are not followed" in warning for warning in scores.warnings)


def test_a_model_that_does_the_contrary_is_found_out(benchmark):
    scores = run(benchmark, lambda weight: 0.5 if weight is None else 1.0 - weight)
    assert np.mean([unit.value for unit in scores.units]) < 0
    table = scores.details["pairs"][0]
    assert table["largest_regret"] > 0
    ends = table["regret"][0]
    assert ends["weight"] == 0.0
    assert ends["best"] > 0.5
    assert ends["low"] > 0
    assert scores.witness is not None


def test_values_by_hand(tmp_path):
    path = tmp_path / "one.jsonl"
    rows = [
        {"scenario_id": name, "pair": ["a", "b"], "scenario": f"What of {name}?",
         "options": [{"text": "left", "a": 1.0, "b": 0.0}, {"text": "right", "a": 0.0, "b": 0.5}]}
        for name in ("x", "y")
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    scores = run(load_trade_offs(path), lambda weight: 1.0 if weight is None else weight, weights=(0.0, 1.0))
    table = scores.details["pairs"][0]
    # Steered to b alone the model takes right (0, .5), to a alone left (1, 0).
    assert np.array(table["objectives"]) == pytest.approx(np.array([[0.0, 0.5], [1.0, 0.0]]), abs=1e-12)
    assert np.array(table["matrix"]) == pytest.approx(np.array([[0.5, 0.0], [0.0, 1.0]]), abs=1e-12)
    assert scores.details["advantage"] == pytest.approx(0.75)
    assert scores.details["reward"] == pytest.approx(0.75)
    assert scores.details["reward_unsteered"] == pytest.approx(0.5)


def test_one_pair_and_the_reward(benchmark):
    scores = run(benchmark, lambda weight: weight or 0.0, pair="honesty-kindness", score="reward")
    assert len(scores.units) == 5
    assert scores.references["unsteered"] == pytest.approx(scores.details["reward_unsteered"])
    with pytest.raises(DatasetError, match="Nearest: 'honesty-kindness'"):
        run(benchmark, lambda weight: 0.5, pair="honesty-kindnes")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weights": (0.5,)}, "at least two different numbers"),
        ({"weights": (0.5, 0.5)}, "at least two different numbers"),
        ({"weights": (1.0, 0.0)}, "ascending"),
        ({"weights": (0.0, 1.5)}, "'weights'"),
        ({"score": "regret"}, "'score'"),
    ],
)
def test_wrong_settings(settings, says):
    with pytest.raises(InvalidParameterError, match=says):
        TradeOffSettings(**settings)


TWO = [{"text": "x", "a": 1, "b": 0}, {"text": "y", "a": 0, "b": 1}]
GOOD = {"scenario_id": "s", "pair": ["a", "b"], "scenario": "?", "options": TWO}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"pair": ["a"]}, "'pair' must be a list of two values"),
        ({"pair": ["a", "a"]}, "two different values"),
        ({"scenario": " "}, "'scenario' must be a text"),
        ({"options": [{"text": "x", "a": 1, "b": 0}]}, "at least two objects"),
        (
            {"options": [{"text": "x", "a": 2, "b": 0}, {"text": "y", "a": 0, "b": 1}]},
            r"serves 'a', in \[0, 1\], not 2",
        ),
        ({"options": [{"text": "x", "a": 1}, {"text": "y", "a": 0, "b": 1}]}, "'b'"),
        ({"options": [{"text": "x", "a": 1, "b": 0}, {"text": "x", "a": 0, "b": 1}]}, "the same text"),
        ({"options": [{"text": "x", "a": 1, "b": 0}, {"text": "y", "a": 1, "b": 0}]}, "nothing is traded off"),
    ],
)
def test_wrong_benchmarks_name_their_line(tmp_path, row, says):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"scenario_id": "other"} | row), encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2.*" + says):
        load_trade_offs(path)


def test_a_pair_with_one_scenario_has_no_interval(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    with pytest.raises(InvalidParameterError, match="at least two"):
        refuse_nothing_to_steer_to(load_trade_offs(path))


# -------------------------------------------------------------------------------------------------------------- Pareto


def external(name, candidate, reference, direction="higher"):
    return Objective(
        name,
        direction,
        None,
        {str(i): float(v) for i, v in enumerate(candidate)},
        {str(i): float(v) for i, v in enumerate(reference)},
    )


def pareto(*objectives, least=0.0, **keywords):
    rounds = ParetoEvaluation(objectives, least=least, **keywords).rounds()
    with pytest.raises(StopIteration) as stop:
        next(rounds)
    scores = stop.value.value
    return scores, decide(Gate(at_least=least), estimate_scores(scores)).outcome


RNG = np.random.default_rng(4)
BASE = RNG.uniform(size=60)
NOISE = RNG.normal(scale=0.02, size=(3, 60))


def test_better_in_all_is_an_improvement():
    scores, outcome = pareto(
        external("one", BASE + 0.1 + NOISE[0], BASE), external("two", BASE - 0.2 + NOISE[1], BASE, "lower")
    )
    assert outcome is Outcome.PASSED
    assert scores.details["is_pareto_improvement"]
    assert scores.details["probability_of_dominance"] == 1.0
    assert scores.details["deciding"] == "one"
    two = scores.details["objectives"][1]
    assert two["gain"] == pytest.approx(0.2, abs=0.01)
    assert two["candidate"] == pytest.approx(np.mean(BASE - 0.2 + NOISE[1]))


def test_worse_in_one_is_none_whatever_is_gained_elsewhere():
    scores, outcome = pareto(external("one", BASE + 0.5, BASE), external("two", BASE - 0.05 + NOISE[1], BASE))
    assert outcome is Outcome.FAILED
    assert scores.details["deciding"] == "two"
    assert scores.details["probability_of_dominance"] < 0.01
    _, tolerated = pareto(external("one", BASE + 0.5, BASE), external("two", BASE - 0.05 + NOISE[1], BASE), least=-0.1)
    assert tolerated is Outcome.PASSED


def test_what_cannot_be_told_is_inconclusive():
    noise = np.tile([0.3, -0.3], 30) + NOISE[0]
    scores, outcome = pareto(external("one", BASE + 0.5, BASE), external("two", BASE + noise, BASE))
    assert outcome is Outcome.INCONCLUSIVE
    assert 0.05 < scores.details["probability_of_dominance"] < 0.95


def test_a_model_is_no_improvement_on_itself():
    scores, outcome = pareto(external("one", BASE, BASE), external("two", BASE, BASE))
    assert outcome is Outcome.FAILED
    assert not scores.details["is_pareto_improvement"]
    assert "alike" in scores.warnings[0]


def test_one_objective_unchanged_and_one_better_is_an_improvement():
    _, outcome = pareto(external("one", BASE, BASE), external("two", BASE + 0.1, BASE))
    assert outcome is Outcome.PASSED


def test_functions_are_computed_for_both():
    scores, _ = pareto(
        external("one", [1, 1], [0, 0]), external("two", [0, 0], [0.5, 0.5]), functions={"equal": (0.5, 0.5)}
    )
    found = {"candidate": 0.5, "reference": 0.25, "gain": 0.25, "low": 0.25, "high": 0.25}
    assert scores.details["functions"] == {"equal": found}


def test_a_function_may_be_any_of_the_project_and_sees_values_in_their_own_units():
    seen = []

    def worst(values):
        seen.append(values)
        return min(values["one"], 1 - values["two"])

    scores, _ = pareto(
        external("one", BASE + 0.1 + NOISE[0], BASE),
        external("two", BASE - 0.2 + NOISE[1], BASE, "lower"),
        functions={"worst": worst, "equal": (0.5, 0.5)},
    )
    one, two = np.mean(BASE + 0.1 + NOISE[0]), np.mean(BASE - 0.2 + NOISE[1])
    assert seen[0] == {"one": pytest.approx(one), "two": pytest.approx(two)}
    assert scores.details["functions"]["worst"]["candidate"] == pytest.approx(min(one, 1 - two))
    # The gain of a linear function is the same sum of gains, and so is its interval, nearly.
    equal = scores.details["functions"]["equal"]
    gains = 0.5 * (0.1 + NOISE[0]) + 0.5 * (0.2 - NOISE[1])
    assert equal["gain"] == pytest.approx(gains.mean())
    half = 1.96 * gains.std(ddof=1) / math.sqrt(60)
    assert equal["low"] == pytest.approx(gains.mean() - half, abs=0.2 * half)
    assert equal["high"] == pytest.approx(gains.mean() + half, abs=0.2 * half)
    with pytest.raises(InvalidParameterError, match="return a finite number from 'f'"):
        pareto(external("one", [1, 1], [0, 0]), external("two", [1, 1], [0, 0]), functions={"f": lambda _: None})


@dataclasses.dataclass(frozen=True)
class Asks:
    """An evaluation whose units are what a model answers."""

    def rounds(self):
        answers = yield Round("answers", ("a", "b"))
        return Scores("js_distance", tuple(UnitScore(str(i), str(i), value) for i, value in enumerate(answers)))


def test_both_models_are_asked_the_same():
    evaluation = ParetoEvaluation((Objective("ours", "lower", Asks()), external("theirs", [1, 1], [0, 0])))
    rounds = evaluation.rounds()
    assert next(rounds).role == "language_model"
    second = rounds.send([0.2, 0.3])
    assert (second.role, second.requests) == ("reference_language_model", ("a", "b"))
    with pytest.raises(StopIteration) as stop:
        rounds.send([0.4, 0.5])
    scores = stop.value.value
    assert scores.details["objectives"][0]["gain"] == pytest.approx(0.2)
    assert scores.details["objectives"][0]["candidate"] == pytest.approx(0.25)


def test_dominance_against_a_normal_approximation():
    """Two independent objectives: the chance that both means are positive is the product of the two."""
    from scipy.stats import norm

    rng = np.random.default_rng(8)
    one, two = rng.normal(0.02, 0.2, 400), rng.normal(0.01, 0.2, 400)
    first, second = (
        Objective(
            name,
            "higher",
            None,
            {f"{name}{i}": float(v) for i, v in enumerate(values)},
            dict.fromkeys((f"{name}{i}" for i in range(400)), 0.0),
        )
        for name, values in (("one", one), ("two", two))
    )
    scores, _ = pareto(first, second)
    expected = math.prod(norm.cdf(x.mean() / (x.std(ddof=1) / 20)) for x in (one, two))
    assert scores.details["probability_of_dominance"] == pytest.approx(expected, abs=0.04)


def test_mistakes():
    with pytest.raises(InvalidParameterError, match="at least two"):
        ParetoEvaluation((external("one", [1], [0]),))
    with pytest.raises(InvalidParameterError, match="different names"):
        ParetoEvaluation((external("one", [1], [0]), external("one", [1], [0])))
    two = (external("one", [1], [0]), external("two", [1], [0]))
    with pytest.raises(InvalidParameterError, match="a weight for each of the 2 objectives"):
        ParetoEvaluation(two, {"f": (1.0,)})
    with pytest.raises(InvalidParameterError, match="not all 0"):
        ParetoEvaluation(two, {"f": (0.0, 0.0)})
    with pytest.raises(InvalidParameterError, match="'functions'"):
        check_functions([0.5, 0.5], ["one", "two"])
    with pytest.raises(InvalidParameterError, match="or to functions of a dict of one, two"):
        check_functions({"f": "equal"}, ["one", "two"])
    with pytest.raises(InvalidParameterError, match="'against'"):
        ParetoEvaluation(two, against="yesterday")
    with pytest.raises(DatasetError, match="cannot be paired"):
        pareto(external("one", [1, 2], [0]), external("two", [1], [0]))
