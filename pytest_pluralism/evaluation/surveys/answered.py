"""Distributions of a model over the options, from its answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, ModelError
from pytest_pluralism.core.metrics import entropy
from pytest_pluralism.core.records import Answer, Drawn, Question, Survey
from pytest_pluralism.evaluation.surveys.asking import Request, Requests
from pytest_pluralism.evaluation.surveys.published import read_answers

__all__ = [
    "ModelDistribution",
    "drawn_of",
    "entropy_of",
    "kept_options",
    "model_distributions",
    "over_kept",
    "people_of",
]


#: Below this probability on all options together, most of what the model would say is not among the options.
LOW_OPTION_MASS = 0.5


@dataclass(frozen=True)
class ModelDistribution:
    """The answer of a model to one question, averaged over repetitions and orders.

    ``position_bias`` is the largest distance between the mean share of a label's place and the even share 1/K.
    Whole answers have neither an option mass nor a top token.
    ``bounds`` holds the least and the most share of each option, where the model leaves them open.
    ``n_draws`` counts the draws that named an option, of sampled answers; it is infinite where probabilities were read.
    """

    question_id: str
    probabilities: tuple[float, ...]
    option_mass: float | None
    top_token: str
    position_bias: float | None
    n_draws: float = math.inf
    bounds: tuple[tuple[float, float], ...] = ()

    @property
    def share_bounds(self) -> tuple[tuple[float, float], ...]:
        """The least and the most share of each option: twice the share itself where it is known."""
        return self.bounds or tuple((share, share) for share in self.probabilities)


def model_distributions(asked: Requests, answers: Sequence[Answer], /) -> dict[str, ModelDistribution]:
    """Average the answers to each question over its repetitions and orders of options.

    Each repetition counts the same: its label probabilities are normalised to sum to 1 before the average. Of sampled
    answers each draw counts the same.
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
        by_label, counts = _shares_of_labels(question_id, [answer for _, answer in pairs])
        order = np.array([item.order for item, _ in pairs])
        by_option = np.empty_like(by_label)
        np.put_along_axis(by_option, order, by_label, axis=1)
        probabilities = np.average(by_option, axis=0, weights=counts)
        cyclic = asked.settings.option_order == "cyclic"
        bias = _position_bias(np.average(by_label, axis=0, weights=counts)) if cyclic else None
        found = _distribution(question_id, probabilities, [answer for _, answer in pairs], bias)
        found = found if counts is None else replace(found, n_draws=_draws_behind(pairs, counts))
        result[question_id] = replace(found, bounds=_option_bounds(pairs))
    return result


def _draws_behind(pairs: Sequence[tuple[Request, Answer]], counts: np.ndarray) -> float:
    """Return the draws behind a mean: those of a prompt that repetitions share were drawn once."""
    times = Counter(item.prompt for item, _ in pairs)
    weights = np.array([times[item.prompt] for item, _ in pairs], dtype=np.float64)
    # Where each prompt comes equally often, this is the number of draws of all prompts, counted once.
    return float(counts.sum() ** 2 / (weights @ counts))


def _option_bounds(pairs: Sequence[tuple[Request, Answer]]) -> tuple[tuple[float, float], ...]:
    """Return the bounds of the mean shares of options; nothing where all probabilities are known."""
    if not any(answer.bounds for _, answer in pairs):
        return ()
    shares = [
        answer.share_bounds() if answer.bounds else [(share, share) for share in _normalised(answer.log_probabilities)]
        for _, answer in pairs
    ]
    ends = np.asarray(shares, dtype=np.float64)
    by_option = np.empty_like(ends)
    np.put_along_axis(by_option, np.array([item.order for item, _ in pairs])[:, :, None], ends, axis=1)
    return tuple((float(low), float(high)) for low, high in by_option.mean(axis=0))


def _shares_of_labels(question_id: str, answers: Sequence[Answer]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the shares of the labels of each answer, and of sampled answers how many draws each has."""
    sampled = [answer for answer in answers if answer.is_sampled]
    if not sampled:
        return np.array([_normalised(answer.log_probabilities) for answer in answers]), None
    if len(sampled) < len(answers):
        raise ModelError(
            f"Question {question_id!r} has {len(sampled)} sampled answers, and {len(answers) - len(sampled)} with "
            "probabilities: they cannot be averaged. Give all answers to a question in one form."
        )
    counts = np.array([answer.counts for answer in answers], dtype=np.float64)
    totals = counts.sum(axis=1)
    if totals.sum() <= 0.0:
        raise ModelError(f"None of the draws for question {question_id!r} names an option, so nothing can be compared.")
    # A repetition of which no draw names an option says nothing about the options, and has no weight.
    return counts / np.maximum(totals, 1e-300)[:, None], totals


def drawn_of(found: Iterable[ModelDistribution], /) -> Drawn | None:
    """Return how many draws sampled answers come from; ``None`` where probabilities were read."""
    draws = [one.n_draws for one in found if one.n_draws < math.inf]
    return Drawn(min(draws), math.fsum(draws) / len(draws)) if draws else None


def entropy_of(shares: np.ndarray, n_draws: float, /) -> float:
    r"""Return the entropy of answers in bits, less what drawing them takes from it.

    .. math:: n H - (n - 1) \sum_k \hat p_k H_{-k}

    with :math:`H_{-k}` the entropy without one draw of option k, within [0, log2 of the number of options].

    Parameters
    ----------
    shares : numpy.ndarray, shape (n_options,)
        The answers.
    n_draws : float
        The draws behind them; infinite where probabilities were read. From one draw nothing can be taken out.

    References
    ----------
    S. Zahl, "Jackknifing an index of diversity", Ecology 58, 1977, doi:10.2307/1936227.

    Examples
    --------
    >>> round(entropy_of(np.array([0.5, 0.5]), math.inf), 3), round(entropy_of(np.array([0.6, 0.4]), 10), 3)
    (1.0, 1.0)
    """
    plain = float(entropy(shares))
    if not 1.0 < n_draws < math.inf:
        return plain
    left = np.clip(shares - (np.eye(len(shares)) - shares) / (n_draws - 1.0), 0.0, None)
    without = np.asarray(entropy(left / left.sum(axis=1, keepdims=True)))
    found = n_draws * plain - (n_draws - 1.0) * float(shares @ without)
    return min(max(found, 0.0), math.log2(len(shares)))


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
