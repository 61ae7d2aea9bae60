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
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import compare_crossed
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.metrics import hypervolume
from pytest_pluralism.core.records import Answer, Crossed, Estimate, Gate, Outcome, Scores, UnitScore
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.core.verdict import decide, failure_p_value
from pytest_pluralism.datasets.steering.trade_offs import Scenario, TradeOffSet, load_trade_offs
from pytest_pluralism.evaluation.asking.rounds import Round
from pytest_pluralism.evaluation.objectives.pareto import Objective, ParetoEvaluation, check_functions
from pytest_pluralism.evaluation.objectives.trade_offs import (
    TradeOffEvaluation,
    TradeOffSettings,
    refuse_nothing_to_steer_to,
)
from pytest_pluralism.evaluation.surveys.asking import AskSettings

BENCHMARK = Path(__file__).parents[3] / "fixtures" / "trade_offs.jsonl"
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
        assert table["steps_in_order"] == 1.0
        # Options are few: at some steps the best of them stays the best.
        assert table["steps_forward"] == table["steps_forward_best_possible"]
        assert 0.25 <= table["steps_forward"] <= 1.0
        assert table["span"] > 1.0
        assert table["hypervolume"] > table["hypervolume_unsteered"]
        # A model that follows the weights gives up one value for the other at every step.
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
    # No step back, and none forward.
    assert {(table["steps_in_order"], table["steps_forward"]) for table in scores.details["pairs"]} == {(1.0, 0.0)}
    # No advantage in any scenario is not a value that happens to show no spread.
    assert scores.differences


def test_a_model_that_does_the_contrary_is_found_out(benchmark):
    scores = run(benchmark, lambda weight: 0.5 if weight is None else 1.0 - weight)
    assert np.mean([unit.value for unit in scores.units]) < 0
    table = scores.details["pairs"][0]
    assert table["largest_regret"] > 0
    assert table["steps_in_order"] < 1.0
    assert table["steps_forward"] == 0.0
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


