"""Surveys answered by whole answers instead of letters: how likely the model is to say the text of each option.

The options are not listed before the question, so that there is no order of them and no letter to favour; the
in-context examples are answered in words. Which likelihood counts is the setting ``scoring``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import FullAnswerPrompt, FullAnswerScores, Prompt, Survey, Turn

__all__ = ["SCORINGS", "distributions", "whole_answer_requests"]

#: How likelihoods of whole answers become a distribution; ``"letters"`` asks for letters.
SCORINGS = ("letters", "sum", "per_byte", "pmi")


def whole_answer_requests(
    survey: Survey,
    examples: Sequence[tuple[str, Sequence[str]]],
    /,
    *,
    repetitions: int,
    template: str,
    seed: int,
) -> tuple[tuple[FullAnswerPrompt, ...], ...]:
    """Return what is asked about each question, one request a repetition.

    Repetition r of every question has the same examples with the same random answers, so that they are computed once.
    Without examples all repetitions are one.
    """
    shared = []
    for repetition in range(repetitions if examples else 1):
        draw = random.Random(f"{seed}/{repetition}")  # noqa: S311
        shared.append(tuple(Turn(text, draw.choice(list(options))) for text, options in examples))
    return tuple(
        tuple(
            FullAnswerPrompt(
                Prompt(question.text, (), examples=turns, template=template),
                tuple(question.options),
            )
            for turns in shared
        )
        for question in survey.questions
    )


def distributions(found: Sequence[FullAnswerScores], scoring: str, /) -> np.ndarray:
    r"""Return the mean distribution over the options of one question, over its repetitions.

    With :math:`\ell_i` the log-likelihood of answer i, and :math:`b_i` its bytes:

    - ``"sum"``: :math:`p_i \propto e^{\ell_i}`. Long answers are unlikely because they are long.
    - ``"per_byte"``: :math:`p_i \propto e^{\bar b\, \ell_i / b_i}`, as if all answers were as long as the mean one.
    - ``"pmi"``: :math:`p_i \propto e^{\ell_i - \ell^0_i}`, with the likelihood after a neutral prompt taken off.

    Parameters
    ----------
    found : sequence of FullAnswerScores
        One a repetition, over the same answers.
    scoring : {"sum", "per_byte", "pmi"}
        Which of them.

    Returns
    -------
    numpy.ndarray, shape (n_options,)
        Shares that sum to 1.

    Raises
    ------
    InvalidParameterError
        No answer is possible at all, or a likelihood is not a number.

    References
    ----------
    A. Holtzman et al., "Surface Form Competition", EMNLP 2021, arXiv:2104.08315 (``"pmi"``).

    Examples
    --------
    >>> scores = FullAnswerScores((-3.0, -8.0), (-2.0, -9.0), (1, 2), (3, 16))
    >>> distributions([scores], "pmi").round(3).tolist()
    [0.119, 0.881]
    """
    rows = []
    for one in found:
        if scoring == "sum":
            values = np.asarray(one.log_likelihoods)
        elif scoring == "per_byte":
            values = np.mean(one.n_bytes) * np.asarray(one.log_likelihoods_per_byte)
        else:
            values = np.asarray(one.pointwise_mutual_information)
        if np.isnan(values).any() or not np.isfinite(values.max()):
            raise InvalidParameterError(
                "The answers to a question are all impossible for the model, or have no likelihood, so nothing can be "
                "compared. Inspect the model's logits."
            )
        weights = np.exp(values - values.max())
        rows.append(weights / weights.sum())
    return np.asarray(np.mean(rows, axis=0))
