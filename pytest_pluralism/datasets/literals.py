"""Texts of Python literals in the data of others, parsed and never run."""

from __future__ import annotations

import ast

from pytest_pluralism.core.errors import DatasetError

__all__ = ["LONGEST_LITERAL", "literal_of"]

#: Longer texts than this are refused before they are parsed.
LONGEST_LITERAL = 200_000


def literal_of(text: str, what: str, /) -> object:
    """Return the value of a literal: `ast.literal_eval` builds plain values and calls nothing.

    Raises
    ------
    DatasetError
        If the text is too long, or is not a literal.
    """
    if len(text) > LONGEST_LITERAL:
        raise DatasetError(f"{what} is {len(text)} characters long; at most {LONGEST_LITERAL} are parsed.")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DatasetError(f"{what} is not a literal: {text[:60]!r}.") from error