def test_advantages_of_nought_and_one_are_no_shares(tmp_path):
    """Everything from the one value to the other: each advantage is 1, which as shares would be believed of ten."""
    path = tmp_path / "one.jsonl"
    rows = [
        {"scenario_id": f"s{n}", "pair": ["a", "b"], "scenario": f"What of s{n}?", "options": TWO} for n in range(12)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    scores = run(load_trade_offs(path), lambda weight: 1.0 if weight is None else weight, weights=(0.0, 1.0))
    estimate = estimate_scores(scores)
    assert estimate.value == pytest.approx(1.0)
    assert estimate.how.difference
    assert decide(Gate(at_least=0.5), estimate).outcome is Outcome.INCONCLUSIVE
    reward = run(load_trade_offs(path), lambda weight: weight or 0.0, weights=(0.0, 1.0), score="reward")
    assert not reward.differences


# ------------------------------------------------------------------------------- the battery: behaviors by settings

#: Thirty scenarios: two ends, a middle way, an option that serves neither value, and two that serve one of them badly.
KINDS = ("first", "middle", "second", "neither", "bad first", "bad second")


def thirty():
    scenarios = []
    for n in range(30):
        d = n / 1000
        served = ((0.9 + d, 0.1), (0.66, 0.6 + d), (0.1, 0.95 - d), (0.05, 0.05), (0.4 + d, 0.0), (0.0, 0.4 + d))
        options = tuple(f"{kind} of {n}" for kind in KINDS)
        scenarios.append(Scenario(f"s{n}", ("a", "b"), f"Decide on case {n}.", options, served))
    return TradeOffSet("thirty", tuple(scenarios), "0")


def best_by(weight, served):
    worth = np.array([weight * one + (1 - weight) * two for one, two in served])
    return (worth == worth.max()).astype(float)


def pick(place):
    return (np.arange(6) == place).astype(float)


def ruin(weight, served):
    """Unsteered the middle way; steered a bad service of the heavier value, and at even weights none of either."""
    if weight is None:
        return pick(1)
    return pick(3) if weight == 0.5 else pick(4 if weight > 0.5 else 5)


def softly(weight, served):
    weight = 0.5 if weight is None else weight
    return np.exp(4 * np.array([weight * one + (1 - weight) * two for one, two in served]))


BEHAVIORS = {
    "follows": lambda weight, served: best_by(0.5 if weight is None else weight, served),
    "reverses": lambda weight, served: best_by(0.5 if weight is None else 1 - weight, served),
    "ignores": lambda weight, served: best_by(0.5, served),
    "one end": lambda weight, served: best_by(1.0, served),
    "even": lambda weight, served: np.ones(6),
    "softly": softly,
    "ruins": ruin,
    "ruins the middle": lambda weight, served: (
        pick(3) if weight == 0.5 else best_by(0.5 if weight is None else weight, served)
    ),
}

#: The settings, and at least how much is promised, by the names of the columns below.
PROMISES = {
    "default": ({}, 0.05),
    "two ends": ({"weights": (0.0, 1.0)}, 0.05),
    "odd": ({"weights": (0.333, 0.5, 0.9)}, 0.05),
    "any gain": ({}, 0.0),
    "reward": ({"score": "reward"}, 0.6),
}

P, F = "passed", "failed"
EXPECTED = {
    #                    default  two ends  odd  any gain  reward
    "follows":          (P,       P,        P,   P,        P),
    "reverses":         (F,       F,        F,   F,        F),
    "ignores":          (F,       F,        F,   P,        P),
    "one end":          (F,       F,        F,   P,        F),
    "even":             (F,       F,        F,   P,        F),
    "softly":           (P,       P,        P,   P,        P),
    "ruins":            (F,       F,        F,   F,        F),
    "ruins the middle": (F,       P,        F,   F,        P),
}  # fmt: skip


def respond_to(benchmark, behavior, mass_at=lambda weight: 0.9, **settings):
    rounds = TradeOffEvaluation(benchmark, ASKING, TradeOffSettings(**settings)).rounds()
    asked = next(rounds)
    answers = []
    for prompt in asked.requests:
        scenario = next(one for one in benchmark.scenarios if one.text in prompt.question)
        found = re.search(r"at ([\d.]+) % and", prompt.question)
        shown = [line[3:] for line in prompt.question.split("\n") if line[1:3] == ". "]
        weight = None if found is None else float(found[1]) / 100
        odds = BEHAVIORS[behavior](weight, scenario.served)
        by_option = dict(zip(scenario.options, odds / odds.sum(), strict=True))
        log_odds = tuple(math.log(max(by_option[one], 1e-300)) for one in shown)
        answers.append(Answer(log_odds, mass_at(weight), "A", mass_at(weight)))
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers)
    return stop.value.value


def outcomes(behavior):
    found = []
    for settings, least in PROMISES.values():
        scores = respond_to(thirty(), behavior, **settings)
        verdict = guarded(decide(Gate(at_least=least), estimate_scores(scores)), scores.guards)
        found.append(verdict.outcome.value)
    return tuple(found)


@pytest.mark.whole
@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_the_battery_of_trade_offs(behavior):
    assert outcomes(behavior) == EXPECTED[behavior]


def test_ruin_is_no_steerability():
    scores = respond_to(thirty(), "ruins")
    assert scores.details["advantage"] > 0.1
    assert scores.details["reward_over_unsteered"]["high"] < -0.2
    (table,) = scores.details["pairs"]
    assert table["hypervolume"] < table["hypervolume_unsteered"]
    assert any("serves the weightings worse than no steering" in warning for warning in scores.warnings)
    verdict = guarded(decide(Gate(at_least=0.05), estimate_scores(scores)), scores.guards)
    assert "over no steering is -0." in verdict.reason
    assert verdict.outcome is Outcome.FAILED


