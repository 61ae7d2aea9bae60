"""A model of a project may take the keyword ``receive`` and pass on everything, a part, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentPair, EntailmentScores, GenerationSettings, Prompt, Response
from pytest_pluralism.evaluation.asking.engine import WORKS
from pytest_pluralism.models.protocol import ModelIdentity

PAIRS = [EntailmentPair(f"premise {n}", "hypothesis") for n in range(4)]


class Judge:
    identity = ModelIdentity("j:x", "x", "0" * 64, dtype="float32", device="cpu")

    def __init__(self, passed_on: int, given: int = 4) -> None:
        self.passed_on, self.given = passed_on, given

    def entail(self, pairs: Any, *, progress: Any = None, receive: Any = None) -> list[EntailmentScores]:
        scores = [EntailmentScores(n / 10) for n in range(len(pairs))]
        if self.passed_on:
            receive(list(zip(pairs, scores, strict=True))[: self.passed_on])
        return scores[: self.given]

    def reward(self, requests: Any, *, progress: Any = None, receive: Any = None) -> list[float]:
        return [float(n) for n in range(len(requests))]

    def generate(
        self, prompts: Any, settings: Any, *, n_draws: int = 1, progress: Any = None, receive: Any = None
    ) -> list[tuple[Response, ...]]:
        written = [tuple(Response(f"{p.question} {d}", 3, "eos", d) for d in range(n_draws)) for p in prompts]
        pairs = [(p, one) for p, draws in zip(prompts, written, strict=True) for one in draws]
        if self.passed_on:
            receive(pairs[: self.passed_on])
        return written


@pytest.mark.parametrize("passed_on", range(5))
def test_what_is_not_passed_on_is_taken_from_the_list(passed_on: int) -> None:
    kept: list[Any] = []
    found = WORKS["entailment"].ask(Judge(passed_on), PAIRS, None, kept.extend)
    assert [found[pair].entailment for pair in PAIRS] == [0.0, 0.1, 0.2, 0.3]
    assert [pair for pair, _ in kept] == PAIRS
    settings = GenerationSettings(max_new_tokens=4, temperature=1.0)
    cells = [(Prompt(text, ()), settings, draw) for text in "ab" for draw in range(2)]
    kept.clear()
    texts = WORKS["responses"].ask(Judge(passed_on), cells, None, kept.extend)
    assert [texts[cell].text for cell in cells] == ["a 0", "a 1", "b 0", "b 1"]
    assert [cell for cell, _ in kept] == cells


def test_a_reward_need_not_pass_on() -> None:
    assert WORKS["rewards"].ask(Judge(0), ["a", "b"], None, lambda pairs: None) == {"a": 0.0, "b": 1.0}


def test_too_few_results_are_an_error_all_the_same() -> None:
    for passed_on in (0, 2, 4):
        with pytest.raises(ModelError, match="gave 3"):
            WORKS["entailment"].ask(Judge(passed_on, given=3), PAIRS, None, lambda pairs: None)
