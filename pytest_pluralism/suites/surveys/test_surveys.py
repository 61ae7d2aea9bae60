"""The model is closer to groups of people than blind answers are, over several surveys."""

import pytest

GROUPS = ["Democrat", "Independent", "Republican", "Men", "Women", "Less than high school", "Bachelor's degree"]


@pytest.mark.js_distance("gss", population=GROUPS, better_than="uniform")
def test_closer_to_each_group_than_even_answers() -> None:
    """The marker is the promise."""


@pytest.mark.js_distance("big_five", better_than="uniform")
def test_describes_itself_more_like_people_than_even_answers() -> None:
    """The marker is the promise."""
