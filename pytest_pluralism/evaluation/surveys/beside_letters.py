"""Answers in free text beside answers by letter: the gap between both, and what the reading of texts leaves unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.left_open import difference_bounds, with_bounds
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.metrics import entropy, jensen_shannon_distance
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Scores, Survey, UnitScore
from pytest_pluralism.evaluation.surveys.answered import kept_options, over_kept
from pytest_pluralism.evaluation.surveys.free_text import FreeTextAnswers
from pytest_pluralism.evaluation.surveys.respondents import Comparison

__all__ = [
    "ValueOf",
    "as_read",
    "beside_letters",
    "distance_to_people",
    "entropy_of_shares",
    "reading_variance",
    "with_reading",
]

#: The level of the interval of the gap, which stands beside a promise and is not judged.
GAP_LEVEL = 0.95

#: The value of one unit from answers of shape (n_drawn, n_options).
ValueOf = Callable[[FloatArray, UnitScore], FloatArray]


def distance_to_people(shares: FloatArray, unit: UnitScore, /) -> FloatArray:
    """Return the distance of answers to the people of a unit."""
    return np.asarray(jensen_shannon_distance(shares, np.array([unit.reference_probabilities] * len(shares))))


def entropy_of_shares(shares: FloatArray, unit: UnitScore, /) -> FloatArray:
    """Return the entropy of answers, in bits."""
    return np.asarray(entropy(shares))


def reading_variance(
    units: Sequence[UnitScore],
    question_ids: Sequence[str],
    survey: Survey,
    answers: FreeTextAnswers,
    value_of: ValueOf,
    /,
) -> float:
    """Return the variance of the mean that comes from not knowing the errors of the reading.

    The errors of one key are the same in all its questions, so that they do not average out.

    Parameters
    ----------
    units : sequence of UnitScore
        The units.
    question_ids : sequence of str
        The question of each.
    survey : Survey
        The questions.
    answers : FreeTextAnswers
        The answers under errors that are as likely.
    value_of : callable
        The value of a unit under given answers.
    """
    questions = {question.question_id: question for question in survey.questions}
    totals: FloatArray | None = None
    for unit, name in zip(units, question_ids, strict=True):
        if unit.details.get("n_draws", math.inf) == math.inf:
            # All is open, and its bounds say so.
            continue
        shares = answers.drawn[name][:, kept_options(questions[name])]
        sums = shares.sum(axis=1, keepdims=True)
        even = np.full_like(shares, 1.0 / shares.shape[1])
        values = value_of(np.where(sums > 0, shares / np.where(sums > 0, sums, 1.0), even), unit)
        # Where nobody measured the errors, there is one set of them.
        totals = values if totals is None or len(totals) == 1 else totals + values
    return 0.0 if totals is None or len(totals) < 2 else float(np.var(totals)) / len(units) ** 2


def as_read(
    found: Scores, question_ids: Sequence[str], survey: Survey, answers: FreeTextAnswers, /
) -> dict[str, float]:
    """Return the mean distance with all errors of the reading, as a reference; nothing where no text says an option."""
    questions = {question.question_id: question for question in survey.questions}
    rows = [(unit, questions[name]) for unit, name in zip(found.units, question_ids, strict=True)]
    kept = [(unit, one, *answers.as_read[one.question_id]) for unit, one in rows if one.question_id in answers.as_read]
    shares = [over_kept(one, given, kept_options(one))[0] for _, one, given, _ in kept]
    if not kept:
        return {}
    distances = Comparison().distances(
        shares,
        [unit.reference_probabilities for unit, *_ in kept],
        [unit.n_respondents for unit, *_ in kept],
        of_model=[max(n, 1.0 + 1e-9) for *_, n in kept],
    )
    return {"as_read": float(np.mean(distances.values))}


def with_reading(found: Scores, question_ids: Sequence[str], answers: FreeTextAnswers, variance: float, /) -> Scores:
    """Return scores with what is known of the reading, and the texts of each unit."""
    units = tuple(
        replace(
            unit,
            details={
                **unit.details,
                "not_read": 1.0 - (unit.option_mass or 0.0),
                "texts": [list(pair) for pair in answers.texts[name]],
            },
        )
        for unit, name in zip(found.units, question_ids, strict=True)
    )
    return replace(
        found,
        units=units,
        warnings=(*answers.warnings, *found.warnings),
        details={**found.details, "reading": answers.details},
        judge_variance=found.judge_variance + variance,
        relative_variance=found.relative_variance + answers.relative_variance,
        doubt=answers.doubt or found.doubt,
    )


def beside_letters(found: Scores, letters: Scores, /) -> Scores:
    """Return the scores of free text with those of the same questions asked for letters, and the gap between both.

    ``gap`` is the mean of the paired differences free text - letters, with its interval among the details; ``apart`` is
    the mean distance between the two answers to a question. A gap whose interval leaves out 0 is told.
    """
    others = {unit.unit_id: unit for unit in letters.units}
    pairs = [(unit, others[unit.unit_id]) for unit in found.units]
    mine, theirs = [unit.value for unit in found.units], [other.value for _, other in pairs]
    gap = compare_paired(
        mine,
        theirs,
        clusters=[unit.cluster for unit in found.units],
        unit_ids=[unit.unit_id for unit in found.units],
        confidence_level=GAP_LEVEL,
    )
    gap = with_extra_variance(gap, found.judge_variance)
    mine_open, theirs_open = (_bounds(scores) for scores in (found, letters))
    gap = with_bounds(gap, difference_bounds(mine, mine_open, theirs, theirs_open))
    low, high = (math.nan, math.nan) if found.doubt else (gap.low, gap.high)
    apart = Comparison().distances(
        [unit.model_probabilities for unit, _ in pairs],
        [other.model_probabilities for _, other in pairs],
        [None] * len(pairs),
        of_model=[unit.details.get("n_draws", math.inf) for unit, _ in pairs],
    )
    told = f"in free text {gap.value:+.3f} [{low:+.3f}, {high:+.3f}] against the same questions asked for letters"
    units = tuple(replace(unit, references={**unit.references, "letters": other.value}) for unit, other in pairs)
    return replace(
        found,
        units=units,
        references={
            **found.references,
            "letters": float(np.mean(theirs)),
            "apart": float(np.mean(apart.values)),
            "gap": gap.value,
        },
        warnings=(*found.warnings, *([told] if low > 0.0 or high < 0.0 else [])),
        details={
            **found.details,
            "gap": {
                "value": gap.value,
                "low": finite_or_none(low),
                "high": finite_or_none(high),
                "confidence_level": GAP_LEVEL,
                "n": gap.n,
            },
        },
    )


def _bounds(scores: Scores) -> list[tuple[float, float]]:
    if not any(unit.bounds for unit in scores.units):
        return []
    return [(unit.bounds[0], unit.bounds[1]) if unit.bounds else (unit.value, unit.value) for unit in scores.units]
