"""The published protocols on the side of the model: their prompts, and how they read its answers.

:mod:`pytest_pluralism.core.protocols` computes their numbers from recordings; this module connects it to a model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from pytest_pluralism.core.errors import DatasetError, ModelError
from pytest_pluralism.core.protocols import modular_pluralism, sorensen2024
from pytest_pluralism.core.protocols.modular_pluralism.distributions import LETTERS as MODULAR_LETTERS
from pytest_pluralism.core.records import Answer, Prompt, Question

__all__ = ["FIXED", "base_of", "protocol_prompts", "quirk_rows", "read_answers"]

#: The settings that each protocol fixes; a run that changes one cannot keep the protocol's name.
FIXED: Mapping[str, Mapping[str, int | str]] = MappingProxyType(
    {
        "sorensen2024": {"examples": 3, "repetitions": 5, "option_order": "none", "template": "raw"},
        "modular_pluralism": {"examples": 0, "repetitions": 1, "option_order": "none", "template": "raw"},
    }
)


def base_of(protocol: str, /) -> float:
    """Return the base of the logarithm in the protocol's Jensen-Shannon distance."""
    return math.e if protocol == "modular_pluralism" else 2.0


def protocol_prompts(question: Question, protocol: str, seed: int, /) -> list[Prompt]:
    """Return the prompts of one question, one a repetition.

    Raises
    ------
    DatasetError
        The question has more options than the protocol has letters.
    """
    letters = MODULAR_LETTERS if protocol == "modular_pluralism" else sorensen2024.LETTERS
    if len(question.options) > len(letters):
        raise DatasetError(
            f"Question {question.question_id!r} has {len(question.options)} options, and the protocol {protocol} reads "
            f"at most {len(letters)}. Use protocol='sound', or leave the question out."
        )
    labels = tuple(letters[: len(question.options)])
    if protocol == "modular_pluralism":
        texts = [modular_pluralism.prompt(question.text, question.options)]
    else:
        # Fresh letters for each question and repetition, as in the paper.
        draw = random.Random(f"{seed}/{question.question_id}")  # noqa: S311
        texts = [
            sorensen2024.global_opinions_prompt(
                question.text, question.options, letters=[draw.choice("ABC"), draw.choice("ABCD"), draw.choice("ABCDE")]
            )
            for _ in range(int(FIXED[protocol]["repetitions"]))
        ]
    return [Prompt(question=question.text, labels=labels, template="raw", verbatim=text) for text in texts]


def read_answers(question: Question, answers: Sequence[Answer], protocol: str, /) -> np.ndarray:
    """Return the distribution over the options that the protocol reads from the answers to one question.

    Raises
    ------
    ModelError
        The model does not record what the protocol reads.
    """
    n_options = len(question.options)
    _recorded(answers, protocol)
    if protocol == "modular_pluralism":
        tokens, probabilities = zip(*answers[0].top_tokens, strict=True)
        # Each token is decoded alone, so that a tokenizer that loses a leading blank makes the collision by itself.
        return np.asarray(
            modular_pluralism.option_probabilities(tokens, probabilities, n_options=n_options, tokenizer="bpe")
        )
    recorded = sorensen2024.Sorensen2024Question(question.question_id, _logits(answers, n_options))
    return np.asarray(sorensen2024.option_probabilities(recorded, n_options=n_options), dtype=np.float64)


def quirk_rows(
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[Answer]],
    people: Mapping[str, Mapping[str, Sequence[float]]],
    protocol: str,
    /,
    *,
    seed: int = 0,
) -> list[dict[str, object]]:
    """Return how far each quirk of a protocol moves its numbers on these answers, as rows of JSON values.

    Parameters
    ----------
    questions : sequence of Question
        The questions that were asked.
    answers : mapping of str to sequence of Answer
        The answers by question.
    people : mapping of str to mapping of str to sequence of float
        The shares of answers by question and population: one population, or several of one question.
    protocol : {"sorensen2024", "modular_pluralism"}
        The protocol.
    seed : int
        Seeds the shuffle control.

    Returns
    -------
    list of dict
        ``quirk``, ``quantity``, ``published`` and ``without``; distances of several populations are averaged.
    """
    for given in answers.values():
        _recorded(given, protocol)
    if protocol == "modular_pluralism":
        recorded = []
        for question in questions:
            tokens, probabilities = zip(*answers[question.question_id][0].top_tokens, strict=True)
            recorded += [
                modular_pluralism.DistributionQuestion(question.question_id, tokens, probabilities, shares)
                for shares in people[question.question_id].values()
            ]
        effects = modular_pluralism.distribution_quirk_table(recorded, tokenizer="bpe")
    else:
        effects = sorensen2024.quirk_table(
            [
                sorensen2024.Sorensen2024Question(
                    question.question_id,
                    _logits(answers[question.question_id], len(question.options)),
                    populations=dict(people[question.question_id]),
                )
                for question in questions
            ],
            seed=seed,
        )
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for effect in effects:
        quantity = effect.quantity.split("[")[0]
        if quantity in _QUANTITIES:
            rows.setdefault((effect.quirk, quantity), []).append((effect.published, effect.without))
    return [
        {
            "quirk": quirk,
            "quantity": quantity,
            "published": float(np.mean([published for published, _ in found])),
            "without": float(np.mean([without for _, without in found])),
        }
        for (quirk, quantity), found in rows.items()
    ]


#: The numbers whose quirks a report shows.
_QUANTITIES = ("js_distance", "model_entropy", "shuffle", "most_likely_correctness")


def _recorded(answers: Sequence[Answer], protocol: str) -> None:
    if any(not (answer.top_tokens if protocol == "modular_pluralism" else answer.label_logits) for answer in answers):
        what = "likeliest tokens" if protocol == "modular_pluralism" else "raw logits"
        raise ModelError(
            f"The protocol {protocol} reads the {what}, "
            "which this model does not record. Use protocol='sound', or fill Answer.label_logits and Answer.top_tokens."
        )


def _logits(answers: Sequence[Answer], n_options: int) -> np.ndarray:
    """Return the recorded logits, shape (n_repetitions, n_options, n_spellings), NaN where there are fewer."""
    widest = max(len(logits) for answer in answers for logits in answer.label_logits)
    logits = np.full((len(answers), n_options, widest), np.nan)
    for repetition, answer in enumerate(answers):
        for label, values in enumerate(answer.label_logits):
            logits[repetition, label, : len(values)] = values
    return logits