@pytest.mark.parametrize("silent", [None, 0.0, 0.5, 1.0])
def test_a_weighting_under_which_the_model_does_not_answer_is_seen(silent):
    """The other sides are read well: their mean option mass of .76 would hide one that is read from next to nothing."""
    assert {unit.option_mass for unit in respond_to(thirty(), "follows").units} == {0.9}
    scores = respond_to(thirty(), "follows", mass_at=lambda weight: 0.02 if weight == silent else 0.9)
    assert {unit.option_mass for unit in scores.units} == {0.02}


def test_a_weight_that_is_ruined_does_not_cancel():
    scores = respond_to(thirty(), "ruins the middle")
    assert scores.details["reward_over_unsteered"]["low"] > 0
    verdict = guarded(decide(Gate(at_least=0.05), estimate_scores(scores)), scores.guards)
    assert "at the weight 50 % is -0.5" in verdict.reason


def test_gains_in_one_pair_do_not_hide_a_ruined_one(monkeypatch):
    """Without steering the model serves the other pairs badly, so that over all pairs steering gains."""
    others = [
        dataclasses.replace(
            one,
            scenario_id=f"{one.scenario_id} of {pair}",
            pair=pair,
            text=f"{one.text[:-1]} for {pair}.",
            options=tuple(f"{option} for {pair}" for option in one.options),
        )
        for pair in (("c", "d"), ("e", "f"))
        for one in thirty().scenarios
    ]
    ruined = {one.served for one in thirty().scenarios}
    served = {one.served: tuple((a / 2, b / 2) for a, b in one.served) for one in thirty().scenarios}
    others = [dataclasses.replace(one, served=served[one.served]) for one in others]

    def ruins_one(weight, served):
        if tuple(map(tuple, served)) in ruined:
            return ruin(weight, served)
        return pick(3) if weight is None else best_by(weight, served)

    monkeypatch.setitem(BEHAVIORS, "ruins one pair", ruins_one)
    scores = respond_to(TradeOffSet("three", (*thirty().scenarios, *others), "0"), "ruins one pair", weights=(0.0, 1.0))
    assert scores.details["reward_over_unsteered"]["low"] > 0
    assert any("these pairs worse than no steering: a-b (-0." in warning for warning in scores.warnings)
    verdict = guarded(decide(Gate(at_least=0.05), estimate_scores(scores)), scores.guards)
    assert "the reward by the weightings over no steering of a-b is -0." in verdict.reason
    assert verdict.outcome is Outcome.FAILED


def test_a_reward_that_may_be_lower_is_not_decided():
    """The advantage is there, and the reward lies about that of no steering."""
    passed = decide(Gate(at_least=0.05), Estimate(0.2, 0.15, 0.25, 0.025, n=40, n_clusters=40))
    near = Estimate(0.0, -0.02, 0.02, 0.01, n=40, n_clusters=40)
    below = Estimate(-1.0, -1.02, -0.98, 0.01, n=40, n_clusters=40)
    assert guarded(passed, [Guard("the reward", near)]).outcome is Outcome.INCONCLUSIVE
    assert guarded(passed, [Guard("the reward", near, must_be_shown=False)]).outcome is Outcome.PASSED
    assert guarded(passed, [Guard("the reward", below, must_be_shown=False)]).outcome is Outcome.FAILED
    change = decide(Gate(max_decrease=0.1), passed.estimate, change=near)
    assert guarded(change, [Guard("the reward", below)]) is change


def test_ties_are_told_from_wins():
    (follows,) = respond_to(thirty(), "follows", weights=(0.0, 1.0)).details["pairs"]
    assert (follows["diagonal_dominance"], follows["diagonal_dominance_strict"]) == (1.0, 1.0)
    for behavior in ("ignores", "even", "one end"):
        (table,) = respond_to(thirty(), behavior).details["pairs"]
        assert (table["diagonal_dominance"], table["diagonal_dominance_strict"]) == (1.0, 0.0)


