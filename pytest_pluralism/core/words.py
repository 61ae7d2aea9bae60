"""Words that several measures share: what units, data and people are called, and what references are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from pytest_pluralism.core.records.measures import Noun, Term

__all__ = [
    "ANSWER_FACTS",
    "CLUSTERS",
    "POPULATIONS",
    "QUERIES",
    "UNITS",
    "UNIT_COLUMNS",
    "in_order",
    "words_for",
]

QUERIES = Noun("query", "queries")
CLUSTERS = Noun("cluster", "clusters")
POPULATIONS = Noun("population", "populations")
UNITS = Noun("unit", "units")

#: Numbers that a unit of any measure may have.
UNIT_COLUMNS = (Term("change", "Change"), Term("option_mass", "Option mass"), Term("n_respondents", "Respondents"))

#: The fields that a unit may have in any measure that chooses among options.
ANSWER_FACTS = (
    Term("population", "population"),
    Term("cluster", "cluster"),
    Term("top_token", "likeliest token"),
    Term("position_bias", "liking for a place in the list"),
    Term("model_refusals", "the model's refusals"),
    Term("reference_refusals", "the people's refusals"),
)

_Value = TypeVar("_Value")


def words_for(name: str, terms: Iterable[Term] = (), /) -> str:
    """Return the words for a value, ``human sampling floor`` for ``sampling_floor``; its name with spaces if unknown.

    Parameters
    ----------
    name : str
        Its name in the scores.
    terms : iterable of Term
        Where its words are looked for.

    Examples
    --------
    >>> words_for("first_50_words", (Term("first_{n}_words", "first {n} words"),))
    'first 50 words'
    """
    term = _term_of(name, terms)
    if term is None:
        return name.replace("_", " ")
    number = re.search(r"\d+", name) if "{n}" in term.name else None
    return term.words.replace("{n}", number[0]) if number else term.words


def in_order(
    values: Mapping[str, _Value], terms: Iterable[Term], /, *, brief: bool = False
) -> Iterator[tuple[str, _Value]]:
    """Yield the words and values of what is there, in the order of the terms; what no term names comes last.

    Parameters
    ----------
    values : mapping
        The values by name.
    terms : iterable of Term
        Their order and words.
    brief : bool
        Leave out the terms that a message has no room for.
    """
    terms = tuple(terms)
    found = {name: _term_of(name, terms) for name in values}
    for term in terms:
        if not brief or term.brief:
            yield from ((words_for(name, (term,)), values[name]) for name, one in found.items() if one is term)
    yield from ((words_for(name), values[name]) for name, one in found.items() if one is None)


def _term_of(name: str, terms: Iterable[Term]) -> Term | None:
    for term in terms:
        start, variable, end = term.name.partition("{n}")
        if name == term.name:
            return term
        if variable and re.fullmatch(rf"{re.escape(start)}\d+{re.escape(end)}", name):
            return term
    return None
