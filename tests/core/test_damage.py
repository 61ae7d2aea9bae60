"""Damages of answers, against values that are worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core import damage
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import Answer, EntailmentScores, FullAnswerScores, Response
from pytest_pluralism.evaluation.surveys.whole_answers import SCORINGS, distributions

ANSWER = Answer(
    (math.log(0.4), math.log(0.1), math.log(0.3)), 0.8, "A", 0.4, label_logits=((1.0,),), top_tokens=(("A", 0.4),)
)


def test_the_kinds_of_damage_and_their_strengths_are_what_reports_name() -> None:
    labels = [one.label for one in damage.DAMAGES]
    assert labels == [
        *("sharpened T=0.8", "sharpened T=0.5", "sharpened T=0.2", "sharpened T=0.1", "flattened"),
        *("collapsed letter", "collapsed place", "majority", "dropped_option", "shuffled"),
        *("refusals 10%", "refusals 30%", "one_sided", "first_sentence"),
        *("unequal 25%", "unequal 50%", "unequal 100%"),
    ]


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [0.5, 0.125, 0.375]), (0.5, [16 / 26, 1 / 26, 9 / 26])])
def test_sharpened_is_a_power_of_the_shares(temperature: float, expected: list[float]) -> None:
    assert damage.sharpened([0.5, 0.125, 0.375], temperature=temperature) == pytest.approx(expected)


def test_sharpened_to_the_utmost_is_the_likeliest_option_and_an_impossible_one_stays_so() -> None:
    assert damage.sharpened([0.5, 0.0, 0.49, 0.01], temperature=1e-3) == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-8)
    tiny = damage.sharpened([1e-200, 1e-300], temperature=0.1)
    assert tiny == pytest.approx([1.0, 0.0])
    with pytest.raises(InvalidParameterError, match="temperature"):
        damage.sharpened([0.5, 0.5], temperature=0.0)


def test_shares_move_as_they_are_told() -> None:
    shares = [0.5, 0.3, 0.2]
    assert damage.flattened(shares).tolist() == [1 / 3] * 3
    assert damage.collapsed(shares, 1).tolist() == [0.0, 1.0, 0.0]
    assert damage.towards(shares, 2, amount=0.25) == pytest.approx([0.375, 0.225, 0.4])
    assert damage.without_option(shares, 0) == pytest.approx([0.0, 0.6, 0.4])
    assert damage.without_option([0.0, 1.0, 0.0], 1).tolist() == [0.5, 0.0, 0.5]
    assert damage.moved(shares, [2, 0, 1]).tolist() == [0.3, 0.2, 0.5]
    assert shares == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("n", [2, 3, 7])
def test_confused_options_all_leave_their_place_and_do_so_alike_each_time(n: int) -> None:
    orders = {damage.derangement(n, f"key {number}") for number in range(50)}
    for order in orders:
        assert sorted(order) == list(range(n))
        assert all(place != to for place, to in enumerate(order))
    assert damage.derangement(n, "key 7") == damage.derangement(n, "key 7")
    assert len(orders) == 1 or n > 2


def test_the_refused_questions_of_a_larger_share_hold_those_of_a_smaller() -> None:
    keys = [f"q{number}" for number in range(40)]
    few, many = damage.chosen(keys, 0.1, seed=3), damage.chosen(keys * 2, 0.3, seed=3)
    assert (len(few), len(many)) == (4, 12)
    assert few < many
    assert damage.chosen(["only"], 0.1, seed=0) == {"only"}
    assert damage.chosen(keys, 0.1, seed=4) != few


def test_an_answer_takes_other_shares_and_keeps_its_mass() -> None:
    found = damage.with_shares(ANSWER, [0.0, 0.25, 0.75])
    assert found.option_mass == 0.8
    assert np.exp(found.log_probabilities) == pytest.approx([0.0, 0.2, 0.6])
    assert damage.shares_of(found) == pytest.approx([0.0, 0.25, 0.75])
    # The logits and tokens that published protocols read would contradict the shares.
    assert (found.label_logits, found.top_tokens) == ((), ())


def test_a_refused_answer_keeps_its_shares_and_hardly_any_mass() -> None:
    found = damage.refused_answer(ANSWER)
    assert damage.shares_of(found) == pytest.approx(damage.shares_of(ANSWER))
    assert sum(np.exp(found.log_probabilities)) == pytest.approx(0.0008)
    assert found.option_mass == pytest.approx(0.0008)


@pytest.mark.parametrize("scoring", [one for one in SCORINGS if one != "letters"])
def test_whole_answers_take_other_shares_in_every_reading(scoring: str) -> None:
    scores = FullAnswerScores((-3.0, -8.0, -5.0), (-2.0, -9.0, -1.0), (1, 2, 4), (3, 16, 20))
    found = damage.with_shares_of_texts(scores, [0.0, 0.25, 0.75])
    assert distributions([found], scoring) == pytest.approx([0.0, 0.25, 0.75])


def test_texts_that_change_were_ended_by_the_model() -> None:
    draws = (Response("One. Two.", 9, "length"), Response("One.", 4, "length", 1))
    found = damage.rewritten(draws, ["One.", "One."])
    assert [(one.text, one.stopped_by, one.draw) for one in found] == [("One.", "eos", 0), ("One.", "length", 1)]


def test_lost_entailment_becomes_neutral() -> None:
    found = damage.less_entailed(EntailmentScores(0.6, 0.3, 0.1), 0.5)
    assert (found.entailment, found.neutral, found.contradiction) == pytest.approx((0.3, 0.6, 0.1))
    assert damage.less_entailed(EntailmentScores(0.6), 1.0) == EntailmentScores(0.0)