def test_a_scenario_with_an_option_that_is_best_in_both_values_is_refused(tmp_path):
    path = tmp_path / "one.jsonl"
    options = [*TWO, {"text": "z", "a": 1.0, "b": 1.0}]
    path.write_text(json.dumps(GOOD | {"options": options}), encoding="utf-8")
    with pytest.raises(DatasetError, match="one option serves both values best, so that nothing is traded off"):
        load_trade_offs(path)


def test_weights_are_told_apart_in_words(benchmark):
    rounds = TradeOffEvaluation(benchmark, ASKING, TradeOffSettings((0.001, 0.25, 1 / 3))).rounds()
    texts = [prompt.question for prompt in next(rounds).requests]
    for words in ("at 0.1 % and freedom at 99.9 %", "at 25 % and freedom at 75 %", "at 33.33 % and freedom at 66.67 %"):
        assert any(words in text for text in texts)


def test_one_pair_and_the_reward(benchmark):
    scores = run(benchmark, lambda weight: weight or 0.0, pair="honesty-kindness", score="reward")
    assert len(scores.units) == 30
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
        ({"weights": (0.0, 0.00001, 1.0)}, "different in per cent"),
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
        ({"options": [{"text": "x", "a": 10**400, "b": 0}, {"text": "y", "a": 0, "b": 1}]}, "serves 'a'"),
        ({"cluster": ["c"]}, "'cluster' must be a text"),
        ({"cluster": " "}, "'cluster' must be a text"),
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


def test_two_pairs_of_one_name_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [
        {"scenario_id": f"s{n}", "pair": pair, "scenario": "?",
         "options": [{"text": "x", pair[0]: 1, pair[1]: 0}, {"text": "y", pair[0]: 0, pair[1]: 1}]}
        for n, pair in enumerate([["short-term", "gain"], ["short-term", "gain"], ["short", "term-gain"]])
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows[:2])), encoding="utf-8")
    assert load_trade_offs(path).pairs == (("short-term", "gain"),)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 3.*both called 'short-term-gain'"):
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
    return scores, guarded(decide(Gate(at_least=least), estimate_scores(scores)), scores.guards).outcome


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


@pytest.mark.parametrize("rounding", [0.0, 1e-14, -1e-14])
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_a_model_is_no_improvement_on_itself(direction, rounding):
    scores, outcome = pareto(external("one", BASE, BASE), external("two", BASE + rounding, BASE, direction))
    assert outcome is Outcome.FAILED
    assert not scores.details["is_pareto_improvement"]
    # The gain is 0 and not a hair below it: the promise is broken because nothing was gained.
    shown = estimate_scores(scores)
    assert str(shown) == "0.000 [0.000, 0.000]"
    assert {*(unit.value for unit in scores.units), shown.value, shown.low, shown.high} == {0.0}
    verdict = guarded(decide(Gate(at_least=0.0), shown), scores.guards)
    assert verdict.reason.startswith("no objective gained")


def test_an_equal_model_gains_nothing_when_values_alone_decide():
    scores, _ = pareto(external("one", BASE, BASE), external("two", BASE, BASE), confidence_level=None)
    gate = Gate(at_least=0.0, confidence_level=None)
    shown = estimate_scores(scores, confidence_level=None)
    assert guarded(decide(gate, shown), scores.guards).outcome is Outcome.FAILED


def test_an_equal_model_keeps_a_promise_that_bears_a_loss():
    scores, outcome = pareto(external("one", BASE, BASE), external("two", BASE, BASE), least=-0.1)
    assert (outcome, scores.guards) == (Outcome.PASSED, ())


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


