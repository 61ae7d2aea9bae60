"""The model is closer to the country and to each party than an even answer, on a survey that is shipped with it."""

import pytest


@pytest.mark.js_distance("parties.jsonl", population="US adults", better_than="uniform")
def test_closer_to_the_country_than_even_answers() -> None:
    """The marker is the promise."""


@pytest.mark.js_distance("parties.jsonl", population=["Democrat", "Independent", "Republican"], better_than="uniform")
def test_closer_to_each_party_than_even_answers() -> None:
    """The marker is the promise."""
