"""The numbers of texts that are drawn from a server without log-probabilities, and those that were counted before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping

from pytest_pluralism.core.records import Answer, Prompt
from pytest_pluralism.models.endpoint.letters import SAMPLES

__all__ = ["Draws", "draw_key"]


class Draws:
    """The number of texts that promises need to each prompt.

    Parameters
    ----------
    samples : int or None
        The number for every prompt, which overrides what promises need.
    """

    def __init__(self, samples: int | None) -> None:
        self._samples = samples
        self._wanted: dict[Prompt, int] = {}
        self._begun: dict[Prompt, Answer] = {}

    def take(self, wanted: Mapping[Prompt, int], /) -> None:
        """Take how many texts a promise needs to each prompt; the most of all promises counts."""
        for prompt, many in wanted.items():
            self._wanted[prompt] = max(many, self._wanted.get(prompt, 0))

    def many(self, prompt: Prompt | None = None, /) -> int:
        """Return how many texts are drawn to a prompt; without one, to a prompt that no promise is about."""
        if self._samples is not None:
            return self._samples
        return SAMPLES if prompt is None else self._wanted.get(prompt, SAMPLES)

    def begin(self, found: Mapping[Prompt, Answer | None], /) -> list[Prompt]:
        """Take answers that were counted before, and return the prompts of those with too few texts."""
        short = {
            prompt: answer
            for prompt, answer in found.items()
            if answer is not None and answer.is_sampled and answer.n_drawn < self.many(prompt)
        }
        self._begun |= short
        return list(short)

    def begun(self, prompt: Prompt, /) -> Answer | None:
        """Return the answer that further texts are added to, once."""
        return self._begun.pop(prompt, None)


def draw_key(prompt: Prompt, seed: int, /) -> int:
    """Return the first of the seeds of the draws after a prompt, a whole number that every server takes."""
    content = json.dumps([seed, dataclasses.asdict(prompt)], sort_keys=True)
    return int.from_bytes(hashlib.sha256(content.encode("ascii")).digest()[:4], "big") >> 2
