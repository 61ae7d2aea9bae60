"""Steering by party in the release gate: one promise that both packaged models keep, and one that they break.

Told to answer as people of a party do, both stay within sight of that party's answers; so do they when nobody steers
them. The report has the confusion matrix of parties and steerings.
"""

import pytest


@pytest.mark.steering_faithfulness("parties.jsonl", repetitions=1, at_least=0.6)
def test_steered_to_a_party_it_is_not_far_from_it(): ...


# Broken, and left here because it is what a team would want to promise: steering brings the model closer by .02.
@pytest.mark.steering_faithfulness("parties.jsonl", over="unsteered", repetitions=1, at_least=0.02)
def test_steering_brings_it_closer(): ...
