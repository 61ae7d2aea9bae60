"""The Hypothesis profile of `tox -e mutation`: the same examples for every mutant, and no time spent on shrinking."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "mutation",
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
if os.environ.get("PLURALISM_HYPOTHESIS_PROFILE") == "mutation":
    settings.load_profile("mutation")
