"""Choosing populations, and the table of distributions of one."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import AnswerDistribution, Question, Survey
from pytest_pluralism.datasets import resolve_populations, survey_distributions

COUNTRIES = ("Japan", "Peru", "United States", "Chile")
SURVEY = Survey(
    name="world",
    questions=(Question("a", "Is it so?", ("Yes", "No")), Question("b", "And now?", ("Yes", "No"))),
    distributions=(
        *(AnswerDistribution("b", country, (0.5, 0.5)) for country in COUNTRIES),
        *(AnswerDistribution("a", country, (0.25, 0.75)) for country in COUNTRIES[:3]),
    ),
    sha256="",
)


def test_one_several_and_all() -> None:
    assert resolve_populations(SURVEY, "Peru") == ("Peru",)
    assert resolve_populations(SURVEY, ["Chile", "Japan"]) == ("Chile", "Japan")
    assert resolve_populations(SURVEY, ("Chile",)) == ("Chile",)
    assert resolve_populations(SURVEY, "all") == resolve_populations(SURVEY, ["all"]) == COUNTRIES


def test_nobody_is_named() -> None:
    with pytest.raises(DatasetError, match="has 4 populations and no default") as caught:
        resolve_populations(SURVEY)
    assert 'population="all"' in str(caught.value)
    assert resolve_populations(dataclasses.replace(SURVEY, default_population="Peru")) == ("Peru",)
    assert resolve_populations(dataclasses.replace(SURVEY, default_population="all")) == COUNTRIES


def test_unknown_population_names_the_nearest_and_their_number() -> None:
    with pytest.raises(DatasetError, match=r"'world': unknown population 'Untied States' \(there are 4\)") as caught:
        resolve_populations(SURVEY, ["Japan", "Untied States"])
    assert "Nearest: 'United States'" in str(caught.value)
    with pytest.raises(DatasetError, match="unknown population 'japan'"):
        resolve_populations(SURVEY, "japan")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "must be a population's name"),
        ([1], "must be a population's name"),
        (3.5, "must be a population's name"),
        ({"Japan"}, "must be a population's name"),
        (["Japan", "Japan"], "without repetitions"),
        (["Japan", "all"], "'all' alone or names"),
        (["all", "Japan"], "'all' alone or names"),
    ],
)
def test_what_is_no_choice(names: object, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        resolve_populations(SURVEY, names)


def test_distributions_come_in_the_order_of_the_survey() -> None:
    pairs = survey_distributions(SURVEY, "Japan")
    assert [(question.question_id, row.probabilities[0]) for question, row in pairs] == [("a", 0.25), ("b", 0.5)]
    assert {row.population for _, row in pairs} == {"Japan"}
    assert [question.question_id for question, _ in survey_distributions(SURVEY, "Chile")] == ["b"]
    with pytest.raises(DatasetError, match="unknown population 'all'"):
        survey_distributions(SURVEY, "all")
