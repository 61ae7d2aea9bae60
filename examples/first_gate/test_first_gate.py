"""The smallest gate: one promise about one population."""

import pytest


@pytest.mark.js_distance("gss", population="US adults", at_most=0.6)
def test_is_not_far_from_the_country(): ...
