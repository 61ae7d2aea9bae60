"""The published protocols on the side of the model: their prompts, and how they read its answers.

What they do with recorded numbers stands in :mod:`pytest_pluralism.core.protocols`; this connects it to a model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import DatasetError, ModelError
from pytest_pluralism.core.protocols import modular_pluralism, sorensen2024
from pytest_pluralism.core.records import Answer, Prompt, Question

__all__ = ["FIXED", "base_of", "protocol_prompts", "read_answers"]

#: What each protocol decides about the asking; nobody can choose it differently and keep the protocol's name.
FIXED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
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
    letters = modular_pluralism.LETTERS if protocol == "modular_pluralism" else sorensen2024.LETTERS
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
            for _ in range(FIXED[protocol]["repetitions"])
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
    if any(not (answer.top_tokens if protocol == "modular_pluralism" else answer.label_logits) for answer in answers):
        what = "likeliest tokens" if protocol == "modular_pluralism" else "raw logits"
        raise ModelError(
            f"The protocol {protocol} reads the {what}, "
            "which this model does not record. Use protocol='sound', or fill Answer.label_logits and Answer.top_tokens."
        )
    if protocol == "modular_pluralism":
        tokens, probabilities = zip(*answers[0].top_tokens, strict=True)
        # Each token is decoded alone, so that a tokenizer that loses a leading blank makes the collision by itself.
        return np.asarray(
            modular_pluralism.option_probabilities(tokens, probabilities, n_options=n_options, tokenizer="bpe")
        )
    widest = max(len(logits) for answer in answers for logits in answer.label_logits)
    logits = np.full((len(answers), n_options, widest), np.nan)
    for repetition, answer in enumerate(answers):
        for label, values in enumerate(answer.label_logits):
            logits[repetition, label, : len(values)] = values
    recorded = sorensen2024.Sorensen2024Question(question.question_id, logits)
    return np.asarray(sorensen2024.option_probabilities(recorded, n_options=n_options), dtype=np.float64)
