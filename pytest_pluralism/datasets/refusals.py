"""Options that say nothing about the question: which they are, and what becomes of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, get_args

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.records import AnswerDistribution, Question

__all__ = [
    "REFUSAL_PHRASES",
    "RefusalPolicy",
    "check_refusal_policy",
    "detect_refusals",
    "set_refusals_apart",
    "split_refusals",
]

#: What becomes of refusals: ``keep`` them as options, ``drop`` them and renormalise, or keep them ``separate``.
RefusalPolicy = Literal["keep", "drop", "separate"]

#: An option is a refusal when its whole text, folded as in :func:`detect_refusals`, is one of these phrases.
#: Substantive answers that merely contain such words ("No, I do not know anyone", "Depends") are not.
REFUSAL_PHRASES: frozenset[str] = frozenset(
    {
        "can't choose",
        "can't say",
        "cannot choose",
        "cannot say",
        "decline to answer",
        "declined to answer",
        "dk",
        "dk / na",
        "dk / refused",
        "do not know",
        "do not know / no answer",
        "do not know / refused",
        "don't know",
        "don't know / no answer",
        "don't know / refused",
        "i don't know",
        "missing",
        "missing; not available",
        "missing; unknown",
        "na",
        "no answer",
        "no answer / refused",
        "no opinion",
        "no response",
        "not applicable",
        "not asked",
        "not asked in survey",
        "other missing",
        "other missing; multiple answers mail (evs)",
        "prefer not to answer",
        "prefer not to say",
        "refuse",
        "refused",
        "refused / don't know",
        "refused to answer",
        "unsure",
    }
)


def check_refusal_policy(policy: object, /, *, function: str) -> RefusalPolicy:
    """Return ``policy`` if it is one of the three.

    Raises
    ------
    InvalidParameterError
        If it is not.
    """
    for known in get_args(RefusalPolicy):
        if policy == known and isinstance(policy, str):
            return known  # type: ignore[no-any-return]
    raise invalid_parameter("refusals", function, "'keep', 'drop' or 'separate'", repr(policy))


def detect_refusals(options: Sequence[str], /) -> tuple[int, ...]:
    """Return the indices of the options that are refusals.

    An option is compared as a whole with :data:`REFUSAL_PHRASES`, after folding its case, straightening its
    apostrophes, removing a note of the interviewer such as ``(VOL)`` and a final full stop, and spacing its slashes.

    Parameters
    ----------
    options : sequence of str
        The options of one question.

    Returns
    -------
    tuple of int
        Their indices, ascending; empty when there are none.

    Examples
    --------
    >>> detect_refusals(["Yes", "No", "Don’t know", "DK/Refused (VOL)"])
    (2, 3)
    >>> detect_refusals(["Yes, I know someone", "No, I do not know anyone"])
    ()
    """
    return tuple(index for index, option in enumerate(options) if _fold(option) in REFUSAL_PHRASES)


def _fold(option: str) -> str:
    folded = option.casefold().replace("’", "'").replace("`", "'")
    folded = re.sub(r"[\(\[]\s*(?:vol|volunteered|do not read|don't read)\.?\s*[\)\]]", " ", folded)
    folded = re.sub(r"\s*/\s*", " / ", folded)
    return " ".join(folded.split()).rstrip(".").strip()


def split_refusals(probabilities: Sequence[float], refusals: Sequence[int], /) -> tuple[tuple[float, ...], float]:
    """Take refusals out of a distribution: set them to 0, rescale the rest to 1, and return the mass taken out.

    Parameters
    ----------
    probabilities : sequence of float, (n_options,)
        A distribution.
    refusals : sequence of int
        The indices of the refusals.

    Returns
    -------
    probabilities : tuple of float, (n_options,)
        The distribution without refusals: all NaN when nothing but refusals had any mass.
    refusal_mass : float
        In [0, 1].

    Examples
    --------
    >>> split_refusals((0.25, 0.25, 0.5), (2,))
    ((0.5, 0.5, 0.0), 0.5)
    """
    taken = set(refusals)
    mass = math.fsum(probabilities[index] for index in taken)
    rest = math.fsum(p for index, p in enumerate(probabilities) if index not in taken)
    if rest <= 0.0:
        return tuple(math.nan for _ in probabilities), mass
    return tuple(0.0 if index in taken else p / rest for index, p in enumerate(probabilities)), mass


def set_refusals_apart(
    question: Question, distribution: AnswerDistribution, answered: Sequence[float], /
) -> tuple[tuple[float, ...], float | None]:
    """Treat a model's distribution as the survey's policy has treated the humans'.

    Parameters
    ----------
    question : Question
        The question, as the survey holds it.
    distribution : AnswerDistribution
        The humans' answers to it.
    answered : sequence of float, (n_options,)
        The model's distribution over the same options.

    Returns
    -------
    probabilities : tuple of float, (n_options,)
        ``answered``, without its mass on refusals if the humans' refusals are separate.
    refusal_mass : float or None
        The mass taken out; ``None`` when refusals are options like the others or are not offered at all.

    Examples
    --------
    >>> question = Question("q", "Is it so?", ("Yes", "No", "Refused"), refusals=(2,))
    >>> humans = AnswerDistribution("q", "Everybody", (0.5, 0.5, 0.0), 90.0, refusal_mass=0.1)
    >>> set_refusals_apart(question, humans, (0.25, 0.25, 0.5))
    ((0.5, 0.5, 0.0), 0.5)
    """
    if not question.refusals or distribution.refusal_mass is None:
        return tuple(answered), None
    return split_refusals(answered, question.refusals)
