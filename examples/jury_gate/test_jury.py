"""The same promise at three aversions to inequality: who is served badly decides from 1 on.

pytest --pluralism-model=town:pleaser   # passes the first test, fails the others
pytest --pluralism-model=town:bridge    # passes all
"""

import pytest


@pytest.mark.jury_welfare("example_town", alpha=0.0, better_than="uniform")
def test_good_on_average(): ...


@pytest.mark.jury_welfare("example_town", alpha=5.0, at_least=0.4)
def test_good_for_those_who_are_served_worst(): ...


@pytest.mark.jury_welfare("example_town", population="river", alpha=1.0, better_than="uniform", at_least=0.4)
def test_good_for_the_river_quarter(): ...
