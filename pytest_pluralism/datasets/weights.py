"""Names of columns that look like sampling weights."""

from __future__ import annotations

import re

__all__ = ["looks_like_weight"]

#: Words for weights, as one word of a short name, and names of weights in the files of survey programmes.
WEIGHT_WORD = re.compile(
    r"weights?|weighting|wghts?|wgts?|wts?|w8s?|gewicht(?:ung)?|ponderaci[oó]n|pond[eé]ration|pesos?"
)
WEIGHT_NAME = re.compile(
    r"wtss[a-z]*|(?:psp|p|d|an|post|final|full|fnl|fin|per|hh|samp|svy|rake|raked|cal|base|nr|s|f|w)"
    r"(?:weights?|wghts?|wgts?|wts?)[0-9]*|(?:weights?|wghts?|wgts?|wts?)(?:[0-9]+|all|comp|fin|full|final|var|ing)"
)


def looks_like_weight(name: str, /) -> bool:
    """Return whether a column or field other than ``weight`` looks like sampling weights by its name.

    Examples
    --------
    >>> [name for name in ("Weight", "wt", "pspwght", "sampling_weight", "overweight") if looks_like_weight(name)]
    ['Weight', 'wt', 'pspwght', 'sampling_weight']
    """
    words = re.findall(r"\w+", name.casefold().replace("_", " "))
    named = any(WEIGHT_WORD.fullmatch(word) or WEIGHT_NAME.fullmatch(word) for word in words)
    return name != "weight" and named and len(words) <= 3
