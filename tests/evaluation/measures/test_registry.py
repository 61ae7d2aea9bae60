"""Every measure of the registry says what it is, once, in words that all reports read."""

from __future__ import annotations

import json

import pytest

from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import in_order, words_for
from pytest_pluralism.evaluation.measures.registry import MEASURES, PLANNERS, planner_of


@pytest.mark.parametrize("name", PLANNERS)
def test_an_entry_says_what_its_measure_is(name: str) -> None:
    measure = MEASURES[name]
    assert measure.name == name
    assert planner_of(name).MEASURE is measure
    assert measure.direction in ("lower", "higher")
    assert measure.kind in ("mean", "share", "difference")
    assert measure.description
    assert measure.lowest < measure.highest
    assert measure.definition >= 1
    names = [term.name for term in measure.references]
    assert len(set(names)) == len(names)
    assert measure.beside in ("", *names)


@pytest.mark.parametrize("name", PLANNERS)
def test_an_entry_survives_its_way_through_a_report(name: str) -> None:
    assert Measure.from_json(json.loads(json.dumps(MEASURES[name].as_json()))) == MEASURES[name]


def test_an_entry_that_a_later_version_wrote_is_read_by_what_is_known() -> None:
    assert Measure.from_json({"name": "kindness", "direction": "higher", "title": "kindness", "colour": "blue"}) == (
        Measure("kindness", "higher", "kindness")
    )


def test_the_registry_knows_only_its_own_names() -> None:
    assert "js_distance" in MEASURES
    assert "kindness" not in MEASURES
    assert MEASURES.get("kindness") is None
    assert len(MEASURES) == 12


def test_a_noun_has_the_form_of_its_number() -> None:
    queries = Noun("query", "queries")
    assert [queries.of(number) for number in (0, 1, 2)] == ["queries", "query", "queries"]


TERMS = (
    Term("chance", "chance"),
    Term("empty", "nothing said", brief=False),
    Term("first_{n}_words", "first {n} words"),
)


def test_values_stand_in_the_order_of_their_terms_and_nothing_is_lost() -> None:
    values = {"first_50_words": 1, "surprise_me": 2, "empty": 3, "first_9_words": 4, "chance": 5}
    assert list(in_order(values, TERMS)) == [
        ("chance", 5),
        ("nothing said", 3),
        ("first 50 words", 1),
        ("first 9 words", 4),
        ("surprise me", 2),
    ]
    assert [words for words, _ in in_order(values, TERMS, brief=True)] == [
        "chance",
        "first 50 words",
        "first 9 words",
        "surprise me",
    ]


@pytest.mark.parametrize("name", ["first__words", "first_x_words", "first_5_words_", "a_first_5_words"])
def test_only_a_number_takes_the_place_of_a_number(name: str) -> None:
    assert words_for(name, TERMS) == name.replace("_", " ")
