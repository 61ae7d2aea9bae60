"""Two systems that choose among the responses of the example town: for the majority, and on common ground.

They stand for real models, which are named by ``--pluralism-model``; nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import math

from pytest_pluralism.core.records import Answer
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.models.protocol import ModelIdentity

#: How often each kind of response is given.
SYSTEMS = {
    "pleaser": {"for the center": 0.94, "for both": 0.04, "for the river": 0.02},
    "bridge": {"for the center": 0.04, "for both": 0.92, "for the river": 0.04},
}


class TownModel:
    """Answers each query of the example town with fixed shares of the three kinds of responses."""

    def __init__(self, spec: str) -> None:
        name = spec.removeprefix("town:")
        self.shares = SYSTEMS[name]
        digest = hashlib.sha256(repr(sorted(self.shares.items())).encode()).hexdigest()
        self.identity = ModelIdentity(spec=spec, name=name, sha256=digest, dtype="float32", device="cpu")
        panel = load_panel("example_town")
        self.kinds = {one.text: one.response_id for query in panel.queries for one in query.responses}

    def answer(self, prompts, /, *, progress=None):
        result = []
        for prompt in prompts:
            options = [line[3:] for line in prompt.question.splitlines()[-len(prompt.labels) :]]
            shares = [self.shares[self.kinds[option]] for option in options]
            top = max(range(len(shares)), key=shares.__getitem__)
            logarithms = tuple(math.log(share) for share in shares)
            result.append(Answer(logarithms, 1.0, prompt.labels[top], shares[top]))
        return result

    def close(self) -> None:
        pass


def pytest_pluralism_load_model(spec, settings):
    return TownModel(spec) if spec.startswith("town:") else None