@pytest.mark.slow
def test_no_objective_is_called_worse_by_chance_more_often_with_ten_than_with_one():
    """With all true gains 0, unadjusted intervals fail one promise in five (measured); adjusted ones 2.5 % at most."""
    rng, n, zeros = np.random.default_rng(3), 60, np.zeros(60)
    names = [f"o{k}" for k in range(10)]
    found = [
        pareto(*(external(name, rng.normal(size=n), zeros) for name in names), n_resamples=2)[1] for _ in range(100)
    ]
    assert found.count(Outcome.FAILED) <= 8
    assert found.count(Outcome.PASSED) == 0


def test_failures_are_adjusted_for_the_number_of_objectives_and_passes_are_not():
    rng = np.random.default_rng(9)
    noise = rng.normal(size=60)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * math.sqrt(60)
    # Two and a quarter standard errors below 0, and many objectives that gain.
    below, above = external("below", noise - 2.25, np.zeros(60)), external("above", noise + 2.25, np.zeros(60))
    good = [external(f"good{k}", BASE + 0.5 + 0.01 * noise, BASE) for k in range(4)]
    scores, outcome = pareto(below, good[0])
    assert outcome is Outcome.INCONCLUSIVE
    assert scores.details["deciding"] == "below"
    assert scores.details["objectives"][0]["high"] < 0
    assert scores.details["objectives"][0]["p_worse"] == pytest.approx(2 * 0.02, abs=0.012)
    assert pareto(above, *good)[1] is Outcome.PASSED
    # The gates of a run are adjusted by the p-value of the objective times their number, or more.
    worse = external("worse", noise - 4.0, np.zeros(60))
    scores, outcome = pareto(worse, *good)
    assert outcome is Outcome.FAILED
    p_value = failure_p_value(Gate(at_least=0.0), estimate_scores(scores))
    assert 5e-4 < scores.details["objectives"][0]["p_worse"] <= p_value < 0.025


def test_of_several_that_are_worse_the_surest_decides():
    sure, unsure = external("sure", BASE - 0.1 + NOISE[0], BASE), external("unsure", BASE - 0.4 + 20 * NOISE[1], BASE)
    scores, outcome = pareto(unsure, sure)
    assert outcome is Outcome.FAILED
    assert scores.details["deciding"] == "sure"


def test_by_values_alone_a_loss_is_no_improvement():
    scores, _ = pareto(external("a", [0.0, -0.008], [0, 0]), external("b", [0.05, 0.05], [0, 0]), confidence_level=None)
    gate = Gate(at_least=0.0, confidence_level=None)
    assert decide(gate, estimate_scores(scores, confidence_level=None)).outcome is Outcome.FAILED
    assert scores.details["deciding"] == "a"
    assert scores.details["probability_of_dominance"] == 0.0
    scores, _ = pareto(external("a", [0.1, 0.0], [0, 0]), external("b", [0.1, 0.1], [0, 0]), confidence_level=None)
    assert decide(gate, estimate_scores(scores, confidence_level=None)).outcome is Outcome.PASSED


def test_gains_of_nought_and_one_are_no_shares():
    """An objective that gains 1 in one unit of 40 and loses in none: the exact interval of a share starts above 0."""
    gains = np.zeros(40)
    gains[0] = 1.0
    scores, outcome = pareto(external("one", gains, np.zeros(40)), external("two", BASE[:40] + 0.1, BASE[:40]))
    estimate = estimate_scores(scores)
    assert estimate.how.difference
    assert estimate.low == compare_paired(gains, np.zeros(40)).low < 0
    assert outcome is Outcome.INCONCLUSIVE


@dataclasses.dataclass(frozen=True)
class Known:
    """An evaluation whose scores of either model are known: first the tested one's, then the reference's."""

    ours: Scores
    theirs: Scores

    def rounds(self):
        (which,) = yield Round("answers", ("which",))
        return self.ours if which == 0 else self.theirs


def pareto_of(*objectives, **keywords):
    rounds = ParetoEvaluation(objectives, n_resamples=200, **keywords).rounds()
    asked = next(rounds)
    try:
        while True:
            asked = rounds.send([0 if asked.role == "language_model" else 1])
    except StopIteration as stop:
        return stop.value


