"""Scores of other answers to the same questions: even, shuffled, constant, the majority's, another population's."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pytest_pluralism.core.metrics import jensen_shannon_distance, shuffle_control
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import AnswerDistribution, Survey, UnitScore
from pytest_pluralism.core.records.measures import POPULATION
from pytest_pluralism.evaluation.surveys.answered import kept_options, over_kept
from pytest_pluralism.evaluation.surveys.respondents import Comparison, asked_of

__all__ = ["mean_references", "other_populations", "with_references"]

#: The orders of the options in which shuffled answers are looked at for what the sampling of the people adds to them.
SHUFFLES = 8


def with_references(
    units: Sequence[UnitScore], survey: Survey, rows: Sequence[AnswerDistribution], /, *, how: Comparison, seed: int
) -> list[UnitScore]:
    """Return the units with the distances of other answers to the same people.

    Parameters
    ----------
    units : sequence of UnitScore
        The distances of the model, one for each row, in their order.
    survey : Survey
        The questions and all populations.
    rows : sequence of AnswerDistribution
        The people that the units compare with.
    how : Comparison
        The measure, with its correction for the sample of people.
    seed : int
        Seeds the permutations of questions with many options.

    Returns
    -------
    list of UnitScore
        ``references`` has ``shuffle`` (the model's own probabilities, permuted over the options), ``uniform``,
        ``majority`` (always the option that most people chose), ``first`` and ``last`` (always that option), and
        ``population:NAME`` for each other population that answered the question.
    """
    rng = np.random.default_rng(seed)
    people = [np.asarray(unit.reference_probabilities) for unit in units]
    asked = asked_of(survey, rows)
    simple = {
        "uniform": [np.full(len(theirs), 1.0 / len(theirs)) for theirs in people],
        "majority": [_always(theirs, int(theirs.argmax())) for theirs in people],
        "first": [_always(theirs, 0) for theirs in people],
        "last": [_always(theirs, -1) for theirs in people],
    }
    distances = {name: how.distances(answers, people, asked).values.tolist() for name, answers in simple.items()}
    shuffled = _shuffled(units, people, asked, how, rng)
    others = _others(survey, rows, how)
    result = []
    for place, (unit, row) in enumerate(zip(units, rows, strict=True)):
        beside = others.get((row.question_id, row.population), {})
        references = {
            "shuffle": shuffled[place],
            **{name: values[place] for name, values in distances.items()},
            **{f"{POPULATION}{name}": value for name, value in beside.items()},
        }
        result.append(replace(unit, references=references))
    return result


def mean_references(units: Sequence[UnitScore], /) -> dict[str, float]:
    """Return the mean scores of shuffled, even and always-the-mode answers."""
    return {
        name: float(np.mean([unit.references[name] for unit in units])) for name in ("shuffle", "uniform", "majority")
    }


def other_populations(
    survey: Survey,
    rows: Sequence[AnswerDistribution],
    units: Sequence[UnitScore],
    /,
    *,
    by_population: bool,
    how: Comparison,
) -> dict[str, float]:
    """Return the mean distance of every other population that answered all questions from the reference one.

    Where the populations are the units, the one entry is the mean over all pairs. Both sides are samples of people.
    """
    if by_population:
        if len(rows) < 2:
            return {}
        pairs = list(itertools.combinations(rows, 2))
        return {"another population": float(_between(survey, pairs, how).mean())}
    distances: dict[str, list[float]] = {}
    for unit in units:
        for name, value in unit.references.items():
            if name.startswith(POPULATION):
                distances.setdefault(name.removeprefix(POPULATION), []).append(value)
    # A mean over fewer questions would not be on the scale of the number that it stands beside.
    found = {name: values for name, values in distances.items() if len(values) == len(rows)}
    return {name: float(np.mean(found[name])) for name in survey.populations if name in found}


def _always(people: FloatArray, option: int) -> FloatArray:
    """Return the answers of a model that always chooses one option."""
    answers = np.zeros(len(people))
    answers[option] = 1.0
    return answers


def _shuffled(
    units: Sequence[UnitScore],
    people: Sequence[FloatArray],
    asked: Sequence[float | None],
    how: Comparison,
    rng: np.random.Generator,
) -> list[float]:
    """Return what the probabilities of a model would score if they were permuted over the options."""
    measure = functools.partial(jensen_shannon_distance, base=how.base)
    models = [np.asarray(unit.model_probabilities) for unit in units]
    raw = [
        float(shuffle_control(ours, theirs, measure=measure, rng=rng))
        for ours, theirs in zip(models, people, strict=True)
    ]
    # The sampling of the people adds to a few orders of the options what it adds to all of them.
    places = np.repeat(np.arange(len(units)), SHUFFLES).tolist()
    drawn = [rng.permutation(models[place]) for place in places]
    draws = [units[place].details.get("n_draws", math.inf) for place in places]
    sides = [people[place] for place in places], [asked[place] for place in places]
    some = how.distances(drawn, *sides, of_model=draws)
    added = (some.uncorrected - some.values).reshape(-1, SHUFFLES).mean(axis=1)
    return [value - more for value, more in zip(raw, added.tolist(), strict=True)]


def _others(
    survey: Survey, rows: Sequence[AnswerDistribution], how: Comparison
) -> Mapping[tuple[str, str], dict[str, float]]:
    """Return the distances of the other populations, by question and population compared with."""
    by_question: dict[str, list[AnswerDistribution]] = {}
    for row in survey.distributions:
        by_question.setdefault(row.question_id, []).append(row)
    pairs = [
        (row, reference)
        for reference in rows
        for row in by_question[reference.question_id]
        if row.population != reference.population
    ]
    result: dict[tuple[str, str], dict[str, float]] = {}
    distances = _between(survey, pairs, how).tolist() if pairs else []
    for (row, reference), distance in zip(pairs, distances, strict=True):
        result.setdefault((reference.question_id, reference.population), {})[row.population] = distance
    return result


def _between(
    survey: Survey, pairs: Sequence[tuple[AnswerDistribution, AnswerDistribution]], how: Comparison
) -> FloatArray:
    """Return the distances of pairs of populations, which are both samples of people."""
    questions = {question.question_id: question for question in survey.questions}

    def kept(row: AnswerDistribution) -> FloatArray:
        question = questions[row.question_id]
        return over_kept(question, row.probabilities, kept_options(question))[0]

    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    ours, theirs = ([kept(row) for row in side] for side in (left, right))
    return how.distances(ours, theirs, asked_of(survey, right), of_model=asked_of(survey, left)).values
