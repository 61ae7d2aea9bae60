"""From the likeliest next tokens to the probabilities of labels, with bounds where a label is not among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.endpoint.replies import NextToken

__all__ = ["NEGLIGIBLE", "Options", "answer_of", "read_options", "widest"]

#: The most tokens of a vocabulary that spell one label, with white space before or behind, where no tokenizer is known.
MOST_SPELLINGS = 8

#: Narrower bounds than this move no number that is shown.
NEGLIGIBLE = 1e-6

#: How many of the likeliest tokens an answer keeps.
KEPT_TOKENS = 10


@dataclass(frozen=True, slots=True)
class Options:
    """The probabilities of labels after one prompt.

    Attributes
    ----------
    low, high : tuple of float
        For each label the least and the most that it can have, in [0, 1].
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def width(self) -> float:
        """The widest of the bounds."""
        return max(high - low for low, high in zip(self.low, self.high, strict=True))


def read_options(found: NextToken, labels: Sequence[str], spellings: Mapping[str, Sequence[int]], /) -> Options:
    r"""Return what the likeliest tokens say about labels.

    A spelling that is not listed has at most the probability of the least likely token that is listed, and all that are
    not listed have at most the residual together:

    .. math:: h_i = l_i + \min(1 - \sum_t p_t,\ m_i \min_t p_t)

    with :math:`l_i` the listed probability of label i and :math:`m_i` the number of its spellings that are not listed.

    Parameters
    ----------
    found : NextToken
        The tokens.
    labels : sequence of str
        The labels.
    spellings : mapping of str to sequence of int
        The tokens that spell each label, where a tokenizer gives them; else there may be :data:`MOST_SPELLINGS`.

    Examples
    --------
    >>> found = NextToken((("A", None, -0.5), (" B", None, -1.5)), "A", None)
    >>> options = read_options(found, ("A", "B", "C"), {"A": (1,), "B": (2,), "C": (3,)})
    >>> [round(high - low, 3) for low, high in zip(options.low, options.high)]
    [0.0, 0.0, 0.17]
    """
    residual, least = max(0.0, 1.0 - found.mass), found.least
    names = {label.strip() for label in labels}
    spelled = {number for label in labels for number in spellings.get(label, ())}
    # A list may hold the whole vocabulary, of which few spell a label.
    near = [
        (name, number, math.exp(value))
        for text, number, value in found.tokens
        if (name := text.strip()) in names or number in spelled
    ]
    low, high = [], []
    for label in labels:
        known = set(spellings.get(label, ()))
        listed = [(number, value) for name, number, value in near if number in known or name == label.strip()]
        numbers = {number for number, _ in listed if number is not None}
        if not known:
            missing = max(1, MOST_SPELLINGS - len(listed))
        elif numbers:
            missing = len(known - numbers)
        else:
            missing = max(0, len(known) - len(listed))
        total = min(1.0, math.fsum(value for _, value in listed))
        low.append(total)
        high.append(min(1.0, total + min(residual, missing * least)))
    return Options(tuple(low), tuple(high))


def widest(options: Options, /) -> float:
    """Return the widest of the bounds, as a share of what is on the labels."""
    mass = math.fsum(options.low)
    return options.width / mass if mass > 0 else math.inf


def answer_of(found: NextToken, options: Options, /) -> Answer:
    """Return the answer whose probabilities are the middles of the bounds, with the bounds beside them."""
    middles = [(low + high) / 2 for low, high in zip(options.low, options.high, strict=True)]
    named = found.tokens[:KEPT_TOKENS]
    return Answer(
        log_probabilities=tuple(math.log(value) if value > 0 else -math.inf for value in middles),
        option_mass=min(1.0, math.fsum(middles)),
        top_token=named[0][0],
        top_probability=min(1.0, math.exp(named[0][2])),
        # Fewer would say that the others have nothing.
        top_tokens=tuple((text, min(1.0, math.exp(value))) for text, _, value in named)
        if len(named) == KEPT_TOKENS
        else (),
        bounds=tuple(zip(options.low, options.high, strict=True)) if options.width > NEGLIGIBLE else (),
    )
