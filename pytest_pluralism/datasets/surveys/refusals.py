"""Refusals: options that say nothing about the question, such as "Don't know", and the policies for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from pytest_pluralism.core.errors import invalid_parameter

__all__ = [
    "REFUSAL_PHRASES",
    "RefusalPolicy",
    "check_refusal_policy",
    "detect_refusals",
]

#: The policies for refusals: ``keep`` them as options, ``drop`` them and renormalise, or keep them ``separate``.
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
