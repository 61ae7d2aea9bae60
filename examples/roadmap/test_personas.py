"""PERSONA and MaxMin-RLHF: a reward model for each persona, and for the one that it serves worst."""

import pytest


@pytest.mark.preference_accuracy("personas.jsonl", population="all", at_least=0.6, better_than="untold")
def test_agrees_with_each_persona(): ...


@pytest.mark.preference_accuracy("personas.jsonl", by="trade", population="worst", at_least=0.6)
def test_no_trade_is_forgotten(): ...


@pytest.mark.preference_accuracy("personas.jsonl", by="trade", population="worst", max_decrease=0.05)
def test_the_worst_off_trade_loses_nothing(): ...
