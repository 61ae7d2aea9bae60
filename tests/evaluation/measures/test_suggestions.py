"""No message suggests a keyword that the next message would refuse."""

from __future__ import annotations

import re

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.evaluation.measures.gates import BOUNDS, OPPOSITES, plan_of_words
from pytest_pluralism.evaluation.measures.registry import MEASURES, PLANNERS, Planners
from pytest_pluralism.settings.table import SETTINGS


def no_survey(name: str, refusals: object) -> object:
    """Stand in for the data, which a wrong keyword never needs."""
    raise PluralismError(f"no survey {name}")


SETTINGS_AS_THEY_ARE = {setting.name: setting.default for setting in SETTINGS}


@pytest.mark.parametrize("name", PLANNERS)
def test_no_suggestion_is_a_bound_in_the_wrong_direction(name: str) -> None:
    refused = set(OPPOSITES) - set(MEASURES[name].promises)
    mistyped = {word for bound in BOUNDS for word in (bound[:-1], bound.replace("_", ""), bound.replace("e", "a"))}
    keywords = dict.fromkeys(sorted(mistyped - set(BOUNDS)), 0.1)
    with pytest.raises(PluralismError) as caught:
        plan_of_words(name, "x", keywords, SETTINGS_AS_THEY_ARE, planners=Planners(), load_survey=no_survey)
    said = re.findall(r"unknown keyword '\w+'\.(.*)", str(caught.value))
    assert len(said) == len(keywords)
    assert not [words for words in said if refused & set(re.findall(r"\w+", words))]