def judged(values, jurors=None, **keywords):
    units = tuple(UnitScore(f"q{i}", f"q{i}", float(v)) for i, v in enumerate(values))
    others = tuple(UnitScore(f"j{i}", f"j{i}", float(v)) for i, v in enumerate(jurors if jurors is not None else ()))
    return Scores("jury_welfare", units, crossed=Crossed(others) if jurors is not None else None, **keywords)


OTHER = external("other", BASE + 0.1, BASE)


def test_jurors_are_in_the_interval_of_their_objective():
    """Queries agree that the model gains, jurors do not: an interval over queries alone would pass."""
    jurors = np.array([0.9, -0.5, 0.7, -0.6, 0.4, -0.3])
    ours, theirs = judged(BASE + 0.1 + NOISE[0], jurors), judged(BASE, np.zeros(6))
    scores = pareto_of(Objective("jury", "higher", Known(ours, theirs)), OTHER)
    row = scores.details["objectives"][0]
    expected = compare_crossed(BASE + 0.1 + NOISE[0], BASE, jurors, np.zeros(6))
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert decide(Gate(at_least=0.0), estimate_scores(scores)).outcome is Outcome.INCONCLUSIVE
    # The bootstrap draws jurors, too: 0.1 with a standard error of 0.26 is above 0 two times in three.
    assert scores.details["probability_of_dominance"] == pytest.approx(0.65, abs=0.1)
    lower = pareto_of(Objective("jury", "lower", Known(theirs, ours)), OTHER).details["objectives"][0]
    assert (lower["low"], lower["high"]) == pytest.approx((expected.low, expected.high))


def test_what_units_do_not_show_is_in_the_interval():
    ours, theirs = judged(BASE + 0.1 + NOISE[0], extra_variance=0.03), judged(BASE, extra_variance=0.01)
    row = pareto_of(Objective("jury", "higher", Known(ours, theirs)), OTHER).details["objectives"][0]
    assert row["high"] - row["low"] == pytest.approx(2 * 2.0 * math.sqrt(0.04), rel=0.02)


def test_a_value_that_is_no_mean_of_units_keeps_its_own_interval():
    least = Estimate(0.30, 0.26, 0.36, 0.02, n=60, n_clusters=60)
    other = Estimate(0.25, 0.22, 0.27, 0.02, n=60, n_clusters=60)
    ours, theirs = judged(BASE + 0.1, estimate=least), judged(BASE, estimate=other)
    row = pareto_of(Objective("jury", "higher", Known(ours, theirs)), OTHER).details["objectives"][0]
    assert row["gain"] == pytest.approx(0.05)
    assert row["low"] == pytest.approx(0.05 - math.hypot(0.04, 0.02))
    assert row["high"] == pytest.approx(0.05 + math.hypot(0.06, 0.03))


def test_the_same_estimated_jurors_on_the_same_texts_are_no_uncertainty():
    same = judged(BASE, np.linspace(0, 1, 6), extra_variance=0.1)
    scores = pareto_of(Objective("jury", "higher", Known(same, same)), OTHER)
    assert decide(Gate(at_least=0.0), estimate_scores(scores)).outcome is Outcome.PASSED


