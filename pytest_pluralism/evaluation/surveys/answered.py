"""Distributions of a model over the options, from its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import Answer, Question, Survey
from pytest_pluralism.evaluation.surveys.asking import Request, Requests
from pytest_pluralism.evaluation.surveys.published import read_answers

__all__ = ["ModelDistribution", "kept_options", "model_distributions", "over_kept", "people_of"]


#: Below this probability on all options together, most of what the model would say is not among the options.
LOW_OPTION_MASS = 0.5


@dataclass(frozen=True)
class ModelDistribution:
    """The answer of a model to one question, averaged over repetitions and orders.

    ``position_bias`` is the largest distance between the mean share of a label's place and the even share 1/K.
    Whole answers have neither an option mass nor a top token.
    """

    question_id: str
    probabilities: tuple[float, ...]
    option_mass: float | None
    top_token: str
    position_bias: float | None


def model_distributions(asked: Requests, answers: Sequence[Answer], /) -> dict[str, ModelDistribution]:
    """Average the answers to each question over its repetitions and orders of options.

    Each repetition counts the same: its label probabilities are normalised to sum to 1 before the average.
    """
    if len(answers) != len(asked.items):
        raise InvalidParameterError(
            f"The 'answers' parameter of model_distributions must be one answer a prompt ({len(asked.items)}). "
            f"Got {len(answers)} instead."
        )
    by_question: dict[str, list[tuple[Request, Answer]]] = {}
    for item, answer in zip(asked.items, answers, strict=True):
        by_question.setdefault(item.question_id, []).append((item, answer))
    questions = {question.question_id: question for question in asked.survey.questions}
    result = {}
    for question_id, pairs in by_question.items():
        if asked.settings.protocol != "sound":
            given = [answer for _, answer in pairs]
            read = read_answers(questions[question_id], given, asked.settings.protocol)
            result[question_id] = _distribution(question_id, read, given, None)
            continue
        by_label = np.array([_normalised(answer.log_probabilities) for _, answer in pairs])
        order = np.array([item.order for item, _ in pairs])
        by_option = np.empty_like(by_label)
        np.put_along_axis(by_option, order, by_label, axis=1)
        probabilities = by_option.mean(axis=0)
        bias = _position_bias(by_label.mean(axis=0)) if asked.settings.option_order == "cyclic" else None
        result[question_id] = _distribution(question_id, probabilities, [answer for _, answer in pairs], bias)
    return result


def _distribution(
    question_id: str, probabilities: np.ndarray, answers: Sequence[Answer], position_bias: float | None
) -> ModelDistribution:
    tops = [answer.top_token for answer in answers]
    return ModelDistribution(
        question_id=question_id,
        probabilities=tuple(float(p) for p in probabilities / probabilities.sum()),
        option_mass=float(np.mean([answer.option_mass for answer in answers])),
        # The first of equally frequent ones, so that the report does not depend on the order of a set.
        top_token=max(dict.fromkeys(tops), key=tops.count),
        position_bias=position_bias,
    )


def _normalised(log_probabilities: Sequence[float]) -> np.ndarray:
    values = np.asarray(log_probabilities, dtype=np.float64)
    top = values.max()
    if not np.isfinite(top):
        raise InvalidParameterError(
            "An answer gives no label any probability, so nothing can be compared. Inspect the model's logits."
        )
    weights = np.exp(values - top)
    return np.asarray(weights / weights.sum())


def _position_bias(places: np.ndarray) -> float:
    return float(np.abs(places - 1.0 / len(places)).max())


def kept_options(question: Question) -> list[int]:
    """Return the options that are compared: refusals that are kept apart are not."""
    return [index for index in range(len(question.options)) if index not in question.refusals]


def over_kept(
    question: Question, probabilities: Sequence[float], kept: list[int], who: str = "everybody"
) -> tuple[np.ndarray, float]:
    """Return the distribution over the kept options, and the mass on the others."""
    values = np.asarray(probabilities, dtype=np.float64)
    if len(values) == len(kept):
        return values, 0.0
    inside = values[kept]
    total = float(inside.sum())
    if total <= 0.0:
        raise DatasetError(
            f"Question {question.question_id!r}: {who} refused, so that no answer is left to compare. "
            "Use refusals='keep' to compare the refusals too."
        )
    return inside / total, 1.0 - total


def people_of(survey: Survey, population: str | None, /) -> dict[str, tuple[float, ...]]:
    """Return the shares of a population over the options of each question that it answered.

    Without a population everybody is meant: the default population of the survey, or else each population alike.
    """
    wanted = survey.default_population if population is None else population
    by_question: dict[str, list[tuple[float, ...]]] = {}
    for row in survey.distributions:
        if wanted in (None, row.population):
            by_question.setdefault(row.question_id, []).append(row.probabilities)
    return {name: tuple(np.mean(rows, axis=0).tolist()) for name, rows in by_question.items()}
