"""The choice of a community by the main model of a modular system: read from its letters, or drawn and said."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.health import LEAST_OPTION_MASS
from pytest_pluralism.core.records import Answer, Prompt

__all__ = ["Choice", "choice_of"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The comment that a main model chose for one prompt.

    Attributes
    ----------
    place : int
        The place of the comment.
    unread : bool
        Whether the letters of the main model named no single one, so that the comment was drawn among several that
        differ.
    """

    place: int
    unread: bool = False


def choice_of(answer: Answer, prompt: Prompt, comments: Sequence[str], /) -> Choice:
    """Return the comment that an answer names.

    A letter counts when the letters together hold at least half of the probability. Comments whose letters are equally
    likely are drawn from, and so are all of them where no letter counts: by the prompt, so that a second run draws the
    same. A draw is an unread choice, unless the comments that it is among say the same.

    Parameters
    ----------
    answer : Answer
        The answer of the main model, with a letter for each comment.
    prompt : Prompt
        The prompt that the comment is for.
    comments : sequence of str
        The comments, at least one.
    """
    logs = answer.log_probabilities
    known = not any(map(math.isnan, logs)) and max(logs) > -math.inf and answer.option_mass >= LEAST_OPTION_MASS
    tied = _likeliest(answer) if known else list(range(len(comments)))
    if len(tied) == 1:
        return Choice(tied[0])
    differ = len({comments[place].strip() for place in tied}) > 1
    return Choice(tied[_point(prompt) % len(tied)], unread=differ)


def _likeliest(answer: Answer) -> list[int]:
    """Return the letters that may be the likeliest: one, or several that are equal or not told apart."""
    ends = answer.bounds or [(share, share) for share in map(math.exp, answer.log_probabilities)]
    most = max(low for low, _ in ends)
    return [place for place, (_, high) in enumerate(ends) if compare(high, most) >= 0]


def _point(prompt: Prompt) -> int:
    """Return a number that equal prompts share."""
    words = json.dumps([prompt.question, prompt.system, prompt.verbatim], ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")
