"""Choosing among the populations of a survey."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pluralism.core.errors import DatasetError, invalid_parameter, unknown_name
from pytest_pluralism.core.records import AnswerDistribution, Question, Survey
from pytest_pluralism.datasets.names import clean_name

__all__ = ["resolve_populations", "survey_distributions"]


def resolve_populations(survey: Survey, names: str | Sequence[str] | None = None, /) -> tuple[str, ...]:
    """Return the populations that a test means.

    Parameters
    ----------
    survey : Survey
        The survey.
    names : str, sequence of str or None
        One population, several, or ``"all"``; ``None`` means the survey's default.

    Returns
    -------
    tuple of str
        At least one name, in the order asked for; ``"all"`` gives the survey's order.

    Raises
    ------
    DatasetError
        If a population is unknown, or nobody is named and the survey has no default.
    InvalidParameterError
        If ``names`` is empty, holds something that is not a string, or names a population twice.

    Examples
    --------
    >>> rows = [AnswerDistribution("q", name, (0.5, 0.5)) for name in ("Japan", "Peru")]
    >>> survey = Survey("two", (Question("q", "Is it so?", ("Yes", "No")),), tuple(rows), "")
    >>> resolve_populations(survey, "Peru")
    ('Peru',)
    >>> resolve_populations(survey, "all")
    ('Japan', 'Peru')
    """
    known = survey.populations
    if names is None:
        names = survey.default_population
        if names is None:
            some = ", ".join(repr(name) for name in known[:5]) + (", ..." if len(known) > 5 else "")
            raise DatasetError(
                f"The survey {survey.name!r} has {len(known)} populations and no default. "
                f'Name one or several ({some}), or population="all".'
            )
    if isinstance(names, str):
        names = [names]
    must = "a population's name, a list of names, or 'all'"
    if not isinstance(names, (list, tuple)) or not names:
        raise invalid_parameter("population", "resolve_populations", must, repr(names))
    chosen: list[str] = []
    for name in names:
        if not isinstance(name, str):
            raise invalid_parameter("population", "resolve_populations", must, repr(name))
        name = clean_name(name)
        if name == "all":
            if len(names) > 1:
                raise invalid_parameter("population", "resolve_populations", "'all' alone or names", repr(names))
            return known
        if name not in known:
            raise DatasetError(f"The survey {survey.name!r}: {unknown_name('population', name, known)}")
        if name in chosen:
            raise invalid_parameter("population", "resolve_populations", "without repetitions", repr(name) + " twice")
        chosen.append(name)
    return tuple(chosen)


def survey_distributions(survey: Survey, population: str, /) -> list[tuple[Question, AnswerDistribution]]:
    """Return the questions that one population was asked, each with its answers, in the order of the survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    population : str
        The name of one population.

    Returns
    -------
    list of (Question, AnswerDistribution)
        At least one pair.

    Raises
    ------
    DatasetError
        If the population is unknown.
    """
    if population not in survey.populations:
        raise DatasetError(f"The survey {survey.name!r}: {unknown_name('population', population, survey.populations)}")
    rows = {row.question_id: row for row in survey.distributions if row.population == population}
    return [(question, rows[question.question_id]) for question in survey.questions if question.question_id in rows]
