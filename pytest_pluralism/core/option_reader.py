"""The option of a closed question that a free text says: as a formula, or by its very words."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pytest_pluralism.core.cues import asks, denies, is_negative, leaves_open, takes_no_side
from pytest_pluralism.core.records import EntailmentScores

__all__ = ["LEAST_SURE", "OptionEvidence", "evidence_of", "is_open", "option_named", "option_of"]

#: The weights of how far a text entails those of an option, is entailed by them, and of the mean and largest cosine.
_WEIGHTS = np.array([4.0, 6.0, 20.0, 20.0])

#: From this probability on an option is read from a text.
LEAST_SURE = 0.7

#: A longer text is not an answer in one or two sentences.
_MOST_CHARACTERS = 2_000

#: A text that begins with as many words of a sentence of the question repeats it.
_BEGINNING = 4

_ENDS = re.compile(r"[.?!:]\s+")

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

#: The evidence for one option: forward, backward, mean cosine, largest cosine.
OptionEvidence = tuple[float, float, float, float]


def evidence_of(
    forward: Sequence[EntailmentScores], backward: Sequence[EntailmentScores], similarities: Sequence[float], /
) -> OptionEvidence:
    """Return what speaks for an option: means over its texts of entailment less contradiction, and the cosines.

    Parameters
    ----------
    forward, backward : sequence of EntailmentScores
        How far the text entails each text of the option, and is entailed by it.
    similarities : sequence of float
        The cosines.
    """

    def mean(scores: Sequence[EntailmentScores]) -> float:
        return float(np.mean([one.entailment - (one.contradiction or 0.0) for one in scores]))

    return mean(forward), mean(backward), float(np.mean(similarities)), float(max(similarities))


def option_of(options: Sequence[OptionEvidence], nothing: float, /) -> int | None:
    r"""Return the option that a text says; ``None`` where that is not clear.

    .. math:: P(i) \propto \exp(4 f_i + 6 b_i + 20 \bar s_i + 20 \max s_i)

    with the evidence of each option. The likeliest one is read where its probability is at least 0.7, and a text of it
    is as like the text as one that says nothing.

    Parameters
    ----------
    options : sequence of OptionEvidence
        The evidence of each option.
    nothing : float
        The largest cosine of the text and one that says no option.

    Examples
    --------
    >>> option_of([(0.8, 0.5, 0.6, 0.7), (-0.5, -0.5, 0.5, 0.6)], 0.2), option_of([(0.8, 0.5, 0.6, 0.7)] * 2, 0.2)
    (0, None)
    """
    rows = np.array(options)
    logits = rows @ _WEIGHTS
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    top = int(shares.argmax())
    return top if shares[top] >= LEAST_SURE and rows[top, 3] >= nothing else None


def is_open(text: str, question: str, /) -> bool:
    """Return whether a text says no option whatever it is about: it is empty, asks, repeats the question, or is open.

    A text repeats the question where it begins like one of its sentences. One that is too long for an answer says
    nothing either.

    Examples
    --------
    >>> asked = "There is a debate. Do you think taxes are too high, too low or about right?"
    >>> is_open("It depends.", asked), is_open("Do you think taxes are too high, too", asked)
    (True, True)
    >>> is_open("Taxes are too high.", asked)
    False
    """
    words = _words(text) if len(text) <= _MOST_CHARACTERS else []
    if not words or asks(text) or leaves_open(text) or takes_no_side(text):
        return True
    beginnings = [_words(one)[:_BEGINNING] for one in _ENDS.split(question)]
    return len(words) >= _BEGINNING and words[:_BEGINNING] in beginnings


def option_named(text: str, options: Sequence[str], /) -> tuple[int | None, bool]:
    """Return the option that a text names by its very words, and whether it names several.

    An option of one word counts only at the beginning ("No, because ..."), and none in a sentence that takes it back.

    Examples
    --------
    >>> options = ("Too little", "About the right amount", "Too much")
    >>> option_named("Too much, if you ask me.", options), option_named("Too much here and too little there.", options)
    ((2, False), (None, True))
    >>> option_named("I don't think it is too much.", options), option_named("No, never.", ("Yes", "No"))
    ((None, False), (1, False))
    """
    words = _words(text)
    found = {place for place, option in enumerate(options) if _says(words, text, _words(option))}
    # "Not too much" names "too much" only where no longer option holds it.
    longest = {
        place
        for place in found
        if not any(place != other and _within(_words(options[place]), _words(options[other])) for other in found)
    }
    if len(longest) > 1:
        return None, True
    (named,) = longest or (None,)
    if named is None:
        return None, False
    own = options[named]
    taken_back = denies(text) or is_negative(text) != is_negative(own)
    return (None if taken_back and len(_words(own)) > 1 else named), False


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _within(some: Sequence[str], words: Sequence[str]) -> bool:
    n = len(some)
    return any(list(words[at : at + n]) == list(some) for at in range(len(words) - n + 1)) if n else False


def _says(words: Sequence[str], text: str, option: Sequence[str]) -> bool:
    if len(option) != 1:
        return _within(option, words)
    rest = text.casefold().lstrip(" \"'“‘*").removeprefix(option[0]) if words[:1] == list(option) else None
    return rest is not None and (
        not rest.strip() or (not rest[0].isalnum() and rest.lstrip("*\"'”’")[:1] in "-,.!;:—–")
    )
