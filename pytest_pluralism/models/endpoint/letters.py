"""Reads the letter that a sampled text names, by one rule that is stated. No network here."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["MOST_TOKENS", "PARSE", "SAMPLES", "named_label"]

#: Number of sampled texts for each prompt where the spec does not say (``?samples=N``).
SAMPLES = 20

#: Maximum number of new tokens of a sampled text: a letter with marks around it, or behind "The answer is".
MOST_TOKENS = 8

#: The rule in words.
PARSE = (
    "a text names a label where it begins with it, alone or behind 'Answer:' or 'The answer is', with brackets, quotes "
    "or asterisks around it, and no letter or digit follows"
)

_BEFORE = r"\s*(?:(?:the\s+)?(?:correct\s+)?answer(?:\s+is|\s*:)\s*:?\s*)?[\s*_(\[\"'`]*"


def named_label(text: str, labels: Sequence[str], /) -> int | None:
    """Return the number of the label that a text names; ``None`` where it names none.

    Examples
    --------
    >>> [named_label(text, "AB") for text in ("B", " (a) no", "**B.** Yes", "The answer is A.", "Apples", "A or B?")]
    [1, None, 1, 0, None, 0]
    """
    for number, label in enumerate(labels):
        if re.match(rf"(?i:{_BEFORE}){re.escape(label.strip())}(?![^\W_])", text):
            return number
    return None
