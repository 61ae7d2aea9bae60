"""Agreement of two raters who choose among the same labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from pytest_pluralism.core.errors import invalid_parameter

__all__ = ["cohen_kappa"]


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable], /) -> float:
    r"""Compute Cohen's kappa: how far two raters agree beyond what their shares of the labels would give by chance.

    .. math:: \kappa = \frac{p_o - p_e}{1 - p_e}, \qquad p_e = \sum_k p_{1k} p_{2k}

    with the share :math:`p_o` of things on which both agree, and the shares of label k of each rater.

    Parameters
    ----------
    first, second : sequence of hashable, shape (n_things,)
        The labels of the two raters, at least one.

    Returns
    -------
    float
        In [-1, 1]; 1 is full agreement, 0 that of chance. NaN where both give one and the same label to everything,
        so that chance alone agrees.

    Raises
    ------
    InvalidParameterError
        The two have different lengths, or are empty.

    References
    ----------
    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960,
    doi:10.1177/001316446002000104.

    Examples
    --------
    >>> cohen_kappa(["A", "B", "A", "B"], ["A", "B", "B", "B"])
    0.5
    """
    n = len(first)
    if not n or n != len(second):
        must = "the labels of the same things, at least one"
        raise invalid_parameter("second", "cohen_kappa", must, f"{n} and {len(second)} labels")
    places = {label: place for place, label in enumerate(dict.fromkeys([*first, *second]))}
    table = np.zeros((len(places), len(places)))
    for one, other in zip(first, second, strict=True):
        table[places[one], places[other]] += 1.0 / n
    observed, expected = float(np.trace(table)), float(table.sum(axis=1) @ table.sum(axis=0))
    return float("nan") if expected >= 1.0 - 1e-12 else (observed - expected) / (1.0 - expected)
