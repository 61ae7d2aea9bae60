"""Steering by party in the release gate: one promise that an unchanged model keeps, and one that both models break.

Told to answer as people of a party do, both packaged models stay within sight of that party's answers; so do they when
nobody steers them, and so do even answers, which is why no level is promised. The report has the confusion matrix of
parties and steerings.
"""

import pytest


@pytest.mark.steering_faithfulness("parties.jsonl", repetitions=1, max_decrease=0.02)
def test_steered_to_a_party_it_is_as_close_as_before(): ...


# Broken, and left here because it is what a team would want to promise: steering brings the model closer by .02.
@pytest.mark.steering_faithfulness("parties.jsonl", over="unsteered", repetitions=1, at_least=0.02)
def test_steering_brings_it_closer(): ...
