"""Juries that learn, bridge and agree: jury learning, Community Notes, consensus, the minimax winner."""

import pytest

TOWN = "example_town"


@pytest.mark.jury_welfare(TOWN, composition={"center": 6, "river": 6}, at_least=0.6)
def test_verdict_of_a_stated_jury(): ...


@pytest.mark.jury_choice(TOWN, rule="bridging", at_least=0.22)
def test_bridges_the_quarters(): ...


@pytest.mark.jury_choice("village.csv", rule="schulze", at_least=0.5)
def test_gives_the_consensus(): ...


@pytest.mark.jury_choice("village.csv", rule="minimax", at_least=0.45)
def test_no_rival_wins(): ...


@pytest.mark.jury_welfare(TOWN, alpha=1.0, better_than="uniform")
def test_more_welfare_than_an_even_choice(): ...


@pytest.mark.jury_welfare(TOWN, by="group", population="worst", at_least=0.57)
def test_the_worst_off_quarter(): ...
