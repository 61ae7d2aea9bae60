"""The model is closer to people than an even answer to every question."""

import pytest


@pytest.mark.js_distance("gss", population="US adults", better_than="uniform")
def test_closer_to_the_country_than_even_answers() -> None:
    """The marker is the promise."""


@pytest.mark.js_distance("gss", population=["Democrat", "Independent", "Republican"], better_than="uniform")
def test_closer_to_each_party_than_even_answers() -> None:
    """The marker is the promise."""
