"""PAL, VPL, PAD: a reward model that is steered by weights."""

import pytest


@pytest.mark.trade_off_steerability("trade_offs", judge="rewards", at_least=0.05)
def test_follows_the_weights(): ...