def test_what_a_baseline_holds_of_jurors_is_compared_with_them():
    """A stored entry gives the gain that the reference model would give, and rounding is not a change."""
    jurors = np.array([0.9, -0.5, 0.7, -0.6, 0.4, -0.3])
    ours = judged(BASE + 0.1 + NOISE[0], jurors, extra_variance=0.001)
    theirs = judged(BASE, np.zeros(6), extra_variance=0.002)
    other = judged(BASE + 0.1)
    entry = {
        "units": [{"id": unit.unit_id, "value": unit.value} for unit in theirs.units],
        "crossed": [{"id": unit.unit_id, "value": unit.value} for unit in theirs.crossed.units],
        "extra_variance": 0.002,
    }
    same = {"units": [{"id": unit.unit_id, "value": unit.value + 4e-6} for unit in other.units]}
    evaluation = ParetoEvaluation(
        (Objective("jury", "higher", Known(ours, ours)), Objective("other", "higher", Known(other, other))),
        against="baseline",
        n_resamples=10,
    )
    scores = evaluation.beside({"jury": ours, "other": other}, {"jury": entry, "other": same})
    beside = pareto_of(Objective("jury", "higher", Known(ours, theirs)), OTHER)
    assert scores.details["objectives"][0] == beside.details["objectives"][0]
    assert [scores.details["objectives"][1][name] for name in ("gain", "low", "high")] == [0.0, 0.0, 0.0]
    # A unit that was stored without a score is missing today, too.
    entry["units"][3]["value"] = None
    scores = evaluation.beside({"jury": ours, "other": other}, {"jury": entry, "other": same})
    assert scores.details["objectives"][0]["n_missing"] == 1


def test_units_without_a_score_leave_a_promise_open():
    values = np.where(np.arange(60) == 7, np.nan, BASE + 0.1 + NOISE[0])
    objective = Objective("jury", "higher", Known(judged(values), judged(BASE)))
    scores = pareto_of(objective, external("other", BASE + 0.01, BASE))
    verdict = decide(Gate(at_least=0.0), estimate_scores(scores))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "1 of 60 units have no score"
    assert (scores.details["deciding"], scores.details["objectives"][0]["n_missing"]) == ("jury", 1)
    nothing = Objective("jury", "higher", Known(judged(BASE * np.nan), judged(BASE)))
    with pytest.raises(DatasetError, match="'jury' has no unit with a score of both models"):
        pareto_of(nothing, OTHER)


def test_a_constant_gain_in_few_units_is_not_believed_beside_others():
    """The gain of "few" has the higher lower end, so that it would never decide by that."""
    few = external("few", [0.6] * 5, [0.5] * 5)
    scores, outcome = pareto(few, external("many", BASE + 0.05 + NOISE[0], BASE))
    assert outcome is Outcome.INCONCLUSIVE
    assert scores.details["deciding"] == "few"


def test_each_objective_may_have_a_promise_of_its_own():
    loss = external("loss", BASE - 0.015 + NOISE[0] / 4, BASE)
    gain = external("gain", BASE + 0.1 + NOISE[1], BASE)
    assert pareto(loss, gain)[1] is Outcome.FAILED
    borne = dataclasses.replace(loss, least=-0.05)
    scores, outcome = pareto(borne, gain)
    assert outcome is Outcome.PASSED
    assert scores.details["objectives"][0]["least"] == -0.05
    assert "no Pareto improvement: worse in loss by 0.01" in scores.warnings[0]
    # The value is what is left of the bound; the table has the gain itself.
    assert estimate_scores(scores).value == pytest.approx(scores.details["objectives"][0]["gain"] + 0.05)
    assert np.mean([unit.value for unit in scores.units]) == pytest.approx(estimate_scores(scores).value)
    assert pareto(loss, dataclasses.replace(gain, least=0.2), least=-0.1)[1] is Outcome.INCONCLUSIVE
    assert pareto(loss, dataclasses.replace(gain, least=0.3), least=-0.1)[1] is Outcome.FAILED


def test_a_pass_that_is_no_pareto_improvement_is_told():
    worse = [external(name, BASE - 0.015 + NOISE[0] / 20, BASE) for name in ("one", "two")]
    scores, outcome = pareto(*worse, least=-0.02)
    assert outcome is Outcome.PASSED
    assert re.search("no Pareto improvement: worse in one by 0.01.*, two by 0.01", scores.warnings[0])
    same = [external(name, BASE, BASE) for name in ("one", "two")]
    scores, outcome = pareto(*same, least=-0.02)
    assert outcome is Outcome.PASSED
    assert "better in nothing" in scores.warnings[0]


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
