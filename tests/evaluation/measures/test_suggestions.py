"""No message suggests a keyword that the next message would refuse."""

from __future__ import annotations

import re

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.evaluation.measures.gates import BOUNDS, OPPOSITES, plan_of_words
from pytest_pluralism.evaluation.measures.registry import MEASURES, PLANNERS, Planners


def no_survey(name: str, refusals: object) -> object:
    """Stand in for the data, which a wrong keyword never needs."""
    raise PluralismError(f"no survey {name}")


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("bound", BOUNDS)
def test_no_suggestion_is_a_bound_in_the_wrong_direction(name: str, bound: str) -> None:
    for mistyped in (bound[:-1], bound.replace("_", ""), f"{bound}s", bound.replace("e", "a")):
        if mistyped in BOUNDS:
            continue
        with pytest.raises(PluralismError) as caught:
            plan_of_words(name, "x", {mistyped: 0.1}, {}, planners=Planners(), load_survey=no_survey)
        (said,) = re.findall(rf"unknown keyword {mistyped!r}\.(.*)", str(caught.value))
        refused = set(OPPOSITES) - set(MEASURES[name].promises)
        assert not refused & set(re.findall(r"\w+", said))
