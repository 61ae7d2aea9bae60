"""Columns of a panel's table whose meaning is not certain: weights, groups and votes that look alike.

A table is never read as something else in silence: where a column may be one thing or another, the error names it and
gives a ``columns=`` that says which it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pytest_pluralism.datasets.panels.records import UtilityScale
from pytest_pluralism.datasets.reading import Problems, listed
from pytest_pluralism.datasets.weights import looks_like_weight

__all__ = ["check_votes", "check_weights", "looks_like_weight", "split_header"]

#: Words that are made with a slash.
SLASH_WORDS = re.compile(
    r"\b(?:and/or|or/and|he/she|she/he|his/her(?:s)?|her/his|him/her|s/he|n/a|w/o|km/h|24/7)\b", re.IGNORECASE
)

#: Words for facts about a person, which a table may hold as 0 and 1.
FACTS = re.compile(
    r"(?:fe)?male|(?:wo)?man|gender|sex|age|party|race|ethnicity|region|urban|rural|education|degree|college|income|"
    r"religion|married|citizen|voter|student|white|black|hispanic|latino|asian"
)


def check_weights(
    columns: Sequence[str], long: Mapping[str, object], groups: Sequence[str], problems: Problems, /
) -> None:
    """Note columns that look like weights and would be read as groups or votes.

    Parameters
    ----------
    columns : sequence of str
        The columns of the table that are not known by their names.
    long : mapping
        The beginning of a ``columns=`` that reads the table.
    groups : sequence of str
        The columns that are groups otherwise.
    problems : Problems
        The problems of the table.
    """
    found = [name for name in columns if looks_like_weight(name)]
    if found:
        line = {**long, "weight": found[0], "groups": [name for name in groups if name not in found]}
        problems.add(
            "line 1",
            f"column{'s' if len(found) > 1 else ''} {listed(found)} may be the jurors' weights. Rename the right one "
            f"to 'weight', or say which it is: columns={line} (a column of no interest is left out of it)",
        )


def split_header(names: Sequence[str], problems: Problems, /) -> dict[str, tuple[str, str | None]]:
    """Return the query and the response that each column of a wide table is about; note headers that may mean both.

    ``QUERY/RESPONSE`` is a response to a query where the query has several, or where the response stands with other
    queries, too. Any other slash may be part of a text.
    """
    parts = {name: name.partition("/") for name in names}
    queries = Counter(query for query, slash, _ in parts.values() if slash)
    responses = Counter(response for _, slash, response in parts.values() if slash)
    unsure = [
        name
        for name, (query, slash, response) in parts.items()
        if slash and (SLASH_WORDS.search(name) or "/" in response or (queries[query] == 1 and responses[response] == 1))
    ]
    if unsure:
        line = {"juror": "juror", "votes": list(names)}
        problems.add(
            "line 1",
            f"the slash in {listed(unsure[:5])} may be part of a text, or part a query from a response. Say that each "
            f"column is a query: columns={line}, or write the responses in the long form",
        )
    return {name: (query, response if slash else None) for name, (query, slash, response) in parts.items()}


def check_votes(
    votes: Mapping[str, Iterable[object]], scale: UtilityScale, taken: Sequence[str], problems: Problems, /
) -> None:
    """Note columns of a wide table that hold 0 and 1 alone beside votes on a finer scale: they may be groups.

    Parameters
    ----------
    votes : mapping from str to iterable
        The different values of each column that is read as votes.
    scale : UtilityScale
        The scale of the votes.
    taken : sequence of str
        The columns of groups.
    problems : Problems
        The problems of the table.
    """
    given = {name: {value for value in values if value is not None} for name, values in votes.items()}
    binary = [name for name, values in given.items() if values and values <= {0.0, 1.0}]
    if len(binary) == len(given) or not (scale.contains(0.0) and scale.contains(1.0)):
        return
    if scale.lowest < 0.0 or scale.levels == 3:
        # Nobody may have voted against a statement, so that 0 and 1 are votes unless the name is that of a fact.
        binary = [name for name in binary if any(map(FACTS.fullmatch, re.findall(r"[a-z]+", name.casefold())))]
    if binary:
        line = {
            "juror": "juror",
            "votes": [name for name in given if name not in binary],
            "groups": [*taken, *binary],
        }
        problems.add(
            "line 1",
            f"columns {listed(binary)} hold 0 and 1 alone, beside columns with other votes: they may be groups. Call "
            f"such a column 'attribute:{binary[0]}', or say what is what: columns={line} (with each vote in 'votes')",
        )
