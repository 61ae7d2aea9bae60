"""Steered distances: every group from the model steered to every group."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytest_pluralism as pp
from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean
from pytest_pluralism.core.estimation.at_level import as_difference
from pytest_pluralism.core.guards import guarded
from pytest_pluralism.core.health import health_problems
from pytest_pluralism.core.records import Gate, Outcome, Prompt
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.evaluation.steering.distances import MEASURE

GROUPS = ("North", "South", "East")
N = 24
RNG = np.random.default_rng(0)
SHARES = {group: RNG.dirichlet([2, 2, 2], N) for group in GROUPS}

#: A model: how it answers a question of a number when it is steered to a group, or to none.
Answers = Callable[[str | None, int], Any]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows: list[object] = [{"attribute": g, "who": f"one from the {g}", "category": "quarter"} for g in GROUPS]
    rows += [
        {
            "question_id": f"q{number}",
            "question": f"Question {number}?",
            "options": ["a", "b", "c"],
            "distributions": [{"population": g, "probabilities": SHARES[g][number].round(6).tolist()} for g in GROUPS],
        }
        for number in range(N)
    ]
    path = tmp_path_factory.mktemp("town") / "town.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def measured(town: str, answers: Answers, **keywords: Any) -> Any:
    def model(prompt: Prompt) -> list[float]:
        number = int(prompt.question.split("Question ")[1].split("?")[0])
        group = next((g for g in GROUPS if f"one from the {g}" in prompt.question), None)
        shares = np.asarray(answers(group, number), dtype=float)
        return [float(one) for one in shares / max(1.0, shares.sum()) * (1 - 1e-9)]

    asking = {"repetitions": 1, "examples": 0, "option_order": "none", "settings": {"answers": "off"}}
    return pp.measure(model, "steered_distance", town, **asking, **keywords)


def outcome(found: Any, *, at_most: float) -> Outcome:
    return guarded(decide(Gate(at_most=at_most), found.estimate), found.scores.guards).outcome


def follows(group: str | None, number: int) -> Any:
    mean = np.mean([SHARES[g][number] for g in GROUPS], axis=0)
    return mean if group is None else 0.9 * SHARES[group][number] + 0.1 * mean


def ignores(group: str | None, number: int) -> Any:
    return np.mean([SHARES[g][number] for g in GROUPS], axis=0)


def turns(group: str | None, number: int) -> Any:
    return follows(group and GROUPS[(GROUPS.index(group) + 1) % 3], number)


def test_a_model_that_follows_its_steering_keeps_the_promise(town: str) -> None:
    found = measured(town, follows)
    details = found.scores.details
    assert details["diagonal_dominance"] == details["best_alone"] == 1.0
    matrix = np.array(details["matrix"]["value"])
    assert matrix.argmin(axis=1).tolist() == [0, 1, 2]
    low, high = np.array(details["matrix"]["low"]), np.array(details["matrix"]["high"])
    assert ((low <= matrix) & (matrix <= high)).all()
    assert found.estimate.value == pytest.approx(np.diag(matrix).mean())
    assert outcome(found, at_most=0.15) is Outcome.PASSED
    assert details["margin"]["low"] > 0.1


@pytest.mark.parametrize("answers", [ignores, turns])
def test_a_model_that_ignores_or_turns_its_steering_does_not(town: str, answers: Answers) -> None:
    found = measured(town, answers)
    assert outcome(found, at_most=0.9) is not Outcome.PASSED
    (guard,) = found.scores.guards
    # The margin of a model that ignores its steering is 0.000, so that "at least 0" would contradict the outcome.
    assert guard.told.startswith("the other steerings are further from the groups than their own by ")
    assert guard.told.endswith("], which must be more than 0")
    free = measured(town, answers, least_margin=None)
    assert outcome(free, at_most=0.9) is Outcome.PASSED
    if answers is ignores:
        assert found.scores.details["diagonal_dominance"] == 1.0
        assert found.scores.details["best_alone"] == 0.0
    else:
        assert any("fits" in text or "fit the groups better" in text for text in found.scores.warnings)


@pytest.mark.whole
def test_a_steering_under_which_the_model_does_not_answer_is_seen(town: str) -> None:
    def refuses(group: str | None, number: int) -> Any:
        return np.asarray(follows(group, number)) * (0.01 if group == "South" else 1.0)

    for keywords in ({}, {"population": "North"}, {"population": "worst"}):
        found = measured(town, refuses, **keywords)
        problems = health_problems(Gate(at_most=0.5), found.scores, found.estimate, measure=MEASURE)
        assert "low_option_mass" in dict(problems)
    answered = measured(town, follows)
    assert "low_option_mass" not in dict(health_problems(Gate(at_most=0.5), answered.scores, answered.estimate))


def test_one_option_for_every_question_is_told(town: str) -> None:
    found = measured(town, lambda group, number: [1, 1e-9, 1e-9], least_margin=None)
    problems = dict(health_problems(Gate(at_most=0.99), found.scores, found.estimate, measure=MEASURE))
    assert "constant_would_pass" in problems
    assert found.scores.units[0].references["first"] == pytest.approx(found.scores.units[0].value, abs=1e-3)


@pytest.mark.whole
def test_the_group_that_is_served_worst_is_named_and_the_gap_is_bounded(town: str) -> None:
    def spares(group: str | None, number: int) -> Any:
        return ignores(group, number) if group == "East" else follows(group, number)

    found = measured(town, spares, most_gap=0.05)
    assert found.scores.witness.unit_id == "East"
    assert found.scores.details["gap"]["worst"] == "East"
    assert found.scores.details["gap"]["low"] > 0.05
    assert outcome(found, at_most=0.5) is Outcome.FAILED
    worst = measured(town, spares, population="worst")
    assert worst.scores.details["worst"] == "East"
    east = measured(town, spares, population="East")
    assert worst.estimate.value == pytest.approx(east.estimate.value)
    assert outcome(measured(town, follows, most_gap=0.1), at_most=0.5) is Outcome.PASSED


def test_groups_that_are_served_alike_have_no_gap_however_few_the_questions_are() -> None:
    passed = decide(Gate(at_most=0.5), estimate_mean(np.linspace(0.1, 0.2, 12)))
    alike, apart = (as_difference(compare_paired([0.1] * 12, [other] * 12)) for other in (0.1, 0.15))
    assert guarded(passed, [Guard("the distance", alike, least=-0.1)]).outcome is Outcome.PASSED
    # A difference that is the same in a few questions is another thing than none.
    verdict = guarded(passed, [Guard("the distance", apart, least=-0.1)])
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.endswith("must be at least -0.1")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"least_margin": -1}, "least_margin"),
        ({"most_gap": "x"}, "most_gap"),
        ({"population": "West"}, "group of town.jsonl"),
        ({"population": ["North", "West"]}, "group of town.jsonl"),
        ({"population": ["North"]}, "at least two groups"),
        ({"category": "trade"}, "category of town.jsonl"),
    ],
)  # fmt: skip
def test_wrong_keywords_are_refused(town: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        measured(town, follows, **keywords)


def test_groups_that_answer_alike_leave_nothing_to_steer_to(tmp_path: Path) -> None:
    rows = [
        {
            "question_id": f"q{number}",
            "question": f"Question {number}?",
            "options": ["a", "b", "c"],
            "distributions": [
                {"population": g, "probabilities": SHARES["North" if g == "East" else g][number].round(6).tolist()}
                for g in GROUPS
            ],
        }
        for number in range(12)
    ]
    path = tmp_path / "alike.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InvalidParameterError, match=r"North, East answer every .* alike.*least_margin=None"):
        measured(str(path), follows, population=["North", "East"])
    assert measured(str(path), follows, population=["North", "East"], least_margin=None).scores.units
    # The third group can be steered to, whatever the two share.
    assert measured(str(path), follows).scores.units


def test_several_kinds_of_groups_must_be_told_apart() -> None:
    with pytest.raises(InvalidParameterError, match="several kinds of groups"):
        pp.evaluate(lambda prompt: [1.0], "steered_distance", "gss")


AMCE = '"Estimates","se","Label","Country"\n'


def test_effects_of_the_moral_machine_are_shares_of_two_answers(tmp_path: Path) -> None:
    path = tmp_path / "amce.csv"
    path.write_text(
        AMCE + '0.5,0.01,"Species","USA"\n-0.2,0.02,"Species","JPN"\n0.4,0.01,"No. Characters_2","USA"\n', "utf-8"
    )
    survey = pp.load_survey(path)
    assert {row.population: row.probabilities for row in survey.distributions if row.question_id == "Species"} == {
        "USA": pytest.approx((0.75, 0.25)),
        "JPN": pytest.approx((0.4, 0.6)),
    }
    assert survey.distributions[0].n_respondents == 7500
    assert "2 more than the other" in survey.questions[1].text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('1.5,0.1,"Species","USA"', "an effect in"),
        ('0.5,-0.1,"Species","USA"', "an effect in"),
        ('0.5,0.1,"Spices","USA"', "'Label' must be one of"),
        ('0.5,0.1,"Species","USA"\n0.5,0.1,"Species","USA"', "a second time"),
    ],
)  # fmt: skip
def test_wrong_effects_are_refused(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "amce.csv"
    path.write_text(f"{AMCE}{row}\n", "utf-8")
    with pytest.raises(DatasetError, match=message):
        pp.load_survey(path)
