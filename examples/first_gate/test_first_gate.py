"""The smallest gate: one promise about one population, against the last release.

pytest --pluralism-model=SPEC --pluralism-update-baseline   # once, and when a change is accepted
pytest --pluralism-model=SPEC                               # every release after that
"""

import pytest


@pytest.mark.js_distance("gss", population="US adults", max_increase=0.02)
def test_comes_no_further_from_the_country(): ...
