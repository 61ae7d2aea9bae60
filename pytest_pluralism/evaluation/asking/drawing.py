"""From a promise to the number of answers that are drawn to each of its prompts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pytest_pluralism.core.estimation.drawing import draws_planned
from pytest_pluralism.core.records import Gate, Prompt
from pytest_pluralism.evaluation.asking.meanings import Means
from pytest_pluralism.evaluation.asking.rounds import Round

__all__ = ["Promised", "tell_draws", "wanted_draws"]


@dataclass(frozen=True, slots=True)
class Promised:
    """The promise behind an evaluation, as far as it decides how many answers are drawn.

    Attributes
    ----------
    gate : Gate or None
        The promise; ``None`` where only the estimate is wanted.
    width : float
        The range of the measure.
    """

    gate: Gate | None = None
    width: float = 1.0


def wanted_draws(evaluation: object, asked: Round, promised: Promised, /) -> dict[Prompt, int]:
    """Return how many answers a promise needs to each closed question of a round; nothing for other rounds."""
    if asked.work != "answers":
        return {}
    prompts = dict.fromkeys(one for one in asked.requests if isinstance(one, Prompt))
    if not prompts:
        return {}
    meanings = evaluation.meanings() if isinstance(evaluation, Means) else {}
    by_question = Counter(meanings[prompt].key for prompt in prompts if prompt in meanings)
    each = min(asked.prompts_each, min(by_question.values(), default=len(prompts)))
    n_questions = len(by_question) or max(1, len(prompts) // each)
    many = draws_planned(promised.gate, n_questions=n_questions, prompts_each=each, width=promised.width)
    return dict.fromkeys(prompts, many)


def tell_draws(model: object, evaluation: object, asked: Round, promised: Promised | None, /) -> None:
    """Tell a model that draws answers how many a promise needs."""
    # Looked up at the class: a model that is loaded when it is first used has every attribute.
    take = getattr(type(model), "take_draws", None)
    if take is not None:
        take(model, wanted_draws(evaluation, asked, promised or Promised()))
