"""OpinionQA's task, and distributions under steering: the party's answer, and its whole distribution."""

import pytest

PARTIES = ["Democrat", "Independent", "Republican"]


@pytest.mark.steering_faithfulness("gss", attribute="Republican", score="mode", checks=["unsteered"], at_least=0.6)
def test_likeliest_answer_of_a_party(): ...


@pytest.mark.steered_distance("gss", population=PARTIES, at_most=0.2, most_gap=0.1)
def test_distributions_under_steering(): ...
