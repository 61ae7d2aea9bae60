"""Scores of other answers to the same questions: even, shuffled, constant, the majority's, another population's."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pytest_pluralism.core.metrics import jensen_shannon_distance, sampling_floor, shuffle_control
from pytest_pluralism.core.records import AnswerDistribution, Survey, UnitScore
from pytest_pluralism.core.records.measures import POPULATION
from pytest_pluralism.evaluation.surveys.answered import kept_options, over_kept

__all__ = ["mean_references", "other_populations", "with_references"]


def with_references(
    units: Sequence[UnitScore], survey: Survey, rows: Sequence[AnswerDistribution], /, *, base: float, seed: int
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
    base : float
        The base of the logarithm of the distance.
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
    measure = functools.partial(jensen_shannon_distance, base=base)
    others = _others(survey, rows, base)
    result = []
    for unit, row in zip(units, rows, strict=True):
        theirs = np.asarray(unit.reference_probabilities)
        n_options = len(theirs)
        simple = np.vstack([np.full(n_options, 1.0 / n_options), np.eye(n_options)[[int(theirs.argmax()), 0, -1]]])
        distances = np.atleast_1d(measure(simple, theirs))
        beside = others.get((row.question_id, row.population), {})
        references = {
            "shuffle": float(shuffle_control(np.asarray(unit.model_probabilities), theirs, measure=measure, rng=rng)),
            **dict(zip(("uniform", "majority", "first", "last"), map(float, distances), strict=True)),
            **{f"{POPULATION}{name}": value for name, value in beside.items()},
        }
        result.append(replace(unit, references=references))
    return result


def mean_references(units: Sequence[UnitScore], /, *, base: float) -> dict[str, float]:
    """Return the mean scores of shuffled, even and always-the-mode answers, and of a new sample of the people."""
    means = {
        name: float(np.mean([unit.references[name] for unit in units])) for name in ("shuffle", "uniform", "majority")
    }
    floors = [
        float(sampling_floor(unit.reference_probabilities, n_respondents=unit.n_respondents, base=base, method="mean"))
        for unit in units
        if unit.n_respondents
    ]
    if len(floors) == len(units):
        means["sampling_floor"] = float(np.mean(floors))
    return means


def other_populations(
    survey: Survey,
    rows: Sequence[AnswerDistribution],
    units: Sequence[UnitScore],
    /,
    *,
    by_population: bool,
    base: float,
) -> dict[str, float]:
    """Return the mean distance of every other population that answered all questions from the reference one.

    Where the populations are the units, the one entry is the mean over all pairs.
    """
    if by_population:
        table = _table(survey, rows)
        if len(table) < 2:
            return {}
        first, second = np.triu_indices(len(table), k=1)
        return {"another population": float(np.mean(jensen_shannon_distance(table[first], table[second], base=base)))}
    distances: dict[str, list[float]] = {}
    for unit in units:
        for name, value in unit.references.items():
            if name.startswith(POPULATION):
                distances.setdefault(name.removeprefix(POPULATION), []).append(value)
    # A mean over fewer questions would not be on the scale of the number that it stands beside.
    found = {name: values for name, values in distances.items() if len(values) == len(rows)}
    return {name: float(np.mean(found[name])) for name in survey.populations if name in found}


def _others(
    survey: Survey, rows: Sequence[AnswerDistribution], base: float
) -> Mapping[tuple[str, str], dict[str, float]]:
    """Return the distances of the other populations, by question and population compared with."""
    by_question: dict[str, list[AnswerDistribution]] = {}
    for row in survey.distributions:
        by_question.setdefault(row.question_id, []).append(row)
    result: dict[tuple[str, str], dict[str, float]] = {}
    for reference in rows:
        beside = [row for row in by_question[reference.question_id] if row.population != reference.population]
        if beside:
            table = _table(survey, [reference, *beside])
            distances = np.atleast_1d(jensen_shannon_distance(table[1:], table[0], base=base))
            names = [row.population for row in beside]
            result[reference.question_id, reference.population] = dict(zip(names, map(float, distances), strict=True))
    return result


def _table(survey: Survey, rows: Sequence[AnswerDistribution]) -> np.ndarray:
    """Return the distributions of rows about one question over the options that are compared."""
    question = next(one for one in survey.questions if one.question_id == rows[0].question_id)
    kept = kept_options(question)
    return np.array([over_kept(question, row.probabilities, kept)[0] for row in rows])
