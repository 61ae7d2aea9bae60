"""How many jurors carry a welfare, and what is said where they are few."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core.metrics import two_level_welfare, welfare
from pytest_pluralism.datasets.panels_loading import load_panel
from pytest_pluralism.evaluation.jury_carriers import LEAST_CARRIERS, carriers, doubts
from pytest_pluralism.evaluation.jury_scores import policy_scores
from pytest_pluralism.evaluation.jury_settings import JurySettings
from pytest_pluralism.evaluation.jury_welfare import JuryTable, WelfareRule


def table_of(matrix: np.ndarray, *, weights: np.ndarray | None = None, groups: np.ndarray | None = None) -> JuryTable:
    matrix.setflags(write=False)
    response, juror = np.nonzero(~np.isnan(matrix.T))
    n_jurors, n = matrix.shape
    voices = np.ones(n_jurors) if weights is None else weights
    names = () if groups is None else ("a", "b")
    return JuryTable(juror, response, matrix.T[response, juror], np.arange(n), np.ones(n), voices, groups, names, n)


def kish(part: np.ndarray) -> float:
    return float(part.sum() ** 2 / np.sum(part**2))


def slopes(value: object, matrix: np.ndarray) -> np.ndarray:
    """The derivative of the welfare of each response in each utility, by differences."""
    result = np.empty(matrix.shape)
    for place in np.ndindex(matrix.shape):
        step = np.zeros(matrix.shape)
        step[place] = 1e-6
        change = np.subtract(value(matrix + step), value(matrix - step))  # type: ignore[operator]
        result[place] = change[place[1]] / 2e-6
    return result / result.sum(axis=0)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, 5.0, 10.0])
def test_the_number_is_that_of_the_slopes(alpha: float) -> None:
    matrix = np.random.default_rng(0).uniform(0.2, 1.0, (9, 4))
    weights = np.linspace(0.5, 2.0, 9)
    part = slopes(lambda values: welfare(values.T, alpha=alpha, weights=weights), matrix)
    wanted = kish(part.mean(axis=1))
    if alpha > 1.0:
        wanted = min(wanted, float(np.mean([kish(column) for column in part.T])))
    assert carriers(table_of(matrix, weights=weights), WelfareRule(alpha=alpha)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("between", [0.0, 2.0])
def test_between_groups_the_number_is_that_of_the_slopes_too(between: float) -> None:
    matrix = np.random.default_rng(1).uniform(0.2, 1.0, (8, 4))
    groups = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    names = groups.tolist()
    part = slopes(lambda values: two_level_welfare(values.T, names, within_alpha=1.0, between_alpha=between), matrix)
    rule = WelfareRule(alpha=1.0, between_alpha=between)
    assert carriers(table_of(matrix, groups=groups), rule) == pytest.approx(kish(part.mean(axis=1)), rel=1e-5)


def test_a_group_that_decides_alone_carries_the_welfare_alone() -> None:
    matrix = np.full((9, 3), 0.9)
    matrix[6:] = 0.3
    groups = np.array([0] * 6 + [1] * 3)
    rule = WelfareRule(alpha=0.0, between_alpha=math.inf)
    assert carriers(table_of(matrix, groups=groups), rule) == pytest.approx(3.0)


@pytest.mark.parametrize(("share", "number"), [(1.0, 20.0), (0.5, 10.0), (0.1, 2.0), (0.02, 1.0)])
def test_the_worst_off_share_is_carried_by_as_many(share: float, number: float) -> None:
    matrix = np.random.default_rng(2).uniform(0.2, 1.0, (20, 200))
    assert carriers(table_of(matrix), WelfareRule(worst_share=share)) == pytest.approx(number)


def test_nobody_carries_what_nobody_judged() -> None:
    table = table_of(np.full((3, 2), np.nan))
    assert math.isnan(carriers(table, WelfareRule(alpha=2.0)))
    assert not list(doubts(table, WelfareRule(alpha=2.0)))


def test_few_jurors_behind_the_number_are_said() -> None:
    matrix = np.random.default_rng(3).uniform(0.01, 1.0, (20, 20))
    assert not list(doubts(table_of(matrix), WelfareRule(alpha=1.0)))
    (words,) = doubts(table_of(matrix), WelfareRule(alpha=5.0))
    assert f"fewer than {LEAST_CARRIERS:g}" in words
    (words,) = doubts(table_of(matrix), WelfareRule(worst_share=0.1))
    assert "about 2.0 jurors" in words
    assert not list(doubts(table_of(matrix), WelfareRule(worst_share=0.5)))


def test_a_group_of_a_single_juror_is_named() -> None:
    matrix = np.random.default_rng(3).uniform(0.5, 1.0, (21, 20))
    groups = np.array([0] * 20 + [1])
    words = list(doubts(table_of(matrix, groups=groups), WelfareRule(alpha=0.0, between_alpha=0.0)))
    assert "group 'b' is a single juror" in words[0]
    groups = np.array([0] * 11 + [1] * 10)
    assert not list(doubts(table_of(matrix, groups=groups), WelfareRule(alpha=0.0, between_alpha=0.0)))


@pytest.mark.parametrize("between", [None, 0.0, math.inf])
def test_the_worst_off_of_groups_are_judged_over_queries_alone(between: float | None) -> None:
    rule = WelfareRule(alpha=math.inf, between_alpha=between)
    scores = policy_scores(load_panel("example_town"), np.tile([0.0, 0.0, 1.0], 12), settings=JurySettings(rule=rule))
    assert scores.crossed is None
    assert any("over queries alone" in words for words in scores.warnings)


def test_reports_say_where_few_decide() -> None:
    panel, share = load_panel("example_town"), np.tile([0.0, 0.0, 1.0], 12)
    few = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(worst_share=0.01)))
    assert any("about 1.0 jurors" in words for words in few.warnings)
    many = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(alpha=2.0)))
    assert not any("jurors carry" in words for words in many.warnings)
